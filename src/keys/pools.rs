//! Keys of plotNFTs: which wallet owns one, and the key that speaks for it to its pool.

use serde::Serialize;

use super::source::ImportSource;
use super::{KeysError, mnemonic};
use crate::crypto::{PoolAuthentication, PublicKey, SecretKey, derive};
use crate::farmer::PoolMembership;
use crate::ids::LauncherId;
use crate::snapshot::pool_address;
use crate::wire::pool::PoolVersion;

/// The plotNFTs to look for in what is imported.
#[derive(Clone, Copy, Debug)]
pub struct PoolsToImport<'a> {
    /// As the wallet has written them down.
    pub pools: &'a [PoolMembership],
    /// Whether wallet keys are taken, which plotNFTs of the second protocol speak with.
    pub wallet_keys: WalletKeys,
}

/// Whether an import takes wallet keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalletKeys {
    /// No: nothing that can spend gets into the file.
    LeaveOut,
    /// Those that plotNFTs of the second pool protocol speak with.
    Take,
}

/// What was found for one plotNFT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolKeyReport {
    /// The plotNFT.
    pub launcher_id: LauncherId,
    /// Where its pool is, without a password.
    pub pool_url: String,
    /// The result.
    pub found: PoolKeyFound,
}

/// Whether the key of a plotNFT was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKeyFound {
    /// It is in the file.
    Stored,
    /// It is in the file, and it is a wallet key.
    StoredWalletKey,
    /// It is a wallet key, and was left out.
    WalletKeyLeftOut,
    /// What was imported does not own this plotNFT.
    NotOurs,
}

impl PoolsToImport<'_> {
    /// No plotNFT.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            pools: &[],
            wallet_keys: WalletKeys::LeaveOut,
        }
    }

    /// Finds the key of each plotNFT among the wallets; `take` gets it with the place of its wallet.
    pub(super) fn find(
        self,
        masters: &[SecretKey],
        mut take: impl FnMut(usize, PoolAuthentication),
    ) -> Vec<PoolKeyReport> {
        let mut reports = Vec::new();
        for pool in self.pools {
            let owner = masters
                .iter()
                .enumerate()
                .find_map(|(place, master)| Some((place, owned(pool, master)?)));
            let found = match owner {
                None => PoolKeyFound::NotOurs,
                Some((_, ref owner)) if owner.is_wallet_key() && self.wallet_keys == WalletKeys::LeaveOut => {
                    PoolKeyFound::WalletKeyLeftOut
                }
                Some((place, owner)) => {
                    let found = if owner.is_wallet_key() {
                        PoolKeyFound::StoredWalletKey
                    } else {
                        PoolKeyFound::Stored
                    };
                    take(place, owner.authentication);
                    found
                }
            };
            reports.push(PoolKeyReport {
                launcher_id: pool.launcher_id,
                pool_url: pool_address(&pool.pool_url),
                found,
            });
        }
        reports
    }

    /// The report of a source that owns no plotNFT.
    pub(super) fn none_found(self) -> Vec<PoolKeyReport> {
        self.find(&[], |_, _| {})
    }
}

/// The owner of a plotNFT. Not `Debug`, for what it holds.
pub struct PoolOwner {
    /// The owner key. It can move the plotNFT: used once and dropped.
    pub owner: SecretKey,
    /// The key that speaks to the pool.
    pub authentication: PoolAuthentication,
}

impl PoolOwner {
    fn is_wallet_key(&self) -> bool {
        self.authentication.version() == PoolVersion::V2
    }
}

/// The owner of a plotNFT, if it is among what a person has.
///
/// # Errors
/// [`KeysError`] if a mnemonic is none.
pub fn find_owner(pool: &PoolMembership, source: &ImportSource) -> Result<Option<PoolOwner>, KeysError> {
    let own;
    let masters = match source {
        ImportSource::Mnemonic(words) => {
            own = [mnemonic::master_key(words)?];
            &own[..]
        }
        ImportSource::ChiaKeyring(keyring) => &keyring.masters,
        // A farmer key says nothing about the wallet, and made-up keys own nothing.
        ImportSource::FarmerSecretKey(_) | ImportSource::MadeUp { .. } => &[],
    };
    Ok(masters.iter().find_map(|master| owned(pool, master)))
}

fn owned(pool: &PoolMembership, master: &SecretKey) -> Option<PoolOwner> {
    let owner_key = PublicKey::from_g1(&pool.owner_public_key).ok()?;
    let (owner, secret) = match pool.version {
        PoolVersion::V1 => {
            let index = derive::find_singleton_owner(master, &owner_key)?;
            (
                derive::singleton_owner_sk(master, u32::from(index)),
                derive::pool_authentication_sk(master, index),
            )
        }
        PoolVersion::V2 => {
            let index = pool.key_derivation_index?;
            let key = derive::pool_owner_sk_v2(master, index).ok()?;
            (key, derive::pool_owner_sk_v2(master, index).ok()?)
        }
    };
    let authentication = PoolAuthentication::new(pool.owner_public_key, pool.version, secret).ok()?;
    Some(PoolOwner { owner, authentication })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PuzzleHash;

    fn master() -> SecretKey {
        SecretKey::key_gen(&[5; 32]).unwrap()
    }

    fn plotnft(owner: &SecretKey, version: PoolVersion, index: Option<u32>) -> PoolMembership {
        PoolMembership {
            launcher_id: LauncherId([1; 32]),
            pool_url: "https://pool.example".to_owned(),
            payout_instructions: String::new(),
            target_puzzle_hash: PuzzleHash([2; 32]),
            p2_singleton_puzzle_hash: PuzzleHash([3; 32]),
            owner_public_key: owner.public_key().to_g1(),
            version,
            key_derivation_index: index,
        }
    }

    #[test]
    fn keys_of_plotnfts_are_found_and_wallet_keys_only_taken_when_asked_for() {
        let masters = [SecretKey::key_gen(&[6; 32]).unwrap(), master()];
        let pools = [
            plotnft(&derive::singleton_owner_sk(&master(), 99), PoolVersion::V1, None),
            plotnft(
                &derive::pool_owner_sk_v2(&master(), 7).unwrap(),
                PoolVersion::V2,
                Some(7),
            ),
            plotnft(
                &derive::pool_owner_sk_v2(&master(), 7).unwrap(),
                PoolVersion::V2,
                Some(8),
            ),
            plotnft(&derive::singleton_owner_sk(&master(), 100), PoolVersion::V1, None),
        ];
        let find = |wallet_keys| {
            let mut taken = Vec::new();
            let to_import = PoolsToImport {
                pools: &pools,
                wallet_keys,
            };
            let reports = to_import.find(&masters, |place, key| taken.push((place, key.public_key())));
            (
                reports.into_iter().map(|report| report.found).collect::<Vec<_>>(),
                taken,
            )
        };
        let v1 = (1, derive::pool_authentication_sk(&master(), 99).public_key());
        let v2 = (1, derive::pool_owner_sk_v2(&master(), 7).unwrap().public_key());
        let (stored, not) = (PoolKeyFound::Stored, PoolKeyFound::NotOurs);
        let (left, taken) = (PoolKeyFound::WalletKeyLeftOut, PoolKeyFound::StoredWalletKey);
        assert_eq!(find(WalletKeys::LeaveOut), (vec![stored, left, not, not], vec![v1]));
        assert_eq!(find(WalletKeys::Take), (vec![stored, taken, not, not], vec![v1, v2]));
    }
}
