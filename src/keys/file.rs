//! The farming-key file: read only when nobody else can have read or written it, replaced atomically.
//!
//! YAML, so that a person can look into it. Version 1 is the list `Entry` describes. Version 2 has the secrets of the
//! keys locked with a passphrase, and all that is public of them in the open. Errors give places, never what stands there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeysError;
use super::entry::{Entry, KeyReport, PublicEntry};
use super::form::{
    LOCKED_VERSION, OPEN_VERSION, RawFile, SECRET_KEY_BYTES, VersionOnly, render_locked, render_open, render_public,
    secrets_of,
};
use super::passphrase::{Cost, Lock, Passphrase};
use crate::config::files::{self, FileMode};
use crate::crypto::{PoolAuthentication, SecretKey};

/// The file as it lies on the disk: what is public of the keys, and their secrets in the open or locked.
pub(super) struct KeysFile {
    path: PathBuf,
    keys: Vec<PublicEntry>,
    secrets: Secrets,
}

impl KeysFile {
    /// Reads the file, after making sure that it is ours alone.
    pub(super) fn read(path: &Path) -> Result<Self, KeysError> {
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
        if !(OPEN_VERSION..=LOCKED_VERSION).contains(&version.version) {
            return Err(KeysError::UnknownVersion {
                path: path.to_path_buf(),
                expected: LOCKED_VERSION,
                got: version.version,
            });
        }
        let file: RawFile = serde_yaml::from_slice(&text).map_err(|error| {
            malformed(
                error.location().map(|at| at.line()),
                "a field is missing, unknown or of the wrong kind",
            )
        })?;
        let mut keys = Vec::with_capacity(file.keys.len());
        let mut open = Vec::new();
        for (mut entry, number) in file.keys.into_iter().zip(1..) {
            open.extend(entry.farmer_secret_key.take());
            open.extend(
                entry
                    .pool_authentication
                    .iter_mut()
                    .filter_map(|key| key.secret_key.take()),
            );
            keys.push(entry.check().map_err(|what| KeysError::BadEntry {
                path: path.to_path_buf(),
                number,
                what,
            })?);
        }
        let secrets = match (file.version, file.lock) {
            (OPEN_VERSION, None) if open.len() == secrets_of(&keys) => Secrets::Open(open),
            (LOCKED_VERSION, Some(lock)) if open.is_empty() => {
                let (lock, sealed) = lock.check().map_err(|what| malformed(None, what))?;
                Secrets::Locked { lock, sealed }
            }
            _ => {
                return Err(malformed(
                    None,
                    "every key of version 1 has its secret; version 2 has a `lock` instead",
                ));
            }
        };
        Ok(Self {
            path: path.to_path_buf(),
            keys,
            secrets,
        })
    }

    /// Whether a passphrase is needed for the secrets.
    pub(super) const fn is_locked(&self) -> bool {
        matches!(self.secrets, Secrets::Locked { .. })
    }

    /// What may be shown of the keys. Of a locked file, nobody has checked it against the secrets.
    pub(super) fn reports(&self) -> Vec<KeyReport> {
        self.keys.iter().map(PublicEntry::report).collect()
    }

    /// What a guess of the passphrase costs, if there is one.
    pub(super) const fn cost(&self) -> Option<Cost> {
        match &self.secrets {
            Secrets::Open(_) => None,
            Secrets::Locked { lock, .. } => Some(lock.cost),
        }
    }

    /// The keys with their secrets, each found to belong to its public key.
    pub(super) fn unlock(self, passphrase: Option<&Passphrase>) -> Result<Vec<Entry>, KeysError> {
        let secrets: Vec<_> = match self.secrets {
            Secrets::Open(texts) => texts
                .iter()
                .map(|text| super::secret_key_from_hex(text).map_err(|_| ()))
                .collect(),
            Secrets::Locked { lock, sealed } => {
                let Some(passphrase) = passphrase else {
                    return Err(KeysError::Locked { path: self.path });
                };
                let text = render_public(&self.keys, &lock);
                let opened = match lock.open(passphrase, &text, &sealed) {
                    Ok(Some(opened)) => opened,
                    Ok(None) => return Err(KeysError::WrongPassphrase { path: self.path }),
                    Err(_) => {
                        return Err(KeysError::Malformed {
                            path: self.path,
                            line: None,
                            what: "`lock` asks for what Argon2 cannot do",
                        });
                    }
                };
                secret_keys(&opened)
            }
        };
        if secrets.len() != secrets_of(&self.keys) {
            return Err(KeysError::Malformed {
                path: self.path,
                line: None,
                what: "it has more or fewer secret keys than public ones",
            });
        }
        let mut secrets = secrets.into_iter();
        let keys = self.keys.into_iter().zip(1..);
        keys.map(|(public, number)| {
            let bad = |what| KeysError::BadEntry {
                path: self.path.clone(),
                number,
                what,
            };
            let mut next = || secrets.next().unwrap_or(Err(()));
            let farmer = next().map_err(|()| bad("`farmer_secret_key` is no secret key in 64 hex digits"))?;
            if farmer.public_key().to_g1() != public.farmer_public_key {
                return Err(bad("`farmer_public_key` is not that of `farmer_secret_key`"));
            }
            let mut authentication = Vec::with_capacity(public.authentication.len());
            for key in &public.authentication {
                let secret = next().map_err(|()| bad("`secret_key` is no secret key in 64 hex digits"))?;
                if secret.public_key().to_g1() != key.public_key {
                    return Err(bad(
                        "`public_key` of pool_authentication is not that of its `secret_key`",
                    ));
                }
                let taken = PoolAuthentication::new(key.owner_public_key, key.version, secret);
                authentication.push(taken.map_err(|_| bad("a key of version 2 is not that of its owner"))?);
            }
            Ok(Entry {
                fingerprint: public.fingerprint,
                farmer,
                pool: public.pool,
                authentication,
            })
        })
        .collect()
    }
}

/// Replaces the file: temporary file beside it with mode 0600, fsync, rename, fsync of the directory.
pub(super) fn write(path: &Path, entries: &[Entry], passphrase: Option<(&Passphrase, Cost)>) -> Result<(), KeysError> {
    let unwritable = |source| KeysError::Unwritable {
        path: path.to_path_buf(),
        source,
    };
    let text = match passphrase {
        None => render_open(entries),
        Some((passphrase, cost)) => Zeroizing::new(render_locked(entries, passphrase, cost).map_err(unwritable)?),
    };
    if let Some(directory) = path.parent() {
        files::create_private_dirs(directory).map_err(unwritable)?;
    }
    files::replace_file(path, text.as_bytes(), FileMode::Exactly(files::PRIVATE_FILE)).map_err(unwritable)
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
        files::open_to_others(metadata),
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
fn check_access(path: &Path, owner: u32, open_to_others: Option<u32>, us: u32) -> Result<(), KeysError> {
    if owner != us {
        return Err(KeysError::ForeignOwner {
            path: path.to_path_buf(),
            owner,
            us,
        });
    }
    match open_to_others {
        Some(mode) => Err(KeysError::TooOpen {
            path: path.to_path_buf(),
            mode,
        }),
        None => Ok(()),
    }
}

/// The secrets of a file.
enum Secrets {
    /// As they stand there, one a key.
    Open(Vec<Zeroizing<String>>),
    /// Behind a passphrase.
    Locked { lock: Lock, sealed: Vec<u8> },
}

/// The keys that stand one after the other in what was locked.
fn secret_keys(opened: &[u8]) -> Vec<Result<SecretKey, ()>> {
    let (keys, _) = opened.as_chunks::<SECRET_KEY_BYTES>();
    keys.iter()
        .map(|key| SecretKey::from_bytes(key).map_err(|_| ()))
        .collect()
}

/// A farm has a handful of keys of about 700 bytes each.
const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::PoolKey;
    use crate::ids::PuzzleHash;
    use crate::wire::G1Bytes;
    use crate::wire::pool::PoolVersion;

    #[test]
    fn entries_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("farmconsole/keys.yaml");
        for passphrase in [None, Some((&passphrase("right"), CHEAP))] {
            write(&path, &[entry(1, Some(2)), entry(3, None)], passphrase).unwrap();
            let read = KeysFile::read(&path)
                .unwrap()
                .unlock(passphrase.map(|(right, _)| right))
                .unwrap();
            assert_eq!(read.len(), 2);
            for (got, expected) in read.iter().zip([entry(1, Some(2)), entry(3, None)]) {
                assert_eq!(got.report(), expected.report());
                assert!(*got.farmer.to_bytes() == *expected.farmer.to_bytes());
                assert_eq!(got.pool, expected.pool);
                let of = |entry: &Entry| {
                    let keys = entry.authentication.iter();
                    keys.map(|key| (*key.owner_public_key(), key.version(), *key.secret().to_bytes()))
                        .collect::<Vec<_>>()
                };
                assert!(of(got) == of(&expected));
            }
        }
        write(&path, &[], None).unwrap();
        assert!(read(&path).unwrap().is_empty());
    }

    #[test]
    fn what_is_written_explains_itself_and_quotes_every_hex_number() {
        let text = render_open(&[entry(1, Some(2))]);
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
        write(&path, &[entry(1, None)], None).unwrap();
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
            let error = check_access(path, owner, None, us).unwrap_err();
            // Taken from its owner, the service would not start any more.
            let hint = error.hint().unwrap();
            assert!(
                hint.contains(&format!("sudo -u '#{owner}'")) && !hint.contains("chown"),
                "{hint}"
            );
        }
        assert!(check_access(path, 1000, None, 1000).is_ok());
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
        let faults: [(&str, String, &str); 10] = [
            ("version: 1", "version: 3".into(), "version 3"),
            ("version: 1", "version: 2".into(), "`lock`"),
            ("version: 1", "wersion: 1".into(), "is no farming-key file"),
            ("farmer_secret_key: ", "farmer_secret_key ".into(), "line "),
            ("farmer_secret_key: \"", "secret: \"".into(), "line "),
            ("farmer_secret_key: ", format!("{secret}: "), "line "),
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

    #[test]
    fn nothing_secret_stands_in_a_locked_file_and_nothing_in_it_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        let right = passphrase("right");
        write(&path, &[entry(1, Some(2)), entry(3, None)], Some((&right, CHEAP))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for number in [1, 2, 3, 12, 13] {
            assert!(!text.contains(&hex::encode(*secret(number).to_bytes())));
        }
        let unlock = |text: &str, with: Option<&Passphrase>| {
            files::replace_file(&path, text.as_bytes(), FileMode::Exactly(0o600)).unwrap();
            KeysFile::read(&path)?.unlock(with)
        };
        assert!(unlock(&text.replace("# SECRET", "# Mine"), Some(&right)).is_ok());
        assert!(matches!(unlock(&text, None), Err(KeysError::Locked { .. })));
        let wrong = unlock(&text, Some(&passphrase("wrong")));
        assert!(matches!(wrong, Err(KeysError::WrongPassphrase { .. })));

        let other = secret(9).public_key().to_string();
        let third = secret(3).public_key().to_string();
        for (from, to) in [
            ("fingerprint: 4294967295", "fingerprint: 4294967294"),
            ("passes: 1", "passes: 2"),
            (third.as_str(), other.as_str()),
            ("memory_kib: 8", "memory_kib: 9"),
        ] {
            assert!(text.contains(from), "{from}");
            let changed = unlock(&text.replace(from, to), Some(&right));
            assert!(matches!(changed, Err(KeysError::WrongPassphrase { .. })), "{to}");
        }
        for (from, to) in [
            ("memory_kib: 8", "memory_kib: 4294967295"),
            ("memory_kib: 8", "memory_kib: 7"),
            ("kdf: argon2id", "kdf: argon2i"),
            ("salt: \"", "salt: \"00"),
            ("version: 2", "version: 1"),
        ] {
            let refused = unlock(&text.replace(from, to), Some(&right));
            assert!(matches!(refused, Err(KeysError::Malformed { .. })), "{to}");
        }
    }

    fn read(path: &Path) -> Result<Vec<Entry>, KeysError> {
        KeysFile::read(path)?.unlock(None)
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    const CHEAP: Cost = Cost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    fn read_changed(change: impl FnOnce(&mut String)) -> Result<Vec<Entry>, KeysError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        let mut text = render_open(&[entry(1, Some(2))]);
        change(&mut text);
        files::replace_file(&path, text.as_bytes(), FileMode::Exactly(0o600)).unwrap();
        read(&path)
    }

    fn entry(farmer: u8, pool: Option<u8>) -> Entry {
        Entry {
            fingerprint: pool.map(|_| u32::MAX),
            farmer: secret(farmer),
            pool: pool.map(|pool| PoolKey::sign(&secret(pool), PuzzleHash([5; 32]))),
            authentication: pool.into_iter().flat_map(|pool| speakers(pool + 10)).collect(),
        }
    }

    /// A key of either protocol.
    fn speakers(number: u8) -> [PoolAuthentication; 2] {
        let owner = secret(number).public_key().to_g1();
        [
            PoolAuthentication::new(G1Bytes([7; 48]), PoolVersion::V1, secret(number + 1)).unwrap(),
            PoolAuthentication::new(owner, PoolVersion::V2, secret(number)).unwrap(),
        ]
    }

    fn secret(number: u8) -> SecretKey {
        SecretKey::key_gen(&[number; 32]).unwrap()
    }
}
