//! Pools as people see them: one for each plotNFT, with its points, its partials and what it last said.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{LauncherId, PuzzleHash};
use crate::wire::pool::PoolVersion;

/// How many of its last answers a pool's view carries.
pub const POOL_ANSWERS_KEPT: usize = 16;

/// How many of its last partials a pool's view carries.
pub const PARTIALS_KEPT: usize = 32;

/// One plotNFT and its pool. What is counted is counted since the plotNFT has had this pool, or since the farmer has
/// started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// The plotNFT.
    pub launcher_id: LauncherId,
    /// What its plots are made for.
    pub p2_singleton_puzzle_hash: PuzzleHash,
    /// Where its pool is ([`pool_address`]); empty if it farms for itself.
    pub url: String,
    /// What the pool calls itself, once it said so.
    pub name: Option<String>,
    /// Protocol it speaks.
    pub protocol: PoolVersion,
    /// Whether partials can be sent.
    pub state: PoolState,
    /// Difficulty of partials.
    pub difficulty: Option<u64>,
    /// Points as the pool counts them; pools set them back when they pay.
    pub points: Option<u64>,
    /// Points of all partials that were good enough, since start.
    pub points_found: u64,
    /// The same over the last 24 hours.
    pub points_found_24h: u64,
    /// Points of partials that the pool has accepted, since start.
    pub points_acknowledged: u64,
    /// The same over the last 24 hours.
    pub points_acknowledged_24h: u64,
    /// What became of partials, since start.
    pub partials: PartialCounts,
    /// The same over the last 24 hours.
    pub partials_24h: PartialCounts,
    /// Partials on their way at this moment.
    pub under_way: u64,
    /// Plots that are made for it, on harvesters that are connected.
    #[serde(default)]
    pub plots: u64,
    /// Partials that these plots find in 24 hours, on average; `None` while that is not known or none can be sent.
    #[serde(default)]
    pub expected_partials_24h: Option<f64>,
    /// Where the pool shall pay, as the wallet wrote it down.
    pub payout_instructions: String,
    /// Where it says that it pays.
    pub pays_to: Option<String>,
    /// Seconds by which the pool's clock is ahead of ours; known once it said what time it has.
    pub clock_ahead_s: Option<i64>,
    /// Its last answers, newest first; at most [`POOL_ANSWERS_KEPT`].
    pub last_answers: Vec<PoolAnswerView>,
    /// Its last partials, newest first; at most [`PARTIALS_KEPT`].
    pub last_partials: Vec<PartialView>,
}

impl PoolView {
    /// What to call it: its host, or that it has none.
    #[must_use]
    pub fn label(&self) -> String {
        pool_label(&self.url)
    }
}

/// A pool as it is called in sentences: the host of its address.
#[must_use]
pub fn pool_label(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or(host);
    // What stands before it are a name and a password, which alarms would carry away.
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    if host.is_empty() {
        "self-pooling".to_owned()
    } else {
        host.to_owned()
    }
}

/// The address of a pool as it is shown: without the name and the password that may stand before its host.
#[must_use]
pub fn pool_address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match host.rsplit_once('@') {
        Some((secret, _)) => format!("{scheme}://{}", &rest[secret.len() + 1..]),
        None => url.to_owned(),
    }
}

/// An address that cannot be used, as it is told: where its password ends nobody knows, so everything before the last `@`
/// is left out.
#[must_use]
pub fn wrong_address(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |place| place + 3));
    rest.rsplit_once('@')
        .map_or_else(|| url.to_owned(), |(_, rest)| format!("{scheme}…@{rest}"))
}

/// Whether partials can be sent to a pool, and if not, why not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PoolState {
    /// It was not asked yet.
    #[default]
    Asking,
    /// It knows the plotNFT and takes partials.
    Ready,
    /// There is no pool: the plotNFT farms for itself.
    SelfPooling,
    /// The key that speaks to it is not here.
    NoKey,
    /// It does not know the plotNFT, or not with this key: the owner has to register it.
    NotRegistered,
    /// It gives no answer that can be used.
    Failing {
        /// Why, as a fragment.
        why: String,
    },
}

impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asking => f.write_str("being asked"),
            Self::Ready => f.write_str("ready"),
            Self::SelfPooling => f.write_str("farms for itself"),
            Self::NoKey => f.write_str("no key here"),
            Self::NotRegistered => f.write_str("not registered"),
            Self::Failing { why } => write!(f, "fails: {why}"),
        }
    }
}

/// How a partial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialOutcome {
    /// The pool took it.
    Accepted,
    /// The pool said that it came too late.
    Stale,
    /// It was too late before it could be sent.
    Late,
    /// Not good enough for the difficulty of the pool.
    Insufficient,
    /// The pool refused it.
    Invalid,
    /// No signature or no answer came.
    Failed,
    /// Nothing is known of the pool, or there is no key to speak to it.
    Missing,
}

impl PartialOutcome {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stale => "stale",
            Self::Late => "late",
            Self::Insufficient => "insufficient",
            Self::Invalid => "refused",
            Self::Failed => "failed",
            Self::Missing => "missing",
        }
    }
}

/// What became of partials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialCounts {
    /// The pool took them.
    pub accepted: u64,
    /// The pool said that they came too late.
    pub stale: u64,
    /// Too late before they could be sent.
    pub late: u64,
    /// Not good enough for the difficulty of the pool.
    pub insufficient: u64,
    /// The pool refused them.
    pub invalid: u64,
    /// No signature or no answer came.
    pub failed: u64,
    /// Nothing was known of the pool, or there was no key to speak to it.
    pub missing: u64,
}

impl PartialCounts {
    /// Counts one.
    pub const fn add(&mut self, outcome: PartialOutcome) {
        let count = match outcome {
            PartialOutcome::Accepted => &mut self.accepted,
            PartialOutcome::Stale => &mut self.stale,
            PartialOutcome::Late => &mut self.late,
            PartialOutcome::Insufficient => &mut self.insufficient,
            PartialOutcome::Invalid => &mut self.invalid,
            PartialOutcome::Failed => &mut self.failed,
            PartialOutcome::Missing => &mut self.missing,
        };
        *count += 1;
    }

    /// Adds all of another.
    pub const fn add_all(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.stale += other.stale;
        self.late += other.late;
        self.insufficient += other.insufficient;
        self.invalid += other.invalid;
        self.failed += other.failed;
        self.missing += other.missing;
    }

    /// Each outcome with its count, in the order they are shown.
    #[must_use]
    pub const fn each(&self) -> [(PartialOutcome, u64); 7] {
        [
            (PartialOutcome::Accepted, self.accepted),
            (PartialOutcome::Stale, self.stale),
            (PartialOutcome::Late, self.late),
            (PartialOutcome::Insufficient, self.insufficient),
            (PartialOutcome::Invalid, self.invalid),
            (PartialOutcome::Failed, self.failed),
            (PartialOutcome::Missing, self.missing),
        ]
    }
}

/// A step in the life of a partial: where it was when it was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialStep {
    /// A v2 partial proof was to be completed.
    Solving,
    /// The proof was valid, and was to be judged.
    Judging,
    /// The harvester and we were to sign it.
    Signing,
    /// The pool was to answer.
    Sending,
}

impl PartialStep {
    /// As a fragment: `while it was signed`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Solving => "solving",
            Self::Judging => "judging",
            Self::Signing => "signing",
            Self::Sending => "sending",
        }
    }
}

/// One partial and how far it got. Times are counted from the arrival of its signage point, because the pool does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialView {
    /// Number since start.
    pub number: u64,
    /// Harvester that found it.
    pub harvester_name: String,
    /// Plot it is of.
    pub plot_file: String,
    /// Found, unix milliseconds.
    pub found_at_unix_ms: u64,
    /// 0 to 63.
    pub signage_point_index: u8,
    /// Difficulty it was judged with: what it is worth in points.
    pub difficulty: Option<u64>,
    /// Where it is, or was when it ended.
    pub step: PartialStep,
    /// How it ended; `None` while it is under way.
    pub outcome: Option<PartialOutcome>,
    /// Why it ended so, as a fragment; empty if it was accepted.
    pub reason: String,
    /// Milliseconds from the signage point until it was verified.
    pub verified_after_ms: Option<u32>,
    /// Until its signatures were complete.
    pub signed_after_ms: Option<u32>,
    /// Until it ended.
    pub ended_after_ms: Option<u32>,
}

/// One answer of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolAnswerView {
    /// When it came, unix milliseconds.
    pub at_unix_ms: u64,
    /// What was asked: `GET /farmer`.
    pub request: String,
    /// How long it took, milliseconds.
    pub took_ms: u32,
    /// Whether it could be used.
    pub ok: bool,
    /// What it said, as a fragment; text from outside has been made visible.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_called_by_its_host() {
        assert_eq!(pool_label("https://pool.example:8443/a/b?c"), "pool.example:8443");
        assert_eq!(pool_label("pool.example"), "pool.example");
        assert_eq!(pool_label("https://ann:secret@pool.example/a@b"), "pool.example");
        assert_eq!(pool_label(""), "self-pooling");
    }

    #[test]
    fn the_address_of_a_pool_is_shown_without_a_password() {
        for (url, shown) in [
            (
                "https://ann:secret@pool.example:8443/a@b?c",
                "https://pool.example:8443/a@b?c",
            ),
            ("https://ann:se@cret@pool.example", "https://pool.example"),
            ("https://pool.example/a@b", "https://pool.example/a@b"),
            ("", ""),
        ] {
            assert_eq!(pool_address(url), shown);
        }
    }
}
