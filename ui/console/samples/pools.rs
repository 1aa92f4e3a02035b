//! A farm that pools.

use farmconsole::ids::{LauncherId, PuzzleHash};
use farmconsole::snapshot::*;

use super::{NOW, many};

/// Many harvesters in two pools, one of which has trouble, and a plotNFT that farms for itself.
pub(in super::super) fn pooled() -> FarmSnapshot {
    let mut farm = many();
    let partial = |number: u64, outcome, step, reason: &str| PartialView {
        number,
        harvester_name: "barn-1".to_owned(),
        plot_file: "/mnt/d07/plot-k32-a.plot".to_owned(),
        found_at_unix_ms: NOW - number * 90_000,
        signage_point_index: 37,
        difficulty: Some(64),
        step,
        outcome,
        reason: reason.to_owned(),
        verified_after_ms: Some(1_250),
        signed_after_ms: outcome.map(|_| 1_400),
        ended_after_ms: outcome.map(|_| 1_730),
    };
    let answer = |request: &str, ok: bool, text: &str| PoolAnswerView {
        at_unix_ms: NOW - 95_000,
        request: request.to_owned(),
        took_ms: 182,
        ok,
        text: text.to_owned(),
    };
    let good = PoolView {
        launcher_id: LauncherId([0x1a; 32]),
        p2_singleton_puzzle_hash: PuzzleHash([0xc0; 32]),
        url: "https://pool.example".to_owned(),
        name: Some("The Example Pool".to_owned()),
        state: PoolState::Ready,
        difficulty: Some(64),
        points: Some(13_440),
        points_found: 31_040,
        points_found_24h: 13_632,
        points_acknowledged: 30_912,
        points_acknowledged_24h: 13_568,
        partials: PartialCounts {
            accepted: 483,
            stale: 2,
            ..PartialCounts::default()
        },
        partials_24h: PartialCounts {
            accepted: 212,
            stale: 1,
            ..PartialCounts::default()
        },
        under_way: 1,
        plots: 684,
        expected_partials_24h: Some(213.75),
        payout_instructions: "bb".repeat(32),
        pays_to: Some("bb".repeat(32)),
        clock_ahead_s: Some(1),
        last_answers: vec![
            answer("POST /partial", true, "accepted, difficulty 64"),
            answer("GET /farmer", true, "difficulty 64, 13440 points"),
            answer("POST /partial", false, "error 2: partial \u{1b}[31mtoo late"),
        ],
        last_partials: vec![
            partial(1, None, PartialStep::Signing, ""),
            partial(2, Some(PartialOutcome::Accepted), PartialStep::Sending, ""),
            partial(
                3,
                Some(PartialOutcome::Stale),
                PartialStep::Sending,
                "error 2: partial too late",
            ),
            partial(
                4,
                Some(PartialOutcome::Late),
                PartialStep::Signing,
                "barn-1 sent no signatures within 25 s",
            ),
        ],
        ..PoolView::default()
    };
    let bad = PoolView {
        launcher_id: LauncherId([0x2b; 32]),
        url: "https://farm.other.example:8443/api".to_owned(),
        state: PoolState::Failing {
            why: "GET /farmer: HTTP status 502".to_owned(),
        },
        difficulty: Some(8),
        plots: 2,
        expected_partials_24h: Some(4.94),
        points_found_24h: 96,
        points_acknowledged_24h: 40,
        partials_24h: PartialCounts {
            accepted: 5,
            failed: 7,
            ..PartialCounts::default()
        },
        ..PoolView::default()
    };
    let own = PoolView {
        launcher_id: LauncherId([0x3c; 32]),
        state: PoolState::SelfPooling,
        ..PoolView::default()
    };
    farm.pools = vec![good, bad, own];
    farm
}
