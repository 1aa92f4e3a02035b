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
    /// From a signage point to a harvester's answer.
    pub(crate) look_up: Duration,
    /// Recorders that are attached half-way.
    pub(crate) recorders: u32,
}

/// Everything that is known of one farmer with one fleet.
pub(crate) struct Measured {
    pub(crate) started_in: Duration,
    pub(crate) idle: Usage,
    pub(crate) connecting: Stage,
    pub(crate) plot_sync: Stage,
    /// The time after it.
    pub(crate) rested: Stage,
    pub(crate) synced: Usage,
    pub(crate) points: Points,
    pub(crate) harvesters: u32,
}

/// What signage points cost.
pub(crate) struct Points {
    /// First to last harvester, each signage point.
    pub(crate) spread: Vec<Duration>,
    /// Node to last harvester, each signage point.
    pub(crate) from_node: Vec<Duration>,
    /// CPU time of the farmer for each.
    pub(crate) cpu: Duration,
    /// CPU time of this benchmark for each.
    pub(crate) own_cpu: Duration,
    /// CPU time of the farmer for each until harvesters answer.
    pub(crate) fan_out_cpu: Vec<Duration>,
}

/// What part of a run took.
pub(crate) struct Stage {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// The columns of one fleet; one that was not measured has no numbers.
pub(crate) struct Columns {
    pub(crate) ours: Option<Measured>,
    pub(crate) official: Option<Measured>,
    /// Bare sockets: what this machine allows.
    pub(crate) bare: Option<Points>,
}

/// Prints the table of one fleet, then its lines as JSON.
pub(crate) fn print(out: &mut impl Write, size: Size, columns: &Columns) -> Result<()> {
    writeln!(
        out,
        "{:40} {:>11} {:>11} {:>12}  goal",
        "", "farmconsole", "official", "bare sockets"
    )?;
    for row in ROWS {
        let [ours, official, bare] = row.values(columns).map(|value| match value {
            Some(value) if value < 100.0 => format!("{value:.2}"),
            Some(value) => format!("{value:.0}"),
            None => "-".to_owned(),
        });
        let title = format!("{}, {}", row.title, row.unit);
        let line = format!("{title:40} {ours:>11} {official:>11} {bare:>12}  {}", row.goal);
        writeln!(out, "{}", line.trim_end())?;
    }
    for row in ROWS {
        let [ours, official, bare] = row
            .values(columns)
            .map(|value| value.map(|value| (value * 1000.0).round() / 1000.0));
        let line = json!({
            "bench": "fleet", "harvesters": size.harvesters, "plots": size.plots,
            "look_up_ms": size.look_up.as_millis() as u64, "row": row.key, "unit": row.unit,
            "farmconsole": ours, "official": official, "bare_sockets": bare, "goal": row.goal,
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
    value: Value,
}

/// Where its numbers are.
enum Value {
    Farmer(fn(&Measured) -> Option<f64>),
    Points(fn(&Points) -> Option<f64>),
}

impl Row {
    /// farmconsole, official, bare sockets.
    fn values(&self, columns: &Columns) -> [Option<f64>; 3] {
        let of_farmer = |measured: &Option<Measured>| {
            let measured = measured.as_ref()?;
            match self.value {
                Value::Farmer(value) => value(measured),
                Value::Points(value) => value(&measured.points),
            }
        };
        let bare = match self.value {
            Value::Farmer(_) => None,
            Value::Points(value) => columns.bare.as_ref().and_then(value),
        };
        [of_farmer(&columns.ours), of_farmer(&columns.official), bare]
    }
}

const fn row(key: &'static str, title: &'static str, unit: &'static str, goal: &'static str, value: Value) -> Row {
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
    row(
        "start",
        "start to listening",
        "ms",
        "< 50",
        Value::Farmer(|m| ms(m.started_in)),
    ),
    row(
        "idle_rss",
        "memory, idle",
        "MB",
        "< 15",
        Value::Farmer(|m| mb(m.idle.rss)),
    ),
    row(
        "connect_rate",
        "harvesters connected",
        "/s",
        "",
        Value::Farmer(|m| rate(m.harvesters, m.connecting.wall)),
    ),
    row(
        "connect_rate_core",
        "the same a second of farmer CPU",
        "/s",
        "> 1500",
        Value::Farmer(|m| rate(m.harvesters, m.connecting.cpu)),
    ),
    row(
        "sync",
        "plot sync",
        "ms",
        "< 2000 (1 harvester, 100,000 plots)",
        Value::Farmer(|m| ms(m.plot_sync.wall)),
    ),
    row(
        "sync_cpu",
        "plot sync, farmer CPU",
        "ms",
        "< 200 (the same)",
        Value::Farmer(|m| ms(m.plot_sync.cpu)),
    ),
    row(
        "rest_cpu",
        "farmer CPU in the 5 s after it",
        "ms",
        "",
        Value::Farmer(|m| ms(m.rested.cpu)),
    ),
    row(
        "rss",
        "memory after sync",
        "MB",
        "< 80 (the same)",
        Value::Farmer(|m| mb(m.synced.rss)),
    ),
    row(
        "peak_rss",
        "memory, peak",
        "MB",
        "",
        Value::Farmer(|m| mb(m.synced.peak)),
    ),
    row(
        "spread_median",
        "first to last harvester, median",
        "ms",
        "",
        Value::Points(|p| median(&p.spread)),
    ),
    row(
        "spread_max",
        "first to last harvester, longest",
        "ms",
        "",
        Value::Points(|p| longest(&p.spread)),
    ),
    row(
        "node_to_last_median",
        "node to last harvester, median",
        "ms",
        "< 2 (100 harvesters)",
        Value::Points(|p| median(&p.from_node)),
    ),
    row(
        "node_to_last_max",
        "node to last harvester, longest",
        "ms",
        "",
        Value::Points(|p| longest(&p.from_node)),
    ),
    row(
        "cpu_fan_out",
        "farmer CPU until all have it, median",
        "ms",
        "",
        Value::Points(|p| median(&p.fan_out_cpu)),
    ),
    row(
        "cpu_per_point",
        "farmer CPU a signage point, answers too",
        "ms",
        "< 2 (100 harvesters)",
        Value::Points(|p| ms(p.cpu)),
    ),
    row(
        "bench_cpu_per_point",
        "this benchmark's CPU for it",
        "ms",
        "",
        Value::Points(|p| ms(p.own_cpu)),
    ),
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
