//! Our own count of the plots that pass the filter, from their ids, against what each harvester says.
//!
//! Of v1 plots the plot id is all it takes. Of v2 plots it takes their group and meta group, which harvesters tell from
//! version 0.0.38 on and which have to make the plot id. Nothing is compared where it is not certain what the harvester
//! counts: while its list changes, when nodes differ about the signage point, for v2 plots of which too little is known.
//!
//! A difference is a stale list of plots, a wrong filter, or a harvester that says what is not so. Hashing 100,000 plot
//! ids takes some ten milliseconds, so it is done after the answer, a slice at a time, with everything else in between; and
//! in a large farm only for some answers of each harvester, so that a signage point costs no more than in a small one. A
//! harvester whose last count differed is counted out of turn until it agrees, as far as a signage point has room.

use std::collections::VecDeque;
use std::ops::Bound;
use std::time::Duration;

use super::Farmer;
use super::harvesters::Session;
use super::plot_lists::{PlotEntry, PlotLists};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::{ChallengeHash, FilterChallenge, SpHash};
use crate::pos::constants::Constants;
use crate::pos::{filter, v1_cut_off_height};
use crate::snapshot::{AlarmKind, EligibleView, HarvesterId};
use crate::units::{Height, PlotSize};
use crate::wire::{FarmingInfo, HarvesterLayout, NewSignagePoint};

/// Counts that are to be made.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Counting {
    waiting: VecDeque<Count>,
    /// The signage point whose answers are looked into, and the plots that are counted for it.
    newest: (SpHash, usize),
    /// Whether nothing is counted.
    is_off: bool,
}

/// One answer that is looked into.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Count {
    harvester: HarvesterId,
    /// Of the list of plots that is counted.
    list_version: u64,
    filters: Filters,
    passed: u64,
    /// Plots up to this path are counted.
    done_to: Option<Box<str>>,
    counted: u64,
}

/// Who passes at a signage point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Filters {
    challenge_hash: ChallengeHash,
    sp_hash: SpHash,
    index: u8,
    /// Prefix bits; `None` when no v1 plot may answer.
    v1: Option<u8>,
    v2: FilterV2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum FilterV2 {
    /// Hard fork 2 is not reached: no v2 plot may answer.
    NotFarmed,
    /// The node does not know the challenge: none may answer either.
    NoChallenge,
    /// For those whose turn it is.
    Turns {
        filter_challenge: FilterChallenge,
        last_tx_height: Height,
    },
}

impl Filters {
    fn of(constants: &Constants, message: &NewSignagePoint) -> Self {
        let is_v1_farmed = i64::from(message.last_tx_height.0) < v1_cut_off_height(constants);
        let is_v2_farmed = message.last_tx_height >= constants.hard_fork2_height;
        Self {
            challenge_hash: message.challenge_hash,
            sp_hash: message.challenge_chain_sp,
            index: message.signage_point_index,
            v1: is_v1_farmed.then(|| filter::prefix_bits_v1(constants, message.peak_height)),
            v2: match message.filter_challenge {
                _ if !is_v2_farmed => FilterV2::NotFarmed,
                None => FilterV2::NoChallenge,
                Some(filter_challenge) => FilterV2::Turns {
                    filter_challenge,
                    last_tx_height: message.last_tx_height,
                },
            },
        }
    }

    /// Whether it is certain which of these plots a harvester of this version counts.
    fn are_sure(&self, layout: HarvesterLayout, lists: &PlotLists) -> bool {
        let is_v2_sure = lists.v2_plots() == 0 || self.v2 == FilterV2::NotFarmed;
        match layout {
            // Does not know that v1 plots are phased out.
            HarvesterLayout::V36 => is_v2_sure && self.v1.is_some(),
            // Has another filter for v2 plots.
            HarvesterLayout::V37 => is_v2_sure,
            HarvesterLayout::V38 => is_v2_sure || lists.unsure_v2_plots() == 0,
        }
    }

    fn let_pass(&self, constants: &Constants, plot: &PlotEntry) -> bool {
        match (plot.size, self.v1, self.v2, &plot.place) {
            (PlotSize::V1 { .. }, Some(bits), ..) => {
                filter::passes_v1(bits, &plot.plot_id, &self.challenge_hash, &self.sp_hash)
            }
            (
                PlotSize::V2 { strength },
                _,
                FilterV2::Turns {
                    filter_challenge,
                    last_tx_height,
                },
                Some(place),
            ) => {
                let bits = filter::bits_v2(constants, last_tx_height, strength);
                filter::passes_v2(bits, &place.group_id, place.meta_group, &filter_challenge, self.index)
            }
            _ => false,
        }
    }
}

impl Farmer {
    /// Counts no eligible plots from here on: for a farm whose plot ids are made up, as in a recording that tells nothing
    /// private. Every answer that would be looked into is one that was not compared.
    pub fn stop_counting(&mut self) {
        self.counting = Counting {
            is_off: true,
            ..Counting::default()
        };
    }

    /// Has an answer looked into, if it can be: it is about the list of plots that we have, and it is certain who passes.
    pub(super) fn begin_count(&mut self, now: Now, id: HarvesterId, info: &FarmingInfo) {
        let constants = &self.config.constants;
        let harvesters = self.harvesters.len();
        let Some(point) = self.signage_points.get(&info.sp_hash) else {
            return;
        };
        let mut forms = point
            .forms_of_challenge(&info.challenge_hash)
            .map(|message| Filters::of(constants, message));
        let (Some(filters), Some(slot)) = (forms.next(), self.harvesters.get_mut(id)) else {
            return;
        };
        // Of several forms it is not known which one the harvester was asked with.
        let has_v2 = slot.lists.v2_plots() > 0;
        let is_one_question = forms.all(|form| form == filters || (form.v1 == filters.v1 && !has_v2));
        slot.eligibility.answers += 1;
        let one_in = (harvesters * slot.lists.plots.len()).div_ceil(PLOTS_A_POINT).max(1) as u64;
        let is_its_turn = (slot.eligibility.answers + u64::from(id.0)).is_multiple_of(one_in);
        if self.counting.newest.0 != info.sp_hash {
            self.counting.newest = (info.sp_hash, 0);
        }
        let has_room = self.counting.newest.1 < PLOTS_A_POINT;
        if !is_its_turn && (slot.eligibility.differs_in_a_row == 0 || !has_room) {
            return;
        }
        let is_sure = |session: &Session| session.synced && filters.are_sure(session.layout, &slot.lists);
        let is_sure = is_one_question && slot.session.as_ref().is_some_and(is_sure);
        let is_same_list = slot.lists.plots.len() as u64 == u64::from(info.total_plots);
        if self.counting.is_off || !is_sure || !is_same_list || self.counting.waiting.len() >= MAX_WAITING {
            slot.eligibility.not_compared += 1;
            return;
        }
        self.counting.newest.1 += slot.lists.plots.len();
        self.counting.waiting.push_back(Count {
            harvester: id,
            list_version: slot.lists.version(),
            filters,
            passed: u64::from(info.passed),
            done_to: None,
            counted: 0,
        });
        self.timers.set(Timer::Count, now.mono + PAUSE);
    }

    /// Counts a slice.
    pub(super) fn handle_count_timer(&mut self, now: Now) {
        let mut left = SLICE;
        while left > 0
            && let Some(mut count) = self.counting.waiting.pop_front()
        {
            let Some(slot) = self.harvesters.get_mut(count.harvester) else {
                continue;
            };
            if slot.lists.version() != count.list_version {
                slot.eligibility.not_compared += 1;
                continue;
            }
            let from = match &count.done_to {
                Some(path) => Bound::Excluded(&**path),
                None => Bound::Unbounded,
            };
            let mut plots = slot.lists.plots.range::<str, _>((from, Bound::Unbounded));
            let mut last = None;
            for (path, plot) in plots.by_ref().take(left) {
                last = Some(path);
                left -= 1;
                count.counted += u64::from(count.filters.let_pass(&self.config.constants, plot));
            }
            if left == 0 && plots.next().is_some() {
                count.done_to = last.cloned();
                self.counting.waiting.push_front(count);
                break;
            }
            self.compare_count(now, &count);
        }
        if !self.counting.waiting.is_empty() {
            self.timers.set(Timer::Count, now.mono + PAUSE);
        }
    }

    fn compare_count(&mut self, now: Now, count: &Count) {
        let Some(slot) = self.harvesters.get_mut(count.harvester) else {
            return;
        };
        let eligibility = &mut slot.eligibility;
        eligibility.compared += 1;
        eligibility.last = Some(EligibleView {
            at_unix_ms: now.unix.0,
            signage_point_index: count.filters.index,
            expected: count.counted,
            passed: count.passed,
        });
        let differs = count.counted != count.passed;
        if differs {
            eligibility.differed += 1;
            eligibility.differs_in_a_row += 1;
        } else {
            eligibility.differs_in_a_row = 0;
        }
        if !differs && !self.alarms.concern(count.harvester) {
            return;
        }
        let alarm = AlarmKind::EligibleMismatch {
            harvester: count.harvester,
            name: slot.name.to_string(),
            in_a_row: eligibility.differs_in_a_row,
            expected: count.counted,
            passed: count.passed,
        };
        if !differs {
            self.close_alarm(now, &alarm);
        } else if eligibility.differs_in_a_row >= MISMATCH_FROM {
            self.raise(now, alarm);
        }
    }
}

/// Plots that are counted for one signage point, about, while all agree: 0.2 ms of work. Of a farm of 100,000 plots each
/// harvester is looked at every eight minutes.
const PLOTS_A_POINT: usize = 2_000;

/// Plots that are counted at a time: a quarter of a millisecond.
const SLICE: usize = 2_000;

/// Between two slices.
const PAUSE: Duration = Duration::from_millis(1);

/// Answers that wait to be looked into; more are not.
const MAX_WAITING: usize = 4096;

/// A list of plots may change between the question and the answer, but hardly three times in a row to the same length.
const MISMATCH_FROM: u64 = 3;
