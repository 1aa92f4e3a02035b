//! What lies over the screen: the keys, all that is wrong, the details of a row, and the question before quitting.

use farmconsole::snapshot::Severity;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::screen::Pane;
use super::super::tone::Tone;
use super::super::views::header::short_bytes;
use super::super::views::{draw_text, last_scroll_of};
use super::super::widgets::pane::{popup, title};
use super::super::widgets::question::Question;
use super::super::widgets::text::{line_width, span, wrap_keeping};
use super::keymap::BINDINGS;
use super::model::{Dialog, Model};
use super::panes::{drive_tone, file_words, level_tone, micros};
use crate::format::{counted, grouped, plural};
use crate::harvester::status::drive_words;

/// Columns of a popup, unless a command needs more.
const COLUMNS: u16 = 78;

/// Columns of the keys, and of the names of details.
const NAMES: usize = 10;

/// Draws what lies over the screen.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) {
    match model.dialog {
        Some(Dialog::Quit) => QUIT.draw(model.theme, 62, area, buffer),
        Some(Dialog::Help { scroll } | Dialog::Wrong { scroll } | Dialog::Details { scroll }) => {
            if let Some((name, text)) = text(model, area.width) {
                let theme = model.theme;
                let rows = u16::try_from(text.lines.len()).unwrap_or(u16::MAX).saturating_add(2);
                let inner = popup(buffer, area, theme, title(theme, name), text.columns(), rows);
                draw_text(theme, &text.lines, scroll, inner, buffer);
            }
        }
        None => {}
    }
}

/// Moves the text that lies over the screen, as far as there is more of it.
pub(super) fn scroll(model: &mut Model, rows: i64) {
    let lines = text(model, model.size.0).map_or(0, |(_, text)| text.lines.len());
    let last = last_scroll_of(lines, model.size.1);
    if let Some(Dialog::Help { scroll } | Dialog::Wrong { scroll } | Dialog::Details { scroll }) = &mut model.dialog {
        let to = i64::from(*scroll).saturating_add(rows).clamp(0, i64::from(last));
        *scroll = u16::try_from(to).unwrap_or(last);
    }
}

/// The text that lies over the screen, with its name.
fn text(model: &Model, columns: u16) -> Option<(&'static str, Text<'_>)> {
    let mut text = Text::new(model, columns);
    let name = match model.dialog? {
        Dialog::Help { .. } => {
            for binding in BINDINGS {
                text.entry(binding.shown, Tone::Accent, binding.help, Tone::Plain);
            }
            "Keys (esc closes, arrows scroll)"
        }
        Dialog::Wrong { .. } => {
            wrong(model, &mut text);
            "What is wrong (esc closes)"
        }
        Dialog::Details { .. } => match model.pane {
            Pane::Drives => drive(model, &mut text),
            Pane::Files => file(model, &mut text),
            Pane::Log => record(model, &mut text),
            Pane::Lookups => "",
        },
        Dialog::Quit => return None,
    };
    Some((name, text))
}

/// Every concern, with what to do.
fn wrong(model: &Model, text: &mut Text<'_>) {
    let concerns = model.snapshot.concerns();
    if concerns.is_empty() {
        text.entry("", Tone::Plain, "nothing is wrong", Tone::Good);
    }
    for concern in &concerns {
        let tone = match concern.severity() {
            Severity::Critical => Tone::Bad,
            Severity::Warning => Tone::Warn,
        };
        text.entry(model.theme.sign(tone), tone, &model.outside(&concern.to_string()), tone);
        text.entry("do", Tone::Dim, &model.remedy(&concern.remedy()), Tone::Plain);
    }
}

fn drive(model: &Model, text: &mut Text<'_>) -> &'static str {
    let Some(drive) = model.selected_drive().map(|row| model.drives()[row]) else {
        text.entry("", Tone::Plain, "it is not there any more", Tone::Dim);
        return "Drive";
    };
    let now = model.now_unix_ms();
    text.entry("drive", Tone::Dim, &model.secret(&drive.name), Tone::Title);
    text.entry(
        "state",
        Tone::Dim,
        &drive_words(&model.snapshot, drive, now),
        drive_tone(model, drive),
    );
    let plots = format!(
        "{}, {}; {} not farmed",
        counted(drive.plots, "plot"),
        short_bytes(drive.plot_bytes),
        plural(drive.not_farmed, "file")
    );
    text.entry("plots", Tone::Dim, &plots, Tone::Plain);
    let lookups = format!("{} since the start, {} running", grouped(drive.lookups), drive.busy);
    text.entry("look-ups", Tone::Dim, &lookups, Tone::Plain);
    let times = if drive.lookups == 0 {
        "none yet".to_owned()
    } else {
        format!(
            "median {}, 95th percentile {}, longest {}",
            micros(drive.p50_us),
            micros(drive.p95_us),
            micros(drive.max_us)
        )
    };
    text.entry("times", Tone::Dim, &times, Tone::Plain);
    let tone = |number: u64| if number == 0 { Tone::Plain } else { Tone::Warn };
    let missed = format!("{} left out or given up", grouped(drive.missed));
    text.entry("missed", Tone::Dim, &missed, tone(drive.missed));
    text.entry("errors", Tone::Dim, &grouped(drive.errors), tone(drive.errors));
    if let Some(error) = &drive.last_error {
        text.entry("last error", Tone::Dim, &model.outside(error), Tone::Warn);
    }
    "Drive (esc closes)"
}

fn file(model: &Model, text: &mut Text<'_>) -> &'static str {
    let Some(file) = model.selected_file().map(|row| &model.files()[row]) else {
        text.entry("", Tone::Plain, "it is farmed, or not there any more", Tone::Dim);
        return "File";
    };
    text.entry("file", Tone::Dim, &model.secret(&file.file), Tone::Title);
    text.entry("what", Tone::Dim, file_words(file.state), Tone::Warn);
    text.entry("why", Tone::Dim, &model.outside(&file.reason), Tone::Plain);
    "File that is not farmed (esc closes)"
}

fn record(model: &Model, text: &mut Text<'_>) -> &'static str {
    let Some(record) = model.selected_record().map(|row| &model.log[row]) else {
        text.entry("", Tone::Plain, "it was forgotten for newer ones", Tone::Dim);
        return "Log";
    };
    text.entry(
        "time",
        Tone::Dim,
        &model.zone.date_time(record.at_unix_ms.0),
        Tone::Plain,
    );
    text.entry("level", Tone::Dim, &record.level.to_string(), level_tone(record.level));
    text.entry("logger", Tone::Dim, &model.outside(&record.logger), Tone::Plain);
    text.entry("message", Tone::Dim, &model.outside(&record.message), Tone::Plain);
    "Log record (esc closes)"
}

/// What is asked before harvesting ends.
const QUIT: Question = Question {
    title: "Quit",
    asks: "Quit and stop harvesting?",
    explains: "This harvester runs in this window. To keep one going without a window, use the systemd unit or \
               --no-console.",
    yes: "quit and stop harvesting",
    no: "go on harvesting",
};

/// Lines of names and what they mean, wrapped.
struct Text<'a> {
    model: &'a Model,
    room: u16,
    /// Columns that a command may take: all that the screen has.
    widest: u16,
    lines: Vec<Line<'static>>,
}

impl<'a> Text<'a> {
    fn new(model: &'a Model, columns: u16) -> Self {
        let beside = u16::try_from(NAMES).unwrap_or(0) + 5;
        Self {
            model,
            room: COLUMNS.min(columns).saturating_sub(beside),
            widest: columns.saturating_sub(beside),
            lines: Vec::new(),
        }
    }

    fn entry(&mut self, name: &str, name_tone: Tone, text: &str, tone: Tone) {
        let theme = self.model.theme;
        for (n, text) in wrap_keeping(text, self.room, self.widest).into_iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            self.lines.push(Line::from(vec![
                span(format!(" {name:<NAMES$} "), theme.style(name_tone)),
                span(text, theme.style(tone)),
            ]));
        }
    }

    /// Columns of a popup that it fits in.
    fn columns(&self) -> u16 {
        let widest = self.lines.iter().map(line_width).max().unwrap_or(0);
        COLUMNS.max(widest.saturating_add(3))
    }
}
