//! What one harvester was asked and what it answered: the one measure of whether it farms.
//!
//! An open connection proves nothing. A harvester is asked, it answers within 8 s or it is late, and after 25 s, when its
//! answer could not become a block any more, it is given up for that signage point.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock_set::ClockSet;
use crate::clock::{Mono, Now};
use crate::ids::{ChallengeHash, SpHash};
use crate::snapshot::{LastAnswerView, ROLL_CALL_KEPT};
use crate::wire::{FarmingInfo, NewSignagePoint};

/// Signage points one harvester was asked, across its connections; newest last.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Asks {
    asks: VecDeque<Ask>,
    unanswered_in_a_row: u64,
    silent_since: Option<Mono>,
    last_answer: Option<LastAnswerView>,
    /// Answers in time since the last late one.
    in_time_since_late: Option<u64>,
    counts: AskCounts,
}

/// Totals since the farmer started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct AskCounts {
    /// Signage points sent.
    pub(super) challenged: u64,
    /// Answers that came.
    pub(super) answered: u64,
    /// Of those, later than [`LATE_AFTER`].
    pub(super) answered_late: u64,
    /// Given up.
    pub(super) unanswered: u64,
    /// Never sent, because the harvester did not take them.
    pub(super) dropped: u64,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Ask {
    sp_hash: SpHash,
    challenge_hash: ChallengeHash,
    index: u8,
    sent: Mono,
    plots: u32,
    state: AskState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum AskState {
    Waiting,
    /// Not answered after [`LATE_AFTER`].
    Overdue,
    Answered {
        lookup_ms: u32,
        round_trip: Duration,
    },
    GivenUp,
    Dropped,
}

/// An answer and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Index of the signage point.
    pub(super) index: u8,
    /// As the harvester reports.
    pub(super) lookup_ms: u32,
    /// From our sending to its answer.
    pub(super) round_trip: Duration,
}

/// A deadline that passed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expired {
    /// Signage point.
    pub(super) sp_hash: SpHash,
    /// Challenge of its sub-slot.
    pub(super) challenge_hash: ChallengeHash,
    /// Index of the signage point.
    pub(super) index: u8,
    /// Plots the harvester had when it was asked.
    pub(super) plots: u32,
    /// Which deadline.
    pub(super) deadline: Duration,
}

impl Asks {
    /// It was sent a signage point.
    pub(super) fn handle_sent(&mut self, now: Mono, message: &NewSignagePoint, plots: u32) {
        if self.asks.len() == ROLL_CALL_KEPT
            && let Some(oldest) = self.asks.pop_front()
            && oldest.is_open()
        {
            self.counts.unanswered += 1;
        }
        self.counts.challenged += 1;
        self.asks.push_back(Ask {
            sp_hash: message.challenge_chain_sp,
            challenge_hash: message.challenge_hash,
            index: message.signage_point_index,
            sent: now,
            plots,
            state: AskState::Waiting,
        });
    }

    /// It answered. `None` if nobody asked, or it had answered already.
    pub(super) fn handle_answer(&mut self, now: Now, info: &FarmingInfo) -> Option<Answer> {
        let ask = self.asks.iter_mut().rev().find(|ask| {
            ask.sp_hash == info.sp_hash && ask.challenge_hash == info.challenge_hash && !ask.is_answered()
        })?;
        let answer = Answer {
            index: ask.index,
            lookup_ms: u32::try_from(info.lookup_time / 1000).unwrap_or(u32::MAX),
            round_trip: now.mono.since(ask.sent),
        };
        match ask.state {
            AskState::GivenUp => self.counts.unanswered -= 1,
            AskState::Dropped => self.counts.dropped -= 1,
            _ => {}
        }
        ask.state = AskState::Answered {
            lookup_ms: answer.lookup_ms,
            round_trip: answer.round_trip,
        };
        self.counts.answered += 1;
        if answer.is_late() {
            self.counts.answered_late += 1;
            self.in_time_since_late = Some(0);
        } else if let Some(answers) = &mut self.in_time_since_late {
            *answers += 1;
        }
        self.unanswered_in_a_row = 0;
        self.silent_since = None;
        self.last_answer = Some(LastAnswerView {
            at_unix_ms: now.unix.0,
            signage_point_index: answer.index,
            passed: info.passed,
            total: info.total_plots,
            lookup_ms: answer.lookup_ms,
        });
        Some(answer)
    }

    /// A signage point it was to be sent never went out.
    pub(super) fn handle_dropped(&mut self, sp_hash: Option<SpHash>) {
        let mut waiting = self.asks.iter_mut().filter(|ask| ask.is_open());
        let ask = match sp_hash {
            Some(sp_hash) => waiting.find(|ask| ask.sp_hash == sp_hash),
            None => waiting.next(),
        };
        if let Some(ask) = ask {
            ask.state = AskState::Dropped;
            self.counts.dropped += 1;
        }
    }

    /// Its connection is gone: what is open will not be answered.
    pub(super) fn handle_disconnect(&mut self) {
        for ask in self.asks.iter_mut().filter(|ask| ask.is_open()) {
            ask.state = AskState::GivenUp;
            self.counts.unanswered += 1;
        }
        self.unanswered_in_a_row = 0;
        self.silent_since = None;
    }

    /// Moves what a newer connection of the same harvester was asked in here.
    pub(super) fn append(&mut self, newer: Self) {
        for ask in newer.asks {
            if self.asks.len() == ROLL_CALL_KEPT
                && let Some(oldest) = self.asks.pop_front()
                && oldest.is_open()
            {
                self.counts.unanswered += 1;
            }
            self.asks.push_back(ask);
        }
        self.unanswered_in_a_row = newer.unanswered_in_a_row;
        self.silent_since = newer.silent_since;
        if newer.last_answer.is_some() {
            self.last_answer = newer.last_answer;
        }
        if newer.in_time_since_late.is_some() {
            self.in_time_since_late = newer.in_time_since_late;
        }
        self.counts.challenged += newer.counts.challenged;
        self.counts.answered += newer.counts.answered;
        self.counts.answered_late += newer.counts.answered_late;
        self.counts.unanswered += newer.counts.unanswered;
        self.counts.dropped += newer.counts.dropped;
    }

    /// Marks what has passed a deadline.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Expired> {
        let mut expired = Vec::new();
        for ask in &mut self.asks {
            let Some(deadline) = ask.deadline() else { continue };
            if ask.sent + deadline > now {
                continue;
            }
            // Both deadlines have passed when nobody looked for that long.
            let deadline = if ask.sent + GIVEN_UP_AFTER <= now {
                GIVEN_UP_AFTER
            } else {
                deadline
            };
            if ask.state == AskState::Waiting {
                self.unanswered_in_a_row += 1;
                self.silent_since.get_or_insert(ask.sent);
            }
            ask.state = if deadline == GIVEN_UP_AFTER {
                AskState::GivenUp
            } else {
                AskState::Overdue
            };
            self.counts.unanswered += u64::from(deadline == GIVEN_UP_AFTER);
            expired.push(Expired {
                sp_hash: ask.sp_hash,
                challenge_hash: ask.challenge_hash,
                index: ask.index,
                plots: ask.plots,
                deadline,
            });
        }
        expired
    }

    /// When [`Self::expire`] should be called.
    pub(super) fn due(&self) -> Option<Mono> {
        // Hardly ever more than the newest is open, so the rest is not looked at.
        let open = usize::try_from(self.counts.open()).unwrap_or(usize::MAX);
        let deadlines = self
            .asks
            .iter()
            .rev()
            .filter_map(|ask| Some(ask.sent + ask.deadline()?));
        deadlines.take(open).min()
    }

    /// Whether it was asked this signage point and has not been given up, or has answered.
    pub(super) fn is_settled_or_open(&self, sp_hash: &SpHash) -> bool {
        self.asks
            .iter()
            .any(|ask| ask.sp_hash == *sp_hash && (ask.is_open() || ask.is_answered()))
    }

    /// Signage points in a row it has not answered by [`LATE_AFTER`].
    pub(super) const fn unanswered_in_a_row(&self) -> u64 {
        self.unanswered_in_a_row
    }

    /// When the first of those was sent.
    pub(super) const fn silent_since(&self) -> Option<Mono> {
        self.silent_since
    }

    /// Late ones among its last ten answers, and those of them whose look-up took less than half of the time.
    pub(super) fn late_of_last_ten(&self) -> (u64, u64) {
        // An answer in time that comes after a late one is to a newer signage point.
        if self.in_time_since_late.is_none_or(|answers| answers >= 10) {
            return (0, 0);
        }
        let answers = self.asks.iter().rev().filter_map(|ask| match ask.state {
            AskState::Answered { lookup_ms, round_trip } => Some((Duration::from_millis(lookup_ms.into()), round_trip)),
            _ => None,
        });
        let late = answers.take(10).filter(|(_, round_trip)| *round_trip > LATE_AFTER);
        late.fold((0, 0), |(late, on_the_way), (lookup, round_trip)| {
            (late + 1, on_the_way + u64::from(2 * lookup < round_trip))
        })
    }

    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        if let Some(answer) = &mut self.last_answer {
            set.carry(&mut answer.at_unix_ms);
        }
    }

    /// Its newest answer.
    pub(super) const fn last_answer(&self) -> Option<&LastAnswerView> {
        self.last_answer.as_ref()
    }

    /// Totals since the farmer started.
    pub(super) const fn counts(&self) -> &AskCounts {
        &self.counts
    }

    /// Look-up times in the order of asking; `None` where no answer came in time. Those it may still answer in time are
    /// left out.
    pub(super) fn lookups_ms(&self) -> Vec<Option<u32>> {
        let settled = self.asks.iter().filter(|ask| ask.state != AskState::Waiting);
        settled
            .map(|ask| match ask.state {
                AskState::Answered { lookup_ms, .. } => Some(lookup_ms),
                _ => None,
            })
            .collect()
    }

    /// How many are not settled.
    #[cfg(test)]
    pub(super) fn open(&self) -> u64 {
        self.asks.iter().filter(|ask| ask.is_open()).count() as u64
    }
}

impl AskCounts {
    /// Signage points that are not settled.
    pub(super) const fn open(&self) -> u64 {
        self.challenged - self.answered - self.unanswered - self.dropped
    }
}

impl Ask {
    const fn is_open(&self) -> bool {
        matches!(self.state, AskState::Waiting | AskState::Overdue)
    }

    const fn is_answered(&self) -> bool {
        matches!(self.state, AskState::Answered { .. })
    }

    /// The next deadline, counted from sending.
    const fn deadline(&self) -> Option<Duration> {
        match self.state {
            AskState::Waiting => Some(LATE_AFTER),
            AskState::Overdue => Some(GIVEN_UP_AFTER),
            AskState::Answered { .. } | AskState::GivenUp | AskState::Dropped => None,
        }
    }
}

impl Answer {
    /// Whether it came after [`LATE_AFTER`].
    pub(super) fn is_late(&self) -> bool {
        self.round_trip > LATE_AFTER
    }
}

/// Value below which `percent` of the values are; `None` of none.
pub(super) fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied()
}

/// An answer after this is late: official harvesters warn of it.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(8);

/// An answer after this is useless: pools refuse it, and a block needs another few seconds.
pub(super) const GIVEN_UP_AFTER: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=64).collect();
        assert_eq!(
            (
                percentile(&values, 50),
                percentile(&values, 95),
                percentile(&values, 100)
            ),
            (Some(32), Some(61), Some(64))
        );
        assert_eq!((percentile(&[7], 50), percentile(&[], 50)), (Some(7), None));
    }
}
