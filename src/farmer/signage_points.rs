//! Signage points of the last half hour: each handled once, from however many nodes and in however many versions it comes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clock_set::ClockSet;
use crate::clock::Now;
use crate::ids::{ChallengeHash, NodeId, RewardChainSp, SpHash};
use crate::pos::constants::Constants;
use crate::pos::{ProofContext, filter};
use crate::wire::{HarvesterLayout, NewSignagePoint, NewSignagePointHarvester, PoolDifficulty, SignagePointFilter};

/// The signage points that can still matter, newest last.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct SignagePoints {
    by_hash: BTreeMap<SpHash, SignagePoint>,
    order: VecDeque<SpHash>,
}

/// One signage point.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct SignagePoint {
    /// When it came first.
    pub(super) received: Now,
    /// In what forms nodes sent it; the first is what harvesters were asked with. At least one, at most
    /// [`MAX_VARIANTS`].
    pub(super) variants: Vec<Variant>,
}

/// A signage point as one or more nodes sent it. After a reorganisation the same point of the challenge chain comes with
/// another reward chain, and nodes that are not at the same height may differ in the rest.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Variant {
    /// As it came first.
    pub(super) message: NewSignagePoint,
    /// Who sent it, in order.
    pub(super) nodes: Vec<NodeId>,
}

/// What a signage point from a node is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Never seen.
    New,
    /// Known; nothing in it matters that we do not have.
    Duplicate,
    /// Known, but with another reward chain: proofs found so far count for it too.
    OtherRewardChain,
    /// Known, but another question to harvesters: they must be asked again.
    OtherQuestion,
    /// Known, but without the filter challenge that v2 plots are looked up with: those that have some must be asked again.
    FilterChallenge,
}

impl SignagePoints {
    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        for point in self.by_hash.values_mut() {
            set.carry_unix(&mut point.received.unix);
        }
    }

    /// Takes a signage point in and forgets those that are too old.
    pub(super) fn insert(&mut self, now: Now, node: NodeId, message: NewSignagePoint) -> Arrival {
        self.forget_old(now);
        let sp_hash = message.challenge_chain_sp;
        let Some(known) = self.by_hash.get_mut(&sp_hash) else {
            let variants = vec![Variant {
                message,
                nodes: vec![node],
            }];
            self.by_hash.insert(
                sp_hash,
                SignagePoint {
                    received: now,
                    variants,
                },
            );
            self.order.push_back(sp_hash);
            return Arrival::New;
        };
        let mut nodes = vec![node];
        for variant in &mut known.variants {
            if variant.has_reward_chain_of(&message) {
                if !variant.nodes.contains(&node) {
                    variant.nodes.push(node);
                }
                nodes.clone_from(&variant.nodes);
            }
        }
        let is_known = |variant: &Variant| variant.has_reward_chain_of(&message) && variant.asks_all_of(&message);
        if known.variants.len() == MAX_VARIANTS || known.variants.iter().any(is_known) {
            return Arrival::Duplicate;
        }
        let arrival = if known.variants.iter().any(|variant| variant.asks_all_of(&message)) {
            Arrival::OtherRewardChain
        } else if known.variants.iter().any(|variant| variant.asks_the_same(&message)) {
            Arrival::FilterChallenge
        } else {
            Arrival::OtherQuestion
        };
        known.variants.push(Variant { message, nodes });
        arrival
    }

    /// A signage point, if it is known and not too old.
    pub(super) fn get(&self, sp_hash: &SpHash) -> Option<&SignagePoint> {
        self.by_hash.get(sp_hash)
    }

    /// The one that came last.
    pub(super) fn newest(&self) -> Option<(&SpHash, &SignagePoint)> {
        let sp_hash = self.order.back()?;
        Some((sp_hash, self.by_hash.get(sp_hash)?))
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.by_hash.len());
        self.order.len()
    }

    fn forget_old(&mut self, now: Now) {
        while let Some(oldest) = self.order.front() {
            let too_many = self.order.len() >= MAX_SIGNAGE_POINTS;
            let too_old = |point: &SignagePoint| now.mono.since(point.received.mono) > KEPT_FOR;
            if !too_many && !self.by_hash.get(oldest).is_none_or(too_old) {
                break;
            }
            self.by_hash.remove(oldest);
            self.order.pop_front();
        }
    }
}

impl SignagePoint {
    /// What harvesters were asked with first.
    pub(super) fn first(&self) -> Option<&NewSignagePoint> {
        self.variants.first().map(|variant| &variant.message)
    }

    /// The first form with this challenge: what a proof for that challenge is checked against. One with a filter
    /// challenge goes before those of nodes that do not know it.
    pub(super) fn of_challenge(&self, challenge_hash: &ChallengeHash) -> Option<&NewSignagePoint> {
        self.forms_of_challenge(challenge_hash)
            .find(|message| message.filter_challenge.is_some())
            .or_else(|| self.forms_of_challenge(challenge_hash).next())
    }

    /// What a harvester is asked with that was not asked before.
    pub(super) fn question(&self) -> Option<&NewSignagePoint> {
        self.of_challenge(&self.first()?.challenge_hash)
    }

    /// All forms with this challenge, in the order they came in.
    pub(super) fn forms_of_challenge(&self, challenge_hash: &ChallengeHash) -> impl Iterator<Item = &NewSignagePoint> {
        self.variants
            .iter()
            .map(|variant| &variant.message)
            .filter(move |message| message.challenge_hash == *challenge_hash)
    }

    /// The form with this reward chain.
    pub(super) fn of_reward_chain(&self, reward_chain_sp: &RewardChainSp) -> Option<&Variant> {
        self.variants
            .iter()
            .find(|variant| variant.message.reward_chain_sp == *reward_chain_sp)
    }
}

impl Variant {
    fn has_reward_chain_of(&self, other: &NewSignagePoint) -> bool {
        self.message.reward_chain_sp == other.reward_chain_sp
    }

    /// Whether there is nothing in the other one that harvesters must be told. A node that has just started, and one of
    /// before 2.7.4, does not know the filter challenge.
    fn asks_all_of(&self, other: &NewSignagePoint) -> bool {
        self.asks_the_same(other) && (self.message.filter_challenge.is_some() || other.filter_challenge.is_none())
    }

    /// Heights may differ between nodes without making it another question; what harvesters were told first stands.
    fn asks_the_same(&self, other: &NewSignagePoint) -> bool {
        let this = &self.message;
        this.challenge_hash == other.challenge_hash
            && this.signage_point_index == other.signage_point_index
            && this.difficulty == other.difficulty
            && this.sub_slot_iters == other.sub_slot_iters
    }
}

/// The signage point as a harvester of this version is asked. Official farmers send none at all to version 0.0.37.
pub(super) fn for_harvester(
    constants: &Constants,
    layout: HarvesterLayout,
    message: &NewSignagePoint,
    pool_difficulties: Vec<PoolDifficulty>,
) -> NewSignagePointHarvester {
    let filter = match layout {
        HarvesterLayout::V36 => SignagePointFilter::PrefixBits(filter::prefix_bits_v1(constants, message.peak_height)),
        HarvesterLayout::V37 | HarvesterLayout::V38 => SignagePointFilter::Heights {
            peak_height: message.peak_height,
            last_tx_height: message.last_tx_height,
            filter_challenge: message.filter_challenge,
        },
    };
    NewSignagePointHarvester {
        challenge_hash: message.challenge_hash,
        difficulty: message.difficulty,
        sub_slot_iters: message.sub_slot_iters,
        signage_point_index: message.signage_point_index,
        sp_hash: message.challenge_chain_sp,
        pool_difficulties,
        filter,
    }
}

/// What a proof that answers this signage point is verified against.
pub(super) const fn proof_context(message: &NewSignagePoint) -> ProofContext {
    ProofContext {
        challenge_hash: message.challenge_hash,
        sp_hash: message.challenge_chain_sp,
        signage_point_index: message.signage_point_index,
        peak_height: message.peak_height,
        last_tx_height: message.last_tx_height,
        filter_challenge: message.filter_challenge,
    }
}

/// Three sub-slots, as the official farmer keeps them: long after a block of it could be infused.
const KEPT_FOR: Duration = Duration::from_secs(3 * 600);

/// Bounds memory when a simulated chain is fast; on a real chain half an hour has 192.
pub(super) const MAX_SIGNAGE_POINTS: usize = 512;

/// Nodes that go on inventing reward chains are not listened to.
pub(super) const MAX_VARIANTS: usize = 4;
