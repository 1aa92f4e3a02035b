//! The screen in every state, with styles, as files in `tests/screens/`; and what keys do.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::logging::LogLevel;
use farmconsole::runtime::FeedEvent;
use farmconsole::snapshot::{MachineSnapshot, VolumeState};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};

use super::super::message::{Effect, Message};
use super::super::palette::Palette;
use super::super::run::Left;
use super::super::samples::{NOW, log_record};
use super::super::screens::shot_of;
use super::super::theme::{Charset, Depth, Theme};
use super::super::times::Zone;
use super::model::{Dialog, Model, Pane};
use super::samples;
use super::update::update;
use super::view;
use crate::feed::{FarmerPlace, FeedItem};

// ---- screens ----

#[test]
fn machine_screen_in_every_state() {
    for (name, machine) in [
        ("connecting", samples::connecting()),
        ("wrong_ca", samples::wrong_ca()),
        ("no_keys", samples::no_keys()),
        ("syncing", samples::syncing()),
        ("fine", samples::fine()),
        ("drive_sick", samples::drive_sick()),
        ("drive_gone", samples::drive_gone()),
        ("troubled", samples::troubled()),
    ] {
        shot(&format!("machine_{name}"), &console(machine, 80, 24));
    }
}

#[test]
fn machine_screen_in_every_size() {
    shot("machine_wide", &console(samples::troubled(), 130, 40));
    shot("machine_small", &console(samples::troubled(), 60, 14));
    shot("machine_tiny", &console(samples::troubled(), 30, 6));
}

#[test]
fn machine_screen_in_every_look() {
    let mut plain = console(samples::troubled(), 100, 30);
    plain.theme = Theme {
        depth: Depth::None,
        charset: Charset::Ascii,
        palette: Palette::built_in("dark"),
    };
    assert!(text(&plain).is_ascii(), "{}", text(&plain));
    shot("machine_ascii_no_color", &plain);
    let mut private = console(samples::troubled(), 130, 40);
    press(&mut private, 'p');
    assert!(
        !text(&private).contains("192.168") && !text(&private).contains("/mnt"),
        "{}",
        text(&private)
    );
}

#[test]
fn machine_dialogs() {
    let mut model = console(samples::troubled(), 80, 24);
    press(&mut model, '!');
    shot("machine_what_is_wrong", &model);
    press(&mut model, '!');
    press(&mut model, 'j');
    code(&mut model, KeyCode::Enter);
    shot("machine_drive_details", &model);
    code(&mut model, KeyCode::Esc);
    code(&mut model, KeyCode::Tab);
    code(&mut model, KeyCode::Tab);
    code(&mut model, KeyCode::Enter);
    shot("machine_file_details", &model);
    code(&mut model, KeyCode::Esc);
    press(&mut model, '?');
    shot("machine_help", &model);
    code(&mut model, KeyCode::Esc);
    model.place = FarmerPlace::Here;
    press(&mut model, 'q');
    shot("machine_quit", &model);
}

#[test]
fn machine_screen_without_its_harvester() {
    let mut model = console(samples::fine(), 100, 24);
    let reason = "the farmer at the socket went away: closed".to_owned();
    update(&mut model, Message::Item(FeedItem::Lost(reason)));
    let line = text(&model).lines().next().unwrap_or_default().to_owned();
    assert!(
        line.contains("NO HARVESTER") && line.contains("this picture is old"),
        "{line}"
    );
    let asked = update(&mut model, Message::Item(FeedItem::Back));
    assert!(matches!(asked.as_slice(), [Effect::Recent { .. }]));
    update(&mut model, Message::Quiet { for_s: 7 });
    assert!(text(&model).contains("picture is 7 s old"));
}

#[test]
fn no_size_panics() {
    for machine in [samples::connecting(), samples::syncing(), samples::troubled()] {
        for columns in (0..=130).step_by(9).chain([39, 40, 59, 60, 79, 80, 109, 110, 300]) {
            for rows in (0..=45).step_by(4).chain([9, 10, 13, 15, 16, 17, 90]) {
                let mut model = console(machine.clone(), columns, rows);
                for pane in Pane::ALL {
                    model.pane = pane;
                    code(&mut model, KeyCode::Enter);
                    buffer(&model);
                    model.dialog = Some(Dialog::Help { scroll: 99 });
                    buffer(&model);
                    model.dialog = None;
                }
            }
        }
    }
}

// ---- keys ----

#[test]
fn esc_never_quits_and_quitting_asks_only_where_harvesting_would_stop() {
    let mut model = console(samples::fine(), 80, 24);
    for key in ["", "j", "?", "!", "p"] {
        key.chars().for_each(|key| {
            press(&mut model, key);
        });
        for _ in 0..3 {
            assert_eq!(code(&mut model, KeyCode::Esc), []);
        }
        assert_eq!(model.dialog, None, "{key}");
    }
    assert_eq!(press(&mut model, 'q'), [Effect::Leave(Left::Detached)]);
    model.place = FarmerPlace::Here;
    assert_eq!(press(&mut model, 'q'), []);
    assert_eq!(press(&mut model, 'q'), [], "the same key twice is no answer");
    assert_eq!(press(&mut model, 'y'), [Effect::Leave(Left::Stop)]);
}

#[test]
fn selection_survives_newer_pictures() {
    let mut model = console(samples::troubled(), 80, 24);
    press(&mut model, 'j');
    press(&mut model, 'j');
    let mut newer = samples::troubled();
    newer.volumes[2].state = VolumeState::Fine;
    update(&mut model, Message::Snapshot(Arc::new(newer)));
    assert_eq!(model.selected_drive(), Some(0), "the slow drive stands first now");
}

#[test]
fn log_follows_the_newest_until_a_record_is_selected() {
    let mut model = console(samples::fine(), 80, 30);
    model.pane = Pane::Log;
    assert_eq!(model.selected_record(), None);
    press(&mut model, 'k');
    let selected = model.selection.record;
    assert!(selected.is_some());
    log(&mut model, 999, "newer");
    assert_eq!(model.selection.record, selected);
    press(&mut model, 'G');
    assert_eq!(model.selection.record, None);
    assert!(text(&model).contains("newer"));
    let (before, again) = (model.log.len(), log_record(NOW + 999, LogLevel::Info, "newer"));
    update(&mut model, Message::Recent(Ok(vec![FeedEvent::Log(again)])));
    assert_eq!(model.log.len(), before, "what is known already is not doubled");
}

// ---- helpers ----

fn console(machine: MachineSnapshot, columns: u16, rows: u16) -> Model {
    let theme = Theme {
        depth: Depth::True,
        charset: Charset::Unicode,
        palette: Palette::built_in("dark"),
    };
    let place = FarmerPlace::Elsewhere;
    let mut model = Model::new(place, Arc::new(machine), theme, Zone::utc(), (columns, rows));
    log(&mut model, 1, "Connected with farmer 192.168.1.10");
    log(&mut model, 2, "-> farming_info to peer 192.168.1.10");
    log(&mut model, 3, "challenge_hash: 01020304 ...4 plots were eligible");
    log(
        &mut model,
        4,
        "_plot_refresh_callback: event done, loaded 835, removed 0",
    );
    model
}

fn log(model: &mut Model, after_ms: u64, message: &str) {
    let record = log_record(NOW + after_ms, LogLevel::Info, message);
    update(model, Message::Item(FeedItem::Event(FeedEvent::Log(record))));
}

fn press(model: &mut Model, key: char) -> Vec<Effect> {
    code(model, KeyCode::Char(key))
}

fn code(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn buffer(model: &Model) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| view::draw(model, frame)).unwrap();
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

fn shot(name: &str, model: &Model) {
    shot_of(name, &buffer(model));
}
