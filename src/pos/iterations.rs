//! From a quality string to iterations: how long after its signage point a proof could become a block.
//!
//! Source: chia `consensus/pot_iterations.py` and `consensus/pos_quality.py`, release 2.7.5.

use ruint::aliases::U512;

use crate::crypto::sha256;
use crate::ids::{QualityString, SpHash};
use crate::pos::constants::Constants;
use crate::pos::filter;
use crate::units::{ByteSize, Difficulty, Height, PlotSize, SIGNAGE_POINTS_PER_SUB_SLOT, SubSlotIters};

/// What consensus counts a plot as, in bytes, whatever its file takes. A v1 plot of a k that no network allows counts
/// as at most `u64::MAX`.
#[must_use]
pub fn expected_plot_size(c: &Constants, size: PlotSize) -> ByteSize {
    ByteSize(match size {
        PlotSize::V1 { k } => {
            let bytes = 1_u128
                .checked_shl(u32::from(k))
                .map_or(u128::MAX, |x| x / 2)
                .saturating_mul(2 * u128::from(k) + 1);
            u64::try_from(bytes).unwrap_or(u64::MAX)
        }
        PlotSize::V2 { .. } => expected_plot_size_v2(c.plot_size_v2),
    })
}

/// Iterations a proof needs, at least 1: it may become a block if they are below [`sp_interval_iters`] of the chain,
/// and a partial if they are below [`pool_sp_interval_iters`]. Saturates at `u64::MAX`, far above both, where the
/// official code stops with an error.
///
/// `last_tx_height` came with the signage point; only v2 plots depend on it.
#[must_use]
pub fn required_iters(
    c: &Constants,
    quality: &QualityString,
    size: PlotSize,
    difficulty: Difficulty,
    sp_hash: &SpHash,
    last_tx_height: Height,
) -> u64 {
    let sp_quality = U512::from_be_slice(&sha256(&[quality.as_bytes(), sp_hash.as_bytes()]));
    let product = U512::from(difficulty.0) * U512::from(c.difficulty_constant_factor) * sp_quality;
    let mut plot_bytes = U512::from(expected_plot_size(c, size).0);
    if let PlotSize::V2 { strength } = size {
        // A stronger plot passes the filter less often and is that much likelier to win when it does.
        let harder =
            filter::bits_v2(c, last_tx_height, strength).saturating_sub(filter::base_bits_v2(c, last_tx_height));
        plot_bytes <<= usize::from(harder);
    }
    let iters = product / (plot_bytes << 256_usize);
    u64::try_from(iters).unwrap_or(u64::MAX).max(1)
}

/// Iterations between two signage points: a proof with fewer may become a block. `sub_slot_iters` is a multiple of 64
/// on any chain; a remainder is dropped.
#[must_use]
pub const fn sp_interval_iters(sub_slot_iters: SubSlotIters) -> u64 {
    sub_slot_iters.0 / SIGNAGE_POINTS_PER_SUB_SLOT as u64
}

/// The same for partials: what a pool accepts does not depend on the chain's `sub_slot_iters`.
#[must_use]
pub const fn pool_sp_interval_iters(c: &Constants) -> u64 {
    sp_interval_iters(c.pool_sub_slot_iters)
}

/// Whether fewer proofs are good enough by this difficulty and these iterations than by those of `other`.
#[must_use]
pub fn is_stricter(this: (Difficulty, SubSlotIters), other: (Difficulty, SubSlotIters)) -> bool {
    let share = |(_, iters): (Difficulty, SubSlotIters), (difficulty, _): (Difficulty, SubSlotIters)| {
        u128::from(sp_interval_iters(iters)) * u128::from(difficulty.0)
    };
    share(this, other) < share(other, this)
}

/// Iterations from the start of the sub-slot to a signage point. None if there is no signage point of that index.
#[must_use]
pub const fn sp_iters(sub_slot_iters: SubSlotIters, signage_point_index: u8) -> Option<u64> {
    if signage_point_index >= SIGNAGE_POINTS_PER_SUB_SLOT {
        return None;
    }
    Some(sp_interval_iters(sub_slot_iters) * signage_point_index as u64)
}

/// Iterations from the start of a sub-slot to the infusion of a block: of the sub-slot of its signage point, or of the
/// next one for an [overflow block](is_overflow_block). None if there is no signage point of that index or the proof
/// cannot become a block (`required_iters` 0, or not below [`sp_interval_iters`]).
#[must_use]
pub fn ip_iters(
    c: &Constants,
    sub_slot_iters: SubSlotIters,
    signage_point_index: u8,
    required_iters: u64,
) -> Option<u64> {
    let interval = sp_interval_iters(sub_slot_iters);
    let sp_iters = sp_iters(sub_slot_iters, signage_point_index)?;
    if required_iters == 0 || required_iters >= interval {
        return None;
    }
    let infusion =
        u128::from(sp_iters) + u128::from(c.num_sp_intervals_extra) * u128::from(interval) + u128::from(required_iters);
    u64::try_from(infusion % u128::from(sub_slot_iters.0)).ok()
}

/// Whether blocks of this signage point are infused in the next sub-slot.
#[must_use]
pub const fn is_overflow_block(c: &Constants, signage_point_index: u8) -> bool {
    signage_point_index >= SIGNAGE_POINTS_PER_SUB_SLOT.saturating_sub(c.num_sp_intervals_extra)
}

/// Bytes of space a plot stands for in displays ("effective" size), compression and file size aside.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "official displays compute in f64 too")]
pub fn effective_size(c: &Constants, size: PlotSize) -> f64 {
    UI_ACTUAL_SPACE_CONSTANT_FACTOR * expected_plot_size(c, size).0 as f64
}

/// Effective size of many plots, rounded as official displays do: added up as floats, in order, then cut.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of positive sizes; saturates"
)]
pub fn total_effective_size(c: &Constants, sizes: impl IntoIterator<Item = PlotSize>) -> ByteSize {
    let total: f64 = sizes.into_iter().map(|size| effective_size(c, size)).sum();
    ByteSize(total as u64)
}

/// The official formula, which upstream marks as provisional, in the same floating-point steps.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positive and below 2^35 for k up to 32"
)]
fn expected_plot_size_v2(k: u8) -> u64 {
    let k = f64::from(k);
    (k.exp2() * (k + 1.46) / 8.0) as u64
}

/// Real bytes per byte of expected size (`UI_ACTUAL_SPACE_CONSTANT_FACTOR`); for display only.
const UI_ACTUAL_SPACE_CONSTANT_FACTOR: f64 = 0.78;

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::pos::constants::test_vectors;

    fn number<T: TryFrom<u64>>(json: &Json) -> T
    where
        T::Error: std::fmt::Debug,
    {
        json.as_u64().unwrap().try_into().unwrap()
    }

    fn cases(vectors: &Json, name: &str) -> Vec<Json> {
        let cases = vectors[name].as_array().unwrap();
        assert!(!cases.is_empty());
        cases.clone()
    }

    fn mainnet() -> Constants {
        Constants::for_network("mainnet").unwrap()
    }

    #[test]
    fn expected_sizes_are_the_official_ones() {
        let vectors = test_vectors();
        for (k, bytes) in vectors["expected_plot_size_v1"].as_object().unwrap() {
            let size = PlotSize::V1 { k: k.parse().unwrap() };
            assert_eq!(expected_plot_size(&mainnet(), size), ByteSize(number(bytes)), "k{k}");
        }
        let v2 = expected_plot_size(&mainnet(), PlotSize::V2 { strength: 2 });
        assert_eq!(v2, ByteSize(number(&vectors["expected_plot_size_v2_k28"])));
    }

    #[test]
    fn impossible_plot_sizes_saturate() {
        for k in [0, 58, 59, 127, 128, 255] {
            let ByteSize(bytes) = expected_plot_size(&mainnet(), PlotSize::V1 { k });
            assert_eq!(bytes == u64::MAX, k > 58, "k{k}");
        }
    }

    #[test]
    fn v1_iterations_are_the_official_ones() {
        for case in cases(&test_vectors(), "required_iters_v1") {
            let c = Constants::for_network(case["network"].as_str().unwrap()).unwrap();
            let iters = required_iters(
                &c,
                &case["quality"].as_str().unwrap().parse().unwrap(),
                PlotSize::V1 { k: number(&case["k"]) },
                Difficulty(number(&case["difficulty"])),
                &case["sp_hash"].as_str().unwrap().parse().unwrap(),
                Height(0),
            );
            assert_eq!(iters, number::<u64>(&case["required_iters"]), "{case}");
        }
    }

    #[test]
    fn v2_iterations_are_the_official_ones() {
        let c = Constants {
            hard_fork2_height: Height(9_000_000),
            ..mainnet()
        };
        for case in cases(&test_vectors(), "required_iters_v2") {
            let iters = required_iters(
                &c,
                &case["quality"].as_str().unwrap().parse().unwrap(),
                PlotSize::V2 {
                    strength: number(&case["strength"]),
                },
                Difficulty(number(&case["difficulty"])),
                &case["sp_hash"].as_str().unwrap().parse().unwrap(),
                Height(number(&case["height"])),
            );
            assert_eq!(iters, number::<u64>(&case["required_iters"]), "{case}");
        }
    }

    #[test]
    fn iterations_saturate_and_are_never_zero() {
        let c = Constants {
            difficulty_constant_factor: u128::MAX,
            ..mainnet()
        };
        let (quality, sp) = (QualityString([7; 32]), SpHash([8; 32]));
        let iters =
            |c: &Constants, d| required_iters(c, &quality, PlotSize::V1 { k: 32 }, Difficulty(d), &sp, Height(0));
        assert_eq!(iters(&c, u64::MAX), u64::MAX);
        assert_eq!(
            iters(
                &Constants {
                    difficulty_constant_factor: 1,
                    ..mainnet()
                },
                1
            ),
            1
        );
        assert_eq!(iters(&c, 0), 1);
    }

    #[test]
    fn intervals_are_the_official_ones() {
        let vectors = test_vectors();
        for case in cases(&vectors, "sp_interval_iters") {
            let interval = sp_interval_iters(SubSlotIters(number(&case["sub_slot_iters"])));
            assert_eq!(interval, number::<u64>(&case["interval"]), "{case}");
        }
        for (network, derived) in vectors["derived"].as_object().unwrap() {
            let c = Constants::for_network(network).unwrap();
            assert_eq!(
                pool_sp_interval_iters(&c),
                number::<u64>(&derived["pool_sp_interval_iters"])
            );
            let seconds = c.sub_slot_time_target.as_secs_f64() / f64::from(SIGNAGE_POINTS_PER_SUB_SLOT);
            assert_eq!(Some(seconds), derived["expected_sp_interval_seconds"].as_f64());
        }
    }

    #[test]
    fn infusion_points_are_the_official_ones() {
        for case in cases(&test_vectors(), "ip_iters") {
            let index = number(&case["sp_index"]);
            let iters = ip_iters(
                &mainnet(),
                SubSlotIters(number(&case["sub_slot_iters"])),
                index,
                number(&case["required_iters"]),
            );
            assert_eq!(iters, Some(number::<u64>(&case["ip_iters"])), "{case}");
            assert_eq!(
                is_overflow_block(&mainnet(), index),
                case["overflow"].as_bool().unwrap(),
                "{case}"
            );
        }
    }

    #[test]
    fn proofs_that_cannot_become_a_block_have_no_infusion_point() {
        let ssi = SubSlotIters(65536);
        assert_eq!(ip_iters(&mainnet(), ssi, 0, 0), None);
        assert_eq!(ip_iters(&mainnet(), ssi, 0, 1024), None);
        assert_eq!(ip_iters(&mainnet(), ssi, 64, 1), None);
        assert_eq!(ip_iters(&mainnet(), SubSlotIters(0), 0, 1), None);
        assert_eq!(
            ip_iters(&mainnet(), SubSlotIters(u64::MAX), 63, 1),
            Some((1 << 59) - 64)
        );
        assert_eq!(sp_iters(ssi, 64), None);
    }

    #[test]
    fn effective_size_adds_up_as_official_displays_do() {
        for case in cases(&test_vectors(), "effective_size") {
            let size = PlotSize::V1 { k: number(&case["k"]) };
            let total = total_effective_size(&mainnet(), std::iter::repeat_n(size, number(&case["n"])));
            assert_eq!(total, ByteSize(number(&case["total_effective"])), "{case}");
        }
        assert_eq!(total_effective_size(&mainnet(), []), ByteSize(0));
    }
}
