//! Where a farm lives and what its settings say.
//!
//! * [`Root`] knows every path of a root; `init` makes one.
//! * [`Settings`] are the checked values of `config/config.yaml` in Chia's dialect: sections and keys of the official
//!   software keep name and meaning, whatever only we have stands under `farmconsole:`, where an unknown key is an error.
//!   A mistake is a [`ConfigError`] with line and column, a doubt a [`ConfigWarning`]; [`check()`] lists both.
//! * [`edit`] changes single values in the text and leaves its comments, order and anchors alone.
//!
//! YAML and its crate are known in `document`, `key`, `locate` and `theme` only. Not here: what settings lead to, certificates
//! (`tls`) and secret keys (`keys`).

pub mod access;
mod alarms;
mod check;
mod document;
pub mod edit;
mod error;
pub mod files;
mod harvester_name;
mod host_port;
mod key;
mod legacy_ca;
mod locate;
mod network;
mod new_settings;
mod own;
pub mod patience;
mod peers;
mod pools;
mod reader;
mod root;
mod settings;
mod shell_word;
mod slips;
mod theme;

pub use alarms::{AlarmSettings, HookUrl, HookUrlError};
pub use check::{Finding, check};
pub use error::{ConfigError, ConfigWarning, ConfigWarningKind};
pub use harvester_name::{HarvesterName, NameError};
pub use host_port::{HostPort, HostPortError};
pub use legacy_ca::LegacyCa;
pub use locate::Position;
pub use network::{BUILT_IN_NETWORKS, is_simulator};
pub use new_settings::{DEFAULT_SETTINGS, settings_for};
pub use own::{HistorySettings, OwnSettings, SimulatedChainSettings};
pub use pools::PoolList;
pub use reader::nearest;
pub use root::{Root, RootKind};
pub use settings::{FarmerSettings, HarvesterSettings, LoggingSettings, PlotsRefreshParameter, Settings};
pub use shell_word::shell_word;
pub use theme::{NotATheme, ThemeColor, ThemeColors, read_theme};

#[cfg(test)]
mod tests;
