//! What became of a file named like a plot, and the sentence that says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::super::file::PlotPath;
use super::super::plot::{FARMER_KEY, LoadedPlot, OpenError};
use crate::ids::PlotId;
use crate::wire::{G1Bytes, HarvesterHandshake};

/// What became of a file named like a plot.
#[derive(Debug)]
pub(in super::super) enum FileState {
    /// It is farmed.
    Farmed(Arc<LoadedPlot>),
    /// It cannot be opened.
    Failed {
        /// Why.
        reason: String,
        /// When that was tried; `None` if it failed for this process and not for the file, so that it is tried again soon.
        tried: Option<Instant>,
    },
    /// It was made for other keys.
    NoKey {
        /// `farmer public key` or `pool public key`.
        what: &'static str,
        /// The key.
        wanted: G1Bytes,
    },
    /// Its plot is farmed from another file.
    Duplicate {
        /// The plot.
        plot_id: PlotId,
        /// That file.
        of: PlotPath,
    },
    /// It is not whole yet.
    BeingCopied {
        /// How much there is.
        reason: String,
    },
    /// It is compressed more than the settings allow.
    TooCompressed {
        /// How much.
        reason: String,
        /// Its level.
        level: u8,
    },
}

/// Why a file is not farmed, as a sentence; `None` if it is.
pub(in super::super) fn reason(state: &FileState, path: &Path, keys: &HarvesterHandshake) -> Option<String> {
    Some(match state {
        FileState::Farmed(_) => return None,
        FileState::Failed { reason, .. }
        | FileState::BeingCopied { reason }
        | FileState::TooCompressed { reason, .. } => reason.clone(),
        FileState::NoKey { what, wanted } => {
            let ours = match *what {
                FARMER_KEY => &keys.farmer_public_keys,
                _ => &keys.pool_public_keys,
            };
            let error = OpenError::NoKey {
                path: path.to_owned(),
                what,
                wanted: *wanted,
                ours: ours.clone(),
            };
            error.to_string()
        }
        FileState::Duplicate { of, .. } => {
            format!("{} is a copy of {}, which is farmed", path.display(), of.display())
        }
    })
}

/// What becomes of a file that cannot be opened for this reason.
pub(super) fn refused(error: OpenError, now: Instant) -> FileState {
    match error {
        OpenError::NoKey { what, wanted, .. } => FileState::NoKey { what, wanted },
        OpenError::BeingCopied { .. } => FileState::BeingCopied {
            reason: error.to_string(),
        },
        OpenError::TooCompressed { level, .. } => FileState::TooCompressed {
            reason: error.to_string(),
            level,
        },
        error => FileState::Failed {
            tried: (!error.is_of_process()).then_some(now),
            reason: error.to_string(),
        },
    }
}

/// Whether nothing new is to be told.
pub(super) fn is_same_failure(old: &FileState, new: &FileState) -> bool {
    match (old, new) {
        (FileState::Failed { reason: old, .. }, FileState::Failed { reason: new, .. }) => old == new,
        (FileState::NoKey { wanted: old, .. }, FileState::NoKey { wanted: new, .. }) => old == new,
        (FileState::TooCompressed { level: old, .. }, FileState::TooCompressed { level: new, .. }) => old == new,
        // How much there is changes all the time.
        (FileState::BeingCopied { .. }, FileState::BeingCopied { .. }) => true,
        _ => false,
    }
}
