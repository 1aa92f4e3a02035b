//! What the environment says.

use std::ffi::OsString;

/// A variable of the environment. An empty one is as good as none.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
