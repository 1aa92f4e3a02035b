//! The table `plot_changes`: plots that came and went.

use rusqlite::{OptionalExtension, Transaction, params};

use super::columns::{int, unsigned};
use crate::snapshot::PlotChangeRow;

/// Writes a change of the plots of a harvester.
pub(super) fn write(
    transaction: &Transaction<'_>,
    harvester: i64,
    change: &PlotChangeRow,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO plot_changes (at_ms, harvester, plots, added, removed, removed_from)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            int(change.at_unix_ms),
            harvester,
            int(change.plots),
            int(change.added),
            int(change.removed),
            change.removed_from,
        ])?;
    Ok(())
}

/// Writes what has changed since the last count of the plots of a harvester, if anything has. `began_ms` is the hour in
/// which this run began.
pub(super) fn write_since_last(
    transaction: &Transaction<'_>,
    harvester: i64,
    sync: &PlotChangeRow,
    began_ms: u64,
) -> Result<(), rusqlite::Error> {
    let before = last_count(transaction, harvester, began_ms)?;
    if sync.plots == before {
        return Ok(());
    }
    let change = PlotChangeRow {
        added: sync.plots.saturating_sub(before),
        removed: before.saturating_sub(sync.plots),
        ..sync.clone()
    };
    write(transaction, harvester, &change)
}

/// Plots after the last change that is written of a harvester. Where none is, the most it had in the last hour before
/// this run: while its first plot sync is under way it answers with plots that no change tells of yet.
fn last_count(transaction: &Transaction<'_>, harvester: i64, began_ms: u64) -> Result<u64, rusqlite::Error> {
    let of_changes: Option<i64> = transaction
        .prepare_cached("SELECT plots FROM plot_changes WHERE harvester = ?1 ORDER BY id DESC LIMIT 1")?
        .query_row([harvester], |row| row.get(0))
        .optional()?;
    if let Some(plots) = of_changes {
        return Ok(unsigned(plots));
    }
    let of_hours: Option<i64> = transaction
        .prepare_cached(
            "SELECT plots FROM hours WHERE harvester = ?1 AND start_ms < ?2 ORDER BY start_ms DESC LIMIT 1",
        )?
        .query_row(params![harvester, int(began_ms)], |row| row.get(0))
        .optional()?;
    Ok(of_hours.map_or(0, unsigned))
}
