//! Every key of the console in one table. The help is made from it, so it cannot be out of date.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::Report;
use super::screen::Screen;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Show(Screen),
    NextScreen,
    PreviousScreen,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Left,
    Right,
    FactsUp,
    FactsDown,
    Open,
    Back,
    Filter,
    OnlyWrong,
    Freeze,
    Sort,
    Reverse,
    Acknowledge,
    Silence,
    Rename,
    Copy,
    Save,
    Drives,
    Mouse,
    HeatMap,
    Level,
    Tell(Report),
    Privacy,
    Help,
    Leave,
    Suspend,
    Repaint,
}

/// Where a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On every screen.
    Everywhere,
    /// On this screen (and in its details).
    On(Screen),
    /// In the details of a harvester.
    Details,
    /// Where lists of files are: in the details of a harvester, and on Plots.
    Files,
}

impl Place {
    /// Whether `screen`, or the details that are open on it, is such a place.
    pub(super) fn is(self, screen: Screen, in_details: bool) -> bool {
        match self {
            Self::Everywhere => true,
            Self::On(place) => place == screen,
            Self::Details => in_details,
            Self::Files => in_details || screen == Screen::Plots,
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Binding {
    keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys as the help names them.
    pub(super) shown: &'static str,
    /// What it does.
    pub(super) action: Action,
    /// Where.
    pub(super) place: Place,
    /// What it does, for the help; empty where the line above says it already.
    pub(super) help: &'static str,
    /// The same in a word, for the last line of the screen; empty for keys that are not shown there.
    pub(super) hint: &'static str,
}

/// What `key` does on `screen`.
pub(super) fn action(key: KeyEvent, screen: Screen, in_details: bool) -> Option<Action> {
    // Shift is part of the character already.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    BINDINGS
        .iter()
        .filter(|b| b.place.is(screen, in_details))
        .find(|b| b.keys.contains(&(key.code, modifiers)))
        .map(|b| b.action)
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

/// The table.
pub(super) const BINDINGS: &[Binding] = &[
    Binding {
        keys: &[(KeyCode::Char('q'), NONE), (KeyCode::Char('c'), CTRL)],
        shown: "q",
        action: Action::Leave,
        place: Place::Everywhere,
        help: "leave: detaches from a daemon; asks first when farming happens in this window",
        hint: "quit",
    },
    Binding {
        keys: &[(KeyCode::Char('?'), NONE), (KeyCode::F(1), NONE)],
        shown: "?",
        action: Action::Help,
        place: Place::Everywhere,
        help: "this help",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Enter, NONE)],
        shown: "enter",
        action: Action::Open,
        place: Place::Everywhere,
        help: "open the details of the selected row or alarm's harvester",
        hint: "details",
    },
    Binding {
        keys: &[(KeyCode::Esc, NONE), (KeyCode::Backspace, NONE)],
        shown: "esc",
        action: Action::Back,
        place: Place::Everywhere,
        help: "go back: close the details, then the filter; never quits",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('!'), NONE)],
        shown: "!",
        action: Action::OnlyWrong,
        place: Place::Everywhere,
        help: "only what is wrong, on every screen",
        hint: "only wrong",
    },
    Binding {
        keys: &[(KeyCode::Char('/'), NONE)],
        shown: "/",
        action: Action::Filter,
        place: Place::Everywhere,
        help: "show only rows with these words",
        hint: "filter",
    },
    Binding {
        keys: &[(KeyCode::Char(' '), NONE)],
        shown: "space",
        action: Action::Freeze,
        place: Place::Everywhere,
        help: "freeze the lists to read them; the header stays live",
        hint: "freeze",
    },
    Binding {
        keys: &[(KeyCode::Char('s'), NONE)],
        shown: "s",
        action: Action::Sort,
        place: Place::Everywhere,
        help: "sort by the next column; a click on the head of a column sorts by it",
        hint: "sort",
    },
    Binding {
        keys: &[(KeyCode::Char('r'), NONE)],
        shown: "r",
        action: Action::Reverse,
        place: Place::Everywhere,
        help: "reverse the order",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('a'), NONE)],
        shown: "a",
        action: Action::Acknowledge,
        place: Place::On(Screen::Alarms),
        help: "acknowledge the selected alarm",
        hint: "acknowledge",
    },
    Binding {
        keys: &[(KeyCode::Char('z'), NONE)],
        shown: "z",
        action: Action::Silence,
        place: Place::On(Screen::Alarms),
        help: "tell nobody of such alarms of this machine for an hour; again: tell",
        hint: "silence",
    },
    Binding {
        keys: &[(KeyCode::Left, NONE), (KeyCode::Char('h'), NONE)],
        shown: "left h",
        action: Action::Left,
        place: Place::Files,
        help: "previous list of files",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Right, NONE), (KeyCode::Char('l'), NONE)],
        shown: "right l",
        action: Action::Right,
        place: Place::Files,
        help: "next list of files: plots, failed, no key, duplicates; on Plots also farmed twice and lost",
        hint: "next list",
    },
    Binding {
        keys: &[(KeyCode::Char(']'), NONE), (KeyCode::Char('J'), NONE)],
        shown: "] J",
        action: Action::FactsDown,
        place: Place::Details,
        help: "the facts further down",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('['), NONE), (KeyCode::Char('K'), NONE)],
        shown: "[ K",
        action: Action::FactsUp,
        place: Place::Details,
        help: "the facts further up",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('d'), NONE)],
        shown: "d",
        action: Action::Drives,
        place: Place::Files,
        help: "group the files by drive (the directory they are in); enter opens one",
        hint: "by drive",
    },
    Binding {
        keys: &[(KeyCode::Char('t'), NONE)],
        shown: "t",
        action: Action::HeatMap,
        place: Place::On(Screen::Harvesters),
        help: "look-ups over time: every harvester by the last 64 signage points; again the columns",
        hint: "over time",
    },
    Binding {
        keys: &[(KeyCode::Char('v'), NONE)],
        shown: "v",
        action: Action::Level,
        place: Place::On(Screen::Messages),
        help: "leave out what is of a lower level: messages, then information, then warnings; again all",
        hint: "level",
    },
    Binding {
        keys: &[(KeyCode::Char('u'), NONE)],
        shown: "u",
        action: Action::Tell(Report::Upgrade),
        place: Place::Everywhere,
        help: "who speaks which protocol, and what an upgrade would break",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('i'), NONE)],
        shown: "i",
        action: Action::Tell(Report::Monitor),
        place: Place::Everywhere,
        help: "how this monitor itself fares: memory, queues, what was dropped",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('w'), NONE)],
        shown: "w",
        action: Action::Tell(Report::SinceLastLook),
        place: Place::Everywhere,
        help: "what happened since you last looked",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('n'), NONE)],
        shown: "n",
        action: Action::Rename,
        place: Place::Everywhere,
        help: "rename the selected harvester",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('y'), NONE)],
        shown: "y",
        action: Action::Copy,
        place: Place::Everywhere,
        help: "copy what the selected row is about: node id, path, message (OSC 52)",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('s'), CTRL)],
        shown: "ctrl-s",
        action: Action::Save,
        place: Place::Everywhere,
        help: "save the table as a new file: .csv or .json by the ending of its name",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('m'), NONE)],
        shown: "m",
        action: Action::Mouse,
        place: Place::Everywhere,
        help: "give the mouse back to the terminal, to select text; again takes it",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('p'), NONE)],
        shown: "p",
        action: Action::Privacy,
        place: Place::Everywhere,
        help: "hide ids, addresses, paths and names, for screenshots",
        hint: "privacy",
    },
    Binding {
        keys: &[(KeyCode::Char('1'), NONE)],
        shown: "1",
        action: Action::Show(Screen::Farm),
        place: Place::Everywhere,
        help: "farm: is it fine?",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('2'), NONE)],
        shown: "2",
        action: Action::Show(Screen::Harvesters),
        place: Place::Everywhere,
        help: "harvesters: one row each, remembered after it has gone",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('3'), NONE)],
        shown: "3",
        action: Action::Show(Screen::Plots),
        place: Place::Everywhere,
        help: "plots: every file of the fleet, and what is wrong with it",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('4'), NONE)],
        shown: "4",
        action: Action::Show(Screen::Proofs),
        place: Place::Everywhere,
        help: "proofs: every proof and how far it got",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('5'), NONE)],
        shown: "5",
        action: Action::Show(Screen::Pools),
        place: Place::Everywhere,
        help: "pools: difficulty, points, and what became of partials",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('6'), NONE)],
        shown: "6",
        action: Action::Show(Screen::Messages),
        place: Place::Everywhere,
        help: "messages: the protocol and the log in one stream",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('7'), NONE)],
        shown: "7",
        action: Action::Show(Screen::Alarms),
        place: Place::Everywhere,
        help: "alarms: what is wrong, since when, what to do; history",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Tab, NONE)],
        shown: "tab",
        action: Action::NextScreen,
        place: Place::Everywhere,
        help: "next screen",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::BackTab, NONE)],
        shown: "shift-tab",
        action: Action::PreviousScreen,
        place: Place::Everywhere,
        help: "previous screen",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Up, NONE), (KeyCode::Char('k'), NONE)],
        shown: "up k",
        action: Action::Up,
        place: Place::Everywhere,
        help: "select the row above",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Down, NONE), (KeyCode::Char('j'), NONE)],
        shown: "down j",
        action: Action::Down,
        place: Place::Everywhere,
        help: "select the row below",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::PageUp, NONE)],
        shown: "pgup",
        action: Action::PageUp,
        place: Place::Everywhere,
        help: "a page up",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::PageDown, NONE)],
        shown: "pgdn",
        action: Action::PageDown,
        place: Place::Everywhere,
        help: "a page down",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Home, NONE), (KeyCode::Char('g'), NONE)],
        shown: "home g",
        action: Action::Home,
        place: Place::Everywhere,
        help: "the first row",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::End, NONE), (KeyCode::Char('G'), NONE)],
        shown: "end G",
        action: Action::End,
        place: Place::Everywhere,
        help: "the last row; on messages: follow the newest",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('l'), CTRL)],
        shown: "ctrl-l",
        action: Action::Repaint,
        place: Place::Everywhere,
        help: "draw the screen anew",
        hint: "",
    },
    Binding {
        keys: &[(KeyCode::Char('z'), CTRL)],
        shown: "ctrl-z",
        action: Action::Suspend,
        place: Place::Everywhere,
        help: "suspend the console (not where it would suspend farming)",
        hint: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        let screens = Screen::ALL
            .into_iter()
            .flat_map(|screen| [(screen, false), (screen, true)]);
        let places: Vec<_> = screens.collect();
        for (n, a) in BINDINGS.iter().enumerate() {
            for b in &BINDINGS[n + 1..] {
                let meet = places
                    .iter()
                    .any(|(screen, in_details)| a.place.is(*screen, *in_details) && b.place.is(*screen, *in_details));
                let shared = a.keys.iter().any(|key| b.keys.contains(key));
                assert!(!(meet && shared), "{} and {}", a.shown, b.shown);
            }
        }
    }

    #[test]
    fn every_key_is_explained() {
        assert!(
            BINDINGS
                .iter()
                .all(|b| !b.help.is_empty() && !b.shown.is_empty() && !b.keys.is_empty())
        );
    }

    #[test]
    fn keys_of_one_screen_do_nothing_on_another() {
        let key = KeyEvent::new(KeyCode::Char('a'), NONE);
        assert_eq!(action(key, Screen::Alarms, false), Some(Action::Acknowledge));
        assert_eq!(action(key, Screen::Farm, false), None);
        let capital = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(action(capital, Screen::Farm, false), Some(Action::End));
    }
}
