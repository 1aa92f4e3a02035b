//! Files of colours: what the console's themes are written in. Which meanings and names there are is the console's
//! business.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What a theme says: for each meaning a colour as `#rrggbb` and the name of its twin among the sixteen of every
/// terminal.
pub type ThemeColors = BTreeMap<String, ThemeColor>;

/// One colour of a theme.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(expecting = "[\"#rrggbb\", NAME]")]
pub struct ThemeColor(
    /// `#rrggbb`.
    pub String,
    /// Name of its twin.
    pub String,
);

/// Why a text is no theme.
#[derive(Debug, thiserror::Error)]
#[error("it is no mapping of meanings to [\"#rrggbb\", NAME]: {reason}")]
pub struct NotATheme {
    reason: String,
}

/// Reads the text of a theme.
///
/// # Errors
/// When it is no such mapping, with line and column.
pub fn read_theme(text: &str) -> Result<ThemeColors, NotATheme> {
    serde_yaml::from_str(text).map_err(|error| NotATheme {
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_and_other_shapes_are_refused_with_their_place() {
        let theme = read_theme("# ours\nbad: [\"#ff0000\", red]\n").unwrap();
        assert_eq!(theme["bad"], ThemeColor("#ff0000".to_owned(), "red".to_owned()));
        assert_eq!(read_theme("{}").unwrap(), ThemeColors::new());
        let why = read_theme("bad: red").unwrap_err().to_string();
        assert!(
            why.ends_with("expected [\"#rrggbb\", NAME] at line 1 column 6"),
            "{why}"
        );
    }
}
