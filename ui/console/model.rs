//! All there is to see. Written only by [`super::update::update`].

use std::sync::Arc;

use farmconsole::ids::LauncherId;
use farmconsole::snapshot::page::{ListKind, Page, PageRequest};
use farmconsole::snapshot::{
    AlarmView, AttemptOutcome, AttemptView, FarmSnapshot, HarvesterId, HarvesterView, PoolState, PoolView, ProofStage,
    ProofView,
};

use super::stream::{Entry, Stream};
use super::theme::Theme;
use super::times::Zone;
use crate::feed::FarmerPlace;
use crate::format::safe;

/// Files asked for at once.
pub(super) const FILE_PAGE: u32 = 500;

/// One screen. Their numbers are those of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    Farm,
    Harvesters,
    Proofs,
    Pools,
    Messages,
    Alarms,
}

impl Screen {
    /// All, in order.
    pub(super) const ALL: [Self; 6] = [
        Self::Farm,
        Self::Harvesters,
        Self::Proofs,
        Self::Pools,
        Self::Messages,
        Self::Alarms,
    ];

    /// Its key and its name.
    pub(super) const fn tab(self) -> (char, &'static str) {
        match self {
            Self::Farm => ('1', "Farm"),
            Self::Harvesters => ('2', "Harvesters"),
            Self::Proofs => ('4', "Proofs"),
            Self::Pools => ('5', "Pools"),
            Self::Messages => ('6', "Messages"),
            Self::Alarms => ('7', "Alarms"),
        }
    }
}

/// What lies over the screen and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialog {
    /// The keys.
    Help {
        /// Lines scrolled away.
        scroll: u16,
    },
    /// "Quit and stop farming?"
    Quit,
    /// Words are being typed.
    Filter {
        /// The filter before, to go back to.
        before: String,
    },
}

/// Whether the farmer is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It is.
    Up,
    /// It is not, and the picture is old.
    Lost {
        /// Why, as a sentence.
        reason: String,
    },
}

/// A picture that stands still.
#[derive(Clone, Debug)]
pub(super) struct Frozen {
    pub(super) snapshot: Arc<FarmSnapshot>,
    pub(super) entries: Vec<Arc<Entry>>,
    /// Messages and records that passed since.
    pub(super) passed: u64,
}

/// What the harvesters are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SortBy {
    /// Order of first connection.
    FirstSeen,
    /// What is wrong first.
    State,
    Name,
    Plots,
    Lookup,
}

impl SortBy {
    /// The next one, round and round.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::FirstSeen => Self::State,
            Self::State => Self::Name,
            Self::Name => Self::Plots,
            Self::Plots => Self::Lookup,
            Self::Lookup => Self::FirstSeen,
        }
    }

    /// In words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::FirstSeen => "first seen",
            Self::State => "state",
            Self::Name => "name",
            Self::Plots => "plots",
            Self::Lookup => "slowest look-up",
        }
    }
}

/// The files of one harvester, as far as they are known here.
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

/// The details of one harvester.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Details {
    pub(super) harvester: HarvesterId,
    /// List that is shown.
    pub(super) list: ListKind,
    pub(super) files: Files,
    /// Selected file, counted from the first of the list.
    pub(super) selected: u64,
    /// Lines of the facts above the first one that is shown.
    pub(super) facts_scroll: u16,
    /// How many files the list had when it was last asked for.
    pub(super) asked_at_count: u64,
}

/// Selected rows, by what they show, so that a newer picture does not move them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// On Farm and Harvesters.
    pub(super) harvester: Option<HarvesterId>,
    /// Number of the proof.
    pub(super) proof: Option<u64>,
    /// PlotNFT of the pool.
    pub(super) pool: Option<LauncherId>,
    /// Number of the stream's entry; `None` follows the newest.
    pub(super) entry: Option<u64>,
    /// Number of the alarm.
    pub(super) alarm: Option<u64>,
}

/// The whole console.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Where the farmer runs.
    pub(super) place: FarmerPlace,
    pub(super) theme: Theme,
    pub(super) zone: Zone,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// The newest picture.
    pub(super) snapshot: Arc<FarmSnapshot>,
    /// Seconds without a newer one, when that is worth saying.
    pub(super) quiet_s: Option<u64>,
    pub(super) link: Link,
    pub(super) stream: Stream,
    pub(super) frozen: Option<Frozen>,
    pub(super) screen: Screen,
    pub(super) details: Option<Details>,
    pub(super) dialog: Option<Dialog>,
    pub(super) selection: Selection,
    /// Words that rows must contain.
    pub(super) filter: String,
    pub(super) only_wrong: bool,
    pub(super) sort: SortBy,
    pub(super) reversed: bool,
    pub(super) privacy: bool,
    /// Answer to the last key, when it has one.
    pub(super) remark: Option<String>,
}

impl Model {
    /// A console that has just opened.
    pub(super) fn new(place: FarmerPlace, snapshot: Arc<FarmSnapshot>, theme: Theme, zone: Zone) -> Self {
        Self {
            place,
            theme,
            zone,
            size: (0, 0),
            snapshot,
            quiet_s: None,
            link: Link::Up,
            stream: Stream::default(),
            frozen: None,
            screen: Screen::Farm,
            details: None,
            dialog: None,
            selection: Selection::default(),
            filter: String::new(),
            only_wrong: false,
            sort: SortBy::FirstSeen,
            reversed: false,
            privacy: false,
            remark: None,
        }
    }

    /// The picture the lists show: the frozen one or the newest.
    pub(super) fn shown(&self) -> &FarmSnapshot {
        self.frozen.as_ref().map_or(&self.snapshot, |frozen| &frozen.snapshot)
    }

    /// Text that came from outside, ready to be drawn.
    pub(super) fn outside(&self, text: &str) -> String {
        let text = safe(text);
        let text = if self.privacy { hide(&text, self.hidden()) } else { text };
        self.theme.plain(text)
    }

    /// An address, id or path, ready to be drawn.
    pub(super) fn secret(&self, text: &str) -> String {
        if self.privacy {
            self.hidden().to_owned()
        } else {
            self.outside(text)
        }
    }

    /// What stands for hidden text.
    pub(super) fn hidden(&self) -> &'static str {
        self.theme.pick("•••", "***")
    }

    /// Name of a harvester; its number where the name is its address and addresses are hidden.
    pub(super) fn harvester_name(&self, harvester: &HarvesterView) -> String {
        if self.privacy && harvester.name.contains(&harvester.host) {
            format!("harvester {}", harvester.id)
        } else {
            self.outside(&harvester.name)
        }
    }

    /// Name of a harvester that only a name is known of.
    pub(super) fn name(&self, name: &str) -> String {
        let known = self.shown().harvesters.iter().find(|h| h.name == name);
        known.map_or_else(|| self.outside(name), |harvester| self.harvester_name(harvester))
    }

    /// Harvesters in the order and choice of the person.
    pub(super) fn harvesters(&self) -> Vec<&HarvesterView> {
        let mut rows: Vec<_> = self
            .shown()
            .harvesters
            .iter()
            .filter(|h| !self.only_wrong || is_wrong(h))
            .filter(|h| self.matches(&[&h.name, &h.host, &h.state.words(), &h.software_version]))
            .collect();
        match self.sort {
            SortBy::FirstSeen => {}
            SortBy::State => rows.sort_by_key(|h| (h.state.is_fine(), !is_wrong(h))),
            SortBy::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
            SortBy::Plots => rows.sort_by_key(|h| std::cmp::Reverse(h.plots)),
            SortBy::Lookup => rows.sort_by_key(|h| std::cmp::Reverse(h.lookup_max_ms)),
        }
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// Answers, newest first.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &AttemptView> {
        self.shown()
            .attempts
            .iter()
            .filter(|a| !self.only_wrong || lateness(&a.outcome) != Lateness::InTime)
            .filter(|a| self.matches(&[&a.harvester_name]))
    }

    /// Proofs, newest first.
    pub(super) fn proofs(&self) -> impl Iterator<Item = &ProofView> {
        self.shown()
            .proofs
            .iter()
            .filter(|p| !self.only_wrong || matches!(p.stage, ProofStage::Invalid { .. } | ProofStage::Lost { .. }))
            .filter(|p| self.matches(&[&p.harvester_name, &p.plot_file]))
    }

    /// Pools that have the words of the filter; or those with something wrong.
    pub(super) fn pools(&self) -> Vec<&PoolView> {
        let is_wrong = |pool: &PoolView| {
            !matches!(
                pool.state,
                PoolState::Ready | PoolState::Asking | PoolState::SelfPooling
            )
        };
        let pools = self.shown().pools.iter();
        pools
            .filter(|pool| !self.only_wrong || is_wrong(pool))
            .filter(|pool| self.matches(&[&pool.label(), pool.name.as_deref().unwrap_or_default()]))
            .collect()
    }

    /// Open alarms, then the history.
    pub(super) fn alarms(&self) -> impl Iterator<Item = &AlarmView> {
        let shown = self.shown();
        let history = shown.alarm_history.iter().filter(|_| !self.only_wrong);
        shown
            .alarms
            .iter()
            .chain(history)
            .filter(|a| self.matches(&[&a.text, &a.remedy]))
    }

    /// Messages and records, oldest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        let (frozen, live) = match &self.frozen {
            Some(frozen) => (Some(frozen.entries.iter()), None),
            None => (None, Some(self.stream.entries())),
        };
        frozen
            .into_iter()
            .flatten()
            .chain(live.into_iter().flatten())
            .filter(|e| !self.only_wrong || e.is_wrong())
            .filter(|e| self.filter.is_empty() || self.matches(&[&super::views::messages::text(e)]))
    }

    /// The harvester whose details are open.
    pub(super) fn detailed(&self) -> Option<(&Details, &HarvesterView)> {
        let details = self.details.as_ref()?;
        let harvester = self.shown().harvesters.iter().find(|h| h.id == details.harvester)?;
        Some((details, harvester))
    }

    /// Every word of the filter is in one of `texts`; case does not matter.
    fn matches(&self, texts: &[&str]) -> bool {
        self.filter.split_whitespace().all(|word| {
            let word = word.to_lowercase();
            texts.iter().any(|text| text.to_lowercase().contains(&word))
        })
    }
}

impl Details {
    /// The request for the part of the list around the selected file.
    pub(super) fn request(&self) -> PageRequest {
        PageRequest {
            harvester: Some(self.harvester),
            list: self.list,
            contains: String::new(),
            offset: self.selected.saturating_sub(u64::from(FILE_PAGE) / 2),
            limit: FILE_PAGE,
        }
    }
}

/// How many files `list` of `harvester` has.
pub(super) const fn file_count(harvester: &HarvesterView, list: ListKind) -> u64 {
    match list {
        ListKind::Plots => harvester.plots,
        ListKind::Failed => harvester.failed,
        ListKind::NoKey => harvester.no_key,
        ListKind::Duplicates => harvester.duplicates,
    }
}

/// Whether anything about this harvester needs a person.
pub(super) const fn is_wrong(harvester: &HarvesterView) -> bool {
    !harvester.state.is_fine()
        || harvester.certificate_shared
        || harvester.failed > 0
        || harvester.no_key > 0
        || harvester.duplicates > 0
        || harvester.shared_plots > 0
        || harvester.invalid_proofs > 0
        || harvester.last_sync_error.is_some()
}

/// An answer against the deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lateness {
    /// Within 8 s.
    InTime,
    /// Later than 8 s: Chia warns.
    Late,
    /// Later than 25 s: pools refuse it, and at 28 s the block is lost.
    TooLate,
    /// None came.
    NoAnswer,
}

/// Chia warns, milliseconds.
pub(super) const WARN_MS: u32 = 8_000;
/// Pools refuse a partial, milliseconds.
pub(super) const POOL_MS: u32 = 25_000;
/// The block is lost, milliseconds.
pub(super) const BLOCK_MS: u32 = 28_000;

/// How a time since the signage point stands to the deadlines.
pub(super) const fn lateness_of_ms(ms: u32) -> Lateness {
    if ms < WARN_MS {
        Lateness::InTime
    } else if ms < POOL_MS {
        Lateness::Late
    } else {
        Lateness::TooLate
    }
}

/// How an answer stands to the deadlines: what counts is when it was here, not what the harvester says of its disks.
pub(super) fn lateness(outcome: &AttemptOutcome) -> Lateness {
    match outcome {
        AttemptOutcome::Answered {
            lookup_ms,
            round_trip_ms,
            ..
        } => lateness_of_ms(*lookup_ms.max(round_trip_ms)),
        AttemptOutcome::NoAnswer { .. } => Lateness::NoAnswer,
    }
}

/// Replaces what could name a person or a machine: addresses, paths, ids.
pub(super) fn hide(text: &str, by: &str) -> String {
    text.split_inclusive([' ', '(', ')', ',', '"', '\'', '`', '='])
        .map(|piece| {
            let end = piece.trim_end_matches([' ', '(', ')', ',', '"', '\'', '`', '=', ':', ';', '.', '…']);
            if is_telling(end) {
                format!("{by}{}", &piece[end.len()..])
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

fn is_telling(word: &str) -> bool {
    let is_count = |c: char| c.is_ascii_digit() || matches!(c, '/' | ',' | '.' | '–');
    let is_path = (word.contains('/') || word.contains('\\') || word.ends_with(".plot")) && !word.chars().all(is_count);
    let bare = word.trim_start_matches('[');
    let host = bare
        .rsplit_once(':')
        .map_or(bare, |(host, _port)| host.trim_end_matches(']'));
    let is_address = [bare, host].iter().any(|a| a.parse::<std::net::IpAddr>().is_ok());
    let hex = word.trim_start_matches("0x");
    let is_id = hex.len() >= 8 && hex.chars().all(|c| c.is_ascii_hexdigit()) && hex.chars().any(|c| c.is_ascii_digit());
    let is_bech32 = word.len() > 40 && word.contains("ch1");
    is_path || is_address || is_id || is_bech32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privacy_hides_what_names_a_machine_and_keeps_the_rest() {
        for (text, shown) in [
            (
                "refused 10.0.0.7 (3×): does not speak TLS",
                "refused * (3×): does not speak TLS",
            ),
            (
                "check the drive mounted at /mnt/d7 on barn-3",
                "check the drive mounted at * on barn-3",
            ),
            (
                "barn-3 answered 3/864 at 14:02:27.412",
                "barn-3 answered 3/864 at 14:02:27.412",
            ),
            ("from [fe80::1]:8447: closed", "from *: closed"),
            ("[::1]:8447 and 127.0.0.1:8444, both", "* and *, both"),
            ("last plot-k32-2021.plot: bad proof", "last *: bad proof"),
            ("peer 6f1c0d2e9a3b4c5d6f1c0d2e", "peer *"),
            ("facade of 12 plots", "facade of 12 plots"),
        ] {
            assert_eq!(hide(text, "*"), shown);
        }
    }

    #[test]
    fn deadlines_are_those_of_chia() {
        assert_eq!(lateness_of_ms(7_999), Lateness::InTime);
        assert_eq!(lateness_of_ms(8_000), Lateness::Late);
        assert_eq!(lateness_of_ms(25_000), Lateness::TooLate);
        let slow_network = AttemptOutcome::Answered {
            passed: 0,
            total: 1,
            proofs: 0,
            lookup_ms: 100,
            round_trip_ms: 9_000,
        };
        assert_eq!(lateness(&slow_network), Lateness::Late);
    }
}
