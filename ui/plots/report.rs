//! What `plots check` says of one plot: for people, and as JSON.

use std::io::{self, Write};
use std::time::Duration;

use farmconsole::config::Settings;
use farmconsole::harvester::{MissingKey, PlotDetails, PlotReport, Times, Verdict, plot_name};
use farmconsole::keys::address;
use farmconsole::pos::header::HeaderVersion;
use farmconsole::wire::{G1Bytes, PlotPool};
use serde::Serialize;

use crate::format::{plural, safe};
use crate::out::Out;

/// One line that says what the plot is and what came of it, and one for each trouble.
pub(super) fn print_report(out: &mut impl Write, report: &PlotReport, settings: &Settings) -> io::Result<()> {
    let verdict = match report.verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "INVALID",
        Verdict::CannotOpen => "CANNOT OPEN",
        Verdict::BeingCopied => "being copied",
        Verdict::TooCompressed => "TOO COMPRESSED",
        Verdict::Interrupted => "not finished",
    };
    writeln!(out, "{verdict}: {}", safe(&plot_name(&report.path)))?;
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
        writeln!(out, "    DUPLICATE: the same plot as {}", safe(&plot_name(of)))?;
    }
    Ok(())
}

fn kind(plot: &PlotDetails) -> String {
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

pub(super) fn print_json(object: &impl Serialize) -> io::Result<()> {
    let mut out = Out::for_programs();
    serde_json::to_writer(&mut out, object).map_err(io::Error::from)?;
    writeln!(out)
}

/// One plot in `plots check --json`.
#[derive(Debug, Serialize)]
pub(super) struct PlotJson {
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
    pub(super) fn of(report: &PlotReport, settings: &Settings) -> Self {
        Self {
            version: 1,
            kind: "plot",
            path: plot_name(&report.path),
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
            duplicate_of: report.duplicate_of.as_deref().map(plot_name),
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
    fn of(plot: &PlotDetails, settings: &Settings) -> Self {
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
