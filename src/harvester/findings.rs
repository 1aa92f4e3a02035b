//! What a harvester knows of its plots at one moment, for all who look up, tell or show them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{NAME_OF_OTHERS, PlotPath, plot_name};
use super::inventory::{Changes, FileState, GoneVolume, Inventory, reason};
use super::plot::LoadedPlot;
use crate::snapshot::{self, FileCounts, PlotFileView, TROUBLES_KEPT, UnlistedDirectory};
use crate::wire::HarvesterHandshake;

/// Plots by where they are.
pub(super) type Plots = BTreeMap<PlotPath, Arc<LoadedPlot>>;

/// The plot that the farmer knows by this name.
pub(super) fn plot_named<'a>(plots: &'a Plots, name: &str) -> Option<&'a Arc<LoadedPlot>> {
    if name.starts_with(NAME_OF_OTHERS) {
        return plots.values().find(|plot| plot.name() == name);
    }
    plots.get(OsStr::new(name))
}

/// What is known of the plots, as of a moment of a refresh or of its end.
///
/// The farmer is told of plots that are farmed and of the lists that plot sync has: `failed` (with what is compressed too
/// much, of which official farmers hear nothing), `no_key` and `duplicates`. What is being copied is in no list, as it is
/// no trouble; [`Findings::troubles`] has everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Counts up; 0 is before the first refresh.
    pub(super) revision: u64,
    /// Whether the refresh is over.
    pub(super) finished: bool,
    /// Whether this is worth a plot sync; else it is for look-ups, and better follows within seconds.
    pub(super) is_for_farmer: bool,
    /// Plots that are farmed.
    pub(super) plots: Arc<Plots>,
    /// Files that cannot be farmed as they are: unreadable, no plots, or compressed too much.
    pub(super) failed: Vec<String>,
    /// Plots made for other keys.
    pub(super) no_key: Vec<String>,
    /// Files whose plot is farmed from another file.
    pub(super) duplicates: Vec<String>,
    /// Files in all.
    pub(super) files: usize,
    /// Files by what became of them.
    pub(super) counts: FileCounts,
    /// Directories that could not be listed, and files that are not farmed, with the reasons: at most [`TROUBLES_KEPT`],
    /// some of each state, by name.
    pub(super) troubles: Vec<PlotFileView>,
    /// Volumes with files named like plots.
    pub(super) volumes: Vec<VolumeFound>,
    /// Volumes and directories that had plots and are gone, by name.
    pub(super) gone: BTreeMap<String, GoneVolume>,
    /// Files looked at by this refresh, and files that it has to look at as far as they are known.
    pub(super) progress: (u64, u64),
    /// What this refresh changed.
    pub(super) changes: Changes,
    /// How long this refresh has taken.
    pub(super) took: Duration,
    /// Why the settings could not be read before this refresh, with the file; it went by those of before.
    pub(super) settings_trouble: Option<String>,
    /// The keys that files were judged by.
    pub(super) keys: Option<Arc<HarvesterHandshake>>,
}

/// A volume with files named like plots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct VolumeFound {
    /// `st_dev`, as [`LoadedPlot::volume`].
    pub(super) volume: u64,
    /// Its mount point, or the directory if it has none.
    pub(super) name: String,
    /// Plots on it that are farmed.
    pub(super) plots: u64,
    /// Sum of their sizes, bytes.
    pub(super) plot_bytes: u64,
    /// Files on it that are not.
    pub(super) not_farmed: u64,
}

impl Findings {
    /// What `inventory` knows. Copies the names of all files: 100,000 take some 10 ms.
    pub(super) fn of(inventory: &Inventory, took: Duration, progress: (u64, u64)) -> Self {
        let mut found = Self {
            changes: inventory.changes(),
            took,
            progress,
            keys: inventory.keys().cloned(),
            gone: inventory
                .gone()
                .iter()
                .map(|(name, gone)| (plot_name(name), gone.clone()))
                .collect(),
            ..Self::default()
        };
        let no_keys = HarvesterHandshake {
            farmer_public_keys: Vec::new(),
            pool_public_keys: Vec::new(),
        };
        let keys = inventory.keys().map_or(&no_keys, |keys| &**keys);
        let (mut plots, mut volumes) = (Plots::new(), BTreeMap::new());
        let mut troubles = Troubles::default();
        // Links may lead to a file from several lanes, and a farmer refuses a list that names a file twice.
        let mut unfarmed = BTreeSet::new();
        for (path, known) in inventory.files() {
            let is_known = match &known.state {
                FileState::Farmed(_) => false,
                FileState::Duplicate { of, .. } if of == path => true,
                _ => !unfarmed.insert(path),
            };
            if is_known {
                continue;
            }
            found.files += 1;
            let volume = volumes.entry(known.volume).or_insert_with(|| VolumeFound {
                volume: known.volume,
                name: plot_name(
                    inventory
                        .name_of(known.volume)
                        .or_else(|| path.parent())
                        .unwrap_or(path),
                ),
                ..VolumeFound::default()
            });
            if let FileState::Farmed(plot) = &known.state {
                plots.insert(path.clone(), Arc::clone(plot));
                found.counts.farmed += 1;
                volume.plots += 1;
                volume.plot_bytes += plot.stamp().size;
                continue;
            }
            volume.not_farmed += 1;
            let state = found.count(path, &known.state);
            troubles.add(state, || PlotFileView {
                file: plot_name(path),
                state,
                reason: reason(&known.state, path, keys).unwrap_or_default(),
            });
        }
        let directories = inventory.troubles().map(|(directory, reason)| PlotFileView {
            file: plot_name(directory),
            state: snapshot::FileState::Directory,
            reason: reason.to_owned(),
        });
        found.troubles = troubles.with(directories.collect());
        found.plots = Arc::new(plots);
        found.volumes = volumes.into_values().collect();
        found
    }

    /// Plot directories that give nothing, without those whose plots are gone.
    pub(super) fn unlisted(&self) -> Vec<UnlistedDirectory> {
        let directories = self.troubles.iter();
        let directories = directories.filter(|it| it.state == snapshot::FileState::Directory);
        directories
            .filter(|it| !self.gone.contains_key(&it.file))
            .map(|it| UnlistedDirectory {
                directory: it.file.clone(),
                why: it.reason.clone(),
            })
            .collect()
    }

    /// Puts a file that is not farmed into its list.
    fn count(&mut self, path: &Path, state: &FileState) -> snapshot::FileState {
        let counts = &mut self.counts;
        let (count, list, state) = match state {
            FileState::Farmed(_) | FileState::Failed { .. } => {
                (&mut counts.failed, Some(&mut self.failed), snapshot::FileState::Failed)
            }
            FileState::NoKey { .. } => (&mut counts.no_key, Some(&mut self.no_key), snapshot::FileState::NoKey),
            FileState::Duplicate { .. } => (
                &mut counts.duplicates,
                Some(&mut self.duplicates),
                snapshot::FileState::Duplicate,
            ),
            FileState::BeingCopied { .. } => (&mut counts.being_copied, None, snapshot::FileState::BeingCopied),
            FileState::TooCompressed { .. } => (
                &mut counts.too_compressed,
                Some(&mut self.failed),
                snapshot::FileState::TooCompressed,
            ),
        };
        *count += 1;
        if let Some(list) = list {
            list.push(plot_name(path));
        }
        state
    }
}

/// Some troubles of each state, so that many of one do not hide the few of another.
#[derive(Default)]
struct Troubles(BTreeMap<snapshot::FileState, Vec<PlotFileView>>);

impl Troubles {
    fn add(&mut self, state: snapshot::FileState, view: impl FnOnce() -> PlotFileView) {
        let of_state = self.0.entry(state).or_default();
        if of_state.len() < TROUBLES_KEPT {
            of_state.push(view());
        }
    }

    /// `first`, and as many of each state as there is room for, by name.
    fn with(self, first: Vec<PlotFileView>) -> Vec<PlotFileView> {
        let mut kept = first;
        kept.truncate(TROUBLES_KEPT / 2);
        let mut by_state: Vec<_> = self.0.into_values().collect();
        by_state.sort_by_key(Vec::len);
        let mut states = by_state.len();
        for of_state in by_state {
            let share = (TROUBLES_KEPT - kept.len()) / states;
            states -= 1;
            kept.extend(of_state.into_iter().take(share));
        }
        kept.sort_by(|a, b| a.file.cmp(&b.file));
        kept
    }
}
