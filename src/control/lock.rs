//! The right to run on a root: a file lock held for life.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::access;

/// Why the root could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else runs on this root.
    #[error("another farmconsole{} runs on this root: {path} is locked", .pid.map_or(String::new(), |p| format!(" (process {p})")))]
    Held {
        /// Lock file.
        path: PathBuf,
        /// Who, if the file says so.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("lock {path}: {source}")]
    Io {
        /// Lock file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl LockError {
    /// What to do about it, where it lies in whose the file is, or in its file system.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => None,
            Self::Io { path, source } => access::hint_of(path, source),
        }
    }
}

/// Held while this value lives; the operating system releases it when the process dies, however it dies.
#[derive(Debug)]
pub struct RootLock {
    _file: File,
}

impl RootLock {
    /// Takes the lock at `path`, making its directory (0700) and file (0600) if they are missing.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it, [`LockError::Io`] when the file cannot be opened.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(dir) = path.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(io)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(LockError::Held {
                    path: path.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        // Who has the lock is good to know for whoever is refused. A full disk must not keep a farm from farming for it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_another_user_may_not_open_says_whose_it_is() {
        let refused = |kind: std::io::ErrorKind| LockError::Io {
            path: "/no-such-root/lock".into(),
            source: kind.into(),
        };
        let hint = refused(std::io::ErrorKind::PermissionDenied).hint().unwrap();
        assert!(hint.contains("user"), "{hint}");
        let hint = refused(std::io::ErrorKind::ReadOnlyFilesystem).hint().unwrap();
        assert!(hint.contains("read-only"), "{hint}");
        assert_eq!(refused(std::io::ErrorKind::IsADirectory).hint(), None);
    }

    #[test]
    fn second_taker_is_told_who_holds_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/lock");
        let first = RootLock::take(&path).unwrap();
        let refused = RootLock::take(&path).unwrap_err();
        assert!(
            matches!(refused, LockError::Held { pid: Some(pid), .. } if pid == std::process::id()),
            "{refused}"
        );
        drop(first);
        RootLock::take(&path).unwrap();
    }
}
