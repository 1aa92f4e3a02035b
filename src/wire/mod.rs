//! The bytes on the wire: Chia's "streamable" encoding, the message envelope, and every message a farmer exchanges with
//! harvesters, full nodes, solvers and pools.
//!
//! A received frame becomes a [`Message`] (number, id, payload) with [`Message::parse`], and that becomes a typed
//! message with the `decode` of its direction: [`FromHarvester`], [`ToHarvester`], [`FromFullNode`], [`ToFullNode`].
//! What has been decoded cannot be wrong in form: a plot has a pool key *or* a contract ([`PlotPool`]), a proof is v1
//! *or* v2 ([`ProofBody`]), nothing is left over and nothing is missing. Where real peers of several releases disagree
//! about a layout, the type says which layouts are accepted.
//!
//! Not here: sockets, rate counting, and any check that needs arithmetic. Points ([`G1Bytes`], [`G2Bytes`]) are not
//! checked to be on the curve, proofs are not verified.

mod block;
mod codec;
pub mod enrol;
mod error;
mod full_node;
mod handshake;
mod harvester;
pub mod limits;
mod message;
mod message_type;
mod plot;
mod plot_sync;
mod points;
pub mod pool;
mod proof;
mod solver;
#[cfg(test)]
mod tests;
pub mod token;

pub use block::{
    ChallengeChainSubSlot, FoliageBlockData, FoliageTransactionBlock, PoolTarget, RewardChainBlockUnfinished,
    RewardChainSubSlot, VdfInfo,
};
pub use codec::{HashOfBytes, Reader, Streamable};
pub use error::WireError;
pub use full_node::{
    DeclareProofOfSpace, FromFullNode, NewSignagePoint, RequestSignedValues, SignagePointSourceData, SignedValues,
    SpSubSlotSourceData, SpVdfSourceData, ToFullNode,
};
pub use handshake::{
    Capability, ConfigureWindowSizes, ErrorMessage, Handshake, HarvesterLayout, InvalidVersion, NodeType,
    ProtocolVersion,
};
pub use harvester::{
    FarmingInfo, FromHarvester, HarvesterHandshake, NewProofOfSpace, NewSignagePointHarvester, PartialProofsData,
    PoolDifficulty, ProofOfSpaceFeeInfo, RequestSignatures, RespondPlots, RespondSignatures, SignagePointFilter,
    SignatureRequestSourceData, SigningDataKind, ToHarvester,
};
pub use message::Message;
pub use message_type::MessageType;
pub use plot::Plot;
pub use plot_sync::{
    PlotSync, PlotSyncDone, PlotSyncError, PlotSyncErrorCode, PlotSyncIdentifier, PlotSyncPathList, PlotSyncPlotList,
    PlotSyncResponse, PlotSyncStart,
};
pub use points::{ClassgroupElement, G1Bytes, G2Bytes, InvalidHex};
pub use proof::{PartialProof, PlotPool, ProofBody, ProofOfSpace, plot_group_id_v2, plot_id_v1, plot_id_v2};
pub use solver::{SolverInfo, SolverResponse};
