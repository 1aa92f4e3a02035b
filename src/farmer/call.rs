//! What is done to a farmer, as a value. Whoever keeps every call with its moment, and the farmer as it was before the
//! first, can have all of it happen again: the same outputs in the same order, and the same farmer in the end.
//!
//! A farmer is written down as it stands ([`Farmer`] is `Serialize`), all its outputs taken out first. That is for the
//! same version of the program: what is inside a farmer is no contract.

use super::Farmer;
use super::input::Input;
use crate::clock::Now;

/// One of the two calls that change a farmer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// [`Farmer::handle`].
    Input(Box<Input>),
    /// [`Farmer::handle_timeout`].
    Timeout,
}

impl Farmer {
    /// Makes the call.
    pub fn call(&mut self, now: Now, call: Call) {
        match call {
            Call::Input(input) => self.handle(now, *input),
            Call::Timeout => self.handle_timeout(now),
        }
    }
}
