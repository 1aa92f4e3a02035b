//! Checking plots as `plots check` does: each is opened, asked a number of challenges, and every proof it gives is looked
//! up in full and verified.
//!
//! This says what was found and how long it took, and prints nothing. A plot is checked whether it is made for our keys or
//! not, and whether another file holds it too; both are told. [`check_plots`] checks many of them side by side.

mod copies;
mod find;
mod run;
mod subject;
mod wait;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::file::PlotFile;
use super::plot::OpenError;
use super::queue::WARN_AFTER;
use crate::crypto::sha256;
use crate::ids::{PlotId, PosChallenge};
use crate::pos::Constants;
use crate::pos::header::{HeaderVersion, PlotHeader};
use crate::units::ByteSize;
use crate::wire::{G1Bytes, HarvesterHandshake, PlotPool};
use subject::Subject;
use wait::Wait;

pub use copies::PlotCopy;
pub use find::{PlotFiles, Unlisted, plot_files};
pub use run::{CheckEvent, check_plots};

/// How plots are checked.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Constants of the network.
    pub constants: Arc<Constants>,
    /// Our farming keys, if they are known: a machine that only harvests has none.
    pub keys: Option<HarvesterHandshake>,
    /// Highest compression level that is farmed; 0 for none.
    pub max_compression_level: u8,
    /// Numbers of the challenges: number n is sha256 of n as 32 bytes, as in the official software. None at all opens
    /// the plots only.
    pub challenges: Range<u64>,
}

/// A full proof that takes longer is worth a warning: the official check warns at the same time. For looking qualities
/// up it is [`WARN_AFTER`].
pub const WARN_PROOF_AFTER: Duration = Duration::from_secs(15);

/// What a check found out about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotReport {
    /// File.
    pub path: PathBuf,
    /// Its size; 0 if it cannot be opened.
    pub size: ByteSize,
    /// What its header says, if that can be read.
    pub plot: Option<PlotDetails>,
    /// All in all.
    pub verdict: Verdict,
    /// The file that it is a copy of, among those that were seen before; a valid file is none of one that is not.
    pub duplicate_of: Option<PathBuf>,
    /// Challenges it was asked: more than wanted if it had no proof for those.
    pub challenges: u32,
    /// Proofs that it gave for them and that were verified; about one a challenge over hundreds of them.
    pub proofs: u32,
    /// Looking qualities up, once a challenge.
    pub lookups: Times,
    /// Making a full proof, once a proof: reading it, or with v2 plots solving it.
    pub proving: Times,
    /// What went wrong, at most [`MAX_ERRORS`].
    pub errors: Vec<String>,
}

impl PlotReport {
    /// Of a file that was not looked at.
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            size: ByteSize(0),
            plot: None,
            verdict: Verdict::Interrupted,
            duplicate_of: None,
            challenges: 0,
            proofs: 0,
            lookups: Times::default(),
            proving: Times::default(),
            errors: Vec::new(),
        }
    }

    /// Of a file on a drive that does not answer.
    fn hung(path: &Path) -> Self {
        Self {
            verdict: Verdict::CannotOpen,
            errors: vec![format!("read {}: {}", path.display(), wait::no_answer())],
            ..Self::new(path)
        }
    }
}

/// A plot is asked nothing more after so many errors: a failing disk may take half a minute for each.
pub const MAX_ERRORS: usize = 3;

/// A plot without a proof is asked at least so many challenges before it is called invalid. A v1 plot has none for
/// 38 of 100 challenges, a v2 plot for nearly 60, so hardly one of ten million has none for thirty.
const FEWEST_WITHOUT_PROOF: u64 = 30;

/// What the header of a plot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlotDetails {
    /// Its id.
    pub plot_id: PlotId,
    /// Its format.
    pub version: HeaderVersion,
    /// Its k.
    pub k: u8,
    /// Who is paid.
    pub pool: PlotPool,
    /// Who farms it.
    pub farmer_public_key: G1Bytes,
    /// Which key of it is not ours, if ours are known: then it is not farmed.
    pub missing_key: Option<MissingKey>,
}

/// A key of a plot that is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// Its farmer public key.
    Farmer,
    /// Its pool public key.
    Pool,
}

/// What a file is worth, apart from its keys and its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gave proofs and no error; without challenges: it can be opened.
    Valid,
    /// It gave an error, or no proof at all.
    Invalid,
    /// It cannot be opened, or its drive does not answer.
    CannotOpen,
    /// It is not whole yet.
    BeingCopied,
    /// Its compression level is more than this harvester takes.
    TooCompressed,
    /// The check was stopped before it was done with this file.
    Interrupted,
}

/// How long something took that was done several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How often.
    pub count: u32,
    /// How often it took too long.
    pub slow: u32,
    /// All of it.
    pub total: Duration,
    /// Longest.
    pub max: Duration,
}

impl Times {
    /// Mean; 0 if it was never done.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.total.checked_div(self.count).unwrap_or_default()
    }

    fn add(&mut self, took: Duration, slow_after: Duration) {
        self.count += 1;
        self.slow += u32::from(took > slow_after);
        self.total += took;
        self.max = self.max.max(took);
    }
}

/// Challenge number `n`, as the official check makes them.
#[must_use]
pub fn check_challenge(n: u64) -> PosChallenge {
    let mut number = [0; 32];
    number[24..].copy_from_slice(&n.to_be_bytes());
    PosChallenge(sha256(&[&number]))
}

/// Checks one file. Blocking. `asked` is called after each challenge, `stop` is minded before each.
pub fn check_plot(
    path: &Path,
    options: &CheckOptions,
    stop: &CancellationToken,
    asked: &mut dyn FnMut(),
) -> PlotReport {
    check_waiting(path, options, stop, &Wait::default(), asked)
}

/// As [`check_plot`], and says in `wait` when it waits for the disk.
fn check_waiting(
    path: &Path,
    options: &CheckOptions,
    stop: &CancellationToken,
    wait: &Wait,
    asked: &mut dyn FnMut(),
) -> PlotReport {
    let mut report = PlotReport::new(path);
    if stop.is_cancelled() {
        return report;
    }
    let subject = match wait.during(|| open(path, options, &mut report)) {
        Ok(subject) => subject,
        Err(error) => {
            report.verdict = match &error {
                OpenError::BeingCopied { .. } => Verdict::BeingCopied,
                OpenError::TooCompressed { .. } => Verdict::TooCompressed,
                _ => Verdict::CannotOpen,
            };
            report.errors.push(error.to_string());
            return report;
        }
    };
    let Range { start, end } = options.challenges;
    let enough = start.saturating_add(FEWEST_WITHOUT_PROOF);
    for number in start..if start < end { end.max(enough) } else { end } {
        if stop.is_cancelled() {
            return report;
        }
        if report.errors.len() >= MAX_ERRORS || (number >= end && (report.proofs > 0 || !report.errors.is_empty())) {
            break;
        }
        subject.ask(&check_challenge(number), &options.constants, wait, &mut report);
        report.challenges += 1;
        asked();
    }
    let is_fine = report.errors.is_empty() && (report.proofs > 0 || options.challenges.is_empty());
    report.verdict = if is_fine { Verdict::Valid } else { Verdict::Invalid };
    report
}

/// Opens a plot with its own keys, and notes whose it is.
fn open(path: &Path, options: &CheckOptions, report: &mut PlotReport) -> Result<Subject, OpenError> {
    let file = PlotFile::open(path).map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    report.size = ByteSize(crate::pos::ReadAt::size(&file));
    let header = PlotHeader::parse(&file).map_err(|source| OpenError::Plot {
        path: path.to_owned(),
        source,
    })?;
    let memo = &header.memo;
    let missing = |keys: &HarvesterHandshake| {
        if !keys.farmer_public_keys.contains(&memo.farmer_public_key) {
            Some(MissingKey::Farmer)
        } else if memo
            .pool
            .public_key()
            .is_some_and(|pool| !keys.pool_public_keys.contains(pool))
        {
            Some(MissingKey::Pool)
        } else {
            None
        }
    };
    report.plot = Some(PlotDetails {
        plot_id: header.plot_id,
        version: header.version,
        k: header.k,
        pool: memo.pool,
        farmer_public_key: memo.farmer_public_key,
        missing_key: options.keys.as_ref().and_then(missing),
    });
    Subject::open(path, &header, options)
}

/// Notes what took how long.
fn note_lookup(report: &mut PlotReport, took: Duration) {
    report.lookups.add(took, WARN_AFTER);
}

fn note_proving(report: &mut PlotReport, took: Duration) {
    report.proving.add(took, WARN_PROOF_AFTER);
}

fn note_error(report: &mut PlotReport, error: String) {
    if report.errors.len() < MAX_ERRORS {
        report.errors.push(error);
    }
}

#[cfg(test)]
mod tests;
