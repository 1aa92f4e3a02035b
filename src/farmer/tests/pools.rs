//! Pools: when each is asked what, what becomes of its answers, and what needs the owner.

use super::pool_story::*;
use super::story::*;
use crate::farmer::{Input, JoinedPool, Output, PoolAnswer, PoolFailure, PoolReply, PoolRequest};
use crate::ids::{LauncherId, PuzzleHash};
use crate::snapshot::{AlarmKind, Notice, OwnerNeed, PartialCounts, PartialOutcome, PoolState, PoolView};
use crate::units::{Difficulty, SubSlotIters};
use crate::wire::pool::PoolVersion;
use crate::wire::{PlotPool, PoolDifficulty, ToHarvester};

#[test]
fn a_pool_is_asked_for_its_terms_and_then_for_our_account_and_both_again_in_time() {
    let mut story = joining("https://pool.example");
    assert_eq!(story.pool().state, PoolState::Asking);
    story.pass(seconds(1));
    assert_eq!(story.pool_answers(Ok(info())), PoolRequest::Info);
    story.pass(seconds(1));
    let authentication_token = story.now.unix.seconds() / 300;
    assert_eq!(
        story.pool_answers(Ok(account(5))),
        PoolRequest::Farmer { authentication_token }
    );
    let pool = story.pool();
    assert_eq!(
        (pool.name.as_deref(), pool.difficulty, pool.points),
        (Some("The Pool"), Some(5), Some(77))
    );
    assert_eq!(
        story.pool_alarms(),
        [],
        "letters count without their case in payout instructions"
    );
    // Within ten per cent of the official pace, a little different for every plotNFT.
    story.pass(seconds(269));
    assert_eq!(story.asked(), []);
    story.pass(seconds(62));
    assert!(matches!(story.pool_answers(Ok(account(5))), PoolRequest::Farmer { .. }));
    let mut infos = 0;
    for _ in 0..13 {
        story.pass(seconds(300));
        for (job, request) in story.asked() {
            infos += usize::from(request == PoolRequest::Info);
            let reply = if request == PoolRequest::Info {
                info()
            } else {
                account(6)
            };
            story.pool_says(job, Ok(reply));
        }
    }
    assert_eq!(infos, 1);
    assert_eq!(story.pool().difficulty, Some(6), "the account says it, not the terms");
}

#[test]
fn harvesters_are_told_the_difficulty_and_every_change_of_it() {
    let (mut story, barn) = ready();
    let told = |story: &mut Story| {
        story.sent(barn);
        hard_point(story);
        let points = story.sent(barn).into_iter().filter_map(|message| match message {
            ToHarvester::NewSignagePoint(point) => Some(point.pool_difficulties),
            _ => None,
        });
        points.collect::<Vec<_>>()
    };
    let of = |difficulty| {
        vec![vec![PoolDifficulty {
            difficulty: Difficulty(difficulty),
            sub_slot_iters: SubSlotIters(37_600_000_000),
            pool_contract_puzzle_hash: CONTRACT,
        }]]
    };
    assert_eq!(told(&mut story), of(1));
    story.pass(seconds(331));
    story.pool_answers(Ok(account(4)));
    assert_eq!(told(&mut story), of(4));
    let changes = story
        .notices()
        .into_iter()
        .filter(|it| matches!(it, Notice::PoolDifficultyChanged { .. }));
    assert_eq!(changes.count(), 1);
    story.input(Input::Pools(Vec::new()));
    assert_eq!(told(&mut story), [vec![]]);
}

#[test]
fn a_pool_that_wants_better_proofs_than_the_chain_costs_no_blocks() {
    let (mut story, barn) = ready();
    story.pass(seconds(331));
    story.pool_answers(Ok(account(u64::MAX)));
    story.sent(barn);
    hard_point(&mut story);
    let told = story.sent(barn).into_iter().find_map(|message| match message {
        ToHarvester::NewSignagePoint(point) => Some(point.pool_difficulties),
        _ => None,
    });
    assert_eq!(told, Some(Vec::new()), "the harvester goes by the chain");
}

#[test]
fn a_pool_that_fails_is_asked_again_sooner_and_an_alarm_when_it_goes_on() {
    let (mut story, _) = ready();
    story.pass(seconds(331));
    story.pool_answers(Err(unreachable()));
    assert_eq!(story.pool_alarms(), [], "once is nothing");
    story.pass(seconds(70));
    story.pool_answers(Err(PoolFailure::Status { status: 502 }));
    let alarms = story.pool_alarms();
    let [AlarmKind::PoolFailing { pool, why, .. }] = &alarms[..] else {
        panic!("{alarms:?}")
    };
    assert_eq!(
        (pool.as_str(), why.as_str()),
        ("pool.example", "GET /farmer: HTTP status 502")
    );
    assert!(matches!(story.pool().state, PoolState::Failing { .. }));
    assert_eq!(story.pool().difficulty, Some(1), "what it said last holds");
    story.pass(seconds(70));
    story.pool_answers(Ok(account(1)));
    assert_eq!((story.pool_alarms(), story.pool().state), (vec![], PoolState::Ready));

    let mut story = joining("https://pool.example");
    story.pass(seconds(1));
    story.pool_answers(Err(unreachable()));
    assert_eq!(story.pool_alarms().len(), 1, "one that never answered is wrong at once");
    story.pass(seconds(133));
    assert_eq!(story.asked_once().1, PoolRequest::Info);
}

#[test]
fn a_pool_that_does_not_know_us_needs_the_owner_and_says_so() {
    let (mut story, _) = ready();
    story.pass(seconds(331));
    for (code, need) in [(10, OwnerNeed::Register), (7, OwnerNeed::OtherKey)] {
        story.pool_answers(Err(refused(code)));
        let alarms = story.pool_alarms();
        let [kind @ AlarmKind::PoolNeedsOwner { need: got, .. }] = &alarms[..] else {
            panic!("{alarms:?}")
        };
        assert_eq!(*got, need);
        assert!(
            kind.remedy().contains(&format!("farmconsole pool join {LAUNCHER}")),
            "{}",
            kind.remedy()
        );
        assert_eq!(story.pool().state, PoolState::NotRegistered);
        // Soon again: the owner may be registering it.
        story.pass(seconds(70));
    }
    let mut elsewhere = account(1);
    if let PoolReply::Farmer {
        payout_instructions, ..
    } = &mut elsewhere
    {
        *payout_instructions = "cc".repeat(32);
    }
    story.pool_answers(Ok(elsewhere));
    let alarms = story.pool_alarms();
    let [
        kind @ AlarmKind::PoolNeedsOwner {
            need: OwnerNeed::Payout { .. },
            ..
        },
    ] = &alarms[..]
    else {
        panic!("{alarms:?}")
    };
    assert!(
        kind.remedy().contains("farmconsole pool set-payout"),
        "{}",
        kind.remedy()
    );
    story.pass(seconds(70));
    story.pool_answers(Ok(account(1)));
    assert_eq!(story.pool_alarms(), [], "soon after the owner has told it");
}

#[test]
fn a_plotnft_of_the_second_protocol_registers_and_moves_its_payout_by_itself() {
    let mut story = Story::new();
    let mut v2 = joined(membership("https://pool.example"));
    v2.membership.version = PoolVersion::V2;
    story.input(Input::Pools(vec![v2]));
    story.pass(seconds(1));
    story.pool_answers(Ok(info()));
    story.pass(seconds(1));
    story.pool_answers(Err(refused(10)));
    assert_eq!(story.pool_answers(Ok(PoolReply::Done)), PoolRequest::Register);
    story.pass(seconds(1));
    let mut elsewhere = account(1);
    if let PoolReply::Farmer {
        payout_instructions, ..
    } = &mut elsewhere
    {
        *payout_instructions = "cc".repeat(32);
    }
    assert!(matches!(story.pool_answers(Ok(elsewhere)), PoolRequest::Farmer { .. }));
    assert_eq!(story.pool_answers(Ok(PoolReply::Done)), PoolRequest::SetPayout);
    story.pass(seconds(1));
    story.pool_answers(Ok(account(1)));
    assert_eq!((story.pool_alarms(), story.pool().state), (vec![], PoolState::Ready));
}

#[test]
fn a_pool_that_says_done_and_does_nothing_is_not_told_again_and_again() {
    let mut elsewhere = account(1);
    if let PoolReply::Farmer {
        payout_instructions, ..
    } = &mut elsewhere
    {
        *payout_instructions = "cc".repeat(32);
    }
    for (answer, telling) in [
        (Ok(elsewhere), PoolRequest::SetPayout),
        (Err(refused(10)), PoolRequest::Register),
    ] {
        let mut story = Story::new();
        let mut v2 = joined(membership("https://pool.example"));
        v2.membership.version = PoolVersion::V2;
        story.input(Input::Pools(vec![v2]));
        let mut told = 0;
        for _ in 0..600 {
            story.pass(seconds(1));
            for (job, request) in story.asked() {
                let result = match request {
                    PoolRequest::Info => Ok(info()),
                    PoolRequest::Farmer { .. } => answer.clone(),
                    _ => Ok(PoolReply::Done),
                };
                told += usize::from(request == telling);
                story.pool_says(job, result);
            }
        }
        assert_eq!(told, 2, "{telling:?} in ten minutes");
    }
}

#[test]
fn without_its_key_a_plotnft_sends_nothing_and_an_alarm_says_which_key() {
    let mut story = Story::new();
    let keyless = JoinedPool {
        authentication_public_key: None,
        ..joined(membership("https://pool.example"))
    };
    story.input(Input::Pools(vec![keyless]));
    let alarms = story.pool_alarms();
    assert!(matches!(alarms[..], [AlarmKind::PoolKeyMissing { .. }]), "{alarms:?}");
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.pass(seconds(1));
    story.pool_answers(Ok(info()));
    story.pass(seconds(600));
    assert_eq!(story.asked(), [], "its account cannot be asked for");
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    assert_eq!(
        (story.pool().partials.missing, story.pool().state),
        (1, PoolState::NoKey)
    );
    story.input(Input::Pools(vec![joined(membership("https://pool.example"))]));
    assert_eq!(story.pool_alarms(), []);
    story.pass(seconds(1));
    assert!(matches!(story.asked_once().1, PoolRequest::Farmer { .. }));
}

#[test]
fn a_plotnft_that_farms_for_itself_asks_nobody() {
    let mut story = joining("");
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.pass(seconds(4000));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    assert_eq!((story.asked(), story.pool().state), (vec![], PoolState::SelfPooling));
    assert_eq!(story.pool().partials, PartialCounts::default());
}

#[test]
fn one_pool_that_fails_harms_no_other() {
    let other = PuzzleHash([0xd0; 32]);
    let mut second = joined(membership("https://second.example"));
    second.membership.p2_singleton_puzzle_hash = other;
    second.membership.launcher_id = LauncherId([0x2a; 32]);
    let mut story = Story::new();
    story.input(Input::Pools(vec![joined(membership("https://pool.example")), second]));
    for _ in 0..3 {
        story.pass(seconds(140));
        let asked = story.take(|output| match output {
            Output::AskPool { job, pool, request, .. } => Some((*job, pool.pool_url.clone(), request.clone())),
            _ => None,
        });
        for (job, url, request) in asked {
            let reply = if request == PoolRequest::Info {
                info()
            } else {
                account(3)
            };
            story.pool_says(
                job,
                if url.contains("second") {
                    Ok(reply)
                } else {
                    Err(unreachable())
                },
            );
        }
    }
    let states: Vec<_> = story
        .snapshot()
        .pools
        .into_iter()
        .map(|pool| (pool.label(), pool.difficulty))
        .collect();
    assert_eq!(
        states,
        [
            ("pool.example".to_owned(), None),
            ("second.example".to_owned(), Some(3))
        ]
    );
    assert_eq!(story.pool_alarms().len(), 1);
}

#[test]
fn clocks_that_differ_by_more_than_a_minute_are_an_alarm() {
    let (mut story, _) = ready();
    let answer = |story: &mut Story, ahead: i64| {
        story.pass(seconds(331));
        let (job, _) = story.asked_once();
        let here = i64::try_from(story.now.unix.seconds()).unwrap();
        let answer = PoolAnswer {
            result: Ok(account(1)),
            server_unix_s: u64::try_from(here + ahead).ok(),
            moved_to: None,
        };
        story.input(Input::PoolAnswered { job, answer });
    };
    answer(&mut story, 60);
    assert_eq!(story.pool_alarms(), []);
    answer(&mut story, -90);
    let alarms = story.pool_alarms();
    assert!(
        matches!(alarms[..], [AlarmKind::PoolClockDiffers { ahead_s: -90, .. }]),
        "{alarms:?}"
    );
    answer(&mut story, 2);
    assert_eq!((story.pool_alarms(), story.pool().clock_ahead_s), (vec![], Some(2)));
}

#[test]
fn a_pool_that_has_moved_is_asked_there_until_the_wallet_says_otherwise() {
    let mut story = joining("https://pool.example");
    story.pass(seconds(1));
    let (job, _) = story.asked_once();
    let answer = PoolAnswer {
        result: Ok(info()),
        server_unix_s: None,
        moved_to: Some("https://pool.example/api".to_owned()),
    };
    story.input(Input::PoolAnswered { job, answer });
    story.pass(seconds(1));
    let urls = |story: &mut Story| {
        story.take(|output| match output {
            Output::AskPool { pool, .. } => Some(pool.pool_url.clone()),
            _ => None,
        })
    };
    assert_eq!(urls(&mut story), ["https://pool.example/api"]);
    story.input(Input::Pools(vec![joined(membership("https://other.example"))]));
    assert_eq!(story.pool().url, "https://other.example");
    assert_eq!(story.pool().difficulty, None, "another pool, other terms");
}

#[test]
fn what_the_former_pool_still_answers_is_no_answer_of_the_next_one() {
    let (mut story, _, partial, _) = sent();
    let next = joined(membership("https://next.example"));
    story.input(Input::Pools(vec![next.clone()]));
    let pool = story.pool();
    assert_eq!(
        (pool.under_way, pool.difficulty, pool.state),
        (0, None, PoolState::Asking)
    );
    story.pool_says(partial, Ok(PoolReply::Accepted { new_difficulty: 9 }));
    let pool = story.pool();
    assert_eq!((pool.difficulty, pool.state), (None, PoolState::Asking));
    let lost = story.notices().into_iter().find_map(|notice| match notice {
        Notice::PartialLost { pool, outcome, .. } => Some((pool, outcome)),
        _ => None,
    });
    assert_eq!(
        lost,
        Some(("pool.example".to_owned(), PartialOutcome::Missing)),
        "what became of it is not known, and it was the former pool's"
    );
    story.pass(seconds(1));
    assert_eq!(story.pool_answers(Err(unreachable())), PoolRequest::Info);
    assert!(matches!(story.pool().state, PoolState::Failing { .. }));
    // The same plotNFT, away for a moment.
    story.pass(seconds(130));
    let (job, _) = story.asked_once();
    story.input(Input::Pools(Vec::new()));
    story.input(Input::Pools(vec![next]));
    story.pool_says(job, Ok(info()));
    assert_eq!(story.pool().difficulty, None);
}

#[test]
fn what_stands_under_a_pools_name_is_that_pools() {
    let counted = |pool: &PoolView| {
        (
            (pool.points_found, pool.points_found_24h),
            (pool.points_acknowledged, pool.points_acknowledged_24h),
            (pool.partials, pool.partials_24h),
            (pool.last_partials.len(), pool.last_answers.len()),
        )
    };
    let accepted = PartialCounts {
        accepted: 1,
        ..PartialCounts::default()
    };
    let nothing = ((0, 0), (0, 0), Default::default(), (0, 0));
    let (mut story, _, partial, _) = sent();
    story.pool_says(partial, Ok(PoolReply::Accepted { new_difficulty: 1 }));
    let of_pool = ((1, 1), (1, 1), (accepted, accepted), (1, 3));
    assert_eq!(counted(&story.pool()), of_pool);
    // The wallet has another address paid, or there is another key: still the same pool.
    let mut same = joined(membership("https://pool.example"));
    same.membership.payout_instructions = "cc".repeat(32);
    story.input(Input::Pools(vec![same]));
    assert_eq!(counted(&story.pool()), of_pool);
    story.input(Input::Pools(vec![joined(membership("https://next.example"))]));
    assert_eq!(counted(&story.pool()), nothing);
    // Nor does it count as its failure what the former one did not take.
    let (mut story, barn) = ready();
    let lose = |story: &mut Story, number| {
        let point = hard_point(story);
        let good = quality(&point, true);
        find(story, barn, &point, number, good);
        story.share_signatures(barn);
        sign_partial(story);
        story.pool_answers(Err(refused(2)));
    };
    lose(&mut story, 1);
    lose(&mut story, 2);
    story.input(Input::Pools(vec![joined(membership("https://next.example"))]));
    story.pass(seconds(1));
    story.pool_answers(Ok(info()));
    story.pass(seconds(1));
    story.pool_answers(Ok(account(1)));
    lose(&mut story, 3);
    assert_eq!(story.pool_alarms(), [], "it has lost one");
}

#[test]
fn a_pool_that_sends_partials_elsewhere_is_asked_soon_whether_it_has_moved() {
    let (mut story, barn) = ready();
    let mut number = 0;
    let mut send = |story: &mut Story| {
        number += 1;
        let point = hard_point(story);
        let good = quality(&point, true);
        find(story, barn, &point, number, good);
        story.share_signatures(barn);
        sign_partial(story);
        story.pool_answers(Err(PoolFailure::Status { status: 308 }));
    };
    send(&mut story);
    story.pass(seconds(1));
    let (job, request) = story.asked_once();
    assert_eq!(request, PoolRequest::Info, "which says where to");
    // It has not moved for good: not with every partial.
    story.pool_says(job, Ok(info()));
    send(&mut story);
    story.pass(seconds(60));
    assert_eq!(story.asked(), []);
    story.pass(seconds(60));
    send(&mut story);
    story.pass(seconds(1));
    assert_eq!(story.asked_once().1, PoolRequest::Info);
}

#[test]
fn a_plot_of_another_contract_is_nobodys_partial() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    let mut proof = new_proof(&point, 1);
    proof.proof.pool = PlotPool::Contract(PuzzleHash([0xd0; 32]));
    story.message(barn, crate::wire::FromHarvester::NewProofOfSpace(Box::new(proof)));
    for job in story.verifications() {
        story.input(Input::Verified { job, result: Ok(good) });
    }
    assert_eq!((story.signature_requests(barn), story.pool().points_found), (vec![], 0));
}

#[test]
fn a_pool_that_hangs_is_not_given_more_and_more_partials() {
    let (mut story, barn) = ready();
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    for number in 1..=40 {
        find(&mut story, barn, &point, number, good);
        story.share_signatures(barn);
        sign_partial(&mut story);
    }
    assert_eq!(story.asked().len(), 32);
    assert_eq!((story.pool().under_way, story.pool().partials.failed), (32, 8));
}

#[test]
fn while_the_pool_does_not_know_us_one_alarm_says_it_and_an_accepted_partial_asks_again() {
    let (mut story, barn) = ready();
    story.pass(seconds(331));
    story.pool_answers(Err(refused(10)));
    let partial = |story: &mut Story, number, result| {
        let point = hard_point(story);
        let good = quality(&point, true);
        find(story, barn, &point, number, good);
        story.share_signatures(barn);
        sign_partial(story);
        story.pool_answers(result);
    };
    for number in 1..=5 {
        partial(&mut story, number, Err(refused(10)));
    }
    let alarms = story.pool_alarms();
    assert!(matches!(alarms[..], [AlarmKind::PoolNeedsOwner { .. }]), "{alarms:?}");
    assert_eq!(story.asked(), [], "not with every partial");
    story.pass(seconds(31));
    story.pool_answers(Err(refused(10)));
    partial(&mut story, 6, Ok(PoolReply::Accepted { new_difficulty: 1 }));
    story.pass(seconds(31));
    assert!(matches!(story.pool_answers(Ok(account(1))), PoolRequest::Farmer { .. }));
    assert_eq!((story.pool_alarms(), story.pool().state), (vec![], PoolState::Ready));
}
