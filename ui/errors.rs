//! The library's errors as the program reports them: with which status it ends, and what there is to do.

use farmconsole::config::ConfigError;
use farmconsole::config::edit::EditError;
use farmconsole::keys::KeysError;

use crate::exit::{Failure, Status};

/// A mistake in the settings as the program reports it.
pub(crate) fn bad_settings(error: ConfigError) -> Failure {
    let hint = error.hint();
    Failure::new(Status::Settings, error).hint_if_any(hint)
}

/// Keys that cannot be read or made as the program reports it.
pub(crate) fn bad_keys(error: KeysError) -> Failure {
    let hint = error.hint();
    let status = match error {
        KeysError::WrongPassphrase { .. }
        | KeysError::TooOpen { .. }
        | KeysError::ForeignOwner { .. }
        | KeysError::Malformed { .. }
        | KeysError::UnknownVersion { .. }
        | KeysError::BadEntry { .. } => Status::Settings,
        _ => Status::Failed,
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
