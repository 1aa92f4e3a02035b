//! `farmconsole init` and `farmconsole config`: making a root, and looking at its settings.

use std::io::{self, Write};
use std::path::PathBuf;

use farmconsole::config::{Finding, check as check_settings};
use farmconsole::init::{self, InitError, InitOptions};

use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};

/// `farmconsole init [-c CA_DIR] [--network NAME]`.
pub(crate) fn init(context: &Context, ca_dir: Option<PathBuf>, network: Option<String>) -> Outcome {
    let report = make(context, ca_dir, network)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", context.commands.here(&report.to_string()))?;
    let has_joined = context.root.membership_file().exists();
    if !context.root.keys_file().exists() && !report.harvester_only && !has_joined {
        let next = if report.given_ca {
            "To farm here instead"
        } else {
            "Next"
        };
        let import = context.commands.here("`farmconsole keys import --mnemonic-file FILE`");
        writeln!(out, "{next}: import farming keys with {import}")?;
    }
    Ok(Ended::Fine)
}

/// Makes or adopts the root.
pub(crate) fn make(
    context: &Context,
    ca_dir: Option<PathBuf>,
    network: Option<String>,
) -> Result<init::InitReport, Failure> {
    let now = farmconsole::system_clock::unix_now();
    init::init(&context.root, &InitOptions { ca_dir, network, now }).map_err(|error| {
        let hint = error.hint();
        let status = match &error {
            InitError::Busy { .. } => Status::TryAgain,
            InitError::Config(_) | InitError::Edit(_) => Status::Settings,
            _ => Status::Failed,
        };
        Failure::new(status, error).hint_if_any(hint)
    })
}

/// `farmconsole config path`.
pub(crate) fn config_path(context: &Context) -> Outcome {
    writeln!(io::stdout().lock(), "{}", context.root.config_file().display())?;
    Ok(Ended::Fine)
}

/// `farmconsole config print-default`.
pub(crate) fn print_default() -> Outcome {
    io::stdout()
        .lock()
        .write_all(farmconsole::config::DEFAULT_SETTINGS.as_bytes())?;
    Ok(Ended::Fine)
}

/// `farmconsole config check [FILE]`: every mistake and every doubt, in the order of their lines.
pub(crate) fn check(context: &Context, file: Option<PathBuf>) -> Outcome {
    let is_of_root = file.is_none();
    let file = file.unwrap_or_else(|| context.root.config_file());
    if !is_of_root && !file.exists() {
        return Err(Failure::new(
            Status::Failed,
            format!("check {}: there is no such file", file.display()),
        )
        .hint("name a `config.yaml`; `farmconsole config check` without a file looks at that of the root"));
    }
    let findings = check_settings(&file, &read_address);
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
        if let Some(hint) = finding.hint() {
            writeln!(out, "hint: {}", context.commands.here(&hint))?;
        }
    }
    if findings.is_empty() {
        writeln!(out, "{}: fine", file.display())?;
        return Ok(Ended::Fine);
    }
    let wrong = findings.iter().any(Finding::is_mistake);
    Ok(if wrong { Ended::SomethingWrong } else { Ended::Fine })
}

/// Says why a text is no address of the network whose addresses begin with `prefix`.
pub(crate) fn read_address(prefix: &str, text: &str) -> Result<(), String> {
    let decoded = farmconsole::keys::address::decode(prefix, text);
    decoded.map(drop).map_err(|error| error.to_string())
}
