//! The only place that writes the model. Pure: what shall happen outside is returned.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use farmconsole::runtime::RecentKind;
use farmconsole::snapshot::HarvesterId;
use farmconsole::snapshot::page::ListKind;

use super::keymap::{self, Action};
use super::message::{Effect, Message};
use super::model::{Details, Dialog, FILE_PAGE, Files, Frozen, Link, Model, Screen, file_count};
use super::run::Left;
use super::views;
use crate::feed::{FarmerPlace, FeedItem};

/// Longest filter a person can type.
const FILTER_MAX: usize = 60;

/// Seconds without a snapshot before it is said.
const QUIET_AFTER_S: u64 = 5;

/// Rows of the lists of files, in the order the arrow keys go.
const LISTS: [ListKind; 4] = [ListKind::Failed, ListKind::NoKey, ListKind::Duplicates, ListKind::Plots];

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
        Message::Resized(columns, rows) => {
            model.size = (columns, rows);
            Vec::new()
        }
        Message::Snapshot(snapshot) => {
            model.snapshot = snapshot;
            model.quiet_s = None;
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
            if let Some(details) = &mut model.details
                && Some(details.harvester) == request.harvester
                && details.list == request.list
            {
                details.files = match result {
                    Ok(page) => {
                        details.selected = details.selected.min(page.total.saturating_sub(1));
                        Files::Ready {
                            offset: request.offset,
                            page,
                        }
                    }
                    Err(reason) => Files::Failed(reason),
                };
            }
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
        Some(Dialog::Help { scroll }) => handle_help_key(model, key, scroll),
        Some(Dialog::Filter { before }) => {
            handle_filter_key(model, key, before);
            Vec::new()
        }
    }
}

fn handle_help_key(model: &mut Model, key: KeyEvent, scroll: u16) -> Vec<Effect> {
    let last = u16::try_from(keymap::BINDINGS.len()).unwrap_or(u16::MAX);
    let scroll = match keymap::action(key, model.screen, false) {
        Some(Action::Up) => scroll.saturating_sub(1),
        Some(Action::Down) => scroll.saturating_add(1).min(last),
        Some(Action::PageUp) => scroll.saturating_sub(10),
        Some(Action::PageDown) => scroll.saturating_add(10).min(last),
        Some(Action::Home) => 0,
        Some(Action::Help | Action::Back | Action::Leave | Action::Open) => return Vec::new(),
        Some(action @ (Action::Show(_) | Action::Suspend | Action::Repaint)) => return act(model, action),
        _ => scroll,
    };
    model.dialog = Some(Dialog::Help { scroll });
    Vec::new()
}

fn handle_filter_key(model: &mut Model, key: KeyEvent, before: String) {
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Enter, _) => return,
        (KeyCode::Esc, _) | (KeyCode::Char('c'), true) => {
            model.filter = before;
            return;
        }
        (KeyCode::Char('u'), true) => model.filter.clear(),
        (KeyCode::Backspace, _) => {
            model.filter.pop();
        }
        (KeyCode::Char(c), false) if !c.is_control() && model.filter.chars().count() < FILTER_MAX => {
            model.filter.push(c);
        }
        _ => {}
    }
    model.dialog = Some(Dialog::Filter { before });
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Show(screen) => show(model, screen),
        Action::NextScreen => show(model, neighbour(model.screen, 1)),
        Action::PreviousScreen => show(model, neighbour(model.screen, Screen::ALL.len() - 1)),
        Action::Up => return step(model, Step::By(-1)),
        Action::Down => return step(model, Step::By(1)),
        Action::PageUp => return step(model, Step::By(-page_rows(model))),
        Action::PageDown => return step(model, Step::By(page_rows(model))),
        Action::Home => return step(model, Step::First),
        Action::End => return step(model, Step::Last),
        Action::FactsUp => scroll_facts(model, -1),
        Action::FactsDown => scroll_facts(model, 1),
        Action::Left => return turn_list(model, LISTS.len() - 1),
        Action::Right => return turn_list(model, 1),
        Action::Open => return open(model),
        Action::Back => back(model),
        Action::Filter => {
            let before = model.filter.clone();
            model.dialog = Some(Dialog::Filter { before });
        }
        Action::OnlyWrong => model.only_wrong = !model.only_wrong,
        Action::Freeze => freeze(model),
        Action::Sort => model.sort = model.sort.next(),
        Action::Reverse => model.reversed = !model.reversed,
        Action::Acknowledge => return acknowledge(model),
        Action::Privacy => model.privacy = !model.privacy,
        Action::Help => model.dialog = Some(Dialog::Help { scroll: 0 }),
        Action::Leave => match model.place {
            FarmerPlace::Here => model.dialog = Some(Dialog::Quit),
            FarmerPlace::Elsewhere => return vec![Effect::Leave(Left::Detached)],
        },
        Action::Suspend => match model.place {
            FarmerPlace::Here => {
                model.remark = Some("not suspended: farming happens in this window and would stand still".to_owned());
            }
            FarmerPlace::Elsewhere => return vec![Effect::Suspend],
        },
        Action::Repaint => return vec![Effect::Repaint],
    }
    Vec::new()
}

fn show(model: &mut Model, screen: Screen) {
    model.screen = screen;
    model.details = None;
}

fn neighbour(screen: Screen, steps: usize) -> Screen {
    let at = Screen::ALL.iter().position(|s| *s == screen).unwrap_or_default();
    Screen::ALL[(at + steps) % Screen::ALL.len()]
}

fn back(model: &mut Model) {
    if model.details.take().is_none() {
        model.filter.clear();
    }
}

fn freeze(model: &mut Model) {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Frozen {
            snapshot: Arc::clone(&model.snapshot),
            entries: model.stream.entries().cloned().collect(),
            passed: 0,
        }),
    };
}

fn acknowledge(model: &mut Model) -> Vec<Effect> {
    let selected = model.selection.alarm;
    let open = || {
        model
            .alarms()
            .filter(|a| a.closed_at_unix_ms.is_none() && !a.acknowledged)
    };
    let alarm = open().find(|a| Some(a.number) == selected).map(|a| a.number);
    let alarm = alarm.or_else(|| {
        if selected.is_none() {
            open().next().map(|a| a.number)
        } else {
            None
        }
    });
    match alarm {
        Some(number) => vec![Effect::Acknowledge(number)],
        None => {
            model.remark = Some("nothing to acknowledge here".to_owned());
            Vec::new()
        }
    }
}

/// Opens the details of the selected (or first) harvester, at the first list that has files.
fn open(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.screen, Screen::Farm | Screen::Harvesters) || model.details.is_some() {
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
    let list = LISTS
        .into_iter()
        .find(|list| file_count(harvester, *list) > 0)
        .unwrap_or(ListKind::Failed);
    let details = Details {
        harvester: harvester.id,
        list,
        files: Files::Loading,
        selected: 0,
        facts_scroll: 0,
        asked_at_count: file_count(harvester, list),
    };
    let ask = Effect::Page(details.request());
    model.selection.harvester = Some(details.harvester);
    model.screen = Screen::Harvesters;
    model.details = Some(details);
    vec![ask]
}

/// Moves the facts of the open harvester, which may be more than there is room for, so far that one stays.
fn scroll_facts(model: &mut Model, by: i16) {
    let facts = views::harvester::fact_count(model);
    if let Some(details) = &mut model.details {
        let last = facts.saturating_sub(1);
        details.facts_scroll = details.facts_scroll.saturating_add_signed(by).min(last);
    }
}

fn turn_list(model: &mut Model, steps: usize) -> Vec<Effect> {
    let Some((_, harvester)) = model.detailed() else {
        return Vec::new();
    };
    let harvester = harvester.clone();
    let Some(details) = &mut model.details else {
        return Vec::new();
    };
    let at = LISTS.iter().position(|list| *list == details.list).unwrap_or_default();
    details.list = LISTS[(at + steps) % LISTS.len()];
    details.files = Files::Loading;
    details.selected = 0;
    details.asked_at_count = file_count(&harvester, details.list);
    vec![Effect::Page(details.request())]
}

/// Asks again when the list that is open has got longer or shorter.
fn refresh_files(model: &mut Model) -> Vec<Effect> {
    if model.frozen.is_some() {
        return Vec::new();
    }
    let Some((details, harvester)) = model.detailed() else {
        return Vec::new();
    };
    let count = file_count(harvester, details.list);
    if count == details.asked_at_count {
        return Vec::new();
    }
    let Some(details) = &mut model.details else {
        return Vec::new();
    };
    details.asked_at_count = count;
    vec![Effect::Page(details.request())]
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
    if model.details.is_some() {
        return step_files(model, step);
    }
    match model.screen {
        Screen::Farm | Screen::Harvesters => {
            let ids: Vec<HarvesterId> = model.harvesters().iter().map(|h| h.id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.harvester);
            model.selection.harvester = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Proofs => {
            let numbers: Vec<u64> = model.proofs().map(|p| p.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.proof);
            model.selection.proof = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
        Screen::Pools => {
            let ids: Vec<_> = model.pools().iter().map(|pool| pool.launcher_id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.pool);
            model.selection.pool = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Alarms => {
            let numbers: Vec<u64> = model.alarms().map(|a| a.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.alarm);
            model.selection.alarm = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
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
    let Some(details) = &mut model.details else {
        return Vec::new();
    };
    let Files::Ready { offset, page } = &details.files else {
        return Vec::new();
    };
    let (total, from, to) = (page.total, *offset, *offset + page.items.len() as u64);
    let at = usize::try_from(details.selected).ok();
    let count = usize::try_from(total).unwrap_or(usize::MAX);
    details.selected = step.from(at, count).map_or(0, |n| n as u64);
    // A screenful beyond the selection must be there, or it is fetched.
    let margin = u64::from(FILE_PAGE) / 5;
    let missing_above = details.selected.saturating_sub(margin) < from;
    let missing_below = details.selected.saturating_add(margin).min(total) > to;
    if missing_above || missing_below {
        vec![Effect::Page(details.request())]
    } else {
        Vec::new()
    }
}
