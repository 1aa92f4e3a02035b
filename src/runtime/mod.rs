//! What runs the farm: the engine that feeds the pure [`crate::farmer::Farmer`] and carries out what it decides.
//!
//! [`start`] puts a farm together and gives a [`RunningFarm`], whose [`FarmHandle`] is all that the rest of the program
//! needs of it. [`start_harvester`] does the same for a harvester alone.

mod alarm_memory;
mod embedded;
mod engine;
mod farm;
mod fleet;
pub mod handle;
mod machine;
mod node;
mod pools;
mod solving;
mod tape;
mod workers;

pub use farm::{FarmOptions, RunningFarm, StartError, start};
#[cfg(test)]
pub(crate) use fleet::FleetHandle;
pub use fleet::FleetStartError;
pub use handle::{FarmHandle, FeedEvent, RecentKind};
pub use machine::{HarvesterHandle, HarvesterOptions, HarvesterStartError, RunningHarvester, start_harvester};
pub use tape::{TapeItem, TapeReader, TapedCall, Taping};
