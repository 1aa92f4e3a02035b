//! `farmconsole completions` and `farmconsole man`, made from the same command line definition.

use std::io::{self, IsTerminal, Write};

use clap::{Command, CommandFactory};

use crate::args::Cli;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::out::Out;

/// Completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "farmconsole", &mut script);
    Out::for_programs().write_all(&script)?;
    Ok(Ended::Fine)
}

/// The manual page of a command; of the program, if no command is named: then with files, JSON and exit statuses.
pub(crate) fn man(words: &[String]) -> Outcome {
    let mut page = Vec::new();
    clap_mangen::Man::new(command(words)?).render(&mut page)?;
    if words.is_empty() {
        page.extend_from_slice(include_bytes!("man_sections.roff"));
    }
    Out::for_programs().write_all(&page)?;
    if io::stdout().is_terminal() {
        // The page is there all the same when nobody reads this.
        let _ = writeln!(Out::for_errors(), "{AS_A_PAGE}");
    }
    Ok(Ended::Fine)
}

/// For whoever sees the source of a page.
const AS_A_PAGE: &str = "hint: this is the source of a manual page: `… | man -l -` shows the page";

/// The command of these words, with its whole name.
fn command(words: &[String]) -> Result<Command, Failure> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let found = words
        .iter()
        .try_fold(&program, |command, word| command.find_subcommand(word));
    found.cloned().ok_or_else(|| {
        let name = words.join(" ");
        Failure::new(Status::Usage, format!("there is no command `{name}`, so no page of it"))
            .hint("`farmconsole man` lists the commands, `farmconsole man harvester list` shows the page of one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, as words.
    fn all(command: &Command, words: &[String]) -> Vec<Vec<String>> {
        let below = command.get_subcommands().flat_map(|below| {
            let words = [words, &[below.get_name().to_owned()]].concat();
            all(below, &words)
        });
        std::iter::once(words.to_owned()).chain(below).collect()
    }

    #[test]
    fn every_page_that_a_page_names_can_be_made() {
        let commands = all(&command(&[]).unwrap(), &[]);
        assert!(commands.contains(&["harvester", "list"].map(str::to_owned).to_vec()));
        for words in &commands {
            let command = command(words).unwrap();
            let whole = [&["farmconsole".to_owned()], words.as_slice()].concat().join("-");
            assert_eq!(command.get_display_name().unwrap_or_else(|| command.get_name()), whole);
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).unwrap();
            let page = String::from_utf8(page).unwrap().replace("\\-", "-");
            for named in page.split_whitespace().filter_map(|word| word.strip_suffix("(1)")) {
                let named = named.trim_start_matches("\\fB").trim_end_matches("\\fR");
                let is_made = commands
                    .iter()
                    .any(|words| named == ["farmconsole", &words.join("-")].join("-"));
                assert!(is_made, "{whole} names {named}");
            }
        }
    }

    #[test]
    fn the_page_of_a_command_that_is_none_is_refused() {
        assert!(command(&["harvester".to_owned(), "sing".to_owned()]).is_err());
    }
}
