//! The functions f1 to f7 that a v1 plot is made of, and the rule which two entries of a table match.
//!
//! Shared by the verifier, the prover and the plotter; knows nothing of files. Every value is a plain integer whose
//! bit length follows from k and the table. After the algorithm of chiapos (Chia Network, Apache-2.0).

use super::chacha8::{BLOCK_BYTES, Keystream};
use crate::ids::PlotId;

/// Extra low bits of a y value: f1 to f6 give k + 6 bits, f7 is cut to its first k.
pub(super) const EXTRA_BITS: u32 = 6;

/// Rows of a bucket.
pub(super) const B: u64 = 119;
/// Columns of a bucket.
pub(super) const C: u64 = 127;
/// Number of y values in a bucket: entries match only with entries of the next bucket.
pub(super) const BC: u64 = B * C;

/// How many y values of the next bucket an entry matches with.
pub(super) const TARGETS: usize = 1 << EXTRA_BITS;

/// f1 of one plot: x to y.
pub(super) struct F1 {
    k: u32,
    keystream: Keystream,
}

impl F1 {
    /// `k` in 18..=50.
    pub(super) fn new(k: u8, plot_id: &PlotId) -> Self {
        Self {
            k: u32::from(k),
            keystream: Keystream::new(plot_id),
        }
    }

    /// The y value (k + 6 bits) of `x` < 2^k.
    pub(super) fn y(&self, x: u64) -> u64 {
        let position = x * u64::from(self.k);
        let (block, bit) = (position / BLOCK_BITS, position % BLOCK_BITS);
        let mut window = KeystreamWindow {
            first: block,
            bytes: [0; 2 * BLOCK_BYTES],
        };
        window.bytes[..BLOCK_BYTES].copy_from_slice(&self.keystream.block(block));
        if bit + u64::from(self.k) > BLOCK_BITS {
            window.bytes[BLOCK_BYTES..].copy_from_slice(&self.keystream.block(block + 1));
        }
        self.append_extra_bits(window.bits(bit, self.k), x)
    }

    /// The y values of `first_x`, `first_x` + 1, ... in order; each keystream block is computed once.
    pub(super) fn fill(&self, first_x: u64, ys: &mut [u64]) {
        let k = u64::from(self.k);
        let mut window = KeystreamWindow::new(self, first_x * k / BLOCK_BITS);
        for (x, y) in (first_x..).zip(ys) {
            if x * k / BLOCK_BITS > window.first {
                window.advance(self);
            }
            *y = self.append_extra_bits(window.bits(x * k % BLOCK_BITS, self.k), x);
        }
    }

    /// A y value ends with the first six bits of its x.
    fn append_extra_bits(&self, keystream: u64, x: u64) -> u64 {
        (keystream << EXTRA_BITS) | (x >> (self.k - EXTRA_BITS))
    }
}

/// What an entry carries besides y to compute the next table: up to 4k bits, in the low end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metadata {
    /// Bits above the low 128; 0 for k <= 32.
    pub(super) high: u128,
    /// The low 128 bits.
    pub(super) low: u128,
}

impl From<u128> for Metadata {
    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }
}

impl Metadata {
    fn from_be_bytes(bytes: &[u8; 32]) -> Self {
        let half =
            |range: std::ops::Range<usize>| bytes[range].iter().fold(0, |sum, byte| sum << 8 | u128::from(*byte));
        Self {
            high: half(0..16),
            low: half(16..32),
        }
    }

    /// `self` followed by `right`, which has `bits` < 128 bits.
    fn concat(self, right: Self, bits: u32) -> Self {
        let shifted = self.shl(bits);
        Self {
            high: shifted.high | right.high,
            low: shifted.low | right.low,
        }
    }

    /// `bits` < 256.
    fn shl(self, bits: u32) -> Self {
        match bits {
            0 => self,
            1..128 => Self {
                high: (self.high << bits) | (self.low >> (128 - bits)),
                low: self.low << bits,
            },
            _ => Self {
                high: self.low << (bits - 128),
                low: 0,
            },
        }
    }

    /// `bits` < 256.
    fn shr(self, bits: u32) -> Self {
        match bits {
            0 => self,
            1..128 => Self {
                high: self.high >> bits,
                low: (self.low >> bits) | (self.high << (128 - bits)),
            },
            _ => Self {
                high: 0,
                low: self.high >> (bits - 128),
            },
        }
    }
}

/// f2 to f7: the y value (k + 6 bits) and metadata of the entry in `table` (2..=7) made of a matching pair of entries of
/// the table before, `left` with `left_y` in the lower bucket. The metadata of table 1 is x; table 7 has none (zero).
pub(super) fn fx(k: u8, table: usize, left_y: u64, left: Metadata, right: Metadata) -> (u64, Metadata) {
    let y_bits = u32::from(k) + EXTRA_BITS;
    let side_bits = u32::from(k) * METADATA_LENGTHS[table - 1];
    let mut input = BitWriter::default();
    input.push(u128::from(left_y), y_bits);
    input.push_metadata(left, side_bits);
    input.push_metadata(right, side_bits);
    let (input, length) = input.finish();
    let hash = blake3::hash(&input[..length]);
    let hash = Metadata::from_be_bytes(hash.as_bytes());

    let y = (hash.high >> (128 - y_bits)) as u64;
    let metadata = match table {
        2 | 3 => left.concat(right, side_bits),
        4..=6 => hash.shl(y_bits).shr(256 - u32::from(k) * METADATA_LENGTHS[table]),
        _ => Metadata::default(),
    };
    (y, metadata)
}

/// Whether two entries with these y values make an entry of the next table, `left_y` being its left side.
pub(super) fn is_match(left_y: u64, right_y: u64) -> bool {
    if right_y / BC != left_y / BC + 1 {
        return false;
    }
    offsets_match(left_y / BC % 2 == 1, (left_y % BC) as u16, (right_y % BC) as u16)
}

/// Whether `right`, counted from the start of the next bucket, matches with `left`, counted from the start of bucket number
/// `left_bucket`.
#[inline(always)]
pub(super) fn offsets_match(is_left_odd: bool, left: u16, right: u16) -> bool {
    // Small numbers are divided faster, several at once even. And no branches, for half of all go either way.
    const ROWS: u16 = B as u16;
    const COLUMNS: u16 = C as u16;
    let rows = right / COLUMNS + ROWS - left / COLUMNS;
    let m = rows - ROWS * u16::from(rows >= ROWS);
    let odd = 2 * m + u16::from(is_left_odd);
    (m < TARGETS as u16) & ((left % COLUMNS + odd * odd) % COLUMNS == right % COLUMNS)
}

/// The y values, counted from the start of the next bucket, that match with the y value `left` (counted from the start
/// of bucket number `left_bucket`).
pub(super) fn targets(left_bucket: u64, left: u64) -> impl Iterator<Item = u64> {
    (0..TARGETS as u64).map(move |m| (left / C + m) % B * C + (left % C + target_shift(left_bucket, m)) % C)
}

/// How far target number `m` is moved to the right, modulo [`C`].
fn target_shift(left_bucket: u64, m: u64) -> u64 {
    let odd = 2 * m + left_bucket % 2;
    odd * odd
}

/// The keystream block in which the last y value began, and the next.
struct KeystreamWindow {
    first: u64,
    bytes: [u8; 2 * BLOCK_BYTES],
}

impl KeystreamWindow {
    fn new(f1: &F1, first: u64) -> Self {
        let mut bytes = [0; 2 * BLOCK_BYTES];
        bytes[..BLOCK_BYTES].copy_from_slice(&f1.keystream.block(first));
        bytes[BLOCK_BYTES..].copy_from_slice(&f1.keystream.block(first + 1));
        Self { first, bytes }
    }

    fn advance(&mut self, f1: &F1) {
        self.first += 1;
        self.bytes.copy_within(BLOCK_BYTES.., 0);
        self.bytes[BLOCK_BYTES..].copy_from_slice(&f1.keystream.block(self.first + 1));
    }

    /// The `k` bits of keystream from bit number `bit` of the first block on.
    fn bits(&self, bit: u64, k: u32) -> u64 {
        let start = (bit / 8) as usize;
        let mut eight = [0; 8];
        eight.copy_from_slice(&self.bytes[start..start + 8]);
        // k + 7 <= 57 bits, so eight bytes always hold them all.
        (u64::from_be_bytes(eight) << (bit % 8)) >> (64 - k)
    }
}

/// Packs bits, first bit highest, into the at most 64 bytes that are hashed.
#[derive(Default)]
struct BitWriter {
    words: [u64; 8],
    bits: u32,
}

impl BitWriter {
    /// Appends `value` < 2^`bits`.
    fn push(&mut self, value: u128, bits: u32) {
        if bits == 0 {
            return;
        }
        // The value at the top of three words, moved to where the last push ended.
        let value = value << (128 - bits);
        let offset = self.bits % 64;
        let first = (self.bits / 64) as usize;
        let head = value >> offset;
        self.words[first] |= (head >> 64) as u64;
        if let Some(word) = self.words.get_mut(first + 1) {
            *word |= head as u64;
        }
        if offset > 0
            && let Some(word) = self.words.get_mut(first + 2)
        {
            *word |= (value as u64) << (64 - offset);
        }
        self.bits += bits;
    }

    fn push_metadata(&mut self, metadata: Metadata, bits: u32) {
        self.push(metadata.high, bits.saturating_sub(128));
        self.push(metadata.low, bits.min(128));
    }

    /// The bytes, and how many of them are filled (the last one maybe in part).
    fn finish(self) -> ([u8; 64], usize) {
        let mut bytes = [0; 64];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words) {
            *chunk = word.to_be_bytes();
        }
        (bytes, self.bits.div_ceil(8) as usize)
    }
}

/// Length of the metadata of each table's entries, in units of k bits.
const METADATA_LENGTHS: [u32; 8] = [0, 1, 2, 4, 4, 3, 2, 0];

const BLOCK_BITS: u64 = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// What the functions of chiapos 2.0.12 give for two x values, matching or not. Of each table from 2 on: y and metadata
    /// (hex) of f(left, right), and y of f(right, left); these two are the arguments of the next table.
    #[derive(Deserialize)]
    struct GoldenFunctions {
        k: u8,
        plot_id: PlotId,
        left_x: u64,
        right_x: u64,
        left_y: u64,
        right_y: u64,
        entries: Vec<(u64, String, u64)>,
    }

    fn metadata_from_hex(text: &str) -> Metadata {
        let bytes = hex::decode(format!("{text:0>64}")).unwrap();
        Metadata::from_be_bytes(&bytes.try_into().unwrap())
    }

    #[test]
    fn functions_agree_with_chiapos_for_every_k() {
        let golden: Vec<GoldenFunctions> =
            serde_json::from_str(include_str!("../../../tests/vectors/pos_v1_fx.json")).unwrap();
        // chiapos itself cannot compute f4 of k 50: a bit count of 256 does not fit its byte.
        assert!(golden.iter().map(|golden| golden.k).eq(18..=49));
        for golden in golden {
            let f1 = F1::new(golden.k, &golden.plot_id);
            let mut left = (f1.y(golden.left_x), Metadata::from(u128::from(golden.left_x)));
            let mut right = (f1.y(golden.right_x), Metadata::from(u128::from(golden.right_x)));
            assert_eq!((left.0, right.0), (golden.left_y, golden.right_y), "k {}", golden.k);
            for (table, (y, metadata, mirrored_y)) in (2..).zip(&golden.entries) {
                let entry = fx(golden.k, table, left.0, left.1, right.1);
                let mirrored = fx(golden.k, table, right.0, right.1, left.1);
                assert_eq!(entry, (*y, metadata_from_hex(metadata)), "k {} table {table}", golden.k);
                assert_eq!(mirrored.0, *mirrored_y, "k {} table {table}", golden.k);
                (left, right) = (entry, mirrored);
            }
        }
    }

    proptest! {
        #[test]
        fn runs_of_x_give_the_same_as_single_x(k in 18_u8..=50, seed: [u8; 32], first: u64, count in 0_u64..300) {
            let f1 = F1::new(k, &PlotId(seed));
            let first = first % ((1 << k) - count);
            let mut ys = vec![0; count as usize];
            f1.fill(first, &mut ys);
            let single: Vec<u64> = (first..first + count).map(|x| f1.y(x)).collect();
            prop_assert_eq!(ys, single);
        }

        #[test]
        fn targets_are_exactly_the_matches(bucket in 0_u64..1_000_000, left in 0..BC) {
            let mut targets: Vec<u64> = targets(bucket, left).collect();
            targets.sort_unstable();
            let matches: Vec<u64> =
                (0..BC).filter(|right| is_match(bucket * BC + left, (bucket + 1) * BC + right)).collect();
            prop_assert_eq!(targets, matches);
        }

        #[test]
        fn only_entries_of_the_next_bucket_match(left in 0_u64..1 << 56, right in 0_u64..1 << 56) {
            prop_assert!(right / BC == left / BC + 1 || !is_match(left, right));
        }
    }
}
