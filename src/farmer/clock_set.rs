//! The wall clock of this machine was set: a board without a clock of its own starts in 1970 and is told the time by the
//! network a minute later, or a person puts it right.
//!
//! Timers follow the monotonic clock and take no notice. What is shown is a time of the wall clock: those of this run are
//! carried along, so that ages stay what they are. Times of earlier runs were told by a clock that nobody can judge any
//! more, and stay.

use std::ops::RangeInclusive;

use super::Farmer;
use crate::clock::{Now, UnixMillis};

/// By how much the clock was set, and which times are to be carried along.
#[derive(Clone, Debug)]
pub(super) struct ClockSet {
    /// This run by the clock as it was, unix milliseconds.
    run: RangeInclusive<u64>,
    by_ms: i64,
}

impl ClockSet {
    /// Whether a time was told by the clock as it was, in this run.
    pub(super) fn concerns(&self, unix_ms: u64) -> bool {
        self.run.contains(&unix_ms)
    }

    /// The first moment of these that was told by the clock as it was, in this run; by the clock as it is.
    pub(super) fn first_of(&self, unix_ms: RangeInclusive<u64>) -> Option<u64> {
        let first = *unix_ms.start().max(self.run.start());
        (first <= *unix_ms.end() && first <= *self.run.end()).then(|| self.apply(first))
    }

    /// A moment that the clock as it was called `unix_ms`, by the clock as it is.
    pub(super) const fn apply(&self, unix_ms: u64) -> u64 {
        unix_ms.saturating_add_signed(self.by_ms)
    }

    /// Carries a time along.
    pub(super) fn carry(&self, unix_ms: &mut u64) {
        if self.concerns(*unix_ms) {
            *unix_ms = self.apply(*unix_ms);
        }
    }

    /// Carries a time along.
    pub(super) fn carry_unix(&self, at: &mut UnixMillis) {
        self.carry(&mut at.0);
    }
}

impl Farmer {
    /// The wall clock is ahead by so many milliseconds of what it would have said had nobody set it. `now` is by the clock
    /// as it is.
    pub(super) fn handle_clock_set(&mut self, now: Now, by_ms: i64) {
        let set = ClockSet {
            run: self.started.unix.0..=now.unix.0.saturating_add_signed(by_ms.saturating_neg()),
            by_ms,
        };
        set.carry_unix(&mut self.started.unix);
        for node in self.nodes.values_mut() {
            node.carry_times(&set);
        }
        self.signage_points.carry_times(&set);
        self.roll_call.carry_times(&set);
        self.attempts.carry_times(&set);
        for (_, slot) in self.harvesters.all_mut() {
            slot.carry_times(&set);
        }
        self.pools.carry_times(&set);
        self.alarms.carry_times(&set);
        if let Some(at) = &mut self.wins.last_block_unix_ms {
            set.carry(at);
        }
        self.luck.carry_times(now, &set);
        self.keep_alarm_memory(now);
        self.set_alarm_timer(now);
        self.keep_record(now);
    }
}
