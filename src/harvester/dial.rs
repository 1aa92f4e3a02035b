//! A harvester's connection to a farmer over the network: dial, TLS, handshake, serve, and dial again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use super::service::{FarmerChannels, Service};
use crate::config::HostPort;
use crate::ids::PeerId;
use crate::logging::target::HARVESTER_SERVER;
use crate::net::{Backoff, DialOptions, connect};
use crate::tls::{chia_server_name, peer_id};
use crate::wire::ProtocolVersion;

/// Whom to dial and how to present oneself.
#[derive(Clone, Debug)]
pub struct DialSettings {
    /// Farmer.
    pub farmer: HostPort,
    /// Our certificate and the private CA ([`crate::tls::harvester_client_config`]).
    pub tls: Arc<ClientConfig>,
    /// Network id.
    pub network: String,
}

/// TCP and TLS together may take this long.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// First and longest pause between two tries. Official harvesters try every 3 s.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// Serves one farmer until `stop`: whenever the connection ends, it is dialled again.
pub async fn dial(settings: DialSettings, mut service: Service, stop: CancellationToken) {
    let Ok(mut backoff) = Backoff::new(PAUSES.0, PAUSES.1) else {
        return;
    };
    while !stop.is_cancelled() {
        match connect_and_serve(&settings, &mut service, &stop).await {
            Ok(()) => backoff.handle_success(),
            Err(error) => {
                tracing::info!(target: HARVESTER_SERVER, "Cannot connect to host {}: {error}", settings.farmer)
            }
        }
        let pause = backoff.handle_failure(chance());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One connection; returns when it has ended.
async fn connect_and_serve(
    settings: &DialSettings,
    service: &mut Service,
    stop: &CancellationToken,
) -> Result<(), String> {
    let (address, farmer_id, stream) = timeout(DIAL_PATIENCE, open(settings))
        .await
        .map_err(|_| format!("no answer within {} s", DIAL_PATIENCE.as_secs()))??;
    let options = DialOptions {
        network_id: settings.network.clone(),
        protocol_version: ProtocolVersion::CURRENT,
        host: settings.farmer.to_string(),
        address,
        farmer_id,
    };
    let link = connect(stream, options).await.map_err(|e| e.to_string())?;
    let (to_farmer, outgoing) = mpsc::channel(QUEUE);
    let (incoming, from_farmer) = mpsc::channel(QUEUE);
    // Either end of the channels that closes ends the other side too.
    let serving = service.serve(FarmerChannels { from_farmer, to_farmer }, stop);
    tokio::join!(serving, link.run(outgoing, incoming, stop));
    Ok(())
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn open(settings: &DialSettings) -> Result<(SocketAddr, PeerId, Tls), String> {
    let HostPort { host, port } = &settings.farmer;
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let address = stream.peer_addr().map_err(|e| e.to_string())?;
    let connector = TlsConnector::from(Arc::clone(&settings.tls));
    let stream = connector
        .connect(chia_server_name(), stream)
        .await
        .map_err(|e| e.to_string())?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|c| c.first());
    let farmer_id = certificate
        .map(|c| peer_id(c))
        .ok_or("the farmer sent no certificate")?;
    Ok((address, farmer_id, stream))
}

/// A number from 0 to 1 for the jitter of pauses.
fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
