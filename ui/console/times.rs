//! Unix milliseconds as the person's clock shows them. The time zone is part of the model, so a drawing is the same
//! everywhere.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The zone times are shown in.
#[derive(Clone, Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The machine's.
    pub(super) fn system() -> Self {
        Self(TimeZone::system())
    }

    /// The same everywhere: for tests and pictures.
    #[cfg(test)]
    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// `14:02:27`.
    pub(super) fn time(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M:%S", "--:--:--")
    }

    /// `14:02`.
    pub(super) fn minute(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M", "--:--")
    }

    /// `14:02:27.412`.
    pub(super) fn time_ms(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M:%S%.3f", "--:--:--.---")
    }

    /// `2026-11-20 14:02:27`.
    pub(super) fn date_time(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y-%m-%d %H:%M:%S", "unknown")
    }

    fn format(&self, unix_ms: u64, format: &str, otherwise: &str) -> String {
        i64::try_from(unix_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map_or_else(
                || otherwise.to_owned(),
                |at| at.to_zoned(self.0.clone()).strftime(format).to_string(),
            )
    }
}
