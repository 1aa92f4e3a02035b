//! Proofs from their arrival to their verdict: known, new, valid, good enough?

use std::time::Duration;

use super::Farmer;
use super::numbers::{JobId, ProofNumber};
use super::output::Output;
use super::proofs::{Job, MAX_LIVE, MAX_SOURCES, Phase, Proof, Source, hash_of, millis};
use super::signage_points::proof_context;
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::QualityString;
use crate::pos::ProofError;
use crate::snapshot::{AlarmKind, HarvesterId, Notice, ProofStage, ProofView};
use crate::wire::NewProofOfSpace;

impl Farmer {
    /// A harvester sent a proof.
    pub(super) fn handle_new_proof(&mut self, now: Now, id: HarvesterId, message: NewProofOfSpace) {
        let granted = self.review_fee(now, id, &message);
        let key = (message.sp_hash, hash_of(&message.proof));
        let source = Source {
            harvester: id,
            wants_data: message.include_source_signature_data || message.farmer_reward_address_override.is_some(),
            plot_identifier: message.plot_identifier,
            granted,
        };
        if let Some(number) = self.proofs.seen.get(&key).copied() {
            self.counters.duplicate_proofs += 1;
            self.add_source(now, number, &source);
            return;
        }
        let name = match self.harvesters.get_mut(id) {
            Some(slot) => {
                slot.proofs += 1;
                slot.name.clone()
            }
            None => return,
        };
        let number = self.proofs.new_number();
        let point = self.signage_points.get(&message.sp_hash);
        let found_after_ms = point.map(|point| millis(now.mono.since(point.received.mono)));
        let view = ProofView {
            number: number.0,
            found_at_unix_ms: now.unix.0,
            harvester_name: name.to_string(),
            plot_id: message.proof.plot_id(),
            plot_file: plot_file(&source.plot_identifier).to_owned(),
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
            name: name.to_string(),
            plot_id: view.plot_id,
            plot_file: view.plot_file.clone(),
            signage_point_index: view.signage_point_index,
        });
        let is_known = self
            .signage_points
            .get(&key.0)
            .is_some_and(|point| point.of_challenge(&message.challenge_hash).is_some());
        if !is_known {
            self.counters.proofs_of_unknown_signage_points += 1;
            let reason = format!("{name} answered a signage point that is not known here, or too old");
            self.proofs.push_view(ProofView {
                stage: ProofStage::Lost { reason },
                ..view
            });
            return;
        }
        let queue = self.proofs.to_verify.waiting_of(id);
        if queue >= MAX_QUEUED_OF_HARVESTER {
            let reason = format!("{queue} proofs of {name} were waiting to be verified");
            self.proofs.push_view(ProofView {
                stage: ProofStage::Lost { reason },
                ..view
            });
            return self.note_unverified(now, id);
        }
        self.make_room(now);
        self.proofs.remember(key, number, &self.signage_points);
        self.proofs.push_view(view.clone());
        self.proofs.live.insert(
            number,
            Proof {
                view,
                found: now.mono,
                sp_hash: message.sp_hash,
                challenge_hash: message.challenge_hash,
                proof: message.proof,
                sources: vec![source],
                is_for_pool_alone: false,
                phase: Phase::Queued,
            },
        );
        self.proofs.to_verify.push(id, number);
        self.timers.set(Timer::Proof(number), now.mono + VERIFIED_WITHIN);
        self.verify_queued(now);
    }

    /// A worker has verified a proof.
    pub(super) fn handle_verified(&mut self, now: Now, job: JobId, result: Result<QualityString, ProofError>) {
        let Some(Job::Verify(number)) = self.proofs.jobs.get(&job).copied() else {
            return;
        };
        self.proofs.jobs.remove(&job);
        self.proofs.verifying -= 1;
        match result {
            Err(error) => self.note_invalid(now, number, &error.to_string()),
            Ok(quality) => self.judge(now, number, quality),
        }
        self.verify_queued(now);
    }

    /// The workers were full.
    pub(super) fn handle_job_dropped(&mut self, now: Now, job: JobId) {
        match self.proofs.jobs.get(&job).copied() {
            Some(Job::Solve(number)) => {
                self.lose_partial(now, number, SOLVERS_FULL);
                self.solve_queued(now);
            }
            Some(Job::Verify(number)) => {
                self.drop_unverified(now, number, WORKERS_FULL);
                self.verify_queued(now);
            }
            Some(Job::SignPoint(number, reward_chain_sp)) => {
                self.lose_declaration(now, number, reward_chain_sp, WORKERS_FULL);
            }
            Some(Job::SignBlock(number)) => self.lose_block(now, number, WORKERS_FULL),
            Some(Job::SignPartial(number)) => self.lose_partial_signature(now, number, WORKERS_FULL),
            // Pools are answered for in another way.
            Some(Job::Pool(..)) | None => {}
        }
    }

    /// A proof is where it is for too long.
    pub(super) fn handle_proof_timer(&mut self, now: Now, number: ProofNumber) {
        match self.proofs.live.get(&number).map(|proof| &proof.phase) {
            None => {}
            Some(Phase::ToSolve(_) | Phase::Solving(_)) => {
                let reason = format!("not solved within {} s", VERIFIED_WITHIN.as_secs());
                self.lose_partial(now, number, &reason);
                self.solve_queued(now);
            }
            Some(Phase::Queued | Phase::Verifying(_)) => {
                let reason = format!("not verified within {} s", VERIFIED_WITHIN.as_secs());
                self.drop_unverified(now, number, &reason);
                self.verify_queued(now);
            }
            Some(Phase::Winner { .. }) => self.expire_declarations(now, number),
        }
    }

    /// Forgets the oldest proofs if there are too many, and those that are too old to matter.
    pub(super) fn make_room(&mut self, now: Now) {
        while let Some((number, proof)) = self.proofs.live.first_key_value() {
            let number = *number;
            if self.proofs.live.len() < MAX_LIVE && now.mono.since(proof.found) <= KEPT_FOR {
                return;
            }
            match proof.phase {
                Phase::ToSolve(_) | Phase::Solving(_) => {
                    self.lose_partial(now, number, "too many proofs came at once");
                }
                Phase::Queued | Phase::Verifying(_) => {
                    self.drop_unverified(now, number, "too many proofs came at once");
                }
                Phase::Winner { .. } => {
                    let blocks = self.proofs.blocks.iter().filter(|(_, block)| block.proof == number);
                    for block in blocks.map(|(block, _)| *block).collect::<Vec<_>>() {
                        self.lose_block(now, block, "too many proofs came at once");
                    }
                    self.timers.clear(Timer::Proof(number));
                    self.proofs.remove(number);
                }
            }
        }
    }

    /// Gives workers what they can take.
    pub(super) fn verify_queued(&mut self, now: Now) {
        while let Some(number) = self.proofs.next_to_verify() {
            let Some(proof) = self.proofs.live.get(&number) else {
                continue;
            };
            let point = self.signage_points.get(&proof.sp_hash);
            let message = point.and_then(|point| point.of_challenge(&proof.challenge_hash));
            // Its timer, which is due, drops a proof that has waited too long or outlived its signage point.
            let (Some(message), true) = (message, now.mono.since(proof.found) < VERIFIED_WITHIN) else {
                continue;
            };
            let (context, proof) = (proof_context(message), Box::new(proof.proof.clone()));
            let job = self.proofs.begin_verification(number);
            self.outputs.push_back(Output::Verify { job, proof, context });
        }
    }

    /// A proof is valid: is it good enough for a block?
    fn judge(&mut self, now: Now, number: ProofNumber, quality: QualityString) {
        let Some(proof) = self.proofs.live.get_mut(&number) else {
            return;
        };
        proof.view.quality = Some(quality);
        proof.view.verified_after_ms = Some(millis(now.mono.since(proof.found)));
        proof.phase = Phase::Winner {
            quality,
            declarations: Vec::new(),
        };
        self.timers.clear(Timer::Proof(number));
        self.proofs.by_quality.insert(quality, number);
        let is_partial = self.begin_partial(now, number, &quality);
        if self.declare_where_good_enough(now, number) {
            self.luck.note_good_proof(now);
            return;
        }
        self.wins.not_good_enough += u64::from(!is_partial);
        self.proofs.set_stage(number, ProofStage::NotGoodEnough);
        self.proofs.remove(number);
    }

    /// A duplicate is worth something: another harvester that can sign.
    pub(super) fn add_source(&mut self, now: Now, number: ProofNumber, source: &Source) {
        let id = source.harvester;
        let of_partial = self.pools.sources_of_partial(number);
        let of_proof = self.proofs.live.get_mut(&number).map(|proof| &mut proof.sources);
        let mut is_new = false;
        for sources in [of_partial, of_proof].into_iter().flatten() {
            if sources.len() < MAX_SOURCES && !sources.contains(source) {
                sources.push(source.clone());
                is_new = true;
            }
        }
        if is_new {
            self.ask_new_source(now, id);
        }
    }

    pub(super) fn note_invalid(&mut self, now: Now, number: ProofNumber, reason: &str) {
        self.timers.clear(Timer::Proof(number));
        self.proofs.set_stage(
            number,
            ProofStage::Invalid {
                reason: reason.to_owned(),
            },
        );
        let Some(proof) = self.proofs.remove(number) else {
            return;
        };
        self.wins.invalid += 1;
        let (name, plot_file) = (proof.view.harvester_name, proof.view.plot_file);
        let reason = reason.to_owned();
        self.notice(Notice::ProofInvalid {
            name,
            plot_file: plot_file.clone(),
            reason: reason.clone(),
        });
        let Some(harvester) = proof.sources.first().map(|source| source.harvester) else {
            return;
        };
        let Some(slot) = self.harvesters.get_mut(harvester) else {
            return;
        };
        slot.invalid_proofs += 1;
        let mut alarm = AlarmKind::InvalidProofs {
            harvester,
            name: slot.name.to_string(),
            proofs: 1,
            plot_file,
            reason,
        };
        if let Some(AlarmKind::InvalidProofs { proofs: before, .. }) = self.alarms.get(&alarm.key()).cloned()
            && let AlarmKind::InvalidProofs { proofs, .. } = &mut alarm
        {
            *proofs += before;
        }
        self.raise(now, alarm);
    }

    fn drop_unverified(&mut self, now: Now, number: ProofNumber, reason: &str) {
        self.timers.clear(Timer::Proof(number));
        self.proofs.set_stage(
            number,
            ProofStage::Lost {
                reason: reason.to_owned(),
            },
        );
        if let Some(proof) = self.proofs.remove(number)
            && let Some(source) = proof.sources.first()
        {
            self.note_unverified(now, source.harvester);
        }
    }

    /// A proof will never be verified; it might have been a block.
    pub(super) fn note_unverified(&mut self, now: Now, harvester: HarvesterId) {
        self.counters.dropped_verifications += 1;
        // Of a harvester that was forgotten meanwhile the proof's row is left to tell.
        let Some(slot) = self.harvesters.get(harvester) else {
            return;
        };
        let mut alarm = AlarmKind::TooManyProofs {
            harvester,
            name: slot.name.to_string(),
            dropped: 1,
        };
        if let Some(AlarmKind::TooManyProofs { dropped: before, .. }) = self.alarms.get(&alarm.key()).cloned()
            && let AlarmKind::TooManyProofs { dropped, .. } = &mut alarm
        {
            *dropped += before;
        }
        self.raise(now, alarm);
    }
}

/// The plot's path: official harvesters put 64 hex digits of the quality in front.
pub(super) fn plot_file(plot_identifier: &str) -> &str {
    match plot_identifier.split_at_checked(64) {
        Some((quality, path)) if quality.bytes().all(|digit| digit.is_ascii_hexdigit()) => path,
        _ => plot_identifier,
    }
}

const SOLVERS_FULL: &str = "the solvers of v2 partial proofs were full";

const WORKERS_FULL: &str = "the workers that verify and sign were full";

/// A proof that takes longer cannot become a block.
pub(super) const VERIFIED_WITHIN: Duration = Duration::from_secs(25);

/// A node asks for block signatures within seconds; half an hour is what the official farmer keeps.
const KEPT_FOR: Duration = Duration::from_secs(1800);

/// Proofs one harvester may have waiting.
pub(super) const MAX_QUEUED_OF_HARVESTER: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_in_front_of_the_path_is_not_shown() {
        let quality = "0123456789abcdef".repeat(4);
        assert_eq!(plot_file(&format!("{quality}/mnt/a.plot")), "/mnt/a.plot");
        assert_eq!(plot_file("/mnt/a.plot"), "/mnt/a.plot");
        let path = format!("/mnt/{}é/a.plot", "x".repeat(58));
        assert_eq!(plot_file(&path), path, "a path is never cut inside a character");
    }
}
