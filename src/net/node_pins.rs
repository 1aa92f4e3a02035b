//! Which certificate each full node showed first, so that a change is noticed.
//!
//! A node's certificate is signed by a CA whose key everybody has and proves nothing by itself; that it is the same as
//! last time is all there is to know. The pins are lines of text, `host:port sha256`, in a file that a person can read
//! and edit; it is read at every connection, so an edit counts from the next one on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::config::HostPort;
use crate::config::files::{self, FileMode, PRIVATE_FILE};
use crate::ids::PeerId;

/// The pins of one farm.
#[derive(Debug)]
pub struct NodePins {
    file: PathBuf,
    /// Pins from the settings; they are not in the file and are never learnt anew.
    set: BTreeMap<HostPort, PeerId>,
    writing: Mutex<()>,
}

/// What the pins say of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// It is the one that the settings name: a person vouched for it.
    Set,
    /// It is the one that this node showed before.
    Known,
    /// This node was never seen: to be remembered once it has shown that it is a node of our network.
    First,
}

/// Why a node's certificate is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It is another one than before.
    #[error("its certificate has changed: SHA-256 {got} instead of {expected}")]
    Changed {
        /// Fingerprint that is remembered or set.
        expected: PeerId,
        /// Fingerprint it shows.
        got: PeerId,
        /// Whether the settings name the expected one.
        is_set: bool,
    },
    /// The pins cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// Which file.
        file: String,
        /// Why not.
        source: io::Error,
    },
    /// A line of the file makes no sense.
    #[error("{file}, line {line}: expected HOST:PORT and a SHA-256 fingerprint of 64 hex digits")]
    BadLine {
        /// Which file.
        file: String,
        /// Which line, from 1.
        line: usize,
    },
}

impl NodePins {
    /// Pins kept in `file`, and those that the settings name.
    #[must_use]
    pub const fn new(file: PathBuf, set: BTreeMap<HostPort, PeerId>) -> Self {
        Self {
            file,
            set,
            writing: Mutex::new(()),
        }
    }

    /// Where they are kept.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Judges the certificate that `node` shows.
    ///
    /// # Errors
    /// [`PinError`]; the node must not be farmed with then.
    pub fn check(&self, node: &HostPort, got: PeerId) -> Result<Pin, PinError> {
        match self.set.get(node) {
            Some(expected) => agree(*expected, got, true).map(|()| Pin::Set),
            None => self.judge(node, got, &self.read()?),
        }
    }

    /// Judges the certificate that `node` shows, and remembers it if it is the first one.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn remember(&self, node: &HostPort, got: PeerId) -> Result<Pin, PinError> {
        if self.set.contains_key(node) {
            return self.check(node, got);
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = self.read()?;
        let pin = self.judge(node, got, &text)?;
        if pin != Pin::First {
            return Ok(pin);
        }
        if text.is_empty() {
            HEADER.clone_into(&mut text);
        } else if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{node} {got}\n"));
        files::replace_file(&self.file, text.as_bytes(), FileMode::Exactly(PRIVATE_FILE))
            .map_err(|source| self.error(source))?;
        Ok(Pin::First)
    }

    fn judge(&self, node: &HostPort, got: PeerId, text: &str) -> Result<Pin, PinError> {
        match self.pins(text)?.get(node) {
            Some(expected) => agree(*expected, got, false).map(|()| Pin::Known),
            None => Ok(Pin::First),
        }
    }

    fn read(&self) -> Result<String, PinError> {
        match files::read_limited(&self.file, MAX_BYTES) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|error| self.error(io::Error::other(error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.error(error)),
        }
    }

    fn pins(&self, text: &str) -> Result<BTreeMap<HostPort, PeerId>, PinError> {
        let mut pins = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parsed = line.split_once(char::is_whitespace).and_then(|(node, fingerprint)| {
                Some((
                    node.parse::<HostPort>().ok()?,
                    fingerprint.trim().parse::<PeerId>().ok()?,
                ))
            });
            let Some((node, fingerprint)) = parsed else {
                return Err(PinError::BadLine {
                    file: self.file.display().to_string(),
                    line: number + 1,
                });
            };
            pins.insert(node, fingerprint);
        }
        Ok(pins)
    }

    fn error(&self, source: io::Error) -> PinError {
        PinError::File {
            file: self.file.display().to_string(),
            source,
        }
    }
}

fn agree(expected: PeerId, got: PeerId, is_set: bool) -> Result<(), PinError> {
    if expected == got {
        return Ok(());
    }
    Err(PinError::Changed { expected, got, is_set })
}

/// First lines of a new file.
const HEADER: &str = "\
# SHA-256 of the certificate of each full node that is not on this machine, as it was first seen. farmconsole farms with
# a node only while this stays the same. After setting a node up anew, remove its line.
";

/// A farm dials a handful of nodes.
const MAX_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> HostPort {
        text.parse().unwrap()
    }

    #[test]
    fn first_certificate_is_remembered_and_another_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known-nodes");
        let pins = || NodePins::new(file.clone(), BTreeMap::new());
        let (a, b) = (node("node.lan:8444"), node("[fd00::1]:8444"));
        assert_eq!(pins().check(&a, PeerId([1; 32])).unwrap(), Pin::First);
        assert!(!file.exists(), "a look is no more");
        assert_eq!(pins().remember(&a, PeerId([1; 32])).unwrap(), Pin::First);
        assert_eq!(pins().remember(&b, PeerId([2; 32])).unwrap(), Pin::First);
        assert_eq!(pins().check(&a, PeerId([1; 32])).unwrap(), Pin::Known);
        let changed = pins().check(&b, PeerId([3; 32])).unwrap_err().to_string();
        assert!(
            changed.contains(&"03".repeat(32)) && changed.contains(&"02".repeat(32)),
            "{changed}"
        );
        assert!(pins().remember(&b, PeerId([3; 32])).is_err());
        // As the remedy says.
        let text = std::fs::read_to_string(&file).unwrap();
        let kept: String = text
            .lines()
            .filter(|line| !line.contains("fd00"))
            .map(|line| format!("{line}\n"))
            .collect();
        std::fs::write(&file, kept).unwrap();
        assert_eq!(pins().remember(&b, PeerId([3; 32])).unwrap(), Pin::First);
        #[cfg(unix)]
        {
            let mode = files::mode_of(&std::fs::metadata(&file).unwrap());
            assert_eq!(mode & 0o777, PRIVATE_FILE);
        }
    }

    #[test]
    fn pin_of_the_settings_counts_and_is_not_learnt_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known-nodes");
        let a = node("node.lan:8444");
        let pins = NodePins::new(file.clone(), BTreeMap::from([(a.clone(), PeerId([1; 32]))]));
        assert_eq!(pins.remember(&a, PeerId([1; 32])).unwrap(), Pin::Set);
        assert!(matches!(
            pins.check(&a, PeerId([2; 32])),
            Err(PinError::Changed { is_set: true, .. })
        ));
        assert!(!file.exists());
    }

    #[test]
    fn damaged_file_is_never_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known-nodes");
        std::fs::write(&file, "node.lan:8444 0101\n").unwrap();
        let pins = NodePins::new(file.clone(), BTreeMap::new());
        let error = pins.remember(&node("other.lan:8444"), PeerId([1; 32])).unwrap_err();
        assert!(matches!(error, PinError::BadLine { line: 1, .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "node.lan:8444 0101\n");
    }
}
