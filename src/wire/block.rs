//! Parts of blocks that farmers sign or pass on.

use sha2::{Digest, Sha256};

use super::codec::{HashOfBytes, Streamable, streamable};
use super::points::{ClassgroupElement, G2Bytes};
use super::proof::ProofOfSpace;
use crate::ids::{Bytes32, ChallengeHash, PuzzleHash, QualityString};
use crate::units::{Difficulty, SubSlotIters};

streamable! {
    /// Who gets the pool share of a block; the pool key of a plot of the first kind signs it.
    pub struct PoolTarget {
        /// Where the pool share goes.
        pub puzzle_hash: PuzzleHash,
        /// Last height the target is valid for; 0 is for ever, and farmers send nothing else.
        pub max_height: u32,
    }

    /// What a VDF computed.
    pub struct VdfInfo {
        /// Where it started.
        pub challenge: Bytes32,
        /// Iterations computed.
        pub number_of_iterations: u64,
        /// Where it ended.
        pub output: ClassgroupElement,
    }

    /// End of a sub-slot in the challenge chain. Its hash is the challenge of the next sub-slot.
    pub struct ChallengeChainSubSlot {
        /// VDF of the whole sub-slot.
        pub challenge_chain_end_of_slot_vdf: VdfInfo,
        /// Hash of the infused challenge chain's sub-slot, if it ended too.
        pub infused_challenge_chain_sub_slot_hash: Option<Bytes32>,
        /// Hash of the sub-epoch summary, at the end of a sub-epoch.
        pub subepoch_summary_hash: Option<Bytes32>,
        /// Iterations of the sub-slots that follow, if they change.
        pub new_sub_slot_iters: Option<SubSlotIters>,
        /// Difficulty from here on, if it changes.
        pub new_difficulty: Option<Difficulty>,
    }

    /// End of a sub-slot in the reward chain.
    pub struct RewardChainSubSlot {
        /// VDF of the whole sub-slot.
        pub end_of_slot_vdf: VdfInfo,
        /// Hash of the challenge chain's sub-slot.
        pub challenge_chain_sub_slot_hash: Bytes32,
        /// Hash of the infused challenge chain's sub-slot, if it ended too.
        pub infused_challenge_chain_sub_slot_hash: Option<Bytes32>,
        /// Blocks still missing in the slot, 0 to 16.
        pub deficit: u8,
    }

    /// The part of a block that says who is paid; the plot key signs its hash.
    pub struct FoliageBlockData {
        /// Hash of the [`RewardChainBlockUnfinished`] it belongs to.
        pub unfinished_reward_block_hash: Bytes32,
        /// Who gets the pool share.
        pub pool_target: PoolTarget,
        /// The pool key's signature of `pool_target`; none for a plot of a plotNFT.
        pub pool_signature: Option<G2Bytes>,
        /// Who gets the farmer share.
        pub farmer_reward_puzzle_hash: PuzzleHash,
        /// Unused by the chain.
        pub extension_data: Bytes32,
    }

    /// The part of a block that ties it to its transactions; the plot key signs its hash.
    pub struct FoliageTransactionBlock {
        /// Hash of the transaction block before.
        pub prev_transaction_block_hash: Bytes32,
        /// Unix time, seconds.
        pub timestamp: u64,
        /// Hash of the compact filter.
        pub filter_hash: Bytes32,
        /// Merkle root of coins made.
        pub additions_root: Bytes32,
        /// Merkle root of coins spent.
        pub removals_root: Bytes32,
        /// Hash of the transactions info.
        pub transactions_info_hash: Bytes32,
    }

    /// A block's place in the reward chain, before the infusion point.
    pub struct RewardChainBlockUnfinished {
        /// Iterations since the first block, at the signage point.
        #[serde(with = "crate::units::as_text")]
        pub total_iters: u128,
        /// Signage point of the block, 0 to 63.
        pub signage_point_index: u8,
        /// Challenge of the sub-slot the proof answers.
        pub pos_ss_cc_challenge_hash: ChallengeHash,
        /// The proof.
        pub proof_of_space: ProofOfSpace,
        /// VDF of the challenge chain up to the signage point; none at index 0.
        pub challenge_chain_sp_vdf: Option<VdfInfo>,
        /// Plot signature of the challenge chain's signage point.
        pub challenge_chain_sp_signature: G2Bytes,
        /// VDF of the reward chain up to the signage point; none at index 0.
        pub reward_chain_sp_vdf: Option<VdfInfo>,
        /// Plot signature of the reward chain's signage point.
        pub reward_chain_sp_signature: G2Bytes,
    }
}

impl HashOfBytes for PoolTarget {}
impl HashOfBytes for VdfInfo {}
impl HashOfBytes for ChallengeChainSubSlot {}
impl HashOfBytes for RewardChainSubSlot {}
impl HashOfBytes for FoliageBlockData {}
impl HashOfBytes for FoliageTransactionBlock {}

impl RewardChainBlockUnfinished {
    /// Chia's `get_hash()`, which is what [`FoliageBlockData::unfinished_reward_block_hash`] holds. See
    /// [`ProofOfSpace::get_hash`] for `quality_string`.
    #[must_use]
    pub fn get_hash(&self, quality_string: &QualityString) -> Bytes32 {
        let mut hashed = Vec::new();
        self.total_iters.stream(&mut hashed);
        self.signage_point_index.stream(&mut hashed);
        self.pos_ss_cc_challenge_hash.stream(&mut hashed);
        self.proof_of_space.stream_hashed(quality_string, &mut hashed);
        self.challenge_chain_sp_vdf.stream(&mut hashed);
        self.challenge_chain_sp_signature.stream(&mut hashed);
        self.reward_chain_sp_vdf.stream(&mut hashed);
        self.reward_chain_sp_signature.stream(&mut hashed);
        Bytes32(Sha256::digest(&hashed).into())
    }
}
