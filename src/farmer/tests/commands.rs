//! What people order, and what the rest of the program has to tell.

use super::story::*;
use crate::farmer::{Command, CommandError, FarmerConfig, FarmerKeys, Input};
use crate::snapshot::{AlarmKind, HarvesterId, UnlistedDirectory};

#[test]
fn harvester_is_named_and_the_name_outlives_its_connection() {
    let mut story = Story::new();
    let session = story.connect_as("unnamed", "10.0.0.7:1", "0.0.38");
    let rename = |name: &str| Command::NameHarvester {
        harvester: HarvesterId(1),
        name: name.to_owned(),
    };
    for bad in ["", "   ", "a\u{1b}[2J", &"x".repeat(65)] {
        assert_eq!(story.farmer.check(&rename(bad)), Err(CommandError::BadName));
    }
    assert_eq!(story.farmer.check(&rename("cellar")), Ok(()));
    story.input(Input::Command(rename("cellar")));
    story.disconnect(session);
    story.input(Input::Command(Command::ForgetHarvester {
        harvester: HarvesterId(1),
    }));
    assert!(story.snapshot().harvesters.is_empty());
    story.connect_as("unnamed", "10.0.0.8:1", "0.0.38");
    assert_eq!(story.harvester("cellar").host, "10.0.0.8");
}

#[test]
fn only_a_harvester_that_is_gone_can_be_forgotten() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let forget = Command::ForgetHarvester {
        harvester: HarvesterId(1),
    };
    assert_eq!(
        story.farmer.check(&forget),
        Err(CommandError::Connected {
            name: "barn".to_owned()
        })
    );
    story.input(Input::Command(forget.clone()));
    assert_eq!(story.snapshot().harvesters.len(), 1);
    story.disconnect(barn);
    story.pass(seconds(11));
    assert_eq!(story.alarms().len(), 1);
    story.input(Input::Command(forget.clone()));
    assert_eq!((story.snapshot().harvesters.len(), story.alarms().len()), (0, 0));
    assert_eq!(
        story.farmer.check(&forget),
        Err(CommandError::NoSuchHarvester {
            harvester: HarvesterId(1)
        })
    );
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
