//! The answers of all harvesters side by side: of each signage point who has answered, and the last answers of all.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::asks::Answer;
use super::clock_set::ClockSet;
use crate::clock::Now;
use crate::ids::{ChallengeHash, SpHash};
use crate::snapshot::{ATTEMPTS_KEPT, AttemptOutcome, AttemptView, HarvesterId, ROLL_CALL_KEPT, SubSlotCell};
use crate::units::SIGNAGE_POINTS_PER_SUB_SLOT;
use crate::wire::{FarmingInfo, NewSignagePoint};

/// Of each signage point, who has answered; newest last.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct RollCall {
    entries: VecDeque<RollCallEntry>,
}

/// Who has answered one signage point.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct RollCallEntry {
    /// When it came, unix milliseconds.
    pub(super) at_unix_ms: u64,
    /// Signage point.
    pub(super) sp_hash: SpHash,
    /// Challenge of its sub-slot.
    pub(super) challenge_hash: ChallengeHash,
    /// Index in the sub-slot.
    pub(super) index: u8,
    /// Harvesters it was sent to.
    pub(super) asked: u32,
    /// Of those, answered in time.
    pub(super) in_time: u32,
    /// Answered late.
    pub(super) late: u32,
    /// Plots of the harvesters that answered.
    pub(super) plots: u64,
    /// Plots that passed the filter.
    pub(super) passed: u64,
    /// Proofs found.
    pub(super) proofs: u64,
    /// Who has not answered.
    pub(super) waiting: BTreeSet<HarvesterId>,
    /// Whether somebody had not answered by [`LATE_AFTER`](super::asks::LATE_AFTER).
    overdue: bool,
}

impl RollCall {
    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        for entry in &mut self.entries {
            set.carry(&mut entry.at_unix_ms);
        }
    }

    /// A new signage point.
    pub(super) fn begin(&mut self, now: Now, message: &NewSignagePoint) {
        if self.entries.len() == ROLL_CALL_KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(RollCallEntry {
            at_unix_ms: now.unix.0,
            sp_hash: message.challenge_chain_sp,
            challenge_hash: message.challenge_hash,
            index: message.signage_point_index,
            asked: 0,
            in_time: 0,
            late: 0,
            plots: 0,
            passed: 0,
            proofs: 0,
            waiting: BTreeSet::new(),
            overdue: false,
        });
    }

    /// A harvester was sent it.
    pub(super) fn handle_sent(&mut self, sp_hash: &SpHash, harvester: HarvesterId) {
        if let Some(entry) = self.entry(sp_hash)
            && entry.waiting.insert(harvester)
        {
            entry.asked += 1;
        }
    }

    /// A harvester has answered.
    pub(super) fn handle_answer(&mut self, harvester: HarvesterId, answer: &Answer, info: &FarmingInfo) {
        let Some(entry) = self.entry(&info.sp_hash) else { return };
        if !entry.waiting.remove(&harvester) {
            return;
        }
        if answer.is_late() {
            entry.late += 1;
        } else {
            entry.in_time += 1;
        }
        entry.plots += u64::from(info.total_plots);
        entry.passed += u64::from(info.passed);
        entry.proofs += u64::from(info.proofs);
    }

    /// A harvester has not answered by [`LATE_AFTER`](super::asks::LATE_AFTER).
    pub(super) fn handle_overdue(&mut self, sp_hash: &SpHash) {
        if let Some(entry) = self.entry(sp_hash) {
            entry.overdue = true;
        }
    }

    /// Whether somebody had not answered by [`LATE_AFTER`](super::asks::LATE_AFTER); also where that is not known any more.
    pub(super) fn is_overdue(&self, sp_hash: &SpHash) -> bool {
        let mut entries = self.entries();
        entries
            .find(|entry| entry.sp_hash == *sp_hash)
            .is_none_or(|entry| entry.overdue)
    }

    /// A harvester turned out to be one that was known.
    pub(super) fn rename(&mut self, from: HarvesterId, to: HarvesterId) {
        for entry in &mut self.entries {
            if entry.waiting.remove(&from) && !entry.waiting.insert(to) {
                entry.asked -= 1;
            }
        }
    }

    /// A harvester is forgotten.
    pub(super) fn forget(&mut self, harvester: HarvesterId) {
        for entry in &mut self.entries {
            entry.waiting.remove(&harvester);
        }
    }

    /// Newest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &RollCallEntry> {
        self.entries.iter().rev()
    }

    /// Cells of a sub-slot, one for each signage point index.
    pub(super) fn cells(&self, challenge_hash: &ChallengeHash, missed: &BTreeSet<u8>) -> Vec<SubSlotCell> {
        let mut cells = vec![SubSlotCell::Ahead; usize::from(SIGNAGE_POINTS_PER_SUB_SLOT)];
        for index in missed {
            if let Some(cell) = cells.get_mut(usize::from(*index)) {
                *cell = SubSlotCell::Missed;
            }
        }
        for entry in self
            .entries
            .iter()
            .filter(|entry| entry.challenge_hash == *challenge_hash)
        {
            if let Some(cell) = cells.get_mut(usize::from(entry.index)) {
                *cell = entry.cell();
            }
        }
        cells
    }

    fn entry(&mut self, sp_hash: &SpHash) -> Option<&mut RollCallEntry> {
        self.entries.iter_mut().rev().find(|entry| entry.sp_hash == *sp_hash)
    }
}

impl RollCallEntry {
    const fn cell(&self) -> SubSlotCell {
        if self.late > 0 || self.overdue {
            SubSlotCell::Late
        } else if self.asked > 0 && self.in_time == self.asked {
            SubSlotCell::Answered
        } else {
            SubSlotCell::Seen
        }
    }
}

/// The last answers of all harvesters, newest first: "Last Attempted Proofs".
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Attempts {
    rows: VecDeque<AttemptView>,
}

impl Attempts {
    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        for row in &mut self.rows {
            set.carry(&mut row.at_unix_ms);
        }
    }

    /// An answer came, or a deadline passed. A missing answer has one row, which changes until it comes.
    pub(super) fn record(&mut self, attempt: AttemptView) {
        let is_open = |row: &AttemptView| {
            row.harvester == attempt.harvester
                && row.sp_hash == attempt.sp_hash
                && matches!(row.outcome, AttemptOutcome::NoAnswer { .. })
        };
        if let Some(place) = self.rows.iter().position(is_open) {
            if matches!(attempt.outcome, AttemptOutcome::NoAnswer { .. }) {
                self.rows[place] = attempt;
                return;
            }
            self.rows.remove(place);
        }
        self.add(attempt);
    }

    /// An answer came that was not missing before.
    pub(super) fn add(&mut self, attempt: AttemptView) {
        self.rows.truncate(ATTEMPTS_KEPT - 1);
        self.rows.push_front(attempt);
    }

    /// A harvester turned out to be one that was known.
    pub(super) fn rename(&mut self, from: HarvesterId, to: HarvesterId, name: &Arc<str>) {
        for row in self.rows.iter_mut().filter(|row| row.harvester == from) {
            row.harvester = to;
            row.harvester_name = Arc::clone(name);
        }
    }

    /// Newest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &AttemptView> {
        self.rows.iter()
    }
}
