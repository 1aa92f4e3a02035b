//! What the history tells: pages of its tables, and how the history itself fares.

use serde::{Deserialize, Serialize};

use super::luck::QuarterCounts;
use super::proof::ProofView;

/// Most rows one page may carry.
pub const HISTORY_PAGE_LIMIT: u32 = 1000;

/// How the history fares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// Whether it is written.
    pub state: HistoryState,
    /// Facts written since start.
    pub written: u64,
    /// Facts that were not written since start: the disk was full or too slow.
    pub dropped: u64,
    /// Size of the file and its journal, bytes.
    pub file_bytes: u64,
}

/// Whether the history is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum HistoryState {
    /// There is none.
    #[default]
    Off,
    /// It is.
    Writing,
    /// It cannot be, and is tried again.
    Failing {
        /// Why, as a fragment.
        why: String,
    },
    /// It was made by a newer version and is left alone.
    Newer {
        /// Version of its schema.
        schema: i64,
    },
}

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryTable {
    /// Answers of harvesters, and their absence.
    Attempts,
    /// The same summed up by hour and harvester.
    Hours,
    /// The whole farm by quarter of an hour.
    Quarters,
    /// Proofs.
    Proofs,
    /// Partials sent to pools.
    Partials,
    /// Plots that came and went.
    PlotChanges,
    /// Incidents.
    Alarms,
}

/// Asks for part of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// Which.
    pub table: HistoryTable,
    /// From this moment on, unix milliseconds.
    #[serde(default)]
    pub from_unix_ms: u64,
    /// Before this moment, unix milliseconds.
    pub to_unix_ms: u64,
    /// Only this harvester's (of alarms: machine's), by name; `None` for all.
    #[serde(default)]
    pub harvester: Option<String>,
    /// Rows to skip.
    #[serde(default)]
    pub offset: u64,
    /// Rows wanted, at most [`HISTORY_PAGE_LIMIT`].
    pub limit: u32,
}

/// Part of a table, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// Whether there is more after these.
    pub has_more: bool,
    /// The rows from `offset` on.
    pub rows: HistoryRows,
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryRows {
    /// Of [`HistoryTable::Attempts`].
    Attempts(Vec<AttemptRow>),
    /// Of [`HistoryTable::Hours`].
    Hours(Vec<HourRow>),
    /// Of [`HistoryTable::Quarters`].
    Quarters(Vec<QuarterCounts>),
    /// Of [`HistoryTable::Proofs`].
    Proofs(Vec<ProofView>),
    /// Of [`HistoryTable::Partials`].
    Partials(Vec<PartialRow>),
    /// Of [`HistoryTable::PlotChanges`].
    PlotChanges(Vec<PlotChangeRow>),
    /// Of [`HistoryTable::Alarms`].
    Alarms(Vec<AlarmRow>),
}

/// One signage point at one harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// Arrival of the signage point, unix milliseconds.
    pub at_unix_ms: u64,
    /// Name.
    pub harvester: String,
    /// Index in the sub-slot.
    pub signage_point_index: u8,
    /// Plots it had.
    pub total: u32,
    /// Plots that passed the filter; `None` if it never answered, and so the rest.
    pub passed: Option<u32>,
    /// Proofs.
    pub proofs: Option<u32>,
    /// Look-up time it reported, milliseconds.
    pub lookup_ms: Option<u32>,
    /// From our sending to its answer, milliseconds.
    pub round_trip_ms: Option<u32>,
}

/// One hour of one harvester.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourRow {
    /// Beginning, unix milliseconds.
    pub start_unix_ms: u64,
    /// Name.
    pub harvester: String,
    /// Answers.
    pub answered: u64,
    /// Of those, later than 8 s.
    pub late: u64,
    /// Signage points without an answer.
    pub unanswered: u64,
    /// Plots that passed the filter.
    pub passed: u64,
    /// Proofs.
    pub proofs: u64,
    /// Most plots it had.
    pub plots: u64,
    /// Mean look-up time, milliseconds; `None` without an answer.
    pub lookup_mean_ms: Option<u64>,
    /// Longest look-up time, milliseconds.
    pub lookup_max_ms: Option<u64>,
}

/// One partial and what the pool said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRow {
    /// When its fate was known, unix milliseconds.
    pub at_unix_ms: u64,
    /// Pool, as its URL or host.
    pub pool: String,
    /// Name of the harvester.
    pub harvester: String,
    /// Plot file, as the harvester calls it.
    pub plot_file: String,
    /// Points it earned; 0 unless it was accepted.
    pub points: u64,
    /// In a word: `accepted`, `stale`, `late`, ….
    pub outcome: String,
    /// Where it was when it was lost, in a word or two; `None` if it was accepted.
    pub step: Option<String>,
    /// Why it was lost.
    pub detail: Option<String>,
    /// From the signage point to its end, milliseconds.
    pub after_ms: u32,
}

/// Plots that came and went in one plot sync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotChangeRow {
    /// Unix milliseconds.
    pub at_unix_ms: u64,
    /// Name.
    pub harvester: String,
    /// Plots it had after it.
    pub plots: u64,
    /// Plots added.
    pub added: u64,
    /// Plots removed.
    pub removed: u64,
    /// Longest common directory of those removed: usually the drive.
    pub removed_from: Option<String>,
}

/// One incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmRow {
    /// Opened, unix milliseconds.
    pub opened_at_unix_ms: u64,
    /// Closed, unix milliseconds; `None` while open.
    pub closed_at_unix_ms: Option<u64>,
    /// Name of the rule, as `harvester_silent`.
    pub rule: String,
    /// `critical` or `warning`.
    pub severity: String,
    /// Machine or node it is about.
    pub machine: Option<String>,
    /// The sentence.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// A person has seen it.
    pub acknowledged: bool,
    /// It was open when that run of the farmer ended: `closed_at_unix_ms` is when that was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut_short: bool,
}
