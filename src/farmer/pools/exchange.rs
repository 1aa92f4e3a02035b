//! What goes to pools and what comes back: a round trip like every other slow work.

use crate::farmer::numbers::PartialNumber;
use crate::ids::{LauncherId, PuzzleHash};
use crate::wire::pool::{PoolVersion, PostPartialPayload};
use crate::wire::{G1Bytes, G2Bytes};

/// A plotNFT and the pool it has joined, as the wallet wrote it down.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PoolMembership {
    /// The plotNFT.
    pub launcher_id: LauncherId,
    /// Where the pool is, as `https://pool.example`, without a slash at its end; empty if the plotNFT farms for itself.
    pub pool_url: String,
    /// Where the pool shall pay, in the pool's own form: a puzzle hash or an address.
    pub payout_instructions: String,
    /// Puzzle hash of the pool itself.
    pub target_puzzle_hash: PuzzleHash,
    /// What its plots are made for (`pool_contract_puzzle_hash`).
    pub p2_singleton_puzzle_hash: PuzzleHash,
    /// Key of its owner.
    pub owner_public_key: G1Bytes,
    /// Protocol it speaks.
    pub version: PoolVersion,
    /// Number of the wallet key that is its owner; only in the second protocol.
    pub key_derivation_index: Option<u32>,
}

/// A plotNFT that is farmed with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JoinedPool {
    /// What it is.
    pub membership: PoolMembership,
    /// Public part of the key that speaks to its pool; `None` if that key is not here.
    pub authentication_public_key: Option<G1Bytes>,
}

/// One request to a pool. Whoever sends it signs it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolRequest {
    /// `GET /pool_info`.
    Info,
    /// `GET /farmer`; a pool of the second protocol needs no token of the time, but a login.
    Farmer {
        /// Token of the first protocol.
        authentication_token: u64,
    },
    /// `POST /farmer` of the second protocol, where the key that farms signs it.
    Register,
    /// `PUT /farmer` of the second protocol, which nobody signs.
    SetPayout,
    /// `POST /partial`.
    Partial(Box<PartialSubmission>),
}

impl PoolRequest {
    /// As people know it: `GET /farmer`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Info => "GET /pool_info",
            Self::Farmer { .. } => "GET /farmer",
            Self::Register => "POST /farmer",
            Self::SetPayout => "PUT /farmer",
            Self::Partial(_) => "POST /partial",
        }
    }
}

/// A partial, complete but for the token of the second protocol.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartialSubmission {
    /// What is signed.
    pub payload: PostPartialPayload,
    /// Plot signature and authentication signature, added.
    pub aggregate_signature: G2Bytes,
    /// Software of the harvester that found the proof, as it calls itself.
    pub harvester_version: String,
}

/// What came back for one request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PoolAnswer {
    /// The answer.
    pub result: Result<PoolReply, PoolFailure>,
    /// The pool's clock when it answered, unix seconds, if it said so.
    pub server_unix_s: Option<u64>,
    /// The address the pool has moved to for good, on the same host.
    pub moved_to: Option<String>,
}

/// What a pool says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolReply {
    /// To [`PoolRequest::Info`].
    Info {
        /// Its name; text from outside, made visible and cut.
        name: String,
        /// Difficulty of whoever has asked for none, at least 1.
        minimum_difficulty: u64,
        /// Minutes for which tokens of the first protocol hold, at least 1.
        authentication_token_timeout: u8,
    },
    /// To [`PoolRequest::Farmer`].
    Farmer {
        /// Where it pays, in its own form.
        payout_instructions: String,
        /// Difficulty of partials, at least 1.
        current_difficulty: u64,
        /// Points as the pool counts them.
        current_points: u64,
    },
    /// To [`PoolRequest::Register`] and [`PoolRequest::SetPayout`].
    Done,
    /// To [`PoolRequest::Partial`]: accepted.
    Accepted {
        /// Difficulty from here on, at least 1.
        new_difficulty: u64,
    },
}

/// Why there is no reply. `Display` is a fragment; text from the pool in it has been made visible and cut.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum PoolFailure {
    /// It cannot be reached, or ended the connection, or did not answer in time.
    #[error("{why}")]
    Unreachable {
        /// The last cause.
        why: String,
    },
    /// It answered with an HTTP status that is none of success.
    #[error("HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It answered with something else than the protocol says.
    #[error("an answer that makes no sense: {why}")]
    Nonsense {
        /// What is wrong with it.
        why: String,
    },
    /// It refused.
    #[error("error {code}: {message}")]
    Refused {
        /// One of the pool protocol ([`error_code`](crate::wire::pool::error_code)), or its own.
        code: u16,
        /// In its words.
        message: String,
    },
    /// It sends us to another host, where nothing of ours is sent.
    #[error("it sends us to {to}, which is another host: not followed")]
    RedirectRefused {
        /// Where to.
        to: String,
    },
    /// On this network pools must be asked over HTTPS.
    #[error("{url} is not https, which pools of this network must be")]
    NotHttps {
        /// The address.
        url: String,
    },
    /// The key that speaks for the plotNFT is not here.
    #[error("the key that speaks to this pool is not in the key file")]
    NoKey,
    /// Too many requests wait already.
    #[error("too many requests to pools wait already")]
    Busy,
}

impl PoolFailure {
    /// Whether the same request may still succeed in a moment.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Nonsense { .. } | Self::Busy => true,
            Self::Status { status } => *status >= 500 || matches!(*status, 408 | 425 | 429),
            Self::Refused { code, .. } => *code == crate::wire::pool::error_code::SERVER_EXCEPTION,
            Self::RedirectRefused { .. } | Self::NotHttps { .. } | Self::NoKey => false,
        }
    }
}

/// What a request to a pool was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::farmer) enum Asked {
    /// Its terms.
    Info,
    /// Our account.
    Farmer,
    /// To register us.
    Register,
    /// To pay elsewhere.
    SetPayout,
    /// To take a partial.
    Partial(PartialNumber),
}

impl Asked {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Info => PoolRequest::Info.word(),
            Self::Farmer => "GET /farmer",
            Self::Register => PoolRequest::Register.word(),
            Self::SetPayout => PoolRequest::SetPayout.word(),
            Self::Partial(_) => "POST /partial",
        }
    }
}
