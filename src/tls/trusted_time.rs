//! What time it is, as far as certificates are concerned.
//!
//! The clock of a farm machine can be wrong: a dead battery says 1970, a slip of a finger 2036. Neither may end a
//! certificate. So a moment counts as past only when two witnesses of three say so: the machine's clock, the blocks of a
//! synced full node, the `Date` of a pool. From there time is carried on by the monotonic clock, and by the file it is
//! kept in over a restart. One witness alone moves nothing, so neither a jumping clock nor a lying node can poison what
//! is kept; it never goes back.
//!
//! Until the clock is confirmed once after a start, the time is only known to lie within a [`TimeSpan`]: nobody knows how
//! long the machine was off.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Mono, Now, UnixMillis};

/// A time that is not known exactly: it lies between these two moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// It is not before this.
    pub earliest: UnixMillis,
    /// Most likely it is this.
    pub likely: UnixMillis,
    /// It is hardly after this.
    pub latest: UnixMillis,
}

impl From<UnixMillis> for TimeSpan {
    fn from(at: UnixMillis) -> Self {
        Self {
            earliest: at,
            likely: at,
            latest: at,
        }
    }
}

impl TimeSpan {
    /// Whether it is known what time it is.
    #[must_use]
    pub const fn is_exact(self) -> bool {
        self.earliest.0 == self.latest.0
    }

    /// The moment of the span at which something that is valid between two moments (unix seconds) is valid, if there is
    /// one; else the one next to them.
    #[must_use]
    pub fn nearest_to(self, from_unix_s: u64, until_unix_s: u64) -> UnixMillis {
        let ms = |seconds: u64| seconds.saturating_mul(1000);
        let wanted = self
            .earliest
            .0
            .clamp(ms(from_unix_s), ms(until_unix_s.max(from_unix_s)));
        UnixMillis(wanted.clamp(self.earliest.0, self.latest.0))
    }
}

/// Who says what time it is, beside the machine's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The timestamp of the newest block of a synced full node.
    Block,
    /// The `Date` of a pool's answer.
    Pool,
}

/// What is known of the time.
#[derive(Clone, Debug)]
pub struct TrustedTime {
    /// A moment that has passed, and when that became known.
    floor: Reading,
    /// Whether [`Self::floor`] was found out since the start.
    is_confirmed: bool,
    newest_block: Option<Reading>,
    newest_pool: Option<Reading>,
    /// What witnesses said lately, allowing for the time it takes them.
    lately: VecDeque<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    unix: UnixMillis,
    at: Mono,
}

impl Reading {
    /// What it says now.
    fn carried(self, now: Mono) -> UnixMillis {
        UnixMillis(self.unix.0.saturating_add(millis(now.since(self.at))))
    }
}

impl TrustedTime {
    /// What is known at the start: what was kept from before, if anything.
    #[must_use]
    pub fn new(kept: Option<UnixMillis>, now: Now) -> Self {
        Self {
            floor: Reading {
                unix: kept.unwrap_or_default().max(BUILT),
                at: now.mono,
            },
            is_confirmed: false,
            newest_block: None,
            newest_pool: None,
            lately: VecDeque::new(),
        }
    }

    /// Between which moments it is now. The clock counts while it agrees within a day with what is known.
    #[must_use]
    pub fn span(&self, now: Now) -> TimeSpan {
        let known = self.floor.carried(now.mono);
        if agree(known, now.unix) {
            return now.unix.into();
        }
        if self.is_confirmed {
            // It was watched all the time since: the clock has jumped.
            return known.into();
        }
        // It may have been off for years. A clock that is behind says nothing of how long.
        let is_possible = now.unix > known;
        TimeSpan {
            earliest: known,
            likely: if is_possible { now.unix } else { known },
            latest: if is_possible {
                now.unix
            } else {
                UnixMillis(known.0.saturating_add(millis(LONGEST_OFF)))
            },
        }
    }

    /// A witness has said what time it is.
    pub fn handle_witness(&mut self, witness: Witness, says: UnixMillis, now: Now) {
        let said = Reading {
            unix: says,
            at: now.mono,
        };
        let (own, other) = match witness {
            Witness::Block => (&mut self.newest_block, self.newest_pool),
            Witness::Pool => (&mut self.newest_pool, self.newest_block),
        };
        let is_news = own.is_none_or(|before| says > before.unix);
        if !is_news {
            // The same block as before: time goes on, and it does not.
            return;
        }
        *own = Some(said);
        let clock = Some(now.unix);
        let others = [clock, other.map(|other| other.carried(now.mono))];
        if let Some(other) = others.into_iter().flatten().find(|other| agree(*other, says)) {
            self.confirm(says.min(other), now);
        }
        let typical = match witness {
            Witness::Block => BLOCK_IS_TOLD_AFTER,
            Witness::Pool => Duration::ZERO,
        };
        if self.lately.len() >= READINGS {
            self.lately.pop_front();
        }
        self.lately.push_back(Reading {
            unix: UnixMillis(says.0.saturating_add(millis(typical))),
            at: now.mono,
        });
    }

    /// By how many seconds the machine's clock is ahead (negative: behind), if it is wrong by more than a minute: the median
    /// of what witnesses said lately, since one block may be told of late. A clock that is wrong by more than an hour is
    /// told of at once.
    #[must_use]
    pub fn clock_ahead_s(&self, now: Now) -> Option<i64> {
        let fresh = self.lately.iter().filter(|it| now.mono.since(it.at) < LATELY);
        let ahead = fresh.map(|it| signed(now.unix.0).saturating_sub(signed(it.carried(now.mono).0)) / 1000);
        let mut ahead: Vec<_> = ahead.collect();
        ahead.sort_unstable();
        let median = *ahead.get(ahead.len() / 2)?;
        let tolerated = if ahead.len() < ENOUGH_READINGS {
            AN_HOUR
        } else {
            CLOCK_IS_RIGHT_WITHIN
        };
        (median.unsigned_abs() > tolerated.as_secs()).then_some(median)
    }

    /// The moment to keep over a restart. None before anything was confirmed.
    #[must_use]
    pub fn to_keep(&self, now: Now) -> Option<UnixMillis> {
        self.is_confirmed.then(|| self.floor.carried(now.mono))
    }

    fn confirm(&mut self, unix: UnixMillis, now: Now) {
        let known = self.floor.carried(now.mono);
        if unix >= known || agree(unix, known) {
            self.is_confirmed = true;
            self.floor = Reading {
                unix: unix.max(known),
                at: now.mono,
            };
        }
    }
}

fn agree(one: UnixMillis, other: UnixMillis) -> bool {
    one.0.abs_diff(other.0) <= millis(DAY)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// 2026-11-01: this program did not run before. Written down and not read from the compiler, so that two builds are the
/// same.
pub const BUILT: UnixMillis = UnixMillis(1_793_491_200_000);

/// A machine that was off for longer is none of a farm any more.
const LONGEST_OFF: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Within this, two witnesses say the same.
const DAY: Duration = Duration::from_secs(86_400);

/// From a block's timestamp until the node is asked: it is infused some signage points later, and asked every ten
/// seconds.
const BLOCK_IS_TOLD_AFTER: Duration = Duration::from_secs(45);

/// A clock that is more wrong than this is told of.
const CLOCK_IS_RIGHT_WITHIN: Duration = Duration::from_secs(60);

/// So many readings show a small error.
const ENOUGH_READINGS: usize = 3;

const AN_HOUR: Duration = Duration::from_secs(3_600);

/// What witnesses said longer ago does not count for the clock.
const LATELY: Duration = Duration::from_secs(600);

/// A reading every ten seconds, for as long as it counts.
const READINGS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);
    const WEEKS: Duration = Duration::from_secs(14 * 86_400);

    /// A machine: what time it really is, how long it has run, and how wrong its clock is.
    struct Machine {
        real: UnixMillis,
        mono: Mono,
        clock: UnixMillis,
        time: TrustedTime,
    }

    impl Machine {
        /// Starts a year after the build, with a clock that says `clock`, and what was kept.
        fn start(clock: impl Fn(UnixMillis) -> UnixMillis, kept: Option<UnixMillis>) -> Self {
            let real = a_year_on();
            let mut it = Self {
                real,
                mono: Mono(5_000_000),
                clock: clock(real),
                time: TrustedTime::new(None, Now::default()),
            };
            it.time = TrustedTime::new(kept, it.now());
            it
        }

        fn now(&self) -> Now {
            Now {
                mono: self.mono,
                unix: self.clock,
            }
        }

        fn wait(&mut self, for_: Duration) {
            self.real.0 += millis(for_);
            self.clock.0 += millis(for_);
            self.mono = self.mono + for_;
        }

        fn hear(&mut self, witness: Witness) {
            let now = self.now();
            self.time.handle_witness(witness, self.real, now);
        }

        fn span(&self) -> TimeSpan {
            self.time.span(self.now())
        }
    }

    fn a_year_on() -> UnixMillis {
        UnixMillis(BUILT.0 + 365 * millis(DAY))
    }

    fn right(real: UnixMillis) -> UnixMillis {
        real
    }

    fn ahead(real: UnixMillis) -> UnixMillis {
        UnixMillis(real.0 + millis(YEARS))
    }

    fn behind(real: UnixMillis) -> UnixMillis {
        UnixMillis(real.0 - millis(YEARS))
    }

    #[test]
    fn clock_that_jumps_by_years_changes_nothing_and_is_told_of() {
        for jump in [ahead, behind, |_| UnixMillis(0)] {
            let mut machine = Machine::start(right, None);
            machine.hear(Witness::Block);
            assert_eq!(machine.span(), machine.real.into());
            machine.clock = jump(machine.real);
            machine.wait(Duration::from_secs(3_600));
            assert_eq!(machine.span(), machine.real.into(), "carried by the monotonic clock");
            let kept = machine.time.to_keep(machine.now()).unwrap();
            assert_eq!(kept, machine.real);
            // What a node says alone, against the clock, is no confirmation, but it shows that the clock is wrong.
            machine.hear(Witness::Block);
            let off = machine.time.clock_ahead_s(machine.now()).unwrap();
            let expected = (signed(machine.clock.0) - signed(machine.real.0)) / 1000;
            assert!(
                off.abs_diff(expected) <= BLOCK_IS_TOLD_AFTER.as_secs(),
                "{off} {expected}"
            );
            assert_eq!(machine.time.to_keep(machine.now()), Some(machine.real));
        }
    }

    #[test]
    fn machine_that_starts_with_a_wrong_clock_goes_on_from_what_it_kept() {
        let kept = UnixMillis(a_year_on().0 - millis(WEEKS));
        for wrong in [behind, |_| UnixMillis(0)] {
            let mut machine = Machine::start(wrong, Some(kept));
            assert_eq!(
                (machine.span().earliest, machine.span().likely),
                (kept, kept),
                "a dead battery"
            );
            assert!(machine.span().latest > machine.real);
            machine.wait(Duration::from_secs(60));
            assert_eq!(machine.span().earliest.0, kept.0 + 60_000);
            assert_eq!(machine.time.to_keep(machine.now()), None, "nothing new is known");
        }
        // In 2037 by its clock: nothing has ended for certain, and nothing is kept of it.
        let machine = Machine::start(ahead, Some(kept));
        assert_eq!(machine.span().earliest, kept);
        assert_eq!(machine.span().latest, machine.clock);
        assert!(!machine.span().is_exact());
        assert_eq!(machine.time.to_keep(machine.now()), None);
        // Without anything that was kept, it is at least when this program was made.
        assert_eq!(Machine::start(|_| UnixMillis(0), None).span().earliest, BUILT);
    }

    #[test]
    fn two_of_three_witnesses_end_the_doubt() {
        let kept = UnixMillis(a_year_on().0 - millis(WEEKS));
        let mut machine = Machine::start(right, Some(kept));
        assert_eq!((machine.span().earliest, machine.span().latest), (kept, machine.clock));
        machine.hear(Witness::Block);
        assert_eq!(machine.span(), machine.real.into(), "clock and block");

        let mut machine = Machine::start(ahead, Some(kept));
        machine.hear(Witness::Pool);
        assert_eq!(machine.span().earliest, kept, "one alone");
        machine.hear(Witness::Block);
        assert_eq!(machine.span(), machine.real.into(), "block and pool, against the clock");
    }

    #[test]
    fn lying_node_moves_nothing_however_often_it_lies() {
        let mut machine = Machine::start(right, None);
        machine.hear(Witness::Block);
        for days in 1..4_000 {
            machine.wait(Duration::from_secs(10));
            let lie = UnixMillis(machine.real.0 + days * millis(DAY) + 1);
            let now = machine.now();
            machine.time.handle_witness(Witness::Block, lie, now);
        }
        assert_eq!(machine.span(), machine.real.into());
        assert_eq!(machine.time.to_keep(machine.now()), Some(machine.real));
    }

    #[test]
    fn time_never_goes_back() {
        let mut machine = Machine::start(right, None);
        machine.hear(Witness::Pool);
        let kept = machine.time.to_keep(machine.now()).unwrap();
        // Both are wrong in the same way: a replayed node, and a clock that was set by it.
        machine.clock = behind(machine.real);
        let now = machine.now();
        machine.time.handle_witness(Witness::Block, machine.clock, now);
        assert_eq!(machine.time.to_keep(machine.now()), Some(kept));
    }

    #[test]
    fn clock_that_is_right_is_not_told_of_though_blocks_come_late() {
        let mut machine = Machine::start(right, None);
        for lag in [30, 80, 100, 45, 20, 130] {
            machine.wait(Duration::from_secs(100));
            let now = machine.now();
            machine
                .time
                .handle_witness(Witness::Block, UnixMillis(machine.real.0 - lag * 1_000), now);
            assert_eq!(machine.time.clock_ahead_s(machine.now()), None, "{lag}");
        }
        machine.clock.0 += 130_000;
        assert_eq!(machine.time.clock_ahead_s(machine.now()), Some(130));
        machine.clock.0 -= 260_000;
        assert_eq!(machine.time.clock_ahead_s(machine.now()), Some(-130));
        // Nobody says anything any more.
        machine.wait(LATELY);
        assert_eq!(machine.time.clock_ahead_s(machine.now()), None);
    }

    #[test]
    fn what_is_valid_at_some_moment_of_a_span_is_found_valid() {
        let span = TimeSpan {
            earliest: UnixMillis(100_000),
            likely: UnixMillis(150_000),
            latest: UnixMillis(200_000),
        };
        assert_eq!(span.nearest_to(0, 1_000), UnixMillis(100_000));
        assert_eq!(span.nearest_to(150, 1_000), UnixMillis(150_000));
        assert_eq!(span.nearest_to(0, 50), UnixMillis(100_000), "it has ended");
        assert_eq!(span.nearest_to(300, 400), UnixMillis(200_000), "it has not begun");
    }
}
