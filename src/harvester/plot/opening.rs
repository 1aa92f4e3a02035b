//! From a file to a plot that is farmed: its header is read and checked, or what is known of it taken instead.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use super::super::file::{FileStamp, PlotFile, PlotPath};
use super::super::plot_v2::ProverV2;
use super::keys::{PlotKeys, check_keys, farmer_public_key, keys_of, master_sk};
use super::open_error::{MIN_COPIED_K, OpenError, smallest_file};
use super::{LoadedPlot, PlotFacts, PlotProver, ProverFacts, open};
use crate::crypto::{SecretKey, derive};
use crate::ids::PlotId;
use crate::pos::PlotError;
use crate::pos::header::{HeaderVersion, PlotHeader, PlotMemo};
use crate::pos::v1::Prover;
use crate::pos::v2::PlotFileV2;
use crate::wire::{G1Bytes, HarvesterHandshake, PlotPool};

impl LoadedPlot {
    /// Opens the plot at `path`, checks that it is farmed with one of `keys`, and works its own keys out.
    ///
    /// # Errors
    /// [`OpenError`]: with [`OpenError::NoKey`] the plot is fine but not ours.
    pub fn open(path: &Path, keys: &HarvesterHandshake) -> Result<Self, OpenError> {
        let (plot, memo) = Self::read(&path.into(), keys)?;
        if plot.keys.get().is_none() {
            plot.work_out_keys(&memo, &plot.farmer_public_key()?)?;
        }
        Ok(plot)
    }

    /// As [`Self::open`], but the keys of a v1 plot are left for later, and that its id belongs to them with them.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_without_keys(path: &PlotPath, keys: &HarvesterHandshake) -> Result<Self, OpenError> {
        Self::read(path, keys).map(|(plot, _)| plot)
    }

    /// As [`Self::open`], of a file whose facts are known: the [`Self::facts`] of the plot when it was opened before. Of a v1
    /// plot nothing is read, so the file must be as it was then, with this `stamp`; of a v2 plot the header is, and facts
    /// of another plot are refused as [`OpenError::WrongId`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_known(
        path: &PlotPath,
        stamp: FileStamp,
        volume: u64,
        keys: &HarvesterHandshake,
        facts: &PlotFacts,
    ) -> Result<Self, OpenError> {
        let ProverFacts::V1 {
            pool,
            farmer,
            header,
            c2,
        } = &facts.prover
        else {
            let file = open(path)?;
            let cannot_prove = |source| cannot_prove(path, &file, source);
            let header = PlotHeader::parse(&file).map_err(cannot_prove)?;
            let prover = ProverV2::new(&header, &facts.keys.plot).map_err(cannot_prove)?;
            check_keys(path, &header.memo.pool, &header.memo.farmer_public_key, keys)?;
            let id = prover.plot_id();
            let plot = Self::new(path, (file.stamp(), file.volume()), &header, PlotProver::V2(prover));
            return plot.with_keys(facts.keys, id);
        };
        let prover = Prover::with_c2(stamp.size, *header, c2.clone()).map_err(|source| OpenError::Plot {
            path: path.to_path_buf(),
            source,
        })?;
        check_keys(path, pool, farmer, keys)?;
        let plot = Self::of(
            path,
            (stamp, volume),
            header.plot_id,
            (*pool, *farmer),
            PlotProver::V1(prover),
        );
        plot.with_keys(facts.keys, crate::wire::plot_id_v1(pool, &facts.keys.plot))
    }

    /// The plot, and its memo with the secret.
    fn read(path: &PlotPath, keys: &HarvesterHandshake) -> Result<(Self, PlotMemo), OpenError> {
        let file = open(path)?;
        let cannot_prove = |source| cannot_prove(path, &file, source);
        let header = PlotHeader::parse(&file).map_err(cannot_prove)?;
        let place = (file.stamp(), file.volume());
        let HeaderVersion::Pos2 { .. } = header.version else {
            let prover = Prover::open_with(&file, &header).map_err(cannot_prove)?;
            check_keys(path, &header.memo.pool, &header.memo.farmer_public_key, keys)?;
            let plot = Self::new(path, place, &header, PlotProver::V1(prover));
            return Ok((plot, header.memo));
        };
        PlotFileV2::of(&header)
            .and_then(|structure| structure.check(&file))
            .map_err(cannot_prove)?;
        check_keys(path, &header.memo.pool, &header.memo.farmer_public_key, keys)?;
        // The filter of v2 plots goes by their keys.
        let local = derive::local_sk(&master_sk(path, &header.memo)?);
        let farmer = farmer_public_key(path, &header.memo.farmer_public_key)?;
        let own = keys_of(&local, &farmer, &header.memo.pool, SecretKey::public_key);
        let prover = ProverV2::new(&header, &own.plot).map_err(cannot_prove)?;
        let id = prover.plot_id();
        let plot = Self::new(path, place, &header, PlotProver::V2(prover)).with_keys(own, id)?;
        Ok((plot, header.memo))
    }

    fn new(path: &PlotPath, place: (FileStamp, u64), header: &PlotHeader, prover: PlotProver) -> Self {
        let owner = (header.memo.pool, header.memo.farmer_public_key);
        Self::of(path, place, header.plot_id, owner, prover)
    }

    fn of(
        path: &PlotPath,
        (stamp, volume): (FileStamp, u64),
        plot_id: PlotId,
        (pool, farmer): (PlotPool, G1Bytes),
        prover: PlotProver,
    ) -> Self {
        Self {
            path: path.clone(),
            stamp,
            volume,
            plot_id,
            pool,
            farmer,
            keys: OnceLock::new(),
            prover,
            is_doubted: AtomicBool::new(false),
        }
    }

    /// With its keys, by which it has the id `computed`.
    fn with_keys(self, keys: PlotKeys, computed: PlotId) -> Result<Self, OpenError> {
        self.take_keys(keys, computed)?;
        Ok(self)
    }
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
