//! A list of files that the farmer pages: the part around the selection is here, the rest stays there.

use farmconsole::snapshot::page::{Grouping, ListKind, Page, PageRequest};
use farmconsole::snapshot::{AlarmKind, FarmSnapshot, HarvesterId, HarvesterView};

use super::order::Order;

/// Files asked for at once.
pub(super) const FILE_PAGE: u32 = 500;

/// The lists of one harvester, in the order the arrow keys go.
pub(super) const LISTS_OF_HARVESTER: [ListKind; 5] = [
    ListKind::Failed,
    ListKind::NoKey,
    ListKind::Duplicates,
    ListKind::Lost,
    ListKind::Plots,
];

/// The lists of the fleet, in the order the arrow keys go.
pub(super) const LISTS_OF_FLEET: [ListKind; 6] = [
    ListKind::Plots,
    ListKind::Failed,
    ListKind::NoKey,
    ListKind::Duplicates,
    ListKind::Shared,
    ListKind::Lost,
];

/// What is known here of a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Files {
    /// Asked for.
    Loading,
    /// There.
    Ready {
        /// Items skipped before the first one here.
        offset: u64,
        page: Page,
    },
    /// Not to be had.
    Failed(String),
}

/// One list that is open.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FileList {
    /// Whose; `None` for the fleet's.
    pub(super) harvester: Option<HarvesterId>,
    pub(super) list: ListKind,
    /// Files, or the drives they are on.
    pub(super) grouping: Grouping,
    /// The drive that was opened.
    pub(super) directory: Option<String>,
    pub(super) files: Files,
    /// Selected item, counted from the first of the list.
    pub(super) selected: u64,
    /// The question whose answer is shown or waited for.
    asked: Option<PageRequest>,
    /// Whether its answer is still to come.
    waits: bool,
    /// How many files the list had when it was asked for.
    asked_at_count: u64,
}

impl FileList {
    /// A list of which nothing is known yet.
    pub(super) const fn new(harvester: Option<HarvesterId>, list: ListKind) -> Self {
        Self {
            harvester,
            list,
            grouping: Grouping::None,
            directory: None,
            files: Files::Loading,
            selected: 0,
            asked: None,
            waits: false,
            asked_at_count: 0,
        }
    }

    /// Opens another list, from its first file on.
    pub(super) fn turn_to(&mut self, list: ListKind) {
        self.list = list;
        self.files = Files::Loading;
        self.selected = 0;
    }

    /// Notes that the part around the selection is asked for, and says how.
    pub(super) fn ask(&mut self, words: &str, order: Order, count: u64) -> PageRequest {
        let request = self.request(words, order);
        self.asked = Some(request.clone());
        self.waits = true;
        self.asked_at_count = count;
        request
    }

    /// The question for the part around the selection.
    pub(super) fn request(&self, words: &str, order: Order) -> PageRequest {
        PageRequest {
            words: words.to_owned(),
            directory: self.directory.clone(),
            order: order.of_files(),
            reversed: order.reversed,
            grouping: self.grouping,
            offset: self.selected.saturating_sub(u64::from(FILE_PAGE) / 2),
            ..PageRequest::first(self.harvester, self.list, FILE_PAGE)
        }
    }

    /// Whether the list is as long as `count` says, or is being asked for.
    pub(super) const fn is_current(&self, count: u64) -> bool {
        self.waits || self.asked_at_count == count
    }

    /// Whether `request` is the question whose answer is waited for.
    pub(super) fn waits_for(&self, request: &PageRequest) -> bool {
        self.waits && self.asked.as_ref() == Some(request)
    }

    /// Takes the answer that was waited for.
    pub(super) fn take(&mut self, offset: u64, result: Result<Page, String>) {
        self.waits = false;
        self.files = match result {
            Ok(page) => {
                self.selected = self.selected.min(page.total.saturating_sub(1));
                Files::Ready { offset, page }
            }
            Err(reason) => Files::Failed(reason),
        };
    }

    /// How many items it has, as far as that is known.
    pub(super) const fn total(&self) -> Option<u64> {
        match &self.files {
            Files::Ready { page, .. } => Some(page.total),
            Files::Loading | Files::Failed(_) => None,
        }
    }

    /// Whether a screenful around the selection is not here.
    pub(super) const fn runs_out(&self) -> bool {
        let Files::Ready { offset, page } = &self.files else {
            return false;
        };
        let here = page.items.len() + page.directories.len();
        let margin = FILE_PAGE as u64 / 5;
        let below = self.selected.saturating_add(margin);
        let needed = if below < page.total { below } else { page.total };
        self.selected.saturating_sub(margin) < *offset || needed > *offset + here as u64
    }

    /// Which item of the page is selected.
    pub(super) fn selected_here(&self) -> Option<usize> {
        let Files::Ready { offset, page } = &self.files else {
            return None;
        };
        let at = usize::try_from(self.selected.checked_sub(*offset)?).ok()?;
        (at < page.items.len().max(page.directories.len())).then_some(at)
    }
}

/// How many files `list` of one harvester has.
pub(super) fn file_count(farm: &FarmSnapshot, harvester: &HarvesterView, list: ListKind) -> u64 {
    match list {
        ListKind::Plots => harvester.plots,
        ListKind::Failed => harvester.failed,
        ListKind::NoKey => harvester.no_key,
        ListKind::Duplicates => harvester.duplicates,
        ListKind::Shared => harvester.shared_plots,
        ListKind::Lost => lost(farm, Some(harvester.id)),
    }
}

/// How many files `list` of the whole farm has; of [`ListKind::Shared`], how many plots.
pub(super) fn fleet_count(farm: &FarmSnapshot, list: ListKind) -> u64 {
    let totals = &farm.totals;
    match list {
        ListKind::Plots => totals.plots,
        ListKind::Failed => totals.failed,
        ListKind::NoKey => totals.no_key,
        ListKind::Duplicates => totals.duplicates,
        ListKind::Shared => totals.shared_plots,
        ListKind::Lost => lost(farm, None),
    }
}

/// Plots that an open alarm says are lost, of one harvester or of all.
fn lost(farm: &FarmSnapshot, of: Option<HarvesterId>) -> u64 {
    let lost = farm.alarms.iter().map(|alarm| match alarm.kind {
        AlarmKind::PlotsLost { harvester, lost, .. } if of.is_none_or(|of| of == harvester) => lost,
        _ => 0,
    });
    lost.sum()
}

/// The name of a list, as its head says it.
pub(super) const fn list_name(list: ListKind) -> &'static str {
    match list {
        ListKind::Plots => "plots",
        ListKind::Failed => "failed",
        ListKind::NoKey => "no key",
        ListKind::Duplicates => "duplicates",
        ListKind::Shared => "farmed twice",
        ListKind::Lost => "lost",
    }
}
