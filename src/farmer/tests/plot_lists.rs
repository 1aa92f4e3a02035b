//! What synced plots, files that are not farmed and losses come to: lists, drives, pages, cross-checks.

use super::plots::*;
use super::story::*;
use crate::farmer::{Command, Input, Output};
use crate::snapshot::page::{FileOrder, Grouping, ListKind, PageRequest};
use crate::snapshot::{AlarmKind, DisconnectCause, HarvesterId, Notice};
use crate::units::ByteSize;
use crate::wire::{FromHarvester, Plot, PlotSync, PlotSyncPathList, PlotSyncPlotList, RespondPlots, ToHarvester};

#[test]
fn lists_are_counted_summed_and_alarmed() {
    let mut story = Story::new();
    let barn = story.connect("barn");
    let three = plots("/mnt/d1", 1000);
    story.sync(
        barn,
        SyncStep {
            is_initial: true,
            loaded: &three,
            failed: &["/mnt/d1/bad.plot"],
            no_key: &["/mnt/d1/x.plot", "/mnt/d1/y.plot"],
            duplicates: &["/mnt/d2/copy.plot"],
            ..SyncStep::default()
        },
    );
    let view = story.harvester("barn");
    assert_eq!((view.plots, view.failed, view.no_key, view.duplicates), (1000, 1, 2, 1));
    assert_eq!(view.plot_bytes, 108_000_000_000_000);
    assert_eq!(
        view.effective_bytes, 108_877_420_953_598,
        "as official displays add it up"
    );
    assert_eq!(view.harvesting_mode, 1);
    let totals = story.snapshot().totals;
    assert_eq!(
        (totals.plots, totals.failed, totals.no_key, totals.duplicates),
        (1000, 1, 2, 1)
    );
    assert!(matches!(
        story.alarms()[..],
        [
            AlarmKind::FailedPlots { files: 1, .. },
            AlarmKind::NoKeyPlots { files: 2, .. },
            AlarmKind::DuplicatePlots { files: 1, .. },
        ]
    ));
    story.pass(seconds(120));
    story.sync(barn, SyncStep::default());
    assert!(
        story.alarms().iter().all(|kind| kind.harvester().is_none()),
        "{:?}",
        story.alarms()
    );
}

#[test]
fn plots_that_are_farmed_twice_are_found_by_their_id() {
    let mut story = Story::new();
    let all = plots("/mnt/d1", 10);
    let renamed = Plot {
        filename: "/mnt/d7/copy.plot".to_owned(),
        ..all[0].clone()
    };
    story.connect_with("barn", &[all.clone(), vec![renamed]].concat());
    let once = AlarmKind::SharedPlots {
        plots: 1,
        harvesters: vec!["barn".to_owned()],
    };
    assert_eq!(story.alarms(), std::slice::from_ref(&once));
    let shelf = story.connect_with("shelf", &all[..4]);
    let both = AlarmKind::SharedPlots {
        plots: 4,
        harvesters: vec!["barn".to_owned(), "shelf".to_owned()],
    };
    assert_eq!(story.alarms(), [both]);
    assert_eq!(
        (
            story.harvester("barn").shared_plots,
            story.harvester("shelf").shared_plots
        ),
        (5, 4)
    );
    assert_eq!(story.snapshot().totals.shared_plots, 4);
    story.disconnect(shelf);
    assert_eq!(story.alarms(), [once], "a harvester that is gone farms nothing");
}

#[test]
fn cross_check_tells_what_was_synced_and_is_not_there() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 5));
    story.input(Input::Command(Command::RefreshHarvester { harvester: None }));
    let asked = story.take(|output| match output {
        Output::Send {
            id,
            message: ToHarvester::RequestPlots,
            ..
        } => *id,
        _ => None,
    });
    assert_eq!(asked, [0x8000]);
    let mut listed = plots("/mnt/d1", 4);
    listed.push(plot("/mnt/d1/new.plot"));
    let message = FromHarvester::RespondPlots(RespondPlots {
        plots: listed,
        failed_to_open_filenames: vec![],
        no_key_filenames: vec![],
    });
    story.input(Input::HarvesterMessage {
        session: barn,
        id: Some(0x8123),
        message: message.clone(),
    });
    assert_eq!(story.harvester("barn").cross_check, None, "an answer to something else");
    story.input(Input::HarvesterMessage {
        session: barn,
        id: Some(asked[0]),
        message,
    });
    let check = story.harvester("barn").cross_check.expect("checked");
    assert_eq!((check.listed, check.missing, check.unexpected), (5, 1, 1));
    assert_eq!(check.examples, ["/mnt/d1/_mnt_d1-4.plot", "/mnt/d1/new.plot"]);
    assert!(
        story
            .notices()
            .iter()
            .any(|notice| matches!(notice, Notice::CrossChecked { .. }))
    );
}

#[test]
fn cross_check_without_an_answer_is_told() {
    let mut story = Story::new();
    let barn = story.connect_with("barn", &plots("/mnt/d1", 5));
    for end in ["time", "connection"] {
        story.input(Input::Command(Command::RefreshHarvester {
            harvester: Some(HarvesterId(1)),
        }));
        story.notices();
        match end {
            "time" => story.pass(seconds(60)),
            _ => story.disconnect(barn),
        }
        let failed = |notice: &Notice| matches!(notice, Notice::CrossCheckFailed { .. });
        assert_eq!(
            story.notices().iter().filter(|notice| failed(notice)).count(),
            1,
            "{end}"
        );
    }
}

#[test]
fn lists_are_paged_and_filtered() {
    let mut story = Story::new();
    story.connect_with("barn", &plots("/mnt/d1", 30));
    story.connect_with("shelf", &plots("/mnt/d2", 30));
    let request = |contains: &str, offset, limit| PageRequest {
        contains: contains.to_owned(),
        offset,
        ..PageRequest::first(None, ListKind::Plots, limit)
    };
    let page = story.farmer.page(&request("", 25, 10));
    assert_eq!((page.total, page.items.len()), (60, 10));
    assert_eq!(
        (
            page.items[4].harvester_name.as_str(),
            page.items[5].harvester_name.as_str()
        ),
        ("barn", "shelf")
    );
    assert_eq!(page.items[0].plot.as_ref().expect("a plot").size, "k32");
    assert_eq!(story.farmer.page(&request("d2-7", 0, 10)).total, 1);
    assert_eq!(story.farmer.page(&request("", u64::MAX, u32::MAX)).items, []);
}

#[test]
fn fleet_is_searched_ordered_and_grouped_by_drive() {
    let mut story = Story::new();
    let mut on_shelf = plots("/mnt/d2", 3);
    on_shelf.extend(plots("/mnt/d3", 2));
    on_shelf[1].file_size = ByteSize(on_shelf[1].file_size.0 + 1);
    on_shelf[2].time_modified += 1;
    story.connect_with("barn", &plots("/mnt/d1", 3));
    story.connect_with("shelf", &on_shelf);
    let all = PageRequest::first(None, ListKind::Plots, 100);
    let names = |request: &PageRequest| {
        let items = story.farmer.page(request).items;
        items.into_iter().map(|item| item.filename).collect::<Vec<_>>()
    };
    let words = PageRequest {
        words: "SHELF -1".to_owned(),
        ..all.clone()
    };
    assert_eq!(
        names(&words),
        [on_shelf[1].filename.clone(), on_shelf[4].filename.clone()]
    );
    for (order, first) in [(FileOrder::Size, 1), (FileOrder::Newest, 2)] {
        let request = PageRequest { order, ..all.clone() };
        assert_eq!(names(&request)[0], on_shelf[first].filename, "{order:?}");
        let request = PageRequest {
            reversed: true,
            ..request
        };
        assert_eq!(names(&request)[7], on_shelf[first].filename, "{order:?}");
    }
    let drives = PageRequest {
        grouping: Grouping::Directory,
        order: FileOrder::Size,
        offset: 1,
        ..all.clone()
    };
    let page = story.farmer.page(&drives);
    let told: Vec<_> = page
        .directories
        .iter()
        .map(|it| (it.harvester_name.as_str(), it.directory.as_str(), it.files))
        .collect();
    assert_eq!(
        (page.total, told),
        (3, vec![("barn", "/mnt/d1", 3), ("shelf", "/mnt/d3", 2)])
    );
    let in_one = PageRequest {
        directory: Some("/mnt/d3".to_owned()),
        ..all
    };
    assert_eq!(names(&in_one).len(), 2);
}

#[test]
fn copies_of_a_plot_stand_together_and_lost_plots_are_named_until_acknowledged() {
    let mut story = Story::new();
    let mut copies = plots("/mnt/d1", 3);
    let barn = story.connect_with("barn", &copies);
    for copy in &mut copies {
        copy.filename = copy.filename.replace("/mnt/d1", "/mnt/d9");
    }
    let shelf = story.connect_with("shelf", &copies[1..]);
    let list = |story: &Story, list| story.farmer.page(&PageRequest::first(None, list, 100)).items;
    let shared = list(&story, ListKind::Shared);
    let holders: Vec<_> = shared.iter().map(|item| item.harvester_name.as_str()).collect();
    assert_eq!(holders, ["barn", "shelf", "barn", "shelf"]);
    let ids: Vec<_> = shared
        .iter()
        .filter_map(|item| Some(item.plot.as_ref()?.plot_id))
        .collect();
    assert!(ids[0] == ids[1] && ids[2] == ids[3] && ids[0] != ids[2]);

    story.sync_all(shelf, &[]);
    assert_eq!(list(&story, ListKind::Shared), [], "one copy is left of each");
    assert_eq!(list(&story, ListKind::Lost), [], "barn farms them still");
    story.sync_all(barn, &[]);
    let lost = list(&story, ListKind::Lost);
    let paths: Vec<_> = lost.iter().map(|item| item.filename.as_str()).collect();
    assert!(paths.len() == 3 && paths.iter().all(|path| path.starts_with("/mnt/d1/")));
    assert!(lost.iter().all(|item| item.lost_at_unix_ms.is_some()));
    story.input(Input::Command(Command::AcknowledgeAlarm { number: None }));
    assert_eq!(list(&story, ListKind::Lost), []);
}

#[test]
fn hundred_thousand_plots_are_synced_and_lost_in_one_piece() {
    let mut story = Story::new().told_once();
    let barn = story.connect("barn");
    let all: Vec<_> = (0..100_000_u32)
        .map(|number| {
            let mut plot = plot(&format!(
                "/mnt/disk-{:03}/plot-k32-2021-07-11-22-53-{number:064}.plot",
                number / 200
            ));
            plot.plot_id.0[..4].copy_from_slice(&number.to_be_bytes());
            plot
        })
        .collect();
    let send_all = |story: &mut Story, session| {
        story.message(session, FromHarvester::PlotSync(begin(true, 0, identifier(0))));
        let mut id = 0;
        for batch in all.chunks(300) {
            id += 1;
            let data = batch.to_vec();
            let message = PlotSyncPlotList {
                identifier: identifier(id),
                data,
                is_final: false,
            };
            story.message(session, FromHarvester::PlotSync(PlotSync::Loaded(message)));
        }
        story.message(session, FromHarvester::PlotSync(done(id + 1)));
        assert!(
            responses(story, session)
                .iter()
                .all(|response| response.error.is_none())
        );
        story.outputs.clear();
    };
    send_all(&mut story, barn);
    assert_eq!(story.snapshot().totals.plots, 100_000);
    story.disconnect(barn);
    let barn = story.connect("barn");
    send_all(&mut story, barn);
    assert_eq!((story.snapshot().totals.plots, story.alarms()), (100_000, vec![]));
    story.sync_all(barn, &[]);
    assert!(
        matches!(&story.alarms()[..], [AlarmKind::PlotsLost { lost: 100_000, directory: Some(directory), .. }]
        if directory == "/mnt")
    );
}

#[test]
fn harvester_that_lists_without_end_is_closed() {
    let mut story = Story::new().told_once();
    let barn = story.connect("barn");
    story.message(barn, FromHarvester::PlotSync(begin(true, 0, identifier(0))));
    let long = "x".repeat(1 << 16);
    let mut closed = Vec::new();
    for id in 1..100_u64 {
        let paths: Vec<_> = (0..60).map(|number| format!("/{id}/{number}/{long}")).collect();
        let message = PlotSyncPathList {
            identifier: identifier(id),
            data: paths,
            is_final: false,
        };
        story.message(barn, FromHarvester::PlotSync(PlotSync::Invalid(message)));
        closed = story.take(|output| match output {
            Output::Close { cause, .. } => Some(cause.clone()),
            _ => None,
        });
        if !closed.is_empty() {
            break;
        }
    }
    assert!(matches!(closed[..], [DisconnectCause::ProtocolViolation { .. }]));
    assert!(!story.harvester("barn").is_connected());
}
