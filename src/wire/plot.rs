//! A plot on the wire, in both layouts.

use super::codec::{Reader, Streamable};
use super::error::WireError;
use super::handshake::HarvesterLayout;
use super::points::G1Bytes;
use super::proof::PlotPool;
use crate::ids::PlotId;
use crate::units::{ByteSize, PlotSize};

/// A plot, as plot sync and plot lists tell of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Plot {
    /// Path on the harvester's machine.
    pub filename: String,
    /// k of a v1 plot, strength of a v2 plot.
    pub size: PlotSize,
    /// Id of the plot, as the harvester says.
    pub plot_id: PlotId,
    /// Pool of the plot.
    pub pool: PlotPool,
    /// Key blocks of the plot are signed with.
    pub plot_public_key: G1Bytes,
    /// Size of the file when it was loaded.
    pub file_size: ByteSize,
    /// When the file was changed last, as of loading: Unix time, seconds.
    pub time_modified: u64,
    /// Compression level of a v1 plot.
    pub compression_level: Option<u8>,
    /// Number of a v2 plot within its group. Not in the older layout: 0.
    pub plot_index: u16,
    /// Meta group of a v2 plot within its group. Not in the older layout: 0.
    pub meta_group: u8,
}

impl Plot {
    /// Fewest bytes of a plot in any layout.
    pub(super) const MIN_BYTES: usize = 4 + 1 + 32 + PlotPool::MIN_BYTES + 48 + 8 + 8 + 1;

    pub(super) fn stream(&self, layout: HarvesterLayout, out: &mut Vec<u8>) {
        self.filename.stream(out);
        self.size.stream(out);
        self.plot_id.stream(out);
        self.pool.stream(out);
        self.plot_public_key.stream(out);
        self.file_size.stream(out);
        self.time_modified.stream(out);
        self.compression_level.stream(out);
        match layout {
            HarvesterLayout::V36 | HarvesterLayout::V37 => {}
            HarvesterLayout::V38 => {
                self.plot_index.stream(out);
                self.meta_group.stream(out);
            }
        }
    }

    pub(super) fn parse(layout: HarvesterLayout, input: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut plot = Self {
            filename: Streamable::parse(input)?,
            size: Streamable::parse(input)?,
            plot_id: Streamable::parse(input)?,
            pool: Streamable::parse(input)?,
            plot_public_key: Streamable::parse(input)?,
            file_size: Streamable::parse(input)?,
            time_modified: Streamable::parse(input)?,
            compression_level: Streamable::parse(input)?,
            plot_index: 0,
            meta_group: 0,
        };
        match layout {
            HarvesterLayout::V36 | HarvesterLayout::V37 => {}
            HarvesterLayout::V38 => {
                plot.plot_index = Streamable::parse(input)?;
                plot.meta_group = Streamable::parse(input)?;
            }
        }
        Ok(plot)
    }
}
