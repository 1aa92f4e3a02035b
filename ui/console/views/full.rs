//! The selected proof or pool in full over the screen, for terminals where it has no place below the list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::model::Model;
use super::super::screen::Screen;
use super::super::widgets::pane::{popup, title};
use super::{draw_text, last_scroll_of, pools, proofs};

/// Columns of the whole, where there is room.
const COLUMNS: u16 = 98;

/// Draws it over `area`.
pub(in super::super) fn draw(model: &Model, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let Some((name, lines)) = text(model, area.width) else {
        return;
    };
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let name = title(model.theme, format!("{name} (esc closes)"));
    let inner = popup(buffer, area, model.theme, name, COLUMNS, rows);
    draw_text(model.theme, &lines, scroll, inner, buffer);
}

/// How many lines are scrolled away when the last one is in sight.
pub(in super::super) fn last_scroll(model: &Model) -> u16 {
    let lines = text(model, model.size.0).map_or(0, |(_, lines)| lines.len());
    last_scroll_of(lines, model.size.1)
}

/// Whether there is something to show.
pub(in super::super) fn is_there(model: &Model) -> bool {
    text(model, model.size.0).is_some()
}

fn text(model: &Model, columns: u16) -> Option<(String, Vec<Line<'static>>)> {
    let room = COLUMNS.min(columns).saturating_sub(3);
    match model.screen {
        Screen::Proofs => proofs::full(model, room),
        Screen::Pools => pools::full(model, room),
        Screen::Farm | Screen::Harvesters | Screen::Plots | Screen::Messages | Screen::Alarms => None,
    }
}
