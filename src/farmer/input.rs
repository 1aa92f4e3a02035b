//! Everything that can happen to the farmer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::config::FarmerKeys;
use super::numbers::JobId;
use super::plot_news::PlotPlace;
use super::pools::exchange::{JoinedPool, PoolAnswer};
use crate::clock::UnixMillis;
use crate::crypto::{PlotSignatureError, PoolTargetError};
use crate::ids::{NodeId, PeerId, QualityString, SessionId, SpHash};
use crate::pos::ProofError;
use crate::pos::v2::SolveError;
use crate::snapshot::{
    AlarmKind, AlarmView, Concern, ConnectedPeer, DisconnectCause, FarmRecord, HarvesterId, HistoryView, RefusalCause,
    SimulatedChainView, UnlistedDirectory,
};
use crate::units::Height;
use crate::wire::{FromHarvester, G2Bytes, NewSignagePoint, RequestSignedValues};

/// One thing that happened. The farmer trusts nothing in it that came from a harvester.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A harvester is connected; TLS and protocol handshakes are done.
    HarvesterConnected {
        /// Its connection; a number that was never used before.
        session: SessionId,
        /// Who it is.
        peer: ConnectedPeer,
        /// Over the network or in this process.
        origin: HarvesterOrigin,
    },
    /// It sent a message.
    HarvesterMessage {
        /// From whom.
        session: SessionId,
        /// Id of the envelope: of a request that it answers.
        id: Option<u16>,
        /// The message.
        message: FromHarvester,
    },
    /// It sent something else, such as a pong. Needed only after [`Output::Probe`](super::Output::Probe) and after
    /// [`Input::HarvesterQuiet`], to say that this is over; harmless at any time.
    HarvesterHeard {
        /// From whom.
        session: SessionId,
    },
    /// Not one byte, not even a pong, came from it for some time (15 s).
    HarvesterQuiet {
        /// From whom.
        session: SessionId,
        /// For how long already.
        quiet: Duration,
    },
    /// It sent a message of a number that nobody knows or that no harvester sends.
    MessageIgnored {
        /// From whom.
        session: SessionId,
        /// The number.
        kind: u8,
    },
    /// It did not take a signage point in time, so the outbox replaced it by a newer one.
    SignagePointDropped {
        /// Who.
        session: SessionId,
        /// Which signage point; `None` if that is not known any more.
        sp_hash: Option<SpHash>,
    },
    /// Its connection has ended.
    HarvesterDisconnected {
        /// Which.
        session: SessionId,
        /// Why.
        cause: DisconnectCause,
    },
    /// A connection never became a harvester.
    ConnectionRefused {
        /// From where.
        address: SocketAddr,
        /// Why.
        cause: RefusalCause,
    },
    /// A source of signage points is connected, or will be tried (then `link` says so).
    Node {
        /// Which.
        node: NodeId,
        /// What is known of it; replaces what was known before.
        status: NodeStatus,
    },
    /// A node has a new signage point.
    SignagePoint {
        /// Which node.
        node: NodeId,
        /// It.
        signage_point: Box<NewSignagePoint>,
    },
    /// A node has made a block of a proof and wants it signed.
    RequestSignedValues {
        /// Which node.
        node: NodeId,
        /// What to sign.
        request: Box<RequestSignedValues>,
    },
    /// What a node says of itself, or a sentence why it is not known (that it has not been asked is no input at all).
    NodeChain {
        /// Which node.
        node: NodeId,
        /// Its answer; replaces the one before.
        chain: Result<ChainState, String>,
    },
    /// A node shows another certificate than it did before, and is not farmed with.
    NodeCertificateChanged {
        /// Which node.
        node: NodeId,
        /// Fingerprint that it had (SHA-256 of the certificate).
        expected: PeerId,
        /// Fingerprint that it has now.
        got: PeerId,
        /// Where the old one is kept, as a fragment: `the line of … in …`.
        kept: String,
    },
    /// The queue of a node was full: it did not get what was to be sent ([`Output::Declare`](super::Output::Declare),
    /// [`Output::SignedValues`](super::Output::SignedValues)).
    NodeQueueFull {
        /// Which node.
        node: NodeId,
        /// Of which proof.
        quality: QualityString,
        /// Whether no other node got it either.
        is_lost: bool,
    },
    /// A node says what became of a proof. Only the simulated chain does.
    ChainVerdict {
        /// Which node.
        node: NodeId,
        /// Which proof.
        quality: QualityString,
        /// Height of the block, or why there is none, as a fragment.
        verdict: Result<Height, String>,
    },
    /// What the simulated chain shows of itself.
    SimulatedChain(SimulatedChainView),
    /// A worker has verified a proof ([`Output::Verify`](super::Output::Verify)).
    Verified {
        /// Which job.
        job: JobId,
        /// Its quality, or what is wrong with it.
        result: Result<QualityString, ProofError>,
    },
    /// A solver has worked on a partial proof ([`Output::Solve`](super::Output::Solve)).
    Solved {
        /// Which job.
        job: JobId,
        /// The x-values of the full proof, still to be verified, or why there are none.
        #[serde(with = "solved")]
        result: Result<Vec<u8>, SolveError>,
    },
    /// The workers were full: this job, of any kind, will never be done.
    VerificationDropped {
        /// Which job.
        job: JobId,
    },
    /// A worker has signed ([`Output::Sign`](super::Output::Sign)).
    Signed {
        /// Which job.
        job: JobId,
        /// The signatures, or why there are none.
        result: Result<PlotSignatures, SignError>,
    },
    /// Farming keys were loaded or changed.
    Keys(FarmerKeys),
    /// The pools this farm has joined, and whether there are keys to speak to them; replaces what was known before.
    Pools(Vec<JoinedPool>),
    /// The list of pools could not be read, or not all of it; `None` when that is over. What was known stays.
    PoolsUnreadable {
        /// Why, as a fragment with the file.
        why: Option<String>,
    },
    /// The settings were to be read again and cannot be; `None` when they could. What was read before is followed.
    SettingsUnreadable {
        /// Why, as a fragment with the file.
        why: Option<String>,
    },
    /// Plot directories of the farmer's own harvester that cannot be listed: all of them, but for those whose plots are
    /// gone with them, of which plot sync tells.
    PlotDirectories {
        /// They.
        unlisted: Vec<UnlistedDirectory>,
    },
    /// Drives of the farmer's own harvester that fail it: all of them.
    DriveTroubles {
        /// What is wrong with them; those of [`Concern::drive`].
        troubles: Vec<Concern>,
    },
    /// A pool has answered, or did not ([`Output::AskPool`](super::Output::AskPool)).
    PoolAnswered {
        /// Which job.
        job: JobId,
        /// What came back.
        answer: PoolAnswer,
    },
    /// Where harvesters can connect.
    Listening {
        /// Bound addresses; none when the listener is closed.
        addresses: Vec<SocketAddr>,
    },
    /// Counters of other parts of the program, to be shown.
    OuterCounters(OuterCounters),
    /// A person or a script wants something.
    Command(Command),
    /// What earlier runs had of luck; from here on [`Output::Record`](super::Output::Record) says what is to be kept.
    Past(Box<FarmRecord>),
    /// Alarms of earlier runs, all of them over, the one that closed last first. Their numbers say nothing.
    PastAlarms(Vec<AlarmView>),
    /// How many plots each harvester had in earlier runs, by certificate.
    PastPlots(BTreeMap<PeerId, u64>),
    /// A harvester does not have plots that it had when it was told of last, maybe in an earlier run
    /// ([`PlotNews::Listed`](super::PlotNews::Listed)).
    PlotsMissing {
        /// Who.
        harvester: HarvesterId,
        /// They; none if nothing is missing.
        plots: Vec<PlotPlace>,
    },
    /// How the history fares.
    History(HistoryView),
    /// Somebody set the wall clock of this machine, as far as it was not slept through. The moment of this input is by the
    /// clock as it is.
    ClockSet {
        /// Milliseconds by which it is ahead of what it would say otherwise; below zero if it was set back.
        by_ms: i64,
    },
    /// An alarm hook was called.
    AlarmHook {
        /// Which.
        hook: String,
        /// Why it failed, as a fragment; `None` if it did not.
        failure: Option<String>,
    },
    /// Names of harvesters, and what is wrong with their certificates.
    Fleet(FleetStatus),
}

/// What is known of the farm's certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FleetStatus {
    /// Names that people gave, by certificate.
    pub names: BTreeMap<PeerId, String>,
    /// Alarms about certificates and invitations ([`AlarmKind::is_of_certificates`]): all of them.
    pub alarms: Vec<AlarmKind>,
    /// Harvesters that are let in by a certificate of Chia's private CA.
    pub ca_key_copies: u64,
    /// Certificates that a person has revoked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<PeerId>,
    /// Harvesters of earlier runs that are waited for. Told once, at the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<ExpectedHarvester>,
}

/// A harvester that came in an earlier run of this farmer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExpectedHarvester {
    /// As it came last; the port of its address is 0.
    pub peer: ConnectedPeer,
    /// First connection ever.
    pub first_seen: UnixMillis,
    /// Start of the last one.
    pub last_seen: UnixMillis,
}

/// How a harvester is attached.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HarvesterOrigin {
    /// In this process, over a channel in memory.
    Embedded {
        /// Its name, as `local`.
        name: String,
    },
    /// Over the network.
    Network,
}

/// What is known of a source of signage points.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NodeStatus {
    /// `127.0.0.1:8444` or `simulated chain`.
    pub name: String,
    /// Whether it is connected.
    pub link: NodeLink,
    /// How far it is trusted with our signatures.
    pub trust: NodeTrust,
    /// SHA-256 of the certificate it shows, when there is one.
    pub certificate: Option<PeerId>,
    /// Its software, as it calls itself.
    pub software_version: Option<String>,
}

/// The chain as a node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ChainState {
    /// Whether it has the newest blocks.
    pub synced: bool,
    /// Whether it is fetching older ones.
    pub syncing: bool,
    /// Height of its newest block.
    pub peak_height: Option<u32>,
    /// Difficulty at its newest block, if it says so.
    pub difficulty: Option<u64>,
    /// Estimated network space in bytes, if it says so.
    pub netspace_bytes: Option<f64>,
    /// Average seconds between two blocks; `None` keeps what was known.
    pub average_block_seconds: Option<f64>,
}

/// Whether a node is connected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeLink {
    /// Connected.
    Up,
    /// Not connected.
    Down {
        /// Why, as a fragment.
        why: String,
    },
    /// Not connected, because it is connected under another name: nothing is wrong with the node.
    SecondName {
        /// Which one, and what to do, as a fragment.
        why: String,
    },
}

/// Whether a node may have blocks signed that it does not explain (`foliage_block_data` missing). A node explains every
/// block that it makes of a proof of ours, except the empty one it falls back to when its first one was invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeTrust {
    /// On this machine, or pinned in the settings: it may.
    Own,
    /// Anybody's, also if its certificate is the one it showed the first time: it may not.
    Foreign,
}

/// Complete signatures of a plot, in the order they were asked for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlotSignatures {
    /// One for each message.
    pub signatures: Vec<G2Bytes>,
    /// Signature of the pool target; only for [`SignPurpose::SignagePoint`](super::SignPurpose) and a plot with a pool
    /// public key.
    pub pool_signature: Option<G2Bytes>,
}

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SignError {
    /// The shares do not make a signature of the plot.
    #[error(transparent)]
    Plot(#[from] PlotSignatureError),
    /// The pool's share of the rewards cannot be claimed.
    #[error(transparent)]
    PoolTarget(#[from] PoolTargetError),
    /// A partial cannot be signed for its pool.
    #[error("the key that speaks to its pool is not in the key file")]
    NoPoolKey,
}

/// Counters that other parts of the program keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OuterCounters {
    /// Connections refused since start, by [`RefusalCause::word`]: all of them, of which a flood is told of only now and
    /// then.
    pub refused: BTreeMap<String, u64>,
    /// Log lines dropped since start.
    pub dropped_log_lines: u64,
    /// Unauthenticated connections at this moment.
    pub unauthenticated: u32,
    /// Calls of alarm hooks that were not made.
    pub dropped_hook_calls: u64,
}

/// What a person or a script can ask for. [`Farmer::check`](super::Farmer::check) says whether it can be done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Ask a harvester for its plots and compare them with what was synced; the answer is its `cross_check`.
    RefreshHarvester {
        /// Which; `None` for all that are connected.
        harvester: Option<HarvesterId>,
    },
    /// A person has seen an alarm. One that only tells of something past closes.
    AcknowledgeAlarm {
        /// Which; `None` for all.
        number: Option<u64>,
    },
    /// Tell nobody of some alarms for a while; replaces what was said of the same ones before.
    SilenceAlarms {
        /// Only of this rule; `None` for all.
        rule: Option<String>,
        /// Only of this machine; `None` for all.
        machine: Option<String>,
        /// For how long, seconds; 0 ends a silence.
        for_s: u64,
    },
}

/// Why a [`Command`] cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such harvester.
    #[error("no harvester {harvester}")]
    NoSuchHarvester {
        /// What was asked for.
        harvester: HarvesterId,
    },
    /// It would have to be connected.
    #[error("{name} is not connected")]
    NotConnected {
        /// Its name.
        name: String,
    },
    /// There is no such alarm, or it is over.
    #[error("no open alarm {number}")]
    NoSuchAlarm {
        /// What was asked for.
        number: u64,
    },
    /// It would be one silence too many.
    #[error("{limit} silences are enough: end one first")]
    TooManySilences {
        /// How many there may be.
        limit: usize,
    },
}

/// A full proof as hexadecimal text, or why there is none.
mod solved {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::pos::v2::SolveError;

    pub(super) fn serialize<S: Serializer>(result: &Result<Vec<u8>, SolveError>, s: S) -> Result<S::Ok, S::Error> {
        result.as_ref().map(hex::encode).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Result<Vec<u8>, SolveError>, D::Error> {
        let result = Result::<String, SolveError>::deserialize(d)?;
        result
            .map(|text| hex::decode(text).map_err(de::Error::custom))
            .map_or_else(|error| Ok(Err(error)), |bytes| bytes.map(Ok))
    }
}
