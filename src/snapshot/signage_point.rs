//! Signage points and who answered them: the sub-slot strip, the rows of "Last Attempted Proofs", the roll-call.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::peer::HarvesterId;
use crate::ids::{ChallengeHash, SpHash};

/// A signage point as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignagePointView {
    /// Index in its sub-slot, 0 to 63.
    pub signage_point_index: u8,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Hash of the challenge-chain signage point.
    pub sp_hash: SpHash,
    /// Arrival, unix milliseconds.
    pub received_at_unix_ms: u64,
    /// Peak height it was made at.
    pub peak_height: u32,
    /// Difficulty of the chain.
    pub difficulty: u64,
    /// VDF iterations of the sub-slot.
    pub sub_slot_iters: u64,
}

/// One cell of the sub-slot strip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubSlotCell {
    /// Not yet there.
    #[default]
    Ahead,
    /// Arrived; answers still coming in.
    Seen,
    /// Every challenged harvester answered in time.
    Answered,
    /// Somebody answered late or not at all.
    Late,
    /// The node never sent it.
    Missed,
}

/// Signage points received and missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignagePointCounts {
    /// Received since start.
    pub received: u64,
    /// Received again from another node and handled once.
    pub duplicates: u64,
    /// Missed since start.
    pub missed: u64,
    /// Received in the last 24 hours.
    pub received_24h: u64,
    /// Missed in the last 24 hours.
    pub missed_24h: u64,
    /// Received since start with an index that no sub-slot has, and not farmed.
    #[serde(default, skip_serializing_if = "is_none")]
    pub impossible: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// One answer (or its absence): one row of "Last Attempted Proofs".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Arrival of the answer, or the deadline that passed, unix milliseconds.
    pub at_unix_ms: u64,
    /// Who.
    pub harvester: HarvesterId,
    /// Its name at that time.
    pub harvester_name: Arc<str>,
    /// Index of the signage point.
    pub signage_point_index: u8,
    /// Signage point.
    pub sp_hash: SpHash,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// What came.
    pub outcome: AttemptOutcome,
}

/// What came of one signage point at one harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum AttemptOutcome {
    /// It answered.
    Answered {
        /// Plots that passed the filter.
        passed: u32,
        /// Plots it has.
        total: u32,
        /// Proofs above the difficulty.
        proofs: u32,
        /// Look-up time it reports, milliseconds.
        lookup_ms: u32,
        /// From our sending to its answer, milliseconds.
        round_trip_ms: u32,
    },
    /// It did not answer by the deadline.
    NoAnswer {
        /// Plots it had when it was asked.
        total: u32,
        /// Seconds waited: 8 for the warning, 25 when given up.
        after_s: u32,
    },
}

/// Who answered one signage point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollCallView {
    /// Arrival at the farmer, unix milliseconds.
    pub at_unix_ms: u64,
    /// Index in the sub-slot.
    pub signage_point_index: u8,
    /// Signage point.
    pub sp_hash: SpHash,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Harvesters it was sent to.
    pub asked: u32,
    /// Of those, answered within 8 s.
    pub in_time: u32,
    /// Answered after 8 s.
    pub late: u32,
    /// Plots of the harvesters that answered.
    pub plots: u64,
    /// Plots that passed the filter.
    pub passed: u64,
    /// Proofs found.
    pub proofs: u64,
    /// Names of up to eight harvesters that have not answered.
    pub waiting_for: Vec<String>,
}
