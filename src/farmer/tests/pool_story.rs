//! What stories of pools are told with: plotNFTs, the answers of pools, and proofs that are good enough for one.

use super::story::*;
use crate::farmer::{
    Input, JobId, JoinedPool, Output, PartialSubmission, PlotSignatures, PoolAnswer, PoolFailure, PoolMembership,
    PoolReply, PoolRequest, SignPurpose,
};
use crate::ids::{LauncherId, PuzzleHash, QualityString, SessionId};
use crate::pos::{Constants, iterations};
use crate::snapshot::{AlarmKind, PartialOutcome, PartialStep, PoolState, PoolView};
use crate::units::{Difficulty, PlotSize, SubSlotIters};
use crate::wire::pool::PoolVersion;
use crate::wire::{G1Bytes, G2Bytes, NewSignagePoint};

pub(super) const LAUNCHER: LauncherId = LauncherId([0x1a; 32]);
pub(super) const OWNER: G1Bytes = G1Bytes([0x0e; 48]);

pub(super) fn membership(url: &str) -> PoolMembership {
    PoolMembership {
        launcher_id: LAUNCHER,
        pool_url: url.to_owned(),
        payout_instructions: "bb".repeat(32),
        target_puzzle_hash: PuzzleHash([0x7a; 32]),
        p2_singleton_puzzle_hash: CONTRACT,
        owner_public_key: OWNER,
        version: PoolVersion::V1,
        key_derivation_index: None,
    }
}

pub(super) fn joined(membership: PoolMembership) -> JoinedPool {
    JoinedPool {
        membership,
        authentication_public_key: Some(G1Bytes([0xa0; 48])),
    }
}

/// The plotNFT of this number; number 0 is that of the plots that stories find proofs in.
pub(super) fn numbered(url: &str, number: u8, has_key: bool) -> JoinedPool {
    let mut pool = joined(membership(url));
    pool.membership.launcher_id.0[0] = number;
    pool.membership.p2_singleton_puzzle_hash.0[0] += number;
    if !has_key {
        pool.authentication_public_key = None;
    }
    pool
}

/// Every pool answers everything it is asked, in one of a few ways.
pub(super) fn answer_all(story: &mut Story, choice: u8) {
    for (job, request) in story.asked() {
        let reply = match request {
            PoolRequest::Info => info(),
            PoolRequest::Farmer { .. } => account(u64::from(choice) + 1),
            PoolRequest::Register | PoolRequest::SetPayout => PoolReply::Done,
            PoolRequest::Partial(_) => PoolReply::Accepted {
                new_difficulty: u64::from(choice) + 1,
            },
        };
        let result = match choice % 4 {
            0 => Err(unreachable()),
            1 => Err(refused(u16::from(choice / 4))),
            _ => Ok(reply),
        };
        story.pool_says(job, result);
    }
}

pub(super) fn joining(url: &str) -> Story {
    let mut story = Story::new();
    story.input(Input::Pools(vec![joined(membership(url))]));
    story
}

impl Story {
    /// What pools are asked.
    pub(super) fn asked(&mut self) -> Vec<(JobId, PoolRequest)> {
        self.take(|output| match output {
            Output::AskPool { job, request, .. } => Some((*job, request.clone())),
            _ => None,
        })
    }

    /// The one thing a pool is asked.
    pub(super) fn asked_once(&mut self) -> (JobId, PoolRequest) {
        let asked = self.asked();
        let [only] = &asked[..] else {
            panic!("one request: {asked:?}")
        };
        only.clone()
    }

    pub(super) fn pool_says(&mut self, job: JobId, result: Result<PoolReply, PoolFailure>) {
        let answer = PoolAnswer {
            result,
            server_unix_s: None,
            moved_to: None,
        };
        self.input(Input::PoolAnswered { job, answer });
    }

    /// The pool answers the one thing it is asked.
    pub(super) fn pool_answers(&mut self, result: Result<PoolReply, PoolFailure>) -> PoolRequest {
        let (job, request) = self.asked_once();
        self.pool_says(job, result);
        request
    }

    /// What is wrong with pools.
    pub(super) fn pool_alarms(&self) -> Vec<AlarmKind> {
        let alarms = self.alarms().into_iter();
        alarms.filter(|kind| kind.launcher_id().is_some()).collect()
    }

    pub(super) fn pool(&self) -> PoolView {
        self.snapshot().pools[0].clone()
    }
}

pub(super) fn info() -> PoolReply {
    PoolReply::Info {
        name: "The Pool".to_owned(),
        minimum_difficulty: 1,
        authentication_token_timeout: 5,
    }
}

pub(super) fn account(difficulty: u64) -> PoolReply {
    PoolReply::Farmer {
        payout_instructions: "BB".repeat(32),
        current_difficulty: difficulty,
        current_points: 77,
    }
}

pub(super) fn unreachable() -> PoolFailure {
    PoolFailure::Unreachable {
        why: "nobody listens on that port".to_owned(),
    }
}

pub(super) fn refused(code: u16) -> PoolFailure {
    PoolFailure::Refused {
        code,
        message: "no".to_owned(),
    }
}

/// A pool that has said all it is asked at first, and a harvester.
pub(super) fn ready() -> (Story, SessionId) {
    let mut story = joining("https://pool.example");
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.pass(seconds(1));
    story.pool_answers(Ok(info()));
    story.pass(seconds(1));
    story.pool_answers(Ok(account(1)));
    assert_eq!(story.pool().state, PoolState::Ready);
    story.notices();
    (story, barn)
}

/// A quality that is good enough for this difficulty and no other above it by much; `None` if this byte is not.
pub(super) fn is_good(point: &NewSignagePoint, quality: &QualityString, difficulty: u64) -> bool {
    let constants = Constants::for_network("mainnet").unwrap();
    let size = PlotSize::V1 { k: 32 };
    let (sp_hash, height) = (&point.challenge_chain_sp, point.last_tx_height);
    let needed = iterations::required_iters(&constants, quality, size, Difficulty(difficulty), sp_hash, height);
    needed < iterations::pool_sp_interval_iters(&constants)
}

pub(super) fn quality(point: &NewSignagePoint, good: bool) -> QualityString {
    let all = (0..=255).map(|byte| QualityString([byte; 32]));
    let mut fitting = all.filter(|quality| is_good(point, quality, 1) == good);
    fitting.next().expect("one of 256 is")
}

/// A signage point that no proof is good enough for on the chain.
pub(super) fn hard_point(story: &mut Story) -> NewSignagePoint {
    let mut point = story.next_point();
    point.sub_slot_iters = SubSlotIters(64);
    story.bring(NODE, &point);
    point
}

/// A harvester finds a proof, and it is valid.
pub(super) fn find(story: &mut Story, session: SessionId, point: &NewSignagePoint, number: u8, quality: QualityString) {
    story.proof(session, point, number);
    for job in story.verifications() {
        story.input(Input::Verified {
            job,
            result: Ok(quality),
        });
    }
}

/// The worker adds both signatures.
pub(super) fn sign_partial(story: &mut Story) {
    let signings = story.signings();
    let [(job, messages, purpose)] = &signings[..] else {
        panic!("one to sign: {signings:?}")
    };
    assert_eq!(messages.len(), 1);
    assert_eq!(
        *purpose,
        SignPurpose::Partial {
            owner_public_key: OWNER
        }
    );
    story.input(Input::Signed {
        job: *job,
        result: Ok(PlotSignatures {
            signatures: vec![G2Bytes([0x99; 96])],
            pool_signature: None,
        }),
    });
}

/// A partial that is with the pool; its job and what was sent.
pub(super) fn sent() -> (Story, SessionId, JobId, PartialSubmission) {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    story.pass(seconds(1));
    story.share_signatures(barn);
    sign_partial(&mut story);
    let (job, request) = story.asked_once();
    let PoolRequest::Partial(submission) = request else {
        panic!("a partial: {request:?}")
    };
    (story, barn, job, *submission)
}

pub(super) fn last(story: &Story) -> (Option<PartialOutcome>, PartialStep, String) {
    let partial = story.pool().last_partials[0].clone();
    (partial.outcome, partial.step, partial.reason)
}
