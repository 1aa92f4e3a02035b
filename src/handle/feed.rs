//! What happens on a farm, as it is told to whoever watches, and the last of it for those who come later.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::logging::LogRecord;
use crate::snapshot::{MessageRecord, Notice};

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
