//! Proof of space version 1: verifying, proving and plotting, after the algorithms of chiapos (Chia Network, Apache-2.0).
//!
//! Pure: plots are read through [`ReadAt`](super::ReadAt), and whoever opens files or starts threads does so elsewhere.

mod bits;
mod chacha8;
mod checkpoints;
mod decompress;
mod fse;
mod fx;
mod park;
mod plot_reader;
pub mod plotter;
mod prover;
#[cfg(test)]
mod test_plot;
mod verify;
mod x_pairs;

pub use fse::FseError;
pub use park::{ParkError, compressed_line_point};
pub use prover::{Asked, Prover, Quality, qualities_of_each};
pub use verify::{InvalidProof, verify};

/// Smallest k of a v1 plot.
pub const MIN_K: u8 = 18;
/// Largest k of a v1 plot: k + 6 + 4k bits must fit in a hash.
pub const MAX_K: u8 = 50;
