//! Dialling a peer: TCP and TLS, and who it is by its certificate.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::HostPort;
use crate::ids::PeerId;
use crate::tcp;
use crate::tls::{self, peer_id};

/// A peer that was reached; nothing was said yet.
#[derive(Debug)]
pub struct Reached {
    /// The encrypted stream.
    pub stream: TlsStream<TcpStream>,
    /// Address it was reached at.
    pub address: SocketAddr,
    /// Address of this machine that it was reached from.
    pub own_address: Option<SocketAddr>,
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
    /// It did not take the connection in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// It took the connection, and TLS took too long.
    #[error("its port answers, but TLS was not done within {} s", PATIENCE.as_secs())]
    Stalled,
    /// It has no certificate that we accept.
    #[error("{0}")]
    Tls(tls::RefusalCause),
}

/// Dials `peer`, whose certificate must have `name`, within 10 s.
///
/// # Errors
/// [`ReachError`].
pub async fn reach(peer: &HostPort, tls: &Arc<ClientConfig>, name: ServerName<'static>) -> Result<Reached, ReachError> {
    let deadline = Instant::now() + PATIENCE;
    let connected = timeout_at(deadline, tcp::connect(peer)).await;
    let stream = connected
        .map_err(|_| ReachError::TimedOut)?
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => ReachError::PortClosed,
            _ => ReachError::Unreachable(error),
        })?;
    let address = stream.peer_addr().map_err(ReachError::Unreachable)?;
    let own_address = stream.local_addr().ok();
    let (stream, peer_id) = shake(stream, tls, name, deadline).await?;
    Ok(Reached {
        stream,
        address,
        own_address,
        peer_id,
    })
}

/// TLS, and who it is.
async fn shake<S>(
    stream: S,
    tls: &Arc<ClientConfig>,
    name: ServerName<'static>,
    deadline: Instant,
) -> Result<(TlsStream<S>, PeerId), ReachError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::clone(tls));
    let shaken = timeout_at(deadline, connector.connect(name, stream)).await;
    let stream = shaken
        .map_err(|_| ReachError::Stalled)?
        .map_err(|error| ReachError::Tls(tls::cause(&error)))?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer_id = certificate
        .map(|leaf| peer_id(leaf))
        .ok_or(ReachError::Tls(tls::RefusalCause::NoCertificate))?;
    Ok((stream, peer_id))
}

/// TCP and TLS together may take this long.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::tls::{chia_server_name, joiner_config};

    #[tokio::test(start_paused = true)]
    async fn peer_that_takes_the_connection_and_then_says_nothing_is_told_from_one_that_does_not() {
        let tls = joiner_config(&[2; 33]).unwrap();
        let (near, _far) = duplex(64 << 10);
        let begin = Instant::now();
        let error = shake(near, &tls, chia_server_name(), begin + PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(begin.elapsed(), PATIENCE);
        assert_eq!(error.to_string(), "its port answers, but TLS was not done within 10 s");
    }
}
