//! Whether a check waits for the disk, and since when: one that hangs is given up, one that computes is not.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::pos::ReadAt;

/// What one thread is at.
#[derive(Debug, Default)]
pub(super) struct Wait(Mutex<Option<Instant>>);

impl Wait {
    /// Does something that waits for the disk.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.since() = Some(Instant::now());
        let done = work();
        *self.since() = None;
        done
    }

    /// Whether it has been waiting for the disk for so long.
    pub(super) fn lasts(&self, patience: Duration) -> bool {
        self.since().is_some_and(|since| since.elapsed() >= patience)
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that says when it is being read.
pub(super) struct Watched<'a, F> {
    pub(super) file: F,
    pub(super) wait: &'a Wait,
}

impl<F: ReadAt> ReadAt for Watched<'_, F> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.wait.during(|| self.file.read_exact_at(buf, offset))
    }

    fn size(&self) -> u64 {
        self.file.size()
    }
}

/// A drive that does not answer for so long hangs; one that fails may take half a minute to say so.
pub(super) const HANGS_AFTER: Duration = Duration::from_secs(45);

/// What is wrong with such a drive, as a fragment.
pub(super) fn no_answer() -> String {
    format!("its drive has not answered for {} s", HANGS_AFTER.as_secs())
}
