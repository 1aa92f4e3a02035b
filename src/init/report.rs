//! What `init` did, as a value and as a person reads it.

use std::fmt;
use std::path::PathBuf;

use crate::config::{Root, RootKind};

/// What was done to a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitReport {
    /// The root.
    pub dir: PathBuf,
    /// Made by us, or adopted.
    pub kind: RootKind,
    /// Its network.
    pub network: String,
    /// Whether only a harvester can run on it, because it has no farmer's certificate.
    pub harvester_only: bool,
    /// Whether a CA was given: most likely the machine is to harvest for the farm that it came from.
    pub given_ca: bool,
    /// What was done, in order. Empty when all was in order.
    pub steps: Vec<InitStep>,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitStep {
    /// `farmconsole/` was made.
    MadeStateDirectory,
    /// A private CA was made.
    MadePrivateCa,
    /// The given private CA was copied into the root.
    CopiedPrivateCa {
        /// Where it came from.
        from: PathBuf,
    },
    /// Another private CA had been there and was put aside.
    KeptOldCa {
        /// Where it is.
        to: PathBuf,
    },
    /// Certificates were made.
    MadeCertificates {
        /// Number of private ones.
        private: usize,
        /// Number of public ones.
        public: usize,
    },
    /// The certificate of one of the farm's own authorities was made again from its key.
    MendedFarmCa {
        /// The file.
        file: PathBuf,
    },
    /// The settings file was written.
    WroteSettings,
    /// Others could read what only the owner may read.
    ClosedToOthers {
        /// Number of files and directories.
        paths: usize,
    },
}

impl InitReport {
    pub(super) fn new(root: &Root, kind: RootKind, network: &str) -> Self {
        Self {
            dir: root.dir().to_path_buf(),
            kind,
            network: network.to_owned(),
            harvester_only: false,
            given_ca: false,
            steps: Vec::new(),
        }
    }

    /// Whether anything was done.
    #[must_use]
    pub fn changed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether there was no root before.
    fn is_new(&self) -> bool {
        let is_ca = |step: &InitStep| matches!(step, InitStep::MadePrivateCa | InitStep::CopiedPrivateCa { .. });
        self.steps.contains(&InitStep::WroteSettings) && self.steps.iter().any(is_ca)
    }
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, network) = (self.dir.display(), &self.network);
        match self.kind {
            RootKind::Own if self.is_new() => {
                writeln!(f, "New root {dir}, network {network}:")?;
                if self.dir.iter().any(|name| name == CHIAS_OWN) {
                    writeln!(f, "  {NO_CHIA}")?;
                }
            }
            RootKind::Own if self.changed() => writeln!(f, "Root {dir}, network {network}:")?,
            RootKind::Own => {
                write!(f, "{dir} is set up already (network {network}); nothing was changed")?;
                return if self.given_ca {
                    write!(f, "\n{HARVEST}")
                } else {
                    Ok(())
                };
            }
            RootKind::Adopted => writeln!(
                f,
                "Root {dir}, network {network}, belongs to Chia's own software: its settings and certificates are used."
            )?,
        }
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        match self.kind {
            RootKind::Adopted if self.harvester_only => {
                write!(
                    f,
                    "It has no farmer's certificate, so it can harvest but no farmer can run on it: now run \
                     `farmconsole harvester run`."
                )
            }
            RootKind::Adopted => write!(f, "farmconsole keeps its own files in farmconsole/ there."),
            RootKind::Own if self.given_ca => f.write_str(HARVEST),
            RootKind::Own => write!(
                f,
                "More machines join while a farmer runs here: `farmconsole harvester invite NAME` prints the command for them."
            ),
        }
    }
}

/// The directory in which the official software keeps its roots.
const CHIAS_OWN: &str = ".chia";

/// Whoever names a root there means one that is there.
const NO_CHIA: &str = "Chia's own software was never set up there: this is a farm of its own. Was another directory \
                       meant? Then remove this one and name that";

/// What comes next on a machine that joins a farm.
const HARVEST: &str = "To harvest for that farm: `farmconsole configure --set-farmer-peer FARMER:8447`, \
                       `farmconsole plots add -d DIR`, and now run `farmconsole harvester run`.";

impl fmt::Display for InitStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MadeStateDirectory => f.write_str("made the directory farmconsole/"),
            Self::MadePrivateCa => f.write_str("made a private CA: config/ssl/ca/private_ca.crt"),
            Self::CopiedPrivateCa { from } => write!(f, "copied the private CA from {}", from.display()),
            Self::KeptOldCa { to } => write!(f, "put the CA that was there aside: {}", to.display()),
            Self::MadeCertificates { private, public } => {
                write!(f, "made {private} private and {public} public certificates")
            }
            Self::MendedFarmCa { file } => write!(f, "made {} again from its key", file.display()),
            Self::WroteSettings => f.write_str("wrote the settings: config/config.yaml"),
            Self::ClosedToOthers { paths: 1 } => f.write_str("closed 1 path that others could read"),
            Self::ClosedToOthers { paths } => write!(f, "closed {paths} paths that others could read"),
        }
    }
}
