//! The registry as a file: JSON with a checksum, replaced in one step, with the version before it beside it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Registry;
use crate::config::files::{self, FileMode, PRIVATE_FILE};

/// Why the registry cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is damaged, and so is the version before it, or there is none.
    #[error("{} is damaged: {reason}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No chance for a new farm id.
    #[error("make an id for this farm: {0}")]
    NoChance(getrandom::Error),
}

impl RegistryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { file, .. } => format!(
                "is there room on the disk, and does {} belong to this user?",
                file.display()
            ),
            Self::Damaged { file, .. } => format!(
                "put a backup of {} back; without one, remove it and enrol every harvester again",
                file.display()
            ),
            Self::NoChance(_) => "the operating system gives no random numbers".to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// SHA-256 of the registry as compact JSON.
    checksum: String,
    registry: Registry,
}

/// A registry that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) registry: Registry,
    /// Whether it is the version before the last change, because the last one was damaged.
    pub(super) is_of_before: bool,
}

/// Reads the registry; the version before the last change if the last one is damaged. None if there never was one.
pub(super) fn load(file: &Path) -> Result<Option<Loaded>, RegistryError> {
    let loaded = |registry, is_of_before| Ok(Some(Loaded { registry, is_of_before }));
    let newest = read(file);
    match newest {
        Ok(Some(registry)) => return loaded(registry, false),
        Err(error @ RegistryError::File { .. }) => return Err(error),
        _ => {}
    }
    match (newest, read(&before(file))) {
        (newest, Ok(Some(registry))) => {
            let reason = newest
                .err()
                .map_or_else(|| "it is missing".to_owned(), |error| error.to_string());
            tracing::error!(target: "registry", "{reason}; the version before the last change is used");
            loaded(registry, true)
        }
        (Ok(_), Ok(None)) => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Writes the registry and keeps what was there as the version before.
pub(super) fn save(file: &Path, registry: &Registry) -> Result<(), RegistryError> {
    let failed = |source| RegistryError::File {
        file: file.to_path_buf(),
        source,
    };
    if read(file).is_ok_and(|old| old.is_some()) {
        let old = files::read_limited(file, MAX_BYTES).map_err(failed)?;
        files::replace_file(&before(file), &old, FileMode::Exactly(PRIVATE_FILE)).map_err(failed)?;
    }
    let kept = Kept {
        version: VERSION,
        checksum: checksum(registry).map_err(|error| failed(error.into()))?,
        registry: registry.clone(),
    };
    let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
    files::replace_file(file, &text, FileMode::Exactly(PRIVATE_FILE)).map_err(failed)
}

/// Keeps a damaged registry beside the one that is used instead of it; an empty file says that it was gone.
pub(super) fn set_aside(file: &Path) -> Result<(), RegistryError> {
    let aside = damaged(file);
    let moved = match std::fs::rename(file, &aside) {
        // Gone, or set aside by a start that was killed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && aside.exists() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            files::replace_file(&aside, b"", FileMode::Exactly(PRIVATE_FILE))
        }
        moved => moved,
    };
    moved.map_err(|source| RegistryError::File { file: aside, source })
}

fn read(file: &Path) -> Result<Option<Registry>, RegistryError> {
    let damaged = |reason: String| RegistryError::Damaged {
        file: file.to_path_buf(),
        reason,
    };
    let bytes = match files::read_limited(file, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(RegistryError::File {
                file: file.to_path_buf(),
                source,
            });
        }
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if kept.version != VERSION {
        return Err(damaged(format!(
            "its version is {}, this program reads {VERSION}",
            kept.version
        )));
    }
    let mut registry = kept.registry;
    if checksum(&registry).map_err(|error| damaged(error.to_string()))? != kept.checksum {
        return Err(damaged("its checksum is wrong".to_owned()));
    }
    registry.reindex();
    Ok(Some(registry))
}

fn checksum(registry: &Registry) -> serde_json::Result<String> {
    Ok(hex::encode(Sha256::digest(serde_json::to_vec(registry)?)))
}

/// Where a damaged registry is kept.
pub(super) fn damaged(file: &Path) -> PathBuf {
    file.with_extension("json.damaged")
}

fn before(file: &Path) -> PathBuf {
    file.with_extension("json.before")
}

const VERSION: u32 = 1;

/// Four thousand harvesters stay far below this.
const MAX_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::super::tests::{certificate, name};
    use super::super::{MemberOrigin, Registry};
    use super::*;

    fn registry(names: &[&str]) -> Registry {
        let mut registry = Registry::new("00112233".to_owned());
        for (n, it) in (1..).zip(names) {
            registry.enrol(&name(it), MemberOrigin::Own, certificate(n), 5).unwrap();
        }
        registry
    }

    #[test]
    fn registry_survives_and_damage_falls_back_to_the_version_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("harvesters.json");
        let of = |names: &[&str], is_of_before| {
            let registry = registry(names);
            Some(Loaded { registry, is_of_before })
        };
        assert_eq!(load(&file).unwrap(), None);
        save(&file, &registry(&["a"])).unwrap();
        save(&file, &registry(&["a", "b"])).unwrap();
        assert_eq!(load(&file).unwrap(), of(&["a", "b"], false));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("\"b\"", "\"c\"")).unwrap();
        assert_eq!(load(&file).unwrap(), of(&["a"], true), "someone edited it");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(load(&file).unwrap(), of(&["a"], true), "someone removed it");
        std::fs::write(&file, b"{").unwrap();
        std::fs::write(before(&file), b"").unwrap();
        assert!(
            matches!(load(&file), Err(RegistryError::Damaged { .. })),
            "never taken for a new farm"
        );
    }
}
