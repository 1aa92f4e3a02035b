//! What is known of plots, kept on disk between two runs: to work the keys of 100,000 plots out takes minutes, to read
//! them here takes a second.
//!
//! An entry belongs to a path *and* to the stamp its file had: a file that was replaced or written to since is opened as if
//! it were new, and of any other at least the header is read. No secret is in here. A file that is damaged or of another
//! version is as good as none: all that is lost is time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file::FileStamp;
use super::plot::{PlotFacts, ProverFacts};
use crate::config::files;
use crate::crypto::sha256;
use crate::wire::{G1Bytes, Reader, Streamable, WireError};

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CachedPlot {
    /// The file as it was.
    pub(super) stamp: FileStamp,
    /// What was worked out of it.
    pub(super) facts: Arc<PlotFacts>,
    /// When it was last seen, unix seconds.
    pub(super) last_seen: u64,
}

/// Files by path.
pub(super) type CachedPlots = BTreeMap<PathBuf, CachedPlot>;

/// Why a cache is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is no such file, or one of another version.
    #[error("it is of another version")]
    OtherVersion,
    /// Its checksum is wrong.
    #[error("its checksum is wrong")]
    Damaged,
    /// It has the right checksum and makes no sense.
    #[error("{0}")]
    Malformed(#[from] WireError),
}

/// Reads a cache; one that is not there is empty.
pub(super) fn load(file: &Path) -> Result<CachedPlots, CacheError> {
    match files::read_limited(file, MAX_BYTES) {
        Ok(bytes) => decode(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(CachedPlots::new()),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the cache by `bytes`, see [`encode`]: after a crash at any moment there is the old one or the new one.
pub(super) fn save(file: &Path, bytes: &[u8]) -> io::Result<()> {
    files::create_private_dirs(file.parent().unwrap_or(file))?;
    files::replace_file(file, bytes, files::FileMode::Exactly(files::PRIVATE_FILE))
}

/// The bytes of a cache of these entries, but of those that nobody has seen for [`FORGOTTEN_AFTER`].
pub(super) fn encode<'a>(entries: impl Iterator<Item = (&'a Path, CachedPlot)>, now_unix_s: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for (path, entry) in entries {
        let seen_ago = now_unix_s.saturating_sub(entry.last_seen);
        if seen_ago < FORGOTTEN_AFTER.as_secs() && out.len() < MOST_WRITTEN {
            encode_entry(path, &entry, &mut out);
        }
    }
    let checksum = sha256(&[&out]);
    out.extend_from_slice(&checksum);
    out
}

fn decode(bytes: &[u8]) -> Result<CachedPlots, CacheError> {
    let entries = bytes.strip_prefix(MAGIC).ok_or(CacheError::OtherVersion)?;
    let (entries, checksum) = entries.split_last_chunk::<32>().ok_or(CacheError::Damaged)?;
    if sha256(&[MAGIC, entries]) != *checksum {
        return Err(CacheError::Damaged);
    }
    let mut input = Reader::new(entries);
    let mut plots = CachedPlots::new();
    while input.remaining() > 0 {
        let (path, entry) = decode_entry(&mut input)?;
        plots.insert(path, entry);
    }
    Ok(plots)
}

fn encode_entry(path: &Path, entry: &CachedPlot, out: &mut Vec<u8>) {
    counted(path.as_os_str().as_bytes(), out);
    let stamp = &entry.stamp;
    stamp.size.stream(out);
    for time in [stamp.modified_s, stamp.modified_ns, stamp.changed_s, stamp.changed_ns] {
        time.cast_unsigned().stream(out);
    }
    entry.last_seen.stream(out);
    entry.facts.local_pk.stream(out);
    entry.facts.plot_public_key.stream(out);
    match &entry.facts.prover {
        ProverFacts::V1 { c2 } => {
            out.push(V1);
            // As many bytes for each as the largest, the last one, needs.
            let width = c2.last().map_or(1, |f7| 8 - f7.leading_zeros() as usize / 8).max(1);
            out.push(width as u8);
            let c2: Vec<u8> = c2
                .iter()
                .flat_map(|f7| f7.to_be_bytes().into_iter().skip(8 - width))
                .collect();
            counted(&c2, out);
        }
        ProverFacts::V2 => out.push(V2),
    }
}

fn decode_entry(input: &mut Reader<'_>) -> Result<(PathBuf, CachedPlot), CacheError> {
    let path = OsString::from_vec(input.counted_bytes()?.to_vec());
    let size = u64::parse(input)?;
    let mut time = || u64::parse(input).map(u64::cast_signed);
    let stamp = FileStamp {
        size,
        modified_s: time()?,
        modified_ns: time()?,
        changed_s: time()?,
        changed_ns: time()?,
    };
    let last_seen = u64::parse(input)?;
    let (local_pk, plot_public_key) = (G1Bytes::parse(input)?, G1Bytes::parse(input)?);
    let prover = match input.array()? {
        [V1] => decode_v1(input)?,
        [V2] => ProverFacts::V2,
        _ => return Err(CacheError::OtherVersion),
    };
    let facts = PlotFacts {
        local_pk,
        plot_public_key,
        prover,
    };
    let entry = CachedPlot {
        stamp,
        facts: Arc::new(facts),
        last_seen,
    };
    Ok((path.into(), entry))
}

fn decode_v1(input: &mut Reader<'_>) -> Result<ProverFacts, CacheError> {
    let [width] = input.array()?;
    if !(1..=8).contains(&width) {
        return Err(CacheError::OtherVersion);
    }
    let entry = |bytes: &[u8]| bytes.iter().fold(0, |f7, byte| f7 << 8 | u64::from(*byte));
    let c2 = input.counted_bytes()?.chunks_exact(usize::from(width)).map(entry);
    Ok(ProverFacts::V1 { c2: c2.collect() })
}

fn counted(bytes: &[u8], out: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(0).stream(out);
    out.extend_from_slice(bytes);
}

/// What a cache of this version begins with.
const MAGIC: &[u8] = b"farmconsole plot cache 1\n";

/// A v1 plot follows.
const V1: u8 = 1;

/// A v2 plot follows, of which nothing more is known.
const V2: u8 = 2;

/// A file that was not seen for so long is forgotten, as the official software does.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// Largest cache that is read: more than a million plots.
const MAX_BYTES: u64 = 1 << 30;

/// A cache is not written beyond this, so that it can be read again.
const MOST_WRITTEN: usize = (MAX_BYTES - (1 << 20)) as usize;

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn plots() -> CachedPlots {
        let entry = |seed: u8, prover| CachedPlot {
            stamp: FileStamp {
                size: 1 << 36,
                modified_s: -1,
                modified_ns: 999_999_999,
                changed_s: 1_800_000_000,
                changed_ns: i64::from(seed),
            },
            facts: Arc::new(PlotFacts {
                local_pk: G1Bytes([seed; 48]),
                plot_public_key: G1Bytes([seed + 1; 48]),
                prover,
            }),
            last_seen: 1_000_000,
        };
        let v1 = |c2: &[u64]| ProverFacts::V1 { c2: c2.into() };
        CachedPlots::from([
            (PathBuf::from("/p/a.plot"), entry(1, v1(&[0]))),
            (PathBuf::from("/p/a.plot2"), entry(5, ProverFacts::V2)),
            (
                PathBuf::from(OsStr::from_bytes(b"/p/\xff\n.plot")),
                entry(3, v1(&[7, 1 << 31, u64::from(u32::MAX)])),
            ),
        ])
    }

    fn encoded(now: u64) -> Vec<u8> {
        let plots = plots();
        encode(plots.iter().map(|(path, entry)| (path.as_path(), entry.clone())), now)
    }

    #[test]
    fn what_is_saved_is_loaded_and_a_file_not_seen_for_a_week_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cache/plots");
        assert_eq!(load(&file).unwrap(), CachedPlots::new());
        let week = 7 * 24 * 3600;
        save(&file, &encoded(1_000_000 + week - 1)).unwrap();
        assert_eq!(load(&file).unwrap(), plots());
        save(&file, &encoded(1_000_000 + week)).unwrap();
        assert_eq!(load(&file).unwrap(), CachedPlots::new());
    }

    #[test]
    fn no_byte_can_be_changed_added_or_lost_unnoticed() {
        let bytes = encoded(0);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        assert!(decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn entries_that_make_no_sense_are_refused_though_their_checksum_is_right() {
        let with_checksum = |entries: &[u8]| {
            let checksum = sha256(&[MAGIC, entries]);
            [MAGIC, entries, &checksum].concat()
        };
        assert!(decode(&with_checksum(b"")).unwrap().is_empty());
        for entries in [&[0xff; 64][..], b"\0\0\0\x01/"] {
            assert!(matches!(decode(&with_checksum(entries)), Err(CacheError::Malformed(_))));
        }
    }
}
