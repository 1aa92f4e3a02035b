//! The only place that writes the model. Pure: what shall happen outside is returned.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use farmconsole::config::HarvesterName;
use farmconsole::runtime::RecentKind;
use farmconsole::snapshot::HarvesterId;
use farmconsole::snapshot::page::{Grouping, ListKind};

use super::copy;
use super::export::{Discretion, Format, Table};
use super::files::{FileList, Files, LISTS_OF_FLEET, LISTS_OF_HARVESTER, file_count, fleet_count};
use super::hit::{Mouse, Target};
use super::keymap::{self, Action};
use super::message::{Effect, Message, Save};
use super::model::{Details, Dialog, Frozen, Link, Model, Report, Screen};
use super::order::{Order, orders_of};
use super::past::Past;
use super::privacy::Names;
use super::run::Left;
use super::views;
use crate::feed::{FarmerPlace, FeedItem};

/// Longest filter a person can type.
const FILTER_MAX: usize = 60;

/// Seconds without a snapshot before it is said.
const QUIET_AFTER_S: u64 = 5;

/// Longest path and longest name a person can type.
const PATH_MAX: usize = 200;
const NAME_MAX: usize = 64;

/// What the console asks for when it opens or the farmer is back.
pub(super) fn first_questions() -> Vec<Effect> {
    [RecentKind::Messages, RecentKind::Logs]
        .map(|kind| Effect::Recent { kind, limit: 500 })
        .to_vec()
}

/// Takes one message in.
pub(super) fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Message::Key(key) => handle_key(model, key),
        Message::LastLook(look) => {
            model.last_look = Some(look);
            if look.is_news(&model.snapshot) {
                let what = Report::SinceLastLook;
                model.dialog = Some(Dialog::Report { what, scroll: 0 });
            }
            Vec::new()
        }
        Message::Mouse(mouse) => handle_mouse(model, mouse),
        Message::Resized(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Message::Snapshot(snapshot) => {
            model.snapshot = snapshot;
            model.quiet_s = None;
            if model.privacy {
                model.names = Names::of(&model.snapshot.harvesters);
            }
            refresh_files(model)
        }
        Message::Quiet { for_s } => {
            model.quiet_s = (for_s >= QUIET_AFTER_S).then_some(for_s);
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
            model.remark = Some(result.unwrap_or_else(|reason| format!("not silenced: {reason}")));
            Vec::new()
        }
        Message::Acknowledged { alarm, result } => {
            model.remark = Some(match result {
                Ok(()) => format!("alarm {alarm} acknowledged"),
                Err(reason) => format!("alarm {alarm} is not acknowledged: {reason}"),
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
            model.quiet_s = None;
            Vec::new()
        }
        FeedItem::Back => {
            model.link = Link::Up;
            model.remark = Some("the farmer is back".to_owned());
            first_questions()
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
            KeyCode::Char('y' | 'Y') => vec![Effect::Leave(Left::Stop)],
            // Whoever only wants the question gone goes on farming.
            KeyCode::Char('n' | 'N') | KeyCode::Esc | KeyCode::Enter => Vec::new(),
            _ => {
                model.dialog = Some(Dialog::Quit);
                Vec::new()
            }
        },
        Some(Dialog::Help { scroll }) => {
            let dialog = |scroll| Dialog::Help { scroll };
            handle_text_key(model, key, scroll, help_end(), dialog)
        }
        Some(Dialog::Report { what, scroll }) => {
            let dialog = |scroll| Dialog::Report { what, scroll };
            handle_text_key(model, key, scroll, REPORT_END, dialog)
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

fn handle_mouse(model: &mut Model, mouse: Mouse) -> Vec<Effect> {
    model.remark = None;
    match (&mut model.dialog, mouse) {
        (None, Mouse::Wheel(rows)) => step(model, Step::By(rows)),
        (None, Mouse::Click(target)) => click(model, target),
        (Some(Dialog::Help { scroll } | Dialog::Report { scroll, .. }), Mouse::Wheel(rows)) => {
            let rows = i16::try_from(rows).unwrap_or(0);
            *scroll = scroll.saturating_add_signed(rows).min(REPORT_END);
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
        Target::Proof(number) => selection.proof = Some(number),
        Target::Pool(launcher_id) => selection.pool = Some(launcher_id),
        Target::Entry(number) => selection.entry = Some(number),
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
        Target::List(kind) => return turn_to(model, kind),
        Target::Sort(by) => {
            let order = model.order().pressed(by);
            return sort(model, order);
        }
    }
    Vec::new()
}

/// What a key did to a line that is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    GoesOn,
    Done,
    Undone,
}

fn edit(text: &mut String, key: KeyEvent, longest: usize) -> Typing {
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
fn handle_text_key(
    model: &mut Model,
    key: KeyEvent,
    scroll: u16,
    last: u16,
    dialog: impl Fn(u16) -> Dialog,
) -> Vec<Effect> {
    let scroll = match keymap::action(key, model.screen, false) {
        Some(Action::Up) => scroll.saturating_sub(1),
        Some(Action::Down) => scroll.saturating_add(1).min(last),
        Some(Action::PageUp) => scroll.saturating_sub(10),
        Some(Action::PageDown) => scroll.saturating_add(10).min(last),
        Some(Action::Home) => 0,
        Some(Action::End) => last,
        Some(Action::Back | Action::Leave | Action::Open) => return Vec::new(),
        // The key that opened it closes it.
        Some(Action::Help) if matches!(dialog(0), Dialog::Help { .. }) => return Vec::new(),
        Some(Action::Tell(what)) if matches!(dialog(0), Dialog::Report { what: open, .. } if open == what) => {
            return Vec::new();
        }
        Some(
            action @ (Action::Show(_)
            | Action::Suspend
            | Action::Repaint
            | Action::Help
            | Action::Tell(_)
            | Action::Privacy),
        ) => {
            let effects = act(model, action);
            if action == Action::Privacy {
                model.dialog = Some(dialog(scroll));
            }
            return effects;
        }
        _ => scroll,
    };
    model.dialog = Some(dialog(scroll));
    Vec::new()
}

/// No report is longer.
const REPORT_END: u16 = 400;

/// The help is no longer than twice its table, even where most lines wrap.
fn help_end() -> u16 {
    u16::try_from(keymap::BINDINGS.len() * 2).unwrap_or(u16::MAX)
}

fn handle_filter_key(model: &mut Model, key: KeyEvent, before: String) -> Vec<Effect> {
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
fn filtered(model: &mut Model) -> Vec<Effect> {
    match file_list(model) {
        Some(list) => {
            list.selected = 0;
            ask_files(model)
        }
        None => Vec::new(),
    }
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

/// Begins to type a new name for the selected harvester.
fn rename(model: &mut Model) {
    let selected = match &model.details {
        Some(details) => Some(details.harvester),
        None => model.selection.harvester,
    };
    let known = &model.snapshot.harvesters;
    let harvester = known.iter().find(|h| Some(h.id) == selected);
    let on_screen = matches!(model.screen, Screen::Farm | Screen::Harvesters);
    match harvester.filter(|_| on_screen) {
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
        None => model.remark = Some("select a harvester first, on screen 2".to_owned()),
    }
}

/// Has the harvester renamed, if that is a name.
fn renamed(model: &mut Model, harvester: HarvesterId, name: String) -> Vec<Effect> {
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

/// Asks for the name of the file, with one that nobody has used yet.
fn begin_to_save(model: &mut Model) {
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

fn save(model: &mut Model, path: String) -> Vec<Effect> {
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

fn acknowledge(model: &mut Model) -> Vec<Effect> {
    let selected = model.selection.alarm;
    let rows = model.alarms();
    let alarm = rows
        .iter()
        .filter(|a| a.closed_at_unix_ms.is_none() && !a.acknowledged)
        .find(|a| selected.is_none_or(|number| number == a.number))
        .map(|a| a.number);
    match alarm {
        Some(number) => vec![Effect::Acknowledge(number)],
        None => {
            model.remark = Some("nothing to acknowledge here".to_owned());
            Vec::new()
        }
    }
}

/// Silences the rule of the selected (or first) open alarm on its machine, or ends that.
fn silence(model: &mut Model) -> Vec<Effect> {
    let selected = model.selection.alarm;
    let rows = model.alarms();
    let mut open = rows.iter().filter(|a| a.closed_at_unix_ms.is_none());
    let alarm = open.find(|a| selected.is_none_or(|number| number == a.number));
    match alarm {
        Some(alarm) => vec![Effect::Silence {
            rule: alarm.kind.rule(),
            machine: alarm.kind.machine(),
            for_s: if alarm.silenced { 0 } else { 3_600 },
        }],
        None => {
            model.remark = Some("nothing to silence here".to_owned());
            Vec::new()
        }
    }
}

/// Opens the selected drive, or the details of the selected (or first) harvester at the first list that has files.
fn open(model: &mut Model) -> Vec<Effect> {
    if model.file_list().is_some() {
        return open_drive(model);
    }
    if !matches!(model.screen, Screen::Farm | Screen::Harvesters) {
        return Vec::new();
    }
    let rows = model.harvesters();
    let selected = rows
        .iter()
        .find(|h| Some(h.id) == model.selection.harvester)
        .or_else(|| rows.first());
    let Some(harvester) = selected.copied() else {
        return Vec::new();
    };
    let list = LISTS_OF_HARVESTER
        .into_iter()
        .find(|list| file_count(model.shown(), harvester, *list) > 0)
        .unwrap_or(ListKind::Failed);
    let id = harvester.id;
    model.selection.harvester = Some(id);
    model.screen = Screen::Harvesters;
    model.details = Some(Details {
        harvester: id,
        files: FileList::new(Some(id), list),
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
fn group_by_drive(model: &mut Model) -> Vec<Effect> {
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
fn scroll_facts(model: &mut Model, by: i16) {
    let facts = views::harvester::fact_count(model);
    if let Some(details) = &mut model.details {
        let last = facts.saturating_sub(1);
        details.facts_scroll = details.facts_scroll.saturating_add_signed(by).min(last);
    }
}

fn turn_list(model: &mut Model, steps: isize) -> Vec<Effect> {
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

fn turn_to(model: &mut Model, kind: ListKind) -> Vec<Effect> {
    if let Some(list) = file_list(model) {
        list.turn_to(kind);
    }
    ask_files(model)
}

fn file_list(model: &mut Model) -> Option<&mut FileList> {
    match (&mut model.details, model.screen) {
        (Some(details), _) => Some(&mut details.files),
        (None, Screen::Plots) => Some(&mut model.plots),
        (None, _) => None,
    }
}

/// Asks for the part of the open list around its selection.
fn ask_files(model: &mut Model) -> Vec<Effect> {
    let (words, order, count) = (model.filter.clone(), model.orders.of(Screen::Plots), model.file_count());
    match file_list(model) {
        Some(list) => vec![Effect::Page(list.ask(&words, order, count))],
        None => Vec::new(),
    }
}

/// Asks again when the list that is open has got longer or shorter.
fn refresh_files(model: &mut Model) -> Vec<Effect> {
    if model.frozen.is_some() || model.link != Link::Up {
        return Vec::new();
    }
    let count = model.file_count();
    match model.file_list() {
        Some(list) if !list.is_current(count) => ask_files(model),
        _ => Vec::new(),
    }
}

/// How the selection moves.
#[derive(Clone, Copy, Debug)]
enum Step {
    By(i64),
    First,
    Last,
}

impl Step {
    /// From row `at` (none is selected: the first step selects an end) among `count` rows.
    fn from(self, at: Option<usize>, count: usize) -> Option<usize> {
        let last = count.checked_sub(1)?;
        Some(match (self, at) {
            (Self::First, _) => 0,
            (Self::Last, _) => last,
            (Self::By(by), Some(at)) => {
                let by_abs = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                if by < 0 {
                    at.saturating_sub(by_abs)
                } else {
                    at.saturating_add(by_abs).min(last)
                }
            }
            (Self::By(by), None) => {
                if by < 0 {
                    last
                } else {
                    0
                }
            }
        })
    }
}

fn page_rows(model: &Model) -> i64 {
    i64::from(model.size.1.saturating_sub(10)).max(1)
}

fn step(model: &mut Model, step: Step) -> Vec<Effect> {
    if model.file_list().is_some() {
        return step_files(model, step);
    }
    match model.screen {
        Screen::Farm | Screen::Harvesters => {
            let ids: Vec<HarvesterId> = model.harvesters().iter().map(|h| h.id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.harvester);
            model.selection.harvester = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Proofs => {
            let numbers: Vec<u64> = model.proofs().iter().map(|p| p.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.proof);
            model.selection.proof = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
        Screen::Pools => {
            let ids: Vec<_> = model.pools().iter().map(|pool| pool.launcher_id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.pool);
            model.selection.pool = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Alarms => {
            let numbers: Vec<u64> = model.alarms().iter().map(|a| a.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.alarm);
            model.selection.alarm = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
        Screen::Plots => {}
        Screen::Messages => step_messages(model, step),
    }
    Vec::new()
}

/// Nothing selected means following the newest, which is the last row.
fn step_messages(model: &mut Model, step: Step) {
    let numbers: Vec<u64> = model.entries().map(|e| e.number).collect();
    let at = numbers.iter().position(|n| Some(*n) == model.selection.entry);
    let follows = model.selection.entry.is_none();
    let to_the_end =
        matches!(step, Step::Last) || matches!((step, at), (Step::By(1..), Some(at)) if at + 1 >= numbers.len());
    model.selection.entry = if to_the_end || (follows && matches!(step, Step::By(1..))) {
        None
    } else {
        step.from(at, numbers.len()).map(|n| numbers[n])
    };
}

fn step_files(model: &mut Model, step: Step) -> Vec<Effect> {
    let Some(list) = file_list(model) else {
        return Vec::new();
    };
    let Some(total) = list.total() else {
        return Vec::new();
    };
    let at = usize::try_from(list.selected).ok();
    let count = usize::try_from(total).unwrap_or(usize::MAX);
    list.selected = step.from(at, count).map_or(0, |n| n as u64);
    if list.runs_out() { ask_files(model) } else { Vec::new() }
}
