//! The harvesters of the farm: a slot for each, which stays while connections come and go.
//!
//! Nothing that belongs to a connection is keyed by certificate: two machines may use one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::asks::Asks;
use super::clock_set::ClockSet;
use super::eligibility::Eligibility;
use super::peer_clock::PeerClock;
use super::plot_lists::PlotLists;
use super::plot_news::{Comparison, PlotPlace};
use super::plot_sync::Receiver;
use super::shared::Shared;
use crate::clock::{Mono, Now, UnixMillis};
use crate::ids::{PeerId, PlotId, SessionId};
use crate::snapshot::{ConnectedPeer, CrossCheckView, HarvesterId, HarvesterState, PlotChangeView};
use crate::wire::{HarvesterLayout, ProtocolVersion};

/// All harvesters, connected or remembered.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Harvesters {
    slots: BTreeMap<HarvesterId, Slot>,
    sessions: BTreeMap<SessionId, HarvesterId>,
    made: u32,
    /// Certificates that a person has revoked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) revoked: BTreeSet<PeerId>,
    /// Plots that harvesters had in earlier runs, by certificate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) past_plots: BTreeMap<PeerId, u64>,
}

/// One harvester.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Slot {
    /// Name for people; unique.
    pub(super) name: Arc<str>,
    /// IP address of `peer`, as people write it.
    pub(super) host: Arc<str>,
    /// The running connection's peer, or the last one's.
    pub(super) peer: ConnectedPeer,
    /// Whether it runs in this process.
    pub(super) embedded: bool,
    /// The running connection.
    pub(super) session: Option<Session>,
    /// First connection.
    pub(super) first_seen: UnixMillis,
    /// Start of the running or last connection.
    pub(super) connected_at: UnixMillis,
    /// End of the last connection.
    pub(super) gone_at: UnixMillis,
    /// Why the last connection ended, as a fragment.
    pub(super) gone_why: String,
    /// Whether it is gone for good: its certificate was revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) revoked: bool,
    /// Connections so far.
    pub(super) connections: u64,
    /// What it was asked and answered.
    pub(super) asks: Asks,
    /// What it has, as of its last finished plot sync on any connection.
    pub(super) lists: Shared<PlotLists>,
    /// Plots that went and have not come back, by directory, while an alarm says so.
    pub(super) lost: BTreeMap<String, BTreeMap<PlotId, LostPlot>>,
    /// Plots that were removed in the last sync, while there were files that are told of in the next one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) replaced: BTreeMap<PlotId, LostPlot>,
    /// Plots of an earlier run that it has not told of, until they are judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) missing: Vec<PlotPlace>,
    /// How far somebody is who compares its plots with what is remembered.
    #[serde(default, skip_serializing_if = "Comparison::is_over")]
    pub(super) comparison: Comparison,
    /// Last finished plot sync.
    pub(super) last_sync: Option<UnixMillis>,
    /// Last plot sync message that was refused, until a sync is finished.
    pub(super) last_sync_error: Option<String>,
    /// Last change after the first sync.
    pub(super) last_plot_change: Option<PlotChangeView>,
    /// Last answer to a request for its plots.
    pub(super) cross_check: Option<CrossCheckView>,
    /// Proofs it sent.
    pub(super) proofs: u64,
    /// Of those, invalid ones.
    pub(super) invalid_proofs: u64,
    /// Messages of unknown number.
    pub(super) ignored_messages: u64,
    /// Its filter against chance and against our own count.
    pub(super) eligibility: Eligibility,
    /// Its clock against ours.
    #[serde(default, skip_serializing_if = "PeerClock::agrees")]
    pub(super) clock: PeerClock,
}

/// A plot that went and has not come back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct LostPlot {
    /// Where it was.
    pub(super) path: Box<str>,
    /// When it went.
    pub(super) at: UnixMillis,
}

impl LostPlot {
    pub(super) fn new(path: &str, now: Now) -> Self {
        Self {
            path: path.into(),
            at: now.unix,
        }
    }
}

/// One connection of a harvester.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Session {
    /// Its number.
    pub(super) id: SessionId,
    /// Form of its messages.
    pub(super) layout: HarvesterLayout,
    /// Whether it was told our keys; before that it ignores signage points.
    pub(super) greeted: bool,
    /// Its plot sync.
    pub(super) receiver: Receiver,
    /// Whether a plot sync was finished on this connection.
    pub(super) synced: bool,
    /// Last time its plot sync moved.
    pub(super) sync_moved: Mono,
    /// Plot sync messages refused since a sync was finished.
    pub(super) sync_errors: u32,
    /// When something came from it last.
    pub(super) heard: Mono,
    /// Since when nothing was heard, if that is long.
    pub(super) quiet_since: Option<Mono>,
    /// Whether it has answered a signage point on this connection.
    pub(super) answered: bool,
    /// Id of the request for its plots that is under way.
    pub(super) cross_check: Option<u16>,
    /// Ids of requests under way.
    pub(super) requests: BTreeSet<u16>,
    next_request: u16,
}

impl Harvesters {
    /// The harvester of a connection.
    pub(super) fn of_session(&self, session: SessionId) -> Option<HarvesterId> {
        self.sessions.get(&session).copied()
    }

    /// The harvester over the network with this certificate, the last of several.
    pub(super) fn of_peer(&self, peer_id: PeerId) -> Option<HarvesterId> {
        let is_it = |(_, slot): &(HarvesterId, &Slot)| slot.peer.peer_id == peer_id && !slot.embedded;
        self.all().filter(is_it).last().map(|(id, _)| id)
    }

    /// A harvester.
    pub(super) fn get(&self, id: HarvesterId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// A harvester, to change it.
    pub(super) fn get_mut(&mut self, id: HarvesterId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    /// How many there are, the absent ones among them.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All, in order of first connection.
    pub(super) fn all(&self) -> impl Iterator<Item = (HarvesterId, &Slot)> {
        self.slots.iter().map(|(id, slot)| (*id, slot))
    }

    /// All, to change them.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (HarvesterId, &mut Slot)> {
        self.slots.iter_mut().map(|(id, slot)| (*id, slot))
    }

    /// Those that are connected.
    pub(super) fn connected(&self) -> impl Iterator<Item = (HarvesterId, &Slot, &Session)> {
        self.all()
            .filter_map(|(id, slot)| Some((id, slot, slot.session.as_ref()?)))
    }

    /// Name of a harvester; empty if it is forgotten.
    pub(super) fn name(&self, id: HarvesterId) -> String {
        self.get(id).map(|slot| slot.name.to_string()).unwrap_or_default()
    }

    /// The slot a connecting harvester had before: same certificate, or another one that is its own too, not connected;
    /// of several the one with this certificate, then the one at the same address, then the one that went last.
    pub(super) fn returning(
        &self,
        peer: &ConnectedPeer,
        embedded: bool,
        is_its_own: impl Fn(PeerId) -> bool,
    ) -> Option<HarvesterId> {
        let host = host_of(peer);
        let is_same = |slot: &Slot| slot.peer.peer_id == peer.peer_id;
        self.all()
            .filter(|(_, slot)| slot.session.is_none() && (is_same(slot) || is_its_own(slot.peer.peer_id)))
            .filter(|(_, slot)| slot.embedded == embedded)
            .max_by_key(|(id, slot)| (is_same(slot), host_of(&slot.peer) == host, slot.gone_at, *id))
            .map(|(id, _)| id)
    }

    /// Plots of a harvester as of now, or as of when it was here last, if that was in an earlier run.
    pub(super) fn plots_of(&self, slot: &Slot) -> u64 {
        if slot.session.is_none() && slot.last_sync.is_none() {
            self.past_plots.get(&slot.peer.peer_id).copied().unwrap_or_default()
        } else {
            slot.plots()
        }
    }

    /// Makes a slot for a harvester nobody has seen.
    pub(super) fn add(&mut self, now: Now, name: String, peer: ConnectedPeer, embedded: bool) -> HarvesterId {
        self.made += 1;
        let id = HarvesterId(self.made);
        let slot = Slot {
            name: self.unique_name(name, id).into(),
            host: host_of(&peer).into(),
            peer,
            embedded,
            session: None,
            first_seen: now.unix,
            connected_at: now.unix,
            gone_at: now.unix,
            gone_why: String::new(),
            revoked: false,
            connections: 0,
            asks: Asks::default(),
            lists: Shared::default(),
            lost: BTreeMap::new(),
            replaced: BTreeMap::new(),
            missing: Vec::new(),
            comparison: Comparison::Over,
            last_sync: None,
            last_sync_error: None,
            last_plot_change: None,
            cross_check: None,
            proofs: 0,
            invalid_proofs: 0,
            ignored_messages: 0,
            eligibility: Eligibility::default(),
            clock: PeerClock::default(),
        };
        self.slots.insert(id, slot);
        id
    }

    /// The harvester that has been gone longest, if too many are remembered.
    pub(super) fn to_forget(&self) -> Option<HarvesterId> {
        let absent = || self.all().filter(|(_, slot)| slot.session.is_none());
        if absent().count() <= MAX_ABSENT {
            return None;
        }
        absent().min_by_key(|(id, slot)| (slot.gone_at, *id)).map(|(id, _)| id)
    }

    /// Puts a connection into a slot.
    pub(super) fn attach(&mut self, now: Now, id: HarvesterId, session: SessionId, peer: ConnectedPeer) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.session = Some(Session::new(now, session, &peer));
            slot.host = host_of(&peer).into();
            slot.peer = peer;
            slot.connected_at = now.unix;
            slot.connections += 1;
            slot.revoked = false;
            self.sessions.insert(session, id);
        }
    }

    /// Notes which of those that are gone were revoked, and says which of them were not noted before.
    pub(super) fn take_revoked(&mut self) -> Vec<HarvesterId> {
        let is_one = |slot: &Slot| slot.session.is_none() && self.revoked.contains(&slot.peer.peer_id);
        let slots = self.slots.iter_mut().filter(|(_, slot)| !slot.revoked && is_one(slot));
        slots
            .map(|(id, slot)| {
                slot.revoked = true;
                *id
            })
            .collect()
    }

    /// Takes a connection out of its slot.
    pub(super) fn detach(&mut self, session: SessionId) -> Option<(HarvesterId, Session)> {
        let id = self.sessions.remove(&session)?;
        let session = self.slots.get_mut(&id)?.session.take()?;
        Some((id, session))
    }

    /// Puts a connection that was in another slot into this one.
    pub(super) fn move_session(&mut self, session: Session, to: HarvesterId) {
        if let Some(slot) = self.slots.get_mut(&to) {
            self.sessions.insert(session.id, to);
            slot.session = Some(session);
        }
    }

    /// Takes a slot away.
    pub(super) fn remove(&mut self, id: HarvesterId) -> Option<Slot> {
        self.slots.remove(&id)
    }

    /// This name, or with a number behind it if another harvester has it.
    pub(super) fn unique_name(&self, name: String, id: HarvesterId) -> String {
        let others = self.all().filter(|(other, _)| *other != id);
        let taken: BTreeSet<&str> = others.map(|(_, slot)| &*slot.name).collect();
        if !taken.contains(name.as_str()) {
            return name;
        }
        let mut numbered = (2..=taken.len() + 2).map(|number| format!("{name} ({number})"));
        numbered.find(|name| !taken.contains(name.as_str())).unwrap_or(name)
    }

    /// Connected harvesters over the network that use one of these certificates.
    pub(super) fn of_certificates(
        &self,
        is_one: impl Fn(PeerId) -> bool,
    ) -> impl Iterator<Item = (HarvesterId, &Slot, &Session)> {
        self.connected()
            .filter(move |(_, slot, _)| is_one(slot.peer.peer_id) && !slot.embedded)
    }

    /// Connected harvesters that use this certificate over the network.
    pub(super) fn of_certificate(&self, peer_id: PeerId) -> impl Iterator<Item = (HarvesterId, &Slot, &Session)> {
        self.connected()
            .filter(move |(_, slot, _)| slot.peer.peer_id == peer_id && !slot.embedded)
    }
}

impl Slot {
    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        let lost = self.lost.values_mut().flat_map(BTreeMap::values_mut);
        let lost = lost.chain(self.replaced.values_mut()).map(|plot| &mut plot.at);
        let own = [&mut self.first_seen, &mut self.connected_at, &mut self.gone_at];
        for at in own.into_iter().chain(&mut self.last_sync).chain(lost) {
            set.carry_unix(at);
        }
        let change = self.last_plot_change.as_mut().map(|it| &mut it.at_unix_ms);
        let check = self.cross_check.as_mut().map(|it| &mut it.at_unix_ms);
        for at in change.into_iter().chain(check) {
            set.carry(at);
        }
        self.asks.carry_times(set);
    }

    /// Whether it runs on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.embedded || self.peer.address.ip().to_canonical().is_loopback()
    }

    /// Whether it is connected and has told of its plots.
    pub(super) fn is_synced(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.synced)
    }

    /// Whether it is telling of its plots, or about to.
    pub(super) fn tells_of_plots(&self, now: Mono) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| !session.synced && now.since(session.sync_moved) < SYNC_HANGS_AFTER)
    }

    /// Plots that count: none while a connection has not told of them.
    pub(super) fn plots(&self) -> u64 {
        match &self.session {
            Some(session) if !session.synced => 0,
            _ => self.lists.plots.len() as u64,
        }
    }

    /// What it is doing.
    pub(super) fn state(&self, now: Mono) -> HarvesterState {
        let Some(session) = &self.session else {
            let since_unix_ms = self.gone_at.0;
            return if self.revoked {
                HarvesterState::Revoked { since_unix_ms }
            } else {
                HarvesterState::Absent { since_unix_ms }
            };
        };
        let (processed, total) = session.receiver.progress();
        let unanswered = self.asks.unanswered_in_a_row();
        if let Some(since) = session.quiet_since {
            HarvesterState::Suspect {
                for_s: now.since(since).as_secs(),
            }
        } else if !session.synced && now.since(session.sync_moved) < SYNC_HANGS_AFTER {
            HarvesterState::Syncing { processed, total }
        } else if unanswered >= SILENT_FROM {
            HarvesterState::Silent { unanswered }
        } else if !session.synced {
            HarvesterState::Syncing { processed, total }
        } else if !session.answered {
            HarvesterState::NotChallenged
        } else if self.asks.late_of_last_ten().0 > 0 {
            HarvesterState::Late
        } else {
            HarvesterState::Farming
        }
    }

    /// Whether it farms, whatever else is wrong with it: it answers, and it has plots.
    pub(super) fn is_farming(&self) -> bool {
        let answers = self.session.as_ref().is_some_and(|session| session.answered);
        answers && self.asks.unanswered_in_a_row() < SILENT_FROM && self.has_plots()
    }

    /// Whether it has plots, as far as anybody knows.
    pub(super) fn has_plots(&self) -> bool {
        self.plots() > 0 || self.asks.last_answer().is_some_and(|answer| answer.total > 0)
    }
}

impl Session {
    fn new(now: Now, id: SessionId, peer: &ConnectedPeer) -> Self {
        // A version that cannot be read has passed the handshake, so it is a new one.
        let version = peer.protocol_version.parse().unwrap_or(ProtocolVersion::CURRENT);
        Self {
            id,
            layout: HarvesterLayout::for_version(&version),
            greeted: false,
            receiver: Receiver::default(),
            synced: false,
            sync_moved: now.mono,
            sync_errors: 0,
            heard: now.mono,
            quiet_since: None,
            answered: false,
            cross_check: None,
            requests: BTreeSet::new(),
            next_request: FIRST_REQUEST_ID,
        }
    }

    /// An id for a request of ours, different from those under way; `None` if far too many are.
    pub(super) fn new_request_id(&mut self) -> Option<u16> {
        if self.requests.len() >= MAX_REQUESTS {
            return None;
        }
        while self.requests.contains(&self.next_request) {
            self.next_request = after(self.next_request);
        }
        let id = self.next_request;
        self.next_request = after(id);
        self.requests.insert(id);
        Some(id)
    }
}

/// IP address of a peer, as people write it.
pub(super) fn host_of(peer: &ConnectedPeer) -> String {
    peer.address.ip().to_canonical().to_string()
}

const fn after(request: u16) -> u16 {
    if request == u16::MAX {
        FIRST_REQUEST_ID
    } else {
        request + 1
    }
}

/// Requests of the side that was dialled have ids from here, so that those of both sides never meet.
const FIRST_REQUEST_ID: u16 = 0x8000;

/// Requests under way at one harvester: more block signatures than ever wait at the same time.
const MAX_REQUESTS: usize = 256;

/// A harvester that leaves this many signage points in a row unanswered is silent.
pub(super) const SILENT_FROM: u64 = 2;

/// When the first plot sync has not moved that long, being busy with it is no excuse for silence.
const SYNC_HANGS_AFTER: Duration = Duration::from_secs(30);

/// Harvesters that are remembered though they are gone.
pub(super) const MAX_ABSENT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(certificate: u8, address: &str) -> ConnectedPeer {
        ConnectedPeer {
            peer_id: PeerId([certificate; 32]),
            address: address.parse().expect("an address"),
            software_version: "2.7.5".to_owned(),
            protocol_version: "0.0.38".to_owned(),
        }
    }

    #[test]
    fn request_ids_wrap_and_skip_those_under_way() {
        let mut session = Session::new(Now::default(), SessionId(1), &peer(1, "10.0.0.1:1"));
        assert_eq!(session.new_request_id(), Some(0x8000));
        session.next_request = u16::MAX;
        assert_eq!(session.new_request_id(), Some(u16::MAX));
        assert_eq!(session.new_request_id(), Some(0x8001), "0x8000 is still under way");
        while session.new_request_id().is_some() {}
        assert_eq!(session.requests.len(), MAX_REQUESTS);
    }

    #[test]
    fn returning_harvester_takes_the_slot_of_its_address_then_the_last_one() {
        let mut harvesters = Harvesters::default();
        let first = harvesters.add(Now::default(), "a".to_owned(), peer(1, "10.0.0.1:1"), false);
        let later = Now::default().after(Duration::from_secs(1));
        let second = harvesters.add(later, "b".to_owned(), peer(1, "10.0.0.2:1"), false);
        assert_eq!(
            harvesters.returning(&peer(1, "10.0.0.1:9"), false, |_| false),
            Some(first)
        );
        assert_eq!(
            harvesters.returning(&peer(1, "10.0.0.9:9"), false, |_| false),
            Some(second)
        );
        assert_eq!(harvesters.returning(&peer(2, "10.0.0.1:1"), false, |_| false), None);
        assert_eq!(harvesters.returning(&peer(1, "10.0.0.1:9"), true, |_| false), None);
        harvesters.attach(later, first, SessionId(7), peer(1, "10.0.0.1:9"));
        assert_eq!(
            harvesters.returning(&peer(1, "10.0.0.1:9"), false, |_| false),
            Some(second)
        );
    }

    #[test]
    fn names_are_unique() {
        let mut harvesters = Harvesters::default();
        for _ in 0..3 {
            harvesters.add(Now::default(), "127.0.0.1".to_owned(), peer(1, "127.0.0.1:1"), false);
        }
        let names: Vec<_> = harvesters.all().map(|(_, slot)| &*slot.name).collect();
        assert_eq!(names, ["127.0.0.1", "127.0.0.1 (2)", "127.0.0.1 (3)"]);
    }
}
