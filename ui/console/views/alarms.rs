//! Screen 7: what is wrong, since when and where, what to do; and what was wrong before.

use farmconsole::snapshot::{ALARM_HISTORY_KEPT, AlarmView, Severity};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::pane::pane_with;
use super::super::widgets::text::{put, put_ends, span, wrap};
use super::{ago, count_of, list_title, put_nothing, what_was_wrong};

/// Draws it: each open alarm with what to do, then the history.
pub(in super::super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let shown = model.shown();
    let alarms = model.alarms();
    let all = shown.alarms.len() + shown.alarm_history.len();
    let is_open = |alarm: &&&AlarmView| alarm.closed_at_unix_ms.is_none();
    let open_shown = alarms.iter().filter(is_open).count();
    let order = model.orders.of(Screen::Alarms).words(Screen::Alarms);
    let order = Line::from(span(order, theme.style(Tone::Dim)));
    // As the header counts them: what is over comes below, with its own count.
    let name = list_title(model, "Alarms", open_shown, shown.alarms.len());
    let inner = pane_with(buffer, area, theme, name, order);
    if alarms.is_empty() {
        let text = match all {
            _ if model.is_old() => NONE_WAS_OPEN,
            0 => "no alarm since this farmer started",
            _ => "no alarm is open",
        };
        put_nothing(model, buffer, inner, text);
        return Vec::new();
    }
    let mut hits = Vec::new();
    let mut lines: Vec<(u64, Line<'static>)> = Vec::new();
    let mut history = false;
    for alarm in &alarms {
        if alarm.closed_at_unix_ms.is_some() && !history {
            history = true;
            if lines.is_empty() {
                lines.push((u64::MAX, none_open(model)));
            }
            lines.push((u64::MAX, Line::default()));
            let mut head = Line::from(span(" over", theme.style(Tone::Title)));
            let count = count_of(alarms.len() - open_shown, shown.alarm_history.len());
            head.push_span(span(count, theme.style(Tone::Dim)));
            lines.push((u64::MAX, head));
        }
        let told = if history {
            over(model, alarm, inner.width)
        } else {
            open(model, alarm, inner.width)
        };
        lines.extend(told.into_iter().map(|line| (alarm.number, line)));
    }
    if history && shown.alarm_history.len() >= ALARM_HISTORY_KEPT {
        let older = model.remedy("those of before: `farmconsole history alarms`");
        lines.push((
            u64::MAX,
            Line::from(span(format!("   {older}"), theme.style(Tone::Dim))),
        ));
    }
    let selected = model.selection.alarm;
    let height = usize::from(inner.height);
    let at = selected.and_then(|number| lines.iter().position(|(n, _)| *n == number));
    let first = at.map_or(0, |at| {
        at.saturating_sub(height / 3).min(lines.len().saturating_sub(height))
    });
    let goes_on = lines.len() > first + height;
    for (row, (number, line)) in lines.into_iter().skip(first).take(height).enumerate() {
        let row = u16::try_from(row).unwrap_or(u16::MAX);
        if goes_on && row + 1 == inner.height {
            let more = Line::from(span(theme.pick("↓ more ", "more below "), theme.style(Tone::Accent)));
            put_ends(buffer, inner, row, line, more, theme.pick("…", "~"));
        } else {
            put(buffer, inner, row, &line);
        }
        let area = Rect {
            y: inner.y + row,
            height: 1,
            ..inner
        };
        if Some(number) == selected {
            buffer.set_style(area, theme.selected());
        }
        if number != u64::MAX {
            let target = Target::Alarm(number);
            hits.push(Hit { area, target });
        }
    }
    hits
}

/// What is said of open alarms when there were none and nobody says whether there are.
const NONE_WAS_OPEN: &str = "no alarm was open when the farmer was heard last";

/// What stands above the history when no open alarm does.
fn none_open(model: &Model) -> Line<'static> {
    let (text, tone) = if !model.shown().alarms.is_empty() {
        ("no open alarm has these words", Tone::Dim)
    } else if model.is_old() {
        (NONE_WAS_OPEN, Tone::Dim)
    } else {
        ("no alarm is open", Tone::Good)
    };
    let theme = model.theme;
    Line::from(span(format!(" {} {text}", theme.sign(tone)), theme.style(tone)))
}

fn open(model: &Model, alarm: &AlarmView, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let now = model.shown_at_unix_ms();
    let (word, tone) = match alarm.severity {
        Severity::Critical => ("CRITICAL", Tone::Bad),
        Severity::Warning => ("WARNING", Tone::Warn),
    };
    let since = format!(
        "since {}, {}",
        model.zone.when(alarm.opened_at_unix_ms, now),
        ago(alarm.opened_at_unix_ms, now)
    );
    let mut lines = vec![Line::from(vec![
        span(format!(" {} {word:<9}", theme.sign(tone)), theme.style(tone)),
        span(since, theme.style(Tone::Dim)),
        span(
            if alarm.acknowledged { "   seen" } else { "" },
            theme.style(Tone::Accent),
        ),
        span(
            if alarm.silenced { "   silenced" } else { "" },
            theme.style(Tone::Accent),
        ),
    ])];
    let room = columns.saturating_sub(6);
    for line in wrap(&model.outside(&alarm.text), room) {
        lines.push(Line::from(span(format!("   {line}"), theme.style(Tone::Title))));
    }
    let arrow = theme.pick("→", ">");
    for (n, line) in wrap(&model.remedy(&alarm.remedy), room).into_iter().enumerate() {
        let lead = if n == 0 { arrow } else { " " };
        lines.push(Line::from(span(format!("   {lead} {line}"), theme.style(Tone::Accent))));
    }
    lines
}

fn over(model: &Model, alarm: &AlarmView, columns: u16) -> Vec<Line<'static>> {
    let theme = model.theme;
    let now = model.shown_at_unix_ms();
    let until = alarm.closed_at_unix_ms.unwrap_or(alarm.updated_at_unix_ms);
    let text = format!(
        "{} {} {}  {}",
        model.zone.when(alarm.opened_at_unix_ms, now),
        theme.none(),
        model.zone.when(until, now),
        what_was_wrong(model, alarm)
    );
    let lines = wrap(&text, columns.saturating_sub(6)).into_iter().enumerate();
    let lead = |n| if n == 0 { "   " } else { "     " };
    lines
        .map(|(n, line)| Line::from(span(format!("{}{line}", lead(n)), theme.style(Tone::Dim))))
        .collect()
}
