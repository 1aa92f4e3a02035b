//! Third-party harvesters that want the farmer reward: refused, unless a fee was allowed and is due.

use super::story::*;
use crate::farmer::Input;
use crate::ids::{Bytes32, PuzzleHash, SessionId};
use crate::snapshot::{AlarmKind, Notice, ProofStage};
use crate::wire::{
    FoliageBlockData, FromHarvester, NewProofOfSpace, PoolTarget, ProofOfSpaceFeeInfo, RequestSignedValues, Streamable,
};

const ELSEWHERE: PuzzleHash = PuzzleHash([0xbb; 32]);

/// A farm that allows the harvester `barn` any fee.
fn generous() -> Story {
    let mut config = config();
    config.harvester_fees = [("barn".to_owned(), 100.0)].into();
    let mut story = Story::of(config);
    story.input(Input::Node {
        node: NODE,
        status: node_status("node"),
    });
    story
}

/// A proof of a harvester that wants the reward at `reward`, as a fee of `threshold`; then its signatures, claiming again.
fn claim(story: &mut Story, reward: PuzzleHash, threshold: Option<u32>) -> SessionId {
    let barn = story.connect("barn");
    let point = story.signage_point();
    let proof = NewProofOfSpace {
        farmer_reward_address_override: Some(reward),
        include_source_signature_data: true,
        fee_info: threshold.map(|applied_fee_threshold| ProofOfSpaceFeeInfo { applied_fee_threshold }),
        ..new_proof(&point, 1)
    };
    story.message(barn, FromHarvester::NewProofOfSpace(Box::new(proof)));
    story.verify();
    let (_, request) = story.signature_requests(barn).remove(0);
    let mut response = shares(&request);
    response.farmer_reward_address_override = Some(reward);
    story.message(barn, FromHarvester::RespondSignatures(Box::new(response)));
    story.sign();
    barn
}

fn declared_target(story: &mut Story) -> PuzzleHash {
    story.declarations()[0].1.farmer_puzzle_hash
}

#[test]
fn reward_goes_to_us_where_no_fee_is_allowed() {
    let mut story = Story::new();
    claim(&mut story, ELSEWHERE, Some(u32::MAX));
    assert_eq!(declared_target(&mut story), FARMER_TARGET);
    let alarms = story.alarms();
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert!(matches!(alarms[0], AlarmKind::RewardOverrideRefused { .. }));
}

#[test]
fn override_that_names_our_own_address_is_fine() {
    let mut story = Story::new();
    claim(&mut story, FARMER_TARGET, None);
    assert_eq!(declared_target(&mut story), FARMER_TARGET);
    assert_eq!(story.alarms(), []);
}

#[test]
fn allowed_fee_that_is_due_is_paid_and_told() {
    let mut story = generous();
    claim(&mut story, ELSEWHERE, Some(u32::MAX));
    assert_eq!(declared_target(&mut story), ELSEWHERE);
    assert_eq!(story.alarms(), []);
    let told = story.notices().iter().any(|notice| {
        matches!(
            notice,
            Notice::HarvesterFee {
                puzzle_hash: ELSEWHERE,
                ..
            }
        )
    });
    assert!(told);
}

#[test]
fn allowed_fee_that_is_not_due_stays_ours() {
    let mut story = generous();
    claim(&mut story, ELSEWHERE, Some(0));
    assert_eq!(declared_target(&mut story), FARMER_TARGET);
    assert!(matches!(
        &story.alarms()[..],
        [AlarmKind::RewardOverrideRefused { reason, .. }] if reason.contains("not granted")
    ));
}

#[test]
fn block_that_pays_the_fee_is_signed_and_one_that_pays_a_thief_is_not() {
    for (paid, signed) in [(ELSEWHERE, true), (PuzzleHash([0xcc; 32]), false)] {
        let mut story = generous();
        let barn = claim(&mut story, ELSEWHERE, Some(u32::MAX));
        let quality = story.snapshot().proofs[0].quality.expect("verified");
        let declaration = story.declarations().remove(0).1;
        let foliage = FoliageBlockData {
            unfinished_reward_block_hash: Bytes32::default(),
            pool_target: PoolTarget {
                puzzle_hash: CONTRACT,
                max_height: 0,
            },
            pool_signature: None,
            farmer_reward_puzzle_hash: paid,
            extension_data: Bytes32::default(),
        };
        assert_eq!(declaration.farmer_puzzle_hash, ELSEWHERE);
        let request = RequestSignedValues {
            foliage_block_data_hash: foliage.get_hash(),
            foliage_transaction_block_hash: Bytes32::default(),
            foliage_block_data: Some(foliage),
            ..*block_request(quality)
        };
        story.input(Input::RequestSignedValues {
            node: NODE,
            request: Box::new(request),
        });
        assert_eq!(story.signature_requests(barn).len(), usize::from(signed), "paid {paid}");
        assert_eq!(matches!(story.stage(), ProofStage::Lost { .. }), !signed);
    }
}
