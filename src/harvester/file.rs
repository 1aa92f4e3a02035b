//! Opening a plot file safely, telling whether it is still the same file, and naming it to the farmer.

use std::borrow::{Borrow, Cow};
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use crate::config::access::is_of_process;
use crate::pos::ReadAt;

/// An open plot file.
#[derive(Debug)]
pub struct PlotFile {
    file: File,
    metadata: Metadata,
}

impl PlotFile {
    /// Opens a regular file for reading. A FIFO or device named like a plot is refused instead of waited for.
    ///
    /// # Errors
    /// The operating system's, or `InvalidInput` for anything but a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, metadata })
    }

    /// Number of the file system it lies on.
    #[must_use]
    pub fn volume(&self) -> u64 {
        self.metadata.dev()
    }

    /// State of the file when it was opened.
    #[must_use]
    pub fn stamp(&self) -> FileStamp {
        FileStamp::of(&self.metadata)
    }
}

impl ReadAt for PlotFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.metadata.len()
    }
}

/// Where a plot file is: shared, and compared as bytes, because paths are compared by their components, which takes ten times
/// as long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlotPath(Arc<OsStr>);

impl PlotPath {
    /// What is shared.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl From<&Path> for PlotPath {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().into())
    }
}

impl From<PathBuf> for PlotPath {
    fn from(path: PathBuf) -> Self {
        Self(path.into_os_string().into())
    }
}

impl Deref for PlotPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.as_path()
    }
}

impl Borrow<OsStr> for PlotPath {
    fn borrow(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Debug for PlotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

/// Size of a file and times of its last changes: another stamp is perhaps another file, though its name be the same.
///
/// The number of the inode is no part of it: some network and user space file systems give a file another one at times.
/// A file put in the place of another has another time of change, also if its time of modification was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStamp {
    pub(super) size: u64,
    pub(super) modified_s: i64,
    pub(super) modified_ns: i64,
    pub(super) changed_s: i64,
    pub(super) changed_ns: i64,
}

impl FileStamp {
    /// The stamp of a file of which the system says this.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
            changed_s: metadata.ctime(),
            changed_ns: metadata.ctime_nsec(),
        }
    }

    /// Whether nothing was written in between, as far as size and time of modification tell: a new owner, mode or hard
    /// link changes a stamp, and no content.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        (self.size, self.modified_s, self.modified_ns) == (other.size, other.modified_s, other.modified_ns)
    }
}

/// The name under which the farmer knows a file: its path; or, if that is no UTF-8, a `file:` URL of it. Paths are
/// absolute, so no two files have the same name.
#[must_use]
pub fn plot_name(path: &Path) -> String {
    name_of(path).into_owned()
}

/// As [`plot_name`], without a copy where the path is the name.
pub(super) fn name_of(path: &Path) -> Cow<'_, str> {
    if let Some(name) = path.to_str() {
        return Cow::Borrowed(name);
    }
    let mut name = NAME_OF_OTHERS.to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => name.push(char::from(*byte)),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    Cow::Owned(name)
}

/// What the names of files begin with whose paths are no UTF-8, and no path does: paths of plots are absolute.
pub(super) const NAME_OF_OTHERS: &str = "file://";

/// What to do about a file or directory that may not be opened, behind the error.
pub(super) fn open_hint(error: &io::Error) -> String {
    if is_of_process(error) {
        return "; let the harvester open more files (`ulimit -n`; systemd: LimitNOFILE=), or give it more memory, and start \
                it anew"
            .to_owned();
    }
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let user = rustix::process::geteuid().as_raw();
    format!("; the harvester runs as user {user}: let that user read it, with chmod or chown")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn every_path_has_a_name_of_its_own() {
        let name = |bytes: &[u8]| plot_name(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name("/p/grün 1.plot".as_bytes()), "/p/grün 1.plot");
        assert_eq!(name(b"/p/\xff 1%.plot"), "file:///p/%FF%201%25.plot");
        assert_eq!(name(b"/p/\xfe 1%.plot"), "file:///p/%FE%201%25.plot");
        assert_eq!(name(b"/p/\xff\xef\xbf\xbd.plot"), "file:///p/%FF%EF%BF%BD.plot");
    }
}
