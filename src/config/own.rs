//! Section `farmconsole` of the settings, which only we have.

use std::collections::BTreeMap;

use super::alarms::{AlarmSettings, alarms};
use super::document::Node;
use super::error::ConfigError;
use super::harvester_name::HarvesterName;
use super::host_port::HostPort;
use super::legacy_ca::LegacyCa;
use super::locate::parts;
use super::network::is_simulator;
use super::reader::Reader;
use crate::ids::PeerId;

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

/// Reads the section, in which an unknown key is an error.
pub(super) fn own(r: &mut Reader<'_>, network: &str) -> OwnSettings {
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
