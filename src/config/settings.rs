//! All settings, checked, in our words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::alarms::{AlarmSettings, alarms};
use super::document::{Document, Node};
use super::error::{ConfigError, ConfigWarning, ConfigWarningKind};
use super::harvester_name::HarvesterName;
use super::host_port::HostPort;
use super::legacy_ca::LegacyCa;
use super::locate::{Part, parts};
use super::reader::Reader;
use super::root::{DEFAULT_LOG_FILENAME, Root, RootKind};
use super::slips::warn_of_slips;
use crate::ids::PeerId;
use crate::logging::LogLevel;
use crate::pos::constants::{ConstantError, Constants};
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

/// Section `farmconsole`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnSettings {
    /// `simulated_chain`: farm on a chain made up in this process instead of a full node's.
    pub simulated_chain: Option<SimulatedChainSettings>,
    /// `classic_harvester_log`: the line about a signage point is the one that official harvesters wrote before 2.5.7.
    pub classic_harvester_log: bool,
    /// `full_node_pins`: SHA-256 of the certificates of full nodes. Others are remembered as they are first seen.
    pub full_node_pins: BTreeMap<HostPort, PeerId>,
    /// `legacy_ca`: what certificates of Chia's private CA are worth; where it is not set, `open` if the root has one.
    pub legacy_ca: Option<LegacyCa>,
    /// `harvester_fees`: harvesters that may take a fee out of the farmer rewards they find, by name or by certificate (64
    /// hex digits), with the largest rate in percent, 0 to 100.
    pub harvester_fees: BTreeMap<String, f64>,
    /// `theme`: name of the console's colours, or a file of them.
    pub theme: Option<String>,
    /// `history`: what is kept of the past.
    pub history: HistorySettings,
    /// `alarms`: who is told of alarms.
    pub alarms: AlarmSettings,
}

/// `farmconsole.history`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistorySettings {
    /// `enabled`: whether a history is written at all.
    pub enabled: bool,
    /// `keep_days`: days that single answers are kept, 1–3650; sums are kept longer.
    pub keep_days: u32,
    /// `max_megabytes`: size of the file at which the oldest answers go, 16–1,000,000.
    pub max_megabytes: u32,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_days: 30,
            max_megabytes: 512,
        }
    }
}

/// `farmconsole.simulated_chain`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedChainSettings {
    /// Seconds between two signage points, 0.01–3600.
    pub interval_seconds: f64,
    /// Where its chance begins: the same seed gives the same signage points.
    pub seed: u64,
}

impl Default for SimulatedChainSettings {
    fn default() -> Self {
        Self {
            interval_seconds: 2.0,
            seed: 1,
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

fn network(r: &mut Reader<'_>) -> String {
    let network = r.text("selected_network").unwrap_or_else(|| "mainnet".to_owned());
    // Only what runs here: `chia configure --testnet` itself forgets the solver's.
    for section in ["farmer", "harvester", "pool"] {
        let path = format!("{section}.selected_network");
        if let Some(got) = r.text(&path).filter(|got| *got != network) {
            let document = r.document();
            r.errors.push(ConfigError::NetworksDiffer {
                file: document.file().to_path_buf(),
                at: document.position(&parts(&path)),
                section,
                got,
                expected: network.clone(),
                expected_at: document.position(&parts("selected_network")),
            });
        }
    }
    network
}

fn constants(r: &mut Reader<'_>, network: &str) -> Constants {
    let here = |section: &str| -> Vec<Part> {
        let mut path = parts(&format!("{section}network_overrides.constants"));
        path.push(Part::Key(network.to_owned()));
        path
    };
    let document = r.document();
    let table = |section: &str| document.root().at(&here(section)).filter(|node| **node != Node::Null);
    // The official farmer reads its own section's copy; in an untouched file all are one by alias.
    let section = if table("farmer.").is_some() { "farmer." } else { "" };
    let farmers = table(section);
    if let Some(copy) = table("harvester.")
        && Some(copy) != farmers
    {
        r.warn(
            "harvester.network_overrides",
            ConfigWarningKind::ConstantsDiffer {
                section: "harvester".to_owned(),
            },
        );
    }
    let mut values = Vec::new();
    match farmers {
        Some(Node::Map(map)) => {
            for (name, value) in map {
                match value.scalar_text() {
                    Some(text) => values.push((name.as_str(), text)),
                    None => r.wrong(
                        &format!("{section}network_overrides.constants.{network}.{name}"),
                        "a number or a text",
                        &value.describe(),
                    ),
                }
            }
        }
        Some(other) => {
            let path = format!("{section}network_overrides.constants.{network}");
            r.wrong(&path, "a mapping of constants", &other.describe());
        }
        None => {}
    }
    let built_in = Constants::for_network(network);
    if farmers.is_none() {
        if let Some(constants) = built_in {
            return constants;
        }
        let mut known: Vec<String> = BUILT_IN_NETWORKS.iter().map(|name| (*name).to_owned()).collect();
        if let Some(Node::Map(described)) = document.root().at(&parts("network_overrides.constants")) {
            known.extend(
                described
                    .keys()
                    .filter(|name| !BUILT_IN_NETWORKS.contains(&name.as_str()))
                    .cloned(),
            );
        }
        r.errors.push(ConfigError::UnknownNetwork {
            file: document.file().to_path_buf(),
            at: document.position(&parts("selected_network")),
            network: network.to_owned(),
            known,
        });
        return Constants::default();
    }
    let overrides = values.iter().map(|(name, text)| (*name, text.as_str()));
    let place = |name: &str| {
        let mut path = here(section);
        path.push(Part::Key(name.to_owned()));
        path
    };
    match Constants::from_overrides(network, overrides) {
        Ok((constants, unknown)) => {
            for constant in unknown {
                r.warnings.push(ConfigWarning {
                    file: document.file().to_path_buf(),
                    at: document.key_position(&place(&constant.name)),
                    kind: ConfigWarningKind::UnknownConstant { name: constant.name },
                });
            }
            constants
        }
        Err(source) => {
            r.errors.push(ConfigError::BadConstant {
                file: document.file().to_path_buf(),
                // Old names of constants are not where the error says.
                at: document
                    .position(&place(constant_name(&source)))
                    .or_else(|| document.key_position(&here(section))),
                source: Box::new(source),
            });
            Constants::default()
        }
    }
}

fn constant_name(error: &ConstantError) -> &str {
    match error {
        ConstantError::NotANumber { name, .. }
        | ConstantError::OutOfRange { name, .. }
        | ConstantError::NotAMultiple { name, .. }
        | ConstantError::NotATruthValue { name, .. }
        | ConstantError::NotAHash { name, .. } => name,
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
        plot_directories: r
            .texts("harvester.plot_directories")
            .into_iter()
            .map(PathBuf::from)
            .collect(),
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

fn own(r: &mut Reader<'_>, network: &str) -> OwnSettings {
    r.only(
        "farmconsole",
        &[
            "alarms",
            "classic_harvester_log",
            "full_node_pins",
            "legacy_ca",
            "harvester_fees",
            "history",
            "simulated_chain",
            "theme",
        ],
    );
    OwnSettings {
        simulated_chain: simulated_chain(r, network),
        classic_harvester_log: r.truth("farmconsole.classic_harvester_log", false),
        full_node_pins: full_node_pins(r),
        legacy_ca: legacy_ca(r),
        harvester_fees: harvester_fees(r),
        theme: r.text("farmconsole.theme"),
        history: history(r),
        alarms: alarms(r),
    }
}

fn history(r: &mut Reader<'_>) -> HistorySettings {
    let path = "farmconsole.history";
    r.only(path, &["enabled", "keep_days", "max_megabytes"]);
    let default = HistorySettings::default();
    HistorySettings {
        enabled: r.truth(&format!("{path}.enabled"), default.enabled),
        keep_days: r.number(&format!("{path}.keep_days"), default.keep_days, 1..=3650),
        max_megabytes: r.number(&format!("{path}.max_megabytes"), default.max_megabytes, 16..=1_000_000),
    }
}

fn legacy_ca(r: &mut Reader<'_>) -> Option<LegacyCa> {
    let path = "farmconsole.legacy_ca";
    match r.text(path)?.as_str() {
        "open" => Some(LegacyCa::Open),
        "approve" => Some(LegacyCa::Approve),
        // What YAML 1.1 makes of `off`.
        "off" | "false" => Some(LegacyCa::Off),
        other => {
            r.wrong(path, "open, approve or off", &format!("{other:?}"));
            None
        }
    }
}

fn full_node_pins(r: &mut Reader<'_>) -> BTreeMap<HostPort, PeerId> {
    let path = "farmconsole.full_node_pins";
    let mut pins = BTreeMap::new();
    match r.node(path) {
        None | Some(Node::Null) => {}
        Some(Node::Map(map)) => {
            for (node, fingerprint) in map {
                let text = fingerprint.scalar_text().unwrap_or_default();
                match (node.parse(), text.parse()) {
                    (Ok(node), Ok(fingerprint)) => {
                        pins.insert(node, fingerprint);
                    }
                    _ => r.wrong(path, PINS_SHAPE, &format!("{node:?}: {text:?}")),
                }
            }
        }
        Some(other) => r.wrong(path, PINS_SHAPE, &other.describe()),
    }
    pins
}

fn harvester_fees(r: &mut Reader<'_>) -> BTreeMap<String, f64> {
    let path = "farmconsole.harvester_fees";
    let mut fees = BTreeMap::new();
    match r.node(path) {
        None | Some(Node::Null) => {}
        Some(Node::Map(map)) => {
            for (harvester, percent) in map {
                let text = percent.scalar_text().unwrap_or_default();
                let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
                let certificate = harvester.parse().map(|it: PeerId| it.to_string());
                let name = harvester.parse().map(|it: HarvesterName| it.to_string());
                match (certificate.or(name), percent) {
                    (Ok(harvester), Some(percent)) => {
                        fees.insert(harvester, percent);
                    }
                    _ => r.wrong(path, FEES_SHAPE, &format!("{harvester:?}: {text:?}")),
                }
            }
        }
        Some(other) => r.wrong(path, FEES_SHAPE, &other.describe()),
    }
    fees
}

/// What `farmconsole.harvester_fees` should be.
const FEES_SHAPE: &str = "a mapping of harvesters (names, or SHA-256 of certificates) to percentages from 0 to 100";

/// What `farmconsole.full_node_pins` should be.
const PINS_SHAPE: &str = "a mapping of \"HOST:PORT\" to a SHA-256 fingerprint of 64 hex digits";

fn simulated_chain(r: &mut Reader<'_>, network: &str) -> Option<SimulatedChainSettings> {
    let path = "farmconsole.simulated_chain";
    r.only(path, &["interval_seconds", "seed"]);
    r.node(path)?;
    if !is_simulator(network) {
        let document = r.document();
        r.errors.push(ConfigError::SimulatedChainElsewhere {
            file: document.file().to_path_buf(),
            at: document.key_position(&parts(path)),
            network: network.to_owned(),
        });
    }
    let default = SimulatedChainSettings::default();
    let interval = format!("{path}.interval_seconds");
    Some(SimulatedChainSettings {
        interval_seconds: r.decimal(&interval, default.interval_seconds, 0.01..=3600.0),
        seed: r.number(&format!("{path}.seed"), default.seed, 0..=u64::MAX),
    })
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

/// Whether the simulated chain may be used on a network of this name.
#[must_use]
pub fn is_simulator(network: &str) -> bool {
    network.starts_with("simulator")
}

/// Networks that need no description in the settings.
pub const BUILT_IN_NETWORKS: [&str; 5] = ["mainnet", "testnet0", "testnet11", "testneta", "simulator1"];
