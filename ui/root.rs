//! `farmconsole init` and `farmconsole config`: making a root, and looking at its settings.

use std::io::Write;
use std::path::{Path, PathBuf};

#[cfg(feature = "console")]
use farmconsole::config::Settings;
use farmconsole::config::{Finding, check as check_settings};
use farmconsole::init::{self, InitError, InitOptions};
use farmconsole::keys::address;

use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::out::Out;

/// `farmconsole init [-c CA_DIR] [--network NAME]`.
pub(crate) fn init(context: &Context, ca_dir: Option<PathBuf>, network: Option<String>) -> Outcome {
    let report = make(context, ca_dir, network)?;
    let mut out = Out::for_people();
    writeln!(out, "{}", context.commands.here(&report.to_string()))?;
    let has_joined = context.root.membership_file().exists();
    if !context.root.keys_file().exists() && !report.harvester_only && !has_joined {
        let next = if report.given_ca {
            "To farm here instead"
        } else {
            "Next"
        };
        let import = context.commands.here("`farmconsole keys import --mnemonic`");
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
    writeln!(Out::for_programs(), "{}", context.root.config_file().display())?;
    Ok(Ended::Fine)
}

/// `farmconsole config print-default`.
pub(crate) fn print_default() -> Outcome {
    Out::for_programs().write_all(farmconsole::config::DEFAULT_SETTINGS.as_bytes())?;
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
    let findings = check_settings(&file, &address::check);
    let mut out = Out::for_people();
    for finding in &findings {
        writeln!(out, "{finding}")?;
        if let Some(hint) = finding.hint() {
            writeln!(out, "hint: {}", context.commands.here(&hint))?;
        }
    }
    let theme = bad_theme(&file);
    if let Some(why) = &theme {
        writeln!(out, "error: {}: farmconsole.theme: {why}", file.display())?;
    }
    if findings.is_empty() && theme.is_none() {
        writeln!(out, "{}: fine", file.display())?;
        return Ok(Ended::Fine);
    }
    let wrong = theme.is_some() || findings.iter().any(Finding::is_mistake);
    Ok(if wrong { Ended::SomethingWrong } else { Ended::Fine })
}

/// Why no console would start with the theme of the settings, if that is so.
#[cfg(feature = "console")]
fn bad_theme(file: &Path) -> Option<String> {
    let theme = Settings::load_file(file).ok()?.own.theme?;
    let failure = crate::console::Palette::named(&theme).err()?;
    Some(failure.sentence().to_owned())
}

/// Without a console no theme is read.
#[cfg(not(feature = "console"))]
const fn bad_theme(_: &Path) -> Option<String> {
    None
}

#[cfg(all(test, feature = "console"))]
mod tests {
    use super::*;

    #[test]
    fn a_theme_that_no_console_starts_with_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.yaml");
        for (theme, is_bad) in [("light", false), ("pink", true)] {
            std::fs::write(&file, format!("farmconsole:\n  theme: {theme}\n")).unwrap();
            assert_eq!(bad_theme(&file).is_some(), is_bad, "{theme}");
        }
    }
}
