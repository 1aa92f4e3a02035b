//! What the networks' names stand for: tables of overrides, as settings have them.

/// The overrides of a network that needs no settings.
pub(super) fn built_in(network: &str) -> Option<&'static [Override]> {
    BUILT_IN
        .iter()
        .find(|(name, _)| *name == network)
        .map(|(_, overrides)| *overrides)
}

/// What the official software sets on any network but mainnet where the settings do not (`update_testnet_overrides`).
pub(super) fn set_defaults(network: &str) -> &'static [Override] {
    match network {
        "mainnet" => &[],
        "testnet11" => TESTNET11_SET_DEFAULTS,
        "testneta" => TESTNETA_SET_DEFAULTS,
        _ => OTHER_SET_DEFAULTS,
    }
}

/// Official name of a constant and its value as text.
pub(super) type Override = (&'static str, &'static str);

/// Names that settings from before v2 plots have. The new name wins where both are given.
pub(super) const LEGACY_NAMES: &[(&str, &str)] = &[
    ("MIN_PLOT_SIZE", "MIN_PLOT_SIZE_V1"),
    ("MAX_PLOT_SIZE", "MAX_PLOT_SIZE_V1"),
];

/// Networks with overrides of their own; the first four are the official `initial-config.yaml`'s.
pub(super) const BUILT_IN: &[(&str, &[Override])] = &[
    (
        "mainnet",
        &[(
            "GENESIS_CHALLENGE",
            "ccd5bb71183532bff220ba46c268991a3ff07eb358e8255a65c30a2dce0e5fbb",
        )],
    ),
    (
        "testnet0",
        &[
            (
                "GENESIS_CHALLENGE",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            ("MIN_PLOT_SIZE_V1", "18"),
            ("PLOT_SIZE_V2", "20"),
        ],
    ),
    (
        "testnet11",
        &[
            (
                "GENESIS_CHALLENGE",
                "37a90eb5185a9c4439a91ddc98bbadce7b4feba060d50116a067de66bf236615",
            ),
            ("DIFFICULTY_CONSTANT_FACTOR", "10052721566054"),
            ("DIFFICULTY_STARTING", "30"),
            ("EPOCH_BLOCKS", "768"),
            ("MIN_PLOT_SIZE_V1", "18"),
            ("SUB_SLOT_ITERS_STARTING", "67108864"),
            ("HARD_FORK_HEIGHT", "0"),
            ("PLOT_FILTER_128_HEIGHT", "6029568"),
            ("PLOT_FILTER_64_HEIGHT", "11075328"),
            ("PLOT_FILTER_32_HEIGHT", "16121088"),
        ],
    ),
    (
        "testneta",
        &[
            (
                "GENESIS_CHALLENGE",
                "b0a306abe27407130586c8e13d06dc057d4538c201dbd36c8f8c481f5e51af5c",
            ),
            ("DIFFICULTY_CONSTANT_FACTOR", "10052721566054"),
            ("DIFFICULTY_STARTING", "30"),
            ("EPOCH_BLOCKS", "768"),
            ("SUB_SLOT_ITERS_STARTING", "67108864"),
        ],
    ),
    // For plots of k18 and a filter of 1/4: such a plot wins at one signage point in forty, so a few dozen win a block at
    // nearly every one.
    (
        "simulator1",
        &[
            (
                "GENESIS_CHALLENGE",
                "b2e96da57bcb3a7cf2a2d0f2d1dbf5ac8f2f9a1ef4d7a3c2e1f0918273645501",
            ),
            ("MIN_PLOT_SIZE_V1", "18"),
            ("PLOT_SIZE_V2", "20"),
            ("NUMBER_ZERO_BITS_PLOT_FILTER_V1", "3"),
            ("NUMBER_ZERO_BITS_PLOT_FILTER_V2", "2"),
            ("SUB_SLOT_ITERS_STARTING", "65536"),
            ("SUB_SLOT_TIME_TARGET", "128"),
            ("DIFFICULTY_STARTING", "30"),
            ("DIFFICULTY_CONSTANT_FACTOR", "1650000000"),
            ("POOL_SUB_SLOT_ITERS", "65536"),
            ("HARD_FORK_HEIGHT", "0"),
            ("SOFT_FORK9_HEIGHT", "0"),
        ],
    ),
];

const OTHER_SET_DEFAULTS: &[Override] = &[("TESTNET", "true")];
const TESTNET11_SET_DEFAULTS: &[Override] = &[
    ("TESTNET", "true"),
    ("PLOT_SIZE_V2", "28"),
    ("SOFT_FORK9_HEIGHT", "3924000"),
];
const TESTNETA_SET_DEFAULTS: &[Override] = &[
    ("TESTNET", "true"),
    ("PLOT_SIZE_V2", "28"),
    ("SOFT_FORK9_HEIGHT", "3924000"),
    ("HARD_FORK_HEIGHT", "3693395"),
    ("MIN_PLOT_SIZE_V1", "18"),
];

/// Official constants that decide nothing for a farmer or harvester. `PLOT_FILTER_V2_RELATIVE_HEIGHT`,
/// `FILTER_WINDOW_SIZE` and `MAX_EFFECTIVE_PLOT_FILTER_BITS` are here because the official filter has them fixed in
/// its code and takes no override either. `NETWORK_TYPE` is in old settings and in no release any more.
pub(super) const NOT_USED: &[&str] = &[
    "AGG_SIG_AMOUNT_ADDITIONAL_DATA",
    "AGG_SIG_ME_ADDITIONAL_DATA",
    "AGG_SIG_PARENT_ADDITIONAL_DATA",
    "AGG_SIG_PARENT_AMOUNT_ADDITIONAL_DATA",
    "AGG_SIG_PARENT_PUZZLE_ADDITIONAL_DATA",
    "AGG_SIG_PUZZLE_ADDITIONAL_DATA",
    "AGG_SIG_PUZZLE_AMOUNT_ADDITIONAL_DATA",
    "BLOCKS_CACHE_SIZE",
    "COST_PER_BYTE",
    "DIFFICULTY_CHANGE_MAX_FACTOR",
    "DISCRIMINANT_SIZE_BITS",
    "FILTER_WINDOW_SIZE",
    "GENESIS_PRE_FARM_FARMER_PUZZLE_HASH",
    "GENESIS_PRE_FARM_POOL_PUZZLE_HASH",
    "MAX_BLOCK_COST_CLVM",
    "MAX_BLOCK_COUNT_PER_REQUESTS",
    "MAX_COIN_AMOUNT",
    "MAX_EFFECTIVE_PLOT_FILTER_BITS",
    "MAX_FUTURE_TIME2",
    "MAX_GENERATOR_REF_LIST_SIZE",
    "MAX_SUB_SLOT_BLOCKS",
    "MAX_VDF_WITNESS_SIZE",
    "MEMPOOL_BLOCK_BUFFER",
    "MIN_BLOCKS_PER_CHALLENGE_BLOCK",
    "NETWORK_TYPE",
    "NUMBER_OF_TIMESTAMPS",
    "PLOT_FILTER_V2_RELATIVE_HEIGHT",
    "SIGNIFICANT_BITS",
    "SLOT_BLOCKS_TARGET",
    "SOFT_FORK8_HEIGHT",
    "SUB_EPOCH_BLOCKS",
    "WEIGHT_PROOF_RECENT_BLOCKS",
    "WEIGHT_PROOF_THRESHOLD",
];
