//! The farming-key file: read only when nobody else can have read or written it, replaced atomically.
//!
//! YAML, so that a person can look into it. Version 1 is the list [`Entry`] describes. Errors give places, never what
//! stands there.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{KeyReport, KeysError};
use crate::config::files::{self, FileMode};
use crate::crypto::{PoolKey, SecretKey};
use crate::ids::PuzzleHash;
use crate::wire::{G1Bytes, G2Bytes};

/// What is kept of one master key, or of one farmer key.
pub(super) struct Entry {
    /// Of the master key; unknown where only the farmer key was imported.
    pub(super) fingerprint: Option<u32>,
    /// Farmer secret key.
    pub(super) farmer: SecretKey,
    /// Pool public key, and where its rewards go.
    pub(super) pool: Option<PoolKey>,
}

impl Entry {
    /// What may be shown of it.
    pub(super) fn report(&self) -> KeyReport {
        KeyReport {
            fingerprint: self.fingerprint,
            farmer_public_key: self.farmer.public_key().to_g1(),
            pool_public_key: self.pool.map(|pool| *pool.public_key()),
            pool_puzzle_hash: self.pool.map(|pool| *pool.puzzle_hash()),
        }
    }
}

/// Reads the file, after making sure that it is ours alone.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, KeysError> {
    let text = read_private(path)?;
    let malformed = |line, what| KeysError::Malformed {
        path: path.to_path_buf(),
        line,
        what,
    };
    // The words of the YAML reader are left out: they can contain what stands in the file.
    let version: VersionOnly = serde_yaml::from_slice(&text).map_err(|error| {
        malformed(
            error.location().map(|at| at.line()),
            "expected `version: 1` and a list `keys:`",
        )
    })?;
    if version.version != VERSION {
        return Err(KeysError::UnknownVersion {
            path: path.to_path_buf(),
            expected: VERSION,
            got: version.version,
        });
    }
    let file: KeysFile = serde_yaml::from_slice(&text).map_err(|error| {
        malformed(
            error.location().map(|at| at.line()),
            "a field is missing, unknown or of the wrong kind",
        )
    })?;
    file.keys
        .into_iter()
        .zip(1..)
        .map(|(entry, number)| {
            entry.check().map_err(|what| KeysError::BadEntry {
                path: path.to_path_buf(),
                number,
                what,
            })
        })
        .collect()
}

/// Replaces the file: temporary file beside it with mode 0600, fsync, rename, fsync of the directory.
pub(super) fn write(path: &Path, entries: &[Entry]) -> Result<(), KeysError> {
    let unwritable = |source| KeysError::Unwritable {
        path: path.to_path_buf(),
        source,
    };
    if let Some(directory) = path.parent() {
        files::create_private_dirs(directory).map_err(unwritable)?;
    }
    files::replace_file(path, render(entries).as_bytes(), FileMode::Exactly(files::PRIVATE_FILE)).map_err(unwritable)
}

/// Opens the file and checks the opened file, so that nothing can be exchanged in between.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeysError::Missing {
            path: path.to_path_buf(),
        },
        _ => KeysError::Unreadable {
            path: path.to_path_buf(),
            source,
        },
    };
    // Opening a FIFO would wait for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        )));
    }
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    check_private(path, &metadata)?;
    // Large enough from the start, so that it never moves and leaves a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    if metadata.len() > limit {
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit} bytes"),
        )));
    }
    file.take(limit).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), KeysError> {
    use std::os::unix::fs::MetadataExt;
    check_access(
        path,
        metadata.uid(),
        files::mode_of(metadata),
        rustix::process::geteuid().as_raw(),
    )
}

/// Where files have no modes, the directory protects them.
#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), KeysError> {
    Ok(())
}

/// Also root is refused a file of another user: a farmer of that user might be meant to run.
#[cfg(unix)]
fn check_access(path: &Path, owner: u32, mode: u32, us: u32) -> Result<(), KeysError> {
    if owner != us {
        return Err(KeysError::ForeignOwner {
            path: path.to_path_buf(),
            owner,
            us,
        });
    }
    if mode & 0o077 != 0 {
        return Err(KeysError::TooOpen {
            path: path.to_path_buf(),
            mode,
        });
    }
    Ok(())
}

fn render(entries: &[Entry]) -> Zeroizing<String> {
    // Large enough from the start, so that it never moves and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + 64 + 1024 * entries.len()));
    text.push_str(HEADER);
    // Writing to a string cannot fail, so the results say nothing.
    let _ = writeln!(text, "version: {VERSION}");
    text.push_str(if entries.is_empty() { "keys: []\n" } else { "keys:\n" });
    for entry in entries {
        let secret = entry.farmer.to_bytes();
        let mut digits = Zeroizing::new([0; 64]);
        let _ = hex::encode_to_slice(secret.as_slice(), digits.as_mut_slice());
        let _ = writeln!(text, "- farmer_public_key: \"{}\"", entry.farmer.public_key());
        text.push_str("  farmer_secret_key: \"");
        text.extend(digits.iter().copied().map(char::from));
        text.push_str("\"\n");
        if let Some(fingerprint) = entry.fingerprint {
            let _ = writeln!(text, "  fingerprint: {fingerprint}");
        }
        if let Some(pool) = &entry.pool {
            text.push_str("  pool:\n");
            let _ = writeln!(text, "    public_key: \"{}\"", pool.public_key());
            let _ = writeln!(text, "    puzzle_hash: \"{}\"", pool.puzzle_hash());
            let _ = writeln!(text, "    signature: \"{}\"", pool.signature());
        }
    }
    text
}

/// The part of every version.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    #[serde(rename = "version")]
    _version: u32,
    keys: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    farmer_public_key: G1Bytes,
    #[serde(deserialize_with = "secret_text")]
    farmer_secret_key: Zeroizing<String>,
    fingerprint: Option<u32>,
    pool: Option<RawPool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPool {
    public_key: G1Bytes,
    puzzle_hash: PuzzleHash,
    signature: G2Bytes,
}

impl RawEntry {
    fn check(self) -> Result<Entry, &'static str> {
        let farmer = super::secret_key_from_hex(&self.farmer_secret_key)
            .map_err(|_| "`farmer_secret_key` is no secret key in 64 hex digits")?;
        if farmer.public_key().to_g1() != self.farmer_public_key {
            return Err("`farmer_public_key` is not that of `farmer_secret_key`");
        }
        let pool = self
            .pool
            .map(|pool| PoolKey::verified(&pool.public_key, pool.puzzle_hash, &pool.signature));
        let pool = pool
            .transpose()
            .map_err(|_| "`signature` is not that of the pool `public_key` for `puzzle_hash`")?;
        Ok(Entry {
            fingerprint: self.fingerprint,
            farmer,
            pool,
        })
    }
}

fn secret_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Version of the file that is read and written.
const VERSION: u32 = 1;

/// A farm has a handful of keys of about 700 bytes each.
const MAX_BYTES: usize = 1 << 20;

const HEADER: &str = "\
# Keys that farmconsole farms with. SECRET: whoever has this file can sign for your plots. It cannot spend anything,
# and holds no wallet or master key. Written by `farmconsole keys import`; every import replaces it whole.
# It is refused unless only its owner can read it (mode 0600).
#
# farmer_secret_key   signs blocks and partials of the plots made for farmer_public_key
# fingerprint         of the wallet the keys come from, if known
# pool                for plots made for a pool public key: its signature that sends their rewards to puzzle_hash.
#                     After a change of the pool address, import the keys again: the signature is for one address only.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("farmconsole/keys.yaml");
        write(&path, &[entry(1, Some(2)), entry(3, None)]).unwrap();
        let read = read(&path).unwrap();
        assert_eq!(read.len(), 2);
        for (got, expected) in read.iter().zip([entry(1, Some(2)), entry(3, None)]) {
            assert_eq!(got.report(), expected.report());
            assert!(*got.farmer.to_bytes() == *expected.farmer.to_bytes());
            assert_eq!(got.pool, expected.pool);
        }
        write(&path, &[]).unwrap();
        assert!(super::read(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_written_explains_itself_and_quotes_every_hex_number() {
        let text = render(&[entry(1, Some(2))]);
        assert!(text.starts_with("# Keys that farmconsole farms with. SECRET"));
        // A bare 64-digit number could be read as a number by YAML.
        for line in text.lines().filter(|line| !line.starts_with('#') && line.len() > 40) {
            assert!(line.ends_with('"'), "{line}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_others_can_get_at_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        write(&path, &[entry(1, None)]).unwrap();
        assert_eq!(files::mode_of(&fs::metadata(&path).unwrap()), 0o600);
        for mode in [0o640, 0o604, 0o620, 0o601, 0o777] {
            files::set_mode(&path, mode).unwrap();
            let error = read(&path).err().unwrap();
            assert!(
                matches!(error, KeysError::TooOpen { mode: got, .. } if got == mode),
                "{error}"
            );
            assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", path.display()));
        }
        files::set_mode(&path, 0o400).unwrap();
        assert!(read(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_another_user_is_refused_also_to_root() {
        let path = Path::new("keys.yaml");
        for (owner, us) in [(1000, 1001), (1000, 0), (0, 1000)] {
            let error = check_access(path, owner, 0o600, us).unwrap_err();
            assert!(
                error.hint().unwrap().ends_with(&format!("chown {us} keys.yaml")),
                "{error}"
            );
        }
        assert!(check_access(path, 1000, 0o600, 1000).is_ok());
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path()), Err(KeysError::Unreadable { .. })));
        assert!(matches!(read(&dir.path().join("none")), Err(KeysError::Missing { .. })));
    }

    #[test]
    fn a_huge_file_is_refused_unread() {
        let error = read_changed(|text| text.extend(std::iter::repeat_n('#', MAX_BYTES)))
            .err()
            .unwrap();
        assert!(matches!(error, KeysError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn faults_are_placed_and_repeat_nothing_secret() {
        let [secret, other] = [1, 9].map(|number| hex::encode(*secret(number).to_bytes()));
        let faults: [(&str, String, &str); 9] = [
            ("version: 1", "version: 2".into(), "version 2"),
            ("version: 1", "wersion: 1".into(), "is no farming-key file"),
            ("farmer_secret_key: ", "farmer_secret_key ".into(), "line 1"),
            ("farmer_secret_key: \"", "secret: \"".into(), "line 1"),
            ("farmer_secret_key: ", format!("{secret}: "), "line 1"),
            (&secret, secret[..62].to_owned(), "entry 1"),
            (&secret, "0".repeat(64), "entry 1"),
            (&secret, other, "entry 1"),
            ("puzzle_hash: \"05", "puzzle_hash: \"06".into(), "entry 1"),
        ];
        for (from, to, expected) in faults {
            let error = read_changed(|text| {
                assert!(text.contains(from), "{from}");
                *text = text.replacen(from, &to, 1);
            });
            let text = format!("{0} {0:?}", error.err().unwrap());
            assert!(text.contains(expected), "{to}: {text}");
            assert!(!text.contains(&secret[..8]), "{text}");
        }
    }

    fn read_changed(change: impl FnOnce(&mut String)) -> Result<Vec<Entry>, KeysError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        let mut text = render(&[entry(1, Some(2))]);
        change(&mut text);
        files::replace_file(&path, text.as_bytes(), FileMode::Exactly(0o600)).unwrap();
        read(&path)
    }

    fn entry(farmer: u8, pool: Option<u8>) -> Entry {
        Entry {
            fingerprint: pool.map(|_| u32::MAX),
            farmer: secret(farmer),
            pool: pool.map(|pool| PoolKey::sign(&secret(pool), PuzzleHash([5; 32]))),
        }
    }

    fn secret(number: u8) -> SecretKey {
        SecretKey::key_gen(&[number; 32]).unwrap()
    }
}
