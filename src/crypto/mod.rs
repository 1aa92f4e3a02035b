//! Hashing and signatures: SHA-256, the BLS scheme of Chia (AugSchemeMPL on BLS12-381, public keys in G1), key
//! derivation, and what a plot signature is made of.
//!
//! Keys and signatures that came over the wire ([`G1Bytes`](crate::wire::G1Bytes), [`G2Bytes`](crate::wire::G2Bytes))
//! become [`PublicKey`] and [`Signature`] here, and only then are known to be points of the right group. A
//! [`SecretKey`] cannot be printed, copied or serialized by accident, and is wiped when dropped.
//!
//! Not here: where keys come from and how they are kept (`keys`), and any chance. Nothing in this module needs random
//! numbers, because BLS signatures are deterministic.

mod bls;
pub mod derive;
mod farming_keys;
mod generator;
mod hardened;
mod plot_signature;
mod pool_authentication;
mod puzzle;
mod scalar;
mod secret_key;

#[cfg(test)]
pub(crate) use bls::verify_aggregate;
pub use bls::{PublicKey, Signature, sign, sign_prepend, verify};
pub use farming_keys::{FarmingKeys, PoolKey, PoolTargetError};
pub use generator::GeneratorTable;
pub use plot_signature::{
    PlotSignatureError, complete_plot_signature, plot_public_key, plot_public_key_by, taproot_secret_key,
};
pub use pool_authentication::PoolAuthentication;
pub use puzzle::{standard_puzzle_hash, synthetic_pk, synthetic_sk};
pub use secret_key::SecretKey;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// SHA-256 of the parts, one after another.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of three hashes, one after another: what plots are filtered by, all of them at every signage point, so this
/// takes half the time of [`sha256`].
#[must_use]
pub fn sha256_of_three([first, second, third]: [&[u8; 32]; 3]) -> [u8; 32] {
    let mut blocks = [[0; 64]; 2];
    blocks[0][..32].copy_from_slice(first);
    blocks[0][32..].copy_from_slice(second);
    blocks[1][..32].copy_from_slice(third);
    blocks[1][32] = 0x80;
    blocks[1][56..].copy_from_slice(&(3 * 32 * 8_u64).to_be_bytes());
    let mut state = SHA256_INITIAL;
    compress256(&mut state, &blocks);
    let mut hash = [0; 32];
    for (to, word) in hash.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// What SHA-256 begins with.
const SHA256_INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Why bytes are not what they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum CryptoError {
    /// Not the canonical compressed form of a point of G1.
    #[error("not a public key: the 48 bytes are no point of the BLS12-381 group G1")]
    NotAPublicKey,
    /// Not the canonical compressed form of a point of G2.
    #[error("not a signature: the 96 bytes are no point of the BLS12-381 group G2")]
    NotASignature,
    /// Zero, or not below the group order.
    #[error("not a secret key: the number is zero or not below the group order")]
    NotASecretKey,
    /// Too little to make a key from.
    #[error("a key needs a seed of at least 32 bytes, got {got}")]
    SeedTooShort {
        /// Bytes given.
        got: usize,
    },
    /// A signature that fits the key or the message it was stored with no more.
    #[error("the signature is not one of this key for this message")]
    SignatureWrong,
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_hashed_as_one() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(sha256(&[b"abc"])), expected);
        assert_eq!(hex::encode(sha256(&[b"a", b"", b"bc"])), expected);
    }

    #[test]
    fn three_hashes_are_hashed_like_any_bytes() {
        let [a, b, c] = [1, 2, 3].map(|byte| sha256(&[&[byte]]));
        assert_eq!(sha256_of_three([&a, &b, &c]), sha256(&[&a, &b, &c]));
    }
}
