//! What the rest of the program holds of a farm, or of a harvester, that runs: pictures of it, what happens, and questions.
//!
//! The runtime makes these; the control endpoint, the hooks and the console are given them, and know nothing else of
//! what runs.

mod farm;
mod feed;
mod fleet;
mod harvester;
mod kept;
mod tape;

pub(crate) use farm::EngineRequest;
pub use farm::FarmHandle;
pub(crate) use feed::Recent;
pub use feed::{EVENT_QUEUE, FeedEvent, RecentKind};
pub(crate) use fleet::{AnswersFleet, FleetHandle};
pub use fleet::{FleetAnswer, FleetAsk, FleetView, SecretText};
pub use harvester::HarvesterHandle;
pub(crate) use kept::{AlarmsKept, Said, Written};
pub(crate) use tape::TapedFarmer;
pub use tape::{TapeItem, TapeReader, TapedCall, Taping};
