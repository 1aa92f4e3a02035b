//! The whole life of a partial, and every way it can be lost.

use super::pool_story::*;
use super::story::*;
use crate::farmer::{Input, PoolFailure, PoolReply, PoolRequest, SignError};
use crate::ids::SessionId;
use crate::snapshot::{AlarmKind, Notice, PartialOutcome, PartialStep, PlotNftLeft, ProofStage};
use crate::units::Difficulty;
use crate::wire::{FromHarvester, G2Bytes, Streamable as _};

#[test]
fn a_partial_goes_all_the_way_and_its_points_count_when_the_pool_has_accepted_it() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    story.pass(seconds(2));
    find(&mut story, barn, &point, 1, good);
    let pool = story.pool();
    assert_eq!((pool.points_found, pool.points_acknowledged, pool.under_way), (1, 0, 1));
    let requests = story.signature_requests(barn);
    let [(None, request)] = &requests[..] else {
        panic!("one request: {requests:?}")
    };
    let asked = request.messages.clone();
    story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(request))));
    sign_partial(&mut story);
    let (job, request) = story.asked_once();
    let PoolRequest::Partial(submission) = request else {
        panic!("a partial")
    };
    let payload = &submission.payload;
    assert_eq!(asked, [payload.get_hash()]);
    assert_eq!(
        (payload.launcher_id, payload.sp_hash),
        (LAUNCHER, point.challenge_chain_sp)
    );
    assert_eq!(payload.authentication_token, story.now.unix.seconds() / 300);
    assert_eq!(payload.end_of_sub_slot, point.signage_point_index == 0);
    assert_eq!(payload.harvester_id, certificate("barn"));
    assert_eq!(
        (submission.harvester_version.as_str(), submission.aggregate_signature),
        ("2.7.5", G2Bytes([0x99; 96]))
    );
    assert_eq!(story.pool().points_acknowledged, 0);
    story.pass(seconds(1));
    story.pool_says(job, Ok(PoolReply::Accepted { new_difficulty: 9 }));
    let pool = story.pool();
    assert_eq!(
        (pool.points_acknowledged, pool.points_acknowledged_24h),
        (1, 1),
        "what it was sent at"
    );
    assert_eq!(
        (pool.difficulty, pool.partials.accepted, pool.under_way),
        (Some(9), 1, 0)
    );
    let partial = &pool.last_partials[0];
    assert_eq!(
        (
            partial.outcome,
            partial.verified_after_ms,
            partial.signed_after_ms,
            partial.ended_after_ms
        ),
        (Some(PartialOutcome::Accepted), Some(2000), Some(2000), Some(3000))
    );
    assert_eq!(
        story.snapshot().wins.not_good_enough,
        0,
        "it was good enough for its pool"
    );
    story.pass(seconds(25 * 3600));
    assert_eq!(
        (story.pool().points_acknowledged_24h, story.pool().points_acknowledged),
        (0, 1)
    );
}

#[test]
fn a_proof_that_wins_a_block_is_a_partial_too() {
    let (mut story, barn) = ready();
    let point = story.signage_point();
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    assert_eq!(story.signature_requests(barn).len(), 2);
    assert_eq!(story.pool().under_way, 1);
}

#[test]
fn what_is_not_good_enough_for_the_pool_is_not_signed() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let bad = quality(&point, false);
    find(&mut story, barn, &point, 1, bad);
    assert_eq!(story.signature_requests(barn), []);
    let pool = story.pool();
    assert_eq!(
        (pool.partials.insufficient, pool.points_found, pool.under_way),
        (1, 0, 0)
    );
    assert_eq!(story.pool_alarms(), []);
    assert_eq!(story.snapshot().wins.not_good_enough, 1);
}

#[test]
fn before_the_pool_has_told_its_terms_partials_are_missing() {
    let mut story = joining("https://pool.example");
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    assert_eq!(story.pool().partials.missing, 1);
    assert_eq!(story.signature_requests(barn), []);
}

#[test]
fn a_harvester_that_does_not_sign_in_time_makes_a_partial_late_at_that_step() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    story.pass(seconds(3));
    find(&mut story, barn, &point, 1, good);
    story.pass(seconds(21));
    assert_eq!(last(&story).0, None);
    story.pass(seconds(1));
    let (outcome, step, reason) = last(&story);
    assert_eq!((outcome, step), (Some(PartialOutcome::Late), PartialStep::Signing));
    assert!(reason.contains("barn sent no signatures"), "{reason}");
    assert_eq!(story.pool().last_partials[0].ended_after_ms, Some(25_000));
    let lost = story
        .notices()
        .into_iter()
        .filter(|it| matches!(it, Notice::PartialLost { .. }));
    assert_eq!(lost.count(), 1);
    // One that comes after its time is not even signed.
    find(&mut story, barn, &point, 2, good);
    assert_eq!(
        (story.signature_requests(barn).len(), story.pool().partials.late),
        (1, 2)
    );
    assert_eq!(last(&story).1, PartialStep::Judging);
}

#[test]
fn useless_shares_end_a_partial_unless_another_harvester_has_the_plot() {
    let (mut story, barn) = ready();
    let shelf = story.connect_with("shelf", &plots("/mnt/d1", 3));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    story.proof(barn, &point, 1);
    story.proof(shelf, &point, 1);
    for job in story.verifications() {
        story.input(Input::Verified { job, result: Ok(good) });
    }
    let wrong = |story: &mut Story| {
        let signings = story.signings();
        let [(job, ..)] = &signings[..] else {
            panic!("{signings:?}")
        };
        story.input(Input::Signed {
            job: *job,
            result: Err(SignError::Plot(crate::crypto::PlotSignatureError::ShareWrong {
                message: crate::ids::Bytes32([1; 32]),
            })),
        });
    };
    story.share_signatures(barn);
    wrong(&mut story);
    assert_eq!(last(&story).0, None);
    story.share_signatures(shelf);
    wrong(&mut story);
    let (outcome, step, _) = last(&story);
    assert_eq!((outcome, step), (Some(PartialOutcome::Failed), PartialStep::Signing));
}

#[test]
fn what_the_pool_says_against_a_partial_is_told_apart() {
    let cases = [
        (refused(2), PartialOutcome::Stale),
        (refused(1), PartialOutcome::Stale),
        (refused(5), PartialOutcome::Insufficient),
        (refused(7), PartialOutcome::Invalid),
        (refused(99), PartialOutcome::Invalid),
        (PoolFailure::Status { status: 500 }, PartialOutcome::Failed),
        (unreachable(), PartialOutcome::Failed),
    ];
    for (failure, outcome) in cases {
        let (mut story, _, job, _) = sent();
        story.pool_says(job, Err(failure.clone()));
        assert_eq!(last(&story), (Some(outcome), PartialStep::Sending, failure.to_string()));
        let pool = story.pool();
        assert_eq!(
            (pool.points_found, pool.points_acknowledged, pool.difficulty),
            (1, 0, Some(1))
        );
        // The account is asked for at once where it may say why.
        let again = matches!(outcome, PartialOutcome::Insufficient | PartialOutcome::Invalid);
        story.pass(seconds(30));
        assert_eq!(story.asked().len(), usize::from(again), "{failure}");
        let is_alarm = outcome == PartialOutcome::Invalid;
        let alarms = story.pool_alarms();
        assert_eq!(
            alarms.iter().any(|it| matches!(it, AlarmKind::PartialsLost { .. })),
            is_alarm,
            "{alarms:?}"
        );
    }
}

#[test]
fn a_request_of_which_nothing_is_heard_is_given_up() {
    let (mut story, _, job, _) = sent();
    story.pass(seconds(40));
    let (outcome, step, _) = last(&story);
    assert_eq!((outcome, step), (Some(PartialOutcome::Failed), PartialStep::Sending));
    story.pool_says(job, Ok(PoolReply::Accepted { new_difficulty: 3 }));
    assert_eq!(story.pool().points_acknowledged, 0, "an answer to nothing");
}

#[test]
fn one_stale_partial_is_no_alarm_and_three_in_an_hour_are() {
    let (mut story, barn) = ready();
    for number in 1..=3_u8 {
        assert_eq!(story.pool_alarms(), []);
        let point = hard_point(&mut story);
        let good = quality(&point, true);
        find(&mut story, barn, &point, number, good);
        story.share_signatures(barn);
        sign_partial(&mut story);
        story.pool_answers(Err(refused(2)));
        story.pass(seconds(5));
    }
    let alarms = story.pool_alarms();
    let [
        AlarmKind::PartialsLost {
            outcome,
            partials,
            step,
            ..
        },
    ] = &alarms[..]
    else {
        panic!("{alarms:?}")
    };
    assert_eq!(
        (*outcome, *partials, *step),
        (PartialOutcome::Stale, 3, PartialStep::Sending)
    );
}

#[test]
fn a_plot_nft_that_leaves_the_list_while_there_are_plots_of_it_is_an_alarm_until_it_is_back() {
    let (mut story, _) = ready();
    story.input(Input::Pools(Vec::new()));
    story.pass(seconds(31));
    let gone = AlarmKind::PlotNftGone {
        contract: CONTRACT,
        plots: 3,
        harvesters: vec!["barn".to_owned()],
        left: Some(Box::new(PlotNftLeft {
            launcher_id: LAUNCHER,
            pool: Some("pool.example".to_owned()),
        })),
    };
    let text = gone.to_string();
    assert_eq!(story.pool_alarms(), [gone]);
    assert!(
        text.starts_with(&format!("plotNFT {LAUNCHER} of pool.example is not in")),
        "{text}"
    );
    story.input(Input::Pools(vec![joined(membership("https://pool.example"))]));
    assert_eq!(story.pool_alarms(), []);
}

#[test]
fn the_same_proof_is_a_partial_once() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    let mut other = point.clone();
    other.difficulty = Difficulty(2);
    story.bring(OTHER_NODE, &other);
    find(&mut story, barn, &point, 1, good);
    assert_eq!(story.pool().points_found, 1);
}

/// Two harvesters have sent the same proof, and the first of them was asked to sign it for its pool.
fn partial_of_two() -> (Story, SessionId, SessionId) {
    let (mut story, barn) = ready();
    let shelf = story.connect_with("shelf", &plots("/mnt/d1", 3));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    story.proof(shelf, &point, 1);
    assert_eq!(story.signature_requests(barn).len(), 1);
    assert_eq!(story.signature_requests(shelf), []);
    (story, barn, shelf)
}

/// The harvester signs a partial, and the pool takes it.
fn accept(story: &mut Story, session: SessionId) {
    story.share_signatures(session);
    sign_partial(story);
    story.pool_answers(Ok(PoolReply::Accepted { new_difficulty: 1 }));
    assert_eq!(last(story).0, Some(PartialOutcome::Accepted));
}

#[test]
fn a_partial_of_a_harvester_that_is_gone_is_signed_by_another_one_that_has_the_plot() {
    let (mut story, barn, shelf) = partial_of_two();
    story.disconnect(barn);
    accept(&mut story, shelf);
}

#[test]
fn a_partial_of_a_harvester_that_is_back_in_time_is_signed() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    story.disconnect(barn);
    story.pass(seconds(4));
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    accept(&mut story, barn);
}

#[test]
fn a_harvester_that_finds_a_partial_later_signs_it_if_the_first_one_is_gone() {
    let (mut story, barn) = ready();
    let shelf = story.connect_with("shelf", &plots("/mnt/d1", 3));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    story.disconnect(barn);
    assert_eq!(story.signature_requests(shelf), []);
    story.proof(shelf, &point, 1);
    accept(&mut story, shelf);
    assert_eq!(story.pool().points_found, 1);
}

#[test]
fn shares_for_a_partial_that_come_too_late_are_not_taken_for_those_of_its_block() {
    let (mut story, barn) = ready();
    let point = story.signage_point();
    let good = quality(&point, true);
    story.pass(seconds(3));
    find(&mut story, barn, &point, 1, good);
    let requests = story.signature_requests(barn);
    let [(_, partial), (_, block)] = &requests[..] else {
        panic!("a partial and a signage point: {requests:?}")
    };
    assert_eq!((partial.messages.len(), block.messages.len()), (1, 2));
    // Its pool would not take it any more; the block has three seconds left.
    story.pass(seconds(22));
    assert_eq!(last(&story).0, Some(PartialOutcome::Late));
    let answer = |request| FromHarvester::RespondSignatures(Box::new(shares(request)));
    story.message(barn, answer(partial));
    assert_eq!(story.signings(), []);
    story.message(barn, answer(block));
    story.sign();
    assert_eq!(story.stage(), ProofStage::Declared);
}
