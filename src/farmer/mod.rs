//! The decisions of the farm: one pure state machine.
//!
//! `Farmer::new(config, now)`, then `handle(now, Input)` for everything that happens, `poll_output() -> Option<Output>`
//! until it gives nothing, `poll_timeout() -> Option<Mono>` and `handle_timeout(now)`; `snapshot(now)`, `page(&request)`
//! and `check(&command) -> Result<(), CommandError>` look at it and change nothing.

mod config;
mod input;
mod missed;
mod output;

pub use config::{FarmerConfig, FarmerKeys, SIGNAGE_POINT_INTERVAL};
pub use input::{
    Command, CommandError, HarvesterOrigin, Input, NodeLink, NodeStatus, NodeTrust, OuterCounters, PlotSignatures,
    SignError,
};
pub use output::{JobId, Output, SignPurpose};
