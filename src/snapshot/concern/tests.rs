//! What a harvester says of itself.

use super::*;
use crate::snapshot::{FarmerLinkView, FileCounts, PlotFileView, SyncRefusalView, VolumeView};

fn harvesting() -> MachineSnapshot {
    MachineSnapshot {
        taken_at_unix_ms: 1_000_000,
        farmer: FarmerLinkView {
            state: FarmerLinkState::Synced,
            since_unix_ms: 500_000,
            last_signage_point_unix_ms: Some(995_000),
            ..FarmerLinkView::default()
        },
        counts: FileCounts {
            farmed: 12,
            ..FileCounts::default()
        },
        volumes: vec![VolumeView {
            name: "/mnt/d07".to_owned(),
            plots: 12,
            ..VolumeView::default()
        }],
        ..MachineSnapshot::default()
    }
}

#[test]
fn one_word_says_what_is_wrong_first() {
    let mut machine = harvesting();
    assert_eq!(
        (machine.status(), machine.concerns()),
        (MachineStatus::Harvesting, vec![])
    );

    machine.counts.failed = 3;
    machine.volumes[0].state = VolumeState::Gone { since_unix_ms: 1 };
    machine.farmer.not_dialled = vec!["10.0.0.2:8447".to_owned()];
    machine.settings_trouble = Some("config.yaml:3:1: unknown key".to_owned());
    assert_eq!(machine.status(), MachineStatus::DriveTrouble);
    let sentences: Vec<_> = machine.concerns().iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        [
            "drive /mnt/d07 is gone, and 12 plots with it",
            "the settings name 2 farmers, and a harvester serves one: 10.0.0.2:8447 is not dialled",
            "the changed settings are not followed: config.yaml:3:1: unknown key",
            "3 files are not farmed"
        ]
    );

    machine.farmer.last_signage_point_unix_ms = Some(900_000);
    assert_eq!(machine.concerns()[0], Concern::NoSignagePoints { for_s: 100 });
    machine.counts.farmed = 0;
    assert_eq!(machine.concerns()[0], Concern::NoPlots { explained: true });
    machine.farmer.state = FarmerLinkState::Failing {
        reason: "no answer".to_owned(),
        hint: "is it on?".to_owned(),
    };
    assert_eq!(machine.status(), MachineStatus::NoFarmer);
    assert_eq!(machine.concerns()[0].remedy(), "is it on?");
}

#[test]
fn what_is_wrong_between_farmer_and_harvester_is_told() {
    let mut machine = harvesting();
    let told =
        |machine: &MachineSnapshot| -> Vec<String> { machine.concerns().iter().map(ToString::to_string).collect() };
    machine.farmer.software_version = "2.5.4".to_owned();
    machine.farmer.plots_too_new = 2;
    assert_eq!(
        told(&machine),
        ["2 v2 plots are not farmed: the farmer (2.5.4) is too old for them"]
    );
    assert_eq!(machine.status(), MachineStatus::Harvesting);
    machine.farmer.plots_too_new = 12;
    assert_eq!(machine.status(), MachineStatus::NoPlots, "it farms nothing else");
    assert_eq!(machine.concerns()[0], Concern::NoPlots { explained: true });

    let mut machine = harvesting();
    machine.farmer.state = FarmerLinkState::Syncing { told: 0, total: 12 };
    machine.farmer.sync_refused = Some(SyncRefusalView {
        since_unix_ms: machine.taken_at_unix_ms - 1_000,
        reason: "no such sync".to_owned(),
    });
    assert_eq!(machine.concerns(), [], "once is no trouble");
    machine.taken_at_unix_ms += REFUSED_FOR_MS;
    let refused = "the farmer does not take the list of plots: no such sync";
    assert_eq!(told(&machine), [refused]);
    machine.taken_at_unix_ms += QUIET_AFTER_S * 1_000;
    let quiet = "the farmer has sent no signage point for 75 seconds";
    assert_eq!(told(&machine), [quiet, refused], "also while it is told of plots");

    let mut machine = harvesting();
    machine.farmer.last_end = Some("it closed the connection".to_owned());
    machine.farmer.ended_at_unix_ms = vec![100_000, 600_000, 700_000, 800_000];
    assert_eq!(machine.concerns(), [], "the first is long ago");
    machine.farmer.ended_at_unix_ms.push(900_000);
    assert_eq!(
        told(&machine),
        ["the connection to the farmer ended 4 times in ten minutes, last: it closed the connection"]
    );
}

#[test]
fn look_ups_that_fail_for_want_of_open_files_are_told_for_a_while() {
    let mut machine = harvesting();
    machine.volumes[0].last_want = Some("open /mnt/d07/a.plot: Too many open files".to_owned());
    machine.volumes[0].last_want_unix_ms = Some(machine.taken_at_unix_ms);
    let concerns = machine.concerns();
    assert_eq!(
        concerns[0].to_string(),
        "look-ups on drive /mnt/d07 fail: open /mnt/d07/a.plot: Too many open files"
    );
    assert!(concerns[0].remedy().contains("LimitNOFILE="));
    assert_eq!(
        concerns[0].drive(),
        Some("/mnt/d07"),
        "the farmer of this machine is told, too"
    );
    machine.taken_at_unix_ms += 600_000;
    assert!(
        !machine
            .concerns()
            .iter()
            .any(|it| matches!(it, Concern::LookUpsFail { .. }))
    );
}

#[test]
fn plot_directory_that_gives_nothing_is_told() {
    let mut machine = harvesting();
    machine.troubles = vec![PlotFileView {
        file: "/mnt/d08".to_owned(),
        state: FileState::Directory,
        reason: "this plot directory does not exist".to_owned(),
    }];
    let no_directory = "nothing is farmed from /mnt/d08: this plot directory does not exist";
    assert_eq!(machine.concerns()[0].to_string(), no_directory);
    machine.counts.farmed = 0;
    let sentences: Vec<_> = machine.concerns().iter().map(ToString::to_string).collect();
    assert_eq!(sentences, ["no plot is farmed here", no_directory]);
    machine.volumes.push(VolumeView {
        name: "/mnt/d08".to_owned(),
        state: VolumeState::Gone { since_unix_ms: 1 },
        plots: 7,
        ..VolumeView::default()
    });
    let sentences: Vec<_> = machine.concerns().iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        ["no plot is farmed here", "drive /mnt/d08 is gone, and 7 plots with it"]
    );
}

#[test]
fn a_damaged_plot_is_told_of_for_a_day() {
    let mut machine = harvesting();
    let volume = &mut machine.volumes[0];
    volume.damaged = 2;
    volume.last_damage = Some("open /mnt/d07/a.plot: plot is damaged in its table 6".to_owned());
    volume.last_damage_unix_ms = Some(990_000);
    assert_eq!(
        machine.status(),
        MachineStatus::Harvesting,
        "its other plots are farmed"
    );
    let sentences: Vec<_> = machine.concerns().iter().map(ToString::to_string).collect();
    assert_eq!(
        sentences,
        ["2 look-ups on drive /mnt/d07 met a damaged plot, last: open /mnt/d07/a.plot: plot is damaged in its table 6"]
    );
    machine.taken_at_unix_ms += DAMAGE_TOLD_FOR_MS;
    machine.farmer.last_signage_point_unix_ms = Some(machine.taken_at_unix_ms);
    assert_eq!(machine.concerns(), []);
}

#[test]
fn keys_and_signage_points_have_a_moment_to_come() {
    let mut machine = harvesting();
    machine.farmer.state = FarmerLinkState::NoKeys;
    machine.farmer.since_unix_ms = 999_000;
    assert_eq!(
        (machine.status(), machine.concerns()),
        (MachineStatus::Connecting, vec![])
    );
    machine.farmer.since_unix_ms = 990_000;
    assert_eq!(machine.concerns(), [Concern::NoKeys]);
    machine.farmer.state = FarmerLinkState::Synced;
    machine.farmer.last_signage_point_unix_ms = None;
    assert_eq!(machine.status(), MachineStatus::Harvesting);
}
