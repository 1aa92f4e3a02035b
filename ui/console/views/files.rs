//! A list of files, or of the drives they are on: of one harvester in its details, of the fleet on Plots.

use farmconsole::snapshot::FarmStatus;
use farmconsole::snapshot::page::{DirectoryView, FileView, Grouping, ListKind, Page};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::files::{FileList, Files, list_name};
use super::super::hit::{Hit, Target};
use super::super::model::Model;
use super::super::order::SortBy;
use super::super::screen::Screen;
use super::super::tone::Tone;
use super::super::widgets::pane::pane_with;
use super::super::widgets::table::{Column, Places, Rows, plain, table};
use super::super::widgets::text::{fit_end, line_width, put, span, width, wrap};
use super::header::short_bytes;
use super::{longest, put_words};
use crate::format::grouped;

/// Draws `list` with a head for each of `lists`, whose lengths `count` knows.
pub(super) fn draw(
    model: &Model,
    list: &FileList,
    lists: &[ListKind],
    count: impl Fn(ListKind) -> u64,
    area: Rect,
    buffer: &mut Buffer,
) -> Vec<Hit> {
    let theme = model.theme;
    let mut hits = Vec::new();
    let state = state(model, list, area.width);
    // Which drive is open matters more than lists that are not.
    let kept = match list.directory {
        Some(_) => line_width(&state).saturating_add(4),
        None => 0,
    };
    let room = area.width.saturating_sub(6).saturating_sub(kept);
    let (heads, mut rest) = heads(model, list.list, lists, &count, room);
    if list.directory.is_some() {
        rest.clear();
    }
    // The title begins two columns in and has a space around it.
    let mut x = area.x.saturating_add(3);
    let mut name = Line::default();
    for (kind, head) in heads {
        let place = Rect {
            x,
            width: width(&head.content),
            height: 1,
            ..area
        };
        x = x.saturating_add(place.width);
        hits.push(Hit {
            area: place.intersection(area),
            target: Target::List(kind),
        });
        name.push_span(head);
    }
    name.push_span(span(rest, theme.style(Tone::Dim)));
    let inner = pane_with(buffer, area, theme, name, state);
    let room = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    match &list.files {
        Files::Loading => {
            let text = theme.pick("asking the farmer …", "asking the farmer ...");
            put_words(buffer, room, text, theme.style(Tone::Dim));
        }
        Files::Failed(reason) => {
            let text = format!("not to be had: {}", model.outside(reason));
            put_words(buffer, room, &text, theme.style(Tone::Bad));
        }
        Files::Ready { page, .. } if page.total == 0 => {
            let text = if model.filter.is_empty() {
                none(model, list.list)
            } else {
                "nothing has these words; esc shows all".to_owned()
            };
            put_words(buffer, room, &text, theme.style(Tone::Dim));
        }
        Files::Ready { offset, page } => {
            // The selected file in full stands below the list.
            let below = match inner.height {
                16.. => 5,
                10.. => 4,
                _ => 0,
            };
            let upper = Rect {
                height: room.height - below,
                ..room
            };
            let places = match list.grouping {
                Grouping::None => rows_of_files(model, list, page, upper, buffer),
                Grouping::Directory => rows_of_drives(model, list, page, upper, buffer),
            };
            let offset = *offset;
            hits.extend(places.hits(|n| Some(Target::File(offset + n as u64))));
            if let (Some(at), true) = (list.selected_here(), below > 0) {
                let lower = Rect {
                    y: upper.bottom(),
                    height: below,
                    ..upper
                };
                in_full(model, list, page, at, lower, buffer);
            }
        }
    }
    hits
}

/// The heads of the lists in at most `room` columns, and what is said where they do not fit: narrow lines lose spaces,
/// then lists without files, then all but the one that is open.
fn heads(
    model: &Model,
    open: ListKind,
    lists: &[ListKind],
    count: impl Fn(ListKind) -> u64,
    room: u16,
) -> (Vec<(ListKind, Span<'static>)>, String) {
    let of = |kind: &ListKind, space: &str| {
        let theme = model.theme;
        let (count, is_open) = (count(*kind), *kind == open);
        let wrong = count > 0 && *kind != ListKind::Plots;
        let style = match (is_open, wrong) {
            (true, _) => theme.badge(if wrong { Tone::Warn } else { Tone::Accent }),
            (false, true) => theme.style(Tone::Warn),
            (false, false) => theme.style(Tone::Dim),
        };
        let space = if is_open { " " } else { space };
        (
            *kind,
            span(format!("{space}{} {} ", list_name(*kind), grouped(count)), style),
        )
    };
    let all = lists.iter().map(|kind| of(kind, " ")).collect::<Vec<_>>();
    let tight = lists.iter().map(|kind| of(kind, "")).collect();
    let some = lists.iter().filter(|kind| **kind == open || count(**kind) > 0);
    let some = some.map(|kind| of(kind, "")).collect();
    let wide = |heads: &[(ListKind, Span<'static>)]| heads.iter().map(|(_, it)| width(&it.content)).sum::<u16>();
    if let Some(heads) = [all, tight, some].into_iter().find(|heads| wide(heads) <= room) {
        return (heads, String::new());
    }
    let at = lists.iter().position(|kind| *kind == open).unwrap_or_default();
    let rest = format!(" {} of {}, l for the next", at + 1, lists.len());
    (vec![of(&open, " ")], rest)
}

/// Why a list without files is a good or an early one, or what is to be done.
fn none(model: &Model, list: ListKind) -> String {
    if list == ListKind::Plots && model.shown().status == FarmStatus::NoPlots {
        return model.remedy(NO_PLOTS);
    }
    let words = match list {
        ListKind::Plots => "no plot yet: harvesters list them within seconds of connecting",
        ListKind::Failed => "none: every plot file can be opened",
        ListKind::NoKey => "none: the keys of every plot are here",
        ListKind::Duplicates => "none: no harvester has a file twice",
        ListKind::Shared => "none: no plot is farmed twice",
        ListKind::Lost => "none: no drive has lost its plots, or the loss was acknowledged",
    };
    words.to_owned()
}

/// What to do where no harvester has a plot.
const NO_PLOTS: &str = "no plot: `farmconsole plots add -d DIR` says where plots are, `chia plots add -d DIR` where a \
    harvester is an official one";

/// The drive that is open, or the order; in a list of `columns`.
fn state(model: &Model, list: &FileList, columns: u16) -> Line<'static> {
    let theme = model.theme;
    let mut line = Line::default();
    if !model.filter.is_empty() {
        line.push_span(span(
            format!("/ {}  ", model.outside(&model.filter)),
            theme.style(Tone::Accent),
        ));
    }
    if let Some(directory) = &list.directory {
        let room = (columns / 3).min(32);
        let directory = fit_end(&model.secret(directory), room, theme.pick("…", "~"));
        let text = format!("in {directory}, esc for all");
        line.push_span(span(text, theme.style(Tone::Accent)));
        return line;
    }
    if list.grouping == Grouping::Directory {
        line.push_span(span("drives, ", theme.style(Tone::Accent)));
    }
    let order = model.orders.of(Screen::Plots).words(Screen::Plots);
    line.push_span(span(order, theme.style(Tone::Dim)));
    line
}

fn rows_of_files(model: &Model, list: &FileList, page: &Page, room: Rect, buffer: &mut Buffer) -> Places {
    let order = model.orders.of(Screen::Plots);
    let of_fleet = list.harvester.is_none();
    let mut columns = vec![
        Column::new("file", 38, 0)
            .grows()
            .keeps_end()
            .sorts(SortBy::Name, order),
    ];
    if of_fleet {
        let names = longest(page.items.iter().map(|file| model.name(&file.harvester_name)));
        columns.push(
            Column::new("harvester", 12, 1)
                .keeps_both_ends()
                .up_to(names)
                .sorts(SortBy::Natural, order),
        );
    }
    match list.list {
        ListKind::Plots | ListKind::Shared => columns.extend([
            Column::new("kind", 10, 4),
            Column::new("size", 10, 2).right().sorts(SortBy::Size, order),
            Column::new("made", 11, 3).sorts(SortBy::Newest, order),
        ]),
        ListKind::Lost => columns.push(Column::new("lost at", 11, 2).sorts(SortBy::Newest, order)),
        ListKind::Failed | ListKind::NoKey | ListKind::Duplicates => {}
    }
    let rows = Rows {
        count: page.items.len(),
        selected: list.selected_here(),
        follows_end: false,
        row: |n: usize| file(model, list, &page.items[n]),
    };
    table(buffer, room, model.theme, &columns, &rows)
}

fn file(model: &Model, list: &FileList, file: &FileView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let dim = theme.style(Tone::Dim);
    let name = model.secret(&file.filename);
    let mut cells = vec![plain(name, theme.style(Tone::Plain))];
    if list.harvester.is_none() {
        cells.push(plain(model.name(&file.harvester_name), theme.style(Tone::Accent)));
    }
    if let Some(plot) = &file.plot {
        let kind = match plot.compression_level {
            0 => model.outside(&plot.size),
            level => format!("{} C{level}", model.outside(&plot.size)),
        };
        cells.push(plain(kind, dim));
        cells.push(plain(short_bytes(plot.file_size), dim));
        cells.push(plain(
            model.zone.date(plot.time_modified_unix_s.saturating_mul(1000)),
            dim,
        ));
    }
    if let Some(at) = file.lost_at_unix_ms {
        let when = model.zone.when(at, model.shown_at_unix_ms());
        cells.push(plain(when, theme.style(Tone::Warn)));
    }
    cells
}

fn rows_of_drives(model: &Model, list: &FileList, page: &Page, room: Rect, buffer: &mut Buffer) -> Places {
    let order = model.orders.of(Screen::Plots);
    let names = longest(page.directories.iter().map(|drive| model.name(&drive.harvester_name)));
    let columns = [
        Column::new("drive", 20, 0)
            .grows()
            .keeps_end()
            .sorts(SortBy::Name, order),
        Column::new("harvester", 12, 1)
            .keeps_both_ends()
            .up_to(names)
            .sorts(SortBy::Natural, order),
        Column::new("files", 7, 0).right(),
        Column::new("size", 10, 2).right().sorts(SortBy::Size, order),
    ];
    let rows = Rows {
        count: page.directories.len(),
        selected: list.selected_here(),
        follows_end: false,
        row: |n: usize| drive(model, &page.directories[n]),
    };
    table(buffer, room, model.theme, &columns, &rows)
}

fn drive(model: &Model, drive: &DirectoryView) -> Vec<Line<'static>> {
    let theme = model.theme;
    let size = match drive.bytes {
        0 => theme.none().to_owned(),
        bytes => short_bytes(bytes),
    };
    vec![
        plain(model.secret(&drive.directory), theme.style(Tone::Plain)),
        plain(model.name(&drive.harvester_name), theme.style(Tone::Accent)),
        plain(grouped(drive.files), theme.style(Tone::Plain)),
        plain(size, theme.style(Tone::Dim)),
    ]
}

fn in_full(model: &Model, list: &FileList, page: &Page, at: usize, area: Rect, buffer: &mut Buffer) {
    let theme = model.theme;
    let number = format!("{} of {}", grouped(list.selected + 1), grouped(page.total));
    let mut facts = vec![number];
    let name = match (page.items.get(at), page.directories.get(at)) {
        (Some(file), _) => {
            if list.harvester.is_none() {
                facts.push(format!("on {}", model.name(&file.harvester_name)));
            }
            let plot_id = file.plot.as_ref().map(|plot| plot.plot_id).or(file.lost_plot_id);
            facts.extend(plot_id.map(|id| format!("plot id {}", model.secret(&id.to_string()))));
            let contract = file.plot.as_ref().and_then(|plot| plot.contract.as_ref());
            facts.extend(contract.map(|it| format!("pool contract {}", model.secret(it))));
            &file.filename
        }
        (None, Some(drive)) => &drive.directory,
        (None, None) => return,
    };
    let facts = facts.join(theme.dot());
    let name = wrap(&model.secret(name), area.width);
    let lines = name.into_iter().map(|line| span(line, theme.style(Tone::Title)));
    let facts = wrap(&facts, area.width);
    let facts = facts.into_iter().map(|line| span(line, theme.style(Tone::Dim)));
    for (row, line) in (0..area.height).zip(lines.chain(facts)) {
        put(buffer, area, row, &Line::from(line));
    }
}
