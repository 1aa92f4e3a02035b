//! Plot syncs of every kind, right and wrong, and what they tell about drives.

use super::story::*;
use crate::snapshot::{AlarmKind, HarvesterState};
use crate::wire::{
    FromHarvester, PlotSync, PlotSyncDone, PlotSyncIdentifier, PlotSyncPathList, PlotSyncPlotList, PlotSyncResponse,
    PlotSyncStart, ToHarvester,
};

pub(super) const SYNC: u64 = 77;

pub(super) fn identifier(message_id: u64) -> PlotSyncIdentifier {
    PlotSyncIdentifier {
        timestamp: 5,
        sync_id: SYNC,
        message_id,
    }
}

pub(super) fn begin(initial: bool, last_sync_id: u64, identifier: PlotSyncIdentifier) -> PlotSync {
    PlotSync::Start(PlotSyncStart {
        identifier,
        initial,
        last_sync_id,
        plot_file_count: 9,
        harvesting_mode: 1,
    })
}

pub(super) fn loaded(message_id: u64, paths: &[&str]) -> PlotSync {
    let data = paths.iter().map(|path| plot(path)).collect();
    PlotSync::Loaded(PlotSyncPlotList {
        identifier: identifier(message_id),
        data,
        is_final: true,
    })
}

pub(super) fn list(message_id: u64, paths: &[&str]) -> PlotSyncPathList {
    let data = paths.iter().map(|path| (*path).to_owned()).collect();
    PlotSyncPathList {
        identifier: identifier(message_id),
        data,
        is_final: true,
    }
}

pub(super) fn done(message_id: u64) -> PlotSync {
    PlotSync::Done(PlotSyncDone {
        identifier: identifier(message_id),
        duration: 1,
    })
}

pub(super) fn responses(story: &mut Story, session: crate::ids::SessionId) -> Vec<PlotSyncResponse> {
    let sent = story.sent(session);
    let response = |message| match message {
        ToHarvester::PlotSyncResponse(response) => Some(response),
        _ => None,
    };
    sent.into_iter().filter_map(response).collect()
}

/// What it is, what was sent before and taken, what comes, the code of the error and what it expects.
type Case = (&'static str, Vec<PlotSync>, PlotSync, i16, Option<PlotSyncIdentifier>);

#[test]
fn every_error_of_a_plot_sync_has_its_code() {
    let wrong_sync = |message_id| PlotSyncIdentifier {
        sync_id: 1,
        ..identifier(message_id)
    };
    let at = |sync_id, message_id| {
        Some(PlotSyncIdentifier {
            timestamp: 5,
            sync_id,
            message_id,
        })
    };
    let gpu_or_what = PlotSync::Start(PlotSyncStart {
        identifier: identifier(0),
        initial: true,
        last_sync_id: 0,
        plot_file_count: 0,
        harvesting_mode: 3,
    });
    let cases: Vec<Case> = vec![
        (
            "start with a message id",
            vec![],
            begin(true, 0, identifier(1)),
            2,
            at(0, 0),
        ),
        (
            "start in the middle of a sync",
            vec![begin(true, 0, identifier(0)), loaded(1, &["/a"])],
            begin(false, 0, identifier(0)),
            2,
            at(SYNC, 2),
        ),
        (
            "continues a sync we do not know",
            vec![],
            begin(false, 9, identifier(0)),
            3,
            None,
        ),
        (
            "the same sync again",
            vec![begin(true, 0, identifier(0)), done(1)],
            begin(false, SYNC, identifier(0)),
            7,
            None,
        ),
        ("unknown harvesting mode", vec![], gpu_or_what, -1, None),
        (
            "another sync",
            vec![begin(true, 0, identifier(0))],
            PlotSync::Removed(PlotSyncPathList {
                identifier: wrong_sync(1),
                ..list(1, &[])
            }),
            2,
            at(SYNC, 1),
        ),
        (
            "skipped a message",
            vec![begin(true, 0, identifier(0))],
            loaded(2, &["/a"]),
            2,
            at(SYNC, 1),
        ),
        (
            "done too early",
            vec![begin(true, 0, identifier(0))],
            done(2),
            2,
            at(SYNC, 1),
        ),
        (
            "plot twice in a message",
            vec![begin(true, 0, identifier(0))],
            loaded(1, &["/a", "/a"]),
            5,
            None,
        ),
        (
            "plot twice in a sync",
            vec![begin(true, 0, identifier(0)), loaded(1, &["/a"])],
            loaded(2, &["/b", "/a"]),
            5,
            None,
        ),
        (
            "removes what is not there",
            vec![begin(true, 0, identifier(0))],
            PlotSync::Removed(list(1, &["/a"])),
            6,
            None,
        ),
        (
            "removes what it adds",
            vec![begin(true, 0, identifier(0)), loaded(1, &["/a"])],
            PlotSync::Removed(list(2, &["/a"])),
            6,
            None,
        ),
        (
            "invalid twice",
            vec![begin(true, 0, identifier(0))],
            PlotSync::Invalid(list(1, &["/a", "/a"])),
            5,
            None,
        ),
        (
            "no key twice",
            vec![begin(true, 0, identifier(0))],
            PlotSync::KeysMissing(list(1, &["/a", "/a"])),
            5,
            None,
        ),
        (
            "duplicate twice",
            vec![begin(true, 0, identifier(0))],
            PlotSync::Duplicates(list(1, &["/a", "/a"])),
            5,
            None,
        ),
    ];
    for (what, before, message, code, expected_identifier) in cases {
        let mut story = Story::new();
        let barn = story.connect("barn");
        for message in before {
            story.message(barn, FromHarvester::PlotSync(message));
        }
        assert!(
            responses(&mut story, barn)
                .iter()
                .all(|response| response.error.is_none()),
            "{what}"
        );
        story.message(barn, FromHarvester::PlotSync(message.clone()));
        let responses = responses(&mut story, barn);
        assert_eq!(responses.len(), 1, "{what}");
        let error = responses[0]
            .error
            .as_ref()
            .unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!(
            (error.code, error.expected_identifier),
            (code, expected_identifier),
            "{what}: {}",
            error.message
        );
        assert_eq!(responses[0].identifier, *message.identifier(), "{what}");
        assert_eq!(
            responses[0].message_type,
            i16::from(message.message_type().as_u8()),
            "{what}"
        );
        assert!(story.harvester("barn").last_sync_error.is_some(), "{what}");
    }
}

#[test]
fn deltas_against_what_is_known_have_their_errors_too() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &[plot("/a"), plot("/b")]);
    let next = |message_id| PlotSyncIdentifier {
        timestamp: 5,
        sync_id: u64::MAX,
        message_id,
    };
    let last = story.now.unix.seconds();
    story.sent(barn);
    let messages = [
        begin(false, last, next(0)),
        PlotSync::Loaded(PlotSyncPlotList {
            identifier: next(1),
            data: vec![plot("/a")],
            is_final: true,
        }),
        PlotSync::Removed(PlotSyncPathList {
            identifier: next(1),
            ..list(0, &["/b", "/b"])
        }),
    ];
    for message in messages {
        story.message(barn, FromHarvester::PlotSync(message));
    }
    let codes: Vec<_> = responses(&mut story, barn)
        .into_iter()
        .map(|response| response.error.map(|error| error.code))
        .collect();
    assert_eq!(codes, [None, Some(5), Some(6)]);
    assert_eq!(
        story.harvester("barn").plots,
        2,
        "nothing changes before the sync is done"
    );
}

#[test]
fn after_an_error_the_harvester_can_go_on_or_begin_anew() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let resent = [
        begin(true, 0, identifier(0)),
        begin(true, 0, identifier(0)),
        loaded(1, &["/a"]),
        loaded(5, &["/b"]),
    ];
    for message in resent {
        story.message(barn, FromHarvester::PlotSync(message));
    }
    for message in [loaded(2, &["/b"]), done(3)] {
        story.message(barn, FromHarvester::PlotSync(message));
    }
    assert_eq!(story.harvester("barn").plots, 2);
    assert_eq!(story.harvester("barn").last_sync_error, None);
    story.sync_all(barn, &plots("/mnt/d1", 5));
    assert_eq!(story.harvester("barn").plots, 5);
}

#[test]
fn plot_sync_that_keeps_failing_is_an_alarm_until_one_is_done() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    for round in 0..3 {
        assert_eq!(story.alarms().len(), 0, "{round}");
        story.message(barn, FromHarvester::PlotSync(done(4)));
    }
    assert!(matches!(story.alarms()[..], [AlarmKind::PlotSyncFailing { .. }]));
    story.sync_all(barn, &plots("/mnt/d1", 5));
    assert_eq!(story.alarms(), []);
}

/// An official harvester that had no answer for 20 s sends its message once more, and does so until one comes.
#[test]
fn plot_sync_message_sent_again_is_answered_and_is_no_failure() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.message(barn, FromHarvester::PlotSync(begin(true, 0, identifier(0))));
    for (message, expected) in [
        (loaded(1, &["/a"]), 2),
        (PlotSync::Removed(list(2, &[])), 3),
        (done(3), 0),
    ] {
        story.message(barn, FromHarvester::PlotSync(message.clone()));
        responses(&mut story, barn);
        for _ in 0..4 {
            story.message(barn, FromHarvester::PlotSync(message.clone()));
        }
        let answers = responses(&mut story, barn);
        assert_eq!(answers.len(), 4);
        for answer in answers {
            let error = answer.error.expect("it is told what is due");
            let due = error.expected_identifier.map(|identifier| identifier.message_id);
            assert_eq!((error.code, due), (2, Some(expected)));
        }
    }
    assert_eq!(story.harvester("barn").plots, 1);
    assert_eq!(story.harvester("barn").last_sync_error, None);
    assert_eq!(story.alarms(), []);
}

#[test]
fn plot_sync_that_hangs_is_an_alarm() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.message(barn, FromHarvester::PlotSync(begin(true, 0, identifier(0))));
    story.message(barn, FromHarvester::PlotSync(loaded(1, &["/a"])));
    assert_eq!(story.state("barn"), HarvesterState::Syncing { processed: 1, total: 9 });
    story.pass(seconds(60));
    story.message(barn, FromHarvester::PlotSync(loaded(1, &["/a"])));
    story.pass(seconds(61));
    let hangs = |kind: &AlarmKind| matches!(kind, AlarmKind::PlotSyncFailing { .. });
    assert!(story.alarms().iter().any(hangs), "{:?}", story.alarms());
    story.sync_all(barn, &plots("/mnt/d1", 5));
    assert!(!story.alarms().iter().any(hangs));
}

#[test]
fn harvester_busy_with_its_first_sync_is_not_silent_unless_that_hangs() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    story.message(barn, FromHarvester::PlotSync(begin(true, 0, identifier(0))));
    for id in 1..5 {
        story.signage_point();
        story.pass(seconds(9));
        story.message(barn, FromHarvester::PlotSync(loaded(id, &[&format!("/{id}")])));
    }
    assert_eq!(story.state("barn"), HarvesterState::Syncing { processed: 4, total: 9 });
    assert_eq!(story.alarms(), []);
    for _ in 0..5 {
        story.signage_point();
        story.pass(seconds(9));
    }
    assert!(matches!(story.state("barn"), HarvesterState::Silent { .. }));
    assert!(matches!(story.alarms()[..], [AlarmKind::HarvesterSilent { .. }]));
}
