//! Verification of v2 proofs of space, by the library inside the official software (`chia-pos2`, C++).
//!
//! Everything the library might choke on is checked here first. Solving partial proofs is not done here.

use crate::ids::{PlotId, PosChallenge, QualityString};
use crate::pos::constants::Constants;
use crate::wire::PartialProof;

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
    if !LIBRARY_K.contains(&k) || !k.is_multiple_of(2) {
        return Err(InvalidProofV2::K { got: k });
    }
    let max = max_strength(k);
    if !(MIN_STRENGTH..=max).contains(&strength) {
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
