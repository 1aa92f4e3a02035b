//! What is worth writing down of everything the farmer says.

use crate::farmer::PlotNews;
use crate::snapshot::{
    AlarmView, AttemptView, FarmRecord, Notice, PartialOutcome, PartialRow, PlotChangeRow, ProofView, SignagePointView,
};

/// One thing to write down.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fact {
    /// A signage point was sent to so many harvesters.
    SignagePoint(Box<SignagePointView>, u32),
    /// A harvester answered, or did not.
    Attempt(Box<AttemptView>),
    /// How far a proof is; replaces what was written of it.
    Proof(Box<ProofView>),
    /// What became of a partial.
    Partial(Box<PartialRow>),
    /// Plots came and went.
    PlotChange(Box<PlotChangeRow>),
    /// A plot sync in which all plots were new to the farmer, or none: what came and went is seen by what is written of
    /// the harvester. Else each start of the farmer would tell all plots again.
    Plots(Box<PlotChangeRow>),
    /// Where plots are from now on.
    PlotNews(PlotNews),
    /// An incident; replaces what was written of it.
    Alarm(Box<AlarmView>),
    /// What the next run should know.
    Record(Box<FarmRecord>),
}

impl Fact {
    /// The fact in a notice; `None` if it is not kept, or known otherwise.
    pub(super) fn of(notice: &Notice, unix_ms: impl FnOnce() -> u64) -> Option<Self> {
        Some(match notice {
            Notice::SignagePoint {
                signage_point,
                harvesters,
            } => Self::SignagePoint(Box::new(signage_point.clone()), *harvesters),
            Notice::Attempt { attempt } => Self::Attempt(Box::new(attempt.clone())),
            Notice::PlotSyncDone {
                name,
                plots,
                added,
                removed,
                removed_from,
                ..
            } => {
                let row = Box::new(PlotChangeRow {
                    at_unix_ms: unix_ms(),
                    harvester: name.clone(),
                    plots: *plots,
                    added: *added,
                    removed: *removed,
                    removed_from: removed_from.clone(),
                });
                if *removed > 0 || *added > 0 && added < plots {
                    Self::PlotChange(row)
                } else {
                    Self::Plots(row)
                }
            }
            Notice::PartialAccepted {
                pool,
                name,
                plot_file,
                points,
                after_ms,
            } => Self::Partial(Box::new(PartialRow {
                at_unix_ms: unix_ms(),
                pool: pool.clone(),
                harvester: name.clone(),
                plot_file: plot_file.clone(),
                points: *points,
                outcome: PartialOutcome::Accepted.word().to_owned(),
                step: None,
                detail: None,
                after_ms: *after_ms,
            })),
            Notice::PartialLost {
                pool,
                name,
                plot_file,
                outcome,
                step,
                reason,
                after_ms,
            } => Self::Partial(Box::new(PartialRow {
                at_unix_ms: unix_ms(),
                pool: pool.clone(),
                harvester: name.clone(),
                plot_file: plot_file.clone(),
                points: 0,
                outcome: outcome.word().to_owned(),
                step: Some(step.word().to_owned()),
                detail: Some(reason.clone()),
                after_ms: *after_ms,
            })),
            Notice::AlarmOpened { alarm } | Notice::AlarmClosed { alarm } | Notice::AlarmSeen { alarm } => {
                Self::Alarm(Box::new(alarm.clone()))
            }
            _ => return None,
        })
    }
}
