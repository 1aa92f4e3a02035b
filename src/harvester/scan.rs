//! Looking at disks: which files of a directory are named like plots, and what a file is when it is opened.
//!
//! Blocking: called on threads that may wait for disks for ever. Nothing is remembered here.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{FileStamp, is_of_process, open_hint};
use super::inventory::{Due, Found, Listing, MAX_DEPTH};
use super::mounts::Mounts;
use super::plot::{LoadedPlot, OpenError};
use crate::config::Settings;
use crate::pos::PlotError;
use crate::pos::header::PlotMemo;
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
    /// Plots compressed more than this are not farmed; 0 for none.
    pub max_compression_level: u8,
    /// k of the v2 plots of this network; those of another k never win and are not farmed.
    pub plot_size_v2: u8,
}

impl ScanOptions {
    /// What the settings say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let harvester = &settings.harvester;
        let refresh = &harvester.refresh;
        Self {
            directories: harvester.plot_directories.clone(),
            recursive: harvester.recursive_plot_scan,
            follow_links: harvester.recursive_follow_links,
            retry_invalid: Duration::from_secs(refresh.retry_invalid_seconds.into()),
            batch_size: refresh.batch_size,
            batch_sleep: Duration::from_millis(refresh.batch_sleep_milliseconds.into()),
            max_compression_level: harvester.max_compression_level(),
            plot_size_v2: settings.constants.plot_size_v2,
        }
    }

    /// Files read before a pause, at least one.
    pub(super) fn batch_files(&self) -> usize {
        usize::try_from(self.batch_size).unwrap_or(usize::MAX).max(1)
    }
}

/// Whoever looks at disks; tests have one that hangs and fails as they like.
pub(super) trait Look: fmt::Debug + Send + Sync {
    /// Where a directory of the settings is, without links.
    fn resolve(&self, directory: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(directory)
    }

    /// All files in `directory` named like plots, as the official software finds them. Directories in `leave_out` are not
    /// looked into; `progress` is called for each file.
    fn list(
        &self,
        directory: &Path,
        options: &ScanOptions,
        mounts: &Mounts,
        leave_out: &BTreeSet<PathBuf>,
        progress: &dyn Fn(),
    ) -> Listing {
        let mut search = Search {
            options,
            mounts,
            leave_out,
            progress,
            visited: BTreeSet::new(),
            listing: Listing::default(),
        };
        search.walk(directory, 0);
        search.listing
    }

    /// Opens a file that was listed, and checks that it is to be farmed. The keys of a plot that are not known already may
    /// be left for later.
    fn open(&self, due: &Due, keys: &HarvesterHandshake, max_compression_level: u8) -> Result<LoadedPlot, OpenError> {
        open(due, keys, max_compression_level)
    }

    /// Reads what the keys of a plot are worked out of.
    fn memo(&self, plot: &LoadedPlot) -> Result<PlotMemo, OpenError> {
        plot.read_memo()
    }

    /// Whether a lane that has neither listed nor opened a file for so long hangs.
    fn hangs(&self, _lane: &Path, silent_for: Duration) -> bool {
        silent_for >= STALLED_AFTER
    }
}

/// The disks of this machine.
#[derive(Debug)]
pub(super) struct Disks;

impl Look for Disks {}

fn open(due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
    let (path, found) = (&due.path, due.found);
    let facts = due.facts.as_deref();
    let known = facts.map(|facts| LoadedPlot::open_known(path, found.stamp, found.volume, keys, facts));
    let opened = match known {
        // Facts that do not fit are worth nothing.
        None | Some(Err(OpenError::WrongId { .. } | OpenError::Plot { .. })) => {
            LoadedPlot::open_without_keys(path, keys)
        }
        Some(known) => known,
    };
    let too_compressed = |level| OpenError::TooCompressed {
        path: path.to_path_buf(),
        level,
        most,
    };
    match opened {
        Ok(plot) if plot.compression_level() > most => Err(too_compressed(plot.compression_level())),
        Err(OpenError::Plot {
            source: PlotError::CompressionNotSupported { level, .. },
            ..
        }) if level > most => Err(too_compressed(level)),
        opened => opened,
    }
}

struct Search<'a> {
    options: &'a ScanOptions,
    mounts: &'a Mounts,
    leave_out: &'a BTreeSet<PathBuf>,
    progress: &'a dyn Fn(),
    visited: BTreeSet<PathBuf>,
    listing: Listing,
}

impl Search<'_> {
    fn walk(&mut self, directory: &Path, depth: u32) {
        if depth > MAX_DEPTH || !self.visited.insert(directory.to_owned()) {
            return;
        }
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // It is root's, most drives have one, and nobody puts plots there.
            Err(error) if depth > 0 && is_of_repair(directory) && error.kind() == io::ErrorKind::PermissionDenied => {
                return;
            }
            Err(error) => return self.cannot_list(directory, &error),
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.look_at(&entry, depth),
                // What could be read is listed all the same.
                Err(error) => self.cannot_list(directory, &error),
            }
        }
    }

    fn cannot_list(&mut self, directory: &Path, error: &io::Error) {
        if is_of_process(error) {
            self.listing.unknown.insert(directory.to_owned());
        }
        self.listing.troubles.insert(directory.to_owned(), cannot_list(error));
    }

    fn look_at(&mut self, entry: &fs::DirEntry, depth: u32) {
        (self.progress)();
        let Ok(kind) = entry.file_type() else { return };
        let mut path = entry.path();
        let linked_directory = kind.is_symlink() && self.options.follow_links && path.is_dir();
        // A file that is met by its own name too is no second one.
        if kind.is_symlink()
            && self.options.follow_links
            && self.options.recursive
            && !linked_directory
            && is_plot_name(&path)
            && let Some(target) = fs::canonicalize(&path).ok().filter(|target| is_plot_name(target))
        {
            path = target;
        }
        if kind.is_dir() || linked_directory {
            if self.options.recursive {
                let directory = if linked_directory {
                    fs::canonicalize(&path).unwrap_or(path)
                } else {
                    path
                };
                self.enter(directory, depth);
            }
        } else if is_plot_name(&path) {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {
                    let found = Found {
                        stamp: FileStamp::of(&metadata),
                        volume: metadata.dev(),
                    };
                    self.listing.files.insert(path.into(), found);
                }
                // A FIFO, a device, a link to a directory.
                Ok(_) => {}
                // Opening it fails too, and then it is listed with the reason.
                Err(_) => {
                    let found = Found {
                        stamp: FileStamp::default(),
                        volume: entry
                            .path()
                            .parent()
                            .and_then(|path| fs::metadata(path).ok())
                            .map_or(0, |m| m.dev()),
                    };
                    self.listing.files.insert(path.into(), found);
                }
            }
        }
    }

    /// Another drive gets a thread of its own: it may hang where this one does not.
    fn enter(&mut self, directory: PathBuf, depth: u32) {
        if self.leave_out.contains(&directory) {
            return;
        }
        if self.mounts.is_point(&directory) {
            self.listing.mounts.push(directory);
        } else {
            self.walk(&directory, depth + 1);
        }
    }
}

/// Why a directory gives no files, as a fragment behind its name.
pub(super) fn cannot_list(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("this plot directory does not exist ({error})"),
        _ => format!("this plot directory cannot be listed: {error}{}", open_hint(error)),
    }
}

/// A lane that neither lists nor opens a file for so long hangs; a disk that spins up takes 10 s.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Whether this is where file systems put what they save when they are repaired.
fn is_of_repair(directory: &Path) -> bool {
    directory.file_name().is_some_and(|name| name == "lost+found")
}

fn is_plot_name(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"._"));
    !hidden && path.extension().is_some_and(|e| e == "plot" || e == "plot2")
}
