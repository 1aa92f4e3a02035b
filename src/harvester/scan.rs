//! Finding plot files, and remembering what was found.
//!
//! Blocking: called on a thread that may wait for disks for ever. A refresh looks at every directory of the settings,
//! opens what is new or has changed, keeps what is still the same and forgets what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::file::FileStamp;
use super::plot::{LoadedPlot, OpenError};
use crate::ids::PlotId;
use crate::wire::HarvesterHandshake;

/// Where and how to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanOptions {
    /// Directories with plots.
    pub directories: Vec<PathBuf>,
    /// Look into directories below them.
    pub recursive: bool,
    /// Follow symbolic links to directories while doing so.
    pub follow_links: bool,
    /// A file that could not be opened is tried again after this time, or when it has changed.
    pub retry_invalid: Duration,
    /// Files opened before a pause, which leaves the disks to look-ups.
    pub batch_size: u32,
    /// That pause.
    pub batch_sleep: Duration,
}

/// All plot files and what is known of them.
#[derive(Debug, Default)]
pub struct Inventory {
    files: BTreeMap<PathBuf, Known>,
    by_id: BTreeMap<PlotId, PathBuf>,
    keys: Option<Arc<HarvesterHandshake>>,
    loaded: usize,
    removed: usize,
}

/// A file as it was when it was opened.
#[derive(Debug)]
struct Known {
    stamp: FileStamp,
    state: FileState,
}

/// What became of a file named like a plot.
#[derive(Debug)]
pub enum FileState {
    /// It is farmed.
    Farmed(Arc<LoadedPlot>),
    /// It cannot be opened.
    Failed {
        /// Why.
        reason: String,
        /// When that was tried.
        tried: Instant,
    },
    /// It was made for other keys.
    NoKey {
        /// For which.
        reason: String,
    },
    /// Its plot is farmed from another file.
    Duplicate {
        /// The plot.
        plot_id: PlotId,
        /// That file.
        of: PathBuf,
    },
    /// It is not whole yet.
    BeingCopied,
}

impl Inventory {
    /// Looks again. `now` is a moment of the monotonic clock; `progress` is called after each batch.
    pub fn refresh(
        &mut self,
        options: &ScanOptions,
        keys: &Arc<HarvesterHandshake>,
        now: Instant,
        progress: &mut dyn FnMut(&Self),
    ) {
        let found = find(options);
        (self.loaded, self.removed) = (0, 0);
        self.forget(&found, keys);
        let due: Vec<_> = found
            .into_iter()
            .filter(|(path, _)| self.is_due(path, options, now))
            .collect();
        let batch_size = usize::try_from(options.batch_size).unwrap_or(usize::MAX).max(1);
        for batch in due.chunks(batch_size) {
            for ((path, stamp), opened) in batch.iter().zip(open_all(batch, keys)) {
                let state = self.judge(path, opened, now);
                self.files.insert(path.clone(), Known { stamp: *stamp, state });
            }
            progress(self);
            thread::sleep(options.batch_sleep);
        }
    }

    /// All files named like plots.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &FileState)> {
        self.files.iter().map(|(path, known)| (path.as_path(), &known.state))
    }

    /// Plots that are farmed, by path.
    pub fn plots(&self) -> impl Iterator<Item = &Arc<LoadedPlot>> {
        self.files.values().filter_map(|known| match &known.state {
            FileState::Farmed(plot) => Some(plot),
            _ => None,
        })
    }

    /// Plots loaded and removed by the last refresh.
    #[must_use]
    pub const fn changes(&self) -> (usize, usize) {
        (self.loaded, self.removed)
    }

    /// The keys that files were judged by; none before the first refresh.
    #[must_use]
    pub const fn keys(&self) -> Option<&Arc<HarvesterHandshake>> {
        self.keys.as_ref()
    }

    /// Forgets files that are gone or have changed, and whatever other keys may change.
    fn forget(&mut self, found: &BTreeMap<PathBuf, FileStamp>, keys: &Arc<HarvesterHandshake>) {
        let other_keys = self.keys.replace(Arc::clone(keys)).as_ref() != Some(keys);
        let mut gone: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let (by_id, removed) = (&mut self.by_id, &mut self.removed);
        self.files.retain(|path, known| {
            let now = found.get(path);
            let FileState::Farmed(plot) = &known.state else {
                return now == Some(&known.stamp) && !(other_keys && matches!(known.state, FileState::NoKey { .. }));
            };
            let keep = now == Some(&known.stamp) && plot.check_keys(keys).is_ok();
            if !keep {
                by_id.remove(plot.plot_id());
                *removed += 1;
            }
            if now.is_none() {
                *gone.entry(path.parent().unwrap_or(path).to_owned()).or_default() += 1;
            }
            keep
        });
        for (directory, count) in gone {
            let plots = if count == 1 { "plot" } else { "plots" };
            tracing::warn!(target: MANAGER, "{}: {count} {plots} gone", directory.display());
        }
    }

    /// Whether a file must be opened.
    fn is_due(&self, path: &Path, options: &ScanOptions, now: Instant) -> bool {
        match self.files.get(path).map(|known| &known.state) {
            None => true,
            Some(FileState::Farmed(_) | FileState::NoKey { .. } | FileState::BeingCopied) => false,
            Some(FileState::Failed { tried, .. }) => now.saturating_duration_since(*tried) >= options.retry_invalid,
            Some(FileState::Duplicate { plot_id, of }) => self.by_id.get(plot_id) != Some(of),
        }
    }

    fn judge(&mut self, path: &Path, opened: Result<LoadedPlot, OpenError>, now: Instant) -> FileState {
        let plot = match opened {
            Ok(plot) => plot,
            Err(error @ OpenError::NoKey { .. }) => {
                tracing::warn!(target: MANAGER, "{error}");
                return FileState::NoKey {
                    reason: error.to_string(),
                };
            }
            Err(error @ OpenError::BeingCopied { .. }) => {
                tracing::warn!(target: MANAGER, "{error}");
                return FileState::BeingCopied;
            }
            Err(error) => {
                let reason = error.to_string();
                let known = self.files.get(path).map(|known| &known.state);
                if !matches!(known, Some(FileState::Failed { reason: before, .. }) if *before == reason) {
                    tracing::error!(target: MANAGER, "Failed to {reason}");
                }
                return FileState::Failed { reason, tried: now };
            }
        };
        if let Some(of) = self.by_id.get(plot.plot_id()) {
            let (of_path, copy) = (of.display(), path.display());
            tracing::warn!(target: MANAGER, "Have multiple copies of the plot {of_path}: {copy} is not farmed");
            return FileState::Duplicate {
                plot_id: *plot.plot_id(),
                of: of.clone(),
            };
        }
        self.by_id.insert(*plot.plot_id(), path.to_owned());
        self.loaded += 1;
        FileState::Farmed(Arc::new(plot))
    }
}

/// Opens files side by side, for it takes as long to work out the keys of a plot as to read it.
fn open_all(files: &[(PathBuf, FileStamp)], keys: &HarvesterHandshake) -> Vec<Result<LoadedPlot, OpenError>> {
    let open = |part: &[(PathBuf, FileStamp)]| part.iter().map(|(path, _)| LoadedPlot::open(path, keys)).collect();
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .clamp(2, MAX_OPENERS);
    let parts = files.chunks(files.len().div_ceil(threads).max(1));
    thread::scope(|scope| {
        let opening: Vec<_> = parts
            .map(|part| (part, thread::Builder::new().spawn_scoped(scope, move || open(part))))
            .collect();
        let opened = opening.into_iter().map(|(part, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => open(part),
        });
        opened.collect::<Vec<Vec<_>>>().into_iter().flatten().collect()
    })
}

/// Files opened at the same time, at most: look-ups need the disks too.
const MAX_OPENERS: usize = 8;

/// Logger of the official software for all this.
const MANAGER: &str = "chia.plotting.manager";

/// All files named like plots, as the official software finds them.
pub(super) fn find(options: &ScanOptions) -> BTreeMap<PathBuf, FileStamp> {
    let mut search = Search {
        options,
        visited: BTreeSet::new(),
        found: BTreeMap::new(),
    };
    for directory in &options.directories {
        match fs::canonicalize(directory) {
            Ok(directory) => search.walk(&directory, 0),
            Err(error) => {
                tracing::warn!(target: MANAGER, "Directory: {} does not exist. ({error})", directory.display());
            }
        }
    }
    search.found
}

struct Search<'a> {
    options: &'a ScanOptions,
    visited: BTreeSet<PathBuf>,
    found: BTreeMap<PathBuf, FileStamp>,
}

impl Search<'_> {
    fn walk(&mut self, directory: &Path, depth: u32) {
        if depth > MAX_DEPTH || !self.visited.insert(directory.to_owned()) {
            return;
        }
        let cannot_list = |error| tracing::warn!(target: MANAGER, "cannot list {}: {error}", directory.display());
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return cannot_list(error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.look_at(&entry, depth),
                Err(error) => cannot_list(error),
            }
        }
    }

    fn look_at(&mut self, entry: &fs::DirEntry, depth: u32) {
        let Ok(kind) = entry.file_type() else { return };
        let path = entry.path();
        let linked_directory = kind.is_symlink() && self.options.follow_links && path.is_dir();
        if kind.is_dir() || linked_directory {
            if self.options.recursive {
                let directory = fs::canonicalize(&path).unwrap_or(path);
                self.walk(&directory, depth + 1);
            }
        } else if is_plot_name(&path) {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    self.found.insert(path, FileStamp::of(&metadata));
                }
                // A FIFO, a device, a link to a directory.
                Ok(_) => {}
                // Opening it fails too, and then it is listed with the reason.
                Err(_) => {
                    self.found.insert(path, FileStamp::default());
                }
            }
        }
    }
}

/// Deepest directory that is looked into: a guard against file systems that never end.
const MAX_DEPTH: u32 = 64;

fn is_plot_name(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"));
    !hidden && path.extension().is_some_and(|e| e == "plot" || e == "plot2")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{foreign, keys, original, scan_options};
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    fn now() -> Instant {
        Instant::now()
    }

    fn refresh(inventory: &mut Inventory, options: &ScanOptions, at: Instant) {
        inventory.refresh(options, &Arc::new(keys()), at, &mut |_| ());
    }

    /// The only file, which cannot be opened: why, and when that was tried.
    fn failure(inventory: &Inventory) -> (String, Instant) {
        match inventory.files().next() {
            Some((_, FileState::Failed { reason, tried })) => (reason.clone(), *tried),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_that_are_no_plots_are_listed_with_their_reason_and_tried_again_later() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("a.plot"),
            b"no plot at all, but long enough for a header",
        )
        .unwrap();
        fs::write(dir.path().join("._a.plot"), b"x").unwrap();
        fs::write(dir.path().join("notes.txt"), b"x").unwrap();
        let (mut inventory, options, start) = (Inventory::default(), scan_options(dir.path()), now());
        refresh(&mut inventory, &options, start);
        assert_eq!(inventory.files().count(), 1);
        let (reason, tried) = failure(&inventory);
        assert!(
            reason.ends_with("not a plot file: it begins with 6e6f20706c6f7420617420616c6c2c20627574"),
            "{reason}"
        );
        assert_eq!(tried, start);
        for (after, tried_after) in [(1199, 0), (1200, 1200)] {
            refresh(&mut inventory, &options, start + Duration::from_secs(after));
            assert_eq!(failure(&inventory).1, start + Duration::from_secs(tried_after));
        }
    }

    #[test]
    fn a_file_that_has_changed_is_looked_at_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot");
        let (mut inventory, options, start) = (Inventory::default(), scan_options(dir.path()), now());
        fs::write(&path, b"half a plot").unwrap();
        refresh(&mut inventory, &options, start);
        assert_eq!(inventory.plots().count(), 0);
        fs::copy(original(), &path).unwrap();
        refresh(&mut inventory, &options, start);
        assert_eq!((inventory.plots().count(), inventory.changes()), (1, (1, 0)));
        fs::write(&path, foreign()).unwrap();
        refresh(&mut inventory, &options, start);
        assert!(matches!(inventory.files().next(), Some((_, FileState::NoKey { .. }))));
        assert_eq!(inventory.changes(), (0, 1));
    }

    #[test]
    fn a_plot_is_not_opened_twice() {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(original(), dir.path().join("a.plot")).unwrap();
        let (mut inventory, options) = (Inventory::default(), scan_options(dir.path()));
        refresh(&mut inventory, &options, now());
        let first = Arc::clone(inventory.plots().next().unwrap());
        refresh(&mut inventory, &options, now());
        assert!(Arc::ptr_eq(&first, inventory.plots().next().unwrap()));
    }

    #[test]
    fn progress_is_told_after_each_batch_of_many_files() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..2_500 {
            fs::write(dir.path().join(format!("{n}.plot")), b"x").unwrap();
        }
        let options = ScanOptions {
            batch_size: 1000,
            ..scan_options(dir.path())
        };
        let (mut inventory, mut seen) = (Inventory::default(), Vec::new());
        inventory.refresh(&options, &Arc::new(keys()), now(), &mut |inventory| {
            seen.push(inventory.files().count());
        });
        assert_eq!((seen, inventory.files().count()), (vec![1000, 2000, 2500], 2_500));
    }

    #[test]
    fn directories_that_are_not_there_or_cannot_be_listed_do_not_hinder_the_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.plot"), b"x").unwrap();
        let no_directory = dir.path().join("a.plot");
        let options = ScanOptions {
            directories: vec![PathBuf::from("/nowhere/at/all"), no_directory, dir.path().to_owned()],
            ..scan_options(dir.path())
        };
        let mut inventory = Inventory::default();
        refresh(&mut inventory, &options, now());
        assert_eq!(inventory.files().count(), 1);
    }

    #[test]
    fn directories_below_are_looked_into_only_if_asked_and_loops_end() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("b.plot"), b"x").unwrap();
        std::os::unix::fs::symlink(dir.path(), below.join("loop")).unwrap();
        let mut shallow = Inventory::default();
        refresh(&mut shallow, &scan_options(dir.path()), now());
        assert_eq!(shallow.files().count(), 0);
        let mut deep = Inventory::default();
        refresh(
            &mut deep,
            &ScanOptions {
                recursive: true,
                follow_links: true,
                ..scan_options(dir.path())
            },
            now(),
        );
        assert_eq!(deep.files().count(), 1);
    }

    #[test]
    fn what_is_no_file_but_named_like_a_plot_is_left_alone_and_a_dead_link_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("pipe.plot");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        fs::create_dir(dir.path().join("directory.plot")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", dir.path().join("link.plot")).unwrap();
        let mut inventory = Inventory::default();
        refresh(&mut inventory, &scan_options(dir.path()), now());
        assert!(
            failure(&inventory).0.contains("link.plot: No such file"),
            "{:?}",
            failure(&inventory)
        );
        assert_eq!(inventory.files().count(), 1);
        // It may become one between listing and opening.
        let opened = LoadedPlot::open(&fifo, &keys()).unwrap_err().to_string();
        assert!(opened.ends_with("not a regular file"), "{opened}");
    }
}
