//! Sources of signage points as the engine sees them: one task each, two bounded channels.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use crate::farmer::{Input, NodeLink, NodeStatus, NodeTrust};
use crate::ids::NodeId;
use crate::simulator::SimulatedChain;
use crate::snapshot::SimulatedChainView;
use crate::wire::{DeclareProofOfSpace, SignedValues};

/// What the engine tells a node.
#[derive(Debug)]
pub(super) enum ToNode {
    Declare(Box<DeclareProofOfSpace>),
    SignedValues(Box<SignedValues>),
}

/// Declarations and signatures that may wait for a node.
pub(super) const NODE_QUEUE: usize = 256;

/// Runs the simulated chain until `stop`: signage points at its pace, verdicts on what is declared to it.
pub(super) async fn run_simulated_chain(
    mut chain: SimulatedChain,
    node: NodeId,
    clock: Clock,
    mut from_engine: mpsc::Receiver<ToNode>,
    to_engine: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let status = NodeStatus {
        name: "simulated chain".to_owned(),
        link: NodeLink::Up,
        synced: Some(true),
        netspace_bytes: None,
        trust: NodeTrust::Own,
    };
    if to_engine.send(Input::Node { node, status }).await.is_err() {
        return;
    }
    loop {
        let next = clock.instant(chain.poll_timeout().unwrap_or_else(|| clock.now().mono));
        let inputs = tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => signage_points(&mut chain, node, &clock),
            message = from_engine.recv() => match message {
                Some(message) => judge(&mut chain, node, &clock, &message),
                None => return,
            },
        };
        for input in inputs {
            if to_engine.send(input).await.is_err() {
                return;
            }
        }
    }
}
