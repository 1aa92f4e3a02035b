//! One harvester as it sees itself: its drives, its plot files, its look-ups and its farmer.
//!
//! [`MachineSnapshot`] is to `farmconsole harvester run` what [`FarmSnapshot`](super::FarmSnapshot) is to the farmer. It is
//! bounded: its size does not grow with the number of plots, only with that of drives.

use serde::{Deserialize, Serialize};

use crate::ids::SpHash;

/// How many of the last look-ups a snapshot carries.
pub const LOOKUPS_KEPT: usize = 64;

/// How many ends of connections a snapshot carries.
pub const ENDS_KEPT: usize = 16;

/// How many files that are not farmed a snapshot carries; [`MachineSnapshot::counts`] has them all.
pub const TROUBLES_KEPT: usize = 256;

/// A harvester and all that is its own, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineSnapshot {
    /// [`SNAPSHOT_VERSION`](super::SNAPSHOT_VERSION) of the writer.
    pub snapshot_version: u32,
    /// farmconsole's version, as `0.1.0`.
    pub software_version: String,
    /// Network id, as `mainnet`.
    pub network: String,
    /// When this picture was taken, unix milliseconds.
    pub taken_at_unix_ms: u64,
    /// When this harvester started, unix milliseconds.
    pub started_at_unix_ms: u64,
    /// The farmer it serves.
    pub farmer: FarmerLinkView,
    /// The running or the last refresh of plots.
    pub scan: ScanView,
    /// Plot files by state, all drives together.
    pub counts: FileCounts,
    /// Sum of the sizes of farmed files, bytes.
    pub plot_bytes: u64,
    /// Drives with plots, and drives that had plots and are gone, by name.
    pub volumes: Vec<VolumeView>,
    /// The last signage points, oldest first, at most [`LOOKUPS_KEPT`].
    pub lookups: Vec<LookupView>,
    /// Files that are not farmed, by path, at most [`TROUBLES_KEPT`].
    pub troubles: Vec<PlotFileView>,
    /// Signage points that were not looked up because newer ones had come.
    pub stale_dropped: u64,
    /// Proofs and partial proofs sent since the start.
    pub proofs: u64,
    /// Why the settings could not be read again before the last refresh, with the file; it went by those of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_trouble: Option<String>,
}

/// The farmer that a harvester serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmerLinkView {
    /// As in the settings, `host:port`; empty for the farmer of the same process.
    pub address: String,
    /// State.
    pub state: FarmerLinkState,
    /// Since when, unix milliseconds.
    pub since_unix_ms: u64,
    /// As the farmer calls itself, made safe to show; empty before the first connection.
    pub software_version: String,
    /// As `0.0.38`; empty before the first connection.
    pub protocol_version: String,
    /// Last signage point, unix milliseconds.
    pub last_signage_point_unix_ms: Option<u64>,
    /// Connections since the start.
    pub connections: u64,
    /// Farmers that the settings name besides this one, `host:port`. A harvester serves one.
    #[serde(default)]
    pub not_dialled: Vec<String>,
    /// v2 plots that this farmer cannot farm, because it is older than protocol 0.0.38.
    #[serde(default)]
    pub plots_too_new: u64,
    /// The farmer does not take the list of plots.
    #[serde(default)]
    pub sync_refused: Option<SyncRefusalView>,
    /// When the last connections ended that were not ended from here, unix milliseconds, oldest first; at most
    /// [`ENDS_KEPT`].
    #[serde(default)]
    pub ended_at_unix_ms: Vec<u64>,
    /// How the last of them ended, as a fragment.
    #[serde(default)]
    pub last_end: Option<String>,
}

/// A farmer that refuses the list of plots, each time that it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRefusalView {
    /// The first time, unix milliseconds.
    pub since_unix_ms: u64,
    /// The farmer's words for the last time, made safe to show.
    pub reason: String,
}

/// What the connection to the farmer is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FarmerLinkState {
    /// Not yet, or not again; no reason is known.
    #[default]
    Connecting,
    /// It did not work, and is tried again.
    Failing {
        /// What was tried on what and why not, one sentence.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// Connected, but the farmer has not said which keys it farms with, or has none.
    NoKeys,
    /// Connected; the farmer is being told of the plots.
    Syncing {
        /// Plot files it was told of.
        told: u64,
        /// Plot files to tell of.
        total: u64,
    },
    /// Connected, and the farmer knows every plot.
    Synced,
}

/// Plot files by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCounts {
    /// Farmed.
    pub farmed: u64,
    /// Cannot be opened or read.
    pub failed: u64,
    /// Made for other keys.
    pub no_key: u64,
    /// Their plot is farmed from another file.
    pub duplicates: u64,
    /// Not whole yet.
    pub being_copied: u64,
    /// Compressed more than the settings allow.
    pub too_compressed: u64,
}

impl FileCounts {
    /// Files that are there and not farmed.
    #[must_use]
    pub const fn not_farmed(&self) -> u64 {
        self.failed
            .saturating_add(self.no_key)
            .saturating_add(self.duplicates)
            .saturating_add(self.being_copied)
            .saturating_add(self.too_compressed)
    }
}

/// A refresh of plots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanView {
    /// Whether it is running.
    pub running: bool,
    /// Files done.
    pub done: u64,
    /// Files found; 0 while directories are still being listed.
    pub total: u64,
    /// How long it has taken, or took, milliseconds.
    pub took_ms: u64,
    /// End of the last finished one, unix milliseconds.
    pub finished_at_unix_ms: Option<u64>,
    /// Plots that it loaded.
    pub loaded: u64,
    /// Plots that it found gone.
    pub removed: u64,
}

/// A file system with plots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VolumeView {
    /// Its mount point, as `/mnt/d07`; of a file system without one, the plot directory.
    pub name: String,
    /// What it is doing.
    pub state: VolumeState,
    /// Farmed plots on it; of a drive that is gone, those that it had.
    pub plots: u64,
    /// Sum of their sizes, bytes.
    pub plot_bytes: u64,
    /// Files on it that are not farmed.
    pub not_farmed: u64,
    /// Plots looked up since the start.
    pub lookups: u64,
    /// Median time of the last look-ups of a plot, from the beginning of its turn, microseconds; 0 before the first.
    pub p50_us: u64,
    /// 95th percentile of them.
    pub p95_us: u64,
    /// Longest of them.
    pub max_us: u64,
    /// Look-ups that failed since the start.
    pub errors: u64,
    /// The last failure, as a sentence.
    pub last_error: Option<String>,
    /// Look-ups that met a damaged plot since the start.
    #[serde(default)]
    pub damaged: u64,
    /// The last of those, as a sentence.
    #[serde(default)]
    pub last_damage: Option<String>,
    /// When that was, unix milliseconds.
    #[serde(default)]
    pub last_damage_unix_ms: Option<u64>,
    /// The last look-up that failed because the harvester may open no more files or has no memory, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_want: Option<String>,
    /// When that was, unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_want_unix_ms: Option<u64>,
    /// Look-ups that were left out or abandoned since the start.
    pub missed: u64,
    /// Look-ups running on it now.
    pub busy: u32,
}

/// What a drive is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum VolumeState {
    /// Answers.
    #[default]
    Fine,
    /// Its last look-ups took longer than 8 s.
    Slow,
    /// It hangs or fails: it gets one look-up now and then, to see whether it is back.
    Sick {
        /// Since when, unix milliseconds.
        since_unix_ms: u64,
    },
    /// It has disappeared.
    Gone {
        /// Since when, unix milliseconds.
        since_unix_ms: u64,
    },
}

/// One signage point and what was found for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupView {
    /// Signage point.
    pub sp_hash: SpHash,
    /// Its index in the sub-slot.
    pub index: u8,
    /// When it came, unix milliseconds.
    pub at_unix_ms: u64,
    /// Plots that passed the filter.
    pub passed: u64,
    /// Plots in all.
    pub total: u64,
    /// Proofs and partial proofs found.
    pub proofs: u64,
    /// Time until the answer, microseconds.
    pub took_us: u64,
    /// Plots that were not looked up in time.
    pub missed: u64,
}

/// A plot file that is not farmed, or a plot directory that gives none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotFileView {
    /// Name of the file as the farmer knows it.
    pub file: String,
    /// What became of it.
    pub state: FileState,
    /// Why, as a sentence.
    pub reason: String,
}

/// A plot directory that cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlistedDirectory {
    /// It.
    pub directory: String,
    /// Why, as a fragment.
    pub why: String,
}

/// Why a file named like a plot is not farmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It cannot be opened or read.
    Failed,
    /// It was made for other keys.
    NoKey,
    /// Its plot is farmed from another file.
    Duplicate,
    /// It is not whole yet.
    BeingCopied,
    /// It is compressed more than the settings allow.
    TooCompressed,
    /// It is a plot directory, and cannot be listed.
    Directory,
}
