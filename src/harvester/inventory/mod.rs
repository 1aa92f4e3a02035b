//! What is known of all plot files: pure bookkeeping, told by those who list directories and open files.
//!
//! Files belong to lanes. A lane is a directory of the settings, or a mount point found below one: what is looked at by
//! one thread, so that a disk that hangs holds up its own files only. A file stays what it was until it has been looked
//! at again: a plot whose file got another owner is farmed all the time.

mod drives;
mod file_state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use drives::GoneVolume;
use drives::{Drives, Missed, Plots};
pub(super) use file_state::{FileState, reason};
use file_state::{is_same_failure, refused};

use super::cache::{CachedPlot, CachedPlots};
use super::file::{FileStamp, PlotPath};
use super::mounts::Mounts;
use super::plot::{LoadedPlot, OpenError, PlotFacts};
use crate::ids::PlotId;
use crate::logging::target::PLOT_MANAGER;
use crate::wire::HarvesterHandshake;

/// All plot files and what is known of them.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    lanes: BTreeMap<Arc<Path>, Lane>,
    by_id: BTreeMap<PlotId, PlotPath>,
    keys: Option<Arc<HarvesterHandshake>>,
    drives: Drives,
    /// Volumes that give no look-up an answer.
    sick: BTreeSet<u64>,
    /// What was known of files before they were opened by this process.
    cached: CachedPlots,
    changes: Changes,
    /// Counts up with each plot loaded or removed, and when keys are known.
    version: u64,
}

/// What a refresh changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Plots that were not farmed before.
    pub(super) loaded: usize,
    /// Plots that are not farmed any more.
    pub(super) removed: usize,
}

/// The files that are looked at by one thread.
#[derive(Debug, Default)]
struct Lane {
    /// The lane in which this mount point was found.
    parent: Option<Arc<Path>>,
    files: BTreeMap<PlotPath, Known>,
    /// Directories that could not be listed, with the reason.
    troubles: BTreeMap<PathBuf, String>,
    /// Why it is not looked at just now.
    stalled: Option<String>,
}

/// A file as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Known {
    stamp: FileStamp,
    /// `st_dev`.
    pub(super) volume: u64,
    /// What became of it.
    pub(super) state: FileState,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Files named like plots.
    pub(super) files: BTreeMap<PlotPath, Found>,
    /// Mount points below it, which were not looked into.
    pub(super) mounts: Vec<PathBuf>,
    /// Directories that could not be listed, with the reason.
    pub(super) troubles: BTreeMap<PathBuf, String>,
    /// Those of them of which that says nothing, for this process could not list any: what is in them is as it was.
    pub(super) unknown: BTreeSet<PathBuf>,
}

impl Listing {
    /// Whether something that is not in it is gone.
    fn is_gone(&self, path: &Path) -> bool {
        !self.unknown.iter().any(|directory| path.starts_with(directory))
    }
}

/// A file in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How it is.
    pub(super) stamp: FileStamp,
    /// `st_dev`.
    pub(super) volume: u64,
}

/// A file that is to be opened.
#[derive(Clone, Debug)]
pub(super) struct Due {
    /// Where it is.
    pub(super) path: PlotPath,
    /// How it is.
    pub(super) found: Found,
    /// What is known of the very same file.
    pub(super) facts: Option<Arc<PlotFacts>>,
}

/// What a refresh goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    /// Keys to farm with.
    pub(super) keys: &'a Arc<HarvesterHandshake>,
    /// Highest compression level.
    pub(super) max_compression_level: u8,
    /// A file that could not be opened is tried again after this time.
    pub(super) retry_invalid: Duration,
    /// What is mounted.
    pub(super) mounts: &'a Mounts,
    /// When it began.
    pub(super) now: Instant,
    /// The same moment, unix milliseconds.
    pub(super) now_unix_ms: u64,
}

impl Inventory {
    /// A refresh begins: judges what is known by its keys.
    pub(super) fn begin(&mut self, keys: &Arc<HarvesterHandshake>) {
        self.changes = Changes::default();
        if self.keys.replace(Arc::clone(keys)).as_ref() == Some(keys) {
            return;
        }
        for known in self.lanes.values_mut().flat_map(|lane| lane.files.values_mut()) {
            let FileState::Farmed(plot) = &known.state else {
                continue;
            };
            if let Err(OpenError::NoKey { what, wanted, .. }) = plot.check_keys(keys) {
                self.by_id.remove(plot.plot_id());
                (self.changes.removed, self.version) = (self.changes.removed + 1, self.version + 1);
                known.state = FileState::NoKey { what, wanted };
            }
        }
    }

    /// Takes what is in the directory of a lane. Forgets what is gone; gives what is to be opened, by volume.
    pub(super) fn take_listing(
        &mut self,
        lane: &Arc<Path>,
        parent: Option<&Arc<Path>>,
        listing: Listing,
        rules: &Rules<'_>,
    ) -> Vec<Due> {
        for found in listing.files.values() {
            self.drives.note(found.volume, lane, rules.mounts);
        }
        self.forget_gone(lane, &listing, rules);
        let below = self.lanes.iter().filter(|(path, below)| {
            let is_mounted = || listing.mounts.iter().any(|mount| *mount == ***path);
            below.parent.as_ref() == Some(lane) && !is_mounted() && listing.is_gone(path)
        });
        let below: Vec<_> = below.map(|(path, _)| Arc::clone(path)).collect();
        for unmounted in below {
            self.forget_gone(&unmounted, &Listing::default(), rules);
            self.lanes.remove(&unmounted);
        }
        let Listing { files, troubles, .. } = listing;
        let known = self.lanes.entry(Arc::clone(lane)).or_default();
        known.parent = parent.cloned();
        for (directory, reason) in &troubles {
            if known.troubles.get(directory) != Some(reason) {
                tracing::warn!(target: PLOT_MANAGER, "{}: {reason}", directory.display());
            }
        }
        known.troubles = troubles;
        if known.stalled.is_some() {
            self.set_stalled(lane, None);
        }
        let mut due: Vec<_> = files
            .into_iter()
            .filter(|(path, found)| self.is_due(lane, path, found, rules))
            .map(|(path, found)| Due {
                facts: self.facts_of(lane, &path, &found),
                path,
                found,
            })
            .collect();
        due.sort_by_key(|due| due.found.volume);
        due
    }

    /// Takes what opening a file came to.
    pub(super) fn take_opened(
        &mut self,
        lane: &Arc<Path>,
        due: &Due,
        opened: Result<LoadedPlot, OpenError>,
        rules: &Rules<'_>,
    ) {
        let path = &due.path;
        let old = self.lanes.get(lane).and_then(|lane| lane.files.get(path));
        let state = match opened {
            Ok(plot) => {
                if let Some(Known {
                    state: FileState::Farmed(farmed),
                    ..
                }) = old
                    && farmed.is_same(&plot)
                {
                    if farmed.volume() == plot.volume() {
                        farmed.trust();
                        FileState::Farmed(Arc::clone(farmed))
                    } else {
                        self.version += 1;
                        FileState::Farmed(Arc::new(plot))
                    }
                } else {
                    self.release(lane, path);
                    self.judge(path, plot, rules)
                }
            }
            Err(error) => {
                let mut state = refused(error, rules.now);
                // What hinders for a moment is soon over.
                if let FileState::Failed { tried, .. } = &mut state
                    && matches!(old.map(|old| &old.state), Some(FileState::Farmed(_)))
                {
                    *tried = None;
                }
                if old.is_none_or(|old| !is_same_failure(&old.state, &state)) {
                    let reason = reason(&state, path, rules.keys).unwrap_or_default();
                    match state {
                        FileState::Failed { .. } => tracing::error!(target: PLOT_MANAGER, "Failed to {reason}"),
                        _ => tracing::warn!(target: PLOT_MANAGER, "{reason}"),
                    }
                }
                self.release(lane, path);
                state
            }
        };
        if matches!(state, FileState::Farmed(_)) {
            self.cached.remove(path);
        }
        let known = Known {
            stamp: due.found.stamp,
            volume: due.found.volume,
            state,
        };
        let lane = self.lanes.entry(Arc::clone(lane)).or_default();
        lane.files.insert(path.clone(), known);
    }

    /// Whether a plot is farmed from another file than this one.
    pub(super) fn has_another_file(&self, plot: &LoadedPlot) -> bool {
        self.by_id
            .get(plot.plot_id())
            .is_some_and(|path| path != plot.plot_path())
    }

    /// Plots of a lane that are farmed though their keys are not known, by volume.
    pub(super) fn without_keys(&self, lane: &Arc<Path>) -> Vec<Arc<LoadedPlot>> {
        let files = self.lanes.get(lane).into_iter().flat_map(|lane| lane.files.values());
        let farmed = files.filter_map(|known| match &known.state {
            FileState::Farmed(plot) if plot.known_keys().is_none() => Some(Arc::clone(plot)),
            _ => None,
        });
        let mut plots: Vec<_> = farmed.collect();
        plots.sort_by_key(|plot| plot.volume());
        plots
    }

    /// Keys of plots that were farmed without them are known.
    pub(super) const fn take_keys(&mut self) {
        self.version += 1;
    }

    /// The keys of a plot that was farmed without them cannot be known.
    pub(super) fn take_no_keys(&mut self, lane: &Arc<Path>, plot: &Arc<LoadedPlot>, error: OpenError, now: Instant) {
        let path = plot.plot_path();
        let farmed = self.lanes.get(lane).and_then(|lane| lane.files.get(path));
        // It may have been replaced meanwhile.
        if !matches!(farmed.map(|known| &known.state), Some(FileState::Farmed(farmed)) if Arc::ptr_eq(farmed, plot)) {
            return;
        }
        tracing::error!(target: PLOT_MANAGER, "Failed to {error}");
        self.release(lane, path);
        let files = self.lanes.get_mut(lane).map(|lane| &mut lane.files);
        if let Some(known) = files.and_then(|files| files.get_mut(path)) {
            known.state = refused(error, now);
        }
    }

    /// A refresh ends: forgets directories that are not in `configured` any more, and what was missed and is back.
    pub(super) fn end(&mut self, seen: &BTreeSet<Arc<Path>>, mounts: &Mounts) {
        let unwanted: Vec<_> = self
            .lanes
            .keys()
            .filter(|lane| !self.is_wanted(lane, seen))
            .cloned()
            .collect();
        for lane in unwanted {
            let files: Vec<_> = self.lanes[&lane].files.keys().cloned().collect();
            files.iter().for_each(|path| self.release(&lane, path));
            self.lanes.remove(&lane);
            tracing::info!(target: PLOT_MANAGER, "{} is no longer a plot directory", lane.display());
        }
        let is_well = |lane: &Arc<Path>| Some(self.lanes.get(lane)?.troubles.is_empty());
        self.drives.end(mounts, is_well);
    }

    /// Whether a lane was looked at, or was found by one that was: that one tells when it is gone.
    fn is_wanted(&self, lane: &Arc<Path>, seen: &BTreeSet<Arc<Path>>) -> bool {
        let mut ancestor = Some(lane);
        for _ in 0..MAX_DEPTH {
            match ancestor {
                Some(lane) if seen.contains(lane) => return true,
                Some(lane) => ancestor = self.lanes.get(lane).and_then(|lane| lane.parent.as_ref()),
                None => return false,
            }
        }
        false
    }

    /// The lane is not looked at, for this reason; `None`: it is again.
    pub(super) fn set_stalled(&mut self, lane: &Arc<Path>, reason: Option<String>) {
        let known = self.lanes.entry(Arc::clone(lane)).or_default();
        match &reason {
            Some(reason) if known.stalled.is_none() => {
                tracing::error!(target: PLOT_MANAGER, "{}: {reason}", lane.display());
            }
            None if known.stalled.is_some() => tracing::warn!(target: PLOT_MANAGER, "{} answers again", lane.display()),
            _ => {}
        }
        known.stalled = reason;
    }

    /// These volumes give no look-up an answer: a copy elsewhere of what they have is farmed.
    pub(super) fn set_sick(&mut self, sick: BTreeSet<u64>) {
        self.sick = sick;
    }

    /// Whether a plot is better farmed from another file than this one.
    fn is_sick(&self, path: &PlotPath) -> bool {
        let mut known = self.lanes.values().filter_map(|lane| lane.files.get(path));
        !self.sick.is_empty() && known.any(|known| self.sick.contains(&known.volume))
    }

    /// Whether a file could take the place of a plot that is gone.
    pub(super) fn has_heirs(&self) -> bool {
        self.files().any(|(_, known)| {
            matches!(&known.state, FileState::Duplicate { plot_id, of } if self.by_id.get(plot_id) != Some(of))
        })
    }

    /// All files named like plots, by lane.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PlotPath, &Known)> {
        self.lanes.values().flat_map(|lane| &lane.files)
    }

    /// Directories that could not be listed, or that are not looked at, with the reason.
    pub(super) fn troubles(&self) -> impl Iterator<Item = (&Path, &str)> {
        let listing = self.lanes.values().flat_map(|lane| &lane.troubles);
        let listing = listing.map(|(directory, reason)| (directory.as_path(), reason.as_str()));
        let stalled = self
            .lanes
            .iter()
            .filter_map(|(path, lane)| Some((&**path, lane.stalled.as_deref()?)));
        stalled.chain(listing)
    }

    /// What a volume is called.
    pub(super) fn name_of(&self, volume: u64) -> Option<&Path> {
        self.drives.name_of(volume)
    }

    /// Volumes and directories that had plots and are gone, by name.
    pub(super) const fn gone(&self) -> &BTreeMap<PathBuf, GoneVolume> {
        self.drives.gone()
    }

    /// Another number means that other plots are farmed, or that more is known of them.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// What this refresh has changed.
    pub(super) const fn changes(&self) -> Changes {
        self.changes
    }

    /// The keys that files were judged by; none before the first refresh.
    pub(super) const fn keys(&self) -> Option<&Arc<HarvesterHandshake>> {
        self.keys.as_ref()
    }

    /// Takes what is known from the last run.
    pub(super) fn set_cached(&mut self, cached: CachedPlots) {
        self.cached = cached;
    }

    /// All that is worth keeping for the next run.
    pub(super) fn cacheable(&self, now_unix_s: u64) -> impl Iterator<Item = (&PlotPath, CachedPlot)> {
        let farmed = self.files().filter_map(move |(path, known)| match &known.state {
            FileState::Farmed(plot) => Some((path, cached(plot, now_unix_s)?)),
            _ => None,
        });
        let others = self.cached.iter().map(|(path, cached)| (path, cached.clone()));
        farmed.chain(others)
    }

    /// Forgets the files of a lane that are not in its listing, and tells once for each directory or drive what is gone.
    fn forget_gone(&mut self, lane: &Arc<Path>, listing: &Listing, rules: &Rules<'_>) {
        let Some(known) = self.lanes.get_mut(lane) else { return };
        let mut plots = Plots::new();
        known.files.retain(|path, known| {
            let keep = listing.files.contains_key(path) || !listing.is_gone(path);
            if let FileState::Farmed(plot) = &known.state
                && !keep
            {
                self.by_id.remove(plot.plot_id());
                (self.changes.removed, self.version) = (self.changes.removed + 1, self.version + 1);
                // It may come back.
                if let Some(cached) = cached(plot, rules.now_unix_ms / 1000) {
                    self.cached.insert(path.clone(), cached);
                }
                let directory = path.parent().unwrap_or(path).to_owned();
                let (count, bytes) = plots.entry((known.volume, directory)).or_default();
                *count += 1;
                *bytes += plot.stamp().size;
            }
            keep
        });
        let missed = Missed {
            lane,
            // One that was found below another is not looked for itself.
            by: known.parent.as_ref().unwrap_or(lane),
            plots,
            left: known.files.values().map(|known| known.volume).collect(),
            troubles: &listing.troubles,
        };
        self.drives.miss(missed, rules.mounts, rules.now_unix_ms);
    }

    /// What is known of this very file: from the last run, or, if only its file system has another number, as after it was
    /// mounted again, from before.
    fn facts_of(&self, lane: &Arc<Path>, path: &PlotPath, found: &Found) -> Option<Arc<PlotFacts>> {
        let known = self.lanes.get(lane).and_then(|lane| lane.files.get(path));
        if let Some(Known {
            stamp,
            volume,
            state: FileState::Farmed(plot),
        }) = known
            && (*stamp, plot.stamp()) == (found.stamp, found.stamp)
            && *volume != found.volume
        {
            return plot.facts().map(Arc::new);
        }
        let cached = self.cached.get(path).filter(|cached| cached.stamp == found.stamp);
        cached.map(|cached| Arc::clone(&cached.facts))
    }

    /// Whether a file must be opened.
    fn is_due(&self, lane: &Arc<Path>, path: &PlotPath, found: &Found, rules: &Rules<'_>) -> bool {
        let Some(known) = self.lanes.get(lane).and_then(|lane| lane.files.get(path)) else {
            return true;
        };
        // A drive that was mounted again may have another number, which then is another's.
        if (known.stamp, known.volume) != (found.stamp, found.volume) {
            return true;
        }
        match &known.state {
            FileState::Farmed(plot) => plot.is_doubted(),
            FileState::BeingCopied { .. } => false,
            FileState::Failed { tried, .. } => {
                tried.is_none_or(|tried| rules.now.saturating_duration_since(tried) >= rules.retry_invalid)
            }
            FileState::NoKey { wanted, .. } => {
                let keys = rules.keys;
                keys.farmer_public_keys.contains(wanted) || keys.pool_public_keys.contains(wanted)
            }
            FileState::Duplicate { plot_id, of } => {
                self.by_id.get(plot_id) != Some(of) || self.is_sick(of) && !self.sick.contains(&found.volume)
            }
            FileState::TooCompressed { level, .. } => *level <= rules.max_compression_level,
        }
    }

    /// A plot that could be opened: farmed, unless the keys have changed meanwhile or another file has it.
    fn judge(&mut self, path: &PlotPath, plot: LoadedPlot, rules: &Rules<'_>) -> FileState {
        let keys = self.keys.as_ref().unwrap_or(rules.keys);
        if let Err(error) = plot.check_keys(keys) {
            return refused(error, rules.now);
        }
        match self.by_id.get(plot.plot_id()) {
            None => {
                self.by_id.insert(*plot.plot_id(), path.clone());
                (self.changes.loaded, self.version) = (self.changes.loaded + 1, self.version + 1);
                FileState::Farmed(Arc::new(plot))
            }
            // Links lead to it from two lanes: it is farmed by the other one.
            Some(of) if of == path => FileState::Duplicate {
                plot_id: *plot.plot_id(),
                of: of.clone(),
            },
            Some(of) if self.is_sick(of) && !self.sick.contains(&plot.volume()) => {
                let of = of.clone();
                tracing::warn!(
                    target: PLOT_MANAGER,
                    "the plot {} is farmed from its copy {}, for its drive does not answer", of.display(), path.display()
                );
                let plot_id = *plot.plot_id();
                for lane in self.lanes.values_mut() {
                    if let Some(known) = lane.files.get_mut(&of) {
                        let of = path.clone();
                        known.state = FileState::Duplicate { plot_id, of };
                    }
                }
                self.by_id.insert(plot_id, path.clone());
                (self.changes.loaded, self.changes.removed) = (self.changes.loaded + 1, self.changes.removed + 1);
                self.version += 1;
                FileState::Farmed(Arc::new(plot))
            }
            Some(of) => {
                let (of_path, copy) = (of.display(), path.display());
                tracing::warn!(target: PLOT_MANAGER, "Have multiple copies of the plot {of_path}: {copy} is not farmed");
                if let Some(cached) = cached(&plot, rules.now_unix_ms / 1000) {
                    self.cached.insert(path.clone(), cached);
                }
                FileState::Duplicate {
                    plot_id: *plot.plot_id(),
                    of: of.clone(),
                }
            }
        }
    }

    /// The plot of this file, if it has one, is not farmed any more.
    fn release(&mut self, lane: &Arc<Path>, path: &PlotPath) {
        let known = self.lanes.get(lane).and_then(|lane| lane.files.get(path));
        if let Some(Known {
            state: FileState::Farmed(plot),
            ..
        }) = known
        {
            self.by_id.remove(plot.plot_id());
            (self.changes.removed, self.version) = (self.changes.removed + 1, self.version + 1);
        }
    }
}

fn cached(plot: &LoadedPlot, last_seen: u64) -> Option<CachedPlot> {
    Some(CachedPlot {
        stamp: plot.stamp(),
        facts: Arc::new(plot.facts()?),
        last_seen,
    })
}

/// Deepest directory that is looked into: a guard against file systems that never end.
pub(super) const MAX_DEPTH: u32 = 64;
