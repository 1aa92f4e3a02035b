//! Commands about plots.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum PlotsCommand {
    /// Make plots: v2 plots, and small v1 plots for trying things out.
    Create(PlotsCreate),
    /// Open plots, look proofs up and verify them; exit status 1 if anything is wrong.
    Check(PlotsCheck),
    /// Add a plot directory.
    Add {
        /// Directory.
        #[arg(
            short,
            long = "final_dir",
            alias = "final-dir",
            default_value = ".",
            value_name = "DIR"
        )]
        dir: PathBuf,
    },
    /// Remove a plot directory.
    Remove {
        /// Directory.
        #[arg(
            short,
            long = "final_dir",
            alias = "final-dir",
            default_value = ".",
            value_name = "DIR"
        )]
        dir: PathBuf,
    },
    /// List the plot directories with what lies in them; exit status 1 if one cannot be listed.
    Show {
        #[command(flatten)]
        output: Output,
    },
}

impl PlotsCommand {
    /// Whether it asks drives that may not answer.
    pub(crate) const fn asks_drives(&self) -> bool {
        match self {
            Self::Check(_) | Self::Add { .. } | Self::Remove { .. } | Self::Show { .. } => true,
            // It writes for hours, and says so as it goes on.
            Self::Create(_) => false,
        }
    }
}

/// Options are named as those of `chia plots create`.
#[derive(Debug, Args)]
pub(crate) struct PlotsCreate {
    /// Farmer public key [default: that of this root].
    #[arg(short, long = "farmer_public_key", alias = "farmer-public-key", value_name = "KEY")]
    pub(crate) farmer_public_key: Option<String>,
    /// Pool public key [default: that of this root].
    #[arg(short, long = "pool_public_key", alias = "pool-public-key", value_name = "KEY")]
    pub(crate) pool_public_key: Option<String>,
    /// Address of the pool contract that is paid, for pooling.
    #[arg(
        short = 'c',
        long = "pool_contract_address",
        alias = "pool-contract-address",
        value_name = "ADDRESS",
        conflicts_with = "pool_public_key"
    )]
    pub(crate) pool_contract_address: Option<String>,
    /// Size: 18 to 25 for v1, even from 18 to 32 for v2 [default: the smallest that the network farms].
    #[arg(short = 'k', long = "size", value_name = "K")]
    pub(crate) size: Option<u8>,
    /// Make a size that the network does not farm.
    #[arg(long)]
    pub(crate) override_k: bool,
    /// Make v2 plots.
    #[arg(long)]
    pub(crate) v2: bool,
    /// Strength of v2 plots: each step doubles the work [default: the smallest that the network farms].
    #[arg(long, requires = "v2", value_name = "N")]
    pub(crate) strength: Option<u8>,
    /// Number of the v2 plot in its group.
    #[arg(long, requires = "v2", default_value_t = 0, value_name = "N")]
    pub(crate) plot_index: u16,
    /// Group of the v2 plot among those that share a meta plot.
    #[arg(long, requires = "v2", default_value_t = 0, value_name = "N")]
    pub(crate) meta_group: u8,
    /// Directory of the plots, made if it is missing.
    #[arg(
        short = 'd',
        long = "final_dir",
        alias = "final-dir",
        default_value = ".",
        value_name = "DIR"
    )]
    pub(crate) final_dir: PathBuf,
    /// How many.
    #[arg(short, long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) num: u32,
    /// Do not add the directory to the plot directories of this root.
    #[arg(short = 'x', long = "exclude_final_dir", alias = "exclude-final-dir")]
    pub(crate) exclude_final_dir: bool,
}

/// Options are named as those of `chia plots check`.
#[derive(Debug, Args)]
pub(crate) struct PlotsCheck {
    /// Plot files or directories [default: the plot directories of this root].
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Challenges for each plot, at least 5; 0 opens the plots only.
    #[arg(short, long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) num: u32,
    /// Check only plots with this in their path; `*` stands for anything, `?` for one character.
    #[arg(short, long = "grep_string", alias = "grep-string", value_name = "PATTERN")]
    pub(crate) grep_string: Option<String>,
    /// List plots that are there more than once.
    #[arg(short, long = "list_duplicates", alias = "list-duplicates")]
    pub(crate) list_duplicates: bool,
    /// Number of the first challenge.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) challenge_start: u64,
    #[command(flatten)]
    pub(crate) output: Output,
}
