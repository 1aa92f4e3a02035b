//! The farmer's port: accepts connections, and lets in who is a harvester of this farm.
//!
//! The accept loop only accepts. Everything slow happens in a task per connection: TLS within 5 s, then websocket upgrade
//! and handshake within 5 s, on at most 64 KiB, and only if [`super::Admission`] has a place. A harvester that got
//! through runs as a session until it ends; everybody else is counted, with the cause.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::rustls::{Error as RustlsError, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};
use tokio_tungstenite::WebSocketStream;
use tokio_util::task::TaskTracker;

use super::handshake::{self, Greeting};
use super::hung_up::HungUp;
use super::meter::{Meter, Metered};
use super::port_holder::{PortHolder, port_holder};
use super::server::{Server, Ticket};
use super::session;
use crate::clock::Now;
use crate::ids::PeerId;
use crate::logging::target;
use crate::registry::Verdict;
use crate::snapshot::RefusalCause;
use crate::system_clock::Clock;
use crate::tcp;
use crate::tls::{self, CertificateFacts, Examination, Examined, FarmerTls, Objection};

/// A bound port. Binding is separate from serving, so that a port in use is an error message and not a log line.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error("listen on {address}: the port is in use{}", by(holder.as_ref()))]
    InUse {
        /// What was to be bound.
        address: SocketAddr,
        /// Who has it, if that can be found out.
        holder: Option<PortHolder>,
    },
    /// The port is below 1024 and this user may not have it.
    #[error("listen on {address}: this user may not use that port")]
    NotAllowed {
        /// What was to be bound.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("listen on {address}: {source}")]
    Other {
        /// What was to be bound.
        address: SocketAddr,
        /// Operating system's words.
        source: io::Error,
    },
}

impl ListenError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::InUse { .. } => "only one farmer can have the port: stop the other one, or set another `farmer.port`",
            Self::NotAllowed { .. } => "set `farmer.port` to a port above 1023",
            Self::Other { .. } => "check `farmer.port` and the addresses of this machine",
        }
    }

    /// Whether waiting may help: the port may become free.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }
}

impl Listener {
    /// Binds `port` on all interfaces, IPv6 and IPv4; on IPv4 alone where there is no IPv6. Port 0 takes any free one.
    /// Needs a running tokio runtime.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn bind(port: u16) -> Result<Self, ListenError> {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::bind_to(both) {
            Err(ListenError::Other { .. }) => Self::bind_to(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
            result => result,
        }
    }

    /// Binds one address; `[::]` takes IPv4 connections too.
    ///
    /// # Errors
    /// The address or port cannot be had.
    pub fn bind_to(address: SocketAddr) -> Result<Self, ListenError> {
        let listen = || -> io::Result<TcpListener> {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            // Connections of a farmer that just ended linger in TIME_WAIT and must not keep the port.
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(false)?;
            }
            tcp::keep_segments_small(&SockRef::from(&socket));
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            TcpListener::from_std(socket.into())
        };
        let socket = listen().map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse {
                address,
                holder: port_holder(address.port()),
            },
            io::ErrorKind::PermissionDenied => ListenError::NotAllowed { address },
            _ => ListenError::Other { address, source },
        })?;
        let address = socket.local_addr().unwrap_or(address);
        Ok(Self { socket, address })
    }

    /// Where it listens, as `[::]:8447`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until shutdown, then waits a few seconds for the sessions to say goodbye.
    pub async fn serve(self, tls: Arc<FarmerTls>, server: Arc<Server>) {
        tracing::info!(target: target::FARMER_SERVER, "Started listening on port: {}", self.address.port());
        serve_incoming(self.socket, self.address, tls, server).await;
    }
}

/// Where connections come from; tests bring their own.
pub(super) trait Incoming: Send {
    type Stream: AsyncRead + AsyncWrite + HungUp + Unpin + Send + 'static;

    fn next(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Incoming for TcpListener {
    type Stream = TcpStream;

    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.accept().await?;
        // A connection that does not take its options is about to fail anyway, and then says so.
        set_options(&stream).ok();
        let ip = address.ip().to_canonical();
        Ok((stream, SocketAddr::new(ip, address.port())))
    }
}

/// See [`Listener::serve`]; `address` is only for reports of failing accepts.
pub(super) async fn serve_incoming<I: Incoming>(
    mut incoming: I,
    address: SocketAddr,
    tls: Arc<FarmerTls>,
    server: Arc<Server>,
) {
    let tasks = TaskTracker::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.shutdown.cancelled() => break,
            accepted = incoming.next() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                pause = FIRST_PAUSE;
                match server.admit(address.ip()) {
                    Ok(ticket) => {
                        tasks.spawn(attend(stream, address, ticket, Arc::clone(&tls), Arc::clone(&server)));
                    }
                    Err(cause) => server.refuse(address, cause, None),
                }
            }
            Err(error) if is_their_fault(&error) => server.note_accept_error(),
            Err(error) => {
                server.note_accept_error();
                server.refuse(
                    address,
                    RefusalCause::OurFault {
                        detail: error.to_string(),
                    },
                    None,
                );
                // Out of file descriptors or memory: the connection stays in the backlog, asking again at once would spin.
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    drop(incoming);
    tasks.close();
    timeout(GOODBYE_PATIENCE, tasks.wait()).await.ok();
}

/// Everything about one connection after it was accepted.
async fn attend<S>(stream: S, address: SocketAddr, ticket: Ticket, tls: Arc<FarmerTls>, server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + HungUp + Unpin + Send,
{
    let (stream, meter) = Metered::new(stream, UNAUTHENTICATED_BYTES);
    let arrived = tokio::select! {
        biased;
        () = server.shutdown.cancelled() => return,
        result = arrive(stream, address, &meter, &tls, &server) => result,
    };
    match arrived {
        Ok(Arrived::Harvester {
            socket,
            greeting,
            peer_id,
        }) => {
            ticket.authenticated();
            let (now, host) = (server.clock.now().unix.seconds(), address.ip().to_string());
            server
                .list
                .handle_connected(peer_id, &host, &greeting.software_version, now);
            // In a place of its own, as what is needed only until here was: every connection that waits is a task, too.
            Box::pin(session::run(*socket, greeting, peer_id, address, &meter, &server)).await;
        }
        // What it came for is done. Its address is not known before a harvester has come from it.
        Ok(Arrived::Served) => drop(ticket),
        Err(Refused { cause, certificate }) => {
            drop(ticket);
            server.refuse(address, cause, certificate);
        }
    }
}

/// How long TLS may take.
#[derive(Clone, Copy)]
struct Patience {
    clock: Clock,
    began: Now,
}

impl Patience {
    fn begin(clock: Clock) -> Self {
        let began = clock.now();
        Self { clock, began }
    }

    fn end(self) -> Instant {
        self.clock.instant(self.began.mono + TLS_DEADLINE)
    }

    /// By either clock: while a machine sleeps its monotonic one may stand still.
    fn is_over(self) -> bool {
        let Now { mono, unix } = self.clock.now();
        let by_the_wall = Duration::from_millis(unix.0.saturating_sub(self.began.unix.0));
        mono.since(self.began.mono).max(by_the_wall) >= TLS_DEADLINE
    }
}

/// What a connection turned out to be.
enum Arrived<S> {
    /// A harvester of this farm.
    Harvester {
        socket: Box<WebSocketStream<TlsStream<Metered<S>>>>,
        greeting: Greeting,
        peer_id: PeerId,
    },
    /// A machine that joined or asked for its harvester, or a harvester that renewed its certificate.
    Served,
}

/// Why a connection ends here.
struct Refused {
    cause: RefusalCause,
    /// What is known of the certificate that it showed.
    certificate: Option<String>,
}

impl From<RefusalCause> for Refused {
    fn from(cause: RefusalCause) -> Self {
        Self {
            cause,
            certificate: None,
        }
    }
}

/// Reads the first message of TLS, which says what the other side came for, and deals with it.
async fn arrive<S>(
    stream: Metered<S>,
    address: SocketAddr,
    meter: &Meter,
    tls: &FarmerTls,
    server: &Server,
) -> Result<Arrived<S>, Refused>
where
    S: AsyncRead + AsyncWrite + HungUp + Unpin + Send,
{
    let patience = Patience::begin(server.clock);
    let start = timeout_at(patience.end(), LazyConfigAcceptor::new(Acceptor::default(), stream))
        .await
        .map_err(|_| RefusalCause::TlsTimeout)?
        .map_err(|error| tls_refusal(&error, meter, patience))?;
    // It came and went while this process was stopped: it has seen nothing of us that it could have refused.
    if start.io.get_ref().has_hung_up() {
        return Err(RefusalCause::ClosedEarly.into());
    }
    // Who says nothing takes little memory: what the rest needs is made only here.
    Box::pin(serve(start, patience, address, meter, tls, server)).await
}

/// Deals with a connection whose other side has said what it came for.
async fn serve<S>(
    start: StartHandshake<Metered<S>>,
    patience: Patience,
    address: SocketAddr,
    meter: &Meter,
    tls: &FarmerTls,
    server: &Server,
) -> Result<Arrived<S>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match purpose(&start) {
        Purpose::Farm => {
            let (config, examined) = tls.for_harvester().map_err(|error| ours(&error))?;
            let stream = shake(start, config, examined, patience, address.ip(), meter, tls).await?;
            let peer_id = identify(&stream, server)?;
            let shaken = handshake::accept(stream, &server.network_id, server.server_port, meter);
            let (socket, greeting) = match timeout(HANDSHAKE_DEADLINE, shaken).await {
                Err(_) => return Err(RefusalCause::HandshakeTimeout.into()),
                // A machine that joined, or its doctor, looks whether it is let in.
                Ok(Err(RefusalCause::ClosedEarly)) => return Ok(Arrived::Served),
                Ok(shaken) => shaken?,
            };
            Ok(Arrived::Harvester {
                socket: Box::new(socket),
                greeting,
                peer_id,
            })
        }
        Purpose::Join => {
            let closed = || join_refused("nobody is invited");
            let desk = server.desk.as_ref().ok_or_else(closed)?;
            // Before anything is computed for it: mostly nobody is invited, and then there is nothing here to attack.
            let place = desk.admit(address.ip(), server.clock.now().mono)?;
            let config = tls.for_joiner().map_err(|error| ours(&error))?.ok_or_else(closed)?;
            let stream = timeout_at(patience.end(), start.into_stream(config))
                .await
                .map_err(|_| RefusalCause::TlsTimeout)?
                .map_err(|error| tls_refusal(&error, meter, patience))?;
            timeout(HANDSHAKE_DEADLINE, desk.serve_joiner(stream, address.ip(), place))
                .await
                .map_err(|_| RefusalCause::HandshakeTimeout)??;
            Ok(Arrived::Served)
        }
        Purpose::Seen => {
            let (config, examined) = tls.for_seen().map_err(|error| ours(&error))?;
            let mut stream = shake(start, config, examined, patience, address.ip(), meter, tls).await?;
            let peer_id = identify(&stream, server)?;
            let told = async {
                stream.write_u8(server.list.has_connected(peer_id).into()).await?;
                stream.shutdown().await
            };
            // It asks again.
            timeout(HANDSHAKE_DEADLINE, told).await.ok();
            Ok(Arrived::Served)
        }
        Purpose::Renew => {
            let desk = server
                .desk
                .as_ref()
                .ok_or_else(|| join_refused("nothing is renewed here"))?;
            let (config, examined) = tls.for_renewal().map_err(|error| ours(&error))?;
            let stream = shake(start, config, examined, patience, address.ip(), meter, tls).await?;
            let peer_id = identify(&stream, server)?;
            timeout(HANDSHAKE_DEADLINE, desk.serve_renewal(stream, peer_id))
                .await
                .map_err(|_| RefusalCause::HandshakeTimeout)??;
            Ok(Arrived::Served)
        }
    }
}

/// What the other side wants, by the protocol it names. Harvesters name none.
enum Purpose {
    Farm,
    Join,
    Renew,
    Seen,
}

fn purpose<S>(start: &StartHandshake<S>) -> Purpose
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let hello = start.client_hello();
    let named: Vec<&[u8]> = hello.alpn().into_iter().flatten().collect();
    if named.contains(&tls::ENROL_ALPN) {
        Purpose::Join
    } else if named.contains(&tls::RENEW_ALPN) {
        Purpose::Renew
    } else if named.contains(&tls::SEEN_ALPN) {
        Purpose::Seen
    } else {
        Purpose::Farm
    }
}

/// TLS with somebody who must show a certificate.
async fn shake<S>(
    start: StartHandshake<Metered<S>>,
    config: Arc<ServerConfig>,
    examined: Examined,
    patience: Patience,
    address: IpAddr,
    meter: &Meter,
    tls: &FarmerTls,
) -> Result<TlsStream<Metered<S>>, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let shaken = timeout_at(patience.end(), start.into_stream(config)).await;
    let examination = examined.take();
    let error = match shaken {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => return Err(RefusalCause::TlsTimeout.into()),
    };
    let now = tls.time().span().likely.seconds();
    let cause = examination
        .as_ref()
        .and_then(objection)
        .unwrap_or_else(|| tls_refusal(&error, meter, patience));
    let facts = examination.and_then(|it| it.facts);
    if let (RefusalCause::Pending, Some(facts)) = (&cause, &facts) {
        tls.list().handle_waiting(facts.record.sha256, &address.to_string());
    }
    Err(Refused {
        cause: in_words(cause, facts.as_ref(), now),
        certificate: facts.map(|it| it.to_string()),
    })
}

/// Who it is by its certificate, looked up once more: the list may have changed since the certificate was verified.
fn identify<S>(stream: &TlsStream<S>, server: &Server) -> Result<PeerId, RefusalCause> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = certificates.first().ok_or(RefusalCause::NoCertificate)?;
    let peer_id = tls::peer_id(leaf);
    match server.list.judge(peer_id) {
        Verdict::Allowed => {}
        Verdict::Pending => return Err(RefusalCause::Pending),
        Verdict::Revoked => return Err(RefusalCause::Revoked),
        Verdict::Unknown => return Err(RefusalCause::NotListed),
    }
    server.admit_identity(peer_id)?;
    Ok(peer_id)
}

/// Why a certificate was not let in, where it was not the verifier that said so.
fn objection(examination: &Examination) -> Option<RefusalCause> {
    Some(match examination.objection.clone()? {
        Objection::NotValid => return None,
        Objection::OtherCa { which } => RefusalCause::OtherCa { which },
        Objection::Revoked => RefusalCause::Revoked,
        Objection::Pending => RefusalCause::Pending,
        Objection::NotListed => RefusalCause::NotListed,
        Objection::LegacyOff => RefusalCause::LegacyOff,
        Objection::OtherService { service } => RefusalCause::OtherService {
            service: service.to_owned(),
        },
    })
}

/// With the dates, if those are what is wrong.
fn in_words(cause: RefusalCause, facts: Option<&CertificateFacts>, now_unix_s: u64) -> RefusalCause {
    let dates = facts.map(|facts| (facts.record.not_before_unix_s, facts.record.not_after_unix_s));
    match (cause, dates) {
        (RefusalCause::CertificateExpired, Some((from_unix_s, until_unix_s)))
            if !(from_unix_s..=until_unix_s).contains(&now_unix_s) =>
        {
            RefusalCause::OutOfDate {
                from_unix_s,
                until_unix_s,
                now_unix_s,
            }
        }
        (cause, _) => cause,
    }
}

fn join_refused(reason: &str) -> RefusalCause {
    RefusalCause::JoinRefused {
        reason: reason.to_owned(),
    }
}

fn ours(error: &RustlsError) -> RefusalCause {
    RefusalCause::OurFault {
        detail: error.to_string(),
    }
}

/// Why a TLS handshake failed, in the words of the snapshot.
fn tls_refusal(error: &io::Error, meter: &Meter, patience: Patience) -> RefusalCause {
    use tls::RefusalCause as Tls;
    if meter.is_exceeded() {
        return RefusalCause::TooManyBytes;
    }
    let opening = meter.opening();
    let is_http = HTTP_METHODS.iter().any(|method| opening.starts_with(method));
    // 22 is the record type of a handshake; nothing else begins a TLS connection.
    let is_tls = opening.first().is_none_or(|first| *first == 22);
    match tls::cause(error) {
        _ if is_http => RefusalCause::PlainHttp,
        // Who waited so long had reason enough to hang up.
        Tls::Closed if meter.written() > 0 && patience.is_over() => RefusalCause::TlsTimeout,
        // What an official harvester of another CA does: it sees our certificate and hangs up without an alert.
        Tls::Closed if meter.written() > 0 => RefusalCause::PeerRefusedUs {
            alert: "it hung up on seeing it".to_owned(),
        },
        Tls::Closed => RefusalCause::ClosedEarly,
        _ if !is_tls => RefusalCause::NotTls,
        Tls::UnknownCa => RefusalCause::ForeignCa,
        Tls::NoCertificate => RefusalCause::NoCertificate,
        Tls::Expired | Tls::NotValidYet => RefusalCause::CertificateExpired,
        Tls::TlsTooOld => RefusalCause::OldTls,
        Tls::NotTls => RefusalCause::NotTls,
        Tls::RefusedOurCertificate { alert } => RefusalCause::PeerRefusedUs { alert },
        Tls::TimedOut => RefusalCause::TlsTimeout,
        other => RefusalCause::Tls {
            detail: other.to_string(),
        },
    }
}

/// Small messages go out at once; a peer whose cable was pulled is noticed by the system too.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    // A harvester is sent little; one that reads nothing must not collect megabytes in the kernel.
    socket.set_send_buffer_size(SEND_BUFFER)
}

/// The connection was gone before it was accepted.
fn is_their_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

fn by(holder: Option<&PortHolder>) -> String {
    holder.map_or_else(String::new, |holder| format!(" by {holder}"))
}

const HTTP_METHODS: [&[u8]; 6] = [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"CONNECT "];

/// Connections the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// A healthy handshake takes milliseconds; these are for bad lines.
const TLS_DEADLINE: Duration = Duration::from_secs(5);
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// TLS, upgrade and handshake of an official harvester take about 5 KB.
const UNAUTHENTICATED_BYTES: u64 = 64 << 10;

const SEND_BUFFER: usize = 128 << 10;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Above what a session takes to close, below what a service manager waits.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(4);
