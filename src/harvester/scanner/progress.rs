//! How far the lanes of a refresh are, and which of them make no progress.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How far a lane is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Files seen in directories.
    pub(super) listed: AtomicU64,
    /// Files to open, and those that were.
    pub(super) due: AtomicU64,
    pub(super) opened: AtomicU64,
    /// All files are opened.
    pub(super) is_open: AtomicBool,
    /// Steps on the way to the keys of plots.
    pub(super) keyed: AtomicU64,
    /// It is working keys out, or waits for its turn to.
    pub(super) is_computing: AtomicBool,
    pub(super) has_ended: AtomicBool,
}

/// Looks at lanes again and again, to tell which have stopped.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The steps of a lane, and since when it has made no other.
    moved: BTreeMap<Arc<Path>, (u64, Instant)>,
}

/// How the lanes of a refresh are.
#[derive(Debug)]
pub(super) struct Seen {
    /// All have ended or are stalled.
    pub(super) is_over: bool,
    /// All files are opened.
    pub(super) is_all_open: bool,
    /// Lanes that hang, and for how long they have made no step.
    pub(super) stalled: Vec<(Arc<Path>, Duration)>,
}

impl Watch {
    /// How `lanes` are; `hangs` says whether one that has made no step for some time is stalled.
    pub(super) fn look(
        &mut self,
        lanes: &BTreeMap<Arc<Path>, Arc<Progress>>,
        hangs: impl Fn(&Path, Duration) -> bool,
    ) -> Seen {
        let mut seen = Seen {
            is_over: true,
            is_all_open: true,
            stalled: Vec::new(),
        };
        for (lane, progress) in lanes {
            if progress.has_ended.load(Ordering::Acquire) {
                continue;
            }
            seen.is_all_open &= progress.is_open.load(Ordering::Acquire);
            let steps = [&progress.listed, &progress.opened, &progress.keyed];
            let steps = steps.iter().map(|steps| steps.load(Ordering::Relaxed)).sum();
            let (before, since) = self
                .moved
                .entry(Arc::clone(lane))
                .or_insert_with(|| (steps, Instant::now()));
            if *before != steps || progress.is_computing.load(Ordering::Relaxed) {
                (*before, *since) = (steps, Instant::now());
            }
            let silent_for = since.elapsed();
            if hangs(lane, silent_for) {
                seen.stalled.push((Arc::clone(lane), silent_for));
            } else {
                seen.is_over = false;
            }
        }
        seen
    }
}
