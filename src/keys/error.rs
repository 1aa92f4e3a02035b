//! Why keys cannot be read, imported or unlocked, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::{KeyringError, MnemonicError};
use crate::config::{access, shell_word};

/// Why keys cannot be imported or read. No variant holds anything secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// There is no file.
    #[error("no farming keys at {}", path.display())]
    Missing {
        /// Where the file should be.
        path: PathBuf,
    },
    /// There is a file, without a key in it.
    #[error("no key in {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read farming keys from {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file or its directory cannot be written. The old file is still there.
    #[error("cannot write farming keys to {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others than the owner can read or write the file.
    #[error("farming keys in {} are open to others: mode {mode:04o}, only the owner may have access", path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("farming keys in {} belong to user {owner}, this is user {us}", path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// User id of the owner.
        owner: u32,
        /// Our effective user id.
        us: u32,
    },
    /// The file is not YAML, or not of this form.
    #[error("{} is no farming-key file{}: {what}", path.display(), at_line(*line))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line of the fault, from 1, if known.
        line: Option<usize>,
        /// What is wrong.
        what: &'static str,
    },
    /// The file was written by a newer farmconsole.
    #[error("{} is a farming-key file of version {got}, this program knows version {expected}", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Version we know.
        expected: u32,
        /// Version of the file.
        got: u32,
    },
    /// A key in the file is damaged.
    #[error("entry {number} in {} is damaged: {what}", path.display())]
    BadEntry {
        /// The file.
        path: PathBuf,
        /// Place in the list, from 1.
        number: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The file is locked and nobody gave a passphrase.
    #[error("farming keys in {} are locked with a passphrase", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file is locked with another passphrase, or was changed by hand.
    #[error("wrong passphrase for the farming keys in {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The words to import are no mnemonic.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
    /// The keyring to import from cannot be used.
    #[error(transparent)]
    ChiaKeyring(#[from] KeyringError),
    /// The text to import is no farmer secret key.
    #[error("not a farmer secret key: {what}")]
    FarmerSecretKey {
        /// What is wrong.
        what: &'static str,
    },
}

impl KeysError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } | Self::Empty { .. } => Some(
                "import keys with `farmconsole keys import --mnemonic`, or from --chia-keyring or --farmer-sk-file"
                    .into(),
            ),
            Self::TooOpen { path, .. } => Some(format!("chmod 600 {}", shell_word(path))),
            Self::ForeignOwner { owner, .. } => Some(access::run_as(*owner)),
            Self::Unreadable { path, source } | Self::Unwritable { path, source } => access::hint_of(path, source),
            Self::Malformed { .. } | Self::BadEntry { .. } => {
                Some("write it anew with `farmconsole keys import --replace --mnemonic`".into())
            }
            Self::Locked { .. } => Some("give the passphrase in a file: --passphrase-file FILE".into()),
            Self::WrongPassphrase { .. } => Some(
                "without it these keys are lost: import them again with `farmconsole keys import --replace --mnemonic`"
                    .into(),
            ),
            Self::ChiaKeyring(keyring) => keyring.hint(),
            Self::UnknownVersion { .. } => Some("update farmconsole".into()),
            Self::FarmerSecretKey { .. } => Some("a mnemonic is imported with --mnemonic or --mnemonic-file".into()),
            Self::Mnemonic(_) => None,
        }
    }
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
