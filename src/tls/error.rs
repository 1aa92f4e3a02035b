//! What can be wrong with the certificates of a root.

use std::io;
use std::path::PathBuf;

/// Why certificates cannot be read, used or made. Every variant names the file at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that should hold a PEM certificate holds none, or a damaged one.
    #[error("{} holds no usable PEM certificate: {reason}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that should hold an unencrypted PEM private key holds none, or one of a kind we cannot use.
    #[error("{} holds no usable private key: {reason}", path.display())]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it. Never part of the key.
        reason: String,
    },
    /// Others than its owner can read or change a private key.
    #[error("the private key {} is open to others: mode {mode:04o}, only the owner may have access", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Certificate and key are both fine but do not belong together.
    #[error("the key {} does not belong to the certificate {}", key.display(), crt.display())]
    KeyMismatch {
        /// The certificate.
        crt: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A certificate that the given CA did not sign, or that is expired or not meant for this use.
    #[error("the certificate {} is not valid under the CA {}: {reason}", crt.display(), ca.display())]
    NotIssuedBy {
        /// The certificate.
        crt: PathBuf,
        /// The CA certificate.
        ca: PathBuf,
        /// What the verifier says.
        reason: String,
    },
    /// A certificate or key could not be made.
    #[error("cannot make {what}: {reason}")]
    Issue {
        /// What was to be made.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The TLS library refuses the configuration made from these files.
    #[error("cannot set TLS up with the certificates in {}: {source}", dir.display())]
    Setup {
        /// The `ssl` directory.
        dir: PathBuf,
        /// What the library says.
        source: Box<tokio_rustls::rustls::Error>,
    },
}

impl TlsError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooOpen { path, .. } => Some(format!("chmod 600 {}", path.display())),
            _ => None,
        }
    }
}
