//! Where the keys of a farmer come from and how they are kept.
//!
//! [`import()`] takes a wallet's mnemonic, Chia's keyring or a farmer secret key and writes a file that holds what farming
//! needs and, unless it is asked for more, nothing that can spend: farmer secret keys, keys that speak to pools, and for pool public keys a signature made once (see
//! [`FarmingKeys`]). Master and wallet keys exist only while an import runs. [`load`] reads the file for farming,
//! [`show`] for people. A passphrase may lock the secrets in it ([`set_passphrase`]).
//!
//! Not here: who asks for a mnemonic or a passphrase and how, and the addresses in the settings, which decide where
//! rewards go.

pub mod address;
mod chia_keyring;
mod entry;
mod error;
mod file;
mod form;
mod import;
mod mnemonic;
mod passphrase;
mod pools;
pub(crate) mod sealed;
mod source;

use std::path::Path;

use zeroize::Zeroizing;

use crate::crypto::{FarmingKeys, SecretKey};

pub use chia_keyring::{ChiaKeyring, KeyringError, UnlockedKeyring};
pub use entry::KeyReport;
pub use error::KeysError;
pub use import::{
    ADDRESSES_SEARCHED, AddressOwner, ExistingKeys, ImportReport, RewardAddress, RewardAddresses, import,
};
pub use mnemonic::{MnemonicError, check_mnemonic};
pub use passphrase::{Passphrase, forbid_core_dumps, passphrase_in};
pub use pools::{PoolKeyFound, PoolKeyReport, PoolOwner, PoolsToImport, WalletKeys, find_owner};
pub use source::ImportSource;

use file::KeysFile;
use passphrase::Cost;

/// Reads the keys to farm with. The passphrase is needed if [`is_locked`], and not looked at otherwise.
///
/// # Errors
/// [`KeysError`]; a file that others can read or that is owned by another user is refused.
pub fn load(path: &Path, passphrase: Option<&Passphrase>) -> Result<FarmingKeys, KeysError> {
    let mut farmers = Vec::new();
    let (mut pools, mut authentication) = (Vec::new(), Vec::new());
    for entry in KeysFile::read(path)?.unlock(passphrase)? {
        farmers.push(entry.farmer);
        pools.extend(entry.pool);
        authentication.extend(entry.authentication);
    }
    if farmers.is_empty() {
        return Err(KeysError::Empty {
            path: path.to_path_buf(),
        });
    }
    Ok(FarmingKeys::new(farmers, pools).with_pool_authentication(authentication))
}

/// Reads what is public of the keys, for which no passphrase is needed.
///
/// # Errors
/// As [`load`], but a file without keys is no error.
pub fn show(path: &Path) -> Result<Vec<KeyReport>, KeysError> {
    Ok(KeysFile::read(path)?.reports())
}

/// Whether the keys in the file are locked with a passphrase. Where there is no file, nothing is.
///
/// # Errors
/// As [`load`].
pub fn is_locked(path: &Path) -> Result<bool, KeysError> {
    match KeysFile::read(path) {
        Ok(file) => Ok(file.is_locked()),
        Err(KeysError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks the keys with another passphrase, or leaves them in the open for `None`.
///
/// # Errors
/// [`KeysError`]; the file is then as it was.
pub fn set_passphrase(path: &Path, old: Option<&Passphrase>, new: Option<&Passphrase>) -> Result<(), KeysError> {
    let entries = KeysFile::read(path)?.unlock(old)?;
    file::write(path, &entries, new.map(|new| (new, Cost::STANDARD)))
}

/// Reads a secret key as people keep it: hex digits, perhaps with `0x` in front and space around.
fn secret_key_from_hex(text: &str) -> Result<SecretKey, &'static str> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| "expected 64 hex digits")?;
    SecretKey::from_bytes(&bytes).map_err(|_| "the number is zero or too large to be a key")
}

#[cfg(test)]
mod tests;
