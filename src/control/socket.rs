//! The control socket as a file: its owner alone can use it, it is put back when somebody took it away, and who comes
//! when this process may open no more files is let in with a descriptor that was kept for that.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::config::access::{self, is_of_process};

/// Descriptors kept for clients that come when this process may open no more files: who asks what is wrong, or wants it
/// to end, is answered then too, beside a console or two.
const SPARE_DESCRIPTORS: usize = 4;

/// Between two looks at whether the socket is still where it was bound. Cleaners of temporary directories take sockets
/// away, and so does who puts a root back from a backup.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the control socket {path}: {source}")]
pub struct BindError {
    /// Socket.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl BindError {
    /// What to do about it, where it lies in whose the socket is, or in its file system.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        access::hint_of(&self.path, &self.source)
    }
}

/// A bound socket with mode 0600; removed from the file system when dropped.
#[derive(Debug)]
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: UnixListener,
    place: Place,
    spares: Spares,
    /// The next look: whether nothing is there.
    look: JoinHandle<bool>,
}

/// A file, whatever its name: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(u64, u64);

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        std::fs::symlink_metadata(path).map(|it| Self(it.dev(), it.ino()))
    }
}

impl ControlSocket {
    /// Binds `path`, in place of what is there.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let bound = match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => bind(path),
        };
        let (listener, place) = bound.map_err(|source| BindError {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            place,
            spares: Spares::taken(),
            look: look(path),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a descriptor for the next client, if there is one to keep.
    pub(super) fn keep_descriptors(&mut self) {
        self.spares.fill();
    }

    /// The next client. Loses nobody when it is dropped.
    pub(super) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                is_gone = &mut self.look => {
                    if is_gone.unwrap_or_default() {
                        self.put_back();
                    }
                    self.look = look(&self.path);
                    continue;
                }
            };
            match accepted {
                Ok((stream, _)) => return Ok(stream),
                Err(error) if is_of_process(&error) && self.spares.give_one() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Binds the path again, if nobody else did. Fails while its directory is gone, and is tried again.
    fn put_back(&mut self) {
        match bind(&self.path) {
            Ok((listener, place)) => {
                tracing::warn!(target: "control", "{} was gone: it is put back", self.path.display());
                (self.listener, self.place) = (listener, place);
            }
            Err(error) => {
                tracing::debug!(target: "control", "put {} back: {error}", self.path.display());
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.look.abort();
        // A farmer on a root that was put anew into this one's place has a socket of its own there. Nothing can be done
        // about one that cannot be removed; the next holder of the lock replaces it.
        if Place::of(&self.path).is_ok_and(|place| place == self.place) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Fails if there is something at `path`.
fn bind(path: &Path) -> io::Result<(UnixListener, Place)> {
    let listener = UnixListener::bind(path)?;
    let place = std::fs::set_permissions(path, Permissions::from_mode(0o600)).and_then(|()| Place::of(path));
    // One that nobody serves must not stand in the way of the next.
    let place = place.inspect_err(|_| drop(std::fs::remove_file(path)))?;
    Ok((listener, place))
}

/// Looks after a while. In a task of its own, because a disk that hangs must keep nobody from being let in.
fn look(path: &Path) -> JoinHandle<bool> {
    let path = path.to_owned();
    tokio::spawn(async move {
        tokio::time::sleep(LOOK_EVERY).await;
        let there = tokio::fs::symlink_metadata(path).await;
        there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    })
}

/// Descriptors that are held for nothing but to be given up when there are no others.
#[derive(Debug)]
struct Spares(Vec<File>);

impl Spares {
    fn taken() -> Self {
        let mut spares = Self(Vec::with_capacity(SPARE_DESCRIPTORS));
        spares.fill();
        spares
    }

    /// Takes as many as there should be, as far as there are.
    fn fill(&mut self) {
        while self.0.len() < SPARE_DESCRIPTORS {
            let Ok(file) = File::open("/dev/null") else { return };
            self.0.push(file);
        }
    }

    /// Whether there was one to give up.
    fn give_one(&mut self) -> bool {
        self.0.pop().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn socket_that_was_taken_away_is_put_back_when_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        std::fs::create_dir(&run).unwrap();
        let path = run.join("control.sock");
        let mut socket = ControlSocket::bind(&path).unwrap();
        let serving = tokio::spawn(async move {
            for _ in 0..2 {
                socket.accept().await.unwrap();
            }
        });
        UnixStream::connect(&path).await.unwrap();
        std::fs::remove_dir_all(&run).unwrap();
        tokio::time::sleep(3 * LOOK_EVERY).await;
        assert!(!serving.is_finished());
        std::fs::create_dir(&run).unwrap();
        tokio::time::sleep(2 * LOOK_EVERY).await;
        UnixStream::connect(&path).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        serving.await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn socket_of_another_farmer_in_its_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let mut first = ControlSocket::bind(&path).unwrap();
        let second = ControlSocket::bind(&path).unwrap();
        let accepted = tokio::time::timeout(3 * LOOK_EVERY, first.accept()).await;
        assert!(accepted.is_err());
        drop(first);
        assert_eq!(Place::of(&path).unwrap(), second.place);
        drop(second);
        assert!(!path.exists());
    }
}
