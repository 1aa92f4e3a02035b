//! v2 plots, whole and damaged, from the file to the proof that a farmer accepts.

use std::fs;
use std::io;
use std::path::Path;

use super::plot::{LoadedPlot, OpenError};
use super::prove::may_answer;
use super::testing::*;
use crate::crypto::{complete_plot_signature, verify};
use crate::ids::{Bytes32, FilterChallenge, PosChallenge};
use crate::pos::filter::pos_challenge;
use crate::pos::{Constants, PlotError, ProofContext, ReadAt, v2, verify_proof_of_space};
use crate::snapshot::Concern;
use crate::units::{Height, PlotSize};
use crate::wire::*;

const FORK: Height = Height(6);

/// v2 plots of k 18 from height 6 on, all of which pass the filter.
fn constants_v2() -> Constants {
    Constants {
        plot_size_v2: 18,
        hard_fork2_height: FORK,
        number_zero_bits_plot_filter_v2: 0,
        ..constants()
    }
}

fn contract() -> PlotPool {
    PlotPool::Contract(CONTRACT)
}

fn open(path: &Path) -> LoadedPlot {
    LoadedPlot::open(path, &keys()).unwrap()
}

fn heights(last_tx_height: Height) -> SignagePointFilter {
    SignagePointFilter::Heights {
        peak_height: last_tx_height,
        last_tx_height,
        filter_challenge: Some(FilterChallenge([4; 32])),
    }
}

/// A signage point at which a v2 plot has partial proofs.
fn point_of(plot: &LoadedPlot) -> NewSignagePointHarvester {
    let mut point = signage_point(&[], heights(FORK));
    for n in 0..=255 {
        point.sp_hash.0[0] = n;
        let challenge = pos_challenge(plot.plot_id(), &point.challenge_hash, &point.sp_hash);
        if !plot
            .partial_proofs(&plot.open_file().unwrap(), &challenge)
            .unwrap()
            .is_empty()
        {
            return point;
        }
    }
    panic!("a plot has about one proof a challenge")
}

#[tokio::test]
async fn a_v2_plot_is_told_found_solved_and_signed_for() {
    for pool in [contract(), PlotPool::PublicKey(keys().pool_public_keys[0])] {
        let dir = tempfile::tempdir().unwrap();
        let path = make_v2(dir.path(), &pool, 5, 3);
        let plot = open(&path);
        let told = plot.describe().unwrap();
        assert_eq!(
            (told.size, told.plot_index, told.meta_group),
            (PlotSize::V2 { strength: 2 }, 5, 3)
        );
        assert_eq!((plot.k(), told.pool), (18, pool));
        let point = point_of(&plot);

        let mut farmer = Farmer::meet(service_with(dir.path(), constants_v2()), keys()).await;
        farmer.synced(|told| told.plots.len() == 1).await;
        farmer.send(ToHarvester::NewSignagePoint(point.clone()), None).await;
        let (FromHarvester::PartialProofs(found), None) = farmer.answer().await else {
            panic!("no partial proofs")
        };
        let (FromHarvester::FarmingInfo(info), None) = farmer.answer().await else {
            panic!("no answer")
        };
        let count = u32::try_from(found.partial_proofs.len()).unwrap();
        assert_eq!((info.passed, info.total_plots, info.proofs), (1, 1, count));

        let context = ProofContext {
            challenge_hash: point.challenge_hash,
            sp_hash: point.sp_hash,
            signage_point_index: point.signage_point_index,
            peak_height: FORK,
            last_tx_height: FORK,
            filter_challenge: Some(FilterChallenge([4; 32])),
        };
        let mut proofs = Vec::new();
        for partial_proof in &found.partial_proofs {
            let info = SolverInfo {
                partial_proof: *partial_proof,
                plot_id: found.plot_id,
                strength: found.strength,
                size: found.plot_size,
            };
            let proof = ProofOfSpace {
                challenge: pos_challenge(&found.plot_id, &point.challenge_hash, &point.sp_hash),
                pool: found.pool,
                plot_public_key: found.plot_public_key,
                body: ProofBody::V2 {
                    plot_index: found.plot_index,
                    meta_group: found.meta_group,
                    strength: found.strength,
                    proof: v2::solve(&constants_v2(), &info).unwrap(),
                },
            };
            let quality = verify_proof_of_space(&constants_v2(), &proof, &context).unwrap();
            assert_eq!(quality, partial_proof.quality_string(2));
            proofs.push((quality, proof));
        }
        assert_eq!(found.plot_identifier[..64], proofs[0].0.to_string());

        let messages = vec![Bytes32([0xaa; 32]), Bytes32([0xbb; 32])];
        let request = RequestSignatures {
            plot_identifier: found.plot_identifier.clone(),
            challenge_hash: found.challenge_hash,
            sp_hash: found.sp_hash,
            messages: messages.clone(),
            message_data: None,
            rc_block_unfinished: None,
        };
        farmer
            .send(ToHarvester::RequestSignatures(Box::new(request)), Some(0x8001))
            .await;
        let (FromHarvester::RespondSignatures(response), Some(0x8001)) = farmer.answer().await else {
            panic!("no signatures")
        };
        let signatures = complete_plot_signature(&farming_keys(), &proofs[0].1, &response, &messages).unwrap();
        let key = crate::crypto::PublicKey::from_g1(&found.plot_public_key).unwrap();
        let signed = signatures.iter().zip(&messages);
        assert!(signed.clone().count() == 2 && signed.clone().all(|(s, m)| verify(&key, m.as_bytes(), s)));
    }
}

#[test]
fn plots_answer_only_while_their_format_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let v2 = open(&make_v2(dir.path(), &contract(), 0, 0));
    let v1 = open(original());
    let constants = Constants {
        epoch_blocks: 10,
        number_zero_bits_plot_filter_v1: 0,
        ..constants_v2()
    };
    let answer_at = |constants: &Constants, height| {
        let point = signage_point(&[], heights(Height(height)));
        (may_answer(constants, &point, &v1), may_answer(constants, &point, &v2))
    };
    assert_eq!(answer_at(&constants, 5), (true, false), "before the fork");
    assert_eq!(answer_at(&constants, 6), (true, true));
    assert_eq!(answer_at(&constants, 6 + 2549), (true, true));
    assert_eq!(answer_at(&constants, 6 + 2550), (false, true), "v1 is phased out");
    let other_k = Constants {
        plot_size_v2: 20,
        ..constants.clone()
    };
    assert_eq!(answer_at(&other_k, 6), (true, false), "not a plot of this network");
    let no_challenge = SignagePointFilter::Heights {
        peak_height: FORK,
        last_tx_height: FORK,
        filter_challenge: None,
    };
    for filter in [no_challenge, SignagePointFilter::PrefixBits(0)] {
        assert!(!may_answer(&constants, &signage_point(&[], filter), &v2), "{filter:?}");
    }
}

#[tokio::test]
async fn farmer_that_is_too_old_for_v2_plots_is_told_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    make_v2(dir.path(), &contract(), 5, 3);
    fs::copy(original(), dir.path().join("a.plot")).unwrap();
    let mut service = service_with(dir.path(), constants_v2());
    let status = service.status();
    for (layout, plots) in [
        (HarvesterLayout::V36, 1),
        (HarvesterLayout::V38, 2),
        (HarvesterLayout::V37, 1),
    ] {
        let mut farmer = Farmer::meet_in(layout, service, keys()).await;
        farmer.synced(|told| told.plots.len() == plots).await;
        farmer.send(ToHarvester::RequestPlots, Some(7)).await;
        let (FromHarvester::RespondPlots(list), Some(7)) = farmer.answer().await else {
            panic!("no list")
        };
        assert_eq!(list.plots.len(), plots, "{layout:?}");
        assert_eq!(status.farmer().plots_too_new, 2 - plots as u64, "{layout:?}");
        let mut pictures = status.watch();
        let picture = pictures.wait_for(|it| it.counts.farmed == 2).await.unwrap().clone();
        let told: Vec<_> = picture.concerns();
        let is_told = told
            .iter()
            .any(|it| matches!(it, Concern::FarmerTooOld { plots: 1, .. }));
        assert_eq!(is_told, plots == 1, "{told:?}");
        service = farmer.hang_up().await;
    }
}

#[test]
fn v2_plots_of_one_group_pass_the_filter_in_their_turns() {
    let dir = tempfile::tempdir().unwrap();
    let plots = [(0, 0), (1, 0), (2, 1)].map(|(index, meta)| open(&make_v2(dir.path(), &contract(), index, meta)));
    let constants = Constants {
        number_zero_bits_plot_filter_v2: 4,
        ..constants_v2()
    };
    let turns = plots.map(|plot| {
        let passes = |index: &u8| {
            let mut point = signage_point(&[], heights(FORK));
            point.signage_point_index = *index;
            may_answer(&constants, &point, &plot)
        };
        (0..16).filter(passes).collect::<Vec<_>>()
    });
    assert!(turns.iter().all(|turns| turns.len() == 1));
    assert_eq!(turns[0], turns[1], "together");
    assert_eq!(turns[2][0], turns[0][0] ^ 1, "another meta group at another time");
}

#[test]
fn a_v2_plot_that_is_cut_off_or_replaced_is_an_error_and_never_no_proof() {
    let dir = tempfile::tempdir().unwrap();
    let path = make_v2(dir.path(), &contract(), 0, 0);
    let whole = fs::read(&path).unwrap();
    let plot = open(&path);
    let challenge = PosChallenge([7; 32]);
    let file = plot.open_file().unwrap();

    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let cut = LoadedPlot::open(&path, &keys()).unwrap_err();
    assert!(
        matches!(
            cut,
            OpenError::Plot {
                source: PlotError::CutOff { .. },
                ..
            }
        ),
        "{cut}"
    );
    assert!(matches!(plot.open_file(), Err(OpenError::Changed { .. })));
    let changed = plot.partial_proofs(&file, &challenge).unwrap_err();
    assert!(
        matches!(changed, OpenError::Changed { .. } | OpenError::Plot { .. }),
        "the file was cut while it was looked up: {changed}"
    );
    fs::remove_file(&path).unwrap();
    let gone = plot.partial_proofs(&file, &challenge).unwrap_err();
    assert!(matches!(gone, OpenError::Io { .. } | OpenError::Plot { .. }), "{gone}");
}

#[test]
fn a_disk_that_cannot_read_a_v2_plot_is_an_error() {
    /// Fails beyond the index, as a disk with bad sectors does.
    struct BadDisk<'a>(&'a dyn ReadAt);
    impl ReadAt for BadDisk<'_> {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            if offset > 4096 {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.0.read_exact_at(buf, offset)
        }

        fn size(&self) -> u64 {
            self.0.size()
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let plot = open(&make_v2(dir.path(), &contract(), 0, 0));
    let file = plot.open_file().unwrap();
    let failed = plot
        .partial_proofs(&BadDisk(&file), &PosChallenge([7; 32]))
        .unwrap_err();
    assert!(
        matches!(
            failed,
            OpenError::Plot {
                source: PlotError::Unreadable { .. },
                ..
            }
        ),
        "{failed}"
    );
}

#[test]
fn facts_of_a_v2_plot_open_it_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = make_v2(dir.path(), &contract(), 1, 2);
    let opened = open(&path);
    let known = LoadedPlot::open_known(
        opened.plot_path(),
        opened.stamp(),
        opened.volume(),
        &keys(),
        &opened.facts().unwrap(),
    )
    .unwrap();
    assert_eq!(known.describe(), opened.describe());
    let point = point_of(&known);
    assert!(may_answer(&constants_v2(), &point, &known));
}
