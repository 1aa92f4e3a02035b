//! What a frame costs: time and allocations, on a farm far larger than most. Allocations are counted and bounded here;
//! times are printed by `cargo bench --bench console`, and asserted nowhere.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use farmconsole::handle::FeedEvent;
use farmconsole::ids::{ChallengeHash, PeerId, PlotId, SpHash};
use farmconsole::snapshot::page::{FileView, Page, PageRequest, PlotView};
use farmconsole::snapshot::*;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::time::{ClockId, clock_gettime};

use super::message::{Effect, Message};
use super::model::Model;
use super::samples;
use super::update::update;
use super::view;
use crate::feed::FeedItem;

/// How large the farm is, and its console.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) harvesters: u32,
    pub(crate) plots: u64,
    /// Messages a second.
    pub(crate) messages: u32,
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// Every screen, and the keys that open it.
pub(crate) const SCREENS: [(&str, &str); 10] = [
    ("farm", "1"),
    ("harvesters", "2"),
    ("harvesters by state", "2s"),
    ("harvester", "2j\n"),
    ("plots", "3"),
    ("proofs", "4"),
    ("messages", "6"),
    ("messages, filtered", "6/farming 7\n"),
    ("alarms", "7"),
    ("farm, private", "p1"),
];

/// Frames a second at most.
const FPS: u32 = 30;

/// What frames cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Processor time of the frame in the middle.
    pub(crate) median: Duration,
    /// That 95 of 100 stay below.
    pub(crate) p95: Duration,
    /// The most.
    pub(crate) max: Duration,
    /// The most any frame allocated to be drawn, and to take in what had happened.
    pub(crate) draw: Allocated,
    pub(crate) take: Allocated,
}

/// Plays a console for so many frames, after `keys` have been pressed. Each takes in the messages of a thirtieth of a
/// second, four of a second a new picture too.
pub(crate) fn measure(size: Size, keys: &str, frames: usize) -> Measured {
    let mut model = samples::model(farm(size, 0), size.columns, size.rows);
    let mut records = (0..).map(|n| message(size, n));
    for record in records.by_ref().take(5_000) {
        pass(&mut model, record);
    }
    for key in keys.chars() {
        let code = if key == '\n' {
            KeyCode::Enter
        } else {
            KeyCode::Char(key)
        };
        for effect in update(&mut model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE))) {
            if let Effect::Page(request) = effect {
                let result = Ok(page(size, &request));
                update(&mut model, Message::Page { request, result });
            }
        }
    }
    let options = TerminalOptions {
        viewport: Viewport::Fixed(Rect::new(0, 0, size.columns, size.rows)),
    };
    let mut terminal = Terminal::with_options(CrosstermBackend::new(io::sink()), options).unwrap();
    // The first frame after a filter was typed makes the texts it looks at; they are kept.
    terminal.draw(|frame| drop(view::draw(&model, frame))).unwrap();
    let mut times = Vec::with_capacity(frames);
    let (mut draw, mut take) = (Allocated::default(), Allocated::default());
    for frame in 0..frames {
        let newer = frame
            .is_multiple_of(FPS as usize / 4)
            .then(|| Arc::new(farm(size, frame as u64)));
        // To make them is no cost of the console.
        let came: Vec<_> = records.by_ref().take((size.messages / FPS) as usize).collect();
        let before = Allocated::so_far();
        let started = worked();
        if let Some(newer) = newer {
            update(&mut model, Message::Snapshot(newer));
        }
        for record in came {
            pass(&mut model, record);
        }
        take = take.max(Allocated::since(before));
        let before = Allocated::so_far();
        terminal.draw(|frame| drop(view::draw(&model, frame))).unwrap();
        times.push(worked().saturating_sub(started));
        draw = draw.max(Allocated::since(before));
    }
    times.sort_unstable();
    Measured {
        median: times[frames / 2],
        p95: times[frames * 95 / 100],
        max: times[frames - 1],
        draw,
        take,
    }
}

/// Time this thread has worked: what else the machine does is no cost of the console.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// One message passes.
fn pass(model: &mut Model, record: MessageRecord) {
    update(model, Message::Item(FeedItem::Event(FeedEvent::Message(record))));
}

/// The `n`th message of a farm.
pub(crate) fn message(size: Size, n: u64) -> MessageRecord {
    let harvester = n % u64::from(size.harvesters);
    MessageRecord {
        at_unix_ms: samples::NOW + n / 2,
        direction: Direction::In,
        message: "farming_info".into(),
        peer_name: format!("shelf-{harvester}").into(),
        host: address(harvester).into(),
        peer_id: PeerId([7; 32]),
        detail: "3/864".to_owned(),
        content: samples::message_record(0, "").content,
    }
}

fn address(harvester: u64) -> String {
    format!("10.0.{}.{}", harvester / 250, harvester % 250)
}

/// The part of a list that is asked for.
pub(crate) fn page(size: Size, request: &PageRequest) -> Page {
    let items = (0..size.plots.min(u64::from(request.limit))).map(|n| FileView {
        harvester: HarvesterId(1),
        harvester_name: "shelf-1".to_owned(),
        filename: format!("/mnt/d{}/plots/plot-k32-2021-06-11-19-02-{n:064x}.plot", n % 40),
        plot: Some(PlotView {
            plot_id: PlotId([1; 32]),
            size: "k32".to_owned(),
            file_size: 108_000_000_000,
            time_modified_unix_s: 1_623_438_120,
            compression_level: 0,
            contract: None,
        }),
        lost_plot_id: None,
        lost_at_unix_ms: None,
    });
    Page {
        total: size.plots,
        items: items.collect(),
        ..Page::default()
    }
}

/// A farm at its `n`th moment; one harvester in twenty is late.
pub(crate) fn farm(size: Size, n: u64) -> FarmSnapshot {
    let now = samples::NOW + n * 33;
    let plots = size.plots / u64::from(size.harvesters);
    let harvesters: Vec<_> = (0..size.harvesters).map(|id| harvester(id, plots, now)).collect();
    FarmSnapshot {
        taken_at_unix_ms: now,
        attempts: harvesters.iter().rev().take(128).map(|h| attempt(h, now)).collect(),
        roll_call: (0..64).map(|index| roll_call(index, size.harvesters, now)).collect(),
        totals: FarmTotals {
            connected: u64::from(size.harvesters),
            plots: size.plots,
            ..FarmTotals::default()
        },
        alarms: (0..50).map(|number| alarm(number, now)).collect(),
        harvesters,
        ..samples::many()
    }
}

fn harvester(id: u32, plots: u64, now: u64) -> HarvesterView {
    let late = id.is_multiple_of(20);
    let mut harvester = samples::one().harvesters.remove(0);
    harvester.id = HarvesterId(id);
    harvester.name = format!("shelf-{id}");
    harvester.host = address(u64::from(id));
    harvester.plots = plots;
    harvester.lookups_ms = (0..64).map(|n| Some(200 + n * 13 % 700)).collect();
    harvester.last_answer = Some(LastAnswerView {
        at_unix_ms: now - 3_500,
        signage_point_index: 37,
        passed: 3,
        total: plots as u32,
        lookup_ms: 340,
    });
    if late {
        harvester.state = HarvesterState::Late;
        harvester.lookup_max_ms = Some(9_100);
    }
    harvester
}

fn attempt(harvester: &HarvesterView, now: u64) -> AttemptView {
    AttemptView {
        at_unix_ms: now - 3_500,
        harvester: harvester.id,
        harvester_name: harvester.name.as_str().into(),
        signage_point_index: 37,
        sp_hash: SpHash([2; 32]),
        challenge_hash: ChallengeHash([1; 32]),
        outcome: AttemptOutcome::Answered {
            passed: 3,
            total: harvester.plots as u32,
            proofs: 0,
            lookup_ms: 340,
            round_trip_ms: 360,
        },
    }
}

fn roll_call(index: u8, asked: u32, now: u64) -> RollCallView {
    RollCallView {
        at_unix_ms: now - u64::from(index) * 9_375,
        signage_point_index: 63 - index,
        sp_hash: SpHash([index; 32]),
        challenge_hash: ChallengeHash([1; 32]),
        asked,
        in_time: asked,
        late: 0,
        plots: 100_000,
        passed: 390,
        proofs: 0,
        waiting_for: Vec::new(),
    }
}

fn alarm(number: u64, now: u64) -> AlarmView {
    let kind = AlarmKind::HarvesterLate {
        harvester: HarvesterId(number as u32 * 20),
        name: format!("shelf-{}", number * 20),
        late: 2,
        on_the_way: 0,
    };
    AlarmView {
        number,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms: now - 600_000,
        updated_at_unix_ms: now,
        closed_at_unix_ms: None,
        acknowledged: false,
        silenced: false,
        cut_short: false,
    }
}

/// Allocations of one thread and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocated {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

impl Allocated {
    fn so_far() -> Self {
        Self {
            count: COUNT.get(),
            bytes: BYTES.get(),
        }
    }

    fn since(before: Self) -> Self {
        let now = Self::so_far();
        Self {
            count: now.count - before.count,
            bytes: now.bytes - before.bytes,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            count: self.count.max(other.count),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

#[expect(
    unsafe_code,
    reason = "an allocator is one; every call goes to the system's as it is"
)]
// SAFETY: the contract is that of `System`, to which every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A cell without a destructor is there as long as its thread.
        COUNT.set(COUNT.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as u64);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: Size = Size {
        harvesters: 1_000,
        plots: 100_000,
        messages: 2_000,
        columns: 200,
        rows: 60,
    };

    #[test]
    fn a_frame_allocates_for_what_is_on_screen_and_not_for_the_farm() {
        let ten_times_the_plots = Size {
            plots: LARGE.plots * 10,
            ..LARGE
        };
        for (screen, keys) in SCREENS {
            let large = measure(LARGE, keys, 12);
            let larger = measure(ten_times_the_plots, keys, 12);
            let cells = u64::from(LARGE.columns) * u64::from(LARGE.rows);
            assert!(large.draw.count < cells, "{screen}: {:?}", large.draw);
            assert!(large.draw.bytes < cells * 150, "{screen}: {:?}", large.draw);
            assert!(
                large.take.count < 3_000,
                "{screen}: {:?} to take messages in",
                large.take
            );
            assert!(large.median <= large.p95 && large.p95 <= large.max);
            let grown = larger.draw.count.saturating_sub(large.draw.count);
            assert!(
                grown * 20 < large.draw.count,
                "{screen}: {:?} with ten times the plots",
                larger.draw
            );
        }
    }
}
