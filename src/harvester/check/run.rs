//! Checking many files side by side: volumes at the same time, on each only a few, for farming needs the disks too.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::copies::Copies;
use super::wait::{HANGS_AFTER, Wait};
use super::{CheckOptions, PlotCopy, PlotReport, check_waiting};
use crate::config::patience::{self, DRIVE_PATIENCE};

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
/// checked are told as far as they are, and after a second whatever still waits for a disk is given up. So are, sooner or
/// later, the files of a drive that does not answer.
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
) -> io::Result<Vec<PlotCopy>> {
    let (options, stopping) = (options.clone(), stop.clone());
    let check: Check = Arc::new(move |path, wait, asked| check_waiting(path, &options, &stopping, wait, asked));
    check_with(&check, files, HANGS_AFTER, stop, tell)
}

/// Checks one file; calls its last argument after each challenge.
type Check = Arc<dyn Fn(&Path, &Wait, &mut dyn FnMut()) -> PlotReport + Send + Sync>;

fn check_with(
    check: &Check,
    files: &[PathBuf],
    hangs_after: Duration,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(CheckEvent<'_>),
) -> io::Result<Vec<PlotCopy>> {
    let (done, reports) = sync_channel(REPORTS_WAITING);
    let mut collector = Collector {
        copies: Copies::default(),
        files: 0,
        all: files.len(),
        tell,
    };
    let (volumes, hung) = by_volume(files);
    collector.take_hung(&hung);
    let board = Arc::new(Board::new(volumes));
    for _ in 0..board.workers() {
        let worker = Worker {
            board: Arc::clone(&board),
            check: Arc::clone(check),
            stop: stop.clone(),
            done: done.clone(),
        };
        thread::Builder::new()
            .name("plot check".to_owned())
            .spawn(move || worker.run())?;
    }
    drop(done);
    collector.collect(&reports, &board, hangs_after, stop);
    Ok(collector.copies.into_list())
}

/// Files by the volume that they lie on, and those of drives that do not say so. What is gone is told by the check.
fn by_volume(files: &[PathBuf]) -> (BTreeMap<u64, VecDeque<PathBuf>>, Vec<PathBuf>) {
    let by_directory = files.chunk_by(|a, b| a.parent() == b.parent());
    let asked: Vec<_> = by_directory.map(<[PathBuf]>::to_vec).collect();
    let answers = patience::ask_each(asked.clone(), DRIVE_PATIENCE, |files, step| {
        let volume = |file: PathBuf| {
            step();
            (fs::metadata(&file).map_or(0, |metadata| metadata.dev()), file)
        };
        files.into_iter().map(volume).collect::<Vec<_>>()
    });
    let mut volumes: BTreeMap<u64, VecDeque<PathBuf>> = BTreeMap::new();
    let mut hung = Vec::new();
    for (files, answer) in asked.into_iter().zip(answers) {
        match answer {
            None => hung.extend(files),
            Some(found) => {
                for (volume, file) in found {
                    volumes.entry(volume).or_default().push_back(file);
                }
            }
        }
    }
    (volumes, hung)
}

/// Passes reports on.
struct Collector<'a> {
    copies: Copies,
    files: usize,
    all: usize,
    tell: &'a mut dyn FnMut(CheckEvent<'_>),
}

impl Collector<'_> {
    /// Until all files are told of, or all workers have ended.
    fn collect(
        &mut self,
        reports: &Receiver<PlotReport>,
        board: &Board,
        hangs_after: Duration,
        stop: &CancellationToken,
    ) {
        let mut patience = STOP_PATIENCE;
        while self.files < self.all {
            match reports.recv_timeout(TELL_EVERY) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if stop.is_cancelled() => {
                    patience = patience.saturating_sub(TELL_EVERY);
                    if patience.is_zero() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.take_hung(&board.give_up(hangs_after)),
            }
            (self.tell)(CheckEvent::Progress {
                files: self.files as u64,
                challenges: board.asked.load(Ordering::Relaxed),
            });
        }
    }

    fn take(&mut self, mut report: PlotReport) {
        report.duplicate_of = self.copies.handle_report(&report);
        self.files += 1;
        (self.tell)(CheckEvent::Done(&report));
    }

    fn take_hung(&mut self, files: &[PathBuf]) {
        files.iter().for_each(|file| self.take(PlotReport::hung(file)));
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
    running: BTreeMap<PathBuf, Arc<Wait>>,
}

/// A file that is to be checked.
struct Task {
    volume: usize,
    file: PathBuf,
    wait: Arc<Wait>,
}

impl Board {
    fn new(volumes: BTreeMap<u64, VecDeque<PathBuf>>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let volume = |waiting| Volume {
            waiting,
            running: BTreeMap::new(),
        };
        Self {
            lanes: cores.div_ceil(volumes.len().max(1)).min(MAX_LANES),
            volumes: Mutex::new(volumes.into_values().map(volume).collect()),
            freed: Condvar::new(),
            asked: AtomicU64::new(0),
        }
    }

    fn workers(&self) -> usize {
        let of = |volume: &Volume| volume.waiting.len().min(self.lanes);
        self.volumes().iter().map(of).sum::<usize>().min(MAX_WORKERS)
    }

    /// Waits for a file of a volume that has a lane free; none when all files are taken.
    fn take(&self) -> Option<Task> {
        let mut volumes = self.volumes();
        loop {
            if volumes.iter().all(|volume| volume.waiting.is_empty()) {
                return None;
            }
            for (number, volume) in volumes.iter_mut().enumerate() {
                if volume.running.len() < self.lanes
                    && let Some(file) = volume.waiting.pop_front()
                {
                    let wait = Arc::new(Wait::default());
                    volume.running.insert(file.clone(), Arc::clone(&wait));
                    return Some(Task {
                        volume: number,
                        file,
                        wait,
                    });
                }
            }
            volumes = self.freed.wait(volumes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A file is done; whether it was not given up meanwhile.
    fn give_back(&self, task: &Task) -> bool {
        let is_wanted = match self.volumes().get_mut(task.volume) {
            Some(volume) => volume.running.remove(&task.file).is_some(),
            None => false,
        };
        self.freed.notify_all();
        is_wanted
    }

    /// Gives up files that have waited for their drive for so long, and those that still are to be checked there.
    fn give_up(&self, hangs_after: Duration) -> Vec<PathBuf> {
        let mut hung = Vec::new();
        for volume in self.volumes().iter_mut() {
            let lasting = volume.running.iter().filter(|(_, wait)| wait.lasts(hangs_after));
            let lasting: Vec<_> = lasting.map(|(file, _)| file.clone()).collect();
            if !lasting.is_empty() {
                volume.running.retain(|file, _| !lasting.contains(file));
                hung.extend(lasting);
                hung.extend(volume.waiting.drain(..));
            }
        }
        self.freed.notify_all();
        hung
    }

    fn volumes(&self) -> MutexGuard<'_, Vec<Volume>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker {
    board: Arc<Board>,
    check: Check,
    stop: CancellationToken,
    done: SyncSender<PlotReport>,
}

impl Worker {
    fn run(self) {
        while !self.stop.is_cancelled()
            && let Some(task) = self.board.take()
        {
            let report = (self.check)(&task.file, &task.wait, &mut || {
                self.board.asked.fetch_add(1, Ordering::Relaxed);
            });
            if self.board.give_back(&task) && self.done.send(report).is_err() {
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

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_drive_that_hangs_is_given_up_and_one_thread_that_computes_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["computes", "hangs", "waits"].map(|name| dir.path().join(name));
        files.iter().for_each(|file| fs::write(file, "").unwrap());
        let (release, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        let hangs_after = Duration::from_millis(300);
        let check: Check = Arc::new(move |path, wait, _| {
            if path.ends_with("computes") {
                thread::sleep(hangs_after * 3);
            } else {
                let _ = wait.during(|| held.lock().unwrap().recv());
            }
            PlotReport {
                verdict: Verdict::Valid,
                ..PlotReport::new(path)
            }
        });
        let mut told = BTreeMap::new();
        check_with(&check, &files, hangs_after, &CancellationToken::new(), &mut |event| {
            if let CheckEvent::Done(report) = event {
                told.insert(report.path.clone(), (report.verdict, report.errors.concat()));
            }
        })
        .unwrap();
        let of = |file: &PathBuf| told[file].clone();
        assert_eq!(of(&files[0]), (Verdict::Valid, String::new()));
        for file in &files[1..] {
            let (verdict, said) = of(file);
            assert_eq!(verdict, Verdict::CannotOpen);
            assert!(said.contains("its drive has not answered"), "{said}");
        }
        drop(release);
    }
}
