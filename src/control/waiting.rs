//! What somebody who starts on a root, and cannot yet, tells those who ask: the control socket is bound later.
//!
//! A file with the number of the process and what it waits for, locked for as long as that is true: one that a killed
//! process has left means nothing. It is no right to the root, which [`super::RootLock`] is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Says that this process waits, until it is dropped.
#[derive(Debug)]
pub struct Waiting {
    path: PathBuf,
    _file: File,
}

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Its process.
    pub pid: u32,
    /// What it waits for, a fragment.
    pub what: String,
}

impl Waiting {
    /// Tells at `path` what this process waits for.
    ///
    /// # Errors
    /// When another process tells it there, or somebody reads just then ([`io::ErrorKind::WouldBlock`]); else what the
    /// file system answers.
    pub fn tell(path: &Path, what: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        file.try_lock()?;
        file.set_len(0)?;
        write!(file, "{}\n{what}", std::process::id())?;
        Ok(Self {
            path: path.to_owned(),
            _file: file,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // What stays is not locked, and means nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Waiter {
    /// Who waits at `path`, if somebody does.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let Err(TryLockError::WouldBlock) = file.try_lock_shared() else {
            return None;
        };
        let mut text = String::new();
        (&mut file).take(LONGEST).read_to_string(&mut text).ok()?;
        let (pid, what) = text.split_once('\n')?;
        Some(Self {
            pid: pid.parse().ok()?,
            what: what.to_owned(),
        })
    }
}

/// Longest text that is read, bytes.
const LONGEST: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_waits_for_is_known_as_long_as_it_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        assert_eq!(Waiter::at(&path), None);
        let waiting = Waiting::tell(&path, "its port").unwrap();
        let waiter = Waiter {
            pid: std::process::id(),
            what: "its port".to_owned(),
        };
        assert_eq!(Waiter::at(&path), Some(waiter));
        let refused = Waiting::tell(&path, "another port").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(waiting);
        assert_eq!(Waiter::at(&path), None);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_has_left_means_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waiting");
        std::fs::write(&path, "1234567\na port that was longer than the next").unwrap();
        assert_eq!(Waiter::at(&path), None);
        let _waiting = Waiting::tell(&path, "its port").unwrap();
        assert_eq!(Waiter::at(&path).map(|it| it.what).as_deref(), Some("its port"));
    }
}
