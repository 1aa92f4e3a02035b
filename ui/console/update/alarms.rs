//! What a person does about alarms.

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
