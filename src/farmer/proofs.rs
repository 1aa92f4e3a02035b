//! All proofs that can still matter: which wait to be verified, what is under way for them, and a record of every one for
//! people.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::numbers::{BlockNumber, JobId, PartialNumber, ProofNumber};
use super::pools::exchange::Asked;
use super::signage_points::SignagePoints;
use crate::clock::Mono;
use crate::crypto::sha256;
use crate::ids::{Bytes32, ChallengeHash, NodeId, PuzzleHash, QualityString, RewardChainSp, SessionId, SpHash};
use crate::snapshot::{HarvesterId, PROOFS_KEPT, ProofStage, ProofView};
use crate::wire::{DeclareProofOfSpace, PartialProof, ProofOfSpace, RequestSignedValues, Streamable};

/// All proofs that can still matter, and the last ones for people.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Proofs {
    pub(super) live: BTreeMap<ProofNumber, Proof>,
    pub(super) by_quality: BTreeMap<QualityString, ProofNumber>,
    pub(super) blocks: BTreeMap<BlockNumber, Block>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    views: VecDeque<ProofView>,
    /// Those whose view has changed since it was told.
    changed: BTreeSet<ProofNumber>,
    #[serde(with = "super::pairs")]
    pub(super) seen: BTreeMap<ProofKey, ProofNumber>,
    seen_order: VecDeque<ProofKey>,
    /// Proofs that wait to be verified.
    pub(super) to_verify: Turns,
    pub(super) verifying: usize,
    /// Partial proofs that wait to be solved.
    pub(super) to_solve: Turns,
    /// Those that only pools want.
    pub(super) to_solve_for_pools: Turns,
    pub(super) solving: usize,
    numbers: u64,
    block_numbers: u64,
    job_numbers: u64,
}

/// Proofs that wait for a worker. Harvesters take turns, so that a flood from one delays only its own.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Turns {
    queues: BTreeMap<HarvesterId, VecDeque<ProofNumber>>,
    /// Who had the last turn.
    last: Option<HarvesterId>,
}

/// A signage point and a hash of the proof or partial proof: the same one from wherever it comes.
pub(super) type ProofKey = (SpHash, Bytes32);

/// What a proof is known again by.
pub(super) fn hash_of(proof: &ProofOfSpace) -> Bytes32 {
    Bytes32(sha256(&[&proof.to_bytes()]))
}

/// One proof.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Proof {
    /// As people see it.
    pub(super) view: ProofView,
    /// When it came.
    pub(super) found: Mono,
    /// Signage point it answers.
    pub(super) sp_hash: SpHash,
    /// Challenge of the sub-slot.
    pub(super) challenge_hash: ChallengeHash,
    /// It; without x-values until its partial proof is solved.
    pub(super) proof: ProofOfSpace,
    /// Harvesters that have it and can sign for it, at most [`MAX_SOURCES`].
    pub(super) sources: Vec<Source>,
    /// Whether it cannot be a block: a v2 partial proof that only a pool wants.
    pub(super) is_for_pool_alone: bool,
    /// How far it is.
    pub(super) phase: Phase,
}

/// How far a proof is.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// A partial proof that waits for a solver.
    ToSolve(Box<PartialProof>),
    /// A solver completes it.
    Solving(JobId),
    /// Waits for a worker.
    Queued,
    /// A worker verifies it.
    Verifying(JobId),
    /// Good enough for a block, in one declaration for each reward chain its signage point came with.
    Winner {
        /// Its quality.
        quality: QualityString,
        /// The declarations.
        declarations: Vec<Declaration>,
    },
}

/// A proof on its way to the nodes, for one reward chain.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Declaration {
    /// The signage point in that reward chain.
    pub(super) reward_chain_sp: RewardChainSp,
    /// Which of the proof's sources signs.
    pub(super) source: usize,
    /// Who gets the farmer's share instead of us: that source, as its fee.
    pub(super) fee_to: Option<PuzzleHash>,
    /// How far it is.
    pub(super) step: Step,
    /// What the nodes were told; kept for those that come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told: Option<Box<Told>>,
}

/// A declaration as it was sent.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Told {
    pub(super) message: DeclareProofOfSpace,
    /// Nodes that were not connected then: it waits for their next link.
    pub(super) waits_for: Vec<NodeId>,
}

/// How far a declaration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The harvester was asked for its shares.
    Asked { since: Mono },
    /// A worker completes the signatures.
    Signing { since: Mono },
    /// The nodes know, and should ask for the block.
    Declared { at: Mono },
    /// A node has asked for the block, or the chain has spoken.
    Taken,
    /// It will not be declared.
    Over,
}

/// A block that a node wants signed.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Block {
    /// The proof it is made of.
    pub(super) proof: ProofNumber,
    /// Who wants it.
    pub(super) node: NodeId,
    /// What the node asked.
    pub(super) request: Box<RequestSignedValues>,
    /// Which of the proof's sources signs.
    pub(super) source: usize,
    /// Whether shares have come and a worker completes them.
    pub(super) is_signing: bool,
    /// The request to the harvester, as long as it has not answered.
    pub(super) asked: Option<(SessionId, u16)>,
}

/// A harvester that has the plot of a proof.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Source {
    /// Which.
    pub(super) harvester: HarvesterId,
    /// What it calls plot and proof.
    pub(super) plot_identifier: String,
    /// Whether it wants to see what it signs.
    pub(super) wants_data: bool,
    /// Where the farmer's share may go as its fee.
    pub(super) granted: Option<PuzzleHash>,
}

/// Work that is with a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Job {
    /// Solve a partial proof.
    Solve(ProofNumber),
    /// Verify a proof.
    Verify(ProofNumber),
    /// Sign the two hashes of a signage point.
    SignPoint(ProofNumber, RewardChainSp),
    /// Sign a block.
    SignBlock(BlockNumber),
    /// Sign a partial.
    SignPartial(PartialNumber),
    /// Ask the pool of a contract, since this moment.
    #[serde(rename = "ask_pool")]
    Pool(PuzzleHash, Asked, Mono),
}

impl Proofs {
    /// A number for a job.
    pub(super) fn new_job(&mut self, job: Job) -> JobId {
        self.job_numbers += 1;
        let id = JobId(self.job_numbers);
        self.jobs.insert(id, job);
        id
    }

    /// A number for a block.
    pub(super) const fn new_block(&mut self) -> BlockNumber {
        self.block_numbers += 1;
        BlockNumber(self.block_numbers)
    }

    /// Newest first.
    pub(super) fn views(&self) -> impl Iterator<Item = &ProofView> {
        self.views.iter()
    }

    /// A harvester turned out to be one that was known.
    pub(super) fn rename(&mut self, from: HarvesterId, to: HarvesterId, name: &str) {
        for proof in self.live.values_mut() {
            for source in proof.sources.iter_mut().filter(|source| source.harvester == from) {
                source.harvester = to;
                name.clone_into(&mut proof.view.harvester_name);
            }
        }
        self.to_verify.rename(from, to);
        self.to_solve.rename(from, to);
        self.to_solve_for_pools.rename(from, to);
    }

    /// Changes a proof's stage, for people too.
    pub(super) fn set_stage(&mut self, number: ProofNumber, stage: ProofStage) {
        if let Some(proof) = self.live.get_mut(&number) {
            proof.view.stage = stage;
        }
        self.show(number);
    }

    /// Brings what people see of a proof up to date.
    pub(super) fn show(&mut self, number: ProofNumber) {
        if let Some(proof) = self.live.get(&number)
            && let Some(view) = self.views.iter_mut().find(|view| view.number == number.0)
        {
            view.clone_from(&proof.view);
            self.changed.insert(number);
        }
    }

    /// A proof whose view has changed, as it is now.
    pub(super) fn take_changed(&mut self) -> Option<ProofView> {
        while let Some(number) = self.changed.pop_first() {
            let view = self.views.iter().find(|view| view.number == number.0);
            if view.is_some() {
                return view.cloned();
            }
        }
        None
    }

    pub(super) fn push_view(&mut self, view: ProofView) {
        self.changed.insert(ProofNumber(view.number));
        self.views.truncate(PROOFS_KEPT - 1);
        self.views.push_front(view);
    }

    pub(super) const fn new_number(&mut self) -> ProofNumber {
        self.numbers += 1;
        ProofNumber(self.numbers)
    }

    /// Recognises the proof when it comes again, as long as its signage point is one of `points`.
    pub(super) fn remember(&mut self, key: ProofKey, number: ProofNumber, points: &SignagePoints) {
        while let Some(oldest) = self.seen_order.front()
            && (self.seen_order.len() == MAX_SEEN || points.get(&oldest.0).is_none())
        {
            self.seen.remove(oldest);
            self.seen_order.pop_front();
        }
        self.seen.insert(key, number);
        self.seen_order.push_back(key);
    }

    /// Lets proofs for this signage point that came to nothing be judged once more: the question has changed.
    pub(super) fn judge_again(&mut self, sp_hash: &SpHash) {
        let live = &self.live;
        self.seen
            .retain(|key, number| key.0 != *sp_hash || live.contains_key(number));
        let seen = &self.seen;
        self.seen_order.retain(|key| seen.contains_key(key));
    }

    /// The next proof to verify, if workers can take one.
    pub(super) fn next_to_verify(&mut self) -> Option<ProofNumber> {
        if self.verifying >= MAX_VERIFYING {
            return None;
        }
        self.to_verify.next()
    }

    pub(super) fn begin_verification(&mut self, number: ProofNumber) -> JobId {
        let job = self.new_job(Job::Verify(number));
        self.verifying += 1;
        if let Some(proof) = self.live.get_mut(&number) {
            proof.phase = Phase::Verifying(job);
        }
        job
    }

    /// The next partial proof to solve, if solvers can take one.
    pub(super) fn next_to_solve(&mut self) -> Option<ProofNumber> {
        if self.solving >= MAX_SOLVING {
            return None;
        }
        let block = self.to_solve.next();
        if block.is_none() && self.solving < MAX_SOLVING_FOR_POOLS {
            return self.to_solve_for_pools.next();
        }
        block
    }

    pub(super) fn begin_solving(&mut self, number: ProofNumber) -> JobId {
        let job = self.new_job(Job::Solve(number));
        self.solving += 1;
        if let Some(proof) = self.live.get_mut(&number) {
            proof.phase = Phase::Solving(job);
        }
        job
    }

    /// Takes a proof out, with all that is under way for it.
    pub(super) fn remove(&mut self, number: ProofNumber) -> Option<Proof> {
        let proof = self.live.remove(&number)?;
        match &proof.phase {
            Phase::ToSolve(_) => {
                self.to_solve.remove(number);
                self.to_solve_for_pools.remove(number);
            }
            Phase::Solving(job) => {
                self.solving -= usize::from(self.jobs.remove(job).is_some());
            }
            Phase::Queued => self.to_verify.remove(number),
            Phase::Verifying(job) => {
                self.verifying -= usize::from(self.jobs.remove(job).is_some());
            }
            Phase::Winner { quality, .. } => {
                if self.by_quality.get(quality) == Some(&number) {
                    self.by_quality.remove(quality);
                }
                self.jobs
                    .retain(|_, job| !matches!(job, Job::SignPoint(of, _) if *of == number));
            }
        }
        Some(proof)
    }

    /// Sizes of everything that could grow.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [(&'static str, usize, usize); 10] {
        let jobs = |is_kind: fn(&Job) -> bool| self.jobs.values().filter(|job| is_kind(job)).count();
        assert_eq!(self.seen.len(), self.seen_order.len());
        assert_eq!(jobs(|job| matches!(job, Job::Verify(_))), self.verifying);
        assert_eq!(jobs(|job| matches!(job, Job::Solve(_))), self.solving);
        [
            ("live", self.live.len(), MAX_LIVE),
            ("by_quality", self.by_quality.len(), MAX_LIVE),
            ("blocks", self.blocks.len(), MAX_BLOCKS),
            ("views", self.views.len(), PROOFS_KEPT),
            ("seen", self.seen.len(), MAX_SEEN),
            ("to_verify", self.to_verify.len(), MAX_LIVE),
            ("verifying", self.verifying, MAX_VERIFYING),
            ("to_solve", self.to_solve.len(), MAX_LIVE),
            ("to_solve_for_pools", self.to_solve_for_pools.len(), MAX_LIVE),
            ("solving", self.solving, MAX_SOLVING),
        ]
    }
}

impl Turns {
    /// Puts a proof at the end of its harvester's queue.
    pub(super) fn push(&mut self, harvester: HarvesterId, number: ProofNumber) {
        self.queues.entry(harvester).or_default().push_back(number);
    }

    /// How many of a harvester's wait.
    pub(super) fn waiting_of(&self, harvester: HarvesterId) -> usize {
        self.queues.get(&harvester).map_or(0, VecDeque::len)
    }

    fn next(&mut self) -> Option<ProofNumber> {
        let after = self
            .last
            .and_then(|last| self.queues.range(HarvesterId(last.0.saturating_add(1))..).next());
        let harvester = *after.or_else(|| self.queues.iter().next())?.0;
        let queue = self.queues.get_mut(&harvester)?;
        let number = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&harvester);
        }
        self.last = Some(harvester);
        number
    }

    fn remove(&mut self, number: ProofNumber) {
        self.queues.retain(|_, queue| {
            queue.retain(|queued| *queued != number);
            !queue.is_empty()
        });
    }

    fn rename(&mut self, from: HarvesterId, to: HarvesterId) {
        if let Some(mut queue) = self.queues.remove(&from) {
            self.queues.entry(to).or_default().append(&mut queue);
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }
}

/// Whole milliseconds, as views carry them.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Proofs that are kept. Those of a real chain are a handful a day; a simulated one may have thousands.
pub(super) const MAX_LIVE: usize = 4096;

/// Verifications given to workers at a time: they have at most this many waiting, and none is dropped.
pub(super) const MAX_VERIFYING: usize = 64;

/// Partial proofs given to solvers at a time: enough to keep a few of them busy, and few enough that one of the next
/// harvester does not wait long behind them (at k28 each takes seconds).
pub(super) const MAX_SOLVING: usize = 4;

/// Of these such that only a pool wants: one at a time, so that a possible block waits for at most one.
const MAX_SOLVING_FOR_POOLS: usize = 1;

/// Proofs that are recognised when they come again.
const MAX_SEEN: usize = 2 * MAX_LIVE;

/// Harvesters that can sign for the same proof.
pub(super) const MAX_SOURCES: usize = 4;

/// Blocks that wait for signatures at the same time; on a real chain there is one.
pub(super) const MAX_BLOCKS: usize = 256;
