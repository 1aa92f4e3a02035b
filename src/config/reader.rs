//! Reading checked values out of a document: every mistake is collected with its place, and a default stands in for
//! the value so that reading goes on to the next one.

use std::ops::RangeInclusive;

use super::document::{Document, Node};
use super::error::{ConfigError, ConfigWarning, ConfigWarningKind};
use super::host_port::HostPort;
use super::locate::{Part, dotted, parts};

/// A document being read. Paths are dotted, as [`parts`] reads them. A missing value and `null` are the same.
pub(super) struct Reader<'d> {
    document: &'d Document,
    /// Mistakes so far, in the order of reading.
    pub(super) errors: Vec<ConfigError>,
    /// Doubts so far.
    pub(super) warnings: Vec<ConfigWarning>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self {
            document,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn document(&self) -> &'d Document {
        self.document
    }

    /// The value at `path`; none if it is missing or null.
    pub(super) fn node(&self, path: &str) -> Option<&'d Node> {
        self.document
            .root()
            .at(&parts(path))
            .filter(|node| **node != Node::Null)
    }

    /// Whether the key is there at all, with whatever value.
    pub(super) fn has_key(&self, path: &str) -> bool {
        self.document.root().at(&parts(path)).is_some()
    }

    pub(super) fn truth(&mut self, path: &str, default: bool) -> bool {
        self.read(path, "true or false", default, |node| match node {
            Node::Bool(value) => Some(*value),
            // Truth values of YAML 1.1, which the official software reads.
            Node::Text(word) => match word.to_ascii_lowercase().as_str() {
                "yes" | "on" => Some(true),
                "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    /// A whole number in `range`.
    pub(super) fn number<T>(&mut self, path: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + TryFrom<i128> + std::fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(path, &expected, default, |node| match node {
            Node::Int(value) => T::try_from(*value).ok().filter(|value| range.contains(value)),
            _ => None,
        })
    }

    /// A finite number in `range`, whole or not.
    pub(super) fn decimal(&mut self, path: &str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.read(path, &expected, default, |node| {
            let value = match node {
                Node::Float(value) => *value,
                // A whole number that is too large to be exact is out of range.
                Node::Int(value) => f64::from(i32::try_from(*value).ok()?),
                _ => return None,
            };
            Some(value).filter(|value| range.contains(value))
        })
    }

    /// One word or sentence; numbers and truth values are taken as they are written.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.read(path, "a text", None, |node| node.scalar_text().map(Some))
    }

    /// Anything that one word can be parsed to.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, path: &str, expected: &str, default: T) -> T {
        self.read(path, expected, default, |node| node.scalar_text()?.parse().ok())
    }

    /// The items of a list as texts, or the members of a set. Official settings write some lists as sets.
    pub(super) fn texts(&mut self, path: &str) -> Vec<String> {
        self.read(path, "a list of texts", Vec::new(), |node| match node {
            Node::List(items) => items.iter().map(Node::scalar_text).collect(),
            Node::Map(members) if members.values().all(|value| *value == Node::Null) => {
                Some(members.keys().cloned().collect())
            }
            _ => None,
        })
    }

    /// Peers of a section: the list `<kind>_peers` and the single `<kind>_peer`, which old settings have. `default`
    /// where neither is there.
    pub(super) fn peers(&mut self, section: &str, kind: &str, default: HostPort) -> Vec<HostPort> {
        let (many, one) = (format!("{section}.{kind}_peers"), format!("{section}.{kind}_peer"));
        if !self.has_key(&many) && !self.has_key(&one) {
            return vec![default];
        }
        let mut peers = Vec::new();
        // The one that `chia configure` changes where it is there.
        if self.node(&one).is_some() {
            peers.extend(self.peer(&one));
        }
        match self.node(&many) {
            None => {}
            Some(Node::List(items)) => {
                for index in 0..items.len() {
                    peers.extend(self.peer(&format!("{many}.{index}")));
                }
            }
            Some(other) => self.wrong(&many, "a list of peers, each with host and port", &other.describe()),
        }
        let mut seen = Vec::with_capacity(peers.len());
        for peer in peers {
            if !seen.contains(&peer) {
                seen.push(peer);
            }
        }
        seen
    }

    /// Collects a mistake at `path`, once, however often the value is read.
    pub(super) fn wrong(&mut self, path: &str, expected: &str, got: &str) {
        let told = |error: &ConfigError| matches!(error, ConfigError::WrongValue { key, .. } if key == path);
        if self.errors.iter().any(told) {
            return;
        }
        self.errors.push(ConfigError::WrongValue {
            file: self.document.file().to_path_buf(),
            at: self.document.position(&parts(path)),
            key: path.to_owned(),
            expected: expected.to_owned(),
            got: got.to_owned(),
        });
    }

    /// Collects a doubt about the value at `path`.
    pub(super) fn warn(&mut self, path: &str, kind: ConfigWarningKind) {
        self.warnings.push(ConfigWarning {
            file: self.document.file().to_path_buf(),
            at: self.document.key_position(&parts(path)),
            kind,
        });
    }

    /// Collects every key below `path` that is not among `known`.
    pub(super) fn only(&mut self, path: &str, known: &[&str]) {
        let map = match self.node(path) {
            None => return,
            Some(Node::Map(map)) => map,
            Some(other) => {
                let expected = format!("a mapping of {}", known.join(", "));
                return self.wrong(path, &expected, &other.describe());
            }
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let mut place = parts(path);
            let suggestion = nearest(key, known).map(|name| format!("{path}.{name}"));
            place.push(Part::Key(key.clone()));
            self.errors.push(ConfigError::UnknownKey {
                file: self.document.file().to_path_buf(),
                at: self.document.key_position(&place),
                key: dotted(&place),
                suggestion,
            });
        }
    }

    /// The port of a peer, which the official software also takes in quotes.
    fn port(&mut self, path: &str) -> u16 {
        let expected = format!("a whole number from 1 to {}", u16::MAX);
        self.read(path, &expected, 0, |node| {
            let port = match node {
                Node::Int(port) => u16::try_from(*port).ok(),
                Node::Text(digits) => digits.trim().parse().ok(),
                _ => None,
            };
            port.filter(|port| *port > 0)
        })
    }

    fn peer(&mut self, path: &str) -> Option<HostPort> {
        let Some(peer) = self.node(path) else {
            self.wrong(path, "a peer with host and port", "nothing");
            return None;
        };
        if !matches!(peer, Node::Map(_)) {
            self.wrong(path, "a peer with host and port", &peer.describe());
            return None;
        }
        let mistakes = self.errors.len();
        let host = self.text(&format!("{path}.host")).unwrap_or_default();
        let port = self.port(&format!("{path}.port"));
        if self.errors.len() > mistakes {
            return None;
        }
        if host.trim().is_empty() {
            self.wrong(path, "a peer with host and port", "without a host");
            return None;
        }
        if port == 0 {
            self.wrong(path, "a peer with host and port", "without a port");
            return None;
        }
        Some(HostPort {
            host: host.trim().to_owned(),
            port,
        })
    }

    fn read<T>(&mut self, path: &str, expected: &str, default: T, convert: impl FnOnce(&Node) -> Option<T>) -> T {
        let Some(node) = self.node(path) else {
            self.check_parents(path);
            return default;
        };
        convert(node).unwrap_or_else(|| {
            self.wrong(path, expected, &node.describe());
            default
        })
    }

    /// A section that is no mapping makes all its values seem missing; the mistake is the section.
    fn check_parents(&mut self, path: &str) {
        let all = parts(path);
        for length in 1..all.len() {
            let parent = &all[..length];
            match self.document.root().at(parent) {
                None | Some(Node::Null) => return,
                Some(Node::Map(_)) => {}
                Some(Node::List(_)) if matches!(all[length], Part::Index(_)) => {}
                Some(other) => {
                    self.wrong(&dotted(parent), "a mapping", &other.describe());
                    return;
                }
            }
        }
    }
}

/// The word of `known` that differs from `word` by at most a third of its letters.
#[must_use]
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete or exchange to make one word of the other. Long words are not compared.
fn distance(one: &str, other: &str) -> usize {
    const LONGEST: usize = 64;
    if one.len() > LONGEST || other.len() > LONGEST {
        return usize::MAX;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognized() {
        let known = ["simulated_chain", "other"];
        assert_eq!(nearest("simulatedchain", &known), Some("simulated_chain"));
        assert_eq!(nearest("simulate_chains", &known), Some("simulated_chain"));
        assert_eq!(nearest("banana", &known), None);
        assert_eq!(nearest(&"x".repeat(1000), &known), None);
    }
}
