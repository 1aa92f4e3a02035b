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

/// Wall-clock time; zero before 1970.
#[must_use]
pub fn unix_now() -> UnixMillis {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
