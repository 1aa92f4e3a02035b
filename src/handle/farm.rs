//! A farm that runs: the newest snapshot, the stream of events, and questions.
//!
//! A handle never blocks the engine: snapshots are a `watch` (latest wins, made only while somebody watches), events a
//! `broadcast` (a slow reader is told how many it missed), questions a bounded queue.

use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::feed::{FeedEvent, RecentKind};
use super::fleet::{FleetAnswer, FleetAsk, FleetHandle};
use super::kept::AlarmsKept;
use super::tape::Taping;
use crate::farmer::Command;
use crate::history::HistoryReader;
use crate::logging::LogHandle;
use crate::snapshot::page::{Page, PageRequest};
use crate::snapshot::{FarmSnapshot, HarvesterId, HarvesterState, HarvesterView, HistoryPage, HistoryRequest};

/// A question to the engine.
#[derive(Debug)]
pub(crate) enum EngineRequest {
    Snapshot(oneshot::Sender<Arc<FarmSnapshot>>),
    Page(PageRequest, oneshot::Sender<Page>),
    Recent(RecentKind, u32, oneshot::Sender<Vec<FeedEvent>>),
    Command(Command, oneshot::Sender<Result<(), String>>),
    Record(oneshot::Sender<Result<Taping, String>>),
}

/// A cheap, cloneable hold on a running farm.
#[derive(Clone, Debug)]
pub struct FarmHandle {
    pub(crate) snapshots: watch::Sender<Arc<FarmSnapshot>>,
    pub(crate) events: broadcast::Sender<Arc<FeedEvent>>,
    pub(crate) requests: mpsc::Sender<EngineRequest>,
    pub(crate) log: LogHandle,
    pub(crate) history: Option<HistoryReader>,
    pub(crate) fleet: FleetHandle,
    pub(crate) alarms_kept: AlarmsKept,
}

impl FarmHandle {
    /// Asks or orders something about the harvesters and their certificates. A harvester may be named as the farm shows
    /// it, also where the registry has no name for it and its address is that of several, as in `10.0.0.5 (2)`.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub async fn fleet(&self, mut ask: FleetAsk) -> Result<FleetAnswer, String> {
        if let Some(who) = ask.who_mut() {
            let farm = self.snapshot().await?;
            // The farmer's own harvester (port 0) has no certificate of its own, and the name of one that was revoked may
            // be another's by now.
            let is_one = |it: &&HarvesterView| it.port != 0 && !matches!(it.state, HarvesterState::Revoked { .. });
            let mut remote = farm.harvesters.iter().filter(is_one);
            if let Some(named) = remote.find(|harvester| harvester.name == *who) {
                *who = named.peer_id.to_string();
            }
        }
        self.fleet.ask(ask).await
    }

    /// The farm at this moment.
    ///
    /// # Errors
    /// A sentence when the engine has ended.
    pub async fn snapshot(&self) -> Result<Arc<FarmSnapshot>, String> {
        self.ask(EngineRequest::Snapshot).await
    }

    /// Snapshots as they are published. They are made only while somebody holds a receiver, so the first one there may
    /// be old: the next is at most a quarter of a second away.
    #[must_use]
    pub fn watch_snapshots(&self) -> watch::Receiver<Arc<FarmSnapshot>> {
        self.snapshots.subscribe()
    }

    /// Events from here on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<FeedEvent>> {
        self.events.subscribe()
    }

    /// Part of a long list.
    ///
    /// # Errors
    /// A sentence when the engine has ended.
    pub async fn page(&self, request: PageRequest) -> Result<Page, String> {
        self.ask(|reply| EngineRequest::Page(request, reply)).await
    }

    /// The last events of one kind, oldest first.
    ///
    /// # Errors
    /// A sentence when the engine has ended.
    pub async fn recent(&self, kind: RecentKind, limit: u32) -> Result<Vec<FeedEvent>, String> {
        if kind == RecentKind::Logs {
            return Ok(self
                .log
                .ring()
                .tail(limit as usize)
                .records
                .into_iter()
                .map(FeedEvent::Log)
                .collect());
        }
        self.ask(|reply| EngineRequest::Recent(kind, limit, reply)).await
    }

    /// Asks a harvester (or all) for its plots and compares them with what was synced.
    ///
    /// # Errors
    /// A sentence when there is no such harvester or the engine has ended.
    pub async fn refresh(&self, harvester: Option<HarvesterId>) -> Result<(), String> {
        self.ask(|reply| EngineRequest::Command(Command::RefreshHarvester { harvester }, reply))
            .await?
    }

    /// The farmer as it is, and everything that happens to it from here on. There is one such reader at a time.
    ///
    /// # Errors
    /// A sentence when there is one already or the engine has ended.
    pub async fn record(&self) -> Result<Taping, String> {
        self.ask(EngineRequest::Record).await?
    }

    /// Marks an alarm as seen.
    ///
    /// # Errors
    /// A sentence when there is no such alarm, the engine has ended, or it is done and will be forgotten.
    pub async fn acknowledge(&self, alarm: u64) -> Result<(), String> {
        self.say(Command::AcknowledgeAlarm { number: Some(alarm) }).await
    }

    /// Marks all alarms as seen.
    ///
    /// # Errors
    /// A sentence when the engine has ended, or it is done and will be forgotten.
    pub async fn acknowledge_all(&self) -> Result<(), String> {
        self.say(Command::AcknowledgeAlarm { number: None }).await
    }

    /// Tells nobody of some alarms for a while (0 s: again).
    ///
    /// # Errors
    /// A sentence when too much is silenced, the engine has ended, or it is done and will be forgotten.
    pub async fn silence(&self, rule: Option<String>, machine: Option<String>, for_s: u64) -> Result<(), String> {
        self.say(Command::SilenceAlarms { rule, machine, for_s }).await
    }

    /// Part of the history. Does not concern the engine.
    ///
    /// # Errors
    /// A sentence when there is no history or it cannot be read.
    pub async fn history(&self, request: HistoryRequest) -> Result<HistoryPage, String> {
        let Some(reader) = self.history.clone() else {
            return Err("no history is written: see `farmconsole.history` in the settings".to_owned());
        };
        let read = tokio::task::spawn_blocking(move || reader.page(&request));
        read.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
    }

    /// Changes the log level while running.
    ///
    /// # Errors
    /// A sentence when there is no such level.
    pub fn set_log_level(&self, level: &str) -> Result<(), String> {
        self.log.set_level(
            level
                .parse()
                .map_err(|e: crate::logging::UnknownLogLevel| e.to_string())?,
        );
        Ok(())
    }

    /// Says something about alarms, which is to be remembered.
    async fn say(&self, command: Command) -> Result<(), String> {
        self.ask(|reply| EngineRequest::Command(command, reply)).await??;
        self.alarms_kept.clone().wait().await
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> EngineRequest) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the farmer is shutting down".to_owned();
        self.requests.send(make(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}
