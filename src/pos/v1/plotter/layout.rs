//! Writes computed tables in the format of a plot file: without the entries that lead nowhere, sorted by line point,
//! packed into parks, with the checkpoint tables at the end.
//!
//! Where the reference plotter leaves the last park of a table unreadable, because the entropy code needs three deltas,
//! the park is filled up (tables 1 to 6) or its one to three entries are left out (table 7 with C3): about three in ten
//! thousand plots lack up to three proofs for it.

use super::super::park::{
    CHECKPOINT_1_INTERVAL, CHECKPOINT_2_INTERVAL, ENTRIES_PER_PARK, MIN_DELTAS, ParkError, ParkLayout, encode_c3_park,
    encode_p7_park, line_point,
};
use super::PlotterError;
use super::forward::Tables;

/// Appends table pointers and tables to `header`. `progress` gets the share done.
pub(super) fn write_tables(
    k: u8,
    header: Vec<u8>,
    mut tables: Tables,
    progress: &mut dyn FnMut(f32),
) -> Result<Vec<u8>, PlotterError> {
    let proofs = provable_entries(tables.f7s.len());
    tables.f7s.truncate(proofs);
    tables.pairs[5].truncate(proofs);
    let used = used_entries(&tables);

    let mut file = PlotFile::new(header);
    let mut positions = tables.xs;
    for ((table, pairs), used) in (1..).zip(tables.pairs).zip(used) {
        file.begin_table();
        let unlucky = |reason| PlotterError::Unlucky { table, reason };
        positions = write_line_points(k, table, &positions, &pairs, &used, &mut file.bytes).map_err(unlucky)?;
        progress(f32::from(table) / 7.0);
    }
    let unlucky = |reason| PlotterError::Unlucky { table: 7, reason };
    write_proofs(k, &tables.f7s, &positions, &mut file).map_err(unlucky)?;
    progress(1.0);
    Ok(file.bytes)
}

/// How many of `found` table 7 entries can be written: a last C3 park needs one entry and three differences.
fn provable_entries(found: usize) -> usize {
    match found % CHECKPOINT_1_INTERVAL {
        rest if rest <= MIN_DELTAS => found - rest,
        _ => found,
    }
}

/// Which entries of the tables 2 to 7 lead to a proof.
fn used_entries(tables: &Tables) -> [Vec<bool>; 6] {
    let mut used = tables.pairs.each_ref().map(|pairs| vec![false; pairs.len()]);
    let [.., proofs] = &mut used;
    proofs.fill(true);
    for table in (1..6).rev() {
        let (below, above) = used.split_at_mut(table);
        for (pair, _) in tables.pairs[table].iter().zip(&above[0]).filter(|(_, used)| **used) {
            for position in pair {
                below[table - 1][*position as usize] = true;
            }
        }
    }
    used
}

/// Writes `table` (1 to 6): the line points of the entries (`pairs`) of the table above, of which only the `used` ones
/// count. `positions` says where each entry of the table below was written (for table 1, its x); the result says so for
/// the entries of the table above.
fn write_line_points(
    k: u8,
    table: u8,
    positions: &[u32],
    pairs: &[[u32; 2]],
    used: &[bool],
    out: &mut Vec<u8>,
) -> Result<Vec<u32>, ParkError> {
    let layout = ParkLayout::classic(k, table);
    let mut points: Vec<(u128, u32)> = Vec::with_capacity(pairs.len());
    for (([left, right], index), _) in pairs.iter().zip(0..).zip(used).filter(|(_, used)| **used) {
        let position = |of: u32| u64::from(positions[of as usize]);
        points.push((line_point(position(*left), position(*right)), index));
    }
    points.sort_unstable();

    let mut written_at = vec![0; pairs.len()];
    for ((_, index), position) in points.iter().zip(0..) {
        written_at[*index as usize] = position;
    }
    for park in points.chunks(ENTRIES_PER_PARK) {
        let line_points: Vec<u128> = park.iter().map(|(point, _)| *point).collect();
        out.extend(layout.encode(&line_points)?);
    }
    Ok(written_at)
}

/// Writes table 7 and the checkpoint tables C1, C2, C3. `f7s` and `positions` (in table 6) belong together.
fn write_proofs(k: u8, f7s: &[u32], positions: &[u32], file: &mut PlotFile) -> Result<(), ParkError> {
    let mut proofs: Vec<(u32, u32)> = f7s.iter().copied().zip(positions.iter().copied()).collect();
    proofs.sort_unstable();

    file.begin_table();
    for park in proofs.chunks(ENTRIES_PER_PARK) {
        let positions: Vec<u64> = park.iter().map(|(_, position)| u64::from(*position)).collect();
        file.bytes.extend(encode_p7_park(k, &positions)?);
    }
    for interval in [CHECKPOINT_1_INTERVAL, CHECKPOINT_1_INTERVAL * CHECKPOINT_2_INTERVAL] {
        file.begin_table();
        // A zero entry marks the end.
        for f7 in proofs.iter().step_by(interval).map(|(f7, _)| *f7).chain([0]) {
            let aligned = u64::from(f7) << (64 - k);
            file.bytes.extend(&aligned.to_be_bytes()[..usize::from(k).div_ceil(8)]);
        }
    }
    file.begin_table();
    for park in proofs.chunks(CHECKPOINT_1_INTERVAL) {
        let deltas = park.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let too_large = |delta: u32| ParkError::DeltaTooLarge { delta: delta.into() };
        let deltas: Result<Vec<u8>, _> = deltas
            .map(|delta| delta.try_into().map_err(|_| too_large(delta)))
            .collect();
        file.bytes.extend(encode_c3_park(k, &deltas?)?);
    }
    Ok(())
}

/// A plot file in the making.
struct PlotFile {
    bytes: Vec<u8>,
    next_pointer: usize,
}

impl PlotFile {
    fn new(header: Vec<u8>) -> Self {
        let mut bytes = header;
        let next_pointer = bytes.len();
        bytes.resize(next_pointer + TABLES * POINTER_BYTES, 0);
        Self { bytes, next_pointer }
    }

    /// Notes in the header that the next table begins here.
    fn begin_table(&mut self) {
        let start = self.bytes.len() as u64;
        self.bytes[self.next_pointer..][..POINTER_BYTES].copy_from_slice(&start.to_be_bytes());
        self.next_pointer += POINTER_BYTES;
    }
}

/// Tables 1 to 7, C1, C2, C3.
const TABLES: usize = 10;
const POINTER_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of two entries that could be proofs, as small as they can be; not those of any plot id.
    fn two_proofs() -> Tables {
        Tables {
            xs: vec![5, 9, 2, 8],
            pairs: [
                vec![[0, 1], [2, 3], [1, 2]],
                vec![[0, 1], [0, 2], [1, 2]],
                vec![[0, 1], [1, 2]],
                vec![[0, 1]],
                vec![[0, 0]],
                vec![[0, 0], [0, 0]],
            ],
            f7s: vec![3, 4],
        }
    }

    #[test]
    fn entries_that_lead_nowhere_are_found() {
        let mut tables = two_proofs();
        assert!(used_entries(&tables).iter().flatten().all(|used| *used));
        tables.pairs[3] = vec![[0, 0], [1, 1]];
        assert_eq!(used_entries(&tables)[3], [true, false]);
        assert_eq!(used_entries(&tables)[2], [true, false]);
        assert_eq!(used_entries(&tables)[1], [true, true, false]);
        assert_eq!(used_entries(&tables)[0], [true, true, true]);
    }

    #[test]
    fn a_last_c3_park_too_small_to_be_coded_is_left_out() {
        let kept = [0, 1, 3, 4, 9_999, 10_000, 10_001, 10_003, 10_004].map(provable_entries);
        assert_eq!(kept, [0, 0, 0, 4, 9_999, 10_000, 10_000, 10_000, 10_004]);
    }

    #[test]
    fn entries_too_far_apart_make_an_unlucky_plot() {
        let mut tables = two_proofs();
        tables.f7s = vec![3, 4, 5, 6];
        tables.pairs[5] = vec![[0, 0]; 4];
        tables.xs = vec![5, 9, 2, (1 << 18) - 1];
        let result = write_tables(18, Vec::new(), tables, &mut |_| ());
        assert!(matches!(
            result,
            Err(PlotterError::Unlucky {
                table: 1,
                reason: ParkError::DeltaTooLarge { .. }
            })
        ));
    }
}
