//! What tests need of every wire type: its fields as Chia's JSON shows them, and arbitrary values of it.

use serde_json::{Map, Value, json};

use crate::ids::{
    Bytes32, ChallengeHash, FilterChallenge, LauncherId, PeerId, PlotId, PosChallenge, PuzzleHash, QualityString,
    RewardChainSp, SpHash,
};
use crate::units::{ByteSize, Difficulty, Height, PlotSize, SubSlotIters};
use crate::wire::{
    ClassgroupElement, FromFullNode, FromHarvester, G1Bytes, G2Bytes, HarvesterLayout, Message, NewSignagePoint,
    NewSignagePointHarvester, PartialProof, Plot, PlotPool, PlotSync, PlotSyncPlotList, ProofBody, ProofOfSpace,
    RespondPlots, SignagePointFilter, ToFullNode, ToHarvester,
};

/// Choices that make up an arbitrary value: bytes, and zeros when they have run out. Short seeds make simple values,
/// which is how proptest finds the simplest one that fails.
pub(in crate::wire) struct Seed<'a>(pub(super) &'a [u8]);

impl Seed<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        // One choice in four is taken byte by byte; otherwise one byte fills the array, so that seeds last longer.
        let filler = self.byte();
        if filler % 4 == 3 {
            std::array::from_fn(|_| self.byte())
        } else {
            [filler; N]
        }
    }

    fn length(&mut self) -> usize {
        usize::from(self.byte() % 4)
    }
}

/// A wire type under test.
pub(in crate::wire) trait Specimen: Sized {
    /// The value as in the `fields` of the golden vectors.
    fn to_json(&self) -> Value;

    /// An arbitrary value.
    fn grow(seed: &mut Seed<'_>) -> Self;

    /// Adds the value to the fields of a struct under the struct's name for it.
    fn put(&self, name: &str, fields: &mut Map<String, Value>) {
        // `final` is a keyword of Rust.
        let name = if name == "is_final" { "final" } else { name };
        fields.insert(name.to_owned(), self.to_json());
    }

    /// Items of a list: an array, except for bytes.
    fn list_to_json(items: &[Self]) -> Value {
        items.iter().map(Self::to_json).collect()
    }
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Specimen for $type {
            fn to_json(&self) -> Value {
                json!(self)
            }
            fn grow(seed: &mut Seed<'_>) -> Self {
                Self::from_be_bytes(seed.array())
            }
        }
    )*};
}
numbers! { u16 u32 u64 i16 }

impl Specimen for u8 {
    fn to_json(&self) -> Value {
        json!(self)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        seed.byte()
    }
    fn list_to_json(items: &[Self]) -> Value {
        hex_json(items)
    }
}

impl Specimen for u128 {
    fn to_json(&self) -> Value {
        // The vectors' one number beyond 64 bits is read as a float; its bytes are compared exactly.
        u64::try_from(*self).map_or_else(|_| json!(*self as f64), |small| json!(small))
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self::from_be_bytes(seed.array())
    }
}

macro_rules! wrappers {
    ($($name:ident)*) => {$(
        impl Specimen for $name {
            fn to_json(&self) -> Value {
                self.0.to_json()
            }
            fn grow(seed: &mut Seed<'_>) -> Self {
                Self(Specimen::grow(seed))
            }
        }
    )*};
}
wrappers! {
    ByteSize Difficulty Height SubSlotIters Bytes32 ChallengeHash FilterChallenge LauncherId PeerId PlotId PosChallenge
    PuzzleHash QualityString RewardChainSp SpHash G1Bytes G2Bytes
}

impl<const N: usize> Specimen for [u8; N] {
    fn to_json(&self) -> Value {
        hex_json(self)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        seed.array()
    }
}

impl Specimen for bool {
    fn to_json(&self) -> Value {
        json!(self)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        seed.byte() % 2 == 1
    }
}

impl Specimen for String {
    fn to_json(&self) -> Value {
        json!(self)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        (0..seed.length())
            .map(|_| ['a', '\0', 'é', '𝄞'][seed.length()])
            .collect()
    }
}

impl<T: Specimen> Specimen for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        (seed.byte() % 2 == 1).then(|| T::grow(seed))
    }
}

impl<T: Specimen> Specimen for Vec<T> {
    fn to_json(&self) -> Value {
        T::list_to_json(self)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        (0..seed.length()).map(|_| T::grow(seed)).collect()
    }
}

impl<T: Specimen> Specimen for Box<T> {
    fn to_json(&self) -> Value {
        self.as_ref().to_json()
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self::new(T::grow(seed))
    }
}

impl<A: Specimen, B: Specimen> Specimen for (A, B) {
    fn to_json(&self) -> Value {
        json!([self.0.to_json(), self.1.to_json()])
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        (A::grow(seed), B::grow(seed))
    }
}

impl Specimen for PlotSize {
    fn to_json(&self) -> Value {
        json!(self.to_wire())
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self::from_wire(seed.byte())
    }
}

impl Specimen for ClassgroupElement {
    fn to_json(&self) -> Value {
        json!({ "data": self.0.to_json() })
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self(seed.array())
    }
}

impl Specimen for PartialProof {
    fn to_json(&self) -> Value {
        json!({ "fragments": self.fragments })
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            fragments: std::array::from_fn(|_| u64::grow(seed)),
        }
    }
}

/// One field here, two in Chia's structs.
impl Specimen for PlotPool {
    fn to_json(&self) -> Value {
        panic!("a pool is two fields")
    }
    fn put(&self, _: &str, fields: &mut Map<String, Value>) {
        self.public_key().copied().put("pool_public_key", fields);
        self.contract().copied().put("pool_contract_puzzle_hash", fields);
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        match seed.byte() % 2 {
            0 => Self::PublicKey(G1Bytes::grow(seed)),
            _ => Self::Contract(PuzzleHash::grow(seed)),
        }
    }
}

impl Specimen for ProofOfSpace {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        self.challenge.put("challenge", &mut fields);
        self.pool.put("pool", &mut fields);
        self.plot_public_key.put("plot_public_key", &mut fields);
        let (version, index, group, strength, size) = match self.body {
            ProofBody::V1 { k, .. } => (0, 0, 0, 0, k),
            ProofBody::V2 {
                plot_index,
                meta_group,
                strength,
                ..
            } => (1, plot_index, meta_group, strength, 0),
        };
        fields.insert("version".to_owned(), json!(version));
        fields.insert("plot_index".to_owned(), json!(index));
        fields.insert("meta_group".to_owned(), json!(group));
        fields.insert("strength".to_owned(), json!(strength));
        fields.insert("size".to_owned(), json!(size));
        fields.insert("proof".to_owned(), hex_json(self.proof()));
        Value::Object(fields)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            challenge: Specimen::grow(seed),
            pool: Specimen::grow(seed),
            plot_public_key: Specimen::grow(seed),
            body: match seed.byte() % 2 {
                0 => ProofBody::V1 {
                    k: seed.byte(),
                    proof: Specimen::grow(seed),
                },
                _ => ProofBody::V2 {
                    plot_index: Specimen::grow(seed),
                    meta_group: seed.byte(),
                    strength: seed.byte(),
                    proof: Specimen::grow(seed),
                },
            },
        }
    }
}

impl Specimen for Message {
    fn to_json(&self) -> Value {
        json!({ "type": self.kind, "id": self.id, "data": self.data.to_json() })
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            kind: seed.byte(),
            id: Specimen::grow(seed),
            data: Specimen::grow(seed),
        }
    }
}

impl Specimen for NewSignagePoint {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        self.challenge_hash.put("challenge_hash", &mut fields);
        self.challenge_chain_sp.put("challenge_chain_sp", &mut fields);
        self.reward_chain_sp.put("reward_chain_sp", &mut fields);
        self.difficulty.put("difficulty", &mut fields);
        self.sub_slot_iters.put("sub_slot_iters", &mut fields);
        self.signage_point_index.put("signage_point_index", &mut fields);
        self.peak_height.put("peak_height", &mut fields);
        self.last_tx_height.put("last_tx_height", &mut fields);
        self.sp_source_data.put("sp_source_data", &mut fields);
        self.filter_challenge.put("filter_challenge", &mut fields);
        Value::Object(fields)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            challenge_hash: Specimen::grow(seed),
            challenge_chain_sp: Specimen::grow(seed),
            reward_chain_sp: Specimen::grow(seed),
            difficulty: Specimen::grow(seed),
            sub_slot_iters: Specimen::grow(seed),
            signage_point_index: Specimen::grow(seed),
            peak_height: Specimen::grow(seed),
            last_tx_height: Specimen::grow(seed),
            sp_source_data: Specimen::grow(seed),
            filter_challenge: Specimen::grow(seed),
        }
    }
}

/// In the newest layout, except that prefix bits have one of their own.
impl Specimen for NewSignagePointHarvester {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        self.challenge_hash.put("challenge_hash", &mut fields);
        self.difficulty.put("difficulty", &mut fields);
        self.sub_slot_iters.put("sub_slot_iters", &mut fields);
        self.signage_point_index.put("signage_point_index", &mut fields);
        self.sp_hash.put("sp_hash", &mut fields);
        self.pool_difficulties.put("pool_difficulties", &mut fields);
        match &self.filter {
            SignagePointFilter::PrefixBits(bits) => bits.put("filter_prefix_bits", &mut fields),
            SignagePointFilter::Heights {
                peak_height,
                last_tx_height,
                filter_challenge,
            } => {
                peak_height.put("peak_height", &mut fields);
                last_tx_height.put("last_tx_height", &mut fields);
                filter_challenge.put("filter_challenge", &mut fields);
            }
        }
        Value::Object(fields)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            challenge_hash: Specimen::grow(seed),
            difficulty: Specimen::grow(seed),
            sub_slot_iters: Specimen::grow(seed),
            signage_point_index: Specimen::grow(seed),
            sp_hash: Specimen::grow(seed),
            pool_difficulties: Specimen::grow(seed),
            filter: match seed.byte() % 2 {
                0 => SignagePointFilter::PrefixBits(seed.byte()),
                _ => SignagePointFilter::Heights {
                    peak_height: Specimen::grow(seed),
                    last_tx_height: Specimen::grow(seed),
                    filter_challenge: Specimen::grow(seed),
                },
            },
        }
    }
}

/// In the newest layout (`Plot2`).
impl Specimen for Plot {
    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        self.filename.put("filename", &mut fields);
        self.size.put("size", &mut fields);
        self.plot_id.put("plot_id", &mut fields);
        self.pool.put("pool", &mut fields);
        self.plot_public_key.put("plot_public_key", &mut fields);
        self.file_size.put("file_size", &mut fields);
        self.time_modified.put("time_modified", &mut fields);
        self.compression_level.put("compression_level", &mut fields);
        self.plot_index.put("plot_index", &mut fields);
        self.meta_group.put("meta_group", &mut fields);
        Value::Object(fields)
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            filename: Specimen::grow(seed),
            size: Specimen::grow(seed),
            plot_id: Specimen::grow(seed),
            pool: Specimen::grow(seed),
            plot_public_key: Specimen::grow(seed),
            file_size: Specimen::grow(seed),
            time_modified: Specimen::grow(seed),
            compression_level: Specimen::grow(seed),
            plot_index: Specimen::grow(seed),
            meta_group: Specimen::grow(seed),
        }
    }
}

impl Specimen for RespondPlots {
    fn to_json(&self) -> Value {
        json!({
            "plots": self.plots.to_json(),
            "failed_to_open_filenames": self.failed_to_open_filenames,
            "no_key_filenames": self.no_key_filenames,
        })
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            plots: Specimen::grow(seed),
            failed_to_open_filenames: Specimen::grow(seed),
            no_key_filenames: Specimen::grow(seed),
        }
    }
}

impl Specimen for PlotSyncPlotList {
    fn to_json(&self) -> Value {
        json!({ "identifier": self.identifier.to_json(), "data": self.data.to_json(), "final": self.is_final })
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        Self {
            identifier: Specimen::grow(seed),
            data: Specimen::grow(seed),
            is_final: Specimen::grow(seed),
        }
    }
}

/// Enums of messages.
macro_rules! choices {
    ($($name:ident { $($variant:ident)* })*) => {$(
        impl Specimen for $name {
            fn to_json(&self) -> Value {
                match self {
                    $(Self::$variant(payload) => payload.to_json(),)*
                }
            }
            fn grow(seed: &mut Seed<'_>) -> Self {
                let all = [$(|seed: &mut Seed<'_>| Self::$variant(Specimen::grow(seed))),*];
                all[usize::from(seed.byte()) % all.len()](seed)
            }
        }
    )*};
}
choices! {
    PlotSync { Start Loaded Removed Invalid KeysMissing Duplicates Done }
    FromHarvester { NewProofOfSpace PartialProofs RespondSignatures FarmingInfo RespondPlots PlotSync }
    FromFullNode { NewSignagePoint RequestSignedValues }
    ToFullNode { DeclareProofOfSpace SignedValues }
}

impl Specimen for ToHarvester {
    fn to_json(&self) -> Value {
        match self {
            Self::HarvesterHandshake(payload) => payload.to_json(),
            Self::NewSignagePoint(payload) => payload.to_json(),
            Self::RequestSignatures(payload) => payload.to_json(),
            Self::RequestPlots => json!({}),
            Self::PlotSyncResponse(payload) => payload.to_json(),
        }
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        match seed.byte() % 5 {
            0 => Self::RequestPlots,
            1 => Self::HarvesterHandshake(Specimen::grow(seed)),
            2 => Self::NewSignagePoint(Specimen::grow(seed)),
            3 => Self::RequestSignatures(Specimen::grow(seed)),
            _ => Self::PlotSyncResponse(Specimen::grow(seed)),
        }
    }
}

impl Specimen for HarvesterLayout {
    fn to_json(&self) -> Value {
        panic!("a layout is no field")
    }
    fn grow(seed: &mut Seed<'_>) -> Self {
        [Self::V36, Self::V37, Self::V38][usize::from(seed.byte() % 3)]
    }
}

fn hex_json(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}
