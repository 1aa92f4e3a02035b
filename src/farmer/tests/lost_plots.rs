//! Plots that nobody farms any more: what is a loss, and what is somebody tidying up, moving drives or starting anew.

use super::story::*;
use crate::farmer::{Command, Input};
use crate::ids::PlotId;
use crate::snapshot::AlarmKind;
use crate::wire::Plot;

#[test]
fn lost_plots_are_grouped_by_drive() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let (first, second) = (plots("/mnt/d1", 109), plots("/mnt/d2", 50));
    let all = [first.clone(), second.clone(), plots("/mnt/d3", 500)].concat();
    story.sync_all(barn, &all);
    story.pass(seconds(120));
    let gone: Vec<_> = first.iter().chain(&second).map(|plot| plot.filename.as_str()).collect();
    story.sync(
        barn,
        SyncStep {
            removed: &gone,
            ..SyncStep::default()
        },
    );
    assert_eq!(lost(&story), [(109, "/mnt/d1".to_owned()), (50, "/mnt/d2".to_owned())]);
    let change = story.harvester("barn").last_plot_change.expect("a change");
    assert_eq!(
        (change.added, change.removed, change.removed_from.as_deref()),
        (0, 159, Some("/mnt"))
    );
    story.pass(seconds(120));
    story.sync(
        barn,
        SyncStep {
            loaded: &first[..9],
            ..SyncStep::default()
        },
    );
    assert!(
        story
            .alarms()
            .iter()
            .any(|kind| matches!(kind, AlarmKind::PlotsLost { lost: 100, .. }))
    );
    story.pass(seconds(120));
    story.sync(
        barn,
        SyncStep {
            loaded: &[&first[9..], &second].concat(),
            ..SyncStep::default()
        },
    );
    assert!(
        !story
            .alarms()
            .iter()
            .any(|kind| matches!(kind, AlarmKind::PlotsLost { .. }))
    );
}

#[test]
fn a_plot_that_is_replaced_in_its_file_is_not_lost_and_one_whose_file_stays_away_is() {
    let mut story = Story::new();
    let all = plots("/mnt/d1", 3);
    let barn = story.connect_with("barn", &all);
    story.pass(seconds(120));
    let first = [all[0].filename.as_str()];
    let removed = SyncStep {
        removed: &first,
        untold: 3,
        ..SyncStep::default()
    };
    let other = Plot {
        plot_id: PlotId([0x99; 32]),
        ..all[0].clone()
    };
    let lost = |story: &Story| {
        let alarms = story.alarms().into_iter();
        alarms.filter(|it| matches!(it, AlarmKind::PlotsLost { .. })).count()
    };
    story.sync(barn, removed);
    assert_eq!(lost(&story), 0, "its file is still there");
    story.sync(
        barn,
        SyncStep {
            loaded: std::slice::from_ref(&other),
            ..SyncStep::default()
        },
    );
    assert_eq!(lost(&story), 0);
    story.pass(seconds(120));
    story.sync(barn, removed);
    story.sync(barn, SyncStep::default());
    assert_eq!(lost(&story), 1);
}

#[test]
fn drive_that_is_missing_after_a_reboot_is_noticed() {
    let mut story = Story::new();
    let (stays, goes) = (plots("/mnt/d1", 40), plots("/mnt/d2", 40));
    let barn = story.connect_with("barn", &[stays.clone(), goes.clone()].concat());
    story.disconnect(barn);
    story.pass(seconds(5));
    let barn = story.connect("barn");
    assert_eq!(story.harvester("barn").plots, 0, "it has not told yet");
    story.sync_all(barn, &stays);
    assert_eq!(lost(&story), [], "it may be mounted in a moment");
    story.pass(seconds(120));
    assert_eq!(lost(&story), [(40, "/mnt/d2".to_owned())]);
    story.input(Input::Command(Command::AcknowledgeAlarm { number: None }));
    assert_eq!(lost(&story), [], "a person has taken the drive away");
}

#[test]
fn harvester_that_tells_of_its_plots_in_pieces_after_a_restart_has_lost_none() {
    let mut story = Story::new();
    let (quick, slow) = (plots("/mnt/d1", 40), plots("/mnt/d2", 40));
    let all = [quick.clone(), slow.clone()].concat();
    let barn = story.connect_with("barn", &all);
    for _ in 0..3 {
        story.disconnect(barn);
        story.pass(seconds(5));
        let barn = story.connect("barn");
        // Disks that spin up, and keys that are worked out, take a while.
        story.sync_all(barn, &quick);
        assert_eq!(lost(&story), []);
        story.pass(seconds(10));
        let rest = SyncStep {
            loaded: &slow,
            ..SyncStep::default()
        };
        story.sync(barn, rest);
        story.pass(seconds(300));
        assert_eq!(lost(&story), []);
        story.disconnect(barn);
        story.connect_with("barn", &all);
    }
}

#[test]
fn plots_whose_files_fail_are_one_alarm_of_the_files_or_of_their_drive() {
    let mut story = Story::new();
    let (first, second) = (plots("/mnt/d1", 20), plots("/mnt/d2", 20));
    let barn = story.connect_with("barn", &[first.clone(), second.clone()].concat());
    let files = |plots: &[Plot]| plots.iter().map(|plot| plot.filename.clone()).collect::<Vec<_>>();
    let told = |story: &Story| {
        let alarms = story.alarms().into_iter();
        let of_plots = alarms.filter(|it| it.harvester().is_some());
        of_plots.map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let mut fails = |removed: &[String], failed: &[String], no_key: &[String]| {
        let names = |files: &[String]| files.iter().map(|file| &*file.clone().leak()).collect::<Vec<&str>>();
        story.pass(seconds(120));
        story.sync(
            barn,
            SyncStep {
                removed: &names(removed),
                failed: &names(failed),
                no_key: &names(no_key),
                ..SyncStep::default()
            },
        );
        told(&story)
    };
    let one = files(&first[..1]);
    assert_eq!(fails(&one, &one, &[]), ["1 plot file on barn cannot be opened"]);
    let drive = files(&second);
    assert_eq!(
        fails(&drive, &[&one[..], &drive].concat(), &[]),
        ["barn lost 20 plots in /mnt/d2", "1 plot file on barn cannot be opened"]
    );
    let rest = files(&first[1..]);
    assert_eq!(
        fails(&rest, &[], &rest),
        ["barn lost 20 plots in /mnt/d2", "19 plots on barn made for other keys"]
    );
}

#[test]
fn plots_that_move_or_are_tidied_up_are_not_lost() {
    let mut story = Story::new();
    let all = plots("/mnt/d1", 300);
    let barn = story.connect_with("barn", &all);
    story.pass(seconds(120));
    story.sync(
        barn,
        SyncStep {
            removed: &[&all[0].filename, &all[1].filename],
            ..SyncStep::default()
        },
    );
    assert_eq!(
        story.alarms(),
        [AlarmKind::NoSignagePoints {
            node: "node".to_owned(),
            last_unix_ms: None,
            why: None,
            others_do: false,
        }],
        "two of 300"
    );
    let moved: Vec<_> = all[2..]
        .iter()
        .map(|plot| Plot {
            filename: plot.filename.replace("d1", "d9"),
            ..plot.clone()
        })
        .collect();
    let old: Vec<_> = all[2..].iter().map(|plot| plot.filename.as_str()).collect();
    story.pass(seconds(120));
    story.sync(
        barn,
        SyncStep {
            loaded: &moved,
            removed: &old,
            ..SyncStep::default()
        },
    );
    assert_eq!(story.alarms().len(), 1);
    assert_eq!(story.harvester("barn").plots, 298);
}

#[test]
fn drive_that_moves_to_another_machine_is_not_lost() {
    let mut story = Story::new();
    let drive = plots("/mnt/d1", 40);
    let barn = story.connect_with("barn", &[drive.clone(), plots("/mnt/d2", 40)].concat());
    story.pass(seconds(9));
    let gone: Vec<_> = drive.iter().map(|plot| plot.filename.as_str()).collect();
    story.sync(
        barn,
        SyncStep {
            removed: &gone,
            ..SyncStep::default()
        },
    );
    assert!(matches!(story.alarms()[..], [AlarmKind::PlotsLost { lost: 40, .. }]));
    story.connect_with("shelf", &drive);
    assert_eq!(story.alarms(), []);
}

#[test]
fn drive_that_was_lent_to_another_machine_and_is_back_is_not_lost() {
    let mut story = Story::new();
    let (own, drive) = (plots("/mnt/d2", 40), plots("/mnt/d1", 40));
    let shelf = story.connect_with("shelf", &drive);
    let barn = story.connect_with("barn", &own);
    // It is switched off, and its drive is farmed elsewhere for a while.
    story.disconnect(shelf);
    story.pass(seconds(120));
    let lent = SyncStep {
        loaded: &drive,
        ..SyncStep::default()
    };
    story.sync(barn, lent);
    story.pass(seconds(120));
    let gone: Vec<_> = drive.iter().map(|plot| plot.filename.as_str()).collect();
    let back = SyncStep {
        removed: &gone,
        ..SyncStep::default()
    };
    story.sync(barn, back);
    assert_eq!(lost(&story), [(40, "/mnt/d1".to_owned())]);
    story.connect_with("shelf", &drive);
    assert_eq!(lost(&story), []);
}

/// Lost plots with their directories.
fn lost(story: &Story) -> Vec<(u64, String)> {
    let alarms = story.alarms().into_iter();
    let lost = alarms.filter_map(|kind| match kind {
        AlarmKind::PlotsLost { lost, directory, .. } => Some((lost, directory.unwrap_or_default())),
        _ => None,
    });
    lost.collect()
}
