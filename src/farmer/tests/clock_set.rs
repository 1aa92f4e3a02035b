//! The wall clock is set while the farm runs: nothing that is shown becomes older or younger by that.

use super::story::*;
use crate::clock::UnixMillis;
use crate::farmer::{Command, FleetStatus, Input};
use crate::snapshot::{AlarmMemory, FarmRecord, FarmSnapshot, HarvesterState, QuarterCounts, Silence};

const HOUR_MS: i64 = 3_600_000;
const YEARS_MS: i64 = 50 * 365 * 24 * HOUR_MS;

/// Somebody sets the clock.
fn set(story: &mut Story, by_ms: i64) {
    story.now.unix.0 = story.now.unix.0.saturating_add_signed(by_ms);
    story.input(Input::ClockSet { by_ms });
}

fn set_to(story: &mut Story, unix_ms: u64) {
    let by_ms = i64::try_from(unix_ms).unwrap() - i64::try_from(story.now.unix.0).unwrap();
    set(story, by_ms);
}

/// How long ago everything was that has a time.
fn ages(farm: &FarmSnapshot) -> Vec<(&'static str, i64)> {
    let mut times = vec![
        ("started", Some(farm.started_at_unix_ms)),
        ("node", Some(farm.nodes[0].since_unix_ms)),
        ("its signage point", farm.nodes[0].last_signage_point_unix_ms),
        (
            "signage point",
            farm.signage_point.as_ref().map(|it| it.received_at_unix_ms),
        ),
        ("block", farm.wins.last_block_unix_ms),
        ("win", farm.luck.last_win_unix_ms),
        ("luck", Some(farm.luck.counted_since_unix_ms)),
    ];
    times.extend(farm.roll_call.iter().map(|it| ("roll call", Some(it.at_unix_ms))));
    times.extend(farm.attempts.iter().map(|it| ("attempt", Some(it.at_unix_ms))));
    for it in &farm.harvesters {
        times.extend([
            ("first seen", Some(it.first_seen_unix_ms)),
            ("connected", Some(it.connected_at_unix_ms)),
            ("synced", it.last_sync_unix_ms),
            ("changed", it.last_plot_change.as_ref().map(|it| it.at_unix_ms)),
            ("answer", it.last_answer.as_ref().map(|it| it.at_unix_ms)),
        ]);
        if let HarvesterState::Absent { since_unix_ms } = it.state {
            times.push(("absent", Some(since_unix_ms)));
        }
    }
    for it in farm.alarms.iter().chain(&farm.alarm_history) {
        times.extend([
            ("opened", Some(it.opened_at_unix_ms)),
            ("updated", Some(it.updated_at_unix_ms)),
            ("closed", it.closed_at_unix_ms),
        ]);
    }
    times.extend(farm.silences.iter().map(|it| ("silence", Some(it.until_unix_ms))));
    let age = |at: u64| i64::try_from(farm.taken_at_unix_ms).unwrap() - i64::try_from(at).unwrap();
    times
        .into_iter()
        .filter_map(|(what, at)| Some((what, age(at?))))
        .collect()
}

/// A farm in which there is something of everything.
fn farm() -> Story {
    let mut story = Story::new();
    let mut more = plots("/mnt/d1", 2_560);
    let added = more.split_off(2_500);
    let barn = story.connect_with("barn", &more);
    story.pass(seconds(5));
    story.sync(
        barn,
        SyncStep {
            loaded: &added,
            ..SyncStep::default()
        },
    );
    let attic = story.connect_as("attic", "10.0.0.8:1", "0.0.38");
    story.disconnect(attic);
    story.pass(seconds(20));
    story.connect_as("attic", "10.0.0.8:1", "0.0.38");
    let cellar = story.connect_as("cellar", "10.0.0.9:1", "0.0.38");
    story.disconnect(cellar);
    let point = story.signage_point();
    story.answer_with(barn, &point, 10, 2_560);
    story.pass(seconds(12));
    story.input(Input::Command(Command::SilenceAlarms {
        rule: None,
        machine: Some("cellar".to_owned()),
        for_s: 3_600,
    }));
    story
}

#[test]
fn clock_that_is_set_makes_nothing_older_or_younger() {
    for by_ms in [
        3 * HOUR_MS,
        -3 * HOUR_MS,
        48 * HOUR_MS,
        -48 * HOUR_MS,
        YEARS_MS,
        -YEARS_MS,
    ] {
        let mut story = farm();
        let before = story.snapshot();
        assert!(!before.alarms.is_empty() && !before.alarm_history.is_empty() && !before.silences.is_empty());
        set(&mut story, by_ms);
        let after = story.snapshot();
        assert_eq!(ages(&after), ages(&before), "{by_ms}");
        assert_eq!(after.luck, {
            let counted_since_unix_ms = after.luck.counted_since_unix_ms;
            crate::snapshot::LuckView {
                counted_since_unix_ms,
                ..before.luck.clone()
            }
        });
        // And back again, some time later.
        story.pass(seconds(4));
        let before = story.snapshot();
        set(&mut story, -by_ms);
        assert_eq!(ages(&story.snapshot()), ages(&before), "{by_ms}");
    }
}

#[test]
fn what_was_counted_is_of_today_also_in_another_quarter_of_an_hour() {
    let mut story = farm();
    story.pass(seconds(2_000));
    let point = story.signage_point();
    let barn = story.connect_as("shed", "10.0.0.10:1", "0.0.38");
    story.sync_all(barn, &plots("/mnt/d9", 640));
    story.answer_with(barn, &point, 3, 640);
    let before = story.snapshot().luck.filter_24h;
    assert_eq!(before.got, 13);
    for by_ms in [YEARS_MS, 7 * 60_000, -48 * HOUR_MS, 48 * HOUR_MS] {
        set(&mut story, by_ms);
        assert_eq!(story.snapshot().luck.filter_24h, before, "{by_ms}");
    }
}

#[test]
fn farm_that_starts_in_1970_has_its_day_and_its_harvesters_as_soon_as_it_knows_the_time() {
    let today = start().unix;
    let mut story = Story::of_time(UnixMillis(60_000));
    story.input(Input::Fleet(FleetStatus {
        expected: vec![expected("barn")],
        ..FleetStatus::default()
    }));
    let seen_before = story.snapshot().harvesters[0].connected_at_unix_ms;
    let quarter = today.0 / 900_000 * 900_000;
    story.input(Input::Past(Box::new(FarmRecord {
        counted_since_unix_ms: today.0 - 86_400_000,
        last_win_unix_ms: Some(today.0 - 1_000),
        won_ever: 14,
        quarters: vec![QuarterCounts {
            start_unix_ms: quarter,
            signage_points: 96,
            missed: 2,
            blocks_signed: 1,
            ..QuarterCounts::default()
        }],
        ..FarmRecord::default()
    })));
    story.signage_point();
    let luck = story.snapshot().luck;
    assert_eq!(
        (luck.won_24h, luck.last_win_unix_ms),
        (0, None),
        "by this clock it is to come"
    );
    set_to(&mut story, today.0);
    let snapshot = story.snapshot();
    let luck = &snapshot.luck;
    assert_eq!((luck.won_24h, luck.won_ever), (1, 14));
    assert_eq!(luck.last_win_unix_ms, Some(today.0 - 1_000));
    assert_eq!(luck.counted_since_unix_ms, today.0 - 86_400_000);
    let points = &snapshot.signage_points;
    assert_eq!((points.received_24h, points.missed_24h), (97, 2));
    assert_eq!(
        snapshot.harvesters[0].connected_at_unix_ms, seen_before,
        "a time of an earlier run"
    );
    // The quarter that is running is kept with what earlier runs had of it.
    story.signage_point();
    let kept = story.take(|output| match output {
        crate::farmer::Output::Record(record) => Some((**record).clone()),
        _ => None,
    });
    let kept = kept.last().unwrap();
    let newest = kept.quarters.last().unwrap();
    assert_eq!((newest.start_unix_ms, newest.signage_points), (quarter, 98));
    assert_eq!(kept.counted_since_unix_ms, today.0 - 86_400_000);
}

#[test]
fn beginning_of_the_count_that_was_written_down_in_1970_is_put_right() {
    let mut story = Story::new();
    story.input(Input::Past(Box::new(FarmRecord {
        counted_since_unix_ms: 60_969,
        ..FarmRecord::default()
    })));
    assert_eq!(story.snapshot().luck.counted_since_unix_ms, start().unix.0);
}

#[test]
fn silence_of_an_earlier_run_is_no_longer_than_it_was_wanted_to_be() {
    let silence = |until_unix_ms: u64, for_s: u64| Silence {
        until_unix_ms,
        for_s,
        ..Silence::default()
    };
    let (now, hour) = (start().unix.0, 3_600_000);
    let far = now + u64::try_from(YEARS_MS).unwrap();
    for (kept, until) in [
        (silence(now + hour / 2, 3_600), now + hour / 2),
        (silence(far, 3_600), now + hour),
        (silence(far, 0), far),
    ] {
        let story = Story::of(crate::farmer::FarmerConfig {
            alarm_memory: AlarmMemory {
                silences: vec![kept],
                ..AlarmMemory::default()
            },
            ..config()
        });
        assert_eq!(story.snapshot().silences[0].until_unix_ms, until);
    }
}
