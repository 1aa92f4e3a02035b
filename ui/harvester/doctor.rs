//! `farmconsole harvester doctor`: why harvesters cannot connect. On the farmer's machine every refused connection with
//! cause and remedy; on a harvester's its certificate, its settings, and whether the farmer lets it in.

use std::io::Write;

use farmconsole::config::{Settings, check as check_settings};
use farmconsole::control::Role;
use farmconsole::handle::{FleetAnswer, FleetAsk};
use farmconsole::harvester::{examine_certificate, examine_farmer};
use farmconsole::registry::{Member, Standing};
use farmconsole::snapshot::{AlarmKind, FarmerLinkState, RefusalView};

use super::fleet::{ask_fleet, view};
use crate::context::{Attached, Context};
use crate::exit::{Ended, Failure, Outcome};
use crate::format::{plural, safe, span};
use crate::json::json_line;

/// One thing that is wrong.
#[derive(Debug, serde::Serialize)]
struct Diagnosis {
    /// What, as a sentence.
    what: String,
    /// What to do, if that is known.
    remedy: Option<String>,
}

/// Runs the command.
pub(crate) async fn doctor(context: &Context, json: bool) -> Outcome {
    let found = match context.connect().await {
        Ok(client) if client.hello().role == Role::Farmer => of_farmer(&mut Attached { client }).await?,
        Ok(client) => of_harvester(context, Some(Attached { client })).await,
        Err(_) => of_harvester(context, None).await,
    };
    let mut out = context.out(json);
    for Diagnosis { what, remedy } in &found {
        if json {
            let diagnosis = Diagnosis {
                what: what.clone(),
                remedy: remedy.clone(),
            };
            writeln!(out, "{}", json_line(&diagnosis)?)?;
            continue;
        }
        writeln!(out, "{}", safe(what))?;
        if let Some(remedy) = remedy {
            writeln!(out, "  -> {}", safe(&context.commands.here(remedy)))?;
        }
    }
    if found.is_empty() && !json {
        writeln!(out, "nothing is wrong with certificates and connections")?;
    }
    Ok(if found.is_empty() {
        Ended::Fine
    } else {
        Ended::SomethingWrong
    })
}

async fn of_farmer(attached: &mut Attached) -> Result<Vec<Diagnosis>, Failure> {
    let snapshot = attached.snapshot().await?;
    let now = snapshot.taken_at_unix_ms;
    let is_of_connections = |kind: &AlarmKind| {
        matches!(
            kind,
            AlarmKind::ClockWrong { .. }
                | AlarmKind::HarvesterClockDiffers { .. }
                | AlarmKind::PoolClockDiffers { .. }
                | AlarmKind::CertificateShared { .. }
                | AlarmKind::CertificateEnds { .. }
                | AlarmKind::CaKeyLocked { .. }
                | AlarmKind::CaKeyUnusable { .. }
                | AlarmKind::RegistryDamaged
                | AlarmKind::InvitationGuessed { .. }
                | AlarmKind::HarvesterMissing { .. }
        )
    };
    let open = snapshot.alarms.iter().filter(|it| it.closed_at_unix_ms.is_none());
    let mut found: Vec<_> = open
        .filter(|it| is_of_connections(&it.kind))
        .map(|it| Diagnosis {
            what: it.kind.to_string(),
            remedy: Some(it.kind.remedy()),
        })
        .collect();
    if let FleetAnswer::Refused(refused) = ask_fleet(attached, FleetAsk::Refused).await? {
        found.extend(refused.iter().map(|it| refusal(it, now)));
    }
    let fleet = view(attached).await?;
    let waiting = fleet.members.iter().filter(|it| it.standing == Standing::Pending);
    found.extend(waiting.map(waits));
    if fleet.rotating {
        found.push(Diagnosis {
            what: match fleet.not_followed.as_slice() {
                [] => "the farm's authorities are being exchanged; nobody needs the old ones any more".to_owned(),
                names => format!(
                    "the farm's authorities are being exchanged; these still need the old ones: {}",
                    names.join(", ")
                ),
            },
            remedy: Some(
                "harvesters of farmconsole follow by themselves within six hours, invite the others again; then \
                 `farmconsole ca rotate --finish`"
                    .to_owned(),
            ),
        });
    }
    Ok(found)
}

/// Told by its fingerprint, since several may come from one address.
fn waits(member: &Member) -> Diagnosis {
    let fingerprint = member.newest().map(|it| it.sha256.to_string()).unwrap_or_default();
    let who = fingerprint.get(..16).unwrap_or(&fingerprint);
    Diagnosis {
        what: format!("{} waits to be let in", member.shown()),
        remedy: Some(format!(
            "`farmconsole harvester approve {who}` lets it in, `farmconsole harvester revoke {who}` keeps it out"
        )),
    }
}

fn refusal(it: &RefusalView, now_unix_ms: u64) -> Diagnosis {
    let ago = span(now_unix_ms.saturating_sub(it.last_unix_ms) / 1000);
    let times = plural(it.times, "time");
    let shown = it.certificate.as_ref().map(|it| format!("; {it}")).unwrap_or_default();
    Diagnosis {
        what: format!(
            "{} was refused {times}, last {ago} ago: {}{shown}",
            it.address, it.cause
        ),
        remedy: Some(it.cause.remedy(it.address)),
    }
}

/// What is wrong with the settings here and the way to the farmer; with the harvester that runs here, where that is fine.
async fn of_harvester(context: &Context, running: Option<Attached>) -> Vec<Diagnosis> {
    let mut found: Vec<_> = check_settings(&context.root.config_file(), &farmconsole::keys::address::check)
        .iter()
        .map(|finding| Diagnosis {
            what: finding.to_string(),
            remedy: finding.hint(),
        })
        .collect();
    let Ok(settings) = Settings::load(&context.root) else {
        // The findings say why they cannot be used.
        return found;
    };
    if let Some((what, remedy)) = examine_certificate(&context.root, farmconsole::system_clock::unix_now()) {
        found.push(Diagnosis {
            what,
            remedy: Some(remedy),
        });
    }
    if let Err((what, remedy)) = examine_farmer(&context.root, settings).await {
        found.push(Diagnosis {
            what,
            remedy: Some(remedy),
        });
        return found;
    }
    if let Some(mut running) = running
        && let Ok(machine) = running.machine().await
    {
        found.extend(of_running(machine.farmer.state));
    }
    found
}

/// What only the handshake of a harvester shows, as that an official farmer is on another network.
fn of_running(state: FarmerLinkState) -> Option<Diagnosis> {
    match state {
        FarmerLinkState::Failing { reason, hint } => Some(Diagnosis {
            what: format!("the harvester that runs here: {reason}"),
            remedy: Some(hint),
        }),
        _ => None,
    }
}
