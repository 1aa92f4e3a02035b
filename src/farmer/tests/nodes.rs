//! Nodes: whether they are connected, what they say of the chain, their silence, and what two of them say differently.

use super::story::*;
use crate::farmer::{ChainState, FarmerConfig, Input, NodeLink, NodeStatus};
use crate::ids::{FilterChallenge, PeerId};
use crate::snapshot::{AlarmKind, Awaited, FarmStatus, Severity};
use crate::units::{Height, PlotSize};
use crate::wire::{SignagePointFilter, ToHarvester};

#[test]
fn filter_challenge_that_only_the_second_node_knows_reaches_harvesters_with_v2_plots() {
    let mut constants = config().constants;
    constants.hard_fork2_height = Height(0);
    let mut story = Story::of(FarmerConfig { constants, ..config() });
    for (node, name) in [(NODE, "node"), (OTHER_NODE, "other")] {
        let status = node_status(name);
        story.input(Input::Node { node, status });
    }
    let old = story.connect_with("barn", &plots("/mnt/d1", 3));
    let mut with_v2 = plots("/mnt/d2", 3);
    with_v2[0].size = PlotSize::V2 { strength: 2 };
    let new = story.connect_with("attic", &with_v2);
    let mut point = story.signage_point();
    story.sent(old);
    story.sent(new);
    point.filter_challenge = Some(FilterChallenge([9; 32]));
    let told = |sent: &[ToHarvester]| -> Vec<_> {
        let filters = sent.iter().filter_map(|message| match message {
            ToHarvester::NewSignagePoint(point) => Some(point.filter),
            _ => None,
        });
        filters.collect()
    };
    let expected = SignagePointFilter::Heights {
        peak_height: point.peak_height,
        last_tx_height: point.last_tx_height,
        filter_challenge: point.filter_challenge,
    };
    story.bring(OTHER_NODE, &point);
    assert_eq!(told(&story.sent(new)), [expected]);
    assert_eq!(told(&story.sent(old)), [], "it would look v1 plots up twice");
    for session in [old, new] {
        story.answer_with(session, &point, 0, 3);
    }
    let not_compared = |name: &str| story.harvester(name).eligibility.not_compared;
    assert_eq!((not_compared("barn"), not_compared("attic")), (0, 1));
    // One that comes later is told all of it, and nobody is asked a third time.
    let late = story.connect_with("late", &with_v2);
    assert_eq!(told(&story.sent(late)), [expected]);
    story.bring(OTHER_NODE, &point);
    point.filter_challenge = None;
    story.bring(NODE, &point);
    assert_eq!(told(&story.sent(new)), []);
    let counts = story.snapshot().signage_points;
    assert_eq!((counts.received, counts.duplicates), (1, 3));
}

#[test]
fn node_that_goes_silent_is_an_alarm_until_it_speaks() {
    let mut story = Story::new();
    let began = story.now.unix;
    story.signage_point();
    story.pass(seconds(59));
    assert_eq!(story.alarms(), []);
    story.pass(seconds(2));
    assert_eq!(
        story.alarms(),
        [AlarmKind::NoSignagePoints {
            node: "node".to_owned(),
            last_unix_ms: Some(began.0),
            why: None,
            others_do: false,
        }]
    );
    assert_eq!(story.snapshot().status, FarmStatus::NoSignagePoints { for_s: 61 });
    story.input(Input::NodeChain {
        node: NODE,
        chain: Ok(ChainState::default()),
    });
    assert_eq!(story.snapshot().status, FarmStatus::NotSynced);
    for _ in 0..5 {
        story.next_point();
    }
    story.signage_point();
    assert_eq!(story.alarms(), []);
}

#[test]
fn one_silent_node_of_two_is_a_warning_and_the_last_one_is_worse() {
    let mut story = Story::new();
    story.input(Input::Node {
        node: OTHER_NODE,
        status: node_status("other"),
    });
    let first = story.signage_point();
    story.bring(OTHER_NODE, &first);
    let link = NodeLink::Down {
        why: "nobody listens on that port".to_owned(),
    };
    story.pass(seconds(40));
    story.signage_point();
    story.input(Input::Node {
        node: OTHER_NODE,
        status: NodeStatus {
            link,
            ..node_status("other")
        },
    });
    story.pass(seconds(25));
    let severities = |story: &Story| -> Vec<_> {
        let alarms = story.snapshot().alarms;
        alarms
            .iter()
            .map(|alarm| (alarm.severity, alarm.text.clone()))
            .collect()
    };
    let alarms = severities(&story);
    assert!(
        matches!(alarms.as_slice(), [(Severity::Warning, text)] if text.starts_with("no signage point from other since")
            && text.ends_with(": not connected, nobody listens on that port; another node brings them")),
        "{alarms:?}"
    );
    story.pass(seconds(40));
    assert_eq!(
        severities(&story)
            .iter()
            .map(|(severity, _)| *severity)
            .collect::<Vec<_>>(),
        [Severity::Critical; 2],
        "now nobody brings any"
    );
    let again = story.next_point();
    story.bring(NODE, &again);
    let alarms = severities(&story);
    assert!(matches!(alarms.as_slice(), [(Severity::Warning, _)]), "{alarms:?}");
}

#[test]
fn changed_certificate_names_both_fingerprints_until_the_node_is_up() {
    let mut story = Story::new();
    let (expected, got) = (PeerId([1; 32]), PeerId([2; 32]));
    story.input(Input::NodeCertificateChanged {
        node: NODE,
        expected,
        got,
        kept: "the line of node from known-nodes".to_owned(),
    });
    let alarms = story.snapshot().alarms;
    assert_eq!(alarms.len(), 1);
    assert!(alarms[0].text.contains(&expected.to_string()) && alarms[0].text.contains(&got.to_string()));
    assert!(alarms[0].remedy.contains("remove the line of node from known-nodes"));
    story.input(Input::Node {
        node: NODE,
        status: node_status("node"),
    });
    assert_eq!(story.alarms(), []);
}

#[test]
fn node_view_tells_what_the_node_says_or_why_it_does_not() {
    let mut story = Story::new();
    story.signage_point();
    let chain = ChainState {
        synced: true,
        peak_height: Some(9_000_000),
        netspace_bytes: Some(2e19),
        average_block_seconds: Some(18.5),
        ..ChainState::default()
    };
    let mut ask = |chain: Result<ChainState, String>| {
        story.input(Input::NodeChain { node: NODE, chain });
        story.snapshot().nodes[0].clone()
    };
    let view = ask(Ok(chain));
    assert_eq!((view.synced, view.netspace_bytes), (Some(true), Some(2e19)));
    assert_eq!(
        (view.peak_height, view.average_block_seconds),
        (Some(9_000_000), Some(18.5))
    );
    let view = ask(Ok(ChainState {
        average_block_seconds: None,
        ..chain
    }));
    assert_eq!(view.average_block_seconds, Some(18.5), "it is not asked every time");
    let view = ask(Err("not reachable".to_owned()));
    assert_eq!((view.synced, view.netspace_bytes), (None, None));
    assert_eq!(view.not_asked_because.as_deref(), Some("not reachable"));
}

#[test]
fn height_of_a_node_that_was_set_up_anew_is_its_own_and_not_that_of_before() {
    let mut story = Story::new();
    story.signage_point();
    assert_eq!(story.snapshot().nodes[0].peak_height, Some(6_000_000));
    let link = NodeLink::Down {
        why: "it closed the connection".to_owned(),
    };
    for status in [
        NodeStatus {
            link,
            ..node_status("node")
        },
        node_status("node"),
    ] {
        story.input(Input::Node { node: NODE, status });
    }
    story.input(Input::NodeChain {
        node: NODE,
        chain: Ok(ChainState {
            peak_height: Some(1_000),
            ..ChainState::default()
        }),
    });
    assert_eq!(story.snapshot().nodes[0].peak_height, Some(1_000));
}

#[test]
fn signage_point_with_an_index_that_no_sub_slot_has_is_counted_and_not_farmed() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    for index in [64, 255, 0] {
        let mut point = story.next_point();
        point.signage_point_index = index;
        story.bring(NODE, &point);
    }
    assert_eq!(story.signage_points_sent(barn), 1);
    let counts = story.snapshot().signage_points;
    assert_eq!((counts.received, counts.impossible), (1, 2));
}

#[test]
fn farm_without_any_node_says_so() {
    let mut story = Story::of(config());
    let waits_for = Awaited::SignagePoint;
    assert_eq!(story.snapshot().status, FarmStatus::Starting { waits_for });
    story.pass(seconds(61));
    assert_eq!(
        story.alarms(),
        [AlarmKind::NoSignagePoints {
            node: "any full node".to_owned(),
            last_unix_ms: None,
            why: None,
            others_do: false,
        }]
    );
    story.input(Input::Node {
        node: NODE,
        status: NodeStatus {
            link: NodeLink::Down {
                why: "refused".to_owned(),
            },
            ..node_status("node")
        },
    });
    assert_eq!(story.alarms(), []);
    assert_eq!(story.snapshot().status, FarmStatus::NoSignagePoints { for_s: 61 });
}

#[test]
fn second_name_of_a_node_is_no_silent_node() {
    let mut story = Story::new();
    let told = |link| Input::Node {
        node: OTHER_NODE,
        status: NodeStatus {
            link,
            ..node_status("other")
        },
    };
    let down = || NodeLink::Down {
        why: "being dialled".to_owned(),
    };
    let second = || NodeLink::SecondName {
        why: "it is node".to_owned(),
    };
    story.input(told(down()));
    let farm = |story: &mut Story, times: u32| {
        for _ in 0..times {
            story.signage_point();
            story.pass(seconds(9));
        }
    };
    farm(&mut story, 2);
    story.input(told(second()));
    farm(&mut story, 10);
    assert_eq!(story.alarms(), []);
    let view = story.snapshot().nodes[1].clone();
    assert_eq!(
        (view.connected, view.not_connected_because.as_deref()),
        (false, Some("it is node"))
    );
    assert!(view.is_second_name);
    // One that is not there is silent from then on, until it is the second name again.
    story.input(told(down()));
    farm(&mut story, 6);
    assert_eq!(story.alarms(), []);
    farm(&mut story, 2);
    assert!(matches!(&story.alarms()[..], [AlarmKind::NoSignagePoints { node, .. }] if node == "other"));
    story.input(told(second()));
    assert_eq!(story.alarms(), []);
}
