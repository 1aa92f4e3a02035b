//! Sums over the last 24 hours, in steps of ten minutes, and over the last hour, in steps of one: however many partials
//! there are, they take the same room.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Mono;
use crate::snapshot::{PartialCounts, PartialOutcome};

/// Points and partials of one pool, since start and over the last 24 hours.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Tally {
    since_start: Sums,
    /// Oldest first; each begins at a multiple of [`STEP`].
    steps: VecDeque<(Mono, Sums)>,
}

/// What is added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sums {
    /// Points of partials that were good enough.
    pub(super) found: u64,
    /// Points of partials that the pool has accepted.
    pub(super) acknowledged: u64,
    /// How partials ended.
    pub(super) partials: PartialCounts,
}

impl Tally {
    /// A partial is good enough, and worth so many points.
    pub(super) fn add_found(&mut self, now: Mono, points: u64) {
        self.add(now, |sums| sums.found = sums.found.saturating_add(points));
    }

    /// The pool has accepted a partial worth so many points.
    pub(super) fn add_acknowledged(&mut self, now: Mono, points: u64) {
        self.add(now, |sums| sums.acknowledged = sums.acknowledged.saturating_add(points));
    }

    /// A partial has ended.
    pub(super) fn add_partial(&mut self, now: Mono, outcome: PartialOutcome) {
        self.add(now, |sums| sums.partials.add(outcome));
    }

    /// Since start.
    pub(super) const fn since_start(&self) -> &Sums {
        &self.since_start
    }

    /// Over the last 24 hours.
    pub(super) fn last_day(&self, now: Mono) -> Sums {
        let mut day = Sums::default();
        for (_, sums) in self.steps.iter().filter(|(begin, _)| now.since(*begin) <= DAY) {
            day.found = day.found.saturating_add(sums.found);
            day.acknowledged = day.acknowledged.saturating_add(sums.acknowledged);
            day.partials.add_all(&sums.partials);
        }
        day
    }

    fn add(&mut self, now: Mono, change: impl Fn(&mut Sums)) {
        change(&mut self.since_start);
        while self.steps.front().is_some_and(|(begin, _)| now.since(*begin) > DAY) {
            self.steps.pop_front();
        }
        match self.steps.back_mut() {
            Some((begin, sums)) if now.since(*begin) < STEP => change(sums),
            _ => {
                let mut sums = Sums::default();
                change(&mut sums);
                self.steps.push_back((now, sums));
            }
        }
    }
}

/// Partials of one pool that were lost in the last hour, in steps of a minute.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Losses {
    /// Oldest first.
    steps: VecDeque<(Mono, PartialCounts)>,
}

impl Losses {
    /// One more: how many ended like it.
    pub(super) fn add(&mut self, now: Mono, outcome: PartialOutcome) -> u64 {
        self.steps.retain(|(begin, _)| now.since(*begin) < HOUR);
        match self.steps.back_mut() {
            Some((begin, counts)) if now.since(*begin) < MINUTE => counts.add(outcome),
            _ => {
                let mut counts = PartialCounts::default();
                counts.add(outcome);
                self.steps.push_back((now, counts));
            }
        }
        let each = self.steps.iter().flat_map(|(_, counts)| counts.each());
        each.filter(|(of, _)| *of == outcome).map(|(_, count)| count).sum()
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How exactly 24 hours are taken.
const STEP: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_passes_and_the_total_stays() {
        let start = Mono(7);
        let mut tally = Tally::default();
        for hour in 0..48 {
            let now = start + Duration::from_secs(hour * 3600);
            tally.add_found(now, 10);
            tally.add_partial(now, PartialOutcome::Accepted);
        }
        let now = start + Duration::from_secs(47 * 3600);
        assert_eq!(tally.since_start().found, 480);
        assert_eq!(
            (tally.last_day(now).found, tally.last_day(now).partials.accepted),
            (250, 25)
        );
        assert_eq!(tally.last_day(now + DAY).found, 10);
        assert!(
            tally.steps.len() <= 26,
            "old steps are forgotten: {}",
            tally.steps.len()
        );
    }

    #[test]
    fn losses_are_counted_by_how_each_was_lost_however_many_there_are() {
        let (start, mut losses) = (Mono(7), Losses::default());
        for second in 0..7200 {
            losses.add(start + Duration::from_secs(second), PartialOutcome::Failed);
        }
        let now = start + Duration::from_secs(7200);
        assert_eq!(losses.add(now, PartialOutcome::Stale), 1);
        assert_eq!(losses.add(now, PartialOutcome::Failed), 3541, "to a minute");
        assert!(losses.steps.len() <= 61, "{}", losses.steps.len());
        assert_eq!(losses.add(now + HOUR, PartialOutcome::Failed), 1);
    }
}
