//! Handshakes in memory: who is let in, who is not, and with which word for it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::rustls::client::{ClientSessionMemoryCache, Resumption};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::issue::{Issuer, PemPair, make_private_ca};
use super::*;
use crate::clock::UnixMillis;
use crate::config::Root;
use crate::config::files::{PRIVATE_FILE, set_mode};

/// 2024-06-01: before any clock this runs under, after the fixture's certificates begin.
const NOW: UnixMillis = UnixMillis(1_717_200_000_000);

const OFFICIAL_SSL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/official_ssl");

struct TestRoot {
    _dir: tempfile::TempDir,
    root: Root,
}

impl TestRoot {
    /// A root whose private CA is `ca` and whose certificates are ours.
    fn with_ca(ca: &PemPair) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let layout = SslLayout::of(&root);
        let paths = layout.ca(CertificateAuthority::Private);
        write(&paths, ca);
        let issuer = Issuer::load(&paths, NOW).unwrap();
        for service in [ServiceName::Farmer, ServiceName::Harvester] {
            write(
                &layout.leaf(CertificateAuthority::Private, service),
                &issuer.issue_leaf(NOW).unwrap(),
            );
        }
        Self { _dir: dir, root }
    }

    fn own() -> Self {
        Self::with_ca(&make_private_ca(NOW).unwrap())
    }

    /// The certificates the official software made.
    fn official() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        copy_tree(Path::new(OFFICIAL_SSL), &root.ssl_dir());
        Self { _dir: dir, root }
    }

    fn official_ca() -> PemPair {
        PemPair {
            crt: fs::read_to_string(format!("{OFFICIAL_SSL}/ca/private_ca.crt")).unwrap(),
            key: fs::read_to_string(format!("{OFFICIAL_SSL}/ca/private_ca.key"))
                .unwrap()
                .into(),
        }
    }

    fn server(&self) -> Arc<ServerConfig> {
        farmer_server_config(&self.root).unwrap()
    }

    fn client(&self) -> Arc<ClientConfig> {
        harvester_client_config(&self.root).unwrap()
    }

    fn identity(&self, service: ServiceName) -> Identity {
        Identity::load(&SslLayout::of(&self.root).leaf(CertificateAuthority::Private, service)).unwrap()
    }

    fn anchors(&self) -> RootCertStore {
        identity::read_anchors(&SslLayout::of(&self.root).ca(CertificateAuthority::Private).crt).unwrap()
    }
}

fn write(paths: &CertificatePaths, pem: &PemPair) {
    fs::create_dir_all(paths.crt.parent().unwrap()).unwrap();
    fs::write(&paths.crt, &pem.crt).unwrap();
    fs::write(&paths.key, &*pem.key).unwrap();
    set_mode(&paths.key, PRIVATE_FILE).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            // As the official software leaves its keys; this repository keeps no modes.
            if target.extension().is_some_and(|kind| kind == "key") {
                set_mode(&target, PRIVATE_FILE).unwrap();
            }
        }
    }
}

type Server = server::TlsStream<DuplexStream>;
type Client = client::TlsStream<DuplexStream>;

/// Both ends of a handshake. In TLS 1.3 a client is done before the server has seen its certificate, so what a refused
/// client sees comes from its first read.
async fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> (Result<Server, RefusalCause>, Result<Client, RefusalCause>) {
    let (near, far) = duplex(64 * 1024);
    let accept = async { TlsAcceptor::from(server).accept(near).await.map_err(|e| cause(&e)) };
    let connect = async {
        let mut stream = TlsConnector::from(client).connect(chia_server_name(), far).await?;
        let mut hello = [0];
        stream.read_exact(&mut hello).await?;
        Ok::<_, io::Error>(stream)
    };
    let greet = async {
        let mut stream = accept.await?;
        stream.write_all(b"!").await.map_err(|e| cause(&e))?;
        stream.flush().await.map_err(|e| cause(&e))?;
        Ok(stream)
    };
    let (server, client) = tokio::join!(greet, connect);
    (server, client.map_err(|e| cause(&e)))
}

async fn accepted(server: &TestRoot, client: &TestRoot) {
    let (near, far) = handshake(server.server(), client.client()).await;
    let (near, far) = (near.unwrap(), far.unwrap());
    let shown = |certificates: Option<&[CertificateDer<'_>]>| peer_id(&certificates.unwrap()[0]);
    assert_eq!(
        shown(near.get_ref().1.peer_certificates()),
        client.identity(ServiceName::Harvester).peer_id()
    );
    assert_eq!(
        shown(far.get_ref().1.peer_certificates()),
        server.identity(ServiceName::Farmer).peer_id()
    );
}

#[tokio::test]
async fn certificates_of_our_own_ca_are_accepted_in_both_directions() {
    let root = TestRoot::own();
    accepted(&root, &root).await;
}

#[tokio::test]
async fn official_certificates_are_accepted_in_both_directions() {
    let official = TestRoot::official();
    accepted(&official, &official).await;
}

#[tokio::test]
async fn our_certificates_under_an_official_ca_meet_official_ones() {
    let (official, ours) = (TestRoot::official(), TestRoot::with_ca(&TestRoot::official_ca()));
    accepted(&official, &ours).await;
    accepted(&ours, &official).await;
}

#[tokio::test]
async fn foreign_ca_is_refused_by_both_sides() {
    let (ours, foreign) = (TestRoot::own(), TestRoot::own());
    let (near, far) = handshake(ours.server(), foreign.client()).await;
    // The client looks at the server's certificate first, and says so.
    assert_eq!(far.unwrap_err(), RefusalCause::UnknownCa);
    assert!(matches!(near.unwrap_err(), RefusalCause::RefusedOurCertificate { .. }));

    // A client that would take any of the two servers still does not get in.
    let mut anchors = ours.anchors();
    anchors.roots.extend(foreign.anchors().roots);
    let trusting = client_with(anchors, Some(foreign.identity(ServiceName::Harvester)));
    let (near, far) = handshake(ours.server(), Arc::new(trusting)).await;
    assert_eq!(near.unwrap_err(), RefusalCause::UnknownCa);
    assert!(matches!(far.unwrap_err(), RefusalCause::RefusedOurCertificate { .. }));
}

#[tokio::test]
async fn foreign_ca_of_the_same_name_is_refused_with_the_same_word() {
    // The public Chia CA bears the name of every official private CA, and anybody can sign with it.
    let official = TestRoot::official();
    let layout = SslLayout::of(&official.root);
    let public = Identity::load(&layout.leaf(CertificateAuthority::Chia, ServiceName::Farmer)).unwrap();
    let (near, _) = handshake(
        official.server(),
        Arc::new(client_with(official.anchors(), Some(public))),
    )
    .await;
    assert_eq!(near.unwrap_err(), RefusalCause::UnknownCa);
}

#[tokio::test]
async fn client_without_a_certificate_is_refused() {
    let root = TestRoot::own();
    let (near, far) = handshake(root.server(), Arc::new(client_with(root.anchors(), None))).await;
    assert_eq!(near.unwrap_err(), RefusalCause::NoCertificate);
    assert!(matches!(far.unwrap_err(), RefusalCause::RefusedOurCertificate { .. }));
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    // TLS 1.2 is not even compiled in; this is the hello of a client that offers nothing newer.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]); // random
    hello.push(0); // session id
    hello.extend([0, 2, 0xc0, 0x2b]); // ECDHE-ECDSA-AES128-GCM-SHA256
    hello.extend([1, 0]); // no compression
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23], // groups: P-256
        [0, 13, 0, 4, 0, 2, 4, 3],  // signatures: ECDSA with P-256
    ];
    hello.extend([0, 16]);
    hello.extend(extensions.concat());
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);

    let root = TestRoot::own();
    let (near, mut far) = duplex(1024);
    far.write_all(&record).await.unwrap();
    let error = TlsAcceptor::from(root.server()).accept(near).await.unwrap_err();
    assert_eq!(cause(&error), RefusalCause::TlsTooOld);
}

#[tokio::test]
async fn what_is_not_tls_is_called_so() {
    let root = TestRoot::own();
    let (near, mut far) = duplex(1024);
    far.write_all(b"GET /ws HTTP/1.1\r\nHost: farm:8447\r\n\r\n")
        .await
        .unwrap();
    let error = TlsAcceptor::from(root.server()).accept(near).await.unwrap_err();
    assert_eq!(cause(&error), RefusalCause::NotTls);

    let (near, far) = duplex(1024);
    drop(far);
    let error = TlsAcceptor::from(root.server()).accept(near).await.unwrap_err();
    assert_eq!(cause(&error), RefusalCause::Closed);
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let root = TestRoot::own();
    // As eager to resume as a client can be: a cache of its own, kept across connections.
    let mut eager = client_with(root.anchors(), Some(root.identity(ServiceName::Harvester)));
    eager.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)));
    let eager = Arc::new(eager);
    for _ in 0..2 {
        let (near, far) = handshake(root.server(), Arc::clone(&eager)).await;
        assert_eq!(near.unwrap().get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        let far = far.unwrap();
        assert_eq!(far.get_ref().1.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn expired_certificate_is_refused_with_its_cause() {
    let root = TestRoot::own();
    let ca = SslLayout::of(&root.root).ca(CertificateAuthority::Private);
    let key = rcgen::KeyPair::generate().unwrap();
    let signer = rcgen::Issuer::from_ca_cert_pem(
        &fs::read_to_string(&ca.crt).unwrap(),
        rcgen::KeyPair::from_pem(&fs::read_to_string(&ca.key).unwrap()).unwrap(),
    )
    .unwrap();
    let mut params = rcgen::CertificateParams::new(["chia.net".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2021, 1, 1);
    params.not_after = rcgen::date_time_ymd(2022, 1, 1);
    let expired = params.signed_by(&key, &signer).unwrap();
    let layout = SslLayout::of(&root.root);
    let paths = layout.leaf(CertificateAuthority::Private, ServiceName::Harvester);
    write(
        &paths,
        &PemPair {
            crt: expired.pem(),
            key: key.serialize_pem().into(),
        },
    );
    let (near, _) = handshake(root.server(), root.client()).await;
    assert_eq!(near.unwrap_err(), RefusalCause::Expired);
}

#[tokio::test]
async fn node_link_uses_the_public_ca() {
    let root = TestRoot::own();
    let layout = SslLayout::of(&root.root);
    let chia = Issuer::chia(NOW).unwrap();
    write(
        &layout.leaf(CertificateAuthority::Chia, ServiceName::Farmer),
        &chia.issue_leaf(NOW).unwrap(),
    );
    fs::write(layout.ca(CertificateAuthority::Chia).crt, CHIA_CA_CRT).unwrap();
    let client = node_client_config(&root.root).unwrap();
    // A full node's certificate, as the official software made it, is accepted; a private one is not.
    let node = Identity::load(&CertificatePaths {
        crt: format!("{OFFICIAL_SSL}/full_node/public_full_node.crt").into(),
        key: format!("{OFFICIAL_SSL}/full_node/public_full_node.key").into(),
    })
    .unwrap();
    let (_, far) = handshake(plain_server(node), Arc::clone(&client)).await;
    assert!(far.is_ok());
    let (_, far) = handshake(plain_server(root.identity(ServiceName::Farmer)), client).await;
    assert_eq!(far.unwrap_err(), RefusalCause::UnknownCa);
}

#[test]
fn peer_id_is_the_official_fingerprint() {
    // openssl x509 -fingerprint -sha256 of the fixture's harvester certificate.
    let id = TestRoot::official().identity(ServiceName::Harvester).peer_id();
    assert_eq!(
        id.to_string(),
        "b0f12cadaa762c96aad4d6a76c5abe62a8f9fcc8519ec99f0ae4885d9960f4af"
    );
}

#[test]
fn key_of_another_certificate_is_refused() {
    let (one, other) = (TestRoot::own(), TestRoot::own());
    let paths = |root: &TestRoot| SslLayout::of(&root.root).ca(CertificateAuthority::Private);
    let mixed = CertificatePaths {
        crt: paths(&one).crt,
        key: paths(&other).key,
    };
    assert!(matches!(Issuer::load(&mixed, NOW), Err(TlsError::KeyMismatch { .. })));
    assert!(matches!(Identity::load(&mixed), Err(TlsError::KeyMismatch { .. })));
}

#[test]
fn what_is_no_ca_or_no_longer_one_signs_nothing() {
    let root = TestRoot::own();
    let leaf = SslLayout::of(&root.root).leaf(CertificateAuthority::Private, ServiceName::Farmer);
    let error = Issuer::load(&leaf, NOW).err().unwrap().to_string();
    assert!(error.contains("not the certificate of a CA"), "{error}");
    let ca = SslLayout::of(&root.root).ca(CertificateAuthority::Private);
    let in_2050 = UnixMillis(2_524_608_000_000);
    let error = Issuer::load(&ca, in_2050).err().unwrap().to_string();
    assert!(error.contains("expired on"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_private_key_that_others_can_read_is_refused() {
    let root = TestRoot::own();
    let key = SslLayout::of(&root.root)
        .leaf(CertificateAuthority::Private, ServiceName::Farmer)
        .key;
    for mode in [0o640, 0o604, 0o620] {
        set_mode(&key, mode).unwrap();
        let error = farmer_server_config(&root.root).unwrap_err();
        assert!(matches!(error, TlsError::TooOpen { .. }), "{error}");
        assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", key.display()));
    }
    set_mode(&key, 0o400).unwrap();
    assert!(farmer_server_config(&root.root).is_ok());
}

#[test]
fn damaged_files_are_named() {
    let root = TestRoot::own();
    let paths = SslLayout::of(&root.root).leaf(CertificateAuthority::Private, ServiceName::Farmer);
    for content in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "\u{0}\u{ff}",
    ] {
        fs::write(&paths.crt, content).unwrap();
        let error = farmer_server_config(&root.root).unwrap_err();
        assert!(error.to_string().contains("private_farmer.crt"), "{content:?}: {error}");
    }
    fs::remove_file(&paths.crt).unwrap();
    let error = farmer_server_config(&root.root).unwrap_err();
    assert!(matches!(error, TlsError::Unreadable { .. }), "{error}");
}

#[test]
fn clock_far_off_still_gives_certificates_or_an_error() {
    for now in [0, 1, 4_102_444_800_000, u64::MAX] {
        let now = UnixMillis(now);
        if let Ok(ca) = make_private_ca(now) {
            assert!(CertificateDer::from_pem_slice(ca.crt.as_bytes()).is_ok());
            assert!(PrivateKeyDer::from_pem_slice(ca.key.as_bytes()).is_ok());
        }
        let _ = Issuer::chia(now).and_then(|chia| chia.issue_leaf(now));
    }
}

fn client_with(anchors: RootCertStore, identity: Option<Identity>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(anchors);
    match identity {
        Some(identity) => {
            let (chain, key) = identity.into_parts();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

fn plain_server(identity: Identity) -> Arc<ServerConfig> {
    let (chain, key) = identity.into_parts();
    Arc::new(
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap(),
    )
}
