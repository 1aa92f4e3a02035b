//! Paths in the commands that hints and remedies name.

use std::path::Path;

/// A path as it is typed in a shell.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(is_plain) && !path.is_empty() {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_what_it_was() {
        assert_eq!(shell_word(Path::new("/srv/farm-1")), "/srv/farm-1");
        assert_eq!(shell_word(Path::new("/it's $here")), r"'/it'\''s $here'");
    }
}
