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

    /// Whether the largest x values below two entries of `table` may begin with the same bits, as entries of a sorted table
    /// that are near each other do.
    pub(super) fn may_begin_alike(&self, table: u8, larger: u64, smaller: u64) -> bool {
        // Nothing is known about the order of packed ones.
        if self.compression.level >= PACKED_LEVEL {
            return false;
        }
        // Of n independent x values the largest one is below a share s of the range with probability s^n. So, where the share p
        // of the table is passed, the share p n / 2^bits of it begins alike; half as much again for the variance.
        let alike = (((u128::from(larger) * 3) << table) >> 1) >> self.compression.kept_bits();
        u128::from(larger - smaller) <= alike
    }

    /// Whether the first of two entries of the lowest table there is has the larger largest x value, as far as that can be told.
    pub(super) fn is_first_larger(&mut self, line_points: &[u128]) -> bool {
        let [first, second] = line_points else { return true };
        let [first_runs, second_runs] = [first, second].map(|line_point| largest_runs(*line_point));
        if !first_runs.iter().any(|run| second_runs.contains(run)) {
            return first_runs > second_runs;
        }
        let mut largest = |line_point: u128| match &self.entries(&[line_point])[..] {
            [entry] => entry.xs.iter().max().copied(),
            _ => None,
        };
        match (largest(*first), largest(*second)) {
            (Some(first), Some(second)) => first >= second,
            _ => true,
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
fn join(table: u8, a: &[Entry], b: &[Entry]) -> Vec<Entry> {
    let matches = matches(a, b).into_iter().map(|(left, right)| (&a[left], &b[right]));
    let mirrored = self::matches(b, a)
        .into_iter()
        .map(|(left, right)| (&b[left], &a[right]));
    matches
        .chain(mirrored)
        .map(|(left, right)| Entry::of_two(table + 1, left, right))
        .collect()
}

/// Keeps of `entries` those that make an entry of `table` with one of those beside it in a proof.
pub(super) fn keep_matching(table: u8, entries: &mut Vec<Entry>, beside: &[Entry]) {
    entries.retain(|entry| !join(table, std::slice::from_ref(entry), beside).is_empty());
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

/// What the largest x value of an entry of table 2 may begin with, the largest first.
fn largest_runs(line_point: u128) -> Vec<u128> {
    let halves = unfold_both(line_point).map(|(larger, _)| larger);
    let mut runs: Vec<u128> = halves.flat_map(unfold_both).map(|(larger, _)| larger).collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    runs
}

/// From this level on a pair of x values is not folded but packed, and table 2 is missing.
const PACKED_LEVEL: u8 = 9;

#[cfg(test)]
impl Compression {
    /// From any order to that of a compressed plot, which sees of x values only how they begin.
    pub(super) fn plot_order(&self, xs: &mut [u64]) {
        for half in (0..xs.len().ilog2()).map(|table| 1 << table) {
            for pair in xs.chunks_exact_mut(2 * half) {
                let (left, right) = pair.split_at_mut(half);
                let runs = |half: &[u64]| half.iter().rev().map(|x| x >> self.run_bits()).collect::<Vec<_>>();
                if runs(left) > runs(right) {
                    left.swap_with_slice(right);
                }
            }
        }
    }

    /// What a plot has in place of a proof's x values, in plot order: the numbers that the line points of its lowest table are
    /// made of.
    pub(super) fn leave_out(&self, xs: &[u64]) -> Vec<u64> {
        use super::park::line_point;

        let runs = xs.iter().map(|x| x >> self.run_bits()).collect::<Vec<_>>();
        let folded = |pair: &[u64]| line_point(pair[0], pair[1]) as u64;
        if self.level < PACKED_LEVEL {
            runs.chunks_exact(2).map(folded).collect()
        } else {
            let packed = runs.chunks_exact(2).map(|pair| pair[1] << self.kept_bits() | pair[0]);
            packed.collect::<Vec<_>>().chunks_exact(2).map(folded).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::fx::F1;
    use super::super::park::line_point;
    use super::super::prover::Prover;
    use super::super::test_plot::{GoldenProof, Shape, TestPlot, golden_proof, golden_proofs};
    use super::super::verify::{plot_order, quality_string, unpack, verify};
    use super::*;
    use crate::pos::plot_error::{PlotError, PlotPart};

    /// The real proofs of k 32 and a plot of each, compressed with `level`.
    fn plots(level: u8) -> Vec<(GoldenProof, TestPlot)> {
        let golden = golden_proofs().into_iter().filter(|golden| golden.k == COMPRESSED_K);
        let plots = golden.map(|golden| {
            let shape = Shape::of_entries(golden.f7(), 20_001, 500..501);
            let plot = TestPlot::of_level(&golden, &shape, level);
            (golden, plot)
        });
        plots.collect()
    }

    #[test]
    fn qualities_of_compressed_plots_are_those_of_the_proofs() {
        for level in 1..=5 {
            let (golden, plot) = plots(level).remove(usize::from(level % 2));
            let prover = Prover::open(&plot).unwrap();
            assert_eq!(prover.compression_level(), level);
            plot.take_reads();
            let qualities = prover.qualities(&plot, &golden.challenge).unwrap();
            assert_eq!(plot.take_reads(), 8);
            let strings: Vec<_> = qualities.iter().map(|quality| quality.string).collect();
            assert_eq!(strings, [golden.quality], "level {level}");
        }
    }

    #[test]
    fn proofs_of_compressed_plots_are_whole() {
        for (golden, plot) in plots(1) {
            let prover = Prover::open(&plot).unwrap();
            let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
            plot.take_reads();
            plot.batches.take();
            let proof = prover.full_proof(&plot, &golden.challenge, &quality).unwrap();
            assert_eq!(proof, golden.proof());
            assert_eq!(plot.take_reads(), 26);
            assert_eq!(plot.batches.take(), [1, 3, 7, 15]);
        }
    }

    /// The parts that entries are made of at every level, without the search for x values, which takes a minute at level 9.
    #[test]
    fn what_is_left_of_a_proof_tells_its_runs_at_every_level() {
        let golden = golden_proofs()
            .into_iter()
            .find(|golden| golden.k == COMPRESSED_K)
            .unwrap();
        let mut xs = unpack(COMPRESSED_K, &golden.proof()).unwrap();
        plot_order(&mut xs);
        for level in 1..=9 {
            let compression = Compression::new(level).unwrap();
            let halves = compression.leave_out(&xs);
            assert_eq!(halves.len(), if level < 9 { 32 } else { 16 });
            let per_half = xs.len() / halves.len();
            for (half, xs) in halves.iter().zip(xs.chunks_exact(per_half)) {
                let runs: Vec<u64> = xs.iter().map(|x| x >> compression.run_bits()).collect();
                let (larger, smaller) = unfold_line_point(u128::from(*half));
                let told = if level < 9 {
                    vec![smaller, larger]
                } else {
                    let unpack = |packed: u64| [packed & 0xff, packed >> 8];
                    [unpack(smaller), unpack(larger)].concat()
                };
                assert_eq!(told, runs, "level {level}");
            }
        }
    }

    /// Four x values of one entry of table 2 of which each pair begins with the same 16 bits, found by trying all 2^32 of this
    /// plot id. Their line points are those of n + 1 and 0.
    #[test]
    fn x_values_with_equal_beginnings_are_recovered() {
        let plot_id = PlotId([7; 32]);
        let xs = [700_431_431, 700_438_992, 1_882_614_150, 1_882_635_184];
        let mut in_plot_order = xs;
        plot_order(&mut in_plot_order);
        let compression = Compression::new(1).unwrap();
        let [left, right] = compression.leave_out(&in_plot_order)[..] else {
            panic!("not two pairs");
        };
        for half in [left, right] {
            assert_eq!(unfold_line_point(u128::from(half)).1, 0);
        }
        let mut decompressor = Decompressor::new(compression, &plot_id);
        let entries = decompressor.entries(&[line_point(left, right)]);
        let found: Vec<&[u64]> = entries.iter().map(|entry| &entry.xs[..]).collect();
        assert_eq!(found, [xs]);
    }

    /// Two entries of table 2 whose largest x values begin alike, found like those above, as neighbours of such that do not
    /// in either half of a proof. By beginnings the first is the smaller one, by x values the second.
    #[test]
    fn quality_is_found_where_beginnings_tell_another_order_than_x_values() {
        let alike = [
            [2_225_004_833, 4_294_916_102, 4_294_949_936, 2_199_244_279],
            [4_103_625_309, 4_294_942_781, 988_260_040, 4_294_939_529],
        ];
        let mut xs: Vec<u64> = (0..64).map(|number| (100 + number) << 16).collect();
        for (half, alike) in xs.chunks_exact_mut(32).zip(&alike) {
            half[..4].copy_from_slice(alike);
        }
        let mut golden = golden_proof(COMPRESSED_K);
        golden.plot_id = PlotId([7; 32]);
        golden.set_xs(&xs);
        let mut shape = Shape::of_entries(golden.f7(), 20_001, 500..501);
        shape.first_park = 1 << 20;
        let plot = TestPlot::of_level(&golden, &shape, 1);
        let prover = Prover::open(&plot).unwrap();
        // Down to the larger one always, and to the largest one of the smaller half.
        for (path, pair) in [
            (0x1f, [2_199_244_279, 4_294_949_936]),
            (0x0f, [4_103_625_309, 4_294_942_781]),
        ] {
            let mut challenge = golden.challenge;
            challenge.0[31] = path;
            let qualities = prover.qualities(&plot, &challenge).unwrap();
            let strings: Vec<_> = qualities.iter().map(|quality| quality.string).collect();
            assert_eq!(strings, [quality_string(&challenge, COMPRESSED_K, pair[0], pair[1])]);
        }
    }

    #[test]
    fn of_several_entries_the_one_that_matches_with_its_neighbour_is_right() {
        let golden = golden_proofs()
            .into_iter()
            .find(|golden| golden.k == COMPRESSED_K)
            .unwrap();
        let xs = unpack(COMPRESSED_K, &golden.proof()).unwrap();
        let f1 = F1::new(COMPRESSED_K, &golden.plot_id);
        let entry_of = |xs: &[u64]| {
            let pair = |pair: &[u64]| {
                Entry::of_pair(&XPair {
                    left_y: f1.y(pair[0]),
                    left: pair[0] as u32,
                    right: pair[1] as u32,
                })
            };
            Entry::of_two(3, &pair(&xs[..2]), &pair(&xs[2..]))
        };
        let entries: Vec<Entry> = xs.chunks_exact(4).map(entry_of).collect();
        for (at, entry) in entries.iter().enumerate() {
            let mut candidates = entries.clone();
            candidates.remove(at ^ 1);
            keep_matching(3, &mut candidates, &entries[at ^ 1..][..1]);
            let kept: Vec<_> = candidates.iter().map(|candidate| &candidate.xs).collect();
            assert_eq!(kept, [&entry.xs]);
        }
    }

    #[test]
    fn entries_that_tell_no_x_values_are_damage() {
        let (golden, plot) = plots(1).remove(0);
        let prover = Prover::open(&plot).unwrap();
        let mut bytes = plot.to_bytes();
        let [_, lowest, above, ..] = prover.header().table_pointers;
        for byte in &mut bytes[lowest as usize..above as usize] {
            *byte ^= 1;
        }
        let failed = prover.qualities(&bytes, &golden.challenge).unwrap_err();
        let expected = PlotPart::Table(2);
        assert!(
            matches!(failed, PlotError::Damaged { part, .. } if part == expected),
            "{failed}"
        );
    }

    #[test]
    fn only_levels_1_to_9_of_k_32_are_opened() {
        for (k, level, supported) in [
            (32, 1, true),
            (32, 9, true),
            (32, 10, false),
            (32, 255, false),
            (18, 1, false),
        ] {
            let golden = golden_proof(k);
            let shape = Shape::of_entries(golden.f7(), 20_001, 500..501);
            let mut bytes = TestPlot::new(&golden, &shape).to_bytes();
            let rest = bytes[172..252].to_vec();
            let header = [
                &b"PLOT\x02\0\0\0"[..],
                &golden.plot_id.0,
                &[k, 0, 112],
                &[7; 112],
                &[1, 0, 0, 0, level],
                &rest,
            ];
            let header = header.concat();
            bytes[..header.len()].copy_from_slice(&header);
            match Prover::open(&bytes) {
                Ok(prover) => assert!(supported && prover.compression_level() == level),
                Err(PlotError::CompressionNotSupported { level: l, k: of }) => {
                    assert!(!supported && (l, of) == (level, k));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    static SMALL_PLOT: LazyLock<(GoldenProof, Vec<u8>, Vec<usize>)> = LazyLock::new(|| {
        let (golden, plot) = plots(1).remove(1);
        let bytes = plot.to_bytes();
        let used = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        (golden, bytes, used)
    });

    proptest! {
        // A proof takes half a second.
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// Whatever the bytes: no panic, and what is called a proof is one.
        #[test]
        fn damaged_bytes_do_no_harm(
            damage in prop::collection::vec((any::<Index>(), 1_u8..), 1..4),
            cut in prop::option::weighted(0.1, any::<Index>()),
        ) {
            let (golden, plot, used) = &*SMALL_PLOT;
            let mut plot = plot.clone();
            for (at, flip) in damage {
                plot[used[at.index(used.len())]] ^= flip;
            }
            if let Some(cut) = cut {
                plot.truncate(cut.index(plot.len()));
            }
            let Ok(prover) = Prover::open(&plot) else { return Ok(()) };
            let Ok(qualities) = prover.qualities(&plot, &golden.challenge) else { return Ok(()) };
            for quality in qualities {
                if let Ok(proof) = prover.full_proof(&plot, &golden.challenge, &quality) {
                    let header = prover.header();
                    let verified = verify(&header.plot_id, header.k, &golden.challenge, &proof);
                    prop_assert_eq!(verified, Ok(quality.string));
                }
            }
        }
    }
}
