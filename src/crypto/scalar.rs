//! Arithmetic modulo the group order `r` of BLS12-381, for the few places where keys are added.
//!
//! Only addition and reduction are needed, and they run in constant time because the numbers are secret keys. blst has
//! the same functions, but only as foreign functions, which this crate does not call.

use zeroize::Zeroizing;

/// A number below `r`, as four limbs, least significant first. Wiped when dropped.
pub(super) struct Scalar(Zeroizing<[u64; 4]>);

impl Scalar {
    /// `bytes` as an unsigned big-endian number, modulo `r`.
    pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Self {
        let mut limbs = Zeroizing::new([0_u64; 4]);
        for (limb, chunk) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
            *limb = chunk.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
        }
        // 2^256 / r is less than 3, so subtracting twice is enough.
        subtract_order_unless_below(&mut limbs);
        subtract_order_unless_below(&mut limbs);
        Self(limbs)
    }

    /// `bytes` as a two's complement big-endian number, modulo `r` (never negative): how Chia's puzzles read a hash.
    pub(super) fn from_be_bytes_signed(bytes: &[u8; 32]) -> Self {
        let unsigned = Self::from_be_bytes(bytes);
        if bytes[0] & 0x80 == 0 {
            unsigned
        } else {
            unsigned.plus(&Self(Zeroizing::new(MINUS_2_POW_256)))
        }
    }

    /// The sum modulo `r`.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = Zeroizing::new([0_u64; 4]);
        let mut carry = false;
        for (to, (a, b)) in sum.iter_mut().zip(self.0.iter().zip(other.0.iter())) {
            let (partial, first) = a.overflowing_add(*b);
            let (total, second) = partial.overflowing_add(u64::from(carry));
            *to = total;
            carry = first | second;
        }
        // Both are below r < 2^255, so nothing is carried out of the highest limb and the sum is below 2r.
        subtract_order_unless_below(&mut sum);
        Self(sum)
    }

    /// The 32 bytes, most significant first.
    pub(super) fn to_be_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        for (chunk, limb) in bytes.rchunks_exact_mut(8).zip(self.0.iter()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }
}

/// Subtracts `r` if the number is at least `r`, without a branch on the number.
fn subtract_order_unless_below(limbs: &mut [u64; 4]) {
    let mut difference = Zeroizing::new([0_u64; 4]);
    let mut borrow = false;
    for (to, (a, b)) in difference.iter_mut().zip(limbs.iter().zip(ORDER)) {
        let (partial, first) = a.overflowing_sub(b);
        let (total, second) = partial.overflowing_sub(u64::from(borrow));
        *to = total;
        borrow = first | second;
    }
    let keep = u64::from(borrow).wrapping_neg();
    for (limb, reduced) in limbs.iter_mut().zip(difference.iter()) {
        *limb = (*limb & keep) | (reduced & !keep);
    }
}

/// Group order `r`, least significant limb first.
const ORDER: [u64; 4] = [
    0xffff_ffff_0000_0001,
    0x53bd_a402_fffe_5bfe,
    0x3339_d808_09a1_d805,
    0x73ed_a753_299d_7d48,
];

/// −2^256 modulo `r`: what a set sign bit of a 256-bit number is worth beyond its unsigned value.
const MINUS_2_POW_256: [u64; 4] = [
    0xffff_fffd_0000_0003,
    0xfb38_ec08_fffb_13fc,
    0x99ad_8818_1ce5_880f,
    0x5bc8_f5f9_7cd8_77d8,
];

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER_BYTES: [u8; 32] = [
        0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05, 0x53, 0xbd,
        0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
    ];

    fn small(value: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[31] = value;
        bytes
    }

    fn order_minus(value: u8) -> [u8; 32] {
        let mut bytes = ORDER_BYTES;
        // The last byte is 1 and the one before 0, so borrow by hand from the 0xff four bytes up.
        if value > 1 {
            bytes[28..].copy_from_slice(&(1_u32.wrapping_sub(u32::from(value))).to_be_bytes());
            bytes[27] -= 1;
        } else {
            bytes[31] -= value;
        }
        bytes
    }

    #[test]
    fn numbers_below_the_order_stay_and_others_are_reduced() {
        assert_eq!(*Scalar::from_be_bytes(&order_minus(1)).to_be_bytes(), order_minus(1));
        assert_eq!(*Scalar::from_be_bytes(&ORDER_BYTES).to_be_bytes(), small(0));
        // 2^256 - 1 - 2r, computed with another program.
        let expected = "1824b159acc5056f998c4fefecbc4ff55884b7fa0003480200000001fffffffd";
        assert_eq!(hex::encode(*Scalar::from_be_bytes(&[0xff; 32]).to_be_bytes()), expected);
    }

    #[test]
    fn a_sum_wraps_at_the_order() {
        let sum = Scalar::from_be_bytes(&order_minus(3)).plus(&Scalar::from_be_bytes(&small(5)));
        assert_eq!(*sum.to_be_bytes(), small(2));
        let zero = Scalar::from_be_bytes(&order_minus(5)).plus(&Scalar::from_be_bytes(&small(5)));
        assert_eq!(*zero.to_be_bytes(), small(0));
    }

    #[test]
    fn a_set_sign_bit_means_a_negative_number() {
        assert_eq!(*Scalar::from_be_bytes_signed(&[0xff; 32]).to_be_bytes(), order_minus(1));
        assert_eq!(*Scalar::from_be_bytes_signed(&small(9)).to_be_bytes(), small(9));
    }
}
