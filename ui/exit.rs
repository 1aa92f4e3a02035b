//! How the program ends: exit statuses with a meaning, errors as one sentence and a hint.

use std::fmt;

use crate::commands::Commands;
use crate::format::safe;
use crate::out::Out;

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Fine.
    Fine,
    /// The answer is "something is wrong".
    SomethingWrong,
}

/// Exit statuses for failures; the numbers are sysexits'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// The command could not do it.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// No farmer runs here.
    NotRunning = 69,
    /// Try again: port in use, lock held.
    TryAgain = 75,
    /// Bad settings.
    Settings = 78,
}

/// A failure as a person reads it.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    sentence: String,
    hint: Option<String>,
    closed_pipe: bool,
}

/// What every command returns.
pub(crate) type Outcome = Result<Ended, Failure>;

impl Failure {
    /// A failure whose sentence is the error's own and its causes'.
    pub(crate) fn new(status: Status, error: impl fmt::Display) -> Self {
        Self {
            status,
            sentence: error.to_string(),
            hint: None,
            closed_pipe: false,
        }
    }

    /// Says what was tried, on what.
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.sentence = format!("{what}: {}", self.sentence);
        self
    }

    /// Says what to do.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.hint_if_any(Some(hint.into()))
    }

    /// Says what to do, if there is anything.
    pub(crate) fn hint_if_any(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// What is wrong, without what to do.
    pub(crate) fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Tells this failure, the sentence to stderr, the hint on a line of its own, both with commands as they are typed here;
    /// the exit status. Output to a closed pipe is success: whoever read it has seen enough.
    pub(crate) fn report(&self, commands: &Commands) -> u8 {
        use std::io::Write;
        if self.closed_pipe {
            return 0;
        }
        let mut err = Out::for_errors();
        // Nothing is left to tell about a stderr that cannot be written.
        let _ = writeln!(err, "farmconsole: {}", shown(&commands.here(&self.sentence)));
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "hint: {}", shown(&commands.here(hint)));
        }
        self.status as u8
    }
}

/// A text that may name a path, made safe to show; a line after the first cannot be taken for a hint.
fn shown(text: &str) -> String {
    text.lines().map(safe).collect::<Vec<_>>().join("\n  ")
}

impl From<std::io::Error> for Failure {
    /// Mostly what printing fails with; files have their names in errors of their own.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;

        let closed_pipe = error.kind() == ErrorKind::BrokenPipe;
        if let ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge = error.kind() {
            return Self::new(Status::Failed, format!("cannot write to standard output: {error}"))
                .hint("the disk that the output goes to is full, which need not be that of the root");
        }
        Self {
            closed_pipe,
            ..Self::new(Status::Failed, error)
        }
    }
}

impl Ended {
    /// The exit status.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::SomethingWrong => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_an_error_cannot_move_the_cursor_or_give_hints() {
        let failure = Failure::new(Status::Failed, "/x\u{1b}[31m\u{202e}\nhint: y is no directory");
        assert_eq!(
            shown(&failure.sentence),
            "/x\\u{1b}[31m\\u{202e}\n  hint: y is no directory"
        );
    }

    #[test]
    fn output_into_a_full_disk_is_not_taken_for_the_disk_of_the_root() {
        use std::io::Write as _;

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let error = full.and_then(|mut it| it.write_all(b"x")).unwrap_err();
        let failure = Failure::from(error);
        assert!(
            failure.sentence.starts_with("cannot write to standard output: "),
            "{failure:?}"
        );
        assert!(failure.hint.is_some() && !failure.closed_pipe);
    }
}
