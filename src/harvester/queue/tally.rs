//! What the look-ups of one signage point have in common, and what each says of itself while it runs: seen by the threads
//! of all volumes and by the task that answers the farmer.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{ABANDON_AFTER, FORGET_AFTER};
use crate::clock::Mono;

/// How many look-ups of one signage point are still to be waited for, on all volumes together.
#[derive(Debug)]
pub(in super::super) struct Tally {
    came: Mono,
    left: AtomicUsize,
    missed: AtomicUsize,
    is_superseded: AtomicBool,
    is_answered: AtomicBool,
    /// Ends all of it early.
    stop: CancellationToken,
    none_left: Notify,
}

impl Tally {
    /// For a signage point that came at this time; `stop` ends its look-ups.
    pub(in super::super) fn new(came: Mono, stop: CancellationToken) -> Self {
        Self {
            came,
            left: AtomicUsize::new(0),
            missed: AtomicUsize::new(0),
            is_superseded: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            stop,
            none_left: Notify::new(),
        }
    }

    /// When the signage point came.
    pub(in super::super) const fn came(&self) -> Mono {
        self.came
    }

    /// Ends its look-ups.
    pub(in super::super) const fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// So many plots are to be looked up; said before any of them is queued.
    pub(in super::super) fn expect(&self, plots: usize) {
        self.left.store(plots, Ordering::Release);
    }

    /// The farmer has got its answer.
    pub(in super::super) fn handle_answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// Whether the farmer has got its answer.
    pub(in super::super) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }

    /// A newer signage point has come.
    pub(in super::super) fn supersede(&self) {
        self.is_superseded.store(true, Ordering::Relaxed);
    }

    /// Whether a proof would be of no use any more.
    pub(in super::super) fn is_over(&self, now: Mono) -> bool {
        let age = now.since(self.came);
        self.stop.is_cancelled()
            || age >= FORGET_AFTER
            || age >= ABANDON_AFTER && self.is_superseded.load(Ordering::Relaxed)
    }

    /// Look-ups that are waited for.
    pub(in super::super) fn left(&self) -> usize {
        self.left.load(Ordering::Acquire)
    }

    /// Look-ups that were not waited for.
    pub(in super::super) fn missed(&self) -> usize {
        self.missed.load(Ordering::Acquire)
    }

    /// Waits until no look-up is waited for.
    pub(in super::super) async fn none_left(&self) {
        while self.left() > 0 {
            self.none_left.notified().await;
        }
    }

    pub(super) fn finish(&self, plots: usize) {
        let left = self.left.fetch_sub(plots, Ordering::AcqRel);
        if left == plots {
            self.none_left.notify_one();
        }
    }

    pub(super) fn miss(&self, plots: usize) {
        self.missed.fetch_add(plots, Ordering::AcqRel);
        self.finish(plots);
    }
}

/// What the thread of one look-up is doing, for others to see.
#[derive(Debug)]
pub(in super::super) struct Lane {
    /// Since when it has been waiting for the volume, microseconds of [`Mono`]; [`COMPUTING`] if it is not.
    waiting_since: AtomicU64,
}

impl Lane {
    /// Of a look-up that begins, with a read.
    pub(in super::super) fn new(now: Mono) -> Self {
        Self {
            waiting_since: AtomicU64::new(now.0),
        }
    }

    /// It begins to wait for the volume, or has got something and waits for more.
    pub(in super::super) fn handle_read(&self, now: Mono) {
        self.waiting_since.store(now.0, Ordering::Relaxed);
    }

    /// It has all it needs for a while.
    pub(in super::super) fn handle_computing(&self) {
        self.waiting_since.store(COMPUTING, Ordering::Relaxed);
    }

    pub(super) fn waiting_since(&self) -> Option<Mono> {
        let since = self.waiting_since.load(Ordering::Relaxed);
        (since != COMPUTING).then_some(Mono(since))
    }

    pub(super) fn waited(&self, now: Mono) -> Duration {
        self.waiting_since().map_or(Duration::ZERO, |since| now.since(since))
    }
}

const COMPUTING: u64 = u64::MAX;
