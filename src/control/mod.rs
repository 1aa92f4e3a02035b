//! The local endpoint: how the console, `summary` and scripts see and steer a running farmer.
//!
//! A Unix socket with mode 0600 in the root. Frames are a big-endian `u32` length and one JSON value. The server speaks
//! first with [`Hello`]; then the client sends [`Request`]s, each with an id that its [`Reply`] repeats, and events come
//! in between once they are asked for with [`Ask::Watch`]. A client that reads slowly loses events (it is told how many)
//! and never holds the farmer up.
//!
//! One farmer or harvester per root: [`lock::RootLock`] is a file lock held for life; only its holder may remove a stale
//! socket.

pub mod client;
mod frame;
pub mod lock;
pub mod protocol;
mod recording;
pub mod server;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod waiting;

pub use client::{ControlClient, ControlError};
pub use lock::{LockError, RootLock};
pub use protocol::{
    Answer, Ask, CONTROL_PROTOCOL, Event, Hello, RecordedCall, RecordingPart, Reply, Request, Role, Watch,
};
pub use waiting::{Waiter, Waiting};
