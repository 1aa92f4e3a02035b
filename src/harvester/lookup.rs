//! Answering one signage point: filter, look qualities up, fetch the proofs that are good enough.
//!
//! Plots are looked up in parallel on blocking threads, proofs are sent as they are found, and the answer goes out when
//! all plots are done. What a slow disk may cost is bounded: a signage point older than [`ABANDON_AFTER`] is given up
//! plot by plot.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::plot_file::{LoadedPlot, OpenError};
use super::service::plot_name;
use crate::ids::{PosChallenge, QualityString};
use crate::net::WithId;
use crate::pos::Constants;
use crate::pos::filter::{passes_v1, pos_challenge, prefix_bits_v1};
use crate::pos::iterations::{required_iters, sp_interval_iters};
use crate::units::{Difficulty, PlotSize, SubSlotIters};
use crate::wire::{
    FarmingInfo, FromHarvester, NewProofOfSpace, NewSignagePointHarvester, PlotPool, ProofBody, ProofOfSpace,
    SignagePointFilter,
};

/// A look-up that takes longer is worth a warning: the official software warns at the same time.
pub const WARN_AFTER: Duration = Duration::from_secs(8);

/// After this time a proof is of no use to anybody: plots that were not yet looked at are left out.
pub const ABANDON_AFTER: Duration = Duration::from_secs(25);

/// What is the same for all signage points.
#[derive(Clone, Debug)]
pub struct LookupContext {
    /// Constants of the network.
    pub constants: Arc<Constants>,
    /// Look-ups at the same time, over all signage points.
    pub threads: Arc<Semaphore>,
    /// Where answers go.
    pub answers: mpsc::Sender<WithId<FromHarvester>>,
}

/// What a signage point came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupResult {
    /// Plots that passed the filter.
    pub passed: u32,
    /// Proofs sent.
    pub proofs: u32,
    /// Plots in all.
    pub total: u32,
    /// How long it took.
    pub took: Duration,
}

/// Looks `plots` up for one signage point and sends proofs and the answer. `unix_s`: the time the answer carries.
pub async fn answer(
    context: LookupContext,
    signage_point: Arc<NewSignagePointHarvester>,
    plots: Vec<Arc<LoadedPlot>>,
    unix_s: u64,
) -> LookupResult {
    let started = Instant::now();
    let total = u32::try_from(plots.len()).unwrap_or(u32::MAX);
    let bits = match signage_point.filter {
        SignagePointFilter::PrefixBits(bits) => bits,
        SignagePointFilter::Heights { peak_height, .. } => prefix_bits_v1(&context.constants, peak_height),
    };
    let eligible: Vec<_> = plots
        .into_iter()
        .filter(|p| passes_v1(bits, p.plot_id(), &signage_point.challenge_hash, &signage_point.sp_hash))
        .collect();
    let passed = u32::try_from(eligible.len()).unwrap_or(u32::MAX);
    let mut tasks = JoinSet::new();
    for plot in eligible {
        tasks.spawn(one_plot(context.clone(), Arc::clone(&signage_point), plot, started));
    }
    let mut proofs = 0;
    while let Some(found) = tasks.join_next().await {
        proofs += found.unwrap_or(0);
    }
    let took = started.elapsed();
    let info = FarmingInfo {
        challenge_hash: signage_point.challenge_hash,
        sp_hash: signage_point.sp_hash,
        timestamp: unix_s,
        passed,
        proofs,
        total_plots: total,
        lookup_time: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    };
    // The farmer may be gone; then nobody wants the answer.
    let _ = context.answers.send((FromHarvester::FarmingInfo(info), None)).await;
    LookupResult {
        passed,
        proofs,
        total,
        took,
    }
}

/// Looks one plot up; returns the number of proofs sent.
async fn one_plot(
    context: LookupContext,
    signage_point: Arc<NewSignagePointHarvester>,
    plot: Arc<LoadedPlot>,
    started: Instant,
) -> u32 {
    let Ok(permit) = Arc::clone(&context.threads).acquire_owned().await else {
        return 0;
    };
    if started.elapsed() > ABANDON_AFTER {
        tracing::warn!(
            target: "chia.harvester.harvester",
            "{} was not looked up: its turn came only after {} s", plot.path().display(), ABANDON_AFTER.as_secs()
        );
        return 0;
    }
    let (constants, point, asked) = (
        Arc::clone(&context.constants),
        Arc::clone(&signage_point),
        Arc::clone(&plot),
    );
    let looked_up = tokio::task::spawn_blocking(move || {
        let found = proofs_of(&constants, &point, &asked);
        drop(permit);
        found
    })
    .await;
    let took = started.elapsed();
    if took > WARN_AFTER {
        tracing::warn!(
            target: "chia.harvester.harvester",
            "Looking up qualities on {} took: {:.2}. This should be below 8 seconds to minimize risk of losing rewards.",
            plot.path().display(), took.as_secs_f64()
        );
    }
    let found = match looked_up {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::error!(target: "chia.harvester.harvester", "Exception fetching qualities for {}. {error}", plot.path().display());
            return 0;
        }
        Err(_) => return 0,
    };
    let mut sent = 0;
    for (quality, proof) in found {
        let message = FromHarvester::NewProofOfSpace(Box::new(NewProofOfSpace {
            challenge_hash: signage_point.challenge_hash,
            sp_hash: signage_point.sp_hash,
            plot_identifier: format!("{quality}{}", plot_name(plot.path())),
            proof,
            signage_point_index: signage_point.signage_point_index,
            include_source_signature_data: false,
            farmer_reward_address_override: None,
            fee_info: None,
        }));
        if context.answers.send((message, None)).await.is_ok() {
            sent += 1;
        }
    }
    sent
}

/// All proofs of a plot that are good enough. Blocking.
fn proofs_of(
    constants: &Constants,
    signage_point: &NewSignagePointHarvester,
    plot: &LoadedPlot,
) -> Result<Vec<(QualityString, ProofOfSpace)>, OpenError> {
    let challenge: PosChallenge = pos_challenge(plot.plot_id(), &signage_point.challenge_hash, &signage_point.sp_hash);
    let (file, qualities) = plot.qualities(&challenge)?;
    let (difficulty, sub_slot_iters) = wanted_by(plot.pool(), signage_point);
    let mut found = Vec::new();
    for quality in qualities {
        let size = PlotSize::V1 { k: plot.k() };
        let last_tx_height = match signage_point.filter {
            SignagePointFilter::Heights { last_tx_height, .. } => last_tx_height,
            SignagePointFilter::PrefixBits(_) => crate::units::Height(0),
        };
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
        let proof = plot.full_proof(&file, &challenge, &quality)?;
        found.push((
            quality.string,
            ProofOfSpace {
                challenge,
                pool: *plot.pool(),
                plot_public_key: plot.plot_public_key().to_g1(),
                body: ProofBody::V1 { k: plot.k(), proof },
            },
        ));
    }
    Ok(found)
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
