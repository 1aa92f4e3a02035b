//! Whole connections in memory, in paused time.

mod client;
mod listener;
mod session;
