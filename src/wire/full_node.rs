//! Messages between farmer and full node. All of them travel without an id.
//!
//! [`NewSignagePoint`] grew four times without a new protocol version, so official farmers and nodes of different ages do
//! not understand each other. All that releases from 2.2 on send is read: those before 2.7.4 end before
//! `filter_challenge`, those before 2.5.5 have no `last_tx_height` either.

use super::block::{
    ChallengeChainSubSlot, FoliageBlockData, FoliageTransactionBlock, PoolTarget, RewardChainBlockUnfinished,
    RewardChainSubSlot,
};
use super::codec::{Reader, Streamable, streamable};
use super::error::WireError;
use super::message::Message;
use super::message_type::MessageType;
use super::points::{ClassgroupElement, G2Bytes};
use super::proof::ProofOfSpace;
use crate::ids::{Bytes32, ChallengeHash, FilterChallenge, PuzzleHash, QualityString, RewardChainSp, SpHash};
use crate::units::{Difficulty, Height, SubSlotIters};

/// A signage point (8, node to farmer): the next question to all plots.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NewSignagePoint {
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// The point in the challenge chain; at index 0 equal to `challenge_hash`.
    pub challenge_chain_sp: SpHash,
    /// The point in the reward chain.
    pub reward_chain_sp: RewardChainSp,
    /// Difficulty of the chain.
    pub difficulty: Difficulty,
    /// Iterations of the sub-slot.
    pub sub_slot_iters: SubSlotIters,
    /// 0 to 63.
    pub signage_point_index: u8,
    /// Height of the node's peak.
    pub peak_height: Height,
    /// Height of the node's last transaction block; a node older than 2.5.5 does not tell, its peak stands for it. Only
    /// after hard fork 2 is anything decided by it, and no such node follows the chain that far.
    pub last_tx_height: Height,
    /// What the two points are hashes of, for harvesters that want to see what they sign.
    pub sp_source_data: Option<SignagePointSourceData>,
    /// Challenge of the v2 plot filter; a node that has none, or is older than 2.7.4, sends none.
    pub filter_challenge: Option<FilterChallenge>,
}

/// Streamed in full; read in each of its three layouts, which only what follows the peak's height can tell apart: the one
/// that takes the message to its end is the one it was written in.
impl Streamable for NewSignagePoint {
    const MIN_BYTES: usize = 3 * 32 + 2 * 8 + 1 + 4 + 1;

    fn stream(&self, out: &mut Vec<u8>) {
        self.challenge_hash.stream(out);
        self.challenge_chain_sp.stream(out);
        self.reward_chain_sp.stream(out);
        self.difficulty.stream(out);
        self.sub_slot_iters.stream(out);
        self.signage_point_index.stream(out);
        self.peak_height.stream(out);
        self.last_tx_height.stream(out);
        self.sp_source_data.stream(out);
        self.filter_challenge.stream(out);
    }

    fn parse(input: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut point = Self {
            challenge_hash: Streamable::parse(input)?,
            challenge_chain_sp: Streamable::parse(input)?,
            reward_chain_sp: Streamable::parse(input)?,
            difficulty: Streamable::parse(input)?,
            sub_slot_iters: Streamable::parse(input)?,
            signage_point_index: Streamable::parse(input)?,
            peak_height: Streamable::parse(input)?,
            last_tx_height: Height(0),
            sp_source_data: None,
            filter_challenge: None,
        };
        let mut older = input.clone();
        let newer = point.parse_rest(input);
        if newer.is_ok() && input.remaining() == 0 {
            return Ok(point);
        }
        match Streamable::parse(&mut older) {
            Ok(sp_source_data) if older.remaining() == 0 => {
                *input = older;
                point.last_tx_height = point.peak_height;
                point.sp_source_data = sp_source_data;
                point.filter_challenge = None;
                Ok(point)
            }
            _ => newer.map(|()| point),
        }
    }
}

impl NewSignagePoint {
    /// Reads what follows the peak's height, as releases from 2.5.5 on write it.
    fn parse_rest(&mut self, input: &mut Reader<'_>) -> Result<(), WireError> {
        self.last_tx_height = Streamable::parse(input)?;
        self.sp_source_data = Streamable::parse(input)?;
        if input.remaining() > 0 {
            self.filter_challenge = Streamable::parse(input)?;
        }
        Ok(())
    }
}

streamable! {
    /// What a signage point is the hash of. One of the two is set: at index 0 the sub-slots, otherwise the outputs. A
    /// signage point is good without it, so a node that sets both or neither is not refused.
    pub struct SignagePointSourceData {
        /// The sub-slots that ended, for index 0.
        pub sub_slot_data: Option<SpSubSlotSourceData>,
        /// The VDF outputs, for every other index.
        pub vdf_data: Option<SpVdfSourceData>,
    }

    /// Source of a signage point of index 0.
    pub struct SpSubSlotSourceData {
        /// Its hash is `challenge_chain_sp`.
        pub cc_sub_slot: ChallengeChainSubSlot,
        /// Its hash is `reward_chain_sp`.
        pub rc_sub_slot: RewardChainSubSlot,
    }

    /// Source of a signage point of any index but 0.
    pub struct SpVdfSourceData {
        /// Its hash is `challenge_chain_sp`.
        pub cc_vdf: ClassgroupElement,
        /// Its hash is `reward_chain_sp`.
        pub rc_vdf: ClassgroupElement,
    }

    /// A proof that is good enough for a block (9, farmer to every node).
    pub struct DeclareProofOfSpace {
        /// Challenge of the sub-slot.
        pub challenge_hash: ChallengeHash,
        /// Signage point in the challenge chain.
        pub challenge_chain_sp: SpHash,
        /// 0 to 63.
        pub signage_point_index: u8,
        /// Signage point in the reward chain.
        pub reward_chain_sp: RewardChainSp,
        /// The proof.
        pub proof_of_space: ProofOfSpace,
        /// Plot signature of `challenge_chain_sp`.
        pub challenge_chain_sp_signature: G2Bytes,
        /// Plot signature of `reward_chain_sp`.
        pub reward_chain_sp_signature: G2Bytes,
        /// Who gets the farmer share.
        pub farmer_puzzle_hash: PuzzleHash,
        /// Who gets the pool share, for a plot with a pool public key; otherwise the contract does.
        pub pool_target: Option<PoolTarget>,
        /// The pool key's signature of `pool_target`.
        pub pool_signature: Option<G2Bytes>,
        /// Whether the node shall send what is to be signed, not only hashes of it.
        pub include_signature_source_data: bool,
    }

    /// Sign the foliage of the block made from a declared proof (10, node to farmer). May come twice for one proof: if
    /// its block fails validation the node makes an empty one.
    pub struct RequestSignedValues {
        /// Which proof.
        pub quality_string: QualityString,
        /// First hash to sign.
        pub foliage_block_data_hash: Bytes32,
        /// Second hash to sign; zeros if the block is no transaction block.
        pub foliage_transaction_block_hash: Bytes32,
        /// What the first hash is of, if asked for.
        pub foliage_block_data: Option<FoliageBlockData>,
        /// What the second hash is of, if asked for.
        pub foliage_transaction_block_data: Option<FoliageTransactionBlock>,
        /// The block's place in the reward chain, if asked for.
        pub rc_block_unfinished: Option<RewardChainBlockUnfinished>,
    }

    /// The foliage signatures (11, farmer to node).
    pub struct SignedValues {
        /// Which proof.
        pub quality_string: QualityString,
        /// Plot signature of the first hash.
        pub foliage_block_data_signature: G2Bytes,
        /// Plot signature of the second hash.
        pub foliage_transaction_block_signature: G2Bytes,
    }
}

/// Everything a node sends to a farmer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromFullNode {
    /// A signage point.
    NewSignagePoint(Box<NewSignagePoint>),
    /// Foliage to sign.
    RequestSignedValues(Box<RequestSignedValues>),
}

impl FromFullNode {
    /// Reads a message of a node; `None` if a node never sends that number, or nobody does.
    ///
    /// # Errors
    /// When the payload is not what its number says.
    pub fn decode(message: &Message) -> Result<Option<Self>, WireError> {
        let data = &message.data;
        Ok(Some(match message.message_type() {
            Some(MessageType::NewSignagePoint) => Self::NewSignagePoint(Box::new(Streamable::from_bytes(data)?)),
            Some(MessageType::RequestSignedValues) => {
                Self::RequestSignedValues(Box::new(Streamable::from_bytes(data)?))
            }
            _ => return Ok(None),
        }))
    }

    /// The message in its envelope. Official nodes use no id.
    #[must_use]
    pub fn encode(&self, id: Option<u16>) -> Message {
        match self {
            Self::NewSignagePoint(payload) => Message::new(self.message_type(), id, payload.as_ref()),
            Self::RequestSignedValues(payload) => Message::new(self.message_type(), id, payload.as_ref()),
        }
    }

    /// The number it travels under.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::NewSignagePoint(_) => MessageType::NewSignagePoint,
            Self::RequestSignedValues(_) => MessageType::RequestSignedValues,
        }
    }
}

/// Everything a farmer sends to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToFullNode {
    /// A proof good enough for a block.
    DeclareProofOfSpace(Box<DeclareProofOfSpace>),
    /// Foliage signatures.
    SignedValues(Box<SignedValues>),
}

impl ToFullNode {
    /// Reads a message of a farmer; `None` if a farmer never sends that number to a node, or nobody does.
    ///
    /// # Errors
    /// When the payload is not what its number says.
    pub fn decode(message: &Message) -> Result<Option<Self>, WireError> {
        let data = &message.data;
        Ok(Some(match message.message_type() {
            Some(MessageType::DeclareProofOfSpace) => {
                Self::DeclareProofOfSpace(Box::new(Streamable::from_bytes(data)?))
            }
            Some(MessageType::SignedValues) => Self::SignedValues(Box::new(Streamable::from_bytes(data)?)),
            _ => return Ok(None),
        }))
    }

    /// The message in its envelope. Official farmers use no id.
    #[must_use]
    pub fn encode(&self, id: Option<u16>) -> Message {
        match self {
            Self::DeclareProofOfSpace(payload) => Message::new(self.message_type(), id, payload.as_ref()),
            Self::SignedValues(payload) => Message::new(self.message_type(), id, payload.as_ref()),
        }
    }

    /// The number it travels under.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::DeclareProofOfSpace(_) => MessageType::DeclareProofOfSpace,
            Self::SignedValues(_) => MessageType::SignedValues,
        }
    }
}
