//! Connections: who may connect, and websocket frames to messages and back.
mod admission;
mod backoff;
mod bucket;
mod credit;
mod handshake;
mod identity;
mod link;
mod meter;
mod outbox;
mod refusals;
mod server;
mod session;

pub use admission::{Admission, AdmissionLimits};
pub use backoff::{Backoff, BackoffError};
pub use bucket::{Bucket, Rate};
pub use credit::{Credit, Credits};
pub use handshake::{ConnectError, SOFTWARE_VERSION};
pub use identity::{Identities, IdentityRates};
pub use meter::{Meter, Metered};
pub use outbox::{Outbox, OutboxClosed, OutboxReader, OutboxStats, Outgoing, outbox};
pub use refusals::Refusals;
pub use server::{NetStats, Server, ServerOptions};
pub use session::{SessionEvent, SessionIds};
