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

/// How a farm without a harvester gets one.
pub(crate) const HOW_TO_HAVE_ONE: &str = "`farmconsole plots add -d DIR` farms the plots of this machine, \
    `farmconsole harvester invite NAME` lets another one join";
