//! The decisions of the farm: one pure state machine.
//!
//! [`Farmer::handle`] takes everything that happens, [`Farmer::poll_output`] gives everything that is to be done about it,
//! [`Farmer::poll_timeout`] says when to call [`Farmer::handle_timeout`]; [`Farmer::snapshot`] and [`Farmer::page`] show
//! what is. There is no clock, no socket, no key and no randomness in here: whoever feeds it the same inputs at the same
//! times gets the same outputs. Slow work (verifying, signing) leaves as an output and comes back as an input.
//!
//! ```text
//! nodes            signage points in, declarations out     signage_points, missed
//! connections      harvesters come, go, come again         harvesters
//! answers          who was asked, who answered, who not    asks, attempts
//! luck, eligible   what was to be expected of the answers
//! plots            what they have, what they lost          plot_sync, plot_lists, shared_plots
//! partials         v2: worth solving?                      proofs
//! verification     valid? good enough?                     proofs
//! declarations     sign and declare a winner               signatures: whom to ask for shares
//! blocks           sign the block made of it               signing_guard: only what was declared
//! pools            difficulty, account, partials           pools/judging, pools/submission
//!                  plots of no plotNFT, partials to expect
//! alarms, timers   what is wrong, when to look again
//! clock_set        times that are shown, when the wall clock was wrong
//! commands, view, page                                     what people see and ask for
//! ```

mod alarms;
mod answers;
mod asks;
mod attempts;
mod blocks;
mod call;
mod clock_set;
mod commands;
mod config;
mod connections;
mod declarations;
mod eligibility;
mod eligible;
mod fees;
mod harvesters;
mod input;
mod lost_plots;
mod luck;
mod messages;
mod missed;
mod nodes;
mod numbers;
mod output;
mod page;
mod pairs;
mod partials;
mod peer_clock;
mod plot_lists;
mod plot_news;
mod plot_sync;
mod plots;
mod pools;
mod proofs;
mod shared;
mod shared_plots;
mod signage_points;
mod signatures;
mod signing_guard;
#[cfg(test)]
pub(crate) mod tests;
mod timers;
mod verification;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

pub use call::Call;
pub use config::{FarmerConfig, FarmerKeys, SIGNAGE_POINT_INTERVAL};
pub use input::{
    ChainState, Command, CommandError, ExpectedHarvester, FleetStatus, HarvesterOrigin, Input, NodeLink, NodeStatus,
    NodeTrust, OuterCounters, PlotSignatures, SignError,
};
pub use numbers::JobId;
pub use output::{Output, SignPurpose};
pub use plot_news::{ListedPlots, PlotNews, PlotPlace};
pub use pools::{
    JoinedPool, PartialSubmission, PoolAnswer, PoolFailure, PoolMembership, PoolReply, PoolRequest, launcher_spread,
};

use alarms::Alarms;
use attempts::{Attempts, RollCall};
use eligible::Counting;
use harvesters::Harvesters;
use luck::Luck;
use missed::Missed;
use nodes::Node;
use pools::Pools;
use proofs::{Proofs, hash_of};
use shared_plots::SharedPlots;
use signage_points::SignagePoints;
use timers::{Timer, Timers};

use crate::clock::{Mono, Now};
use crate::ids::{Bytes32, NodeId, SessionId};
use crate::snapshot::{
    AlarmKind, Counters, HarvesterId, HistoryState, HistoryView, Notice, RewardTarget, SimulatedChainView, WinCounts,
};
use crate::wire::FromHarvester;

/// The farm.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Farmer {
    config: FarmerConfig,
    started: Now,
    nodes: BTreeMap<NodeId, Node>,
    signage_points: SignagePoints,
    missed: Missed,
    harvesters: Harvesters,
    /// Connections that may be dead, because a newer one has the same certificate (the value).
    doubts: BTreeMap<SessionId, SessionId>,
    roll_call: RollCall,
    attempts: Attempts,
    shared_plots: SharedPlots,
    proofs: Proofs,
    pools: Pools,
    alarms: Alarms,
    counters: Counters,
    /// When a refusal was last put into words, by its word.
    refusal_noticed: BTreeMap<String, Mono>,
    wins: WinCounts,
    luck: Luck,
    counting: Counting,
    history: HistoryView,
    listening: Vec<SocketAddr>,
    simulated_chain: Option<SimulatedChainView>,
    ca_key_copies: u64,
    timers: Timers,
    /// Taken out before a state is written down.
    #[serde(skip)]
    outputs: VecDeque<Output>,
}

impl Farmer {
    /// A farm without harvesters and nodes.
    #[must_use]
    pub fn new(config: FarmerConfig, now: Now) -> Self {
        let mut farmer = Self {
            started: now,
            nodes: BTreeMap::new(),
            signage_points: SignagePoints::default(),
            missed: Missed::new(config.signage_point_interval),
            harvesters: Harvesters::default(),
            doubts: BTreeMap::new(),
            roll_call: RollCall::default(),
            attempts: Attempts::default(),
            shared_plots: SharedPlots::default(),
            proofs: Proofs::default(),
            pools: Pools::default(),
            alarms: Alarms::new(now, config.alarm_memory.clone()),
            counters: Counters::default(),
            refusal_noticed: BTreeMap::new(),
            wins: WinCounts::default(),
            luck: Luck::new(now),
            counting: Counting::default(),
            history: HistoryView::default(),
            listening: Vec::new(),
            simulated_chain: None,
            ca_key_copies: 0,
            timers: Timers::default(),
            outputs: VecDeque::new(),
            config,
        };
        farmer
            .timers
            .set(Timer::NoSignagePoint(None), now.mono + farmer.silence_limit());
        farmer.review_keys(now);
        farmer
    }

    /// Something has happened. What is due at `now` is done first.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.handle_timeout(now);
        match input {
            Input::HarvesterConnected { session, peer, origin } => self.handle_connected(now, session, peer, origin),
            Input::HarvesterMessage { session, id, message } => self.handle_message(now, session, id, message),
            Input::HarvesterHeard { session } => {
                self.handle_heard(now, session);
            }
            Input::HarvesterQuiet { session, quiet } => self.handle_quiet(now, session, quiet),
            Input::MessageIgnored { session, .. } => self.handle_ignored(now, session),
            Input::SignagePointDropped { session, sp_hash } => {
                if let Some(id) = self.harvesters.of_session(session) {
                    self.handle_signage_point_dropped(id, sp_hash);
                }
            }
            Input::HarvesterDisconnected { session, cause } => self.handle_disconnected(now, session, cause),
            Input::ConnectionRefused { address, cause } => self.handle_refused(now, address, cause),
            Input::Node { node, status } => self.handle_node(now, node, status),
            Input::NodeChain { node, chain } => self.handle_node_chain(node, chain),
            Input::NodeCertificateChanged {
                node,
                expected,
                got,
                kept,
            } => self.handle_node_certificate(now, node, expected, got, kept),
            Input::NodeQueueFull { node, quality, is_lost } => {
                self.handle_node_queue_full(now, node, &quality, is_lost);
            }
            Input::SignagePoint { node, signage_point } => self.handle_signage_point(now, node, *signage_point),
            Input::RequestSignedValues { node, request } => self.handle_request_signed_values(now, node, request),
            Input::ChainVerdict { quality, verdict, .. } => self.handle_chain_verdict(now, &quality, verdict),
            Input::SimulatedChain(view) => self.simulated_chain = Some(view),
            Input::Verified { job, result } => self.handle_verified(now, job, result),
            Input::Solved { job, result } => self.handle_solved(now, job, result),
            Input::VerificationDropped { job } => self.handle_job_dropped(now, job),
            Input::Signed { job, result } => self.handle_signed(now, job, result),
            Input::Keys(keys) => self.handle_keys(now, keys),
            Input::Pools(pools) => self.handle_pools(now, pools),
            Input::PoolsUnreadable { why } => self.handle_pools_unreadable(now, why),
            Input::PlotDirectories { unlisted } => self.handle_plot_directories(now, unlisted),
            Input::DriveTroubles { troubles } => self.handle_drive_troubles(now, &troubles),
            Input::SettingsUnreadable { why: Some(why) } => self.raise(now, AlarmKind::SettingsUnreadable { why }),
            Input::SettingsUnreadable { why: None } => {
                self.close_alarms(now, |kind| matches!(kind, AlarmKind::SettingsUnreadable { .. }));
            }
            Input::PoolAnswered { job, answer } => self.handle_pool_answered(now, job, answer),
            Input::Listening { addresses } => self.listening = addresses,
            Input::OuterCounters(counters) => {
                self.counters.refused = counters.refused;
                self.counters.dropped_log_lines = counters.dropped_log_lines;
                self.counters.unauthenticated = counters.unauthenticated;
                self.counters.dropped_hook_calls = counters.dropped_hook_calls;
            }
            Input::Command(command) => self.handle_command(now, command),
            Input::AlarmHook { hook, failure } => match failure {
                Some(why) => self.raise(now, AlarmKind::AlarmHookFailing { hook, why }),
                None => self.close_alarm(
                    now,
                    &AlarmKind::AlarmHookFailing {
                        hook,
                        why: String::new(),
                    },
                ),
            },
            Input::History(view) => self.handle_history(now, view),
            Input::ClockSet { by_ms } => self.handle_clock_set(now, by_ms),
            Input::Past(past) => self.luck.handle_past(now, *past),
            Input::PastAlarms(alarms) => self.alarms.handle_past(alarms),
            Input::PastPlots(counts) => self.harvesters.past_plots = counts,
            Input::PlotsMissing { harvester, plots } => self.handle_plots_missing(now, harvester, plots),
            Input::Fleet(status) => self.handle_fleet(now, status),
        }
    }

    /// The next thing to do, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        let proof = || self.proofs.take_changed().map(|proof| Output::Proof(Box::new(proof)));
        self.outputs.pop_front().or_else(proof)
    }

    /// When [`Self::handle_timeout`] wants to be called, if nothing happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Does what is due. Calling it too early or too often is harmless.
    pub fn handle_timeout(&mut self, now: Now) {
        for timer in self.timers.take_due(now.mono) {
            match timer {
                Timer::NoSignagePoint(node) => self.handle_no_signage_point(now, node),
                Timer::Missed => self.handle_missed_timer(now),
                Timer::Answers(harvester) => self.handle_answers_timer(now, harvester),
                Timer::Doubt(session) => self.handle_doubt_timer(now, session),
                Timer::Absent(harvester) => self.handle_absent_timer(now, harvester),
                Timer::PlotSync(session) => self.handle_plot_sync_timer(now, session),
                Timer::MissingPlots(harvester) => self.handle_missing_plots_timer(now, harvester),
                Timer::CrossCheck(session) => self.handle_cross_check_timer(session),
                Timer::Proof(number) => self.handle_proof_timer(now, number),
                Timer::Pool(contract) => self.handle_pool_timer(now, contract),
                Timer::Partial(number) => self.handle_partial_timer(now, number),
                Timer::UnlistedPlots => self.review_unlisted_plots(now),
                Timer::Block(number) => self.handle_block_timer(now, number),
                Timer::Count => self.handle_count_timer(now),
                Timer::Alarms => {
                    let notices = self.alarms.close_old(now);
                    self.note_closed(now, notices);
                    self.tell_unsilenced(now);
                }
            }
        }
    }

    /// Hashes that this farmer has made itself, of proofs and partials that it still has. A farmer that has others in the
    /// place of each of them gives theirs in the same order: so a recorder that replaces proofs knows what to replace
    /// their hashes by.
    #[must_use]
    pub fn own_hashes(&self) -> Vec<Bytes32> {
        let of_proofs = self.proofs.live.values().map(|proof| hash_of(&proof.proof));
        of_proofs.chain(self.pools.own_hashes()).collect()
    }

    fn handle_message(&mut self, now: Now, session: SessionId, envelope: Option<u16>, message: FromHarvester) {
        let Some(id) = self.handle_heard(now, session) else {
            return;
        };
        if let Some(slot) = self.harvesters.get(id) {
            self.outputs
                .push_back(Output::Message(messages::incoming(now, slot, &message)));
        }
        match message {
            FromHarvester::NewProofOfSpace(message) => self.handle_new_proof(now, id, *message),
            FromHarvester::PartialProofs(message) => self.handle_partial_proofs(now, id, &message),
            FromHarvester::RespondSignatures(message) => self.handle_respond_signatures(now, id, *message),
            FromHarvester::FarmingInfo(message) => self.handle_farming_info(now, id, &message),
            FromHarvester::RespondPlots(message) => self.handle_respond_plots(now, id, envelope, &message),
            FromHarvester::PlotSync(message) => self.handle_plot_sync(now, id, message),
        }
    }

    fn handle_quiet(&mut self, now: Now, session: SessionId, quiet: Duration) {
        if let Some(id) = self.harvesters.of_session(session)
            && let Some(session) = self.harvesters.get_mut(id).and_then(|slot| slot.session.as_mut())
        {
            session.quiet_since = Some(now.mono - quiet);
        }
    }

    fn handle_ignored(&mut self, now: Now, session: SessionId) {
        if let Some(id) = self.handle_heard(now, session)
            && let Some(slot) = self.harvesters.get_mut(id)
        {
            slot.ignored_messages += 1;
            self.counters.ignored_messages += 1;
        }
    }

    fn handle_keys(&mut self, now: Now, keys: FarmerKeys) {
        let is_news_to_harvesters = keys.handshake() != self.config.keys.handshake();
        self.config.keys = keys;
        self.review_keys(now);
        if is_news_to_harvesters {
            let connected: Vec<HarvesterId> = self.harvesters.connected().map(|(id, ..)| id).collect();
            for id in connected {
                self.greet(now, id);
            }
        }
    }

    /// Opens or closes the alarms of missing keys and addresses.
    fn review_keys(&mut self, now: Now) {
        let keys = &self.config.keys;
        let has_keys = !keys.farmer_public_keys.is_empty();
        let states = [
            (has_keys, AlarmKind::NoKeys),
            (
                !has_keys || keys.farmer_target.is_some(),
                AlarmKind::NoRewardTarget {
                    target: RewardTarget::Farmer,
                },
            ),
            (
                !has_keys || keys.pool_public_keys.is_empty() || keys.pool_target.is_some(),
                AlarmKind::NoRewardTarget {
                    target: RewardTarget::Pool,
                },
            ),
        ];
        for (is_fine, alarm) in states {
            if is_fine {
                self.close_alarm(now, &alarm);
            } else {
                self.raise(now, alarm);
            }
        }
        self.review_pool_rewards(now);
    }

    /// Opens or closes the alarm of plots whose blocks could not be claimed, long before they win one: the pool key in them
    /// has to have signed for the address in the settings.
    fn review_pool_rewards(&mut self, now: Now) {
        let keys = &self.config.keys;
        let (Some(signed), Some(target)) = (&keys.pool_rewards, keys.pool_target) else {
            return;
        };
        let is_elsewhere = signed.iter().any(|(_, to)| *to != target);
        let harvesters = self.harvesters.all().filter(|(_, slot)| !slot.revoked);
        let plots = harvesters.map(|(_, slot)| slot.lists.pool_key_plots()).sum();
        let alarm = AlarmKind::PoolRewardUnsigned { plots, is_elsewhere };
        if plots > 0 && (is_elsewhere || signed.is_empty()) {
            self.raise(now, alarm);
        } else {
            self.close_alarm(now, &alarm);
        }
    }

    fn handle_history(&mut self, now: Now, view: HistoryView) {
        let alarm = |why: &str| AlarmKind::HistoryNotWritten { why: why.to_owned() };
        match &view.state {
            HistoryState::Failing { why } => self.raise(now, alarm(why)),
            HistoryState::Off | HistoryState::Writing | HistoryState::Newer { .. } => self.close_alarm(now, &alarm("")),
        }
        self.history = view;
    }

    /// Has what the next run should know kept, if somebody keeps it.
    fn keep_record(&mut self, now: Now) {
        let record = self.luck.to_keep(now).map(|record| Output::Record(Box::new(record)));
        self.outputs.extend(record);
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    fn raise(&mut self, now: Now, kind: AlarmKind) {
        if let Some(notice) = self.alarms.raise(now, kind) {
            self.notice(notice);
        }
        self.set_alarm_timer(now);
    }

    /// Tells of what opened in a silence that has ended.
    fn tell_unsilenced(&mut self, now: Now) {
        let told = self.alarms.tell_unsilenced(now);
        self.outputs.extend(told.into_iter().map(Output::Notice));
        self.set_alarm_timer(now);
    }

    fn set_alarm_timer(&mut self, now: Now) {
        let ends = [self.alarms.next_close(), self.alarms.next_end_of_silence(now)];
        self.timers.put(Timer::Alarms, ends.into_iter().flatten().min());
    }

    fn close_alarms(&mut self, now: Now, is_over: impl Fn(&AlarmKind) -> bool) {
        let notices = self.alarms.close(now, is_over);
        self.note_closed(now, notices);
    }

    fn keep_alarm_memory(&mut self, now: Now) {
        let memory = Box::new(self.alarms.memory(now));
        self.outputs.push_back(Output::AlarmMemory(memory));
    }

    /// Closes the one alarm that is the same incident as this.
    fn close_alarm(&mut self, now: Now, same: &AlarmKind) {
        let notice = self.alarms.close_key(now, &same.key());
        self.note_closed(now, notice.into_iter().collect());
    }

    fn note_closed(&mut self, now: Now, notices: Vec<Notice>) {
        if !notices.is_empty() {
            let was_seen = |notice: &Notice| matches!(notice, Notice::AlarmClosed { alarm } if alarm.acknowledged);
            if notices.iter().any(was_seen) {
                let memory = Box::new(self.alarms.memory(now));
                self.outputs.push_back(Output::AlarmMemory(memory));
            }
            self.outputs.extend(notices.into_iter().map(Output::Notice));
            self.set_alarm_timer(now);
        }
    }
}
