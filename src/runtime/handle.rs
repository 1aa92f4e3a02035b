//! What the rest of the program holds of a running farm: the newest snapshot, the stream of events, and questions.
//!
//! A handle never blocks the engine: snapshots are a `watch` (latest wins, made only while somebody watches), events a `broadcast` (a slow reader is told
//! how many it missed), questions a bounded queue.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::fleet::FleetHandle;
use super::tape::Taping;
use crate::control::{FleetAnswer, FleetAsk};
use crate::farmer::Command;
use crate::history::HistoryReader;
use crate::logging::{LogHandle, LogRecord};
use crate::snapshot::page::{Page, PageRequest};
use crate::snapshot::{FarmSnapshot, HarvesterId, HistoryPage, HistoryRequest, MessageRecord, Notice};

/// Events kept for readers that are a little slow.
pub const EVENT_QUEUE: usize = 1024;

/// One event of the farm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedEvent {
    /// A fact.
    Notice(Notice),
    /// A protocol message that passed.
    Message(MessageRecord),
    /// A log record.
    Log(LogRecord),
}

/// Which recent events are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecentKind {
    /// Answers and missing answers ([`Notice::Attempt`]).
    Attempts,
    /// Signage points ([`Notice::SignagePoint`]).
    SignagePoints,
    /// Every other notice.
    Notices,
    /// Protocol messages.
    Messages,
    /// Log records.
    Logs,
}

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
    pub(crate) events: broadcast::Sender<FeedEvent>,
    pub(crate) requests: mpsc::Sender<EngineRequest>,
    pub(crate) log: LogHandle,
    pub(crate) history: Option<HistoryReader>,
    pub(crate) fleet: FleetHandle,
}

impl FarmHandle {
    /// Asks or orders something about the harvesters and their certificates.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub async fn fleet(&self, ask: FleetAsk) -> Result<FleetAnswer, String> {
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
    pub fn subscribe(&self) -> broadcast::Receiver<FeedEvent> {
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
    /// A sentence when there is no such alarm or the engine has ended.
    pub async fn acknowledge(&self, alarm: u64) -> Result<(), String> {
        self.ask(|reply| EngineRequest::Command(Command::AcknowledgeAlarm { number: Some(alarm) }, reply))
            .await?
    }

    /// Marks all alarms as seen.
    ///
    /// # Errors
    /// A sentence when the engine has ended.
    pub async fn acknowledge_all(&self) -> Result<(), String> {
        self.ask(|reply| EngineRequest::Command(Command::AcknowledgeAlarm { number: None }, reply))
            .await?
    }

    /// Tells nobody of some alarms for a while (0 s: again).
    ///
    /// # Errors
    /// A sentence when too much is silenced or the engine has ended.
    pub async fn silence(&self, rule: Option<String>, machine: Option<String>, for_s: u64) -> Result<(), String> {
        self.ask(|reply| EngineRequest::Command(Command::SilenceAlarms { rule, machine, for_s }, reply))
            .await?
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

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> EngineRequest) -> Result<T, String> {
        let (reply, answer) = oneshot::channel();
        let ended = || "the farmer is shutting down".to_owned();
        self.requests.send(make(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

/// The last events of each kind, bounded.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    attempts: VecDeque<FeedEvent>,
    signage_points: VecDeque<FeedEvent>,
    notices: VecDeque<FeedEvent>,
    messages: VecDeque<FeedEvent>,
}

impl Recent {
    /// Keeps `event`, forgetting the oldest of its kind.
    pub(crate) fn keep(&mut self, event: FeedEvent) {
        let (ring, size) = match &event {
            FeedEvent::Notice(Notice::Attempt { .. }) => (&mut self.attempts, 4096),
            FeedEvent::Notice(Notice::SignagePoint { .. }) => (&mut self.signage_points, 512),
            FeedEvent::Notice(_) => (&mut self.notices, 1024),
            FeedEvent::Message(_) => (&mut self.messages, 2048),
            FeedEvent::Log(_) => return,
        };
        if ring.len() == size {
            ring.pop_front();
        }
        ring.push_back(event);
    }

    /// The last `limit` of one kind, oldest first.
    pub(crate) fn last(&self, kind: RecentKind, limit: u32) -> Vec<FeedEvent> {
        let ring = match kind {
            RecentKind::Attempts => &self.attempts,
            RecentKind::SignagePoints => &self.signage_points,
            RecentKind::Notices => &self.notices,
            RecentKind::Messages => &self.messages,
            RecentKind::Logs => return Vec::new(),
        };
        ring.iter()
            .skip(ring.len().saturating_sub(limit as usize))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::RefusalCause;

    #[test]
    fn recent_events_are_bounded_and_oldest_first() {
        let mut recent = Recent::default();
        for n in 0..3000 {
            let cause = RefusalCause::NotTls;
            recent.keep(FeedEvent::Notice(Notice::ConnectionRefused {
                address: n.to_string(),
                cause,
            }));
        }
        let last = recent.last(RecentKind::Notices, 2);
        let addresses: Vec<_> = last
            .iter()
            .map(|e| match e {
                FeedEvent::Notice(Notice::ConnectionRefused { address, .. }) => address.as_str(),
                _ => "?",
            })
            .collect();
        assert_eq!(addresses, ["2998", "2999"]);
        assert_eq!(recent.last(RecentKind::Notices, 9999).len(), 1024);
    }
}
