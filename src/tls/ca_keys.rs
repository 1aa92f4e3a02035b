//! The private keys of a farm's authorities: each in a file of its own, or both in one that a passphrase locks.
//!
//! A locked file is opened when something is to be signed, with the passphrase from a file that was named at the start,
//! or for a while after a person has given it. That guards backups and stolen disks; who is root on a running farmer has
//! the keys anyway.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rcgen::KeyPair;
use zeroize::Zeroizing;

use super::farm_params::{Role, compressed};
use super::identity::{read, read_certificates};
use super::issue::bad_key;
use super::{TlsError, ca_key};
use crate::clock::Mono;
use crate::config::Root;
use crate::config::files::{self, FileMode, PRIVATE_FILE};
use crate::keys::Passphrase;
use crate::keys::sealed::{self, Cost};

/// Where the keys are, and what is known of them at the moment.
pub struct CaKeys {
    dir: PathBuf,
    /// Where the passphrase is, if a person has said so.
    source: Mutex<Option<PassphraseFile>>,
    held: Mutex<Option<Held>>,
    /// What could not be signed because the keys were locked.
    wanted: Mutex<BTreeSet<String>>,
}

/// A file with the passphrase, which is read whenever it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassphraseFile {
    /// The file.
    pub path: PathBuf,
    /// Whether systemd guards it, and its mode says nothing.
    pub is_credential: bool,
}

/// In what state the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaKeyState {
    /// In files without a passphrase.
    Plain,
    /// Locked; the passphrase is in a file.
    Attended,
    /// Locked; a person has given the passphrase a while ago.
    Unlocked,
    /// Locked; nothing can be signed.
    Locked,
}

struct Held {
    passphrase: Passphrase,
    keys: Pair,
    until: Mono,
}

struct Pair {
    server: Zeroizing<String>,
    client: Zeroizing<String>,
}

impl CaKeys {
    /// Those of a root.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        Self {
            dir: root.farm_ca_dir(),
            source: Mutex::default(),
            held: Mutex::default(),
            wanted: Mutex::default(),
        }
    }

    /// Takes the passphrase from this file from now on, whenever it is needed.
    pub fn set_source(&self, source: Option<PassphraseFile>) {
        *lock(&self.source) = source;
    }

    /// In what state they are.
    #[must_use]
    pub fn state(&self) -> CaKeyState {
        if self.plain_are_there() || !self.locked_file().exists() {
            CaKeyState::Plain
        } else if lock(&self.held).is_some() {
            CaKeyState::Unlocked
        } else if lock(&self.source).is_some() {
            CaKeyState::Attended
        } else {
            CaKeyState::Locked
        }
    }

    /// Locks the keys with a passphrase, or with another one.
    ///
    /// # Errors
    /// When a file cannot be read or written; the keys are then as they were.
    pub fn protect(&self, old: Option<&Passphrase>, new: &Passphrase) -> Result<(), TlsError> {
        self.protect_at(old, new, Cost::STANDARD)
    }

    pub(super) fn protect_at(&self, old: Option<&Passphrase>, new: &Passphrase, cost: Cost) -> Result<(), TlsError> {
        let pair = if self.plain_are_there() {
            Pair {
                server: self.read_plain(Role::Server)?,
                client: self.read_plain(Role::Client)?,
            }
        } else {
            let old = old.ok_or_else(|| self.locked("a new passphrase"))?;
            self.open(old)?
        };
        self.seal(&pair, new, cost)?;
        // Only once it is certain that they can be had again.
        self.open(new)?;
        for role in [Role::Server, Role::Client] {
            let path = self.plain(role);
            if path.exists() {
                files::shred(&path).map_err(unwritable(&path))?;
            }
        }
        *lock(&self.held) = None;
        Ok(())
    }

    /// Keeps the keys without a passphrase.
    ///
    /// # Errors
    /// When the passphrase is wrong, or a file cannot be written.
    pub fn unprotect(&self, passphrase: &Passphrase) -> Result<(), TlsError> {
        let pair = self.open(passphrase)?;
        for (role, key) in [(Role::Server, &pair.server), (Role::Client, &pair.client)] {
            let path = self.plain(role);
            files::replace_file(&path, key.as_bytes(), FileMode::Exactly(PRIVATE_FILE)).map_err(unwritable(&path))?;
        }
        let path = self.locked_file();
        fs::remove_file(&path).map_err(unwritable(&path))
    }

    /// A person has given the passphrase: until then, things can be signed.
    ///
    /// # Errors
    /// When it is wrong, or the file cannot be read.
    pub fn unlock(&self, passphrase: Passphrase, until: Mono) -> Result<(), TlsError> {
        let keys = self.open(&passphrase)?;
        *lock(&self.held) = Some(Held {
            passphrase,
            keys,
            until,
        });
        lock(&self.wanted).clear();
        Ok(())
    }

    /// Somebody is about to need a key: reads it once, if it can be had, and holds it until [`Self::handle_idle`].
    ///
    /// # Errors
    /// [`TlsError::CaLocked`] if nobody has given the passphrase, and why the file cannot be opened.
    pub fn make_ready(&self, now: Mono) -> Result<(), TlsError> {
        match self.state() {
            CaKeyState::Plain => self.check_plain(Role::Client),
            CaKeyState::Unlocked => Ok(()),
            CaKeyState::Attended => {
                let passphrase = self.passphrase()?;
                let keys = self.open(&passphrase)?;
                *lock(&self.held) = Some(Held {
                    passphrase,
                    keys,
                    until: now,
                });
                Ok(())
            }
            CaKeyState::Locked => Err(self.locked("an invitation")),
        }
    }

    /// Nobody is invited at the moment: what is held is wiped when its time is over. True if it was.
    pub fn handle_idle(&self, now: Mono) -> bool {
        let mut held = lock(&self.held);
        let is_over = held.as_ref().is_some_and(|it| it.until <= now);
        if is_over {
            *held = None;
        }
        is_over
    }

    /// What was to be signed and could not, because the keys are locked.
    #[must_use]
    pub fn wanted(&self) -> Vec<String> {
        if self.state() != CaKeyState::Locked {
            lock(&self.wanted).clear();
        }
        lock(&self.wanted).iter().cloned().collect()
    }

    /// Files of keys that are gone, damaged, open to others or of another authority. That a passphrase is needed is none of
    /// these.
    #[must_use]
    pub fn faults(&self) -> Vec<(PathBuf, TlsError)> {
        if self.state() != CaKeyState::Plain {
            let fault = self.cost().err();
            return fault.into_iter().map(|it| (self.locked_file(), it)).collect();
        }
        [Role::Client, Role::Server]
            .into_iter()
            .filter_map(|role| Some((self.plain(role), self.check_plain(role).err()?)))
            .collect()
    }

    fn check_plain(&self, role: Role) -> Result<(), TlsError> {
        let key = self.plain(role);
        let public = KeyPair::from_pem(&self.read_plain(role)?).map_err(|error| bad_key(&key, &error))?;
        let crt = self.dir.join(format!("{}.crt", role.file()));
        if ca_key(&read_certificates(&crt)?[0]) == compressed(public.public_key_raw()) {
            Ok(())
        } else {
            Err(TlsError::KeyMismatch { crt, key })
        }
    }

    /// The key of an authority, PEM.
    pub(super) fn key(&self, role: Role, what_for: &str) -> Result<Zeroizing<String>, TlsError> {
        if let CaKeyState::Plain = self.state() {
            return self.read_plain(role);
        }
        let of = |pair: &Pair| match role {
            Role::Server => pair.server.clone(),
            Role::Client => pair.client.clone(),
        };
        if let Some(held) = &*lock(&self.held) {
            return Ok(of(&held.keys));
        }
        if lock(&self.source).is_none() {
            let mut wanted = lock(&self.wanted);
            if wanted.len() < MOST_WANTED {
                wanted.insert(what_for.to_owned());
            }
            return Err(self.locked(what_for));
        }
        Ok(of(&self.open(&self.passphrase()?)?))
    }

    /// Puts new keys in place of those that are there, locked as they were.
    pub(super) fn replace(&self, server: &Zeroizing<String>, client: &Zeroizing<String>) -> Result<(), TlsError> {
        if self.state() == CaKeyState::Plain {
            for (role, key) in [(Role::Client, client), (Role::Server, server)] {
                let path = self.plain(role);
                files::replace_file(&path, key.as_bytes(), FileMode::Exactly(PRIVATE_FILE))
                    .map_err(unwritable(&path))?;
            }
            return Ok(());
        }
        let keys = Pair {
            server: server.clone(),
            client: client.clone(),
        };
        let mut held = lock(&self.held);
        match &mut *held {
            Some(held) => {
                self.seal(&keys, &held.passphrase, self.cost()?)?;
                held.keys = keys;
                Ok(())
            }
            None => self.seal(&keys, &self.passphrase()?, self.cost()?),
        }
    }

    fn passphrase(&self) -> Result<Passphrase, TlsError> {
        let source = lock(&self.source).clone();
        let source = source.ok_or_else(|| self.locked("a signature"))?;
        let path = source.path;
        let unreadable = |source| TlsError::Unreadable {
            path: path.clone(),
            source,
        };
        let metadata = fs::metadata(&path).map_err(unreadable)?;
        if !source.is_credential {
            check_owner(&path, &metadata)?;
        }
        let text = read(&path)?;
        let text = std::str::from_utf8(&text).map_err(|error| unreadable(io::Error::other(error)))?;
        Ok(Passphrase::in_file(text))
    }

    fn open(&self, passphrase: &Passphrase) -> Result<Pair, TlsError> {
        let path = self.locked_file();
        let bad = |reason: &str| TlsError::BadKey {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let text = self.read_locked()?;
        let opened = sealed::open(&text, passphrase).map_err(&bad)?;
        let opened = opened.ok_or_else(|| TlsError::WrongPassphrase { path: path.clone() })?;
        let text = std::str::from_utf8(&opened).map_err(|_| bad("it is no text"))?;
        let (server, client) = text.split_once('\0').ok_or_else(|| bad("a key is missing in it"))?;
        Ok(Pair {
            server: Zeroizing::new(server.to_owned()),
            client: Zeroizing::new(client.to_owned()),
        })
    }

    fn seal(&self, pair: &Pair, passphrase: &Passphrase, cost: Cost) -> Result<(), TlsError> {
        let path = self.locked_file();
        let mut secrets = Zeroizing::new(Vec::with_capacity(pair.server.len() + 1 + pair.client.len()));
        secrets.extend_from_slice(pair.server.as_bytes());
        secrets.push(0);
        secrets.extend_from_slice(pair.client.as_bytes());
        let text = sealed::seal(HEAD, passphrase, cost, &secrets).map_err(unwritable(&path))?;
        files::replace_file(&path, text.as_bytes(), FileMode::Exactly(PRIVATE_FILE)).map_err(unwritable(&path))
    }

    fn cost(&self) -> Result<Cost, TlsError> {
        let text = self.read_locked()?;
        sealed::cost(&text).map_err(|reason| TlsError::BadKey {
            path: self.locked_file(),
            reason: reason.to_owned(),
        })
    }

    fn read_locked(&self) -> Result<String, TlsError> {
        let path = self.locked_file();
        let text = read_own(&path)?;
        let text = std::str::from_utf8(&text).map(str::to_owned);
        text.map_err(|error| TlsError::BadKey {
            path,
            reason: error.to_string(),
        })
    }

    /// The key of an authority from a file of its own.
    pub(super) fn plain_key(&self, role: Role) -> Result<Zeroizing<String>, TlsError> {
        self.read_plain(role)
    }

    /// Whether there is a file that a passphrase locks.
    pub(super) fn locked_is_there(&self) -> bool {
        self.locked_file().exists()
    }

    fn read_plain(&self, role: Role) -> Result<Zeroizing<String>, TlsError> {
        let path = self.plain(role);
        let bytes = read_own(&path)?;
        let text = std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
        text.map_err(|error| TlsError::BadKey {
            path,
            reason: error.to_string(),
        })
    }

    fn locked(&self, what_for: &str) -> TlsError {
        TlsError::CaLocked {
            path: self.locked_file(),
            what_for: what_for.to_owned(),
        }
    }

    fn plain_are_there(&self) -> bool {
        [Role::Server, Role::Client]
            .iter()
            .all(|role| self.plain(*role).exists())
    }

    fn plain(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{}.key", role.file()))
    }

    fn locked_file(&self) -> PathBuf {
        self.dir.join(LOCKED)
    }
}

impl fmt::Debug for CaKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaKeys")
            .field("dir", &self.dir)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Reads a file that must be this user's alone.
fn read_own(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let metadata = fs::metadata(path).map_err(|source| TlsError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    check_owner(path, &metadata)?;
    read(path)
}

fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), TlsError> {
    let path = path.to_path_buf();
    if let Some((owner, us)) = files::foreign_owner(metadata) {
        return Err(TlsError::ForeignOwner { path, owner, us });
    }
    match files::open_to_others(metadata) {
        Some(mode) => Err(TlsError::TooOpen { path, mode }),
        None => Ok(()),
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> TlsError {
    let path = path.to_path_buf();
    move |source| TlsError::Unwritable { path, source }
}

/// No code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOCKED: &str = "keys.locked";

/// Told in an alarm; more say nothing more.
const MOST_WANTED: usize = 16;

const HEAD: &str = "\
# The private keys of this farm's certificate authorities, locked with a passphrase by `farmconsole ca protect`.
# Without the passphrase nobody can be invited and nothing is renewed; what has a certificate goes on.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::FarmCa;

    const CHEAP: Cost = Cost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    fn farm() -> (tempfile::TempDir, Root, FarmCa) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let ca = FarmCa::open_or_make(&root, "00112233", crate::system_clock::unix_now()).unwrap();
        (dir, root, ca)
    }

    #[test]
    fn locked_keys_sign_only_while_somebody_has_given_the_passphrase() {
        let (_dir, root, ca) = farm();
        let keys = ca.keys();
        let before = keys.key(Role::Client, "").unwrap();
        keys.protect_at(None, &passphrase("correct horse"), CHEAP).unwrap();
        let files: Vec<_> = fs::read_dir(root.farm_ca_dir())
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!files.iter().any(|it| it.ends_with("_ca.key")), "{files:?}");
        let text = fs::read_to_string(root.farm_ca_dir().join(LOCKED)).unwrap();
        assert!(!text.contains("PRIVATE KEY"));

        let later = crate::clock::UnixMillis(crate::system_clock::unix_now().0 + 300 * 86_400_000);
        assert!(matches!(ca.renew_farmer(later), Err(TlsError::CaLocked { .. })));
        assert_eq!(keys.wanted(), ["the farmer's own certificate"]);
        // It still starts, with the certificate that it has.
        FarmCa::open_or_make(&root, "00112233", later).unwrap();

        let wrong = keys.unlock(passphrase("wrong horse"), Mono(9));
        assert!(matches!(wrong, Err(TlsError::WrongPassphrase { .. })));
        keys.unlock(passphrase("correct horse"), Mono(9)).unwrap();
        assert!(keys.wanted().is_empty());
        assert_eq!(keys.key(Role::Client, "").unwrap(), before);
        assert!(ca.renew_farmer(later).unwrap());
        assert!(!keys.handle_idle(Mono(8)));
        assert!(keys.handle_idle(Mono(9)));
        assert_eq!(keys.state(), CaKeyState::Locked);

        keys.unprotect(&passphrase("correct horse")).unwrap();
        assert_eq!(keys.key(Role::Client, "").unwrap(), before);
    }

    #[test]
    fn rotation_keeps_the_lock_and_a_file_with_the_passphrase_is_enough() {
        let (dir, root, ca) = farm();
        let keys = ca.keys();
        keys.protect_at(None, &passphrase("correct horse"), CHEAP).unwrap();
        let file = dir.path().join("passphrase");
        fs::write(&file, "correct horse\n").unwrap();
        files::set_mode(&file, 0o600).unwrap();
        keys.set_source(Some(PassphraseFile {
            path: file.clone(),
            is_credential: false,
        }));
        let before = ca.server_key().unwrap();
        let now = crate::system_clock::unix_now();
        ca.rotate(now).unwrap();
        assert_ne!(ca.server_key().unwrap(), before);
        assert!(!root.farm_ca_dir().join("server_ca.key").exists());
        assert_eq!(keys.state(), CaKeyState::Attended);
        ca.renew_farmer(crate::clock::UnixMillis(now.0 + 300 * 86_400_000))
            .unwrap();

        files::set_mode(&file, 0o644).unwrap();
        assert!(matches!(keys.key(Role::Client, ""), Err(TlsError::TooOpen { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn key_that_others_can_read_is_refused_when_it_is_opened() {
        let (_dir, root, ca) = farm();
        let path = root.farm_ca_dir().join("client_ca.key");
        files::set_mode(&path, 0o640).unwrap();
        assert!(matches!(ca.keys().key(Role::Client, ""), Err(TlsError::TooOpen { .. })));
    }
}
