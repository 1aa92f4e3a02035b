//! Where signage points come from: sub-slots and VDF outputs drawn from the seed, and real hashes of them.

use std::collections::BTreeSet;

use crate::crypto::sha256;
use crate::ids::{Bytes32, ChallengeHash, FilterChallenge, QualityString, RewardChainSp, SpHash};
use crate::pos::Constants;
use crate::pos::iterations::sp_interval_iters;
use crate::units::{Difficulty, Height, SIGNAGE_POINTS_PER_SUB_SLOT, SubSlotIters};
use crate::wire::{
    ChallengeChainSubSlot, ClassgroupElement, NewSignagePoint, RewardChainSubSlot, SignagePointSourceData,
    SpSubSlotSourceData, SpVdfSourceData, Streamable, VdfInfo,
};

/// A signage point that was given out.
#[derive(Debug)]
pub(super) struct Point {
    /// As announced.
    pub(super) message: NewSignagePoint,
    /// Hash of the reward chain's sub-slot: where its VDF starts.
    pub(super) reward_chain_challenge: Bytes32,
    /// Iterations from the start of the sub-slot to here.
    pub(super) sp_iters: u64,
    /// Iterations from the start of the chain to here.
    pub(super) total_iters: u128,
    /// Iterations from here to the earliest infusion of its blocks.
    pub(super) iters_to_infusion: u64,
    /// Quality strings of the blocks it has won.
    pub(super) won: BTreeSet<QualityString>,
}

/// Makes signage points, one after another, the same ones for the same seed and genesis challenge.
#[derive(Debug)]
pub(super) struct PointSource {
    seed_hash: [u8; 32],
    difficulty: Difficulty,
    sub_slot_iters: SubSlotIters,
    num_sp_intervals_extra: u8,
    sub_slot: SubSlot,
    /// Challenges of the two sub-slots before, the older one first.
    past_challenges: [ChallengeHash; 2],
    next_index: u8,
}

impl PointSource {
    /// The next point is index 0 of a sub-slot. Two sub-slots lie before it, so that the v2 filter has its challenges.
    pub(super) fn new(c: &Constants, seed: u64) -> Self {
        let seed_hash = sha256(&[
            b"farmconsole simulated chain",
            c.genesis_challenge.as_bytes(),
            &seed.to_be_bytes(),
        ]);
        let ssi = c.sub_slot_iters_starting;
        let first = SubSlot::after(&seed_hash, 0, c.genesis_challenge, Bytes32(c.genesis_challenge.0), ssi);
        let second = first.next(&seed_hash, ssi);
        Self {
            seed_hash,
            difficulty: c.difficulty_starting,
            sub_slot_iters: ssi,
            num_sp_intervals_extra: c.num_sp_intervals_extra,
            sub_slot: second.next(&seed_hash, ssi),
            past_challenges: [first.challenge, second.challenge],
            next_index: 0,
        }
    }

    /// The next signage point of a chain that has come to `peak_height`.
    pub(super) fn next_point(&mut self, peak_height: Height, last_tx_height: Height) -> Point {
        let index = self.next_index;
        if index == SIGNAGE_POINTS_PER_SUB_SLOT {
            self.past_challenges = [self.past_challenges[1], self.sub_slot.challenge];
            self.sub_slot = self.sub_slot.next(&self.seed_hash, self.sub_slot_iters);
            self.next_index = 0;
            return self.next_point(peak_height, last_tx_height);
        }
        self.next_index = index + 1;
        let (challenge_chain_sp, reward_chain_sp, sp_source_data) = self.hashes(index);
        let interval = sp_interval_iters(self.sub_slot_iters);
        let sp_iters = interval * u64::from(index);
        let [two_before, one_before] = self.past_challenges;
        let filter_challenge = if index < FILTER_CHALLENGE_CHANGES {
            two_before
        } else {
            one_before
        };
        Point {
            message: NewSignagePoint {
                challenge_hash: self.sub_slot.challenge,
                challenge_chain_sp,
                reward_chain_sp,
                difficulty: self.difficulty,
                sub_slot_iters: self.sub_slot_iters,
                signage_point_index: index,
                peak_height,
                last_tx_height,
                sp_source_data: Some(sp_source_data),
                filter_challenge: Some(FilterChallenge(filter_challenge.0)),
            },
            reward_chain_challenge: self.sub_slot.reward_chain_hash,
            sp_iters,
            total_iters: u128::from(self.sub_slot.number) * u128::from(self.sub_slot_iters.0) + u128::from(sp_iters),
            iters_to_infusion: interval * u64::from(self.num_sp_intervals_extra),
            won: BTreeSet::new(),
        }
    }

    fn hashes(&self, index: u8) -> (SpHash, RewardChainSp, SignagePointSourceData) {
        if index == 0 {
            let source = SpSubSlotSourceData {
                cc_sub_slot: self.sub_slot.challenge_chain.clone(),
                rc_sub_slot: self.sub_slot.reward_chain.clone(),
            };
            return (
                SpHash(self.sub_slot.challenge.0),
                RewardChainSp(self.sub_slot.reward_chain_hash.0),
                SignagePointSourceData {
                    sub_slot_data: Some(source),
                    vdf_data: None,
                },
            );
        }
        let number = self.sub_slot.number * u64::from(SIGNAGE_POINTS_PER_SUB_SLOT) + u64::from(index);
        let source = SpVdfSourceData {
            cc_vdf: draw_output(&self.seed_hash, b"cc sp", number),
            rc_vdf: draw_output(&self.seed_hash, b"rc sp", number),
        };
        (
            SpHash(source.cc_vdf.get_hash().0),
            RewardChainSp(source.rc_vdf.get_hash().0),
            SignagePointSourceData {
                sub_slot_data: None,
                vdf_data: Some(source),
            },
        )
    }
}

/// The end of one sub-slot and the start of the next, which has its hash for a challenge.
#[derive(Debug)]
struct SubSlot {
    number: u64,
    challenge_chain: ChallengeChainSubSlot,
    reward_chain: RewardChainSubSlot,
    challenge: ChallengeHash,
    reward_chain_hash: Bytes32,
}

impl SubSlot {
    fn next(&self, seed_hash: &[u8; 32], ssi: SubSlotIters) -> Self {
        Self::after(seed_hash, self.number + 1, self.challenge, self.reward_chain_hash, ssi)
    }

    fn after(
        seed_hash: &[u8; 32],
        number: u64,
        challenge: ChallengeHash,
        reward_chain_challenge: Bytes32,
        ssi: SubSlotIters,
    ) -> Self {
        let vdf = |challenge, domain| VdfInfo {
            challenge,
            number_of_iterations: ssi.0,
            output: draw_output(seed_hash, domain, number),
        };
        let challenge_chain = ChallengeChainSubSlot {
            challenge_chain_end_of_slot_vdf: vdf(Bytes32(challenge.0), b"cc sub-slot"),
            infused_challenge_chain_sub_slot_hash: None,
            subepoch_summary_hash: None,
            new_sub_slot_iters: None,
            new_difficulty: None,
        };
        let challenge_chain_hash = challenge_chain.get_hash();
        let reward_chain = RewardChainSubSlot {
            end_of_slot_vdf: vdf(reward_chain_challenge, b"rc sub-slot"),
            challenge_chain_sub_slot_hash: challenge_chain_hash,
            infused_challenge_chain_sub_slot_hash: None,
            deficit: DEFICIT,
        };
        let reward_chain_hash = reward_chain.get_hash();
        Self {
            number,
            challenge_chain,
            reward_chain,
            challenge: ChallengeHash(challenge_chain_hash.0),
            reward_chain_hash,
        }
    }
}

/// A hundred bytes that stand for the output of a VDF: the seed's, told apart by `domain` and `number`.
fn draw_output(seed_hash: &[u8; 32], domain: &[u8], number: u64) -> ClassgroupElement {
    let mut bytes = [0; 100];
    for (part, chunk) in (0_u8..).zip(bytes.chunks_mut(32)) {
        let drawn = sha256(&[seed_hash, domain, &number.to_be_bytes(), &[part]]);
        chunk.copy_from_slice(&drawn[..chunk.len()]);
    }
    ClassgroupElement(bytes)
}

/// From this index on the v2 filter uses the challenge of the sub-slot before, up to it that of the one before that.
const FILTER_CHALLENGE_CHANGES: u8 = 16;

/// Blocks missing in a slot that has none yet, as on a real chain.
const DEFICIT: u8 = 16;
