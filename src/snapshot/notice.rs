//! Facts that must not be lost between two snapshots, and the record of every protocol message that passes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alarm::AlarmView;
use super::peer::{ConnectedPeer, DisconnectCause, HarvesterId, RefusalCause};
use super::{AttemptOutcome, AttemptView, CrossCheckView, PartialOutcome, PartialStep, SignagePointView};
use crate::ids::{PeerId, PlotId, PuzzleHash};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "notice")]
pub enum Notice {
    /// A harvester is connected.
    HarvesterConnected {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Peer.
        peer: ConnectedPeer,
    },
    /// A harvester is gone.
    HarvesterDisconnected {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Peer.
        peer: ConnectedPeer,
        /// Why.
        cause: DisconnectCause,
    },
    /// A connection was refused.
    ConnectionRefused {
        /// From where, as `10.0.0.7:51234`.
        address: String,
        /// Why.
        cause: RefusalCause,
    },
    /// A plot sync has finished.
    PlotSyncDone {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Plots it has now.
        plots: u64,
        /// Plots added.
        added: u64,
        /// Plots removed.
        removed: u64,
        /// Longest common directory of those removed: usually the drive.
        #[serde(default)]
        removed_from: Option<String>,
    },
    /// A plot sync message was refused.
    PlotSyncRefused {
        /// Name.
        name: String,
        /// Why.
        error: String,
    },
    /// A harvester has listed its plots on request, and they were compared with what was synced.
    CrossChecked {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// The result.
        result: CrossCheckView,
    },
    /// A harvester was asked for its plots and did not list them.
    CrossCheckFailed {
        /// Which.
        harvester: HarvesterId,
        /// Name.
        name: String,
        /// Why, as a fragment.
        reason: String,
    },
    /// A signage point was sent out.
    SignagePoint {
        /// It.
        signage_point: SignagePointView,
        /// Harvesters it was sent to.
        harvesters: u32,
    },
    /// Signage points did not come.
    SignagePointsMissed {
        /// Node.
        node: String,
        /// How many.
        missed: u64,
    },
    /// A harvester answered, or did not.
    Attempt {
        /// It.
        attempt: AttemptView,
    },
    /// A harvester sent a proof.
    ProofFound {
        /// Name.
        name: String,
        /// Plot.
        plot_id: PlotId,
        /// Plot file.
        plot_file: String,
        /// Signage point index.
        signage_point_index: u8,
    },
    /// A proof failed verification.
    ProofInvalid {
        /// Name.
        name: String,
        /// Plot file.
        plot_file: String,
        /// Why.
        reason: String,
    },
    /// A signed proof was declared to the node.
    ProofDeclared {
        /// Name.
        name: String,
        /// Plot file.
        plot_file: String,
        /// Signage point index.
        signage_point_index: u8,
    },
    /// The farmer's share of a declared proof goes to its harvester, as its fee.
    HarvesterFee {
        /// Name.
        name: String,
        /// Where to.
        puzzle_hash: PuzzleHash,
    },
    /// Block signatures were sent to the node.
    BlockSigned {
        /// Name.
        name: String,
    },
    /// The chain accepted a block.
    BlockAccepted {
        /// Name.
        name: String,
        /// Height.
        height: u32,
        /// Whether the chain is the simulated one.
        simulated: bool,
    },
    /// A proof was lost after verification.
    ProofLost {
        /// Name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A pool has accepted a partial.
    PartialAccepted {
        /// Pool.
        pool: String,
        /// Name of the harvester.
        name: String,
        /// Plot file.
        plot_file: String,
        /// What it is worth.
        points: u64,
        /// Milliseconds since its signage point.
        after_ms: u32,
    },
    /// A partial was lost on its way, or refused.
    PartialLost {
        /// Pool.
        pool: String,
        /// Name of the harvester.
        name: String,
        /// Plot file.
        plot_file: String,
        /// How it ended.
        outcome: PartialOutcome,
        /// Where it was then.
        step: PartialStep,
        /// Why.
        reason: String,
        /// Milliseconds since its signage point.
        after_ms: u32,
    },
    /// A pool has set another difficulty.
    PoolDifficultyChanged {
        /// Pool.
        pool: String,
        /// Before.
        from: u64,
        /// From here on.
        to: u64,
    },
    /// An alarm opened.
    AlarmOpened {
        /// It.
        alarm: AlarmView,
    },
    /// A person has seen an alarm.
    AlarmSeen {
        /// It.
        alarm: AlarmView,
    },
    /// An alarm closed.
    AlarmClosed {
        /// It.
        alarm: AlarmView,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HarvesterConnected { name, peer, .. } => {
                write!(
                    f,
                    "{name} connected from {} ({}, protocol {})",
                    peer.address, peer.software_version, peer.protocol_version
                )
            }
            Self::HarvesterDisconnected { name, cause, .. } => write!(f, "{name} disconnected: {cause}"),
            Self::ConnectionRefused { address, cause } => write!(f, "refused {address}: {cause}"),
            Self::PlotSyncDone {
                name,
                plots,
                added,
                removed,
                ..
            } => {
                write!(f, "{name} synced {plots} plots (+{added} −{removed})")
            }
            Self::PlotSyncRefused { name, error } => write!(f, "plot sync of {name} refused: {error}"),
            Self::CrossChecked { name, result, .. } => write!(
                f,
                "{name} lists {} plots: {} missing, {} unexpected",
                result.listed, result.missing, result.unexpected
            ),
            Self::CrossCheckFailed { name, reason, .. } => write!(f, "{name} did not list its plots: {reason}"),
            Self::SignagePoint {
                signage_point,
                harvesters,
            } => {
                write!(
                    f,
                    "signage point {}/64 sent to {harvesters} harvesters",
                    signage_point.signage_point_index
                )
            }
            Self::SignagePointsMissed { node, missed } => write!(f, "{missed} signage points missed from {node}"),
            Self::Attempt { attempt } => match &attempt.outcome {
                AttemptOutcome::Answered {
                    passed,
                    total,
                    proofs,
                    lookup_ms,
                    ..
                } => write!(
                    f,
                    "{} {passed}/{total} passed, {proofs} proofs, {lookup_ms} ms, signage point {}",
                    attempt.harvester_name, attempt.signage_point_index
                ),
                AttemptOutcome::NoAnswer { after_s, .. } => write!(
                    f,
                    "{} gave no answer by {after_s} s to signage point {}",
                    attempt.harvester_name, attempt.signage_point_index
                ),
            },
            Self::ProofFound {
                name,
                plot_file,
                signage_point_index,
                ..
            } => {
                write!(
                    f,
                    "{name} found a proof in {plot_file} at signage point {signage_point_index}"
                )
            }
            Self::ProofInvalid {
                name,
                plot_file,
                reason,
            } => write!(f, "invalid proof from {name}, {plot_file}: {reason}"),
            Self::ProofDeclared {
                name,
                signage_point_index,
                ..
            } => {
                write!(f, "proof of {name} declared at signage point {signage_point_index}")
            }
            Self::HarvesterFee { name, puzzle_hash } => {
                write!(
                    f,
                    "the farmer reward of a proof of {name} goes to puzzle hash {puzzle_hash}, as its fee"
                )
            }
            Self::BlockSigned { name } => write!(f, "block signed with a proof of {name}"),
            Self::BlockAccepted {
                name,
                height,
                simulated,
            } => {
                let kind = if *simulated { "SIMULATED block" } else { "block" };
                write!(f, "{kind} {height} won with a proof of {name}")
            }
            Self::ProofLost { name, reason } => write!(f, "proof of {name} lost: {reason}"),
            Self::PartialAccepted {
                pool,
                name,
                points,
                after_ms,
                ..
            } => write!(
                f,
                "{pool} accepted a partial of {name}, {points} points, {after_ms} ms after its signage point"
            ),
            Self::PartialLost {
                pool,
                name,
                outcome,
                step,
                reason,
                after_ms,
                ..
            } => write!(
                f,
                "partial of {name} for {pool} {} after {after_ms} ms ({}): {reason}",
                outcome.word(),
                step.word()
            ),
            Self::PoolDifficultyChanged { pool, from, to } => {
                write!(f, "{pool} changed the difficulty from {from} to {to}")
            }
            Self::AlarmOpened { alarm } => write!(f, "alarm: {}", alarm.kind),
            Self::AlarmSeen { alarm } => write!(f, "acknowledged: {}", alarm.kind),
            Self::AlarmClosed { alarm } => write!(f, "over: {}", alarm.kind),
        }
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From us: `->`.
    Out,
    /// To us: `<-`.
    In,
}

/// One protocol message that passed. What many of them have in common they share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Unix milliseconds.
    pub at_unix_ms: u64,
    /// Which way.
    pub direction: Direction,
    /// Message name, as `farming_info`.
    pub message: Cow<'static, str>,
    /// Harvester's or node's name.
    pub peer_name: Arc<str>,
    /// Its address.
    pub host: Arc<str>,
    /// Its node id; zero for the simulated chain.
    pub peer_id: PeerId,
    /// What matters of its content in a few characters, as `3/864`; may be empty.
    pub detail: String,
    /// Its content, a line `field: value` for each field in the order and spelling of the protocol, long ones cut; empty
    /// where it has none or nobody decoded it.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub content: Arc<str>,
}

impl fmt::Display for MessageRecord {
    /// As official log lines say it: outgoing lines put the address first, incoming ones the id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Out => write!(f, "-> {} to peer {} {}", self.message, self.host, self.peer_id),
            Direction::In => write!(f, "<- {} from peer {} {}", self.message, self.peer_id, self.host),
        }
    }
}
