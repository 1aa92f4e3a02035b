//! Changing settings in their file: comments, order and anchors stay, and the file is replaced in one step.
//!
//! Each change is made in the text, parsed again and compared with what was wanted; a text that cannot be changed
//! safely is refused with the place to change by hand. The official software's lock file is held meanwhile, so that its
//! commands and ours do not overwrite each other.

mod rewrite;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::access;
use super::document::{Document, Node};
use super::error::ConfigError;
use super::files::{self, FileMode};
use super::host_port::HostPort;
use super::locate::{Part, Position, dotted, locate_value, parts};
use super::patience;
use super::root::Root;
use crate::logging::LogLevel;
use rewrite::TooIntricate;

/// Whether a change changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The settings say something else than before.
    Changed,
    /// They said so already.
    AlreadySo,
}

/// Why settings were not changed. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file cannot be read or is no settings file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The place is written in a way that is not edited here.
    #[error(
        "{}{}: {key} is written in a way that is not changed automatically",
        file.display(),
        at.map(|at| format!(":{at}")).unwrap_or_default()
    )]
    TooIntricate {
        /// The file.
        file: PathBuf,
        /// Where the value is, if it is there at all.
        at: Option<Position>,
        /// Its key, dotted.
        key: String,
    },
    /// Another program is changing the file.
    #[error("another program holds {}", lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
    },
    /// The file cannot be replaced.
    #[error("cannot write {}: {source}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A plot directory whose drive does not answer.
    #[error("cannot list {}: {}", path.display(), patience::no_answer())]
    NoAnswer {
        /// The path.
        path: PathBuf,
    },
    /// A plot directory that is none.
    #[error("{} is no directory: {reason}", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl EditError {
    /// What to do about it, where there is more to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::TooIntricate { .. } => Some("change it in an editor, then run `farmconsole config check`".into()),
            Self::Locked { .. } => Some("try again when the other command has ended".into()),
            Self::Unwritable { file, source } => access::hint_of(file, source),
            Self::NoAnswer { .. } => {
                Some("look at its drive, or for the server that it lies on; `dmesg` may say more".into())
            }
            Self::NoDirectory { .. } => None,
        }
    }
}

/// A settings file being changed. Nothing is written before [`Editor::save`].
#[derive(Debug)]
pub struct Editor {
    document: Document,
    outcome: Outcome,
    /// Held until this is dropped. None where the directory cannot take a lock file; writing then fails on its own.
    _lock: Option<File>,
}

impl Editor {
    /// Opens the settings of a root and waits up to five seconds for other commands that change them.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or another program does not let go of it.
    pub fn open(root: &Root) -> Result<Self, EditError> {
        let file = root.config_file();
        // Before taking a lock, which makes a file: where there are no settings there is nothing to lock.
        Document::load(&file)?;
        let lock = lock(&file)?;
        Ok(Self {
            document: Document::load(&file)?,
            outcome: Outcome::AlreadySo,
            _lock: lock,
        })
    }

    /// Sets `log_level` in section `logging` and in that of every service, as `chia configure --log-level` does.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_log_level(&mut self, level: LogLevel) -> Result<Outcome, EditError> {
        let value = Node::Text(level.word().to_owned());
        let mut outcome = self.set(&parts("logging.log_level"), &value)?;
        let Node::Map(sections) = self.document.root().clone() else {
            return Ok(outcome);
        };
        for section in sections
            .iter()
            .filter(|(_, node)| matches!(node.get("logging"), Some(Node::Map(_))))
        {
            let path = [section.0, "logging", "log_level"].map(|key| Part::Key(key.to_owned()));
            if self.set(&path, &value)? == Outcome::Changed {
                outcome = Outcome::Changed;
            }
        }
        Ok(outcome)
    }

    /// Sets the farmer that the harvester connects to: `harvester.farmer_peer` if it is there, else the first of
    /// `harvester.farmer_peers`, as `chia configure --set-farmer-peer` does.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_farmer_peer(&mut self, peer: &HostPort) -> Result<Outcome, EditError> {
        self.set_peer("harvester", "farmer", peer)
    }

    /// Makes this the only farmer that the harvester connects to: ours serves one, and a harvester that tells two farmers of its plots is
    /// thrown out by both, in the official software.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_only_farmer(&mut self, peer: &HostPort) -> Result<Outcome, EditError> {
        let mut outcome = self.set_farmer_peer(peer)?;
        let path = parts("harvester.farmer_peers");
        let one = self.document.root().at(&parts("harvester.farmer_peer"));
        let kept = usize::from(!matches!(one, Some(Node::Map(_))));
        while let Some(Node::List(peers)) = self.document.root().at(&path)
            && peers.len() > kept
        {
            let last = peers.len() - 1;
            let rewritten = rewrite::remove(&self.document, &path, last);
            outcome = self.accept(&path, rewritten, |root| {
                if let Some(Node::List(peers)) = make(root, &path) {
                    peers.pop();
                }
            })?;
        }
        Ok(outcome)
    }

    /// Sets `farmconsole.legacy_ca`.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_legacy_ca(&mut self, word: &str) -> Result<Outcome, EditError> {
        self.set(&parts("farmconsole.legacy_ca"), &Node::Text(word.to_owned()))
    }

    /// Sets the full node that the farmer connects to, in the same way.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_full_node_peer(&mut self, peer: &HostPort) -> Result<Outcome, EditError> {
        self.set_peer("farmer", "full_node", peer)
    }

    /// Sets where farmer rewards go.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_farmer_target(&mut self, address: &str) -> Result<Outcome, EditError> {
        self.set(&parts("farmer.xch_target_address"), &Node::Text(address.to_owned()))
    }

    /// Sets where pool rewards go.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn set_pool_target(&mut self, address: &str) -> Result<Outcome, EditError> {
        self.set(&parts("pool.xch_target_address"), &Node::Text(address.to_owned()))
    }

    /// Adds a plot directory, by its real absolute path.
    ///
    /// # Errors
    /// [`EditError::NoDirectory`] for a path that is none or cannot be written in UTF-8; [`EditError::NoAnswer`];
    /// [`EditError::TooIntricate`].
    pub fn add_plot_directory(&mut self, directory: &Path) -> Result<Outcome, EditError> {
        let refuse = |reason: String| EditError::NoDirectory {
            path: directory.to_path_buf(),
            reason,
        };
        let look = |path: PathBuf| path.canonicalize().map(|real| (real.is_dir(), real));
        let looked = patience::ask(directory.to_owned(), look).ok_or_else(|| EditError::NoAnswer {
            path: directory.to_owned(),
        })?;
        let (is_dir, real) = looked.map_err(|error| refuse(error.to_string()))?;
        if !is_dir {
            return Err(refuse("it is a file".to_owned()));
        }
        if !self.places_of(&real).is_empty() {
            return Ok(Outcome::AlreadySo);
        }
        let text = real
            .to_str()
            .ok_or_else(|| refuse("its name is not UTF-8".to_owned()))?;
        let item = Node::Text(text.to_owned());
        let path = parts(PLOT_DIRECTORIES);
        let rewritten = rewrite::push(&self.document, &path, &item);
        self.accept(&path, rewritten, |root| {
            if let Some(Node::List(items)) = make(root, &path) {
                items.push(item);
            }
        })
    }

    /// Removes a plot directory, whether it still exists or not.
    ///
    /// # Errors
    /// [`EditError::TooIntricate`].
    pub fn remove_plot_directory(&mut self, directory: &Path) -> Result<Outcome, EditError> {
        let path = parts(PLOT_DIRECTORIES);
        let mut outcome = Outcome::AlreadySo;
        for index in self.places_of(directory).into_iter().rev() {
            let rewritten = rewrite::remove(&self.document, &path, index);
            outcome = self.accept(&path, rewritten, |root| {
                if let Some(Node::List(items)) = make(root, &path) {
                    items.remove(index);
                }
            })?;
        }
        Ok(outcome)
    }

    /// Which of the plot directories are this one, by name or by where they are.
    fn places_of(&self, directory: &Path) -> Vec<usize> {
        let mut paths: Vec<_> = self.plot_directories().into_iter().map(PathBuf::from).collect();
        paths.push(directory.to_owned());
        let mut real = patience::real_paths(&paths);
        let real_directory = real.pop().flatten();
        paths.pop();
        let known = paths.iter().zip(real).enumerate();
        let same = known.filter(|(_, (path, real))| *path == directory || real.is_some() && *real == real_directory);
        same.map(|(place, _)| place).collect()
    }

    /// `harvester.plot_directories` as they are now.
    #[must_use]
    pub fn plot_directories(&self) -> Vec<String> {
        match self.document.root().at(&parts(PLOT_DIRECTORIES)) {
            Some(Node::List(items)) => items.iter().filter_map(Node::scalar_text).collect(),
            _ => Vec::new(),
        }
    }

    /// The text as it would be written.
    #[must_use]
    pub fn text(&self) -> String {
        self.document.file_content()
    }

    /// Replaces the file, if anything changed.
    ///
    /// # Errors
    /// [`EditError::Unwritable`]; the file is then as it was.
    pub fn save(self) -> Result<Outcome, EditError> {
        if self.outcome == Outcome::Changed {
            let file = self.document.file();
            files::replace_file(file, self.document.file_content().as_bytes(), FileMode::Kept).map_err(|source| {
                EditError::Unwritable {
                    file: file.to_path_buf(),
                    source,
                }
            })?;
        }
        Ok(self.outcome)
    }

    /// An editor of a text that lies nowhere.
    pub(super) fn of_text(text: &str) -> Result<Self, EditError> {
        Ok(Self {
            document: Document::parse(Path::new("config.yaml"), text.to_owned())?,
            outcome: Outcome::AlreadySo,
            _lock: None,
        })
    }

    /// Sets one word. An alias in its place gives way to the word; an anchor on it stays.
    pub(super) fn set(&mut self, path: &[Part], value: &Node) -> Result<Outcome, EditError> {
        if self.document.root().at(path) == Some(value) {
            return Ok(Outcome::AlreadySo);
        }
        let rewritten = rewrite::set(&self.document, path, value);
        self.accept(path, rewritten, |root| {
            if let Some(node) = make(root, path) {
                *node = value.clone();
            }
        })
    }

    fn set_peer(&mut self, section: &str, kind: &str, peer: &HostPort) -> Result<Outcome, EditError> {
        let (host, port) = (Node::Text(peer.host.clone()), Node::Int(peer.port.into()));
        let one = parts(&format!("{section}.{kind}_peer"));
        let many = parts(&format!("{section}.{kind}_peers"));
        let mut place = match (self.document.root().at(&one), self.document.root().at(&many)) {
            (Some(Node::Map(_)), _) => one,
            (_, Some(Node::List(peers))) if !peers.is_empty() => [many, vec![Part::Index(0)]].concat(),
            _ => {
                let item = Node::Map(BTreeMap::from([("host".to_owned(), host), ("port".to_owned(), port)]));
                let rewritten = rewrite::push(&self.document, &many, &item);
                return self.accept(&many, rewritten, |root| {
                    if let Some(node) = make(root, &many) {
                        *node = Node::List(vec![item]);
                    }
                });
            }
        };
        place.push(Part::Key("host".to_owned()));
        let changed_host = self.set(&place, &host)?;
        place.pop();
        place.push(Part::Key("port".to_owned()));
        let changed_port = self.set(&place, &port)?;
        Ok(if changed_host == Outcome::Changed {
            changed_host
        } else {
            changed_port
        })
    }

    /// Takes a rewritten text over if it means what `change` makes of the present values, and nothing else.
    fn accept(
        &mut self,
        path: &[Part],
        rewritten: Result<String, TooIntricate>,
        change: impl FnOnce(&mut Node),
    ) -> Result<Outcome, EditError> {
        let refuse = |document: &Document| EditError::TooIntricate {
            file: document.file().to_path_buf(),
            at: document.position(path),
            key: dotted(path),
        };
        let text = rewritten.map_err(|TooIntricate| refuse(&self.document))?;
        let Ok(document) = self.document.with_text(text) else {
            return Err(refuse(&self.document));
        };
        let mut wanted = self.document.root().clone();
        change(&mut wanted);
        let place = locate_value(document.text(), path);
        for other in differences(&wanted, document.root()) {
            // The same place under another name: an alias follows what it names, in the official software too.
            let follows = place.is_some()
                && locate_value(document.text(), &other) == place
                && document.root().at(&other) == wanted.at(path);
            if !follows {
                return Err(refuse(&self.document));
            }
        }
        self.document = document;
        self.outcome = Outcome::Changed;
        Ok(Outcome::Changed)
    }
}

const PLOT_DIRECTORIES: &str = "harvester.plot_directories";

/// The value at `path`, made of empty mappings (and an empty list for plot directories) where it is missing.
fn make<'n>(root: &'n mut Node, path: &[Part]) -> Option<&'n mut Node> {
    let mut node = root;
    for part in path {
        node = match (part, node) {
            (Part::Key(key), node @ (Node::Null | Node::Map(_))) => {
                if *node == Node::Null {
                    *node = Node::Map(BTreeMap::new());
                }
                let Node::Map(map) = node else { return None };
                map.entry(key.clone()).or_insert(Node::Null)
            }
            (Part::Index(index), Node::List(list)) => list.get_mut(*index)?,
            _ => return None,
        };
    }
    if *node == Node::Null && *path == parts(PLOT_DIRECTORIES) {
        *node = Node::List(Vec::new());
    }
    Some(node)
}

/// Paths at which two trees differ, as deep as they can be told apart.
fn differences(one: &Node, other: &Node) -> Vec<Vec<Part>> {
    fn walk(one: Option<&Node>, other: Option<&Node>, path: &mut Vec<Part>, found: &mut Vec<Vec<Part>>) {
        if one == other {
            return;
        }
        match (one, other) {
            (Some(Node::Map(a)), Some(Node::Map(b))) => {
                let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    path.push(Part::Key(key.clone()));
                    walk(a.get(key), b.get(key), path, found);
                    path.pop();
                }
            }
            (Some(Node::List(a)), Some(Node::List(b))) => {
                for index in 0..a.len().max(b.len()) {
                    path.push(Part::Index(index));
                    walk(a.get(index), b.get(index), path, found);
                    path.pop();
                }
            }
            _ => found.push(path.clone()),
        }
    }
    let mut found = Vec::new();
    walk(Some(one), Some(other), &mut Vec::new(), &mut found);
    found
}

fn lock(file: &Path) -> Result<Option<File>, EditError> {
    const TRIES: usize = 100;
    const PAUSE: Duration = Duration::from_millis(50);
    let mut lock = file.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    let Ok(handle) = files::open_lock_file(&lock) else {
        return Ok(None);
    };
    for _ in 0..TRIES {
        match handle.try_lock() {
            Ok(()) => return Ok(Some(handle)),
            Err(TryLockError::WouldBlock) => sleep(PAUSE),
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(EditError::Locked { lock })
}

#[cfg(test)]
mod tests;
