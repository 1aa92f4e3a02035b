//! Validates a full v1 proof and computes its quality string.

use sha2::{Digest, Sha256};

use super::bits::{BitWriter, read_bits};
use super::fx::{EXTRA_BITS, F1, Metadata, fx, is_match};
use super::{MAX_K, MIN_K};
use crate::ids::{PlotId, PosChallenge, QualityString};

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum InvalidProof {
    /// No v1 plot has this k.
    #[error("k {k} is outside {MIN_K} to {MAX_K}")]
    KOutOfRange {
        /// The k claimed.
        k: u8,
    },
    /// The proof is not 64 values of k bits.
    #[error("a proof of k {k} has {expected} bytes, got {got}")]
    Length {
        /// The k claimed.
        k: u8,
        /// 8 k.
        expected: usize,
        /// Bytes of the proof.
        got: usize,
    },
    /// Two neighbours do not match: an x value is wrong, or the two are swapped.
    #[error("entries {left} and {right} of table {table} do not match", right = left + 1)]
    NoMatch {
        /// Table of the two entries, 1 to 6.
        table: usize,
        /// Place of the left entry among the entries of its table in the proof, from 0.
        left: usize,
    },
    /// A valid proof, but of another challenge.
    #[error("the proof has f7 {got}, the challenge asks for {expected}")]
    WrongChallenge {
        /// First k bits of the challenge.
        expected: u64,
        /// f7 of the proof.
        got: u64,
    },
}

/// Validates `proof`, 64 x values of `k` bits in proof order, against the plot id and the challenge.
///
/// # Errors
/// [`InvalidProof`] says which rule is broken; there is no quality then.
pub fn verify(plot_id: &PlotId, k: u8, challenge: &PosChallenge, proof: &[u8]) -> Result<QualityString, InvalidProof> {
    if !(MIN_K..=MAX_K).contains(&k) {
        return Err(InvalidProof::KOutOfRange { k });
    }
    let xs = unpack(k, proof)?;
    let f7 = f7_of(plot_id, k, &xs)?;
    let expected = challenge_f7(challenge, k);
    if f7 != expected {
        return Err(InvalidProof::WrongChallenge { expected, got: f7 });
    }
    let mut xs = xs;
    plot_order(&mut xs);
    let selected = quality_path(challenge) * 2;
    Ok(quality_string(challenge, k, xs[selected], xs[selected + 1]))
}

/// The f7 that a proof of `challenge` must have: its first k bits.
pub(super) fn challenge_f7(challenge: &PosChallenge, k: u8) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = challenge.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> (64 - u32::from(k))
}

/// Which of the 32 pairs of x values (in plot order) makes the quality string: the last five bits of the challenge. Bit
/// `table - 2` tells the way down from that table: 0 to the smaller back pointer, 1 to the larger.
pub(super) fn quality_path(challenge: &PosChallenge) -> usize {
    usize::from(challenge.0[31] & 0x1f)
}

/// The quality string that the pair of x values makes, `left` being the first of the two in plot order (the smaller).
pub(super) fn quality_string(challenge: &PosChallenge, k: u8, left: u64, right: u64) -> QualityString {
    let k = u32::from(k);
    let pair = (u128::from(left) << k | u128::from(right)) << (128 - 2 * k);
    let length = (2 * k).div_ceil(8) as usize;
    let hash = Sha256::new()
        .chain_update(challenge.0)
        .chain_update(&pair.to_be_bytes()[..length])
        .finalize();
    QualityString(hash.into())
}

/// f7 (k bits) of 64 x values in proof order, all pairs of which must match.
fn f7_of(plot_id: &PlotId, k: u8, xs: &[u64; 64]) -> Result<u64, InvalidProof> {
    let f1 = F1::new(k, plot_id);
    let mut entries = xs.map(|x| (f1.y(x), Metadata::from(u128::from(x))));
    for table in 1..=6 {
        for left in 0..64 >> table {
            let ((left_y, left_metadata), (right_y, right_metadata)) = (entries[2 * left], entries[2 * left + 1]);
            if !is_match(left_y, right_y) {
                return Err(InvalidProof::NoMatch { table, left: 2 * left });
            }
            entries[left] = fx(k, table + 1, left_y, left_metadata, right_metadata);
        }
    }
    Ok(entries[0].0 >> EXTRA_BITS)
}

/// From plot order to the order in which a proof must be, which f1 to f6 tell: the half with the lower y comes first.
pub(super) fn arrange(plot_id: &PlotId, k: u8, xs: &mut [u64; 64]) {
    let f1 = F1::new(k, plot_id);
    let mut entries = xs.map(|x| (f1.y(x), Metadata::from(u128::from(x))));
    for table in 1..=6 {
        for (pair, xs) in xs.chunks_exact_mut(1 << table).enumerate() {
            let (mut left, mut right) = (entries[2 * pair], entries[2 * pair + 1]);
            if right.0 < left.0 {
                (left, right) = (right, left);
                xs.rotate_left(xs.len() / 2);
            }
            entries[pair] = fx(k, table + 1, left.0, left.1, right.1);
        }
    }
}

/// From proof order to plot order: at every level the half that is smaller, by its last x values, comes first. Of a proof or a
/// part of it, whose length is a power of two.
pub(super) fn plot_order(xs: &mut [u64]) {
    for half in (0..xs.len().ilog2()).map(|table| 1 << table) {
        for pair in xs.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            if left.iter().rev().ge(right.iter().rev()) {
                left.swap_with_slice(right);
            }
        }
    }
}

/// The proof that consists of these x values.
pub(super) fn pack(k: u8, xs: &[u64; 64]) -> Vec<u8> {
    let mut proof = BitWriter::with_capacity(64 * usize::from(k));
    for x in xs {
        proof.push(u128::from(*x), u32::from(k));
    }
    proof.into_bytes()
}

/// The 64 x values of a proof.
pub(super) fn unpack(k: u8, proof: &[u8]) -> Result<[u64; 64], InvalidProof> {
    let expected = usize::from(k) * 8;
    let wrong_length = InvalidProof::Length {
        k,
        expected,
        got: proof.len(),
    };
    if proof.len() != expected {
        return Err(wrong_length);
    }
    let mut xs = [0; 64];
    for (i, x) in xs.iter_mut().enumerate() {
        *x = read_bits(proof, i * usize::from(k), u32::from(k)).ok_or_else(|| wrong_length.clone())?;
    }
    Ok(xs)
}

#[cfg(test)]
mod tests {
    use super::super::test_plot::{golden_proof, golden_proofs};
    use super::*;

    #[test]
    fn official_proofs_are_valid_and_have_the_official_quality() {
        for k in [18, 19, 20, 21, 22, 32] {
            assert!(golden_proofs().iter().any(|golden| golden.k == k), "no proof of k {k}");
        }
        for golden in golden_proofs() {
            let verified = verify(&golden.plot_id, golden.k, &golden.challenge, &golden.proof());
            assert_eq!(verified, Ok(golden.quality));
        }
    }

    #[test]
    fn proof_of_another_challenge_or_plot_is_invalid() {
        for golden in golden_proofs() {
            let f7 = challenge_f7(&golden.challenge, golden.k);
            let mut other = golden.challenge;
            other.0[0] ^= 0x80;
            assert_eq!(
                verify(&golden.plot_id, golden.k, &other, &golden.proof()),
                Err(InvalidProof::WrongChallenge {
                    expected: f7 ^ (1 << (golden.k - 1)),
                    got: f7
                })
            );
            let mut other = golden.plot_id;
            other.0[30] ^= 1;
            let verified = verify(&other, golden.k, &golden.challenge, &golden.proof());
            assert!(
                matches!(verified, Err(InvalidProof::NoMatch { table: 1, .. })),
                "{verified:?}"
            );
        }
    }

    #[test]
    fn challenge_bits_beyond_k_select_the_pair_but_do_not_invalidate() {
        let golden = golden_proof(18);
        let mut other = golden.challenge;
        other.0[31] ^= 0x15;
        let quality = verify(&golden.plot_id, golden.k, &other, &golden.proof()).unwrap();
        assert_ne!(quality, golden.quality);
    }

    #[test]
    fn halves_swapped_at_any_table_are_invalid() {
        for golden in golden_proofs() {
            let xs = unpack(golden.k, &golden.proof()).unwrap();
            for (table, half) in [1, 2, 4, 8, 16, 32].into_iter().enumerate() {
                let mut swapped = xs;
                swapped[..2 * half].rotate_left(half);
                assert_eq!(
                    f7_of(&golden.plot_id, golden.k, &swapped),
                    Err(InvalidProof::NoMatch {
                        table: table + 1,
                        left: 0
                    })
                );
            }
        }
    }

    #[test]
    fn any_changed_x_value_is_invalid() {
        let golden = golden_proof(18);
        for byte in 0..golden.proof().len() {
            let mut proof = golden.proof();
            proof[byte] ^= 1;
            assert!(
                verify(&golden.plot_id, golden.k, &golden.challenge, &proof).is_err(),
                "byte {byte}"
            );
        }
    }

    #[test]
    fn wrong_length_or_k_is_refused() {
        let golden = golden_proof(18);
        let proof = golden.proof();
        let verified = verify(&golden.plot_id, 18, &golden.challenge, &proof[1..]);
        assert_eq!(
            verified,
            Err(InvalidProof::Length {
                k: 18,
                expected: 144,
                got: 143
            })
        );
        for k in [0, 17, 51, 255] {
            let verified = verify(&golden.plot_id, k, &golden.challenge, &proof);
            assert_eq!(verified, Err(InvalidProof::KOutOfRange { k }));
        }
    }

    #[test]
    fn no_bytes_of_any_length_panic() {
        for k in MIN_K..=MAX_K {
            for fill in [0x00, 0x5a, 0xff] {
                let proof = vec![fill; usize::from(k) * 8];
                assert!(verify(&PlotId([fill; 32]), k, &PosChallenge([fill; 32]), &proof).is_err());
            }
        }
    }
}
