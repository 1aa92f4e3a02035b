//! farmconsole: the command line, the summary and the console. A table of contents: every command has a file.
//!
//! The program sees only the public items of the library; what it prints goes through `format.rs`, how it ends through
//! `exit.rs`.

mod alarms;
mod args;
#[cfg(feature = "console")]
mod attach;
mod ca;
mod commands;
mod configure;
#[cfg(feature = "console")]
mod console;
mod context;
mod daemon;
mod demo;
mod environment;
mod errors;
mod exit;
#[cfg(feature = "console")]
mod feed;
mod format;
mod harvester;
mod history;
mod json;
mod keys;
mod left_behind;
mod lists;
mod out;
mod plots;
mod pool;
mod program_text;
mod record;
#[cfg(feature = "console")]
mod replay;
mod root;
mod secrets;
mod security;
mod shell;
mod signals;
mod stop;
mod summary;
mod systemd;
mod time;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use farmconsole::handle::FleetAsk;

use crate::args::{Cli, Command, ConfigCommand, HarvesterCommand, KeysCommand, PassphraseCommand, ROOT_VARIABLE};
use crate::commands::Commands;
use crate::context::{Context, Looks, default_root};
use crate::environment::variable;
use crate::exit::Outcome;

fn main() -> ExitCode {
    let status = status();
    left_behind::tell(status);
    ExitCode::from(status)
}

/// Runs the program; its exit status.
fn status() -> u8 {
    // Before anything secret is read: a core dump would hold all of it.
    if let Err(error) = farmconsole::keys::forbid_core_dumps() {
        return exit::Failure::new(exit::Status::Failed, format!("switch core dumps off: {error}"))
            .report(&Commands::default());
    }
    // What is wrong with a command line names it, too.
    if std::env::args_os().any(|argument| argument == "--ascii") {
        out::only_ascii();
    }
    let cli = match command_line() {
        Ok(cli) => cli,
        Err(other) => return ended_by_command_line(&other),
    };
    if matches!(&cli.command, Some(Command::Plots { command }) if command.asks_drives())
        && let Some(status) = left_behind::run()
    {
        return status;
    }
    // The demo has a default root of its own, which other commands do not find by themselves.
    let of_demo = matches!(cli.command, Some(Command::Demo(_)))
        .then(|| default_root("demo"))
        .flatten();
    let root = cli.root.as_deref().or(of_demo.as_deref());
    let commands = Commands::new(root, variable(ROOT_VARIABLE).as_deref());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return exit::Failure::new(exit::Status::Failed, format!("start the runtime: {error}")).report(&commands);
        }
    };
    let code = match runtime.block_on(run(cli, &commands)) {
        Ok(ended) => ended.code(),
        Err(failure) => failure.report(&commands),
    };
    // A hanging disk must not keep the program from ending.
    runtime.shutdown_background();
    code
}

/// The command line. An empty variable names no root, an empty `--root` is a mistake.
fn command_line() -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    if std::env::var_os(ROOT_VARIABLE).is_some_and(|root| root.is_empty()) {
        command = command.mut_arg("root", |root| root.env(None));
    }
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Help, the version, or what is wrong with a command line; the exit status.
fn ended_by_command_line(told: &clap::Error) -> u8 {
    use std::io::Write as _;

    let text = told.render().to_string();
    let mut out = out::Out::for_errors();
    // There is nobody else to tell that nobody reads this.
    let _ = if told.use_stderr() && out.is_ascii() && !text.is_ascii() {
        write!(out, "{text}")
    } else {
        told.print()
    };
    u8::try_from(told.exit_code()).unwrap_or(exit::Status::Usage as u8)
}

async fn run(cli: Cli, commands: &Commands) -> Outcome {
    let Cli {
        root,
        color,
        ascii,
        theme,
        passphrase_file,
        ca_passphrase_file,
        daemon,
        read_only,
        command,
    } = cli;
    let default_root = if matches!(command, Some(Command::Demo(_))) {
        "demo"
    } else {
        "mainnet"
    };
    let looks = Looks { color, ascii, theme };
    let context = || {
        let mut context = Context::new(root.clone(), default_root, looks.clone(), passphrase_file.clone())?;
        context.ca_passphrase_file.clone_from(&ca_passphrase_file);
        context.is_read_only = read_only;
        context.commands = commands.clone();
        Ok::<_, exit::Failure>(context)
    };
    let Some(command) = command else {
        return if daemon {
            daemon::run(&context()?).await
        } else {
            interactive(&context()?).await
        };
    };
    if daemon {
        return Err(
            exit::Failure::new(exit::Status::Usage, "--daemon stands alone, without a command")
                .hint("`farmconsole --daemon` farms on a root, `farmconsole demo --daemon` on the simulated chain"),
        );
    }
    if read_only {
        return Err(
            exit::Failure::new(exit::Status::Usage, "--read-only is for the console, without a command")
                .hint("`farmconsole --read-only` looks at what runs on this root"),
        );
    }
    match command {
        Command::Stop => stop::run(&context()?).await,
        Command::Summary { output } => summary::run(&context()?, output.json).await,
        Command::Challenges { limit, output } => lists::challenges(&context()?, limit, output.json).await,
        Command::Attempts { limit, follow, output } => lists::attempts(&context()?, limit, follow, output.json).await,
        Command::Messages { limit, follow, output } => lists::messages(&context()?, limit, follow, output.json).await,
        Command::Alarms {
            command: Some(command), ..
        } => alarms::run(&context()?, command).await,
        Command::Alarms { output, .. } => lists::alarms(&context()?, output.json).await,
        Command::Record(arguments) => record::run(&context()?, &arguments).await,
        #[cfg(feature = "console")]
        Command::Replay(arguments) => replay::run(&context()?, &arguments).await,
        Command::History(arguments) => history::run(&context()?, &arguments),
        Command::Init { ca_dir, network } => root::init(&context()?, ca_dir, network),
        Command::Configure(changes) => configure::run(&context()?, &changes).await,
        Command::Config {
            command: ConfigCommand::Path,
        } => root::config_path(&context()?),
        Command::Config {
            command: ConfigCommand::PrintDefault,
        } => root::print_default(),
        Command::Config {
            command: ConfigCommand::Check { file },
        } => root::check(&context()?, file),
        Command::Keys {
            command: KeysCommand::Import(import),
        } => keys::import(&context()?, &import),
        Command::Keys {
            command: KeysCommand::Show { output },
        } => keys::show(&context()?, output.json),
        Command::Keys {
            command:
                KeysCommand::Passphrase {
                    command: PassphraseCommand::Set { new_passphrase_file },
                },
        } => keys::set_passphrase(&context()?, new_passphrase_file.as_deref()),
        Command::Keys {
            command: KeysCommand::Passphrase {
                command: PassphraseCommand::Remove,
            },
        } => keys::remove_passphrase(&context()?),
        Command::Pool { command } => pool::run(&context()?, command).await,
        Command::Plots { command } => plots::run(&context()?, command).await,
        Command::Harvester { command } => fleet_command(&context()?, command).await,
        Command::Ca { command } => ca::run(&context()?, command).await,
        Command::Security { command } => security::run(&context()?, command),
        Command::Demo(options) => demo::run(&context()?, options).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { words } => shell::man(&words),
    }
}

/// Commands about the certificates of harvesters.
async fn fleet_command(context: &Context, command: HarvesterCommand) -> Outcome {
    use harvester::fleet;

    match command {
        HarvesterCommand::Invite(options) => fleet::invite(context, options).await,
        HarvesterCommand::Join(options) => harvester::join(context, options).await,
        HarvesterCommand::Members { output } => fleet::members(context, output.json).await,
        HarvesterCommand::Rename { who, name } => {
            fleet::order(context, FleetAsk::Rename { who, name }, "renamed").await
        }
        HarvesterCommand::Revoke { who } => fleet::order(context, FleetAsk::Revoke { who }, "revoked").await,
        HarvesterCommand::Approve { who, name } => {
            fleet::order(context, FleetAsk::Approve { who, name }, "let in").await
        }
        HarvesterCommand::Note { who, note } => fleet::order(context, FleetAsk::Note { who, note }, "noted").await,
        HarvesterCommand::SignCsr { name, request, out } => fleet::sign_csr(context, name, &request, &out).await,
        HarvesterCommand::Doctor { output } => harvester::doctor(context, output.json).await,
        HarvesterCommand::Run(options) => harvester::run(context, options).await,
        HarvesterCommand::List {
            refresh,
            failed,
            no_key,
            duplicates,
            output,
        } => {
            let files = harvester::Files {
                failed,
                no_key,
                duplicates,
            };
            harvester::list(context, refresh, files, output.json).await
        }
    }
}

#[cfg(feature = "console")]
async fn interactive(context: &Context) -> Outcome {
    attach::run(context).await
}

#[cfg(not(feature = "console"))]
async fn interactive(context: &Context) -> Outcome {
    daemon::run(context).await
}
