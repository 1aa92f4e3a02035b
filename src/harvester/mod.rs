//! The harvester: finds plot files, tells the farmer of them, looks proofs up and signs with the plots' own keys.
//!
//! [`Service`] speaks the harvester protocol over a pair of channels, so it serves the farmer of this process and a
//! remote one alike. Scanning and looking up happen on threads of their own, which may wait for a disk for ever; what is
//! said to the farmer of plots is decided by the pure `sync::SyncSender`. [`dial`](dial()) carries all this to a remote
//! farmer. [`make_plot`] makes small plots for demonstrations.
//!
//! This harvester farms v1 plots, classic and compressed as far as the settings allow, and v2 plots.

mod cache;
mod check;
mod connection;
mod dial;
#[cfg(test)]
mod discovery_tests;
mod file;
mod findings;
mod health;
mod inventory;
mod lookup;
mod make;
mod mounts;
mod plot;
mod plot_v2;
mod prove;
mod queue;
mod reader;
mod renewal;
mod scan;
mod scanner;
mod service;
mod status;
mod sync;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_v2;
mod volumes;

pub use check::{
    CheckEvent, CheckOptions, MAX_ERRORS, MissingKey, PlotCopy, PlotDetails, PlotFiles, PlotReport, Times, Unlisted,
    Verdict, WARN_PROOF_AFTER, check_challenge, check_plot, check_plots, plot_files,
};
pub use dial::{DialError, DialSettings, TlsSource, dial, examine_farmer};
pub use file::{FileStamp, PlotFile, PlotPath, plot_name};
pub use lookup::LogLine;
pub use make::{
    MakePlotError, NewPlot, PlotFormat, PlotFormatV2, PlotJob, V1_SIZES, V2_SIZES, available_memory, free_space,
    make_plot, random_seed,
};
pub use plot::{LoadedPlot, OpenError, PlotFacts, PlotKeys, PlotProver, ProverFacts};
pub use plot_v2::ProverV2;
pub use queue::{ABANDON_AFTER, WARN_AFTER};
pub use renewal::{examine_certificate, keep_fresh};
pub use scan::ScanOptions;
pub use service::{FarmerChannels, Service, ServiceOptions};
pub use status::StatusHandle;
