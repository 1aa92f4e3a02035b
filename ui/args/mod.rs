//! The command line: a contract that scripts rely on.

mod fleet;
mod plots;
mod span;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use farmconsole::snapshot::AlarmKind;

pub(crate) use fleet::*;
pub(crate) use plots::*;

/// A Chia farmer, harvester and console: one glance says fine or not fine.
///
/// Without a command: attaches the console to the farmer that runs on this root, or farms in this window.
#[derive(Debug, Parser)]
#[command(name = "farmconsole", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Root directory: settings, certificates, log, socket [default: ~/.farmconsole/mainnet, for `demo`
    /// ~/.farmconsole/demo].
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900, env = ROOT_VARIABLE, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// When to use colours.
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColorChoice,
    /// Draw with ASCII characters only.
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900)]
    pub(crate) ascii: bool,
    /// Colours of the console: dark, light, mono, high-contrast, colour-blind, or a file of your own [default: that of
    /// the settings, else by the terminal's ground].
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900, value_name = "THEME")]
    pub(crate) theme: Option<String>,
    /// File with the passphrase of the farming keys, if they are locked; `-` reads standard input [default: the systemd
    /// credential farmconsole-passphrase, else asks].
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File with the passphrase of the keys of the farm's authorities, if they are locked (`ca protect`) [default: the
    /// systemd credential farmconsole-ca-passphrase, else `ca unlock` asks].
    #[arg(long, global = true, help_heading = EVERYWHERE, display_order = 900, value_name = "FILE")]
    pub(crate) ca_passphrase_file: Option<PathBuf>,
    /// Farm without a console, in the foreground, as under systemd.
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Only look at what runs on this root: the console changes nothing, and starts nothing.
    #[arg(long, conflicts_with = "daemon")]
    pub(crate) read_only: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Environment variable that names the root.
pub(crate) const ROOT_VARIABLE: &str = "FARMCONSOLE_ROOT";

/// Heading of the options that every command has, so that a command's own stand first.
const EVERYWHERE: &str = "Options of every command";

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal that can, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask whatever farmconsole runs on this root to end.
    Stop,
    /// What `chia farm summary` prints, and more.
    Summary {
        #[command(flatten)]
        output: Output,
    },
    /// The last signage points.
    Challenges {
        /// How many.
        #[arg(short, long, default_value_t = 20, value_name = "N")]
        limit: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Last attempted proofs, one line an answer.
    Attempts {
        /// How many.
        #[arg(short, long, default_value_t = 20, value_name = "N")]
        limit: u32,
        /// Go on as they come.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Protocol messages as they pass.
    Messages {
        /// How many of the past.
        #[arg(short, long, default_value_t = 20, value_name = "N")]
        limit: u32,
        /// Go on as they come.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        output: Output,
    },
    /// What is wrong now; exit status 1 if anything is.
    #[command(args_conflicts_with_subcommands = true)]
    Alarms {
        #[command(flatten)]
        output: Output,
        #[command(subcommand)]
        command: Option<AlarmsCommand>,
    },
    /// What was written down: answers, proofs, alarms of the past; newest first.
    History(HistoryArgs),
    /// Record what happens to the farmer, for a bug report: names, addresses, ids, keys and paths are replaced.
    Record(RecordArgs),
    /// Let a farmer go through a recording, on the console.
    #[cfg(feature = "console")]
    Replay(ReplayArgs),
    /// Make or adopt a root: settings, private CA, certificates.
    Init {
        /// Use the private CA in this directory (private_ca.crt and private_ca.key).
        #[arg(short = 'c', value_name = "CA_DIR")]
        ca_dir: Option<PathBuf>,
        /// Network, as mainnet, testnet11 or simulator1.
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
    },
    /// Change settings in the settings file; comments and order stay.
    Configure(Configure),
    /// Look at the settings file.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Farming keys: never wallet keys.
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Pools: what they say, and what only the owner can tell them.
    Pool {
        #[command(subcommand)]
        command: PoolCommand,
    },
    /// Plots: make them, check them, and where they are.
    Plots {
        #[command(subcommand)]
        command: PlotsCommand,
    },
    /// The fleet; or harvest alone on this machine.
    Harvester {
        #[command(subcommand)]
        command: HarvesterCommand,
    },
    /// The farm's certificate authorities.
    Ca {
        #[command(subcommand)]
        command: CaCommand,
    },
    /// Whether keys lie where they should, and only there.
    Security {
        #[command(subcommand)]
        command: SecurityCommand,
    },
    /// A whole farm with nothing installed: simulated chain, small real plots, harvesters on loopback.
    Demo(Demo),
    /// Shell completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The manual page, or that of a command, in troff.
    Man {
        /// Words of a command, as `harvester list`.
        #[arg(value_name = "COMMAND")]
        words: Vec<String>,
    },
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Output {
    /// One JSON object, or one a line for lists.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlarmsCommand {
    /// Say that you have seen alarms; those that only tell of something past close.
    Ack {
        /// Their numbers, as `alarms` says them [default: all].
        #[arg(value_name = "NUMBER")]
        numbers: Vec<u64>,
    },
    /// Tell nobody of some alarms for a while; they are still shown. Without arguments: lists what is silenced.
    Silence {
        /// Only of this rule, as harvester_silent (`alarms` says it behind the number) [default: all].
        #[arg(hide_possible_values = true, value_parser = PossibleValuesParser::new(AlarmKind::RULES))]
        rule: Option<String>,
        /// Only of this harvester, node, pool or address [default: all].
        #[arg(long, value_name = "NAME")]
        machine: Option<String>,
        /// For how long: 90s, 30m, 2h, 7d [default: 1h].
        #[arg(long = "for", value_name = "SPAN", value_parser = span::time_span)]
        span: Option<Duration>,
        /// End the silences of this rule and machine [default: all].
        #[arg(long, conflicts_with = "span")]
        end: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// File to make; not -, since nothing is recorded to standard output.
    pub(crate) file: PathBuf,
    /// Hide nothing.
    #[arg(long)]
    pub(crate) raw: bool,
    /// End after this time: 90s, 30m, 2h [default: at Ctrl-C].
    #[arg(long = "for", value_name = "SPAN", value_parser = span::time_span)]
    pub(crate) span: Option<Duration>,
}

#[cfg(feature = "console")]
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Recording.
    pub(crate) file: PathBuf,
    /// So many times as fast.
    #[arg(long, default_value_t = 1.0, value_name = "N", value_parser = speed)]
    pub(crate) speed: f64,
    /// Show nothing: go through it at once and say whether the farmer here does what the recorded one did.
    #[arg(long, conflicts_with = "speed")]
    pub(crate) check: bool,
}

#[cfg(feature = "console")]
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=10_000.0).contains(&speed) => Ok(speed),
        _ => Err("expected a number from 0.01 to 10000".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Of what.
    pub(crate) list: HistoryList,
    /// How far back: 90s, 30m, 24h, 7d.
    #[arg(long, default_value = "24h", value_name = "SPAN", value_parser = span::time_span)]
    pub(crate) since: Duration,
    /// Only of this harvester (of alarms: machine), by name.
    #[arg(long, value_name = "NAME")]
    pub(crate) harvester: Option<String>,
    /// How many.
    #[arg(short, long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What `history` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryList {
    /// Answers of harvesters, and their absence.
    Attempts,
    /// The same summed up by hour and harvester.
    Hours,
    /// The whole farm by quarter of an hour, with what was to be expected.
    Quarters,
    /// Proofs.
    Proofs,
    /// Partials sent to pools.
    Partials,
    /// Plots that came and went.
    Plots,
    /// Incidents.
    Alarms,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Configure {
    /// CRITICAL, ERROR, WARNING, INFO or DEBUG; a running farmer changes at once.
    #[arg(long, visible_alias = "set-log-level", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Farmer that the harvester of this root dials.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) set_farmer_peer: Option<String>,
    /// Full node that the farmer of this root dials.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) set_fullnode_peer: Option<String>,
    /// Where the farmer's part of each block goes (1/8 and the fees).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) set_farmer_reward: Option<String>,
    /// Where the pool's part (7/8) goes of blocks of plots with a pool public key.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) set_pool_reward: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Where the settings file is.
    Path,
    /// The commented default settings.
    PrintDefault,
    /// Check a settings file; exit status 1 if anything is wrong.
    Check {
        /// File to check [default: that of the root].
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Import farming keys, beside those of this root.
    Import(KeysImport),
    /// Public keys and reward addresses; exit status 1 if there are no keys.
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Lock the farming keys with a passphrase, or leave them to the mode of their file.
    Passphrase {
        #[command(subcommand)]
        command: PassphraseCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PassphraseCommand {
    /// Lock them with a passphrase, or with another one.
    Set {
        /// File with the new passphrase; `-` reads standard input [default: asks].
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Keep them without a passphrase.
    Remove,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "source")]
pub(crate) struct KeysSource {
    /// The keyring of the official software [default: $CHIA_KEYS_ROOT or ~/.chia_keys].
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    pub(crate) chia_keyring: Option<Option<PathBuf>>,
    /// Asks for a mnemonic of 12 to 24 words and shows nothing of it; the first four letters of each will do.
    #[arg(long)]
    pub(crate) mnemonic: bool,
    /// File with a mnemonic of 12 to 24 words; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) mnemonic_file: Option<PathBuf>,
    /// File with a farmer secret key in hex; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) farmer_sk_file: Option<PathBuf>,
}

/// Sources of keys that have no wallets to choose from and no passphrase.
const NO_KEYRING: [&str; 3] = ["mnemonic", "mnemonic_file", "farmer_sk_file"];

#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Every plotNFT, its pool, its points and its partials.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// A link that logs a browser in to the site of a pool for some minutes.
    LoginLink {
        /// The plotNFT: its launcher id, or the beginning of it [default: the only one].
        #[arg(value_name = "LAUNCHER_ID")]
        launcher_id: Option<String>,
    },
    /// Register a plotNFT with its pool, or tell the pool its key; once, with the owner's key, which is not kept.
    Join(PoolOwnerCommand),
    /// Tell a pool where to pay, as the wallet has written it down; with the owner's key, which is not kept.
    SetPayout(PoolOwnerCommand),
}

#[derive(Debug, Args)]
pub(crate) struct PoolOwnerCommand {
    /// The plotNFT: its launcher id, or the beginning of it [default: the only one].
    #[arg(value_name = "LAUNCHER_ID")]
    pub(crate) launcher_id: Option<String>,
    /// The wallet in the keyring of the official software [default: asks for the mnemonic].
    #[arg(long, value_name = "PATH", num_args = 0..=1, conflicts_with = "mnemonic_file")]
    pub(crate) chia_keyring: Option<Option<PathBuf>>,
    /// File with the mnemonic; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) mnemonic_file: Option<PathBuf>,
    /// The wallet to take from the keyring [default: all].
    #[arg(long, value_name = "N", requires = "chia_keyring")]
    pub(crate) fingerprint: Option<u32>,
    /// File with the passphrase of the keyring; `-` reads standard input [default: asks, if it has one].
    #[arg(long, value_name = "FILE", requires = "chia_keyring")]
    pub(crate) keyring_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeysImport {
    #[command(flatten)]
    pub(crate) source: KeysSource,
    /// The wallet to take from the keyring [default: all].
    #[arg(long, value_name = "N", conflicts_with_all = NO_KEYRING)]
    pub(crate) fingerprint: Option<u32>,
    /// File with the passphrase of the keyring; `-` reads standard input [default: asks, if it has one].
    #[arg(long, value_name = "FILE", conflicts_with_all = NO_KEYRING)]
    pub(crate) keyring_passphrase_file: Option<PathBuf>,
    /// Store also the wallet keys that plotNFTs of the second pool protocol speak with.
    #[arg(long)]
    pub(crate) pool_wallet_keys: bool,
    /// Lock the farming keys with a passphrase: that of --passphrase-file, else asks.
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Replace keys that are there already.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Demo {
    /// Harvesters to run; 0 leaves the farm to harvesters that connect from outside.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(crate) harvesters: u16,
    /// Plots of each harvester.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) plots: u16,
    /// Seconds between signage points.
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) interval: f64,
    /// Farm without a console.
    #[arg(long)]
    pub(crate) daemon: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.05..=3600.0).contains(&s) => Ok(s),
        _ => Err("expected a number of seconds from 0.05 to 3600".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_a_text_names_is_understood() {
        let mut files = Vec::new();
        for sources in ["src", "ui"] {
            rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(sources), &mut files);
        }
        let (mut understood, mut wrong) = (0, Vec::new());
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            let code: Vec<&str> = source
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            // A text may go on after a `\` at the end of a line.
            let code = code.join("\n").replace("\\\n", "");
            for text in code.split("`farmconsole").skip(1) {
                let command = text.split('`').next().unwrap_or_default();
                // What whoever types it puts in its place.
                let is_open = |word: &str| word.contains('{') || word.chars().all(|c| c.is_ascii_uppercase());
                let words = command
                    .split_whitespace()
                    .map(|word| if is_open(word) { "1" } else { word });
                if !command.starts_with(' ') || command.contains(['\n', '\'']) {
                    continue;
                }
                match Cli::try_parse_from(["farmconsole"].into_iter().chain(words)) {
                    Ok(_) => understood += 1,
                    Err(_) => wrong.push(format!("{}: `farmconsole{command}`", file.display())),
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(understood > 80, "{understood}");
    }

    fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, files);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(path);
            }
        }
    }

    #[test]
    fn a_history_of_no_rows_is_not_asked_for() {
        let ask = |limit: &str| Cli::try_parse_from(["farmconsole", "history", "alarms", "-l", limit]).map(drop);
        assert!(ask("1").is_ok());
        assert_eq!(ask("0").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn an_address_that_no_token_can_carry_is_refused_at_once() {
        let invite =
            |address: &str| Cli::try_parse_from(["farmconsole", "harvester", "invite", "barn", "--address", address]);
        for good in "10.0.0.5:8447 farm.local:8447 [fd00::1]:8447 10.0.0.5 fd00::1 farm".split(' ') {
            assert!(invite(good).is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.5:", "10.0.0.5 :8447", "10.0.0.5:0", "h\u{f6}f:8447"] {
            let error = invite(bad).map(drop).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{bad}");
            assert!(error.to_string().contains("expected "), "{error}");
        }
    }

    #[test]
    fn own_options_of_a_command_stand_before_those_of_every_command() {
        let mut cli = Cli::command();
        cli.build();
        let help = cli
            .find_subcommand_mut("demo")
            .map(|demo| demo.render_long_help().to_string())
            .unwrap_or_default();
        let places: Vec<_> = ["--harvesters", "--plots", "--interval"]
            .map(|option| help.find(option))
            .into_iter()
            .collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{help}");
        assert!(places.last().unwrap() < &help.find(EVERYWHERE), "{help}");
    }

    #[test]
    fn daemon_and_console_need_no_command() {
        let cli = Cli::parse_from(["farmconsole", "--daemon"]);
        assert!(cli.daemon && cli.command.is_none());
    }

    #[test]
    fn the_owner_of_a_plotnft_is_asked_unless_a_source_is_named() {
        for more in [
            vec![],
            vec!["ec9a"],
            vec!["--mnemonic-file", "-"],
            vec!["--chia-keyring", "--fingerprint", "1"],
        ] {
            assert!(Cli::try_parse_from(["farmconsole", "pool", "join"].into_iter().chain(more)).is_ok());
        }
        let stray = ["farmconsole", "pool", "set-payout", "--fingerprint", "1"];
        assert!(Cli::try_parse_from(stray).is_err());
    }

    #[test]
    fn keys_import_takes_exactly_one_source() {
        assert!(Cli::try_parse_from(["farmconsole", "keys", "import"]).is_err());
        assert!(
            Cli::try_parse_from([
                "farmconsole",
                "keys",
                "import",
                "--mnemonic-file",
                "a",
                "--farmer-sk-file",
                "b"
            ])
            .is_err()
        );
        for source in [
            vec!["--mnemonic-file", "-"],
            vec!["--mnemonic"],
            vec!["--chia-keyring"],
            vec!["--chia-keyring", "keyring.yaml", "--fingerprint", "1"],
        ] {
            assert!(Cli::try_parse_from(["farmconsole", "keys", "import"].into_iter().chain(source)).is_ok());
        }
        let stray = ["farmconsole", "keys", "import", "--mnemonic", "--fingerprint", "1"];
        assert!(Cli::try_parse_from(stray).is_err());
    }
}
