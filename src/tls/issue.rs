//! Making certificates: a private CA, and leaves signed by it, by an official RSA CA, or by the public Chia CA.
//!
//! Keys made here are P-256: half the handshake cost of the official RSA-2048, and OpenSSL reads them (it does not read
//! Ed25519 keys as rcgen writes them). Nothing here writes a file: `init` puts the PEM texts in place.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer as RcgenIssuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::config::verify_leaf;
use super::identity::{read, read_anchors};
use super::trusted_time::BUILT;
use super::{CHIA_CA_CRT, CHIA_CA_KEY, CertificatePaths, Identity, RefusalCause, TlsError};
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
    /// The files as they are, to be copied.
    pem: PemPair,
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
        let text = |path: &Path| {
            let bytes = read(path)?;
            let text = std::str::from_utf8(&bytes).map(str::to_owned);
            text.map(Zeroizing::new).map_err(|error| bad_certificate(path, &error))
        };
        let pem = PemPair {
            crt: text(&paths.crt)?.to_string(),
            key: text(&paths.key)?,
        };
        Self::new(paths.clone(), pem, now)
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
        let pem = PemPair {
            crt: CHIA_CA_CRT.to_owned(),
            key: CHIA_CA_KEY.to_owned().into(),
        };
        Self::new(paths, pem, now)
    }

    /// A CA that lies nowhere.
    ///
    /// # Errors
    /// When it is none.
    pub fn of_pem(pem: PemPair, now: UnixMillis) -> Result<Self, TlsError> {
        let paths = CertificatePaths {
            crt: "memory.crt".into(),
            key: "memory.key".into(),
        };
        Self::new(paths, pem, now)
    }

    /// A new key and a certificate for it, with the official names, from before this program was made, whatever the clock
    /// says, to 2100 as the official ones: what ends is the CA, and a farm must not stop on a day nobody remembers.
    ///
    /// # Errors
    /// When the CA cannot sign, or a stock verifier would not accept the result.
    pub fn issue_leaf(&self, now: UnixMillis) -> Result<PemPair, TlsError> {
        let now = now.max(BUILT);
        let key = KeyPair::generate().map_err(|error| issue_error("a key", &error))?;
        let mut params =
            CertificateParams::new(["chia.net".to_owned()]).map_err(|error| issue_error("a certificate", &error))?;
        params.distinguished_name = name(&[
            (DnType::CommonName, "Chia"),
            (DnType::OrganizationName, "Chia"),
            (DnType::OrganizationalUnitName, "Organic Farming Division"),
        ]);
        back_date(&mut params, BUILT);
        params.not_after = date_time_ymd(2100, 8, 2);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params
            .signed_by(&key, &self.signer)
            .map_err(|error| issue_error("a certificate", &error))?;
        let mut anchors = RootCertStore::empty();
        anchors
            .add(self.certificate.clone())
            .and_then(|()| verify_leaf(certificate.der(), anchors, unix_time(now)))
            .map_err(|error| issue_error("a certificate that peers accept", &error))?;
        Ok(PemPair {
            crt: certificate.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }

    /// Signs a certificate for somebody else's key.
    pub(super) fn sign(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
    ) -> Result<rcgen::Certificate, TlsError> {
        params
            .signed_by(key, &self.signer)
            .map_err(|error| issue_error("a certificate", &error))
    }

    /// The CA certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whether this file holds the same certificate.
    #[must_use]
    pub fn is_in(&self, crt: &Path) -> bool {
        super::identity::read_certificates(crt).is_ok_and(|all| all.contains(&self.certificate))
    }

    /// Where the CA was read from.
    #[must_use]
    pub fn paths(&self) -> &CertificatePaths {
        &self.paths
    }

    /// Certificate and key as they were read.
    #[must_use]
    pub fn pem(&self) -> &PemPair {
        &self.pem
    }

    fn new(paths: CertificatePaths, pem: PemPair, now: UnixMillis) -> Result<Self, TlsError> {
        let certificate =
            CertificateDer::from_pem_slice(pem.crt.as_bytes()).map_err(|error| bad_certificate(&paths.crt, &error))?;
        check_ca(&paths.crt, &certificate, now)?;
        let key = KeyPair::from_pem(&pem.key).map_err(|error| bad_key(&paths.key, &error))?;
        let signer =
            RcgenIssuer::from_ca_cert_der(&certificate, key).map_err(|error| bad_certificate(&paths.crt, &error))?;
        Ok(Self {
            paths,
            pem,
            certificate,
            signer,
        })
    }
}

/// Whether a peer that trusts the CA file `ca` accepts this identity, as client and as server, at `now`.
///
/// # Errors
/// When the CA file cannot be read, or what a stock verifier objects to.
pub fn verify_identity(
    identity: &Identity,
    paths: &CertificatePaths,
    ca: &Path,
    now: UnixMillis,
) -> Result<(), TlsError> {
    verify_leaf(identity.leaf(), read_anchors(ca)?, unix_time(now.max(BUILT))).map_err(|error| TlsError::NotIssuedBy {
        crt: paths.crt.clone(),
        ca: ca.to_path_buf(),
        reason: RefusalCause::from(&error).to_string(),
    })
}

/// A new private CA: P-256, a name of its own, from before this program was made, valid for twenty years from `now` on.
/// A clock that says 1970 or 2040, because nobody has set it yet, makes one that is good when it is right, too.
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
        (DnType::OrganizationName, PRIVATE_CA_ORGANIZATION),
        (DnType::CommonName, &format!("Private CA {tag}")),
    ]);
    back_date(&mut params, now.max(BUILT));
    params.not_after = params.not_before + Duration::from_secs(CA_DAYS * 86_400);
    back_date(&mut params, BUILT);
    // No path length, as the official ones: it signs the farm's server CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(PemPair {
        crt: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// Who made a private CA that `init` made. The official software says Chia.
pub(super) const PRIVATE_CA_ORGANIZATION: &str = "farmconsole";

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
        let clock = i64::try_from(now.seconds())
            .ok()
            .and_then(|at| ASN1Time::from_timestamp(at).ok());
        let clock = clock.map(|at| at.to_string()).unwrap_or_default();
        let why =
            format_args!("the CA expired on {not_after}, if the clock of this machine is right, which says {clock}");
        return Err(bad_certificate(path, &why));
    }
    if x509.subject().iter().any(|rdn| rdn.iter().count() != 1) {
        return Err(bad_certificate(path, &"the name of the CA has several parts in one"));
    }
    Ok(())
}

pub(super) fn unix_time(now: UnixMillis) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(now.0))
}

pub(super) fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, text) in parts {
        name.push(kind.clone(), *text);
    }
    name
}

/// Valid from a day before `now`, because clocks of farm machines differ.
pub(super) fn back_date(params: &mut CertificateParams, now: UnixMillis) {
    params.not_before =
        date_time_ymd(1970, 1, 1) + Duration::from_secs(now.seconds().clamp(DAY, MAX_UNIX_SECONDS) - DAY);
}

const DAY: u64 = 86_400;

/// 2090-01-01: a clock beyond it is wrong, and dates must stay inside what certificates can say.
const MAX_UNIX_SECONDS: u64 = 3_786_912_000;

pub(super) fn bad_certificate(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::BadCertificate {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

pub(super) fn bad_key(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::BadKey {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

pub(super) fn issue_error(what: &'static str, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Issue {
        what,
        reason: reason.to_string(),
    }
}
