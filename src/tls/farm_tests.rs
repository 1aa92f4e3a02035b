//! The farm's two authorities and the gate: both halves of it are needed, and a harvester's certificate opens nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::{client_verifier, verify_server};
use super::*;
use crate::clock::{Now, UnixMillis};
use crate::config::Root;
use crate::config::files::{FileMode, PRIVATE_FILE, replace_file};
use crate::config::{HarvesterName, LegacyCa};
use crate::init::{InitOptions, init};
use crate::registry::{AllowList, MemberOrigin, Registry, RegistryError};
use crate::system_clock::unix_now;

/// A farm whose root has a private CA in Chia's place, with a registry in memory.
struct Farm {
    _dir: tempfile::TempDir,
    root: Root,
    ca: FarmCa,
    list: Arc<AllowList>,
    time: Arc<TrustedClock>,
    /// What this machine's clock says besides what it should, milliseconds.
    clock_off: Arc<AtomicI64>,
}

impl Farm {
    fn new(legacy: LegacyCa) -> Self {
        Self::with_ca(legacy, None)
    }

    fn with_ca(legacy: LegacyCa, ca_dir: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let options = InitOptions {
            ca_dir,
            network: None,
            now: unix_now(),
        };
        init(&root, &options).unwrap();
        let list = AllowList::in_memory(Registry::new("00112233".to_owned()), legacy);
        let ca = FarmCa::open_or_make(&root, "00112233", unix_now()).unwrap();
        let clock_off = Arc::new(AtomicI64::new(0));
        let (off, clock) = (Arc::clone(&clock_off), crate::system_clock::Clock::start());
        let time = TrustedClock::in_memory(move || {
            let now = clock.now();
            let unix = UnixMillis(now.unix.0.saturating_add_signed(off.load(Ordering::Relaxed)));
            Now { unix, ..now }
        });
        Self {
            _dir: dir,
            root,
            ca,
            list: Arc::new(list),
            time: Arc::new(time),
            clock_off,
        }
    }

    fn tls(&self) -> FarmerTls {
        FarmerTls::load(&self.root, &self.ca, Arc::clone(&self.list), Arc::clone(&self.time)).unwrap()
    }

    /// A harvester with a certificate of the client CA, which is not in the registry yet.
    fn member(&self, now: UnixMillis) -> (Membership, IssuedCertificate) {
        self.member_in(now.into())
    }

    fn member_in(&self, now: TimeSpan) -> (Membership, IssuedCertificate) {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let key_of_request = RequestedKey::of_request(request.der()).unwrap();
        let issued = self.ca.issue(&key_of_request, &name(), MemberOrigin::Own, now).unwrap();
        let server_ca = self.ca.server_ca_pem().unwrap();
        let pem = key.serialize_pem().into();
        let member = Membership::new(name(), "00112233".to_owned(), server_ca, issued.pem.clone(), pem).unwrap();
        (member, issued)
    }

    fn enrol(&self, issued: &IssuedCertificate) {
        let record = issued.record.clone();
        let enrol = |registry: &mut Registry| {
            registry.enrol(&name(), MemberOrigin::Own, record, 1).unwrap();
            Ok::<_, RegistryError>(())
        };
        self.list.change(enrol).unwrap();
    }

    /// What became of a client's certificate at this farm's port; `Ok` if it was let in.
    async fn knock(&self, client: Arc<ClientConfig>) -> Result<(), Objection> {
        self.knock_at(self.tls().for_harvester().unwrap(), client).await
    }

    async fn knock_at(
        &self,
        (config, examined): (Arc<ServerConfig>, Examined),
        client: Arc<ClientConfig>,
    ) -> Result<(), Objection> {
        let let_in = handshake(config, client).await;
        let objection = examined.take().and_then(|it| it.objection);
        match objection {
            Some(objection) => Err(objection),
            None => {
                assert!(let_in, "refused without an objection");
                Ok(())
            }
        }
    }

    fn chia_client(&self) -> Arc<ClientConfig> {
        harvester_client_config(&self.root).unwrap()
    }
}

fn signed(ms: u64) -> i64 {
    ms.try_into().unwrap()
}

fn name() -> HarvesterName {
    "rack1-a".parse().unwrap()
}

async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> bool {
    let (near, far) = duplex(64 << 10);
    let serve = async {
        let mut stream = TlsAcceptor::from(server).accept(near).await.ok()?;
        stream.write_all(b"!").await.ok()?;
        stream.flush().await.ok()
    };
    let dial = async {
        let mut stream = TlsConnector::from(client).connect(chia_server_name(), far).await.ok()?;
        stream.read_exact(&mut [0]).await.ok()
    };
    let (served, dialled) = tokio::join!(serve, dial);
    served.is_some() && dialled.is_some()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(unix_now().0))
}

#[tokio::test]
async fn certificate_must_be_good_and_listed() {
    let farm = Farm::new(LegacyCa::Off);
    let (member, issued) = farm.member(unix_now());
    // Good, but not listed: what a stolen client CA makes.
    assert_eq!(
        farm.knock(member.client_config().unwrap()).await,
        Err(Objection::NotListed)
    );
    farm.enrol(&issued);
    assert_eq!(farm.knock(member.client_config().unwrap()).await, Ok(()));
    // Listed, but signed by somebody else.
    let other = Farm::new(LegacyCa::Off);
    let (stranger, of_stranger) = other.member(unix_now());
    farm.enrol(&of_stranger);
    let key = stranger.key().clone();
    let server_ca = farm.ca.server_ca_pem().unwrap();
    let forged = Membership::new(name(), "00112233".to_owned(), server_ca, of_stranger.pem, key).unwrap();
    assert_eq!(
        farm.knock(forged.client_config().unwrap()).await,
        Err(Objection::NotValid)
    );
}

#[tokio::test]
async fn harvesters_of_chias_ca_and_members_are_served_on_one_port() {
    let farm = Farm::new(LegacyCa::Open);
    let (member, issued) = farm.member(unix_now());
    farm.enrol(&issued);
    assert_eq!(farm.knock(farm.chia_client()).await, Ok(()));
    assert_eq!(farm.knock(member.client_config().unwrap()).await, Ok(()));
    assert_eq!(farm.list.registry().members().len(), 2);
    farm.list.set_legacy(LegacyCa::Off);
    let refused = farm.knock(farm.chia_client()).await;
    assert!(matches!(refused, Err(Objection::OtherCa { .. })), "{refused:?}");
    assert_eq!(farm.knock(member.client_config().unwrap()).await, Ok(()));
}

#[tokio::test]
async fn harvester_of_chias_ca_waits_until_a_person_lets_it_in() {
    let farm = Farm::new(LegacyCa::Approve);
    assert_eq!(farm.knock(farm.chia_client()).await, Err(Objection::Pending));
    let waiting = farm.list.registry().members()[0].newest().unwrap().sha256.to_string();
    let approve = |registry: &mut Registry| {
        registry.approve(&waiting, None).unwrap();
        Ok::<_, RegistryError>(())
    };
    farm.list.change(approve).unwrap();
    assert_eq!(farm.knock(farm.chia_client()).await, Ok(()));
}

#[tokio::test]
async fn clock_that_is_wrong_by_years_shuts_nobody_out() {
    let farm = Farm::new(LegacyCa::Open);
    let (member, issued) = farm.member(unix_now());
    farm.enrol(&issued);
    let ten_years = 10 * 365 * 86_400_000;
    let wrong = [ten_years, -ten_years, -signed(unix_now().0)];
    // At a start with a wrong clock, where nothing is known but when this program was made; then after a node has
    // confirmed the clock, which jumps afterwards.
    for is_confirmed in [false, true] {
        farm.clock_off.store(0, Ordering::Relaxed);
        if is_confirmed {
            farm.time.handle_witness(Witness::Block, unix_now().seconds());
        }
        for off in wrong {
            farm.clock_off.store(off, Ordering::Relaxed);
            assert_eq!(farm.knock(member.client_config().unwrap()).await, Ok(()), "{off}");
            // Known by the CA alone, as the guide has it.
            assert_eq!(farm.knock(farm.chia_client()).await, Ok(()), "{off}");
            // What is given out meanwhile is good for machines whose clock is right.
            let (later, of_later) = farm.member_in(farm.time.span());
            farm.enrol(&of_later);
            assert_eq!(farm.knock(later.client_config().unwrap()).await, Ok(()), "{off}");
            let dates = (of_later.record.not_before_unix_s, of_later.record.not_after_unix_s);
            assert!((dates.0..dates.1).contains(&unix_now().seconds()), "{off} {dates:?}");
            farm.ca.renew_farmer(farm.time.span()).unwrap();
            let farmer = der(&std::fs::read_to_string(farm.root.farm_ca_dir().join("farmer.crt")).unwrap());
            let anchors = identity::read_anchors(&farm.root.farm_ca_dir().join("server_ca.crt")).unwrap();
            assert!(verify_server(&farmer, &[], anchors, now()).is_ok(), "{off}");
        }
    }
}

#[tokio::test]
async fn official_harvester_that_sends_a_ca_of_today_along_is_served_before_the_clock_is_confirmed() {
    let ca_dir = tempfile::tempdir().unwrap();
    // Official CAs begin when they are made, and the certificates they sign a day before that.
    let ca = issue::make_private_ca(UnixMillis(unix_now().0 + 86_400_000)).unwrap();
    for (name, pem) in [("private_ca.crt", ca.crt.as_str()), ("private_ca.key", ca.key.as_str())] {
        replace_file(
            &ca_dir.path().join(name),
            pem.as_bytes(),
            FileMode::Exactly(PRIVATE_FILE),
        )
        .unwrap();
    }
    let farm = Farm::with_ca(LegacyCa::Open, Some(ca_dir.path().to_path_buf()));
    // OpenSSL sends every certificate it can find on the way up.
    let harvester = SslLayout::of(&farm.root).leaf(CertificateAuthority::Private, ServiceName::Harvester);
    let mut chain = std::fs::read_to_string(&harvester.crt).unwrap();
    chain.push_str(&ca.crt);
    std::fs::write(&harvester.crt, chain).unwrap();
    assert!(!farm.time.span().is_exact());
    assert_eq!(farm.knock(farm.chia_client()).await, Ok(()));
    farm.list.set_legacy(LegacyCa::Off);
    let refused = farm.knock(farm.chia_client()).await;
    assert!(matches!(refused, Err(Objection::OtherCa { .. })), "{refused:?}");
}

#[tokio::test]
async fn listed_certificate_that_has_ended_is_good_for_a_new_one_and_nothing_else() {
    let farm = Farm::new(LegacyCa::Off);
    let ten_years = 10 * 365 * 86_400_000;
    let (early, of_early) = farm.member(UnixMillis(unix_now().0 - ten_years));
    farm.enrol(&of_early);
    let client = || early.client_config().unwrap();
    assert_eq!(farm.knock(client()).await, Err(Objection::NotValid));
    assert_eq!(farm.knock_at(farm.tls().for_renewal().unwrap(), client()).await, Ok(()));
}

#[tokio::test]
async fn session_is_never_resumed_so_that_a_revoked_certificate_is_asked_for_again() {
    use tokio_rustls::rustls::HandshakeKind;

    let farm = Farm::new(LegacyCa::Off);
    let (member, issued) = farm.member(unix_now());
    farm.enrol(&issued);
    // A client that keeps whatever session it can get.
    let mut eager = Arc::unwrap_or_clone(member.client_config().unwrap());
    eager.resumption = tokio_rustls::rustls::client::Resumption::in_memory_sessions(8);
    let eager = Arc::new(eager);
    let tls = farm.tls();
    for _ in 0..3 {
        let (near, far) = duplex(64 << 10);
        let serve = async {
            let mut stream = TlsAcceptor::from(tls.for_harvester().unwrap().0)
                .accept(near)
                .await
                .unwrap();
            stream.write_all(b"!").await.unwrap();
            stream.flush().await.unwrap();
            stream.get_ref().1.handshake_kind()
        };
        let dial = async {
            let connector = TlsConnector::from(Arc::clone(&eager));
            let mut stream = connector.connect(chia_server_name(), far).await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
        };
        let (kind, ()) = tokio::join!(serve, dial);
        assert_eq!(kind, Some(HandshakeKind::Full));
    }
    let revoke = |registry: &mut Registry| {
        registry.revoke("rack1-a", 1).unwrap();
        Ok::<_, RegistryError>(())
    };
    farm.list.change(revoke).unwrap();
    assert_eq!(farm.knock(eager).await, Err(Objection::Revoked));
}

#[test]
fn harvesters_certificate_opens_nothing_that_trusts_chias_ca_and_is_no_farmers() {
    let farm = Farm::new(LegacyCa::Open);
    let (_, issued) = farm.member(unix_now());
    let leaf = der(&issued.pem);
    let read = |file: &str| der(&std::fs::read_to_string(farm.root.farm_ca_dir().join(file)).unwrap());
    let (cross, server_ca, client_ca) = (
        read("server_ca_by_chia.crt"),
        read("server_ca.crt"),
        read("client_ca.crt"),
    );
    let chia = || {
        let path = SslLayout::of(&farm.root).ca(CertificateAuthority::Private).crt;
        identity::read_anchors(&path).unwrap()
    };
    // The four attacks of the design, on whatever trusts Chia's CA.
    let attacks = [
        vec![],
        vec![cross.clone()],
        vec![client_ca.clone()],
        vec![client_ca, server_ca, cross.clone()],
    ];
    for sent in attacks {
        let door = client_verifier(chia()).unwrap();
        assert!(
            door.verify_client_cert(&leaf, &sent, now()).is_err(),
            "let in with {}",
            sent.len()
        );
        assert!(
            verify_server(&leaf, &sent, chia(), now()).is_err(),
            "taken for a farmer"
        );
    }
    // Even a harvester's certificate of the server CA would not get in: the cross-certificate is for servers only.
    let farmers = der(&std::fs::read_to_string(farm.root.farm_ca_dir().join("farmer.crt")).unwrap());
    let door = client_verifier(chia()).unwrap();
    assert!(
        door.verify_client_cert(&farmers, std::slice::from_ref(&cross), now())
            .is_err()
    );
    assert!(verify_server(&farmers, &[cross], chia(), now()).is_ok(), "the control");
}

#[test]
fn key_in_a_token_is_enough_to_know_the_farmer() {
    let farm = Farm::new(LegacyCa::Off);
    let anchors = |key: &CaKey| tokio_rustls::rustls::RootCertStore {
        roots: vec![farm_params::anchor_of_key(key)],
    };
    let farmer = der(&std::fs::read_to_string(farm.root.farm_ca_dir().join("farmer.crt")).unwrap());
    let key = farm.ca.server_key().unwrap();
    assert!(verify_server(&farmer, &[], anchors(&key), now()).is_ok());
    let other = Farm::new(LegacyCa::Off).ca.server_key().unwrap();
    assert!(verify_server(&farmer, &[], anchors(&other), now()).is_err());
    // The name of the right CA with another key is no help.
    let mut forged = anchors(&key);
    forged.roots[0].subject_public_key_info = anchors(&other).roots[0].subject_public_key_info.clone();
    assert!(verify_server(&farmer, &[], forged, now()).is_err());
}

#[test]
fn authorities_are_made_once_and_chias_key_is_not_needed_again() {
    let farm = Farm::new(LegacyCa::Open);
    let files = || -> Vec<_> {
        let dir = std::fs::read_dir(farm.root.farm_ca_dir()).unwrap();
        let mut files: Vec<_> = dir
            .map(|it| it.unwrap().path())
            .map(|it| (std::fs::read(&it).unwrap(), it))
            .collect();
        files.sort();
        files
    };
    let before = files();
    std::fs::remove_file(SslLayout::of(&farm.root).ca(CertificateAuthority::Private).key).unwrap();
    let again = FarmCa::open_or_make(&farm.root, "00112233", unix_now()).unwrap();
    assert_eq!(files(), before);
    assert!(again.can_serve_both(unix_now()));
    // A year later it has a new certificate of its own, under the same authorities.
    let later = UnixMillis(unix_now().0 + 300 * 86_400_000);
    assert!(again.renew_farmer(later).unwrap());
}

#[test]
fn who_has_not_followed_a_rotation_is_known_whatever_the_clock_said() {
    let farm = Farm::new(LegacyCa::Off);
    let (_, old) = farm.member(unix_now());
    assert!(!farm.ca.is_of_old(&old.record));
    // Less is known of the time after a start, so that new authorities begin before what the old ones signed.
    let less = UnixMillis(unix_now().0 - 86_400_000);
    farm.ca.rotate(less).unwrap();
    let (_, new) = farm.member(less);
    assert!(farm.ca.is_of_old(&old.record) && !farm.ca.is_of_old(&new.record));
    farm.ca.finish_rotation().unwrap();
    assert!(!farm.ca.is_of_old(&old.record));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::SourceParallel("tests/regressions"))),
        ..Default::default()
    })]

    /// A request with one byte changed is refused, unless the change is where nothing is signed or looked at.
    #[test]
    fn damaged_request_is_refused_and_never_a_panic(at in 0_usize..400, bit in 0_u8..8, garbage: Vec<u8>) {
        static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
        });
        let good = RequestedKey::of_request(&GOOD).unwrap();
        let mut bad = GOOD.clone();
        let at = at % bad.len();
        bad[at] ^= 1 << bit;
        if let Ok(key) = RequestedKey::of_request(&bad) {
            proptest::prop_assert_eq!(key, good);
        }
        proptest::prop_assert!(RequestedKey::of_request(&garbage).is_err());
    }
}
