//! Finds the x values that a compressed plot has left out.
//!
//! Compressed plots, as bladebit makes them with levels 1 to 9 for k 32, have no table 1, those of level 9 no table 2
//! either. An entry of the lowest table there is tells of its x values only the first bits: 16 at level 1, 8 at level
//! 9. That is a run of consecutive x values for each, and which of them they are shows by which match.
//!
//! Line points fold two different numbers, and here they are made of equal ones, too: n and n give what n + 1 and 0 give.
//! The official decompressor drops such proofs; here both are tried.

use super::fx::{BC, Metadata, fx, is_match};
use super::park::{ParkLayout, unfold_line_point};
use super::x_pairs::{PairFinder, X_BITS, XPair, scratch_bytes};
use crate::ids::PlotId;

/// k of all compressed plots.
pub(super) const COMPRESSED_K: u8 = X_BITS as u8;

/// How a plot is compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compression {
    level: u8,
    layout: ParkLayout,
}

impl Compression {
    /// `None` if there is no such level.
    pub(super) fn new(level: u8) -> Option<Self> {
        let layout = ParkLayout::compressed(level)?;
        Some(Self { level, layout })
    }

    /// 1 to 9.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// The lowest table there is: 2 or 3.
    pub(super) fn lowest_table(&self) -> u8 {
        if self.level < PACKED_LEVEL { 2 } else { 3 }
    }

    /// Shape of the parks of that table.
    pub(super) fn layout(&self) -> ParkLayout {
        self.layout
    }

    /// Memory that a [`Decompressor`] takes, in bytes.
    pub(super) fn scratch_bytes(&self) -> usize {
        scratch_bytes(self.run_bits())
    }

    /// How many bits of each x value are left.
    fn kept_bits(&self) -> u32 {
        17 - u32::from(self.level)
    }

    fn run_bits(&self) -> u32 {
        X_BITS - self.kept_bits()
    }
}

/// An entry of the plot that was compressed, or one that might have been.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// f of the next table; of an entry of table 6, f7 and what follows it.
    pub(super) y: u64,
    metadata: Metadata,
    /// Its x values in proof order.
    pub(super) xs: Vec<u64>,
}

impl Entry {
    fn of_pair(pair: &XPair) -> Self {
        let [left, right] = [pair.left, pair.right].map(u64::from);
        let [left_metadata, right_metadata] = [left, right].map(|x| Metadata::from(u128::from(x)));
        let (y, metadata) = fx(COMPRESSED_K, 2, pair.left_y, left_metadata, right_metadata);
        Self {
            y,
            metadata,
            xs: vec![left, right],
        }
    }

    fn of_two(table: u8, left: &Self, right: &Self) -> Self {
        let (y, metadata) = fx(COMPRESSED_K, usize::from(table), left.y, left.metadata, right.metadata);
        let xs = [&left.xs[..], &right.xs[..]].concat();
        Self { y, metadata, xs }
    }
}

/// Decompresses entries of one plot. Its memory grows to [`Compression::scratch_bytes`] with the first entry and is
/// reused for the others.
pub(super) struct Decompressor {
    compression: Compression,
    finder: PairFinder,
}

impl Decompressor {
    pub(super) fn new(compression: Compression, plot_id: &PlotId) -> Self {
        let finder = PairFinder::new(plot_id, compression.run_bits());
        Self { compression, finder }
    }

    /// What the entries with these line points, neighbours in a proof, may have been together: of the lowest table there is if
    /// there is one line point, of the next if there are two and so on. One in a plot that is not damaged and, of
    /// single entries with high levels, some others that merely match.
    pub(super) fn entries(&mut self, line_points: &[u128]) -> Vec<Entry> {
        let (left, right) = line_points.split_at(line_points.len() / 2);
        match (left, right) {
            ([], [line_point]) => self.lowest(*line_point),
            ([], _) => Vec::new(),
            _ => {
                let left = self.entries(left);
                if left.is_empty() {
                    return left;
                }
                let table = self.compression.lowest_table() + line_points.len().ilog2() as u8;
                join(table, &left, &self.entries(right))
            }
        }
    }

    /// Entries of the lowest table there is.
    fn lowest(&mut self, line_point: u128) -> Vec<Entry> {
        let table = self.compression.lowest_table();
        self.folded(table, line_point, |decompressor, half| {
            if table == 2 {
                decompressor.folded_runs(half)
            } else {
                decompressor.folded(2, half, Self::packed_runs)
            }
        })
    }

    /// Entries of `table` whose two halves are folded into `line_point`, and are what `unfold` says.
    fn folded(
        &mut self,
        table: u8,
        line_point: u128,
        mut unfold: impl FnMut(&mut Self, u128) -> Vec<Entry>,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (larger, smaller) in unfold_both(line_point) {
            let left = unfold(self, larger);
            if left.is_empty() {
                continue;
            }
            if larger == smaller {
                entries.extend(join_within(table, &left));
            } else {
                entries.extend(join(table, &left, &unfold(self, smaller)));
            }
        }
        entries
    }

    /// Entries of table 1 the first bits of whose x values are folded into `line_point`.
    fn folded_runs(&mut self, line_point: u128) -> Vec<Entry> {
        let runs = unfold_both(line_point);
        runs.flat_map(|(larger, smaller)| self.entries_of_runs(larger, smaller))
            .collect()
    }

    /// Entries of table 1 the first bits of whose x values are one after the other in `packed`.
    fn packed_runs(&mut self, packed: u128) -> Vec<Entry> {
        let bits = self.compression.kept_bits();
        self.entries_of_runs(packed >> bits, packed & ((1 << bits) - 1))
    }

    fn entries_of_runs(&mut self, a: u128, b: u128) -> Vec<Entry> {
        let run = |number: u128| (number >> self.compression.kept_bits() == 0).then_some(number as u32);
        let (Some(a), Some(b)) = (run(a), run(b)) else {
            return Vec::new();
        };
        self.finder.find(a, b).iter().map(Entry::of_pair).collect()
    }
}

/// The entries of `table` that entries of the table before make, one of `a` and one of `b`, either being the left one.
pub(super) fn join(table: u8, a: &[Entry], b: &[Entry]) -> Vec<Entry> {
    let matches = matches(a, b).into_iter().map(|(left, right)| (&a[left], &b[right]));
    let mirrored = self::matches(b, a)
        .into_iter()
        .map(|(left, right)| (&b[left], &a[right]));
    matches
        .chain(mirrored)
        .map(|(left, right)| Entry::of_two(table + 1, left, right))
        .collect()
}

/// [`join`] of entries with themselves.
fn join_within(table: u8, entries: &[Entry]) -> Vec<Entry> {
    let matches = matches(entries, entries).into_iter();
    matches
        .map(|(left, right)| Entry::of_two(table + 1, &entries[left], &entries[right]))
        .collect()
}

/// Indices of matching entries.
fn matches(lefts: &[Entry], rights: &[Entry]) -> Vec<(usize, usize)> {
    let mut order: Vec<(u64, usize)> = rights
        .iter()
        .enumerate()
        .map(|(index, right)| (right.y, index))
        .collect();
    order.sort_unstable();
    let mut matches = Vec::new();
    for (left_index, left) in lefts.iter().enumerate() {
        let next_bucket = (left.y / BC + 1) * BC;
        let start = order.partition_point(|(y, _)| *y < next_bucket);
        let in_next_bucket = order[start..].iter().take_while(|(y, _)| *y < next_bucket + BC);
        matches.extend(
            in_next_bucket
                .filter(|(y, _)| is_match(left.y, *y))
                .map(|(_, right_index)| (left_index, *right_index)),
        );
    }
    matches
}

/// What may have been folded into a line point, the larger number first: two different numbers, or two equal ones.
fn unfold_both(line_point: u128) -> impl Iterator<Item = (u128, u128)> {
    let (larger, smaller) = unfold_line_point(line_point);
    let (larger, smaller) = (u128::from(larger), u128::from(smaller));
    let equal = (smaller == 0).then(|| (larger - 1, larger - 1));
    std::iter::once((larger, smaller)).chain(equal)
}

/// From this level on a pair of x values is not folded but packed, and table 2 is missing.
const PACKED_LEVEL: u8 = 9;
