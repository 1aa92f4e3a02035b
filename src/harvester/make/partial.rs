//! A plot file on its way: written in a directory of its own beside its place, and moved there only once it is whole.
//!
//! The directory is what makes giving up safe at any moment: when it is gone, whoever still writes in it can neither
//! make the file again nor move it to its place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Partial {
    directory: PathBuf,
    file: PathBuf,
    target: PathBuf,
}

impl Partial {
    /// Makes room for what will be `target`, and its directory if need be.
    pub(super) fn begin(target: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let parent = target.parent().unwrap_or_else(|| Path::new("."));
        fs::create_dir_all(parent)?;
        // No harvester takes it for a plot, no other process uses it.
        let stem = target.file_stem().unwrap_or_default().to_string_lossy();
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = parent.join(format!("{stem}.{process}-{count}.tmp"));
        match fs::create_dir(&directory) {
            // A process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&directory)?;
                fs::create_dir(&directory)?;
            }
            made => made?,
        }
        Ok(Self {
            file: directory.join("new.tmp"),
            directory,
            target: target.to_owned(),
        })
    }

    /// The file to write.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Moves the file to its place, once the disk has it. A file that is there already stays.
    ///
    /// # Errors
    /// `AlreadyExists` then; or any other of the disk.
    pub(super) fn finish(&self) -> io::Result<()> {
        File::open(&self.file)?.sync_all()?;
        rename_to_free_name(&self.file, &self.target)?;
        if let Some(parent) = self.target.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    /// Removes what was written so far; whoever writes it fails from here on.
    pub(super) fn discard(&self) {
        for _ in 0..DISCARD_ATTEMPTS {
            // A file may be made between the look and the removal.
            match fs::remove_dir_all(&self.directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => return,
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.discard();
    }
}

fn rename_to_free_name(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise it. The name has the plot's id, so only the same plot can be in the way.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// More than one is only needed against a writer that begins in the same microsecond.
const DISCARD_ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("below/plot-k18-ab.plot");
        let partial = Partial::begin(&target).unwrap();
        fs::write(partial.file(), b"half").unwrap();
        let below = target.parent().unwrap();
        assert!(names(below).iter().all(|name| !name.contains(".plot")));
        partial.finish().unwrap();
        drop(partial);
        assert_eq!(names(below), ["plot-k18-ab.plot"]);

        let given_up = Partial::begin(&below.join("b.plot")).unwrap();
        fs::write(given_up.file(), b"half").unwrap();
        given_up.discard();
        assert!(fs::write(given_up.file(), b"more").is_err(), "its writer fails");
        assert!(given_up.finish().is_err());
        drop(given_up);
        assert_eq!(names(below), ["plot-k18-ab.plot"]);
    }

    #[test]
    fn a_file_that_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.plot");
        let partial = Partial::begin(&target).unwrap();
        fs::write(partial.file(), b"new").unwrap();
        fs::write(&target, b"old").unwrap();
        assert_eq!(partial.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        drop(partial);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["a.plot"]);
    }
}
