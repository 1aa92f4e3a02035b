//! The keys of a plot: those in its memo, those worked out of them, and whether they are a farmer's.

use std::path::Path;

use super::open_error::{FARMER_KEY, OpenError, POOL_KEY};
use crate::crypto::{CryptoError, PublicKey, SecretKey, plot_public_key_by};
use crate::pos::header::PlotMemo;
use crate::wire::{G1Bytes, HarvesterHandshake, PlotPool};

/// The public keys of a plot that are worked out of its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlotKeys {
    /// Its own.
    pub local: G1Bytes,
    /// What its blocks are signed with.
    pub plot: G1Bytes,
}

/// The master key in the memo of a plot, of which its own secret key comes.
pub(super) fn master_sk(path: &Path, memo: &PlotMemo) -> Result<SecretKey, OpenError> {
    SecretKey::from_bytes(&memo.local_master_sk).map_err(|source| bad_key(path, "its secret key", source))
}

/// The public keys of the plot with this secret key of its own.
pub(super) fn keys_of(
    local: &SecretKey,
    farmer: &PublicKey,
    pool: &PlotPool,
    public_key: impl Fn(&SecretKey) -> PublicKey,
) -> PlotKeys {
    let local = public_key(local);
    PlotKeys {
        local: local.to_g1(),
        plot: plot_public_key_by(&local, farmer, pool, public_key).to_g1(),
    }
}

/// The farmer public key of a plot.
pub(super) fn farmer_public_key(path: &Path, farmer: &G1Bytes) -> Result<PublicKey, OpenError> {
    PublicKey::from_g1(farmer).map_err(|source| bad_key(path, "its farmer public key", source))
}

/// What to say of a key of a plot that is none.
pub(super) fn bad_key(path: &Path, what: &'static str, source: CryptoError) -> OpenError {
    OpenError::Keys {
        path: path.to_owned(),
        what,
        source,
    }
}

/// Whether the plot is for the keys that a farmer has.
pub(super) fn check_keys(
    path: &Path,
    pool: &PlotPool,
    farmer: &G1Bytes,
    keys: &HarvesterHandshake,
) -> Result<(), OpenError> {
    let no_key = |what, wanted, ours: &[G1Bytes]| {
        Err(OpenError::NoKey {
            path: path.to_path_buf(),
            what,
            wanted,
            ours: ours.to_vec(),
        })
    };
    if !keys.farmer_public_keys.contains(farmer) {
        return no_key(FARMER_KEY, *farmer, &keys.farmer_public_keys);
    }
    match pool {
        PlotPool::PublicKey(pool) if !keys.pool_public_keys.contains(pool) => {
            no_key(POOL_KEY, *pool, &keys.pool_public_keys)
        }
        _ => Ok(()),
    }
}
