//! v2 proofs of space: verifying and solving, by the library inside the official software (`chia-pos2`, C++), and the
//! structure of plot files ([`PlotFileV2`]).
//!
//! Everything the library might choke on is checked here first: it ends the process where it finds its own assumptions
//! violated.

mod plot_file;

pub use plot_file::PlotFileV2;

use crate::ids::{PlotId, PosChallenge, QualityString};
use crate::pos::constants::Constants;
use crate::wire::{PartialProof, SolverInfo};

/// Checks a full v2 proof of a plot of the network's only k and gives its quality string. A valid proof takes about
/// 20 µs at strength 2 and 0.3 ms at strength 8, doubling with each step from there; garbage at most about 1 ms at 17.
///
/// Stricter than the library in one point: bytes after the last x-value are refused even if they are 0, so that a
/// proof has one encoding only.
///
/// # Errors
/// What the proof lacks; the caller has already compared strength and challenge with what it asked for.
pub fn verify(
    c: &Constants,
    plot_id: &PlotId,
    strength: u8,
    challenge: &PosChallenge,
    proof: &[u8],
) -> Result<QualityString, InvalidProofV2> {
    let k = c.plot_size_v2;
    if !is_k(k) {
        return Err(InvalidProofV2::K { got: k });
    }
    if !is_strength(k, strength) {
        let max = max_strength(k);
        return Err(InvalidProofV2::Strength { k, max, got: strength });
    }
    let expected = proof_len(k);
    if proof.len() != expected {
        return Err(InvalidProofV2::Length {
            k,
            expected,
            got: proof.len(),
        });
    }
    chia_pos2::validate_proof_v2(plot_id.as_bytes(), k, challenge.as_bytes(), strength, proof, c.testnet)
        .map(|chain| {
            PartialProof {
                fragments: chain.chain_links,
            }
            .quality_string(strength)
        })
        .ok_or(InvalidProofV2::NotAProof)
}

/// Finds the x-values of a partial proof: the full proof, which is still to be verified. On two cores, all of which it
/// takes, 30 ms at k20 and 2 s at k28, both of strength 2; each step of strength adds more, in the end twice what the one
/// before did.
///
/// # Errors
/// No x-values belong to it, or finding them is too much work for this machine.
pub fn solve(c: &Constants, partial: &SolverInfo) -> Result<Vec<u8>, SolveError> {
    let (k, strength) = (partial.size, partial.strength);
    if !is_k(k) || !is_strength(k, strength) {
        return Err(SolveError::NoSuchPlot { k, strength });
    }
    if k > MAX_SOLVED_K || k / 2 + strength > MAX_SOLVED_WORK {
        return Err(SolveError::TooMuchWork { k, strength });
    }
    let fragments = partial.partial_proof.fragments;
    // A fragment has 2 k bits.
    if fragments.iter().any(|fragment| fragment >> (2 * k) != 0) {
        return Err(SolveError::NoProof);
    }
    let chain = chia_pos2::QualityChain { chain_links: fragments };
    let proof = chia_pos2::solve_proof(&chain, partial.plot_id.as_bytes(), k, strength, c.testnet);
    if proof.is_empty() {
        return Err(SolveError::NoProof);
    }
    Ok(proof)
}

/// Why a partial proof was not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SolveError {
    /// It is not one of this plot.
    #[error("no full proof belongs to its partial proof")]
    NoProof,
    /// There are no such plots.
    #[error("there are no v2 plots of k{k} and strength {strength}")]
    NoSuchPlot {
        /// Size.
        k: u8,
        /// Strength.
        strength: u8,
    },
    /// It would not be done in time, or would need more memory than the library has prepared for.
    #[error(
        "solving a partial proof of k{k} and strength {strength} is too much work for this machine: \
         `farmer.solver_peers` can name a solver"
    )]
    TooMuchWork {
        /// Size.
        k: u8,
        /// Strength.
        strength: u8,
    },
}

/// Whether v2 plots of this k can exist.
#[must_use]
pub fn is_k(k: u8) -> bool {
    LIBRARY_K.contains(&k) && k.is_multiple_of(2)
}

/// Whether v2 plots of size `k` ([`is_k`]) can have this strength.
#[must_use]
pub fn is_strength(k: u8, strength: u8) -> bool {
    (MIN_STRENGTH..=max_strength(k)).contains(&strength)
}

/// Length in bytes of a full proof: 128 x-values of k bits.
#[must_use]
pub const fn proof_len(k: u8) -> usize {
    X_VALUES * k as usize / 8
}

/// Largest strength a plot of size `k` can have: the bits of an x-value less those that name its section.
#[must_use]
pub const fn max_strength(k: u8) -> u8 {
    let section_bits = if k < 28 { 2 } else { k - 26 };
    k - section_bits - 1
}

/// Why bytes are no proof of a v2 plot for a challenge.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum InvalidProofV2 {
    /// The network's constants give v2 plots a size that does not exist.
    #[error("v2 plots of k{got} do not exist: `PLOT_SIZE_V2` must be even and 18 to 32")]
    K {
        /// The k in the constants.
        got: u8,
    },
    /// No plot of the network's k can have this strength.
    #[error("strength {got} is not possible for a k{k} v2 plot: expected {MIN_STRENGTH} to {max}")]
    Strength {
        /// Size of v2 plots on this network.
        k: u8,
        /// Largest strength at this size.
        max: u8,
        /// Strength of the proof.
        got: u8,
    },
    /// Wrong number of bytes.
    #[error("a v2 proof of a k{k} plot has {expected} bytes, got {got}")]
    Length {
        /// Size of v2 plots on this network.
        k: u8,
        /// Bytes of a full proof.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// Its x-values do not match, or do not belong to this plot and challenge.
    #[error("the x-values are no proof of this plot for this challenge")]
    NotAProof,
}

/// Sizes the library has tables for; odd ones are not possible.
pub const LIBRARY_K: std::ops::RangeInclusive<u8> = 18..=32;

/// x-values in a full proof: sixteen fragments of eight.
const X_VALUES: usize = chia_pos2::NUM_CHAIN_LINKS * 8;

/// At k32 the library's solver ends the process more often than not: it counts matches in 16 bits.
const MAX_SOLVED_K: u8 = 30;

/// Half of k and strength together, beyond which solving takes longer than a proof is worth anything: the part of the
/// work that depends on strength doubles with each, and has 10 s on two cores here (k28, strength 8).
const MAX_SOLVED_WORK: u8 = 22;

/// Smallest strength the library knows.
pub const MIN_STRENGTH: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// A real plot and proofs of it, made anew in every run (k18 takes a third of a second).
    struct Plot {
        c: Constants,
        id: PlotId,
        prover: chia_pos2::Prover,
        _dir: tempfile::TempDir,
    }

    const STRENGTH: u8 = 2;

    impl Plot {
        fn make() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("v2.plot");
            let c = Constants {
                plot_size_v2: 18,
                ..Constants::for_network("simulator1").unwrap()
            };
            let id = PlotId([0x5a; 32]);
            chia_pos2::create_v2_plot(&path, 18, STRENGTH, id.as_bytes(), 0, 0, &[0; 112], c.testnet).unwrap();
            let prover = chia_pos2::Prover::new(&path).unwrap();
            Self {
                c,
                id,
                prover,
                _dir: dir,
            }
        }

        /// The first proof among the challenges 0, 1, 2 …, with the quality string the plot file gives for it.
        fn proof(&self) -> (PosChallenge, Vec<u8>, QualityString) {
            (0..=255)
                .find_map(|i| {
                    let challenge = [i; 32];
                    let chain = self
                        .prover
                        .get_qualities_for_challenge(&challenge)
                        .unwrap()
                        .into_iter()
                        .next()?;
                    let proof = chia_pos2::solve_proof(&chain, self.id.as_bytes(), 18, STRENGTH, self.c.testnet);
                    Some((
                        PosChallenge(challenge),
                        proof,
                        PartialProof {
                            fragments: chain.chain_links,
                        }
                        .quality_string(STRENGTH),
                    ))
                })
                .expect("a plot has about one proof a challenge")
        }
    }

    #[test]
    fn real_proof_is_accepted_and_every_change_to_it_refused() {
        let plot = Plot::make();
        let (challenge, proof, quality) = plot.proof();
        assert_eq!(verify(&plot.c, &plot.id, STRENGTH, &challenge, &proof), Ok(quality));

        let refused = |c: &Constants, id: &PlotId, strength, challenge: &PosChallenge, proof: &[u8]| {
            verify(c, id, strength, challenge, proof).unwrap_err()
        };
        let not_a_proof = InvalidProofV2::NotAProof;
        let other_net = Constants {
            testnet: false,
            ..plot.c.clone()
        };
        assert_eq!(refused(&other_net, &plot.id, STRENGTH, &challenge, &proof), not_a_proof);
        assert_eq!(
            refused(&plot.c, &PlotId([1; 32]), STRENGTH, &challenge, &proof),
            not_a_proof
        );
        assert_eq!(
            refused(&plot.c, &plot.id, STRENGTH + 1, &challenge, &proof),
            not_a_proof
        );
        assert_eq!(
            refused(&plot.c, &plot.id, STRENGTH, &PosChallenge([0xee; 32]), &proof),
            not_a_proof
        );
        for position in 0..proof.len() {
            let mut changed = proof.clone();
            changed[position] ^= 1;
            assert_eq!(
                refused(&plot.c, &plot.id, STRENGTH, &challenge, &changed),
                not_a_proof,
                "byte {position}"
            );
        }
        let length = |got| InvalidProofV2::Length {
            k: 18,
            expected: 288,
            got,
        };
        assert_eq!(
            refused(&plot.c, &plot.id, STRENGTH, &challenge, &proof[1..]),
            length(287)
        );
        let padded = [proof.as_slice(), &[0]].concat();
        assert_eq!(refused(&plot.c, &plot.id, STRENGTH, &challenge, &padded), length(289));
        assert_eq!(refused(&plot.c, &plot.id, STRENGTH, &challenge, &[]), length(0));
    }

    fn partial(k: u8, strength: u8, fragments: [u64; 16]) -> SolverInfo {
        SolverInfo {
            partial_proof: PartialProof { fragments },
            plot_id: PlotId([0x5a; 32]),
            strength,
            size: k,
        }
    }

    #[test]
    fn garbage_has_no_solution_and_never_ends_the_process() {
        let c = Constants::for_network("simulator1").unwrap();
        let most = (1 << 36) - 1;
        let counted: [u64; 16] = std::array::from_fn(|i| i as u64 * 0x3_1415_9265);
        for fragments in [[0; 16], [most; 16], [0x1_2345_6789; 16], counted] {
            assert_eq!(solve(&c, &partial(18, 2, fragments)), Err(SolveError::NoProof));
        }
        for fragments in [[most + 1; 16], [u64::MAX; 16]] {
            assert_eq!(solve(&c, &partial(18, 2, fragments)), Err(SolveError::NoProof));
        }
    }

    #[test]
    fn only_what_can_be_solved_in_time_is_begun() {
        let c = Constants::for_network("simulator1").unwrap();
        for (k, strength) in [(28, 9), (20, 13), (18, 14), (30, 8), (32, 2)] {
            let refused = solve(&c, &partial(k, strength, [1; 16]));
            assert_eq!(refused, Err(SolveError::TooMuchWork { k, strength }));
        }
        for (k, strength) in [(16, 2), (19, 2), (34, 2), (18, 1), (18, 16), (255, 255)] {
            let refused = solve(&c, &partial(k, strength, [1; 16]));
            assert_eq!(refused, Err(SolveError::NoSuchPlot { k, strength }));
        }
    }

    #[test]
    fn sizes_and_strengths_without_plots_never_reach_the_library() {
        let verify_with = |k, strength| {
            let c = Constants {
                plot_size_v2: k,
                ..Constants::default()
            };
            verify(
                &c,
                &PlotId::default(),
                strength,
                &PosChallenge::default(),
                &vec![0; proof_len(k)],
            )
        };
        for k in 0..=255_u8 {
            for strength in [0, 1, 2, 15, 16, 17, 18, 63, 64, 255] {
                let got = verify_with(k, strength);
                if !(18..=32).contains(&k) || !k.is_multiple_of(2) {
                    assert_eq!(got, Err(InvalidProofV2::K { got: k }));
                } else if strength < 2 || strength > max_strength(k) {
                    assert_eq!(
                        got,
                        Err(InvalidProofV2::Strength {
                            k,
                            max: max_strength(k),
                            got: strength
                        })
                    );
                } else {
                    assert_eq!(got, Err(InvalidProofV2::NotAProof), "k{k} strength {strength}");
                }
            }
        }
    }

    #[test]
    fn proofs_of_the_public_networks_have_448_bytes() {
        assert_eq!((proof_len(28), proof_len(20)), (448, 320));
        assert_eq!((max_strength(28), max_strength(20), max_strength(18)), (25, 17, 15));
    }
}
