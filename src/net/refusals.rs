//! Counting everybody who was refused, and telling about a few of them: a flood must not fill the log or the core.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bucket::{Bucket, Rate};
use crate::clock::Mono;
use crate::snapshot::RefusalCause;

/// Refusals since start, by cause. A pure state machine.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    count: u64,
    untold: u64,
    bucket: Bucket,
}

impl Refusals {
    /// Counts one. If it should be told about: how many of its kind were not, since the last that was.
    pub fn handle_refusal(&mut self, cause: &RefusalCause, now: Mono) -> Option<u64> {
        let rate = if cause.needs_a_person() { SERIOUS } else { NOISE };
        let kind = self.kinds.entry(cause.word()).or_default();
        kind.count += 1;
        if kind.bucket.take(rate, now).is_err() {
            kind.untold += 1;
            return None;
        }
        Some(std::mem::take(&mut kind.untold))
    }

    /// How many of each cause, by [`RefusalCause::word`].
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.kinds.iter().map(|(word, kind)| (*word, kind.count)).collect()
    }
}

/// Harvesters that are set up wrongly: a rack of them at once is told about one by one.
const SERIOUS: Rate = Rate {
    burst: 32,
    interval: Duration::from_secs(1),
};

/// Port scanners and floods.
const NOISE: Rate = Rate {
    burst: 1,
    interval: Duration::from_secs(1),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_a_second_and_counted_in_full() {
        let mut refusals = Refusals::default();
        let mut told = Vec::new();
        for ms in 0..3_000 {
            let now = Mono(1_000_000) + Duration::from_millis(ms);
            told.extend(refusals.handle_refusal(&RefusalCause::NotTls, now));
        }
        assert_eq!(told, [0, 999, 999]);
        assert_eq!(refusals.counts(), BTreeMap::from([("not_tls", 3_000)]));
    }

    #[test]
    fn a_rack_of_wrong_harvesters_is_told_one_by_one_while_a_flood_goes_on() {
        let mut refusals = Refusals::default();
        let now = Mono(1_000_000);
        for _ in 0..1_000 {
            refusals.handle_refusal(&RefusalCause::NotTls, now);
        }
        let told = (0..20)
            .filter_map(|_| refusals.handle_refusal(&RefusalCause::ForeignCa, now))
            .count();
        assert_eq!(told, 20);
    }
}
