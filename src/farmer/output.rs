//! Everything the farmer wants done.

use super::numbers::JobId;
use super::plot_news::PlotNews;
use super::pools::exchange::{PoolMembership, PoolRequest};
use crate::clock::Mono;
use crate::ids::{Bytes32, NodeId, PosChallenge, PuzzleHash, QualityString, SessionId};
use crate::pos::ProofContext;
use crate::snapshot::{AlarmMemory, DisconnectCause, FarmRecord, MessageRecord, Notice, ProofView};
use crate::wire::{
    DeclareProofOfSpace, G1Bytes, ProofOfSpace, RespondSignatures, SignedValues, SolverInfo, ToHarvester,
};

/// One thing to do. Outputs are in order: what comes first is done first; [news](Self::is_news) may wait for the rest.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Send to a harvester, encoded for its protocol version.
    Send {
        /// To whom.
        session: SessionId,
        /// Id of the envelope: ours from 0x8000 when an answer must find its way back, otherwise none.
        id: Option<u16>,
        /// What.
        message: ToHarvester,
    },
    /// Ping a harvester at once and report [`Input::HarvesterHeard`](super::Input::HarvesterHeard) for whatever comes back.
    Probe {
        /// Whom.
        session: SessionId,
    },
    /// Close a connection. The farmer has forgotten it already; reporting its end is harmless and not needed.
    Close {
        /// Which.
        session: SessionId,
        /// Why.
        cause: DisconnectCause,
    },
    /// Verify a proof in full and answer [`Input::Verified`](super::Input::Verified).
    Verify {
        /// Number of the job.
        job: JobId,
        /// The proof.
        proof: Box<ProofOfSpace>,
        /// Signage point it claims to answer.
        context: ProofContext,
    },
    /// Complete a partial proof, which takes seconds, and answer [`Input::Solved`](super::Input::Solved). Nothing else
    /// may wait for it.
    Solve {
        /// Number of the job.
        job: JobId,
        /// What to complete.
        partial: Box<SolverInfo>,
        /// What the plot was asked, to check the result with.
        challenge: PosChallenge,
    },
    /// Complete and verify plot signatures and answer [`Input::Signed`](super::Input::Signed).
    Sign {
        /// Number of the job.
        job: JobId,
        /// The proof they were asked for.
        proof: Box<ProofOfSpace>,
        /// The harvester's shares.
        response: Box<RespondSignatures>,
        /// What is to be signed, in this order.
        messages: Vec<Bytes32>,
        /// What for.
        purpose: SignPurpose,
    },
    /// Declare a proof to nodes.
    Declare {
        /// To whom; never empty.
        nodes: Vec<NodeId>,
        /// Of which proof.
        quality: QualityString,
        /// The declaration.
        message: Box<DeclareProofOfSpace>,
    },
    /// Send block signatures to the node that asked.
    SignedValues {
        /// To whom.
        node: NodeId,
        /// The signatures.
        message: Box<SignedValues>,
    },
    /// Sign a request, send it to a pool, and answer [`Input::PoolAnswered`](super::Input::PoolAnswered), whatever happens.
    AskPool {
        /// Number of the job.
        job: JobId,
        /// The plotNFT and its pool, with the address that is to be asked.
        pool: Box<PoolMembership>,
        /// What to ask.
        request: PoolRequest,
        /// When the answer is worth nothing any more. Until then a partial may be sent again where that can help.
        deadline: Mono,
    },
    /// Tell whoever listens.
    Notice(Notice),
    /// A message of the harvester protocol passed, for the message screen.
    Message(MessageRecord),
    /// Keep this for the next run: the record as it is, with the quarters of an hour that may have changed.
    Record(Box<FarmRecord>),
    /// Keep this for the next run: what people have said about alarms.
    AlarmMemory(Box<AlarmMemory>),
    /// Keep this for the next run, and answer [`Input::PlotsMissing`](super::Input::PlotsMissing) to a list of all plots.
    PlotNews(PlotNews),
    /// A proof has got further. Said after everything else, once for however many steps.
    Proof(Box<ProofView>),
}

impl Output {
    /// Whether it is only to be told or written down, and may come after what is to be done.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        matches!(
            self,
            Self::Notice(_)
                | Self::Message(_)
                | Self::Record(_)
                | Self::AlarmMemory(_)
                | Self::PlotNews(_)
                | Self::Proof(_)
        )
    }
}

/// What signatures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignPurpose {
    /// To declare a proof: the two hashes of the signage point.
    SignagePoint {
        /// Sign this pool target too; only for a plot with a pool public key.
        pool_target: Option<PuzzleHash>,
    },
    /// To complete a block: its two foliage hashes.
    Block,
    /// To send a partial: the hash of its payload. The pool's authentication signature is added to the plot's.
    Partial {
        /// Owner key of the plotNFT, by which the authentication key is found.
        owner_public_key: G1Bytes,
    },
}
