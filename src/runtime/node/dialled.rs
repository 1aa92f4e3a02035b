//! A full node that is dialled: one task keeps the link, another asks the node about the chain now and then.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::names::{NameTaken, NodeNames};
use crate::config::HostPort;
use crate::farmer::{ChainState, Input, NodeLink, NodeStatus, NodeTrust};
use crate::ids::{NodeId, PeerId};
use crate::logging::target::FARMER_SERVER;
use crate::net::{
    Backoff, ConnectError, FullNodeLink, NodeDialOptions, NodePins, NodeRpc, Pin, PinError, ReachError, Reached,
    chance, connect_node, reach,
};
use crate::snapshot::DisconnectCause;
use crate::tls::{RefusalCause, TrustedClock, Witness, chia_server_name};
use crate::wire::{FromFullNode, ToFullNode};

/// The link to one full node.
pub(in crate::runtime) struct DialledNode {
    pub(in crate::runtime) peer: HostPort,
    pub(in crate::runtime) node: NodeId,
    /// Our public certificate ([`crate::tls::node_client_config`]).
    pub(in crate::runtime) tls: Arc<ClientConfig>,
    pub(in crate::runtime) network: String,
    /// Port on which we listen for harvesters.
    pub(in crate::runtime) server_port: u16,
    pub(in crate::runtime) pins: Arc<NodePins>,
    /// What the nodes that are up are called.
    pub(in crate::runtime) names: Arc<NodeNames>,
    pub(in crate::runtime) from_engine: mpsc::Receiver<ToFullNode>,
    pub(in crate::runtime) to_engine: mpsc::Sender<Input>,
    /// The certificate that the node showed last.
    pub(in crate::runtime) certificate: watch::Sender<Option<PeerId>>,
}

/// A node that may be farmed with.
pub(super) struct Opened {
    _name: NameTaken,
    link: FullNodeLink<TlsStream<TcpStream>>,
    pub(super) trust: NodeTrust,
    certificate: PeerId,
}

impl DialledNode {
    /// Keeps the link until `stop`: whenever it ends, the node is dialled again. Trouble goes to the log, each kind once.
    pub(in crate::runtime) async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::DEFAULT;
        let mut told = None;
        self.tell(NodeLink::Down {
            why: "being dialled".to_owned(),
        })
        .await;
        loop {
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = self.open() => opened,
            };
            let link = match opened {
                Ok(opened) => {
                    told = None;
                    let connected = Instant::now();
                    let software = opened.link.software_version().to_owned();
                    let cause = self.serve(opened, &stop).await;
                    if connected.elapsed() >= SETTLED_AFTER {
                        backoff.handle_success();
                    }
                    if stop.is_cancelled() {
                        return;
                    }
                    NodeLink::Down {
                        why: words(&cause, &software),
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    let text = format!("Cannot farm with full node {}: {why}; {}", self.peer, error.hint());
                    if told.as_ref() == Some(&text) {
                        tracing::debug!(target: FARMER_SERVER, "{text}");
                    } else {
                        tracing::warn!(target: FARMER_SERVER, "{text}");
                        told = Some(text);
                    }
                    self.report_certificate(&error).await;
                    match error {
                        DialError::SameNode { .. } => NodeLink::SecondName {
                            why: format!("{why}; {}", error.hint()),
                        },
                        _ => NodeLink::Down { why },
                    }
                }
            };
            self.tell(link).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(backoff.handle_failure(chance())) => {}
            }
        }
    }

    async fn open(&self) -> Result<Opened, DialError> {
        let reached = reach(&self.peer, &self.tls, chia_server_name()).await?;
        self.greet(reached).await
    }

    /// Judges the certificate and shakes hands. A node is remembered only then: whatever else listens there has a
    /// certificate, too.
    pub(super) async fn greet(&self, reached: Reached) -> Result<Opened, DialError> {
        let Reached {
            stream,
            address,
            own_address,
            peer_id,
        } = reached;
        let is_here = address.ip().to_canonical().is_loopback();
        if !is_here {
            self.pins.check(&self.peer, peer_id)?;
        }
        let name = self.names.take(peer_id, &self.peer);
        let name = name.map_err(|other| DialError::SameNode { other })?;
        let options = NodeDialOptions {
            network_id: self.network.clone(),
            server_port: self.server_port,
            host: self.peer.to_string(),
            address,
            own_address,
            node_id: peer_id,
        };
        let link = connect_node(stream, options).await.map_err(|error| {
            if error.says_other_network() {
                DialError::WrongNetwork {
                    network: self.network.clone(),
                }
            } else {
                DialError::Handshake(error)
            }
        })?;
        let trust = if is_here {
            NodeTrust::Own
        } else {
            self.remember(peer_id)?
        };
        Ok(Opened {
            _name: name,
            link,
            trust,
            certificate: peer_id,
        })
    }

    fn remember(&self, certificate: PeerId) -> Result<NodeTrust, PinError> {
        match self.pins.remember(&self.peer, certificate)? {
            Pin::Set => Ok(NodeTrust::Own),
            Pin::Known => Ok(NodeTrust::Foreign),
            Pin::First => {
                let (peer, file) = (&self.peer, self.pins.file().display());
                tracing::warn!(target: FARMER_SERVER,
                    "full node {peer} is new: its certificate has SHA-256 {certificate}, kept in {file}");
                Ok(NodeTrust::Foreign)
            }
        }
    }

    /// Passes messages both ways until the link ends.
    async fn serve(&mut self, opened: Opened, stop: &CancellationToken) -> DisconnectCause {
        self.certificate.send_replace(Some(opened.certificate));
        let status = NodeStatus {
            name: self.peer.to_string(),
            link: NodeLink::Up,
            trust: opened.trust,
            certificate: Some(opened.certificate),
            software_version: Some(opened.link.software_version().to_owned()),
        };
        self.send(Input::Node {
            node: self.node,
            status,
        })
        .await;
        let (incoming, mut from_node) = mpsc::channel(INCOMING_QUEUE);
        let (node, to_engine) = (self.node, self.to_engine.clone());
        let forward = async {
            while let Some(message) = from_node.recv().await {
                let input = match message {
                    FromFullNode::NewSignagePoint(signage_point) => Input::SignagePoint { node, signage_point },
                    FromFullNode::RequestSignedValues(request) => Input::RequestSignedValues { node, request },
                };
                if to_engine.send(input).await.is_err() {
                    return;
                }
            }
        };
        // Dropping the queue ends the link, and the end of the link closes the queue.
        let (cause, ()) = tokio::join!(opened.link.run(&mut self.from_engine, incoming, stop), forward);
        cause
    }

    async fn tell(&self, link: NodeLink) {
        let status = NodeStatus {
            name: self.peer.to_string(),
            link,
            trust: NodeTrust::Foreign,
            certificate: *self.certificate.borrow(),
            software_version: None,
        };
        self.send(Input::Node {
            node: self.node,
            status,
        })
        .await;
    }

    async fn report_certificate(&self, error: &DialError) {
        if let DialError::Pin(PinError::Changed { expected, got, is_set }) = error {
            let kept = if *is_set {
                format!("{} from `farmconsole.full_node_pins` in the settings", self.peer)
            } else {
                format!("the line of {} from {}", self.peer, self.pins.file().display())
            };
            let (node, expected, got) = (self.node, *expected, *got);
            self.send(Input::NodeCertificateChanged {
                node,
                expected,
                got,
                kept,
            })
            .await;
        }
    }

    async fn send(&self, input: Input) {
        // Without an engine `stop` comes next.
        let _ = self.to_engine.send(input).await;
    }
}

/// Why a node cannot be farmed with. Each attempt may be repeated without harm.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("it is the same full node as {other}: both show one certificate")]
    SameNode { other: HostPort },
    #[error("it is on another network than ours, {network}")]
    WrongNetwork { network: String },
    #[error(transparent)]
    Handshake(ConnectError),
}

impl DialError {
    /// What a person can do about it.
    fn hint(&self) -> &'static str {
        match self {
            Self::Reach(ReachError::PortClosed) => "is it running, and is `farmer.full_node_peers` right?",
            Self::Reach(ReachError::Unreachable(_) | ReachError::TimedOut) => {
                "is that machine on, and is `farmer.full_node_peers` right?"
            }
            Self::Reach(ReachError::Stalled) => {
                "is that machine overloaded, or its node suspended, or does the line between lose what is sent?"
            }
            Self::Reach(ReachError::Tls(RefusalCause::NotTls | RefusalCause::UnknownCa)) => {
                "the port of a full node is 8444 unless set otherwise, 8555 is its RPC"
            }
            Self::Pin(PinError::Changed { .. }) => "see the alarm",
            Self::Pin(_) => "the certificates of full nodes are kept there",
            Self::SameNode { .. } => {
                "remove one of the two from `farmer.full_node_peers`, or have a copied node make a certificate of its own"
            }
            Self::WrongNetwork { .. } | Self::Handshake(ConnectError::WrongNetwork { .. }) => {
                "`selected_network` must be the same for both"
            }
            Self::Handshake(ConnectError::WrongNodeType { .. }) => {
                "the port of a full node is 8444 unless set otherwise"
            }
            Self::Handshake(error) if error.says_banned() => "the node refuses this address for up to ten minutes",
            Self::Reach(_) | Self::Handshake(_) => "the node's log says more",
        }
    }
}

/// Why the link to a node of this `software` ended, as a fragment.
fn words(cause: &DisconnectCause, software: &str) -> String {
    match cause {
        DisconnectCause::Malformed { .. } => format!(
            "it runs {software} and {cause} (farmconsole reads what official full nodes from 2.2 to 2.7.5 send)"
        ),
        DisconnectCause::ClosedByPeer => "it closed the connection".to_owned(),
        DisconnectCause::Silent => "it was silent for 30 s".to_owned(),
        other => other.to_string(),
    }
}

/// Asks one full node about the chain.
pub(in crate::runtime) struct ChainWatch {
    pub(in crate::runtime) node: NodeId,
    pub(in crate::runtime) rpc: NodeRpc,
    pub(in crate::runtime) to_engine: mpsc::Sender<Input>,
    /// Told of the blocks' timestamps.
    pub(in crate::runtime) time: Arc<TrustedClock>,
    /// The certificate that the node showed last.
    pub(in crate::runtime) certificate: watch::Receiver<Option<PeerId>>,
}

impl ChainWatch {
    /// Asks every ten seconds, and more seldom while there is no answer, until `stop`.
    pub(in crate::runtime) async fn run(mut self, stop: CancellationToken) {
        let mut block_time_at: Option<Instant> = None;
        let mut told = None;
        loop {
            let with_block_time = block_time_at.is_none_or(|at| at.elapsed() >= BLOCK_TIME_EVERY);
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                answer = self.ask(with_block_time) => answer,
            };
            let pause = if let Err(why) = &answer {
                if told.as_ref() != Some(why) {
                    tracing::info!(target: FARMER_SERVER, "the node's RPC: {why}");
                    told = Some(why.clone());
                }
                ASK_AGAIN
            } else {
                told = None;
                if with_block_time {
                    block_time_at = Some(Instant::now());
                }
                ASK_EVERY
            };
            let input = Input::NodeChain {
                node: self.node,
                chain: answer,
            };
            if self.to_engine.send(input).await.is_err() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                // A node that has just come up, or is another one now.
                Ok(()) = self.certificate.changed() => {}
            }
        }
    }

    async fn ask(&self, with_block_time: bool) -> Result<ChainState, String> {
        let answer = self
            .rpc
            .state(with_block_time)
            .await
            .map_err(|error| error.to_string())?;
        match (answer.node_id, *self.certificate.borrow()) {
            (Some(says), Some(shows)) if says != shows => Err(format!(
                "{} is of another node; is `full_node.rpc_port` right?",
                self.rpc.node()
            )),
            _ => {
                if let Some(says) = answer.newest_block_unix_s {
                    self.time.handle_witness(Witness::Block, says);
                }
                Ok(answer.chain)
            }
        }
    }
}

/// A connection that lasted this long was none that the node refuses again and again.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Messages of a node that may wait for the engine.
const INCOMING_QUEUE: usize = 64;

/// Between two questions to a node that answers.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Between two questions to a node that does not.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The average block time changes slowly and takes several questions.
const BLOCK_TIME_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::Root;
    use crate::init::{InitOptions, init};

    /// A node at a port where nobody listens.
    pub(in super::super) fn nowhere(dir: &Path) -> (DialledNode, mpsc::Receiver<Input>) {
        let root = Root::new(dir);
        let options = InitOptions {
            ca_dir: None,
            network: None,
            now: crate::system_clock::unix_now(),
        };
        init(&root, &options).unwrap();
        let (_, from_engine) = mpsc::channel(8);
        let (to_engine, inputs) = mpsc::channel(8);
        let node = DialledNode {
            peer: HostPort::new("127.0.0.1", 1),
            node: NodeId(0),
            tls: crate::tls::node_client_config(&root).unwrap(),
            network: "mainnet".to_owned(),
            server_port: 8447,
            pins: Arc::new(NodePins::new(root.known_nodes_file(), BTreeMap::new())),
            names: Arc::default(),
            from_engine,
            to_engine,
            certificate: watch::channel(None).0,
        };
        (node, inputs)
    }

    #[tokio::test]
    async fn node_that_is_not_there_is_told_with_the_reason_and_dialled_again() {
        let dir = tempfile::tempdir().unwrap();
        let (node, mut inputs) = nowhere(dir.path());
        let stop = CancellationToken::new();
        let running = tokio::spawn(node.run(stop.clone()));
        for expected in [
            "being dialled",
            "nobody listens on that port",
            "nobody listens on that port",
        ] {
            let Some(Input::Node { status, .. }) = inputs.recv().await else {
                panic!("it says nothing")
            };
            assert_eq!(status.name, "127.0.0.1:1");
            assert_eq!(
                status.link,
                NodeLink::Down {
                    why: expected.to_owned()
                }
            );
        }
        stop.cancel();
        running.await.unwrap();
    }

    #[test]
    fn node_of_an_unknown_release_is_named_with_the_releases_that_are_read() {
        let cause = DisconnectCause::Malformed {
            message: "new_signage_point".to_owned(),
            detail: "4 bytes left over at offset 123".to_owned(),
        };
        assert_eq!(
            words(&cause, "3.0.0"),
            "it runs 3.0.0 and sent an unreadable new_signage_point: 4 bytes left over at offset 123 (farmconsole reads \
             what official full nodes from 2.2 to 2.7.5 send)"
        );
    }

    #[tokio::test]
    async fn another_certificate_is_reported_with_both_fingerprints_and_where_the_old_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let (node, mut inputs) = nowhere(dir.path());
        assert_eq!(node.remember(PeerId([1; 32])).unwrap(), NodeTrust::Foreign);
        assert_eq!(node.remember(PeerId([1; 32])).unwrap(), NodeTrust::Foreign);
        let error = DialError::from(node.remember(PeerId([2; 32])).unwrap_err());
        node.report_certificate(&error).await;
        let Some(Input::NodeCertificateChanged {
            expected, got, kept, ..
        }) = inputs.recv().await
        else {
            panic!("it says nothing")
        };
        assert_eq!((expected, got), (PeerId([1; 32]), PeerId([2; 32])));
        assert!(
            kept.starts_with("the line of 127.0.0.1:1 from ") && kept.ends_with("known-nodes"),
            "{kept}"
        );
    }
}
