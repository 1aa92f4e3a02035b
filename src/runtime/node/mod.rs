//! Sources of signage points as the engine sees them: each has a number, a bounded queue of what it is sent, and a task
//! that tells the engine what comes from it. Either one simulated chain, or as many dialled full nodes as the settings
//! name.

mod dialled;
mod names;
mod simulated;
#[cfg(test)]
mod tests;

pub(super) use dialled::{ChainWatch, DialledNode};
pub(super) use names::NodeNames;
pub(super) use simulated::SimulatedNode;

/// Declarations and signatures that may wait for a node.
pub(super) const NODE_QUEUE: usize = 256;
