//! Drives, look-ups, files that are not farmed, and the log.

use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{FileState, LookupView, PlotFileView, VolumeState, VolumeView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::hit::{Hit, Target};
use super::super::lateness::lateness_of_ms;
use super::super::screen::Pane;
use super::super::theme::Theme;
use super::super::tone::Tone;
use super::super::views::header::short_bytes;
use super::super::widgets::bars::{LOOKUP_BAR, lateness_tone, lookup_bar, lookup_bar_title, sparkline};
use super::super::widgets::pane::pane_with;
use super::super::widgets::table::{Column, Rows, plain, table};
use super::super::widgets::text::{put, span, wrap};
use super::model::Model;
use crate::format::{counted, grouped};
use crate::harvester::status::{drive_words, has_damaged_plots};

/// Terminals of this width have look-ups and files side by side.
const WIDE: u16 = 110;

/// With fewer rows only the pane with the focus is drawn.
const STACKED: u16 = 13;

/// Draws them, and says where what can be clicked stands: each pane, and the rows of those that have some to select.
pub(super) fn draw(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (pane, area) in places(model, area) {
        let target = Target::Pane(pane);
        hits.push(Hit { area, target });
        hits.extend(match pane {
            Pane::Drives => drives(model, area, buffer),
            Pane::Lookups => {
                lookups(model, area, buffer);
                Vec::new()
            }
            Pane::Files => files(model, area, buffer),
            Pane::Log => log(model, area, buffer),
        });
    }
    hits
}

/// Which panes are drawn, and where.
fn places(model: &Model, area: Rect) -> Vec<(Pane, Rect)> {
    if area.height < STACKED || area.width < 60 {
        return vec![(model.pane, area)];
    }
    let rows = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let drives = rows(model.drives().len()).saturating_add(3).clamp(4, area.height / 2);
    let left = area.height - drives;
    let strip = |y: u16, height: u16| Rect { y, height, ..area };
    let mut places = vec![(Pane::Drives, strip(area.y, drives))];
    let below = area.y + drives;
    if area.width >= WIDE {
        let middle = if left >= 12 { (left * 3 / 5).max(8) } else { left };
        let half = area.width / 2;
        let row = strip(below, middle);
        places.push((Pane::Lookups, Rect { width: half, ..row }));
        places.push((
            Pane::Files,
            Rect {
                x: row.x + half,
                width: row.width - half,
                ..row
            },
        ));
        if left > middle {
            places.push((Pane::Log, strip(below + middle, left - middle)));
        }
        return places;
    }
    let files = rows(model.files().len()).saturating_add(2).clamp(3, (left / 3).max(3));
    let log = if left >= 14 { left / 4 } else { 0 };
    let lookups = left - files - log;
    places.push((Pane::Lookups, strip(below, lookups)));
    places.push((Pane::Files, strip(below + lookups, files)));
    if log > 0 {
        places.push((Pane::Log, strip(below + lookups + files, log)));
    }
    places
}

/// Draws the frame; the title of the pane with the focus is lit.
fn frame(model: &Model, pane: Pane, title: &str, right: Line<'static>, area: Rect, buffer: &mut Buffer) -> Rect {
    let tone = if model.pane == pane { Tone::Accent } else { Tone::Title };
    let mark = if model.pane == pane {
        model.theme.pick("▸ ", "> ")
    } else {
        ""
    };
    let title = Line::from(span(format!("{mark}{title}"), model.theme.style(tone)));
    let inner = pane_with(buffer, area, model.theme, title, right);
    Rect {
        x: inner.x + 1.min(inner.width),
        width: inner.width.saturating_sub(2),
        ..inner
    }
}

fn dim(model: &Model, text: impl Into<String>) -> Line<'static> {
    Line::from(span(text, model.theme.style(Tone::Dim)))
}

/// How the state of a drive is meant. What was fine when the harvester was heard last need not be.
pub(super) fn drive_tone(model: &Model, drive: &VolumeView) -> Tone {
    match drive.state {
        VolumeState::Fine if has_damaged_plots(&model.snapshot, drive) => Tone::Warn,
        VolumeState::Fine if model.is_old() => Tone::Dim,
        VolumeState::Fine => Tone::Good,
        VolumeState::Slow => Tone::Warn,
        VolumeState::Sick { .. } | VolumeState::Gone { .. } => Tone::Bad,
    }
}

fn drives(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let drives = model.drives();
    let right = dim(model, "time of a look-up");
    let inner = frame(
        model,
        Pane::Drives,
        &format!("Drives {}", drives.len()),
        right,
        area,
        buffer,
    );
    if drives.is_empty() {
        let text = if model.snapshot.scan.finished_at_unix_ms.is_some() {
            "no plot was found: `farmconsole plots add -d DIR` names a directory with some"
        } else {
            "no plot was looked for yet: that begins when the farmer has sent its keys"
        };
        let text = model.remedy(text);
        for (row, text) in (0..).zip(wrap(&text, inner.width)) {
            put(buffer, inner, row, &dim(model, &text));
        }
        return Vec::new();
    }
    let columns = [
        Column::new("", 1, 0),
        Column::new("drive", 12, 0).grows(),
        Column::new("state", 14, 0),
        Column::new("plots", 6, 0).right(),
        Column::new("size", 9, 3).right(),
        Column::new("p50", 7, 5).right(),
        Column::new("p95", 7, 1).right(),
        Column::new("max", 7, 4).right(),
        Column::new("errors", 6, 2).right(),
        Column::new("missed", 6, 2).right(),
        Column::new("not farmed", 10, 6).right(),
    ];
    let row = |n: usize| drive_row(model, drives[n]);
    let rows = Rows {
        count: drives.len(),
        selected: model.selected_drive(),
        follows_end: false,
        row,
    };
    table(buffer, inner, theme, &columns, &rows).hits(row_of(Pane::Drives))
}

/// What a click on a row of `pane` means.
fn row_of(pane: Pane) -> impl Fn(usize) -> Option<Target> {
    move |n| Some(Target::Row(pane, n as u64))
}

fn drive_row(model: &Model, drive: &VolumeView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let text = theme.style(Tone::Plain);
    let tone = drive_tone(model, drive);
    let time = |us: u64| match us {
        0 => plain(theme.none(), theme.style(Tone::Dim)),
        us => plain(micros(us), theme.style(lateness_tone(lateness_of_ms(millis(us))))),
    };
    let count = |number: u64| match number {
        0 => plain("0", theme.style(Tone::Dim)),
        number => plain(grouped(number), theme.style(Tone::Warn)),
    };
    vec![
        plain(theme.sign(tone), theme.style(tone)),
        plain(model.secret(&drive.name), theme.style(Tone::Title)),
        plain(
            drive_words(&model.snapshot, drive, model.now_unix_ms()),
            theme.style(tone),
        ),
        plain(grouped(drive.plots), text),
        plain(short_bytes(drive.plot_bytes), text),
        time(drive.p50_us),
        time(drive.p95_us),
        time(drive.max_us),
        count(drive.errors),
        count(drive.missed),
        count(drive.not_farmed),
    ]
}

fn lookups(model: &Model, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let lookups = &model.snapshot.lookups;
    let proofs = format!("{} since start", counted(model.snapshot.proofs, "proof"));
    let inner = frame(model, Pane::Lookups, "Look-ups", dim(model, proofs), area, buffer);
    if lookups.is_empty() {
        put(buffer, inner, 0, &dim(model, "no signage point was looked up yet"));
        return;
    }
    let mut took: Vec<u64> = lookups.iter().map(|lookup| lookup.took_us).collect();
    took.sort_unstable();
    let at = |percent: usize| micros(took[(took.len() - 1) * percent / 100]);
    let history: Vec<_> = lookups.iter().map(|lookup| Some(millis(lookup.took_us))).collect();
    let columns = inner.width.saturating_sub(42).min(64);
    let mut spans = sparkline(&history, columns, theme);
    let times = format!("  p50 {}  p95 {}  max {}", at(50), at(95), at(100));
    spans.push(span(times, theme.style(Tone::Plain)));
    put(buffer, inner, 0, &Line::from(spans));
    let columns = [
        Column::new("time", 8, 0),
        Column::new("SP", 2, 2).right(),
        Column::new("passed", 11, 0).right(),
        Column::new("proofs", 6, 1).right(),
        Column::new("took", 7, 0).right(),
        Column::new(lookup_bar_title(), LOOKUP_BAR, 4),
        Column::new("missed", 6, 3).right(),
    ];
    let row = |n: usize| lookup_row(model, &lookups[lookups.len() - 1 - n]);
    let rows = Rows {
        count: lookups.len(),
        selected: None,
        follows_end: false,
        row,
    };
    let below = Rect {
        y: inner.y + 1.min(inner.height),
        height: inner.height.saturating_sub(1),
        ..inner
    };
    table(buffer, below, theme, &columns, &rows);
}

fn lookup_row(model: &Model, lookup: &LookupView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let text = theme.style(Tone::Plain);
    let ms = millis(lookup.took_us);
    let proofs = if lookup.proofs > 0 { Tone::Good } else { Tone::Dim };
    let missed = if lookup.missed > 0 { Tone::Bad } else { Tone::Dim };
    vec![
        plain(model.zone.time(lookup.at_unix_ms), theme.style(Tone::Dim)),
        plain(lookup.index.to_string(), text),
        plain(format!("{}/{}", lookup.passed, lookup.total), text),
        plain(lookup.proofs.to_string(), theme.style(proofs)),
        plain(micros(lookup.took_us), theme.style(lateness_tone(lateness_of_ms(ms)))),
        lookup_bar(ms, theme),
        plain(lookup.missed.to_string(), theme.style(missed)),
    ]
}

/// What became of a file, in the words of a row.
pub(super) const fn file_words(state: FileState) -> &'static str {
    match state {
        FileState::Failed => "failed",
        FileState::NoKey => "other keys",
        FileState::Duplicate => "duplicate",
        FileState::BeingCopied => "being copied",
        FileState::TooCompressed => "too compressed",
        FileState::Directory => "directory",
    }
}

fn files(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let (files, all) = (model.files(), model.snapshot.counts.not_farmed());
    let title = match files.iter().filter(|it| it.state == FileState::Directory).count() {
        0 => format!("Files not farmed {}", grouped(all)),
        1 => format!("Files not farmed {}, 1 directory", grouped(all)),
        directories => format!("Files not farmed {}, {directories} directories", grouped(all)),
    };
    let right = match all.saturating_sub(files.len() as u64) {
        0 => Line::default(),
        _ if files.is_empty() => Line::default(),
        _ => dim(model, format!("the first {}", files.len())),
    };
    let inner = frame(model, Pane::Files, &title, right, area, buffer);
    if files.is_empty() {
        let text = match (all, model.snapshot.scan.finished_at_unix_ms) {
            (0, None) => "no directory was looked through to the end yet",
            (0, Some(_)) => "every plot file that was found is farmed",
            _ => "their names are in the log",
        };
        put(buffer, inner, 0, &dim(model, text));
        return Vec::new();
    }
    let columns = [
        Column::new("what", 14, 0),
        // The end of a path tells more than its beginning.
        Column::new("file", 16, 0).grows().keeps_end(),
        Column::new("why", inner.width.saturating_sub(16) / 2, 1),
    ];
    let row = |n: usize| file_row(model, &files[n], theme);
    let rows = Rows {
        count: files.len(),
        selected: model.selected_file(),
        follows_end: false,
        row,
    };
    table(buffer, inner, theme, &columns, &rows).hits(row_of(Pane::Files))
}

/// Why a file is not farmed, without its name where the sentence begins with it: the column beside it has that.
fn why(file: &PlotFileView) -> &str {
    let after = file.reason.split_once(file.file.as_str()).map(|(_, rest)| rest);
    after.unwrap_or(&file.reason).trim_start_matches([':', ' '])
}

fn file_row(model: &Model, file: &PlotFileView, theme: Theme) -> Vec<Line<'static>> {
    let tone = match file.state {
        FileState::Failed | FileState::Directory => Tone::Bad,
        FileState::BeingCopied => Tone::Accent,
        FileState::NoKey | FileState::Duplicate | FileState::TooCompressed => Tone::Warn,
    };
    vec![
        plain(file_words(file.state), theme.style(tone)),
        plain(model.secret(&file.file), theme.style(Tone::Plain)),
        plain(model.outside(why(file)), theme.style(Tone::Dim)),
    ]
}

/// How a log level is meant.
pub(super) fn level_tone(level: LogLevel) -> Tone {
    match level {
        LogLevel::Error => Tone::Bad,
        LogLevel::Warning => Tone::Warn,
        _ => Tone::Dim,
    }
}

fn log(model: &Model, area: Rect, buffer: &mut Buffer) -> Vec<Hit> {
    let theme = model.theme;
    let inner = frame(model, Pane::Log, "Log", Line::default(), area, buffer);
    if model.log.is_empty() {
        put(buffer, inner, 0, &dim(model, "nothing was logged yet"));
        return Vec::new();
    }
    let columns = [
        Column::new("", 8, 0),
        Column::new("", 7, 1),
        Column::new("", 20, 0).grows(),
    ];
    let row = |n: usize| {
        let record = &model.log[n];
        let tone = level_tone(record.level);
        vec![
            plain(model.zone.time(record.at_unix_ms.0), theme.style(Tone::Dim)),
            plain(record.level.to_string(), theme.style(tone)),
            plain(
                model.outside(&record.message),
                if tone == Tone::Dim {
                    theme.style(Tone::Plain)
                } else {
                    theme.style(tone)
                },
            ),
        ]
    };
    let rows = Rows {
        count: model.log.len(),
        selected: model.selected_record(),
        follows_end: true,
        row,
    };
    // A record keeps its number while newer ones come.
    let number = |n: usize| Some(Target::Row(Pane::Log, model.log.get(n)?.number));
    table(buffer, inner, theme, &columns, &rows).hits(number)
}

/// A time in at most seven columns: `0.4 ms`, `85 ms`, `1.27 s`, `12.3 s`.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..10_000_000 => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}

fn millis(us: u64) -> u32 {
    u32::try_from(us / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_does_not_repeat_the_name_beside_it() {
        let file = |reason: &str| PlotFileView {
            file: "/p/a.plot".to_owned(),
            state: FileState::Failed,
            reason: reason.to_owned(),
        };
        assert_eq!(why(&file("open /p/a.plot: not a plot file")), "not a plot file");
        assert_eq!(why(&file("it is still being written")), "it is still being written");
    }

    #[test]
    fn times_fit_their_column() {
        let times = [0, 430, 9_999, 85_200, 1_274_000, 12_345_000].map(micros);
        assert_eq!(times, ["0.0 ms", "0.4 ms", "9.9 ms", "85 ms", "1.27 s", "12.3 s"]);
    }
}
