//! Consensus constants of a network: what official code has by default, changed by `network_overrides` of the settings.
//!
//! Only constants that farming needs are fields here. The other names of the official set are known, so that settings
//! made for a node are not reported as mistakes, but their values are neither read nor checked.
//! Source: chia `consensus/default_constants.py`, `consensus/constants.py` and the network overrides of
//! `initial-config.yaml`, release 2.7.5.

mod networks;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::ids::ChallengeHash;
use crate::units::{Difficulty, Height, SIGNAGE_POINTS_PER_SUB_SLOT, SubSlotIters};
use networks::{LEGACY_NAMES, NOT_USED};
use value::Value;

pub use value::ConstantError;

/// The constants of one network. Every value is in a range that arithmetic elsewhere relies on: [`apply_override`]
/// refuses what is outside.
///
/// [`apply_override`]: Constants::apply_override
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Constants {
    /// `GENESIS_CHALLENGE`: challenge of the first sub-slot.
    pub genesis_challenge: ChallengeHash,
    /// `DIFFICULTY_CONSTANT_FACTOR`: iterations per unit of difficulty and inverse plot size.
    #[serde(with = "crate::units::as_text")]
    pub difficulty_constant_factor: u128,
    /// `DIFFICULTY_STARTING`: difficulty of the first epoch, at least 1.
    pub difficulty_starting: Difficulty,
    /// `SUB_SLOT_ITERS_STARTING`: VDF iterations of a sub-slot in the first epoch, a multiple of 64 and not 0.
    pub sub_slot_iters_starting: SubSlotIters,
    /// `POOL_SUB_SLOT_ITERS`: the same for partials, whatever the chain does; a multiple of 64 and not 0.
    pub pool_sub_slot_iters: SubSlotIters,
    /// `SUB_SLOT_TIME_TARGET`: how long a sub-slot should last.
    pub sub_slot_time_target: Duration,
    /// `NUM_SP_INTERVALS_EXTRA`: signage point intervals between a signage point and the infusion of its blocks, 0–63.
    pub num_sp_intervals_extra: u8,
    /// `EPOCH_BLOCKS`: blocks between two difficulty adjustments, at least 1.
    pub epoch_blocks: u32,
    /// `NUMBER_ZERO_BITS_PLOT_FILTER_V1`: prefix bits of the v1 plot filter before any reduction.
    pub number_zero_bits_plot_filter_v1: u8,
    /// `NUMBER_ZERO_BITS_PLOT_FILTER_V2`: base bits of the v2 plot filter before any reduction, 0–13.
    pub number_zero_bits_plot_filter_v2: u8,
    /// `MIN_PLOT_SIZE_V1`: smallest k of a v1 plot.
    pub min_plot_size_v1: u8,
    /// `MAX_PLOT_SIZE_V1`: largest k of a v1 plot.
    pub max_plot_size_v1: u8,
    /// `PLOT_SIZE_V2`: k of every v2 plot, even, 18–32.
    pub plot_size_v2: u8,
    /// `MIN_PLOT_STRENGTH`: smallest strength of a v2 plot.
    pub min_plot_strength: u8,
    /// `MAX_PLOT_STRENGTH`: largest strength of a v2 plot.
    pub max_plot_strength: u8,
    /// `HARD_FORK_HEIGHT`: from here the v1 filter has one bit less.
    pub hard_fork_height: Height,
    /// `PLOT_FILTER_128_HEIGHT`: from here two bits less.
    pub plot_filter_128_height: Height,
    /// `PLOT_FILTER_64_HEIGHT`: from here three bits less.
    pub plot_filter_64_height: Height,
    /// `PLOT_FILTER_32_HEIGHT`: from here four bits less.
    pub plot_filter_32_height: Height,
    /// `SOFT_FORK9_HEIGHT`: from here a v1 proof must be shorter than 2000 bytes.
    pub soft_fork9_height: Height,
    /// `HARD_FORK2_HEIGHT`: from here v2 proofs are valid and v1 proofs are phased out.
    pub hard_fork2_height: Height,
    /// `PLOT_V1_PHASE_OUT_EPOCH_BITS`: the phase-out takes 2^bits − 1 epochs, 0–8.
    pub plot_v1_phase_out_epoch_bits: u8,
    /// `TESTNET`: v2 plots and proofs are made differently for mainnet and for all other networks.
    pub testnet: bool,
}

impl Constants {
    /// Constants of a network that needs no settings: `mainnet`, `testnet0`, `testnet11` and `testneta` as official
    /// settings have them, and `simulator1` for trying and testing. None for any other name.
    #[must_use]
    pub fn for_network(network: &str) -> Option<Self> {
        let overrides = networks::built_in(network)?;
        let (constants, _) = Self::from_overrides(network, overrides.iter().copied()).ok()?;
        Some(constants)
    }

    /// Whether a height is set from which v2 plots are farmed.
    #[must_use]
    pub fn are_v2_plots_scheduled(&self) -> bool {
        self.hard_fork2_height < NOT_SCHEDULED
    }

    /// Constants of a network with the settings' own overrides, as the official software makes them: its defaults,
    /// then `overrides`, then what it sets on test networks unless the overrides do. The names that no release knows
    /// come back to be reported; they change nothing.
    ///
    /// # Errors
    /// The first override whose value cannot be used.
    pub fn from_overrides<'a>(
        network: &str,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<UnknownConstant>), ConstantError> {
        let mut changes: BTreeMap<&str, &str> = overrides.into_iter().collect();
        for (name, value) in networks::set_defaults(network) {
            changes.entry(name).or_insert(value);
        }
        for (legacy, name) in LEGACY_NAMES {
            if let Some(value) = changes.remove(legacy) {
                changes.entry(name).or_insert(value);
            }
        }
        let mut constants = Self::default();
        let mut unknown = Vec::new();
        for (name, value) in changes {
            if constants.apply_override(name, value)? == OverrideEffect::Unknown {
                unknown.push(UnknownConstant { name: name.to_owned() });
            }
        }
        Ok((constants, unknown))
    }

    /// Changes one constant by its official name, also by the names `MIN_PLOT_SIZE` and `MAX_PLOT_SIZE` of old
    /// settings. Numbers are decimal or `0x` hexadecimal, `_` between digits is ignored; hashes are 64 hex digits.
    ///
    /// # Errors
    /// A value that is no number, no hash, or outside the range the arithmetic here can serve; nothing is changed then.
    pub fn apply_override(&mut self, name: &str, value: &str) -> Result<OverrideEffect, ConstantError> {
        let name = LEGACY_NAMES
            .iter()
            .find(|(legacy, _)| *legacy == name)
            .map_or(name, |(_, current)| current);
        let v = Value {
            name,
            text: value.trim(),
        };
        match name {
            "GENESIS_CHALLENGE" => self.genesis_challenge = v.hash()?,
            "DIFFICULTY_CONSTANT_FACTOR" => self.difficulty_constant_factor = v.number(1..=u128::MAX)?,
            "DIFFICULTY_STARTING" => self.difficulty_starting = Difficulty(v.number(1..=u64::MAX)?),
            "SUB_SLOT_ITERS_STARTING" => self.sub_slot_iters_starting = v.sub_slot_iters()?,
            "POOL_SUB_SLOT_ITERS" => self.pool_sub_slot_iters = v.sub_slot_iters()?,
            "SUB_SLOT_TIME_TARGET" => {
                self.sub_slot_time_target = Duration::from_secs(u64::from(v.number(1..=u16::MAX)?));
            }
            "NUM_SPS_SUB_SLOT" => {
                v.number(SIGNAGE_POINTS_PER_SUB_SLOT..=SIGNAGE_POINTS_PER_SUB_SLOT)?;
            }
            "NUM_SP_INTERVALS_EXTRA" => {
                self.num_sp_intervals_extra = v.number(0..=SIGNAGE_POINTS_PER_SUB_SLOT - 1)?;
            }
            "EPOCH_BLOCKS" => self.epoch_blocks = v.number(1..=u32::MAX)?,
            "NUMBER_ZERO_BITS_PLOT_FILTER_V1" => self.number_zero_bits_plot_filter_v1 = v.number(0..=u8::MAX)?,
            "NUMBER_ZERO_BITS_PLOT_FILTER_V2" => self.number_zero_bits_plot_filter_v2 = v.number(0..=13)?,
            "MIN_PLOT_SIZE_V1" => self.min_plot_size_v1 = v.number(0..=u8::MAX)?,
            "MAX_PLOT_SIZE_V1" => self.max_plot_size_v1 = v.number(0..=u8::MAX)?,
            "PLOT_SIZE_V2" => self.plot_size_v2 = v.plot_size_v2()?,
            "MIN_PLOT_STRENGTH" => self.min_plot_strength = v.number(0..=u8::MAX)?,
            "MAX_PLOT_STRENGTH" => self.max_plot_strength = v.number(0..=u8::MAX)?,
            "HARD_FORK_HEIGHT" => self.hard_fork_height = v.height()?,
            "PLOT_FILTER_128_HEIGHT" => self.plot_filter_128_height = v.height()?,
            "PLOT_FILTER_64_HEIGHT" => self.plot_filter_64_height = v.height()?,
            "PLOT_FILTER_32_HEIGHT" => self.plot_filter_32_height = v.height()?,
            "SOFT_FORK9_HEIGHT" => self.soft_fork9_height = v.height()?,
            "HARD_FORK2_HEIGHT" => self.hard_fork2_height = v.height()?,
            "PLOT_V1_PHASE_OUT_EPOCH_BITS" => self.plot_v1_phase_out_epoch_bits = v.number(0..=8)?,
            "TESTNET" => self.testnet = v.truth()?,
            _ if NOT_USED.contains(&name) => return Ok(OverrideEffect::NotUsed),
            _ => return Ok(OverrideEffect::Unknown),
        }
        Ok(OverrideEffect::Applied)
    }
}

impl Default for Constants {
    /// The official code defaults: mainnet's, but for the genesis challenge, which every network's settings name.
    fn default() -> Self {
        Self {
            genesis_challenge: DEFAULT_GENESIS_CHALLENGE,
            difficulty_constant_factor: 1 << 67,
            difficulty_starting: Difficulty(7),
            sub_slot_iters_starting: SubSlotIters(1 << 27),
            pool_sub_slot_iters: SubSlotIters(37_600_000_000),
            sub_slot_time_target: Duration::from_secs(600),
            num_sp_intervals_extra: 3,
            epoch_blocks: 4608,
            number_zero_bits_plot_filter_v1: 9,
            number_zero_bits_plot_filter_v2: 9,
            min_plot_size_v1: 32,
            max_plot_size_v1: 50,
            plot_size_v2: 28,
            min_plot_strength: 2,
            max_plot_strength: 17,
            hard_fork_height: Height(5_496_000),
            plot_filter_128_height: Height(10_542_000),
            plot_filter_64_height: Height(15_592_000),
            plot_filter_32_height: Height(20_643_000),
            soft_fork9_height: Height(8_655_000),
            hard_fork2_height: NOT_SCHEDULED,
            plot_v1_phase_out_epoch_bits: 8,
            testnet: false,
        }
    }
}

/// The official default of `HARD_FORK2_HEIGHT`: a height that no chain reaches.
const NOT_SCHEDULED: Height = Height(0xffff_fffa);

/// What an override did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrideEffect {
    /// The constant has the new value.
    Applied,
    /// The official software has this constant, farming does not need it.
    NotUsed,
    /// No release has such a constant: worth a warning, as the official software gives one.
    Unknown,
}

/// An override that was ignored because no constant has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownConstant {
    /// The name as the settings have it.
    pub name: String,
}

impl fmt::Display for UnknownConstant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network_overrides: no constant is named {:?}; it is ignored",
            self.name
        )
    }
}

/// SHA-256 of nothing.
const DEFAULT_GENESIS_CHALLENGE: ChallengeHash = ChallengeHash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Golden numbers made by the official software, release 2.7.5.
#[cfg(test)]
pub(super) fn test_vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../tests/vectors/constants_vectors.json")).unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value as Json, json};

    use super::*;

    /// The constants as the vector file writes them.
    fn as_json(c: &Constants) -> Map<String, Json> {
        let mut genesis = String::from("0x");
        genesis.push_str(&c.genesis_challenge.to_string());
        let factor: serde_json::Number = c.difficulty_constant_factor.to_string().parse().unwrap();
        let json = json!({
            "GENESIS_CHALLENGE": genesis,
            "DIFFICULTY_CONSTANT_FACTOR": factor,
            "DIFFICULTY_STARTING": c.difficulty_starting.0,
            "SUB_SLOT_ITERS_STARTING": c.sub_slot_iters_starting.0,
            "POOL_SUB_SLOT_ITERS": c.pool_sub_slot_iters.0,
            "SUB_SLOT_TIME_TARGET": c.sub_slot_time_target.as_secs(),
            "NUM_SPS_SUB_SLOT": SIGNAGE_POINTS_PER_SUB_SLOT,
            "NUM_SP_INTERVALS_EXTRA": c.num_sp_intervals_extra,
            "EPOCH_BLOCKS": c.epoch_blocks,
            "NUMBER_ZERO_BITS_PLOT_FILTER_V1": c.number_zero_bits_plot_filter_v1,
            "NUMBER_ZERO_BITS_PLOT_FILTER_V2": c.number_zero_bits_plot_filter_v2,
            "MIN_PLOT_SIZE_V1": c.min_plot_size_v1,
            "MAX_PLOT_SIZE_V1": c.max_plot_size_v1,
            "PLOT_SIZE_V2": c.plot_size_v2,
            "MIN_PLOT_STRENGTH": c.min_plot_strength,
            "MAX_PLOT_STRENGTH": c.max_plot_strength,
            "HARD_FORK_HEIGHT": c.hard_fork_height.0,
            "PLOT_FILTER_128_HEIGHT": c.plot_filter_128_height.0,
            "PLOT_FILTER_64_HEIGHT": c.plot_filter_64_height.0,
            "PLOT_FILTER_32_HEIGHT": c.plot_filter_32_height.0,
            "SOFT_FORK9_HEIGHT": c.soft_fork9_height.0,
            "HARD_FORK2_HEIGHT": c.hard_fork2_height.0,
            "PLOT_V1_PHASE_OUT_EPOCH_BITS": c.plot_v1_phase_out_epoch_bits,
            "TESTNET": c.testnet,
        });
        json.as_object().unwrap().clone()
    }

    fn assert_same(network: &str, ours: &Constants, official: &Map<String, Json>) {
        let ours = as_json(ours);
        for (name, value) in official {
            match ours.get(name) {
                // As text: one of them is above u64, where serde_json's numbers are floats.
                Some(our_value) => assert_eq!(our_value.to_string(), value.to_string(), "{network} {name}"),
                None => assert!(NOT_USED.contains(&name.as_str()), "{network}: {name} is not known"),
            }
        }
        assert!(ours.keys().all(|name| official.contains_key(name)));
    }

    #[test]
    fn built_in_networks_are_the_official_ones() {
        let vectors = test_vectors();
        assert_same(
            "default",
            &Constants::default(),
            vectors["constants_default"].as_object().unwrap(),
        );
        for (network, official) in vectors["constants"].as_object().unwrap() {
            let ours = Constants::for_network(network).unwrap();
            assert_same(network, &ours, official.as_object().unwrap());
        }
    }

    #[test]
    fn every_built_in_network_can_be_made() {
        for (name, _) in networks::BUILT_IN {
            assert!(Constants::for_network(name).is_some(), "{name}");
        }
        assert_eq!(Constants::for_network("simulator9"), None);
    }

    #[test]
    fn simulator1_takes_small_plots_and_is_a_test_network() {
        let c = Constants::for_network("simulator1").unwrap();
        assert_eq!((c.min_plot_size_v1, c.plot_size_v2, c.testnet), (18, 20, true));
        assert_eq!(
            (c.hard_fork_height, c.hard_fork2_height),
            (Height(0), Height(0xffff_fffa))
        );
        assert_eq!(c.sub_slot_iters_starting, SubSlotIters(65536));
    }

    #[test]
    fn a_network_of_ones_own_starts_from_the_code_defaults() {
        let (c, unknown) =
            Constants::from_overrides("my-net", [("MIN_PLOT_SIZE_V1", "25"), ("HARD_FORK2_HEIGHT", "0x10")]).unwrap();
        let expected = Constants {
            min_plot_size_v1: 25,
            hard_fork2_height: Height(16),
            testnet: true,
            ..Constants::default()
        };
        assert_eq!((c, unknown), (expected, vec![]));
    }

    #[test]
    fn test_network_defaults_give_way_to_settings() {
        let settings = [("SOFT_FORK9_HEIGHT", "1"), ("TESTNET", "False")];
        let (c, _) = Constants::from_overrides("testneta", settings).unwrap();
        assert_eq!((c.soft_fork9_height, c.testnet), (Height(1), false));
        assert_eq!((c.hard_fork_height, c.min_plot_size_v1), (Height(3_693_395), 18));
    }

    #[test]
    fn legacy_names_count_unless_the_new_name_is_there() {
        let legacy = [("MIN_PLOT_SIZE", "20"), ("MAX_PLOT_SIZE", "40")];
        let (c, unknown) = Constants::from_overrides("mainnet", legacy).unwrap();
        assert_eq!((c.min_plot_size_v1, c.max_plot_size_v1, unknown), (20, 40, vec![]));
        let both = [("MIN_PLOT_SIZE_V1", "21"), ("MIN_PLOT_SIZE", "20")];
        assert_eq!(
            Constants::from_overrides("mainnet", both).unwrap().0.min_plot_size_v1,
            21
        );
        // As official code does: its own default for this network wins over the legacy name.
        let testneta = Constants::from_overrides("testneta", [("MIN_PLOT_SIZE", "25")])
            .unwrap()
            .0;
        assert_eq!(testneta.min_plot_size_v1, 18);
        let mut one = Constants::default();
        assert_eq!(one.apply_override("MIN_PLOT_SIZE", "19"), Ok(OverrideEffect::Applied));
        assert_eq!(one.min_plot_size_v1, 19);
    }

    #[test]
    fn unknown_names_are_reported_and_change_nothing() {
        let settings = [
            ("MIN_PLOT_SIZ", "18"),
            ("NETWORK_TYPE", "1"),
            ("SUB_EPOCH_BLOCKS", "128"),
        ];
        let (c, unknown) = Constants::from_overrides("mainnet", settings).unwrap();
        assert_eq!(c, Constants::default());
        assert_eq!(
            unknown,
            [UnknownConstant {
                name: "MIN_PLOT_SIZ".to_owned()
            }]
        );
        assert_eq!(
            unknown[0].to_string(),
            r#"network_overrides: no constant is named "MIN_PLOT_SIZ"; it is ignored"#
        );
    }

    #[test]
    fn values_that_cannot_be_used_are_refused_by_name() {
        let cases = [
            (
                "EPOCH_BLOCKS",
                "many",
                r#"constant EPOCH_BLOCKS: expected a whole number, got "many""#,
            ),
            (
                "EPOCH_BLOCKS",
                "-1",
                r#"constant EPOCH_BLOCKS: expected a whole number, got "-1""#,
            ),
            (
                "EPOCH_BLOCKS",
                "0",
                "constant EPOCH_BLOCKS: expected 1 to 4294967295, got 0",
            ),
            ("PLOT_SIZE_V2", "40", "constant PLOT_SIZE_V2: expected 18 to 32, got 40"),
            (
                "PLOT_SIZE_V2",
                "19",
                "constant PLOT_SIZE_V2: expected a multiple of 2, got 19",
            ),
            (
                "MIN_PLOT_SIZE",
                "256",
                "constant MIN_PLOT_SIZE_V1: expected 0 to 255, got 256",
            ),
            (
                "SUB_SLOT_ITERS_STARTING",
                "65",
                "constant SUB_SLOT_ITERS_STARTING: expected a multiple of 64, got 65",
            ),
            (
                "NUM_SPS_SUB_SLOT",
                "32",
                "constant NUM_SPS_SUB_SLOT: expected 64 to 64, got 32",
            ),
            ("TESTNET", "1", r#"constant TESTNET: expected true or false, got "1""#),
            (
                "GENESIS_CHALLENGE",
                "0xabc",
                "constant GENESIS_CHALLENGE: expected 64 hex digits, got 3",
            ),
        ];
        for (name, value, message) in cases {
            let mut c = Constants::default();
            assert_eq!(c.apply_override(name, value).unwrap_err().to_string(), message);
            assert_eq!(c, Constants::default(), "{name} changed something");
        }
    }

    #[test]
    fn numbers_are_read_as_settings_write_them() {
        let mut c = Constants::default();
        c.apply_override("DIFFICULTY_CONSTANT_FACTOR", " 147_573_952_589_676_412_928 ")
            .unwrap();
        assert_eq!(c.difficulty_constant_factor, 1 << 67);
        c.apply_override("HARD_FORK2_HEIGHT", "0xFFFFFFFA").unwrap();
        assert_eq!(c.hard_fork2_height, Height(0xffff_fffa));
    }
}
