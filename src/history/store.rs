//! The file: opening, migrating, writing batches of facts, and forgetting.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::batch::{Batch, Run};
use super::columns::{QUARTER_COLUMNS, int, quarter, unsigned};
use super::fact::Fact;
use super::plots::{self, MissingPlots};
use super::{HistoryOptions, SUMS_KEPT_DAYS};
use crate::ids::{PeerId, SpHash};
use crate::snapshot::{ALARM_HISTORY_KEPT, AlarmKind, AlarmView, FarmRecord};

/// Version of the schema.
pub(super) const SCHEMA_VERSION: i64 = 3;

/// Brings version 0, 1, … to the next one.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema.sql"),
    include_str!("kinds.sql"),
    include_str!("plots.sql"),
];

/// Why the file cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// A newer version made it.
    #[error("it was made by a newer version of farmconsole (schema {schema}, this one knows {SCHEMA_VERSION})")]
    Newer { schema: i64 },
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What was written went to a file that has no name any more.
    #[error("it was removed or replaced while it was open; what was in it is lost, and a new one is begun")]
    Removed,
}

impl StoreError {
    /// Whether the file itself is damaged, so that trying again is no use.
    pub(super) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite(error) => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
            Self::Newer { .. } | Self::Io(_) | Self::Removed => false,
        }
    }
}

/// An open history, to write.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// Device and number of the file.
    inode: (u64, u64),
    last_seen_ms: Option<u64>,
    run: Run,
    harvesters: BTreeMap<String, i64>,
    /// The newest signage points, oldest first.
    points: VecDeque<(SpHash, i64)>,
}

impl Store {
    /// Opens the file, makes or migrates it, and begins a run.
    pub(super) fn open(file: &Path, now_ms: u64, started_ms: u64) -> Result<Self, StoreError> {
        // SQLite would make it readable to all; its other files take this one's mode.
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
        let inode = inode(&made.metadata()?);
        let mut connection = Connection::open(file)?;
        connection.busy_timeout(BUSY_PATIENCE)?;
        let schema: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if schema > SCHEMA_VERSION {
            return Err(StoreError::Newer { schema });
        }
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.pragma_update(None, "journal_size_limit", JOURNAL_KEPT_BYTES)?;
        // Rows name only rows that were written before them; to look each up again is a quarter of the work.
        connection.pragma_update(None, "foreign_keys", false)?;
        migrate(&mut connection, schema)?;
        // What was open when the last run ended is not any more, as far as anybody knows.
        connection.execute(
            "UPDATE alarms SET closed_ms = max(opened_ms, (SELECT seen_ms FROM runs WHERE id = run)) WHERE closed_ms IS NULL",
            [],
        )?;
        let last_seen_ms: Option<i64> = connection
            .query_row("SELECT seen_ms FROM runs ORDER BY id DESC LIMIT 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        connection.execute(
            "INSERT INTO runs (started_ms, seen_ms, version) VALUES (?1, ?2, ?3)",
            params![int(started_ms), int(now_ms), env!("CARGO_PKG_VERSION")],
        )?;
        let run = Run {
            id: connection.last_insert_rowid(),
            began_ms: started_ms,
        };
        let harvesters = connection
            .prepare("SELECT name, id FROM harvesters")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            connection,
            inode,
            last_seen_ms: last_seen_ms.map(unsigned),
            run,
            harvesters,
            points: VecDeque::new(),
        })
    }

    /// Whether what is written is found under this name. SQLite writes on into a file that was removed.
    ///
    /// # Errors
    /// It is not, or nobody can tell.
    pub(super) fn check_name(&self, file: &Path) -> Result<(), StoreError> {
        match std::fs::metadata(file) {
            Ok(there) if inode(&there) == self.inode => Ok(()),
            Ok(_) => Err(StoreError::Removed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StoreError::Removed),
            Err(error) => Err(error.into()),
        }
    }

    /// What earlier runs had of luck, with the quarters of the day before `now_ms`, and of the last day on which somebody
    /// wrote: the clock may not have been set yet.
    pub(super) fn record(&self, now_ms: u64) -> Result<FarmRecord, rusqlite::Error> {
        let luck = self
            .connection
            .query_row(
                "SELECT counted_since_ms, effort, last_win_ms, won_ever FROM luck",
                [],
                |row| {
                    Ok(FarmRecord {
                        counted_since_unix_ms: unsigned(row.get(0)?),
                        effort: row.get(1)?,
                        last_win_unix_ms: row.get::<_, Option<i64>>(2)?.map(unsigned),
                        won_ever: unsigned(row.get(3)?),
                        quarters: Vec::new(),
                    })
                },
            )
            .optional()?;
        let mut statement = self.connection.prepare(&format!(
            "SELECT {QUARTER_COLUMNS} FROM quarters
             WHERE start_ms BETWEEN ?1 AND ?2 OR start_ms BETWEEN ?3 AND ?4 ORDER BY start_ms"
        ))?;
        let seen_ms = self.last_seen_ms.unwrap_or(now_ms);
        let days = [
            now_ms.saturating_sub(PAST_MS),
            now_ms,
            seen_ms.saturating_sub(PAST_MS),
            seen_ms,
        ]
        .map(int);
        let quarters = statement.query_map(days, quarter)?.collect::<Result<_, _>>()?;
        Ok(FarmRecord {
            quarters,
            ..luck.unwrap_or_default()
        })
    }

    /// How many plots each harvester had when it was told of last, by certificate.
    pub(super) fn plot_counts(&self) -> Result<BTreeMap<PeerId, u64>, rusqlite::Error> {
        plots::counts(&self.connection)
    }

    /// Alarms of earlier runs, the one that closed last first; at most [`ALARM_HISTORY_KEPT`]. One whose kind this version
    /// does not know is left out: the file keeps it for its owner.
    pub(super) fn alarms(&self) -> Result<Vec<AlarmView>, rusqlite::Error> {
        let mut statement = self.connection.prepare(
            "SELECT kind, text, remedy, opened_ms, closed_ms, acknowledged, closed_ms >= seen_ms
             FROM alarms JOIN runs ON runs.id = run
             WHERE closed_ms IS NOT NULL AND kind IS NOT NULL ORDER BY closed_ms DESC, run DESC, number DESC LIMIT ?1",
        )?;
        let most = i64::try_from(ALARM_HISTORY_KEPT).unwrap_or(i64::MAX);
        let rows = statement.query_map([most], |row| {
            let kind: String = row.get(0)?;
            let Ok(kind) = serde_json::from_str::<AlarmKind>(&kind) else {
                return Ok(None);
            };
            let closed_at_unix_ms = unsigned(row.get(4)?);
            Ok(Some(AlarmView {
                number: 0,
                severity: kind.severity(),
                kind,
                text: row.get(1)?,
                remedy: row.get(2)?,
                opened_at_unix_ms: unsigned(row.get(3)?),
                updated_at_unix_ms: closed_at_unix_ms,
                closed_at_unix_ms: Some(closed_at_unix_ms),
                acknowledged: row.get(5)?,
                silenced: false,
                cut_short: row.get(6)?,
            }))
        })?;
        rows.filter_map(Result::transpose).collect()
    }

    /// Writes facts, all or none. Gives what is missing of the plots that were listed.
    pub(super) fn write(&mut self, now_ms: u64, facts: &[Fact]) -> Result<Vec<MissingPlots>, rusqlite::Error> {
        let Self {
            connection,
            run,
            harvesters,
            points,
            ..
        } = self;
        let (harvesters_before, points_before) = (harvesters.clone(), points.clone());
        let mut write = || {
            let transaction = connection.transaction()?;
            let missing = Batch::new(&transaction, *run, harvesters, points)?.write(facts)?;
            transaction
                .prepare_cached("UPDATE runs SET seen_ms = ?2 WHERE id = ?1")?
                .execute(params![run.id, int(now_ms)])?;
            transaction.commit()?;
            Ok(missing)
        };
        let written = write();
        if written.is_err() {
            // The rows that these name were not written either.
            (self.harvesters, self.points) = (harvesters_before, points_before);
        }
        written
    }

    /// When the run before this one wrote last, unix milliseconds.
    pub(super) const fn last_seen_ms(&self) -> Option<u64> {
        self.last_seen_ms
    }

    /// Forgets what is too old or too much, a little at a time. Says whether there is more to forget.
    pub(super) fn forget(&mut self, now_ms: u64, options: &HistoryOptions) -> Result<bool, rusqlite::Error> {
        let days_ago = |days: u32| int(now_ms.saturating_sub(u64::from(days) * DAY_MS));
        let transaction = self.connection.transaction()?;
        let pages: i64 = transaction.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let free: i64 = transaction.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let page_bytes: i64 = transaction.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let used = unsigned((pages - free) * page_bytes);
        // By their times and not by their numbers: a clock that said 1970 for a minute may have written between others.
        let (which, bound) = if used > options.max_bytes {
            ("0 <= ?1 ORDER BY id", 0)
        } else {
            ("at_ms < ?1 ORDER BY at_ms", days_ago(options.keep_days))
        };
        let points = format!("(SELECT id FROM signage_points WHERE {which} LIMIT {FORGOTTEN_AT_A_TIME})");
        transaction.execute(
            &format!("DELETE FROM attempts WHERE signage_point IN {points}"),
            [bound],
        )?;
        let forgotten = transaction.execute(&format!("DELETE FROM signage_points WHERE id IN {points}"), [bound])?;
        let more = forgotten == FORGOTTEN_AT_A_TIME;
        let sums_from = days_ago(SUMS_KEPT_DAYS);
        for sums in [
            "DELETE FROM hours WHERE start_ms < ?1",
            "DELETE FROM quarters WHERE start_ms < ?1",
            "DELETE FROM partials WHERE at_ms < ?1",
            "DELETE FROM plot_changes WHERE at_ms < ?1",
            "DELETE FROM alarms WHERE opened_ms < ?1",
            "DELETE FROM proofs WHERE found_ms < ?1 AND stage NOT IN ('block_signed', 'block_accepted')",
        ] {
            transaction.execute(sums, [sums_from])?;
        }
        transaction.commit()?;
        // Gives the free pages back to the file system; it returns a row for each.
        let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        Ok(more)
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn migrate(connection: &mut Connection, from: i64) -> Result<(), rusqlite::Error> {
    let done = usize::try_from(from).unwrap_or(0);
    for (migration, version) in MIGRATIONS.iter().zip(1_i64..).skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

const DAY_MS: u64 = 24 * 3_600_000;

/// A day and the quarter that is running.
const PAST_MS: u64 = DAY_MS + 900_000;

/// Signage points whose answers are forgotten in one transaction: two hours.
const FORGOTTEN_AT_A_TIME: usize = 768;

/// The journal is cut back to this when it is empty, bytes.
const JOURNAL_KEPT_BYTES: i64 = 4 << 20;

/// Others may hold the file for a moment: a checkpoint, or its owner's `sqlite3`.
const BUSY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChallengeHash;
    use crate::snapshot::{HarvesterId, QuarterCounts, SignagePointView};

    const T: u64 = 1_800_000_000_000;

    fn alarm(number: u64, closed_at_unix_ms: Option<u64>) -> AlarmView {
        let kind = AlarmKind::PlotsLost {
            harvester: HarvesterId(3),
            name: "shelf".to_owned(),
            lost: 109,
            directory: Some("/mnt/d07".to_owned()),
        };
        AlarmView {
            number,
            severity: kind.severity(),
            text: kind.to_string(),
            remedy: kind.remedy(),
            kind,
            opened_at_unix_ms: T + number,
            updated_at_unix_ms: closed_at_unix_ms.unwrap_or(T),
            closed_at_unix_ms,
            acknowledged: true,
            silenced: false,
            cut_short: false,
        }
    }

    fn fact(number: u64, closed_at_unix_ms: Option<u64>) -> Fact {
        Fact::Alarm(Box::new(alarm(number, closed_at_unix_ms)))
    }

    #[test]
    fn alarms_of_earlier_runs_are_told_to_the_farmer() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.sqlite");
        // A file of the first schema, with an alarm of which it does not know the fields.
        let old = Connection::open(&file).unwrap();
        old.execute_batch(include_str!("schema.sql")).unwrap();
        old.execute_batch(
            "PRAGMA user_version = 1; INSERT INTO runs VALUES (1, 1, 2, '0');
             INSERT INTO alarms VALUES (1, 1, 1, 2, 'no_keys', 'critical', NULL, 'x', 'y', 0);",
        )
        .unwrap();
        drop(old);
        let mut store = Store::open(&file, T, T).unwrap();
        store
            .write(T, &[fact(1, None), fact(2, Some(T + 60_000)), fact(3, None)])
            .unwrap();
        store.write(T + 90_000, &[]).unwrap();
        drop(store);
        let mut store = Store::open(&file, T + 100_000, T + 100_000).unwrap();
        let told = store.alarms().unwrap();
        let times: Vec<_> = told
            .iter()
            .map(|it| (it.opened_at_unix_ms, it.closed_at_unix_ms, it.cut_short))
            .collect();
        assert_eq!(
            times,
            [
                (T + 3, Some(T + 90_000), true),
                (T + 1, Some(T + 90_000), true),
                (T + 2, Some(T + 60_000), false)
            ]
        );
        let number = told[2].number;
        assert_eq!(
            told[2],
            AlarmView {
                number,
                ..alarm(2, Some(T + 60_000))
            }
        );
        let many: Vec<_> = (0..100).map(|n| fact(n, Some(T + 200_000))).collect();
        store.write(T + 200_000, &many).unwrap();
        assert_eq!(store.alarms().unwrap().len(), ALARM_HISTORY_KEPT);
    }

    #[test]
    fn what_a_clock_wrote_that_said_1970_takes_nothing_with_it_when_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.sqlite");
        let point = |number: u8, at_ms: u64| {
            let view = SignagePointView {
                signage_point_index: number,
                challenge_hash: ChallengeHash([1; 32]),
                sp_hash: SpHash([number; 32]),
                received_at_unix_ms: at_ms,
                peak_height: 6_000_000,
                difficulty: 14_000,
                sub_slot_iters: 578_813_952,
            };
            Fact::SignagePoint(Box::new(view), 2)
        };
        let mut store = Store::open(&file, T, T).unwrap();
        let times = [T - 40 * DAY_MS, T - DAY_MS, 60_000, T + 70 * 365 * DAY_MS, T];
        let facts: Vec<_> = (0..).zip(times).map(|(number, at_ms)| point(number, at_ms)).collect();
        store.write(T, &facts).unwrap();
        let options = HistoryOptions {
            file,
            keep_days: 30,
            max_bytes: 512 << 20,
        };
        while store.forget(T, &options).unwrap() {}
        let mut left = store
            .connection
            .prepare("SELECT at_ms FROM signage_points ORDER BY id")
            .unwrap();
        let left = left.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        let left: Vec<_> = left.map(|at| unsigned(at.unwrap())).collect();
        assert_eq!(left, [T - DAY_MS, T + 70 * 365 * DAY_MS, T]);
    }

    #[test]
    fn day_of_the_last_run_is_told_also_when_the_clock_has_not_been_set_yet() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.sqlite");
        let record = FarmRecord {
            quarters: [T - 2 * DAY_MS, T - 900_000]
                .map(|start_unix_ms| QuarterCounts {
                    start_unix_ms,
                    ..QuarterCounts::default()
                })
                .to_vec(),
            ..FarmRecord::default()
        };
        let mut store = Store::open(&file, T, T).unwrap();
        store.write(T, &[Fact::Record(Box::new(record))]).unwrap();
        drop(store);
        for now in [T, 60_000, T + 70 * 365 * DAY_MS] {
            let store = Store::open(&file, T, T).unwrap();
            let starts: Vec<_> = store
                .record(now)
                .unwrap()
                .quarters
                .iter()
                .map(|it| it.start_unix_ms)
                .collect();
            assert_eq!(starts, [T - 900_000], "{now}");
        }
    }
}
