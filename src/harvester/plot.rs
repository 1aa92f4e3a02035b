//! One plot file: opened safely, its keys derived and checked, ready to be looked up and to sign.

use std::io;
use std::path::{Path, PathBuf};

use super::file::{FileStamp, PlotFile, plot_name};
use crate::crypto::{CryptoError, PublicKey, SecretKey, derive, plot_public_key};
use crate::ids::{PlotId, PosChallenge};
use crate::pos::header::{PlotHeader, PlotMemo};
use crate::pos::v1::{Prover, Quality};
use crate::pos::{PlotError, ReadAt};
use crate::units::{ByteSize, PlotSize};
use crate::wire::{G1Bytes, HarvesterHandshake, Plot, PlotPool};

/// Why a file is not farmed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or read.
    #[error("open {path}: {source}")]
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
    #[error("{path} was made for {what} {wanted}, which is not ours")]
    NoKey {
        /// File.
        path: PathBuf,
        /// `farmer public key` or `pool public key`.
        what: &'static str,
        /// The key.
        wanted: G1Bytes,
    },
    /// It is far smaller than plots of its k are.
    #[error("{path} is being copied: {size} bytes of a k {k} plot")]
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

/// A plot that is farmed.
pub struct LoadedPlot {
    path: PathBuf,
    name: String,
    stamp: FileStamp,
    volume: u64,
    prover: Prover,
    local_sk: SecretKey,
    local_pk: PublicKey,
    farmer_pk: PublicKey,
    plot_public_key: PublicKey,
    plot_id: PlotId,
}

impl std::fmt::Debug for LoadedPlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedPlot")
            .field("path", &self.path)
            .field("plot_id", &self.plot_id)
            .finish_non_exhaustive()
    }
}

impl LoadedPlot {
    /// Opens the plot at `path` and checks that it is farmed with one of `keys`.
    ///
    /// # Errors
    /// [`OpenError`]: with [`OpenError::NoKey`] the plot is fine but not ours.
    pub fn open(path: &Path, keys: &HarvesterHandshake) -> Result<Self, OpenError> {
        let file = open(path)?;
        let prover = Prover::open(&file).map_err(|source| cannot_prove(path, &file, source))?;
        let memo = &prover.header().memo;
        check_keys(path, memo, keys)?;
        let bad = |what| {
            move |source| OpenError::Keys {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let master = SecretKey::from_bytes(&memo.local_master_sk).map_err(bad("its secret key"))?;
        let local_sk = derive::local_sk(&master);
        let local_pk = local_sk.public_key();
        let farmer_pk = PublicKey::from_g1(&memo.farmer_public_key).map_err(bad("its farmer public key"))?;
        let plot_pk = plot_public_key(&local_pk, &farmer_pk, &memo.pool);
        let computed = crate::wire::plot_id_v1(&memo.pool, &plot_pk.to_g1());
        let written = prover.header().plot_id;
        if computed != written {
            return Err(OpenError::WrongId {
                path: path.to_owned(),
                written,
                computed,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            local_sk,
            local_pk,
            farmer_pk,
            plot_public_key: plot_pk,
            plot_id: computed,
            name: plot_name(path),
            stamp: file.stamp(),
            volume: file.volume(),
            prover,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the farmer calls it, see [`plot_name`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file as it was loaded.
    #[must_use]
    pub const fn stamp(&self) -> FileStamp {
        self.stamp
    }

    /// Number of the file system it lies on.
    #[must_use]
    pub const fn volume(&self) -> u64 {
        self.volume
    }

    /// Whether it is farmed with one of `keys`.
    ///
    /// # Errors
    /// [`OpenError::NoKey`].
    pub fn check_keys(&self, keys: &HarvesterHandshake) -> Result<(), OpenError> {
        check_keys(&self.path, &self.prover.header().memo, keys)
    }

    /// Its id.
    #[must_use]
    pub const fn plot_id(&self) -> &PlotId {
        &self.plot_id
    }

    /// Its k.
    #[must_use]
    pub fn k(&self) -> u8 {
        self.prover.header().k
    }

    /// Who is paid.
    #[must_use]
    pub fn pool(&self) -> &PlotPool {
        &self.prover.header().memo.pool
    }

    /// The key its blocks are signed with.
    #[must_use]
    pub const fn plot_public_key(&self) -> &PublicKey {
        &self.plot_public_key
    }

    /// The farmer key it was made for.
    #[must_use]
    pub const fn farmer_pk(&self) -> &PublicKey {
        &self.farmer_pk
    }

    /// Its own public key.
    #[must_use]
    pub const fn local_pk(&self) -> &PublicKey {
        &self.local_pk
    }

    /// Its own secret key: the harvester's share of every signature.
    #[must_use]
    pub const fn local_sk(&self) -> &SecretKey {
        &self.local_sk
    }

    /// The plot as the farmer is told of it.
    #[must_use]
    pub fn describe(&self) -> Plot {
        Plot {
            filename: self.name.clone(),
            size: PlotSize::V1 { k: self.k() },
            plot_id: self.plot_id,
            pool: *self.pool(),
            plot_public_key: self.plot_public_key.to_g1(),
            file_size: ByteSize(self.stamp.size),
            time_modified: u64::try_from(self.stamp.modified_s).unwrap_or(0),
            compression_level: Some(0),
            plot_index: 0,
            meta_group: 0,
        }
    }

    /// Opens the file, if it still is the one that was loaded.
    ///
    /// # Errors
    /// [`OpenError`]: the file is gone or another one.
    pub fn open_file(&self) -> Result<PlotFile, OpenError> {
        let file = open(&self.path)?;
        if file.stamp() != self.stamp {
            return Err(OpenError::Changed {
                path: self.path.clone(),
            });
        }
        Ok(file)
    }

    /// Looks up the qualities of all proofs for `challenge`. `file` is what [`Self::open_file`] gave.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable or damaged.
    pub fn qualities(&self, file: &dyn ReadAt, challenge: &PosChallenge) -> Result<Vec<Quality>, OpenError> {
        self.prover
            .qualities(file, challenge)
            .map_err(|source| self.damaged(source))
    }

    /// The full, verified proof of one quality.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable or damaged.
    pub fn full_proof(
        &self,
        file: &dyn ReadAt,
        challenge: &PosChallenge,
        quality: &Quality,
    ) -> Result<Vec<u8>, OpenError> {
        self.prover
            .full_proof(file, challenge, quality)
            .map_err(|source| self.damaged(source))
    }

    fn damaged(&self, source: PlotError) -> OpenError {
        OpenError::Plot {
            path: self.path.clone(),
            source,
        }
    }
}

fn open(path: &Path) -> Result<PlotFile, OpenError> {
    PlotFile::open(path).map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })
}

/// A plot of a size that is farmed for money whose end is missing is taken for one that is on its way; as the official
/// software judges it.
fn cannot_prove(path: &Path, file: &PlotFile, source: PlotError) -> OpenError {
    let path = path.to_owned();
    if let PlotError::CutOff { size, .. } = source
        && let Ok(header) = PlotHeader::parse(file)
        && header.k >= MIN_COPIED_K
        && u128::from(size) < smallest_file(header.k)
    {
        return OpenError::BeingCopied {
            path,
            size,
            k: header.k,
        };
    }
    OpenError::Plot { path, source }
}

fn check_keys(path: &Path, memo: &PlotMemo, keys: &HarvesterHandshake) -> Result<(), OpenError> {
    let no_key = |what, wanted| {
        Err(OpenError::NoKey {
            path: path.to_owned(),
            what,
            wanted,
        })
    };
    if !keys.farmer_public_keys.contains(&memo.farmer_public_key) {
        return no_key("farmer public key", memo.farmer_public_key);
    }
    match memo.pool {
        PlotPool::PublicKey(pool) if !keys.pool_public_keys.contains(&pool) => no_key("pool public key", pool),
        _ => Ok(()),
    }
}

/// Bytes that a whole file of this `k` has at least: 0.98 · 0.78 · (2k + 1) · 2^(k − 1).
fn smallest_file(k: u8) -> u128 {
    let expected = (2 * u128::from(k) + 1) << (k - 1);
    expected * 7644 / 10_000
}

/// Smaller plots are copied too fast to be seen on their way.
const MIN_COPIED_K: u8 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    /// A classic header of this k with pointers beyond the end.
    fn start_of_a_plot(k: u8) -> Vec<u8> {
        let mut bytes = b"Proof of Space Plot".to_vec();
        bytes.extend([1; 32]);
        bytes.push(k);
        bytes.extend(b"\x00\x04v1.0\x00\x70");
        bytes.extend([2; 112]);
        for table in 1..=10_u64 {
            bytes.extend((table << 30).to_be_bytes());
        }
        bytes
    }

    #[test]
    fn the_beginning_of_a_large_plot_is_being_copied_and_of_a_small_one_is_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot");
        let keys = HarvesterHandshake {
            farmer_public_keys: Vec::new(),
            pool_public_keys: Vec::new(),
        };
        let open = |k| {
            std::fs::write(&path, start_of_a_plot(k)).unwrap();
            LoadedPlot::open(&path, &keys).unwrap_err()
        };
        let large = open(32);
        assert!(
            matches!(large, OpenError::BeingCopied { size: 252, k: 32, .. }),
            "{large}"
        );
        let small = open(25);
        assert!(
            matches!(
                small,
                OpenError::Plot {
                    source: PlotError::CutOff { .. },
                    ..
                }
            ),
            "{small}"
        );
    }

    #[test]
    fn smallest_file_of_a_k_32_plot_is_what_the_official_software_computes() {
        // int(0.98 * 0.78 * expected_plot_size(32))
        assert_eq!(smallest_file(32), 106_699_872_534);
    }
}
