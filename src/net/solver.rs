//! Solvers on other machines: services that turn v2 partial proofs into full proofs, dialled by the farmer.
//!
//! [`SolverPeers::solve`] hands a partial proof to one of the solvers that are connected; each link takes its turn. Who
//! asked is told when its answer comes, or, by nothing at all, when the link it went to ends. What an answer is worth is
//! for the caller to check.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, chance};
use super::handshake::{self, ConnectError, Introduction};
use super::link::{self, Liveness, Side, ToSend};
use super::meter::Metered;
use super::session::{PeerInfo, malformed};
use crate::config::HostPort;
use crate::logging::target::FARMER_SERVER;
use crate::snapshot::DisconnectCause;
use crate::tcp;
use crate::tls::chia_server_name;
use crate::wire::{
    Message, MessageType, NodeType, PartialProof, ProtocolVersion, SolverInfo, SolverResponse, Streamable as _,
};

/// Whom to dial and how to present oneself.
#[derive(Clone, Debug)]
pub struct SolverOptions {
    /// The solvers.
    pub peers: Vec<HostPort>,
    /// Our public certificate and the public CA ([`crate::tls::node_client_config`]).
    pub tls: Arc<ClientConfig>,
    /// Network id.
    pub network_id: String,
}

/// The solvers that are connected.
#[derive(Clone, Debug)]
pub struct SolverPeers {
    requests: mpsc::Sender<Request>,
    shared: Arc<Shared>,
}

/// The task that keeps solvers connected.
#[derive(Debug)]
pub struct SolverDials {
    options: SolverOptions,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: AsyncMutex<mpsc::Receiver<Request>>,
    connected: AtomicUsize,
}

/// A partial proof, and where its x-values go.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) partial: SolverInfo,
    pub(crate) reply: oneshot::Sender<Vec<u8>>,
}

/// Solvers to be asked, and the task that dials them.
#[must_use]
pub fn solver_peers(options: SolverOptions) -> (SolverPeers, SolverDials) {
    let (requests, receiver) = mpsc::channel(REQUESTS);
    let shared = Arc::new(Shared {
        requests: AsyncMutex::new(receiver),
        connected: AtomicUsize::new(0),
    });
    let peers = SolverPeers {
        requests,
        shared: Arc::clone(&shared),
    };
    (peers, SolverDials { options, shared })
}

impl SolverPeers {
    /// The x-values that a solver gives for a partial proof; `None` if no solver is connected, the one that was asked is
    /// gone, or too much is waiting. A solver that finds no proof does not answer at all: how long to wait is the
    /// caller's.
    pub async fn solve(&self, partial: &SolverInfo) -> Option<Vec<u8>> {
        if !self.is_any_connected() {
            return None;
        }
        let (reply, solved) = oneshot::channel();
        let partial = partial.clone();
        self.requests.try_send(Request { partial, reply }).ok()?;
        solved.await.ok()
    }

    /// Solvers that the caller plays: what is asked, and where the answer goes.
    #[cfg(test)]
    pub(crate) fn played() -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let shared = Shared {
            requests: AsyncMutex::new(mpsc::channel(1).1),
            connected: AtomicUsize::new(1),
        };
        let shared = Arc::new(shared);
        (Self { requests, shared }, asked)
    }

    /// Whether any solver is connected at this moment.
    #[must_use]
    pub fn is_any_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed) > 0
    }
}

impl SolverDials {
    /// Dials every solver, again whenever its link ends, until `stop`. Trouble goes to the log, each kind once.
    pub async fn run(self, stop: CancellationToken) {
        let mut dials = JoinSet::new();
        for peer in self.options.peers.clone() {
            let (options, shared, stop) = (self.options.clone(), Arc::clone(&self.shared), stop.clone());
            dials.spawn(async move { dial(&peer, &options, &shared, &stop).await });
        }
        while dials.join_next().await.is_some() {}
    }
}

async fn dial(peer: &HostPort, options: &SolverOptions, shared: &Shared, stop: &CancellationToken) {
    // Nobody farms v2 plots in a hurry: the default settings name a solver that most machines do not have.
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).unwrap_or(Backoff::DEFAULT);
    let mut told = None;
    loop {
        let reached = tokio::select! {
            () = stop.cancelled() => return,
            reached = timeout(DIAL_PATIENCE, reach(peer, &options.tls)) => reached,
        };
        let dialled = Instant::now();
        let ended = match reached {
            Err(_) => Err("no answer in time".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Ok(Ok((stream, address))) => {
                let connected = connect(stream, &peer.to_string(), address, &options.network_id).await;
                match connected {
                    Ok(link) => {
                        told = None;
                        link.run(shared, stop).await;
                        Ok(())
                    }
                    Err(error) => Err(error.to_string()),
                }
            }
        };
        if let Err(why) = ended {
            let text = format!("Cannot connect to solver {peer}: {why}; partial proofs are solved here");
            if told.as_ref() == Some(&text) {
                tracing::debug!(target: FARMER_SERVER, "{text}");
            } else {
                tracing::info!(target: FARMER_SERVER, "{text}");
                told = Some(text);
            }
        } else if dialled.elapsed() >= SETTLED_AFTER {
            backoff.handle_success();
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(backoff.handle_failure(chance())) => {}
        }
    }
}

/// TCP and TLS.
async fn reach(
    peer: &HostPort,
    tls: &Arc<ClientConfig>,
) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, SocketAddr)> {
    let stream = tcp::connect(peer).await?;
    let address = stream.peer_addr()?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(chia_server_name(), stream)
        .await?;
    Ok((stream, address))
}

/// A solver that shook hands.
struct SolverLink<S> {
    socket: tokio_tungstenite::WebSocketStream<Metered<S>>,
    meter: Arc<super::Meter>,
    address: SocketAddr,
}

/// Opens the websocket and shakes hands as a farmer, within 30 s.
async fn connect<S>(stream: S, host: &str, address: SocketAddr, network_id: &str) -> Result<SolverLink<S>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (stream, meter) = Metered::new(stream, u64::MAX);
    let introduction = Introduction {
        host,
        network_id,
        protocol_version: ProtocolVersion::CURRENT,
        server_port: 0,
        role: NodeType::Farmer,
        wanted: NodeType::Solver,
    };
    let shaken = handshake::connect(stream, &introduction, &meter);
    let (socket, _) = timeout(CONNECT_DEADLINE, shaken)
        .await
        .map_err(|_| ConnectError::TimedOut)??;
    tracing::info!(target: FARMER_SERVER, "Connected with solver {}", PeerInfo(address));
    Ok(SolverLink { socket, meter, address })
}

impl<S> SolverLink<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Hands requests to the solver until the link ends, or `stop`. Those it owes an answer to are dropped then.
    async fn run(self, shared: &Shared, stop: &CancellationToken) {
        let side = Solver {
            shared,
            address: self.address,
            asked: Mutex::default(),
        };
        let address = self.address;
        let ended = async |cause: &DisconnectCause| {
            tracing::info!(target: FARMER_SERVER, "Connection to solver {} closed: {cause}", PeerInfo(address));
        };
        shared.connected.fetch_add(1, Ordering::Relaxed);
        link::run(self.socket, &side, &self.meter, LIVENESS, link::until(stop), ended).await;
        shared.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The side of a link that faces a solver.
struct Solver<'a> {
    shared: &'a Shared,
    address: SocketAddr,
    /// What it was asked and has not answered.
    asked: Mutex<BTreeMap<PartialProof, oneshot::Sender<Vec<u8>>>>,
}

impl Side for Solver<'_> {
    async fn next_to_send(&self) -> Result<ToSend, DisconnectCause> {
        let next = self.shared.requests.lock().await.recv().await;
        let Request { partial, reply } = next.ok_or(DisconnectCause::Shutdown)?;
        let message = Message::new(MessageType::Solve, None, &partial);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for those any more.
        asked.retain(|_, reply| !reply.is_closed());
        asked.insert(partial.partial_proof, reply);
        tracing::debug!(target: FARMER_SERVER, "-> solve to peer {}", PeerInfo(self.address));
        Ok(ToSend::Message(message))
    }

    async fn handle_frame(&self, frame: Bytes) -> Result<(), DisconnectCause> {
        let message = Message::parse(&frame).map_err(|error| malformed(None, &error))?;
        let kind = message.message_type();
        let name = kind.map_or("unknown", MessageType::name);
        tracing::debug!(target: FARMER_SERVER, "<- {name} from peer {}", PeerInfo(self.address));
        if kind != Some(MessageType::SolutionResponse) {
            return Ok(());
        }
        let answer = SolverResponse::from_bytes(&message.data).map_err(|error| malformed(kind, &error))?;
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = asked.remove(&answer.partial_proof) {
            // Who asked may have stopped waiting.
            let _ = reply.send(answer.proof);
        }
        Ok(())
    }
}

/// Solvers say nothing between solutions, so a dead one shows by its pongs only.
const LIVENESS: Liveness = Liveness {
    ping_every: Duration::from_secs(30),
    suspect_after: Duration::from_secs(60),
    drop_after: Duration::from_secs(60),
    stall_after: Duration::from_secs(30),
};

/// Partial proofs that may wait for a link to take them; the farmer gives out fewer.
const REQUESTS: usize = 16;

/// TCP and TLS together may take this long.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// Pauses between attempts double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// As a harvester is patient with its farmer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(30);

/// A connection that lasted this long was none that the solver refuses again and again.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message as Frame;

    use super::super::testing::{NETWORK, hello};
    use super::*;
    use crate::ids::PlotId;
    use crate::wire::Handshake;

    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8666);

    fn partial(number: u64) -> SolverInfo {
        SolverInfo {
            partial_proof: PartialProof {
                fragments: [number; 16],
            },
            plot_id: PlotId([1; 32]),
            strength: 2,
            size: 28,
        }
    }

    /// What [`solver_peers`] makes, without anybody to dial.
    fn no_peers() -> (SolverPeers, Arc<Shared>) {
        let tls =
            ClientConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(tokio_rustls::rustls::RootCertStore::empty())
                .with_no_client_auth();
        let (peers, dials) = solver_peers(SolverOptions {
            peers: Vec::new(),
            tls: Arc::new(tls),
            network_id: NETWORK.to_owned(),
        });
        (peers, dials.shared)
    }

    /// A solver the test plays, which says it is a node of this type.
    async fn shake_hands(
        node_type: u8,
    ) -> (
        Result<SolverLink<DuplexStream>, ConnectError>,
        WebSocketStream<DuplexStream>,
        Handshake,
    ) {
        let (ours, far) = duplex(1 << 20);
        let solver = tokio::spawn(async move {
            let mut socket = tokio_tungstenite::accept_async(far).await.unwrap();
            let greeting = next_message(&mut socket).await;
            let answer = Handshake { node_type, ..hello() };
            let answer = Message::new(MessageType::Handshake, None, &answer);
            socket.send(Frame::Binary(answer.to_bytes().into())).await.unwrap();
            (socket, Handshake::from_bytes(&greeting.data).unwrap())
        });
        let link = connect(ours, "solver:8666", ADDRESS, NETWORK).await;
        let (socket, greeting) = solver.await.unwrap();
        (link, socket, greeting)
    }

    async fn next_message(socket: &mut WebSocketStream<DuplexStream>) -> Message {
        Message::parse(&socket.next().await.unwrap().unwrap().into_data()).unwrap()
    }

    async fn answer(socket: &mut WebSocketStream<DuplexStream>, partial_proof: PartialProof, proof: Vec<u8>) {
        let answer = SolverResponse { partial_proof, proof };
        let answer = Message::new(MessageType::SolutionResponse, None, &answer);
        socket.send(Frame::Binary(answer.to_bytes().into())).await.unwrap();
    }

    /// Lets everything that can go on go on, in paused time.
    async fn settle() {
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn answers_find_who_asked_in_whatever_order_they_come() {
        let (peers, shared) = no_peers();
        assert_eq!(peers.solve(&partial(1)).await, None, "nobody is connected");
        let (link, mut socket, greeting) = shake_hands(8).await;
        assert_eq!(greeting.node_type, 3, "a farmer dials");
        let link = link.unwrap();
        tokio::spawn(async move { link.run(&shared, &CancellationToken::new()).await });
        settle().await;

        let ask = |number| {
            let peers = peers.clone();
            tokio::spawn(async move { peers.solve(&partial(number)).await })
        };
        let (first, second, third) = (ask(1), ask(2), ask(3));
        let mut asked = Vec::new();
        for _ in 0..3 {
            let message = next_message(&mut socket).await;
            assert_eq!((message.message_type(), message.id), (Some(MessageType::Solve), None));
            asked.push(SolverInfo::from_bytes(&message.data).unwrap());
        }
        assert_eq!(asked, [partial(1), partial(2), partial(3)]);
        answer(&mut socket, partial(9).partial_proof, vec![9]).await;
        answer(&mut socket, partial(2).partial_proof, vec![2]).await;
        answer(&mut socket, partial(1).partial_proof, vec![1]).await;
        assert_eq!(first.await.unwrap(), Some(vec![1]));
        assert_eq!(second.await.unwrap(), Some(vec![2]));
        drop(socket);
        assert_eq!(third.await.unwrap(), None, "the solver is gone");
        settle().await;
        assert_eq!(peers.solve(&partial(4)).await, None, "and nobody is connected");
    }

    #[tokio::test(start_paused = true)]
    async fn two_solvers_share_the_work() {
        let (peers, shared) = no_peers();
        let mut sockets = Vec::new();
        for _ in 0..2 {
            let (link, socket, _) = shake_hands(8).await;
            let (link, shared) = (link.unwrap(), Arc::clone(&shared));
            tokio::spawn(async move { link.run(&shared, &CancellationToken::new()).await });
            sockets.push(socket);
        }
        settle().await;
        for number in 0..4 {
            let peers = peers.clone();
            tokio::spawn(async move { peers.solve(&partial(number)).await });
            settle().await;
        }
        for socket in &mut sockets {
            for _ in 0..2 {
                let message = timeout(Duration::from_secs(1), next_message(socket)).await;
                assert_eq!(message.unwrap().message_type(), Some(MessageType::Solve));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_harvester_is_no_solver() {
        let (link, ..) = shake_hands(2).await;
        let refused = link.err().map(|error| error.to_string());
        assert_eq!(refused.as_deref(), Some("shake hands: it is no solver (node type 2)"));
    }
}
