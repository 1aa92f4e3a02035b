//! A frame with a title around something.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::super::theme::Theme;
use super::super::tone::Tone;
use super::text::{fit_line, line_width, put, span, width};

/// Draws the frame and gives the area inside.
pub(in super::super) fn pane(buffer: &mut Buffer, area: Rect, theme: Theme, title: Line<'static>) -> Rect {
    pane_with(buffer, area, theme, title, Line::default())
}

/// The same, with a second title at the right.
pub(in super::super) fn pane_with(
    buffer: &mut Buffer,
    area: Rect,
    theme: Theme,
    title: Line<'static>,
    right: Line<'static>,
) -> Rect {
    let area = area.intersection(buffer.area);
    if area.width < 4 || area.height < 2 {
        return Rect::default();
    }
    let block = Block::bordered()
        .border_set(theme.border())
        .border_style(theme.style(Tone::Border));
    let inner = block.inner(area);
    block.render(area, buffer);
    let mark = theme.pick("…", "~");
    let room = Rect {
        x: area.x + 2,
        width: area.width - 4,
        height: 1,
        ..area
    };
    let title = fit_line(padded(title), room.width, mark);
    let used = line_width(&title);
    put(buffer, room, 0, &title);
    let right = padded(right);
    let wide = line_width(&right);
    if wide > 0 && used.saturating_add(wide).saturating_add(2) <= room.width {
        put(
            buffer,
            Rect {
                x: room.right() - wide,
                width: wide,
                ..room
            },
            0,
            &right,
        );
    }
    inner
}

/// The ordinary title of a pane.
pub(in super::super) fn title(theme: Theme, text: impl Into<String>) -> Line<'static> {
    Line::from(span(text, theme.style(Tone::Title)))
}

/// A cleared pane in the middle of `area`, `columns` by `rows` where there is room for that.
pub(in super::super) fn popup(
    buffer: &mut Buffer,
    area: Rect,
    theme: Theme,
    title: Line<'static>,
    columns: u16,
    rows: u16,
) -> Rect {
    let area = area.intersection(buffer.area);
    let width = columns.min(area.width);
    let height = rows.min(area.height);
    let popup = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    clear(popup, buffer);
    pane(buffer, popup, theme, title)
}

/// Clears `area` for something that is drawn over what is there.
pub(in super::super) fn clear(area: Rect, buffer: &mut Buffer) {
    if area.x > buffer.area.x {
        for y in area.top()..area.bottom() {
            // The other half of a wide character would hide the edge.
            let beside = &mut buffer[(area.x - 1, y)];
            if width(beside.symbol()) > 1 {
                beside.set_symbol(" ");
            }
        }
    }
    Clear.render(area, buffer);
}

fn padded(line: Line<'static>) -> Line<'static> {
    if line_width(&line) == 0 {
        return line;
    }
    let mut spans = vec![span(" ", Style::new())];
    spans.extend(line.spans);
    spans.push(span(" ", Style::new()));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::super::super::theme::{Environment, Theme};
    use super::*;
    use crate::args::ColorChoice;

    #[test]
    fn edge_of_a_popup_is_seen_over_wide_characters() {
        let area = Rect::new(0, 0, 12, 3);
        let line = Line::from(span("収収収収収収", Style::new()));
        let mut buffer = Buffer::empty(area);
        for row in 0..3 {
            put(&mut buffer, area, row, &line);
        }
        let theme = Theme::choose(ColorChoice::Never, true, None, &Environment::default());
        popup(&mut buffer, area, theme, Line::default(), 6, 3);
        let row: Vec<_> = (0..12).map(|x| buffer[(x, 1)].symbol()).collect();
        assert_eq!(row, ["収", " ", " ", "|", " ", " ", " ", " ", "|", " ", "収", " "]);
    }
}
