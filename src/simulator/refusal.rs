//! Why the simulated chain takes a message for nothing. A real node would write a line into its own log; here the
//! farmer's side can see it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ChallengeHash, QualityString, RewardChainSp, SpHash};
use crate::pos::ProofError;
use crate::units::Height;
use crate::wire::G1Bytes;

/// Why a declared proof of space makes no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeclareRefused {
    /// No signage point of the last three sub-slots.
    #[error("signage point {sp_hash} is not one of this chain, or older than three sub-slots")]
    UnknownSignagePoint {
        /// As declared.
        sp_hash: SpHash,
    },
    /// The signage point has another index.
    #[error("the signage point has index {expected}, got {got}")]
    WrongIndex {
        /// As announced.
        expected: u8,
        /// As declared.
        got: u8,
    },
    /// The signage point belongs to another sub-slot.
    #[error("the signage point belongs to challenge {expected}, got {got}")]
    WrongChallenge {
        /// As announced.
        expected: ChallengeHash,
        /// As declared.
        got: ChallengeHash,
    },
    /// The reward chain's half of the signage point is another one.
    #[error("the signage point in the reward chain is {expected}, got {got}")]
    WrongRewardChainSp {
        /// As announced.
        expected: RewardChainSp,
        /// As declared.
        got: RewardChainSp,
    },
    /// The infusion point of the block has passed.
    #[error("the infusion point of signage point {signage_point_index} has passed")]
    TooLate {
        /// Index of the signage point.
        signage_point_index: u8,
    },
    /// The proof does not answer the signage point.
    #[error("invalid proof of space: {0}")]
    InvalidProof(#[from] ProofError),
    /// A valid proof that wins nothing.
    #[error("the proof needs {required_iters} iterations, a block must need less than {sp_interval_iters}")]
    NotGoodEnough {
        /// Iterations it needs.
        required_iters: u64,
        /// First number that is too many.
        sp_interval_iters: u64,
    },
    /// The same proof has won its block already.
    #[error("the proof with quality {quality_string} has won its block already")]
    AlreadyWon {
        /// Quality string of the proof.
        quality_string: QualityString,
    },
    /// The key of the proof is no point on the curve.
    #[error("plot public key {got} is not a public key")]
    InvalidPlotPublicKey {
        /// As declared.
        got: G1Bytes,
    },
    /// A signature that does not verify under the plot public key.
    #[error("the signature of the {what} is not one of the plot public key")]
    WrongSignature {
        /// What should have been signed.
        what: PlotSigned,
    },
    /// Plots with a pool key say who gets the pool share, signed by that key.
    #[error("pool target or its signature is missing, and the plot has a pool public key")]
    PoolTargetMissing,
    /// The pool target has a last height, which has passed.
    #[error("the pool target was valid up to height {max_height}, the block has height {height}")]
    PoolTargetExpired {
        /// Last height of the target.
        max_height: Height,
        /// Height of the block.
        height: Height,
    },
    /// The signature of the pool target does not verify under the pool public key.
    #[error("the signature of the pool target is not one of the pool public key")]
    WrongPoolSignature,
    /// Plots of a contract pay the contract and nobody else.
    #[error("the plot belongs to a pool contract, so there can be no pool target and no signature of one")]
    PoolTargetOfContractPlot,
    /// Too many blocks wait for their signatures.
    #[error("{limit} blocks wait for signatures already")]
    TooManyPending {
        /// As many as may wait.
        limit: usize,
    },
}

impl DeclareRefused {
    /// What it is counted under.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        match self {
            Self::UnknownSignagePoint { .. } => RefusalReason::UnknownSignagePoint,
            Self::WrongIndex { .. } | Self::WrongChallenge { .. } | Self::WrongRewardChainSp { .. } => {
                RefusalReason::SignagePointMismatch
            }
            Self::TooLate { .. } => RefusalReason::TooLate,
            Self::InvalidProof(_) => RefusalReason::InvalidProof,
            Self::NotGoodEnough { .. } => RefusalReason::NotGoodEnough,
            Self::AlreadyWon { .. } => RefusalReason::AlreadyWon,
            Self::InvalidPlotPublicKey { .. } | Self::WrongSignature { .. } => RefusalReason::WrongSignature,
            Self::PoolTargetMissing
            | Self::PoolTargetExpired { .. }
            | Self::WrongPoolSignature
            | Self::PoolTargetOfContractPlot => RefusalReason::WrongPoolTarget,
            Self::TooManyPending { .. } => RefusalReason::TooManyPending,
        }
    }
}

/// Why signed values complete no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedValuesRefused {
    /// No block waits for them: never asked for, signed before, or too late.
    #[error("no block with quality {quality_string} waits for signatures: never asked for, signed before, or too late")]
    NotAskedFor {
        /// Quality string of the proof.
        quality_string: QualityString,
    },
    /// A signature that does not verify under the plot public key.
    #[error("the signature of the {what} is not one of the plot public key")]
    WrongSignature {
        /// What should have been signed.
        what: PlotSigned,
    },
}

impl SignedValuesRefused {
    /// What it is counted under.
    #[must_use]
    pub const fn reason(&self) -> RefusalReason {
        match self {
            Self::NotAskedFor { .. } => RefusalReason::NotAskedFor,
            Self::WrongSignature { .. } => RefusalReason::WrongFoliageSignature,
        }
    }
}

/// What a plot key signs on the way to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotSigned {
    /// `challenge_chain_sp`.
    ChallengeChainSp,
    /// `reward_chain_sp`.
    RewardChainSp,
    /// Hash of the foliage block data.
    FoliageBlockData,
    /// Hash of the foliage transaction block, or zeros.
    FoliageTransactionBlock,
}

impl fmt::Display for PlotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChallengeChainSp => "challenge chain signage point",
            Self::RewardChainSp => "reward chain signage point",
            Self::FoliageBlockData => "foliage block data",
            Self::FoliageTransactionBlock => "foliage transaction block",
        })
    }
}

/// Refusals as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// A signage point that is not known, or no longer.
    UnknownSignagePoint,
    /// Index, challenge or reward chain signage point do not belong together.
    SignagePointMismatch,
    /// After the infusion point.
    TooLate,
    /// No valid proof of space.
    InvalidProof,
    /// Valid, but too many iterations.
    NotGoodEnough,
    /// Won before.
    AlreadyWon,
    /// Plot signature of a signage point missing or wrong.
    WrongSignature,
    /// Pool target or its signature missing, wrong, or not allowed.
    WrongPoolTarget,
    /// Too many blocks wait for signatures.
    TooManyPending,
    /// Signed values that nothing waits for.
    NotAskedFor,
    /// Plot signature of a foliage hash wrong.
    WrongFoliageSignature,
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownSignagePoint => "unknown signage point",
            Self::SignagePointMismatch => "index, challenge or reward chain of another signage point",
            Self::TooLate => "too late",
            Self::InvalidProof => "invalid proof of space",
            Self::NotGoodEnough => "too many iterations",
            Self::AlreadyWon => "won before",
            Self::WrongSignature => "wrong plot signature",
            Self::WrongPoolTarget => "wrong pool target",
            Self::TooManyPending => "too many blocks without signatures",
            Self::NotAskedFor => "signatures not asked for",
            Self::WrongFoliageSignature => "wrong foliage signature",
        })
    }
}
