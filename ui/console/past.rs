//! What the history says of the harvester whose details are open: its last week by the hour, and its plot changes.

use std::collections::BTreeMap;

use farmconsole::snapshot::{HistoryRequest, HistoryRows, HistoryTable, HourRow, PlotChangeRow};

/// Days that are shown.
pub(super) const DAYS: u64 = 7;

/// Milliseconds of an hour and of a day.
pub(super) const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// Plot changes that are shown.
const CHANGES: u32 = 12;

/// The past of one harvester.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Past {
    asked: Vec<HistoryRequest>,
    /// Hours by their beginning, unix milliseconds.
    pub(super) hours: BTreeMap<u64, HourRow>,
    /// Newest first.
    pub(super) changes: Vec<PlotChangeRow>,
    /// Why there is none.
    pub(super) missing: Option<String>,
}

impl Past {
    /// The questions about a harvester of this name.
    pub(super) fn ask(&mut self, name: &str, now_unix_ms: u64) -> [HistoryRequest; 2] {
        let request = |table, limit| HistoryRequest {
            table,
            from_unix_ms: now_unix_ms.saturating_sub(DAYS * DAY_MS),
            to_unix_ms: now_unix_ms.saturating_add(HOUR_MS),
            harvester: Some(name.to_owned()),
            offset: 0,
            limit,
        };
        let hours = u32::try_from(DAYS * 24 + 1).unwrap_or(u32::MAX);
        let asked = [
            request(HistoryTable::Hours, hours),
            request(HistoryTable::PlotChanges, CHANGES),
        ];
        self.asked = asked.to_vec();
        asked
    }

    /// Takes an answer, if it is one that is waited for.
    pub(super) fn take(&mut self, request: &HistoryRequest, result: Result<HistoryRows, String>) {
        if !self.asked.contains(request) {
            return;
        }
        match result {
            Ok(HistoryRows::Hours(hours)) => {
                self.hours = hours.into_iter().map(|hour| (hour.start_unix_ms, hour)).collect();
            }
            Ok(HistoryRows::PlotChanges(changes)) => self.changes = changes,
            Ok(_) => {}
            Err(reason) => self.missing = Some(reason),
        }
    }
}
