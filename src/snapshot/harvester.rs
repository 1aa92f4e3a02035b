//! One harvester as people see it: what it does, what it has, how fast it answers.

use serde::{Deserialize, Serialize};

use super::luck::EligibilityView;
use super::peer::HarvesterId;
use crate::ids::PeerId;

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
    /// Not connected, nor will be: a person has revoked its certificate. It counts as gone for good.
    Revoked {
        /// Unix milliseconds of the disconnection.
        since_unix_ms: u64,
    },
}

impl HarvesterView {
    /// Its software, with the version of the protocol that it speaks.
    #[must_use]
    pub fn software(&self) -> String {
        match self.protocol_version.as_str() {
            "" => self.software_version.clone(),
            protocol => format!("{} ({protocol})", self.software_version),
        }
    }

    /// The state as a person reads it, as [`HarvesterState::words`]; `no plots` for one that would farm, but has none.
    #[must_use]
    pub fn state_words(&self) -> String {
        if self.state == HarvesterState::Farming && self.plots == 0 {
            return "no plots".to_owned();
        }
        self.state.words()
    }
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
            Self::Revoked { .. } => "revoked".to_owned(),
        }
    }

    /// Whether nobody need look: this is the good state (a first sync counts as good), or a person wants it so.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        matches!(
            self,
            Self::Farming | Self::Syncing { .. } | Self::NotChallenged | Self::Revoked { .. }
        )
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
    /// Protocol version as it said it; empty while it has not come since the farmer was started.
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
    /// Plots as synced (0 until the first sync has finished); those it had last, while it is absent.
    pub plots: u64,
    /// Sum of file sizes, bytes; 0 while it has not come since the farmer was started.
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
    /// [`super::ROLL_CALL_KEPT`].
    pub lookups_ms: Vec<Option<u32>>,
    /// Median look-up time over those, milliseconds.
    pub lookup_p50_ms: Option<u32>,
    /// 95th percentile, milliseconds.
    pub lookup_p95_ms: Option<u32>,
    /// Largest, milliseconds.
    pub lookup_max_ms: Option<u32>,
    /// Messages of unknown number that were ignored.
    pub ignored_messages: u64,
    /// Its filter: luck, and whether it says what we computed ourselves.
    #[serde(default)]
    pub eligibility: EligibilityView,
}

impl HarvesterView {
    /// Whether a connection is up.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        !matches!(
            self.state,
            HarvesterState::Absent { .. } | HarvesterState::Revoked { .. }
        )
    }

    /// Sum of file sizes, bytes; `None` while nobody knows: it has plots, and has not come since the farmer was started.
    #[must_use]
    pub const fn plot_size(&self) -> Option<u64> {
        if self.plots > 0 && self.plot_bytes == 0 {
            None
        } else {
            Some(self.plot_bytes)
        }
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
