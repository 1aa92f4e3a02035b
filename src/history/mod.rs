//! The history: what became of every signage point, proof and incident, in an SQLite file that outlives the farmer and
//! that its owner may ask with SQL.
//!
//! The engine hands facts over through a bounded queue and never waits; one thread (`writer`) writes them in batches,
//! every two seconds at most. What does not fit, because the disk is full or slow, is dropped and counted, and writing
//! goes on by itself. At most the last three seconds are lost when the process is killed: the file is in WAL mode.
//!
//! `schema.sql` is the schema, with every column explained; its version is `PRAGMA user_version`. An older file is
//! migrated, a newer one is left alone (farming goes on, nothing is written), a damaged one is put aside. `attempts` and
//! `signage_points` are bounded by days and by the size of the file; `hours`, `quarters`, `alarms` and `plot_changes` by
//! [`SUMS_KEPT_DAYS`]; proofs that became a block are kept for good, and `plots` has what the farm has now and what it misses.
//!
//! Reading ([`HistoryReader`]) uses connections of its own, which can only read, so that nobody who reads holds up the
//! writer. `sqlite3 -readonly history.sqlite` does the same while the farmer runs.

mod batch;
mod columns;
mod fact;
mod forget_clock;
mod plot_changes;
mod plots;
mod reader;
mod store;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

pub use reader::{HistoryError, HistoryReader};
pub use writer::Writer;

use crate::farmer::{Input, PlotNews};
use crate::snapshot::{FarmRecord, HistoryState, HistoryView, Notice, ProofView};
use crate::system_clock::unix_now;
use fact::Fact;

/// Facts that may wait for the writer: what a fleet of a thousand answers in half a minute. Room for all of them is taken
/// when the queue is made.
const QUEUE: usize = 4_096;

/// Days that sums and incidents are kept.
pub const SUMS_KEPT_DAYS: u32 = 400;

/// Where the history lies and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// The file.
    pub file: PathBuf,
    /// Days that single answers are kept.
    pub keep_days: u32,
    /// Size of the file at which the oldest answers go, bytes.
    pub max_bytes: u64,
}

/// The engine's end of the queue. The writer ends when all of them are dropped.
#[derive(Clone, Debug)]
pub struct HistorySender {
    facts: SyncSender<Fact>,
    health: Health,
}

/// How the history fares, shared by both ends of the queue.
#[derive(Clone, Debug, Default)]
struct Health(Arc<Mutex<HistoryView>>);

impl Health {
    fn change<T>(&self, change: impl FnOnce(&mut HistoryView) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A history: where the engine sends facts, and the writer, which wants a thread of its own. The writer tells the farmer
/// what earlier runs had ([`Input::Past`]) and how it fares ([`Input::History`]).
#[must_use]
pub fn history(options: HistoryOptions, farmer: mpsc::Sender<Input>) -> (HistorySender, Writer) {
    let (facts, queue) = sync_channel(QUEUE);
    let health = Health::default();
    let sender = HistorySender {
        facts,
        health: health.clone(),
    };
    (sender, Writer::new(options, queue, health, farmer))
}

impl HistorySender {
    /// Writes a notice down, if it is one that matters later.
    pub fn note(&self, notice: &Notice) {
        if let Some(fact) = Fact::of(notice, || unix_now().0) {
            self.send(fact);
        }
    }

    /// Writes down how far a proof is.
    pub fn note_proof(&self, proof: ProofView) {
        self.send(Fact::Proof(Box::new(proof)));
    }

    /// Writes down what the next run should know.
    pub fn keep(&self, record: Box<FarmRecord>) {
        self.send(Fact::Record(record));
    }

    /// Writes down where plots are. What was there and is not listed now is told to the farmer
    /// ([`Input::PlotsMissing`]).
    pub fn note_plots(&self, news: PlotNews) {
        self.send(Fact::PlotNews(news));
    }

    /// How the history fares.
    #[must_use]
    pub fn view(&self) -> HistoryView {
        self.health.change(|view| view.clone())
    }

    fn send(&self, fact: Fact) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.facts.try_send(fact) {
            self.health.change(|view| view.dropped += 1);
        }
    }
}

impl Health {
    /// Whether every sender is gone.
    fn is_ours_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn set_state(&self, state: HistoryState) -> bool {
        self.change(|view| {
            let is_new = view.state != state;
            view.state = state;
            is_new
        })
    }
}
