//! Luck and effort: every answer is a number of chances, which are added up beside what came of them.
//!
//! A v1 plot of expected size s has at each signage point the chance `2^-bits` to pass the filter, and then
//! `s × sp_interval_iters / (difficulty × difficulty_constant_factor)` to have a proof good enough for a block: the share
//! of qualities whose required iterations are below the interval.

use std::collections::VecDeque;
use std::time::Duration;

use super::Farmer;
use super::clock_set::ClockSet;
use super::plot_lists::PlotLists;
use crate::clock::{Now, UnixMillis};
use crate::pos::constants::Constants;
use crate::pos::iterations::sp_interval_iters;
use crate::pos::{filter, v1_cut_off_height};
use crate::snapshot::{FarmRecord, HarvesterId, LuckBand, LuckView, QuarterCounts};
use crate::units::Difficulty;
use crate::wire::{FarmingInfo, NewSignagePoint};

/// What a farm has had of luck.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Luck {
    record: FarmRecord,
    /// Those of the record that came from earlier runs, as they were: start, signage points, missed.
    before: Vec<(u64, u64, u64)>,
    /// Whether somebody keeps the record.
    is_kept: bool,
}

/// Sums over the answers of one harvester, hour by hour.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct FilterHours {
    hours: VecDeque<(u64, FilterSums)>,
}

#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
struct FilterSums {
    passed: u64,
    expected: f64,
    variance: f64,
}

/// What one answer was worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Chances {
    /// v1 plots that should pass the filter, on average.
    pub(super) passed: f64,
    /// Variance of that.
    pub(super) variance: f64,
    /// Proofs good enough for a block that should be found, on average.
    pub(super) proofs: f64,
    /// Whether `passed` of the answer counts v1 plots only, so that it can be compared.
    pub(super) is_v1_only: bool,
}

impl Luck {
    pub(super) fn new(now: Now) -> Self {
        Self {
            record: FarmRecord {
                counted_since_unix_ms: now.unix.0,
                ..FarmRecord::default()
            },
            ..Self::default()
        }
    }

    /// What earlier runs had.
    pub(super) fn handle_past(&mut self, now: Now, past: FarmRecord) {
        self.is_kept = true;
        self.before = past
            .quarters
            .iter()
            .map(|quarter| (quarter.start_unix_ms, quarter.signage_points, quarter.missed))
            .collect();
        let record = &mut self.record;
        // Either may be of a clock that had not been set.
        let since = [record.counted_since_unix_ms, past.counted_since_unix_ms];
        if let Some(since) = since.into_iter().filter(|since| *since >= FIRST_FARM_MS).min() {
            record.counted_since_unix_ms = since;
        }
        if record.won_ever == 0 {
            record.effort += past.effort;
        }
        record.last_win_unix_ms = record.last_win_unix_ms.max(past.last_win_unix_ms);
        record.won_ever += past.won_ever;
        for quarter in past.quarters {
            match record
                .quarters
                .iter_mut()
                .find(|known| known.start_unix_ms == quarter.start_unix_ms)
            {
                Some(known) => add(known, &quarter),
                None => record.quarters.push(quarter),
            }
        }
        record.quarters.sort_by_key(|quarter| quarter.start_unix_ms);
        self.forget_old(now);
    }

    /// What is to be kept of this moment, if somebody does: the record with its newest quarters.
    pub(super) fn to_keep(&self, now: Now) -> Option<FarmRecord> {
        let quarters = &self.record.quarters;
        let newest = quarters.partition_point(|quarter| quarter.start_unix_ms <= now.unix.0);
        self.is_kept.then(|| FarmRecord {
            quarters: quarters[newest.saturating_sub(2)..newest].to_vec(),
            ..self.record.clone()
        })
    }

    pub(super) fn note_signage_point(&mut self, now: Now) {
        self.quarter(now).signage_points += 1;
    }

    pub(super) fn note_missed(&mut self, now: Now, missed: u64) {
        self.quarter(now).missed += missed;
    }

    pub(super) fn note_good_proof(&mut self, now: Now) {
        self.quarter(now).proofs += 1;
    }

    pub(super) fn note_win(&mut self, now: Now) {
        self.quarter(now).blocks_signed += 1;
        self.record.won_ever += 1;
        self.record.last_win_unix_ms = Some(now.unix.0);
        self.record.effort = 0.0;
    }

    fn note_answer(&mut self, now: Now, passed: u32, chances: &Chances) {
        self.record.effort += chances.proofs;
        let quarter = self.quarter(now);
        quarter.answers += 1;
        quarter.expected_proofs += chances.proofs;
        if chances.is_v1_only {
            quarter.passed += u64::from(passed);
            quarter.expected_passed += chances.passed;
            quarter.variance += chances.variance;
        }
    }

    /// Signage points that came and that did not, of earlier runs in the last 24 hours.
    pub(super) fn points_before(&self, now: Now) -> (u64, u64) {
        let of_day = self.before.iter().filter(|(start, ..)| is_of_day(now, *start));
        of_day.fold((0, 0), |(came, missed), quarter| (came + quarter.1, missed + quarter.2))
    }

    fn view(&self, now: Now, expected_time_to_win: Option<Duration>) -> LuckView {
        let mut day = QuarterCounts::default();
        let quarters = self.record.quarters.iter();
        for quarter in quarters.filter(|it| is_of_day(now, it.start_unix_ms)) {
            add(&mut day, quarter);
        }
        LuckView {
            expected_time_to_win_s: expected_time_to_win.map(|time| time.as_secs_f64().round()),
            effort: (self.record.effort * 1e6).round() / 1e6,
            counted_since_unix_ms: self.record.counted_since_unix_ms,
            last_win_unix_ms: self
                .record
                .last_win_unix_ms
                .filter(|at| *at <= now.unix.0.saturating_add(HOUR_MS)),
            won_24h: day.blocks_signed,
            won_ever: self.record.won_ever,
            filter_24h: LuckBand::judge(day.passed, day.expected_passed, day.variance),
            proofs_24h: LuckBand::judge(day.proofs, day.expected_proofs, day.expected_proofs),
        }
    }

    fn quarter(&mut self, now: Now) -> &mut QuarterCounts {
        let start_unix_ms = now.unix.0 / QUARTER_MS * QUARTER_MS;
        let quarters = &mut self.record.quarters;
        let place = match quarters.binary_search_by_key(&start_unix_ms, |quarter| quarter.start_unix_ms) {
            Ok(place) => place,
            Err(place) => {
                quarters.insert(
                    place,
                    QuarterCounts {
                        start_unix_ms,
                        ..QuarterCounts::default()
                    },
                );
                self.forget_old(now);
                let quarters = &self.record.quarters;
                quarters
                    .binary_search_by_key(&start_unix_ms, |quarter| quarter.start_unix_ms)
                    .unwrap_or(0)
            }
        };
        &mut self.record.quarters[place]
    }

    /// The wall clock was set: what was counted in this run was counted by the clock as it was.
    pub(super) fn carry_times(&mut self, now: Now, set: &ClockSet) {
        set.carry(&mut self.record.counted_since_unix_ms);
        if let Some(at) = &mut self.record.last_win_unix_ms {
            set.carry(at);
        }
        for counts in std::mem::take(&mut self.record.quarters) {
            let start_unix_ms = counts.start_unix_ms;
            let of_run = set.first_of(start_unix_ms..=start_unix_ms.saturating_add(QUARTER_MS - 1));
            let at = UnixMillis(of_run.unwrap_or(start_unix_ms));
            add(self.quarter(Now { unix: at, ..now }), &counts);
        }
    }

    /// Not by age alone: the clock may say 1970 or 2100 for a minute.
    fn forget_old(&mut self, now: Now) {
        let quarters = &mut self.record.quarters;
        while quarters.len() > QUARTERS_KEPT {
            let age = |it: Option<&QuarterCounts>| it.map(|it| it.start_unix_ms.abs_diff(now.unix.0));
            let farthest = if age(quarters.first()) > age(quarters.last()) {
                0
            } else {
                quarters.len() - 1
            };
            quarters.remove(farthest);
        }
    }
}

impl FilterHours {
    fn note(&mut self, unix: UnixMillis, passed: u32, chances: &Chances) {
        let hour = unix.0 / HOUR_MS;
        if self.hours.back().is_none_or(|(last, _)| *last != hour) {
            self.hours.push_back((hour, FilterSums::default()));
            if self.hours.len() > HOURS_KEPT {
                self.hours.pop_front();
            }
        }
        if let Some((_, sums)) = self.hours.back_mut() {
            sums.passed += u64::from(passed);
            sums.expected += chances.passed;
            sums.variance += chances.variance;
        }
    }

    /// The last 24 hours, judged.
    pub(super) fn band(&self, now: Now) -> LuckBand {
        let first = (now.unix.0 / HOUR_MS).saturating_sub(24);
        let mut day = FilterSums::default();
        for (_, sums) in self.hours.iter().filter(|(hour, _)| *hour >= first) {
            day.passed += sums.passed;
            day.expected += sums.expected;
            day.variance += sums.variance;
        }
        LuckBand::judge(day.passed, day.expected, day.variance)
    }
}

impl Farmer {
    /// A harvester has looked a signage point up: so many chances were taken.
    pub(super) fn count_chances(&mut self, now: Now, id: HarvesterId, info: &FarmingInfo) {
        let Some(message) = self
            .signage_points
            .get(&info.sp_hash)
            .and_then(|point| point.of_challenge(&info.challenge_hash))
        else {
            return;
        };
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let chances = chances(&self.config.constants, message, &slot.lists, info.total_plots);
        if chances.is_v1_only {
            slot.eligibility.filter.note(now.unix, info.passed, &chances);
        }
        self.luck.note_answer(now, info.passed, &chances);
        self.count_awaited_partials(now, id, &info.sp_hash, &info.challenge_hash);
    }

    /// Luck as it is shown.
    pub(super) fn luck_view(&self, now: Now) -> LuckView {
        self.luck.view(now, self.expected_time_to_win())
    }

    /// Time until the next block, on average, with what is connected.
    fn expected_time_to_win(&self) -> Option<Duration> {
        let (_, point) = self.signage_points.newest()?;
        let message = point.first()?;
        let proofs: f64 = self
            .harvesters
            .connected()
            .filter(|(_, _, session)| session.synced)
            .map(|(_, slot, _)| {
                let plots = u32::try_from(slot.lists.plots.len()).unwrap_or(u32::MAX);
                chances(&self.config.constants, message, &slot.lists, plots).proofs
            })
            .sum();
        let seconds = self.missed.interval().as_secs_f64() / proofs;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// What an answer of a harvester with these plots to this signage point is worth, if it says that it has `total` plots.
#[expect(clippy::cast_precision_loss, reason = "an average; counts of plots are exact anyway")]
fn chances(c: &Constants, message: &NewSignagePoint, lists: &PlotLists, total: u32) -> Chances {
    let [v1_share, v2_share] = passing_shares(c, message);
    let v1_plots = u64::from(total).saturating_sub(lists.v2_plots());
    let listed = lists.plots.len() as u64 - lists.v2_plots();
    let passed = v1_plots as f64 * v1_share;
    // Of a list that is not the one the answer is about, the average plot is taken.
    let v1_bytes = match listed {
        0 => 0.0,
        listed => lists.v1_bytes() / listed as f64 * passed,
    };
    let v2_bytes = lists.v2_bytes() * v2_share;
    let interval = sp_interval_iters(message.sub_slot_iters);
    Chances {
        passed,
        variance: passed * (1.0 - v1_share),
        // No plot has more than one proof on average, however easy it is.
        proofs: ((v1_bytes + v2_bytes) * odds(c, interval, message.difficulty)).min(f64::from(total)),
        is_v1_only: v2_share == 0.0 || lists.v2_plots() == 0,
    }
}

/// The shares of v1 plots and of v2 plots, of the smallest strength, that pass the filter of a signage point on average;
/// 0 where the chain takes none. A stronger plot passes less often and counts as that much more.
pub(super) fn passing_shares(c: &Constants, message: &NewSignagePoint) -> [f64; 2] {
    let is_v1_farmed = i64::from(message.last_tx_height.0) < v1_cut_off_height(c);
    let is_v2_farmed = message.last_tx_height >= c.hard_fork2_height;
    let share = |is_farmed: bool, bits: u8| if is_farmed { (-f64::from(bits)).exp2() } else { 0.0 };
    [
        share(is_v1_farmed, filter::prefix_bits_v1(c, message.peak_height)),
        share(is_v2_farmed, filter::base_bits_v2(c, message.last_tx_height)),
    ]
}

/// How many proofs are good enough for each byte that passes the filter, on average: those that need fewer iterations
/// than `interval`.
#[expect(clippy::cast_precision_loss, reason = "an average")]
pub(super) fn odds(c: &Constants, interval: u64, difficulty: Difficulty) -> f64 {
    interval as f64 / (difficulty.0.max(1) as f64 * c.difficulty_constant_factor as f64)
}

fn add(sum: &mut QuarterCounts, other: &QuarterCounts) {
    sum.signage_points += other.signage_points;
    sum.missed += other.missed;
    sum.answers += other.answers;
    sum.passed += other.passed;
    sum.expected_passed += other.expected_passed;
    sum.variance += other.variance;
    sum.proofs += other.proofs;
    sum.expected_proofs += other.expected_proofs;
    sum.blocks_signed += other.blocks_signed;
}

/// Whether a quarter that starts then is of the last 24 hours.
const fn is_of_day(now: Now, start_unix_ms: u64) -> bool {
    let from = now.unix.0.saturating_sub(DAY_MS);
    start_unix_ms.saturating_add(QUARTER_MS) > from && start_unix_ms <= now.unix.0
}

const QUARTER_MS: u64 = 15 * 60 * 1000;
const HOUR_MS: u64 = 4 * QUARTER_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Two days: one of this run, and one of earlier runs that a wrong clock may take for another.
const QUARTERS_KEPT: usize = 200;

/// 2021-03-19: Chia's mainnet began, and nobody farmed before.
const FIRST_FARM_MS: u64 = 1_616_112_000_000;

/// A day and the hour that is running.
const HOURS_KEPT: usize = 25;
