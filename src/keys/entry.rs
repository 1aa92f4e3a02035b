//! One key that is farmed with: with its secrets, without them, and as people see it.

use serde::Serialize;

use crate::crypto::{PoolAuthentication, PoolKey, SecretKey};
use crate::ids::PuzzleHash;
use crate::wire::G1Bytes;
use crate::wire::pool::PoolVersion;

/// What is kept of one master key, or of one farmer key.
pub(super) struct Entry {
    /// Of the master key; unknown where only the farmer key was imported.
    pub(super) fingerprint: Option<u32>,
    /// Farmer secret key.
    pub(super) farmer: SecretKey,
    /// Pool public key, and where its rewards go.
    pub(super) pool: Option<PoolKey>,
    /// Keys that speak for plotNFTs to their pools.
    pub(super) authentication: Vec<PoolAuthentication>,
}

impl Entry {
    /// What may be shown of it.
    pub(super) fn report(&self) -> KeyReport {
        self.public().report()
    }

    pub(super) fn public(&self) -> PublicEntry {
        PublicEntry {
            fingerprint: self.fingerprint,
            farmer_public_key: self.farmer.public_key().to_g1(),
            pool: self.pool,
            authentication: self.authentication.iter().map(PublicAuthentication::of).collect(),
        }
    }
}

/// An entry without its secret.
pub(super) struct PublicEntry {
    pub(super) fingerprint: Option<u32>,
    pub(super) farmer_public_key: G1Bytes,
    pub(super) pool: Option<PoolKey>,
    pub(super) authentication: Vec<PublicAuthentication>,
}

/// A key that speaks to a pool, without its secret.
pub(super) struct PublicAuthentication {
    pub(super) owner_public_key: G1Bytes,
    pub(super) version: PoolVersion,
    pub(super) public_key: G1Bytes,
}

impl PublicAuthentication {
    pub(super) fn of(key: &PoolAuthentication) -> Self {
        Self {
            owner_public_key: *key.owner_public_key(),
            version: key.version(),
            public_key: key.public_key().to_g1(),
        }
    }
}

impl PublicEntry {
    pub(super) fn report(&self) -> KeyReport {
        KeyReport {
            fingerprint: self.fingerprint,
            farmer_public_key: self.farmer_public_key,
            pool_public_key: self.pool.map(|pool| *pool.public_key()),
            pool_puzzle_hash: self.pool.map(|pool| *pool.puzzle_hash()),
        }
    }
}

/// The public side of a key in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct KeyReport {
    /// Fingerprint of the wallet the key comes from, if known.
    pub fingerprint: Option<u32>,
    /// Key that plots were made for.
    pub farmer_public_key: G1Bytes,
    /// Key that plots which pay into no contract were made for.
    pub pool_public_key: Option<G1Bytes>,
    /// Where the pool key sends their rewards.
    pub pool_puzzle_hash: Option<PuzzleHash>,
}
