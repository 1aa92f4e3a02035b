//! What leaves the core: plain, bounded, serialisable data that every screen, summary and script reads.
//!
//! [`FarmSnapshot`] is the whole picture, published at most four times a second, latest wins. [`Notice`] is one fact that
//! must not be lost. [`AlarmKind`] is one thing that is wrong. Lists that may be long (plots, files) are never in here;
//! they are asked for by [`page::PageRequest`]. Everything that people read is an enum; its `Display` is the sentence.
//!
//! Serialised field names and variant names are a contract with attached consoles and with scripts that read
//! `--json`; [`SNAPSHOT_VERSION`] changes when a meaning changes, and new fields must have a serde default.

pub mod alarm;
mod concern;
mod harvester;
pub mod history;
mod luck;
mod machine;
pub mod notice;
pub mod page;
pub mod peer;
mod pool;
mod proof;
mod refusal;
mod shell_word;
mod signage_point;

pub use alarm::{
    AlarmKind, AlarmMemory, AlarmView, OwnerNeed, PlotNftLeft, RewardTarget, SeenIncident, Severity, Silence,
};
pub use concern::{Concern, MachineStatus};
pub use harvester::{CrossCheckView, HarvesterState, HarvesterView, LastAnswerView, PlotChangeView};
pub use history::{
    AlarmRow, AttemptRow, HistoryPage, HistoryRequest, HistoryRows, HistoryState, HistoryTable, HistoryView, HourRow,
    PartialRow, PlotChangeRow,
};
pub use luck::{EligibilityView, EligibleView, FarmRecord, LuckBand, LuckVerdict, LuckView, QuarterCounts};
pub use machine::{
    ENDS_KEPT, FarmerLinkState, FarmerLinkView, FileCounts, FileState, LOOKUPS_KEPT, LookupView, MachineSnapshot,
    PlotFileView, ScanView, SyncRefusalView, TROUBLES_KEPT, UnlistedDirectory, VolumeState, VolumeView,
};
pub use notice::{Direction, MessageRecord, Notice};
pub use peer::{ConnectedPeer, DisconnectCause, HarvesterId, RefusalCause};
pub use pool::{
    PARTIALS_KEPT, POOL_ANSWERS_KEPT, PartialCounts, PartialOutcome, PartialStep, PartialView, PoolAnswerView,
    PoolState, PoolView, pool_address, pool_label, wrong_address,
};
pub use proof::{ProofStage, ProofView, WinCounts};
pub use refusal::RefusalView;
pub use shell_word::shell_word;
pub use signage_point::{AttemptOutcome, AttemptView, RollCallView, SignagePointCounts, SignagePointView, SubSlotCell};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{PeerId, PuzzleHash};

/// Version of the snapshot's meaning; in every serialised snapshot.
pub const SNAPSHOT_VERSION: u32 = 1;

/// How many of the last answers a snapshot carries.
pub const ATTEMPTS_KEPT: usize = 128;

/// How many signage points the roll-call and the sparklines reach back: one sub-slot.
pub const ROLL_CALL_KEPT: usize = 64;

/// How many of the last proofs a snapshot carries.
pub const PROOFS_KEPT: usize = 32;

/// How many alarms that are over a snapshot carries.
pub const ALARM_HISTORY_KEPT: usize = 64;

/// The whole farm at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FarmSnapshot {
    /// [`SNAPSHOT_VERSION`] of the writer.
    pub snapshot_version: u32,
    /// farmconsole's version, as `0.1.0`.
    pub software_version: String,
    /// When this picture was taken, unix milliseconds. The only clock a screen uses.
    pub taken_at_unix_ms: u64,
    /// When this farmer started, unix milliseconds.
    pub started_at_unix_ms: u64,
    /// Network id, as `mainnet`.
    pub network: String,
    /// Whether signage points are made up by the simulated chain. Whatever shows a result must say so.
    pub simulated: bool,
    /// Is it farming, and if not, why not.
    pub status: FarmStatus,
    /// Sources of signage points.
    pub nodes: Vec<NodeView>,
    /// Where harvesters connect, as `0.0.0.0:8447`; empty until bound.
    pub listening_on: Vec<String>,
    /// Farming keys, public parts only.
    pub keys: KeysView,
    /// The newest signage point.
    pub signage_point: Option<SignagePointView>,
    /// Cells of the running sub-slot, by signage point index 0 to 63.
    pub sub_slot: Vec<SubSlotCell>,
    /// Counts of signage points since start and over the last 24 hours.
    pub signage_points: SignagePointCounts,
    /// Every harvester, connected or remembered, in order of first connection.
    pub harvesters: Vec<HarvesterView>,
    /// Newest first; at most [`ATTEMPTS_KEPT`].
    pub attempts: Vec<AttemptView>,
    /// Newest first; at most [`ROLL_CALL_KEPT`].
    pub roll_call: Vec<RollCallView>,
    /// Newest first; at most [`PROOFS_KEPT`].
    pub proofs: Vec<ProofView>,
    /// Sums over connected harvesters.
    pub totals: FarmTotals,
    /// Proofs and blocks since start.
    pub wins: WinCounts,
    /// One for each plotNFT the wallet has written down.
    #[serde(default)]
    pub pools: Vec<PoolView>,
    /// Open alarms, worst and oldest first.
    pub alarms: Vec<AlarmView>,
    /// Alarms that are over, the one that closed last first; at most [`ALARM_HISTORY_KEPT`].
    #[serde(default)]
    pub alarm_history: Vec<AlarmView>,
    /// What was dropped, refused or ignored since start: the monitor's own honesty.
    pub counters: Counters,
    /// What the simulated chain says, when there is one.
    pub simulated_chain: Option<SimulatedChainView>,
    /// How the process that watches the farm fares itself.
    #[serde(default)]
    pub monitor: MonitorView,
    /// Effort, luck and expected time to win.
    #[serde(default)]
    pub luck: LuckView,
    /// How the history fares.
    #[serde(default)]
    pub history: HistoryView,
    /// Alarms that nobody is told of for now.
    #[serde(default)]
    pub silences: Vec<Silence>,
}

/// The one word of the header, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FarmStatus {
    /// Nothing is wrong yet: what a farm that farms must have is still on its way.
    Starting {
        /// What comes next.
        #[serde(default)]
        waits_for: Awaited,
    },
    /// Signage points come in and harvesters answer them.
    Farming,
    /// No farming key is loaded: nothing can be signed.
    NoKeys,
    /// No source of signage points is connected, or none came for 60 s.
    NoSignagePoints {
        /// Seconds since the last signage point (or since start).
        for_s: u64,
    },
    /// A node is connected and says that it is not synced.
    NotSynced,
    /// Signage points come, but no harvester is connected.
    NoHarvester,
    /// Signage points come and harvesters are connected, but they have no plots.
    NoPlots,
    /// Harvesters are connected and challenged, and none of them answers.
    NoAnswers {
        /// Seconds since the last answer (or since the first unanswered signage point).
        for_s: u64,
    },
}

/// What a farm that starts waits for. `Display` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// The chain.
    #[default]
    SignagePoint,
    /// A harvester that connects.
    Harvester,
    /// Word from a harvester that it has told of all its plots.
    PlotLists,
    /// A plot: those that are connected have none, and a plot may be in the making.
    Plots,
    /// An answer to a signage point.
    Answer,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignagePoint => "the first signage point",
            Self::Harvester => "the first harvester",
            Self::PlotLists => "the harvesters' lists of plots",
            Self::Plots => "the first plot",
            Self::Answer => "the first answer",
        })
    }
}

impl FarmStatus {
    /// The word of the header: `FARMING`, `NO SIGNAGE POINTS`, …
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "STARTING",
            Self::Farming => "FARMING",
            Self::NoKeys => "NO KEYS",
            Self::NoSignagePoints { .. } => "NO SIGNAGE POINTS",
            Self::NotSynced => "NOT SYNCED",
            Self::NoHarvester => "NO HARVESTER",
            Self::NoPlots => "NO PLOTS",
            Self::NoAnswers { .. } => "NO ANSWERS",
        }
    }

    /// Whether this is the good state.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        matches!(self, Self::Farming)
    }
}

impl FarmSnapshot {
    /// The node whose word on the chain is shown: of those that can be asked, a synced one before another.
    #[must_use]
    pub fn chain_node(&self) -> Option<&NodeView> {
        let asked = || self.nodes.iter().filter(|node| node.synced.is_some());
        asked()
            .find(|node| node.connected && node.synced == Some(true))
            .or_else(|| asked().next())
    }
}

/// One source of signage points.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// `simulated chain` or `127.0.0.1:8444`.
    pub name: String,
    /// Whether the link is up (always true for the simulated chain).
    pub connected: bool,
    /// What the node says of itself; `None` when it cannot be asked.
    pub synced: Option<bool>,
    /// Whether it says that it is fetching older blocks.
    #[serde(default)]
    pub syncing: bool,
    /// Its newest block, by its own word or by its last signage point.
    pub peak_height: Option<u32>,
    /// Unix milliseconds of its last signage point.
    pub last_signage_point_unix_ms: Option<u64>,
    /// Estimated network space in bytes, when known.
    pub netspace_bytes: Option<f64>,
    /// Average seconds between two blocks, when known.
    #[serde(default)]
    pub average_block_seconds: Option<f64>,
    /// Difficulty at its newest block, when known.
    #[serde(default)]
    pub difficulty: Option<u64>,
    /// Why it cannot be asked about the chain, as a fragment.
    #[serde(default)]
    pub not_asked_because: Option<String>,
    /// Why it is not connected, as a fragment.
    #[serde(default)]
    pub not_connected_because: Option<String>,
    /// Whether it is not connected because it is connected under another name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_second_name: bool,
    /// Since when it is connected, or not, unix milliseconds.
    #[serde(default)]
    pub since_unix_ms: u64,
    /// Whether blocks are signed for it that it does not show: it is on this machine or pinned in the settings.
    #[serde(default)]
    pub trusted: bool,
    /// SHA-256 of the certificate it shows.
    #[serde(default)]
    pub certificate: Option<PeerId>,
    /// Its software, as it calls itself.
    #[serde(default)]
    pub software_version: Option<String>,
}

/// Public parts of the farming keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// Hex public keys sent to harvesters as `farmer_public_keys`.
    pub farmer_public_keys: Vec<String>,
    /// Hex public keys sent to harvesters as `pool_public_keys`.
    pub pool_public_keys: Vec<String>,
    /// Where the farmer's share of a block goes.
    pub farmer_target: Option<PuzzleHash>,
    /// Where the pool's share goes for plots with a pool public key.
    pub pool_target: Option<PuzzleHash>,
    /// Address form of `farmer_target`.
    pub farmer_address: Option<String>,
}

/// Sums over connected harvesters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmTotals {
    /// Connected harvesters.
    pub connected: u64,
    /// Remembered harvesters that are not connected, but for those that were revoked.
    pub absent: u64,
    /// Plots.
    pub plots: u64,
    /// Sum of file sizes, bytes.
    pub plot_bytes: u64,
    /// Sum of effective sizes, bytes.
    pub effective_bytes: u64,
    /// Files that could not be opened.
    pub failed: u64,
    /// Plots whose keys are not ours.
    pub no_key: u64,
    /// Files harvesters call duplicates.
    pub duplicates: u64,
    /// Plots that are farmed more than once, by plot id.
    pub shared_plots: u64,
    /// Harvesters, connected or not, that are let in by a certificate of Chia's private CA: as that CA is used, each of
    /// their machines holds a copy of its key, with which anybody can make certificates that are let in.
    #[serde(default)]
    pub ca_key_copies: u64,
}

/// What was dropped, refused or ignored since start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections refused, by cause word.
    pub refused: std::collections::BTreeMap<String, u64>,
    /// Messages of unknown number ignored.
    pub ignored_messages: u64,
    /// Signage points not sent to a harvester that did not take them.
    pub dropped_signage_points: u64,
    /// Verifications dropped because the workers were full.
    pub dropped_verifications: u64,
    /// Log lines dropped.
    pub dropped_log_lines: u64,
    /// Unauthenticated connections at this moment.
    pub unauthenticated: u32,
    /// Answers to signage points that nobody asked, or that were answered already.
    #[serde(default)]
    pub unexpected_answers: u64,
    /// Proofs that came again: from another harvester with the same plot, or from the same one.
    #[serde(default)]
    pub duplicate_proofs: u64,
    /// Proofs for signage points that are not known, or too old.
    #[serde(default)]
    pub proofs_of_unknown_signage_points: u64,
    /// Signatures nobody had asked for.
    #[serde(default)]
    pub unexpected_signatures: u64,
    /// Requests of nodes to sign blocks of proofs that are not known.
    #[serde(default)]
    pub unknown_block_requests: u64,
    /// Alarms that were not opened because too many are open.
    #[serde(default)]
    pub dropped_alarms: u64,
    /// Calls of alarm hooks that were not made because too many waited.
    #[serde(default)]
    pub dropped_hook_calls: u64,
}

/// How the process that watches the farm fares itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorView {
    /// Memory it holds (resident), bytes, where the system says so.
    pub memory_bytes: Option<u64>,
    /// Its queues.
    pub queues: Vec<QueueView>,
}

/// One queue between two parts of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// From whom to whom.
    pub name: String,
    /// Items that wait at this moment.
    pub waiting: u64,
    /// Items that may wait.
    pub size: u64,
}

/// What the simulated chain says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulatedChainView {
    /// Seconds between signage points, in milliseconds.
    pub interval_ms: u64,
    /// Seed of its signage points.
    pub seed: u64,
    /// Blocks won and verified.
    pub blocks: u64,
    /// Declarations it refused.
    pub refused: u64,
    /// Last refusal as a sentence.
    pub last_refusal: Option<String>,
}
