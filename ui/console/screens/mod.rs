//! What is drawn, as files in `tests/screens/`: [`matrix`] has every screen in every state at every size, [`looks`] the
//! colours and characters; and what keys do.

mod keys;
mod looks;
mod matrix;
mod words;

pub(super) use self::matrix::SIZES;

use std::path::Path;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::handle::FeedEvent;
use farmconsole::snapshot::FarmSnapshot;
use farmconsole::snapshot::page::Page;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier, Style};

use super::hit::{self, Mouse};
use super::message::{Effect, Message};
use super::model::Model;
use super::palette::Palette;
use super::samples;
use super::theme::{Charset, Depth, Theme};
use super::tone::Tone;
use super::update::update;
use super::view;
use crate::feed::FeedItem;

fn control(model: &mut Model, key: char) -> Vec<Effect> {
    update(
        model,
        Message::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL)),
    )
}

/// Clicks on the first place where `words` are drawn and something can be clicked.
fn click(model: &mut Model, words: &str) -> Vec<Effect> {
    let mut hits = Vec::new();
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| hits = view::draw(model, frame)).unwrap();
    let drawn = text(model);
    let mut places = drawn.lines().enumerate().filter_map(|(row, line)| {
        let column = line[..line.find(words)?].chars().count();
        hit::at(&hits, column as u16 + 1, row as u16)
    });
    let target = places.next().unwrap();
    update(model, Message::Mouse(Mouse::Click(target)))
}

fn last_line(model: &Model) -> String {
    text(model).lines().last().unwrap_or_default().trim_end().to_owned()
}

/// A console on a picture, with what passed in the last seconds.
fn console(farm: FarmSnapshot, columns: u16, rows: u16) -> Model {
    let events = samples::events(&farm);
    let mut model = samples::model(farm, columns, rows);
    for event in events {
        update(&mut model, Message::Item(FeedItem::Event(event)));
    }
    model
}

fn press(model: &mut Model, key: char) -> Vec<Effect> {
    code(model, KeyCode::Char(key))
}

fn code(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(model: &mut Model, text: &str) {
    for key in text.chars() {
        press(model, key);
    }
}

fn resize(model: &mut Model, columns: u16, rows: u16) {
    update(model, Message::Resized(columns, rows));
}

fn pass(model: &mut Model, at_unix_ms: u64, from: &str) {
    let event = FeedEvent::Message(samples::message_record(at_unix_ms, from));
    update(model, Message::Item(FeedItem::Event(event)));
}

/// Answers the question for a page that `asked` holds.
fn answer(model: &mut Model, asked: &[Effect], page: Page) {
    let [Effect::Page(request), ..] = asked else {
        panic!("no page was asked for: {asked:?}")
    };
    update(
        model,
        Message::Page {
            request: request.clone(),
            result: Ok(page),
        },
    );
}

fn buffer(model: &Model) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| drop(view::draw(model, frame))).unwrap();
    terminal.backend().buffer().clone()
}

fn text(model: &Model) -> String {
    let buffer = buffer(model);
    let columns = usize::from(buffer.area.width.max(1));
    let rows = buffer.content.chunks(columns);
    rows.map(|row| row.iter().map(Cell::symbol).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

fn first_line(model: &Model) -> String {
    text(model).lines().next().unwrap_or_default().trim_end().to_owned()
}

/// The text of a buffer, and below it the colours of its cells: a plain picture contains none.
fn with_colours(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width.max(1));
    let mut rows = Vec::new();
    let mut styles = Vec::new();
    for (y, row) in buffer.content.chunks(columns).enumerate() {
        rows.push(row.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned());
        let mut runs = Vec::new();
        let mut start = 0;
        for x in 1..=row.len() {
            let style = (row[start].fg, row[start].bg, row[start].modifier);
            if x == row.len() || (row[x].fg, row[x].bg, row[x].modifier) != style {
                if style != (Cell::EMPTY.fg, Cell::EMPTY.bg, Cell::EMPTY.modifier) {
                    let modifier = if style.2.is_empty() {
                        String::new()
                    } else {
                        format!(" {:?}", style.2)
                    };
                    runs.push(format!("{start}-{} {}/{}{modifier}", x - 1, style.0, style.1));
                }
                start = x;
            }
        }
        if !runs.is_empty() {
            styles.push(format!("{y:>2}: {}", runs.join(", ").replace("/Reset", "")));
        }
    }
    format!("{}\n\n{}\n", rows.join("\n"), styles.join("\n"))
}

/// How everything is drawn whose meaning is to be read from its style: every meaning has a colour of its own.
const TELLING: (Depth, Charset, &str) = (Depth::True, Charset::Unicode, "dark");

pub(super) fn telling() -> Theme {
    let (depth, charset, palette) = TELLING;
    Theme {
        depth,
        charset,
        palette: Palette::built_in(palette),
    }
}

/// The letter of each meaning; a patch of that colour has the capital one.
const LETTERS: [(Tone, char); 9] = [
    (Tone::Plain, '.'),
    (Tone::Dim, 'd'),
    (Tone::Border, 'b'),
    (Tone::Title, 't'),
    (Tone::Accent, 'a'),
    (Tone::Good, 'g'),
    (Tone::Warn, 'w'),
    (Tone::Bad, 'x'),
    (Tone::Win, 's'),
];

/// The text of a buffer drawn in [`telling`] style, and below it the same rows with the letter of what each cell is meant
/// as: `"` where a row is as the one above, `<` at the end of the selected one.
pub(super) fn with_meanings(buffer: &Buffer) -> String {
    let theme = telling();
    let meanings = LETTERS.map(|(tone, letter)| (theme.style(tone), theme.badge(tone), letter));
    let ground = theme.selected().bg;
    let letter = |cell: &Cell| {
        let selected = Some(cell.bg) == ground;
        // The selected row is bold whatever stands in it.
        let lit = if selected { Modifier::BOLD } else { Modifier::empty() };
        let is = |style: &Style| cell.modifier | lit == style.add_modifier | lit;
        let no_ground = selected || cell.bg == Color::Reset;
        let found = meanings.iter().find_map(|(style, badge, letter)| {
            let plain = no_ground && cell.fg == style.fg.unwrap_or(Color::Reset) && is(style);
            let patch = Some(cell.fg) == badge.fg && Some(cell.bg) == badge.bg && is(badge);
            match (plain, patch) {
                (true, _) if cell.symbol() == " " => Some(' '),
                (true, _) => Some(*letter),
                (_, true) => Some(letter.to_ascii_uppercase()),
                _ => None,
            }
        });
        found.unwrap_or_else(|| panic!("no meaning is drawn like {cell:?}"))
    };
    let columns = usize::from(buffer.area.width.max(1));
    let (mut rows, mut told) = (Vec::new(), Vec::<String>::new());
    let mut above = String::new();
    for row in buffer.content.chunks(columns) {
        rows.push(row.iter().map(Cell::symbol).collect::<String>().trim_end().to_owned());
        let mut letters: String = row.iter().map(letter).collect();
        letters.truncate(letters.trim_end().len());
        if row.iter().any(|cell| Some(cell.bg) == ground) {
            letters.push_str(" <");
        }
        let same = letters == above && !letters.is_empty();
        told.push(if same { "\"".to_owned() } else { letters.clone() });
        above = letters;
    }
    format!("{}\n\n{}\n", rows.join("\n").trim_end(), told.join("\n").trim_end())
}

/// Compares what was drawn with the file `name` in `directory` of `tests/screens/`.
pub(super) fn shot(directory: &str, name: &str, drawn: &str) {
    let path = format!("../../../tests/screens/{directory}");
    let settings = |assert: &dyn Fn()| {
        insta::with_settings!({
            snapshot_path => path.trim_end_matches('/'), prepend_module_to_snapshot => false, omit_expression => true
        }, { assert(); });
    };
    settings(&|| insta::assert_snapshot!(name, drawn));
}

/// The files there are below `tests/screens/`, as `farm/many`.
fn stored(directory: &Path, below: &str) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(stored(&entry.path(), &format!("{below}{name}/")));
        } else if let Some(name) = name.strip_suffix(".snap") {
            names.push(format!("{below}{name}"));
        }
    }
    names.sort();
    names
}
