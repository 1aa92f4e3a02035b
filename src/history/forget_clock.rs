//! By which clock old history is forgotten: never by one that has just leapt ahead. A machine whose clock says 2036 for
//! a minute would otherwise have no history left.

use std::time::Duration;

use crate::clock::{Mono, Now, UnixMillis};

/// What time it is for the purpose of forgetting.
#[derive(Debug)]
pub(super) struct ForgetClock {
    /// A moment at which the clock was believed.
    believed: Now,
    /// Since when the clock is ahead of that by a leap.
    doubted_since: Option<Mono>,
}

impl ForgetClock {
    /// `last_seen_ms` is when somebody wrote last, unix milliseconds, if anybody did.
    pub(super) fn new(last_seen_ms: Option<u64>, now: Now) -> Self {
        Self {
            believed: Now {
                mono: now.mono,
                unix: last_seen_ms.map_or(now.unix, UnixMillis),
            },
            doubted_since: None,
        }
    }

    /// Unix milliseconds by which age is to be counted.
    pub(super) fn at(&mut self, now: Now) -> u64 {
        let expected = self
            .believed
            .unix
            .0
            .saturating_add(millis(now.mono.since(self.believed.mono)));
        if now.unix.0 > expected.saturating_add(millis(LEAP)) {
            let since = *self.doubted_since.get_or_insert(now.mono);
            if now.mono.since(since) < DOUBTED_FOR {
                return expected;
            }
        }
        self.believed = now;
        self.doubted_since = None;
        now.unix.0
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that is ahead by more than this may be wrong, or the farm was off for that long.
const LEAP: Duration = Duration::from_secs(7 * 86_400);

/// A clock that stays ahead for so long is right: by then an alarm has told of a wrong one.
const DOUBTED_FOR: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const T: u64 = 1_790_000_000_000;
    const DAY: u64 = 86_400_000;

    fn at(running_ms: u64, unix_ms: u64) -> Now {
        Now {
            mono: Mono(running_ms * 1000),
            unix: UnixMillis(unix_ms),
        }
    }

    #[test]
    fn a_clock_that_leaps_ahead_is_believed_when_it_stays_so_for_a_day() {
        let mut clock = ForgetClock::new(Some(T), at(0, T + 1000));
        assert_eq!(clock.at(at(0, T + 1000)), T + 1000);
        assert_eq!(clock.at(at(5000, T + 6000)), T + 6000);
        assert_eq!(clock.at(at(6000, T + 3650 * DAY)), T + 7000, "ten years in a second");
        assert_eq!(clock.at(at(9000, T + 10_000)), T + 10_000, "set right again");
        assert_eq!(clock.at(at(10_000, T + 3650 * DAY)), T + 11_000);
        assert_eq!(clock.at(at(9000 + DAY, T + 3651 * DAY)), T + 10_000 + DAY);
        assert_eq!(clock.at(at(10_000 + DAY, T + 3651 * DAY)), T + 3651 * DAY);
    }

    #[test]
    fn a_farm_that_was_off_for_a_month_forgets_a_day_later_and_one_with_a_clock_set_back_at_once() {
        let mut clock = ForgetClock::new(Some(T), at(0, T + 30 * DAY));
        assert_eq!(clock.at(at(0, T + 30 * DAY)), T);
        assert_eq!(clock.at(at(DAY, T + 31 * DAY)), T + 31 * DAY);
        assert_eq!(clock.at(at(DAY + 1, T - 9 * DAY)), T - 9 * DAY);
        assert_eq!(ForgetClock::new(None, at(0, T)).at(at(0, T)), T);
    }
}
