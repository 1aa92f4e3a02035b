//! Finding plot files, and remembering what was found.
//!
//! Blocking: called on a thread that may wait for disks. A refresh looks at every directory of the settings, opens what
//! is new, keeps what is still there and forgets what is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::plot_file::{LoadedPlot, OpenError};
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
    /// A file that could not be opened is tried again after this time.
    pub retry_invalid: Duration,
}

/// All plot files and what is known of them.
#[derive(Debug, Default)]
pub struct Inventory {
    plots: BTreeMap<PathBuf, Arc<LoadedPlot>>,
    by_id: BTreeMap<PlotId, PathBuf>,
    failed: BTreeMap<PathBuf, Failure>,
    no_key: BTreeMap<PathBuf, String>,
    duplicates: BTreeMap<PathBuf, PathBuf>,
}

#[derive(Debug)]
struct Failure {
    reason: String,
    tried: Instant,
}

/// What a refresh changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Plots that are farmed from here on.
    pub loaded: Vec<Arc<LoadedPlot>>,
    /// Plots that are gone.
    pub removed: Vec<PathBuf>,
    /// Sentences for the log: files that cannot be farmed, directories that are not there.
    pub complaints: Vec<String>,
}

impl Inventory {
    /// Looks again. `now` is a moment of the monotonic clock.
    pub fn refresh(&mut self, options: &ScanOptions, keys: &HarvesterHandshake, now: Instant) -> Changes {
        let mut changes = Changes::default();
        let found = find(options, &mut changes.complaints);
        self.forget_missing(&found, &mut changes);
        for path in found {
            if self.plots.contains_key(&path) {
                continue;
            }
            if let Some(first) = self.duplicates.get(&path) {
                if self.plots.contains_key(first) {
                    continue;
                }
                self.duplicates.remove(&path);
            }
            if self
                .failed
                .get(&path)
                .is_some_and(|f| now.duration_since(f.tried) < options.retry_invalid)
            {
                continue;
            }
            self.open(path, keys, now, &mut changes);
        }
        changes
    }

    /// Forgets everything: the keys have changed, so every file is judged anew.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Plots that are farmed, by path.
    #[must_use]
    pub fn plots(&self) -> Vec<Arc<LoadedPlot>> {
        self.plots.values().cloned().collect()
    }

    /// Files that could not be opened, with the reason.
    pub fn failed(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.failed
            .iter()
            .map(|(path, failure)| (path.as_path(), failure.reason.as_str()))
    }

    /// Plots made for other keys, with the reason.
    pub fn no_key(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.no_key
            .iter()
            .map(|(path, reason)| (path.as_path(), reason.as_str()))
    }

    /// Files whose plot is farmed from another file, with that file.
    pub fn duplicates(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.duplicates
            .iter()
            .map(|(path, first)| (path.as_path(), first.as_path()))
    }

    /// Files known in all.
    #[must_use]
    pub fn files(&self) -> usize {
        self.plots.len() + self.failed.len() + self.no_key.len() + self.duplicates.len()
    }

    fn forget_missing(&mut self, found: &BTreeSet<PathBuf>, changes: &mut Changes) {
        let by_id = &mut self.by_id;
        self.plots.retain(|path, plot| {
            let there = found.contains(path);
            if !there {
                by_id.remove(plot.plot_id());
                changes.removed.push(path.clone());
            }
            there
        });
        self.failed.retain(|path, _| found.contains(path));
        self.no_key.retain(|path, _| found.contains(path));
        self.duplicates.retain(|path, _| found.contains(path));
    }

    fn open(&mut self, path: PathBuf, keys: &HarvesterHandshake, now: Instant, changes: &mut Changes) {
        match LoadedPlot::open(&path, keys) {
            Ok(plot) => {
                self.failed.remove(&path);
                self.no_key.remove(&path);
                if let Some(first) = self.by_id.get(plot.plot_id()) {
                    changes.complaints.push(format!(
                        "Have multiple copies of the plot {}: {} is not farmed",
                        first.display(),
                        path.display()
                    ));
                    self.duplicates.insert(path, first.clone());
                    return;
                }
                self.by_id.insert(*plot.plot_id(), path.clone());
                let plot = Arc::new(plot);
                self.plots.insert(path, Arc::clone(&plot));
                changes.loaded.push(plot);
            }
            Err(error @ OpenError::NoKey { .. }) => {
                if !self.no_key.contains_key(&path) {
                    changes.complaints.push(error.to_string());
                }
                self.no_key.insert(path, error.to_string());
            }
            Err(error) => {
                let reason = error.to_string();
                if self.failed.get(&path).is_none_or(|f| f.reason != reason) {
                    changes.complaints.push(format!("Failed to {reason}"));
                }
                self.failed.insert(path, Failure { reason, tried: now });
            }
        }
    }
}

/// All files named like plots, as the official software finds them.
fn find(options: &ScanOptions, complaints: &mut Vec<String>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut visited = BTreeSet::new();
    for directory in &options.directories {
        match fs::canonicalize(directory) {
            Ok(directory) => walk(&directory, options, 0, &mut visited, &mut found, complaints),
            Err(error) => complaints.push(format!("Directory: {} does not exist. ({error})", directory.display())),
        }
    }
    found
}

/// Deepest directory that is looked into: a guard against file systems that never end.
const MAX_DEPTH: u32 = 64;

fn walk(
    directory: &Path,
    options: &ScanOptions,
    depth: u32,
    visited: &mut BTreeSet<PathBuf>,
    found: &mut BTreeSet<PathBuf>,
    complaints: &mut Vec<String>,
) {
    if depth > MAX_DEPTH || !visited.insert(directory.to_owned()) {
        return;
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            complaints.push(format!("cannot list {}: {error}", directory.display()));
            return;
        }
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        let linked_directory = kind.is_symlink() && options.follow_links && path.is_dir();
        if kind.is_dir() || linked_directory {
            if options.recursive {
                let real = fs::canonicalize(&path).unwrap_or(path);
                walk(&real, options, depth + 1, visited, found, complaints);
            }
        } else if is_plot_name(&path) && (kind.is_file() || path.is_file()) {
            found.insert(path);
        }
    }
}

fn is_plot_name(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"));
    !hidden && path.extension().is_some_and(|e| e == "plot" || e == "plot2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(directories: &[&Path]) -> ScanOptions {
        ScanOptions {
            directories: directories.iter().map(|d| d.to_path_buf()).collect(),
            recursive: false,
            follow_links: false,
            retry_invalid: Duration::from_secs(1200),
        }
    }

    const NO_KEYS: HarvesterHandshake = HarvesterHandshake {
        farmer_public_keys: Vec::new(),
        pool_public_keys: Vec::new(),
    };

    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    fn now() -> Instant {
        Instant::now()
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
        let (mut inventory, start) = (Inventory::default(), now());
        let changes = inventory.refresh(&options(&[dir.path()]), &NO_KEYS, start);
        assert_eq!(
            (changes.loaded.len(), inventory.failed().count(), inventory.files()),
            (0, 1, 1)
        );
        assert_eq!(changes.complaints.len(), 1);
        let again = inventory.refresh(&options(&[dir.path()]), &NO_KEYS, start + Duration::from_secs(1));
        assert!(
            again.complaints.is_empty(),
            "the same failure is told once: {:?}",
            again.complaints
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_complaint_and_no_error() {
        let gone = Path::new("/nowhere/at/all");
        let changes = Inventory::default().refresh(&options(&[gone]), &NO_KEYS, now());
        assert!(
            changes.complaints[0].contains("/nowhere/at/all"),
            "{:?}",
            changes.complaints
        );
    }

    #[test]
    fn directories_below_are_looked_into_only_if_asked_and_loops_end() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("b.plot"), b"x").unwrap();
        std::os::unix::fs::symlink(dir.path(), below.join("loop")).unwrap();
        let mut shallow = Inventory::default();
        shallow.refresh(&options(&[dir.path()]), &NO_KEYS, now());
        assert_eq!(shallow.files(), 0);
        let mut deep = Inventory::default();
        let all = ScanOptions {
            recursive: true,
            follow_links: true,
            ..options(&[dir.path()])
        };
        deep.refresh(&all, &NO_KEYS, now());
        assert_eq!(deep.files(), 1);
    }

    #[test]
    fn a_fifo_named_like_a_plot_does_not_hang_the_scan() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("pipe.plot");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let mut inventory = Inventory::default();
        inventory.refresh(&options(&[dir.path()]), &NO_KEYS, now());
        assert_eq!(inventory.plots().len(), 0);
    }
}
