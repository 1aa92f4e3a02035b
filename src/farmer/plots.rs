//! What harvesters say they have: plot syncs are answered, changes are noticed, lost plots are grouped by drive.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use super::Farmer;
use super::connections::SYNC_STALLS_AFTER;
use super::harvesters::LostPlot;
use super::output::Output;
use super::plot_lists::{Change, PlotLists, common_directory, directory_of};
use super::plot_sync::{Finished, SyncError};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::{PlotId, SessionId};
use crate::snapshot::{AlarmKind, CrossCheckView, DisconnectCause, HarvesterId, Notice, PlotChangeView};
use crate::wire::{PlotSync, PlotSyncResponse, RespondPlots, ToHarvester};

impl Farmer {
    /// A harvester sent a message of a plot sync.
    pub(super) fn handle_plot_sync(&mut self, now: Now, id: HarvesterId, message: PlotSync) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let Some(session) = &mut slot.session else { return };
        let identifier = *message.identifier();
        let message_type = i16::from(message.message_type().as_u8());
        let result = session.receiver.handle(&slot.lists, message);
        let session_id = session.id;
        let is_new = !matches!(result, Err(SyncError::Repeated { .. }));
        if is_new {
            session.sync_moved = now.mono;
        }
        if is_new && !session.synced {
            self.timers
                .set(Timer::PlotSync(session_id), now.mono + SYNC_STALLS_AFTER);
        }
        if matches!(result, Err(SyncError::TooMuch)) {
            return self.close(now, session_id, &SyncError::TooMuch);
        }
        let error = result.as_ref().err().map(SyncError::to_wire);
        let response = PlotSyncResponse {
            identifier,
            message_type,
            error,
        };
        self.send(now, id, None, ToHarvester::PlotSyncResponse(response));
        match result {
            Ok(None) | Err(SyncError::Repeated { .. }) => {}
            Ok(Some(finished)) => self.apply_lists(now, id, finished),
            Err(error) => self.note_sync_error(now, id, error.to_string()),
        }
    }

    /// The first plot sync of a connection has not moved for too long.
    pub(super) fn handle_plot_sync_timer(&mut self, now: Now, session: SessionId) {
        let Some(id) = self.harvesters.of_session(session) else {
            return;
        };
        let minutes = SYNC_STALLS_AFTER.as_secs() / 60;
        let error = format!("nothing came for {minutes} minutes");
        self.raise(
            now,
            AlarmKind::PlotSyncFailing {
                harvester: id,
                name: self.harvesters.name(id),
                error,
            },
        );
    }

    /// Applies lists that are complete, and draws the consequences.
    pub(super) fn apply_lists(&mut self, now: Now, id: HarvesterId, finished: Finished) {
        let Finished {
            update,
            completeness,
            files,
        } = finished;
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let Some(session) = &mut slot.session else { return };
        let is_first_of_session = !std::mem::replace(&mut session.synced, true);
        session.sync_errors = 0;
        let session_id = session.id;
        let was_known = slot.last_sync.replace(now.unix).is_some();
        slot.last_sync_error = None;
        let change = slot.lists.apply(&self.config.constants, update, completeness);
        if is_first_of_session {
            for plot in slot.lists.plots.values() {
                self.shared_plots.insert(plot.plot_id, id);
            }
        } else {
            for plot_id in &change.added {
                self.shared_plots.insert(*plot_id, id);
            }
            for (_, plot_id) in &change.removed {
                self.shared_plots.remove(plot_id, id);
            }
        }
        let (name, plots) = (slot.name.clone(), slot.lists.plots.len() as u64);
        let (added, removed) = (change.added.len() as u64, change.removed.len() as u64);
        let removed_from = common_directory(change.removed.iter().map(|(path, _)| &**path));
        if was_known && added + removed > 0 {
            slot.last_plot_change = Some(PlotChangeView {
                at_unix_ms: now.unix.0,
                added,
                removed,
                removed_from: removed_from.clone(),
            });
        }
        self.timers.clear(Timer::PlotSync(session_id));
        if is_first_of_session || added + removed > 0 {
            self.notice(Notice::PlotSyncDone {
                harvester: id,
                name: name.to_string(),
                plots,
                added,
                removed,
                removed_from,
            });
        }
        self.review_returned_plots(now, &change.added);
        if is_first_of_session || !self.hold_replaced_plots(now, id, files, &change) {
            self.review_lost_plots(now, id, &change);
        }
        self.review_lists(now, id);
        self.review_shared_plots(now);
        self.review_unlisted_plots(now);
        self.close_alarms(
            now,
            |kind| matches!(kind, AlarmKind::PlotSyncFailing { harvester, .. } if *harvester == id),
        );
        if is_first_of_session {
            self.catch_up(now, id);
        }
    }

    /// Opens, updates or closes the alarm of plots that are farmed more than once.
    pub(super) fn review_shared_plots(&mut self, now: Now) {
        let plots = self.shared_plots.total();
        if plots == 0 {
            self.close_alarms(now, |kind| matches!(kind, AlarmKind::SharedPlots { .. }));
            return;
        }
        let harvesters = self
            .shared_plots
            .harvesters()
            .take(8)
            .map(|id| self.harvesters.name(id))
            .collect();
        self.raise(now, AlarmKind::SharedPlots { plots, harvesters });
    }

    /// Asks a harvester for its plots, if it is connected and not asked already.
    pub(super) fn begin_cross_check(&mut self, now: Now, id: HarvesterId) {
        let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut()) else {
            return;
        };
        if session.cross_check.is_some() {
            return;
        }
        let Some(request) = session.new_request_id() else {
            return;
        };
        session.cross_check = Some(request);
        self.timers
            .set(Timer::CrossCheck(session.id), now.mono + PLOTS_LISTED_WITHIN);
        self.send(now, id, Some(request), ToHarvester::RequestPlots);
    }

    /// A harvester has listed its plots.
    pub(super) fn handle_respond_plots(
        &mut self,
        now: Now,
        id: HarvesterId,
        envelope: Option<u16>,
        list: &RespondPlots,
    ) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let Some(session) = &mut slot.session else { return };
        let Some(request) = session
            .cross_check
            .filter(|request| envelope.is_none_or(|id| id == *request))
        else {
            return;
        };
        session.cross_check = None;
        session.requests.remove(&request);
        self.timers.clear(Timer::CrossCheck(session.id));
        let result = compare(now, &slot.lists, list);
        slot.cross_check = Some(result.clone());
        let name = slot.name.clone();
        self.notice(Notice::CrossChecked {
            harvester: id,
            name: name.to_string(),
            result,
        });
    }

    /// A harvester was asked for its plots and has not listed them.
    pub(super) fn handle_cross_check_timer(&mut self, session: SessionId) {
        if let Some(id) = self.harvesters.of_session(session) {
            if let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut())
                && let Some(request) = session.cross_check.take()
            {
                session.requests.remove(&request);
            }
            let reason = format!("no answer within {} s", PLOTS_LISTED_WITHIN.as_secs());
            self.fail_cross_check(id, &reason);
        }
    }

    /// A harvester will not list its plots any more.
    pub(super) fn fail_cross_check(&mut self, id: HarvesterId, reason: &str) {
        let name = self.harvesters.name(id);
        self.notice(Notice::CrossCheckFailed {
            harvester: id,
            name,
            reason: reason.to_owned(),
        });
    }

    fn close(&mut self, now: Now, session: SessionId, error: &SyncError) {
        let cause = DisconnectCause::ProtocolViolation {
            detail: error.to_string(),
        };
        self.outputs.push_back(Output::Close {
            session,
            cause: cause.clone(),
        });
        self.handle_disconnected(now, session, cause);
    }

    fn note_sync_error(&mut self, now: Now, id: HarvesterId, error: String) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let Some(session) = &mut slot.session else { return };
        session.sync_errors = session.sync_errors.saturating_add(1);
        let keeps_failing = session.sync_errors >= FAILING_FROM;
        slot.last_sync_error = Some(error.clone());
        let name = slot.name.clone();
        self.notice(Notice::PlotSyncRefused {
            name: name.to_string(),
            error: error.clone(),
        });
        if keeps_failing {
            self.raise(
                now,
                AlarmKind::PlotSyncFailing {
                    harvester: id,
                    name: name.to_string(),
                    error,
                },
            );
        }
    }

    /// Opens, updates or closes the alarms of files a harvester cannot use.
    fn review_lists(&mut self, now: Now, id: HarvesterId) {
        let Some(slot) = self.harvesters.get(id) else { return };
        let name = || slot.name.clone();
        let alarms = [
            (
                slot.lists.failed.len(),
                AlarmKind::FailedPlots {
                    harvester: id,
                    name: name().to_string(),
                    files: 0,
                },
            ),
            (
                slot.lists.no_key.len(),
                AlarmKind::NoKeyPlots {
                    harvester: id,
                    name: name().to_string(),
                    files: 0,
                },
            ),
            (
                slot.lists.duplicates.len(),
                AlarmKind::DuplicatePlots {
                    harvester: id,
                    name: name().to_string(),
                    files: 0,
                },
            ),
        ];
        for (count, mut alarm) in alarms {
            if count == 0 {
                self.close_alarm(now, &alarm);
                continue;
            }
            if let AlarmKind::FailedPlots { files, .. }
            | AlarmKind::NoKeyPlots { files, .. }
            | AlarmKind::DuplicatePlots { files, .. } = &mut alarm
            {
                *files = count as u64;
            }
            self.raise(now, alarm);
        }
    }

    /// Plots that were lost and are farmed again, here or on another harvester, are no longer lost.
    fn review_returned_plots(&mut self, now: Now, added: &[PlotId]) {
        let mut updated = Vec::new();
        for (id, slot) in self.harvesters.all_mut().filter(|(_, slot)| !slot.lost.is_empty()) {
            for (directory, lost) in &mut slot.lost {
                let before = lost.len();
                for plot_id in added {
                    lost.remove(plot_id);
                }
                if lost.len() < before {
                    updated.push(lost_alarm(id, &slot.name, directory, lost));
                }
            }
            slot.lost.retain(|_, lost| !lost.is_empty());
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
    fn hold_replaced_plots(&mut self, now: Now, id: HarvesterId, files: u64, change: &Change) -> bool {
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

    /// Plots that nobody farms any more are lost, if it is more than somebody tidying up: a whole directory, or more than
    /// one in a hundred.
    fn review_lost_plots(&mut self, now: Now, id: HarvesterId, change: &Change) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let held = std::mem::take(&mut slot.replaced).into_iter();
        let mut removed: Vec<_> = held.map(|(plot_id, lost)| (lost.path, plot_id)).collect();
        removed.extend(change.removed.iter().cloned());
        let before = (slot.lists.plots.len() + removed.len()).saturating_sub(change.added.len());
        // One whose file has another plot by now is not lost.
        let is_lost = |(path, plot_id): &&(Box<str>, PlotId)| {
            !self.shared_plots.is_farmed(plot_id) && !slot.lists.plots.contains_key(path)
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
        for (directory, plots) in by_directory {
            let is_whole = plots.len() > 1 && !has_plots_in(&slot.lists, &directory);
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
        for alarm in alarms {
            self.raise(now, alarm);
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

/// What a harvester listed against what was synced.
fn compare(now: Now, known: &PlotLists, list: &RespondPlots) -> CrossCheckView {
    let listed: BTreeSet<&str> = list.plots.iter().map(|plot| plot.filename.as_str()).collect();
    let missing: Vec<_> = known
        .plots
        .keys()
        .map(|path| &**path)
        .filter(|path| !listed.contains(path))
        .collect();
    let unexpected: Vec<_> = listed
        .iter()
        .copied()
        .filter(|path| !known.plots.contains_key(*path))
        .collect();
    let examples = missing
        .iter()
        .chain(&unexpected)
        .take(5)
        .map(|path| (*path).to_owned())
        .collect();
    CrossCheckView {
        at_unix_ms: now.unix.0,
        listed: listed.len() as u64,
        missing: missing.len() as u64,
        unexpected: unexpected.len() as u64,
        examples,
    }
}

/// Official software waits a minute for any answer.
const PLOTS_LISTED_WITHIN: Duration = Duration::from_secs(60);

/// One or two refused messages are how a harvester finds out that it must start again.
const FAILING_FROM: u32 = 3;

/// If plots vanish from more directories at once, it is no single drive.
const MAX_LOST_DIRECTORIES: usize = 8;

/// Bounds for a harvester that invents plots and removes them again.
const MAX_LOST_GROUPS: usize = 64;
const MAX_LOST_PLOTS: usize = 100_000;
