//! Where text leaves the program for people: standard output, standard error, the terminal that is asked; in the
//! characters that can be shown there.

use std::fs::File;
use std::io::{self, IsTerminal, StderrLock, StdoutLock, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::environment::variable;
use crate::format::{ascii, is_utf8};

/// Whether the command line wants nothing but ASCII. For the whole program: errors know no command line.
static ONLY_ASCII: AtomicBool = AtomicBool::new(false);

/// Makes all that people are told plain ASCII. Told once, before anything is said.
pub(crate) fn only_ascii() {
    ONLY_ASCII.store(true, Ordering::Relaxed);
}

/// A way out that is plain ASCII where nothing else can be shown.
pub(crate) struct Out<W> {
    to: W,
    is_ascii: bool,
}

impl Out<StdoutLock<'static>> {
    /// Standard output for people. Files and pipes take all characters, if ASCII is not asked for.
    pub(crate) fn for_people() -> Self {
        let to = io::stdout().lock();
        let is_terminal = to.is_terminal();
        Self::of(to, is_terminal)
    }

    /// Standard output for programs: JSON, settings, a path, as they are.
    pub(crate) fn for_programs() -> Self {
        let to = io::stdout().lock();
        Self { to, is_ascii: false }
    }
}

impl Out<StderrLock<'static>> {
    /// Standard error.
    pub(crate) fn for_errors() -> Self {
        let to = io::stderr().lock();
        let is_terminal = to.is_terminal();
        Self::of(to, is_terminal)
    }
}

impl<'a> Out<&'a File> {
    /// The terminal on which somebody is asked.
    pub(crate) fn on_terminal(terminal: &'a File) -> Self {
        Self::of(terminal, true)
    }
}

impl<W: Write> Out<W> {
    /// Whether nothing but ASCII is written.
    pub(crate) const fn is_ascii(&self) -> bool {
        self.is_ascii
    }

    /// Plain ASCII if that is asked for, or if the locale says that the terminal knows no more.
    fn of(to: W, is_terminal: bool) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let is_plain = || is_terminal && !is_utf8(locale.as_ref().and_then(|it| it.to_str()));
        let is_ascii = ONLY_ASCII.load(Ordering::Relaxed) || is_plain();
        Self { to, is_ascii }
    }
}

impl<W: Write> Write for Out<W> {
    /// Texts are written whole, so that no character comes in parts.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_ascii || bytes.is_ascii() {
            return self.to.write(bytes);
        }
        // In a command the sign for what is cut off would be taken for somebody's home.
        let text = ascii(String::from_utf8_lossy(bytes).replace('…', "..."));
        self.to.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_ascii_where_nothing_else_can_be_shown() {
        let written = |is_ascii| {
            let mut out = Out {
                to: Vec::new(),
                is_ascii,
            };
            writeln!(out, "–/{} räck-1 lost …", 864).unwrap();
            String::from_utf8(out.to).unwrap()
        };
        assert_eq!(written(true), "-/864 r\\u{e4}ck-1 lost ...\n");
        assert_eq!(written(false), "–/864 räck-1 lost …\n");
    }
}
