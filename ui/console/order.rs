//! What tables are sorted by: every screen has an order of its own, which the keys and its column heads change.

use farmconsole::snapshot::page::FileOrder;

use super::screen::Screen;

/// What a table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortBy {
    /// The order its screen opens with.
    #[default]
    Natural,
    /// What is wrong first.
    State,
    Name,
    Plots,
    /// The largest first.
    Size,
    /// The slowest first.
    Lookup,
    /// Most plots that passed the filter first.
    Passed,
    /// Most files that are not farmed first.
    NotFarmed,
    /// The newest first.
    Newest,
}

impl SortBy {
    /// In words, on `screen`.
    pub(super) const fn words(self, screen: Screen) -> &'static str {
        match (self, screen) {
            (Self::Natural, Screen::Harvesters) => "first seen",
            (Self::Natural, Screen::Plots) => "harvester",
            (Self::Natural, Screen::Alarms) => "what is worst",
            (Self::Natural, Screen::Messages) => "time",
            (Self::Natural, Screen::Pools) => "the wallet's list",
            (Self::Size, Screen::Pools) => "points found",
            (Self::Natural, Screen::Farm | Screen::Proofs) | (Self::Newest, _) => "newest",
            (Self::State, _) => "state",
            (Self::Name, Screen::Plots) => "file name",
            (Self::Name, _) => "name",
            (Self::Plots, _) => "plots",
            (Self::Size, _) => "size",
            (Self::Lookup, _) => "slowest look-up",
            (Self::Passed, _) => "plots that passed",
            (Self::NotFarmed, _) => "files not farmed",
        }
    }
}

/// The orders a screen has, in the order the key goes through them.
pub(super) const fn orders_of(screen: Screen) -> &'static [SortBy] {
    match screen {
        Screen::Farm => &[SortBy::Natural, SortBy::Name, SortBy::Passed, SortBy::Lookup],
        Screen::Harvesters => &[
            SortBy::Natural,
            SortBy::State,
            SortBy::Name,
            SortBy::Plots,
            SortBy::Size,
            SortBy::Newest,
            SortBy::Lookup,
            SortBy::NotFarmed,
        ],
        Screen::Plots => &[SortBy::Natural, SortBy::Name, SortBy::Size, SortBy::Newest],
        Screen::Pools => &[SortBy::Natural, SortBy::State, SortBy::Name, SortBy::Size],
        Screen::Proofs => &[SortBy::Natural, SortBy::Name, SortBy::State],
        Screen::Alarms => &[SortBy::Natural, SortBy::Newest],
        Screen::Messages => &[SortBy::Natural],
    }
}

/// An order, and which way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: SortBy,
    pub(super) reversed: bool,
}

impl Order {
    /// The next order of `screen`, round and round.
    pub(super) fn next(self, screen: Screen) -> Self {
        let orders = orders_of(screen);
        let at = orders.iter().position(|by| *by == self.by).unwrap_or_default();
        Self {
            by: orders[(at + 1) % orders.len()],
            reversed: false,
        }
    }

    /// The order of a column whose head was pressed: pressed again, it turns round.
    pub(super) fn pressed(self, by: SortBy) -> Self {
        Self {
            by,
            reversed: self.by == by && !self.reversed,
        }
    }

    /// In words, for the edge of a table.
    pub(super) fn words(self, screen: Screen) -> String {
        let direction = if self.reversed { " reversed" } else { "" };
        format!("by {}{direction}", self.by.words(screen))
    }

    /// The same for a list that the farmer sorts.
    pub(super) const fn of_files(self) -> FileOrder {
        match self.by {
            SortBy::Name => FileOrder::File,
            SortBy::Size | SortBy::Plots => FileOrder::Size,
            SortBy::Newest => FileOrder::Newest,
            _ => FileOrder::Harvester,
        }
    }
}

/// The order of every screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders([Order; Screen::ALL.len()]);

impl Orders {
    /// That of one screen.
    pub(super) const fn of(&self, screen: Screen) -> Order {
        self.0[screen as usize]
    }

    /// Changes that of one screen.
    pub(super) const fn set(&mut self, screen: Screen, order: Order) {
        self.0[screen as usize] = order;
    }
}
