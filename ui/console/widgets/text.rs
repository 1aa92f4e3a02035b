//! Lines of text measured in columns.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

/// Columns `text` takes, where each character takes its own: what joins several into one picture is told apart by each
/// terminal in its own way.
pub(in super::super) fn width(text: &str) -> u16 {
    text.chars().fold(0, |sum: u16, c| sum.saturating_add(columns_of(c)))
}

fn columns_of(c: char) -> u16 {
    c.width().and_then(|it| u16::try_from(it).ok()).unwrap_or(0)
}

/// Columns `line` takes.
pub(in super::super) fn line_width(line: &Line<'_>) -> u16 {
    line.spans
        .iter()
        .fold(0, |sum: u16, span| sum.saturating_add(width(&span.content)))
}

/// A span that owns its text.
pub(in super::super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// `text` in at most `columns`; where it is cut, `mark` says so.
pub(in super::super) fn fit(text: &str, columns: u16, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = columns_of(c);
        if used + wide > room {
            break;
        }
        out.push(c);
        used += wide;
    }
    if columns >= width(mark) {
        out.push_str(mark);
    }
    out
}

/// `text` cut in front, so that its end (a file name, the part of a path that differs) stays.
pub(in super::super) fn fit_end(text: &str, columns: u16, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let mut used = 0;
    let mut from = text.len();
    for (at, c) in text.char_indices().rev() {
        used += columns_of(c);
        if used > room {
            break;
        }
        // A mark goes with its letter.
        if columns_of(c) > 0 {
            from = at;
        }
    }
    let mark = if columns >= width(mark) { mark } else { "" };
    format!("{mark}{}", &text[from..])
}

/// `text` cut in the middle, so that names that differ at their ends, `barn (2)` and `barn-b`, are told apart.
pub(in super::super) fn fit_middle(text: &str, columns: u16, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let end = columns.saturating_sub(width(mark)) / 2;
    let head = fit(text, columns - end, mark);
    head + &fit_end(text, end, "")
}

/// A line in at most `columns`.
pub(in super::super) fn fit_line(line: Line<'static>, columns: u16, mark: &str) -> Line<'static> {
    if line_width(&line) <= columns {
        return line;
    }
    let mut spans = Vec::new();
    let mut used = 0u16;
    for piece in line.spans {
        let wide = width(&piece.content);
        if used.saturating_add(wide) < columns {
            used += wide;
            spans.push(piece);
        } else {
            // The rest of the line does not fit, so even a piece that fills the line exactly gets the mark.
            let cut = fit(&format!("{} ", piece.content), columns - used, mark);
            spans.push(span(cut, piece.style));
            break;
        }
    }
    Line::from(spans)
}

/// `text` broken at spaces into lines of at most `columns`; a command in backticks that fits in a line stays whole, so that
/// it can be copied from the screen.
pub(in super::super) fn wrap(text: &str, columns: u16) -> Vec<String> {
    wrap_keeping(text, columns, columns)
}

/// As [`wrap`], where a command stays whole even in a line of `widest` columns.
pub(in super::super) fn wrap_keeping(text: &str, columns: u16, widest: u16) -> Vec<String> {
    let columns = columns.max(1);
    let widest = widest.max(columns);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in unbroken(text, widest) {
        let room = if word.contains(' ') { widest } else { columns };
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line).saturating_add(1).saturating_add(width(&word)) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > room {
            let head = fit(&word, room, "");
            // A character wider than the line cannot be shown at all.
            if head.is_empty() {
                return lines;
            }
            word = word.split_off(head.len());
            lines.push(head);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// The words of `text`, a command in backticks as one, unless it is wider than `columns`.
fn unbroken(text: &str, columns: u16) -> Vec<&str> {
    let is_quote = |word: &str| word.matches('`').count() % 2 == 1;
    let mut words = Vec::new();
    let mut rest = text.split(' ').peekable();
    let mut start = 0;
    while let Some(word) = rest.next() {
        let mut end = start + word.len();
        if is_quote(word) {
            let mut inside = rest.clone();
            let mut closing = end;
            let closes = inside.by_ref().find(|word| {
                closing += 1 + word.len();
                is_quote(word)
            });
            if closes.is_some() && width(&text[start..closing]) <= columns {
                (rest, end) = (inside, closing);
            }
        }
        words.push(&text[start..end]);
        start = end + 1;
    }
    words
}

/// Draws `line` in row `row` of `area`, cut where the area ends.
pub(in super::super) fn put(buffer: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    let area = area.intersection(buffer.area);
    if row < area.height && area.width > 0 {
        let mut x = area.x;
        for span in &line.spans {
            x = put_text(
                buffer,
                (x, area.y + row),
                area.right(),
                &span.content,
                line.style.patch(span.style),
            );
        }
    }
}

/// Draws `text` from `x` to before `end`: each character in cells of its own, with the marks that belong to it. Says where it ended.
fn put_text(buffer: &mut Buffer, (mut x, y): (u16, u16), end: u16, text: &str, style: Style) -> u16 {
    let mut drawn = None;
    for c in text.chars().filter(|c| !c.is_control()) {
        let wide = columns_of(c);
        if wide == 0 {
            if let Some(at) = drawn {
                let cell = &mut buffer[(at, y)];
                let with_mark = format!("{}{c}", cell.symbol());
                cell.set_symbol(&with_mark);
            }
            continue;
        }
        if wide > end - x {
            return end;
        }
        buffer[(x, y)].set_char(c).set_style(style);
        for behind in x + 1..x + wide {
            buffer[(behind, y)].reset();
        }
        drawn = Some(x);
        x += wide;
    }
    x
}

/// Draws `left` and `right` at the ends of one row; where both do not fit, `left` is cut.
pub(in super::super) fn put_ends(
    buffer: &mut Buffer,
    area: Rect,
    row: u16,
    left: Line<'static>,
    right: Line<'static>,
    mark: &str,
) {
    let area = area.intersection(buffer.area);
    if row >= area.height {
        return;
    }
    let right = fit_line(right, area.width, mark);
    let taken = line_width(&right);
    let room = if taken == 0 {
        area.width
    } else {
        area.width.saturating_sub(taken + 1)
    };
    put(buffer, Rect { width: room, ..area }, row, &fit_line(left, room, mark));
    put(
        buffer,
        Rect {
            x: area.x + area.width - taken,
            width: taken,
            ..area
        },
        row,
        &right,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns_not_by_characters() {
        assert_eq!(fit("barn-3", 6, "…"), "barn-3");
        assert_eq!(fit("barn-30", 6, "…"), "barn-…");
        assert_eq!(fit("収穫機一号", 6, "…"), "収穫…");
        assert_eq!(fit("abc", 0, "…"), "");
        assert_eq!(fit_end("/mnt/d7/plot.plot", 9, "…"), "…lot.plot");
        assert_eq!(fit_end("/mnt/d7/plot.plot", 4, ".."), "..ot");
        assert_eq!(fit_end("収穫機一号", 6, "…"), "…一号");
        assert_eq!(fit_end("abe\u{301}", 2, "…"), "…e\u{301}");
        assert_eq!(fit_end("xyze\u{301}", 0, "…"), "");
    }

    /// Some terminals draw these letters as one, in fewer columns; each is drawn where it belongs on all of them.
    #[test]
    fn each_character_has_cells_of_its_own() {
        let area = Rect::new(0, 0, 8, 1);
        let mut buffer = Buffer::empty(area);
        let text = "\u{915}\u{94d}\u{937}\u{93f}-\u{644}\u{627}";
        put(&mut buffer, area, 0, &Line::from(span(text, Style::new())));
        let cells: Vec<_> = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(
            cells,
            [
                "\u{915}\u{94d}",
                "\u{937}",
                "\u{93f}",
                "-",
                "\u{644}",
                "\u{627}",
                " ",
                " "
            ]
        );
        assert_eq!(width(text), 6);
    }

    #[test]
    fn a_wide_character_that_does_not_fit_is_not_split() {
        let area = Rect::new(0, 0, 3, 1);
        let mut buffer = Buffer::empty(area);
        put(&mut buffer, area, 0, &Line::from(span("収穫", Style::new())));
        assert_eq!(buffer, Buffer::with_lines(["収 "]));
    }

    #[test]
    fn a_line_says_that_it_goes_on() {
        let line = Line::from(vec![span("abc", Style::new()), span("def", Style::new())]);
        let text = |columns| fit_line(line.clone(), columns, "…").to_string();
        assert_eq!([text(6), text(5), text(3), text(1)], ["abcdef", "abcd…", "ab…", "…"]);
    }

    #[test]
    fn names_are_cut_in_the_middle() {
        assert_eq!(fit_middle("127.0.0.1 (2)", 12, "…"), "127.0.…1 (2)");
        assert_eq!(fit_middle("basement-shelf-a", 12, "…"), "baseme…elf-a");
        assert_eq!(fit_middle("barn-1", 6, "…"), "barn-1");
        assert!(width(&fit_middle("收获机一号非常长的名字", 12, "…")) <= 12);
        for columns in 0..4 {
            assert!(width(&fit_middle("basement", columns, "…")) <= columns);
        }
    }

    #[test]
    fn words_wrap_and_long_words_break() {
        assert_eq!(wrap("check the drive", 9), ["check the", "drive"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(
            wrap("list them (`farm list --failed`), or look", 24),
            ["list them", "(`farm list --failed`),", "or look"]
        );
        assert_eq!(
            wrap("`one command of some words`, `two`, and ` alone", 12),
            ["`one command", "of some", "words`,", "`two`, and `", "alone"]
        );
        assert_eq!(
            wrap_keeping("type `one command of some words` or look", 12, 30),
            ["type", "`one command of some words`", "or look"]
        );
    }
}
