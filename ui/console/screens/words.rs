//! What rows and sentences say of single facts, and that what tells them apart fits.

use std::sync::Arc;

use farmconsole::snapshot::{
    ALARM_HISTORY_KEPT, AlarmKind, AlarmView, Awaited, FarmSnapshot, FarmStatus, HarvesterState,
};

use super::*;

/// A farm of which one harvester has lost plots, and an open alarm says so.
fn with_lost_plots(lost: u64) -> FarmSnapshot {
    let mut farm = samples::many();
    let kind = AlarmKind::PlotsLost {
        harvester: farm.harvesters[3].id,
        name: farm.harvesters[3].name.clone(),
        lost,
        directory: Some("/mnt/d7".to_owned()),
    };
    farm.alarms = vec![samples::alarm(1, kind, samples::NOW - 60_000)];
    farm
}

/// The first line on which `words` stand.
fn line_of(model: &Model, words: &str) -> String {
    let drawn = text(model);
    let line = drawn.lines().find(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("no line has {words}:\n{drawn}"))
        .to_owned()
}

/// What the rows of screen `key` say of barn-3, where alarms are left out.
fn barn_3(model: &mut Model, key: char) -> String {
    press(model, key);
    line_of(model, " barn-3 ")
}

#[test]
fn a_harvester_that_an_alarm_is_about_is_not_fine() {
    let mut model = console(with_lost_plots(4), 120, 36);
    // The answers on the first screen say nothing of the state.
    press(&mut model, '!');
    for screen in ['1', '2'] {
        let row = barn_3(&mut model, screen);
        assert!(row.contains('▲') && row.contains("farming, 4 lost"), "{row}");
    }
    assert_eq!(model.harvesters().len(), 1);
    code(&mut model, KeyCode::Enter);
    let title = line_of(&model, "─ barn-3 ");
    assert!(title.contains("▲ farming, 4 lost"), "{title}");
}

#[test]
fn a_harvester_whose_plots_are_all_lost_is_bad() {
    let mut farm = with_lost_plots(864);
    farm.harvesters[3].plots = 0;
    let row = barn_3(&mut console(farm, 120, 36), '2');
    assert!(row.contains('✖') && row.contains("no plots, 864 lost"), "{row}");
}

#[test]
fn any_alarm_about_a_harvester_is_counted_in_its_state() {
    let mut farm = samples::many();
    let kind = AlarmKind::TooManyProofs {
        harvester: farm.harvesters[3].id,
        name: farm.harvesters[3].name.clone(),
        dropped: 90,
    };
    farm.alarms = vec![samples::alarm(1, kind, samples::NOW)];
    let row = barn_3(&mut console(farm, 120, 36), '2');
    assert!(row.contains('▲') && row.contains("farming, 1 alarm"), "{row}");
}

#[test]
fn harvesters_below_the_last_row_are_not_all_fine_with_an_alarm() {
    let mut farm = with_lost_plots(4);
    for harvester in &mut farm.harvesters[..3] {
        harvester.certificate_shared = true;
    }
    let mut model = console(farm, 120, 22);
    let rest = line_of(&model, "more harvesters");
    assert!(rest.contains("not fine"), "{rest}");
    update(&mut model, Message::Snapshot(Arc::new(samples::many())));
    let rest = line_of(&model, "more harvesters");
    assert!(rest.contains("all fine"), "{rest}");
}

#[test]
fn where_nothing_is_wrong_the_open_alarms_are_pointed_to() {
    let mut farm = with_lost_plots(4);
    farm.proofs.clear();
    let mut fine = farm.clone();
    fine.alarms.clear();
    let mut model = console(farm, 120, 36);
    press(&mut model, '!');
    press(&mut model, '4');
    let line = line_of(&model, "nothing");
    assert!(line.contains("nothing here; 1 alarm is open: 7 shows it"), "{line}");
    update(&mut model, Message::Snapshot(Arc::new(fine)));
    assert!(line_of(&model, "nothing").contains("nothing is wrong here"));
}

#[test]
fn open_alarms_that_a_filter_leaves_out_are_not_denied() {
    let mut farm = with_lost_plots(4);
    let mut over = samples::troubled().alarm_history.remove(0);
    over.text = "over".to_owned();
    farm.alarm_history = vec![over];
    let mut model = console(farm, 120, 36);
    press(&mut model, '7');
    press(&mut model, '/');
    type_in(&mut model, "over");
    let drawn = text(&model);
    assert!(!drawn.contains("no alarm is open"), "{drawn}");
    assert!(drawn.contains("no open alarm has these words"), "{drawn}");
}

#[test]
fn alarms_are_counted_as_the_header_counts_them() {
    let farm = samples::troubled();
    let open = farm.alarms.len();
    let mut model = console(farm, 120, 36);
    press(&mut model, '7');
    assert!(line_of(&model, "─ Alarms ").contains(&format!("Alarms {open} ─")));
    assert!(text(&model).contains(&format!("{open} alarms !")));
    code(&mut model, KeyCode::End);
    assert!(line_of(&model, " over ").contains(" over 1 "));
}

#[test]
fn why_a_list_is_empty_and_what_is_over_are_said_whole_on_narrow_terminals() {
    let mut model = console(samples::troubled(), 40, 10);
    for screen in ['2', '4', '6'] {
        press(&mut model, screen);
        press(&mut model, '/');
        type_in(&mut model, "no such words");
        code(&mut model, KeyCode::Enter);
        let words: Vec<_> = text(&model).split_whitespace().map(str::to_owned).collect();
        let drawn = words.join(" ").replace(" │ │ ", " ");
        assert!(drawn.contains("nothing has these words; esc shows all"), "{drawn}");
        code(&mut model, KeyCode::Esc);
    }
    let mut farm = samples::troubled();
    farm.alarms.clear();
    farm.alarm_history[0].text = "something that takes more words than a line has and ends so".to_owned();
    let mut model = console(farm, 40, 12);
    press(&mut model, '7');
    assert!(text(&model).contains("ends so"), "{}", text(&model));
    let mut farm = samples::troubled();
    assert!(!alarms_of(&farm).contains("open when the farmer ended"));
    farm.alarm_history[0].cut_short = true;
    assert!(alarms_of(&farm).contains("open when the farmer ended"));
}

/// The whole screen of alarms.
fn alarms_of(farm: &FarmSnapshot) -> String {
    let mut model = console(farm.clone(), 200, 60);
    press(&mut model, '7');
    text(&model)
}

#[test]
fn a_revoked_harvester_is_not_said_to_be_so_since_it_went() {
    let mut farm = samples::one_revoked();
    let name = farm.harvesters[7].name.clone();
    let HarvesterState::Revoked { since_unix_ms } = &mut farm.harvesters[7].state else {
        panic!("another is revoked");
    };
    *since_unix_ms = samples::NOW - 60_000;
    let mut model = console(farm, 120, 36);
    press(&mut model, '2');
    let row = line_of(&model, &name);
    assert!(row.contains("revoked, gone 1") && !row.contains("since"), "{row}");
}

#[test]
fn where_older_alarms_are_is_said_below_the_last_that_is_shown() {
    let mut farm = samples::troubled();
    let over = farm.alarm_history[0].clone();
    let among = |farm: &FarmSnapshot| {
        let mut model = console(farm.clone(), 120, 36);
        press(&mut model, '7');
        code(&mut model, KeyCode::End);
        text(&model).contains("those of before: `farmconsole history alarms`")
    };
    assert!(!among(&farm));
    let numbered = |number| AlarmView { number, ..over.clone() };
    farm.alarm_history = (100..100 + ALARM_HISTORY_KEPT as u64).map(numbered).collect();
    assert!(among(&farm));
}

#[test]
fn an_alarm_of_an_earlier_run_is_of_the_harvester_of_its_name() {
    let mut farm = with_lost_plots(4);
    let mut over = farm.alarms.remove(0);
    // The number that another one has now.
    over.kind = AlarmKind::HarvesterLate {
        harvester: farm.harvesters[0].id,
        name: farm.harvesters[3].name.clone(),
        late: 3,
        on_the_way: 0,
    };
    over.closed_at_unix_ms = Some(farm.started_at_unix_ms - 1);
    farm.alarm_history = vec![over];
    let mut model = console(farm, 120, 36);
    press(&mut model, '7');
    code(&mut model, KeyCode::Enter);
    let opened = model.detailed().map(|(_, harvester)| harvester.name.clone());
    assert_eq!(opened.as_deref(), Some("barn-3"));
}

#[test]
fn an_alarm_that_has_only_the_name_of_a_harvester_is_about_it() {
    let mut farm = samples::many();
    let kind = AlarmKind::HarvesterMissing {
        plots: 0,
        name: farm.harvesters[3].name.clone(),
        fingerprint: "df1ff2b1751cc8df".to_owned(),
        address: None,
    };
    farm.alarms = vec![samples::alarm(1, kind, samples::NOW - 60_000)];
    let mut model = console(farm, 120, 36);
    press(&mut model, '7');
    code(&mut model, KeyCode::Enter);
    let opened = model.detailed().map(|(_, harvester)| harvester.name.clone());
    assert_eq!(opened.as_deref(), Some("barn-3"));
}

#[test]
fn answers_stand_in_the_order_of_their_times() {
    let mut farm = samples::many();
    farm.attempts[5].at_unix_ms = samples::NOW;
    let model = console(farm, 120, 36);
    let times: Vec<_> = model.attempts().iter().map(|a| a.at_unix_ms).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
}

#[test]
fn the_number_of_a_state_has_room() {
    let mut farm = samples::many();
    let now = samples::NOW;
    let (rows, states) = (
        ["silent for 39 s", "absent 11-18 14:02", "farming, 12/64 missing"],
        [
            HarvesterState::Suspect { for_s: 39 },
            HarvesterState::Absent {
                since_unix_ms: now - 2 * 86_400_000,
            },
            HarvesterState::Farming,
        ],
    );
    for (harvester, state) in farm.harvesters.iter_mut().zip(states) {
        harvester.state = state;
    }
    for lookup in farm.harvesters[2].lookups_ms.iter_mut().take(12) {
        *lookup = None;
    }
    let mut model = console(farm, 120, 36);
    for screen in ['1', '2'] {
        press(&mut model, screen);
        for words in rows {
            line_of(&model, words);
        }
    }
}

/// A farm with names that differ at their ends only.
fn with_long_names() -> FarmSnapshot {
    let mut farm = samples::many();
    let names = ["127.0.0.1 (2)", "127.0.0.1 (3)", LONG_A, LONG_B];
    for (harvester, name) in farm.harvesters.iter_mut().skip(1).zip(names) {
        for attempt in farm.attempts.iter_mut().filter(|a| a.harvester == harvester.id) {
            attempt.harvester_name = name.into();
        }
        harvester.name = name.to_owned();
    }
    farm
}

const LONG_A: &str = "basement-shelf-by-the-window-a";
const LONG_B: &str = "basement-shelf-by-the-window-b";

#[test]
fn names_that_differ_at_their_ends_are_told_apart() {
    let mut model = console(with_long_names(), 80, 24);
    for (columns, rows) in [(60, 16), (80, 24), (120, 36)] {
        resize(&mut model, columns, rows);
        press(&mut model, '2');
        for end in ["(2) ", "(3) ", "ow-a ", "ow-b "] {
            line_of(&model, end);
        }
    }
    press(&mut model, '1');
    for end in ["(2) ", "(3) ", "ow-a ", "ow-b "] {
        line_of(&model, &format!("{end} "));
    }
}

#[test]
fn a_wide_table_has_names_and_look_ups_whole() {
    let mut model = console(with_long_names(), 250, 60);
    for screen in ['1', '2'] {
        press(&mut model, screen);
        for name in [LONG_A, LONG_B] {
            line_of(&model, name);
        }
        if screen == '1' {
            let row = line_of(&model, "/1204");
            let (before, _) = row.split_once("/1204").expect("is there");
            assert!(
                before.chars().count() < 70,
                "who answered is far from the answer: {row}"
            );
        }
    }
    let row = line_of(&model, LONG_A);
    let sparks = row.chars().filter(|c| ('▁'..='█').contains(c)).count();
    assert!(sparks > 50, "{sparks}: {row}");
}

#[test]
fn what_is_typed_last_is_in_sight() {
    let mut model = console(samples::many(), 120, 36);
    press(&mut model, '2');
    control(&mut model, 's');
    type_in(&mut model, "-of-a-very-long-name-of-a-file.json");
    for columns in [40, 60, 120] {
        resize(&mut model, columns, 15);
        let line = last_line(&model);
        assert!(line.contains("-of-a-file.json▏") && line.contains("save"), "{line}");
    }
    code(&mut model, KeyCode::Esc);
    press(&mut model, 'j');
    press(&mut model, 'j');
    press(&mut model, 'n');
    resize(&mut model, 40, 10);
    assert!(last_line(&model).contains("name barn-1▏"), "{}", last_line(&model));
}

#[test]
fn a_name_that_is_refused_stays_in_sight_with_the_whole_reason() {
    let mut model = console(samples::many(), 40, 12);
    press(&mut model, '2');
    press(&mut model, 'j');
    press(&mut model, 'j');
    press(&mut model, 'n');
    type_in(&mut model, " /?");
    code(&mut model, KeyCode::Enter);
    let reason = model.remark.clone().expect("it is refused");
    let drawn = text(&model);
    assert!(last_line(&model).contains("name barn-1 /?▏"), "{drawn}");
    for word in reason.split(' ') {
        assert!(drawn.contains(word), "{word}: {drawn}");
    }
}

#[test]
fn a_proof_in_full_is_scrolled() {
    let mut model = console(samples::many(), 40, 10);
    press(&mut model, '4');
    code(&mut model, KeyCode::Enter);
    let before = text(&model);
    press(&mut model, 'j');
    assert_ne!(text(&model), before);
}

#[test]
fn the_harvester_of_the_farmer_itself_shows_no_certificate() {
    let mut model = console(samples::many(), 120, 60);
    let label = "│ certificate ";
    for (steps, shows) in [(1, false), (2, true)] {
        press(&mut model, '2');
        press(&mut model, 'g');
        (1..steps).for_each(|_| drop(press(&mut model, 'j')));
        code(&mut model, KeyCode::Enter);
        assert_eq!(text(&model).contains(label), shows, "{}", text(&model));
    }
}

#[test]
fn names_beside_files_and_drives_are_told_apart() {
    let mut model = console(samples::many(), 120, 36);
    let mut files = samples::page(2, true);
    for (file, name) in files.items.iter_mut().zip([LONG_A, LONG_B]) {
        file.harvester_name = name.to_owned();
    }
    let mut drives = samples::drives();
    for (drive, name) in drives.directories.iter_mut().zip([LONG_A, LONG_B]) {
        drive.harvester_name = name.to_owned();
    }
    for (key, page) in [('3', files), ('d', drives)] {
        let asked = press(&mut model, key);
        answer(&mut model, &asked, page);
        for (columns, ends) in [(80, ["ow-a ", "ow-b "]), (250, [LONG_A, LONG_B])] {
            resize(&mut model, columns, 36);
            for end in ends {
                line_of(&model, end);
            }
        }
    }
}

#[test]
fn farm_that_never_had_a_harvester_is_told_how_to_have_one() {
    let mut farm = samples::empty();
    farm.status = FarmStatus::NoHarvester;
    let mut model = console(farm, 80, 24);
    for screen in ['1', '2'] {
        press(&mut model, screen);
        let drawn = text(&model);
        for command in ["`farmconsole plots add -d DIR`", "`farmconsole harvester invite NAME`"] {
            assert!(drawn.contains(command), "{command}: {drawn}");
        }
    }
    let mut farm = samples::empty();
    farm.status = FarmStatus::Starting {
        waits_for: Awaited::Harvester,
    };
    assert!(
        !text(&console(farm, 80, 24)).contains("plots add"),
        "it has just begun to wait"
    );
}

#[test]
fn farm_without_plots_is_told_how_to_name_some() {
    let mut farm = samples::many();
    farm.status = FarmStatus::NoPlots;
    let mut model = console(farm, 80, 24);
    assert!(first_line(&model).contains("NO PLOTS  no harvester told of plots "));
    let asked = press(&mut model, '3');
    answer(&mut model, &asked, samples::page(0, true));
    assert!(
        text(&model).contains("`farmconsole plots add -d DIR`"),
        "{}",
        text(&model)
    );
}
