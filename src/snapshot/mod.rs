//! What leaves the core: plain, bounded, serialisable data that every screen, summary and script reads.
//!
//! [`FarmSnapshot`] is the whole picture, published at most four times a second, latest wins. [`Notice`] is one fact that
//! must not be lost. [`AlarmKind`] is one thing that is wrong. Lists that may be long (plots, files) are never in here;
//! they are asked for by [`page::PageRequest`]. Everything that people read is an enum; its `Display` is the sentence.
//!
//! Serialised field names and variant names are a contract with attached consoles and with scripts that read
//! `--json`; [`SNAPSHOT_VERSION`] changes when a meaning changes, and new fields must have a serde default.

pub mod alarm;
pub mod notice;
pub mod page;
pub mod peer;

pub use alarm::{AlarmKind, AlarmView, RewardTarget, Severity};
pub use notice::{Direction, MessageRecord, Notice, SkippedNotices};
pub use peer::{ConnectedPeer, DisconnectCause, HarvesterId, RefusalCause};

use serde::{Deserialize, Serialize};

use crate::ids::{ChallengeHash, PeerId, PlotId, PuzzleHash, QualityString, SpHash};

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
    /// Open alarms, worst and oldest first.
    pub alarms: Vec<AlarmView>,
    /// Alarms that are over, the one that closed last first; at most [`ALARM_HISTORY_KEPT`].
    #[serde(default)]
    pub alarm_history: Vec<AlarmView>,
    /// What was dropped, refused or ignored since start: the monitor's own honesty.
    pub counters: Counters,
    /// What the simulated chain says, when there is one.
    pub simulated_chain: Option<SimulatedChainView>,
}

/// The one word of the header, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FarmStatus {
    /// Just started; nothing can be said yet.
    Starting,
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
    /// Signage points come and harvesters are connected, but they have no plots yet.
    NoPlots,
    /// Harvesters are connected and challenged, and none of them answers.
    NoAnswers {
        /// Seconds since the last answer (or since the first unanswered signage point).
        for_s: u64,
    },
}

impl FarmStatus {
    /// The word of the header: `FARMING`, `NO SIGNAGE POINTS`, …
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting => "STARTING",
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

/// One source of signage points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// `simulated chain` or `127.0.0.1:8444`.
    pub name: String,
    /// Whether the link is up (always true for the simulated chain).
    pub connected: bool,
    /// What the node says of itself; `None` when it cannot be asked.
    pub synced: Option<bool>,
    /// Peak height from its last signage point.
    pub peak_height: Option<u32>,
    /// Unix milliseconds of its last signage point.
    pub last_signage_point_unix_ms: Option<u64>,
    /// Estimated network space in bytes, when known.
    pub netspace_bytes: Option<f64>,
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

/// A signage point as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignagePointView {
    /// Index in its sub-slot, 0 to 63.
    pub signage_point_index: u8,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Hash of the challenge-chain signage point.
    pub sp_hash: SpHash,
    /// Arrival, unix milliseconds.
    pub received_at_unix_ms: u64,
    /// Peak height it was made at.
    pub peak_height: u32,
    /// Difficulty of the chain.
    pub difficulty: u64,
    /// VDF iterations of the sub-slot.
    pub sub_slot_iters: u64,
}

/// One cell of the sub-slot strip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubSlotCell {
    /// Not yet there.
    #[default]
    Ahead,
    /// Arrived; answers still coming in.
    Seen,
    /// Every challenged harvester answered in time.
    Answered,
    /// Somebody answered late or not at all.
    Late,
    /// The node never sent it.
    Missed,
}

/// Signage points received and missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignagePointCounts {
    /// Received since start.
    pub received: u64,
    /// Received again from another node and handled once.
    pub duplicates: u64,
    /// Missed since start.
    pub missed: u64,
    /// Received in the last 24 hours.
    pub received_24h: u64,
    /// Missed in the last 24 hours.
    pub missed_24h: u64,
}

/// What one harvester is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum HarvesterState {
    /// Connected; its first plot sync has not finished.
    Syncing {
        /// Plot files it has told us of.
        processed: u64,
        /// Plot files it announced.
        total: u64,
    },
    /// Connected and synced, but no signage point was sent to it yet, or it has not had time to answer the first.
    NotChallenged,
    /// Answers every signage point in time.
    Farming,
    /// Answers, but at least one of the last ten answers came later than 8 s.
    Late,
    /// Connected and challenged, but the last two or more signage points have no answer.
    Silent {
        /// Signage points in a row without an answer.
        unanswered: u64,
    },
    /// Nothing, not even a pong, was heard for 15 s.
    Suspect {
        /// Seconds since its last byte.
        for_s: u64,
    },
    /// Not connected.
    Absent {
        /// Unix milliseconds of the disconnection.
        since_unix_ms: u64,
    },
}

impl HarvesterState {
    /// The state as a person reads it: `farming`, `syncing 312/864`, `connected, not answering`, …
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Syncing { processed, total } => format!("syncing {processed}/{total}"),
            Self::NotChallenged => "connected, not challenged".to_owned(),
            Self::Farming => "farming".to_owned(),
            Self::Late => "late".to_owned(),
            Self::Silent { .. } => "connected, not answering".to_owned(),
            Self::Suspect { for_s } => format!("no sign of life for {for_s} s"),
            Self::Absent { .. } => "absent".to_owned(),
        }
    }

    /// Whether this is the good state (a first sync counts as good).
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        matches!(self, Self::Farming | Self::Syncing { .. } | Self::NotChallenged)
    }
}

/// One harvester, connected or remembered. Two connections with one certificate are two of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarvesterView {
    /// Stable while the farmer runs.
    pub id: HarvesterId,
    /// Name for people; the address until somebody names it.
    pub name: String,
    /// Node id: SHA-256 of its certificate.
    pub peer_id: PeerId,
    /// IP address, without port.
    pub host: String,
    /// Remote TCP port of the running or last connection; 0 for the embedded harvester.
    pub port: u16,
    /// Whether it runs on this machine (same process, or a loopback address).
    pub local: bool,
    /// As it calls itself, made safe to show.
    pub software_version: String,
    /// As `0.0.38`.
    pub protocol_version: String,
    /// State.
    pub state: HarvesterState,
    /// Whether another connected harvester uses the same certificate.
    pub certificate_shared: bool,
    /// First connection, unix milliseconds.
    pub first_seen_unix_ms: u64,
    /// Start of the running or last connection, unix milliseconds.
    pub connected_at_unix_ms: u64,
    /// Connections since the farmer started.
    pub connections: u64,
    /// Plots as synced (0 until the first sync has finished).
    pub plots: u64,
    /// Sum of file sizes, bytes.
    pub plot_bytes: u64,
    /// Sum of effective sizes (0.78 × expected size by k), bytes.
    pub effective_bytes: u64,
    /// Files that could not be opened.
    pub failed: u64,
    /// Plots whose keys are not ours.
    pub no_key: u64,
    /// Files the harvester calls duplicates.
    pub duplicates: u64,
    /// Plots that are farmed more than once, by plot id: another connected harvester has them too, or this one has them
    /// under two names.
    pub shared_plots: u64,
    /// 1 CPU, 2 GPU, as the harvester said; 0 unknown.
    pub harvesting_mode: u8,
    /// Last finished plot sync, unix milliseconds.
    pub last_sync_unix_ms: Option<u64>,
    /// Last plot-sync error we answered with, as a sentence.
    pub last_sync_error: Option<String>,
    /// Last change of its plots after the first sync.
    pub last_plot_change: Option<PlotChangeView>,
    /// Result of the last `harvester list --refresh`.
    pub cross_check: Option<CrossCheckView>,
    /// Signage points sent to it.
    pub challenged: u64,
    /// Answers received.
    pub answered: u64,
    /// Answers later than 8 s.
    pub answered_late: u64,
    /// Signage points it never answered: 25 s passed, or its connection ended first.
    pub unanswered: u64,
    /// Signage points not sent because it did not take them in time.
    pub dropped: u64,
    /// Proofs it sent.
    pub proofs: u64,
    /// Proofs of it that failed verification.
    pub invalid_proofs: u64,
    /// Last answer.
    pub last_answer: Option<LastAnswerView>,
    /// Look-up times of the last answers, newest last, milliseconds; `None` where no answer came. At most
    /// [`ROLL_CALL_KEPT`].
    pub lookups_ms: Vec<Option<u32>>,
    /// Median look-up time over those, milliseconds.
    pub lookup_p50_ms: Option<u32>,
    /// 95th percentile, milliseconds.
    pub lookup_p95_ms: Option<u32>,
    /// Largest, milliseconds.
    pub lookup_max_ms: Option<u32>,
    /// Messages of unknown number that were ignored.
    pub ignored_messages: u64,
}

impl HarvesterView {
    /// Whether a connection is up.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        !matches!(self.state, HarvesterState::Absent { .. })
    }
}

/// The newest answer of a harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswerView {
    /// Arrival, unix milliseconds.
    pub at_unix_ms: u64,
    /// Signage point index it answers.
    pub signage_point_index: u8,
    /// Plots that passed the filter.
    pub passed: u32,
    /// Plots it has.
    pub total: u32,
    /// Look-up time it reports, milliseconds.
    pub lookup_ms: u32,
}

/// Plots that came and went in one plot sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotChangeView {
    /// Unix milliseconds.
    pub at_unix_ms: u64,
    /// Plots added.
    pub added: u64,
    /// Plots removed.
    pub removed: u64,
    /// Longest common directory of the removed files: usually the drive.
    pub removed_from: Option<String>,
}

/// What `request_plots` said against what was synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossCheckView {
    /// Unix milliseconds of the answer.
    pub at_unix_ms: u64,
    /// Plots the harvester listed.
    pub listed: u64,
    /// Synced plots that it did not list.
    pub missing: u64,
    /// Listed plots that were never synced.
    pub unexpected: u64,
    /// Up to five file names of either kind.
    pub examples: Vec<String>,
}

/// One answer (or its absence): one row of "Last Attempted Proofs".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Arrival of the answer, or the deadline that passed, unix milliseconds.
    pub at_unix_ms: u64,
    /// Who.
    pub harvester: HarvesterId,
    /// Its name at that time.
    pub harvester_name: String,
    /// Index of the signage point.
    pub signage_point_index: u8,
    /// Signage point.
    pub sp_hash: SpHash,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// What came.
    pub outcome: AttemptOutcome,
}

/// What came of one signage point at one harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum AttemptOutcome {
    /// It answered.
    Answered {
        /// Plots that passed the filter.
        passed: u32,
        /// Plots it has.
        total: u32,
        /// Proofs above the difficulty.
        proofs: u32,
        /// Look-up time it reports, milliseconds.
        lookup_ms: u32,
        /// From our sending to its answer, milliseconds.
        round_trip_ms: u32,
    },
    /// It did not answer by the deadline.
    NoAnswer {
        /// Plots it had when it was asked.
        total: u32,
        /// Seconds waited: 8 for the warning, 25 when given up.
        after_s: u32,
    },
}

/// Who answered one signage point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollCallView {
    /// Arrival at the farmer, unix milliseconds.
    pub at_unix_ms: u64,
    /// Index in the sub-slot.
    pub signage_point_index: u8,
    /// Signage point.
    pub sp_hash: SpHash,
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// Harvesters it was sent to.
    pub asked: u32,
    /// Of those, answered within 8 s.
    pub in_time: u32,
    /// Answered after 8 s.
    pub late: u32,
    /// Plots of the harvesters that answered.
    pub plots: u64,
    /// Plots that passed the filter.
    pub passed: u64,
    /// Proofs found.
    pub proofs: u64,
    /// Names of up to eight harvesters that have not answered.
    pub waiting_for: Vec<String>,
}

/// One proof and its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofView {
    /// Number of the proof since start.
    pub number: u64,
    /// Arrival from the harvester, unix milliseconds.
    pub found_at_unix_ms: u64,
    /// Who found it.
    pub harvester_name: String,
    /// Plot.
    pub plot_id: PlotId,
    /// File, as the harvester calls it.
    pub plot_file: String,
    /// Signage point index.
    pub signage_point_index: u8,
    /// Quality, once verified.
    pub quality: Option<QualityString>,
    /// How far it got.
    pub stage: ProofStage,
    /// Milliseconds from found to verified, once there.
    pub verified_after_ms: Option<u32>,
    /// Milliseconds from found to signed (signage point signatures complete).
    pub signed_after_ms: Option<u32>,
    /// Milliseconds from found to declared to the node.
    pub declared_after_ms: Option<u32>,
    /// Milliseconds from found to the block signatures sent.
    pub block_signed_after_ms: Option<u32>,
}

/// How far a proof got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum ProofStage {
    /// Being verified.
    Found,
    /// Valid, but not good enough for a block.
    NotGoodEnough,
    /// Failed verification.
    Invalid {
        /// Why, as a fragment.
        reason: String,
    },
    /// Valid and good enough; signatures were asked for.
    Verified,
    /// Signed and declared to the node.
    Declared,
    /// The node asked for block signatures and got them.
    BlockSigned,
    /// The chain accepted the block (only the simulated chain says so).
    BlockAccepted {
        /// Height.
        height: u32,
    },
    /// Lost on the way.
    Lost {
        /// Where and why, as a sentence.
        reason: String,
    },
}

/// Sums over connected harvesters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarmTotals {
    /// Connected harvesters.
    pub connected: u64,
    /// Remembered harvesters that are not connected.
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
}

/// Proofs and blocks since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinCounts {
    /// Proofs received.
    pub proofs: u64,
    /// Failed verification.
    pub invalid: u64,
    /// Valid, below what a block needs.
    pub not_good_enough: u64,
    /// Declared to a node.
    pub declared: u64,
    /// Block signatures sent to a node.
    pub blocks_signed: u64,
    /// Accepted by the chain, as far as it says so.
    pub blocks_accepted: u64,
    /// Lost between verification and the node.
    pub lost: u64,
    /// Last block signed, unix milliseconds.
    pub last_block_unix_ms: Option<u64>,
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
