//! The engine: one task that owns the [`Farmer`](crate::farmer::Farmer), feeds it everything that happens and carries out what it decides.
//!
//! Nothing here waits for anybody: harvesters, nodes, workers and consoles are all reached through queues with a size
//! and a rule for "full" (DESIGN.md §3). The only awaits are for the next thing to happen. What is to be done is done at
//! once; what is only to be told or written down comes after it, so that a signage point is on its way first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::pools::{PoolRequests, PoolWork, busy};
use super::solving::{SolveWork, Solvers};
use super::workers::{Work, Workers};
use crate::clock::Now;
use crate::farmer::{Command, Input, OuterCounters, Output};
use crate::handle::{EVENT_QUEUE, EngineRequest, FeedEvent, Recent, Said, TapedFarmer};
use crate::history::HistorySender;
use crate::hooks::Hooks;
use crate::ids::{NodeId, QualityString, SessionId};
use crate::logging::LogHandle;
use crate::net::{Outbox, Server, SessionEvent};
use crate::snapshot::{FarmSnapshot, MonitorView, Notice, QueueView};
use crate::system_clock::{Clock, SetWatch};
use crate::wire::{ToFullNode, ToHarvester};

/// Snapshots are published at most this often.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);

/// A watched farm in which nothing happens is published this often: ages and clocks go on.
const REPUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Log records told at a time, four times a second.
const LOG_BATCH: usize = 256;

/// Inputs taken in one turn before snapshots and timers get theirs.
const TURN: usize = 64;

/// Everything the engine is connected to.
pub(super) struct Engine {
    pub(super) farmer: TapedFarmer,
    pub(super) clock: Clock,
    pub(super) sessions: mpsc::Receiver<SessionEvent>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) requests: mpsc::Receiver<EngineRequest>,
    pub(super) snapshots: watch::Sender<Arc<FarmSnapshot>>,
    pub(super) events: broadcast::Sender<Arc<FeedEvent>>,
    pub(super) workers: Workers,
    pub(super) solvers: Solvers,
    pub(super) pools: PoolRequests,
    pub(super) nodes: BTreeMap<NodeId, mpsc::Sender<ToFullNode>>,
    pub(super) log: LogHandle,
    pub(super) server: Arc<Server>,
    pub(super) history: Option<HistorySender>,
    pub(super) hooks: Option<Hooks>,
    pub(super) alarm_memory: watch::Sender<Said>,
}

/// What the engine keeps beside the farmer.
struct Running {
    engine: Engine,
    outboxes: BTreeMap<SessionId, Outbox>,
    recent: Recent,
    /// What is to be told when everything else of this turn is done.
    news: VecDeque<Output>,
    /// Whether a signage point was sent in this turn.
    asked: bool,
    /// Number of the first log record that no event has told of.
    log_next: u64,
    set_watch: SetWatch,
}

impl Engine {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut running = Running {
            engine: self,
            outboxes: BTreeMap::new(),
            recent: Recent::default(),
            news: VecDeque::new(),
            asked: false,
            log_next: 0,
            set_watch: SetWatch::default(),
        };
        let mut publish = tokio::time::interval(PUBLISH_INTERVAL);
        publish.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut changed = true;
        let mut published = tokio::time::Instant::now();
        let stopped = stop.cancelled();
        let timeout = tokio::time::sleep_until(published);
        tokio::pin!(stopped, timeout);
        loop {
            let engine = &mut running.engine;
            let deadline = engine.farmer.poll_timeout().map(|at| engine.clock.instant(at));
            if let Some(at) = deadline
                && at != timeout.deadline()
            {
                timeout.as_mut().reset(at);
            }
            tokio::select! {
                () = &mut stopped => break,
                event = engine.sessions.recv() => {
                    let Some(event) = event else { break };
                    running.handle_session(event);
                    for _ in 1..TURN {
                        let Ok(event) = running.engine.sessions.try_recv() else { break };
                        running.handle_session(event);
                    }
                    changed = true;
                }
                input = engine.inputs.recv() => {
                    let Some(input) = input else { break };
                    running.handle(input);
                    changed = true;
                }
                request = engine.requests.recv() => {
                    if let Some(request) = request {
                        changed |= running.answer(request);
                    }
                }
                () = &mut timeout, if deadline.is_some() => {
                    let now = running.now();
                    running.engine.farmer.handle_timeout(now);
                    changed = true;
                }
                _ = publish.tick() => {
                    let watched = engine.snapshots.receiver_count() > 0;
                    running.tell_log();
                    if watched && (changed || published.elapsed() >= REPUBLISH_INTERVAL) {
                        running.publish();
                        changed = false;
                        published = tokio::time::Instant::now();
                    }
                }
            }
            running.carry_out();
            if std::mem::take(&mut running.asked) {
                // The sessions write before anything is told.
                tokio::task::yield_now().await;
            }
            running.tell_news();
        }
        running.carry_out();
        running.tell_news();
        running.publish();
    }
}

impl Running {
    /// This moment; the farmer is told first if somebody has set the clock.
    fn now(&mut self) -> Now {
        let by_ms = self.set_watch.poll();
        let now = self.engine.clock.now();
        if let Some(by_ms) = by_ms {
            let seconds = Duration::from_millis(by_ms.unsigned_abs()).as_secs();
            let way = if by_ms < 0 { "back" } else { "forward" };
            tracing::warn!(target: "farmer", "the clock of this machine was set {way} by {seconds} s");
            self.engine.farmer.handle(now, Input::ClockSet { by_ms });
        }
        now
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.engine.farmer.handle(now, input);
        self.carry_out();
    }

    fn handle_session(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Connected {
                session,
                peer,
                origin,
                outbox,
            } => {
                self.outboxes.insert(session, outbox);
                self.handle(Input::HarvesterConnected { session, peer, origin });
            }
            // The credit is given back when it is dropped, which lets the session read on.
            SessionEvent::Message {
                session,
                id,
                message,
                credit,
                ..
            } => {
                self.handle(Input::HarvesterMessage { session, id, message });
                drop(credit);
            }
            SessionEvent::Heard { session } => self.handle(Input::HarvesterHeard { session }),
            SessionEvent::Quiet { session, quiet } => self.handle(Input::HarvesterQuiet { session, quiet }),
            SessionEvent::Ignored { session, kind } => self.handle(Input::MessageIgnored { session, kind }),
            SessionEvent::Disconnected { session, cause } => {
                self.outboxes.remove(&session);
                self.handle(Input::HarvesterDisconnected { session, cause });
            }
            SessionEvent::Refused { address, cause } => self.handle(Input::ConnectionRefused { address, cause }),
        }
    }

    /// Does everything the farmer wants done, and keeps what it wants told.
    fn carry_out(&mut self) {
        while let Some(output) = self.engine.farmer.poll_output() {
            if output.is_news() {
                self.news.push_back(output);
            } else {
                self.carry_out_one(output);
            }
        }
    }

    /// Tells what is to be told.
    fn tell_news(&mut self) {
        while let Some(news) = self.news.pop_front() {
            self.carry_out_one(news);
        }
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Send { session, id, message } => {
                let Some(outbox) = self.outboxes.get(&session) else {
                    return;
                };
                self.asked |= matches!(message, ToHarvester::NewSignagePoint(_));
                // A session that has just ended reports so by itself.
                if let Ok(Some(sp_hash)) = outbox.send(message, id) {
                    let now = self.engine.clock.now();
                    self.engine.farmer.handle(
                        now,
                        Input::SignagePointDropped {
                            session,
                            sp_hash: Some(sp_hash),
                        },
                    );
                }
            }
            Output::Probe { session } => {
                if let Some(outbox) = self.outboxes.get(&session) {
                    outbox.probe();
                }
            }
            Output::Close { session, cause } => {
                if let Some(outbox) = self.outboxes.remove(&session) {
                    outbox.close(cause);
                }
            }
            Output::Verify { job, proof, context } => {
                if self
                    .engine
                    .workers
                    .submit(Work::Verify { job, proof, context })
                    .is_err()
                {
                    let now = self.engine.clock.now();
                    self.engine.farmer.handle(now, Input::VerificationDropped { job });
                }
            }
            Output::Solve {
                job,
                partial,
                challenge,
            } => {
                let work = SolveWork {
                    job,
                    partial,
                    challenge,
                };
                if let Err(job) = self.engine.solvers.submit(work) {
                    let now = self.engine.clock.now();
                    self.engine.farmer.handle(now, Input::VerificationDropped { job });
                }
            }
            Output::Sign {
                job,
                proof,
                response,
                messages,
                purpose,
            } => {
                let work = Work::Sign {
                    job,
                    proof,
                    response,
                    messages,
                    purpose,
                };
                if self.engine.workers.submit(work).is_err() {
                    let now = self.engine.clock.now();
                    self.engine.farmer.handle(now, Input::VerificationDropped { job });
                }
            }
            Output::AskPool {
                job,
                pool,
                request,
                deadline,
            } => {
                let work = PoolWork {
                    job,
                    pool,
                    request,
                    deadline,
                };
                if let Err(job) = self.engine.pools.submit(work) {
                    let now = self.engine.clock.now();
                    self.engine.farmer.handle(now, busy(job));
                }
            }
            Output::Declare {
                nodes,
                quality,
                message,
            } => self.tell(&nodes, quality, &ToFullNode::DeclareProofOfSpace(message)),
            Output::SignedValues { node, message } => {
                let quality = message.quality_string;
                self.tell(&[node], quality, &ToFullNode::SignedValues(message));
            }
            Output::Notice(notice) => {
                log_notice(&notice);
                if let Some(history) = &self.engine.history {
                    history.note(&notice);
                }
                if let Some(hooks) = &self.engine.hooks {
                    hooks.note(&notice);
                }
                self.emit(FeedEvent::Notice(notice));
            }
            Output::Message(record) => self.emit(FeedEvent::Message(record)),
            Output::Record(record) => {
                if let Some(history) = &self.engine.history {
                    history.keep(record);
                }
            }
            Output::PlotNews(news) => {
                if let Some(history) = &self.engine.history {
                    history.note_plots(news);
                }
            }
            Output::Proof(proof) => {
                if let Some(history) = &self.engine.history {
                    history.note_proof(*proof);
                }
            }
            Output::AlarmMemory(memory) => {
                self.engine.alarm_memory.send_modify(|said| {
                    said.number += 1;
                    said.memory = Some(memory);
                });
            }
        }
    }

    /// Sends nodes a message about the proof of this quality; the farmer learns which of them take nothing.
    fn tell(&mut self, nodes: &[NodeId], quality: QualityString, message: &ToFullNode) {
        let takes = |node: &&NodeId| {
            let queue = self.engine.nodes.get(node);
            queue.is_some_and(|queue| queue.try_send(message.clone()).is_ok())
        };
        let (taken, full): (Vec<&NodeId>, Vec<&NodeId>) = nodes.iter().partition(takes);
        let now = self.engine.clock.now();
        for node in full {
            let input = Input::NodeQueueFull {
                node: *node,
                quality,
                is_lost: taken.is_empty(),
            };
            self.engine.farmer.handle(now, input);
        }
    }

    fn emit(&mut self, event: FeedEvent) {
        if self.engine.events.receiver_count() > 0 {
            // The listener may just have left.
            let _ = self.engine.events.send(Arc::new(event.clone()));
        }
        self.recent.keep(event);
    }

    /// Answers a question; says whether the farm changed by it.
    fn answer(&mut self, request: EngineRequest) -> bool {
        let command = match request {
            EngineRequest::Snapshot(reply) => {
                let _ = reply.send(self.publish());
                return false;
            }
            EngineRequest::Page(request, reply) => {
                let _ = reply.send(self.engine.farmer.page(&request));
                return false;
            }
            EngineRequest::Recent(kind, limit, reply) => {
                let _ = reply.send(self.recent.last(kind, limit));
                return false;
            }
            EngineRequest::Record(reply) => {
                // A tape begins with nothing left to be taken out.
                let now = self.now();
                self.carry_out();
                let _ = reply.send(self.engine.farmer.record(now));
                return false;
            }
            EngineRequest::Command(command, reply) => (command, reply),
        };
        let (command, reply) = command;
        let result = self.command(command);
        let changed = result.is_ok();
        let _ = reply.send(result);
        changed
    }

    fn command(&mut self, command: Command) -> Result<(), String> {
        self.engine.farmer.check(&command).map_err(|e| e.to_string())?;
        self.handle(Input::Command(command));
        // Who is answered may ask at once whether it is kept.
        self.tell_news();
        Ok(())
    }

    /// Sends new log records to whoever listens; one who comes later asks for the recent ones.
    fn tell_log(&mut self) {
        let ring = self.engine.log.ring();
        if self.engine.events.receiver_count() == 0 {
            self.log_next = ring.tail(0).next;
            return;
        }
        let page = ring.page(self.log_next, LOG_BATCH);
        self.log_next = page.next;
        for record in page.records {
            // The listener may just have left.
            let _ = self.engine.events.send(Arc::new(FeedEvent::Log(record)));
        }
    }

    fn publish(&mut self) -> Arc<FarmSnapshot> {
        let net = self.engine.server.stats();
        let counters = OuterCounters {
            refused: net
                .refused
                .into_iter()
                .map(|(word, count)| (word.to_owned(), count))
                .collect(),
            dropped_log_lines: self.engine.log.dropped_lines(),
            unauthenticated: u32::try_from(net.unauthenticated).unwrap_or(u32::MAX),
            dropped_hook_calls: self.engine.hooks.as_ref().map_or(0, Hooks::dropped),
        };
        let now = self.now();
        self.engine.farmer.handle(now, Input::OuterCounters(counters));
        let mut snapshot = self.engine.farmer.snapshot(now);
        snapshot.monitor = self.monitor();
        let snapshot = Arc::new(snapshot);
        self.engine.snapshots.send_replace(Arc::clone(&snapshot));
        snapshot
    }
}

impl Running {
    /// How this process fares.
    fn monitor(&self) -> MonitorView {
        let engine = &self.engine;
        let queue = |name: &str, waiting: usize, size: usize| QueueView {
            name: name.to_owned(),
            waiting: waiting as u64,
            size: size as u64,
        };
        MonitorView {
            memory_bytes: resident_bytes(),
            queues: vec![
                queue(
                    "harvesters to farmer",
                    engine.sessions.len(),
                    engine.sessions.max_capacity(),
                ),
                queue(
                    "everything else to farmer",
                    engine.inputs.len(),
                    engine.inputs.max_capacity(),
                ),
                queue(
                    "questions to farmer",
                    engine.requests.len(),
                    engine.requests.max_capacity(),
                ),
                queue("events to viewers", engine.events.len(), EVENT_QUEUE),
            ],
        }
    }
}

/// Memory of this process, where the system has a file that says so.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// Every notice is a log line, at the level it deserves.
fn log_notice(notice: &Notice) {
    match notice {
        // Sessions log refused connections themselves, with the address.
        Notice::ConnectionRefused { .. } => {}
        Notice::SignagePoint { .. }
        | Notice::Attempt { .. }
        | Notice::PlotSyncDone { .. }
        | Notice::CrossChecked { .. }
        // The line of the pool's answer is written where it comes in.
        | Notice::PartialAccepted { .. } => {
            tracing::debug!(target: "farmer", "{notice}");
        }
        Notice::HarvesterConnected { .. }
        | Notice::ProofFound { .. }
        | Notice::ProofDeclared { .. }
        | Notice::HarvesterFee { .. }
        | Notice::BlockSigned { .. }
        | Notice::BlockAccepted { .. }
        | Notice::AlarmSeen { .. }
        | Notice::PoolDifficultyChanged { .. }
        | Notice::AlarmClosed { .. } => tracing::info!(target: "farmer", "{notice}"),
        Notice::HarvesterDisconnected { .. }
        | Notice::PlotSyncRefused { .. }
        | Notice::SignagePointsMissed { .. }
        | Notice::CrossCheckFailed { .. }
        | Notice::PartialLost { .. }
        | Notice::AlarmOpened { .. } => tracing::warn!(target: "farmer", "{notice}"),
        Notice::ProofInvalid { .. } | Notice::ProofLost { .. } => tracing::error!(target: "farmer", "{notice}"),
    }
}
