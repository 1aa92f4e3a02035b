//! From a declared proof to a signed block, and what a node may and may not have signed.

use super::proofs::*;
use super::story::*;
use crate::farmer::{Input, NodeStatus, NodeTrust, Output};
use crate::ids::{Bytes32, QualityString, RewardChainSp};
use crate::snapshot::{AlarmKind, ProofStage};
use crate::wire::FromHarvester;

#[test]
fn node_that_never_asks_for_the_block_loses_the_proof_until_it_does() {
    let (mut story, barn, quality) = declared();
    story.pass(seconds(60));
    lost_because(&story, "no full node asked for block signatures within 60 s");
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    story.share_signatures(barn);
    story.sign();
    assert_eq!(
        (story.stage(), story.snapshot().wins.lost),
        (ProofStage::BlockSigned, 0)
    );
}

#[test]
fn block_that_the_harvester_does_not_sign_is_lost_after_a_minute() {
    let (mut story, _, quality) = declared();
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    story.pass(seconds(60));
    lost_because(&story, "signing the block: barn sent no signatures within 60 s");
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    let ids = story.take(|output| match output {
        Output::Send { id: Some(id), .. } => Some(*id),
        _ => None,
    });
    assert_eq!(ids, [0x8000, 0x8001]);
}

#[test]
fn block_is_signed_by_the_harvester_that_came_back() {
    let (mut story, barn, quality) = declared();
    story.disconnect(barn);
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    story.pass(seconds(5));
    let barn = story.connect("barn");
    story.share_signatures(barn);
    story.sign();
    assert_eq!(story.stage(), ProofStage::BlockSigned);
}

#[test]
fn wrong_shares_for_a_block_lose_it() {
    let (mut story, barn, quality) = declared();
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    story.share_signatures(barn);
    let (job, ..) = story.signings()[0];
    story.input(Input::Signed {
        job,
        result: Err(wrong_shares()),
    });
    lost_because(&story, "signing the block: harvester sent a wrong share");
}

#[test]
fn backup_block_of_the_same_proof_is_signed_too_and_counts_once() {
    let (mut story, barn, quality) = declared();
    for hash in [1, 1, 2] {
        let mut request = block_request(quality);
        request.foliage_block_data_hash = Bytes32([hash; 32]);
        story.input(Input::RequestSignedValues { node: NODE, request });
    }
    assert_eq!(
        story
            .outputs
            .iter()
            .filter(|output| matches!(output, Output::Send { id: Some(_), .. }))
            .count(),
        2
    );
    story.share_signatures(barn);
    story.sign();
    let signed = story.take(|output| match output {
        Output::SignedValues { message, .. } => Some(message.foliage_block_data_signature.0[0]),
        _ => None,
    });
    assert_eq!(signed, [1, 2]);
    assert_eq!(story.snapshot().wins.blocks_signed, 1);
}

#[test]
fn request_for_an_unknown_proof_is_counted() {
    let (mut story, _, _) = declared();
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(QualityString([0xee; 32])),
    });
    assert_eq!(story.snapshot().counters.unknown_block_requests, 1);
}

#[test]
fn foreign_node_gets_no_signature_for_what_it_does_not_show() {
    let (mut story, barn, quality) = declared();
    let status = NodeStatus {
        trust: NodeTrust::Foreign,
        ..node_status("node")
    };
    story.input(Input::Node { node: NODE, status });
    story.input(Input::RequestSignedValues {
        node: NODE,
        request: block_request(quality),
    });
    assert_eq!(story.signature_requests(barn), []);
    lost_because(&story, "does not show what it wants signed");
    assert!(
        story
            .alarms()
            .iter()
            .any(|kind| matches!(kind, AlarmKind::SigningRefused { .. }))
    );
}

#[test]
fn refused_block_of_the_chain_is_lost_with_its_reason() {
    let (mut story, _, quality) = declared();
    story.input(Input::ChainVerdict {
        node: NODE,
        quality,
        verdict: Err("the signature is wrong".to_owned()),
    });
    lost_because(&story, "the signature is wrong");
}

#[test]
fn signage_point_with_another_reward_chain_is_declared_too() {
    let (mut story, barn, _) = winner();
    story.share_signatures(barn);
    story.sign();
    let mut reorganised = point(0);
    reorganised.reward_chain_sp = RewardChainSp([0xdd; 32]);
    story.bring(NODE, &reorganised);
    assert_eq!(story.signage_points_sent(barn).min(1), 1, "asked once, before");
    story.bring(NODE, &reorganised);
    let mut story = {
        let (mut story, barn, _) = winner();
        story.bring(NODE, &reorganised);
        let requests = story.signature_requests(barn);
        assert_eq!(requests.len(), 2, "one for each reward chain");
        assert_eq!(requests[1].1.messages[1], Bytes32([0xdd; 32]));
        for (_, request) in requests {
            story.message(barn, FromHarvester::RespondSignatures(Box::new(shares(&request))));
        }
        story
    };
    story.sign();
    let chains: Vec<_> = story
        .declarations()
        .into_iter()
        .map(|(_, it)| it.reward_chain_sp)
        .collect();
    assert_eq!(chains, [point(0).reward_chain_sp, RewardChainSp([0xdd; 32])]);
    assert_eq!(story.snapshot().wins.declared, 1);
}
