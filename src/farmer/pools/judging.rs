//! Whether a pool wants a proof: judged by the difficulty it has told, and taken up as a partial or told why not.

use super::partial::{MAX_LIVE, PARTIAL_WITHIN, Partial};
use crate::clock::Now;
use crate::farmer::Farmer;
use crate::farmer::numbers::ProofNumber;
use crate::farmer::proofs::{Proof, hash_of, millis};
use crate::ids::{ChallengeHash, PuzzleHash, QualityString, SpHash};
use crate::pos::iterations;
use crate::snapshot::{PartialOutcome, PartialStep, PartialView};
use crate::units::Difficulty;
use crate::wire::PlotPool;

impl Farmer {
    /// A proof is valid: does a pool want it? Whether it does.
    pub(in crate::farmer) fn begin_partial(&mut self, now: Now, number: ProofNumber, quality: &QualityString) -> bool {
        let Some(proof) = self.proofs.live.get(&number) else {
            return false;
        };
        let PlotPool::Contract(contract) = proof.proof.pool else {
            return false;
        };
        if self.pools.pools.get(&contract).is_none_or(super::Pool::is_self_pooling) {
            return false;
        }
        let key = (proof.sp_hash, hash_of(&proof.proof));
        let (Some(partial), true) = (self.new_partial(contract, proof), self.pools.partials.is_new(key)) else {
            return false;
        };
        self.judge_partial(now, partial, quality)
    }

    /// Whether a pool wants a proof of this quality, as far as its difficulty is known.
    pub(in crate::farmer) fn is_wanted_by_pool(
        &self,
        pool: &PlotPool,
        sp_hash: &SpHash,
        challenge_hash: &ChallengeHash,
        quality: &QualityString,
        size: crate::units::PlotSize,
    ) -> bool {
        let PlotPool::Contract(contract) = pool else {
            return false;
        };
        let Some(pool) = self
            .pools
            .pools
            .get(contract)
            .filter(|pool| !pool.is_self_pooling() && pool.has_key())
        else {
            return false;
        };
        let point = self
            .signage_points
            .get(sp_hash)
            .and_then(|point| point.of_challenge(challenge_hash));
        let (Some(difficulty), Some(point)) = (pool.difficulty, point) else {
            return false;
        };
        self.is_good_enough(difficulty, quality, size, sp_hash, point.last_tx_height)
    }

    fn new_partial(&self, contract: PuzzleHash, proof: &Proof) -> Option<Partial> {
        let point = self.signage_points.get(&proof.sp_hash)?;
        let message = point.of_challenge(&proof.challenge_hash)?;
        let view = &proof.view;
        Some(Partial {
            view: PartialView {
                number: 0,
                harvester_name: view.harvester_name.clone(),
                plot_file: view.plot_file.clone(),
                found_at_unix_ms: view.found_at_unix_ms,
                signage_point_index: message.signage_point_index,
                difficulty: None,
                step: PartialStep::Judging,
                outcome: None,
                reason: String::new(),
                verified_after_ms: None,
                signed_after_ms: None,
                ended_after_ms: None,
            },
            of: ProofNumber(view.number),
            contract,
            began: point.received.mono,
            challenge_hash: proof.challenge_hash,
            sp_hash: proof.sp_hash,
            proof: proof.proof.clone(),
            sources: proof.sources.clone(),
            source: 0,
            points: 0,
            payload: None,
            is_signing: false,
        })
    }

    /// Takes a partial up, or says at once why it is none. Whether it is good enough.
    fn judge_partial(&mut self, now: Now, mut partial: Partial, quality: &QualityString) -> bool {
        let number = self.pools.partials.next_number();
        let contract = partial.contract;
        let last_tx_height = self
            .signage_points
            .get(&partial.sp_hash)
            .and_then(|point| point.of_challenge(&partial.challenge_hash))
            .map(|message| message.last_tx_height)
            .unwrap_or_default();
        partial.view.number = number.0;
        partial.view.verified_after_ms = Some(millis(now.mono.since(partial.began)));
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return false;
        };
        partial.view.difficulty = pool.difficulty;
        pool.push_partial(partial.view.clone());
        let known = (pool.difficulty, pool.token_timeout.is_some(), pool.has_key());
        let size = partial.proof.plot_size();
        let sp_hash = partial.sp_hash;
        partial.points = known.0.unwrap_or_default();
        let is_too_late = now.mono >= partial.began + PARTIAL_WITHIN;
        self.make_room_for_partial(now);
        self.pools.partials.live.insert(number, partial);
        let (outcome, reason) = match known {
            (Some(difficulty), ..) if !self.is_good_enough(difficulty, quality, size, &sp_hash, last_tx_height) => (
                PartialOutcome::Insufficient,
                "not good enough for the pool's difficulty",
            ),
            (None, ..) | (_, false, _) => (PartialOutcome::Missing, "the pool has not told its terms"),
            (.., false) => (PartialOutcome::Missing, "the key that speaks to its pool is not here"),
            (Some(_), true, true) if is_too_late => (PartialOutcome::Late, "it was found too late"),
            (Some(points), true, true) => {
                if let Some(pool) = self.pools.pools.get_mut(&contract) {
                    pool.tally.add_found(now.mono, points);
                }
                self.note_partial_found(now, &contract);
                self.ask_for_partial(now, number);
                return true;
            }
        };
        self.end_partial(now, number, outcome, reason);
        if outcome == PartialOutcome::Late {
            self.note_partial_found(now, &contract);
        }
        outcome != PartialOutcome::Insufficient
    }

    fn is_good_enough(
        &self,
        difficulty: u64,
        quality: &QualityString,
        size: crate::units::PlotSize,
        sp_hash: &SpHash,
        last_tx_height: crate::units::Height,
    ) -> bool {
        let constants = &self.config.constants;
        let difficulty = Difficulty(difficulty);
        let required = iterations::required_iters(constants, quality, size, difficulty, sp_hash, last_tx_height);
        required < iterations::pool_sp_interval_iters(constants)
    }

    fn make_room_for_partial(&mut self, now: Now) {
        while self.pools.partials.live.len() >= MAX_LIVE
            && let Some(oldest) = self.pools.partials.live.keys().next().copied()
        {
            self.end_partial(now, oldest, PartialOutcome::Failed, "too many partials came at once");
        }
    }
}
