//! Pages of the history, read beside the writer.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, params_from_iter, types::Value};

use super::columns::{QUARTER_COLUMNS, int, quarter, unsigned};
use super::store::SCHEMA_VERSION;
use crate::ids::{PlotId, QualityString};
use crate::snapshot::{
    AlarmRow, AttemptRow, HistoryPage, HistoryRequest, HistoryRows, HistoryTable, HourRow, PartialRow, PlotChangeRow,
    ProofStage, ProofView, history::HISTORY_PAGE_LIMIT,
};

/// Why the history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is none.
    #[error("there is no history at {}: nothing was ever written down here", .file.display())]
    Missing {
        /// Where it would be.
        file: PathBuf,
    },
    /// It was made by another version.
    #[error("read {}: its schema is {schema}, this version reads {SCHEMA_VERSION}", .file.display())]
    OtherSchema {
        /// The file.
        file: PathBuf,
        /// Its schema.
        schema: i64,
    },
    /// It may not be read.
    #[error("read {}: {source}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite says no.
    #[error("read {}: {}", .file.display(), said(.source, .file))]
    Sqlite {
        /// The file.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

/// Reads a history, whether or not somebody writes it.
#[derive(Clone, Debug)]
pub struct HistoryReader {
    file: PathBuf,
}

impl HistoryReader {
    /// Reads this file.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into() }
    }

    /// Part of a table, newest first. Blocking; takes a few milliseconds.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn page(&self, request: &HistoryRequest) -> Result<HistoryPage, HistoryError> {
        // What cannot be looked at may be there all the same.
        if let Ok(false) = self.file.try_exists() {
            return Err(HistoryError::Missing {
                file: self.file.clone(),
            });
        }
        let sqlite = |source| {
            let file = self.file.clone();
            // SQLite does not say why it cannot open a file.
            match File::open(&file) {
                Err(source) => HistoryError::Unreadable { file, source },
                Ok(_) => HistoryError::Sqlite { file, source },
            }
        };
        let connection = open(&self.file).map_err(sqlite)?;
        let schema: i64 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(sqlite)?;
        if schema != SCHEMA_VERSION {
            return Err(HistoryError::OtherSchema {
                file: self.file.clone(),
                schema,
            });
        }
        read(&connection, request).map_err(sqlite)
    }
}

/// SQLite's words, without the path that some of them end with.
fn said(source: &rusqlite::Error, file: &Path) -> String {
    let said = source.to_string();
    let path = format!(": {}", file.display());
    said.strip_suffix(&path).unwrap_or(&said).to_owned()
}

fn open(file: &Path) -> Result<Connection, rusqlite::Error> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    Ok(connection)
}

fn read(connection: &Connection, request: &HistoryRequest) -> Result<HistoryPage, rusqlite::Error> {
    let limit = request.limit.min(HISTORY_PAGE_LIMIT) as usize;
    let query = Query {
        connection,
        request,
        limit,
    };
    let (has_more, rows) = match request.table {
        HistoryTable::Attempts => {
            let (more, rows) = query.rows(
                "SELECT p.at_ms, h.name, p.sp_index, a.total, a.passed, a.proofs, a.lookup_ms, a.round_trip_ms
                 FROM signage_points p JOIN attempts a ON a.signage_point = p.id JOIN harvesters h ON h.id = a.harvester",
                "p.at_ms",
                Some("h.name"),
                attempt,
            )?;
            (more, HistoryRows::Attempts(rows))
        }
        HistoryTable::Hours => {
            let (more, rows) = query.rows(
                "SELECT t.start_ms, h.name, t.answered, t.late, t.unanswered, t.passed, t.proofs, t.plots,
                 t.lookup_sum_ms, t.lookup_max_ms FROM hours t JOIN harvesters h ON h.id = t.harvester",
                "t.start_ms",
                Some("h.name"),
                hour,
            )?;
            (more, HistoryRows::Hours(rows))
        }
        HistoryTable::Quarters => {
            let select = format!("SELECT {QUARTER_COLUMNS} FROM quarters");
            let (more, rows) = query.rows(&select, "start_ms", None, quarter)?;
            (more, HistoryRows::Quarters(rows))
        }
        HistoryTable::Proofs => {
            let (more, rows) = query.rows(
                "SELECT t.number, t.found_ms, h.name, t.plot_id, t.plot_file, t.sp_index, t.quality, t.stage, t.detail,
                 t.height, t.found_after_ms, t.verified_after_ms, t.signed_after_ms, t.declared_after_ms,
                 t.block_asked_after_ms, t.block_signed_after_ms
                 FROM proofs t JOIN harvesters h ON h.id = t.harvester",
                "t.found_ms",
                Some("h.name"),
                proof,
            )?;
            (more, HistoryRows::Proofs(rows))
        }
        HistoryTable::Partials => {
            let (more, rows) = query.rows(
                "SELECT t.at_ms, t.pool, h.name, t.plot_file, t.points, t.outcome, t.step, t.detail, t.after_ms
                 FROM partials t JOIN harvesters h ON h.id = t.harvester",
                "t.at_ms",
                Some("h.name"),
                partial,
            )?;
            (more, HistoryRows::Partials(rows))
        }
        HistoryTable::PlotChanges => {
            let (more, rows) = query.rows(
                "SELECT t.at_ms, h.name, t.plots, t.added, t.removed, t.removed_from
                 FROM plot_changes t JOIN harvesters h ON h.id = t.harvester",
                "t.at_ms",
                Some("h.name"),
                plot_change,
            )?;
            (more, HistoryRows::PlotChanges(rows))
        }
        HistoryTable::Alarms => {
            let (more, rows) = query.rows(
                "SELECT opened_ms, closed_ms, rule, severity, machine, text, remedy, acknowledged, closed_ms >= seen_ms
                 FROM alarms JOIN runs ON runs.id = run",
                "opened_ms",
                Some("machine"),
                alarm,
            )?;
            (more, HistoryRows::Alarms(rows))
        }
    };
    Ok(HistoryPage { has_more, rows })
}

struct Query<'a> {
    connection: &'a Connection,
    request: &'a HistoryRequest,
    limit: usize,
}

impl Query<'_> {
    /// The rows of a `select` within the times asked for, newest first, and whether there are more.
    fn rows<T>(
        &self,
        select: &str,
        time: &str,
        harvester: Option<&str>,
        row: fn(&Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<(bool, Vec<T>), rusqlite::Error> {
        let request = self.request;
        let mut sql = format!("{select} WHERE {time} >= ?1 AND {time} < ?2");
        let mut values: Vec<Value> = vec![int(request.from_unix_ms).into(), int(request.to_unix_ms).into()];
        if let (Some(column), Some(name)) = (harvester, &request.harvester) {
            sql += &format!(" AND {column} = ?3");
            values.push(name.clone().into());
        }
        // One more than wanted tells whether there are more.
        sql += &format!(
            " ORDER BY {time} DESC LIMIT {} OFFSET {}",
            self.limit + 1,
            int(request.offset)
        );
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement
            .query_map(params_from_iter(values), row)?
            .collect::<Result<Vec<T>, _>>()?;
        let has_more = rows.len() > self.limit;
        rows.truncate(self.limit);
        Ok((has_more, rows))
    }
}

fn attempt(row: &Row<'_>) -> Result<AttemptRow, rusqlite::Error> {
    Ok(AttemptRow {
        at_unix_ms: unsigned(row.get(0)?),
        harvester: row.get(1)?,
        signage_point_index: row.get(2)?,
        total: row.get(3)?,
        passed: row.get(4)?,
        proofs: row.get(5)?,
        lookup_ms: row.get(6)?,
        round_trip_ms: row.get(7)?,
    })
}

fn hour(row: &Row<'_>) -> Result<HourRow, rusqlite::Error> {
    let number = |column: usize| row.get::<_, i64>(column).map(unsigned);
    let answered = number(2)?;
    Ok(HourRow {
        start_unix_ms: number(0)?,
        harvester: row.get(1)?,
        answered,
        late: number(3)?,
        unanswered: number(4)?,
        passed: number(5)?,
        proofs: number(6)?,
        plots: number(7)?,
        lookup_mean_ms: number(8)?.checked_div(answered),
        lookup_max_ms: row.get::<_, Option<i64>>(9)?.map(unsigned),
    })
}

fn proof(row: &Row<'_>) -> Result<ProofView, rusqlite::Error> {
    let stage: String = row.get(7)?;
    let detail: Option<String> = row.get(8)?;
    let height: Option<u32> = row.get(9)?;
    Ok(ProofView {
        number: unsigned(row.get(0)?),
        found_at_unix_ms: unsigned(row.get(1)?),
        harvester_name: row.get(2)?,
        plot_id: PlotId(row.get(3)?),
        plot_file: row.get(4)?,
        signage_point_index: row.get(5)?,
        quality: row.get::<_, Option<[u8; 32]>>(6)?.map(QualityString),
        stage: stage_of(&stage, detail.unwrap_or_default(), height),
        found_after_ms: row.get(10)?,
        verified_after_ms: row.get(11)?,
        signed_after_ms: row.get(12)?,
        declared_after_ms: row.get(13)?,
        block_asked_after_ms: row.get(14)?,
        block_signed_after_ms: row.get(15)?,
    })
}

/// The stage that was written as this word.
fn stage_of(word: &str, reason: String, height: Option<u32>) -> ProofStage {
    match word {
        "not_good_enough" => ProofStage::NotGoodEnough,
        "invalid" => ProofStage::Invalid { reason },
        "verified" => ProofStage::Verified,
        "declared" => ProofStage::Declared,
        "block_signed" => ProofStage::BlockSigned,
        "block_accepted" => ProofStage::BlockAccepted {
            height: height.unwrap_or_default(),
        },
        "lost" => ProofStage::Lost { reason },
        _ => ProofStage::Found,
    }
}

fn partial(row: &Row<'_>) -> Result<PartialRow, rusqlite::Error> {
    Ok(PartialRow {
        at_unix_ms: unsigned(row.get(0)?),
        pool: row.get(1)?,
        harvester: row.get(2)?,
        plot_file: row.get(3)?,
        points: unsigned(row.get(4)?),
        outcome: row.get(5)?,
        step: row.get(6)?,
        detail: row.get(7)?,
        after_ms: row.get(8)?,
    })
}

fn plot_change(row: &Row<'_>) -> Result<PlotChangeRow, rusqlite::Error> {
    Ok(PlotChangeRow {
        at_unix_ms: unsigned(row.get(0)?),
        harvester: row.get(1)?,
        plots: unsigned(row.get(2)?),
        added: unsigned(row.get(3)?),
        removed: unsigned(row.get(4)?),
        removed_from: row.get(5)?,
    })
}

fn alarm(row: &Row<'_>) -> Result<AlarmRow, rusqlite::Error> {
    Ok(AlarmRow {
        opened_at_unix_ms: unsigned(row.get(0)?),
        closed_at_unix_ms: row.get::<_, Option<i64>>(1)?.map(unsigned),
        rule: row.get(2)?,
        severity: row.get(3)?,
        machine: row.get(4)?,
        text: row.get(5)?,
        remedy: row.get(6)?,
        acknowledged: row.get(7)?,
        cut_short: row.get::<_, Option<bool>>(8)?.unwrap_or_default(),
    })
}

/// The writer may be in the middle of a checkpoint.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
