//! What a harvester has: its plots and the files it cannot use, stored compactly, because a farm may have 100,000 of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{PlotGroupId, PlotId, PuzzleHash};
use crate::pos::constants::Constants;
use crate::pos::iterations;
use crate::units::{ByteSize, PlotSize};
use crate::wire::{Plot, plot_group_id_v2, plot_id_v2};

/// Plots and unusable files of one harvester as of its last finished plot sync.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct PlotLists {
    /// Plots by path.
    pub(super) plots: BTreeMap<Box<str>, PlotEntry>,
    /// Files that could not be opened.
    pub(super) failed: BTreeSet<Box<str>>,
    /// Plots for keys that are not ours.
    pub(super) no_key: BTreeSet<Box<str>>,
    /// Files the harvester calls duplicates.
    pub(super) duplicates: BTreeSet<Box<str>>,
    plot_bytes: ByteSize,
    effective_bytes: ByteSize,
    held_bytes: usize,
    v2_plots: u64,
    /// v2 plots whose filter is not known for certain.
    unsure_v2_plots: u64,
    /// Expected sizes as consensus counts them, of v1 and of v2 plots.
    expected_bytes: [f64; 2],
    /// Plots that are made for contracts, by contract; of at most [`MAX_CONTRACTS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    contracts: BTreeMap<PuzzleHash, ContractPlots>,
    /// Plots that are made for a pool public key.
    #[serde(default)]
    pool_key_plots: u64,
    version: u64,
}

/// Plots that are made for one contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct ContractPlots {
    /// v1 and v2 plots.
    pub(super) plots: [u64; 2],
    /// Expected sizes of both as consensus counts them.
    pub(super) expected_bytes: [f64; 2],
}

/// What is kept of a plot.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PlotEntry {
    /// Id of the plot, as the harvester says.
    pub(super) plot_id: PlotId,
    /// Contract of a plotNFT plot.
    pub(super) contract: Option<PuzzleHash>,
    /// Size of the file.
    pub(super) file_size: ByteSize,
    /// Time of its last change, unix seconds.
    pub(super) time_modified: u64,
    /// k or strength.
    pub(super) size: PlotSize,
    /// Compression level, 0 for none.
    pub(super) compression_level: u8,
    /// Place of a v2 plot in the filter, if its plot id proves it. Boxed, because most plots are v1 and have none.
    pub(super) place: Option<Box<FilterPlace>>,
}

/// What the v2 filter looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct FilterPlace {
    /// Plots of one group pass together.
    pub(super) group_id: PlotGroupId,
    /// Which turn of the group's.
    pub(super) meta_group: u8,
}

/// New lists, complete or as a difference.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct ListUpdate {
    /// Plots that are new.
    pub(super) added: BTreeMap<Box<str>, PlotEntry>,
    /// Paths of plots that are gone.
    pub(super) removed: BTreeSet<Box<str>>,
    /// Complete list.
    pub(super) failed: BTreeSet<Box<str>>,
    /// Complete list.
    pub(super) no_key: BTreeSet<Box<str>>,
    /// Complete list.
    pub(super) duplicates: BTreeSet<Box<str>>,
    /// Bytes of memory it takes, roughly.
    pub(super) held_bytes: usize,
}

/// Plots that came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Ids of plots that are new, or at a new path.
    pub(super) added: Vec<PlotId>,
    /// Plots that are no longer at their path.
    pub(super) removed: Vec<(Box<str>, PlotId)>,
}

impl PlotLists {
    /// Applies a difference, or replaces everything by a complete update, and says what has changed.
    pub(super) fn apply(&mut self, constants: &Constants, update: ListUpdate, completeness: Completeness) -> Change {
        let mut change = Change::default();
        match completeness {
            Completeness::Difference => {
                change.added.extend(update.added.values().map(|plot| plot.plot_id));
                self.plots.extend(update.added);
                for path in update.removed {
                    if let Some(plot) = self.plots.remove(&path) {
                        change.removed.push((path, plot.plot_id));
                    }
                }
            }
            Completeness::Everything => {
                let old = std::mem::replace(&mut self.plots, update.added);
                let same = |path: &str, plot: &PlotEntry, lists: &BTreeMap<Box<str>, PlotEntry>| {
                    lists.get(path).is_some_and(|other| other.plot_id == plot.plot_id)
                };
                for (path, plot) in &self.plots {
                    if !same(path, plot, &old) {
                        change.added.push(plot.plot_id);
                    }
                }
                for (path, plot) in old {
                    if !same(&path, &plot, &self.plots) {
                        change.removed.push((path, plot.plot_id));
                    }
                }
            }
        }
        self.failed = update.failed;
        self.no_key = update.no_key;
        self.duplicates = update.duplicates;
        self.plot_bytes = self.plots.values().map(|plot| plot.file_size).sum();
        self.effective_bytes = iterations::total_effective_size(constants, self.plots.values().map(|plot| plot.size));
        self.count_space(constants);
        self.version += 1;
        self.held_bytes = self.plots.keys().map(|path| held_bytes_of(path)).sum::<usize>()
            + [&self.failed, &self.no_key, &self.duplicates]
                .into_iter()
                .flatten()
                .map(|path| held_bytes_of(path))
                .sum::<usize>();
        change
    }

    #[expect(clippy::cast_precision_loss, reason = "for averages")]
    fn count_space(&mut self, constants: &Constants) {
        (self.v2_plots, self.unsure_v2_plots, self.expected_bytes) = (0, 0, [0.0; 2]);
        self.contracts.clear();
        self.pool_key_plots = 0;
        for plot in self.plots.values() {
            self.pool_key_plots += u64::from(plot.contract.is_none());
            let is_v2 = plot.size.is_v2();
            self.v2_plots += u64::from(is_v2);
            self.unsure_v2_plots += u64::from(is_v2 && !plot.has_sure_filter(constants));
            let bytes = iterations::expected_plot_size(constants, plot.size).0 as f64;
            self.expected_bytes[usize::from(is_v2)] += bytes;
            if let Some(contract) = plot.contract
                && (self.contracts.len() < MAX_CONTRACTS || self.contracts.contains_key(&contract))
            {
                let of = self.contracts.entry(contract).or_default();
                of.plots[usize::from(is_v2)] += 1;
                of.expected_bytes[usize::from(is_v2)] += bytes;
            }
        }
    }

    /// The lists as an update that says everything.
    pub(super) fn into_update(self) -> ListUpdate {
        ListUpdate {
            added: self.plots,
            removed: BTreeSet::new(),
            failed: self.failed,
            no_key: self.no_key,
            duplicates: self.duplicates,
            held_bytes: self.held_bytes,
        }
    }

    /// Sum of the sizes of the plot files.
    pub(super) const fn plot_bytes(&self) -> ByteSize {
        self.plot_bytes
    }

    /// Sum of effective sizes, as official displays compute it.
    pub(super) const fn effective_bytes(&self) -> ByteSize {
        self.effective_bytes
    }

    /// v2 plots among the plots.
    pub(super) const fn v2_plots(&self) -> u64 {
        self.v2_plots
    }

    /// v2 plots of which it is not certain when they pass the filter.
    pub(super) const fn unsure_v2_plots(&self) -> u64 {
        self.unsure_v2_plots
    }

    /// What consensus counts all v1 plots as, in bytes.
    pub(super) const fn v1_bytes(&self) -> f64 {
        self.expected_bytes[0]
    }

    /// What consensus counts all v2 plots as, in bytes.
    pub(super) const fn v2_bytes(&self) -> f64 {
        self.expected_bytes[1]
    }

    /// Plots that are made for contracts, by contract.
    pub(super) const fn contracts(&self) -> &BTreeMap<PuzzleHash, ContractPlots> {
        &self.contracts
    }

    /// Plots that are made for a pool public key.
    pub(super) const fn pool_key_plots(&self) -> u64 {
        self.pool_key_plots
    }

    /// Another one after every change.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Bytes of memory all this takes, roughly.
    pub(super) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// Whether an update says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Completeness {
    /// What is not in it is not there.
    Everything,
    /// What is not in it is as it was.
    Difference,
}

impl ContractPlots {
    /// Adds those of another harvester.
    pub(super) fn add(&mut self, other: &Self) {
        for kind in 0..2 {
            self.plots[kind] += other.plots[kind];
            self.expected_bytes[kind] += other.expected_bytes[kind];
        }
    }

    /// How many.
    pub(super) const fn count(&self) -> u64 {
        self.plots[0] + self.plots[1]
    }
}

impl From<&Plot> for PlotEntry {
    fn from(plot: &Plot) -> Self {
        Self {
            plot_id: plot.plot_id,
            contract: plot.pool.contract().copied(),
            file_size: plot.file_size,
            time_modified: plot.time_modified,
            size: plot.size,
            compression_level: plot.compression_level.unwrap_or(0),
            place: FilterPlace::of(plot).map(Box::new),
        }
    }
}

impl PlotEntry {
    /// Whether it is certain when a v2 plot passes the filter: its place in it is proven, and no rule of its network keeps
    /// it from passing at all. Its k is not told, so its size has to do: a k more or less is a file of twice or half of it.
    fn has_sure_filter(&self, constants: &Constants) -> bool {
        let PlotSize::V2 { strength } = self.size else {
            return false;
        };
        let expected = iterations::expected_plot_size(constants, self.size).0;
        let sizes = expected * 3 / 4..=expected.saturating_mul(4) / 3;
        self.place.is_some()
            && (constants.min_plot_strength..=constants.max_plot_strength).contains(&strength)
            && sizes.contains(&self.file_size.0)
    }
}

impl FilterPlace {
    /// As the harvester says, if that makes the plot id. Older harvesters say nothing of it.
    fn of(plot: &Plot) -> Option<Self> {
        let PlotSize::V2 { strength } = plot.size else {
            return None;
        };
        let place = Self {
            group_id: plot_group_id_v2(strength, &plot.plot_public_key, &plot.pool),
            meta_group: plot.meta_group,
        };
        let plot_id = plot_id_v2(&place.group_id, plot.plot_index, place.meta_group);
        (plot_id == plot.plot_id).then_some(place)
    }
}

/// Bytes of memory a listed file takes, roughly: its path, and an entry in a tree that is not full.
pub(super) const fn held_bytes_of(path: &str) -> usize {
    path.len() + ENTRY_BYTES
}

/// The directory a file is in, as its harvester writes it, without the separator at its end.
pub(super) fn directory_of(path: &str) -> &str {
    path.rfind(['/', '\\']).map_or("", |end| &path[..end])
}

/// The longest directory that all these files are in or below; `None` if they have none in common.
pub(super) fn common_directory<'a>(paths: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut paths = paths.into_iter().map(directory_of);
    let mut common = paths.next()?;
    for directory in paths {
        while !is_in(directory, common) {
            common = directory_of(common);
        }
    }
    (!common.is_empty()).then(|| common.to_owned())
}

fn is_in(directory: &str, ancestor: &str) -> bool {
    directory
        .strip_prefix(ancestor)
        .is_some_and(|rest| ancestor.is_empty() || rest.is_empty() || rest.starts_with(['/', '\\']))
}

const ENTRY_BYTES: usize = 200;

/// Contracts that the plots of one harvester are counted by: nobody has as many plotNFTs, but a harvester can make some up.
const MAX_CONTRACTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_directory_is_whole_components() {
        let common = |paths: &[&str]| common_directory(paths.iter().copied());
        assert_eq!(common(&[]), None);
        assert_eq!(common(&["/mnt/d1/a.plot"]).as_deref(), Some("/mnt/d1"));
        assert_eq!(
            common(&["/mnt/d1/a.plot", "/mnt/d1/x/b.plot"]).as_deref(),
            Some("/mnt/d1")
        );
        assert_eq!(common(&["/mnt/d1/a.plot", "/mnt/d10/b.plot"]).as_deref(), Some("/mnt"));
        assert_eq!(common(&["/a/x.plot", "/b/x.plot"]), None);
        assert_eq!(
            common(&[r"D:\plots\a.plot", r"D:\plots\b.plot"]).as_deref(),
            Some(r"D:\plots")
        );
        assert_eq!(common(&["a.plot", "/b/x.plot"]), None);
    }
}
