//! What the tests of this module share: a farmer's server with its event queue, harvesters made of raw websockets, and
//! messages. Everything in memory; time is paused.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::LegacyCa;
use crate::ids::{Bytes32, ChallengeHash, PeerId, SpHash};
use crate::registry::{AllowList, CertificateRecord, MemberOrigin, Registry};
use crate::snapshot::{ConnectedPeer, DisconnectCause, RefusalCause};
use crate::system_clock::Clock;
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::*;

pub(super) const NETWORK: &str = "simulator1";

pub(super) fn address() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 7], 51_234))
}

pub(super) const PEER: PeerId = PeerId([7; 32]);

/// A farmer's end without a core: the test is the core.
pub(super) struct Farm {
    pub(super) server: Arc<Server>,
    pub(super) events: mpsc::Receiver<SessionEvent>,
}

impl Farm {
    pub(super) fn new() -> Self {
        Self::with_queue(1_000)
    }

    pub(super) fn with_queue(depth: usize) -> Self {
        let mut registry = Registry::new("00112233".to_owned());
        let certificate = CertificateRecord {
            sha256: PEER,
            spki_sha256: Bytes32([7; 32]),
            serial: "07".to_owned(),
            not_before_unix_s: 0,
            not_after_unix_s: u64::MAX,
            issuer: String::new(),
        };
        let name = "rack1-a".parse().expect("a name");
        registry.enrol(&name, MemberOrigin::Own, certificate, 0).expect("room");
        Self::with_list(depth, Arc::new(AllowList::in_memory(registry, LegacyCa::Off)))
    }

    /// A farmer's end whose connections are those of `list`.
    pub(super) fn with_list(depth: usize, list: Arc<AllowList>) -> Self {
        let (sender, events) = mpsc::channel(depth);
        let server = Server::new(ServerOptions {
            network_id: NETWORK.to_owned(),
            server_port: 8447,
            events: sender,
            session_ids: SessionIds::default(),
            shutdown: CancellationToken::new(),
            clock: Clock::start(),
            admission: AdmissionLimits::default(),
            identities: IdentityRates::default(),
            list,
            desk: None,
        });
        Self { server, events }
    }

    /// A connection whose TLS is done, with so much room in each direction.
    pub(super) fn open(&self, buffer: usize) -> DuplexStream {
        let (ours, theirs) = duplex(buffer);
        let server = Arc::clone(&self.server);
        tokio::spawn(async move {
            let (stream, meter) = Metered::new(ours, 64 << 10);
            match handshake::accept(stream, &server.network_id, server.server_port, &meter).await {
                Ok((socket, greeting)) => session::run(socket, greeting, PEER, address(), &meter, &server).await,
                Err(cause) => server.refuse(address(), cause, None),
            }
        });
        theirs
    }

    /// A harvester that is connected, with what the core was told of it.
    pub(super) async fn connect(&mut self) -> (Peer<DuplexStream>, Connected) {
        self.connect_with(1 << 20, &hello()).await
    }

    pub(super) async fn connect_with(&mut self, buffer: usize, hello: &Handshake) -> (Peer<DuplexStream>, Connected) {
        let mut peer = Peer::upgrade(self.open(buffer)).await;
        peer.send(Message::new(MessageType::Handshake, None, hello)).await;
        let answer = peer.message().await;
        assert_eq!(answer.message_type(), Some(MessageType::Handshake));
        let connected = self.connected().await;
        (peer, connected)
    }

    pub(super) async fn connected(&mut self) -> Connected {
        match self.event().await {
            SessionEvent::Connected {
                session, peer, outbox, ..
            } => Connected { session, peer, outbox },
            other => panic!("expected Connected, got {other:?}"),
        }
    }

    pub(super) async fn event(&mut self) -> SessionEvent {
        self.events.recv().await.expect("the server is gone")
    }

    pub(super) async fn refused(&mut self) -> RefusalCause {
        match self.event().await {
            SessionEvent::Refused { cause, .. } => cause,
            other => panic!("expected Refused, got {other:?}"),
        }
    }

    pub(super) async fn disconnected(&mut self) -> DisconnectCause {
        match self.event().await {
            SessionEvent::Disconnected { cause, .. } => cause,
            other => panic!("expected Disconnected, got {other:?}"),
        }
    }

    pub(super) async fn message(&mut self) -> (Option<u16>, FromHarvester, Credit) {
        match self.event().await {
            SessionEvent::Message {
                id, message, credit, ..
            } => (id, message, credit),
            other => panic!("expected Message, got {other:?}"),
        }
    }
}

pub(super) struct Connected {
    pub(super) session: crate::ids::SessionId,
    pub(super) peer: ConnectedPeer,
    pub(super) outbox: Outbox,
}

/// A peer that says what the test tells it to.
pub(super) struct Peer<S> {
    pub(super) socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(super) async fn upgrade(stream: S) -> Self {
        let (socket, _) = client_async("ws://farmer:8447/ws", stream).await.expect("no upgrade");
        Self { socket }
    }

    pub(super) async fn send(&mut self, message: Message) {
        self.send_frame(Frame::Binary(message.to_bytes().into())).await;
    }

    pub(super) async fn send_frame(&mut self, frame: Frame) {
        self.socket.send(frame).await.expect("cannot send");
    }

    /// The next frame, pings and pongs included; `None` at the end.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        self.socket.next().await.and_then(Result::ok)
    }

    /// The next message; pings are answered.
    pub(super) async fn message(&mut self) -> Message {
        loop {
            match self.frame().await {
                Some(Frame::Binary(bytes)) => return Message::parse(&bytes).unwrap(),
                Some(Frame::Ping(_) | Frame::Pong(_)) => {}
                other => panic!("expected a message, got {other:?}"),
            }
        }
    }

    /// Close code and reason with which the other side ends.
    pub(super) async fn goodbye(&mut self) -> Option<(u16, String)> {
        loop {
            match self.frame().await {
                Some(Frame::Close(Some(frame))) => return Some((frame.code.into(), frame.reason.to_string())),
                Some(Frame::Close(None)) | None => return None,
                Some(_) => {}
            }
        }
    }

    /// Reads, and so answers pings, for so long.
    pub(super) async fn live_for(&mut self, duration: Duration) {
        tokio::time::timeout(duration, async { while self.frame().await.is_some() {} })
            .await
            .ok();
    }
}

/// What an official 2.7.5 harvester says.
pub(super) fn hello() -> Handshake {
    Handshake {
        network_id: NETWORK.to_owned(),
        protocol_version: "0.0.38".to_owned(),
        software_version: "2.7.5".to_owned(),
        server_port: 0,
        node_type: 2,
        capabilities: vec![(1, "1".to_owned()), (2, "1".to_owned()), (3, "1".to_owned())],
    }
}

pub(super) fn keys() -> ToHarvester {
    ToHarvester::HarvesterHandshake(HarvesterHandshake {
        farmer_public_keys: vec![G1Bytes([1; 48])],
        pool_public_keys: vec![G1Bytes([2; 48])],
    })
}

pub(super) fn signage_point(n: u8) -> ToHarvester {
    ToHarvester::NewSignagePoint(NewSignagePointHarvester {
        challenge_hash: ChallengeHash([n; 32]),
        difficulty: Difficulty(1),
        sub_slot_iters: SubSlotIters(64),
        signage_point_index: n % 64,
        sp_hash: SpHash([n; 32]),
        pool_difficulties: Vec::new(),
        filter: SignagePointFilter::Heights {
            peak_height: Height(10),
            last_tx_height: Height(9),
            filter_challenge: None,
        },
    })
}

pub(super) fn request_signatures() -> ToHarvester {
    ToHarvester::RequestSignatures(Box::new(RequestSignatures {
        plot_identifier: "plot".to_owned(),
        challenge_hash: ChallengeHash([1; 32]),
        sp_hash: SpHash([1; 32]),
        messages: vec![Bytes32([3; 32])],
        message_data: None,
        rc_block_unfinished: None,
    }))
}

pub(super) fn plot_sync_response(n: u64) -> ToHarvester {
    let identifier = PlotSyncIdentifier {
        timestamp: n,
        sync_id: n,
        message_id: n,
    };
    ToHarvester::PlotSyncResponse(PlotSyncResponse {
        identifier,
        message_type: 78,
        error: None,
    })
}

pub(super) fn farming_info(total_plots: u32) -> FromHarvester {
    FromHarvester::FarmingInfo(FarmingInfo {
        challenge_hash: ChallengeHash([1; 32]),
        sp_hash: SpHash([1; 32]),
        timestamp: 0,
        passed: 3,
        proofs: 0,
        total_plots,
        lookup_time: 900,
    })
}

/// A plot list of about so many bytes.
pub(super) fn plot_list(bytes: usize) -> FromHarvester {
    FromHarvester::RespondPlots(RespondPlots {
        plots: Vec::new(),
        failed_to_open_filenames: vec!["x".repeat(1 << 10); bytes >> 10],
        no_key_filenames: Vec::new(),
    })
}

pub(super) fn encoded(message: &FromHarvester) -> Message {
    message.encode(None, HarvesterLayout::V38)
}
