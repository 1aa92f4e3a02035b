//! How a machine gets its certificate without anybody copying a key.
//!
//! A person opens an invitation at the farmer ([`Desk::invite`]) and carries one line of text, the
//! [`crate::wire::token::Token`], to the other machine. That machine makes its own key, connects to the farmer's one
//! port, and sends a certificate request with a proof that it has the token ([`join()`]); the farmer proves that it made
//! the token, and answers with a certificate, which is in the registry before it is sent.
//!
//! * [`Desk`] is the farmer's end, [`join()`] and [`renew`] are the harvester's; [`Invites`] decides.
//! * [`official`] gives the result to an installed official harvester.
//!
//! Not here: what the two say to each other (`wire::enrol`), who may connect (`registry`), certificates (`tls`).

mod desk;
mod frame;
mod invites;
mod join;
pub mod official;
mod proof;

pub use desk::{Desk, DeskError, Place};
pub use invites::{Decision, InviteError, Invites, JoinRefusal, SourceRange, SourceRangeError};
pub use join::{JoinError, JoinKey, Joined, SetNetwork, is_directly_trusted, is_seen, join, renew, try_out};

#[cfg(test)]
mod tests;
