//! Pages of text over the screen: what an upgrade would break, how the monitor itself fares, and what happened since
//! somebody looked last.

use std::collections::BTreeMap;

use farmconsole::snapshot::{AlarmView, HarvesterView, HistoryState};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::model::{Model, Report};
use super::super::tone::Tone;
use super::super::widgets::pane::{popup, title};
use super::super::widgets::text::{span, wrap};
use super::{ago, draw_text, last_scroll_of, what_was_wrong};
use crate::format::{chia_bytes, grouped, plural};

/// Columns of a report.
const COLUMNS: u16 = 96;

/// Names that are listed before the rest is only counted.
const NAMES: usize = 12;

/// One paragraph: its label, its text, and how it is meant.
type Paragraph = (String, String, Tone);

/// Draws it over `area`.
pub(in super::super) fn draw(model: &Model, what: Report, scroll: u16, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let lines = lines(model, what, area.width);
    let name = match what {
        Report::Upgrade => "Who speaks which protocol, and what an upgrade would break",
        Report::Monitor => "How this monitor fares",
        Report::SinceLastLook => "Since you last looked",
    };
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let name = title(theme, format!("{name} (esc closes)"));
    let inner = popup(buffer, area, theme, name, COLUMNS, rows);
    draw_text(model.theme, &lines, scroll, inner, buffer);
}

/// How many lines are scrolled away when the last one is in sight.
pub(in super::super) fn last_scroll(model: &Model, what: Report) -> u16 {
    last_scroll_of(lines(model, what, model.size.0).len(), model.size.1)
}

fn lines(model: &Model, what: Report, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let columns = COLUMNS.min(columns);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (label, text, tone) in paragraphs(model, what) {
        if text.is_empty() {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::from(span(format!(" {label}"), theme.style(Tone::Title))));
            continue;
        }
        let indent = if label.is_empty() {
            3
        } else {
            LABEL.min(columns * 2 / 5)
        };
        // Of two releases in two labels nothing may be cut.
        let mut labels = wrap(&label, indent.saturating_sub(1)).into_iter();
        let room = columns.saturating_sub(indent + 4);
        let mut texts = wrap(&theme.plain(text), room).into_iter();
        loop {
            let (label, text) = (labels.next(), texts.next());
            if label.is_none() && text.is_none() {
                break;
            }
            let label = label.unwrap_or_default();
            lines.push(Line::from(vec![
                span(
                    format!(" {label:<width$}", width = usize::from(indent)),
                    theme.style(Tone::Dim),
                ),
                span(text.unwrap_or_default(), theme.style(tone)),
            ]));
        }
    }
    lines
}

/// Columns of the labels.
const LABEL: u16 = 34;

fn paragraphs(model: &Model, what: Report) -> Vec<Paragraph> {
    match what {
        Report::Upgrade => upgrade(model),
        Report::Monitor => monitor(model),
        Report::SinceLastLook => since_last_look(model),
    }
}

fn head(text: &str) -> Paragraph {
    (text.to_owned(), String::new(), Tone::Title)
}

/// Last part of a protocol version: 38 of `0.0.38`.
fn protocol(harvester: &HarvesterView) -> Option<u32> {
    harvester.protocol_version.rsplit('.').next()?.parse().ok()
}

/// Official releases that speak a protocol.
const fn releases(protocol: u32) -> &'static str {
    match protocol {
        ..=35 => "official releases up to 2.1.4",
        36 => "official 2.2.1 to 2.5.4, and most third-party harvesters",
        37 => "official 2.5.5 to 2.7.3",
        38 => "official 2.7.4 and 2.7.5, and farmconsole",
        _ => "newer than anything known here",
    }
}

/// The official farmer serves one layout of a signage point to each side of protocol 0.0.37, and 0.0.37 itself was
/// redefined between its releases, so every upgrade silences somebody. This farmer speaks all three layouts.
fn upgrade(model: &Model) -> Vec<Paragraph> {
    let harvesters = &model.shown().harvesters;
    let mut groups: BTreeMap<Option<u32>, Vec<&HarvesterView>> = BTreeMap::new();
    for harvester in harvesters {
        groups.entry(protocol(harvester)).or_default().push(harvester);
    }
    let mut out = vec![head("Spoken by your harvesters")];
    for (version, group) in groups.iter().rev() {
        let label = version.map_or_else(|| "unknown".to_owned(), |it| format!("protocol 0.0.{it}"));
        let known = version.map_or("", releases);
        let text = format!("{} ({known})", names(model, group));
        let tone = match version {
            Some(36..=38) => Tone::Plain,
            _ => Tone::Warn,
        };
        out.push((label, text, tone));
    }
    if harvesters.is_empty() {
        out.push((String::new(), "no harvester has connected yet".to_owned(), Tone::Dim));
    }
    let of = |range: std::ops::RangeInclusive<u32>| -> Vec<&HarvesterView> {
        let is_in = |h: &&HarvesterView| protocol(h).is_some_and(|it| range.contains(&it));
        harvesters.iter().filter(is_in).collect()
    };
    out.push(head("What would break"));
    for (change, hit, how) in [
        (
            "this farmer stays",
            of(0..=35),
            "cannot farm: their messages lack what every farmer since 2.2 needs",
        ),
        (
            "official farmer 2.7.4 or newer",
            of(37..=37),
            "would get no signage point at all, and no error",
        ),
        (
            "official farmer 2.7.3 or older",
            of(38..=u32::MAX),
            "would disconnect at every signage point and be banned for 10 s, again and again",
        ),
        (
            "harvesters at 2.5.5 to 2.7.3",
            of(0..=36),
            "would speak 0.0.37, which this farmer serves and official farmers from 2.7.4 on do not",
        ),
    ] {
        let (text, tone) = if hit.is_empty() {
            ("nobody".to_owned(), Tone::Good)
        } else {
            (format!("{}: {how}", names(model, &hit)), Tone::Warn)
        };
        out.push((change.to_owned(), text, tone));
    }
    out
}

fn names(model: &Model, harvesters: &[&HarvesterView]) -> String {
    let mut some: Vec<_> = harvesters.iter().take(NAMES).map(|h| model.harvester_name(h)).collect();
    if harvesters.len() > NAMES {
        some.push(format!("{} more", harvesters.len() - NAMES));
    }
    some.join(", ")
}

fn monitor(model: &Model) -> Vec<Paragraph> {
    let farm = &model.snapshot;
    let counters = &farm.counters;
    let warn_if = |count: u64| if count > 0 { Tone::Warn } else { Tone::Plain };
    let plain = |label: &str, text: String| (label.to_owned(), text, Tone::Plain);
    let mut out = vec![
        head("The farmer"),
        plain(
            "version",
            format!(
                "{}; this console is {}",
                model.outside(&farm.software_version),
                env!("CARGO_PKG_VERSION")
            ),
        ),
        plain("runs for", ago(farm.started_at_unix_ms, model.now_unix_ms())),
        plain(
            "memory",
            farm.monitor.memory_bytes.map_or_else(
                || "not known on this system".to_owned(),
                |bytes| chia_bytes(bytes as f64),
            ),
        ),
        head("Queues: what waits, and how much may"),
    ];
    for queue in &farm.monitor.queues {
        let tone = if queue.size > 0 && queue.waiting * 2 > queue.size {
            Tone::Warn
        } else {
            Tone::Plain
        };
        let text = format!("{} of {}", grouped(queue.waiting), grouped(queue.size));
        out.push((model.outside(&queue.name), text, tone));
    }
    let (words, tone) = match &farm.history.state {
        HistoryState::Off => ("is not kept".to_owned(), Tone::Dim),
        HistoryState::Writing => (
            format!(
                "{} facts written, {} dropped, {}",
                grouped(farm.history.written),
                grouped(farm.history.dropped),
                chia_bytes(farm.history.file_bytes as f64)
            ),
            warn_if(farm.history.dropped),
        ),
        HistoryState::Failing { why } => (format!("cannot be written: {}", model.outside(why)), Tone::Bad),
        HistoryState::Newer { .. } => ("is of a newer version and left alone".to_owned(), Tone::Warn),
    };
    out.push(("history".to_owned(), words, tone));
    out.push(head("Dropped, refused or ignored since the farmer started"));
    for (label, count) in [
        ("signage points", counters.dropped_signage_points),
        ("proofs not verified", counters.dropped_verifications),
        ("log lines", counters.dropped_log_lines),
        ("alarms", counters.dropped_alarms),
        ("calls of alarm hooks", counters.dropped_hook_calls),
        ("messages unknown", counters.ignored_messages),
        ("answers nobody asked for", counters.unexpected_answers),
        ("proofs that came again", counters.duplicate_proofs),
        ("proofs of no known point", counters.proofs_of_unknown_signage_points),
        ("signatures unasked for", counters.unexpected_signatures),
        ("blocks of no known proof", counters.unknown_block_requests),
    ] {
        out.push((label.to_owned(), grouped(count), warn_if(count)));
    }
    let refused: Vec<_> = counters
        .refused
        .iter()
        .map(|(cause, times)| format!("{} {}", grouped(*times), model.outside(&cause.replace('_', " "))))
        .collect();
    let text = if refused.is_empty() {
        "0".to_owned()
    } else {
        refused.join(", ")
    };
    out.push(("connections refused".to_owned(), text, warn_if(refused.len() as u64)));
    out.push(head("This console"));
    out.push((
        "events too fast for it".to_owned(),
        grouped(model.stream.skipped),
        warn_if(model.stream.skipped),
    ));
    let kept = model.stream.entries().len() as u64;
    out.push(plain(
        "messages kept",
        format!("{} of {}", grouped(kept), grouped(ENTRIES)),
    ));
    out
}

const ENTRIES: u64 = super::super::stream::ENTRIES_KEPT as u64;

fn since_last_look(model: &Model) -> Vec<Paragraph> {
    let farm = &model.snapshot;
    let now = model.now_unix_ms();
    let Some(look) = &model.last_look else {
        let text = "this is the first console on this root: from now on it is remembered what you saw".to_owned();
        return vec![(String::new(), text, Tone::Plain)];
    };
    let change = |then: u64, is: u64| {
        let (sign, by, tone) = if is < then {
            ("−", then - is, Tone::Warn)
        } else {
            ("+", is - then, Tone::Plain)
        };
        let text = match by {
            0 => format!("{}, as before", grouped(is)),
            by => format!("{} ({sign}{} since)", grouped(is), grouped(by)),
        };
        (text, tone)
    };
    let looked = format!(
        "{} ({} ago)",
        model.zone.when(look.at_unix_ms, now),
        ago(look.at_unix_ms, now)
    );
    let mut out = vec![("you looked at".to_owned(), looked, Tone::Plain)];
    let restarted = farm.started_at_unix_ms > look.at_unix_ms;
    if restarted {
        let at = model.zone.when(farm.started_at_unix_ms, now);
        let text = format!("the farmer was restarted at {at}, and counts from there");
        out.push((String::new(), text, Tone::Warn));
    }
    let (plots, tone) = change(look.plots, farm.totals.plots);
    out.push(("plots".to_owned(), plots, tone));
    let (harvesters, tone) = change(look.connected, farm.totals.connected);
    out.push(("harvesters".to_owned(), harvesters, tone));
    let since = |count: u64, then: u64| if restarted { count } else { count.saturating_sub(then) };
    let blocks = since(farm.wins.blocks_signed, look.blocks);
    let tone = if blocks > 0 { Tone::Win } else { Tone::Plain };
    let kind = if farm.simulated { " SIMULATED" } else { "" };
    out.push(("blocks won".to_owned(), format!("{}{kind}", grouped(blocks)), tone));
    let proofs = since(farm.wins.proofs, look.proofs);
    out.push(("proofs".to_owned(), grouped(proofs), Tone::Plain));
    let missed = since(farm.signage_points.missed, look.missed);
    let tone = if missed > 0 { Tone::Warn } else { Tone::Plain };
    out.push(("signage points missed".to_owned(), grouped(missed), tone));

    let later = |at: u64| at > look.at_unix_ms;
    let opened: Vec<_> = farm.alarms.iter().filter(|a| later(a.opened_at_unix_ms)).collect();
    let over: Vec<_> = farm
        .alarm_history
        .iter()
        .filter(|a| a.closed_at_unix_ms.is_some_and(later))
        .collect();
    out.push(head(&match opened.len() {
        0 => "no new alarm is open".to_owned(),
        1 => "1 new alarm is open".to_owned(),
        some => format!("{some} new alarms are open"),
    }));
    let line = |alarm: &AlarmView, at: u64, tone| {
        let text = format!("{}  {}", model.zone.when(at, now), what_was_wrong(model, alarm));
        (String::new(), text, tone)
    };
    out.extend(opened.iter().map(|a| line(a, a.opened_at_unix_ms, Tone::Bad)));
    out.push(head(&match over.len() {
        0 => "no alarm has ended since".to_owned(),
        some => format!("{} ended", plural(some as u64, "alarm")),
    }));
    out.extend(
        over.iter()
            .map(|a| line(a, a.closed_at_unix_ms.unwrap_or_default(), Tone::Dim)),
    );
    out
}
