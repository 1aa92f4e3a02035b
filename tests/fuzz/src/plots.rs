//! What must hold for the bytes of a plot file, and seeds of them.

use farmconsole::pos::header::{HeaderVersion, PlotHeader, PlotMemo};
use farmconsole::pos::v1::{self, Prover, compressed_line_point};

use crate::{SeedInput, memory};

/// Target `plot_header`: the beginning of a plot file, of any format. What is understood has a usable k, a memo and
/// pointers that are those in the file, and no more is allocated than a header is long.
pub fn plot_header_target(file: &[u8]) -> bool {
    memory::assert_bounded(0, || PlotHeader::parse(file));
    // Tables of mainnet size are not believed in: what is allocated depends on what is there.
    memory::assert_bounded(file.len(), || Prover::open(file));
    let Ok(header) = PlotHeader::parse(file) else {
        return false;
    };
    assert!((v1::MIN_K..=v1::MAX_K).contains(&header.k), "k {}", header.k);
    let memo = header.memo.to_bytes();
    assert_eq!(PlotMemo::from_bytes(&memo).ok(), Some(header.memo), "memo");
    assert!(
        file.windows(memo.len()).any(|window| window == memo.as_slice()),
        "memo of nowhere"
    );
    let is_v2 = matches!(header.version, HeaderVersion::Pos2 { .. });
    let pointers = header.table_pointers.map(u64::to_be_bytes).concat();
    let are_as_written = file.windows(pointers.len()).any(|window| window == pointers);
    let are_none = header.table_pointers == [0; 10];
    assert!(if is_v2 { are_none } else { are_as_written }, "pointers");
    if let Ok(prover) = Prover::open(file) {
        let level = prover.compression_level();
        assert!(
            !is_v2 && level <= 9 && (level == 0 || header.k == 32),
            "level {level} of k {}",
            header.k
        );
    }
    true
}

/// Target `compressed_park`: a compression level, the number of an entry and a park. Line points have 64 bits and ascend.
pub fn compressed_park_target(input: &[u8]) -> bool {
    let [level, high, low, park @ ..] = input else {
        return false;
    };
    let index = usize::from(u16::from_be_bytes([*high, *low]));
    // The tables of the level's code are made with its first use, and stay.
    let _ = compressed_line_point(*level, &warm_park(), 1);
    let line_point = |index| compressed_line_point(*level, park, index).and_then(Result::ok);
    memory::assert_bounded(0, || line_point(index));
    let Some(point) = line_point(index) else { return false };
    assert!(point >> 64 == 0, "{point:#x}");
    if let Some(before) = index.checked_sub(1) {
        let before = line_point(before);
        assert!(
            before.is_some_and(|before| before <= point),
            "{before:?} before {point}"
        );
    }
    true
}

/// Headers of all three kinds with either memo, and a park of each level with plain and with coded deltas.
pub fn plot_seeds() -> Vec<SeedInput> {
    let mut seeds = Vec::new();
    for (memo_bytes, pool) in [(128_u16, "key"), (112, "contract")] {
        let memo: Vec<u8> = (0..memo_bytes).map(|at| at as u8).collect();
        let pointers: Vec<u8> = (1..=10).flat_map(|table: u64| (40 * table).to_be_bytes()).collect();
        let classic = [
            &b"Proof of Space Plot"[..],
            &[7; 32],
            b"\x20\0\x04v1.0",
            &memo_bytes.to_be_bytes(),
            &memo,
            &pointers,
            &[0; 500],
        ];
        let compressed = [
            &b"PLOT\x02\0\0\0"[..],
            &[7; 32],
            &[32],
            &memo_bytes.to_be_bytes(),
            &memo,
            b"\x01\0\0\0\x05",
            &pointers,
            &[0; 500],
        ];
        let pos2 = [
            &b"pos2\x01"[..],
            &[7; 32],
            &[20, 3, 0, 0, 0, memo_bytes as u8],
            &memo,
            &[0; 8],
        ];
        for (kind, input) in [
            ("classic", classic.concat()),
            ("compressed", compressed.concat()),
            ("pos2", pos2.concat()),
        ] {
            seeds.push(SeedInput {
                target: "plot_header",
                name: format!("{kind}_{pool}"),
                input,
            });
        }
    }
    for (level, (park_bytes, stub_bits)) in (1_u8..).zip(PARKS) {
        let stubs_end = 8 + (2047_usize * stub_bits).div_ceil(8);
        // Three zero deltas as they are, and a stream that any code can read: two states and nothing else.
        for (name, deltas) in [("plain", &[3, 0x80, 0, 0, 0][..]), ("coded", &[4, 0, 1, 2, 3, 0x1f])] {
            let mut park = vec![0; park_bytes];
            park[..12].copy_from_slice(&[0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
            park[stubs_end..stubs_end + deltas.len()].copy_from_slice(deltas);
            let input = [&[level, 0, 1], park.as_slice()].concat();
            seeds.push(SeedInput {
                target: "compressed_park",
                name: format!("c{level}_{name}"),
                input,
            });
        }
    }
    seeds
}

/// A park long enough for every level, each of which finds a stream in it.
fn warm_park() -> Vec<u8> {
    vec![0x02; 10_000]
}

/// Bytes of a park and bits of a stub, of the levels from 1 on.
const PARKS: [(usize, usize); 9] = [
    (8336, 29),
    (7360, 25),
    (6352, 21),
    (5325, 16),
    (4300, 12),
    (3273, 8),
    (2250, 4),
    (6350, 4),
    (8808, 30),
];
