//! Which plots are farmed more than once, by plot id: kept up to date plot by plot, because asking 100,000 plots at every
//! snapshot would be too slow.
//!
//! Official harvesters find duplicates by file name only, so the same plot under two names counts here too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::shared::Shared;
use crate::ids::PlotId;
use crate::snapshot::HarvesterId;

/// Every plot of every connected harvester.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct SharedPlots {
    holders: Shared<BTreeMap<PlotId, Holders>>,
    /// Plots of a harvester that are farmed more than once.
    of_harvester: BTreeMap<HarvesterId, u64>,
    shared: u64,
}

/// Nearly every plot has one holder, who needs no allocation. A harvester that has a plot twice is in here twice.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Holders {
    first: HarvesterId,
    others: Vec<HarvesterId>,
}

impl SharedPlots {
    /// A harvester farms a plot.
    pub(super) fn insert(&mut self, plot_id: PlotId, harvester: HarvesterId) {
        let holders = match self.holders.entry(plot_id) {
            Entry::Occupied(holders) => holders.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Holders {
                    first: harvester,
                    others: Vec::new(),
                });
                return;
            }
        };
        if holders.others.is_empty() {
            self.shared += 1;
            *self.of_harvester.entry(holders.first).or_default() += 1;
        }
        holders.others.push(harvester);
        *self.of_harvester.entry(harvester).or_default() += 1;
    }

    /// A harvester farms a plot no longer, or once less.
    pub(super) fn remove(&mut self, plot_id: &PlotId, harvester: HarvesterId) {
        let Some(holders) = self.holders.get_mut(plot_id) else {
            return;
        };
        let Some(next) = holders.others.pop() else {
            if holders.first == harvester {
                self.holders.remove(plot_id);
            }
            return;
        };
        if next != harvester {
            // The one that was taken off the end goes where `harvester` was.
            let place = std::iter::once(&mut holders.first)
                .chain(&mut holders.others)
                .find(|it| **it == harvester);
            match place {
                Some(place) => *place = next,
                None => {
                    holders.others.push(next);
                    return;
                }
            }
        }
        let left = holders.others.is_empty().then_some(holders.first);
        self.less(harvester);
        if let Some(left) = left {
            self.shared -= 1;
            self.less(left);
        }
    }

    /// Plots of this harvester that are farmed more than once.
    pub(super) fn of(&self, harvester: HarvesterId) -> u64 {
        self.of_harvester.get(&harvester).copied().unwrap_or(0)
    }

    /// Plots that are farmed more than once.
    pub(super) const fn total(&self) -> u64 {
        self.shared
    }

    /// Harvesters that have such plots.
    pub(super) fn harvesters(&self) -> impl Iterator<Item = HarvesterId> {
        self.of_harvester.keys().copied()
    }

    /// Whether anybody farms this plot.
    pub(super) fn is_farmed(&self, plot_id: &PlotId) -> bool {
        self.holders.contains_key(plot_id)
    }

    /// Harvesters that farm this plot.
    pub(super) fn holders_of(&self, plot_id: &PlotId) -> impl Iterator<Item = HarvesterId> {
        let holders = self.holders.get(plot_id).into_iter();
        holders.flat_map(|holders| std::iter::once(holders.first).chain(holders.others.iter().copied()))
    }

    /// Whether this plot is farmed more than once.
    pub(super) fn is_shared(&self, plot_id: &PlotId) -> bool {
        let holders = self.holders.get(plot_id);
        holders.is_some_and(|holders| !holders.others.is_empty())
    }

    fn less(&mut self, harvester: HarvesterId) {
        if let Some(count) = self.of_harvester.get_mut(&harvester) {
            *count -= 1;
            if *count == 0 {
                self.of_harvester.remove(&harvester);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_agree_with_counting_all(steps in prop::collection::vec((any::<bool>(), 0_u8..5, 0_u32..4), 0..200)) {
            let mut shared = SharedPlots::default();
            let mut model: BTreeMap<PlotId, Vec<HarvesterId>> = BTreeMap::new();
            for (insert, plot, harvester) in steps {
                let (plot, harvester) = (PlotId([plot; 32]), HarvesterId(harvester));
                let holders = model.entry(plot).or_default();
                if insert {
                    holders.push(harvester);
                    shared.insert(plot, harvester);
                } else {
                    if let Some(place) = holders.iter().position(|it| *it == harvester) {
                        holders.remove(place);
                    }
                    shared.remove(&plot, harvester);
                }
                let many = || model.values().filter(|holders| holders.len() > 1);
                prop_assert_eq!(shared.total(), many().count() as u64);
                for id in (0..4).map(HarvesterId) {
                    let of = many().flatten().filter(|holder| **holder == id).count() as u64;
                    prop_assert_eq!(shared.of(id), of);
                    prop_assert_eq!(shared.harvesters().any(|it| it == id), of > 0);
                }
                prop_assert_eq!(shared.is_farmed(&plot), !model[&plot].is_empty());
                let mut holders: Vec<_> = shared.holders_of(&plot).collect();
                holders.sort_unstable();
                model.get_mut(&plot).unwrap().sort_unstable();
                prop_assert_eq!(&holders, &model[&plot]);
                prop_assert_eq!(shared.is_shared(&plot), model[&plot].len() > 1);
            }
        }
    }
}
