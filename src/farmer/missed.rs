//! Signage points that should have come and did not.
//!
//! The official farmer compares each signage point with the one before, in whole seconds, and guesses at every change of
//! sub-slot. Here the index decides, and time is only asked how many whole sub-slots went by; a gap counts after a
//! moment of grace, because signage points overtake each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::clock::Mono;
use crate::ids::ChallengeHash;
use crate::snapshot::SignagePointCounts;
use crate::units::SIGNAGE_POINTS_PER_SUB_SLOT;

/// Finds gaps in the order of signage points and counts over 24 hours.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Missed {
    /// Time between two signage points, as measured.
    interval: Duration,
    /// Bounds of what is measured.
    configured: Duration,
    furthest: Option<Place>,
    /// Challenges of the sub-slots before the running one, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    over: VecDeque<ChallengeHash>,
    gaps: VecDeque<Gap>,
    /// Those of the running sub-slot that were declared missed.
    of_sub_slot: BTreeSet<u8>,
    counts: SignagePointCounts,
    quarters: BTreeMap<u64, Quarter>,
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
struct Place {
    challenge_hash: ChallengeHash,
    index: u8,
    at: Mono,
}

/// Signage points that were skipped between two that came.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Gap {
    from: Mono,
    to: Mono,
    due: Mono,
    named: BTreeSet<(ChallengeHash, u8)>,
    /// Those of whole sub-slots of which nothing came, so that their challenge is not known.
    unnamed: u64,
}

/// Counts of a quarter of an hour.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Quarter {
    received: u64,
    missed: u64,
}

impl Missed {
    /// Starts without a past: the first signage point has no gap before it.
    pub(super) fn new(interval: Duration) -> Self {
        let configured = interval.max(Duration::from_millis(1));
        Self {
            interval: configured,
            configured,
            furthest: None,
            over: VecDeque::new(),
            gaps: VecDeque::new(),
            of_sub_slot: BTreeSet::new(),
            counts: SignagePointCounts::default(),
            quarters: BTreeMap::new(),
        }
    }

    /// A signage point came that is not a duplicate. `index` is below 64.
    pub(super) fn handle_arrival(&mut self, now: Mono, challenge_hash: ChallengeHash, index: u8) {
        self.counts.received += 1;
        self.quarter(now).received += 1;
        if self
            .gaps
            .iter_mut()
            .any(|gap| gap.named.remove(&(challenge_hash, index)))
        {
            return;
        }
        if self.over.contains(&challenge_hash) {
            return;
        }
        let place = Place {
            challenge_hash,
            index,
            at: now,
        };
        let Some(last) = self.furthest else {
            self.furthest = Some(place);
            return;
        };
        if last.challenge_hash == challenge_hash {
            if index <= last.index {
                return;
            }
            if index == last.index + 1 {
                self.measure(now.since(last.at));
            }
            let named = (last.index + 1..index).map(|index| (challenge_hash, index)).collect();
            self.suspect(now, last.at, named, 0);
        } else {
            self.of_sub_slot.clear();
            if let Some(whole) = self.whole_sub_slots_between(&last, &place) {
                let tail = (last.index + 1..SIGNAGE_POINTS_PER_SUB_SLOT).map(|index| (last.challenge_hash, index));
                let named = tail.chain((0..index).map(|index| (challenge_hash, index))).collect();
                self.suspect(now, last.at, named, whole * u64::from(SIGNAGE_POINTS_PER_SUB_SLOT));
                if self.over.len() == SUB_SLOTS_OVER {
                    self.over.pop_front();
                }
                self.over.push_back(last.challenge_hash);
            }
        }
        self.furthest = Some(place);
    }

    /// A signage point came whose index no sub-slot has.
    pub(super) const fn handle_impossible(&mut self) {
        self.counts.impossible += 1;
    }

    /// A signage point came again.
    pub(super) const fn handle_duplicate(&mut self) {
        self.counts.duplicates += 1;
    }

    /// When [`Self::declare`] should be called.
    pub(super) fn due(&self) -> Option<Mono> {
        self.gaps.front().map(|gap| gap.due)
    }

    /// Counts what was skipped and has not come by now; returns how many.
    pub(super) fn declare(&mut self, now: Mono) -> u64 {
        let mut declared = 0;
        while let Some(gap) = self.gaps.front()
            && gap.due <= now
        {
            let Some(gap) = self.gaps.pop_front() else { break };
            declared += self.declare_gap(&gap);
        }
        declared
    }

    /// Counts since start and over the last 24 hours.
    pub(super) fn counts(&self, now: Mono) -> SignagePointCounts {
        let mut counts = self.counts;
        let first = (quarter_of(now) + 1).saturating_sub(QUARTERS_PER_DAY);
        for (_, quarter) in self.quarters.range(first..) {
            counts.received_24h += quarter.received;
            counts.missed_24h += quarter.missed;
        }
        counts
    }

    /// Indices of the running sub-slot that were declared missed.
    pub(super) const fn of_sub_slot(&self) -> &BTreeSet<u8> {
        &self.of_sub_slot
    }

    /// Time between two signage points, as measured.
    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    /// How many sub-slots went by of which nothing came; `None` when even the ends of these two overlap, which happens
    /// when the chain changes over to another challenge in the middle of a sub-slot.
    fn whole_sub_slots_between(&self, last: &Place, next: &Place) -> Option<u64> {
        let per_sub_slot = f64::from(SIGNAGE_POINTS_PER_SUB_SLOT);
        let by_index =
            f64::from(SIGNAGE_POINTS_PER_SUB_SLOT.saturating_sub(1).saturating_sub(last.index)) + f64::from(next.index);
        let by_time = next.at.since(last.at).as_secs_f64() / self.interval.as_secs_f64() - 1.0;
        let whole = ((by_time - by_index) / per_sub_slot).round();
        if whole < 0.0 {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates"
        )]
        Some(whole.min(MAX_WHOLE_SUB_SLOTS) as u64)
    }

    fn suspect(&mut self, now: Mono, from: Mono, named: BTreeSet<(ChallengeHash, u8)>, unnamed: u64) {
        if named.is_empty() && unnamed == 0 {
            return;
        }
        if self.gaps.len() == MAX_GAPS {
            // Then something is so wrong with this chain that a few seconds of grace do not matter.
            if let Some(last) = self.gaps.back_mut() {
                last.to = now;
                last.unnamed += unnamed + named.len() as u64;
            }
            return;
        }
        self.gaps.push_back(Gap {
            from,
            to: now,
            due: now + GRACE,
            named,
            unnamed,
        });
    }

    fn declare_gap(&mut self, gap: &Gap) -> u64 {
        let missed = gap.named.len() as u64 + gap.unnamed;
        if let Some(furthest) = self.furthest {
            let current = gap
                .named
                .iter()
                .filter(|(challenge, _)| *challenge == furthest.challenge_hash);
            self.of_sub_slot.extend(current.map(|(_, index)| *index));
        }
        self.counts.missed += missed;
        // Spread over the time of the gap, so that a day's worth of gap does not count as of the last minute.
        let (first, last) = (quarter_of(gap.from), quarter_of(gap.to));
        let quarters = last - first + 1;
        for place in (0..quarters)
            .rev()
            .take(usize::try_from(QUARTERS_PER_DAY).unwrap_or(usize::MAX))
        {
            let share = missed / quarters + u64::from(place < missed % quarters);
            self.quarters.entry(first + place).or_default().missed += share;
        }
        missed
    }

    fn measure(&mut self, interval: Duration) {
        let bounded = interval.clamp(self.configured / 4, self.configured * 4);
        self.interval = (self.interval * 7 + bounded) / 8;
    }

    fn quarter(&mut self, now: Mono) -> &mut Quarter {
        let number = quarter_of(now);
        while let Some(oldest) = self.quarters.first_entry()
            && *oldest.key() + QUARTERS_PER_DAY < number
        {
            oldest.remove();
        }
        self.quarters.entry(number).or_default()
    }
}

fn quarter_of(at: Mono) -> u64 {
    at.since(Mono(0)).as_secs() / (15 * 60)
}

const QUARTERS_PER_DAY: u64 = 4 * 24;

/// How long a skipped signage point may still come.
const GRACE: Duration = Duration::from_secs(5);

const MAX_GAPS: usize = 16;

/// A signage point that comes later than this is one that was never heard of: as long as duplicates are known.
const SUB_SLOTS_OVER: usize = 3;

/// 100 days of sub-slots: keeps sums far from overflow.
const MAX_WHOLE_SUB_SLOTS: f64 = 14_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_micros(9_375_000);
    const A: ChallengeHash = ChallengeHash([0xa; 32]);
    const B: ChallengeHash = ChallengeHash([0xb; 32]);

    /// Lets signage points arrive at these times, counted in intervals, and returns how many are missed in the end.
    fn missed_after(arrivals: &[(f64, ChallengeHash, u8)]) -> u64 {
        let mut missed = Missed::new(INTERVAL);
        let mut declared = 0;
        let start = Mono(0) + Duration::from_secs(3600);
        for (intervals, challenge, index) in arrivals {
            let now = start + INTERVAL.mul_f64(*intervals);
            declared += missed.declare(now);
            missed.handle_arrival(now, *challenge, *index);
        }
        declared += missed.declare(Mono(u64::MAX));
        assert_eq!(missed.counts(start + INTERVAL * 64).missed, declared);
        declared
    }

    #[test]
    fn gapless_signage_points_miss_nothing() {
        assert_eq!(
            missed_after(&[(0.0, A, 61), (1.0, A, 62), (2.0, A, 63), (3.0, B, 0), (4.0, B, 1)]),
            0
        );
    }

    #[test]
    fn gap_counts_by_index_within_a_sub_slot_however_long_it_took() {
        assert_eq!(missed_after(&[(0.0, A, 10), (4.0, A, 14)]), 3);
        assert_eq!(
            missed_after(&[(0.0, A, 10), (40.0, A, 11)]),
            0,
            "the chain was slow, nothing was skipped"
        );
    }

    #[test]
    fn gap_across_sub_slots_counts_both_ends_and_whole_ones_by_time() {
        assert_eq!(missed_after(&[(0.0, A, 61), (6.0, B, 3)]), 5);
        assert_eq!(missed_after(&[(0.0, A, 61), (5.5, B, 2)]), 4);
        assert_eq!(missed_after(&[(0.0, A, 63), (65.0, B, 0)]), 64);
        assert_eq!(missed_after(&[(0.0, A, 60), (200.0, B, 4)]), 7 + 3 * 64);
    }

    #[test]
    fn quick_change_of_sub_slot_is_no_gap() {
        assert_eq!(missed_after(&[(0.0, A, 63), (0.3, B, 0), (1.9, B, 1)]), 0);
    }

    #[test]
    fn change_to_another_chain_within_a_sub_slot_is_no_gap() {
        assert_eq!(missed_after(&[(0.0, A, 30), (1.0, B, 31), (2.0, A, 32)]), 0);
    }

    #[test]
    fn overtaken_signage_point_is_not_missed() {
        assert_eq!(
            missed_after(&[(0.0, A, 10), (1.0, A, 12), (1.1, A, 11), (2.0, A, 13)]),
            0
        );
        assert_eq!(missed_after(&[(0.0, A, 62), (1.0, B, 0), (1.2, A, 63), (2.0, B, 1)]), 0);
    }

    #[test]
    fn point_of_a_sub_slot_that_is_over_is_missed_itself_and_no_other_is() {
        let late = [
            (0.0, A, 62),
            (2.0, B, 0),
            (3.0, B, 1),
            (4.0, B, 2),
            (5.0, B, 3),
            (5.5, A, 63),
            (6.0, B, 4),
        ];
        assert_eq!(missed_after(&late), 1);
        let mut missed = Missed::new(INTERVAL);
        for (intervals, challenge, index) in late {
            let now = Mono(0) + INTERVAL.mul_f64(intervals);
            missed.declare(now);
            missed.handle_arrival(now, challenge, index);
        }
        assert_eq!(missed.declare(Mono(u64::MAX)), 0, "declared before");
        let c = ChallengeHash([0xc; 32]);
        assert_eq!(
            missed_after(&[(0.0, A, 62), (2.0, B, 0), (66.0, c, 0), (66.5, A, 63), (67.0, c, 1)]),
            1 + 63
        );
    }

    #[test]
    fn interval_is_learnt_within_bounds() {
        let mut missed = Missed::new(INTERVAL);
        let slow = INTERVAL * 2;
        for index in 0..60 {
            missed.handle_arrival(Mono(0) + slow * u32::from(index), A, index);
        }
        assert!(missed.interval().abs_diff(slow) < Duration::from_millis(50));
        assert_eq!(missed.declare(Mono(u64::MAX)), 0);
    }

    #[test]
    fn cells_of_the_running_sub_slot_are_known_once_declared() {
        let mut missed = Missed::new(INTERVAL);
        missed.handle_arrival(Mono(0), A, 3);
        missed.handle_arrival(Mono(0) + INTERVAL * 3, A, 6);
        assert!(missed.of_sub_slot().is_empty());
        assert_eq!(missed.due(), Some(Mono(0) + INTERVAL * 3 + GRACE));
        assert_eq!(missed.declare(Mono(0) + INTERVAL * 4), 2);
        assert_eq!(missed.of_sub_slot().iter().copied().collect::<Vec<_>>(), [4, 5]);
        missed.handle_arrival(Mono(0) + INTERVAL * 61, B, 0);
        assert!(missed.of_sub_slot().is_empty());
    }

    #[test]
    fn day_counts_forget_after_a_day_and_a_long_gap_is_spread() {
        let mut missed = Missed::new(INTERVAL);
        let day = Duration::from_secs(24 * 3600);
        missed.handle_arrival(Mono(0), A, 0);
        let later = Mono(0) + day * 2;
        missed.handle_arrival(later, B, 0);
        let declared = missed.declare(Mono(u64::MAX));
        assert_eq!(declared, 2 * 9216 - 1, "two days of sub-slots");
        let counts = missed.counts(later);
        assert_eq!((counts.received, counts.missed), (2, declared));
        assert_eq!(counts.received_24h, 1);
        assert!(counts.missed_24h.abs_diff(9216) < 200, "{counts:?}");
        assert_eq!(missed.counts(later + day * 2).missed_24h, 0);
    }
}
