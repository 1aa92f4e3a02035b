//! One line of the log, in the official format.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// How important a record is, in the words of `logging.log_level`. Ordered: `Debug < Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[repr(u8)]
pub enum LogLevel {
    /// Every message that passes.
    Debug,
    /// Connections, proofs, blocks.
    Info,
    /// What a person should look at.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// The official word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl From<&tracing::Level> for LogLevel {
    fn from(level: &tracing::Level) -> Self {
        match *level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warning,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

impl FromStr for LogLevel {
    type Err = UnknownLogLevel;
    /// Reads the official words in any case. `CRITICAL` is read as `ERROR`, the most important level here; `WARN` and
    /// `NOTSET`, which Python takes too, as what they mean.
    fn from_str(text: &str) -> Result<Self, UnknownLogLevel> {
        match text.to_ascii_uppercase().as_str() {
            "DEBUG" | "NOTSET" => Ok(Self::Debug),
            "INFO" => Ok(Self::Info),
            "WARNING" | "WARN" => Ok(Self::Warning),
            "ERROR" | "CRITICAL" | "FATAL" => Ok(Self::Error),
            _ => Err(UnknownLogLevel { got: text.to_owned() }),
        }
    }
}

/// A word that is no log level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown log level {got:?}: expected CRITICAL, ERROR, WARNING, INFO or DEBUG")]
pub struct UnknownLogLevel {
    /// The word.
    pub got: String,
}

/// The service column of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The farmer.
    Farmer,
    /// A harvester, embedded or alone.
    Harvester,
}

impl Service {
    /// The service a logger belongs to: official harvester loggers say so in their name, everything else is `default`.
    #[must_use]
    pub fn of_logger(logger: &str, default: Self) -> Self {
        let mut parts = logger.split('.');
        let first = parts.next().unwrap_or_default();
        let names_harvester = match first {
            "chia" | "farmconsole" => parts.next() == Some("harvester"),
            _ => matches!(first, "harvester" | "harvester_server"),
        };
        if names_harvester { Self::Harvester } else { default }
    }

    /// Its name in a line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Farmer => "farmer",
            Self::Harvester => "harvester",
        }
    }
}

/// Writes one line, newline included:
/// `2026-11-20T17:14:21.685 0.1.0 farmer farmer_server              : DEBUG    message`.
///
/// Local time; service and logger together take 34 columns, the level 8. The message must be escaped already.
pub(super) fn format_line(
    at: Timestamp,
    zone: &TimeZone,
    service: Service,
    logger: &str,
    level: LogLevel,
    message: &str,
) -> String {
    let service = service.word();
    let width = LOGGER_COLUMNS.saturating_sub(service.len());
    let time = zone.to_datetime(at);
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03} {version} {service} {logger:<width$}: {level:<8} {message}\n",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond(),
    )
}

/// Cuts a message that is too long for a line, and says so.
pub(super) fn shorten(mut message: String) -> String {
    if message.len() > MAX_MESSAGE {
        let more = message.len() - MAX_MESSAGE;
        let end = (0..=MAX_MESSAGE).rev().find(|end| message.is_char_boundary(*end));
        message.truncate(end.unwrap_or(0));
        message.push_str(&format!("… ({more} bytes more)"));
    }
    message
}

/// Bytes of a message that are kept.
pub(super) const MAX_MESSAGE: usize = 4_096;

/// Columns of the official format for service and logger name together.
const LOGGER_COLUMNS: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_the_official_ones() {
        let at: Timestamp = "2026-11-20T17:14:21.968Z".parse().unwrap();
        let line = |service, logger: &str, level| format_line(at, &TimeZone::UTC, service, logger, level, "text");
        let version = env!("CARGO_PKG_VERSION");
        // Columns as in lines of the official 2.7.5.
        assert_eq!(
            line(Service::Farmer, "farmer_server", LogLevel::Debug),
            format!("2026-11-20T17:14:21.968 {version} farmer farmer_server              : DEBUG    text\n")
        );
        assert_eq!(
            line(Service::Harvester, "chia.harvester.harvester", LogLevel::Warning),
            format!("2026-11-20T17:14:21.968 {version} harvester chia.harvester.harvester: WARNING  text\n")
        );
    }

    #[test]
    fn time_is_local() {
        let at: Timestamp = "2026-11-20T23:30:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let line = format_line(at, &zone, Service::Farmer, "farmer", LogLevel::Info, "x");
        assert!(line.starts_with("2026-11-21T01:30:00.000 "), "{line}");
    }

    #[test]
    fn loggers_name_their_service() {
        let of = |logger| Service::of_logger(logger, Service::Farmer);
        assert_eq!(of("harvester_server"), Service::Harvester);
        assert_eq!(of("chia.harvester.harvester"), Service::Harvester);
        assert_eq!(of("farmconsole.harvester.scanner"), Service::Harvester);
        assert_eq!(of("farmer_server"), Service::Farmer);
        assert_eq!(of("chia.plot_sync.receiver"), Service::Farmer);
    }

    #[test]
    fn levels_are_read_in_the_official_words() {
        assert_eq!("warning".parse(), Ok(LogLevel::Warning));
        assert_eq!("CRITICAL".parse(), Ok(LogLevel::Error));
        assert!("LOUD".parse::<LogLevel>().unwrap_err().to_string().contains("LOUD"));
        assert!(LogLevel::Debug < LogLevel::Error);
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let cut = shorten("é".repeat(MAX_MESSAGE));
        assert!(cut.len() < MAX_MESSAGE + 40 && cut.ends_with("bytes more)"));
        assert_eq!(shorten("short".to_owned()), "short");
    }
}
