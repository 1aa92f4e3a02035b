//! Refreshes on a thread of their own, whose findings anybody can see and nobody has to wait for.
//!
//! The thread owns the [`Inventory`] while it works. If a disk hangs, so does the thread; what it found before stays
//! visible, and no other refresh begins.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::file::plot_name;
use super::plot::LoadedPlot;
use super::scan::{FileState, Inventory, ScanOptions};
use crate::wire::HarvesterHandshake;

/// Plots by the name the farmer knows them by.
pub(super) type Plots = BTreeMap<Arc<str>, Arc<LoadedPlot>>;

/// What is known of the plots, as of a moment of a refresh or of its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    /// Counts up; 0 is before the first refresh.
    pub(super) revision: u64,
    /// Whether the refresh is over.
    pub(super) finished: bool,
    /// Plots that are farmed.
    pub(super) plots: Arc<Plots>,
    /// Files that cannot be opened.
    pub(super) failed: Vec<String>,
    /// Plots made for other keys.
    pub(super) no_key: Vec<String>,
    /// Files whose plot is farmed from another file.
    pub(super) duplicates: Vec<String>,
    /// Files in all.
    pub(super) files: usize,
    /// Plots loaded and removed by this refresh.
    pub(super) changes: (usize, usize),
    /// How long this refresh has taken.
    pub(super) took: Duration,
    /// The keys that files were judged by.
    pub(super) keys: Option<Arc<HarvesterHandshake>>,
}

/// Starts refreshes.
#[derive(Debug)]
pub(super) struct Scanner {
    inventory: Arc<Mutex<Inventory>>,
    findings: Arc<watch::Sender<Arc<Findings>>>,
}

/// Why no refresh was started.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    /// The last one has not ended.
    #[error("the last one has not ended")]
    StillBusy,
    /// The system gives no thread.
    #[error("start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl Scanner {
    /// A scanner that has found nothing yet.
    pub(super) fn new() -> Self {
        let (findings, _) = watch::channel(Arc::default());
        Self {
            inventory: Arc::default(),
            findings: Arc::new(findings),
        }
    }

    /// The newest findings, and news of newer ones.
    pub(super) fn findings(&self) -> watch::Receiver<Arc<Findings>> {
        self.findings.subscribe()
    }

    /// Starts a refresh, unless one is running.
    ///
    /// # Errors
    /// [`NotStarted`]; trying again later does no harm.
    pub(super) fn start(&self, options: ScanOptions, keys: Arc<HarvesterHandshake>) -> Result<(), NotStarted> {
        let inventory = Arc::clone(&self.inventory).try_lock_owned();
        let mut inventory = inventory.map_err(|_| NotStarted::StillBusy)?;
        let findings = Arc::clone(&self.findings);
        let started = Instant::now();
        thread::Builder::new().name("plot refresh".to_owned()).spawn(move || {
            let mut last_told = started;
            inventory.refresh(&options, &keys, started.into_std(), &mut |inventory| {
                if last_told.elapsed() >= TELL_EVERY {
                    last_told = Instant::now();
                    publish(&findings, Findings::of(inventory, started.elapsed()));
                }
            });
            let found = Findings {
                finished: true,
                ..Findings::of(&inventory, started.elapsed())
            };
            // Whoever sees this refresh finished may start the next one.
            drop(inventory);
            publish(&findings, found);
        })?;
        Ok(())
    }

    /// Keeps refreshes from beginning, as a disk that hangs does; `None` while one is running.
    #[cfg(test)]
    pub(super) fn hang(&self) -> Option<tokio::sync::OwnedMutexGuard<Inventory>> {
        Arc::clone(&self.inventory).try_lock_owned().ok()
    }
}

impl Findings {
    fn of(inventory: &Inventory, took: Duration) -> Self {
        let mut found = Self {
            changes: inventory.changes(),
            took,
            keys: inventory.keys().cloned(),
            ..Self::default()
        };
        let mut plots = Plots::new();
        for (path, state) in inventory.files() {
            found.files += 1;
            match state {
                FileState::Farmed(plot) => {
                    plots.insert(Arc::clone(plot.name()), Arc::clone(plot));
                }
                FileState::Failed { .. } => found.failed.push(plot_name(path)),
                FileState::NoKey { .. } => found.no_key.push(plot_name(path)),
                FileState::Duplicate { .. } => found.duplicates.push(plot_name(path)),
                FileState::BeingCopied => {}
            }
        }
        found.plots = Arc::new(plots);
        found
    }
}

fn publish(newest: &watch::Sender<Arc<Findings>>, mut found: Findings) {
    newest.send_modify(|newest| {
        found.revision = newest.revision + 1;
        *newest = Arc::new(found);
    });
}

/// During a long refresh plots are farmed before its end; a list of 100,000 is not made anew more often than this.
const TELL_EVERY: Duration = Duration::from_secs(5);
