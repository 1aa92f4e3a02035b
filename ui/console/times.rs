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

    /// `14:02` on the day of `now`, `11-18 14:02` on another.
    pub(super) fn minute(&self, unix_ms: u64, now_unix_ms: u64) -> String {
        let format = if self.is_same_day(unix_ms, now_unix_ms) {
            "%H:%M"
        } else {
            "%m-%d %H:%M"
        };
        self.format(unix_ms, format, "--:--")
    }

    /// `14:02:27` on the day of `now`, `11-18 14:02` on another.
    pub(super) fn when(&self, unix_ms: u64, now_unix_ms: u64) -> String {
        let format = if self.is_same_day(unix_ms, now_unix_ms) {
            "%H:%M:%S"
        } else {
            "%m-%d %H:%M"
        };
        self.format(unix_ms, format, "--:--:--")
    }

    /// `14:02:27.412`.
    pub(super) fn time_ms(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%H:%M:%S%.3f", "--:--:--.---")
    }

    /// `2026-11-20 14:02:27`.
    pub(super) fn date_time(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y-%m-%d %H:%M:%S", "unknown")
    }

    /// `2026-11-20`.
    pub(super) fn date(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y-%m-%d", "unknown")
    }

    /// `20261120-140227`, for names of files.
    pub(super) fn file_stamp(&self, unix_ms: u64) -> String {
        self.format(unix_ms, "%Y%m%d-%H%M%S", "unknown")
    }

    fn is_same_day(&self, a: u64, b: u64) -> bool {
        let day = |ms| self.format(ms, "%Y-%m-%d", "");
        day(a) == day(b)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_day_is_named() {
        let (zone, noon, day) = (Zone::utc(), 1_795_176_000_000, 86_400_000);
        assert_eq!(zone.when(noon - 1_000, noon), "11:59:59");
        assert_eq!(zone.when(noon - day, noon), "11-19 12:00");
        assert_eq!(zone.minute(noon, noon + 1), "12:00");
        assert_eq!(zone.time_ms(u64::MAX), "--:--:--.---");
    }
}
