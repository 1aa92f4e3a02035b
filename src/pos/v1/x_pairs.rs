//! Finds the matching pairs among two runs of consecutive x values: what a compressed plot leaves to be computed.
//!
//! A run holds 2^16 to 2^24 x values of k 32, and few of the pairs match. All entries of one run are dealt out by
//! their place among the buckets of f1 into parts that fit a processor's cache, then those of the other run, and part by part
//! the ones are looked up among the others. The memory for that is kept from one search to the next.

use super::chacha8::{BLOCK_WORDS, Keystream, LANES};
use super::fx::{BC, EXTRA_BITS, offsets_match};
use crate::ids::PlotId;

/// Bits of an x value. Plots of other k are not compressed.
pub(super) const X_BITS: u32 = 32;

/// Two x values whose f1 values match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct XPair {
    /// f1 of `left`.
    pub(super) left_y: u64,
    /// The x value in the lower bucket.
    pub(super) left: u32,
    /// The x value in the next bucket.
    pub(super) right: u32,
}

/// Searches runs of one length, of one plot.
pub(super) struct PairFinder {
    keystream: Keystream,
    run_bits: u32,
    sides: [Side; 2],
    join: Join,
}

impl PairFinder {
    /// For runs of 2^`run_bits` x values, 16 to 24. Takes [`scratch_bytes`] of memory with the first search.
    pub(super) fn new(plot_id: &PlotId, run_bits: u32) -> Self {
        Self::with_room(plot_id, run_bits, PART_ROOM)
    }

    fn with_room(plot_id: &PlotId, run_bits: u32, room: usize) -> Self {
        Self {
            keystream: Keystream::new(plot_id),
            run_bits,
            sides: [Side::new(run_bits, room), Side::new(run_bits, room)],
            join: Join::default(),
        }
    }

    /// All pairs of an x value of run `a` and one of run `b` that match, either of them being the left one. A run is told
    /// by the upper bits of its x values; the two may be the same.
    pub(super) fn find(&mut self, a: u32, b: u32) -> Vec<XPair> {
        let [side_a, side_b] = &mut self.sides;
        side_a.fill(&self.keystream, a);
        if a != b {
            side_b.fill(&self.keystream, b);
        }
        let side_b = if a == b { &*side_a } else { &*side_b };
        let (run_bits, part_bits) = (self.run_bits, side_a.part_bits);
        let mut pairs = Vec::new();
        self.join.all(side_a, side_b, |part, left_of, left, right| {
            let bucket = ((part as u64) << part_bits) + left.bucket() - 1;
            let (left_run, right_run) = match left_of {
                LeftOf::A => (a, b),
                LeftOf::B => (b, a),
            };
            pairs.push(XPair {
                left_y: bucket * BC + left.offset(),
                left: left_run << run_bits | left.x() as u32,
                right: right_run << run_bits | right.x() as u32,
            });
        });
        if a == b {
            // Each was found from both sides.
            pairs.sort_unstable();
            pairs.dedup();
        }
        pairs
    }
}

/// Memory that a [`PairFinder`] for runs of 2^`run_bits` takes, in bytes, apart from what it finds.
pub(super) fn scratch_bytes(run_bits: u32) -> usize {
    2 * parts(run_bits) * PART_ROOM * size_of::<Entry>()
}

/// The entries of one run, dealt out by bucket.
struct Side {
    run_bits: u32,
    part_bits: u32,
    room: usize,
    entries: Vec<Entry>,
    counts: Vec<u32>,
    /// Entries of parts that are full, and those parts: hardly ever any.
    spilled: Vec<(u32, Entry)>,
}

impl Side {
    fn new(run_bits: u32, room: usize) -> Self {
        Self {
            run_bits,
            part_bits: part_bits(run_bits),
            room,
            entries: Vec::new(),
            counts: vec![0; parts(run_bits)],
            spilled: Vec::new(),
        }
    }

    fn fill(&mut self, keystream: &Keystream, run: u32) {
        self.entries.resize(self.counts.len() * self.room, Entry::default());
        self.counts.fill(0);
        self.spilled.clear();
        let first_x = u64::from(run) << self.run_bits;
        // f1 ends with the first bits of x, which are the same in all of the run.
        let y_end = first_x >> (X_BITS - EXTRA_BITS);
        let first_block = first_x / BLOCK_WORDS as u64;
        let blocks = (1 << self.run_bits) / BLOCK_WORDS;
        let mut rows = [[0; LANES]; BLOCK_WORDS];
        for block in (0..blocks).step_by(LANES) {
            keystream.transposed_blocks(first_block + block as u64, &mut rows);
            for (word, row) in rows.iter().enumerate() {
                for (lane, y_begin) in row.iter().enumerate() {
                    let x = (block + lane) * BLOCK_WORDS + word;
                    // Keystream is read big-endian.
                    self.push((u64::from(y_begin.swap_bytes()) << EXTRA_BITS) | y_end, x as u64);
                }
            }
        }
    }

    #[inline]
    fn push(&mut self, y: u64, x: u64) {
        let bucket = y / BC;
        let part = (bucket >> self.part_bits) as usize;
        let entry = Entry::new(1 + (bucket & ((1 << self.part_bits) - 1)), y % BC, x);
        let count = &mut self.counts[part];
        if (*count as usize) < self.room {
            self.entries[part * self.room + *count as usize] = entry;
            *count += 1;
        } else {
            self.spilled.push((part as u32, entry));
        }
    }

    fn part(&self, part: usize) -> &[Entry] {
        &self.entries[part * self.room..][..self.counts[part] as usize]
    }

    fn spilled(&self, part: usize) -> impl Iterator<Item = Entry> {
        let of_part = move |spilled: &&(u32, Entry)| spilled.0 as usize == part;
        self.spilled.iter().filter(of_part).map(|spilled| spilled.1)
    }
}

/// Bucket, offset in it and x of one entry, packed. Buckets are counted within a part from 1 on; 0 is the last one of the part
/// before. x is counted within the run.
#[derive(Clone, Copy, Default)]
struct Entry(u64);

impl Entry {
    const X_BITS: u32 = 24;
    const OFFSET_BITS: u32 = 14;

    #[inline]
    fn new(bucket: u64, offset: u64, x: u64) -> Self {
        Self((bucket << Self::OFFSET_BITS | offset) << Self::X_BITS | x)
    }

    #[inline]
    fn bucket(self) -> u64 {
        self.0 >> (Self::OFFSET_BITS + Self::X_BITS)
    }

    #[inline]
    fn offset(self) -> u64 {
        self.0 >> Self::X_BITS & ((1 << Self::OFFSET_BITS) - 1)
    }

    #[inline]
    fn x(self) -> u64 {
        self.0 & ((1 << Self::X_BITS) - 1)
    }

    /// Whether the two match, `self` being the left one.
    #[inline]
    fn is_left_of(self, right: Self) -> bool {
        // A part begins with an even bucket, which is number 1.
        self.bucket() + 1 == right.bucket() && offsets_match(self.bucket() + 1, self.offset(), right.offset())
    }

    /// The entry as the next part sees it, given that its bucket is the last one.
    fn carried(self) -> Self {
        Self::new(0, self.offset(), self.x())
    }
}

/// What it takes to join the parts of two runs.
#[derive(Default)]
struct Join {
    buckets_a: BucketSet,
    buckets_b: BucketSet,
    near_a: Vec<Entry>,
    near_b: Vec<Entry>,
    /// Index into `near_a` of the first entry of each chain, plus 1; the chains go by the last bits of the bucket number.
    heads: Vec<u32>,
    /// Index of the next entry of the chain, plus 1.
    next: Vec<u32>,
}

impl Join {
    /// Calls `found` with the part, and the left and the right entry, of each matching pair of an entry of either side.
    fn all(&mut self, side_a: &Side, side_b: &Side, mut found: impl FnMut(usize, LeftOf, Entry, Entry)) {
        let last = 1 << side_a.part_bits;
        let [mut extra_a, mut extra_b] = [Vec::new(), Vec::new()];
        for part in 0..side_a.counts.len() {
            extra_a.extend(side_a.spilled(part));
            extra_b.extend(side_b.spilled(part));
            let all_a = [&extra_a[..], side_a.part(part)];
            let all_b = [&extra_b[..], side_b.part(part)];

            // What has no entry of the other run in a bucket next to its own, which is most of it, is left out.
            self.buckets_a.set(all_a);
            self.buckets_a.neighbours(all_b, &mut self.near_b);
            self.buckets_b.set([&self.near_b, &[]]);
            self.buckets_b.neighbours(all_a, &mut self.near_a);

            self.chain();
            for b in &self.near_b {
                for a in self.chained(b.bucket().wrapping_sub(1)) {
                    if a.is_left_of(*b) {
                        found(part, LeftOf::A, a, *b);
                    }
                }
                for a in self.chained(b.bucket() + 1) {
                    if b.is_left_of(a) {
                        found(part, LeftOf::B, *b, a);
                    }
                }
            }
            let carried = |all: [&[Entry]; 2]| -> Vec<Entry> {
                let of_last = all.into_iter().flatten().filter(|entry| entry.bucket() == last);
                of_last.map(|entry| entry.carried()).collect()
            };
            (extra_a, extra_b) = (carried(all_a), carried(all_b));
        }
    }

    /// Makes the chains of `near_a`.
    fn chain(&mut self) {
        self.heads.clear();
        self.heads.resize(CHAINS, 0);
        self.next.clear();
        for (number, entry) in (1..).zip(&self.near_a) {
            let head = &mut self.heads[entry.bucket() as usize % CHAINS];
            self.next.push(*head);
            *head = number;
        }
    }

    /// Entries of `near_a` of this bucket, and others.
    #[inline]
    fn chained(&self, bucket: u64) -> impl Iterator<Item = Entry> {
        let mut number = self.heads[bucket as usize % CHAINS];
        std::iter::from_fn(move || {
            let index = (number as usize).checked_sub(1)?;
            number = *self.next.get(index)?;
            self.near_a.get(index).copied()
        })
    }
}

/// Which run the left entry of a pair is of.
#[derive(Clone, Copy)]
enum LeftOf {
    A,
    B,
}

/// Buckets of a part, told apart by the last bits of their number.
#[derive(Default)]
struct BucketSet {
    /// Bit 1 + n: bucket n is in. What is in at one end is in beyond the other end, too.
    bytes: Vec<u8>,
}

impl BucketSet {
    const SIZE: usize = 8 << PART_SIZE_BITS;

    /// Makes it the buckets of these entries.
    fn set(&mut self, entries: [&[Entry]; 2]) {
        self.bytes.clear();
        self.bytes.resize(Self::SIZE / 8 + 4, 0);
        for entry in entries.into_iter().flatten() {
            self.insert(1 + entry.bucket() as usize % Self::SIZE);
        }
        if self.has(1) {
            self.insert(1 + Self::SIZE);
        }
        if self.has(Self::SIZE) {
            self.insert(0);
        }
    }

    /// Puts those of `entries` into `near` which have one of the buckets next to them in the set.
    fn neighbours(&self, entries: [&[Entry]; 2], near: &mut Vec<Entry>) {
        let count: usize = entries.iter().map(|entries| entries.len()).sum();
        near.resize(count, Entry::default());
        let mut kept = 0;
        for entry in entries.into_iter().flatten() {
            // Without branches: what comes is as good as random.
            near[kept] = *entry;
            kept += usize::from(self.has_neighbour(entry.bucket() as usize % Self::SIZE));
        }
        near.truncate(kept);
    }

    /// The bits before and after that of `bucket`.
    #[inline]
    fn has_neighbour(&self, bucket: usize) -> bool {
        let window = u16::from_le_bytes([self.bytes[bucket / 8], self.bytes[bucket / 8 + 1]]);
        window >> (bucket % 8) & 0b101 != 0
    }

    #[inline]
    fn has(&self, bit: usize) -> bool {
        self.bytes[bit / 8] >> (bit % 8) & 1 == 1
    }

    #[inline]
    fn insert(&mut self, bit: usize) {
        self.bytes[bit / 8] |= 1 << (bit % 8);
    }
}

/// Number of buckets of a part, as a power of two: as many as have about 2^[`PART_SIZE_BITS`] entries.
fn part_bits(run_bits: u32) -> u32 {
    // There are 2^24 buckets and an eighth.
    PART_SIZE_BITS + 24 - run_bits
}

fn parts(run_bits: u32) -> usize {
    let buckets = (1 << (X_BITS + EXTRA_BITS)) / BC + 1;
    (buckets >> part_bits(run_bits)) as usize + 1
}

/// A part of one run takes about 30 KiB.
const PART_SIZE_BITS: u32 = 12;

/// A part has about 3,780 entries, with a standard deviation of 61.
const PART_ROOM: usize = (1 << PART_SIZE_BITS) + (1 << PART_SIZE_BITS) / 16;

const CHAINS: usize = 1 << PART_SIZE_BITS;

#[cfg(test)]
mod tests {
    use super::super::fx::{F1, is_match};
    use super::*;

    const RUN_BITS: u32 = 16;

    /// The matching pairs of two runs by definition, with f1 as the verifier has it.
    fn pairs_by_sorting(plot_id: &PlotId, a: u32, b: u32) -> Vec<XPair> {
        let f1 = F1::new(X_BITS as u8, plot_id);
        let mut entries: Vec<(u64, u32, bool)> = Vec::new();
        for (run, is_a) in [(a, true), (b, false)] {
            let first = run << RUN_BITS;
            entries.extend((first..=first + ((1 << RUN_BITS) - 1)).map(|x| (f1.y(u64::from(x)), x, is_a)));
        }
        entries.sort_unstable();
        let mut pairs = Vec::new();
        for (at, (left_y, left, left_is_a)) in entries.iter().enumerate() {
            for (right_y, right, right_is_a) in &entries[at + 1..] {
                if right_y / BC > left_y / BC + 1 {
                    break;
                }
                if left_is_a != right_is_a && is_match(*left_y, *right_y) {
                    pairs.push(XPair {
                        left_y: *left_y,
                        left: *left,
                        right: *right,
                    });
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    #[test]
    fn all_matching_pairs_of_two_runs_are_found() {
        let plot_id = PlotId([0x3c; 32]);
        let mut finder = PairFinder::new(&plot_id, RUN_BITS);
        // One with parts that overflow.
        let mut crowded = PairFinder::with_room(&plot_id, RUN_BITS, 3_000);
        let mut found = 0;
        for (a, b) in [(7, 65_535), (300, 300), (54_321, 12_345)] {
            let expected = pairs_by_sorting(&plot_id, a, b);
            for finder in [&mut finder, &mut crowded] {
                let mut pairs = finder.find(a, b);
                pairs.sort_unstable();
                assert_eq!(pairs, expected, "runs {a} and {b}");
            }
            found += expected.len();
        }
        assert!(found >= 3, "{found}");
    }
}
