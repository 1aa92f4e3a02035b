//! What the rest of the program tells a farmer, and its nodes beside signage points.

use std::net::SocketAddr;

use super::super::story::*;
use crate::clock::UnixMillis;
use crate::farmer::{ChainState, ExpectedHarvester, FleetStatus, Input, OuterCounters, PlotPlace};
use crate::ids::{NodeId, PeerId, QualityString, SessionId};
use crate::snapshot::{
    AlarmKind, Concern, ConnectedPeer, FarmRecord, HarvesterId, HistoryState, HistoryView, QuarterCounts,
    SimulatedChainView, UnlistedDirectory,
};

/// A certificate of those that harvesters come with.
fn of(n: u8) -> PeerId {
    certificate(&format!("c{n}"))
}

/// Names, revoked certificates and troubles with certificates, as the bits of `choice` say.
pub(super) fn fleet(story: &mut Story, choice: u8) {
    let is_set = |bit: u8| choice & (1 << bit) != 0;
    let mut alarms = Vec::new();
    if is_set(6) {
        alarms.push(AlarmKind::ClockWrong { ahead_s: 7_200 });
    }
    if is_set(7) {
        alarms.push(AlarmKind::HarvesterPending {
            fingerprint: of(3).to_string(),
        });
    }
    story.input(Input::Fleet(FleetStatus {
        names: (0..3)
            .filter(|n| is_set(*n))
            .map(|n| (of(n), format!("rack-{}", n / 2)))
            .collect(),
        alarms,
        ca_key_copies: u64::from(choice % 3),
        revoked: (0..3).filter(|n| is_set(n + 3)).map(of).collect(),
        expected: (0..3)
            .filter(|n| is_set(n + 1) && is_set(7 - n))
            .map(|n| ExpectedHarvester {
                peer: ConnectedPeer {
                    peer_id: of(n),
                    address: SocketAddr::from(([10, 0, 0, n], 0)),
                    software_version: "2.7.5".to_owned(),
                    protocol_version: String::new(),
                },
                first_seen: UnixMillis(1_000),
                last_seen: UnixMillis(2_000),
            })
            .collect(),
    }));
}

/// A plot of those that harvesters tell of.
fn missing_plot(number: u8) -> PlotPlace {
    let plot = plot(&format!("/d{}/{number}.plot", number % 3));
    PlotPlace {
        path: plot.filename.into(),
        plot_id: plot.plot_id,
    }
}

/// Something that is no signage point.
pub(super) fn node_says(story: &mut Story, node: NodeId, what: u8, quality: QualityString) {
    story.input(match what % 4 {
        0 => Input::NodeChain {
            node,
            chain: Ok(ChainState {
                synced: what % 8 < 4,
                syncing: what % 16 < 8,
                peak_height: Some(1_000_000 + u32::from(what)),
                difficulty: Some(11_136),
                netspace_bytes: Some(2e19),
                average_block_seconds: Some(18.75),
            }),
        },
        1 => Input::NodeChain {
            node,
            chain: Err("it does not answer".to_owned()),
        },
        2 => Input::NodeQueueFull {
            node,
            quality,
            is_lost: what % 8 < 4,
        },
        _ => Input::NodeCertificateChanged {
            node,
            expected: certificate("node"),
            got: certificate("other"),
            kept: "the line of 10.0.0.1 in /d1/known-nodes".to_owned(),
        },
    });
}

/// Something in the rest of the program.
pub(super) fn happens(story: &mut Story, what: u8, session: SessionId) {
    let why = what.is_multiple_of(2).then(|| "read /d1/it: no such file".to_owned());
    let by_ms = if what.is_multiple_of(2) { 10_800_000 } else { -7_200_000 };
    if what / 2 == CLOCK_SET {
        story.now.unix.0 = story.now.unix.0.saturating_add_signed(by_ms);
    }
    let now_ms = story.now.unix.0;
    story.input(match what / 2 {
        0 => Input::PoolsUnreadable { why },
        1 => Input::SettingsUnreadable { why },
        2 => Input::AlarmHook {
            hook: "mail".to_owned(),
            failure: why,
        },
        3 => Input::History(HistoryView {
            state: why.map_or(HistoryState::Writing, |why| HistoryState::Failing { why }),
            written: 7,
            dropped: u64::from(what),
            file_bytes: 4_096,
        }),
        4 if what.is_multiple_of(2) => Input::PlotDirectories {
            unlisted: vec![UnlistedDirectory {
                directory: "/d1/my drive".to_owned(),
                why: "this plot directory does not exist".to_owned(),
            }],
        },
        4 => Input::PlotDirectories { unlisted: Vec::new() },
        5 if !what.is_multiple_of(2) => Input::MessageIgnored { session, kind: what },
        5 => Input::Listening {
            addresses: why
                .map(|_| "0.0.0.0:8447".parse().expect("an address"))
                .into_iter()
                .collect(),
        },
        6 => Input::OuterCounters(OuterCounters {
            refused: [("foreign_ca".to_owned(), u64::from(what))].into(),
            ..OuterCounters::default()
        }),
        8 => Input::DriveTroubles {
            troubles: (why.into_iter().map(|last| Concern::PlotsDamaged {
                drive: "/d1/my drive".to_owned(),
                look_ups: u64::from(what),
                last,
            }))
            .collect(),
        },
        10 => Input::PlotsMissing {
            harvester: HarvesterId(u32::from(what % 2) + 1),
            plots: (what % 7..20).map(missing_plot).collect(),
        },
        9 if what.is_multiple_of(2) => Input::PastPlots((0..3).map(|n| (of(n), u64::from(what))).collect()),
        9 => Input::PastAlarms(vec![past_alarm(AlarmKind::SignagePointsMissed {
            node: "attic.lan:8444".to_owned(),
            missed: u64::from(what),
        })]),
        CLOCK_SET => Input::ClockSet { by_ms },
        _ if what.is_multiple_of(2) => Input::Past(Box::new(FarmRecord {
            counted_since_unix_ms: now_ms - 86_400_000,
            effort: 0.5,
            last_win_unix_ms: Some(now_ms - 3_600_000),
            won_ever: 3,
            quarters: vec![QuarterCounts {
                start_unix_ms: (now_ms / 900_000 - 2) * 900_000,
                signage_points: 96,
                answers: 90,
                passed: 12,
                expected_passed: 13.5,
                variance: 13.0,
                ..QuarterCounts::default()
            }],
        })),
        _ => Input::SimulatedChain(SimulatedChainView {
            interval_ms: 9_375,
            seed: 1,
            blocks: 2,
            refused: 1,
            last_refusal: Some("too late".to_owned()),
        }),
    });
}

/// The choice with which somebody sets the clock.
const CLOCK_SET: u8 = 11;
