//! Nothing is signed unseen: a node that wants a block signed has to show that it is the block of the proof that was
//! declared, with the rewards going where the declaration said.
//!
//! A node sends what it hashed because every declaration asks for it. Only the empty block that an official node falls
//! back to when its first one turned out invalid comes without; [`NodeTrust`] decides about that.

use super::input::NodeTrust;
use crate::ids::{Bytes32, PuzzleHash, QualityString};
use crate::wire::{PlotPool, ProofOfSpace, RequestSignedValues, Streamable};

/// What was declared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared<'a> {
    /// The proof.
    pub(super) proof: &'a ProofOfSpace,
    /// Its quality.
    pub(super) quality: &'a QualityString,
    /// Who gets the farmer's share: of one of the declarations, if it was declared for several reward chains.
    pub(super) farmer_targets: &'a [PuzzleHash],
    /// Who gets the pool's share of a plot with a pool public key.
    pub(super) pool_target: Option<&'a PuzzleHash>,
}

/// Whether what a node wants signed is what was declared.
///
/// # Errors
/// The first thing that is wrong; always the node's fault.
pub(super) fn check(request: &RequestSignedValues, declared: &Declared<'_>, trust: NodeTrust) -> Result<(), Refusal> {
    let unexplained = match trust {
        NodeTrust::Own => Ok(()),
        NodeTrust::Foreign => Err(Refusal::Unexplained),
    };
    let Some(foliage) = &request.foliage_block_data else {
        return unexplained;
    };
    if foliage.get_hash() != request.foliage_block_data_hash {
        return Err(Refusal::FoliageHash);
    }
    if !declared.farmer_targets.contains(&foliage.farmer_reward_puzzle_hash) {
        return Err(Refusal::FarmerTarget {
            expected: declared.farmer_targets.first().copied(),
            got: foliage.farmer_reward_puzzle_hash,
        });
    }
    let pool_target = match &declared.proof.pool {
        PlotPool::PublicKey(_) => declared.pool_target,
        PlotPool::Contract(contract) => Some(contract),
    };
    if pool_target != Some(&foliage.pool_target.puzzle_hash) {
        return Err(Refusal::PoolTarget {
            got: foliage.pool_target.puzzle_hash,
        });
    }
    let transactions = request
        .foliage_transaction_block_data
        .as_ref()
        .map(Streamable::get_hash);
    let is_transaction_block = request.foliage_transaction_block_hash != Bytes32::default();
    if is_transaction_block && transactions != Some(request.foliage_transaction_block_hash) {
        return Err(Refusal::TransactionBlockHash);
    }
    let Some(reward_block) = &request.rc_block_unfinished else {
        return unexplained;
    };
    if reward_block.proof_of_space != *declared.proof {
        return Err(Refusal::OtherProof);
    }
    if reward_block.get_hash(declared.quality) != foliage.unfinished_reward_block_hash {
        return Err(Refusal::RewardBlockHash);
    }
    Ok(())
}

/// Why a block is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It does not say what it wants signed.
    #[error("it does not show what it wants signed")]
    Unexplained,
    /// The hash is of something else.
    #[error("the foliage it shows does not have the hash it wants signed")]
    FoliageHash,
    /// The farmer's reward would go elsewhere.
    #[error("the farmer reward would go to puzzle hash {got}{}", declared(.expected.as_ref()))]
    FarmerTarget {
        /// As declared, if anything was.
        expected: Option<PuzzleHash>,
        /// As in the block.
        got: PuzzleHash,
    },
    /// The pool's reward would go elsewhere.
    #[error("the pool reward would go to puzzle hash {got}, which is not what was declared")]
    PoolTarget {
        /// As in the block.
        got: PuzzleHash,
    },
    /// It is the block of another proof.
    #[error("the block has another proof than the one that was declared")]
    OtherProof,
    /// The parts do not belong together.
    #[error("the foliage belongs to another block than the one it shows")]
    RewardBlockHash,
    /// The second hash is of something else.
    #[error("the transaction block it shows does not have the hash it wants signed")]
    TransactionBlockHash,
}

fn declared(expected: Option<&PuzzleHash>) -> String {
    expected.map_or_else(String::new, |expected| format!(", declared was {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChallengeHash, PosChallenge};
    use crate::wire::{
        FoliageBlockData, FoliageTransactionBlock, G1Bytes, G2Bytes, PoolTarget, ProofBody, RewardChainBlockUnfinished,
    };

    const QUALITY: QualityString = QualityString([9; 32]);
    const FARMER: PuzzleHash = PuzzleHash([1; 32]);
    const CONTRACT: PuzzleHash = PuzzleHash([2; 32]);

    fn proof() -> ProofOfSpace {
        ProofOfSpace {
            challenge: PosChallenge([3; 32]),
            pool: PlotPool::Contract(CONTRACT),
            plot_public_key: G1Bytes([4; 48]),
            body: ProofBody::V1 {
                k: 18,
                proof: vec![5; 144],
            },
        }
    }

    /// The request of an honest node, changed by `change`; hashes are made after that.
    fn request(change: impl Fn(&mut FoliageBlockData, &mut RewardChainBlockUnfinished)) -> RequestSignedValues {
        let mut reward_block = RewardChainBlockUnfinished {
            total_iters: 1,
            signage_point_index: 2,
            pos_ss_cc_challenge_hash: ChallengeHash([6; 32]),
            proof_of_space: proof(),
            challenge_chain_sp_vdf: None,
            challenge_chain_sp_signature: G2Bytes([7; 96]),
            reward_chain_sp_vdf: None,
            reward_chain_sp_signature: G2Bytes([8; 96]),
        };
        let mut foliage = FoliageBlockData {
            unfinished_reward_block_hash: Bytes32::default(),
            pool_target: PoolTarget {
                puzzle_hash: CONTRACT,
                max_height: 0,
            },
            pool_signature: None,
            farmer_reward_puzzle_hash: FARMER,
            extension_data: Bytes32::default(),
        };
        change(&mut foliage, &mut reward_block);
        foliage.unfinished_reward_block_hash = reward_block.get_hash(&QUALITY);
        let transactions = FoliageTransactionBlock {
            prev_transaction_block_hash: Bytes32([1; 32]),
            timestamp: 2,
            filter_hash: Bytes32([3; 32]),
            additions_root: Bytes32([4; 32]),
            removals_root: Bytes32([5; 32]),
            transactions_info_hash: Bytes32([6; 32]),
        };
        RequestSignedValues {
            quality_string: QUALITY,
            foliage_block_data_hash: foliage.get_hash(),
            foliage_transaction_block_hash: transactions.get_hash(),
            foliage_block_data: Some(foliage),
            foliage_transaction_block_data: Some(transactions),
            rc_block_unfinished: Some(reward_block),
        }
    }

    fn verdict(request: &RequestSignedValues, trust: NodeTrust) -> Result<(), Refusal> {
        let proof = proof();
        let declared = Declared {
            proof: &proof,
            quality: &QUALITY,
            farmer_targets: &[FARMER],
            pool_target: Some(&PuzzleHash([0xee; 32])),
        };
        check(request, &declared, trust)
    }

    #[test]
    fn honest_block_is_signed_with_and_without_transactions() {
        let mut request = request(|_, _| {});
        assert_eq!(verdict(&request, NodeTrust::Foreign), Ok(()));
        request.foliage_transaction_block_hash = Bytes32::default();
        request.foliage_transaction_block_data = None;
        assert_eq!(verdict(&request, NodeTrust::Foreign), Ok(()));
    }

    #[test]
    fn stolen_rewards_are_refused_even_to_our_own_node() {
        let thief = PuzzleHash([0xbb; 32]);
        let farmer = request(|foliage, _| foliage.farmer_reward_puzzle_hash = thief);
        assert_eq!(
            verdict(&farmer, NodeTrust::Own),
            Err(Refusal::FarmerTarget {
                expected: Some(FARMER),
                got: thief
            })
        );
        let pool = request(|foliage, _| foliage.pool_target.puzzle_hash = thief);
        assert_eq!(verdict(&pool, NodeTrust::Own), Err(Refusal::PoolTarget { got: thief }));
    }

    #[test]
    fn hashes_of_anything_else_are_refused() {
        let mut foliage = request(|_, _| {});
        foliage.foliage_block_data_hash = Bytes32([1; 32]);
        assert_eq!(verdict(&foliage, NodeTrust::Own), Err(Refusal::FoliageHash));
        let mut transactions = request(|_, _| {});
        transactions.foliage_transaction_block_hash = Bytes32([1; 32]);
        assert_eq!(
            verdict(&transactions, NodeTrust::Own),
            Err(Refusal::TransactionBlockHash)
        );
        let other = request(|_, block| block.proof_of_space.plot_public_key = G1Bytes([0; 48]));
        assert_eq!(verdict(&other, NodeTrust::Own), Err(Refusal::OtherProof));
        let mut swapped = request(|_, _| {});
        if let Some(block) = &mut swapped.rc_block_unfinished {
            block.total_iters += 1;
        }
        assert_eq!(verdict(&swapped, NodeTrust::Own), Err(Refusal::RewardBlockHash));
    }

    #[test]
    fn unexplained_block_is_signed_only_for_our_own_node() {
        let mut request = request(|_, _| {});
        request.foliage_block_data = None;
        assert_eq!(verdict(&request, NodeTrust::Own), Ok(()));
        assert_eq!(verdict(&request, NodeTrust::Foreign), Err(Refusal::Unexplained));
    }
}
