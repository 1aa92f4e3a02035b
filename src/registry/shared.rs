//! The registry of a running farm.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::file::{self, RegistryError};
use super::{CertificateRecord, Member, MemberOrigin, Registry, Standing, Verdict};
use crate::config::{LegacyCa, Root};
use crate::ids::PeerId;
use crate::logging::escape;

/// Who may connect, shared by all connections of a farm. Changes that a person made are on disk before they count;
/// what harvesters do by connecting is written by [`Self::flush`].
#[derive(Debug)]
pub struct AllowList {
    file: Option<PathBuf>,
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    audit: Audit,
    /// The damaged file, if one was found at the start and nobody has taken it away.
    damaged: Option<PathBuf>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    legacy: LegacyCa,
    /// Certificates of other services of this root; Chia's CA signs them all alike.
    not_harvesters: BTreeMap<PeerId, &'static str>,
    unsaved: bool,
    /// Certificates that harvesters have connected with since the start.
    came: BTreeSet<PeerId>,
}

impl AllowList {
    /// The registry of a root, a new one if there is none.
    ///
    /// # Errors
    /// [`RegistryError`]; nobody is let in then.
    pub fn open(root: &Root, legacy: LegacyCa) -> Result<Self, RegistryError> {
        let file = root.registry_file();
        let mut is_of_before = false;
        let registry = match file::load(&file)? {
            Some(loaded) => {
                is_of_before = loaded.is_of_before;
                if is_of_before {
                    file::set_aside(&file)?;
                }
                loaded.registry
            }
            None => {
                let mut id = [0; 4];
                getrandom::fill(&mut id).map_err(RegistryError::NoChance)?;
                let registry = Registry::new(hex::encode(id));
                root.create_state_dir().map_err(|source| RegistryError::File {
                    file: file.clone(),
                    source,
                })?;
                file::save(&file, &registry)?;
                registry
            }
        };
        let damaged = Some(file::damaged(&file)).filter(|it| it.exists());
        let mut list = Self::with(registry, legacy, Some(file), Audit::to(root.audit_file()));
        list.damaged = damaged;
        // What is used is the registry from now on.
        list.lock().unsaved = is_of_before;
        Ok(list)
    }

    /// A registry that is kept nowhere.
    #[must_use]
    pub fn in_memory(registry: Registry, legacy: LegacyCa) -> Self {
        Self::with(registry, legacy, None, Audit { file: None })
    }

    fn with(registry: Registry, legacy: LegacyCa, file: Option<PathBuf>, audit: Audit) -> Self {
        let inner = Inner {
            registry,
            legacy,
            not_harvesters: BTreeMap::new(),
            unsaved: false,
            came: BTreeSet::new(),
        };
        Self {
            file,
            inner: Mutex::new(inner),
            changes: watch::channel(0).0,
            audit,
            damaged: None,
        }
    }

    /// The registry that was damaged at this start or an earlier one, so that the version before its last change is used:
    /// whoever was revoked by that change is in again. It is kept until a person takes it away.
    #[must_use]
    pub fn damaged(&self) -> Option<&Path> {
        self.damaged.as_deref().filter(|it| it.exists())
    }

    /// Certificates that are none of a harvester, with what they are.
    pub fn set_not_harvesters(&self, certificates: BTreeMap<PeerId, &'static str>) {
        self.lock().not_harvesters = certificates;
    }

    /// What a certificate is, if it is that of another service of this root.
    #[must_use]
    pub fn other_service(&self, certificate: PeerId) -> Option<&'static str> {
        self.lock().not_harvesters.get(&certificate).copied()
    }

    /// The registry as it is.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.lock().registry.clone()
    }

    /// Name of the farm in its certificates.
    #[must_use]
    pub fn farm_id(&self) -> String {
        self.lock().registry.farm_id().to_owned()
    }

    /// What a certificate is worth, if it is listed.
    #[must_use]
    pub fn judge(&self, certificate: PeerId) -> Verdict {
        let inner = self.lock();
        let member = inner.registry.member(certificate);
        if inner.legacy == LegacyCa::Off
            && member.is_some_and(|it| it.origin == MemberOrigin::Legacy && !it.is_revoked())
        {
            return Verdict::Unknown;
        }
        inner.registry.judge(certificate)
    }

    /// Whether a harvester has connected with this certificate. One that was given anew counts once it was used.
    #[must_use]
    pub fn has_connected(&self, certificate: PeerId) -> bool {
        let inner = self.lock();
        let member = inner.registry.member(certificate);
        member.is_some_and(|it| {
            it.last_seen_unix_s.is_some() && it.certificates.first().is_some_and(|it| it.sha256 == certificate)
        })
    }

    /// Dates between which a listed certificate is valid, unix seconds.
    #[must_use]
    pub fn validity(&self, certificate: PeerId) -> Option<(u64, u64)> {
        let inner = self.lock();
        let record = inner.registry.certificate(certificate)?;
        Some((record.not_before_unix_s, record.not_after_unix_s))
    }

    /// What certificates of Chia's private CA are worth.
    #[must_use]
    pub fn legacy(&self) -> LegacyCa {
        self.lock().legacy
    }

    /// Changes that. With [`LegacyCa::Off`], harvesters with such certificates are disconnected.
    pub fn set_legacy(&self, legacy: LegacyCa) {
        self.lock().legacy = legacy;
        self.tell();
    }

    /// A certificate of Chia's private CA has come. What it is worth, which may list it.
    pub fn handle_legacy(&self, certificate: CertificateRecord, now_unix_s: u64) -> Verdict {
        let mut inner = self.lock();
        let legacy = inner.legacy;
        match inner.registry.judge(certificate.sha256) {
            // Listed in another time: with `off` nothing of that CA counts.
            Verdict::Allowed if legacy == LegacyCa::Off => Verdict::Unknown,
            Verdict::Unknown => {
                let id = certificate.sha256;
                let verdict = inner.registry.handle_stranger(certificate, legacy, now_unix_s);
                if matches!(verdict, Verdict::Allowed | Verdict::Pending) {
                    inner.unsaved = true;
                    self.audit.note("legacy", &format!("{verdict:?} {id}"), now_unix_s);
                    drop(inner);
                    self.tell();
                }
                verdict
            }
            known => known,
        }
    }

    /// A harvester that waits to be let in has knocked from this address, by which a person can name it.
    pub fn handle_waiting(&self, certificate: PeerId, address: &str) {
        let mut inner = self.lock();
        if inner.registry.handle_waiting(certificate, address) {
            inner.unsaved = true;
        }
    }

    /// A harvester has connected.
    pub fn handle_connected(&self, certificate: PeerId, address: &str, software: &str, now_unix_s: u64) {
        let mut inner = self.lock();
        inner.unsaved = true;
        let is_first = inner.registry.member(certificate).is_some() && inner.came.insert(certificate);
        if inner
            .registry
            .handle_connected(certificate, address, software, now_unix_s)
        {
            drop(inner);
            self.audit.note("renewed", &certificate.to_string(), now_unix_s);
            self.tell();
        } else if is_first {
            drop(inner);
            self.tell();
        }
    }

    /// Harvesters that may connect and did so in earlier runs, but not in this one. Of those that were entered because
    /// they had a certificate of Chia's private CA only who came after `legacy_from_unix_s`: nobody takes them off the
    /// list.
    #[must_use]
    pub fn missing(&self, legacy_from_unix_s: u64) -> Vec<Member> {
        let inner = self.lock();
        let is_expected = |it: &&Member| match (it.origin, it.last_seen_unix_s) {
            (_, None) => false,
            (MemberOrigin::Legacy, Some(seen)) => inner.legacy != LegacyCa::Off && seen >= legacy_from_unix_s,
            (MemberOrigin::Own | MemberOrigin::Official | MemberOrigin::Csr, Some(_)) => true,
        };
        let has_come = |it: &Member| it.certificates.iter().any(|it| inner.came.contains(&it.sha256));
        let members = inner.registry.members().iter();
        members
            .filter(|it| it.standing == Standing::Allowed && !has_come(it))
            .filter(is_expected)
            .cloned()
            .collect()
    }

    /// Changes the registry, on disk first. Nothing is changed if that fails.
    ///
    /// # Errors
    /// What `change` says, or why the file cannot be written.
    pub fn change<T, E>(&self, change: impl FnOnce(&mut Registry) -> Result<T, E>) -> Result<T, E>
    where
        E: From<RegistryError>,
    {
        let mut inner = self.lock();
        let mut registry = inner.registry.clone();
        let result = change(&mut registry)?;
        if let Some(file) = &self.file {
            file::save(file, &registry)?;
        }
        inner.registry = registry;
        inner.unsaved = false;
        drop(inner);
        self.tell();
        Ok(result)
    }

    /// Writes what has changed by connecting.
    ///
    /// # Errors
    /// Why the file cannot be written; it is tried again the next time.
    pub fn flush(&self) -> Result<(), RegistryError> {
        let mut inner = self.lock();
        if let Some(file) = &self.file
            && inner.unsaved
        {
            file::save(file, &inner.registry)?;
        }
        inner.unsaved = false;
        Ok(())
    }

    /// To be told of every change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Where what was done is written down.
    #[must_use]
    pub const fn audit(&self) -> &Audit {
        &self.audit
    }

    fn tell(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was done with certificates, one line each: unix seconds, a word, and whom it was about. Lines are only added.
#[derive(Debug)]
pub struct Audit {
    file: Option<PathBuf>,
}

impl Audit {
    const fn to(file: PathBuf) -> Self {
        Self { file: Some(file) }
    }

    /// Writes a line, here and in the log.
    pub fn note(&self, word: &str, about: &str, now_unix_s: u64) {
        // What was done is done; the log says so.
        let _ = self.try_note(word, about, now_unix_s);
    }

    /// The same, for somebody who can be told that it failed.
    ///
    /// # Errors
    /// Why the line is only in the log, as a fragment.
    pub fn try_note(&self, word: &str, about: &str, now_unix_s: u64) -> Result<(), String> {
        let about = escape(about);
        tracing::info!(target: "registry", "{word}: {about}");
        let Some(file) = &self.file else { return Ok(()) };
        let line = format!("{now_unix_s} {word} {about}\n");
        append(file, &line).map_err(|error| {
            let why = format!("write {}: {error}", file.display());
            tracing::error!(target: "registry", "{why}");
            why
        })
    }
}

fn append(file: &Path, line: &str) -> std::io::Result<()> {
    if std::fs::metadata(file).is_ok_and(|it| it.len() > MAX_AUDIT_BYTES) {
        std::fs::rename(file, file.with_extension("log.1"))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(crate::config::files::PRIVATE_FILE);
    }
    options.open(file)?.write_all(line.as_bytes())
}

/// A hundred thousand lines; the older ones go to a second file, which the next ones replace.
const MAX_AUDIT_BYTES: u64 = 8 << 20;
