//! What reaches the console, and what it wants done.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use farmconsole::config::HarvesterName;
use farmconsole::handle::{FeedEvent, RecentKind};
use farmconsole::ids::PeerId;
use farmconsole::snapshot::page::{Page, PageRequest};
use farmconsole::snapshot::{FarmSnapshot, HistoryRequest, HistoryRows};

use super::export::{Discretion, Format, Table};
use super::hit::Mouse;
use super::last_look::LastLook;
use crate::feed::FeedItem;

/// Something happened.
#[derive(Debug)]
pub(super) enum Message<P = FarmSnapshot> {
    /// A key was pressed.
    Key(KeyEvent),
    /// A key that came together with others, as the characters of a paste do where the terminal does not say that it is one.
    Hurried(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// A paste has begun and not ended: until it does, keys are taken for part of it.
    PasteGoesOn,
    /// What the person saw last; comes first.
    LastLook(LastLook),
    /// The mouse did something.
    Mouse(Mouse),
    /// The terminal has this many columns and rows.
    Resized(u16, u16),
    /// A newer picture of the farm or harvester.
    Snapshot(Arc<P>),
    /// No picture came for so many seconds, whether the farmer is there or not.
    Quiet {
        /// Seconds since the last one.
        for_s: u64,
    },
    /// From the feed.
    Item(FeedItem),
    /// Events from before the console opened or while it was cut off.
    Recent(Result<Vec<FeedEvent>, String>),
    /// Answer to [`Effect::Page`].
    Page {
        /// What was asked.
        request: PageRequest,
        /// The page, or why there is none.
        result: Result<Page, String>,
    },
    /// Answer to [`Effect::History`].
    History {
        /// What was asked.
        request: HistoryRequest,
        /// The rows, or why there are none.
        result: Result<HistoryRows, String>,
    },
    /// Answer to [`Effect::Silence`], as a sentence.
    Silenced(Result<String, String>),
    /// Answer to [`Effect::Acknowledge`].
    Acknowledged {
        /// Number of the alarm.
        alarm: u64,
        /// Or why not.
        result: Result<(), String>,
    },
    /// Answer to [`Effect::Rename`]: the name, or why not.
    Renamed(Result<String, String>),
    /// Answer to [`Effect::Save`]: rows and path, or why not.
    Saved(Result<(u64, String), String>),
}

/// What shall happen outside the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Ask for part of a long list.
    Page(PageRequest),
    /// Ask for events of the past.
    Recent {
        /// Which.
        kind: RecentKind,
        /// At most this many.
        limit: u32,
    },
    /// Ask for part of the history.
    History(HistoryRequest),
    /// Tell nobody of such alarms for a while; 0 s ends it.
    Silence {
        /// The rule.
        rule: String,
        /// The machine, if the alarm is about one.
        machine: Option<String>,
        /// For how long, seconds.
        for_s: u64,
    },
    /// Tell the farmer that a person has seen this alarm.
    Acknowledge(u64),
    /// Give a harvester another name.
    Rename {
        /// Whose certificate this is.
        peer_id: PeerId,
        /// Its new name.
        name: HarvesterName,
    },
    /// Put this on the clipboard.
    Copy(String),
    /// Take the clicks, or leave them to the terminal.
    CaptureMouse(bool),
    /// Write a table into a new file.
    Save {
        /// Its path.
        path: String,
        /// How.
        format: Format,
        /// What.
        rows: Save,
    },
    /// Give the terminal back to the shell until it continues us.
    Suspend,
    /// Draw everything anew.
    Repaint,
    /// Leave the console.
    Leave(Left),
}

impl Effect {
    /// Whether it does what a person must have meant: it ends something, writes something, or speaks for the person.
    pub(super) const fn is_decision(&self) -> bool {
        matches!(
            self,
            Self::Leave(_) | Self::Acknowledge(_) | Self::Silence { .. } | Self::Rename { .. } | Self::Save { .. }
        )
    }
}

/// The end of a paste can get lost, with a line that broke for instance; that of another one will do.
pub(super) const PASTE_GOES_ON: &str = "a paste began and did not end: if keys are not taken, paste something";

/// What is saved.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Save {
    /// All of it.
    Table(Table),
    /// All pages of a list that the farmer has.
    Pages {
        /// The first of them.
        first: PageRequest,
        /// What of them may be told.
        tell: Discretion,
    },
}

/// How the console was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The farmer goes on, in another process.
    Detached,
    /// The farmer of this process shall end.
    Stop,
}
