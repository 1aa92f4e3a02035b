//! What the tables show: the rows of the picture that the person wants to see, in the order wanted.

use std::cmp::Reverse;
use std::sync::Arc;

use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{
    AlarmKind, AlarmView, AttemptOutcome, AttemptView, HarvesterId, HarvesterState, HarvesterView, PoolState, PoolView,
    ProofStage, ProofView,
};

use super::lateness::{Lateness, lateness};
use super::model::Model;
use super::order::SortBy;
use super::screen::Screen;
use super::stream::Entry;

impl Model {
    /// Harvesters in the order and choice of the person.
    pub(super) fn harvesters(&self) -> Vec<&HarvesterView> {
        let mut rows: Vec<_> = self
            .shown()
            .harvesters
            .iter()
            .filter(|h| !self.only_wrong || self.is_wrong(h))
            .filter(|h| {
                self.passes(|| {
                    [
                        h.name.clone(),
                        h.host.clone(),
                        h.state_words(),
                        h.software_version.clone(),
                    ]
                })
            })
            .collect();
        let order = self.orders.of(Screen::Harvesters);
        match order.by {
            SortBy::State => rows.sort_by_cached_key(|h| (h.state.is_fine(), !self.is_wrong(h))),
            SortBy::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            SortBy::Plots => rows.sort_by_key(|h| Reverse(h.plots)),
            SortBy::Size => rows.sort_by_key(|h| Reverse(h.plot_bytes)),
            SortBy::Lookup => rows.sort_by_key(|h| Reverse(h.lookup_max_ms)),
            SortBy::NotFarmed => rows.sort_by_key(|h| Reverse(not_farmed(h))),
            SortBy::Newest => rows.sort_by_key(|h| Reverse(h.last_answer.as_ref().map(|a| a.at_unix_ms))),
            SortBy::Natural | SortBy::Passed => {}
        }
        if order.reversed {
            rows.reverse();
        }
        rows
    }

    /// Answers, newest first unless the person wants them otherwise.
    pub(super) fn attempts(&self) -> Vec<&AttemptView> {
        let mut rows: Vec<_> = self
            .shown()
            .attempts
            .iter()
            .filter(|a| !self.only_wrong || lateness(&a.outcome) != Lateness::InTime)
            .filter(|a| self.passes(|| [a.harvester_name.to_string()]))
            .collect();
        let numbers = |a: &AttemptView| match a.outcome {
            AttemptOutcome::Answered {
                passed,
                proofs,
                lookup_ms,
                round_trip_ms,
                ..
            } => ((proofs, passed), Some(lookup_ms.max(round_trip_ms))),
            AttemptOutcome::NoAnswer { .. } => ((0, 0), None),
        };
        let order = self.orders.of(Screen::Farm);
        match order.by {
            SortBy::Name => rows.sort_by(|a, b| a.harvester_name.cmp(&b.harvester_name)),
            SortBy::Passed => rows.sort_by_key(|a| Reverse(numbers(a).0)),
            // No answer at all is slower than any.
            SortBy::Lookup => rows.sort_by_key(|a| Reverse(numbers(a).1.unwrap_or(u32::MAX))),
            // An answer that comes late has a later time than those that came while it was waited for.
            _ => rows.sort_by_key(|a| Reverse(a.at_unix_ms)),
        }
        if order.reversed {
            rows.reverse();
        }
        rows
    }

    /// Proofs, newest first unless the person wants them otherwise.
    pub(super) fn proofs(&self) -> Vec<&ProofView> {
        let is_wrong = |p: &ProofView| matches!(p.stage, ProofStage::Invalid { .. } | ProofStage::Lost { .. });
        let mut rows: Vec<_> = self
            .shown()
            .proofs
            .iter()
            .filter(|p| !self.only_wrong || is_wrong(p))
            .filter(|p| self.passes(|| [p.harvester_name.clone(), p.plot_file.clone()]))
            .collect();
        let order = self.orders.of(Screen::Proofs);
        match order.by {
            SortBy::Name => rows.sort_by(|a, b| a.harvester_name.cmp(&b.harvester_name)),
            SortBy::State => rows.sort_by_key(|p| (!is_wrong(p), Reverse(proof_rank(&p.stage)))),
            _ => {}
        }
        if order.reversed {
            rows.reverse();
        }
        rows
    }

    /// Pools in the order and choice of the person.
    pub(super) fn pools(&self) -> Vec<&PoolView> {
        let is_wrong = |pool: &PoolView| {
            !matches!(
                pool.state,
                PoolState::Ready | PoolState::Asking | PoolState::SelfPooling
            )
        };
        let mut rows: Vec<_> = self
            .shown()
            .pools
            .iter()
            .filter(|pool| !self.only_wrong || is_wrong(pool))
            .filter(|pool| self.passes(|| [pool.label(), pool.name.clone().unwrap_or_default()]))
            .collect();
        let order = self.orders.of(Screen::Pools);
        match order.by {
            SortBy::Name => rows.sort_by_key(|pool| pool.label()),
            SortBy::State => rows.sort_by_key(|pool| !is_wrong(pool)),
            SortBy::Size => rows.sort_by_key(|pool| Reverse(pool.points_found_24h)),
            _ => {}
        }
        if order.reversed {
            rows.reverse();
        }
        rows
    }

    /// Open alarms, then the history.
    pub(super) fn alarms(&self) -> Vec<&AlarmView> {
        let shown = self.shown();
        let passes = |a: &&AlarmView| self.passes(|| [a.text.clone(), a.remedy.clone()]);
        let mut open: Vec<_> = shown.alarms.iter().filter(passes).collect();
        let order = self.orders.of(Screen::Alarms);
        if order.by == SortBy::Newest {
            open.sort_by_key(|a| Reverse(a.opened_at_unix_ms));
        }
        if order.reversed {
            open.reverse();
        }
        let history = shown.alarm_history.iter().filter(|_| !self.only_wrong);
        open.extend(history.filter(passes));
        open
    }

    /// Messages and records, oldest first unless the person wants them otherwise.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let (frozen, live) = match &self.frozen {
            Some(frozen) => (Some(frozen.entries.iter()), None),
            None => (None, Some(self.stream.entries())),
        };
        let words = words(&self.filter);
        let least = if self.screen == Screen::Messages {
            self.least_level
        } else {
            LogLevel::Debug
        };
        frozen
            .into_iter()
            .flatten()
            .chain(live.into_iter().flatten())
            .filter(|e| !self.only_wrong || e.is_wrong())
            .filter(move |e| e.level() >= least)
            .filter(move |e| words.iter().all(|word| e.search_text().contains(word)))
    }

    /// Whether anything about this harvester needs a person: it shows by itself, or an open alarm is about it.
    pub(super) fn is_wrong(&self, harvester: &HarvesterView) -> bool {
        is_wrong(harvester) || self.alarms_of(harvester).next().is_some()
    }

    /// The open alarms about this harvester. What was wrong with one that was sent away is wrong no more.
    pub(super) fn alarms_of(&self, harvester: &HarvesterView) -> impl Iterator<Item = &AlarmView> {
        let id = Some(harvester.id).filter(|_| !is_revoked(harvester));
        let alarms = self.shown().alarms.iter();
        alarms.filter(move |alarm| id.is_some() && alarm.kind.harvester() == id)
    }

    /// The harvester that the selected (or first) alarm is about.
    pub(super) fn harvester_of_alarm(&self) -> Option<HarvesterId> {
        let rows = self.alarms();
        let selected = rows.iter().find(|alarm| Some(alarm.number) == self.selection.alarm);
        let alarm = selected.or_else(|| rows.first())?;
        let farm = self.shown();
        // Each run of the farmer numbers harvesters anew; names stay, and some alarms have nothing else.
        let is_of_earlier = alarm.closed_at_unix_ms.is_some_and(|at| at < farm.started_at_unix_ms);
        let id = alarm.kind.harvester().filter(|_| !is_of_earlier);
        let name = alarm.kind.machine();
        let is_it = |it: &&HarvesterView| id.map_or_else(|| name.as_ref() == Some(&it.name), |id| it.id == id);
        farm.harvesters.iter().find(is_it).map(|it| it.id)
    }

    /// How many plots this harvester has lost, as open alarms say.
    pub(super) fn lost_plots(&self, harvester: &HarvesterView) -> u64 {
        let lost = self.alarms_of(harvester).map(|alarm| match alarm.kind {
            AlarmKind::PlotsLost { lost, .. } => lost,
            _ => 0,
        });
        lost.sum()
    }

    /// Every word of the filter is in one of the texts; case does not matter. The texts are made only for a filter.
    fn passes<const N: usize>(&self, texts: impl FnOnce() -> [String; N]) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let texts = texts().map(|text| text.to_lowercase());
        words(&self.filter)
            .iter()
            .all(|word| texts.iter().any(|text| text.contains(word)))
    }
}

/// The words of a filter, in lower case.
fn words(filter: &str) -> Vec<String> {
    filter.split_whitespace().map(str::to_lowercase).collect()
}

/// Files of a harvester that earn nothing.
pub(super) const fn not_farmed(harvester: &HarvesterView) -> u64 {
    harvester.failed + harvester.no_key + harvester.duplicates + harvester.shared_plots
}

/// How far a proof got.
const fn proof_rank(stage: &ProofStage) -> u8 {
    match stage {
        ProofStage::Invalid { .. } | ProofStage::Lost { .. } => 0,
        ProofStage::NotGoodEnough => 1,
        ProofStage::Found => 2,
        ProofStage::Verified => 3,
        ProofStage::Declared => 4,
        ProofStage::BlockSigned => 5,
        ProofStage::BlockAccepted { .. } => 6,
    }
}

const fn is_revoked(harvester: &HarvesterView) -> bool {
    matches!(harvester.state, HarvesterState::Revoked { .. })
}

/// Whether it shows by itself that this harvester needs a person.
const fn is_wrong(harvester: &HarvesterView) -> bool {
    let is_wrong = !harvester.state.is_fine()
        || harvester.certificate_shared
        || not_farmed(harvester) > 0
        || harvester.invalid_proofs > 0
        || harvester.last_sync_error.is_some();
    is_wrong && !is_revoked(harvester)
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn one_that_was_revoked_is_wrong_no_more() {
        let mut harvester = samples::one().harvesters.remove(0);
        harvester.failed = 3;
        let since_unix_ms = harvester.connected_at_unix_ms;
        harvester.state = HarvesterState::Absent { since_unix_ms };
        assert!(is_wrong(&harvester));
        harvester.state = HarvesterState::Revoked { since_unix_ms };
        assert!(!is_wrong(&harvester));
        assert_eq!(harvester.state_words(), "revoked");
    }
}
