//! What is measured, and how it is printed: a table for people, a JSON object a line for programs.

use std::io::Write;

use anyhow::Result;
use serde_json::json;
use tokio::time::Duration;

use crate::farmers::Usage;

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) harvesters: u32,
    pub(crate) plots: u32,
    pub(crate) signage_points: u32,
    pub(crate) interval: Duration,
    /// Recorders that are attached half-way.
    pub(crate) recorders: u32,
}

/// Everything that is known of one farmer with one fleet.
pub(crate) struct Measured {
    pub(crate) started_in: Duration,
    pub(crate) idle: Usage,
    pub(crate) connecting: Stage,
    pub(crate) plot_sync: Stage,
    pub(crate) synced: Usage,
    /// First to last harvester, each signage point.
    pub(crate) spread: Vec<Duration>,
    /// Node to last harvester, each signage point.
    pub(crate) from_node: Vec<Duration>,
    pub(crate) cpu_per_point: Duration,
    pub(crate) own_cpu_per_point: Duration,
    pub(crate) harvesters: u32,
}

/// What part of a run took.
pub(crate) struct Stage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Prints the table of one fleet, then its lines as JSON. A farmer that was not measured has no numbers.
pub(crate) fn print(
    out: &mut impl Write,
    size: Size,
    ours: Option<&Measured>,
    official: Option<&Measured>,
) -> Result<()> {
    writeln!(out, "{:40} {:>11} {:>11}  goal", "", "farmconsole", "official")?;
    for row in ROWS {
        let cell = |measured: Option<&Measured>| match measured.and_then(row.value) {
            Some(value) if value < 100.0 => format!("{value:.2}"),
            Some(value) => format!("{value:.0}"),
            None => "-".to_owned(),
        };
        let title = format!("{}, {}", row.title, row.unit);
        let line = format!("{title:40} {:>11} {:>11}  {}", cell(ours), cell(official), row.goal);
        writeln!(out, "{}", line.trim_end())?;
    }
    for row in ROWS {
        let value = |measured: Option<&Measured>| measured.and_then(row.value).map(|v| (v * 1000.0).round() / 1000.0);
        let line = json!({
            "bench": "fleet", "harvesters": size.harvesters, "plots": size.plots, "row": row.key, "unit": row.unit,
            "farmconsole": value(ours), "official": value(official), "goal": row.goal,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A line of the table.
struct Row {
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    goal: &'static str,
    value: fn(&Measured) -> Option<f64>,
}

const fn row(
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    goal: &'static str,
    value: fn(&Measured) -> Option<f64>,
) -> Row {
    Row {
        key,
        title,
        unit,
        goal,
        value,
    }
}

/// Goals are those of DESIGN.md §5, with the fleet they are set for.
const ROWS: &[Row] = &[
    row("start", "start to listening", "ms", "< 50", |m| ms(m.started_in)),
    row("idle_rss", "memory, idle", "MB", "< 15", |m| mb(m.idle.rss)),
    row("connect_rate", "harvesters connected", "/s", "", |m| {
        rate(m.harvesters, m.connecting.wall)
    }),
    row(
        "connect_rate_core",
        "the same a second of farmer CPU",
        "/s",
        "> 1500",
        |m| rate(m.harvesters, m.connecting.cpu),
    ),
    row("sync", "plot sync", "ms", "< 2000 (1 harvester, 100,000 plots)", |m| {
        ms(m.plot_sync.wall)
    }),
    row("sync_cpu", "plot sync, farmer CPU", "ms", "< 200 (the same)", |m| {
        ms(m.plot_sync.cpu)
    }),
    row("rss", "memory after sync", "MB", "< 80 (the same)", |m| {
        mb(m.synced.rss)
    }),
    row("peak_rss", "memory, peak", "MB", "", |m| mb(m.synced.peak)),
    row("spread_median", "first to last harvester, median", "ms", "", |m| {
        median(&m.spread)
    }),
    row("spread_max", "first to last harvester, longest", "ms", "", |m| {
        longest(&m.spread)
    }),
    row(
        "node_to_last_median",
        "node to last harvester, median",
        "ms",
        "< 2 (100 harvesters)",
        |m| median(&m.from_node),
    ),
    row("node_to_last_max", "node to last harvester, longest", "ms", "", |m| {
        longest(&m.from_node)
    }),
    row(
        "cpu_per_point",
        "farmer CPU a signage point",
        "ms",
        "< 2 (100 harvesters)",
        |m| ms(m.cpu_per_point),
    ),
    row("bench_cpu_per_point", "this benchmark's CPU for it", "ms", "", |m| {
        ms(m.own_cpu_per_point)
    }),
];

fn ms(duration: Duration) -> Option<f64> {
    Some(duration.as_secs_f64() * 1000.0)
}

fn mb(bytes: u64) -> Option<f64> {
    Some(bytes as f64 / 1e6)
}

fn rate(count: u32, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| f64::from(count) / time.as_secs_f64())
}

fn median(durations: &[Duration]) -> Option<f64> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().and_then(ms)
}

fn longest(durations: &[Duration]) -> Option<f64> {
    durations.iter().max().copied().and_then(ms)
}
