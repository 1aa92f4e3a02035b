//! Which key is which: the paths of Chia's key tree.
//!
//! Farming needs the farmer key of a master key, and the pool key once, to sign where rewards of pool-key plots go.
//! The wallet key is needed as a *public* key only, to know the first address; nothing here that farming calls ever
//! holds a wallet secret. Source: chia `derive_keys.py`.

use super::{CryptoError, PublicKey, SecretKey};

/// Farmer key of a master key: m/12381/8444/0/0. Signs every block and partial, cannot spend.
#[must_use]
pub fn farmer_sk(master: &SecretKey) -> SecretKey {
    master.derive_path(&[PURPOSE, COIN, 0, 0])
}

/// Pool key of a master key: m/12381/8444/1/0. Signs the pool target of plots made for a pool public key.
#[must_use]
pub fn pool_sk(master: &SecretKey) -> SecretKey {
    master.derive_path(&[PURPOSE, COIN, 1, 0])
}

/// Local key of a plot, from the master key in the memo of that plot: m/12381/8444/3/0.
#[must_use]
pub fn local_sk(plot_master: &SecretKey) -> SecretKey {
    plot_master.derive_path(&[PURPOSE, COIN, 3, 0])
}

/// Wallet key number `index` on the hardened ("non-observer") path: m/12381/8444/2/index.
#[must_use]
pub fn wallet_sk(master: &SecretKey, index: u32) -> SecretKey {
    master.derive_path(&[PURPOSE, COIN, 2, index])
}

/// Wallet key number `index` on the unhardened path, where today's wallets receive.
///
/// # Errors
/// [`CryptoError::NotASecretKey`] if a key on the path is zero, for which no example is known.
pub fn wallet_sk_unhardened(master: &SecretKey, index: u32) -> Result<SecretKey, CryptoError> {
    master
        .derive_child_unhardened(PURPOSE)?
        .derive_child_unhardened(COIN)?
        .derive_child_unhardened(2)?
        .derive_child_unhardened(index)
}

/// Public key of [`wallet_sk_unhardened`], from the master public key alone.
#[must_use]
pub fn wallet_pk_unhardened(master: &PublicKey, index: u32) -> PublicKey {
    [PURPOSE, COIN, 2, index]
        .iter()
        .fold(*master, |key, index| key.derive_child_unhardened(*index))
}

/// Owner key of plotNFT number `index` of the first pool protocol: m/12381/8444/5/index.
#[must_use]
pub fn singleton_owner_sk(master: &SecretKey, index: u32) -> SecretKey {
    master.derive_path(&[PURPOSE, COIN, 5, index])
}

/// Key that authenticates plotNFT number `index` to a pool of the first pool protocol: m/12381/8444/6/(10000·index).
#[must_use]
pub fn pool_authentication_sk(master: &SecretKey, index: u16) -> SecretKey {
    master.derive_path(&[PURPOSE, COIN, 6, 10_000 * u32::from(index)])
}

/// First level of every path: keys of BLS12-381 (EIP-2334).
const PURPOSE: u32 = 12381;

/// Second level: Chia's coin number.
const COIN: u32 = 8444;
