//! Recordings: what a console attached to a farmer was told, to be shown again elsewhere.
//!
//! A recording is a text file of JSON objects, one a line: a [`Header`], then [`Line`]s, each an [`Event`] of the control
//! endpoint (snapshots, notices, messages, log records) with its moment. Whatever a console shows it shows from these, so
//! a replay drives the same screens. Unless it is asked not to, a recorder replaces everything that tells who and where
//! somebody is ([`Scrubber`]), so that a recording can be given away with a bug report.

mod scrub;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use scrub::Scrubber;

use crate::control::Event;

/// Version of the file; raised when an older replay would misunderstand.
pub const RECORDING_VERSION: u32 = 1;

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
}

/// Every other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the beginning.
    pub after_ms: u64,
    /// What the console was told.
    pub event: Event,
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    started_unix_ms: u64,
    scrubber: Option<Scrubber>,
    last_snapshot_ms: Option<u64>,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording at a moment; with a scrubber, nothing private gets into it.
    ///
    /// # Errors
    /// Whatever writing answers.
    pub fn new(mut out: W, started_unix_ms: u64, scrubber: Option<Scrubber>) -> io::Result<Self> {
        let header = Header {
            farmconsole_recording: RECORDING_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms,
            scrubbed: scrubber.is_some(),
        };
        serde_json::to_writer(&mut out, &header)?;
        out.write_all(b"\n")?;
        Ok(Self {
            out,
            started_unix_ms,
            scrubber,
            last_snapshot_ms: None,
        })
    }

    /// Writes what the console was told at a moment; replies are nobody's business, and one snapshot a second is enough.
    ///
    /// # Errors
    /// Whatever writing answers.
    pub fn write(&mut self, at_unix_ms: u64, event: &Event) -> io::Result<()> {
        let after_ms = at_unix_ms.saturating_sub(self.started_unix_ms);
        match event {
            Event::Reply(_) => return Ok(()),
            Event::Snapshot(_) | Event::Machine(_) => {
                if self
                    .last_snapshot_ms
                    .is_some_and(|last| after_ms < last + SNAPSHOT_EVERY_MS)
                {
                    return Ok(());
                }
                self.last_snapshot_ms = Some(after_ms);
            }
            Event::Feed(_) | Event::Skipped(_) => {}
        }
        let mut line = serde_json::to_value(LineOf { after_ms, event })?;
        if let Some(scrubber) = &mut self.scrubber {
            scrubber.scrub(&mut line);
        }
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// Whatever writing answers.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[derive(Serialize)]
struct LineOf<'a> {
    after_ms: u64,
    event: &'a Event,
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It is something else.
    #[error("it is no recording of farmconsole")]
    NotARecording,
    /// It was made by a newer version.
    #[error("it was made by farmconsole {software_version}, in a form (version {got}) that this one cannot read")]
    Newer {
        /// Who made it.
        software_version: String,
        /// Version of its form.
        got: u32,
    },
    /// A line makes no sense.
    #[error("line {number} cannot be read: {source}")]
    BadLine {
        /// Counted from 1.
        number: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a recording.
#[derive(Debug)]
pub struct Recording<R> {
    header: Header,
    input: R,
    number: u64,
}

impl<R: BufRead> Recording<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn open(mut input: R) -> Result<Self, RecordingError> {
        let mut first = String::new();
        // Anything may be named; a recording's first line is short.
        io::Read::take(&mut input, LONGEST_HEADER)
            .read_line(&mut first)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => RecordingError::NotARecording,
                _ => RecordingError::Io(error),
            })?;
        let header: Header = serde_json::from_str(&first).map_err(|_| RecordingError::NotARecording)?;
        if header.farmconsole_recording > RECORDING_VERSION {
            return Err(RecordingError::Newer {
                software_version: header.software_version,
                got: header.farmconsole_recording,
            });
        }
        Ok(Self {
            header,
            input,
            number: 1,
        })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next event and when it came, counted from the beginning; `None` at the end. A recording that was cut off ends
    /// with its last whole line.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn next_event(&mut self) -> Result<Option<(Duration, Event)>, RecordingError> {
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        self.number += 1;
        if !line.ends_with('\n') {
            return Ok(None);
        }
        let Line { after_ms, event } = serde_json::from_str(&line).map_err(|source| RecordingError::BadLine {
            number: self.number,
            source,
        })?;
        Ok(Some((Duration::from_millis(after_ms), event)))
    }
}

/// Between two snapshots in a recording, milliseconds; a little less than a second, since they come by the second.
const SNAPSHOT_EVERY_MS: u64 = 900;

/// Bytes of the longest header, with room for what newer versions add.
const LONGEST_HEADER: u64 = 64 << 10;
