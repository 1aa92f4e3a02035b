//! The drives and directories that plots are on, and those that are gone with all their plots: told once for each, and
//! remembered until they are back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::mounts::Mounts;
use crate::logging::target::PLOT_MANAGER;

/// Drives with plots, and what is gone.
#[derive(Debug, Default)]
pub(super) struct Drives {
    /// By `st_dev`.
    volumes: BTreeMap<u64, Volume>,
    gone: BTreeMap<PathBuf, GoneVolume>,
}

/// A file system with plots.
#[derive(Clone, Debug)]
struct Volume {
    name: PathBuf,
    /// What was mounted at that name then.
    mounted: Option<u64>,
}

/// A file system or directory that had plots and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct GoneVolume {
    what: Gone,
    /// The lane that misses it.
    lane: Arc<Path>,
    /// Plots that it had.
    pub(in super::super) plots: u64,
    /// Sum of their sizes, bytes.
    pub(in super::super) bytes: u64,
    /// When it was missed, unix milliseconds.
    pub(in super::super) since_unix_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// Nothing is mounted where it was.
    Drive,
    /// A directory of the settings that is not there or cannot be listed.
    Directory,
}

/// How many plots, and how many bytes, by volume and directory.
pub(super) type Plots = BTreeMap<(u64, PathBuf), (u64, u64)>;

/// Plots of a lane that are gone.
#[derive(Debug)]
pub(super) struct Missed<'a> {
    /// The lane.
    pub(super) lane: &'a Arc<Path>,
    /// The lane that misses them.
    pub(super) by: &'a Arc<Path>,
    /// How many.
    pub(super) plots: Plots,
    /// Volumes that still have files of the lane.
    pub(super) left: BTreeSet<u64>,
    /// Directories that could not be listed, with the reason.
    pub(super) troubles: &'a BTreeMap<PathBuf, String>,
}

impl Drives {
    /// A file of this volume was found in `directory`.
    pub(super) fn note(&mut self, volume: u64, directory: &Path, mounts: &Mounts) {
        self.volumes.entry(volume).or_insert_with(|| {
            let name = mounts.name_of(volume, directory);
            let mounted = mounts.at(&name);
            Volume { name, mounted }
        });
    }

    /// Tells once for each directory or drive what is gone.
    pub(super) fn miss(&mut self, missed: Missed<'_>, mounts: &Mounts, now_unix_ms: u64) {
        let Missed {
            lane,
            by,
            plots,
            left,
            troubles,
        } = missed;
        let mut gone: BTreeMap<PathBuf, (Gone, u64, u64)> = BTreeMap::new();
        for ((volume, directory), (count, bytes)) in plots {
            let drive = self
                .volumes
                .get(&volume)
                .filter(|volume| volume.mounted.is_some() && mounts.at(&volume.name) != volume.mounted);
            // A drive that is no longer mounted; a directory of the settings that is not there; or some files of one.
            let (name, what) = match drive {
                Some(drive) => (drive.name.clone(), Gone::Drive),
                None if troubles.contains_key(&**lane) && !left.contains(&volume) => {
                    (lane.to_path_buf(), Gone::Directory)
                }
                None => {
                    tell_gone(&directory, count, "");
                    continue;
                }
            };
            let total = gone.entry(name).or_insert((what, 0, 0));
            *total = (what, total.1 + count, total.2 + bytes);
        }
        for (name, (what, count, bytes)) in gone {
            let reason = troubles.get(&**lane).map_or("it is no longer mounted", String::as_str);
            tell_gone(&name, count, reason);
            let entry = self.gone.entry(name).or_insert_with(|| GoneVolume {
                what,
                lane: Arc::clone(by),
                plots: 0,
                bytes: 0,
                since_unix_ms: now_unix_ms,
            });
            (entry.plots, entry.bytes) = (entry.plots + count, entry.bytes + bytes);
        }
    }

    /// A refresh ends: forgets what was missed and is back. `is_well` says whether all directories of a lane could be
    /// listed; `None` if there is no such lane any more.
    pub(super) fn end(&mut self, mounts: &Mounts, is_well: impl Fn(&Arc<Path>) -> Option<bool>) {
        // Its number may be another volume's by now.
        self.volumes
            .retain(|_, volume| mounts.at(&volume.name) == volume.mounted);
        self.gone.retain(|name, gone| {
            let is_back = is_well(&gone.lane)
                .is_none_or(|is_well| is_well && (gone.what == Gone::Directory || mounts.is_point(name)));
            if is_back {
                tracing::warn!(target: PLOT_MANAGER, "{} is back", name.display());
            }
            !is_back
        });
    }

    /// What a volume is called.
    pub(super) fn name_of(&self, volume: u64) -> Option<&Path> {
        self.volumes.get(&volume).map(|volume| volume.name.as_path())
    }

    /// Volumes and directories that had plots and are gone, by name.
    pub(super) const fn gone(&self) -> &BTreeMap<PathBuf, GoneVolume> {
        &self.gone
    }
}

fn tell_gone(what: &Path, count: u64, why: &str) {
    let plots = if count == 1 { "plot" } else { "plots" };
    let (colon, why) = if why.is_empty() { ("", "") } else { (": ", why) };
    tracing::warn!(target: PLOT_MANAGER, "{}: {count} {plots} gone{colon}{why}", what.display());
}
