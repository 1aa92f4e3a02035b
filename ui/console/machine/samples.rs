//! Harvesters to draw: made up, the same every time.

use farmconsole::ids::SpHash;
use farmconsole::snapshot::{
    FarmerLinkState, FarmerLinkView, FileCounts, FileState, LookupView, MachineSnapshot, PlotFileView,
    SNAPSHOT_VERSION, ScanView, VolumeState, VolumeView,
};

use super::super::samples::NOW;

/// Started a moment ago, dialling.
pub(super) fn connecting() -> MachineSnapshot {
    MachineSnapshot {
        snapshot_version: SNAPSHOT_VERSION,
        software_version: "0.1.0".to_owned(),
        network: "mainnet".to_owned(),
        taken_at_unix_ms: NOW,
        started_at_unix_ms: NOW - 1_000,
        farmer: FarmerLinkView {
            address: "192.168.1.10:8447".to_owned(),
            since_unix_ms: NOW - 1_000,
            ..FarmerLinkView::default()
        },
        ..MachineSnapshot::default()
    }
}

/// Its certificate is another CA's.
pub(super) fn wrong_ca() -> MachineSnapshot {
    linked(FarmerLinkState::Failing {
        reason: "cannot connect to farmer 192.168.1.10:8447: its certificate is signed by another CA".to_owned(),
        hint:
            "farmer and harvester must have certificates of the same private CA: copy config/ssl/ca from the farmer's \
               machine, then `farmconsole init -c COPY`"
                .to_owned(),
    })
}

/// The farmer has no keys.
pub(super) fn no_keys() -> MachineSnapshot {
    linked(FarmerLinkState::NoKeys)
}

/// A long first scan.
pub(super) fn syncing() -> MachineSnapshot {
    let mut machine = linked(FarmerLinkState::Syncing { told: 300, total: 312 });
    machine.farmer.since_unix_ms = machine.taken_at_unix_ms - 14_000;
    MachineSnapshot {
        scan: ScanView {
            running: true,
            done: 312,
            total: 864,
            took_ms: 14_000,
            loaded: 312,
            ..ScanView::default()
        },
        counts: FileCounts {
            farmed: 312,
            ..FileCounts::default()
        },
        volumes: vec![drive(1, 200), drive(2, 112)],
        plot_bytes: 312 * PLOT,
        ..machine
    }
}

/// All is well.
pub(super) fn fine() -> MachineSnapshot {
    let volumes: Vec<_> = (1..=5).map(|n| drive(n, 164 + n)).collect();
    let farmed = volumes.iter().map(|volume| volume.plots).sum();
    MachineSnapshot {
        farmer: FarmerLinkView {
            last_signage_point_unix_ms: Some(NOW - 4_000),
            ..linked(FarmerLinkState::Synced).farmer
        },
        scan: ScanView {
            running: false,
            done: farmed,
            total: farmed,
            took_ms: 1_800,
            finished_at_unix_ms: Some(NOW - 60_000),
            ..ScanView::default()
        },
        counts: FileCounts {
            farmed,
            ..FileCounts::default()
        },
        plot_bytes: farmed * PLOT,
        volumes,
        lookups: (0..64).map(|n| lookup(n, farmed)).collect(),
        proofs: 17,
        ..linked(FarmerLinkState::Synced)
    }
}

/// One drive hangs, another is slow.
pub(super) fn drive_sick() -> MachineSnapshot {
    let mut machine = fine();
    let sick = &mut machine.volumes[2];
    sick.state = VolumeState::Sick {
        since_unix_ms: NOW - 240_000,
    };
    (sick.max_us, sick.p95_us, sick.errors, sick.missed, sick.busy) = (25_000_000, 25_000_000, 3, 41, 4);
    sick.last_error = Some("read /mnt/d03/plot-k32-a.plot: Input/output error (os error 5)".to_owned());
    let slow = &mut machine.volumes[4];
    (slow.state, slow.p95_us, slow.max_us) = (VolumeState::Slow, 9_100_000, 14_300_000);
    for (n, lookup) in machine.lookups.iter_mut().enumerate().skip(40) {
        (lookup.took_us, lookup.missed) = (14_300_000 + n as u64 * 1_000, 2);
    }
    machine
}

/// One drive has been pulled.
pub(super) fn drive_gone() -> MachineSnapshot {
    let mut machine = fine();
    machine.volumes[1].state = VolumeState::Gone {
        since_unix_ms: NOW - 61_000,
    };
    machine.counts.farmed -= machine.volumes[1].plots;
    machine
}

/// Everything at once, with names that try to harm the terminal.
pub(super) fn troubled() -> MachineSnapshot {
    let mut machine = drive_sick();
    machine.farmer.not_dialled = vec!["192.168.1.11:8447".to_owned()];
    machine.troubles = (0..40)
        .map(|n| PlotFileView {
            file: format!("/mnt/d0{}/plot-k32-2021-07-11-{n:02}.plot", n % 5 + 1),
            state: STATES[n % STATES.len()],
            reason: REASONS[n % REASONS.len()].to_owned(),
        })
        .collect();
    machine.troubles[0].file = "/mnt/d01/evil\u{1b}[2J\u{202e}.plot".to_owned();
    machine.counts = FileCounts {
        failed: 8,
        no_key: 8,
        duplicates: 8,
        being_copied: 8,
        too_compressed: 308,
        ..machine.counts
    };
    machine.volumes[0].not_farmed = 340;
    machine
}

const STATES: [FileState; 5] = [
    FileState::Failed,
    FileState::NoKey,
    FileState::Duplicate,
    FileState::BeingCopied,
    FileState::TooCompressed,
];

const REASONS: [&str; 5] = [
    "it is shorter than its header says: 41 of 101 GiB",
    "its farmer public key is none of the farmer's",
    "its plot is farmed from /mnt/d02/plot-k32-x.plot",
    "it is still being written",
    "compression level 9, at most 7 is farmed",
];

/// Bytes of a plot of k 32.
const PLOT: u64 = 108_900_000_000;

fn linked(state: FarmerLinkState) -> MachineSnapshot {
    let mut machine = connecting();
    machine.started_at_unix_ms = NOW - 7_200_000;
    machine.farmer.state = state;
    machine.farmer.since_unix_ms = NOW - 7_100_000;
    machine.farmer.software_version = "chia-blockchain-2.7.5".to_owned();
    machine.farmer.protocol_version = "0.0.38".to_owned();
    machine.farmer.connections = 1;
    machine
}

fn drive(number: u64, plots: u64) -> VolumeView {
    VolumeView {
        name: format!("/mnt/d0{number}"),
        plots,
        plot_bytes: plots * PLOT,
        lookups: plots * 30,
        p50_us: 41_000 + number * 900,
        p95_us: 88_000 + number * 1_700,
        max_us: 410_000 + number * 21_000,
        ..VolumeView::default()
    }
}

fn lookup(n: u64, total: u64) -> LookupView {
    LookupView {
        sp_hash: SpHash([u8::try_from(n).unwrap_or(0); 32]),
        index: u8::try_from((n + 30) % 64).unwrap_or(0),
        at_unix_ms: NOW - 4_000 - (63 - n) * 9_000,
        passed: n % 5 + 1,
        total,
        proofs: u64::from(n.is_multiple_of(9)),
        took_us: 80_000 + n % 7 * 31_000,
        missed: 0,
    }
}
