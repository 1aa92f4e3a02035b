//! The first lines of every screen: is it farming, and if not, why not. Always live, even when the lists are frozen.

use farmconsole::snapshot::{FarmStatus, Severity, SubSlotCell};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::hit::{Hit, Target};
use super::super::model::{Link, Model, OLD_AFTER_S};
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::bars::{cell_sign, sub_slot};
use super::super::widgets::text::{line_width, put_ends, span, width};
use super::ago;
use crate::feed::FarmerPlace;
use crate::format::{chia_bytes, counted, grouped, plural, span as time_span};

/// Rows the header takes on a terminal of `height` rows.
pub(in super::super) const fn rows(height: u16) -> u16 {
    if height >= 20 { 4 } else { 2 }
}

/// The word of the header and how it is meant.
pub(in super::super) fn status(model: &Model) -> (&'static str, Tone) {
    if model.link != Link::Up {
        return match model.place {
            FarmerPlace::Recording => ("OVER", Tone::Accent),
            FarmerPlace::Here | FarmerPlace::Elsewhere => ("NO FARMER", Tone::Bad),
        };
    }
    if model.is_silent() {
        return ("SILENT", Tone::Bad);
    }
    let status = &model.snapshot.status;
    let tone = match status {
        FarmStatus::Farming => Tone::Good,
        FarmStatus::Starting { .. } => Tone::Accent,
        FarmStatus::NoPlots | FarmStatus::NotSynced | FarmStatus::NoHarvester => Tone::Warn,
        FarmStatus::NoKeys | FarmStatus::NoSignagePoints { .. } | FarmStatus::NoAnswers { .. } => Tone::Bad,
    };
    (status.word(), tone)
}

/// Draws it.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    first_line(model, area, buffer);
    if area.height >= 4 {
        node_line(model, area, buffer);
        sub_slot_line(model, area, buffer);
    }
    tabs(model, area, area.height - 1, buffer)
}

/// One part of the first line; parts of the highest rank are left out first, rank 0 never.
struct Part {
    rank: u8,
    spans: Vec<Span<'static>>,
}

/// Rank of the program's name.
const NAME: u8 = 4;

fn first_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let snapshot = &model.snapshot;
    let clock = span(
        format!("  {} ", model.zone.time(model.now_unix_ms())),
        theme.style(Tone::Title),
    );
    let mut parts = vec![
        Part {
            rank: NAME,
            spans: vec![span(" farmconsole", theme.style(Tone::Accent))],
        },
        Part {
            rank: 2,
            spans: vec![span(
                format!("  {}", model.outside(&snapshot.network)),
                theme.style(Tone::Plain),
            )],
        },
    ];
    if model.place == FarmerPlace::Recording {
        let badge = vec![
            span(" ", theme.style(Tone::Plain)),
            span(" REPLAY ", theme.badge(Tone::Accent)),
        ];
        parts.push(Part { rank: 0, spans: badge });
    }
    if snapshot.simulated {
        let badge = vec![
            span(" ", theme.style(Tone::Plain)),
            span(" SIMULATED ", theme.badge(Tone::Win)),
        ];
        parts.push(Part { rank: 0, spans: badge });
    }
    let (word, tone) = status(model);
    let badge = vec![
        span("  ", theme.style(Tone::Plain)),
        span(format!(" {} {word} ", theme.sign(tone)), theme.badge(tone)),
    ];
    parts.push(Part { rank: 0, spans: badge });
    if let Some(reason) = reason(model, area.width) {
        parts.push(Part {
            rank: 1,
            spans: vec![span(format!(" {reason}"), theme.style(tone))],
        });
    }
    if model.silent_s >= OLD_AFTER_S && !model.is_old() {
        let old = format!("  picture is {} old", time_span(model.silent_s));
        parts.push(Part {
            rank: 0,
            spans: vec![span(old, theme.style(Tone::Warn))],
        });
    }
    let mut right = Line::from(alarms(model));
    // The status matters more than the time of day.
    let status_columns: u16 = parts
        .iter()
        .filter(|p| p.rank == 0)
        .flat_map(|p| &p.spans)
        .map(|s| width(&s.content))
        .sum();
    if status_columns + line_width(&right) + width(&clock.content) < area.width {
        right.push_span(clock);
    }
    let room = area.width.saturating_sub(line_width(&right) + 1);
    let wide = |parts: &[Part]| {
        parts
            .iter()
            .flat_map(|p| &p.spans)
            .map(|s| width(&s.content))
            .sum::<u16>()
    };
    let spare = |parts: &[Part]| room.saturating_sub(wide(parts));
    while wide(&parts) > room {
        let Some(worst) = parts.iter().map(|p| p.rank).max().filter(|rank| *rank > 1) else {
            break;
        };
        parts.retain(|p| p.rank != worst);
    }
    // What is expected and what there is matters more than the program's name, which everybody knows by then.
    let totals = totals(model).map(|text| format!("   {text}"));
    if spare(&parts) < width(&totals[0]) {
        parts.retain(|p| p.rank != NAME);
    }
    if let Some(text) = totals.into_iter().find(|text| width(text) <= spare(&parts)) {
        let spans = vec![span(text, theme.style(Tone::Plain))];
        parts.push(Part { rank: 3, spans });
    }
    let left = Line::from(parts.into_iter().flat_map(|p| p.spans).collect::<Vec<_>>());
    put_ends(buffer, area, 0, left, right, theme.pick("…", "~"));
}

/// Why the word is what it is; on a narrow terminal only since when, where that is known of the farmer itself.
fn reason(model: &Model, columns: u16) -> Option<String> {
    if model.is_old() && columns < NARROW {
        return Some(time_span(model.silent_s));
    }
    if let Link::Lost { reason } = &model.link {
        let reason = model.outside(reason);
        return Some(match model.place {
            FarmerPlace::Recording => reason,
            FarmerPlace::Here | FarmerPlace::Elsewhere => {
                format!("for {}, trying again: {reason}", time_span(model.silent_s))
            }
        });
    }
    if model.is_silent() {
        return Some(format!("for {}: the farmer says nothing", time_span(model.silent_s)));
    }
    let snapshot = &model.snapshot;
    let text = match &snapshot.status {
        FarmStatus::Farming => return None,
        FarmStatus::Starting { waits_for } => format!("waiting for {waits_for}"),
        FarmStatus::NoKeys => "nothing can be signed: farmconsole keys import --mnemonic".to_owned(),
        FarmStatus::NoSignagePoints { for_s } => {
            match snapshot.nodes.iter().find(|n| !n.connected && !n.is_second_name) {
                Some(node) => format!(
                    "for {}: {} is not connected{}",
                    time_span(*for_s),
                    model.secret(&node.name),
                    node.not_connected_because
                        .as_ref()
                        .map(|why| format!(", {}", model.outside(why)))
                        .unwrap_or_default()
                ),
                None => format!("for {}", time_span(*for_s)),
            }
        }
        FarmStatus::NotSynced => "the node says that it is not synced".to_owned(),
        FarmStatus::NoHarvester => match snapshot.listening_on.first() {
            Some(address) => format!("none is connected; listening on {}", model.secret(address)),
            None => "none is connected, and none can: not listening".to_owned(),
        },
        FarmStatus::NoPlots => "no harvester told of plots".to_owned(),
        FarmStatus::NoAnswers { for_s } => format!("no harvester has answered for {}", time_span(*for_s)),
    };
    Some(model.theme.plain(text))
}

/// Columns below which there is room for a number and its unit beside the word.
const NARROW: u16 = 60;

/// How many harvesters of how many, and their plots; and the same in fewer and fewer words.
fn totals(model: &Model) -> [String; 3] {
    let totals = &model.snapshot.totals;
    let harvesters = if totals.absent == 0 {
        plural(totals.connected, "harvester")
    } else {
        format!(
            "{} of {}",
            totals.connected,
            plural(totals.connected + totals.absent, "harvester")
        )
    };
    let plots = counted(totals.plots, "plot");
    let dot = model.theme.dot();
    let long = format!("{harvesters}{dot}{plots}{dot}{}", short_bytes(totals.plot_bytes));
    let short = format!("{harvesters}{dot}{plots}");
    [long, short, harvesters]
}

/// A size with one decimal, for lines with little room.
pub(in super::super) fn short_bytes(bytes: u64) -> String {
    let text = chia_bytes(bytes as f64);
    match text.split_once('.') {
        Some((whole, rest)) if rest.len() > 3 => format!("{whole}.{}{}", &rest[..1], &rest[3..]),
        _ => text,
    }
}

fn alarms(model: &Model) -> Vec<Span<'static>> {
    let theme = model.theme;
    let open = &model.snapshot.alarms;
    let count = open.len();
    let text = if count == 0 && model.is_old() {
        "alarms ?".to_owned()
    } else if count == 0 {
        "no alarm".to_owned()
    } else {
        plural(count as u64, "alarm")
    };
    let fresh = open.iter().filter(|a| !a.acknowledged);
    let style = match fresh.map(|a| a.severity).min() {
        Some(Severity::Critical) => theme.badge(Tone::Bad),
        Some(Severity::Warning) => theme.badge(Tone::Warn),
        None if count == 0 => return vec![span(text, theme.style(Tone::Dim))],
        None => return vec![span(format!("{text}, seen"), theme.style(Tone::Warn))],
    };
    vec![span(format!(" {text} ! "), style)]
}

fn node_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let snapshot = &model.snapshot;
    let mut left = Vec::new();
    // What was good when the farmer was heard last need not be.
    let good = if model.is_old() { Tone::Dim } else { Tone::Good };
    for node in snapshot.nodes.iter().take(2) {
        let name = if snapshot.simulated {
            model.outside(&node.name)
        } else {
            model.secret(&node.name)
        };
        let (word, tone) = match (node.connected, node.synced) {
            (false, _) if node.is_second_name => ("second name", Tone::Warn),
            (false, _) => ("not connected", Tone::Bad),
            (true, _) if node.syncing => ("syncing", Tone::Warn),
            (true, Some(true)) => ("synced", good),
            (true, Some(false)) => ("not synced", Tone::Warn),
            (true, None) => ("connected", good),
        };
        let kind = if snapshot.simulated { " " } else { " node " };
        left.push(span(kind, theme.style(Tone::Dim)));
        left.push(span(name, theme.style(Tone::Plain)));
        left.push(span(format!(" {word}"), theme.style(tone)));
        if let Some(height) = node.peak_height {
            left.push(span(
                format!(" {} ", grouped(u64::from(height))),
                theme.style(Tone::Plain),
            ));
        }
    }
    if snapshot.nodes.is_empty() {
        left.push(span(" no source of signage points", theme.style(Tone::Warn)));
    }
    let counts = &snapshot.signage_points;
    let expected = counts.received_24h + counts.missed_24h;
    let share = if expected == 0 {
        0.0
    } else {
        counts.missed_24h as f64 * 100.0 / expected as f64
    };
    let missed_tone = if counts.missed_24h == 0 {
        Tone::Plain
    } else {
        Tone::Warn
    };
    let mut right = Vec::new();
    match &snapshot.signage_point {
        Some(point) => {
            let label = if area.width >= 100 {
                "last signage point "
            } else {
                "last "
            };
            right.push(span(label, theme.style(Tone::Dim)));
            let now = model.now_unix_ms();
            let age_ms = now.saturating_sub(point.received_at_unix_ms);
            let tone = if age_ms > 60_000 { Tone::Bad } else { Tone::Plain };
            let age = ago(point.received_at_unix_ms, now);
            right.push(span(format!("{age} ago"), theme.style(tone)));
        }
        None => right.push(span("no signage point yet", theme.style(Tone::Dim))),
    }
    right.push(span("   missed 24 h ", theme.style(Tone::Dim)));
    right.push(span(
        if area.width >= 70 {
            format!("{} ({share:.1} %) ", grouped(counts.missed_24h))
        } else {
            format!("{} ", grouped(counts.missed_24h))
        },
        theme.style(missed_tone),
    ));
    put_ends(
        buffer,
        area,
        1,
        Line::from(left),
        Line::from(right),
        theme.pick("…", "~"),
    );
}

fn sub_slot_line(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let snapshot = &model.snapshot;
    let index = snapshot
        .signage_point
        .as_ref()
        .map_or_else(|| theme.none().to_owned(), |p| p.signage_point_index.to_string());
    let mut line = vec![
        span(format!(" SP {index:>2}/64 "), theme.style(Tone::Plain)),
        span(theme.pick("▕", "["), theme.style(Tone::Border)),
    ];
    let room = area.width.saturating_sub(13).min(64);
    let cells = if snapshot.sub_slot.is_empty() {
        &[SubSlotCell::Ahead; 64][..]
    } else {
        &snapshot.sub_slot
    };
    line.extend(sub_slot(cells, room, theme));
    line.push(span(theme.pick("▏", "]"), theme.style(Tone::Border)));
    let mut legend = Vec::new();
    if area.width >= 120 {
        for (cell, word) in [
            (SubSlotCell::Answered, "answered"),
            (SubSlotCell::Seen, "waiting"),
            (SubSlotCell::Late, "late"),
            (SubSlotCell::Missed, "missed"),
        ] {
            let (sign, tone) = cell_sign(cell, theme);
            legend.push(span(sign, theme.style(tone)));
            legend.push(span(format!(" {word}  "), theme.style(Tone::Dim)));
        }
        legend.pop();
        legend.push(span(" missed ", theme.style(Tone::Dim)));
    }
    put_ends(
        buffer,
        area,
        2,
        Line::from(line),
        Line::from(legend),
        theme.pick("…", "~"),
    );
}

fn tabs(model: &Model, area: Rect, row: u16, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let narrow = area.width < 80;
    // On 80 columns the names fit exactly.
    let indent = u16::from(area.width > 80);
    let mut line = vec![span(" ".repeat(usize::from(indent)), theme.style(Tone::Plain))];
    let mut hits = Vec::new();
    let mut x = area.x + indent;
    for screen in Screen::ALL {
        let (key, name) = screen.tab();
        let tab = if screen == model.screen {
            vec![span(format!(" {key} {name} "), theme.badge(Tone::Accent))]
        } else {
            let name = if narrow { String::new() } else { format!(" {name} ") };
            vec![
                span(format!(" {key}"), theme.style(Tone::Accent)),
                span(name, theme.style(Tone::Dim)),
            ]
        };
        let wide = line_width(&Line::from(tab.clone()));
        let place = Rect {
            x,
            y: area.y + row,
            width: wide,
            height: 1,
        };
        hits.push(Hit {
            area: place.intersection(area),
            target: Target::Screen(screen),
        });
        x = x.saturating_add(wide);
        line.extend(tab);
    }
    let help = Line::from(vec![
        span("?", theme.style(Tone::Accent)),
        span(" help ", theme.style(Tone::Dim)),
    ]);
    let place = Rect {
        x: area.right().saturating_sub(line_width(&help)),
        y: area.y + row,
        width: line_width(&help),
        height: 1,
    };
    hits.push(Hit {
        area: place.intersection(area),
        target: Target::Help,
    });
    put_ends(buffer, area, row, Line::from(line), help, theme.pick("…", "~"));
    hits
}
