//! Colours, characters, themes, pictures, lines that are typed, and the sizes between those of the matrix.

use std::path::Path;
use std::sync::Arc;

use crossterm::event::KeyCode;
use farmconsole::snapshot::{Awaited, FarmSnapshot, FarmStatus};

use super::super::export::Format;
use super::super::message::{Effect, Message, Save};
use super::super::palette::Palette;
use super::super::screen::Screen;
use super::super::svg;
use super::super::theme::{Charset, Depth, Theme};
use super::super::update::update;
use super::*;
use crate::commands::Commands;
use crate::feed::FarmerPlace;

/// The files that these tests compare with.
pub(super) const NAMES: [&str; 9] = [
    "status_words",
    "typed_lines",
    "farm_ascii_no_color",
    "alarms_ascii_no_color",
    "farm_sixteen_colours",
    "alarms_theme_light",
    "alarms_theme_high-contrast",
    "alarms_theme_colour-blind",
    "alarms_theme_mono",
];

fn look(name: &str, drawn: &str) {
    assert!(NAMES.contains(&name), "{name} is in no list");
    shot("looks", name, drawn);
}

#[test]
fn farm_that_does_not_farm() {
    let farm = |status| FarmSnapshot {
        status,
        ..samples::many()
    };
    let line = |status| first_line(&console(farm(status), 120, 36));
    let lines = [
        FarmStatus::Starting {
            waits_for: Awaited::SignagePoint,
        },
        FarmStatus::Starting {
            waits_for: Awaited::Harvester,
        },
        FarmStatus::Starting {
            waits_for: Awaited::PlotLists,
        },
        FarmStatus::Starting {
            waits_for: Awaited::Plots,
        },
        FarmStatus::Starting {
            waits_for: Awaited::Answer,
        },
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
    look("status_words", &lines);
}

#[test]
fn a_farmer_that_hangs_is_seen_at_every_size() {
    let mut farm = samples::simulated();
    farm.alarms.clear();
    let mut model = console(farm, 120, 36);
    let clock = |model: &Model| first_line(model).split_whitespace().last().map(str::to_owned);
    let before = clock(&model);
    update(&mut model, Message::Quiet { for_s: 60 });
    assert_ne!(clock(&model), before, "the clock stands still");
    for (columns, rows) in [(120, 36), (80, 24), (40, 10), (39, 9)] {
        resize(&mut model, columns, rows);
        for screen in ['1', '2', '7'] {
            press(&mut model, screen);
            let drawn = text(&model);
            assert!(drawn.contains("SILENT") && !drawn.contains("FARMING"), "{drawn}");
            assert!(!drawn.contains("no alarm is") && !drawn.contains('●'), "{drawn}");
            assert!(
                columns < 40 || drawn.contains("alarms ?") && drawn.contains("1 min"),
                "{drawn}"
            );
        }
    }
    update(&mut model, Message::Snapshot(Arc::new(samples::simulated())));
    assert!(first_line(&model).contains("FARMING"), "{}", first_line(&model));
}

#[test]
fn a_farmer_that_is_gone_is_told_since_when() {
    let mut model = console(samples::many(), 120, 36);
    let reason = format!("closed at /{}", "deep/".repeat(30));
    update(&mut model, Message::Item(FeedItem::Lost(reason)));
    update(&mut model, Message::Quiet { for_s: 75 });
    let line = first_line(&model);
    assert!(line.contains("NO FARMER  for 1 min, trying again: closed at"), "{line}");
    press(&mut model, '2');
    assert!(text(&model).contains("1 min"), "{}", text(&model));
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
    look("farm_ascii_no_color", &with_colours(&buffer(&plain)));
    press(&mut plain, '7');
    look("alarms_ascii_no_color", &with_colours(&buffer(&plain)));
    let mut sixteen = console(samples::troubled(), 80, 24);
    sixteen.theme = Theme {
        depth: Depth::Sixteen,
        charset: Charset::Unicode,
        palette: Palette::built_in("dark"),
    };
    look("farm_sixteen_colours", &with_colours(&buffer(&sixteen)));
    for name in ["light", "high-contrast", "colour-blind", "mono"] {
        let mut model = console(samples::troubled(), 60, 16);
        model.theme.palette = Palette::built_in(name);
        press(&mut model, '7');
        look(&format!("alarms_theme_{name}"), &with_colours(&buffer(&model)));
    }
}

#[test]
fn remedies_are_commands_for_the_root_that_is_shown() {
    let mut model = console(samples::troubled(), 80, 40);
    model.commands = Commands::new(Some(Path::new("/srv/my farm")), None);
    press(&mut model, '7');
    let command = "`farmconsole --root '/srv/my farm' harvester invite NAME`";
    let drawn = text(&model);
    let whole = drawn.lines().filter(|line| line.contains(command)).count();
    assert_eq!(whole, 2, "a command is not on one line:\n{drawn}");
    while !matches!(&press(&mut model, 'y')[..], [Effect::Copy(text)] if text.contains(command)) {
        let before = model.selection;
        press(&mut model, 'j');
        assert_ne!(model.selection, before, "no alarm with the command is copied");
    }
    press(&mut model, 'p');
    let drawn = text(&model);
    assert!(
        !drawn.contains("srv") && drawn.contains("`farmconsole harvester"),
        "{drawn}"
    );
}

#[test]
fn a_plot_that_is_farmed_twice_is_not_told_to_be_not_farmed() {
    let mut farm = samples::many();
    farm.harvesters[1].shared_plots = 1;
    let mut model = console(farm, 120, 36);
    press(&mut model, '2');
    let row = |model: &Model| {
        text(model)
            .lines()
            .find(|line| line.contains("barn-1"))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(row(&model).contains("farming, 1 shared"), "{}", row(&model));
    let mut farm = samples::many();
    (farm.harvesters[1].shared_plots, farm.harvesters[1].failed) = (1, 2);
    update(&mut model, Message::Snapshot(Arc::new(farm)));
    assert!(row(&model).contains("farming, 2 not farmed"), "{}", row(&model));
}

#[test]
fn a_farm_without_plots_never_wins_in_the_words_of_the_summary() {
    let mut farm = samples::many();
    farm.totals.plots = 0;
    let drawn = text(&console(farm, 120, 36));
    assert!(drawn.contains("Never (no plots)"), "{drawn}");
}

#[test]
fn a_wide_table_of_harvesters_has_their_versions_whole() {
    let mut farm = samples::many();
    farm.harvesters[1].software_version = "farmconsole-0.1.0".to_owned();
    let mut model = console(farm, 200, 40);
    press(&mut model, '2');
    assert!(text(&model).contains("farmconsole-0.1.0 (0.0."), "{}", text(&model));
}

#[test]
fn lines_that_are_typed() {
    let mut model = console(samples::many(), 120, 36);
    for (screen, how) in [('1', "on screen 2"), ('2', "with the arrows or a click")] {
        press(&mut model, screen);
        press(&mut model, 'n');
        let told = last_line(&model);
        assert!(told.contains(&format!("select a harvester first, {how}")), "{told}");
    }
    press(&mut model, 'j');
    press(&mut model, 'n');
    assert_eq!(model.dialog, None, "the farmer's own is not renamed");
    assert!(
        last_line(&model).contains("local is part of the farmer"),
        "{}",
        last_line(&model)
    );
    press(&mut model, 'j');
    press(&mut model, 'n');
    type_in(&mut model, "-left");
    let mut lines = vec![last_line(&model)];
    assert_eq!(
        code(&mut model, KeyCode::Enter),
        [Effect::Rename {
            peer_id: samples::many().harvesters[1].peer_id,
            name: "barn-1-left".parse().unwrap(),
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
    look("typed_lines", &lines.join("\n"));
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
