//! The farmer's end of a link to a full node: websocket, handshake, messages, pings.
//!
//! Generic over the stream; the caller has dialled, done TLS and judged the node's certificate, and dials again
//! ([`super::Backoff`]) when a link ends. A node sends nothing until its next signage point.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::client::CONNECT_DEADLINE;
use super::handshake::{self, ConnectError, Greeting, Introduction};
use super::link::{self, Liveness, Side, ToSend};
use super::meter::{Meter, Metered};
use super::session::{PeerInfo, malformed};
use crate::ids::PeerId;
use crate::logging::target;
use crate::snapshot::DisconnectCause;
use crate::wire::{FromFullNode, Message, MessageType, NodeType, ProtocolVersion, ToFullNode};

/// What a farmer says of itself, and which node it dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeDialOptions {
    /// Network id, as `mainnet`.
    pub network_id: String,
    /// Port on which we listen for harvesters; nodes tell farmers on one host apart by it.
    pub server_port: u16,
    /// Host and port as settings name the node, for the HTTP header.
    pub host: String,
    /// Address it was reached at.
    pub address: SocketAddr,
    /// Address of this machine that it was reached from: the link ends soon after this machine has it no longer.
    pub own_address: Option<SocketAddr>,
    /// SHA-256 of the node's certificate.
    pub node_id: PeerId,
}

/// A full node that shook hands; [`Self::run`] is the link.
#[derive(Debug)]
pub struct FullNodeLink<S> {
    socket: WebSocketStream<Metered<S>>,
    meter: Arc<Meter>,
    greeting: Greeting,
    options: NodeDialOptions,
}

/// Opens the websocket and shakes hands as a farmer, within 30 s.
///
/// # Errors
/// Why no signage points can come from there.
pub async fn connect_node<S>(stream: S, options: NodeDialOptions) -> Result<FullNodeLink<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stream, meter) = Metered::new(stream, u64::MAX);
    let introduction = Introduction {
        host: &options.host,
        network_id: &options.network_id,
        protocol_version: ProtocolVersion::CURRENT,
        server_port: options.server_port,
        role: NodeType::Farmer,
        wanted: NodeType::FullNode,
    };
    let shaken = handshake::connect(stream, &introduction, &meter);
    let (socket, greeting) = timeout(CONNECT_DEADLINE, shaken)
        .await
        .map_err(|_| ConnectError::TimedOut)??;
    tracing::info!(target: target::FARMER_SERVER, "Connected with full_node {}, node id: {}, software {}, protocol {}",
        PeerInfo(options.address), options.node_id, greeting.software_version, greeting.protocol_version);
    Ok(FullNodeLink {
        socket,
        meter,
        greeting,
        options,
    })
}

impl<S> FullNodeLink<S> {
    /// The node's software, as it calls itself, safe to show.
    #[must_use]
    pub fn software_version(&self) -> &str {
        &self.greeting.software_version
    }

    /// Carries messages both ways until the link ends, or `shutdown`, or the other end of either queue is dropped. What
    /// still lies in `outgoing` then stays there for the next link.
    pub async fn run(
        self,
        outgoing: &mut mpsc::Receiver<ToFullNode>,
        incoming: mpsc::Sender<FromFullNode>,
        shutdown: &CancellationToken,
    ) -> DisconnectCause
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let side = FullNode {
            outgoing: Mutex::new(outgoing),
            incoming,
            options: &self.options,
        };
        let (host, node_id) = (self.options.address.ip(), self.options.node_id);
        let ended = async |cause: &DisconnectCause| {
            tracing::info!(target: target::FARMER_SERVER, "Connection closed: {host}, node id: {node_id}");
            if !cause.is_orderly() {
                tracing::warn!(target: target::FARMER_SERVER, "full node {host}: {cause}");
            }
        };
        let over = link::until_from(shutdown, self.options.own_address);
        link::run(self.socket, &side, &self.meter, LIVENESS, over, ended).await
    }
}

/// The side of a link that is a farmer facing a full node.
struct FullNode<'a> {
    outgoing: Mutex<&'a mut mpsc::Receiver<ToFullNode>>,
    incoming: mpsc::Sender<FromFullNode>,
    options: &'a NodeDialOptions,
}

impl Side for FullNode<'_> {
    async fn next_to_send(&self) -> Result<ToSend, DisconnectCause> {
        let next = self.outgoing.lock().await.recv().await;
        let message = next.ok_or(DisconnectCause::Shutdown)?;
        let (host, node_id) = (self.options.address.ip(), self.options.node_id);
        let name = message.message_type().name();
        tracing::debug!(target: target::FARMER_SERVER, "-> {name} to peer {host} {node_id}");
        Ok(ToSend::Message(message.encode(None)))
    }

    async fn handle_frame(&self, frame: Bytes) -> Result<(), DisconnectCause> {
        let message = Message::parse(&frame).map_err(|error| malformed(None, &error))?;
        let kind = message.message_type();
        let (host, node_id) = (self.options.address.ip(), self.options.node_id);
        let name = kind.map_or("unknown", MessageType::name);
        tracing::debug!(target: target::FARMER_SERVER, "<- {name} from peer {node_id} {host}");
        match FromFullNode::decode(&message).map_err(|error| malformed(kind, &error))? {
            Some(decoded) => {
                let sent = self.incoming.send(decoded).await;
                sent.map_err(|_| DisconnectCause::Shutdown)
            }
            None => {
                tracing::debug!(target: target::FARMER_SERVER, "ignored message number {}", message.kind);
                Ok(())
            }
        }
    }
}

/// A hung node costs signage points, so it is noticed sooner than the official 90 s. It has nothing to send again.
const LIVENESS: Liveness = Liveness {
    ping_every: Duration::from_secs(10),
    suspect_after: Duration::from_secs(30),
    drop_after: Duration::from_secs(30),
    stall_after: Duration::from_secs(30),
};
