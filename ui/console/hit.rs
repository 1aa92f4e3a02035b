//! What can be clicked: drawing gives back where everything stands, and a click is looked up there.

use farmconsole::ids::LauncherId;
use farmconsole::snapshot::HarvesterId;
use farmconsole::snapshot::page::ListKind;
use ratatui::layout::{Position, Rect};

use super::order::SortBy;
use super::screen::{Pane, Screen};

/// Something that can be clicked, by what it is and not by where it stands, so that a newer picture does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Screen(Screen),
    Help,
    Harvester(HarvesterId),
    Proof(u64),
    Pool(LauncherId),
    Entry(u64),
    Alarm(u64),
    /// Number of a file in the list that is open.
    File(u64),
    /// Head of a list of files.
    List(ListKind),
    /// Head of a column.
    Sort(SortBy),
    /// On the console of a harvester alone: a part of the screen, or a row of one.
    Pane(Pane),
    Row(Pane, u64),
}

/// Where something that can be clicked stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) area: Rect,
    pub(super) target: Target,
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mouse {
    /// The left button, on this.
    Click(Target),
    /// The wheel, by so many rows.
    Wheel(i64),
}

/// What stands at a cell; what was drawn last lies on top.
pub(super) fn at(hits: &[Hit], column: u16, row: u16) -> Option<Target> {
    let here = |hit: &&Hit| hit.area.contains(Position { x: column, y: row });
    hits.iter().rev().find(here).map(|hit| hit.target)
}
