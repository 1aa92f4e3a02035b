//! Pages of lists that may be long: 100,000 plots never travel in a snapshot.

use serde::{Deserialize, Serialize};

use super::peer::HarvesterId;
use crate::ids::PlotId;

/// Most items one page may carry.
pub const PAGE_LIMIT: u32 = 1000;

/// Which list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListKind {
    /// Plots that are farmed.
    Plots,
    /// Files that could not be opened.
    Failed,
    /// Plots whose keys are not ours.
    NoKey,
    /// Files the harvester calls duplicates.
    Duplicates,
}

/// Asks for part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// Whose list; `None` for all connected harvesters one after the other.
    pub harvester: Option<HarvesterId>,
    /// Which list.
    pub list: ListKind,
    /// Only items whose file name contains this; empty for all.
    #[serde(default)]
    pub contains: String,
    /// Items to skip.
    pub offset: u64,
    /// Items wanted, at most [`PAGE_LIMIT`].
    pub limit: u32,
}

/// Part of a list, ordered by harvester and file name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Items that match in all.
    pub total: u64,
    /// The items from `offset` on.
    pub items: Vec<FileView>,
}

/// One file of a harvester.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Whose.
    pub harvester: HarvesterId,
    /// Its name.
    pub harvester_name: String,
    /// Path as the harvester says it; not escaped.
    pub filename: String,
    /// What is known of the plot (only for [`ListKind::Plots`]).
    pub plot: Option<PlotView>,
}

/// What is known of a plot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlotView {
    /// Plot id.
    pub plot_id: PlotId,
    /// `k32`, or `strength 2` for v2.
    pub size: String,
    /// File size, bytes.
    pub file_size: u64,
    /// Modification time of the file, unix seconds.
    pub time_modified_unix_s: u64,
    /// Compression level, 0 for none.
    pub compression_level: u8,
    /// Pool contract (plotNFT), if it has one.
    pub contract: Option<String>,
}
