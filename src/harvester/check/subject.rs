//! A plot that is asked challenges, whatever its format.

use std::path::Path;

use tokio::time::Instant;

use super::super::file::PlotFile;
use super::super::plot::{LoadedPlot, OpenError, PlotProver};
use super::super::plot_v2::ProverV2;
use super::wait::{Wait, Watched};
use super::{CheckOptions, PlotReport, note_error, note_lookup, note_proving};
use crate::ids::{PosChallenge, QualityString};
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::pos::{Constants, v1, v2};
use crate::wire::{HarvesterHandshake, SolverInfo};

/// An open plot.
pub(super) struct Subject(LoadedPlot);

impl Subject {
    /// Opens it with the keys in its own header.
    pub(super) fn open(path: &Path, header: &PlotHeader, options: &CheckOptions) -> Result<Self, OpenError> {
        let most = options.max_compression_level;
        match header.version {
            HeaderVersion::V2Compressed { level } if level > most => {
                let path = path.to_owned();
                return Err(OpenError::TooCompressed { path, level, most });
            }
            HeaderVersion::Pos2 { .. } if header.k != options.constants.plot_size_v2 => {
                return Err(OpenError::ForeignSize {
                    path: path.to_owned(),
                    k: header.k,
                    farmed: options.constants.plot_size_v2,
                });
            }
            _ => {}
        }
        let keys = HarvesterHandshake {
            farmer_public_keys: vec![header.memo.farmer_public_key],
            pool_public_keys: header.memo.pool.public_key().copied().into_iter().collect(),
        };
        LoadedPlot::open(path, &keys).map(Self)
    }

    /// Asks it one challenge and notes what came of it.
    pub(super) fn ask(&self, challenge: &PosChallenge, constants: &Constants, wait: &Wait, report: &mut PlotReport) {
        let asked = match self.0.prover() {
            PlotProver::V1(_) => ask_v1(&self.0, challenge, wait, report),
            PlotProver::V2(prover) => ask_v2(&self.0, prover, challenge, constants, wait, report),
        };
        if let Err(error) = asked {
            note_error(report, error.to_string());
        }
    }
}

fn ask_v1(plot: &LoadedPlot, challenge: &PosChallenge, wait: &Wait, report: &mut PlotReport) -> Result<(), OpenError> {
    let started = Instant::now();
    let file = open(plot, wait)?;
    let qualities = plot.qualities(&file, challenge)?;
    note_lookup(report, started.elapsed());
    for quality in qualities {
        let started = Instant::now();
        let proof = plot.full_proof(&file, challenge, &quality);
        note_proving(report, started.elapsed());
        match proof {
            Ok(proof) => {
                let verified = v1::verify(plot.plot_id(), plot.k(), challenge, &proof);
                note_verified(report, challenge, &quality.string, verified);
            }
            Err(error) => note_error(report, error.to_string()),
        }
    }
    Ok(())
}

fn ask_v2(
    plot: &LoadedPlot,
    prover: &ProverV2,
    challenge: &PosChallenge,
    constants: &Constants,
    wait: &Wait,
    report: &mut PlotReport,
) -> Result<(), OpenError> {
    let started = Instant::now();
    let file = open(plot, wait)?;
    let mut partials = plot.partial_proofs(&file, challenge)?;
    note_lookup(report, started.elapsed());
    partials.sort_unstable();
    partials.dedup();
    for partial_proof in partials {
        let started = Instant::now();
        let info = SolverInfo {
            partial_proof,
            plot_id: *plot.plot_id(),
            strength: prover.strength(),
            size: prover.k(),
        };
        let proof = v2::solve(constants, &info);
        note_proving(report, started.elapsed());
        match proof {
            Ok(proof) => {
                let verified = v2::verify(constants, plot.plot_id(), info.strength, challenge, &proof);
                note_verified(
                    report,
                    challenge,
                    &partial_proof.quality_string(info.strength),
                    verified,
                );
            }
            Err(error) => note_error(report, format!("the proof for {challenge}: {error}")),
        }
    }
    Ok(())
}

fn open<'a>(plot: &LoadedPlot, wait: &'a Wait) -> Result<Watched<'a, PlotFile>, OpenError> {
    let file = wait.during(|| plot.open_file())?;
    Ok(Watched { file, wait })
}

/// A proof counts if it is valid and worth what was looked up.
fn note_verified<E: std::error::Error>(
    report: &mut PlotReport,
    challenge: &PosChallenge,
    quality: &QualityString,
    verified: Result<QualityString, E>,
) {
    match verified {
        Ok(verified) if verified == *quality => report.proofs += 1,
        Ok(_) => note_error(
            report,
            format!("the proof for {challenge} is not worth what was looked up"),
        ),
        Err(error) => note_error(report, format!("the proof for {challenge} is not valid: {error}")),
    }
}
