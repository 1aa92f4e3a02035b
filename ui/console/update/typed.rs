//! Lines that a person types (a filter, a name, a path) and texts that scroll.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::config::HarvesterName;
use farmconsole::snapshot::HarvesterId;

use super::super::export::{Discretion, Format, Table};
use super::super::keymap::{self, Action};
use super::super::message::{Effect, Save};
use super::super::model::{Dialog, Model};
use super::super::screen::Screen;
use super::super::views;
use super::act;
use super::lists::{ask_files, file_list};

/// Longest filter a person can type.
const FILTER_MAX: usize = 60;

/// Longest path and longest name a person can type.
pub(super) const PATH_MAX: usize = 200;
pub(super) const NAME_MAX: usize = 64;

/// What a key did to a line that is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    GoesOn,
    Done,
    Undone,
}

pub(super) fn edit(text: &mut String, key: KeyEvent, longest: usize) -> Typing {
    if key
        .modifiers
        .intersects(KeyModifiers::ALT | KeyModifiers::META | KeyModifiers::SUPER | KeyModifiers::HYPER)
    {
        return Typing::GoesOn;
    }
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Enter, _) => return Typing::Done,
        (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => return Typing::Undone,
        (KeyCode::Char('u'), true) => text.clear(),
        (KeyCode::Backspace, _) => {
            text.pop();
        }
        (KeyCode::Char(c), false) if !c.is_control() && text.chars().count() < longest => text.push(c),
        _ => {}
    }
    Typing::GoesOn
}

/// Keys over a text that scrolls: it moves, another one is opened, or it closes.
pub(super) fn handle_text_key(model: &mut Model, key: KeyEvent, dialog: Dialog) -> Vec<Effect> {
    let action = keymap::action(key, model.screen, false);
    let page = i64::from(model.size.1.saturating_sub(4)).max(1);
    let rows = match action {
        Some(Action::Up) => -1,
        Some(Action::Down) => 1,
        Some(Action::PageUp) => -page,
        Some(Action::PageDown) => page,
        Some(Action::Home) => i64::MIN,
        Some(Action::End) => i64::MAX,
        Some(Action::Back | Action::Leave | Action::Open) => return Vec::new(),
        // The key that opened it closes it.
        Some(Action::Help) if matches!(dialog, Dialog::Help { .. }) => return Vec::new(),
        Some(Action::Tell(what)) if matches!(dialog, Dialog::Report { what: open, .. } if open == what) => {
            return Vec::new();
        }
        Some(action @ (Action::Show(_) | Action::Suspend | Action::Repaint | Action::Help | Action::Tell(_))) => {
            return act(model, action);
        }
        Some(Action::Privacy) => {
            let effects = act(model, Action::Privacy);
            model.dialog = Some(dialog);
            return effects;
        }
        _ => 0,
    };
    model.dialog = Some(dialog);
    scroll_text(model, rows);
    Vec::new()
}

/// Moves the text that is open, as far as there is more of it.
pub(super) fn scroll_text(model: &mut Model, rows: i64) {
    let last = match &model.dialog {
        Some(Dialog::Help { .. }) => views::help::last_scroll(model),
        Some(Dialog::Report { what, .. }) => views::report::last_scroll(model, *what),
        Some(Dialog::Full { .. }) => views::full::last_scroll(model),
        Some(Dialog::Entry { entry, .. }) => views::entry::last_scroll(model, entry),
        _ => return,
    };
    if let Some(
        Dialog::Help { scroll }
        | Dialog::Report { scroll, .. }
        | Dialog::Full { scroll }
        | Dialog::Entry { scroll, .. },
    ) = &mut model.dialog
    {
        let to = i64::from(*scroll).saturating_add(rows).clamp(0, i64::from(last));
        *scroll = u16::try_from(to).unwrap_or(last);
    }
}

pub(super) fn handle_filter_key(model: &mut Model, key: KeyEvent, before: String) -> Vec<Effect> {
    let typed = model.filter.clone();
    match edit(&mut model.filter, key, FILTER_MAX) {
        Typing::GoesOn => model.dialog = Some(Dialog::Filter { before }),
        Typing::Done => {}
        Typing::Undone => model.filter = before,
    }
    if model.filter == typed {
        Vec::new()
    } else {
        filtered(model)
    }
}

/// The filter is another one: a list that the farmer filters is asked for anew.
pub(super) fn filtered(model: &mut Model) -> Vec<Effect> {
    match file_list(model) {
        Some(list) => {
            list.selected = 0;
            ask_files(model)
        }
        None => Vec::new(),
    }
}

/// Begins to type a new name for the selected harvester.
pub(super) fn rename(model: &mut Model) {
    let selected = match &model.details {
        Some(details) => Some(details.harvester),
        None => model.selection.harvester,
    };
    let known = &model.snapshot.harvesters;
    let harvester = known.iter().find(|h| Some(h.id) == selected);
    let on_screen = matches!(model.screen, Screen::Farm | Screen::Harvesters);
    match harvester.filter(|_| on_screen) {
        // It has no certificate that a name could be kept for. No other connection has this port.
        Some(harvester) if harvester.local && harvester.port == 0 => {
            model.remark = Some(format!("{} is part of the farmer and keeps its name", harvester.name));
        }
        Some(harvester) => {
            model.dialog = Some(Dialog::Rename {
                harvester: harvester.id,
                name: if model.privacy {
                    String::new()
                } else {
                    harvester.name.clone()
                },
            });
        }
        None => {
            let where_to = if model.screen == Screen::Harvesters {
                "with the arrows or a click"
            } else {
                "on screen 2"
            };
            model.remark = Some(format!("select a harvester first, {where_to}"));
        }
    }
}

/// Has the harvester renamed, if that is a name.
pub(super) fn renamed(model: &mut Model, harvester: HarvesterId, name: String) -> Vec<Effect> {
    let peer_id = model
        .snapshot
        .harvesters
        .iter()
        .find(|h| h.id == harvester)
        .map(|h| h.peer_id);
    match (peer_id, name.trim().parse()) {
        (Some(peer_id), Ok::<HarvesterName, _>(name)) => vec![Effect::Rename { peer_id, name }],
        (Some(_), Err(why)) => {
            model.remark = Some(format!("{why}"));
            model.dialog = Some(Dialog::Rename { harvester, name });
            Vec::new()
        }
        (None, _) => {
            model.remark = Some("that harvester is not remembered any more".to_owned());
            Vec::new()
        }
    }
}

/// Asks for the name of the file, with one that nobody has used yet.
pub(super) fn begin_to_save(model: &mut Model) {
    let what = match (&model.details, model.screen) {
        (Some(_), _) => "files".to_owned(),
        (None, Screen::Farm) => "attempts".to_owned(),
        (None, screen) => screen.tab().1.to_lowercase(),
    };
    let stamp = model.zone.file_stamp(model.snapshot.taken_at_unix_ms);
    model.dialog = Some(Dialog::Save {
        name: format!("{what}-{stamp}.csv"),
    });
}

pub(super) fn save(model: &mut Model, path: String) -> Vec<Effect> {
    let Some(format) = Format::of_name(&path) else {
        model.remark = Some("let the name end in .csv or .json".to_owned());
        model.dialog = Some(Dialog::Save { name: path });
        return Vec::new();
    };
    let order = model.order();
    let rows = match model.file_list() {
        Some(list) => {
            let mut first = list.request(&model.filter, order);
            first.offset = 0;
            first.limit = farmconsole::snapshot::page::PAGE_LIMIT;
            Save::Pages {
                first,
                tell: Discretion::of(model),
            }
        }
        None => Save::Table(Table::visible(model)),
    };
    vec![Effect::Save { path, format, rows }]
}
