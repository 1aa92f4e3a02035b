//! The only place that writes the model. Pure: what shall happen outside is returned.

mod alarms;
mod lists;
mod steps;
mod typed;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use farmconsole::handle::RecentKind;
use farmconsole::logging::LogLevel;
use farmconsole::snapshot::page::{Grouping, ListKind};

use self::alarms::{acknowledge, keep_among_open, open_alarms, silence};
use self::lists::{ask_files, file_list, group_by_drive, open, refresh_files, scroll_facts, turn_list, turn_to};
use self::steps::{Step, page_rows, step};
use self::typed::{
    NAME_MAX, PATH_MAX, Typing, begin_to_save, edit, filtered, handle_filter_key, handle_text_key, rename, renamed,
    save, scroll_text,
};
use super::copy;
use super::files::{FileList, LISTS_OF_FLEET, fleet_count};
use super::hit::{Mouse, Target};
use super::hurried;
use super::keymap::{self, Action};
use super::message::Left;
use super::message::{Effect, Message, PASTE_GOES_ON};
use super::model::{Dialog, Frozen, Link, Model, Report};
use super::order::{Order, orders_of};
use super::privacy::Names;
use super::screen::Screen;
use crate::feed::{FarmerPlace, FeedItem};

/// What the console asks for when it opens or the farmer is back.
pub(super) fn first_questions() -> Vec<Effect> {
    [RecentKind::Messages, RecentKind::Logs]
        .map(|kind| Effect::Recent { kind, limit: 500 })
        .to_vec()
}

/// Takes one message in.
pub(super) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) | Message::Hurried(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Message::Key(key) => handle_key(model, key),
        Message::Hurried(key) => hurried::handle(model, key, |it| (&mut it.dialog, &mut it.remark), handle_key),
        Message::LastLook(look) => {
            model.last_look = Some(look);
            if look.is_news(&model.snapshot) {
                let what = Report::SinceLastLook;
                model.dialog = Some(Dialog::Report { what, scroll: 0 });
            }
            Vec::new()
        }
        Message::Paste(text) => handle_paste(model, &text),
        Message::PasteGoesOn => {
            model.remark = Some(PASTE_GOES_ON.to_owned());
            Vec::new()
        }
        Message::Mouse(mouse) => handle_mouse(model, mouse),
        Message::Resized(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Message::Snapshot(snapshot) => {
            let open = open_alarms(model);
            model.snapshot = snapshot;
            keep_among_open(model, &open);
            model.silent_s = 0;
            if model.privacy {
                model.names = Names::of(&model.snapshot.harvesters);
            }
            refresh_files(model)
        }
        Message::Quiet { for_s } => {
            model.silent_s = for_s;
            Vec::new()
        }
        Message::Item(item) => handle_item(model, item),
        Message::Recent(Ok(events)) => {
            model.stream.merge(events);
            Vec::new()
        }
        Message::Recent(Err(reason)) => {
            model.remark = Some(format!("earlier messages are not to be had: {reason}"));
            Vec::new()
        }
        Message::Page { request, result } => {
            let open = model.details.as_mut().map(|details| &mut details.files);
            let waiting = [open, Some(&mut model.plots)].into_iter().flatten();
            for list in waiting.filter(|list| list.waits_for(&request)).take(1) {
                list.take(request.offset, result.clone());
            }
            Vec::new()
        }
        Message::Renamed(result) => {
            model.remark = Some(match result {
                Ok(name) => format!("it is called {name} now"),
                Err(reason) => format!("not renamed: {reason}"),
            });
            Vec::new()
        }
        Message::Saved(result) => {
            model.remark = Some(match result {
                Ok((rows, path)) => format!("{} saved as {path}", crate::format::plural(rows, "row")),
                Err(reason) => format!("not saved: {reason}"),
            });
            Vec::new()
        }
        Message::History { request, result } => {
            if let Some(details) = &mut model.details {
                details.past.take(&request, result);
            }
            Vec::new()
        }
        Message::Silenced(result) => {
            model.remark = Some(result.unwrap_or_else(|reason| format!("silence: {reason}")));
            Vec::new()
        }
        Message::Acknowledged { alarm, result } => {
            model.remark = Some(match result {
                Ok(()) => format!("alarm {alarm} acknowledged"),
                Err(reason) => format!("alarm {alarm}: {reason}"),
            });
            Vec::new()
        }
    }
}

fn handle_item(model: &mut Model, item: FeedItem) -> Vec<Effect> {
    match item {
        FeedItem::Event(event) => {
            let added = model.stream.push(event, model.snapshot.taken_at_unix_ms);
            if let (true, Some(frozen)) = (added, &mut model.frozen) {
                frozen.passed += 1;
            }
            Vec::new()
        }
        FeedItem::Skipped(skipped) => {
            model.stream.skipped += skipped;
            Vec::new()
        }
        FeedItem::Lost(reason) => {
            model.link = Link::Lost { reason };
            Vec::new()
        }
        FeedItem::Back => {
            model.link = Link::Up;
            model.silent_s = 0;
            model.remark = Some("the farmer is back".to_owned());
            let mut asks = first_questions();
            // What was asked last may never have been answered.
            asks.extend(ask_files(model));
            asks
        }
    }
}

fn handle_key(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    model.remark = None;
    match model.dialog.take() {
        None => match keymap::action(key, model.screen, model.details.is_some()) {
            Some(action) => act(model, action),
            None => Vec::new(),
        },
        Some(Dialog::Quit) => match key.code {
            KeyCode::Char('y' | 'Y') if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
                vec![Effect::Leave(Left::Stop)]
            }
            // Whoever only wants the question gone goes on farming.
            KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter => Vec::new(),
            _ => {
                model.dialog = Some(Dialog::Quit);
                Vec::new()
            }
        },
        Some(dialog @ (Dialog::Help { .. } | Dialog::Report { .. } | Dialog::Entry { .. } | Dialog::Full { .. })) => {
            handle_text_key(model, key, dialog)
        }
        Some(Dialog::Filter { before }) => handle_filter_key(model, key, before),
        Some(Dialog::Save { mut name }) => match edit(&mut name, key, PATH_MAX) {
            Typing::GoesOn => {
                model.dialog = Some(Dialog::Save { name });
                Vec::new()
            }
            Typing::Done => save(model, name),
            Typing::Undone => Vec::new(),
        },
        Some(Dialog::Rename { harvester, mut name }) => match edit(&mut name, key, NAME_MAX) {
            Typing::GoesOn => {
                model.dialog = Some(Dialog::Rename { harvester, name });
                Vec::new()
            }
            Typing::Done => renamed(model, harvester, name),
            Typing::Undone => Vec::new(),
        },
    }
}

/// Pasted text belongs to the line that is being typed, and nowhere else: as keys it would do what nobody asked for.
fn handle_paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if !matches!(
        model.dialog,
        Some(Dialog::Filter { .. } | Dialog::Save { .. } | Dialog::Rename { .. })
    ) {
        model.remark = Some("what you pasted is left out: nothing is being typed".to_owned());
        return Vec::new();
    }
    let typed = text.chars().filter(|c| !c.is_control()).take(PATH_MAX);
    typed
        .flat_map(|c| handle_key(model, KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)))
        .collect()
}

fn handle_mouse(model: &mut Model, mouse: Mouse) -> Vec<Effect> {
    model.remark = None;
    match (&model.dialog, mouse) {
        (None, Mouse::Wheel(rows)) => step(model, Step::By(rows)),
        (None, Mouse::Click(target)) => click(model, target),
        (
            Some(Dialog::Help { .. } | Dialog::Report { .. } | Dialog::Entry { .. } | Dialog::Full { .. }),
            Mouse::Wheel(rows),
        ) => {
            scroll_text(model, rows);
            Vec::new()
        }
        // What is under a dialog is not meant.
        (Some(_), _) => Vec::new(),
    }
}

/// A click selects; on what is selected already it opens.
fn click(model: &mut Model, target: Target) -> Vec<Effect> {
    let selection = &mut model.selection;
    match target {
        Target::Screen(screen) => return show(model, screen),
        Target::Help => model.dialog = Some(Dialog::Help { scroll: 0 }),
        Target::Harvester(id) if selection.harvester == Some(id) => return open(model),
        Target::Harvester(id) => selection.harvester = Some(id),
        Target::Proof(number) if selection.proof == Some(number) => return open(model),
        Target::Pool(launcher_id) if selection.pool == Some(launcher_id) => return open(model),
        Target::Proof(number) => selection.proof = Some(number),
        Target::Pool(launcher_id) => selection.pool = Some(launcher_id),
        Target::Entry(number) if selection.entry == Some(number) => return open(model),
        Target::Entry(number) => selection.entry = Some(number),
        Target::Alarm(number) if selection.alarm == Some(number) => return open(model),
        Target::Alarm(number) => selection.alarm = Some(number),
        Target::File(number) => {
            if model.file_list().is_some_and(|list| list.selected == number) {
                return open(model);
            }
            if let Some(list) = file_list(model) {
                list.selected = number;
            }
            return if model.file_list().is_some_and(FileList::runs_out) {
                ask_files(model)
            } else {
                Vec::new()
            };
        }
        // Only the console of a harvester alone has these.
        Target::Pane(_) | Target::Row(..) => {}
        Target::List(kind) => return turn_to(model, kind),
        Target::Sort(by) => {
            let order = model.order().pressed(by);
            return sort(model, order);
        }
    }
    Vec::new()
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => return show(model, screen),
        Action::NextScreen => return show(model, neighbour(model.screen, 1)),
        Action::PreviousScreen => return show(model, neighbour(model.screen, Screen::ALL.len() - 1)),
        Action::Up => return step(model, Step::By(-1)),
        Action::Down => return step(model, Step::By(1)),
        Action::PageUp => return step(model, Step::By(-page_rows(model))),
        Action::PageDown => return step(model, Step::By(page_rows(model))),
        Action::Home => return step(model, Step::First),
        Action::End => return step(model, Step::Last),
        Action::FactsUp => scroll_facts(model, -1),
        Action::FactsDown => scroll_facts(model, 1),
        Action::Left => return turn_list(model, -1),
        Action::Right => return turn_list(model, 1),
        Action::Drives => return group_by_drive(model),
        Action::Open => return open(model),
        Action::Back => return back(model),
        Action::Filter => {
            let before = model.filter.clone();
            model.dialog = Some(Dialog::Filter { before });
        }
        Action::OnlyWrong => return only_wrong(model),
        Action::Freeze => return freeze(model),
        Action::Sort if orders_of(model.ordered_as()).len() == 1 => {
            model.remark = Some("these stand in the order they came; r turns it round".to_owned());
        }
        Action::Sort => {
            let order = model.order().next(model.ordered_as());
            return sort(model, order);
        }
        Action::Reverse => {
            let order = model.order();
            let reversed = !order.reversed;
            return sort(model, Order { reversed, ..order });
        }
        Action::Acknowledge => return acknowledge(model),
        Action::Silence => return silence(model),
        Action::Rename => rename(model),
        Action::Copy => return copy_selected(model),
        Action::Save => begin_to_save(model),
        Action::Mouse => {
            model.mouse = !model.mouse;
            let whose = if model.mouse { "the console's" } else { "the terminal's" };
            model.remark = Some(format!("the mouse is {whose} now"));
            return vec![Effect::CaptureMouse(model.mouse)];
        }
        Action::Privacy => {
            model.privacy = !model.privacy;
            model.names = if model.privacy {
                Names::of(&model.snapshot.harvesters)
            } else {
                Names::default()
            };
        }
        Action::HeatMap => model.heat_map = !model.heat_map,
        Action::Level => model.least_level = higher(model.least_level),
        Action::Tell(what) => model.dialog = Some(Dialog::Report { what, scroll: 0 }),
        Action::Help => model.dialog = Some(Dialog::Help { scroll: 0 }),
        Action::Leave => match model.place {
            FarmerPlace::Here => model.dialog = Some(Dialog::Quit),
            FarmerPlace::Elsewhere | FarmerPlace::Recording => return vec![Effect::Leave(Left::Detached)],
        },
        Action::Suspend => match model.place {
            FarmerPlace::Here => {
                model.remark = Some("not suspended: farming happens in this window and would stand still".to_owned());
            }
            FarmerPlace::Elsewhere | FarmerPlace::Recording => return vec![Effect::Suspend],
        },
        Action::Repaint => return vec![Effect::Repaint],
    }
    Vec::new()
}

fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.screen = screen;
    if let Some(details) = model.details.take() {
        model.filter = details.filter_before;
    }
    if screen == Screen::Plots {
        ask_files(model)
    } else {
        Vec::new()
    }
}

/// The level after `level`, and after the last one the first.
const fn higher(level: LogLevel) -> LogLevel {
    match level {
        LogLevel::Debug => LogLevel::Info,
        LogLevel::Info => LogLevel::Warning,
        LogLevel::Warning => LogLevel::Error,
        LogLevel::Error => LogLevel::Debug,
    }
}

fn neighbour(screen: Screen, steps: usize) -> Screen {
    let at = Screen::ALL.iter().position(|s| *s == screen).unwrap_or_default();
    Screen::ALL[(at + steps) % Screen::ALL.len()]
}

/// One step back: out of a drive, out of the details, then without the filter.
fn back(model: &mut Model) -> Vec<Effect> {
    if let Some(list) = file_list(model).filter(|list| list.directory.is_some()) {
        list.directory = None;
        list.grouping = Grouping::Directory;
        list.selected = 0;
        if model.details.is_none() {
            model.plots.harvester = None;
        }
        return ask_files(model);
    }
    if let Some(details) = model.details.take() {
        model.filter = details.filter_before;
        return Vec::new();
    }
    if model.filter.is_empty() {
        return Vec::new();
    }
    model.filter.clear();
    filtered(model)
}

fn freeze(model: &mut Model) -> Vec<Effect> {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Frozen {
            snapshot: Arc::clone(&model.snapshot),
            entries: model.stream.entries().cloned().collect(),
            passed: 0,
        }),
    };
    refresh_files(model)
}

/// Only what is wrong. A list of plots has nothing wrong, so the first list that has is opened.
fn only_wrong(model: &mut Model) -> Vec<Effect> {
    model.only_wrong = !model.only_wrong;
    if !model.only_wrong || model.screen != Screen::Plots || model.plots.list != ListKind::Plots {
        return Vec::new();
    }
    let wrong = LISTS_OF_FLEET
        .into_iter()
        .filter(|list| *list != ListKind::Plots)
        .find(|list| fleet_count(model.shown(), *list) > 0);
    match wrong {
        Some(list) => turn_to(model, list),
        None => {
            model.remark = Some("no file is wrong".to_owned());
            Vec::new()
        }
    }
}

fn sort(model: &mut Model, order: Order) -> Vec<Effect> {
    model.orders.set(model.ordered_as(), order);
    match file_list(model) {
        Some(list) => {
            list.selected = 0;
            ask_files(model)
        }
        None => Vec::new(),
    }
}

fn copy_selected(model: &mut Model) -> Vec<Effect> {
    match copy::selected(model) {
        Some((text, what)) => {
            model.remark = Some(format!("{what} is copied, if the terminal allows it"));
            vec![Effect::Copy(text)]
        }
        None => {
            model.remark = Some("select a row to copy from it".to_owned());
            Vec::new()
        }
    }
}
