//! Checking many files side by side: volumes at the same time, on each only a few, for farming needs the disks too.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::copies::Copies;
use super::{CheckOptions, PlotCopy, PlotReport, check_plot};

/// What [`check_plots`] tells while it is at it.
#[derive(Clone, Copy, Debug)]
pub enum CheckEvent<'a> {
    /// One more file is done.
    Done(&'a PlotReport),
    /// How far it is, several times a second.
    Progress {
        /// Files that are done.
        files: u64,
        /// Challenges that were asked, of all files.
        challenges: u64,
    },
}

/// Checks files and tells of each as soon as it is done. Blocking. Once `stop` is cancelled the files that are being
/// checked are told as far as they are, and after a second whatever still waits for a disk is given up.
///
/// Every file that is a copy of another one, by name: which is the copy may show only when both are checked.
///
/// # Errors
/// The system gives no thread.
pub fn check_plots(
    files: &[PathBuf],
    options: &CheckOptions,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(CheckEvent<'_>),
) -> std::io::Result<Vec<PlotCopy>> {
    let (done, reports) = sync_channel(REPORTS_WAITING);
    let board = Arc::new(Board::new(files));
    for _ in 0..board.workers() {
        let worker = Worker {
            board: Arc::clone(&board),
            options: options.clone(),
            stop: stop.clone(),
            done: done.clone(),
        };
        thread::Builder::new()
            .name("plot check".to_owned())
            .spawn(move || worker.run())?;
    }
    drop(done);
    Ok(collect(&reports, &board, stop, tell).into_list())
}

/// Passes reports on until all workers are done; the copies among them.
fn collect(
    reports: &Receiver<PlotReport>,
    board: &Board,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(CheckEvent<'_>),
) -> Copies {
    let mut copies = Copies::default();
    let (mut files, mut patience) = (0, STOP_PATIENCE);
    loop {
        match reports.recv_timeout(TELL_EVERY) {
            Ok(mut report) => {
                report.duplicate_of = copies.handle_report(&report);
                files += 1;
                tell(CheckEvent::Done(&report));
            }
            Err(RecvTimeoutError::Disconnected) => return copies,
            Err(RecvTimeoutError::Timeout) if stop.is_cancelled() => {
                patience = patience.saturating_sub(TELL_EVERY);
                if patience.is_zero() {
                    return copies;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let challenges = board.asked.load(Ordering::Relaxed);
        tell(CheckEvent::Progress { files, challenges });
    }
}

/// Who checks what. The threads are not joined: one that waits for a disk must not hold up the end.
struct Board {
    volumes: Mutex<Vec<Volume>>,
    freed: Condvar,
    lanes: usize,
    asked: AtomicU64,
}

/// The files of one file system.
struct Volume {
    waiting: VecDeque<PathBuf>,
    running: usize,
}

impl Board {
    fn new(files: &[PathBuf]) -> Self {
        let mut volumes: BTreeMap<u64, VecDeque<PathBuf>> = BTreeMap::new();
        for file in files {
            // What is gone is told by the check.
            let volume = fs::metadata(file).map_or(0, |metadata| metadata.dev());
            volumes.entry(volume).or_default().push_back(file.clone());
        }
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            lanes: cores.div_ceil(volumes.len().max(1)).min(MAX_LANES),
            volumes: Mutex::new(
                volumes
                    .into_values()
                    .map(|waiting| Volume { waiting, running: 0 })
                    .collect(),
            ),
            freed: Condvar::new(),
            asked: AtomicU64::new(0),
        }
    }

    fn workers(&self) -> usize {
        let of = |volume: &Volume| volume.waiting.len().min(self.lanes);
        self.volumes().iter().map(of).sum::<usize>().min(MAX_WORKERS)
    }

    /// Waits for a file of a volume that has a lane free; none when all files are taken.
    fn take(&self) -> Option<(usize, PathBuf)> {
        let mut volumes = self.volumes();
        loop {
            if volumes.iter().all(|volume| volume.waiting.is_empty()) {
                return None;
            }
            for (number, volume) in volumes.iter_mut().enumerate() {
                if volume.running < self.lanes
                    && let Some(file) = volume.waiting.pop_front()
                {
                    volume.running += 1;
                    return Some((number, file));
                }
            }
            volumes = self.freed.wait(volumes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, number: usize) {
        if let Some(volume) = self.volumes().get_mut(number) {
            volume.running -= 1;
        }
        self.freed.notify_all();
    }

    fn volumes(&self) -> MutexGuard<'_, Vec<Volume>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    board: Arc<Board>,
    options: CheckOptions,
    stop: CancellationToken,
    done: SyncSender<PlotReport>,
}

impl Worker {
    fn run(self) {
        while !self.stop.is_cancelled()
            && let Some((volume, file)) = self.board.take()
        {
            let report = check_plot(&file, &self.options, &self.stop, &mut || {
                self.board.asked.fetch_add(1, Ordering::Relaxed);
            });
            self.board.give_back(volume);
            if self.done.send(report).is_err() {
                return;
            }
        }
    }
}

/// Files of one volume that are checked at the same time, at most.
const MAX_LANES: usize = 4;

/// Files that are checked at the same time, at most.
const MAX_WORKERS: usize = 64;

/// Reports that may wait to be told.
const REPORTS_WAITING: usize = 64;

/// How often progress is told, and how soon a stop is seen.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// After a stop a look-up may take this long to end.
const STOP_PATIENCE: Duration = Duration::from_secs(1);
