//! The other ends of a farmer's links, played by the benchmark: harvesters that have looked everything up before and
//! answer after the time that look-ups take, and a full node that only has signage points.
//!
//! They share with farmconsole the message types and the making of certificates, but no connection code: what is
//! measured is one farmer or the other, not this client. Everything that can be prepared (certificates, encoded plot
//! lists) is prepared before a clock runs.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use farmconsole::clock::{Now, UnixMillis};
use farmconsole::crypto::{SecretKey, sha256};
use farmconsole::ids::{PlotId, SpHash};
use farmconsole::pos::{Constants, filter};
use farmconsole::simulator::SimulatedChain;
use farmconsole::system_clock::Clock;
use farmconsole::tls::chia_server_name;
use farmconsole::tls::issue::{Issuer, PemPair};
use farmconsole::units::{ByteSize, PlotSize};
use farmconsole::wire::{
    FarmingInfo, FromFullNode, FromHarvester, G1Bytes, Handshake, HarvesterLayout, Message, MessageType,
    NewSignagePoint, NewSignagePointHarvester, NodeType, Plot, PlotPool, PlotSync, PlotSyncDone, PlotSyncIdentifier,
    PlotSyncPathList, PlotSyncPlotList, PlotSyncStart, ProtocolVersion, ToHarvester,
};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{Duration, Instant, sleep_until};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

/// Network of every farm here.
pub(crate) const NETWORK: &str = "simulator1";

/// How far a run has come; all harvesters follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Connect, answer signage points.
    Connect,
    /// Send the plots, too.
    PlotSync,
    /// Say goodbye.
    End,
}

/// What harvesters wait for and report to; both semaphores count up.
pub(crate) struct Progress {
    /// Places for harvesters that are just connecting.
    pub(crate) connecting: Semaphore,
    /// One permit a harvester that has the farmer's keys.
    pub(crate) connected: Semaphore,
    /// One permit a harvester whose plot sync is complete.
    pub(crate) synced: Semaphore,
}

impl Progress {
    /// Nobody there yet. So many connect at the same time as fit into the accept queue of either farmer: machines of a
    /// farm come back together after a power cut, but not within the same millisecond.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            connecting: Semaphore::new(32),
            connected: Semaphore::new(0),
            synced: Semaphore::new(0),
        })
    }
}

/// A harvester with its certificate and its plots, ready to connect.
#[derive(Clone)]
pub(crate) struct Harvester {
    tls: Arc<ClientConfig>,
    address: Ipv4Addr,
    plots: Range<u32>,
    plot_sync: Vec<Bytes>,
    /// Plots that pass the filter of each signage point that was foreseen.
    passed: BTreeMap<SpHash, u32>,
    /// From a signage point to its answer.
    look_up: Duration,
}

/// When each signage point reached a harvester.
pub(crate) type Arrivals = Vec<(SpHash, Instant)>;

impl Harvester {
    /// A harvester with a certificate of its own from the farm's private CA, and the plots with these numbers.
    pub(crate) fn new(private_ca: &Issuer, plots: Range<u32>, keys: &[G1Bytes], now: UnixMillis) -> Result<Self> {
        let tls = client_config(private_ca, Some(&private_ca.issue_leaf(now)?))?;
        Ok(Self {
            tls,
            address: Ipv4Addr::LOCALHOST,
            plot_sync: plot_sync_frames(plots.clone(), keys, now.seconds()),
            plots,
            passed: BTreeMap::new(),
            look_up: Duration::ZERO,
        })
    }

    /// It answers a signage point after this time, not at once.
    pub(crate) const fn looking_up_for(mut self, look_up: Duration) -> Self {
        self.look_up = look_up;
        self
    }

    /// It looks up beforehand which of its plots pass the filter of these signage points. To others it says something
    /// likely, which a farmer that counts them itself does not believe.
    pub(crate) fn foreseeing(mut self, points: &[NewSignagePoint]) -> Result<Self> {
        let constants = Constants::for_network(NETWORK).context("a built-in network")?;
        let ids: Vec<PlotId> = self.plots.clone().map(plot_id).collect();
        let passing = |point: &NewSignagePoint| {
            let bits = filter::prefix_bits_v1(&constants, point.peak_height);
            let passes = |id: &&PlotId| filter::passes_v1(bits, id, &point.challenge_hash, &point.challenge_chain_sp);
            (point.challenge_chain_sp, ids.iter().filter(passes).count() as u32)
        };
        self.passed = points.iter().map(passing).collect();
        Ok(self)
    }

    /// It connects from this address of the machine.
    pub(crate) const fn at(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self
    }

    /// Connects and says goodbye: afterwards the farmer is known to take harvesters.
    pub(crate) async fn probe(&self, farmer: SocketAddr) -> Result<()> {
        let mut socket = self.connect(farmer).await?;
        socket.close(None).await?;
        while let Some(Ok(_)) = socket.next().await {}
        Ok(())
    }

    /// Connects up to the farmer's keys, and hangs up.
    pub(crate) async fn shake(&self, farmer: SocketAddr) -> Result<()> {
        drop(self.connect(farmer).await?);
        Ok(())
    }

    /// Connects and harvests until the end; says when signage points came.
    pub(crate) async fn live(
        self,
        farmer: SocketAddr,
        mut phase: watch::Receiver<Phase>,
        progress: Arc<Progress>,
    ) -> Result<Arrivals> {
        let place = progress.connecting.acquire().await?;
        let mut socket = self.connect(farmer).await.context("connect")?;
        drop(place);
        progress.connected.add_permits(1);
        let mut arrivals = Vec::new();
        let mut to_sync = self.plot_sync.iter().cloned();
        let mut awaited = 0;
        // An answer is made when it is due: while a signage point is on its way, nothing else shall need a processor.
        let mut to_answer: VecDeque<(Instant, NewSignagePointHarvester)> = VecDeque::new();
        loop {
            let due = to_answer.front().map(|(due, _)| *due);
            let frame = tokio::select! {
                frame = socket.next() => frame,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some((_, point)) = to_answer.pop_front() {
                        socket.send(self.answer(&point)).await?;
                    }
                    continue;
                }
                changed = phase.changed() => {
                    changed?;
                    let phase = *phase.borrow();
                    match phase {
                        Phase::Connect => {}
                        Phase::PlotSync => {
                            if let Some(start) = to_sync.next() {
                                socket.send(Frame::Binary(start)).await?;
                            }
                        }
                        Phase::End => return Ok(arrivals),
                    }
                    continue;
                }
            };
            let at = Instant::now();
            match message_of(frame)? {
                Some(ToHarvester::NewSignagePoint(point)) => {
                    arrivals.push((point.sp_hash, at));
                    to_answer.push_back((at + self.look_up, point));
                }
                Some(ToHarvester::PlotSyncResponse(response)) => {
                    ensure!(
                        response.error.is_none() && response.identifier.message_id == awaited,
                        "the farmer refused plot sync message {awaited}: {response:?}"
                    );
                    awaited += 1;
                    match to_sync.next() {
                        Some(next) => socket.send(Frame::Binary(next)).await?,
                        None => progress.synced.add_permits(1),
                    }
                }
                _ => {}
            }
        }
    }

    /// All that comes before the farmer's keys, and those.
    async fn connect(
        &self,
        farmer: SocketAddr,
    ) -> Result<WebSocketStream<impl AsyncRead + AsyncWrite + Unpin + use<>>> {
        let stream = dial(self.address, farmer).await?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(chia_server_name(), stream).await?;
        let url = format!("ws://{farmer}/ws");
        let (mut socket, _) = client_async_with_config(url, stream, Some(socket_config())).await?;
        socket.send(hello(NodeType::Harvester)).await?;
        let handshake = next_message(&mut socket).await?;
        ensure!(
            handshake.message_type() == Some(MessageType::Handshake),
            "the farmer began with {handshake:?}"
        );
        loop {
            if let Some(ToHarvester::HarvesterHandshake(_)) = ToHarvester::decode(&next_message(&mut socket).await?)? {
                return Ok(socket);
            }
        }
    }

    /// The answer of a harvester none of whose plots has a proof.
    fn answer(&self, point: &NewSignagePointHarvester) -> Frame {
        let total_plots = self.plots.end - self.plots.start;
        let info = FarmingInfo {
            challenge_hash: point.challenge_hash,
            sp_hash: point.sp_hash,
            timestamp: Clock::start().now().unix.seconds(),
            passed: self.passed.get(&point.sp_hash).copied().unwrap_or(total_plots / 8),
            proofs: 0,
            total_plots,
            lookup_time: self.look_up.as_millis() as u64,
        };
        let message = FromHarvester::FarmingInfo(info).encode(None, HarvesterLayout::V38);
        Frame::Binary(message.to_bytes().into())
    }
}

/// A full node with signage points and nothing else. It knows when each left it.
pub(crate) struct Node {
    listener: TcpListener,
    tls: TlsAcceptor,
    chain: SimulatedChain,
    clock: Clock,
    sent: Arc<Mutex<Arrivals>>,
    soon: watch::Sender<()>,
}

/// So long before each signage point the node says that it comes.
pub(crate) const SOON: Duration = Duration::from_millis(3);

impl Node {
    /// A node with a certificate of the public Chia CA on a free port.
    pub(crate) async fn bind(interval: Duration, sent: Arc<Mutex<Arrivals>>) -> Result<Self> {
        let clock = Clock::start();
        let now = clock.now().unix;
        let (chain, key) = certificate(&Issuer::chia(now)?.issue_leaf(now)?)?;
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            tls: TlsAcceptor::from(Arc::new(tls)),
            chain: simulated_chain(interval)?,
            clock,
            sent,
            soon: watch::Sender::new(()),
        })
    }

    /// Changes [`SOON`] before each signage point.
    pub(crate) fn soon(&self) -> watch::Receiver<()> {
        self.soon.subscribe()
    }

    /// The port farmers dial.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves one farmer after the other.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            let stream = self.tls.accept(stream).await?;
            let mut socket = accept_async_with_config(stream, Some(socket_config())).await?;
            next_message(&mut socket).await?;
            socket.send(hello(NodeType::FullNode)).await?;
            let mut is_said = false;
            loop {
                let due = self
                    .clock
                    .instant(self.chain.poll_timeout().context("a chain without an end")?);
                tokio::select! {
                    frame = socket.next() => if !matches!(frame, Some(Ok(_))) { break },
                    () = sleep_until(due - SOON), if !is_said => {
                        is_said = true;
                        self.soon.send_replace(());
                    }
                    () = sleep_until(due) => {
                        is_said = false;
                        let Some(point) = self.chain.handle_timeout(self.clock.now()) else { continue };
                        let sp_hash = point.challenge_chain_sp;
                        let message = FromFullNode::NewSignagePoint(Box::new(point)).encode(None);
                        let frame = Frame::Binary(message.to_bytes().into());
                        self.sent.lock().await.push((sp_hash, Instant::now()));
                        socket.send(frame).await?;
                    }
                }
            }
        }
    }
}

/// The first signage points of every farmer here: the seed of its chain is 1, too.
pub(crate) fn first_points(count: usize) -> Result<Vec<NewSignagePoint>> {
    let mut chain = simulated_chain(Duration::from_secs(1))?;
    let point = || {
        let mono = chain.poll_timeout()?;
        chain.handle_timeout(Now { mono, ..Now::default() })
    };
    Ok(std::iter::from_fn(point).take(count).collect())
}

fn simulated_chain(interval: Duration) -> Result<SimulatedChain> {
    let constants = Constants::for_network(NETWORK).context("a built-in network")?;
    Ok(SimulatedChain::new(constants, NETWORK, 1, interval)?)
}

/// A TCP connection from one of this machine's addresses.
pub(crate) async fn dial(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS of a client that knows the farm's CA, and presents a certificate if it has one.
pub(crate) fn client_config(private_ca: &Issuer, certificate_pair: Option<&PemPair>) -> Result<Arc<ClientConfig>> {
    let mut anchors = RootCertStore::empty();
    anchors.add(private_ca.certificate().clone())?;
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(anchors);
    Ok(Arc::new(match certificate_pair {
        Some(pair) => {
            let (chain, key) = certificate(pair)?;
            tls.with_client_auth_cert(chain, key)?
        }
        None => tls.with_no_client_auth(),
    }))
}

/// Plot public keys to choose from. Official farmers check that a key is a point of the curve, so they are real; making
/// a key for every plot would take longer than the benchmark.
pub(crate) fn plot_keys() -> Result<Vec<G1Bytes>> {
    (0..64_u8)
        .map(|n| Ok(SecretKey::key_gen(&[n; 32])?.public_key().to_g1()))
        .collect()
}

/// The messages of an initial plot sync, as the official harvester sends them: up to 300 plots each.
fn plot_sync_frames(plots: Range<u32>, keys: &[G1Bytes], sync_id: u64) -> Vec<Bytes> {
    const BATCH: usize = 300;
    let mut message_id = 0;
    let mut frames = Vec::new();
    let mut add = |make: &dyn Fn(PlotSyncIdentifier) -> PlotSync| {
        let sync = make(PlotSyncIdentifier {
            timestamp: sync_id,
            sync_id,
            message_id,
        });
        message_id += 1;
        frames.push(
            FromHarvester::PlotSync(sync)
                .encode(None, HarvesterLayout::V38)
                .to_bytes()
                .into(),
        );
    };
    let plot_file_count = plots.end - plots.start;
    add(&|identifier| {
        PlotSync::Start(PlotSyncStart {
            identifier,
            initial: true,
            last_sync_id: 0,
            plot_file_count,
            harvesting_mode: 1,
        })
    });
    let plots: Vec<Plot> = plots.map(|number| plot(number, keys)).collect();
    let batches = plots.len().div_ceil(BATCH);
    for (n, batch) in plots.chunks(BATCH).enumerate() {
        let is_final = n + 1 == batches;
        add(&|identifier| {
            PlotSync::Loaded(PlotSyncPlotList {
                identifier,
                data: batch.to_vec(),
                is_final,
            })
        });
    }
    let lists = [
        PlotSync::Removed,
        PlotSync::Invalid,
        PlotSync::KeysMissing,
        PlotSync::Duplicates,
    ];
    for list in lists {
        add(&|identifier| {
            list(PlotSyncPathList {
                identifier,
                data: Vec::new(),
                is_final: true,
            })
        });
    }
    add(&|identifier| {
        PlotSync::Done(PlotSyncDone {
            identifier,
            duration: 0,
        })
    });
    frames
}

/// A k32 plot of a pool, with a path as long as those of real farms.
fn plot(number: u32, keys: &[G1Bytes]) -> Plot {
    let plot_id = plot_id(number);
    Plot {
        filename: format!(
            "/mnt/farm/disk{:02}/plot-k32-2024-01-31-12-30-{plot_id}.plot",
            number / 200
        ),
        size: PlotSize::V1 { k: 32 },
        plot_id,
        pool: PlotPool::Contract(sha256(&[b"pool"]).into()),
        plot_public_key: keys[number as usize % keys.len()],
        file_size: ByteSize(108_800_000_000),
        time_modified: 1_706_700_000,
        compression_level: Some(0),
        plot_index: 0,
        meta_group: 0,
    }
}

fn plot_id(number: u32) -> PlotId {
    PlotId(sha256(&[b"plot", &number.to_be_bytes()]))
}

fn hello(role: NodeType) -> Frame {
    let handshake = Handshake {
        network_id: NETWORK.to_owned(),
        protocol_version: ProtocolVersion::CURRENT.to_string(),
        software_version: "2.7.5".to_owned(),
        server_port: 0,
        node_type: role.as_u8(),
        capabilities: [1, 2, 3].map(|number| (number, "1".to_owned())).to_vec(),
    };
    Frame::Binary(Message::new(MessageType::Handshake, None, &handshake).to_bytes().into())
}

async fn next_message<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Result<Message> {
    loop {
        match socket.next().await {
            Some(Ok(Frame::Binary(bytes))) => return Ok(Message::parse(&bytes)?),
            Some(Ok(Frame::Close(reason))) => bail!("the farmer closed the connection: {reason:?}"),
            Some(other) => drop(other?),
            None => bail!("the farmer ended the connection"),
        }
    }
}

/// The message in a frame; `None` for pings and messages that matter to nobody here.
fn message_of(frame: Option<Result<Frame, tokio_tungstenite::tungstenite::Error>>) -> Result<Option<ToHarvester>> {
    match frame.context("the farmer ended the connection")?? {
        Frame::Binary(bytes) => Ok(ToHarvester::decode(&Message::parse(&bytes)?)?),
        Frame::Close(reason) => bail!("the farmer closed the connection: {reason:?}"),
        _ => Ok(None),
    }
}

/// Small buffers: hundreds of connections live in this process.
fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(16 << 10)
}

fn certificate(pair: &PemPair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = vec![CertificateDer::from_pem_slice(pair.crt.as_bytes())?];
    Ok((chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?))
}
