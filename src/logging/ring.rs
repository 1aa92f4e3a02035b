//! The newest log records in memory, for the console.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::line::{LogLevel, Service};
use crate::clock::UnixMillis;

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Number of the record since start, from 0.
    pub number: u64,
    /// When.
    pub at_unix_ms: UnixMillis,
    /// How important.
    pub level: LogLevel,
    /// Which service.
    pub service: Service,
    /// Logger name, as `farmer_server`.
    pub logger: String,
    /// The text, safe to show.
    pub message: String,
}

/// Records in order, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPage {
    /// The records.
    pub records: Vec<LogRecord>,
    /// Records between the number asked for and the first one here that are no longer kept.
    pub missed: u64,
    /// Number to ask for next.
    pub next: u64,
}

/// A bounded queue of the newest records; the oldest is forgotten. Cheap to clone, all clones are one ring.
#[derive(Clone, Debug)]
pub struct LogRing {
    inner: Arc<Mutex<Inner>>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<LogRecord>,
    next: u64,
}

impl LogRing {
    /// A ring that keeps `capacity` records.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            inner: Arc::default(),
            capacity,
        }
    }

    /// Adds a record and numbers it.
    pub(super) fn push(&self, at: UnixMillis, level: LogLevel, service: Service, logger: &str, message: String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.records.len() >= self.capacity {
            inner.records.pop_front();
        }
        let number = inner.next;
        inner.next += 1;
        inner.records.push_back(LogRecord {
            number,
            at_unix_ms: at,
            level,
            service,
            logger: logger.to_owned(),
            message,
        });
    }

    /// The newest `limit` records.
    #[must_use]
    pub fn tail(&self, limit: usize) -> LogPage {
        let next = self.inner.lock().unwrap_or_else(PoisonError::into_inner).next;
        let from = next.saturating_sub(u64::try_from(limit).unwrap_or(u64::MAX));
        LogPage {
            missed: 0,
            ..self.page(from, limit)
        }
    }

    /// At most `limit` records from number `from` on.
    #[must_use]
    pub fn page(&self, from: u64, limit: usize) -> LogPage {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = inner.records.front().map_or(inner.next, |r| r.number);
        let start = from.max(oldest);
        let skip = usize::try_from(start - oldest).unwrap_or(usize::MAX);
        let records: Vec<_> = inner.records.iter().skip(skip).take(limit).cloned().collect();
        LogPage {
            missed: start - from,
            next: records.last().map_or_else(|| start.min(inner.next), |r| r.number + 1),
            records,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring_with(capacity: usize, records: u64) -> LogRing {
        let ring = LogRing::new(capacity);
        for i in 0..records {
            let at = UnixMillis(i);
            ring.push(at, LogLevel::Info, Service::Farmer, "farmer", i.to_string());
        }
        ring
    }

    #[test]
    fn oldest_records_are_forgotten_and_counted() {
        let page = ring_with(3, 5).page(0, 10);
        let texts: Vec<_> = page.records.iter().map(|r| r.message.as_str()).collect();
        assert_eq!((texts, page.missed, page.next), (vec!["2", "3", "4"], 2, 5));
    }

    #[test]
    fn a_reader_that_follows_misses_nothing() {
        let ring = ring_with(3, 5);
        assert_eq!(ring.page(3, 1).next, 4);
        assert_eq!(
            ring.page(5, 10),
            LogPage {
                records: vec![],
                missed: 0,
                next: 5
            }
        );
    }

    #[test]
    fn tail_is_the_newest() {
        let ring = ring_with(3, 5);
        let texts = |page: LogPage| page.records.into_iter().map(|r| r.message).collect::<Vec<_>>();
        assert_eq!(texts(ring.tail(2)), ["3", "4"]);
        assert_eq!(texts(ring.tail(9)), ["2", "3", "4"]);
    }

    #[test]
    fn a_number_from_the_future_gives_nothing() {
        let page = ring_with(3, 2).page(9, 10);
        assert_eq!((page.records.len(), page.missed, page.next), (0, 0, 2));
    }
}
