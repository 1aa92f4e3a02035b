//! The receiving side of plot sync: one per connection, fed message by message.
//!
//! A harvester sends one message and waits for the answer, so what is checked here is what its sender relies on: ids in
//! sequence, no path twice, no removal of what is not there. The order of message kinds is not checked. After an error
//! nothing is undone, and the id that is expected next stays the same. Source: protocol reference, plot sync.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use super::plot_lists::{Completeness, ListUpdate, PlotEntry, PlotLists, held_bytes_of};
use crate::wire::{
    Plot, PlotSync, PlotSyncError, PlotSyncErrorCode, PlotSyncIdentifier, PlotSyncPathList, PlotSyncStart,
};

/// State of the plot sync of one connection.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Receiver {
    /// Whether differences refer to what we have of this harvester, or to nothing: so until its first sync is done.
    completeness: Completeness,
    last_sync_id: u64,
    sync_id: u64,
    next_message_id: u64,
    processed: u64,
    total: u64,
    harvesting_mode: u8,
    update: ListUpdate,
}

/// Lists that are complete and can be applied.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The lists.
    pub(super) update: ListUpdate,
    /// Whether they are all there is.
    pub(super) completeness: Completeness,
    /// Plot files announced.
    pub(super) files: u64,
}

impl Default for Receiver {
    fn default() -> Self {
        Self {
            completeness: Completeness::Everything,
            last_sync_id: 0,
            sync_id: 0,
            next_message_id: 0,
            processed: 0,
            total: 0,
            harvesting_mode: 0,
            update: ListUpdate::default(),
        }
    }
}

impl Receiver {
    /// Takes one message. `known` is what we have of this harvester.
    ///
    /// # Errors
    /// [`SyncError`], which the harvester is told, except [`SyncError::TooMuch`], after which nothing more is taken.
    pub(super) fn handle(&mut self, known: &PlotLists, message: PlotSync) -> Result<Option<Finished>, SyncError> {
        match message {
            PlotSync::Start(start) => self.start(&start)?,
            PlotSync::Loaded(list) => {
                self.check_identifier(&list.identifier)?;
                for plot in list.data {
                    self.add_plot(known, plot)?;
                }
            }
            PlotSync::Removed(list) => {
                self.check_identifier(&list.identifier)?;
                for path in list.data {
                    self.remove_plot(known, path)?;
                }
            }
            PlotSync::Invalid(list) => self.add_paths(known, list, |update| &mut update.failed)?,
            PlotSync::KeysMissing(list) => self.add_paths(known, list, |update| &mut update.no_key)?,
            PlotSync::Duplicates(list) => self.add_paths(known, list, |update| &mut update.duplicates)?,
            PlotSync::Done(done) => {
                self.check_identifier(&done.identifier)?;
                return Ok(Some(self.finish()));
            }
        }
        self.next_message_id = self.next_message_id.saturating_add(1);
        Ok(None)
    }

    /// Whether a sync of this connection has been finished since the harvester last started from nothing.
    pub(super) const fn has_finished(&self) -> bool {
        matches!(self.completeness, Completeness::Difference)
    }

    /// Plot files told of and plot files announced in the sync that runs; zero while none does.
    pub(super) const fn progress(&self) -> (u64, u64) {
        (self.processed, self.total)
    }

    /// 1 CPU, 2 GPU, 0 not known.
    pub(super) const fn harvesting_mode(&self) -> u8 {
        self.harvesting_mode
    }

    fn start(&mut self, start: &PlotSyncStart) -> Result<(), SyncError> {
        if start.initial {
            *self = Self::default();
        }
        let identifier = &start.identifier;
        if identifier.message_id != self.next_message_id {
            return Err(self.unexpected(identifier));
        }
        if start.last_sync_id != self.last_sync_id {
            return Err(SyncError::LastSyncId {
                expected: self.last_sync_id,
                got: start.last_sync_id,
            });
        }
        if start.last_sync_id == identifier.sync_id {
            return Err(SyncError::SyncIdsMatch {
                sync_id: identifier.sync_id,
            });
        }
        self.sync_id = identifier.sync_id;
        self.update = ListUpdate::default();
        self.total = u64::from(start.plot_file_count);
        match start.harvesting_mode {
            mode @ (1 | 2) => self.harvesting_mode = mode,
            got => return Err(SyncError::HarvestingMode { got }),
        }
        Ok(())
    }

    fn add_plot(&mut self, known: &PlotLists, plot: Plot) -> Result<(), SyncError> {
        let entry = PlotEntry::from(&plot);
        let is_known = self.has(known, &plot.filename);
        let path = plot.filename.into_boxed_str();
        let held_bytes = held_bytes_of(&path);
        // One way down the tree: an initial sync of 100,000 plots is mostly that.
        match self.update.added.entry(path) {
            Entry::Vacant(place) if !is_known => place.insert(entry),
            taken => {
                let path = taken.key().to_string();
                return Err(SyncError::PlotAlreadyAvailable { path });
            }
        };
        self.processed += 1;
        self.hold(known, held_bytes)
    }

    fn remove_plot(&mut self, known: &PlotLists, path: String) -> Result<(), SyncError> {
        if !self.has(known, &path) || self.update.removed.contains(path.as_str()) {
            return Err(SyncError::PlotNotAvailable { path });
        }
        self.hold(known, held_bytes_of(&path))?;
        self.update.removed.insert(path.into());
        Ok(())
    }

    fn add_paths(
        &mut self,
        known: &PlotLists,
        list: PlotSyncPathList,
        of: impl Fn(&mut ListUpdate) -> &mut BTreeSet<Box<str>>,
    ) -> Result<(), SyncError> {
        self.check_identifier(&list.identifier)?;
        for path in list.data {
            if of(&mut self.update).contains(path.as_str()) {
                return Err(SyncError::PlotAlreadyAvailable { path });
            }
            self.hold(known, held_bytes_of(&path))?;
            of(&mut self.update).insert(path.into());
            self.processed += 1;
        }
        Ok(())
    }

    fn finish(&mut self) -> Finished {
        let finished = Finished {
            update: std::mem::take(&mut self.update),
            completeness: self.completeness,
            files: self.total,
        };
        *self = Self {
            completeness: Completeness::Difference,
            last_sync_id: self.sync_id,
            harvesting_mode: self.harvesting_mode,
            ..Self::default()
        };
        finished
    }

    fn has(&self, known: &PlotLists, path: &str) -> bool {
        self.has_finished() && known.plots.contains_key(path)
    }

    fn hold(&mut self, known: &PlotLists, bytes: usize) -> Result<(), SyncError> {
        self.update.held_bytes += bytes;
        if self.update.held_bytes + known.held_bytes() > MAX_HELD_BYTES {
            return Err(SyncError::TooMuch);
        }
        Ok(())
    }

    fn check_identifier(&self, got: &PlotSyncIdentifier) -> Result<(), SyncError> {
        if got.sync_id == self.sync_id && got.message_id == self.next_message_id {
            Ok(())
        } else {
            Err(self.unexpected(got))
        }
    }

    const fn unexpected(&self, got: &PlotSyncIdentifier) -> SyncError {
        let expected = PlotSyncIdentifier {
            timestamp: got.timestamp,
            sync_id: self.sync_id,
            message_id: self.next_message_id,
        };
        let got = *got;
        if self.has_taken(&got) {
            SyncError::Repeated { expected, got }
        } else {
            SyncError::Identifier { expected, got }
        }
    }

    /// Whether this is the message that was taken last: of the sync that runs, or the end of the one that is done.
    const fn has_taken(&self, got: &PlotSyncIdentifier) -> bool {
        if self.next_message_id == 0 {
            self.last_sync_id != 0 && got.sync_id == self.last_sync_id
        } else {
            got.sync_id == self.sync_id && got.message_id == self.next_message_id - 1
        }
    }
}

/// Why a message of a plot sync was not taken. But for [`SyncError::Repeated`] it is the harvester that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyncError {
    /// Another sync or another message was due.
    #[error(
        "expected message {} of sync {}, got message {} of sync {}",
        expected.message_id, expected.sync_id, got.message_id, got.sync_id
    )]
    Identifier {
        /// What was due.
        expected: PlotSyncIdentifier,
        /// What came.
        got: PlotSyncIdentifier,
    },
    /// The message taken last, once more: its sender had no answer for 20 s, and goes on from the one expected here.
    #[error("message {} of sync {} came again", got.message_id, got.sync_id)]
    Repeated {
        /// What was due.
        expected: PlotSyncIdentifier,
        /// What came.
        got: PlotSyncIdentifier,
    },
    /// It continues a sync that was never finished here.
    #[error("the last sync here is {expected}, it continues {got}")]
    LastSyncId {
        /// Our last finished sync.
        expected: u64,
        /// The one it continues.
        got: u64,
    },
    /// The new sync has the number of the last one.
    #[error("sync {sync_id} is finished and starts again")]
    SyncIdsMatch {
        /// Its number.
        sync_id: u64,
    },
    /// A mode that is neither CPU nor GPU.
    #[error("harvesting mode {got} is neither 1 (CPU) nor 2 (GPU)")]
    HarvestingMode {
        /// What came.
        got: u8,
    },
    /// A path that is listed already.
    #[error("{path} is listed already")]
    PlotAlreadyAvailable {
        /// The path.
        path: String,
    },
    /// A plot that is not there, or is removed already, cannot be removed.
    #[error("{path} is not there to be removed")]
    PlotNotAvailable {
        /// The path.
        path: String,
    },
    /// More than any harvester has.
    #[error("lists more than {} MiB of files", MAX_HELD_BYTES >> 20)]
    TooMuch,
}

impl SyncError {
    /// As the harvester is told.
    pub(super) fn to_wire(&self) -> PlotSyncError {
        let (code, expected_identifier) = match self {
            Self::Identifier { expected, .. } | Self::Repeated { expected, .. } => {
                (PlotSyncErrorCode::InvalidIdentifier, Some(*expected))
            }
            Self::LastSyncId { .. } => (PlotSyncErrorCode::InvalidLastSyncId, None),
            Self::SyncIdsMatch { .. } => (PlotSyncErrorCode::SyncIdsMatch, None),
            Self::PlotAlreadyAvailable { .. } => (PlotSyncErrorCode::PlotAlreadyAvailable, None),
            Self::PlotNotAvailable { .. } => (PlotSyncErrorCode::PlotNotAvailable, None),
            Self::HarvestingMode { .. } | Self::TooMuch => (PlotSyncErrorCode::Unknown, None),
        };
        PlotSyncError {
            code: code.as_i16(),
            message: self.to_string(),
            expected_identifier,
        }
    }
}

/// Memory one harvester may take with its lists. 100,000 plots take 30 MB, and twice that while they are sent again.
const MAX_HELD_BYTES: usize = 256 << 20;
