//! How selections move.

use farmconsole::snapshot::HarvesterId;

use super::super::message::Effect;
use super::super::model::Model;
use super::super::screen::Screen;
use super::lists::{ask_files, file_list};

/// How the selection moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    By(i64),
    First,
    Last,
}

impl Step {
    /// From row `at` (none is selected: the first step selects an end) among `count` rows.
    fn from(self, at: Option<usize>, count: usize) -> Option<usize> {
        let last = count.checked_sub(1)?;
        Some(match (self, at) {
            (Self::First, _) => 0,
            (Self::Last, _) => last,
            (Self::By(by), Some(at)) => {
                let by_abs = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                if by < 0 {
                    at.saturating_sub(by_abs)
                } else {
                    at.saturating_add(by_abs).min(last)
                }
            }
            (Self::By(by), None) => {
                if by < 0 {
                    last
                } else {
                    0
                }
            }
        })
    }
}

pub(super) fn page_rows(model: &Model) -> i64 {
    i64::from(model.size.1.saturating_sub(10)).max(1)
}

pub(super) fn step(model: &mut Model, step: Step) -> Vec<Effect> {
    if model.file_list().is_some() {
        return step_files(model, step);
    }
    match model.screen {
        Screen::Farm | Screen::Harvesters => {
            let ids: Vec<HarvesterId> = model.harvesters().iter().map(|h| h.id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.harvester);
            model.selection.harvester = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Proofs => {
            let numbers: Vec<u64> = model.proofs().iter().map(|p| p.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.proof);
            model.selection.proof = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
        Screen::Pools => {
            let ids: Vec<_> = model.pools().iter().map(|pool| pool.launcher_id).collect();
            let at = ids.iter().position(|id| Some(*id) == model.selection.pool);
            model.selection.pool = step.from(at, ids.len()).map(|n| ids[n]);
        }
        Screen::Alarms => {
            let numbers: Vec<u64> = model.alarms().iter().map(|a| a.number).collect();
            let at = numbers.iter().position(|n| Some(*n) == model.selection.alarm);
            model.selection.alarm = step.from(at, numbers.len()).map(|n| numbers[n]);
        }
        Screen::Plots => {}
        Screen::Messages => step_messages(model, step),
    }
    Vec::new()
}

/// Nothing selected means following the newest, which is the last row.
fn step_messages(model: &mut Model, step: Step) {
    let numbers: Vec<u64> = model.entries().map(|e| e.number).collect();
    let at = numbers.iter().position(|n| Some(*n) == model.selection.entry);
    let follows = model.selection.entry.is_none();
    let to_the_end =
        matches!(step, Step::Last) || matches!((step, at), (Step::By(1..), Some(at)) if at + 1 >= numbers.len());
    model.selection.entry = if to_the_end || (follows && matches!(step, Step::By(1..))) {
        None
    } else {
        step.from(at, numbers.len()).map(|n| numbers[n])
    };
}

fn step_files(model: &mut Model, step: Step) -> Vec<Effect> {
    let Some(list) = file_list(model) else {
        return Vec::new();
    };
    let Some(total) = list.total() else {
        return Vec::new();
    };
    let at = usize::try_from(list.selected).ok();
    let count = usize::try_from(total).unwrap_or(usize::MAX);
    list.selected = step.from(at, count).map_or(0, |n| n as u64);
    if list.runs_out() { ask_files(model) } else { Vec::new() }
}
