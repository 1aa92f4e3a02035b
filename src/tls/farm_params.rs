//! What the certificates of a farm look like: its authorities, whose name follows from their key, and what they sign.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData, SerialNumber,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, TrustAnchor};
use zeroize::Zeroizing;

use super::issue::{PemPair, back_date, issue_error, name};
use super::{TimeSpan, TlsError, peer_id};

/// Public key of a server CA, as a compressed P-256 point: what a token carries.
pub type CaKey = [u8; 33];

/// The name that a farmer's certificate has for harvesters that joined: theirs alone, unlike `chia.net`.
#[must_use]
pub fn farmer_name(farm_id: &str) -> String {
    format!("farmer.{farm_id}.farmconsole.internal")
}

/// The same as rustls takes it; none if `farm_id` is no part of a name.
#[must_use]
pub fn farmer_server_name(farm_id: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(farmer_name(farm_id)).ok()
}

/// The server CA whose key a token carries, as something to trust.
pub(super) fn anchor_of_key(key: &CaKey) -> TrustAnchor<'static> {
    TrustAnchor {
        subject: subject(Role::Server, key).into(),
        subject_public_key_info: [&SPKI_HEAD, key.as_slice()].concat().into(),
        name_constraints: None,
    }
}

/// The key of a CA certificate as a compressed point; none if it is not P-256.
#[must_use]
pub fn ca_key(der: &[u8]) -> Option<CaKey> {
    use x509_parser::prelude::{FromDer, X509Certificate};

    let (_, x509) = X509Certificate::from_der(der).ok()?;
    let point = x509.public_key().subject_public_key.data.as_ref();
    compressed(point)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

impl Role {
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Server => "server_ca",
            Self::Client => "client_ca",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Server => "server CA",
            Self::Client => "client CA",
        }
    }
}

pub(super) fn make_ca(role: Role, now: TimeSpan) -> Result<PemPair, TlsError> {
    let failed = |error: rcgen::Error| issue_error("a CA", &error);
    let key = Zeroizing::new(KeyPair::generate().map_err(failed)?.serialize_pem());
    let crt = ca_of_key(role, &key, now)?;
    Ok(PemPair { crt, key })
}

/// The certificate of a CA whose key (PEM) is there. Another one of the same key is the same CA to everybody.
pub(super) fn ca_of_key(role: Role, key: &str, now: TimeSpan) -> Result<String, TlsError> {
    let failed = |error: rcgen::Error| issue_error("a CA", &error);
    let key = KeyPair::from_pem(key).map_err(failed)?;
    let certificate = ca_params(role, &key, now).self_signed(&key).map_err(failed)?;
    Ok(certificate.pem())
}

/// A CA's certificate. Its name follows from its key, so that the key alone is enough to trust it.
fn ca_params(role: Role, key: &impl PublicKeyData, now: TimeSpan) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(&[(DnType::CommonName, &ca_name(role, key.der_bytes()))]);
    date(&mut params, CA_DAYS, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The server CA's certificate as another CA signs it.
pub(super) fn server_cross_params(key: &impl PublicKeyData, now: TimeSpan) -> CertificateParams {
    let mut params = ca_params(Role::Server, key, now);
    // What keeps harvesters' certificates out of everything else that trusts the other CA.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_name(role: Role, point: &[u8]) -> String {
    let key = compressed(point).unwrap_or([0; 33]);
    format!("Farmconsole {} {}", role.words(), hex::encode(&peer_id(&key).0[..4]))
}

/// The name of a CA as it stands in certificates: one common name, DER without the outer frame.
fn subject(role: Role, key: &CaKey) -> Vec<u8> {
    let text = ca_name(role, key);
    let framed = |tag: u8, content: &[u8]| -> Vec<u8> {
        // Names of CAs are far shorter than 128 bytes.
        let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
        [&[tag, length], content].concat()
    };
    let value = [COMMON_NAME.as_slice(), &framed(UTF8_STRING, text.as_bytes())].concat();
    framed(SET, &framed(SEQUENCE, &value))
}

/// A P-256 point of 65 bytes (or 33), in 33.
pub(super) fn compressed(point: &[u8]) -> Option<CaKey> {
    if let Ok(key) = CaKey::try_from(point)
        && matches!(key[0], 2 | 3)
    {
        return Some(key);
    }
    let (4, [xy @ .., last]) = (*point.first()?, point.get(1..)?) else {
        return None;
    };
    let x = xy.get(..32)?;
    let mut key = [2 + (last & 1); 33];
    key[1..].copy_from_slice(x);
    (point.len() == 65).then_some(key)
}

pub(super) fn public_key_of(pem: &str) -> Result<rcgen::SubjectPublicKeyInfo, TlsError> {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::{FromDer, X509Certificate};

    let failed = |error: &dyn std::fmt::Display| issue_error("a cross-certificate", &error.to_string());
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| failed(&error))?;
    let (_, x509) = X509Certificate::from_der(&der).map_err(|error| failed(&error))?;
    rcgen::SubjectPublicKeyInfo::from_der(x509.public_key().raw).map_err(|error| failed(&error))
}

pub(super) fn leaf_params(days: u64, now: TimeSpan) -> Result<CertificateParams, TlsError> {
    let mut serial = [0; 16];
    fill(&mut serial)?;
    // Positive, and not shorter than it looks.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    date(&mut params, days + 1, now);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), TlsError> {
    getrandom::fill(bytes).map_err(|error| issue_error("a certificate", &error))
}

/// Good throughout a span of time, and for so many days after it.
fn date(params: &mut CertificateParams, days: u64, now: TimeSpan) {
    back_date(params, now.latest);
    params.not_after = params.not_before + Duration::from_secs(days * DAY);
    back_date(params, now.earliest);
}

pub(super) const DAY: u64 = 86_400;
/// Longer than the plots will be farmed.
const CA_DAYS: u64 = 20 * 365;
/// The farmer renews its own.
pub(super) const FARMER_DAYS: u64 = 365;

const SET: u8 = 0x31;
const SEQUENCE: u8 = 0x30;
const UTF8_STRING: u8 = 0x0c;
/// 2.5.4.3.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// What stands before a compressed P-256 point in the content of a SubjectPublicKeyInfo.
const SPKI_HEAD: [u8; 24] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07, 0x03, 0x22, 0x00,
];
