//! All that can be said about a settings file at once, for `farmconsole config check`.

use std::fmt;
use std::path::Path;

use super::document::Document;
use super::error::{ConfigError, ConfigWarning, ConfigWarningKind};
use super::locate::parts;
use super::peers;
use super::pools::PoolList;
use super::settings::Settings;

/// One thing to say about a settings file.
#[derive(Debug)]
pub enum Finding {
    /// The file cannot be used like this.
    Mistake(ConfigError),
    /// It can be used, but perhaps not as meant.
    Doubt(ConfigWarning),
}

impl Finding {
    /// What to do about it, where there is more to say than "change that".
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mistake(error) => error.hint(),
            Self::Doubt(_) => None,
        }
    }

    /// Whether the file cannot be used because of it.
    #[must_use]
    pub const fn is_mistake(&self) -> bool {
        matches!(self, Self::Mistake(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(error) => write!(f, "error: {error}"),
            Self::Doubt(warning) => write!(f, "warning: {warning}"),
        }
    }
}

/// Every mistake and every doubt in `file`, in the order of their lines. An empty list means: fine. `read_address` reads
/// an address of the network whose addresses begin with its first argument, or says why it is none.
#[must_use]
pub fn check(file: &Path, read_address: &dyn Fn(&str, &str) -> Result<(), String>) -> Vec<Finding> {
    let document = match Document::load(file) {
        Ok(document) => document,
        Err(error) => return vec![Finding::Mistake(error)],
    };
    let (settings, mistakes) = Settings::from_document(&document);
    let bad_addresses = bad_addresses(&document, &settings, read_address);
    let mut findings: Vec<_> = mistakes
        .into_iter()
        .chain(bad_addresses)
        .chain(PoolList::mistakes(&document))
        .map(|error| (error.position(), Finding::Mistake(error)))
        .chain(
            settings
                .warnings
                .into_iter()
                .map(|doubt| (doubt.at, Finding::Doubt(doubt))),
        )
        .collect();
    findings.extend(
        peers::doubts(&document)
            .into_iter()
            .map(|doubt| (doubt.at, Finding::Doubt(doubt))),
    );
    if SECTIONS.iter().all(|section| document.root().get(section).is_none()) {
        let nothing_read = ConfigWarning {
            file: file.to_path_buf(),
            at: None,
            kind: ConfigWarningKind::NothingRead,
        };
        findings.push((None, Finding::Doubt(nothing_read)));
    }
    findings.sort_by_key(|(position, _)| *position);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Reward addresses that no farmer would start with.
fn bad_addresses(
    document: &Document,
    settings: &Settings,
    read_address: &dyn Fn(&str, &str) -> Result<(), String>,
) -> Vec<ConfigError> {
    let prefix = &settings.address_prefix;
    let addresses = [
        ("farmer.xch_target_address", &settings.farmer.xch_target_address),
        ("pool.xch_target_address", &settings.pool_xch_target_address),
    ];
    let bad = addresses.into_iter().filter_map(|(key, text)| {
        let text = text.as_deref()?;
        let why = read_address(prefix, text).err()?;
        Some(ConfigError::WrongValue {
            file: document.file().to_path_buf(),
            at: document.position(&parts(key)),
            key: key.to_owned(),
            expected: format!("an address that begins with {prefix}1"),
            got: format!("not: {why}"),
        })
    });
    bad.collect()
}

/// Of these, settings have one at least.
const SECTIONS: [&str; 4] = ["farmer", "harvester", "farmconsole", "selected_network"];
