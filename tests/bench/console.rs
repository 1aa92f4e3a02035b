//! The console benchmark: what a frame costs on a farm far larger than most.
//!
//!     cargo bench --bench console -- [--harvesters N] [--plots N] [--messages N] [--columns N] [--rows N]
//!
//! Every frame takes in the messages of a thirtieth of a second and, four times a second, a new picture of the farm; it
//! is drawn as the console draws it, into bytes for a terminal. Printed are processor time and allocations on every screen, beside
//! the goal (2 ms a frame), then the memory and the processor time of a real viewer, attached on a pseudo-terminal. Nothing is asserted: times say something only to a reader who knows what else the machine
//! does. The console belongs to the program and not to the library, so the program's modules are built into this one.

#![expect(
    dead_code,
    unused_imports,
    reason = "the whole program, of which only the console is measured"
)]

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::console::cost::{SCREENS, Size, measure};
use crate::viewer::{MEMORY_GOAL, QUIET_GOAL, Traffic, Viewer};

#[path = "console/viewer.rs"]
mod viewer;

// The modules of ui/main.rs.
#[path = "../../ui/alarms.rs"]
mod alarms;
#[path = "../../ui/args/mod.rs"]
mod args;
#[path = "../../ui/attach.rs"]
mod attach;
#[path = "../../ui/ca.rs"]
mod ca;
#[path = "../../ui/commands.rs"]
mod commands;
#[path = "../../ui/configure.rs"]
mod configure;
#[path = "../../ui/console/mod.rs"]
mod console;
#[path = "../../ui/context.rs"]
mod context;
#[path = "../../ui/daemon.rs"]
mod daemon;
#[path = "../../ui/demo.rs"]
mod demo;
#[path = "../../ui/environment.rs"]
mod environment;
#[path = "../../ui/errors.rs"]
mod errors;
#[path = "../../ui/exit.rs"]
mod exit;
#[path = "../../ui/feed.rs"]
mod feed;
#[path = "../../ui/format.rs"]
mod format;
#[path = "../../ui/harvester/mod.rs"]
mod harvester;
#[path = "../../ui/history.rs"]
mod history;
#[path = "../../ui/json.rs"]
mod json;
#[path = "../../ui/keys.rs"]
mod keys;
#[path = "../../ui/lists.rs"]
mod lists;
#[path = "../../ui/out.rs"]
mod out;
#[path = "../../ui/plots/mod.rs"]
mod plots;
#[path = "../../ui/pool.rs"]
mod pool;
#[path = "../../ui/program_text.rs"]
mod program_text;
#[path = "../../ui/record.rs"]
mod record;
#[path = "../../ui/replay.rs"]
mod replay;
#[path = "../../ui/root.rs"]
mod root;
#[path = "../../ui/secrets.rs"]
mod secrets;
#[path = "../../ui/security.rs"]
mod security;
#[path = "../../ui/shell.rs"]
mod shell;
#[path = "../../ui/signals.rs"]
mod signals;
#[path = "../../ui/stop.rs"]
mod stop;
#[path = "../../ui/summary/mod.rs"]
mod summary;
#[path = "../../ui/systemd.rs"]
mod systemd;
#[path = "../../ui/time.rs"]
mod time;

/// Frames measured for each line.
const FRAMES: usize = 300;

/// A frame may take this long.
const GOAL: Duration = Duration::from_millis(2);

/// Measures what a frame of the console costs.
#[derive(Debug, Parser)]
struct Args {
    #[arg(long, default_value_t = 1_000)]
    harvesters: u32,
    #[arg(long, default_value_t = 100_000)]
    plots: u64,
    /// Messages a second.
    #[arg(long, default_value_t = 2_000)]
    messages: u32,
    #[arg(long, default_value_t = 200)]
    columns: u16,
    #[arg(long, default_value_t = 60)]
    rows: u16,
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
    let size = Size {
        harvesters: args.harvesters.max(1),
        plots: args.plots,
        messages: args.messages,
        columns: args.columns,
        rows: args.rows,
    };
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{size:?}, {FRAMES} frames each; a frame may take {} us\n",
        GOAL.as_micros()
    )?;
    writeln!(
        out,
        "{:<22} {:>9} {:>9} {:>9} {:>11} {:>9} {:>11} {:>9}",
        "screen", "median us", "95 % us", "max us", "draw allocs", "draw kB", "take allocs", "take kB"
    )?;
    for (name, keys) in SCREENS {
        let line = measure(size, keys, FRAMES);
        let verdict = if line.p95 <= GOAL { "" } else { "  over the goal" };
        writeln!(
            out,
            "{name:<22} {:>9} {:>9} {:>9} {:>11} {:>9} {:>11} {:>9}{verdict}",
            line.median.as_micros(),
            line.p95.as_micros(),
            line.max.as_micros(),
            line.draw.count,
            line.draw.bytes / 1024,
            line.take.count,
            line.take.bytes / 1024,
        )?;
    }
    viewers(size, &mut out)
}

/// What an attached viewer takes, when nothing happens and when much does.
fn viewers(size: Size, out: &mut impl Write) -> Result<()> {
    writeln!(
        out,
        "\nan attached viewer may take {} MiB, and {QUIET_GOAL} % of a processor when nothing happens\n",
        MEMORY_GOAL >> 20
    )?;
    writeln!(
        out,
        "{:<44} {:>11} {:>8} {:>8} {:>10}",
        "screen and traffic", "processor %", "MiB", "peak MiB", "drawn B/s"
    )?;
    let mut viewer = Viewer::attach(size)?;
    for (name, keys, traffic) in [
        ("farm, nothing happens", "1", Traffic::Nothing),
        ("harvesters, nothing happens", "2", Traffic::Nothing),
        ("plots, nothing happens", "3", Traffic::Nothing),
        ("farm, a signage point every 9.375 s", "1", Traffic::SignagePoints),
        ("messages, as many a second as asked for", "6", Traffic::Flood),
        ("farm, as many a second as asked for", "1", Traffic::Flood),
    ] {
        let taken = viewer.watch(keys, traffic)?;
        let too_much = taken.peak > MEMORY_GOAL || (traffic == Traffic::Nothing && taken.processor > QUIET_GOAL);
        let verdict = if too_much { "  over the goal" } else { "" };
        writeln!(
            out,
            "{name:<44} {:>11.2} {:>8.1} {:>8.1} {:>10}{verdict}",
            taken.processor,
            mebibytes(taken.memory),
            mebibytes(taken.peak),
            taken.drawn,
        )?;
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
