//! `farmconsole plots`: the plot directories of this root's harvester.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use farmconsole::config::edit;

use crate::context::Context;
use crate::daemon::settings;
use crate::exit::{Ended, Failure, Outcome, Status};

/// `farmconsole plots add -d DIR`.
pub(crate) fn add(context: &Context, dir: &Path) -> Outcome {
    let dir = existing(dir)?;
    let mut dirs = settings(context)?.harvester.plot_directories;
    let mut out = io::stdout().lock();
    if dirs.contains(&dir) {
        writeln!(out, "Path already added: {}", dir.display())?;
        return Ok(Ended::Fine);
    }
    dirs.push(dir.clone());
    write(context, &dirs)?;
    writeln!(out, "Successfully added: {}", dir.display())?;
    Ok(Ended::Fine)
}

/// `farmconsole plots remove -d DIR`.
pub(crate) fn remove(context: &Context, dir: &Path) -> Outcome {
    let wanted = std::fs::canonicalize(dir).or_else(|_| std::path::absolute(dir))?;
    let mut dirs = settings(context)?.harvester.plot_directories;
    let before = dirs.len();
    dirs.retain(|d| *d != wanted && d != dir);
    if dirs.len() == before {
        return Err(Failure::new(Status::Failed, format!("{} is no plot directory of this root", dir.display()))
            .hint("list them with `farmconsole plots show`"));
    }
    write(context, &dirs)?;
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

fn existing(dir: &Path) -> Result<PathBuf, Failure> {
    let fail = |what: String| Failure::new(Status::Failed, format!("add {}: {what}", dir.display()));
    let real = std::fs::canonicalize(dir).map_err(|e| fail(e.to_string()))?;
    if !real.is_dir() {
        return Err(fail("it is not a directory".to_owned()));
    }
    Ok(real)
}

fn write(context: &Context, dirs: &[PathBuf]) -> Result<(), Failure> {
    let texts = dirs
        .iter()
        .map(|d| d.to_str().map(str::to_owned).ok_or(d))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|d| Failure::new(Status::Failed, format!("{} cannot be written into the settings: it is no UTF-8", d.display())))?;
    edit::set_plot_directories(&context.root.config_file(), &texts).map_err(crate::daemon::bad_settings)
}
