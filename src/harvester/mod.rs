//! The harvester: finds plot files, tells the farmer of them, looks proofs up and signs with the plots' own keys.
//!
//! [`Service`] speaks the harvester protocol over a pair of channels, so it serves the farmer of this process and a
//! remote one alike. Scanning ([`scan`]) and looking up ([`lookup`]) happen on blocking threads; what is said to the
//! farmer of plots is decided by the pure [`sync::SyncSender`].
//!
//! This harvester farms classic v1 plots. Compressed and v2 plots are listed as files that cannot be opened, with the
//! reason in the log.

pub mod dial;
pub mod lookup;
pub mod make;
pub mod plot_file;
pub mod scan;
pub mod service;
pub mod sync;

pub use dial::{DialSettings, dial};
pub use make::{MakePlotError, make_plot};
pub use plot_file::{LoadedPlot, OpenError, PlotFile};
pub use scan::{Inventory, ScanOptions};
pub use service::{FarmerChannels, Service, ServiceOptions};
