//! Proofs of space in both shapes, and the plot identity they carry.

use sha2::{Digest, Sha256};

use serde::{Deserialize, Serialize};

use super::codec::{Reader, Streamable};
use super::error::WireError;
use super::points::G1Bytes;
use crate::ids::{Bytes32, PlotGroupId, PlotId, PosChallenge, PuzzleHash, QualityString};
use crate::units::PlotSize;

/// What a plot's rewards are bound to. On the wire these are two optional fields; both or neither is refused, because
/// no plot can have that and no plot id could be computed for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PlotPool {
    /// Plot of the first kind: its pool share goes where the holder of this key says (`pool_public_key`).
    PublicKey(G1Bytes),
    /// Plot of a plotNFT: its pool share goes to this contract (`pool_contract_puzzle_hash`).
    Contract(PuzzleHash),
}

impl PlotPool {
    /// The pool public key, if it is such a plot.
    #[must_use]
    pub const fn public_key(&self) -> Option<&G1Bytes> {
        match self {
            Self::PublicKey(key) => Some(key),
            Self::Contract(_) => None,
        }
    }

    /// The pool contract, if it is such a plot.
    #[must_use]
    pub const fn contract(&self) -> Option<&PuzzleHash> {
        match self {
            Self::PublicKey(_) => None,
            Self::Contract(contract) => Some(contract),
        }
    }

    /// The bytes that stand for the pool in a plot id: 48 of the key or 32 of the contract.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::PublicKey(key) => key.as_bytes(),
            Self::Contract(contract) => contract.as_bytes(),
        }
    }

    fn from_fields(key: Option<G1Bytes>, contract: Option<PuzzleHash>, at: usize) -> Result<Self, WireError> {
        match (key, contract) {
            (Some(key), None) => Ok(Self::PublicKey(key)),
            (None, Some(contract)) => Ok(Self::Contract(contract)),
            (Some(_), Some(_)) => Err(WireError::PoolKeyAndContract { at }),
            (None, None) => Err(WireError::NoPoolKeyNorContract { at }),
        }
    }
}

/// The two optional fields next to each other, as in lists of plots.
impl Streamable for PlotPool {
    const MIN_BYTES: usize = 2 + 32;

    fn stream(&self, out: &mut Vec<u8>) {
        self.public_key().copied().stream(out);
        self.contract().copied().stream(out);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let at = input.at();
        let key = Option::parse(input)?;
        let contract = Option::parse(input)?;
        Self::from_fields(key, contract, at)
    }
}

/// Proof that a plot has an answer to a challenge. Not verified here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProofOfSpace {
    /// What the plot was asked: sha256(sha256(plot_id ‖ challenge_hash ‖ sp_hash)), not the challenge of the sub-slot.
    pub challenge: PosChallenge,
    /// Pool of the plot.
    pub pool: PlotPool,
    /// Key the block must be signed with: the sum of the harvester's, the farmer's and the taproot key.
    pub plot_public_key: G1Bytes,
    /// The proof itself, v1 or v2.
    pub body: ProofBody,
}

/// The part of a proof that depends on the plot format.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofBody {
    /// v1 plot. The same bytes in all releases.
    V1 {
        /// Size parameter of the plot (`size`).
        k: u8,
        /// 64 x-values of k bits: 8 k bytes.
        #[serde(with = "hex::serde")]
        proof: Vec<u8>,
    },
    /// v2 plot. Its k is a constant of the network.
    V2 {
        /// Number of the plot within its group.
        plot_index: u16,
        /// Meta group of the plot within its group.
        meta_group: u8,
        /// Strength of the plot.
        strength: u8,
        /// 128 x-values of k bits: 16 k bytes.
        #[serde(with = "hex::serde")]
        proof: Vec<u8>,
    },
}

impl ProofOfSpace {
    /// Id of the plot the proof is from.
    #[must_use]
    pub fn plot_id(&self) -> PlotId {
        match self.body {
            ProofBody::V1 { .. } => plot_id_v1(&self.pool, &self.plot_public_key),
            ProofBody::V2 {
                plot_index,
                meta_group,
                strength,
                ..
            } => {
                let group = plot_group_id_v2(strength, &self.plot_public_key, &self.pool);
                plot_id_v2(&group, plot_index, meta_group)
            }
        }
    }

    /// Size of the plot the proof is from.
    #[must_use]
    pub const fn plot_size(&self) -> PlotSize {
        match self.body {
            ProofBody::V1 { k, .. } => PlotSize::V1 { k },
            ProofBody::V2 { strength, .. } => PlotSize::V2 { strength },
        }
    }

    /// The proof's x-values.
    #[must_use]
    pub fn proof(&self) -> &[u8] {
        match &self.body {
            ProofBody::V1 { proof, .. } | ProofBody::V2 { proof, .. } => proof,
        }
    }

    /// Chia's `get_hash()`. For a v1 proof the hash of its bytes; `quality_string` makes no difference. In the hash of
    /// a v2 proof, the proof's own quality string, which only verification gives, stands in place of the x-values.
    #[must_use]
    pub fn get_hash(&self, quality_string: &QualityString) -> Bytes32 {
        let mut hashed = Vec::new();
        self.stream_hashed(quality_string, &mut hashed);
        Bytes32(Sha256::digest(&hashed).into())
    }

    /// Appends what stands for the proof when something that contains it is hashed; see [`Self::get_hash`].
    pub(super) fn stream_hashed(&self, quality_string: &QualityString, out: &mut Vec<u8>) {
        match &self.body {
            ProofBody::V1 { .. } => self.stream(out),
            ProofBody::V2 { .. } => {
                self.stream_up_to_proof(out);
                quality_string.stream(out);
            }
        }
    }

    fn stream_up_to_proof(&self, out: &mut Vec<u8>) {
        self.challenge.stream(out);
        self.pool.public_key().copied().stream(out);
        let version = match self.body {
            ProofBody::V1 { .. } => VERSION_V1,
            ProofBody::V2 { .. } => VERSION_V2,
        };
        out.push((version << 1) | u8::from(self.pool.contract().is_some()));
        if let Some(contract) = self.pool.contract() {
            contract.stream(out);
        }
        self.plot_public_key.stream(out);
        match self.body {
            ProofBody::V1 { k, .. } => k.stream(out),
            ProofBody::V2 {
                plot_index,
                meta_group,
                strength,
                ..
            } => {
                plot_index.stream(out);
                meta_group.stream(out);
                strength.stream(out);
            }
        }
    }
}

/// Bit 0 of the byte after the pool key says whether a contract follows; the bits above are the version of the proof.
/// Releases that know only v1 read that byte as the prefix of an optional contract.
impl Streamable for ProofOfSpace {
    const MIN_BYTES: usize = 32 + 1 + 1 + 32 + 48 + 1 + 4;

    fn stream(&self, out: &mut Vec<u8>) {
        self.stream_up_to_proof(out);
        match &self.body {
            ProofBody::V1 { proof, .. } | ProofBody::V2 { proof, .. } => proof.stream(out),
        }
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let challenge = PosChallenge::parse(input)?;
        let pool_at = input.at();
        let key = Option::parse(input)?;
        let prefix_at = input.at();
        let prefix = u8::parse(input)?;
        let contract = if prefix & 1 == 1 {
            Some(PuzzleHash::parse(input)?)
        } else {
            None
        };
        let pool = PlotPool::from_fields(key, contract, pool_at)?;
        let plot_public_key = G1Bytes::parse(input)?;
        let body = match prefix >> 1 {
            VERSION_V1 => ProofBody::V1 {
                k: u8::parse(input)?,
                proof: Vec::parse(input)?,
            },
            VERSION_V2 => ProofBody::V2 {
                plot_index: u16::parse(input)?,
                meta_group: u8::parse(input)?,
                strength: u8::parse(input)?,
                proof: Vec::parse(input)?,
            },
            _ => return Err(WireError::UnknownProofVersion { at: prefix_at, prefix }),
        };
        Ok(Self {
            challenge,
            pool,
            plot_public_key,
            body,
        })
    }
}

/// First half of the way to a v2 proof: enough to know the quality, not enough to make a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct PartialProof {
    /// Fragments of the proof.
    pub fragments: [u64; 16],
}

impl PartialProof {
    /// Quality string: sha256(strength ‖ fragments, each little-endian).
    #[must_use]
    pub fn quality_string(&self, strength: u8) -> QualityString {
        let mut hasher = Sha256::new_with_prefix([strength]);
        for fragment in self.fragments {
            hasher.update(fragment.to_le_bytes());
        }
        QualityString(hasher.finalize().into())
    }
}

/// Sixteen numbers without a count.
impl Streamable for PartialProof {
    const MIN_BYTES: usize = 16 * 8;

    fn stream(&self, out: &mut Vec<u8>) {
        for fragment in self.fragments {
            fragment.stream(out);
        }
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut fragments = [0; 16];
        for fragment in &mut fragments {
            *fragment = u64::parse(input)?;
        }
        Ok(Self { fragments })
    }
}

/// Id of a v1 plot: sha256(pool ‖ plot_public_key).
#[must_use]
pub fn plot_id_v1(pool: &PlotPool, plot_public_key: &G1Bytes) -> PlotId {
    PlotId(
        Sha256::new_with_prefix(pool.as_bytes())
            .chain_update(plot_public_key)
            .finalize()
            .into(),
    )
}

/// Group of a v2 plot: sha256(strength ‖ plot_public_key ‖ pool).
#[must_use]
pub fn plot_group_id_v2(strength: u8, plot_public_key: &G1Bytes, pool: &PlotPool) -> PlotGroupId {
    let hasher = Sha256::new_with_prefix([strength])
        .chain_update(plot_public_key)
        .chain_update(pool.as_bytes());
    PlotGroupId(hasher.finalize().into())
}

/// Id of a v2 plot: sha256(group ‖ plot_index ‖ meta_group).
#[must_use]
pub fn plot_id_v2(group: &PlotGroupId, plot_index: u16, meta_group: u8) -> PlotId {
    let hasher = Sha256::new_with_prefix(group)
        .chain_update(plot_index.to_be_bytes())
        .chain_update([meta_group]);
    PlotId(hasher.finalize().into())
}

const VERSION_V1: u8 = 0;
const VERSION_V2: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(pool: PlotPool, body: ProofBody) -> Vec<u8> {
        ProofOfSpace {
            challenge: PosChallenge([1; 32]),
            pool,
            plot_public_key: G1Bytes([2; 48]),
            body,
        }
        .to_bytes()
    }

    fn v1() -> ProofBody {
        ProofBody::V1 {
            k: 32,
            proof: vec![7; 3],
        }
    }

    fn v2() -> ProofBody {
        ProofBody::V2 {
            plot_index: 0x0102,
            meta_group: 3,
            strength: 4,
            proof: vec![7; 3],
        }
    }

    #[test]
    fn prefix_byte_carries_version_and_contract() {
        let key = PlotPool::PublicKey(G1Bytes([3; 48]));
        let contract = PlotPool::Contract(PuzzleHash([4; 32]));
        let prefix_after_key = 32 + 1 + 48;
        assert_eq!(proof(key, v1())[prefix_after_key], 0);
        assert_eq!(proof(key, v2())[prefix_after_key], 2);
        assert_eq!(proof(contract, v1())[33], 1);
        assert_eq!(proof(contract, v2())[33], 3);
    }

    #[test]
    fn plot_with_two_pools_or_none_is_refused_in_both_versions() {
        for body in [v1(), v2()] {
            let good = proof(PlotPool::PublicKey(G1Bytes([3; 48])), body);
            let mut both = good.clone();
            both[81] |= 1;
            both.splice(82..82, [9; 32]);
            assert_eq!(
                ProofOfSpace::from_bytes(&both),
                Err(WireError::PoolKeyAndContract { at: 32 })
            );
            let mut neither = good;
            neither[32] = 0;
            neither.drain(33..81);
            assert_eq!(
                ProofOfSpace::from_bytes(&neither),
                Err(WireError::NoPoolKeyNorContract { at: 32 })
            );
        }
    }

    #[test]
    fn every_other_version_is_refused() {
        let good = proof(PlotPool::Contract(PuzzleHash([4; 32])), v1());
        for prefix in (5..=u8::MAX).step_by(2) {
            let mut bad = good.clone();
            bad[33] = prefix;
            assert_eq!(
                ProofOfSpace::from_bytes(&bad),
                Err(WireError::UnknownProofVersion { at: 33, prefix })
            );
        }
    }
}
