//! What nobody gets in with, and what it costs the farmer: no certificate, and little time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::farm::{Farm, answer_to, at_the_desk, name};
use crate::config::Root;
use crate::enrol::*;
use crate::snapshot::RefusalCause;
use crate::tls::{Membership, chia_server_name, joiner_config};
use crate::wire::enrol::{JoinAnswer, JoinKind, JoinRequest};
use crate::wire::token::{Token, TokenSecret};

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
async fn machine_that_cannot_be_given_a_certificate_is_told_what_happened_at_the_farmer() {
    let farm = Farm::start();
    let token = farm.invite("rack1-a");
    let key = Root::new(farm.dir.path()).farm_ca_dir().join("client_ca.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let ask = async || join(&token, JoinKind::Own, None, &JoinKey::make().unwrap()).await;
    let error = ask().await.unwrap_err();
    let (said, hint) = (error.to_string(), error.hint());
    for part in ["client_ca.key", "restore it", "the token is still good"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(hint.contains("mended there"), "{hint}");
    std::fs::write(&key, kept).unwrap();
    crate::config::files::set_mode(&key, crate::config::files::PRIVATE_FILE).unwrap();
    ask().await.unwrap();
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
