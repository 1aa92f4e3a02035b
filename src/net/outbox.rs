//! What waits to be sent to one harvester.
//!
//! The core puts messages in without ever waiting; the session takes them out as fast as the harvester reads. Each kind
//! has its rule for "full": a signage point replaces the oldest waiting one, because a late one is worth nothing; a
//! signature request is never dropped, because it may be a block, so too many of them end the connection; the rest is
//! bounded by the credits of what it answers. Signature requests overtake signage points, and both overtake the rest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::snapshot::DisconnectCause;
use crate::wire::ToHarvester;

/// A message on its way to a harvester.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// The message.
    pub message: ToHarvester,
    /// Id of a request, or of the request that is answered.
    pub id: Option<u16>,
}

/// The core's end: sends to one session. Cheap to clone; when the last clone is dropped, the session ends.
#[derive(Clone, Debug)]
pub struct Outbox {
    handle: Arc<Handle>,
}

/// The session's end (or the embedded harvester's).
#[derive(Debug)]
pub struct OutboxReader {
    shared: Arc<Shared>,
}

/// Makes the two ends of an outbox.
#[must_use]
pub fn outbox() -> (Outbox, OutboxReader) {
    let shared = Arc::new(Shared::default());
    let handle = Handle {
        shared: Arc::clone(&shared),
        next_id: AtomicU16::new(0),
    };
    (
        Outbox {
            handle: Arc::new(handle),
        },
        OutboxReader { shared },
    )
}

/// The session has ended; nothing was sent. Its [`super::SessionEvent::Disconnected`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("send to a harvester whose connection has ended")]
pub struct OutboxClosed;

/// What became of the messages of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Waiting now.
    pub waiting: usize,
    /// Taken by the session since it began.
    pub sent: u64,
    /// Signage points replaced by newer ones before the harvester took them.
    pub dropped_signage_points: u64,
    /// Last measured time from ping to pong.
    pub round_trip: Option<Duration>,
}

impl Outbox {
    /// Queues a message that needs no answer, or that is an answer (`id` repeats the request's).
    ///
    /// # Errors
    /// The session has ended, or just ended because too much was waiting.
    pub fn send(&self, message: ToHarvester, id: Option<u16>) -> Result<(), OutboxClosed> {
        self.handle.shared.push(Outgoing { message, id })
    }

    /// Queues a request; its id, which the answer will carry. Ids are unique among the last 32,768 requests of a session
    /// and lie in the half that belongs to the listening side, 0x8000 to 0xffff.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn request(&self, message: ToHarvester) -> Result<u16, OutboxClosed> {
        let id = LISTENER_IDS | self.handle.next_id.fetch_add(1, Ordering::Relaxed);
        self.send(message, Some(id)).map(|()| id)
    }

    /// Ends the session with this cause.
    pub fn close(&self, cause: DisconnectCause) {
        self.handle.shared.close(cause);
    }

    /// Counters since the session began.
    #[must_use]
    pub fn stats(&self) -> OutboxStats {
        let shared = &self.handle.shared;
        let round_trip = shared.round_trip_us.load(Ordering::Relaxed);
        OutboxStats {
            waiting: shared.lock().len(),
            sent: shared.sent.load(Ordering::Relaxed),
            dropped_signage_points: shared.dropped_signage_points.load(Ordering::Relaxed),
            round_trip: (round_trip > 0).then(|| Duration::from_micros(round_trip)),
        }
    }
}

impl OutboxReader {
    /// Waits for the next message to send. Cancel safe: a message is taken only when it is returned.
    ///
    /// # Errors
    /// The core ended the session, or too much was waiting.
    pub async fn next(&self) -> Result<Outgoing, DisconnectCause> {
        loop {
            if let Some(result) = self.shared.pop() {
                return result;
            }
            self.shared.wake.notified().await;
        }
    }

    /// Notes how long the harvester took to answer a ping.
    pub(super) fn note_round_trip(&self, round_trip: Duration) {
        let us = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1);
        self.shared.round_trip_us.store(us, Ordering::Relaxed);
    }
}

impl Drop for OutboxReader {
    fn drop(&mut self) {
        self.shared.close(DisconnectCause::Shutdown);
    }
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    next_id: AtomicU16,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(DisconnectCause::Shutdown);
    }
}

#[derive(Debug, Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Notify,
    sent: AtomicU64,
    dropped_signage_points: AtomicU64,
    round_trip_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Queues {
    keys: VecDeque<Outgoing>,
    signatures: VecDeque<Outgoing>,
    signage_points: VecDeque<Outgoing>,
    rest: VecDeque<Outgoing>,
    closed: Option<DisconnectCause>,
}

impl Queues {
    fn len(&self) -> usize {
        self.keys.len() + self.signatures.len() + self.signage_points.len() + self.rest.len()
    }
}

impl Shared {
    fn push(&self, outgoing: Outgoing) -> Result<(), OutboxClosed> {
        let mut queues = self.lock();
        if queues.closed.is_some() {
            return Err(OutboxClosed);
        }
        let (queue, depth) = match &outgoing.message {
            ToHarvester::HarvesterHandshake(_) => (&mut queues.keys, REST_DEPTH),
            ToHarvester::RequestSignatures(_) => (&mut queues.signatures, SIGNATURES_DEPTH),
            ToHarvester::NewSignagePoint(_) => {
                if queues.signage_points.len() >= SIGNAGE_POINTS_DEPTH {
                    queues.signage_points.pop_front();
                    self.dropped_signage_points.fetch_add(1, Ordering::Relaxed);
                }
                (&mut queues.signage_points, SIGNAGE_POINTS_DEPTH)
            }
            ToHarvester::RequestPlots | ToHarvester::PlotSyncResponse(_) => (&mut queues.rest, REST_DEPTH),
        };
        if queue.len() >= depth {
            drop(queues);
            self.close(DisconnectCause::OutboxFull);
            return Err(OutboxClosed);
        }
        queue.push_back(outgoing);
        drop(queues);
        self.wake.notify_one();
        Ok(())
    }

    fn pop(&self) -> Option<Result<Outgoing, DisconnectCause>> {
        let mut queues = self.lock();
        if let Some(cause) = &queues.closed {
            return Some(Err(cause.clone()));
        }
        let queues = &mut *queues;
        let next = [
            &mut queues.keys,
            &mut queues.signatures,
            &mut queues.signage_points,
            &mut queues.rest,
        ]
        .into_iter()
        .find_map(VecDeque::pop_front)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Some(Ok(next))
    }

    /// The first cause stands.
    fn close(&self, cause: DisconnectCause) {
        let mut queues = self.lock();
        if queues.closed.is_none() {
            *queues = Queues {
                closed: Some(cause),
                ..Queues::default()
            };
        }
        drop(queues);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A signage point is answered within seconds or not at all: four are more than half a minute's worth.
const SIGNAGE_POINTS_DEPTH: usize = 4;

/// A harvester that has not taken this many requests is not signing any of them in time.
const SIGNATURES_DEPTH: usize = 64;

/// Answers to plot sync are bounded by credits (64), so more than this never wait.
const REST_DEPTH: usize = 128;

/// The listening side's half of the request ids.
const LISTENER_IDS: u16 = 0x8000;
