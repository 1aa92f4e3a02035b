//! A plot that is asked challenges, whatever its format.

use std::path::Path;

use tokio::time::Instant;

use super::super::file::PlotFile;
use super::super::make::check_v2_whole;
use super::super::plot::{LoadedPlot, OpenError};
use super::{CheckOptions, PlotReport, note_error, note_lookup, note_proving};
use crate::crypto::{PublicKey, SecretKey, derive, plot_public_key};
use crate::ids::{PlotId, PosChallenge};
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::pos::{Constants, PlotError, PlotPart, v1, v2};
use crate::wire::{HarvesterHandshake, PartialProof, plot_group_id_v2, plot_id_v2};

/// An open plot.
pub(super) enum Subject {
    V1(Box<LoadedPlot>),
    V2 {
        prover: chia_pos2::Prover,
        plot_id: PlotId,
        strength: u8,
    },
}

impl Subject {
    pub(super) fn open(
        path: &Path,
        file: &PlotFile,
        header: &PlotHeader,
        options: &CheckOptions,
    ) -> Result<Self, OpenError> {
        let constants = &options.constants;
        let HeaderVersion::Pos2 { strength, .. } = header.version else {
            let keys = HarvesterHandshake {
                farmer_public_keys: vec![header.memo.farmer_public_key],
                pool_public_keys: header.memo.pool.public_key().copied().into_iter().collect(),
            };
            let most = options.max_compression_level;
            if let HeaderVersion::V2Compressed { level } = header.version
                && level > most
            {
                let path = path.to_owned();
                return Err(OpenError::TooCompressed { path, level, most });
            }
            return Ok(Self::V1(Box::new(LoadedPlot::open(path, &keys)?)));
        };
        check_id_v2(path, header)?;
        let refused = |source| OpenError::Plot {
            path: path.to_owned(),
            source,
        };
        if header.k != constants.plot_size_v2 {
            let reason = format!(
                "it is of k {}, and on this network v2 plots are of k {}",
                header.k, constants.plot_size_v2
            );
            return Err(refused(PlotError::damaged(PlotPart::Header, reason)));
        }
        // The library below says of a file that is cut off only that it has no proof.
        let unreadable = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        check_v2_whole(file, header.memo.to_bytes().len()).map_err(unreadable)?;
        let prover = chia_pos2::Prover::new(path).map_err(unreadable)?;
        Ok(Self::V2 {
            prover,
            plot_id: header.plot_id,
            strength,
        })
    }

    /// Asks it one challenge and notes what came of it.
    pub(super) fn ask(&self, challenge: &PosChallenge, constants: &Constants, report: &mut PlotReport) {
        match self {
            Self::V1(plot) => ask_v1(plot, challenge, report),
            Self::V2 {
                prover,
                plot_id,
                strength,
            } => ask_v2(prover, plot_id, *strength, challenge, constants, report),
        }
    }
}

fn ask_v1(plot: &LoadedPlot, challenge: &PosChallenge, report: &mut PlotReport) {
    let started = Instant::now();
    let found = plot
        .open_file()
        .and_then(|file| plot.qualities(&file, challenge).map(|qualities| (file, qualities)));
    let (file, qualities) = match found {
        Ok(found) => found,
        Err(error) => return note_error(report, error.to_string()),
    };
    note_lookup(report, started.elapsed());
    for quality in qualities {
        let started = Instant::now();
        let proof = match plot.full_proof(&file, challenge, &quality) {
            Ok(proof) => proof,
            Err(error) => {
                note_error(report, error.to_string());
                continue;
            }
        };
        note_proving(report, started.elapsed());
        match v1::verify(plot.plot_id(), plot.k(), challenge, &proof) {
            Ok(verified) if verified == quality.string => report.proofs += 1,
            Ok(_) => note_error(
                report,
                format!("the proof for {challenge} is not worth what was looked up"),
            ),
            Err(error) => note_error(report, format!("the proof for {challenge} is not valid: {error}")),
        }
    }
}

fn ask_v2(
    prover: &chia_pos2::Prover,
    plot_id: &PlotId,
    strength: u8,
    challenge: &PosChallenge,
    constants: &Constants,
    report: &mut PlotReport,
) {
    let started = Instant::now();
    let mut chains = match prover.get_qualities_for_challenge(challenge.as_bytes()) {
        Ok(chains) => chains,
        Err(error) => return note_error(report, format!("look up {challenge}: {error}")),
    };
    note_lookup(report, started.elapsed());
    chains.sort_by_key(|chain| chain.chain_links);
    chains.dedup_by_key(|chain| chain.chain_links);
    for chain in chains {
        let started = Instant::now();
        let (k, testnet) = (constants.plot_size_v2, constants.testnet);
        let proof = chia_pos2::solve_proof(&chain, plot_id.as_bytes(), k, strength, testnet);
        note_proving(report, started.elapsed());
        let partial = PartialProof {
            fragments: chain.chain_links,
        };
        match v2::verify(constants, plot_id, strength, challenge, &proof) {
            Ok(verified) if verified == partial.quality_string(strength) => report.proofs += 1,
            Ok(_) => note_error(
                report,
                format!("the proof for {challenge} is not worth what was looked up"),
            ),
            Err(_) if proof.is_empty() => {
                note_error(report, format!("the partial proof for {challenge} cannot be completed"));
            }
            Err(error) => note_error(report, format!("the proof for {challenge} is not valid: {error}")),
        }
    }
}

/// That the keys of a v2 plot give its id.
fn check_id_v2(path: &Path, header: &PlotHeader) -> Result<(), OpenError> {
    let HeaderVersion::Pos2 {
        strength,
        plot_index,
        meta_group,
    } = header.version
    else {
        return Ok(());
    };
    let bad = |what| {
        move |source| OpenError::Keys {
            path: path.to_owned(),
            what,
            source,
        }
    };
    let memo = &header.memo;
    let master = SecretKey::from_bytes(&memo.local_master_sk).map_err(bad("its secret key"))?;
    let farmer_pk = PublicKey::from_g1(&memo.farmer_public_key).map_err(bad("its farmer public key"))?;
    let plot_pk = plot_public_key(&derive::local_sk(&master).public_key(), &farmer_pk, &memo.pool).to_g1();
    let group = plot_group_id_v2(strength, &plot_pk, &memo.pool);
    let computed = plot_id_v2(&group, plot_index, meta_group);
    if computed != header.plot_id {
        return Err(OpenError::WrongId {
            path: path.to_owned(),
            written: header.plot_id,
            computed,
        });
    }
    Ok(())
}
