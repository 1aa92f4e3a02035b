//! `farmconsole plots`: the plot directories of this root's harvester.

use std::io::{self, Write};
use std::path::Path;

use farmconsole::config::edit::{Editor, Outcome as Edited};

use crate::configure::not_changed;
use crate::context::Context;
use crate::daemon::settings;
use crate::exit::{Ended, Failure, Outcome, Status};

/// `farmconsole plots add -d DIR`.
pub(crate) fn add(context: &Context, dir: &Path) -> Outcome {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let edited = editor.add_plot_directory(dir).map_err(not_changed)?;
    editor.save().map_err(not_changed)?;
    let what = if edited == Edited::Changed {
        "Successfully added"
    } else {
        "Path already added"
    };
    writeln!(io::stdout().lock(), "{what}: {}", dir.display())?;
    Ok(Ended::Fine)
}

/// `farmconsole plots remove -d DIR`.
pub(crate) fn remove(context: &Context, dir: &Path) -> Outcome {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    if editor.remove_plot_directory(dir).map_err(not_changed)? == Edited::AlreadySo {
        return Err(Failure::new(
            Status::Failed,
            format!("{} is no plot directory of this root", dir.display()),
        )
        .hint("list them with `farmconsole plots show`"));
    }
    editor.save().map_err(not_changed)?;
    Ok(Ended::Fine)
}

/// `farmconsole plots show`.
pub(crate) fn show(context: &Context) -> Outcome {
    let dirs = settings(context)?.harvester.plot_directories;
    let mut out = io::stdout().lock();
    for dir in &dirs {
        writeln!(out, "{}", dir.display())?;
    }
    if dirs.is_empty() {
        writeln!(out, "no plot directories; add one with `farmconsole plots add -d DIR`")?;
    }
    Ok(Ended::Fine)
}
