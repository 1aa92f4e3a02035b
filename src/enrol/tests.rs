//! Joining a farm, over real TLS on loopback, and what nobody gets in with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{HarvesterName, LegacyCa};
use crate::config::{HostPort, Root};
use crate::net::{
    AdmissionLimits, DialOptions, IdentityRates, Listener, Server, ServerOptions, SessionEvent, SessionIds, connect,
};
use crate::registry::{AllowList, MemberOrigin, Verdict};
use crate::snapshot::RefusalCause;
use crate::system_clock::Clock;
use crate::tls::{FarmCa, FarmerTls, HarvesterTls, Membership, TrustedClock, chia_server_name, joiner_config};
use crate::wire::ProtocolVersion;
use crate::wire::enrol::{JoinAnswer, JoinKind, JoinRequest, MAX_JOIN_ANSWER};
use crate::wire::token::{Token, TokenSecret};

/// A farmer that listens on loopback, without a core.
struct Farm {
    dir: tempfile::TempDir,
    list: Arc<AllowList>,
    desk: Arc<Desk>,
    server: Arc<Server>,
    events: mpsc::Receiver<SessionEvent>,
    port: u16,
    clock: Clock,
    tls: Arc<FarmerTls>,
}

impl Farm {
    fn start() -> Self {
        Self::start_on(tempfile::tempdir().unwrap())
    }

    fn start_on(dir: tempfile::TempDir) -> Self {
        let root = Root::new(dir.path());
        let clock = Clock::start();
        let time = Arc::new(TrustedClock::in_memory(move || clock.now()));
        let list = Arc::new(AllowList::open(&root, LegacyCa::Off).unwrap());
        let ca = FarmCa::open_or_make(&root, &list.farm_id(), time.span()).unwrap();
        let tls = Arc::new(FarmerTls::load(&root, &ca, Arc::clone(&list), Arc::clone(&time)).unwrap());
        let desk = Arc::new(Desk::new(ca, Arc::clone(&list), "simulator1".to_owned(), clock, time));
        let (sender, events) = mpsc::channel(100);
        let listener = Listener::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = listener.address().port();
        let server = Server::new(ServerOptions {
            network_id: "simulator1".to_owned(),
            server_port: port,
            events: sender,
            session_ids: SessionIds::default(),
            shutdown: CancellationToken::new(),
            clock,
            admission: AdmissionLimits::default(),
            identities: IdentityRates::default(),
            list: Arc::clone(&list),
            desk: Some(Arc::clone(&desk)),
        });
        tokio::spawn(listener.serve(Arc::clone(&tls), Arc::clone(&server)));
        Self {
            dir,
            list,
            desk,
            server,
            events,
            port,
            clock,
            tls,
        }
    }

    fn tls(&self) -> &FarmerTls {
        &self.tls
    }

    fn address(&self) -> HostPort {
        HostPort::new("127.0.0.1", self.port)
    }

    fn invite(&self, name: &str) -> Token {
        let addresses = vec![self.address().to_string()];
        self.desk
            .invite(&self::name(name), Duration::from_secs(60), None, addresses)
            .unwrap()
    }

    /// What the farmer was told of the next refusal.
    async fn refused(&mut self) -> RefusalCause {
        match self.event().await {
            SessionEvent::Refused { cause, .. } => cause,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    async fn event(&mut self) -> SessionEvent {
        timeout(Duration::from_secs(20), self.events.recv())
            .await
            .expect("nothing happened")
            .expect("the server is gone")
    }

    /// Connects as a harvester with what a membership gives.
    async fn farm_as(&self, membership: &Membership) -> Result<(), String> {
        let tls = HarvesterTls {
            config: membership.client_config().unwrap(),
            farmer_name: membership.farmer_name().unwrap(),
        };
        let reached = crate::net::reach(&self.address(), &tls.config, tls.farmer_name)
            .await
            .map_err(|error| error.to_string())?;
        let options = DialOptions {
            network_id: "simulator1".to_owned(),
            protocol_version: ProtocolVersion::CURRENT,
            host: self.address().to_string(),
            address: reached.address,
            farmer_id: reached.peer_id,
        };
        let link = connect(reached.stream, options)
            .await
            .map_err(|error| error.to_string())?;
        let (to_farmer, outgoing) = mpsc::channel(1);
        let (incoming, from_farmer) = mpsc::channel(1);
        tokio::spawn(async move {
            let _open = (to_farmer, from_farmer);
            link.run(outgoing, incoming, &CancellationToken::new()).await
        });
        Ok(())
    }
}

fn name(text: &str) -> HarvesterName {
    text.parse().unwrap()
}

/// A connection on which TLS for joiners is done.
async fn at_the_desk(farm: &Farm, token: &Token) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", farm.port)).await.unwrap();
    let config = joiner_config(&token.ca_key).unwrap();
    TlsConnector::from(config)
        .connect(chia_server_name(), stream)
        .await
        .unwrap()
}

/// The request of a joiner that makes `request` its own.
fn request_with(token: &Token, stream: &TlsStream<TcpStream>, request: Vec<u8>) -> JoinRequest {
    let channel = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], proof::EXPORTER, None)
        .unwrap();
    JoinRequest {
        invitation: token.id,
        kind: JoinKind::Own,
        proof: proof::of_joiner(&token.secret, &channel, &request),
        request,
        network: String::new(),
    }
}

async fn answer_to(farm: &Farm, token: &Token, request: Vec<u8>) -> JoinAnswer {
    let mut stream = at_the_desk(farm, token).await;
    let request = request_with(token, &stream, request);
    frame::write(&mut stream, &request).await.unwrap();
    frame::read(&mut stream, MAX_JOIN_ANSWER).await.unwrap()
}

#[tokio::test]
async fn invited_machine_joins_farms_and_is_out_within_a_second_of_being_revoked() {
    let mut farm = Farm::start();
    let token: Token = farm.invite("rack1-a").to_string().parse().unwrap();
    let key = JoinKey::make().unwrap();
    let joined = join(&token, JoinKind::Own, None, &key).await.unwrap();
    assert_eq!(
        (joined.network.as_str(), &joined.farmer),
        ("simulator1", &farm.address())
    );
    assert_eq!(joined.membership.name(), &name("rack1-a"));
    let id = joined.membership.facts().unwrap().record.sha256;
    let kept = AllowList::open(&Root::new(farm.dir.path()), LegacyCa::Off).unwrap();
    assert_eq!(kept.judge(id), Verdict::Allowed, "on disk before it was sent");

    farm.farm_as(&joined.membership).await.unwrap();
    let connected = farm.event().await;
    assert!(matches!(&connected, SessionEvent::Connected { peer, .. } if peer.peer_id == id));
    farm.list
        .change(|registry| Ok::<_, DeskError>(registry.revoke("rack1-a", 1)?))
        .unwrap();
    let gone = timeout(Duration::from_secs(1), farm.event())
        .await
        .expect("still connected");
    assert!(
        matches!(&gone, SessionEvent::Disconnected { cause, .. } if cause.to_string().contains("counts no more")),
        "{gone:?}"
    );
    farm.farm_as(&joined.membership).await.unwrap_err();
    assert_eq!(farm.refused().await, RefusalCause::Revoked);
}

#[tokio::test]
async fn answer_that_was_lost_is_given_again_and_to_nobody_else() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = JoinKey::make().unwrap();
    let first = join(&token, JoinKind::Own, None, &key).await.unwrap().membership;
    let again = join(&token, JoinKind::Own, None, &key).await.unwrap().membership;
    assert_eq!(first.certificate(), again.certificate());
    let other = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap_err();
    assert!(other.to_string().contains("has been used"), "{other}");
}

#[tokio::test]
async fn machine_that_is_set_to_another_network_is_told_as_the_farmer_is_and_its_token_stays_good() {
    let mut farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = JoinKey::make().unwrap();
    let set_to = |name: &str| SetNetwork {
        name: name.to_owned(),
        file: "/srv/barn/config/config.yaml".into(),
    };
    let refused = join(&token, JoinKind::Own, Some(&set_to("testnet11")), &key)
        .await
        .unwrap_err();
    assert_eq!(
        format!("{refused}; {}", refused.hint()),
        format!(
            "join the farm of {}: it is on the network simulator1, and /srv/barn/config/config.yaml sets this machine to \
             testnet11; the token is still good: set `selected_network: simulator1` in /srv/barn/config/config.yaml, and \
             join again",
            farm.address()
        )
    );
    let cause = farm.refused().await;
    assert_eq!(
        cause.to_string(),
        "it may not join: it is set to the network testnet11, this farm is on simulator1"
    );
    assert!(farm.list.registry().members().is_empty());
    join(&token, JoinKind::Own, Some(&set_to("simulator1")), &key)
        .await
        .unwrap();
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn of_two_machines_that_race_for_one_token_exactly_one_joins() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let (one, two) = (JoinKey::make().unwrap(), JoinKey::make().unwrap());
    let (a, b) = tokio::join!(
        join(&token, JoinKind::Own, None, &one),
        join(&token, JoinKind::Own, None, &two)
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn without_an_invitation_nothing_is_said_to_whoever_wants_to_join() {
    let mut farm = Farm::start();
    let mut token = farm.invite("rack1-a");
    // As if the farmer had been started anew since.
    let other = Farm::start();
    token.addresses = vec![other.address().to_string()];
    let error = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::HungUp { .. }), "{error}");
    let stream = TcpStream::connect(("127.0.0.1", farm.port)).await.unwrap();
    let config = joiner_config(&other.desk.ca().server_key().unwrap()).unwrap();
    // It is told who answers, knows that this is not the farmer of its token, and has sent nothing.
    let shaken = TlsConnector::from(config).connect(chia_server_name(), stream).await;
    assert_eq!(
        crate::tls::cause(&shaken.unwrap_err()),
        crate::tls::RefusalCause::UnknownCa
    );
    assert!(matches!(farm.refused().await, RefusalCause::PeerRefusedUs { .. }));
    assert!(farm.list.registry().members().is_empty());
}

#[tokio::test]
async fn wrong_secret_is_refused_and_five_of_them_cancel_the_invitation() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let guess = Token {
        secret: TokenSecret([0; 16]),
        ..token.clone()
    };
    for n in 1..=5 {
        let error = join(&guess, JoinKind::Own, None, &JoinKey::make().unwrap())
            .await
            .unwrap_err();
        let expected = if n < 5 { "the proof is wrong" } else { "is cancelled" };
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, JoinError::HungUp { .. }), "{error}");
    assert_eq!(farm.desk.burned().len(), 1);
    assert!(farm.list.registry().members().is_empty());
}

#[tokio::test]
async fn request_that_asks_for_more_gets_a_harvesters_certificate_and_no_more() {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["evil.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "farmer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = params.serialize_request(&key).unwrap();
    let answer = answer_to(&farm, &token, request.der().to_vec()).await;
    let JoinAnswer::Granted(grant) = answer else {
        panic!("{answer:?}")
    };
    let der = <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(
        grant.certificate.as_bytes(),
    )
    .unwrap();
    let (_, x509) = X509Certificate::from_der(&der).unwrap();
    assert!(!x509.is_ca());
    assert_eq!(x509.subject().to_string(), "CN=rack1-a");
    let usage = x509.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let names = x509.subject_alternative_name().unwrap().unwrap().value;
    let names: Vec<_> = names.general_names.iter().map(ToString::to_string).collect();
    assert!(names.len() == 2 && names[0].contains("chia.net"), "{names:?}");
}

#[tokio::test]
async fn what_is_no_request_gets_no_certificate_and_leaves_the_invitation_good() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    // A damaged request, and one that somebody else's key is in.
    let mut request = rcgen::CertificateParams::default()
        .serialize_request(&rcgen::KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec();
    let last = request.len() - 1;
    request[last] ^= 1;
    for bad in [vec![0x30, 0x03, 1, 2, 3], request] {
        let answer = answer_to(&farm, &token, bad).await;
        assert!(matches!(answer, JoinAnswer::Refused { .. }), "{answer:?}");
    }
    // A length that nobody means.
    let mut stream = at_the_desk(&farm, &token).await;
    stream.write_u32(u32::MAX).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.ok();
    join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_stalls_at_the_desk_is_gone_after_five_seconds_and_the_token_is_good() {
    let token_bytes = 200;
    for sent in [0, 1, 4, 60, token_bytes] {
        let mut farm = Farm::start();
        let token = farm.invite("rack1-a");
        let mut stream = at_the_desk(&farm, &token).await;
        let mut bytes = vec![0, 0, 1, 44];
        bytes.resize(sent.max(4), 7);
        stream.write_all(&bytes[..sent]).await.unwrap();
        stream.flush().await.unwrap();
        let start = tokio::time::Instant::now();
        stream.read_to_end(&mut Vec::new()).await.ok();
        assert!(start.elapsed() <= Duration::from_secs(6), "{sent}");
        assert_eq!(farm.refused().await, RefusalCause::HandshakeTimeout);
        assert_eq!(farm.server.stats().unauthenticated, 0);
        assert_eq!(farm.desk.waiting().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn request_that_stops_at_any_byte_costs_nothing_but_time() {
    let farm = Farm::start();
    let server = farm.tls().for_joiner().unwrap().unwrap();
    let host: std::net::IpAddr = [10, 0, 0, 7].into();
    let length = 4 + request_bytes(&JoinKey::make().unwrap());
    assert!(length > 200, "{length}");
    for sent in 0..length {
        let token = farm.invite("rack1-a");
        let key = JoinKey::make().unwrap();
        // In memory, so that paused time does not run ahead of the system's sockets.
        let (near, far) = tokio::io::duplex(64 << 10);
        let connector = TlsConnector::from(joiner_config(&token.ca_key).unwrap());
        let (near, far) = tokio::join!(
            tokio_rustls::TlsAcceptor::from(Arc::clone(&server)).accept(near),
            connector.connect(chia_server_name(), far)
        );
        let (near, mut far) = (near.unwrap(), far.unwrap());
        let channel = far.get_ref().1.export_keying_material([0; 32], proof::EXPORTER, None);
        let request = JoinRequest {
            invitation: token.id,
            kind: JoinKind::Own,
            request: key.request().to_vec(),
            network: String::new(),
            proof: proof::of_joiner(&token.secret, &channel.unwrap(), key.request()),
        };
        let mut bytes = Vec::new();
        frame::write(&mut bytes, &request).await.unwrap();
        far.write_all(&bytes[..sent.min(bytes.len() - 1)]).await.unwrap();
        far.flush().await.unwrap();
        // More than its share of tries is refused before this, which another test shows.
        tokio::time::advance(Duration::from_secs(10)).await;
        let place = farm.desk.admit(host, farm.clock.mono()).unwrap();
        let served = timeout(Duration::from_secs(5), farm.desk.serve_joiner(near, host, place)).await;
        assert!(served.is_err(), "served after {sent} bytes");
        assert_eq!(farm.desk.waiting().len(), 1, "{sent}");
    }
    assert!(farm.list.registry().members().is_empty());
}

fn request_bytes(key: &JoinKey) -> usize {
    use crate::wire::Streamable as _;

    let request = key.request().to_vec();
    let request = JoinRequest {
        invitation: [0; 4],
        kind: JoinKind::Own,
        request,
        network: String::new(),
        proof: [0; 32],
    };
    request.to_bytes().len()
}

#[tokio::test]
async fn farmer_that_is_killed_before_it_answers_has_the_machine_listed_and_takes_it_again() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let lost = JoinKey::make().unwrap();
    let mut stream = at_the_desk(&farm, &token).await;
    let request = request_with(&token, &stream, lost.request().to_vec());
    frame::write(&mut stream, &request).await.unwrap();
    // The registry is on disk before anything is said; then the farmer is gone, and so are its invitations.
    while AllowList::open(&Root::new(farm.dir.path()), LegacyCa::Off)
        .unwrap()
        .registry()
        .members()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    let farm = Farm::start_on(farm.dir);
    let before = farm.list.registry().members()[0].newest().unwrap().sha256;
    let again = Token {
        addresses: vec![farm.address().to_string()],
        ..token
    };
    let refused = join(&again, JoinKind::Own, None, &lost).await.unwrap_err();
    assert!(matches!(refused, JoinError::HungUp { .. }), "{refused}");
    // A new invitation under the same name; what nobody has got counts no more once the new one is used.
    let joined = join(&farm.invite("rack1-a"), JoinKind::Own, None, &lost).await.unwrap();
    farm.farm_as(&joined.membership).await.unwrap();
    let id = joined.membership.facts().unwrap().record.sha256;
    while farm.list.judge(before) != Verdict::Unknown {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(farm.list.judge(id), Verdict::Allowed);
    assert_eq!(farm.list.registry().members().len(), 1);
}

#[tokio::test]
async fn doctor_says_by_how_much_a_certificate_is_out_of_date_and_who_signed_it() {
    use crate::registry::{CertificateRecord, MemberOrigin};
    use crate::tls::RequestedKey;

    let mut farm = Farm::start();
    let now = crate::system_clock::unix_now();
    let day = 86_400_000;
    let other = Farm::start();
    // Of this farm, listed, ended 100 days ago; and of another farm, good for as long.
    for (maker, days_later) in [(&farm, 0), (&other, 200)] {
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let at = crate::clock::UnixMillis(now.0 - (365 + 100) * day + days_later * day);
        let request = RequestedKey::of_request(request.der()).unwrap();
        let issued = maker
            .desk
            .ca()
            .issue(&request, &name("rack1-a"), MemberOrigin::Own, at)
            .unwrap();
        let record: CertificateRecord = issued.record;
        farm.list
            .change(|it| Ok::<_, DeskError>(it.enrol(&name("rack1-a"), MemberOrigin::Own, record, 1)?))
            .unwrap();
        let server_ca = farm.desk.ca().server_ca_pem().unwrap();
        let pem = key.serialize_pem().into();
        let member = Membership::new(name("rack1-a"), farm.list.farm_id(), server_ca, issued.pem, pem).unwrap();
        farm.farm_as(&member).await.unwrap_err();
    }
    let ended = farm.refused().await;
    assert!(matches!(ended, RefusalCause::OutOfDate { .. }), "{ended:?}");
    // As far as is known: nobody has confirmed the clock since this farmer was started.
    assert!(ended.to_string().contains("ended"), "{ended}");
    assert_eq!(farm.refused().await, RefusalCause::ForeignCa);
    let told = farm.server.refused();
    let shown = told.iter().find(|it| it.cause == RefusalCause::ForeignCa).unwrap();
    let pem = std::fs::read(Root::new(other.dir.path()).farm_ca_dir().join("client_ca.crt")).unwrap();
    let der = <rustls_pki_types::CertificateDer<'_> as rustls_pki_types::pem::PemObject>::from_pem_slice(&pem).unwrap();
    let ca = crate::tls::CertificateFacts::of(&der).unwrap();
    let said = format!("signed by {:?} with the key ", ca.subject);
    assert!(shown.certificate.as_ref().unwrap().contains(&said), "{shown:?} {said}");
}

#[tokio::test]
async fn farmer_says_whether_a_harvester_has_come() {
    let farm = Farm::start();
    let joined = join(
        &farm.invite("rack1-a"),
        JoinKind::Official,
        None,
        &JoinKey::make().unwrap(),
    )
    .await
    .unwrap();
    let seen = || is_seen(&joined.membership, &joined.farmer);
    assert_eq!(seen().await.unwrap(), Some(false));
    try_out(&joined.membership, &joined.farmer).await.unwrap();
    assert_eq!(seen().await.unwrap(), Some(false), "trying out is not farming");
    farm.farm_as(&joined.membership).await.unwrap();
    while !seen().await.unwrap().unwrap() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn certificate_is_renewed_with_a_new_key_and_the_old_one_counts_until_the_new_one_is_used() {
    let mut farm = Farm::start();
    let token = farm.invite("rack1-a");
    let old = join(&token, JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap()
        .membership;
    let new = renew(&old, &farm.address()).await.unwrap();
    let id = |membership: &Membership| membership.facts().unwrap().record.sha256;
    assert_ne!(old.public_key(), new.public_key());
    assert_eq!(
        (farm.list.judge(id(&old)), farm.list.judge(id(&new))),
        (Verdict::Allowed, Verdict::Allowed)
    );
    farm.farm_as(&old).await.unwrap();
    // Held, as a core would hold the outbox in it.
    let first = farm.event().await;
    assert!(matches!(first, SessionEvent::Connected { .. }));
    farm.farm_as(&new).await.unwrap();
    let (second, third) = (farm.event().await, farm.event().await);
    let is_closed = |event: &SessionEvent| matches!(event, SessionEvent::Disconnected { .. });
    assert!(is_closed(&second) != is_closed(&third), "{second:?} {third:?}");
    farm.farm_as(&old).await.unwrap_err();
    assert_eq!(farm.refused().await, RefusalCause::NotListed);
    assert_eq!(farm.list.registry().members()[0].origin, MemberOrigin::Own);
}

#[tokio::test]
async fn rotation_keeps_everybody_connected_until_it_is_finished() {
    let farm = Farm::start();
    let old = join(&farm.invite("rack1-a"), JoinKind::Own, None, &JoinKey::make().unwrap())
        .await
        .unwrap();
    let root = Root::new(farm.dir.path());
    let clock = Clock::start();
    let time = Arc::new(TrustedClock::in_memory(move || clock.now()));
    let ca = farm.desk.ca();
    ca.rotate(time.span()).unwrap();
    let tls = Arc::new(FarmerTls::load(&root, ca, Arc::clone(&farm.list), time).unwrap());
    let listener = Listener::bind_to(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.address().port();
    tokio::spawn(listener.serve(Arc::clone(&tls), Arc::clone(&farm.server)));
    let rotated = Farm { port, ..farm };
    rotated
        .farm_as(&old.membership)
        .await
        .expect("the old server CA leads to the new one");
    assert!(!is_directly_trusted(&old.membership, &rotated.address()).await.unwrap());
    let new = renew(&old.membership, &rotated.address()).await.unwrap();
    assert_ne!(new.ca_key(), old.membership.ca_key());
    ca_is_finished(&rotated, &tls, &root);
    rotated.farm_as(&new).await.expect("a member of the new authorities");
    assert!(is_directly_trusted(&new, &rotated.address()).await.unwrap());
    rotated
        .farm_as(&old.membership)
        .await
        .expect_err("a member of the old ones");
}

fn ca_is_finished(farm: &Farm, tls: &FarmerTls, root: &Root) {
    farm.desk.ca().finish_rotation().unwrap();
    tls.reload(root, farm.desk.ca()).unwrap();
}
