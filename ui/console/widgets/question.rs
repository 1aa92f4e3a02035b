//! A question with two answers, over the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::theme::Theme;
use super::super::tone::Tone;
use super::pane::{popup, title};
use super::text::{put, span, width, wrap};

/// What is asked before something ends.
pub(in super::super) struct Question {
    /// Over the frame.
    pub(in super::super) title: &'static str,
    /// The question itself.
    pub(in super::super) asks: &'static str,
    /// What to know before answering.
    pub(in super::super) explains: &'static str,
    /// What `y` does.
    pub(in super::super) yes: &'static str,
    /// What Enter does.
    pub(in super::super) no: &'static str,
}

impl Question {
    /// Draws it in the middle of `area`, at most `columns` wide; what is too long goes on in the next line.
    pub(in super::super) fn draw(&self, theme: Theme, columns: u16, area: Rect, buffer: &mut Buffer) {
        let room = columns.min(area.width).saturating_sub(4);
        let said = |text: String, tone| Line::from(span(format!(" {text}"), theme.style(tone)));
        let mut lines = vec![said(self.asks.to_owned(), Tone::Title)];
        lines.extend(
            wrap(self.explains, room)
                .into_iter()
                .map(|text| said(text, Tone::Plain)),
        );
        let yes = [
            span(" y", theme.style(Tone::Bad)),
            span(format!(" {}", self.yes), theme.style(Tone::Plain)),
        ];
        let no = [
            span("enter", theme.style(Tone::Accent)),
            span(format!(" {}", self.no), theme.style(Tone::Plain)),
        ];
        if width(self.yes) + width(self.no) + KEYS <= room {
            let between = span(BETWEEN, theme.style(Tone::Plain));
            lines.push(yes.into_iter().chain([between]).chain(no).collect());
        } else {
            let before = span(" ", theme.style(Tone::Plain));
            lines.push(yes.into_iter().collect());
            lines.push([before].into_iter().chain(no).collect());
        }
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        let inner = popup(buffer, area, theme, title(theme, self.title), columns, rows);
        for (row, line) in (0..).zip(&lines) {
            put(buffer, inner, row, line);
        }
    }
}

/// Between two answers in one line.
const BETWEEN: &str = "   ";

/// Columns of the two keys with what stands around them: `y `, three between, `enter `.
const KEYS: u16 = 11;
