//! All settings, checked, in our words.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::{ConfigError, ConfigWarning, ConfigWarningKind};
use super::host_port::HostPort;
use super::network::{constants, network};
use super::own::{OwnSettings, own};
use super::reader::Reader;
use super::root::{DEFAULT_LOG_FILENAME, Root, RootKind};
use super::slips::warn_of_slips;
use crate::logging::LogLevel;
use crate::pos::constants::Constants;
use crate::wire::G1Bytes;

/// Everything the settings file says that farmconsole follows. Keys have Chia's names and meanings; a missing one has
/// the value of the official default settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `selected_network`: the network id of the handshake.
    pub network: String,
    /// Consensus constants of that network, `network_overrides.constants` included.
    pub constants: Constants,
    /// `network_overrides.config.<network>.address_prefix`: `xch` or `txch`.
    pub address_prefix: String,
    /// Section `farmer`.
    pub farmer: FarmerSettings,
    /// Section `harvester`.
    pub harvester: HarvesterSettings,
    /// `pool.xch_target_address`: where the pool part of solo rewards goes.
    pub pool_xch_target_address: Option<String>,
    /// How the farmer logs: section `logging`, with what `farmer.logging` says otherwise.
    pub logging: LoggingSettings,
    /// Section `farmconsole`, which only we have.
    pub own: OwnSettings,
    /// What works, but perhaps not as meant. For the log and the console.
    pub warnings: Vec<ConfigWarning>,
}

/// Section `farmer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarmerSettings {
    /// `port`: where harvesters connect.
    pub port: u16,
    /// `full_node_peers` and `full_node_peer`: all of them are dialled.
    pub full_node_peers: Vec<HostPort>,
    /// `full_node.rpc_port`: where a full node answers questions about the chain.
    pub full_node_rpc_port: u16,
    /// `solver_peers` and `solver_peer`.
    pub solver_peers: Vec<HostPort>,
    /// `xch_target_address`: where farmer rewards go. Not checked here.
    pub xch_target_address: Option<String>,
    /// `pool_public_keys`: pool keys of original plots, besides those of our own farming keys.
    pub pool_public_keys: Vec<G1Bytes>,
}

/// Section `harvester`.
#[derive(Clone, Debug, PartialEq)]
pub struct HarvesterSettings {
    /// `farmer_peers` and `farmer_peer`.
    pub farmer_peers: Vec<HostPort>,
    /// `plot_directories`, as they are written.
    pub plot_directories: Vec<PathBuf>,
    /// `recursive_plot_scan`: look into folders inside the plot directories.
    pub recursive_plot_scan: bool,
    /// `recursive_follow_links`: then also into linked folders.
    pub recursive_follow_links: bool,
    /// `plots_refresh_parameter`.
    pub refresh: PlotsRefreshParameter,
    /// `num_threads`: look-ups at the same time on one disk, 1–1024.
    pub num_threads: u16,
    /// `parallel_decompressor_count`: 0, as it is by default, means that no compressed plots are farmed. How many are
    /// looked up at the same time is up to the number of processors.
    pub parallel_decompressor_count: u32,
    /// `max_compression_level_allowed`: plots compressed more are not farmed, 0–9.
    pub max_compression_level_allowed: u8,
    /// `parallel_read`: read the 64 branches of a proof at the same time.
    pub parallel_read: bool,
    /// How a harvester alone logs: section `logging`, with what `harvester.logging` says otherwise.
    pub logging: LoggingSettings,
}

impl HarvesterSettings {
    /// Highest compression level of plots that are farmed; 0 for none.
    #[must_use]
    pub const fn max_compression_level(&self) -> u8 {
        match self.parallel_decompressor_count {
            0 => 0,
            _ => self.max_compression_level_allowed,
        }
    }
}

/// `harvester.plots_refresh_parameter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlotsRefreshParameter {
    /// Seconds between two scans of the plot directories, at least 1.
    pub interval_seconds: u32,
    /// Seconds before a plot that could not be opened is tried again.
    pub retry_invalid_seconds: u32,
    /// Plot files opened before a pause, at least 1.
    pub batch_size: u32,
    /// That pause in milliseconds.
    pub batch_sleep_milliseconds: u32,
}

/// Section `logging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingSettings {
    /// `log_level`.
    pub log_level: LogLevel,
    /// `log_filename`, relative to the root.
    pub log_filename: PathBuf,
    /// `log_maxfilesrotation`: old files kept.
    pub log_maxfilesrotation: u32,
    /// `log_maxbytesrotation`: size of a full file in bytes; 0 never rotates.
    pub log_maxbytesrotation: u64,
    /// `log_stdout`: lines go to standard output and to no file.
    pub log_stdout: bool,
}

impl LoggingSettings {
    /// The log file in `root`. In an adopted root it has the same name below `farmconsole/log`, so that two programs
    /// never rotate one file.
    #[must_use]
    pub fn log_file(&self, root: &Root) -> PathBuf {
        match root.kind() {
            RootKind::Own => root.dir().join(&self.log_filename),
            RootKind::Adopted => root
                .log_file()
                .with_file_name(self.log_filename.file_name().unwrap_or_default()),
        }
    }
}

impl Settings {
    /// Reads and checks the settings of a root.
    ///
    /// # Errors
    /// The first mistake in the file, with its place.
    pub fn load(root: &Root) -> Result<Self, ConfigError> {
        Self::load_file(&root.config_file())
    }

    /// Reads and checks a settings file wherever it lies.
    ///
    /// # Errors
    /// The first mistake in the file, with its place.
    pub fn load_file(file: &Path) -> Result<Self, ConfigError> {
        let (settings, mut errors) = Self::from_document(&Document::load(file)?);
        if errors.is_empty() {
            return Ok(settings);
        }
        Err(errors.swap_remove(0))
    }

    /// Reads and checks settings that are followed while something runs by those that had the warnings `before`. A key
    /// that looks misspelt is a mistake then, unless it was there before: what it was meant for would silently become
    /// its default.
    ///
    /// # Errors
    /// The first mistake in the file, with its place.
    pub fn load_again(file: &Path, before: &[ConfigWarning]) -> Result<Self, ConfigError> {
        let settings = Self::load_file(file)?;
        let is_new = |slip: &ConfigWarning| !before.iter().any(|known| known.kind == slip.kind);
        let mut slips = settings.warnings.iter().filter(|it| it.is_slip());
        match slips.find(|slip| is_new(slip)) {
            Some(slip) => Err(ConfigError::Slip(slip.clone())),
            None => Ok(settings),
        }
    }

    /// The settings of a document and all its mistakes; with mistakes the settings are only a stand-in.
    pub(super) fn from_document(document: &Document) -> (Self, Vec<ConfigError>) {
        let mut reader = Reader::new(document);
        let r = &mut reader;
        let network = network(r);
        let constants = constants(r, &network);
        let mainnet = network == "mainnet";
        let overrides = format!("network_overrides.config.{network}");
        let default_prefix = if mainnet { "xch" } else { "txch" };
        let default_node_port = if mainnet { 8444 } else { 58444 };
        let node_port = r.number(
            &format!("{overrides}.default_full_node_port"),
            default_node_port,
            1..=u16::MAX,
        );
        let mut settings = Self {
            constants,
            address_prefix: r
                .text(&format!("{overrides}.address_prefix"))
                .unwrap_or_else(|| default_prefix.to_owned()),
            farmer: farmer(r, node_port),
            harvester: harvester(r),
            pool_xch_target_address: r.text("pool.xch_target_address"),
            logging: logging(r, "farmer"),
            own: own(r, &network),
            warnings: Vec::new(),
            network,
        };
        not_followed(r);
        warn_of_slips(r);
        settings.warnings = reader.warnings;
        (settings, reader.errors)
    }
}

fn farmer(r: &mut Reader<'_>, node_port: u16) -> FarmerSettings {
    let path = "farmer.pool_public_keys";
    let mut pool_public_keys = Vec::new();
    for key in r.texts(path) {
        match key.parse() {
            Ok(parsed) => pool_public_keys.push(parsed),
            Err(_) => r.wrong(path, "public keys of 96 hex digits", &format!("{key:?} among them")),
        }
    }
    FarmerSettings {
        port: r.number("farmer.port", 8447, 0..=u16::MAX),
        full_node_peers: r.peers("farmer", "full_node", HostPort::new("localhost", node_port)),
        full_node_rpc_port: r.number("full_node.rpc_port", 8555, 1..=u16::MAX),
        solver_peers: r.peers("farmer", "solver", HostPort::new("localhost", 8666)),
        xch_target_address: r.text("farmer.xch_target_address"),
        pool_public_keys,
    }
}

fn harvester(r: &mut Reader<'_>) -> HarvesterSettings {
    let refresh = "harvester.plots_refresh_parameter";
    // What the interval was called before there were several parameters.
    let interval = r.number("harvester.plot_loading_frequency_seconds", 120, 1..=u32::MAX);
    HarvesterSettings {
        farmer_peers: r.peers("harvester", "farmer", HostPort::new("localhost", 8447)),
        plot_directories: plot_directories(r),
        recursive_plot_scan: r.truth("harvester.recursive_plot_scan", false),
        recursive_follow_links: r.truth("harvester.recursive_follow_links", false),
        refresh: PlotsRefreshParameter {
            interval_seconds: r.number(&format!("{refresh}.interval_seconds"), interval, 1..=u32::MAX),
            retry_invalid_seconds: r.number(&format!("{refresh}.retry_invalid_seconds"), 1200, 0..=u32::MAX),
            batch_size: r.number(&format!("{refresh}.batch_size"), 300, 1..=u32::MAX),
            batch_sleep_milliseconds: r.number(&format!("{refresh}.batch_sleep_milliseconds"), 1, 0..=u32::MAX),
        },
        num_threads: r.number("harvester.num_threads", 30, 1..=1024),
        parallel_decompressor_count: r.number("harvester.parallel_decompressor_count", 0, 0..=u32::MAX),
        max_compression_level_allowed: r.number("harvester.max_compression_level_allowed", 7, 0..=9),
        parallel_read: r.truth("harvester.parallel_read", true),
        logging: logging(r, "harvester"),
    }
}

fn plot_directories(r: &mut Reader<'_>) -> Vec<PathBuf> {
    let path = "harvester.plot_directories";
    let directories: Vec<_> = r.texts(path).into_iter().map(PathBuf::from).collect();
    for directory in directories.iter().filter(|it| !it.is_absolute()) {
        let directory = directory.display().to_string();
        r.warn(path, ConfigWarningKind::PlotDirectoryRelative { directory });
    }
    directories
}

/// The top section, key by key overridden by the service's own.
fn logging(r: &mut Reader<'_>, service: &str) -> LoggingSettings {
    let own = format!("{service}.logging");
    let path = |key: &str, r: &Reader<'_>| {
        let own = format!("{own}.{key}");
        if r.node(&own).is_some() {
            own
        } else {
            format!("logging.{key}")
        }
    };
    let levels = "CRITICAL, ERROR, WARNING, INFO, DEBUG or NOTSET";
    let level = path("log_level", r);
    let filename = path("log_filename", r);
    let files = path("log_maxfilesrotation", r);
    let bytes = path("log_maxbytesrotation", r);
    let stdout = path("log_stdout", r);
    let log_filename = r.text(&filename).unwrap_or_else(|| DEFAULT_LOG_FILENAME.to_owned());
    if Path::new(&log_filename).file_name().is_none() {
        r.wrong(&filename, "the path of a file", &format!("{log_filename:?}"));
    }
    LoggingSettings {
        log_level: r.parsed(&level, levels, LogLevel::Warning),
        log_filename: PathBuf::from(log_filename),
        log_maxfilesrotation: r.number(&files, 7, 0..=10_000),
        log_maxbytesrotation: r.number(&bytes, 52_428_800, 0..=u64::MAX),
        log_stdout: r.truth(&stdout, false),
    }
}

/// Settings that change what official software does, and that nothing here looks at.
fn not_followed(r: &mut Reader<'_>) {
    for key in ["log_syslog", "log_systemd", "log_use_gzip", "log_backcompat"] {
        let path = format!("logging.{key}");
        if r.truth(&path, false) {
            let instead = "lines go to the log file, as they are".to_owned();
            r.warn(
                &path,
                ConfigWarningKind::NotFollowed {
                    key: path.clone(),
                    instead,
                },
            );
        }
    }
    let certificates = [
        ("private_ssl_ca.crt", "config/ssl/ca/private_ca.crt"),
        ("farmer.ssl.private_crt", "config/ssl/farmer/private_farmer.crt"),
        ("farmer.ssl.private_key", "config/ssl/farmer/private_farmer.key"),
        ("farmer.ssl.public_crt", "config/ssl/farmer/public_farmer.crt"),
        ("farmer.ssl.public_key", "config/ssl/farmer/public_farmer.key"),
        (
            "harvester.ssl.private_crt",
            "config/ssl/harvester/private_harvester.crt",
        ),
        (
            "harvester.ssl.private_key",
            "config/ssl/harvester/private_harvester.key",
        ),
    ];
    for (path, usual) in certificates {
        if r.text(path).is_some_and(|got| got != usual) {
            let instead = format!("{usual} is read");
            r.warn(
                path,
                ConfigWarningKind::NotFollowed {
                    key: path.to_owned(),
                    instead,
                },
            );
        }
    }
}
