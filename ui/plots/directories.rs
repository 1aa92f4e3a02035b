//! `farmconsole plots add`, `remove` and `show`: the directories in which this root's harvester looks for plots.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use farmconsole::config::edit::{Editor, Outcome as Edited};
use farmconsole::config::{Settings, patience};
use farmconsole::control::{ControlClient, ControlError, Role};
use farmconsole::harvester::{PlotFiles, ScanOptions, free_space, plot_files};
use farmconsole::units::ByteSize;
use serde::Serialize;

use crate::commands::Commands;
use crate::context::{Attached, Context, not_attached};
use crate::errors::not_changed;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{chia_bytes, plural, safe};

/// `farmconsole plots add -d DIR`.
pub(super) async fn add(context: &Context, dir: &Path) -> Outcome {
    let mut editor = Editor::open(&context.root).map_err(not_changed)?;
    let before: Vec<PathBuf> = editor.plot_directories().into_iter().map(PathBuf::from).collect();
    let edited = editor.add_plot_directory(dir).map_err(not_changed)?;
    let real = listed(dir)?;
    editor.save().map_err(not_changed)?;
    let settings = context.settings()?;
    let shown = safe(&real.display().to_string());
    {
        let mut out = context.out(false);
        if edited == Edited::AlreadySo {
            writeln!(out, "Path already added: {shown}")?;
            return Ok(Ended::Fine);
        }
        let files = plural(files_in(&settings, &real).files.len() as u64, "plot file");
        writeln!(out, "Successfully added: {shown} ({files})")?;
        for (other, place) in before.iter().zip(patience::real_paths(&before)) {
            let other = place.as_deref().unwrap_or(other);
            if let Some(warning) = nested(&real, other, settings.harvester.recursive_plot_scan) {
                writeln!(out, "{warning}")?;
            }
        }
    }
    say_when(context, &settings).await
}

/// Where a directory is that can be listed.
fn listed(dir: &Path) -> Result<PathBuf, Failure> {
    let list = |dir: PathBuf| {
        let real = dir.canonicalize()?;
        std::fs::read_dir(&real).map(|_| real)
    };
    let failed = |why: String| Failure::new(Status::Failed, format!("list {}: {why}", dir.display()));
    match patience::ask(dir.to_owned(), list) {
        Some(Ok(real)) => Ok(real),
        Some(Err(error)) => {
            Err(failed(error.to_string()).hint("whoever runs the harvester needs the right to read it"))
        }
        None => Err(failed(patience::no_answer())),
    }
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
    writeln!(context.out(false), "Removed: {}", safe(&dir.display().to_string()))?;
    say_when(context, &context.settings()?).await
}

/// Says when whoever runs on this root follows.
async fn say_when(context: &Context, settings: &Settings) -> Outcome {
    if ControlClient::connect(&context.root.control_socket()).await.is_ok() {
        let seconds = settings.harvester.refresh.interval_seconds;
        writeln!(
            context.out(false),
            "The harvester that runs on this root follows at its next refresh, within {seconds} s"
        )?;
    }
    Ok(Ended::Fine)
}

/// What is to be said of two directories of which one lies in the other.
fn nested(new: &Path, other: &Path, recursive: bool) -> Option<String> {
    let (inner, outer) = if new.starts_with(other) {
        (new, other)
    } else if other.starts_with(new) {
        (other, new)
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
    let (running, failure) = match running {
        Ok(running) => (running, None),
        Err(failure) => (None, Some(failure)),
    };
    let mut looks = Vec::new();
    for path in settings.harvester.plot_directories.clone() {
        let settings = settings.clone();
        looks.push(tokio::task::spawn_blocking(move || {
            Directory::look_at(&path, &settings)
        }));
    }
    let mut directories = Vec::new();
    for look in looks {
        directories.push(look.await.map_err(|error| Failure::new(Status::Failed, error))?);
    }
    let is_fine = failure.is_none() && directories.iter().all(|directory| directory.error.is_none());
    let mut out = context.out(json);
    if json {
        let shown = ShowJson {
            version: 1,
            recursive: settings.harvester.recursive_plot_scan,
            directories,
            running,
            running_error: failure.map(|failure| failure.sentence().to_owned()),
        };
        serde_json::to_writer_pretty(&mut out, &shown).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        for directory in &directories {
            directory.print(&mut out, &context.commands)?;
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
        if let Some(failure) = &failure {
            writeln!(
                out,
                "What the farm that runs on this root has of it is not known: {}",
                failure.sentence()
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
    /// None where none runs.
    running: Option<Running>,
    /// Why one that runs does not say.
    running_error: Option<String>,
}

/// A plot directory as it is.
#[derive(Debug, Serialize)]
struct Directory {
    path: String,
    error: Option<String>,
    #[serde(skip)]
    hint: Option<String>,
    plot_files: u64,
    plot_bytes: u64,
    free_bytes: Option<u64>,
}

impl Directory {
    fn look_at(path: &Path, settings: &Settings) -> Self {
        let PlotFiles { files, troubles } = files_in(settings, path);
        let trouble = troubles.into_iter().next();
        let free = || patience::ask(path.to_owned(), |path| free_space(&path).ok()).flatten();
        Self {
            path: path.display().to_string(),
            free_bytes: if trouble.is_none() {
                free().map(|free| free.0)
            } else {
                None
            },
            hint: trouble.as_ref().and_then(|(directory, why)| why.hint(directory)),
            error: trouble.map(|(_, why)| why.to_string()),
            plot_files: files.len() as u64,
            plot_bytes: files.into_values().map(|size| size.0).sum(),
        }
    }

    fn print(&self, out: &mut impl Write, commands: &Commands) -> io::Result<()> {
        let path = safe(&self.path);
        if let Some(error) = &self.error {
            writeln!(out, "{path}: CANNOT BE LISTED: {}", safe(error))?;
            return match &self.hint {
                Some(hint) => writeln!(out, "  -> {}", safe(&commands.here(hint))),
                None => Ok(()),
            };
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

/// Asks the farm that runs on this root, if one does.
async fn running(context: &Context) -> Result<Option<Running>, Failure> {
    let client = match context.connect().await {
        Err(ControlError::NotRunning { source, .. }) if source.kind() != io::ErrorKind::PermissionDenied => {
            return Ok(None);
        }
        client => client.map_err(not_attached)?,
    };
    if client.hello().role == Role::Harvester {
        return Ok(None);
    }
    let snapshot = Attached { client }.snapshot().await?;
    let mut running = Running::default();
    for harvester in snapshot.harvesters.iter().filter(|it| it.local && it.is_connected()) {
        running.plots += harvester.plots;
        running.failed += harvester.failed;
        running.no_key += harvester.no_key;
        running.duplicates += harvester.duplicates;
    }
    Ok(Some(running))
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

    #[tokio::test(start_paused = true)]
    async fn a_farm_that_runs_and_does_not_answer_is_told_apart_from_none() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::of_test_root(dir.path()).unwrap();
        assert!(matches!(running(&context).await, Ok(None)));
        let socket = context.root.control_socket();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _suspended = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let failure = running(&context).await.unwrap_err();
        assert!(failure.sentence().contains("gave no answer for 10 s"), "{failure:?}");
    }

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
