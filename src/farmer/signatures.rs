//! From a good proof to a signed block: harvesters are asked for their shares of the signatures, workers complete them,
//! nodes get the declaration and later the block's signatures. Whatever goes wrong on the way is named.
//!
//! A harvester that goes away in the meantime may be back in time, and another harvester may have the same plot, so a proof
//! is lost only when its time has run out.

use std::time::Duration;

use super::Farmer;
use super::input::{PlotSignatures, SignError};
use super::output::{JobId, Output, SignPurpose};
use super::proofs::{BlockNumber, Job, Phase, ProofNumber, Source, millis};
use super::signing_guard::{self, Declared};
use super::timers::Timer;
use crate::clock::{Mono, Now};
use crate::ids::{Bytes32, NodeId, PuzzleHash, QualityString, RewardChainSp, SessionId, SpHash};
use crate::snapshot::{AlarmKind, HarvesterId, Notice, ProofStage};
use crate::units::Height;
use crate::wire::{
    DeclareProofOfSpace, NewSignagePoint, PlotPool, PoolTarget, RequestSignatures, RequestSignedValues,
    RespondSignatures, SignatureRequestSourceData, SignedValues, SigningDataKind, Streamable, ToHarvester,
};

/// A proof on its way to the nodes, for one reward chain.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    /// The signage point in that reward chain.
    pub(super) reward_chain_sp: RewardChainSp,
    /// Which of the proof's sources signs.
    source: usize,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The harvester was asked for its shares.
    Asked { since: Mono },
    /// A worker completes the signatures.
    Signing { since: Mono },
    /// The nodes know, and should ask for the block.
    Declared { at: Mono },
    /// A node has asked for the block, or the chain has spoken.
    Taken,
    /// It will not be declared.
    Over,
}

/// A block that a node wants signed.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The proof it is made of.
    pub(super) proof: ProofNumber,
    node: NodeId,
    request: Box<RequestSignedValues>,
    source: usize,
    /// Whether shares have come and a worker completes them.
    is_signing: bool,
    /// The request to the harvester, as long as it has not answered.
    asked: Option<(SessionId, u16)>,
}

impl Farmer {
    /// Asks for the signatures of every declaration a winner is good enough for and that was not begun; says whether there
    /// is any.
    pub(super) fn declare_where_good_enough(&mut self, now: Now, number: ProofNumber) -> bool {
        let reward_chains = self.new_declarations(number);
        let Some(proof) = self.proofs.live.get_mut(&number) else {
            return false;
        };
        let Phase::Winner { declarations, .. } = &mut proof.phase else {
            return false;
        };
        let step = Step::Asked { since: now.mono };
        declarations.extend(reward_chains.iter().map(|reward_chain_sp| Declaration {
            reward_chain_sp: *reward_chain_sp,
            source: 0,
            step,
        }));
        if declarations.is_empty() {
            return false;
        }
        if matches!(proof.view.stage, ProofStage::Found) {
            self.proofs.set_stage(number, ProofStage::Verified);
        }
        for reward_chain_sp in reward_chains {
            match self.missing_target(number) {
                Some(reason) => self.lose_declaration(now, number, reward_chain_sp, &reason),
                None => self.ask_for_point(now, number, reward_chain_sp),
            }
        }
        self.arm_proof_timer(number);
        true
    }

    /// A signage point came with another reward chain: its proofs count there too.
    pub(super) fn declare_for_new_variant(&mut self, now: Now, sp_hash: &SpHash) {
        let winners = self
            .proofs
            .live
            .iter()
            .filter(|(_, proof)| proof.sp_hash == *sp_hash && matches!(proof.phase, Phase::Winner { .. }));
        for number in winners.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.declare_where_good_enough(now, number);
        }
    }

    /// A harvester sent its shares of signatures.
    pub(super) fn handle_respond_signatures(
        &mut self,
        now: Now,
        id: HarvesterId,
        envelope: Option<u16>,
        response: RespondSignatures,
    ) {
        self.review_override(now, id, response.farmer_reward_address_override);
        if let Some(envelope) = envelope
            && let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut())
        {
            session.requests.remove(&envelope);
        }
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
        // Shares for something else than was asked go to a worker too: it says what is wrong with them.
        let asked = self
            .asked_for(&candidates, Some(&messages))
            .or_else(|| self.asked_for(&candidates, None));
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
            // A verification is no signature; whoever says so is answered when the verification comes.
            Some(job_of_other_kind @ Job::Verify(_)) => {
                self.proofs.jobs.insert(job, job_of_other_kind);
            }
            None => {}
        }
    }

    /// A node has made a block of a proof and wants it signed.
    pub(super) fn handle_request_signed_values(&mut self, now: Now, node: NodeId, request: Box<RequestSignedValues>) {
        let Some(number) = self.proofs.by_quality.get(&request.quality_string).copied() else {
            self.counters.unknown_block_requests += 1;
            return;
        };
        self.note_taken(number);
        if let Err(refusal) = self.check_block(node, number, &request) {
            let node = self
                .nodes
                .get(&node)
                .map(|node| node.status.name.clone())
                .unwrap_or_default();
            self.raise(
                now,
                AlarmKind::SigningRefused {
                    node: node.clone(),
                    reason: refusal.clone(),
                },
            );
            return self.lose_proof(
                now,
                number,
                &format!("the block {node} made of it was not signed: {refusal}"),
            );
        }
        let is_same = |block: &Block| block.node == node && block.request == request;
        if self.proofs.blocks.values().any(is_same) {
            return;
        }
        if self.proofs.blocks.len() >= MAX_BLOCKS {
            return self.lose_proof(now, number, &format!("{MAX_BLOCKS} blocks were waiting for signatures"));
        }
        let source = self.proofs.live.get(&number).map_or(0, |proof| match &proof.phase {
            Phase::Winner { declarations, .. } => declarations.first().map_or(0, |declaration| declaration.source),
            _ => 0,
        });
        let block = self.proofs.new_block();
        self.proofs.blocks.insert(
            block,
            Block {
                proof: number,
                node,
                request,
                source,
                is_signing: false,
                asked: None,
            },
        );
        self.timers.set(Timer::Block(block), now.mono + BLOCK_SIGNED_WITHIN);
        self.ask_for_block(now, block);
    }

    /// A node says what became of a proof.
    pub(super) fn handle_chain_verdict(&mut self, now: Now, quality: &QualityString, verdict: Result<Height, String>) {
        let Some(number) = self.proofs.by_quality.get(quality).copied() else {
            return;
        };
        self.note_taken(number);
        match verdict {
            Ok(height) => {
                let Some(proof) = self.proofs.live.get(&number) else {
                    return;
                };
                if matches!(proof.view.stage, ProofStage::BlockAccepted { .. }) {
                    return;
                }
                let name = proof.view.harvester_name.clone();
                self.advance(number, ProofStage::BlockAccepted { height: height.0 });
                self.wins.blocks_accepted += 1;
                let simulated = self.config.simulated;
                self.notice(Notice::BlockAccepted {
                    name,
                    height: height.0,
                    simulated,
                });
            }
            Err(reason) => self.note_lost(now, number, &reason),
        }
    }

    /// Declarations of a proof whose time has run out.
    pub(super) fn expire_declarations(&mut self, now: Now, number: ProofNumber) {
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        let Phase::Winner { declarations, .. } = &proof.phase else {
            return;
        };
        let mut lost = Vec::new();
        for declaration in declarations {
            if declaration.step.deadline().is_none_or(|deadline| deadline > now.mono) {
                continue;
            }
            let reason = match declaration.step {
                Step::Asked { .. } => self.why_not_signed(&proof.sources, declaration.source, SHARES_WITHIN),
                Step::Signing { .. } => format!("no worker signed it within {} s", SHARES_WITHIN.as_secs()),
                Step::Declared { .. } | Step::Taken | Step::Over => {
                    format!(
                        "no full node asked for block signatures within {} s",
                        BLOCK_ASKED_WITHIN.as_secs()
                    )
                }
            };
            lost.push((declaration.reward_chain_sp, reason));
        }
        for (reward_chain_sp, reason) in lost {
            self.lose_declaration(now, number, reward_chain_sp, &reason);
        }
        self.arm_proof_timer(number);
    }

    /// A block was not signed in time.
    pub(super) fn handle_block_timer(&mut self, now: Now, number: BlockNumber) {
        let Some(block) = self.proofs.blocks.get(&number) else {
            return;
        };
        let Some(proof) = self.proofs.live.get(&block.proof) else {
            return;
        };
        let reason = self.why_not_signed(&proof.sources, block.source, BLOCK_SIGNED_WITHIN);
        self.lose_block(now, number, &format!("signing the block: {reason}"));
    }

    /// A block will not be signed.
    pub(super) fn lose_block(&mut self, now: Now, number: BlockNumber, reason: &str) {
        if let Some(block) = self.take_block(number) {
            self.lose_proof(now, block.proof, reason);
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

    /// A harvester wants the reward elsewhere. It never goes there; a person should know.
    pub(super) fn review_override(&mut self, now: Now, harvester: HarvesterId, wanted: Option<PuzzleHash>) {
        if wanted.is_some() && wanted != self.config.keys.farmer_target {
            let name = self.harvesters.name(harvester);
            self.raise(now, AlarmKind::RewardOverrideRefused { harvester, name });
        }
    }

    fn check_block(&self, node: NodeId, number: ProofNumber, request: &RequestSignedValues) -> Result<(), String> {
        let proof = self.proofs.live.get(&number).ok_or("its proof is not known any more")?;
        let keys = &self.config.keys;
        let declared = Declared {
            proof: &proof.proof,
            quality: &request.quality_string,
            farmer_target: keys
                .farmer_target
                .as_ref()
                .ok_or("no address is set for the farmer reward")?,
            pool_target: keys.pool_target.as_ref(),
        };
        let trust = self
            .nodes
            .get(&node)
            .map_or(super::input::NodeTrust::Foreign, |node| node.status.trust);
        signing_guard::check(request, &declared, trust).map_err(|refusal| refusal.to_string())
    }

    fn ask_for_point(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp) {
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        let Phase::Winner { declarations, .. } = &proof.phase else {
            return;
        };
        let is_it = |declaration: &&Declaration| declaration.reward_chain_sp == reward_chain_sp;
        let Some(declaration) = declarations.iter().find(is_it) else {
            return;
        };
        let Some(place) = self.next_source(&proof.sources, declaration.source) else {
            return;
        };
        let Some(variant) = self
            .signage_points
            .get(&proof.sp_hash)
            .and_then(|it| it.of_reward_chain(&reward_chain_sp))
        else {
            return;
        };
        let source = &proof.sources[place];
        let request = RequestSignatures {
            plot_identifier: source.plot_identifier.clone(),
            challenge_hash: proof.challenge_hash,
            sp_hash: proof.sp_hash,
            messages: point_messages(proof.sp_hash, reward_chain_sp),
            message_data: source.wants_data.then(|| point_data(&variant.message)).flatten(),
            rc_block_unfinished: None,
        };
        let harvester = source.harvester;
        self.change_declaration(number, reward_chain_sp, |declaration| declaration.source = place);
        self.send(now, harvester, None, ToHarvester::RequestSignatures(Box::new(request)));
    }

    fn ask_for_block(&mut self, now: Now, number: BlockNumber) {
        let Some(block) = self.proofs.blocks.get(&number) else {
            return;
        };
        let Some(proof) = self.proofs.live.get(&block.proof) else {
            return;
        };
        let Some(place) = self.next_source(&proof.sources, block.source) else {
            return;
        };
        let source = &proof.sources[place];
        let signed = &block.request;
        let request = RequestSignatures {
            plot_identifier: source.plot_identifier.clone(),
            challenge_hash: proof.challenge_hash,
            sp_hash: proof.sp_hash,
            messages: block_messages(signed),
            message_data: source.wants_data.then(|| block_data(signed)).flatten(),
            rc_block_unfinished: if source.wants_data {
                signed.rc_block_unfinished.clone()
            } else {
                None
            },
        };
        let harvester = source.harvester;
        self.give_back_request_id(number);
        let Some(session) = self
            .harvesters
            .get_mut(harvester)
            .and_then(|slot| slot.session.as_mut())
        else {
            return;
        };
        let Some(envelope) = session.new_request_id() else {
            return;
        };
        let asked = (session.id, envelope);
        if let Some(block) = self.proofs.blocks.get_mut(&number) {
            block.source = place;
            block.asked = Some(asked);
        }
        self.send(
            now,
            harvester,
            Some(envelope),
            ToHarvester::RequestSignatures(Box::new(request)),
        );
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
    }

    /// What one of these proofs, each with one of its sources, is waiting for: exactly these messages, or anything.
    fn asked_for(&self, candidates: &[(ProofNumber, usize)], messages: Option<&[Bytes32]>) -> Option<(usize, Asked)> {
        let fits = |asked: &[Bytes32]| messages.is_none_or(|messages| messages == asked);
        for (number, source) in candidates {
            let blocks = self
                .proofs
                .blocks
                .iter()
                .filter(|(_, block)| block.proof == *number && !block.is_signing);
            let mut blocks = blocks.filter(|(_, block)| fits(&block_messages(&block.request)));
            if let Some((block, _)) = blocks.next() {
                return Some((*source, Asked::Block(*block)));
            }
            let Some(proof) = self.proofs.live.get(number) else {
                continue;
            };
            let Phase::Winner { declarations, .. } = &proof.phase else {
                continue;
            };
            let asked = declarations
                .iter()
                .filter(|declaration| matches!(declaration.step, Step::Asked { .. }));
            let mut asked = asked.filter(|it| fits(&point_messages(proof.sp_hash, it.reward_chain_sp)));
            if let Some(declaration) = asked.next() {
                return Some((*source, Asked::Point(*number, declaration.reward_chain_sp)));
            }
        }
        None
    }

    fn sign_point(
        &mut self,
        now: Now,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        source: usize,
        response: RespondSignatures,
    ) {
        let job = self.proofs.new_job(Job::SignPoint(number, reward_chain_sp));
        self.change_declaration(number, reward_chain_sp, |declaration| {
            declaration.source = source;
            declaration.step = Step::Signing { since: now.mono };
        });
        self.arm_proof_timer(number);
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        let pool_target = match proof.proof.pool {
            PlotPool::PublicKey(_) => self.config.keys.pool_target,
            PlotPool::Contract(_) => None,
        };
        self.outputs.push_back(Output::Sign {
            job,
            proof: Box::new(proof.proof.clone()),
            response: Box::new(response),
            messages: point_messages(proof.sp_hash, reward_chain_sp),
            purpose: SignPurpose::SignagePoint { pool_target },
        });
    }

    fn sign_block(&mut self, number: BlockNumber, source: usize, response: RespondSignatures) {
        self.give_back_request_id(number);
        let Some(block) = self.proofs.blocks.get_mut(&number) else {
            return;
        };
        block.is_signing = true;
        block.source = source;
        let messages = block_messages(&block.request);
        let Some(proof) = self
            .proofs
            .live
            .get(&block.proof)
            .map(|proof| Box::new(proof.proof.clone()))
        else {
            return;
        };
        let job = self.proofs.new_job(Job::SignBlock(number));
        self.outputs.push_back(Output::Sign {
            job,
            proof,
            response: Box::new(response),
            messages,
            purpose: SignPurpose::Block,
        });
    }

    /// A harvester's shares were useless: the next one that has the plot is asked.
    fn retry_point(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp, error: &str) {
        let mut has_next = false;
        if let Some(proof) = self.proofs.live.get(&number)
            && let Some(declaration) = proof.declaration(reward_chain_sp)
            && matches!(declaration.step, Step::Signing { .. })
        {
            has_next = self.later_source(&proof.sources, declaration.source).is_some();
        }
        if !has_next {
            return self.lose_declaration(now, number, reward_chain_sp, error);
        }
        self.change_declaration(number, reward_chain_sp, |declaration| {
            declaration.source += 1;
            declaration.step = Step::Asked { since: now.mono };
        });
        self.ask_for_point(now, number, reward_chain_sp);
        self.arm_proof_timer(number);
    }

    fn retry_block(&mut self, now: Now, number: BlockNumber, error: &str) {
        let Some(block) = self.proofs.blocks.get(&number) else {
            return;
        };
        let proof = self.proofs.live.get(&block.proof);
        if proof
            .and_then(|proof| self.later_source(&proof.sources, block.source))
            .is_none()
        {
            return self.lose_block(now, number, &format!("signing the block: {error}"));
        }
        if let Some(block) = self.proofs.blocks.get_mut(&number) {
            block.source += 1;
            block.is_signing = false;
        }
        self.ask_for_block(now, number);
    }

    fn declare(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp, signatures: &PlotSignatures) {
        match self.declaration(number, reward_chain_sp, signatures) {
            Err(reason) => self.lose_declaration(now, number, reward_chain_sp, &reason),
            Ok((nodes, message)) => {
                self.outputs.push_back(Output::Declare {
                    nodes,
                    message: Box::new(message),
                });
                let step = Step::Declared { at: now.mono };
                self.change_declaration(number, reward_chain_sp, |declaration| declaration.step = step);
                let Some(proof) = self.proofs.live.get_mut(&number) else {
                    return;
                };
                let elapsed = millis(now.mono.since(proof.found));
                let view = &mut proof.view;
                if view.declared_after_ms.is_none() {
                    self.wins.declared += 1;
                    view.signed_after_ms = Some(elapsed);
                    view.declared_after_ms = Some(elapsed);
                    let notice = Notice::ProofDeclared {
                        name: view.harvester_name.clone(),
                        plot_file: view.plot_file.clone(),
                        signage_point_index: view.signage_point_index,
                    };
                    self.notice(notice);
                }
                self.advance(number, ProofStage::Declared);
                self.arm_proof_timer(number);
            }
        }
    }

    /// The declaration of a proof and the nodes it goes to, or why there is none.
    fn declaration(
        &self,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        signatures: &PlotSignatures,
    ) -> Result<(Vec<NodeId>, DeclareProofOfSpace), String> {
        let proof = self.proofs.live.get(&number).ok_or("it is not known any more")?;
        let point = self.signage_points.get(&proof.sp_hash);
        let variant = point.and_then(|point| point.of_reward_chain(&reward_chain_sp));
        let variant = variant.ok_or("its signage point is not known any more")?;
        let nodes = self.nodes_for(&variant.nodes);
        if nodes.is_empty() {
            return Err("no full node is connected to declare it to".to_owned());
        }
        let [challenge_chain_sp_signature, reward_chain_sp_signature] = *signatures.signatures.as_slice() else {
            return Err(format!(
                "{} signatures were made instead of two",
                signatures.signatures.len()
            ));
        };
        let keys = &self.config.keys;
        let pool_target = match proof.proof.pool {
            PlotPool::Contract(_) => None,
            PlotPool::PublicKey(_) => {
                let puzzle_hash = keys.pool_target.ok_or("no address is set for the pool reward")?;
                Some(PoolTarget {
                    puzzle_hash,
                    max_height: 0,
                })
            }
        };
        if pool_target.is_some() && signatures.pool_signature.is_none() {
            return Err("the pool reward is not signed over".to_owned());
        }
        let message = DeclareProofOfSpace {
            challenge_hash: proof.challenge_hash,
            challenge_chain_sp: proof.sp_hash,
            signage_point_index: variant.message.signage_point_index,
            reward_chain_sp,
            proof_of_space: proof.proof.clone(),
            challenge_chain_sp_signature,
            reward_chain_sp_signature,
            farmer_puzzle_hash: keys.farmer_target.ok_or("no address is set for the farmer reward")?,
            pool_signature: pool_target.as_ref().and(signatures.pool_signature),
            pool_target,
            // So that the node shows what it wants signed.
            include_signature_source_data: true,
        };
        Ok((nodes, message))
    }

    fn send_signed_values(&mut self, now: Now, number: BlockNumber, signatures: &PlotSignatures) {
        let [foliage_block_data_signature, foliage_transaction_block_signature] = *signatures.signatures.as_slice()
        else {
            let count = signatures.signatures.len();
            return self.lose_block(now, number, &format!("{count} signatures were made instead of two"));
        };
        let Some(block) = self.take_block(number) else { return };
        let quality_string = block.request.quality_string;
        let message = SignedValues {
            quality_string,
            foliage_block_data_signature,
            foliage_transaction_block_signature,
        };
        self.outputs.push_back(Output::SignedValues {
            node: block.node,
            message: Box::new(message),
        });
        let Some(proof) = self.proofs.live.get_mut(&block.proof) else {
            return;
        };
        let name = proof.view.harvester_name.clone();
        let is_first = proof.view.block_signed_after_ms.is_none();
        proof
            .view
            .block_signed_after_ms
            .get_or_insert(millis(now.mono.since(proof.found)));
        let is_accepted = matches!(proof.view.stage, ProofStage::BlockAccepted { .. });
        self.wins.last_block_unix_ms = Some(now.unix.0);
        self.wins.blocks_signed += u64::from(is_first);
        if !is_accepted {
            self.advance(block.proof, ProofStage::BlockSigned);
        }
        self.notice(Notice::BlockSigned { name });
    }

    /// One declaration of a proof is lost; the proof is, when no other is left.
    fn lose_declaration(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp, reason: &str) {
        self.change_declaration(number, reward_chain_sp, |declaration| declaration.step = Step::Over);
        self.proofs
            .jobs
            .retain(|_, job| *job != Job::SignPoint(number, reward_chain_sp));
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        if let Phase::Winner { declarations, .. } = &proof.phase
            && declarations.iter().all(|declaration| declaration.step == Step::Over)
        {
            let stage = match proof.view.stage {
                ProofStage::Declared => "after its declaration",
                _ => "signing the signage point",
            };
            self.lose_proof(now, number, &format!("{stage}: {reason}"));
        }
        self.arm_proof_timer(number);
    }

    /// A proof will not become a block. What was signed before stays signed.
    fn lose_proof(&mut self, now: Now, number: ProofNumber, reason: &str) {
        let stage = self.proofs.live.get(&number).map(|proof| &proof.view.stage);
        if !matches!(stage, Some(ProofStage::BlockSigned)) {
            self.note_lost(now, number, reason);
        }
    }

    fn note_lost(&mut self, now: Now, number: ProofNumber, reason: &str) {
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
    fn advance(&mut self, number: ProofNumber, stage: ProofStage) {
        if let Some(proof) = self.proofs.live.get(&number)
            && matches!(proof.view.stage, ProofStage::Lost { .. })
        {
            self.wins.lost -= 1;
        }
        self.proofs.set_stage(number, stage);
    }

    /// Why a winner cannot be declared at all.
    fn missing_target(&self, number: ProofNumber) -> Option<String> {
        let proof = self.proofs.live.get(&number)?;
        let keys = &self.config.keys;
        let needs_pool_target = matches!(proof.proof.pool, PlotPool::PublicKey(_));
        if keys.farmer_target.is_none() {
            Some("no address is set for the farmer reward".to_owned())
        } else if needs_pool_target && keys.pool_target.is_none() {
            Some("no address is set for the pool reward".to_owned())
        } else {
            None
        }
    }

    fn why_not_signed(&self, sources: &[Source], source: usize, within: Duration) -> String {
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
    fn next_source(&self, sources: &[Source], from: usize) -> Option<usize> {
        let order = (from..sources.len()).chain(0..from.min(sources.len()));
        order
            .into_iter()
            .find(|place| self.is_greeted(sources[*place].harvester))
    }

    /// The first source after this one that can be asked.
    fn later_source(&self, sources: &[Source], after: usize) -> Option<usize> {
        (after + 1..sources.len()).find(|place| self.is_greeted(sources[*place].harvester))
    }

    fn is_greeted(&self, id: HarvesterId) -> bool {
        self.harvesters
            .get(id)
            .and_then(|slot| slot.session.as_ref())
            .is_some_and(|session| session.greeted)
    }

    fn take_block(&mut self, number: BlockNumber) -> Option<Block> {
        self.give_back_request_id(number);
        self.timers.clear(Timer::Block(number));
        self.proofs.jobs.retain(|_, job| *job != Job::SignBlock(number));
        self.proofs.blocks.remove(&number)
    }

    fn give_back_request_id(&mut self, number: BlockNumber) {
        let asked = self.proofs.blocks.get_mut(&number).and_then(|block| block.asked.take());
        let Some((session_id, envelope)) = asked else { return };
        if let Some(id) = self.harvesters.of_session(session_id)
            && let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut())
        {
            session.requests.remove(&envelope);
        }
    }

    fn change_declaration(
        &mut self,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        change: impl FnOnce(&mut Declaration),
    ) {
        if let Some(proof) = self.proofs.live.get_mut(&number)
            && let Phase::Winner { declarations, .. } = &mut proof.phase
            && let Some(declaration) = declarations.iter_mut().find(|it| it.reward_chain_sp == reward_chain_sp)
        {
            change(declaration);
        }
    }

    /// Nobody needs to wait any more for a node to take a proof up.
    fn note_taken(&mut self, number: ProofNumber) {
        if let Some(proof) = self.proofs.live.get_mut(&number)
            && let Phase::Winner { declarations, .. } = &mut proof.phase
        {
            let declared = |declaration: &&mut Declaration| matches!(declaration.step, Step::Declared { .. });
            declarations
                .iter_mut()
                .filter(declared)
                .for_each(|declaration| declaration.step = Step::Taken);
        }
        self.arm_proof_timer(number);
    }

    fn arm_proof_timer(&mut self, number: ProofNumber) {
        let Some(proof) = self.proofs.live.get(&number) else {
            return;
        };
        let Phase::Winner { declarations, .. } = &proof.phase else {
            return;
        };
        let deadline = declarations
            .iter()
            .filter_map(|declaration| declaration.step.deadline())
            .min();
        self.timers.put(Timer::Proof(number), deadline);
    }
}

impl super::proofs::Proof {
    fn declaration(&self, reward_chain_sp: RewardChainSp) -> Option<&Declaration> {
        match &self.phase {
            Phase::Winner { declarations, .. } => declarations
                .iter()
                .find(|declaration| declaration.reward_chain_sp == reward_chain_sp),
            Phase::Queued | Phase::Verifying(_) => None,
        }
    }
}

impl Step {
    /// When it has taken too long.
    fn deadline(self) -> Option<Mono> {
        match self {
            Self::Asked { since } | Self::Signing { since } => Some(since + SHARES_WITHIN),
            Self::Declared { at } => Some(at + BLOCK_ASKED_WITHIN),
            Self::Taken | Self::Over => None,
        }
    }
}

/// What a harvester was asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Point(ProofNumber, RewardChainSp),
    Block(BlockNumber),
}

fn point_messages(sp_hash: SpHash, reward_chain_sp: RewardChainSp) -> Vec<Bytes32> {
    vec![Bytes32(sp_hash.0), Bytes32(reward_chain_sp.0)]
}

/// The second one is zero if the block is no transaction block; it is signed all the same.
fn block_messages(request: &RequestSignedValues) -> Vec<Bytes32> {
    vec![request.foliage_block_data_hash, request.foliage_transaction_block_hash]
}

/// What the two hashes of a signage point are of, if the node said so.
fn point_data(message: &NewSignagePoint) -> Option<Vec<Option<SignatureRequestSourceData>>> {
    let source = message.sp_source_data.as_ref()?;
    let items = match (&source.sub_slot_data, &source.vdf_data) {
        (Some(slots), _) => [
            (SigningDataKind::ChallengeChainSubSlot, slots.cc_sub_slot.to_bytes()),
            (SigningDataKind::RewardChainSubSlot, slots.rc_sub_slot.to_bytes()),
        ],
        (None, Some(outputs)) => [
            (SigningDataKind::ChallengeChainVdf, outputs.cc_vdf.to_bytes()),
            (SigningDataKind::RewardChainVdf, outputs.rc_vdf.to_bytes()),
        ],
        (None, None) => return None,
    };
    Some(
        items
            .into_iter()
            .map(|(kind, data)| {
                Some(SignatureRequestSourceData {
                    kind: kind.as_u8(),
                    data,
                })
            })
            .collect(),
    )
}

/// What the two hashes of a block are of, if the node said so.
fn block_data(request: &RequestSignedValues) -> Option<Vec<Option<SignatureRequestSourceData>>> {
    let foliage = request.foliage_block_data.as_ref()?.to_bytes();
    let foliage = SignatureRequestSourceData {
        kind: SigningDataKind::FoliageBlockData.as_u8(),
        data: foliage,
    };
    let transactions = request
        .foliage_transaction_block_data
        .as_ref()
        .map(|block| SignatureRequestSourceData {
            kind: SigningDataKind::FoliageTransactionBlock.as_u8(),
            data: block.to_bytes(),
        });
    Some(vec![Some(foliage), transactions])
}

/// From its signage point to its infusion a proof has 28 s and more; what is signed later is worth nothing.
const SHARES_WITHIN: Duration = Duration::from_secs(25);

/// A node asks within seconds, or not at all.
const BLOCK_ASKED_WITHIN: Duration = Duration::from_secs(60);

/// What the official farmer waits.
const BLOCK_SIGNED_WITHIN: Duration = Duration::from_secs(60);

/// Blocks that wait for signatures at the same time; on a real chain there is one.
pub(super) const MAX_BLOCKS: usize = 256;
