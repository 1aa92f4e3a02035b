//! Pools: what each is asked and when, what it says, and the partials that go to it.
//!
//! A pool is known by the contract its plots are made for. It is asked for its terms once an hour and for our account
//! every five minutes; its difficulty goes out with every signage point, so that harvesters send what is good enough for
//! it. Everything it answers changes only its own state: a pool that fails or misbehaves harms no other.
//!
//! Nothing here signs or sends: requests leave as [`Output::AskPool`] and come back as `Input::PoolAnswered`.

pub(super) mod exchange;
mod expectation;
mod judging;
mod partial;
mod pool;
mod submission;
mod unlisted;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use exchange::{JoinedPool, PartialSubmission, PoolAnswer, PoolFailure, PoolMembership, PoolReply, PoolRequest};

use super::Farmer;
use super::clock_set::ClockSet;
use super::numbers::{JobId, ProofNumber};
use super::output::Output;
use super::proofs::{Job, Source, millis};
use super::timers::Timer;
use crate::clock::{Mono, Now};
use crate::ids::{Bytes32, LauncherId, PuzzleHash};
use crate::pos::iterations::is_stricter;
use crate::snapshot::{AlarmKind, Notice, OwnerNeed, PartialOutcome, PlotNftLeft, PoolAnswerView};
use crate::units::{Difficulty, SubSlotIters};
use crate::wire::limits::MAX_POOL_DIFFICULTIES;
use crate::wire::pool::{PoolVersion, authentication_token, error_code};
use crate::wire::{NewSignagePoint, PoolDifficulty};

use exchange::Asked;
use partial::Partials;
pub use pool::launcher_spread;
use pool::{Pool, Registration};
use unlisted::Unlisted;

/// All pools, by the contract their plots are made for, and the partials on their way.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Pools {
    pools: BTreeMap<PuzzleHash, Pool>,
    partials: Partials,
    #[serde(default)]
    unlisted: Unlisted,
}

impl Pools {
    /// The wall clock was set.
    pub(super) fn carry_times(&mut self, set: &ClockSet) {
        for pool in self.pools.values_mut() {
            set.carry(&mut pool.failing_since_unix_ms);
        }
    }

    /// What harvesters are told with a signage point: as many as an official one takes. A pool that wants better proofs
    /// than the chain is left out, because harvesters go by the pool alone, and blocks would be lost. What is good enough
    /// for it is good enough for the chain.
    pub(super) fn difficulties(
        &self,
        pool_sub_slot_iters: SubSlotIters,
        point: &NewSignagePoint,
    ) -> Vec<PoolDifficulty> {
        let chain = (point.difficulty, point.sub_slot_iters);
        let is_no_stricter = |it: &PoolDifficulty| !is_stricter((it.difficulty, it.sub_slot_iters), chain);
        let of = |pool: &Pool| {
            Some(PoolDifficulty {
                difficulty: Difficulty(pool.difficulty?),
                sub_slot_iters: pool_sub_slot_iters,
                pool_contract_puzzle_hash: pool.contract(),
            })
        };
        let asked = self.pools.values().filter(|pool| !pool.is_self_pooling());
        let told = asked.filter_map(of).filter(is_no_stricter);
        told.take(MAX_POOL_DIFFICULTIES).collect()
    }

    /// The harvesters that have the partial which a proof has become, while it is on its way.
    pub(super) fn sources_of_partial(&mut self, proof: ProofNumber) -> Option<&mut Vec<Source>> {
        let mut live = self.partials.live.values_mut();
        live.find(|partial| partial.of == proof)
            .map(|partial| &mut partial.sources)
    }

    /// Hashes made of partials.
    pub(super) fn own_hashes(&self) -> impl Iterator<Item = Bytes32> {
        self.partials.own_hashes()
    }

    /// Sizes of everything that could grow with partials.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [(&'static str, usize, usize); 2] {
        self.partials.sizes()
    }
}

impl Farmer {
    /// The wallet has joined or left pools, or keys were imported.
    pub(super) fn handle_pools(&mut self, now: Now, mut joined: Vec<JoinedPool>) {
        if self.pools.unlisted.is_broken() {
            // What is missing may be what cannot be read: it stays as it was.
            let is_missing = |pool: &&Pool| {
                let (known, mut listed) = (&pool.joined.membership, joined.iter().map(|it| &it.membership));
                listed.all(|it| {
                    it.launcher_id != known.launcher_id && it.p2_singleton_puzzle_hash != known.p2_singleton_puzzle_hash
                })
            };
            let missing = self.pools.pools.values().filter(is_missing);
            let missing: Vec<_> = missing.map(|pool| pool.joined.clone()).collect();
            joined.extend(missing);
        }
        let kept: BTreeSet<PuzzleHash> = joined.iter().map(|it| it.membership.p2_singleton_puzzle_hash).collect();
        let is_left = |(contract, pool): (&PuzzleHash, &Pool)| {
            let mut same = joined
                .iter()
                .filter(|it| it.membership.p2_singleton_puzzle_hash == *contract);
            same.next().is_none_or(|it| pool.is_other(it)).then_some(*contract)
        };
        let left: Vec<PuzzleHash> = self.pools.pools.iter().filter_map(is_left).collect();
        for contract in left {
            self.leave_pool(now, contract);
        }
        let mut gone = BTreeMap::new();
        self.pools.pools.retain(|contract, pool| {
            let is_kept = kept.contains(contract);
            if !is_kept {
                self.timers.clear(Timer::Pool(*contract));
                let plot_nft = PlotNftLeft {
                    launcher_id: pool.joined.membership.launcher_id,
                    pool: (!pool.is_self_pooling()).then(|| pool.label()),
                };
                gone.insert(*contract, plot_nft);
            }
            is_kept
        });
        let is_gone = |launcher_id: LauncherId| gone.values().any(|it| it.launcher_id == launcher_id);
        self.close_alarms(now, |kind| kind.launcher_id().is_some_and(is_gone));
        self.pools.unlisted.note_read(gone);
        for joined in joined {
            let contract = joined.membership.p2_singleton_puzzle_hash;
            let launcher_id = joined.membership.launcher_id;
            match self.pools.pools.get_mut(&contract) {
                Some(known) if known.joined == joined => continue,
                Some(known) => {
                    // What was wrong with what it was before says nothing of what it is.
                    known.replace(joined, now);
                    self.close_alarms(now, |kind| kind.launcher_id() == Some(launcher_id));
                }
                None => {
                    self.pools.pools.insert(contract, Pool::new(joined, now));
                    self.close_alarms(now, |kind| kind.launcher_id() == Some(launcher_id));
                }
            }
            self.review_pool_key(now, contract);
            self.arm_pool_timer(contract);
        }
        self.review_unlisted_plots(now);
    }

    /// What a pool still has to answer is no answer of the next one.
    fn leave_pool(&mut self, now: Now, contract: PuzzleHash) {
        let live = self
            .pools
            .partials
            .live
            .iter()
            .filter(|(_, partial)| partial.contract == contract);
        let numbers: Vec<_> = live.map(|(number, _)| *number).collect();
        for number in numbers {
            self.end_partial(now, number, PartialOutcome::Missing, "its pool was left meanwhile");
        }
        let is_of = |job: &Job| matches!(job, Job::Pool(of, ..) if *of == contract);
        self.proofs.jobs.retain(|_, job| !is_of(job));
        if let Some(pool) = self.pools.pools.get_mut(&contract) {
            pool.asking = None;
        }
    }

    /// The list of pools could not be read, or can be again.
    pub(super) fn handle_pools_unreadable(&mut self, now: Now, why: Option<String>) {
        self.pools.unlisted.set_broken(why.is_some());
        match why {
            Some(why) => self.raise(now, AlarmKind::PoolsUnreadable { why }),
            None => self.close_alarms(now, |kind| matches!(kind, AlarmKind::PoolsUnreadable { .. })),
        }
    }

    /// A pool wants to be asked something.
    pub(super) fn handle_pool_timer(&mut self, now: Now, contract: PuzzleHash) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        if pool.is_self_pooling() || pool.asking.is_some() {
            return;
        }
        if pool.next_info <= now.mono {
            pool.next_info = pool.spread(now.mono, INFO_EVERY);
            self.ask_pool(now, contract, Asked::Info, PoolRequest::Info);
        } else if pool.next_farmer <= now.mono
            && pool.has_key()
            && let Some(timeout) = pool.token_timeout
        {
            pool.next_farmer = pool.spread(now.mono, FARMER_EVERY);
            pool.farmer_asked = Some(now.mono);
            let authentication_token = authentication_token(now.unix.seconds(), timeout);
            let request = PoolRequest::Farmer { authentication_token };
            self.ask_pool(now, contract, Asked::Farmer, request);
        }
        self.arm_pool_timer(contract);
    }

    /// A pool has answered, or did not.
    pub(super) fn handle_pool_answered(&mut self, now: Now, job: JobId, answer: PoolAnswer) {
        let Some(Job::Pool(contract, asked, since)) = self.proofs.jobs.get(&job).copied() else {
            return;
        };
        self.proofs.jobs.remove(&job);
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        if pool.asking == Some(job) {
            pool.asking = None;
        }
        let took_ms = millis(now.mono.since(since));
        pool.push_answer(PoolAnswerView {
            at_unix_ms: now.unix.0,
            request: asked.word().to_owned(),
            took_ms,
            ok: answer.result.is_ok(),
            text: describe(&answer.result),
        });
        if let Some(url) = answer.moved_to {
            pool.url = url;
        }
        if let (Err(PoolFailure::Status { status: 300..=399 }), false) = (&answer.result, asked == Asked::Info) {
            pool.ask_info_soon(now.mono);
        }
        if let Some(server) = answer.server_unix_s {
            self.note_pool_clock(now, contract, server);
        }
        self.note_pool_health(now, contract, asked, answer.result.as_ref().err());
        match asked {
            Asked::Partial(number) => self.handle_partial_answer(now, contract, number, answer.result),
            _ => self.handle_account_answer(now, contract, asked, answer.result),
        }
        self.arm_pool_timer(contract);
    }

    /// An answer to anything but a partial.
    fn handle_account_answer(
        &mut self,
        now: Now,
        contract: PuzzleHash,
        asked: Asked,
        result: Result<PoolReply, PoolFailure>,
    ) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        match result {
            Ok(PoolReply::Info {
                name,
                minimum_difficulty,
                authentication_token_timeout,
            }) => {
                pool.name = Some(name);
                pool.token_timeout = Some(authentication_token_timeout);
                // Later on the account says which it is.
                pool.difficulty.get_or_insert(minimum_difficulty);
            }
            Ok(PoolReply::Farmer {
                payout_instructions,
                current_difficulty,
                current_points,
            }) => {
                let before = pool.difficulty;
                pool.set_farmer(payout_instructions, current_difficulty, current_points);
                self.note_difficulty(contract, before);
                self.review_payout(now, contract);
                self.review_rarity(now, &contract);
            }
            Ok(PoolReply::Done) => pool.next_farmer = now.mono,
            Ok(PoolReply::Accepted { .. }) => {}
            Err(PoolFailure::Refused { code, .. }) if asked == Asked::Farmer => match code {
                error_code::FARMER_NOT_KNOWN => self.handle_not_registered(now, contract, OwnerNeed::Register),
                error_code::INVALID_SIGNATURE => self.handle_not_registered(now, contract, OwnerNeed::OtherKey),
                _ => pool.next_farmer = pool.spread(now.mono, FARMER_RETRY),
            },
            Err(_) if asked == Asked::Info => pool.next_info = pool.spread(now.mono, INFO_RETRY),
            Err(_) => pool.next_farmer = pool.spread(now.mono, FARMER_RETRY),
        }
    }

    /// The pool does not know the plotNFT, or not with the key that is here.
    fn handle_not_registered(&mut self, now: Now, contract: PuzzleHash, need: OwnerNeed) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        pool.registration = Registration::Missing;
        pool.next_farmer = pool.spread(now.mono, FARMER_RETRY);
        match pool.joined.membership.version {
            PoolVersion::V1 => self.raise_owner_need(now, contract, need),
            // The key that farms is the owner's.
            PoolVersion::V2 if need == OwnerNeed::Register => {
                if pool.may_tell(now.mono, Asked::Register) {
                    self.ask_pool(now, contract, Asked::Register, PoolRequest::Register);
                }
            }
            PoolVersion::V2 => self.raise_owner_need(now, contract, need),
        }
    }

    /// Does the pool pay where the wallet wants it to?
    fn review_payout(&mut self, now: Now, contract: PuzzleHash) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        let launcher_id = pool.joined.membership.launcher_id;
        if !pool.pays_elsewhere() {
            return self.close_alarms(now, |kind| {
                matches!(kind, AlarmKind::PoolNeedsOwner { .. }) && kind.launcher_id() == Some(launcher_id)
            });
        }
        let need = OwnerNeed::Payout {
            wanted: pool.joined.membership.payout_instructions.clone(),
            pays_to: pool.pays_to.clone().unwrap_or_default(),
        };
        // Soon again: the owner may be telling it.
        pool.next_farmer = pool.spread(now.mono, FARMER_RETRY);
        let tells = pool.joined.membership.version == PoolVersion::V2 && pool.may_tell(now.mono, Asked::SetPayout);
        self.raise_owner_need(now, contract, need);
        if tells {
            self.ask_pool(now, contract, Asked::SetPayout, PoolRequest::SetPayout);
        }
    }

    fn raise_owner_need(&mut self, now: Now, contract: PuzzleHash, need: OwnerNeed) {
        if let Some(pool) = self.pools.pools.get(&contract) {
            let alarm = AlarmKind::PoolNeedsOwner {
                pool: pool.label(),
                launcher_id: pool.joined.membership.launcher_id,
                need,
            };
            self.raise(now, alarm);
        }
    }

    /// Opens or closes the alarm of a missing key.
    fn review_pool_key(&mut self, now: Now, contract: PuzzleHash) {
        let Some(pool) = self.pools.pools.get(&contract) else {
            return;
        };
        let alarm = AlarmKind::PoolKeyMissing {
            pool: pool.label(),
            launcher_id: pool.joined.membership.launcher_id,
            is_wallet_key: pool.joined.membership.version == PoolVersion::V2,
        };
        if pool.has_key() || pool.is_self_pooling() {
            self.close_alarm(now, &alarm);
        } else {
            self.raise(now, alarm);
        }
    }

    /// Counts failures in a row. A refusal is an answer: the pool is there, and says what it has against us.
    fn note_pool_health(&mut self, now: Now, contract: PuzzleHash, asked: Asked, failure: Option<&PoolFailure>) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        let launcher_id = pool.joined.membership.launcher_id;
        let is_registration = |code: u16| matches!(code, error_code::FARMER_NOT_KNOWN | error_code::INVALID_SIGNATURE);
        let why = match failure {
            // What it has against a partial is told with the partial.
            Some(PoolFailure::Refused { .. }) if matches!(asked, Asked::Partial(_)) => None,
            Some(PoolFailure::Refused { code, .. }) if asked == Asked::Farmer && is_registration(*code) => None,
            Some(failure) => Some(format!("{}: {failure}", asked.word())),
            None => None,
        };
        let Some(why) = why else {
            pool.failures = 0;
            pool.last_failure = None;
            return self.close_alarms(now, |kind| {
                matches!(kind, AlarmKind::PoolFailing { .. }) && kind.launcher_id() == Some(launcher_id)
            });
        };
        if pool.failures == 0 {
            pool.failing_since_unix_ms = now.unix.0;
        }
        pool.failures = pool.failures.saturating_add(1);
        pool.last_failure = Some(why.clone());
        // One failure of a pool that has worked is nothing to look at.
        if pool.failures >= FAILURES_TOLD || pool.difficulty.is_none() {
            let alarm = AlarmKind::PoolFailing {
                pool: pool.label(),
                launcher_id,
                since_unix_ms: pool.failing_since_unix_ms,
                why,
            };
            self.raise(now, alarm);
        }
    }

    /// Tokens of the first protocol are made of the time, so both clocks have to agree.
    fn note_pool_clock(&mut self, now: Now, contract: PuzzleHash, server_unix_s: u64) {
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        let seconds = |unix: u64| i64::try_from(unix).unwrap_or(i64::MAX);
        let ahead = seconds(server_unix_s).saturating_sub(seconds(now.unix.seconds()));
        pool.clock_ahead_s = Some(ahead);
        let alarm = AlarmKind::PoolClockDiffers {
            pool: pool.label(),
            launcher_id: pool.joined.membership.launcher_id,
            ahead_s: ahead,
        };
        if ahead.unsigned_abs() > CLOCKS_AGREE.as_secs() {
            self.raise(now, alarm);
        } else {
            self.close_alarm(now, &alarm);
        }
    }

    /// Tells of a difficulty that has changed.
    fn note_difficulty(&mut self, contract: PuzzleHash, before: Option<u64>) {
        if let Some(pool) = self.pools.pools.get(&contract)
            && let Some(to) = pool.difficulty
            && let Some(from) = before.filter(|from| *from != to)
        {
            let pool = pool.label();
            self.notice(Notice::PoolDifficultyChanged { pool, from, to });
        }
    }

    fn ask_pool(&mut self, now: Now, contract: PuzzleHash, asked: Asked, request: PoolRequest) {
        let job = self.proofs.new_job(Job::Pool(contract, asked, now.mono));
        let Some(pool) = self.pools.pools.get_mut(&contract) else {
            return;
        };
        pool.asking = Some(job);
        self.send_to_pool(job, contract, request, now.mono + ANSWER_WITHIN);
    }

    fn send_to_pool(&mut self, job: JobId, contract: PuzzleHash, request: PoolRequest, deadline: Mono) {
        let Some(pool) = self.pools.pools.get(&contract) else {
            return;
        };
        let mut membership = pool.joined.membership.clone();
        membership.pool_url.clone_from(&pool.url);
        self.outputs.push_back(Output::AskPool {
            job,
            pool: Box::new(membership),
            request,
            deadline,
        });
    }

    fn arm_pool_timer(&mut self, contract: PuzzleHash) {
        let due = self.pools.pools.get(&contract).and_then(Pool::due);
        self.timers.put(Timer::Pool(contract), due);
    }
}

/// What an answer says, in a few words.
fn describe(result: &Result<PoolReply, PoolFailure>) -> String {
    match result {
        Ok(PoolReply::Info {
            name,
            minimum_difficulty,
            ..
        }) => format!("{name}, minimum difficulty {minimum_difficulty}"),
        Ok(PoolReply::Farmer {
            current_difficulty,
            current_points,
            ..
        }) => format!("difficulty {current_difficulty}, {current_points} points"),
        Ok(PoolReply::Done) => "done".to_owned(),
        Ok(PoolReply::Accepted { new_difficulty }) => format!("accepted, difficulty {new_difficulty}"),
        Err(failure) => failure.to_string(),
    }
}

/// As the official farmer asks.
const INFO_EVERY: Duration = Duration::from_secs(3600);
const INFO_RETRY: Duration = Duration::from_secs(120);
const FARMER_EVERY: Duration = Duration::from_secs(300);

/// Sooner than the official farmer: until it is asked again, a wrong difficulty costs partials.
const FARMER_RETRY: Duration = Duration::from_secs(60);

/// A pool that needs longer is of no use: nothing but a partial is worth waiting for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Failures in a row of a pool that has worked, before it is an alarm.
const FAILURES_TOLD: u32 = 2;

/// Tokens hold for minutes; a clock that differs by more than one is a clock that nobody sets.
const CLOCKS_AGREE: Duration = Duration::from_secs(60);
