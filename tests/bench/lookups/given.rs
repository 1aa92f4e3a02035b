//! Plots that somebody has, compressed ones above all: quality and proof for a challenge that each is known to answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use farmconsole::harvester::PlotFile;
use farmconsole::pos::v1::Prover;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::run;

/// A plot in `index.json`.
#[derive(Debug, Deserialize)]
struct Given {
    file: String,
    level: u8,
    challenge: String,
}

/// What one side says of a plot.
#[derive(Debug, Serialize, Deserialize)]
struct Looked {
    quality_ms: f64,
    proof_ms: f64,
}

/// Prints a line for each plot of the directory; an error is printed in its place.
pub(crate) fn measure(out: &mut impl Write, dir: &Path, python: Option<&Path>, script: &Path) -> Result<()> {
    let index = fs::read(dir.join("index.json")).with_context(|| format!("read {}/index.json", dir.display()))?;
    let plots: Vec<Given> = serde_json::from_slice(&index)?;
    let official: BTreeMap<String, Result<Looked, String>> = match python {
        Some(python) => run(Command::new(python).arg(script).arg("--given").arg(dir))?,
        None => BTreeMap::new(),
    };
    writeln!(out, "\nGiven plots: ms for the quality, then for the full proof")?;
    writeln!(
        out,
        "{:20} {:>22} {:>22} {:>15}  (goal: at least 5)",
        "", "farmconsole", "official", "times as fast"
    )?;
    for plot in &plots {
        if !dir.join(&plot.file).exists() {
            writeln!(out, "{:20} is not there", plot.file)?;
            continue;
        }
        let ours = look_up(&dir.join(&plot.file), plot).map_err(|error| format!("{error:#}"));
        let cell = |looked: Option<&Result<Looked, String>>| match looked {
            Some(Ok(looked)) => format!("{:.1} {:.1}", looked.quality_ms, looked.proof_ms),
            Some(Err(error)) => error.clone(),
            None => "-".to_owned(),
        };
        let title = format!("{} C{}", plot.file, plot.level);
        let (our, their) = (cell(Some(&ours)), cell(official.get(&plot.file)));
        let ratio = match (&ours, official.get(&plot.file)) {
            (Ok(ours), Some(Ok(their))) => format!(
                "{:.1} {:.1}",
                their.quality_ms / ours.quality_ms,
                their.proof_ms / ours.proof_ms
            ),
            _ => String::new(),
        };
        writeln!(out, "{title:20} {our:>22} {their:>22} {ratio:>15}")?;
        out.flush()?;
    }
    Ok(())
}

fn look_up(path: &Path, plot: &Given) -> Result<Looked> {
    let file = PlotFile::open(path)?;
    let challenge = plot.challenge.parse()?;
    let prover = Prover::open(&file)?;
    let started = Instant::now();
    let qualities = prover.qualities(&file, &challenge)?;
    let quality_ms = started.elapsed().as_secs_f64() * 1000.0;
    let quality = qualities.first().context("no quality")?;
    let started = Instant::now();
    prover.full_proof(&file, &challenge, quality)?;
    Ok(Looked {
        quality_ms,
        proof_ms: started.elapsed().as_secs_f64() * 1000.0,
    })
}
