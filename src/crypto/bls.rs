//! Public keys, signatures, and the three things one does with them: sign, add, verify.
//!
//! Infinity (the sum of nothing) is a valid [`PublicKey`] and [`Signature`] when read, as in the official software,
//! because a message that contains it is well-formed. It is never a useful one: no signature verifies under an infinite
//! public key, and an infinite signature verifies under none.

use std::fmt;

use blst::{BLST_ERROR, Pairing, blst_p1_affine, blst_p2_affine, min_pk};

use super::scalar::Scalar;
use super::{CryptoError, SecretKey, sha256};
use crate::wire::{G1Bytes, G2Bytes};

/// A BLS public key, known to be a point of G1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(min_pk::PublicKey);

impl PublicKey {
    /// Checks that the bytes are a point on the curve, in the right group, in canonical form. About 70 µs.
    ///
    /// # Errors
    /// [`CryptoError::NotAPublicKey`].
    pub fn from_g1(bytes: &G1Bytes) -> Result<Self, CryptoError> {
        let key = min_pk::PublicKey::uncompress(bytes.as_bytes()).map_err(|_| CryptoError::NotAPublicKey)?;
        match key.validate() {
            Ok(()) | Err(BLST_ERROR::BLST_PK_IS_INFINITY) => Ok(Self(key)),
            Err(_) => Err(CryptoError::NotAPublicKey),
        }
    }

    /// The 48 bytes, as on the wire.
    #[must_use]
    pub fn to_g1(&self) -> G1Bytes {
        G1Bytes(self.0.compress())
    }

    /// The sum of the keys; of none, infinity.
    #[must_use]
    pub fn aggregate(keys: &[&Self]) -> Self {
        let points: Vec<&min_pk::PublicKey> = keys.iter().map(|key| &key.0).collect();
        // blst refuses only the empty list, as the points are not validated again.
        min_pk::AggregatePublicKey::aggregate(&points, false)
            .map_or_else(|_| Self(min_pk::PublicKey::default()), |sum| Self(sum.to_public_key()))
    }

    /// Whether this is the point at infinity, which belongs to nobody.
    #[must_use]
    pub fn is_infinity(&self) -> bool {
        self.0 == min_pk::PublicKey::default()
    }

    /// The public key of [`SecretKey::derive_child_unhardened`], computed without the secret.
    #[must_use]
    pub fn derive_child_unhardened(&self, index: u32) -> Self {
        self.plus_scalar(&Scalar::from_be_bytes(&unhardened_offset(self, index)))
    }

    /// What wallets show to name a key: the first four bytes of the SHA-256 of the key.
    #[must_use]
    pub fn fingerprint(&self) -> u32 {
        let [a, b, c, d, ..] = sha256(&[self.to_g1().as_bytes()]);
        u32::from_be_bytes([a, b, c, d])
    }

    /// This key plus the public key of `offset`.
    pub(super) fn plus_scalar(&self, offset: &Scalar) -> Self {
        // The public key of zero is infinity: nothing to add.
        SecretKey::from_bytes(&offset.to_be_bytes())
            .map_or(*self, |offset| Self::aggregate(&[self, &offset.public_key()]))
    }

    pub(super) const fn from_point(point: min_pk::PublicKey) -> Self {
        Self(point)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_g1().fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A BLS signature, or a share of one: known to be a point of G2, not to fit any message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(min_pk::Signature);

impl Signature {
    /// Checks that the bytes are a point on the curve, in the right group, in canonical form. About 100 µs.
    ///
    /// # Errors
    /// [`CryptoError::NotASignature`].
    pub fn from_g2(bytes: &G2Bytes) -> Result<Self, CryptoError> {
        let signature = min_pk::Signature::uncompress(bytes.as_bytes()).map_err(|_| CryptoError::NotASignature)?;
        signature.validate(false).map_err(|_| CryptoError::NotASignature)?;
        Ok(Self(signature))
    }

    /// The 96 bytes, as on the wire.
    #[must_use]
    pub fn to_g2(&self) -> G2Bytes {
        G2Bytes(self.0.compress())
    }

    /// The sum of the signatures; of none, infinity.
    #[must_use]
    pub fn aggregate(signatures: &[Self]) -> Self {
        let points: Vec<&min_pk::Signature> = signatures.iter().map(|signature| &signature.0).collect();
        // blst refuses only the empty list, as the points are not validated again.
        min_pk::AggregateSignature::aggregate(&points, false).map_or_else(
            |_| Self(blst_p2_affine::default().into()),
            |sum| Self(sum.to_signature()),
        )
    }

    pub(super) const fn from_point(point: min_pk::Signature) -> Self {
        Self(point)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_g2().fmt(f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// Signs `message` as AugSchemeMPL does: the hash of own public key ‖ message.
#[must_use]
pub fn sign(secret_key: &SecretKey, message: &[u8]) -> Signature {
    sign_prepend(secret_key, &secret_key.public_key(), message)
}

/// Signs the hash of `augmentation` ‖ `message`: a share of a signature that is to verify under `augmentation`, once
/// the shares of all secret keys whose public keys add up to it are aggregated. Plot signatures are made of such shares.
#[must_use]
pub fn sign_prepend(secret_key: &SecretKey, augmentation: &PublicKey, message: &[u8]) -> Signature {
    secret_key.sign_raw(augmentation.to_g1().as_bytes(), message)
}

/// Whether `signature` is that of `message` under `public_key` (AugSchemeMPL). About 1 ms.
#[must_use]
pub fn verify(public_key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    let key: &blst_p1_affine = (&public_key.0).into();
    let signature: &blst_p2_affine = (&signature.0).into();
    // One pairing context in this thread: `min_pk::Signature::verify` would hand the work to a pool of threads.
    let mut pairing = Pairing::new(true, DST);
    let added = pairing.aggregate(key, false, signature, false, message, public_key.to_g1().as_bytes());
    pairing.commit();
    added == BLST_ERROR::BLST_SUCCESS && pairing.finalverify(None)
}

/// Whether `signature` is the sum of the signatures of these messages, each under its own key (AugSchemeMPL). Pools check
/// partials with it, so the tests' pool does.
#[cfg(test)]
pub(crate) fn verify_aggregate(signed: &[(&PublicKey, &[u8])], signature: &Signature) -> bool {
    let messages: Vec<Vec<u8>> = signed
        .iter()
        .map(|(key, message)| [key.to_g1().as_bytes(), *message].concat())
        .collect();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let keys: Vec<&min_pk::PublicKey> = signed.iter().map(|(key, _)| &key.0).collect();
    signature.0.aggregate_verify(false, &messages, DST, &keys, false) == BLST_ERROR::BLST_SUCCESS
}

/// What separates the unhardened child `index` from its parent, before reduction.
pub(super) fn unhardened_offset(parent: &PublicKey, index: u32) -> [u8; 32] {
    sha256(&[parent.to_g1().as_bytes(), &index.to_be_bytes()])
}

/// Domain separation tag of AugSchemeMPL.
pub(super) const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_";
