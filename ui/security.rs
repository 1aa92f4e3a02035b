//! `farmconsole security`: whether keys lie where they should, and only there.

use std::io::Write;

use farmconsole::tls::audit;

use crate::args::SecurityCommand;
use crate::context::Context;
use crate::exit::{Ended, Outcome};
use crate::format::safe;
use crate::json::json_line;

/// Runs the command.
pub(crate) fn run(context: &Context, command: SecurityCommand) -> Outcome {
    let SecurityCommand::Audit { output } = command;
    let findings = audit(&context.root);
    let mut out = context.out(output.json);
    for finding in &findings {
        if output.json {
            writeln!(out, "{}", json_line(finding)?)?;
        } else {
            writeln!(out, "{}\n  -> {}", safe(&finding.to_string()), safe(&finding.remedy()))?;
        }
    }
    if findings.is_empty() && !output.json {
        writeln!(out, "{}: keys lie where they should", context.root.dir().display())?;
    }
    Ok(if findings.is_empty() {
        Ended::Fine
    } else {
        Ended::SomethingWrong
    })
}
