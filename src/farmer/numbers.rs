//! Numbers of what the farmer has under way. No number is used twice.

/// Work given to a worker; its result comes back with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct JobId(pub u64);

/// Number of a proof since start; as shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct ProofNumber(pub(super) u64);

/// Number of a block that is to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct BlockNumber(pub(super) u64);

/// Number of a partial since start; as shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct PartialNumber(pub(super) u64);
