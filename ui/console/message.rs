//! What reaches the console, and what it wants done.

use std::sync::Arc;

use crossterm::event::KeyEvent;
use farmconsole::runtime::{FeedEvent, RecentKind};
use farmconsole::snapshot::FarmSnapshot;
use farmconsole::snapshot::page::{Page, PageRequest};

use super::run::Left;
use crate::feed::FeedItem;

/// Something happened.
#[derive(Debug)]
pub(super) enum Message<P = FarmSnapshot> {
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has this many columns and rows.
    Resized(u16, u16),
    /// A newer picture of the farm or harvester.
    Snapshot(Arc<P>),
    /// No picture came for so many seconds, although the farmer is there.
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
    /// Answer to [`Effect::Acknowledge`].
    Acknowledged {
        /// Number of the alarm.
        alarm: u64,
        /// Or why not.
        result: Result<(), String>,
    },
}

/// What shall happen outside the model.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Tell the farmer that a person has seen this alarm.
    Acknowledge(u64),
    /// Give the terminal back to the shell until it continues us.
    Suspend,
    /// Draw everything anew.
    Repaint,
    /// Leave the console.
    Leave(Left),
}
