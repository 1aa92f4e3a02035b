//! One certificate chain with its key: what a program is on a link.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error as RustlsError, RootCertStore};
use zeroize::Zeroizing;

use super::provider::provider;
use super::{CertificatePaths, TlsError};
use crate::config::files;
use crate::ids::PeerId;

/// A certificate chain and the private key of its leaf, known to belong together.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads a PEM certificate (leaf first) and its unencrypted PEM key (PKCS#8, SEC1 or PKCS#1).
    ///
    /// # Errors
    /// When a file is missing or not what it should be, or when the key belongs to another certificate.
    pub fn load(paths: &CertificatePaths) -> Result<Self, TlsError> {
        let chain = read_certificates(&paths.crt)?;
        let key = read_key(&paths.key)?;
        match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()) {
            Ok(_) => Ok(Self { chain, key }),
            Err(RustlsError::InconsistentKeys(_)) => Err(TlsError::KeyMismatch {
                crt: paths.crt.clone(),
                key: paths.key.clone(),
            }),
            Err(RustlsError::InvalidCertificate(reason)) => Err(TlsError::BadCertificate {
                path: paths.crt.clone(),
                reason: reason.to_string(),
            }),
            Err(other) => Err(TlsError::BadKey {
                path: paths.key.clone(),
                reason: other.to_string(),
            }),
        }
    }

    /// Id under which peers know us on links that use this certificate.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        peer_id(self.leaf())
    }

    /// The chain, leaf first; never empty.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The leaf certificate.
    #[must_use]
    pub fn leaf(&self) -> &CertificateDer<'static> {
        // `read_certificates` never returns an empty list.
        &self.chain[0]
    }

    /// Chain and key as rustls configurations take them.
    #[must_use]
    pub fn into_parts(self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.chain, self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("peer_id", &self.peer_id())
            .finish_non_exhaustive()
    }
}

/// Node id of a peer: SHA-256 of its leaf certificate (DER). Source: chia `server.py`, `calculate_node_id`.
#[must_use]
pub fn peer_id(cert_der: &[u8]) -> PeerId {
    PeerId(Sha256::digest(cert_der).into())
}

/// All certificates of a PEM file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |reason: String| TlsError::BadCertificate {
        path: path.to_path_buf(),
        reason,
    };
    let pem = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("no BEGIN CERTIFICATE in it".to_owned()));
    }
    Ok(certificates)
}

/// The certificates of a CA file as anchors. More than one is fine: a bundle trusts each of them.
pub(super) fn read_anchors(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut anchors = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        anchors.add(certificate).map_err(|error| TlsError::BadCertificate {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
    }
    Ok(anchors)
}

/// Bytes of a certificate or key file; wiped when dropped.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    files::read_limited(path, MAX_PEM_BYTES)
        .map(Zeroizing::new)
        .map_err(|source| TlsError::Unreadable {
            path: PathBuf::from(path),
            source,
        })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| TlsError::BadKey {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })
}

/// A bundle of a hundred CAs stays far below this; more is some other file.
const MAX_PEM_BYTES: u64 = 1 << 20;
