//! Values of JSON, made and read by way of text.
//!
//! Every kind of reader and writer that serde is given is compiled once more for every type that passes through it, and
//! the types of a farm are many: straight ways between them and a [`Value`] made the program more than a megabyte larger.
//! So all of them are read from bytes and written to bytes, and what needs a value goes through those.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Result, Value};

/// Anything as a value.
///
/// # Errors
/// What serde refuses to write, as maps whose keys are no text.
pub(crate) fn to_value(it: &impl Serialize) -> Result<Value> {
    serde_json::from_slice(&serde_json::to_vec(it)?)
}

/// What a value stands for.
///
/// # Errors
/// It is something else.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_json::from_slice(&serde_json::to_vec(value)?)
}
