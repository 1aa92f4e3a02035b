//! What a harvester shows of itself: a [`MachineSnapshot`], made while somebody watches and only then.
//!
//! Its parts write down what happens as it happens; a picture is taken of that at most four times a second, on the
//! runtime, never by a thread that looks up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::findings::{Findings, VolumeFound};
use super::inventory::GoneVolume;
use super::volumes::{VolumeReport, Volumes};
use crate::clock::Now;
use crate::snapshot::{
    Concern, ENDS_KEPT, FarmerLinkView, LOOKUPS_KEPT, LookupView, MachineSnapshot, SNAPSHOT_VERSION, ScanView,
    UnlistedDirectory, VolumeState, VolumeView,
};
use crate::system_clock::{Clock, SetWatch};

/// A harvester as seen from outside: pictures of it, and a place to write down how its farmer is reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StatusHandle {
    board: Arc<Board>,
}

#[derive(Debug)]
struct Board {
    clock: Clock,
    network: String,
    findings: watch::Receiver<Arc<Findings>>,
    volumes: Arc<Volumes>,
    pictures: watch::Sender<Arc<MachineSnapshot>>,
    state: Mutex<State>,
}

/// What is written down.
#[derive(Debug, Default)]
struct State {
    started_at_unix_ms: u64,
    set_watch: SetWatch,
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
        let mut state = State {
            started_at_unix_ms: started.unix.0,
            ..State::default()
        };
        state.farmer.since_unix_ms = started.unix.0;
        Self {
            board: Arc::new(Board {
                clock,
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

    /// A connection has ended, and not from here; why, as a fragment.
    pub(super) fn note_end(&self, why: &str) {
        let now = self.board.clock.now();
        let farmer = &mut self.board.state().farmer;
        if farmer.ended_at_unix_ms.len() >= ENDS_KEPT {
            farmer.ended_at_unix_ms.remove(0);
        }
        farmer.ended_at_unix_ms.push(now.unix.0);
        farmer.last_end = Some(why.to_owned());
    }

    /// What is known of the farmer and of the way to it.
    #[must_use]
    pub fn farmer(&self) -> FarmerLinkView {
        self.board.state().farmer.clone()
    }

    /// Waits until what is wrong with the settings file, as the last refresh found it, is something else than `told`.
    pub(crate) async fn other_settings_trouble(&self, told: Option<&String>) -> Option<String> {
        let mut findings = self.board.findings.clone();
        let other = findings.wait_for(|it| it.settings_trouble.as_ref() != told).await;
        match other.map(|findings| findings.settings_trouble.clone()) {
            Ok(trouble) => trouble,
            // There will be no refresh any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until plot directories that give nothing, as the last finished refresh found them, are others than `told`.
    pub(crate) async fn other_unlisted(&self, told: &[UnlistedDirectory]) -> Vec<UnlistedDirectory> {
        let mut findings = self.board.findings.clone();
        let other = findings.wait_for(|it| it.finished && it.unlisted() != told).await;
        match other.map(|findings| findings.unlisted()) {
            Ok(unlisted) => unlisted,
            // There will be no refresh any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// What is wrong with drives that are there.
    pub(crate) fn drive_troubles(&self) -> Vec<Concern> {
        let picture = self.board.picture(&mut self.board.state());
        let concerns = picture.concerns().into_iter();
        concerns.filter(|it| it.drive().is_some()).collect()
    }

    /// A signage point was answered.
    pub(super) fn add_lookup(&self, lookup: LookupView) {
        let lookups = &mut self.board.state().lookups;
        if lookups.len() >= LOOKUPS_KEPT {
            lookups.pop_front();
        }
        lookups.push_back(lookup);
    }

    /// So many proofs or partial proofs were sent.
    pub(super) fn add_proofs(&self, proofs: u32) {
        self.board.state().proofs += u64::from(proofs);
    }
}

impl State {
    /// Somebody has set the wall clock: ages stay what they are.
    fn handle_clock_set(&mut self, by_ms: i64) {
        let farmer = &mut self.farmer;
        let ends = farmer
            .ended_at_unix_ms
            .iter_mut()
            .chain(&mut farmer.last_signage_point_unix_ms);
        let others = [&mut self.started_at_unix_ms, &mut farmer.since_unix_ms];
        for at in ends.chain(others).chain(&mut self.facts.scan.finished_at_unix_ms) {
            *at = at.saturating_add_signed(by_ms);
        }
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(by_ms) = state.set_watch.poll() {
            state.handle_clock_set(by_ms);
        }
        state
    }

    fn picture(&self, state: &mut State) -> MachineSnapshot {
        let findings = Arc::clone(&self.findings.borrow());
        let now = self.clock.now();
        if state.facts.revision != findings.revision {
            state.facts = Facts::of(&findings, now, &state.facts);
        }
        let facts = &state.facts;
        let mut volumes: BTreeMap<&str, VolumeView> = BTreeMap::new();
        let mut stale_dropped = 0;
        for found in &findings.volumes {
            let report = self.volumes.report(found.volume).unwrap_or_default();
            stale_dropped += report.record.stale;
            add(volumes.entry(&found.name).or_default(), found, report);
        }
        for (name, gone) in &findings.gone {
            volumes.entry(name).or_insert_with(|| gone_volume(name, gone));
        }
        MachineSnapshot {
            snapshot_version: SNAPSHOT_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.network.clone(),
            taken_at_unix_ms: now.unix.0,
            started_at_unix_ms: state.started_at_unix_ms,
            farmer: state.farmer.clone(),
            scan: facts.scan,
            counts: findings.counts,
            plot_bytes: findings.volumes.iter().map(|volume| volume.plot_bytes).sum(),
            stale_dropped,
            volumes: volumes.into_values().collect(),
            lookups: state.lookups.iter().copied().collect(),
            troubles: findings.troubles.clone(),
            proofs: state.proofs,
            settings_trouble: findings.settings_trouble.clone(),
        }
    }
}

/// Adds a file system that is there, with what it has done, to the volume of its name; most often it is the only one.
fn add(view: &mut VolumeView, found: &VolumeFound, report: VolumeReport) {
    let VolumeReport {
        state,
        record,
        percentiles: (p50_us, p95_us),
        busy,
    } = report;
    found.name.clone_into(&mut view.name);
    if view.state == VolumeState::Fine || matches!(state, VolumeState::Sick { .. }) {
        view.state = state;
    }
    view.plots += found.plots;
    view.plot_bytes += found.plot_bytes;
    view.not_farmed += found.not_farmed;
    view.lookups += record.lookups;
    view.p50_us = view.p50_us.max(p50_us);
    view.p95_us = view.p95_us.max(p95_us);
    view.max_us = view.max_us.max(record.max_us);
    view.errors += record.errors;
    view.last_error = record.last_error.or_else(|| view.last_error.take());
    view.damaged += record.damaged;
    if let Some((at, error)) = record.last_damage
        && view.last_damage_unix_ms.is_none_or(|known| known < at.0)
    {
        view.last_damage_unix_ms = Some(at.0);
        view.last_damage = Some(error);
    }
    if let Some((at, error)) = record.last_want
        && view.last_want_unix_ms.is_none_or(|known| known < at.0)
    {
        view.last_want_unix_ms = Some(at.0);
        view.last_want = Some(error);
    }
    view.missed += record.missed;
    view.busy = view.busy.saturating_add(u32::try_from(busy).unwrap_or(u32::MAX));
}

/// A volume that had plots.
fn gone_volume(name: &str, gone: &GoneVolume) -> VolumeView {
    VolumeView {
        name: name.to_owned(),
        state: VolumeState::Gone {
            since_unix_ms: gone.since_unix_ms,
        },
        plots: gone.plots,
        plot_bytes: gone.bytes,
        ..VolumeView::default()
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

/// The refresh, as of the newest findings.
#[derive(Debug, Default)]
struct Facts {
    revision: u64,
    scan: ScanView,
}

impl Facts {
    fn of(findings: &Findings, now: Now, before: &Self) -> Self {
        let count = |files: usize| u64::try_from(files).unwrap_or(u64::MAX);
        let finished_at = findings.finished.then_some(now.unix.0);
        Self {
            revision: findings.revision,
            scan: ScanView {
                running: !findings.finished,
                done: findings.progress.0,
                total: findings.progress.1,
                took_ms: u64::try_from(findings.took.as_millis()).unwrap_or(u64::MAX),
                finished_at_unix_ms: finished_at.or(before.scan.finished_at_unix_ms),
                loaded: count(findings.changes.loaded),
                removed: count(findings.changes.removed),
            },
        }
    }
}

/// Time between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(250);

/// When nothing happens, a picture tells at least the time so often.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod clock_tests {
    use super::*;

    #[test]
    fn clock_that_is_set_makes_nothing_older() {
        let mut state = State {
            started_at_unix_ms: 60_000,
            ..State::default()
        };
        state.farmer.since_unix_ms = 70_000;
        state.farmer.last_signage_point_unix_ms = Some(80_000);
        state.farmer.ended_at_unix_ms = vec![65_000, 66_000];
        state.handle_clock_set(1_800_000_000_000);
        let farmer = &state.farmer;
        assert_eq!(
            (state.started_at_unix_ms, farmer.since_unix_ms),
            (1_800_000_060_000, 1_800_000_070_000)
        );
        assert_eq!(farmer.last_signage_point_unix_ms, Some(1_800_000_080_000));
        assert_eq!(farmer.ended_at_unix_ms, [1_800_000_065_000, 1_800_000_066_000]);
    }
}
