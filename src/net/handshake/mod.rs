//! The first words of a link, both sides: websocket upgrade on `/ws`, then one chia `Handshake` each, dialer first.
//!
//! `accept` is the part of a farmer that is dialled, `dial` that of a harvester that dials its farmer, and of a farmer that
//! dials full nodes and solvers; `greeting` is what both read and write.

mod accept;
mod dial;
mod greeting;

pub(super) use accept::accept;
pub use dial::ConnectError;
pub(super) use dial::{Introduction, connect, upgrade};
pub(super) use greeting::Greeting;
pub use greeting::SOFTWARE_VERSION;
