//! Making a plot file: keys derived, the file in place only once it is whole.
//!
//! v1 plots are made by our own plotter, which holds the whole file in memory and stops at k 25: for demonstrations and
//! simulated farms. v2 plots are made by `chia-pos2`, up to the sizes of mainnet.

mod needs;
mod partial;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::file::PlotFile;
use crate::crypto::{CryptoError, PublicKey, SecretKey, derive, plot_public_key, sha256};
use crate::ids::PlotId;
use crate::pos::header::{PlotHeader, PlotMemo};
use crate::pos::v1::plotter::{PlotterError, create_plot};
use crate::pos::v2::{self, PlotFileV2};
use crate::wire::{G1Bytes, PlotPool, plot_group_id_v2, plot_id_v1, plot_id_v2};
use partial::Partial;

pub use needs::{V1_SIZES, V2_SIZES, available_memory, free_space};

/// Makes a classic v1 plot of size `k` (18 to 25) in `dir`, which is made if need be, and gives its path. `progress` is
/// told the share done, ascending to 1.
///
/// The same arguments give the same plot, and one that is there already is kept. `local_seed` is all that the plot's own
/// secret key is made of. Blocking; k 18 takes a second or more.
///
/// # Errors
/// [`MakePlotError`]; no file named like a plot is left behind.
pub fn make_plot(
    dir: &Path,
    k: u8,
    farmer_pk: &G1Bytes,
    pool: &PlotPool,
    local_seed: &[u8; 32],
    progress: &mut dyn FnMut(f32),
) -> Result<PathBuf, MakePlotError> {
    let plot = NewPlot {
        farmer_public_key: *farmer_pk,
        pool: *pool,
        format: PlotFormat::V1 { k },
    };
    let mut seed = Zeroizing::new(*local_seed);
    for _ in 1..ATTEMPTS {
        match PlotJob::begin(dir, &plot, &seed).and_then(|job| job.run(progress)) {
            Ok(path) => return Ok(path),
            Err(MakePlotError::Exists { path }) => {
                progress(1.0);
                return Ok(path);
            }
            Err(MakePlotError::Plotter(PlotterError::Unlucky { .. })) => *seed = sha256(&[&*seed]),
            Err(error) => return Err(error),
        }
    }
    PlotJob::begin(dir, &plot, &seed)?.run(progress)
}

/// A plot that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPlot {
    /// Who farms it.
    pub farmer_public_key: G1Bytes,
    /// Who is paid.
    pub pool: PlotPool,
    /// Kind and size.
    pub format: PlotFormat,
}

/// Kind and size of a plot that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotFormat {
    /// Classic v1 plot.
    V1 {
        /// One of [`V1_SIZES`].
        k: u8,
    },
    /// v2 plot.
    V2(PlotFormatV2),
}

/// What a v2 plot is beside its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlotFormatV2 {
    /// An even one of [`V2_SIZES`]; networks farm only one of them.
    pub k: u8,
    /// Strength, 2 to what the k allows: each step doubles the work of making the plot and of proving with it.
    pub strength: u8,
    /// Number of the plot in its group.
    pub plot_index: u16,
    /// Number of its group among those that share a meta plot.
    pub meta_group: u8,
    /// Constant `TESTNET` of the network: plots of mainnet are made differently from all others.
    pub testnet: bool,
}

impl PlotFormat {
    /// The k.
    #[must_use]
    pub const fn k(self) -> u8 {
        match self {
            Self::V1 { k } => k,
            Self::V2(v2) => v2.k,
        }
    }

    /// That plots of this kind can be made here, on any machine.
    ///
    /// # Errors
    /// [`MakePlotError::Plotter`], [`MakePlotError::SizeV2`], [`MakePlotError::Strength`].
    pub fn check(self) -> Result<(), MakePlotError> {
        match self {
            Self::V1 { k } if !V1_SIZES.contains(&k) => Err(PlotterError::SizeNotSupported { k }.into()),
            Self::V1 { .. } => Ok(()),
            Self::V2(PlotFormatV2 { k, .. }) if !V2_SIZES.contains(&k) || !k.is_multiple_of(2) => {
                Err(MakePlotError::SizeV2 { k })
            }
            Self::V2(PlotFormatV2 { k, strength, .. }) => {
                let max = v2::max_strength(k);
                if (v2::MIN_STRENGTH..=max).contains(&strength) {
                    Ok(())
                } else {
                    Err(MakePlotError::Strength { k, max, got: strength })
                }
            }
        }
    }
}

/// One plot being made. Nothing of it is left behind unless it is finished.
#[derive(Debug)]
pub struct PlotJob {
    plot: NewPlot,
    plot_id: PlotId,
    memo: Zeroizing<Vec<u8>>,
    path: PathBuf,
    partial: Partial,
}

impl PlotJob {
    /// Works out keys, id and name of the plot, and makes sure that files can be made in `dir`, which is made if need be.
    /// `local_seed` is all that the plot's own secret key is made of.
    ///
    /// # Errors
    /// [`MakePlotError`]: [`MakePlotError::Exists`] if the plot is there already.
    pub fn begin(dir: &Path, plot: &NewPlot, local_seed: &[u8; 32]) -> Result<Self, MakePlotError> {
        plot.format.check()?;
        if let Some(feature) = plot.format.missing_cpu_feature() {
            return Err(MakePlotError::Processor { feature });
        }
        let (plot_id, memo) = identity(plot, local_seed)?;
        let extension = match plot.format {
            PlotFormat::V1 { .. } => "plot",
            PlotFormat::V2(_) => "plot2",
        };
        let path = dir.join(format!("plot-k{}-{plot_id}.{extension}", plot.format.k()));
        if path.exists() {
            return Err(MakePlotError::Exists { path });
        }
        let partial = Partial::begin(&path).map_err(|source| MakePlotError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(Self {
            plot: *plot,
            plot_id,
            memo,
            path,
            partial,
        })
    }

    /// Where the plot will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id.
    #[must_use]
    pub const fn plot_id(&self) -> &PlotId {
        &self.plot_id
    }

    /// Makes the plot and gives its path. Blocking. `progress` is told the share done, ascending to 1; with v2 plots,
    /// whose plotter tells nothing, only the 1.
    ///
    /// # Errors
    /// [`MakePlotError`]; with [`PlotterError::Unlucky`] another seed will do.
    pub fn run(&self, progress: &mut dyn FnMut(f32)) -> Result<PathBuf, MakePlotError> {
        let unwritten = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => MakePlotError::Exists {
                path: self.path.clone(),
            },
            _ => MakePlotError::Write {
                path: self.path.clone(),
                source,
            },
        };
        match self.plot.format {
            PlotFormat::V1 { k } => {
                let bytes = create_plot(k, &self.plot_id, &self.memo, progress)?;
                let written = fs::File::create_new(self.partial.file()).and_then(|mut file| file.write_all(&bytes));
                written.map_err(unwritten)?;
            }
            PlotFormat::V2(format) => {
                self.make_v2(format)?;
                progress(1.0);
            }
        }
        self.partial.finish().map_err(unwritten)?;
        Ok(self.path.clone())
    }

    /// Gives the plot up: what was written is removed at once, and a [`run`](Self::run) that still goes on will fail.
    pub fn discard(&self) {
        self.partial.discard();
    }

    fn make_v2(&self, format: PlotFormatV2) -> Result<(), MakePlotError> {
        let file = self.partial.file();
        let made = chia_pos2::create_v2_plot(
            file,
            format.k,
            format.strength,
            self.plot_id.as_bytes(),
            format.plot_index,
            format.meta_group,
            &self.memo,
            format.testnet,
        );
        // The library says only that it failed, and not even that when the last bytes found no room.
        made.and_then(|()| check_v2(file))
            .map_err(|source| MakePlotError::PlotterV2 {
                path: self.path.clone(),
                k: format.k,
                source,
            })
    }
}

/// A seed for [`PlotJob::begin`] from the system's source of chance.
///
/// # Errors
/// The system's; then no secret may be made.
pub fn random_seed() -> io::Result<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(io::Error::other)?;
    Ok(seed)
}

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
pub enum MakePlotError {
    /// The caller gave a farmer public key that is none.
    #[error("make a plot for farmer public key {key}: {source}")]
    FarmerKey {
        /// The key.
        key: G1Bytes,
        /// Why.
        source: CryptoError,
    },
    /// No secret key comes of the seed.
    #[error("make the plot's secret key: {0}")]
    LocalKey(CryptoError),
    /// The v1 plotter cannot make it.
    #[error(transparent)]
    Plotter(#[from] PlotterError),
    /// There are no v2 plots of this size.
    #[error("cannot make a v2 plot of k {k}: only even ones from {min} to {max} are made", min = V2_SIZES.start(), max = V2_SIZES.end())]
    SizeV2 {
        /// The k asked for.
        k: u8,
    },
    /// No v2 plot of this size can have this strength.
    #[error("cannot make a v2 plot of k {k} with strength {got}: expected {min} to {max}", min = v2::MIN_STRENGTH)]
    Strength {
        /// The k asked for.
        k: u8,
        /// Largest strength at this k.
        max: u8,
        /// The strength asked for.
        got: u8,
    },
    /// This machine cannot make v2 plots.
    #[error("cannot make v2 plots on this machine: its processor has no {feature}")]
    Processor {
        /// What it lacks.
        feature: &'static str,
    },
    /// The v2 plotter failed.
    #[error("make {path} in memory and write it: {source} (too little memory for k {k}, or too little space)")]
    PlotterV2 {
        /// File.
        path: PathBuf,
        /// Its k.
        k: u8,
        /// What the plotter said.
        source: io::Error,
    },
    /// The plot is there already.
    #[error("{path} is there already")]
    Exists {
        /// File.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("write {path}: {source}")]
    Write {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Id and memo of the plot that comes of these keys: m/12381/8444/3/0 of the master key in the memo.
fn identity(plot: &NewPlot, seed: &[u8; 32]) -> Result<(PlotId, Zeroizing<Vec<u8>>), MakePlotError> {
    let NewPlot {
        farmer_public_key,
        pool,
        format,
    } = plot;
    let master = SecretKey::key_gen(seed).map_err(MakePlotError::LocalKey)?;
    let local_pk = derive::local_sk(&master).public_key();
    let farmer = PublicKey::from_g1(farmer_public_key).map_err(|source| MakePlotError::FarmerKey {
        key: *farmer_public_key,
        source,
    })?;
    let plot_pk = plot_public_key(&local_pk, &farmer, pool).to_g1();
    let plot_id = match format {
        PlotFormat::V1 { .. } => plot_id_v1(pool, &plot_pk),
        PlotFormat::V2(v2) => plot_id_v2(
            &plot_group_id_v2(v2.strength, &plot_pk, pool),
            v2.plot_index,
            v2.meta_group,
        ),
    };
    let memo = PlotMemo {
        pool: *pool,
        farmer_public_key: *farmer_public_key,
        local_master_sk: master.to_bytes(),
    };
    Ok((plot_id, memo.to_bytes()))
}

/// That a v2 file is whole.
fn check_v2(path: &Path) -> io::Result<()> {
    let file = PlotFile::open(path)?;
    PlotHeader::parse(&file)
        .and_then(|header| PlotFileV2::of(&header)?.check(&file))
        .map_err(io::Error::other)
}

/// Plot ids that are tried; hardly one in thousands is unlucky.
const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harvester::LoadedPlot;
    use crate::ids::PuzzleHash;
    use crate::pos::header::HeaderVersion;
    use crate::wire::HarvesterHandshake;

    fn farmer_pk() -> G1Bytes {
        SecretKey::key_gen(&[7; 32]).unwrap().public_key().to_g1()
    }

    #[test]
    fn a_plot_made_is_one_the_harvester_farms() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("plots");
        let pool = PlotPool::Contract(PuzzleHash([3; 32]));
        let make = |progress: &mut dyn FnMut(f32)| make_plot(&below, 18, &farmer_pk(), &pool, &[9; 32], progress);
        let mut last = 0.0;
        let path = make(&mut |share| last = share).unwrap();
        assert_eq!(last, 1.0);
        let keys = HarvesterHandshake {
            farmer_public_keys: vec![farmer_pk()],
            pool_public_keys: Vec::new(),
        };
        let plot = LoadedPlot::open(&path, &keys).unwrap();
        assert_eq!((plot.pool(), plot.k(), *plot.farmer_pk()), (&pool, 18, farmer_pk()));
        assert_eq!(fs::read_dir(&below).unwrap().count(), 1, "nothing else is left behind");

        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(make(&mut |_| ()).unwrap(), path);
        assert_eq!(
            fs::metadata(&path).unwrap().modified().unwrap(),
            modified,
            "a plot that is there is kept"
        );
    }

    #[test]
    fn what_cannot_be_made_is_told_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let pool = PlotPool::PublicKey(farmer_pk());
        let make = |dir: &Path, k, key: &G1Bytes| {
            make_plot(dir, k, key, &pool, &[9; 32], &mut |_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(make(dir.path(), 32, &farmer_pk()).starts_with("cannot make a plot of k 32"));
        assert!(make(dir.path(), 18, &G1Bytes([1; 48])).starts_with("make a plot for farmer public key 0101"));
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let refused = make(&file, 18, &farmer_pk());
        assert!(
            refused.starts_with(&format!("write {}/plot-k18-", file.display())),
            "{refused}"
        );
    }

    const V2: PlotFormatV2 = PlotFormatV2 {
        k: 18,
        strength: 2,
        plot_index: 3,
        meta_group: 1,
        testnet: true,
    };

    fn new(format: PlotFormat) -> NewPlot {
        NewPlot {
            farmer_public_key: farmer_pk(),
            pool: PlotPool::Contract(PuzzleHash([3; 32])),
            format,
        }
    }

    #[test]
    fn a_v2_plot_made_says_what_it_is_and_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let plot = new(PlotFormat::V2(V2));
        let job = PlotJob::begin(dir.path(), &plot, &[9; 32]).unwrap();
        let path = job.run(&mut |_| ()).unwrap();
        assert_eq!(path.extension().unwrap(), "plot2");
        let header = PlotHeader::parse(&PlotFile::open(&path).unwrap()).unwrap();
        let version = HeaderVersion::Pos2 {
            strength: 2,
            plot_index: 3,
            meta_group: 1,
        };
        assert_eq!(
            (header.version, header.k, header.plot_id),
            (version, 18, *job.plot_id())
        );
        assert_eq!(header.memo.farmer_public_key, farmer_pk());
        let size = fs::metadata(&path).unwrap().len();
        assert!((size..2 * size).contains(&plot.format.file_size().0));
        assert!(matches!(job.run(&mut |_| ()), Err(MakePlotError::Exists { .. })));
        let again = PlotJob::begin(dir.path(), &plot, &[9; 32]);
        assert!(matches!(again, Err(MakePlotError::Exists { .. })));

        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        check_v2(&path).unwrap();
        file.set_len(size - 1).unwrap();
        check_v2(&path).unwrap_err();
    }

    #[test]
    fn a_plot_given_up_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        for format in [PlotFormat::V1 { k: 18 }, PlotFormat::V2(V2)] {
            let job = PlotJob::begin(dir.path(), &new(format), &[9; 32]).unwrap();
            job.discard();
            assert!(job.run(&mut |_| ()).is_err());
            drop(job);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn plots_that_cannot_be_are_refused_before_anything_is_made() {
        let refused = |k, strength| {
            let error = PlotFormat::V2(PlotFormatV2 { k, strength, ..V2 }).check().unwrap_err();
            error.to_string()
        };
        assert!(refused(19, 2).starts_with("cannot make a v2 plot of k 19: only even ones from 18 to 32"));
        assert!(refused(16, 2).starts_with("cannot make a v2 plot of k 16"));
        assert_eq!(
            refused(20, 18),
            "cannot make a v2 plot of k 20 with strength 18: expected 2 to 17"
        );
    }
}
