//! `farmconsole completions` and `farmconsole man`, made from the same command line definition.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::{Ended, Outcome};

/// Completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "farmconsole", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Ended::Fine)
}

/// The manual page: commands from the command line definition, then files, JSON and exit statuses.
pub(crate) fn man() -> Outcome {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    page.extend_from_slice(include_bytes!("man_sections.roff"));
    io::stdout().lock().write_all(&page)?;
    Ok(Ended::Fine)
}
