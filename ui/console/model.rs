//! All there is to see. Written only by [`super::update::update`].

use std::sync::Arc;

use farmconsole::ids::LauncherId;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::page::ListKind;
use farmconsole::snapshot::{FarmSnapshot, HarvesterId, HarvesterView};

use super::files::{FileList, file_count, fleet_count};
use super::last_look::LastLook;
use super::order::{Order, Orders};
use super::past::Past;
use super::privacy::{self, Names};
use super::screen::Screen;
use super::stream::{Entry, Stream};
use super::theme::Theme;
use super::times::Zone;
use crate::commands::Commands;
use crate::feed::FarmerPlace;
use crate::format::safe;

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialog {
    /// The keys.
    Help {
        /// Lines scrolled away.
        scroll: u16,
    },
    /// "Quit and stop farming?"
    Quit,
    /// Words are being typed.
    Filter {
        /// The filter before, to go back to.
        before: String,
    },
    /// A page of text about the farm.
    Report {
        /// About what.
        what: Report,
        /// Lines scrolled away.
        scroll: u16,
    },
    /// The selected proof or pool in full.
    Full {
        /// Lines scrolled away.
        scroll: u16,
    },
    /// A message or record in full; it stays however many pass meanwhile.
    Entry {
        entry: Arc<Entry>,
        /// Lines scrolled away.
        scroll: u16,
    },
    /// The name of a file for the table is being typed.
    Save {
        /// It so far.
        name: String,
    },
    /// The name of a harvester is being typed.
    Rename {
        /// Whose.
        harvester: HarvesterId,
        /// It so far.
        name: String,
    },
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Who speaks which protocol, and what an upgrade would break.
    Upgrade,
    /// How the monitor itself fares: memory, queues, what was dropped.
    Monitor,
    /// What happened since a person looked last.
    SinceLastLook,
}

impl Report {
    /// All.
    #[cfg(test)]
    pub(super) const ALL: [Self; 3] = [Self::Upgrade, Self::Monitor, Self::SinceLastLook];
}

/// Whether the farmer is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It is.
    Up,
    /// It is not, and the picture is old.
    Lost {
        /// Why, as a sentence.
        reason: String,
    },
}

/// Seconds without a picture after which its age is said: they come at least once a second.
pub(super) const OLD_AFTER_S: u64 = 5;

/// Seconds without a picture after which what it says is not taken for true any more.
pub(super) const SILENT_AFTER_S: u64 = 10;

/// A picture that stands still.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    pub(super) snapshot: Arc<FarmSnapshot>,
    pub(super) entries: Vec<Arc<Entry>>,
    /// Messages and records that passed since.
    pub(super) passed: u64,
}

/// One half of the details of a harvester.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Facts,
    Files,
}

/// The details of one harvester.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Details {
    pub(super) harvester: HarvesterId,
    pub(super) files: FileList,
    /// What is in sight where there is room for one of both.
    pub(super) front: Front,
    /// Lines of the facts above the first one that is shown.
    pub(super) facts_scroll: u16,
    /// The filter of the table below, which has nothing to say about files.
    pub(super) filter_before: String,
    /// What the history says of it.
    pub(super) past: Past,
}

/// Selected rows, by what they show, so that a newer picture does not move them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// On Farm and Harvesters.
    pub(super) harvester: Option<HarvesterId>,
    /// Number of the proof.
    pub(super) proof: Option<u64>,
    /// PlotNFT of the pool.
    pub(super) pool: Option<LauncherId>,
    /// Number of the stream's entry; `None` follows the newest.
    pub(super) entry: Option<u64>,
    /// Number of the alarm.
    pub(super) alarm: Option<u64>,
}

/// The whole console.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Where the farmer runs.
    pub(super) place: FarmerPlace,
    pub(super) theme: Theme,
    pub(super) zone: Zone,
    /// How commands are typed for the root of what is shown.
    pub(super) commands: Commands,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// The newest picture.
    pub(super) snapshot: Arc<FarmSnapshot>,
    /// Seconds since it came, as far as they have been counted.
    pub(super) silent_s: u64,
    pub(super) link: Link,
    pub(super) stream: Stream,
    pub(super) frozen: Option<Frozen>,
    pub(super) screen: Screen,
    pub(super) details: Option<Details>,
    /// The files of the fleet, on the Plots screen.
    pub(super) plots: FileList,
    pub(super) dialog: Option<Dialog>,
    pub(super) selection: Selection,
    /// Words that rows must contain.
    pub(super) filter: String,
    pub(super) only_wrong: bool,
    /// Messages and records of a lower level are left out on their screen.
    pub(super) least_level: LogLevel,
    pub(super) orders: Orders,
    pub(super) privacy: bool,
    /// Look-ups over time instead of the other columns of the harvesters.
    pub(super) heat_map: bool,
    /// What the person saw last, if that is known.
    pub(super) last_look: Option<LastLook>,
    /// What stands for the harvesters' names while they are hidden.
    pub(super) names: Names,
    /// Whether clicks come to the console, and not to the terminal.
    pub(super) mouse: bool,
    /// Answer to the last key, when it has one.
    pub(super) remark: Option<String>,
}

impl Model {
    /// A console that has just opened.
    pub(super) fn new(place: FarmerPlace, snapshot: Arc<FarmSnapshot>, theme: Theme, zone: Zone) -> Self {
        Self {
            place,
            theme,
            zone,
            commands: Commands::default(),
            size: (0, 0),
            snapshot,
            silent_s: 0,
            link: Link::Up,
            stream: Stream::default(),
            frozen: None,
            screen: Screen::Farm,
            details: None,
            plots: FileList::new(None, ListKind::Plots),
            dialog: None,
            selection: Selection::default(),
            filter: String::new(),
            only_wrong: false,
            least_level: LogLevel::Debug,
            orders: Orders::default(),
            privacy: false,
            heat_map: false,
            last_look: None,
            names: Names::default(),
            mouse: true,
            remark: None,
        }
    }

    /// The picture the lists show: the frozen one or the newest.
    pub(super) fn shown(&self) -> &FarmSnapshot {
        self.frozen.as_ref().map_or(&self.snapshot, |frozen| &frozen.snapshot)
    }

    /// The time of the newest picture, and on from there while no newer one comes.
    pub(super) fn now_unix_ms(&self) -> u64 {
        after(self.snapshot.taken_at_unix_ms, self.silent_s)
    }

    /// The same for the lists, whose time stands still while they are frozen.
    pub(super) fn shown_at_unix_ms(&self) -> u64 {
        match &self.frozen {
            Some(frozen) => frozen.snapshot.taken_at_unix_ms,
            None => self.now_unix_ms(),
        }
    }

    /// Whether the farmer is there, and says nothing: it hangs.
    pub(super) fn is_silent(&self) -> bool {
        self.link == Link::Up && self.silent_s >= SILENT_AFTER_S
    }

    /// Whether the newest picture may be true no more. A recording that is over is as true as it was.
    pub(super) fn is_old(&self) -> bool {
        let is_lost = self.link != Link::Up && self.place != FarmerPlace::Recording;
        is_lost || self.is_silent()
    }

    /// Text that came from outside, ready to be drawn.
    pub(super) fn outside(&self, text: &str) -> String {
        let text = safe(text);
        let text = if self.privacy {
            self.names.hide(&text, self.hidden())
        } else {
            text
        };
        self.theme.plain(text)
    }

    /// What to do about something, ready to be drawn: commands as they are typed here. Where paths are hidden the root is
    /// not named, for such a screen is shown to others.
    pub(super) fn remedy(&self, text: &str) -> String {
        if self.privacy {
            self.outside(text)
        } else {
            self.outside(&self.commands.here(text))
        }
    }

    /// An address, id or path, ready to be drawn.
    pub(super) fn secret(&self, text: &str) -> String {
        if self.privacy {
            self.hidden().to_owned()
        } else {
            self.outside(text)
        }
    }

    /// What stands for hidden text.
    pub(super) fn hidden(&self) -> &'static str {
        self.theme.pick("•••", "***")
    }

    /// Name of a harvester, or what stands for it.
    pub(super) fn harvester_name(&self, harvester: &HarvesterView) -> String {
        if self.privacy {
            privacy::alias(harvester)
        } else {
            self.outside(&harvester.name)
        }
    }

    /// Name of a harvester that only a name is known of.
    pub(super) fn name(&self, name: &str) -> String {
        if !self.privacy {
            return self.outside(name);
        }
        let alias = self.names.alias(name).unwrap_or_else(|| self.hidden());
        alias.to_owned()
    }

    /// The screen whose order the table has that takes the keys: lists of files have one wherever they are.
    pub(super) const fn ordered_as(&self) -> Screen {
        if self.file_list().is_some() {
            Screen::Plots
        } else {
            self.screen
        }
    }

    /// The order of the table that takes the keys.
    pub(super) const fn order(&self) -> Order {
        self.orders.of(self.ordered_as())
    }

    /// The harvester whose details are open.
    pub(super) fn detailed(&self) -> Option<(&Details, &HarvesterView)> {
        let details = self.details.as_ref()?;
        let harvester = self.shown().harvesters.iter().find(|h| h.id == details.harvester)?;
        Some((details, harvester))
    }

    /// The list of files that is open, if one is.
    pub(super) const fn file_list(&self) -> Option<&FileList> {
        match (&self.details, self.screen) {
            (Some(details), _) => Some(&details.files),
            (None, Screen::Plots) => Some(&self.plots),
            (None, _) => None,
        }
    }

    /// How many files the list that is open has.
    pub(super) fn file_count(&self) -> u64 {
        match self.detailed() {
            Some((details, harvester)) => file_count(self.shown(), harvester, details.files.list),
            None => fleet_count(self.shown(), self.plots.list),
        }
    }
}

/// A time so many seconds after another.
pub(super) const fn after(unix_ms: u64, seconds: u64) -> u64 {
    unix_ms.saturating_add(seconds.saturating_mul(1000))
}
