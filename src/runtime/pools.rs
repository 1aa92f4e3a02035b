//! Pools beside the engine: requests are sent and answered here, and the files in which wallets write down what they
//! have joined are watched.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Mono;
use crate::config::{PoolList, Root};
use crate::crypto::FarmingKeys;
use crate::farmer::{Input, JobId, JoinedPool, PoolAnswer, PoolFailure, PoolMembership, PoolReply, PoolRequest};
use crate::logging::target::FARMER;
use crate::net::{PoolClient, chance};
use crate::snapshot::pool_address;
use crate::system_clock::{Clock, unix_now};
use crate::tls::{TrustedClock, Witness};

/// A request to a pool.
#[derive(Debug)]
pub(super) struct PoolWork {
    pub(super) job: JobId,
    pub(super) pool: Box<PoolMembership>,
    pub(super) request: PoolRequest,
    pub(super) deadline: Mono,
}

/// Where to hand requests in.
#[derive(Clone, Debug)]
pub(super) struct PoolRequests {
    works: mpsc::Sender<PoolWork>,
}

/// The task behind [`PoolRequests`].
#[derive(Debug)]
pub(super) struct Asking {
    works: mpsc::Receiver<PoolWork>,
    client: PoolClient,
    clock: Clock,
    /// Told of the `Date` of answers.
    time: Arc<TrustedClock>,
    results: mpsc::Sender<Input>,
}

/// Makes the task that asks pools.
pub(super) fn asking(
    client: PoolClient,
    clock: Clock,
    time: Arc<TrustedClock>,
    results: &mpsc::Sender<Input>,
) -> (PoolRequests, Asking) {
    let (sender, works) = mpsc::channel(QUEUE);
    let asking = Asking {
        works,
        client,
        clock,
        time,
        results: results.clone(),
    };
    (PoolRequests { works: sender }, asking)
}

impl PoolRequests {
    /// Takes the work, or says that there is too much of it already.
    pub(super) fn submit(&self, work: PoolWork) -> Result<(), JobId> {
        self.works.try_send(work).map_err(|refused| refused.into_inner().job)
    }
}

/// The answer for a request that was not taken.
pub(super) const fn busy(job: JobId) -> Input {
    let answer = PoolAnswer {
        result: Err(PoolFailure::Busy),
        server_unix_s: None,
        moved_to: None,
    };
    Input::PoolAnswered { job, answer }
}

impl Asking {
    /// Sends requests until `stop`. Each is a task of its own: a pool that hangs delays nobody else.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut requests = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                work = self.works.recv(), if requests.len() < QUEUE => {
                    let Some(work) = work else { return };
                    let (client, results, time) = (self.client.clone(), self.results.clone(), Arc::clone(&self.time));
                    let deadline = self.clock.instant(work.deadline);
                    requests.spawn(async move {
                        let PoolWork { job, pool, request, .. } = work;
                        let seconds = || unix_now().seconds();
                        log_request(&pool, &request);
                        let answer = client.ask(&pool, &request, deadline, seconds, chance).await;
                        if let Some(says) = answer.server_unix_s {
                            time.handle_witness(Witness::Pool, says);
                        }
                        log_answer(&request, &answer);
                        // The engine may have ended.
                        let _ = results.send(Input::PoolAnswered { job, answer }).await;
                    });
                }
                Some(_) = requests.join_next() => {}
            }
        }
    }
}

/// The lines about partials are those of the official farmer, which tools read.
fn log_request(pool: &PoolMembership, request: &PoolRequest) {
    if let PoolRequest::Partial(_) = request {
        tracing::info!(target: FARMER, "Submitting partial for {} to {}", pool.launcher_id, pool_address(&pool.pool_url));
    }
}

fn log_answer(request: &PoolRequest, answer: &PoolAnswer) {
    match (&answer.result, request) {
        (Ok(PoolReply::Accepted { new_difficulty }), _) => {
            tracing::info!(target: FARMER, "Pool response: {{'new_difficulty': {new_difficulty}}}");
        }
        (Err(PoolFailure::Refused { code, message }), PoolRequest::Partial(_)) => {
            tracing::error!(target: FARMER, "Error in pooling: ({code}, '{message}')");
        }
        (Err(failure), request) => tracing::warn!(target: FARMER, "{}: {failure}", request.word()),
        (Ok(_), request) => tracing::debug!(target: FARMER, "{}: answered", request.word()),
    }
}

/// Watches the files that list pools.
pub(super) struct PoolWatch {
    pub(super) root: Root,
    pub(super) keys: Arc<FarmingKeys>,
    pub(super) results: mpsc::Sender<Input>,
}

impl PoolWatch {
    /// Reads the lists at once and whenever a file has changed, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let files = [self.root.pooling_file(), self.root.config_file()];
        let mut seen = None;
        let mut broken = 0_u32;
        let (mut told, mut has_waited) = (BTreeSet::new(), false);
        loop {
            let stamps = stamps(files.clone()).await;
            if seen.as_ref() != Some(&stamps) || broken > 0 {
                seen = Some(stamps);
                let root = self.root.clone();
                let Ok(list) = tokio::task::spawn_blocking(move || PoolList::load(&root)).await else {
                    return;
                };
                broken = if list.errors.is_empty() {
                    0
                } else {
                    broken.saturating_add(1)
                };
                let contracts: BTreeSet<_> = list.pools.iter().map(|it| it.p2_singleton_puzzle_hash).collect();
                let lacks_some = broken == 0 && !contracts.is_superset(&told);
                has_waited = lacks_some && !has_waited;
                if has_waited {
                    // A file that is being written may look whole: what is missing has left if it still is at the next look.
                    seen = None;
                } else {
                    if broken == 0 {
                        told = contracts;
                    }
                    if self.tell(list, broken).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// The official software writes its file in place, so a list that cannot be read is tried again before anybody is
    /// told, and what was known stays.
    async fn tell(&self, list: PoolList, broken: u32) -> Result<(), mpsc::error::SendError<Input>> {
        if broken > 0 && broken < BROKEN_TOLD {
            return Ok(());
        }
        let why = list.errors.first().map(ToString::to_string);
        let is_whole = why.is_none();
        self.results.send(Input::PoolsUnreadable { why }).await?;
        if !is_whole && list.pools.is_empty() {
            return Ok(());
        }
        let pools = list
            .pools
            .into_iter()
            .map(|membership| joined(membership, &self.keys))
            .collect();
        self.results.send(Input::Pools(pools)).await
    }
}

/// A plotNFT with the key that speaks for it, if it is here.
fn joined(membership: PoolMembership, keys: &FarmingKeys) -> JoinedPool {
    let key = keys.pool_authentication(&membership.owner_public_key);
    let key = key.filter(|key| key.version() == membership.version);
    JoinedPool {
        authentication_public_key: key.map(|key| key.public_key().to_g1()),
        membership,
    }
}

/// When each file was changed last, and how long it is.
async fn stamps(files: [PathBuf; 2]) -> Vec<Option<(SystemTime, u64)>> {
    let mut stamps = Vec::with_capacity(files.len());
    for file in files {
        let metadata = tokio::fs::metadata(&file).await.ok();
        stamps.push(metadata.and_then(|it| Some((it.modified().ok()?, it.len()))));
    }
    stamps
}

/// Requests that may wait or be under way. Partials of a large farm come a few a second at most.
const QUEUE: usize = 256;

/// As often as the official farmer looks, or nearly.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Times in a row that a list was not readable before somebody is told.
const BROKEN_TOLD: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(contract: &str) -> String {
        format!(
            "- launcher_id: {contract}\n  owner_public_key: {}\n  p2_singleton_puzzle_hash: {contract}\n  payout_instructions: ''\n  pool_url: https://pool.example\n  target_puzzle_hash: {contract}\n",
            "b1".repeat(48)
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_takes_no_pool_away() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let file = root.pooling_file();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let both = format!(
            "pooling_information:\n{}{}",
            entry(&"d1".repeat(32)),
            entry(&"d2".repeat(32))
        );
        let (one, _) = both.split_once(&entry(&"d2".repeat(32))).unwrap();
        std::fs::write(&file, &both).unwrap();
        let (results, mut inputs) = mpsc::channel(64);
        let watch = PoolWatch {
            root,
            keys: Arc::new(FarmingKeys::new(Vec::new(), Vec::new())),
            results,
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(watch.run(stop.clone()));
        let mut told = async |wait: Duration| {
            tokio::time::sleep(wait).await;
            let mut told = Vec::new();
            while let Ok(input) = inputs.try_recv() {
                if let Input::Pools(pools) = input {
                    told.push(pools.len());
                }
            }
            told
        };
        let second = Duration::from_secs(1);
        assert_eq!(told(second).await, [2]);
        // Emptied, and written up to the end of an entry: both look whole.
        for half in ["", one] {
            std::fs::write(&file, half).unwrap();
            assert_eq!(told(LOOK_EVERY).await, [0; 0], "{half:?}");
            std::fs::write(&file, &both).unwrap();
            assert_eq!(told(LOOK_EVERY).await, [2]);
        }
        std::fs::write(&file, one).unwrap();
        assert_eq!(told(3 * LOOK_EVERY).await, [1], "it has left");
        stop.cancel();
        running.await.unwrap();
    }
}
