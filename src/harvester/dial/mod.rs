//! A harvester's connection to a farmer over the network: dial, TLS, handshake, serve, and dial again.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::service::{FarmerChannels, Service};
use crate::config::{HostPort, Root, Settings};
use crate::logging::target::HARVESTER_SERVER;
use crate::net::{self, Backoff, ConnectError, DialOptions, FarmerLink, ReachError, Reached, chance, connect, reach};
use crate::snapshot::{DisconnectCause, FarmerLinkState};
use crate::tls::{HarvesterTls, RefusalCause, TlsError, harvester_tls};
use crate::wire::ProtocolVersion;

/// Whom to dial and how to present oneself.
#[derive(Clone, Debug)]
pub struct DialSettings {
    /// Farmer.
    pub farmer: HostPort,
    /// Farmers that the settings name besides it. They are not dialled: a harvester tells one farmer of its plots.
    pub not_dialled: Vec<HostPort>,
    /// Our certificate, and whom we trust.
    pub tls: TlsSource,
    /// Network id.
    pub network: String,
}

/// Where a harvester has its certificate from.
#[derive(Clone, Debug)]
pub enum TlsSource {
    /// It was read already.
    Given(HarvesterTls),
    /// Read before every dial.
    Root {
        /// From here.
        root: Root,
        /// Told ([`Notify::notify_waiters`]) when there is a new one: a connection with the old one makes way for one with
        /// the new one, which is how the farmer knows that the old one is used no more.
        renewed: Arc<Notify>,
    },
}

impl TlsSource {
    fn current(&self) -> Result<HarvesterTls, TlsError> {
        match self {
            Self::Given(tls) => Ok(tls.clone()),
            Self::Root { root, .. } => harvester_tls(root),
        }
    }

    /// Waits until there is a new one.
    async fn renewed(&self) {
        match self {
            Self::Given(_) => std::future::pending().await,
            Self::Root { renewed, .. } => renewed.notified().await,
        }
    }
}

/// Serves one farmer until `stop`: whenever the connection ends, it is dialled again. Trouble goes to the log, each kind
/// once, and into the service's status.
pub async fn dial(settings: DialSettings, mut service: Service, stop: CancellationToken) {
    let status = service.status();
    let others: Vec<String> = settings.not_dialled.iter().map(ToString::to_string).collect();
    if !others.is_empty() {
        tracing::error!(
            target: HARVESTER_SERVER,
            "the settings name {} farmers, and a harvester serves one: {} is dialled, {} not",
            others.len() + 1, settings.farmer, others.join(", ")
        );
    }
    status.change_farmer(|farmer| {
        farmer.address = settings.farmer.to_string();
        farmer.not_dialled = others;
    });
    let mut backoff = Backoff::DEFAULT;
    let mut told = None;
    loop {
        // From before the certificate is read, so that no newer one is missed.
        let renewed = settings.tls.renewed();
        tokio::pin!(renewed);
        let link = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = &mut renewed => continue,
            link = open(&settings) => link,
        };
        let (reason, hint) = match link {
            Ok(link) => {
                status.change_farmer(|farmer| {
                    link.software_version().clone_into(&mut farmer.software_version);
                    link.protocol_version().clone_into(&mut farmer.protocol_version);
                });
                let connected = Instant::now();
                let ended = stop.child_token();
                let serving = serve(&mut service, link, &ended);
                tokio::pin!(serving);
                let cause = tokio::select! {
                    cause = &mut serving => cause,
                    () = &mut renewed => {
                        tracing::info!(target: HARVESTER_SERVER, "connecting again with the new certificate");
                        ended.cancel();
                        serving.await;
                        continue;
                    }
                };
                if stop.is_cancelled() {
                    return;
                }
                if connected.elapsed() >= SETTLED_AFTER {
                    backoff.handle_success();
                    told = None;
                }
                let (why, hint) = end_in_words(&cause);
                status.note_end(&why);
                (format!("farmer {}: {why}", settings.farmer), hint.to_owned())
            }
            Err(error) => {
                let reason = format!("cannot connect to farmer {}: {error}", settings.farmer);
                (reason, error.hint(&settings))
            }
        };
        let text = format!("{reason}; {hint}");
        status.change_farmer(|farmer| farmer.state = FarmerLinkState::Failing { reason, hint });
        if told.as_ref() == Some(&text) {
            tracing::debug!(target: HARVESTER_SERVER, "{text}");
        } else {
            tracing::warn!(target: HARVESTER_SERVER, "{text}");
            told = Some(text);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(backoff.handle_failure(chance())) => {}
        }
    }
}

/// Whether the harvester of a root with these settings reaches its farmer and is let in, as far as that shows before the
/// handshake of the harvester protocol.
///
/// # Errors
/// What is wrong, as a sentence, and what to do.
pub async fn examine_farmer(root: &Root, settings: Settings) -> Result<(), (String, String)> {
    let mut farmers = settings.harvester.farmer_peers.into_iter();
    let Some(farmer) = farmers.next() else {
        let hint = "`farmconsole configure --set-farmer-peer HOST:8447`".to_owned();
        return Err(("the settings name no farmer".to_owned(), hint));
    };
    let settings = DialSettings {
        farmer,
        not_dialled: farmers.collect(),
        tls: TlsSource::Root {
            root: root.clone(),
            renewed: Arc::default(),
        },
        network: settings.network,
    };
    knock(&settings).await.map_err(|error| {
        let hint = error.hint(&settings);
        (format!("cannot connect to farmer {}: {error}", settings.farmer), hint)
    })
}

/// Dials, and goes as far as the websocket: the farmer has judged our certificate then.
async fn knock(settings: &DialSettings) -> Result<(), DialError> {
    let tls = settings.tls.current()?;
    let reached = reach(&settings.farmer, &tls.config, tls.farmer_name).await?;
    let knocked = net::knock(reached.stream, &settings.farmer.to_string()).await;
    match knocked.map_err(|error| refusal(error, &settings.network))? {
        Some(farm) if farm != settings.network => Err(DialError::WrongNetwork {
            network: settings.network.clone(),
            farm: Some(farm),
        }),
        _ => Ok(()),
    }
}

/// Why no farmer could be reached. Each attempt may be repeated without harm.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Our own certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no farmer of our CA.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// It does not accept our certificate.
    #[error("it does not accept our certificate")]
    CertificateRefused,
    /// It does not let us in for a while.
    #[error("it turns this machine away for a while, after something that went wrong before")]
    Banned,
    /// It farms another network.
    #[error("it farms {}, and this machine is set to the network {network}", farm.as_deref().unwrap_or("another network"))]
    WrongNetwork {
        /// Ours.
        network: String,
        /// The farmer's, where it says so.
        farm: Option<String>,
    },
    /// It refused us otherwise, or is no farmer.
    #[error(transparent)]
    Handshake(ConnectError),
}

impl DialError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self, settings: &DialSettings) -> String {
        let HostPort { host, port } = &settings.farmer;
        if OTHER_PORTS.contains(port) {
            return format!(
                "port {port} is not a farmer's, which is 8447 unless set otherwise: \
                 `farmconsole configure --set-farmer-peer {host}:8447`"
            );
        }
        match self {
            Self::Reach(ReachError::PortClosed) if is_this_machine(host) => {
                "start the farmer; if it runs on another machine: `farmconsole configure --set-farmer-peer HOST:8447`"
            }
            Self::Reach(ReachError::PortClosed) => "is the farmer running, and is `harvester.farmer_peers` right?",
            Self::Reach(ReachError::Unreachable(_) | ReachError::TimedOut) => {
                "is the machine on, and is `harvester.farmer_peers` right?"
            }
            Self::Reach(ReachError::Stalled) => {
                "is that machine overloaded, or its farmer suspended, or does the line between lose what is sent?"
            }
            Self::CertificateRefused => {
                "`farmconsole harvester doctor` on the farmer's machine says why: it waits to be let \
                 in, was revoked, or its certificate has ended or is another farm's, in which case `farmconsole harvester \
                 invite NAME` there prints the command that joins it"
            }
            Self::Reach(ReachError::Tls(RefusalCause::UnknownCa)) => {
                "this machine does not belong to that farm: `farmconsole harvester invite NAME` on the farmer's machine \
                 prints the command that joins it"
            }
            Self::Reach(ReachError::Tls(RefusalCause::Expired | RefusalCause::NotValidYet)) => {
                "is the clock of this machine right?"
            }
            Self::Reach(ReachError::Tls(RefusalCause::NotTls | RefusalCause::TlsTooOld))
            | Self::Handshake(ConnectError::WrongNodeType { .. }) => {
                "the port of the farmer is 8447 unless set otherwise"
            }
            Self::WrongNetwork { farm, .. } => {
                let file = match &settings.tls {
                    TlsSource::Given(_) => "the settings".to_owned(),
                    TlsSource::Root { root, .. } => root.config_file().display().to_string(),
                };
                return match farm {
                    Some(farm) => format!("set `selected_network: {farm}` in {file}, and restart this harvester"),
                    None => format!("set `selected_network` in {file} as it is on the farmer's machine, and restart this harvester"),
                };
            }
            Self::Tls(error) => {
                return error.hint().unwrap_or_else(|| "join the farm again: `farmconsole harvester join TOKEN`".to_owned());
            }
            Self::Banned => "it passes by itself; the farmer's log says what went wrong",
            Self::Reach(_) | Self::Handshake(_) => "the farmer's log says more",
        }
        .to_owned()
    }
}

/// How a connection ended, seen from here, and what to do.
fn end_in_words(cause: &DisconnectCause) -> (String, &'static str) {
    let again = "it is dialled again";
    match cause {
        DisconnectCause::ClosedByPeer => (
            "it closed the connection".to_owned(),
            "it is dialled again; did the farmer stop or start anew?",
        ),
        DisconnectCause::Lost { detail } => (format!("the connection broke: {detail}"), again),
        DisconnectCause::Silent => (
            "no sign of life for 60 s".to_owned(),
            "is its machine on, and the network between?",
        ),
        DisconnectCause::SlowReader => (
            "it took nothing for 30 s".to_owned(),
            "is its machine overloaded? the farmer's log says more",
        ),
        DisconnectCause::Malformed { message, detail } => (
            format!("it sent an unreadable {message}: {detail}"),
            "a release of another generation? the log says more",
        ),
        DisconnectCause::ProtocolViolation { detail } => (format!("it broke the protocol: {detail}"), again),
        DisconnectCause::Flood
        | DisconnectCause::OutboxFull
        | DisconnectCause::Replaced
        | DisconnectCause::Revoked
        | DisconnectCause::Shutdown => ("the connection ended".to_owned(), again),
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Dials the farmer and shakes hands.
///
/// # Errors
/// [`DialError`].
async fn open(settings: &DialSettings) -> Result<FarmerLink<TlsStream<TcpStream>>, DialError> {
    let tls = settings.tls.current()?;
    let Reached {
        stream,
        address,
        own_address,
        peer_id: farmer_id,
    } = reach(&settings.farmer, &tls.config, tls.farmer_name).await?;
    let options = DialOptions {
        network_id: settings.network.clone(),
        protocol_version: ProtocolVersion::CURRENT,
        host: settings.farmer.to_string(),
        address,
        own_address,
        farmer_id,
    };
    connect(stream, options)
        .await
        .map_err(|error| refusal(error, &settings.network))
}

/// What a refusal means, where the farmer says it in signs.
fn refusal(error: ConnectError, network: &str) -> DialError {
    if error.says_banned() {
        DialError::Banned
    } else if error.says_bad_certificate() {
        DialError::CertificateRefused
    } else if error.says_other_network() {
        DialError::WrongNetwork {
            network: network.to_owned(),
            farm: None,
        }
    } else if let ConnectError::WrongNetwork { got, expected } = error {
        DialError::WrongNetwork {
            network: expected,
            farm: Some(got),
        }
    } else {
        DialError::Handshake(error)
    }
}

/// Serves a connection until it ends or `stop`.
async fn serve(
    service: &mut Service,
    link: FarmerLink<TlsStream<TcpStream>>,
    stop: &CancellationToken,
) -> DisconnectCause {
    let (to_farmer, outgoing) = mpsc::channel(QUEUE);
    let (incoming, from_farmer) = mpsc::channel(QUEUE);
    let layout = link.layout();
    // Whichever ends first closes the channels, which ends the other.
    let serving = service.serve(FarmerChannels { from_farmer, to_farmer }, layout, stop);
    tokio::join!(serving, link.run(outgoing, incoming, stop)).1
}

/// A connection that lasted this long was none that the farmer refuses again and again.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// Ports of the official software that people take for the farmer's: full nodes of the networks, RPC, daemon.
const OTHER_PORTS: [u16; 8] = [8444, 18444, 58444, 8555, 8559, 8560, 8449, 55400];
