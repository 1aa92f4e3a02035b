//! What people call a harvester.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name of 1 to 32 lower-case letters, digits and hyphens, with no hyphen at either end: it stands in certificates,
/// commands and file names alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HarvesterName(String);

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{got:?} is no name: 1 to 32 of a-z, 0-9 and hyphens, beginning and ending with a letter or digit")]
pub struct NameError {
    /// The text, shortened.
    got: String,
}

impl HarvesterName {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HarvesterName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends_well = bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
        if ends_well && bytes.len() <= 32 && bytes.iter().all(|b| is_word(*b) || *b == b'-') {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError {
            got: text.chars().take(40).collect(),
        })
    }
}

impl TryFrom<String> for HarvesterName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<HarvesterName> for String {
    fn from(name: HarvesterName) -> Self {
        name.0
    }
}

impl fmt::Display for HarvesterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_fit_everywhere() {
        let longest = "a".repeat(32);
        for good in ["a", "7", "rack1-a", "n-1-2", longest.as_str()] {
            assert_eq!(good.parse::<HarvesterName>().unwrap().as_str(), good);
        }
        let too_long = "a".repeat(33);
        for bad in [
            "",
            "-a",
            "a-",
            "Rack",
            "a b",
            "a.b",
            "ä",
            "a\n",
            "../a",
            too_long.as_str(),
        ] {
            assert!(bad.parse::<HarvesterName>().is_err(), "{bad:?}");
        }
    }
}
