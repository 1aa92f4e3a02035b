//! Tests of the way to a farmer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::time::timeout;

use super::super::testing::{HEIGHTS, keys, original, service, signage_point};
use super::*;
use crate::clock::UnixMillis;
use crate::config::files::{PRIVATE_FILE, set_mode};
use crate::net::{AdmissionLimits, IdentityRates, Listener, Outbox, Server, ServerOptions, SessionEvent, SessionIds};
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
    assert_eq!(
        refused(&other_network).await,
        "it farms simulator1, and this machine is set to the network mainnet; set `selected_network: simulator1` in the \
         settings, and restart this harvester"
    );
    let unsaid = refusal(
        ConnectError::Refused {
            cause: DisconnectCause::Lost {
                detail: "it is on another network (code 1002 110)".to_owned(),
            },
        },
        "mainnet",
    );
    assert!(unsaid.to_string().starts_with("it farms another network,"), "{unsaid}");

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
        "it does not accept our certificate; `farmconsole harvester doctor` on the farmer's machine says why: it waits to \
         be let in, was revoked, or its certificate has ended or is another farm's, in which case `farmconsole harvester \
         invite NAME` there prints the command that joins it"
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

#[tokio::test]
async fn a_renewed_certificate_is_shown_at_once() {
    let plots = tempfile::tempdir().unwrap();
    let mut farm = Farm::start();
    let (stop, renewed) = (CancellationToken::new(), Arc::new(Notify::new()));
    let settings = DialSettings {
        tls: TlsSource::Root {
            root: farm.root.clone(),
            renewed: Arc::clone(&renewed),
        },
        ..farm.settings(&farm.root, "simulator1")
    };
    let service = service(plots.path());
    let status = service.status();
    let dialling = tokio::spawn(dial(settings, service, stop.clone()));
    let _old = farm.connected().await;
    let served = async |connections| {
        while status.farmer().connections < connections {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), served(1)).await.unwrap();
    renewed.notify_waiters();
    let goodbye = farm.event().await;
    assert!(
        matches!(
            &goodbye,
            SessionEvent::Disconnected {
                cause: DisconnectCause::ClosedByPeer,
                ..
            }
        ),
        "{goodbye:?}"
    );
    let _new = farm.connected().await;
    timeout(Duration::from_secs(5), served(2)).await.unwrap();
    stop.cancel();
    dialling.await.unwrap();
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
    assert!(matches!(error, DialError::Reach(ReachError::Stalled)), "{error}");
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

#[tokio::test]
async fn a_doctor_learns_of_another_network_and_the_farmer_takes_it_for_no_harvester() {
    let mut farm = Farm::start();
    let settings = DialSettings {
        tls: TlsSource::Root {
            root: farm.root.clone(),
            renewed: Arc::default(),
        },
        ..farm.settings(&farm.root, "mainnet")
    };
    let error = knock(&settings).await.unwrap_err();
    assert_eq!(
        format!("{error}; {}", error.hint(&settings)),
        format!(
            "it farms simulator1, and this machine is set to the network mainnet; set `selected_network: simulator1` in {}, \
             and restart this harvester",
            farm.root.config_file().display()
        )
    );
    let fine = farm.settings(&farm.root, "simulator1");
    knock(&fine).await.unwrap();
    open(&fine).await.unwrap();
    farm.connected().await;
}
