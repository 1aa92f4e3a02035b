//! When the farmer wants to be woken.

use std::collections::BTreeMap;

use super::numbers::{BlockNumber, PartialNumber, ProofNumber};
use crate::clock::Mono;
use crate::ids::{NodeId, PuzzleHash, SessionId};
use crate::snapshot::HarvesterId;

/// One reason to wake up. Each is set at most once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Timer {
    /// No signage point came for too long from this node; `None` while no node is known at all.
    NoSignagePoint(Option<NodeId>),
    /// Signage points that were skipped did not come late either.
    Missed,
    /// The oldest signage point this harvester has not answered reaches its next deadline.
    Answers(HarvesterId),
    /// The older of two connections with one certificate has not shown that it lives.
    Doubt(SessionId),
    /// A harvester that went has not come back.
    Absent(HarvesterId),
    /// The first plot sync of a connection has not moved.
    PlotSync(SessionId),
    /// Plots that a harvester had in an earlier run have not turned up elsewhere.
    MissingPlots(HarvesterId),
    /// A harvester has not listed its plots.
    CrossCheck(SessionId),
    /// The present step in the life of a proof takes too long.
    Proof(ProofNumber),
    /// A block cannot be signed in time.
    Block(BlockNumber),
    /// The pool of this contract is to be asked something.
    Pool(PuzzleHash),
    /// A partial cannot reach its pool in time any more.
    Partial(PartialNumber),
    /// Plots without a plotNFT have been so for long enough to tell of it.
    UnlistedPlots,
    /// An alarm about something past is old enough to close.
    Alarms,
    /// Eligible plots are to be counted on.
    Count,
}

/// All timers that are set. Of those that are due at one moment the one that was set first comes first, whatever it is
/// about: ids decide nothing.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(from = "Vec<(Mono, Timer)>", into = "Vec<(Mono, Timer)>")]
pub(super) struct Timers {
    at: BTreeMap<Timer, (Mono, u64)>,
    queue: BTreeMap<(Mono, u64), Timer>,
    /// Timers set so far.
    set: u64,
}

impl Timers {
    /// Sets a timer, instead of what it was set to.
    pub(super) fn set(&mut self, timer: Timer, at: Mono) {
        self.set += 1;
        let place = (at, self.set);
        if let Some(before) = self.at.insert(timer, place) {
            self.queue.remove(&before);
        }
        self.queue.insert(place, timer);
    }

    /// Stops a timer, if it is set.
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(place) = self.at.remove(&timer) {
            self.queue.remove(&place);
        }
    }

    /// Sets or stops a timer.
    pub(super) fn put(&mut self, timer: Timer, at: Option<Mono>) {
        match at {
            Some(at) => self.set(timer, at),
            None => self.clear(timer),
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out all that are due, in order of time.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some(first) = self.queue.first_entry()
            && first.key().0 <= now
        {
            let timer = first.remove();
            self.at.remove(&timer);
            due.push(timer);
        }
        due
    }

    /// How many are set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }
}

impl From<Vec<(Mono, Timer)>> for Timers {
    fn from(queue: Vec<(Mono, Timer)>) -> Self {
        let mut timers = Self::default();
        for (at, timer) in queue {
            timers.set(timer, at);
        }
        timers
    }
}

impl From<Timers> for Vec<(Mono, Timer)> {
    fn from(timers: Timers) -> Self {
        let entry = |((at, _), timer)| (at, timer);
        timers.queue.into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_set_again_counts_once_at_its_new_time() {
        let mut timers = Timers::default();
        timers.set(Timer::Missed, Mono(10));
        timers.set(Timer::Missed, Mono(20));
        timers.set(Timer::Alarms, Mono(15));
        assert_eq!(timers.take_due(Mono(10)), []);
        assert_eq!(timers.next(), Some(Mono(15)));
        assert_eq!(timers.take_due(Mono(20)), [Timer::Alarms, Timer::Missed]);
        assert_eq!((timers.next(), timers.len()), (None, 0));
    }

    #[test]
    fn timers_of_one_moment_are_due_in_the_order_in_which_they_were_set() {
        let mut timers = Timers::default();
        let pool = |n| Timer::Pool(PuzzleHash([n; 32]));
        for timer in [pool(2), pool(1), pool(3), pool(2)] {
            timers.set(timer, Mono(10));
        }
        let mut told: Timers = Vec::from(timers.clone()).into();
        let order = [pool(1), pool(3), pool(2)];
        assert_eq!(
            (timers.take_due(Mono(10)), told.take_due(Mono(10))),
            (order.into(), order.into())
        );
    }

    #[test]
    fn stopped_timer_is_never_due() {
        let mut timers = Timers::default();
        timers.put(Timer::Missed, Some(Mono(10)));
        timers.put(Timer::Missed, None);
        assert_eq!(timers.take_due(Mono(u64::MAX)), []);
    }
}
