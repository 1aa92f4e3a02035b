//! Messages between farmer and solver, who turns v2 partial proofs into proofs. They travel without an id: the answer
//! belongs to the request with the same partial proof, and there is none when no proof was found.

use super::codec::streamable;
use super::proof::PartialProof;
use crate::ids::PlotId;

streamable! {
    /// Complete this (109 `solve`, farmer to solver).
    pub struct SolverInfo {
        /// What to complete.
        pub partial_proof: PartialProof,
        /// Plot it is from.
        pub plot_id: PlotId,
        /// Strength of the plot.
        pub strength: u8,
        /// k of the network.
        pub size: u8,
    }

    /// The completed proof (108 `solution_response`, solver to farmer).
    pub struct SolverResponse {
        /// What was completed.
        pub partial_proof: PartialProof,
        /// 128 x-values of k bits: 16 k bytes.
        #[serde(with = "hex::serde")]
        pub proof: Vec<u8>,
    }
}
