//! Every kind of incident, with what is to be told of it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::peer::{HarvesterId, RefusalCause};
use super::super::{Concern, PartialOutcome, PartialStep};
use crate::ids::{LauncherId, PeerId, PuzzleHash};

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
    /// Blocks of plots with a pool public key could not be claimed: that key has not signed for the address of the pool
    /// reward.
    PoolRewardUnsigned {
        /// Plots with a pool public key.
        plots: u64,
        /// Whether a key has signed for another address; else none has signed at all.
        is_elsewhere: bool,
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
        /// Why its address was refused since, the last time: its machine is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
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
        /// Those of them whose look-up took less than half of the time: the rest went by on the way.
        #[serde(default)]
        on_the_way: u64,
    },
    /// The clocks of a harvester and of this machine differ.
    HarvesterClockDiffers {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Seconds by which the harvester's is ahead.
        ahead_s: i64,
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
        /// Plots that it had then, as far as anybody knows.
        #[serde(default)]
        plots: u64,
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
    /// Next to no partial is good enough for a pool.
    PartialsRare {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// Difficulty that the pool wants.
        difficulty: u64,
        /// Plots that are made for it.
        plots: u64,
        /// Seconds between two partials, on average.
        every_s: u64,
    },
    /// No partial was found where many were to be expected.
    PartialsAbsent {
        /// Pool.
        pool: String,
        /// The plotNFT.
        launcher_id: LauncherId,
        /// How many were to be expected since the last one, or since the start.
        expected: u64,
    },
    /// Plots are made for a contract that no plotNFT in the list of pools has.
    PlotNftGone {
        /// The contract.
        #[serde(default)]
        contract: PuzzleHash,
        /// How many plots.
        #[serde(default)]
        plots: u64,
        /// Names of harvesters that have them, at most eight.
        #[serde(default)]
        harvesters: Vec<String>,
        /// Its plotNFT, if that was in the list since the start.
        #[serde(default)]
        left: Option<Box<PlotNftLeft>>,
    },
    /// The list of pools cannot be read, or not all of it.
    PoolsUnreadable {
        /// Why, with the file.
        why: String,
    },
    /// The settings were to be read again, and cannot be.
    SettingsUnreadable {
        /// Why, with the file.
        why: String,
    },
    /// A plot directory of the farmer's own harvester gives no plots.
    PlotDirectoryUnlisted {
        /// It.
        directory: String,
        /// Why, as a fragment.
        why: String,
    },
    /// A drive of the farmer's own harvester fails it. That of another one is told of on its own machine.
    DriveTrouble {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// How: [`Concern::drive`] is the drive.
        trouble: Concern,
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
    /// A key of the farm's authorities is not locked but gone or damaged: nobody can be invited, and certificates that end
    /// are not renewed.
    CaKeyUnusable {
        /// The file.
        file: String,
        /// What is wrong, as a sentence that names the file.
        why: String,
        /// What to do, as a fragment.
        remedy: String,
    },
    /// The registry of harvesters was damaged at the start, and the version before its last change is used.
    RegistryDamaged,
}

/// A plotNFT that is not in the list of pools any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotNftLeft {
    /// Which.
    pub launcher_id: LauncherId,
    /// Its pool; `None` if it farmed for itself.
    pub pool: Option<String>,
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
