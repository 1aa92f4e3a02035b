//! Look-up bar, sparkline and sub-slot strip: numbers as length, height and sign.

use farmconsole::snapshot::SubSlotCell;
use ratatui::text::{Line, Span};

use super::super::lateness::{BLOCK_MS, Lateness, POOL_MS, WARN_MS, lateness_of_ms};
use super::super::theme::{Charset, Theme};
use super::super::tone::Tone;
use super::text::span;

/// Columns of the look-up bar.
pub(in super::super) const LOOKUP_BAR: u16 = 14;

/// Milliseconds of one column of the look-up bar: its end is where a block is lost.
const MS_PER_COLUMN: u32 = BLOCK_MS / LOOKUP_BAR as u32;

/// The tone of a time since the signage point.
pub(in super::super) const fn lateness_tone(lateness: Lateness) -> Tone {
    match lateness {
        Lateness::InTime => Tone::Good,
        Lateness::Late => Tone::Warn,
        Lateness::TooLate | Lateness::NoAnswer => Tone::Bad,
    }
}

/// A bar from 0 to 28 s (the block is lost) with marks at 8 s (Chia warns) and 25 s (pools refuse).
pub(in super::super) fn lookup_bar(ms: u32, theme: Theme) -> Line<'static> {
    let filled = theme.style(lateness_tone(lateness_of_ms(ms)));
    let rest = theme.style(Tone::Border);
    let columns = u32::from(LOOKUP_BAR);
    let spans: Vec<Span<'static>> = (0..columns)
        .map(|n| {
            let start = n * MS_PER_COLUMN;
            let part = ms.saturating_sub(start).min(MS_PER_COLUMN);
            let is_mark = [WARN_MS, POOL_MS].iter().any(|mark| mark / MS_PER_COLUMN == n);
            match part * 8 / MS_PER_COLUMN {
                // Whatever took any time at all shows at least a hair.
                0 if n > 0 || ms == 0 => {
                    let ground = if is_mark {
                        theme.pick("┆", ":")
                    } else {
                        theme.pick("·", " ")
                    };
                    span(ground, rest)
                }
                eighths => match theme.charset {
                    Charset::Unicode => span(EIGHTHS[eighths.saturating_sub(1).min(7) as usize], filled),
                    Charset::Ascii => span(if eighths >= 4 || n == 0 { "#" } else { "-" }, filled),
                },
            }
        })
        .collect();
    Line::from(spans)
}

/// The head of that bar, with the deadlines.
pub(in super::super) const fn lookup_bar_title() -> &'static str {
    "0   8s     25s"
}

/// The last `columns` look-up times, newest at the right; where no answer came there is a sign.
pub(in super::super) fn sparkline(lookups: &[Option<u32>], columns: u16, theme: Theme) -> Vec<Span<'static>> {
    let columns = usize::from(columns);
    let from = lookups.len().saturating_sub(columns);
    let missing = columns - (lookups.len() - from);
    let mut spans = vec![span(" ".repeat(missing), theme.style(Tone::Dim))];
    spans.extend(lookups[from..].iter().map(|lookup| match lookup {
        None => span(theme.pick("×", "x"), theme.style(Tone::Bad)),
        Some(ms) => {
            // Steps are by feel: half a second is nothing, each deadline is a step.
            let step = STEPS_MS.iter().take_while(|step| *ms >= **step).count();
            let glyph = theme.pick(HEIGHTS[step], ASCII_HEIGHTS[step]);
            span(glyph, theme.style(lateness_tone(lateness_of_ms(*ms))))
        }
    }));
    spans
}

/// The sub-slot in `columns`: one cell for each signage point, or the worst of several where there is no room.
pub(in super::super) fn sub_slot(cells: &[SubSlotCell], columns: u16, theme: Theme) -> Vec<Span<'static>> {
    if cells.is_empty() || columns == 0 {
        return Vec::new();
    }
    let each = cells.len().div_ceil(usize::from(columns));
    cells
        .chunks(each)
        .map(|chunk| {
            let worst = chunk
                .iter()
                .copied()
                .max_by_key(|cell| badness(*cell))
                .unwrap_or_default();
            let (sign, tone) = cell_sign(worst, theme);
            span(sign, theme.style(tone))
        })
        .collect()
}

/// How a cell is drawn.
pub(in super::super) fn cell_sign(cell: SubSlotCell, theme: Theme) -> (&'static str, Tone) {
    match cell {
        SubSlotCell::Ahead => (theme.pick("·", "."), Tone::Border),
        SubSlotCell::Seen => (theme.pick("▒", "+"), Tone::Accent),
        SubSlotCell::Answered => (theme.pick("█", "#"), Tone::Good),
        SubSlotCell::Late => (theme.pick("▲", "!"), Tone::Warn),
        SubSlotCell::Missed => (theme.pick("×", "x"), Tone::Bad),
    }
}

const fn badness(cell: SubSlotCell) -> u8 {
    match cell {
        SubSlotCell::Ahead => 0,
        SubSlotCell::Answered => 1,
        SubSlotCell::Seen => 2,
        SubSlotCell::Late => 3,
        SubSlotCell::Missed => 4,
    }
}

const EIGHTHS: [&str; 8] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];
const HEIGHTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_HEIGHTS: [&str; 8] = ["_", ".", "-", "=", "+", "*", "%", "#"];
const STEPS_MS: [u32; 7] = [500, 1_000, 2_000, 4_000, WARN_MS, 16_000, POOL_MS];

#[cfg(test)]
mod tests {
    use super::super::super::palette::Palette;
    use super::super::super::theme::Depth;
    use super::*;

    fn theme(charset: Charset) -> Theme {
        Theme {
            depth: Depth::None,
            charset,
            palette: Palette::default(),
        }
    }

    #[test]
    fn look_up_bar_reaches_its_marks_at_the_deadlines() {
        for (ms, bar) in [
            (0, "····┆·······┆·"),
            (20, "▏···┆·······┆·"),
            (7_999, "███▉┆·······┆·"),
            (8_300, "████▏·······┆·"),
            (25_000, "████████████▌·"),
            (99_000, "██████████████"),
        ] {
            assert_eq!(lookup_bar(ms, theme(Charset::Unicode)).to_string(), bar, "{ms}");
        }
        assert_eq!(lookup_bar(9_000, theme(Charset::Ascii)).to_string(), "#####       : ");
    }

    #[test]
    fn sparkline_keeps_the_newest_at_the_right() {
        let text = |lookups: &[Option<u32>], columns| {
            Line::from(sparkline(lookups, columns, theme(Charset::Unicode))).to_string()
        };
        assert_eq!(text(&[Some(100), None, Some(9_000)], 5), "  ▁×▆");
        assert_eq!(text(&[Some(100), None, Some(30_000)], 2), "×█");
        assert_eq!(text(&[], 0), "");
    }

    #[test]
    fn a_narrow_strip_shows_the_worst() {
        let mut cells = vec![SubSlotCell::Answered; 64];
        cells[5] = SubSlotCell::Missed;
        let strip = Line::from(sub_slot(&cells, 32, theme(Charset::Unicode))).to_string();
        assert_eq!(strip.chars().count(), 32);
        assert_eq!(strip.chars().nth(2), Some('×'));
    }
}
