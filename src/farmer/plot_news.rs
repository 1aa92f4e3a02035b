//! What somebody who keeps a memory of the farm's plots beyond this run has to know: where each plot was last, so that the
//! next run can be told which of them it was not told of again ([`Input::PlotsMissing`](super::Input::PlotsMissing)).
//!
//! Harvesters are known by their certificates, because names and addresses change while the farmer is down.

use serde::Serializer;

use super::plot_lists::{PlotEntry, PlotLists};
use super::shared::Shared;
use crate::ids::{PeerId, PlotId};
use crate::snapshot::HarvesterId;

/// A change of what is known of plots. What tells of many is recorded by their number: the plots are in what was heard.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlotNews {
    /// All plots of a harvester, which wants to know what it had before and does not have now. Those are still remembered.
    Listed {
        /// Who.
        harvester: HarvesterId,
        /// Its certificate.
        certificate: PeerId,
        /// They.
        #[serde(serialize_with = "number_of_listed")]
        plots: ListedPlots,
    },
    /// Plots that a harvester has from now on.
    Added {
        /// Its certificate.
        certificate: PeerId,
        /// They.
        plots: Vec<PlotPlace>,
    },
    /// Plots that a harvester does not have any more, and that nobody misses.
    Forgotten {
        /// Its certificate.
        certificate: PeerId,
        /// They.
        #[serde(serialize_with = "number_of")]
        plots: Vec<PlotId>,
    },
    /// A harvester has another certificate.
    CertificateChanged {
        /// Before.
        from: PeerId,
        /// Now.
        to: PeerId,
    },
    /// A harvester left for good, and all its plots with it.
    Left {
        /// Its certificate.
        certificate: PeerId,
    },
}

/// A plot and its file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlotPlace {
    /// Where it is or was on its harvester.
    pub path: Box<str>,
    /// It.
    pub plot_id: PlotId,
}

impl From<(&Box<str>, &PlotEntry)> for PlotPlace {
    fn from((path, plot): (&Box<str>, &PlotEntry)) -> Self {
        Self {
            path: path.clone(),
            plot_id: plot.plot_id,
        }
    }
}

/// How far a comparison of a harvester's plots with those that are remembered is. One at a time, because each holds on to
/// a list: who connects again and again must not fill the memory with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Comparison {
    /// There is none.
    #[default]
    Over,
    /// It is under way.
    UnderWay,
    /// It is under way, and all plots were told anew since it began.
    Outdated,
}

impl Comparison {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }
}

/// The plots of a harvester at one moment. Takes no memory while the harvester still has the same.
#[derive(Clone, Debug)]
pub struct ListedPlots(Shared<PlotLists>);

impl ListedPlots {
    pub(super) const fn new(lists: Shared<PlotLists>) -> Self {
        Self(lists)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.plots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.plots.is_empty()
    }

    /// All, with their paths, in order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PlotId)> {
        self.0.plots.iter().map(|(path, plot)| (&**path, &plot.plot_id))
    }
}

impl PartialEq for ListedPlots {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

fn number_of_listed<S: Serializer>(plots: &ListedPlots, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(plots.len() as u64)
}

#[expect(clippy::ptr_arg, reason = "the form that serde calls")]
fn number_of<S: Serializer>(plots: &Vec<PlotId>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(plots.len() as u64)
}
