//! The whole screen: header, tabs, one screen, last line, and what lies over them. Changes nothing.
//!
//! ```text
//! name  network  STATUS  reason                     totals   alarms   clock
//! node                                   signage point, its age, missed
//! SP 37/64 ▕ one cell for each signage point of the sub-slot ▏       legend
//! 1 Farm  2 Harvesters  …                                           ? help
//! ╭ screen ───────────────────────────────────────────────────────────────╮
//! ╰───────────────────────────────────────────────────────────────────────╯
//! keys of this screen, or the filter that is being typed, or an answer
//! ```

use farmconsole::snapshot::page::Grouping;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::hit::Hit;
use super::keymap::{self, Place};
use super::model::{Dialog, Model};
use super::screen::Screen;
use super::tone::Tone;
use super::views::{
    alarms, entry, farm, full, harvester, harvesters, header, help, messages, plots, pools, proofs, report,
};
use super::widgets::pane::clear;
use super::widgets::question::Question;
use super::widgets::text::{fit_end, line_width, put, put_ends, span, width, wrap};
use crate::feed::FarmerPlace;
use crate::format::{grouped, safe};

/// Smallest terminal that gets a picture.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws everything, and says where what can be clicked stands.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) -> Vec<Hit> {
    let area = frame.area();
    draw_in(model, area, frame.buffer_mut())
}

fn draw_in(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(model, area, buffer);
        return Vec::new();
    }
    let header_rows = header::rows(area.height);
    let header_area = Rect {
        height: header_rows,
        ..area
    };
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    let body = Rect {
        y: area.y + header_rows,
        height: area.height - header_rows - 1,
        ..area
    };
    let mut hits = header::draw(model, header_area, buffer);
    hits.extend(match (model.screen, model.details.is_some()) {
        (Screen::Farm, _) => farm::draw(model, body, buffer),
        (Screen::Harvesters, false) => harvesters::draw(model, body, buffer),
        (Screen::Harvesters, true) => harvester::draw(model, body, buffer),
        (Screen::Plots, _) => plots::draw(model, body, buffer),
        (Screen::Proofs, _) => proofs::draw(model, body, buffer),
        (Screen::Pools, _) => pools::draw(model, body, buffer),
        (Screen::Messages, _) => messages::draw(model, body, buffer),
        (Screen::Alarms, _) => alarms::draw(model, body, buffer),
    });
    last_line(model, last, buffer);
    match &model.dialog {
        Some(Dialog::Help { scroll }) => help::draw(model, *scroll, area, buffer),
        Some(Dialog::Quit) => QUIT.draw(model.theme, 54, area, buffer),
        Some(Dialog::Report { what, scroll }) => report::draw(model, *what, *scroll, area, buffer),
        Some(Dialog::Full { scroll }) => full::draw(model, *scroll, area, buffer),
        Some(Dialog::Entry { entry: it, scroll }) => entry::draw(model, it, *scroll, area, buffer),
        Some(Dialog::Filter { .. } | Dialog::Save { .. } | Dialog::Rename { .. }) | None => {}
    }
    hits
}

/// The one sentence there is room for.
fn too_small(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (word, tone) = header::status(model);
    let simulated = if model.snapshot.simulated { "SIMULATED " } else { "" };
    let replay = match model.place {
        FarmerPlace::Recording => "REPLAY ",
        FarmerPlace::Here | FarmerPlace::Elsewhere => "",
    };
    let alarms = model.snapshot.alarms.len();
    let alarms = if alarms == 0 {
        String::new()
    } else {
        format!(", {}", crate::format::plural(alarms as u64, "alarm"))
    };
    let sentence = format!(
        "{replay}{simulated}{word}{alarms}. Make this window at least {} x {}.",
        SMALLEST.0, SMALLEST.1
    );
    for (row, line) in wrap(&sentence, area.width).into_iter().enumerate() {
        let style = if row == 0 {
            model.theme.style(tone)
        } else {
            model.theme.style(Tone::Plain)
        };
        put(
            buffer,
            area,
            u16::try_from(row).unwrap_or(u16::MAX),
            &Line::from(span(line, style)),
        );
    }
}

fn last_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let mark = theme.pick("…", "~");
    if let Some(typed) = typed(model) {
        typed_line(model, &typed, area, buffer);
        return;
    }
    let mut right = Vec::new();
    if let Some(remark) = &model.remark {
        right.push(span(model.outside(remark), theme.style(Tone::Warn)));
        right.push(span(" ", theme.style(Tone::Plain)));
    } else {
        let frozen = model.frozen.as_ref().map(|frozen| match frozen.passed {
            0 => "FROZEN".to_owned(),
            passed => format!("FROZEN, {} passed", grouped(passed)),
        });
        let only_wrong = model.only_wrong.then(|| "ONLY WRONG".to_owned());
        let private = model.privacy.then(|| "PRIVATE".to_owned());
        for word in [frozen, only_wrong, private].into_iter().flatten() {
            right.push(span(format!(" {word} "), theme.badge(Tone::Accent)));
            right.push(span(" ", theme.style(Tone::Plain)));
        }
    }
    let room = area.width.saturating_sub(line_width(&Line::from(right.clone())) + 1);
    let mut hints = vec![span(" ", theme.style(Tone::Plain))];
    let mut used = 1u16;
    let in_details = model.details.is_some();
    let here = keymap::BINDINGS
        .iter()
        .filter(|b| !b.hint.is_empty())
        .filter(|b| match b.place {
            Place::Everywhere => b.action != keymap::Action::Open || opens(model),
            Place::On(_) => b.place.is(model.screen, in_details) && !in_details,
            Place::Details | Place::Files => b.place.is(model.screen, in_details),
        });
    // What lies over the screen takes the keys, and says which.
    for binding in here.filter(|_| model.dialog.is_none()) {
        let hint = match (binding.action, model.place) {
            // Farming goes on in the other process.
            (keymap::Action::Leave, FarmerPlace::Elsewhere) => "detach",
            _ => binding.hint,
        };
        let wide = u16::try_from(binding.shown.len() + hint.len() + 3).unwrap_or(u16::MAX);
        if used.saturating_add(wide) > room {
            break;
        }
        used += wide;
        hints.push(span(binding.shown, theme.style(Tone::Accent)));
        hints.push(span(format!(" {hint}  "), theme.style(Tone::Dim)));
    }
    put_ends(buffer, area, 0, Line::from(hints), Line::from(right), mark);
}

/// A line that is being typed.
struct Typed<'a> {
    /// What it is, and the same where there is little room.
    labels: [&'static str; 2],
    /// It so far.
    text: &'a str,
    /// What enter does with it.
    end: &'static str,
}

/// The line that is being typed, if one is.
fn typed(model: &Model) -> Option<Typed<'_>> {
    let (labels, text, end) = match model.dialog.as_ref()? {
        Dialog::Filter { .. } => (["/", "/"], &model.filter, "keep"),
        Dialog::Save { name } => (["save the table as", "save as"], name, "save"),
        Dialog::Rename { name, .. } => (["new name", "name"], name, "rename"),
        Dialog::Help { .. } | Dialog::Quit | Dialog::Report { .. } | Dialog::Entry { .. } | Dialog::Full { .. } => {
            return None;
        }
    };
    Some(Typed { labels, text, end })
}

/// Draws the line that is being typed. What was typed last stays in sight: the hint goes first, then words of the label,
/// then the beginning of what was typed. Why it was refused stands above it.
fn typed_line(model: &Model, typed: &Typed<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let mark = theme.pick("…", "~");
    let text = theme.plain(safe(typed.text));
    let hint = format!("enter {}  esc undo ", typed.end);
    // Spaces around the label, the cursor, and one between text and hint.
    let taken = |label: &str, hint: &str| width(label) + 3 + width(&text) + width(hint) + u16::from(!hint.is_empty());
    let [long, short] = typed.labels;
    let (label, hint) = if taken(long, &hint) <= area.width {
        (long, hint)
    } else if taken(long, "") <= area.width {
        (long, String::new())
    } else {
        (short, String::new())
    };
    let room = area.width.saturating_sub(width(label) + 3);
    let mut line = Line::from(vec![
        span(format!(" {label} "), theme.style(Tone::Accent)),
        span(fit_end(&text, room, mark), theme.style(Tone::Title)),
        span(theme.pick("▏", "_"), theme.style(Tone::Accent)),
    ]);
    if text.is_empty() && matches!(model.dialog, Some(Dialog::Filter { .. })) {
        line.push_span(span(format!(" {}", searched(model)), theme.style(Tone::Dim)));
    }
    let hint = Line::from(span(hint, theme.style(Tone::Dim)));
    put_ends(buffer, area, 0, line, hint, mark);
    if let Some(remark) = &model.remark {
        let lines = wrap(&model.outside(remark), area.width.saturating_sub(2));
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.y);
        let above = Rect {
            y: area.y - rows,
            height: rows,
            ..area
        };
        clear(above, buffer);
        for (row, line) in (0..rows).zip(lines) {
            put(
                buffer,
                above,
                row,
                &Line::from(span(format!(" {line}"), theme.style(Tone::Warn))),
            );
        }
    }
}

/// What a filter looks at on this screen.
const fn searched(model: &Model) -> &'static str {
    match (model.screen, model.details.is_some()) {
        (_, true) | (Screen::Plots, _) => "words of a path",
        (Screen::Farm, _) => "words of a harvester",
        (Screen::Harvesters, _) => "words of a name, address, state or version",
        (Screen::Proofs, _) => "words of a harvester or plot file",
        (Screen::Pools, _) => "words of a pool",
        (Screen::Messages, _) => "words of a harvester, message or text: barn-3 farming_info",
        (Screen::Alarms, _) => "words of an alarm or what to do",
    }
}

/// Whether enter opens something here that is named in the last line.
fn opens(model: &Model) -> bool {
    if let Some(list) = model.file_list() {
        return list.grouping == Grouping::Directory;
    }
    match model.screen {
        Screen::Farm | Screen::Harvesters => !model.harvesters().is_empty(),
        // What a person does about alarms needs the room.
        Screen::Plots | Screen::Alarms => false,
        Screen::Proofs | Screen::Pools => full::is_there(model),
        Screen::Messages => model.entries().next().is_some(),
    }
}

/// What is asked before farming ends.
const QUIT: Question = Question {
    title: "Quit",
    asks: "Quit and stop farming?",
    explains: "Farming happens in this window. To keep it going without one, start it again with --daemon.",
    yes: "quit and stop farming",
    no: "go on farming",
};
