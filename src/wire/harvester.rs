//! Messages between farmer and harvester.
//!
//! Farmer and harvester logic know only the newest form of each message. The older forms, which a peer's protocol
//! version calls for, exist only between these types and the bytes: see [`HarvesterLayout`].

use sha2::{Digest, Sha256};

use super::block::RewardChainBlockUnfinished;
use super::codec::{Reader, Streamable, parse_list, stream_list, streamable};
use super::error::WireError;
use super::handshake::HarvesterLayout;
use super::message::Message;
use super::message_type::MessageType;
use super::plot::Plot;
use super::plot_sync::{PlotSync, PlotSyncResponse};
use super::points::{G1Bytes, G2Bytes};
use super::proof::{PartialProof, PlotPool, ProofOfSpace};
use crate::ids::{Bytes32, ChallengeHash, FilterChallenge, PlotId, PuzzleHash, SpHash};
use crate::units::{Difficulty, Height, SubSlotIters};

streamable! {
    /// The keys whose plots are farmed (3, farmer to harvester), right after the handshake.
    pub struct HarvesterHandshake {
        /// Farmer public keys. Official farmers list the pool keys here too, after the farmer keys.
        pub farmer_public_keys: Vec<G1Bytes>,
        /// Pool public keys. If either list is empty an official harvester ignores every signage point.
        pub pool_public_keys: Vec<G1Bytes>,
    }

    /// What a pool asks of plots of one plotNFT.
    pub struct PoolDifficulty {
        /// Difficulty of partials.
        pub difficulty: Difficulty,
        /// Iterations of a sub-slot as the pool counts them.
        pub sub_slot_iters: SubSlotIters,
        /// Plots it holds for.
        pub pool_contract_puzzle_hash: PuzzleHash,
    }

    /// A v1 proof good enough for a block or a partial (5, harvester to farmer).
    pub struct NewProofOfSpace {
        /// Challenge of the sub-slot.
        pub challenge_hash: ChallengeHash,
        /// Signage point it answers.
        pub sp_hash: SpHash,
        /// The harvester's name for plot and proof, repeated in [`RequestSignatures`]; nothing to the farmer. Official
        /// ones are 64 hex digits of the quality string and the plot's path.
        pub plot_identifier: String,
        /// The proof.
        pub proof: ProofOfSpace,
        /// 0 to 63.
        pub signage_point_index: u8,
        /// Whether the harvester wants to see what it is asked to sign.
        pub include_source_signature_data: bool,
        /// Where the harvester wants the farmer share to go, if not to the farmer.
        pub farmer_reward_address_override: Option<PuzzleHash>,
        /// With an override: how much of the farmer share the harvester claims as its fee.
        pub fee_info: Option<ProofOfSpaceFeeInfo>,
    }

    /// A third-party harvester's fee.
    pub struct ProofOfSpaceFeeInfo {
        /// The fee is due if the last four bytes of sha256(proof ‖ challenge_hash) are at most this; its rate is this
        /// divided by 2^32 − 1.
        pub applied_fee_threshold: u32,
    }

    /// v2 partial proofs good enough for a block or a partial (110, harvester to farmer).
    pub struct PartialProofsData {
        /// Challenge of the sub-slot.
        pub challenge_hash: ChallengeHash,
        /// Signage point they answer.
        pub sp_hash: SpHash,
        /// As in [`NewProofOfSpace`]; release 2.7.5 leaves the hex digits out.
        pub plot_identifier: String,
        /// The partial proofs.
        pub partial_proofs: Vec<PartialProof>,
        /// 0 to 63.
        pub signage_point_index: u8,
        /// k of the plot.
        pub plot_size: u8,
        /// Number of the plot within its group.
        pub plot_index: u16,
        /// Meta group of the plot within its group.
        pub meta_group: u8,
        /// Strength of the plot.
        pub strength: u8,
        /// Id of the plot, as the harvester says.
        pub plot_id: PlotId,
        /// Pool of the plot.
        pub pool: PlotPool,
        /// Key blocks of the plot are signed with.
        pub plot_public_key: G1Bytes,
    }

    /// Sign these for that plot (6, farmer to harvester).
    pub struct RequestSignatures {
        /// As in the harvester's proof.
        pub plot_identifier: String,
        /// Challenge of the sub-slot.
        pub challenge_hash: ChallengeHash,
        /// Signage point of the proof.
        pub sp_hash: SpHash,
        /// The hashes to sign.
        pub messages: Vec<Bytes32>,
        /// What the hashes are of, if the harvester asked: item for item, none where there is nothing to show.
        pub message_data: Option<Vec<Option<SignatureRequestSourceData>>>,
        /// With `message_data` of a block: its place in the reward chain.
        pub rc_block_unfinished: Option<RewardChainBlockUnfinished>,
    }

    /// What a hash to be signed is of.
    pub struct SignatureRequestSourceData {
        /// A [`SigningDataKind`].
        pub kind: u8,
        /// The streamed value; its SHA-256 is the hash to be signed.
        #[serde(with = "hex::serde")]
        pub data: Vec<u8>,
    }

    /// The harvester's share of the signatures (7, harvester to farmer).
    pub struct RespondSignatures {
        /// As in the request.
        pub plot_identifier: String,
        /// As in the request.
        pub challenge_hash: ChallengeHash,
        /// As in the request.
        pub sp_hash: SpHash,
        /// The plot's own public key.
        pub local_pk: G1Bytes,
        /// The farmer public key the plot was made for.
        pub farmer_pk: G1Bytes,
        /// Each hash with the local key's signature.
        pub message_signatures: Vec<(Bytes32, G2Bytes)>,
        /// Whether the harvester wants to see what it will be asked to sign for the block.
        pub include_source_signature_data: bool,
        /// Where the harvester wants the farmer share to go, if not to the farmer.
        pub farmer_reward_address_override: Option<PuzzleHash>,
    }

    /// Result of one look-up (12, harvester to farmer).
    pub struct FarmingInfo {
        /// Challenge of the sub-slot.
        pub challenge_hash: ChallengeHash,
        /// Signage point that was looked up.
        pub sp_hash: SpHash,
        /// Unix time on the harvester, seconds.
        pub timestamp: u64,
        /// Plots that passed the filter.
        pub passed: u32,
        /// Proofs found; official harvesters leave v2 partial proofs out.
        pub proofs: u32,
        /// Plots there are.
        pub total_plots: u32,
        /// How long it took, microseconds.
        pub lookup_time: u64,
    }
}

impl ProofOfSpaceFeeInfo {
    /// The number that a fee is drawn with: the last four bytes, big-endian, of sha256(proof ‖ challenge_hash). `proof`
    /// are the bytes of the proof alone. Source: CHIP-22, chia `farmer_api.py`.
    #[must_use]
    pub fn fee_quality(proof: &[u8], challenge_hash: &ChallengeHash) -> u32 {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(proof)
            .chain_update(challenge_hash)
            .finalize()
            .into();
        let [.., a, b, c, d] = hash;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What [`SignatureRequestSourceData::data`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SigningDataKind {
    /// A [`super::FoliageBlockData`].
    FoliageBlockData = 1,
    /// A [`super::FoliageTransactionBlock`].
    FoliageTransactionBlock = 2,
    /// The challenge chain's VDF output at the signage point: a [`super::ClassgroupElement`].
    ChallengeChainVdf = 3,
    /// The reward chain's VDF output at the signage point: a [`super::ClassgroupElement`].
    RewardChainVdf = 4,
    /// A [`super::ChallengeChainSubSlot`].
    ChallengeChainSubSlot = 5,
    /// A [`super::RewardChainSubSlot`].
    RewardChainSubSlot = 6,
    /// A [`super::pool::PostPartialPayload`].
    Partial = 7,
}

impl SigningDataKind {
    /// The number on the wire.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// A signage point (66, farmer to harvester), in one of three layouts.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NewSignagePointHarvester {
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Difficulty of the chain.
    pub difficulty: Difficulty,
    /// Iterations of the sub-slot.
    pub sub_slot_iters: SubSlotIters,
    /// 0 to 63.
    pub signage_point_index: u8,
    /// The signage point.
    pub sp_hash: SpHash,
    /// What pools ask. More than [`super::limits::MAX_POOL_DIFFICULTIES`] are too much for an official harvester.
    pub pool_difficulties: Vec<PoolDifficulty>,
    /// What the plot filter needs.
    pub filter: SignagePointFilter,
}

/// What the plot filter needs: the part of a signage point that differs between protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignagePointFilter {
    /// Up to 0.0.36: the farmer has worked out how many leading bits must be zero. This layout whatever is asked for
    /// when encoding, because nothing else follows from it.
    PrefixBits(u8),
    /// From 0.0.37: the harvester works it out. When encoded for 0.0.36, which cannot be known from heights, it goes
    /// out as for 0.0.37.
    Heights {
        /// Height of the node's peak.
        peak_height: Height,
        /// Height of the node's last transaction block.
        last_tx_height: Height,
        /// Challenge of the v2 plot filter. 0.0.37 has no place for it.
        filter_challenge: Option<FilterChallenge>,
    },
}

impl NewSignagePointHarvester {
    fn stream(&self, layout: HarvesterLayout, out: &mut Vec<u8>) {
        self.challenge_hash.stream(out);
        self.difficulty.stream(out);
        self.sub_slot_iters.stream(out);
        self.signage_point_index.stream(out);
        self.sp_hash.stream(out);
        self.pool_difficulties.stream(out);
        match &self.filter {
            SignagePointFilter::PrefixBits(bits) => bits.stream(out),
            SignagePointFilter::Heights {
                peak_height,
                last_tx_height,
                filter_challenge,
            } => {
                peak_height.stream(out);
                last_tx_height.stream(out);
                match layout {
                    HarvesterLayout::V36 | HarvesterLayout::V37 => {}
                    HarvesterLayout::V38 => filter_challenge.stream(out),
                }
            }
        }
    }

    /// Reads any of the three layouts: what follows the pool difficulties is 1, 8, or at least 9 bytes long.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let signage_point = Self {
            challenge_hash: Streamable::parse(&mut input)?,
            difficulty: Streamable::parse(&mut input)?,
            sub_slot_iters: Streamable::parse(&mut input)?,
            signage_point_index: Streamable::parse(&mut input)?,
            sp_hash: Streamable::parse(&mut input)?,
            pool_difficulties: Streamable::parse(&mut input)?,
            filter: match input.remaining() {
                1 => SignagePointFilter::PrefixBits(Streamable::parse(&mut input)?),
                length => SignagePointFilter::Heights {
                    peak_height: Streamable::parse(&mut input)?,
                    last_tx_height: Streamable::parse(&mut input)?,
                    filter_challenge: if length == 8 {
                        None
                    } else {
                        Streamable::parse(&mut input)?
                    },
                },
            },
        };
        input.finish()?;
        Ok(signage_point)
    }
}

/// All plots of a harvester (68 or 113 by layout, harvester to farmer); the answer to a request with an id.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RespondPlots {
    /// The plots it farms.
    pub plots: Vec<Plot>,
    /// Paths of files that are no plots it can use.
    pub failed_to_open_filenames: Vec<String>,
    /// Paths of plots it has no keys for.
    pub no_key_filenames: Vec<String>,
}

impl RespondPlots {
    fn stream(&self, layout: HarvesterLayout, out: &mut Vec<u8>) {
        stream_list(&self.plots, out, |plot, out| plot.stream(layout, out));
        self.failed_to_open_filenames.stream(out);
        self.no_key_filenames.stream(out);
    }

    fn from_bytes(bytes: &[u8], layout: HarvesterLayout) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let plots = Self {
            plots: parse_list(&mut input, Plot::MIN_BYTES, |input| Plot::parse(layout, input))?,
            failed_to_open_filenames: Streamable::parse(&mut input)?,
            no_key_filenames: Streamable::parse(&mut input)?,
        };
        input.finish()?;
        Ok(plots)
    }
}

/// Everything a harvester sends to a farmer after the handshake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromHarvester {
    /// A v1 proof.
    NewProofOfSpace(Box<NewProofOfSpace>),
    /// v2 partial proofs.
    PartialProofs(Box<PartialProofsData>),
    /// Its share of signatures.
    RespondSignatures(Box<RespondSignatures>),
    /// Result of one look-up.
    FarmingInfo(FarmingInfo),
    /// All its plots.
    RespondPlots(RespondPlots),
    /// A part of a plot sync.
    PlotSync(PlotSync),
}

impl FromHarvester {
    /// Reads a message of a harvester; `None` if a harvester never sends that number, or nobody does. Both forms of
    /// plot lists are accepted: their numbers differ.
    ///
    /// # Errors
    /// When the payload is not what its number says.
    pub fn decode(message: &Message) -> Result<Option<Self>, WireError> {
        let data = &message.data;
        let Some(kind) = message.message_type() else {
            return Ok(None);
        };
        Ok(Some(match kind {
            MessageType::NewProofOfSpace => Self::NewProofOfSpace(Box::new(Streamable::from_bytes(data)?)),
            MessageType::PartialProofs => Self::PartialProofs(Box::new(Streamable::from_bytes(data)?)),
            MessageType::RespondSignatures => Self::RespondSignatures(Box::new(Streamable::from_bytes(data)?)),
            MessageType::FarmingInfo => Self::FarmingInfo(Streamable::from_bytes(data)?),
            MessageType::RespondPlots => Self::RespondPlots(RespondPlots::from_bytes(data, HarvesterLayout::V37)?),
            MessageType::RespondPlots2 => Self::RespondPlots(RespondPlots::from_bytes(data, HarvesterLayout::V38)?),
            _ => return Ok(PlotSync::decode(kind, data)?.map(Self::PlotSync)),
        }))
    }

    /// The message in its envelope, in the layout of the farmer's version. Of v2 plots, the older layout loses the
    /// place in their group.
    #[must_use]
    pub fn encode(&self, id: Option<u16>, layout: HarvesterLayout) -> Message {
        let kind = layout.number(self.message_type());
        match self {
            Self::NewProofOfSpace(payload) => Message::new(kind, id, payload.as_ref()),
            Self::PartialProofs(payload) => Message::new(kind, id, payload.as_ref()),
            Self::RespondSignatures(payload) => Message::new(kind, id, payload.as_ref()),
            Self::FarmingInfo(payload) => Message::new(kind, id, payload),
            Self::RespondPlots(payload) => {
                let mut data = Vec::new();
                payload.stream(layout, &mut data);
                Message {
                    kind: kind.as_u8(),
                    id,
                    data,
                }
            }
            Self::PlotSync(payload) => payload.encode(id, layout),
        }
    }

    /// The number it travels under in the newest layout; [`HarvesterLayout::number`] knows it in the others.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::NewProofOfSpace(_) => MessageType::NewProofOfSpace,
            Self::PartialProofs(_) => MessageType::PartialProofs,
            Self::RespondSignatures(_) => MessageType::RespondSignatures,
            Self::FarmingInfo(_) => MessageType::FarmingInfo,
            Self::RespondPlots(_) => MessageType::RespondPlots2,
            Self::PlotSync(payload) => payload.message_type(),
        }
    }
}

/// Everything a farmer sends to a harvester after the handshake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToHarvester {
    /// The keys whose plots are farmed.
    HarvesterHandshake(HarvesterHandshake),
    /// A signage point.
    NewSignagePoint(NewSignagePointHarvester),
    /// Hashes to sign.
    RequestSignatures(Box<RequestSignatures>),
    /// List your plots.
    RequestPlots,
    /// Answer to a message of a plot sync.
    PlotSyncResponse(PlotSyncResponse),
}

impl ToHarvester {
    /// Reads a message of a farmer; `None` if a farmer never sends that number to a harvester, or nobody does. All
    /// layouts are accepted.
    ///
    /// # Errors
    /// When the payload is not what its number says.
    pub fn decode(message: &Message) -> Result<Option<Self>, WireError> {
        let data = &message.data;
        Ok(Some(match message.message_type() {
            Some(MessageType::HarvesterHandshake) => Self::HarvesterHandshake(Streamable::from_bytes(data)?),
            Some(MessageType::NewSignagePointHarvester) => {
                Self::NewSignagePoint(NewSignagePointHarvester::from_bytes(data)?)
            }
            Some(MessageType::RequestSignatures) => Self::RequestSignatures(Box::new(Streamable::from_bytes(data)?)),
            Some(MessageType::RequestPlots) => {
                Reader::new(data).finish()?;
                Self::RequestPlots
            }
            Some(MessageType::PlotSyncResponse) => {
                Self::PlotSyncResponse(PlotSyncResponse::from_bytes(data)?.in_newest_layout())
            }
            _ => return Ok(None),
        }))
    }

    /// The message in its envelope, in the layout of the harvester's version.
    #[must_use]
    pub fn encode(&self, id: Option<u16>, layout: HarvesterLayout) -> Message {
        let kind = self.message_type();
        match self {
            Self::HarvesterHandshake(payload) => Message::new(kind, id, payload),
            Self::NewSignagePoint(payload) => {
                let mut data = Vec::with_capacity(USUAL_SIGNAGE_POINT);
                payload.stream(layout, &mut data);
                Message {
                    kind: kind.as_u8(),
                    id,
                    data,
                }
            }
            Self::RequestSignatures(payload) => Message::new(kind, id, payload.as_ref()),
            Self::RequestPlots => Message {
                kind: kind.as_u8(),
                id,
                data: Vec::new(),
            },
            Self::PlotSyncResponse(payload) => Message::new(kind, id, &payload.in_layout(layout)),
        }
    }

    /// The number it travels under.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::HarvesterHandshake(_) => MessageType::HarvesterHandshake,
            Self::NewSignagePoint(_) => MessageType::NewSignagePointHarvester,
            Self::RequestSignatures(_) => MessageType::RequestSignatures,
            Self::RequestPlots => MessageType::RequestPlots,
            Self::PlotSyncResponse(_) => MessageType::PlotSyncResponse,
        }
    }
}

/// Bytes of a signage point with two pools.
const USUAL_SIGNAGE_POINT: usize = 256;
