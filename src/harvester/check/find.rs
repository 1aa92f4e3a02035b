//! Finding plot files for a command that a person waits for: every directory on a thread of its own, so that a drive that
//! hangs costs its own files and a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::inventory::Listing;
use super::super::mounts::Mounts;
use super::super::scan::{Disks, Look, ScanOptions, cannot_list};
use crate::config::patience::{self, DRIVE_PATIENCE};
use crate::units::ByteSize;

/// Files named like plots, as a harvester finds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlotFiles {
    /// They, in order of their paths, with their sizes.
    pub files: BTreeMap<PathBuf, ByteSize>,
    /// Directories that cannot be listed, and why.
    pub troubles: BTreeMap<PathBuf, Unlisted>,
}

/// Why a directory gives no files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// The system says so, as a fragment behind the directory's name.
    Refused(String),
    /// Its drive does not answer.
    NoAnswer,
}

impl Unlisted {
    /// What to do about it, where there is more to say.
    #[must_use]
    pub fn hint(&self, directory: &Path) -> Option<String> {
        match self {
            Self::Refused(_) => None,
            Self::NoAnswer => Some(patience::no_answer_hint(directory)),
        }
    }
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::NoAnswer => f.write_str(&patience::no_answer()),
        }
    }
}

/// Looks for plots in the directories of `options`. Blocking, and no longer than [`DRIVE_PATIENCE`] for a drive that does
/// not answer.
#[must_use]
pub fn plot_files(options: &ScanOptions) -> PlotFiles {
    find(Arc::new(Disks), options, DRIVE_PATIENCE)
}

pub(super) fn find(look: Arc<dyn Look>, options: &ScanOptions, patience: Duration) -> PlotFiles {
    let list = {
        let (options, mounts) = (options.clone(), Mounts::read().unwrap_or_default());
        move |directory: PathBuf, step: &dyn Fn()| {
            let real = look.resolve(&directory)?;
            let listing = look.list(&real, &options, &mounts, &BTreeSet::new(), step);
            Ok::<_, io::Error>(listing)
        }
    };
    let mut found = PlotFiles::default();
    let mut visited = BTreeSet::new();
    let mut waiting = options.directories.clone();
    while !waiting.is_empty() {
        waiting.retain(|directory| visited.insert(directory.clone()));
        let listings = patience::ask_each(waiting.clone(), patience, list.clone());
        for (directory, listing) in std::mem::take(&mut waiting).into_iter().zip(listings) {
            match listing {
                None => {
                    found.troubles.insert(directory, Unlisted::NoAnswer);
                }
                Some(Err(error)) => {
                    let why = Unlisted::Refused(cannot_list(&error));
                    found.troubles.insert(directory, why);
                }
                Some(Ok(listing)) => waiting.extend(found.take(listing)),
            }
        }
    }
    found
}

impl PlotFiles {
    /// Takes what is in a directory; mount points in it, where other drives begin.
    fn take(&mut self, listing: Listing) -> Vec<PathBuf> {
        let files = listing.files.into_iter();
        self.files
            .extend(files.map(|(path, found)| (path.to_path_buf(), ByteSize(found.stamp.size))));
        let troubles = listing.troubles.into_iter();
        self.troubles
            .extend(troubles.map(|(path, why)| (path, Unlisted::Refused(why))));
        listing.mounts
    }
}
