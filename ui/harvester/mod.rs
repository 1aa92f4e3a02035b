//! `farmconsole harvester`: the fleet as the farmer of this root sees it, and harvesting alone for a farmer elsewhere.

mod list;
mod run;
pub(crate) mod status;

pub(crate) use list::{Files, list};
pub(crate) use run::run;
