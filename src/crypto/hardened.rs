//! Hardened key derivation as Chia does it.
//!
//! This is EIP-2333 as it first was: the child is made from the hash of a Lamport public key by the key generation of
//! draft 3 of the IETF BLS signatures. Later drafts, and blst's own derivation, hash the salt of that key generation
//! first and give other children. Source: chia_rs `chia-bls/src/secret_key.rs`, `derive_hardened`.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::sha256;

/// Seed of the hardened child `index` of a secret key: the compressed Lamport public key of EIP-2333.
pub(super) fn child_seed(secret_key: &[u8; 32], index: u32) -> Zeroizing<[u8; 32]> {
    let salt = index.to_be_bytes();
    let flipped = Zeroizing::new(secret_key.map(|byte| !byte));
    let mut lamport_public_key = Sha256::new();
    for key_material in [secret_key, &*flipped] {
        let key = Hmac::new(&*Hmac::new(&salt).code(&[key_material]));
        let mut chunk = Zeroizing::new([0; 32]);
        for counter in 1..=LAMPORT_CHUNKS {
            // HKDF-Expand: the first chunk has no predecessor.
            let previous: &[u8] = if counter == 1 { &[] } else { chunk.as_slice() };
            chunk = key.code(&[previous, &[counter]]);
            lamport_public_key.update(sha256(&[chunk.as_slice()]));
        }
    }
    Zeroizing::new(lamport_public_key.finalize().into())
}

/// HMAC-SHA-256 with a key of at most 64 bytes, the key already taken in.
struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    fn new(key: &[u8]) -> Self {
        let pad = |value: u8| {
            let mut block = Zeroizing::new([value; 64]);
            for (to, from) in block.iter_mut().zip(key) {
                *to ^= from;
            }
            Sha256::new_with_prefix(block.as_slice())
        };
        Self {
            inner: pad(0x36),
            outer: pad(0x5c),
        }
    }

    fn code(&self, message: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut inner = self.inner.clone();
        for part in message {
            inner.update(part);
        }
        Zeroizing::new(self.outer.clone().chain_update(inner.finalize()).finalize().into())
    }
}

/// Chunks of 32 bytes in one half of a Lamport key.
const LAMPORT_CHUNKS: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_codes_match_rfc_4231() {
        let code = Hmac::new(b"Jefe").code(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(
            hex::encode(*code),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
