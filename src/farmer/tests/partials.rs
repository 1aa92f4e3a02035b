//! v2 partial proofs: solved, and then proofs like all others; or refused, or lost, and never in silence.

use super::story::*;
use crate::farmer::{FarmerConfig, Input, JobId, Output};
use crate::ids::{FilterChallenge, PosChallenge, QualityString, SessionId};
use crate::pos::constants::Constants;
use crate::pos::filter::pos_challenge;
use crate::pos::v2::SolveError;
use crate::snapshot::{AlarmKind, ProofStage};
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::{
    FromHarvester, G1Bytes, NewProofOfSpace, NewSignagePoint, PartialProof, PartialProofsData, PlotPool, ProofBody,
    ProofOfSpace, SolverInfo,
};

const PATH: &str = "/mnt/d1/a.plot2";

/// A farm after hard fork 2 with a filter that lets every plot pass, and with a node.
pub(super) fn after_hard_fork2() -> Story {
    let mut story = Story::of(FarmerConfig {
        constants: Constants {
            hard_fork2_height: Height(1_000_000),
            number_zero_bits_plot_filter_v2: 0,
            ..config().constants
        },
        ..config()
    });
    story.input(Input::Node {
        node: NODE,
        status: node_status("node"),
    });
    story.outputs.clear();
    story
}

/// The same, and its node's first signage point is there.
fn story() -> (Story, NewSignagePoint) {
    let mut story = after_hard_fork2();
    let mut point = story.next_point();
    point.filter_challenge = Some(FilterChallenge([4; 32]));
    story.bring(NODE, &point);
    story.outputs.clear();
    (story, point)
}

/// The partial proofs `numbers` of one plot.
pub(super) fn partials(point: &NewSignagePoint, numbers: &[u64]) -> PartialProofsData {
    let mut data = PartialProofsData {
        challenge_hash: point.challenge_hash,
        sp_hash: point.challenge_chain_sp,
        plot_identifier: PATH.to_owned(),
        partial_proofs: numbers.iter().copied().map(partial).collect(),
        signage_point_index: point.signage_point_index,
        plot_size: 28,
        plot_index: 7,
        meta_group: 1,
        strength: 2,
        plot_id: crate::ids::PlotId::default(),
        pool: PlotPool::Contract(CONTRACT),
        plot_public_key: G1Bytes([9; 48]),
    };
    data.plot_id = full(&data, 0).plot_id();
    data
}

fn partial(number: u64) -> PartialProof {
    PartialProof {
        fragments: [number; 16],
    }
}

/// The proof that one of the partial proofs stands for.
fn full(data: &PartialProofsData, number: u64) -> ProofOfSpace {
    let mut proof = ProofOfSpace {
        challenge: PosChallenge::default(),
        pool: data.pool,
        plot_public_key: data.plot_public_key,
        body: ProofBody::V2 {
            plot_index: data.plot_index,
            meta_group: data.meta_group,
            strength: data.strength,
            proof: x_values(number),
        },
    };
    proof.challenge = pos_challenge(&proof.plot_id(), &data.challenge_hash, &data.sp_hash);
    proof
}

fn x_values(number: u64) -> Vec<u8> {
    vec![u8::try_from(number % 256).expect("small"); 448]
}

pub(super) fn find(story: &mut Story, session: SessionId, data: &PartialProofsData) {
    story.message(session, FromHarvester::PartialProofs(Box::new(data.clone())));
}

fn to_solve(story: &mut Story) -> Vec<(JobId, SolverInfo, PosChallenge)> {
    story.take(|output| match output {
        Output::Solve {
            job,
            partial,
            challenge,
        } => Some((*job, (**partial).clone(), *challenge)),
        _ => None,
    })
}

/// A solver finds the x-values of everything it was given.
pub(super) fn solve(story: &mut Story) {
    for (job, partial, _) in to_solve(story) {
        let result = Ok(x_values(partial.partial_proof.fragments[0]));
        story.input(Input::Solved { job, result });
    }
}

/// A solver finds nothing.
pub(super) fn solve_none(story: &mut Story) {
    for (job, ..) in to_solve(story) {
        let result = Err(SolveError::NoProof);
        story.input(Input::Solved { job, result });
    }
}

#[test]
fn partial_proof_becomes_a_declaration() {
    let (mut story, point) = story();
    let barn = story.connect("barn");
    let data = partials(&point, &[1]);
    find(&mut story, barn, &data);
    let proof = full(&data, 1);
    let given = to_solve(&mut story);
    let [(job, info, challenge)] = &given[..] else {
        panic!("one to solve: {given:?}")
    };
    let expected = SolverInfo {
        partial_proof: partial(1),
        plot_id: data.plot_id,
        strength: 2,
        size: 28,
    };
    assert_eq!((info, *challenge), (&expected, proof.challenge));
    assert_eq!(story.stage(), ProofStage::Found);
    assert_eq!(story.verifications(), [], "there is nothing to verify yet");

    story.pass(seconds(3));
    story.input(Input::Solved {
        job: *job,
        result: Ok(x_values(1)),
    });
    let verified = story.take(|output| match output {
        Output::Verify { job, proof, .. } => Some((*job, (**proof).clone())),
        _ => None,
    });
    let [(job, verified)] = &verified[..] else {
        panic!("one verification: {verified:?}")
    };
    assert_eq!(
        verified, &proof,
        "with the challenge of the plot, not that of the sub-slot"
    );
    let quality = partial(1).quality_string(2);
    story.input(Input::Verified {
        job: *job,
        result: Ok(quality),
    });
    let (_, request) = story.signature_requests(barn).remove(0);
    assert_eq!(
        request.plot_identifier,
        format!("{quality}{PATH}"),
        "the harvester takes 64 characters off"
    );
    story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(&request))));
    story.sign();
    let declarations = story.declarations();
    assert_eq!(declarations[0].1.proof_of_space, proof);
    let view = &story.snapshot().proofs[0];
    assert_eq!(
        (view.stage.clone(), view.verified_after_ms),
        (ProofStage::Declared, Some(3000))
    );
    assert_eq!((view.plot_file.as_str(), view.plot_id), (PATH, data.plot_id));
}

#[test]
fn identifier_with_64_characters_in_front_is_echoed_as_it_is() {
    let (mut story, point) = story();
    let barn = story.connect("barn");
    let data = PartialProofsData {
        plot_identifier: format!("{}{PATH}", "ab".repeat(32)),
        ..partials(&point, &[1])
    };
    find(&mut story, barn, &data);
    solve(&mut story);
    story.verify();
    let (_, request) = story.signature_requests(barn).remove(0);
    assert_eq!(request.plot_identifier, data.plot_identifier);
}

#[test]
fn what_cannot_be_a_proof_never_reaches_a_solver() {
    let (mut story, point) = story();
    let barn = story.connect("barn");
    let good = partials(&point, &[1]);
    let bad = [
        (
            "k28",
            PartialProofsData {
                plot_size: 20,
                ..good.clone()
            },
        ),
        (
            "names plot",
            PartialProofsData {
                plot_index: 8,
                ..good.clone()
            },
        ),
        ("strength", {
            let data = PartialProofsData {
                strength: 18,
                ..good.clone()
            };
            PartialProofsData {
                plot_id: full(&data, 0).plot_id(),
                ..data
            }
        }),
        (
            "0 partial proofs",
            PartialProofsData {
                partial_proofs: Vec::new(),
                ..good.clone()
            },
        ),
        (
            "17 partial proofs",
            PartialProofsData {
                partial_proofs: vec![partial(1); 17],
                ..good.clone()
            },
        ),
    ];
    for (number, (why, data)) in (1..).zip(bad) {
        find(&mut story, barn, &data);
        assert_eq!(to_solve(&mut story), [], "{why}");
        match story.stage() {
            ProofStage::Invalid { reason } => assert!(reason.contains(why), "{reason}"),
            stage => panic!("{why}: {stage:?}"),
        }
        let alarms = story.alarms();
        assert!(
            matches!(&alarms[..], [AlarmKind::InvalidProofs { proofs, .. }] if *proofs == number),
            "{alarms:?}"
        );
    }
    let unknown = PartialProofsData {
        sp_hash: crate::ids::SpHash([0xee; 32]),
        ..good
    };
    find(&mut story, barn, &unknown);
    assert_eq!(to_solve(&mut story), []);
    assert_eq!(story.snapshot().counters.proofs_of_unknown_signage_points, 1);
}

#[test]
fn before_hard_fork_2_and_without_a_filter_challenge_no_v2_plot_may_answer() {
    for (why, last_tx_height, filter_challenge) in [
        ("valid from height", Height(999_999), Some(FilterChallenge([4; 32]))),
        ("no filter challenge", Height(1_000_000), None),
    ] {
        let (mut story, _) = story();
        let barn = story.connect("barn");
        let mut point = story.next_point();
        (point.last_tx_height, point.filter_challenge) = (last_tx_height, filter_challenge);
        story.bring(NODE, &point);
        find(&mut story, barn, &partials(&point, &[1]));
        assert_eq!(to_solve(&mut story), []);
        assert!(matches!(story.stage(), ProofStage::Invalid { reason } if reason.contains(why)));
    }
}

#[test]
fn what_is_not_good_enough_for_a_block_is_not_solved() {
    let (mut story, _) = story();
    let barn = story.connect("barn");
    let mut point = story.next_point();
    point.filter_challenge = Some(FilterChallenge([4; 32]));
    (point.difficulty, point.sub_slot_iters) = (Difficulty(u64::MAX), SubSlotIters(64));
    story.bring(NODE, &point);
    find(&mut story, barn, &partials(&point, &[1, 2]));
    assert_eq!(to_solve(&mut story), []);
    assert_eq!(story.stage(), ProofStage::NotGoodEnough);
    assert_eq!(story.snapshot().wins.not_good_enough, 2);
    assert_eq!(story.alarms(), []);
}

#[test]
fn partial_proof_without_a_solution_is_the_harvesters_fault() {
    let (mut story, point) = story();
    let barn = story.connect("barn");
    find(&mut story, barn, &partials(&point, &[1]));
    let (job, ..) = to_solve(&mut story)[0];
    story.input(Input::Solved {
        job,
        result: Err(SolveError::NoProof),
    });
    assert!(matches!(story.stage(), ProofStage::Invalid { reason } if reason.contains("no full proof")));
    assert!(matches!(&story.alarms()[..], [AlarmKind::InvalidProofs { .. }]));
}

#[test]
fn a_possible_block_that_is_not_solved_is_lost_with_its_reason() {
    type Ending = fn(&mut Story, JobId);
    let endings: [(&str, Ending); 3] = [
        ("not solved within 25 s", |story, _| story.pass(seconds(25))),
        ("the solvers of v2 partial proofs were full", |story, job| {
            story.input(Input::VerificationDropped { job });
        }),
        ("`farmer.solver_peers` can name a solver", |story, job| {
            let result = Err(SolveError::TooMuchWork { k: 28, strength: 9 });
            story.input(Input::Solved { job, result });
        }),
    ];
    for (why, end) in endings {
        let (mut story, point) = story();
        let barn = story.connect("barn");
        find(&mut story, barn, &partials(&point, &[1]));
        let (job, ..) = to_solve(&mut story)[0];
        end(&mut story, job);
        assert!(
            matches!(story.stage(), ProofStage::Lost { reason } if reason.contains(why)),
            "{why}"
        );
        assert!(
            story
                .alarms()
                .iter()
                .any(|kind| matches!(kind, AlarmKind::ProofLost { .. })),
            "{why}"
        );
        assert_eq!(story.snapshot().wins.lost, 1);
        story.input(Input::Solved {
            job,
            result: Ok(x_values(1)),
        });
        assert_eq!(story.verifications(), [], "{why}: what comes late is of no use");
    }
}

#[test]
fn the_same_partial_proof_from_two_harvesters_is_solved_once_and_signed_by_who_is_there() {
    let (mut story, point) = story();
    let (barn, shelf) = (story.connect("barn"), story.connect("shelf"));
    let data = partials(&point, &[1]);
    find(&mut story, barn, &data);
    find(&mut story, shelf, &data);
    assert_eq!(story.snapshot().counters.duplicate_proofs, 1);
    assert_eq!(to_solve(&mut story).len(), 1);
    story.disconnect(barn);
    story.input(Input::Solved {
        job: JobId(1),
        result: Ok(x_values(1)),
    });
    story.verify();
    assert_eq!(story.signature_requests(shelf).len(), 1);
}

#[test]
fn a_full_proof_from_elsewhere_is_the_same_proof() {
    let (mut story, point) = story();
    let (barn, shelf) = (story.connect("barn"), story.connect("shelf"));
    let data = partials(&point, &[1]);
    find(&mut story, barn, &data);
    let sent = NewProofOfSpace {
        proof: full(&data, 1),
        ..new_proof(&point, 1)
    };
    story.message(shelf, FromHarvester::NewProofOfSpace(Box::new(sent)));
    solve(&mut story);
    story.verify();
    let requests = (
        story.signature_requests(barn).len(),
        story.signature_requests(shelf).len(),
    );
    assert_eq!(requests, (0, 1), "declared once");
}

#[test]
fn a_flood_of_partial_proofs_is_bounded_and_delays_only_itself() {
    let (mut story, point) = story();
    let (flood, barn) = (story.connect("attic"), story.connect("barn"));
    for batch in 0..10 {
        let numbers: Vec<u64> = (0..10).map(|i| 100 * batch + i + 1).collect();
        find(&mut story, flood, &partials(&point, &numbers));
    }
    let given = to_solve(&mut story);
    assert_eq!(given.len(), 4, "a few at a time");
    let alarms = story.alarms();
    assert!(
        matches!(&alarms[..], [AlarmKind::TooManyProofs { dropped: 32, .. }]),
        "64 wait, and 4 that were given out: {alarms:?}"
    );
    find(&mut story, barn, &partials(&point, &[5000]));
    story.input(Input::Solved {
        job: given[0].0,
        result: Err(SolveError::NoProof),
    });
    let next = to_solve(&mut story);
    assert_eq!(next[0].1.partial_proof, partial(5000), "the next turn is the other's");
    story.pass(seconds(25));
    assert!(story.snapshot().wins.lost >= 60, "none is forgotten in silence");
    for (name, size, limit) in story.farmer.proofs.sizes() {
        assert!(size <= limit, "{name}");
    }
    assert_eq!(
        story.farmer.proofs.to_solve.waiting_of(crate::snapshot::HarvesterId(1)),
        0
    );
}

#[test]
fn quality_of_a_partial_proof_is_not_taken_on_trust() {
    let (mut story, point) = story();
    let barn = story.connect("barn");
    find(&mut story, barn, &partials(&point, &[1]));
    solve(&mut story);
    let job = story.verifications()[0];
    let quality = QualityString([0x31; 32]);
    story.input(Input::Verified {
        job,
        result: Ok(quality),
    });
    assert_eq!(story.snapshot().proofs[0].quality, Some(quality));
}

/// A farm in a pool, a signage point that no proof is good enough for on the chain, and numbers of partial proofs that the
/// pool wants.
fn in_a_pool() -> (Story, NewSignagePoint, Vec<u64>) {
    let (mut story, _) = story();
    story.input(Input::Pools(vec![super::pool_story::numbered(
        "https://pool.example",
        0,
        true,
    )]));
    for _ in 0..2 {
        story.pass(seconds(1));
        super::pool_story::answer_all(&mut story, 2);
    }
    let mut point = story.next_point();
    point.filter_challenge = Some(FilterChallenge([4; 32]));
    point.sub_slot_iters = SubSlotIters(64);
    story.bring(NODE, &point);
    story.outputs.clear();
    let difficulty = story.snapshot().pools[0].difficulty.expect("known");
    let constants = config().constants;
    let is_wanted = |number: &u64| {
        let quality = partial(*number).quality_string(2);
        let size = crate::units::PlotSize::V2 { strength: 2 };
        let needed = crate::pos::iterations::required_iters(
            &constants,
            &quality,
            size,
            Difficulty(difficulty),
            &point.challenge_chain_sp,
            point.last_tx_height,
        );
        needed < crate::pos::iterations::pool_sp_interval_iters(&constants)
    };
    let wanted = (1..100_000).filter(is_wanted).take(40).collect();
    (story, point, wanted)
}

#[test]
fn a_partial_proof_that_only_a_pool_wants_is_solved_and_sent_to_it() {
    let (mut story, point, wanted) = in_a_pool();
    let barn = story.connect("barn");
    find(&mut story, barn, &partials(&point, &wanted[..1]));
    solve(&mut story);
    let quality = partial(wanted[0]).quality_string(2);
    for job in story.verifications() {
        story.input(Input::Verified {
            job,
            result: Ok(quality),
        });
    }
    let requests = story.signature_requests(barn);
    assert_eq!(requests.len(), 1);
    let pool = &story.snapshot().pools[0];
    assert_eq!((pool.under_way, pool.points_found), (1, pool.difficulty.unwrap()));
}

#[test]
fn what_only_a_pool_wants_waits_for_blocks_and_is_left_out_first() {
    let (mut story, point, wanted) = in_a_pool();
    let barn = story.connect("barn");
    for numbers in wanted[..20].chunks(10) {
        find(&mut story, barn, &partials(&point, numbers));
    }
    assert_eq!(to_solve(&mut story).len(), 1, "one at a time");
    let mut easy = story.next_point();
    easy.filter_challenge = Some(FilterChallenge([4; 32]));
    story.bring(NODE, &easy);
    find(&mut story, barn, &partials(&easy, &[1, 2]));
    assert_eq!(to_solve(&mut story).len(), 2, "blocks do not wait");
    let snapshot = story.snapshot();
    assert_eq!((snapshot.pools[0].partials.failed, snapshot.wins.lost), (3, 0));
    story.pass(seconds(30));
    assert_eq!(story.snapshot().pools[0].partials.failed, 20);
    let alarms = story.alarms();
    let lost = |kind: &&AlarmKind| matches!(kind, AlarmKind::ProofLost { .. });
    assert_eq!(
        alarms.iter().filter(lost).count(),
        1,
        "of the two that might have been blocks"
    );
}
