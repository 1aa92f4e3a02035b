//! Shares of signatures: who is asked for them, whose come in, and what becomes of a proof when none do.
//!
//! A harvester that goes away in the meantime may be back in time, and another harvester may have the same plot, so a proof
//! is lost only when its time has run out.

use std::time::Duration;

use super::Farmer;
use super::blocks::block_messages;
use super::declarations::point_messages;
use super::input::{PlotSignatures, SignError};
use super::numbers::{BlockNumber, JobId, ProofNumber};
use super::proofs::{Job, Phase, Proof, Source, Step};
use crate::clock::Now;
use crate::ids::{Bytes32, RewardChainSp};
use crate::snapshot::{AlarmKind, HarvesterId, Notice, ProofStage};
use crate::wire::RespondSignatures;

impl Farmer {
    /// A harvester sent its shares of signatures.
    pub(super) fn handle_respond_signatures(&mut self, now: Now, id: HarvesterId, response: RespondSignatures) {
        let is_source = |source: &Source| source.harvester == id && source.plot_identifier == response.plot_identifier;
        let mut candidates = Vec::new();
        for (number, proof) in self
            .proofs
            .live
            .iter_mut()
            .filter(|(_, proof)| proof.sp_hash == response.sp_hash)
        {
            if let Some(place) = proof.sources.iter().position(is_source) {
                let source = &mut proof.sources[place];
                source.wants_data |=
                    response.include_source_signature_data || response.farmer_reward_address_override.is_some();
                candidates.push((*number, place));
            }
        }
        let messages: Vec<_> = response
            .message_signatures
            .iter()
            .map(|(message, _)| *message)
            .collect();
        let Some(response) = self.take_partial_shares(id, response) else {
            return;
        };
        // Shares for something else than was asked go to a worker too: it says what is wrong with them.
        let asked = self
            .asked_for(&candidates, &|_, asked| asked == messages)
            .or_else(|| self.asked_for(&candidates, &|proof, asked| is_meant_for(&messages, proof, asked)));
        match asked {
            Some((source, Asked::Point(number, reward_chain_sp))) => {
                self.sign_point(now, number, reward_chain_sp, source, response);
            }
            Some((source, Asked::Block(number))) => self.sign_block(number, source, response),
            None => self.counters.unexpected_signatures += 1,
        }
    }

    /// A worker has completed signatures, or could not.
    pub(super) fn handle_signed(&mut self, now: Now, job: JobId, result: Result<PlotSignatures, SignError>) {
        match self.proofs.jobs.remove(&job) {
            Some(Job::SignPoint(number, reward_chain_sp)) => match result {
                Ok(signatures) => self.declare(now, number, reward_chain_sp, &signatures),
                Err(error) => self.retry_point(now, number, reward_chain_sp, &error.to_string()),
            },
            Some(Job::SignBlock(number)) => match result {
                Ok(signatures) => self.send_signed_values(now, number, &signatures),
                Err(error) => self.retry_block(now, number, &error.to_string()),
            },
            Some(Job::SignPartial(number)) => self.handle_partial_signed(now, number, result),
            // Other work is no signature; whoever says so is answered when its result comes.
            Some(job_of_other_kind @ (Job::Solve(_) | Job::Verify(_) | Job::Pool(..))) => {
                self.proofs.jobs.insert(job, job_of_other_kind);
            }
            None => {}
        }
    }

    /// A harvester is gone: others that have its plots are asked for the signatures it owes.
    pub(super) fn try_other_sources(&mut self, now: Now, id: HarvesterId) {
        self.ask_where(now, |farmer, sources, source| {
            sources.get(source).is_some_and(|it| it.harvester == id) && farmer.next_source(sources, 0).is_some()
        });
    }

    /// A harvester has connected: it is asked for the signatures it owes, or that nobody else can give.
    pub(super) fn ask_again_for_signatures(&mut self, now: Now, id: HarvesterId) {
        self.ask_where(now, |farmer, sources, source| {
            let is_source = sources.iter().any(|it| it.harvester == id);
            let current = sources.get(source).map(|it| it.harvester);
            is_source && current.is_none_or(|current| current == id || !farmer.is_greeted(current))
        });
    }

    /// A harvester has what was found by another one before: it is asked for the signatures that nobody else can give.
    pub(super) fn ask_new_source(&mut self, now: Now, id: HarvesterId) {
        self.ask_where(now, |farmer, sources, source| {
            let is_source = sources.iter().any(|it| it.harvester == id);
            let current = sources.get(source).map(|it| it.harvester);
            is_source && current.is_none_or(|current| !farmer.is_greeted(current))
        });
    }

    /// Asks again for whatever is owed, where `is_wanted` says so of the sources and the one that was asked.
    fn ask_where(&mut self, now: Now, is_wanted: impl Fn(&Self, &[Source], usize) -> bool) {
        let mut points = Vec::new();
        for (number, proof) in &self.proofs.live {
            let Phase::Winner { declarations, .. } = &proof.phase else {
                continue;
            };
            let asked = declarations
                .iter()
                .filter(|declaration| matches!(declaration.step, Step::Asked { .. }));
            let wanted = asked.filter(|declaration| is_wanted(self, &proof.sources, declaration.source));
            points.extend(wanted.map(|declaration| (*number, declaration.reward_chain_sp)));
        }
        let blocks = self.proofs.blocks.iter().filter(|(_, block)| !block.is_signing);
        let wanted = blocks.filter(|(_, block)| {
            let proof = self.proofs.live.get(&block.proof);
            proof.is_some_and(|proof| is_wanted(self, &proof.sources, block.source))
        });
        let blocks: Vec<_> = wanted.map(|(number, _)| *number).collect();
        let partials = self.partials_owed(&is_wanted);
        for (number, reward_chain_sp) in points {
            // From the first source on: one that was passed over because it was away may be back.
            self.change_declaration(number, reward_chain_sp, |declaration| declaration.source = 0);
            self.ask_for_point(now, number, reward_chain_sp);
        }
        for number in blocks {
            if let Some(block) = self.proofs.blocks.get_mut(&number) {
                block.source = 0;
            }
            self.ask_for_block(now, number);
        }
        for number in partials {
            self.ask_again_for_partial(now, number);
        }
    }

    /// What one of these proofs, each with one of its sources, is waiting for, among what fits.
    fn asked_for(
        &self,
        candidates: &[(ProofNumber, usize)],
        fits: &dyn Fn(&Proof, &[Bytes32]) -> bool,
    ) -> Option<(usize, Asked)> {
        for (number, source) in candidates {
            let Some(proof) = self.proofs.live.get(number) else {
                continue;
            };
            let blocks = self
                .proofs
                .blocks
                .iter()
                .filter(|(_, block)| block.proof == *number && !block.is_signing);
            let mut blocks = blocks.filter(|(_, block)| fits(proof, &block_messages(&block.request)));
            if let Some((block, _)) = blocks.next() {
                return Some((*source, Asked::Block(*block)));
            }
            let Phase::Winner { declarations, .. } = &proof.phase else {
                continue;
            };
            let asked = declarations
                .iter()
                .filter(|declaration| matches!(declaration.step, Step::Asked { .. }));
            let mut asked = asked.filter(|it| fits(proof, &point_messages(proof.sp_hash, it.reward_chain_sp)));
            if let Some(declaration) = asked.next() {
                return Some((*source, Asked::Point(*number, declaration.reward_chain_sp)));
            }
        }
        None
    }

    /// A proof will not become a block. What was signed before stays signed.
    pub(super) fn lose_proof(&mut self, now: Now, number: ProofNumber, reason: &str) {
        let stage = self.proofs.live.get(&number).map(|proof| &proof.view.stage);
        if !matches!(stage, Some(ProofStage::BlockSigned)) {
            self.note_lost(now, number, reason);
        }
    }

    pub(super) fn note_lost(&mut self, now: Now, number: ProofNumber, reason: &str) {
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        if matches!(
            proof.view.stage,
            ProofStage::BlockAccepted { .. } | ProofStage::Lost { .. }
        ) {
            return;
        }
        let (name, reason) = (proof.view.harvester_name.clone(), reason.to_owned());
        self.wins.lost += 1;
        self.proofs
            .set_stage(number, ProofStage::Lost { reason: reason.clone() });
        self.notice(Notice::ProofLost {
            name: name.clone(),
            reason: reason.clone(),
        });
        self.raise(now, AlarmKind::ProofLost { name, reason });
    }

    /// Sets a stage that is further than the one before. What was given up may still come through.
    pub(super) fn advance(&mut self, number: ProofNumber, stage: ProofStage) {
        if let Some(proof) = self.proofs.live.get(&number)
            && matches!(proof.view.stage, ProofStage::Lost { .. })
        {
            self.wins.lost -= 1;
        }
        self.proofs.set_stage(number, stage);
    }

    pub(super) fn why_not_signed(&self, sources: &[Source], source: usize, within: Duration) -> String {
        let Some(source) = sources.get(source) else {
            return "nobody has the plot any more".to_owned();
        };
        match self.harvesters.get(source.harvester) {
            None => "its harvester is gone".to_owned(),
            Some(slot) if slot.session.is_none() => format!("{} is gone: {}", slot.name, slot.gone_why),
            Some(slot) => format!("{} sent no signatures within {} s", slot.name, within.as_secs()),
        }
    }

    /// The first source from this one on, and then from the start, that can be asked.
    pub(super) fn next_source(&self, sources: &[Source], from: usize) -> Option<usize> {
        let order = (from..sources.len()).chain(0..from.min(sources.len()));
        order
            .into_iter()
            .find(|place| self.is_greeted(sources[*place].harvester))
    }

    /// The first source after this one that can be asked.
    pub(super) fn later_source(&self, sources: &[Source], after: usize) -> Option<usize> {
        (after + 1..sources.len()).find(|place| self.is_greeted(sources[*place].harvester))
    }

    fn is_greeted(&self, id: HarvesterId) -> bool {
        self.harvesters
            .get(id)
            .and_then(|slot| slot.session.as_ref())
            .is_some_and(|session| session.greeted)
    }
}

/// Whether shares that are not those asked for can be meant for it, and so be held against the harvester. They may as well
/// be those of something that was given up meanwhile, and those that are waited for are still to come.
fn is_meant_for(messages: &[Bytes32], proof: &Proof, asked: &[Bytes32]) -> bool {
    let is_of_point = |messages: &[Bytes32]| messages.first().is_some_and(|first| first.0 == proof.sp_hash.0);
    match messages {
        [] => true,
        _ if is_of_point(asked) => is_of_point(messages) && !proof.was_asked_for(messages),
        // A partial has one message.
        _ => !is_of_point(messages) && messages.len() > 1,
    }
}

/// What a harvester was asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Point(ProofNumber, RewardChainSp),
    Block(BlockNumber),
}
