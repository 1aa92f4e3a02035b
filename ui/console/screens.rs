//! Every screen in every state, with styles, as files in `tests/screens/`; and what keys do.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::logging::LogLevel;
use farmconsole::runtime::FeedEvent;
use farmconsole::snapshot::page::{Grouping, ListKind, Page};
use farmconsole::snapshot::{FarmSnapshot, FarmStatus};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};

use super::export::Format;
use super::hit::{self, Mouse};
use super::last_look::LastLook;
use super::message::{Effect, Message, Save};
use super::model::{Lateness, Model, Screen, lateness};
use super::order::orders_of;
use super::palette::Palette;
use super::run::Left;
use super::samples;
use super::theme::{Charset, Depth, Theme};
use super::update::update;
use super::{svg, view};
use crate::feed::{FarmerPlace, FeedItem};

// ---- screens ----

#[test]
fn farm_screen() {
    shot("farm_empty", &console(samples::empty(), 120, 36));
    shot("farm_one", &console(samples::one(), 120, 36));
    shot("farm_many", &console(samples::many(), 120, 36));
    shot("farm_one_late", &console(samples::one_late(), 120, 36));
    shot("farm_troubled", &console(samples::troubled(), 120, 36));
    shot("farm_simulated", &console(samples::simulated(), 120, 36));
    shot("farm_wide", &console(samples::troubled(), 180, 50));
    shot("farm_narrow", &console(samples::troubled(), 80, 24));
    shot("farm_small", &console(samples::troubled(), 60, 16));
    shot("farm_tiny", &console(samples::troubled(), 30, 8));
    shot("farm_tiny_simulated", &console(samples::simulated(), 39, 20));
}

#[test]
fn farm_that_does_not_farm() {
    let farm = |status| FarmSnapshot {
        status,
        ..samples::many()
    };
    let line = |status| first_line(&console(farm(status), 120, 36));
    let lines = [
        FarmStatus::Starting,
        FarmStatus::Farming,
        FarmStatus::NoKeys,
        FarmStatus::NoSignagePoints { for_s: 75 },
        FarmStatus::NotSynced,
        FarmStatus::NoHarvester,
        FarmStatus::NoPlots,
        FarmStatus::NoAnswers { for_s: 40 },
    ]
    .map(line)
    .join("\n");
    in_files(|| insta::assert_snapshot!("status_words", lines));
}

#[test]
fn farm_without_its_farmer() {
    let mut model = console(samples::many(), 120, 36);
    let reason = "read from the farmer: connection closed".to_owned();
    update(&mut model, Message::Item(FeedItem::Lost(reason)));
    shot("farm_lost", &model);
    update(&mut model, Message::Item(FeedItem::Back));
    update(&mut model, Message::Quiet { for_s: 7 });
    shot("farm_quiet", &model);
}

#[test]
fn recording_says_that_it_is_one_and_when_it_is_over() {
    let mut model = console(samples::many(), 120, 36);
    model.place = FarmerPlace::Recording;
    assert!(first_line(&model).contains(" REPLAY "));
    let reason = "the recording is over: it was ended by hand".to_owned();
    update(&mut model, Message::Item(FeedItem::Lost(reason)));
    let line = first_line(&model);
    assert!(
        line.contains("OVER  the recording is over") && line.contains(" REPLAY "),
        "{line}"
    );
    resize(&mut model, 30, 8);
    assert!(text(&model).contains("REPLAY OVER"), "{}", text(&model));
}

#[test]
fn looks() {
    let mut plain = console(samples::troubled(), 120, 36);
    plain.theme = Theme {
        depth: Depth::None,
        charset: Charset::Ascii,
        palette: Palette::built_in("dark"),
    };
    assert!(
        text(&plain).is_ascii(),
        "a character that is no ASCII:\n{}",
        text(&plain)
    );
    shot("farm_ascii_no_color", &plain);
    press(&mut plain, '7');
    shot("alarms_ascii_no_color", &plain);
    let mut sixteen = console(samples::troubled(), 80, 24);
    sixteen.theme = Theme {
        depth: Depth::Sixteen,
        charset: Charset::Unicode,
        palette: Palette::built_in("dark"),
    };
    shot("farm_sixteen_colours", &sixteen);
    for name in ["light", "high-contrast", "colour-blind", "mono"] {
        let mut model = console(samples::troubled(), 60, 16);
        model.theme.palette = Palette::built_in(name);
        press(&mut model, '7');
        shot(&format!("alarms_theme_{name}"), &model);
    }
}

#[test]
fn harvesters_screen() {
    let on = |farm, columns, rows| {
        let mut model = console(farm, columns, rows);
        press(&mut model, '2');
        model
    };
    shot("harvesters_empty", &on(samples::empty(), 120, 36));
    shot("harvesters_many", &on(samples::many(), 120, 36));
    shot("harvesters_wide", &on(samples::troubled(), 180, 36));
    shot("harvesters_narrow", &on(samples::troubled(), 80, 24));
    shot("harvesters_small", &on(samples::troubled(), 60, 16));
    let mut wrong = on(samples::troubled(), 120, 36);
    press(&mut wrong, '!');
    press(&mut wrong, 'j');
    shot("harvesters_only_wrong", &wrong);
    let mut over_time = on(samples::troubled(), 120, 36);
    press(&mut over_time, 't');
    shot("harvesters_over_time", &over_time);
    resize(&mut over_time, 80, 24);
    shot("harvesters_over_time_narrow", &over_time);
}

#[test]
fn harvester_details() {
    let mut model = console(samples::troubled(), 120, 36);
    press(&mut model, '2');
    for _ in 0..3 {
        press(&mut model, 'j');
    }
    let asked = code(&mut model, KeyCode::Enter);
    shot("harvester_loading", &model);
    answer(&mut model, &asked, samples::page(3, false));
    shot("harvester_failed_files", &model);
    let past: Vec<_> = asked
        .iter()
        .filter_map(|effect| match effect {
            Effect::History(request) => Some(request.clone()),
            _ => None,
        })
        .collect();
    for request in past {
        let result = Ok(samples::past(&request));
        update(&mut model, Message::History { request, result });
    }
    shot("harvester_past", &model);
    resize(&mut model, 80, 24);
    shot("harvester_narrow", &model);
    for _ in 0..40 {
        press(&mut model, ']');
    }
    shot("harvester_narrow_scrolled", &model);
    for _ in 0..40 {
        press(&mut model, '[');
    }
    assert_eq!(model.details.as_ref().map(|it| it.facts_scroll), Some(0));
    resize(&mut model, 120, 36);
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked = code(&mut model, KeyCode::Right);
    }
    answer(&mut model, &asked, samples::page(1_078, true));
    code(&mut model, KeyCode::PageDown);
    shot("harvester_plots", &model);
    press(&mut model, 'p');
    shot("harvester_private", &model);
}

#[test]
fn plots_screen() {
    let mut model = console(samples::troubled(), 120, 36);
    let asked = press(&mut model, '3');
    shot("plots_loading", &model);
    answer(&mut model, &asked, samples::page(6_585, true));
    press(&mut model, 'j');
    shot("plots_many", &model);
    press(&mut model, 'p');
    shot("plots_private", &model);
    press(&mut model, 'p');
    let asked = press(&mut model, 'd');
    answer(&mut model, &asked, samples::drives());
    shot("plots_by_drive", &model);
    let asked = press(&mut model, '!');
    assert!(matches!(&asked[..], [Effect::Page(r)] if r.list == ListKind::Failed));
    resize(&mut model, 80, 24);
    let asked = press(&mut model, 'd');
    answer(&mut model, &asked, samples::page(0, false));
    shot("plots_none_narrow", &model);
    let mut lost = console(samples::troubled(), 80, 24);
    press(&mut lost, '3');
    let asked = code(&mut lost, KeyCode::Left);
    answer(&mut lost, &asked, samples::lost_page());
    shot("plots_lost_narrow", &lost);
    resize(&mut lost, 60, 16);
    shot("plots_lost_small", &lost);
}

#[test]
fn reports() {
    let mut farm = samples::troubled();
    for (n, protocol) in [(1, "0.0.36"), (2, "0.0.37"), (3, "0.0.37"), (8, "0.0.35")] {
        farm.harvesters[n].protocol_version = protocol.to_owned();
    }
    farm.monitor = samples::monitor();
    farm.counters.duplicate_proofs = 2;
    let mut model = console(farm, 120, 36);
    press(&mut model, 'u');
    shot("report_upgrade", &model);
    press(&mut model, 'i');
    shot("report_monitor", &model);
    press(&mut model, 'i');
    assert_eq!(model.dialog, None);
    press(&mut model, 'w');
    assert!(text(&model).contains("this is the first console"));
    code(&mut model, KeyCode::Esc);
    let look = LastLook {
        at_unix_ms: samples::NOW - 3_600_000,
        plots: 6_694,
        connected: 9,
        ..LastLook::at(&model.snapshot)
    };
    update(&mut model, Message::LastLook(look));
    shot("report_since_last_look", &model);
    resize(&mut model, 60, 16);
    press(&mut model, 'j');
    shot("report_since_last_look_small", &model);
}

#[test]
fn lines_that_are_typed() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '2');
    press(&mut model, 'j');
    press(&mut model, 'n');
    type_in(&mut model, "-left");
    let mut lines = vec![last_line(&model)];
    assert_eq!(
        code(&mut model, KeyCode::Enter),
        [Effect::Rename {
            peer_id: samples::many().harvesters[0].peer_id,
            name: "local-left".parse().unwrap(),
        }]
    );
    control(&mut model, 's');
    lines.push(last_line(&model));
    control(&mut model, 'u');
    type_in(&mut model, "farm.txt");
    assert_eq!(code(&mut model, KeyCode::Enter), [], "no such format");
    lines.push(last_line(&model));
    for _ in 0..3 {
        code(&mut model, KeyCode::Backspace);
    }
    type_in(&mut model, "json");
    let saved = code(&mut model, KeyCode::Enter);
    assert!(
        matches!(&saved[..], [Effect::Save { path, format: Format::Json, rows: Save::Table(table) }]
        if path == "farm.json" && table.rows() == 9),
        "{saved:?}"
    );
    update(&mut model, Message::Saved(Ok((9, "/home/ann/farm.json".to_owned()))));
    lines.push(last_line(&model));
    press(&mut model, 'm');
    lines.push(last_line(&model));
    in_files(|| insta::assert_snapshot!("typed_lines", lines.join("\n")));
}

#[test]
fn proofs_screen() {
    let on = |farm, columns, rows| {
        let mut model = console(farm, columns, rows);
        press(&mut model, '4');
        model
    };
    shot("proofs_empty", &on(samples::empty(), 120, 36));
    shot("proofs_many", &on(samples::many(), 120, 36));
    shot("proofs_simulated", &on(samples::simulated(), 120, 36));
    shot("proofs_narrow", &on(samples::many(), 80, 24));
}

#[test]
fn pools_screen() {
    let on = |farm, columns, rows| {
        let mut model = console(farm, columns, rows);
        press(&mut model, '5');
        model
    };
    shot("pools_none", &on(samples::empty(), 120, 36));
    shot("pools_some", &on(samples::pooled(), 120, 36));
    shot("pools_narrow", &on(samples::pooled(), 80, 24));
    let mut other = on(samples::pooled(), 120, 36);
    press(&mut other, 'j');
    press(&mut other, 'j');
    shot("pools_selected", &other);
    let mut farm = console(samples::pooled(), 120, 36);
    press(&mut farm, '1');
    assert!(text(&farm).contains("Partials 24 h"), "the farm screen sums them up");
}

#[test]
fn messages_screen() {
    let mut model = console(samples::troubled(), 120, 36);
    press(&mut model, '6');
    shot("messages_follow", &model);
    press(&mut model, ' ');
    for n in 0..12 {
        pass(&mut model, samples::NOW + n, "barn-1");
    }
    shot("messages_frozen", &model);
    press(&mut model, ' ');
    press(&mut model, 'k');
    shot("messages_selected", &model);
    press(&mut model, '/');
    type_in(&mut model, "farming_info shelf-2");
    shot("messages_filter", &model);
    let mut empty = console(samples::empty(), 80, 24);
    press(&mut empty, '6');
    shot("messages_empty", &empty);
}

#[test]
fn alarms_screen() {
    let on = |farm, columns, rows| {
        let mut model = console(farm, columns, rows);
        press(&mut model, '7');
        model
    };
    shot("alarms_none", &on(samples::empty(), 120, 36));
    shot("alarms_troubled", &on(samples::troubled(), 120, 36));
    shot("alarms_small", &on(samples::troubled(), 60, 16));
    let mut troubled = on(samples::troubled(), 120, 36);
    let silenced = Effect::Silence {
        rule: "harvester_absent".to_owned(),
        machine: Some("garage".to_owned()),
        for_s: 3_600,
    };
    assert_eq!(press(&mut troubled, 'z'), [silenced], "the first alarm that is open");
    let mut private = on(samples::troubled(), 120, 36);
    press(&mut private, 'p');
    press(&mut private, 'j');
    shot("alarms_private", &private);
}

#[test]
fn dialogs() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '?');
    shot("help", &model);
    resize(&mut model, 60, 16);
    for _ in 0..5 {
        code(&mut model, KeyCode::Down);
    }
    shot("help_small", &model);
    code(&mut model, KeyCode::Esc);
    model.place = FarmerPlace::Here;
    resize(&mut model, 80, 24);
    press(&mut model, 'q');
    shot("quit", &model);
}

#[test]
fn pictures_are_what_the_console_draws() {
    let mut alarms = console(samples::troubled(), 120, 32);
    press(&mut alarms, '7');
    press(&mut alarms, 'j');
    let pictures = [
        (
            "console.svg",
            "farmconsole: the Farm screen",
            console(samples::one_late(), 120, 36),
        ),
        (
            "console-alarms.svg",
            "farmconsole: the Alarms screen on a bad day",
            alarms,
        ),
    ];
    for (name, title, model) in pictures {
        let drawn = svg::svg(&buffer(&model), title);
        let path = format!("{}/assets/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("FARMCONSOLE_UPDATE_PICTURES").is_some() {
            std::fs::write(&path, &drawn).unwrap();
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == drawn,
            "assets/{name} is out of date: run this test with FARMCONSOLE_UPDATE_PICTURES=1"
        );
    }
}

#[test]
fn no_size_panics() {
    let mut models = vec![
        console(samples::empty(), 0, 0),
        console(samples::one(), 0, 0),
        console(samples::troubled(), 0, 0),
        console(samples::simulated(), 0, 0),
        console(samples::pooled(), 0, 0),
    ];
    let mut details = console(samples::troubled(), 0, 0);
    let asked = code(&mut details, KeyCode::Enter);
    answer(&mut details, &asked, samples::page(40, true));
    models.push(details);
    let mut plain = console(samples::troubled(), 0, 0);
    plain.theme = Theme {
        depth: Depth::None,
        charset: Charset::Ascii,
        palette: Palette::built_in("dark"),
    };
    models.push(plain);
    for model in models {
        for columns in (0..=130).step_by(9).chain([39, 40, 79, 80, 119, 120, 121, 300]) {
            for rows in (0..=45).step_by(4).chain([9, 13, 15, 19, 21, 90]) {
                let mut model = model.clone();
                resize(&mut model, columns, rows);
                let details = model.details.clone();
                for screen in Screen::ALL {
                    model.screen = screen;
                    model.details = if screen == Screen::Harvesters {
                        details.clone()
                    } else {
                        None
                    };
                    buffer(&model);
                }
                press(&mut model, '?');
                buffer(&model);
            }
        }
    }
}

#[test]
fn names_from_outside_keep_to_their_columns() {
    let mut farm = samples::many();
    farm.harvesters[3].name = "收获机\u{202e}\u{1b}[31m一号非常长的名字非常长".to_owned();
    farm.harvesters[4].software_version = "\u{7}2.7.5\n".to_owned();
    let model = console(farm, 120, 36);
    let drawn = text(&model);
    assert!(!drawn.contains(['\u{1b}', '\u{202e}', '\u{7}']));
    // Every line of the frame ends with its right border.
    let panes = drawn.lines().skip(4).take(31);
    assert!(panes.clone().all(|line| line.ends_with(['│', '╮', '╯'])), "{drawn}");
}

// ---- keys ----

#[test]
fn frozen_lists_stay_and_count_what_passed() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '6');
    press(&mut model, ' ');
    let before: Vec<_> = model.entries().map(|e| e.number).collect();
    for n in 0..5_000 {
        pass(&mut model, samples::NOW + n, "barn-1");
    }
    update(&mut model, Message::Snapshot(Arc::new(samples::troubled())));
    assert_eq!(model.entries().map(|e| e.number).collect::<Vec<_>>(), before);
    assert_eq!(model.frozen.as_ref().map(|f| f.passed), Some(5_000));
    assert_eq!(*model.shown(), samples::many());
    assert!(
        first_line(&model).contains("6 alarms"),
        "the header is live: {}",
        first_line(&model)
    );
    press(&mut model, ' ');
    assert_eq!(*model.shown(), samples::troubled());
    assert_eq!(model.entries().last().map(|e| e.at_unix_ms), Some(samples::NOW + 4_999));
}

#[test]
fn filter_narrows_and_esc_undoes() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '2');
    press(&mut model, '/');
    type_in(&mut model, "BARN farming");
    let names = |model: &Model| model.harvesters().iter().map(|h| h.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&model), ["barn-1", "barn-2", "barn-3"]);
    code(&mut model, KeyCode::Enter);
    press(&mut model, '/');
    type_in(&mut model, "x");
    code(&mut model, KeyCode::Esc);
    assert_eq!(model.filter, "BARN farming");
    code(&mut model, KeyCode::Esc);
    assert_eq!(names(&model).len(), 9);
}

#[test]
fn selection_survives_newer_pictures() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '2');
    for _ in 0..4 {
        press(&mut model, 'j');
    }
    let selected = model.selection.harvester;
    let mut newer = samples::many();
    newer.harvesters.reverse();
    update(&mut model, Message::Snapshot(Arc::new(newer)));
    assert_eq!(model.selection.harvester, selected);
    press(&mut model, 'k');
    let next = model
        .harvesters()
        .iter()
        .position(|h| Some(h.id) == model.selection.harvester);
    assert_eq!(next, Some(4), "moves from where the row is in the newer picture");
}

#[test]
fn esc_never_quits() {
    for place in [FarmerPlace::Here, FarmerPlace::Elsewhere] {
        let mut model = console(samples::troubled(), 120, 36);
        model.place = place;
        for keys in ["", "2", "4", "6", "7", "?", "/abc", "q"] {
            if place == FarmerPlace::Elsewhere && keys == "q" {
                continue;
            }
            type_in(&mut model, keys);
            for _ in 0..4 {
                assert_eq!(code(&mut model, KeyCode::Esc), []);
            }
            assert_eq!(model.dialog, None, "{keys}");
        }
    }
}

#[test]
fn quitting_asks_only_where_farming_would_stop() {
    let mut model = console(samples::many(), 120, 36);
    assert_eq!(press(&mut model, 'q'), [Effect::Leave(Left::Detached)]);
    model.place = FarmerPlace::Here;
    assert_eq!(press(&mut model, 'q'), []);
    assert_eq!(press(&mut model, 'q'), [], "the same key twice is no answer");
    assert_eq!(press(&mut model, 'n'), []);
    press(&mut model, 'q');
    assert_eq!(code(&mut model, KeyCode::Enter), [], "enter goes on farming");
    assert_eq!(model.dialog, None);
    press(&mut model, 'q');
    assert_eq!(press(&mut model, 'y'), [Effect::Leave(Left::Stop)]);
}

#[test]
fn suspending_is_refused_where_farming_would_stand_still() {
    let ctrl_z = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    let mut model = console(samples::many(), 120, 36);
    assert_eq!(update(&mut model, Message::Key(ctrl_z)), [Effect::Suspend]);
    model.place = FarmerPlace::Here;
    assert_eq!(update(&mut model, Message::Key(ctrl_z)), []);
    assert!(model.remark.is_some());
}

#[test]
fn long_lists_are_fetched_as_the_selection_nears_their_end() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, 'j');
    press(&mut model, 'j');
    let asked = code(&mut model, KeyCode::Enter);
    assert!(matches!(asked.as_slice(), [Effect::Page(r), ..] if r.list == ListKind::Plots && r.offset == 0));
    answer(&mut model, &asked, samples::page(1_204, true));
    assert_eq!(code(&mut model, KeyCode::Down), []);
    let asked = code(&mut model, KeyCode::End);
    assert!(
        matches!(asked.as_slice(), [Effect::Page(r)] if r.offset == 953),
        "{asked:?}"
    );
}

#[test]
fn an_open_list_is_asked_for_again_when_its_length_changes() {
    let mut model = console(samples::troubled(), 120, 36);
    for _ in 0..3 {
        press(&mut model, 'j');
    }
    let asked = code(&mut model, KeyCode::Enter);
    answer(&mut model, &asked, samples::page(3, false));
    let same = Message::Snapshot(Arc::new(samples::troubled()));
    assert_eq!(update(&mut model, same), []);
    let mut longer = samples::troubled();
    longer.harvesters[2].failed = 4;
    let asked = update(&mut model, Message::Snapshot(Arc::new(longer.clone())));
    assert!(
        matches!(asked.as_slice(), [Effect::Page(r)] if r.list == ListKind::Failed),
        "{asked:?}"
    );
    assert_eq!(
        update(&mut model, Message::Snapshot(Arc::new(longer))),
        [],
        "once is enough"
    );
}

#[test]
fn acknowledging_names_the_selected_alarm() {
    let mut model = console(samples::troubled(), 120, 36);
    press(&mut model, '7');
    press(&mut model, 'j');
    press(&mut model, 'j');
    assert_eq!(press(&mut model, 'a'), [Effect::Acknowledge(2)]);
    code(&mut model, KeyCode::End);
    assert_eq!(press(&mut model, 'a'), [], "what is over needs nobody");
    update(
        &mut model,
        Message::Acknowledged {
            alarm: 2,
            result: Err("no such alarm".to_owned()),
        },
    );
    assert_eq!(
        model.remark.as_deref(),
        Some("alarm 2 is not acknowledged: no such alarm")
    );
}

#[test]
fn only_wrong_messages_are_warnings_and_errors() {
    let mut model = console(samples::many(), 120, 36);
    for (n, level) in [(1, LogLevel::Info), (2, LogLevel::Warning), (3, LogLevel::Error)] {
        let record = samples::log_record(samples::NOW + n, level, &format!("line {n}"));
        update(&mut model, Message::Item(FeedItem::Event(FeedEvent::Log(record))));
    }
    press(&mut model, '!');
    let levels: Vec<_> = model.entries().map(|e| e.level()).collect();
    assert_eq!(levels, [LogLevel::Warning, LogLevel::Error]);
}

#[test]
fn a_click_selects_what_was_drawn_there_and_a_second_one_opens_it() {
    let mut model = console(samples::many(), 120, 36);
    click(&mut model, "2 Harvesters");
    assert_eq!(model.screen, Screen::Harvesters);
    click(&mut model, "shelf-1");
    let id = samples::many().harvesters[4].id;
    assert_eq!((model.selection.harvester, model.details.is_some()), (Some(id), false));
    click(&mut model, "plots ");
    assert_eq!(model.harvesters()[0].name, "garage", "the head of a column sorts");
    click(&mut model, "plots↓");
    assert_eq!(model.harvesters()[0].name, "local", "and turns round");
    let asked = click(&mut model, "shelf-1");
    assert!(matches!(&asked[..], [Effect::Page(r), ..] if r.harvester == Some(id)));
    let asked = click(&mut model, "no key 0");
    assert!(matches!(&asked[..], [Effect::Page(r)] if r.list == ListKind::NoKey));
    press(&mut model, '?');
    assert_eq!(click(&mut model, "1 Farm"), [], "what is under a dialog is not meant");
}

#[test]
fn plots_of_a_drive_are_opened_searched_and_left_again() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '3');
    let asked = press(&mut model, 'd');
    assert!(matches!(&asked[..], [Effect::Page(r)] if r.grouping == Grouping::Directory));
    answer(&mut model, &asked, samples::drives());
    press(&mut model, 'j');
    let asked = code(&mut model, KeyCode::Enter);
    let drive = &samples::drives().directories[1];
    let [Effect::Page(request)] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (request.harvester, request.directory.as_ref(), request.grouping),
        (Some(drive.harvester), Some(&drive.directory), Grouping::None)
    );
    press(&mut model, '/');
    let typed = press(&mut model, 'k');
    let [Effect::Page(typed)] = &typed[..] else {
        panic!("{typed:?}")
    };
    assert!(typed.words == "k" && typed.directory.is_some());
    let asked = code(&mut model, KeyCode::Esc);
    assert!(matches!(&asked[..], [Effect::Page(r)] if r.words.is_empty()));
    let late = Message::Page {
        request: typed.clone(),
        result: Err("the answer to a question that is no longer asked".to_owned()),
    };
    update(&mut model, late);
    answer(&mut model, &asked, samples::page(12, true));
    assert_eq!(model.plots.total(), Some(12));
    let asked = code(&mut model, KeyCode::Esc);
    assert!(matches!(&asked[..], [Effect::Page(r)] if r.grouping == Grouping::Directory && r.harvester.is_none()));
    control(&mut model, 's');
    let saved = code(&mut model, KeyCode::Enter);
    assert!(
        matches!(&saved[..], [Effect::Save { rows: Save::Pages { first, .. }, .. }]
        if first.offset == 0 && first.grouping == Grouping::Directory),
        "{saved:?}"
    );
}

#[test]
fn every_table_is_sorted_and_turned_round() {
    let mut model = console(samples::troubled(), 120, 36);
    for screen in Screen::ALL {
        press(&mut model, screen.tab().0);
        for by in orders_of(screen).iter().skip(1).chain(&orders_of(screen)[..1]) {
            press(&mut model, 's');
            assert_eq!(model.order().by, *by, "{screen:?}");
        }
    }
    press(&mut model, '1');
    for _ in 0..3 {
        press(&mut model, 's');
    }
    let slowest = model.attempts()[0].clone();
    assert_eq!(lateness(&slowest.outcome), Lateness::NoAnswer);
    press(&mut model, 'r');
    assert_eq!(model.attempts().last().map(|a| a.at_unix_ms), Some(slowest.at_unix_ms));
}

#[test]
fn copying_takes_the_whole_text_even_where_it_is_hidden() {
    let mut model = console(samples::many(), 120, 36);
    assert_eq!(press(&mut model, 'y'), [], "nothing is selected");
    press(&mut model, 'p');
    press(&mut model, '2');
    press(&mut model, 'j');
    let id = samples::many().harvesters[0].peer_id.to_string();
    assert_eq!(press(&mut model, 'y'), [Effect::Copy(id)]);
    let asked = press(&mut model, '3');
    answer(&mut model, &asked, samples::page(3, true));
    let path = samples::page(3, true).items[0].filename.clone();
    assert_eq!(press(&mut model, 'y'), [Effect::Copy(path)]);
}

#[test]
fn nothing_telling_is_drawn_in_private() {
    let mut farm = samples::troubled();
    farm.pools = samples::pooled().pools;
    let mut model = console(farm.clone(), 180, 50);
    press(&mut model, 'p');
    for key in ['1', '2', '3', '4', '5', '6', '7'] {
        let asked = press(&mut model, key);
        if key == '3' {
            answer(&mut model, &asked, samples::page(100, true));
        }
        let drawn = text(&model);
        for harvester in &farm.harvesters {
            for telling in [&harvester.name, &harvester.host] {
                assert!(!drawn.contains(telling.as_str()), "{telling} on screen {key}:\n{drawn}");
            }
        }
        for telling in ["/mnt/", "example", "1a1a1a1a", "bbbbbbbb"] {
            assert!(!drawn.contains(telling), "{telling} on screen {key}:\n{drawn}");
        }
    }
}

// ---- helpers ----

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

/// The text of a buffer, and below it the styles of each row: a plain picture contains no colour.
fn styled(buffer: &Buffer) -> String {
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

fn shot(name: &str, model: &Model) {
    shot_of(name, &buffer(model));
}

/// Compares what was drawn with the file `name` in `tests/screens/`.
pub(super) fn shot_of(name: &str, drawn: &Buffer) {
    let drawn = styled(drawn);
    in_files(|| insta::assert_snapshot!(name, drawn));
}

fn in_files(assert: impl FnOnce()) {
    insta::with_settings!({ snapshot_path => "../../tests/screens", prepend_module_to_snapshot => false, omit_expression => true }, { assert(); });
}
