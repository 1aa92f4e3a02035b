//! Why a file named like a plot is not farmed, in words for people.

use std::io;
use std::path::PathBuf;

use super::super::file::{is_of_process, open_hint};
use crate::crypto::CryptoError;
use crate::ids::PlotId;
use crate::pos::PlotError;
use crate::wire::G1Bytes;

/// Why a file is not farmed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or read.
    #[error("open {path}: {source}{}", open_hint(source))]
    Io {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no plot that this harvester can farm.
    #[error("open {path}: {source}")]
    Plot {
        /// File.
        path: PathBuf,
        /// Why.
        source: PlotError,
    },
    /// It holds keys that cannot be.
    #[error("open {path}: {what}: {source}")]
    Keys {
        /// File.
        path: PathBuf,
        /// Which key.
        what: &'static str,
        /// Why.
        source: CryptoError,
    },
    /// Its keys do not give its id.
    #[error("open {path}: its keys belong to plot {computed}, its header says {written}")]
    WrongId {
        /// File.
        path: PathBuf,
        /// Id of the header.
        written: PlotId,
        /// Id by the keys.
        computed: PlotId,
    },
    /// It was made for other keys.
    #[error("{path} was made for {0}", none_of_ours(what, wanted, ours))]
    NoKey {
        /// File.
        path: PathBuf,
        /// `farmer public key` or `pool public key`.
        what: &'static str,
        /// The key.
        wanted: G1Bytes,
        /// Those we have.
        ours: Vec<G1Bytes>,
    },
    /// It is compressed more than the settings allow.
    #[error("{path} is compressed at level {level}, {}", allowed(*most))]
    TooCompressed {
        /// File.
        path: PathBuf,
        /// Its level.
        level: u8,
        /// The highest level allowed; 0 for none.
        most: u8,
    },
    /// It is a v2 plot of another k than those of this network.
    #[error("{path} is a v2 plot of k {k}, and on this network v2 plots are of k {farmed}")]
    ForeignSize {
        /// File.
        path: PathBuf,
        /// Its k.
        k: u8,
        /// k of the network.
        farmed: u8,
    },
    /// It is far smaller than plots of its k are.
    #[error("{path} is being copied: {size} bytes of a k {k} plot, which has {} or more", smallest_file(*k))]
    BeingCopied {
        /// File.
        path: PathBuf,
        /// Bytes there are.
        size: u64,
        /// Its k.
        k: u8,
    },
    /// It was replaced or written to after it was loaded; the next refresh loads it again.
    #[error("{path} has changed since it was loaded")]
    Changed {
        /// File.
        path: PathBuf,
    },
}

impl OpenError {
    /// Whether it says nothing of the file, but something of this process and its limits.
    pub(in super::super) fn is_of_process(&self) -> bool {
        match self {
            Self::Io { source, .. }
            | Self::Plot {
                source: PlotError::Unreadable { error: source, .. },
                ..
            } => is_of_process(source),
            _ => false,
        }
    }
}

fn none_of_ours(what: &str, wanted: &G1Bytes, ours: &[G1Bytes]) -> String {
    if ours.is_empty() {
        return format!("{what} {wanted}, and the farmer has none");
    }
    let mut text = format!("{what} {wanted}, which is none of ours: ");
    let shown: Vec<_> = ours.iter().take(KEYS_SHOWN).map(G1Bytes::to_string).collect();
    text.push_str(&shown.join(", "));
    if ours.len() > KEYS_SHOWN {
        text.push_str(&format!(" and {} more", ours.len() - KEYS_SHOWN));
    }
    text
}

fn allowed(most: u8) -> String {
    match most {
        0 => "and `harvester.parallel_decompressor_count` 0 allows no compressed plots".to_owned(),
        most => format!("and `harvester.max_compression_level_allowed` is {most}"),
    }
}

/// What [`OpenError::NoKey`] calls the keys.
pub(in super::super) const FARMER_KEY: &str = "farmer public key";
pub(super) const POOL_KEY: &str = "pool public key";

/// A farm has one or two keys; a list of hundreds helps nobody.
const KEYS_SHOWN: usize = 3;

/// Bytes that a whole file of this `k` has at least: 0.98 · 0.78 · (2k + 1) · 2^(k − 1).
pub(super) fn smallest_file(k: u8) -> u128 {
    let expected = (2 * u128::from(k) + 1) << (k - 1);
    expected * 7644 / 10_000
}

/// Smaller plots are copied too fast to be seen on their way.
pub(super) const MIN_COPIED_K: u8 = 30;
