//! Which file systems are mounted where: the names by which people know their drives.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Mount points and the file systems on them, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    points: BTreeMap<PathBuf, u64>,
}

impl Mounts {
    /// What the kernel says just now; `None` where it says nothing, or this process may open no more files. Touches no disk.
    pub(super) fn read() -> Option<Self> {
        fs::read("/proc/self/mountinfo").ok().map(|text| Self::parse(&text))
    }

    /// Lines as `36 35 98:0 /root /mount/point options …`, see proc(5). Others are left out.
    fn parse(text: &[u8]) -> Self {
        let points = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(2);
            let device = device(std::str::from_utf8(fields.next()?).ok()?)?;
            Some((PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?))), device))
        });
        // Of two on one point the later one hides the earlier one.
        Self {
            points: points.collect(),
        }
    }

    /// Whether something is mounted at this very path.
    pub(super) fn is_point(&self, path: &Path) -> bool {
        self.points.contains_key(path)
    }

    /// The file system at this mount point, by the number that `stat` gives most file systems.
    pub(super) fn at(&self, point: &Path) -> Option<u64> {
        self.points.get(point).copied()
    }

    /// The mount point under which `path` lies, if `path` is absolute and without links.
    pub(super) fn point_of(&self, path: &Path) -> Option<&Path> {
        let point = path.ancestors().find(|ancestor| self.is_point(ancestor))?;
        self.points.get_key_value(point).map(|(point, _)| point.as_path())
    }

    /// What to call the file system `volume` (`st_dev`), something on which was found in `directory`: a mount point of it,
    /// the directory's own if it has several; else, as `st_dev` of some file systems is in no list, the mount point of
    /// the directory; else the directory.
    pub(super) fn name_of(&self, volume: u64, directory: &Path) -> PathBuf {
        let own = self.point_of(directory);
        let elsewhere = || {
            let mut points = self.points.iter();
            points
                .find(|(_, device)| **device == volume)
                .map(|(point, _)| point.as_path())
        };
        own.filter(|point| self.at(point) == Some(volume))
            .or_else(elsewhere)
            .or(own)
            .unwrap_or(directory)
            .to_owned()
    }
}

/// `st_dev` of the device that the kernel calls so (`8:17`).
#[cfg(target_os = "linux")]
fn device(name: &str) -> Option<u64> {
    let (major, minor) = name.split_once(':')?;
    Some(rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?))
}

/// Only Linux has a list with such names.
#[cfg(not(target_os = "linux"))]
const fn device(_name: &str) -> Option<u64> {
    None
}

/// Blanks and the like are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| *first == b'\\');
        let byte = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MOUNTINFO: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        31 22 8:17 / /mnt/d07 rw shared:2 - xfs /dev/sdb1 rw\n\
        32 22 8:33 / /mnt/my\\040drive\\134 rw - ext4 /dev/sdc1 rw\n\
        33 22 8:17 / /srv/bind rw - xfs /dev/sdb1 rw\n\
        34 22 0:45 /@plots /mnt/btrfs rw - btrfs /dev/sdd1 rw\n\
        not a line of it\n";

    #[test]
    fn a_volume_is_called_by_the_mount_point_under_which_it_was_found() {
        let mounts = Mounts::parse(MOUNTINFO);
        let name = |called: &str, directory: &str| mounts.name_of(device(called).unwrap(), Path::new(directory));
        assert_eq!(name("8:17", "/mnt/d07/plots"), Path::new("/mnt/d07"));
        assert_eq!(name("8:17", "/srv/bind/plots"), Path::new("/srv/bind"));
        assert_eq!(name("8:33", "/home/links"), Path::new("/mnt/my drive\\"), "a link");
        assert_eq!(name("0:99", "/mnt/btrfs/a"), Path::new("/mnt/btrfs"), "a subvolume");
        assert_eq!(
            name("8:1", "/mnt/d08/plots"),
            Path::new("/"),
            "nothing is mounted there"
        );
        assert_eq!(Mounts::default().name_of(1, Path::new("/p")), Path::new("/p"));
    }

    #[test]
    fn names_that_begin_alike_are_other_directories() {
        let mounts = Mounts::parse(MOUNTINFO);
        assert_eq!(mounts.point_of(Path::new("/mnt/d07b/x")), Some(Path::new("/")));
        assert!(mounts.is_point(Path::new("/mnt/d07")) && !mounts.is_point(Path::new("/mnt/d07/x")));
    }

    #[test]
    fn this_machine_has_mounts() {
        assert!(Mounts::read().unwrap().point_of(Path::new("/proc/self")).is_some());
    }
}
