//! Screen 5: every plotNFT and its pool: difficulty, points, what became of partials, and what the pool last said.

use farmconsole::snapshot::{PartialCounts, PartialOutcome, PartialView, PoolState, PoolView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::order::SortBy;
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::pane::{pane, pane_with, title};
use super::super::widgets::table::{Column, Rows, plain, table};
use super::super::widgets::text::span;
use super::{draw_text, fact_lines, list_title, put_nothing};
use crate::format::{grouped, plural, pool_plots};

/// Rows of the list that are kept when the selected pool is shown in full below it.
const LIST_ROWS: u16 = 8;

/// Draws it: the list, and the selected (or first) pool in full.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let rows = model.pools();
    let selected = rows.iter().position(|it| Some(it.launcher_id) == model.selection.pool);
    let wanted = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(3);
    let has_details = !rows.is_empty() && area.height >= 15;
    let list = Rect {
        height: if has_details {
            wanted.min(LIST_ROWS)
        } else {
            area.height
        },
        ..area
    };
    let mut day = PartialCounts::default();
    for pool in &model.shown().pools {
        day.add_all(&pool.partials_24h);
    }
    let sums = Line::from(span(
        theme.plain(format!("partials 24 h: {}", counts(&day))),
        theme.style(Tone::Dim),
    ));
    let name = list_title(model, "Pools", rows.len(), model.shown().pools.len());
    let inner = pane_with(buffer, list, theme, name, sums);
    if rows.is_empty() {
        put_nothing(
            model,
            buffer,
            inner,
            "no plotNFT: the wallet has joined no pool on this root",
        );
        return Vec::new();
    }
    let order = model.orders.of(Screen::Pools);
    let columns = [
        Column::new("pool", 16, 0).sorts(SortBy::Name, order),
        Column::new("state", 14, 0).grows().sorts(SortBy::State, order),
        Column::new("difficulty", 10, 2).right(),
        Column::new("found 24 h", 11, 3).right().sorts(SortBy::Size, order),
        Column::new("acknowledged", 12, 1).right(),
        Column::new("partials 24 h", 24, 4),
    ];
    let room = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let shown = Rows {
        count: rows.len(),
        selected,
        follows_end: false,
        row: |n: usize| row(model, rows[n]),
    };
    let places = table(buffer, room, theme, &columns, &shown);
    if has_details && let Some(pool) = selected.map_or_else(|| rows.first(), |n| rows.get(n)) {
        let below = Rect {
            y: list.bottom(),
            height: area.height - list.height,
            ..area
        };
        in_full(model, pool, below, buffer);
    }
    places.hits(|n| Some(Target::Pool(rows.get(n)?.launcher_id)))
}

fn row(model: &Model, pool: &PoolView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let (dim, text) = (theme.style(Tone::Dim), theme.style(Tone::Plain));
    let tone = state_tone(&pool.state);
    let has_pool = !pool.url.is_empty();
    let number = |number: u64| {
        if has_pool {
            plain(grouped(number), text)
        } else {
            plain(theme.none(), dim)
        }
    };
    vec![
        plain(model.secret(&pool.label()), theme.style(Tone::Title)),
        plain(
            format!("{} {}", theme.sign(tone), model.outside(&pool.state.to_string())),
            theme.style(tone),
        ),
        pool.difficulty
            .map_or_else(|| plain(theme.none(), dim), |it| plain(grouped(it), text)),
        number(pool.points_found_24h),
        number(pool.points_acknowledged_24h),
        if has_pool {
            let tone = counts_tone(&pool.partials_24h);
            plain(theme.plain(counts(&pool.partials_24h)), theme.style(tone))
        } else {
            plain(theme.none(), dim)
        },
    ]
}

/// `212 ok · 1 stale`; what did not happen is left out.
pub(in super::super) fn counts(counts: &PartialCounts) -> String {
    let lost = counts.each().into_iter().skip(1).filter(|(_, count)| *count > 0);
    let lost = lost.map(|(outcome, count)| format!(" · {} {}", grouped(count), outcome.word()));
    format!("{} ok{}", grouped(counts.accepted), lost.collect::<String>())
}

/// Whether anything was lost that should not be.
pub(in super::super) const fn counts_tone(counts: &PartialCounts) -> Tone {
    if counts.invalid + counts.failed + counts.missing > 0 {
        Tone::Bad
    } else if counts.stale + counts.late > 0 {
        Tone::Warn
    } else {
        Tone::Plain
    }
}

const fn state_tone(state: &PoolState) -> Tone {
    match state {
        PoolState::Ready => Tone::Good,
        PoolState::Asking => Tone::Accent,
        PoolState::SelfPooling => Tone::Dim,
        PoolState::NoKey | PoolState::NotRegistered | PoolState::Failing { .. } => Tone::Bad,
    }
}

/// Whether there is something to expect of its plots.
fn plots_tone(pool: &PoolView) -> Tone {
    if pool.plots == 0 || pool.expected_partials_24h.is_some_and(|it| it < 1.0) {
        Tone::Warn
    } else {
        Tone::Plain
    }
}

fn in_full(model: &Model, pool: &PoolView, area: Rect, buffer: &mut Buffer) {
    let inner = pane(buffer, area, model.theme, title(model.theme, name(model, pool)));
    draw_text(model.theme, &lines(model, pool, inner.width), 0, inner, buffer);
}

/// The selected (or first) pool in full, with its name, for a text over the screen.
pub(super) fn full(model: &Model, columns: u16) -> Option<(String, Vec<Line<'static>>)> {
    let rows = model.pools();
    let selected = rows.iter().find(|it| Some(it.launcher_id) == model.selection.pool);
    let pool = selected.or_else(|| rows.first())?;
    Some((name(model, pool), lines(model, pool, columns)))
}

fn name(model: &Model, pool: &PoolView) -> String {
    let name = pool.name.as_deref();
    model.secret(&name.map_or_else(|| pool.label(), |name| model.outside(name)))
}

fn lines(model: &Model, pool: &PoolView, columns: u16) -> Vec<Line<'static>> {
    let unknown = || "unknown".to_owned();
    let clock = match pool.clock_ahead_s {
        None => unknown(),
        Some(ahead) => format!("{ahead:+} s"),
    };
    let since_start = format!(
        "{} found, {} acknowledged, {} on the way",
        grouped(pool.points_found),
        grouped(pool.points_acknowledged),
        plural(pool.under_way, "partial")
    );
    let pays_to = pool.pays_to.as_deref();
    let plain = |label, text| (label, text, Tone::Plain);
    let mut facts = vec![
        ("state", model.outside(&pool.state.to_string()), state_tone(&pool.state)),
        plain("plotNFT", model.secret(&pool.launcher_id.to_string())),
        plain("address", model.secret(&model.outside(&pool.url))),
        plain(
            "pays to",
            pays_to.map_or_else(unknown, |it| model.secret(&model.outside(it))),
        ),
        ("plots", pool_plots(pool), plots_tone(pool)),
        plain(
            "points",
            pool.points
                .map_or_else(unknown, |it| format!("{}, as the pool counts them", grouped(it))),
        ),
        plain("since start", since_start),
        plain("its clock", clock),
    ];
    let now = model.shown_at_unix_ms();
    for (n, answer) in pool.last_answers.iter().take(5).enumerate() {
        let text = format!(
            "{} {} ({} ms): {}",
            model.zone.when(answer.at_unix_ms, now),
            answer.request,
            grouped(u64::from(answer.took_ms)),
            model.outside(&answer.text)
        );
        let tone = if answer.ok { Tone::Plain } else { Tone::Warn };
        facts.push((if n == 0 { "answers" } else { "" }, text, tone));
    }
    for (n, partial) in pool.last_partials.iter().enumerate() {
        let (text, tone) = partial_line(model, partial, now);
        facts.push((if n == 0 { "partials" } else { "" }, text, tone));
    }
    fact_lines(model.theme, facts, 12, columns)
}

/// One partial: when, whose, how far it got, and when that was after its signage point.
fn partial_line(model: &Model, partial: &PartialView, now_unix_ms: u64) -> (String, Tone) {
    let when = model.zone.when(partial.found_at_unix_ms, now_unix_ms);
    let name = model.name(&partial.harvester_name);
    let after = |ms: Option<u32>| {
        ms.map_or_else(String::new, |ms| {
            format!(", {} ms after its SP", grouped(u64::from(ms)))
        })
    };
    let (words, tone) = match partial.outcome {
        None => (
            format!("{}{}", partial.step.word(), after(partial.verified_after_ms)),
            Tone::Accent,
        ),
        Some(PartialOutcome::Accepted) => {
            let points = partial
                .difficulty
                .map_or_else(String::new, |it| format!(", {} points", grouped(it)));
            (format!("accepted{points}{}", after(partial.ended_after_ms)), Tone::Good)
        }
        Some(outcome) => {
            let tone = match outcome {
                PartialOutcome::Insufficient => Tone::Dim,
                PartialOutcome::Late | PartialOutcome::Stale => Tone::Warn,
                _ => Tone::Bad,
            };
            let at = after(partial.ended_after_ms);
            let why = model.outside(&partial.reason);
            (
                format!("{} while {}{at}: {why}", outcome.word(), partial.step.word()),
                tone,
            )
        }
    };
    (
        format!("{when} {name} SP {}: {words}", partial.signage_point_index),
        tone,
    )
}
