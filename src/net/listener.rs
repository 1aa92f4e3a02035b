//! The farmer's port: accepts connections, and lets in who is a harvester of this farm.
//!
//! The accept loop only accepts. Everything slow happens in a task per connection: TLS within 5 s, then websocket upgrade
//! and handshake within 5 s, on at most 64 KiB, and only if [`super::Admission`] has a place. A harvester that got
//! through runs as a session until it ends; everybody else is counted, with the cause.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_util::task::TaskTracker;

use super::handshake::{self, Greeting};
use super::meter::{Meter, Metered};
use super::port_holder::{PortHolder, port_holder};
use super::server::{Server, Ticket};
use super::session;
use crate::ids::PeerId;
use crate::logging::target;
use crate::snapshot::RefusalCause;
use crate::tls;

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
    pub async fn serve(self, tls: Arc<ServerConfig>, server: Arc<Server>) {
        tracing::info!(target: target::FARMER_SERVER, "Started listening on port: {}", self.address.port());
        serve_incoming(self.socket, self.address, tls, server).await;
    }
}

/// Where connections come from; tests bring their own.
pub(super) trait Incoming: Send {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

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
    tls: Arc<ServerConfig>,
    server: Arc<Server>,
) {
    let acceptor = TlsAcceptor::from(tls);
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
                        tasks.spawn(attend(stream, address, ticket, acceptor.clone(), Arc::clone(&server)));
                    }
                    Err(cause) => server.refuse(address, cause),
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
async fn attend<S>(stream: S, address: SocketAddr, ticket: Ticket, acceptor: TlsAcceptor, server: Arc<Server>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (stream, meter) = Metered::new(stream, UNAUTHENTICATED_BYTES);
    let authenticated = tokio::select! {
        biased;
        () = server.shutdown.cancelled() => return,
        result = authenticate(stream, &meter, &acceptor, &server) => result,
    };
    match authenticated {
        Ok((socket, greeting, peer_id)) => {
            ticket.authenticated();
            session::run(socket, greeting, peer_id, address, &meter, &server).await;
        }
        Err(cause) => {
            drop(ticket);
            server.refuse(address, cause);
        }
    }
}

type Authenticated<S> = (WebSocketStream<TlsStream<Metered<S>>>, Greeting, PeerId);

async fn authenticate<S>(
    stream: Metered<S>,
    meter: &Meter,
    acceptor: &TlsAcceptor,
    server: &Server,
) -> Result<Authenticated<S>, RefusalCause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let stream = timeout(TLS_DEADLINE, acceptor.accept(stream))
        .await
        .map_err(|_| RefusalCause::TlsTimeout)?
        .map_err(|error| tls_refusal(&error, meter))?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = certificates.first().ok_or(RefusalCause::NoCertificate)?;
    let peer_id = tls::peer_id(leaf);
    server.admit_identity(peer_id)?;
    let shaken = handshake::accept(stream, &server.network_id, server.server_port, meter);
    let (socket, greeting) = timeout(HANDSHAKE_DEADLINE, shaken)
        .await
        .map_err(|_| RefusalCause::HandshakeTimeout)??;
    Ok((socket, greeting, peer_id))
}

/// Why a TLS handshake failed, in the words of the snapshot.
fn tls_refusal(error: &io::Error, meter: &Meter) -> RefusalCause {
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
