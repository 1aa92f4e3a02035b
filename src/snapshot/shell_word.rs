//! Names in the commands that remedies name.

/// A word as it is typed in a shell.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if word.chars().all(is_plain) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_shell_is_what_it_was() {
        assert_eq!(shell_word("/srv/farm-1"), "/srv/farm-1");
        assert_eq!(shell_word("/it's $here"), r"'/it'\''s $here'");
    }
}
