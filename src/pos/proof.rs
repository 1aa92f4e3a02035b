//! Whether a proof of space answers a signage point: every rule of consensus short of the difficulty, in the order in
//! which a node checks them.
//!
//! Source: chia `verify_and_get_quality_string` in `types/blockchain_format/proof_of_space.py`, release 2.7.5.

use crate::crypto::sha256;
use crate::ids::{ChallengeHash, FilterChallenge, PosChallenge, QualityString, SpHash};
use crate::pos::constants::Constants;
use crate::pos::{filter, v1, v2};
use crate::units::Height;
use crate::wire::{ProofBody, ProofOfSpace, plot_group_id_v2};

/// What a proof is checked against: the signage point it claims to answer, as the node announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProofContext {
    /// Challenge of the sub-slot.
    pub challenge_hash: ChallengeHash,
    /// The signage point in the challenge chain (`challenge_chain_sp`).
    pub sp_hash: SpHash,
    /// 0 to 63.
    pub signage_point_index: u8,
    /// Decides the v1 plot filter.
    pub peak_height: Height,
    /// Decides the v2 plot filter, and which of the two plot formats is valid.
    pub last_tx_height: Height,
    /// What v2 plots are filtered with; none while the node lacks the history to know it.
    pub filter_challenge: Option<FilterChallenge>,
}

/// Checks a proof of space and gives its quality string, which decides whether it is good enough for a block or a
/// partial (see [`required_iters`](super::iterations::required_iters)). Takes 20 to 100 µs; v2
/// proofs of high strength take longer (see [`v2::verify`]).
///
/// # Errors
/// The first rule that is broken. It is always the harvester that sent a useless proof, except that a node may have
/// given no filter challenge, and that farmer and harvester may be set to different networks.
pub fn verify_proof_of_space(
    c: &Constants,
    proof: &ProofOfSpace,
    ctx: &ProofContext,
) -> Result<QualityString, ProofError> {
    may_answer(c, proof, ctx)?;
    let plot_id = proof.plot_id();
    match &proof.body {
        ProofBody::V1 { k, proof: x_values } => {
            if ctx.last_tx_height >= c.soft_fork9_height && x_values.len() >= MAX_V1_PROOF_LEN {
                return Err(ProofError::TooLong {
                    limit: MAX_V1_PROOF_LEN,
                    got: x_values.len(),
                });
            }
            Ok(v1::verify(&plot_id, *k, &proof.challenge, x_values)?)
        }
        ProofBody::V2 {
            strength,
            proof: x_values,
            ..
        } => Ok(v2::verify(c, &plot_id, *strength, &proof.challenge, x_values)?),
    }
}

/// The rules of [`verify_proof_of_space`] that need no x-values: whether this plot may answer the signage point, with
/// this challenge. They are all that can be checked of a v2 proof that is not solved yet.
///
/// # Errors
/// The first rule that is broken.
pub fn may_answer(c: &Constants, proof: &ProofOfSpace, ctx: &ProofContext) -> Result<(), ProofError> {
    check_plot_format(c, &proof.body, ctx.last_tx_height)?;
    check_plot_size(c, &proof.body)?;
    let plot_id = proof.plot_id();
    let expected = filter::pos_challenge(&plot_id, &ctx.challenge_hash, &ctx.sp_hash);
    if proof.challenge != expected {
        return Err(ProofError::WrongChallenge {
            expected,
            got: proof.challenge,
        });
    }
    match proof.body {
        ProofBody::V1 { .. } => {
            let prefix_bits = filter::prefix_bits_v1(c, ctx.peak_height);
            if !filter::passes_v1(prefix_bits, &plot_id, &ctx.challenge_hash, &ctx.sp_hash) {
                return Err(ProofError::PlotFilterV1 {
                    prefix_bits,
                    peak_height: ctx.peak_height,
                });
            }
        }
        ProofBody::V2 {
            meta_group, strength, ..
        } => {
            let filter_challenge = ctx.filter_challenge.ok_or(ProofError::NoFilterChallenge)?;
            let bits = filter::bits_v2(c, ctx.last_tx_height, strength);
            let group_id = plot_group_id_v2(strength, &proof.plot_public_key, &proof.pool);
            if !filter::passes_v2(bits, &group_id, meta_group, &filter_challenge, ctx.signage_point_index) {
                return Err(ProofError::PlotFilterV2 {
                    bits,
                    signage_point_index: ctx.signage_point_index,
                });
            }
        }
    }
    Ok(())
}

/// Whether a v1 proof has been phased out: from hard fork 2 on, fewer and fewer v1 proofs are valid, by their hash.
#[must_use]
pub fn is_v1_phased_out(c: &Constants, proof: &[u8], last_tx_height: Height) -> bool {
    if last_tx_height < c.hard_fork2_height {
        return false;
    }
    // Counts down to 0 at the end of the phase-out, and is negative after it.
    let epochs_left = (v1_cut_off_height(c) - i64::from(last_tx_height.0)).div_euclid(i64::from(c.epoch_blocks));
    let lot = sha256(&[proof, PHASE_OUT_SALT])[0] & phase_out_epochs(c);
    epochs_left <= i64::from(lot)
}

/// Height from which no v1 proof is valid. May be above the largest height there can be.
#[must_use]
pub fn v1_cut_off_height(c: &Constants) -> i64 {
    i64::from(c.hard_fork2_height.0) + i64::from(phase_out_epochs(c)) * i64::from(c.epoch_blocks)
}

/// Epochs that the phase-out takes: a power of two less 1, and so also a mask.
fn phase_out_epochs(c: &Constants) -> u8 {
    1_u8.checked_shl(u32::from(c.plot_v1_phase_out_epoch_bits))
        .map_or(u8::MAX, |bit| bit - 1)
}

fn check_plot_format(c: &Constants, body: &ProofBody, last_tx_height: Height) -> Result<(), ProofError> {
    match body {
        ProofBody::V1 { proof, .. } if is_v1_phased_out(c, proof, last_tx_height) => {
            Err(ProofError::PhasedOut { last_tx_height })
        }
        ProofBody::V2 { .. } if last_tx_height < c.hard_fork2_height => Err(ProofError::V2NotActive {
            active_from: c.hard_fork2_height,
            last_tx_height,
        }),
        _ => Ok(()),
    }
}

fn check_plot_size(c: &Constants, body: &ProofBody) -> Result<(), ProofError> {
    match *body {
        ProofBody::V1 { k, .. } if !(c.min_plot_size_v1..=c.max_plot_size_v1).contains(&k) => {
            Err(ProofError::PlotSize {
                min: c.min_plot_size_v1,
                max: c.max_plot_size_v1,
                got: k,
            })
        }
        ProofBody::V2 { strength, .. } if !(c.min_plot_strength..=c.max_plot_strength).contains(&strength) => {
            Err(ProofError::PlotStrength {
                min: c.min_plot_strength,
                max: c.max_plot_strength,
                got: strength,
            })
        }
        _ => Ok(()),
    }
}

/// Which rule a proof of space breaks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ProofError {
    /// A v1 proof that hard fork 2 has made invalid.
    #[error("this v1 proof has been phased out at transaction block {last_tx_height}")]
    PhasedOut {
        /// Last transaction block before the signage point.
        last_tx_height: Height,
    },
    /// A v2 proof before hard fork 2.
    #[error("v2 proofs are valid from height {active_from}, the last transaction block is {last_tx_height}")]
    V2NotActive {
        /// Height of hard fork 2.
        active_from: Height,
        /// Last transaction block before the signage point.
        last_tx_height: Height,
    },
    /// A v1 plot too small or too large for the network.
    #[error("plots of this network have k{min} to k{max}, got k{got}")]
    PlotSize {
        /// Smallest k.
        min: u8,
        /// Largest k.
        max: u8,
        /// k of the proof.
        got: u8,
    },
    /// A v2 plot too weak or too strong for the network.
    #[error("v2 plots of this network have strength {min} to {max}, got {got}")]
    PlotStrength {
        /// Smallest strength.
        min: u8,
        /// Largest strength.
        max: u8,
        /// Strength of the proof.
        got: u8,
    },
    /// The proof answers another question, or its keys are not those of the plot.
    #[error("the plot is to be asked with challenge {expected}, the proof has {got}")]
    WrongChallenge {
        /// Computed from plot id, challenge and signage point.
        expected: PosChallenge,
        /// In the proof.
        got: PosChallenge,
    },
    /// The plot is not allowed to answer this signage point.
    #[error("the plot does not pass the filter of {prefix_bits} bits that holds at height {peak_height}")]
    PlotFilterV1 {
        /// Bits that must be 0.
        prefix_bits: u8,
        /// Peak height that came with the signage point.
        peak_height: Height,
    },
    /// The plot's group is not allowed to answer this signage point.
    #[error("the plot's group does not pass the filter of {bits} bits at signage point {signage_point_index}")]
    PlotFilterV2 {
        /// Bits that must be equal.
        bits: u8,
        /// Index of the signage point.
        signage_point_index: u8,
    },
    /// The node sent no filter challenge with this signage point, so no v2 plot may answer it.
    #[error("the node gave no filter challenge for v2 plots with this signage point")]
    NoFilterChallenge,
    /// A v1 proof longer than soft fork 9 allows.
    #[error("a v1 proof must be shorter than {limit} bytes, got {got}")]
    TooLong {
        /// First length that is not allowed.
        limit: usize,
        /// Length of the proof.
        got: usize,
    },
    /// All around it is right, but the v1 proof is none.
    #[error("invalid v1 proof: {0}")]
    InvalidV1(#[from] v1::InvalidProof),
    /// All around it is right, but the v2 proof is none.
    #[error("invalid v2 proof: {0}")]
    InvalidV2(#[from] v2::InvalidProofV2),
}

/// Length from which a v1 proof is refused since soft fork 9.
const MAX_V1_PROOF_LEN: usize = 2000;

/// What is hashed after a v1 proof to decide when it is phased out.
const PHASE_OUT_SALT: &[u8] = b"chia proof-of-space v1 phase-out";

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::ids::PuzzleHash;
    use crate::pos::constants::test_vectors;
    use crate::wire::{G1Bytes, PlotPool, Streamable};

    fn height(json: &Json) -> Height {
        Height(json.as_u64().unwrap().try_into().unwrap())
    }

    /// The name that the vector file has for a rule.
    fn rule(error: &ProofError) -> &'static str {
        match error {
            ProofError::PhasedOut { .. } => "phased_out",
            ProofError::V2NotActive { .. } => "v2_not_active",
            ProofError::PlotSize { .. } => "plot_size",
            ProofError::PlotStrength { .. } => "plot_strength",
            ProofError::WrongChallenge { .. } => "challenge",
            ProofError::PlotFilterV1 { .. } => "filter_v1",
            ProofError::PlotFilterV2 { .. } => "filter_v2",
            ProofError::NoFilterChallenge => "no_filter_challenge",
            ProofError::TooLong { .. } => "too_long",
            ProofError::InvalidV1(_) => "invalid_v1",
            ProofError::InvalidV2(_) => "invalid_v2",
        }
    }

    #[test]
    fn real_proofs_and_broken_ones_are_judged_as_officially() {
        let vectors: Json = serde_json::from_str(include_str!("../../tests/vectors/pos_proofs.json")).unwrap();
        let overrides = |json: &Json| -> Vec<(String, String)> {
            let pairs = json.as_object().unwrap().iter();
            pairs
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect()
        };
        let base = overrides(&vectors["base"]);
        let mut rules_seen = std::collections::BTreeSet::new();
        for case in vectors["cases"].as_array().unwrap() {
            let mut c = Constants::default();
            for (name, value) in base.iter().chain(&overrides(&case["overrides"])) {
                c.apply_override(name, value).unwrap();
            }
            let context = &case["context"];
            let ctx = ProofContext {
                challenge_hash: context["challenge_hash"].as_str().unwrap().parse().unwrap(),
                sp_hash: context["sp_hash"].as_str().unwrap().parse().unwrap(),
                signage_point_index: context["signage_point_index"].as_u64().unwrap().try_into().unwrap(),
                peak_height: height(&context["peak_height"]),
                last_tx_height: height(&context["last_tx_height"]),
                filter_challenge: context["filter_challenge"].as_str().map(|hex| hex.parse().unwrap()),
            };
            let bytes = hex::decode(case["proof_of_space"].as_str().unwrap()).unwrap();
            let proof = ProofOfSpace::from_bytes(&bytes).unwrap();
            let verdict = verify_proof_of_space(&c, &proof, &ctx);
            let expected = case["quality"].as_str().map(|hex| hex.parse().unwrap());
            assert_eq!(verdict.as_ref().ok(), expected.as_ref(), "{case}");
            assert_eq!(verdict.as_ref().err().map(rule), case["rule"].as_str(), "{case}");
            rules_seen.extend(verdict.as_ref().err().map(rule));
        }
        assert_eq!(rules_seen.len(), 11, "a rule without a case: {rules_seen:?}");
    }

    #[test]
    fn v1_phase_out_is_the_official_one() {
        let c = Constants {
            hard_fork2_height: Height(9_000_000),
            ..Constants::default()
        };
        let vectors = test_vectors();
        for case in vectors["v1_phase_out"].as_array().unwrap() {
            let proof = hex::decode(case["proof"].as_str().unwrap()).unwrap();
            let first_byte = sha256(&[&proof, PHASE_OUT_SALT])[0];
            assert_eq!(u64::from(first_byte), case["first_byte"].as_u64().unwrap());
            let phased_out = is_v1_phased_out(&c, &proof, height(&case["height"]));
            assert_eq!(phased_out, case["phased_out"].as_bool().unwrap(), "{case}");
        }
        for (network, derived) in vectors["derived"].as_object().unwrap() {
            let c = Constants::for_network(network).unwrap();
            assert_eq!(v1_cut_off_height(&c), derived["v1_cut_off_height"].as_i64().unwrap());
            assert_eq!(
                u64::from(phase_out_epochs(&c)),
                derived["num_phase_out_epochs"].as_u64().unwrap()
            );
        }
    }

    #[test]
    fn phase_out_ends_for_every_proof_and_never_overflows() {
        let c = Constants {
            hard_fork2_height: Height(0),
            epoch_blocks: 1,
            ..Constants::default()
        };
        let alive_at = |height| {
            (0..=255_u8)
                .filter(|i| !is_v1_phased_out(&c, &[*i], Height(height)))
                .count()
        };
        assert!(alive_at(0) > 200);
        assert!((100..156).contains(&alive_at(128)));
        assert_eq!((alive_at(255), alive_at(u32::MAX)), (0, 0));
        let slow = Constants {
            hard_fork2_height: Height(u32::MAX),
            epoch_blocks: u32::MAX,
            ..Constants::default()
        };
        assert_eq!(v1_cut_off_height(&slow), 256 * i64::from(u32::MAX));
        assert!(!is_v1_phased_out(&slow, &[], Height(u32::MAX - 1)));
    }

    fn any_body() -> impl Strategy<Value = ProofBody> {
        let proof = || {
            prop_oneof![
                vec(any::<u8>(), 0..600),
                vec(any::<u8>(), 2000),
                Just(vec![0; 144]),
                Just(vec![0; 288])
            ]
        };
        prop_oneof![
            (any::<u8>(), proof()).prop_map(|(k, proof)| ProofBody::V1 { k, proof }),
            (18..=50_u8).prop_flat_map(
                |k| vec(any::<u8>(), 8 * usize::from(k)).prop_map(move |proof| ProofBody::V1 { k, proof })
            ),
            (any::<u16>(), any::<u8>(), any::<u8>(), proof()).prop_map(|(plot_index, meta_group, strength, proof)| {
                ProofBody::V2 {
                    plot_index,
                    meta_group,
                    strength,
                    proof,
                }
            }),
        ]
    }

    proptest! {
        /// Whatever a harvester or node sends, the answer is an error and no panic, on every kind of network.
        #[test]
        fn garbage_is_no_proof(
            body in any_body(),
            ids in any::<[[u8; 32]; 4]>(),
            signage_point_index: u8,
            heights in any::<[u32; 3]>(),
            with_filter_challenge: bool,
        ) {
            let c = Constants {
                min_plot_size_v1: 0,
                max_plot_size_v1: u8::MAX,
                number_zero_bits_plot_filter_v1: 0,
                number_zero_bits_plot_filter_v2: 0,
                plot_size_v2: 18,
                max_plot_strength: u8::MAX,
                hard_fork2_height: Height(heights[2]),
                ..Constants::default()
            };
            let ctx = ProofContext {
                challenge_hash: ChallengeHash(ids[0]),
                sp_hash: SpHash(ids[1]),
                signage_point_index,
                peak_height: Height(heights[0]),
                last_tx_height: Height(heights[1]),
                filter_challenge: with_filter_challenge.then_some(FilterChallenge(ids[2])),
            };
            let pool = PlotPool::Contract(PuzzleHash(ids[3]));
            let plot_public_key = G1Bytes([7; 48]);
            let mut proof = ProofOfSpace { challenge: PosChallenge::default(), pool, plot_public_key, body };
            proof.challenge = filter::pos_challenge(&proof.plot_id(), &ctx.challenge_hash, &ctx.sp_hash);
            prop_assert!(verify_proof_of_space(&c, &proof, &ctx).is_err());
        }
    }
}
