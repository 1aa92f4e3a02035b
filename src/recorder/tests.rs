//! Recordings are replayed as they were, and tell nothing private unless they were meant to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::*;
use crate::clock::Now;
use crate::farmer::{
    Farmer, FarmerConfig, FarmerKeys, HarvesterOrigin, Input, NodeLink, NodeStatus, NodeTrust, Output,
};
use crate::ids::{NodeId, PeerId, SessionId};
use crate::pos::Constants;
use crate::runtime::FeedEvent;
use crate::snapshot::{AlarmMemory, ConnectedPeer, DisconnectCause, FarmSnapshot, RefusalCause};
use crate::wire::G1Bytes;

/// What is private in [`life`].
const SECRETS: [&str; 7] = [
    "barn",
    "10.20.30.40",
    "abababababababab",
    "/home/ann",
    "my drive",
    "xch1qqqqqqqqqqqqqqqqqqqq",
    "node.lan",
];

/// What a console is told of a small farm: a harvester comes, is silent about its plots, and goes.
fn life() -> Vec<(u64, Event)> {
    let config = FarmerConfig {
        network: "mainnet".to_owned(),
        simulated: false,
        software_version: "0.1.0".to_owned(),
        constants: Constants::for_network("mainnet").unwrap(),
        signage_point_interval: crate::farmer::SIGNAGE_POINT_INTERVAL,
        keys: FarmerKeys {
            farmer_public_keys: vec![G1Bytes([0xab; 48])],
            farmer_address: Some("xch1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq".to_owned()),
            ..FarmerKeys::default()
        },
        names: BTreeMap::from([(PeerId([0xab; 32]), "barn".to_owned())]),
        alarm_memory: AlarmMemory::default(),
        harvester_fees: BTreeMap::new(),
    };
    let mut now = Now {
        unix: crate::clock::UnixMillis(1_800_000_000_000),
        ..Now::default()
    };
    let mut farmer = Farmer::new(config, now);
    let peer = ConnectedPeer {
        peer_id: PeerId([0xab; 32]),
        address: "10.20.30.40:51234".parse().unwrap(),
        software_version: "2.7.5".to_owned(),
        protocol_version: "0.0.38".to_owned(),
    };
    let inputs = [
        Input::Node {
            node: NodeId(1),
            status: NodeStatus {
                name: "node.lan:8444".to_owned(),
                link: NodeLink::Down {
                    why: "open /home/ann/my drive/x.crt: no such file".to_owned(),
                },
                trust: NodeTrust::Own,
                certificate: None,
                software_version: None,
            },
        },
        Input::HarvesterConnected {
            session: SessionId(1),
            peer,
            origin: HarvesterOrigin::Network,
        },
        Input::ConnectionRefused {
            address: "10.20.30.40:4".parse().unwrap(),
            cause: RefusalCause::ForeignCa,
        },
        Input::HarvesterDisconnected {
            session: SessionId(1),
            cause: DisconnectCause::ClosedByPeer,
        },
    ];
    let mut events = vec![(now.unix.0, Event::Snapshot(Box::new(farmer.snapshot(now))))];
    for input in inputs {
        now = now.after(Duration::from_secs(70));
        farmer.handle(now, input);
        while let Some(output) = farmer.poll_output() {
            match output {
                Output::Notice(notice) => events.push((now.unix.0, Event::Feed(FeedEvent::Notice(notice)))),
                Output::Message(record) => events.push((now.unix.0, Event::Feed(FeedEvent::Message(record)))),
                _ => {}
            }
        }
        events.push((now.unix.0, Event::Snapshot(Box::new(farmer.snapshot(now)))));
    }
    now = now.after(Duration::from_secs(70));
    farmer.handle_timeout(now);
    events.push((now.unix.0, Event::Snapshot(Box::new(farmer.snapshot(now)))));
    events
}

fn record(events: &[(u64, Event)], scrubber: Option<Scrubber>) -> String {
    let mut file = Vec::new();
    let mut recorder = Recorder::new(&mut file, events[0].0, scrubber).unwrap();
    for (at, event) in events {
        recorder.write(*at, event).unwrap();
    }
    recorder.finish().unwrap();
    String::from_utf8(file).unwrap()
}

fn replay(file: &str) -> Vec<(Duration, Event)> {
    let mut recording = Recording::open(file.as_bytes()).unwrap();
    std::iter::from_fn(|| recording.next_event().unwrap()).collect()
}

fn last_snapshot(events: &[(Duration, Event)]) -> FarmSnapshot {
    let snapshot = |(_, event): &(Duration, Event)| match event {
        Event::Snapshot(snapshot) => Some(snapshot.as_ref().clone()),
        _ => None,
    };
    events.iter().rev().find_map(snapshot).unwrap()
}

#[test]
fn raw_recording_is_replayed_as_it_was() {
    let events = life();
    let replayed = replay(&record(&events, None));
    let expected: Vec<_> = events
        .iter()
        .map(|(at, event)| (Duration::from_millis(at - events[0].0), event.clone()))
        .collect();
    assert_eq!(replayed, expected);
    let raw = record(&events, None);
    for secret in SECRETS {
        assert!(raw.contains(secret), "{secret} would be no test");
    }
}

#[test]
fn scrubbed_recording_tells_the_same_story_of_nobody() {
    let events = life();
    let file = record(&events, Some(Scrubber::new([7; 32])));
    for secret in SECRETS {
        assert!(!file.contains(secret), "{secret} is in\n{file}");
    }
    let replayed = replay(&file);
    assert_eq!(replayed.len(), events.len());
    let snapshot = last_snapshot(&replayed);
    let original = last_snapshot(&replay(&record(&events, None)));
    assert_eq!(snapshot.status, original.status);
    assert_eq!(snapshot.network, "mainnet");
    assert_eq!(snapshot.harvesters[0].software_version, "2.7.5");
    let name = &snapshot.harvesters[0].name;
    let host: IpAddr = snapshot.harvesters[0].host.parse().unwrap();
    assert_eq!(snapshot.alarms.len(), original.alarms.len());
    let about = |text: &str| {
        snapshot
            .alarms
            .iter()
            .any(|alarm| alarm.text.contains(text) && alarm.kind.to_string().contains(text))
    };
    assert!(about(name), "the alarm names the same machine: {:?}", snapshot.alarms);
    assert!(
        about(&host.to_string()),
        "and the refused address is its: {:?}",
        snapshot.alarms
    );
}

#[test]
fn what_replaces_what_depends_on_the_salt_alone() {
    let events = life();
    let with = |salt| record(&events, Some(Scrubber::new([salt; 32])));
    assert_eq!(with(1), with(1));
    assert_ne!(with(1), with(2));
}

#[test]
fn ids_that_are_shown_short_stay_the_same_ones_and_paths_keep_their_drive() {
    let mut scrubber = Scrubber::new([7; 32]);
    let id = "0123456789abcdef".repeat(4);
    let mut line = serde_json::json!({
        "whole": id,
        "short": format!("plot {} answered 3/864 at 14:02:27 with 0.0.38", &id[..10]),
        "filename": format!("/mnt/my drive/plot-k32-{id}.plot"),
        "other": { "filename": "/mnt/my drive/b.plot" },
        "text": "lost 109 plots in /mnt/my drive on D:\\plots\\x",
        "url": "see https://pool.example/login?token=abc.",
    });
    scrubber.scrub(&mut line);
    let text = |key: &str| line[key].as_str().unwrap().to_owned();
    assert!(text("whole").len() == 64 && text("whole") != id);
    assert_eq!(
        text("short"),
        format!("plot {} answered 3/864 at 14:02:27 with 0.0.38", &text("whole")[..10])
    );
    let drive = text("filename").rsplit_once('/').unwrap().0.to_owned();
    assert!(drive.starts_with("/mnt/") && !drive.contains("drive"), "{drive}");
    assert!(line["other"]["filename"].as_str().unwrap().starts_with(&drive));
    assert!(
        !text("text").contains("\\x") && text("text").starts_with("lost 109 plots in /mnt/"),
        "{}",
        text("text")
    );
    assert!(text("url").starts_with("see https://host-") && !text("url").contains("token"));
}

#[test]
fn other_files_newer_ones_and_cut_ones_are_told_apart() {
    let open = |text: &str| Recording::open(text.as_bytes()).err().map(|error| error.to_string());
    assert_eq!(open("hello\n").as_deref(), Some("it is no recording of farmconsole"));
    assert_eq!(open("").as_deref(), Some("it is no recording of farmconsole"));
    let file = record(&life(), None);
    let newer = file.replacen("\"farmconsole_recording\":1", "\"farmconsole_recording\":2", 1);
    assert!(open(&newer).unwrap().contains("version 2"));
    let whole = replay(&file).len();
    assert_eq!(replay(&file[..file.len() - 5]).len(), whole - 1);
    let damaged = format!("{}{{}}\n", file.split_inclusive('\n').next().unwrap());
    let mut bad = Recording::open(damaged.as_bytes()).unwrap();
    assert!(matches!(
        bad.next_event(),
        Err(RecordingError::BadLine { number: 2, .. })
    ));
}

#[test]
fn a_snapshot_a_second_is_enough() {
    let Some((at, snapshot @ Event::Snapshot(_))) = life().into_iter().next() else {
        panic!("a snapshot comes first");
    };
    let events: Vec<_> = (0..8).map(|quarter| (at + quarter * 250, snapshot.clone())).collect();
    assert_eq!(replay(&record(&events, None)).len(), 2);
}
