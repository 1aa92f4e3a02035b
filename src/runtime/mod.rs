//! What runs the farm: the engine that feeds the pure [`crate::farmer::Farmer`] and carries out what it decides.
//!
//! [`start`] puts a farm together and gives a [`RunningFarm`], whose [`FarmHandle`] is all that the rest of the program
//! needs of it.

pub mod clock;
mod embedded;
mod engine;
mod farm;
pub mod handle;
mod node;
mod solving;
mod workers;

pub use clock::Clock;
pub use farm::{FarmOptions, RunningFarm, StartError, start};
pub use handle::{FarmHandle, FeedEvent, RecentKind};
