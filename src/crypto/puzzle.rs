//! The standard puzzle: how a wallet key becomes the puzzle hash behind an address.
//!
//! Nothing is run here. The hash of a curried puzzle is a fixed formula of the hash of the puzzle and of its argument.
//! Source: chia `p2_delegated_puzzle_or_hidden_puzzle.py`, clvm `curry_and_treehash.py`.

use super::scalar::Scalar;
use super::{CryptoError, PublicKey, SecretKey, sha256};
use crate::ids::PuzzleHash;

/// Puzzle hash of the standard puzzle of a wallet key, which an address is made from.
#[must_use]
pub fn standard_puzzle_hash(wallet_key: &PublicKey) -> PuzzleHash {
    let synthetic_key = atom_hash(synthetic_pk(wallet_key).to_g1().as_bytes());
    // (a (q . PUZZLE) (c (q . KEY) 1)): run the puzzle with the key put before whatever environment there is.
    let environment = list_hash(&[
        atom_hash(&[CONS]),
        pair_hash(&atom_hash(&[QUOTE]), &synthetic_key),
        atom_hash(&[1]),
    ]);
    let curried = list_hash(&[
        atom_hash(&[APPLY]),
        pair_hash(&atom_hash(&[QUOTE]), &STANDARD_PUZZLE_HASH),
        environment,
    ]);
    PuzzleHash(curried)
}

/// The key that signs for a coin of the standard puzzle of a wallet key.
///
/// # Errors
/// [`CryptoError::NotASecretKey`] if the sum is zero, for which no example is known.
pub fn synthetic_sk(wallet_key: &SecretKey) -> Result<SecretKey, CryptoError> {
    wallet_key
        .plus_scalar(&synthetic_offset(&wallet_key.public_key()))
        .ok_or(CryptoError::NotASecretKey)
}

/// Public key of [`synthetic_sk`]: what the standard puzzle is curried with.
#[must_use]
pub fn synthetic_pk(wallet_key: &PublicKey) -> PublicKey {
    wallet_key.plus_scalar(&synthetic_offset(wallet_key))
}

/// What separates the synthetic key from the wallet key. Chia reads the hash as a signed number.
fn synthetic_offset(wallet_key: &PublicKey) -> Scalar {
    Scalar::from_be_bytes_signed(&sha256(&[wallet_key.to_g1().as_bytes(), &NO_HIDDEN_PUZZLE_HASH]))
}

fn atom_hash(atom: &[u8]) -> [u8; 32] {
    sha256(&[&[1], atom])
}

fn pair_hash(first: &[u8; 32], rest: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[2], first, rest])
}

/// Hash of a list of things whose hashes are given.
fn list_hash(items: &[[u8; 32]]) -> [u8; 32] {
    items
        .iter()
        .rev()
        .fold(atom_hash(&[]), |rest, item| pair_hash(item, &rest))
}

/// CLVM operators.
const QUOTE: u8 = 1;
const APPLY: u8 = 2;
const CONS: u8 = 4;

/// Tree hash of the standard puzzle before it is curried.
const STANDARD_PUZZLE_HASH: [u8; 32] = [
    0xe9, 0xaa, 0xa4, 0x9f, 0x45, 0xba, 0xd5, 0xc8, 0x89, 0xb8, 0x6e, 0xe3, 0x34, 0x15, 0x50, 0xc1, 0x55, 0xcf, 0xdd,
    0x10, 0xc3, 0xa6, 0x75, 0x7d, 0xe6, 0x18, 0xd2, 0x06, 0x12, 0xff, 0xfd, 0x52,
];

/// Tree hash of the puzzle `(=)`, which nobody can run to success: stands for "no hidden puzzle".
const NO_HIDDEN_PUZZLE_HASH: [u8; 32] = [
    0x71, 0x1d, 0x6c, 0x4e, 0x32, 0xc9, 0x2e, 0x53, 0x17, 0x9b, 0x19, 0x94, 0x84, 0xcf, 0x8c, 0x89, 0x75, 0x42, 0xbc,
    0x57, 0xf2, 0xb2, 0x25, 0x82, 0x79, 0x9f, 0x9d, 0x65, 0x7e, 0xec, 0x46, 0x99,
];
