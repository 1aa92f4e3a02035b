//! Every key of the harvester's console in one table. The help is made from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    NextPane,
    PreviousPane,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Open,
    Back,
    Wrong,
    Privacy,
    Mouse,
    Help,
    Leave,
    Suspend,
    Repaint,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Binding {
    keys: &'static [(KeyCode, KeyModifiers)],
    /// The keys as the help names them.
    pub(super) shown: &'static str,
    action: Action,
    /// What it does, for the help.
    pub(super) help: &'static str,
    /// The same in a word, for the last line of the screen; empty for keys that are not shown there.
    pub(super) hint: &'static str,
}

/// What `key` does.
pub(super) fn action(key: KeyEvent) -> Option<Action> {
    // Shift is part of the character already.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    BINDINGS
        .iter()
        .find(|binding| binding.keys.contains(&(key.code, modifiers)))
        .map(|binding| binding.action)
}

const fn binding(
    keys: &'static [(KeyCode, KeyModifiers)],
    shown: &'static str,
    action: Action,
    help: &'static str,
    hint: &'static str,
) -> Binding {
    Binding {
        keys,
        shown,
        action,
        help,
        hint,
    }
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

/// The table.
pub(super) const BINDINGS: &[Binding] = &[
    binding(
        &[(KeyCode::Char('q'), NONE), (KeyCode::Char('c'), CTRL)],
        "q",
        Action::Leave,
        "leave: detaches from a harvester that runs elsewhere; asks first when it runs in this window",
        "quit",
    ),
    binding(
        &[(KeyCode::Char('?'), NONE), (KeyCode::F(1), NONE)],
        "?",
        Action::Help,
        "this help",
        "help",
    ),
    binding(
        &[(KeyCode::Char('!'), NONE)],
        "!",
        Action::Wrong,
        "all that is wrong, and what to do",
        "what is wrong",
    ),
    binding(
        &[(KeyCode::Tab, NONE), (KeyCode::Right, NONE), (KeyCode::Char('l'), NONE)],
        "tab",
        Action::NextPane,
        "go to the next pane: drives, look-ups, files not farmed, log",
        "next pane",
    ),
    binding(
        &[
            (KeyCode::BackTab, NONE),
            (KeyCode::Left, NONE),
            (KeyCode::Char('h'), NONE),
        ],
        "shift-tab",
        Action::PreviousPane,
        "go to the pane before",
        "",
    ),
    binding(
        &[(KeyCode::Enter, NONE)],
        "enter",
        Action::Open,
        "all that is known of the selected row",
        "details",
    ),
    binding(
        &[(KeyCode::Esc, NONE), (KeyCode::Backspace, NONE)],
        "esc",
        Action::Back,
        "go back, select nothing; never quits",
        "",
    ),
    binding(
        &[(KeyCode::Char('p'), NONE)],
        "p",
        Action::Privacy,
        "hide addresses and paths, for screenshots",
        "privacy",
    ),
    binding(
        &[(KeyCode::Char('m'), NONE)],
        "m",
        Action::Mouse,
        "give the mouse back to the terminal, to select text; again takes it",
        "",
    ),
    binding(
        &[(KeyCode::Up, NONE), (KeyCode::Char('k'), NONE)],
        "up k",
        Action::Up,
        "select the row above",
        "",
    ),
    binding(
        &[(KeyCode::Down, NONE), (KeyCode::Char('j'), NONE)],
        "down j",
        Action::Down,
        "select the row below",
        "",
    ),
    binding(&[(KeyCode::PageUp, NONE)], "pgup", Action::PageUp, "ten rows up", ""),
    binding(
        &[(KeyCode::PageDown, NONE)],
        "pgdn",
        Action::PageDown,
        "ten rows down",
        "",
    ),
    binding(
        &[(KeyCode::Home, NONE), (KeyCode::Char('g'), NONE)],
        "home g",
        Action::Home,
        "the first row",
        "",
    ),
    binding(
        &[(KeyCode::End, NONE), (KeyCode::Char('G'), NONE)],
        "end G",
        Action::End,
        "the last row; in the log: follow the newest",
        "",
    ),
    binding(
        &[(KeyCode::Char('l'), CTRL)],
        "ctrl-l",
        Action::Repaint,
        "draw the screen anew",
        "",
    ),
    binding(
        &[(KeyCode::Char('z'), CTRL)],
        "ctrl-z",
        Action::Suspend,
        "suspend the console (not where it would suspend harvesting)",
        "",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_and_every_key_is_explained() {
        for (n, a) in BINDINGS.iter().enumerate() {
            assert!(!a.help.is_empty() && !a.shown.is_empty() && !a.keys.is_empty());
            for b in &BINDINGS[n + 1..] {
                assert!(
                    !a.keys.iter().any(|key| b.keys.contains(key)),
                    "{} and {}",
                    a.shown,
                    b.shown
                );
            }
        }
    }
}
