//! `farmconsole history`: what was written down, newest first. Reads the file itself, so it works without a farmer.

use std::io::Write;

use farmconsole::config::{access, files};
use farmconsole::history::{HistoryError, HistoryReader};
use farmconsole::snapshot::{
    AlarmRow, AttemptRow, HistoryRequest, HistoryRows, HistoryTable, HourRow, PartialRow, PlotChangeRow, ProofView,
    QuarterCounts,
};

use crate::args::{HistoryArgs, HistoryList};
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{lookup_time, plural, safe, span};
use crate::json::json_line;
use crate::time::{date_time, unix_ms_now};

/// Rows asked for at a time.
const PAGE: u32 = 1000;

const HOUR_MS: u64 = 3_600_000;

/// Runs the command.
pub(crate) fn run(context: &Context, arguments: &HistoryArgs) -> Outcome {
    if arguments.list == HistoryList::Quarters && arguments.harvester.is_some() {
        let failure = Failure::new(Status::Usage, "quarters are of the whole farm, not of one harvester");
        return Err(failure.hint("`farmconsole history hours --harvester NAME` is of one"));
    }
    let now = unix_ms_now();
    let reader = HistoryReader::new(context.root.history_file());
    let mut out = context.out(arguments.output.json);
    let mut printed = 0;
    let mut is_empty = true;
    while printed < arguments.limit {
        let limit = PAGE.min(arguments.limit - printed);
        let page = reader
            .page(&HistoryRequest {
                table: table(arguments.list),
                from_unix_ms: now.saturating_sub(arguments.since.as_secs().saturating_mul(1000)),
                // What a clock wrote that was far ahead would stand before everything else for ever.
                to_unix_ms: now.saturating_add(HOUR_MS),
                harvester: arguments.harvester.clone(),
                offset: u64::from(printed),
                limit,
            })
            .map_err(|error| unreadable(context, &error))?;
        let lines = lines(&page.rows, arguments.output.json);
        is_empty &= lines.is_empty();
        for line in lines {
            writeln!(out, "{}", line?)?;
        }
        printed += limit;
        if !page.has_more {
            break;
        }
    }
    if is_empty && !arguments.output.json {
        let of = arguments.harvester.as_ref();
        let of = of.map_or_else(String::new, |name| format!(" by the name {}", safe(name)));
        writeln!(
            out,
            "nothing of that{of} in the last {}",
            span(arguments.since.as_secs())
        )?;
    }
    Ok(Ended::Fine)
}

fn unreadable(context: &Context, error: &HistoryError) -> Failure {
    let failure = Failure::new(Status::Failed, error);
    match error {
        HistoryError::Missing { .. } => {
            let refused = context.farmers_only("look into the history", Status::Failed, "ask where the farmer runs");
            let hint = "a farmer writes one while it runs: `farmconsole --daemon`";
            refused.err().unwrap_or_else(|| failure.hint(hint))
        }
        HistoryError::OtherSchema { .. } => failure.hint("ask with the version that farms on this root"),
        HistoryError::Unreadable { file, source } => failure.hint_if_any(access::hint_of(file, source)),
        // Also who may read the file needs files beside it, which only its owner makes.
        HistoryError::Sqlite { file, .. } => {
            let owner = file.metadata().ok().and_then(|it| files::foreign_owner(&it));
            failure.hint_if_any(owner.map(|(owner, _)| access::run_as(owner)))
        }
    }
}

const fn table(list: HistoryList) -> HistoryTable {
    match list {
        HistoryList::Attempts => HistoryTable::Attempts,
        HistoryList::Hours => HistoryTable::Hours,
        HistoryList::Quarters => HistoryTable::Quarters,
        HistoryList::Proofs => HistoryTable::Proofs,
        HistoryList::Partials => HistoryTable::Partials,
        HistoryList::Plots => HistoryTable::PlotChanges,
        HistoryList::Alarms => HistoryTable::Alarms,
    }
}

fn lines(rows: &HistoryRows, json: bool) -> Vec<Result<String, Failure>> {
    fn each<T: serde::Serialize>(rows: &[T], json: bool, line: fn(&T) -> String) -> Vec<Result<String, Failure>> {
        let one = |row| if json { json_line(row) } else { Ok(line(row)) };
        rows.iter().map(one).collect()
    }
    match rows {
        HistoryRows::Attempts(rows) => each(rows, json, attempt),
        HistoryRows::Hours(rows) => each(rows, json, hour),
        HistoryRows::Quarters(rows) => each(rows, json, quarter),
        HistoryRows::Proofs(rows) => each(rows, json, proof),
        HistoryRows::Partials(rows) => each(rows, json, partial),
        HistoryRows::PlotChanges(rows) => each(rows, json, plot_change),
        HistoryRows::Alarms(rows) => each(rows, json, alarm),
    }
}

fn attempt(row: &AttemptRow) -> String {
    let head = format!("{}  {:<20}", date_time(row.at_unix_ms), safe(&row.harvester));
    let point = row.signage_point_index;
    match (row.passed, row.lookup_ms) {
        (Some(passed), Some(lookup_ms)) => format!(
            "{head} {:>12}  {:<8}  {:>8}  signage point {point}",
            format!("{passed}/{}", row.total),
            plural(row.proofs.unwrap_or_default().into(), "proof"),
            lookup_time(lookup_ms)
        ),
        _ => format!(
            "{head} {:>12}  no answer  signage point {point}",
            format!("–/{}", row.total)
        ),
    }
}

fn hour(row: &HourRow) -> String {
    format!(
        "{}  {:<20} {:>12}  {} answered, {} late, {} unanswered, {} passed, {}, look-up {}",
        date_time(row.start_unix_ms),
        safe(&row.harvester),
        plural(row.plots, "plot"),
        row.answered,
        row.late,
        row.unanswered,
        row.passed,
        plural(row.proofs, "proof"),
        match (row.lookup_mean_ms, row.lookup_max_ms) {
            (Some(mean), Some(max)) => format!("{mean} ms, longest {max} ms"),
            _ => "–".to_owned(),
        }
    )
}

fn quarter(row: &QuarterCounts) -> String {
    format!(
        "{}  {}, {} missed, {}, {} passed ({:.1} expected), {} ({:.3} expected), {} signed",
        date_time(row.start_unix_ms),
        plural(row.signage_points, "signage point"),
        row.missed,
        plural(row.answers, "answer"),
        plural(row.passed, "plot"),
        row.expected_passed,
        plural(row.proofs, "good proof"),
        row.expected_proofs,
        plural(row.blocks_signed, "block")
    )
}

fn proof(row: &ProofView) -> String {
    let stage = serde_json::to_value(&row.stage).ok();
    let word = |key: &str| {
        stage
            .as_ref()
            .and_then(|stage| stage.get(key)?.as_str().map(str::to_owned))
    };
    let reason = word("reason").map_or_else(String::new, |reason| format!(": {}", safe(&reason)));
    format!(
        "{}  {:<20} {}{reason}  {}",
        date_time(row.found_at_unix_ms),
        safe(&row.harvester_name),
        word("stage").unwrap_or_default(),
        safe(&row.plot_file)
    )
}

fn partial(row: &PartialRow) -> String {
    let detail = row
        .detail
        .as_ref()
        .map_or_else(String::new, |detail| format!(": {}", safe(detail)));
    format!(
        "{}  {:<20} {}  {}, {} points, after {} ms{detail}",
        date_time(row.at_unix_ms),
        safe(&row.harvester),
        safe(&row.pool),
        safe(&row.outcome),
        row.points,
        row.after_ms
    )
}

fn plot_change(row: &PlotChangeRow) -> String {
    let from = row
        .removed_from
        .as_ref()
        .map_or_else(String::new, |dir| format!(" from {}", safe(dir)));
    format!(
        "{}  {:<20} +{} −{}{from}, {} now",
        date_time(row.at_unix_ms),
        safe(&row.harvester),
        row.added,
        row.removed,
        plural(row.plots, "plot")
    )
}

fn alarm(row: &AlarmRow) -> String {
    let lasted = match row.closed_at_unix_ms {
        Some(closed) => {
            let end = if row.cut_short {
                "open when the farmer ended,"
            } else {
                "over"
            };
            let after = span(closed.saturating_sub(row.opened_at_unix_ms) / 1000);
            format!("{end} after {after}")
        }
        None => "open".to_owned(),
    };
    format!(
        "{}  {:<8} {}  ({lasted})",
        date_time(row.opened_at_unix_ms),
        row.severity,
        safe(&row.text)
    )
}
