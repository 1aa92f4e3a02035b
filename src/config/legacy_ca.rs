//! Whether certificates of Chia's private CA still let somebody in.

use serde::{Deserialize, Serialize};

/// What a certificate of Chia's private CA is worth (`farmconsole.legacy_ca`). Whoever has a copy of the CA's key can
/// make such certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegacyCa {
    /// It lets in whoever has one, as the official farmer does.
    Open,
    /// It lets in whom a person has approved.
    Approve,
    /// Nothing.
    Off,
}

impl LegacyCa {
    /// As in the settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approve => "approve",
            Self::Off => "off",
        }
    }
}
