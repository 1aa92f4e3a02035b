//! Settings.

pub mod files;
mod root;

pub use root::{Root, RootKind};
