//! What can be wrong with settings.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::access;
use super::locate::Position;
use crate::pos::constants::ConstantError;

/// Why settings cannot be used. `Display` is one fragment that begins with the file and, where there is one, the line
/// and column; [`ConfigError::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no settings file.
    #[error("no settings at {}", file.display())]
    Missing {
        /// Where they should be.
        file: PathBuf,
    },
    /// The file cannot be read, or is far too large for settings.
    #[error("cannot read the settings {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is no UTF-8 text.
    #[error("{}:{line}: this line is not UTF-8 text", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
        /// The first such line, from 1.
        line: usize,
    },
    /// The text is no YAML.
    #[error("{}: {reason}", At(file, *at))]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where the parser gave up.
        at: Option<Position>,
        /// What it says.
        reason: String,
    },
    /// The text is YAML, but no mapping of sections.
    #[error("{} holds {got} where settings should be", file.display())]
    NotSettings {
        /// The file.
        file: PathBuf,
        /// What it holds.
        got: String,
    },
    /// A value of the wrong kind or outside its range.
    #[error("{}: {key} should be {expected}, but is {got}", At(file, *at))]
    WrongValue {
        /// The file.
        file: PathBuf,
        /// Where the value is.
        at: Option<Position>,
        /// Its key, dotted.
        key: String,
        /// What it should be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// A key under `farmconsole:` that does not exist.
    #[error("{}: there is no setting {key}", At(file, *at))]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Where the key is.
        at: Option<Position>,
        /// The key, dotted.
        key: String,
        /// The setting that may have been meant.
        suggestion: Option<String>,
    },
    /// A section is set to another network than the rest. The official software would connect to nobody.
    #[error(
        "{}: {section}.selected_network is {got:?}, but selected_network is {expected:?} ({})",
        At(file, *at),
        InLine(*expected_at)
    )]
    NetworksDiffer {
        /// The file.
        file: PathBuf,
        /// Where the section's is.
        at: Option<Position>,
        /// The section.
        section: &'static str,
        /// The section's network.
        got: String,
        /// The top one.
        expected: String,
        /// Where the top one is.
        expected_at: Option<Position>,
    },
    /// A network that is neither built in nor described in the file.
    #[error("{}: unknown network {network:?}", At(file, *at))]
    UnknownNetwork {
        /// The file.
        file: PathBuf,
        /// Where `selected_network` is.
        at: Option<Position>,
        /// The network.
        network: String,
        /// Networks that could be chosen.
        known: Vec<String>,
    },
    /// An override of a consensus constant that cannot be used.
    #[error("{}: {source}", At(file, *at))]
    BadConstant {
        /// The file.
        file: PathBuf,
        /// Where the override is.
        at: Option<Position>,
        /// What is wrong with it.
        source: Box<ConstantError>,
    },
    /// The simulated chain was asked for on a network of other people.
    #[error("{}: farmconsole.simulated_chain is set, but the network is {network:?}", At(file, *at))]
    SimulatedChainElsewhere {
        /// The file.
        file: PathBuf,
        /// Where the setting is.
        at: Option<Position>,
        /// The network.
        network: String,
    },
    /// Settings that were read again have a key that looks misspelt and did not before: following them would leave
    /// what it was meant for at its default.
    #[error("{0}")]
    Slip(ConfigWarning),
}

impl ConfigError {
    /// What to do about it, where there is more to say than "change that".
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("make a root with `farmconsole init`, or name one with `--root DIR`".into()),
            Self::Unreadable { file, source } => access::hint_of(file, source),
            Self::NotText { .. } => Some("save the file as UTF-8".into()),
            Self::Syntax { .. } => Some("compare with `farmconsole config print-default`".into()),
            Self::UnknownKey { suggestion, .. } => suggestion.as_ref().map(|name| format!("did you mean {name}?")),
            Self::NetworksDiffer { .. } => Some("set both to the same network".into()),
            Self::UnknownNetwork { known, .. } => Some(format!(
                "choose one of {}, or describe it under network_overrides.constants",
                known.join(", ")
            )),
            Self::SimulatedChainElsewhere { .. } => {
                Some("remove the setting, or select a network whose name begins with \"simulator\"".into())
            }
            _ => None,
        }
    }

    /// Where in the file, if it has a place.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::NotText { line, .. } => Some(Position::new(*line, 1)),
            Self::Syntax { at, .. }
            | Self::WrongValue { at, .. }
            | Self::UnknownKey { at, .. }
            | Self::NetworksDiffer { at, .. }
            | Self::UnknownNetwork { at, .. }
            | Self::BadConstant { at, .. }
            | Self::SimulatedChainElsewhere { at, .. } => *at,
            Self::Slip(slip) => slip.at,
            _ => None,
        }
    }
}

/// Something in settings that works, but perhaps not as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The file.
    pub file: PathBuf,
    /// Where, if it has a place.
    pub at: Option<Position>,
    /// What.
    pub kind: ConfigWarningKind,
}

/// What a [`ConfigWarning`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigWarningKind {
    /// An override of a constant that no release has.
    UnknownConstant {
        /// Its name.
        name: String,
    },
    /// A section overrides constants of the selected network in another way than the farmer's.
    ConstantsDiffer {
        /// The section.
        section: String,
    },
    /// A setting of the official software that farmconsole does not follow.
    NotFollowed {
        /// Its key, dotted.
        key: String,
        /// What happens instead.
        instead: String,
    },
    /// A key that is not read, and looks like one that is missing.
    LooksLike {
        /// The key, dotted.
        key: String,
        /// What may be meant, dotted.
        meant: String,
    },
    /// Nothing is there that is read: another file, most likely.
    NothingRead,
    /// The harvester is told of more than one farmer.
    SeveralFarmers {
        /// Which, as they are written.
        farmers: Vec<String>,
    },
    /// The farmer is named in two ways, the list and the single one of old settings.
    FarmerNamedTwice,
    /// The port of the farmer is one of something else.
    NotAFarmersPort {
        /// Which.
        port: u16,
        /// Whose port that is.
        whose: &'static str,
    },
    /// A plot directory is there twice, or inside another one that is searched with its folders.
    PlotDirectoryTwice {
        /// Which.
        directory: String,
    },
    /// A plot directory whose path is not absolute.
    PlotDirectoryRelative {
        /// Which.
        directory: String,
    },
    /// Beside the settings there is no CA certificate, so no farmer can be trusted.
    NoCaCertificate {
        /// Where it should be.
        path: PathBuf,
    },
    /// Beside the settings of a harvester lies the key of the farm's CA.
    CaKeyBeside {
        /// Where.
        path: PathBuf,
    },
}

impl ConfigWarning {
    /// Whether it is about a key that looks misspelt.
    pub(super) const fn is_slip(&self) -> bool {
        matches!(self.kind, ConfigWarningKind::LooksLike { .. })
    }
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", At(&self.file, self.at))?;
        match &self.kind {
            ConfigWarningKind::UnknownConstant { name } => write!(f, "no constant is named {name}; it is ignored"),
            ConfigWarningKind::ConstantsDiffer { section } => write!(
                f,
                "{section}.network_overrides has other constants for the selected network; the farmer's are used"
            ),
            ConfigWarningKind::NotFollowed { key, instead } => write!(f, "{key} is not followed: {instead}"),
            ConfigWarningKind::LooksLike { key, meant } => {
                write!(
                    f,
                    "{key} is no setting that is read, and {meant} is missing: is that meant?"
                )
            }
            ConfigWarningKind::NothingRead => f.write_str(
                "neither `farmer` nor `harvester` is there, nor anything else that is read: is this the file?",
            ),
            ConfigWarningKind::SeveralFarmers { farmers } => write!(
                f,
                "{} farmers for one harvester ({}): farmconsole serves the first; an official harvester loses each to the \
                 other again and again",
                farmers.len(),
                farmers.join(", ")
            ),
            ConfigWarningKind::FarmerNamedTwice => f.write_str(
                "harvester.farmer_peer and harvester.farmer_peers are both there, and both count: keep one of them",
            ),
            ConfigWarningKind::NotAFarmersPort { port, whose } => {
                write!(
                    f,
                    "port {port} is that of {whose}; a farmer's is 8447 unless set otherwise"
                )
            }
            ConfigWarningKind::PlotDirectoryTwice { directory } => {
                write!(f, "the plots in {directory} are found twice")
            }
            ConfigWarningKind::PlotDirectoryRelative { directory } if is_of_windows(directory) => {
                write!(
                    f,
                    "{directory} is a path of Windows: nothing is found there on this system"
                )
            }
            ConfigWarningKind::PlotDirectoryRelative { directory } => write!(
                f,
                "{directory} is no absolute path: it depends on where farmconsole is started, begin it with /"
            ),
            ConfigWarningKind::NoCaCertificate { path } => write!(
                f,
                "{} is missing, so no farmer can be trusted: join one with `farmconsole harvester join TOKEN`",
                path.display()
            ),
            ConfigWarningKind::CaKeyBeside { path } => write!(
                f,
                "{} is the key of the whole farm, and a harvester needs none: `farmconsole security audit` says more",
                path.display()
            ),
        }
    }
}

/// `C:\plots`, `C:/plots` or `\\server\plots`.
fn is_of_windows(path: &str) -> bool {
    let mut chars = path.chars();
    let (first, second, third) = (chars.next(), chars.next(), chars.next());
    let has_drive = first.is_some_and(|c| c.is_ascii_alphabetic()) && second == Some(':');
    path.starts_with(r"\\") || has_drive && matches!(third, None | Some('\\' | '/'))
}

/// `file:line:column`, as compilers write it and editors read it.
struct At<'a>(&'a Path, Option<Position>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)?;
        self.1.map_or(Ok(()), |at| write!(f, ":{at}"))
    }
}

/// `line 7`.
struct InLine(Option<Position>);

impl fmt::Display for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => write!(f, "line {}", at.line),
            None => f.write_str("by default"),
        }
    }
}
