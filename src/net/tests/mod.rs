//! Whole connections in memory, in paused time.

mod client;
mod listener;
mod node;
mod node_rpc;
mod session;
