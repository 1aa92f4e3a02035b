//! One plot file: opened safely, its keys derived and checked, ready to be looked up and to sign.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::crypto::{CryptoError, PublicKey, SecretKey, derive, plot_public_key};
use crate::ids::{PlotId, PosChallenge};
use crate::pos::v1::{Prover, Quality};
use crate::pos::{PlotError, ReadAt};
use crate::units::{ByteSize, PlotSize};
use crate::wire::{G1Bytes, HarvesterHandshake, Plot, PlotPool};

/// An open plot file.
#[derive(Debug)]
pub struct PlotFile {
    file: File,
    size: u64,
}

impl PlotFile {
    /// Opens a regular file for reading. A FIFO or device named like a plot is refused instead of waited for.
    ///
    /// # Errors
    /// The operating system's, or `InvalidInput` for anything but a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self {
            size: metadata.len(),
            file,
        })
    }

    /// Modification time, unix seconds; 0 where the file system does not know it.
    fn time_modified(&self) -> u64 {
        let modified = self.file.metadata().and_then(|m| m.modified()).ok();
        modified
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_secs())
    }
}

impl ReadAt for PlotFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

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
}

/// A plot that is farmed.
pub struct LoadedPlot {
    path: PathBuf,
    prover: Prover,
    local_sk: SecretKey,
    local_pk: PublicKey,
    farmer_pk: PublicKey,
    plot_public_key: PublicKey,
    plot_id: PlotId,
    file_size: u64,
    time_modified: u64,
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
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let file = PlotFile::open(path).map_err(io)?;
        let prover = Prover::open(&file).map_err(|source| OpenError::Plot {
            path: path.to_owned(),
            source,
        })?;
        let memo = &prover.header().memo;
        let no_key = |what, wanted| OpenError::NoKey {
            path: path.to_owned(),
            what,
            wanted,
        };
        if !keys.farmer_public_keys.contains(&memo.farmer_public_key) {
            return Err(no_key("farmer public key", memo.farmer_public_key));
        }
        if let PlotPool::PublicKey(pool) = memo.pool
            && !keys.pool_public_keys.contains(&pool)
        {
            return Err(no_key("pool public key", pool));
        }
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
            file_size: file.size,
            time_modified: file.time_modified(),
            prover,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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

    /// The plot as the farmer is told of it, under the name `filename`.
    #[must_use]
    pub fn describe(&self, filename: &str) -> Plot {
        Plot {
            filename: filename.to_owned(),
            size: PlotSize::V1 { k: self.k() },
            plot_id: self.plot_id,
            pool: *self.pool(),
            plot_public_key: self.plot_public_key.to_g1(),
            file_size: ByteSize(self.file_size),
            time_modified: self.time_modified,
            compression_level: Some(0),
            plot_index: 0,
            meta_group: 0,
        }
    }

    /// Opens the file and looks up the qualities of all proofs for `challenge`.
    ///
    /// # Errors
    /// [`OpenError`]: the file is gone or damaged.
    pub fn qualities(&self, challenge: &PosChallenge) -> Result<(PlotFile, Vec<Quality>), OpenError> {
        let file = PlotFile::open(&self.path).map_err(|source| OpenError::Io {
            path: self.path.clone(),
            source,
        })?;
        let qualities = self
            .prover
            .qualities(&file, challenge)
            .map_err(|source| self.damaged(source))?;
        Ok((file, qualities))
    }

    /// The full, verified proof of one quality.
    ///
    /// # Errors
    /// [`OpenError`]: the file is gone or damaged.
    pub fn full_proof(
        &self,
        file: &PlotFile,
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
