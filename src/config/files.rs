//! Files as a root needs them: read with a limit, replaced atomically, private by default.
//!
//! Whatever the umask says, a file gets exactly the mode asked for, and a crash at any moment leaves either the old
//! content or the new one, never a part of either. Knows nothing of what the files mean.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Mode of private keys and of settings: the owner alone.
pub const PRIVATE_FILE: u32 = 0o600;
/// Mode of certificates, as the official software gives them.
pub const CERTIFICATE_FILE: u32 = 0o644;
/// Mode of every directory made here.
pub const PRIVATE_DIR: u32 = 0o700;

/// Which mode a replaced file gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Exactly this one.
    Exactly(u32),
    /// That of the file it replaces (and its owner, where we may); [`PRIVATE_FILE`] when there was none.
    Kept,
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As reading does; [`io::ErrorKind::FileTooLarge`] for more than `limit` bytes and [`io::ErrorKind::InvalidInput`] for
/// what is no regular file (opening a FIFO would wait for ever).
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {kind}")));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        ));
    }
    Ok(bytes)
}

/// Replaces `path` by `content`: temporary file beside it, fsync, rename, fsync of the directory. A symbolic link stays
/// one; the file it points to is replaced.
///
/// # Errors
/// Whatever the file system answers; the old content is then still there.
pub fn replace_file(path: &Path, content: &[u8], mode: FileMode) -> io::Result<()> {
    let path = resolve_link(path)?;
    let directory = parent_of(&path);
    let temporary = temporary_beside(&path);
    remove_leftovers(&directory, path.file_name());
    let old = fs::metadata(&path).ok();
    let mode = match (mode, &old) {
        (FileMode::Exactly(mode), _) => mode,
        (FileMode::Kept, Some(old)) => mode_of(old),
        (FileMode::Kept, None) => PRIVATE_FILE,
    };
    // Held, and with it the lock, until nobody takes the file for a leftover any more.
    let result = write_new(&temporary, content, mode, old.as_ref())
        .and_then(|written| fs::rename(&temporary, &path).map(|()| written));
    if let Err(error) = result {
        // The error that matters is the first one; a temporary file that cannot be removed is removed by the next try.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync_directory(&directory)
}

/// Opens a file that is there to be locked, and makes it if need be. What is in it stays.
///
/// # Errors
/// Whatever the file system answers.
pub fn open_lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(PRIVATE_FILE);
    }
    options.open(path)
}

/// Makes `path` and its missing parents, each with [`PRIVATE_DIR`]. Directories that are there keep their mode.
///
/// # Errors
/// Whatever the file system answers, also when something that is no directory is in the way.
pub fn create_private_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    if parent != path {
        create_private_dirs(&parent)?;
    }
    match fs::create_dir(path) {
        // Lost a race against another process of ours: it sets the same mode.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        other => other?,
    }
    set_mode(path, PRIVATE_DIR)?;
    sync_directory(&parent)
}

/// Permission bits of a file, `0o777` part only. Zero where the platform has none.
#[must_use]
pub fn mode_of(metadata: &fs::Metadata) -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        metadata.mode() & 0o777
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// The permission bits of a file that others than its owner may read, write or execute; nothing if it is the owner's
/// alone.
#[must_use]
pub fn open_to_others(metadata: &fs::Metadata) -> Option<u32> {
    Some(mode_of(metadata)).filter(|mode| mode & 0o077 != 0)
}

/// Owner of a file and the user this process runs as, if those are two. Also root counts: a program of that owner might
/// be meant.
#[must_use]
pub fn foreign_owner(metadata: &fs::Metadata) -> Option<(u32, u32)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
        (owner != us).then_some((owner, us))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Writes chance over a file, as far as the file system lets it reach the same place, and removes it. On an SSD, on a
/// file system that copies on write (btrfs, ZFS), in snapshots and in backups, the old content may live on.
///
/// # Errors
/// Whatever the file system answers; a symbolic link is refused, since what it points to may be meant for others.
pub fn shred(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut file = OpenOptions::new().write(true).open(path)?;
    let mut left = metadata.len();
    let mut chance = [0; 4096];
    while left > 0 {
        getrandom::fill(&mut chance)?;
        let now = left.min(chance.len() as u64);
        // At most 4096.
        file.write_all(&chance[..usize::try_from(now).unwrap_or(chance.len())])?;
        left -= now;
    }
    file.sync_all()?;
    drop(file);
    fs::remove_file(path)?;
    sync_directory(&parent_of(path))
}

/// Gives a damaged file another name beside it, one that is free: `NAME.damaged`, then `NAME.damaged-2` and so on.
///
/// # Errors
/// Whatever the file system answers.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default();
    for number in 1_u32.. {
        let mut to = name.to_owned();
        to.push(".damaged");
        if number > 1 {
            to.push(format!("-{number}"));
        }
        let to = path.with_file_name(to);
        if fs::symlink_metadata(&to).is_err() {
            fs::rename(path, &to)?;
            return Ok(to);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Sets the permission bits of a file or directory; does nothing where the platform has none.
///
/// # Errors
/// Whatever the file system answers.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}

/// Whether a file name is one that [`replace_file`] uses for a moment.
#[must_use]
pub fn is_temporary(name: &OsStr) -> bool {
    writer_of(name).is_some()
}

/// What a file was to be called, if [`replace_file`] was killed while it wrote it.
#[must_use]
pub fn leftover_of(path: &Path) -> Option<String> {
    let (name, writer) = writer_of(path.file_name()?)?;
    if !fs::symlink_metadata(path).ok()?.is_file() || writer != std::process::id() && is_running(writer) {
        return None;
    }
    // A number says nothing of a writer in another container; the lock does.
    match File::open(path).map(|file| file.try_lock()) {
        Ok(Err(TryLockError::WouldBlock)) => None,
        _ => Some(name),
    }
}

/// Removes what killed writers have left in a directory: of one file, or of all. What is in it may be secret, and is written
/// over. Best effort; what stays is for the next one.
pub fn remove_leftovers(directory: &Path, of: Option<&OsStr>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = writer_of(&entry.file_name()).map(|(name, _)| name);
        let is_meant = name.is_some_and(|name| of.is_none_or(|of| of.to_string_lossy() == name));
        if is_meant && leftover_of(&entry.path()).is_some() {
            let _ = shred(&entry.path());
        }
    }
}

/// The file that a temporary one is for, and the process that writes it.
fn writer_of(name: &OsStr) -> Option<(String, u32)> {
    let name = name.to_string_lossy();
    let inner = name.strip_prefix('.')?.strip_suffix(".tmp")?;
    let (name, process) = inner.rsplit_once('.')?;
    let is_number = !process.is_empty() && process.bytes().all(|digit| digit.is_ascii_digit());
    Some((name.to_owned(), process.parse().ok()?)).filter(|_| is_number)
}

/// Whether there is a process with this number; also if that cannot be found out.
fn is_running(process: u32) -> bool {
    #[cfg(unix)]
    {
        let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
        process.is_some_and(|it| rustix::process::test_kill_process(it) != Err(rustix::io::Errno::SRCH))
    }
    #[cfg(not(unix))]
    {
        let _ = process;
        true
    }
}

fn write_new(path: &Path, content: &[u8], mode: u32, old: Option<&fs::Metadata>) -> io::Result<File> {
    // Left by a process with our number that was killed between creating and renaming it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(PRIVATE_FILE);
    }
    let mut file = options.open(path)?;
    // A file system without locks, or somebody who looks whether the writer still lives.
    let _ = file.try_lock();
    keep_owner(&file, old);
    file.write_all(content)?;
    set_mode(path, mode)?;
    file.sync_all()?;
    Ok(file)
}

/// An edit by root must not take a file away from the user whose software reads it. Without the right to give files
/// away the owner is the same anyway.
fn keep_owner(file: &File, old: Option<&fs::Metadata>) {
    #[cfg(unix)]
    if let Some(old) = old {
        use std::os::unix::fs::{MetadataExt, fchown};
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
    #[cfg(not(unix))]
    let _ = (file, old);
}

fn resolve_link(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_path_buf()),
    }
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => path.to_path_buf(),
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return File::open(directory)?.sync_all();
    #[cfg(not(unix))]
    {
        let _ = directory;
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        mode_of(&fs::metadata(path).unwrap())
    }

    #[test]
    fn replaced_file_has_the_mode_asked_for_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings");
        replace_file(&path, b"one", FileMode::Exactly(0o640)).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"one".to_vec(), 0o640));
        replace_file(&path, b"two", FileMode::Kept).unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"two".to_vec(), 0o640));
        replace_file(&path, b"three", FileMode::Exactly(PRIVATE_FILE)).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn temporary_names_are_recognized() {
        let name = temporary_beside(Path::new("/a/private_ca.key"));
        assert!(is_temporary(name.file_name().unwrap()));
        for other in ["private_ca.key", ".hidden.tmp", "notes.1.tmp", ".a.b.tmp"] {
            assert!(!is_temporary(OsStr::new(other)), "{other}");
        }
    }

    #[test]
    fn what_killed_writers_left_is_removed_by_the_next_one_and_nothing_of_a_living_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let beside = |name: &str, process: u32| dir.path().join(format!(".{name}.{process}.tmp"));
        let (dead, living) = (ended.id(), std::os::unix::process::parent_id());
        let (of_dead, own) = (beside("keys.yaml", dead), beside("keys.yaml", std::process::id()));
        let kept = [
            beside("keys.yaml", living),
            beside("other", dead),
            dir.path().join(".keys.yaml.tmp"),
        ];
        for path in [&of_dead, &own].into_iter().chain(&kept) {
            fs::write(path, b"secret").unwrap();
        }
        replace_file(&path, b"new", FileMode::Exactly(PRIVATE_FILE)).unwrap();
        assert!(!of_dead.exists() && !own.exists());
        assert!(kept.iter().all(|it| it.exists()), "{kept:?}");

        // A writer in another container: its number says nothing.
        let file = File::open(&kept[1]).unwrap();
        file.try_lock().unwrap();
        remove_leftovers(dir.path(), None);
        assert!(kept.iter().all(|it| it.exists()), "{kept:?}");
        drop(file);
        assert_eq!(leftover_of(&kept[1]).as_deref(), Some("other"));
        remove_leftovers(dir.path(), None);
        assert_eq!(kept.map(|it| it.exists()), [true, false, true]);
    }

    #[test]
    fn link_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, b"old").unwrap();
        symlink(&real, &link).unwrap();
        replace_file(&link, b"new", FileMode::Kept).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn failed_replacement_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("settings");
        fs::create_dir(&path).unwrap();
        assert!(replace_file(&path, b"new", FileMode::Kept).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn new_directories_are_private_and_old_ones_untouched() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755).unwrap();
        create_private_dirs(&dir.path().join("a/b")).unwrap();
        assert_eq!(mode(dir.path()), 0o755);
        assert_eq!(
            (mode(&dir.path().join("a")), mode(&dir.path().join("a/b"))),
            (0o700, 0o700)
        );
    }

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap(), b"12345");
        assert_eq!(read_limited(&path, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(
            read_limited(dir.path(), 4).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            read_limited(Path::new("/dev/zero"), 4).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
