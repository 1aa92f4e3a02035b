//! The one place where a clock is read.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::clock::{Mono, Now, UnixMillis};

/// Reads both clocks. The monotonic part is tokio's, so paused tests move it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose monotonic part starts at zero.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: tokio::time::Instant::now(),
        }
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            mono: self.mono(),
            unix: unix_now(),
        }
    }

    /// The monotonic part of this moment.
    #[must_use]
    pub fn mono(&self) -> Mono {
        Mono(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The tokio instant of a monotonic moment, for `sleep_until`.
    #[must_use]
    pub fn instant(&self, at: Mono) -> tokio::time::Instant {
        self.origin + std::time::Duration::from_micros(at.0)
    }
}

/// Notices when somebody sets the wall clock.
#[derive(Debug, Default)]
pub struct SetWatch {
    /// By how many milliseconds the wall clock was ahead of the time since the machine was started.
    ahead_ms: Option<i64>,
}

impl SetWatch {
    /// The milliseconds by which the wall clock was set since the last call, if that is worth a word. A machine that slept
    /// has not set its clock.
    pub fn poll(&mut self) -> Option<i64> {
        let since_boot = rustix::time::clock_gettime(SINCE_BOOT);
        self.note(since_boot.tv_sec * 1000 + since_boot.tv_nsec / 1_000_000, unix_now())
    }

    fn note(&mut self, since_boot_ms: i64, unix: UnixMillis) -> Option<i64> {
        let ahead_ms = i64::try_from(unix.0).unwrap_or(i64::MAX).saturating_sub(since_boot_ms);
        let by_ms = ahead_ms.saturating_sub(self.ahead_ms.replace(ahead_ms)?);
        (by_ms.unsigned_abs() >= WORTH_A_WORD_MS).then_some(by_ms)
    }
}

/// A clock that goes on while the machine sleeps and that nobody can set.
#[cfg(target_os = "linux")]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

/// A minute: smaller steps are nothing to whoever reads ages, and the two clocks are not read at the same moment.
const WORTH_A_WORD_MS: u64 = 60_000;

/// Wall-clock time; zero before 1970.
#[must_use]
pub fn unix_now() -> UnixMillis {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_is_set_is_told_once_and_sleep_and_slow_drift_are_not() {
        let mut watch = SetWatch::default();
        let mut note = |since_boot_ms: i64, unix_ms: u64| watch.note(since_boot_ms, UnixMillis(unix_ms));
        assert_eq!(note(10_000, 60_000), None, "nothing is known before");
        assert_eq!(note(11_000, 1_790_000_061_000), Some(1_790_000_000_000));
        assert_eq!(note(12_000, 1_790_000_062_000), None);
        let night = 8 * 3_600_000;
        assert_eq!(note(12_000 + night, 1_790_000_062_000 + night.unsigned_abs()), None);
        assert_eq!(
            note(12_000 + 2 * night, 1_790_000_112_000 + 2 * night.unsigned_abs()),
            None
        );
        assert_eq!(
            note(13_000 + 2 * night, 1_790_000_113_000 + night.unsigned_abs()),
            Some(-night)
        );
    }

    #[test]
    fn nobody_sets_the_clock_between_two_calls() {
        let mut watch = SetWatch::default();
        assert_eq!((watch.poll(), watch.poll()), (None, None));
    }
}
