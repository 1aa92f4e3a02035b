//! Proof of space: plot headers, verifying and proving, of both versions.
//!
//! Pure like all of ring 0: plots are read through [`ReadAt`], so the same code serves files, memory and tests.

pub mod v1;
