//! One plot file: opened safely, its keys derived and checked, ready to be looked up and to sign.
//!
//! A [`LoadedPlot`] keeps what is needed to look proofs up, and no secret: the key that signs is read from the file when
//! something is to be signed. To work its public keys out takes a hundred times as long as all else, and only those who
//! tell of the plot or of a proof need them, so this may be left for later. What takes long, [`PlotFacts`], can be kept
//! and given back.

mod keys;
mod open_error;
mod opening;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

pub use keys::PlotKeys;
use keys::{bad_key, check_keys, farmer_public_key, keys_of, master_sk};
pub(super) use open_error::FARMER_KEY;
pub use open_error::OpenError;

use super::file::{FileStamp, PlotFile, PlotPath, name_of};
use super::plot_v2::ProverV2;
use crate::crypto::{PublicKey, SecretKey, Signature, derive, sign_prepend};
use crate::ids::{Bytes32, PlotId, PosChallenge};
use crate::pos::header::{PlotHeader, PlotMemo, TableHeader};
use crate::pos::v1::{Prover, Quality};
use crate::pos::{PlotError, ReadAt};
use crate::units::{ByteSize, PlotSize};
use crate::wire::{G1Bytes, HarvesterHandshake, PartialProof, Plot, PlotPool};

/// A plot that is farmed. Holds no secret and no file.
pub struct LoadedPlot {
    path: PlotPath,
    stamp: FileStamp,
    volume: u64,
    plot_id: PlotId,
    /// Who is paid.
    pool: PlotPool,
    /// The farmer it was made for.
    farmer: G1Bytes,
    keys: OnceLock<PlotKeys>,
    prover: PlotProver,
    /// Whether a look-up could not use its file.
    is_doubted: AtomicBool,
}

/// What looks proofs up, by format.
#[derive(Debug)]
pub enum PlotProver {
    /// Of a v1 plot, classic or compressed.
    V1(Prover),
    /// Of a v2 plot.
    V2(ProverV2),
}

/// What is known of a plot file, so that it need not be read, or not all of it, to farm it again. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotFacts {
    /// Its keys.
    pub keys: PlotKeys,
    /// What its prover keeps, and of a v1 plot the header.
    pub prover: ProverFacts,
}

/// What a prover keeps, by format.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all plots are v1 plots")]
pub enum ProverFacts {
    /// Of a v1 plot: all that is needed.
    V1 {
        /// Who is paid.
        pool: PlotPool,
        /// The farmer it was made for.
        farmer: G1Bytes,
        /// Its header.
        header: TableHeader,
        /// The entries of table C2, ascending, see [`Prover::c2`].
        c2: Box<[u64]>,
    },
    /// Of a v2 plot: nothing, its header is read.
    V2,
}

impl std::fmt::Debug for LoadedPlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedPlot")
            .field("path", &self.path())
            .field("plot_id", &self.plot_id)
            .finish_non_exhaustive()
    }
}

impl LoadedPlot {
    fn take_keys(&self, keys: PlotKeys, computed: PlotId) -> Result<(), OpenError> {
        if computed != self.plot_id {
            return Err(OpenError::WrongId {
                path: self.path().to_owned(),
                written: self.plot_id,
                computed,
            });
        }
        // Who was faster has worked out the same.
        let _ = self.keys.set(keys);
        Ok(())
    }

    /// Its keys, if they are worked out.
    #[must_use]
    pub fn known_keys(&self) -> Option<&PlotKeys> {
        self.keys.get()
    }

    /// Its keys, which are worked out if they are not: half a millisecond, after a read of the header. Blocking.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable or another one, or the id in its header is not that of its keys.
    pub fn own_keys(&self) -> Result<&PlotKeys, OpenError> {
        if self.keys.get().is_none() {
            self.work_out_keys(&self.read_memo()?, &self.farmer_public_key()?)?;
        }
        self.keys.get().ok_or_else(|| OpenError::Changed {
            path: self.path().to_owned(),
        })
    }

    /// What the file says of its owner, with the plot's secret: for [`Self::work_out_keys`]. Blocking.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable or another one.
    pub(super) fn read_memo(&self) -> Result<PlotMemo, OpenError> {
        let header = PlotHeader::parse(&open(self.path())?).map_err(|source| self.damaged(source))?;
        if (header.plot_id, header.memo.pool, header.memo.farmer_public_key) != (self.plot_id, self.pool, self.farmer) {
            return Err(OpenError::Changed {
                path: self.path().to_owned(),
            });
        }
        Ok(header.memo)
    }

    /// The farmer key it was made for, checked.
    ///
    /// # Errors
    /// [`OpenError::Keys`]: it is no key.
    pub(super) fn farmer_public_key(&self) -> Result<PublicKey, OpenError> {
        farmer_public_key(self.path(), &self.farmer)
    }

    /// Works the keys of a v1 plot out of its `memo`; a v2 plot has them. `farmer` is [`Self::farmer_public_key`].
    ///
    /// # Errors
    /// [`OpenError`]: the memo holds no key, or the id in the header is not that of the keys.
    fn work_out_keys(&self, memo: &PlotMemo, farmer: &PublicKey) -> Result<(), OpenError> {
        let local = derive::local_sk(&self.master_sk(memo)?);
        self.take_local_key(&local, farmer, SecretKey::public_key)
    }

    /// The secret key that the plot's own is derived from.
    ///
    /// # Errors
    /// [`OpenError::Keys`]: it is no key.
    pub(super) fn master_sk(&self, memo: &PlotMemo) -> Result<SecretKey, OpenError> {
        master_sk(self.path(), memo)
    }

    /// Works the keys of a v1 plot out of its own secret key, with `public_key` for those of secret keys; a v2 plot has
    /// them. `farmer` is [`Self::farmer_public_key`].
    ///
    /// # Errors
    /// [`OpenError::WrongId`]: the id in the header is not that of the keys.
    pub(super) fn take_local_key(
        &self,
        local: &SecretKey,
        farmer: &PublicKey,
        public_key: impl Fn(&SecretKey) -> PublicKey,
    ) -> Result<(), OpenError> {
        let keys = keys_of(local, farmer, &self.pool, public_key);
        self.take_keys(keys, crate::wire::plot_id_v1(&self.pool, &keys.plot))
    }

    /// What [`Self::open_known`] wants to know; `None` before its keys are worked out.
    #[must_use]
    pub fn facts(&self) -> Option<PlotFacts> {
        Some(PlotFacts {
            keys: *self.keys.get()?,
            prover: match &self.prover {
                PlotProver::V1(prover) => ProverFacts::V1 {
                    pool: self.pool,
                    farmer: self.farmer,
                    header: *prover.header(),
                    c2: prover.c2().into(),
                },
                PlotProver::V2(_) => ProverFacts::V2,
            },
        })
    }

    /// Whether this is the same plot in the same file with the same content.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.path(), self.plot_id, self.pool, self.farmer) == (other.path(), other.plot_id, other.pool, other.farmer)
            && self.stamp.has_content_of(&other.stamp)
    }

    /// Whether a farmer is told the same of both, the time of the file apart.
    pub(super) fn is_told_as(&self, other: &Self) -> bool {
        (self.path(), self.plot_id, self.pool, self.farmer, self.stamp.size)
            == (other.path(), other.plot_id, other.pool, other.farmer, other.stamp.size)
    }

    /// A look-up could not use its file, though that may look the same from outside: the next refresh opens it again.
    pub(super) fn doubt(&self) {
        self.is_doubted.store(true, Ordering::Relaxed);
    }

    /// Its file was opened.
    pub(super) fn trust(&self) {
        self.is_doubted.store(false, Ordering::Relaxed);
    }

    /// Whether its file is to be opened again.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted.load(Ordering::Relaxed)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is, shared.
    #[must_use]
    pub const fn plot_path(&self) -> &PlotPath {
        &self.path
    }

    /// What the farmer calls it, see [`plot_name`](super::plot_name).
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        name_of(&self.path)
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
        check_keys(self.path(), &self.pool, &self.farmer, keys)
    }

    /// Its id.
    #[must_use]
    pub const fn plot_id(&self) -> &PlotId {
        &self.plot_id
    }

    /// Its size: k, and for v2 its strength.
    #[must_use]
    pub const fn size(&self) -> PlotSize {
        match &self.prover {
            PlotProver::V1(prover) => PlotSize::V1 { k: prover.header().k },
            PlotProver::V2(prover) => prover.size(),
        }
    }

    /// Its k.
    #[must_use]
    pub const fn k(&self) -> u8 {
        match &self.prover {
            PlotProver::V1(prover) => prover.header().k,
            PlotProver::V2(prover) => prover.k(),
        }
    }

    /// The plot, if it can win on a network whose v2 plots are of k `plot_size_v2`.
    ///
    /// # Errors
    /// [`OpenError::ForeignSize`].
    pub(super) fn for_network(self, plot_size_v2: u8) -> Result<Self, OpenError> {
        match &self.prover {
            PlotProver::V2(prover) if prover.k() != plot_size_v2 => Err(OpenError::ForeignSize {
                path: self.path().to_path_buf(),
                k: prover.k(),
                farmed: plot_size_v2,
            }),
            _ => Ok(self),
        }
    }

    /// How much it is compressed; 0 is not at all.
    #[must_use]
    pub const fn compression_level(&self) -> u8 {
        match &self.prover {
            PlotProver::V1(prover) => prover.header().compression_level(),
            PlotProver::V2(_) => 0,
        }
    }

    /// What looks its proofs up.
    #[must_use]
    pub const fn prover(&self) -> &PlotProver {
        &self.prover
    }

    /// What looks up the proofs of a v1 plot that is not compressed: one that is read more than computed.
    pub(super) const fn classic_prover(&self) -> Option<&Prover> {
        match &self.prover {
            PlotProver::V1(prover) if prover.header().compression_level() == 0 => Some(prover),
            _ => None,
        }
    }

    /// Who is paid.
    #[must_use]
    pub const fn pool(&self) -> &PlotPool {
        &self.pool
    }

    /// The farmer key it was made for.
    #[must_use]
    pub const fn farmer_pk(&self) -> &G1Bytes {
        &self.farmer
    }

    /// Signs each of `messages` with the plot's own secret key, the harvester's share of a signature. The key is read from
    /// the file, which must still hold this plot, and wiped afterwards. Blocking.
    ///
    /// # Errors
    /// [`OpenError`]: the file is gone, damaged or another one.
    pub fn sign(&self, messages: &[Bytes32]) -> Result<Vec<Signature>, OpenError> {
        let path = self.path();
        let keys = self.own_keys()?;
        let local_sk = derive::local_sk(&self.master_sk(&self.read_memo()?)?);
        if local_sk.public_key().to_g1() != keys.local {
            return Err(OpenError::Changed {
                path: path.to_path_buf(),
            });
        }
        let plot_public_key =
            PublicKey::from_g1(&keys.plot).map_err(|source| bad_key(path, "its plot public key", source))?;
        let sign = |message: &Bytes32| sign_prepend(&local_sk, &plot_public_key, message.as_bytes());
        Ok(messages.iter().map(sign).collect())
    }

    /// The plot as the farmer is told of it; `None` before its keys are worked out.
    #[must_use]
    pub fn describe(&self) -> Option<Plot> {
        let (plot_index, meta_group) = match &self.prover {
            PlotProver::V1(_) => (0, 0),
            PlotProver::V2(prover) => (prover.plot_index(), prover.meta_group()),
        };
        Some(Plot {
            filename: self.name().into_owned(),
            size: self.size(),
            plot_id: self.plot_id,
            pool: self.pool,
            plot_public_key: self.keys.get()?.plot,
            file_size: ByteSize(self.stamp.size),
            time_modified: u64::try_from(self.stamp.modified_s).unwrap_or(0),
            compression_level: Some(self.compression_level()),
            plot_index,
            meta_group,
        })
    }

    /// Opens the file, which must be the one that was loaded.
    ///
    /// # Errors
    /// [`OpenError::Io`], or [`OpenError::Changed`] if it is another one.
    pub fn open_file(&self) -> Result<PlotFile, OpenError> {
        let file = open(self.path())?;
        if file.stamp().has_content_of(&self.stamp) {
            return Ok(file);
        }
        Err(OpenError::Changed {
            path: self.path().to_owned(),
        })
    }

    /// Looks up the qualities of all full proofs for `challenge`; a v2 plot has none. `file` is what [`Self::open_file`] gave.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable or damaged.
    pub fn qualities(&self, file: &dyn ReadAt, challenge: &PosChallenge) -> Result<Vec<Quality>, OpenError> {
        let PlotProver::V1(prover) = &self.prover else {
            return Err(self.damaged(PlotError::NotV1));
        };
        prover.qualities(file, challenge).map_err(|source| self.damaged(source))
    }

    /// Looks up all partial proofs of a v2 plot for `challenge`. `file` is what [`Self::open_file`] gave.
    ///
    /// # Errors
    /// [`OpenError`]: the file is unreadable, damaged or another one.
    pub fn partial_proofs(&self, file: &dyn ReadAt, challenge: &PosChallenge) -> Result<Vec<PartialProof>, OpenError> {
        let PlotProver::V2(prover) = &self.prover else {
            return Err(self.damaged(PlotError::NotV2));
        };
        let found = prover
            .partial_proofs(self.path(), file, challenge)
            .map_err(|source| self.damaged(source))?;
        // They were found by path.
        self.open_file()?;
        Ok(found)
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
        let PlotProver::V1(prover) = &self.prover else {
            return Err(self.damaged(PlotError::NotV1));
        };
        prover
            .full_proof(file, challenge, quality)
            .map_err(|source| self.damaged(source))
    }

    /// This plot is damaged, or cannot be read.
    pub(super) fn damaged(&self, source: PlotError) -> OpenError {
        OpenError::Plot {
            path: self.path().to_owned(),
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
