//! Finds the matching pairs among two runs of consecutive x values: what a compressed plot leaves to be computed.
//!
//! A run holds 2^16 to 2^24 x values of k 32, and few of the pairs match. All x values of one run are dealt out by
//! their f1 into parts that fit a processor's cache ([`run`]), then those of the other run, and part by part the ones are looked
//! up among the others ([`join`]). The memory for that is kept from one search to the next.
//!
//! What takes no decisions is computed for several x values at once, with the widest vectors that the processor has.

mod beside;
mod join;
mod run;

use fearless_simd::Level;

use super::chacha8::{BLOCK_WORDS, Keystream, LANES};
use crate::ids::PlotId;
use join::Join;
use run::{Origin, Run};

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
    level: Level,
    runs: [Run; 2],
    join: Join,
    found: Vec<[Origin; 2]>,
}

impl PairFinder {
    /// For runs of 2^`run_bits` x values, 16 to 24. Takes [`scratch_bytes`] of memory with the first search.
    pub(super) fn new(plot_id: &PlotId, run_bits: u32) -> Self {
        Self::with(plot_id, run_bits, run::room(run_bits), Level::new())
    }

    fn with(plot_id: &PlotId, run_bits: u32, room: usize, level: Level) -> Self {
        Self {
            keystream: Keystream::new(plot_id),
            level,
            runs: [Run::new(run_bits, room), Run::new(run_bits, room)],
            join: Join::new(run_bits),
            found: Vec::new(),
        }
    }

    /// All pairs of an x value of run `a` and one of run `b` that match, either of them being the left one, in order. A run is
    /// told by the upper bits of its x values; the two may be the same.
    pub(super) fn find(&mut self, a: u32, b: u32) -> Vec<XPair> {
        let [run_a, run_b] = &mut self.runs;
        run_a.fill(self.level, &self.keystream, a);
        if a != b {
            run_b.fill(self.level, &self.keystream, b);
        }
        let run_b = if a == b { &*run_a } else { &*run_b };
        self.found.clear();
        self.join.all(self.level, run_a, run_b, &mut self.found);
        let mut pairs = self.found_pairs();
        // Of one run each was found from both sides, and what is next to the border of a part may have been found in both parts.
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// The x values of what was found.
    fn found_pairs(&self) -> Vec<XPair> {
        let mut pairs = Vec::with_capacity(self.found.len());
        let mut rows = [[0; LANES]; BLOCK_WORDS];
        for origins in self.found.chunks(LANES / 2) {
            let mut counters = [0; LANES];
            for (counter, origin) in counters.iter_mut().zip(origins.as_flattened()) {
                *counter = u64::from(origin.block);
            }
            self.keystream.transposed_blocks(self.level, &counters, &mut rows);
            for (number, [left, right]) in origins.iter().enumerate() {
                // Nearly always one.
                let xs = |origin: &Origin, lane: usize| {
                    let (begin, first) = (origin.begin, origin.block * BLOCK_WORDS as u32);
                    let of_lane = (first..).zip(rows.iter().map(move |row| row[lane]));
                    of_lane.filter(move |(_, word)| *word == begin).map(|(x, _)| x)
                };
                let left_y = left.y();
                for left in xs(left, 2 * number) {
                    let rights = xs(right, 2 * number + 1);
                    pairs.extend(rights.map(|right| XPair { left_y, left, right }));
                }
            }
        }
        pairs
    }
}

/// Memory that a [`PairFinder`] for runs of 2^`run_bits` takes, in bytes, apart from what it finds.
pub(super) fn scratch_bytes(run_bits: u32) -> usize {
    2 * run::bytes(run_bits)
}

#[cfg(test)]
mod tests {
    use super::super::chacha8::levels;
    use super::super::fx::{BC, F1, is_match};
    use super::*;

    /// The matching pairs of two runs by definition, with f1 as the verifier has it.
    fn pairs_by_sorting(plot_id: &PlotId, run_bits: u32, a: u32, b: u32) -> Vec<XPair> {
        let f1 = F1::new(X_BITS as u8, plot_id);
        let mut ys = vec![0; 1 << run_bits];
        let mut entries: Vec<(u64, u32, bool)> = Vec::new();
        for (run, is_a) in [(a, true), (b, false)] {
            let first = run << run_bits;
            f1.fill(u64::from(first), &mut ys);
            entries.extend((0..).zip(&ys).map(|(x, y)| (*y, first | x, is_a)));
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
        let with_level = |level| PairFinder::with(&plot_id, 16, run::room(16), level);
        let mut finders: Vec<PairFinder> = levels().into_iter().map(with_level).collect();
        // One with parts that overflow.
        finders.push(PairFinder::with(&plot_id, 16, 3_500, Level::new()));
        let mut found = 0;
        for (a, b) in [(7, 65_535), (300, 300), (54_321, 12_345)] {
            let expected = pairs_by_sorting(&plot_id, 16, a, b);
            for finder in &mut finders {
                assert_eq!(finder.find(a, b), expected, "runs {a} and {b}, {:?}", finder.level);
            }
            found += expected.len();
        }
        assert!(found >= 3, "{found}");
    }

    #[test]
    fn all_matching_pairs_of_long_runs_with_larger_parts_are_found() {
        let plot_id = PlotId([0x5a; 32]);
        let (run_bits, a, b) = (21, 2_000, 47);
        assert!(run::part_size_bits(run_bits) > run::part_size_bits(16));
        let pairs = PairFinder::new(&plot_id, run_bits).find(a, b);
        assert_eq!(pairs, pairs_by_sorting(&plot_id, run_bits, a, b));
    }
}
