//! One plotNFT and its pool: what is known of it, what is due, what it answered last.

use std::collections::VecDeque;
use std::time::Duration;

use super::exchange::{Asked, JoinedPool};
use super::window::{Losses, Tally};
use crate::clock::{Mono, Now};
use crate::crypto::sha256;
use crate::farmer::numbers::JobId;
use crate::ids::{LauncherId, PuzzleHash};
use crate::snapshot::{
    PARTIALS_KEPT, POOL_ANSWERS_KEPT, PartialView, PoolAnswerView, PoolState, PoolView, pool_address, pool_label,
};
use crate::units::Difficulty;

/// One plotNFT and its pool.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Pool {
    pub(super) joined: JoinedPool,
    /// Its address: that of the wallet, or the one it has moved to for good since.
    pub(super) url: String,
    pub(super) name: Option<String>,
    /// Minutes for which a token of the time holds.
    pub(super) token_timeout: Option<u8>,
    pub(super) difficulty: Option<u64>,
    points: Option<u64>,
    pub(super) pays_to: Option<String>,
    pub(super) registration: Registration,
    /// When `GET /pool_info` is due.
    pub(super) next_info: Mono,
    /// When it was last brought forward.
    #[serde(default)]
    info_hurried: Option<Mono>,
    /// When `GET /farmer` is due.
    pub(super) next_farmer: Mono,
    /// When it was sent last.
    pub(super) farmer_asked: Option<Mono>,
    /// What it was last told of our account, and when.
    #[serde(default)]
    told: Option<(Asked, Mono)>,
    /// What it is being asked, partials aside: one thing at a time.
    pub(super) asking: Option<JobId>,
    /// Failures in a row, and since when.
    pub(super) failures: u32,
    pub(super) failing_since_unix_ms: u64,
    pub(super) last_failure: Option<String>,
    pub(super) tally: Tally,
    pub(super) clock_ahead_s: Option<i64>,
    /// Partials that were lost in the last hour, by how.
    #[serde(default)]
    pub(super) losses_counted: Losses,
    /// Partials that were to be expected since the last one was found.
    #[serde(default)]
    pub(super) awaited: f64,
    /// Answers in a row that make partials rare.
    #[serde(default)]
    pub(super) rare_answers: u32,
    answers: VecDeque<PoolAnswerView>,
    partials: VecDeque<PartialView>,
}

/// Whether the pool knows the plotNFT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Registration {
    /// It has not said.
    #[default]
    Unknown,
    /// It does, with the key that is here.
    Done,
    /// It does not, or with another key.
    Missing,
}

impl Pool {
    /// A plotNFT that nothing is known of yet.
    pub(super) fn new(joined: JoinedPool, now: Now) -> Self {
        Self {
            url: joined.membership.pool_url.clone(),
            joined,
            name: None,
            token_timeout: None,
            difficulty: None,
            points: None,
            pays_to: None,
            registration: Registration::Unknown,
            next_info: now.mono,
            info_hurried: None,
            next_farmer: now.mono,
            farmer_asked: None,
            told: None,
            asking: None,
            failures: 0,
            failing_since_unix_ms: 0,
            last_failure: None,
            tally: Tally::default(),
            clock_ahead_s: None,
            losses_counted: Losses::default(),
            awaited: 0.0,
            rare_answers: 0,
            answers: VecDeque::new(),
            partials: VecDeque::new(),
        }
    }

    /// The wallet has written something else about the same contract. Of another pool nothing is known: neither what this
    /// one has said holds for it, nor what it was sent and has accepted.
    pub(super) fn replace(&mut self, joined: JoinedPool, now: Now) {
        if self.is_other(&joined) {
            *self = Self::new(joined, now);
            return;
        }
        self.registration = Registration::Unknown;
        self.next_farmer = now.mono;
        self.told = None;
        self.joined = joined;
    }

    /// Whether that is another pool, so that nothing this one says holds for it.
    pub(super) fn is_other(&self, joined: &JoinedPool) -> bool {
        let (old, new) = (&self.joined.membership, &joined.membership);
        (&old.pool_url, old.version, old.launcher_id) != (&new.pool_url, new.version, new.launcher_id)
    }

    pub(super) const fn contract(&self) -> PuzzleHash {
        self.joined.membership.p2_singleton_puzzle_hash
    }

    /// Whether there is a pool at all.
    pub(super) fn is_self_pooling(&self) -> bool {
        self.url.is_empty()
    }

    pub(super) const fn has_key(&self) -> bool {
        self.joined.authentication_public_key.is_some()
    }

    /// What to call it.
    pub(super) fn label(&self) -> String {
        pool_label(&self.url)
    }

    /// The difficulty of the partials that can be sent to it.
    pub(super) fn wanted(&self) -> Option<Difficulty> {
        let can_be_sent = !self.is_self_pooling() && self.has_key() && self.token_timeout.is_some();
        self.difficulty.filter(|_| can_be_sent).map(Difficulty)
    }

    /// It has sent something on to another address: its terms say which, if it has moved for good, and are asked for soon,
    /// but not with everything that is sent on.
    pub(super) fn ask_info_soon(&mut self, now: Mono) {
        let earliest = self.info_hurried.map_or(now, |at| at + HURRIED_AGAIN_AFTER);
        if earliest <= now {
            self.info_hurried = Some(now);
            self.next_info = now;
        }
    }

    /// When it wants to be asked something.
    pub(super) fn due(&self) -> Option<Mono> {
        if self.is_self_pooling() || self.asking.is_some() {
            return None;
        }
        if self.token_timeout.is_some() && self.has_key() {
            Some(self.next_info.min(self.next_farmer))
        } else {
            Some(self.next_info)
        }
    }

    /// A time after now that differs a little from that of every other plotNFT, so that a pool which comes back is not
    /// asked by all at once. No chance is needed: hashes of launcher ids are as good as drawn.
    pub(super) fn spread(&self, now: Mono, wait: Duration) -> Mono {
        let drawn = launcher_spread(&self.joined.membership.launcher_id);
        let [first, ..] = sha256(&[&[drawn], &self.failures.to_be_bytes()]);
        now + wait.mul_f64(0.9 + 0.2 * f64::from(first) / 255.0)
    }

    /// Something says that the account is not what it was: it is asked for soon, and not with every partial that says so.
    pub(super) fn ask_farmer_soon(&mut self, now: Mono) {
        let earliest = self.farmer_asked.map_or(now, |asked| asked + ASKED_AGAIN_AFTER);
        self.next_farmer = self.next_farmer.min(earliest.max(now));
    }

    pub(super) fn set_farmer(&mut self, payout_instructions: String, difficulty: u64, points: u64) {
        self.pays_to = Some(payout_instructions);
        self.difficulty = Some(difficulty);
        self.points = Some(points);
        self.registration = Registration::Done;
    }

    /// Whether to tell it something of our account, which then counts as told: not again and again what it says is done and
    /// then does not do.
    pub(super) fn may_tell(&mut self, now: Mono, what: Asked) -> bool {
        let may = self
            .told
            .is_none_or(|(told, at)| told != what || now >= at + TOLD_AGAIN_AFTER);
        if may {
            self.told = Some((what, now));
        }
        may
    }

    /// Whether the pool pays elsewhere than the wallet wants. Letters of addresses and digits count without their case.
    pub(super) fn pays_elsewhere(&self) -> bool {
        let wanted = &self.joined.membership.payout_instructions;
        self.pays_to
            .as_ref()
            .is_some_and(|pays_to| !wanted.is_empty() && !pays_to.eq_ignore_ascii_case(wanted))
    }

    pub(super) fn push_answer(&mut self, answer: PoolAnswerView) {
        self.answers.truncate(POOL_ANSWERS_KEPT - 1);
        self.answers.push_front(answer);
    }

    pub(super) fn push_partial(&mut self, partial: PartialView) {
        self.partials.truncate(PARTIALS_KEPT - 1);
        self.partials.push_front(partial);
    }

    /// Brings what people see of a partial up to date.
    pub(super) fn show_partial(&mut self, partial: &PartialView) {
        if let Some(shown) = self.partials.iter_mut().find(|shown| shown.number == partial.number) {
            shown.clone_from(partial);
        }
    }

    pub(super) fn view(&self, now: Now, under_way: u64) -> PoolView {
        let membership = &self.joined.membership;
        let (total, day) = (self.tally.since_start(), self.tally.last_day(now.mono));
        PoolView {
            launcher_id: membership.launcher_id,
            p2_singleton_puzzle_hash: membership.p2_singleton_puzzle_hash,
            url: pool_address(&self.url),
            name: self.name.clone(),
            protocol: membership.version,
            state: self.state(),
            difficulty: self.difficulty,
            points: self.points,
            points_found: total.found,
            points_found_24h: day.found,
            points_acknowledged: total.acknowledged,
            points_acknowledged_24h: day.acknowledged,
            partials: total.partials,
            partials_24h: day.partials,
            under_way,
            // The farm knows of its plots.
            plots: 0,
            expected_partials_24h: None,
            payout_instructions: membership.payout_instructions.clone(),
            pays_to: self.pays_to.clone(),
            clock_ahead_s: self.clock_ahead_s,
            last_answers: self.answers.iter().cloned().collect(),
            last_partials: self.partials.iter().cloned().collect(),
        }
    }

    fn state(&self) -> PoolState {
        if self.is_self_pooling() {
            PoolState::SelfPooling
        } else if !self.has_key() {
            PoolState::NoKey
        } else if let Some(why) = &self.last_failure {
            PoolState::Failing { why: why.clone() }
        } else {
            match self.registration {
                Registration::Unknown => PoolState::Asking,
                Registration::Done => PoolState::Ready,
                Registration::Missing => PoolState::NotRegistered,
            }
        }
    }
}

/// What the times are spread by at which the pool of a plotNFT is asked: a number that is as good as drawn, different for
/// most plotNFTs. It is small, so that a made-up plotNFT of the same number is found soon for one that is not to be told.
#[must_use]
pub fn launcher_spread(launcher_id: &LauncherId) -> u8 {
    let [first, ..] = sha256(&[launcher_id.as_bytes()]);
    first
}

/// Before a pool of the second protocol is told the same again.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(300);

/// Between two questions for the terms that what is sent on gives cause for.
const HURRIED_AGAIN_AFTER: Duration = Duration::from_secs(120);

/// Between two questions for the account that partials give cause for.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(30);
