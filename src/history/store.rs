//! The file: opening, migrating, writing facts, and forgetting.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, params};

use super::fact::Fact;
use super::{HistoryOptions, SUMS_KEPT_DAYS};
use crate::ids::SpHash;
use crate::snapshot::{
    AlarmView, AttemptOutcome, AttemptView, FarmRecord, PartialRow, PlotChangeRow, ProofStage, ProofView,
    QuarterCounts, SignagePointView,
};

/// Version of the schema.
pub(super) const SCHEMA_VERSION: i64 = 1;

/// Brings version 0, 1, … to the next one.
const MIGRATIONS: [&str; 1] = [include_str!("schema.sql")];

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
}

impl StoreError {
    /// Whether the file itself is damaged, so that trying again is no use.
    pub(super) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sqlite(error) => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
            Self::Newer { .. } | Self::Io(_) => false,
        }
    }
}

/// An open history, to write.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    last_seen_ms: Option<u64>,
    run: i64,
    harvesters: BTreeMap<String, i64>,
    /// The newest signage points, oldest first.
    points: VecDeque<(SpHash, i64)>,
}

impl Store {
    /// Opens the file, makes or migrates it, and begins a run.
    pub(super) fn open(file: &Path, now_ms: u64, started_ms: u64) -> Result<Self, StoreError> {
        // SQLite would make it readable to all; its other files take this one's mode.
        OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
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
        let run = connection.last_insert_rowid();
        let harvesters = connection
            .prepare("SELECT name, id FROM harvesters")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self {
            connection,
            last_seen_ms: last_seen_ms.map(unsigned),
            run,
            harvesters,
            points: VecDeque::new(),
        })
    }

    /// What earlier runs had of luck, with the quarters from `from_ms` on.
    pub(super) fn record(&self, from_ms: u64) -> Result<FarmRecord, rusqlite::Error> {
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
            "SELECT {QUARTER_COLUMNS} FROM quarters WHERE start_ms >= ?1 ORDER BY start_ms"
        ))?;
        let quarters = statement
            .query_map([int(from_ms)], quarter)?
            .collect::<Result<_, _>>()?;
        Ok(FarmRecord {
            quarters,
            ..luck.unwrap_or_default()
        })
    }

    /// Writes facts, all or none.
    pub(super) fn write(&mut self, now_ms: u64, facts: &[Fact]) -> Result<(), rusqlite::Error> {
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
            let mut writing = Writing {
                transaction: &transaction,
                run: *run,
                harvesters,
                points,
                insert_attempt: transaction.prepare_cached(INSERT_ATTEMPT)?,
                sums: BTreeMap::new(),
            };
            for fact in facts {
                writing.write(fact)?;
            }
            writing.write_sums()?;
            drop(writing);
            transaction
                .prepare_cached("UPDATE runs SET seen_ms = ?2 WHERE id = ?1")?
                .execute(params![*run, int(now_ms)])?;
            transaction.commit()
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
        let oldest: Option<i64> = transaction.query_row("SELECT min(id) FROM signage_points", [], |row| row.get(0))?;
        let too_old: Option<i64> = transaction.query_row(
            "SELECT max(id) FROM signage_points WHERE at_ms < ?1",
            [days_ago(options.keep_days)],
            |row| row.get(0),
        )?;
        let mut more = false;
        if let Some(oldest) = oldest {
            let slice = oldest + FORGOTTEN_AT_A_TIME;
            let to = if used > options.max_bytes {
                slice
            } else {
                too_old.map_or(oldest, |id| (id + 1).min(slice))
            };
            more = to == slice;
            transaction.execute("DELETE FROM attempts WHERE signage_point < ?1", [to])?;
            transaction.execute("DELETE FROM signage_points WHERE id < ?1", [to])?;
        }
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

/// One transaction.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    run: i64,
    harvesters: &'a mut BTreeMap<String, i64>,
    points: &'a mut VecDeque<(SpHash, i64)>,
    /// Nearly all there is to write: a fleet of a thousand has a thousand answers at a time.
    insert_attempt: CachedStatement<'a>,
    /// What the attempts add to `hours`, by start and harvester.
    sums: BTreeMap<(i64, i64), HourSums>,
}

/// What is added to a row of `hours`.
#[derive(Clone, Copy, Debug, Default)]
struct HourSums {
    answered: u32,
    late: u32,
    /// Below zero when more was answered after all than was given up.
    unanswered: i32,
    passed: u64,
    proofs: u64,
    plots: u32,
    lookup_sum_ms: u64,
    lookup_max_ms: Option<u32>,
}

impl Writing<'_> {
    fn write(&mut self, fact: &Fact) -> Result<(), rusqlite::Error> {
        match fact {
            Fact::SignagePoint(point, harvesters) => self.signage_point(point, *harvesters),
            Fact::Attempt(attempt) => self.attempt(attempt),
            Fact::Proof(proof) => self.proof(proof),
            Fact::Partial(partial) => self.partial(partial),
            Fact::PlotChange(change) => self.plot_change(change),
            Fact::Alarm(alarm) => self.alarm(alarm),
            Fact::Record(record) => self.record(record),
        }
    }

    fn signage_point(&mut self, point: &SignagePointView, harvesters: u32) -> Result<(), rusqlite::Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO signage_points
                 (at_ms, sp_index, sp_hash, challenge_hash, peak_height, difficulty, sub_slot_iters, harvesters)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                int(point.received_at_unix_ms),
                point.signage_point_index,
                point.sp_hash.0,
                point.challenge_hash.0,
                point.peak_height,
                int(point.difficulty),
                int(point.sub_slot_iters),
                harvesters,
            ])?;
        self.remember_point(point.sp_hash, self.transaction.last_insert_rowid());
        Ok(())
    }

    fn attempt(&mut self, attempt: &AttemptView) -> Result<(), rusqlite::Error> {
        let harvester = self.harvester(&attempt.harvester_name)?;
        let point = self.point(attempt)?;
        let hour = int(attempt.at_unix_ms / HOUR_MS * HOUR_MS);
        let sums = self.sums.entry((hour, harvester)).or_default();
        match attempt.outcome {
            AttemptOutcome::Answered {
                passed,
                total,
                proofs,
                lookup_ms,
                round_trip_ms,
            } => {
                sums.answered += 1;
                sums.late += u32::from(round_trip_ms > LATE_AFTER_MS);
                sums.passed += u64::from(passed);
                sums.proofs += u64::from(proofs);
                sums.plots = sums.plots.max(total);
                sums.lookup_sum_ms += u64::from(lookup_ms);
                sums.lookup_max_ms = sums.lookup_max_ms.max(Some(lookup_ms));
                let row = params![point, harvester, total, passed, proofs, lookup_ms, round_trip_ms];
                if self.insert_attempt.execute(row)? == 0 {
                    let was_unanswered = self.transaction.prepare_cached(ANSWER_ATTEMPT)?.execute(row)?;
                    sums.unanswered -= i32::from(was_unanswered > 0);
                }
            }
            AttemptOutcome::NoAnswer { total, .. } => {
                sums.unanswered += 1;
                sums.plots = sums.plots.max(total);
                let none = None::<u32>;
                self.insert_attempt
                    .execute(params![point, harvester, total, none, none, none, none])?;
            }
        }
        Ok(())
    }

    /// Adds up what the attempts of this transaction are worth.
    fn write_sums(&mut self) -> Result<(), rusqlite::Error> {
        let mut add = self.transaction.prepare_cached(
            "INSERT INTO hours (start_ms, harvester, answered, late, unanswered, passed, proofs, plots, lookup_sum_ms,
             lookup_max_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO UPDATE SET answered = answered + excluded.answered, late = late + excluded.late,
             unanswered = unanswered + excluded.unanswered, passed = passed + excluded.passed,
             proofs = proofs + excluded.proofs, plots = max(plots, excluded.plots),
             lookup_sum_ms = lookup_sum_ms + excluded.lookup_sum_ms,
             lookup_max_ms = max(ifnull(lookup_max_ms, excluded.lookup_max_ms),
                                 ifnull(excluded.lookup_max_ms, lookup_max_ms))",
        )?;
        for ((hour, harvester), sums) in std::mem::take(&mut self.sums) {
            add.execute(params![
                hour,
                harvester,
                sums.answered,
                sums.late,
                sums.unanswered,
                int(sums.passed),
                int(sums.proofs),
                sums.plots,
                int(sums.lookup_sum_ms),
                sums.lookup_max_ms,
            ])?;
        }
        Ok(())
    }

    fn proof(&mut self, proof: &ProofView) -> Result<(), rusqlite::Error> {
        let harvester = self.harvester(&proof.harvester_name)?;
        let (stage, detail, height) = stage_words(&proof.stage);
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO proofs (run, number, found_ms, harvester, plot_id, plot_file, sp_index, quality,
                 stage, detail, height, found_after_ms, verified_after_ms, signed_after_ms, declared_after_ms,
                 block_asked_after_ms, block_signed_after_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
            )?
            .execute(params![
                self.run,
                int(proof.number),
                int(proof.found_at_unix_ms),
                harvester,
                proof.plot_id.0,
                proof.plot_file,
                proof.signage_point_index,
                proof.quality.map(|quality| quality.0),
                stage,
                detail,
                height,
                proof.found_after_ms,
                proof.verified_after_ms,
                proof.signed_after_ms,
                proof.declared_after_ms,
                proof.block_asked_after_ms,
                proof.block_signed_after_ms,
            ])?;
        Ok(())
    }

    fn partial(&mut self, partial: &PartialRow) -> Result<(), rusqlite::Error> {
        let harvester = self.harvester(&partial.harvester)?;
        self.transaction
            .prepare_cached(
                "INSERT INTO partials (at_ms, pool, harvester, plot_file, points, outcome, step, detail, after_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                int(partial.at_unix_ms),
                partial.pool,
                harvester,
                partial.plot_file,
                int(partial.points),
                partial.outcome,
                partial.step,
                partial.detail,
                partial.after_ms,
            ])?;
        Ok(())
    }

    fn plot_change(&mut self, change: &PlotChangeRow) -> Result<(), rusqlite::Error> {
        let harvester = self.harvester(&change.harvester)?;
        self.transaction
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

    fn alarm(&mut self, alarm: &AlarmView) -> Result<(), rusqlite::Error> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO alarms (run, number, opened_ms, closed_ms, rule, severity, machine, text, remedy,
                 acknowledged) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                self.run,
                int(alarm.number),
                int(alarm.opened_at_unix_ms),
                alarm.closed_at_unix_ms.map(int),
                alarm.kind.rule(),
                alarm.severity.word(),
                alarm.kind.machine(),
                alarm.text,
                alarm.remedy,
                alarm.acknowledged,
            ])?;
        Ok(())
    }

    fn record(&self, record: &FarmRecord) -> Result<(), rusqlite::Error> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO luck (id, counted_since_ms, effort, last_win_ms, won_ever)
                 VALUES (1, ?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                int(record.counted_since_unix_ms),
                record.effort,
                record.last_win_unix_ms.map(int),
                int(record.won_ever),
            ])?;
        let mut insert = self.transaction.prepare_cached(&format!(
            "INSERT OR REPLACE INTO quarters ({QUARTER_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        ))?;
        for quarter in &record.quarters {
            insert.execute(params![
                int(quarter.start_unix_ms),
                int(quarter.signage_points),
                int(quarter.missed),
                int(quarter.answers),
                int(quarter.passed),
                quarter.expected_passed,
                quarter.variance,
                int(quarter.proofs),
                quarter.expected_proofs,
                int(quarter.blocks_signed),
            ])?;
        }
        Ok(())
    }

    fn harvester(&mut self, name: &str) -> Result<i64, rusqlite::Error> {
        if let Some(id) = self.harvesters.get(name) {
            return Ok(*id);
        }
        self.transaction
            .prepare_cached("INSERT INTO harvesters (name) VALUES (?1)")?
            .execute([name])?;
        let id = self.transaction.last_insert_rowid();
        self.harvesters.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The row of the signage point of an attempt; made if its own notice was dropped.
    fn point(&mut self, attempt: &AttemptView) -> Result<i64, rusqlite::Error> {
        let known = self.points.iter().rev().find(|(hash, _)| *hash == attempt.sp_hash);
        if let Some((_, id)) = known {
            return Ok(*id);
        }
        let found: Option<i64> = self
            .transaction
            .prepare_cached("SELECT max(id) FROM signage_points WHERE sp_hash = ?1")?
            .query_row([attempt.sp_hash.0], |row| row.get(0))?;
        let id = match found {
            Some(id) => id,
            None => {
                self.transaction
                    .prepare_cached(
                        "INSERT INTO signage_points (at_ms, sp_index, sp_hash, challenge_hash) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![
                        int(attempt.at_unix_ms),
                        attempt.signage_point_index,
                        attempt.sp_hash.0,
                        attempt.challenge_hash.0,
                    ])?;
                self.transaction.last_insert_rowid()
            }
        };
        self.remember_point(attempt.sp_hash, id);
        Ok(id)
    }

    fn remember_point(&mut self, sp_hash: SpHash, id: i64) {
        if self.points.len() == POINTS_REMEMBERED {
            self.points.pop_front();
        }
        self.points.push_back((sp_hash, id));
    }
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

/// A proof's stage in a word, with what else there is to say of it.
fn stage_words(stage: &ProofStage) -> (&'static str, Option<&str>, Option<u32>) {
    match stage {
        ProofStage::Found => ("found", None, None),
        ProofStage::NotGoodEnough => ("not_good_enough", None, None),
        ProofStage::Invalid { reason } => ("invalid", Some(reason), None),
        ProofStage::Verified => ("verified", None, None),
        ProofStage::Declared => ("declared", None, None),
        ProofStage::BlockSigned => ("block_signed", None, None),
        ProofStage::BlockAccepted { height } => ("block_accepted", None, Some(*height)),
        ProofStage::Lost { reason } => ("lost", Some(reason), None),
    }
}

/// A row of `quarters`.
pub(super) fn quarter(row: &rusqlite::Row<'_>) -> Result<QuarterCounts, rusqlite::Error> {
    Ok(QuarterCounts {
        start_unix_ms: unsigned(row.get(0)?),
        signage_points: unsigned(row.get(1)?),
        missed: unsigned(row.get(2)?),
        answers: unsigned(row.get(3)?),
        passed: unsigned(row.get(4)?),
        expected_passed: row.get(5)?,
        variance: row.get(6)?,
        proofs: unsigned(row.get(7)?),
        expected_proofs: row.get(8)?,
        blocks_signed: unsigned(row.get(9)?),
    })
}

/// As SQLite stores numbers.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The other way; nothing here is ever negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// An answer, or that there was none; whatever is written of it already stays.
const INSERT_ATTEMPT: &str =
    "INSERT INTO attempts (signage_point, harvester, total, passed, proofs, lookup_ms, round_trip_ms)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";

/// An answer after it was given up.
const ANSWER_ATTEMPT: &str =
    "UPDATE attempts SET total = ?3, passed = ?4, proofs = ?5, lookup_ms = ?6, round_trip_ms = ?7
     WHERE signage_point = ?1 AND harvester = ?2 AND passed IS NULL";

/// Columns that [`quarter`] reads.
pub(super) const QUARTER_COLUMNS: &str = "start_ms, signage_points, missed, answers, passed, expected_passed, variance, proofs, expected_proofs, blocks_signed";

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Official harvesters warn of answers after this.
const LATE_AFTER_MS: u32 = 8_000;

/// Answers come within three sub-slots of their signage point.
const POINTS_REMEMBERED: usize = 256;

/// Signage points whose answers are forgotten in one transaction: two hours.
const FORGOTTEN_AT_A_TIME: i64 = 768;

/// The journal is cut back to this when it is empty, bytes.
const JOURNAL_KEPT_BYTES: i64 = 4 << 20;

/// Others may hold the file for a moment: a checkpoint, or its owner's `sqlite3`.
const BUSY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
