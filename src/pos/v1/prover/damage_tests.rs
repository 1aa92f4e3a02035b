//! Tests of what looking up says of plots that drives have damaged: sectors of zeros, a file cut off, bytes of another plot.
//! What is found in them is what the whole plot has, or it is an error.

use std::cell::RefCell;
use std::io;

use super::tests::{REAL_PLOT, challenge_of};
use super::*;

/// Remembers where a plot is read.
struct Spy<'a>(&'a Vec<u8>, RefCell<Vec<Range<usize>>>);

impl ReadAt for Spy<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = offset as usize;
        self.1.borrow_mut().push(start..start + buf.len());
        self.0.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }
}

/// Challenges for f7s from everywhere, so many apart, and what the plot has for them.
fn challenges(step: usize) -> impl Iterator<Item = (PosChallenge, Vec<Quality>)> {
    let prover = Prover::open(&*REAL_PLOT).unwrap();
    // An f7 before the first entries cannot tell a C1 of zeros from one that begins with 0.
    let f7s = (step as u64 / 2..1 << 18).step_by(step).chain([(1 << 18) - 1]);
    f7s.map(move |f7| {
        let challenge = challenge_of(18, f7);
        let qualities = prover.qualities(&*REAL_PLOT, &challenge).unwrap();
        (challenge, qualities)
    })
}

/// How often looking up in what became of the plot since it was opened had other results than before: errors, and others that
/// were not told of.
#[derive(Debug, Default)]
struct Differences {
    errors: usize,
    silent: usize,
}

impl Differences {
    fn add(&mut self, expected: &(PosChallenge, Vec<Quality>), damaged: &Vec<u8>) {
        let prover = Prover::open(&*REAL_PLOT).unwrap();
        match prover.qualities(damaged, &expected.0) {
            Ok(qualities) => self.silent += usize::from(qualities != expected.1),
            Err(_) => self.errors += 1,
        }
    }
}

#[test]
fn a_whole_plot_is_never_called_damaged() {
    let found = challenges(1_009).map(|(_, qualities)| qualities.len());
    assert!(found.sum::<usize>() > 200);
}

#[test]
fn a_sector_of_zeros_where_a_look_up_reads_is_told_of() {
    let prover = Prover::open(&*REAL_PLOT).unwrap();
    let index = prover.header.table_pointers[7] as usize;
    let (mut in_index, mut in_tables) = (Differences::default(), Differences::default());
    let mut damaged = REAL_PLOT.clone();
    for expected in challenges(50_021) {
        let spy = Spy(&REAL_PLOT, RefCell::default());
        prover.qualities(&spy, &expected.0).unwrap();
        for read in spy.1.take() {
            let differences = if read.start < index {
                &mut in_tables
            } else {
                &mut in_index
            };
            for sector in (read.start / 512 * 512..read.end).step_by(512) {
                let sector = sector..(sector + 512).min(damaged.len());
                damaged[sector.clone()].fill(0);
                differences.add(&expected, &damaged);
                damaged[sector.clone()].copy_from_slice(&REAL_PLOT[sector]);
            }
        }
    }
    assert!(in_index.silent == 0 && in_index.errors > 20, "{in_index:?}");
    // A line point or an entry that is partly in the sector is only found by the proof.
    assert!(
        in_tables.silent * 20 < in_tables.errors && in_tables.errors > 100,
        "{in_tables:?}"
    );
}

#[test]
fn zeros_to_the_end_the_end_of_the_file_and_bytes_of_another_plot_are_told_of() {
    let prover = Prover::open(&*REAL_PLOT).unwrap();
    let pointers = prover.header.table_pointers.map(|pointer| pointer as usize);
    for table in [1, 6, 7, 9] {
        let start = pointers[table];
        let zeroed = [&REAL_PLOT[..start], &vec![0; REAL_PLOT.len() - start]].concat();
        // Tables of another plot begin elsewhere.
        let other = [&REAL_PLOT[..start], &REAL_PLOT[start - 150_021..]].concat();
        let damages = [
            ("zeroed", zeroed),
            ("cut off", REAL_PLOT[..start + 50].to_vec()),
            ("overwritten", other),
        ];
        for (what, damaged) in damages {
            let mut differences = Differences::default();
            for expected in challenges(50_021) {
                differences.add(&expected, &damaged);
            }
            let Differences { errors, silent } = differences;
            assert_eq!(silent, 0, "{what} from table {table} of ten on");
            assert!(errors > 2, "{what} from table {table} of ten on: {errors}");
        }
    }
}

#[test]
fn a_c2_that_contradicts_c1_is_told_of() {
    let mut damaged = REAL_PLOT.clone();
    let c2 = Prover::open(&damaged).unwrap().header.table_pointers[8] as usize;
    damaged[c2..c2 + 3].copy_from_slice(&[0x80, 0, 0]);
    let prover = Prover::open(&damaged).unwrap();
    for f7 in [300, 70_000, 140_000] {
        let failed = prover.qualities(&damaged, &challenge_of(18, f7)).unwrap_err();
        let is_of_index = matches!(
            failed,
            PlotError::Damaged {
                part: PlotPart::C1 | PlotPart::C2,
                ..
            }
        );
        assert!(is_of_index, "{failed}");
    }
}
