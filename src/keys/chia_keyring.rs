//! Reading the keyring of the official software, `keyring.yaml`, to import from it. Never written.
//!
//! Outside, salt, nonce and sealed data; inside, one entry a wallet: master public key and, unless the key is an
//! observer's, the entropy of its mnemonic. Source: chia `file_keyring.py`, `keychain.py`.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use aws_lc_rs::pbkdf2;
use data_encoding::BASE64;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::passphrase::{Passphrase, open_sealed};
use super::{form, mnemonic};
use crate::config::files;
use crate::crypto::{PublicKey, SecretKey};
use crate::logging::strip_invisible;
use crate::wire::G1Bytes;

/// A keyring as it lies on the disk, locked.
#[derive(Debug)]
pub struct ChiaKeyring {
    path: PathBuf,
    salt: [u8; 16],
    nonce: [u8; 12],
    sealed: Vec<u8>,
    hint: Option<String>,
}

impl ChiaKeyring {
    /// Reads the file; of a directory, the `keyring.yaml` in it.
    ///
    /// # Errors
    /// [`KeyringError`], also when there is no key in it.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let path = if path.is_dir() {
            path.join("keyring.yaml")
        } else {
            path.to_path_buf()
        };
        let text = match files::read_limited(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(source) => return Err(KeyringError::Unreadable { path, source }),
        };
        let malformed = |what| KeyringError::Malformed {
            path: path.clone(),
            what,
        };
        let outside: Outside = serde_yaml::from_slice(&text)
            .map_err(|_| malformed("expected version, salt, nonce and data as the official software writes them"))?;
        if outside.version > NEWEST_VERSION {
            return Err(KeyringError::UnknownVersion {
                path,
                got: outside.version,
            });
        }
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        from_hex(&outside.salt, &mut salt).ok_or_else(|| malformed("`salt` is not 16 bytes in hex"))?;
        from_hex(&outside.nonce, &mut nonce).ok_or_else(|| malformed("`nonce` is not 12 bytes in hex"))?;
        let sealed = BASE64
            .decode(outside.data.unwrap_or_default().trim().as_bytes())
            .map_err(|_| malformed("`data` is not base64"))?;
        if sealed.is_empty() {
            return Err(KeyringError::Empty { path });
        }
        Ok(Self {
            path,
            salt,
            nonce,
            sealed,
            hint: outside.passphrase_hint.map(|hint| strip_invisible(&hint)),
        })
    }

    /// Where it was read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its owner noted down to remember the passphrase.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Unlocks a keyring that has no passphrase of its own: the official software then uses one that stands in its
    /// source. Nothing if it has one.
    ///
    /// # Errors
    /// [`KeyringError`] when what was unlocked makes no sense.
    pub fn unlock_with_default(&self) -> Result<Option<UnlockedKeyring>, KeyringError> {
        let default = Passphrase::new(Zeroizing::new(DEFAULT_PASSPHRASE.to_owned()));
        match self.unlock(&default) {
            Err(KeyringError::WrongPassphrase { .. }) => Ok(None),
            unlocked => unlocked.map(Some),
        }
    }

    /// Unlocks it.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<UnlockedKeyring, KeyringError> {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            &self.salt,
            passphrase.as_bytes(),
            key.as_mut_slice(),
        );
        let opened = open_sealed(&key, self.nonce, &[], &self.sealed);
        let text = opened.as_ref().and_then(|text| text.strip_prefix(CHECK));
        let Some(text) = text else {
            return Err(KeyringError::WrongPassphrase {
                path: self.path.clone(),
            });
        };
        let inside: Inside = serde_yaml::from_slice(text).map_err(|_| KeyringError::Malformed {
            path: self.path.clone(),
            what: "what is locked in it is not as the official software writes it",
        })?;
        let entries = inside.keys.get(SERVICE);
        let mut found = UnlockedKeyring {
            path: self.path.clone(),
            masters: Vec::new(),
            observers: Vec::new(),
        };
        for number in 0..MAX_KEYS {
            let entry = entries.and_then(|entries| entries.get(&format!("{USER}{number}")));
            let Some(Hex(entry)) = entry.filter(|entry| !entry.0.is_empty()) else {
                continue;
            };
            let damaged = |what| KeyringError::BadEntry {
                path: self.path.clone(),
                number,
                what,
            };
            match Entry::read(entry).map_err(damaged)? {
                Entry::Master(key) => found.masters.push(key),
                Entry::Observer(key) => found.observers.push(key.fingerprint()),
            }
        }
        if found.masters.is_empty() {
            return Err(KeyringError::Empty {
                path: self.path.clone(),
            });
        }
        Ok(found)
    }
}

/// The keys of a keyring, until they are imported. Not `Debug`, for what it holds; wiped when dropped.
pub struct UnlockedKeyring {
    path: PathBuf,
    pub(super) masters: Vec<SecretKey>,
    observers: Vec<u32>,
}

impl UnlockedKeyring {
    /// Fingerprints of the wallets whose keys are there.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<u32> {
        self.masters.iter().map(|key| key.public_key().fingerprint()).collect()
    }

    /// Fingerprints of the wallets that can only be looked at with this keyring: they sign nothing.
    #[must_use]
    pub fn observers(&self) -> &[u32] {
        &self.observers
    }

    /// Keeps one wallet.
    ///
    /// # Errors
    /// [`KeyringError::NoSuchKey`].
    pub fn choose(mut self, fingerprint: u32) -> Result<Self, KeyringError> {
        let present = self.fingerprints();
        self.masters.retain(|key| key.public_key().fingerprint() == fingerprint);
        if self.masters.is_empty() {
            return Err(KeyringError::NoSuchKey {
                path: self.path,
                fingerprint,
                observer: self.observers.contains(&fingerprint),
                present,
            });
        }
        Ok(self)
    }
}

/// Why a keyring cannot be used. No variant holds anything secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// It cannot be read.
    #[error("cannot read Chia's keyring {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no keyring.
    #[error("{} is no keyring of Chia's: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It was written by a newer version than the one we know.
    #[error("{} is a keyring of version {got}, this program knows versions up to {NEWEST_VERSION}", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
    },
    /// There is no key in it, or none that signs.
    #[error("there is no secret key in Chia's keyring {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is locked with another passphrase.
    #[error("wrong passphrase for Chia's keyring {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// A key in it is damaged.
    #[error("key {number} in Chia's keyring {} is damaged: {what}", path.display())]
    BadEntry {
        /// The file.
        path: PathBuf,
        /// Number of the key, from 0 as the official software counts.
        number: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// The chosen wallet is not there, or can only be looked at.
    #[error(
        "Chia's keyring {} {} {fingerprint}",
        path.display(),
        if *observer { "holds only the public key of" } else { "has no key of fingerprint" }
    )]
    NoSuchKey {
        /// The file.
        path: PathBuf,
        /// The chosen one.
        fingerprint: u32,
        /// Whether its public key is there.
        observer: bool,
        /// Wallets whose keys are there.
        present: Vec<u32>,
    },
}

impl KeyringError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name the file: `farmconsole keys import --chia-keyring FILE`".into())
            }
            Self::UnknownVersion { .. } => Some("update farmconsole, or import the mnemonic".into()),
            Self::Empty { .. } => Some("import the mnemonic: `farmconsole keys import --mnemonic`".into()),
            Self::NoSuchKey { present, .. } if !present.is_empty() => {
                let present: Vec<String> = present.iter().map(ToString::to_string).collect();
                Some(format!("keys are there of {}", present.join(", ")))
            }
            _ => None,
        }
    }
}

/// One entry.
enum Entry {
    Master(SecretKey),
    Observer(PublicKey),
}

impl Entry {
    fn read(digits: &str) -> Result<Self, &'static str> {
        let mut bytes = Zeroizing::new(vec![0; digits.len() / 2]);
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| "it is not written in hex")?;
        let (public_key, entropy) = bytes.split_at_checked(PUBLIC_KEY_BYTES).ok_or("it is too short")?;
        let public_key = <[u8; PUBLIC_KEY_BYTES]>::try_from(public_key)
            .ok()
            .and_then(|bytes| PublicKey::from_g1(&G1Bytes(bytes)).ok())
            .ok_or("its public key is none")?;
        if entropy.is_empty() {
            return Ok(Self::Observer(public_key));
        }
        let master = mnemonic::master_key_of_entropy(entropy).ok_or("its entropy makes no mnemonic")?;
        if master.public_key() != public_key {
            return Err("public key and entropy do not belong together");
        }
        Ok(Self::Master(master))
    }
}

#[derive(Deserialize)]
struct Outside {
    version: u32,
    salt: String,
    nonce: String,
    data: Option<String>,
    passphrase_hint: Option<String>,
}

#[derive(Deserialize)]
struct Inside {
    #[serde(default)]
    keys: BTreeMap<String, BTreeMap<String, Hex>>,
}

#[derive(Deserialize)]
struct Hex(#[serde(deserialize_with = "form::secret_text")] Zeroizing<String>);

fn from_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), bytes).ok()
}

/// What the official software locks a keyring with that has no passphrase. It stands in its source, so it keeps nobody
/// out.
const DEFAULT_PASSPHRASE: &str = "$ chia passphrase set # all the cool kids are doing it!";

/// Stands before the locked text.
const CHECK: &[u8] = b"5f365b8292ee505b";

/// Rounds of PBKDF2: 100,000.
const ROUNDS: NonZero<u32> = NonZero::<u32>::MIN.saturating_add(99_999);

const NEWEST_VERSION: u32 = 1;

/// Of a point of G1.
const PUBLIC_KEY_BYTES: usize = 48;

const SERVICE: &str = "chia-user-chia-1.8";

/// In front of the number of a key.
const USER: &str = "wallet-user-chia-1.8-";

/// Keys that the official software looks for.
const MAX_KEYS: u32 = 101;

/// A keyring of all the keys it can have is a tenth of this.
const MAX_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by chia-blockchain 2.7.5, from the public test key alone.
    const DEFAULT: &str = include_str!("../../tests/fixtures/chia_keyring/default_passphrase.yaml");
    /// The public test key, an observer's key and a key of twelve words, behind a passphrase.
    const LOCKED: &str = include_str!("../../tests/fixtures/chia_keyring/passphrase.yaml");
    const EMPTY: &str = include_str!("../../tests/fixtures/chia_keyring/empty.yaml");
    const PASSPHRASE: &str = "correct horse bättery";

    const TEST_KEY: u32 = 2_515_295_459;
    const TWELVE_WORDS: u32 = 3_781_984_839;
    const OBSERVER: u32 = 1_016_162_455;

    #[test]
    fn a_keyring_without_a_passphrase_opens_with_the_public_one() {
        let unlocked = keyring(DEFAULT).unwrap().unlock_with_default().unwrap().unwrap();
        assert_eq!(unlocked.fingerprints(), [TEST_KEY]);
        assert!(unlocked.observers().is_empty());
    }

    #[test]
    fn a_keyring_with_a_passphrase_opens_with_that_one_only() {
        let keyring = keyring(LOCKED).unwrap();
        assert_eq!(keyring.hint(), Some("public test keys"));
        assert!(keyring.unlock_with_default().unwrap().is_none());
        let wrong = keyring.unlock(&passphrase("correct horse battery")).err().unwrap();
        assert!(matches!(wrong, KeyringError::WrongPassphrase { .. }), "{wrong}");
        let unlocked = keyring.unlock(&passphrase(PASSPHRASE)).unwrap();
        assert_eq!(unlocked.fingerprints(), [TEST_KEY, TWELVE_WORDS]);
        assert_eq!(unlocked.observers(), [OBSERVER]);
    }

    #[test]
    fn one_wallet_is_chosen_by_its_fingerprint() {
        let choose = |fingerprint| {
            let unlocked = keyring(LOCKED).unwrap().unlock(&passphrase(PASSPHRASE)).unwrap();
            unlocked.choose(fingerprint)
        };
        assert_eq!(choose(TWELVE_WORDS).unwrap().fingerprints(), [TWELVE_WORDS]);
        let observer = choose(OBSERVER).err().unwrap();
        assert!(observer.to_string().contains("only the public key"), "{observer}");
        assert_eq!(
            choose(1).err().unwrap().hint().unwrap(),
            format!("keys are there of {TEST_KEY}, {TWELVE_WORDS}")
        );
    }

    #[test]
    fn what_is_no_keyring_says_why() {
        let error = |text: &str| keyring(text).err().unwrap().to_string();
        assert!(error(EMPTY).contains("there is no secret key"));
        assert!(error("keys: []").contains("expected version"));
        assert!(error(&DEFAULT.replace("version: 1", "version: 2")).contains("version 2"));
        assert!(error(&DEFAULT.replace("salt: 5d", "salt: 5g")).contains("`salt`"));
        assert!(error(&DEFAULT.replace("nonce: 55", "nonce: ")).contains("`nonce`"));
        assert!(error(&DEFAULT.replace("data: 5", "data: \"*\" #")).contains("`data`"));
        let missing = ChiaKeyring::read(Path::new("no/such/keyring.yaml")).err().unwrap();
        assert!(missing.hint().unwrap().contains("--chia-keyring"));
    }

    #[test]
    fn entries_that_contradict_themselves_are_refused() {
        let generator = hex::encode(SecretKey::key_gen(&[1; 32]).unwrap().public_key().to_g1().0);
        let read = |text: &str| Entry::read(text).err();
        assert!(matches!(Entry::read(&generator), Ok(Entry::Observer(_))));
        assert_eq!(read("a"), Some("it is not written in hex"));
        assert_eq!(read(&generator[2..]), Some("it is too short"));
        assert_eq!(read(&"00".repeat(48)), Some("its public key is none"));
        assert_eq!(read(&format!("{generator}0102")), Some("its entropy makes no mnemonic"));
        assert_eq!(
            read(&format!("{generator}{}", "07".repeat(32))),
            Some("public key and entropy do not belong together")
        );
    }

    fn keyring(text: &str) -> Result<ChiaKeyring, KeyringError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keyring.yaml"), text).unwrap();
        ChiaKeyring::read(dir.path())
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }
}
