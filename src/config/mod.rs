//! Where a farm lives and what its settings say.
//!
//! * [`Root`] knows every path; [`init`] makes a root, completes one, or adopts one of the official software.
//! * [`Settings`] are the checked values of `config/config.yaml` in Chia's dialect: sections and keys of the official
//!   software keep name and meaning, whatever only we have stands under `farmconsole:`, where an unknown key is an error.
//!   A mistake is a [`ConfigError`] with line and column, a doubt a [`ConfigWarning`]; [`check()`] lists both.
//! * [`edit`] changes single values in the text and leaves its comments, order and anchors alone.
//!
//! YAML and its crate are known in `document`, `key` and `locate` only. Not here: what settings lead to, certificates
//! (`tls`) and secret keys (`keys`).

mod alarms;
mod check;
mod document;
pub mod edit;
mod error;
pub mod files;
mod host_port;
pub mod init;
mod key;
mod locate;
mod peers;
mod pools;
mod reader;
mod root;
mod settings;

pub use alarms::{AlarmSettings, HookUrl, HookUrlError};
pub use check::{Finding, check};
pub use error::{ConfigError, ConfigWarning, ConfigWarningKind};
pub use host_port::{HostPort, HostPortError};
pub use locate::Position;
pub use pools::PoolList;
pub use root::{Root, RootKind};
pub use settings::{
    BUILT_IN_NETWORKS, FarmerSettings, HarvesterSettings, HistorySettings, LoggingSettings, OwnSettings,
    PlotsRefreshParameter, Settings, SimulatedChainSettings, is_simulator,
};

/// The commented settings file of a new root: what `farmconsole config print-default` prints.
pub const DEFAULT_SETTINGS: &str = include_str!("../../config/default.yaml");

#[cfg(test)]
mod tests;
