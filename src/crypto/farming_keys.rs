//! The secrets of a farmer: what is needed to farm, and nothing that can spend.

use super::{CryptoError, PoolAuthentication, PublicKey, SecretKey, Signature, sign, verify};
use crate::ids::PuzzleHash;
use crate::wire::{G1Bytes, G2Bytes, HarvesterHandshake, PoolTarget, Streamable};

/// Farmer secret keys, and for every pool public key the signature that sends its rewards to our address.
///
/// There is no pool secret key here. All it would do is sign `PoolTarget(puzzle_hash, 0)`, which is the same 36 bytes for
/// every block, so that signature is made once, when keys are imported. Whoever steals these keys cannot change where
/// the rewards of pool-key plots go; and when the owner wants to change it, the keys have to be imported again.
///
/// Not `Debug`, for what it holds. Workers share it in an `Arc`.
pub struct FarmingKeys {
    farmers: Vec<(G1Bytes, SecretKey)>,
    pools: Vec<PoolKey>,
    authentication: Vec<PoolAuthentication>,
}

impl FarmingKeys {
    /// Puts keys together. A farmer key that is given twice counts once; of two entries for one pool public key the
    /// later counts.
    #[must_use]
    pub fn new(farmers: Vec<SecretKey>, pools: Vec<PoolKey>) -> Self {
        let mut keys = Self {
            farmers: Vec::new(),
            pools: Vec::new(),
            authentication: Vec::new(),
        };
        for secret in farmers {
            let public = secret.public_key().to_g1();
            if keys.secret_for(&public).is_none() {
                keys.farmers.push((public, secret));
            }
        }
        for pool in pools {
            match keys.pools.iter_mut().find(|known| known.public_key == pool.public_key) {
                Some(known) => *known = pool,
                None => keys.pools.push(pool),
            }
        }
        keys
    }

    /// The same keys, with those that speak to pools.
    #[must_use]
    pub fn with_pool_authentication(mut self, keys: Vec<PoolAuthentication>) -> Self {
        self.authentication = keys;
        self
    }

    /// The key that speaks to the pool of a plotNFT, found by the plotNFT's owner key.
    #[must_use]
    pub fn pool_authentication(&self, owner_public_key: &G1Bytes) -> Option<&PoolAuthentication> {
        self.authentication
            .iter()
            .find(|key| key.owner_public_key() == owner_public_key)
    }

    /// The farmer public keys we can sign for.
    #[must_use]
    pub fn farmer_public_keys(&self) -> Vec<G1Bytes> {
        self.farmers.iter().map(|(public, _)| *public).collect()
    }

    /// The pool public keys whose rewards we can claim.
    #[must_use]
    pub fn pool_public_keys(&self) -> Vec<G1Bytes> {
        self.pools.iter().map(|pool| pool.public_key).collect()
    }

    /// What harvesters are told after they connect: plots with other keys are none of ours.
    ///
    /// `configured_pool_keys` is `farmer.pool_public_keys` of the settings. Plots of such a key are farmed, but a block
    /// they win can only be claimed if the key is among [`pool_public_keys`](Self::pool_public_keys) too.
    ///
    /// An official harvester whose list of pool keys is empty ignores every signage point, also for plots that pay into
    /// a contract. So if there is no pool key at all, the farmer keys stand in: no plot has them as its pool key.
    #[must_use]
    pub fn harvester_handshake(&self, configured_pool_keys: &[G1Bytes]) -> HarvesterHandshake {
        let farmer_public_keys = self.farmer_public_keys();
        let mut pool_public_keys = self.pool_public_keys();
        for key in configured_pool_keys {
            if !pool_public_keys.contains(key) {
                pool_public_keys.push(*key);
            }
        }
        if pool_public_keys.is_empty() {
            pool_public_keys.clone_from(&farmer_public_keys);
        }
        HarvesterHandshake {
            farmer_public_keys,
            pool_public_keys,
        }
    }

    /// The secret key of a farmer public key, if it is ours.
    #[must_use]
    pub fn secret_for(&self, farmer_public_key: &G1Bytes) -> Option<&SecretKey> {
        self.farmers
            .iter()
            .find(|(public, _)| public == farmer_public_key)
            .map(|(_, secret)| secret)
    }

    /// The pool keys and where their rewards go.
    #[must_use]
    pub fn pool_keys(&self) -> &[PoolKey] {
        &self.pools
    }

    /// The signature over `PoolTarget(puzzle_hash, 0)` that a block of a plot with this pool public key carries.
    ///
    /// # Errors
    /// [`PoolTargetError`] if the key is not ours, or if its rewards were signed over to another address.
    pub fn pool_target_signature(
        &self,
        pool_public_key: &G1Bytes,
        puzzle_hash: &PuzzleHash,
    ) -> Result<Signature, PoolTargetError> {
        let pool = self
            .pools
            .iter()
            .find(|pool| pool.public_key == *pool_public_key)
            .ok_or(PoolTargetError::PoolKeyUnknown {
                pool_public_key: *pool_public_key,
            })?;
        if pool.puzzle_hash != *puzzle_hash {
            return Err(PoolTargetError::OtherAddress {
                signed: pool.puzzle_hash,
                wanted: *puzzle_hash,
            });
        }
        Ok(pool.signature)
    }
}

/// A pool public key, and its signature that says where the rewards of its plots go. The signature is known to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolKey {
    public_key: G1Bytes,
    puzzle_hash: PuzzleHash,
    signature: Signature,
}

impl PoolKey {
    /// Signs the rewards of a pool key over to an address. Afterwards the secret key is not needed any more.
    #[must_use]
    pub fn sign(pool_sk: &SecretKey, puzzle_hash: PuzzleHash) -> Self {
        let signature = sign(pool_sk, &pool_target_bytes(puzzle_hash));
        Self {
            public_key: pool_sk.public_key().to_g1(),
            puzzle_hash,
            signature,
        }
    }

    /// Takes up a signature made earlier, after verifying it. About 1 ms.
    ///
    /// # Errors
    /// [`CryptoError`] if the key or the signature is none, or [`CryptoError::SignatureWrong`] if they do not fit.
    pub fn verified(public_key: &G1Bytes, puzzle_hash: PuzzleHash, signature: &G2Bytes) -> Result<Self, CryptoError> {
        let key = PublicKey::from_g1(public_key)?;
        let signature = Signature::from_g2(signature)?;
        if !verify(&key, &pool_target_bytes(puzzle_hash), &signature) {
            return Err(CryptoError::SignatureWrong);
        }
        Ok(Self {
            public_key: *public_key,
            puzzle_hash,
            signature,
        })
    }

    /// The key that is in the plots.
    #[must_use]
    pub const fn public_key(&self) -> &G1Bytes {
        &self.public_key
    }

    /// Where the rewards of its plots go: the pool's part of each block, 7/8.
    #[must_use]
    pub const fn puzzle_hash(&self) -> &PuzzleHash {
        &self.puzzle_hash
    }

    /// Signature of the key over `PoolTarget(puzzle_hash, 0)`.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// Why a block of a pool-key plot cannot be claimed. Both are settled by importing keys again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum PoolTargetError {
    /// The plot was made for a pool key that was not imported.
    #[error("no signature here for pool public key {pool_public_key}: import the keys it belongs to")]
    PoolKeyUnknown {
        /// Pool public key of the plot.
        pool_public_key: G1Bytes,
    },
    /// The pool address was changed after the keys were imported.
    #[error(
        "pool rewards were signed over to puzzle hash {signed} at import, the settings say {wanted}: import keys again"
    )]
    OtherAddress {
        /// Address the imported signature is for.
        signed: PuzzleHash,
        /// Address that was asked for.
        wanted: PuzzleHash,
    },
}

/// What a pool key signs: the address, for any height.
fn pool_target_bytes(puzzle_hash: PuzzleHash) -> Vec<u8> {
    PoolTarget {
        puzzle_hash,
        max_height: 0,
    }
    .to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_over_pool_key_is_only_good_for_its_address() {
        let ours = PoolKey::sign(&secret(2), PuzzleHash([5; 32]));
        let keys = FarmingKeys::new(vec![secret(1)], vec![ours]);
        let key = secret(2).public_key().to_g1();
        assert_eq!(
            keys.pool_target_signature(&key, &PuzzleHash([5; 32])),
            Ok(*ours.signature())
        );
        let (signed, wanted) = (PuzzleHash([5; 32]), PuzzleHash([6; 32]));
        let error = PoolTargetError::OtherAddress { signed, wanted };
        assert_eq!(keys.pool_target_signature(&key, &wanted), Err(error));
        let stranger = secret(3).public_key().to_g1();
        let error = PoolTargetError::PoolKeyUnknown {
            pool_public_key: stranger,
        };
        assert_eq!(keys.pool_target_signature(&stranger, &signed), Err(error));
    }

    #[test]
    fn a_stored_pool_signature_is_verified_before_use() {
        let key = PoolKey::sign(&secret(2), PuzzleHash([5; 32]));
        let signature = key.signature().to_g2();
        assert_eq!(
            PoolKey::verified(key.public_key(), PuzzleHash([5; 32]), &signature),
            Ok(key)
        );
        let moved = PoolKey::verified(key.public_key(), PuzzleHash([6; 32]), &signature);
        assert_eq!(moved, Err(CryptoError::SignatureWrong));
        let stranger = secret(3).public_key().to_g1();
        assert_eq!(
            PoolKey::verified(&stranger, PuzzleHash([5; 32]), &signature),
            Err(CryptoError::SignatureWrong)
        );
        let no_key = PoolKey::verified(&G1Bytes([0; 48]), PuzzleHash([5; 32]), &signature);
        assert_eq!(no_key, Err(CryptoError::NotAPublicKey));
    }

    #[test]
    fn keys_given_twice_count_once_and_the_later_pool_address_holds() {
        let farmer = secret(1).public_key().to_g1();
        let pools = [5, 6].map(|to| PoolKey::sign(&secret(2), PuzzleHash([to; 32])));
        let keys = FarmingKeys::new(vec![secret(1), secret(1)], pools.to_vec());
        assert_eq!(keys.farmer_public_keys(), [farmer]);
        assert_eq!(keys.pool_keys(), [pools[1]]);
        assert!(
            keys.secret_for(&farmer)
                .is_some_and(|key| *key.to_bytes() == *secret(1).to_bytes())
        );
        assert!(keys.secret_for(pools[1].public_key()).is_none());
    }

    #[test]
    fn harvesters_are_told_all_pool_keys_and_never_none() {
        let farmer = secret(1).public_key().to_g1();
        let pool = PoolKey::sign(&secret(2), PuzzleHash([5; 32]));
        let configured = [secret(3).public_key().to_g1(), *pool.public_key()];
        let handshake = FarmingKeys::new(vec![secret(1)], vec![pool]).harvester_handshake(&configured);
        assert_eq!(handshake.farmer_public_keys, [farmer]);
        assert_eq!(handshake.pool_public_keys, [*pool.public_key(), configured[0]]);
        let handshake = FarmingKeys::new(vec![secret(1)], Vec::new()).harvester_handshake(&[]);
        assert_eq!(handshake.pool_public_keys, [farmer]);
    }

    fn secret(number: u8) -> SecretKey {
        SecretKey::key_gen(&[number; 32]).unwrap()
    }
}
