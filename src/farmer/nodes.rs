//! Sources of signage points, and what happens when one brings a signage point: it goes to every harvester, once.

use std::time::Duration;

use super::Farmer;
use super::input::{NodeLink, NodeStatus, NodeTrust};
use super::signage_points::{Arrival, for_harvester};
use super::timers::Timer;
use crate::clock::{Mono, Now};
use crate::ids::NodeId;
use crate::snapshot::{AlarmKind, HarvesterId, NodeView, Notice, SignagePointView};
use crate::units::Height;
use crate::wire::{HarvesterLayout, NewSignagePoint, ToHarvester};

/// One source of signage points.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// What is known of it.
    pub(super) status: NodeStatus,
    peak_height: Option<Height>,
    last_signage_point: Option<Now>,
}

impl Node {
    /// Whether it is connected.
    pub(super) fn is_up(&self) -> bool {
        self.status.link == NodeLink::Up
    }

    /// As it is shown.
    pub(super) fn view(&self) -> NodeView {
        NodeView {
            name: self.status.name.clone(),
            connected: self.is_up(),
            synced: self.status.synced,
            peak_height: self.peak_height.map(|height| height.0),
            last_signage_point_unix_ms: self.last_signage_point.map(|now| now.unix.0),
            netspace_bytes: self.status.netspace_bytes,
        }
    }
}

impl Farmer {
    /// A node is there, or has changed.
    pub(super) fn handle_node(&mut self, now: Now, id: NodeId, status: NodeStatus) {
        self.timers.clear(Timer::NoSignagePoint(None));
        let Some(node) = self.nodes.get_mut(&id) else {
            self.nodes.insert(
                id,
                Node {
                    status,
                    peak_height: None,
                    last_signage_point: None,
                },
            );
            self.timers
                .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
            self.close_alarms(
                now,
                |kind| matches!(kind, AlarmKind::NoSignagePoints { node } if node == NO_NODE),
            );
            return;
        };
        let old_name = std::mem::replace(&mut node.status, status).name;
        if old_name != node.status.name {
            self.close_alarms(
                now,
                |kind| matches!(kind, AlarmKind::NoSignagePoints { node } if *node == old_name),
            );
            self.timers
                .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
        }
    }

    /// A node has a new signage point.
    pub(super) fn handle_signage_point(&mut self, now: Now, id: NodeId, message: NewSignagePoint) {
        let Some(node) = self.nodes.get_mut(&id) else {
            let status = NodeStatus {
                name: format!("node {}", id.0),
                link: NodeLink::Up,
                synced: None,
                netspace_bytes: None,
                trust: NodeTrust::Foreign,
            };
            self.handle_node(now, id, status);
            return self.handle_signage_point(now, id, message);
        };
        node.peak_height = Some(message.peak_height);
        node.last_signage_point = Some(now);
        let name = node.status.name.clone();
        self.timers
            .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
        self.close_alarms(
            now,
            |kind| matches!(kind, AlarmKind::NoSignagePoints { node } if *node == name),
        );
        match self.signage_points.insert(now, id, message.clone()) {
            Arrival::New => {
                self.missed
                    .handle_arrival(now.mono, message.challenge_hash, message.signage_point_index);
                self.timers.put(Timer::Missed, self.missed.due());
                self.roll_call.begin(now, &message);
                let harvesters = self.ask_all(now, &message);
                let signage_point = signage_point_view(now, &message);
                self.notice(Notice::SignagePoint {
                    signage_point,
                    harvesters,
                });
            }
            Arrival::Duplicate => self.missed.handle_duplicate(),
            Arrival::OtherRewardChain => {
                self.missed.handle_duplicate();
                self.declare_for_new_variant(now, &message.challenge_chain_sp);
            }
            Arrival::OtherQuestion => {
                self.missed.handle_duplicate();
                self.declare_for_new_variant(now, &message.challenge_chain_sp);
                self.proofs.judge_again(&message.challenge_chain_sp);
                // Whoever is asked twice answers twice; the first answer counts.
                for id in self.greeted() {
                    self.send_signage_point(now, id, &message);
                }
            }
        }
    }

    /// Nothing came from a node for too long.
    pub(super) fn handle_no_signage_point(&mut self, now: Now, id: Option<NodeId>) {
        let node = match id {
            None => NO_NODE.to_owned(),
            Some(id) => match self.nodes.get(&id) {
                Some(node) => node.status.name.clone(),
                None => return,
            },
        };
        self.raise(now, AlarmKind::NoSignagePoints { node });
    }

    /// Signage points that were skipped have not come late either.
    pub(super) fn handle_missed_timer(&mut self, now: Now) {
        let missed = self.missed.declare(now.mono);
        self.timers.put(Timer::Missed, self.missed.due());
        if missed == 0 {
            return;
        }
        // Any node could have brought them, so all that should have are named.
        let names: Vec<_> = self.nodes.values().map(|node| node.status.name.as_str()).collect();
        let node = names.join(", ");
        let before = match self.alarms.get(
            &AlarmKind::SignagePointsMissed {
                node: node.clone(),
                missed: 0,
            }
            .key(),
        ) {
            Some(AlarmKind::SignagePointsMissed { missed, .. }) => *missed,
            _ => 0,
        };
        self.notice(Notice::SignagePointsMissed {
            node: node.clone(),
            missed,
        });
        self.raise(
            now,
            AlarmKind::SignagePointsMissed {
                node,
                missed: before + missed,
            },
        );
    }

    /// Sends a harvester the newest signage point if it can still answer it in time and was not asked before: it has just
    /// told what it has.
    pub(super) fn catch_up(&mut self, now: Now, id: HarvesterId) {
        let Some((sp_hash, point)) = self.signage_points.newest() else {
            return;
        };
        let was_asked = self
            .harvesters
            .get(id)
            .is_none_or(|slot| slot.asks.is_settled_or_open(sp_hash));
        if was_asked || now.mono.since(point.received.mono) > CATCH_UP_WITHIN {
            return;
        }
        if let Some(message) = point.first().cloned() {
            self.ask(now, id, &message);
        }
    }

    /// How long no signage point may come before something is wrong.
    pub(super) fn silence_limit(&self) -> Duration {
        NO_SIGNAGE_POINT_AFTER.max(self.missed.interval() * 4)
    }

    /// Seconds since the last signage point from anywhere, or since start.
    pub(super) fn since_signage_point(&self, now: Mono) -> Duration {
        now.since(
            self.signage_points
                .newest()
                .map_or(self.started.mono, |(_, point)| point.received.mono),
        )
    }

    fn ask_all(&mut self, now: Now, message: &NewSignagePoint) -> u32 {
        let mut asked = 0;
        for id in self.greeted() {
            self.ask(now, id, message);
            asked += 1;
        }
        asked
    }

    fn ask(&mut self, now: Now, id: HarvesterId, message: &NewSignagePoint) {
        if !self.send_signage_point(now, id, message) {
            return;
        }
        if let Some(slot) = self.harvesters.get_mut(id) {
            let plots = u32::try_from(slot.plots()).unwrap_or(u32::MAX);
            slot.asks.handle_sent(now.mono, message, plots);
            self.timers.put(Timer::Answers(id), slot.asks.due());
            self.roll_call.handle_sent(&message.challenge_chain_sp, id);
        }
    }

    fn send_signage_point(&mut self, now: Now, id: HarvesterId, message: &NewSignagePoint) -> bool {
        let Some(layout) = self.layout(id) else { return false };
        let point = for_harvester(&self.config.constants, layout, message);
        self.send(now, id, None, ToHarvester::NewSignagePoint(point))
    }

    fn layout(&self, id: HarvesterId) -> Option<HarvesterLayout> {
        let session = self.harvesters.get(id)?.session.as_ref()?;
        session.greeted.then_some(session.layout)
    }

    fn greeted(&self) -> Vec<HarvesterId> {
        let greeted = self.harvesters.connected().filter(|(_, _, session)| session.greeted);
        greeted.map(|(id, ..)| id).collect()
    }

    /// Nodes a proof is declared to: those that have its signage point, otherwise any that are connected.
    pub(super) fn nodes_for(&self, knowing: &[NodeId]) -> Vec<NodeId> {
        let up = |id: &NodeId| self.nodes.get(id).is_some_and(Node::is_up);
        let knowing: Vec<_> = knowing.iter().copied().filter(up).collect();
        if knowing.is_empty() {
            self.nodes.keys().copied().filter(up).collect()
        } else {
            knowing
        }
    }
}

/// A signage point as people see it.
pub(super) const fn signage_point_view(received: Now, message: &NewSignagePoint) -> SignagePointView {
    SignagePointView {
        signage_point_index: message.signage_point_index,
        challenge_hash: message.challenge_hash,
        sp_hash: message.challenge_chain_sp,
        received_at_unix_ms: received.unix.0,
        peak_height: message.peak_height.0,
        difficulty: message.difficulty.0,
        sub_slot_iters: message.sub_slot_iters.0,
    }
}

/// What the alarm calls the node while there is none.
const NO_NODE: &str = "any full node";

/// Signage points come every ten seconds or so; the next can be half a minute late on a bad day.
const NO_SIGNAGE_POINT_AFTER: Duration = Duration::from_secs(60);

/// An answer to a signage point that is older can hardly come in time.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(8);
