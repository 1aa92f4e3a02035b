//! Harvesters whose clocks differ from the farmer's.

use super::story::*;
use crate::farmer::{FleetStatus, Input};
use crate::ids::SessionId;
use crate::snapshot::AlarmKind;

/// An answer to the next signage point, made by a clock that is so many seconds ahead.
fn answer(story: &mut Story, session: SessionId, ahead_s: i64) -> Vec<String> {
    let point = story.signage_point();
    let timestamp = story.now.unix.seconds().saturating_add_signed(ahead_s);
    story.answer_at(session, &point, timestamp);
    story.pass(seconds(9));
    story.alarms().iter().map(ToString::to_string).collect()
}

#[test]
fn clock_of_a_harvester_that_is_far_off_is_an_alarm_until_it_is_set() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    let off = ["the clock of barn is 10 hours behind this machine's"];
    for (ahead_s, told) in [
        (-36_000, false),
        (-36_000, false),
        (0, false),
        (-36_000, false),
        (-36_001, false),
        (-36_000, true),
    ] {
        assert_eq!(!answer(&mut story, barn, ahead_s).is_empty(), told, "{ahead_s}");
    }
    assert_eq!(
        answer(&mut story, barn, -35_999)[..],
        ["the clock of barn is 9 hours behind this machine's"]
    );
    assert_eq!(answer(&mut story, barn, -36_000)[..], off);
    let remedy = story.alarms()[0].remedy();
    assert!(remedy.contains("clock of barn: `timedatectl`"), "{remedy}");
    // What keeps it from coming back is still said when it is gone.
    story.disconnect(barn);
    assert_eq!(story.alarms()[0].to_string(), off[0]);
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    assert!(answer(&mut story, barn, 60).is_empty());
    for _ in 0..2 {
        answer(&mut story, barn, i64::from(u32::MAX));
    }
    assert_eq!(
        answer(&mut story, barn, i64::from(u32::MAX))[..],
        ["the clock of barn is 49710 days ahead of this machine's"]
    );
}

#[test]
fn own_clock_that_is_wrong_is_one_alarm_and_not_one_for_each_harvester() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    for _ in 0..3 {
        answer(&mut story, barn, 7_200);
    }
    assert_eq!(story.alarms().len(), 1);
    let wrong = AlarmKind::ClockWrong { ahead_s: -7_200 };
    story.input(Input::Fleet(FleetStatus {
        alarms: vec![wrong.clone()],
        ..FleetStatus::default()
    }));
    answer(&mut story, barn, 7_200);
    assert_eq!(story.alarms(), [wrong]);
}
