//! Proof of space: plot headers, verifying and proving, of both versions.
//!
//! Pure like all of ring 0: plots are read through [`ReadAt`], so the same code serves files, memory and tests.

pub mod constants;
pub mod filter;
pub mod header;
pub mod iterations;
mod plot_error;
mod proof;
mod read_at;
pub mod v1;
pub mod v2;
mod zeros;

pub use constants::Constants;
pub use plot_error::{PlotError, PlotPart};
pub use proof::{ProofContext, ProofError, is_v1_phased_out, may_answer, v1_cut_off_height, verify_proof_of_space};
pub use read_at::{ReadAt, ReadRequest};
