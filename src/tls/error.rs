//! What can be wrong with the certificates of a root.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{access, shell_word};

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
    /// A part of the farm's authorities is gone or damaged. No new one is made in its place: harvesters rely on it.
    #[error("{}: {what}; harvesters rely on the authorities there, so none is made anew", dir.display())]
    CaIncomplete {
        /// Where they are.
        dir: PathBuf,
        /// Which file, and what is wrong with it.
        what: String,
        /// Whether the keys of what is wrong are there, so that it can be made from them.
        keys_are_there: bool,
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
            Self::ForeignOwner { owner, .. } => Some(access::run_as(*owner)),
            Self::CaLocked { .. } => Some("`farmconsole ca unlock` asks for the passphrase".to_owned()),
            Self::CaIncomplete {
                dir, keys_are_there, ..
            } if *keys_are_there => Some(format!(
                "restore it from a backup of {}; without one, `farmconsole init` makes it again from its key, which is \
                 there, and harvesters see no difference",
                dir.display()
            )),
            Self::CaIncomplete { dir, .. } => Some(restore_or_begin_anew(dir)),
            Self::Unreadable { path, source } | Self::Unwritable { path, source } => {
                access::hint_of(path, source).or_else(|| hint_of_file(path))
            }
            Self::BadCertificate { path, .. } | Self::BadKey { path, .. } | Self::KeyMismatch { key: path, .. } => {
                hint_of_file(path)
            }
            _ => None,
        }
    }
}

/// What to do about a file that cannot be used, if no command makes it anew.
fn hint_of_file(path: &Path) -> Option<String> {
    let dir = path.parent()?;
    let hint = match path.file_name()?.to_str()? {
        "client_ca.key" => format!(
            "restore it from a backup of {}; without one, `farmconsole ca rotate` makes new authorities, which harvesters \
             follow",
            dir.display()
        ),
        "server_ca.key" | "keys.locked" => restore_or_begin_anew(dir),
        "client_ca_old.crt" | "server_ca_by_old.crt" => {
            "restore it from a backup; without one, remove it, and invite anew who has not followed the rotation"
                .to_owned()
        }
        "private_farmer.crt" | "private_farmer.key" => {
            let ca = dir.parent()?.join("ca");
            format!(
                "restore it from a backup; without one, `farmconsole init -c {}` makes the certificates that are missing, if \
                 the key of Chia's private CA is there",
                shell_word(&ca)
            )
        }
        "private_ca.crt" | "private_ca.key" => {
            let ssl = dir.parent()?;
            format!(
                "restore it from a backup, or give a copy of this CA with `farmconsole init -c CA_DIR`; without one, {} and \
                 `farmconsole init` makes a new one, and every machine with a certificate of the old one is to be invited \
                 anew",
                move_away(ssl)
            )
        }
        _ => return None,
    };
    Some(hint)
}

/// The way out when an authority is lost.
fn restore_or_begin_anew(ca: &Path) -> String {
    let state = ca.parent().unwrap_or_else(|| Path::new("."));
    let lost = shell_word(&state.join("lost"));
    let ca_there = if ca.exists() {
        format!("{} ", shell_word(ca))
    } else {
        String::new()
    };
    format!(
        "restore {} from a backup; only without one, begin anew: `mkdir {lost} && mv {ca_there}{}* {lost}`, start the \
         farmer, and invite every harvester again",
        ca.display(),
        shell_word(&state.join("harvesters.json"))
    )
}

fn move_away(path: &Path) -> String {
    let mut to = path.as_os_str().to_owned();
    to.push(".lost");
    format!("`mv {} {}`", shell_word(path), shell_word(Path::new(&to)))
}
