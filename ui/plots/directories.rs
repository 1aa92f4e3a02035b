//! `farmconsole plots add`, `remove` and `show`: the directories in which this root's harvester looks for plots.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use farmconsole::config::Settings;
use farmconsole::config::edit::{Editor, Outcome as Edited};
use farmconsole::control::ControlClient;
use farmconsole::harvester::{PlotFiles, ScanOptions, free_space, plot_files};
use farmconsole::units::ByteSize;
use serde::Serialize;

use crate::context::Context;
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{chia_bytes, plural, safe};

/// `farmconsole plots add -d DIR`.
pub(super) async fn add(context: &Context, dir: &Path) -> Outcome {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let before: Vec<PathBuf> = editor.plot_directories().into_iter().map(PathBuf::from).collect();
    let edited = editor.add_plot_directory(dir).map_err(not_changed)?;
    let real = dir.canonicalize()?;
    std::fs::read_dir(&real).map_err(|error| {
        Failure::new(Status::Failed, format!("list {}: {error}", real.display()))
            .hint("whoever runs the harvester needs the right to read it")
    })?;
    editor.save().map_err(not_changed)?;
    let settings = context.settings()?;
    let shown = safe(&real.display().to_string());
    {
        let mut out = io::stdout().lock();
        if edited == Edited::AlreadySo {
            writeln!(out, "Path already added: {shown}")?;
            return Ok(Ended::Fine);
        }
        let files = plural(files_in(&settings, &real).files.len() as u64, "plot file");
        writeln!(out, "Successfully added: {shown} ({files})")?;
        for other in &before {
            if let Some(warning) = nested(&real, other, settings.harvester.recursive_plot_scan) {
                writeln!(out, "{warning}")?;
            }
        }
    }
    say_when(context, &settings).await
}

/// `farmconsole plots remove -d DIR`.
pub(super) async fn remove(context: &Context, dir: &Path) -> Outcome {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    if editor.remove_plot_directory(dir).map_err(not_changed)? == Edited::AlreadySo {
        return Err(Failure::new(
            Status::Failed,
            format!("{} is no plot directory of this root", dir.display()),
        )
        .hint("list them with `farmconsole plots show`"));
    }
    editor.save().map_err(not_changed)?;
    writeln!(io::stdout().lock(), "Removed: {}", safe(&dir.display().to_string()))?;
    say_when(context, &context.settings()?).await
}

/// Says when whoever runs on this root follows.
async fn say_when(context: &Context, settings: &Settings) -> Outcome {
    if ControlClient::connect(&context.root.control_socket()).await.is_ok() {
        let seconds = settings.harvester.refresh.interval_seconds;
        writeln!(
            io::stdout().lock(),
            "The harvester that runs on this root follows at its next refresh, within {seconds} s"
        )?;
    }
    Ok(Ended::Fine)
}

/// What is to be said of two directories of which one lies in the other.
fn nested(new: &Path, other: &Path, recursive: bool) -> Option<String> {
    let other = other.canonicalize().unwrap_or_else(|_| other.to_owned());
    let (inner, outer) = if new.starts_with(&other) {
        (new, other.as_path())
    } else if other.starts_with(new) {
        (other.as_path(), new)
    } else {
        return None;
    };
    let (inner, outer) = (safe(&inner.display().to_string()), safe(&outer.display().to_string()));
    Some(if recursive {
        format!("{inner} lies in {outer}, which is searched with all that lies in it: one of the two is enough")
    } else {
        format!("{inner} lies in {outer}: both are searched, each without what lies deeper")
    })
}

/// `farmconsole plots show`.
pub(super) async fn show(context: &Context, json: bool) -> Outcome {
    let settings = context.settings()?;
    let running = running(context).await;
    let directories: Vec<Directory> = settings
        .harvester
        .plot_directories
        .iter()
        .map(|path| Directory::look_at(path, &settings))
        .collect();
    let is_fine = directories.iter().all(|directory| directory.error.is_none());
    let mut out = io::stdout().lock();
    if json {
        let shown = ShowJson {
            version: 1,
            recursive: settings.harvester.recursive_plot_scan,
            directories,
            running,
        };
        serde_json::to_writer_pretty(&mut out, &shown).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for directory in &directories {
            directory.print(&mut out)?;
        }
        if directories.is_empty() {
            let add = context.commands.here("`farmconsole plots add -d DIR`");
            writeln!(out, "no plot directories; add one with {add}")?;
        }
        if let Some(running) = &running {
            writeln!(
                out,
                "The farm that runs on this root farms {} of this machine; {} cannot be opened, {} made for other keys, {}",
                plural(running.plots, "plot"),
                plural(running.failed, "file"),
                running.no_key,
                plural(running.duplicates, "duplicate")
            )?;
        }
    }
    Ok(if is_fine { Ended::Fine } else { Ended::SomethingWrong })
}

/// The object `plots show --json` prints.
#[derive(Debug, Serialize)]
struct ShowJson {
    version: u32,
    recursive: bool,
    directories: Vec<Directory>,
    running: Option<Running>,
}

/// A plot directory as it is.
#[derive(Debug, Serialize)]
struct Directory {
    path: String,
    error: Option<String>,
    plot_files: u64,
    plot_bytes: u64,
    free_bytes: Option<u64>,
}

impl Directory {
    fn look_at(path: &Path, settings: &Settings) -> Self {
        let PlotFiles { files, troubles } = files_in(settings, path);
        let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        Self {
            path: path.display().to_string(),
            error: troubles.into_values().next(),
            plot_files: files.len() as u64,
            plot_bytes: files.iter().map(size).sum(),
            free_bytes: path
                .exists()
                .then(|| free_space(path).ok())
                .flatten()
                .map(|free| free.0),
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let path = safe(&self.path);
        if let Some(error) = &self.error {
            return writeln!(out, "{path}: CANNOT BE LISTED: {}", safe(error));
        }
        let files = plural(self.plot_files, "plot file");
        write!(out, "{path}: {files}, {}", bytes(ByteSize(self.plot_bytes)))?;
        match self.free_bytes {
            Some(free) => writeln!(out, ", {} free", bytes(ByteSize(free))),
            None => writeln!(out),
        }
    }
}

/// What the running farm has of this machine's plots.
#[derive(Debug, Default, Serialize)]
struct Running {
    plots: u64,
    failed: u64,
    no_key: u64,
    duplicates: u64,
}

/// Asks whoever runs on this root; nobody does, or none that says it, is no error.
async fn running(context: &Context) -> Option<Running> {
    let snapshot = context.attach().await.ok()?.snapshot().await.ok()?;
    let mut running = Running::default();
    for harvester in snapshot.harvesters.iter().filter(|it| it.local && it.is_connected()) {
        running.plots += harvester.plots;
        running.failed += harvester.failed;
        running.no_key += harvester.no_key;
        running.duplicates += harvester.duplicates;
    }
    Some(running)
}

fn files_in(settings: &Settings, directory: &Path) -> PlotFiles {
    plot_files(&ScanOptions {
        directories: vec![directory.to_owned()],
        ..ScanOptions::of(settings)
    })
}

fn bytes(size: ByteSize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "it is printed with four digits")]
    let bytes = size.0 as f64;
    chia_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_inside_another_is_told_apart_from_one_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        let inner = real.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir(real.join("ab")).unwrap();
        let outer = real.join("a");
        assert!(
            nested(&inner, &outer, true)
                .unwrap()
                .contains("one of the two is enough")
        );
        assert_eq!(nested(&outer, &inner, false), nested(&inner, &outer, false));
        assert_eq!(nested(&real.join("ab"), &outer, true), None);
    }
}
