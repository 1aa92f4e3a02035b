//! Who answered the signage points: one line a harvester.

use farmconsole::snapshot::HarvesterView;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::tone::Tone;
use super::super::widgets::bars::sparkline;
use super::super::widgets::pane::{pane_with, title};
use super::super::widgets::text::{fit, fit_middle, put, span, width};
use super::{harvester_tone, longest, put_nothing, seconds, short_words, worst_first};
use crate::format::plural;

/// Draws the pane.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let mut right = Line::default();
    let (asked, in_time) = totals(model);
    if asked > 0 {
        let share = in_time as f64 * 100.0 / asked as f64;
        let tone = if in_time == asked { Tone::Good } else { Tone::Warn };
        right.push_span(span(format!("{share:.1} %"), theme.style(tone)));
        right.push_span(span(" answered within 8 s", theme.style(Tone::Dim)));
    }
    let inner = pane_with(buffer, area, theme, title(theme, "Signage points: who answered"), right);
    let all = model.harvesters();
    if all.is_empty() {
        put_nothing(model, buffer, inner, "no harvester has connected yet");
        return Vec::new();
    }
    let mut hits = Vec::new();
    let room = usize::from(inner.height);
    let rows = worst_first(model, &all, room);
    let shown = if rows.len() > room {
        room.saturating_sub(1)
    } else {
        rows.len()
    };
    let names = longest(rows.iter().take(shown).map(|h| model.harvester_name(h)));
    for (row, harvester) in rows.iter().take(shown).enumerate() {
        let y = u16::try_from(row).unwrap_or(u16::MAX);
        put(buffer, inner, y, &line(model, harvester, names, inner.width));
        let area = Rect {
            y: inner.y + y,
            height: 1,
            ..inner
        };
        if model.selection.harvester == Some(harvester.id) {
            buffer.set_style(area, theme.selected());
        }
        let target = Target::Harvester(harvester.id);
        hits.push(Hit { area, target });
    }
    if let Some(rest) = rows.get(shown..).filter(|rest| !rest.is_empty()) {
        let wrong = rest.iter().filter(|h| model.is_wrong(h)).count();
        let state = if wrong == 0 {
            "all fine".to_owned()
        } else {
            format!("{wrong} not fine")
        };
        let text = theme.plain(format!(
            " … and {}, {state}; 2 shows them",
            plural(rest.len() as u64, "more harvester")
        ));
        put(
            buffer,
            inner,
            inner.height.saturating_sub(1),
            &Line::from(span(text, theme.style(Tone::Dim))),
        );
    }
    hits
}

/// Harvesters asked and answered in time, summed over the signage points whose deadline has passed.
fn totals(model: &Model) -> (u64, u64) {
    let shown = model.shown();
    let settled = shown.roll_call.iter().filter(|r| {
        let age_ms = shown.taken_at_unix_ms.saturating_sub(r.at_unix_ms);
        r.in_time + r.late >= r.asked || age_ms >= 8_000
    });
    settled.fold((0, 0), |(asked, in_time), r| {
        (asked + u64::from(r.asked), in_time + u64::from(r.in_time))
    })
}

/// One harvester, where the longest name in sight takes `names`.
fn line(model: &Model, harvester: &HarvesterView, names: u16, columns: u16) -> Line<'static> {
    let theme = model.theme;
    let mark = theme.pick("…", "~");
    let tone = harvester_tone(harvester, model);
    let (least_name, words_width) = if columns >= 110 { (14, 28) } else { (12, 22) };
    let second = |ms| seconds(ms, model);
    let (p50, p95, max) = (
        harvester.lookup_p50_ms,
        harvester.lookup_p95_ms,
        harvester.lookup_max_ms,
    );
    let numbers = match columns {
        100.. => format!(
            "  p50 {:>4}  p95 {:>4}  max {:>4} s",
            second(p50),
            second(p95),
            second(max)
        ),
        60.. => format!("  p95 {:>4}  max {:>4} s", second(p95), second(max)),
        _ => String::new(),
    };
    // A long name takes of the look-ups as long as half of them stay in sight.
    let spare = columns.saturating_sub(3 + least_name + 2 + width(&numbers) + 2 + words_width + LOOK_UPS_LEAST);
    let name_width = names.clamp(least_name, least_name + spare);
    let name = fit_middle(&model.harvester_name(harvester), name_width, mark);
    let name_pad = usize::from(name_width - width(&name));
    let fixed = 3 + name_width + 2 + width(&numbers) + 2;
    let spark = columns.saturating_sub(fixed + words_width).min(64);
    let words = fit(
        &short_words(harvester, model),
        columns.saturating_sub(fixed + spark),
        mark,
    );
    let mut spans = vec![
        span(format!(" {} ", theme.sign(tone)), theme.style(tone)),
        span(name, theme.style(Tone::Plain)),
        span(" ".repeat(name_pad + 1), theme.style(Tone::Plain)),
    ];
    let mut heights = sparkline(&harvester.lookups_ms, spark, theme);
    if !harvester.is_connected() {
        // The past of one that has gone is no news.
        heights.iter_mut().for_each(|span| span.style = theme.style(Tone::Dim));
    }
    spans.extend(heights);
    spans.push(span(numbers, theme.style(Tone::Dim)));
    let words_tone = if tone == Tone::Good { Tone::Dim } else { tone };
    spans.push(span(format!("  {words}"), theme.style(words_tone)));
    Line::from(spans)
}

/// Signage points that stay in sight however long the names are.
const LOOK_UPS_LEAST: u16 = 32;
