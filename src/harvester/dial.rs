//! A harvester's connection to a farmer over the network: dial, TLS, handshake, serve, and dial again.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::service::{FarmerChannels, Service};
use crate::config::{HostPort, Root, Settings};
use crate::logging::target::HARVESTER_SERVER;
use crate::net::{Backoff, ConnectError, DialOptions, FarmerLink, ReachError, Reached, chance, connect, reach};
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
    /// Read before every dial, so that a new one counts from the next connection on.
    Root(Root),
}

impl TlsSource {
    fn current(&self) -> Result<HarvesterTls, TlsError> {
        match self {
            Self::Given(tls) => Ok(tls.clone()),
            Self::Root(root) => harvester_tls(root),
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
        let link = tokio::select! {
            () = stop.cancelled() => return,
            link = open(&settings) => link,
        };
        let (reason, hint) = match link {
            Ok(link) => {
                status.change_farmer(|farmer| {
                    link.software_version().clone_into(&mut farmer.software_version);
                    link.protocol_version().clone_into(&mut farmer.protocol_version);
                });
                let connected = Instant::now();
                let cause = serve(&mut service, link, &stop).await;
                if stop.is_cancelled() {
                    return;
                }
                if connected.elapsed() >= SETTLED_AFTER {
                    backoff.handle_success();
                    told = None;
                }
                let (why, hint) = end_in_words(&cause);
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

/// Whether the harvester of a root reaches its farmer and is let in, as far as that shows before the handshake of the
/// harvester protocol.
///
/// # Errors
/// What is wrong, as a sentence, and what to do.
pub async fn examine_farmer(root: &Root) -> Result<(), (String, String)> {
    let settings = Settings::load(root).map_err(|error| {
        let hint = error
            .hint()
            .unwrap_or_else(|| "`farmconsole harvester join TOKEN` makes a root".to_owned());
        (error.to_string(), hint)
    })?;
    let mut farmers = settings.harvester.farmer_peers.into_iter();
    let Some(farmer) = farmers.next() else {
        let hint = "`farmconsole configure --set-farmer-peer HOST:8447`".to_owned();
        return Err(("the settings name no farmer".to_owned(), hint));
    };
    let settings = DialSettings {
        farmer,
        not_dialled: farmers.collect(),
        tls: TlsSource::Root(root.clone()),
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
    let upgraded = tokio_tungstenite::client_async(format!("wss://{}/ws", settings.farmer), reached.stream).await;
    let detail = |error: tokio_tungstenite::tungstenite::Error| ConnectError::NotWebSocket {
        detail: error.to_string(),
    };
    upgraded
        .map(drop)
        .map_err(|error| refusal(detail(error), &settings.network))
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
    #[error("it farms another network than ours, {network}")]
    WrongNetwork {
        /// Ours.
        network: String,
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
            Self::Reach(ReachError::Tls(RefusalCause::UnknownCa)) | Self::CertificateRefused => {
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
            Self::WrongNetwork { .. } | Self::Handshake(ConnectError::WrongNetwork { .. }) => {
                "`selected_network` must be the same on both machines"
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
        peer_id: farmer_id,
    } = reach(&settings.farmer, &tls.config, tls.farmer_name).await?;
    let options = DialOptions {
        network_id: settings.network.clone(),
        protocol_version: ProtocolVersion::CURRENT,
        host: settings.farmer.to_string(),
        address,
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
    // Whichever ends first closes the channels, which ends the other.
    let serving = service.serve(FarmerChannels { from_farmer, to_farmer }, stop);
    tokio::join!(serving, link.run(outgoing, incoming, stop)).1
}

/// A connection that lasted this long was none that the farmer refuses again and again.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Messages that may wait in each direction.
const QUEUE: usize = 256;

/// Ports of the official software that people take for the farmer's: full nodes of the networks, RPC, daemon.
const OTHER_PORTS: [u16; 8] = [8444, 18444, 58444, 8555, 8559, 8560, 8449, 55400];

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;

    use tokio::time::timeout;

    use super::super::testing::{HEIGHTS, keys, original, service, signage_point};
    use super::*;
    use crate::clock::UnixMillis;
    use crate::config::files::{PRIVATE_FILE, set_mode};
    use crate::net::{
        AdmissionLimits, IdentityRates, Listener, Outbox, Server, ServerOptions, SessionEvent, SessionIds,
    };
    use crate::snapshot::DisconnectCause;
    use crate::system_clock::Clock;
    use crate::tls::issue::{Issuer, make_private_ca};
    use crate::tls::{CertificateAuthority, CertificatePaths, ServiceName, SslLayout};
    use crate::tls::{FarmerTls, harvester_client_config};
    use crate::wire::{FromHarvester, PlotSync, PlotSyncResponse, ToHarvester};

    /// 2024-06-01: before any clock this runs under.
    const NOW: UnixMillis = UnixMillis(1_717_200_000_000);

    /// A root with a private CA of its own.
    fn make_root(dir: &Path) -> Root {
        let root = Root::new(dir);
        let layout = SslLayout::of(&root);
        let put = |paths: &CertificatePaths, crt: &str, key: &str| {
            std::fs::create_dir_all(paths.crt.parent().unwrap()).unwrap();
            std::fs::write(&paths.crt, crt).unwrap();
            std::fs::write(&paths.key, key).unwrap();
            set_mode(&paths.key, PRIVATE_FILE).unwrap();
        };
        let ca = make_private_ca(NOW).unwrap();
        let ca_paths = layout.ca(CertificateAuthority::Private);
        put(&ca_paths, &ca.crt, &ca.key);
        let issuer = Issuer::load(&ca_paths, NOW).unwrap();
        for service in [ServiceName::Farmer, ServiceName::Harvester] {
            let leaf = issuer.issue_leaf(NOW).unwrap();
            put(
                &layout.leaf(CertificateAuthority::Private, service),
                &leaf.crt,
                &leaf.key,
            );
        }
        root
    }

    /// A farmer on loopback whose core is the test.
    struct Farm {
        _dir: tempfile::TempDir,
        root: Root,
        port: u16,
        events: mpsc::Receiver<SessionEvent>,
        shutdown: CancellationToken,
    }

    impl Farm {
        fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let root = make_root(dir.path());
            let (sender, events) = mpsc::channel(100);
            let shutdown = CancellationToken::new();
            let listener = Listener::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let port = listener.address().port();
            let tls = FarmerTls::of_test_root(&root);
            let server = Server::new(ServerOptions {
                network_id: "simulator1".to_owned(),
                server_port: port,
                events: sender,
                session_ids: SessionIds::default(),
                shutdown: shutdown.clone(),
                clock: Clock::start(),
                admission: AdmissionLimits::default(),
                identities: IdentityRates::default(),
                list: Arc::clone(tls.list()),
                desk: None,
            });
            tokio::spawn(listener.serve(tls, server));
            Self {
                _dir: dir,
                root,
                port,
                events,
                shutdown,
            }
        }

        fn settings(&self, tls: &Root, network: &str) -> DialSettings {
            DialSettings {
                farmer: HostPort {
                    host: "127.0.0.1".to_owned(),
                    port: self.port,
                },
                not_dialled: Vec::new(),
                tls: TlsSource::Given(harvester_client_config(tls).unwrap().into()),
                network: network.to_owned(),
            }
        }

        async fn event(&mut self) -> SessionEvent {
            timeout(Duration::from_secs(30), self.events.recv())
                .await
                .expect("nothing happens")
                .unwrap()
        }

        async fn connected(&mut self) -> Outbox {
            match self.event().await {
                SessionEvent::Connected { outbox, .. } => outbox,
                other => panic!("expected Connected, got {other:?}"),
            }
        }

        /// The next message of the harvester but plot syncs, which are answered.
        async fn answer(&mut self, outbox: &Outbox) -> FromHarvester {
            loop {
                match self.event().await {
                    SessionEvent::Message {
                        message: FromHarvester::PlotSync(message),
                        ..
                    } => {
                        let response = PlotSyncResponse::new(&message, None);
                        outbox.send(ToHarvester::PlotSyncResponse(response), None).unwrap();
                        if matches!(message, PlotSync::Done(_)) {
                            return FromHarvester::PlotSync(message);
                        }
                    }
                    SessionEvent::Message { message, .. } => return message,
                    _ => {}
                }
            }
        }
    }

    async fn refused(settings: &DialSettings) -> String {
        let error = open(settings).await.expect_err("connected");
        format!("{error}; {}", error.hint(settings))
    }

    #[tokio::test]
    async fn a_farmer_that_cannot_be_had_is_told_in_plain_words() {
        let farm = Farm::start();
        let foreign = tempfile::tempdir().unwrap();
        let foreign = make_root(foreign.path());
        let same_ca = "this machine does not belong to that farm: `farmconsole harvester invite NAME` on the farmer's machine prints the command that joins it";

        let other_network = farm.settings(&farm.root, "mainnet");
        let network = "`selected_network` must be the same on both machines";
        assert_eq!(
            refused(&other_network).await,
            format!("it farms another network than ours, mainnet; {network}")
        );

        let other_ca = farm.settings(&foreign, "simulator1");
        assert_eq!(
            refused(&other_ca).await,
            format!("its certificate is signed by another CA; {same_ca}")
        );

        // A harvester that trusts the farmer's CA, but whose own certificate is another's.
        let (trusted, own) = (SslLayout::of(&farm.root), SslLayout::of(&foreign));
        let ca = |layout: &SslLayout| layout.ca(CertificateAuthority::Private).crt;
        std::fs::copy(ca(&trusted), ca(&own)).unwrap();
        let other_leaf = farm.settings(&foreign, "simulator1");
        assert_eq!(
            refused(&other_leaf).await,
            format!("it does not accept our certificate; {same_ca}")
        );

        let closed = DialSettings {
            farmer: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 1,
            },
            ..other_network
        };
        let elsewhere =
            "start the farmer; if it runs on another machine: `farmconsole configure --set-farmer-peer HOST:8447`";
        assert_eq!(
            refused(&closed).await,
            format!("nobody listens on that port; {elsewhere}")
        );
        let mut node = closed;
        node.farmer.port = 8444;
        let to_a_node = DialError::Reach(ReachError::Tls(RefusalCause::UnknownCa)).hint(&node);
        assert!(to_a_node.starts_with("port 8444 is not a farmer's"), "{to_a_node}");
    }

    #[tokio::test]
    async fn what_listens_there_is_no_farmer() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
            stream
        });
        let farm = Farm::start();
        let settings = farm.settings(&farm.root, "simulator1");
        let settings = DialSettings {
            farmer: HostPort {
                host: "localhost".to_owned(),
                port,
            },
            ..settings
        };
        let port = "the port of the farmer is 8447 unless set otherwise";
        assert_eq!(refused(&settings).await, format!("it does not speak TLS; {port}"));
    }

    #[tokio::test]
    async fn a_harvester_farms_over_the_network_and_comes_back_after_the_farmer_was_gone() {
        let plots = tempfile::tempdir().unwrap();
        std::fs::copy(original(), plots.path().join("a.plot")).unwrap();
        let mut farm = Farm::start();
        let stop = CancellationToken::new();
        let settings = farm.settings(&farm.root, "simulator1");
        let service = service(plots.path());
        let status = service.status();
        let dialling = tokio::spawn(dial(settings, service, stop.clone()));
        for connection in 1..=3 {
            let outbox = farm.connected().await;
            outbox.send(ToHarvester::HarvesterHandshake(keys()), None).unwrap();
            if connection == 1 {
                // It goes away in the middle of the plot sync, which is not answered.
                while !matches!(
                    farm.event().await,
                    SessionEvent::Message {
                        message: FromHarvester::PlotSync(_),
                        ..
                    }
                ) {}
            } else {
                assert!(matches!(farm.answer(&outbox).await, FromHarvester::PlotSync(_)));
                let point = signage_point(&[original()], HEIGHTS);
                outbox.send(ToHarvester::NewSignagePoint(point), None).unwrap();
                while !matches!(farm.answer(&outbox).await, FromHarvester::FarmingInfo(info) if info.proofs > 0) {}
                // The plots that another refresh has found may have to be told, too.
                while status.farmer().state != FarmerLinkState::Synced {
                    timeout(Duration::from_millis(50), farm.answer(&outbox)).await.ok();
                }
            }
            if connection < 3 {
                outbox.close(DisconnectCause::Replaced);
                while !matches!(farm.event().await, SessionEvent::Disconnected { .. }) {}
            }
        }
        let seen = status.farmer();
        assert_eq!(seen.connections, 3);
        assert!(
            seen.software_version.starts_with("farmconsole-"),
            "{}",
            seen.software_version
        );
        stop.cancel();
        timeout(Duration::from_secs(5), dialling)
            .await
            .expect("it does not stop")
            .unwrap();
        farm.shutdown.cancel();
    }

    #[tokio::test(start_paused = true)]
    async fn a_farmer_that_takes_the_connection_and_says_nothing_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let settings = DialSettings {
            farmer: HostPort::new("127.0.0.1", silent.local_addr().unwrap().port()),
            not_dialled: Vec::new(),
            tls: TlsSource::Given(harvester_client_config(&make_root(dir.path())).unwrap().into()),
            network: "simulator1".to_owned(),
        };
        let error = open(&settings).await.expect_err("connected");
        assert!(matches!(error, DialError::Reach(ReachError::TimedOut)), "{error}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_in_the_status() {
        let farm = Farm::start();
        let foreign = tempfile::tempdir().unwrap();
        let settings = DialSettings {
            not_dialled: vec![HostPort::new("10.0.0.2", 8447)],
            ..farm.settings(&make_root(foreign.path()), "simulator1")
        };
        let plots = tempfile::tempdir().unwrap();
        let service = service(plots.path());
        let (status, stop) = (service.status(), CancellationToken::new());
        let mut pictures = status.watch();
        let dialling = tokio::spawn(dial(settings, service, stop.clone()));
        let failing = pictures.wait_for(|picture| matches!(picture.farmer.state, FarmerLinkState::Failing { .. }));
        let picture = timeout(Duration::from_secs(30), failing)
            .await
            .expect("no trouble")
            .unwrap()
            .clone();
        let words: Vec<_> = picture.concerns().iter().map(ToString::to_string).collect();
        let port = farm.port;
        assert_eq!(
            words,
            [
                format!("cannot connect to farmer 127.0.0.1:{port}: its certificate is signed by another CA"),
                "the settings name 2 farmers, and a harvester serves one: 10.0.0.2:8447 is not dialled".to_owned()
            ]
        );
        stop.cancel();
        dialling.await.unwrap();
    }

    #[tokio::test]
    async fn it_stops_while_it_dials() {
        // Accepts connections and never says a word.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let settings = DialSettings {
            farmer: HostPort::new("127.0.0.1", port),
            not_dialled: vec![HostPort::new("10.0.0.2", 8447)],
            tls: TlsSource::Given(harvester_client_config(&make_root(dir.path())).unwrap().into()),
            network: "simulator1".to_owned(),
        };
        let stop = CancellationToken::new();
        let dialling = tokio::spawn(dial(settings, service(dir.path()), stop.clone()));
        let _connection = silent.accept().await.unwrap();
        stop.cancel();
        timeout(Duration::from_secs(5), dialling)
            .await
            .expect("it does not stop")
            .unwrap();
    }
}
