//! One file per screen, and the header. Each draws one area of a buffer from the model.

pub(super) mod alarms;
pub(super) mod entry;
pub(super) mod farm;
mod files;
pub(super) mod full;
pub(super) mod harvester;
pub(super) mod harvesters;
pub(super) mod header;
pub(super) mod help;
pub(super) mod messages;
pub(super) mod plots;
pub(super) mod pools;
pub(super) mod proofs;
pub(super) mod report;
mod roll_call;

use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{AlarmView, HarvesterState, HarvesterView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::model::Model;
use super::rows::not_farmed;
use super::screen::Screen;
use super::theme::Theme;
use super::tone::Tone;
use super::widgets::pane::title;
use super::widgets::text::{put, put_ends, span, width, wrap};
use crate::format::{grouped, plural, span as time_span};
use crate::harvester::HOW_TO_HAVE_ONE;

/// The tone of a harvester's state.
fn harvester_tone(harvester: &HarvesterView, model: &Model) -> Tone {
    match harvester.state {
        HarvesterState::Farming if harvester.plots == 0 && model.lost_plots(harvester) > 0 => Tone::Bad,
        // What one key shows as wrong must not look fine.
        HarvesterState::Farming if model.is_wrong(harvester) => Tone::Warn,
        HarvesterState::Farming if harvester.plots == 0 => Tone::Dim,
        HarvesterState::Revoked { .. } => Tone::Dim,
        // So it was when the farmer was heard last.
        HarvesterState::Farming if model.is_old() => Tone::Dim,
        HarvesterState::Farming => Tone::Good,
        HarvesterState::Syncing { .. } | HarvesterState::NotChallenged => Tone::Accent,
        HarvesterState::Late => Tone::Warn,
        HarvesterState::Silent { .. } | HarvesterState::Suspect { .. } | HarvesterState::Absent { .. } => Tone::Bad,
    }
}

/// The state in words, with what the words of the core leave out.
fn harvester_words(harvester: &HarvesterView, model: &Model) -> String {
    let mut words = match &harvester.state {
        HarvesterState::Absent { since_unix_ms } => {
            let since = model.zone.minute(*since_unix_ms, model.shown_at_unix_ms());
            format!("{} since {since}", harvester.state_words())
        }
        // It may have been gone for long when it was revoked.
        HarvesterState::Revoked { since_unix_ms } => {
            let gone = model.zone.minute(*since_unix_ms, model.shown_at_unix_ms());
            format!("{}, gone {gone}", harvester.state_words())
        }
        _ => harvester.state_words(),
    };
    let lost = model.lost_plots(harvester);
    let alarms = model.alarms_of(harvester).count() as u64;
    if lost > 0 {
        words.push_str(&format!(", {} lost", grouped(lost)));
    } else if alarms > 0 && harvester.state == HarvesterState::Farming {
        words.push_str(&format!(", {}", plural(alarms, "alarm")));
    }
    if harvester.certificate_shared {
        words.push_str(", certificate shared");
    }
    words
}

/// The state in the few words a row has room for; for one that answers, how many answers are missing.
fn short_words(harvester: &HarvesterView, model: &Model) -> String {
    let missing = harvester.lookups_ms.iter().filter(|l| l.is_none()).count();
    match harvester.state {
        HarvesterState::Silent { unanswered } => format!("silent, {unanswered} unanswered"),
        HarvesterState::Suspect { for_s } => format!("silent for {}", rough_span(for_s)),
        HarvesterState::NotChallenged => "not challenged".to_owned(),
        HarvesterState::Revoked { .. } => harvester_words(harvester, model),
        HarvesterState::Absent { since_unix_ms } => {
            let since = model.zone.minute(since_unix_ms, model.shown_at_unix_ms());
            // With the day there is no room for the word.
            let word = if since.contains(' ') { "" } else { "since " };
            format!("{} {word}{since}", harvester.state_words())
        }
        HarvesterState::Farming if model.lost_plots(harvester) > 0 => {
            let lost = grouped(model.lost_plots(harvester));
            format!("{}, {lost} lost", harvester.state_words())
        }
        HarvesterState::Farming | HarvesterState::Late if missing > 0 => {
            let asked = harvester.lookups_ms.len();
            format!("{}, {missing}/{asked} missing", harvester.state_words())
        }
        HarvesterState::Farming if harvester.certificate_shared => "certificate shared".to_owned(),
        HarvesterState::Farming if harvester.last_sync_error.is_some() => "plot sync failed".to_owned(),
        HarvesterState::Farming if harvester.invalid_proofs > 0 => plural(harvester.invalid_proofs, "invalid proof"),
        // A plot that another one farms too is farmed.
        HarvesterState::Farming if not_farmed(harvester) > harvester.shared_plots => {
            let files = not_farmed(harvester) - harvester.shared_plots;
            format!("farming, {} not farmed", grouped(files))
        }
        HarvesterState::Farming if harvester.shared_plots > 0 => {
            format!("farming, {} shared", grouped(harvester.shared_plots))
        }
        _ => harvester_words(harvester, model),
    }
}

/// Columns that the longest of these names takes, up to the longest that a harvester can be given.
fn longest(names: impl Iterator<Item = String>) -> u16 {
    names.map(|name| width(&name)).max().unwrap_or(0).min(LONGEST_NAME)
}

const LONGEST_NAME: u16 = 32;

/// How long ago something was, on the clock of the picture.
fn ago(at_unix_ms: u64, now_unix_ms: u64) -> String {
    time_span(now_unix_ms.saturating_sub(at_unix_ms) / 1000)
}

/// A time span where there is little room, in its largest unit: `4 s`, `3 min`, `2 h`, `3 d`.
fn rough_span(seconds: u64) -> String {
    match seconds {
        0..3600 => time_span(seconds),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `0.21`, `12.4`: seconds without the unit; a dash where nothing is known.
fn seconds(ms: Option<u32>, model: &Model) -> String {
    match ms {
        None => model.theme.none().to_owned(),
        Some(ms @ ..10_000) => format!("{}.{:02}", ms / 1000, ms % 1000 / 10),
        Some(ms) => format!("{}.{}", ms / 1000, ms % 1000 / 100),
    }
}

/// The title of a list: its name, how many rows of how many are shown, and why not all.
fn list_title(model: &Model, name: &str, shown: usize, all: usize) -> Line<'static> {
    let theme = model.theme;
    let mut line = title(theme, name);
    line.push_span(span(count_of(shown, all), theme.style(Tone::Dim)));
    if !model.filter.is_empty() {
        line.push_span(span(
            format!("  / {}", model.outside(&model.filter)),
            theme.style(Tone::Accent),
        ));
    }
    if model.only_wrong {
        line.push_span(span("  only wrong", theme.style(Tone::Accent)));
    }
    line
}

/// How many rows of how many are shown.
fn count_of(shown: usize, all: usize) -> String {
    if shown == all {
        format!(" {}", grouped(all as u64))
    } else {
        format!(" {} of {}", grouped(shown as u64), grouped(all as u64))
    }
}

/// Says in `area` why a list is empty.
fn put_nothing(model: &Model, buffer: &mut Buffer, area: Rect, when_all: &str) {
    let area = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(2),
        ..area
    };
    put_words(buffer, area, &nothing(model, when_all), model.theme.style(Tone::Dim));
}

/// What a farm that never had a harvester is told.
fn no_harvester(model: &Model) -> String {
    format!("no harvester has connected yet: {}", model.remedy(HOW_TO_HAVE_ONE))
}

/// Draws a sentence on as many rows of `area` as it takes.
fn put_words(buffer: &mut Buffer, area: Rect, text: &str, style: Style) {
    for (row, line) in (0..).zip(wrap(text, area.width)) {
        put(buffer, area, row, &Line::from(span(line, style)));
    }
}

/// The sentence of an alarm, with what its end says of it.
fn what_was_wrong(model: &Model, alarm: &AlarmView) -> String {
    let end = if alarm.cut_short {
        "open when the farmer ended: "
    } else {
        ""
    };
    format!("{end}{}", model.outside(&alarm.text))
}

/// Why a list is empty; `when_all` where nothing is left out of it.
fn nothing(model: &Model, when_all: &str) -> String {
    if !model.filter.is_empty() {
        "nothing has these words; esc shows all".to_owned()
    } else if model.only_wrong && !model.shown().alarms.is_empty() {
        let open = match model.shown().alarms.len() {
            1 => "1 alarm is open: 7 shows it".to_owned(),
            some => format!("{some} alarms are open: 7 shows them"),
        };
        format!("nothing here; {open}, ! shows all")
    } else if model.only_wrong && model.is_old() {
        "nothing was wrong here when the farmer was heard last; ! shows all".to_owned()
    } else if model.only_wrong {
        "nothing is wrong here; ! shows all".to_owned()
    } else if model.screen == Screen::Messages && model.least_level > LogLevel::Debug {
        format!("nothing is {} or above; v shows more", model.least_level.word())
    } else {
        when_all.to_owned()
    }
}

/// Harvesters of a page that needs to leave some out: those that are wrong first, then the order of the person.
fn worst_first<'a>(model: &Model, rows: &[&'a HarvesterView], room: usize) -> Vec<&'a HarvesterView> {
    if rows.len() <= room {
        return rows.to_vec();
    }
    let mut sorted = rows.to_vec();
    sorted.sort_by_cached_key(|h| (h.state.is_fine(), !model.is_wrong(h)));
    sorted
}

/// Draws a text that may be longer than `area`, from line `scroll` on, and says at the bottom that there is more.
pub(super) fn draw_text(theme: Theme, lines: &[Line<'static>], scroll: u16, area: Rect, buffer: &mut Buffer) {
    let last = lines.len().saturating_sub(usize::from(area.height));
    let first = usize::from(scroll).min(last);
    for (row, line) in (0..area.height).zip(&lines[first..]) {
        if first < last && row > 0 && row + 1 == area.height {
            let more = Line::from(span(theme.pick(" ↓ more ", " more below "), theme.badge(Tone::Accent)));
            put_ends(buffer, area, row, line.clone(), more, theme.pick("…", "~"));
        } else {
            put(buffer, area, row, line);
        }
    }
}

/// How many of `lines` in a popup on a terminal of `rows` rows are scrolled away when the last one is in sight.
pub(super) fn last_scroll_of(lines: usize, rows: u16) -> u16 {
    let room = usize::from(rows.saturating_sub(2));
    u16::try_from(lines.saturating_sub(room)).unwrap_or(u16::MAX)
}

/// A name, what it is, and how that is meant.
type Fact = (&'static str, String, Tone);

/// Facts as lines of at most `columns`, their names in the first `label` of them.
fn fact_lines(theme: Theme, facts: Vec<Fact>, label: usize, columns: u16) -> Vec<Line<'static>> {
    let room = columns.saturating_sub(u16::try_from(label).unwrap_or(u16::MAX).saturating_add(2));
    let mut lines = Vec::new();
    for (name, text, tone) in facts {
        for (n, text) in wrap(&text, room).into_iter().enumerate() {
            let name = if n == 0 { name } else { "" };
            lines.push(Line::from(vec![
                span(format!(" {name:<label$}"), theme.style(Tone::Dim)),
                span(text, theme.style(tone)),
            ]));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_where_there_is_little_room_have_one_unit() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (86_399, "23 h"),
            (86_400, "1 d"),
            (400 * 86_400, "400 d"),
        ] {
            assert_eq!(rough_span(seconds), text);
        }
    }
}
