//! What runs the farm: the engine that feeds the pure [`crate::farmer::Farmer`] and carries out what it decides.
//!
//! [`start`] puts a farm together and gives a [`RunningFarm`], whose [`FarmHandle`](crate::handle::FarmHandle) is all that the rest of the program
//! needs of it. [`start_harvester`] does the same for a harvester alone.

mod alarm_memory;
mod embedded;
mod engine;
mod farm;
mod fleet;
mod live_settings;
mod machine;
mod node;
mod open_files;
mod pools;
mod solving;
mod workers;

pub use farm::{FarmOptions, RunningFarm, StartError, start};
pub use fleet::FleetStartError;
#[cfg(test)]
pub(crate) use fleet::of_test_root;
pub use live_settings::{LiveSettings, LiveSettingsError, SettingsChanges};
pub use machine::{HarvesterOptions, HarvesterStartError, RunningHarvester, start_harvester};
