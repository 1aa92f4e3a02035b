//! Certificate requests (PKCS#10) of harvesters: only their public key is taken from them.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// A public key whose private half the requester has shown to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedKey {
    /// SubjectPublicKeyInfo, DER.
    spki: Vec<u8>,
}

/// Why a request is not granted. `Display` is a fragment about "its request".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is longer than any honest one.
    #[error("has {bytes} bytes, at most {MAX_REQUEST_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is no PKCS#10 request.
    #[error("cannot be read as a PKCS#10 request")]
    Unreadable,
    /// Its signature is not of the key in it.
    #[error("is not signed by its own key")]
    BadSignature,
    /// Its key is of a kind or size that is not certified here.
    #[error("has a key that is neither P-256 nor RSA of 2048 to 4096 bits")]
    WeakKey,
}

impl RequestedKey {
    /// Reads a request and checks its signature. The names, purposes and extensions it asks for are not even looked at.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn of_request(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLong { bytes: der.len() });
        }
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Unreadable)?;
        if !rest.is_empty() {
            return Err(RequestError::Unreadable);
        }
        let spki = &request.certification_request_info.subject_pki;
        let is_good = match spki.parsed() {
            // A P-256 point, uncompressed.
            Ok(PublicKey::EC(point)) => point.data().len() == 65 && is_p256(spki.raw),
            Ok(PublicKey::RSA(key)) => (2048..=4096).contains(&key.key_size()),
            _ => false,
        };
        if !is_good {
            return Err(RequestError::WeakKey);
        }
        request.verify_signature().map_err(|_| RequestError::BadSignature)?;
        Ok(Self {
            spki: spki.raw.to_vec(),
        })
    }

    /// The same for a request in PEM, as `openssl req -new` writes it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn of_pem_request(pem: &str) -> Result<Self, RequestError> {
        use tokio_rustls::rustls::pki_types::CertificateSigningRequestDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject;

        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).map_err(|_| RequestError::Unreadable)?;
        Self::of_request(&der)
    }

    /// The key as the certificate library takes it.
    pub(super) fn public_key(&self) -> Result<SubjectPublicKeyInfo, rcgen::Error> {
        SubjectPublicKeyInfo::from_der(&self.spki)
    }
}

/// Whether a SubjectPublicKeyInfo names the curve P-256.
fn is_p256(spki: &[u8]) -> bool {
    spki.windows(P256_OID.len()).take(32).any(|window| window == P256_OID)
}

/// 1.2.840.10045.3.1.7, DER.
const P256_OID: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// A request with an RSA key of 4096 bits and names has 2 KB.
pub const MAX_REQUEST_BYTES: usize = 8 << 10;
