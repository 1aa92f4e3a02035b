//! The way in, with real TLS in memory: who gets through, who does not, and how soon that is over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;

use super::super::listener::{Incoming, serve_incoming};
use super::super::testing::*;
use super::super::*;
use crate::clock::UnixMillis;
use crate::config::files::{PRIVATE_FILE, set_mode};
use crate::config::{LegacyCa, Root};
use crate::registry::{Registry, RegistryError};
use crate::snapshot::{DisconnectCause, RefusalCause};
use crate::tls::issue::{Issuer, make_private_ca};
use crate::tls::{CertificateAuthority, CertificatePaths, Identity, ServiceName, SslLayout};
use crate::tls::{FarmerTls, chia_server_name, harvester_client_config};
use crate::wire::{Message, MessageType};

/// 2024-06-01: before any clock this runs under.
const NOW: UnixMillis = UnixMillis(1_717_200_000_000);

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A root with a private CA of its own.
struct Ca {
    _dir: tempfile::TempDir,
    root: Root,
}

impl Ca {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
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
        Self { _dir: dir, root }
    }

    fn server(&self) -> Arc<FarmerTls> {
        FarmerTls::of_test_root(&self.root)
    }

    fn client(&self) -> Arc<ClientConfig> {
        harvester_client_config(&self.root).unwrap()
    }

    fn harvester_id(&self) -> crate::ids::PeerId {
        let paths = SslLayout::of(&self.root).leaf(CertificateAuthority::Private, ServiceName::Harvester);
        Identity::load(&paths).unwrap().peer_id()
    }
}

/// Connections as the test makes them.
struct Port(mpsc::Receiver<io::Result<(DuplexStream, SocketAddr)>>);

impl Incoming for Port {
    type Stream = DuplexStream;

    async fn next(&mut self) -> io::Result<(DuplexStream, SocketAddr)> {
        match self.0.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }
}

/// A farmer that listens in memory.
struct Listening {
    farm: Farm,
    ca: Ca,
    port: mpsc::Sender<io::Result<(DuplexStream, SocketAddr)>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Listening {
    fn start() -> Self {
        let ca = Ca::new();
        let tls = ca.server();
        let farm = Farm::with_list(1_000, Arc::clone(tls.list()));
        let (port, connections) = mpsc::channel(2_000);
        let serving = serve_incoming(Port(connections), address(), tls, Arc::clone(&farm.server));
        Self {
            farm,
            ca,
            port,
            serving: tokio::spawn(serving),
        }
    }

    async fn dial_from(&self, address: SocketAddr) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 16);
        self.port.send(Ok((ours, address))).await.unwrap();
        theirs
    }

    async fn dial(&self) -> DuplexStream {
        self.dial_from(address()).await
    }

    async fn tls(&self, config: Arc<ClientConfig>) -> io::Result<TlsStream<DuplexStream>> {
        TlsConnector::from(config)
            .connect(chia_server_name(), self.dial().await)
            .await
    }

    fn unauthenticated(&self) -> usize {
        self.farm.server.stats().unauthenticated
    }
}

/// How long the other side keeps a connection open.
async fn open_for(stream: &mut DuplexStream, start: Instant) -> Duration {
    stream.read_to_end(&mut Vec::new()).await.ok();
    start.elapsed()
}

/// What a real TLS client says first.
async fn client_hello() -> Vec<u8> {
    let (ours, mut theirs) = duplex(1 << 16);
    let client = Ca::new().client();
    tokio::spawn(async move {
        TlsConnector::from(client)
            .connect(chia_server_name(), ours)
            .await
            .map(|_| ())
    });
    let mut hello = vec![0; 1 << 16];
    let length = theirs.read(&mut hello).await.unwrap();
    hello.truncate(length);
    hello
}

#[tokio::test(start_paused = true)]
async fn a_harvester_of_this_farm_gets_through_and_is_known_by_its_certificate() {
    let mut it = Listening::start();
    let stream = it.tls(it.ca.client()).await.unwrap();
    let mut peer = Peer::upgrade(stream).await;
    assert_eq!(it.unauthenticated(), 1);
    peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
    let connected = it.farm.connected().await;
    assert_eq!(
        (connected.peer.peer_id, connected.peer.address),
        (it.ca.harvester_id(), address())
    );
    assert_eq!((it.unauthenticated(), it.farm.server.stats().accepted), (0, 1));

    it.farm.server.shutdown.cancel();
    assert_eq!(peer.goodbye().await, Some((1001, String::new())));
    assert_eq!(it.farm.disconnected().await, DisconnectCause::Shutdown);
    it.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_harvester_that_waits_is_let_in_by_the_address_it_came_from() {
    let mut it = Listening::start();
    it.farm.server.list.set_legacy(LegacyCa::Approve);
    it.tls(it.ca.client()).await.ok();
    let cause = it.farm.refused().await;
    assert_eq!(cause, RefusalCause::Pending);
    let here = address().ip();
    assert!(
        cause
            .remedy(here)
            .contains(&format!("`farmconsole harvester approve {here}`"))
    );
    let approve = |registry: &mut Registry| {
        registry.approve(&here.to_string(), None).unwrap();
        Ok::<_, RegistryError>(())
    };
    it.farm.server.list.change(approve).unwrap();
    let mut peer = Peer::upgrade(it.tls(it.ca.client()).await.unwrap()).await;
    peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
    assert_eq!(it.farm.connected().await.peer.peer_id, it.ca.harvester_id());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_in_tls_is_gone_after_five_seconds() {
    let hello = client_hello().await;
    let length = hello.len();
    for sent in [0, 1, length / 2, length] {
        let mut it = Listening::start();
        let start = Instant::now();
        let mut stream = it.dial().await;
        stream.write_all(&hello[..sent]).await.unwrap();
        assert_eq!(
            open_for(&mut stream, start).await,
            seconds(5),
            "after {sent} of {length} bytes"
        );
        assert_eq!(it.farm.refused().await, RefusalCause::TlsTimeout);
        assert_eq!(it.unauthenticated(), 0);
    }

    // The same, one byte a second.
    let mut it = Listening::start();
    let start = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(it.dial().await);
    let drip = tokio::spawn(async move {
        for byte in hello {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(seconds(1)).await;
        }
    });
    reader.read_to_end(&mut Vec::new()).await.ok();
    assert_eq!(start.elapsed(), seconds(5));
    assert_eq!(it.farm.refused().await, RefusalCause::TlsTimeout);
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_after_tls_is_gone_five_seconds_later() {
    let mut it = Listening::start();
    // No upgrade at all, a piece of one, one byte a second, an upgrade without a handshake.
    let start = Instant::now();
    let mut silent = it.tls(it.ca.client()).await.unwrap();
    silent.write_all(b"GET /ws HT").await.unwrap();
    silent.read_to_end(&mut Vec::new()).await.ok();
    assert_eq!(start.elapsed(), seconds(5));
    assert_eq!(it.farm.refused().await, RefusalCause::HandshakeTimeout);

    let start = Instant::now();
    let mut dripping = it.tls(it.ca.client()).await.unwrap();
    let ended = timeout(seconds(60), async {
        loop {
            dripping.write_all(b"G").await?;
            dripping.flush().await?;
            sleep(seconds(1)).await;
        }
        #[expect(unreachable_code, reason = "gives the block its type")]
        Ok::<(), io::Error>(())
    });
    assert!(ended.await.expect("still open").is_err());
    assert!(start.elapsed() <= seconds(6));
    assert_eq!(it.farm.refused().await, RefusalCause::HandshakeTimeout);

    let start = Instant::now();
    let mut peer = Peer::upgrade(it.tls(it.ca.client()).await.unwrap()).await;
    assert_eq!(peer.goodbye().await, None);
    assert_eq!(start.elapsed(), seconds(5));
    assert_eq!(it.farm.refused().await, RefusalCause::HandshakeTimeout);
    assert_eq!(it.unauthenticated(), 0);
}

#[tokio::test(start_paused = true)]
async fn too_much_before_authenticating_is_cut_off() {
    let mut it = Listening::start();
    let mut stream = it.tls(it.ca.client()).await.unwrap();
    let endless = format!("GET /ws HTTP/1.1\r\nX: {}", "x".repeat(80_000));
    stream.write_all(endless.as_bytes()).await.ok();
    assert_eq!(it.farm.refused().await, RefusalCause::TooManyBytes);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_speak_tls_is_told_apart() {
    let old = hex::decode(OPENSSL_TLS_1_2_HELLO.concat()).unwrap();
    let cases: [(&[u8], RefusalCause); 5] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", RefusalCause::PlainHttp),
        (b"SSH-2.0-OpenSSH_9.6\r\n", RefusalCause::NotTls),
        (&[0xff; 100], RefusalCause::NotTls),
        (b"", RefusalCause::ClosedEarly),
        (&old, RefusalCause::OldTls),
    ];
    for (bytes, expected) in cases {
        let mut it = Listening::start();
        let mut stream = it.dial().await;
        stream.write_all(bytes).await.unwrap();
        if bytes.is_empty() {
            drop(stream);
        }
        assert_eq!(it.farm.refused().await, expected);
        assert_eq!(it.unauthenticated(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn certificates_of_others_are_refused_with_their_reason() {
    let mut it = Listening::start();
    // It trusts us, but its own certificate is of another CA.
    let (other, theirs) = (Ca::new(), SslLayout::of(&it.ca.root).ca(CertificateAuthority::Private));
    let trusted = SslLayout::of(&other.root).ca(CertificateAuthority::Private);
    std::fs::copy(&theirs.crt, &trusted.crt).unwrap();
    it.tls(other.client()).await.ok();
    assert_eq!(it.farm.refused().await, RefusalCause::ForeignCa);

    // It does not trust us: the usual case, a harvester that was set up for another farm.
    assert!(it.tls(Ca::new().client()).await.is_err());
    assert!(matches!(it.farm.refused().await, RefusalCause::PeerRefusedUs { .. }));

    // The same as the official software does it: it sees our certificate and hangs up.
    let mut stream = it.dial().await;
    stream.write_all(&client_hello().await).await.unwrap();
    stream.read_exact(&mut [0; 500]).await.unwrap();
    drop(stream);
    assert!(matches!(it.farm.refused().await, RefusalCause::PeerRefusedUs { .. }));

    // It shows nothing.
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    let pem = std::fs::read(&theirs.crt).unwrap();
    let der = <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
    roots.add(der).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let nameless = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    it.tls(Arc::new(nameless)).await.ok();
    assert_eq!(it.farm.refused().await, RefusalCause::NoCertificate);
    assert_eq!(it.unauthenticated(), 0);
    let refused = it.farm.server.stats().refused;
    assert_eq!(
        (
            refused["foreign_ca"],
            refused["peer_refused_us"],
            refused["no_certificate"]
        ),
        (1, 2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_harvester_that_gave_up_while_the_farmer_stood_still_after_its_answer_is_not_said_to_distrust_it() {
    let mut it = Listening::start();
    let mut stream = it.dial().await;
    stream.write_all(&client_hello().await).await.unwrap();
    stream.read_exact(&mut [0; 500]).await.unwrap();
    drop(stream);
    advance(seconds(60)).await;
    assert_eq!(it.farm.refused().await, RefusalCause::TlsTimeout);
}

#[tokio::test]
async fn a_harvester_that_gave_up_in_the_queue_of_the_port_is_not_said_to_distrust_the_farmer() {
    let ca = Ca::new();
    let tls = ca.server();
    let mut farm = Farm::with_list(1_000, Arc::clone(tls.list()));
    let listener = Listener::bind(0).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", listener.address().port()))
        .await
        .unwrap();
    stream.write_all(&client_hello().await).await.unwrap();
    drop(stream);
    tokio::spawn(listener.serve(tls, Arc::clone(&farm.server)));
    assert_eq!(farm.refused().await, RefusalCause::ClosedEarly);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_stalled_connections_neither_pile_up_nor_keep_harvesters_out() {
    let mut it = Listening::start();
    // A harvester was here before, from an address of its own.
    let harvester = SocketAddr::from(([10, 0, 9, 9], 40_000));
    let tls = TlsConnector::from(it.ca.client());
    let connect = async |it: &Listening| {
        let stream = it.dial_from(harvester).await;
        let mut peer = Peer::upgrade(tls.connect(chia_server_name(), stream).await.unwrap()).await;
        peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
        peer
    };
    let _first = connect(&it).await;
    let first = it.farm.connected().await;

    let mut hostile = Vec::new();
    for n in 0..1_000 {
        let from = SocketAddr::from(([127, 0, 1, u8::try_from(n % 20).unwrap()], 1_000));
        hostile.push(it.dial_from(from).await);
    }
    let start = Instant::now();
    let _second = connect(&it).await;
    // Refusals are told in between, thinned out.
    let second = loop {
        match it.farm.event().await {
            SessionEvent::Connected { session, .. } => break session,
            SessionEvent::Refused { cause, .. } => {
                assert!(matches!(
                    cause,
                    RefusalCause::TooMany | RefusalCause::TooManyFromAddress
                ));
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(start.elapsed() < seconds(1) && second != first.session);
    let kept = it.unauthenticated();
    assert!(kept > 20 && kept < 96, "{kept}");
    let refused: u64 = it.farm.server.stats().refused.values().sum();
    assert_eq!(refused, 1_000 - kept as u64);
    // Those over the cap were closed at once, not kept until a deadline.
    let mut at_once = 0;
    for stream in &mut hostile {
        at_once += u64::from(timeout(Duration::from_millis(1), stream.read(&mut [0])).await.is_ok());
    }
    assert_eq!(at_once, refused);
    advance(seconds(5)).await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(it.unauthenticated(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_misbehaved_waits_and_its_neighbours_do_not() {
    let mut it = Listening::start();
    it.farm.server.note_misbehaviour(it.ca.harvester_id());
    let mut stream = it.tls(it.ca.client()).await.unwrap();
    assert_eq!(it.farm.refused().await, RefusalCause::RateLimited);
    stream.read_to_end(&mut Vec::new()).await.ok();

    // Same address, another certificate of the same CA.
    let layout = SslLayout::of(&it.ca.root);
    let issuer = Issuer::load(&layout.ca(CertificateAuthority::Private), NOW).unwrap();
    let leaf = issuer.issue_leaf(NOW).unwrap();
    let paths = layout.leaf(CertificateAuthority::Private, ServiceName::Harvester);
    std::fs::write(&paths.crt, &*leaf.crt).unwrap();
    std::fs::write(&paths.key, &*leaf.key).unwrap();
    let mut peer = Peer::upgrade(it.tls(it.ca.client()).await.unwrap()).await;
    peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
    it.farm.connected().await;
}

#[tokio::test(start_paused = true)]
async fn accept_errors_are_survived_counted_and_not_hammered() {
    let mut it = Listening::start();
    let start = Instant::now();
    for _ in 0..10 {
        // EMFILE: too many open files.
        it.port.send(Err(io::Error::from_raw_os_error(24))).await.unwrap();
        it.port
            .send(Err(io::ErrorKind::ConnectionAborted.into()))
            .await
            .unwrap();
    }
    let cause = it.farm.refused().await;
    assert!(
        matches!(&cause, RefusalCause::OurFault { detail } if detail.contains("open files")),
        "{cause}"
    );
    let mut peer = Peer::upgrade(it.tls(it.ca.client()).await.unwrap()).await;
    peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
    while !matches!(it.farm.event().await, SessionEvent::Connected { .. }) {}
    assert_eq!(it.farm.server.stats().accept_errors, 20);
    assert!(start.elapsed() > seconds(4) && start.elapsed() < seconds(10));
}

#[tokio::test]
async fn a_port_takes_both_kinds_of_address_and_is_taken_once() {
    let ca = Ca::new();
    let tls = ca.server();
    let mut farm = Farm::with_list(1_000, Arc::clone(tls.list()));
    let listener = Listener::bind(0).unwrap();
    let port = listener.address().port();
    let error = Listener::bind(port).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&port.to_string()) && text.contains("in use"), "{text}");
    assert!(error.may_pass() && error.hint().contains("farmer.port"));
    #[cfg(target_os = "linux")]
    assert!(text.contains(&format!("process {}", std::process::id())), "{text}");

    let serving = tokio::spawn(listener.serve(tls, Arc::clone(&farm.server)));
    let mut hosts = vec!["127.0.0.1"];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("::1");
    }
    for host in hosts {
        let stream = TcpStream::connect((host, port)).await.unwrap();
        let stream = TlsConnector::from(ca.client())
            .connect(chia_server_name(), stream)
            .await
            .unwrap();
        let mut peer = Peer::upgrade(stream).await;
        peer.send(Message::new(MessageType::Handshake, None, &hello())).await;
        let connected = farm.connected().await;
        assert_eq!(connected.peer.address.ip().to_string(), host, "IPv4 stays IPv4");
        peer.send_frame(tokio_tungstenite::tungstenite::Message::Close(None))
            .await;
        assert_eq!(farm.disconnected().await, DisconnectCause::ClosedByPeer);
    }
    farm.server.shutdown.cancel();
    serving.await.unwrap();
    Listener::bind(port).expect("the port is free again");
}

/// What OpenSSL 3.0 sends when it may speak nothing newer than TLS 1.2.
const OPENSSL_TLS_1_2_HELLO: [&str; 3] = [
    "16030100830100007f03030019bc96807891f9c95d68c43fd536e404b1d7e4d8d050a04ce1c7026f6dad36000004c02f",
    "00ff01000052000b000403000102000a000c000a001d0017001e00190018002300000016000000170000000d002a0028",
    "040305030603080708080809080a080b080408050806040105010601030303010302040205020602",
];
