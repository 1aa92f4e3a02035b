//! Numbers and quarters as they lie in the tables, for those who write them and those who read them.

use crate::snapshot::QuarterCounts;

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

/// Columns that [`quarter`] reads.
pub(super) const QUARTER_COLUMNS: &str = "start_ms, signage_points, missed, answers, passed, expected_passed, variance, proofs, expected_proofs, blocks_signed";
