//! Every screen in every state at every size: one file a screen and state, with all sizes one below the other.
//!
//! What there is to draw is data ([`Page::all`], [`State`], [`Page::states`], [`SIZES`]), so a new screen or state without
//! its file fails, and so does a file that nothing draws any more.

use std::path::Path;
use std::sync::Arc;

use crossterm::event::KeyCode;
use farmconsole::snapshot::FarmSnapshot;
use farmconsole::snapshot::page::{Grouping, ListKind, Page as FilePage, PageRequest};

use super::super::files::fleet_count;
use super::super::last_look::LastLook;
use super::super::machine;
use super::super::message::{Effect, Message};
use super::super::model::{Dialog, Model, Report};
use super::super::samples;
use super::super::screen::Screen;
use super::super::update::update;
use super::{buffer, code, console, looks, pass, press, resize, shot, stored, with_meanings};
use crate::feed::{FarmerPlace, FeedItem};

/// Side by side, stacked, one panel, a sentence.
pub(in super::super) const SIZES: [(u16, u16); 4] = [(120, 36), (80, 24), (60, 16), (30, 8)];

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Screen(Screen),
    /// One harvester.
    Details,
    /// The look-ups of every harvester over time.
    OverTime,
    /// Files by the drive they are on.
    Drives,
    /// Plots that drives have lost.
    LostPlots,
    /// A message in full.
    Entry,
    /// A proof or a pool in full, on that screen.
    Full(Screen),
    Report(Report),
    Help,
    /// "Quit and stop farming?"
    Quit,
}

impl Page {
    fn all() -> Vec<Self> {
        let screens = Screen::ALL.map(Self::Screen);
        let reports = Report::ALL.map(Self::Report);
        let others = [
            Self::Details,
            Self::OverTime,
            Self::Drives,
            Self::LostPlots,
            Self::Entry,
            Self::Full(Screen::Proofs),
            Self::Full(Screen::Pools),
            Self::Help,
            Self::Quit,
        ];
        screens.into_iter().chain(reports).chain(others).collect()
    }

    /// The directory of its files.
    fn name(self) -> String {
        match self {
            Self::Screen(screen) => screen.tab().1.to_lowercase(),
            Self::Details => "harvester".to_owned(),
            Self::OverTime => "over_time".to_owned(),
            Self::Drives => "drives".to_owned(),
            Self::LostPlots => "lost_plots".to_owned(),
            Self::Entry => "message".to_owned(),
            Self::Full(screen) => format!("{}_in_full", screen.tab().1.to_lowercase()),
            Self::Report(Report::Upgrade) => "upgrade".to_owned(),
            Self::Report(Report::Monitor) => "monitor".to_owned(),
            Self::Report(Report::SinceLastLook) => "since_last_look".to_owned(),
            Self::Help => "help".to_owned(),
            Self::Quit => "quit".to_owned(),
        }
    }

    /// The states that mean something for it: no pool is late, and the keys are the same on every farm.
    fn states(self) -> Vec<State> {
        let but = |left_out: &[State]| State::ALL.into_iter().filter(|it| !left_out.contains(it)).collect();
        match self {
            Self::Screen(Screen::Harvesters) => but(&[]),
            Self::Screen(Screen::Farm) => but(&[State::Revoked]),
            Self::Screen(Screen::Messages) => but(&[State::Silent, State::Revoked]),
            Self::Screen(Screen::Plots | Screen::Proofs) => but(&[State::Late, State::Silent, State::Revoked]),
            Self::Screen(Screen::Pools) => but(&[State::Late, State::Silent, State::Revoked, State::Simulated]),
            Self::Screen(Screen::Alarms) => but(&[State::One, State::Revoked, State::Simulated]),
            Self::Details => but(&[State::Silent, State::OnlyWrong]),
            Self::Report(Report::Upgrade) => vec![State::Empty, State::Many, State::Troubled, State::Private],
            Self::Report(Report::Monitor) => vec![State::Empty, State::Many, State::Lost, State::Troubled],
            Self::Report(Report::SinceLastLook) => vec![State::Empty, State::Many, State::Troubled, State::Private],
            Self::OverTime => vec![State::One, State::Many, State::Troubled, State::Private],
            Self::Drives => vec![State::Empty, State::Many, State::Private],
            Self::LostPlots => vec![State::Many, State::Troubled, State::Private],
            Self::Entry | Self::Full(_) => vec![State::Many, State::Private],
            Self::Help => vec![State::Many],
            Self::Quit => vec![State::Many, State::Simulated],
        }
    }

    /// The page that `model` shows; typed lines are no pages, [`looks`] has them.
    fn of(model: &Model) -> Option<Self> {
        match &model.dialog {
            Some(Dialog::Help { .. }) => Some(Self::Help),
            Some(Dialog::Quit) => Some(Self::Quit),
            Some(Dialog::Report { what, .. }) => Some(Self::Report(*what)),
            Some(Dialog::Filter { .. } | Dialog::Save { .. } | Dialog::Rename { .. }) => None,
            Some(Dialog::Entry { .. }) => Some(Self::Entry),
            Some(Dialog::Full { .. }) => Some(Self::Full(model.screen)),
            None if model.details.is_some() => Some(Self::Details),
            None if model.screen == Screen::Harvesters && model.heat_map => Some(Self::OverTime),
            None if model.screen == Screen::Plots && model.plots.grouping == Grouping::Directory => Some(Self::Drives),
            None if model.screen == Screen::Plots && model.plots.list == ListKind::Lost => Some(Self::LostPlots),
            None => Some(Self::Screen(model.screen)),
        }
    }
}

/// How it stands about the farm, or what the person did to the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    One,
    Many,
    /// One harvester answers late.
    Late,
    /// The farmer is gone.
    Lost,
    /// The farmer is there, and says nothing.
    Silent,
    /// Late, silent and absent harvesters, files that are not farmed, six alarms.
    Troubled,
    /// One harvester was sent away for good.
    Revoked,
    Private,
    Simulated,
    Frozen,
    Filtered,
    OnlyWrong,
}

impl State {
    const ALL: [Self; 13] = [
        Self::Empty,
        Self::One,
        Self::Many,
        Self::Late,
        Self::Lost,
        Self::Silent,
        Self::Troubled,
        Self::Revoked,
        Self::Private,
        Self::Simulated,
        Self::Frozen,
        Self::Filtered,
        Self::OnlyWrong,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::One => "one",
            Self::Many => "many",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Troubled => "troubled",
            Self::Revoked => "revoked",
            Self::Private => "private",
            Self::Simulated => "simulated",
            Self::Frozen => "frozen",
            Self::Filtered => "filtered",
            Self::OnlyWrong => "only_wrong",
        }
    }

    fn farm(self) -> FarmSnapshot {
        match self {
            Self::Empty => samples::empty(),
            Self::One => FarmSnapshot {
                pools: samples::pooled().pools.into_iter().take(1).collect(),
                ..samples::one()
            },
            Self::Many | Self::Lost | Self::Silent | Self::Frozen => samples::pooled(),
            Self::Late => samples::one_late(),
            Self::Revoked => samples::one_revoked(),
            Self::Troubled | Self::Private | Self::Filtered | Self::OnlyWrong => troubled(),
            Self::Simulated => samples::simulated(),
        }
    }
}

/// Everything wrong at once.
fn troubled() -> FarmSnapshot {
    let mut farm = samples::troubled();
    for (n, protocol) in [(1, "0.0.36"), (2, "0.0.37"), (3, "0.0.37"), (8, "0.0.35")] {
        farm.harvesters[n].protocol_version = protocol.to_owned();
    }
    farm.monitor = samples::monitor();
    farm.totals.ca_key_copies = 7;
    farm.counters.duplicate_proofs = 2;
    FarmSnapshot {
        pools: samples::pooled().pools,
        ..farm
    }
}

/// A console with `page` open, in `state`.
fn opened(page: Page, state: State) -> Model {
    let (columns, rows) = SIZES[0];
    let mut model = console(state.farm(), columns, rows);
    match page {
        Page::Screen(screen) => key(&mut model, screen.tab().0),
        Page::Details => open_details(&mut model, state),
        Page::OverTime => keys(&mut model, "2t"),
        Page::Drives => keys(&mut model, "3d"),
        // The last list is the one before the first.
        Page::LostPlots => keys(&mut model, "3h"),
        Page::Entry => {
            keys(&mut model, "6k");
            code(&mut model, KeyCode::Enter);
        }
        Page::Full(screen) => {
            key(&mut model, screen.tab().0);
            code(&mut model, KeyCode::Enter);
        }
        Page::Report(Report::Upgrade) => key(&mut model, 'u'),
        Page::Report(Report::Monitor) => key(&mut model, 'i'),
        Page::Report(Report::SinceLastLook) => {
            if state != State::Empty {
                let look = LastLook {
                    at_unix_ms: samples::NOW - 3_600_000,
                    plots: 6_694,
                    connected: 9,
                    ..LastLook::at(&model.snapshot)
                };
                update(&mut model, Message::LastLook(look));
                code(&mut model, KeyCode::Esc);
            }
            key(&mut model, 'w');
        }
        Page::Help => key(&mut model, '?'),
        Page::Quit => {
            model.place = FarmerPlace::Here;
            key(&mut model, 'q');
        }
    }
    assert_eq!(Page::of(&model), Some(page));
    match state {
        State::Lost => {
            let reason = "closed at /home/ann/.farmconsole/control.sock".to_owned();
            update(&mut model, Message::Item(FeedItem::Lost(reason)));
            update(&mut model, Message::Quiet { for_s: 75 });
        }
        State::Silent => {
            update(&mut model, Message::Quiet { for_s: 75 });
        }
        State::Private => key(&mut model, 'p'),
        State::OnlyWrong => key(&mut model, '!'),
        State::Filtered => {
            key(&mut model, '/');
            keys(&mut model, words(page));
            code(&mut model, KeyCode::Enter);
        }
        State::Frozen => {
            key(&mut model, ' ');
            for n in 0..1_234 {
                pass(&mut model, samples::NOW + n, "barn-1");
            }
            update(&mut model, Message::Snapshot(Arc::new(troubled())));
        }
        _ => {}
    }
    model
}

/// Words that some rows of the page have.
const fn words(page: Page) -> &'static str {
    match page {
        Page::Screen(Screen::Plots) | Page::Details => "d7 k32",
        Page::Screen(Screen::Pools) => "pool.example",
        Page::Screen(Screen::Messages) => "farming_info shelf",
        Page::Screen(Screen::Alarms) => "answer",
        _ => "barn",
    }
}

/// Opens the harvester that the state is about. Without one on the farm it is one that is not remembered any more.
fn open_details(model: &mut Model, state: State) {
    if state == State::Empty {
        update(model, Message::Snapshot(Arc::new(samples::one())));
    }
    key(model, '2');
    let name = match state {
        State::Late => "shelf-2",
        State::Troubled | State::Private | State::Filtered => "barn-2",
        State::Revoked => "garage",
        State::Simulated => "harvester-2",
        _ => "barn-3",
    };
    let selected = |model: &Model| {
        let rows = model.harvesters();
        rows.iter()
            .any(|h| Some(h.id) == model.selection.harvester && h.name == name)
    };
    while !selected(model) {
        key(model, 'j');
    }
    let asked = code(model, KeyCode::Enter);
    answered(model, asked);
    if state == State::Empty {
        update(model, Message::Snapshot(Arc::new(samples::empty())));
    }
}

/// Presses a key, and answers what the console asks for then.
fn key(model: &mut Model, key: char) {
    let asked = press(model, key);
    answered(model, asked);
}

fn keys(model: &mut Model, keys: &str) {
    keys.chars().for_each(|it| key(model, it));
}

fn answered(model: &mut Model, asked: Vec<Effect>) {
    for effect in asked {
        match effect {
            Effect::Page(request) => {
                let result = Ok(files(model, &request));
                update(model, Message::Page { request, result });
            }
            Effect::History(request) => {
                let result = Ok(samples::past(&request));
                update(model, Message::History { request, result });
            }
            other => panic!("{other:?} was not expected"),
        }
    }
}

fn files(model: &Model, request: &PageRequest) -> FilePage {
    if request.grouping == Grouping::Directory {
        let has_plots = fleet_count(model.shown(), request.list) > 0;
        return if has_plots {
            samples::drives()
        } else {
            FilePage::default()
        };
    }
    let count = match request.harvester {
        Some(_) => model.file_count(),
        None => fleet_count(model.shown(), request.list),
    };
    let count = if request.words.is_empty() { count } else { count.min(12) };
    match request.list {
        ListKind::Lost if count > 0 => samples::lost_page(),
        list => samples::page(count, matches!(list, ListKind::Plots | ListKind::Shared)),
    }
}

/// What a page looks like at every size.
fn drawn(page: Page, state: State) -> String {
    let mut model = opened(page, state);
    let sizes = SIZES.map(|(columns, rows)| {
        resize(&mut model, columns, rows);
        format!("=== {columns} x {rows}\n{}", with_meanings(&buffer(&model)))
    });
    sizes.join("\n")
}

#[test]
fn every_screen_in_every_state_at_every_size() {
    for page in Page::all() {
        for state in page.states() {
            shot(&page.name(), state.name(), &drawn(page, state));
        }
    }
}

/// Files that nothing draws any more would be read as the truth.
#[test]
fn no_file_is_missing_and_none_is_left_over() {
    let pages = Page::all().into_iter().flat_map(|page| {
        let states = page.states().into_iter();
        states.map(move |state| format!("{}/{}", page.name(), state.name()))
    });
    let machine = machine::screens::STATES.map(|(name, _)| format!("machine/{name}"));
    let looks = looks::NAMES.map(|name| format!("looks/{name}"));
    let mut expected: Vec<_> = pages.chain(machine).chain(looks).collect();
    expected.sort();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    assert_eq!(stored(&directory, ""), expected);
}
