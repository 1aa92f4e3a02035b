//! Looking one plot up for one signage point: may it answer, has it proofs, are they good enough. Blocking.
//!
//! A v1 plot gives full proofs. A v2 plot gives partial proofs, which the farmer has completed; they are judged by their
//! quality all the same.

use super::plot::{LoadedPlot, OpenError, PlotKeys, PlotProver};
use super::plot_v2::ProverV2;
use crate::ids::{PosChallenge, QualityString};
use crate::pos::filter::{bits_v2, passes_v1, passes_v2, pos_challenge, prefix_bits_v1};
use crate::pos::iterations::{is_stricter, required_iters, sp_interval_iters};
use crate::pos::v1::{Asked, Prover, Quality, qualities_of_each};
use crate::pos::{Constants, ReadAt, is_v1_phased_out, v1_cut_off_height};
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::{
    FromHarvester, NewProofOfSpace, NewSignagePointHarvester, PartialProof, PartialProofsData, PlotPool, ProofBody,
    ProofOfSpace, SignagePointFilter,
};

/// Whether a plot may answer a signage point: its format is valid at that height, and it passes the filter. Farmers that
/// speak versions before 0.0.38 cannot ask v2 plots.
pub(super) fn may_answer(constants: &Constants, point: &NewSignagePointHarvester, plot: &LoadedPlot) -> bool {
    match (plot.prover(), point.filter) {
        (PlotProver::V1(_), SignagePointFilter::PrefixBits(bits)) => {
            passes_v1(bits, plot.plot_id(), &point.challenge_hash, &point.sp_hash)
        }
        (
            PlotProver::V1(_),
            SignagePointFilter::Heights {
                peak_height,
                last_tx_height,
                ..
            },
        ) => {
            let bits = prefix_bits_v1(constants, peak_height);
            i64::from(last_tx_height.0) < v1_cut_off_height(constants)
                && passes_v1(bits, plot.plot_id(), &point.challenge_hash, &point.sp_hash)
        }
        (
            PlotProver::V2(prover),
            SignagePointFilter::Heights {
                last_tx_height,
                filter_challenge: Some(filter_challenge),
                ..
            },
        ) => {
            let bits = bits_v2(constants, last_tx_height, prover.strength());
            last_tx_height >= constants.hard_fork2_height
                && prover.k() == constants.plot_size_v2
                && passes_v2(
                    bits,
                    prover.group_id(),
                    prover.meta_group(),
                    &filter_challenge,
                    point.signage_point_index,
                )
        }
        (PlotProver::V2(_), _) => false,
    }
}

/// Gives all proofs of a plot that are good enough to `found`, as the messages they are sent in. `file` is the plot's,
/// open. Blocking.
///
/// # Errors
/// The first thing that went wrong; what could be found nevertheless has been given.
pub(super) fn proofs_of(
    constants: &Constants,
    point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
    file: &dyn ReadAt,
    found: &mut dyn FnMut(FromHarvester),
) -> Result<(), OpenError> {
    match plot.prover() {
        PlotProver::V1(prover) => {
            let mut results = full_proofs_of_each(constants, point, &[(plot, prover, file)], found);
            results.pop().unwrap_or(Ok(()))
        }
        PlotProver::V2(prover) => {
            let challenge = pos_challenge(plot.plot_id(), &point.challenge_hash, &point.sp_hash);
            let mut partials = plot.partial_proofs(file, &challenge)?;
            partials.retain(|partial| {
                let quality = partial.quality_string(prover.strength());
                is_good_enough(constants, point, plot, &quality)
            });
            if !partials.is_empty()
                && let Some(message) = partials_message(point, plot, prover, plot.own_keys()?, partials)
            {
                found(FromHarvester::PartialProofs(Box::new(message)));
            }
            Ok(())
        }
    }
}

/// As [`proofs_of`], of several v1 plots that are read fast, each with its prover and its open file: see [`qualities_of_each`].
pub(super) fn full_proofs_of_each(
    constants: &Constants,
    point: &NewSignagePointHarvester,
    plots: &[(&LoadedPlot, &Prover, &dyn ReadAt)],
    found: &mut dyn FnMut(FromHarvester),
) -> Vec<Result<(), OpenError>> {
    let challenge = |plot: &LoadedPlot| pos_challenge(plot.plot_id(), &point.challenge_hash, &point.sp_hash);
    let challenges: Vec<PosChallenge> = plots.iter().map(|(plot, ..)| challenge(plot)).collect();
    let asked = plots
        .iter()
        .zip(&challenges)
        .map(|((_, prover, file), challenge)| Asked {
            prover,
            file: *file,
            challenge,
        });
    let asked: Vec<Asked<'_>> = asked.collect();
    let qualities = qualities_of_each(&asked);
    let of_each = plots
        .iter()
        .zip(&asked)
        .zip(qualities)
        .map(|(((plot, ..), asked), qualities)| {
            let qualities = qualities.map_err(|source| plot.damaged(source))?;
            full_proofs_of(constants, point, plot, asked, &qualities, found)
        });
    of_each.collect()
}

fn full_proofs_of(
    constants: &Constants,
    point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
    asked: &Asked<'_>,
    qualities: &[Quality],
    found: &mut dyn FnMut(FromHarvester),
) -> Result<(), OpenError> {
    let mut result = Ok(());
    for quality in qualities {
        if !is_good_enough(constants, point, plot, &quality.string) {
            continue;
        }
        let proof = plot.full_proof(asked.file, asked.challenge, quality);
        match proof.and_then(|proof| Ok((proof, plot.own_keys()?))) {
            Ok((proof, _)) if is_v1_phased_out(constants, &proof, last_tx_height(point)) => {}
            Ok((proof, keys)) => found(FromHarvester::NewProofOfSpace(Box::new(NewProofOfSpace {
                challenge_hash: point.challenge_hash,
                sp_hash: point.sp_hash,
                plot_identifier: identifier(plot, &quality.string),
                proof: ProofOfSpace {
                    challenge: *asked.challenge,
                    pool: *plot.pool(),
                    plot_public_key: keys.plot,
                    body: ProofBody::V1 { k: plot.k(), proof },
                },
                signage_point_index: point.signage_point_index,
                include_source_signature_data: false,
                farmer_reward_address_override: None,
                fee_info: None,
            }))),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result
}

/// What is sent of the good partial proofs of a plot; nothing if there are none. All are named by the first one's quality.
fn partials_message(
    point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
    prover: &ProverV2,
    keys: &PlotKeys,
    partial_proofs: Vec<PartialProof>,
) -> Option<PartialProofsData> {
    let quality = partial_proofs.first()?.quality_string(prover.strength());
    Some(PartialProofsData {
        challenge_hash: point.challenge_hash,
        sp_hash: point.sp_hash,
        plot_identifier: identifier(plot, &quality),
        partial_proofs,
        signage_point_index: point.signage_point_index,
        plot_size: prover.k(),
        plot_index: prover.plot_index(),
        meta_group: prover.meta_group(),
        strength: prover.strength(),
        plot_id: *plot.plot_id(),
        pool: *plot.pool(),
        plot_public_key: keys.plot,
    })
}

/// What the farmer calls plot and proof when it wants something signed.
fn identifier(plot: &LoadedPlot, quality: &QualityString) -> String {
    format!("{quality}{}", plot.name())
}

fn is_good_enough(
    constants: &Constants,
    point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
    quality: &QualityString,
) -> bool {
    let (difficulty, sub_slot_iters) = wanted_by(plot.pool(), point);
    let iters = required_iters(
        constants,
        quality,
        plot.size(),
        difficulty,
        &point.sp_hash,
        last_tx_height(point),
    );
    iters < sp_interval_iters(sub_slot_iters)
}

/// Farmers that do not tell heights know nothing of hard fork 2 either.
const fn last_tx_height(point: &NewSignagePointHarvester) -> Height {
    match point.filter {
        SignagePointFilter::Heights { last_tx_height, .. } => last_tx_height,
        SignagePointFilter::PrefixBits(_) => Height(0),
    }
}

/// Difficulty and sub-slot iterations that decide whether a proof of this plot is sent: the pool's where one asks for
/// partials of its contract, else the chain's. A pool that is stricter than the chain must cost no blocks.
fn wanted_by(pool: &PlotPool, signage_point: &NewSignagePointHarvester) -> (Difficulty, SubSlotIters) {
    let chain = (signage_point.difficulty, signage_point.sub_slot_iters);
    let PlotPool::Contract(contract) = pool else {
        return chain;
    };
    signage_point
        .pool_difficulties
        .iter()
        .rfind(|d| d.pool_contract_puzzle_hash == *contract)
        .map(|d| (d.difficulty, d.sub_slot_iters))
        .filter(|pool| !is_stricter(*pool, chain))
        .unwrap_or(chain)
}
