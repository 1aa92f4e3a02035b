//! A batch of facts as rows of the tables. Harvesters and signage points are named by the numbers of their rows, which are
//! remembered from batch to batch; the sums of an hour are added up here and written once for each batch.

use std::collections::{BTreeMap, VecDeque};

use rusqlite::{CachedStatement, Transaction, params};

use super::columns::{QUARTER_COLUMNS, int};
use super::fact::Fact;
use super::plot_changes;
use super::plots::{self, MissingPlots};
use crate::ids::SpHash;
use crate::snapshot::{
    AlarmView, AttemptOutcome, AttemptView, FarmRecord, PartialRow, ProofStage, ProofView, SignagePointView,
};

/// A run of the farmer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Its row.
    pub(super) id: i64,
    /// When it began, unix milliseconds.
    pub(super) began_ms: u64,
}

/// Writes facts within one transaction.
pub(super) struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    run: Run,
    harvesters: &'a mut BTreeMap<String, i64>,
    points: &'a mut VecDeque<(SpHash, i64)>,
    /// Nearly all there is to write: a fleet of a thousand has a thousand answers at a time.
    insert_attempt: CachedStatement<'a>,
    /// What the attempts add to `hours`, by start and harvester.
    sums: BTreeMap<(i64, i64), HourSums>,
    missing: Vec<MissingPlots>,
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

impl<'a> Batch<'a> {
    /// A batch of this run. `harvesters` are the rows of known names, `points` those of the newest signage
    /// points, oldest first; what is written is added to them, though the transaction may still fail.
    pub(super) fn new(
        transaction: &'a Transaction<'a>,
        run: Run,
        harvesters: &'a mut BTreeMap<String, i64>,
        points: &'a mut VecDeque<(SpHash, i64)>,
    ) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            transaction,
            run,
            harvesters,
            points,
            insert_attempt: transaction.prepare_cached(INSERT_ATTEMPT)?,
            sums: BTreeMap::new(),
            missing: Vec::new(),
        })
    }

    /// Writes all of them. Gives what is missing of the plots that were listed.
    pub(super) fn write(mut self, facts: &[Fact]) -> Result<Vec<MissingPlots>, rusqlite::Error> {
        for fact in facts {
            self.fact(fact)?;
        }
        self.write_sums()?;
        Ok(self.missing)
    }

    fn fact(&mut self, fact: &Fact) -> Result<(), rusqlite::Error> {
        match fact {
            Fact::SignagePoint(point, harvesters) => self.signage_point(point, *harvesters),
            Fact::Attempt(attempt) => self.attempt(attempt),
            Fact::Proof(proof) => self.proof(proof),
            Fact::Partial(partial) => self.partial(partial),
            Fact::PlotChange(change) => {
                let harvester = self.harvester(&change.harvester)?;
                plot_changes::write(self.transaction, harvester, change)
            }
            Fact::Plots(sync) => {
                let harvester = self.harvester(&sync.harvester)?;
                let began_ms = self.run.began_ms / HOUR_MS * HOUR_MS;
                plot_changes::write_since_last(self.transaction, harvester, sync, began_ms)
            }
            Fact::PlotNews(news) => {
                self.missing.extend(plots::write(self.transaction, news)?);
                Ok(())
            }
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
                self.run.id,
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

    fn alarm(&mut self, alarm: &AlarmView) -> Result<(), rusqlite::Error> {
        self.transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO alarms (run, number, opened_ms, closed_ms, rule, severity, machine, text, remedy,
                 acknowledged, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                self.run.id,
                int(alarm.number),
                int(alarm.opened_at_unix_ms),
                alarm.closed_at_unix_ms.map(int),
                alarm.kind.rule(),
                alarm.severity.word(),
                alarm.kind.machine(),
                alarm.text,
                alarm.remedy,
                alarm.acknowledged,
                serde_json::to_string(&alarm.kind).ok(),
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

/// An answer, or that there was none; whatever is written of it already stays.
const INSERT_ATTEMPT: &str =
    "INSERT INTO attempts (signage_point, harvester, total, passed, proofs, lookup_ms, round_trip_ms)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";

/// An answer after it was given up.
const ANSWER_ATTEMPT: &str =
    "UPDATE attempts SET total = ?3, passed = ?4, proofs = ?5, lookup_ms = ?6, round_trip_ms = ?7
     WHERE signage_point = ?1 AND harvester = ?2 AND passed IS NULL";

const HOUR_MS: u64 = 3_600_000;

/// Official harvesters warn of answers after this.
const LATE_AFTER_MS: u32 = 8_000;

/// Answers come within three sub-slots of their signage point.
const POINTS_REMEMBERED: usize = 256;
