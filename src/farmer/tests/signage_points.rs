//! Signage points go out once to everybody, answers are watched, gaps are noticed.

use super::story::*;
use crate::farmer::Input;
use crate::snapshot::{AlarmKind, AttemptOutcome, Awaited, FarmStatus, HarvesterState, Notice, SubSlotCell};
use crate::units::{Difficulty, Height};
use crate::wire::{SignagePointFilter, ToHarvester};

#[test]
fn silent_harvester_is_reported_once() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.answer(barn, &point);
    assert_eq!(story.state("barn"), HarvesterState::Farming);
    story.notices();
    for _ in 0..20 {
        story.pass(seconds(9));
        story.signage_point();
    }
    let opened = story.notices().into_iter().filter(|notice| {
        matches!(notice, Notice::AlarmOpened { alarm } if matches!(alarm.kind, AlarmKind::HarvesterSilent { .. }))
    });
    assert_eq!(opened.count(), 1);
    assert_eq!(story.state("barn"), HarvesterState::Silent { unanswered: 19 });
    assert!(matches!(story.snapshot().status, FarmStatus::NoAnswers { .. }));
    let point = story.signage_point();
    story.answer(barn, &point);
    assert_eq!(story.alarms(), []);
    assert_eq!(story.state("barn"), HarvesterState::Farming);
    assert_eq!(story.snapshot().status, FarmStatus::Farming);
}

#[test]
fn harvester_that_stops_answering_and_then_goes_is_an_alarm_all_the_time() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let unanswered = |story: &Story| match story.alarms()[..] {
        [AlarmKind::HarvesterSilent { unanswered, .. }] => unanswered,
        _ => 0,
    };
    let point = story.signage_point();
    story.answer(barn, &point);
    for _ in 0..5 {
        story.signage_point();
        story.pass(seconds(9));
    }
    assert_eq!(unanswered(&story), 5);
    story.input(Input::HarvesterQuiet {
        session: barn,
        quiet: seconds(30),
    });
    for _ in 0..5 {
        story.signage_point();
        story.pass(seconds(9));
    }
    assert!(matches!(story.state("barn"), HarvesterState::Suspect { .. }));
    assert_eq!(unanswered(&story), 10, "an old count");
    story.disconnect(barn);
    for _ in 0..11 {
        assert_eq!(story.alarms().len(), 1, "nothing is wrong for a moment");
        story.pass(seconds(1));
    }
    assert!(matches!(story.alarms()[..], [AlarmKind::HarvesterAbsent { .. }]));
    let back = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.answer(back, &point);
    assert_eq!(story.alarms(), []);
}

#[test]
fn every_protocol_version_is_challenged_in_its_form() {
    let mut story = Story::new();
    let versions = ["0.0.36", "0.0.37", "0.0.38", "0.0.39"];
    let sessions = versions.map(|version| story.connect_as(version, "10.0.0.7:1", version));
    let point = story.signage_point();
    for (session, version) in sessions.into_iter().zip(versions) {
        let filters = story.take(|output| match output {
            crate::farmer::Output::Send {
                session: to,
                message: ToHarvester::NewSignagePoint(point),
                ..
            } if *to == session => Some(point.filter),
            _ => None,
        });
        let expected = match version {
            "0.0.36" => SignagePointFilter::PrefixBits(8),
            _ => SignagePointFilter::Heights {
                peak_height: point.peak_height,
                last_tx_height: point.last_tx_height,
                filter_challenge: None,
            },
        };
        assert_eq!(filters, [expected], "{version}");
    }
}

#[test]
fn harvester_of_0_0_37_is_challenged_and_farms() {
    let mut story = Story::new();
    let barn = story.connect_as("barn", "10.0.0.7:1", "0.0.37");
    story.sync_all(barn, &plots("/mnt/d1", 3));
    let point = story.signage_point();
    assert_eq!(story.signage_points_sent(barn), 1);
    story.answer(barn, &point);
    assert_eq!(story.state("barn"), HarvesterState::Farming);
}

#[test]
fn signage_point_from_two_nodes_is_handled_once() {
    let mut story = Story::new();
    story.input(Input::Node {
        node: OTHER_NODE,
        status: node_status("other"),
    });
    let barn = story.connect("barn");
    let point = story.signage_point();
    let mut other = point.clone();
    other.peak_height = Height(6_000_001);
    story.bring(OTHER_NODE, &other);
    story.bring(OTHER_NODE, &point);
    assert_eq!(story.signage_points_sent(barn), 1);
    let counts = story.snapshot().signage_points;
    assert_eq!((counts.received, counts.duplicates), (1, 2));
    assert_eq!(story.snapshot().nodes[1].peak_height, Some(6_000_000));
}

#[test]
fn signage_point_that_asks_something_else_is_sent_again() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let mut point = story.signage_point();
    story.answer(barn, &point);
    point.difficulty = Difficulty(2);
    story.bring(NODE, &point);
    assert_eq!(story.signage_points_sent(barn), 2);
    story.answer(barn, &point);
    assert_eq!(
        story.harvester("barn").challenged,
        1,
        "it is one signage point all the same"
    );
    assert_eq!(story.snapshot().counters.unexpected_answers, 1);
}

#[test]
fn answer_is_a_row_and_a_notice() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.pass(seconds(1));
    story.notices();
    story.answer(barn, &point);
    let rows = story.snapshot().attempts;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0].outcome,
        AttemptOutcome::Answered {
            passed: 3,
            total: 864,
            proofs: 0,
            lookup_ms: 210,
            round_trip_ms: 1000
        }
    );
    assert_eq!(
        story.notices(),
        [Notice::Attempt {
            attempt: rows[0].clone()
        }]
    );
    let roll_call = &story.snapshot().roll_call[0];
    assert_eq!(
        (roll_call.asked, roll_call.in_time, roll_call.plots, roll_call.passed),
        (1, 1, 864, 3)
    );
    assert_eq!(story.snapshot().sub_slot[0], SubSlotCell::Answered);
}

#[test]
fn missing_answer_is_one_row_that_changes() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.pass(seconds(8));
    let no_answer = |after_s| AttemptOutcome::NoAnswer { total: 3, after_s };
    let outcomes = |story: &Story| {
        story
            .snapshot()
            .attempts
            .into_iter()
            .map(|row| row.outcome)
            .collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&story), [no_answer(8)]);
    assert_eq!(story.snapshot().roll_call[0].waiting_for, ["barn"]);
    assert_eq!(story.snapshot().sub_slot[0], SubSlotCell::Late);
    story.pass(seconds(17));
    assert_eq!(outcomes(&story), [no_answer(25)]);
    assert_eq!(story.harvester("barn").unanswered, 1);
    story.pass(seconds(1));
    story.answer(barn, &point);
    assert!(matches!(
        outcomes(&story)[..],
        [AttemptOutcome::Answered {
            round_trip_ms: 26_000,
            ..
        }]
    ));
    let barn = story.harvester("barn");
    assert_eq!((barn.unanswered, barn.answered, barn.answered_late), (0, 1, 1));
}

#[test]
fn late_harvester_is_named_and_recovers() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    for _ in 0..2 {
        let point = story.signage_point();
        story.pass(seconds(10));
        story.answer_after(barn, &point, seconds(9));
    }
    assert_eq!(story.state("barn"), HarvesterState::Late);
    let alarms = story.alarms();
    assert!(matches!(
        alarms[..],
        [AlarmKind::HarvesterLate {
            late: 2,
            on_the_way: 0,
            ..
        }]
    ));
    assert_eq!(alarms[0].remedy(), "look for a slow, sleeping or dying drive on barn");
    for _ in 0..10 {
        let point = story.signage_point();
        story.answer(barn, &point);
        story.pass(seconds(9));
    }
    assert_eq!((story.state("barn"), story.alarms()), (HarvesterState::Farming, vec![]));
}

#[test]
fn answers_that_are_late_on_the_way_are_no_fault_of_drives() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    for lookup in [seconds(9), seconds(1), seconds(1)] {
        let point = story.signage_point();
        story.pass(seconds(10));
        story.answer_after(barn, &point, lookup);
    }
    let [alarm] = &story.alarms()[..] else { panic!() };
    assert!(matches!(
        alarm,
        AlarmKind::HarvesterLate {
            late: 3,
            on_the_way: 2,
            ..
        }
    ));
    assert!(
        alarm.remedy().contains("network between barn and the farmer"),
        "{}",
        alarm.remedy()
    );
}

#[test]
fn look_up_times_keep_the_order_of_asking() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let first = story.signage_point();
    story.pass(seconds(9));
    let second = story.signage_point();
    story.answer(barn, &second);
    assert_eq!(story.harvester("barn").lookups_ms, [None, Some(210)]);
    story.answer(barn, &first);
    assert_eq!(story.harvester("barn").lookups_ms, [Some(210), Some(210)]);
    assert_eq!(story.harvester("barn").lookup_p95_ms, Some(210));
    story.signage_point();
    assert_eq!(
        story.harvester("barn").lookups_ms.len(),
        2,
        "it may still answer the third in time"
    );
}

#[test]
fn missed_signage_points_are_counted_shown_and_attributed() {
    let mut story = Story::new();
    story.signage_point();
    let skipped = [story.next_point(), story.next_point()];
    story.pass(seconds(28));
    story.signage_point();
    assert_eq!(story.alarms(), [], "they may still come");
    story.bring(NODE, &skipped[1]);
    story.pass(seconds(5));
    let missed = AlarmKind::SignagePointsMissed {
        node: "node".to_owned(),
        missed: 1,
    };
    assert_eq!(story.alarms(), [missed]);
    assert!(story.notices().contains(&Notice::SignagePointsMissed {
        node: "node".to_owned(),
        missed: 1
    }));
    let snapshot = story.snapshot();
    assert_eq!(
        (snapshot.signage_points.missed, snapshot.signage_points.missed_24h),
        (1, 1)
    );
    assert_eq!(
        snapshot.sub_slot[..5],
        [
            SubSlotCell::Seen,
            SubSlotCell::Missed,
            SubSlotCell::Seen,
            SubSlotCell::Seen,
            SubSlotCell::Ahead
        ]
    );
    for _ in 0..70 {
        story.signage_point();
        story.pass(seconds(9));
    }
    assert_eq!(story.alarms(), []);
}

#[test]
fn status_follows_answers_not_connections() {
    let mut story = Story::new();
    story.signage_point();
    story.pass(seconds(31));
    assert_eq!(story.snapshot().status, FarmStatus::NoHarvester);
    let barn = story.connect("barn");
    assert_eq!(story.snapshot().status, waits_for(Awaited::PlotLists));
    story.sync_all(barn, &plots("/mnt/d1", 3));
    assert_eq!(
        story.snapshot().status,
        waits_for(Awaited::Answer),
        "it has not answered anything"
    );
    let point = story.signage_point();
    story.answer(barn, &point);
    assert_eq!(story.snapshot().status, FarmStatus::Farming);
    story.disconnect(barn);
    assert_eq!(story.snapshot().status, FarmStatus::NoHarvester);
}

fn waits_for(waits_for: Awaited) -> FarmStatus {
    FarmStatus::Starting { waits_for }
}

#[test]
fn start_is_not_called_a_farm_without_plots() {
    let mut story = Story::new();
    let point = story.signage_point();
    assert_eq!(story.snapshot().status, waits_for(Awaited::Harvester));
    let barn = story.connect("barn");
    assert_eq!(story.snapshot().status, waits_for(Awaited::PlotLists));
    story.sync_all(barn, &[]);
    story.answer_with(barn, &point, 0, 0);
    story.pass(seconds(29));
    assert_eq!(
        story.snapshot().status,
        waits_for(Awaited::Plots),
        "one may be in the making"
    );
    story.pass(seconds(1));
    assert_eq!(story.snapshot().status, FarmStatus::NoPlots);
    story.connect("shelf");
    story.pass(seconds(29));
    assert_eq!(
        story.snapshot().status,
        waits_for(Awaited::PlotLists),
        "shelf may have some"
    );
    story.pass(seconds(1));
    assert_eq!(story.snapshot().status, FarmStatus::NoPlots, "it tells of none");
}

#[test]
fn harvester_that_has_just_synced_gets_the_running_signage_point() {
    let mut story = Story::new();
    story.signage_point();
    story.pass(seconds(3));
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    assert_eq!(story.signage_points_sent(barn), 1);
    story.pass(seconds(9));
    let shelf = story.connect_with("shelf", &plots("/mnt/d2", 3));
    assert_eq!(story.signage_points_sent(shelf), 0, "it could hardly answer in time");
}

#[test]
fn reconnected_harvester_is_not_asked_again_what_it_answered() {
    let mut story = Story::new();
    let first = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.answer(first, &point);
    story.disconnect(first);
    let second = story.connect_with("barn", &plots("/mnt/d1", 3));
    assert_eq!(story.signage_points_sent(second), 0);
    assert_eq!(story.snapshot().roll_call[0].asked, 1);
}

#[test]
fn signage_point_that_never_went_out_is_not_held_against_the_harvester() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.input(Input::SignagePointDropped {
        session: barn,
        sp_hash: Some(point.challenge_chain_sp),
    });
    story.pass(seconds(30));
    let view = story.harvester("barn");
    assert_eq!((view.challenged, view.dropped, view.unanswered), (1, 1, 0));
    assert_eq!(story.snapshot().counters.dropped_signage_points, 1);
    assert!(story.snapshot().attempts.is_empty());
}

#[test]
fn answers_nobody_asked_for_are_counted() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.answer(barn, &point(999));
    let asked = story.signage_point();
    story.answer(barn, &asked);
    story.answer(barn, &asked);
    assert_eq!(story.snapshot().counters.unexpected_answers, 2);
    assert_eq!(story.harvester("barn").answered, 1);
}
