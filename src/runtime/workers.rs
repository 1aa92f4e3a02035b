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
