//! Tests of the prover: against chiapos, brute force, and plots that are damaged.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::plotter::create_plot;
use super::super::test_plot::{GoldenProof, Shape, TestPlot, golden_proof, golden_proofs};
use super::*;
use crate::ids::PlotId;

pub(super) const ID: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

/// The plot that some of the golden proofs are from, made by our own plotter.
pub(super) static REAL_PLOT: LazyLock<Vec<u8>> =
    LazyLock::new(|| create_plot(18, &ID.parse().unwrap(), &[7; 128], &mut |_| ()).unwrap());

/// All proofs there are for the challenge, each of which `full_proof` has verified.
fn prove(plot: &impl ReadAt, challenge: &PosChallenge) -> Vec<(QualityString, Vec<u8>)> {
    let prover = Prover::open(plot).unwrap();
    let qualities = prover.qualities(plot, challenge).unwrap();
    qualities
        .iter()
        .map(|q| (q.string, prover.full_proof(plot, challenge, q).unwrap()))
        .collect()
}

#[test]
fn proofs_of_a_real_plot_are_those_of_chiapos() {
    let plot_id: PlotId = ID.parse().unwrap();
    let mut golden = golden_proofs();
    golden.retain(|golden| golden.plot_id == plot_id && golden.k == 18);
    assert!(golden.len() >= 8);
    for proof in &golden {
        let same_challenge = golden.iter().filter(|other| other.challenge == proof.challenge);
        let expected: Vec<_> = same_challenge.map(|golden| (golden.quality, golden.proof())).collect();
        assert_eq!(prove(&*REAL_PLOT, &proof.challenge), expected);
    }
}

#[test]
fn no_entry_of_a_real_plot_is_missed_around_checkpoints() {
    let plot = &*REAL_PLOT;
    let prover = Prover::open(plot).unwrap();
    let reader = PlotReader::new(plot);
    // An f7 has about one entry, so the first two checkpoints and the end of the table are among these.
    let mut checkpoints = Vec::new();
    for f7s in [9_000..11_000, 19_000..21_000, (1 << 18) - 500..1 << 18] {
        let mut expected = None;
        for f7 in f7s {
            let near = prover.checkpoints.near(&reader, f7).unwrap();
            for place in prover.checkpoints.places(&reader, near.scans()).unwrap() {
                assert!(
                    expected.is_none_or(|expected| place == expected),
                    "gap before place {place}, f7 {f7}"
                );
                expected = Some(place + 1);
                if place % 10_000 == 0 {
                    checkpoints.push(place);
                    assert!(!prove(plot, &challenge_of(18, f7)).is_empty());
                }
            }
        }
        let [.., table_7, c1, _, _] = prover.header().table_pointers;
        let room = (c1 - table_7) * 8 / 19;
        assert!(
            expected.is_some_and(|end| end <= room && (end < 100_000 || room - end < 2048)),
            "{expected:?}"
        );
    }
    assert_eq!(checkpoints[..2], [10_000, 20_000]);
}

#[test]
fn proof_is_found_wherever_in_table_7_it_is() {
    for k in [18, 22, 32] {
        let golden = golden_proof(k);
        for (entries, places) in [
            (20_001, 0..1),
            (20_001, 9_999..10_000),
            (20_001, 10_000..10_001),
            (20_001, 20_000..20_001),
            (10_000, 9_999..10_000),
            (10_004, 10_003..10_004),
            (20_001, 9_997..10_004),
            (20_001, 19_937..20_001),
            (30_000, 10_001..10_002),
        ] {
            for padding in [0, 4096] {
                let mut shape = Shape::of_entries(golden.f7(), entries, places.clone());
                shape.padding = padding;
                let plot = TestPlot::new(&golden, &shape);
                let expected = vec![(golden.quality, golden.proof()); places.clone().count()];
                assert_eq!(
                    prove(&plot, &golden.challenge),
                    expected,
                    "k {k} entries {entries} places {places:?}"
                );
            }
        }
    }
}

/// A challenge that asks for this f7.
pub(super) fn challenge_of(k: u8, f7: u64) -> PosChallenge {
    let mut challenge = PosChallenge([0; 32]);
    challenge.0[..8].copy_from_slice(&(f7 << (64 - k)).to_be_bytes());
    challenge
}

/// A plot of mainnet size: C1 has 22,000 entries, C2 three, and the proof is at one place after checkpoint `index`.
fn large_plot(golden: &GoldenProof, index: u64, after: u64) -> TestPlot {
    let step = |other: u64| other.abs_diff(index) * 10_000;
    let checkpoint = golden.f7() - after;
    let c1 = (0..22_000)
        .map(|i| {
            if i < index {
                checkpoint - step(i)
            } else {
                checkpoint + step(i)
            }
        })
        .collect();
    let place = index * 10_000 + after;
    // Before the checkpoint only every other f7 has an entry.
    let before = [0, 2].into_iter().cycle().take(9_999).collect();
    let c3 = BTreeMap::from([(index.saturating_sub(1), before), (index, vec![1; 9_999])]);
    TestPlot::new(
        golden,
        &Shape {
            c1,
            c3,
            places: place..place + 1,
            padding: 0,
            first_park: 0,
        },
    )
}

#[test]
fn look_up_takes_nine_reads_and_the_proof_five_batches() {
    let golden = golden_proof(32);
    // At the beginning, in the middle and at the end of the groups that C2 makes.
    for index in [9_999, 10_000, 10_001, 11_234, 12_000] {
        for after in [1, 5_000, 9_999] {
            let plot = large_plot(&golden, index, after);
            let prover = Prover::open(&plot).unwrap();
            assert_eq!(plot.take_reads(), 2);
            let qualities = prover.qualities(&plot, &golden.challenge).unwrap();
            assert_eq!(plot.take_reads(), 9, "index {index} after {after}");
            plot.batches.take();
            let proof = prover.full_proof(&plot, &golden.challenge, &qualities[0]).unwrap();
            assert_eq!(proof, golden.proof());
            assert_eq!(plot.take_reads(), 57);
            assert_eq!(plot.batches.take(), [1, 3, 7, 15, 31]);
        }
        // At the checkpoint itself; one more read if the one before is in another group.
        let plot = large_plot(&golden, index, 0);
        assert_eq!(prove(&plot, &golden.challenge), [(golden.quality, golden.proof())]);
        assert!(plot.take_reads() <= 2 + 10 + 57);
    }
}

#[test]
fn kept_checkpoints_save_a_read() {
    let golden = golden_proof(32);
    for index in [9_999, 10_000, 11_234] {
        for after in [20, 5_000, 9_999] {
            let plot = large_plot(&golden, index, after);
            let mut prover = Prover::open(&plot).unwrap();
            let expected = prover.qualities(&plot, &golden.challenge).unwrap();
            // 22,000 entries of four bytes each.
            assert_eq!(prover.keep_checkpoints(&plot, 87_999).unwrap(), 0);
            plot.take_reads();
            prover.qualities(&plot, &golden.challenge).unwrap();
            assert!(plot.take_reads() >= 9);
            assert_eq!(prover.keep_checkpoints(&plot, 88_000).unwrap(), 88_000);
            plot.take_reads();
            assert_eq!(prover.qualities(&plot, &golden.challenge).unwrap(), expected);
            assert_eq!(plot.take_reads(), 8, "index {index} after {after}");
            let challenge = challenge_of(32, golden.f7() - after - 1);
            assert_eq!(prover.qualities(&plot, &challenge).unwrap(), []);
            assert_eq!(plot.take_reads(), 1);
        }
    }
}

#[test]
fn challenge_without_proof_takes_two_reads() {
    let golden = golden_proof(32);
    let plot = large_plot(&golden, 11_234, 20);
    let prover = Prover::open(&plot).unwrap();
    plot.take_reads();
    // Between two entries after the checkpoint before, and after the last of them.
    for before in [10_001, 21] {
        let challenge = challenge_of(32, golden.f7() - before);
        assert_eq!(prover.qualities(&plot, &challenge).unwrap(), []);
        assert_eq!(plot.take_reads(), 2);
    }
    for before in [1, 255] {
        let challenge = challenge_of(32, prover.c2()[0] - before);
        assert_eq!(prover.qualities(&plot, &challenge).unwrap(), []);
        assert_eq!(plot.take_reads(), 0, "below the first f7 of the plot");
    }
}

#[test]
fn failing_medium_is_told_from_damage() {
    let golden = golden_proof(18);
    let mut plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501));
    let prover = Prover::open(&plot).unwrap();
    let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
    let [t1, _, t3, .., t7, c1, c2, c3] = prover.header().table_pointers;
    for (start, part) in [(c1, PlotPart::C1), (c3, PlotPart::C3), (t7 + 1180, PlotPart::Table(7))] {
        plot.broken = Some(start..start + 100);
        let failed = prover.qualities(&plot, &golden.challenge).unwrap_err();
        assert!(
            matches!(failed, PlotError::Unreadable { part: at, .. } if at == part),
            "{failed}"
        );
    }
    for (start, part) in [(t1, PlotPart::Table(1)), (t3, PlotPart::Table(3))] {
        plot.broken = Some(start..t7);
        let failed = prover.full_proof(&plot, &golden.challenge, &quality).unwrap_err();
        assert!(
            matches!(
                failed,
                PlotError::Unreadable {
                    part: PlotPart::Table(_),
                    ..
                }
            ),
            "{part} {failed}"
        );
    }
    plot.broken = Some(c2..c2 + 1);
    assert!(matches!(
        Prover::open(&plot),
        Err(PlotError::Unreadable { part: PlotPart::C2, .. })
    ));
    plot.broken = Some(0..1);
    assert!(matches!(
        Prover::open(&plot),
        Err(PlotError::Unreadable {
            part: PlotPart::Header,
            ..
        })
    ));
}

#[test]
fn damaged_tables_are_named() {
    let golden = golden_proof(18);
    let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501)).to_bytes();
    let prover = Prover::open(&plot).unwrap();
    let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
    let [t1, .., c3] = prover.header().table_pointers;

    let mut emptied = plot.clone();
    emptied[c3 as usize..][..10_000].fill(0);
    let failed = prover.qualities(&emptied, &golden.challenge).unwrap_err();
    assert!(
        matches!(failed, PlotError::Damaged { part: PlotPart::C3, .. }),
        "{failed}"
    );

    // A bit in the first line point of the first park: another x value, so another f7 or none.
    let mut altered = plot.clone();
    altered[t1 as usize + 4] ^= 0x80;
    let failed = prover.full_proof(&altered, &golden.challenge, &quality).unwrap_err();
    assert!(matches!(failed, PlotError::Damaged { .. }), "{failed}");

    let failed = prover
        .qualities(&plot[..t1 as usize].to_vec(), &golden.challenge)
        .unwrap_err();
    assert!(
        matches!(failed, PlotError::CutOff { part: PlotPart::C1, .. }),
        "{failed}"
    );
    let failed = Prover::open(&plot[..t1 as usize].to_vec()).unwrap_err();
    assert!(
        matches!(
            failed,
            PlotError::CutOff {
                part: PlotPart::Table(1),
                ..
            }
        ),
        "{failed}"
    );
}

#[test]
fn file_cut_off_is_told_from_one_that_ends_early() {
    let golden = golden_proof(18);
    // chiapos does not write the park of a last checkpoint that no entry follows, nor the unused rest of any park.
    let shape = Shape::of_entries(golden.f7(), 20_001, 19_999..20_001);
    let plot = TestPlot::new(&golden, &shape).to_bytes();
    let used = plot.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let expected = vec![(golden.quality, golden.proof()); 2];
    assert_eq!(prove(&plot[..used].to_vec(), &golden.challenge), expected);

    let cut = plot[..used - 1].to_vec();
    let failed = Prover::open(&cut)
        .unwrap()
        .qualities(&cut, &golden.challenge)
        .unwrap_err();
    assert!(
        matches!(failed, PlotError::CutOff { part: PlotPart::C3, .. }),
        "{failed}"
    );
    let cut = plot[..used - 11_000].to_vec();
    let failed = Prover::open(&cut)
        .unwrap()
        .qualities(&cut, &golden.challenge)
        .unwrap_err();
    assert!(
        matches!(failed, PlotError::CutOff { part: PlotPart::C3, .. }),
        "{failed}"
    );
}

#[test]
fn plots_asked_together_answer_as_each_does_alone() {
    let golden = golden_proof(32);
    let large = large_plot(&golden, 11_234, 20);
    let mut broken = large_plot(&golden, 11_234, 20);
    let provers = [&*REAL_PLOT as &dyn ReadAt, &large].map(|plot| Prover::open(&plot).unwrap());
    let [.., t5, t6, _, _, _, _] = provers[1].header().table_pointers;
    broken.broken = Some(t5..t6);
    let mut challenges: Vec<PosChallenge> = (0..9).map(|byte| PosChallenge([byte * 28; 32])).collect();
    challenges.push(golden.challenge);
    let asked: Vec<Asked<'_>> = challenges
        .iter()
        .flat_map(|challenge| {
            let plots: [(_, &dyn ReadAt); 3] = [
                (&provers[1], &broken),
                (&provers[0], &*REAL_PLOT),
                (&provers[1], &large),
            ];
            plots.map(|(prover, file)| Asked {
                prover,
                file,
                challenge,
            })
        })
        .collect();
    let together = qualities_of_each(&asked);
    assert_eq!(together.len(), 30);
    for (asked, answer) in asked.iter().zip(&together) {
        match (asked.prover.qualities(asked.file, asked.challenge), answer) {
            (Ok(alone), Ok(together)) => assert_eq!(alone, *together),
            (alone, together) => assert_eq!(
                alone.unwrap_err().to_string(),
                together.as_ref().unwrap_err().to_string()
            ),
        }
    }
    let found = |answer: &Result<Vec<Quality>, PlotError>| answer.as_ref().map(Vec::len).ok();
    let last: Vec<_> = together[27..].iter().map(found).collect();
    assert!(matches!(last[..], [None, Some(_), Some(1)]), "{last:?}");
    assert!(together.iter().filter_map(found).sum::<usize>() > 5);
}

#[test]
fn more_entries_of_an_f7_than_there_can_be_are_damage() {
    let golden = golden_proof(18);
    let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..565));
    let failed = Prover::open(&plot)
        .unwrap()
        .qualities(&plot, &golden.challenge)
        .unwrap_err();
    assert!(
        matches!(failed, PlotError::Damaged { part: PlotPart::C3, .. }),
        "{failed}"
    );
}

#[test]
fn quality_of_another_challenge_gives_no_proof() {
    let golden = golden_proof(18);
    let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 500..501));
    let prover = Prover::open(&plot).unwrap();
    let quality = prover.qualities(&plot, &golden.challenge).unwrap().remove(0);
    for bit in 0..6 {
        let mut other = golden.challenge;
        other.0[31] ^= 1 << bit;
        assert!(prover.full_proof(&plot, &other, &quality).is_err());
    }
}

static SMALL_PLOT: LazyLock<(GoldenProof, Vec<u8>)> = LazyLock::new(|| {
    let golden = golden_proof(18);
    let plot = TestPlot::new(&golden, &Shape::of_entries(golden.f7(), 20_001, 9_998..10_002)).to_bytes();
    (golden, plot)
});

proptest! {
    /// Whatever the bytes: no panic, and what is called a proof is one.
    #[test]
    fn damaged_bytes_do_no_harm(
        header in prop::collection::vec((0_usize..260, any::<u8>()), 0..4),
        anywhere in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..200),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (golden, plot) = &*SMALL_PLOT;
        let mut plot = plot.clone();
        for (at, byte) in header {
            plot[at] = byte;
        }
        for (at, byte) in anywhere {
            let at = at.index(plot.len());
            plot[at] = byte;
        }
        if let Some(cut) = cut {
            plot.truncate(cut.index(plot.len()));
        }
        let Ok(prover) = Prover::open(&plot) else { return Ok(()) };
        let Ok(qualities) = prover.qualities(&plot, &golden.challenge) else { return Ok(()) };
        for quality in qualities {
            if let Ok(proof) = prover.full_proof(&plot, &golden.challenge, &quality) {
                let header = prover.header();
                let verified = verify::verify(&header.plot_id, header.k, &golden.challenge, &proof);
                prop_assert_eq!(verified, Ok(quality.string));
            }
        }
    }
}
