//! Plots and pools: plots whose plotNFT nobody has listed, and how many partials plots can be expected to find.

use super::pool_story::*;
use super::story::*;
use crate::farmer::{Command, FarmerKeys, FleetStatus, Input, JobId, PoolRequest};
use crate::ids::{PuzzleHash, SessionId};
use crate::snapshot::AlarmKind;
use crate::wire::{G1Bytes, Plot, PlotPool};

fn unlisted(story: &Story) -> Vec<AlarmKind> {
    let alarms = story.alarms().into_iter();
    alarms
        .filter(|kind| matches!(kind, AlarmKind::PlotNftGone { .. }))
        .collect()
}

fn of_nobody(plots: u64, harvesters: &[&str]) -> AlarmKind {
    AlarmKind::PlotNftGone {
        contract: CONTRACT,
        plots,
        harvesters: harvesters.iter().map(|&name| name.to_owned()).collect(),
        left: None,
    }
}

#[test]
fn plots_of_a_contract_that_no_listed_plotnft_has_are_an_alarm_soon_after_the_start() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.connect_with("shelf", &plots("/mnt/d2", 2));
    story.pass(seconds(300));
    assert_eq!(unlisted(&story), [], "nobody knows the list yet");
    story.input(Input::Pools(vec![numbered("https://pool.example", 1, true)]));
    story.pass(seconds(29));
    assert_eq!(unlisted(&story), [], "the list may be half written");
    story.pass(seconds(1));
    let alarms = unlisted(&story);
    assert_eq!(alarms, [of_nobody(5, &["barn", "shelf"])]);
    let text = alarms[0].to_string();
    assert!(
        text.contains(&CONTRACT.to_string()) && text.contains("5 plots of it on barn, shelf"),
        "{text}"
    );
    // The numbers follow the plots, and a machine that is away for a moment still has its own.
    story.disconnect(barn);
    story.connect_with("attic", &plots("/mnt/d3", 1));
    story.pass(seconds(60));
    assert_eq!(unlisted(&story), [of_nobody(6, &["barn", "shelf", "attic"])]);
    story.input(Input::Fleet(FleetStatus {
        revoked: [certificate("barn")].into(),
        ..FleetStatus::default()
    }));
    assert_eq!(unlisted(&story), [of_nobody(3, &["shelf", "attic"])]);
    story.input(Input::Pools(vec![joined(membership("https://pool.example"))]));
    assert_eq!(unlisted(&story), []);
}

#[test]
fn a_person_who_knows_of_such_plots_is_not_told_again_and_a_contract_that_comes_later_is_another_alarm() {
    let mut story = Story::new();
    story.input(Input::Pools(Vec::new()));
    story.connect_with("barn", &plots("/mnt/d1", 3));
    story.pass(seconds(31));
    story.input(Input::Command(Command::AcknowledgeAlarm { number: None }));
    let mut others = plots("/mnt/d2", 4);
    for plot in &mut others {
        plot.pool = PlotPool::Contract(PuzzleHash([0xd0; 32]));
    }
    story.connect_with("shelf", &others);
    story.pass(seconds(31));
    let seen: Vec<_> = story
        .snapshot()
        .alarms
        .iter()
        .filter(|it| matches!(it.kind, AlarmKind::PlotNftGone { .. }))
        .map(|it| it.acknowledged)
        .collect();
    assert_eq!(seen, [true, false]);
}

#[test]
fn what_is_missing_in_a_list_that_cannot_be_read_in_full_is_no_alarm() {
    let mut story = Story::new();
    story.connect_with("barn", &plots("/mnt/d1", 3));
    let broken = |why: &str| Input::PoolsUnreadable {
        why: Some(why.to_owned()),
    };
    story.input(broken("half a file"));
    story.pass(seconds(120));
    story.input(Input::Pools(vec![numbered("https://pool.example", 1, true)]));
    story.pass(seconds(120));
    assert_eq!(unlisted(&story), []);
    let mended = |story: &mut Story| {
        story.input(Input::PoolsUnreadable { why: None });
        story.input(Input::Pools(Vec::new()));
    };
    mended(&mut story);
    story.pass(seconds(31));
    assert_eq!(unlisted(&story), [of_nobody(3, &["barn"])]);
    story.input(broken("half a file again"));
    story.pass(seconds(120));
    assert_eq!(unlisted(&story), [of_nobody(3, &["barn"])], "what was known stays");
}

#[test]
fn made_up_contracts_push_no_real_one_out() {
    let mut story = Story::new();
    story.input(Input::Pools(Vec::new()));
    story.connect_with("barn", &plots("/mnt/d1", 3));
    let mut made_up = plots("/mnt/d2", 200);
    for (number, plot) in (0..=199).zip(&mut made_up) {
        plot.pool = PlotPool::Contract(PuzzleHash([number; 32]));
    }
    story.connect_with("shelf", &made_up);
    story.pass(seconds(60));
    let alarms = unlisted(&story);
    assert_eq!(alarms.len(), 16);
    assert!(alarms.contains(&of_nobody(4, &["barn", "shelf"])), "{alarms:?}");
}

/// The pool is asked for the account so many times, signage point after signage point, and wants this difficulty.
fn account_says(story: &mut Story, times: usize, difficulty: u64) {
    let mut answers = 0;
    while answers < times {
        hard_point(story);
        story.pass(crate::farmer::SIGNAGE_POINT_INTERVAL);
        for (job, request) in story.asked() {
            let is_of_account = matches!(request, PoolRequest::Farmer { .. });
            answers += usize::from(is_of_account);
            story.pool_says(job, Ok(if is_of_account { account(difficulty) } else { info() }));
        }
    }
}

fn rare(story: &Story) -> Option<AlarmKind> {
    let alarms = story.alarms().into_iter();
    alarms
        .into_iter()
        .find(|kind| matches!(kind, AlarmKind::PartialsRare { .. }))
}

#[test]
fn the_partials_to_be_expected_follow_from_plots_and_difficulty() {
    let (mut story, _) = ready();
    assert_eq!(story.pool().expected_partials_24h, None, "no signage point has come");
    hard_point(&mut story);
    // 9216 signage points a day, of which a k32 passes one in 256; then 0.5557 partials of difficulty 1.
    let expected = |story: &Story| story.pool().expected_partials_24h.unwrap();
    assert_eq!(story.pool().plots, 3);
    assert!((expected(&story) - 60.0).abs() < 0.1, "{}", expected(&story));
    account_says(&mut story, 1, 100);
    assert!((expected(&story) - 0.6).abs() < 0.001, "{}", expected(&story));
    story.input(Input::Pools(vec![numbered("https://pool.example", 0, false)]));
    assert_eq!(
        story.pool().expected_partials_24h,
        None,
        "without its key none can be sent"
    );
}

#[test]
fn a_difficulty_that_hardly_any_partial_reaches_is_an_alarm_when_it_stays() {
    let (mut story, _) = ready();
    account_says(&mut story, 4, 59);
    assert_eq!(rare(&story), None, "a little more than one a day");
    account_says(&mut story, 2, 120);
    assert_eq!(rare(&story), None, "pools change their minds");
    account_says(&mut story, 1, 120);
    let Some(
        alarm @ AlarmKind::PartialsRare {
            plots: 3,
            difficulty: 120,
            every_s,
            ..
        },
    ) = rare(&story)
    else {
        panic!("{:?}", story.alarms())
    };
    assert!(every_s.abs_diff(172_800) < 600, "{every_s}");
    assert!(
        alarm.remedy().contains(&format!("pool login-link {LAUNCHER}")),
        "{}",
        alarm.remedy()
    );
    account_says(&mut story, 1, 20);
    assert_eq!(rare(&story), None);
}

#[test]
fn while_a_harvester_is_missing_its_plots_make_no_difficulty_too_high() {
    let (mut story, _) = ready();
    let shelf = story.connect_with("shelf", &plots("/mnt/d2", 30));
    story.disconnect(shelf);
    account_says(&mut story, 6, 300);
    assert_eq!(rare(&story), None);
    story.connect_with("shelf", &plots("/mnt/d2", 30));
    account_says(&mut story, 4, 300);
    assert_eq!(rare(&story), None);
}

#[test]
fn a_pool_without_plots_is_no_alarm() {
    let mut story = joining("https://pool.example");
    let mut others = plots("/mnt/d1", 3);
    for plot in &mut others {
        plot.pool = PlotPool::Contract(PuzzleHash([0xd0; 32]));
    }
    story.connect_with("barn", &others);
    story.pass(seconds(1));
    story.pool_answers(Ok(info()));
    story.pass(seconds(1));
    story.pool_answers(Ok(account(1000)));
    account_says(&mut story, 4, 1000);
    assert_eq!((rare(&story), story.pool().plots), (None, 0));
}

/// So many signage points are looked up, on a chain on which no plot has a block.
fn look_up(story: &mut Story, session: SessionId, points: usize) {
    for _ in 0..points {
        let point = hard_point(story);
        story.answer_with(session, &point, 0, 300);
        story.pass(seconds(9));
    }
}

#[test]
fn no_partial_where_many_were_to_be_expected_is_an_alarm_until_one_is_found() {
    let (mut story, barn) = ready();
    story.disconnect(barn);
    let shelf = story.connect_with("shelf", &plots("/mnt/d2", 300));
    let absent = |story: &Story| {
        let mut alarms = story.alarms().into_iter();
        alarms.find_map(|kind| match kind {
            AlarmKind::PartialsAbsent { expected, .. } => Some(expected),
            _ => None,
        })
    };
    // 0.651 partials at each.
    look_up(&mut story, shelf, 30);
    assert_eq!(absent(&story), None);
    look_up(&mut story, shelf, 3);
    assert_eq!(absent(&story), Some(21));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, shelf, &point, 1, good);
    assert_eq!(absent(&story), None);
    look_up(&mut story, shelf, 30);
    assert_eq!(absent(&story), None, "it is counted anew");
}

#[test]
fn plots_whose_pool_key_has_signed_for_another_address_are_an_alarm_before_they_win() {
    let (key, target) = (G1Bytes([0x9c; 48]), keys().pool_target.expect("one is set"));
    let of_key = |count| {
        let mut plots = plots("/mnt/d1", count);
        plots.iter_mut().for_each(|it| it.pool = PlotPool::PublicKey(key));
        plots
    };
    let alarms = |signed: Option<Vec<(G1Bytes, PuzzleHash)>>, plots: &[Plot]| {
        let mut story = Story::new();
        story.input(Input::Keys(FarmerKeys {
            pool_rewards: signed,
            ..keys()
        }));
        story.connect_with("barn", plots);
        let alarms = story.alarms().into_iter();
        alarms
            .filter(|kind| matches!(kind, AlarmKind::PoolRewardUnsigned { .. }))
            .collect::<Vec<_>>()
    };
    let alarm = |is_elsewhere| vec![AlarmKind::PoolRewardUnsigned { plots: 2, is_elsewhere }];
    let elsewhere = Some(vec![(key, target), (G1Bytes([0x9d; 48]), PuzzleHash([0xee; 32]))]);
    assert_eq!(alarms(elsewhere.clone(), &of_key(2)), alarm(true));
    assert_eq!(alarms(Some(Vec::new()), &of_key(2)), alarm(false));
    assert_eq!(alarms(Some(vec![(key, target)]), &of_key(2)), []);
    assert_eq!(alarms(None, &of_key(2)), [], "not told");
    assert_eq!(
        alarms(elsewhere.clone(), &plots("/mnt/d1", 2)),
        [],
        "plots of a contract need none"
    );

    // Until it has signed, or the plots are gone.
    for is_signed in [true, false] {
        let mut story = Story::new();
        let with = |pool_rewards| Input::Keys(FarmerKeys { pool_rewards, ..keys() });
        story.input(with(elsewhere.clone()));
        let barn = story.connect_with("barn", &of_key(2));
        let is_open = |story: &Story| story.alarms().iter().any(|it| it.rule() == "pool_reward_unsigned");
        assert!(is_open(&story));
        if is_signed {
            story.input(with(Some(vec![(key, target)])));
        } else {
            story.sync_all(barn, &plots("/mnt/d1", 2));
        }
        assert!(!is_open(&story));
    }
}

#[test]
fn a_plotnft_whose_entry_cannot_be_read_any_more_is_farmed_as_it_was() {
    let (mut story, barn) = ready();
    story.input(Input::PoolsUnreadable {
        why: Some("an entry without a key".to_owned()),
    });
    story.input(Input::Pools(vec![numbered("https://second.example", 1, true)]));
    let point = hard_point(&mut story);
    let good = quality(&point, true);
    find(&mut story, barn, &point, 1, good);
    story.share_signatures(barn);
    sign_partial(&mut story);
    let is_partial = |(_, request): &(JobId, PoolRequest)| matches!(request, PoolRequest::Partial(_));
    assert_eq!(story.asked().iter().filter(|it| is_partial(it)).count(), 1);
    assert_eq!(story.snapshot().pools.len(), 2);
    story.input(Input::PoolsUnreadable { why: None });
    story.input(Input::Pools(vec![numbered("https://second.example", 1, true)]));
    assert_eq!(
        story.snapshot().pools.len(),
        1,
        "all of the list is read, and it is not in it"
    );
}
