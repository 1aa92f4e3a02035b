//! Which key is which: the paths of Chia's key tree.
//!
//! Farming needs the farmer key of a master key, and the pool key once, to sign where rewards of pool-key plots go.
//! The wallet key is needed as a *public* key only, to know the first address; nothing here that farming calls ever
//! holds a wallet secret. Source: chia `derive_keys.py`.

use super::{CryptoError, PublicKey, SecretKey, synthetic_sk};

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

/// Local keys of many plots, in the order of their master keys: [`local_sk`] of each. Of [`KEYS_TOGETHER`] at a time they
/// take half as long.
#[must_use]
pub fn local_sks(plot_masters: &[SecretKey]) -> Vec<SecretKey> {
    SecretKey::derive_path_of_many(plot_masters, &[PURPOSE, COIN, 3, 0])
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

/// Owner key of a plotNFT of the second pool protocol: the key that signs for coins of wallet key `index`. SECRET AS A
/// WALLET KEY: whoever has it can spend what lies on that address.
///
/// # Errors
/// [`CryptoError::NotASecretKey`] if a key on the path is zero, for which no example is known.
pub fn pool_owner_sk_v2(master: &SecretKey, index: u32) -> Result<SecretKey, CryptoError> {
    synthetic_sk(&wallet_sk_unhardened(master, index)?)
}

/// Number of the plotNFT of the first pool protocol that has this owner key, among the first
/// [`POOL_WALLETS_SEARCHED`].
#[must_use]
pub fn find_singleton_owner(master: &SecretKey, owner_public_key: &PublicKey) -> Option<u16> {
    let parent = master.derive_path(&[PURPOSE, COIN, 5]);
    (0..POOL_WALLETS_SEARCHED).find(|index| parent.derive_child(u32::from(*index)).public_key() == *owner_public_key)
}

/// How many plotNFTs of the first pool protocol a wallet can have. Source: chia `MAX_POOL_WALLETS`.
pub const POOL_WALLETS_SEARCHED: u16 = 100;

/// Keys that are worked out at the same time, at most.
pub const KEYS_TOGETHER: usize = 16;

/// First level of every path: keys of BLS12-381 (EIP-2334).
const PURPOSE: u32 = 12381;

/// Second level: Chia's coin number.
const COIN: u32 = 8444;
