//! Plot sync: how a harvester keeps the farmer's list of its plots up to date, one message at a time, each answered by
//! a [`PlotSyncResponse`]. All of it travels without ids. The rules of the conversation are the farmer's and the
//! harvester's; here are only the messages.

use super::codec::{Reader, Streamable, parse_list, stream_list, streamable};
use super::error::WireError;
use super::handshake::HarvesterLayout;
use super::message::Message;
use super::message_type::MessageType;
use super::plot::Plot;

streamable! {
    /// Which message of which sync.
    pub struct PlotSyncIdentifier {
        /// Unix time of sending, seconds; renewed when a message is sent again.
        pub timestamp: u64,
        /// Unix time the sync began at, seconds; different for each sync of a harvester.
        pub sync_id: u64,
        /// 0, 1, 2… within the sync.
        pub message_id: u64,
    }

    /// A sync begins (78).
    pub struct PlotSyncStart {
        /// Which message.
        pub identifier: PlotSyncIdentifier,
        /// Whether everything is sent, and what the farmer has is to be forgotten.
        pub initial: bool,
        /// The last sync that was completed, 0 for none.
        pub last_sync_id: u64,
        /// Plot files the harvester found, loaded or not.
        pub plot_file_count: u32,
        /// 1 looks proofs up with the CPU, 2 with the GPU.
        pub harvesting_mode: u8,
    }

    /// Paths of plot files: removed (80), invalid (81), keys missing (82) or duplicates (83).
    pub struct PlotSyncPathList {
        /// Which message.
        pub identifier: PlotSyncIdentifier,
        /// The paths, on the harvester's machine.
        pub data: Vec<String>,
        /// Whether it is the last message of this list (`final`).
        pub is_final: bool,
    }

    /// The sync is complete (84).
    pub struct PlotSyncDone {
        /// Which message.
        pub identifier: PlotSyncIdentifier,
        /// Seconds the refresh took.
        pub duration: u64,
    }

    /// The farmer's answer to each message (85).
    pub struct PlotSyncResponse {
        /// Identifier of the message that is answered.
        pub identifier: PlotSyncIdentifier,
        /// Number of the message that is answered. In [`super::ToHarvester`] always the number of the newest layout,
        /// [`PlotSync::message_type`]; encoding and decoding translate it.
        pub message_type: i16,
        /// What was wrong with it.
        pub error: Option<PlotSyncError>,
    }

    /// Why the farmer did not take a message.
    pub struct PlotSyncError {
        /// A [`PlotSyncErrorCode`].
        pub code: i16,
        /// The error in words.
        pub message: String,
        /// What the farmer expected, with [`PlotSyncErrorCode::InvalidIdentifier`]: the harvester goes on from there.
        pub expected_identifier: Option<PlotSyncIdentifier>,
    }
}

impl Copy for PlotSyncIdentifier {}

/// Numbers of [`PlotSyncError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum PlotSyncErrorCode {
    /// Anything else.
    Unknown = -1,
    /// Not at this moment.
    InvalidState = 0,
    /// Message of another peer.
    InvalidPeerId = 1,
    /// Another sync or another message was expected; the only error with an expected identifier.
    InvalidIdentifier = 2,
    /// The harvester continues a sync the farmer does not know.
    InvalidLastSyncId = 3,
    /// The peer is no harvester.
    InvalidConnectionType = 4,
    /// A plot was added twice.
    PlotAlreadyAvailable = 5,
    /// A plot was removed that was not there.
    PlotNotAvailable = 6,
    /// The sync has the id of the one before.
    SyncIdsMatch = 7,
}

impl PlotSyncErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn as_i16(self) -> i16 {
        self as i16
    }
}

/// Plots the harvester has (79 or 112, by layout).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlotSyncPlotList {
    /// Which message.
    pub identifier: PlotSyncIdentifier,
    /// The plots: one batch of a refresh.
    pub data: Vec<Plot>,
    /// Whether it is the last message of this list (`final`).
    pub is_final: bool,
}

impl PlotSyncResponse {
    /// The answer to a message, good or bad.
    #[must_use]
    pub fn new(answered: &PlotSync, error: Option<PlotSyncError>) -> Self {
        let message_type = i16::from(answered.message_type().as_u8());
        Self {
            identifier: *answered.identifier(),
            message_type,
            error,
        }
    }

    /// As a peer of this layout knows the number that is answered.
    pub(super) fn in_layout(&self, layout: HarvesterLayout) -> Self {
        let mut response = self.clone();
        if response.message_type == i16::from(MessageType::PlotSyncLoaded2.as_u8()) {
            response.message_type = i16::from(layout.number(MessageType::PlotSyncLoaded2).as_u8());
        }
        response
    }

    /// As the newest layout knows the number that is answered.
    pub(super) fn in_newest_layout(mut self) -> Self {
        if self.message_type == i16::from(MessageType::PlotSyncLoaded.as_u8()) {
            self.message_type = i16::from(MessageType::PlotSyncLoaded2.as_u8());
        }
        self
    }
}

impl PlotSyncPlotList {
    fn stream(&self, layout: HarvesterLayout, out: &mut Vec<u8>) {
        self.identifier.stream(out);
        stream_list(&self.data, out, |plot, out| plot.stream(layout, out));
        self.is_final.stream(out);
    }

    fn from_bytes(bytes: &[u8], layout: HarvesterLayout) -> Result<Self, WireError> {
        let mut input = Reader::new(bytes);
        let list = Self {
            identifier: Streamable::parse(&mut input)?,
            data: parse_list(&mut input, Plot::MIN_BYTES, |input| Plot::parse(layout, input))?,
            is_final: Streamable::parse(&mut input)?,
        };
        input.finish()?;
        Ok(list)
    }
}

/// Any message of a plot sync, harvester to farmer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlotSync {
    /// The sync begins.
    Start(PlotSyncStart),
    /// Plots that are new; all plots in an initial sync.
    Loaded(PlotSyncPlotList),
    /// Paths of plots that are gone.
    Removed(PlotSyncPathList),
    /// Paths of files that are no plots it can use: the complete list.
    Invalid(PlotSyncPathList),
    /// Paths of plots it has no keys for: the complete list.
    KeysMissing(PlotSyncPathList),
    /// Paths of plots it has under another path: the complete list.
    Duplicates(PlotSyncPathList),
    /// The sync is complete.
    Done(PlotSyncDone),
}

impl PlotSync {
    /// Which message of which sync.
    #[must_use]
    pub const fn identifier(&self) -> &PlotSyncIdentifier {
        match self {
            Self::Start(message) => &message.identifier,
            Self::Loaded(message) => &message.identifier,
            Self::Removed(message)
            | Self::Invalid(message)
            | Self::KeysMissing(message)
            | Self::Duplicates(message) => &message.identifier,
            Self::Done(message) => &message.identifier,
        }
    }

    /// The number it travels under in the newest layout; [`HarvesterLayout::number`] knows it in the others.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Start(_) => MessageType::PlotSyncStart,
            Self::Loaded(_) => MessageType::PlotSyncLoaded2,
            Self::Removed(_) => MessageType::PlotSyncRemoved,
            Self::Invalid(_) => MessageType::PlotSyncInvalid,
            Self::KeysMissing(_) => MessageType::PlotSyncKeysMissing,
            Self::Duplicates(_) => MessageType::PlotSyncDuplicates,
            Self::Done(_) => MessageType::PlotSyncDone,
        }
    }

    /// Reads a message of a plot sync; `None` for any other.
    pub(super) fn decode(kind: MessageType, data: &[u8]) -> Result<Option<Self>, WireError> {
        Ok(Some(match kind {
            MessageType::PlotSyncStart => Self::Start(Streamable::from_bytes(data)?),
            MessageType::PlotSyncLoaded => Self::Loaded(PlotSyncPlotList::from_bytes(data, HarvesterLayout::V37)?),
            MessageType::PlotSyncLoaded2 => Self::Loaded(PlotSyncPlotList::from_bytes(data, HarvesterLayout::V38)?),
            MessageType::PlotSyncRemoved => Self::Removed(Streamable::from_bytes(data)?),
            MessageType::PlotSyncInvalid => Self::Invalid(Streamable::from_bytes(data)?),
            MessageType::PlotSyncKeysMissing => Self::KeysMissing(Streamable::from_bytes(data)?),
            MessageType::PlotSyncDuplicates => Self::Duplicates(Streamable::from_bytes(data)?),
            MessageType::PlotSyncDone => Self::Done(Streamable::from_bytes(data)?),
            _ => return Ok(None),
        }))
    }

    /// The message in its envelope.
    pub(super) fn encode(&self, id: Option<u16>, layout: HarvesterLayout) -> Message {
        let kind = layout.number(self.message_type());
        match self {
            Self::Start(payload) => Message::new(kind, id, payload),
            Self::Loaded(payload) => {
                let mut data = Vec::new();
                payload.stream(layout, &mut data);
                Message {
                    kind: kind.as_u8(),
                    id,
                    data,
                }
            }
            Self::Removed(payload)
            | Self::Invalid(payload)
            | Self::KeysMissing(payload)
            | Self::Duplicates(payload) => Message::new(kind, id, payload),
            Self::Done(payload) => Message::new(kind, id, payload),
        }
    }
}
