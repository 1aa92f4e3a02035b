//! Proofs and their lives, from found to a block.

use serde::{Deserialize, Serialize};

use crate::ids::{PlotId, QualityString};

/// One proof and its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// Number of the proof since start.
    pub number: u64,
    /// Arrival from the harvester, unix milliseconds.
    pub found_at_unix_ms: u64,
    /// Who found it.
    pub harvester_name: String,
    /// Plot.
    pub plot_id: PlotId,
    /// File, as the harvester calls it.
    pub plot_file: String,
    /// Signage point index.
    pub signage_point_index: u8,
    /// Quality, once verified.
    pub quality: Option<QualityString>,
    /// How far it got.
    pub stage: ProofStage,
    /// Milliseconds from the arrival of its signage point to found.
    #[serde(default)]
    pub found_after_ms: Option<u32>,
    /// Milliseconds from found to verified, once there.
    pub verified_after_ms: Option<u32>,
    /// Milliseconds from found to signed (signage point signatures complete).
    pub signed_after_ms: Option<u32>,
    /// Milliseconds from found to declared to the node.
    pub declared_after_ms: Option<u32>,
    /// Milliseconds from found to a node asking for block signatures.
    #[serde(default)]
    pub block_asked_after_ms: Option<u32>,
    /// Milliseconds from found to the block signatures sent.
    pub block_signed_after_ms: Option<u32>,
}

/// How far a proof got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ProofStage {
    /// Being verified.
    Found,
    /// Valid, but not good enough for a block.
    NotGoodEnough,
    /// Failed verification.
    Invalid {
        /// Why, as a fragment.
        reason: String,
    },
    /// Valid and good enough; signatures were asked for.
    Verified,
    /// Signed and declared to the node.
    Declared,
    /// The node asked for block signatures and got them.
    BlockSigned,
    /// The chain accepted the block (only the simulated chain says so).
    BlockAccepted {
        /// Height.
        height: u32,
    },
    /// Lost on the way.
    Lost {
        /// Where and why, as a sentence.
        reason: String,
    },
}

/// Proofs and blocks since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinCounts {
    /// Proofs received.
    pub proofs: u64,
    /// Failed verification.
    pub invalid: u64,
    /// Valid, below what a block needs.
    pub not_good_enough: u64,
    /// Declared to a node.
    pub declared: u64,
    /// Block signatures sent to a node.
    pub blocks_signed: u64,
    /// Accepted by the chain, as far as it says so.
    pub blocks_accepted: u64,
    /// Lost between verification and the node.
    pub lost: u64,
    /// Last block signed, unix milliseconds.
    pub last_block_unix_ms: Option<u64>,
}
