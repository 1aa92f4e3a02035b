//! Time as a value. Ring 0 never reads a clock: whoever calls it says what time it is with a [`Now`].
//!
//! Timers use the monotonic part, which never jumps; the wall-clock part is for display, log lines and the few protocol
//! fields that carry unix seconds.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Monotonic time in microseconds since an arbitrary origin (the start of the process or of a test).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mono(pub u64);

impl Mono {
    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC. May jump; never used for a timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Whole seconds since 1970-01-01 UTC, as protocol messages carry them.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

/// One moment on both clocks, taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// For deadlines and durations.
    pub mono: Mono,
    /// For people and protocol timestamps.
    pub unix: UnixMillis,
}

impl Now {
    /// The moment `d` later on both clocks; what tests use to let time pass.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        let ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            mono: self.mono + d,
            unix: UnixMillis(self.unix.0.saturating_add(ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_differences_never_underflow() {
        assert_eq!(Mono(5).since(Mono(9)), Duration::ZERO);
        assert_eq!(Mono(9).since(Mono(5)), Duration::from_micros(4));
        assert_eq!(Mono(5) - Duration::from_secs(1), Mono(0));
    }

    #[test]
    fn both_clocks_move_together() {
        let later = Now::default().after(Duration::from_secs(30));
        assert_eq!((later.mono, later.unix), (Mono(30_000_000), UnixMillis(30_000)));
    }
}
