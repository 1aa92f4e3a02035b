//! To be filled.

pub mod constants;
pub mod filter;
pub mod iterations;
pub mod v2;
