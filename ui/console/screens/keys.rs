//! What keys and clicks do.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::handle::FeedEvent;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::page::{Grouping, ListKind};

use super::super::lateness::{Lateness, lateness};
use super::super::message::Left;
use super::super::message::{Effect, Message, Save};
use super::super::model::Model;
use super::super::order::orders_of;
use super::super::samples;
use super::super::screen::Screen;
use super::super::update::update;

use super::*;
use crate::feed::{FarmerPlace, FeedItem};

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
    assert_eq!(model.remark.as_deref(), Some("alarm 2: no such alarm"));
}

#[test]
fn the_selection_stays_among_open_alarms_when_acknowledging_ends_one() {
    let mut model = console(samples::troubled(), 120, 36);
    press(&mut model, '7');
    press(&mut model, 'j');
    press(&mut model, 'j');
    assert_eq!(press(&mut model, 'a'), [Effect::Acknowledge(2)]);
    let mut farm = samples::troubled();
    let mut lost = farm.alarms.remove(1);
    (lost.acknowledged, lost.closed_at_unix_ms) = (true, Some(samples::NOW));
    farm.alarm_history.insert(0, lost);
    update(&mut model, Message::Snapshot(Arc::new(farm)));
    assert_eq!(model.selection.alarm, Some(3));
    let silenced = press(&mut model, 'z');
    assert!(matches!(silenced[..], [Effect::Silence { .. }]), "{silenced:?}");
}

#[test]
fn enter_is_named_where_it_opens_something() {
    let hints = |model: &Model| last_line(model).contains("enter details");
    let mut model = console(samples::empty(), 120, 36);
    for screen in Screen::ALL {
        press(&mut model, screen.tab().0);
        assert!(screen == Screen::Messages || !hints(&model), "{screen:?}");
    }
    let mut model = console(samples::troubled(), 120, 36);
    for screen in ['1', '2', '4', '6'] {
        press(&mut model, screen);
        assert!(hints(&model), "{screen}: {}", last_line(&model));
    }
    model.place = FarmerPlace::Here;
    press(&mut model, 'q');
    assert!(!hints(&model), "{}", last_line(&model));
}

#[test]
fn enter_on_an_alarm_opens_its_harvester() {
    let mut model = console(samples::troubled(), 120, 36);
    press(&mut model, '7');
    code(&mut model, KeyCode::End);
    assert_eq!(code(&mut model, KeyCode::Enter), []);
    assert!(
        last_line(&model).contains("it is about no harvester"),
        "{}",
        last_line(&model)
    );
    code(&mut model, KeyCode::Home);
    code(&mut model, KeyCode::Enter);
    let opened = model.detailed().map(|(_, harvester)| harvester.name.clone());
    assert_eq!(opened.as_deref(), Some("garage"));
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
    for columns in [60, 80, 120] {
        resize(&mut model, columns, 36);
        let drawn = text(&model);
        assert!(
            drawn.contains(&format!("in {}, esc for all", drive.directory)),
            "{columns}:\n{drawn}"
        );
    }
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

fn hurried(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Message::Hurried(KeyEvent::new(code, KeyModifiers::NONE)))
}

#[test]
fn keys_that_come_all_at_once_move_and_type_but_decide_nothing() {
    let mut farm = console(samples::troubled(), 120, 36);
    for key in "7jj".chars() {
        hurried(&mut farm, KeyCode::Char(key));
    }
    assert_eq!(farm.screen, Screen::Alarms);
    for key in ['a', 'z', 'q'] {
        farm.place = FarmerPlace::Elsewhere;
        assert_eq!(hurried(&mut farm, KeyCode::Char(key)), []);
        assert!(text(&farm).contains("press that key by itself"), "{key}");
    }
    assert_eq!(press(&mut farm, 'q'), [Effect::Leave(Left::Detached)]);
    farm.place = FarmerPlace::Here;
    assert_eq!(hurried(&mut farm, KeyCode::Char('q')), []);
    assert_eq!(hurried(&mut farm, KeyCode::Char('y')), []);
    assert!(text(&farm).contains("Quit and stop farming?"));
    assert_eq!(press(&mut farm, 'y'), [Effect::Leave(Left::Stop)]);
}

#[test]
fn a_name_that_comes_all_at_once_is_typed_and_not_taken() {
    let mut farm = console(samples::many(), 120, 36);
    press(&mut farm, '2');
    press(&mut farm, 'j');
    press(&mut farm, 'j');
    for key in "n-new".chars() {
        hurried(&mut farm, KeyCode::Char(key));
    }
    assert_eq!(hurried(&mut farm, KeyCode::Enter), []);
    assert!(text(&farm).contains("-new"), "{}", text(&farm));
    assert!(matches!(code(&mut farm, KeyCode::Enter)[..], [Effect::Rename { .. }]));
}

#[test]
fn only_plain_letters_are_typed_or_taken_for_an_answer() {
    let mut farm = console(samples::many(), 120, 36);
    farm.place = FarmerPlace::Here;
    press(&mut farm, 'q');
    for modifiers in [KeyModifiers::CONTROL, KeyModifiers::ALT] {
        let key = KeyEvent::new(KeyCode::Char('y'), modifiers);
        assert_eq!(update(&mut farm, Message::Key(key)), [], "{modifiers:?}");
    }
    code(&mut farm, KeyCode::Esc);
    press(&mut farm, '/');
    let key = KeyEvent::new(KeyCode::Char('b'), KeyModifiers::ALT);
    update(&mut farm, Message::Key(key));
    assert_eq!(farm.filter, "");
}

#[test]
fn the_question_before_quitting_is_read_whole_on_the_smallest_terminal() {
    let mut farm = console(samples::many(), 40, 10);
    farm.place = FarmerPlace::Here;
    press(&mut farm, 'q');
    let drawn = text(&farm);
    for words in [
        "keep it going",
        "--daemon.",
        "quit and stop farming",
        "enter go on farming",
    ] {
        assert!(drawn.contains(words), "{words}: {drawn}");
    }
}
