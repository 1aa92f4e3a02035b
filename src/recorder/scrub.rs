//! Taking out of a recording who and where somebody is: names, addresses, ids, keys, paths, hosts.
//!
//! Each is replaced by another of the same form, always the same for the same one, so that a recording still tells which
//! alarm is about which machine and which plots lie on one drive. What replaces what follows from a random salt that is
//! kept nowhere: nobody can try guesses. Numbers, versions and times stay.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::crypto::sha256;

/// Replaces what is private in the lines of one recording.
#[derive(Debug)]
pub struct Scrubber {
    salt: [u8; 32],
    /// Names and whole paths seen so far, to be found within sentences.
    known: BTreeMap<String, String>,
}

impl Scrubber {
    /// With a fresh random salt.
    #[must_use]
    pub const fn new(salt: [u8; 32]) -> Self {
        Self {
            salt,
            known: BTreeMap::new(),
        }
    }

    /// Replaces everything private in a line.
    pub fn scrub(&mut self, line: &mut Value) {
        // First all names, because a sentence may come before the name that is in it.
        self.learn(line);
        self.replace(line, "");
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value {
                        Value::String(text) if NAMES.contains(&key.as_str()) => self.learn_name(text),
                        Value::String(text) if PATHS.contains(&key.as_str()) => {
                            if text.contains(char::is_whitespace) && self.known.len() < MOST_KNOWN {
                                let path = self.path(text);
                                self.known.insert(text.clone(), path);
                            }
                        }
                        other => self.learn(other),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn learn_name(&mut self, name: &str) {
        let is_plain = PLAIN_NAMES.contains(&name) || name.len() < 2;
        if is_plain || self.known.contains_key(name) || self.known.len() >= MOST_KNOWN {
            return;
        }
        let alias = match self.address(name) {
            Some(address) => address,
            None => format!("machine-{}", self.digits(name, 6)),
        };
        self.known.insert(name.to_owned(), alias);
    }

    fn replace(&self, value: &mut Value, key: &str) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.replace(value, key);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.replace(item, key);
                }
            }
            Value::String(text) => {
                if WORDS.contains(&key) {
                } else if PATHS.contains(&key) {
                    *text = self.path(text);
                } else {
                    *text = self.sentence(text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A sentence with all that is private in it replaced.
    fn sentence(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let at_word = out.chars().next_back().is_none_or(|c| !is_of_word(c));
            // The longest known name that stands here.
            let known = self
                .known
                .iter()
                .filter(|(name, _)| at_word && rest.starts_with(name.as_str()))
                .filter(|(name, _)| rest[name.len()..].chars().next().is_none_or(|c| !is_of_word(c)))
                .max_by_key(|(name, _)| name.len());
            if let Some((name, alias)) = known {
                out.push_str(alias);
                rest = &rest[name.len()..];
                continue;
            }
            let end = rest.find(is_separator).unwrap_or(rest.len());
            if end == 0 {
                let width = rest.chars().next().map_or(1, char::len_utf8);
                out.push_str(&rest[..width]);
                rest = &rest[width..];
                continue;
            }
            // A known name may begin within the token, as in `barn:8447`.
            out.push_str(&self.token(&rest[..end]));
            rest = &rest[end..];
        }
        out
    }

    /// A run of characters without a space or bracket.
    fn token(&self, token: &str) -> String {
        let core = token.trim_end_matches(['.', ':', '!', '?', '…']);
        let tail = &token[core.len()..];
        let replaced = if let Some(alias) = self.known.get(core) {
            alias.clone()
        } else if let Some(address) = self.address(core) {
            address
        } else if let Some((scheme, _)) = core.split_once("://") {
            format!("{scheme}://host-{}.invalid", self.digits(core, 6))
        } else if core.starts_with("xch1") || core.starts_with("txch1") {
            let prefix = core.split('1').next().unwrap_or_default();
            format!("{prefix}1scrubbed{}", self.digits(core, 8))
        } else if is_path(core) {
            self.path(core)
        } else if let Some((name, port)) = core.rsplit_once(':')
            && let Some(alias) = self.known.get(name)
        {
            format!("{alias}:{port}")
        } else {
            self.hex_runs(core)
        };
        replaced + tail
    }

    /// An IP address, with or without a port; those that say nothing stay.
    fn address(&self, text: &str) -> Option<String> {
        let alias = |ip: IpAddr| -> IpAddr {
            let canonical = ip.to_canonical();
            if canonical.is_loopback() || canonical.is_unspecified() {
                return ip;
            }
            let hash = self.hash(&canonical.to_string());
            Ipv4Addr::new(10, hash[0], hash[1], hash[2]).into()
        };
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(alias(ip).to_string());
        }
        let socket: SocketAddr = text.parse().ok()?;
        Some(SocketAddr::new(alias(socket.ip()), socket.port()).to_string())
    }

    /// A path with every part replaced but those that everybody has; the ending of the name stays.
    fn path(&self, path: &str) -> String {
        let mut out = String::with_capacity(path.len());
        for part in path.split_inclusive(['/', '\\']) {
            let name = part.trim_end_matches(['/', '\\']);
            let separator = &part[name.len()..];
            let is_plain = name.is_empty() || PLAIN_PARTS.contains(&name) || name.ends_with(':');
            if is_plain {
                out.push_str(name);
            } else {
                out.push_str(&self.digits(name, 8));
                if let Some((_, ending)) = name.rsplit_once('.')
                    && ENDINGS.contains(&ending)
                {
                    out.push('.');
                    out.push_str(ending);
                }
            }
            out.push_str(separator);
        }
        out
    }

    /// Hashes, ids and keys. Their beginning decides, so that one that is shown short stays the same one.
    fn hex_runs(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            if is_id(run) {
                out.push_str(&self.digits(&run[..SHORT_ID].to_ascii_lowercase(), run.len()));
            } else {
                out.push_str(run);
            }
            let next = after.chars().next().map_or(0, char::len_utf8);
            out.push_str(&after[..next]);
            rest = &after[next..];
        }
        out
    }

    /// So many hex digits that follow from the text and the salt.
    fn digits(&self, text: &str, count: usize) -> String {
        let hash = hex::encode(self.hash(text));
        hash.chars().cycle().take(count).collect()
    }

    fn hash(&self, text: &str) -> [u8; 32] {
        sha256(&[&self.salt, text.as_bytes()])
    }
}

/// Whether it is an id, a hash or a key, or the beginning of one. The simulated chain has the id zero.
fn is_id(run: &str) -> bool {
    run.len() >= SHORT_ID && run.chars().any(|c| c != '0')
}

/// Whether a token is a path, and no ratio such as `3/864`.
fn is_path(token: &str) -> bool {
    let is_ratio = token
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '/' | '–' | '-'));
    token.contains(['/', '\\']) && !is_ratio && token != "/"
}

fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',' | ';' | '='
        )
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Digits of an id that is shown short.
const SHORT_ID: usize = 10;

/// Keys whose values are names, which may also stand in sentences.
const NAMES: [&str; 7] = ["harvester_name", "host", "machine", "name", "node", "peer_name", "pool"];

/// Keys whose values are paths, spaces included.
const PATHS: [&str; 6] = ["directory", "examples", "filename", "plot_file", "removed_from", "path"];

/// Keys whose values are words of ours: replacing one by chance would make the line unreadable.
const WORDS: [&str; 22] = [
    "cause",
    "direction",
    "event",
    "kind",
    "level",
    "need",
    "network",
    "notice",
    "outcome",
    "protocol_version",
    "role",
    "rule",
    "service",
    "severity",
    "software_version",
    "stage",
    "state",
    "step",
    "sub_slot",
    "target",
    "verdict",
    "hook",
];

/// Names that tell nothing.
const PLAIN_NAMES: [&str; 3] = ["local", "simulated chain", "127.0.0.1"];

/// Parts of paths that everybody has.
const PLAIN_PARTS: [&str; 8] = [".", "..", "dev", "home", "media", "mnt", "plots", "srv"];

/// Endings that say what a file is.
const ENDINGS: [&str; 5] = ["plot", "plot2", "log", "yaml", "sqlite"];

/// More names than a fleet has.
const MOST_KNOWN: usize = 8_192;
