//! What is wrong: typed incidents that open once, name the machine, and close by themselves.

mod words;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::peer::{HarvesterId, RefusalCause};
use super::{PartialOutcome, PartialStep};
use crate::ids::{LauncherId, PeerId};

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Farming, or part of it, does not happen.
    Critical,
    /// Something should be looked at.
    Warning,
}

impl Severity {
    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// One kind of incident. Two alarms are the same incident when [`AlarmKind::key`] is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AlarmKind {
    /// No signage point for 60 s.
    NoSignagePoints {
        /// Node it should come from.
        node: String,
        /// When the last one came, unix milliseconds; `None` if never.
        #[serde(default)]
        last_unix_ms: Option<u64>,
        /// Why it is not connected, as a fragment; `None` if it is.
        #[serde(default)]
        why: Option<String>,
        /// Whether another node brings them.
        #[serde(default)]
        others_do: bool,
    },
    /// A node shows another certificate than it did before, so nothing is farmed with it.
    NodeCertificateChanged {
        /// Node.
        node: String,
        /// Fingerprint that it had, 64 hex digits.
        expected: String,
        /// Fingerprint that it has now.
        got: String,
        /// Where the old one is kept: `the line of … in …`.
        kept: String,
    },
    /// A node does not take what it is sent.
    NodeTakesNothing {
        /// Node.
        node: String,
    },
    /// The node skipped signage points.
    SignagePointsMissed {
        /// Node.
        node: String,
        /// How many in this incident.
        missed: u64,
    },
    /// No farming key is loaded.
    NoKeys,
    /// Nobody said where rewards should go, so no block can be declared.
    NoRewardTarget {
        /// Which share of the reward.
        target: RewardTarget,
    },
    /// A harvester that was connected is gone.
    HarvesterAbsent {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Plots that are not farmed.
        plots: u64,
        /// Why its connection ended.
        why: String,
    },
    /// Connected and challenged, but it does not answer.
    HarvesterSilent {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Signage points in a row without an answer.
        unanswered: u64,
    },
    /// Answers come later than 8 s.
    HarvesterLate {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Late answers among the last ten.
        late: u64,
    },
    /// Two connected harvesters use one certificate.
    CertificateShared {
        /// Certificate.
        peer_id: PeerId,
        /// Addresses of all who use it.
        addresses: Vec<String>,
    },
    /// Plots went away.
    PlotsLost {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How many.
        lost: u64,
        /// Longest common directory: usually the drive.
        directory: Option<String>,
    },
    /// Files that cannot be opened.
    FailedPlots {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How many.
        files: u64,
    },
    /// Plots made for other keys.
    NoKeyPlots {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How many.
        files: u64,
    },
    /// Files the harvester calls duplicates.
    DuplicatePlots {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How many.
        files: u64,
    },
    /// The same plots on several connected harvesters.
    SharedPlots {
        /// How many plot ids.
        plots: u64,
        /// Names of harvesters involved, at most eight.
        harvesters: Vec<String>,
    },
    /// Plot sync keeps failing.
    PlotSyncFailing {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Last error.
        error: String,
    },
    /// Proofs that fail verification.
    InvalidProofs {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How many in this incident.
        proofs: u64,
        /// Last plot file.
        plot_file: String,
        /// Last reason.
        reason: String,
    },
    /// A proof good enough for a block was lost.
    ProofLost {
        /// Name of the harvester.
        name: String,
        /// Where and why.
        reason: String,
    },
    /// A harvester sends more proofs than can be verified in time.
    TooManyProofs {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Proofs that were not verified, in this incident.
        dropped: u64,
    },
    /// A node wanted signatures for a block that is not what was declared.
    SigningRefused {
        /// Name of the node.
        node: String,
        /// What is wrong with the block.
        reason: String,
    },
    /// A harvester says of answer after answer that other plots passed the filter than do by their ids.
    EligibleMismatch {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Answers in a row.
        in_a_row: u64,
        /// Eligible plots by our own count, of the last one.
        expected: u64,
        /// As it said.
        passed: u64,
    },
    /// Somebody who should be told of alarms cannot be.
    AlarmHookFailing {
        /// How: `exec`, `webhook` or `dead man's switch`.
        hook: String,
        /// Why not, as a fragment.
        why: String,
    },
    /// The history cannot be written.
    HistoryNotWritten {
        /// Why, as a fragment.
        why: String,
    },
    /// A harvester wanted the reward paid elsewhere and was refused.
    RewardOverrideRefused {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Somebody cannot connect who probably should.
    ConnectionRefused {
        /// From where.
        address: IpAddr,
        /// Why.
        cause: RefusalCause,
        /// How often in this incident.
        times: u64,
    },
    /// A harvester with a certificate of Chia's private CA waits to be let in.
    HarvesterPending {
        /// SHA-256 of its certificate, in hex.
        fingerprint: String,
    },
    /// A certificate ends soon.
    CertificateEnds {
        /// Whose, as people call it.
        name: String,
        /// Whole days until then.
        days_left: u64,
    },
    /// Somebody showed an invitation without knowing its secret, again and again; it is cancelled.
    InvitationGuessed {
        /// Who was invited.
        name: String,
        /// From where it was tried last.
        address: IpAddr,
    },
    /// A harvester of the registry has not come since the farmer was started.
    HarvesterMissing {
        /// Whose, as people call it.
        name: String,
        /// SHA-256 of its certificate, in hex.
        fingerprint: String,
        /// From where it came last.
        address: Option<String>,
    },
    /// A pool gives no answer that can be used.
    PoolFailing {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// Since when, unix milliseconds.
        since_unix_ms: u64,
        /// The last request and why it failed.
        why: String,
    },
    /// The key that speaks to a pool is not here, so no partial can be sent.
    PoolKeyMissing {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// Whether that key is a wallet key, as in the second pool protocol.
        is_wallet_key: bool,
    },
    /// A pool has to be told something that only the owner of the plotNFT can sign.
    PoolNeedsOwner {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// What.
        need: OwnerNeed,
    },
    /// The clocks of a pool and of this machine differ.
    PoolClockDiffers {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// Seconds by which the pool's is ahead.
        ahead_s: i64,
    },
    /// Partials are lost in one and the same way.
    PartialsLost {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// How they end.
        outcome: PartialOutcome,
        /// How many in the last hour.
        partials: u64,
        /// Where the last one was.
        step: PartialStep,
        /// Why the last one ended so.
        reason: String,
    },
    /// The list of pools cannot be read, or not all of it.
    PoolsUnreadable {
        /// Why, with the file.
        why: String,
    },
    /// This machine's clock is wrong by more than a minute.
    ClockWrong {
        /// Seconds by which it is ahead; negative if it is behind.
        ahead_s: i64,
    },
    /// A certificate should be signed, and the keys of the farm's authorities are locked.
    CaKeyLocked {
        /// For whom, as people call them.
        wanted: Vec<String>,
    },
}

/// What a pool has to be told by the owner of a plotNFT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "need")]
pub enum OwnerNeed {
    /// That the plotNFT exists.
    Register,
    /// Which key speaks for it.
    OtherKey,
    /// Where to pay.
    Payout {
        /// Where the wallet wants it.
        wanted: String,
        /// Where it pays.
        pays_to: String,
    },
}

/// Share of a block reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardTarget {
    /// 1/8 and the fees: for every block.
    Farmer,
    /// 7/8: for blocks of plots with a pool public key.
    Pool,
}

impl fmt::Display for RewardTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Farmer => "farmer",
            Self::Pool => "pool",
        })
    }
}

impl AlarmKind {
    /// Identity of the incident: the same while only its numbers change.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::NoSignagePoints { node, .. } => format!("no_signage_points/{node}"),
            Self::NodeCertificateChanged { node, .. } => format!("node_certificate_changed/{node}"),
            Self::NodeTakesNothing { node } => format!("node_takes_nothing/{node}"),
            Self::SignagePointsMissed { node, .. } => format!("signage_points_missed/{node}"),
            Self::NoKeys => "no_keys".to_owned(),
            Self::NoRewardTarget { target } => format!("no_reward_target/{target}"),
            Self::HarvesterAbsent { harvester, .. } => format!("harvester_absent/{harvester}"),
            Self::HarvesterSilent { harvester, .. } => format!("harvester_silent/{harvester}"),
            Self::HarvesterLate { harvester, .. } => format!("harvester_late/{harvester}"),
            Self::CertificateShared { peer_id, .. } => format!("certificate_shared/{peer_id}"),
            Self::PlotsLost {
                harvester, directory, ..
            } => {
                format!("plots_lost/{harvester}/{}", directory.as_deref().unwrap_or_default())
            }
            Self::FailedPlots { harvester, .. } => format!("failed_plots/{harvester}"),
            Self::NoKeyPlots { harvester, .. } => format!("no_key_plots/{harvester}"),
            Self::DuplicatePlots { harvester, .. } => format!("duplicate_plots/{harvester}"),
            Self::SharedPlots { .. } => "shared_plots".to_owned(),
            Self::PlotSyncFailing { harvester, .. } => format!("plot_sync_failing/{harvester}"),
            Self::InvalidProofs { harvester, .. } => format!("invalid_proofs/{harvester}"),
            Self::ProofLost { .. } => "proof_lost".to_owned(),
            Self::TooManyProofs { harvester, .. } => format!("too_many_proofs/{harvester}"),
            Self::SigningRefused { node, .. } => format!("signing_refused/{node}"),
            Self::EligibleMismatch { harvester, .. } => format!("eligible_mismatch/{harvester}"),
            Self::AlarmHookFailing { hook, .. } => format!("alarm_hook_failing/{hook}"),
            Self::HistoryNotWritten { .. } => "history_not_written".to_owned(),
            Self::RewardOverrideRefused { harvester, .. } => format!("reward_override_refused/{harvester}"),
            Self::ConnectionRefused { address, cause, .. } => format!("connection_refused/{address}/{}", cause.word()),
            Self::HarvesterPending { fingerprint } => format!("harvester_pending/{fingerprint}"),
            Self::CertificateEnds { name, .. } => format!("certificate_ends/{name}"),
            Self::InvitationGuessed { name, .. } => format!("invitation_guessed/{name}"),
            Self::HarvesterMissing { fingerprint, .. } => format!("harvester_missing/{fingerprint}"),
            Self::PoolFailing { launcher_id, .. } => format!("pool_failing/{launcher_id}"),
            Self::PoolKeyMissing { launcher_id, .. } => format!("pool_key_missing/{launcher_id}"),
            Self::PoolNeedsOwner { launcher_id, .. } => format!("pool_needs_owner/{launcher_id}"),
            Self::PoolClockDiffers { launcher_id, .. } => format!("pool_clock_differs/{launcher_id}"),
            Self::PartialsLost {
                launcher_id, outcome, ..
            } => format!("partials_lost/{launcher_id}/{}", outcome.word()),
            Self::PoolsUnreadable { .. } => "pools_unreadable".to_owned(),
            Self::ClockWrong { .. } => "clock_wrong".to_owned(),
            Self::CaKeyLocked { .. } => "ca_key_locked".to_owned(),
        }
    }

    /// The harvester it is about, if it is about one.
    #[must_use]
    pub const fn harvester(&self) -> Option<HarvesterId> {
        match self {
            Self::HarvesterAbsent { harvester, .. }
            | Self::HarvesterSilent { harvester, .. }
            | Self::HarvesterLate { harvester, .. }
            | Self::PlotsLost { harvester, .. }
            | Self::FailedPlots { harvester, .. }
            | Self::NoKeyPlots { harvester, .. }
            | Self::DuplicatePlots { harvester, .. }
            | Self::PlotSyncFailing { harvester, .. }
            | Self::InvalidProofs { harvester, .. }
            | Self::TooManyProofs { harvester, .. }
            | Self::EligibleMismatch { harvester, .. }
            | Self::RewardOverrideRefused { harvester, .. } => Some(*harvester),
            Self::NoSignagePoints { .. }
            | Self::NodeCertificateChanged { .. }
            | Self::NodeTakesNothing { .. }
            | Self::SignagePointsMissed { .. }
            | Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::CertificateShared { .. }
            | Self::SharedPlots { .. }
            | Self::ProofLost { .. }
            | Self::SigningRefused { .. }
            | Self::HistoryNotWritten { .. }
            | Self::AlarmHookFailing { .. }
            | Self::ConnectionRefused { .. }
            | Self::HarvesterPending { .. }
            | Self::CertificateEnds { .. }
            | Self::InvitationGuessed { .. }
            | Self::HarvesterMissing { .. }
            | Self::PoolFailing { .. }
            | Self::PoolKeyMissing { .. }
            | Self::PoolNeedsOwner { .. }
            | Self::PoolClockDiffers { .. }
            | Self::PartialsLost { .. }
            | Self::PoolsUnreadable { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. } => None,
        }
    }

    /// The plotNFT it is about, if it is about one.
    #[must_use]
    pub const fn launcher_id(&self) -> Option<LauncherId> {
        match self {
            Self::PoolFailing { launcher_id, .. }
            | Self::PoolKeyMissing { launcher_id, .. }
            | Self::PoolNeedsOwner { launcher_id, .. }
            | Self::PoolClockDiffers { launcher_id, .. }
            | Self::PartialsLost { launcher_id, .. } => Some(*launcher_id),
            _ => None,
        }
    }

    /// Name of the rule, the same for all incidents of this kind: `harvester_silent`. Alarms are silenced by it.
    #[must_use]
    pub fn rule(&self) -> String {
        let key = self.key();
        key.split('/').next().unwrap_or_default().to_owned()
    }

    /// Identity of the incident over a restart of the farmer: like [`Self::key`], but with names, since numbers of
    /// harvesters are given anew.
    #[must_use]
    pub fn incident(&self) -> String {
        let place = match self {
            Self::PlotsLost { directory, .. } => directory.as_deref().unwrap_or_default(),
            _ => "",
        };
        format!("{}/{}/{place}", self.rule(), self.machine().unwrap_or_default())
    }

    /// Machine it is about: the name of a harvester or node, or an address.
    #[must_use]
    pub fn machine(&self) -> Option<String> {
        match self {
            Self::NoSignagePoints { node, .. }
            | Self::NodeCertificateChanged { node, .. }
            | Self::NodeTakesNothing { node }
            | Self::SignagePointsMissed { node, .. }
            | Self::SigningRefused { node, .. } => Some(node.clone()),
            Self::HarvesterAbsent { name, .. }
            | Self::HarvesterSilent { name, .. }
            | Self::HarvesterLate { name, .. }
            | Self::PlotsLost { name, .. }
            | Self::FailedPlots { name, .. }
            | Self::NoKeyPlots { name, .. }
            | Self::DuplicatePlots { name, .. }
            | Self::PlotSyncFailing { name, .. }
            | Self::InvalidProofs { name, .. }
            | Self::ProofLost { name, .. }
            | Self::TooManyProofs { name, .. }
            | Self::EligibleMismatch { name, .. }
            | Self::CertificateEnds { name, .. }
            | Self::InvitationGuessed { name, .. }
            | Self::HarvesterMissing { name, .. }
            | Self::RewardOverrideRefused { name, .. } => Some(name.clone()),
            Self::HarvesterPending { fingerprint } => Some(fingerprint.clone()),
            Self::ConnectionRefused { address, .. } => Some(address.to_string()),
            Self::PoolFailing { pool, .. }
            | Self::PoolKeyMissing { pool, .. }
            | Self::PoolNeedsOwner { pool, .. }
            | Self::PoolClockDiffers { pool, .. }
            | Self::PartialsLost { pool, .. } => Some(pool.clone()),
            Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::CertificateShared { .. }
            | Self::SharedPlots { .. }
            | Self::PoolsUnreadable { .. }
            | Self::AlarmHookFailing { .. }
            | Self::HistoryNotWritten { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. } => None,
        }
    }

    /// Whether it is one of those that [`crate::farmer::FleetStatus`] lists in full.
    #[must_use]
    pub const fn is_of_certificates(&self) -> bool {
        matches!(
            self,
            Self::HarvesterPending { .. }
                | Self::CertificateEnds { .. }
                | Self::InvitationGuessed { .. }
                | Self::HarvesterMissing { .. }
                | Self::ClockWrong { .. }
                | Self::CaKeyLocked { .. }
        )
    }

    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::NoSignagePoints { others_do: false, .. }
            | Self::NodeCertificateChanged { .. }
            | Self::NodeTakesNothing { .. }
            | Self::NoKeys
            | Self::NoRewardTarget { .. }
            | Self::HarvesterAbsent { .. }
            | Self::HarvesterMissing { .. }
            | Self::HarvesterSilent { .. }
            | Self::PlotsLost { .. }
            | Self::PlotSyncFailing { .. }
            | Self::InvalidProofs { .. }
            | Self::ProofLost { .. }
            | Self::TooManyProofs { .. }
            | Self::SigningRefused { .. }
            | Self::RewardOverrideRefused { .. }
            | Self::PoolFailing { .. }
            | Self::PoolKeyMissing { .. }
            | Self::PoolNeedsOwner { .. } => Severity::Critical,
            Self::NoSignagePoints { others_do: true, .. }
            | Self::SignagePointsMissed { .. }
            | Self::HarvesterLate { .. }
            | Self::CertificateShared { .. }
            | Self::FailedPlots { .. }
            | Self::NoKeyPlots { .. }
            | Self::DuplicatePlots { .. }
            | Self::SharedPlots { .. }
            | Self::EligibleMismatch { .. }
            | Self::HistoryNotWritten { .. }
            | Self::AlarmHookFailing { .. }
            | Self::ConnectionRefused { .. }
            | Self::HarvesterPending { .. }
            | Self::CertificateEnds { .. }
            | Self::InvitationGuessed { .. }
            | Self::PoolClockDiffers { .. }
            | Self::PartialsLost { .. }
            | Self::PoolsUnreadable { .. }
            | Self::ClockWrong { .. }
            | Self::CaKeyLocked { .. } => Severity::Warning,
        }
    }
}

/// An alarm as it is shown: open, or closed and kept for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmView {
    /// Number since start; what `acknowledge` names.
    pub number: u64,
    /// What is wrong.
    pub kind: AlarmKind,
    /// How bad.
    pub severity: Severity,
    /// The sentence, for readers that do not know the kind.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Opened, unix milliseconds.
    pub opened_at_unix_ms: u64,
    /// Last time its numbers changed, unix milliseconds.
    pub updated_at_unix_ms: u64,
    /// Closed, unix milliseconds; `None` while open.
    pub closed_at_unix_ms: Option<u64>,
    /// A person has seen it.
    pub acknowledged: bool,
    /// A person does not want to be told of it for now.
    #[serde(default)]
    pub silenced: bool,
}

/// Alarms that nobody is to be told of for a while. They are still shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Silence {
    /// Only of this rule ([`AlarmKind::rule`]); `None` for all.
    pub rule: Option<String>,
    /// Only of this machine ([`AlarmKind::machine`]); `None` for all.
    pub machine: Option<String>,
    /// When it ends, unix milliseconds.
    pub until_unix_ms: u64,
}

impl Silence {
    /// Whether it is about this alarm, at any time.
    #[must_use]
    pub fn covers(&self, kind: &AlarmKind) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == kind.rule())
            && (self.machine.is_none() || self.machine == kind.machine())
    }
}

/// What people have said about alarms, which outlives the farmer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmMemory {
    /// What is silenced.
    #[serde(default)]
    pub silences: Vec<Silence>,
    /// Open incidents that a person has seen.
    #[serde(default)]
    pub seen: Vec<SeenIncident>,
}

/// An open incident that a person has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenIncident {
    /// Its [`AlarmKind::incident`].
    pub incident: String,
    /// When it opened, unix milliseconds.
    pub opened_at_unix_ms: u64,
}
