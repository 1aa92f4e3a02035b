//! Why a plot cannot be used, or could not be read just now.

use std::{error, fmt, io};

/// Why a plot file cannot be opened or looked up. Only [`PlotError::Unreadable`] may go away by itself.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The medium failed. Worth another try.
    #[error("failed to read the plot's {part}: {error}")]
    Unreadable {
        /// What was being read.
        part: PlotPart,
        /// What the medium said.
        error: io::Error,
    },
    /// The file is shorter than its own contents say: still being copied, or cut off.
    #[error("the plot's {part} needs a file of {end} bytes or more, this one has {size}: is it still being copied?")]
    CutOff {
        /// What lies beyond the end.
        part: PlotPart,
        /// One past a byte of it.
        end: u64,
        /// Size of the file.
        size: u64,
    },
    /// None of the known plot formats.
    #[error("not a plot file: {}", beginning(begin))]
    NotAPlot {
        /// The first bytes, at most 19.
        begin: Vec<u8>,
    },
    /// A plot of a format or format version nobody here can read.
    #[error("plot format {format} is not supported")]
    UnsupportedFormat {
        /// As the header names it.
        format: String,
    },
    /// The header asks for a k that no plot has.
    #[error("plot header has k {k}, outside of 18 to 50")]
    KOutOfRange {
        /// The k found.
        k: u8,
    },
    /// The memo is neither that of a pool key nor that of a pool contract.
    #[error("plot memo has {got} bytes, expected 128 (pool public key) or 112 (pool contract)")]
    MemoLength {
        /// Bytes found.
        got: usize,
    },
    /// Plots are compressed with levels 1 to 9, and only those of k 32.
    #[error("plot of k {k} is compressed as C{level}, of which nothing is known: known are C1 to C9 of k 32")]
    CompressionNotSupported {
        /// The level found.
        level: u8,
        /// The k found.
        k: u8,
    },
    /// A v2 plot was given to the v1 prover.
    #[error("plot is of version 2, expected a v1 plot")]
    NotV1,
    /// A v1 plot was taken for a v2 plot.
    #[error("plot is of version 1, expected a v2 plot")]
    NotV2,
    /// Bytes that no plotter writes: the medium or the plotter is at fault.
    #[error("plot is damaged in its {part}: {reason}")]
    Damaged {
        /// Where.
        part: PlotPart,
        /// What is wrong there.
        reason: Box<dyn error::Error + Send + Sync>,
    },
}

impl PlotError {
    pub(crate) fn damaged(part: PlotPart, reason: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Self::Damaged {
            part,
            reason: reason.into(),
        }
    }
}

/// How a file that is no plot begins, in words.
fn beginning(begin: &[u8]) -> String {
    if begin.is_empty() {
        "it is empty".to_owned()
    } else {
        format!("it begins with {}", hex::encode(begin))
    }
}

/// A part of a plot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlotPart {
    /// Header with memo and table pointers.
    Header,
    /// Table 1 to 7.
    Table(u8),
    /// Every 10,000th f7.
    C1,
    /// Every 10,000th entry of C1.
    C2,
    /// The f7s between the entries of C1.
    C3,
    /// Of a v2 plot: the places of its chunks.
    Index,
    /// Chunk of a v2 plot, from 0.
    Chunk(u64),
    /// All tables together, when what they say does not fit together.
    Proof,
}

impl fmt::Display for PlotPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("header"),
            Self::Table(table) => write!(f, "table {table}"),
            Self::C1 => f.write_str("table C1"),
            Self::C2 => f.write_str("table C2"),
            Self::C3 => f.write_str("table C3"),
            Self::Index => f.write_str("index"),
            Self::Chunk(number) => write!(f, "chunk {number}"),
            Self::Proof => f.write_str("proof"),
        }
    }
}
