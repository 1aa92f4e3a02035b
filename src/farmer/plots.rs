//! What harvesters say they have: plot syncs are answered, and changes are noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Farmer;
use super::connections::SYNC_STALLS_AFTER;
use super::output::Output;
use super::plot_lists::{Completeness, PlotLists, common_directory};
use super::plot_news::{Comparison, ListedPlots, PlotNews, PlotPlace};
use super::plot_sync::{Finished, SyncError};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::SessionId;
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
        let news = match completeness {
            Completeness::Everything => None,
            Completeness::Difference => Some(update.added.iter().map(PlotPlace::from).collect()),
        };
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
        self.review_returned_plots(now);
        if is_first_of_session {
            self.wait_for_plots(now, id, change.removed);
        } else if !self.hold_replaced_plots(now, id, files, &change) {
            self.review_lost_plots(now, id, change);
        }
        self.keep_plots(id, news);
        self.review_lists(now, id);
        self.review_shared_plots(now);
        self.review_unlisted_plots(now);
        self.review_pool_rewards(now);
        self.close_alarms(
            now,
            |kind| matches!(kind, AlarmKind::PlotSyncFailing { harvester, .. } if *harvester == id),
        );
        if is_first_of_session {
            self.catch_up(now, id);
        }
    }

    /// Has it kept which plots a harvester has: these are new, or (`None`) all of them.
    pub(super) fn keep_plots(&mut self, id: HarvesterId, added: Option<Vec<PlotPlace>>) {
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        let certificate = slot.peer.peer_id;
        let news = match added {
            Some(plots) if plots.is_empty() => return,
            Some(plots) => PlotNews::Added { certificate, plots },
            None if slot.comparison.is_over() => {
                slot.comparison = Comparison::UnderWay;
                PlotNews::Listed {
                    harvester: id,
                    certificate,
                    plots: ListedPlots::new(slot.lists.clone()),
                }
            }
            None => {
                slot.comparison = Comparison::Outdated;
                return;
            }
        };
        self.outputs.push_back(Output::PlotNews(news));
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
        // Those of a drive that is told of as lost are no second trouble.
        let lost = slot.lost.values().flat_map(BTreeMap::values);
        let told = lost.filter(|lost| slot.lists.failed.contains(&lost.path)).count();
        let alarms = [
            (
                slot.lists.failed.len().saturating_sub(told),
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
