//! Making certificates: a private CA, and leaves signed by it, by an official RSA CA, or by the public Chia CA.
//!
//! Keys made here are P-256: half the handshake cost of the official RSA-2048, and OpenSSL reads them (it does not read
//! Ed25519 keys as rcgen writes them). Nothing here writes a file: `config::init` puts the PEM texts in place.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer as RcgenIssuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::{Error as RustlsError, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::config::verify_leaf;
use super::identity::{read, read_certificates};
use super::{CHIA_CA_CRT, CHIA_CA_KEY, CertificatePaths, Identity, TlsError};
use crate::clock::UnixMillis;

/// A certificate and its private key as PEM texts. The key is wiped when dropped and has no `Debug`.
pub struct PemPair {
    /// `BEGIN CERTIFICATE`.
    pub crt: String,
    /// `BEGIN PRIVATE KEY`, PKCS#8, unencrypted as the official software needs it.
    pub key: Zeroizing<String>,
}

/// A CA with its key, ready to sign.
pub struct Issuer {
    /// Where the certificate came from, for messages.
    paths: CertificatePaths,
    certificate: CertificateDer<'static>,
    signer: RcgenIssuer<'static, KeyPair>,
}

impl Issuer {
    /// Reads a CA and checks that it is one, has not expired at `now`, and that the key is its own.
    ///
    /// # Errors
    /// When a file is missing or not what it should be.
    pub fn load(paths: &CertificatePaths, now: UnixMillis) -> Result<Self, TlsError> {
        // Says which of the two files is wrong, or that they do not belong together.
        Identity::load(paths)?;
        let certificate = read_certificates(&paths.crt)?.swap_remove(0);
        let key = read(&paths.key)?;
        let key = std::str::from_utf8(&key).map_err(|error| bad_key(&paths.key, &error))?;
        Self::new(paths.clone(), certificate, key, now)
    }

    /// The public Chia CA, from the copies inside this program.
    ///
    /// # Errors
    /// When the copies are damaged.
    pub fn chia(now: UnixMillis) -> Result<Self, TlsError> {
        let paths = CertificatePaths {
            crt: "assets/chia_ca.crt".into(),
            key: "assets/chia_ca.key".into(),
        };
        let certificate = CertificateDer::from_pem_slice(CHIA_CA_CRT.as_bytes())
            .map_err(|error| bad_certificate(&paths.crt, &error))?;
        Self::new(paths, certificate, CHIA_CA_KEY, now)
    }

    /// A new key and a certificate for it, with the official names, from a day before `now` to
    /// 2100 as the official ones: what ends is the CA, and a farm must not stop on a day nobody remembers.
    ///
    /// # Errors
    /// When the CA cannot sign, or a stock verifier would not accept the result.
    pub fn issue_leaf(&self, now: UnixMillis) -> Result<PemPair, TlsError> {
        let key = KeyPair::generate().map_err(|error| issue_error("a key", &error))?;
        let mut params =
            CertificateParams::new(["chia.net".to_owned()]).map_err(|error| issue_error("a certificate", &error))?;
        params.distinguished_name = name(&[
            (DnType::CommonName, "Chia"),
            (DnType::OrganizationName, "Chia"),
            (DnType::OrganizationalUnitName, "Organic Farming Division"),
        ]);
        back_date(&mut params, now);
        params.not_after = date_time_ymd(2100, 8, 2);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.signer)
            .map_err(|error| issue_error("a certificate", &error))?;
        self.verify(certificate.der(), now)
            .map_err(|error| issue_error("a certificate that peers accept", &error))?;
        Ok(PemPair {
            crt: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Whether a peer that trusts this CA accepts `leaf`, as client and as server.
    ///
    /// # Errors
    /// What a stock verifier objects to.
    pub fn verify(&self, leaf: &CertificateDer<'_>, now: UnixMillis) -> Result<(), RustlsError> {
        let mut anchors = RootCertStore::empty();
        anchors.add(self.certificate.clone())?;
        verify_leaf(leaf, anchors, UnixTime::since_unix_epoch(Duration::from_millis(now.0)))
    }

    /// The CA certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Where the CA was read from.
    #[must_use]
    pub fn paths(&self) -> &CertificatePaths {
        &self.paths
    }

    fn new(
        paths: CertificatePaths,
        certificate: CertificateDer<'static>,
        key: &str,
        now: UnixMillis,
    ) -> Result<Self, TlsError> {
        check_ca(&paths.crt, &certificate, now)?;
        let key = KeyPair::from_pem(key).map_err(|error| bad_key(&paths.key, &error))?;
        let signer =
            RcgenIssuer::from_ca_cert_der(&certificate, key).map_err(|error| bad_certificate(&paths.crt, &error))?;
        Ok(Self {
            paths,
            certificate,
            signer,
        })
    }
}

/// A new private CA: P-256, a name of its own, from a day before `now`, valid twenty years.
///
/// # Errors
/// When the cryptography library fails.
pub fn make_private_ca(now: UnixMillis) -> Result<PemPair, TlsError> {
    let failed = |error: rcgen::Error| issue_error("a private CA", &error);
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    // A name of its own makes "signed by another CA" the plain message it should be. The official software names every
    // private CA alike, and like the public one; it chooses CAs by file and does not mind.
    let tag = hex::encode(&super::peer_id(key.public_key_raw()).0[..4]);
    params.distinguished_name = name(&[
        (DnType::OrganizationName, "farmconsole"),
        (DnType::CommonName, &format!("Private CA {tag}")),
    ]);
    back_date(&mut params, now);
    params.not_after = params.not_before + Duration::from_secs(CA_DAYS * 86_400);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(PemPair {
        crt: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// Twenty years: longer than the plots will be farmed, and the official software's ten have begun to run out.
const CA_DAYS: u64 = 20 * 365;

/// Refuses what is no CA certificate, an expired one, and subject names that the signer cannot reproduce.
fn check_ca(path: &Path, certificate: &CertificateDer<'_>, now: UnixMillis) -> Result<(), TlsError> {
    let (_, x509) = X509Certificate::from_der(certificate).map_err(|error| bad_certificate(path, &error))?;
    if !x509.is_ca() {
        return Err(bad_certificate(path, &"it is not the certificate of a CA"));
    }
    let not_after = x509.validity().not_after;
    if u64::try_from(not_after.timestamp()).unwrap_or(0) < now.seconds() {
        return Err(bad_certificate(path, &format_args!("the CA expired on {not_after}")));
    }
    if x509.subject().iter().any(|rdn| rdn.iter().count() != 1) {
        return Err(bad_certificate(path, &"the name of the CA has several parts in one"));
    }
    Ok(())
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, text) in parts {
        name.push(kind.clone(), *text);
    }
    name
}

/// Valid from a day before `now`, because clocks of farm machines differ.
fn back_date(params: &mut CertificateParams, now: UnixMillis) {
    params.not_before =
        date_time_ymd(1970, 1, 1) + Duration::from_secs(now.seconds().clamp(DAY, MAX_UNIX_SECONDS) - DAY);
}

const DAY: u64 = 86_400;

/// 2090-01-01: a clock beyond it is wrong, and dates must stay inside what certificates can say.
const MAX_UNIX_SECONDS: u64 = 3_786_912_000;

fn bad_certificate(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::BadCertificate {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

fn bad_key(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::BadKey {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

fn issue_error(what: &'static str, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Issue {
        what,
        reason: reason.to_string(),
    }
}
