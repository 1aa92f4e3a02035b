//! Standard output for people, in the characters that their terminal can show.

use std::io::{self, IsTerminal, StdoutLock, Write};

use crate::context::variable;
use crate::format::{ascii, is_utf8};

/// Standard output that is plain ASCII where nothing else can be shown.
pub(crate) struct Out<W> {
    to: W,
    is_ascii: bool,
}

impl Out<StdoutLock<'static>> {
    /// For people, `is_ascii` if they want it so; else what the locale says of the terminal. Files and pipes take all.
    pub(crate) fn for_people(is_ascii: bool) -> Self {
        let to = io::stdout().lock();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable);
        let is_plain = || to.is_terminal() && !is_utf8(locale.as_ref().and_then(|it| it.to_str()));
        let is_ascii = is_ascii || is_plain();
        Self { to, is_ascii }
    }

    /// For programs: JSON, as it is.
    pub(crate) fn for_programs() -> Self {
        let to = io::stdout().lock();
        Self { to, is_ascii: false }
    }
}

impl<W: Write> Write for Out<W> {
    /// Texts are written whole, so that no character comes in parts.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_ascii || bytes.is_ascii() {
            return self.to.write(bytes);
        }
        let text = ascii(String::from_utf8_lossy(bytes).into_owned());
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
        assert_eq!(written(true), "-/864 r\\u{e4}ck-1 lost ~\n");
        assert_eq!(written(false), "–/864 räck-1 lost …\n");
    }
}
