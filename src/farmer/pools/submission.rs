//! A partial that a pool wants, from the harvester's share to the pool's answer: signed, sent, answered; and where it was
//! lost, if it was.

use std::time::Duration;

use super::exchange::{Asked, PartialSubmission, PoolFailure, PoolReply, PoolRequest};
use super::partial::{PARTIAL_WITHIN, Partial};
use super::pool::Registration;
use crate::clock::Now;
use crate::farmer::Farmer;
use crate::farmer::input::{PlotSignatures, SignError};
use crate::farmer::numbers::PartialNumber;
use crate::farmer::output::{Output, SignPurpose};
use crate::farmer::proofs::{Job, Source, millis};
use crate::farmer::timers::Timer;
use crate::ids::PuzzleHash;
use crate::snapshot::{AlarmKind, HarvesterId, Notice, PartialOutcome, PartialStep};
use crate::wire::pool::{PostPartialPayload, authentication_token, error_code};
use crate::wire::{
    RequestSignatures, RespondSignatures, SignatureRequestSourceData, SigningDataKind, Streamable as _, ToHarvester,
};

impl Farmer {
    /// A harvester sent shares for a partial; else gives the answer back.
    pub(in crate::farmer) fn take_partial_shares(
        &mut self,
        id: HarvesterId,
        response: RespondSignatures,
    ) -> Option<RespondSignatures> {
        let [(message, _)] = response.message_signatures[..] else {
            return Some(response);
        };
        let is_asked = |partial: &&Partial| {
            let source = partial.sources.get(partial.source);
            partial.view.step == PartialStep::Signing
                && !partial.is_signing
                && partial.sp_hash == response.sp_hash
                && source.is_some_and(|it| it.harvester == id && it.plot_identifier == response.plot_identifier)
                && partial
                    .payload
                    .as_ref()
                    .is_some_and(|payload| payload.get_hash() == message)
        };
        let asked = self
            .pools
            .partials
            .live
            .values()
            .find(is_asked)
            .map(|it| it.view.number);
        let asked = asked.and_then(|number| self.pools.partials.live.get_mut(&PartialNumber(number)));
        let Some(partial) = asked else {
            return Some(response);
        };
        partial.is_signing = true;
        let number = PartialNumber(partial.view.number);
        let (proof, contract) = (Box::new(partial.proof.clone()), partial.contract);
        // Without its pool, which was left meanwhile, its time runs out.
        let pool = self.pools.pools.get(&contract)?;
        let owner_public_key = pool.joined.membership.owner_public_key;
        let job = self.proofs.new_job(Job::SignPartial(number));
        self.outputs.push_back(Output::Sign {
            job,
            proof,
            response: Box::new(response),
            messages: vec![message],
            purpose: SignPurpose::Partial { owner_public_key },
        });
        None
    }

    /// A worker has completed the signature of a partial, or could not.
    pub(in crate::farmer) fn handle_partial_signed(
        &mut self,
        now: Now,
        number: PartialNumber,
        result: Result<PlotSignatures, SignError>,
    ) {
        let Some(partial) = self.pools.partials.live.get_mut(&number) else {
            return;
        };
        let signatures = match result {
            Ok(signatures) => signatures.signatures,
            Err(error) => {
                partial.source += 1;
                if !matches!(error, SignError::NoPoolKey) && partial.source < partial.sources.len() {
                    return self.ask_for_partial(now, number);
                }
                return self.end_partial(now, number, PartialOutcome::Failed, &error.to_string());
            }
        };
        let ([aggregate_signature], Some(payload)) = (&signatures[..], partial.payload.clone()) else {
            return;
        };
        partial.view.signed_after_ms = Some(millis(now.mono.since(partial.began)));
        partial.view.step = PartialStep::Sending;
        let (view, contract, deadline) = (partial.view.clone(), partial.contract, partial.began + PARTIAL_WITHIN);
        let harvester = partial.sources.get(partial.source).map(|source| source.harvester);
        if now.mono >= deadline {
            return self.end_partial(now, number, PartialOutcome::Late, "its signatures came too late");
        }
        // Its own view says that it is being sent, so it is one of them.
        if self.pools.partials.sending_to(&contract) > MAX_SENDING {
            let reason = "too many partials wait for this pool to answer";
            return self.end_partial(now, number, PartialOutcome::Failed, reason);
        }
        let slot = harvester.and_then(|id| self.harvesters.get(id));
        let harvester_version = slot.map(|slot| slot.peer.software_version.clone()).unwrap_or_default();
        let submission = PartialSubmission {
            payload,
            aggregate_signature: *aggregate_signature,
            harvester_version,
        };
        let job = self
            .proofs
            .new_job(Job::Pool(contract, Asked::Partial(number), now.mono));
        self.send_to_pool(job, contract, PoolRequest::Partial(Box::new(submission)), deadline);
        // Whoever sends it answers by then; this is for when nobody does.
        self.timers.set(Timer::Partial(number), deadline + GRACE);
        if let Some(pool) = self.pools.pools.get_mut(&contract) {
            pool.show_partial(&view);
        }
    }

    /// The pool has answered a partial, or there is no answer that could still come.
    pub(super) fn handle_partial_answer(
        &mut self,
        now: Now,
        contract: PuzzleHash,
        number: PartialNumber,
        result: Result<PoolReply, PoolFailure>,
    ) {
        let Some(partial) = self.pools.partials.live.get(&number) else {
            return;
        };
        let points = partial.points;
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        match result {
            Ok(PoolReply::Accepted { new_difficulty }) => {
                let before = pool.difficulty.replace(new_difficulty);
                if pool.registration == Registration::Missing {
                    pool.ask_farmer_soon(now.mono);
                }
                pool.registration = Registration::Done;
                pool.tally.add_acknowledged(now.mono, points);
                self.note_difficulty(contract, before);
                self.end_partial(now, number, PartialOutcome::Accepted, "");
            }
            Ok(_) => self.end_partial(now, number, PartialOutcome::Failed, "the pool answered something else"),
            Err(failure) => {
                let outcome = match &failure {
                    PoolFailure::Refused { code, .. } => match *code {
                        error_code::TOO_LATE | error_code::REVERTED_SIGNAGE_POINT => PartialOutcome::Stale,
                        error_code::PROOF_NOT_GOOD_ENOUGH => PartialOutcome::Insufficient,
                        _ => PartialOutcome::Invalid,
                    },
                    PoolFailure::NoKey => PartialOutcome::Missing,
                    _ => PartialOutcome::Failed,
                };
                if matches!(outcome, PartialOutcome::Insufficient | PartialOutcome::Invalid) {
                    // The account says what difficulty and what key the pool goes by.
                    pool.ask_farmer_soon(now.mono);
                }
                self.end_partial(now, number, outcome, &failure.to_string());
            }
        }
    }

    /// A partial has taken too long.
    pub(in crate::farmer) fn handle_partial_timer(&mut self, now: Now, number: PartialNumber) {
        let Some(partial) = self.pools.partials.live.get(&number) else {
            return;
        };
        match partial.view.step {
            PartialStep::Sending => {
                self.end_partial(now, number, PartialOutcome::Failed, "nothing was heard of the request");
            }
            PartialStep::Solving | PartialStep::Judging | PartialStep::Signing => {
                let why = self.why_not_signed(&partial.sources, partial.source, PARTIAL_WITHIN);
                self.end_partial(now, number, PartialOutcome::Late, &why);
            }
        }
    }

    /// The workers were full.
    pub(in crate::farmer) fn lose_partial_signature(&mut self, now: Now, number: PartialNumber, reason: &str) {
        self.end_partial(now, number, PartialOutcome::Failed, reason);
    }

    /// A v2 partial proof that was wanted by a pool alone will not be completed.
    pub(in crate::farmer) fn note_unsolved_partial(&mut self, now: Now, contract: PuzzleHash, reason: &str) {
        if let Some(pool) = self.pools.pools.get_mut(&contract) {
            pool.tally.add_partial(now.mono, PartialOutcome::Failed);
        }
        self.note_partial_found(now, &contract);
        self.note_partial_loss(now, contract, PartialOutcome::Failed, PartialStep::Solving, reason);
    }

    /// Harvesters that turned out to be one.
    pub(in crate::farmer) fn rename_in_partials(&mut self, from: HarvesterId, to: HarvesterId) {
        self.pools.partials.rename(from, to);
    }

    /// Asks the harvester whose turn it is for its share.
    pub(super) fn ask_for_partial(&mut self, now: Now, number: PartialNumber) {
        let Some(partial) = self.pools.partials.live.get(&number) else {
            return;
        };
        // From this one on: one before it has failed.
        let later = self.later_source(&partial.sources, partial.source);
        let place = match self.next_source(&partial.sources, partial.source) {
            Some(place) if place >= partial.source => place,
            _ => later.unwrap_or(partial.source),
        };
        let Some(pool) = self.pools.pools.get(&partial.contract) else {
            return;
        };
        let (Some(source), Some(timeout)) = (partial.sources.get(place).cloned(), pool.token_timeout) else {
            return;
        };
        let peer_id = self.harvesters.get(source.harvester).map(|slot| slot.peer.peer_id);
        let payload = PostPartialPayload {
            launcher_id: pool.joined.membership.launcher_id,
            authentication_token: authentication_token(now.unix.seconds(), timeout),
            proof_of_space: partial.proof.clone(),
            sp_hash: partial.sp_hash,
            end_of_sub_slot: partial.view.signage_point_index == 0,
            harvester_id: peer_id.unwrap_or_default(),
        };
        let shown = SignatureRequestSourceData {
            kind: SigningDataKind::Partial.as_u8(),
            data: payload.to_bytes(),
        };
        let request = RequestSignatures {
            plot_identifier: source.plot_identifier,
            challenge_hash: partial.challenge_hash,
            sp_hash: partial.sp_hash,
            messages: vec![payload.get_hash()],
            message_data: source.wants_data.then(|| vec![Some(shown)]),
            rc_block_unfinished: None,
        };
        if let Some(partial) = self.pools.partials.live.get_mut(&number) {
            partial.source = place;
            partial.is_signing = false;
            partial.payload = Some(payload);
            partial.view.step = PartialStep::Signing;
            let (view, contract) = (partial.view.clone(), partial.contract);
            self.timers.set(Timer::Partial(number), partial.began + PARTIAL_WITHIN);
            if let Some(pool) = self.pools.pools.get_mut(&contract) {
                pool.show_partial(&view);
            }
        }
        self.send(
            now,
            source.harvester,
            None,
            ToHarvester::RequestSignatures(Box::new(request)),
        );
    }

    /// Partials that a harvester owes its share of, where `is_wanted` says so of the sources and the one that was asked.
    pub(in crate::farmer) fn partials_owed(
        &self,
        is_wanted: &impl Fn(&Self, &[Source], usize) -> bool,
    ) -> Vec<PartialNumber> {
        let live = self.pools.partials.live.iter();
        let owed = live.filter(|(_, partial)| partial.view.step == PartialStep::Signing && !partial.is_signing);
        let wanted = owed.filter(|(_, partial)| is_wanted(self, &partial.sources, partial.source));
        wanted.map(|(number, _)| *number).collect()
    }

    /// Asks for a share again, from the first source on: one that was passed over because it was away may be back.
    pub(in crate::farmer) fn ask_again_for_partial(&mut self, now: Now, number: PartialNumber) {
        if let Some(partial) = self.pools.partials.live.get_mut(&number) {
            partial.source = 0;
            self.ask_for_partial(now, number);
        }
    }

    /// A partial has ended, one way or the other.
    pub(super) fn end_partial(&mut self, now: Now, number: PartialNumber, outcome: PartialOutcome, reason: &str) {
        self.timers.clear(Timer::Partial(number));
        let is_of = |job: &Job| match job {
            Job::SignPartial(of) | Job::Pool(_, Asked::Partial(of), _) => *of == number,
            _ => false,
        };
        self.proofs.jobs.retain(|_, job| !is_of(job));
        let Some(mut partial) = self.pools.partials.live.remove(&number) else {
            return;
        };
        let after_ms = millis(now.mono.since(partial.began));
        partial.view.outcome = Some(outcome);
        reason.clone_into(&mut partial.view.reason);
        partial.view.ended_after_ms = Some(after_ms);
        let Some(pool) = self.pools.pools.get_mut(&partial.contract) else {
            return;
        };
        pool.tally.add_partial(now.mono, outcome);
        pool.show_partial(&partial.view);
        let label = pool.label();
        let name = partial.view.harvester_name;
        let plot_file = partial.view.plot_file;
        match outcome {
            PartialOutcome::Accepted => self.notice(Notice::PartialAccepted {
                pool: label,
                name,
                plot_file,
                points: partial.points,
                after_ms,
            }),
            // What harvesters find at an older difficulty; nothing is wrong with it.
            PartialOutcome::Insufficient if partial.view.step == PartialStep::Judging => {}
            _ => {
                self.notice(Notice::PartialLost {
                    pool: label,
                    name,
                    plot_file,
                    outcome,
                    step: partial.view.step,
                    reason: reason.to_owned(),
                    after_ms,
                });
                self.note_partial_loss(now, partial.contract, outcome, partial.view.step, reason);
            }
        }
    }

    /// Opens an alarm when partials are lost more often than now and then.
    fn note_partial_loss(
        &mut self,
        now: Now,
        contract: PuzzleHash,
        outcome: PartialOutcome,
        step: PartialStep,
        reason: &str,
    ) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        // What is wrong then has an alarm of its own.
        let is_unknown_there = pool.registration == Registration::Missing && outcome == PartialOutcome::Invalid;
        if outcome == PartialOutcome::Missing || is_unknown_there {
            return;
        }
        let partials = pool.losses_counted.add(now.mono, outcome);
        let alarm = AlarmKind::PartialsLost {
            pool: pool.label(),
            launcher_id: pool.joined.membership.launcher_id,
            outcome,
            partials,
            step,
            reason: reason.to_owned(),
        };
        if partials >= LOSSES_TOLD || outcome == PartialOutcome::Invalid {
            self.raise(now, alarm);
        }
    }
}

/// For the answer of whoever sends a partial to arrive.
const GRACE: Duration = Duration::from_secs(5);

/// Partials one pool may have to answer: one that hangs must not take the place of others.
const MAX_SENDING: usize = 32;

/// One in a while is lost on every farm.
const LOSSES_TOLD: u64 = 3;
