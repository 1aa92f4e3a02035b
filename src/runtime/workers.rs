//! The slow work: verifying proofs and completing signatures, on threads of their own, so that the farmer never waits.
//!
//! Signing comes first: it is a block being won. Both queues are bounded; a verification that finds its queue full is
//! refused at once, and the farmer counts it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::crypto::{FarmingKeys, Signature, complete_plot_signature};
use crate::farmer::{Input, JobId, PlotSignatures, SignError, SignPurpose};
use crate::ids::Bytes32;
use crate::pos::constants::Constants;
use crate::pos::{ProofContext, verify_proof_of_space};
use crate::wire::{PlotPool, ProofOfSpace, RespondSignatures};

/// Verifications that may wait: far more than a fleet finds in one signage point.
const VERIFY_QUEUE: usize = 1024;

/// Signatures that may wait; each belongs to a verified proof.
const SIGN_QUEUE: usize = 1024;

/// One piece of work.
#[derive(Debug)]
pub(super) enum Work {
    Verify {
        job: JobId,
        proof: Box<ProofOfSpace>,
        context: ProofContext,
    },
    Sign {
        job: JobId,
        proof: Box<ProofOfSpace>,
        response: Box<RespondSignatures>,
        messages: Vec<Bytes32>,
        purpose: SignPurpose,
    },
}

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    queues: Mutex<Queues>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Queues {
    sign: VecDeque<Work>,
    verify: VecDeque<Work>,
    closed: bool,
}

impl Workers {
    /// Starts `count` threads that answer into `results`.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn start(
        count: usize,
        constants: &Arc<Constants>,
        keys: &Arc<FarmingKeys>,
        results: &mpsc::Sender<Input>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut workers = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
        };
        for number in 0..count.max(1) {
            let (shared, constants, keys, results) = (
                Arc::clone(&shared),
                Arc::clone(constants),
                Arc::clone(keys),
                results.clone(),
            );
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(&shared, &constants, &keys, &results))?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Takes the work, or gives it back because its queue is full.
    pub(super) fn submit(&self, work: Work) -> Result<(), Work> {
        let mut queues = self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let (queue, size) = match work {
            Work::Sign { .. } => (&mut queues.sign, SIGN_QUEUE),
            Work::Verify { .. } => (&mut queues.verify, VERIFY_QUEUE),
        };
        if queue.len() >= size {
            return Err(work);
        }
        queue.push_back(work);
        drop(queues);
        self.shared.more.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.more.notify_all();
        // The threads are not joined: one may be blocked on a result channel that nobody reads any more, and its
        // receiver is dropped together with this.
        self.threads.clear();
    }
}

fn work(shared: &Shared, constants: &Constants, keys: &FarmingKeys, results: &mpsc::Sender<Input>) {
    loop {
        let work = {
            let mut queues = shared.queues.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if queues.closed {
                    return;
                }
                if let Some(work) = queues.sign.pop_front().or_else(|| queues.verify.pop_front()) {
                    break work;
                }
                queues = shared.more.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        };
        if results.blocking_send(carry_out(work, constants, keys)).is_err() {
            return;
        }
    }
}

fn carry_out(work: Work, constants: &Constants, keys: &FarmingKeys) -> Input {
    match work {
        Work::Verify { job, proof, context } => Input::Verified {
            job,
            result: verify_proof_of_space(constants, &proof, &context),
        },
        Work::Sign {
            job,
            proof,
            response,
            messages,
            purpose,
        } => Input::Signed {
            job,
            result: sign(keys, &proof, &response, &messages, purpose),
        },
    }
}

fn sign(
    keys: &FarmingKeys,
    proof: &ProofOfSpace,
    response: &RespondSignatures,
    messages: &[Bytes32],
    purpose: SignPurpose,
) -> Result<PlotSignatures, SignError> {
    let signatures = complete_plot_signature(keys, proof, response, messages)?;
    if let SignPurpose::Partial { owner_public_key } = purpose {
        let key = keys
            .pool_authentication(&owner_public_key)
            .ok_or(SignError::NoPoolKey)?;
        let shares = signatures.iter().zip(messages);
        let whole = shares.map(|(plot, message)| Signature::aggregate(&[*plot, key.sign_partial(message)]));
        return Ok(PlotSignatures {
            signatures: whole.map(|signature| signature.to_g2()).collect(),
            pool_signature: None,
        });
    }
    let pool_signature = match (purpose, &proof.pool) {
        (
            SignPurpose::SignagePoint {
                pool_target: Some(target),
            },
            PlotPool::PublicKey(key),
        ) => Some(keys.pool_target_signature(key, &target)?.to_g2()),
        _ => None,
    };
    Ok(PlotSignatures {
        signatures: signatures.iter().map(Signature::to_g2).collect(),
        pool_signature,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{
        PoolAuthentication, PublicKey, SecretKey, plot_public_key, sign as sign_plainly, sign_prepend, verify_aggregate,
    };
    use crate::ids::{ChallengeHash, PosChallenge, PuzzleHash, SpHash};
    use crate::wire::pool::PoolVersion;
    use crate::wire::{G1Bytes, ProofBody};

    fn secret(number: u8) -> SecretKey {
        SecretKey::key_gen(&[number; 32]).unwrap()
    }

    #[test]
    fn a_partial_is_signed_by_the_plot_and_by_the_key_of_its_pool() {
        let (local, farmer, message) = (secret(1), secret(2), Bytes32([0x55; 32]));
        let pool = PlotPool::Contract(PuzzleHash([4; 32]));
        let plot_key = plot_public_key(&local.public_key(), &farmer.public_key(), &pool);
        let proof = ProofOfSpace {
            challenge: PosChallenge::default(),
            pool,
            plot_public_key: plot_key.to_g1(),
            body: ProofBody::V1 {
                k: 32,
                proof: vec![0; 256],
            },
        };
        let response = RespondSignatures {
            plot_identifier: String::new(),
            challenge_hash: ChallengeHash::default(),
            sp_hash: SpHash::default(),
            local_pk: local.public_key().to_g1(),
            farmer_pk: farmer.public_key().to_g1(),
            message_signatures: vec![(message, sign_prepend(&local, &plot_key, message.as_bytes()).to_g2())],
            include_source_signature_data: false,
            farmer_reward_address_override: None,
        };
        let owner_public_key = secret(3).public_key().to_g1();
        let authentication = PoolAuthentication::new(owner_public_key, PoolVersion::V1, secret(5)).unwrap();
        let keys = FarmingKeys::new(vec![farmer], Vec::new()).with_pool_authentication(vec![authentication]);
        let sign_for = |owner_public_key: G1Bytes| {
            let purpose = SignPurpose::Partial { owner_public_key };
            sign(&keys, &proof, &response, &[message], purpose)
        };
        let signed = sign_for(owner_public_key).unwrap();
        let [signature] = signed.signatures[..] else {
            panic!("one signature")
        };
        let signature = Signature::from_g2(&signature).unwrap();
        let key = secret(5).public_key();
        let signers: [(&PublicKey, &[u8]); 2] = [(&plot_key, message.as_bytes()), (&key, message.as_bytes())];
        assert!(verify_aggregate(&signers, &signature));
        let alone = sign_plainly(&secret(5), message.as_bytes());
        assert!(!verify_aggregate(&signers, &alone));
        assert_eq!(sign_for(G1Bytes([0; 48])), Err(SignError::NoPoolKey));
    }
}
