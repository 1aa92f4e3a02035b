//! One harvester's connection as the farmer sees it: websocket frames become [`SessionEvent`]s for the core, and what the
//! core puts into its [`Outbox`](super::Outbox) becomes frames.
//!
//! Generic over the stream; TLS is done and the peer's certificate known before a session begins. What a session tells
//! the core is complete and in order: `Connected` once, then messages, then `Disconnected` once, whatever happens.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;

use super::credit::Credits;
use super::events::SessionEvent;
use super::handshake::Greeting;
use super::link::{self, Liveness, Side, ToSend};
use super::meter::Meter;
use super::outbox::{OutboxReader, Outgoing, outbox};
use super::server::Server;
use crate::farmer::HarvesterOrigin;
use crate::ids::{PeerId, SessionId};
use crate::logging::{escape, target};
use crate::registry::Verdict;
use crate::snapshot::{ConnectedPeer, DisconnectCause};
use crate::wire::{
    ErrorMessage, FromHarvester, HarvesterLayout, Message, MessageType, Streamable as _, ToHarvester, WireError, limits,
};

/// Runs an authenticated connection until it ends.
pub(super) async fn run<S>(
    socket: WebSocketStream<S>,
    greeting: Greeting,
    peer_id: PeerId,
    address: SocketAddr,
    meter: &Meter,
    server: &Server,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // From here on no change is missed; one that came since the handshake is seen at once.
    let mut changes = server.list.changes();
    changes.mark_changed();
    let session = server.session_ids.next();
    let peer = ConnectedPeer {
        peer_id,
        address,
        software_version: greeting.software_version,
        protocol_version: greeting.protocol_version,
    };
    let (outbox, reader) = outbox();
    let side = Harvester {
        session,
        peer_id,
        address,
        layout: greeting.layout,
        reader,
        credits: Credits::default(),
        expects_plots: AtomicBool::new(false),
        probing: AtomicBool::new(false),
        events: &server.events,
        meter,
        server,
    };
    side.allow_one_frame();
    tracing::debug!(target: target::FARMER_SERVER, "-> handshake to peer {} {peer_id}", address.ip());
    tracing::info!(target: target::FARMER_SERVER, "Connected with harvester {}, node id: {peer_id}, software {}, protocol {}",
        PeerInfo(address), peer.software_version, peer.protocol_version);
    let origin = HarvesterOrigin::Network;
    let connected = SessionEvent::Connected {
        session,
        peer,
        origin,
        outbox,
    };
    if server.events.send(connected).await.is_err() {
        return;
    }
    let ended = async |cause: &DisconnectCause| side.report_end(cause).await;
    let over = async {
        tokio::select! {
            biased;
            cause = link::until(&server.shutdown) => cause,
            () = counts_no_more(changes, server, peer_id) => DisconnectCause::Revoked,
        }
    };
    let running = link::run(socket, &side, meter, LIVENESS, over, ended);
    // A bug in one session must not leave a ghost in the core.
    if AssertUnwindSafe(running).catch_unwind().await.is_err() {
        tracing::error!(target: target::FARMER_SERVER, "session {session} of {} failed: this is a bug", address.ip());
        let detail = "an error in this program".to_owned();
        side.report_end(&DisconnectCause::Lost { detail }).await;
    }
}

/// Waits until this certificate does not count any more.
async fn counts_no_more(mut changes: watch::Receiver<u64>, server: &Server, peer_id: PeerId) {
    // The registry lives as long as the server.
    while changes.changed().await.is_ok() {
        if server.list.judge(peer_id) != Verdict::Allowed {
            return;
        }
    }
}

/// The side of a link that is a farmer facing one harvester.
struct Harvester<'a> {
    session: SessionId,
    peer_id: PeerId,
    address: SocketAddr,
    layout: HarvesterLayout,
    reader: OutboxReader,
    credits: Credits,
    /// Whether a plot list was asked for, which may be far longer than anything else.
    expects_plots: AtomicBool,
    /// Whether the core waits for a pong.
    probing: AtomicBool,
    events: &'a mpsc::Sender<SessionEvent>,
    meter: &'a Meter,
    server: &'a Server,
}

impl Side for Harvester<'_> {
    async fn next_to_send(&self) -> Result<ToSend, DisconnectCause> {
        let (message, id) = match self.reader.next().await? {
            Outgoing::Message { message, id } => (message, id),
            Outgoing::Ping => {
                self.probing.store(true, Ordering::Relaxed);
                return Ok(ToSend::Ping);
            }
        };
        if matches!(message, ToHarvester::RequestPlots) {
            self.expects_plots.store(true, Ordering::Relaxed);
            self.allow_one_frame();
        }
        let (name, host) = (message.message_type().name(), self.address.ip());
        tracing::debug!(target: target::FARMER_SERVER, "-> {name} to peer {host} {}", self.peer_id);
        Ok(ToSend::Message(message.encode(id, self.layout)))
    }

    async fn handle_frame(&self, frame: Bytes) -> Result<(), DisconnectCause> {
        self.keep_pace().await;
        let size = frame.len();
        if size > self.longest_frame() {
            let most = limits::MAX_FRAME;
            let detail = format!("a frame of {size} bytes, at most {most} are read");
            return Err(DisconnectCause::ProtocolViolation { detail });
        }
        let message = match Message::parse(&frame) {
            Ok(message) => message,
            Err(WireError::TooLarge { kind, .. }) if MessageType::from_u8(kind).is_none() => {
                return self.ignore(kind).await;
            }
            Err(error) => return Err(malformed(None, &error)),
        };
        // The frame is a copy of the same bytes; large ones are worth giving back while the message waits.
        drop(frame);
        let kind = message.message_type();
        let name = kind.map_or("unknown", MessageType::name);
        self.log_received(name, message.id);
        if kind == Some(MessageType::Error) {
            self.log_error(&message);
        }
        let decoded = match FromHarvester::decode(&message) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => return self.ignore(message.kind).await,
            Err(error) => return Err(malformed(kind, &error)),
        };
        if matches!(decoded, FromHarvester::RespondPlots(_)) {
            self.expects_plots.store(false, Ordering::Relaxed);
        }
        self.allow_one_frame();
        let credit = self.credits.acquire(size).await;
        let (session, id) = (self.session, message.id);
        self.report(SessionEvent::Message {
            session,
            id,
            message: decoded,
            size,
            credit,
        })
        .await
    }

    async fn handle_ping(&self) {
        self.keep_pace().await;
    }

    async fn handle_pong(&self, round_trip: Option<Duration>) {
        if let Some(round_trip) = round_trip {
            self.reader.note_round_trip(round_trip);
        }
        if self.probing.swap(false, Ordering::Relaxed) {
            let session = self.session;
            self.report(SessionEvent::Heard { session }).await.ok();
        }
        self.keep_pace().await;
    }

    async fn handle_suspicion(&self, silent_for: Option<Duration>) {
        let session = self.session;
        let event = match silent_for {
            Some(quiet) => SessionEvent::Quiet { session, quiet },
            None => SessionEvent::Heard { session },
        };
        self.report(event).await.ok();
    }
}

impl Harvester<'_> {
    /// Waits as long as this identity has sent too much. Reading slowly is all it costs.
    async fn keep_pace(&self) {
        while let Err(wait) = self.server.count_message(self.peer_id) {
            tokio::time::sleep(wait).await;
        }
    }

    fn longest_frame(&self) -> usize {
        if self.expects_plots.load(Ordering::Relaxed) {
            limits::MAX_PLOT_LIST_FRAME
        } else {
            limits::MAX_FRAME
        }
    }

    /// Lets one more frame be read from the socket: a frame that claims to be longer than it may be is cut off there,
    /// not after it has filled memory.
    fn allow_one_frame(&self) {
        let frame = self.longest_frame();
        // Room for what TLS and small records add, and for frames that follow closely.
        self.meter
            .allow_more(u64::try_from(frame + frame / 16 + READ_AHEAD).unwrap_or(u64::MAX));
    }

    async fn ignore(&self, kind: u8) -> Result<(), DisconnectCause> {
        tracing::debug!(target: target::FARMER_SERVER, "ignored message number {kind} from peer {} {}", self.peer_id, self.address.ip());
        self.allow_one_frame();
        let session = self.session;
        self.report(SessionEvent::Ignored { session, kind }).await
    }

    fn log_received(&self, name: &'static str, id: Option<u16>) {
        let (host, peer_id) = (self.address.ip(), self.peer_id);
        if id.is_some_and(|id| id >= 0x8000) {
            tracing::debug!(target: target::FARMER_SERVER, "<- {name} from: {}", self.address);
        } else {
            tracing::debug!(target: target::FARMER_SERVER, "<- {name} from peer {peer_id} {host}");
        }
    }

    fn log_error(&self, message: &Message) {
        if let Ok(error) = ErrorMessage::from_bytes(&message.data) {
            tracing::warn!(target: target::FARMER_SERVER, "ApiError: {} (code {}) from {}, {}",
                escape(&error.message), error.code, self.peer_id, PeerInfo(self.address));
        }
    }

    /// Tells the core; without a core there is nothing to farm for.
    async fn report(&self, event: SessionEvent) -> Result<(), DisconnectCause> {
        self.events.send(event).await.map_err(|_| DisconnectCause::Shutdown)
    }

    async fn report_end(&self, cause: &DisconnectCause) {
        let (host, peer_id) = (self.address.ip(), self.peer_id);
        tracing::info!(target: target::FARMER_SERVER, "Connection closed: {host}, node id: {peer_id}");
        if !cause.is_orderly() {
            tracing::warn!(target: target::FARMER_SERVER, "harvester {host}, node id: {peer_id}: {cause}");
        }
        if matches!(
            cause,
            DisconnectCause::Malformed { .. } | DisconnectCause::ProtocolViolation { .. }
        ) {
            self.server.note_misbehaviour(peer_id);
        }
        let (session, cause) = (self.session, cause.clone());
        self.report(SessionEvent::Disconnected { session, cause }).await.ok();
    }
}

/// An address as official log lines write it.
pub(super) struct PeerInfo(pub(super) SocketAddr);

impl std::fmt::Display for PeerInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ip, port) = (self.0.ip(), self.0.port());
        let version = if ip.is_ipv4() { 4 } else { 6 };
        write!(f, "PeerInfo(_ip=IPv{version}Address('{ip}'), _port={port})")
    }
}

pub(super) fn malformed(kind: Option<MessageType>, error: &WireError) -> DisconnectCause {
    DisconnectCause::Malformed {
        message: kind.map_or("message", MessageType::name).to_owned(),
        detail: error.to_string(),
    }
}

/// A dead harvester is suspected within two pings; dropping it costs it a whole plot sync, so that takes longer.
const LIVENESS: Liveness = Liveness {
    ping_every: Duration::from_secs(10),
    suspect_after: Duration::from_secs(15),
    drop_after: Duration::from_secs(60),
    stall_after: Duration::from_secs(30),
};

/// Bytes that may be read beyond the frame that was allowed.
const READ_AHEAD: usize = 256 << 10;
