//! Giving a membership to an installed official harvester: the five files it needs, and no CA key.
//!
//! The official software reads one CA file for its farmer and for its own daemon. So that file holds the farm's server CA
//! and a CA that is made here, signs the daemon's certificate, and whose key is thrown away: this machine's daemon trusts
//! nobody else's certificate, and no other machine trusts this one's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::UnixMillis;
use crate::config::edit::{EditError, Editor};
use crate::config::files::{self, CERTIFICATE_FILE, FileMode, PRIVATE_DIR, PRIVATE_FILE};
use crate::config::{ConfigError, HostPort, Root, Settings};
use crate::tls::issue::{Issuer, make_private_ca};
use crate::tls::{CertificateAuthority, Membership, ServiceName, SslLayout, TlsError};

/// Why an official root was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OfficialError {
    /// It has no settings: the first `chia init` would replace the CA's certificate by one it makes up.
    #[error("{} is not there: the official software was never set up", file.display())]
    NotSetUp {
        /// The settings file.
        file: PathBuf,
    },
    /// Its settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is set to another network than the farm.
    #[error("{} is set to the network {set}, the farm is on {farm}", file.display())]
    OtherNetwork {
        /// The settings file.
        file: PathBuf,
        /// Its network.
        set: String,
        /// The farm's.
        farm: String,
    },
    /// Certificates cannot be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Files cannot be written.
    #[error("write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The settings cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

impl OfficialError {
    /// What to do about it, if that can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotSetUp { .. } => Some("run `chia init` first, then join".to_owned()),
            Self::OtherNetwork { file, farm, .. } => {
                Some(format!("set `selected_network: {farm}` in {}", file.display()))
            }
            Self::Config(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::Edit(error) => error.hint(),
            Self::File { .. } => None,
        }
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Where the certificates are that were there before.
    pub backup: Option<PathBuf>,
    /// Private keys there, and in older backups, that a harvester has no use for: the CA's, and those of other services.
    pub spare_keys: Vec<PathBuf>,
}

/// Looks whether a membership can be installed in an official root, before a token is used up. The network of its
/// settings.
///
/// # Errors
/// [`OfficialError`].
pub fn check(root: &Root) -> Result<String, OfficialError> {
    match Settings::load(root) {
        Ok(settings) => Ok(settings.network),
        Err(ConfigError::Missing { .. }) => Err(OfficialError::NotSetUp {
            file: root.config_file(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// Whether an official harvester runs on a root, or the daemon that starts it: each holds a lock as long as it lives. A
/// daemon that read the certificates before would not listen to commands that show the new ones.
#[must_use]
pub fn is_running(root: &Root) -> bool {
    ["harvester.lock", "daemon.lock"].iter().any(|name| {
        let lock = fs::File::open(root.dir().join("run").join(name));
        lock.is_ok_and(|it| matches!(it.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    })
}

/// Overwrites and removes spare keys. Those that are not below a directory of certificates of this root (`config/ssl` or
/// a backup of it) are left alone.
///
/// # Errors
/// [`OfficialError::File`] for the first key that is still there.
pub fn shred(root: &Root, keys: &[PathBuf]) -> Result<(), OfficialError> {
    let ssl = root.ssl_dir();
    let backups = beside(&ssl, "bak-");
    let is_ours = |path: &Path| {
        let real = path.canonicalize().ok();
        let config = ssl.parent().and_then(|it| it.canonicalize().ok());
        let inside = real.as_ref().zip(config.as_ref());
        let first = inside.and_then(|(real, config)| real.strip_prefix(config).ok()?.iter().next());
        first.is_some_and(|first| {
            let name = first.to_string_lossy();
            let is = |wanted: &Path| wanted.file_name().map(|it| it.to_string_lossy().into_owned());
            Some(name.as_ref()) == is(&ssl).as_deref() || is(&backups).is_some_and(|start| name.starts_with(&start))
        })
    };
    for key in keys {
        let failed = failed(key);
        if !is_ours(key) {
            return Err(failed(io::Error::other("it lies outside of this root's certificates")));
        }
        files::shred(key).map_err(failed)?;
    }
    Ok(())
}

/// Puts the five files in place of the certificates that are there, which are kept beside them, and names the farmer as
/// the only one in the settings.
///
/// # Errors
/// [`OfficialError`]; the settings are changed last.
pub fn install(
    root: &Root,
    membership: &Membership,
    farmer: &HostPort,
    network: &str,
    now: UnixMillis,
) -> Result<Installed, OfficialError> {
    let set = check(root)?;
    if set != network {
        return Err(OfficialError::OtherNetwork {
            file: root.config_file(),
            set,
            farm: network.to_owned(),
        });
    }
    let mut editor = Editor::open(root)?;
    editor.set_only_farmer(farmer)?;

    let ssl = root.ssl_dir();
    let fresh = beside(&ssl, &format!("new-{}", std::process::id()));
    write_files(&SslLayout::new(&fresh), membership, now)?;
    let mut installed = Installed {
        backup: None,
        spare_keys: Vec::new(),
    };
    if ssl.exists() {
        let backup = beside(&ssl, &format!("bak-{}", now.seconds()));
        fs::rename(&ssl, &backup).map_err(failed(&backup))?;
        files::set_mode(&backup, PRIVATE_DIR).map_err(failed(&backup))?;
        installed.backup = Some(backup);
    }
    fs::rename(&fresh, &ssl).map_err(failed(&ssl))?;
    installed.spare_keys = spare_keys(&ssl);
    editor.save()?;
    Ok(installed)
}

fn write_files(layout: &SslLayout, membership: &Membership, now: UnixMillis) -> Result<(), OfficialError> {
    let local = Issuer::of_pem(make_private_ca(now)?, now)?;
    let daemon = local.issue_leaf(now)?;
    let bundle = format!("{}{}", membership.server_ca(), local.pem().crt);
    let harvester = layout.leaf(CertificateAuthority::Private, ServiceName::Harvester);
    let daemons = layout.leaf(CertificateAuthority::Private, ServiceName::Daemon);
    let files: [(&Path, &str, u32); 5] = [
        (&layout.ca(CertificateAuthority::Private).crt, &bundle, CERTIFICATE_FILE),
        (&harvester.key, membership.key(), PRIVATE_FILE),
        (&harvester.crt, membership.certificate(), CERTIFICATE_FILE),
        (&daemons.key, &daemon.key, PRIVATE_FILE),
        (&daemons.crt, &daemon.crt, CERTIFICATE_FILE),
    ];
    for (path, text, mode) in files {
        if let Some(parent) = path.parent() {
            files::create_private_dirs(parent).map_err(failed(parent))?;
        }
        files::replace_file(path, text.as_bytes(), FileMode::Exactly(mode)).map_err(failed(path))?;
    }
    Ok(())
}

/// The private keys in all backups of an `ssl` directory that a harvester has no use for.
fn spare_keys(ssl: &Path) -> Vec<PathBuf> {
    let start = beside(ssl, "bak-");
    let start = start.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries = ssl
        .parent()
        .and_then(|it| fs::read_dir(it).ok())
        .into_iter()
        .flatten()
        .flatten();
    let backups = entries.filter(|it| it.file_name().to_string_lossy().starts_with(&start));
    let mut keys: Vec<_> = backups.flat_map(|it| private_keys(&it.path())).collect();
    keys.sort();
    keys
}

/// Every private key of Chia's private CA below an `ssl` directory, but the harvester's own.
fn private_keys(ssl: &Path) -> Vec<PathBuf> {
    let layout = SslLayout::new(ssl);
    let services = ServiceName::with_certificate_of(CertificateAuthority::Private).iter();
    let keys = services
        .filter(|service| **service != ServiceName::Harvester)
        .map(|service| layout.leaf(CertificateAuthority::Private, *service).key);
    let ca = layout.ca(CertificateAuthority::Private).key;
    [ca].into_iter().chain(keys).filter(|path| path.exists()).collect()
}

fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    dir.with_file_name(name)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OfficialError {
    let path = path.to_path_buf();
    move |source| OfficialError::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spare_keys_of_this_root_are_shredded() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().join("chia"));
        let put = |path: PathBuf| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "PRIVATE").unwrap();
            path
        };
        let config = root.dir().join("config");
        let ca = put(config.join("ssl.bak-1/ca/private_ca.key"));
        let wallet = put(config.join("ssl.bak-2/wallet/private_wallet.key"));
        put(config.join("ssl.bak-2/harvester/private_harvester.key"));
        put(config.join("ssl/harvester/private_harvester.key"));
        let spare = spare_keys(&root.ssl_dir());
        assert_eq!(spare, [ca.clone(), wallet.clone()]);
        shred(&root, &spare).unwrap();
        assert!(!ca.exists() && !wallet.exists());
        assert!(root.ssl_dir().join("harvester/private_harvester.key").exists());

        let elsewhere = put(dir.path().join("ca/private_ca.key"));
        shred(&root, std::slice::from_ref(&elsewhere)).unwrap_err();
        let outwards = config.join("ssl.bak-2/wallet/private_wallet.key");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&elsewhere, &outwards).unwrap();
            shred(&root, &[outwards]).unwrap_err();
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "PRIVATE");
    }

    #[test]
    fn what_runs_holds_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert!(!is_running(&root));
        fs::create_dir_all(dir.path().join("run")).unwrap();
        let lock = fs::File::create(dir.path().join("run/daemon.lock")).unwrap();
        assert!(!is_running(&root), "a lock that was left behind");
        lock.lock().unwrap();
        assert!(is_running(&root));
    }
}
