//! Paths in the commands that hints and remedies name.

use std::path::Path;

use crate::snapshot;

/// A path as it is typed in a shell.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    snapshot::shell_word(&path.display().to_string())
}
