//! Parts of the program that only its start needed, handed back to the system.
//!
//! Most of what an idle farmer holds in memory is the program itself: the kernel brings it in by 64 KiB around each page
//! that is used, and counts it to the process until memory is short. A third of that is for reading settings and keys,
//! opening the history and the like, which does not happen again. As the kernel frees its own parts of that kind once it
//! has started, so does a farm; what is used after all is there again at once, from the page cache.

use std::ops::Range;
use std::time::Duration;

/// How long after its start everything has run once: the history is open, nodes and harvesters are dialled.
const IS_STARTED_AFTER: Duration = Duration::from_secs(1);

/// Hands back what only the start needed, when it is over.
pub(crate) async fn hand_back_start() {
    tokio::time::sleep(IS_STARTED_AFTER).await;
    hand_back();
}

/// Hands back what the process has in memory of its program and libraries and has not changed. Nothing happens where the
/// system does not say what is mapped.
#[cfg(target_os = "linux")]
fn hand_back() {
    use rustix::mm::{Advice, madvise};
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for range in unchanged(&mappings) {
        let start = std::ptr::with_exposed_provenance_mut(range.start);
        #[expect(
            unsafe_code,
            reason = "pages of a file that this process cannot write and has not written come back from it as they were"
        )]
        // SAFETY: as the reason says; a range that is no longer mapped is an error, and everything else of it stays.
        let handed_back = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
        // A locked mapping stays; so may any other.
        let _ = handed_back;
    }
}

#[cfg(not(target_os = "linux"))]
fn hand_back() {}

/// The mappings in `/proc/PID/smaps` of a file, private, not to be written, of which the process has no page of its own,
/// in memory or swapped out: the part that the dynamic linker has filled in is read-only, too, and would be lost.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has smaps"))]
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // The mapping that is being read, and how much is known of it.
    let mut candidate: Option<(Range<usize>, usize)> = None;
    for line in smaps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(key) = fields.next() else { continue };
        if !key.ends_with(':') {
            candidate = of_file(key, fields).map(|range| (range, 0));
        } else if OWN_PAGES.contains(&key) {
            let has_none = fields.next() == Some("0");
            candidate = candidate.filter(|_| has_none).map(|(range, known)| (range, known + 1));
            found.extend(
                candidate
                    .take_if(|(_, known)| *known == OWN_PAGES.len())
                    .map(|(range, _)| range),
            );
        }
    }
    found
}

/// What says that a process has pages of its own in a mapping of a file.
const OWN_PAGES: [&str; 2] = ["Anonymous:", "Swap:"];

/// The range of a mapping's first line, `55d0c000-55d1e000 r-xp 00014000 fd:00 13107 /usr/bin/x`, when it is one of a file,
/// private and not to be written.
fn of_file<'a>(range: &str, mut rest: impl Iterator<Item = &'a str>) -> Option<Range<usize>> {
    let permissions = rest.next()?;
    let path = rest.nth(3)?;
    let is_it = permissions.starts_with('r') && !permissions.contains('w') && permissions.ends_with('p');
    if !is_it || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).ok());
    Some(start?..end?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_process_has_changed_is_kept() {
        let mapping = |range: &str, permissions: &str, path: &str, [anonymous, swap]: [u32; 2]| {
            format!(
                "{range} {permissions} 00001000 fd:00 13107    {path}\nSize:  8 kB\nRss:  4 kB\nAnonymous:  \
                 {anonymous} kB\nKSM:   0 kB\nSwap:  {swap} kB\nSwapPss:  0 kB\nVmFlags: rd ex mr\n"
            )
        };
        let smaps = [
            mapping("1000-3000", "r--p", "/usr/bin/farm console (deleted)", [0, 0]),
            mapping("3000-5000", "r-xp", "/usr/bin/farmconsole", [0, 0]),
            mapping("5000-7000", "r--p", "/usr/bin/farmconsole", [8, 0]),
            mapping("7000-9000", "r--p", "/usr/bin/farmconsole", [0, 8]),
            mapping("9000-a000", "rw-p", "/usr/bin/farmconsole", [0, 0]),
            mapping("a000-b000", "r--s", "/var/lib/history", [0, 0]),
            mapping("b000-c000", "---p", "/usr/lib/libc.so.6", [0, 0]),
            mapping("c000-d000", "r--p", "[vvar]", [0, 0]),
            mapping("d000-e000", "r--p", "", [0, 0]),
            mapping("7f00c0ffe000-7f00c0fff000", "r-xp", "/usr/lib/libc.so.6", [0, 0]),
        ];
        let expected = [0x1000..0x3000, 0x3000..0x5000, 0x7f00_c0ff_e000..0x7f00_c0ff_f000];
        assert_eq!(unchanged(&smaps.concat()), expected);
        // Whatever does not say both is left alone.
        assert_eq!(
            unchanged("1000-3000 r-xp 0 fd:00 1 /x\nAnonymous: 0 kB\nSwapPss: 0 kB"),
            []
        );
        assert_eq!(
            unchanged("no mapping\nAnonymous: 0 kB\n- r-xp\nAnonymous:\n\nSwap:"),
            []
        );
    }
}
