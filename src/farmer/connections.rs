//! Harvesters come and go.
//!
//! A connection with a certificate that is in use may be the same harvester again, whose old connection is dead without
//! anybody knowing, or a second machine with a copy of the certificate. So the old connection is probed: if it lives, both
//! are served and an alarm says so; if not, the new connection takes its place.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Farmer;
use super::harvesters::{Session, Slot, host_of};
use super::input::HarvesterOrigin;
use super::messages::{self, Words};
use super::output::Output;
use super::plot_lists::Completeness;
use super::plot_news::PlotNews;
use super::plot_sync::Finished;
use super::timers::Timer;
use crate::clock::Now;
use crate::ids::{PeerId, SessionId};
use crate::snapshot::{AlarmKind, ConnectedPeer, DisconnectCause, HarvesterId, Notice, RefusalCause};
use crate::wire::ToHarvester;

impl Farmer {
    /// A harvester is connected.
    pub(super) fn handle_connected(
        &mut self,
        now: Now,
        session: SessionId,
        peer: ConnectedPeer,
        origin: HarvesterOrigin,
    ) {
        if self.harvesters.of_session(session).is_some() {
            return;
        }
        let (embedded, name) = match origin {
            HarvesterOrigin::Embedded { name } => (true, name),
            HarvesterOrigin::Network => {
                let given = self.config.names.get(&peer.peer_id).cloned();
                (false, given.unwrap_or_else(|| host_of(&peer)))
            }
        };
        let doubtful = if embedded {
            Vec::new()
        } else {
            self.doubtful(peer.peer_id)
        };
        let is_its_own = |other| !embedded && self.is_of_same_harvester(peer.peer_id, other);
        let id = match self.harvesters.returning(&peer, embedded, is_its_own) {
            Some(id) => id,
            None => {
                let id = self.harvesters.add(now, name, peer.clone(), embedded);
                if let Some(oldest) = self.harvesters.to_forget() {
                    self.forget(now, oldest);
                }
                id
            }
        };
        self.note_certificate(id, peer.peer_id);
        self.harvesters.attach(now, id, session, peer.clone());
        self.timers.clear(Timer::Absent(id));
        self.timers.set(Timer::PlotSync(session), now.mono + SYNC_STALLS_AFTER);
        let host = peer.address.ip();
        self.close_alarms(now, |kind| match kind {
            AlarmKind::HarvesterAbsent { harvester, .. } => *harvester == id,
            // A person has let it in.
            AlarmKind::ConnectionRefused {
                address,
                cause: RefusalCause::Pending,
                ..
            } => !embedded && *address == host,
            _ => false,
        });
        let peer_id = peer.peer_id;
        self.notice(Notice::HarvesterConnected {
            harvester: id,
            name: self.harvesters.name(id),
            peer,
        });
        self.greet(now, id);
        for old in doubtful {
            self.doubts.insert(old, session);
            self.timers.set(Timer::Doubt(old), now.mono + PROBE_ANSWERED_WITHIN);
            self.outputs.push_back(Output::Probe { session: old });
        }
        if !embedded {
            self.review_certificate(now, peer_id);
        }
    }

    /// A harvester comes with this certificate, maybe with another one than before.
    fn note_certificate(&mut self, id: HarvesterId, to: PeerId) {
        let from = self.harvesters.get(id).map_or(to, |slot| slot.peer.peer_id);
        if from != to {
            let news = PlotNews::CertificateChanged { from, to };
            self.outputs.push_back(Output::PlotNews(news));
        }
    }

    /// Tells a harvester our keys, if there are any, and asks again for what its last connection did not sign.
    pub(super) fn greet(&mut self, now: Now, id: HarvesterId) {
        let Some(handshake) = self.config.keys.handshake() else {
            return;
        };
        if self.send(now, id, None, ToHarvester::HarvesterHandshake(handshake)) {
            if let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut()) {
                session.greeted = true;
            }
            self.ask_again_for_signatures(now, id);
        }
    }

    /// A harvester sent something, whatever it was.
    pub(super) fn handle_heard(&mut self, now: Now, session: SessionId) -> Option<HarvesterId> {
        let id = self.harvesters.of_session(session)?;
        let slot = self.harvesters.get_mut(id)?;
        let peer_id = slot.peer.peer_id;
        if let Some(session) = &mut slot.session {
            session.quiet_since = None;
            session.heard = now.mono;
        }
        if self.doubts.remove(&session).is_some() {
            self.timers.clear(Timer::Doubt(session));
            self.review_certificate(now, peer_id);
        }
        Some(id)
    }

    /// A connection of a harvester has ended.
    pub(super) fn handle_disconnected(&mut self, now: Now, session: SessionId, cause: DisconnectCause) {
        if let Some(newer) = self.doubts.get(&session).copied()
            && let (Some(old_id), Some(new_id)) = (self.harvesters.of_session(session), self.is_in_new_slot(newer))
        {
            return self.replace(now, session, old_id, new_id, cause);
        }
        let Some((id, session)) = self.harvesters.detach(session) else {
            return;
        };
        self.clean_up_after(id, &session);
        let Some(slot) = self.harvesters.get_mut(id) else {
            return;
        };
        slot.asks.handle_disconnect();
        slot.gone_at = now.unix;
        slot.gone_why = cause.to_string();
        let (name, peer) = (slot.name.clone(), slot.peer.clone());
        if cause != DisconnectCause::Shutdown {
            self.timers.set(Timer::Absent(id), now.mono + ABSENT_AFTER);
        }
        let peer_id = peer.peer_id;
        self.notice(Notice::HarvesterDisconnected {
            harvester: id,
            name: name.to_string(),
            peer,
            cause,
        });
        // That it does not answer is said until it is gone for long enough to say that instead.
        self.close_alarms(now, |kind| match kind {
            AlarmKind::HarvesterLate { harvester, .. } | AlarmKind::PlotSyncFailing { harvester, .. } => {
                *harvester == id
            }
            _ => false,
        });
        self.let_go_of_revoked(now);
        self.review_certificate(now, peer_id);
        self.review_shared_plots(now);
        self.try_other_sources(now, id);
        if let Some(oldest) = self.harvesters.to_forget() {
            self.forget(now, oldest);
        }
    }

    /// Nobody waits any more for those whose certificates were revoked, once they are gone.
    pub(super) fn let_go_of_revoked(&mut self, now: Now) {
        for id in self.harvesters.take_revoked() {
            self.timers.clear(Timer::Absent(id));
            self.timers.clear(Timer::MissingPlots(id));
            self.close_alarms(now, |kind| kind.harvester() == Some(id));
            self.review_unlisted_plots(now);
            self.review_pool_rewards(now);
            if let Some(slot) = self.harvesters.get_mut(id) {
                slot.missing.clear();
                let certificate = slot.peer.peer_id;
                self.outputs.push_back(Output::PlotNews(PlotNews::Left { certificate }));
            }
        }
    }

    /// A harvester that went has not come back.
    pub(super) fn handle_absent_timer(&mut self, now: Now, id: HarvesterId) {
        if let Some(alarm) = self.absence(id, None) {
            self.raise(now, alarm);
            self.close_alarms(
                now,
                |kind| matches!(kind, AlarmKind::HarvesterSilent { harvester, .. } if *harvester == id),
            );
        }
    }

    /// The alarm of a harvester that is gone.
    fn absence(&self, id: HarvesterId, refused: Option<String>) -> Option<AlarmKind> {
        let slot = self.harvesters.get(id).filter(|slot| slot.session.is_none())?;
        Some(AlarmKind::HarvesterAbsent {
            harvester: id,
            name: slot.name.to_string(),
            plots: self.harvesters.plots_of(slot),
            why: slot.gone_why.clone(),
            refused,
        })
    }

    /// The old one of two connections with one certificate has not answered the probe.
    pub(super) fn handle_doubt_timer(&mut self, now: Now, old: SessionId) {
        let Some(newer) = self.doubts.remove(&old) else { return };
        // A slot with a past is a harvester of its own, so the newer connection is not the old one's harvester.
        if let (Some(old_id), Some(new_id)) = (self.harvesters.of_session(old), self.is_in_new_slot(newer)) {
            self.outputs.push_back(Output::Close {
                session: old,
                cause: DisconnectCause::Replaced,
            });
            self.replace(now, old, old_id, new_id, DisconnectCause::Replaced);
        }
    }

    /// A connection never became a harvester.
    pub(super) fn handle_refused(&mut self, now: Now, address: SocketAddr, cause: RefusalCause) {
        let word = cause.word();
        // A port scan must not fill the log: one line a second for each cause.
        let last = self.refusal_noticed.get(word);
        if last.is_none_or(|last| now.mono.since(*last) >= Duration::from_secs(1)) {
            self.refusal_noticed.insert(word.to_owned(), now.mono);
            self.notice(Notice::ConnectionRefused {
                address: address.to_string(),
                cause: cause.clone(),
            });
        }
        self.note_absent_refused(now, address.ip().to_canonical(), &cause);
        if cause.needs_a_person() {
            let mut alarm = AlarmKind::ConnectionRefused {
                address: address.ip().to_canonical(),
                cause,
                times: 1,
            };
            let before = match self.alarms.get(&alarm.key()) {
                Some(AlarmKind::ConnectionRefused { times, .. }) => *times,
                _ => 0,
            };
            if let AlarmKind::ConnectionRefused { times, .. } = &mut alarm {
                *times += before;
            }
            self.raise(now, alarm);
        }
    }

    /// The alarm of a harvester that is gone says that its address was refused since, if no other one is gone from there.
    fn note_absent_refused(&mut self, now: Now, address: IpAddr, cause: &RefusalCause) {
        let is_absent = |slot: &Slot| slot.session.is_none() && slot.peer.address.ip().to_canonical() == address;
        let absent: Vec<_> = self.harvesters.all().filter(|(_, slot)| is_absent(slot)).collect();
        let [(id, _)] = absent[..] else { return };
        if let Some(alarm) = self.absence(id, Some(cause.to_string()))
            && self.alarms.get(&alarm.key()).is_some()
        {
            self.raise(now, alarm);
        }
    }

    /// Forgets a harvester that is not connected.
    pub(super) fn forget(&mut self, now: Now, id: HarvesterId) {
        self.harvesters.remove(id);
        self.timers.clear(Timer::Absent(id));
        self.timers.clear(Timer::Answers(id));
        self.timers.clear(Timer::MissingPlots(id));
        self.roll_call.forget(id);
        self.close_alarms(now, |kind| kind.harvester() == Some(id));
        self.review_unlisted_plots(now);
        self.review_pool_rewards(now);
    }

    /// Sends to a harvester, if it is connected.
    pub(super) fn send(&mut self, now: Now, id: HarvesterId, envelope: Option<u16>, message: ToHarvester) -> bool {
        let words = messages::words_to(&message);
        self.send_told(now, id, envelope, message, words)
    }

    /// Sends to a harvester, if it is connected, a message that has been put into words already.
    pub(super) fn send_told(
        &mut self,
        now: Now,
        id: HarvesterId,
        envelope: Option<u16>,
        message: ToHarvester,
        words: Words,
    ) -> bool {
        let Some(slot) = self.harvesters.get(id) else {
            return false;
        };
        let Some(session) = &slot.session else { return false };
        let record = messages::outgoing(now, slot, &message, words);
        self.outputs.push_back(Output::Send {
            session: session.id,
            id: envelope,
            message,
        });
        self.outputs.push_back(Output::Message(record));
        true
    }

    /// Opens, updates or closes the alarm of a certificate that several machines use.
    fn review_certificate(&mut self, now: Now, peer_id: PeerId) {
        let connected: Vec<_> = self.harvesters.of_certificate(peer_id).collect();
        // As long as one of two connections may be dead, they may be one harvester.
        let alive = connected
            .iter()
            .filter(|(_, _, session)| !self.doubts.contains_key(&session.id));
        let addresses: Vec<_> = alive
            .take(MAX_ADDRESSES)
            .map(|(_, slot, _)| slot.peer.address.to_string())
            .collect();
        if addresses.len() > 1 {
            self.raise(now, AlarmKind::CertificateShared { peer_id, addresses });
        } else if connected.len() < 2 {
            let is_it =
                |kind: &AlarmKind| matches!(kind, AlarmKind::CertificateShared { peer_id: of, .. } if *of == peer_id);
            self.close_alarms(now, is_it);
        }
    }

    /// The harvester `old_id` has connected again before its old connection was known to be dead. The new connection got
    /// a slot of its own; it moves over, and that slot is gone.
    fn replace(&mut self, now: Now, old: SessionId, old_id: HarvesterId, new_id: HarvesterId, cause: DisconnectCause) {
        let Some((_, old_session)) = self.harvesters.detach(old) else {
            return;
        };
        self.clean_up_after(old_id, &old_session);
        let Some(new_slot) = self.harvesters.remove(new_id) else {
            return;
        };
        let Some(mut session) = new_slot.session else { return };
        // At its new place its plots are told anew, all of them.
        let is_synced = std::mem::replace(&mut session.synced, false);
        if is_synced {
            for plot in new_slot.lists.plots.values() {
                self.shared_plots.remove(&plot.plot_id, new_id);
            }
        }
        self.timers.clear(Timer::Answers(new_id));
        self.harvesters.move_session(session, old_id);
        let Some(slot) = self.harvesters.get_mut(old_id) else {
            return;
        };
        let old_peer = std::mem::replace(&mut slot.peer, new_slot.peer);
        slot.host = new_slot.host;
        slot.connected_at = new_slot.connected_at;
        slot.connections += 1;
        slot.asks.handle_disconnect();
        slot.asks.append(new_slot.asks);
        slot.proofs += new_slot.proofs;
        slot.invalid_proofs += new_slot.invalid_proofs;
        slot.ignored_messages += new_slot.ignored_messages;
        let (name, peer_id, due) = (Arc::clone(&slot.name), slot.peer.peer_id, slot.asks.due());
        self.timers.put(Timer::Answers(old_id), due);
        self.roll_call.rename(new_id, old_id);
        self.attempts.rename(new_id, old_id, &name);
        self.proofs.rename(new_id, old_id, &name);
        self.rename_in_partials(new_id, old_id);
        self.close_alarms(now, |kind| kind.harvester() == Some(new_id));
        self.notice(Notice::HarvesterDisconnected {
            harvester: old_id,
            name: name.to_string(),
            peer: old_peer,
            cause,
        });
        if is_synced {
            let update = new_slot.lists.into_inner().into_update();
            let finished = Finished {
                update,
                completeness: Completeness::Everything,
                files: 0,
            };
            self.apply_lists(now, old_id, finished);
        }
        self.review_certificate(now, peer_id);
        self.review_answers(now, old_id);
        self.ask_again_for_signatures(now, old_id);
    }

    /// Connections with this certificate that may be dead, if another one comes now.
    fn doubtful(&self, peer_id: PeerId) -> Vec<SessionId> {
        let mut doubtful: Vec<_> = self
            .harvesters
            .of_certificates(|other| self.is_of_same_harvester(peer_id, other))
            .filter(|(_, _, session)| !self.doubts.contains_key(&session.id))
            .map(|(_, _, session)| (session.heard, session.id))
            .collect();
        doubtful.sort_unstable();
        doubtful
            .into_iter()
            .take(MAX_DOUBTS)
            .map(|(_, session)| session)
            .collect()
    }

    /// Whether the connection `newer` is in a slot that was made for it.
    fn is_in_new_slot(&self, newer: SessionId) -> Option<HarvesterId> {
        let id = self.harvesters.of_session(newer)?;
        (self.harvesters.get(id)?.connections == 1).then_some(id)
    }

    /// Whether two certificates are of one harvester: the same, or both of one name in the registry, as after a renewal.
    fn is_of_same_harvester(&self, one: PeerId, other: PeerId) -> bool {
        let name = |certificate| self.config.names.get(&certificate);
        one == other || name(one).is_some_and(|named| name(other) == Some(named))
    }

    /// What ends with a connection, whatever becomes of its harvester.
    fn clean_up_after(&mut self, id: HarvesterId, session: &Session) {
        for timer in [
            Timer::PlotSync(session.id),
            Timer::CrossCheck(session.id),
            Timer::Answers(id),
        ] {
            self.timers.clear(timer);
        }
        let is_over = |old: SessionId, newer: SessionId| old == session.id || newer == session.id;
        let over: Vec<_> = self
            .doubts
            .iter()
            .filter(|(old, newer)| is_over(**old, **newer))
            .map(|(old, _)| *old)
            .collect();
        for old in over {
            self.doubts.remove(&old);
            self.timers.clear(Timer::Doubt(old));
        }
        if session.cross_check.is_some() {
            self.fail_cross_check(id, "its connection has ended");
        }
        if session.synced
            && let Some(slot) = self.harvesters.get(id)
        {
            for plot in slot.lists.plots.values() {
                self.shared_plots.remove(&plot.plot_id, id);
            }
        }
    }
}

/// How long the old connection has to answer a probe. Nearly always it is on the same network, but it may be busy; a
/// certificate that is shared should be known within 5 s.
const PROBE_ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// Old connections that a new one can have come for; with more machines of one certificate, the one that was not heard
/// for the longest time.
const MAX_DOUBTS: usize = 4;

/// Addresses the alarm of a shared certificate names.
const MAX_ADDRESSES: usize = 32;

/// A harvester that restarts is back within a few seconds; official ones try every three.
const ABSENT_AFTER: Duration = Duration::from_secs(10);

/// An official harvester starts its plot sync at once and sends something every few seconds.
pub(super) const SYNC_STALLS_AFTER: Duration = Duration::from_secs(120);
