//! All that can be said about a settings file at once, for `farmconsole config check`.

use std::fmt;
use std::path::Path;

use super::document::Document;
use super::error::{ConfigError, ConfigWarning};
use super::peers;
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

/// Every mistake and every doubt in `file`, in the order of their lines. An empty list means: fine.
#[must_use]
pub fn check(file: &Path) -> Vec<Finding> {
    let document = match Document::load(file) {
        Ok(document) => document,
        Err(error) => return vec![Finding::Mistake(error)],
    };
    let (settings, mistakes) = Settings::from_document(&document);
    let mut findings: Vec<_> = mistakes
        .into_iter()
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
    findings.sort_by_key(|(position, _)| *position);
    findings.into_iter().map(|(_, finding)| finding).collect()
}
