//! The life of a proof, all the way, and every way it can be lost.

use super::story::*;
use crate::crypto::PlotSignatureError;
use crate::farmer::{Command, FarmerConfig, FarmerKeys, Input, NodeStatus, Output, SignError, SignPurpose};
use crate::ids::{Bytes32, QualityString};
use crate::pos::ProofError;
use crate::snapshot::{AlarmKind, AlarmView, Notice, PROOFS_KEPT, ProofStage};
use crate::units::{Height, SubSlotIters};
use crate::wire::{FromHarvester, G1Bytes, NewProofOfSpace, PlotPool};

/// A farm whose harvester has found a proof that is good enough; its quality.
pub(super) fn winner() -> (Story, crate::ids::SessionId, QualityString) {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.verify();
    let quality = story.snapshot().proofs[0].quality.expect("verified");
    (story, barn, quality)
}

/// The same, declared.
pub(super) fn declared() -> (Story, crate::ids::SessionId, QualityString) {
    let (mut story, barn, quality) = winner();
    story.share_signatures(barn);
    story.sign();
    assert_eq!(story.stage(), ProofStage::Declared);
    (story, barn, quality)
}

pub(super) fn lost_because(story: &Story, fragment: &str) {
    match story.stage() {
        ProofStage::Lost { reason } => assert!(reason.contains(fragment), "{reason}"),
        stage => panic!("not lost but {stage:?}"),
    }
    assert_eq!(story.snapshot().wins.lost, 1);
    assert!(
        story
            .alarms()
            .iter()
            .any(|kind| matches!(kind, AlarmKind::ProofLost { .. })),
        "{:?}",
        story.alarms()
    );
}

pub(super) fn wrong_shares() -> SignError {
    SignError::Plot(PlotSignatureError::ShareWrong {
        message: Bytes32([1; 32]),
    })
}

#[test]
fn proof_becomes_a_block() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    let proof = story.proof(barn, &point, 1);
    assert_eq!(story.stage(), ProofStage::Found);
    let given = story.take(|output| match output {
        Output::Verify { job, proof, context } => Some((*job, (**proof).clone(), *context)),
        _ => None,
    });
    let [(job, verified, context)] = &given[..] else {
        panic!("one verification: {given:?}")
    };
    assert_eq!((verified, context.sp_hash), (&proof.proof, point.challenge_chain_sp));
    assert_eq!(context.peak_height, point.peak_height);
    let quality = QualityString([0x55; 32]);
    story.pass(std::time::Duration::from_millis(20));
    story.input(Input::Verified {
        job: *job,
        result: Ok(quality),
    });
    assert_eq!(story.stage(), ProofStage::Verified);

    let requests = story.signature_requests(barn);
    let [(None, request)] = &requests[..] else {
        panic!("one request: {requests:?}")
    };
    assert_eq!(request.plot_identifier, proof.plot_identifier);
    assert_eq!(
        request.messages,
        [Bytes32(point.challenge_chain_sp.0), Bytes32(point.reward_chain_sp.0)]
    );
    assert_eq!((&request.message_data, &request.rc_block_unfinished), (&None, &None));
    story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(request))));
    story.sign();
    let declarations = story.declarations();
    let [(nodes, declaration)] = &declarations[..] else {
        panic!("one declaration: {declarations:?}")
    };
    assert_eq!(nodes, &[NODE]);
    assert_eq!(declaration.proof_of_space, proof.proof);
    assert_eq!(declaration.farmer_puzzle_hash, FARMER_TARGET);
    assert_eq!(
        (&declaration.pool_target, &declaration.pool_signature),
        (&None, &None),
        "a contract takes its share"
    );
    assert_eq!(
        declaration.challenge_chain_sp_signature.0[0],
        point.challenge_chain_sp.0[0]
    );
    assert_eq!(declaration.reward_chain_sp_signature.0[0], point.reward_chain_sp.0[0]);
    assert!(declaration.include_signature_source_data);

    story.pass(seconds(1));
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    let requests = story.signature_requests(barn);
    let [(Some(0x8000), request)] = &requests[..] else {
        panic!("one request with an id: {requests:?}")
    };
    assert_eq!(request.messages, [Bytes32([0xa1; 32]), Bytes32([0xa2; 32])]);
    let message = FromHarvester::RespondSignatures(Box::new(shares(request)));
    story.input(Input::HarvesterMessage {
        session: barn,
        id: Some(0x8000),
        message,
    });
    let signings = story.signings();
    let [(job, _, SignPurpose::Block)] = &signings[..] else {
        panic!("one signing: {signings:?}")
    };
    story.input(Input::Signed {
        job: *job,
        result: Ok(crate::farmer::PlotSignatures {
            signatures: vec![crate::wire::G2Bytes([1; 96]), crate::wire::G2Bytes([2; 96])],
            pool_signature: None,
        }),
    });
    let signed = story.take(|output| match output {
        Output::SignedValues { node, message } => Some((*node, (**message).clone())),
        _ => None,
    });
    assert_eq!(signed.len(), 1);
    assert_eq!((signed[0].0, signed[0].1.quality_string), (NODE, quality));
    assert_eq!(
        signed[0].1.foliage_transaction_block_signature,
        crate::wire::G2Bytes([2; 96])
    );
    assert_eq!(story.stage(), ProofStage::BlockSigned);

    story.input(Input::ChainVerdict {
        node: NODE,
        quality,
        verdict: Ok(Height(42)),
    });
    assert_eq!(story.stage(), ProofStage::BlockAccepted { height: 42 });
    let snapshot = story.snapshot();
    let view = &snapshot.proofs[0];
    assert_eq!(
        (
            view.found_after_ms,
            view.verified_after_ms,
            view.declared_after_ms,
            view.block_asked_after_ms,
            view.block_signed_after_ms
        ),
        (Some(0), Some(20), Some(20), Some(1020), Some(1020))
    );
    assert_eq!(
        (view.plot_file.as_str(), view.harvester_name.as_str()),
        ("/mnt/d1/1.plot", "barn")
    );
    let wins = snapshot.wins;
    assert_eq!(
        (
            wins.proofs,
            wins.declared,
            wins.blocks_signed,
            wins.blocks_accepted,
            wins.lost
        ),
        (1, 1, 1, 1, 0)
    );
    let facts: Vec<_> = story
        .notices()
        .into_iter()
        .filter(|notice| !matches!(notice, Notice::PlotSyncDone { .. }))
        .collect();
    assert!(
        matches!(
            facts[..],
            [
                Notice::HarvesterConnected { .. },
                Notice::SignagePoint { .. },
                Notice::ProofFound { .. },
                Notice::ProofDeclared { .. },
                Notice::BlockSigned { .. },
                Notice::BlockAccepted { height: 42, .. },
            ]
        ),
        "{facts:?}"
    );
    story.pass(seconds(120));
    assert_eq!(story.snapshot().wins.lost, 0);
}

#[test]
fn pool_key_plot_claims_the_pool_share() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    let mut proof = new_proof(&point, 1);
    proof.proof.pool = PlotPool::PublicKey(G1Bytes([2; 48]));
    story.message(barn, FromHarvester::NewProofOfSpace(Box::new(proof)));
    story.verify();
    story.share_signatures(barn);
    let signings = story.signings();
    assert_eq!(
        signings[0].2,
        SignPurpose::SignagePoint {
            pool_target: Some(POOL_TARGET)
        }
    );
    let signatures = vec![crate::wire::G2Bytes([1; 96]); 2];
    let pool_signature = Some(crate::wire::G2Bytes([3; 96]));
    story.input(Input::Signed {
        job: signings[0].0,
        result: Ok(crate::farmer::PlotSignatures {
            signatures,
            pool_signature,
        }),
    });
    let (_, declaration) = story.declarations().remove(0);
    assert_eq!(declaration.pool_target.expect("a target").puzzle_hash, POOL_TARGET);
    assert_eq!(declaration.pool_signature, pool_signature);
}

#[test]
fn proof_that_is_not_good_enough_ends_there() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let mut point = story.next_point();
    point.sub_slot_iters = SubSlotIters(64);
    story.bring(NODE, &point);
    story.proof(barn, &point, 1);
    story.verify();
    assert_eq!(story.stage(), ProofStage::NotGoodEnough);
    assert_eq!(story.signature_requests(barn), []);
    assert_eq!(
        (story.snapshot().wins.not_good_enough, story.snapshot().wins.lost),
        (1, 0)
    );
}

#[test]
fn proof_is_judged_again_when_the_question_gets_easier() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let mut point = story.next_point();
    point.sub_slot_iters = SubSlotIters(64);
    story.bring(NODE, &point);
    story.proof(barn, &point, 1);
    story.verify();
    point.sub_slot_iters = EASY;
    story.bring(NODE, &point);
    story.proof(barn, &point, 1);
    story.verify();
    assert_eq!(story.signature_requests(barn).len(), 1);
}

#[test]
fn invalid_proofs_are_one_alarm_and_verified_once() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    for number in 1..=3 {
        story.proof(barn, &point, number);
        story.proof(barn, &point, number);
    }
    let jobs = story.verifications();
    assert_eq!(jobs.len(), 3);
    for job in jobs {
        story.input(Input::Verified {
            job,
            result: Err(ProofError::NoFilterChallenge),
        });
    }
    assert!(
        matches!(&story.alarms()[..], [AlarmKind::InvalidProofs { proofs: 3, plot_file, .. }] if plot_file == "/mnt/d1/3.plot")
    );
    assert!(matches!(story.stage(), ProofStage::Invalid { .. }));
    let snapshot = story.snapshot();
    assert_eq!((snapshot.wins.invalid, snapshot.counters.duplicate_proofs), (3, 3));
    assert_eq!(story.harvester("barn").invalid_proofs, 3);
    story.proof(barn, &point, 1);
    assert_eq!(story.verifications(), []);
}

#[test]
fn proof_for_an_unknown_signage_point_is_shown_and_counted() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.proof(barn, &point(500), 1);
    assert_eq!(story.verifications(), []);
    assert!(matches!(story.stage(), ProofStage::Lost { .. }));
    assert_eq!(story.snapshot().counters.proofs_of_unknown_signage_points, 1);
}

#[test]
fn proof_without_a_node_is_lost() {
    let (mut story, barn, _) = winner();
    let link = crate::farmer::NodeLink::Down { why: "gone".to_owned() };
    story.input(Input::Node {
        node: NODE,
        status: NodeStatus {
            link,
            ..node_status("node")
        },
    });
    story.pass(seconds(20));
    story.share_signatures(barn);
    story.sign();
    lost_because(&story, "no full node is connected");
}

#[test]
fn proof_waits_for_a_node_that_has_just_gone() {
    let (mut story, barn, _) = winner();
    let link = crate::farmer::NodeLink::Down { why: "gone".to_owned() };
    story.input(Input::Node {
        node: NODE,
        status: NodeStatus {
            link,
            ..node_status("node")
        },
    });
    story.share_signatures(barn);
    story.sign();
    assert_eq!(story.declarations()[0].0, [NODE]);
}

#[test]
fn declaration_that_no_node_takes_is_a_lost_proof() {
    let (mut story, _, quality) = declared();
    let mut full = |is_lost| {
        story.input(Input::NodeQueueFull {
            node: NODE,
            quality,
            is_lost,
        });
        story.snapshot()
    };
    let farm = full(false);
    assert_eq!(farm.wins.lost, 0, "another node has it");
    assert!(
        farm.alarms
            .iter()
            .any(|alarm| alarm.text == "node does not take what it is sent")
    );
    assert_eq!(full(true).wins.lost, 1);
    lost_because(&story, "node does not take what it is sent");
}

#[test]
fn proof_without_a_reward_address_is_lost_with_that_reason() {
    let keys = FarmerKeys {
        farmer_target: None,
        ..keys()
    };
    let mut story = Story::of(FarmerConfig { keys, ..config() });
    story.input(Input::Node {
        node: NODE,
        status: node_status("node"),
    });
    let barn = story.connect("barn");
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.verify();
    lost_because(&story, "no address is set for the farmer reward");
    assert_eq!(story.signature_requests(barn), []);
}

#[test]
fn several_proofs_of_one_plot_at_one_signage_point_all_count() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    for number in 1..=9 {
        let mut proof = new_proof(&point, number);
        proof.plot_identifier = "one identifier for all".to_owned();
        story.message(barn, FromHarvester::NewProofOfSpace(Box::new(proof)));
    }
    story.verify();
    story.share_signatures(barn);
    story.sign();
    assert_eq!(story.declarations().len(), 9);
}

#[test]
fn flood_of_proofs_is_bounded_told_and_delays_nobody_else() {
    let mut story = Story::new();
    let (barn, shelf) = (story.connect("barn"), story.connect("shelf"));
    let point = story.signage_point();
    for number in 0..2000_u32 {
        let mut proof = new_proof(&point, 1);
        proof.proof.body = crate::wire::ProofBody::V1 {
            k: 32,
            proof: number.to_be_bytes().repeat(64),
        };
        story.message(barn, FromHarvester::NewProofOfSpace(Box::new(proof)));
    }
    assert_eq!(story.verifications().len(), 64, "no more at a time");
    let dropped = 2000 - 64 - 512;
    assert!(matches!(story.alarms()[..], [AlarmKind::TooManyProofs { dropped: it, .. }] if it == dropped));
    assert_eq!(story.snapshot().counters.dropped_verifications, dropped);
    assert_eq!(story.snapshot().proofs.len(), PROOFS_KEPT);
    let honest = story.proof(shelf, &point, 200);
    // The jobs are numbered in the order they were given out.
    for job in 1..=2 {
        let result = Err(ProofError::NoFilterChallenge);
        story.input(Input::Verified {
            job: crate::farmer::JobId(job),
            result,
        });
    }
    let next = story.take(|output| match output {
        Output::Verify { proof, .. } => Some(proof.plot_public_key),
        _ => None,
    });
    assert!(next.contains(&honest.proof.plot_public_key), "harvesters take turns");
}

#[test]
fn verification_that_never_comes_back_is_given_up() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    for number in 0..100 {
        story.proof(barn, &point, number);
    }
    assert_eq!(story.verifications().len(), 64);
    story.pass(seconds(25));
    assert_eq!(story.snapshot().counters.dropped_verifications, 100);
    let next = story.signage_point();
    story.proof(barn, &next, 1);
    assert_eq!(
        story.verifications().len(),
        1,
        "workers that hang do not hold up what comes after"
    );
}

#[test]
fn dropped_verification_is_counted() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    let job = story.verifications()[0];
    story.input(Input::VerificationDropped { job });
    assert_eq!(story.snapshot().counters.dropped_verifications, 1);
    assert!(matches!(story.alarms()[..], [AlarmKind::TooManyProofs { .. }]));
}

#[test]
fn proof_of_a_forgotten_harvester_is_lost_without_an_alarm_of_nobody() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.disconnect(barn);
    story.too_many_are_gone();
    story.pass(seconds(25));
    let snapshot = story.snapshot();
    assert!(matches!(snapshot.proofs[0].stage, ProofStage::Lost { .. }));
    assert_eq!(snapshot.counters.dropped_verifications, 1);
    let of_somebody = |alarm: &AlarmView| matches!(alarm.kind, AlarmKind::HarvesterAbsent { .. });
    assert!(snapshot.alarms.iter().all(of_somebody), "{:?}", snapshot.alarms);
}

#[test]
fn dropped_signing_loses_the_proof_with_that_reason() {
    let (mut story, barn, _) = winner();
    story.share_signatures(barn);
    let (job, ..) = story.signings()[0];
    story.input(Input::VerificationDropped { job });
    lost_because(&story, "the workers that verify and sign were full");
}

#[test]
fn harvester_that_wants_to_see_what_it_signs_is_shown() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let mut point = story.next_point();
    let output = crate::wire::ClassgroupElement([4; 100]);
    point.sp_source_data = Some(crate::wire::SignagePointSourceData {
        sub_slot_data: None,
        vdf_data: Some(crate::wire::SpVdfSourceData {
            cc_vdf: output,
            rc_vdf: output,
        }),
    });
    story.bring(NODE, &point);
    let proof = NewProofOfSpace {
        include_source_signature_data: true,
        ..new_proof(&point, 1)
    };
    story.message(barn, FromHarvester::NewProofOfSpace(Box::new(proof)));
    story.verify();
    let (_, request) = story.signature_requests(barn).remove(0);
    let kinds: Vec<_> = request
        .message_data
        .expect("shown")
        .into_iter()
        .map(|it| it.expect("shown").kind)
        .collect();
    assert_eq!(kinds, [3, 4]);
}

#[test]
fn proof_lost_alarm_closes_when_it_was_seen() {
    let (mut story, _, _) = winner();
    story.pass(seconds(25));
    assert_eq!(story.alarms().len(), 1);
    story.input(Input::Command(Command::AcknowledgeAlarm { number: None }));
    assert_eq!(story.alarms(), []);
    assert_eq!(story.snapshot().alarm_history.len(), 1);
}
