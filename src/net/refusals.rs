//! Counting everybody who was refused, telling about a few of them, and keeping the last of each address and cause: a
//! flood must not fill the log or the core.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Now;
use crate::rate::{Bucket, Rate};
use crate::snapshot::{RefusalCause, RefusalView};

/// Refusals since start, by cause. A pure state machine.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    kinds: BTreeMap<&'static str, Kind>,
    kept: BTreeMap<(IpAddr, &'static str), RefusalView>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    count: u64,
    untold: u64,
    bucket: Bucket,
}

impl Refusals {
    /// Counts one; `certificate` says what is known of the certificate it showed. If it should be told about: how many of
    /// its kind were not, since the last that was.
    pub fn handle_refusal(
        &mut self,
        address: IpAddr,
        cause: &RefusalCause,
        certificate: Option<&str>,
        now: Now,
    ) -> Option<u64> {
        self.keep(address, cause, certificate, now);
        let rate = if cause.needs_a_person() { SERIOUS } else { NOISE };
        let kind = self.kinds.entry(cause.word()).or_default();
        kind.count += 1;
        if kind.bucket.take(rate, now.mono).is_err() {
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

    /// The last refusal of each address and cause, the last one first.
    #[must_use]
    pub fn kept(&self) -> Vec<RefusalView> {
        let mut kept: Vec<_> = self.kept.values().cloned().collect();
        kept.sort_by_key(|it| std::cmp::Reverse(it.last_unix_ms));
        kept
    }

    fn keep(&mut self, address: IpAddr, cause: &RefusalCause, certificate: Option<&str>, now: Now) {
        let key = (address, cause.word());
        if let Some(view) = self.kept.get_mut(&key) {
            view.cause = cause.clone();
            view.certificate = certificate.map(str::to_owned);
            view.times += 1;
            view.last_unix_ms = now.unix.0;
            return;
        }
        if self.kept.len() >= MAX_KEPT {
            // What a flood leaves goes first.
            let worth = |view: &RefusalView| (view.cause.needs_a_person(), view.last_unix_ms);
            let least = self
                .kept
                .iter()
                .min_by_key(|(_, view)| worth(view))
                .map(|(key, _)| *key);
            least.map(|key| self.kept.remove(&key));
        }
        let view = RefusalView {
            address,
            cause: cause.clone(),
            certificate: certificate.map(str::to_owned),
            times: 1,
            first_unix_ms: now.unix.0,
            last_unix_ms: now.unix.0,
        };
        self.kept.insert(key, view);
    }
}

/// Addresses and causes that are kept. Finding the least is linear, so a flood from ever new addresses must not make
/// it long.
const MAX_KEPT: usize = 256;

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
            let now = Now::default().after(Duration::from_millis(ms));
            told.extend(refusals.handle_refusal(host(1), &RefusalCause::NotTls, None, now));
        }
        assert_eq!(told, [0, 999, 999]);
        assert_eq!(refusals.counts(), BTreeMap::from([("not_tls", 3_000)]));
    }

    #[test]
    fn a_rack_of_wrong_harvesters_is_told_one_by_one_while_a_flood_goes_on() {
        let mut refusals = Refusals::default();
        let now = Now::default();
        for _ in 0..1_000 {
            refusals.handle_refusal(host(1), &RefusalCause::NotTls, None, now);
        }
        let told = (0..20)
            .filter_map(|n| refusals.handle_refusal(host(n), &RefusalCause::ForeignCa, None, now))
            .count();
        assert_eq!(told, 20);
    }

    #[test]
    fn each_address_and_cause_is_kept_once_and_a_flood_does_not_push_harvesters_out() {
        let mut refusals = Refusals::default();
        let at = |seconds| Now::default().after(Duration::from_secs(seconds));
        for seconds in 1..=3 {
            refusals.handle_refusal(host(1), &RefusalCause::ForeignCa, Some("CN=Chia"), at(seconds));
        }
        for n in 0..10_000_u32 {
            let stranger = IpAddr::from((n + 0x0b00_0000).to_be_bytes());
            refusals.handle_refusal(stranger, &RefusalCause::NotTls, None, at(10 + u64::from(n)));
        }
        let kept = refusals.kept();
        assert_eq!(kept.len(), MAX_KEPT);
        let harvester = kept.iter().find(|it| it.address == host(1)).expect("kept");
        assert_eq!(
            (harvester.times, harvester.first_unix_ms, harvester.last_unix_ms),
            (3, 1_000, 3_000)
        );
        assert_eq!(harvester.certificate.as_deref(), Some("CN=Chia"));
    }

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }
}
