//! The whole screen: header, panes, last line, and what lies over them. Changes nothing.
//!
//! ```text
//! name  network  STATUS  why              plots  alarms   clock
//! farmer, what the link to it does                 last signage point
//! what is wrong first, and what to do; or a scan that takes long
//! ╭ Drives ───────────────────────────────────────────────────╮
//! ╭ Look-ups ─────────────────╮╭ Files not farmed ────────────╮
//! ╭ Log ──────────────────────────────────────────────────────╮
//! keys, or an answer
//! ```

use farmconsole::snapshot::{MachineStatus, Severity};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::hit::Hit;
use super::super::model::{Link, OLD_AFTER_S};
use super::super::tone::Tone;
use super::super::views::header::short_bytes;
use super::super::widgets::text::{fit, line_width, put, put_ends, span, width, wrap};
use super::keymap::{Action, BINDINGS};
use super::model::Model;
use super::{panes, popups};
use crate::feed::FarmerPlace;
use crate::format::{counted, grouped, plural, span as time_span};
use crate::harvester::status::link_words;

/// Smallest terminal that gets a picture.
const SMALLEST: (u16, u16) = (40, 10);

/// A scan is shown when it takes longer than this.
const LONG_SCAN_MS: u64 = 2_000;

/// Draws everything, and says where what can be clicked stands.
pub(super) fn draw(model: &Model, frame: &mut Frame<'_>) -> Vec<Hit> {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        too_small(model, area, buffer);
        return Vec::new();
    }
    let third = third_line(model, area);
    let header_rows = if area.height < 16 {
        2
    } else {
        2 + u16::try_from(third.len()).unwrap_or(0)
    };
    first_line(model, area, buffer);
    farmer_line(model, area, buffer);
    for (row, line) in (2..header_rows).zip(&third) {
        put(buffer, area, row, line);
    }
    let body = Rect {
        y: area.y + header_rows,
        height: area.height - header_rows - 1,
        ..area
    };
    let hits = panes::draw(model, body, buffer);
    let last = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    last_line(model, last, buffer);
    popups::draw(model, area, buffer);
    hits
}

/// The word of the header and how it is meant.
fn status(model: &Model) -> (&'static str, Tone) {
    if model.link != Link::Up {
        return ("NO HARVESTER", Tone::Bad);
    }
    if model.is_silent() {
        return ("SILENT", Tone::Bad);
    }
    let status = model.snapshot.status();
    let tone = match status {
        MachineStatus::Harvesting => Tone::Good,
        MachineStatus::Connecting | MachineStatus::Syncing => Tone::Accent,
        MachineStatus::DriveTrouble => Tone::Warn,
        MachineStatus::NoFarmer | MachineStatus::NoKeys | MachineStatus::NoPlots | MachineStatus::NoSignagePoints => {
            Tone::Bad
        }
    };
    (status.word(), tone)
}

fn first_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let machine = &model.snapshot;
    let (word, tone) = status(model);
    let mut right = troubles(model);
    if area.width >= 70 {
        let clock = format!("  {} ", model.zone.time(model.now_unix_ms()));
        right.push(span(clock, theme.style(Tone::Title)));
    }
    let badge = format!(" {} {word} ", theme.sign(tone));
    let room = area.width.saturating_sub(line_width(&Line::from(right.clone())) + 1);
    let silent = time_span(model.silent_s);
    // On a narrow terminal only since when is said of a picture that is old, and that before all names.
    let since = format!(" {silent}");
    let is_short = model.is_old() && area.width < 60;
    let kept = width(&badge) + if is_short { width(&since) } else { 0 };
    let mut left = names(model, area.width, room.saturating_sub(kept));
    left.push(span(badge, theme.badge(tone)));
    match &model.link {
        _ if is_short => left.push(span(since, theme.style(tone))),
        Link::Lost { reason } => {
            let text = format!(" for {silent}, trying again: {}", model.outside(reason));
            left.push(span(text, theme.style(Tone::Bad)));
        }
        Link::Up if model.is_silent() => {
            let text = format!(" for {silent}: the harvester says nothing");
            left.push(span(text, theme.style(Tone::Bad)));
        }
        Link::Up if model.silent_s >= OLD_AFTER_S => {
            let text = format!(" picture is {silent} old");
            left.push(span(text, theme.style(Tone::Warn)));
        }
        Link::Up => {
            let text = format!(
                " {}{}{}",
                counted(machine.counts.farmed, "plot"),
                theme.dot(),
                short_bytes(machine.plot_bytes)
            );
            left.push(span(text, theme.style(Tone::Plain)));
        }
    }
    put_ends(
        buffer,
        area,
        0,
        Line::from(left),
        Line::from(right),
        theme.pick("…", "~"),
    );
}

/// What this is and its network, as far as `room` columns have room beside the word that matters more.
fn names(model: &Model, columns: u16, room: u16) -> Vec<Span<'static>> {
    let theme = model.theme;
    let network = model.outside(&model.snapshot.network);
    let network = span(format!(" {network} "), theme.style(Tone::Plain));
    let name = if columns >= 100 {
        " farmconsole harvester"
    } else {
        " harvester"
    };
    let name = span(name, theme.style(Tone::Accent));
    let fit = [vec![name, network.clone()], vec![network]];
    let mut fit = fit.into_iter();
    fit.find(|it| line_width(&Line::from(it.clone())) <= room)
        .unwrap_or_default()
}

/// How many things are wrong.
fn troubles(model: &Model) -> Vec<Span<'static>> {
    let theme = model.theme;
    let concerns = model.snapshot.concerns();
    let Some(worst) = concerns.first() else {
        if model.is_old() {
            return vec![span("troubles ?", theme.style(Tone::Dim))];
        }
        return vec![span("nothing wrong", theme.style(Tone::Dim))];
    };
    let tone = match worst.severity() {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warn,
    };
    let text = format!(" {} ! ", plural(concerns.len() as u64, "trouble"));
    vec![span(text, theme.badge(tone))]
}

fn farmer_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let farmer = &model.snapshot.farmer;
    let now = model.now_unix_ms();
    let (_, tone) = status(model);
    let mut left = vec![
        span(" farmer ", theme.style(Tone::Dim)),
        span(model.secret(&farmer.address), theme.style(Tone::Plain)),
        span(format!("  {}", link_words(&farmer.state)), theme.style(tone)),
    ];
    if area.width >= 100 {
        let since = time_span(now.saturating_sub(farmer.since_unix_ms) / 1000);
        left.push(span(format!(" for {since}"), theme.style(Tone::Dim)));
    }
    if !farmer.software_version.is_empty() && area.width >= 110 {
        let version = format!("   {} ({})", farmer.software_version, farmer.protocol_version);
        left.push(span(model.outside(&version), theme.style(Tone::Dim)));
    }
    let right = match farmer.last_signage_point_unix_ms {
        Some(at) => {
            let ago = time_span(now.saturating_sub(at) / 1000);
            let tone = if now.saturating_sub(at) > 60_000 {
                Tone::Bad
            } else {
                Tone::Plain
            };
            vec![
                span("signage point ", theme.style(Tone::Dim)),
                span(format!("{ago} ago "), theme.style(tone)),
            ]
        }
        None => vec![span("no signage point yet ", theme.style(Tone::Dim))],
    };
    put_ends(
        buffer,
        area,
        1,
        Line::from(left),
        Line::from(right),
        theme.pick("…", "~"),
    );
}

/// The worst that is wrong and what to do about it, a scan that takes long, or nothing.
fn third_line(model: &Model, area: Rect) -> Vec<Line<'static>> {
    let columns = area.width;
    // The reason stands at the end of a sentence, after paths that may be long.
    let sentence_rows = if area.height >= 30 { 3 } else { 2 };
    let theme = model.theme;
    let machine = &model.snapshot;
    let mut lines = Vec::new();
    if let Some(worst) = machine.concerns().first() {
        let tone = match worst.severity() {
            Severity::Critical => Tone::Bad,
            Severity::Warning => Tone::Warn,
        };
        let parts = [
            (
                model.outside(&worst.to_string()),
                sentence_rows,
                theme.style(tone),
                theme.sign(tone),
            ),
            // A command with its root may take a line of its own.
            (
                model.remedy(&worst.remedy()),
                3,
                theme.style(Tone::Title),
                theme.pick("→", ">"),
            ),
        ];
        for (text, rows, style, sign) in parts {
            for (n, text) in first_lines(&text, columns.saturating_sub(4), rows, theme.pick("…", "~"))
                .into_iter()
                .enumerate()
            {
                let sign = if n == 0 { sign } else { " " };
                lines.push(Line::from(span(format!(" {sign} {text}"), style)));
            }
        }
    }
    let scan = machine.scan;
    if scan.running && scan.took_ms >= LONG_SCAN_MS {
        lines.push(scan_line(model, columns));
    }
    lines
}

/// `text` in at most `rows` lines; where it is cut, `mark` says so.
fn first_lines(text: &str, columns: u16, rows: usize, mark: &str) -> Vec<String> {
    let mut lines = wrap(text, columns);
    if lines.len() > rows {
        lines.truncate(rows);
        if let Some(last) = lines.last_mut() {
            *last = fit(&format!("{last} {mark}"), columns, mark);
        }
    }
    lines
}

/// ` looking at plot files ▕████······▏ 312 of 864, 4 s`
fn scan_line(model: &Model, columns: u16) -> Line<'static> {
    let theme = model.theme;
    let scan = model.snapshot.scan;
    let took = time_span(scan.took_ms / 1000);
    let mut line = vec![span(" looking at plot files ", theme.style(Tone::Accent))];
    if scan.total == 0 {
        line.push(span(format!("listing directories, {took}"), theme.style(Tone::Plain)));
        return Line::from(line);
    }
    let room = u64::from(columns.saturating_sub(56).min(40));
    let filled = usize::try_from((room * scan.done.min(scan.total)) / scan.total).unwrap_or(0);
    let rest = usize::try_from(room).unwrap_or(0).saturating_sub(filled);
    line.push(span(theme.pick("▕", "["), theme.style(Tone::Border)));
    line.push(span(theme.pick("█", "#").repeat(filled), theme.style(Tone::Accent)));
    line.push(span(theme.pick("·", ".").repeat(rest), theme.style(Tone::Border)));
    line.push(span(theme.pick("▏", "]"), theme.style(Tone::Border)));
    let text = format!(" {} of {}, {took}", grouped(scan.done), grouped(scan.total));
    line.push(span(text, theme.style(Tone::Plain)));
    Line::from(line)
}

/// The one sentence there is room for.
fn too_small(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (word, tone) = status(model);
    let concerns = model.snapshot.concerns().len() as u64;
    let wrong = match concerns {
        0 => String::new(),
        n => format!(", {}", plural(n, "trouble")),
    };
    let sentence = format!(
        "{word}{wrong}. Make this window at least {} x {}.",
        SMALLEST.0, SMALLEST.1
    );
    for (row, line) in wrap(&sentence, area.width).into_iter().enumerate() {
        let tone = if row == 0 { tone } else { Tone::Plain };
        let line = Line::from(span(line, model.theme.style(tone)));
        put(buffer, area, u16::try_from(row).unwrap_or(u16::MAX), &line);
    }
}

fn last_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let mut right = Vec::new();
    if let Some(remark) = &model.remark {
        right.push(span(format!("{} ", model.outside(remark)), theme.style(Tone::Warn)));
    } else if model.privacy {
        right.push(span(" PRIVATE ", theme.badge(Tone::Accent)));
    }
    let room = area.width.saturating_sub(line_width(&Line::from(right.clone())) + 1);
    let mut hints = vec![span(" ", theme.style(Tone::Plain))];
    let mut used = 1;
    // What lies over the screen takes the keys, and says which.
    let hinted = BINDINGS.iter().filter(|binding| !binding.hint.is_empty());
    for binding in hinted.filter(|_| model.dialog.is_none()) {
        let hint = match (binding.action, model.place) {
            // Harvesting goes on in the other process.
            (Action::Leave, FarmerPlace::Elsewhere) => "detach",
            _ => binding.hint,
        };
        let wide = u16::try_from(binding.shown.len() + hint.len() + 3).unwrap_or(u16::MAX);
        if used + wide > room {
            break;
        }
        used += wide;
        hints.push(span(binding.shown, theme.style(Tone::Accent)));
        hints.push(span(format!(" {hint}  "), theme.style(Tone::Dim)));
    }
    put_ends(
        buffer,
        area,
        0,
        Line::from(hints),
        Line::from(right),
        theme.pick("…", "~"),
    );
}
