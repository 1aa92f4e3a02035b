//! Plots that are made for the contract of a plotNFT which is in no list of pools here: no partial is sent for them, and
//! what they win goes to that contract. Told from what harvesters list, so that it is known whatever happened before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Pools;
use crate::clock::{Mono, Now};
use crate::farmer::Farmer;
use crate::farmer::timers::Timer;
use crate::ids::PuzzleHash;
use crate::snapshot::{AlarmKind, HarvesterId, PlotNftLeft};

/// What is known of plots without a plotNFT.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Unlisted {
    /// Whether the list of pools was read at all.
    is_read: bool,
    /// Whether all of it can be read: what is missing in half a list may be in the other half.
    is_broken: bool,
    /// Their contracts, and since when none of the list has them.
    since: BTreeMap<PuzzleHash, Mono>,
    /// PlotNFTs that have left the list since the start, and the pools they had, by contract.
    left: BTreeMap<PuzzleHash, PlotNftLeft>,
}

impl Unlisted {
    /// The list of pools can be read, or not all of it.
    pub(super) const fn set_broken(&mut self, is_broken: bool) {
        self.is_broken = is_broken;
    }

    /// Whether not all of it can be read.
    pub(super) const fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The list was read, and these have left it.
    pub(super) fn note_read(&mut self, left: BTreeMap<PuzzleHash, PlotNftLeft>) {
        self.is_read = true;
        for (contract, plot_nft) in left {
            if self.left.len() < MAX_LEFT {
                self.left.insert(contract, plot_nft);
            }
        }
    }
}

/// Plots of one contract.
#[derive(Default)]
struct Found {
    plots: u64,
    harvesters: BTreeSet<HarvesterId>,
}

impl Farmer {
    /// Opens, updates or closes the alarms of plots without a plotNFT.
    pub(in crate::farmer) fn review_unlisted_plots(&mut self, now: Now) {
        if !self.pools.unlisted.is_read {
            return;
        }
        let mut found = self.plots_without_plot_nft();
        let Pools { pools, unlisted, .. } = &mut self.pools;
        unlisted.left.retain(|contract, _| !pools.contains_key(contract));
        unlisted.since.retain(|contract, _| found.contains_key(contract));
        if unlisted.is_broken {
            // Those that were told of before.
            found.retain(|contract, _| unlisted.since.get(contract).is_some_and(|it| is_due(now, *it)));
            unlisted.since.retain(|contract, _| found.contains_key(contract));
        }
        // Those that have waited longest keep their place, whoever makes contracts up.
        let mut rest: Vec<_> = found.iter().filter(|it| !unlisted.since.contains_key(it.0)).collect();
        rest.sort_by_key(|(_, of)| std::cmp::Reverse(of.plots));
        for (contract, _) in rest {
            if unlisted.since.len() < MAX_UNLISTED {
                unlisted.since.insert(*contract, now.mono);
            }
        }
        let (told, waiting): (Vec<_>, Vec<_>) = unlisted.since.iter().partition(|(_, since)| is_due(now, **since));
        let next = waiting.iter().map(|(_, since)| **since + TOLD_AFTER).min();
        let alarms = told.into_iter().filter_map(|(contract, _)| {
            let Found { plots, harvesters } = found.get(contract)?;
            let names = harvesters.iter().take(MAX_NAMES).map(|id| self.harvesters.name(*id));
            Some(AlarmKind::PlotNftGone {
                contract: *contract,
                plots: *plots,
                harvesters: names.collect(),
                left: unlisted.left.get(contract).cloned().map(Box::new),
            })
        });
        let alarms: Vec<_> = alarms.collect();
        self.timers.put(Timer::UnlistedPlots, next);
        let keys: BTreeSet<_> = alarms.iter().map(AlarmKind::key).collect();
        self.close_alarms(now, |kind| {
            matches!(kind, AlarmKind::PlotNftGone { .. }) && !keys.contains(&kind.key())
        });
        for alarm in alarms {
            self.raise(now, alarm);
        }
    }

    /// By contract, as each harvester listed them last; one that is away for a moment still has them.
    fn plots_without_plot_nft(&self) -> BTreeMap<PuzzleHash, Found> {
        let mut found = BTreeMap::<PuzzleHash, Found>::new();
        for (id, slot) in self.harvesters.all().filter(|(_, slot)| !slot.revoked) {
            let contracts = slot.lists.contracts().iter();
            for (contract, of) in contracts.filter(|it| !self.pools.pools.contains_key(it.0)) {
                let found = found.entry(*contract).or_default();
                found.plots += of.count();
                found.harvesters.insert(id);
            }
        }
        found
    }
}

fn is_due(now: Now, since: Mono) -> bool {
    now.mono.since(since) >= TOLD_AFTER
}

/// The wallet writes its list in place, and half of it may look whole.
const TOLD_AFTER: Duration = Duration::from_secs(30);

/// Contracts that there are alarms of.
const MAX_UNLISTED: usize = 16;

/// PlotNFTs that have left and are remembered with their pools.
const MAX_LEFT: usize = 64;

/// Harvesters that an alarm names.
const MAX_NAMES: usize = 8;
