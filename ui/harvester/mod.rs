//! `farmconsole harvester`: the fleet as the farmer of this root sees it, joining one, and harvesting alone for a farmer
//! elsewhere.

mod doctor;
pub(crate) mod fleet;
mod join;
mod list;
mod run;
pub(crate) mod status;

pub(crate) use doctor::doctor;
pub(crate) use join::join;
pub(crate) use list::{Files, list};
pub(crate) use run::run;
