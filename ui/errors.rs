//! The library's errors as the program reports them: with which status it ends, and what there is to do.

use std::fmt;
use std::io;

use farmconsole::config::edit::EditError;
use farmconsole::config::{ConfigError, access};
use farmconsole::keys::KeysError;
use farmconsole::logging::LogError;

use crate::exit::{Failure, Status};

/// A mistake in the settings as the program reports it.
pub(crate) fn bad_settings(error: ConfigError) -> Failure {
    let hint = error.hint();
    Failure::new(Status::Settings, error).hint_if_any(hint)
}

/// Keys that cannot be read or made as the program reports it.
pub(crate) fn bad_keys(error: KeysError) -> Failure {
    let hint = error.hint();
    let status = match &error {
        KeysError::WrongPassphrase { .. }
        | KeysError::TooOpen { .. }
        | KeysError::ForeignOwner { .. }
        | KeysError::Malformed { .. }
        | KeysError::UnknownVersion { .. }
        | KeysError::BadEntry { .. } => Status::Settings,
        KeysError::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Status::Settings,
        _ => Status::Failed,
    };
    Failure::new(status, error).hint_if_any(hint)
}

/// A log that cannot be opened as the program reports it.
pub(crate) fn not_logged(error: LogError) -> Failure {
    let hint = match &error {
        LogError::Open { path, source } => access::hint_of(path, source),
        LogError::Installed => None,
    };
    let hint = hint.map(|hint| format!("{hint}; logging.log_filename in the settings names another file for the log"));
    not_opened(error, hint)
}

/// A file or socket that cannot be opened as the program reports it.
pub(crate) fn not_opened(error: impl fmt::Display, hint: Option<String>) -> Failure {
    // Where there is something to do, no later try mends it.
    let status = if hint.is_some() {
        Status::Settings
    } else {
        Status::Failed
    };
    Failure::new(status, error).hint_if_any(hint)
}

/// An edit that was refused as the program reports it.
pub(crate) fn not_changed(error: EditError) -> Failure {
    let hint = error.hint();
    let status = match &error {
        EditError::Locked { .. } => Status::TryAgain,
        EditError::Config(_) | EditError::TooIntricate { .. } => Status::Settings,
        _ => Status::Failed,
    };
    Failure::new(status, error).hint_if_any(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_user_may_not_read_is_a_matter_of_settings_and_says_whose_it_is() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        // Nobody has this file; the directory belongs to root, or to whoever runs this.
        let path = std::path::PathBuf::from("/no-such-root/farming-keys.yaml");
        let keys = bad_keys(KeysError::Unreadable {
            path: path.clone(),
            source: denied(),
        });
        let settings = bad_settings(ConfigError::Unreadable {
            file: path,
            source: denied(),
        });
        for failure in [keys, settings] {
            let said = format!("{failure:?}");
            assert!(said.contains("status: Settings") && said.contains("user"), "{said}");
            assert!(!said.contains("hint: None") && !said.contains("chown"), "{said}");
        }
    }

    #[test]
    fn a_socket_or_lock_of_another_user_says_whose_it_is() {
        use crate::context::not_attached;
        use crate::daemon::not_started;
        use farmconsole::control::{ControlError, LockError};

        let path = || std::path::PathBuf::from("/no-such-root/farmconsole/lock");
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let lock = LockError::Io {
            path: path(),
            source: denied(),
        };
        let socket = ControlError::NotRunning {
            path: path(),
            source: denied(),
        };
        for failure in [not_started(lock.into()), not_attached(socket)] {
            let said = format!("{failure:?}");
            assert!(
                said.contains("this is user") || said.contains("this user's own"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_log_on_a_read_only_file_system_says_what_to_do() {
        let failure = not_logged(LogError::Open {
            path: "/x/debug.log".into(),
            source: io::ErrorKind::ReadOnlyFilesystem.into(),
        });
        let said = format!("{failure:?}");
        assert!(
            said.contains("status: Settings") && said.contains("read-only"),
            "{said}"
        );
        assert!(said.contains("log_filename"), "{said}");
    }
}
