//! `farmconsole plots check`: opens plots, asks them challenges, verifies every proof, and says what is wrong.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use farmconsole::config::Settings;
use farmconsole::harvester::{
    CheckEvent, CheckOptions, MissingKey, PlotFacts, PlotReport, ScanOptions, ServiceOptions, Times, Verdict,
    check_plots, plot_files,
};
use farmconsole::keys::{self, KeysError, address};
use farmconsole::pos::header::HeaderVersion;
use farmconsole::units::ByteSize;
use farmconsole::wire::{G1Bytes, HarvesterHandshake, PlotPool};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::progress::{Interrupts, Progress};
use crate::args::PlotsCheck;
use crate::context::Context;
use crate::daemon::{settings, with_hint};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{plural, safe};

/// Runs the command.
pub(super) async fn run(context: &Context, options: PlotsCheck) -> Outcome {
    let settings = settings(context)?;
    let challenges = challenges(&options)?;
    let keys = farming_keys(context, &settings)?;
    let (mut files, not_listed) = find(&settings, &options.paths);
    if let Some(pattern) = &options.grep_string {
        files.retain(|file| matches(pattern, &file.to_string_lossy()));
    }
    let mut interrupts = Interrupts::take()?;
    let check = CheckOptions {
        constants: Arc::new(settings.constants.clone()),
        keys,
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
            () = interrupts.next() => {
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
                    print_report(&report, &settings)
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
    ended.map_err(|error| Failure::new(Status::Failed, format!("start a thread: {error}")))?;
    if options.output.json {
        print_json(&summary.to_json())?;
    } else {
        summary.print()?;
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
            io::stderr().lock(),
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
                io::stderr().lock(),
                "no farming keys on this root: whose plots they are is not checked"
            )?;
            return Ok(None);
        }
        Err(error) => {
            let hint = error.hint();
            return Err(with_hint(Failure::new(Status::Failed, error), hint));
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
    let scan = ServiceOptions::of(settings).scan;
    let paths = if paths.is_empty() { &scan.directories } else { paths };
    let (mut files, mut directories, mut not_listed) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let path = path.canonicalize().unwrap_or_else(|_| path.clone());
        if path.is_file() {
            files.push(path);
        } else if let Err(error) = std::fs::read_dir(&path) {
            not_listed.push(NotListed {
                path: path.display().to_string(),
                reason: error.to_string(),
            });
        } else {
            directories.push(path);
        }
    }
    files.extend(plot_files(&ScanOptions { directories, ..scan }));
    files.sort();
    files.dedup();
    (files, not_listed)
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

/// One line that says what the plot is and what came of it, and one for each trouble.
fn print_report(report: &PlotReport, settings: &Settings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let verdict = match report.verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "INVALID",
        Verdict::CannotOpen => "CANNOT OPEN",
        Verdict::BeingCopied => "being copied",
        Verdict::TooCompressed => "TOO COMPRESSED",
        Verdict::Interrupted => "not finished",
    };
    writeln!(out, "{verdict}: {}", safe(&report.path.display().to_string()))?;
    if let Some(plot) = &report.plot {
        writeln!(out, "    {}, {}", kind(plot), pool(&plot.pool, settings))?;
    }
    if report.challenges > 0 {
        writeln!(
            out,
            "    Proofs {} / {}, {:.4}; looking up took {}, proofs {}",
            report.proofs,
            report.challenges,
            f64::from(report.proofs) / f64::from(report.challenges),
            times(&report.lookups),
            times(&report.proving)
        )?;
    }
    if report.lookups.slow > 0 {
        writeln!(
            out,
            "    SLOW: {} took longer than 8 s, so proofs may come too late",
            plural(report.lookups.slow.into(), "look-up")
        )?;
    }
    if report.proving.slow > 0 {
        writeln!(
            out,
            "    SLOW: {} took longer than 15 s to make",
            plural(report.proving.slow.into(), "proof")
        )?;
    }
    for error in &report.errors {
        writeln!(out, "    {}", safe(error))?;
    }
    match report
        .plot
        .as_ref()
        .and_then(|plot| plot.missing_key.map(|key| (plot, key)))
    {
        Some((plot, MissingKey::Farmer)) => {
            writeln!(
                out,
                "    NOT FARMED: farmer public key {} is not ours",
                plot.farmer_public_key
            )?;
        }
        Some((_, MissingKey::Pool)) => writeln!(out, "    NOT FARMED: its pool public key is not ours")?,
        None => {}
    }
    if let Some(of) = &report.duplicate_of {
        writeln!(
            out,
            "    DUPLICATE: the same plot as {}",
            safe(&of.display().to_string())
        )?;
    }
    Ok(())
}

fn kind(plot: &PlotFacts) -> String {
    match plot.version {
        HeaderVersion::V1 => format!("v1 plot of k {}, not compressed", plot.k),
        HeaderVersion::V2Compressed { level: 0 } => format!("v1 plot of k {}, not compressed (bladebit)", plot.k),
        HeaderVersion::V2Compressed { level } => format!("v1 plot of k {}, compression C{level}", plot.k),
        HeaderVersion::Pos2 { strength, .. } => format!("v2 plot of k {}, strength {strength}", plot.k),
    }
}

fn pool(pool: &PlotPool, settings: &Settings) -> String {
    match pool {
        PlotPool::PublicKey(key) => format!("pool public key {key}"),
        PlotPool::Contract(contract) => match address::encode(&settings.address_prefix, contract) {
            Ok(address) => format!("pool contract {address}"),
            Err(_) => format!("pool contract {contract}"),
        },
    }
}

fn times(times: &Times) -> String {
    if times.count == 0 {
        return "no time".to_owned();
    }
    format!("{:.1} ms (at most {:.1} ms)", ms(times.mean()), ms(times.max))
}

/// Milliseconds with three decimals.
fn ms(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "so many microseconds are no look-up")]
    let microseconds = time.as_micros() as f64;
    microseconds / 1000.0
}

fn print_json(object: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, object).map_err(io::Error::from)?;
    writeln!(out)
}

/// A path of the settings or the command line that is no file and cannot be listed.
#[derive(Clone, Debug, Serialize)]
struct NotListed {
    path: String,
    reason: String,
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
    kinds: std::collections::BTreeMap<String, u64>,
    invalid: Vec<String>,
    cannot_open: Vec<String>,
    being_copied: Vec<String>,
    too_compressed: Vec<String>,
    missing_keys: Vec<String>,
    slow: Vec<String>,
    duplicates: Vec<(String, String)>,
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
            kinds: std::collections::BTreeMap::new(),
            invalid: Vec::new(),
            cannot_open: Vec::new(),
            being_copied: Vec::new(),
            too_compressed: Vec::new(),
            missing_keys: Vec::new(),
            slow: Vec::new(),
            duplicates: Vec::new(),
            interrupted: 0,
        }
    }

    fn add(&mut self, report: &PlotReport) {
        let name = report.path.display().to_string();
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
            self.slow.push(name.clone());
        }
        if let Some(of) = &report.duplicate_of {
            self.duplicates.push((name, of.display().to_string()));
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
            && self.duplicates.is_empty()
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for NotListed { path, reason } in &self.not_listed {
            writeln!(out, "CANNOT LIST: {}: {}", safe(path), safe(reason))?;
        }
        if self.files == 0 {
            return match &self.pattern {
                Some(pattern) => writeln!(out, "no plot file has {} in its path", safe(pattern)),
                None => writeln!(
                    out,
                    "no plot files found; add a directory with `farmconsole plots add -d DIR`, or name one here"
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
        if !self.duplicates.is_empty() {
            let count = plural(self.duplicates.len() as u64, "duplicate");
            let how = if self.lists_duplicates {
                ":"
            } else {
                "; list them with -l"
            };
            writeln!(out, "{count}{how}")?;
        }
        for (path, of) in self.duplicates.iter().filter(|_| self.lists_duplicates) {
            writeln!(out, "    {} is the same plot as {}", safe(path), safe(of))?;
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
            duplicates: self.duplicates.len() as u64,
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

/// One plot in `plots check --json`.
#[derive(Debug, Serialize)]
struct PlotJson {
    version: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    path: String,
    size_bytes: u64,
    verdict: &'static str,
    plot: Option<FactsJson>,
    duplicate_of: Option<String>,
    challenges: u32,
    proofs: u32,
    lookup_mean_ms: f64,
    lookup_max_ms: f64,
    lookups_slow: u32,
    proof_mean_ms: f64,
    proof_max_ms: f64,
    proofs_slow: u32,
    errors: Vec<String>,
}

/// What its header says.
#[derive(Debug, Serialize)]
struct FactsJson {
    plot_id: String,
    format: &'static str,
    k: u8,
    compression_level: Option<u8>,
    strength: Option<u8>,
    plot_index: Option<u16>,
    meta_group: Option<u8>,
    pool_public_key: Option<G1Bytes>,
    pool_contract_address: Option<String>,
    farmer_public_key: G1Bytes,
    missing_key: Option<&'static str>,
}

impl PlotJson {
    fn of(report: &PlotReport, settings: &Settings) -> Self {
        let name = |path: &Path| path.display().to_string();
        Self {
            version: 1,
            kind: "plot",
            path: name(&report.path),
            size_bytes: report.size.0,
            verdict: match report.verdict {
                Verdict::Valid => "valid",
                Verdict::Invalid => "invalid",
                Verdict::CannotOpen => "cannot_open",
                Verdict::BeingCopied => "being_copied",
                Verdict::TooCompressed => "too_compressed",
                Verdict::Interrupted => "interrupted",
            },
            plot: report.plot.as_ref().map(|plot| FactsJson::of(plot, settings)),
            duplicate_of: report.duplicate_of.as_deref().map(name),
            challenges: report.challenges,
            proofs: report.proofs,
            lookup_mean_ms: ms(report.lookups.mean()),
            lookup_max_ms: ms(report.lookups.max),
            lookups_slow: report.lookups.slow,
            proof_mean_ms: ms(report.proving.mean()),
            proof_max_ms: ms(report.proving.max),
            proofs_slow: report.proving.slow,
            errors: report.errors.clone(),
        }
    }
}

impl FactsJson {
    fn of(plot: &PlotFacts, settings: &Settings) -> Self {
        let (format, compression_level, v2) = match plot.version {
            HeaderVersion::V1 => ("v1", Some(0), None),
            HeaderVersion::V2Compressed { level } => ("v1", Some(level), None),
            HeaderVersion::Pos2 {
                strength,
                plot_index,
                meta_group,
            } => ("v2", None, Some((strength, plot_index, meta_group))),
        };
        let contract = plot.pool.contract();
        Self {
            plot_id: plot.plot_id.to_string(),
            format,
            k: plot.k,
            compression_level,
            strength: v2.map(|(strength, ..)| strength),
            plot_index: v2.map(|(_, index, _)| index),
            meta_group: v2.map(|(_, _, group)| group),
            pool_public_key: plot.pool.public_key().copied(),
            pool_contract_address: contract.and_then(|hash| address::encode(&settings.address_prefix, hash).ok()),
            farmer_public_key: plot.farmer_public_key,
            missing_key: plot.missing_key.map(|key| match key {
                MissingKey::Farmer => "farmer",
                MissingKey::Pool => "pool",
            }),
        }
    }
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
