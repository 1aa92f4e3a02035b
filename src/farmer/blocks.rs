//! Blocks that nodes make of declared proofs and want signed.

use std::time::Duration;

use super::Farmer;
use super::input::{NodeTrust, PlotSignatures};
use super::numbers::{BlockNumber, ProofNumber};
use super::output::{Output, SignPurpose};
use super::proofs::{Block, Job, MAX_BLOCKS, Phase, millis};
use super::signing_guard::{self, Declared};
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::{Bytes32, NodeId, QualityString};
use crate::snapshot::{AlarmKind, Notice, ProofStage};
use crate::units::Height;
use crate::wire::{
    RequestSignatures, RequestSignedValues, RespondSignatures, SignatureRequestSourceData, SignedValues,
    SigningDataKind, Streamable, ToHarvester,
};

impl Farmer {
    /// A node has made a block of a proof and wants it signed.
    pub(super) fn handle_request_signed_values(&mut self, now: Now, node: NodeId, request: Box<RequestSignedValues>) {
        let Some(number) = self.proofs.by_quality.get(&request.quality_string).copied() else {
            self.counters.unknown_block_requests += 1;
            return;
        };
        self.note_taken(number);
        if let Some(proof) = self.proofs.live.get_mut(&number) {
            let elapsed = millis(now.mono.since(proof.found));
            proof.view.block_asked_after_ms.get_or_insert(elapsed);
        }
        if let Err(refusal) = self.check_block(node, number, &request) {
            let node = self.node_name(node);
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

    fn check_block(&self, node: NodeId, number: ProofNumber, request: &RequestSignedValues) -> Result<(), String> {
        let proof = self.proofs.live.get(&number).ok_or("its proof is not known any more")?;
        let keys = &self.config.keys;
        let own_target = keys.farmer_target.ok_or("no address is set for the farmer reward")?;
        let farmer_targets: Vec<_> = match &proof.phase {
            Phase::Winner { declarations, .. } => {
                let targets = declarations
                    .iter()
                    .map(|declaration| declaration.fee_to.unwrap_or(own_target));
                targets.collect()
            }
            _ => Vec::new(),
        };
        let declared = Declared {
            proof: &proof.proof,
            quality: &request.quality_string,
            farmer_targets: &farmer_targets,
            pool_target: keys.pool_target.as_ref(),
        };
        let trust = self
            .nodes
            .get(&node)
            .map_or(NodeTrust::Foreign, |node| node.status.trust);
        signing_guard::check(request, &declared, trust).map_err(|refusal| refusal.to_string())
    }

    pub(super) fn ask_for_block(&mut self, now: Now, number: BlockNumber) {
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

    pub(super) fn sign_block(&mut self, number: BlockNumber, source: usize, response: RespondSignatures) {
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

    pub(super) fn retry_block(&mut self, now: Now, number: BlockNumber, error: &str) {
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

    pub(super) fn send_signed_values(&mut self, now: Now, number: BlockNumber, signatures: &PlotSignatures) {
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
            .get_or_insert_with(|| millis(now.mono.since(proof.found)));
        let is_accepted = matches!(proof.view.stage, ProofStage::BlockAccepted { .. });
        self.wins.last_block_unix_ms = Some(now.unix.0);
        self.wins.blocks_signed += u64::from(is_first);
        if is_first {
            self.luck.note_win(now);
            self.keep_record(now);
        }
        if !is_accepted {
            self.advance(block.proof, ProofStage::BlockSigned);
        }
        self.notice(Notice::BlockSigned { name });
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
}

/// The second one is zero if the block is no transaction block; it is signed all the same.
pub(super) fn block_messages(request: &RequestSignedValues) -> Vec<Bytes32> {
    vec![request.foliage_block_data_hash, request.foliage_transaction_block_hash]
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

/// What the official farmer waits.
const BLOCK_SIGNED_WITHIN: Duration = Duration::from_secs(60);
