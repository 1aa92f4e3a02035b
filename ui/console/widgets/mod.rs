//! Small things screens are made of. They draw into a buffer, know no model and never draw outside their area.

pub(super) mod bars;
pub(super) mod pane;
pub(super) mod question;
pub(super) mod table;
pub(super) mod text;
