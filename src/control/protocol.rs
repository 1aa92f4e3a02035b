//! What travels over the control socket. Variant and field names are a contract with older and newer consoles: a new
//! request is a new variant (an old server answers [`Reply`] with an error sentence), a new field has a serde default.

use serde::{Deserialize, Serialize};

use crate::clock::Now;
use crate::farmer::Call;
use crate::handle::{FeedEvent, FleetAnswer, FleetAsk, RecentKind};
use crate::snapshot::page::{Page, PageRequest};
use crate::snapshot::{FarmSnapshot, HarvesterId, HistoryPage, HistoryRequest, MachineSnapshot};

/// Version of the frames; compared on attach. Raised only when an older peer could misunderstand.
pub const CONTROL_PROTOCOL: u32 = 1;

/// First frame, from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`CONTROL_PROTOCOL`] of the server.
    pub protocol: u32,
    /// Software version of the server, `0.1.0`.
    pub version: String,
    /// Process id of the server.
    pub pid: u32,
    /// What runs there.
    pub role: Role,
}

/// What a client that finds no place gets instead of a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why there is none, as a sentence.
    pub refused: String,
}

/// What runs on a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A farmer, with or without an embedded harvester.
    Farmer,
    /// A harvester alone.
    Harvester,
}

/// One question of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Repeated in the reply; chosen by the client.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What a client may ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// The newest snapshot of a farmer.
    Snapshot,
    /// The newest snapshot of a harvester alone.
    Machine,
    /// Part of a long list.
    Page(PageRequest),
    /// The last events of one kind, oldest first.
    Recent {
        /// Which.
        kind: RecentKind,
        /// At most this many.
        limit: u32,
    },
    /// Send snapshots and events from here on; a later `Watch` replaces an earlier one. A harvester has no notices.
    Watch(Watch),
    /// Ask a harvester (or all) for its plots and compare with what was synced.
    Refresh {
        /// `None` for all connected ones.
        harvester: Option<HarvesterId>,
    },
    /// A person has seen this alarm.
    Acknowledge {
        /// Its number.
        alarm: u64,
    },
    /// A person has seen every alarm that is open.
    AcknowledgeAll,
    /// Tell nobody of some alarms for a while.
    Silence {
        /// Only of this rule; `None` for all.
        #[serde(default)]
        rule: Option<String>,
        /// Only of this machine; `None` for all.
        #[serde(default)]
        machine: Option<String>,
        /// For how long, seconds; 0 ends a silence.
        for_s: u64,
    },
    /// Part of the history.
    History(HistoryRequest),
    /// Change the log level while running.
    SetLogLevel {
        /// `DEBUG`, `INFO`, `WARNING`, `ERROR`.
        level: String,
    },
    /// From here on this client only looks: whatever would change something is refused on this connection.
    ReadOnly,
    /// End the program.
    Stop,
    /// Something about the harvesters and their certificates.
    Fleet(FleetAsk),
    /// Send the farmer as it is and all that happens to it from here on, as [`Event::Recording`]; nothing else is answered
    /// on this connection then.
    Record,
}

impl Ask {
    /// Whether it changes something, so that one who only looks may not ask it.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self {
            Self::Snapshot
            | Self::Machine
            | Self::Page(_)
            | Self::Recent { .. }
            | Self::Watch(_)
            | Self::History(_)
            | Self::ReadOnly
            | Self::Record => false,
            Self::Refresh { .. }
            | Self::Acknowledge { .. }
            | Self::AcknowledgeAll
            | Self::Silence { .. }
            | Self::SetLogLevel { .. }
            | Self::Stop => true,
            Self::Fleet(ask) => ask.changes(),
        }
    }
}

/// Which events a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Every new snapshot (at most four a second): a farmer's or a harvester's, whatever runs there.
    #[serde(default)]
    pub snapshots: bool,
    /// Notices.
    #[serde(default)]
    pub notices: bool,
    /// Protocol messages.
    #[serde(default)]
    pub messages: bool,
    /// Log records.
    #[serde(default)]
    pub logs: bool,
}

/// Answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Id of the request.
    pub id: u64,
    /// Answer, or a sentence that says why not.
    pub answer: Result<Answer, String>,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Ask::Snapshot`].
    Snapshot(Box<FarmSnapshot>),
    /// To [`Ask::Machine`].
    Machine(Box<MachineSnapshot>),
    /// To [`Ask::Page`].
    Page(Page),
    /// To [`Ask::Recent`].
    Recent(Vec<FeedEvent>),
    /// To [`Ask::History`].
    History(HistoryPage),
    /// Done, or begun.
    Done,
    /// To [`Ask::Fleet`].
    Fleet(Box<FleetAnswer>),
}

/// A frame of the server after [`Hello`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Answer to a request.
    Reply(Box<Reply>),
    /// A new snapshot of a farmer.
    Snapshot(Box<FarmSnapshot>),
    /// A new snapshot of a harvester alone.
    Machine(Box<MachineSnapshot>),
    /// Something happened.
    Feed(FeedEvent),
    /// This client was too slow for this many events.
    Skipped(u64),
    /// Part of what [`Ask::Record`] asked for.
    Recording(RecordingPart),
}

/// Part of a recording: pieces of the beginning, its end, then calls until there are no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingPart {
    /// A piece of the farmer as it was, as JSON text.
    Beginning(String),
    /// That was the last piece; it was so at this moment.
    Begun(Now),
    /// What happened next.
    Call(Box<RecordedCall>),
    /// There is no more.
    End {
        /// Why, as a sentence.
        why: String,
    },
}

/// One call of the farmer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// When.
    pub now: Now,
    /// What was called.
    pub call: Call,
    /// What it wanted done by then, each as JSON.
    pub outputs: Vec<serde_json::Value>,
    /// Whether that was all; otherwise the next call came first.
    pub is_settled: bool,
}
