//! What a harvester shows of itself: a [`MachineSnapshot`], made while somebody watches and only then.
//!
//! Its parts write down what happens as it happens; a picture is taken of that at most four times a second, on the
//! runtime, never by a thread that looks up.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::findings::Findings;
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
            state.facts = Facts::of(&findings, now, std::mem::take(&mut state.facts));
        }
        let facts = &state.facts;
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
            volumes: facts.volumes.values().cloned().collect(),
            lookups: state.lookups.iter().copied().collect(),
            troubles: Vec::new(),
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
                loaded: count(findings.changes.loaded),
                removed: count(findings.changes.removed),
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

/// Where file systems are mounted.
struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// As the system says; nothing where it does not say it in Linux' way.
    fn of_this_machine() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// `mountinfo` as in proc(5): the mount point is the fifth field, with odd characters in octal.
    fn parse(mountinfo: &str) -> Self {
        let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
        Self(points.map(unescape).collect())
    }

    /// The innermost mount point above a file; without one, the file's directory.
    fn name_for(&self, file: &Path) -> String {
        let above = self.0.iter().filter(|point| file.starts_with(point));
        let innermost = above.max_by_key(|point| point.as_os_str().len()).map(PathBuf::as_path);
        let name = innermost.or_else(|| file.parent()).unwrap_or(file);
        name.display().to_string()
    }
}

/// Turns `\040` into a space, and so on.
fn unescape(field: &str) -> PathBuf {
    let mut pieces = field.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match (code, piece.get(3..)) {
            (Some(code), Some(rest)) => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            _ => {
                text.push('\\');
                text.push_str(piece);
            }
        }
    }
    text.into()
}

/// Time between two pictures.
const PICTURE_EVERY: Duration = Duration::from_millis(250);

/// When nothing happens, a picture tells at least the time so often.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_called_by_its_innermost_mount_point() {
        let mounts = Mounts::parse(
            "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
             30 22 8:17 / /mnt/d01 rw - xfs /dev/sdb1 rw\n\
             31 22 8:33 / /mnt/my\\040disk rw - xfs /dev/sdc1 rw\n",
        );
        assert_eq!(mounts.name_for(Path::new("/mnt/d01/p/a.plot")), "/mnt/d01");
        assert_eq!(mounts.name_for(Path::new("/mnt/d011/a.plot")), "/");
        assert_eq!(mounts.name_for(Path::new("/mnt/my disk/a.plot")), "/mnt/my disk");
        assert_eq!(Mounts::parse("").name_for(Path::new("/p/q/a.plot")), "/p/q");
    }
}
