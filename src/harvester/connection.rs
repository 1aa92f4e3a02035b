//! What a harvester knows of one connection to a farmer: what the farmer was told of the plots, and what it asked for
//! that is still being done. All of it ends with the connection.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::file::plot_name;
use super::findings::{Findings, Plots};
use super::plot::LoadedPlot;
use super::queue::Tally;
use super::sync::{Progress, SyncContent, SyncSender};
use crate::clock::{Mono, Now};
use crate::logging::target::HARVESTER;
use crate::net::{Backoff, WithId, chance};
use crate::snapshot::{FarmerLinkState, SyncRefusalView};
use crate::wire::{FromHarvester, HarvesterHandshake, NewSignagePointHarvester, PlotSyncResponse};

/// What ends with a connection.
pub(super) struct Connection {
    pub(super) to_farmer: mpsc::Sender<WithId<FromHarvester>>,
    /// The farmer has said which keys it farms with.
    pub(super) is_ready: bool,
    pub(super) sync: SyncSender,
    /// The plots the farmer knows of; `None` before the first sync is complete.
    told: Option<Plots>,
    /// The plots it will know of when the running sync is complete.
    telling: Plots,
    /// The findings it knows of, if it knows all of them.
    pub(super) told_revision: Option<u64>,
    pub(super) start_over_at: Option<Instant>,
    start_over_after: Backoff,
    /// What the farmer refuses, until it has taken all once.
    refused: Option<SyncRefusalView>,
    lookups: VecDeque<Lookup>,
    pub(super) tasks: JoinSet<()>,
    /// Ends the look-ups when the connection does.
    ended: CancellationToken,
    _ended: DropGuard,
}

/// A signage point that is being looked up.
struct Lookup {
    point: Arc<NewSignagePointHarvester>,
    /// Stopped when nothing more can come of it, too.
    tally: Arc<Tally>,
}

impl Connection {
    pub(super) fn new(to_farmer: mpsc::Sender<WithId<FromHarvester>>) -> Self {
        let ended = CancellationToken::new();
        Self {
            to_farmer,
            is_ready: false,
            sync: SyncSender::default(),
            told: None,
            telling: Plots::new(),
            told_revision: None,
            start_over_at: None,
            start_over_after: Backoff::DEFAULT,
            refused: None,
            lookups: VecDeque::new(),
            tasks: JoinSet::new(),
            _ended: ended.clone().drop_guard(),
            ended,
        }
    }

    /// Makes room for a signage point that came `now`; `None` if that very one is being looked up. When too many are, the
    /// oldest is answered with what was found for it.
    pub(super) fn admit(
        &mut self,
        now: Mono,
        point: NewSignagePointHarvester,
    ) -> Option<(Arc<NewSignagePointHarvester>, Arc<Tally>)> {
        self.lookups.retain(|lookup| !lookup.tally.stop().is_cancelled());
        let is_known = |lookup: &Lookup| *lookup.point == point && !lookup.tally.is_answered();
        if self.lookups.iter().any(is_known) {
            tracing::debug!(target: HARVESTER, "signage point {} came twice", point.sp_hash);
            return None;
        }
        if self.lookups.len() >= MAX_LOOKUPS
            && let Some(oldest) = self.lookups.pop_front()
        {
            if !oldest.tally.is_answered() {
                tracing::warn!(
                    target: HARVESTER,
                    "signage point {} is given up: {MAX_LOOKUPS} newer ones are being looked up", oldest.point.sp_hash
                );
            }
            oldest.tally.stop().cancel();
        }
        for older in self.lookups.iter().filter(|older| older.point.sp_hash != point.sp_hash) {
            older.tally.supersede();
        }
        let lookup = Lookup {
            point: Arc::new(point),
            tally: Arc::new(Tally::new(now, self.ended.child_token())),
        };
        let admitted = (Arc::clone(&lookup.point), Arc::clone(&lookup.tally));
        self.lookups.push_back(lookup);
        Some(admitted)
    }

    /// What the connection is doing, with these keys and so many plots.
    pub(super) fn state(&self, keys: Option<&HarvesterHandshake>, plots: usize) -> FarmerLinkState {
        let has_keys = |keys: &&HarvesterHandshake| !keys.farmer_public_keys.is_empty();
        if !self.is_ready || keys.filter(has_keys).is_none() {
            return FarmerLinkState::NoKeys;
        }
        if self.told_revision.is_some() && self.sync.is_idle() {
            return FarmerLinkState::Synced;
        }
        let count = |plots: usize| u64::try_from(plots).unwrap_or(u64::MAX);
        FarmerLinkState::Syncing {
            told: self.told.as_ref().map_or(0, |told| count(told.len())),
            total: count(plots),
        }
    }

    /// Begins a plot sync if the farmer does not know all that was found.
    pub(super) fn tell(&mut self, now: Now, findings: &Findings, plots: &Plots) {
        let known = findings.revision == 0 || self.told_revision == Some(findings.revision) || !findings.is_for_farmer;
        if known || !self.sync.is_idle() || self.start_over_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.start_over_at = None;
        let initial = self.told.is_none();
        let Difference {
            loaded,
            removed,
            then,
            is_all,
        } = difference(self.told.as_ref(), plots);
        self.telling = then;
        self.told_revision = is_all.then_some(findings.revision);
        let content = SyncContent {
            initial,
            loaded,
            removed,
            invalid: findings.failed.clone(),
            keys_missing: findings.no_key.clone(),
            duplicates: findings.duplicates.clone(),
            files: findings.files,
            duration: findings.took,
        };
        self.sync.begin(now, content);
    }

    /// What the farmer refuses of the plots, each time it is told of them.
    pub(super) const fn refused(&self) -> Option<&SyncRefusalView> {
        self.refused.as_ref()
    }

    pub(super) fn handle_response(&mut self, now: Now, response: &PlotSyncResponse) {
        match self.sync.handle_response(response) {
            Progress::Ignored | Progress::Continues => {}
            Progress::Complete => {
                self.told = Some(std::mem::take(&mut self.telling));
                self.refused = None;
                self.start_over_after.handle_success();
            }
            Progress::StartOver { reason } => {
                let reason: String = reason
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(LONGEST_REASON)
                    .collect();
                let text = format!("farmer refused the plot sync: {reason}; starting over");
                if self.refused.as_ref().is_some_and(|before| before.reason == reason) {
                    tracing::debug!(target: SYNC_SENDER, "{text}");
                } else {
                    tracing::warn!(target: SYNC_SENDER, "{text}");
                }
                let since_unix_ms = self.refused.as_ref().map_or(now.unix.0, |before| before.since_unix_ms);
                self.refused = Some(SyncRefusalView { since_unix_ms, reason });
                self.told = None;
                self.told_revision = None;
                self.start_over_at = Some(Instant::now() + self.start_over_after.handle_failure(chance()));
            }
        }
    }
}

/// What a farmer has to be told.
struct Difference {
    loaded: Vec<Arc<LoadedPlot>>,
    removed: Vec<String>,
    /// What it knows then.
    then: Plots,
    /// Whether that is everything. A name that stands for another plot than before is removed in one sync and loaded in
    /// the next: farmers refuse to load a name they have.
    is_all: bool,
}

fn difference(told: Option<&Plots>, plots: &Plots) -> Difference {
    let nothing = Plots::new();
    let told = told.unwrap_or(&nothing);
    let mut difference = Difference {
        loaded: Vec::new(),
        removed: Vec::new(),
        then: Plots::new(),
        is_all: true,
    };
    for (path, plot) in plots {
        match told.get(path) {
            // Told when its keys are known: there are newer findings then.
            None if plot.known_keys().is_none() => continue,
            None => difference.loaded.push(Arc::clone(plot)),
            Some(known) if Arc::ptr_eq(known, plot) || known.is_told_as(plot) => {}
            Some(_) => {
                difference.is_all = false;
                continue;
            }
        }
        difference.then.insert(path.clone(), Arc::clone(plot));
    }
    difference.removed = told
        .keys()
        .filter(|path| !difference.then.contains_key(*path))
        .map(|path| plot_name(path))
        .collect();
    difference
}

/// Logger of the official software for plot sync.
const SYNC_SENDER: &str = "chia.plot_sync.sender";

/// Signage points that may be looked up at the same time.
const MAX_LOOKUPS: usize = 8;

/// Characters of a farmer's words that are kept.
const LONGEST_REASON: usize = 200;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::super::testing::{keys, original, pooled};
    use super::*;

    #[test]
    fn a_file_that_was_written_again_with_the_same_plot_is_nothing_to_tell() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot");
        let plots_with = |content: &std::path::Path, age_s: u64| {
            fs::copy(content, &path).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(age_s);
            file.set_modified(modified).unwrap();
            let plot = Arc::new(LoadedPlot::open(&path, &keys()).unwrap());
            Plots::from([(plot.plot_path().clone(), plot)])
        };
        let told = plots_with(original(), 1);
        let same = difference(Some(&told), &plots_with(original(), 2));
        assert!(same.is_all && same.loaded.is_empty() && same.removed.is_empty());
        let other = difference(Some(&told), &plots_with(pooled(), 3));
        assert!(!other.is_all && other.removed.len() == 1);
    }
}
