//! What could name a person or a machine, hidden: addresses, paths, ids and the names of harvesters. People post
//! screenshots.

use std::collections::BTreeMap;

use farmconsole::snapshot::HarvesterView;

/// The harvesters' names and what stands for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    words: BTreeMap<String, String>,
    /// Names that are no single word.
    phrases: Vec<(String, String)>,
}

impl Names {
    /// Of these harvesters.
    pub(super) fn of(harvesters: &[HarvesterView]) -> Self {
        let mut names = Self::default();
        for harvester in harvesters {
            let alias = alias(harvester);
            if pieces(&harvester.name).count() == 1 {
                names.words.insert(harvester.name.clone(), alias);
            } else {
                names.phrases.push((harvester.name.clone(), alias));
            }
        }
        // The longest first: `10.0.0.7 (12)` before `10.0.0.7 (1`.
        names.phrases.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        names
    }

    /// What stands for a name.
    pub(super) fn alias(&self, name: &str) -> Option<&str> {
        let phrase = || self.phrases.iter().find(|(known, _)| known == name);
        self.words.get(name).or_else(|| Some(&phrase()?.1)).map(String::as_str)
    }

    /// `text` with everything hidden that tells; `by` stands for what has no name of its own.
    pub(super) fn hide(&self, text: &str, by: &str) -> String {
        let mut text = text.to_owned();
        for (name, alias) in &self.phrases {
            if text.contains(name.as_str()) {
                text = text.replace(name.as_str(), alias);
            }
        }
        hide_with(&text, by, |word| self.words.get(word).map(String::as_str))
    }
}

/// What stands for a harvester's name.
pub(super) fn alias(harvester: &HarvesterView) -> String {
    format!("harvester {}", harvester.id)
}

/// `text` without addresses, paths and ids.
pub(super) fn hide(text: &str, by: &str) -> String {
    hide_with(text, by, |_| None)
}

fn hide_with<'a>(text: &str, by: &'a str, alias: impl Fn(&str) -> Option<&'a str>) -> String {
    pieces(text)
        .map(|piece| {
            let word = piece.trim_end_matches(|c| ENDS.contains(&c) || matches!(c, ':' | ';' | '.' | '…'));
            match alias(word).or_else(|| is_telling(word).then_some(by)) {
                Some(shown) => format!("{shown}{}", &piece[word.len()..]),
                None => piece.to_owned(),
            }
        })
        .collect()
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(ENDS)
}

const ENDS: [char; 8] = [' ', '(', ')', ',', '"', '\'', '`', '='];

fn is_telling(word: &str) -> bool {
    let is_count = |c: char| c.is_ascii_digit() || matches!(c, '/' | ',' | '.' | '–');
    let is_path = (word.contains('/') || word.contains('\\') || word.ends_with(".plot")) && !word.chars().all(is_count);
    let bare = word.trim_start_matches('[');
    let host = bare
        .rsplit_once(':')
        .map_or(bare, |(host, _port)| host.trim_end_matches(']'));
    let is_address = [bare, host].iter().any(|a| a.parse::<std::net::IpAddr>().is_ok());
    let hex = word.trim_start_matches("0x");
    let is_id = hex.len() >= 8 && hex.chars().all(|c| c.is_ascii_hexdigit()) && hex.chars().any(|c| c.is_ascii_digit());
    let is_bech32 = word.len() > 40 && word.contains("ch1");
    is_path || is_address || is_id || is_bech32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privacy_hides_what_names_a_machine_and_keeps_the_rest() {
        for (text, shown) in [
            (
                "refused 10.0.0.7 (3×): does not speak TLS",
                "refused * (3×): does not speak TLS",
            ),
            (
                "check the drive mounted at /mnt/d7 on barn-3",
                "check the drive mounted at * on barn-3",
            ),
            (
                "barn-3 answered 3/864 at 14:02:27.412",
                "barn-3 answered 3/864 at 14:02:27.412",
            ),
            ("from [fe80::1]:8447: closed", "from *: closed"),
            ("[::1]:8447 and 127.0.0.1:8444, both", "* and *, both"),
            ("last plot-k32-2021.plot: bad proof", "last *: bad proof"),
            ("peer 6f1c0d2e9a3b4c5d6f1c0d2e", "peer *"),
            ("facade of 12 plots", "facade of 12 plots"),
        ] {
            assert_eq!(hide(text, "*"), shown);
        }
    }

    #[test]
    fn a_harvester_has_one_alias_wherever_it_is_named() {
        let mut farm = super::super::samples::many();
        farm.harvesters[1].name = "Ann's attic (left)".to_owned();
        let names = Names::of(&farm.harvesters);
        assert_eq!(
            names.hide("barn-2: late; Ann's attic (left), barn-20 and barn-3.", "*"),
            "harvester 2: late; harvester 1, barn-20 and harvester 3."
        );
        assert_eq!(names.alias("barn-2"), Some("harvester 2"));
        assert_eq!(names.alias("barn"), None);
    }
}
