//! Protocol messages, log records and notices in one bounded stream, oldest first.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use farmconsole::handle::FeedEvent;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{AttemptOutcome, Direction, Notice};

/// Entries kept; the oldest are forgotten.
pub(super) const ENTRIES_KEPT: usize = 4096;

/// How far back a notice and its log line may be apart.
const TWIN_WINDOW: usize = 64;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Number of the entry since the console opened; what a selection names.
    pub(super) number: u64,
    /// Unix milliseconds.
    pub(super) at_unix_ms: u64,
    /// It.
    pub(super) event: FeedEvent,
    /// What a filter looks at, once one has: making it anew for thousands of entries would cost every frame dear.
    search_text: OnceLock<Box<str>>,
}

impl Entry {
    const fn new(number: u64, at_unix_ms: u64, event: FeedEvent) -> Self {
        Self {
            number,
            at_unix_ms,
            event,
            search_text: OnceLock::new(),
        }
    }

    /// Everything its row says, in lower case.
    pub(super) fn search_text(&self) -> &str {
        self.search_text
            .get_or_init(|| self.text().to_lowercase().into_boxed_str())
    }

    /// Everything its row says.
    pub(super) fn text(&self) -> String {
        let level = self.level().word();
        match &self.event {
            FeedEvent::Message(record) => {
                let (arrow, towards) = words_of(record.direction);
                format!(
                    "{arrow} {} {towards} {} ({}) {}",
                    record.message, record.host, record.peer_name, record.detail
                )
            }
            FeedEvent::Log(record) => format!("{level} {} {} {}", record.service.word(), record.logger, record.message),
            FeedEvent::Notice(notice) => format!("{level} {notice}"),
        }
    }

    /// How important: log records say it, a notice is what its log line would be, a message passes by.
    pub(super) fn level(&self) -> LogLevel {
        match &self.event {
            FeedEvent::Message(_) => LogLevel::Debug,
            FeedEvent::Log(record) => record.level,
            FeedEvent::Notice(notice) => match notice {
                Notice::ProofInvalid { .. } | Notice::ProofLost { .. } => LogLevel::Error,
                Notice::HarvesterDisconnected { .. }
                | Notice::ConnectionRefused { .. }
                | Notice::PlotSyncRefused { .. }
                | Notice::SignagePointsMissed { .. }
                | Notice::CrossCheckFailed { .. }
                | Notice::PartialLost { .. }
                | Notice::AlarmOpened { .. }
                | Notice::Attempt { .. } => LogLevel::Warning,
                _ => LogLevel::Info,
            },
        }
    }

    /// Whether a person should look at it.
    pub(super) fn is_wrong(&self) -> bool {
        self.level() >= LogLevel::Warning
    }
}

/// An arrow, and the word for it.
pub(super) const fn words_of(direction: Direction) -> (&'static str, &'static str) {
    match direction {
        Direction::Out => ("->", "to"),
        Direction::In => ("<-", "from"),
    }
}

/// The newest entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    entries: VecDeque<Arc<Entry>>,
    next: u64,
    /// Events that came too fast to be kept.
    pub(super) skipped: u64,
}

impl Stream {
    /// The entries, oldest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Adds an event that just came. `now_unix_ms` is used for events that carry no time. Says whether it was added:
    /// what is told elsewhere already is not.
    pub(super) fn push(&mut self, event: FeedEvent, now_unix_ms: u64) -> bool {
        if is_told_elsewhere(&event) || self.has_twin(&event) {
            return false;
        }
        if self.entries.len() == ENTRIES_KEPT {
            self.entries.pop_front();
        }
        // The clock of the picture is a little behind, and nothing comes before what came before it.
        let newest = self.entries.back().map_or(0, |e| e.at_unix_ms);
        let just_now = if newest > now_unix_ms.saturating_add(OUT_OF_ORDER_MS) {
            now_unix_ms
        } else {
            now_unix_ms.max(newest)
        };
        let at_unix_ms = time_of(&event).unwrap_or(just_now);
        // Log records come a little later than messages of the same moment. What seems to be much older comes after the
        // farmer's clock was set back, and is the newest all the same.
        let is_later = |e: &&Arc<Entry>| (1..=OUT_OF_ORDER_MS).contains(&e.at_unix_ms.saturating_sub(at_unix_ms));
        let at = self.entries.len() - self.entries.iter().rev().take_while(is_later).count();
        self.entries
            .insert(at, Arc::new(Entry::new(self.next, at_unix_ms, event)));
        self.next += 1;
        true
    }

    /// Puts events of the past where they belong in time; those that are there already are not doubled. Notices, which
    /// carry no time, are left out: their log lines tell them.
    pub(super) fn merge(&mut self, events: Vec<FeedEvent>) {
        for event in events {
            let Some(at_unix_ms) = time_of(&event) else { continue };
            let from = self.entries.partition_point(|e| e.at_unix_ms < at_unix_ms);
            let to = self.entries.partition_point(|e| e.at_unix_ms <= at_unix_ms);
            let known = self.entries.range(from..to).any(|e| e.event == event);
            if known || is_told_elsewhere(&event) || (self.entries.len() == ENTRIES_KEPT && from == 0) {
                continue;
            }
            if self.entries.len() == ENTRIES_KEPT {
                self.entries.pop_front();
            }
            let at = self.entries.partition_point(|e| e.at_unix_ms <= at_unix_ms);
            self.entries
                .insert(at, Arc::new(Entry::new(self.next, at_unix_ms, event)));
            self.next += 1;
        }
    }

    /// A notice and the log line that says the same are one fact.
    fn has_twin(&self, event: &FeedEvent) -> bool {
        let text = match event {
            FeedEvent::Log(record) => record.message.clone(),
            FeedEvent::Notice(notice) => notice.to_string(),
            FeedEvent::Message(_) => return false,
        };
        self.entries
            .iter()
            .rev()
            .take(TWIN_WINDOW)
            .any(|entry| match (&entry.event, event) {
                (FeedEvent::Notice(notice), FeedEvent::Log(_)) => notice.to_string() == text,
                (FeedEvent::Log(record), FeedEvent::Notice(_)) => record.message == text,
                _ => false,
            })
    }
}

/// Log lines that repeat a message, and notices that repeat an answer.
fn is_told_elsewhere(event: &FeedEvent) -> bool {
    match event {
        FeedEvent::Log(record) => record.message.starts_with("-> ") || record.message.starts_with("<- "),
        FeedEvent::Notice(Notice::Attempt { attempt }) => matches!(attempt.outcome, AttemptOutcome::Answered { .. }),
        FeedEvent::Notice(Notice::SignagePoint { .. }) => true,
        FeedEvent::Notice(_) | FeedEvent::Message(_) => false,
    }
}

fn time_of(event: &FeedEvent) -> Option<u64> {
    match event {
        FeedEvent::Message(record) => Some(record.at_unix_ms),
        FeedEvent::Log(record) => Some(record.at_unix_ms.0),
        FeedEvent::Notice(Notice::AlarmOpened { alarm }) => Some(alarm.updated_at_unix_ms),
        FeedEvent::Notice(Notice::Attempt { attempt }) => Some(attempt.at_unix_ms),
        FeedEvent::Notice(_) => None,
    }
}

/// Events come out of order by less than this.
const OUT_OF_ORDER_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::super::samples::{log_record, message_record};
    use super::*;

    fn times(stream: &Stream) -> Vec<u64> {
        stream.entries().map(|e| e.at_unix_ms).collect()
    }

    #[test]
    fn stream_is_bounded_and_forgets_the_oldest() {
        let mut stream = Stream::default();
        for n in 0..5000 {
            stream.push(FeedEvent::Message(message_record(n, "a")), 0);
        }
        assert_eq!(stream.entries().len(), ENTRIES_KEPT);
        assert_eq!(
            stream.entries().next().map(|e| e.at_unix_ms),
            Some(5000 - ENTRIES_KEPT as u64)
        );
    }

    #[test]
    fn what_comes_late_stands_where_it_happened() {
        let mut stream = Stream::default();
        stream.push(FeedEvent::Message(message_record(50, "a")), 0);
        stream.push(FeedEvent::Log(log_record(45, LogLevel::Info, "b")), 0);
        stream.push(FeedEvent::Message(message_record(51, "a")), 0);
        assert_eq!(times(&stream), [45, 50, 51]);
    }

    #[test]
    fn events_of_the_past_find_their_place_and_are_not_doubled() {
        let mut stream = Stream::default();
        stream.push(FeedEvent::Message(message_record(50, "a")), 0);
        stream.push(FeedEvent::Message(message_record(70, "a")), 0);
        let past = [10, 50, 60].map(|at| FeedEvent::Message(message_record(at, "a")));
        stream.merge(past.to_vec());
        assert_eq!(times(&stream), [10, 50, 60, 70]);
    }

    #[test]
    fn a_message_and_its_log_line_are_one_entry() {
        let mut stream = Stream::default();
        assert!(!stream.push(
            FeedEvent::Log(log_record(5, LogLevel::Debug, "-> farming_info to peer x y")),
            0
        ));
        let notice = Notice::BlockSigned {
            name: "barn-3".to_owned(),
        };
        let line = notice.to_string();
        assert!(stream.push(FeedEvent::Notice(notice), 7));
        assert!(!stream.push(FeedEvent::Log(log_record(8, LogLevel::Info, &line)), 0));
        assert_eq!(times(&stream), [7]);
    }

    #[test]
    fn what_comes_after_the_clock_was_set_back_comes_last() {
        let mut stream = Stream::default();
        let (before, after) = (20_000_000, 9_000_000);
        for at in [before, after + 5, after + 4, after + 6] {
            stream.push(FeedEvent::Message(message_record(at, "a")), 0);
        }
        stream.push(FeedEvent::Notice(untimed()), after + 7);
        assert_eq!(times(&stream), [before, after + 4, after + 5, after + 6, after + 7]);
        // Without a time of its own it is of the moment of the picture, also right after the step.
        let mut stream = Stream::default();
        stream.push(FeedEvent::Message(message_record(before, "a")), 0);
        stream.push(FeedEvent::Notice(untimed()), after);
        assert_eq!(times(&stream), [before, after]);
    }

    fn untimed() -> Notice {
        Notice::BlockSigned {
            name: "barn-3".to_owned(),
        }
    }
}
