//! A drawn buffer as an SVG picture: the same bytes every time, from the same code that draws the console.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

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

/// Text is placed cell by cell where a font might give characters other widths, so columns stay columns.
fn run(out: &mut String, (x, y): (u16, u16), cells: u16, text: &str, look: &Look) {
    let left = MARGIN + f32::from(x) * CELL.0;
    let top = MARGIN + f32::from(y) * CELL.1;
    if let Some(bg) = &look.bg {
        let width = f32::from(cells) * CELL.0;
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{bg}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let length = f32::from(cells) * CELL.0;
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"{}\"{weight}>{}</text>",
        top + 13.5,
        look.fg,
        escaped(text)
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
