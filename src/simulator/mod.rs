//! The simulated chain: stands where a full node would, so that a farm can be tried and tested with no node and no
//! other farmers.
//!
//! What it gives is like the real thing: signage points whose hashes are hashes of something, 64 in a sub-slot, the
//! same for the same seed whatever the pace. What it takes it judges like a node: the proof of space, its iterations,
//! every signature. A proof that it accepts would be accepted by a real network with the same constants.
//!
//! What it does not have: other farmers, verifiable delays (VDF outputs are drawn, not computed), coins and
//! transactions, and adjustments of difficulty. A won block joins the chain at once, without waiting for its infusion
//! point; but as on a real chain, what is not signed when that point has passed is lost.
//!
//! Pure: whoever drives it calls [`SimulatedChain::handle_timeout`] when [`SimulatedChain::poll_timeout`] says so, and
//! carries messages both ways. Checking a declared proof takes some milliseconds, so it belongs in a worker.

mod block;
mod points;
mod refusal;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::{Mono, Now};
use crate::crypto::{self, PublicKey, Signature};
use crate::ids::QualityString;
use crate::pos::iterations::{required_iters, sp_interval_iters};
use crate::pos::{Constants, ProofContext, verify_proof_of_space};
use crate::units::{Height, SIGNAGE_POINTS_PER_SUB_SLOT};
use crate::wire::{
    DeclareProofOfSpace, G2Bytes, NewSignagePoint, PlotPool, PoolTarget, RequestSignedValues, SignedValues, Streamable,
};

use block::{Candidate, Tip};
use points::{Point, PointSource};
use view::Counts;

pub use refusal::{DeclareRefused, PlotSigned, RefusalReason, SignedValuesRefused};
pub use view::{SimulatorView, WonBlock};

/// A chain with one farmer, in memory. See the module for what it does and does not simulate.
#[derive(Debug)]
pub struct SimulatedChain {
    constants: Constants,
    network: String,
    seed: u64,
    interval: Duration,
    next_due: Mono,
    source: PointSource,
    /// The last [`POINTS_KEPT`] signage points, newest last.
    points: VecDeque<Point>,
    /// Declared proofs whose block is not signed yet; never more than [`MAX_PENDING`].
    pending: BTreeMap<QualityString, Candidate>,
    tip: Tip,
    counts: Counts,
    last_block: Option<WonBlock>,
}

impl SimulatedChain {
    /// A chain that is due to give its first signage point at once and one every `interval` from then on.
    ///
    /// # Errors
    /// A network that is not called `simulator…`, or an interval below [`SHORTEST_INTERVAL`].
    pub fn new(constants: Constants, network: &str, seed: u64, interval: Duration) -> Result<Self, SimulatorError> {
        if !network.starts_with(NETWORK_PREFIX) {
            return Err(SimulatorError::NotASimulatorNetwork {
                network: network.to_owned(),
            });
        }
        if interval < SHORTEST_INTERVAL {
            return Err(SimulatorError::IntervalTooShort { got: interval });
        }
        Ok(Self {
            source: PointSource::new(&constants, seed),
            tip: Tip::new(&constants, STARTING_HEIGHT),
            constants,
            network: network.to_owned(),
            seed,
            interval,
            next_due: Mono(0),
            points: VecDeque::with_capacity(POINTS_KEPT),
            pending: BTreeMap::new(),
            counts: Counts::default(),
            last_block: None,
        })
    }

    /// When [`Self::handle_timeout`] is to be called next.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Mono> {
        Some(self.next_due)
    }

    /// Gives the next signage point if one is due. Points that were due while nobody asked (a machine that slept) are
    /// not made up for: the chain was asleep too.
    pub fn handle_timeout(&mut self, now: Now) -> Option<NewSignagePoint> {
        if now.mono < self.next_due {
            return None;
        }
        let on_pace = self.next_due + self.interval;
        self.next_due = if on_pace > now.mono {
            on_pace
        } else {
            now.mono + self.interval
        };
        if self.points.len() == POINTS_KEPT {
            self.points.pop_front();
        }
        let point = self.source.next_point(self.tip.height, self.tip.last_tx_height);
        let passed = point.total_iters;
        let message = point.message.clone();
        self.points.push_back(point);
        self.counts.signage_points += 1;
        let pending_before = self.pending.len();
        self.pending
            .retain(|_, candidate| candidate.infusion_total_iters >= passed);
        self.counts.never_signed += count(pending_before - self.pending.len());
        Some(message)
    }

    /// Judges a proof of space as a full node does and makes a block of it, whose hashes are to be signed. A proof
    /// that is declared again before it is signed replaces the first declaration.
    ///
    /// # Errors
    /// What a node would ignore it for; counted in the view.
    pub fn handle_declare(
        &mut self,
        now: Now,
        declare: &DeclareProofOfSpace,
    ) -> Result<RequestSignedValues, DeclareRefused> {
        self.counts.declared += 1;
        let result = self.declare(now, declare);
        if let Err(refused) = &result {
            self.counts.refuse(refused.reason());
        }
        result
    }

    /// Takes the signatures of a block and adds it to the chain.
    ///
    /// # Errors
    /// Signatures that nobody asked for, that do not verify, or that come after the infusion point. Wrong ones may be
    /// followed by right ones.
    pub fn handle_signed_values(&mut self, now: Now, values: &SignedValues) -> Result<WonBlock, SignedValuesRefused> {
        let result = self.add_block(now, values);
        match &result {
            Ok(block) => {
                self.counts.blocks_won += 1;
                self.last_block = Some(block.clone());
            }
            Err(refused) => self.counts.refuse(refused.reason()),
        }
        result
    }

    /// What has happened so far.
    #[must_use]
    pub fn view(&self) -> SimulatorView {
        SimulatorView {
            network: self.network.clone(),
            seed: self.seed,
            interval: self.interval,
            peak_height: self.tip.height,
            last_tx_height: self.tip.last_tx_height,
            signage_points: self.counts.signage_points,
            declared: self.counts.declared,
            refused: self.counts.refused.clone(),
            pending: self.pending.len(),
            never_signed: self.counts.never_signed,
            blocks_won: self.counts.blocks_won,
            last_block: self.last_block.clone(),
        }
    }

    /// The constants that proofs are judged by.
    #[must_use]
    pub const fn constants(&self) -> &Constants {
        &self.constants
    }

    fn declare(&mut self, now: Now, declare: &DeclareProofOfSpace) -> Result<RequestSignedValues, DeclareRefused> {
        let point = self.declared_point(declare)?;
        let (announced, proof) = (&point.message, &declare.proof_of_space);
        let ctx = ProofContext {
            challenge_hash: announced.challenge_hash,
            sp_hash: announced.challenge_chain_sp,
            signage_point_index: announced.signage_point_index,
            peak_height: announced.peak_height,
            last_tx_height: announced.last_tx_height,
            filter_challenge: announced.filter_challenge,
        };
        let quality_string = verify_proof_of_space(&self.constants, proof, &ctx)?;
        if point.won.contains(&quality_string) {
            return Err(DeclareRefused::AlreadyWon { quality_string });
        }
        let iters = required_iters(
            &self.constants,
            &quality_string,
            proof.plot_size(),
            announced.difficulty,
            &announced.challenge_chain_sp,
            announced.last_tx_height,
        );
        let limit = sp_interval_iters(announced.sub_slot_iters);
        if iters >= limit {
            return Err(DeclareRefused::NotGoodEnough {
                required_iters: iters,
                sp_interval_iters: limit,
            });
        }
        let candidate_height = Height(self.tip.height.0.saturating_add(1));
        let plot_public_key = check_signatures(declare, candidate_height)?;
        let (candidate, request) =
            Candidate::new(&self.tip, point, declare, quality_string, iters, plot_public_key, now);
        if candidate.infusion_total_iters < self.position() {
            return Err(DeclareRefused::TooLate {
                signage_point_index: announced.signage_point_index,
            });
        }
        if self.pending.len() >= MAX_PENDING && !self.pending.contains_key(&quality_string) {
            return Err(DeclareRefused::TooManyPending { limit: MAX_PENDING });
        }
        self.pending.insert(quality_string, candidate);
        Ok(request)
    }

    /// The signage point a declaration is about.
    fn declared_point(&self, declare: &DeclareProofOfSpace) -> Result<&Point, DeclareRefused> {
        let sp_hash = declare.challenge_chain_sp;
        let point = self
            .points
            .iter()
            .rev()
            .find(|point| point.message.challenge_chain_sp == sp_hash)
            .ok_or(DeclareRefused::UnknownSignagePoint { sp_hash })?;
        let announced = &point.message;
        if declare.signage_point_index != announced.signage_point_index {
            return Err(DeclareRefused::WrongIndex {
                expected: announced.signage_point_index,
                got: declare.signage_point_index,
            });
        }
        if declare.challenge_hash != announced.challenge_hash {
            return Err(DeclareRefused::WrongChallenge {
                expected: announced.challenge_hash,
                got: declare.challenge_hash,
            });
        }
        if declare.reward_chain_sp != announced.reward_chain_sp {
            return Err(DeclareRefused::WrongRewardChainSp {
                expected: announced.reward_chain_sp,
                got: declare.reward_chain_sp,
            });
        }
        Ok(point)
    }

    fn add_block(&mut self, now: Now, values: &SignedValues) -> Result<WonBlock, SignedValuesRefused> {
        let quality_string = values.quality_string;
        let candidate = self
            .pending
            .get(&quality_string)
            .ok_or(SignedValuesRefused::NotAskedFor { quality_string })?;
        let signatures = [
            (
                PlotSigned::FoliageBlockData,
                candidate.foliage_block_data_hash,
                &values.foliage_block_data_signature,
            ),
            (
                PlotSigned::FoliageTransactionBlock,
                candidate.foliage_transaction_block_hash(),
                &values.foliage_transaction_block_signature,
            ),
        ];
        for (what, hash, signature) in signatures {
            if !signed_by(&candidate.plot_public_key, hash.as_bytes(), signature) {
                return Err(SignedValuesRefused::WrongSignature { what });
            }
        }
        let Some(candidate) = self.pending.remove(&quality_string) else {
            return Err(SignedValuesRefused::NotAskedFor { quality_string });
        };
        if let Some(point) = self
            .points
            .iter_mut()
            .rev()
            .find(|point| point.message.challenge_chain_sp == candidate.sp_hash)
        {
            point.won.insert(quality_string);
        }
        Ok(self.tip.add(candidate, quality_string, now))
    }

    /// How far the chain has come, in iterations since its start.
    fn position(&self) -> u128 {
        self.points.back().map_or(0, |point| point.total_iters)
    }
}

/// Why there can be no such simulated chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// A simulated chain must never be taken for a real one.
    #[error("network {network:?} cannot be simulated: only networks whose name begins with {NETWORK_PREFIX:?} can")]
    NotASimulatorNetwork {
        /// Name of the network.
        network: String,
    },
    /// Faster than anybody could look up.
    #[error(
        "signage points every {got:?} are too fast for a simulated chain: the shortest interval is {SHORTEST_INTERVAL:?}"
    )]
    IntervalTooShort {
        /// The interval asked for.
        got: Duration,
    },
}

/// Checks who signed a declaration and gives the plot public key.
fn check_signatures(declare: &DeclareProofOfSpace, height: Height) -> Result<PublicKey, DeclareRefused> {
    let proof = &declare.proof_of_space;
    let plot_public_key =
        PublicKey::from_g1(&proof.plot_public_key).map_err(|_| DeclareRefused::InvalidPlotPublicKey {
            got: proof.plot_public_key,
        })?;
    let signatures = [
        (
            PlotSigned::ChallengeChainSp,
            declare.challenge_chain_sp.as_bytes(),
            &declare.challenge_chain_sp_signature,
        ),
        (
            PlotSigned::RewardChainSp,
            declare.reward_chain_sp.as_bytes(),
            &declare.reward_chain_sp_signature,
        ),
    ];
    for (what, hash, signature) in signatures {
        if !signed_by(&plot_public_key, hash, signature) {
            return Err(DeclareRefused::WrongSignature { what });
        }
    }
    match (&proof.pool, &declare.pool_target, &declare.pool_signature) {
        (PlotPool::Contract(_), None, None) => Ok(plot_public_key),
        (PlotPool::Contract(_), _, _) => Err(DeclareRefused::PoolTargetOfContractPlot),
        (PlotPool::PublicKey(pool_public_key), Some(target), Some(signature)) => {
            check_pool_target(target, height)?;
            let signed = PublicKey::from_g1(pool_public_key)
                .is_ok_and(|pool_public_key| signed_by(&pool_public_key, &target.to_bytes(), signature));
            if signed {
                Ok(plot_public_key)
            } else {
                Err(DeclareRefused::WrongPoolSignature)
            }
        }
        (PlotPool::PublicKey(_), _, _) => Err(DeclareRefused::PoolTargetMissing),
    }
}

const fn check_pool_target(target: &PoolTarget, height: Height) -> Result<(), DeclareRefused> {
    if target.max_height != 0 && target.max_height < height.0 {
        return Err(DeclareRefused::PoolTargetExpired {
            max_height: Height(target.max_height),
            height,
        });
    }
    Ok(())
}

fn signed_by(public_key: &PublicKey, message: &[u8], signature: &G2Bytes) -> bool {
    Signature::from_g2(signature).is_ok_and(|signature| crypto::verify(public_key, message, &signature))
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Networks that may be simulated.
const NETWORK_PREFIX: &str = "simulator";

/// Shortest time between two signage points.
pub const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Height of the chain when it starts: high enough for rules that a test network puts at its first few blocks.
const STARTING_HEIGHT: Height = Height(1000);

/// Signage points that are remembered: three sub-slots, as long as a node keeps them.
const POINTS_KEPT: usize = 3 * SIGNAGE_POINTS_PER_SUB_SLOT as usize;

/// Blocks that may wait for signatures at one time: more than any farm wins in the three or four signage points until
/// infusion, at a few hundred bytes each.
const MAX_PENDING: usize = 1024;

#[cfg(test)]
mod tests;
