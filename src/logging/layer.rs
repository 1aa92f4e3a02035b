//! From a `tracing` event to a log line.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::non_blocking::NonBlocking;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::escape::escape;
use super::line::{LogLevel, Service, format_line, shorten};
use super::ring::LogRing;
use crate::clock::UnixMillis;

/// The level, changeable while running. An atomic and not `tracing_subscriber::reload`, whose lock every event would take.
#[derive(Debug)]
pub(super) struct LevelCell(AtomicU8);

impl LevelCell {
    pub(super) const fn new(level: LogLevel) -> Self {
        Self(AtomicU8::new(level as u8))
    }

    pub(super) fn get(&self) -> LogLevel {
        let byte = self.0.load(Ordering::Relaxed);
        [LogLevel::Debug, LogLevel::Info, LogLevel::Warning]
            .into_iter()
            .find(|level| *level as u8 == byte)
            .unwrap_or(LogLevel::Error)
    }

    pub(super) fn set(&self, level: LogLevel) {
        self.0.store(level as u8, Ordering::Relaxed);
        // Every call site caches whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Formats events as official lines, for the file and for the ring.
pub(super) struct OfficialLayer {
    writer: NonBlocking,
    ring: LogRing,
    level: Arc<LevelCell>,
    service: Service,
    zone: TimeZone,
}

impl OfficialLayer {
    pub(super) fn new(writer: NonBlocking, ring: LogRing, level: Arc<LevelCell>, service: Service) -> Self {
        Self {
            writer,
            ring,
            level,
            service,
            zone: TimeZone::system(),
        }
    }

    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = LogLevel::from(metadata.level());
        // What the HTTP client does inside is no news unless it fails.
        let is_chatter = metadata.target().starts_with("hyper") && level < LogLevel::Warning;
        metadata.is_event() && level >= self.level.get() && !is_chatter
    }
}

impl<S: Subscriber> Layer<S> for OfficialLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level.get() {
            LogLevel::Debug => LevelFilter::TRACE,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Error => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let message = shorten(escape(&(text.message + &text.fields)).into_owned());
        let logger = metadata.target().replace("::", ".");
        let service = Service::of_logger(&logger, self.service);
        let level = LogLevel::from(metadata.level());
        let at = Timestamp::now();

        let line = format_line(at, &self.zone, service, &logger, level, &message);
        // Writing to the queue cannot fail: when it is full, the line is counted as dropped.
        let _ = self.writer.clone().write_all(line.as_bytes());
        let unix = UnixMillis(u64::try_from(at.as_millisecond()).unwrap_or(0));
        self.ring.push(unix, level, service, &logger, message);
    }
}

/// The message of an event, and its other fields as ` key=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.record_debug(field, &value);
        }
    }
}
