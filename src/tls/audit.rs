//! Looks for keys that lie where they should not, and for files that others can read.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::issue::PRIVATE_CA_ORGANIZATION;
use super::membership::{has_joined, names_in_ca_file};
use super::{CertificateAuthority, FarmCa, ServiceName, SslLayout};
use crate::config::{LegacyCa, Root, Settings, files, shell_word};

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum AuditFinding {
    /// The key of Chia's private CA lies on a machine that only harvests.
    CaKeyOnHarvester {
        /// Where.
        path: PathBuf,
    },
    /// The key of Chia's private CA lies at the farmer, who does not need it any more.
    CaKeyNotNeeded {
        /// Where.
        path: PathBuf,
    },
    /// A copy of a private CA's key.
    CaKeyCopy {
        /// Where.
        path: PathBuf,
    },
    /// The key of another service on a machine that only harvests: it opens that service's doors at the main machine.
    KeyOfOtherService {
        /// Where.
        path: PathBuf,
        /// Which service.
        service: String,
    },
    /// What a writer left that was killed, with a secret in it.
    Leftover {
        /// Where.
        path: PathBuf,
        /// What the file was to be called.
        of: String,
    },
    /// Others than the owner can read or change it.
    OpenToOthers {
        /// What.
        path: PathBuf,
        /// Its permission bits, octal.
        mode: String,
    },
    /// A directory could not be looked into, so nothing is known of what lies in it.
    NotLookedInto {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl AuditFinding {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::CaKeyOnHarvester { path }
            | Self::CaKeyCopy { path }
            | Self::KeyOfOtherService { path, .. }
            | Self::Leftover { path, .. } => {
                format!("shred -u {}", shell_word(path))
            }
            Self::CaKeyNotNeeded { path } => format!(
                "keep a copy off this machine if you want to be able to go back, then shred -u {}",
                shell_word(path)
            ),
            Self::OpenToOthers { path, .. } => {
                let mode = if path.is_dir() { "700" } else { "600" };
                format!("chmod {mode} {}", shell_word(path))
            }
            Self::NotLookedInto { path, .. } if !may_exist(path) => {
                "name the root with `--root DIR`, or make this one with `farmconsole init`".to_owned()
            }
            Self::NotLookedInto { .. } => {
                "run this as the user that farms, or as root; `--root DIR` names another root".to_owned()
            }
        }
    }
}

impl fmt::Display for AuditFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaKeyOnHarvester { path } => write!(
                f,
                "{}: the key of a private CA on a machine that only harvests; whoever has it is every machine of that farm",
                path.display()
            ),
            Self::CaKeyNotNeeded { path } => write!(
                f,
                "{}: the key of Chia's private CA, which the farmer does not need; only `chia init -c` on another machine does",
                path.display()
            ),
            Self::CaKeyCopy { path } => write!(f, "{}: a copy of the key of a private CA", path.display()),
            Self::KeyOfOtherService { path, service } => write!(
                f,
                "{}: the key of a {service} on a machine that only harvests",
                path.display()
            ),
            Self::Leftover { path, of } => write!(
                f,
                "{}: what is left of writing {of}, which was killed; its secrets are in it",
                path.display()
            ),
            Self::OpenToOthers { path, mode } => {
                write!(f, "{}: open to others than its owner (mode {mode})", path.display())
            }
            Self::NotLookedInto { path, reason } => {
                write!(f, "{}: cannot be looked into: {reason}", path.display())
            }
        }
    }
}

/// Whether something is there, or it cannot be told.
fn may_exist(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// Everything that is not as it should be in a root.
#[must_use]
pub fn audit(root: &Root) -> Vec<AuditFinding> {
    let layout = SslLayout::of(root);
    let mut found = Vec::new();
    let ca_key = layout.ca(CertificateAuthority::Private).key;
    let harvests_only = is_harvester_only(root, &layout);
    if ca_key.exists() {
        if harvests_only {
            found.push(AuditFinding::CaKeyOnHarvester { path: ca_key.clone() });
        } else if FarmCa::is_set_up(root) && !is_for_others(root, &layout) {
            found.push(AuditFinding::CaKeyNotNeeded { path: ca_key.clone() });
        }
    }
    if harvests_only {
        for service in ServiceName::with_certificate_of(CertificateAuthority::Private) {
            let path = layout.leaf(CertificateAuthority::Private, *service).key;
            // The daemon of an official harvester has one of its own.
            if !matches!(service, ServiceName::Harvester | ServiceName::Daemon) && path.exists() {
                let service = service.to_string();
                found.push(AuditFinding::KeyOfOtherService { path, service });
            }
        }
    }
    let mut budget = MOST_ENTRIES;
    let mut closed = Vec::new();
    walk(root.dir(), 0, &mut budget, &mut closed, &mut |path, metadata| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name == "private_ca.key" && *path != ca_key {
            found.push(AuditFinding::CaKeyCopy {
                path: path.to_path_buf(),
            });
        }
        if let Some(of) = files::leftover_of(path)
            && (of.ends_with(".key") && !of.starts_with("public_") && of != "chia_ca.key"
                || [root.membership_file(), root.keys_file()].contains(&path.with_file_name(&of)))
        {
            let path = path.to_path_buf();
            found.push(AuditFinding::Leftover { path, of });
        }
        // The key of the public Chia CA is published, and so are those it signed.
        let is_public = name == "chia_ca.key" || name.starts_with("public_");
        let is_secret = path.extension().is_some_and(|kind| kind == "key") && !is_public
            || [
                root.membership_file(),
                root.keys_file(),
                root.registry_file(),
                root.farm_ca_dir(),
            ]
            .contains(&path.to_path_buf());
        if is_secret && let Some(mode) = files::open_to_others(metadata) {
            let mode = format!("{mode:04o}");
            let path = path.to_path_buf();
            found.push(AuditFinding::OpenToOthers { path, mode });
        }
    });
    found.extend(closed);
    found
}

/// Whether this root only harvests: it joined a farm, or it has a harvester's certificate and no farmer's.
fn is_harvester_only(root: &Root, layout: &SslLayout) -> bool {
    let has = |service| layout.leaf(CertificateAuthority::Private, service).crt.exists();
    has_joined(root) || has(ServiceName::Harvester) && !has(ServiceName::Farmer)
}

/// Whether other machines are to have copies of the CA's key from here, for their `chia init -c`: `init` made this CA for
/// that, no other service uses it, and its certificates still count.
fn is_for_others(root: &Root, layout: &SslLayout) -> bool {
    let made_here = format!("O={PRIVATE_CA_ORGANIZATION},");
    let is_off = Settings::load(root).is_ok_and(|settings| settings.own.legacy_ca == Some(LegacyCa::Off));
    !is_off && names_in_ca_file(layout).iter().any(|name| name.contains(&made_here))
}

/// Files and directories below `dir`, links not followed, plots and deep trees left out; and what could not be listed.
fn walk(
    dir: &Path,
    depth: usize,
    budget: &mut usize,
    closed: &mut Vec<AuditFinding>,
    look: &mut impl FnMut(&Path, &fs::Metadata),
) {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let (path, reason) = (dir.to_path_buf(), error.to_string());
            closed.push(AuditFinding::NotLookedInto { path, reason });
            return;
        }
    };
    for entry in entries.flatten() {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        look(&path, &metadata);
        if metadata.is_dir() && depth < DEEPEST {
            walk(&path, depth + 1, budget, closed, look);
        }
    }
}

/// `config/ssl.bak-…/wallet/private_wallet.key` is four deep.
const DEEPEST: usize = 6;

/// A root has hundreds of files; a plot directory in it may have many more.
const MOST_ENTRIES: usize = 100_000;

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::init::{InitOptions, init};

    #[test]
    fn keys_that_were_copied_around_and_modes_that_are_loose_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let options = InitOptions {
            ca_dir: None,
            network: None,
            now: crate::clock::UnixMillis(1_717_200_000_000),
        };
        init(&root, &options).unwrap();
        assert_eq!(audit(&root), []);
        let layout = SslLayout::of(&root);
        let ca = layout.ca(CertificateAuthority::Private);
        let copy = root.dir().join("config/ssl.bak-1/ca/private_ca.key");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&ca.key, &copy).unwrap();
        files::set_mode(&ca.key, 0o644).unwrap();
        fs::remove_dir_all(root.ssl_dir().join("farmer")).unwrap();
        let found = audit(&root);
        assert!(found.contains(&AuditFinding::CaKeyOnHarvester { path: ca.key.clone() }));
        assert!(found.contains(&AuditFinding::CaKeyCopy { path: copy }));
        let mode = "0644".to_owned();
        assert!(found.contains(&AuditFinding::OpenToOthers { path: ca.key, mode }));
        let wallet = found
            .iter()
            .any(|it| matches!(it, AuditFinding::KeyOfOtherService { service, .. } if service == "wallet"));
        assert!(wallet, "{found:?}");
    }

    #[test]
    fn farming_keys_that_a_killed_import_left_are_found_and_the_next_start_removes_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        fs::create_dir_all(root.state_dir()).unwrap();
        fs::create_dir_all(root.dir().join("config")).unwrap();
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let left = |dir: PathBuf, name: &str| {
            let path = dir.join(format!(".{name}.{}.tmp", ended.id()));
            fs::write(&path, b"secret").unwrap();
            files::set_mode(&path, 0o600).unwrap();
            path
        };
        let path = left(root.state_dir(), "farming-keys.yaml");
        let settings = left(root.dir().join("config"), "config.yaml");
        let found = audit(&root);
        let [finding @ AuditFinding::Leftover { path: said, .. }] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(*said, path);
        assert!(finding.remedy().starts_with("shred -u"), "{}", finding.remedy());
        root.remove_leftovers();
        assert!(!path.exists() && !settings.exists());
        assert_eq!(audit(&root), []);
    }

    #[test]
    fn key_of_our_private_ca_is_wanted_at_the_farmer_until_its_certificates_count_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path().join("my farm"));
        let now = crate::clock::UnixMillis(1_717_200_000_000);
        let options = InitOptions {
            ca_dir: None,
            network: None,
            now,
        };
        init(&root, &options).unwrap();
        FarmCa::open_or_make(&root, "00112233", now).unwrap();
        assert_eq!(audit(&root), []);
        let mut editor = crate::config::edit::Editor::open(&root).unwrap();
        editor.set_legacy_ca("off").unwrap();
        editor.save().unwrap();
        let path = SslLayout::of(&root).ca(CertificateAuthority::Private).key;
        let found = audit(&root);
        assert_eq!(found, [AuditFinding::CaKeyNotNeeded { path: path.clone() }]);
        let command = format!("shred -u '{}'", path.display());
        assert!(found[0].remedy().ends_with(&command), "{}", found[0].remedy());

        // A CA of the official software is used by other services, which keep their own copy of its key.
        let official = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/official_ssl/ca");
        let root = Root::new(dir.path().join("imported"));
        let options = InitOptions {
            ca_dir: Some(official),
            ..options
        };
        init(&root, &options).unwrap();
        FarmCa::open_or_make(&root, "00112233", now).unwrap();
        let found = audit(&root);
        assert!(matches!(found[..], [AuditFinding::CaKeyNotNeeded { .. }]), "{found:?}");
    }

    #[test]
    fn a_root_that_cannot_be_looked_into_is_not_called_fine() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("absent");
        let found = audit(&Root::new(&absent));
        assert!(
            matches!(found.as_slice(), [AuditFinding::NotLookedInto { path, .. }] if *path == absent),
            "{found:?}"
        );
        let remedy = |path: PathBuf| {
            AuditFinding::NotLookedInto {
                path,
                reason: String::new(),
            }
            .remedy()
        };
        assert!(remedy(absent).contains("`farmconsole init`"));
        assert!(remedy(dir.path().to_path_buf()).starts_with("run this as the user that farms"));
    }
}
