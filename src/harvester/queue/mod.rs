//! What is to be looked up on one volume, in which order, and what becomes of it when the volume is slow, hangs or
//! fails. It starts nothing and reads no clock: threads ask it for work and say how that ended.
//!
//! The newest signage point goes first, because old ones lose their worth. Work whose time is over is dropped before it
//! costs a read. What waits for a volume that stands still does not hold up the answer about the others.

mod tally;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(super) use tally::{Lane, Tally};

use super::health::{Change, Health, MAX_FAILURES, Share};
use crate::clock::{Mono, Now, UnixMillis};
use crate::snapshot::VolumeState;

/// A look-up that takes longer is worth a warning, as in the official software; nobody waits any longer for a read that
/// takes so long.
pub const WARN_AFTER: Duration = Duration::from_secs(8);

/// After this time a proof is of no use to anybody, if newer signage points have come. A read that takes longer counts
/// against its volume.
pub const ABANDON_AFTER: Duration = Duration::from_secs(25);

/// After this time a proof is of no use, whatever has come since.
pub(super) const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Threads that one volume may occupy, hanging ones included.
pub(super) const MAX_THREADS: usize = 32;

/// How a look-up ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it should.
    Done,
    /// It was given up because its time was over.
    TooLate,
    /// The plot is at fault; the sentence says why.
    PlotFailed(String),
    /// What stands in the plot cannot be; the sentence says why.
    PlotDamaged(String),
    /// This process may open no more files, or has no memory; the sentence says which.
    ProcessFailed(String),
    /// The volume could not read what the plot has at some place; the sentence says which. Either may be at fault.
    Unreadable(String),
    /// The volume is at fault; the sentence says why.
    VolumeFailed(String),
}

/// Look-ups to be done now by one thread: one, or several of a volume that has all of it in memory.
pub(super) struct Start<J> {
    /// Goes back with the outcomes.
    pub(super) id: u64,
    /// What was queued, for one signage point.
    pub(super) jobs: Vec<J>,
    /// Where the thread says what it is doing.
    pub(super) lane: Arc<Lane>,
}

/// What a volume has done since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Look-ups that came to an end.
    pub(super) lookups: u64,
    /// Look-ups that failed.
    pub(super) errors: u64,
    /// The last failure.
    pub(super) last_error: Option<String>,
    /// Look-ups that met a damaged plot.
    pub(super) damaged: u64,
    /// The last of those: when, and the sentence.
    pub(super) last_damage: Option<(UnixMillis, String)>,
    /// The last failure for want of files or memory: when, and the sentence.
    pub(super) last_want: Option<(UnixMillis, String)>,
    /// Look-ups that were left out or abandoned.
    pub(super) missed: u64,
    /// Those of them whose signage point was too old when their turn came.
    pub(super) stale: u64,
    /// The longest look-up, microseconds.
    pub(super) max_us: u64,
}

/// The work of one volume. `J` is a look-up of one plot.
pub(super) struct Queue<J> {
    lanes: usize,
    /// By signage point, the oldest first.
    groups: Vec<Group<J>>,
    running: BTreeMap<u64, Running>,
    next_id: u64,
    health: Health,
    last_answer: Option<Mono>,
    /// What could not be read since the volume was last read well: when, and the sentence.
    unreadable: VecDeque<(UnixMillis, String)>,
    record: Record,
    /// How long the last look-ups took, microseconds; of those that were done together, each its part.
    times: VecDeque<u64>,
}

struct Group<J> {
    tally: Arc<Tally>,
    jobs: Vec<J>,
    is_waited_for: bool,
    /// Whether it is what a sick volume gets nevertheless.
    is_probe: bool,
}

struct Running {
    look_ups: usize,
    tally: Arc<Tally>,
    lane: Arc<Lane>,
    began: Mono,
    is_waited_for: bool,
    is_abandoned: bool,
}

impl<J> Queue<J> {
    /// `lanes`: look-ups at the same time, hanging ones not counted.
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            lanes,
            groups: Vec::new(),
            running: BTreeMap::new(),
            next_id: 0,
            health: Health::default(),
            last_answer: None,
            unreadable: VecDeque::new(),
            record: Record::default(),
            times: VecDeque::new(),
        }
    }

    /// Look-ups at the same time from now on.
    pub(super) const fn set_lanes(&mut self, lanes: usize) {
        self.lanes = lanes;
    }

    /// Takes the look-ups of a signage point, or those that the volume's state leaves of them.
    pub(super) fn add(&mut self, now: Now, tally: &Arc<Tally>, mut jobs: Vec<J>) -> Option<Change> {
        let change = self.handle_timeout(now);
        self.drop_what_is_over(now.mono);
        let mut is_waited_for = !self.is_suspect(now.mono);
        let is_sick = self.health.sick_since().is_some();
        let share = if is_sick && self.free_lanes() == 0 {
            Share::Nothing
        } else {
            self.health.admit(now.mono)
        };
        let wanted = match share {
            Share::All => jobs.len(),
            Share::Probe => 1,
            Share::Nothing => 0,
        };
        if wanted < jobs.len() {
            let left_out = jobs.split_off(wanted).len();
            self.record.missed += count(left_out);
            tally.miss(left_out);
        }
        is_waited_for &= !is_sick;
        if !is_waited_for {
            tally.miss(jobs.len());
        }
        if !jobs.is_empty() {
            self.groups.push(Group {
                tally: Arc::clone(tally),
                jobs,
                is_waited_for,
                is_probe: is_sick,
            });
        }
        change
    }

    /// How many threads could begin look-ups now.
    pub(super) fn ready(&self) -> usize {
        let waiting = self.groups.iter().map(|group| group.jobs.len()).sum::<usize>();
        waiting.div_ceil(self.at_once(waiting)).min(self.free_lanes())
    }

    /// The look-ups to begin now; `None` while as many threads have some as may.
    pub(super) fn next(&mut self, now: Mono) -> Option<Start<J>> {
        if self.free_lanes() == 0 {
            return None;
        }
        self.drop_what_is_over(now);
        while let Some(group) = self.groups.last() {
            let at_once = self.at_once(group.jobs.len());
            let Some(group) = self.groups.last_mut().filter(|group| !group.jobs.is_empty()) else {
                self.groups.pop();
                continue;
            };
            let jobs = group.jobs.split_off(group.jobs.len().saturating_sub(at_once));
            let lane = Arc::new(Lane::new(now));
            let id = self.next_id;
            self.next_id += 1;
            self.running.insert(
                id,
                Running {
                    look_ups: jobs.len(),
                    tally: Arc::clone(&group.tally),
                    lane: Arc::clone(&lane),
                    began: now,
                    is_waited_for: group.is_waited_for,
                    is_abandoned: false,
                },
            );
            return Some(Start { id, jobs, lane });
        }
        None
    }

    /// The look-ups that were begun together have ended, with an outcome each.
    pub(super) fn handle_end(&mut self, now: Now, id: u64, outcomes: &[Outcome]) -> Option<Change> {
        let ended = self.running.remove(&id)?;
        let took = u64::try_from(now.mono.since(ended.began).as_micros()).unwrap_or(u64::MAX);
        let took = took / count(ended.look_ups).max(1);
        let mut change = None;
        for outcome in outcomes {
            change = self.handle_outcome(now, &ended, took, outcome).or(change);
        }
        self.mind_sickness();
        change
    }

    fn handle_outcome(&mut self, now: Now, ended: &Running, took: u64, outcome: &Outcome) -> Option<Change> {
        self.record.lookups += 1;
        self.record.max_us = self.record.max_us.max(took);
        if self.times.len() >= TIMES_KEPT {
            self.times.pop_front();
        }
        self.times.push_back(took);
        if ended.is_waited_for {
            match outcome {
                Outcome::TooLate => ended.tally.miss(1),
                _ => ended.tally.finish(1),
            }
        }
        if let Outcome::PlotDamaged(error) = outcome {
            self.note_damage(now.unix, error.clone());
        }
        if let Outcome::ProcessFailed(error) = outcome {
            self.record.last_want = Some((now.unix, error.clone()));
        }
        if let Outcome::PlotFailed(error)
        | Outcome::PlotDamaged(error)
        | Outcome::ProcessFailed(error)
        | Outcome::Unreadable(error)
        | Outcome::VolumeFailed(error) = outcome
        {
            self.record.errors += 1;
            self.record.last_error = Some(error.clone());
        }
        match outcome {
            Outcome::Unreadable(error) if self.health.sick_since().is_none() => {
                self.unreadable.push_back((now.unix, error.clone()));
                // So many that do not make the volume sick are long ago.
                if self.unreadable.len() > MAX_FAILURES
                    && let Some((at, error)) = self.unreadable.pop_front()
                {
                    self.note_damage(at, error);
                }
            }
            // A medium that can be read elsewhere is none that fails: many drives may be one volume, and one of them dead.
            Outcome::Done | Outcome::PlotDamaged(_) => {
                self.health.handle_read();
                for (at, error) in std::mem::take(&mut self.unreadable) {
                    self.note_damage(at, error);
                }
            }
            _ => {}
        }
        match outcome {
            Outcome::Unreadable(_) | Outcome::VolumeFailed(_) => {
                let change = self.health.handle_failure(now);
                if change.is_some() {
                    self.unreadable.clear();
                }
                change
            }
            _ if ended.is_abandoned => {
                self.health.handle_return(now.mono);
                None
            }
            Outcome::Done
            | Outcome::PlotFailed(_)
            | Outcome::PlotDamaged(_)
            | Outcome::ProcessFailed(_)
            | Outcome::TooLate => {
                self.record.missed += u64::from(*outcome == Outcome::TooLate);
                self.last_answer = Some(now.mono);
                self.health.handle_answer(now)
            }
        }
    }

    fn note_damage(&mut self, at: UnixMillis, error: String) {
        self.record.damaged += 1;
        self.record.last_damage = Some((at, error));
    }

    /// When [`Self::handle_timeout`] has something to do, if nothing else happens.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        let due = |running: &Running| {
            let since = running.lane.waiting_since()?;
            if running.is_waited_for {
                Some(since + WARN_AFTER)
            } else {
                (!running.is_abandoned).then(|| since + ABANDON_AFTER)
            }
        };
        self.running.values().filter_map(due).min()
    }

    /// Notices what has been waiting for too long.
    pub(super) fn handle_timeout(&mut self, now: Now) -> Option<Change> {
        let mut change = None;
        for running in self.running.values_mut() {
            let waited = running.lane.waited(now.mono);
            if waited >= WARN_AFTER && running.is_waited_for {
                running.is_waited_for = false;
                running.tally.miss(running.look_ups);
            }
            if waited >= ABANDON_AFTER && !running.is_abandoned {
                running.is_abandoned = true;
                self.record.missed += count(running.look_ups);
                change = self.health.handle_miss(now).or(change);
            }
        }
        if self.is_suspect(now.mono) {
            for group in self.groups.iter_mut().filter(|group| group.is_waited_for) {
                group.is_waited_for = false;
                group.tally.miss(group.jobs.len());
            }
        }
        self.mind_sickness();
        change
    }

    /// What the volume is doing.
    pub(super) fn state(&self, now: Mono) -> VolumeState {
        if let Some(UnixMillis(since_unix_ms)) = self.health.sick_since() {
            return VolumeState::Sick { since_unix_ms };
        }
        let last_took = self
            .times
            .back()
            .map_or(Duration::ZERO, |us| Duration::from_micros(*us));
        let is_slow = |running: &Running| running.lane.waited(now) >= WARN_AFTER;
        if last_took >= WARN_AFTER || self.running.values().any(is_slow) {
            VolumeState::Slow
        } else {
            VolumeState::Fine
        }
    }

    /// What the volume has done.
    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// Look-ups that have begun and not ended.
    pub(super) fn busy(&self) -> usize {
        self.running.values().map(|running| running.look_ups).sum()
    }

    /// Median and 95th percentile of the last look-ups, microseconds.
    pub(super) fn percentiles(&self) -> (u64, u64) {
        let mut times: Vec<u64> = self.times.iter().copied().collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or(0);
        (at(50), at(95))
    }

    /// Whether a read has been standing still for long and nothing else has gone well since.
    fn is_suspect(&self, now: Mono) -> bool {
        self.running.values().any(|running| {
            let since = running.lane.waiting_since().unwrap_or(now);
            now.since(since) >= WARN_AFTER && self.last_answer.is_none_or(|answer| answer < since)
        })
    }

    /// How many look-ups a thread begins of so many that wait. More than one if the last ones were so quick that nothing was
    /// waited for but processors: together they take much less of them. Then there are fewer threads than lanes,
    /// which on such a volume is no loss.
    fn at_once(&self, waiting: usize) -> usize {
        // Some take longer because their thread had to wait for a processor.
        let quickest = self.times.iter().rev().take(2 * MOST_AT_ONCE).min();
        match quickest.map(|us| Duration::from_micros(*us)) {
            Some(quickest) if quickest < FROM_MEMORY => waiting.div_ceil(SHARED_BY).clamp(1, MOST_AT_ONCE),
            _ => 1,
        }
    }

    /// Look-ups that hang do not use up a lane, only a thread.
    fn free_lanes(&self) -> usize {
        let active = self.running.values().filter(|running| !running.is_abandoned).count();
        let lanes = self.lanes.saturating_sub(active);
        lanes.min(MAX_THREADS.saturating_sub(self.running.len()))
    }

    /// A sick volume gets nothing but its probe.
    fn mind_sickness(&mut self) {
        if self.health.sick_since().is_none() {
            return;
        }
        for group in self.groups.extract_if(.., |group| !group.is_probe) {
            self.record.missed += count(group.jobs.len());
            if group.is_waited_for {
                group.tally.miss(group.jobs.len());
            }
        }
    }

    fn drop_what_is_over(&mut self, now: Mono) {
        for group in self.groups.extract_if(.., |group| group.tally.is_over(now)) {
            if !group.tally.stop().is_cancelled() {
                self.record.missed += count(group.jobs.len());
                self.record.stale += count(group.jobs.len());
            }
            if group.is_waited_for {
                group.tally.miss(group.jobs.len());
            }
        }
    }
}

fn count(plots: usize) -> u64 {
    u64::try_from(plots).unwrap_or(u64::MAX)
}

/// Look-ups that take less were read out of memory: any device needs longer for the two reads that are the fewest.
const FROM_MEMORY: Duration = Duration::from_micros(100);

/// Look-ups that one thread begins at once, at most. More gain no more.
const MOST_AT_ONCE: usize = 16;

/// Threads that share what waits, at least.
const SHARED_BY: usize = 4;

/// Look-ups that percentiles are made of.
const TIMES_KEPT: usize = 256;
