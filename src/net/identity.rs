//! What one identity (one certificate) may do: how often connect, how many messages send.
//!
//! Limits follow the certificate and never the address, so a harvester that misbehaves costs its neighbours nothing.
//! They are generous: official harvesters reconnect every 3 s and send more than a thousand plot-sync messages a minute;
//! farms exist whose machines all share one certificate. Too many messages are not a crime: the session simply reads
//! them more slowly. A pure state machine.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Mono;
use crate::ids::PeerId;
use crate::rate::{Bucket, Rate};

/// The limits of one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityRates {
    /// Connections.
    pub connections: Rate,
    /// Messages and websocket pings, over all its connections.
    pub messages: Rate,
    /// How long it may not reconnect after it sent something unreadable.
    pub penalty: Duration,
    /// How many identities are remembered.
    pub remembered: usize,
}

impl Default for IdentityRates {
    fn default() -> Self {
        Self {
            connections: Rate {
                burst: 1_024,
                interval: Duration::from_millis(100),
            },
            messages: Rate {
                burst: 5_000,
                interval: Duration::from_millis(2),
            },
            penalty: Duration::from_secs(10),
            remembered: 4_096,
        }
    }
}

/// Every identity seen lately, with its buckets.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    rates: IdentityRates,
    seen: BTreeMap<PeerId, Identity>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Identity {
    connections: Bucket,
    messages: Bucket,
    refused_until: Mono,
    last_seen: Mono,
}

impl Identities {
    /// Nobody seen yet.
    #[must_use]
    pub fn new(rates: IdentityRates) -> Self {
        Self {
            rates,
            ..Self::default()
        }
    }

    /// Somebody who holds this certificate connected.
    ///
    /// # Errors
    /// It comes too often, or misbehaved a moment ago; how long it has to wait.
    pub fn handle_connection(&mut self, peer: PeerId, now: Mono) -> Result<(), Duration> {
        let rate = self.rates.connections;
        let identity = self.entry(peer, now);
        if identity.refused_until > now {
            return Err(identity.refused_until.since(now));
        }
        identity.connections.take(rate, now)
    }

    /// It sent a message.
    ///
    /// # Errors
    /// It sends too fast; how long to wait before reading on.
    pub fn handle_message(&mut self, peer: PeerId, now: Mono) -> Result<(), Duration> {
        let rate = self.rates.messages;
        self.entry(peer, now).messages.take(rate, now)
    }

    /// It sent something that cannot be read: its next connection has to wait.
    pub fn handle_misbehaviour(&mut self, peer: PeerId, now: Mono) {
        let until = now + self.rates.penalty;
        self.entry(peer, now).refused_until = until;
    }

    fn entry(&mut self, peer: PeerId, now: Mono) -> &mut Identity {
        if self.seen.len() >= self.rates.remembered && !self.seen.contains_key(&peer) {
            // First those of whom nothing needs remembering, else the longest unseen.
            self.seen
                .retain(|_, it| !(it.connections.is_full(now) && it.messages.is_full(now) && it.refused_until <= now));
            if self.seen.len() >= self.rates.remembered {
                let oldest = self.seen.iter().min_by_key(|(_, it)| it.last_seen).map(|(id, _)| *id);
                oldest.map(|id| self.seen.remove(&id));
            }
        }
        let identity = self.seen.entry(peer).or_default();
        identity.last_seen = now;
        identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Mono = Mono(50_000_000);

    fn peer(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn reconnecting_every_three_seconds_is_normal_even_for_thirty_clones() {
        let mut identities = Identities::default();
        for round in 0..1_000 {
            let now = START + seconds(3.0) * round;
            for _ in 0..30 {
                assert_eq!(identities.handle_connection(peer(1), now), Ok(()));
            }
        }
    }

    #[test]
    fn a_reconnect_storm_is_slowed_for_that_identity_alone() {
        let mut identities = Identities::default();
        let admitted = (0..10_000)
            .filter(|_| identities.handle_connection(peer(1), START).is_ok())
            .count();
        assert_eq!(admitted, 1_024);
        assert_eq!(identities.handle_connection(peer(2), START), Ok(()));
        assert_eq!(identities.handle_connection(peer(1), START + seconds(0.1)), Ok(()));
    }

    #[test]
    fn plot_sync_of_a_large_farm_is_never_slowed() {
        let mut identities = Identities::default();
        for i in 0..3_000 {
            assert_eq!(
                identities.handle_message(peer(1), START + Duration::from_millis(i)),
                Ok(())
            );
        }
    }

    #[test]
    fn a_flood_is_read_at_five_hundred_a_second() {
        let mut identities = Identities::default();
        let mut now = START;
        let mut read = 0;
        while now.since(START) <= seconds(20.0) {
            match identities.handle_message(peer(1), now) {
                Ok(()) => read += 1,
                Err(wait) => now = now + wait,
            }
        }
        assert_eq!(read, 5_000 + 20 * 500);
    }

    #[test]
    fn misbehaviour_keeps_an_identity_out_for_ten_seconds() {
        let mut identities = Identities::default();
        identities.handle_misbehaviour(peer(1), START);
        assert_eq!(identities.handle_connection(peer(1), START), Err(seconds(10.0)));
        assert_eq!(identities.handle_connection(peer(2), START), Ok(()));
        assert_eq!(identities.handle_connection(peer(1), START + seconds(10.0)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_penalties_survive_strangers() {
        let rates = IdentityRates {
            remembered: 3,
            ..IdentityRates::default()
        };
        let mut identities = Identities::new(rates);
        identities.handle_misbehaviour(peer(1), START);
        for n in 2..100 {
            let now = START + Duration::from_millis(u64::from(n) * 200);
            // Each stranger's bucket is full again when the next one comes.
            identities.handle_connection(peer(n), now).ok();
        }
        assert!(identities.seen.len() <= 3);
        let mut identities = Identities::new(rates);
        identities.handle_misbehaviour(peer(1), START);
        for n in 2..30 {
            identities
                .handle_connection(peer(n), START + Duration::from_millis(u64::from(n) * 200))
                .ok();
        }
        assert!(identities.handle_connection(peer(1), START + seconds(7.0)).is_err());
    }
}
