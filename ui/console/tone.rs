//! What colours stand for.

/// How something is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Ordinary text.
    Plain,
    /// Less important.
    Dim,
    /// Lines around panes.
    Border,
    /// Titles of panes and columns.
    Title,
    /// Names and what can be pressed.
    Accent,
    /// Fine.
    Good,
    /// Look at it.
    Warn,
    /// Wrong.
    Bad,
    /// A win.
    Win,
}
