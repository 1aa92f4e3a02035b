//! What a harvester shows of itself: a [`MachineSnapshot`], made while somebody watches and only then.
//!
//! Its parts write down what happens as it happens; a picture is taken of that at most four times a second, on the
//! runtime, never by a thread that looks up.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::mounts::Mounts;
use super::scanner::Findings;
use super::volumes::Volumes;
use crate::clock::Now;
use crate::runtime::Clock;
use crate::snapshot::{
    FarmerLinkView, FileCounts, LOOKUPS_KEPT, LookupView, MachineSnapshot, SNAPSHOT_VERSION, ScanView, VolumeState,
    VolumeView,
};

/// A harvester as seen from outside: pictures of it, and a place to write down how its farmer is reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    board: Arc<Board>,
}

#[derive(Debug)]
struct Board {
    clock: Clock,
    started: Now,
    network: String,
    findings: watch::Receiver<Arc<Findings>>,
    volumes: Arc<Volumes>,
    pictures: watch::Sender<Arc<MachineSnapshot>>,
    state: Mutex<State>,
}

/// What is written down.
#[derive(Debug, Default)]
struct State {
    farmer: FarmerLinkView,
    lookups: VecDeque<LookupView>,
    proofs: u64,
    facts: Facts,
    /// Whether a task takes pictures.
    is_watched: bool,
}

impl StatusHandle {
    pub(super) fn new(
        clock: Clock,
        network: String,
        findings: watch::Receiver<Arc<Findings>>,
        volumes: Arc<Volumes>,
    ) -> Self {
        let (pictures, _) = watch::channel(Arc::default());
        let started = clock.now();
        let mut state = State::default();
        state.farmer.since_unix_ms = started.unix.0;
        Self {
            board: Arc::new(Board {
                clock,
                started,
                network,
                findings,
                volumes,
                pictures,
                state: Mutex::new(state),
            }),
        }
    }

    /// Pictures of the harvester, at most four a second, until the receiver is dropped. To be called in a runtime: while
    /// there are receivers, a task of it takes the pictures.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<MachineSnapshot>> {
        let mut state = self.board.state();
        let receiver = self.board.pictures.subscribe();
        self.board
            .pictures
            .send_replace(Arc::new(self.board.picture(&mut state)));
        if !state.is_watched {
            state.is_watched = true;
            tokio::spawn(take_pictures(Arc::downgrade(&self.board)));
        }
        receiver
    }

    /// Changes what is known of the farmer and of the way to it. When `change` gives it another kind of state, `since`
    /// begins anew.
    pub fn change_farmer(&self, change: impl FnOnce(&mut FarmerLinkView)) {
        let now = self.board.clock.now();
        let farmer = &mut self.board.state().farmer;
        let before = std::mem::discriminant(&farmer.state);
        change(farmer);
        if std::mem::discriminant(&farmer.state) != before {
            farmer.since_unix_ms = now.unix.0;
        }
    }

    /// What is known of the farmer and of the way to it.
    #[must_use]
    pub fn farmer(&self) -> FarmerLinkView {
        self.board.state().farmer.clone()
    }

    /// A signage point was answered.
    pub(super) fn add_lookup(&self, lookup: LookupView) {
        let lookups = &mut self.board.state().lookups;
        if lookups.len() >= LOOKUPS_KEPT {
            lookups.pop_front();
        }
        lookups.push_back(lookup);
    }

    /// A proof or partial proof was sent.
    pub(super) fn add_proof(&self) {
        self.board.state().proofs += 1;
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn picture(&self, state: &mut State) -> MachineSnapshot {
        let findings = Arc::clone(&self.findings.borrow());
        let now = self.clock.now();
        if state.facts.revision != findings.revision {
            state.facts = Facts::of(&findings, now, std::mem::take(&mut state.facts));
        }
        let facts = &state.facts;
        let volumes: Vec<_> = facts
            .volumes
            .iter()
            .map(|(number, facts)| self.volume(*number, facts))
            .collect();
        MachineSnapshot {
            snapshot_version: SNAPSHOT_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.clone(),
            taken_at_unix_ms: now.unix.0,
            started_at_unix_ms: self.started.unix.0,
            farmer: state.farmer.clone(),
            scan: facts.scan,
            counts: facts.counts,
            plot_bytes: facts.volumes.values().map(|volume| volume.plot_bytes).sum(),
            stale_dropped: volumes.iter().map(|(_, stale)| stale).sum(),
            volumes: volumes.into_iter().map(|(view, _)| view).collect(),
            lookups: state.lookups.iter().copied().collect(),
            troubles: Vec::new(),
            proofs: state.proofs,
        }
    }
}

impl Board {
    /// A volume with what it has done, and how many of its look-ups were too old.
    fn volume(&self, number: u64, facts: &VolumeView) -> (VolumeView, u64) {
        let Some(report) = self.volumes.report(number) else {
            return (facts.clone(), 0);
        };
        let view = VolumeView {
            state: match facts.state {
                gone @ VolumeState::Gone { .. } => gone,
                _ => report.state,
            },
            lookups: report.record.lookups,
            p50_us: report.percentiles.0,
            p95_us: report.percentiles.1,
            max_us: report.record.max_us,
            errors: report.record.errors,
            last_error: report.record.last_error,
            missed: report.record.missed,
            busy: u32::try_from(report.busy).unwrap_or(u32::MAX),
            ..facts.clone()
        };
        (view, report.record.stale)
    }
}

/// Takes pictures until nobody watches.
async fn take_pictures(board: Weak<Board>) {
    loop {
        sleep(PICTURE_EVERY).await;
        let Some(board) = board.upgrade() else { return };
        let mut state = board.state();
        if board.pictures.receiver_count() == 0 {
            state.is_watched = false;
            return;
        }
        let new = board.picture(&mut state);
        drop(state);
        board.pictures.send_if_modified(|last| {
            let waited = new.taken_at_unix_ms.abs_diff(last.taken_at_unix_ms);
            let same = MachineSnapshot {
                taken_at_unix_ms: last.taken_at_unix_ms,
                ..new.clone()
            };
            let is_news = same != **last || u128::from(waited) >= CLOCK_EVERY.as_millis();
            if is_news {
                *last = Arc::new(new);
            }
            is_news
        });
    }
}

/// What follows from the findings; worked out once for each.
#[derive(Debug, Default)]
struct Facts {
    revision: u64,
    scan: ScanView,
    counts: FileCounts,
    /// By number of the file system.
    volumes: BTreeMap<u64, VolumeView>,
}

impl Facts {
    fn of(findings: &Findings, now: Now, before: Self) -> Self {
        let mut volumes = before.volumes;
        let mounts = Mounts::of_this_machine();
        let mut found: BTreeMap<u64, (u64, u64, PathBuf)> = BTreeMap::new();
        for plot in findings.plots.values() {
            let (plots, bytes, _) = found
                .entry(plot.volume())
                .or_insert_with(|| (0, 0, plot.path().to_owned()));
            *plots += 1;
            *bytes += plot.stamp().size;
        }
        for (volume, view) in &mut volumes {
            if !found.contains_key(volume) && !matches!(view.state, VolumeState::Gone { .. }) {
                view.state = VolumeState::Gone {
                    since_unix_ms: now.unix.0,
                };
            }
        }
        for (volume, (plots, plot_bytes, example)) in found {
            let view = volumes.entry(volume).or_default();
            if view.name.is_empty() {
                view.name = mounts.name_for(&example);
            }
            if matches!(view.state, VolumeState::Gone { .. }) {
                view.state = VolumeState::Fine;
            }
            (view.plots, view.plot_bytes) = (plots, plot_bytes);
        }
        let count = |files: usize| u64::try_from(files).unwrap_or(u64::MAX);
        let took_ms = u64::try_from(findings.took.as_millis()).unwrap_or(u64::MAX);
        Self {
            revision: findings.revision,
            scan: ScanView {
                running: !findings.finished,
                done: count(findings.files),
                total: count(findings.files),
                took_ms,
                finished_at_unix_ms: if findings.finished {
                    Some(now.unix.0)
                } else {
                    before.scan.finished_at_unix_ms
                },
                loaded: count(findings.changes.0),
                removed: count(findings.changes.1),
            },
            counts: FileCounts {
                farmed: count(findings.plots.len()),
                failed: count(findings.failed.len()),
                no_key: count(findings.no_key.len()),
                duplicates: count(findings.duplicates.len()),
                ..FileCounts::default()
            },
            volumes,
        }
    }
}

/// Time between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(250);

/// When nothing happens, a picture tells at least the time so often.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
