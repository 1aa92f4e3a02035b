//! The screen in every state, with styles, as files in `tests/screens/`; and what keys do.

use std::path::Path;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::handle::FeedEvent;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::{FileState, MachineSnapshot, PlotFileView, VolumeState};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};

use super::super::hit::{self, Mouse};
use super::super::message::Left;
use super::super::message::{Effect, Message};
use super::super::palette::Palette;
use super::super::samples::{NOW, log_record};
use super::super::screen::Pane;
use super::super::screens::{SIZES, shot, telling, with_meanings};
use super::super::theme::{Charset, Depth, Theme};
use super::super::times::Zone;
use super::model::{Dialog, Model};
use super::samples;
use super::update::update;
use super::view;
use crate::commands::Commands;
use crate::feed::{FarmerPlace, FeedItem};

// ---- screens ----

/// A harvester in a state, and what lies over its screen.
type Made = fn() -> Model;

/// Every state, and how it comes about; each has a file with all sizes.
pub(in super::super) const STATES: [(&str, Made); 16] = [
    ("connecting", || console(samples::connecting())),
    ("wrong_ca", || console(samples::wrong_ca())),
    ("no_keys", || console(samples::no_keys())),
    ("syncing", || console(samples::syncing())),
    ("fine", || console(samples::fine())),
    ("drive_sick", || console(samples::drive_sick())),
    ("drive_gone", || console(samples::drive_gone())),
    ("troubled", || console(samples::troubled())),
    ("lost", || {
        let mut model = console(samples::fine());
        let reason = "closed at /home/ann/.farmconsole/control.sock".to_owned();
        update(&mut model, Message::Item(FeedItem::Lost(reason)));
        update(&mut model, Message::Quiet { for_s: 75 });
        model
    }),
    ("silent", || {
        let mut model = console(samples::fine());
        update(&mut model, Message::Quiet { for_s: 75 });
        model
    }),
    ("private", || pressed(samples::troubled(), "p")),
    ("what_is_wrong", || pressed(samples::troubled(), "!")),
    ("drive_details", || pressed(samples::troubled(), "j\n")),
    ("file_details", || pressed(samples::troubled(), "\t\t\n")),
    ("help", || pressed(samples::fine(), "?")),
    ("quit", || {
        let mut model = console(samples::fine());
        model.place = FarmerPlace::Here;
        press(&mut model, 'q');
        model
    }),
];

#[test]
fn plot_directories_that_give_nothing_are_counted_beside_files() {
    let mut machine = samples::fine();
    let title = |machine: &MachineSnapshot| {
        let text = text(&console(machine.clone()));
        text.lines()
            .find(|line| line.contains("Files not farmed"))
            .unwrap()
            .to_owned()
    };
    assert!(title(&machine).contains("Files not farmed 0 "));
    machine.troubles = vec![PlotFileView {
        file: "/mnt/d09".to_owned(),
        state: FileState::Directory,
        reason: "this plot directory does not exist".to_owned(),
    }];
    assert!(title(&machine).contains("Files not farmed 0, 1 directory "));
}

#[test]
fn machine_screen_in_every_state_at_every_size() {
    for (name, made) in STATES {
        let mut model = made();
        let sizes = SIZES.map(|(columns, rows)| {
            update(&mut model, Message::Resized(columns, rows));
            format!("=== {columns} x {rows}\n{}", with_meanings(&buffer(&model)))
        });
        shot("machine", name, &sizes.join("\n"));
    }
}

#[test]
fn every_part_of_the_machine_screen_is_pressed_for_on_a_small_terminal() {
    let mut model = console(samples::troubled());
    update(&mut model, Message::Resized(60, 16));
    for pane in Pane::ALL {
        assert_eq!(model.pane, pane);
        let title = ["Drives", "Look-ups", "Files not farmed", "Log"][pane as usize];
        assert!(text(&model).contains(title), "{title}:\n{}", text(&model));
        code(&mut model, KeyCode::Tab);
    }
}

#[test]
fn machine_screen_is_told_in_ascii_and_in_private() {
    let mut plain = console(samples::troubled());
    plain.theme = Theme {
        depth: Depth::None,
        charset: Charset::Ascii,
        palette: Palette::built_in("dark"),
    };
    assert!(text(&plain).is_ascii(), "{}", text(&plain));
    let mut private = console(samples::troubled());
    press(&mut private, 'p');
    assert!(
        !text(&private).contains("192.168") && !text(&private).contains("/mnt"),
        "{}",
        text(&private)
    );
}

#[test]
fn machine_screen_without_its_harvester() {
    let mut model = console(samples::fine());
    let reason = "the farmer at the socket went away: closed".to_owned();
    update(&mut model, Message::Item(FeedItem::Lost(reason)));
    let line = text(&model).lines().next().unwrap_or_default().to_owned();
    assert!(
        line.contains("NO HARVESTER") && line.contains("for 0 s, trying again: "),
        "{line}"
    );
    let asked = update(&mut model, Message::Item(FeedItem::Back));
    assert!(matches!(asked.as_slice(), [Effect::Recent { .. }]));
    update(&mut model, Message::Quiet { for_s: 7 });
    assert!(text(&model).contains("picture is 7 s old"));
}

#[test]
fn a_harvester_that_hangs_is_seen_at_every_size() {
    let mut model = console(samples::fine());
    update(&mut model, Message::Quiet { for_s: 60 });
    for (columns, rows) in [(120, 36), (40, 10), (39, 9)] {
        update(&mut model, Message::Resized(columns, rows));
        let drawn = text(&model);
        assert!(drawn.contains("SILENT") && !drawn.contains("HARVESTING"), "{drawn}");
        assert!(columns < 40 || drawn.contains("1 min"), "{drawn}");
        assert!(!drawn.contains("nothing wrong") && !drawn.contains('●'), "{drawn}");
    }
    update(&mut model, Message::Snapshot(Arc::new(samples::fine())));
    assert!(text(&model).contains("HARVESTING"), "{}", text(&model));
}

#[test]
fn the_word_of_the_header_has_room_on_the_smallest_terminal() {
    let mut machine = samples::troubled();
    machine.network = "simulator1".to_owned();
    let mut model = console(machine);
    for columns in [40, 50, 60, 80] {
        update(&mut model, Message::Resized(columns, 10));
        let drawn = text(&model);
        let line = drawn.lines().next().unwrap();
        assert!(
            line.contains("✖ DRIVE TROUBLE") || line.contains("▲ DRIVE TROUBLE"),
            "{line}"
        );
        assert!(line.contains("troubles !"), "{line}");
    }
}

#[test]
fn a_sentence_of_trouble_that_is_cut_says_so() {
    let mut machine = samples::drive_sick();
    let reason = |words: usize| format!("read /mnt/d03/{}: plot is damaged", "deep/".repeat(words));
    machine.volumes[2].last_error = Some(reason(40));
    assert!(text(&console(machine.clone())).contains("plot is damaged"));
    machine.volumes[2].last_error = Some(reason(100));
    let drawn = text(&console(machine));
    let line = drawn.lines().nth(4).unwrap();
    assert!(line.trim_end().ends_with('…'), "{drawn}");
}

#[test]
fn a_drive_with_damaged_plots_is_not_fine() {
    let mut machine = samples::fine();
    let drive = &mut machine.volumes[3];
    (drive.errors, drive.damaged) = (58, 58);
    drive.last_damage = Some("read /mnt/d04/a.plot: plot is damaged".to_owned());
    drive.last_damage_unix_ms = Some(NOW - 60_000);
    let drawn = text(&console(machine));
    let rows: Vec<_> = drawn.lines().filter(|line| line.contains("/mnt/d0")).collect();
    let row = rows.iter().find(|row| row.contains("damaged plots")).unwrap();
    assert!(
        row.contains('▲') && row.contains("/mnt/d04") && !row.contains("fine"),
        "{row}"
    );
}

#[test]
fn names_of_files_keep_their_ends() {
    let mut machine = samples::troubled();
    let name = "plot-k32-2021-07-11-22-30-1d1be7ba27c7a0e1d04d7c5ad9d1d0ccf3b1d80f1ee21d8e45021850157c52";
    machine.troubles[0].file = format!("/mnt/farm/d01/{name}.plot");
    let mut model = console(machine);
    for columns in [80, 100, 120, 160] {
        update(&mut model, Message::Resized(columns, 45));
        let drawn = text(&model);
        assert!(drawn.contains("157c52.plot"), "{columns}:\n{drawn}");
    }
}

#[test]
fn one_proof_is_told_as_one() {
    let mut machine = samples::fine();
    machine.proofs = 1;
    let drawn = text(&console(machine));
    assert!(drawn.contains(" 1 proof since start"), "{drawn}");
}

#[test]
fn no_size_panics() {
    for machine in [samples::connecting(), samples::syncing(), samples::troubled()] {
        for columns in (0..=130).step_by(9).chain([39, 40, 59, 60, 79, 80, 109, 110, 300]) {
            for rows in (0..=45).step_by(4).chain([9, 10, 13, 15, 16, 17, 90]) {
                let mut model = console(machine.clone());
                update(&mut model, Message::Resized(columns, rows));
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
    let mut model = console(samples::fine());
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
    let mut model = console(samples::troubled());
    press(&mut model, 'j');
    press(&mut model, 'j');
    let mut newer = samples::troubled();
    newer.volumes[2].state = VolumeState::Fine;
    update(&mut model, Message::Snapshot(Arc::new(newer)));
    assert_eq!(model.selected_drive(), Some(0), "the slow drive stands first now");
}

#[test]
fn log_follows_the_newest_until_a_record_is_selected() {
    let mut model = console(samples::fine());
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

#[test]
fn a_click_goes_to_a_pane_selects_its_row_and_opens_it() {
    let mut model = console(samples::troubled());
    click(&mut model, "Files not farmed");
    assert_eq!(model.pane, Pane::Files);
    click(&mut model, "/mnt/d02");
    assert_eq!(
        (model.pane, model.selected_drive().is_some(), model.dialog),
        (Pane::Drives, true, None)
    );
    click(&mut model, "/mnt/d02");
    assert_eq!(model.dialog, Some(Dialog::Details { scroll: 0 }));
    click(&mut model, "Log");
    assert_eq!(model.pane, Pane::Drives, "what is under a dialog is not meant");
    code(&mut model, KeyCode::Esc);
    update(&mut model, Message::Mouse(Mouse::Wheel(1)));
    assert_ne!(model.selected_drive(), Some(0));
    assert_eq!(press(&mut model, 'm'), [Effect::CaptureMouse(false)]);
}

#[test]
fn a_text_is_scrolled_no_further_than_its_end() {
    let mut model = pressed(samples::fine(), "?");
    update(&mut model, Message::Resized(60, 16));
    code(&mut model, KeyCode::End);
    let end = text(&model);
    assert!(end.contains("ctrl-z") && !end.contains("more"), "{end}");
    code(&mut model, KeyCode::Down);
    code(&mut model, KeyCode::Up);
    assert_ne!(text(&model), end, "the first key back moves it");
}

#[test]
fn remedies_are_commands_for_the_root_that_is_shown() {
    let mut model = console(samples::troubled());
    model.size = (80, 24);
    model.commands = Commands::new(Some(Path::new("/srv/barn")), None);
    press(&mut model, '!');
    let drawn = text(&model);
    assert!(drawn.contains("(`farmconsole --root /srv/barn`)"), "{drawn}");
    let mut machine = samples::fine();
    machine.farmer.not_dialled = vec!["10.0.0.8:8447".to_owned()];
    model.snapshot = Arc::new(machine);
    code(&mut model, KeyCode::Esc);
    let command = "`farmconsole --root /srv/barn configure --set-farmer-peer HOST:PORT`";
    let drawn = text(&model);
    assert!(drawn.lines().any(|line| line.contains(command)), "{drawn}");
    model.commands = Commands::new(Some(Path::new("/srv/farms/of the valley/barn behind the hill")), None);
    model.size = (140, 24);
    press(&mut model, '!');
    let command =
        "`farmconsole --root '/srv/farms/of the valley/barn behind the hill' configure --set-farmer-peer HOST:PORT`";
    let drawn = text(&model);
    let whole = drawn.lines().filter(|line| line.contains(command)).count();
    assert_eq!(whole, 2, "the popup or the line above breaks the command:\n{drawn}");
    press(&mut model, 'p');
    assert!(!text(&model).contains("/srv/"));
}

// ---- helpers ----

/// Clicks on the first place where `words` are drawn and something can be clicked.
fn click(model: &mut Model, words: &str) {
    let mut hits = Vec::new();
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| hits = view::draw(model, frame)).unwrap();
    let drawn = text(model);
    let mut places = drawn.lines().enumerate().filter_map(|(row, line)| {
        let column = line[..line.find(words)?].chars().count();
        hit::at(&hits, column as u16 + 1, row as u16)
    });
    let target = places.next().unwrap();
    update(model, Message::Mouse(Mouse::Click(target)));
}

fn console(machine: MachineSnapshot) -> Model {
    let place = FarmerPlace::Elsewhere;
    let mut model = Model::new(place, Arc::new(machine), telling(), Zone::utc(), SIZES[0]);
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

/// The same after keys: `\n` is enter, `\t` the next pane.
fn pressed(machine: MachineSnapshot, keys: &str) -> Model {
    let mut model = console(machine);
    for key in keys.chars() {
        let key = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        code(&mut model, key);
    }
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
