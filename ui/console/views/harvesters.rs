//! Screen 2: every harvester, connected or remembered.

use farmconsole::snapshot::HarvesterView;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::lateness::lateness_of_ms;
use super::super::model::Model;
use super::super::order::{Order, SortBy};
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::bars::{lateness_tone, sparkline};
use super::super::widgets::pane::pane_with;
use super::super::widgets::table::{Column, Rows, plain, table, width_of};
use super::super::widgets::text::{put, span, width};
use super::header::short_bytes;
use super::{harvester_tone, list_title, longest, no_harvester, put_nothing, rough_span, seconds, short_words};
use crate::format::grouped;

/// Head of the column of sparklines.
const LOOK_UPS: &str = "look-ups";

/// Draws it.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let rows = model.harvesters();
    let order = model.orders.of(Screen::Harvesters);
    let name = list_title(model, "Harvesters", rows.len(), model.shown().harvesters.len());
    let inner = pane_with(buffer, area, theme, name, fleet(model, order));
    if rows.is_empty() {
        put_nothing(model, buffer, inner, &no_harvester(model));
        return Vec::new();
    }
    // Sign, name and the longest stay; the newest look-ups are those that are in sight.
    let over_time_columns = area.width.saturating_sub(28).clamp(8, 64);
    let names = longest(rows.iter().map(|h| model.harvester_name(h)));
    let over_time = [
        Column::new("", 1, 0),
        Column::new("name", 12, 0)
            .keeps_both_ends()
            .grows()
            .sorts(SortBy::Name, order),
        Column::new("last 64 signage points, the newest at the right", over_time_columns, 0),
        Column::new("p50", 5, 4).right(),
        Column::new("p95", 5, 3).right(),
        Column::new("max", 5, 1).right().sorts(SortBy::Lookup, order),
        Column::new("late", 6, 2).right(),
        Column::new("none", 6, 2).right(),
    ];
    let columns = [
        Column::new("", 1, 0),
        Column::new("name", 12, 0)
            .keeps_both_ends()
            .up_to(names)
            .sorts(SortBy::Name, order),
        Column::new("state", 22, 0)
            .up_to(26)
            .grows()
            .sorts(SortBy::State, order),
        Column::new("plots", 6, 0).right().sorts(SortBy::Plots, order),
        Column::new("size", 9, 2).right().sorts(SortBy::Size, order),
        Column::new("answered", 9, 3).right().sorts(SortBy::Newest, order),
        Column::new("p50", 4, 5).right(),
        Column::new("p95", 5, 6).right(),
        Column::new("max", 5, 1).right().sorts(SortBy::Lookup, order),
        Column::new(LOOK_UPS, 11, 7).up_to(64),
        Column::new("not farmed", 12, 4).sorts(SortBy::NotFarmed, order),
        Column::new("last change", 15, 9),
        Column::new("address", 15, 8),
        Column::new("version", 26, 10),
    ];
    let selected = rows.iter().position(|h| Some(h.id) == model.selection.harvester);
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let look_ups = width_of(LOOK_UPS, &columns, inner.width);
    let shown = Rows {
        count: rows.len(),
        selected,
        follows_end: false,
        row: |n: usize| {
            if model.heat_map {
                row_over_time(model, rows[n], over_time_columns)
            } else {
                row(model, rows[n], look_ups)
            }
        },
    };
    let columns = if model.heat_map { &over_time[..] } else { &columns[..] };
    let inner = Rect {
        height: inner.height - ca_key_copies(model, rows.len(), inner, buffer),
        ..inner
    };
    table(buffer, inner, theme, columns, &shown).hits(|n| Some(Target::Harvester(rows.get(n)?.id)))
}

/// The look-ups of one harvester as a row of the heat map: height and colour say how long, a cross that none came.
fn row_over_time(model: &Model, harvester: &HarvesterView, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let tone = harvester_tone(harvester, model);
    let text = theme.style(Tone::Plain);
    let count = |count: u64| match count {
        0 => plain("0", theme.style(Tone::Dim)),
        count => plain(grouped(count), theme.style(Tone::Warn)),
    };
    vec![
        plain(theme.sign(tone), theme.style(tone)),
        plain(model.harvester_name(harvester), theme.style(Tone::Title)),
        Line::from(sparkline(&harvester.lookups_ms, columns, theme)),
        plain(seconds(harvester.lookup_p50_ms, model), text),
        plain(seconds(harvester.lookup_p95_ms, model), text),
        plain(seconds(harvester.lookup_max_ms, model), text),
        count(harvester.answered_late),
        count(harvester.unanswered),
    ]
}

/// Says below the rows, where there is room, how many machines hold a copy of the CA's key; the rows it takes.
fn ca_key_copies(model: &Model, rows: usize, area: Rect, buffer: &mut Buffer) -> u16 {
    let copies = model.shown().totals.ca_key_copies;
    // Titles, the rows, an empty line, and this one.
    let has_room = usize::from(area.height) >= rows.min(8) + 3;
    if copies == 0 || !has_room || model.heat_map {
        return 0;
    }
    let machines = if copies == 1 { "machine holds" } else { "machines hold" };
    let whole = format!("{copies} {machines} a copy of the CA key: farmconsole ca harden tells how to end that");
    let short = format!("{copies} {machines} a copy of the CA key");
    let text = if width(&whole) <= area.width { whole } else { short };
    put(
        buffer,
        area,
        area.height - 1,
        &Line::from(span(text, model.theme.style(Tone::Dim))),
    );
    2
}

/// How many of the harvesters that are expected are there, and the order.
fn fleet(model: &Model, order: Order) -> Line<'static> {
    let theme = model.theme;
    let totals = &model.shown().totals;
    let mut line = Line::default();
    if totals.absent > 0 {
        let expected = totals.connected + totals.absent;
        let text = format!("expected {expected}, have {}", totals.connected);
        line.push_span(span(text, theme.style(Tone::Warn)));
        line.push_span(span(theme.dot(), theme.style(Tone::Dim)));
    }
    line.push_span(span(order.words(Screen::Harvesters), theme.style(Tone::Dim)));
    line
}

fn row(model: &Model, harvester: &HarvesterView, look_ups: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let dim = theme.style(Tone::Dim);
    let text = theme.style(Tone::Plain);
    let tone = harvester_tone(harvester, model);
    let now = model.shown_at_unix_ms();
    let answered = match &harvester.last_answer {
        Some(answer) => rough_span(now.saturating_sub(answer.at_unix_ms) / 1000),
        None => "never".to_owned(),
    };
    let slowest = harvester
        .lookup_max_ms
        .map_or(Tone::Dim, |ms| lateness_tone(lateness_of_ms(ms)));
    let version = harvester.software();
    vec![
        plain(theme.sign(tone), theme.style(tone)),
        plain(model.harvester_name(harvester), theme.style(Tone::Title)),
        plain(short_words(harvester, model), theme.style(tone)),
        plain(grouped(harvester.plots), text),
        plain(harvester.plot_size().map_or_else(|| "?".to_owned(), short_bytes), text),
        plain(
            answered,
            if harvester.state.is_fine() {
                text
            } else {
                theme.style(tone)
            },
        ),
        plain(seconds(harvester.lookup_p50_ms, model), text),
        plain(seconds(harvester.lookup_p95_ms, model), text),
        plain(seconds(harvester.lookup_max_ms, model), theme.style(slowest)),
        Line::from(sparkline(&harvester.lookups_ms, look_ups, theme)),
        not_farmed(model, harvester),
        change(model, harvester),
        plain(model.secret(&harvester.host), dim),
        plain(model.outside(&version), dim),
    ]
}

/// Files that are there and earn nothing: `3 failed`, or `3 failed +13` where there are others too.
fn not_farmed(model: &Model, harvester: &HarvesterView) -> Line<'static> {
    let theme = model.theme;
    let kinds = [
        (harvester.failed, "failed"),
        (harvester.no_key, "no key"),
        (harvester.duplicates, "dup"),
        (harvester.shared_plots, "shared"),
    ];
    let some: Vec<_> = kinds.into_iter().filter(|(count, _)| *count > 0).collect();
    match some.as_slice() {
        [] => plain("0", theme.style(Tone::Dim)),
        [(count, what)] => plain(format!("{count} {what}"), theme.style(Tone::Warn)),
        [(count, what), others @ ..] => {
            let others: u64 = others.iter().map(|(count, _)| count).sum();
            plain(format!("{count} {what} +{others}"), theme.style(Tone::Warn))
        }
    }
}

/// `-109 at 14:02`.
fn change(model: &Model, harvester: &HarvesterView) -> Line<'static> {
    let theme = model.theme;
    let Some(change) = &harvester.last_plot_change else {
        return plain(theme.none(), theme.style(Tone::Dim));
    };
    let mut parts = Vec::new();
    if change.removed > 0 {
        parts.push(format!("{}{}", theme.pick("−", "-"), change.removed));
    }
    if change.added > 0 {
        parts.push(format!("+{}", change.added));
    }
    let tone = if change.removed > 0 { Tone::Warn } else { Tone::Plain };
    plain(
        format!(
            "{} at {}",
            parts.join(" "),
            model.zone.minute(change.at_unix_ms, model.shown_at_unix_ms())
        ),
        theme.style(tone),
    )
}
