//! A harvester that runs alone on its machine: pictures of it, and its log.

use std::sync::Arc;

use tokio::sync::watch;

use super::feed::FeedEvent;
use crate::harvester::StatusHandle;
use crate::logging::{LogHandle, LogPage};
use crate::snapshot::MachineSnapshot;

/// A cheap, cloneable hold on a running harvester.
#[derive(Clone, Debug)]
pub struct HarvesterHandle {
    pub(crate) status: StatusHandle,
    pub(crate) log: LogHandle,
}

impl HarvesterHandle {
    /// The harvester at this moment. To be called in a runtime.
    #[must_use]
    pub fn snapshot(&self) -> Arc<MachineSnapshot> {
        Arc::clone(&self.watch().borrow())
    }

    /// Pictures of it, at most four a second and at least one, while somebody watches. To be called in a runtime.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<MachineSnapshot>> {
        self.status.watch()
    }

    /// Log records from number `from` on; with `u64::MAX` none, but the number of the next one.
    #[must_use]
    pub fn log(&self, from: u64) -> LogPage {
        self.log.ring().page(from, RECORDS_AT_ONCE)
    }

    /// The last log records, oldest first.
    #[must_use]
    pub fn last_log_records(&self, limit: u32) -> Vec<FeedEvent> {
        let page = self.log.ring().tail(limit as usize);
        page.records.into_iter().map(FeedEvent::Log).collect()
    }

    /// Changes the log level while running.
    ///
    /// # Errors
    /// A sentence when there is no such level.
    pub fn set_log_level(&self, level: &str) -> Result<(), String> {
        let level = level
            .parse()
            .map_err(|error: crate::logging::UnknownLogLevel| error.to_string())?;
        self.log.set_level(level);
        Ok(())
    }
}

/// Log records that a watcher is given with one picture.
const RECORDS_AT_ONCE: usize = 500;
