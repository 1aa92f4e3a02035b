//! The keys, made from the table that the keys are looked up in.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::keymap::{BINDINGS, Place};
use super::super::model::Model;
use super::super::theme::Tone;
use super::super::widgets::pane::{popup, title};
use super::super::widgets::text::{put, span, wrap};

/// Columns of the keys.
const KEYS: usize = 10;

/// Draws it over `area`.
pub(in super::super) fn draw(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let columns = 78.min(area.width);
    let room = columns.saturating_sub(u16::try_from(KEYS).unwrap_or(0) + 5);
    let mut lines = Vec::new();
    for binding in BINDINGS {
        let place = match binding.place {
            Place::Everywhere => String::new(),
            Place::On(screen) => format!("{}: ", screen.tab().1),
            Place::Details => "details of a harvester: ".to_owned(),
            Place::Files => "lists of files: ".to_owned(),
        };
        for (n, text) in wrap(&format!("{place}{}", binding.help), room).into_iter().enumerate() {
            let keys = if n == 0 { binding.shown } else { "" };
            lines.push(Line::from(vec![
                span(format!(" {keys:<KEYS$} "), theme.style(Tone::Accent)),
                span(text, theme.style(Tone::Plain)),
            ]));
        }
    }
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let inner = popup(
        buffer,
        area,
        theme,
        title(theme, "Keys (esc closes, arrows scroll)"),
        columns,
        rows,
    );
    let last_start = lines.len().saturating_sub(usize::from(inner.height));
    let first = usize::from(scroll).min(last_start);
    for (row, line) in lines.iter().skip(first).take(usize::from(inner.height)).enumerate() {
        put(buffer, inner, u16::try_from(row).unwrap_or(u16::MAX), line);
    }
}
