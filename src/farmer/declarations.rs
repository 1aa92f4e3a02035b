//! A good proof on its way to the nodes: the harvester's shares are asked for, a worker completes the signatures of the
//! signage point, the nodes get the declaration and should ask for the block.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Farmer;
use super::input::PlotSignatures;
use super::numbers::ProofNumber;
use super::output::{Output, SignPurpose};
use super::proofs::{Declaration, Job, Phase, Proof, Step, Told, millis};
use super::timers::Timer;
use crate::clock::{Mono, Now};
use crate::ids::{Bytes32, ChallengeHash, NodeId, QualityString, RewardChainSp, SpHash};
use crate::pos::iterations;
use crate::snapshot::{Notice, ProofStage};
use crate::units::PlotSize;
use crate::wire::{
    DeclareProofOfSpace, NewSignagePoint, PlotPool, PoolTarget, RequestSignatures, RespondSignatures,
    SignatureRequestSourceData, SigningDataKind, Streamable, ToHarvester,
};

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
            fee_to: None,
            step,
            told: None,
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

    /// Reward chains for which a winner is good enough and not declared yet.
    fn new_declarations(&self, number: ProofNumber) -> Vec<RewardChainSp> {
        let Some(proof) = self.proofs.live.get(&number) else {
            return Vec::new();
        };
        let Phase::Winner { quality, declarations } = &proof.phase else {
            return Vec::new();
        };
        let size = proof.proof.plot_size();
        let mut reward_chains = self.reward_chains_won(&proof.sp_hash, &proof.challenge_hash, quality, size);
        for declaration in declarations {
            reward_chains.remove(&declaration.reward_chain_sp);
        }
        reward_chains.into_iter().collect()
    }

    /// Reward chains of a signage point in which a proof of this quality is good enough for a block.
    pub(super) fn reward_chains_won(
        &self,
        sp_hash: &SpHash,
        challenge_hash: &ChallengeHash,
        quality: &QualityString,
        size: PlotSize,
    ) -> BTreeSet<RewardChainSp> {
        let Some(point) = self.signage_points.get(sp_hash) else {
            return BTreeSet::new();
        };
        let constants = &self.config.constants;
        let variants = point.variants.iter().map(|variant| &variant.message);
        variants
            .filter(|message| message.challenge_hash == *challenge_hash)
            .filter(|message| {
                let required = iterations::required_iters(
                    constants,
                    quality,
                    size,
                    message.difficulty,
                    sp_hash,
                    message.last_tx_height,
                );
                required < iterations::sp_interval_iters(message.sub_slot_iters)
            })
            .map(|message| message.reward_chain_sp)
            .collect()
    }

    pub(super) fn ask_for_point(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp) {
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

    pub(super) fn sign_point(
        &mut self,
        now: Now,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        source: usize,
        response: RespondSignatures,
    ) {
        let signer = self
            .proofs
            .live
            .get(&number)
            .and_then(|it| it.sources.get(source))
            .cloned();
        let fee_to = signer.and_then(|signer| self.fee_to(now, &signer, response.farmer_reward_address_override));
        let job = self.proofs.new_job(Job::SignPoint(number, reward_chain_sp));
        self.change_declaration(number, reward_chain_sp, |declaration| {
            declaration.source = source;
            declaration.fee_to = fee_to;
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

    /// A harvester's shares were useless: the next one that has the plot is asked.
    pub(super) fn retry_point(&mut self, now: Now, number: ProofNumber, reward_chain_sp: RewardChainSp, error: &str) {
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

    pub(super) fn declare(
        &mut self,
        now: Now,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        signatures: &PlotSignatures,
    ) {
        match self.declaration(now, number, reward_chain_sp, signatures) {
            Err(reason) => self.lose_declaration(now, number, reward_chain_sp, &reason),
            Ok((nodes, quality, message)) => {
                let is_down = |id: &NodeId| self.nodes.get(id).is_some_and(|node| !node.is_up());
                let told = Told {
                    message: message.clone(),
                    waits_for: nodes.iter().copied().filter(is_down).collect(),
                };
                self.outputs.push_back(Output::Declare {
                    nodes,
                    quality,
                    message: Box::new(message),
                });
                self.change_declaration(number, reward_chain_sp, |declaration| {
                    declaration.step = Step::Declared { at: now.mono };
                    declaration.told = Some(Box::new(told));
                });
                let Some(proof) = self.proofs.live.get_mut(&number) else {
                    return;
                };
                let elapsed = millis(now.mono.since(proof.found));
                let fee_to = proof
                    .declaration(reward_chain_sp)
                    .and_then(|declaration| declaration.fee_to);
                let view = &mut proof.view;
                let name = view.harvester_name.clone();
                if view.declared_after_ms.is_none() {
                    self.wins.declared += 1;
                    view.signed_after_ms = Some(elapsed);
                    view.declared_after_ms = Some(elapsed);
                    let notice = Notice::ProofDeclared {
                        name: name.clone(),
                        plot_file: view.plot_file.clone(),
                        signage_point_index: view.signage_point_index,
                    };
                    self.notice(notice);
                }
                if let Some(puzzle_hash) = fee_to {
                    self.notice(Notice::HarvesterFee { name, puzzle_hash });
                }
                self.advance(number, ProofStage::Declared);
                self.arm_proof_timer(number);
            }
        }
    }

    /// A node that is there again has what was declared meanwhile from nobody, and what was sent last into its old link
    /// may be lost.
    pub(super) fn declare_to_returned(&mut self, now: Now, node: NodeId) {
        self.declare_again(now, node, |_| true);
    }

    /// A node knows a signage point only now: a declaration for it, if it had one, it could not use.
    pub(super) fn declare_to_informed(&mut self, now: Now, node: NodeId, point: RewardChainSp) {
        self.declare_again(now, node, |declaration| declaration.reward_chain_sp == point);
    }

    /// Declares to one node what no node has taken up yet, as long as a block can come of it.
    fn declare_again(&mut self, now: Now, node: NodeId, is_meant: impl Fn(&Declaration) -> bool) {
        for proof in self.proofs.live.values_mut() {
            let Phase::Winner { quality, declarations } = &mut proof.phase else {
                continue;
            };
            for declaration in declarations.iter_mut().filter(|it| is_meant(it)) {
                let Step::Declared { at } = declaration.step else {
                    continue;
                };
                let Some(told) = declaration.told.as_mut().filter(|_| now.mono.since(at) < SHARES_WITHIN) else {
                    continue;
                };
                if let Some(place) = told.waits_for.iter().position(|waiting| *waiting == node) {
                    told.waits_for.swap_remove(place);
                    continue;
                }
                self.outputs.push_back(Output::Declare {
                    nodes: vec![node],
                    quality: *quality,
                    message: Box::new(told.message.clone()),
                });
            }
        }
    }

    /// The declaration of a proof, its quality and the nodes it goes to, or why there is none.
    fn declaration(
        &self,
        now: Now,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        signatures: &PlotSignatures,
    ) -> Result<(Vec<NodeId>, QualityString, DeclareProofOfSpace), String> {
        let proof = self.proofs.live.get(&number).ok_or("it is not known any more")?;
        let Phase::Winner { quality, .. } = proof.phase else {
            return Err("it is no winner any more".to_owned());
        };
        let point = self.signage_points.get(&proof.sp_hash);
        let variant = point.and_then(|point| point.of_reward_chain(&reward_chain_sp));
        let variant = variant.ok_or("its signage point is not known any more")?;
        let nodes = self.nodes_for(now, &variant.nodes);
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
        let own_target = keys.farmer_target.ok_or("no address is set for the farmer reward")?;
        let fee_to = proof
            .declaration(reward_chain_sp)
            .and_then(|declaration| declaration.fee_to);
        let message = DeclareProofOfSpace {
            challenge_hash: proof.challenge_hash,
            challenge_chain_sp: proof.sp_hash,
            signage_point_index: variant.message.signage_point_index,
            reward_chain_sp,
            proof_of_space: proof.proof.clone(),
            challenge_chain_sp_signature,
            reward_chain_sp_signature,
            farmer_puzzle_hash: fee_to.unwrap_or(own_target),
            pool_signature: pool_target.as_ref().and(signatures.pool_signature),
            pool_target,
            // So that the node shows what it wants signed.
            include_signature_source_data: true,
        };
        Ok((nodes, quality, message))
    }

    /// One declaration of a proof is lost; the proof is, when no other is left.
    pub(super) fn lose_declaration(
        &mut self,
        now: Now,
        number: ProofNumber,
        reward_chain_sp: RewardChainSp,
        reason: &str,
    ) {
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

    pub(super) fn change_declaration(
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
    /// A node has made a block of a declared proof, or the chain has spoken.
    pub(super) fn note_taken(&mut self, number: ProofNumber) {
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

impl Proof {
    /// Whether a harvester was asked to sign these messages for one of its declarations.
    pub(super) fn was_asked_for(&self, messages: &[Bytes32]) -> bool {
        match &self.phase {
            Phase::Winner { declarations, .. } => declarations
                .iter()
                .any(|it| messages == point_messages(self.sp_hash, it.reward_chain_sp)),
            Phase::ToSolve(_) | Phase::Solving(_) | Phase::Queued | Phase::Verifying(_) => false,
        }
    }

    fn declaration(&self, reward_chain_sp: RewardChainSp) -> Option<&Declaration> {
        match &self.phase {
            Phase::Winner { declarations, .. } => declarations
                .iter()
                .find(|declaration| declaration.reward_chain_sp == reward_chain_sp),
            Phase::ToSolve(_) | Phase::Solving(_) | Phase::Queued | Phase::Verifying(_) => None,
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

/// What is signed to declare a proof.
pub(super) fn point_messages(sp_hash: SpHash, reward_chain_sp: RewardChainSp) -> Vec<Bytes32> {
    vec![Bytes32(sp_hash.0), Bytes32(reward_chain_sp.0)]
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

/// A node asks within seconds, or not at all.
const BLOCK_ASKED_WITHIN: Duration = Duration::from_secs(60);

/// From its signage point to its infusion a proof has 28 s and more; what is signed later is worth nothing.
const SHARES_WITHIN: Duration = Duration::from_secs(25);
