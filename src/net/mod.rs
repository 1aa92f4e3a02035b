//! Connections between harvesters and farmers: who may connect, and websocket frames to messages and back.
//!
//! * [`Listener`] binds the farmer's port and lets in who is a harvester of this farm; [`Server`] is what its connections
//!   share. The rules are pure state machines tested in virtual time: [`Admission`], [`Identities`], [`Refusals`].
//! * Each harvester is a session: it reports [`SessionEvent`]s to one bounded queue and is sent what lies in its
//!   [`Outbox`]. [`Credits`] bound what it may have on its way to the core.
//! * [`connect`] is the harvester's end of the same link.
//! * [`connect_node`] is the farmer's end of a link to a full node; [`NodePins`] remember the certificates of nodes, and
//!   [`NodeRpc`] asks a node about the chain. [`reach()`] dials either.
//! * [`PoolClient`] speaks to pools.
//! * [`solver_peers`] dials the solvers that complete v2 partial proofs.
//!
//! Sessions and links are generic over the stream, so tests run them in memory and in paused time. An embedded harvester
//! uses [`outbox()`], [`Credits`] and [`SessionEvent`] directly and has no frames at all.
//!
//! Not here: what messages mean (`farmer`, `harvester`), certificates (`tls`), their bytes (`wire`).

mod admission;
mod backoff;
mod client;
mod credit;
mod events;
mod handshake;
mod hung_up;
mod identity;
mod link;
mod listener;
mod meter;
mod node;
mod node_pins;
mod node_rpc;
mod outbox;
pub(crate) mod pool;
mod port_holder;
mod reach;
mod refusals;
mod server;
mod session;
mod solver;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use admission::{Admission, AdmissionLimits};
pub use backoff::{Backoff, BackoffError, chance};
pub use client::{DialOptions, FarmerLink, WithId, connect, knock};
pub use credit::{Credit, Credits};
pub use events::{SessionEvent, SessionIds};
pub use handshake::{ConnectError, SOFTWARE_VERSION};
pub use identity::{Identities, IdentityRates};
pub use listener::{ListenError, Listener};
pub use meter::{Meter, Metered};
pub use node::{FullNodeLink, NodeDialOptions, connect_node};
pub use node_pins::{NodePins, Pin, PinError};
pub use node_rpc::{NodeAnswer, NodeRpc, RpcError};
pub use outbox::{Outbox, OutboxClosed, OutboxReader, OutboxStats, Outgoing, outbox};
pub use pool::{OwnerRequest, PoolAccount, PoolClient, PoolClientError, PoolClientOptions, mozilla_roots};
pub use port_holder::PortHolder;
pub use reach::{ReachError, Reached, reach};
pub use refusals::Refusals;
pub use server::{NetStats, Server, ServerOptions};
pub use solver::{SolverDials, SolverOptions, SolverPeers, solver_peers};
