//! Making text from outside safe to show: version strings, file names, messages of pools and peers.

use std::borrow::Cow;

/// Whether a character has no place in a line of text: control characters (C0, C1, DEL), line separators, and Unicode
/// format characters (zero-width, direction marks), which can hide or reorder what a person reads.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// The text with every invisible character written as an escape (`\n`, `\u{1b}`). Borrowed when there is none.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text without invisible characters: how the official software shows the version a peer claims.
#[must_use]
pub fn strip_invisible(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_untouched() {
        let text = r"/plots/Größe №1\x.plot";
        assert!(matches!(escape(text), Cow::Borrowed(t) if t == text));
    }

    #[test]
    fn invisible_characters_become_escapes() {
        assert_eq!(escape("a\nb\u{1b}[2J\u{9b}\u{202e}"), r"a\nb\u{1b}[2J\u{9b}\u{202e}");
        assert_eq!(strip_invisible("2.7.5\u{200b}\r\n"), "2.7.5");
    }
}
