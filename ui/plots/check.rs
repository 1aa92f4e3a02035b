//! `farmconsole plots check`: opens plots, asks them challenges, verifies every proof, and says what is wrong.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use farmconsole::config::Settings;
use farmconsole::config::patience::{self, DRIVE_PATIENCE};
use farmconsole::harvester::{
    CheckEvent, CheckOptions, PlotCopy, PlotReport, ScanOptions, Unlisted, Verdict, check_plots, plot_files, plot_name,
};
use farmconsole::keys::{self, KeysError};
use farmconsole::pos::header::HeaderVersion;
use farmconsole::units::ByteSize;
use farmconsole::wire::HarvesterHandshake;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use super::report::{PlotJson, print_json, print_report};
use crate::args::PlotsCheck;
use crate::commands::Commands;
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{plural, safe};
use crate::out::Out;
use crate::signals::Signals;

/// Runs the command.
pub(super) async fn run(context: &Context, options: PlotsCheck) -> Outcome {
    let settings = context.settings()?;
    let challenges = challenges(&options)?;
    let keys = farming_keys(context, &settings)?;
    let (mut files, not_listed) = find(&settings, &options.paths);
    if let Some(pattern) = &options.grep_string {
        files.retain(|file| matches(pattern, &file.to_string_lossy()));
    }
    let mut signals = Signals::take()?;
    let check = CheckOptions {
        constants: Arc::new(settings.constants.clone()),
        keys,
        max_compression_level: settings.harvester.max_compression_level(),
        challenges,
    };
    let total = u64::try_from(files.len()).unwrap_or(u64::MAX);
    let wanted = total.saturating_mul(check.challenges.end - check.challenges.start);
    let stop = CancellationToken::new();
    let (tell, mut told) = mpsc::channel(64);
    let stopping = stop.clone();
    let checking = tokio::task::spawn_blocking(move || {
        check_plots(&files, &check, &stopping, &mut |event| {
            let event = match event {
                CheckEvent::Done(report) => Told::Report(Box::new(report.clone())),
                CheckEvent::Progress { files, challenges } => Told::Progress { files, challenges },
            };
            // It is heard until the end, unless the output is closed.
            let _ = tell.blocking_send(event);
        })
    });
    let mut progress = Progress::begin();
    let mut summary = Summary::new(total, not_listed, &options);
    loop {
        let event = tokio::select! {
            event = told.recv() => event,
            () = signals.next() => {
                stop.cancel();
                continue;
            }
        };
        match event {
            None => break,
            Some(Told::Report(report)) => {
                progress.clear();
                let printed = if options.output.json {
                    print_json(&PlotJson::of(&report, &settings))
                } else {
                    print_report(&mut context.out(false), &report, &settings)
                };
                // Whoever closes the output wants no more of it.
                printed.inspect_err(|_| stop.cancel())?;
                summary.add(&report);
            }
            Some(Told::Progress { files, challenges }) => {
                progress.show(
                    share(files, total, challenges, wanted),
                    &format!("{files} of {total} plots"),
                );
            }
        }
    }
    drop(progress);
    let ended = checking.await.map_err(|error| Failure::new(Status::Failed, error))?;
    summary.copies = ended.map_err(|error| Failure::new(Status::Failed, format!("start a thread: {error}")))?;
    if options.output.json {
        print_json(&summary.to_json())?;
    } else {
        summary.print(&mut context.out(false), &context.commands)?;
    }
    Ok(if summary.is_fine() {
        Ended::Fine
    } else {
        Ended::SomethingWrong
    })
}

/// What the checking threads tell.
enum Told {
    Report(Box<PlotReport>),
    Progress { files: u64, challenges: u64 },
}

/// Numbers of the challenges, by the rules of the official command.
fn challenges(options: &PlotsCheck) -> Result<std::ops::Range<u64>, Failure> {
    let mut number = options.num;
    if (1..FEWEST_CHALLENGES).contains(&number) {
        writeln!(
            Out::for_errors(),
            "{number} challenges are too few, asking {FEWEST_CHALLENGES}"
        )?;
        number = FEWEST_CHALLENGES;
    }
    let start = options.challenge_start;
    Ok(start..start.saturating_add(number.into()))
}

/// The keys of this root; none on a machine that only harvests.
fn farming_keys(context: &Context, settings: &Settings) -> Result<Option<HarvesterHandshake>, Failure> {
    let reports = match keys::show(&context.root.keys_file()) {
        Err(KeysError::Missing { .. }) => {
            writeln!(
                Out::for_errors(),
                "no farming keys on this root: whose plots they are is not checked"
            )?;
            return Ok(None);
        }
        Err(error) => {
            let hint = error.hint();
            return Err(Failure::new(Status::Failed, error).hint_if_any(hint));
        }
        Ok(reports) => reports,
    };
    let own = reports.iter().filter_map(|report| report.pool_public_key);
    Ok(Some(HarvesterHandshake {
        farmer_public_keys: reports.iter().map(|report| report.farmer_public_key).collect(),
        pool_public_keys: own.chain(settings.farmer.pool_public_keys.iter().copied()).collect(),
    }))
}

/// The files to check, and the paths that could not be looked into.
fn find(settings: &Settings, paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<NotListed>) {
    let scan = ScanOptions::of(settings);
    let paths = if paths.is_empty() { &scan.directories } else { paths };
    let file_at = |path: PathBuf, _: &dyn Fn()| path.is_file().then(|| path.canonicalize().unwrap_or(path));
    let looked = patience::ask_each(paths.to_vec(), DRIVE_PATIENCE, file_at);
    let (mut files, mut directories, mut troubles) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (path, file) in paths.iter().zip(looked) {
        match file {
            Some(Some(file)) => files.push(file),
            Some(None) => directories.push(path.clone()),
            None => {
                troubles.insert(path.clone(), Unlisted::NoAnswer);
            }
        }
    }
    let found = plot_files(&ScanOptions { directories, ..scan });
    files.extend(found.files.into_keys());
    files.sort();
    files.dedup();
    troubles.extend(found.troubles);
    let not_listed = |(path, why): (PathBuf, Unlisted)| NotListed {
        hint: why.hint(&path),
        path: path.display().to_string(),
        reason: why.to_string(),
    };
    (files, troubles.into_iter().map(not_listed).collect())
}

/// Whether a path has the pattern in it; `*` stands for any characters, `?` for one.
fn matches(pattern: &str, path: &str) -> bool {
    fn begins(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => true,
            ['*', rest @ ..] => (0..=text.len()).any(|skip| text.get(skip..).is_some_and(|text| begins(rest, text))),
            ['?', rest @ ..] => text.split_first().is_some_and(|(_, text)| begins(rest, text)),
            [c, rest @ ..] => text
                .split_first()
                .is_some_and(|(first, text)| first == c && begins(rest, text)),
        }
    }
    let pattern: Vec<char> = std::iter::once('*').chain(pattern.chars()).collect();
    begins(&pattern, &path.chars().collect::<Vec<_>>())
}

fn share(files: u64, total: u64, challenges: u64, wanted: u64) -> Option<f32> {
    let (done, all) = if wanted > 0 {
        (challenges, wanted)
    } else {
        (files, total)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a bar has twenty cells"
    )]
    (all > 0).then(|| (done as f64 / all as f64) as f32)
}

/// A path of the settings or the command line that is no file and cannot be listed.
#[derive(Clone, Debug, Serialize)]
struct NotListed {
    path: String,
    reason: String,
    #[serde(skip)]
    hint: Option<String>,
}

/// All plots together.
struct Summary {
    files: u64,
    not_listed: Vec<NotListed>,
    pattern: Option<String>,
    lists_duplicates: bool,
    checked: u64,
    valid_bytes: ByteSize,
    /// Valid plots by what they are: `v1 plots of size 32`.
    kinds: BTreeMap<String, u64>,
    invalid: Vec<String>,
    cannot_open: Vec<String>,
    being_copied: Vec<String>,
    too_compressed: Vec<String>,
    missing_keys: Vec<String>,
    slow: Vec<String>,
    copies: Vec<PlotCopy>,
    interrupted: u64,
}

impl Summary {
    fn new(files: u64, not_listed: Vec<NotListed>, options: &PlotsCheck) -> Self {
        Self {
            files,
            not_listed,
            pattern: options.grep_string.clone(),
            lists_duplicates: options.list_duplicates,
            checked: 0,
            valid_bytes: ByteSize(0),
            kinds: BTreeMap::new(),
            invalid: Vec::new(),
            cannot_open: Vec::new(),
            being_copied: Vec::new(),
            too_compressed: Vec::new(),
            missing_keys: Vec::new(),
            slow: Vec::new(),
            copies: Vec::new(),
            interrupted: 0,
        }
    }

    fn add(&mut self, report: &PlotReport) {
        let name = plot_name(&report.path);
        self.checked += 1;
        match report.verdict {
            Verdict::Valid => {
                self.valid_bytes += report.size;
                let kind = report
                    .plot
                    .as_ref()
                    .map_or_else(String::new, |plot| match plot.version {
                        HeaderVersion::Pos2 { .. } => format!("v2 plots of size {}", plot.k),
                        _ => format!("v1 plots of size {}", plot.k),
                    });
                *self.kinds.entry(kind).or_default() += 1;
            }
            Verdict::Invalid => self.invalid.push(name.clone()),
            Verdict::CannotOpen => self.cannot_open.push(name.clone()),
            Verdict::BeingCopied => self.being_copied.push(name.clone()),
            Verdict::TooCompressed => self.too_compressed.push(name.clone()),
            Verdict::Interrupted => {
                self.checked -= 1;
                self.interrupted += 1;
            }
        }
        if report.plot.as_ref().is_some_and(|plot| plot.missing_key.is_some()) {
            self.missing_keys.push(name.clone());
        }
        if report.lookups.slow + report.proving.slow > 0 {
            self.slow.push(name);
        }
    }

    fn valid(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// A file on its way is no fault; everything else that is not farmed is one.
    fn is_fine(&self) -> bool {
        self.files > 0
            && self.checked == self.files
            && self.not_listed.is_empty()
            && [
                &self.invalid,
                &self.cannot_open,
                &self.too_compressed,
                &self.missing_keys,
                &self.slow,
            ]
            .iter()
            .all(|list| list.is_empty())
            && self.copies.is_empty()
    }

    fn print(&self, out: &mut impl Write, commands: &Commands) -> io::Result<()> {
        for NotListed { path, reason, hint } in &self.not_listed {
            writeln!(out, "CANNOT LIST: {}: {}", safe(path), safe(reason))?;
            if let Some(hint) = hint {
                writeln!(out, "  -> {}", safe(&commands.here(hint)))?;
            }
        }
        if self.files == 0 {
            return match &self.pattern {
                Some(pattern) => writeln!(out, "no plot file has {} in its path", safe(pattern)),
                None => writeln!(
                    out,
                    "{}",
                    commands.here(
                        "no plot files found; add a directory with `farmconsole plots add -d DIR`, or name one here"
                    )
                ),
            };
        }
        writeln!(out, "\nSummary")?;
        #[expect(clippy::cast_precision_loss, reason = "it is printed with five decimals")]
        let tebibytes = self.valid_bytes.0 as f64 / (1_u64 << 40) as f64;
        let valid = plural(self.valid(), "valid plot");
        writeln!(out, "Found {valid}, total size {tebibytes:.5} TiB")?;
        for (kind, count) in &self.kinds {
            writeln!(out, "{count} {kind}")?;
        }
        for (what, list) in [
            ("invalid", &self.invalid),
            ("cannot be opened", &self.cannot_open),
            ("too compressed for this harvester", &self.too_compressed),
            ("not farmed, made for other keys", &self.missing_keys),
            ("slow", &self.slow),
            ("being copied", &self.being_copied),
        ] {
            if list.is_empty() {
                continue;
            }
            writeln!(out, "{} {what}:", plural(list.len() as u64, "file"))?;
            for path in list {
                writeln!(out, "    {}", safe(path))?;
            }
        }
        if !self.copies.is_empty() {
            let count = plural(self.copies.len() as u64, "duplicate");
            let how = if self.lists_duplicates {
                ":"
            } else {
                "; list them with -l"
            };
            writeln!(out, "{count}{how}")?;
        }
        for PlotCopy { path, of } in self.copies.iter().filter(|_| self.lists_duplicates) {
            let [path, of] = [path, of].map(|it| safe(&plot_name(it)));
            writeln!(out, "    {path} is the same plot as {of}")?;
        }
        if self.checked < self.files {
            let left = plural(self.files - self.checked, "file");
            writeln!(out, "STOPPED: {left} of {} not checked to the end", self.files)?;
        }
        Ok(())
    }

    fn to_json(&self) -> SummaryJson<'_> {
        let count = |list: &[String]| list.len() as u64;
        SummaryJson {
            version: 1,
            kind: "summary",
            files: self.files,
            valid: self.valid(),
            valid_bytes: self.valid_bytes.0,
            invalid: count(&self.invalid),
            cannot_open: count(&self.cannot_open),
            being_copied: count(&self.being_copied),
            too_compressed: count(&self.too_compressed),
            missing_keys: count(&self.missing_keys),
            slow: count(&self.slow),
            duplicates: self.copies.len() as u64,
            not_checked: self.files - self.checked,
            not_listed: &self.not_listed,
        }
    }
}

/// The last object of `plots check --json`.
#[derive(Debug, Serialize)]
struct SummaryJson<'a> {
    version: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    files: u64,
    valid: u64,
    valid_bytes: u64,
    invalid: u64,
    cannot_open: u64,
    being_copied: u64,
    too_compressed: u64,
    missing_keys: u64,
    slow: u64,
    duplicates: u64,
    not_checked: u64,
    not_listed: &'a [NotListed],
}

/// Fewer challenges say too little of a plot: the official command asks no fewer either.
const FEWEST_CHALLENGES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_anywhere_in_a_path() {
        let path = "/plots/disk 1/plot-k32-2021-ab.plot";
        for pattern in ["", "disk 1", "k32", "k3?", "disk*ab", "*", ".plot", "/plots/*.plot"] {
            assert!(matches(pattern, path), "{pattern}");
        }
        for pattern in ["k33", "k32?2022", "ab*disk", "plots2"] {
            assert!(!matches(pattern, path), "{pattern}");
        }
    }
}
