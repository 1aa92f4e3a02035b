//! The simulated chain as a node.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::farmer::{ChainState, Input, NodeLink, NodeStatus, NodeTrust};
use crate::ids::{NodeId, QualityString};
use crate::pos::{Constants, v1, v2};
use crate::simulator::SimulatedChain;
use crate::snapshot::SimulatedChainView;
use crate::system_clock::Clock;
use crate::wire::{ProofBody, ProofOfSpace, ToFullNode};

/// The simulated chain as a task.
pub(in crate::runtime) struct SimulatedNode {
    pub(in crate::runtime) chain: SimulatedChain,
    pub(in crate::runtime) node: NodeId,
    pub(in crate::runtime) clock: Clock,
    pub(in crate::runtime) from_engine: mpsc::Receiver<ToFullNode>,
    pub(in crate::runtime) to_engine: mpsc::Sender<Input>,
    pub(in crate::runtime) last_refusal: Option<String>,
}

impl SimulatedNode {
    /// Gives signage points at the chain's pace and judges what is declared to it, until `stop`.
    pub(in crate::runtime) async fn run(mut self, stop: CancellationToken) {
        let status = NodeStatus {
            name: "simulated chain".to_owned(),
            link: NodeLink::Up,
            trust: NodeTrust::Own,
            certificate: None,
            software_version: None,
        };
        let mut inputs = vec![
            Input::Node {
                node: self.node,
                status,
            },
            Input::NodeChain {
                node: self.node,
                chain: Ok(ChainState {
                    synced: true,
                    ..ChainState::default()
                }),
            },
            self.view(),
        ];
        loop {
            for input in inputs.drain(..) {
                if self.to_engine.send(input).await.is_err() {
                    return;
                }
            }
            let next = self.chain.poll_timeout().map(|at| self.clock.instant(at));
            tokio::select! {
                () = stop.cancelled() => return,
                message = self.from_engine.recv() => match message {
                    Some(message) => {
                        inputs.extend(self.judge(&message));
                        inputs.push(self.view());
                    }
                    None => return,
                },
                () = sleep_until(next) => {
                    if let Some(signage_point) = self.chain.handle_timeout(self.clock.now()) {
                        inputs.push(Input::SignagePoint { node: self.node, signage_point: Box::new(signage_point) });
                    }
                }
            }
        }
    }

    fn judge(&mut self, message: &ToFullNode) -> Option<Input> {
        let (node, now) = (self.node, self.clock.now());
        match message {
            ToFullNode::DeclareProofOfSpace(declare) => match self.chain.handle_declare(now, declare) {
                Ok(request) => Some(Input::RequestSignedValues {
                    node,
                    request: Box::new(request),
                }),
                Err(refused) => {
                    let reason = self.refuse(&refused);
                    let quality = quality_of(self.chain.constants(), &declare.proof_of_space)?;
                    Some(Input::ChainVerdict {
                        node,
                        quality,
                        verdict: Err(reason),
                    })
                }
            },
            ToFullNode::SignedValues(values) => {
                let verdict = match self.chain.handle_signed_values(now, values) {
                    Ok(block) => Ok(block.height),
                    Err(refused) => Err(self.refuse(&refused)),
                };
                Some(Input::ChainVerdict {
                    node,
                    quality: values.quality_string,
                    verdict,
                })
            }
        }
    }

    fn refuse(&mut self, refused: &dyn std::error::Error) -> String {
        let reason = refused.to_string();
        tracing::warn!(target: "farmer", "simulated chain refused: {reason}");
        self.last_refusal = Some(reason.clone());
        reason
    }

    fn view(&self) -> Input {
        let view = self.chain.view();
        Input::SimulatedChain(SimulatedChainView {
            interval_ms: u64::try_from(view.interval.as_millis()).unwrap_or(u64::MAX),
            seed: view.seed,
            blocks: view.blocks_won,
            refused: view.refused.values().sum(),
            last_refusal: self.last_refusal.clone(),
        })
    }
}

/// Quality string of a proof that was refused for another reason; `None` if the proof itself is no proof.
fn quality_of(constants: &Constants, proof: &ProofOfSpace) -> Option<QualityString> {
    let (plot_id, challenge) = (proof.plot_id(), &proof.challenge);
    match &proof.body {
        ProofBody::V1 { k, proof: xs } => v1::verify(&plot_id, *k, challenge, xs).ok(),
        ProofBody::V2 {
            strength, proof: xs, ..
        } => v2::verify(constants, &plot_id, *strength, challenge, xs).ok(),
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
