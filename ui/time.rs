//! Unix milliseconds as the local clock shows them.

/// `14:02:27`, local time.
pub(crate) fn clock_time(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(|| "--:--:--".to_owned(), |t| t.strftime("%H:%M:%S").to_string())
}

/// `14:02:27.412`, local time.
pub(crate) fn clock_time_ms(unix_ms: u64) -> String {
    local(unix_ms).map_or_else(|| "--:--:--.---".to_owned(), |t| t.strftime("%H:%M:%S%.3f").to_string())
}

fn local(unix_ms: u64) -> Option<jiff::Zoned> {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::system()))
}
