//! One message, record or notice in full: who, when, and everything that was in it.

use farmconsole::handle::FeedEvent;
use farmconsole::snapshot::MessageRecord;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::model::Model;
use super::super::stream::{Entry, words_of};
use super::super::tone::Tone;
use super::super::widgets::pane::{popup, title};
use super::super::widgets::text::{fit, span, wrap};
use super::messages::{level_tone, notice_text};
use super::{draw_text, last_scroll_of};

/// Columns of the whole, where there is room: an id of 64 characters fits.
const COLUMNS: u16 = 98;

/// Draws it over `area`.
pub(in super::super) fn draw(model: &Model, entry: &Entry, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let lines = lines(model, entry, area.width);
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let what = match &entry.event {
        FeedEvent::Message(_) => "Message",
        FeedEvent::Log(_) => "Log record",
        FeedEvent::Notice(_) => "Notice",
    };
    let name = title(model.theme, format!("{what} (esc closes)"));
    let inner = popup(buffer, area, model.theme, name, COLUMNS, rows);
    draw_text(model.theme, &lines, scroll, inner, buffer);
}

/// How many lines are scrolled away when the last one is in sight.
pub(in super::super) fn last_scroll(model: &Model, entry: &Entry) -> u16 {
    last_scroll_of(lines(model, entry, model.size.0).len(), model.size.1)
}

fn lines(model: &Model, entry: &Entry, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let at = entry.at_unix_ms;
    let time = format!("{} {}", model.zone.date(at), model.zone.time_ms(at));
    let mut facts = vec![("time".to_owned(), time, Tone::Plain)];
    let level = ("level".to_owned(), entry.level().to_string(), level_tone(entry.level()));
    match &entry.event {
        FeedEvent::Message(record) => facts.extend(message(model, record)),
        FeedEvent::Log(record) => facts.extend([
            level,
            ("service".to_owned(), record.service.word().to_owned(), Tone::Plain),
            ("logger".to_owned(), model.outside(&record.logger), Tone::Plain),
            ("text".to_owned(), model.outside(&record.message), Tone::Title),
        ]),
        FeedEvent::Notice(notice) => {
            facts.extend([
                level,
                ("text".to_owned(), model.outside(&notice_text(notice)), Tone::Title),
            ]);
        }
    }
    let longest = facts.iter().map(|(label, ..)| label.len()).max().unwrap_or(0);
    let label_columns = longest.min(usize::from(columns) / 3);
    let label_room = u16::try_from(label_columns).unwrap_or(u16::MAX);
    let room = COLUMNS.min(columns).saturating_sub(label_room + 5);
    let mut lines = Vec::new();
    for (label, text, tone) in facts {
        for (n, text) in wrap(&text, room).into_iter().enumerate() {
            let label = if n == 0 {
                fit(&label, label_room, theme.pick("…", "~"))
            } else {
                String::new()
            };
            lines.push(Line::from(vec![
                span(format!(" {label:<label_columns$} "), theme.style(Tone::Dim)),
                span(text, theme.style(tone)),
            ]));
        }
    }
    lines
}

fn message(model: &Model, record: &MessageRecord) -> Vec<(String, String, Tone)> {
    let (arrow, towards) = words_of(record.direction);
    let of = |label: &str, text: String| (label.to_owned(), text, Tone::Plain);
    let mut facts = vec![
        (
            "message".to_owned(),
            format!("{arrow} {}", model.outside(&record.message)),
            Tone::Title,
        ),
        of(towards, model.name(&record.peer_name)),
        of("address", model.secret(&record.host)),
        of("node id", model.secret(&record.peer_id.to_string())),
    ];
    if record.content.is_empty() && !record.detail.is_empty() {
        facts.push(of("content", model.outside(&record.detail)));
    }
    facts.extend(record.content.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap_or(("", line));
        (model.outside(name), model.outside(value), Tone::Plain)
    }));
    facts
}
