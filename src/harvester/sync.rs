//! The sending side of plot sync, as a pure state machine: one message in flight, each answered, each sent again when no
//! answer comes.
//!
//! A sync is made whole before it starts, so its messages can be repeated or jumped to when the farmer says which one it
//! expects. Rules: chia `plot_sync/sender.py`, protocol reference `plot_sync.md`.

use std::sync::Arc;
use std::time::Duration;

use super::plot::LoadedPlot;
use crate::clock::{Mono, Now};
use crate::wire::{
    PlotSync, PlotSyncDone, PlotSyncIdentifier, PlotSyncPathList, PlotSyncPlotList, PlotSyncResponse, PlotSyncStart,
};

/// A message without an answer is sent again after this time.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Plots or paths of one message.
pub(super) const BATCH: usize = 300;

/// `harvesting_mode` of a harvester that looks proofs up with the CPU.
const MODE_CPU: u8 = 1;

/// What one sync says.
#[derive(Clone, Debug, Default)]
pub(super) struct SyncContent {
    /// Everything is sent, and the farmer forgets what it had.
    pub(super) initial: bool,
    /// Plots added (all of them in an initial sync), whose keys are known.
    pub(super) loaded: Vec<Arc<LoadedPlot>>,
    /// Plots removed, by file name.
    pub(super) removed: Vec<String>,
    /// All files that cannot be opened.
    pub(super) invalid: Vec<String>,
    /// All plots made for other keys.
    pub(super) keys_missing: Vec<String>,
    /// All duplicates.
    pub(super) duplicates: Vec<String>,
    /// Plot files found.
    pub(super) files: usize,
    /// How long the refresh took.
    pub(super) duration: Duration,
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It answers nothing that was asked.
    Ignored,
    /// The sync goes on.
    Continues,
    /// The sync is complete.
    Complete,
    /// The farmer refused; only a new initial sync helps.
    StartOver {
        /// The farmer's words.
        reason: String,
    },
}

/// The sender.
#[derive(Debug, Default)]
pub(super) struct SyncSender {
    last_sync_id: u64,
    active: Option<Active>,
}

#[derive(Debug)]
struct Active {
    sync_id: u64,
    messages: Vec<Part>,
    next: usize,
    /// When `messages[next]` was sent, and the timestamp it carried.
    in_flight: Option<Mono>,
}

/// A message without its identifier.
#[derive(Clone, Debug)]
enum Part {
    Start {
        initial: bool,
        last_sync_id: u64,
        files: u32,
    },
    Loaded(Vec<Arc<LoadedPlot>>, bool),
    Removed(Vec<String>, bool),
    Invalid(Vec<String>, bool),
    KeysMissing(Vec<String>, bool),
    Duplicates(Vec<String>, bool),
    Done(u64),
}

impl SyncSender {
    fn reset(&mut self) {
        *self = Self::default();
    }

    /// Whether a sync can begin.
    #[must_use]
    pub(super) const fn is_idle(&self) -> bool {
        self.active.is_none()
    }

    /// Begins a sync; a running one is given up.
    pub(super) fn begin(&mut self, now: Now, content: SyncContent) {
        let last_sync_id = if content.initial { 0 } else { self.last_sync_id };
        let mut sync_id = now.unix.seconds();
        if sync_id <= self.last_sync_id {
            sync_id = self.last_sync_id + 1;
        }
        let files = u32::try_from(content.files).unwrap_or(u32::MAX);
        let mut messages = vec![Part::Start {
            initial: content.initial,
            last_sync_id,
            files,
        }];
        if !content.loaded.is_empty() {
            batches(content.loaded, &mut messages, Part::Loaded);
        }
        batches(content.removed, &mut messages, Part::Removed);
        batches(content.invalid, &mut messages, Part::Invalid);
        batches(content.keys_missing, &mut messages, Part::KeysMissing);
        batches(content.duplicates, &mut messages, Part::Duplicates);
        messages.push(Part::Done(content.duration.as_secs()));
        self.active = Some(Active {
            sync_id,
            messages,
            next: 0,
            in_flight: None,
        });
    }

    /// Whether [`Self::poll_message`] has one.
    #[must_use]
    pub(super) fn is_due(&self, now: Now) -> bool {
        let Some(active) = &self.active else { return false };
        active
            .in_flight
            .is_none_or(|sent| now.mono.since(sent) >= ANSWER_PATIENCE)
    }

    /// The message to send at this moment, if one is due. Call again at [`Self::poll_timeout`].
    pub(super) fn poll_message(&mut self, now: Now) -> Option<PlotSync> {
        if !self.is_due(now) {
            return None;
        }
        let active = self.active.as_mut()?;
        let part = active.messages.get(active.next)?.clone();
        active.in_flight = Some(now.mono);
        let message_id = active.next as u64;
        let identifier = PlotSyncIdentifier {
            timestamp: now.unix.seconds(),
            sync_id: active.sync_id,
            message_id,
        };
        Some(part.into_message(identifier))
    }

    /// When an unanswered message is due again.
    #[must_use]
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.active.as_ref()?.in_flight.map(|sent| sent + ANSWER_PATIENCE)
    }

    /// Takes the farmer's answer.
    pub(super) fn handle_response(&mut self, response: &PlotSyncResponse) -> Progress {
        let Some(active) = &mut self.active else {
            return Progress::Ignored;
        };
        let identifier = &response.identifier;
        let expected_type = active.messages.get(active.next).map(Part::message_type);
        if identifier.sync_id != active.sync_id
            || identifier.message_id != active.next as u64
            || expected_type != Some(response.message_type)
            || active.in_flight.is_none()
        {
            return Progress::Ignored;
        }
        active.in_flight = None;
        if let Some(error) = &response.error {
            let wanted = error.expected_identifier.filter(|e| e.sync_id == active.sync_id);
            if let Some(next) = wanted.and_then(|e| usize::try_from(e.message_id).ok())
                && next < active.messages.len()
                && next != active.next
            {
                active.next = next;
                return Progress::Continues;
            }
            let finished_before = error
                .expected_identifier
                .is_some_and(|e| (e.sync_id, e.message_id) == (0, 0))
                && active.next + 1 == active.messages.len();
            if !finished_before {
                self.reset();
                return Progress::StartOver {
                    reason: error.message.clone(),
                };
            }
        }
        active.next += 1;
        if active.next < active.messages.len() {
            return Progress::Continues;
        }
        self.last_sync_id = active.sync_id;
        self.active = None;
        Progress::Complete
    }
}

impl Part {
    fn into_message(self, identifier: PlotSyncIdentifier) -> PlotSync {
        let paths = |data, is_final| PlotSyncPathList {
            identifier,
            data,
            is_final,
        };
        match self {
            Self::Start {
                initial,
                last_sync_id,
                files,
            } => PlotSync::Start(PlotSyncStart {
                identifier,
                initial,
                last_sync_id,
                plot_file_count: files,
                harvesting_mode: MODE_CPU,
            }),
            Self::Loaded(plots, is_final) => PlotSync::Loaded(PlotSyncPlotList {
                identifier,
                data: plots.iter().filter_map(|plot| plot.describe()).collect(),
                is_final,
            }),
            Self::Removed(data, is_final) => PlotSync::Removed(paths(data, is_final)),
            Self::Invalid(data, is_final) => PlotSync::Invalid(paths(data, is_final)),
            Self::KeysMissing(data, is_final) => PlotSync::KeysMissing(paths(data, is_final)),
            Self::Duplicates(data, is_final) => PlotSync::Duplicates(paths(data, is_final)),
            Self::Done(duration) => PlotSync::Done(PlotSyncDone { identifier, duration }),
        }
    }

    /// Number of the message, as answers carry it.
    fn message_type(&self) -> i16 {
        let nobody = PlotSyncIdentifier {
            timestamp: 0,
            sync_id: 0,
            message_id: 0,
        };
        let empty = match self {
            Self::Start { .. } | Self::Done(_) => self.clone(),
            Self::Loaded(..) => Self::Loaded(Vec::new(), true),
            Self::Removed(..) => Self::Removed(Vec::new(), true),
            Self::Invalid(..) => Self::Invalid(Vec::new(), true),
            Self::KeysMissing(..) => Self::KeysMissing(Vec::new(), true),
            Self::Duplicates(..) => Self::Duplicates(Vec::new(), true),
        };
        i16::from(empty.into_message(nobody).message_type().as_u8())
    }
}

/// Cuts a list into messages; an empty list is one empty message.
fn batches<T>(items: Vec<T>, messages: &mut Vec<Part>, make: impl Fn(Vec<T>, bool) -> Part) {
    let mut items = items.into_iter();
    loop {
        let batch: Vec<T> = items.by_ref().take(BATCH).collect();
        let is_final = items.len() == 0;
        messages.push(make(batch, is_final));
        if is_final {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::wire::PlotSyncError;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono(seconds * 1_000_000),
            unix: UnixMillis(1_800_000_000_000 + seconds * 1000),
        }
    }

    fn content(invalid: usize) -> SyncContent {
        SyncContent {
            initial: true,
            invalid: (0..invalid).map(|n| format!("/p/{n}.plot")).collect(),
            ..SyncContent::default()
        }
    }

    fn answer(message: &PlotSync, error: Option<PlotSyncError>) -> PlotSyncResponse {
        PlotSyncResponse::new(message, error)
    }

    #[test]
    fn a_sync_runs_to_its_end_one_answered_message_at_a_time() {
        let mut sender = SyncSender::default();
        sender.begin(at(0), content(301));
        let mut kinds = Vec::new();
        loop {
            let message = sender
                .poll_message(at(1))
                .expect("the next message is due after an answer");
            assert_eq!(sender.poll_message(at(2)), None, "one in flight");
            kinds.push(message.message_type().as_u8());
            if sender.handle_response(&answer(&message, None)) == Progress::Complete {
                break;
            }
        }
        assert_eq!(
            kinds,
            [78, 80, 81, 81, 82, 83, 84],
            "no loaded message without plots, two for 301 paths"
        );
        assert!(sender.is_idle());
    }

    #[test]
    fn a_message_without_an_answer_is_sent_again_with_a_new_timestamp() {
        let mut sender = SyncSender::default();
        sender.begin(at(0), content(0));
        let first = sender.poll_message(at(0)).unwrap();
        assert_eq!(sender.poll_timeout(), Some(at(10).mono));
        let second = sender.poll_message(at(10)).unwrap();
        assert_eq!(first.identifier().message_id, second.identifier().message_id);
        assert_eq!(second.identifier().timestamp, first.identifier().timestamp + 10);
    }

    #[test]
    fn the_farmer_may_ask_for_another_message_of_this_sync() {
        let mut sender = SyncSender::default();
        sender.begin(at(0), content(0));
        let start = sender.poll_message(at(0)).unwrap();
        sender.handle_response(&answer(&start, None));
        let removed = sender.poll_message(at(0)).unwrap();
        let expected_identifier = Some(PlotSyncIdentifier {
            message_id: 0,
            ..*start.identifier()
        });
        let error = PlotSyncError {
            code: 2,
            message: "invalid identifier".to_owned(),
            expected_identifier,
        };
        assert_eq!(
            sender.handle_response(&answer(&removed, Some(error))),
            Progress::Continues
        );
        assert_eq!(sender.poll_message(at(0)).unwrap().identifier().message_id, 0);
    }

    #[test]
    fn any_other_refusal_starts_over() {
        let mut sender = SyncSender::default();
        sender.begin(at(0), content(0));
        let start = sender.poll_message(at(0)).unwrap();
        let error = PlotSyncError {
            code: 3,
            message: "last sync".to_owned(),
            expected_identifier: None,
        };
        let progress = sender.handle_response(&answer(&start, Some(error)));
        assert_eq!(
            progress,
            Progress::StartOver {
                reason: "last sync".to_owned()
            }
        );
        assert!(sender.is_idle());
    }

    #[test]
    fn answers_to_something_else_are_ignored() {
        let mut sender = SyncSender::default();
        sender.begin(at(0), content(0));
        let start = sender.poll_message(at(0)).unwrap();
        let mut stale = answer(&start, None);
        stale.identifier.sync_id += 1;
        assert_eq!(sender.handle_response(&stale), Progress::Ignored);
        let mut other_type = answer(&start, None);
        other_type.message_type = 84;
        assert_eq!(sender.handle_response(&other_type), Progress::Ignored);
    }
}
