//! Forward propagation: computes the seven tables, each from the matches of the one before.

use crate::ids::PlotId;

use super::super::fx::{BC, C, EXTRA_BITS, F1, Metadata, TARGETS, fx, targets};

/// All entries of a plot, those that lead nowhere included. The entries of a table are in the order of their y, and
/// point into the table before by position in that order.
pub(super) struct Tables {
    /// Table 1: the x values.
    pub(super) xs: Vec<u32>,
    /// Tables 2 to 7: left and right entry in the table before.
    pub(super) pairs: [Vec<[u32; 2]>; 6],
    /// Table 7: the f7 values, k bits, ascending.
    pub(super) f7s: Vec<u32>,
}

/// Computes all tables of a plot of size `k` (at most 25). `progress` gets the share done.
pub(super) fn compute_tables(k: u8, plot_id: &PlotId, progress: &mut dyn FnMut(f32)) -> Tables {
    let mut entries = first_table(k, plot_id);
    let xs = entries.metadata.iter().map(|x| *x as u32).collect();
    let mut table = 1;
    let pairs = [(); 6].map(|()| {
        progress(table as f32 / 7.0);
        table += 1;
        let pairs;
        (entries, pairs) = next_table(k, table, &entries);
        pairs
    });
    progress(1.0);
    let f7s = entries.ys.iter().map(|y| y >> EXTRA_BITS).collect();
    Tables { xs, pairs, f7s }
}

/// Entries of one table in the order of y.
struct Entries {
    /// k + 6 bits.
    ys: Vec<u32>,
    metadata: Vec<u128>,
}

impl Entries {
    fn bucket(&self, position: usize) -> Option<u64> {
        self.ys.get(position).map(|y| u64::from(*y) / BC)
    }

    /// Where the bucket that begins at `start` ends.
    fn bucket_end(&self, start: usize) -> usize {
        let bucket = self.bucket(start);
        (start..self.ys.len())
            .find(|position| self.bucket(*position) != bucket)
            .unwrap_or(self.ys.len())
    }
}

fn first_table(k: u8, plot_id: &PlotId) -> Entries {
    let mut ys = vec![0; 1 << k];
    F1::new(k, plot_id).fill(0, &mut ys);
    let mut order: Vec<u64> = ys.iter().zip(0..).map(|(y, x)| sort_key(*y, x)).collect();
    order.sort_unstable();
    Entries {
        ys: order.iter().map(|key| y_of(*key)).collect(),
        metadata: order.iter().map(|key| index_of(*key) as u128).collect(),
    }
}

/// The entries of `table` (2 to 7), and what they are made of.
fn next_table(k: u8, table: usize, before: &Entries) -> (Entries, Vec<[u32; 2]>) {
    let matches = find_matches(before);
    let mut metadata = Vec::with_capacity(matches.len());
    let mut order: Vec<u64> = matches
        .iter()
        .zip(0..)
        .map(|([left, right], index)| {
            let side = |position: u32| Metadata::from(before.metadata[position as usize]);
            let left_y = u64::from(before.ys[*left as usize]);
            let (y, joined) = fx(k, table, left_y, side(*left), side(*right));
            // Up to k 32 all metadata fits in the low half.
            metadata.push(joined.low);
            sort_key(y, index)
        })
        .collect();
    order.sort_unstable();
    let entries = Entries {
        ys: order.iter().map(|key| y_of(*key)).collect(),
        metadata: order.iter().map(|key| metadata[index_of(*key)]).collect(),
    };
    (entries, order.iter().map(|key| matches[index_of(*key)]).collect())
}

/// All matching pairs, ascending: entries match with entries of the next bucket.
fn find_matches(entries: &Entries) -> Vec<[u32; 2]> {
    let mut matches = Vec::with_capacity(entries.ys.len());
    // For each y of the right bucket: 1 + position in the bucket of the first entry that has it.
    let mut first_with_y = vec![0_u16; BC as usize];
    let mut left = 0..entries.bucket_end(0);
    while let Some(bucket) = entries.bucket(left.end) {
        let right = left.end..entries.bucket_end(left.end);
        if Some(bucket - 1) == entries.bucket(left.start) {
            let in_bucket = |y: u32| (u64::from(y) % BC) as usize;
            let right_ys = &entries.ys[right.clone()];
            for (y, number) in right_ys.iter().zip(1..) {
                let first = &mut first_with_y[in_bucket(*y)];
                if *first == 0 {
                    *first = number;
                }
            }
            let targets = Targets::of_bucket(bucket - 1);
            for position in left {
                let found = matches.len();
                for target in targets.of(in_bucket(entries.ys[position])) {
                    let number = first_with_y[target];
                    if number > 0 {
                        let first = usize::from(number) - 1;
                        let same = right_ys[first..].iter().take_while(|y| **y == right_ys[first]).count();
                        matches.extend((first..first + same).map(|at| [position as u32, (right.start + at) as u32]));
                    }
                }
                // Targets come in no order, and entries of equal y are told apart by theirs.
                matches[found..].sort_unstable();
            }
            for y in right_ys {
                first_with_y[in_bucket(*y)] = 0;
            }
        }
        left = right;
    }
    matches
}

/// What [`targets`] gives for all entries of one bucket, without its divisions: half of the plotter's time otherwise.
struct Targets {
    /// The targets of y value 0, and the column of each.
    of_zero: [(usize, usize); TARGETS],
}

impl Targets {
    fn of_bucket(left_bucket: u64) -> Self {
        let mut of_zero = [(0, 0); TARGETS];
        for (entry, target) in of_zero.iter_mut().zip(targets(left_bucket, 0)) {
            *entry = (target as usize, (target % C) as usize);
        }
        Self { of_zero }
    }

    /// The targets of `left`, counted from the start of the bucket: those of 0 moved by its row and column, each of
    /// which wraps around.
    fn of(&self, left: usize) -> impl Iterator<Item = usize> {
        let column = left % C as usize;
        self.of_zero.iter().map(move |(target, target_column)| {
            let column_wrap = if column + target_column >= C as usize {
                C as usize
            } else {
                0
            };
            let moved = left + target - column_wrap;
            if moved >= BC as usize {
                moved - BC as usize
            } else {
                moved
            }
        })
    }
}

/// Sorts by y, then by index.
fn sort_key(y: u64, index: u64) -> u64 {
    (y << INDEX_BITS) | index
}

fn y_of(key: u64) -> u32 {
    (key >> INDEX_BITS) as u32
}

fn index_of(key: u64) -> usize {
    (key & ((1 << INDEX_BITS) - 1)) as usize
}

/// Tables hold about 2^k entries, at most 2^25 and a little more.
const INDEX_BITS: u32 = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::fx::is_match;
    use super::*;

    fn entries(mut ys: Vec<u32>) -> Entries {
        ys.sort_unstable();
        let metadata = vec![0; ys.len()];
        Entries { ys, metadata }
    }

    #[test]
    fn no_entries_have_no_matches() {
        assert!(find_matches(&entries(vec![])).is_empty());
        assert!(find_matches(&entries(vec![7])).is_empty());
    }

    #[test]
    fn buckets_with_a_gap_between_do_not_match() {
        let bucket = BC as u32;
        assert_eq!(find_matches(&entries(vec![0, bucket])), [[0, 1]]);
        assert!(find_matches(&entries(vec![0, 2 * bucket])).is_empty());
    }

    #[test]
    fn entries_of_equal_y_all_match() {
        let bucket = BC as u32;
        let matches = find_matches(&entries(vec![0, 0, bucket, bucket, bucket]));
        assert_eq!(matches, [[0, 2], [0, 3], [0, 4], [1, 2], [1, 3], [1, 4]]);
    }

    proptest! {
        #[test]
        fn matches_are_exactly_the_matching_pairs(ys in prop::collection::vec(0..5 * BC as u32, 0..600)) {
            let entries = entries(ys);
            let is_pair = |left: u32, right: u32| {
                is_match(entries.ys[left as usize].into(), entries.ys[right as usize].into())
            };
            let all = 0..entries.ys.len() as u32;
            let pairs = all.clone().flat_map(|left| all.clone().map(move |right| [left, right]));
            let expected: Vec<[u32; 2]> = pairs.filter(|[left, right]| is_pair(*left, *right)).collect();
            prop_assert_eq!(find_matches(&entries), expected);
        }

        #[test]
        fn moved_targets_are_the_targets(bucket in 0_u64..1 << 20, left in 0..BC) {
            let expected: Vec<usize> = targets(bucket, left).map(|target| target as usize).collect();
            prop_assert!(Targets::of_bucket(bucket).of(left as usize).eq(expected));
        }
    }
}
