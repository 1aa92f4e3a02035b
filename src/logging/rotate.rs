//! A log file that begins anew when it is full: `debug.log`, then `debug.log.1`, `debug.log.2`, …
//!
//! `tracing-appender` rotates by time only; the official settings say sizes. Runs on the log thread alone, so it may
//! block. It never returns an error: a line that cannot be written is counted, and the next one tries again, so logging
//! resumes by itself when a full disk has room.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
pub(super) struct RotatingFile {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    /// Open file and its size; `None` after a failure, until it can be opened again.
    current: Option<(File, u64)>,
    lost: Arc<AtomicU64>,
}

impl RotatingFile {
    /// Opens `path` to append to, and makes its directory.
    pub(super) fn open(path: &Path, max_bytes: u64, max_files: u32, lost: Arc<AtomicU64>) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            make_dir(dir)?;
        }
        Ok(Self {
            path: path.to_owned(),
            max_bytes,
            max_files,
            current: Some(open_to_append(path)?),
            lost,
        })
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let full = |size: u64| self.max_bytes > 0 && size > 0 && size.saturating_add(length) > self.max_bytes;
        if self.current.as_ref().is_some_and(|(_, size)| full(*size)) {
            self.current = None;
            self.shift_old_files()?;
        }
        let (file, size) = match &mut self.current {
            Some(current) => current,
            none => none.insert(open_to_append(&self.path)?),
        };
        // One write per line, so that two processes that append to one file do not mix their lines.
        file.write_all(line)?;
        *size += length;
        Ok(())
    }

    fn shift_old_files(&self) -> io::Result<()> {
        if self.max_files == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.max_files).rev() {
            ignore_missing(fs::rename(self.old_file(number), self.old_file(number + 1)))?;
        }
        ignore_missing(fs::rename(&self.path, self.old_file(1)))
    }

    fn old_file(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.write_line(line).is_err() {
            self.current = None;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    /// Called when the queue is empty: notices that somebody moved or removed the file, and goes on in a new one.
    fn flush(&mut self) -> io::Result<()> {
        if let Some((file, _)) = &self.current
            && !is_file_at(file, &self.path)
        {
            self.current = None;
        }
        Ok(())
    }
}

fn open_to_append(path: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, FILE_MODE);
    let file = options.open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIR_MODE);
    builder.create(dir)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_file_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// Log lines name machines, addresses and plot directories: for the owner and a group of log readers only.
#[cfg(unix)]
const FILE_MODE: u32 = 0o640;
#[cfg(unix)]
const DIR_MODE: u32 = 0o750;

#[cfg(test)]
mod tests {
    use super::*;

    fn file_in(dir: &tempfile::TempDir, max_bytes: u64, max_files: u32) -> (RotatingFile, Arc<AtomicU64>) {
        let lost = Arc::new(AtomicU64::new(0));
        let path = dir.path().join("log/debug.log");
        let file = RotatingFile::open(&path, max_bytes, max_files, Arc::clone(&lost)).unwrap();
        (file, lost)
    }

    fn files(dir: &tempfile::TempDir) -> Vec<(String, String)> {
        let mut all: Vec<_> = fs::read_dir(dir.path().join("log"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(&path).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_full_file_is_shifted_and_the_oldest_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = file_in(&dir, 10, 2);
        for line in ["one 1\n", "two 2\n", "three\n", "four\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let expected = [
            ("debug.log", "four\n"),
            ("debug.log.1", "three\n"),
            ("debug.log.2", "two 2\n"),
        ];
        assert_eq!(files(&dir), expected.map(|(n, t)| (n.to_owned(), t.to_owned())));
    }

    #[test]
    fn a_line_larger_than_the_limit_is_still_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, lost) = file_in(&dir, 4, 1);
        log.write_all(b"longer than four\n").unwrap();
        assert_eq!(files(&dir)[0].1, "longer than four\n");
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn appends_to_what_is_there_and_counts_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(file_in(&dir, 10, 1).0.write_all(b"12345678\n"));
        file_in(&dir, 10, 1).0.write_all(b"next\n").unwrap();
        assert_eq!(files(&dir).len(), 2);
    }

    #[test]
    fn zero_old_files_starts_over() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = file_in(&dir, 4, 0);
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(files(&dir), [("debug.log".to_owned(), "two\n".to_owned())]);
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, _) = file_in(&dir, 0, 1);
        log.write_all(b"old\n").unwrap();
        fs::rename(dir.path().join("log/debug.log"), dir.path().join("log/taken")).unwrap();
        log.flush().unwrap();
        log.write_all(b"new\n").unwrap();
        assert_eq!(files(&dir)[0], ("debug.log".to_owned(), "new\n".to_owned()));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_logging_resumes() {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, lost) = file_in(&dir, 0, 1);
        fs::remove_dir_all(dir.path().join("log")).unwrap();
        log.flush().unwrap();
        log.write_all(b"nowhere to go\n").unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        fs::create_dir(dir.path().join("log")).unwrap();
        log.write_all(b"back\n").unwrap();
        assert_eq!(files(&dir)[0].1, "back\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let lost = Arc::new(AtomicU64::new(0));
        let mut log = RotatingFile::open(Path::new("/dev/full"), 0, 1, Arc::clone(&lost)).unwrap();
        log.write_all(b"no room\n").unwrap();
        log.write_all(b"no room\n").unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 2);
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_read_the_log() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        drop(file_in(&dir, 0, 1));
        let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("log") & 0o027, mode("log/debug.log") & 0o137), (0, 0));
    }
}
