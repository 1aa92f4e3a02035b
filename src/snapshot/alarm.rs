//! What is wrong: typed incidents that open once, name the machine, and close by themselves.

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
            Self::PoolFailing { launcher_id, .. } => format!("pool_failing/{launcher_id}"),
            Self::PoolKeyMissing { launcher_id, .. } => format!("pool_key_missing/{launcher_id}"),
            Self::PoolNeedsOwner { launcher_id, .. } => format!("pool_needs_owner/{launcher_id}"),
            Self::PoolClockDiffers { launcher_id, .. } => format!("pool_clock_differs/{launcher_id}"),
            Self::PartialsLost {
                launcher_id, outcome, ..
            } => format!("partials_lost/{launcher_id}/{}", outcome.word()),
            Self::PoolsUnreadable { .. } => "pools_unreadable".to_owned(),
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
            | Self::PoolFailing { .. }
            | Self::PoolKeyMissing { .. }
            | Self::PoolNeedsOwner { .. }
            | Self::PoolClockDiffers { .. }
            | Self::PartialsLost { .. }
            | Self::PoolsUnreadable { .. } => None,
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
            | Self::HistoryNotWritten { .. } => None,
        }
    }

    /// Whether it is one of those that [`crate::farmer::FleetStatus`] lists in full.
    #[must_use]
    pub const fn is_of_certificates(&self) -> bool {
        matches!(
            self,
            Self::HarvesterPending { .. } | Self::CertificateEnds { .. } | Self::InvitationGuessed { .. }
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
            | Self::PoolsUnreadable { .. } => Severity::Warning,
        }
    }

    /// What to do, as an imperative sentence without full stop.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoSignagePoints { node, .. } => format!("check that {node} runs and is synced"),
            Self::NodeCertificateChanged { node, kept, .. } => {
                format!("if {node} was set up anew, remove {kept}; if not, find out who answers there")
            }
            Self::NodeTakesNothing { node } => format!("check the load of the full node {node}"),
            Self::SignagePointsMissed { node, .. } => {
                format!("check the load and the network of the full node {node}")
            }
            Self::NoKeys => "import farming keys with `farmconsole keys import`".to_owned(),
            Self::NoRewardTarget {
                target: RewardTarget::Farmer,
            } => "set `farmer.xch_target_address` in the settings file (`farmconsole config path`)".to_owned(),
            Self::NoRewardTarget {
                target: RewardTarget::Pool,
            } => "set `pool.xch_target_address` in the settings file (`farmconsole config path`)".to_owned(),
            Self::HarvesterAbsent { name, .. } => {
                format!("check power, network and the harvester process of {name}")
            }
            Self::HarvesterSilent { name, .. } => {
                format!("look at the harvester log of {name}: a hanging drive or missing keys stop its answers")
            }
            Self::HarvesterLate { name, .. } => format!("look for a slow, sleeping or dying drive on {name}"),
            Self::CertificateShared { .. } => {
                "give all but one of them certificates of their own: `farmconsole harvester invite NAME` here, and there \
                 the command that this prints"
                    .to_owned()
            }
            Self::PlotsLost { name, directory, .. } => match directory {
                Some(dir) => format!("check the drive mounted at {dir} on {name}"),
                None => format!("check the drives of {name}"),
            },
            Self::FailedPlots { name, .. } => {
                format!("list them with `farmconsole harvester list --failed`; check permissions and drives of {name}")
            }
            Self::NoKeyPlots { name, .. } => {
                format!("import the keys those plots on {name} were made for, or remove the plots")
            }
            Self::DuplicatePlots { name, .. } => format!("remove one copy of each on {name}"),
            Self::SharedPlots { .. } => {
                "remove one copy of each: a plot earns once, however often it is farmed".to_owned()
            }
            Self::PlotSyncFailing { name, .. } => format!("restart the harvester on {name}"),
            Self::InvalidProofs { plot_file, name, .. } => {
                format!("check {plot_file} on {name} with `chia plots check`: its drive may be failing")
            }
            Self::ProofLost { name, .. } => {
                format!("look at the logs of {name} and of the full node, at the time of the alarm")
            }
            Self::TooManyProofs { name, .. } => {
                format!("check that {name} farms this network and that its difficulty is that of the chain")
            }
            Self::SigningRefused { node, .. } => {
                format!("find out who runs the full node {node} and whether its software is genuine")
            }
            Self::EligibleMismatch { name, .. } => {
                format!("restart the harvester on {name}; if it stays, check its version and its plots")
            }
            Self::AlarmHookFailing { .. } => {
                "see `farmconsole.alarms` in the settings file (`farmconsole config path`)".to_owned()
            }
            Self::HistoryNotWritten { .. } => {
                "make room on the disk of this root, or mend what is named; farming goes on meanwhile".to_owned()
            }
            Self::RewardOverrideRefused { name, .. } => {
                format!(
                    "if you agreed to a fee for the harvester software on {name}, allow it with \
                     `farmconsole.harvester_fees` in the settings; else find out why it wants your reward"
                )
            }
            Self::ConnectionRefused { cause, .. } => cause.remedy().to_owned(),
            Self::HarvesterPending { fingerprint } => {
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                format!(
                    "if it is yours: `farmconsole harvester approve {short} --name NAME`, else `farmconsole harvester revoke {short}`"
                )
            }
            Self::CertificateEnds { name, .. } => {
                format!("`farmconsole harvester invite {name}` here, and there the command that this prints")
            }
            Self::InvitationGuessed { name, .. } => {
                format!("find out who that is; `farmconsole harvester invite {name}` makes a new one")
            }
            Self::PoolFailing { pool, .. } => {
                format!("look at what {pool} says of itself, and at this machine's network and clock")
            }
            Self::PoolKeyMissing {
                is_wallet_key: false, ..
            } => "import the farming keys again with `farmconsole keys import`, and restart the farmer".to_owned(),
            Self::PoolKeyMissing {
                is_wallet_key: true, ..
            } => "this plotNFT speaks with a wallet key: if its address holds no coins, import it with `farmconsole keys import --pool-wallet-keys`, and restart the farmer".to_owned(),
            Self::PoolNeedsOwner {
                need: OwnerNeed::Payout { .. },
                launcher_id,
                ..
            } => format!("`farmconsole pool set-payout {launcher_id}` tells the pool: it asks for the mnemonic once"),
            Self::PoolNeedsOwner { launcher_id, .. } => {
                format!("`farmconsole pool join {launcher_id}` registers it: it asks for the mnemonic once")
            }
            Self::PoolClockDiffers { .. } => "set this machine's clock: `timedatectl` says whether it is synchronised".to_owned(),
            Self::PartialsLost {
                outcome: PartialOutcome::Late | PartialOutcome::Stale,
                ..
            } => "look for slow drives: `farmconsole harvester list` shows look-up times".to_owned(),
            Self::PartialsLost { pool, .. } => format!("see screen 5 of the console for what {pool} answers"),
            Self::PoolsUnreadable { .. } => "let the wallet write it again, or mend the entry".to_owned(),
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSignagePoints {
                node,
                last_unix_ms,
                why,
                others_do,
            } => {
                write!(f, "no signage point from {node}")?;
                if let Some(ms) = last_unix_ms {
                    let seconds = ms / 1000 % 86_400;
                    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                    write!(f, " since {hours:02}:{minutes:02}:{:02} UTC", seconds % 60)?;
                }
                if let Some(why) = why {
                    write!(f, ": not connected, {why}")?;
                }
                f.write_str(if *others_do { "; another node brings them" } else { "" })
            }
            Self::NodeCertificateChanged {
                node, expected, got, ..
            } => {
                write!(
                    f,
                    "the certificate of {node} has changed: SHA-256 {got} instead of {expected}"
                )
            }
            Self::NodeTakesNothing { node } => write!(f, "{node} does not take what it is sent"),
            Self::SignagePointsMissed { node, missed } => {
                write!(f, "{} missed from {node}", count(*missed, "signage point"))
            }
            Self::NoKeys => f.write_str("no farming key is loaded"),
            Self::NoRewardTarget { target } => write!(f, "no address is set for the {target} reward"),
            Self::HarvesterAbsent { name, plots, why, .. } => {
                write!(f, "{name} is gone with {}: {why}", count(*plots, "plot"))
            }
            Self::HarvesterSilent { name, unanswered, .. } => {
                write!(
                    f,
                    "{name} is connected but has not answered {}",
                    count(*unanswered, "signage point")
                )
            }
            Self::HarvesterLate { name, late, .. } => {
                write!(f, "{name} answered later than 8 s, {late} of its last 10 answers")
            }
            Self::CertificateShared { addresses, .. } => {
                write!(
                    f,
                    "one certificate is used by several harvesters: {}",
                    addresses.join(", ")
                )
            }
            Self::PlotsLost {
                name, lost, directory, ..
            } => match directory {
                Some(dir) => write!(f, "{name} lost {} in {dir}", count(*lost, "plot")),
                None => write!(f, "{name} lost {}", count(*lost, "plot")),
            },
            Self::FailedPlots { name, files, .. } => {
                write!(f, "{} on {name} cannot be opened", count(*files, "plot file"))
            }
            Self::NoKeyPlots { name, files, .. } => {
                write!(f, "{} on {name} made for other keys", count(*files, "plot"))
            }
            Self::DuplicatePlots { name, files, .. } => write!(f, "{} on {name}", count(*files, "duplicate plot")),
            Self::SharedPlots { plots, harvesters } => {
                write!(f, "{} farmed twice: {}", count(*plots, "plot"), harvesters.join(", "))
            }
            Self::PlotSyncFailing { name, error, .. } => write!(f, "plot sync of {name} fails: {error}"),
            Self::InvalidProofs {
                name,
                proofs,
                plot_file,
                reason,
                ..
            } => {
                write!(
                    f,
                    "{} from {name}, last {plot_file}: {reason}",
                    count(*proofs, "invalid proof")
                )
            }
            Self::ProofLost { name, reason } => write!(f, "a proof from {name} was lost: {reason}"),
            Self::TooManyProofs { name, dropped, .. } => {
                write!(
                    f,
                    "{name} sends more proofs than can be verified; {} dropped",
                    count(*dropped, "proof")
                )
            }
            Self::SigningRefused { node, reason } => write!(f, "refused to sign a block for {node}: {reason}"),
            Self::EligibleMismatch {
                name,
                in_a_row,
                expected,
                passed,
                ..
            } => write!(
                f,
                "{name} says {passed} eligible plots where its plot ids make {expected}, {} in a row",
                count(*in_a_row, "answer")
            ),
            Self::AlarmHookFailing { hook, why } => write!(f, "nobody is told of alarms by {hook}: {why}"),
            Self::HistoryNotWritten { why } => write!(f, "the history is not written: {why}"),
            Self::RewardOverrideRefused { name, reason, .. } => {
                write!(f, "{name} wanted the farmer reward of a proof; refused: {reason}")
            }
            Self::ConnectionRefused { address, cause, times } => write!(f, "refused {address} ({times}×): {cause}"),
            Self::HarvesterPending { fingerprint } => {
                let short = fingerprint.get(..16).unwrap_or(fingerprint);
                write!(f, "a harvester waits to be let in (certificate {short})")
            }
            Self::CertificateEnds { name, days_left: 0 } => write!(f, "the certificate of {name} has ended"),
            Self::CertificateEnds { name, days_left } => {
                write!(f, "the certificate of {name} ends in {}", count(*days_left, "day"))
            }
            Self::InvitationGuessed { name, address } => {
                write!(
                    f,
                    "{address} tried to join as {name} without the right token; the invitation is cancelled"
                )
            }
            Self::PoolFailing { pool, why, .. } => write!(f, "pool {pool} gives no usable answer: {why}"),
            Self::PoolKeyMissing { pool, .. } => {
                write!(
                    f,
                    "no partial can be sent to {pool}: the key that speaks to it is not here"
                )
            }
            Self::PoolNeedsOwner { pool, need, .. } => match need {
                OwnerNeed::Register => write!(f, "{pool} does not know this farmer"),
                OwnerNeed::OtherKey => write!(f, "{pool} knows this farmer by another key"),
                OwnerNeed::Payout { wanted, pays_to } => write!(f, "{pool} pays to {pays_to} instead of {wanted}"),
            },
            Self::PoolClockDiffers { pool, ahead_s, .. } => {
                let (by, word) = (ahead_s.unsigned_abs(), if *ahead_s < 0 { "behind" } else { "ahead of" });
                write!(
                    f,
                    "the clock of {pool} is {} {word} this machine's",
                    count(by, "second")
                )
            }
            Self::PartialsLost {
                pool,
                outcome,
                partials,
                step,
                reason,
                ..
            } => write!(
                f,
                "{} for {pool} {} in the last hour, the last one while {}: {reason}",
                count(*partials, "partial"),
                outcome.word(),
                step.word()
            ),
            Self::PoolsUnreadable { why } => write!(f, "the list of pools cannot be read: {why}"),
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

fn count(n: u64, what: &str) -> String {
    if n == 1 {
        format!("1 {what}")
    } else {
        format!("{n} {what}s")
    }
}
