//! What a farmer answers when it is asked for lists and history.

use farmconsole::ids::PlotId;
use farmconsole::snapshot::page::{DirectoryView, FileView, Page, PlotView};
use farmconsole::snapshot::*;

use super::{NOW, PLOT_BYTES};

/// The first files of a list.
pub(in super::super) fn page(total: u64, with_plots: bool) -> Page {
    let items = (0..total.min(500)).map(|n| FileView {
        harvester: HarvesterId(2),
        harvester_name: "barn-2".to_owned(),
        filename: format!(
            "/mnt/d{}/plot-k32-2021-06-{:02}-19-02-{:032x}.plot",
            n % 9,
            n % 28 + 1,
            n * 0x9e37_79b9
        ),
        plot: with_plots.then(|| PlotView {
            plot_id: PlotId([1; 32]),
            size: "k32".to_owned(),
            file_size: PLOT_BYTES,
            time_modified_unix_s: 1_623_438_120,
            compression_level: 0,
            contract: None,
        }),
        lost_plot_id: None,
        lost_at_unix_ms: None,
    });
    Page {
        total,
        items: items.collect(),
        ..Page::default()
    }
}

/// A monitor with one queue that fills up.
pub(in super::super) fn monitor() -> MonitorView {
    let queue = |name: &str, waiting, size| QueueView {
        name: name.to_owned(),
        waiting,
        size,
    };
    MonitorView {
        memory_bytes: Some(31 << 20),
        queues: vec![
            queue("harvesters to farmer", 3, 1024),
            queue("events to viewers", 700, 1024),
        ],
    }
}

/// Three days of a harvester that was slow on one night, and its plot changes.
pub(in super::super) fn past(request: &HistoryRequest) -> HistoryRows {
    let name = request.harvester.clone().unwrap_or_default();
    let this_hour = NOW - NOW % 3_600_000;
    match request.table {
        HistoryTable::Hours => {
            let hour = |n: u64| HourRow {
                start_unix_ms: this_hour - n * 3_600_000,
                harvester: name.clone(),
                answered: 384,
                unanswered: u64::from(n == 40),
                lookup_max_ms: Some(if (34..40).contains(&n) {
                    9_400 + n * 400
                } else {
                    600 + n * 7
                }),
                ..HourRow::default()
            };
            HistoryRows::Hours((0..60).map(hour).collect())
        }
        _ => HistoryRows::PlotChanges(vec![
            PlotChangeRow {
                at_unix_ms: NOW - 420_000,
                harvester: name.clone(),
                plots: 1_078,
                added: 0,
                removed: 109,
                removed_from: Some("/mnt/d7".to_owned()),
            },
            PlotChangeRow {
                at_unix_ms: NOW - 200_000_000,
                harvester: name,
                plots: 1_187,
                added: 20,
                removed: 0,
                removed_from: None,
            },
        ]),
    }
}

/// The drives of the fleet.
pub(in super::super) fn drives() -> Page {
    let drives = [(2, "barn-2", 7), (3, "barn-3", 4), (5, "shelf-2", 9)];
    let directories = drives.into_iter().flat_map(|(id, name, count)| {
        (1..=count).map(move |n| DirectoryView {
            harvester: HarvesterId(id),
            harvester_name: name.to_owned(),
            directory: format!("/mnt/d{n}/plots"),
            files: 100 + n * 3,
            bytes: (100 + n * 3) * PLOT_BYTES,
        })
    });
    Page {
        total: 20,
        items: Vec::new(),
        directories: directories.collect(),
    }
}

/// Plots that a drive lost.
pub(in super::super) fn lost_page() -> Page {
    let mut page = page(109, false);
    for item in &mut page.items {
        item.lost_plot_id = Some(PlotId([0x3c; 32]));
        item.lost_at_unix_ms = Some(NOW - 420_000);
    }
    page
}
