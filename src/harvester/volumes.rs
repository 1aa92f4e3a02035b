//! The threads of each volume, that is of each file system with plots: they look plots up, help with the reads of
//! proofs, and stay for the next signage point.
//!
//! Volumes share nothing but processors, so none can starve another. A thread that hangs in the kernel is left alone and
//! replaced as far as [`MAX_THREADS`] goes; nobody ever waits for it, not at the end of the process either. What comes
//! first is decided here for the kinds of work (signatures, reads of proofs, look-ups), and in [`Queue`] among look-ups.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::health::Change;
use super::queue::{Lane, MAX_THREADS, Outcome, Queue, Record, Start, Tally};
use super::reader::{Batch, Gate};
use crate::clock::Mono;
use crate::logging::target::HARVESTER;
use crate::snapshot::VolumeState;
use crate::system_clock::Clock;

/// All volumes with plots.
#[derive(Debug)]
pub(super) struct Volumes {
    clock: Clock,
    /// Look-ups on one volume at the same time, whatever it holds.
    most_lanes: usize,
    gate: Arc<Gate>,
    volumes: Mutex<BTreeMap<u64, Arc<Volume>>>,
    reported: Mutex<BTreeMap<String, Instant>>,
    /// Whether a look-up found something else than the last refresh.
    is_surprised: Arc<AtomicBool>,
}

/// One volume.
pub(super) struct Volume {
    clock: Clock,
    gate: Arc<Gate>,
    is_surprised: Arc<AtomicBool>,
    work: Mutex<Work>,
    /// There is more work, or none ever again.
    more: Condvar,
}

/// A look-up of one plot.
pub(super) struct LookUp {
    /// Who does it.
    pub(super) asker: Arc<dyn Ask>,
    /// Its number of the plot.
    pub(super) plot: usize,
}

/// Looks plots up.
pub(super) trait Ask: Send + Sync {
    /// Looks up the plots with these numbers, and says of each how that went. Blocking.
    fn ask(&self, plots: &[usize], lane: &Lane, volume: &Arc<Volume>) -> Vec<Outcome>;
}

/// Something short that is to be done on a volume before anything else.
pub(super) type Errand = Box<dyn FnOnce() + Send>;

struct Work {
    /// What people call the volume.
    name: String,
    errands: VecDeque<Errand>,
    batches: VecDeque<Arc<Batch>>,
    look_ups: Queue<LookUp>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

enum Task {
    Errand(Errand),
    Help(Arc<Batch>),
    LookUp(Start<LookUp>),
}

/// A volume as it is to be shown.
#[derive(Clone, Debug, Default)]
pub(super) struct VolumeReport {
    /// What it is doing.
    pub(super) state: VolumeState,
    /// What it has done.
    pub(super) record: Record,
    /// Median and 95th percentile of the last look-ups, microseconds.
    pub(super) percentiles: (u64, u64),
    /// Look-ups running.
    pub(super) busy: usize,
}

impl Volumes {
    /// `threads`: look-ups at the same time on one volume, at most. `processors`: how many may compute at the same time
    /// for plots that take much computing.
    pub(super) fn new(threads: usize, processors: usize, clock: Clock) -> Self {
        Self {
            clock,
            most_lanes: threads.clamp(1, MAX_THREADS),
            gate: Arc::new(Gate::new(processors)),
            volumes: Mutex::default(),
            reported: Mutex::default(),
            is_surprised: Arc::default(),
        }
    }

    /// Learns how a volume is called and how many plots it holds.
    pub(super) fn describe(&self, volume: u64, name: &str, plots: u64) {
        let volume = self.volume(volume);
        let mut work = volume.work();
        name.clone_into(&mut work.name);
        let lanes = usize::try_from(plots / PLOTS_PER_LANE).unwrap_or(MAX_THREADS);
        work.look_ups.set_lanes(lanes.max(LEAST_LANES).min(self.most_lanes));
    }

    /// Has the plots of one volume looked up for a signage point.
    pub(super) fn look_up(&self, volume: u64, tally: &Arc<Tally>, look_ups: Vec<LookUp>) {
        let volume = self.volume(volume);
        let mut work = volume.work();
        let change = work.look_ups.add(self.clock.now(), tally, look_ups);
        volume.tell(&work, change);
        volume.wake(work);
    }

    /// Has something short done on the volume, before anything else.
    pub(super) fn run(&self, volume: u64, errand: Errand) {
        let volume = self.volume(volume);
        let mut work = volume.work();
        work.errands.push_back(errand);
        volume.wake(work);
    }

    /// Notices what has been waiting for too long; when to do that again if nothing else happens.
    pub(super) fn handle_timeouts(&self) -> Option<Mono> {
        let volumes: Vec<_> = lock(&self.volumes).values().cloned().collect();
        let timeouts = volumes.iter().filter_map(|volume| {
            let mut work = volume.work();
            let change = work.look_ups.handle_timeout(self.clock.now());
            volume.tell(&work, change);
            let timeout = work.look_ups.poll_timeout();
            // Threads that hang may be replaced now.
            volume.wake(work);
            timeout
        });
        timeouts.min()
    }

    /// A volume as it is to be shown, unless it is unknown.
    pub(super) fn report(&self, volume: u64) -> Option<VolumeReport> {
        let volume = lock(&self.volumes).get(&volume).cloned()?;
        let work = volume.work();
        Some(VolumeReport {
            state: work.look_ups.state(self.clock.mono()),
            record: work.look_ups.record().clone(),
            percentiles: work.look_ups.percentiles(),
            busy: work.look_ups.busy(),
        })
    }

    /// Volumes that give no look-up an answer.
    pub(super) fn sick(&self) -> BTreeSet<u64> {
        let volumes: Vec<_> = lock(&self.volumes)
            .iter()
            .map(|(number, volume)| (*number, Arc::clone(volume)))
            .collect();
        let is_sick = |volume: &Volume| {
            matches!(
                volume.work().look_ups.state(self.clock.mono()),
                VolumeState::Sick { .. }
            )
        };
        let sick = volumes.into_iter().filter(|(_, volume)| is_sick(volume));
        sick.map(|(number, _)| number).collect()
    }

    /// A look-up could not use a file that the last refresh could.
    pub(super) fn handle_surprise(&self) {
        self.is_surprised.store(true, Ordering::Relaxed);
    }

    /// Whether that happened since it was asked last.
    pub(super) fn take_surprise(&self) -> bool {
        self.is_surprised.swap(false, Ordering::Relaxed)
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

    fn volume(&self, number: u64) -> Arc<Volume> {
        let new = || {
            Arc::new(Volume {
                clock: self.clock,
                gate: Arc::clone(&self.gate),
                is_surprised: Arc::clone(&self.is_surprised),
                work: Mutex::new(Work {
                    name: format!("volume {number}"),
                    errands: VecDeque::new(),
                    batches: VecDeque::new(),
                    look_ups: Queue::new(LEAST_LANES.min(self.most_lanes)),
                    threads: 0,
                    idle: 0,
                    is_closed: false,
                }),
                more: Condvar::new(),
            })
        };
        Arc::clone(lock(&self.volumes).entry(number).or_insert_with(new))
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for volume in lock(&self.volumes).values() {
            volume.work().is_closed = true;
            volume.more.notify_all();
        }
    }
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let work = self.work();
        f.debug_struct("Volume")
            .field("name", &work.name)
            .field("threads", &work.threads)
            .field("busy", &work.look_ups.busy())
            .finish_non_exhaustive()
    }
}

impl Volume {
    /// Monotonic time.
    pub(super) fn now(&self) -> Mono {
        self.clock.mono()
    }

    /// Where look-ups that mostly compute wait for a processor.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Lets other threads of the volume help with a batch.
    pub(super) fn share(self: &Arc<Self>, batch: &Arc<Batch>) {
        let mut work = self.work();
        work.batches.push_back(Arc::clone(batch));
        self.wake(work);
    }

    /// Wakes or starts as many threads as there is work for.
    fn wake(self: &Arc<Self>, mut work: MutexGuard<'_, Work>) {
        let reads: usize = work.batches.iter().map(|batch| batch.unclaimed()).sum();
        let wanted = work.errands.len() + reads + work.look_ups.ready();
        let woken = wanted.min(work.idle);
        for _ in work.idle..wanted {
            if work.threads >= MAX_THREADS {
                break;
            }
            let volume = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("look-up".to_owned())
                .spawn(move || volume.work_on());
            if let Err(error) = spawned {
                tracing::error!(target: HARVESTER, "start a look-up thread for {}: {error}", work.name);
                break;
            }
            work.threads += 1;
        }
        // They all want what is held here.
        drop(work);
        for _ in 0..woken {
            self.more.notify_one();
        }
    }

    /// What a thread does until it has had nothing to do for a while.
    fn work_on(self: Arc<Self>) {
        while let Some(task) = self.next_task() {
            match task {
                Task::Errand(errand) => {
                    if catch_unwind(AssertUnwindSafe(errand)).is_err() {
                        self.tell_panic();
                    }
                }
                Task::Help(batch) => while batch.help() {},
                Task::LookUp(Start { id, jobs, lane }) => {
                    let plots: Vec<usize> = jobs.iter().map(|job| job.plot).collect();
                    // All are of one signage point.
                    let ask = |plots: &[usize]| {
                        let ask = || jobs.first().map(|job| job.asker.ask(plots, &lane, &self));
                        catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| {
                            self.tell_panic();
                            None
                        })
                    };
                    // If one of several makes it panic, the others are asked without that one.
                    let alone = |plot: &usize| {
                        let panicked = || vec![Outcome::PlotFailed("the look-up panicked".to_owned())];
                        ask(&[*plot]).unwrap_or_else(panicked)
                    };
                    let outcomes = match plots.len() {
                        1 => None,
                        _ => ask(&plots),
                    };
                    let outcomes = outcomes.unwrap_or_else(|| plots.iter().flat_map(alone).collect());
                    let mut work = self.work();
                    let change = work.look_ups.handle_end(self.clock.now(), id, &outcomes);
                    self.tell(&work, change);
                }
            }
        }
    }

    fn next_task(&self) -> Option<Task> {
        let mut work = self.work();
        loop {
            if work.is_closed {
                break;
            }
            if let Some(errand) = work.errands.pop_front() {
                return Some(Task::Errand(errand));
            }
            work.batches.retain(|batch| batch.unclaimed() > 0);
            if let Some(batch) = work.batches.front() {
                return Some(Task::Help(Arc::clone(batch)));
            }
            if let Some(start) = work.look_ups.next(self.clock.mono()) {
                return Some(Task::LookUp(start));
            }
            work.idle += 1;
            let waited = self.more.wait_timeout(work, IDLE_FOR);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            work = woken;
            work.idle -= 1;
            if timeout.timed_out() && work.errands.is_empty() && work.batches.is_empty() && work.look_ups.ready() == 0 {
                break;
            }
        }
        work.threads -= 1;
        None
    }

    fn tell(&self, work: &Work, change: Option<Change>) {
        let name = &work.name;
        let why = || work.look_ups.record().last_error.clone().unwrap_or_default();
        if matches!(change, Some(Change::Hangs | Change::Fails)) {
            // Some of its plots may be had elsewhere.
            self.is_surprised.store(true, Ordering::Relaxed);
        }
        match change {
            Some(Change::Hangs) => tracing::error!(
                target: HARVESTER,
                "the disk {name} hangs: reads of it do not come back. Its plots are left out until it answers; the others are farmed as before"
            ),
            Some(Change::Fails) => tracing::error!(
                target: HARVESTER,
                "the disk {name} fails: {}. Its plots are left out until it can be read; the others are farmed as before",
                why()
            ),
            Some(Change::IsBack(after)) => tracing::warn!(
                target: HARVESTER,
                "the disk {name} answers again after {} s; its plots are farmed again", after.as_secs()
            ),
            None => {}
        }
    }

    fn tell_panic(&self) {
        tracing::error!(target: HARVESTER, "work on the disk {} panicked; this is a bug of farmconsole", self.work().name);
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk with heads does a few look-ups at once hardly faster than one, and a solid-state disk does four faster than
/// one signage point needs them.
const LEAST_LANES: usize = 4;

/// A volume with more plots is more than one disk.
const PLOTS_PER_LANE: u64 = 100;

/// A thread without work ends after this time: the next signage point comes sooner.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// The same trouble with the same plot is told once in this time.
const REPORT_EVERY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use tokio_util::sync::CancellationToken;

    use super::*;

    fn tally(clock: Clock, plots: usize) -> Arc<Tally> {
        let tally = Tally::new(clock.mono(), CancellationToken::new());
        tally.expect(plots);
        Arc::new(tally)
    }

    /// Does the same with each plot.
    struct Asker<F>(F);

    impl<F: Fn() -> Outcome + Send + Sync> Ask for Asker<F> {
        fn ask(&self, plots: &[usize], _: &Lane, _: &Arc<Volume>) -> Vec<Outcome> {
            plots.iter().map(|_| self.0()).collect()
        }
    }

    fn look_up(ask: impl Fn() -> Outcome + Send + Sync + 'static) -> LookUp {
        LookUp {
            asker: Arc::new(Asker(ask)),
            plot: 0,
        }
    }

    /// A look-up that says that it has begun and ends when the sender is dropped.
    fn hanging() -> (mpsc::Receiver<()>, mpsc::SyncSender<()>, LookUp) {
        let (begin, begun) = mpsc::sync_channel(1);
        let (hold, held) = mpsc::sync_channel::<()>(0);
        let held = Mutex::new(held);
        let look_up = look_up(move || {
            begin.send(()).unwrap();
            // It ends with an error, when the sender is dropped.
            let _ = held.lock().unwrap().recv();
            Outcome::Done
        });
        (begun, hold, look_up)
    }

    #[tokio::test]
    async fn a_volume_that_hangs_keeps_neither_others_nor_signatures_waiting() {
        let clock = Clock::start();
        let volumes = Volumes::new(4, 1, clock);
        let (mut begun, mut held, mut look_ups) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..4 {
            let (begin, hold, look_up) = hanging();
            begun.push(begin);
            held.push(hold);
            look_ups.push(look_up);
        }
        let hung = tally(clock, 4);
        volumes.look_up(1, &hung, look_ups);
        begun.iter().for_each(|begun| begun.recv().unwrap());
        assert_eq!(volumes.report(1).map(|report| report.busy), Some(4));

        let healthy = tally(clock, 100);
        let quick = |_: usize| look_up(|| Outcome::Done);
        volumes.look_up(2, &healthy, (0..100).map(quick).collect());
        healthy.none_left().await;
        assert_eq!((healthy.missed(), hung.left()), (0, 4));
        let (sign, signed) = mpsc::sync_channel(1);
        volumes.run(1, Box::new(move || sign.send(()).unwrap()));
        signed.recv().unwrap();

        drop(held);
        hung.none_left().await;
        assert_eq!(hung.missed(), 0);
        let lookups = [1, 2].map(|volume| volumes.report(volume).unwrap().record.lookups);
        assert_eq!(lookups, [4, 100]);
    }

    #[tokio::test]
    async fn a_volume_that_falls_sick_is_named_and_calls_for_a_refresh_once() {
        let clock = Clock::start();
        let volumes = Volumes::new(1, 1, clock);
        for (number, fails) in [(1, true), (2, false), (1, true)] {
            let tally = tally(clock, 3);
            let outcome = move || match fails {
                true => Outcome::VolumeFailed("no such device".to_owned()),
                false => Outcome::Done,
            };
            volumes.look_up(number, &tally, (0..3).map(|_| look_up(outcome)).collect());
            tally.none_left().await;
            // The last outcome is noted a moment after the tally.
            while volumes.report(number).is_some_and(|it| it.busy > 0) {
                thread::yield_now();
            }
            assert_eq!(volumes.sick(), [1].into());
        }
        assert!(volumes.take_surprise() && !volumes.take_surprise());
    }

    #[tokio::test]
    async fn a_look_up_that_panics_is_a_failure_of_its_plot() {
        let clock = Clock::start();
        let volumes = Volumes::new(1, 1, clock);
        let tally = tally(clock, 2);
        let look_ups = vec![look_up(|| panic!("a bug")), look_up(|| Outcome::Done)];
        volumes.look_up(1, &tally, look_ups);
        tally.none_left().await;
        let record = volumes.report(1).unwrap().record;
        assert_eq!((record.lookups, record.errors), (2, 1));
        assert_eq!(record.last_error.as_deref(), Some("the look-up panicked"));
    }

    /// Panics whenever it is asked of plot 3, and keeps the size of the largest group it was asked of.
    struct Fragile(AtomicUsize);

    impl Ask for Fragile {
        fn ask(&self, plots: &[usize], _lane: &Lane, _volume: &Arc<Volume>) -> Vec<Outcome> {
            self.0.fetch_max(plots.len(), Ordering::Relaxed);
            assert!(!plots.contains(&3), "a bug");
            vec![Outcome::Done; plots.len()]
        }
    }

    #[tokio::test]
    async fn of_plots_that_are_asked_together_only_the_one_that_panics_fails() {
        let clock = Clock::start();
        let volumes = Volumes::new(1, 1, clock);
        let fragile = Arc::new(Fragile(AtomicUsize::new(0)));
        let mut rounds = 0;
        // It depends on how quick the last ones were whether they are asked together.
        while fragile.0.load(Ordering::Relaxed) < 2 {
            rounds += 1;
            assert!(rounds <= 1_000, "they were never asked together");
            let tally = tally(clock, 32);
            let look_up = |plot| LookUp {
                asker: Arc::clone(&fragile) as Arc<dyn Ask>,
                plot,
            };
            volumes.look_up(1, &tally, (0..32).map(look_up).collect());
            tally.none_left().await;
            let record = volumes.report(1).unwrap().record;
            assert_eq!((record.lookups, record.errors), (32 * rounds, rounds));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_trouble_is_told_once_in_a_while() {
        let volumes = Volumes::new(1, 1, Clock::start());
        let start = Instant::now();
        assert!(volumes.may_report("/p/a.plot", start));
        assert!(volumes.may_report("/p/b.plot", start));
        assert!(!volumes.may_report("/p/a.plot", start + Duration::from_secs(599)));
        assert!(volumes.may_report("/p/a.plot", start + Duration::from_secs(600)));
    }
}
