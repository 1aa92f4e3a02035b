//! The harvester's end of a link to a farmer, ours or an official one: websocket, handshake, messages, pings.
//!
//! Generic over the stream; the caller has dialled and done TLS, and dials again ([`super::Backoff`]) when a link ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::handshake::{self, ConnectError, Greeting, Introduction};
use super::link::{self, Liveness, Side, ToSend};
use super::meter::{Meter, Metered};
use super::session::{PeerInfo, malformed};
use crate::ids::PeerId;
use crate::logging::target;
use crate::snapshot::DisconnectCause;
use crate::wire::{FromHarvester, HarvesterLayout, Message, MessageType, NodeType, ProtocolVersion, ToHarvester};

/// What a harvester says of itself, and whom it dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// Network id, as `mainnet`.
    pub network_id: String,
    /// Version to claim; [`ProtocolVersion::CURRENT`] but in tests.
    pub protocol_version: ProtocolVersion,
    /// Host and port as settings name the farmer, for the HTTP header.
    pub host: String,
    /// Address it was reached at.
    pub address: SocketAddr,
    /// Address of this machine that it was reached from: the link ends soon after this machine has it no longer.
    pub own_address: Option<SocketAddr>,
    /// SHA-256 of the farmer's certificate.
    pub farmer_id: PeerId,
}

/// A message and the id of its envelope.
pub type WithId<M> = (M, Option<u16>);

/// A farmer that shook hands; [`Self::run`] is the link.
#[derive(Debug)]
pub struct FarmerLink<S> {
    socket: WebSocketStream<Metered<S>>,
    meter: Arc<Meter>,
    greeting: Greeting,
    options: DialOptions,
}

/// Opens the websocket and shakes hands as a harvester, within 30 s.
///
/// # Errors
/// Why this farmer cannot be farmed for.
pub async fn connect<S>(stream: S, options: DialOptions) -> Result<FarmerLink<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stream, meter) = Metered::new(stream, u64::MAX);
    let introduction = Introduction {
        host: &options.host,
        network_id: &options.network_id,
        protocol_version: options.protocol_version,
        server_port: 0,
        role: NodeType::Harvester,
        wanted: NodeType::Farmer,
    };
    let shaken = handshake::connect(stream, &introduction, &meter);
    let (socket, greeting) = timeout(CONNECT_DEADLINE, shaken)
        .await
        .map_err(|_| ConnectError::TimedOut)??;
    tracing::info!(target: target::HARVESTER_SERVER, "Connected with farmer {}", PeerInfo(options.address));
    Ok(FarmerLink {
        socket,
        meter,
        greeting,
        options,
    })
}

/// Whether a farmer lets us in, found out as far as the websocket and no further, so that it does not take us for a
/// harvester. Its network, if it is a farmer that names it.
///
/// # Errors
/// Why it does not.
pub async fn knock<S>(stream: S, host: &str) -> Result<Option<String>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let knocked = timeout(CONNECT_DEADLINE, handshake::upgrade(stream, host)).await;
    Ok(knocked.map_err(|_| ConnectError::TimedOut)??.1)
}

impl<S> FarmerLink<S> {
    /// The farmer's software, as it calls itself, safe to show.
    #[must_use]
    pub fn software_version(&self) -> &str {
        &self.greeting.software_version
    }

    /// The farmer's protocol version, as it said it.
    #[must_use]
    pub fn protocol_version(&self) -> &str {
        &self.greeting.protocol_version
    }

    /// The layout the farmer reads.
    #[must_use]
    pub const fn layout(&self) -> HarvesterLayout {
        self.greeting.layout
    }

    /// Carries messages both ways until the link ends, or `shutdown`, or all senders of `outgoing` are dropped. A full
    /// `incoming` makes the farmer wait.
    pub async fn run(
        self,
        outgoing: mpsc::Receiver<WithId<FromHarvester>>,
        incoming: mpsc::Sender<WithId<ToHarvester>>,
        shutdown: &CancellationToken,
    ) -> DisconnectCause
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let side = Farmer {
            layout: self.greeting.layout,
            outgoing: Mutex::new(outgoing),
            incoming,
            options: &self.options,
        };
        let (host, farmer_id) = (self.options.address.ip(), self.options.farmer_id);
        let ended = async |cause: &DisconnectCause| {
            tracing::info!(target: target::HARVESTER_SERVER, "Connection closed: {host}, node id: {farmer_id}");
            // Whoever dials says it in words that tell a person what to do, and not each time.
            tracing::debug!(target: target::HARVESTER_SERVER, "farmer {host}: {cause}");
        };
        let over = link::until_from(shutdown, self.options.own_address);
        link::run(self.socket, &side, &self.meter, LIVENESS, over, ended).await
    }
}

/// The side of a link that is a harvester facing a farmer.
struct Farmer<'a> {
    layout: HarvesterLayout,
    outgoing: Mutex<mpsc::Receiver<WithId<FromHarvester>>>,
    incoming: mpsc::Sender<WithId<ToHarvester>>,
    options: &'a DialOptions,
}

impl Side for Farmer<'_> {
    async fn next_to_send(&self) -> Result<ToSend, DisconnectCause> {
        let next = self.outgoing.lock().await.recv().await;
        let (message, id) = next.ok_or(DisconnectCause::Shutdown)?;
        let message = message.encode(id, self.layout);
        let name = message.message_type().map_or("unknown", MessageType::name);
        let (host, farmer_id) = (self.options.address.ip(), self.options.farmer_id);
        tracing::debug!(target: target::HARVESTER_SERVER, "-> {name} to peer {host} {farmer_id}");
        Ok(ToSend::Message(message))
    }

    async fn handle_frame(&self, frame: Bytes) -> Result<(), DisconnectCause> {
        let message = Message::parse(&frame).map_err(|error| malformed(None, &error))?;
        let kind = message.message_type();
        let (host, farmer_id) = (self.options.address.ip(), self.options.farmer_id);
        let name = kind.map_or("unknown", MessageType::name);
        tracing::debug!(target: target::HARVESTER_SERVER, "<- {name} from peer {farmer_id} {host}");
        match ToHarvester::decode(&message).map_err(|error| malformed(kind, &error))? {
            Some(decoded) => {
                let sent = self.incoming.send((decoded, message.id)).await;
                sent.map_err(|_| DisconnectCause::Shutdown)
            }
            None => {
                tracing::debug!(target: target::HARVESTER_SERVER, "ignored message number {}", message.kind);
                Ok(())
            }
        }
    }
}

/// A farmer whose machine or line is dead is noticed after 60 s, at the price of a ping every 20 s. (The official
/// harvester pings every 60 s and waits 30 s for any sign of life.)
const LIVENESS: Liveness = Liveness {
    ping_every: Duration::from_secs(20),
    suspect_after: Duration::from_secs(60),
    drop_after: Duration::from_secs(60),
    stall_after: Duration::from_secs(30),
};

/// The official `outbound_handshake_timeout` is 120 s; a farmer that needs more than this is not farming.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
