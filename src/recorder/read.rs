//! Reading a recording.

use std::io::{self, BufRead};

use super::{Beginning, End, Header, Line, RECORDING_VERSION};

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
    /// It was made by an older version.
    #[error(
        "it was made by farmconsole {software_version} in an older form (version {got}), which holds pictures of a farm and \
         not what happened to it: record it again"
    )]
    Older {
        /// Who made it.
        software_version: String,
        /// Version of its form.
        got: u32,
    },
    /// It was cut off before there was anything to replay.
    #[error("it was cut off before its beginning was written")]
    NoBeginning,
    /// A line makes no sense.
    #[error("line {number} cannot be read: {source}")]
    BadLine {
        /// Counted from 1.
        number: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// A line stands where it cannot.
    #[error("line {number} is no call of a farmer, log record or end")]
    Misplaced {
        /// Counted from 1.
        number: u64,
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
    end: Option<End>,
}

impl<R: BufRead> Recording<R> {
    /// Reads the header and the beginning.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn open(mut input: R) -> Result<(Self, Beginning), RecordingError> {
        let mut first = String::new();
        // Anything may be named; a recording's first line is short.
        io::Read::take(&mut input, LONGEST_HEADER)
            .read_line(&mut first)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => RecordingError::NotARecording,
                _ => RecordingError::Io(error),
            })?;
        let header: Header = serde_json::from_slice(first.as_bytes()).map_err(|_| RecordingError::NotARecording)?;
        let (software_version, got) = (header.software_version.clone(), header.farmconsole_recording);
        if got > RECORDING_VERSION {
            return Err(RecordingError::Newer { software_version, got });
        }
        if got < RECORDING_VERSION {
            return Err(RecordingError::Older { software_version, got });
        }
        let mut recording = Self {
            header,
            input,
            number: 1,
            end: None,
        };
        match recording.read()? {
            Some(Line::Beginning(beginning)) => Ok((recording, *beginning)),
            Some(_) => Err(RecordingError::Misplaced { number: 2 }),
            None => Err(RecordingError::NoBeginning),
        }
    }

    /// What it says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next call or log record; `None` when there is no more.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn next_line(&mut self) -> Result<Option<Line>, RecordingError> {
        if self.end.is_some() {
            return Ok(None);
        }
        match self.read()? {
            Some(Line::Beginning(_)) => Err(RecordingError::Misplaced { number: self.number }),
            Some(Line::End(end)) => {
                self.end = Some(end);
                Ok(None)
            }
            line => Ok(line),
        }
    }

    /// How it ended, once there is no more; `None` if it was cut off, its last whole line being the last that was read.
    #[must_use]
    pub const fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn read(&mut self) -> Result<Option<Line>, RecordingError> {
        let mut line = String::new();
        let bad = |number, source| RecordingError::BadLine { number, source };
        self.number += 1;
        let read = self.input.read_line(&mut line);
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(bad(self.number, serde_json::Error::io(error)));
            }
            read => read?,
        };
        if !line.ends_with('\n') {
            return Ok(None);
        }
        parse(&line).map(Some).map_err(|source| bad(self.number, source))
    }
}

/// Not generic, unlike what reads: a line can be anything the farmer is told, and what that takes is compiled once.
fn parse(line: &str) -> serde_json::Result<Line> {
    serde_json::from_slice(line.as_bytes())
}

/// Bytes of the longest header, with room for what newer versions add.
const LONGEST_HEADER: u64 = 64 << 10;
