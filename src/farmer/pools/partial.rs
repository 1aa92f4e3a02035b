//! One partial, and all that are on their way.
//!
//! A partial is a proof of its own, beside the block that the same proof may become: neither waits for the other. Its
//! clock is that of the pool, which counts from the signage point.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Mono;
use crate::farmer::numbers::{PartialNumber, ProofNumber};
use crate::farmer::proofs::{ProofKey, Source, hash_of};
use crate::ids::{Bytes32, ChallengeHash, PuzzleHash, SpHash};
use crate::snapshot::{HarvesterId, PartialStep, PartialView};
use crate::wire::pool::PostPartialPayload;
use crate::wire::{ProofOfSpace, Streamable as _};

/// All partials on their way.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Partials {
    pub(super) live: BTreeMap<PartialNumber, Partial>,
    /// Proofs that have been partials already: a signage point that is asked again brings them again.
    seen: VecDeque<ProofKey>,
    numbers: u64,
}

/// One partial on its way.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Partial {
    pub(super) view: PartialView,
    /// The proof it is made of.
    #[serde(default)]
    pub(super) of: ProofNumber,
    pub(super) contract: PuzzleHash,
    /// When its signage point came.
    pub(super) began: Mono,
    pub(super) challenge_hash: ChallengeHash,
    pub(super) sp_hash: SpHash,
    pub(super) proof: ProofOfSpace,
    pub(super) sources: Vec<Source>,
    /// Which of them signs.
    pub(super) source: usize,
    /// What it is worth.
    pub(super) points: u64,
    /// What is being signed, or was.
    pub(super) payload: Option<PostPartialPayload>,
    /// Whether a worker has the harvester's shares.
    pub(super) is_signing: bool,
}

impl Partials {
    /// How many of a contract are on their way.
    pub(super) fn of(&self, contract: &PuzzleHash) -> u64 {
        self.live
            .values()
            .filter(|partial| partial.contract == *contract)
            .count() as u64
    }

    /// How many of a contract are with the pool.
    pub(super) fn sending_to(&self, contract: &PuzzleHash) -> usize {
        let of_pool = self.live.values().filter(|partial| partial.contract == *contract);
        of_pool
            .filter(|partial| partial.view.step == PartialStep::Sending)
            .count()
    }

    pub(super) fn rename(&mut self, from: HarvesterId, to: HarvesterId) {
        let sources = self.live.values_mut().flat_map(|partial| &mut partial.sources);
        sources
            .filter(|source| source.harvester == from)
            .for_each(|source| source.harvester = to);
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> [(&'static str, usize, usize); 2] {
        [
            ("partials", self.live.len(), MAX_LIVE),
            ("partials seen", self.seen.len(), MAX_SEEN),
        ]
    }

    /// Hashes made of partials: to know them again, and to be signed.
    pub(super) fn own_hashes(&self) -> impl Iterator<Item = Bytes32> {
        self.live.values().flat_map(|partial| {
            let signed = partial.payload.as_ref().map(PostPartialPayload::get_hash);
            [Some(hash_of(&partial.proof)), signed].into_iter().flatten()
        })
    }

    /// A number for another one.
    pub(super) const fn next_number(&mut self) -> PartialNumber {
        self.numbers += 1;
        PartialNumber(self.numbers)
    }

    /// Whether this proof has not been a partial yet; it has from here on.
    pub(super) fn is_new(&mut self, key: ProofKey) -> bool {
        if self.seen.contains(&key) {
            return false;
        }
        if self.seen.len() == MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(key);
        true
    }
}

/// Pools refuse what comes later than this after its signage point.
pub(super) const PARTIAL_WITHIN: Duration = Duration::from_secs(25);

/// Partials on their way. A farm finds a few in a signage point; the pools' difficulty sees to that.
pub(super) const MAX_LIVE: usize = 1024;

/// Partials that are recognised when they come again.
const MAX_SEEN: usize = 1024;
