//! The log: what happened, in the line format of the official software, so that the tools people have keep working.
//!
//! Events of `tracing` go to two places: a file (`log/debug.log`, rotated by size) through a thread of its own, and a
//! bounded [`LogRing`] that the console reads. Neither ever makes farming wait: when the file is slow or its disk full,
//! lines are dropped and counted. Nothing is written to the terminal.
//!
//! A tracing `target` is the logger name of official lines (`farmer_server`, `chia.farmer.farmer`); the constants of
//! [`target`] spell them. What comes from outside is escaped here, once, so that no peer and no file name can forge a
//! line or colour a terminal.

mod escape;
mod layer;
mod line;
mod ring;
mod rotate;

pub use escape::{escape, is_invisible, strip_invisible};
pub use line::{LogLevel, Service, UnknownLogLevel};
pub use ring::{LogPage, LogRecord, LogRing};

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt as _;

use layer::{LevelCell, OfficialLayer};
use rotate::RotatingFile;

/// Logger names of the official software, for `target:` in tracing macros.
pub mod target {
    /// Connections and messages of the farmer.
    pub const FARMER_SERVER: &str = "farmer_server";
    /// Proofs, signatures, signage points of the farmer.
    pub const FARMER: &str = "chia.farmer.farmer";
    /// Connections and messages of a harvester.
    pub const HARVESTER_SERVER: &str = "harvester_server";
    /// Look-ups of a harvester.
    pub const HARVESTER: &str = "chia.harvester.harvester";
    /// Plot files of a harvester: found, opened, gone.
    pub const PLOT_MANAGER: &str = "chia.plotting.manager";
    /// Plot sync, farmer side.
    pub const PLOT_SYNC_RECEIVER: &str = "chia.plot_sync.receiver";
}

/// What to log, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Log file; its directory is made if need be.
    pub file: PathBuf,
    /// Least important level that is written (`logging.log_level`).
    pub level: LogLevel,
    /// Size in bytes at which a new file begins (`logging.log_maxbytesrotation`); 0 never rotates.
    pub max_bytes: u64,
    /// Old files kept, `debug.log.1` the newest (`logging.log_maxfilesrotation`).
    pub max_files: u32,
    /// Service named by lines whose logger does not name one.
    pub service: Service,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file cannot be opened.
    #[error("open the log file {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Operating system's words.
        source: std::io::Error,
    },
    /// Another subscriber is installed.
    #[error("install the log: another one is installed in this process")]
    Installed,
}

/// Opens the log file and makes this the log of the process, until the guard is dropped.
///
/// # Errors
/// The file cannot be opened, or the process has a log already.
pub fn start(options: &LogOptions) -> Result<LogGuard, LogError> {
    let (subscriber, guard) = build(options)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)?;
    Ok(guard)
}

/// Opens the log file and makes a subscriber that the caller installs, for one thread or for the process.
///
/// # Errors
/// The file cannot be opened.
pub fn build(options: &LogOptions) -> Result<(impl tracing::Subscriber + Send + Sync, LogGuard), LogError> {
    let lost = Arc::new(AtomicU64::new(0));
    let file = RotatingFile::open(&options.file, options.max_bytes, options.max_files, Arc::clone(&lost)).map_err(
        |source| LogError::Open {
            path: options.file.clone(),
            source,
        },
    )?;
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_BUFFERED)
        .lossy(true)
        .thread_name("log")
        .finish(file);
    let handle = LogHandle {
        level: Arc::new(LevelCell::new(options.level)),
        ring: LogRing::new(RECORDS_KEPT),
        queue_full: writer.error_counter(),
        lost,
    };
    let layer = OfficialLayer::new(writer, handle.ring.clone(), Arc::clone(&handle.level), options.service);
    let subscriber = tracing_subscriber::registry().with(layer);
    Ok((
        subscriber,
        LogGuard {
            handle,
            _worker: worker,
        },
    ))
}

/// Keeps the log alive. Dropping it writes what is queued, for at most about a second.
#[derive(Debug)]
pub struct LogGuard {
    handle: LogHandle,
    _worker: WorkerGuard,
}

impl LogGuard {
    /// A handle to watch and to adjust the log with.
    #[must_use]
    pub fn handle(&self) -> LogHandle {
        self.handle.clone()
    }
}

/// Watches and adjusts a running log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogHandle {
    level: Arc<LevelCell>,
    ring: LogRing,
    queue_full: ErrorCounter,
    lost: Arc<AtomicU64>,
}

impl LogHandle {
    /// The level now.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        self.level.get()
    }

    /// Changes the level; the next event obeys it.
    pub fn set_level(&self, level: LogLevel) {
        self.level.set(level);
    }

    /// Lines that never reached the file since start: the queue was full, or the disk would not take them.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        let queue = u64::try_from(self.queue_full.dropped_lines()).unwrap_or(u64::MAX);
        queue.saturating_add(self.lost.load(Ordering::Relaxed))
    }

    /// The newest records, for the console.
    #[must_use]
    pub const fn ring(&self) -> &LogRing {
        &self.ring
    }
}

/// Lines that wait for the disk: those of a signage point of a thousand harvesters. With [`line::MAX_MESSAGE`] this bounds
/// the memory of a log on a dead disk to 16 MiB; room for the lines is taken when the log is opened.
const LINES_BUFFERED: usize = 4_096;

/// Records the console can scroll back.
const RECORDS_KEPT: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dir: &tempfile::TempDir, level: LogLevel) -> LogOptions {
        LogOptions {
            file: dir.path().join("log/debug.log"),
            level,
            max_bytes: 1 << 20,
            max_files: 2,
            service: Service::Farmer,
        }
    }

    #[test]
    fn events_reach_file_and_ring_in_the_official_format() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir, LogLevel::Debug);
        let file = options.file.clone();
        let (subscriber, guard) = build(&options).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: target::FARMER_SERVER, "-> new_signage_point_harvester to peer {} {}", "10.0.0.7", "ab");
            tracing::info!(target: target::HARVESTER, plots = 3, "looked up");
        });
        let records = guard.handle().ring().page(0, 10).records;
        drop(guard);

        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let after_time = |line: &str| line.split_once(' ').unwrap().1.to_owned();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            after_time(lines[0]),
            format!(
                "{version} farmer farmer_server              : DEBUG    -> new_signage_point_harvester to peer 10.0.0.7 ab"
            )
        );
        assert_eq!(
            after_time(lines[1]),
            format!("{version} harvester chia.harvester.harvester: INFO     looked up plots=3")
        );
        assert_eq!(records.len(), 2);
        assert_eq!(
            (records[1].logger.as_str(), records[1].level),
            (target::HARVESTER, LogLevel::Info)
        );
    }

    #[test]
    fn level_is_obeyed_and_changes_while_running() {
        let dir = tempfile::tempdir().unwrap();
        let (subscriber, guard) = build(&options(&dir, LogLevel::Warning)).unwrap();
        let handle = guard.handle();
        let say = || {
            tracing::info!("quiet");
            tracing::warn!("loud");
        };
        tracing::subscriber::with_default(subscriber, || {
            say();
            handle.set_level(LogLevel::Info);
            say();
            handle.set_level(LogLevel::Error);
            say();
        });
        let said: Vec<String> = handle
            .ring()
            .page(0, 10)
            .records
            .into_iter()
            .map(|r| r.message)
            .collect();
        assert_eq!(said, ["loud", "quiet", "loud"]);
        assert_eq!(handle.level(), LogLevel::Error);
    }

    #[test]
    fn nobody_forges_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(&dir, LogLevel::Debug);
        let file = options.file.clone();
        let (subscriber, guard) = build(&options).unwrap();
        let evil = "x\n2026-01-01T00:00:00.000 0.1.0 farmer farmer_server: INFO     fine\u{1b}[2J\u{202e}";
        tracing::subscriber::with_default(subscriber, || tracing::warn!(name = evil, "peer says {evil}"));
        drop(guard);
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(!text.trim_end().contains(is_invisible), "{text:?}");
    }

    #[test]
    fn missing_permission_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("log");
        std::fs::write(&blocked, b"a file where the directory should be").unwrap();
        let text = match build(&options(&dir, LogLevel::Info)) {
            Ok(_) => panic!("opened a log below a file"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains("log/debug.log"), "{text}");
    }
}
