//! Proof of space: plot headers, verifying and proving, of both versions.
//!
//! Pure like all of ring 0: plots are read through [`ReadAt`], so the same code serves files, memory and tests.

pub mod header;
mod plot_error;
mod read_at;
pub mod v1;

pub use plot_error::{PlotError, PlotPart};
pub use read_at::{ReadAt, ReadRequest};
