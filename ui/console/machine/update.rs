//! The only place that writes the model. Pure: what shall happen outside is returned.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use farmconsole::handle::FeedEvent;
use farmconsole::logging::{LogLevel, LogRecord};
use farmconsole::snapshot::MachineSnapshot;

use super::super::app::App as _;
use super::super::hit::{Mouse, Target};
use super::super::hurried;
use super::super::message::Left;
use super::super::message::{Effect, Message, PASTE_GOES_ON};
use super::super::model::Link;
use super::super::screen::Pane;
use super::keymap::{self, Action};
use super::model::{Dialog, Model, RECORDS_KEPT};
use super::popups;
use crate::feed::{FarmerPlace, FeedItem};

/// Rows of a page.
const PAGE: i64 = 10;

/// Takes one message in.
pub(super) fn update(model: &mut Model, message: Message<MachineSnapshot>) -> Vec<Effect> {
    match message {
        Message::Key(key) | Message::Hurried(key) if key.kind == KeyEventKind::Release => {}
        Message::Key(key) => return handle_key(model, key),
        Message::Hurried(key) => {
            return hurried::handle(model, key, |it| (&mut it.dialog, &mut it.remark), handle_key);
        }
        Message::Mouse(mouse) => handle_mouse(model, mouse),
        // Nothing is typed here.
        Message::Paste(_) => model.remark = None,
        Message::PasteGoesOn => model.remark = Some(PASTE_GOES_ON.to_owned()),
        Message::Resized(columns, rows) => model.size = (columns, rows),
        Message::Snapshot(snapshot) => {
            model.snapshot = snapshot;
            model.silent_s = 0;
        }
        Message::Quiet { for_s } => model.silent_s = for_s,
        Message::Item(FeedItem::Event(event)) => add(model, event),
        Message::Item(FeedItem::Skipped(_)) => {}
        Message::Item(FeedItem::Lost(reason)) => {
            model.link = Link::Lost { reason };
        }
        Message::Item(FeedItem::Back) => {
            model.link = Link::Up;
            model.silent_s = 0;
            model.remark = Some("the harvester is back".to_owned());
            // Another process counts its records anew.
            model.log.clear();
            model.selection.record = None;
            return Model::first_questions();
        }
        Message::Recent(Ok(events)) => events.into_iter().for_each(|event| add(model, event)),
        Message::Recent(Err(reason)) => model.remark = Some(format!("the log is not to be had: {reason}")),
        // Only the console of a farm asks for these.
        Message::LastLook(_)
        | Message::Page { .. }
        | Message::History { .. }
        | Message::Silenced(_)
        | Message::Acknowledged { .. }
        | Message::Renamed(_)
        | Message::Saved(_) => {}
    }
    Vec::new()
}

/// Puts a log record where it belongs; one that is there already is not doubled.
fn add(model: &mut Model, event: FeedEvent) {
    let FeedEvent::Log(record) = event else { return };
    if is_chatter(&record) {
        return;
    }
    let at = model.log.partition_point(|known| known.number < record.number);
    if model.log.get(at).is_some_and(|known| known.number == record.number) {
        return;
    }
    model.log.insert(at, record);
    if model.log.len() > RECORDS_KEPT {
        model.log.pop_front();
    }
}

/// Lines of every message and every look-up would push everything else out of sight; the log file has them, and
/// look-ups have a pane of their own.
fn is_chatter(record: &LogRecord) -> bool {
    record.level < LogLevel::Warning
        && ["-> ", "<- ", "challenge_hash: "]
            .iter()
            .any(|head| record.message.starts_with(head))
}

fn handle_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    model.remark = None;
    let action = keymap::action(key);
    match model.dialog.take() {
        None => match action {
            Some(action) => act(model, action),
            None => Vec::new(),
        },
        Some(Dialog::Quit) => match key.code {
            KeyCode::Char('y' | 'Y') if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
                vec![Effect::Leave(Left::Stop)]
            }
            // Whoever only wants the question gone goes on harvesting.
            KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter => Vec::new(),
            _ => {
                model.dialog = Some(Dialog::Quit);
                Vec::new()
            }
        },
        Some(dialog) => {
            model.dialog = Some(dialog);
            match action {
                Some(Action::Up) => popups::scroll(model, -1),
                Some(Action::Down) => popups::scroll(model, 1),
                Some(Action::PageUp) => popups::scroll(model, -PAGE),
                Some(Action::PageDown) => popups::scroll(model, PAGE),
                Some(Action::Home) => popups::scroll(model, i64::MIN),
                Some(Action::End) => popups::scroll(model, i64::MAX),
                Some(Action::Help | Action::Back | Action::Leave | Action::Open | Action::Wrong) => model.dialog = None,
                Some(action @ (Action::Privacy | Action::Repaint | Action::Mouse)) => return act(model, action),
                _ => {}
            }
            Vec::new()
        }
    }
}

/// A click goes to a pane and selects its row; on a row that is selected already it opens it. The wheel moves the
/// selection of the pane with the focus, or the text that lies over it.
fn handle_mouse(model: &mut Model, mouse: Mouse) {
    model.remark = None;
    match (model.dialog, mouse) {
        (Some(_), Mouse::Wheel(rows)) => popups::scroll(model, rows),
        // What is under a dialog is not meant.
        (Some(_), _) => {}
        (None, Mouse::Wheel(rows)) => step(model, Step::By(rows)),
        (None, Mouse::Click(Target::Pane(pane))) => model.pane = pane,
        (None, Mouse::Click(Target::Row(pane, row))) => {
            let before = (model.pane, model.selection.clone());
            model.pane = pane;
            match usize::try_from(row) {
                Ok(row) if pane == Pane::Drives => {
                    model.selection.drive = model.drives().get(row).map(|drive| drive.name.clone());
                }
                Ok(row) if pane == Pane::Files => {
                    model.selection.file = model.files().get(row).map(|file| file.file.clone());
                }
                _ => model.selection.record = Some(row),
            }
            if before == (model.pane, model.selection.clone()) {
                open(model);
            }
        }
        // The console of a farm has all the others.
        (None, Mouse::Click(_)) => {}
    }
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::NextPane => turn(model, 1),
        Action::PreviousPane => turn(model, Pane::ALL.len() - 1),
        Action::Up => step(model, Step::By(-1)),
        Action::Down => step(model, Step::By(1)),
        Action::PageUp => step(model, Step::By(-PAGE)),
        Action::PageDown => step(model, Step::By(PAGE)),
        Action::Home => step(model, Step::First),
        Action::End => step(model, Step::Last),
        Action::Open => open(model),
        Action::Back => match model.pane {
            Pane::Drives => model.selection.drive = None,
            Pane::Files => model.selection.file = None,
            Pane::Log => model.selection.record = None,
            Pane::Lookups => {}
        },
        Action::Wrong => model.dialog = Some(Dialog::Wrong { scroll: 0 }),
        Action::Privacy => model.privacy = !model.privacy,
        Action::Mouse => {
            model.mouse = !model.mouse;
            let whose = if model.mouse { "the console's" } else { "the terminal's" };
            model.remark = Some(format!("the mouse is {whose} now"));
            return vec![Effect::CaptureMouse(model.mouse)];
        }
        Action::Help => model.dialog = Some(Dialog::Help { scroll: 0 }),
        Action::Leave => match model.place {
            FarmerPlace::Here => model.dialog = Some(Dialog::Quit),
            FarmerPlace::Elsewhere | FarmerPlace::Recording => return vec![Effect::Leave(Left::Detached)],
        },
        Action::Suspend => match model.place {
            FarmerPlace::Here => model.remark = Some("this would suspend harvesting: not done".to_owned()),
            FarmerPlace::Elsewhere | FarmerPlace::Recording => return vec![Effect::Suspend],
        },
        Action::Repaint => return vec![Effect::Repaint],
    }
    Vec::new()
}

fn turn(model: &mut Model, by: usize) {
    let here = Pane::ALL.iter().position(|pane| *pane == model.pane).unwrap_or(0);
    model.pane = Pane::ALL[(here + by) % Pane::ALL.len()];
}

/// The selected row's details; the first row's when none is selected.
fn open(model: &mut Model) {
    let is_selected = match model.pane {
        Pane::Drives => model.selected_drive().is_some(),
        Pane::Files => model.selected_file().is_some(),
        Pane::Log => model.selected_record().is_some(),
        Pane::Lookups => return,
    };
    if !is_selected {
        step(
            model,
            match model.pane {
                Pane::Log => Step::By(-1),
                _ => Step::First,
            },
        );
    }
    let has_rows = match model.pane {
        Pane::Drives => !model.drives().is_empty(),
        Pane::Files => !model.files().is_empty(),
        Pane::Log | Pane::Lookups => !model.log.is_empty(),
    };
    model.dialog = has_rows.then_some(Dialog::Details { scroll: 0 });
}

/// How far a selection moves.
#[derive(Clone, Copy)]
enum Step {
    By(i64),
    First,
    Last,
}

fn step(model: &mut Model, step: Step) {
    match model.pane {
        Pane::Lookups => {}
        Pane::Drives => {
            let row = moved(model.selected_drive(), model.drives().len(), step);
            model.selection.drive = row.map(|row| model.drives()[row].name.clone());
        }
        Pane::Files => {
            let row = moved(model.selected_file(), model.files().len(), step);
            model.selection.file = row.map(|row| model.files()[row].file.clone());
        }
        Pane::Log => {
            let count = model.log.len();
            // Nothing selected is the newest, and going below it follows again.
            let here = model.selected_record().or_else(|| count.checked_sub(1));
            let below = matches!(step, Step::By(by) if by > 0) && here.is_none_or(|row| row + 1 >= count);
            model.selection.record = match step {
                Step::Last => None,
                _ if below => None,
                _ => moved(here, count, step).map(|row| model.log[row].number),
            };
        }
    }
}

/// The row after a step; the first one where none was selected.
fn moved(from: Option<usize>, count: usize, step: Step) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some(match (step, from) {
        (Step::Last, _) => last,
        (Step::First, _) | (Step::By(_), None) => 0,
        (Step::By(by), Some(row)) => {
            let by = isize::try_from(by).unwrap_or(0);
            row.saturating_add_signed(by).min(last)
        }
    })
}
