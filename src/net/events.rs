//! What connections tell the core: one enum, in the order in which it happened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::credit::Credit;
use super::outbox::Outbox;
use crate::farmer::HarvesterOrigin;
use crate::ids::SessionId;
use crate::snapshot::{ConnectedPeer, DisconnectCause, RefusalCause};
use crate::wire::FromHarvester;

/// What connections tell the core.
#[derive(Debug)]
pub enum SessionEvent {
    /// A harvester is there: both handshakes are done. Nothing was sent to it yet.
    Connected {
        /// Its connection.
        session: SessionId,
        /// Who it is.
        peer: ConnectedPeer,
        /// Over the network or in this process.
        origin: HarvesterOrigin,
        /// Where to put messages for it.
        outbox: Outbox,
    },
    /// It sent a message.
    Message {
        /// Its connection.
        session: SessionId,
        /// Id of a request, or of the request of ours that it answers (0x8000 and above).
        id: Option<u16>,
        /// The message.
        message: FromHarvester,
        /// Bytes of the frame.
        size: usize,
        /// Drop it when the message is dealt with; until then it counts against what the session may have waiting.
        credit: Credit,
    },
    /// It sent a message number that we do not know or that no harvester sends; nothing else happened.
    Ignored {
        /// Its connection.
        session: SessionId,
        /// The number.
        kind: u8,
    },
    /// Not one byte came for 15 s, although it was pinged.
    Quiet {
        /// Its connection.
        session: SessionId,
        /// For how long already.
        quiet: Duration,
    },
    /// It was heard: after [`SessionEvent::Quiet`], or because it answered [`Outbox::probe`].
    Heard {
        /// Its connection.
        session: SessionId,
    },
    /// The connection has ended; nothing more comes from it, and its outbox takes nothing more.
    Disconnected {
        /// The connection.
        session: SessionId,
        /// Why.
        cause: DisconnectCause,
    },
    /// Somebody was refused before becoming a harvester. Floods are thinned out here; [`super::NetStats::refused`] counts
    /// every one.
    Refused {
        /// From where.
        address: SocketAddr,
        /// Why.
        cause: RefusalCause,
    },
}

/// Makes [`SessionId`]s; one per farmer, shared by everything that opens sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SessionIds(Arc<AtomicU64>);

impl SessionIds {
    /// A number no other session of this farmer has.
    #[must_use]
    pub fn next(&self) -> SessionId {
        SessionId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}
