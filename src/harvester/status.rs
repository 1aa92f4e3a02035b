//! What a harvester shows of itself: a [`MachineSnapshot`], made while somebody watches and only then.
//!
//! Its parts write down what happens as it happens; a picture is taken of that at most four times a second, on the
//! runtime, never by a thread that looks up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::findings::Findings;
use crate::clock::Now;
use crate::runtime::Clock;
use crate::snapshot::{
    FarmerLinkView, FileCounts, LOOKUPS_KEPT, LookupView, MachineSnapshot, PlotFileView, SNAPSHOT_VERSION, ScanView,
    VolumeState, VolumeView,
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
    pictures: watch::Sender<Arc<MachineSnapshot>>,
    state: Mutex<State>,
}

/// What is written down.
#[derive(Debug, Default)]
struct State {
    farmer: FarmerLinkView,
    lookups: VecDeque<LookupView>,
    stale_dropped: u64,
    proofs: u64,
    facts: Facts,
    /// Whether a task takes pictures.
    is_watched: bool,
}

impl StatusHandle {
    pub(super) fn new(clock: Clock, network: String, findings: watch::Receiver<Arc<Findings>>) -> Self {
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
            state.facts = Facts::of(&findings, now, &state.facts);
        }
        let facts = &state.facts;
        let is_there = |volume: &&VolumeView| !matches!(volume.state, VolumeState::Gone { .. });
        let farmed = facts.volumes.values().filter(is_there);
        MachineSnapshot {
            snapshot_version: SNAPSHOT_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.clone(),
            taken_at_unix_ms: now.unix.0,
            started_at_unix_ms: self.started.unix.0,
            farmer: state.farmer.clone(),
            scan: facts.scan,
            counts: facts.counts,
            plot_bytes: farmed.map(|volume| volume.plot_bytes).sum(),
            volumes: facts.volumes.values().cloned().collect(),
            lookups: state.lookups.iter().copied().collect(),
            troubles: facts.troubles.clone(),
            stale_dropped: state.stale_dropped,
            proofs: state.proofs,
        }
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
    /// By name.
    volumes: BTreeMap<String, VolumeView>,
    troubles: Vec<PlotFileView>,
}

impl Facts {
    fn of(findings: &Findings, now: Now, before: &Self) -> Self {
        let mut volumes: BTreeMap<String, VolumeView> = BTreeMap::new();
        for found in &findings.volumes {
            let view = volumes.entry(found.name.clone()).or_default();
            view.name.clone_from(&found.name);
            view.plots += found.plots;
            view.plot_bytes += found.plot_bytes;
            view.not_farmed += found.not_farmed;
        }
        for (name, gone) in &findings.gone {
            volumes.insert(
                name.clone(),
                VolumeView {
                    name: name.clone(),
                    state: VolumeState::Gone {
                        since_unix_ms: gone.since_unix_ms,
                    },
                    plots: gone.plots,
                    plot_bytes: gone.bytes,
                    ..VolumeView::default()
                },
            );
        }
        let count = |files: usize| u64::try_from(files).unwrap_or(u64::MAX);
        Self {
            revision: findings.revision,
            scan: ScanView {
                running: !findings.finished,
                done: findings.progress.0,
                total: findings.progress.1,
                took_ms: u64::try_from(findings.took.as_millis()).unwrap_or(u64::MAX),
                finished_at_unix_ms: if findings.finished {
                    Some(now.unix.0)
                } else {
                    before.scan.finished_at_unix_ms
                },
                loaded: count(findings.changes.loaded),
                removed: count(findings.changes.removed),
            },
            counts: findings.counts,
            volumes,
            troubles: findings.troubles.clone(),
        }
    }
}

/// Time between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(250);

/// When nothing happens, a picture tells at least the time so often.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
