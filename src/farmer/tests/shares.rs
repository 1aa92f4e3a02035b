//! Shares of the signatures of a proof: asked of harvesters, wrong ones, none.

use super::proofs::{lost_because, winner, wrong_shares};
use super::story::*;
use crate::farmer::Input;
use crate::ids::{RewardChainSp, SessionId};
use crate::snapshot::ProofStage;
use crate::wire::FromHarvester;

/// Two harvesters with the same plot have sent the same proof.
fn proof_of_two() -> (Story, SessionId, SessionId) {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let shelf = story.connect("shelf");
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.proof(shelf, &point, 1);
    (story, barn, shelf)
}

#[test]
fn harvester_that_sends_no_signatures_loses_the_proof() {
    let (mut story, _, _) = winner();
    story.pass(seconds(24));
    assert_eq!(story.stage(), ProofStage::Verified);
    story.pass(seconds(1));
    lost_because(&story, "barn sent no signatures within 25 s");
}

#[test]
fn harvester_that_is_gone_loses_the_proof() {
    let (mut story, barn, _) = winner();
    story.disconnect(barn);
    assert_eq!(story.stage(), ProofStage::Verified, "it may be back in time");
    story.pass(seconds(25));
    lost_because(&story, "barn is gone: closed by the harvester");
}

#[test]
fn harvester_that_is_back_in_time_saves_the_proof() {
    let (mut story, barn, _) = winner();
    story.disconnect(barn);
    story.pass(seconds(3));
    let barn = story.connect("barn");
    story.share_signatures(barn);
    story.sign();
    assert_eq!(story.stage(), ProofStage::Declared);
}

#[test]
fn another_harvester_with_the_same_plot_saves_the_proof() {
    let (mut story, barn, shelf) = proof_of_two();
    assert_eq!(story.snapshot().counters.duplicate_proofs, 1);
    story.verify();
    assert_eq!(
        (
            story.signature_requests(barn).len(),
            story.signature_requests(shelf).len()
        ),
        (1, 0)
    );
    story.disconnect(barn);
    story.share_signatures(shelf);
    story.sign();
    assert_eq!(story.stage(), ProofStage::Declared);
}

#[test]
fn another_harvester_that_finds_the_proof_later_saves_it() {
    let mut story = Story::new();
    let (barn, shelf) = (story.connect("barn"), story.connect("shelf"));
    let point = story.signage_point();
    story.proof(barn, &point, 1);
    story.verify();
    story.disconnect(barn);
    story.proof(shelf, &point, 1);
    story.share_signatures(shelf);
    story.sign();
    assert_eq!(story.stage(), ProofStage::Declared);
}

#[test]
fn shares_for_a_reward_chain_that_was_given_up_are_not_taken_for_those_of_a_block() {
    let (mut story, barn, quality) = winner();
    let (_, first) = story.signature_requests(barn).remove(0);
    story.pass(seconds(10));
    let mut reorganised = point(0);
    reorganised.reward_chain_sp = RewardChainSp([0xdd; 32]);
    story.bring(NODE, &reorganised);
    story.pass(seconds(15));
    story.share_signatures(barn);
    story.sign();
    assert_eq!(
        story.stage(),
        ProofStage::Declared,
        "the second one; the first has had its time"
    );
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    let (_, block) = story.signature_requests(barn).remove(0);
    story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(&first))));
    assert_eq!(story.signings(), []);
    story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(&block))));
    assert_eq!(story.signings().len(), 1);
}

#[test]
fn wrong_shares_are_asked_of_the_next_harvester_and_then_lost() {
    let (mut story, barn, shelf) = proof_of_two();
    story.verify();
    for session in [barn, shelf] {
        story.share_signatures(session);
        let (job, ..) = story.signings()[0];
        story.input(Input::Signed {
            job,
            result: Err(wrong_shares()),
        });
    }
    lost_because(&story, "wrong share");
}

#[test]
fn shares_for_other_messages_are_judged_by_the_worker() {
    let (mut story, barn, _) = winner();
    let (_, request) = story.signature_requests(barn).remove(0);
    let mut response = shares(&request);
    response.message_signatures.pop();
    story.message(barn, FromHarvester::RespondSignatures(Box::new(response)));
    let signings = story.signings();
    assert_eq!(signings.len(), 1);
    assert_eq!(signings[0].1, request.messages, "what was asked, not what came");
}

#[test]
fn shares_nobody_asked_for_are_counted() {
    let (mut story, barn, _) = winner();
    let (_, request) = story.signature_requests(barn).remove(0);
    let mut response = shares(&request);
    response.plot_identifier = "something else".to_owned();
    story.message(barn, FromHarvester::RespondSignatures(Box::new(response)));
    assert_eq!(story.signings(), []);
    assert_eq!(story.snapshot().counters.unexpected_signatures, 1);
}

#[test]
fn shares_from_a_harvester_that_was_not_asked_are_not_taken() {
    let (mut story, barn, _) = winner();
    let (_, request) = story.signature_requests(barn).remove(0);
    let shelf = story.connect("shelf");
    story.message(shelf, FromHarvester::RespondSignatures(Box::new(shares(&request))));
    assert_eq!(story.signings(), []);
}

#[test]
fn worker_that_never_signs_loses_the_proof() {
    let (mut story, barn, _) = winner();
    story.share_signatures(barn);
    let (job, ..) = story.signings()[0];
    story.pass(seconds(25));
    lost_because(&story, "no worker signed");
    story.input(Input::Signed {
        job,
        result: Err(wrong_shares()),
    });
    assert_eq!(story.snapshot().wins.lost, 1);
}
