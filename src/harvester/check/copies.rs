//! Which of several files with the same plot is the plot, and which are copies of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{PlotReport, Verdict};
use crate::ids::PlotId;

/// A file whose plot another file holds too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlotCopy {
    /// It.
    pub path: PathBuf,
    /// The one to keep: a valid one, if there is any.
    pub of: PathBuf,
}

/// The files of every plot that was seen. A valid file is never a copy of one that is not: whoever removes the copies
/// must keep what can be farmed.
#[derive(Debug, Default)]
pub(super) struct Copies {
    plots: BTreeMap<PlotId, Files>,
}

/// The files of one plot.
#[derive(Debug)]
struct Files {
    /// The first valid one; the first one of all while none is valid.
    original: PathBuf,
    is_valid: bool,
    others: Vec<PathBuf>,
}

impl Copies {
    /// One more file was checked. The one it is a copy of, as far as that is known by now.
    pub(super) fn handle_report(&mut self, report: &PlotReport) -> Option<PathBuf> {
        let plot = report.plot.as_ref()?;
        let is_valid = report.verdict == Verdict::Valid;
        let Some(files) = self.plots.get_mut(&plot.plot_id) else {
            let files = Files {
                original: report.path.clone(),
                is_valid,
                others: Vec::new(),
            };
            self.plots.insert(plot.plot_id, files);
            return None;
        };
        if is_valid && !files.is_valid {
            let damaged = std::mem::replace(&mut files.original, report.path.clone());
            files.is_valid = true;
            files.others.push(damaged);
            return None;
        }
        files.others.push(report.path.clone());
        Some(files.original.clone())
    }

    /// Every copy, by name.
    pub(super) fn into_list(self) -> Vec<PlotCopy> {
        let of_plot = |Files { original, others, .. }| {
            let copy = move |path| PlotCopy {
                path,
                of: PathBuf::clone(&original),
            };
            others.into_iter().map(copy)
        };
        let mut all: Vec<_> = self.plots.into_values().flat_map(of_plot).collect();
        all.sort();
        all
    }
}
