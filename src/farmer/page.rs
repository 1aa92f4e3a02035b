//! Pages of the lists that are too long for a snapshot.

use super::Farmer;
use super::harvesters::Slot;
use super::plot_lists::PlotEntry;
use crate::snapshot::HarvesterId;
use crate::snapshot::page::{FileView, ListKind, PAGE_LIMIT, Page, PageRequest, PlotView};
use crate::units::PlotSize;

impl Farmer {
    /// Part of a list. Of a harvester that is gone, or has just come back and has not told of its plots yet, what it had.
    #[must_use]
    pub fn page(&self, request: &PageRequest) -> Page {
        let limit = u64::from(request.limit.min(PAGE_LIMIT));
        let range = request.offset..request.offset.saturating_add(limit);
        let mut page = Page {
            total: 0,
            items: Vec::new(),
        };
        for (id, slot) in self.harvesters.all() {
            let is_wanted = match request.harvester {
                Some(wanted) => wanted == id,
                None => slot.session.as_ref().is_some_and(|session| session.synced),
            };
            if !is_wanted {
                continue;
            }
            let files: Box<dyn Iterator<Item = (&str, Option<&PlotEntry>)>> = match request.list {
                ListKind::Plots => Box::new(slot.lists.plots.iter().map(|(path, plot)| (&**path, Some(plot)))),
                ListKind::Failed => Box::new(slot.lists.failed.iter().map(|path| (&**path, None))),
                ListKind::NoKey => Box::new(slot.lists.no_key.iter().map(|path| (&**path, None))),
                ListKind::Duplicates => Box::new(slot.lists.duplicates.iter().map(|path| (&**path, None))),
            };
            for (path, plot) in files.filter(|(path, _)| path.contains(&request.contains)) {
                if range.contains(&page.total) {
                    page.items.push(file_view(id, slot, path, plot));
                }
                page.total += 1;
            }
        }
        page
    }
}

fn file_view(harvester: HarvesterId, slot: &Slot, path: &str, plot: Option<&PlotEntry>) -> FileView {
    FileView {
        harvester,
        harvester_name: slot.name.clone(),
        filename: path.to_owned(),
        plot: plot.map(|plot| PlotView {
            plot_id: plot.plot_id,
            size: match plot.size {
                PlotSize::V1 { k } => format!("k{k}"),
                PlotSize::V2 { strength } => format!("strength {strength}"),
            },
            file_size: plot.file_size.0,
            time_modified_unix_s: plot.time_modified,
            compression_level: plot.compression_level,
            contract: plot.contract.map(|contract| contract.to_string()),
        }),
    }
}
