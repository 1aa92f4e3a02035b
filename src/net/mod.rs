//! Connections: who may connect, and websocket frames to messages and back.
mod admission;
mod backoff;
mod bucket;
mod credit;
mod identity;
mod meter;

pub use admission::{Admission, AdmissionLimits};
pub use backoff::{Backoff, BackoffError};
pub use bucket::{Bucket, Rate};
pub use credit::{Credit, Credits};
pub use identity::{Identities, IdentityRates};
pub use meter::{Meter, Metered};
