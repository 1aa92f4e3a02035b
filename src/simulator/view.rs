//! What can be seen of a simulated chain.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::ids::{Bytes32, ChallengeHash, PlotId, PuzzleHash, QualityString, SpHash};
use crate::simulator::RefusalReason;
use crate::units::Height;

/// What a person may want to know about a simulated chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatorView {
    /// Name of the network.
    pub network: String,
    /// Decides all signage points.
    pub seed: u64,
    /// Time between two signage points.
    pub interval: Duration,
    /// Height of the last block.
    pub peak_height: Height,
    /// Height of the last transaction block.
    pub last_tx_height: Height,
    /// Signage points given so far.
    pub signage_points: u64,
    /// Declarations received, good and bad.
    pub declared: u64,
    /// Declarations and signed values refused, by reason.
    pub refused: BTreeMap<RefusalReason, u64>,
    /// Blocks that wait for their signatures.
    pub pending: usize,
    /// Blocks whose signatures had not come, or not the right ones, when the infusion point passed.
    pub never_signed: u64,
    /// Blocks won.
    pub blocks_won: u64,
    /// The last of them.
    pub last_block: Option<WonBlock>,
}

/// A block of the simulated chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WonBlock {
    /// Its height.
    pub height: Height,
    /// Stands for the hash of the header.
    pub header_hash: Bytes32,
    /// Whether it is a transaction block.
    pub is_transaction_block: bool,
    /// Quality string of its proof.
    pub quality_string: QualityString,
    /// Plot that won it.
    pub plot_id: PlotId,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Signage point in the challenge chain.
    pub sp_hash: SpHash,
    /// 0 to 63.
    pub signage_point_index: u8,
    /// Iterations the proof needed.
    pub required_iters: u64,
    /// Who gets the farmer share.
    pub farmer_puzzle_hash: PuzzleHash,
    /// Who gets the pool share.
    pub pool_puzzle_hash: PuzzleHash,
    /// When it was signed.
    pub at: Now,
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) signage_points: u64,
    pub(super) declared: u64,
    pub(super) refused: BTreeMap<RefusalReason, u64>,
    pub(super) never_signed: u64,
    pub(super) blocks_won: u64,
}

impl Counts {
    pub(super) fn refuse(&mut self, reason: RefusalReason) {
        *self.refused.entry(reason).or_default() += 1;
    }
}
