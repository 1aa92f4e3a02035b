//! Refreshes on threads of their own, whose findings anybody can see and nobody has to wait for.
//!
//! Each lane, a plot directory or a drive mounted below one, has a thread while it is looked at, and a volume is read for
//! one lane at a time. Whoever holds the [`Inventory`] touches no disk meanwhile. When all files are opened the plots are
//! farmed; then the keys of new ones are worked out, and the farmer is told of them. A refresh is over when all lanes are
//! done, or when those that are not have made no progress for a while: a disk that hangs keeps its own thread,
//! its plots stay what they were, and later refreshes leave it out until it is back.

mod keys;
mod own_files;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use keys::{KeyWorks, MAX_THREADS, Read};
use own_files::OwnFiles;
pub(super) use own_files::ScannerFiles;
use progress::{Progress, Watch};
use tokio::sync::watch;
use tokio::time::Instant;

use super::findings::Findings;
use super::inventory::{Due, Inventory, Listing, Rules};
use super::mounts::Mounts;
use super::plot::{LoadedPlot, OpenError};
use super::scan::{Disks, Look, ScanOptions, cannot_list};
use crate::crypto::derive::KEYS_TOGETHER;
use crate::system_clock::Clock;
use crate::wire::HarvesterHandshake;

/// Starts refreshes.
#[derive(Debug)]
pub(super) struct Scanner {
    shared: Arc<Shared>,
    /// Held by a refresh.
    busy: Arc<tokio::sync::Mutex<()>>,
}

/// Why no refresh was started.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    /// The last one has not ended.
    #[error("the last one has not ended")]
    StillBusy,
    /// The system gives no thread.
    #[error("start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    look: Box<dyn Look>,
    clock: Clock,
    files: Mutex<OwnFiles>,
    state: Mutex<State>,
    /// A lane has ended, or has opened all its files.
    moved: Condvar,
    gates: Mutex<BTreeMap<u64, Arc<Gate>>>,
    /// Held by the one lane that works keys out: it uses all processors.
    processors: Mutex<()>,
    newest: watch::Sender<Arc<Findings>>,
}

#[derive(Debug, Default)]
struct State {
    inventory: Inventory,
    /// Directories of the settings by where they are.
    roots: BTreeMap<PathBuf, Arc<Path>>,
    /// What was mounted when that could last be told.
    mounts: Mounts,
    /// Lanes with a thread, also of refreshes that are over.
    busy: BTreeSet<Arc<Path>>,
    is_refreshing: bool,
}

/// Held by the one lane that reads files of a volume.
type Gate = Mutex<()>;

/// One refresh.
#[derive(Debug)]
struct Round {
    options: ScanOptions,
    keys: Arc<HarvesterHandshake>,
    mounts: Mounts,
    now: std::time::Instant,
    now_unix_ms: u64,
    started: Instant,
    lanes: Mutex<BTreeMap<Arc<Path>, Arc<Progress>>>,
}

/// Why findings are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// All files are opened: plots can be looked up, and their keys follow.
    AllOpen,
    /// There are more of them.
    More,
    /// The refresh, or a lane that was late, is over.
    Over,
}

impl Scanner {
    /// A scanner that has found nothing yet.
    pub(super) fn new(files: ScannerFiles, clock: Clock) -> Self {
        Self::with(files, clock, Box::new(Disks))
    }

    /// A scanner that looks at disks with `look`.
    pub(super) fn with(files: ScannerFiles, clock: Clock, look: Box<dyn Look>) -> Self {
        let (newest, _) = watch::channel(Arc::default());
        let shared = Shared {
            look,
            clock,
            files: Mutex::new(OwnFiles::new(files)),
            state: Mutex::default(),
            moved: Condvar::new(),
            gates: Mutex::default(),
            processors: Mutex::default(),
            newest,
        };
        Self {
            shared: Arc::new(shared),
            busy: Arc::default(),
        }
    }

    /// The newest findings, and news of newer ones.
    pub(super) fn findings(&self) -> watch::Receiver<Arc<Findings>> {
        self.shared.newest.subscribe()
    }

    /// Starts a refresh, unless one is running. Settings that cannot be read again, or nowhere, are `options`.
    ///
    /// # Errors
    /// [`NotStarted`]; trying again later does no harm.
    pub(super) fn start(&self, options: ScanOptions, keys: Arc<HarvesterHandshake>) -> Result<(), NotStarted> {
        let busy = Arc::clone(&self.busy)
            .try_lock_owned()
            .map_err(|_| NotStarted::StillBusy)?;
        let shared = Arc::clone(&self.shared);
        let now = Instant::now().into_std();
        thread::Builder::new().name("plot refresh".to_owned()).spawn(move || {
            shared.refresh(options, &keys, now, || drop(busy));
        })?;
        Ok(())
    }

    /// These volumes give no look-up an answer, as the next refresh is to know.
    pub(super) fn set_sick(&self, volumes: BTreeSet<u64>) {
        self.shared.state().inventory.set_sick(volumes);
    }

    /// Refreshes in this thread; `now` is what files that cannot be opened are tried again by.
    #[cfg(test)]
    pub(super) fn refresh(
        &self,
        options: &ScanOptions,
        keys: &HarvesterHandshake,
        now: std::time::Instant,
    ) -> Arc<Findings> {
        self.shared
            .refresh(options.clone(), &Arc::new(keys.clone()), now, || ());
        Arc::clone(&self.shared.newest.borrow())
    }

    /// Keeps refreshes from beginning; `None` while one is running.
    #[cfg(test)]
    pub(super) fn hang(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        Arc::clone(&self.busy).try_lock_owned().ok()
    }
}

impl Shared {
    /// One refresh from beginning to end. `over` is called before the last findings are published: whoever sees them may
    /// start the next one.
    fn refresh(
        self: &Arc<Self>,
        options: ScanOptions,
        keys: &Arc<HarvesterHandshake>,
        now: std::time::Instant,
        over: impl FnOnce(),
    ) {
        let options = lock(&self.files).newest_options(options);
        let cached = lock(&self.files).load_cache();
        let started = Instant::now();
        let mut state = self.state();
        state.is_refreshing = true;
        if let Some(cached) = cached {
            state.inventory.set_cached(cached);
        }
        state.inventory.begin(keys);
        drop(state);
        let mut round = self.round(&options, keys, now, started);
        if self.state().inventory.has_heirs() {
            // What is gone from one lane may be had from another that was done before.
            round = self.round(&options, keys, now, started);
        }
        self.state().is_refreshing = false;
        self.save_cache();
        over();
        self.publish(&round, News::Over);
    }

    /// Looks at all directories once.
    fn round(
        self: &Arc<Self>,
        options: &ScanOptions,
        keys: &Arc<HarvesterHandshake>,
        now: std::time::Instant,
        started: Instant,
    ) -> Arc<Round> {
        if let Some(mounts) = Mounts::read() {
            self.state().mounts = mounts;
        }
        let round = Arc::new(Round {
            options: options.clone(),
            keys: Arc::clone(keys),
            mounts: self.state().mounts.clone(),
            now,
            now_unix_ms: self.clock.now().unix.0,
            started,
            lanes: Mutex::default(),
        });
        for directory in &options.directories {
            self.start_root(&round, directory);
        }
        self.wait(&round);
        let seen = lock(&round.lanes).keys().cloned().collect();
        let mut state = self.state();
        state
            .roots
            .retain(|directory, _| options.directories.contains(directory));
        state.inventory.end(&seen, &round.mounts);
        round
    }

    /// Starts the lane of a directory of the settings.
    fn start_root(self: &Arc<Self>, round: &Arc<Round>, directory: &Path) {
        // Where it was when it could last be told: a disk that hangs would not say.
        let known = self.state().roots.get(directory).cloned();
        let lane = known.unwrap_or_else(|| directory.into());
        let (shared, directory) = (Arc::clone(self), directory.to_owned());
        self.start_lane(round, &lane, move |round, lane, progress| {
            match shared.look.resolve(&directory) {
                Ok(resolved) => {
                    let resolved: Arc<Path> = resolved.into();
                    shared.state().roots.insert(directory, Arc::clone(&resolved));
                    if resolved == *lane {
                        shared.scan(round, lane, None, progress);
                    } else {
                        let scanning = Arc::clone(&shared);
                        shared.start_lane(round, &resolved, move |round, lane, progress| {
                            scanning.scan(round, lane, None, progress);
                        });
                    }
                }
                Err(error) => {
                    let troubles = BTreeMap::from([(lane.to_path_buf(), cannot_list(&error))]);
                    let listing = Listing {
                        troubles,
                        ..Listing::default()
                    };
                    shared
                        .state()
                        .inventory
                        .take_listing(lane, None, listing, &round.rules());
                }
            }
        });
    }

    /// Runs `work` on a thread, unless one works for this lane.
    fn start_lane(
        self: &Arc<Self>,
        round: &Arc<Round>,
        lane: &Arc<Path>,
        work: impl FnOnce(&Arc<Round>, &Arc<Path>, &Progress) + Send + 'static,
    ) {
        let progress = Arc::new(Progress::default());
        if lock(&round.lanes).contains_key(lane) {
            return;
        }
        lock(&round.lanes).insert(Arc::clone(lane), Arc::clone(&progress));
        if !self.state().busy.insert(Arc::clone(lane)) {
            // Its thread has been at it since an earlier refresh.
            progress.has_ended.store(true, Ordering::Release);
            return;
        }
        let ending = Ending {
            shared: Arc::clone(self),
            round: Arc::clone(round),
            lane: Arc::clone(lane),
            progress,
        };
        let spawned = thread::Builder::new().name("plot scan".to_owned()).spawn(move || {
            work(&ending.round, &ending.lane, &ending.progress);
        });
        if let Err(error) = spawned {
            let reason = format!("this plot directory is not looked at: start a thread: {error}");
            self.state().inventory.set_stalled(lane, Some(reason));
        }
    }

    /// Lists the directory of a lane and opens what has to be opened.
    fn scan(self: &Arc<Self>, round: &Arc<Round>, lane: &Arc<Path>, parent: Option<&Arc<Path>>, progress: &Progress) {
        let options = &round.options;
        let mut leave_out: BTreeSet<PathBuf> = options.directories.iter().cloned().collect();
        leave_out.extend(self.state().roots.values().map(|root| root.to_path_buf()));
        let seen = || {
            progress.listed.fetch_add(1, Ordering::Relaxed);
        };
        let listing = self.look.list(lane, options, &round.mounts, &leave_out, &seen);
        for mount in &listing.mounts {
            let (shared, parent) = (Arc::clone(self), Arc::clone(lane));
            self.start_lane(round, &mount.as_path().into(), move |round, lane, progress| {
                shared.scan(round, lane, Some(&parent), progress);
            });
        }
        let due = self
            .state()
            .inventory
            .take_listing(lane, parent, listing, &round.rules());
        progress.due.store(due.len() as u64, Ordering::Relaxed);
        for volume in due.chunk_by(|a, b| a.found.volume == b.found.volume) {
            let gate = self.gate(volume[0].found.volume);
            for batch in volume.chunks(options.batch_files()) {
                let only_lane = lock(&gate);
                let open = |due: &Due| {
                    let opened = self.look.open(due, &round.keys, options.max_compression_level);
                    progress.opened.fetch_add(1, Ordering::Relaxed);
                    opened.and_then(|plot| plot.for_network(options.plot_size_v2))
                };
                let opened: Vec<_> = batch.iter().map(open).collect();
                drop(only_lane);
                for (due, opened) in batch.iter().zip(opened) {
                    let opened = opened.and_then(|plot| self.checked(plot));
                    self.state().inventory.take_opened(lane, due, opened, &round.rules());
                }
                thread::sleep(options.batch_sleep);
            }
        }
        progress.is_open.store(true, Ordering::Release);
        self.moved.notify_all();
        self.find_keys(round, lane, progress);
    }

    /// A plot that is farmed from another file is called a copy of it, so it must be the plot that its header says.
    fn checked(&self, plot: LoadedPlot) -> Result<LoadedPlot, OpenError> {
        let has_another_file = self.state().inventory.has_another_file(&plot);
        if has_another_file {
            plot.own_keys()?;
        }
        Ok(plot)
    }

    /// Works out the keys of the plots of a lane that are farmed without. While those of one batch are worked out, the next
    /// is read.
    fn find_keys(&self, round: &Round, lane: &Arc<Path>, progress: &Progress) {
        let plots = self.state().inventory.without_keys(lane);
        let works = KeyWorks::new(plots.len());
        let mut batches = plots
            .chunk_by(|a, b| a.volume() == b.volume())
            .flat_map(|volume| volume.chunks(KEYS_AT_ONCE));
        let Some(mut batch) = batches.next() else { return };
        let mut memos = self.read_memos(batch, progress);
        let mut since_pause = 0;
        loop {
            let next = batches.next();
            let read = thread::scope(|scope| {
                let reading = next.and_then(|next| {
                    let read = || self.read_memos(next, progress);
                    thread::Builder::new().spawn_scoped(scope, read).ok()
                });
                progress.is_computing.store(true, Ordering::Relaxed);
                let failed = {
                    let _processors = lock(&self.processors);
                    works.work_out_keys(memos)
                };
                progress.is_computing.store(false, Ordering::Relaxed);
                let mut state = self.state();
                state.inventory.take_keys();
                for (plot, error) in failed {
                    state.inventory.take_no_keys(lane, &plot, error, round.now);
                }
                drop(state);
                reading.map(|reading| reading.join().unwrap_or_else(|panic| resume_unwind(panic)))
            });
            since_pause += batch.len();
            if since_pause >= round.options.batch_files() {
                since_pause = 0;
                thread::sleep(round.options.batch_sleep);
            }
            let Some(next) = next else { return };
            memos = read.unwrap_or_else(|| self.read_memos(next, progress));
            batch = next;
        }
    }

    /// Reads what the keys of these plots are worked out of, one after another.
    fn read_memos(&self, batch: &[Arc<LoadedPlot>], progress: &Progress) -> Vec<Read> {
        let gate = self.gate(batch[0].volume());
        let _only_lane = lock(&gate);
        let read = |plot: &Arc<LoadedPlot>| {
            let memo = self.look.memo(plot);
            progress.keyed.fetch_add(1, Ordering::Relaxed);
            (Arc::clone(plot), memo)
        };
        batch.iter().map(read).collect()
    }

    fn gate(&self, volume: u64) -> Arc<Gate> {
        Arc::clone(lock(&self.gates).entry(volume).or_default())
    }

    /// Waits until all lanes of a round have ended or make no progress.
    fn wait(&self, round: &Round) {
        let mut last_told = round.started;
        let mut watch = Watch::default();
        let mut is_open_told = false;
        loop {
            let seen = watch.look(&lock(&round.lanes), |lane, silent_for| {
                self.look.hangs(lane, silent_for)
            });
            if seen.is_over {
                for (lane, silent_for) in seen.stalled {
                    let seconds = silent_for.as_secs();
                    let reason = format!(
                        "this plot directory has not answered for {seconds} s: its plots stay as they were, until it does"
                    );
                    self.state().inventory.set_stalled(&lane, Some(reason));
                }
                return;
            }
            // All are looked up from here on, before their keys are known.
            let is_news = seen.is_all_open && !std::mem::replace(&mut is_open_told, seen.is_all_open);
            if last_told.elapsed() >= TELL_EVERY {
                last_told = Instant::now();
                self.publish(round, News::More);
            } else if is_news {
                self.publish(round, News::AllOpen);
            }
            let waited = self.moved.wait_timeout(self.state(), LOOK_EVERY);
            drop(waited);
        }
    }

    /// Makes the findings known. Copies all names, so it is not done often.
    fn publish(&self, round: &Round, news: News) {
        let (mut done, mut total) = (0, 0);
        for progress in lock(&round.lanes).values() {
            done += progress.opened.load(Ordering::Relaxed);
            total += progress.due.load(Ordering::Relaxed);
        }
        let state = self.state();
        let mut found = Findings::of(&state.inventory, round.started.elapsed(), (done, total));
        found.finished = news == News::Over;
        found.is_for_farmer = news != News::AllOpen;
        found.settings_trouble = lock(&self.files).settings_trouble().cloned();
        self.newest.send_modify(|newest| {
            found.revision = newest.revision + 1;
            *newest = Arc::new(found);
        });
    }

    /// Writes what is known of plots, if that has changed.
    fn save_cache(&self) {
        let now_unix_s = self.clock.now().unix.seconds();
        let bytes = lock(&self.files).unsaved_cache(&self.state().inventory, now_unix_s);
        if let Some(bytes) = bytes {
            lock(&self.files).save_cache(&bytes);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Round {
    fn rules(&self) -> Rules<'_> {
        Rules {
            keys: &self.keys,
            max_compression_level: self.options.max_compression_level,
            retry_invalid: self.options.retry_invalid,
            mounts: &self.mounts,
            now: self.now,
            now_unix_ms: self.now_unix_ms,
        }
    }
}

/// The end of a lane's thread, also by a panic.
struct Ending {
    shared: Arc<Shared>,
    round: Arc<Round>,
    lane: Arc<Path>,
    progress: Arc<Progress>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.busy.remove(&self.lane);
        self.progress.has_ended.store(true, Ordering::Release);
        let is_late = !state.is_refreshing;
        if is_late {
            state.inventory.set_stalled(&self.lane, None);
        }
        drop(state);
        if is_late {
            // Nobody waits for it: what it found is told at once.
            self.shared.publish(&self.round, News::Over);
        }
        self.shared.moved.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// During a long refresh plots are farmed before its end; a list of 100,000 is not made anew more often than this.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How often a refresh looks whether its lanes make progress.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Plots whose memos, with their secrets, are in memory at the same time for each lane: enough to keep all threads busy.
const KEYS_AT_ONCE: usize = 2 * MAX_THREADS * KEYS_TOGETHER;
