//! Hardened key derivation as Chia does it.
//!
//! This is EIP-2333 as it first was: the child is made from the hash of a Lamport public key by the key generation of
//! draft 3 of the IETF BLS signatures. Later drafts, and blst's own derivation, hash the salt of that key generation
//! first and give other children. Source: chia_rs `chia-bls/src/secret_key.rs`, `derive_hardened`.

#[cfg(target_arch = "x86_64")]
mod lanes;

#[cfg(target_arch = "x86_64")]
use fearless_simd::{Avx2, Avx512, Level};
use sha2::block_api::compress256;
use zeroize::Zeroizing;

use super::SHA256_INITIAL;

/// Seeds of the hardened children `index` of secret keys, in their order: [`child_seed`] of each, several at the same time
/// where the processor is faster so.
pub(super) fn child_seeds(secret_keys: &[Zeroizing<[u8; 32]>], index: u32) -> Vec<Zeroizing<[u8; 32]>> {
    Way::fastest().child_seeds(secret_keys, index)
}

/// How the children of many keys are worked out.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One after another, with the processor's instructions for SHA-256 if it has any.
    OneByOne,
    /// Of 8 keys at the same time.
    #[cfg(target_arch = "x86_64")]
    Eight(Avx2),
    /// Of 16 keys at the same time.
    #[cfg(target_arch = "x86_64")]
    Sixteen(Avx512),
}

impl Way {
    #[cfg(target_arch = "x86_64")]
    fn fastest() -> Self {
        // Without optimisation each operation on vectors is many calls.
        if cfg!(debug_assertions) {
            return Self::OneByOne;
        }
        let level = Level::new();
        match (level.as_avx512(), level.as_avx2()) {
            (Some(avx512), _) => Self::Sixteen(avx512),
            // Instructions for SHA-256 do as much as 8 lanes, for any number of keys.
            (None, Some(avx2)) if !std::arch::is_x86_feature_detected!("sha") => Self::Eight(avx2),
            _ => Self::OneByOne,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn fastest() -> Self {
        Self::OneByOne
    }

    fn child_seeds(self, secret_keys: &[Zeroizing<[u8; 32]>], index: u32) -> Vec<Zeroizing<[u8; 32]>> {
        let mut seeds = Vec::with_capacity(secret_keys.len());
        for keys in secret_keys.chunks(self.lanes()) {
            let way = if keys.len() < self.enough() {
                Self::OneByOne
            } else {
                self
            };
            match way {
                Self::OneByOne => seeds.extend(keys.iter().map(|key| child_seed(key, index))),
                #[cfg(target_arch = "x86_64")]
                Self::Eight(avx2) => seeds.extend(lanes::child_seeds::<_, 8>(avx2, keys, index)),
                #[cfg(target_arch = "x86_64")]
                Self::Sixteen(avx512) => seeds.extend(lanes::child_seeds::<_, 16>(avx512, keys, index)),
            }
        }
        seeds
    }

    const fn lanes(self) -> usize {
        match self {
            Self::OneByOne => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Eight(_) => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Sixteen(_) => 16,
        }
    }

    /// Keys from which on they are done sooner at the same time, lanes without a key and all, than one after another.
    const fn enough(self) -> usize {
        match self {
            Self::OneByOne => 1,
            #[cfg(target_arch = "x86_64")]
            Self::Eight(_) => 2,
            #[cfg(target_arch = "x86_64")]
            Self::Sixteen(_) => 8,
        }
    }
}

/// Seed of the hardened child `index` of a secret key: the compressed Lamport public key of EIP-2333.
///
/// A plot costs four of these, of 1,800 SHA-256 blocks each. The two halves of the Lamport key are chains of their own,
/// worked out side by side, and nothing else is done in between: a processor does blocks at the same time that do not
/// need each other.
pub(super) fn child_seed(secret_key: &[u8; 32], index: u32) -> Zeroizing<[u8; 32]> {
    let flipped = Zeroizing::new(secret_key.map(|byte| !byte));
    let mut halves = [secret_key, &*flipped].map(|key_material| {
        let key = Hmac::new(&index.to_be_bytes()).code(key_material);
        Half::new(&Hmac::new(&*key))
    });
    let mut leaves = Zeroizing::new([[[0_u32; 8]; LAMPORT_CHUNKS as usize]; 2]);
    for chunk in 0..LAMPORT_CHUNKS {
        for (half, leaves) in halves.iter_mut().zip(leaves.iter_mut()) {
            half.next(chunk + 1, &mut leaves[usize::from(chunk)]);
        }
    }
    let mut lamport_public_key = SHA256_INITIAL;
    let mut block = Zeroizing::new([0; 64]);
    // Both halves together are of a whole number of blocks.
    for pair in leaves.as_flattened().chunks_exact(2) {
        put(&mut block[..32], &pair[0]);
        put(&mut block[32..], &pair[1]);
        compress(&mut lamport_public_key, &block);
    }
    compress(
        &mut lamport_public_key,
        &last_block(&[], 2 * usize::from(LAMPORT_CHUNKS) * 32),
    );
    let mut seed = Zeroizing::new([0; 32]);
    put(&mut *seed, &lamport_public_key);
    seed
}

/// One half of a Lamport key, as far as it is worked out: HKDF-Expand, and a leaf of each chunk.
struct Half {
    hmac: Hmac,
    state: Zeroizing<[u32; 8]>,
    /// The last chunk and the number of the next one.
    message: Zeroizing<[u8; 64]>,
    /// The hash of that.
    digest: Zeroizing<[u8; 64]>,
    /// The last chunk alone.
    chunk: Zeroizing<[u8; 64]>,
}

impl Half {
    fn new(hmac: &Hmac) -> Self {
        Self {
            hmac: Hmac {
                inner: hmac.inner.clone(),
                outer: hmac.outer.clone(),
            },
            state: Zeroizing::new([0; 8]),
            // The first chunk has none before it.
            message: last_block(&[1], 64),
            digest: last_block(&[0; 32], 64),
            chunk: last_block(&[0; 32], 0),
        }
    }

    /// Works out chunk `number`, and puts its hash into `leaf`.
    fn next(&mut self, number: u8, leaf: &mut [u32; 8]) {
        if number == 2 {
            self.message = last_block(&[0; 33], 64);
            self.message[..32].copy_from_slice(&self.chunk[..32]);
        }
        if number > 1 {
            self.message[32] = number;
        }
        *self.state = *self.hmac.inner;
        compress(&mut self.state, &self.message);
        put(&mut self.digest[..32], &self.state);
        *self.state = *self.hmac.outer;
        compress(&mut self.state, &self.digest);
        put(&mut self.chunk[..32], &self.state);
        if number > 1 {
            put(&mut self.message[..32], &self.state);
        }
        *leaf = SHA256_INITIAL;
        compress(leaf, &self.chunk);
    }
}

/// HMAC-SHA-256 with a key of at most 64 bytes, the key already taken in.
struct Hmac {
    inner: Zeroizing<[u32; 8]>,
    outer: Zeroizing<[u32; 8]>,
}

impl Hmac {
    fn new(key: &[u8]) -> Self {
        let pad = |value: u8| {
            let mut block = Zeroizing::new([value; 64]);
            for (to, from) in block.iter_mut().zip(key) {
                *to ^= from;
            }
            let mut state = Zeroizing::new(SHA256_INITIAL);
            compress(&mut state, &block);
            state
        };
        Self {
            inner: pad(0x36),
            outer: pad(0x5c),
        }
    }

    /// The code of a message of at most 55 bytes.
    fn code(&self, message: &[u8]) -> Zeroizing<[u8; 32]> {
        let (mut inner, mut outer) = (self.inner.clone(), self.outer.clone());
        compress(&mut inner, &last_block(message, 64));
        let mut code = Zeroizing::new([0; 32]);
        put(&mut *code, &inner);
        compress(&mut outer, &last_block(&*code, 64));
        put(&mut *code, &outer);
        code
    }
}

/// The last block of a message that ends with `end`, of at most 55 bytes, after `before` bytes of whole blocks.
fn last_block(end: &[u8], before: usize) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0; 64]);
    block[..end.len()].copy_from_slice(end);
    block[end.len()] = 0x80;
    block[56..].copy_from_slice(&((before + end.len()) as u64 * 8).to_be_bytes());
    block
}

fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    compress256(state, std::slice::from_ref(block));
}

fn put(bytes: &mut [u8], state: &[u32; 8]) {
    for (to, word) in bytes.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
}

/// Chunks of 32 bytes in one half of a Lamport key.
const LAMPORT_CHUNKS: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    /// All ways that this machine has.
    fn ways() -> Vec<Way> {
        let one_by_one = std::iter::once(Way::OneByOne);
        #[cfg(target_arch = "x86_64")]
        let one_by_one = {
            let level = Level::new();
            let eight = level.as_avx2().map(Way::Eight);
            one_by_one.chain(eight).chain(level.as_avx512().map(Way::Sixteen))
        };
        one_by_one.collect()
    }

    #[test]
    fn keys_have_the_same_children_together_as_alone() {
        let keys: Vec<_> = (0..24_u8)
            .map(|number| Zeroizing::new(crate::crypto::sha256(&[&[number]])))
            .collect();
        let alone: Vec<_> = keys.iter().map(|key| child_seed(key, 0x89ab_cdef)).collect();
        for way in ways() {
            // All lanes and a rest of too few, then a rest of enough. More would take long without optimisation.
            for count in [way.lanes() + way.enough() - 1, way.lanes() + way.enough()] {
                let seeds = way.child_seeds(&keys[..count], 0x89ab_cdef);
                assert_eq!(seeds, alone[..count], "{way:?}, {count} keys");
            }
        }
    }

    #[test]
    fn message_codes_match_rfc_4231() {
        let code = Hmac::new(b"Jefe").code(b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(*code),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
