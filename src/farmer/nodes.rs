//! Sources of signage points, and what happens when one brings a signage point: it goes to every harvester, once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Farmer;
use super::clock_set::ClockSet;
use super::input::{ChainState, NodeLink, NodeStatus, NodeTrust};
use super::messages::{self, Words};
use super::signage_points::{Arrival, for_harvester};
use super::timers::Timer;
use crate::clock::{Mono, Now};
use crate::ids::{NodeId, PeerId, QualityString};
use crate::pos::Constants;
use crate::snapshot::{AlarmKind, HarvesterId, NodeView, Notice, SignagePointView};
use crate::units::{Height, SIGNAGE_POINTS_PER_SUB_SLOT};
use crate::wire::{HarvesterLayout, NewSignagePoint, NewSignagePointHarvester, PoolDifficulty, ToHarvester};

/// One source of signage points.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Node {
    /// What is known of it.
    pub(super) status: NodeStatus,
    /// Since when it is connected, or not.
    since: Now,
    /// What it says of the chain, or why it does not; `None` before the first answer.
    chain: Option<Result<ChainState, String>>,
    peak_height: Option<Height>,
    last_signage_point: Option<Now>,
}

impl Node {
    fn new(now: Now, status: NodeStatus) -> Self {
        Self {
            status,
            since: now,
            chain: None,
            peak_height: None,
            last_signage_point: None,
        }
    }

    /// Whether it is connected.
    pub(super) fn is_up(&self) -> bool {
        self.status.link == NodeLink::Up
    }

    /// Whether it says that it is not synced.
    pub(super) fn says_unsynced(&self) -> bool {
        self.is_up() && self.chain().is_some_and(|chain| !chain.synced)
    }

    fn chain(&self) -> Option<&ChainState> {
        self.chain.as_ref().and_then(|chain| chain.as_ref().ok())
    }

    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        let moments = [Some(&mut self.since), self.last_signage_point.as_mut()];
        for moment in moments.into_iter().flatten() {
            set.carry_unix(&mut moment.unix);
        }
    }

    /// Whether it is connected under another name, which brings what it says.
    fn is_second_name(&self) -> bool {
        matches!(self.status.link, NodeLink::SecondName { .. })
    }

    fn why_down(&self) -> Option<String> {
        match &self.status.link {
            NodeLink::Up => None,
            NodeLink::Down { why } | NodeLink::SecondName { why } => Some(why.clone()),
        }
    }

    /// As it is shown.
    pub(super) fn view(&self) -> NodeView {
        let chain = self.chain();
        NodeView {
            name: self.status.name.clone(),
            connected: self.is_up(),
            synced: chain.map(|chain| chain.synced),
            syncing: chain.is_some_and(|chain| chain.syncing),
            peak_height: chain
                .and_then(|chain| chain.peak_height)
                .max(self.peak_height.map(|height| height.0)),
            last_signage_point_unix_ms: self.last_signage_point.map(|now| now.unix.0),
            netspace_bytes: chain.and_then(|chain| chain.netspace_bytes),
            average_block_seconds: chain.and_then(|chain| chain.average_block_seconds),
            difficulty: chain.and_then(|chain| chain.difficulty),
            not_asked_because: self.chain.as_ref().and_then(|chain| chain.as_ref().err().cloned()),
            not_connected_because: self.why_down(),
            is_second_name: self.is_second_name(),
            since_unix_ms: self.since.unix.0,
            trusted: self.status.trust == NodeTrust::Own,
            certificate: self.status.certificate,
            software_version: self.status.software_version.clone(),
        }
    }
}

impl Farmer {
    /// A node is there, or has changed.
    pub(super) fn handle_node(&mut self, now: Now, id: NodeId, status: NodeStatus) {
        self.timers.clear(Timer::NoSignagePoint(None));
        let name = status.name.clone();
        if status.link == NodeLink::Up {
            self.close_alarms(
                now,
                |kind| matches!(kind, AlarmKind::NodeCertificateChanged { node, .. } if *node == name),
            );
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            self.nodes.insert(id, Node::new(now, status));
            self.timers
                .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
            self.close_silence(now, NO_NODE);
            return;
        };
        if (node.status.link == NodeLink::Up) != (status.link == NodeLink::Up) {
            node.since = now;
        }
        if status.link != NodeLink::Up {
            // It may come back with another chain.
            node.peak_height = None;
        }
        let (was_up, was_second_name) = (node.is_up(), node.is_second_name());
        let old_name = std::mem::replace(&mut node.status, status).name;
        let (has_returned, is_second_name) = (!was_up && node.is_up(), node.is_second_name());
        if has_returned {
            self.declare_to_returned(now, id);
        }
        if is_second_name {
            self.timers.clear(Timer::NoSignagePoint(Some(id)));
            return self.close_silence(now, &old_name);
        }
        if old_name == name && !was_second_name {
            return self.review_silence(now);
        }
        self.close_silence(now, &old_name);
        self.timers
            .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
    }

    /// A node was asked about the chain.
    pub(super) fn handle_node_chain(&mut self, id: NodeId, chain: Result<ChainState, String>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let known = node.chain().and_then(|chain| chain.average_block_seconds);
        node.chain = Some(chain.map(|chain| ChainState {
            average_block_seconds: chain.average_block_seconds.or(known),
            ..chain
        }));
    }

    /// A node shows another certificate than before.
    pub(super) fn handle_node_certificate(
        &mut self,
        now: Now,
        id: NodeId,
        expected: PeerId,
        got: PeerId,
        kept: String,
    ) {
        let node = self.node_name(id);
        self.raise(
            now,
            AlarmKind::NodeCertificateChanged {
                node,
                expected: expected.to_string(),
                got: got.to_string(),
                kept,
            },
        );
    }

    /// A node did not get what was to be sent.
    pub(super) fn handle_node_queue_full(&mut self, now: Now, id: NodeId, quality: &QualityString, is_lost: bool) {
        let node = self.node_name(id);
        self.raise(now, AlarmKind::NodeTakesNothing { node: node.clone() });
        if let Some(number) = self.proofs.by_quality.get(quality).copied().filter(|_| is_lost) {
            self.note_lost(now, number, &format!("{node} does not take what it is sent"));
        }
    }

    /// What a node is called.
    pub(super) fn node_name(&self, id: NodeId) -> String {
        self.nodes
            .get(&id)
            .map_or_else(|| format!("node {}", id.0), |node| node.status.name.clone())
    }

    /// A node has a new signage point.
    pub(super) fn handle_signage_point(&mut self, now: Now, id: NodeId, message: NewSignagePoint) {
        if message.signage_point_index >= SIGNAGE_POINTS_PER_SUB_SLOT {
            // Official farmers ask their harvesters with it; no block can be made of what they find.
            return self.missed.handle_impossible();
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            let status = NodeStatus {
                name: format!("node {}", id.0),
                link: NodeLink::Up,
                trust: NodeTrust::Foreign,
                certificate: None,
                software_version: None,
            };
            self.handle_node(now, id, status);
            return self.handle_signage_point(now, id, message);
        };
        node.peak_height = Some(message.peak_height);
        node.last_signage_point = Some(now);
        let name = node.status.name.clone();
        self.timers
            .set(Timer::NoSignagePoint(Some(id)), now.mono + self.silence_limit());
        self.close_silence(now, &name);
        self.review_silence(now);
        let known = self.signage_points.get(&message.challenge_chain_sp);
        let known = known.and_then(|point| point.of_reward_chain(&message.reward_chain_sp));
        let is_informed = known.is_some_and(|variant| !variant.nodes.contains(&id));
        let arrival = self.signage_points.insert(now, id, message.clone());
        if is_informed {
            self.declare_to_informed(now, id, message.reward_chain_sp);
        }
        match arrival {
            Arrival::New => {
                self.missed
                    .handle_arrival(now.mono, message.challenge_hash, message.signage_point_index);
                self.timers.put(Timer::Missed, self.missed.due());
                self.luck.note_signage_point(now);
                self.roll_call.begin(now, &message);
                let harvesters = self.ask_all(now, &message);
                let signage_point = signage_point_view(now, &message);
                self.notice(Notice::SignagePoint {
                    signage_point,
                    harvesters,
                });
                self.keep_record(now);
            }
            Arrival::Duplicate => self.missed.handle_duplicate(),
            Arrival::OtherRewardChain => {
                self.missed.handle_duplicate();
                self.declare_for_new_variant(now, &message.challenge_chain_sp);
            }
            Arrival::FilterChallenge => {
                self.missed.handle_duplicate();
                self.declare_for_new_variant(now, &message.challenge_chain_sp);
                let mut question = self.question(&message);
                let is_v2_farmed = message.last_tx_height >= self.config.constants.hard_fork2_height;
                for id in self.greeted() {
                    let has_v2 = self.harvesters.get(id).is_some_and(|slot| slot.lists.v2_plots() > 0);
                    if is_v2_farmed && has_v2 && self.layout(id) == Some(HarvesterLayout::V38) {
                        self.send_signage_point(now, id, &mut question);
                    }
                }
            }
            Arrival::OtherQuestion => {
                self.missed.handle_duplicate();
                self.declare_for_new_variant(now, &message.challenge_chain_sp);
                self.proofs.judge_again(&message.challenge_chain_sp);
                // Whoever is asked twice answers twice; the first answer counts.
                let mut question = self.question(&message);
                for id in self.greeted() {
                    self.send_signage_point(now, id, &mut question);
                }
            }
        }
    }

    /// Nothing came from a node for too long.
    pub(super) fn handle_no_signage_point(&mut self, now: Now, id: Option<NodeId>) {
        match id {
            None => self.raise(
                now,
                AlarmKind::NoSignagePoints {
                    node: NO_NODE.to_owned(),
                    last_unix_ms: None,
                    why: None,
                    others_do: false,
                },
            ),
            Some(id) => {
                self.raise_silence(now, id);
                // If it was the last one that spoke, the silence of the others is worse now.
                self.review_silence(now);
            }
        }
    }

    fn raise_silence(&mut self, now: Now, id: NodeId) {
        let limit = self.silence_limit();
        let speaks = |node: &Node| {
            let last = node.last_signage_point;
            node.is_up() && last.is_some_and(|last| now.mono.since(last.mono) < limit)
        };
        let others_do = self.nodes.iter().any(|(other, node)| *other != id && speaks(node));
        let Some(node) = self.nodes.get(&id) else { return };
        let alarm = AlarmKind::NoSignagePoints {
            node: node.status.name.clone(),
            last_unix_ms: node.last_signage_point.map(|last| last.unix.0),
            why: node.why_down(),
            others_do,
        };
        self.raise(now, alarm);
    }

    /// Brings the alarms of silent nodes up to date.
    fn review_silence(&mut self, now: Now) {
        let key = |node: &Node| format!("no_signage_points/{}", node.status.name);
        let silent = self
            .nodes
            .iter()
            .filter(|(_, node)| self.alarms.get(&key(node)).is_some());
        for id in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.raise_silence(now, id);
        }
    }

    fn close_silence(&mut self, now: Now, name: &str) {
        self.close_alarms(
            now,
            |kind| matches!(kind, AlarmKind::NoSignagePoints { node, .. } if node == name),
        );
    }

    /// Signage points that were skipped have not come late either.
    pub(super) fn handle_missed_timer(&mut self, now: Now) {
        let missed = self.missed.declare(now.mono);
        self.timers.put(Timer::Missed, self.missed.due());
        if missed == 0 {
            return;
        }
        self.luck.note_missed(now, missed);
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
        if let Some(message) = point.question().cloned() {
            let mut question = self.question(&message);
            self.ask(now, id, &mut question);
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
        let mut question = self.question(message);
        let mut asked = 0;
        for id in self.greeted() {
            self.ask(now, id, &mut question);
            asked += 1;
        }
        asked
    }

    fn ask(&mut self, now: Now, id: HarvesterId, question: &mut Question<'_>) {
        if !self.send_signage_point(now, id, question) {
            return;
        }
        let message = question.point;
        if let Some(slot) = self.harvesters.get_mut(id) {
            let plots = u32::try_from(slot.plots()).unwrap_or(u32::MAX);
            slot.asks.handle_sent(now.mono, message, plots);
            self.timers.put(Timer::Answers(id), slot.asks.due());
            self.roll_call.handle_sent(&message.challenge_chain_sp, id);
        }
    }

    fn send_signage_point(&mut self, now: Now, id: HarvesterId, question: &mut Question<'_>) -> bool {
        let Some(layout) = self.layout(id) else { return false };
        let (message, words) = question.in_layout(&self.config.constants, layout);
        self.send_told(now, id, None, message, words)
    }

    fn question<'a>(&self, point: &'a NewSignagePoint) -> Question<'a> {
        Question {
            point,
            pools: self
                .pools
                .difficulties(self.config.constants.pool_sub_slot_iters, point),
            told: BTreeMap::new(),
        }
    }

    fn layout(&self, id: HarvesterId) -> Option<HarvesterLayout> {
        let session = self.harvesters.get(id)?.session.as_ref()?;
        session.greeted.then_some(session.layout)
    }

    fn greeted(&self) -> Vec<HarvesterId> {
        let greeted = self.harvesters.connected().filter(|(_, _, session)| session.greeted);
        greeted.map(|(id, ..)| id).collect()
    }

    /// Nodes a proof is declared to: all that are connected, because whoever does not know its signage point does no harm
    /// by not using it; and of those that know it the ones that have just gone: what they are sent waits for their next
    /// link, and they are dialled again every few seconds.
    pub(super) fn nodes_for(&self, now: Now, knowing: &[NodeId]) -> Vec<NodeId> {
        let is_told = |(id, node): &(&NodeId, &Node)| {
            node.is_up() || (knowing.contains(id) && now.mono.since(node.since.mono) < MAY_COME_BACK_WITHIN)
        };
        self.nodes.iter().filter(is_told).map(|(id, _)| *id).collect()
    }
}

/// A signage point as it goes to all harvesters: put into the form and the words of each layout only once, so that the
/// last harvester does not wait for what is written down about those before it.
struct Question<'a> {
    point: &'a NewSignagePoint,
    pools: Vec<PoolDifficulty>,
    told: BTreeMap<HarvesterLayout, (NewSignagePointHarvester, Words)>,
}

impl Question<'_> {
    /// The message for harvesters of this layout, and how it is recorded.
    fn in_layout(&mut self, constants: &Constants, layout: HarvesterLayout) -> (ToHarvester, Words) {
        let (point, words) = self.told.entry(layout).or_insert_with(|| {
            let point = for_harvester(constants, layout, self.point, self.pools.clone());
            let words = messages::words_of_signage_point(&point);
            (point, words)
        });
        (ToHarvester::NewSignagePoint(point.clone()), words.clone())
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

/// A node that takes longer to come back is too late for a proof: a signage point is good for half a minute.
const MAY_COME_BACK_WITHIN: Duration = Duration::from_secs(20);
