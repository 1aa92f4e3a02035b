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
    /// Further entries of parts, in order of these: what is next to the next part is in both, and what a full part had
    /// no room for, hardly ever any, is here too.
    further: Vec<(u32, Entry)>,
}

impl Side {
    fn new(run_bits: u32, room: usize) -> Self {
        Self {
            run_bits,
            part_bits: part_bits(run_bits),
            room,
            entries: Vec::new(),
            counts: vec![0; parts(run_bits)],
            further: Vec::new(),
        }
    }

    fn fill(&mut self, keystream: &Keystream, run: u32) {
        self.entries.resize(self.counts.len() * self.room, Entry::default());
        self.counts.fill(0);
        self.further.clear();
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
        self.further.sort_unstable_by_key(|(part, _)| *part);
    }

    #[inline]
    fn push(&mut self, y: u64, x: u64) {
        let bucket = y / BC;
        let part = (bucket >> self.part_bits) as usize;
        let last = (1 << self.part_bits) - 1;
        let number = bucket & last;
        let entry = Entry::new(1 + number, y % BC, x);
        let count = &mut self.counts[part];
        if (*count as usize) < self.room {
            self.entries[part * self.room + *count as usize] = entry;
            *count += 1;
        } else {
            self.further.push((part as u32, entry));
        }
        if number == last {
            self.further.push((part as u32 + 1, entry.carried()));
        }
    }

    fn part(&self, part: usize) -> &[Entry] {
        &self.entries[part * self.room..][..self.counts[part] as usize]
    }

    fn further(&self, part: usize) -> impl Iterator<Item = Entry> {
        let start = self.further.partition_point(|further| (further.0 as usize) < part);
        let of_part = self.further[start..]
            .iter()
            .take_while(move |further| further.0 as usize == part);
        of_part.map(|further| further.1)
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
        // A part begins with an even bucket, which is number 1. Nothing can be foretold here, so nothing is left out.
        (self.bucket() + 1 == right.bucket()) & offsets_match(self.bucket() + 1, self.offset(), right.offset())
    }

    /// The entry as the next part sees it, given that its bucket is the last one.
    fn carried(self) -> Self {
        Self::new(0, self.offset(), self.x())
    }
}

/// What it takes to join the parts of two runs.
#[derive(Default)]
struct Join {
    buckets: BucketSet,
    near_a: Vec<Entry>,
    near_b: Vec<Entry>,
    chains: Chains,
    candidates: Vec<Candidate>,
}

impl Join {
    /// Calls `found` with the part, and the left and the right entry, of each matching pair of an entry of either side.
    fn all(&mut self, side_a: &Side, side_b: &Side, mut found: impl FnMut(usize, LeftOf, Entry, Entry)) {
        let [mut further_a, mut further_b] = [Vec::new(), Vec::new()];
        for part in 0..side_a.counts.len() {
            further_a.clear();
            further_a.extend(side_a.further(part));
            further_b.clear();
            further_b.extend(side_b.further(part));
            let all_a = [&further_a[..], side_a.part(part)];
            let all_b = [&further_b[..], side_b.part(part)];

            // What has no entry of the other run in a bucket next to its own, which is most of it, is left out.
            self.buckets.set(all_a);
            self.buckets.neighbours(all_b, &mut self.near_b);
            self.buckets.set([&self.near_b, &[]]);
            self.buckets.neighbours(all_a, &mut self.near_a);

            self.chains.set(&self.near_a);
            self.collect_candidates();
            for candidate in &self.candidates {
                let (a, b) = (self.near_a[candidate.a()], self.near_b[candidate.b as usize]);
                // The bucket is in the upper bits.
                let (left, right) = (Entry(a.0.min(b.0)), Entry(a.0.max(b.0)));
                if left.is_left_of(right) {
                    let left_of = if left.0 == a.0 { LeftOf::A } else { LeftOf::B };
                    found(part, left_of, left, right);
                }
            }
        }
    }

    /// The entries of `near_a` in the chains of the buckets beside each entry of `near_b`.
    fn collect_candidates(&mut self) {
        let Self {
            near_b,
            chains,
            candidates,
            ..
        } = self;
        // Those at the heads of their chains first, then in turn those that come after others. Written without branches, for
        // whether there is one is as good as random; each time there is room for one more.
        candidates.clear();
        candidates.resize(2 * near_b.len() + 1, Candidate::default());
        let mut count = 0;
        for (b, entry) in (0..).zip(&*near_b) {
            for bucket in [entry.bucket().wrapping_sub(1), entry.bucket() + 1] {
                let number_a = chains.head(bucket);
                candidates[count] = Candidate { number_a, b };
                count += usize::from(number_a != 0);
            }
        }
        let mut at = 0;
        while at < count {
            if candidates.len() == count {
                candidates.resize(2 * count, Candidate::default());
            }
            let Candidate { number_a, b } = candidates[at];
            let number_a = chains.next(number_a);
            candidates[count] = Candidate { number_a, b };
            count += usize::from(number_a != 0);
            at += 1;
        }
        candidates.truncate(count);
    }
}

/// An entry of either run that may match.
#[derive(Clone, Copy, Default)]
struct Candidate {
    /// Index into `near_a`, plus 1.
    number_a: u32,
    /// Index into `near_b`.
    b: u32,
}

impl Candidate {
    #[inline]
    const fn a(self) -> usize {
        (self.number_a as usize).wrapping_sub(1)
    }
}

/// Entries by bucket: chains that go by the last bits of its number. Numbers of entries are counted from 1 on, and 0 is
/// none.
struct Chains {
    heads: Box<[u32; CHAINS]>,
    /// The entry after that of this number.
    next: Vec<u32>,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            heads: Box::new([0; CHAINS]),
            next: Vec::new(),
        }
    }
}

impl Chains {
    fn set(&mut self, entries: &[Entry]) {
        self.heads.fill(0);
        self.next.clear();
        self.next.resize(1 + entries.len(), 0);
        for (number, (entry, next)) in (1..).zip(entries.iter().zip(&mut self.next[1..])) {
            let head = &mut self.heads[entry.bucket() as usize % CHAINS];
            *next = *head;
            *head = number;
        }
    }

    /// The first entry of the chain with this bucket, and others.
    #[inline]
    fn head(&self, bucket: u64) -> u32 {
        self.heads[bucket as usize % CHAINS]
    }

    /// The entry after this one.
    #[inline]
    fn next(&self, number: u32) -> u32 {
        self.next[number as usize]
    }
}

/// Which run the left entry of a pair is of.
#[derive(Clone, Copy)]
enum LeftOf {
    A,
    B,
}

/// Buckets of a part, told apart by the last bits of their number.
struct BucketSet {
    /// Bit 1 + n: bucket n is in. What is in at one end is in beyond the other end, too.
    bytes: Box<[u8; Self::SIZE / 8 + 2]>,
}

impl Default for BucketSet {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; Self::SIZE / 8 + 2]),
        }
    }
}

impl BucketSet {
    const SIZE: usize = 8 << PART_SIZE_BITS;

    /// Makes it the buckets of these entries.
    fn set(&mut self, entries: [&[Entry]; 2]) {
        self.bytes.fill(0);
        for entries in entries {
            for entry in entries {
                self.insert(1 + entry.bucket() as usize % Self::SIZE);
            }
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
        near.resize(entries[0].len() + entries[1].len(), Entry::default());
        let mut kept = 0;
        for entries in entries {
            for entry in entries {
                // Without branches: what comes is as good as random.
                near[kept] = *entry;
                kept += usize::from(self.has_neighbour(entry.bucket() as usize % Self::SIZE));
            }
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

/// Twice as many as a part has entries, so that few chains have entries of several buckets.
const CHAINS: usize = 2 << PART_SIZE_BITS;

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
