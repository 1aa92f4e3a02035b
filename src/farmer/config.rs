//! What the farmer is told once, when it starts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{PeerId, PuzzleHash};
use crate::pos::constants::Constants;
use crate::snapshot::AlarmMemory;
use crate::wire::{G1Bytes, HarvesterHandshake};

/// Settings of a [`Farmer`](super::Farmer). All of it is checked by whoever makes it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FarmerConfig {
    /// Network id, as `mainnet`.
    pub network: String,
    /// Whether signage points come from the simulated chain.
    pub simulated: bool,
    /// Our own version, as `0.1.0`.
    pub software_version: String,
    /// Constants of the network.
    pub constants: Constants,
    /// Time between signage points to begin with: 9.375 s on every public network. The farmer then measures.
    pub signage_point_interval: Duration,
    /// Public parts of the farming keys; empty until there are any ([`Input::Keys`](super::Input::Keys) brings them later).
    pub keys: FarmerKeys,
    /// Names that people gave to harvesters, by certificate.
    pub names: BTreeMap<PeerId, String>,
    /// What people said about alarms before this start.
    pub alarm_memory: AlarmMemory,
    /// Harvesters that may take a fee out of the farmer rewards they find (CHIP-22), by the name that a person gave them or
    /// by their certificate's SHA-256 in hexadecimal, with the largest rate in percent, 0 to 100. No other may.
    pub harvester_fees: BTreeMap<String, f64>,
}

impl FarmerConfig {
    /// The largest fee the harvester of this certificate may take, in percent.
    pub(super) fn fee_limit(&self, certificate: &PeerId) -> Option<f64> {
        let of_certificate = self.harvester_fees.get(&certificate.to_string());
        let of_name = || self.harvester_fees.get(self.names.get(certificate)?);
        of_certificate.or_else(of_name).copied()
    }
}

/// Public parts of the farming keys, and where rewards go. Secrets never get here.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FarmerKeys {
    /// Farmer public keys we can sign for.
    pub farmer_public_keys: Vec<G1Bytes>,
    /// Pool public keys whose plots are ours.
    pub pool_public_keys: Vec<G1Bytes>,
    /// Pool keys that have signed their rewards over, and where to; `None` if that is not told. A block of any other pool
    /// key, or to any other address, cannot be claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_rewards: Option<Vec<(G1Bytes, PuzzleHash)>>,
    /// Where the farmer's share of a block goes.
    pub farmer_target: Option<PuzzleHash>,
    /// Where the pool's share goes for plots with a pool public key.
    pub pool_target: Option<PuzzleHash>,
    /// Address form of `farmer_target`.
    pub farmer_address: Option<String>,
}

impl FarmerKeys {
    /// What harvesters are told after they connect; `None` without a farmer key, because nothing they find could be signed.
    ///
    /// An official harvester whose list of pool keys is empty ignores every signage point, also for plots that pay into a
    /// contract. So if there is no pool key, the farmer keys stand in: no plot has them as its pool key.
    #[must_use]
    pub fn handshake(&self) -> Option<HarvesterHandshake> {
        if self.farmer_public_keys.is_empty() {
            return None;
        }
        let pool_public_keys = match self.pool_public_keys.as_slice() {
            [] => &self.farmer_public_keys,
            _ => &self.pool_public_keys,
        };
        Some(HarvesterHandshake {
            farmer_public_keys: self.farmer_public_keys.clone(),
            pool_public_keys: pool_public_keys.clone(),
        })
    }
}

/// Time between two signage points on every public network: 64 in ten minutes.
pub const SIGNAGE_POINT_INTERVAL: Duration = Duration::from_micros(9_375_000);
