//! Where everything of one farm lies: the paths inside a root directory.

use std::fmt;
use std::path::{Path, PathBuf};

use super::files;

/// Whether a root was made by farmconsole or by the official software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootKind {
    /// Made by `farmconsole init`: all of it is ours.
    Own,
    /// A root of the official software: nothing outside `farmconsole/` is written unless a command says so.
    Adopted,
}

/// A root directory, laid out as the official software lays out its own. A value: making one touches nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Root {
    dir: PathBuf,
}

impl Root {
    /// The root at `dir`, which need not exist.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `config/config.yaml`: the settings, in Chia's dialect.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("config/config.yaml")
    }

    /// `config/ssl`: certificates and their keys.
    #[must_use]
    pub fn ssl_dir(&self) -> PathBuf {
        self.dir.join("config/ssl")
    }

    /// `farmconsole`: all that only we write.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("farmconsole")
    }

    /// `farmconsole/control.sock`: the local endpoint of the farmer that runs on this root.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.state_dir().join("control.sock")
    }

    /// `farmconsole/lock`: held for life by the process that farms on this root.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.state_dir().join("lock")
    }

    /// `farmconsole/waiting`: what a process waits for that starts on this root and cannot yet.
    #[must_use]
    pub fn waiting_file(&self) -> PathBuf {
        self.state_dir().join("waiting")
    }

    /// `farmconsole/cache/plots`: what is known of plots from the last run. Nothing is lost with it but time.
    #[must_use]
    pub fn plot_cache_file(&self) -> PathBuf {
        self.state_dir().join("cache/plots")
    }

    /// `farmconsole/farming-keys.yaml`: the secret keys that farming needs.
    #[must_use]
    pub fn keys_file(&self) -> PathBuf {
        self.state_dir().join("farming-keys.yaml")
    }

    /// `farmconsole/history.sqlite`: what became of every signage point, proof and incident.
    #[must_use]
    pub fn history_file(&self) -> PathBuf {
        self.state_dir().join("history.sqlite")
    }

    /// `farmconsole/alarm-memory.json`: what people have said about alarms.
    #[must_use]
    pub fn alarm_memory_file(&self) -> PathBuf {
        self.state_dir().join("alarm-memory.json")
    }

    /// `pooling/pooling_share_state.yaml`: the pools this farm has joined, as the wallet writes it. Only read.
    #[must_use]
    pub fn pooling_file(&self) -> PathBuf {
        self.dir.join("pooling/pooling_share_state.yaml")
    }

    /// `farmconsole/known-nodes`: the certificates of full nodes, as they were first seen.
    #[must_use]
    pub fn known_nodes_file(&self) -> PathBuf {
        self.state_dir().join("known-nodes")
    }

    /// `farmconsole/last-look.json`: what a person saw of the farm last. Nothing is lost with it but a summary.
    #[must_use]
    pub fn last_look_file(&self) -> PathBuf {
        self.state_dir().join("last-look.json")
    }

    /// `farmconsole/harvesters.json`: the harvesters of the farm and their certificates.
    #[must_use]
    pub fn registry_file(&self) -> PathBuf {
        self.state_dir().join("harvesters.json")
    }

    /// `farmconsole/audit.log`: what was done with certificates.
    #[must_use]
    pub fn audit_file(&self) -> PathBuf {
        self.state_dir().join("audit.log")
    }

    /// `farmconsole/trusted-time`: a moment that has certainly passed, unix seconds.
    #[must_use]
    pub fn trusted_time_file(&self) -> PathBuf {
        self.state_dir().join("trusted-time")
    }

    /// `farmconsole/ca`: the farm's own certificate authorities, with their keys.
    #[must_use]
    pub fn farm_ca_dir(&self) -> PathBuf {
        self.state_dir().join("ca")
    }

    /// `farmconsole/membership.json`: certificate and key with which the harvester of this root joined a farm.
    #[must_use]
    pub fn membership_file(&self) -> PathBuf {
        self.state_dir().join("membership.json")
    }

    /// The log file where settings do not say otherwise: `log/debug.log`, in an adopted root
    /// `farmconsole/log/debug.log`, so that two programs never rotate one file.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        match self.kind() {
            RootKind::Own => self.dir.join(DEFAULT_LOG_FILENAME),
            RootKind::Adopted => self.state_dir().join(DEFAULT_LOG_FILENAME),
        }
    }

    /// Who made this root. A root without our marker is taken for the official software's: the cautious answer.
    #[must_use]
    pub fn kind(&self) -> RootKind {
        if self.own_marker().is_file() {
            RootKind::Own
        } else {
            RootKind::Adopted
        }
    }

    /// Makes [`Self::state_dir`], private, where it is missing.
    ///
    /// # Errors
    /// Whatever the file system answers.
    pub fn create_state_dir(&self) -> std::io::Result<()> {
        files::create_private_dirs(&self.state_dir())
    }

    /// Removes what writers of this root's files have left that were killed. Some of it may be secret.
    pub fn remove_leftovers(&self) {
        for dir in [self.state_dir(), self.farm_ca_dir(), self.dir.join("config")] {
            files::remove_leftovers(&dir, None);
        }
    }

    /// The file that says that we made this root.
    pub(crate) fn own_marker(&self) -> PathBuf {
        self.state_dir().join("own-root")
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dir.display().fmt(f)
    }
}

/// Chia's default of `logging.log_filename`, relative to the root.
pub(super) const DEFAULT_LOG_FILENAME: &str = "log/debug.log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_without_our_marker_keeps_its_log_to_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert_eq!(root.kind(), RootKind::Adopted);
        assert_eq!(root.log_file(), dir.path().join("farmconsole/log/debug.log"));
        root.create_state_dir().unwrap();
        std::fs::write(root.own_marker(), "").unwrap();
        assert_eq!(root.kind(), RootKind::Own);
        assert_eq!(root.log_file(), dir.path().join("log/debug.log"));
    }
}
