//! Where the keys of a farmer come from and how they are kept.
//!
//! [`import`] takes a wallet's mnemonic or a farmer secret key and writes a file that holds what farming needs and
//! nothing that can spend: farmer secret keys, and for pool public keys a signature made once (see [`FarmingKeys`]).
//! Master and wallet keys exist only while an import runs. [`load`] reads the file for farming, [`show`] for people.
//!
//! Not here: who asks for a mnemonic and how, and the addresses in the settings, which decide where rewards go.

pub mod address;
mod file;
mod mnemonic;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::crypto::{FarmingKeys, PoolKey, PublicKey, SecretKey, derive, sha256, standard_puzzle_hash};
use crate::ids::PuzzleHash;
use crate::wire::G1Bytes;

pub use mnemonic::MnemonicError;

use file::Entry;

/// Reads the keys to farm with.
///
/// # Errors
/// [`KeysError`]; a file that others can read or that is owned by another user is refused.
pub fn load(path: &Path) -> Result<FarmingKeys, KeysError> {
    let mut farmers = Vec::new();
    let mut pools = Vec::new();
    for entry in file::read(path)? {
        farmers.push(entry.farmer);
        pools.extend(entry.pool);
    }
    if farmers.is_empty() {
        return Err(KeysError::Empty {
            path: path.to_path_buf(),
        });
    }
    Ok(FarmingKeys::new(farmers, pools))
}

/// Reads what is public of the keys.
///
/// # Errors
/// As [`load`], but a file without keys is no error.
pub fn show(path: &Path) -> Result<Vec<KeyReport>, KeysError> {
    Ok(file::read(path)?.iter().map(Entry::report).collect())
}

/// Imports keys into the file at `path`, which is made if it is missing, with its directory.
///
/// A key that is there already is brought up to date: this is how pool rewards are signed over to a new address.
///
/// # Errors
/// [`KeysError`]; the file is then as it was.
pub fn import(
    path: &Path,
    source: &ImportSource,
    addresses: RewardAddresses,
    existing: ExistingKeys,
) -> Result<ImportReport, KeysError> {
    let mut entries = match existing {
        ExistingKeys::Replace => Vec::new(),
        ExistingKeys::Keep => match file::read(path) {
            Err(KeysError::Missing { .. }) => Vec::new(),
            read => read?,
        },
    };
    let imported = Imported::new(source, addresses)?;
    let farmer = imported.entry.farmer.public_key();
    let key = match entries.iter_mut().find(|entry| entry.farmer.public_key() == farmer) {
        Some(known) => {
            // A farmer key alone knows less than what may be there.
            known.fingerprint = imported.entry.fingerprint.or(known.fingerprint);
            known.pool = imported.entry.pool.or(known.pool);
            known.report()
        }
        None => {
            let report = imported.entry.report();
            entries.push(imported.entry);
            report
        }
    };
    file::write(path, &entries)?;
    Ok(ImportReport {
        key,
        keys_in_file: entries.len(),
        farmer_address: imported.farmer_address,
        pool_address: imported.pool_address,
    })
}

/// Where keys are imported from. Not `Debug`, for what it holds.
pub enum ImportSource {
    /// 12 to 24 words of a wallet (BIP-39, English, without a passphrase), separated by any space.
    Mnemonic(Zeroizing<String>),
    /// A farmer secret key, 64 hex digits. Farms plots that pay into a contract; for plots of a pool public key the
    /// mnemonic is needed.
    FarmerSecretKey(Zeroizing<String>),
    /// Keys that are made up, for demonstrations: the same seed gives the same keys to everybody, so they are worth
    /// nothing.
    MadeUp {
        /// Any number.
        seed: u64,
    },
}

/// Where rewards should go, as the settings say (`farmer.xch_target_address`, `pool.xch_target_address`). What is `None`
/// becomes the first address of the wallet that is imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RewardAddresses {
    /// The farmer's part of each block (1/8 and the fees).
    pub farmer: Option<PuzzleHash>,
    /// The pool's part (7/8) of blocks of plots with a pool public key. Signed by the pool key, so that it holds until
    /// the next import.
    pub pool: Option<PuzzleHash>,
}

/// What happens to keys that are in the file already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingKeys {
    /// They stay, and the farmer farms for all of them.
    Keep,
    /// They go. The file is not even read, so this also mends a damaged one.
    Replace,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The imported key, as it stands in the file.
    pub key: KeyReport,
    /// Keys that are in the file.
    pub keys_in_file: usize,
    /// Where the farmer's part goes. `None` if neither given nor known.
    pub farmer_address: Option<RewardAddress>,
    /// Where the pool's part goes. `None` if neither given nor known.
    pub pool_address: Option<RewardAddress>,
}

/// The public side of a key in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// Fingerprint of the wallet the key comes from, if known.
    pub fingerprint: Option<u32>,
    /// Key that plots were made for.
    pub farmer_public_key: G1Bytes,
    /// Key that plots which pay into no contract were made for.
    pub pool_public_key: Option<G1Bytes>,
    /// Where the pool key sends their rewards.
    pub pool_puzzle_hash: Option<PuzzleHash>,
}

/// A reward address, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RewardAddress {
    /// Puzzle hash of the address.
    pub puzzle_hash: PuzzleHash,
    /// Whether it belongs to the imported wallet.
    pub owner: AddressOwner,
}

/// Whether an address belongs to the wallet that is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressOwner {
    /// It is address number `index`, from 0.
    ImportedWallet {
        /// Its number.
        index: u32,
    },
    /// It is not among the first [`ADDRESSES_SEARCHED`] addresses of the wallet. Rewards go to somebody else, or to a
    /// wallet that has used many addresses.
    NotFound,
    /// Nobody looked: a farmer key says nothing about the wallet.
    NotSearched,
}

/// How many addresses of a wallet are compared with the reward addresses, on each of its two paths.
pub const ADDRESSES_SEARCHED: u32 = 50;

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
    /// The words to import are no mnemonic.
    #[error(transparent)]
    Mnemonic(#[from] MnemonicError),
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
            Self::Missing { .. } | Self::Empty { .. } => {
                Some("import keys with `farmconsole keys import --mnemonic-file FILE`".into())
            }
            Self::TooOpen { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::ForeignOwner { path, owner, us } => Some(format!(
                "run farmconsole as user {owner}, or give it the file: chown {us} {}",
                path.display()
            )),
            Self::Malformed { .. } | Self::BadEntry { .. } => {
                Some("write it anew with `farmconsole keys import --replace --mnemonic-file FILE`".into())
            }
            Self::UnknownVersion { .. } => Some("update farmconsole".into()),
            Self::FarmerSecretKey { .. } => Some("a mnemonic is imported with --mnemonic-file".into()),
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Mnemonic(_) => None,
        }
    }
}

/// What a source comes to.
struct Imported {
    entry: Entry,
    farmer_address: Option<RewardAddress>,
    pool_address: Option<RewardAddress>,
}

impl Imported {
    fn new(source: &ImportSource, addresses: RewardAddresses) -> Result<Self, KeysError> {
        match source {
            ImportSource::Mnemonic(words) => Ok(Self::from_master(&mnemonic::master_key(words)?, addresses)),
            ImportSource::FarmerSecretKey(text) => {
                let farmer = secret_key_from_hex(text).map_err(|what| KeysError::FarmerSecretKey { what })?;
                let given = |puzzle_hash| RewardAddress {
                    puzzle_hash,
                    owner: AddressOwner::NotSearched,
                };
                Ok(Self {
                    entry: Entry {
                        fingerprint: None,
                        farmer,
                        pool: None,
                    },
                    farmer_address: addresses.farmer.map(given),
                    pool_address: addresses.pool.map(given),
                })
            }
            ImportSource::MadeUp { seed } => {
                let seed = sha256(&[b"farmconsole made-up keys", &seed.to_be_bytes()]);
                let master = SecretKey::key_gen(&seed).map_err(|_| KeysError::FarmerSecretKey {
                    what: "nothing could be made of the seed",
                })?;
                Ok(Self::from_master(&master, addresses))
            }
        }
    }

    fn from_master(master: &SecretKey, addresses: RewardAddresses) -> Self {
        let master_public_key = master.public_key();
        let first = standard_puzzle_hash(&derive::wallet_pk_unhardened(&master_public_key, 0));
        let [farmer_address, pool_address] = [addresses.farmer, addresses.pool].map(|given| match given {
            None => RewardAddress {
                puzzle_hash: first,
                owner: AddressOwner::ImportedWallet { index: 0 },
            },
            Some(puzzle_hash) => RewardAddress {
                puzzle_hash,
                owner: owner_of(&puzzle_hash, master),
            },
        });
        Self {
            entry: Entry {
                fingerprint: Some(master_public_key.fingerprint()),
                farmer: derive::farmer_sk(master),
                pool: Some(PoolKey::sign(&derive::pool_sk(master), pool_address.puzzle_hash)),
            },
            farmer_address: Some(farmer_address),
            pool_address: Some(pool_address),
        }
    }
}

/// Looks for an address among the first ones of a wallet, on the path of today's wallets and on the older one.
fn owner_of(puzzle_hash: &PuzzleHash, master: &SecretKey) -> AddressOwner {
    let is_of = |key: PublicKey| standard_puzzle_hash(&key) == *puzzle_hash;
    let master_public_key = master.public_key();
    (0..ADDRESSES_SEARCHED)
        .find(|index| is_of(derive::wallet_pk_unhardened(&master_public_key, *index)))
        .or_else(|| (0..ADDRESSES_SEARCHED).find(|index| is_of(derive::wallet_sk(master, *index).public_key())))
        .map_or(AddressOwner::NotFound, |index| AddressOwner::ImportedWallet { index })
}

/// Reads a secret key as people keep it: hex digits, perhaps with `0x` in front and space around.
fn secret_key_from_hex(text: &str) -> Result<SecretKey, &'static str> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| "expected 64 hex digits")?;
    SecretKey::from_bytes(&bytes).map_err(|_| "the number is zero or too large to be a key")
}

fn at_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

#[cfg(test)]
mod tests;
