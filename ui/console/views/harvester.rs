//! The details of one harvester: who it is, how it answers, and the files that are not farmed, in full.

use farmconsole::snapshot::{HarvesterView, HourRow};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::files::{LISTS_OF_HARVESTER, file_count};
use super::super::hit::Hit;
use super::super::model::{Details, Front, Model};
use super::super::past::{DAY_MS, DAYS, HOUR_MS};
use super::super::theme::Theme;
use super::super::tone::Tone;
use super::super::widgets::bars::sparkline;
use super::super::widgets::pane::{pane, pane_with, title};
use super::super::widgets::table::plain;
use super::super::widgets::text::{put, span, wrap};
use super::farm::{luck_tone, luck_words};
use super::{ago, files, harvester_tone, harvester_words, seconds};
use crate::format::{chia_bytes, chia_effective_bytes, grouped, plural};

/// Columns of the labels.
const LABEL: usize = 13;

/// Draws it.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let Some((details, harvester)) = model.detailed() else {
        let inner = pane(buffer, area, model.theme, title(model.theme, "Harvester"));
        let text = " this harvester is not remembered any more; esc goes back";
        put(buffer, inner, 0, &Line::from(span(text, model.theme.style(Tone::Dim))));
        return Vec::new();
    };
    let list = &details.files;
    let files = |area: Rect, buffer: &mut Buffer| {
        let count = |kind| file_count(model.shown(), harvester, kind);
        files::draw(model, list, &LISTS_OF_HARVESTER, count, area, buffer)
    };
    if area.width >= SIDE_BY_SIDE {
        let left = area.width / 2;
        facts(model, details, harvester, true, Rect { width: left, ..area }, buffer);
        let right = Rect {
            x: area.x + left,
            width: area.width - left,
            ..area
        };
        files(right, buffer)
    } else if area.height >= STACKED {
        let wanted = u16::try_from(file_count(model.shown(), harvester, list.list))
            .unwrap_or(u16::MAX)
            .saturating_add(2);
        let upper = area.height - wanted.clamp(5, area.height / 2);
        facts(model, details, harvester, true, Rect { height: upper, ..area }, buffer);
        let lower = Rect {
            y: area.y + upper,
            height: area.height - upper,
            ..area
        };
        files(lower, buffer)
    } else if details.front == Front::Files {
        files(area, buffer)
    } else {
        facts(model, details, harvester, false, area, buffer);
        Vec::new()
    }
}

/// Columns from which on facts and files stand side by side, and rows from which on one above the other.
const SIDE_BY_SIDE: u16 = 110;
const STACKED: u16 = 14;

/// How many facts there are about the harvester whose details are open; each has a line or more.
pub(in super::super) fn fact_count(model: &Model) -> u16 {
    let facts = model
        .detailed()
        .map_or(0, |(_, harvester)| rows(model, harvester).len() + 1);
    u16::try_from(facts).unwrap_or(u16::MAX)
}

fn facts(
    model: &Model,
    details: &Details,
    harvester: &HarvesterView,
    shows_both: bool,
    area: Rect,
    buffer: &mut Buffer,
) {
    let theme = model.theme;
    let tone = harvester_tone(harvester, model);
    let mut name = title(theme, model.harvester_name(harvester));
    name.push_span(span(format!("  {} ", theme.sign(tone)), theme.style(tone)));
    name.push_span(span(harvester_words(harvester, model), theme.style(tone)));
    let right = if shows_both { "" } else { "j its files" };
    let right = Line::from(span(right, theme.style(Tone::Accent)));
    let inner = pane_with(buffer, area, theme, name, right);
    let columns = inner.width.saturating_sub(u16::try_from(LABEL).unwrap_or(0) + 2);
    let mut lines = Vec::new();
    let mut add = |label: &str, value: Line<'static>| {
        let mut line = Line::from(span(format!(" {label:<LABEL$}"), theme.style(Tone::Dim)));
        line.spans.extend(value.spans);
        lines.push(line);
    };
    let sparks = columns.min(64);
    add("look-ups", Line::from(sparkline(&harvester.lookups_ms, sparks, theme)));
    let week = week(model, details);
    for (label, line) in week {
        add(&label, line);
    }
    for (label, value, tone) in rows(model, harvester) {
        for (n, line) in wrap(&theme.plain(value), columns).into_iter().enumerate() {
            add(if n == 0 { label } else { "" }, plain(line, theme.style(tone)));
        }
    }
    let room = usize::from(inner.height);
    let from = usize::from(details.facts_scroll).min(lines.len().saturating_sub(room));
    for (row, line) in (0..inner.height).zip(&lines[from..]) {
        put(buffer, inner, row, line);
    }
    let below = lines.len().saturating_sub(from + room);
    if below > 0 && room > 1 {
        let text = format!(" {} further down: ]", plural(below as u64 + 1, "line"));
        let text = format!("{text:<width$}", width = usize::from(inner.width));
        put(
            buffer,
            inner,
            inner.height - 1,
            &Line::from(span(text, theme.style(Tone::Dim))),
        );
    }
}

/// The last week as a heat map: a line a day, a cell an hour by the slowest look-up; a cross where answers are missing.
fn week(model: &Model, details: &Details) -> Vec<(String, Line<'static>)> {
    let theme = model.theme;
    let past = &details.past;
    let now = model.shown_at_unix_ms();
    if let Some(reason) = &past.missing {
        let text = format!("no history: {}", model.outside(reason));
        return vec![("by hour".to_owned(), plain(text, theme.style(Tone::Dim)))];
    }
    let Some((first, _)) = past.hours.first_key_value() else {
        return Vec::new();
    };
    let this_hour = now - now % HOUR_MS;
    let days = (this_hour - first.min(&this_hour)) / DAY_MS + 1;
    let lines = (0..days.min(DAYS)).map(|day| {
        let last = this_hour - day * DAY_MS;
        let cells = (0..24)
            .rev()
            .map(|hour| cell(past.hours.get(&(last - hour * HOUR_MS)), theme));
        let label = match day {
            0 => "by hour".to_owned(),
            day => format!("  {day} d before"),
        };
        let mut line = Line::from(cells.collect::<Vec<_>>());
        if day == 0 {
            line.push_span(span("  now at the right", theme.style(Tone::Dim)));
        }
        (label, line)
    });
    lines.collect()
}

fn cell(hour: Option<&HourRow>, theme: Theme) -> Span<'static> {
    match hour {
        None => span(theme.pick("·", " "), theme.style(Tone::Border)),
        Some(hour) if hour.unanswered > 0 => span(theme.pick("×", "x"), theme.style(Tone::Bad)),
        Some(hour) => {
            let slowest = hour.lookup_max_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
            sparkline(&[slowest], 1, theme).pop().unwrap_or_default()
        }
    }
}

fn rows(model: &Model, h: &HarvesterView) -> Vec<(&'static str, String, Tone)> {
    let now = model.shown_at_unix_ms();
    let warn_if = |wrong: bool| if wrong { Tone::Warn } else { Tone::Plain };
    let s = |ms| seconds(ms, model);
    let (plots, effective) = match h.plot_size() {
        Some(size) => (
            format!("{} · {}", grouped(h.plots), chia_bytes(size as f64)),
            format!("{} effective", chia_effective_bytes(h.effective_bytes as f64)),
        ),
        None => (
            format!("{} · size unknown", grouped(h.plots)),
            "as last seen".to_owned(),
        ),
    };
    let mut rows = vec![
        (
            "took",
            format!(
                "median {} · 95 % {} · max {} s",
                s(h.lookup_p50_ms),
                s(h.lookup_p95_ms),
                s(h.lookup_max_ms)
            ),
            Tone::Plain,
        ),
        (
            "last answer",
            h.last_answer.as_ref().map_or_else(
                || "none yet".to_owned(),
                |a| {
                    let when = ago(a.at_unix_ms, now);
                    format!(
                        "{}/{} for signage point {}, {when} ago",
                        a.passed, a.total, a.signage_point_index
                    )
                },
            ),
            Tone::Plain,
        ),
        (
            "answers",
            format!(
                "{} of {} · {} late · {} missing",
                grouped(h.answered),
                grouped(h.challenged),
                grouped(h.answered_late),
                grouped(h.unanswered)
            ),
            warn_if(h.answered_late + h.unanswered > 0),
        ),
        (
            "proofs",
            format!("{} sent · {} invalid", h.proofs, h.invalid_proofs),
            warn_if(h.invalid_proofs > 0),
        ),
        ("plots", plots, Tone::Plain),
        ("", effective, Tone::Plain),
        ("plot sync", sync(model, h), warn_if(h.last_sync_error.is_some())),
    ];
    if let Some(change) = &h.last_plot_change {
        let from = change
            .removed_from
            .as_ref()
            .map(|d| format!(" from {}", model.secret(d)))
            .unwrap_or_default();
        let at = model.zone.when(change.at_unix_ms, now);
        rows.push((
            "last change",
            format!("+{} −{}{from} at {at}", change.added, change.removed),
            warn_if(change.removed > 0),
        ));
    }
    let changes = model.details.iter().flat_map(|details| &details.past.changes);
    for (n, change) in changes.enumerate() {
        let from = change
            .removed_from
            .as_ref()
            .map(|d| format!(" from {}", model.secret(d)))
            .unwrap_or_default();
        let text = format!(
            "{} +{} −{}{from}, {} now",
            model.zone.when(change.at_unix_ms, now),
            change.added,
            change.removed,
            grouped(change.plots)
        );
        let label = if n == 0 { "plot changes" } else { "" };
        rows.push((label, text, warn_if(change.removed > 0)));
    }
    let eligible = &h.eligibility;
    rows.push((
        "filter luck",
        format!("in 24 h: {}", luck_words(&eligible.filter_24h)),
        luck_tone(eligible.filter_24h.verdict),
    ));
    if eligible.compared + eligible.not_compared > 0 {
        let mut text = format!(
            "{} answers checked by plot id · {} said otherwise",
            grouped(eligible.compared),
            grouped(eligible.differed)
        );
        if eligible.not_compared > 0 {
            text.push_str(&format!(" · {} could not be checked", grouped(eligible.not_compared)));
        }
        rows.push(("own count", text, warn_if(eligible.differs_in_a_row > 0)));
    }
    if let Some(check) = &h.cross_check {
        let text = format!(
            "{} listed · {} missing · {} unexpected at {}",
            check.listed,
            check.missing,
            check.unexpected,
            model.zone.when(check.at_unix_ms, now)
        );
        rows.push(("cross-check", text, warn_if(check.missing + check.unexpected > 0)));
    }
    if h.shared_plots > 0 {
        rows.push(("farmed twice", plural(h.shared_plots, "plot"), Tone::Warn));
    }
    let port = if h.port == 0 {
        String::new()
    } else {
        format!(":{}", h.port)
    };
    rows.push(("address", model.secret(&format!("{}{port}", h.host)), Tone::Plain));
    let shared = if h.certificate_shared {
        " (another harvester uses it too)"
    } else {
        ""
    };
    // The farmer's own has none, and no other connection has this port.
    if !(h.local && h.port == 0) {
        let certificate = format!("{}{shared}", model.secret(&h.peer_id.to_string()));
        rows.push(("certificate", certificate, warn_if(h.certificate_shared)));
    }
    let mut version = model.outside(&h.software_version);
    if !h.protocol_version.is_empty() {
        version = format!("{version} · protocol {}", model.outside(&h.protocol_version));
    }
    rows.push(("software", version, Tone::Plain));
    let mode = match h.harvesting_mode {
        1 => "CPU",
        2 => "GPU",
        _ => "not said",
    };
    rows.push(("harvesting", mode.to_owned(), Tone::Plain));
    rows.push(("first seen", model.zone.date_time(h.first_seen_unix_ms), Tone::Plain));
    rows.push(("connected", model.zone.date_time(h.connected_at_unix_ms), Tone::Plain));
    let times = plural(h.connections, "connection");
    rows.push(("", format!("{times} since the farmer started"), Tone::Plain));
    if h.dropped + h.ignored_messages > 0 {
        let text = format!(
            "{} signage points not taken · {} messages unknown",
            h.dropped, h.ignored_messages
        );
        rows.push(("dropped", text, Tone::Warn));
    }
    rows
}

fn sync(model: &Model, h: &HarvesterView) -> String {
    if let Some(error) = &h.last_sync_error {
        return format!("failed: {}", model.outside(error));
    }
    match h.last_sync_unix_ms {
        Some(at) => format!("finished {} ago", ago(at, model.shown_at_unix_ms())),
        None => "not finished yet".to_owned(),
    }
}
