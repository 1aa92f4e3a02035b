//! What is hashed and signed in the pool protocol. The requests themselves are JSON; only their streamable form, which
//! the signatures are made of, is here.

use super::codec::{HashOfBytes, streamable};
use super::points::{G1Bytes, G2Bytes};
use super::proof::ProofOfSpace;
use serde::{Deserialize, Serialize};

use crate::ids::{LauncherId, PeerId, PuzzleHash, SpHash};
use crate::units::Difficulty;

/// Which of the two pool protocols a plotNFT speaks; decided when it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolVersion {
    /// Every request is signed, with a token made of the time.
    #[default]
    V1,
    /// A login gives a token for a while. Its key is a wallet key.
    V2,
}

/// Error codes of pools that mean something to a farmer. Source: chia `pool_protocol.py`, `PoolErrorCode`.
pub mod error_code {
    /// The signage point was reverted by a reorganisation.
    pub const REVERTED_SIGNAGE_POINT: u16 = 1;
    /// The partial came too long after its signage point.
    pub const TOO_LATE: u16 = 2;
    /// The proof is not good enough for the difficulty the pool has set.
    pub const PROOF_NOT_GOOD_ENOUGH: u16 = 5;
    /// A signature is wrong: the pool may know another authentication key.
    pub const INVALID_SIGNATURE: u16 = 7;
    /// Something went wrong on the pool's side.
    pub const SERVER_EXCEPTION: u16 = 8;
    /// The plotNFT has never been registered with this pool.
    pub const FARMER_NOT_KNOWN: u16 = 10;
    /// The plotNFT is registered already.
    pub const FARMER_ALREADY_KNOWN: u16 = 11;
    /// The token is too old: the clocks differ, or a session has ended.
    pub const INVALID_AUTHENTICATION_TOKEN: u16 = 12;
}

/// Token of the first protocol: whole minutes since 1970, divided by what the pool calls its time-out (in minutes, at
/// least 1). A pool accepts those that are at most a time-out away. Source: chia `get_current_authentication_token`.
#[must_use]
pub const fn authentication_token(unix_seconds: u64, timeout_minutes: u8) -> u64 {
    let timeout = if timeout_minutes == 0 {
        1
    } else {
        timeout_minutes as u64
    };
    unix_seconds / 60 / timeout
}

/// What a login at a pool of the second protocol signs: time ‖ launcher id ‖ puzzle hash of the pool.
#[must_use]
pub fn login_message(unix_seconds: u64, launcher_id: &LauncherId, target_puzzle_hash: &PuzzleHash) -> Vec<u8> {
    let mut message = unix_seconds.to_be_bytes().to_vec();
    message.extend_from_slice(launcher_id.as_bytes());
    message.extend_from_slice(target_puzzle_hash.as_bytes());
    message
}

streamable! {
    /// Signed by the authentication key to log in to a v1 pool.
    pub struct AuthenticationPayloadV1 {
        /// Request it is for, as "get_farmer".
        pub method_name: String,
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// The pool's puzzle hash.
        pub target_puzzle_hash: PuzzleHash,
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
    }

    /// A partial; plot key and authentication key sign its hash.
    pub struct PostPartialPayload {
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
        /// The proof.
        pub proof_of_space: ProofOfSpace,
        /// Signage point in the challenge chain.
        pub sp_hash: SpHash,
        /// Whether it is the signage point of index 0.
        pub end_of_sub_slot: bool,
        /// Node id of the harvester that found the proof.
        pub harvester_id: PeerId,
    }

    /// `POST /partial`.
    pub struct PostPartialRequest {
        /// The partial.
        pub payload: PostPartialPayload,
        /// Sum of the plot signature and the authentication key's signature.
        pub aggregate_signature: G2Bytes,
        /// Token of a v2 pool, else empty.
        pub authentication_token_v2: String,
    }

    /// Registration with a pool; the owner key signs its hash.
    pub struct PostFarmerPayload {
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
        /// Key that will sign from here on.
        pub authentication_public_key: G1Bytes,
        /// Where the pool shall pay, in the pool's own form.
        pub payout_instructions: String,
        /// Difficulty the farmer would like.
        pub suggested_difficulty: Option<Difficulty>,
    }

    /// Change of a registration at a v2 pool.
    pub struct PutFarmerPayload {
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
        /// New authentication key, if it changes.
        pub authentication_public_key: Option<G1Bytes>,
        /// New payout instructions, if they change.
        pub payout_instructions: Option<String>,
        /// New difficulty, if it changes.
        pub suggested_difficulty: Option<Difficulty>,
        /// Token of a v2 pool.
        pub authentication_token_v2: String,
    }

    /// Change of a registration as a v1 pool has it signed (`PutFarmerPayloadBackCompat`): without the last field.
    pub struct PutFarmerPayloadV1 {
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
        /// New authentication key, if it changes.
        pub authentication_public_key: Option<G1Bytes>,
        /// New payout instructions, if they change.
        pub payout_instructions: Option<String>,
        /// New difficulty, if it changes.
        pub suggested_difficulty: Option<Difficulty>,
    }

    /// `GET /farmer` of a v1 pool.
    pub struct GetFarmerRequestV1 {
        /// Minutes since 1970 divided by the pool's time-out.
        pub authentication_token: u64,
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Token of a v2 pool, else empty.
        pub authentication_token_v2: String,
        /// The authentication key's signature of an [`AuthenticationPayloadV1`].
        pub signature: Option<G2Bytes>,
    }

    /// Login at a v2 pool.
    pub struct GetAuthRequest {
        /// The plotNFT.
        pub launcher_id: LauncherId,
        /// Unix time, seconds.
        pub timestamp: u64,
        /// The authentication key's signature.
        pub signature: G2Bytes,
    }
}

impl HashOfBytes for AuthenticationPayloadV1 {}
/// With all bytes of a v2 proof too: pools hash what they were sent, unlike the chain.
impl HashOfBytes for PostPartialPayload {}
impl HashOfBytes for PostPartialRequest {}
impl HashOfBytes for PostFarmerPayload {}
impl HashOfBytes for PutFarmerPayload {}
impl HashOfBytes for PutFarmerPayloadV1 {}
impl HashOfBytes for GetFarmerRequestV1 {}
impl HashOfBytes for GetAuthRequest {}
