//! `farmconsole alarms ack` and `silence`: what people say about alarms.

use std::io::{self, Write};

use farmconsole::control::Ask;

use crate::args::AlarmsCommand;
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome};
use crate::format::{plural, safe, span};

/// Runs the command.
pub(crate) async fn run(context: &Context, command: AlarmsCommand) -> Outcome {
    let mut attached = context.attach().await?;
    match command {
        AlarmsCommand::Ack { numbers } => {
            let snapshot = attached.snapshot().await?;
            let fresh = snapshot.alarms.iter().filter(|it| !it.acknowledged);
            let count = if numbers.is_empty() {
                attached.ask(Ask::AcknowledgeAll).await?;
                fresh.count()
            } else {
                let mut failed = None;
                for &alarm in &numbers {
                    let answer = attached.ask(Ask::Acknowledge { alarm }).await;
                    failed = failed.or_else(|| answer.err());
                }
                failed.map_or(Ok(()), Err)?;
                fresh.filter(|it| numbers.contains(&it.number)).count()
            };
            let count = plural(count as u64, "alarm");
            writeln!(io::stdout().lock(), "{count} acknowledged")?;
        }
        AlarmsCommand::Silence {
            rule,
            machine,
            span,
            end,
        } => {
            if rule.is_none() && machine.is_none() && !end && span.is_none() {
                return silences(&mut attached).await;
            }
            let for_s = if end {
                0
            } else {
                span.unwrap_or(DEFAULT_SILENCE).as_secs()
            };
            let answer = attached.ask(Ask::Silence { rule, machine, for_s }).await;
            // Also when it is silenced only until the next start.
            silences(&mut attached).await?;
            answer?;
        }
    }
    Ok(Ended::Fine)
}

/// Lists what is silenced.
async fn silences(attached: &mut crate::context::Attached) -> Result<Ended, Failure> {
    let snapshot = attached.snapshot().await?;
    let mut out = io::stdout().lock();
    for silence in &snapshot.silences {
        let left = silence.until_unix_ms.saturating_sub(snapshot.taken_at_unix_ms) / 1000;
        let rule = silence.rule.as_deref().unwrap_or("all alarms");
        let machine = silence
            .machine
            .as_ref()
            .map_or_else(String::new, |machine| format!(" of {}", safe(machine)));
        writeln!(out, "{}{machine}, for another {}", safe(rule), span(left))?;
    }
    if snapshot.silences.is_empty() {
        writeln!(out, "nothing is silenced")?;
    }
    Ok(Ended::Fine)
}

/// How long a silence lasts when nobody says so: a maintenance.
const DEFAULT_SILENCE: std::time::Duration = std::time::Duration::from_secs(3600);
