//! Public keys of many secret keys: multiples of the generator of G1, added up from a table.
//!
//! A public key takes a third of the time that it takes without, and the table is made in that of a hundred. What is done
//! does not depend on the secret: all entries of a row are read to take one, and blst adds points in constant time.

use std::fmt;
use std::hint::black_box;

use blst::{blst_p1_affine, min_pk};
use zeroize::Zeroizing;

use super::{PublicKey, SecretKey};

/// Multiples of the generator for each digit of a secret key: 160 kB.
pub struct GeneratorTable {
    rows: Vec<Row>,
}

/// What the values of a digit add. In row n they are 1 to 32 times 32^n generators: none is infinity. What is too much in
/// all rows but the first is taken off in the first, which has 0 to 31 generators less that.
type Row = [blst_p1_affine; 1 << DIGIT_BITS];

impl GeneratorTable {
    /// Makes the table, which takes 5 ms.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes long")]
    pub fn new() -> Self {
        let generator = generator();
        let mut rows = vec![[blst_p1_affine::default(); 1 << DIGIT_BITS]];
        let mut too_much = infinity();
        let mut last = add_up(infinity(), &generator, &mut rows[0]);
        for _ in 1..DIGITS {
            let place = last;
            add(&mut too_much, &place);
            let mut row = [place; 1 << DIGIT_BITS];
            last = add_up(infinity(), &place, &mut row);
            rows.push(row);
        }
        // One generator more than is to be in the first entry.
        let mut less = infinity();
        less.sub_aggregate(&too_much);
        let mut minus_one = infinity();
        minus_one.sub_aggregate(&min_pk::AggregatePublicKey::from_public_key(&generator.into()));
        less.add_aggregate(&minus_one);
        add_up(less, &generator, &mut rows[0]);
        Self { rows }
    }

    /// The public key of `secret_key`, as [`SecretKey::public_key`].
    #[must_use]
    pub fn public_key(&self, secret_key: &SecretKey) -> PublicKey {
        let mut bytes = Zeroizing::new([0; 33]);
        bytes[1..].copy_from_slice(&*secret_key.to_bytes());
        // Two bytes hold any digit; the byte before the most significant one is for the last.
        let digits = bytes.as_slice();
        let mut sum = infinity();
        for (place, row) in self.rows.iter().enumerate() {
            let bit = place * DIGIT_BITS;
            let low = digits.len() - 1 - bit / 8;
            let window = u16::from_be_bytes([digits[low - 1], digits[low]]);
            let digit = window >> (bit % 8) & ((1 << DIGIT_BITS) - 1);
            add(&mut sum, &take(row, u64::from(digit)));
        }
        PublicKey::from_point(sum.to_public_key())
    }
}

impl fmt::Debug for GeneratorTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratorTable").finish_non_exhaustive()
    }
}

/// Entry `digit` of a row, without a branch or an address that tells which.
fn take(row: &Row, digit: u64) -> blst_p1_affine {
    let mut taken = blst_p1_affine::default();
    for (number, entry) in (0_u64..).zip(row) {
        // All ones for the entry, as only 0 borrows from the highest bit.
        let mask = black_box(((number ^ digit).wrapping_sub(1) >> 63).wrapping_neg());
        for (to, limb) in taken.x.l.iter_mut().zip(entry.x.l) {
            *to |= limb & mask;
        }
        for (to, limb) in taken.y.l.iter_mut().zip(entry.y.l) {
            *to |= limb & mask;
        }
    }
    taken
}

/// Fills a row with `sum` + `step`, `sum` + 2 `step` and so on; gives the last.
fn add_up(mut sum: min_pk::AggregatePublicKey, step: &blst_p1_affine, row: &mut Row) -> blst_p1_affine {
    for entry in row.iter_mut() {
        add(&mut sum, step);
        *entry = sum.to_public_key().into();
    }
    sum.to_public_key().into()
}

fn add(sum: &mut min_pk::AggregatePublicKey, point: &blst_p1_affine) {
    // blst refuses only points that it is told to validate.
    let _ = sum.add_public_key(&(*point).into(), false);
}

fn infinity() -> min_pk::AggregatePublicKey {
    min_pk::AggregatePublicKey::from_public_key(&min_pk::PublicKey::default())
}

fn generator() -> blst_p1_affine {
    let mut one = [0; 32];
    one[31] = 1;
    match min_pk::SecretKey::from_bytes(&one) {
        Ok(one) => one.sk_to_pk().into(),
        Err(_) => unreachable!("blst refuses zero, and numbers not below the group order"),
    }
}

/// Bits that are looked up at once.
const DIGIT_BITS: usize = 5;

/// A secret key has 255 bits.
const DIGITS: usize = 51;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_secret_key_has_its_public_key() {
        let table = GeneratorTable::new();
        let check = |bytes: &[u8; 32]| {
            let key = SecretKey::from_bytes(bytes).unwrap();
            assert_eq!(table.public_key(&key), key.public_key(), "{}", hex::encode(bytes));
        };
        let order_minus_one = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000";
        let mut edges = [[0; 32], [0x73; 32], [0; 32], [0; 32], [0x42; 32]];
        edges[0][31] = 1;
        hex::decode_to_slice(order_minus_one, &mut edges[2]).unwrap();
        edges[3][0] = 0x40;
        edges.iter().for_each(check);
        for bit in 0..255 {
            // All digits but one are 0, of which it has one bit.
            let mut bytes = [0; 32];
            bytes[31 - bit / 8] = 1 << (bit % 8);
            if SecretKey::from_bytes(&bytes).is_ok() {
                check(&bytes);
            }
        }
        for seed in 0..100_u8 {
            check(&SecretKey::from_hash(&crate::crypto::sha256(&[&[seed]])).to_bytes());
        }
    }
}
