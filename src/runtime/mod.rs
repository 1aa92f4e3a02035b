//! What runs the farm: the engine that feeds the pure [`crate::farmer::Farmer`] and carries out what it decides.

pub mod clock;
pub mod handle;

pub use clock::Clock;
pub use handle::{FarmHandle, FeedEvent, RecentKind};
