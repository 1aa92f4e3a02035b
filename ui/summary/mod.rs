//! `farmconsole summary`: what `chia farm summary` prints, line for line, then what it does not know.

use std::io::{self, Write};

use farmconsole::control::Role;
use farmconsole::snapshot::{
    AlarmView, Counters, FarmSnapshot, FarmStatus, HarvesterState, HarvesterView, HistoryView, LuckView, NodeView,
    PoolView, ProofView, Silence,
};
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome};
use crate::format::{
    BLOCK_SECONDS, NO_WIN, chia_bytes, chia_effective_bytes, chia_minutes, grouped, lookup_time, minutes_to_win,
    plural, pool_plots, safe, span,
};
use crate::harvester;

/// Runs the command.
pub(crate) async fn run(context: &Context, json: bool) -> Outcome {
    let mut attached = context.attach_any().await?;
    if attached.client.hello().role == Role::Harvester {
        let machine = attached.machine().await?;
        return harvester::status::summary(context.out(json), &machine, &context.commands, json);
    }
    let mut snapshot = attached.snapshot().await?;
    if !json {
        for alarm in &mut snapshot.alarms {
            alarm.remedy = context.commands.here(&alarm.remedy).into_owned();
        }
    }
    let out = context.out(json);
    print(out, &snapshot, json)
}

/// Prints `snapshot`, as text or as one JSON object.
fn print(mut out: impl Write, snapshot: &FarmSnapshot, json: bool) -> Result<Ended, Failure> {
    if json {
        serde_json::to_writer_pretty(&mut out, &SummaryJson::of(snapshot)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        official_part(&mut out, snapshot)?;
        own_part(&mut out, snapshot)?;
    }
    Ok(Ended::Fine)
}

/// The lines of the official command, in its order, with its words.
fn official_part(out: &mut impl Write, snapshot: &FarmSnapshot) -> io::Result<()> {
    writeln!(out, "Farming status: {}", official_status(snapshot))?;
    let connected: Vec<_> = snapshot.harvesters.iter().filter(|h| h.is_connected()).collect();
    let local: Vec<_> = connected.iter().copied().filter(|h| h.local).collect();
    // In order of first connection, as the official command lists addresses.
    let mut remote: Vec<(&str, Vec<&HarvesterView>)> = Vec::new();
    for harvester in connected.iter().copied().filter(|h| !h.local) {
        match remote.iter_mut().find(|(host, _)| *host == harvester.host) {
            Some((_, group)) => group.push(harvester),
            None => remote.push((&harvester.host, vec![harvester])),
        }
    }
    if !local.is_empty() {
        writeln!(out, "Local Harvester{}", if local.len() > 1 { "s" } else { "" })?;
        for harvester in local {
            harvester_line(out, harvester)?;
        }
    }
    for (host, group) in remote {
        writeln!(
            out,
            "Remote Harvester{} for IP: {host}",
            if group.len() > 1 { "s" } else { "" }
        )?;
        for harvester in group {
            harvester_line(out, harvester)?;
        }
    }
    let totals = &snapshot.totals;
    writeln!(out, "Plot count for all harvesters: {}", totals.plots)?;
    writeln!(
        out,
        "Total size of plots: {}, {} (effective)",
        chia_bytes(totals.plot_bytes as f64),
        chia_effective_bytes(totals.effective_bytes as f64)
    )?;
    let netspace = snapshot.chain_node().and_then(|node| node.netspace_bytes);
    writeln!(
        out,
        "Estimated network space: {}",
        netspace.map_or_else(|| "Unknown".to_owned(), chia_bytes)
    )?;
    writeln!(out, "Expected time to win: {}", expected_time_to_win(snapshot))?;
    writeln!(
        out,
        "For details on farmed rewards and fees you should run 'chia start wallet' and 'chia wallet show'"
    )
}

/// What only farmconsole knows.
fn own_part(out: &mut impl Write, snapshot: &FarmSnapshot) -> io::Result<()> {
    writeln!(out)?;
    if snapshot.simulated {
        let chain = snapshot.simulated_chain.clone().unwrap_or_default();
        writeln!(
            out,
            "SIMULATED chain: nothing here is worth anything; {} won",
            plural(chain.blocks, "simulated block")
        )?;
    }
    match &snapshot.status {
        FarmStatus::Farming => {}
        status @ FarmStatus::Starting { waits_for } => {
            writeln!(out, "State: {}, waiting for {waits_for}", status.word())?;
        }
        status => writeln!(out, "State: {}", status.word())?,
    }
    for node in snapshot.nodes.iter().filter(|_| !snapshot.simulated) {
        writeln!(
            out,
            "Node {}: {}",
            safe(&node.name),
            node_state(node, snapshot.taken_at_unix_ms)
        )?;
    }
    let points = &snapshot.signage_points;
    writeln!(
        out,
        "Signage points: {} received, {} missed in 24 h",
        points.received_24h, points.missed_24h
    )?;
    let wins = &snapshot.wins;
    writeln!(
        out,
        "Proofs since start: {} found, {} invalid, {} declared, {} signed, {} lost",
        wins.proofs,
        wins.invalid,
        wins.declared,
        plural(wins.blocks_signed, "block"),
        wins.lost
    )?;
    luck(out, snapshot)?;
    for harvester in &snapshot.harvesters {
        writeln!(
            out,
            "Harvester {}: {}",
            safe(&harvester.name),
            harvester_state(harvester, snapshot.taken_at_unix_ms)
        )?;
    }
    for pool in &snapshot.pools {
        pool_line(out, pool)?;
    }
    let counters = &snapshot.counters;
    let dropped = [
        (counters.dropped_log_lines, "log line"),
        (counters.dropped_signage_points, "signage point"),
        (counters.dropped_verifications, "verification"),
        (counters.dropped_hook_calls, "alarm hook call"),
        (snapshot.history.dropped, "history row"),
    ];
    let dropped: Vec<_> = dropped
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| plural(n, what))
        .collect();
    if !dropped.is_empty() {
        writeln!(out, "Dropped since start: {}", dropped.join(", "))?;
    }
    if snapshot.alarms.is_empty() {
        return writeln!(out, "Alarms: none");
    }
    writeln!(out, "Alarms: {}", snapshot.alarms.len())?;
    for alarm in &snapshot.alarms {
        writeln!(out, "   {}", safe(&alarm.text))?;
        writeln!(out, "      {}", safe(&alarm.remedy))?;
    }
    Ok(())
}

/// Effort and luck; also of earlier runs, where a history is kept.
fn luck(out: &mut impl Write, snapshot: &FarmSnapshot) -> io::Result<()> {
    let luck = &snapshot.luck;
    let ago = |ms: u64| span(snapshot.taken_at_unix_ms.saturating_sub(ms) / 1000);
    let last = luck
        .last_win_unix_ms
        .map_or_else(String::new, |ms| format!(", the last one {} ago", ago(ms)));
    writeln!(
        out,
        "Won: {} in 24 h, {} in {}{last}",
        luck.won_24h,
        luck.won_ever,
        ago(luck.counted_since_unix_ms)
    )?;
    let expected = luck.expected_time_to_win_s.map_or_else(
        || "how often a win is expected is not known".to_owned(),
        |seconds| {
            format!(
                "a win is expected every {} with what is connected",
                span(seconds as u64)
            )
        },
    );
    writeln!(
        out,
        "Effort: {:.0} % {}; {expected}",
        luck.effort * 100.0,
        if luck.last_win_unix_ms.is_some() {
            "since the last win"
        } else {
            "without a win so far"
        }
    )?;
    for (what, band) in [("Filter", &luck.filter_24h), ("Proof", &luck.proofs_24h)] {
        let share = band
            .ratio()
            .map_or_else(|| "–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
        writeln!(
            out,
            "{what} luck in 24 h: {share} ({}), {} of {:.1} expected",
            band.verdict.word(),
            band.got,
            band.expected
        )?;
    }
    Ok(())
}

/// One node in one line: link, chain, last signage point; and what cannot be known and why.
fn node_state(node: &NodeView, now_unix_ms: u64) -> String {
    let ago = |ms: u64| span(now_unix_ms.saturating_sub(ms) / 1000);
    let mut parts = vec![match &node.not_connected_because {
        _ if node.connected => format!("connected for {}", ago(node.since_unix_ms)),
        Some(why) => format!("not connected for {}, {}", ago(node.since_unix_ms), safe(why)),
        None => "not connected".to_owned(),
    }];
    if let Some(synced) = node.synced {
        let word = match (node.syncing, synced) {
            (true, _) => "syncing",
            (false, true) => "synced",
            (false, false) => "not synced",
        };
        parts.push(word.to_owned());
    }
    if let Some(height) = node.peak_height {
        parts.push(format!("height {height}"));
    }
    match node.last_signage_point_unix_ms {
        Some(ms) => parts.push(format!("last signage point {} ago", ago(ms))),
        None => parts.push("no signage point yet".to_owned()),
    }
    // Before that it is what the official command takes for granted.
    let is_measured = node.peak_height.is_some_and(|height| height >= 600);
    if let Some(seconds) = node.average_block_seconds.filter(|_| is_measured) {
        parts.push(format!("a block every {seconds:.2} s"));
    }
    if let Some(version) = &node.software_version {
        parts.push(format!("software {}", safe(version)));
    }
    if let Some(certificate) = node.certificate.filter(|_| !node.trusted) {
        parts.push(format!("certificate {certificate}"));
    }
    if let Some(why) = &node.not_asked_because {
        parts.push(format!("the node's RPC: {}", safe(why)));
    }
    parts.join(", ")
}

fn official_status(snapshot: &FarmSnapshot) -> &'static str {
    if let Some(node) = snapshot.chain_node().filter(|node| node.synced == Some(false)) {
        return if node.syncing {
            "Syncing"
        } else {
            "Not synced or not connected to peers"
        };
    }
    match snapshot.status {
        FarmStatus::NotSynced => "Not synced or not connected to peers",
        FarmStatus::NoSignagePoints { .. } | FarmStatus::Starting { .. }
            if !snapshot.nodes.iter().any(|n| n.connected) =>
        {
            "Not available"
        }
        FarmStatus::NoSignagePoints { .. } => "Not synced or not connected to peers",
        FarmStatus::NoKeys => "Not running",
        FarmStatus::Starting { .. }
        | FarmStatus::Farming
        | FarmStatus::NoHarvester
        | FarmStatus::NoPlots
        | FarmStatus::NoAnswers { .. } => "Farming",
    }
}

fn harvester_line(out: &mut impl Write, harvester: &HarvesterView) -> io::Result<()> {
    if let HarvesterState::Syncing { processed, total } = harvester.state {
        return writeln!(out, "   Loading plots: {processed} / {total}");
    }
    writeln!(
        out,
        "   {} plots of size: {} on-disk, {} (effective)",
        harvester.plots,
        chia_bytes(harvester.plot_bytes as f64),
        chia_effective_bytes(harvester.effective_bytes as f64)
    )
}

/// One harvester in one line: state, plots, last answer, look-ups, files that are not farmed.
fn pool_line(out: &mut impl Write, pool: &PoolView) -> io::Result<()> {
    let (label, state) = (pool.label(), pool.state.to_string());
    write!(
        out,
        "Pool {}: {}, plots: {}",
        safe(&label),
        safe(&state),
        pool_plots(pool)
    )?;
    if pool.url.is_empty() {
        return writeln!(out);
    }
    let (found, acknowledged) = (pool.points_found_24h, pool.points_acknowledged_24h);
    writeln!(
        out,
        "; points in 24 h: {} found, {} acknowledged",
        grouped(found),
        grouped(acknowledged)
    )
}

fn harvester_state(harvester: &HarvesterView, now_unix_ms: u64) -> String {
    let mut parts = vec![harvester.state_words(), plural(harvester.plots, "plot")];
    match &harvester.last_answer {
        Some(answer) => parts.push(format!(
            "last answer {} ago, look-up {}",
            span(now_unix_ms.saturating_sub(answer.at_unix_ms) / 1000),
            lookup_time(answer.lookup_ms)
        )),
        None => parts.push("no answer yet".to_owned()),
    }
    if let (Some(p50), Some(max)) = (harvester.lookup_p50_ms, harvester.lookup_max_ms) {
        parts.push(format!("median {} max {}", lookup_time(p50), lookup_time(max)));
    }
    for (count, what) in [
        (harvester.failed, "failed"),
        (harvester.no_key, "no-key"),
        (harvester.duplicates, "duplicate"),
        (harvester.unanswered, "unanswered"),
    ] {
        parts.push(format!("{count} {what}"));
    }
    if harvester.certificate_shared {
        parts.push("certificate shared".to_owned());
    }
    parts.join(", ")
}

/// As the official command computes it: share of the network space times the block time.
fn expected_time_to_win(snapshot: &FarmSnapshot) -> String {
    let totals = &snapshot.totals;
    if totals.plots == 0 {
        return NO_WIN.to_owned();
    }
    let node = snapshot.chain_node();
    node.and_then(|node| {
        Some((
            node.netspace_bytes?,
            node.average_block_seconds.unwrap_or(BLOCK_SECONDS),
        ))
    })
    .map_or_else(
        || "Unknown".to_owned(),
        |(space, seconds)| chia_minutes(minutes_to_win(totals.effective_bytes as f64, space, seconds)),
    )
}

/// The object that `--json` prints. Fields are only added; a changed meaning raises `version`.
#[derive(Debug, Serialize)]
struct SummaryJson<'a> {
    /// Version of this object.
    version: u32,
    network: &'a str,
    simulated: bool,
    /// The official words.
    farming_status: &'static str,
    status: &'a FarmStatus,
    plots: u64,
    plot_bytes: u64,
    effective_bytes: u64,
    failed: u64,
    no_key: u64,
    duplicates: u64,
    network_space_bytes: Option<f64>,
    nodes: &'a [NodeView],
    expected_time_to_win: String,
    signage_points_received: u64,
    signage_points_received_24h: u64,
    signage_points_missed_24h: u64,
    /// Newest first, each with the time of its steps.
    proofs: &'a [ProofView],
    proofs_found: u64,
    proofs_invalid: u64,
    proofs_declared: u64,
    proofs_lost: u64,
    blocks_signed: u64,
    blocks_accepted: u64,
    harvesters: &'a [HarvesterView],
    alarms: &'a [AlarmView],
    luck: &'a LuckView,
    history: &'a HistoryView,
    silences: &'a [Silence],
    counters: &'a Counters,
}

impl<'a> SummaryJson<'a> {
    fn of(snapshot: &'a FarmSnapshot) -> Self {
        let netspace = snapshot.chain_node().and_then(|node| node.netspace_bytes);
        let totals = &snapshot.totals;
        Self {
            version: 1,
            network: &snapshot.network,
            simulated: snapshot.simulated,
            farming_status: official_status(snapshot),
            status: &snapshot.status,
            plots: totals.plots,
            plot_bytes: totals.plot_bytes,
            effective_bytes: totals.effective_bytes,
            failed: totals.failed,
            no_key: totals.no_key,
            duplicates: totals.duplicates,
            network_space_bytes: netspace,
            nodes: &snapshot.nodes,
            expected_time_to_win: expected_time_to_win(snapshot),
            signage_points_received: snapshot.signage_points.received,
            signage_points_received_24h: snapshot.signage_points.received_24h,
            signage_points_missed_24h: snapshot.signage_points.missed_24h,
            proofs: &snapshot.proofs,
            proofs_found: snapshot.wins.proofs,
            proofs_invalid: snapshot.wins.invalid,
            proofs_declared: snapshot.wins.declared,
            proofs_lost: snapshot.wins.lost,
            blocks_signed: snapshot.wins.blocks_signed,
            blocks_accepted: snapshot.wins.blocks_accepted,
            harvesters: &snapshot.harvesters,
            alarms: &snapshot.alarms,
            luck: &snapshot.luck,
            history: &snapshot.history,
            silences: &snapshot.silences,
            counters: &snapshot.counters,
        }
    }
}

#[cfg(test)]
mod tests;
