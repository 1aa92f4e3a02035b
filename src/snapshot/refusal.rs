//! Connections that were refused, as the TLS doctor tells of them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::RefusalCause;

/// Refusals of one address for one cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalView {
    /// From where.
    pub address: IpAddr,
    /// Why, the last time.
    pub cause: RefusalCause,
    /// What is known of the certificate it showed, as a fragment.
    #[serde(default)]
    pub certificate: Option<String>,
    /// How often since the farmer started.
    pub times: u64,
    /// First time, unix milliseconds.
    pub first_unix_ms: u64,
    /// Last time, unix milliseconds.
    pub last_unix_ms: u64,
}
