//! Stories of whole farms, told in virtual time.

mod connections;
mod fees;
mod luck;
pub(crate) mod operations;
mod partials;
mod plots;
mod pools;
mod proofs;
mod signage_points;
pub(crate) mod story;
