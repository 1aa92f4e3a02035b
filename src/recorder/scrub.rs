//! Taking out of a recording who and where somebody is: names, addresses, ids, keys, paths, hosts.
//!
//! Each is replaced by another of the same form, always the same for the same one, so that a recording still tells which
//! alarm is about which machine and which plots lie on one drive, and so that a farmer that is called with it does what the
//! first one did. What replaces what follows from a random salt that is kept nowhere: nobody can try guesses. Numbers,
//! versions and times stay, and so does what belongs to the chain: signage points, challenges and qualities of proofs.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::Value;

use crate::crypto::sha256;
use crate::farmer::launcher_spread;
use crate::snapshot::pool_address;

/// Replaces what is private in the lines of one recording.
#[derive(Debug)]
pub struct Scrubber {
    salt: [u8; 32],
    /// Names and paths with spaces seen so far, to be found within sentences.
    known: BTreeMap<String, String>,
    /// Ids, whole and short, that are not replaced by what follows from the salt: those of the chain by themselves, hashes
    /// of what was replaced by those of what replaced it.
    settled: BTreeMap<String, String>,
    /// The whole ones, oldest first.
    settled_order: VecDeque<String>,
}

impl Scrubber {
    /// With a fresh random salt.
    #[must_use]
    pub const fn new(salt: [u8; 32]) -> Self {
        Self {
            salt,
            known: BTreeMap::new(),
            settled: BTreeMap::new(),
            settled_order: VecDeque::new(),
        }
    }

    /// Replaces everything private in a line.
    pub fn scrub(&mut self, line: &mut Value) {
        // First all names, because a sentence may come before the name that is in it.
        self.learn(line, "");
        self.replace(line, "");
    }

    /// From here on an id is replaced by this one.
    pub(super) fn settle(&mut self, id: &str, by: &str) {
        if self.settled.contains_key(id) {
            return;
        }
        if self.settled_order.len() == MOST_SETTLED
            && let Some(oldest) = self.settled_order.pop_front()
        {
            self.settled.remove(&oldest);
            self.settled.remove(short(&oldest));
        }
        self.settled.insert(short(id).to_owned(), short(by).to_owned());
        self.settled.insert(id.to_owned(), by.to_owned());
        self.settled_order.push_back(id.to_owned());
    }

    /// What replaces an id of 64 hex digits.
    pub(super) fn id(&self, id: &str) -> String {
        self.settled.get(id).cloned().unwrap_or_else(|| self.hex(id))
    }

    fn learn(&mut self, value: &Value, key: &str) {
        match value {
            Value::Object(map) => {
                let is_of_names = key == "names";
                for (key, value) in map {
                    self.learn(value, if is_of_names { "name" } else { key });
                }
            }
            // Names do not come in lists; words of ours do.
            Value::Array(items) => {
                let key = if NAMES.contains(&key) { "" } else { key };
                items.iter().for_each(|item| self.learn(item, key));
            }
            Value::String(text) => {
                if NAMES.contains(&key) {
                    // Several nodes are named in one text.
                    text.split(", ").for_each(|name| self.learn_name(name));
                } else if key == "launcher_id" && is_whole_id(text) {
                    self.learn_launcher(text);
                } else if let Some((_, after)) = text.split_once("://") {
                    self.learn_host(text, after);
                } else if OF_THE_CHAIN.contains(&key) && is_whole_id(text) {
                    self.settle(text, text);
                } else if PATHS.contains(&key) {
                    self.learn_path(text);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A path with spaces in it, and the directories above that have some: sentences name those, too.
    fn learn_path(&mut self, path: &str) {
        let mut rest = path;
        while rest.contains(char::is_whitespace) && !self.known.contains_key(rest) && self.known.len() < MOST_KNOWN {
            self.known.insert(rest.to_owned(), self.path(rest));
            rest = rest.rsplit_once('/').map_or("", |(directory, _)| directory);
        }
    }

    fn learn_name(&mut self, name: &str) {
        // The farmer itself numbers those of one name.
        let (name, _) = name
            .strip_suffix(')')
            .and_then(|rest| rest.rsplit_once(" ("))
            .filter(|(_, number)| number.chars().all(|c| c.is_ascii_digit()))
            .unwrap_or((name, ""));
        if is_plain(name) || self.known.contains_key(name) || self.known.len() >= MOST_KNOWN {
            return;
        }
        let alias = match (self.address(name), name.rsplit_once(':')) {
            (Some(address), _) => address,
            // A host may be named without its port, too.
            (None, Some((host, port))) if host.len() > 1 && port.parse::<u16>().is_ok() => {
                let alias = self.machine(host);
                self.known.insert(host.to_owned(), alias.clone());
                format!("{alias}:{port}")
            }
            (None, _) => self.machine(name),
        };
        self.known.insert(name.to_owned(), alias);
    }

    fn machine(&self, name: &str) -> String {
        format!("machine-{}", self.digits(name, 6))
    }

    /// When the pool of a plotNFT is asked follows a little from its id: one is found that it follows from as well.
    fn learn_launcher(&mut self, id: &str) {
        let spread = |id: &str| id.parse().ok().map(|id| launcher_spread(&id));
        let attempt = |attempt: u32| {
            let mut alike = self.hex(&format!("{id}{attempt:x}"));
            alike.truncate(WHOLE_ID);
            alike
        };
        let alike = (0..1 << 14).map(attempt).find(|alike| spread(alike) == spread(id));
        if let Some(alike) = alike {
            self.settle(id, &alike);
        }
    }

    /// The host of an address of the web may be named alone, too, with and without its port.
    fn learn_host(&mut self, url: &str, after: &str) {
        let host = after.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let alone = host.rsplit_once(':').map_or(host, |(host, _)| host);
        for name in [host, alone] {
            let is_plain = is_plain(name) || self.address(name).is_some();
            if !is_plain && !self.known.contains_key(name) && self.known.len() < MOST_KNOWN {
                self.known.insert(name.to_owned(), self.host(url));
            }
        }
    }

    /// The same with a password and without.
    fn host(&self, url: &str) -> String {
        format!("host-{}.invalid", self.digits(&pool_address(url), 6))
    }

    fn replace(&self, value: &mut Value, key: &str) {
        match value {
            Value::Object(map) => {
                let is_of_data = |name: &String| is_whole_id(name) || is_path(name) || KEYED.contains(&key);
                if map.keys().any(is_of_data) {
                    let replaced = std::mem::take(map).into_iter().map(|(name, value)| {
                        let name = if is_of_data(&name) { self.text(&name, key) } else { name };
                        (name, value)
                    });
                    *map = replaced.collect();
                }
                for (name, value) in map {
                    self.replace(value, name);
                }
            }
            Value::Array(items) => {
                for item in items {
                    // What is listed has fields, whatever the list is of.
                    let key = if item.is_object() { "" } else { key };
                    self.replace(item, key);
                }
            }
            Value::String(text) => {
                if !WORDS.contains(&key) || is_whole_id(text) {
                    *text = self.text(text, key);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text that stands under this key.
    fn text(&self, text: &str, key: &str) -> String {
        if is_whole_id(text) {
            return self.id(text);
        }
        match key {
            // Quality and path, one after the other.
            "plot_identifier" => match text.split_at_checked(WHOLE_ID) {
                Some((quality, path)) if is_whole_id(quality) => format!("{quality}{}", self.path(path)),
                _ => self.path(text),
            },
            // A word of ours, then what it is about.
            "incident" => match text.split_once('/') {
                Some((rule, about)) => format!("{rule}/{}", self.sentence(about)),
                None => text.to_owned(),
            },
            _ if PATHS.contains(&key) || is_path(text) && KEYED.contains(&key) => self.path(text),
            _ => self.sentence(text),
        }
    }

    /// A sentence with all that is private in it replaced.
    fn sentence(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let at_word = out.chars().next_back().is_none_or(|c| !is_of_word(c));
            if at_word && let Some((name, alias)) = self.known_at(rest) {
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

    /// The longest known name that a text begins with.
    fn known_at(&self, text: &str) -> Option<(&String, &String)> {
        let first = text.chars().next()?;
        self.known
            .range(first.to_string()..)
            .take_while(|(name, _)| name.starts_with(first))
            .filter(|(name, _)| text.starts_with(name.as_str()))
            .filter(|(name, _)| text[name.len()..].chars().next().is_none_or(|c| !is_of_word(c)))
            .max_by_key(|(name, _)| name.len())
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
            format!("{scheme}://{}", self.host(core))
        } else if core.starts_with("xch1") || core.starts_with("txch1") {
            let prefix = core.split('1').next().unwrap_or_default();
            format!("{prefix}1scrubbed{}", self.digits(&core.to_ascii_lowercase(), 8))
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

    /// Hashes, ids and keys within a text.
    fn hex_runs(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            if is_id(run) {
                let run = run.to_ascii_lowercase();
                match self.settled.get(&run) {
                    Some(settled) => out.push_str(settled),
                    None => out.push_str(&self.hex(&run)),
                }
            } else {
                out.push_str(run);
            }
            let next = after.chars().next().map_or(0, char::len_utf8);
            out.push_str(&after[..next]);
            rest = &after[next..];
        }
        out
    }

    /// What replaces so many hex digits. The first ten follow from the first ten, so that an id that is shown short stays
    /// the same one.
    fn hex(&self, digits: &str) -> String {
        let lower = digits.to_ascii_lowercase();
        let mut out = self.digits(short(&lower), SHORT_ID);
        let rest = lower.len().saturating_sub(SHORT_ID);
        if rest > 0 {
            out.push_str(&self.digits(&lower, rest));
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

/// Whether a name tells nothing: it is too short to be found in sentences, or we made it ourselves.
fn is_plain(name: &str) -> bool {
    let is_number = |rest: &str| rest.bytes().all(|c| c.is_ascii_digit());
    name.len() < 2 || PLAIN_NAMES.contains(&name) || name.strip_prefix("node ").is_some_and(is_number)
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

fn is_whole_id(text: &str) -> bool {
    text.len() == WHOLE_ID && text.bytes().all(|c| c.is_ascii_hexdigit()) && is_id(text)
}

/// The beginning of an id, as it is shown short.
fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// Digits of an id that is shown short.
const SHORT_ID: usize = 10;

/// Digits of a whole id.
const WHOLE_ID: usize = 64;

/// Keys whose values are names, which may also stand in sentences.
const NAMES: [&str; 7] = ["harvester_name", "host", "machine", "name", "node", "peer_name", "pool"];

/// Keys whose values are paths, spaces included.
const PATHS: [&str; 19] = [
    "added",
    "data",
    "directory",
    "done_to",
    "drive",
    "duplicates",
    "examples",
    "failed",
    "failed_to_open_filenames",
    "file",
    "filename",
    "lost",
    "no_key",
    "no_key_filenames",
    "path",
    "plot_file",
    "plots",
    "removed",
    "removed_from",
];

/// Keys of objects whose own keys are names or paths.
const KEYED: [&str; 4] = ["added", "harvester_fees", "lost", "plots"];

/// Keys whose values are known to everybody who knows the chain.
const OF_THE_CHAIN: [&str; 10] = [
    "Ok",
    "challenge_chain_sp",
    "challenge_hash",
    "filter_challenge",
    "genesis_challenge",
    "named",
    "quality",
    "quality_string",
    "reward_chain_sp",
    "sp_hash",
];

/// Keys whose values are words of ours: replacing one by chance would make the line unreadable.
const WORDS: [&str; 34] = [
    "ask_pool",
    "cause",
    "completeness",
    "difficulty_constant_factor",
    "direction",
    "event",
    "hook",
    "kind",
    "layout",
    "level",
    "link",
    "losses",
    "need",
    "network",
    "notice",
    "origin",
    "outcome",
    "phase",
    "protocol_version",
    "registration",
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
    "total_iters",
    "trust",
    "verdict",
    "version",
];

/// Names that tell nothing.
const PLAIN_NAMES: [&str; 4] = ["local", "node", "simulated chain", "127.0.0.1"];

/// Parts of paths that everybody has.
const PLAIN_PARTS: [&str; 8] = [".", "..", "dev", "home", "media", "mnt", "plots", "srv"];

/// Endings that say what a file is.
const ENDINGS: [&str; 5] = ["plot", "plot2", "log", "yaml", "sqlite"];

/// More names than a fleet has.
const MOST_KNOWN: usize = 8_192;

/// Signage points of half a day, with what belongs to them.
const MOST_SETTLED: usize = 1 << 14;
