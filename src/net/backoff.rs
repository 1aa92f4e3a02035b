//! How long to wait before dialling again.

use std::time::Duration;

/// Delays that double from the first to the longest, each shifted by up to a fifth so that a farm that lost its farmer
/// does not come back in step. Chance is an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

/// Bounds that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "wait between {first:?} and {longest:?} before dialling again: the first must be above zero and at most the longest"
)]
pub struct BackoffError {
    /// First delay.
    pub first: Duration,
    /// Longest delay.
    pub longest: Duration,
}

impl Backoff {
    /// Official harvesters and farmers dial every 3 s for ever; these bounds are as eager at first and end at 10 s.
    pub const DEFAULT: Self = Self {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(10),
        failures: 0,
    };

    /// Delays from `first`, doubling, to `longest`.
    ///
    /// # Errors
    /// `first` is zero or above `longest`.
    pub fn new(first: Duration, longest: Duration) -> Result<Self, BackoffError> {
        if first.is_zero() || first > longest {
            return Err(BackoffError { first, longest });
        }
        Ok(Self {
            first,
            longest,
            failures: 0,
        })
    }

    /// An attempt failed: how long to wait before the next one. `chance` is a fresh random number from 0 to 1; it moves
    /// the delay by −20 % to +20 %.
    pub fn handle_failure(&mut self, chance: f64) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        // NaN passes through clamp; max makes it the lower bound.
        let chance = chance.clamp(0.0, 1.0).max(0.0);
        doubled.min(self.longest).mul_f64(0.8 + 0.4 * chance)
    }

    /// The link works: the next failure starts from the first delay.
    pub const fn handle_success(&mut self) {
        self.failures = 0;
    }
}

/// A fresh random number from 0 to 1, for [`Backoff::handle_failure`].
#[must_use]
pub fn chance() -> f64 {
    // Without chance peers come back in step; that is all.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn delays_double_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(seconds(1.0), seconds(10.0)).unwrap();
        let delays: Vec<_> = (0..6).map(|_| backoff.handle_failure(0.5)).collect();
        assert_eq!(delays, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0].map(seconds));
        for _ in 0..100 {
            backoff.handle_failure(0.5);
        }
        assert_eq!(backoff.handle_failure(0.5), seconds(10.0));
        backoff.handle_success();
        assert_eq!(backoff.handle_failure(0.5), seconds(1.0));
    }

    #[test]
    fn chance_moves_a_delay_by_a_fifth() {
        let at = |chance| Backoff::DEFAULT.clone().handle_failure(chance);
        assert_eq!((at(0.0), at(1.0)), (seconds(0.8), seconds(1.2)));
        assert_eq!((at(f64::NAN), at(7.0)), (seconds(0.8), seconds(1.2)));
    }

    #[test]
    fn senseless_bounds_are_refused() {
        assert!(Backoff::new(Duration::ZERO, seconds(1.0)).is_err());
        assert!(Backoff::new(seconds(2.0), seconds(1.0)).is_err());
    }
}
