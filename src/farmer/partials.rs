//! v2 partial proofs from their arrival to the full proof: known, of a plot that may answer, good enough, solved.
//!
//! What is good enough only for a pool is solved when no solver has anything else to do, and left out first.
//!
//! A partial proof has its quality but not its x-values. Finding those takes a solver seconds, so only what could be a
//! block goes there, a few at a time and harvesters in turn. The full proof then takes the way of every other.
//!
//! That the plot is in the harvester's list is not asked: official harvesters name a plot here by its resolved path and
//! in the list by its link, and may find a proof before they have told of the plot.

use super::Farmer;
use super::numbers::{JobId, ProofNumber};
use super::output::Output;
use super::proofs::{Job, Phase, Proof, Source, hash_of, millis};
use super::signage_points::proof_context;
use super::timers::Timer;
use super::verification::{VERIFIED_WITHIN, plot_file};
use crate::clock::Now;
use crate::crypto::sha256;
use crate::ids::{Bytes32, PosChallenge, QualityString};
use crate::pos::filter::pos_challenge;
use crate::pos::may_answer;
use crate::pos::v2::SolveError;
use crate::snapshot::{HarvesterId, Notice, ProofStage, ProofView};
use crate::wire::{
    NewSignagePoint, PartialProof, PartialProofsData, ProofBody, ProofOfSpace, SolverInfo, Streamable as _,
};

impl Farmer {
    /// A harvester sent the v2 partial proofs of a plot.
    pub(super) fn handle_partial_proofs(&mut self, now: Now, id: HarvesterId, message: &PartialProofsData) {
        let point = self
            .signage_points
            .get(&message.sp_hash)
            .and_then(|point| point.of_challenge(&message.challenge_hash));
        let checked = point.map(|point| self.check_plot(point, message));
        match checked {
            None => {
                self.counters.proofs_of_unknown_signage_points += 1;
                let name = self.harvesters.name(id);
                let reason = format!("{name} answered a signage point that is not known here, or too old");
                if let Some(view) = self.announce(now, id, message) {
                    self.proofs.push_view(ProofView {
                        stage: ProofStage::Lost { reason },
                        ..view
                    });
                }
            }
            Some(Err(reason)) => {
                let Some(view) = self.announce(now, id, message) else {
                    return;
                };
                self.make_room(now);
                let partial = message.partial_proofs.first().copied();
                let number = self.take_partial(now, id, message, partial.unwrap_or_default(), view);
                self.note_invalid(now, number, &reason);
            }
            Some(Ok(())) => {
                for partial in &message.partial_proofs {
                    self.handle_partial_proof(now, id, message, *partial);
                }
                self.solve_queued(now);
            }
        }
    }

    /// A solver has worked on a partial proof.
    pub(super) fn handle_solved(&mut self, now: Now, job: JobId, result: Result<Vec<u8>, SolveError>) {
        let Some(Job::Solve(number)) = self.proofs.jobs.get(&job).copied() else {
            return;
        };
        self.proofs.jobs.remove(&job);
        self.proofs.solving -= 1;
        match result {
            Ok(x_values) => self.complete(now, number, x_values),
            Err(error @ (SolveError::NoProof | SolveError::NoSuchPlot { .. })) => {
                self.note_invalid(now, number, &error.to_string());
            }
            Err(error @ SolveError::TooMuchWork { .. }) => self.lose_partial(now, number, &error.to_string()),
        }
        self.solve_queued(now);
        self.verify_queued(now);
    }

    /// Gives solvers what they can take.
    pub(super) fn solve_queued(&mut self, now: Now) {
        while let Some(number) = self.proofs.next_to_solve() {
            let Some(proof) = self.proofs.live.get(&number) else {
                continue;
            };
            let Phase::ToSolve(partial) = &proof.phase else {
                continue;
            };
            // Its timer, which is due, drops what has waited too long.
            if now.mono.since(proof.found) >= VERIFIED_WITHIN {
                continue;
            }
            let partial = Box::new(SolverInfo {
                partial_proof: **partial,
                plot_id: proof.view.plot_id,
                strength: strength(&proof.proof),
                size: self.config.constants.plot_size_v2,
            });
            let challenge = proof.proof.challenge;
            let job = self.proofs.begin_solving(number);
            self.outputs.push_back(Output::Solve {
                job,
                partial,
                challenge,
            });
        }
    }

    /// A partial proof that might have been a block will not be solved.
    pub(super) fn lose_partial(&mut self, now: Now, number: ProofNumber, reason: &str) {
        self.timers.clear(Timer::Proof(number));
        let proof = self.proofs.live.get(&number).filter(|proof| proof.is_for_pool_alone);
        let contract = proof.and_then(|proof| proof.proof.pool.contract().copied());
        match contract {
            Some(contract) => {
                let stage = ProofStage::Lost {
                    reason: format!("as a partial: {reason}"),
                };
                self.proofs.set_stage(number, stage);
                self.note_unsolved_partial(now, contract, reason);
            }
            None => self.note_lost(now, number, reason),
        }
        self.proofs.remove(number);
    }

    /// What only a pool wants is the first that is left out: of it the oldest, which would be too late soonest.
    fn make_room_for_pool_work(&mut self, now: Now) {
        while self.proofs.to_solve_for_pools.len() >= MAX_WAITING_FOR_POOLS {
            let is_waiting = |proof: &&Proof| proof.is_for_pool_alone && matches!(proof.phase, Phase::ToSolve(_));
            let oldest = self.proofs.live.values().find(is_waiting);
            let Some(number) = oldest.map(|proof| ProofNumber(proof.view.number)) else {
                return;
            };
            self.lose_partial(now, number, "the solver was busy with others");
        }
    }

    /// Whether the plot of partial proofs may answer a signage point at all; else why not.
    fn check_plot(&self, point: &NewSignagePoint, message: &PartialProofsData) -> Result<(), String> {
        let constants = &self.config.constants;
        let count = message.partial_proofs.len();
        if !(1..=MAX_OF_PLOT).contains(&count) {
            return Err(format!(
                "{count} partial proofs of one plot, expected 1 to {MAX_OF_PLOT}"
            ));
        }
        if message.plot_size != constants.plot_size_v2 {
            let expected = constants.plot_size_v2;
            return Err(format!(
                "v2 plots of this network have k{expected}, got k{}",
                message.plot_size
            ));
        }
        let proof = unsolved(message);
        let plot_id = proof.plot_id();
        if message.plot_id != plot_id {
            let got = message.plot_id;
            return Err(format!("its keys belong to plot {plot_id}, it names plot {got}"));
        }
        may_answer(constants, &proof, &proof_context(point)).map_err(|error| error.to_string())
    }

    /// One partial proof of a plot that may answer.
    fn handle_partial_proof(&mut self, now: Now, id: HarvesterId, message: &PartialProofsData, partial: PartialProof) {
        let quality = partial.quality_string(message.strength);
        let key = (
            message.sp_hash,
            Bytes32(sha256(&[message.plot_id.as_bytes(), &partial.to_bytes()])),
        );
        if let Some(number) = self.proofs.seen.get(&key).copied() {
            self.counters.duplicate_proofs += 1;
            return self.add_source(now, number, &source(id, message, &quality));
        }
        let Some(view) = self.announce(now, id, message) else {
            return;
        };
        let size = unsolved(message).plot_size();
        let won = self.reward_chains_won(&message.sp_hash, &message.challenge_hash, &quality, size);
        let (pool, sp_hash, challenge_hash) = (&message.pool, &message.sp_hash, &message.challenge_hash);
        let is_for_pool_alone = won.is_empty() && self.is_wanted_by_pool(pool, sp_hash, challenge_hash, &quality, size);
        if won.is_empty() && !is_for_pool_alone {
            self.wins.not_good_enough += 1;
            return self.proofs.push_view(ProofView {
                stage: ProofStage::NotGoodEnough,
                ..view
            });
        }
        let waiting = if is_for_pool_alone {
            self.proofs.to_solve_for_pools.waiting_of(id)
        } else {
            self.proofs.to_solve.waiting_of(id)
        };
        if is_for_pool_alone {
            self.make_room_for_pool_work(now);
        } else if waiting >= MAX_WAITING_OF_HARVESTER {
            let reason = format!(
                "{waiting} partial proofs of {} were waiting to be solved",
                view.harvester_name
            );
            self.proofs.push_view(ProofView {
                stage: ProofStage::Lost { reason },
                ..view
            });
            return self.note_unverified(now, id);
        }
        self.make_room(now);
        let number = self.take_partial(now, id, message, partial, view);
        self.proofs.remember(key, number, &self.signage_points);
        if is_for_pool_alone {
            if let Some(proof) = self.proofs.live.get_mut(&number) {
                proof.is_for_pool_alone = true;
            }
            self.proofs.to_solve_for_pools.push(id, number);
        } else {
            self.proofs.to_solve.push(id, number);
        }
        self.timers.set(Timer::Proof(number), now.mono + VERIFIED_WITHIN);
    }

    /// Counts a partial proof, tells of it, and gives it a number and a view; `None` without its harvester.
    fn announce(&mut self, now: Now, id: HarvesterId, message: &PartialProofsData) -> Option<ProofView> {
        let point = self.signage_points.get(&message.sp_hash);
        let found_after_ms = point.map(|point| millis(now.mono.since(point.received.mono)));
        let slot = self.harvesters.get_mut(id)?;
        slot.proofs += 1;
        let view = ProofView {
            number: self.proofs.new_number().0,
            found_at_unix_ms: now.unix.0,
            harvester_name: slot.name.to_string(),
            plot_id: message.plot_id,
            plot_file: plot_file(&message.plot_identifier).to_owned(),
            signage_point_index: message.signage_point_index,
            quality: None,
            stage: ProofStage::Found,
            found_after_ms,
            verified_after_ms: None,
            signed_after_ms: None,
            declared_after_ms: None,
            block_asked_after_ms: None,
            block_signed_after_ms: None,
        };
        self.wins.proofs += 1;
        self.notice(Notice::ProofFound {
            name: view.harvester_name.clone(),
            plot_id: view.plot_id,
            plot_file: view.plot_file.clone(),
            signage_point_index: view.signage_point_index,
        });
        Some(view)
    }

    /// Makes it a proof that is waiting for its x-values.
    fn take_partial(
        &mut self,
        now: Now,
        id: HarvesterId,
        message: &PartialProofsData,
        partial: PartialProof,
        view: ProofView,
    ) -> ProofNumber {
        let number = ProofNumber(view.number);
        let quality = partial.quality_string(message.strength);
        self.proofs.push_view(view.clone());
        self.proofs.live.insert(
            number,
            Proof {
                view,
                found: now.mono,
                sp_hash: message.sp_hash,
                challenge_hash: message.challenge_hash,
                proof: unsolved(message),
                sources: vec![source(id, message, &quality)],
                is_for_pool_alone: false,
                phase: Phase::ToSolve(Box::new(partial)),
            },
        );
        number
    }

    /// A partial proof has its x-values: from here on it is a proof like any other.
    fn complete(&mut self, now: Now, number: ProofNumber, x_values: Vec<u8>) {
        let Some(proof) = self.proofs.live.get_mut(&number) else {
            return;
        };
        if let ProofBody::V2 { proof, .. } = &mut proof.proof.body {
            *proof = x_values;
        }
        proof.phase = Phase::Queued;
        let key = (proof.sp_hash, hash_of(&proof.proof));
        let sources = proof.sources.clone();
        // Somebody who solves partial proofs himself may have sent the full one.
        let same = self.proofs.seen.get(&key).copied();
        if let Some(same) = same.filter(|same| self.proofs.live.contains_key(same)) {
            self.counters.duplicate_proofs += 1;
            self.timers.clear(Timer::Proof(number));
            self.proofs.remove(number);
            for source in &sources {
                self.add_source(now, same, source);
            }
            return;
        }
        self.proofs.remember(key, number, &self.signage_points);
        if let Some(source) = sources.first() {
            self.proofs.to_verify.push(source.harvester, number);
        }
    }
}

/// The proof that these partial proofs are of, without its x-values.
fn unsolved(message: &PartialProofsData) -> ProofOfSpace {
    let mut proof = ProofOfSpace {
        challenge: PosChallenge::default(),
        pool: message.pool,
        plot_public_key: message.plot_public_key,
        body: ProofBody::V2 {
            plot_index: message.plot_index,
            meta_group: message.meta_group,
            strength: message.strength,
            proof: Vec::new(),
        },
    };
    // Not the challenge of the sub-slot, which the official farmer 2.7.5 puts here.
    proof.challenge = pos_challenge(&proof.plot_id(), &message.challenge_hash, &message.sp_hash);
    proof
}

/// Whom to ask for signatures, and under what name: official harvesters take the first 64 characters off whatever they
/// are asked for, but 2.7.5 names the plots of partial proofs without them.
fn source(harvester: HarvesterId, message: &PartialProofsData, quality: &QualityString) -> Source {
    let named = &message.plot_identifier;
    let is_bare = plot_file(named).len() == named.len();
    Source {
        harvester,
        plot_identifier: if is_bare {
            format!("{quality}{named}")
        } else {
            named.clone()
        },
        granted: None,
        wants_data: false,
    }
}

const fn strength(proof: &ProofOfSpace) -> u8 {
    match proof.body {
        ProofBody::V2 { strength, .. } => strength,
        ProofBody::V1 { .. } => 0,
    }
}

/// Partial proofs that only pools want and that may wait: a solver at k28 does not get through more in time.
const MAX_WAITING_FOR_POOLS: usize = 16;

/// The library gives at most ten for one challenge.
const MAX_OF_PLOT: usize = 16;

/// Partial proofs of one harvester that may wait; on a real chain there is one in a while.
pub(super) const MAX_WAITING_OF_HARVESTER: usize = 64;
