//! Stories of whole farms, told in virtual time.

mod blocks;
mod clock_set;
mod commands;
mod connections;
mod days;
mod declaring;
mod fees;
mod lost_plots;
mod luck;
mod nodes;
pub(crate) mod operations;
mod partials;
mod peer_clock;
mod plot_lists;
mod plots;
mod pool_partials;
mod pool_plots;
mod pool_story;
mod pools;
mod proofs;
mod shares;
mod signage_points;
pub(crate) mod story;
