//! The list commands: `challenges`, `attempts`, `messages`, `alarms`. One line an item, or one JSON object a line.

use std::io::{StdoutLock, Write};

use farmconsole::control::{Ask, Event, Role, Watch};
use farmconsole::handle::{FeedEvent, RecentKind};
use farmconsole::snapshot::{AlarmView, AttemptOutcome, AttemptView, MessageRecord, Notice};

use crate::context::{Attached, Context, not_attached};
use crate::exit::{Ended, Failure, Outcome};
use crate::format::{lookup_time, safe};
use crate::harvester;
use crate::json::json_line;
use crate::out::Out;
use crate::time::{clock_time, clock_time_ms, date_time};

/// `farmconsole challenges`: newest first, as `chia farm challenges` prints them.
pub(crate) async fn challenges(context: &Context, limit: u32, json: bool) -> Outcome {
    let mut events = context.attach().await?.recent(RecentKind::SignagePoints, limit).await?;
    events.reverse();
    let mut out = context.out(json);
    for event in events {
        let FeedEvent::Notice(Notice::SignagePoint { signage_point, .. }) = event else {
            continue;
        };
        if json {
            writeln!(out, "{}", json_line(&signage_point)?)?;
        } else {
            writeln!(
                out,
                "Hash: 0x{} Index: {}",
                signage_point.challenge_hash, signage_point.signage_point_index
            )?;
        }
    }
    Ok(Ended::Fine)
}

/// `farmconsole attempts`: oldest first, so that following goes on below.
pub(crate) async fn attempts(context: &Context, limit: u32, follow: bool, json: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let watch = Watch {
        notices: true,
        ..Watch::default()
    };
    list(
        || context.out(json),
        &mut attached,
        RecentKind::Attempts,
        limit,
        follow.then_some(watch),
        |event| match event {
            FeedEvent::Notice(Notice::Attempt { attempt }) => Some(if json {
                json_line(attempt)
            } else {
                Ok(attempt_line(attempt))
            }),
            _ => None,
        },
    )
    .await
}

/// `farmconsole messages`: protocol messages as they pass.
pub(crate) async fn messages(context: &Context, limit: u32, follow: bool, json: bool) -> Outcome {
    let mut attached = context.attach().await?;
    let watch = Watch {
        messages: true,
        ..Watch::default()
    };
    list(
        || context.out(json),
        &mut attached,
        RecentKind::Messages,
        limit,
        follow.then_some(watch),
        |event| match event {
            FeedEvent::Message(record) => Some(if json {
                json_line(record)
            } else {
                Ok(message_line(record))
            }),
            _ => None,
        },
    )
    .await
}

/// `farmconsole alarms`: exit status 1 if there is one. An alarm may be days old, so it comes with its date; number and rule
/// are what `ack` and `silence` take.
pub(crate) async fn alarms(context: &Context, json: bool) -> Outcome {
    let mut attached = context.attach_any().await?;
    if attached.client.hello().role == Role::Harvester {
        let machine = attached.machine().await?;
        return harvester::status::alarms(context.out(json), &machine, &context.commands, json);
    }
    let snapshot = attached.snapshot().await?;
    let mut out = context.out(json);
    for alarm in &snapshot.alarms {
        if json {
            writeln!(out, "{}", json_line(alarm)?)?;
            continue;
        }
        writeln!(
            out,
            "{} {}{} [{}, {}]",
            date_time(alarm.opened_at_unix_ms),
            safe(&alarm.text),
            said_about(alarm),
            alarm.number,
            alarm.kind.rule()
        )?;
        writeln!(out, "         {}", safe(&context.commands.here(&alarm.remedy)))?;
    }
    if snapshot.alarms.is_empty() && !json {
        writeln!(out, "no alarms")?;
    }
    Ok(if snapshot.alarms.is_empty() {
        Ended::Fine
    } else {
        Ended::SomethingWrong
    })
}

/// What a person has said about an alarm.
const fn said_about(alarm: &AlarmView) -> &'static str {
    match (alarm.acknowledged, alarm.silenced) {
        (true, true) => " (seen, silenced)",
        (true, false) => " (seen)",
        (false, true) => " (silenced)",
        (false, false) => "",
    }
}

/// Prints the recent events and, when `follow` says what to watch, those to come until the farmer ends.
async fn list(
    out: impl Fn() -> Out<StdoutLock<'static>>,
    attached: &mut Attached,
    kind: RecentKind,
    limit: u32,
    follow: Option<Watch>,
    print: impl Fn(&FeedEvent) -> Option<Result<String, Failure>>,
) -> Outcome {
    // Watching begins before the past is asked for, so that nothing falls between the two; what comes twice is dropped.
    if let Some(watch) = follow {
        attached.ask(Ask::Watch(watch)).await?;
    }
    let past = attached.recent(kind, limit).await?;
    for event in &past {
        emit(out(), print(event))?;
    }
    if follow.is_none() {
        return Ok(Ended::Fine);
    }
    let mut twice: Vec<FeedEvent> = past;
    loop {
        match attached.client.next_event().await.map_err(not_attached)? {
            Event::Feed(event) => {
                if let Some(at) = twice.iter().position(|seen| *seen == event) {
                    twice.drain(..=at);
                    continue;
                }
                emit(out(), print(&event))?;
            }
            Event::Skipped(count) => {
                let mut err = Out::for_errors();
                writeln!(err, "farmconsole: {count} events came too fast and are not shown")?;
            }
            Event::Reply(_) | Event::Snapshot(_) | Event::Machine(_) | Event::Recording(_) => {}
        }
    }
}

fn emit(mut out: impl Write, text: Option<Result<String, Failure>>) -> Result<(), Failure> {
    if let Some(text) = text {
        writeln!(out, "{}", text?)?;
    }
    Ok(())
}

/// `14:02:27  barn-3            3/864  0 proofs   0.21 s  signage point 37`, with room for the longest name.
fn attempt_line(attempt: &AttemptView) -> String {
    let head = format!(
        "{}  {:<32}",
        clock_time(attempt.at_unix_ms),
        safe(&attempt.harvester_name)
    );
    let point = attempt.signage_point_index;
    match &attempt.outcome {
        AttemptOutcome::Answered {
            passed,
            total,
            proofs,
            lookup_ms,
            ..
        } => {
            let ratio = format!("{passed}/{total}");
            let noun = if *proofs == 1 { "proof " } else { "proofs" };
            format!(
                "{head} {ratio:>12}  {proofs} {noun}  {:>8}  signage point {point}",
                lookup_time(*lookup_ms)
            )
        }
        AttemptOutcome::NoAnswer { total, after_s } => {
            let ratio = format!("–/{total}");
            format!("{head} {ratio:>12}  no answer by {after_s} s     signage point {point}")
        }
    }
}

fn message_line(record: &MessageRecord) -> String {
    let detail = if record.detail.is_empty() {
        String::new()
    } else {
        format!("  {}", safe(&record.detail))
    };
    format!(
        "{} {} ({}){detail}",
        clock_time_ms(record.at_unix_ms),
        record,
        safe(&record.peer_name)
    )
}

#[cfg(test)]
mod tests {
    use farmconsole::ids::{ChallengeHash, SpHash};
    use farmconsole::snapshot::{AlarmKind, HarvesterId};

    use super::*;

    #[test]
    fn an_alarm_that_is_seen_and_silenced_says_both() {
        let kind = AlarmKind::NoKeys;
        let mut alarm = AlarmView {
            number: 1,
            severity: kind.severity(),
            text: kind.to_string(),
            remedy: kind.remedy(),
            kind,
            opened_at_unix_ms: 0,
            updated_at_unix_ms: 0,
            closed_at_unix_ms: None,
            acknowledged: true,
            silenced: true,
            cut_short: false,
        };
        assert_eq!(said_about(&alarm), " (seen, silenced)");
        alarm.acknowledged = false;
        assert_eq!(said_about(&alarm), " (silenced)");
    }

    #[test]
    fn answers_of_the_longest_name_stand_in_line() {
        let line = |name: &str| {
            attempt_line(&AttemptView {
                at_unix_ms: 0,
                harvester: HarvesterId(1),
                harvester_name: name.into(),
                sp_hash: SpHash([0; 32]),
                challenge_hash: ChallengeHash([0; 32]),
                signage_point_index: 37,
                outcome: AttemptOutcome::Answered {
                    passed: 3,
                    total: 864,
                    proofs: 0,
                    lookup_ms: 210,
                    round_trip_ms: 220,
                },
            })
        };
        let at = |name: &str| line(name).find("3/864");
        assert_eq!(at("barn-3"), at("basement-shelf-by-the-window-aaa"));
    }
}
