//! Recordings: a farmer as it was at some moment, and everything that happened to it from there on, to be shown again
//! elsewhere by a farmer that is called in the same way.
//!
//! A recording is a text file of JSON objects, one a line: a [`Header`], then [`Line`]s: the [`Beginning`], which is the
//! whole farmer, every call with what the farmer then wanted done (how much, and a digest of it), what was logged
//! meanwhile, and an end that says why there is no more. Who replays it ([`Player`]) has a farmer that decides, lists and
//! counts as the first one did, and knows at every call whether it does.
//!
//! Unless it is asked not to, a recorder replaces everything that tells who and where somebody is ([`Scrubber`]), so that a
//! recording can be given away with a bug report. A farmer of its own is then called with what was replaced: what that one
//! wants done is what the replay has to want, and where it is something else than the true farmer wanted, that is counted.

mod play;
mod read;
mod scrub;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use play::{Played, Player};
pub use read::{Recording, RecordingError};
pub use scrub::Scrubber;
pub use write::{RecordError, Recorder};

use crate::clock::Now;
use crate::crypto::sha256;
use crate::farmer::{Call, Farmer, Output};
use crate::json;
use crate::logging::LogRecord;

/// Version of the file. What is inside a farmer is written down as it is, so it is raised when that changes its form.
pub const RECORDING_VERSION: u32 = 3;

/// First line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`RECORDING_VERSION`] of the writer; names the file for what it is.
    pub farmconsole_recording: u32,
    /// Version of the software that wrote it.
    pub software_version: String,
    /// Beginning, unix milliseconds.
    pub started_unix_ms: u64,
    /// Whether what is private was replaced.
    pub scrubbed: bool,
    /// What cannot be as it was for that reason, one sentence each.
    #[serde(default)]
    pub differences: Vec<String>,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The second line.
    Beginning(Box<Beginning>),
    /// A call.
    Call(Box<CallLine>),
    /// A log record.
    Log(Box<LogRecord>),
    /// The last line.
    End(End),
}

/// A farmer before anything happens to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Beginning {
    /// When.
    pub now: Now,
    /// It.
    pub farmer: Farmer,
}

/// One call of the farmer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallLine {
    /// When.
    pub now: Now,
    /// What was called.
    pub call: Call,
    /// How many outputs were taken before the next call.
    pub outputs: u64,
    /// Whether those were all there were.
    pub settled: bool,
    /// What they were, as sixteen hex digits.
    pub digest: String,
}

/// Why there is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// As a sentence.
    pub why: String,
    /// Calls in the recording.
    pub calls: u64,
    /// Calls after which the farmer that got what was replaced wanted something else done than the true one, beyond what
    /// was replaced.
    pub otherwise: u64,
}

/// Takes what a call was followed by: all there is, or so many.
fn take_outputs(farmer: &mut Farmer, settled: bool, count: u64) -> Vec<Output> {
    let all = std::iter::from_fn(|| farmer.poll_output());
    if settled {
        all.collect()
    } else {
        all.take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
    }
}

/// Outputs as JSON.
fn as_json(outputs: &[Output]) -> serde_json::Result<Vec<serde_json::Value>> {
    outputs.iter().map(json::to_value).collect()
}

/// What tells outputs from others.
fn digest(outputs: &[serde_json::Value]) -> String {
    let text: String = outputs.iter().map(|output| format!("{output}\n")).collect();
    let mut digits = hex::encode(sha256(&[text.as_bytes()]));
    digits.truncate(16);
    digits
}
