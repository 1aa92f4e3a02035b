//! Commands about harvesters, their certificates and the farm's authorities.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use farmconsole::config::{HarvesterName, HostPort};

use super::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum HarvesterCommand {
    /// Harvest on this machine for a farmer on another one.
    ///
    /// In a terminal with a console of its own, else headless as under systemd. The farmer is the first of
    /// `harvester.farmer_peers`; its certificate comes from `farmconsole harvester join TOKEN`.
    Run(HarvesterRun),
    /// Every harvester, connected or remembered.
    List {
        /// Ask each for its plots and compare with what was synced.
        #[arg(long)]
        refresh: bool,
        /// List files that could not be opened.
        #[arg(long)]
        failed: bool,
        /// List plots made for other keys.
        #[arg(long)]
        no_key: bool,
        /// List duplicate files.
        #[arg(long)]
        duplicates: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Invite a machine: prints the one command that makes it a harvester of this farm.
    Invite(HarvesterInvite),
    /// Join a farm with the token that `harvester invite` printed.
    ///
    /// Makes a key here, gets a certificate for it, and points this root at the farmer. No CA key leaves the farmer.
    Join(HarvesterJoin),
    /// Harvesters of the registry: names, certificates, and who waits or is invited.
    Members {
        #[command(flatten)]
        output: Output,
    },
    /// Give a harvester a name.
    Rename {
        /// Its name as `harvester list` shows it, the beginning of its fingerprint, or its address.
        who: String,
        /// The new name: a-z, 0-9 and hyphens.
        name: HarvesterName,
    },
    /// Take the certificates of a harvester back: it is disconnected at once and never let in again.
    Revoke {
        /// Its name as `harvester list` shows it, the beginning of its fingerprint, or its address.
        who: String,
    },
    /// Let in a harvester that waits for it (`legacy_ca: approve`).
    Approve {
        /// The beginning of its fingerprint, or its address.
        who: String,
        /// A name for it.
        #[arg(long)]
        name: Option<HarvesterName>,
    },
    /// Write a note on a harvester, as where it stands.
    Note {
        /// Its name as `harvester list` shows it, the beginning of its fingerprint, or its address.
        who: String,
        /// What to write.
        note: String,
    },
    /// Sign a certificate request made elsewhere (`openssl req -new`), for machines without farmconsole.
    SignCsr {
        /// Name of the harvester.
        name: HarvesterName,
        /// The request, PEM; `-` reads standard input.
        request: PathBuf,
        /// Directory for private_harvester.crt and private_ca.crt.
        #[arg(short, long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Why harvesters cannot connect: every refused connection with its cause and remedy; on a harvester's machine, its
    /// certificates and settings. Exit status 1 if anything is wrong.
    Doctor {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
pub(crate) struct HarvesterInvite {
    /// Name of the new harvester: a-z, 0-9 and hyphens.
    pub(crate) name: HarvesterName,
    /// How long the token is good, as 60m or 24h; at most 24 hours, and no longer than the farmer runs.
    #[arg(long, default_value = "60m", value_name = "TIME", value_parser = ttl)]
    pub(crate) ttl: Duration,
    /// For an installed official harvester.
    #[arg(long)]
    pub(crate) official: bool,
    /// Only from this address or range, as 10.0.0.0/24.
    #[arg(long, value_name = "RANGE")]
    pub(crate) from: Option<String>,
    /// Where that machine reaches this one [default: this machine's address, and the port of the settings].
    #[arg(long, value_name = "HOST[:PORT]", value_parser = farmer_address)]
    pub(crate) address: Vec<String>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct HarvesterJoin {
    /// The token; `-` reads it from standard input, which keeps it out of the shell's history.
    pub(crate) token: String,
    /// Set up the official harvester of this machine instead of farmconsole's.
    #[arg(long)]
    pub(crate) official: bool,
    /// Root of the official software [default: $CHIA_ROOT or ~/.chia/mainnet].
    #[arg(long, value_name = "DIR", requires = "official")]
    pub(crate) chia_root: Option<PathBuf>,
    /// End the official software of this machine if it runs (`chia stop -d all`), start its harvester anew, and wait until
    /// the farmer has seen it.
    #[arg(long, requires = "official")]
    pub(crate) restart: bool,
    /// Overwrite and remove the private keys that a harvester has no use for, without asking.
    #[arg(long, requires = "official")]
    pub(crate) shred: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Lock the private keys of the farm's authorities with a passphrase, or with another one.
    Protect {
        /// File with the new passphrase; `-` reads standard input [default: asks].
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Keep them without a passphrase.
    Unprotect,
    /// Let the farmer that runs sign for ten minutes, and as long as somebody is invited.
    Unlock,
    /// Stop accepting certificates of Chia's private CA, once every harvester has joined.
    Harden {
        /// Also if harvesters are cut off by it.
        #[arg(long)]
        force: bool,
    },
    /// Make new authorities. Harvesters of farmconsole follow by themselves; the others join again.
    Rotate {
        /// End a rotation: what the old authorities signed counts no more.
        #[arg(long)]
        finish: bool,
        /// With --finish: also if harvesters are cut off by it.
        #[arg(long, requires = "finish")]
        force: bool,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum SecurityCommand {
    /// Copied CA keys, files open to others, keys in wrong places. Exit status 1 if there are any.
    Audit {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct HarvesterRun {
    /// Take over from the harvester that runs on this root: it is asked to end first.
    #[arg(short, long)]
    pub(crate) replace: bool,
    /// Log only, also in a terminal.
    #[arg(long)]
    pub(crate) no_console: bool,
}

/// An address that a token can carry.
fn farmer_address(text: &str) -> Result<String, String> {
    // The farmer knows the port it has.
    let address = HostPort::with_default_port(text, 1).map_err(|error| error.to_string())?;
    if !address.host.is_ascii() {
        return Err("expected a host name of ASCII characters".to_owned());
    }
    Ok(text.to_owned())
}

fn ttl(text: &str) -> Result<Duration, String> {
    let unit = |suffix: &str, seconds: u64| {
        let number = text.strip_suffix(suffix)?.parse::<u64>().ok()?;
        number.checked_mul(seconds)
    };
    let seconds = unit("m", 60).or_else(|| unit("h", 3_600)).or_else(|| unit("s", 1));
    match seconds {
        Some(s @ 1..=86_400) => Ok(Duration::from_secs(s)),
        _ => Err("expected a time as 60m or 24h, at most 24 hours".to_owned()),
    }
}
