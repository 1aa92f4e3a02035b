//! Tests of parks: against those of chiapos, round trips, and damage.

use proptest::prelude::*;

use super::*;

/// From the plot that chiapos 2.0.12 makes for k 18 and plot id sha256("a"): the first park of table 1, then the
/// last C3 park (of 1,428 entries) without the zeros at its end.
const GOLDEN: &[u8] = include_bytes!("../../../../tests/vectors/pos_v1_parks_k18.bin");
const K: u8 = 18;

impl ParkLayout {
    /// The line points of all entries of `park`, in order.
    fn line_points(&self, park: &[u8]) -> Result<Vec<u128>, ParkError> {
        let mut line_point = self.first_line_point(park)?;
        let stubs = self.stubs(park)?;
        let mut all = Vec::with_capacity(ENTRIES_PER_PARK);
        all.push(line_point);
        for (at, delta) in self.deltas(park)?.take(ENTRIES_PER_PARK - 1).enumerate() {
            let stub = stubs.get(at).ok_or_else(|| self.cut(park))?;
            line_point = self.checked(line_point + (u128::from(delta) << self.stub_bits) + u128::from(stub))?;
            all.push(line_point);
        }
        Ok(all)
    }
}

fn golden_park() -> (ParkLayout, &'static [u8]) {
    let layout = ParkLayout::classic(K, 1);
    (layout, &GOLDEN[..layout.park_bytes()])
}

fn golden_c3_park() -> Vec<u8> {
    let mut park = GOLDEN[golden_park().0.park_bytes()..].to_vec();
    park.resize(c3_park_bytes(K), 0);
    park
}

#[test]
fn line_points_of_chiapos_are_read_and_written() {
    let (layout, park) = golden_park();
    let line_points = layout.line_points(park).unwrap();
    assert_eq!(line_points.len(), ENTRIES_PER_PARK);
    assert!(line_points.is_sorted());
    for (index, line_point) in line_points.iter().enumerate() {
        assert_eq!(layout.line_point(park, index), Ok(*line_point));
    }
    assert_eq!(layout.encode(&line_points).as_deref(), Ok(park));
}

#[test]
fn f7_differences_of_chiapos_are_read_and_written() {
    let park = golden_c3_park();
    let deltas: Vec<u8> = c3_deltas(&park).unwrap().collect();
    assert_eq!(deltas.len(), 1427);
    assert_eq!(encode_c3_park(K, &deltas), Ok(park));
}

#[test]
fn parks_of_k_32_have_their_known_sizes() {
    let sizes: Vec<usize> = (1..=6)
        .map(|table| ParkLayout::classic(32, table).park_bytes())
        .collect();
    assert_eq!(sizes, [8862, 8325, 8325, 8325, 8325, 8325]);
    let compressed: Vec<usize> = (1..=9)
        .map(|level| ParkLayout::compressed(level).unwrap().park_bytes())
        .collect();
    assert_eq!(compressed, [8336, 7360, 6352, 5325, 4300, 3273, 2250, 6350, 8808]);
    assert_eq!(p7_park_bytes(32), 8448);
    assert_eq!([c3_park_bytes(19), c3_park_bytes(20)], [10_000, 3000]);
}

#[test]
fn plain_deltas_are_read() {
    let layout = ParkLayout::classic(K, 6);
    let mut park = vec![0; layout.park_bytes()];
    let at = layout.deltas_start();
    park[at..at + 4].copy_from_slice(&[2, 0x80, 3, 5]);
    assert_eq!(layout.line_points(&park), Ok(vec![0, 3 << 15, 8 << 15]));
    assert_eq!(layout.line_point(&park, 2), Ok(8 << 15));
    assert_eq!(
        layout.line_point(&park, 3),
        Err(ParkError::NoSuchEntry { index: 3, held: 3 })
    );
}

#[test]
fn entries_that_are_not_there_are_refused() {
    let layout = ParkLayout::classic(K, 3);
    let park = layout.encode(&[1, 2, 3, 4, 5]).unwrap();
    assert_eq!(layout.line_point(&park, 4), Ok(5));
    assert_eq!(
        layout.line_point(&park, 5),
        Err(ParkError::NoSuchEntry { index: 5, held: 5 })
    );
    let (layout, full) = golden_park();
    let beyond = ParkError::NoSuchEntry {
        index: 2048,
        held: 2048,
    };
    assert_eq!(layout.line_point(full, 2048), Err(beyond));
}

#[test]
fn a_park_with_few_entries_is_filled_up_with_its_last() {
    let layout = ParkLayout::classic(K, 1);
    let park = layout.encode(&[77]).unwrap();
    assert_eq!(layout.line_points(&park), Ok(vec![77; 1 + MIN_DELTAS]));
}

#[test]
fn what_does_not_fit_is_not_written() {
    let layout = ParkLayout::classic(K, 2);
    assert_eq!(layout.encode(&[]), Err(ParkError::EntryCount { got: 0 }));
    assert_eq!(layout.encode(&[0; 2049]), Err(ParkError::EntryCount { got: 2049 }));
    assert_eq!(layout.encode(&[2, 1]), Err(ParkError::NotAscending));
    assert_eq!(
        layout.encode(&[0, 256 << 15]),
        Err(ParkError::DeltaTooLarge { delta: 256 })
    );
    assert_eq!(
        layout.encode(&[1 << 36]),
        Err(ParkError::LinePointTooLarge { bits: 36 })
    );
    let far_apart: Vec<u128> = (0..2048).map(|at| at << 20).collect();
    assert!(matches!(
        layout.encode(&far_apart),
        Err(ParkError::DeltasOverflow { room: 894, .. })
    ));
}

#[test]
fn a_park_cut_short_is_refused() {
    let (layout, park) = golden_park();
    for len in 0..park.len() {
        assert!(layout.line_points(&park[..len]).is_err());
        assert!(layout.line_point(&park[..len], 1).is_err());
    }
}

proptest! {
    #[test]
    fn folding_is_undone(a in 0_u64..1 << 50, b in 0_u64..1 << 50) {
        prop_assume!(a != b);
        prop_assert_eq!(unfold_line_point(line_point(a, b)), (a.max(b), a.min(b)));
    }

    #[test]
    fn every_line_point_unfolds(point in 0_u128..1 << 100) {
        let (x, y) = unfold_line_point(point);
        prop_assert!(y < x || point == 0);
        prop_assert_eq!(triangle(u128::from(x)) + u128::from(y), point);
    }

    #[test]
    fn parks_round_trip(
        k in 18_u8..=50,
        table in 1_u8..=6,
        level in 0_u8..=9,
        first: u128,
        steps in prop::collection::vec((0_u128..6, any::<u128>()), MIN_DELTAS..ENTRIES_PER_PARK),
    ) {
        let layout = ParkLayout::compressed(level).unwrap_or_else(|| ParkLayout::classic(k, table));
        let mut line_points = vec![first >> (133 - layout.line_point_bits)];
        for (delta, stub) in steps {
            let step = (delta << layout.stub_bits) + (stub >> (128 - layout.stub_bits));
            line_points.push(line_points[line_points.len() - 1] + step);
        }
        let park = layout.encode(&line_points).unwrap();
        prop_assert_eq!(park.len(), layout.park_bytes());
        prop_assert_eq!(layout.line_points(&park), Ok(line_points.clone()));
        let last = line_points.len() - 1;
        prop_assert_eq!(layout.line_point(&park, last), Ok(line_points[last]));
    }

    #[test]
    fn p7_parks_round_trip(k in 18_u8..=50, positions in prop::collection::vec(0_u64..1 << 19, 1..=2048)) {
        let park = encode_p7_park(k, &positions).unwrap();
        prop_assert_eq!(park.len(), p7_park_bytes(k));
        for (index, position) in positions.iter().enumerate() {
            prop_assert_eq!(read_bits(&park, index * (usize::from(k) + 1), u32::from(k) + 1), Some(*position));
        }
    }

    #[test]
    fn damaged_parks_do_no_harm(at in 0..GOLDEN.len(), flips in prop::collection::vec(any::<u8>(), 1..40), index in 0..3000_usize) {
        let (layout, park) = golden_park();
        let mut bytes = GOLDEN.to_vec();
        for (byte, flip) in bytes[at..].iter_mut().zip(flips) {
            *byte ^= flip;
        }
        let (damaged, c3) = bytes.split_at(park.len());
        let _ = layout.line_point(damaged, index);
        if let Ok(line_points) = layout.line_points(damaged) {
            prop_assert!(line_points.len() <= ENTRIES_PER_PARK && line_points.is_sorted());
        }
        if let Ok(deltas) = c3_deltas(c3) {
            prop_assert!(deltas.count() <= c3.len() * 8);
        }
    }
}
