//! The details of a harvester and lists of files: what is open, and what the farmer is asked for.

use farmconsole::snapshot::HarvesterId;
use farmconsole::snapshot::page::{Grouping, ListKind};

use super::super::files::{FileList, Files, LISTS_OF_FLEET, LISTS_OF_HARVESTER, file_count};
use super::super::message::Effect;
use super::super::model::{Details, Dialog, Front, Link, Model};
use super::super::past::Past;
use super::super::screen::Screen;
use super::super::views;

/// Opens the selected drive, the selected (or newest) message, proof or pool, the harvester of the selected (or first)
/// alarm, or the selected (or first) harvester.
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    if model.file_list().is_some() {
        return open_drive(model);
    }
    match model.screen {
        Screen::Farm | Screen::Harvesters => {}
        Screen::Messages => {
            let selected = model.selection.entry;
            let mut entries = model.entries();
            let entry = match selected {
                Some(number) => entries.find(|entry| entry.number == number),
                None => entries.next_back(),
            };
            let entry = entry.cloned();
            drop(entries);
            if let Some(entry) = entry {
                model.selection.entry = Some(entry.number);
                model.dialog = Some(Dialog::Entry { entry, scroll: 0 });
            }
            return Vec::new();
        }
        Screen::Proofs | Screen::Pools => {
            if views::full::is_there(model) {
                model.dialog = Some(Dialog::Full { scroll: 0 });
            }
            return Vec::new();
        }
        Screen::Plots => return Vec::new(),
        Screen::Alarms => {
            return match model.harvester_of_alarm() {
                Some(id) => open_harvester(model, id),
                None => {
                    model.remark = Some("this is all there is of it: it is about no harvester".to_owned());
                    Vec::new()
                }
            };
        }
    }
    let rows = model.harvesters();
    let selected = rows
        .iter()
        .find(|h| Some(h.id) == model.selection.harvester)
        .or_else(|| rows.first());
    match selected.map(|harvester| harvester.id) {
        Some(id) => open_harvester(model, id),
        None => Vec::new(),
    }
}

/// Opens the details of a harvester at the first list that has files.
fn open_harvester(model: &mut Model, id: HarvesterId) -> Vec<Effect> {
    let Some(harvester) = model.shown().harvesters.iter().find(|h| h.id == id) else {
        return Vec::new();
    };
    let list = LISTS_OF_HARVESTER
        .into_iter()
        .find(|list| file_count(model.shown(), harvester, *list) > 0)
        .unwrap_or(ListKind::Plots);
    model.selection.harvester = Some(id);
    model.screen = Screen::Harvesters;
    model.details = Some(Details {
        harvester: id,
        files: FileList::new(Some(id), list),
        front: Front::Facts,
        facts_scroll: 0,
        filter_before: std::mem::take(&mut model.filter),
        past: Past::default(),
    });
    let mut asks = ask_files(model);
    asks.extend(ask_past(model));
    asks
}

/// Asks for the past of the harvester whose details are open.
fn ask_past(model: &mut Model) -> Vec<Effect> {
    let Some((_, harvester)) = model.detailed() else {
        return Vec::new();
    };
    let (name, now) = (harvester.name.clone(), model.snapshot.taken_at_unix_ms);
    match &mut model.details {
        Some(details) => details.past.ask(&name, now).map(Effect::History).to_vec(),
        None => Vec::new(),
    }
}

/// Shows the files of the selected drive.
fn open_drive(model: &mut Model) -> Vec<Effect> {
    let Some(list) = file_list(model) else {
        return Vec::new();
    };
    let Files::Ready { page, .. } = &list.files else {
        return Vec::new();
    };
    let Some(drive) = list.selected_here().and_then(|at| page.directories.get(at)).cloned() else {
        return Vec::new();
    };
    list.grouping = Grouping::None;
    list.directory = Some(drive.directory);
    list.harvester = Some(drive.harvester);
    list.turn_to(list.list);
    ask_files(model)
}

/// Drives instead of files, or the other way round.
pub(super) fn group_by_drive(model: &mut Model) -> Vec<Effect> {
    let in_details = model.details.is_some();
    let Some(list) = file_list(model) else {
        return Vec::new();
    };
    list.grouping = match list.grouping {
        Grouping::None => Grouping::Directory,
        Grouping::Directory => Grouping::None,
    };
    list.directory = None;
    if !in_details {
        list.harvester = None;
    }
    list.turn_to(list.list);
    ask_files(model)
}

/// Moves the facts of the open harvester, which may be more than there is room for, so far that one stays.
pub(super) fn scroll_facts(model: &mut Model, by: i16) {
    let facts = views::harvester::fact_count(model);
    if let Some(details) = &mut model.details {
        details.front = Front::Facts;
        let last = facts.saturating_sub(1);
        details.facts_scroll = details.facts_scroll.saturating_add_signed(by).min(last);
    }
}

pub(super) fn turn_list(model: &mut Model, steps: isize) -> Vec<Effect> {
    let lists = if model.details.is_some() {
        &LISTS_OF_HARVESTER[..]
    } else {
        &LISTS_OF_FLEET[..]
    };
    let Some(open) = model.file_list() else {
        return Vec::new();
    };
    let at = lists.iter().position(|list| *list == open.list).unwrap_or_default();
    let next = at.wrapping_add_signed(steps).wrapping_add(lists.len()) % lists.len();
    turn_to(model, lists[next])
}

pub(super) fn turn_to(model: &mut Model, kind: ListKind) -> Vec<Effect> {
    if let Some(list) = file_list(model) {
        list.turn_to(kind);
    }
    ask_files(model)
}

/// The list that the keys for files are about; in the details it comes into sight by them.
pub(super) fn file_list(model: &mut Model) -> Option<&mut FileList> {
    if let Some(details) = &mut model.details {
        details.front = Front::Files;
    }
    match (&mut model.details, model.screen) {
        (Some(details), _) => Some(&mut details.files),
        (None, Screen::Plots) => Some(&mut model.plots),
        (None, _) => None,
    }
}

/// Asks for the part of the open list around its selection.
pub(super) fn ask_files(model: &mut Model) -> Vec<Effect> {
    let (words, order, count) = (model.filter.clone(), model.orders.of(Screen::Plots), model.file_count());
    let list = match (&mut model.details, model.screen) {
        (Some(details), _) => Some(&mut details.files),
        (None, Screen::Plots) => Some(&mut model.plots),
        (None, _) => None,
    };
    match list {
        Some(list) => vec![Effect::Page(list.ask(&words, order, count))],
        None => Vec::new(),
    }
}

/// Asks again when the list that is open has got longer or shorter.
pub(super) fn refresh_files(model: &mut Model) -> Vec<Effect> {
    if model.frozen.is_some() || model.link != Link::Up {
        return Vec::new();
    }
    let count = model.file_count();
    match model.file_list() {
        Some(list) if !list.is_current(count) => ask_files(model),
        _ => Vec::new(),
    }
}
