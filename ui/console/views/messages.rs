//! Screen 6: protocol messages, log records and notices in one stream.

use farmconsole::handle::FeedEvent;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{AttemptOutcome, Direction, MessageRecord, Notice};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::screen::Screen;
use super::super::stream::{Entry, words_of};
use super::super::tone::Tone;
use super::super::widgets::pane::{pane, pane_with, title};
use super::super::widgets::table::{Column, Rows, plain, table};
use super::super::widgets::text::{put, span, width, wrap};
use super::{list_title, put_nothing};
use crate::format::{grouped, plural};

/// Draws the screen: the stream, and the selected entry in full.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let reversed = model.orders.of(Screen::Messages).reversed;
    let rows: Vec<_> = if reversed {
        model.entries().rev().collect()
    } else {
        model.entries().collect()
    };
    let all = model
        .frozen
        .as_ref()
        .map_or_else(|| model.stream.entries().len(), |f| f.entries.len());
    let selected = rows.iter().position(|e| Some(e.number) == model.selection.entry);
    let detail = if selected.is_some() && area.height >= 16 { 6 } else { 0 };
    let list = Rect {
        height: area.height - detail,
        ..area
    };
    let mut name = list_title(model, "Messages", rows.len(), all);
    if model.least_level > LogLevel::Debug {
        let text = format!("  {} and above", model.least_level.word());
        name.push_span(span(text, theme.style(Tone::Accent)));
    }
    let inner = pane_with(buffer, list, theme, name, state(model));
    if rows.is_empty() {
        put_nothing(model, buffer, inner, "no message has passed yet");
    }
    let room = Room::of(area.width);
    let columns = [
        Column::new("", 12, 0),
        Column::new("", 7, 1),
        Column::new("", 20, 0).grows(),
    ];
    let columns = if room == Room::Wide {
        &columns[..]
    } else {
        &[columns[0], columns[2]]
    };
    let area = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let table_rows = Rows {
        count: rows.len(),
        selected,
        follows_end: !reversed,
        row: |n: usize| row(model, rows[n], room),
    };
    let places = table(buffer, area, theme, columns, &table_rows);
    if let (Some(selected), true) = (selected, detail > 0) {
        let below = Rect {
            y: list.bottom(),
            height: detail,
            ..list
        };
        in_full(model, rows[selected], below, buffer);
    }
    places.hits(|n| Some(Target::Entry(rows.get(n)?.number)))
}

/// The newest entries, for the Farm screen.
pub(super) fn tail(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let inner = pane_with(buffer, area, theme, title(theme, "Messages"), lost_or_frozen(model));
    let newest: Vec<_> = model.entries().rev().take(usize::from(inner.height)).collect();
    if newest.is_empty() {
        put_nothing(model, buffer, inner, "no message has passed yet");
    }
    let columns = [Column::new("", 12, 0), Column::new("", 20, 0).grows()];
    let room = if area.width < NARROW {
        Room::Narrow
    } else {
        Room::Middle
    };
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let count = newest.len();
    let rows = Rows {
        count,
        selected: None,
        follows_end: true,
        row: |n: usize| row(model, newest[count - 1 - n], room),
    };
    table(buffer, inner, theme, &columns, &rows);
}

/// Frozen, and what passed meanwhile; or what was lost.
fn lost_or_frozen(model: &Model) -> Line<'static> {
    let theme = model.theme;
    if let Some(frozen) = &model.frozen {
        let text = format!(" FROZEN {} passed since ", grouped(frozen.passed));
        return Line::from(span(theme.plain(text), theme.badge(Tone::Accent)));
    }
    if model.stream.skipped > 0 {
        let text = format!("{} came too fast to be shown", plural(model.stream.skipped, "event"));
        return Line::from(span(text, theme.style(Tone::Warn)));
    }
    Line::default()
}

/// The same, or that a selection keeps the list from following.
fn state(model: &Model) -> Line<'static> {
    let line = lost_or_frozen(model);
    if line.spans.is_empty() && model.selection.entry.is_some() {
        return Line::from(span("end follows the newest", model.theme.style(Tone::Dim)));
    }
    line
}

/// How much of a row fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// Who stands before what, and both close together.
    Narrow,
    /// The level stands before the text it is the level of.
    Middle,
    /// The level has a column of its own.
    Wide,
}

impl Room {
    const fn of(columns: u16) -> Self {
        match columns {
            ..NARROW => Self::Narrow,
            NARROW..100 => Self::Middle,
            _ => Self::Wide,
        }
    }
}

/// Columns from which on message, harvester and content stand below each other's.
const NARROW: u16 = 76;

/// Cells: time, level (where it has a column of its own), text.
fn row(model: &Model, entry: &Entry, room: Room) -> Vec<Line<'static>> {
    let theme = model.theme;
    let dim = theme.style(Tone::Dim);
    let time = plain(model.zone.time_ms(entry.at_unix_ms), dim);
    let level = entry.level();
    let word = plain(level.word(), theme.style(level_tone(level)));
    let (word, text) = match &entry.event {
        FeedEvent::Message(record) => (Line::default(), message(model, record, room)),
        FeedEvent::Log(record) => {
            let mut text = plain(format!("{}: ", model.outside(&record.logger)), dim);
            text.push_span(span(model.outside(&record.message), theme.style(text_tone(level))));
            (word, text)
        }
        FeedEvent::Notice(notice) => {
            let text = model.outside(&notice_text(notice));
            (word, plain(text, theme.style(notice_tone(notice, level))))
        }
    };
    if room == Room::Wide {
        return vec![time, word, text];
    }
    let mut line = word;
    if !line.spans.is_empty() {
        line.push_span(span(" ", dim));
    }
    line.spans.extend(text.spans);
    vec![time, line]
}

/// `<- farming_info   barn-3   3/864`, in columns of its own.
fn message(model: &Model, record: &MessageRecord, room: Room) -> Line<'static> {
    let theme = model.theme;
    let (arrow, _) = words_of(record.direction);
    let tone = match record.direction {
        Direction::Out => Tone::Dim,
        Direction::In => Tone::Good,
    };
    let padded = |text: String, columns: u16| {
        let missing = usize::from(columns.saturating_sub(width(&text)));
        format!("{text}{}  ", " ".repeat(missing))
    };
    let arrow = span(format!("{arrow} "), theme.style(tone));
    let detail = span(model.outside(&record.detail), theme.style(Tone::Plain));
    let (name, who) = (model.outside(&record.message), model.name(&record.peer_name));
    let (plain, accent) = (theme.style(Tone::Plain), theme.style(Tone::Accent));
    if room == Room::Narrow {
        return Line::from(vec![
            arrow,
            span(padded(who, 9), accent),
            span(format!("{name}  "), plain),
            detail,
        ]);
    }
    Line::from(vec![
        arrow,
        span(padded(name, 27), plain),
        span(padded(who, 14), accent),
        detail,
    ])
}

/// A missing answer has no sentence of its own in the core.
pub(super) fn notice_text(notice: &Notice) -> String {
    match notice {
        Notice::Attempt { attempt } => match attempt.outcome {
            AttemptOutcome::NoAnswer { after_s, .. } => {
                let point = attempt.signage_point_index;
                format!(
                    "{} has not answered signage point {point} within {after_s} s",
                    attempt.harvester_name
                )
            }
            AttemptOutcome::Answered { .. } => notice.to_string(),
        },
        _ => notice.to_string(),
    }
}

pub(super) const fn level_tone(level: LogLevel) -> Tone {
    match level {
        LogLevel::Error => Tone::Bad,
        LogLevel::Warning => Tone::Warn,
        LogLevel::Info => Tone::Accent,
        LogLevel::Debug => Tone::Dim,
    }
}

const fn text_tone(level: LogLevel) -> Tone {
    match level {
        LogLevel::Error => Tone::Bad,
        LogLevel::Warning => Tone::Warn,
        LogLevel::Info => Tone::Plain,
        LogLevel::Debug => Tone::Dim,
    }
}

const fn notice_tone(notice: &Notice, level: LogLevel) -> Tone {
    match notice {
        Notice::BlockSigned { .. } | Notice::BlockAccepted { .. } | Notice::ProofFound { .. } => Tone::Win,
        _ => text_tone(level),
    }
}

fn in_full(model: &Model, entry: &Entry, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let inner = pane(
        buffer,
        area,
        theme,
        title(theme, model.zone.date_time(entry.at_unix_ms)),
    );
    let text = match &entry.event {
        FeedEvent::Message(record) => {
            let (arrow, towards) = words_of(record.direction);
            let (name, host) = (model.name(&record.peer_name), model.secret(&record.host));
            let id = model.secret(&record.peer_id.to_string());
            let (message, detail) = (model.outside(&record.message), model.outside(&record.detail));
            format!("{arrow} {message} {towards} {host} ({name}) {detail} node id {id}")
        }
        FeedEvent::Log(record) => {
            format!(
                "{} {}: {}",
                record.service.word(),
                model.outside(&record.logger),
                model.outside(&record.message)
            )
        }
        FeedEvent::Notice(notice) => model.outside(&notice_text(notice)),
    };
    for (row, line) in wrap(&text, inner.width.saturating_sub(2)).into_iter().enumerate() {
        let line = Line::from(span(format!(" {line}"), theme.style(Tone::Plain)));
        put(buffer, inner, u16::try_from(row).unwrap_or(u16::MAX), &line);
    }
}
