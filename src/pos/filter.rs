//! Plot filters: which plots may answer a signage point at all, and what challenge they then get.
//!
//! v1 plots pass when the first bits of a hash are 0, new at every signage point. v2 plots pass in groups, once per
//! window of 16 signage points, known a sub-slot ahead.
//! Source: chia `types/blockchain_format/proof_of_space.py`, release 2.7.5.

use crate::crypto::{sha256, sha256_of_three};
use crate::ids::{ChallengeHash, FilterChallenge, PlotGroupId, PlotId, PosChallenge, SpHash};
use crate::pos::constants::Constants;
use crate::units::Height;

/// Whether a v1 plot passes the filter at a signage point: the first `prefix_bits` bits of its filter hash are 0.
/// With 0 bits every plot passes.
#[must_use]
pub fn passes_v1(prefix_bits: u8, plot_id: &PlotId, challenge_hash: &ChallengeHash, sp_hash: &SpHash) -> bool {
    leading_zero_bits(&filter_hash(plot_id, challenge_hash, sp_hash)) >= u32::from(prefix_bits)
}

/// Prefix bits of the v1 filter. `height` is the peak height that came with the signage point.
#[must_use]
pub fn prefix_bits_v1(c: &Constants, height: Height) -> u8 {
    let reduction = if height >= c.plot_filter_32_height {
        4
    } else if height >= c.plot_filter_64_height {
        3
    } else if height >= c.plot_filter_128_height {
        2
    } else if height >= c.hard_fork_height {
        1
    } else {
        0
    };
    c.number_zero_bits_plot_filter_v1.saturating_sub(reduction)
}

/// The challenge a plot, v1 or v2, is asked with at a signage point: SHA-256 of its filter hash.
#[must_use]
pub fn pos_challenge(plot_id: &PlotId, challenge_hash: &ChallengeHash, sp_hash: &SpHash) -> PosChallenge {
    PosChallenge(sha256(&[&filter_hash(plot_id, challenge_hash, sp_hash)]))
}

/// Whether a group of v2 plots passes the filter. `bits` are those of [`bits_v2`].
#[must_use]
pub fn passes_v2(
    bits: u8,
    group_id: &PlotGroupId,
    meta_group: u8,
    filter_challenge: &FilterChallenge,
    signage_point_index: u8,
) -> bool {
    let mask = 1_u32.checked_shl(u32::from(bits)).map_or(u32::MAX, |bit| bit - 1);
    let hash = sha256(&[group_id.as_bytes(), filter_challenge.as_bytes()]);
    let group = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    let turn = u32::from((signage_point_index % FILTER_WINDOW_SIZE) ^ meta_group);
    group & mask == turn & mask
}

/// Bits of the v2 filter for plots of a strength: [`base_bits_v2`] and one more for each step of strength above the
/// smallest, at most 13. `last_tx_height` came with the signage point.
#[must_use]
pub fn bits_v2(c: &Constants, last_tx_height: Height, strength: u8) -> u8 {
    let harder = strength.saturating_sub(c.min_plot_strength);
    base_bits_v2(c, last_tx_height)
        .saturating_add(harder)
        .min(MAX_EFFECTIVE_PLOT_FILTER_BITS)
}

/// Bits of the v2 filter for plots of the smallest strength: fewer as the chain grows.
#[must_use]
pub fn base_bits_v2(c: &Constants, last_tx_height: Height) -> u8 {
    let since_fork = last_tx_height.0.saturating_sub(c.hard_fork2_height.0);
    let reached = REDUCTION_HEIGHTS
        .iter()
        .take_while(|&&height| since_fork >= height)
        .count();
    let reduction = u8::try_from(reached).unwrap_or(u8::MAX);
    c.number_zero_bits_plot_filter_v2.saturating_sub(reduction)
}

/// SHA-256 of plot id, challenge and signage point: what the v1 filter looks at.
#[must_use]
pub fn filter_hash(plot_id: &PlotId, challenge_hash: &ChallengeHash, sp_hash: &SpHash) -> [u8; 32] {
    sha256_of_three([plot_id.as_bytes(), challenge_hash.as_bytes(), sp_hash.as_bytes()])
}

fn leading_zero_bits(hash: &[u8; 32]) -> u32 {
    let zero_bytes = hash.iter().take_while(|&&byte| byte == 0).count();
    let rest = hash.get(zero_bytes).map_or(0, |byte| byte.leading_zeros());
    hash[..zero_bytes].iter().map(|byte| byte.leading_zeros()).sum::<u32>() + rest
}

/// Signage points over which one v2 filter challenge and one permutation of the groups hold.
const FILTER_WINDOW_SIZE: u8 = 16;

/// The v2 filter never lets fewer than 1 of 8192 groups pass.
const MAX_EFFECTIVE_PLOT_FILTER_BITS: u8 = 13;

/// Blocks after hard fork 2 at which the v2 filter loses a bit each.
const REDUCTION_HEIGHTS: [u32; 9] = [
    10_101_000, 15_146_000, 20_197_000, 25_247_000, 30_298_000, 35_343_000, 40_394_000, 45_444_000, 50_494_000,
];

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::pos::constants::test_vectors;

    fn id<T: std::str::FromStr>(json: &Json) -> T
    where
        T::Err: std::fmt::Debug,
    {
        json.as_str().unwrap().parse().unwrap()
    }

    fn small<T: TryFrom<u64>>(json: &Json) -> T
    where
        T::Error: std::fmt::Debug,
    {
        json.as_u64().unwrap().try_into().unwrap()
    }

    #[test]
    fn fixed_numbers_are_the_official_constants() {
        let official = &test_vectors()["constants"]["mainnet"];
        let mut heights: Vec<u32> = official["PLOT_FILTER_V2_RELATIVE_HEIGHT"]
            .as_array()
            .unwrap()
            .iter()
            .map(small)
            .collect();
        heights.reverse();
        assert_eq!(heights, REDUCTION_HEIGHTS);
        assert_eq!(small::<u8>(&official["FILTER_WINDOW_SIZE"]), FILTER_WINDOW_SIZE);
        assert_eq!(
            small::<u8>(&official["MAX_EFFECTIVE_PLOT_FILTER_BITS"]),
            MAX_EFFECTIVE_PLOT_FILTER_BITS
        );
    }

    #[test]
    fn v1_prefix_bits_fall_with_height_as_officially() {
        let vectors = test_vectors();
        for case in vectors["prefix_bits_v1"].as_array().unwrap() {
            let c = Constants::for_network(case["network"].as_str().unwrap()).unwrap();
            assert_eq!(
                prefix_bits_v1(&c, Height(small(&case["height"]))),
                small::<u8>(&case["prefix_bits"]),
                "{case}"
            );
        }
    }

    #[test]
    fn v1_prefix_bits_never_underflow() {
        let c = Constants {
            number_zero_bits_plot_filter_v1: 3,
            ..Constants::default()
        };
        assert_eq!(prefix_bits_v1(&c, Height(u32::MAX)), 0);
    }

    #[test]
    fn v1_filter_and_challenge_are_the_official_ones() {
        let vectors = test_vectors();
        for case in vectors["plot_filter_v1"].as_array().unwrap() {
            let (plot, challenge, sp) = (id(&case["plot_id"]), id(&case["challenge_hash"]), id(&case["sp_hash"]));
            assert_eq!(
                hex::encode(filter_hash(&plot, &challenge, &sp)),
                case["filter_hash"].as_str().unwrap()
            );
            assert_eq!(pos_challenge(&plot, &challenge, &sp), id(&case["pos_challenge"]));
            for (bits, passes) in case["passes"].as_object().unwrap() {
                let passed = passes_v1(bits.parse().unwrap(), &plot, &challenge, &sp);
                assert_eq!(passed, passes.as_bool().unwrap(), "{bits} bits of {case}");
            }
        }
    }

    #[test]
    fn zero_bits_are_counted_over_byte_borders() {
        let mut hash = [0; 32];
        assert_eq!(leading_zero_bits(&hash), 256);
        hash[2] = 0b0001_0000;
        assert_eq!(leading_zero_bits(&hash), 19);
        hash[0] = 0xff;
        assert_eq!(leading_zero_bits(&hash), 0);
    }

    #[test]
    fn v2_bits_follow_height_and_strength_as_officially() {
        let c = Constants {
            hard_fork2_height: Height(9_000_000),
            ..Constants::default()
        };
        let vectors = test_vectors();
        for case in vectors["filter_bits_v2_with_HARD_FORK2_HEIGHT_9000000"]
            .as_array()
            .unwrap()
        {
            let height = Height(small(&case["height"]));
            assert_eq!(base_bits_v2(&c, height), small::<u8>(&case["base"]), "{case}");
            assert_eq!(
                bits_v2(&c, height, small(&case["strength"])),
                small::<u8>(&case["effective"]),
                "{case}"
            );
        }
    }

    #[test]
    fn v2_filter_is_the_official_one() {
        let vectors = test_vectors();
        let mut passed = 0;
        for case in vectors["plot_filter_v2"].as_array().unwrap() {
            let passes = passes_v2(
                small(&case["bits"]),
                &id(&case["group_id"]),
                small(&case["meta_group"]),
                &id(&case["filter_challenge"]),
                small(&case["sp_index"]),
            );
            assert_eq!(passes, case["passes"].as_bool().unwrap(), "{case}");
            passed += usize::from(passes);
        }
        assert!(
            passed > 0,
            "a filter that lets nothing pass would also agree with cases that do not"
        );
    }

    #[test]
    fn v2_filter_lets_each_meta_group_pass_once_a_window() {
        let (group, challenge) = (PlotGroupId([1; 32]), FilterChallenge([2; 32]));
        for meta_group in 0..16 {
            for window in 0..4 {
                let turns = (0..16)
                    .filter(|i| passes_v2(4, &group, meta_group, &challenge, window * 16 + i))
                    .count();
                assert_eq!(turns, 1);
            }
        }
    }

    #[test]
    fn v2_filter_takes_any_number_of_bits() {
        assert!(passes_v2(0, &PlotGroupId([1; 32]), 255, &FilterChallenge([2; 32]), 255));
        assert!(!passes_v2(
            255,
            &PlotGroupId([1; 32]),
            255,
            &FilterChallenge([2; 32]),
            255
        ));
    }
}
