//! Answering one signage point: filter, look qualities up, fetch the proofs that are good enough.
//!
//! Plots of one volume are looked up by a few threads side by side ([`Volumes`]), proofs are sent as they are found, and
//! the answer goes out when all plots are done, or after [`ABANDON_AFTER`] without those that were not. A disk that
//! hangs keeps its own few threads and nothing else: after that time the others have the rest to themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::findings::Plots;
use super::plot::LoadedPlot;
use super::prove::{may_answer, proofs_of};
use super::status::StatusHandle;
use super::volumes::{Lane, Volumes};

use crate::logging::target::HARVESTER;
use crate::net::WithId;
use crate::pos::Constants;
use crate::runtime::Clock;
use crate::snapshot::LookupView;
use crate::wire::{FarmingInfo, FromHarvester, NewSignagePointHarvester};

/// A look-up that takes longer is worth a warning: the official software warns at the same time.
pub const WARN_AFTER: Duration = Duration::from_secs(8);

/// After this time a proof is of no use to anybody: plots that were not yet looked at are left out.
pub const ABANDON_AFTER: Duration = Duration::from_secs(25);

/// What is the same for all signage points of a connection.
#[derive(Clone, Debug)]
pub(super) struct LookupContext {
    /// Constants of the network.
    pub(super) constants: Arc<Constants>,
    /// Threads to look up with.
    pub(super) volumes: Arc<Volumes>,
    /// Time for the answer.
    pub(super) clock: Clock,
    /// Where it is written down.
    pub(super) status: StatusHandle,
    /// Where answers go.
    pub(super) answers: mpsc::Sender<WithId<FromHarvester>>,
}

/// Looks `plots` up for one signage point and sends proofs and the answer. `stop` ends it early; plots that are not
/// looked up by then are left out.
pub(super) async fn answer(
    context: LookupContext,
    signage_point: Arc<NewSignagePointHarvester>,
    plots: Arc<Plots>,
    stop: CancellationToken,
) {
    let (started, came) = (Instant::now(), context.clock.now());
    let deadline = started + ABANDON_AFTER;
    let total = plots.len();
    let (constants, point) = (Arc::clone(&context.constants), Arc::clone(&signage_point));
    // It takes 10 ms for 100,000 plots.
    let eligible = tokio::task::spawn_blocking(move || eligible(&constants, &point, &plots)).await;
    // It fails only while the process ends.
    let eligible = eligible.unwrap_or_default();
    let passed = eligible.len();
    let (found_here, mut found) = mpsc::channel(PROOFS_WAITING);
    let mut by_volume: BTreeMap<u64, Vec<Arc<LoadedPlot>>> = BTreeMap::new();
    for plot in eligible {
        by_volume.entry(plot.volume()).or_default().push(plot);
    }
    let unfinished = Arc::new(AtomicUsize::new(passed));
    for (volume, plots) in by_volume {
        let work = Work {
            constants: Arc::clone(&context.constants),
            signage_point: Arc::clone(&signage_point),
            waiting: Mutex::new(plots),
            unfinished: Arc::clone(&unfinished),
            found: found_here.clone(),
            volumes: Arc::clone(&context.volumes),
            started,
            stop: stop.clone(),
        };
        Arc::new(work).start(volume, deadline);
    }
    drop(found_here);

    let (mut proofs, mut partials) = (0_u32, 0_u32);
    loop {
        // All senders are gone when the last thread is done.
        let next = tokio::select! {
            next = found.recv() => next,
            () = sleep_until(deadline) => None,
            () = stop.cancelled() => None,
        };
        let Some(message) = next else { break };
        let in_message = match &message {
            FromHarvester::PartialProofs(message) => count(message.partial_proofs.len()),
            _ => 0,
        };
        // Without a farmer the look-up is stopped elsewhere.
        if context.answers.send((message, None)).await.is_ok() {
            partials += in_message;
            proofs += in_message.max(1);
            context.status.add_proof();
        }
    }
    stop.cancel();
    let unfinished = unfinished.load(Ordering::Relaxed);
    if unfinished > 0 {
        tracing::warn!(
            target: HARVESTER,
            "signage point {}: {unfinished} of {passed} eligible plots were not looked up within {:.1} s",
            signage_point.sp_hash, started.elapsed().as_secs_f64()
        );
    }
    let (passed, total_plots) = (count(passed), count(total));
    let took = started.elapsed();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    context.status.add_lookup(LookupView {
        sp_hash: signage_point.sp_hash,
        index: signage_point.signage_point_index,
        at_unix_ms: came.unix.0,
        passed: passed.into(),
        total: total_plots.into(),
        proofs: proofs.into(),
        took_us,
        missed: count(unfinished).into(),
    });
    let info = FarmingInfo {
        challenge_hash: signage_point.challenge_hash,
        sp_hash: signage_point.sp_hash,
        timestamp: context.clock.now().unix.seconds(),
        passed,
        proofs,
        total_plots,
        lookup_time: took_us,
    };
    let challenge = signage_point.challenge_hash.to_string();
    tracing::info!(
        target: HARVESTER,
        "challenge_hash: {} ...{passed} plots were eligible for farming challengeFound {} V1 proofs and {partials} V2 qualities. Time: {:.5} s. Total {total_plots} plots",
        challenge.get(..10).unwrap_or(&challenge), proofs - partials, took.as_secs_f64()
    );
    // The farmer may be gone; then nobody wants the answer.
    let _ = context.answers.send((FromHarvester::FarmingInfo(info), None)).await;
}

/// Proofs that may wait to be sent while others are looked up.
const PROOFS_WAITING: usize = 64;

fn count(plots: usize) -> u32 {
    u32::try_from(plots).unwrap_or(u32::MAX)
}

/// The plots that pass the filter.
fn eligible(constants: &Constants, point: &NewSignagePointHarvester, plots: &Plots) -> Vec<Arc<LoadedPlot>> {
    let passes = |plot: &&Arc<LoadedPlot>| may_answer(constants, point, plot);
    plots.values().filter(passes).cloned().collect()
}

/// The eligible plots of one volume.
struct Work {
    constants: Arc<Constants>,
    signage_point: Arc<NewSignagePointHarvester>,
    waiting: Mutex<Vec<Arc<LoadedPlot>>>,
    /// Plots of the signage point, on all volumes, that are not done.
    unfinished: Arc<AtomicUsize>,
    found: mpsc::Sender<FromHarvester>,
    volumes: Arc<Volumes>,
    started: Instant,
    stop: CancellationToken,
}

impl Work {
    /// Lets a few threads loose on the plots, as soon as the volume has some to spare.
    fn start(self: &Arc<Self>, volume: u64, deadline: Instant) {
        let plots = self.waiting().len();
        if let Some(hung_for) = self.volumes.hung_for(volume, Instant::now()) {
            if self.volumes.may_report(&format!("volume {volume}"), Instant::now()) {
                let example = self
                    .waiting()
                    .first()
                    .map(|plot| plot.path().display().to_string())
                    .unwrap_or_default();
                tracing::error!(
                    target: HARVESTER,
                    "the disk of {example} hangs: its look-ups have not ended for {} s, its plots are left out",
                    hung_for.as_secs()
                );
            }
            return;
        }
        for _ in 0..plots.min(self.volumes.lanes()) {
            let work = Arc::clone(self);
            tokio::spawn(async move {
                let lane = tokio::select! {
                    lane = work.volumes.lane(volume) => lane,
                    () = work.stop.cancelled() => return,
                    () = sleep_until(deadline) => return,
                };
                let (volumes, stop) = (Arc::clone(&work.volumes), work.stop.clone());
                volumes.run(lane, deadline, stop, move |lane| work.look_up(lane)).await;
            });
        }
    }

    /// Looks one plot up after another until none is left. Blocking.
    fn look_up(&self, lane: &Lane) {
        while !self.stop.is_cancelled() {
            let Some(plot) = self.waiting().pop() else { return };
            lane.handle_progress(Instant::now());
            let mut found = |message| {
                // Nobody takes it only when it is too late.
                let _ = self.found.blocking_send(message);
            };
            let searched = plot
                .open_file()
                .and_then(|file| proofs_of(&self.constants, &self.signage_point, &plot, &file, &mut found));
            self.unfinished.fetch_sub(1, Ordering::Relaxed);
            let (path, took) = (plot.path().display(), self.started.elapsed());
            if let Err(error) = searched
                && self.volumes.may_report(plot.name(), Instant::now())
            {
                tracing::error!(target: HARVESTER, "Exception fetching qualities for {path}. {error}");
            }
            if took > WARN_AFTER {
                tracing::warn!(
                    target: HARVESTER,
                    "Looking up qualities on {path} took: {:.2}. This should be below 8 seconds to minimize risk of losing rewards.",
                    took.as_secs_f64()
                );
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<LoadedPlot>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::super::testing::{HEIGHTS, constants, keys, original, signage_point};
    use super::*;

    /// Looks the original plot up; the answer, and how long it took.
    async fn look_up(volumes: &Arc<Volumes>) -> (FarmingInfo, Duration) {
        let plot = Arc::new(LoadedPlot::open(original(), &keys()).unwrap());
        let plots = Arc::new(Plots::from([(plot.name().to_owned(), plot)]));
        let (answers, mut sent) = mpsc::channel(100);
        let context = LookupContext {
            constants: Arc::new(constants()),
            volumes: Arc::clone(volumes),
            clock: Clock::start(),
            status: StatusHandle::new(Clock::start(), String::new(), watch::channel(Arc::default()).1),
            answers,
        };
        let point = Arc::new(signage_point(&[original()], HEIGHTS));
        let started = Instant::now();
        answer(context, point, plots, CancellationToken::new()).await;
        let took = started.elapsed();
        loop {
            if let (FromHarvester::FarmingInfo(info), _) = sent.recv().await.expect("no answer") {
                return (info, took);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_delays_the_answer_until_it_is_known_to_hang() {
        let volumes = Arc::new(Volumes::new(4));
        let volume = LoadedPlot::open(original(), &keys()).unwrap().volume();
        let mut busy = Vec::new();
        for _ in 0..volumes.lanes() {
            busy.push(volumes.lane(volume).await);
        }
        let (info, took) = look_up(&volumes).await;
        assert_eq!((info.passed, info.proofs, info.total_plots), (1, 0, 1));
        assert_eq!(took.as_secs(), ABANDON_AFTER.as_secs());
        let (info, took) = look_up(&volumes).await;
        assert_eq!((info.passed, info.proofs, info.total_plots), (1, 0, 1));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test]
    async fn a_disk_that_works_gives_proofs() {
        let (info, _) = look_up(&Arc::new(Volumes::new(1))).await;
        assert!(info.passed == 1 && info.proofs > 0);
    }
}
