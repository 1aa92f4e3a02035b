//! Dialling a peer: TCP and TLS, and who it is by its certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::HostPort;
use crate::ids::PeerId;
use crate::tls::{self, peer_id};

/// A peer that was reached; nothing was said yet.
#[derive(Debug)]
pub struct Reached {
    /// The encrypted stream.
    pub stream: TlsStream<TcpStream>,
    /// Address it was reached at.
    pub address: SocketAddr,
    /// SHA-256 of its certificate.
    pub peer_id: PeerId,
}

/// Why a peer was not reached. Each attempt may be repeated without harm.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Nobody listens there.
    #[error("nobody listens on that port")]
    PortClosed,
    /// The host cannot be reached, or has no address.
    #[error("{0}")]
    Unreachable(io::Error),
    /// TCP and TLS together took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// It has no certificate that we accept.
    #[error("{0}")]
    Tls(tls::RefusalCause),
}

/// Dials `peer`, whose certificate must have `name`, within 10 s.
///
/// # Errors
/// [`ReachError`].
pub async fn reach(peer: &HostPort, tls: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Reached, ReachError> {
    timeout(PATIENCE, dial(peer, tls, name))
        .await
        .map_err(|_| ReachError::TimedOut)?
}

async fn dial(peer: &HostPort, tls: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Reached, ReachError> {
    let HostPort { host, port } = peer;
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => ReachError::PortClosed,
            _ => ReachError::Unreachable(error),
        })?;
    stream.set_nodelay(true).map_err(ReachError::Unreachable)?;
    let address = stream.peer_addr().map_err(ReachError::Unreachable)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| ReachError::Tls(tls::cause(&error)))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer_id = certificate
        .map(|leaf| peer_id(leaf))
        .ok_or(ReachError::Tls(tls::RefusalCause::NoCertificate))?;
    Ok(Reached {
        stream,
        address,
        peer_id,
    })
}

/// TCP and TLS together may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
