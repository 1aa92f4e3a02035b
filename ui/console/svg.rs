//! A drawn buffer as an SVG picture: the same bytes every time, from the same code that draws the console.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Size of one cell, pixels.
const CELL: (f32, f32) = (8.4, 18.0);
/// Around the picture.
const MARGIN: f32 = 14.0;
const BACKGROUND: &str = "#0f141b";
const FOREGROUND: &str = "#d5dbe5";

/// The picture.
pub(super) fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (width, height) = (
        f32::from(columns) * CELL.0 + 2.0 * MARGIN,
        f32::from(rows) * CELL.1 + 2.0 * MARGIN,
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\" aria-label=\"{}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"'JetBrains Mono','DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" \
         xml:space=\"preserve\" fill=\"{FOREGROUND}\">\n",
        escaped(title)
    );
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let cell = &buffer[(x, y)];
            let look = Look::of(cell.fg, cell.bg, cell.modifier);
            let mut text = String::new();
            let start = x;
            while x < columns {
                let next = &buffer[(x, y)];
                if Look::of(next.fg, next.bg, next.modifier) != look {
                    break;
                }
                text.push_str(next.symbol());
                x += 1;
            }
            run(&mut out, (start, y), x - start, &text, &look);
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

#[derive(PartialEq, Eq)]
struct Look {
    fg: String,
    bg: Option<String>,
    bold: bool,
}

impl Look {
    fn of(fg: Color, bg: Color, modifier: Modifier) -> Self {
        let (fg, bg) = (hex(fg), hex(bg));
        let bold = modifier.contains(Modifier::BOLD);
        if modifier.contains(Modifier::REVERSED) {
            let fg = fg.unwrap_or_else(|| FOREGROUND.to_owned());
            return Self {
                fg: bg.unwrap_or_else(|| BACKGROUND.to_owned()),
                bg: Some(fg),
                bold,
            };
        }
        Self {
            fg: fg.unwrap_or_else(|| FOREGROUND.to_owned()),
            bg,
            bold,
        }
    }
}

/// A run of cells of one look: the ground, then lines and blocks as shapes, which join in every viewer, then text.
fn run(out: &mut String, (x, y): (u16, u16), cells: u16, text: &str, look: &Look) {
    let left = MARGIN + f32::from(x) * CELL.0;
    let top = MARGIN + f32::from(y) * CELL.1;
    if let Some(bg) = &look.bg {
        rect(out, (left, top), (f32::from(cells) * CELL.0, CELL.1), bg);
    }
    let mut words = String::new();
    let mut rest = text;
    let mut at = left;
    while let Some(c) = rest.chars().next() {
        // Equal neighbours are one shape, so no seam shows between them.
        let same = rest.chars().take_while(|next| *next == c).count();
        let count = if is_seamless(c) { same } else { 1 };
        let drawn = shape(out, (at, top), count as f32 * CELL.0, c, &look.fg);
        let piece: String = rest.chars().take(count).collect();
        let columns = piece.width();
        words.push_str(&if drawn { " ".repeat(columns) } else { piece.clone() });
        at += columns as f32 * CELL.0;
        rest = &rest[piece.len()..];
    }
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let mut start = 0;
    // Words apart by two cells and more are placed apart, so no font can move them out of their columns.
    for part in words.split("  ") {
        let lead = part.width() - part.trim_start().width();
        let text = part.trim();
        if !text.is_empty() {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" fill=\"{}\"{weight}>{}</text>",
                left + (start + lead) as f32 * CELL.0,
                top + 13.5,
                text.width() as f32 * CELL.0,
                look.fg,
                escaped(text)
            );
        }
        start += part.width() + 2;
    }
}

/// Whether two of `c` side by side touch along their whole side.
fn is_seamless(c: char) -> bool {
    matches!(c, '▁'..='█' | '▒' | '─')
}

/// Draws `c`, as often as `width` says, if it is a line or a block.
fn shape(out: &mut String, (x, y): (f32, f32), width: f32, c: char, color: &str) -> bool {
    let height = CELL.1;
    let (right, bottom, middle_x, middle_y) = (x + width, y + height, x + width / 2.0, y + height / 2.0);
    // From an end up or down, round the middle, to an end at the side.
    let corner = |end_y: f32, end_x: f32| {
        let (from, to) = (
            middle_y + (end_y - middle_y).signum() * 4.0,
            middle_x + (end_x - middle_x).signum() * 4.0,
        );
        format!("M{middle_x:.1} {end_y:.1}V{from:.1}Q{middle_x:.1} {middle_y:.1} {to:.1} {middle_y:.1}H{end_x:.1}")
    };
    let eighths = |first: char| f32::from(u8::try_from(c as u32 - first as u32).unwrap() + 1) / 8.0;
    let path = match c {
        '─' => format!("M{x:.1} {middle_y:.1}H{right:.1}"),
        '│' => format!("M{middle_x:.1} {y:.1}V{bottom:.1}"),
        '╭' => corner(bottom, right),
        '╮' => corner(bottom, x),
        '╰' => corner(y, right),
        '╯' => corner(y, x),
        '▁'..='█' => {
            let part = height * eighths('▁');
            rect(out, (x, bottom - part), (width, part), color);
            return true;
        }
        '▉'..='▏' => {
            rect(out, (x, y), (width * (1.0 - eighths('▉')), height), color);
            return true;
        }
        '▕' => {
            rect(out, (right - 1.0, y), (1.0, height), color);
            return true;
        }
        '▒' => {
            rect(out, (x, y), (width, height), &format!("{color}\" fill-opacity=\"0.45"));
            return true;
        }
        _ => return false,
    };
    let _ = writeln!(out, "<path d=\"{path}\" stroke=\"{color}\" fill=\"none\"/>");
    true
}

fn rect(out: &mut String, (x, y): (f32, f32), (width, height): (f32, f32), color: &str) {
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
    );
}

fn hex(color: Color) -> Option<String> {
    match color {
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Black => Some(BACKGROUND.to_owned()),
        Color::Reset => None,
        // The pictures are drawn with all colours; anything else would be a colour by chance.
        other => panic!("no picture of {other:?}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
