//! Reading and writing numbers of any number of bits, most significant bit first, as everything in a v1 plot is packed
//! except the entropy-coded deltas (`fse`). No knowledge of what the numbers mean.

/// The `len` bits (at most 64) that begin at bit `start` of `bytes`, or `None` if they are not all there.
#[inline]
pub(super) fn read_bits(bytes: &[u8], start: usize, len: u32) -> Option<u64> {
    if len == 0 {
        return Some(0);
    }
    if len > 64 {
        return None;
    }
    let first = start / 8;
    let skip = (start % 8) as u32;
    // Nine bytes hold any 64 bits; the common case (at most 57 bits, not at the very end) is one load of eight.
    if skip + len <= 64
        && let Some(window) = bytes.get(first..).and_then(|rest| rest.first_chunk::<8>())
    {
        return Some((u64::from_be_bytes(*window) << skip) >> (64 - len));
    }
    let last = start.checked_add(len as usize - 1)? / 8;
    let window = bytes.get(first..=last)?;
    let joined = window.iter().fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    let below = window.len() as u32 * 8 - skip - len;
    let mask = u64::MAX >> (64 - len);
    Some((joined >> below) as u64 & mask)
}

/// The `len` bits (at most 128) that begin at bit `start` of `bytes`, or `None` if they are not all there.
pub(super) fn read_bits_u128(bytes: &[u8], start: usize, len: u32) -> Option<u128> {
    if len <= 64 {
        return read_bits(bytes, start, len).map(u128::from);
    }
    let high_len = len - 64;
    let high = read_bits(bytes, start, high_len)?;
    let low = read_bits(bytes, start.checked_add(high_len as usize)?, 64)?;
    Some((u128::from(high) << 64) | u128::from(low))
}

/// Packs numbers one after the other; the last byte is filled up with zero bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits not yet in `bytes`, right-aligned; fewer than 8 between calls.
    pending: u128,
    pending_len: u32,
}

impl BitWriter {
    /// An empty writer with room for `bits` bits.
    pub(super) fn with_capacity(bits: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bits.div_ceil(8)),
            ..Self::default()
        }
    }

    /// Appends the lowest `len` bits (at most 120) of `value`.
    #[inline]
    pub(super) fn push(&mut self, value: u128, len: u32) {
        debug_assert!(len <= 120, "{len} bits do not fit beside the pending ones");
        if len == 0 {
            return;
        }
        let value = value & (u128::MAX >> (128 - len));
        self.pending = (self.pending << len) | value;
        self.pending_len += len;
        while self.pending_len >= 8 {
            self.pending_len -= 8;
            self.bytes.push((self.pending >> self.pending_len) as u8);
        }
    }

    /// What was written, the last byte filled up with zero bits.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if self.pending_len > 0 {
            self.bytes.push((self.pending << (8 - self.pending_len)) as u8);
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bits_are_counted_from_the_top_of_the_first_byte() {
        assert_eq!(read_bits(&[0b1010_0110, 0b1100_0000], 1, 9), Some(0b0_1001_1011));
        assert_eq!(read_bits(&[0xff; 9], 7, 64), Some(u64::MAX));
    }

    #[test]
    fn bits_past_the_end_are_refused() {
        assert_eq!(read_bits(&[0; 4], 25, 8), None);
        assert_eq!(read_bits(&[0; 4], 32, 1), None);
        assert_eq!(read_bits(&[0; 16], 0, 65), None);
        assert_eq!(read_bits(&[0; 4], usize::MAX, 8), None);
        assert_eq!(read_bits_u128(&[0; 15], 0, 121), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(numbers in prop::collection::vec((any::<u128>(), 0_u32..=120), 0..60)) {
            let mut writer = BitWriter::with_capacity(0);
            for (value, len) in &numbers {
                writer.push(*value, *len);
            }
            let bytes = writer.into_bytes();
            let mut at = 0;
            for (value, len) in &numbers {
                let expected = value & u128::MAX.checked_shr(128 - len).unwrap_or(0);
                prop_assert_eq!(read_bits_u128(&bytes, at, *len), Some(expected));
                at += *len as usize;
            }
            prop_assert_eq!(bytes.len(), at.div_ceil(8));
        }
    }
}
