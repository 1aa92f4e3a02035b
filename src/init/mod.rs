//! Making a root, completing one that is half made, and adopting one of the official software.
//!
//! Doing it twice is the same as doing it once: what is there and in order stays. Everything that can be wrong with the
//! request is looked at before anything is written, the settings file is written last, and each file appears in one
//! step, so an interrupted `init` leaves what a second one completes.
//!
//! Not here: keys (`farmconsole keys import`), plot directories, and registering with other machines.

mod certificates;
mod report;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::clock::UnixMillis;
use crate::config::ConfigError;
use crate::config::edit::EditError;
use crate::config::files::{self, FileMode};
use crate::config::{BUILT_IN_NETWORKS, LegacyCa, Root, RootKind, Settings, access, settings_for, shell_word};
use crate::registry::{Registry, RegistryError};
use crate::tls::issue::Issuer;
use crate::tls::{CertificatePaths, FarmCa, SslLayout, TlsError};

pub use report::{InitReport, InitStep};

/// What `farmconsole init` is asked for.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// `-c CA_DIR`: use the private CA in this directory, and make all private certificates anew with it.
    pub ca_dir: Option<PathBuf>,
    /// `--network NAME`: one of [`BUILT_IN_NETWORKS`]; mainnet for a new root where none is given.
    pub network: Option<String>,
    /// The time, for certificates.
    pub now: UnixMillis,
}

/// Why a root was not made. [`InitError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// No such network.
    #[error("unknown network {network:?}")]
    UnknownNetwork {
        /// The name given.
        network: String,
    },
    /// The root exists and is set to another network.
    #[error("{} is set to the network {set:?}, not {asked:?}", file.display())]
    OtherNetwork {
        /// The settings file.
        file: PathBuf,
        /// Its network.
        set: String,
        /// The network given.
        asked: String,
    },
    /// The directory holds something else.
    #[error("{} is not empty and no root (it holds {})", dir.display(), found.display())]
    NotARoot {
        /// The directory.
        dir: PathBuf,
        /// Something in it.
        found: PathBuf,
    },
    /// `-c` names something that is no directory.
    #[error("the CA directory {} does not exist", dir.display())]
    NoCaDirectory {
        /// The path given.
        dir: PathBuf,
    },
    /// `-c` names a directory without the certificate or without the key of the private CA.
    #[error("there is no {file} in {}", dir.display())]
    CaIncomplete {
        /// The directory.
        dir: PathBuf,
        /// The missing file.
        file: &'static str,
    },
    /// A root of the official software that cannot be farmed with.
    #[error("the root {} cannot be used: {reason}", dir.display())]
    CannotAdopt {
        /// The root.
        dir: PathBuf,
        /// What is missing.
        reason: Box<TlsError>,
    },
    /// Certificates are there, but not the CA that signed them, so none can be made.
    #[error("{} is missing, but certificates it signed are there", file.display())]
    CaLost {
        /// The missing file.
        file: PathBuf,
    },
    /// `-c` would take a root out of the farm that it has joined.
    #[error("cannot set {} up with the private CA in {}: it has joined a farm with other certificates", dir.display(), ca_dir.display())]
    HasJoined {
        /// The root.
        dir: PathBuf,
        /// The path given.
        ca_dir: PathBuf,
        /// What says so, below the root: certificates of its own or of the official software.
        moved: PathBuf,
    },
    /// `-c` would cut harvesters off, which connect with certificates of the CA that is there.
    #[error(
        "cannot put the private CA in {} in place of {}: harvesters connect with its certificates: {}",
        ca_dir.display(), dir.display(), harvesters.join(", ")
    )]
    CaInUse {
        /// The directory of the CA that is there.
        dir: PathBuf,
        /// The path given.
        ca_dir: PathBuf,
        /// What people call them.
        harvesters: Vec<String>,
    },
    /// Who belongs to the farm of the root cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Certificates cannot be read or made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The settings that are there cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The settings cannot be put together.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Another `init` is at work on this root.
    #[error("another `farmconsole init` is at work in {}", dir.display())]
    Busy {
        /// The root.
        dir: PathBuf,
    },
    /// Something cannot be written or looked at.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl InitError {
    /// What to do about it, where there is more to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownNetwork { .. } => format!(
                "choose one of {}; a network of your own is described in the settings",
                BUILT_IN_NETWORKS.join(", ")
            ),
            Self::OtherNetwork { .. } => "make another root with `--root DIR`, or change selected_network there".into(),
            Self::NotARoot { .. } => "name an empty or new directory with `--root DIR`".into(),
            Self::NoCaDirectory { .. } => {
                "copy the directory config/ssl/ca of the main machine here and name the copy".into()
            }
            Self::CaIncomplete { file, .. } => {
                format!("copy {file} from config/ssl/ca of the main machine; without it no certificate can be made")
            }
            Self::CannotAdopt { .. } => {
                "if it was never set up, run `chia init` there; if files of it are lost, restore them from a backup, or give a \
                 copy of its CA with `farmconsole init -c CA_DIR`; or make a root of our own with another `--root DIR`"
                    .into()
            }
            Self::CaLost { .. } => "copy it back, or run `farmconsole init -c CA_DIR` with the CA to use".into(),
            Self::HasJoined { moved, .. } => {
                format!("to leave that farm, {} and do this again", move_away(moved, "before"))
            }
            Self::CaInUse { dir, .. } => format!(
                "invite them (`farmconsole harvester invite NAME`) and revoke what is gone; to cut them off, {} and do \
                 this again",
                move_away(dir, "bak-before")
            ),
            Self::Registry(error) => error.hint(),
            Self::Tls(error) => return error.hint(),
            Self::Unwritable { path, source } => return access::hint_of(path, source),
            Self::Config(error) => return error.hint(),
            Self::Edit(error) => return error.hint(),
            _ => return None,
        };
        Some(hint)
    }

    fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Unwritable { path, source }
    }
}

/// Makes, completes or adopts `root`.
///
/// A root with settings but without our marker is the official software's: it is adopted, its settings and certificates
/// are used as they are, and without `ca_dir` nothing outside `farmconsole/` is written.
///
/// # Errors
/// When the request cannot be met; then nothing has been written, unless writing itself failed.
pub fn init(root: &Root, options: &InitOptions) -> Result<InitReport, InitError> {
    let network = options.network.as_deref();
    if let Some(network) = network.filter(|name| !BUILT_IN_NETWORKS.contains(name)) {
        return Err(InitError::UnknownNetwork {
            network: network.to_owned(),
        });
    }
    let ca = options
        .ca_dir
        .as_deref()
        .map(|dir| given_ca(dir, options.now))
        .transpose()?;
    let settings = match Settings::load(root) {
        Ok(settings) => Some(settings),
        Err(ConfigError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    if let (Some(settings), Some(asked)) = (&settings, network)
        && settings.network != asked
    {
        return Err(InitError::OtherNetwork {
            file: root.config_file(),
            set: settings.network.clone(),
            asked: asked.to_owned(),
        });
    }
    let layout = SslLayout::of(root);
    if let Some(ca) = &ca {
        let is_off = |settings: &Settings| settings.own.legacy_ca == Some(LegacyCa::Off);
        let counts = !settings.as_ref().is_some_and(is_off);
        certificates::refuse_to_part(root, &layout, ca, counts)?;
    }
    match (&settings, root.kind()) {
        (Some(settings), RootKind::Adopted) => {
            let mut report = InitReport::new(root, RootKind::Adopted, &settings.network);
            report.given_ca = ca.is_some();
            if ca.is_none() {
                report.harvester_only = certificates::check_adopted(root, &layout, options.now)?;
            }
            let _lock = start(root, &mut report)?;
            mend_farm_ca(root, options.now, &mut report)?;
            if let Some(ca) = &ca {
                certificates::complete(&layout, Some(ca), options.now, &mut report)?;
            }
            Ok(report)
        }
        (settings, _) => {
            if settings.is_none() {
                refuse_foreign_directory(root)?;
            }
            let network = settings
                .as_ref()
                .map_or_else(|| network.unwrap_or("mainnet"), |settings| &settings.network);
            let mut report = InitReport::new(root, RootKind::Own, network);
            report.given_ca = ca.is_some();
            // A root that joined a farm has no authority of its own and needs none.
            let is_member = root.membership_file().exists() && ca.is_none();
            if !is_member {
                certificates::refuse_lost_ca(&layout, ca.as_ref(), options.now)?;
            }
            let _lock = start(root, &mut report)?;
            mend_farm_ca(root, options.now, &mut report)?;
            let marker = root.own_marker();
            if !marker.is_file() {
                files::replace_file(&marker, MARKER_TEXT, FileMode::Exactly(files::PRIVATE_FILE))
                    .map_err(InitError::unwritable(&marker))?;
            }
            if !is_member {
                certificates::complete(&layout, ca.as_ref(), options.now, &mut report)?;
            }
            if settings.is_none() {
                write_settings(root, network)?;
                report.steps.push(InitStep::WroteSettings);
            }
            close_to_others(root, &layout, &mut report)?;
            Ok(report)
        }
    }
}

/// Network that the root of a machine which is to harvest is set to, if it has settings; finds out what would keep
/// [`init_harvester`] from making one, before a token is spent on it.
///
/// # Errors
/// When the directory holds something else, or its settings cannot be read.
pub fn network_of_harvester(root: &Root) -> Result<Option<String>, InitError> {
    match Settings::load(root) {
        Ok(settings) => Ok(Some(settings.network)),
        Err(ConfigError::Missing { .. }) => refuse_foreign_directory(root).map(|()| None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the root of a machine that harvests for a farm it joined: settings, and no certificate authority. What is there
/// stays.
///
/// # Errors
/// When the directory holds something else, is set to another network, or cannot be written.
pub fn init_harvester(root: &Root, network: &str) -> Result<(), InitError> {
    match network_of_harvester(root)? {
        Some(set) if set == network => return Ok(()),
        Some(set) => {
            return Err(InitError::OtherNetwork {
                file: root.config_file(),
                set,
                asked: network.to_owned(),
            });
        }
        None => {}
    }
    if !BUILT_IN_NETWORKS.contains(&network) {
        return Err(InitError::UnknownNetwork {
            network: network.to_owned(),
        });
    }
    let mut report = InitReport::new(root, RootKind::Own, network);
    let _lock = start(root, &mut report)?;
    let marker = root.own_marker();
    files::replace_file(&marker, MARKER_TEXT, FileMode::Exactly(files::PRIVATE_FILE))
        .map_err(InitError::unwritable(&marker))?;
    files::create_private_dirs(&root.dir().join("config")).map_err(InitError::unwritable(root.dir()))?;
    write_settings(root, network)
}

/// Makes certificates of the farm's own authorities again, if a farmer ran here and only those are lost.
fn mend_farm_ca(root: &Root, now: UnixMillis, report: &mut InitReport) -> Result<(), InitError> {
    let has_members = Registry::load(root)?.is_some_and(|it| it.relies_on_farm_ca());
    let mended = FarmCa::mend(root, has_members, now)?;
    report
        .steps
        .extend(mended.into_iter().map(|file| InitStep::MendedFarmCa { file }));
    Ok(())
}

/// The command that keeps a file or directory under another name.
fn move_away(path: &Path, word: &str) -> String {
    let mut to = path.as_os_str().to_owned();
    to.push(".");
    to.push(word);
    format!("`mv {} {}`", shell_word(path), shell_word(Path::new(&to)))
}

/// What the marker file says to whoever opens it.
const MARKER_TEXT: &[u8] = b"This root was made by `farmconsole init`. Without this file it is taken for Chia's.\n";

/// Reads the CA to use, before anything of the root is touched.
fn given_ca(dir: &Path, now: UnixMillis) -> Result<Issuer, InitError> {
    let dir = dir.to_path_buf();
    if !dir.is_dir() {
        return Err(InitError::NoCaDirectory { dir });
    }
    for file in ["private_ca.crt", "private_ca.key"] {
        if !dir.join(file).exists() {
            return Err(InitError::CaIncomplete { dir, file });
        }
    }
    let paths = CertificatePaths {
        crt: dir.join("private_ca.crt"),
        key: dir.join("private_ca.key"),
    };
    Ok(Issuer::load(&paths, now)?)
}

/// A directory that holds other things is not made a root by a slip of the pen.
fn refuse_foreign_directory(root: &Root) -> Result<(), InitError> {
    let entries = match fs::read_dir(root.dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(InitError::unwritable(root.dir())(error)),
    };
    for entry in entries {
        let name = entry.map_err(InitError::unwritable(root.dir()))?.file_name();
        if !["config", "farmconsole", "log", "lost+found"]
            .iter()
            .any(|ours| name == *ours)
        {
            return Err(InitError::NotARoot {
                dir: root.dir().to_path_buf(),
                found: name.into(),
            });
        }
    }
    Ok(())
}

/// Makes the root and its state directory, and keeps other `init`s away until the answer is dropped.
fn start(root: &Root, report: &mut InitReport) -> Result<Option<File>, InitError> {
    let state = root.state_dir();
    if !state.is_dir() {
        root.create_state_dir().map_err(InitError::unwritable(&state))?;
        report.steps.push(InitStep::MadeStateDirectory);
    }
    let path = state.join("init.lock");
    let lock = files::open_lock_file(&path).map_err(InitError::unwritable(&path))?;
    match lock.try_lock() {
        Ok(()) => {
            root.remove_leftovers();
            Ok(Some(lock))
        }
        Err(TryLockError::WouldBlock) => Err(InitError::Busy {
            dir: root.dir().to_path_buf(),
        }),
        // A file system without locks.
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

fn write_settings(root: &Root, network: &str) -> Result<(), InitError> {
    let text = settings_for(network)?;
    let file = root.config_file();
    files::replace_file(&file, text.as_bytes(), FileMode::Exactly(files::PRIVATE_FILE))
        .map_err(InitError::unwritable(&file))
}

/// Takes from everybody else what only the owner may read. Only in roots of our own.
fn close_to_others(root: &Root, layout: &SslLayout, report: &mut InitReport) -> Result<(), InitError> {
    let mut closed = 0;
    let dirs = [root.state_dir(), root.dir().join("config"), layout.dir().to_path_buf()];
    let private = dirs.into_iter().map(|dir| (dir, files::PRIVATE_DIR));
    let keys = certificates::key_files(layout)
        .into_iter()
        .chain([root.config_file(), root.keys_file()]);
    for (path, mode) in private.chain(keys.map(|file| (file, files::PRIVATE_FILE))) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if files::open_to_others(&metadata).is_some() {
            files::set_mode(&path, mode).map_err(InitError::unwritable(&path))?;
            closed += 1;
        }
    }
    if closed > 0 {
        report.steps.push(InitStep::ClosedToOthers { paths: closed });
    }
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
