//! What a person does about alarms.

use farmconsole::snapshot::AlarmView;

use super::super::message::Effect;
use super::super::model::Model;

pub(super) fn acknowledge(model: &mut Model) -> Vec<Effect> {
    let selected = model.selection.alarm;
    let rows = model.alarms();
    let alarm = rows
        .iter()
        .filter(|a| a.closed_at_unix_ms.is_none() && !a.acknowledged)
        .find(|a| selected.is_none_or(|number| number == a.number))
        .map(|a| a.number);
    match alarm {
        Some(number) => vec![Effect::Acknowledge(number)],
        None => {
            model.remark = Some("nothing to acknowledge here".to_owned());
            Vec::new()
        }
    }
}

/// Silences the rule of the selected (or first) open alarm on its machine, or ends that.
pub(super) fn silence(model: &mut Model) -> Vec<Effect> {
    let selected = model.selection.alarm;
    let rows = model.alarms();
    let mut open = rows.iter().filter(|a| a.closed_at_unix_ms.is_none());
    let alarm = open.find(|a| selected.is_none_or(|number| number == a.number));
    match alarm {
        Some(alarm) => vec![Effect::Silence {
            rule: alarm.kind.rule(),
            machine: alarm.kind.machine(),
            for_s: if alarm.silenced { 0 } else { 3_600 },
        }],
        None => {
            model.remark = Some("nothing to silence here".to_owned());
            Vec::new()
        }
    }
}

/// Numbers of the open alarms as they stand on the screen.
pub(super) fn open_alarms(model: &Model) -> Vec<u64> {
    let rows = model.alarms().into_iter();
    rows.filter(|a| a.closed_at_unix_ms.is_none())
        .map(|a| a.number)
        .collect()
}

/// Acknowledging some alarms ends them: then the one that stands where the selected one stood among those that were
/// `open` is selected, since the next key is meant for an open one.
pub(super) fn keep_among_open(model: &mut Model, open: &[u64]) {
    let Some(selected) = model.selection.alarm else { return };
    let Some(at) = open.iter().position(|number| *number == selected) else {
        return;
    };
    let rows = model.alarms();
    let has_ended = |a: &&AlarmView| a.number == selected && a.closed_at_unix_ms.is_some() && a.acknowledged;
    if rows.iter().any(has_ended) {
        let open = open_alarms(model);
        model.selection.alarm = open.get(at).or_else(|| open.last()).copied();
    }
}
