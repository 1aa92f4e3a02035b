//! Making a small plot file, for demonstrations and simulated farms: keys derived, table data computed in memory, the
//! file in place only once it is whole.
//!
//! Not here: plots of mainnet sizes; the plotter holds the whole file in memory.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::{CryptoError, PublicKey, SecretKey, derive, plot_public_key, sha256};
use crate::ids::PlotId;
use crate::pos::header::PlotMemo;
use crate::pos::v1::plotter::{PlotterError, create_plot};
use crate::wire::{G1Bytes, PlotPool, plot_id_v1};

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
    let mut seed = Zeroizing::new(*local_seed);
    let mut attempt = 1;
    loop {
        let (plot_id, memo) = new_plot(farmer_pk, pool, &seed)?;
        let path = dir.join(format!("plot-k{k}-{plot_id}.plot"));
        if path.exists() {
            progress(1.0);
            return Ok(path);
        }
        match create_plot(k, &plot_id, &memo, progress) {
            Ok(plot) => {
                return match write(dir, &path, &plot) {
                    Ok(()) => Ok(path),
                    Err(source) => Err(MakePlotError::Write { path, source }),
                };
            }
            Err(PlotterError::Unlucky { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
                *seed = sha256(&[&*seed]);
            }
            Err(error) => return Err(error.into()),
        }
    }
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
    /// The plotter cannot make it.
    #[error(transparent)]
    Plotter(#[from] PlotterError),
    /// The file cannot be written.
    #[error("write {path}: {source}")]
    Write {
        /// File.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Id and memo of the plot that comes of these keys. Original plots: m/12381/8444/3/0 of the master key in the memo.
fn new_plot(
    farmer_pk: &G1Bytes,
    pool: &PlotPool,
    seed: &[u8; 32],
) -> Result<(PlotId, Zeroizing<Vec<u8>>), MakePlotError> {
    let master = SecretKey::key_gen(seed).map_err(MakePlotError::LocalKey)?;
    let local_pk = derive::local_sk(&master).public_key();
    let farmer = PublicKey::from_g1(farmer_pk).map_err(|source| MakePlotError::FarmerKey {
        key: *farmer_pk,
        source,
    })?;
    let plot_id = plot_id_v1(pool, &plot_public_key(&local_pk, &farmer, pool).to_g1());
    let memo = PlotMemo {
        pool: *pool,
        farmer_public_key: *farmer_pk,
        local_master_sk: master.to_bytes(),
    };
    Ok((plot_id, memo.to_bytes()))
}

/// Writes the file under a name that no harvester takes for a plot and no other process uses, then renames it.
fn write(dir: &Path, path: &Path, plot: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.tmp", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = fs::File::create(&partial)
        .and_then(|mut file| file.write_all(plot).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // What matters is the first error; the rest of a file that could not be written helps nobody.
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Plot ids that are tried; hardly one in thousands is unlucky.
const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harvester::LoadedPlot;
    use crate::ids::PuzzleHash;
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
}
