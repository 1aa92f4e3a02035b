//! The look-up benchmark: thousands of plots, looked up by this harvester and, if it is there, by the code of the
//! official harvester 2.7.5, in the same run.
//!
//!     cargo bench --bench lookups -- [--plots N] [--rounds N] [--threads N] [--official VENV_PYTHON] [--ours-only]
//!     cargo bench --bench lookups -- --known 100000
//!
//! One real k18 plot is made. All others have its tables and keys, and so an id, of their own: their files have holes,
//! and hold what the look-ups of this run read, which is worked out beforehand. So both programs do exactly what they do
//! with as many real plots, from a warm cache, and thousands of plots take a few hundred MB. No quality is good enough
//! for a proof. Each side is a process of its own, to have memory and CPU time for itself: `Service`
//! here, `PlotManager` and `HarvesterAPI` there (`official_harvester.py`), 30 threads unless told otherwise.
//!
//! Then, of this prover alone: reads for a quality and a proof, counted; and how long a proof takes on simulated disks
//! that need 10 ms for a read, one spindle and as many as there are reads.
//!
//! With `FARMCONSOLE_BENCH_PLOTS=DIR` plots that somebody has are looked up too, compressed ones as well, by both; level 7
//! takes the official software half a minute a proof. DIR/index.json lists them:
//!
//!     [{"file": "plot-k32-c05-….plot", "level": 5, "challenge": "64 hex digits, which the plot has a proof for"}, …]
//!
//! Entries whose file is not in DIR are left out, and told of.
//!
//! With `--known N` nothing is looked up. It tells how long it takes until so many plots are known, from nothing and again
//! from the cache; 100,000 of them take 2 GB in the directory for temporary files and some minutes to make.
//!
//! Nothing is asserted: times say something only to a reader who knows what else the machine does, so the load is
//! printed too. Goals that are ratios are those of the table's last column.

#[path = "lookups/disks.rs"]
mod disks;
#[path = "lookups/given.rs"]
mod given;
#[path = "lookups/made_up.rs"]
mod made_up;
#[path = "lookups/ours.rs"]
mod ours;
#[path = "lookups/side.rs"]
mod side;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::side::{Job, Measured};

/// Measures look-ups.
#[derive(Debug, Parser)]
struct Args {
    /// Plots.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    plots: u32,
    /// How often each signage point is looked up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Look-ups at the same time: `harvester.num_threads`.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Load so many plots twice, and nothing else.
    #[arg(long, value_name = "PLOTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    #[arg(conflicts_with_all = ["plots", "rounds", "official"])]
    known: Option<u32>,
    /// Python of a venv with chia-blockchain 2.7.5 [default: chia-2.7.5/bin/python in $FARMCONSOLE_INTEROP_DIR or in
    /// ~/.cache/farmconsole-interop].
    #[arg(long, value_name = "VENV_PYTHON")]
    official: Option<PathBuf>,
    /// Measure farmconsole alone.
    #[arg(long, conflicts_with = "official")]
    ours_only: bool,
    /// Be our side, with the job in this file.
    #[arg(long, hide = true)]
    side: Option<PathBuf>,
    /// `cargo bench` says so; without it nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` starts benchmarks too, without this flag: it shall find no test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let args = Args::parse();
    if let Some(job) = &args.side {
        let job = serde_json::from_slice(&fs::read(job)?)?;
        let measured = ours::measure(&job)?;
        return Ok(serde_json::to_writer(io::stdout().lock(), &measured)?);
    }
    let mut out = io::stdout().lock();
    let is_alone = args.ours_only || args.known.is_some();
    let python = if is_alone { None } else { official_python(&args) };
    let dir = tempfile::tempdir()?;
    let job = made_up::make(dir.path(), &args)?;
    let job_file = dir.path().join("job.json");
    fs::write(&job_file, serde_json::to_vec(&job)?)?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let ours: Measured = run(Command::new(std::env::current_exe()?)
        .arg("--bench")
        .arg("--side")
        .arg(&job_file))
    .context("measure farmconsole")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/official_harvester.py");
    let official: Option<Measured> = match &python {
        Some(python) => Some(
            run(Command::new(python)
                .arg(&script)
                .arg(&job_file)
                .arg(dir.path().join("official")))
            .context("measure the official harvester")?,
        ),
        None => None,
    };
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    writeln!(
        out,
        "\n{} plots, {} threads, {} rounds; load {load}",
        job.plots, job.threads, job.rounds
    )?;
    print(&mut out, &job, &ours, official.as_ref())?;
    if args.known.is_some() {
        return Ok(());
    }
    disks::measure(&mut out, &job)?;
    if let Some(given) = std::env::var_os("FARMCONSOLE_BENCH_PLOTS") {
        given::measure(&mut out, Path::new(&given), python.as_deref(), &script)?;
    }
    Ok(())
}

/// The JSON that a program prints last.
fn run<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "it ended with {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().context("it printed nothing")?;
    Ok(serde_json::from_str(last)?)
}

/// The table, then its lines as JSON.
fn print(out: &mut impl Write, job: &Job, ours: &Measured, official: Option<&Measured>) -> Result<()> {
    let mut rows = vec![
        Row::new("load: until all are looked up", "ms", "1/10", |m| m.farmed_ms),
        Row::new("load: until the farmer has all", "ms", "", |m| m.load_ms),
        Row::new("load again: until all are looked up", "ms", "", |m| m.farmed_again_ms),
        Row::new("load again: until the farmer has all", "ms", "", |m| m.load_again_ms),
        Row::new("memory a plot", "bytes", "1/5", |m| m.bytes_per_plot),
    ];
    for (number, filter) in job.filters.iter().enumerate() {
        let one_in = 1 << filter.bits;
        let goal = if filter.bits == 8 { "1/40" } else { "1/12" };
        let of = move |m: &Measured| m.filters.get(number).cloned().unwrap_or_default();
        let row = |what: &str, unit, goal, value: Box<dyn Fn(&Measured) -> f64>| Row {
            title: format!("filter 1/{one_in}: {what}"),
            unit,
            goal,
            value,
        };
        rows.push(row("signage point", "ms", goal, Box::new(move |m| median(&of(m).ms))));
        rows.push(row("CPU of it", "ms", "1/10", Box::new(move |m| of(m).cpu_ms)));
        rows.push(row("plots looked up", "", "same", Box::new(move |m| of(m).passed)));
        rows.push(row("qualities found", "", "same", Box::new(move |m| of(m).qualities)));
    }
    rows.push(Row::new("errors", "", "0", |m| m.errors));
    writeln!(
        out,
        "{:44} {:>11} {:>11} {:>9}  goal",
        "", "farmconsole", "official", "ratio"
    )?;
    for row in &rows {
        let (our, their) = ((row.value)(ours), official.map(|m| (row.value)(m)));
        let ratio = their
            .filter(|their| our > 0.0 && *their > 0.0)
            .map_or_else(String::new, |their| format!("1/{:.1}", their / our));
        let title = if row.unit.is_empty() {
            row.title.clone()
        } else {
            format!("{}, {}", row.title, row.unit)
        };
        let their_cell = their.map_or_else(|| "-".to_owned(), |their| format!("{their:.2}"));
        writeln!(out, "{title:44} {our:>11.2} {their_cell:>11} {ratio:>9}  {}", row.goal)?;
    }
    for row in &rows {
        let line = json!({
            "bench": "lookups", "plots": job.plots, "threads": job.threads, "row": row.title, "unit": row.unit,
            "farmconsole": (row.value)(ours), "official": official.map(|m| (row.value)(m)), "goal": row.goal,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A line of the table.
struct Row {
    title: String,
    unit: &'static str,
    goal: &'static str,
    value: Box<dyn Fn(&Measured) -> f64>,
}

impl Row {
    fn new(title: &str, unit: &'static str, goal: &'static str, value: impl Fn(&Measured) -> f64 + 'static) -> Self {
        Self {
            title: title.to_owned(),
            unit,
            goal,
            value: Box::new(value),
        }
    }
}

/// The middle one; 0 of none.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The python of the official harvester, if it is there.
fn official_python(args: &Args) -> Option<PathBuf> {
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/farmconsole-interop"));
    let python = args.official.clone().or_else(|| {
        let dir = std::env::var_os("FARMCONSOLE_INTEROP_DIR")
            .map(PathBuf::from)
            .or_else(cache)?;
        Some(dir.join("chia-2.7.5/bin/python"))
    })?;
    if !python.exists() {
        drop(writeln!(
            io::stderr(),
            "official harvester not measured: there is no {}",
            python.display()
        ));
        return None;
    }
    Some(python)
}
