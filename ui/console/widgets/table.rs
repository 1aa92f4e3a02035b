//! A table that leaves out its less important columns where there is no room for them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::order::{Order, SortBy};
use super::super::theme::Theme;
use super::super::tone::Tone;
use super::text::{fit_end, fit_line, fit_middle, line_width, put, span};

/// One column.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Column {
    title: &'static str,
    width: u16,
    most: u16,
    grows: bool,
    right: bool,
    rank: u8,
    cut: Cut,
    sort: Option<(SortBy, Order)>,
}

impl Column {
    /// A column of `width`; `rank` 0 stays, the highest rank is left out first.
    pub(in super::super) const fn new(title: &'static str, width: u16, rank: u8) -> Self {
        Self {
            title,
            width,
            most: width,
            grows: false,
            right: false,
            rank,
            cut: Cut::End,
            sort: None,
        }
    }

    /// Numbers stand at the right.
    pub(in super::super) const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// What does not fit is cut in front: the end of a path tells files apart.
    pub(in super::super) const fn keeps_end(self) -> Self {
        Self {
            cut: Cut::Front,
            ..self
        }
    }

    /// What does not fit is cut in the middle: names differ at their ends, and are known by their beginning.
    pub(in super::super) const fn keeps_both_ends(self) -> Self {
        Self {
            cut: Cut::Middle,
            ..self
        }
    }

    /// Where all columns have room, it takes of the rest until it has `most`.
    pub(in super::super) const fn up_to(self, most: u16) -> Self {
        Self { most, ..self }
    }

    /// Its head sorts the table, which is in `order`, by it.
    pub(in super::super) const fn sorts(self, by: SortBy, order: Order) -> Self {
        debug_assert!((self.width as usize) > self.title.len(), "no room for the arrow");
        Self {
            sort: Some((by, order)),
            ..self
        }
    }

    /// What its head says, with an arrow on the one the table is sorted by.
    fn head(&self, theme: Theme) -> String {
        match self.sort {
            Some((by, order)) if by == order.by && by != SortBy::Natural => {
                let arrow = if order.reversed {
                    theme.pick("↑", "^")
                } else {
                    theme.pick("↓", "v")
                };
                format!("{}{arrow}", self.title)
            }
            _ => self.title.to_owned(),
        }
    }

    /// Takes what the others leave; one column of a table should.
    pub(in super::super) const fn grows(self) -> Self {
        Self { grows: true, ..self }
    }
}

/// Where what does not fit is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Front,
    Middle,
    End,
}

/// Rows of a table.
#[derive(Debug)]
pub(in super::super) struct Rows<F> {
    /// How many.
    pub(in super::super) count: usize,
    /// The selected one is always in sight.
    pub(in super::super) selected: Option<usize>,
    /// Without a selection the last row is in sight, and not the first.
    pub(in super::super) follows_end: bool,
    /// Cells of one row, one for each column.
    pub(in super::super) row: F,
}

/// Where the parts of a table stand.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Places {
    heads: Vec<Hit>,
    rows: Vec<(Rect, usize)>,
}

impl Places {
    /// What can be clicked, where row `n` is `target(n)`.
    pub(in super::super) fn hits(self, target: impl Fn(usize) -> Option<Target>) -> Vec<Hit> {
        let mut hits = self.heads;
        let rows = self.rows.into_iter();
        hits.extend(rows.filter_map(|(area, n)| {
            Some(Hit {
                area,
                target: target(n)?,
            })
        }));
        hits
    }
}

/// Draws the titles and as many rows as fit, and says where they stand.
pub(in super::super) fn table<F>(
    buffer: &mut Buffer,
    area: Rect,
    theme: Theme,
    columns: &[Column],
    rows: &Rows<F>,
) -> Places
where
    F: Fn(usize) -> Vec<Line<'static>>,
{
    let mut drawn = Places::default();
    let area = area.intersection(buffer.area);
    if area.width == 0 || area.height == 0 {
        return drawn;
    }
    let mark = theme.pick("…", "~");
    let places = places(columns, area.width);
    let with_titles = area.height > 1 && columns.iter().any(|c| !c.title.is_empty());
    if with_titles {
        for (column, (x, width)) in columns.iter().zip(&places).filter_map(|(c, p)| p.map(|p| (c, p))) {
            let title = Line::from(span(column.head(theme), theme.style(Tone::Dim)));
            let head = Rect {
                x: area.x + x,
                width,
                height: 1,
                ..area
            };
            if let Some((by, _)) = column.sort {
                let target = Target::Sort(by);
                drawn.heads.push(Hit { area: head, target });
            }
            cell(buffer, head, column, title, mark);
        }
    }
    let top = u16::from(with_titles);
    let body = Rect {
        y: area.y + top,
        height: area.height - top,
        ..area
    };
    let first = first_row(rows.count, usize::from(body.height), rows.selected, rows.follows_end);
    for (row, n) in (first..rows.count).take(usize::from(body.height)).enumerate() {
        let y = body.y + u16::try_from(row).unwrap_or(0);
        for ((column, place), line) in columns.iter().zip(&places).zip((rows.row)(n)) {
            let Some((x, width)) = *place else { continue };
            cell(
                buffer,
                Rect {
                    x: body.x + x,
                    y,
                    width,
                    height: 1,
                },
                column,
                line,
                mark,
            );
        }
        let whole = Rect { y, height: 1, ..body };
        if rows.selected == Some(n) {
            buffer.set_style(whole, theme.selected());
        }
        drawn.rows.push((whole, n));
    }
    drawn
}

/// First row in sight: the selected one stands in the middle where that is possible.
fn first_row(count: usize, height: usize, selected: Option<usize>, follows_end: bool) -> usize {
    let last_start = count.saturating_sub(height);
    match selected {
        Some(selected) => selected.saturating_sub(height / 2).min(last_start),
        None if follows_end => last_start,
        None => 0,
    }
}

/// Where each column stands (from the left edge) and how wide it is; `None` is left out.
fn places(columns: &[Column], width: u16) -> Vec<Option<(u16, u16)>> {
    let mut shown: Vec<bool> = vec![true; columns.len()];
    let needed = |shown: &[bool]| -> u16 {
        let widths = columns.iter().zip(shown).filter(|(_, s)| **s).map(|(c, _)| c.width);
        let count = shown.iter().filter(|s| **s).count();
        widths.sum::<u16>() + u16::try_from(count.saturating_sub(1)).unwrap_or(0) * GAP
    };
    while needed(&shown) > width {
        let worst = columns
            .iter()
            .enumerate()
            .filter(|(n, c)| shown[*n] && c.rank > 0)
            .max_by_key(|(_, c)| c.rank);
        let Some((n, _)) = worst else { break };
        shown[n] = false;
    }
    let mut spare = width.saturating_sub(needed(&shown));
    let widths: Vec<u16> = columns
        .iter()
        .zip(&shown)
        .map(|(column, shown)| {
            let more = column.most.saturating_sub(column.width).min(spare);
            let more = if *shown { more } else { 0 };
            spare -= more;
            column.width + more
        })
        .collect();
    let mut x = 0u16;
    let mut grown = false;
    columns
        .iter()
        .zip(shown)
        .zip(widths)
        .map(|((column, shown), wide)| {
            if !shown || x >= width {
                return None;
            }
            let extra = if column.grows && !grown { spare } else { 0 };
            grown |= column.grows;
            let place = (x, (wide + extra).min(width - x));
            x += wide + extra + GAP;
            Some(place)
        })
        .collect()
}

/// How wide the column called `title` is drawn in a table of `width`; 0 where it is left out.
pub(in super::super) fn width_of(title: &str, columns: &[Column], width: u16) -> u16 {
    let mut drawn = columns.iter().zip(places(columns, width));
    let place = drawn.find(|(column, _)| column.title == title);
    place.and_then(|(_, place)| place).map_or(0, |(_, wide)| wide)
}

fn cell(buffer: &mut Buffer, area: Rect, column: &Column, line: Line<'static>, mark: &str) {
    let line = match (column.cut, line.spans.first()) {
        (Cut::Front, Some(only)) if line.spans.len() == 1 => {
            plain(fit_end(&only.content, area.width, mark), only.style)
        }
        (Cut::Middle, Some(only)) if line.spans.len() == 1 => {
            plain(fit_middle(&only.content, area.width, mark), only.style)
        }
        _ => fit_line(line, area.width, mark),
    };
    let indent = if column.right {
        area.width.saturating_sub(line_width(&line))
    } else {
        0
    };
    put(
        buffer,
        Rect {
            x: area.x + indent,
            width: area.width - indent,
            ..area
        },
        0,
        &line,
    );
}

/// A cell of one style.
pub(in super::super) fn plain(text: impl Into<String>, style: Style) -> Line<'static> {
    Line::from(span(text, style))
}

/// Columns between two columns.
const GAP: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::new("a", 5, 0),
        Column::new("b", 5, 2).right(),
        Column::new("c", 5, 1).grows(),
    ];

    #[test]
    fn less_important_columns_go_first() {
        assert_eq!(places(&COLUMNS, 25), [Some((0, 5)), Some((7, 5)), Some((14, 11))]);
        assert_eq!(places(&COLUMNS, 18), [Some((0, 5)), None, Some((7, 11))]);
        assert_eq!(places(&COLUMNS, 11), [Some((0, 5)), None, None]);
        assert_eq!(places(&COLUMNS, 3), [Some((0, 3)), None, None]);
        assert_eq!(places(&COLUMNS, 0), [None, None, None]);
    }

    #[test]
    fn a_column_takes_of_the_rest_what_it_can_use() {
        let columns = [COLUMNS[0].up_to(8), COLUMNS[1], COLUMNS[2]];
        assert_eq!(places(&columns, 19), [Some((0, 5)), Some((7, 5)), Some((14, 5))]);
        assert_eq!(places(&columns, 21), [Some((0, 7)), Some((9, 5)), Some((16, 5))]);
        assert_eq!(places(&columns, 25), [Some((0, 8)), Some((10, 5)), Some((17, 8))]);
        assert_eq!(width_of("a", &columns, 21), 7);
        assert_eq!(width_of("b", &columns, 18), 0);
    }

    #[test]
    fn selected_row_is_in_sight() {
        assert_eq!(first_row(100, 10, Some(50), false), 45);
        assert_eq!(first_row(100, 10, Some(99), false), 90);
        assert_eq!(first_row(5, 10, Some(4), false), 0);
        assert_eq!(first_row(100, 10, None, true), 90);
        assert_eq!(first_row(0, 0, None, true), 0);
    }
}
