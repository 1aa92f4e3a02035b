//! What to do when a file cannot be read or written, and it lies in no fault of the file itself.

use std::fs;
use std::io;
use std::path::Path;

use super::shell_word;

/// What to do about an error with a file, if it lies in whose the file is, or in its file system.
#[must_use]
pub fn hint_of(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(denied(path)),
        io::ErrorKind::ReadOnlyFilesystem => Some(format!(
            "the file system of {} is mounted read-only: mount it for writing, or, if a service manager does that, let it \
             write there (systemd: ReadWritePaths=)",
            shell_word(path)
        )),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some(format!("make room on the file system of {}", shell_word(path)))
        }
        _ => is_of_process(error).then(|| {
            "this process may open no more files, or has no memory left: let it open more (`ulimit -n`; systemd: \
             LimitNOFILE=), or give it more memory"
                .to_owned()
        }),
    }
}

/// Whether an error says something of this process and its limits, and nothing of what it opens or reads.
#[cfg(unix)]
#[must_use]
pub fn is_of_process(error: &io::Error) -> bool {
    use rustix::io::Errno;

    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM)
    )
}

/// Whether an error says something of this process and its limits, and nothing of what it opens or reads.
#[cfg(not(unix))]
#[must_use]
pub fn is_of_process(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// Runs farmconsole as another user.
#[must_use]
pub fn run_as(user: u32) -> String {
    format!("run farmconsole as that user: `sudo -u '#{user}' farmconsole …`")
}

#[cfg(unix)]
fn denied(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    let us = rustix::process::geteuid().as_raw();
    // What is in a closed directory cannot even be looked at: then the directory says whose it is.
    let mut there = path
        .ancestors()
        .filter_map(|it| Some((it, fs::symlink_metadata(it).ok()?)))
        // A file that this user may read and write lies in a directory of somebody else.
        .skip_while(|(_, it)| it.is_file() && it.uid() == us && it.mode() & 0o600 == 0o600);
    let Some((it, metadata)) = there.next() else {
        return format!("this is user {us}: does {} belong to another one?", shell_word(path));
    };
    let owner_of_dir = it.parent().and_then(|dir| Some(fs::metadata(dir).ok()?.uid()));
    let of_dir = owner_of_dir.filter(|_| metadata.is_file());
    advice(it, metadata.uid(), metadata.mode() & 0o777, of_dir, us)
}

/// What to do about a file or directory with this owner and mode; `of_dir` owns the directory of a file.
#[cfg(unix)]
fn advice(path: &Path, owner: u32, mode: u32, of_dir: Option<u32>, us: u32) -> String {
    let it = shell_word(path);
    if owner == us {
        return format!("{it} is this user's own, with mode {mode:04o}: give its owner access with `chmod u+rwX {it}`");
    }
    let whose = format!("{it} belongs to user {owner} (mode {mode:04o}), this is user {us}");
    if of_dir == Some(us) {
        // Somebody else has put it into a directory of ours.
        return format!("{whose}, whose directory it lies in: give it back with `sudo chown {us} {it}`");
    }
    format!("{whose}: {}", run_as(owner))
}

#[cfg(not(unix))]
fn denied(path: &Path) -> String {
    format!("does {} belong to another user?", shell_word(path))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_given_up_because_this_process_may_open_no_more() {
        let error = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        let key = Path::new("/r/farmconsole/ca/server_ca.key");
        let hint = hint_of(key, &error(rustix::io::Errno::MFILE)).unwrap();
        assert!(hint.contains("ulimit -n"), "{hint}");
        assert_eq!(hint_of(key, &error(rustix::io::Errno::IO)), None);
    }

    #[test]
    fn a_file_that_went_astray_in_our_own_directory_is_to_be_given_back() {
        let said = |of_dir, us| advice(Path::new("/r/keys"), 0, 0o600, of_dir, us);
        let astray = said(Some(65534), 65534);
        assert!(astray.contains("user 0") && astray.contains("user 65534"), "{astray}");
        assert!(astray.contains("chown 65534 /r/keys"), "{astray}");
        let foreign = said(Some(0), 65534);
        assert!(
            foreign.contains("sudo -u '#0'") && !foreign.contains("chown"),
            "{foreign}"
        );
    }

    #[test]
    fn a_file_of_another_user_is_to_be_used_by_that_user() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let hint = hint_of(Path::new("/proc/1/no such file"), &denied).unwrap();
        assert!(hint.contains("user"), "{hint}");
        assert!(!hint.contains("chown"), "{hint}");
        assert_eq!(hint_of(Path::new("/x"), &io::ErrorKind::NotFound.into()), None);
        let hint = hint_of(Path::new("/x"), &io::ErrorKind::ReadOnlyFilesystem.into()).unwrap();
        assert!(hint.contains("read-only"), "{hint}");
        let hint = hint_of(Path::new("/x"), &io::ErrorKind::StorageFull.into()).unwrap();
        assert!(hint.contains("make room"), "{hint}");
    }
}
