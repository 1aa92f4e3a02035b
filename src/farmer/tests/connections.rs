//! Harvesters come, go, come back, share certificates, and hang.

use std::time::Duration;

use super::story::*;
use crate::farmer::{FarmerConfig, FarmerKeys, FleetStatus, Input, OuterCounters, Output};
use crate::ids::SessionId;
use crate::snapshot::{
    AlarmKind, Direction, DisconnectCause, FarmStatus, HarvesterId, HarvesterState, Notice, RefusalCause, RewardTarget,
};
use crate::wire::{HarvesterHandshake, ToHarvester};

fn probes(story: &mut Story) -> Vec<SessionId> {
    story.take(|output| match output {
        Output::Probe { session } => Some(*session),
        _ => None,
    })
}

fn closed(story: &mut Story) -> Vec<(SessionId, DisconnectCause)> {
    story.take(|output| match output {
        Output::Close { session, cause } => Some((*session, cause.clone())),
        _ => None,
    })
}

#[test]
fn harvester_is_told_the_keys_at_once() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let handshake = HarvesterHandshake {
        farmer_public_keys: keys().farmer_public_keys,
        pool_public_keys: keys().pool_public_keys,
    };
    assert_eq!(story.sent(barn), [ToHarvester::HarvesterHandshake(handshake)]);
}

#[test]
fn farm_without_keys_says_so_and_greets_when_they_come() {
    let mut story = Story::of(FarmerConfig {
        keys: FarmerKeys::default(),
        ..config()
    });
    story.input(Input::Node {
        node: NODE,
        status: node_status("node"),
    });
    let barn = story.connect("barn");
    story.signage_point();
    assert_eq!(story.sent(barn), [], "it would ignore signage points");
    assert_eq!(story.alarms(), [AlarmKind::NoKeys]);
    assert_eq!(story.snapshot().status, FarmStatus::NoKeys);
    story.input(Input::Keys(keys()));
    story.signage_point();
    let sent = story.sent(barn);
    assert!(
        matches!(
            sent[..],
            [ToHarvester::HarvesterHandshake(_), ToHarvester::NewSignagePoint(_)]
        ),
        "{sent:?}"
    );
    assert_eq!(story.alarms(), []);
    story.input(Input::Keys(keys()));
    assert_eq!(story.sent(barn), [], "nothing has changed");
}

#[test]
fn keys_without_an_address_are_an_alarm() {
    let keys = FarmerKeys {
        farmer_target: None,
        pool_target: None,
        ..keys()
    };
    let story = Story::of(FarmerConfig { keys, ..config() });
    let missing = [RewardTarget::Farmer, RewardTarget::Pool].map(|target| AlarmKind::NoRewardTarget { target });
    assert_eq!(story.alarms(), missing);
}

#[test]
fn harvester_without_pool_keys_is_sent_something_it_accepts() {
    let keys = FarmerKeys {
        pool_public_keys: Vec::new(),
        ..keys()
    };
    let handshake = keys.handshake().expect("keys");
    assert_eq!(handshake.pool_public_keys, handshake.farmer_public_keys);
}

#[test]
fn two_harvesters_with_one_certificate_are_both_served() {
    let mut story = Story::new();
    let first = story.connect_as("barn", "10.0.0.7:1111", "0.0.38");
    story.pass(seconds(60));
    let second = story.connect_as("barn", "10.0.0.9:2222", "0.0.38");
    assert_eq!(probes(&mut story), [first]);
    story.pass(seconds(1));
    assert_eq!(
        story.alarms().len(),
        1,
        "only the missing signage points: {:?}",
        story.alarms()
    );
    story.input(Input::HarvesterHeard { session: first });
    let shared = AlarmKind::CertificateShared {
        peer_id: certificate("barn"),
        addresses: vec!["10.0.0.7:1111".to_owned(), "10.0.0.9:2222".to_owned()],
    };
    assert!(story.alarms().contains(&shared), "{:?}", story.alarms());
    story.sync_all(first, &plots("/mnt/d1", 3));
    story.sync_all(second, &plots("/mnt/d2", 3));
    for _ in 0..70 {
        let point = story.signage_point();
        assert_eq!(story.signage_points_sent(first), 1);
        assert_eq!(story.signage_points_sent(second), 1);
        story.answer(first, &point);
        story.answer(second, &point);
        story.pass(seconds(9));
    }
    assert_eq!(closed(&mut story), []);
    let views = story.snapshot().harvesters;
    assert_eq!(
        views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(),
        ["barn", "barn (2)"]
    );
    assert!(views.iter().all(|view| view.certificate_shared && view.answered == 70));
    assert_eq!(story.alarms(), [shared]);
    story.disconnect(second);
    assert_eq!(story.alarms(), []);
    assert!(!story.harvester("barn").certificate_shared);
}

#[test]
fn harvester_that_comes_again_before_its_old_connection_is_known_dead_takes_its_place() {
    let mut story = Story::new();
    let old = story.connect_with("barn", &plots("/mnt/d1", 3));
    let point = story.signage_point();
    story.answer(old, &point);
    story.pass(seconds(9));
    let pending = story.signage_point();
    let new = story.connect_with("barn", &plots("/mnt/d1", 3));
    assert_eq!(probes(&mut story), [old]);
    assert_eq!(story.snapshot().harvesters.len(), 2);
    story.answer(new, &pending);
    story.pass(seconds(4));
    assert_eq!(closed(&mut story), [(old, DisconnectCause::Replaced)]);
    let views = story.snapshot().harvesters;
    assert_eq!(views.len(), 1);
    assert_eq!(
        (views[0].name.as_str(), views[0].id, views[0].connections),
        ("barn", HarvesterId(1), 2)
    );
    assert_eq!((views[0].plots, views[0].shared_plots, views[0].answered), (3, 0, 2));
    assert_eq!(views[0].challenged, views[0].answered + views[0].unanswered);
    assert_eq!(
        story
            .snapshot()
            .attempts
            .iter()
            .filter(|row| row.harvester == HarvesterId(1))
            .count(),
        2
    );
    story.input(Input::HarvesterDisconnected {
        session: old,
        cause: DisconnectCause::Silent,
    });
    story.pass(seconds(20));
    assert_eq!(story.alarms(), []);
    let point = story.signage_point();
    story.answer(new, &point);
    assert_eq!(story.state("barn"), HarvesterState::Farming);
}

#[test]
fn old_connection_that_ends_just_after_the_new_one_began_leaves_one_harvester() {
    let mut story = Story::new();
    let old = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.connect("barn");
    story.disconnect(old);
    story.pass(seconds(30));
    let views = story.snapshot().harvesters;
    assert_eq!(views.len(), 1);
    assert!(views[0].is_connected());
    assert_eq!(story.alarms(), []);
}

#[test]
fn harvester_with_a_new_certificate_of_its_own_stays_the_same_harvester() {
    // The new one connects after the old one was closed, or a moment before.
    for is_before in [true, false] {
        let mut story = Story::new();
        let names = ["old", "new"].map(|it| (certificate(it), "rack1-a".to_owned()));
        story.input(Input::Fleet(FleetStatus {
            names: names.into(),
            ..FleetStatus::default()
        }));
        let old = story.connect_with("old", &plots("/mnt/d1", 3));
        if is_before {
            story.connect("new");
        }
        story.input(Input::HarvesterDisconnected {
            session: old,
            cause: DisconnectCause::Revoked,
        });
        if !is_before {
            story.connect("new");
        }
        story.pass(seconds(30));
        let views = story.snapshot().harvesters;
        let shown: Vec<_> = views.iter().map(|it| (it.name.as_str(), it.connections)).collect();
        assert_eq!(shown, [("rack1-a", 2)], "{is_before}");
        assert_eq!(views[0].peer_id, certificate("new"));
        assert_eq!(story.alarms(), []);
    }
}

#[test]
fn harvester_that_a_person_revoked_is_waited_for_no_more() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let shelf = story.connect("shelf");
    let attic = story.connect("attic");
    story.disconnect(barn);
    let absent = |story: &Story| -> Vec<String> {
        let alarms = story.alarms().into_iter();
        alarms
            .filter_map(|kind| match kind {
                AlarmKind::HarvesterAbsent { name, .. } => Some(name),
                _ => None,
            })
            .collect()
    };
    story.pass(Duration::from_mins(3));
    assert_eq!(absent(&story), ["barn"]);
    story.input(Input::Fleet(FleetStatus {
        revoked: ["barn", "shelf"].map(certificate).into(),
        ..FleetStatus::default()
    }));
    assert!(absent(&story).is_empty(), "it had gone already");
    for session in [shelf, attic] {
        story.input(Input::HarvesterDisconnected {
            session,
            cause: DisconnectCause::Revoked,
        });
    }
    story.pass(Duration::from_mins(3));
    assert!(matches!(story.state("barn"), HarvesterState::Revoked { .. }));
    assert!(matches!(story.state("shelf"), HarvesterState::Revoked { .. }));
    assert_eq!(
        absent(&story),
        ["attic"],
        "its certificate counts no more, but nobody revoked it"
    );
    assert_eq!(story.snapshot().totals.absent, 1);
}

#[test]
fn many_clones_of_one_certificate_are_served_without_a_storm_of_probes() {
    let mut story = Story::new();
    let mut sessions = Vec::new();
    for number in 0..100 {
        sessions.push(story.connect_as("barn", &format!("10.0.0.{number}:1"), "0.0.38"));
        for probed in probes(&mut story) {
            story.input(Input::HarvesterHeard { session: probed });
        }
        story.pass(Duration::from_millis(600));
    }
    assert_eq!(closed(&mut story), []);
    assert_eq!(story.snapshot().totals.connected, 100);
    let shared = story.alarms().into_iter().find_map(|kind| match kind {
        AlarmKind::CertificateShared { addresses, .. } => Some(addresses.len()),
        _ => None,
    });
    assert_eq!(shared, Some(32));
    story.input(Input::HarvesterDisconnected {
        session: sessions[0],
        cause: DisconnectCause::ClosedByPeer,
    });
    story.connect_as("barn", "10.0.0.200:1", "0.0.38");
    assert!(probes(&mut story).len() <= 4);
}

#[test]
fn harvester_that_is_gone_is_remembered_and_returns_to_its_place() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.connect("shelf");
    let gone_at = story.now.unix.0;
    story.disconnect(barn);
    assert_eq!(story.state("barn"), HarvesterState::Absent { since_unix_ms: gone_at });
    assert_eq!((story.harvester("barn").plots, story.snapshot().totals.plots), (3, 0));
    story.pass(seconds(9));
    assert_eq!(story.alarms(), [], "it may just restart");
    story.pass(seconds(2));
    let absent = AlarmKind::HarvesterAbsent {
        harvester: HarvesterId(1),
        name: "barn".to_owned(),
        plots: 3,
        why: "closed by the harvester".to_owned(),
        refused: None,
    };
    assert_eq!(story.alarms(), [absent]);
    story.connect("barn");
    assert_eq!(story.alarms(), []);
    let names: Vec<_> = story.snapshot().harvesters.into_iter().map(|view| view.name).collect();
    assert_eq!(names, ["barn", "shelf"]);
    assert_eq!(story.harvester("barn").connections, 2);
}

#[test]
fn quick_reconnections_raise_no_alarm() {
    let mut story = Story::new();
    for _ in 0..20 {
        let barn = story.connect("barn");
        story.pass(Duration::from_millis(500));
        story.disconnect(barn);
        story.pass(Duration::from_millis(500));
    }
    assert_eq!(story.alarms(), []);
    assert_eq!(story.snapshot().harvesters.len(), 1);
}

#[test]
fn shutdown_raises_no_alarm() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.input(Input::HarvesterDisconnected {
        session: barn,
        cause: DisconnectCause::Shutdown,
    });
    story.pass(seconds(30));
    assert_eq!(story.alarms(), []);
}

#[test]
fn hanging_harvester_is_suspect_until_it_is_heard() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 3));
    story.input(Input::HarvesterQuiet {
        session: barn,
        quiet: seconds(15),
    });
    story.pass(seconds(5));
    assert_eq!(story.state("barn"), HarvesterState::Suspect { for_s: 20 });
    story.input(Input::HarvesterHeard { session: barn });
    assert_eq!(story.state("barn"), HarvesterState::NotChallenged);
}

#[test]
fn harvesters_at_one_address_have_different_names() {
    let mut story = Story::new();
    for certificate in ["a", "b", "c"] {
        story.connect_as(certificate, "[::ffff:127.0.0.1]:1111", "0.0.38");
    }
    let views = story.snapshot().harvesters;
    assert!(views.iter().all(|view| view.local && view.host == "127.0.0.1"));
    let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["127.0.0.1", "127.0.0.1 (2)", "127.0.0.1 (3)"]);
}

#[test]
fn embedded_harvester_brings_its_name_and_shares_no_certificate() {
    let mut story = Story::new();
    story.embedded("local");
    story.connect("local");
    assert_eq!(probes(&mut story), []);
    let view = story.harvester("local");
    assert!(view.local && !view.certificate_shared);
}

#[test]
fn harvester_that_is_gone_and_comes_in_vain_is_not_said_to_be_without_power() {
    let mut story = Story::new();
    let barn = story.connect_as("barn", "10.0.0.8:1", "0.0.38");
    let refused = |story: &mut Story, host: &str| {
        story.input(Input::ConnectionRefused {
            address: format!("{host}:4242").parse().expect("an address"),
            cause: RefusalCause::TlsTimeout,
        });
    };
    let told = |story: &Story| match &story.alarms()[..] {
        [alarm @ AlarmKind::HarvesterAbsent { .. }] => (alarm.to_string(), alarm.remedy()),
        other => panic!("{other:?}"),
    };
    story.disconnect(barn);
    refused(&mut story, "10.0.0.8");
    assert_eq!(story.alarms(), [], "it may just restart");
    story.pass(seconds(11));
    refused(&mut story, "10.0.0.9");
    let (what, remedy) = told(&story);
    assert!(
        !what.contains("refused") && remedy.starts_with("check power"),
        "{what}: {remedy}"
    );
    refused(&mut story, "10.0.0.8");
    let (what, remedy) = told(&story);
    assert!(
        what.ends_with("; since then its address was refused: no TLS handshake in time"),
        "{what}"
    );
    assert!(remedy.starts_with("its machine is on"), "{remedy}");

    // Of two behind one address nobody knows which it is.
    let second = story.connect_as("shed", "10.0.0.7:1", "0.0.38");
    let third = story.connect_as("loft", "10.0.0.7:2", "0.0.38");
    story.disconnect(second);
    story.disconnect(third);
    story.pass(seconds(11));
    refused(&mut story, "10.0.0.7");
    let unknown = |kind: &&AlarmKind| matches!(kind, AlarmKind::HarvesterAbsent { refused: None, .. });
    assert_eq!(story.alarms().iter().filter(unknown).count(), 2);
}

#[test]
fn refused_harvester_of_ours_is_an_alarm_and_a_port_scan_is_not() {
    let mut story = Story::new();
    let from = |host: &str| format!("{host}:4242").parse().expect("an address");
    for _ in 0..3 {
        story.input(Input::ConnectionRefused {
            address: from("10.0.0.8"),
            cause: RefusalCause::ForeignCa,
        });
        story.input(Input::ConnectionRefused {
            address: from("10.6.6.6"),
            cause: RefusalCause::NotTls,
        });
    }
    let refused = AlarmKind::ConnectionRefused {
        address: "10.0.0.8".parse().expect("an address"),
        cause: RefusalCause::ForeignCa,
        times: 3,
    };
    assert_eq!(story.alarms(), [refused]);
    let notices = story
        .notices()
        .into_iter()
        .filter(|notice| matches!(notice, Notice::ConnectionRefused { .. }));
    assert_eq!(notices.count(), 2, "one a second for each cause");
    // A flood is told of now and then; the listener counts it whole.
    story.input(Input::OuterCounters(OuterCounters {
        refused: std::collections::BTreeMap::from([("not_tls".to_owned(), 1_000)]),
        ..OuterCounters::default()
    }));
    assert_eq!(story.snapshot().counters.refused["not_tls"], 1_000);
    story.pass(seconds(601));
    assert!(
        !story
            .alarms()
            .iter()
            .any(|kind| matches!(kind, AlarmKind::ConnectionRefused { .. }))
    );
}

#[test]
fn refusal_of_a_harvester_that_waited_is_over_when_it_connects() {
    let mut story = Story::new();
    let causes = [RefusalCause::Pending, RefusalCause::ForeignCa];
    for cause in causes.clone() {
        story.input(Input::ConnectionRefused {
            address: "10.0.0.8:4242".parse().expect("an address"),
            cause,
        });
    }
    let refused = |story: &Story| -> Vec<_> {
        let alarms = story.alarms().into_iter();
        let cause = |kind| match kind {
            AlarmKind::ConnectionRefused { cause, .. } => Some(cause),
            _ => None,
        };
        alarms.filter_map(cause).collect()
    };
    story.connect_as("shed", "10.0.0.9:4243", "0.0.38");
    assert_eq!(refused(&story), causes);
    story.connect_as("barn", "10.0.0.8:4244", "0.0.38");
    assert_eq!(
        refused(&story),
        [RefusalCause::ForeignCa],
        "that may be another machine"
    );
}

#[test]
fn unknown_messages_are_counted_and_harmless() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.input(Input::MessageIgnored {
        session: barn,
        kind: 250,
    });
    assert_eq!(story.harvester("barn").ignored_messages, 1);
    assert_eq!(story.snapshot().counters.ignored_messages, 1);
}

#[test]
fn every_message_leaves_a_record_in_official_words() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let point = story.signage_point();
    story.answer(barn, &point);
    let records = story.take(|output| match output {
        Output::Message(record) => Some(record.clone()),
        _ => None,
    });
    let said: Vec<_> = records
        .iter()
        .map(|record| (record.direction, record.message.as_ref(), record.detail.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (Direction::Out, "harvester_handshake", ""),
            (Direction::Out, "new_signage_point_harvester", "0/64"),
            (Direction::In, "farming_info", "3/864"),
        ]
    );
    let id = certificate("barn");
    assert_eq!(
        records[1].to_string(),
        format!("-> new_signage_point_harvester to peer 10.0.0.7 {id}")
    );
}

#[test]
fn harvesters_that_never_come_back_are_forgotten_in_the_end() {
    let mut story = Story::new();
    for number in 0..1100 {
        let session = story.connect(&format!("h{number}"));
        story.disconnect(session);
        story.pass(seconds(11));
        story.outputs.clear();
    }
    assert_eq!(story.snapshot().totals.absent, 1024);
    assert!(story.alarms().len() <= 1025, "{}", story.alarms().len());
}
