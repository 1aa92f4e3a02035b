//! The farming core of farmconsole: a Chia farmer and harvester without a face.
//!
//! Everything lives in one of four rings, and an arrow between modules never points outwards:
//!
//! * **ring 0** (no feature): [`units`], [`ids`], [`clock`], [`rate`], then [`wire`], [`crypto`], [`pos`], [`simulator`],
//!   [`snapshot`] and [`farmer`]. Pure: no runtime, file, socket, clock, chance, environment or logging. Time, chance
//!   and keys are arguments. `cargo core` builds this ring alone.
//! * **ring 1** (feature `net`): `system_clock`, `json`, `logging`, `config`, `history`, `registry`, `keys`, `tls`,
//!   `enrol`, `init`, `net`, `harvester`, `handle`, `hooks`, `control`, `recorder`, `runtime`: all that touches the world.
//! * **ring 2** (feature `cli`) and **ring 3** (feature `console`) are the program in `ui/`, which sees only the public
//!   items of this library.
//!
//! In one sentence: one task owns one pure state machine ([`farmer::Farmer`]); everything reaches it as an
//! [`farmer::Input`], leaves it as an [`farmer::Output`], and is seen only as a [`snapshot::FarmSnapshot`]; console,
//! summary and a second console read the same snapshot, near or far.

pub mod clock;
pub mod crypto;
pub mod farmer;
pub mod ids;
pub mod pos;
pub mod rate;
pub mod simulator;
pub mod snapshot;
pub mod units;
pub mod wire;

#[cfg(feature = "net")]
pub mod config;
#[cfg(feature = "net")]
pub mod control;
#[cfg(feature = "net")]
pub mod enrol;
#[cfg(feature = "net")]
pub mod handle;
#[cfg(feature = "net")]
pub mod harvester;
#[cfg(feature = "net")]
pub mod history;
#[cfg(feature = "net")]
pub mod hooks;
#[cfg(feature = "net")]
pub mod init;
#[cfg(feature = "net")]
mod json;
#[cfg(feature = "net")]
pub mod keys;
#[cfg(feature = "net")]
pub mod logging;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod recorder;
#[cfg(feature = "net")]
pub mod registry;
#[cfg(feature = "net")]
pub mod runtime;
#[cfg(feature = "net")]
pub mod system_clock;
#[cfg(feature = "net")]
mod tcp;
#[cfg(feature = "net")]
pub mod tls;
