//! Answering one signage point: filter, have the plots that pass looked up by the threads of their volumes, send proofs
//! as they are found, and say how many plots passed.
//!
//! The answer goes out when all look-ups are done, or left are only such whose volume stands still, which is known after
//! [`WARN_AFTER`] the first time and at once later on. Proofs that come after the answer are sent too, as long as they
//! are of use.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::file::is_of_process;
use super::findings::Plots;
use super::plot::{LoadedPlot, OpenError};
use super::prove::{full_proofs_of_each, may_answer, proofs_of};
use super::queue::{ABANDON_AFTER, FORGET_AFTER, Lane, Outcome, Tally, WARN_AFTER};
use super::reader::{LaneReader, Share};
use super::status::StatusHandle;
use super::volumes::{Ask, LookUp, Volume, Volumes};
use crate::logging::target::HARVESTER;
use crate::net::WithId;
use crate::pos::{Constants, PlotError, ReadAt};
use crate::snapshot::LookupView;
use crate::system_clock::Clock;
use crate::wire::{FarmingInfo, FromHarvester, NewSignagePointHarvester};

/// What is the same for all signage points of a connection.
#[derive(Clone, Debug)]
pub(super) struct LookupContext {
    /// Constants of the network.
    pub(super) constants: Arc<Constants>,
    /// Threads to look up with.
    pub(super) volumes: Arc<Volumes>,
    /// Time.
    pub(super) clock: Clock,
    /// Where it is written down.
    pub(super) status: StatusHandle,
    /// Whether the reads of a proof are done at the same time.
    pub(super) parallel_read: bool,
    /// Which log line tells of an answer.
    pub(super) log_line: LogLine,
    /// Where answers go.
    pub(super) answers: mpsc::Sender<WithId<FromHarvester>>,
}

/// The log line of an answer, which tools read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLine {
    /// As official harvesters write it since release 2.5.7, missing spaces included.
    #[default]
    Official,
    /// As they wrote it before; older tools know only this one.
    Classic,
}

/// Looks `plots` up for one signage point and sends proofs and the answer. Ends when no proof can come any more.
pub(super) async fn answer(
    context: LookupContext,
    signage_point: Arc<NewSignagePointHarvester>,
    plots: Arc<Plots>,
    tally: Arc<Tally>,
) {
    let at_unix_ms = context.clock.now().unix.0;
    let total = plots.len();
    let eligible = eligible(&context.constants, &signage_point, &plots).await;
    let passed = eligible.len();
    tally.expect(passed);
    let mut found = look_up(&context, &signage_point, eligible, &tally);

    let mut sent = Sent::default();
    let deadline = context.clock.instant(tally.came() + ABANDON_AFTER);
    let mut check_at = Instant::now() + WARN_AFTER;
    loop {
        tokio::select! {
            Some(message) = found.recv() => sent.send(&context, message).await,
            () = tally.none_left() => break,
            () = tally.stop().cancelled() => break,
            () = sleep_until(deadline) => break,
            () = sleep_until(check_at) => check_at = check(&context),
        }
    }
    while let Ok(message) = found.try_recv() {
        sent.send(&context, message).await;
    }

    let took = context.clock.mono().since(tally.came());
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let missed = tally.missed() + tally.left();
    let (passed, total_plots) = (count(passed), count(total));
    context.status.add_lookup(LookupView {
        sp_hash: signage_point.sp_hash,
        index: signage_point.signage_point_index,
        at_unix_ms,
        passed: passed.into(),
        total: total_plots.into(),
        proofs: sent.all.into(),
        took_us,
        missed: count(missed).into(),
    });
    if missed > 0 {
        tracing::warn!(
            target: HARVESTER,
            "the answer to signage point {} after {:.1} s leaves out {missed} of {passed} eligible plots, for whose disks nobody waits any longer",
            signage_point.sp_hash, took.as_secs_f64()
        );
    }
    let info = FarmingInfo {
        challenge_hash: signage_point.challenge_hash,
        sp_hash: signage_point.sp_hash,
        timestamp: context.clock.now().unix.seconds(),
        passed,
        proofs: sent.all,
        total_plots,
        lookup_time: took_us,
    };
    tracing::info!(target: HARVESTER, "{}", context.log_line.write(&info, sent.partials, took));
    // Before it is sent: who asks the same again as soon as it has the answer shall get another one.
    tally.handle_answered();
    // The farmer may be gone; then nobody wants the answer.
    let _ = context.answers.send((FromHarvester::FarmingInfo(info), None)).await;

    let end = context.clock.instant(tally.came() + FORGET_AFTER);
    loop {
        tokio::select! {
            late = found.recv() => match late {
                Some(message) => sent.send(&context, message).await,
                // All look-ups have ended.
                None => break,
            },
            () = sleep_until(check_at) => check_at = check(&context),
            () = tally.stop().cancelled() => break,
            () = sleep_until(end) => break,
        }
    }
    tally.stop().cancel();
}

/// Has what is too late noticed; when to do so again.
fn check(context: &LookupContext) -> Instant {
    let timeout = context.volumes.handle_timeouts().map(|at| context.clock.instant(at));
    // What begins by now is not too late any sooner.
    let soon = Instant::now() + WARN_AFTER;
    timeout.map_or(soon, |timeout| timeout.min(soon))
}

/// How many proofs were sent.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Full and partial ones.
    all: u32,
    /// Partial ones.
    partials: u32,
}

impl Sent {
    async fn send(&mut self, context: &LookupContext, message: FromHarvester) {
        let partials = match &message {
            FromHarvester::PartialProofs(message) => count(message.partial_proofs.len()),
            _ => 0,
        };
        // Without a farmer the look-up is stopped elsewhere.
        if context.answers.send((message, None)).await.is_ok() {
            let all = partials.max(1);
            self.partials += partials;
            self.all += all;
            context.status.add_proofs(all);
        }
    }
}

/// Proofs that may wait to be sent while others are looked up.
const PROOFS_WAITING: usize = 4096;

/// To filter fewer takes less time than to wake a thread is worth.
const PLOTS_PER_PART: usize = 2_000;

/// Threads that filter at the same time, at most.
const MOST_PARTS: usize = 4;

fn count(plots: usize) -> u32 {
    u32::try_from(plots).unwrap_or(u32::MAX)
}

/// The plots that pass the filter. Of many plots several threads take a part each: together they need some 10 ms for
/// 100,000 plots. Midstates of plot id and challenge, kept for a sub-slot, would halve that for 3 MB: less than a thousandth
/// of the time between two signage points.
async fn eligible(
    constants: &Arc<Constants>,
    point: &Arc<NewSignagePointHarvester>,
    plots: &Arc<Plots>,
) -> Vec<Arc<LoadedPlot>> {
    let parts = (plots.len() / PLOTS_PER_PART).clamp(1, MOST_PARTS);
    let size = plots.len().div_ceil(parts);
    let filter = |part: usize| {
        let (constants, point, plots) = (Arc::clone(constants), Arc::clone(point), Arc::clone(plots));
        tokio::task::spawn_blocking(move || {
            let of_part = plots.values().skip(part * size).take(size);
            let passing = of_part.filter(|plot| may_answer(&constants, &point, plot));
            passing.cloned().collect::<Vec<_>>()
        })
    };
    let mut eligible = Vec::new();
    for part in (0..parts).map(filter).collect::<Vec<_>>() {
        // It fails only while the process ends.
        eligible.extend(part.await.unwrap_or_default());
    }
    eligible
}

/// Has the plots looked up; the proofs that are good enough, until all are done.
fn look_up(
    context: &LookupContext,
    signage_point: &Arc<NewSignagePointHarvester>,
    eligible: Vec<Arc<LoadedPlot>>,
    tally: &Arc<Tally>,
) -> mpsc::Receiver<FromHarvester> {
    let (found, proofs) = mpsc::channel(PROOFS_WAITING);
    let mut by_volume: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (number, plot) in eligible.iter().enumerate() {
        by_volume.entry(plot.volume()).or_default().push(number);
    }
    let question: Arc<dyn Ask> = Arc::new(Question {
        constants: Arc::clone(&context.constants),
        signage_point: Arc::clone(signage_point),
        tally: Arc::clone(tally),
        found,
        volumes: Arc::downgrade(&context.volumes),
        parallel_read: context.parallel_read,
        plots: eligible,
    });
    for (volume, plots) in by_volume {
        let look_up = |plot| LookUp {
            asker: Arc::clone(&question),
            plot,
        };
        let look_ups = plots.into_iter().map(look_up).collect();
        context.volumes.look_up(volume, tally, look_ups);
    }
    proofs
}

/// What plots are asked for a signage point.
struct Question {
    constants: Arc<Constants>,
    signage_point: Arc<NewSignagePointHarvester>,
    tally: Arc<Tally>,
    found: mpsc::Sender<FromHarvester>,
    volumes: Weak<Volumes>,
    parallel_read: bool,
    plots: Vec<Arc<LoadedPlot>>,
}

impl Ask for Question {
    fn ask(&self, plots: &[usize], lane: &Lane, volume: &Arc<Volume>) -> Vec<Outcome> {
        let mut lost = 0_u32;
        let mut found = |message| {
            if let Err(mpsc::error::TrySendError::Full(_)) = self.found.try_send(message) {
                lost += 1;
            }
        };
        let (share, now) = (|batch: &_| volume.share(batch), || volume.now());
        let share: Option<Share<'_>> = self.parallel_read.then_some(&share);
        let open = |plot: &LoadedPlot, gate| {
            let file = Arc::new(plot.open_file()?);
            Ok(LaneReader::new(file, lane, &self.tally, gate, share, &now))
        };
        let plots = || plots.iter().map(|number| &*self.plots[*number]);
        // Of those that are not compressed all are open at the same time.
        let classic: Vec<_> = plots()
            .filter_map(|plot| Some((plot, plot.classic_prover()?)))
            .collect();
        let files: Vec<_> = classic.iter().map(|(plot, _)| open(plot, None)).collect();
        let opened = classic.iter().zip(&files);
        let opened: Vec<_> = opened
            .filter_map(|((plot, prover), file)| Some((*plot, *prover, file.as_ref().ok()? as &dyn ReadAt)))
            .collect();
        let mut of_opened = full_proofs_of_each(&self.constants, &self.signage_point, &opened, &mut found).into_iter();
        let mut of_classic = files.into_iter().map(|file| match file {
            Ok(_) => of_opened.next().unwrap_or(Ok(())),
            Err(error) => Err(error),
        });
        let searched = plots().map(|plot| {
            if plot.classic_prover().is_some() {
                return (plot, of_classic.next().unwrap_or(Ok(())));
            }
            let gate = (plot.compression_level() > 0).then(|| volume.gate());
            let searched = open(plot, gate)
                .and_then(|reader| proofs_of(&self.constants, &self.signage_point, plot, &reader, &mut found));
            (plot, searched)
        });
        let searched: Vec<_> = searched.collect();
        if lost > 0 {
            tracing::error!(target: HARVESTER, "{lost} proofs are lost: {PROOFS_WAITING} wait for the farmer to take them");
        }
        searched
            .into_iter()
            .map(|(plot, searched)| self.outcome(plot, volume, searched))
            .collect()
    }
}

impl Question {
    /// Tells how the look-up of a plot went.
    fn outcome(&self, plot: &LoadedPlot, volume: &Volume, searched: Result<(), OpenError>) -> Outcome {
        let (path, took) = (plot.path().display(), volume.now().since(self.tally.came()));
        let outcome = match searched {
            Ok(()) => Outcome::Done,
            Err(error) => self.judge(&error, volume),
        };
        if matches!(outcome, Outcome::PlotFailed(_)) {
            plot.doubt();
        }
        let volumes = self.volumes.upgrade();
        if matches!(outcome, Outcome::PlotFailed(_) | Outcome::ProcessFailed(_))
            && let Some(volumes) = &volumes
        {
            volumes.handle_surprise();
        }
        if let Outcome::PlotFailed(error)
        | Outcome::PlotDamaged(error)
        | Outcome::ProcessFailed(error)
        | Outcome::Unreadable(error)
        | Outcome::VolumeFailed(error) = &outcome
            && let Some(volumes) = volumes
            && volumes.may_report(&plot.name(), Instant::now())
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
        outcome
    }

    /// Who is at fault.
    fn judge(&self, error: &OpenError, volume: &Volume) -> Outcome {
        let (OpenError::Io { source: cause, .. }
        | OpenError::Plot {
            source: PlotError::Unreadable { error: cause, .. },
            ..
        }) = error
        else {
            return match error {
                OpenError::Plot { .. } => Outcome::PlotDamaged(error.to_string()),
                _ => Outcome::PlotFailed(error.to_string()),
            };
        };
        if cause.kind() == io::ErrorKind::TimedOut && self.tally.is_over(volume.now()) {
            Outcome::TooLate
        } else if is_of_process(cause) {
            Outcome::ProcessFailed(error.to_string())
        } else if is_of_medium(cause) {
            Outcome::Unreadable(error.to_string())
        } else if is_of_volume(cause) {
            Outcome::VolumeFailed(error.to_string())
        } else {
            Outcome::PlotFailed(error.to_string())
        }
    }
}

/// Whether it is what a medium says of a place that it cannot read, or a file system whose checksum is wrong there.
fn is_of_medium(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::IO, Errno::BADMSG, Errno::ILSEQ].contains(&errno))
}

/// Whether an error says something of the volume, and not of one file or of this process.
fn is_of_volume(error: &io::Error) -> bool {
    let is_of_file = matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotADirectory
    );
    !is_of_process(error) && !is_of_file
}

impl LogLine {
    fn write(self, info: &FarmingInfo, partials: u32, took: Duration) -> String {
        let challenge = info.challenge_hash.to_string();
        let challenge = challenge.get(..10).unwrap_or(&challenge);
        let (passed, total, took) = (info.passed, info.total_plots, took.as_secs_f64());
        let proofs = info.proofs.saturating_sub(partials);
        match self {
            Self::Official => format!(
                "challenge_hash: {challenge} ...{passed} plots were eligible for farming challengeFound {proofs} V1 proofs and {partials} V2 qualities. Time: {took:.5} s. Total {total} plots"
            ),
            Self::Classic => format!(
                "{passed} plots were eligible for farming {challenge}... Found {} proofs. Time: {took:.5} s. Total {total} plots",
                info.proofs
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChallengeHash, SpHash};

    #[test]
    fn the_log_line_is_the_one_that_tools_know() {
        let info = FarmingInfo {
            challenge_hash: ChallengeHash([0x6d; 32]),
            sp_hash: SpHash([0; 32]),
            timestamp: 0,
            passed: 4,
            proofs: 3,
            total_plots: 6,
            lookup_time: 277_760,
        };
        let took = Duration::from_micros(info.lookup_time);
        assert_eq!(
            LogLine::Official.write(&info, 2, took),
            "challenge_hash: 6d6d6d6d6d ...4 plots were eligible for farming challengeFound 1 V1 proofs and 2 V2 qualities. Time: 0.27776 s. Total 6 plots"
        );
        assert_eq!(
            LogLine::Classic.write(&info, 2, took),
            "4 plots were eligible for farming 6d6d6d6d6d... Found 3 proofs. Time: 0.27776 s. Total 6 plots"
        );
    }

    #[test]
    fn only_what_a_medium_says_is_held_against_its_volume() {
        let os = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::IO, Errno::NXIO, Errno::STALE, Errno::NOTCONN, Errno::HOSTDOWN] {
            assert!(is_of_volume(&os(errno)), "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::MFILE, Errno::NOMEM, Errno::NOTDIR] {
            assert!(!is_of_volume(&os(errno)), "{errno}");
        }
        assert!(!is_of_volume(&io::ErrorKind::UnexpectedEof.into()));
    }
}
