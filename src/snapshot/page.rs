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
    /// Plots that are farmed more than once, by plot id: each copy is an item.
    Shared,
    /// Plots that went and have not come back, until somebody acknowledges their loss.
    Lost,
}

/// Order of the items of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOrder {
    /// By harvester, then by file name; copies of one plot stand together in [`ListKind::Shared`].
    #[default]
    Harvester,
    /// By file name, whosever it is.
    File,
    /// The largest file (or directory) first.
    Size,
    /// The newest file first.
    Newest,
}

/// Whether a page lists files or what they are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// One item a file: [`Page::items`].
    #[default]
    None,
    /// One item a directory of a harvester, which usually is a drive: [`Page::directories`].
    Directory,
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
    /// Only items with each of these words in their file name or in the name of their harvester; case does not matter.
    #[serde(default)]
    pub words: String,
    /// Only files that are directly in this directory.
    #[serde(default)]
    pub directory: Option<String>,
    /// In which order.
    #[serde(default)]
    pub order: FileOrder,
    /// The other way round.
    #[serde(default)]
    pub reversed: bool,
    /// Files, or what they are in.
    #[serde(default)]
    pub grouping: Grouping,
    /// Items to skip.
    pub offset: u64,
    /// Items wanted, at most [`PAGE_LIMIT`].
    pub limit: u32,
}

impl PageRequest {
    /// The first items of a list, by harvester and file name.
    #[must_use]
    pub const fn first(harvester: Option<HarvesterId>, list: ListKind, limit: u32) -> Self {
        Self {
            harvester,
            list,
            contains: String::new(),
            words: String::new(),
            directory: None,
            order: FileOrder::Harvester,
            reversed: false,
            grouping: Grouping::None,
            offset: 0,
            limit,
        }
    }
}

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Items (or directories, when they are asked for) that match in all.
    pub total: u64,
    /// The items from `offset` on.
    pub items: Vec<FileView>,
    /// The directories from `offset` on, when they are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<DirectoryView>,
}

/// What one directory of a harvester has of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryView {
    /// Whose.
    pub harvester: HarvesterId,
    /// Its name.
    pub harvester_name: String,
    /// Path as the harvester says it, without the separator at its end; not escaped.
    pub directory: String,
    /// Files of the list in it.
    pub files: u64,
    /// Sum of their sizes, bytes; 0 where sizes are not known.
    pub bytes: u64,
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
    /// What is known of the plot (only for [`ListKind::Plots`] and [`ListKind::Shared`]).
    pub plot: Option<PlotView>,
    /// Plot id (only for [`ListKind::Lost`]; elsewhere it is in `plot`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_plot_id: Option<PlotId>,
    /// When it was lost, unix milliseconds (only for [`ListKind::Lost`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_at_unix_ms: Option<u64>,
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
