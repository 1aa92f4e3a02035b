//! Blocks: made from a declared proof, waiting for signatures, then the tip of the chain.

use crate::clock::Now;
use crate::crypto::{PublicKey, sha256};
use crate::ids::{Bytes32, ChallengeHash, PlotId, PuzzleHash, QualityString, SpHash};
use crate::pos::Constants;
use crate::simulator::WonBlock;
use crate::simulator::points::Point;
use crate::units::Height;
use crate::wire::{
    DeclareProofOfSpace, FoliageBlockData, FoliageTransactionBlock, PlotPool, PoolTarget, RequestSignedValues,
    RewardChainBlockUnfinished, Streamable, VdfInfo,
};

/// The end of the chain.
#[derive(Debug)]
pub(super) struct Tip {
    pub(super) height: Height,
    pub(super) last_tx_height: Height,
    header_hash: Bytes32,
    last_tx_header_hash: Bytes32,
    last_tx_timestamp: u64,
    last_tx_total_iters: u128,
}

impl Tip {
    pub(super) const fn new(c: &Constants, height: Height) -> Self {
        Self {
            height,
            last_tx_height: height,
            header_hash: Bytes32(c.genesis_challenge.0),
            last_tx_header_hash: Bytes32(c.genesis_challenge.0),
            last_tx_timestamp: 0,
            last_tx_total_iters: 0,
        }
    }

    /// Makes a signed candidate the last block.
    pub(super) fn add(&mut self, candidate: Candidate, quality_string: QualityString, now: Now) -> WonBlock {
        self.height = Height(self.height.0.saturating_add(1));
        self.header_hash = Bytes32(sha256(&[
            self.header_hash.as_bytes(),
            candidate.foliage_block_data_hash.as_bytes(),
            candidate.foliage_transaction_block_hash().as_bytes(),
        ]));
        // Of two blocks that were made on the same tip only the first is a transaction block.
        let transaction = candidate
            .transaction
            .filter(|_| self.takes_transactions(candidate.sp_total_iters));
        if let Some(transaction) = &transaction {
            self.last_tx_height = self.height;
            self.last_tx_header_hash = self.header_hash;
            self.last_tx_timestamp = transaction.timestamp;
            self.last_tx_total_iters = candidate.infusion_total_iters;
        }
        WonBlock {
            height: self.height,
            header_hash: self.header_hash,
            is_transaction_block: transaction.is_some(),
            quality_string,
            plot_id: candidate.plot_id,
            challenge_hash: candidate.challenge_hash,
            sp_hash: candidate.sp_hash,
            signage_point_index: candidate.signage_point_index,
            required_iters: candidate.required_iters,
            farmer_puzzle_hash: candidate.farmer_puzzle_hash,
            pool_puzzle_hash: candidate.pool_puzzle_hash,
            at: now,
        }
    }

    /// Whether a block is a transaction block: if its signage point comes after the infusion of the last one.
    const fn takes_transactions(&self, sp_total_iters: u128) -> bool {
        sp_total_iters > self.last_tx_total_iters
    }
}

/// A block that lacks its signatures.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) plot_public_key: PublicKey,
    pub(super) foliage_block_data_hash: Bytes32,
    pub(super) sp_hash: SpHash,
    /// Its place on the chain; signatures that come later are too late.
    pub(super) infusion_total_iters: u128,
    transaction: Option<Transaction>,
    sp_total_iters: u128,
    challenge_hash: ChallengeHash,
    signage_point_index: u8,
    plot_id: PlotId,
    required_iters: u64,
    farmer_puzzle_hash: PuzzleHash,
    pool_puzzle_hash: PuzzleHash,
}

/// What makes a candidate a transaction block.
#[derive(Clone, Debug)]
struct Transaction {
    hash: Bytes32,
    timestamp: u64,
}

impl Candidate {
    /// Makes a block of a proof that has passed all checks, and the request to sign it.
    pub(super) fn new(
        tip: &Tip,
        point: &Point,
        declare: &DeclareProofOfSpace,
        quality_string: QualityString,
        required_iters: u64,
        plot_public_key: PublicKey,
        now: Now,
    ) -> (Self, RequestSignedValues) {
        let infusion_total_iters = point.total_iters + u128::from(point.iters_to_infusion) + u128::from(required_iters);
        let rc_block = reward_chain_block(point, declare, infusion_total_iters);
        let foliage_block_data = foliage_block_data(declare, rc_block.get_hash(&quality_string), &quality_string);
        let foliage_block_data_hash = foliage_block_data.get_hash();
        let foliage_transaction_block = tip
            .takes_transactions(point.total_iters)
            .then(|| foliage_transaction_block(tip, &foliage_block_data_hash, now));
        let candidate = Self {
            plot_public_key,
            foliage_block_data_hash,
            sp_hash: declare.challenge_chain_sp,
            infusion_total_iters,
            transaction: foliage_transaction_block.as_ref().map(|block| Transaction {
                hash: block.get_hash(),
                timestamp: block.timestamp,
            }),
            sp_total_iters: point.total_iters,
            challenge_hash: declare.challenge_hash,
            signage_point_index: declare.signage_point_index,
            plot_id: declare.proof_of_space.plot_id(),
            required_iters,
            farmer_puzzle_hash: declare.farmer_puzzle_hash,
            pool_puzzle_hash: foliage_block_data.pool_target.puzzle_hash,
        };
        let mut request = RequestSignedValues {
            quality_string,
            foliage_block_data_hash,
            foliage_transaction_block_hash: candidate.foliage_transaction_block_hash(),
            foliage_block_data: None,
            foliage_transaction_block_data: None,
            rc_block_unfinished: None,
        };
        if declare.include_signature_source_data {
            request.foliage_block_data = Some(foliage_block_data);
            request.foliage_transaction_block_data = foliage_transaction_block;
            request.rc_block_unfinished = Some(rc_block);
        }
        (candidate, request)
    }

    /// What the plot key signs besides the foliage block data: zeros if the block is no transaction block.
    pub(super) fn foliage_transaction_block_hash(&self) -> Bytes32 {
        self.transaction
            .as_ref()
            .map_or_else(Bytes32::default, |transaction| transaction.hash)
    }
}

fn reward_chain_block(
    point: &Point,
    declare: &DeclareProofOfSpace,
    infusion_total_iters: u128,
) -> RewardChainBlockUnfinished {
    let outputs = point
        .message
        .sp_source_data
        .as_ref()
        .and_then(|source| source.vdf_data.as_ref());
    let vdf = |challenge, output| VdfInfo {
        challenge,
        number_of_iterations: point.sp_iters,
        output,
    };
    RewardChainBlockUnfinished {
        total_iters: infusion_total_iters,
        signage_point_index: declare.signage_point_index,
        pos_ss_cc_challenge_hash: declare.challenge_hash,
        proof_of_space: declare.proof_of_space.clone(),
        challenge_chain_sp_vdf: outputs.map(|outputs| vdf(Bytes32(declare.challenge_hash.0), outputs.cc_vdf)),
        challenge_chain_sp_signature: declare.challenge_chain_sp_signature,
        reward_chain_sp_vdf: outputs.map(|outputs| vdf(point.reward_chain_challenge, outputs.rc_vdf)),
        reward_chain_sp_signature: declare.reward_chain_sp_signature,
    }
}

/// Who is paid: as declared, except that a contract gets its pool share whatever the farmer says.
fn foliage_block_data(
    declare: &DeclareProofOfSpace,
    unfinished_reward_block_hash: Bytes32,
    quality_string: &QualityString,
) -> FoliageBlockData {
    let for_ever = |puzzle_hash| PoolTarget {
        puzzle_hash,
        max_height: 0,
    };
    let pool_target = match (&declare.proof_of_space.pool, &declare.pool_target) {
        (PlotPool::Contract(contract), _) => for_ever(*contract),
        (PlotPool::PublicKey(_), Some(target)) => target.clone(),
        (PlotPool::PublicKey(_), None) => for_ever(declare.farmer_puzzle_hash),
    };
    FoliageBlockData {
        unfinished_reward_block_hash,
        pool_target,
        pool_signature: declare.pool_signature,
        farmer_reward_puzzle_hash: declare.farmer_puzzle_hash,
        extension_data: Bytes32(sha256(&[b"extension data", quality_string.as_bytes()])),
    }
}

/// An empty transaction block: no coin is made or spent on this chain.
fn foliage_transaction_block(tip: &Tip, foliage_block_data_hash: &Bytes32, now: Now) -> FoliageTransactionBlock {
    FoliageTransactionBlock {
        prev_transaction_block_hash: tip.last_tx_header_hash,
        timestamp: now.unix.seconds().max(tip.last_tx_timestamp.saturating_add(1)),
        filter_hash: Bytes32(sha256(&[&[0]])),
        additions_root: Bytes32::default(),
        removals_root: Bytes32::default(),
        transactions_info_hash: Bytes32(sha256(&[b"no transactions", foliage_block_data_hash.as_bytes()])),
    }
}
