//! Answers against the deadlines of Chia and of pools.

use farmconsole::snapshot::AttemptOutcome;

/// An answer against the deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lateness {
    /// Within 8 s.
    InTime,
    /// Later than 8 s: Chia warns.
    Late,
    /// Later than 25 s: pools refuse it, and at 28 s the block is lost.
    TooLate,
    /// None came.
    NoAnswer,
}

/// Chia warns, milliseconds.
pub(super) const WARN_MS: u32 = 8_000;
/// Pools refuse a partial, milliseconds.
pub(super) const POOL_MS: u32 = 25_000;
/// The block is lost, milliseconds.
pub(super) const BLOCK_MS: u32 = 28_000;

/// How a time since the signage point stands to the deadlines.
pub(super) const fn lateness_of_ms(ms: u32) -> Lateness {
    if ms < WARN_MS {
        Lateness::InTime
    } else if ms < POOL_MS {
        Lateness::Late
    } else {
        Lateness::TooLate
    }
}

/// How an answer stands to the deadlines: what counts is when it was here, not what the harvester says of its disks.
pub(super) fn lateness(outcome: &AttemptOutcome) -> Lateness {
    match outcome {
        AttemptOutcome::Answered {
            lookup_ms,
            round_trip_ms,
            ..
        } => lateness_of_ms(*lookup_ms.max(round_trip_ms)),
        AttemptOutcome::NoAnswer { .. } => Lateness::NoAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_those_of_chia() {
        assert_eq!(lateness_of_ms(7_999), Lateness::InTime);
        assert_eq!(lateness_of_ms(8_000), Lateness::Late);
        assert_eq!(lateness_of_ms(25_000), Lateness::TooLate);
        let slow_network = AttemptOutcome::Answered {
            passed: 0,
            total: 1,
            proofs: 0,
            lookup_ms: 100,
            round_trip_ms: 9_000,
        };
        assert_eq!(lateness(&slow_network), Lateness::Late);
    }
}
