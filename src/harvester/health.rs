//! Whether a volume answers: what counts against it, and when it is tried again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Mono, Now, UnixMillis};

/// What is held against one volume.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Look-ups that hung, since the last one that did not.
    misses: u32,
    /// The last failures to read since it was last read well, oldest first.
    failures: VecDeque<Mono>,
    sick: Option<Sickness>,
}

#[derive(Debug)]
struct Sickness {
    since: Now,
    next_probe: Mono,
    pause: Duration,
}

/// How much of the work for a signage point a volume gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All of it.
    All,
    /// One look-up, to see whether it answers.
    Probe,
    /// None.
    Nothing,
}

/// A change that a person should be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From now on it gets no work.
    Hangs,
    /// From now on it gets no work.
    Fails,
    /// It answers again, after this time.
    IsBack(Duration),
}

impl Health {
    /// A signage point has work for the volume.
    pub(super) fn admit(&mut self, now: Mono) -> Share {
        match &mut self.sick {
            None => Share::All,
            Some(sick) if now >= sick.next_probe => {
                sick.next_probe = now + sick.pause;
                sick.pause = (sick.pause * 2).min(LONGEST_PAUSE);
                Share::Probe
            }
            Some(_) => Share::Nothing,
        }
    }

    /// A look-up came to its end; the volume need not have been at fault if it failed.
    pub(super) fn handle_answer(&mut self, now: Now) -> Option<Change> {
        self.misses = 0;
        let sick = self.sick.take()?;
        self.failures.clear();
        Some(Change::IsBack(now.mono.since(sick.since.mono)))
    }

    /// The volume was read well: what failed before was the fault of some places on it.
    pub(super) fn handle_read(&mut self) {
        self.failures.clear();
    }

    /// A look-up that hung has come back after all: worth a probe at once.
    pub(super) fn handle_return(&mut self, now: Mono) {
        if let Some(sick) = &mut self.sick {
            sick.next_probe = now;
        }
    }

    /// The volume could not be read.
    pub(super) fn handle_failure(&mut self, now: Now) -> Option<Change> {
        self.failures.push_back(now.mono);
        self.failures.retain(|at| now.mono.since(*at) < FAILURES_WITHIN);
        if self.failures.len() > MAX_FAILURES {
            self.failures.pop_front();
        }
        (self.failures.len() >= MAX_FAILURES && self.fall_sick(now)).then_some(Change::Fails)
    }

    /// A look-up has been waiting for the volume for too long.
    pub(super) fn handle_miss(&mut self, now: Now) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        (self.misses >= MAX_MISSES && self.fall_sick(now)).then_some(Change::Hangs)
    }

    /// Since when it gets no work, if so.
    pub(super) fn sick_since(&self) -> Option<UnixMillis> {
        self.sick.as_ref().map(|sick| sick.since.unix)
    }

    /// Whether it was well before.
    fn fall_sick(&mut self, now: Now) -> bool {
        let was_well = self.sick.is_none();
        self.sick.get_or_insert(Sickness {
            since: now,
            next_probe: now.mono,
            pause: FIRST_PAUSE,
        });
        was_well
    }
}

/// Look-ups in a row that hang.
const MAX_MISSES: u32 = 2;

/// Failures to read within [`FAILURES_WITHIN`], with nothing read well between them.
pub(super) const MAX_FAILURES: usize = 3;

/// See [`MAX_FAILURES`].
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// Time between the first two probes; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(8);

/// A volume that is back is noticed after this time at the latest, when there is work for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(seconds * 1_000_000),
            unix: UnixMillis(seconds * 1000),
        }
    }

    #[test]
    fn three_failures_within_a_minute_are_a_sickness_and_three_in_two_are_not() {
        let mut health = Health::default();
        for seconds in [0, 50, 100, 150, 200] {
            assert_eq!(health.handle_failure(at(seconds)), None);
        }
        assert_eq!(health.handle_failure(at(201)), Some(Change::Fails));
        assert_eq!(health.handle_failure(at(202)), None, "told once");
        assert_eq!(health.sick_since(), Some(UnixMillis(201_000)));
        assert_eq!(
            health.handle_answer(at(211)),
            Some(Change::IsBack(Duration::from_secs(10)))
        );
        assert_eq!(health.handle_failure(at(212)), None, "what was before is forgiven");
    }

    #[test]
    fn two_look_ups_that_hang_in_a_row_are_a_sickness() {
        let mut health = Health::default();
        assert_eq!(health.handle_miss(at(25)), None);
        assert_eq!(health.handle_answer(at(30)), None);
        assert_eq!(health.handle_miss(at(60)), None);
        assert_eq!(health.handle_miss(at(61)), Some(Change::Hangs));
    }

    #[test]
    fn a_sick_volume_is_tried_at_the_next_signage_point_and_then_ever_more_seldom() {
        let mut health = Health::default();
        health.handle_miss(at(0));
        health.handle_miss(at(0));
        let probes = (1..300).filter(|second| health.admit(at(*second).mono) == Share::Probe);
        assert_eq!(probes.collect::<Vec<_>>(), [1, 9, 25, 57, 117, 177, 237, 297]);
        health.handle_answer(at(300));
        assert_eq!(health.admit(at(301).mono), Share::All);
    }
}
