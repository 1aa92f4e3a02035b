//! What both sides are given, and what they answer; `official_harvester.py` reads and writes the same.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Directory with the plots.
    pub(crate) directory: PathBuf,
    pub(crate) plots: u32,
    /// `harvester.num_threads`.
    pub(crate) threads: u16,
    pub(crate) rounds: u32,
    pub(crate) farmer_public_key: String,
    pub(crate) pool_public_key: String,
    /// The one real plot among them.
    pub(crate) real_plot: PathBuf,
    pub(crate) filters: Vec<Filter>,
}

/// Signage points that are looked up with one plot filter.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Filter {
    /// Leading bits that must be 0.
    pub(crate) bits: u8,
    pub(crate) points: Vec<Point>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) challenge_hash: String,
    pub(crate) sp_hash: String,
}

/// What one side says.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Until all plots are looked up.
    pub(crate) farmed_ms: f64,
    /// Until the farmer knows all plots with their keys.
    pub(crate) load_ms: f64,
    /// Both with whatever the first load has left on the disk.
    pub(crate) farmed_again_ms: f64,
    pub(crate) load_again_ms: f64,
    pub(crate) bytes_per_plot: f64,
    pub(crate) filters: Vec<FilterMeasured>,
    /// Plots that could not be loaded, and look-ups that failed.
    pub(crate) errors: f64,
}

/// What it says of one filter.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FilterMeasured {
    /// Each signage point, from its arrival to the answer, in each round.
    pub(crate) ms: Vec<f64>,
    /// CPU time of all threads, a signage point.
    pub(crate) cpu_ms: f64,
    /// Plots that pass the filter, over all points.
    pub(crate) passed: f64,
    /// Qualities that they have, over all points: found apart from the measurement.
    pub(crate) qualities: f64,
}
