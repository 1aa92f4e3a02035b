//! Looking one plot up for one signage point: its qualities, and a proof of each that is good enough. Blocking.

use super::plot::{LoadedPlot, OpenError};
use crate::ids::{PosChallenge, QualityString};
use crate::pos::filter::pos_challenge;
use crate::pos::iterations::{required_iters, sp_interval_iters};
use crate::pos::{Constants, ReadAt};
use crate::units::{Difficulty, Height, PlotSize, SubSlotIters};
use crate::wire::{NewSignagePointHarvester, PlotPool, ProofBody, ProofOfSpace, SignagePointFilter};

/// Gives all proofs of a plot that are good enough to `found`. `file` is the plot's, open. Blocking.
///
/// # Errors
/// The first thing that went wrong; what could be found nevertheless has been given.
pub(super) fn proofs_of(
    constants: &Constants,
    signage_point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
    file: &dyn ReadAt,
    found: &mut dyn FnMut(QualityString, ProofOfSpace),
) -> Result<(), OpenError> {
    let challenge: PosChallenge = pos_challenge(plot.plot_id(), &signage_point.challenge_hash, &signage_point.sp_hash);
    let qualities = plot.qualities(file, &challenge)?;
    let (difficulty, sub_slot_iters) = wanted_by(plot.pool(), signage_point);
    let last_tx_height = match signage_point.filter {
        SignagePointFilter::Heights { last_tx_height, .. } => last_tx_height,
        SignagePointFilter::PrefixBits(_) => Height(0),
    };
    let mut result = Ok(());
    for quality in qualities {
        let size = PlotSize::V1 { k: plot.k() };
        let iters = required_iters(
            constants,
            &quality.string,
            size,
            difficulty,
            &signage_point.sp_hash,
            last_tx_height,
        );
        if iters >= sp_interval_iters(sub_slot_iters) {
            continue;
        }
        match plot.full_proof(file, &challenge, &quality) {
            Ok(proof) => found(
                quality.string,
                ProofOfSpace {
                    challenge,
                    pool: *plot.pool(),
                    plot_public_key: *plot.plot_public_key(),
                    body: ProofBody::V1 { k: plot.k(), proof },
                },
            ),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

/// Difficulty and sub-slot iterations that decide whether a proof of this plot is sent: the pool's where one asks for
/// partials of its contract, else the chain's.
fn wanted_by(pool: &PlotPool, signage_point: &NewSignagePointHarvester) -> (Difficulty, SubSlotIters) {
    let chain = (signage_point.difficulty, signage_point.sub_slot_iters);
    let PlotPool::Contract(contract) = pool else {
        return chain;
    };
    signage_point
        .pool_difficulties
        .iter()
        .rfind(|d| d.pool_contract_puzzle_hash == *contract)
        .map_or(chain, |d| (d.difficulty, d.sub_slot_iters))
}
