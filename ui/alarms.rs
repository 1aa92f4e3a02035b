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
        AlarmsCommand::Ack { numbers } if numbers.is_empty() => {
            attached.ask(Ask::AcknowledgeAll).await?;
        }
        AlarmsCommand::Ack { numbers } => {
            for alarm in numbers {
                attached.ask(Ask::Acknowledge { alarm }).await?;
            }
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
            attached.ask(Ask::Silence { rule, machine, for_s }).await?;
            return silences(&mut attached).await;
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

/// Reads `90s`, `30m`, `2h`, `7d`, or seconds.
pub(crate) fn time_span(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || "expected a time span such as 90s, 30m, 2h or 7d".to_owned();
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 1,
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| (1..=LONGEST).contains(seconds))
        .map(std::time::Duration::from_secs)
        .ok_or_else(|| format!("expected at most {}", plural(LONGEST / 86_400, "day")))
}

/// Ten years, in seconds.
const LONGEST: u64 = 3650 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_have_units_and_bounds() {
        let seconds = |text: &str| time_span(text).ok().map(|span| span.as_secs());
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(
            (seconds("30m"), seconds("2h"), seconds("7d")),
            (Some(1800), Some(7200), Some(604_800))
        );
        for text in ["", "h", "0s", "-1h", "1w", "99999999999999999999d", "4000d"] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
