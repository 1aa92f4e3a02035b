//! How many partials a pool can expect of the plots that are made for it: told beside what it got, and an alarm when there
//! are hardly any to expect, or none where there should have been many.
//!
//! A partial is a proof that needs fewer iterations than a signage point of pools is long, at the pool's difficulty: the
//! same odds as those of a block ([`luck`](super::super::luck)), with other numbers.

use super::Pool;
use crate::clock::Now;
use crate::farmer::Farmer;
use crate::farmer::luck::{odds, passing_shares};
use crate::farmer::plot_lists::ContractPlots;
use crate::ids::{ChallengeHash, PuzzleHash, SpHash};
use crate::pos::iterations::pool_sp_interval_iters;
use crate::snapshot::{AlarmKind, HarvesterId, PoolView};
use crate::units::Difficulty;
use crate::wire::NewSignagePoint;

impl Farmer {
    /// Pools as people see them.
    pub(in crate::farmer) fn pool_views(&self, now: Now) -> Vec<PoolView> {
        let view = |pool: &Pool| {
            let plots = self.plots_of(&pool.contract());
            PoolView {
                plots: plots.count(),
                expected_partials_24h: self.expected_partials(pool, &plots).map(|it| (it * 1e6).round() / 1e6),
                ..pool.view(now, self.pools.partials.of(&pool.contract()))
            }
        };
        self.pools.pools.values().map(view).collect()
    }

    /// A harvester has looked a signage point up: so many partials were to be expected.
    pub(in crate::farmer) fn count_awaited_partials(
        &mut self,
        now: Now,
        id: HarvesterId,
        sp_hash: &SpHash,
        challenge_hash: &ChallengeHash,
    ) {
        let point = self.signage_points.get(sp_hash);
        let message = point.and_then(|point| point.of_challenge(challenge_hash));
        let (Some(message), Some(slot)) = (message, self.harvesters.get(id)) else {
            return;
        };
        let mut absent = Vec::new();
        for (contract, plots) in slot.lists.contracts() {
            let Some(pool) = self.pools.pools.get_mut(contract) else {
                continue;
            };
            let Some(difficulty) = pool.wanted() else { continue };
            pool.awaited += self.config.partials_of(message, difficulty, plots);
            if pool.awaited >= ABSENT_TOLD {
                absent.push(AlarmKind::PartialsAbsent {
                    pool: pool.label(),
                    launcher_id: pool.joined.membership.launcher_id,
                    expected: whole(pool.awaited),
                });
            }
        }
        for alarm in absent {
            self.raise(now, alarm);
        }
    }

    /// A partial was found, whatever becomes of it.
    pub(super) fn note_partial_found(&mut self, now: Now, contract: &PuzzleHash) {
        let Some(pool) = self.pools.pools.get_mut(contract) else {
            return;
        };
        let was_awaited = std::mem::take(&mut pool.awaited);
        if was_awaited >= ABSENT_TOLD {
            let launcher_id = Some(pool.joined.membership.launcher_id);
            self.close_alarms(now, |kind| {
                matches!(kind, AlarmKind::PartialsAbsent { .. }) && kind.launcher_id() == launcher_id
            });
        }
    }

    /// The pool has said what difficulty it wants: opens or closes the alarm that next to nothing can reach it. Not before
    /// it is so for a while: harvesters come one by one, and pools change their minds.
    pub(super) fn review_rarity(&mut self, now: Now, contract: &PuzzleHash) {
        let is_missing_some = self
            .harvesters
            .all()
            .any(|(_, slot)| !slot.revoked && !slot.is_synced());
        let plots = self.plots_of(contract);
        let expected = self
            .pools
            .pools
            .get(contract)
            .and_then(|pool| self.expected_partials(pool, &plots));
        let (Some(pool), Some(expected)) = (self.pools.pools.get_mut(contract), expected) else {
            return;
        };
        let alarm = AlarmKind::PartialsRare {
            pool: pool.label(),
            launcher_id: pool.joined.membership.launcher_id,
            difficulty: pool.difficulty.unwrap_or_default(),
            plots: plots.count(),
            every_s: whole(DAY_S / expected),
        };
        if plots.count() == 0 || expected >= RARE_BELOW {
            pool.rare_answers = 0;
            self.close_alarm(now, &alarm);
            if plots.count() == 0 {
                // There is nothing to wait for.
                self.note_partial_found(now, contract);
            }
        } else if !is_missing_some {
            pool.rare_answers = pool.rare_answers.saturating_add(1);
            if pool.rare_answers >= RARE_TOLD {
                self.raise(now, alarm);
            }
        }
    }

    /// Plots that are made for a contract, on harvesters that are connected.
    fn plots_of(&self, contract: &PuzzleHash) -> ContractPlots {
        let mut sum = ContractPlots::default();
        let connected = self.harvesters.connected().filter(|(_, _, session)| session.synced);
        for plots in connected.filter_map(|(_, slot, _)| slot.lists.contracts().get(contract)) {
            sum.add(plots);
        }
        sum
    }

    /// Partials a day that these plots find on average, once it is known what the pool wants.
    fn expected_partials(&self, pool: &Pool, plots: &ContractPlots) -> Option<f64> {
        let difficulty = pool.wanted()?;
        let message = self.signage_points.newest()?.1.first()?;
        let points = DAY_S / self.missed.interval().as_secs_f64();
        Some(points * self.config.partials_of(message, difficulty, plots))
    }
}

impl crate::farmer::FarmerConfig {
    /// Partials that these plots find at one signage point, on average.
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    fn partials_of(&self, message: &NewSignagePoint, difficulty: Difficulty, plots: &ContractPlots) -> f64 {
        let c = &self.constants;
        let odds = odds(c, pool_sp_interval_iters(c), difficulty);
        let kinds = passing_shares(c, message)
            .into_iter()
            .zip(plots.plots.into_iter().zip(plots.expected_bytes));
        // No plot that passes has more than one proof on average, however easy it is.
        kinds
            .map(|(share, (plots, bytes))| share * (bytes * odds).min(plots as f64))
            .sum()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; saturates"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

const DAY_S: f64 = 24.0 * 3600.0;

/// Partials a day. Pools and their windows of pay count by the day: of fewer most days see none at all, so that nobody can
/// tell a pool that works from one that does not.
const RARE_BELOW: f64 = 1.0;

/// Answers of the pool in a row; five minutes lie between two.
const RARE_TOLD: u32 = 3;

/// That none comes where so many were to be expected happens by chance once in 500 million times.
const ABSENT_TOLD: f64 = 20.0;
