//! Screen 1: the farm at one glance.

use farmconsole::snapshot::{
    AttemptOutcome, AttemptView, FarmSnapshot, FarmStatus, LuckBand, LuckVerdict, PartialCounts,
};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::lateness::{Lateness, lateness};
use super::super::model::Model;
use super::super::order::SortBy;
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::bars::{LOOKUP_BAR, lateness_tone, lookup_bar, lookup_bar_title};
use super::super::widgets::pane::{pane_with, title};
use super::super::widgets::table::{Column, Rows, plain, table};
use super::super::widgets::text::{fit, put, span};
use super::{ago, list_title, longest, messages, no_harvester, pools, put_nothing, roll_call};
use crate::format::{
    BLOCK_SECONDS, NO_WIN, chia_bytes, chia_effective_bytes, chia_minutes, grouped, lookup_time, minutes_to_win, plural,
};

/// Draws it: side by side from 120 columns on, one above the other below, one pane where there is room for one.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    if area.height < 15 {
        return attempts(model, area, buffer);
    }
    let harvesters = u16::try_from(model.harvesters().len()).unwrap_or(u16::MAX).max(1);
    let messages_rows = if area.height >= 26 { 7 } else { 4 };
    let upper_least = if area.width >= SIDE_BY_SIDE { 13 } else { 8 };
    let roll_call_rows = harvesters
        .saturating_add(2)
        .min(area.height - messages_rows - upper_least.min(area.height / 2));
    let upper_rows = area.height - messages_rows - roll_call_rows;
    let upper = Rect {
        height: upper_rows,
        ..area
    };
    let middle = Rect {
        y: upper.bottom(),
        height: roll_call_rows,
        ..area
    };
    let lower = Rect {
        y: middle.bottom(),
        height: messages_rows,
        ..area
    };
    let mut hits = Vec::new();
    if area.width >= SIDE_BY_SIDE {
        let right = (area.width * 2 / 5).clamp(46, 52).min(46 + (area.width - 120));
        let left = Rect {
            width: area.width - right,
            ..upper
        };
        hits.extend(attempts(model, left, buffer));
        facts(
            model,
            Rect {
                x: area.right() - right,
                width: right,
                ..upper
            },
            buffer,
        );
    } else {
        hits.extend(attempts(model, upper, buffer));
    }
    hits.extend(roll_call::draw(model, middle, buffer));
    messages::tail(model, lower, buffer);
    hits
}

fn attempts(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let rows = model.attempts();
    let order = model.orders.of(Screen::Farm);
    let name = if model.only_wrong || !model.filter.is_empty() {
        list_title(model, "Last Attempted Proofs", rows.len(), model.shown().attempts.len())
    } else {
        title(theme, "Last Attempted Proofs")
    };
    let inner = pane_with(buffer, area, theme, name, in_short(model, area));
    if rows.is_empty() {
        let text = if model.shown().harvesters.is_empty() && model.shown().status == FarmStatus::NoHarvester {
            no_harvester(model)
        } else {
            "no answer yet: harvesters answer each signage point they are sent".to_owned()
        };
        put_nothing(model, buffer, inner, &text);
        return Vec::new();
    }
    let names = longest(model.shown().harvesters.iter().map(|it| model.name(&it.name)));
    let columns = [
        Column::new("time", 10, 1).sorts(SortBy::Natural, order),
        Column::new("harvester", 11, 0)
            .keeps_both_ends()
            .up_to(names.max(20))
            .sorts(SortBy::Name, order),
        Column::new("passed", 8, 0)
            .right()
            .up_to(13)
            .sorts(SortBy::Passed, order),
        Column::new("proofs", 6, 1).right(),
        Column::new("lookup", 7, 0).right().sorts(SortBy::Lookup, order),
        Column::new(lookup_bar_title(), LOOKUP_BAR, 3),
        Column::new("SP", 2, 2).right(),
    ];
    let shown = Rows {
        count: rows.len(),
        selected: None,
        follows_end: false,
        row: |n: usize| attempt(model, rows[n]),
    };
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    // Who answered can be clicked: the answer itself has nothing more to say.
    let harvester = |n: usize| Some(Target::Harvester(rows.get(n)?.harvester));
    table(buffer, inner, theme, &columns, &shown).hits(harvester)
}

/// What the pane of facts would say first, where that has no room.
fn in_short(model: &Model, area: Rect) -> Line<'static> {
    let (theme, snapshot) = (model.theme, model.shown());
    if snapshot.simulated || model.size.0 >= SIDE_BY_SIDE || model.only_wrong || !model.filter.is_empty() {
        return Line::default();
    }
    let (to_win, tone) = expected_to_win(snapshot);
    let label = match snapshot.totals.plots {
        _ if area.width >= 76 => "expected win ",
        0 => "win: ",
        _ => "win in ",
    };
    let mut line = Line::from(vec![
        span(label, theme.style(Tone::Dim)),
        span(to_win, theme.style(tone)),
    ]);
    if snapshot.luck.effort > 0.0 && area.width >= 76 {
        line.push_span(span(format!("{}effort ", theme.dot()), theme.style(Tone::Dim)));
        line.push_span(span(
            format!("{:.0} %", snapshot.luck.effort * 100.0),
            theme.style(Tone::Plain),
        ));
    }
    line
}

/// Columns from which on the facts stand beside the answers.
const SIDE_BY_SIDE: u16 = 120;

fn attempt(model: &Model, attempt: &AttemptView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let late = lateness(&attempt.outcome);
    let tone = lateness_tone(late);
    let none = theme.none();
    let dim = theme.style(Tone::Dim);
    let mut time = plain(model.zone.time(attempt.at_unix_ms), dim);
    if late != Lateness::InTime {
        time.push_span(span(format!(" {}", theme.sign(tone)), theme.style(tone)));
    }
    let name_tone = if late == Lateness::InTime { Tone::Plain } else { tone };
    let name = plain(model.name(&attempt.harvester_name), theme.style(name_tone));
    let point = plain(attempt.signage_point_index.to_string(), dim);
    match attempt.outcome {
        AttemptOutcome::Answered {
            passed,
            total,
            proofs,
            lookup_ms,
            round_trip_ms,
        } => {
            let proofs = if proofs == 0 {
                plain("0", dim)
            } else {
                plain(format!("{} {proofs}", theme.sign(Tone::Win)), theme.style(Tone::Win))
            };
            vec![
                time,
                name,
                plain(format!("{passed}/{total}"), theme.style(Tone::Plain)),
                proofs,
                plain(
                    lookup_time(lookup_ms),
                    theme.style(if late == Lateness::InTime { Tone::Plain } else { tone }),
                ),
                lookup_bar(lookup_ms.max(round_trip_ms), theme),
                point,
            ]
        }
        AttemptOutcome::NoAnswer { total, after_s } => vec![
            time,
            name,
            plain(format!("{none}/{total}"), theme.style(tone)),
            plain(none, dim),
            plain("none", theme.style(tone)),
            plain(format!("after {after_s} s"), theme.style(tone)),
            point,
        ],
    }
}

/// What is true of the whole farm, as label and value.
fn facts(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let snapshot = model.shown();
    let running = ago(snapshot.started_at_unix_ms, model.shown_at_unix_ms());
    let right = Line::from(span(format!("up {running}"), theme.style(Tone::Dim)));
    let inner = pane_with(buffer, area, theme, title(theme, "Farm"), right);
    for (row, (label, value, tone)) in rows(model).into_iter().enumerate() {
        let label = theme.plain(label.to_owned());
        let value = fit(
            &theme.plain(value),
            inner.width.saturating_sub(LABEL + 3),
            theme.pick("…", "~"),
        );
        let line = Line::from(vec![
            span(
                format!(" {label:<width$}", width = usize::from(LABEL)),
                theme.style(Tone::Dim),
            ),
            span(format!(" {value}"), theme.style(tone)),
        ]);
        put(buffer, inner, u16::try_from(row).unwrap_or(u16::MAX), &line);
    }
}

/// Columns of the labels.
const LABEL: u16 = 14;

fn rows(model: &Model) -> Vec<(&'static str, String, Tone)> {
    let snapshot = model.shown();
    let (totals, wins, counters) = (&snapshot.totals, &snapshot.wins, &snapshot.counters);
    let warn_if = |wrong: bool| if wrong { Tone::Warn } else { Tone::Plain };
    let mut rows = Vec::new();
    if let Some(point) = snapshot.roll_call.first() {
        let answered = point.in_time + point.late;
        let text = format!("{answered} of {} to SP {}", point.asked, point.signage_point_index);
        rows.push(("Answers", text, Tone::Plain));
    }
    let (to_win, tone) = expected_to_win(snapshot);
    rows.push(("Expected win", to_win, tone));
    let luck = &snapshot.luck;
    if !snapshot.simulated && luck.effort > 0.0 {
        rows.push(("Effort", effort(luck.effort, model), Tone::Plain));
    }
    // A chain of our own says what it has accepted; elsewhere a signed block is as much as a farmer knows. Earlier runs
    // are in the record of luck.
    let (won, kind) = if snapshot.simulated {
        (wins.blocks_accepted, " SIMULATED")
    } else {
        (wins.blocks_signed, "")
    };
    let won = luck.won_ever.max(won);
    let last = wins
        .last_block_unix_ms
        .or(luck.last_win_unix_ms)
        .map(|at| format!("{} ago", ago(at, model.shown_at_unix_ms())));
    let tone = if won > 0 { Tone::Win } else { Tone::Plain };
    let text = format!("{} / {}{kind}", grouped(luck.won_24h), grouped(won));
    match last {
        // Both do not fit.
        Some(last) if snapshot.simulated => {
            rows.push(("Won 24 h/ever", text, tone));
            rows.push(("Last win", last, Tone::Plain));
        }
        Some(last) => rows.push(("Won 24 h/ever", format!("{text} · last {last}"), tone)),
        None => rows.push(("Won 24 h/ever", text, tone)),
    }
    rows.push((
        "Filter luck",
        luck_words(&luck.filter_24h),
        luck_tone(luck.filter_24h.verdict),
    ));
    if luck.proofs_24h.expected >= 1.0 {
        rows.push((
            "Proof luck",
            luck_words(&luck.proofs_24h),
            luck_tone(luck.proofs_24h.verdict),
        ));
    }
    let proofs = format!(
        "{} · {} invalid · {} lost",
        grouped(wins.proofs),
        wins.invalid,
        wins.lost
    );
    rows.push(("Proofs", proofs, warn_if(wins.invalid + wins.lost > 0)));
    if snapshot.pools.iter().any(|pool| !pool.url.is_empty()) {
        let mut day = PartialCounts::default();
        for pool in &snapshot.pools {
            day.add_all(&pool.partials_24h);
        }
        rows.push(("Partials 24 h", pools::counts(&day), pools::counts_tone(&day)));
    }
    rows.push(("On disk", chia_bytes(totals.plot_bytes as f64), Tone::Plain));
    rows.push((
        "Effective",
        chia_effective_bytes(totals.effective_bytes as f64),
        Tone::Plain,
    ));
    let unfarmed = [
        (totals.failed, "failed"),
        (totals.no_key, "no key"),
        (totals.duplicates, "duplicate"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", grouped(count)))
    .collect::<Vec<_>>();
    rows.push(match unfarmed.as_slice() {
        [] => ("Not farmed", "no file".to_owned(), Tone::Plain),
        some => ("Not farmed", some.join(" · "), Tone::Warn),
    });
    if totals.shared_plots > 0 {
        rows.push(("Farmed twice", plural(totals.shared_plots, "plot"), Tone::Warn));
    }
    let points = &snapshot.signage_points;
    let text = format!(
        "{} · {} missed",
        grouped(points.received_24h),
        grouped(points.missed_24h)
    );
    rows.push(("Points 24 h", text, warn_if(points.missed_24h > 0)));
    let refused: u64 = counters.refused.values().sum();
    rows.push(("Refused", plural(refused, "connection"), Tone::Plain));
    let dropped = counters.dropped_signage_points + counters.dropped_verifications + counters.dropped_log_lines;
    let skipped = model.stream.skipped;
    rows.push((
        "Dropped",
        format!("{dropped} by the farmer · {skipped} here"),
        warn_if(dropped + skipped > 0),
    ));
    if let Some(address) = &snapshot.keys.farmer_address {
        rows.push(("Rewards to", model.secret(address), Tone::Plain));
    }
    if let Some(chain) = &snapshot.simulated_chain {
        let seconds = chain.interval_ms as f64 / 1000.0;
        rows.push((
            "Chain",
            format!("a point every {seconds} s · seed {}", chain.seed),
            Tone::Plain,
        ));
        if let Some(refusal) = &chain.last_refusal {
            rows.push(("Refused block", model.outside(refusal), Tone::Warn));
        }
    }
    if let Some(point) = &snapshot.signage_point {
        rows.push(("Difficulty", grouped(point.difficulty), Tone::Plain));
    }
    rows
}

/// A bar up to twice what was to be expected, and the share.
fn effort(effort: f64, model: &Model) -> String {
    const COLUMNS: usize = 12;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the columns"
    )]
    let filled = (effort / 2.0 * COLUMNS as f64).clamp(0.0, COLUMNS as f64) as usize;
    let theme = model.theme;
    let bar = theme.pick("█", "#").repeat(filled) + &theme.pick("░", ".").repeat(COLUMNS - filled);
    format!("{bar} {:.0} %", effort * 100.0)
}

/// `101.3 % (normal, 98–102)`: what came of what was to be expected, whether that is chance, and within what it would be.
pub(super) fn luck_words(luck: &LuckBand) -> String {
    let word = luck.verdict.word();
    match luck.ratio() {
        Some(ratio) if luck.verdict != LuckVerdict::TooEarly => {
            let share = |count: f64| count * 100.0 / luck.expected;
            format!(
                "{:.1} % {word}, {:.1}-{:.1}",
                ratio * 100.0,
                share(luck.low),
                share(luck.high)
            )
        }
        _ => word.to_owned(),
    }
}

/// How luck is meant: bad luck is nothing to mend, what is broken is.
pub(super) const fn luck_tone(verdict: LuckVerdict) -> Tone {
    match verdict {
        LuckVerdict::TooEarly => Tone::Dim,
        LuckVerdict::Lucky | LuckVerdict::Normal => Tone::Plain,
        LuckVerdict::Unlucky => Tone::Warn,
        LuckVerdict::Broken => Tone::Bad,
    }
}

fn expected_to_win(snapshot: &FarmSnapshot) -> (String, Tone) {
    if snapshot.simulated {
        return ("none: SIMULATED chain".to_owned(), Tone::Win);
    }
    if snapshot.totals.plots == 0 {
        return (NO_WIN.to_owned(), Tone::Plain);
    }
    let node = snapshot.chain_node();
    let by_space = || {
        let seconds = node?.average_block_seconds.unwrap_or(BLOCK_SECONDS);
        let effective = snapshot.totals.effective_bytes as f64;
        Some(minutes_to_win(effective, node?.netspace_bytes?, seconds))
    };
    #[expect(clippy::cast_possible_truncation, reason = "huge spans saturate")]
    let by_difficulty = snapshot
        .luck
        .expected_time_to_win_s
        .map(|seconds| (seconds / 60.0) as i64);
    let minutes = by_space().or(by_difficulty);
    (
        minutes.map_or_else(|| "unknown: no network space".to_owned(), chia_minutes),
        Tone::Plain,
    )
}
