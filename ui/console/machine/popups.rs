//! What lies over the screen: the keys, all that is wrong, the details of a row, and the question before quitting.

use farmconsole::snapshot::Severity;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::theme::Tone;
use super::super::views::header::short_bytes;
use super::super::widgets::pane::{popup, title};
use super::super::widgets::text::{put, span, wrap};
use super::keymap::BINDINGS;
use super::model::{Model, Pane};
use super::panes::{drive_tone, file_words, level_tone, micros};
use crate::format::{grouped, plural};
use crate::harvester::status::drive_words;

/// Columns of a popup.
const COLUMNS: u16 = 78;

/// Columns of the keys, and of the names of details.
const NAMES: usize = 10;

/// The keys, made from the table that they are looked up in.
pub(super) fn help(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let mut text = Text::new(model, area);
    for binding in BINDINGS {
        text.entry(binding.shown, Tone::Accent, binding.help, Tone::Plain);
    }
    text.draw("Keys (esc closes, arrows scroll)", scroll, area, buffer);
}

/// Every concern, with what to do.
pub(super) fn wrong(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let mut text = Text::new(model, area);
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
        text.entry("do", Tone::Dim, &model.outside(&concern.remedy()), Tone::Plain);
    }
    text.draw("What is wrong (esc closes)", scroll, area, buffer);
}

/// All that is known of the selected row.
pub(super) fn details(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let mut text = Text::new(model, area);
    let name = match model.pane {
        Pane::Drives => drive(model, &mut text),
        Pane::Files => file(model, &mut text),
        Pane::Log => record(model, &mut text),
        Pane::Lookups => "",
    };
    text.draw(name, scroll, area, buffer);
}

fn drive(model: &Model, text: &mut Text<'_>) -> &'static str {
    let Some(drive) = model.selected_drive().map(|row| model.drives()[row]) else {
        text.entry("", Tone::Plain, "it is not there any more", Tone::Dim);
        return "Drive";
    };
    let now = model.snapshot.taken_at_unix_ms;
    text.entry("drive", Tone::Dim, &model.secret(&drive.name), Tone::Title);
    text.entry(
        "state",
        Tone::Dim,
        &drive_words(drive.state, now),
        drive_tone(drive.state),
    );
    let plots = format!(
        "{} plots, {}; {} not farmed",
        grouped(drive.plots),
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

/// The question before quitting.
pub(super) fn quit(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let inner = popup(buffer, area, theme, title(theme, "Quit"), 62, 6);
    let text = |text: &'static str, tone| Line::from(span(text, theme.style(tone)));
    put(buffer, inner, 0, &text(" Quit and stop harvesting?", Tone::Title));
    put(
        buffer,
        inner,
        1,
        &text(" This harvester runs in this window. To keep one going", Tone::Plain),
    );
    put(
        buffer,
        inner,
        2,
        &text(" without a window, use the systemd unit or --no-console.", Tone::Plain),
    );
    let keys = Line::from(vec![
        span(" y", theme.style(Tone::Bad)),
        span(" quit and stop harvesting   ", theme.style(Tone::Plain)),
        span("esc", theme.style(Tone::Accent)),
        span(" go on", theme.style(Tone::Plain)),
    ]);
    put(buffer, inner, 3, &keys);
}

/// Lines of names and what they mean, wrapped.
struct Text<'a> {
    model: &'a Model,
    room: u16,
    lines: Vec<Line<'static>>,
}

impl<'a> Text<'a> {
    fn new(model: &'a Model, area: Rect) -> Self {
        let names = u16::try_from(NAMES).unwrap_or(0);
        Self {
            model,
            room: COLUMNS.min(area.width).saturating_sub(names + 5),
            lines: Vec::new(),
        }
    }

    fn entry(&mut self, name: &str, name_tone: Tone, text: &str, tone: Tone) {
        let theme = self.model.theme;
        for (n, text) in wrap(text, self.room).into_iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            self.lines.push(Line::from(vec![
                span(format!(" {name:<NAMES$} "), theme.style(name_tone)),
                span(text, theme.style(tone)),
            ]));
        }
    }

    fn draw(self, name: &str, scroll: u16, area: Rect, buffer: &mut Buffer) {
        let theme = self.model.theme;
        let rows = u16::try_from(self.lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        let inner = popup(buffer, area, theme, title(theme, name), COLUMNS, rows);
        let last_start = self.lines.len().saturating_sub(usize::from(inner.height));
        let first = usize::from(scroll).min(last_start);
        for (row, line) in self
            .lines
            .iter()
            .skip(first)
            .take(usize::from(inner.height))
            .enumerate()
        {
            put(buffer, inner, u16::try_from(row).unwrap_or(u16::MAX), line);
        }
    }
}
