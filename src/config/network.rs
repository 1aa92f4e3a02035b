//! The network of the settings and its consensus constants.

use super::document::Node;
use super::error::{ConfigError, ConfigWarning, ConfigWarningKind};
use super::locate::{Part, parts};
use super::reader::Reader;
use crate::pos::constants::{ConstantError, Constants};

/// Whether the simulated chain may be used on a network of this name.
#[must_use]
pub fn is_simulator(network: &str) -> bool {
    network.starts_with("simulator")
}

/// Networks that need no description in the settings.
pub const BUILT_IN_NETWORKS: [&str; 5] = ["mainnet", "testnet0", "testnet11", "testneta", "simulator1"];

/// `selected_network`, which every section that runs here must name alike.
pub(super) fn network(r: &mut Reader<'_>) -> String {
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

/// The constants of a network: the built-in ones, or those of `network_overrides.constants`.
pub(super) fn constants(r: &mut Reader<'_>, network: &str) -> Constants {
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
