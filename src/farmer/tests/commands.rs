//! What people order, and what the rest of the program has to tell.

use super::story::*;
use crate::farmer::harvesters::MAX_ABSENT;
use crate::farmer::{Command, CommandError, FarmerConfig, FarmerKeys, FleetStatus, Input};
use crate::snapshot::{AlarmKind, Concern, HarvesterId, HarvesterState, UnlistedDirectory};

#[test]
fn harvester_is_named_and_the_name_outlives_its_connection() {
    let mut story = Story::new();
    let session = story.connect_as("unnamed", "10.0.0.7:1", "0.0.38");
    name(&mut story, "unnamed", "cellar");
    story.disconnect(session);
    story.too_many_are_gone();
    assert!(story.snapshot().harvesters.iter().all(|it| it.name != "cellar"));
    story.connect_as("unnamed", "10.0.0.8:1", "0.0.38");
    assert_eq!(story.harvester("cellar").host, "10.0.0.8");
}

/// As the registry does it.
fn name(story: &mut Story, who: &str, name: &str) {
    story.input(Input::Fleet(FleetStatus {
        names: [(certificate(who), name.to_owned())].into(),
        ..FleetStatus::default()
    }));
}

#[test]
fn of_too_many_that_are_gone_the_first_is_forgotten_with_its_alarms() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.disconnect(barn);
    story.pass(seconds(11));
    assert_eq!(story.alarms().len(), 1);
    story.too_many_are_gone();
    assert_eq!(
        (story.snapshot().harvesters.len(), story.alarms().len()),
        (MAX_ABSENT, 0)
    );
    let harvester = HarvesterId(1);
    let refresh = Command::RefreshHarvester {
        harvester: Some(harvester),
    };
    assert_eq!(
        story.farmer.check(&refresh),
        Err(CommandError::NoSuchHarvester { harvester })
    );
}

#[test]
fn a_new_name_is_that_of_the_alarms_and_silences_too() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.disconnect(barn);
    story.pass(seconds(11));
    story.input(Input::Command(Command::SilenceAlarms {
        rule: None,
        machine: Some(story.snapshot().harvesters[0].name.clone()),
        for_s: 3600,
    }));
    name(&mut story, "barn", "attic");
    let alarm = &story.snapshot().alarms[0];
    assert!(alarm.text.starts_with("attic "), "{}", alarm.text);
    assert!(alarm.silenced, "whoever gave a name is woken");
}

#[test]
fn harvesters_that_change_their_names_get_them_whole() {
    let mut story = Story::new();
    story.connect("first");
    story.connect("second");
    let mut named = |first: &str, second: &str| {
        let names = [("first", first), ("second", second)].map(|(of, name)| (certificate(of), name.to_owned()));
        story.input(Input::Fleet(FleetStatus {
            names: names.into(),
            ..FleetStatus::default()
        }));
        story
            .snapshot()
            .harvesters
            .into_iter()
            .map(|it| it.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(named("a", "b"), ["a", "b"]);
    assert_eq!(named("b", "a"), ["b", "a"]);
    assert_eq!(named("b", "b"), ["b", "b (2)"]);
    assert_eq!(named("c", "b"), ["c", "b"]);
}

#[test]
fn a_harvester_of_an_earlier_run_is_absent_until_it_comes() {
    let mut story = Story::new();
    let (came, new) = (story.connect("came"), certificate("new"));
    story.input(Input::Fleet(FleetStatus {
        names: [(new, "rack-1".to_owned())].into(),
        expected: vec![expected("came"), expected("new"), expected("other")],
        ..FleetStatus::default()
    }));
    // When it went nobody saw.
    let since_unix_ms = story.now.unix.0;
    assert_eq!(story.state("rack-1"), HarvesterState::Absent { since_unix_ms });
    assert_eq!(story.state("10.0.0.9"), HarvesterState::Absent { since_unix_ms });
    let snapshot = story.snapshot();
    assert_eq!(
        (snapshot.harvesters.len(), snapshot.totals.absent),
        (3, 2),
        "it has come already"
    );
    assert!(snapshot.harvesters.iter().all(|it| it.first_seen_unix_ms == 1_000));
    story.connect("new");
    assert_eq!(story.harvester("rack-1").connections, 1);
    assert!(story.is_connected(came));
}

#[test]
fn plots_of_an_absent_harvester_are_those_of_its_last_run_until_it_lists_them() {
    let mut story = Story::new();
    let status = |alarm: Option<&str>| {
        Input::Fleet(FleetStatus {
            names: [(certificate("new"), "rack-1".to_owned())].into(),
            alarms: (alarm.into_iter().map(|of| AlarmKind::HarvesterMissing {
                name: "rack-1".to_owned(),
                fingerprint: certificate(of).to_string(),
                address: None,
                plots: 0,
            }))
            .collect(),
            expected: vec![expected("new"), expected("other")],
            ..FleetStatus::default()
        })
    };
    story.input(status(None));
    assert_eq!(story.harvester("rack-1").plots, 0, "nobody knows");
    story.input(Input::PastPlots([(certificate("new"), 412)].into()));
    let rack = story.harvester("rack-1");
    assert_eq!(
        (rack.plots, rack.plot_size(), rack.last_sync_unix_ms),
        (412, None, None)
    );
    assert_eq!(story.harvester("10.0.0.9").plots, 0);
    assert_eq!(story.snapshot().totals.plots, 0, "they are not farmed");
    story.input(status(Some("new")));
    assert_eq!(
        story.alarms().iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["rack-1 has not come since this farmer was started; it had 412 plots"]
    );
    let session = story.connect("new");
    assert_eq!(story.harvester("rack-1").plots, 0, "it has not listed them");
    story.disconnect(session);
    assert_eq!(story.harvester("rack-1").plots, 412, "it still has not");
    let session = story.connect("new");
    story.sync_all(session, &plots("/mnt/d1", 3));
    story.disconnect(session);
    assert_eq!(story.harvester("rack-1").plots, 3);
}

#[test]
fn settings_that_cannot_be_followed_are_an_alarm_until_they_can() {
    let mut story = Story::new();
    let read = |why: Option<&str>| Input::SettingsUnreadable {
        why: why.map(str::to_owned),
    };
    story.input(read(None));
    assert_eq!(story.alarms(), []);
    for why in ["config.yaml: line 3", "config.yaml: line 7"] {
        story.input(read(Some(why)));
        assert_eq!(story.alarms(), [AlarmKind::SettingsUnreadable { why: why.to_owned() }]);
    }
    story.input(read(None));
    assert_eq!(story.alarms(), []);
}

#[test]
fn plot_directory_of_the_farmer_s_own_that_gives_nothing_is_an_alarm_until_it_does() {
    let mut story = Story::new();
    let mut found = |directories: &[&str]| -> Vec<String> {
        let unlisted = directories.iter().map(|directory| UnlistedDirectory {
            directory: (*directory).to_owned(),
            why: "it does not exist".to_owned(),
        });
        story.input(Input::PlotDirectories {
            unlisted: unlisted.collect(),
        });
        story.alarms().iter().map(ToString::to_string).collect()
    };
    let [d1, d2] = [1, 2].map(|n| format!("nothing is farmed from /mnt/d{n}: it does not exist"));
    assert_eq!(found(&["/mnt/d1", "/mnt/d2"]), [d1, d2.clone()]);
    assert_eq!(found(&["/mnt/d2"]), [d2]);
    assert!(found(&[]).is_empty());
}

#[test]
fn alarm_is_acknowledged_by_number() {
    let mut story = Story::of(FarmerConfig {
        keys: FarmerKeys::default(),
        ..config()
    });
    let acknowledge = |number| Command::AcknowledgeAlarm { number: Some(number) };
    assert_eq!(
        story.farmer.check(&acknowledge(9)),
        Err(CommandError::NoSuchAlarm { number: 9 })
    );
    story.input(Input::Command(acknowledge(1)));
    let alarms = story.snapshot().alarms;
    assert!(
        alarms[0].acknowledged && alarms[0].closed_at_unix_ms.is_none(),
        "there still are no keys"
    );
}

#[test]
fn a_drive_of_the_farmer_s_own_harvester_that_fails_is_an_alarm_until_it_does_not() {
    let mut story = Story::new();
    let told = |story: &mut Story, troubles: &[&Concern]| {
        let troubles = troubles.iter().map(|it| (*it).clone()).collect();
        story.input(Input::DriveTroubles { troubles });
        story.snapshot().alarms
    };
    let damaged = |look_ups| Concern::PlotsDamaged {
        drive: "/mnt/d1".to_owned(),
        look_ups,
        last: "plot-k32.plot: plot is damaged".to_owned(),
    };
    let sick = Concern::DriveSick {
        drive: "/mnt/d1".to_owned(),
        plots: 3,
        last_error: None,
    };
    assert_eq!(told(&mut story, &[&sick]), [], "there is none");
    story.embedded("local");
    let alarms = told(&mut story, &[&damaged(1), &sick, &Concern::NoKeys]);
    let texts: Vec<_> = alarms.iter().map(|it| it.text.as_str()).collect();
    let sick_text = "local: drive /mnt/d1 with 3 plots does not answer";
    let damaged_text = "local: 1 look-up on drive /mnt/d1 met a damaged plot, last: plot-k32.plot: plot is damaged";
    assert_eq!(texts, [sick_text, damaged_text]);
    assert_eq!(alarms[0].kind.harvester(), Some(HarvesterId(1)));
    let alarms = told(&mut story, &[&damaged(7)]);
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].text.starts_with("local: 7 look-ups"), "{}", alarms[0].text);
    assert_eq!(told(&mut story, &[]), []);
}
