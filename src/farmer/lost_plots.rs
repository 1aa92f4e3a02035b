//! Plots that nobody farms any more: those that went are grouped by drive and alarmed, unless somebody was tidying up.
//!
//! What an earlier run of the farmer knew is told to it when a harvester has listed its plots, so that a drive that died
//! while the farmer was down is noticed as well.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::Farmer;
use super::harvesters::LostPlot;
use super::output::Output;
use super::plot_lists::{Change, PlotLists, common_directory, directory_of};
use super::plot_news::{Comparison, PlotNews, PlotPlace};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::{PeerId, PlotId};
use crate::snapshot::{AlarmKind, HarvesterId};

impl Farmer {
    /// Plots that were lost and are farmed again, here or on another harvester, are no longer lost.
    pub(super) fn review_returned_plots(&mut self, now: Now) {
        let mut updated = Vec::new();
        let mut forgotten = Vec::new();
        for (id, slot) in self.harvesters.all_mut().filter(|(_, slot)| !slot.lost.is_empty()) {
            for (directory, lost) in &mut slot.lost {
                let mut returned = Vec::new();
                lost.retain(|plot_id, _| {
                    let is_back = self.shared_plots.is_farmed(plot_id);
                    returned.extend(is_back.then_some(*plot_id));
                    !is_back
                });
                if !returned.is_empty() {
                    forgotten.push((slot.peer.peer_id, returned));
                    updated.push(lost_alarm(id, &slot.name, directory, lost));
                }
            }
            slot.lost.retain(|_, lost| !lost.is_empty());
        }
        // Whoever has them now tells of it afterwards.
        for (certificate, plots) in forgotten {
            self.forget_plots(certificate, plots);
        }
        for alarm in updated {
            if matches!(alarm, AlarmKind::PlotsLost { lost: 0, .. }) {
                self.close_alarm(now, &alarm);
            } else {
                self.raise(now, alarm);
            }
        }
    }

    /// A file with another plot in it than before is removed in one sync and told of in the next, since no name may be told
    /// twice. So plots that are removed while at least as many files are not told of yet are judged after that one. Whether
    /// they are.
    pub(super) fn hold_replaced_plots(&mut self, now: Now, id: HarvesterId, files: u64, change: &Change) -> bool {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return false;
        };
        let lists = &slot.lists;
        let told = lists.plots.len() + lists.failed.len() + lists.no_key.len() + lists.duplicates.len();
        let not_told = files.saturating_sub(told as u64);
        let holds = slot.replaced.is_empty() && !change.removed.is_empty() && change.removed.len() as u64 <= not_told;
        if holds {
            let removed = change.removed.iter();
            let held = removed.map(|(path, plot_id)| (*plot_id, LostPlot::new(path, now)));
            slot.replaced = held.collect();
        }
        holds
    }

    /// Judges the plots that went in a sync, and those that were held until then.
    pub(super) fn review_lost_plots(&mut self, now: Now, id: HarvesterId, change: Change) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let held = std::mem::take(&mut slot.replaced).into_iter();
        let mut removed: Vec<_> = held.map(|(plot_id, lost)| (lost.path, plot_id)).collect();
        removed.extend(change.removed);
        let before = (slot.lists.plots.len() + removed.len()).saturating_sub(change.added.len());
        self.judge_removed_plots(now, id, &removed, before);
    }

    /// The first sync of a connection tells of fewer plots than the last one of the connection before. A harvester that has
    /// been started anew tells of what it has found so far, and more follows.
    pub(super) fn wait_for_plots(&mut self, now: Now, id: HarvesterId, removed: Vec<(Box<str>, PlotId)>) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let held = std::mem::take(&mut slot.replaced).into_iter();
        let held = held.map(|(plot_id, lost)| (lost.path, plot_id));
        let removed = held.chain(removed);
        let missing = removed.map(|(path, plot_id)| PlotPlace { path, plot_id }).collect();
        self.note_missing(now, id, missing);
    }

    /// These are missing, and those that were noted before and nobody has told of since.
    fn note_missing(&mut self, now: Now, id: HarvesterId, mut plots: Vec<PlotPlace>) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let was_waiting = !slot.missing.is_empty();
        plots.append(&mut slot.missing);
        plots.retain(|plot| {
            let is_lost = slot.lost.values().any(|lost| lost.contains_key(&plot.plot_id));
            !is_lost && !self.shared_plots.is_farmed(&plot.plot_id)
        });
        plots.sort_by_key(|plot| plot.plot_id);
        plots.dedup_by_key(|plot| plot.plot_id);
        slot.missing = plots;
        if slot.missing.is_empty() {
            self.timers.clear(Timer::MissingPlots(id));
        } else if !was_waiting {
            self.timers.set(Timer::MissingPlots(id), now.mono + MISSING_FOR);
        }
    }

    /// A harvester has listed all its plots, and does not have these that it had in an earlier run, or on an earlier
    /// connection. They are judged when others that may have them now have had the time to tell of theirs.
    pub(super) fn handle_plots_missing(&mut self, now: Now, id: HarvesterId, plots: Vec<PlotPlace>) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let comparison = std::mem::take(&mut slot.comparison);
        if slot.revoked {
            return;
        }
        if comparison == Comparison::Outdated {
            return self.keep_plots(id, None);
        }
        self.note_missing(now, id, plots);
    }

    /// Plots of an earlier run have been missing for long enough.
    pub(super) fn handle_missing_plots_timer(&mut self, now: Now, id: HarvesterId) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let missing = std::mem::take(&mut slot.missing).into_iter();
        let removed: Vec<_> = missing.map(|plot| (plot.path, plot.plot_id)).collect();
        let before = slot.lists.plots.len() + removed.len();
        self.judge_removed_plots(now, id, &removed, before);
    }

    /// Plots that nobody farms any more are lost, if it is more than somebody tidying up: a whole directory, or more than
    /// one in a hundred of those there were before. The others are forgotten; so are those whose files are there, which is an
    /// alarm of its own: made for other keys, or failed while others in their directory are not.
    fn judge_removed_plots(&mut self, now: Now, id: HarvesterId, removed: &[(Box<str>, PlotId)], before: usize) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        // One whose file has another plot by now is not lost.
        let is_lost = |(path, plot_id): &&(Box<str>, PlotId)| {
            !self.shared_plots.is_farmed(plot_id)
                && !slot.lists.plots.contains_key(path)
                && !slot.lists.no_key.contains(path)
        };
        let lost: Vec<_> = removed.iter().filter(is_lost).collect();
        let plot = |path: &str| LostPlot::new(path, now);
        let mut by_directory: BTreeMap<String, BTreeMap<PlotId, LostPlot>> = BTreeMap::new();
        for (path, plot_id) in &lost {
            let directory = by_directory.entry(directory_of(path).to_owned()).or_default();
            directory.insert(*plot_id, plot(path));
        }
        if by_directory.len() > MAX_LOST_DIRECTORIES {
            let common = common_directory(lost.iter().map(|(path, _)| &**path)).unwrap_or_default();
            let all = lost.iter().map(|(path, plot_id)| (*plot_id, plot(path))).collect();
            by_directory = BTreeMap::from([(common, all)]);
        }
        let mut alarms = Vec::new();
        // The largest loss first; there are few.
        let mut by_directory: Vec<_> = by_directory.into_iter().collect();
        by_directory.sort_by_key(|(_, plots)| std::cmp::Reverse(plots.len()));
        for (directory, mut plots) in by_directory {
            let is_whole = plots.len() > 1 && !has_plots_in(&slot.lists, &directory);
            if !is_whole {
                plots.retain(|_, lost| !slot.lists.failed.contains(&lost.path));
            }
            if !is_whole && plots.len() * 100 <= before {
                continue;
            }
            if slot.lost.len() >= MAX_LOST_GROUPS && !slot.lost.contains_key(&directory) {
                continue;
            }
            let known = slot.lost.entry(directory.clone()).or_default();
            let room = MAX_LOST_PLOTS.saturating_sub(known.len());
            known.extend(plots.into_iter().take(room));
            alarms.push(lost_alarm(id, &slot.name, &directory, known));
        }
        self.forget_removed_plots(id, removed);
        for alarm in alarms {
            self.raise(now, alarm);
        }
    }

    /// What was removed is not remembered, unless it is missed, or another machine with the same certificate has it.
    fn forget_removed_plots(&mut self, id: HarvesterId, removed: &[(Box<str>, PlotId)]) {
        let Some(slot) = self.harvesters.get(id) else { return };
        let certificate = slot.peer.peer_id;
        let is_missed = |plot_id: &PlotId| slot.lost.values().any(|lost| lost.contains_key(plot_id));
        let is_here = |holder| {
            self.harvesters
                .get(holder)
                .is_some_and(|it| it.peer.peer_id == certificate)
        };
        let gone = removed.iter().map(|(_, plot_id)| *plot_id);
        let forgotten = gone.filter(|it| !is_missed(it) && !self.shared_plots.holders_of(it).any(is_here));
        self.forget_plots(certificate, forgotten.collect());
    }

    /// A harvester does not have these plots any more, and nobody is to be told of it (again).
    pub(super) fn forget_plots(&mut self, certificate: PeerId, plots: Vec<PlotId>) {
        if !plots.is_empty() {
            let news = PlotNews::Forgotten { certificate, plots };
            self.outputs.push_back(Output::PlotNews(news));
        }
    }
}

fn lost_alarm(harvester: HarvesterId, name: &str, directory: &str, lost: &BTreeMap<PlotId, LostPlot>) -> AlarmKind {
    AlarmKind::PlotsLost {
        harvester,
        name: name.to_owned(),
        lost: lost.len() as u64,
        directory: (!directory.is_empty()).then(|| directory.to_owned()),
    }
}

fn has_plots_in(lists: &PlotLists, directory: &str) -> bool {
    let from = (Bound::Included(directory), Bound::Unbounded);
    let below = lists.plots.range::<str, _>(from).map(|(path, _)| &**path);
    below
        .take_while(|path| path.starts_with(directory))
        .any(|path| directory_of(path) == directory)
}

/// Harvesters of a farm that has just been started come within a minute, and drives are mounted by then.
const MISSING_FOR: Duration = Duration::from_secs(120);

/// If plots vanish from more directories at once, it is no single drive.
const MAX_LOST_DIRECTORIES: usize = 8;

/// Bounds for a harvester that invents plots and removes them again.
const MAX_LOST_GROUPS: usize = 64;
const MAX_LOST_PLOTS: usize = 100_000;
