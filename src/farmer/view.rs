//! The picture of the farm. Takes time by the number of harvesters, never by the number of plots.

use std::collections::BTreeSet;

use super::Farmer;
use super::asks::percentile;
use super::harvesters::Slot;
use super::nodes::{Node, signage_point_view};
use crate::clock::Now;
use crate::ids::PeerId;
use crate::snapshot::{
    Awaited, Counters, FarmSnapshot, FarmStatus, FarmTotals, HarvesterId, HarvesterView, KeysView, MonitorView,
    RollCallView, SNAPSHOT_VERSION, SignagePointCounts, SubSlotCell,
};
use crate::units::SIGNAGE_POINTS_PER_SUB_SLOT;

impl Farmer {
    /// The whole farm at this moment.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> FarmSnapshot {
        let newest = self
            .signage_points
            .newest()
            .and_then(|(_, point)| Some((point, point.first()?)));
        let sub_slot = newest.map_or_else(
            || vec![SubSlotCell::Ahead; usize::from(SIGNAGE_POINTS_PER_SUB_SLOT)],
            |(_, message)| self.roll_call.cells(&message.challenge_hash, self.missed.of_sub_slot()),
        );
        let shared = self.shared_certificates();
        FarmSnapshot {
            snapshot_version: SNAPSHOT_VERSION,
            software_version: self.config.software_version.clone(),
            taken_at_unix_ms: now.unix.0,
            started_at_unix_ms: self.started.unix.0,
            network: self.config.network.clone(),
            simulated: self.config.simulated,
            status: self.status(now),
            nodes: self.nodes.values().map(Node::view).collect(),
            listening_on: self.listening.iter().map(ToString::to_string).collect(),
            keys: self.keys_view(),
            signage_point: newest.map(|(point, message)| signage_point_view(point.received, message)),
            sub_slot,
            signage_points: self.signage_point_counts(now),
            harvesters: self
                .harvesters
                .all()
                .map(|(id, slot)| self.harvester_view(now, id, slot, &shared))
                .collect(),
            attempts: self.attempts.rows().cloned().collect(),
            roll_call: self.roll_call_views(),
            proofs: self.proofs.views().cloned().collect(),
            totals: self.totals(),
            wins: self.wins,
            pools: self.pool_views(now),
            alarms: self.alarms.views(now),
            alarm_history: self.alarms.history(),
            counters: Counters {
                dropped_alarms: self.alarms.dropped(),
                ..self.counters.clone()
            },
            simulated_chain: self.simulated_chain.clone(),
            // Whoever runs the farmer knows of queues and memory.
            monitor: MonitorView::default(),
            luck: self.luck_view(now),
            history: self.history.clone(),
            silences: self.alarms.silences(now),
        }
    }

    /// Those of earlier runs count for the last 24 hours.
    fn signage_point_counts(&self, now: Now) -> SignagePointCounts {
        let mut counts = self.missed.counts(now.mono);
        let (received, missed) = self.luck.points_before(now);
        counts.received_24h += received;
        counts.missed_24h += missed;
        counts
    }

    /// Whether the farm farms: told from answers, never from an open connection.
    fn status(&self, now: Now) -> FarmStatus {
        let uptime = now.mono.since(self.started.mono);
        let since = self.since_signage_point(now.mono);
        let is_young = uptime < STARTING_FOR;
        if self.config.keys.handshake().is_none() {
            return FarmStatus::NoKeys;
        }
        let starting = |waits_for| FarmStatus::Starting { waits_for };
        if self.signage_points.newest().is_none() && is_young {
            return starting(Awaited::SignagePoint);
        }
        if !self.nodes.values().any(Node::is_up) || since > self.silence_limit() {
            return if self.nodes.values().any(Node::says_unsynced) {
                FarmStatus::NotSynced
            } else {
                FarmStatus::NoSignagePoints { for_s: since.as_secs() }
            };
        }
        let connected: Vec<_> = self.harvesters.connected().map(|(_, slot, _)| slot).collect();
        if connected.is_empty() {
            return if is_young {
                starting(Awaited::Harvester)
            } else {
                FarmStatus::NoHarvester
            };
        }
        if connected.iter().any(|slot| slot.is_farming()) {
            return FarmStatus::Farming;
        }
        if let Some(since) = connected.iter().filter_map(|slot| slot.asks.silent_since()).min() {
            return FarmStatus::NoAnswers {
                for_s: now.mono.since(since).as_secs(),
            };
        }
        // Nobody has no plots before everybody has told of them; and at the start the first may still be on their way.
        if connected.iter().any(|slot| slot.has_plots()) {
            starting(Awaited::Answer)
        } else if connected.iter().any(|slot| slot.tells_of_plots(now.mono)) {
            starting(Awaited::PlotLists)
        } else if is_young {
            starting(Awaited::Plots)
        } else {
            FarmStatus::NoPlots
        }
    }

    fn keys_view(&self) -> KeysView {
        let keys = &self.config.keys;
        KeysView {
            farmer_public_keys: keys.farmer_public_keys.iter().map(ToString::to_string).collect(),
            pool_public_keys: keys.pool_public_keys.iter().map(ToString::to_string).collect(),
            farmer_target: keys.farmer_target,
            pool_target: keys.pool_target,
            farmer_address: keys.farmer_address.clone(),
        }
    }

    fn harvester_view(&self, now: Now, id: HarvesterId, slot: &Slot, shared: &BTreeSet<PeerId>) -> HarvesterView {
        let is_counted = slot.session.as_ref().is_none_or(|session| session.synced);
        let counted = |count: u64| if is_counted { count } else { 0 };
        let counts = slot.asks.counts();
        let lookups_ms = slot.asks.lookups_ms();
        let mut sorted: Vec<_> = lookups_ms.iter().flatten().copied().collect();
        sorted.sort_unstable();
        HarvesterView {
            id,
            name: slot.name.to_string(),
            peer_id: slot.peer.peer_id,
            host: slot.host.to_string(),
            port: slot.peer.address.port(),
            local: slot.is_local(),
            software_version: slot.peer.software_version.clone(),
            protocol_version: slot.peer.protocol_version.clone(),
            state: slot.state(now.mono),
            certificate_shared: slot.session.is_some() && !slot.embedded && shared.contains(&slot.peer.peer_id),
            first_seen_unix_ms: slot.first_seen.0,
            connected_at_unix_ms: slot.connected_at.0,
            connections: slot.connections,
            plots: self.harvesters.plots_of(slot),
            plot_bytes: counted(slot.lists.plot_bytes().0),
            effective_bytes: counted(slot.lists.effective_bytes().0),
            failed: counted(slot.lists.failed.len() as u64),
            no_key: counted(slot.lists.no_key.len() as u64),
            duplicates: counted(slot.lists.duplicates.len() as u64),
            shared_plots: self.shared_plots.of(id),
            harvesting_mode: slot
                .session
                .as_ref()
                .map_or(0, |session| session.receiver.harvesting_mode()),
            last_sync_unix_ms: slot.last_sync.map(|at| at.0),
            last_sync_error: slot.last_sync_error.clone(),
            last_plot_change: slot.last_plot_change.clone(),
            cross_check: slot.cross_check.clone(),
            challenged: counts.challenged,
            answered: counts.answered,
            answered_late: counts.answered_late,
            unanswered: counts.unanswered,
            dropped: counts.dropped,
            proofs: slot.proofs,
            invalid_proofs: slot.invalid_proofs,
            last_answer: slot.asks.last_answer().cloned(),
            lookups_ms,
            lookup_p50_ms: percentile(&sorted, 50),
            lookup_p95_ms: percentile(&sorted, 95),
            lookup_max_ms: sorted.last().copied(),
            ignored_messages: slot.ignored_messages,
            eligibility: slot.eligibility.view(now),
        }
    }

    /// Certificates that more than one connected harvester uses.
    fn shared_certificates(&self) -> BTreeSet<PeerId> {
        let (mut once, mut shared) = (BTreeSet::new(), BTreeSet::new());
        for (_, slot, _) in self.harvesters.connected().filter(|(_, slot, _)| !slot.embedded) {
            if !once.insert(slot.peer.peer_id) {
                shared.insert(slot.peer.peer_id);
            }
        }
        shared
    }

    fn roll_call_views(&self) -> Vec<RollCallView> {
        let view = |entry: &super::attempts::RollCallEntry| RollCallView {
            at_unix_ms: entry.at_unix_ms,
            signage_point_index: entry.index,
            sp_hash: entry.sp_hash,
            challenge_hash: entry.challenge_hash,
            asked: entry.asked,
            in_time: entry.in_time,
            late: entry.late,
            plots: entry.plots,
            passed: entry.passed,
            proofs: entry.proofs,
            waiting_for: entry
                .waiting
                .iter()
                .take(8)
                .map(|id| self.harvesters.name(*id))
                .collect(),
        };
        self.roll_call.entries().map(view).collect()
    }

    fn totals(&self) -> FarmTotals {
        let mut totals = FarmTotals {
            shared_plots: self.shared_plots.total(),
            ca_key_copies: self.ca_key_copies,
            ..FarmTotals::default()
        };
        for (_, slot) in self.harvesters.all() {
            let Some(session) = &slot.session else {
                totals.absent += u64::from(!slot.revoked);
                continue;
            };
            totals.connected += 1;
            if session.synced {
                let lists = &slot.lists;
                totals.plots += lists.plots.len() as u64;
                totals.plot_bytes = totals.plot_bytes.saturating_add(lists.plot_bytes().0);
                totals.effective_bytes = totals.effective_bytes.saturating_add(lists.effective_bytes().0);
                totals.failed += lists.failed.len() as u64;
                totals.no_key += lists.no_key.len() as u64;
                totals.duplicates += lists.duplicates.len() as u64;
            }
        }
        totals
    }
}

/// Official harvesters try to connect every three seconds, nodes send a signage point every ten.
const STARTING_FOR: std::time::Duration = std::time::Duration::from_secs(30);
