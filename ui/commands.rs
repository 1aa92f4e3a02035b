//! Commands that a text names, as they are to be typed here.
//!
//! Hints and remedies say "`farmconsole keys show`" wherever they are made, also in the library, which knows no command
//! line. Whoever named the root with `--root` and typed just that would do it to another root.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

use farmconsole::config::shell_word;

/// How the commands of this program are typed for the root in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    /// The root as a word of a shell, where it has to be named.
    root: Option<String>,
}

impl Commands {
    /// For the root of the command line, if there was one. One that the environment names too is known to every command.
    pub(crate) fn new(root: Option<&Path>, of_environment: Option<&OsStr>) -> Self {
        let root = root.filter(|root| of_environment != Some(root.as_os_str()));
        Self {
            root: root.map(|root| {
                let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
                shell_word(&root)
            }),
        }
    }

    /// The text, with the root in every command that is typed on this machine. `farmconsole demo` has a root of its own.
    pub(crate) fn here<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(root) = &self.root else { return text.into() };
        if ELSEWHERE.iter().any(|words| text.contains(words)) {
            return text.into();
        }
        let mut out = String::with_capacity(text.len() + root.len() + 8);
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let (before, after) = rest.split_at(at + PROGRAM.len());
            out.push_str(before);
            let ends_or_goes_on = after.starts_with(['`', ' ']);
            if ends_or_goes_on && !after.starts_with(" demo") && !after.starts_with(" --root") {
                out.push_str(" --root ");
                out.push_str(root);
            }
            rest = after;
        }
        out.push_str(rest);
        out.into()
    }
}

/// How a command begins in a text.
const PROGRAM: &str = "`farmconsole";

/// Texts with these words speak of commands on another machine, whose root is another one.
const ELSEWHERE: [&str; 2] = ["on the farmer's machine", "on that machine"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_was_named_is_named_in_every_command_that_is_typed_here() {
        let commands = Commands::new(Some(Path::new("/srv/my farm")), None);
        let text = "stop it with `farmconsole stop`, look at it with `farmconsole`, or try `farmconsole demo`";
        assert_eq!(
            commands.here(text),
            "stop it with `farmconsole --root '/srv/my farm' stop`, look at it with `farmconsole --root '/srv/my farm'`, \
             or try `farmconsole demo`"
        );
        for unchanged in [
            "`farmconsole harvester invite NAME` on the farmer's machine prints the whole command",
            "look at it with `farmconsole --root /x`",
            "see `farmconsole.alarms` in the settings file",
        ] {
            assert_eq!(commands.here(unchanged), unchanged);
        }
    }

    #[test]
    fn a_root_that_every_command_finds_by_itself_is_not_named() {
        let text = "`farmconsole stop`";
        assert_eq!(Commands::default().here(text), text);
        let known = Commands::new(Some(Path::new("/x")), Some(OsStr::new("/x")));
        assert_eq!(known.here(text), text);
    }
}
