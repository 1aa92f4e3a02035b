//! `farmconsole alarms ack` and `silence`: what people say about alarms.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;

use farmconsole::config::nearest;
use farmconsole::control::Ask;
use farmconsole::snapshot::{FarmSnapshot, PoolView};

use crate::args::AlarmsCommand;
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{plural, safe, span};
use crate::out::Out;

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
            writeln!(Out::for_people(), "{count} acknowledged")?;
        }
        AlarmsCommand::Silence {
            rule,
            machine,
            span,
            end,
        } => {
            if rule.is_none() && machine.is_none() && !end && span.is_none() {
                return silences(context, &mut attached).await;
            }
            if let Some(machine) = &machine {
                check_machine(machine, &machines(&attached.snapshot().await?))?;
            }
            let for_s = if end {
                0
            } else {
                span.unwrap_or(DEFAULT_SILENCE).as_secs()
            };
            let answer = attached.ask(Ask::Silence { rule, machine, for_s }).await;
            // Also when it is silenced only until the next start.
            silences(context, &mut attached).await?;
            answer?;
        }
    }
    Ok(Ended::Fine)
}

/// What alarms may be about: harvesters, nodes and pools, and whatever some were about.
fn machines(snapshot: &FarmSnapshot) -> BTreeSet<String> {
    let harvesters = snapshot.harvesters.iter().map(|it| it.name.clone());
    let nodes = snapshot.nodes.iter().map(|it| it.name.clone());
    let pools = snapshot.pools.iter().map(PoolView::label);
    let alarms = snapshot.alarms.iter().chain(&snapshot.alarm_history);
    let silences = snapshot.silences.iter().filter_map(|it| it.machine.clone());
    let known = harvesters.chain(nodes).chain(pools).chain(silences);
    known.chain(alarms.filter_map(|it| it.kind.machine())).collect()
}

/// Refuses a name that no alarm can be about: a silence of it would keep nothing from anybody. Strangers knock from any
/// address.
fn check_machine(machine: &str, known: &BTreeSet<String>) -> Result<(), Failure> {
    if known.contains(machine) || machine.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = nearest(machine, &known).map_or_else(
        || "`farmconsole harvester list` says what harvesters are called, `farmconsole summary` nodes".to_owned(),
        |name| format!("did you mean {}?", safe(name)),
    );
    let why = format!("silence alarms of {}: nothing here is called that", safe(machine));
    Err(Failure::new(Status::Usage, why).hint(hint))
}

/// Lists what is silenced.
async fn silences(context: &Context, attached: &mut crate::context::Attached) -> Result<Ended, Failure> {
    let snapshot = attached.snapshot().await?;
    let mut out = context.out(false);
    for silence in &snapshot.silences {
        let left_ms = silence.until_unix_ms.saturating_sub(snapshot.taken_at_unix_ms);
        // What was just begun has all its time before it.
        let left = left_ms.div_ceil(1000);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_alarm_can_be_about_is_silenced() {
        let known: BTreeSet<_> = ["barn-3", "node.lan:8444", "pool.example"].map(str::to_owned).into();
        for machine in ["barn-3", "node.lan:8444", "pool.example", "10.0.0.7", "fd00::1"] {
            assert!(check_machine(machine, &known).is_ok(), "{machine}");
        }
        let refused = |machine| format!("{:?}", check_machine(machine, &known).unwrap_err());
        assert!(
            refused("barn3").contains("did you mean barn-3?"),
            "{}",
            refused("barn3")
        );
        assert!(
            refused("cellar").contains("farmconsole harvester list"),
            "{}",
            refused("cellar")
        );
    }
}
