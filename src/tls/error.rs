//! What can be wrong with the certificates of a root.

use std::io;
use std::path::PathBuf;

use crate::config::shell_word;

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
    /// A private key belongs to another user.
    #[error("{} belongs to user {owner}, this is user {us}", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// The keys of the farm's authorities are locked, and nobody has given the passphrase.
    #[error("the keys of the farm's authorities are locked ({}), and {what_for} needs one", path.display())]
    CaLocked {
        /// The file.
        path: PathBuf,
        /// What cannot be signed.
        what_for: String,
    },
    /// The passphrase of the farm's authorities is another one.
    #[error("{} opens with another passphrase", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
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
            Self::TooOpen { path, .. } => Some(format!("chmod 600 {}", shell_word(path))),
            Self::ForeignOwner { path, us, .. } => Some(format!(
                "run as that user, or, if the file is meant for this one: chown {us} {}",
                shell_word(path)
            )),
            Self::CaLocked { .. } => Some("`farmconsole ca unlock` asks for the passphrase".to_owned()),
            _ => None,
        }
    }
}
