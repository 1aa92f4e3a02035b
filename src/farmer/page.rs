//! Pages of the lists that are too long for a snapshot: chosen, ordered and grouped here, so that no viewer ever holds
//! more than a page.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Farmer;
use super::harvesters::{LostPlot, Slot};
use super::plot_lists::{PlotEntry, directory_of};
use crate::ids::PlotId;
use crate::snapshot::HarvesterId;
use crate::snapshot::page::{
    DirectoryView, FileOrder, FileView, Grouping, ListKind, PAGE_LIMIT, Page, PageRequest, PlotView,
};
use crate::units::PlotSize;

impl Farmer {
    /// Part of a list. Of a harvester that is gone, or has just come back and has not told of its plots yet, what it had.
    #[must_use]
    pub fn page(&self, request: &PageRequest) -> Page {
        let files = self.files(request);
        match (request.grouping, request.list, request.order, request.reversed) {
            (Grouping::Directory, ..) => directories(files, request),
            // Nothing is collected where the files come in the order they are wanted in.
            (Grouping::None, list, FileOrder::Harvester, false) if list != ListKind::Shared => page_of(files, request),
            (Grouping::None, ..) => {
                let mut files: Vec<File<'_>> = files.collect();
                sort(&mut files, request);
                page_of(files.into_iter(), request)
            }
        }
    }

    /// Every file the request is about, by harvester and path.
    fn files<'a>(&'a self, request: &'a PageRequest) -> impl Iterator<Item = File<'a>> {
        let words: Vec<&str> = request.words.split_whitespace().collect();
        self.harvesters
            .all()
            .filter(|(id, slot)| match request.harvester {
                Some(wanted) => wanted == *id,
                // What was lost stays lost when its harvester goes too.
                None => request.list == ListKind::Lost || slot.session.as_ref().is_some_and(|session| session.synced),
            })
            .flat_map(|(id, slot)| self.files_of(id, slot, request.list))
            .filter(move |file| {
                file.path.contains(&request.contains)
                    && request
                        .directory
                        .as_deref()
                        .is_none_or(|it| it == directory_of(file.path))
                    && words
                        .iter()
                        .all(|word| has_word(file.path, word) || has_word(&file.slot.name, word))
            })
    }

    fn files_of<'a>(
        &'a self,
        harvester: HarvesterId,
        slot: &'a Slot,
        list: ListKind,
    ) -> Box<dyn Iterator<Item = File<'a>> + 'a> {
        let file = move |path, what| File {
            harvester,
            slot,
            path,
            what,
        };
        let plots = || slot.lists.plots.iter();
        let unusable = match list {
            ListKind::Plots => return Box::new(plots().map(move |(path, plot)| file(path, What::Plot(plot)))),
            ListKind::Shared if self.shared_plots.of(harvester) == 0 => return Box::new(std::iter::empty()),
            ListKind::Shared => {
                let shared = plots().filter(|(_, plot)| self.shared_plots.is_shared(&plot.plot_id));
                return Box::new(shared.map(move |(path, plot)| file(path, What::Plot(plot))));
            }
            ListKind::Lost => {
                let lost = slot.lost.values().flatten();
                return Box::new(lost.map(move |(plot_id, plot)| file(&plot.path, What::Lost(plot_id, plot))));
            }
            ListKind::Failed => &slot.lists.failed,
            ListKind::NoKey => &slot.lists.no_key,
            ListKind::Duplicates => &slot.lists.duplicates,
        };
        Box::new(unusable.iter().map(move |path| file(path, What::Unusable)))
    }
}

/// One file of a list, still where the farmer keeps it.
#[derive(Clone, Copy)]
struct File<'a> {
    harvester: HarvesterId,
    slot: &'a Slot,
    path: &'a str,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Plot(&'a PlotEntry),
    Lost(&'a PlotId, &'a LostPlot),
    Unusable,
}

impl File<'_> {
    fn plot(&self) -> Option<&PlotEntry> {
        match self.what {
            What::Plot(plot) => Some(plot),
            What::Lost(..) | What::Unusable => None,
        }
    }

    fn plot_id(&self) -> Option<&PlotId> {
        match &self.what {
            What::Plot(plot) => Some(&plot.plot_id),
            What::Lost(plot_id, _) => Some(plot_id),
            What::Unusable => None,
        }
    }

    fn bytes(&self) -> u64 {
        self.plot().map_or(0, |plot| plot.file_size.0)
    }

    /// When the file was made, or went; unix seconds.
    fn time(&self) -> u64 {
        match self.what {
            What::Plot(plot) => plot.time_modified,
            What::Lost(_, lost) => lost.at.0 / 1000,
            What::Unusable => 0,
        }
    }

    fn view(&self) -> FileView {
        let (lost_plot_id, lost_at_unix_ms) = match self.what {
            What::Lost(plot_id, lost) => (Some(*plot_id), Some(lost.at.0)),
            What::Plot(_) | What::Unusable => (None, None),
        };
        FileView {
            harvester: self.harvester,
            harvester_name: self.slot.name.to_string(),
            filename: self.path.to_owned(),
            plot: self.plot().map(plot_view),
            lost_plot_id,
            lost_at_unix_ms,
        }
    }
}

fn plot_view(plot: &PlotEntry) -> PlotView {
    PlotView {
        plot_id: plot.plot_id,
        size: match plot.size {
            PlotSize::V1 { k } => format!("k{k}"),
            PlotSize::V2 { strength } => format!("strength {strength}"),
        },
        file_size: plot.file_size.0,
        time_modified_unix_s: plot.time_modified,
        compression_level: plot.compression_level,
        contract: plot.contract.map(|contract| contract.to_string()),
    }
}

fn sort(files: &mut [File<'_>], request: &PageRequest) {
    // Sorting keeps the order by harvester and path among equals.
    match request.order {
        FileOrder::Harvester if request.list == ListKind::Shared => files.sort_by_key(|file| file.plot_id().copied()),
        FileOrder::Harvester => {}
        FileOrder::File => files.sort_by_key(|file| &file.path[directory_of(file.path).len()..]),
        FileOrder::Size => files.sort_by_key(|file| Reverse(file.bytes())),
        FileOrder::Newest => files.sort_by_key(|file| Reverse(file.time())),
    }
    if request.reversed {
        files.reverse();
    }
}

fn page_of<'a>(files: impl Iterator<Item = File<'a>>, request: &PageRequest) -> Page {
    let range = range(request);
    let mut page = Page::default();
    for file in files {
        if range.contains(&page.total) {
            page.items.push(file.view());
        }
        page.total += 1;
    }
    page
}

fn directories<'a>(files: impl Iterator<Item = File<'a>>, request: &PageRequest) -> Page {
    let mut groups: BTreeMap<(HarvesterId, &str), (&Slot, u64, u64)> = BTreeMap::new();
    for file in files {
        let group = groups
            .entry((file.harvester, directory_of(file.path)))
            .or_insert((file.slot, 0, 0));
        group.1 += 1;
        group.2 = group.2.saturating_add(file.bytes());
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    match request.order {
        FileOrder::Harvester | FileOrder::Newest => {}
        FileOrder::File => groups.sort_by_key(|((_, directory), _)| *directory),
        FileOrder::Size => groups.sort_by_key(|(_, (_, files, bytes))| Reverse((*bytes, *files))),
    }
    if request.reversed {
        groups.reverse();
    }
    let range = range(request);
    let total = groups.len() as u64;
    let directories = (0..).zip(groups).filter(|(n, _)| range.contains(n)).map(
        |(_, ((harvester, directory), (slot, files, bytes)))| DirectoryView {
            harvester,
            harvester_name: slot.name.to_string(),
            directory: directory.to_owned(),
            files,
            bytes,
        },
    );
    Page {
        total,
        items: Vec::new(),
        directories: directories.collect(),
    }
}

fn range(request: &PageRequest) -> std::ops::Range<u64> {
    let limit = u64::from(request.limit.min(PAGE_LIMIT));
    request.offset..request.offset.saturating_add(limit)
}

/// Whether `text` contains `word`, whatever their case; only ASCII letters have one here. Allocates nothing: it is asked
/// of 100,000 paths at a time.
fn has_word(text: &str, word: &str) -> bool {
    let word = word.as_bytes();
    word.is_empty()
        || text
            .as_bytes()
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
}
