//! What people call a volume: where it is mounted.

use std::fs;
use std::path::{Path, PathBuf};

/// Where file systems are mounted.
pub(super) struct Mounts(Vec<PathBuf>);

impl Mounts {
    /// As the system says; nothing where it does not say it in Linux' way.
    pub(super) fn of_this_machine() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
    }

    /// `mountinfo` as in proc(5): the mount point is the fifth field, with odd characters in octal.
    fn parse(mountinfo: &str) -> Self {
        let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
        Self(points.map(unescape).collect())
    }

    /// The innermost mount point above a file; without one, the file's directory.
    pub(super) fn name_for(&self, file: &Path) -> String {
        let above = self.0.iter().filter(|point| file.starts_with(point));
        let innermost = above.max_by_key(|point| point.as_os_str().len()).map(PathBuf::as_path);
        let name = innermost.or_else(|| file.parent()).unwrap_or(file);
        name.display().to_string()
    }
}

/// Turns `\040` into a space, and so on.
fn unescape(field: &str) -> PathBuf {
    let mut pieces = field.split('\\');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok());
        match (code, piece.get(3..)) {
            (Some(code), Some(rest)) => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            _ => {
                text.push('\\');
                text.push_str(piece);
            }
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_called_by_its_innermost_mount_point() {
        let mounts = Mounts::parse(
            "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
             30 22 8:17 / /mnt/d01 rw - xfs /dev/sdb1 rw\n\
             31 22 8:33 / /mnt/my\\040disk rw - xfs /dev/sdc1 rw\n",
        );
        assert_eq!(mounts.name_for(Path::new("/mnt/d01/p/a.plot")), "/mnt/d01");
        assert_eq!(mounts.name_for(Path::new("/mnt/d011/a.plot")), "/");
        assert_eq!(mounts.name_for(Path::new("/mnt/my disk/a.plot")), "/mnt/my disk");
        assert_eq!(Mounts::parse("").name_for(Path::new("/p/q/a.plot")), "/p/q");
    }
}
