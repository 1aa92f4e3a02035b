//! Threads to look plots up with, shared out between volumes so that one that hangs cannot use up all of them.
//!
//! A volume, that is a file system, has a few lanes: look-ups that may run on it side by side. Besides, all lanes
//! together are bounded by the settings, but a lane that does not come back in time is no longer counted there. The
//! threads are not the runtime's: one that hangs in the kernel must not hold up the end of the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::lookup::ABANDON_AFTER;
use crate::logging::target::HARVESTER;

/// All volumes with plots.
#[derive(Debug)]
pub(super) struct Volumes {
    lanes: usize,
    threads: Arc<Semaphore>,
    volumes: Mutex<BTreeMap<u64, Arc<Volume>>>,
    reported: Mutex<BTreeMap<String, Instant>>,
}

#[derive(Debug)]
struct Volume {
    lanes: Arc<Semaphore>,
    /// Since when each lane in use has been busy with its plot.
    busy: Mutex<BTreeMap<u64, Instant>>,
}

/// The right to one thread on a volume; gives it back when dropped.
#[derive(Debug)]
pub(super) struct Lane {
    volume: Arc<Volume>,
    id: u64,
    _lane: OwnedSemaphorePermit,
}

impl Volumes {
    /// `threads`: look-ups at the same time, at least 1.
    pub(super) fn new(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        Self {
            lanes: threads.min(LANES),
            threads: Arc::new(Semaphore::new(threads)),
            volumes: Mutex::default(),
            reported: Mutex::default(),
        }
    }

    /// Look-ups that may run on one volume at the same time.
    pub(super) const fn lanes(&self) -> usize {
        self.lanes
    }

    /// If no lane of the volume has come back in time: for how long the least late of them has been away.
    pub(super) fn hung_for(&self, volume: u64, now: Instant) -> Option<Duration> {
        let volume = self.volume(volume);
        let busy = lock(&volume.busy);
        let newest = busy.values().max().filter(|_| busy.len() >= self.lanes)?;
        let away = now.saturating_duration_since(*newest);
        (away >= ABANDON_AFTER).then_some(away)
    }

    /// Waits for a lane of the volume.
    pub(super) async fn lane(&self, volume: u64) -> Lane {
        let volume = self.volume(volume);
        let Ok(permit) = Arc::clone(&volume.lanes).acquire_owned().await else {
            // Nobody closes the semaphore.
            return std::future::pending().await;
        };
        let mut busy = lock(&volume.busy);
        let id = busy.last_key_value().map_or(0, |(last, _)| last + 1);
        busy.insert(id, Instant::now());
        drop(busy);
        Lane {
            volume,
            id,
            _lane: permit,
        }
    }

    /// Runs `work` on a thread of its own, once one is free, and waits until it ends, until `stop` or until `deadline`;
    /// after that the thread is not counted any more, and its lane is free when it ends.
    pub(super) async fn run(
        &self,
        lane: Lane,
        deadline: Instant,
        stop: CancellationToken,
        work: impl FnOnce(&Lane) + Send + 'static,
    ) {
        let waited = async {
            let Ok(_thread) = self.threads.acquire().await else {
                return;
            };
            let (done, ended) = oneshot::channel::<()>();
            let spawned = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
                work(&lane);
                drop((lane, done));
            });
            match spawned {
                // The sender is dropped when the thread ends, also by a panic.
                Ok(_) => drop(ended.await),
                Err(error) if self.may_report("no threads", Instant::now()) => {
                    tracing::error!(target: HARVESTER, "start a look-up thread: {error}");
                }
                Err(_) => {}
            }
        };
        tokio::select! {
            () = waited => {}
            () = sleep_until(deadline) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Whether something that goes wrong again and again, called `what`, is to be told once more.
    pub(super) fn may_report(&self, what: &str, now: Instant) -> bool {
        let mut reported = lock(&self.reported);
        reported.retain(|_, at| now.saturating_duration_since(*at) < REPORT_EVERY);
        if reported.contains_key(what) {
            return false;
        }
        reported.insert(what.to_owned(), now);
        true
    }

    fn volume(&self, volume: u64) -> Arc<Volume> {
        let new = || {
            Arc::new(Volume {
                lanes: Arc::new(Semaphore::new(self.lanes)),
                busy: Mutex::default(),
            })
        };
        Arc::clone(lock(&self.volumes).entry(volume).or_insert_with(new))
    }
}

impl Lane {
    /// The thread goes on with another plot.
    pub(super) fn handle_progress(&self, now: Instant) {
        lock(&self.volume.busy).insert(self.id, now);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        lock(&self.volume.busy).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk with heads does a few look-ups at once hardly faster than one, and a solid-state disk does four faster than
/// one signage point needs them.
const LANES: usize = 4;

/// More threads than this are of no use on any machine.
const MAX_THREADS: usize = 256;

/// The same trouble with the same plot is told once in this time.
const REPORT_EVERY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Starts work on a lane of the volume that ends when the sender is dropped.
    async fn hang(volumes: &Arc<Volumes>, volume: u64) -> mpsc::SyncSender<()> {
        let (hold, held) = mpsc::sync_channel::<()>(0);
        let lane = volumes.lane(volume).await;
        let volumes = Arc::clone(volumes);
        let deadline = Instant::now() + ABANDON_AFTER;
        tokio::spawn(async move {
            let work = move |_: &Lane| {
                // It ends with an error, when the sender is dropped.
                let _ = held.recv();
            };
            volumes.run(lane, deadline, CancellationToken::new(), work).await;
        });
        hold
    }

    #[tokio::test(start_paused = true)]
    async fn a_volume_that_hangs_costs_its_own_lanes_for_ever_and_the_others_nothing_after_the_deadline() {
        let volumes = Arc::new(Volumes::new(4));
        let mut held = Vec::new();
        for _ in 0..volumes.lanes() {
            held.push(hang(&volumes, 1).await);
        }
        tokio::task::yield_now().await;
        assert_eq!(volumes.threads.available_permits(), 0, "all threads hang");
        assert_eq!(volumes.hung_for(1, Instant::now()), None, "not yet late");

        tokio::time::sleep(ABANDON_AFTER + Duration::from_secs(1)).await;
        assert_eq!(volumes.threads.available_permits(), 4);
        assert!(volumes.hung_for(1, Instant::now()).is_some());
        assert_eq!(volumes.hung_for(2, Instant::now()), None);
        let other = volumes.lane(2).await;
        let (ran, done) = oneshot::channel();
        let deadline = Instant::now() + ABANDON_AFTER;
        volumes
            .run(other, deadline, CancellationToken::new(), |_| ran.send(()).unwrap())
            .await;
        done.await.unwrap();

        drop(held);
        volumes.lane(1).await;
        assert_eq!(volumes.hung_for(1, Instant::now()), None, "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_told_once_in_a_while() {
        let volumes = Volumes::new(1);
        let start = Instant::now();
        assert!(volumes.may_report("/p/a.plot", start));
        assert!(volumes.may_report("/p/b.plot", start));
        assert!(!volumes.may_report("/p/a.plot", start + Duration::from_secs(599)));
        assert!(volumes.may_report("/p/a.plot", start + Duration::from_secs(600)));
    }
}
