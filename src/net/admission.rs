//! Who may try to authenticate: the rules for connections that have not shown yet that they belong to this farm.
//!
//! A connection costs memory and a TLS handshake before it can be told from a harvester, so their number is capped, in
//! all and per address, and some places are kept for addresses from which a harvester came before. No address gets more
//! places than it leaves free, so that a few that flood, even known ones, settle at shares that leave places for the
//! rest. There are no bans: an address is often a router with other harvesters behind it. A pure state machine;
//! [`super::Listener`] asks it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Mono;
use crate::snapshot::RefusalCause;

/// How many unauthenticated connections there may be at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// In all.
    pub total: usize,
    /// Of those, places that only known addresses get.
    pub reserved_for_known: usize,
    /// From one unknown address.
    pub per_address: usize,
    /// How long an address is known after a harvester authenticated from it.
    pub remember_for: Duration,
    /// How many addresses are remembered; the longest unseen is forgotten.
    pub remembered: usize,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            total: 128,
            reserved_for_known: 32,
            per_address: 8,
            remember_for: Duration::from_secs(24 * 3600),
            remembered: 4_096,
        }
    }
}

/// Unauthenticated connections, counted by address, and the addresses that are known.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    limits: AdmissionLimits,
    trying: BTreeMap<IpAddr, usize>,
    total: usize,
    known: BTreeMap<IpAddr, Mono>,
}

impl Admission {
    /// Nobody connected, nobody known.
    #[must_use]
    pub fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// A connection from `address` was accepted. If it may stay, it counts until [`Self::handle_end`] or
    /// [`Self::handle_authenticated`] is called for it, exactly once.
    ///
    /// # Errors
    /// Too many have not authenticated yet, of this address or in all: close it.
    pub fn handle_connection(&mut self, address: IpAddr, now: Mono) -> Result<(), RefusalCause> {
        let of_address = self.trying.get(&address).copied().unwrap_or(0);
        // A rack of harvesters behind one known router comes back all at once after a restart, and gets half of all.
        let (places, address_cap) = if self.is_known(address, now) {
            (self.limits.total, self.limits.total)
        } else {
            (
                self.limits.total.saturating_sub(self.limits.reserved_for_known),
                self.limits.per_address,
            )
        };
        let free = places.saturating_sub(self.total);
        if free == 0 {
            return Err(RefusalCause::TooMany);
        }
        if of_address >= address_cap.min(free) {
            return Err(RefusalCause::TooManyFromAddress);
        }
        self.trying.insert(address, of_address + 1);
        self.total += 1;
        Ok(())
    }

    /// An admitted connection ended without authenticating.
    pub fn handle_end(&mut self, address: IpAddr) {
        if let Some(count) = self.trying.get_mut(&address) {
            *count -= 1;
            self.total -= 1;
            if *count == 0 {
                self.trying.remove(&address);
            }
        }
    }

    /// An admitted connection turned out to be a harvester: its place is free and its address is known.
    pub fn handle_authenticated(&mut self, address: IpAddr, now: Mono) {
        self.handle_end(address);
        if !self.known.contains_key(&address) && self.known.len() >= self.limits.remembered {
            let longest_unseen = self.known.iter().min_by_key(|(_, seen)| **seen).map(|(a, _)| *a);
            if let Some(forgotten) = longest_unseen {
                self.known.remove(&forgotten);
            }
        }
        self.known.insert(address, now);
    }

    /// Whether a harvester authenticated from this address lately. This machine itself is always known.
    #[must_use]
    pub fn is_known(&self, address: IpAddr, now: Mono) -> bool {
        let seen = self.known.get(&address);
        is_this_machine(address) || seen.is_some_and(|seen| now.since(*seen) < self.limits.remember_for)
    }

    /// Unauthenticated connections at this moment.
    #[must_use]
    pub const fn unauthenticated(&self) -> usize {
        self.total
    }
}

/// The two addresses local programs use. Not all of 127.0.0.0/8, most of which nobody uses in earnest.
fn is_this_machine(address: IpAddr) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr};
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::iter;

    use super::*;

    const NOW: Mono = Mono(1_000_000);

    fn host(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Connects `count` times; how many were admitted.
    fn flood(admission: &mut Admission, address: IpAddr, count: usize, now: Mono) -> usize {
        (0..count)
            .filter(|_| admission.handle_connection(address, now).is_ok())
            .count()
    }

    #[test]
    fn one_unknown_address_gets_eight_places() {
        let mut admission = Admission::default();
        assert_eq!(flood(&mut admission, host(1), 100, NOW), 8);
        assert_eq!(
            admission.handle_connection(host(1), NOW),
            Err(RefusalCause::TooManyFromAddress)
        );
        assert_eq!(admission.handle_connection(host(2), NOW), Ok(()));
        admission.handle_end(host(1));
        assert_eq!(flood(&mut admission, host(1), 100, NOW), 1);
    }

    #[test]
    fn strangers_never_take_the_reserved_places() {
        let mut admission = Admission::default();
        admission.handle_connection(host(200), NOW).unwrap();
        admission.handle_authenticated(host(200), NOW);
        let strangers: usize = (1..=100).map(|n| flood(&mut admission, host(n), 100, NOW)).sum();
        assert_eq!(strangers, 128 - 32);
        assert_eq!(admission.handle_connection(host(150), NOW), Err(RefusalCause::TooMany));
        assert_eq!(flood(&mut admission, host(200), 100, NOW), 32 / 2);
        assert_eq!(admission.unauthenticated(), 128 - 32 / 2);
    }

    #[test]
    fn known_addresses_are_forgotten_after_a_day() {
        let mut admission = Admission::default();
        admission.handle_connection(host(1), NOW).unwrap();
        admission.handle_authenticated(host(1), NOW);
        let almost = NOW + Duration::from_secs(24 * 3600 - 1);
        assert!(admission.is_known(host(1), almost));
        assert!(!admission.is_known(host(1), almost + Duration::from_secs(1)));
        assert_eq!(flood(&mut admission, host(1), 100, almost + Duration::from_secs(1)), 8);
    }

    #[test]
    fn a_rack_behind_one_router_comes_back_at_once() {
        let mut admission = Admission::default();
        admission.handle_connection(host(1), NOW).unwrap();
        admission.handle_authenticated(host(1), NOW);
        assert_eq!(flood(&mut admission, host(1), 100, NOW), 64);
    }

    #[test]
    fn known_addresses_that_flood_settle_at_shares_that_leave_places() {
        let mut admission = Admission::default();
        for n in 1..=11 {
            admission.handle_connection(host(n), NOW).unwrap();
            admission.handle_authenticated(host(n), NOW);
        }
        let mut held = VecDeque::new();
        for _ in 0..100 {
            for attacker in (1..=10).map(host) {
                let admitted = flood(&mut admission, attacker, 100, NOW);
                held.extend(iter::repeat_n(attacker, admitted));
            }
            // A tenth of the 5 s that a connection has.
            for timed_out in held.drain(..held.len() / 10) {
                admission.handle_end(timed_out);
            }
        }
        for attacker in (1..=10).map(host) {
            flood(&mut admission, attacker, 100, NOW);
        }
        assert!(admission.unauthenticated() <= 124, "{}", admission.unauthenticated());
        assert_eq!(flood(&mut admission, host(11), 2, NOW), 2);
    }

    #[test]
    fn this_machine_is_known_and_its_other_addresses_are_not() {
        let admission = Admission::default();
        assert!(admission.is_known(IpAddr::from([127, 0, 0, 1]), NOW));
        assert!(!admission.is_known(IpAddr::from([127, 0, 1, 7]), NOW));
    }

    #[test]
    fn memory_for_known_addresses_is_bounded() {
        let limits = AdmissionLimits {
            remembered: 2,
            ..AdmissionLimits::default()
        };
        let mut admission = Admission::new(limits);
        for n in 1..=3 {
            admission.handle_connection(host(n), NOW).unwrap();
            admission.handle_authenticated(host(n), NOW + Duration::from_secs(n.into()));
        }
        let known: Vec<bool> = (1..=3).map(|n| admission.is_known(host(n), NOW)).collect();
        assert_eq!(known, [false, true, true]);
    }

    #[test]
    fn every_place_is_given_back() {
        let mut admission = Admission::default();
        for round in 0..1_000u32 {
            let address = host(u8::try_from(round % 7).unwrap());
            if admission.handle_connection(address, NOW).is_ok() {
                if round % 3 == 0 {
                    admission.handle_authenticated(address, NOW);
                } else {
                    admission.handle_end(address);
                }
            }
        }
        admission.handle_end(host(99));
        assert_eq!((admission.unauthenticated(), admission.trying.len()), (0, 0));
    }
}
