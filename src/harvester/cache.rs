//! What is known of plots, kept on disk between two runs: to work the keys of 100,000 plots out takes minutes, to read
//! them here takes a second.
//!
//! An entry belongs to a path *and* to the stamp its file had: a file that was replaced or written to since is opened as if
//! it were new. Of others not even the header is read, which on disks with heads takes longest; what cannot be seen from
//! outside, the next proof and the next signature see. No secret is in here. A file that is damaged or of another version
//! is as good as none: all that is lost is time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{FileStamp, PlotPath};
use super::plot::{PlotFacts, PlotKeys, ProverFacts};
use crate::config::files;
use crate::crypto::sha256;
use crate::ids::{PlotId, PuzzleHash};
use crate::pos::header::{HeaderVersion, TableHeader};
use crate::wire::{G1Bytes, PlotPool, Reader, Streamable, WireError};

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
pub(super) type CachedPlots = BTreeMap<PlotPath, CachedPlot>;

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
pub(super) fn encode<'a>(entries: impl Iterator<Item = (&'a PlotPath, CachedPlot)>, now_unix_s: u64) -> Vec<u8> {
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
    entry.facts.keys.local.stream(out);
    entry.facts.keys.plot.stream(out);
    match &entry.facts.prover {
        ProverFacts::V1 {
            pool,
            farmer,
            header,
            c2,
        } => {
            out.push(V1);
            match pool {
                PlotPool::PublicKey(key) => {
                    out.push(PUBLIC_KEY);
                    key.stream(out);
                }
                PlotPool::Contract(puzzle_hash) => {
                    out.push(CONTRACT);
                    puzzle_hash.stream(out);
                }
            }
            farmer.stream(out);
            out.push(match header.version {
                HeaderVersion::V2Compressed { level } => level.saturating_add(1),
                HeaderVersion::V1 | HeaderVersion::Pos2 { .. } => CLASSIC,
            });
            out.push(header.k);
            header.plot_id.stream(out);
            header.table_pointers.iter().for_each(|pointer| pointer.stream(out));
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

fn decode_entry(input: &mut Reader<'_>) -> Result<(PlotPath, CachedPlot), CacheError> {
    let path = Path::new(OsStr::from_bytes(input.counted_bytes()?));
    let path = PlotPath::from(path);
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
    let keys = PlotKeys {
        local: G1Bytes::parse(input)?,
        plot: G1Bytes::parse(input)?,
    };
    let prover = match input.array()? {
        [V1] => decode_v1(input)?,
        [V2] => ProverFacts::V2,
        _ => return Err(CacheError::OtherVersion),
    };
    let facts = PlotFacts { keys, prover };
    let entry = CachedPlot {
        stamp,
        facts: Arc::new(facts),
        last_seen,
    };
    Ok((path, entry))
}

fn decode_v1(input: &mut Reader<'_>) -> Result<ProverFacts, CacheError> {
    let pool = match input.array()? {
        [PUBLIC_KEY] => PlotPool::PublicKey(G1Bytes::parse(input)?),
        [CONTRACT] => PlotPool::Contract(PuzzleHash::parse(input)?),
        _ => return Err(CacheError::OtherVersion),
    };
    let farmer = G1Bytes::parse(input)?;
    let [format, k] = input.array()?;
    let version = match format.checked_sub(1) {
        None => HeaderVersion::V1,
        Some(level) => HeaderVersion::V2Compressed { level },
    };
    let plot_id = PlotId::parse(input)?;
    let mut table_pointers = [0; 10];
    for pointer in &mut table_pointers {
        *pointer = u64::parse(input)?;
    }
    let header = TableHeader {
        version,
        plot_id,
        k,
        table_pointers,
    };
    let [width] = input.array()?;
    if !(1..=8).contains(&width) {
        return Err(CacheError::OtherVersion);
    }
    let entry = |bytes: &[u8]| bytes.iter().fold(0, |f7, byte| f7 << 8 | u64::from(*byte));
    let c2 = input.counted_bytes()?.chunks_exact(usize::from(width)).map(entry);
    Ok(ProverFacts::V1 {
        pool,
        farmer,
        header,
        c2: c2.collect(),
    })
}

fn counted(bytes: &[u8], out: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(0).stream(out);
    out.extend_from_slice(bytes);
}

/// What a cache of this version begins with.
const MAGIC: &[u8] = b"farmconsole plot cache 2\n";

/// A v1 plot follows.
const V1: u8 = 1;

/// It pays to a key, or to a contract.
const PUBLIC_KEY: u8 = 1;
const CONTRACT: u8 = 2;

/// It has the classic format; else its compression level plus 1 is here.
const CLASSIC: u8 = 0;

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
                keys: PlotKeys {
                    local: G1Bytes([seed; 48]),
                    plot: G1Bytes([seed + 1; 48]),
                },
                prover,
            }),
            last_seen: 1_000_000,
        };
        let v1 = |pool, version, c2: &[u64]| ProverFacts::V1 {
            pool,
            farmer: G1Bytes([9; 48]),
            header: TableHeader {
                version,
                plot_id: PlotId([8; 32]),
                k: 32,
                table_pointers: std::array::from_fn(|table| 1 << (table + 30)),
            },
            c2: c2.into(),
        };
        let (key, contract) = (
            PlotPool::PublicKey(G1Bytes([7; 48])),
            PlotPool::Contract(PuzzleHash([6; 32])),
        );
        let level_7 = HeaderVersion::V2Compressed { level: 7 };
        CachedPlots::from([
            (
                PlotPath::from(Path::new("/p/a.plot")),
                entry(1, v1(key, HeaderVersion::V1, &[0])),
            ),
            (PlotPath::from(Path::new("/p/a.plot2")), entry(5, ProverFacts::V2)),
            (
                PlotPath::from(Path::new(OsStr::from_bytes(b"/p/\xff\n.plot"))),
                entry(3, v1(contract, level_7, &[7, 1 << 31, u64::from(u32::MAX)])),
            ),
        ])
    }

    fn encoded(now: u64) -> Vec<u8> {
        let plots = plots();
        encode(plots.iter().map(|(path, entry)| (path, entry.clone())), now)
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
