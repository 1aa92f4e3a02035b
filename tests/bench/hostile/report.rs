//! What a flood did, and how it is printed: a table for people, a JSON object a line for programs.

use std::io::Write;

use anyhow::Result;
use serde_json::json;
use tokio::time::Duration;

use crate::farmers::Usage;
use crate::flood::Kind;

/// One flood at one farmer.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    /// Hostile connections made, and most open at one moment.
    pub(crate) connections: u64,
    pub(crate) most_open: u64,
    /// Longest that one was kept.
    pub(crate) kept: Duration,
    pub(crate) before: Usage,
    /// Highest memory and file descriptors while it lasted.
    pub(crate) peak: Usage,
    pub(crate) after: Usage,
    /// Until memory (+10 %) and files were as before; `None` when they were not within [`PATIENCE`].
    pub(crate) back_in: Option<Duration>,
    /// Handshakes of harvesters that had been there before, sorted.
    pub(crate) handshakes: Vec<Duration>,
    pub(crate) handshakes_failed: u32,
    /// Handshakes of harvesters at addresses never seen before.
    pub(crate) strangers: (u32, u32),
    /// Filled in at the end, when all harvesters have told what they got.
    pub(crate) points: Points,
}

/// Signage points of the healthy harvesters while the flood lasted.
#[derive(Default)]
pub(crate) struct Points {
    /// Signage points times harvesters.
    pub(crate) expected: usize,
    pub(crate) lost: usize,
    /// Node to last harvester.
    pub(crate) slowest: Duration,
}

/// How long a farmer may take to be as before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Prints the table of one farmer, then its lines as JSON.
pub(crate) fn print(out: &mut impl Write, farmer: &str, measured: &[Measured]) -> Result<()> {
    writeln!(
        out,
        "\n{farmer}\n{:20} {:>6} {:>5} {:>5} | {:>6} {:>6} {:>6} {:>14} {:>6} | {:>7} {:>7} {:>9} {:>8} | {:>9} {:>8}",
        "",
        "conns",
        "open",
        "kept",
        "MB",
        "peak",
        "after",
        "files",
        "back",
        "p50",
        "p99",
        "failed",
        "new",
        "lost",
        "slowest"
    )?;
    for it in measured {
        let [before, peak, after] = [it.before, it.peak, it.after].map(|usage| mb(usage.rss));
        let files = format!("{}/{}/{}", it.before.files, it.peak.files, it.after.files);
        let back = it
            .back_in
            .map_or_else(|| "never".to_owned(), |back| format!("{:.1}s", back.as_secs_f64()));
        let failed = format!(
            "{}/{}",
            it.handshakes_failed,
            it.handshakes.len() + it.handshakes_failed as usize
        );
        let strangers = format!("{}/{}", it.strangers.0, it.strangers.1);
        let lost = format!("{}/{}", it.points.lost, it.points.expected);
        writeln!(
            out,
            "{:20} {:>6} {:>5} {:>4.1}s | {before:>6.1} {peak:>6.1} {after:>6.1} {files:>14} {back:>6} | \
             {:>7.1} {:>7.1} {failed:>9} {strangers:>8} | {lost:>9} {:>8.1}",
            it.kind.name(),
            it.connections,
            it.most_open,
            it.kept.as_secs_f64(),
            ms(it.percentile(50)),
            ms(it.percentile(99)),
            ms(it.points.slowest),
        )?;
    }
    for it in measured {
        let line = json!({
            "bench": "hostile", "farmer": farmer, "flood": it.kind.name(), "connections": it.connections,
            "most_open": it.most_open, "kept_ms": ms(it.kept), "mb_before": mb(it.before.rss),
            "mb_peak": mb(it.peak.rss), "mb_after": mb(it.after.rss), "files_before": it.before.files,
            "files_peak": it.peak.files, "files_after": it.after.files, "back_ms": it.back_in.map(ms),
            "handshake_p50_ms": ms(it.percentile(50)), "handshake_p99_ms": ms(it.percentile(99)),
            "handshakes": it.handshakes.len(), "handshakes_failed": it.handshakes_failed,
            "strangers_in": it.strangers.0, "strangers": it.strangers.1, "points": it.points.expected,
            "points_lost": it.points.lost, "point_slowest_ms": ms(it.points.slowest),
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

impl Measured {
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.handshakes.len().saturating_sub(1);
        self.handshakes.get(last * percent / 100).copied().unwrap_or_default()
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn mb(bytes: u64) -> f64 {
    (bytes as f64 / 1e5).round() / 10.0
}
