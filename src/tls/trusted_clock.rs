//! [`TrustedTime`] of a running farm: shared by its connections, fed by nodes and pools, kept in a small file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::trusted_time::{TimeSpan, TrustedTime, Witness};
use crate::clock::{Now, UnixMillis};
use crate::config::Root;
use crate::config::files::{self, FileMode, PRIVATE_FILE};
use crate::system_clock::Clock;

/// What time it is for certificates, whatever the machine's clock says.
pub struct TrustedClock {
    clock: Box<dyn Fn() -> Now + Send + Sync>,
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    time: TrustedTime,
    kept: UnixMillis,
}

impl TrustedClock {
    /// Goes on from what is kept in a root.
    #[must_use]
    pub fn open(root: &Root, clock: Clock) -> Self {
        Self::with(move || clock.now(), Some(root.trusted_time_file()))
    }

    /// For one process, with a clock that a test has in its hands.
    #[cfg(test)]
    pub fn in_memory(clock: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self::with(clock, None)
    }

    pub(super) fn with(clock: impl Fn() -> Now + Send + Sync + 'static, file: Option<PathBuf>) -> Self {
        let kept = file.as_deref().and_then(load);
        Self {
            state: Mutex::new(State {
                time: TrustedTime::new(kept, clock()),
                kept: kept.unwrap_or_default(),
            }),
            clock: Box::new(clock),
            file,
        }
    }

    /// Between which moments it is now.
    #[must_use]
    pub fn span(&self) -> TimeSpan {
        let now = (self.clock)();
        self.lock().time.span(now)
    }

    /// A node or a pool has said what time it is, unix seconds.
    pub fn handle_witness(&self, witness: Witness, says_unix_s: u64) {
        let now = (self.clock)();
        let says = UnixMillis(says_unix_s.saturating_mul(1000));
        self.lock().time.handle_witness(witness, says, now);
    }

    /// By how many seconds this machine's clock is ahead (negative: behind), if that is more than a minute.
    #[must_use]
    pub fn clock_ahead_s(&self) -> Option<i64> {
        let now = (self.clock)();
        self.lock().time.clock_ahead_s(now)
    }

    /// Writes down what was confirmed, if that is much newer than what is kept.
    ///
    /// # Errors
    /// Why the file cannot be written; it is tried again the next time.
    pub fn keep(&self) -> std::io::Result<()> {
        let now = (self.clock)();
        let mut state = self.lock();
        let Some((file, newest)) = self.file.as_ref().zip(state.time.to_keep(now)) else {
            return Ok(());
        };
        if newest.0 < state.kept.0.saturating_add(KEEP_EVERY_MS) {
            return Ok(());
        }
        let text = format!("{}\n", newest.seconds());
        files::replace_file(file, text.as_bytes(), FileMode::Exactly(PRIVATE_FILE))?;
        state.kept = newest;
        Ok(())
    }

    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TrustedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedClock")
            .field("state", &self.lock())
            .finish_non_exhaustive()
    }
}

/// Unix seconds. A file that cannot be read is as good as none: the next one replaces it.
fn load(file: &Path) -> Option<UnixMillis> {
    let bytes = files::read_limited(file, 64).ok()?;
    let seconds: u64 = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
    let is_possible = seconds < LATEST_UNIX_S;
    is_possible.then(|| UnixMillis(seconds.saturating_mul(1000)))
}

/// What is lost of it in a crash: an hour.
const KEEP_EVERY_MS: u64 = 3_600_000;

/// 2100-01-01: a file that says more is damaged.
const LATEST_UNIX_S: u64 = 4_102_444_800;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mono;
    use crate::tls::trusted_time::BUILT;

    #[test]
    fn what_was_confirmed_outlives_a_restart_and_damage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("trusted-time");
        let real = UnixMillis(BUILT.0 + 40 * 86_400_000);
        let at = |unix: UnixMillis| move || Now { mono: Mono(0), unix };
        let right = TrustedClock::with(at(real), Some(file.clone()));
        right.keep().unwrap();
        assert!(!file.exists(), "nothing was confirmed");
        right.handle_witness(Witness::Block, real.seconds());
        right.keep().unwrap();
        let dead = |file: &PathBuf| {
            TrustedClock::with(at(UnixMillis(0)), Some(file.clone()))
                .span()
                .earliest
        };
        assert_eq!(dead(&file), real);
        for damaged in ["", "x", "-5", "99999999999999"] {
            std::fs::write(&file, damaged).unwrap();
            assert_eq!(dead(&file), BUILT, "{damaged}");
        }
    }
}
