//! Importing: from what a person has to what farming needs.

use std::path::Path;

use serde::Serialize;

use super::entry::{Entry, KeyReport};
use super::file::{self, KeysFile};
use super::passphrase::{Cost, Passphrase};
use super::pools::{PoolKeyReport, PoolsToImport};
use super::source::ImportSource;
use super::{KeysError, mnemonic, secret_key_from_hex};
use crate::crypto::{PoolAuthentication, PoolKey, PublicKey, SecretKey, derive, sha256, standard_puzzle_hash};
use crate::ids::PuzzleHash;

/// Imports keys into the file at `path`, which is made if it is missing, with its directory.
///
/// A key that is there already is brought up to date: this is how pool rewards are signed over to a new address. With a
/// passphrase the file is locked afterwards; one that was locked before needs its passphrase.
///
/// # Errors
/// [`KeysError`]; the file is then as it was.
pub fn import(
    path: &Path,
    source: &ImportSource,
    addresses: RewardAddresses,
    pools: PoolsToImport<'_>,
    existing: ExistingKeys,
    passphrase: Option<&Passphrase>,
) -> Result<ImportReport, KeysError> {
    let mut cost = Cost::STANDARD;
    let mut entries = match existing {
        ExistingKeys::Replace => Vec::new(),
        ExistingKeys::Keep => match KeysFile::read(path) {
            Err(KeysError::Missing { .. }) => Vec::new(),
            Err(error) => return Err(error),
            Ok(file) => {
                cost = file.cost().unwrap_or(cost);
                file.unlock(passphrase)?
            }
        },
    };
    let imported = Imported::new(source, addresses, pools)?;
    let keys = imported
        .entries
        .into_iter()
        .map(|new| merge(&mut entries, new))
        .collect();
    file::write(path, &entries, passphrase.map(|passphrase| (passphrase, cost)))?;
    Ok(ImportReport {
        keys,
        keys_in_file: entries.len(),
        farmer_address: imported.farmer_address,
        pool_address: imported.pool_address,
        pools: imported.pools,
    })
}

/// Where rewards should go, as the settings say (`farmer.xch_target_address`, `pool.xch_target_address`). What is `None`
/// becomes the first address of the wallet that is imported, of the first of several.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The imported keys, as they stand in the file.
    pub keys: Vec<KeyReport>,
    /// Keys that are in the file.
    pub keys_in_file: usize,
    /// Where the farmer's part goes. `None` if neither given nor known.
    pub farmer_address: Option<RewardAddress>,
    /// Where the pool's part goes. `None` if neither given nor known.
    pub pool_address: Option<RewardAddress>,
    /// What was found for each plotNFT that belongs to a pool.
    pub pools: Vec<PoolKeyReport>,
}

/// A reward address, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RewardAddress {
    /// Puzzle hash of the address.
    pub puzzle_hash: PuzzleHash,
    /// Whether it belongs to a wallet that was imported.
    pub owner: AddressOwner,
}

/// Whether an address belongs to a wallet that is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressOwner {
    /// It is address number `index`, from 0.
    ImportedWallet {
        /// Fingerprint of the wallet.
        fingerprint: u32,
        /// Its number.
        index: u32,
    },
    /// It is not among the first [`ADDRESSES_SEARCHED`] addresses of any of them. Rewards go to somebody else, or to a
    /// wallet that has used many addresses.
    NotFound,
    /// Nobody looked: a farmer key says nothing about the wallet.
    NotSearched,
}

/// How many addresses of a wallet are compared with the reward addresses, on each of its two paths.
pub const ADDRESSES_SEARCHED: u32 = 50;

/// Puts a key among those that are there.
fn merge(entries: &mut Vec<Entry>, new: Entry) -> KeyReport {
    let farmer = new.farmer.public_key();
    if let Some(known) = entries.iter_mut().find(|entry| entry.farmer.public_key() == farmer) {
        // A farmer key alone knows less than what may be there.
        known.fingerprint = new.fingerprint.or(known.fingerprint);
        known.pool = new.pool.or(known.pool);
        for key in new.authentication {
            let is_same = |known: &PoolAuthentication| known.owner_public_key() == key.owner_public_key();
            known.authentication.retain(|known| !is_same(known));
            known.authentication.push(key);
        }
        return known.report();
    }
    let report = new.report();
    entries.push(new);
    report
}

/// What a source comes to.
struct Imported {
    entries: Vec<Entry>,
    farmer_address: Option<RewardAddress>,
    pool_address: Option<RewardAddress>,
    pools: Vec<PoolKeyReport>,
}

impl Imported {
    fn new(source: &ImportSource, addresses: RewardAddresses, pools: PoolsToImport<'_>) -> Result<Self, KeysError> {
        match source {
            ImportSource::Mnemonic(words) => Ok(Self::from_masters(&[mnemonic::master_key(words)?], addresses, pools)),
            ImportSource::ChiaKeyring(keyring) => Ok(Self::from_masters(&keyring.masters, addresses, pools)),
            ImportSource::FarmerSecretKey(text) => {
                let farmer = secret_key_from_hex(text).map_err(|what| KeysError::FarmerSecretKey { what })?;
                let given = |puzzle_hash| RewardAddress {
                    puzzle_hash,
                    owner: AddressOwner::NotSearched,
                };
                Ok(Self {
                    entries: vec![Entry {
                        fingerprint: None,
                        farmer,
                        pool: None,
                        authentication: Vec::new(),
                    }],
                    farmer_address: addresses.farmer.map(given),
                    pool_address: addresses.pool.map(given),
                    pools: pools.none_found(),
                })
            }
            ImportSource::MadeUp { seed } => {
                let seed = sha256(&[b"farmconsole made-up keys", &seed.to_be_bytes()]);
                let master = SecretKey::key_gen(&seed).map_err(|_| KeysError::FarmerSecretKey {
                    what: "nothing could be made of the seed",
                })?;
                Ok(Self::from_masters(&[master], addresses, pools))
            }
        }
    }

    fn from_masters(masters: &[SecretKey], addresses: RewardAddresses, pools: PoolsToImport<'_>) -> Self {
        let first = masters.first().map(|master| {
            let master = master.public_key();
            RewardAddress {
                puzzle_hash: standard_puzzle_hash(&derive::wallet_pk_unhardened(&master, 0)),
                owner: AddressOwner::ImportedWallet {
                    fingerprint: master.fingerprint(),
                    index: 0,
                },
            }
        });
        let [farmer_address, pool_address] = [addresses.farmer, addresses.pool].map(|given| {
            let found = given.map(|puzzle_hash| RewardAddress {
                puzzle_hash,
                owner: owner_of(&puzzle_hash, masters),
            });
            found.or(first)
        });
        let entry = |master: &SecretKey| Entry {
            fingerprint: Some(master.public_key().fingerprint()),
            farmer: derive::farmer_sk(master),
            pool: pool_address.map(|pool| PoolKey::sign(&derive::pool_sk(master), pool.puzzle_hash)),
            authentication: Vec::new(),
        };
        let mut entries: Vec<Entry> = masters.iter().map(entry).collect();
        let pools = pools.find(masters, |place, key| entries[place].authentication.push(key));
        Self {
            entries,
            farmer_address,
            pool_address,
            pools,
        }
    }
}

/// Looks for an address among the first ones of the wallets, on the path of today's wallets and on the older one.
pub(super) fn owner_of(puzzle_hash: &PuzzleHash, masters: &[SecretKey]) -> AddressOwner {
    let is_of = |key: PublicKey| standard_puzzle_hash(&key) == *puzzle_hash;
    let found = masters.iter().find_map(|master| {
        let public = master.public_key();
        let index = (0..ADDRESSES_SEARCHED)
            .find(|index| is_of(derive::wallet_pk_unhardened(&public, *index)))
            .or_else(|| (0..ADDRESSES_SEARCHED).find(|index| is_of(derive::wallet_sk(master, *index).public_key())))?;
        Some(AddressOwner::ImportedWallet {
            fingerprint: public.fingerprint(),
            index,
        })
    });
    found.unwrap_or(AddressOwner::NotFound)
}
