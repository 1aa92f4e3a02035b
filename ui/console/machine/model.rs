//! All there is to see of a harvester. Written only by [`super::update::update`].

use std::collections::VecDeque;
use std::sync::Arc;

use farmconsole::logging::LogRecord;
use farmconsole::snapshot::{MachineSnapshot, PlotFileView, VolumeState, VolumeView};

use super::super::model::{Link, SILENT_AFTER_S, after};
use super::super::privacy::hide;
use super::super::screen::Pane;
use super::super::theme::Theme;
use super::super::times::Zone;
use crate::commands::Commands;
use crate::feed::FarmerPlace;
use crate::format::safe;
use crate::harvester::status::has_damaged_plots;

/// Log records kept; the oldest are forgotten.
pub(super) const RECORDS_KEPT: usize = 1_000;

/// What lies over the screen and takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialog {
    /// The keys.
    Help {
        /// Lines scrolled away.
        scroll: u16,
    },
    /// "Quit and stop harvesting?"
    Quit,
    /// All that is wrong, with what to do.
    Wrong {
        /// Lines scrolled away.
        scroll: u16,
    },
    /// All that is known of the selected row.
    Details {
        /// Lines scrolled away.
        scroll: u16,
    },
}

/// Selected rows, by what they show, so that a newer picture does not move them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Name of the drive.
    pub(super) drive: Option<String>,
    /// Name of the file.
    pub(super) file: Option<String>,
    /// Number of the log record; `None` follows the newest.
    pub(super) record: Option<u64>,
}

/// The whole console.
#[derive(Clone, Debug)]
pub(in super::super) struct Model {
    /// Where the harvester runs.
    pub(super) place: FarmerPlace,
    pub(super) theme: Theme,
    pub(super) zone: Zone,
    /// How commands are typed for the root of what is shown.
    pub(super) commands: Commands,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// The newest picture.
    pub(super) snapshot: Arc<MachineSnapshot>,
    /// Seconds since it came, as far as they have been counted.
    pub(super) silent_s: u64,
    pub(super) link: Link,
    /// Oldest first.
    pub(super) log: VecDeque<LogRecord>,
    pub(super) pane: Pane,
    pub(super) selection: Selection,
    pub(super) dialog: Option<Dialog>,
    pub(super) privacy: bool,
    /// Whether clicks come to the console, and not to the terminal.
    pub(super) mouse: bool,
    /// Answer to the last key, when it has one.
    pub(super) remark: Option<String>,
}

impl Model {
    /// A console that has just opened.
    pub(super) fn new(
        place: FarmerPlace,
        snapshot: Arc<MachineSnapshot>,
        theme: Theme,
        zone: Zone,
        size: (u16, u16),
    ) -> Self {
        Self {
            place,
            theme,
            zone,
            commands: Commands::default(),
            size,
            snapshot,
            silent_s: 0,
            link: Link::Up,
            log: VecDeque::new(),
            pane: Pane::Drives,
            selection: Selection::default(),
            dialog: None,
            privacy: false,
            mouse: true,
            remark: None,
        }
    }

    /// The time of the newest picture, and on from there while no newer one comes.
    pub(super) fn now_unix_ms(&self) -> u64 {
        after(self.snapshot.taken_at_unix_ms, self.silent_s)
    }

    /// Whether the harvester is there, and says nothing: it hangs.
    pub(super) fn is_silent(&self) -> bool {
        self.link == Link::Up && self.silent_s >= SILENT_AFTER_S
    }

    /// Whether the picture may be true no more.
    pub(super) fn is_old(&self) -> bool {
        self.link != Link::Up || self.is_silent()
    }

    /// Text that came from outside, ready to be drawn.
    pub(super) fn outside(&self, text: &str) -> String {
        let text = safe(text);
        let text = if self.privacy { hide(&text, self.hidden()) } else { text };
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

    /// An address or path, ready to be drawn.
    pub(super) fn secret(&self, text: &str) -> String {
        if self.privacy {
            self.hidden().to_owned()
        } else {
            self.outside(text)
        }
    }

    fn hidden(&self) -> &'static str {
        self.theme.pick("•••", "***")
    }

    /// Drives: what is wrong first, then in the order of their names.
    pub(super) fn drives(&self) -> Vec<&VolumeView> {
        let mut drives: Vec<_> = self.snapshot.volumes.iter().collect();
        drives.sort_by_key(|drive| match drive.state {
            VolumeState::Gone { .. } | VolumeState::Sick { .. } => 0,
            VolumeState::Slow => 1,
            VolumeState::Fine if has_damaged_plots(&self.snapshot, drive) => 1,
            VolumeState::Fine => 2,
        });
        drives
    }

    /// Files that are not farmed, by path.
    pub(super) fn files(&self) -> &[PlotFileView] {
        &self.snapshot.troubles
    }

    /// Row of the selected drive.
    pub(super) fn selected_drive(&self) -> Option<usize> {
        let name = self.selection.drive.as_ref()?;
        self.drives().iter().position(|drive| drive.name == *name)
    }

    /// Row of the selected file.
    pub(super) fn selected_file(&self) -> Option<usize> {
        let name = self.selection.file.as_ref()?;
        self.files().iter().position(|file| file.file == *name)
    }

    /// Row of the selected log record.
    pub(super) fn selected_record(&self) -> Option<usize> {
        let number = self.selection.record?;
        self.log.iter().position(|record| record.number == number)
    }
}
