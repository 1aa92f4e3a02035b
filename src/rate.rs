//! A token bucket as one number (the generic cell rate algorithm): how fast one identity may do something.

use std::time::Duration;

use crate::clock::Mono;

/// How much is allowed: `burst` at once, then one per `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many may come at once after a quiet time.
    pub burst: u32,
    /// Time that earns one more.
    pub interval: Duration,
}

/// The state of one bucket: when it would be full again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: Mono,
}

impl Bucket {
    /// Takes one token.
    ///
    /// # Errors
    /// There is none; the time until there is one. The bucket is unchanged.
    pub fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.interval;
        let owed = full_at.since(now);
        let allowed = rate.interval.saturating_mul(rate.burst);
        if owed > allowed {
            return Err(owed - allowed);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Whether nothing was taken lately, so that forgetting the bucket changes nothing.
    #[must_use]
    pub fn is_full(&self, now: Mono) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        interval: Duration::from_millis(100),
    };

    #[test]
    fn burst_then_one_per_interval() {
        let mut bucket = Bucket::default();
        let start = Mono(1_000_000);
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, start), Ok(()));
        }
        assert_eq!(bucket.take(RATE, start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(60);
        assert_eq!(bucket.take(RATE, later), Err(Duration::from_millis(40)));
        assert_eq!(bucket.take(RATE, later + Duration::from_millis(40)), Ok(()));
    }

    #[test]
    fn quiet_time_fills_it_up_and_no_further() {
        let mut bucket = Bucket::default();
        let taken = |bucket: &mut Bucket, at| (0..10).filter(|_| bucket.take(RATE, at).is_ok()).count();
        assert_eq!(taken(&mut bucket, Mono(0)), 3);
        assert!(!bucket.is_full(Mono(0)));
        let later = Mono(0) + Duration::from_secs(3600);
        assert!(bucket.is_full(later));
        assert_eq!(taken(&mut bucket, later), 3);
    }
}
