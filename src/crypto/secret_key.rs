//! The secret key: the one type that must not leak.

use blst::min_pk;
use zeroize::Zeroizing;

use super::scalar::Scalar;
use super::{CryptoError, PublicKey, Signature, bls, hardened};

/// A BLS secret key: a number from 1 to the group order, exclusive. Wiped when dropped.
///
/// It has no `Debug`, `Display`, `Clone` or `Serialize`, so that none can appear in a log line, a snapshot or a second
/// place in memory by accident. [`SecretKey::to_bytes`] is the one way out.
pub struct SecretKey(min_pk::SecretKey);

impl SecretKey {
    /// Reads a key from 32 bytes, most significant first.
    ///
    /// # Errors
    /// [`CryptoError::NotASecretKey`] for zero (which the official software accepts, and which is nobody's key) and for
    /// numbers not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, CryptoError> {
        min_pk::SecretKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| CryptoError::NotASecretKey)
    }

    /// Makes a key from a seed, as Chia does: the HKDF of the IETF BLS draft, version 3. A master key comes from the 64
    /// bytes of a BIP-39 seed, others from a hash.
    ///
    /// # Errors
    /// [`CryptoError::SeedTooShort`] for fewer than 32 bytes.
    pub fn key_gen(seed: &[u8]) -> Result<Self, CryptoError> {
        min_pk::SecretKey::key_gen_v3(seed, &[])
            .map(Self)
            .map_err(|_| CryptoError::SeedTooShort { got: seed.len() })
    }

    /// Makes a key from a hash, which is always long enough to be a seed.
    pub(super) fn from_hash(hash: &[u8; 32]) -> Self {
        match min_pk::SecretKey::key_gen_v3(hash, &[]) {
            Ok(key) => Self(key),
            Err(_) => unreachable!("blst refuses seeds of fewer than 32 bytes only"),
        }
    }

    /// The key as 32 bytes, most significant first; wiped when dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key that belongs to this one.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_point(self.0.sk_to_pk())
    }

    /// The hardened child `index` (EIP-2333 as Chia has it): with it and the public key of the parent, nobody learns the
    /// parent or any other child.
    #[must_use]
    pub fn derive_child(&self, index: u32) -> Self {
        Self::from_hash(&hardened::child_seed(&self.to_bytes(), index))
    }

    /// The hardened descendant at `path`, from this key on; the empty path is a second copy of this key.
    #[must_use]
    pub fn derive_path(&self, path: &[u32]) -> Self {
        path.iter()
            .fold(Self(self.0.clone()), |key, index| key.derive_child(*index))
    }

    /// The hardened descendants at `path` of many keys, in their order: [`Self::derive_path`] of each, but sooner done.
    #[must_use]
    pub fn derive_path_of_many(keys: &[Self], path: &[u32]) -> Vec<Self> {
        let keys = keys.iter().map(|key| Self(key.0.clone())).collect();
        path.iter().fold(keys, |keys: Vec<Self>, index| {
            let bytes: Vec<_> = keys.iter().map(Self::to_bytes).collect();
            let seeds = hardened::child_seeds(&bytes, *index);
            seeds.iter().map(|seed| Self::from_hash(seed)).collect()
        })
    }

    /// The unhardened child `index`: this key plus sha256(public key ‖ index). Its public key can be computed without
    /// secrets ([`PublicKey::derive_child_unhardened`]), and it reveals this key to whoever knows this public key.
    ///
    /// # Errors
    /// [`CryptoError::NotASecretKey`] if the sum is zero, for which no example is known.
    pub fn derive_child_unhardened(&self, index: u32) -> Result<Self, CryptoError> {
        let offset = bls::unhardened_offset(&self.public_key(), index);
        self.plus_scalar(&Scalar::from_be_bytes(&offset))
            .ok_or(CryptoError::NotASecretKey)
    }

    /// The key whose signatures are the sums of the signatures of both, or `None` if they cancel each other out.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        self.plus_scalar(&Scalar::from_be_bytes(&other.to_bytes()))
    }

    pub(super) fn plus_scalar(&self, offset: &Scalar) -> Option<Self> {
        let sum = Scalar::from_be_bytes(&self.to_bytes()).plus(offset);
        Self::from_bytes(&sum.to_be_bytes()).ok()
    }

    /// Signs the hash of `augmentation` ‖ `message`.
    pub(super) fn sign_raw(&self, augmentation: &[u8], message: &[u8]) -> Signature {
        Signature::from_point(self.0.sign(message, bls::DST, augmentation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a type implements a trait: an inherent constant, where its bounds hold, hides that of a trait.
    macro_rules! implements {
        ($type:ty: $trait:path) => {{
            struct Probe<T>(std::marker::PhantomData<T>);
            trait _Otherwise {
                const _YES: bool = false;
            }
            impl<T> _Otherwise for Probe<T> {}
            impl<T: $trait> Probe<T> {
                const _YES: bool = true;
            }
            Probe::<$type>::_YES
        }};
    }

    #[test]
    fn a_secret_key_can_be_neither_printed_nor_copied_nor_serialized() {
        // What is inside could, so it must never be handed out.
        assert!(implements!(min_pk::SecretKey: std::fmt::Debug));
        assert!(implements!(min_pk::SecretKey: Clone));
        assert!(implements!(String: std::fmt::Display));
        assert!(implements!(String: serde::Serialize));

        assert!(!implements!(SecretKey: std::fmt::Debug));
        assert!(!implements!(SecretKey: Clone));
        assert!(!implements!(SecretKey: std::fmt::Display));
        assert!(!implements!(SecretKey: serde::Serialize));
        assert!(!implements!(crate::crypto::FarmingKeys: std::fmt::Debug));
        assert!(!implements!(crate::crypto::FarmingKeys: Clone));
        assert!(!implements!(crate::crypto::FarmingKeys: serde::Serialize));
    }

    #[test]
    fn a_secret_key_is_wiped_when_dropped() {
        // The wiping is done by blst's `Drop`, and the bytes that go out by that of `Zeroizing`; this holds them to it.
        fn wipes<T: zeroize::Zeroize>(_: &T) {}
        let key = SecretKey::from_hash(&[1; 32]);
        wipes(&key.0);
        let _: Zeroizing<[u8; 32]> = key.to_bytes();
        assert!(std::mem::needs_drop::<SecretKey>());
        // A second owner of the same number would survive the first.
        assert_eq!(size_of::<SecretKey>(), 32);
    }
}
