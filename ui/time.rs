//! Unix milliseconds as the local clock shows them.

/// `14:02:27`, local time.
pub(crate) fn clock_time(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(|| "--:--:--".to_owned(), |t| t.strftime("%H:%M:%S").to_string())
}

/// `14:02:27.412`, local time.
pub(crate) fn clock_time_ms(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(|| "--:--:--.---".to_owned(), |t| t.strftime("%H:%M:%S%.3f").to_string())
}

/// `2026-11-21 14:02:27`, local time.
pub(crate) fn date_time(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(|| "–".to_owned(), |t| t.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// This moment.
pub(crate) fn unix_ms_now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn local(unix_ms: u64) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::system()))
}
