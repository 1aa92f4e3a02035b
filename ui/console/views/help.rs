//! The keys, made from the table that the keys are looked up in.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::keymap::{BINDINGS, Place};
use super::super::model::Model;
use super::super::tone::Tone;
use super::super::widgets::pane::{popup, title};
use super::super::widgets::text::{span, wrap};
use super::{draw_text, last_scroll_of};

/// Columns of the keys.
const KEYS: usize = 10;

/// Columns of the whole, where there is room.
const COLUMNS: u16 = 78;

/// Draws it over `area`.
pub(in super::super) fn draw(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let lines = lines(model, area.width);
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let name = title(model.theme, "Keys (esc closes, arrows scroll)");
    let inner = popup(buffer, area, model.theme, name, COLUMNS, rows);
    draw_text(model.theme, &lines, scroll, inner, buffer);
}

/// How many lines are scrolled away when the last one is in sight.
pub(in super::super) fn last_scroll(model: &Model) -> u16 {
    last_scroll_of(lines(model, model.size.0).len(), model.size.1)
}

fn lines(model: &Model, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let room = COLUMNS
        .min(columns)
        .saturating_sub(u16::try_from(KEYS).unwrap_or(0) + 5);
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
    lines
}
