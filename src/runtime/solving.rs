//! Completing v2 partial proofs, apart from everything else: it takes seconds of all cores, and neither a signature nor a
//! verification may wait for it.
//!
//! The library inside this process solves on one thread, which uses all cores. If the settings name solvers on other
//! machines, those are asked first, and this machine only where they do not answer in time.

use std::sync::Arc;
use std::sync::mpsc as threads;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::farmer::{Input, JobId};
use crate::ids::PosChallenge;
use crate::logging::target::FARMER;
use crate::net::SolverPeers;
use crate::pos::Constants;
use crate::pos::v2::{self, SolveError};
use crate::wire::SolverInfo;

/// A partial proof to complete.
#[derive(Debug)]
pub(super) struct SolveWork {
    pub(super) job: JobId,
    pub(super) partial: Box<SolverInfo>,
    /// What the plot was asked, to check the result with.
    pub(super) challenge: PosChallenge,
}

/// Where to hand partial proofs in.
#[derive(Clone, Debug)]
pub(super) struct Solvers {
    works: mpsc::Sender<SolveWork>,
}

/// The task behind [`Solvers`].
#[derive(Debug)]
pub(super) struct Solving {
    works: mpsc::Receiver<SolveWork>,
    ways: Arc<Ways>,
    results: mpsc::Sender<Input>,
}

/// The ways to a proof.
#[derive(Debug)]
struct Ways {
    constants: Arc<Constants>,
    peers: Option<SolverPeers>,
    own: threads::SyncSender<OwnWork>,
}

struct OwnWork {
    partial: SolverInfo,
    given: Instant,
    reply: oneshot::Sender<Result<Vec<u8>, SolveError>>,
}

/// Makes the thread that solves, and the task that hands work to it, and to `peers` before it if there are any.
///
/// # Errors
/// The operating system gives no thread.
pub(super) fn solvers(
    constants: &Arc<Constants>,
    peers: Option<SolverPeers>,
    results: &mpsc::Sender<Input>,
) -> std::io::Result<(Solvers, Solving)> {
    let (own, to_solve) = threads::sync_channel(QUEUE);
    let for_thread = Arc::clone(constants);
    // It ends when the sender is dropped; a solve that is under way then ends with the process.
    std::thread::Builder::new()
        .name("solver".to_owned())
        .spawn(move || solve_all(&for_thread, &to_solve))?;
    let (sender, works) = mpsc::channel(QUEUE);
    let ways = Ways {
        constants: Arc::clone(constants),
        peers,
        own,
    };
    let solving = Solving {
        works,
        ways: Arc::new(ways),
        results: results.clone(),
    };
    Ok((Solvers { works: sender }, solving))
}

impl Solvers {
    /// Takes the work, or says that there is too much of it already.
    pub(super) fn submit(&self, work: SolveWork) -> Result<(), JobId> {
        self.works.try_send(work).map_err(|refused| refused.into_inner().job)
    }
}

impl Solving {
    /// Hands work on until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut works = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                work = self.works.recv(), if works.len() < QUEUE => {
                    let Some(SolveWork { job, partial, challenge }) = work else { return };
                    let (ways, results) = (Arc::clone(&self.ways), self.results.clone());
                    works.spawn(async move {
                        // Without an answer the farmer gives the proof up in time, and says so.
                        if let Some(result) = ways.solve(&partial, &challenge).await {
                            // The engine may have ended.
                            let _ = results.send(Input::Solved { job, result }).await;
                        }
                    });
                }
                Some(_) = works.join_next() => {}
            }
        }
    }
}

impl Ways {
    async fn solve(&self, partial: &SolverInfo, challenge: &PosChallenge) -> Option<Result<Vec<u8>, SolveError>> {
        if let Some(proof) = self.solve_elsewhere(partial, challenge).await {
            return Some(Ok(proof));
        }
        let (reply, result) = oneshot::channel();
        let work = OwnWork {
            partial: partial.clone(),
            given: Instant::now(),
            reply,
        };
        if self.own.try_send(work).is_err() {
            tracing::error!(target: FARMER, "{QUEUE} partial proofs wait to be solved here, one is left out");
            return None;
        }
        result.await.ok()
    }

    /// What a solver on another machine makes of it; `None` if there is none, it did not answer in time or answered
    /// with something else than asked.
    async fn solve_elsewhere(&self, partial: &SolverInfo, challenge: &PosChallenge) -> Option<Vec<u8>> {
        let peers = self.peers.as_ref().filter(|peers| peers.is_any_connected())?;
        let solving = peers.solve(partial);
        let Ok(Some(proof)) = timeout(ELSEWHERE_WITHIN, solving).await else {
            tracing::warn!(
                target: FARMER,
                "no solver completed a partial proof of plot {} within {} s: it is solved here",
                partial.plot_id, ELSEWHERE_WITHIN.as_secs()
            );
            return None;
        };
        let quality = partial.partial_proof.quality_string(partial.strength);
        match v2::verify(&self.constants, &partial.plot_id, partial.strength, challenge, &proof) {
            Ok(got) if got == quality => Some(proof),
            answered => {
                let why = answered
                    .err()
                    .map_or_else(|| "it is of another partial proof".to_owned(), |e| e.to_string());
                tracing::warn!(
                    target: FARMER,
                    "a solver sent a wrong proof of plot {}: {why}; it is solved here", partial.plot_id
                );
                None
            }
        }
    }
}

/// Solves one after another. What nobody can use any more is left out.
fn solve_all(constants: &Constants, works: &threads::Receiver<OwnWork>) {
    while let Ok(work) = works.recv() {
        if work.given.elapsed() >= USEFUL_FOR {
            continue;
        }
        let result = v2::solve(constants, &work.partial);
        // The task that waits for it may have ended.
        let _ = work.reply.send(result);
    }
}

/// Partial proofs that may wait here; the farmer gives out fewer.
const QUEUE: usize = 16;

/// A proof may take 25 s to be verified. This leaves time to solve it here.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(10);

/// After this time a solved proof is of no use.
const USEFUL_FOR: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PlotId;
    use crate::wire::PartialProof;

    /// A partial proof of a real plot, what it was asked, and the full proof.
    fn partial(constants: &Constants) -> (SolverInfo, PosChallenge, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.plot2");
        let plot_id = PlotId([0x5a; 32]);
        chia_pos2::create_v2_plot(&path, 18, 2, plot_id.as_bytes(), 0, 0, &[0; 112], constants.testnet).unwrap();
        let prover = chia_pos2::Prover::new(&path).unwrap();
        for challenge in (0..=255).map(|i| PosChallenge([i; 32])) {
            let chains = prover.get_qualities_for_challenge(challenge.as_bytes()).unwrap();
            if let Some(chain) = chains.first() {
                let info = SolverInfo {
                    partial_proof: PartialProof {
                        fragments: chain.chain_links,
                    },
                    plot_id,
                    strength: 2,
                    size: 18,
                };
                let proof = v2::solve(constants, &info).unwrap();
                return (info, challenge, proof);
            }
        }
        panic!("a plot has about one proof a challenge")
    }

    #[tokio::test]
    async fn solved_here_unless_another_machine_gives_the_right_proof() {
        let constants = Arc::new(Constants {
            plot_size_v2: 18,
            ..Constants::for_network("simulator1").unwrap()
        });
        let (info, challenge, proof) = partial(&constants);
        let (results, mut solved) = mpsc::channel(8);
        let (peers, mut asked) = SolverPeers::played();
        let (elsewhere, solving) = solvers(&constants, Some(peers), &results).unwrap();
        tokio::spawn(solving.run(CancellationToken::new()));
        let (here, solving) = solvers(&constants, None, &results).unwrap();
        tokio::spawn(solving.run(CancellationToken::new()));
        let work = |job| SolveWork {
            job: JobId(job),
            partial: Box::new(info.clone()),
            challenge,
        };
        let expect = |job, result| {
            let job = JobId(job);
            Some(Input::Solved { job, result })
        };

        here.submit(work(1)).unwrap();
        assert_eq!(solved.recv().await, expect(1, Ok(proof.clone())));

        elsewhere.submit(work(2)).unwrap();
        let request = asked.recv().await.unwrap();
        assert_eq!(request.partial, info);
        request.reply.send(proof.clone()).unwrap();
        assert_eq!(solved.recv().await, expect(2, Ok(proof.clone())));

        elsewhere.submit(work(3)).unwrap();
        asked.recv().await.unwrap().reply.send(vec![0; proof.len()]).unwrap();
        assert_eq!(solved.recv().await, expect(3, Ok(proof.clone())), "a wrong proof");

        elsewhere.submit(work(4)).unwrap();
        drop(asked.recv().await.unwrap().reply);
        assert_eq!(solved.recv().await, expect(4, Ok(proof)), "no answer at all");
    }

    #[tokio::test]
    async fn garbage_is_found_out() {
        let constants = Arc::new(Constants {
            plot_size_v2: 18,
            ..Constants::for_network("simulator1").unwrap()
        });
        let (results, mut solved) = mpsc::channel(8);
        let (here, solving) = solvers(&constants, None, &results).unwrap();
        tokio::spawn(solving.run(CancellationToken::new()));
        let partial = SolverInfo {
            partial_proof: PartialProof { fragments: [7; 16] },
            plot_id: PlotId([1; 32]),
            strength: 2,
            size: 18,
        };
        let work = SolveWork {
            job: JobId(1),
            partial: Box::new(partial),
            challenge: PosChallenge::default(),
        };
        here.submit(work).unwrap();
        let expected = Input::Solved {
            job: JobId(1),
            result: Err(SolveError::NoProof),
        };
        assert_eq!(solved.recv().await, Some(expected));
    }
}
