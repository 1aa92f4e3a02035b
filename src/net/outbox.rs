//! What waits to be sent to one harvester.
//!
//! The core puts messages in without ever waiting; the session takes them out as fast as the harvester reads. Each kind
//! has its rule for "full": a signage point replaces the oldest waiting one, because a late one is worth nothing; a
//! signature request is never dropped, because it may be a block, so too many of them end the connection; the rest is
//! bounded by the credits of what it answers. Signature requests overtake signage points, and both overtake the rest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::ids::SpHash;
use crate::snapshot::DisconnectCause;
use crate::wire::ToHarvester;

/// What a session is to send.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A message.
    Message {
        /// It.
        message: ToHarvester,
        /// Id of a request, or of the request that is answered.
        id: Option<u16>,
    },
    /// A websocket ping.
    Ping,
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
    let handle = Arc::new(Handle(Arc::clone(&shared)));
    (Outbox { handle }, OutboxReader { shared })
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
    /// Queues a message; never waits. If a signage point had to make room for a newer one, the one that will not be sent.
    ///
    /// # Errors
    /// The session has ended, or just ended because too much was waiting.
    pub fn send(&self, message: ToHarvester, id: Option<u16>) -> Result<Option<SpHash>, OutboxClosed> {
        self.handle.0.push(message, id)
    }

    /// Has the harvester pinged at once; [`super::SessionEvent::Heard`] tells when it answers.
    pub fn probe(&self) {
        let shared = &self.handle.0;
        shared.lock().probe = true;
        shared.wake.notify_one();
    }

    /// Ends the session with this cause.
    pub fn close(&self, cause: DisconnectCause) {
        self.handle.0.close(cause);
    }

    /// Counters since the session began.
    #[must_use]
    pub fn stats(&self) -> OutboxStats {
        let shared = &self.handle.0;
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
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close(DisconnectCause::Shutdown);
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

type Queued = (ToHarvester, Option<u16>);

#[derive(Debug, Default)]
struct Queues {
    probe: bool,
    keys: VecDeque<Queued>,
    signatures: VecDeque<Queued>,
    signage_points: VecDeque<Queued>,
    rest: VecDeque<Queued>,
    closed: Option<DisconnectCause>,
}

impl Queues {
    fn len(&self) -> usize {
        self.keys.len() + self.signatures.len() + self.signage_points.len() + self.rest.len()
    }
}

impl Shared {
    fn push(&self, message: ToHarvester, id: Option<u16>) -> Result<Option<SpHash>, OutboxClosed> {
        let mut queues = self.lock();
        if queues.closed.is_some() {
            return Err(OutboxClosed);
        }
        let mut replaced = None;
        let (queue, depth) = match &message {
            ToHarvester::HarvesterHandshake(_) => (&mut queues.keys, REST_DEPTH),
            ToHarvester::RequestSignatures(_) => (&mut queues.signatures, SIGNATURES_DEPTH),
            ToHarvester::NewSignagePoint(_) => {
                let queue = &mut queues.signage_points;
                if queue.len() >= SIGNAGE_POINTS_DEPTH
                    && let Some((ToHarvester::NewSignagePoint(oldest), _)) = queue.pop_front()
                {
                    replaced = Some(oldest.sp_hash);
                    self.dropped_signage_points.fetch_add(1, Ordering::Relaxed);
                }
                (queue, SIGNAGE_POINTS_DEPTH)
            }
            ToHarvester::RequestPlots | ToHarvester::PlotSyncResponse(_) => (&mut queues.rest, REST_DEPTH),
        };
        if queue.len() >= depth {
            drop(queues);
            self.close(DisconnectCause::OutboxFull);
            return Err(OutboxClosed);
        }
        queue.push_back((message, id));
        drop(queues);
        self.wake.notify_one();
        Ok(replaced)
    }

    fn pop(&self) -> Option<Result<Outgoing, DisconnectCause>> {
        let mut queues = self.lock();
        if let Some(cause) = &queues.closed {
            return Some(Err(cause.clone()));
        }
        if std::mem::take(&mut queues.probe) {
            return Some(Ok(Outgoing::Ping));
        }
        let queues = &mut *queues;
        let by_urgency = [
            &mut queues.keys,
            &mut queues.signatures,
            &mut queues.signage_points,
            &mut queues.rest,
        ];
        let (message, id) = by_urgency.into_iter().find_map(VecDeque::pop_front)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Some(Ok(Outgoing::Message { message, id }))
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::testing;
    use super::*;

    fn next(reader: &OutboxReader) -> Option<Result<Outgoing, DisconnectCause>> {
        reader.next().now_or_never()
    }

    fn names(reader: &OutboxReader) -> Vec<String> {
        std::iter::from_fn(|| next(reader))
            .map(|outgoing| match outgoing.unwrap() {
                Outgoing::Ping => "ping".to_owned(),
                Outgoing::Message {
                    message: ToHarvester::NewSignagePoint(sp),
                    ..
                } => format!("sp {}", sp.sp_hash.0[0]),
                Outgoing::Message { message, .. } => message.message_type().name().to_owned(),
            })
            .collect()
    }

    #[tokio::test]
    async fn newest_signage_points_win_and_the_replaced_ones_are_named() {
        let (outbox, reader) = outbox();
        let replaced: Vec<_> = (1..=6)
            .map(|n| outbox.send(testing::signage_point(n), None).unwrap())
            .collect();
        assert_eq!(replaced[..4], [None; 4]);
        assert_eq!(replaced[4..], [Some(SpHash([1; 32])), Some(SpHash([2; 32]))]);
        assert_eq!(outbox.stats().dropped_signage_points, 2);
        assert_eq!(names(&reader), ["sp 3", "sp 4", "sp 5", "sp 6"]);
        assert_eq!((outbox.stats().sent, outbox.stats().waiting), (4, 0));
    }

    #[tokio::test]
    async fn urgent_messages_overtake() {
        let (outbox, reader) = outbox();
        outbox.send(testing::plot_sync_response(1), Some(3)).unwrap();
        outbox.send(testing::signage_point(1), None).unwrap();
        outbox.send(testing::request_signatures(), Some(0x8000)).unwrap();
        outbox.send(testing::keys(), None).unwrap();
        outbox.probe();
        let order = [
            "ping",
            "harvester_handshake",
            "request_signatures",
            "sp 1",
            "plot_sync_response",
        ];
        assert_eq!(names(&reader), order);
    }

    #[tokio::test]
    async fn signature_requests_are_never_dropped_but_end_the_session() {
        let (outbox, reader) = outbox();
        for id in 0..64 {
            outbox.send(testing::request_signatures(), Some(0x8000 + id)).unwrap();
        }
        assert_eq!(
            outbox.send(testing::request_signatures(), Some(0x9000)),
            Err(OutboxClosed)
        );
        assert_eq!(next(&reader), Some(Err(DisconnectCause::OutboxFull)));
        assert_eq!(outbox.send(testing::signage_point(1), None), Err(OutboxClosed));
    }

    #[tokio::test]
    async fn a_waiting_session_is_woken_by_messages_and_by_the_end() {
        let (outbox, reader) = outbox();
        let waiting = tokio::spawn(async move { (reader.next().await, reader.next().await) });
        tokio::task::yield_now().await;
        outbox.send(ToHarvester::RequestPlots, Some(0x8000)).unwrap();
        tokio::task::yield_now().await;
        outbox.close(DisconnectCause::Flood);
        let (first, second) = waiting.await.unwrap();
        assert!(matches!(first, Ok(Outgoing::Message { id: Some(0x8000), .. })));
        assert_eq!(second, Err(DisconnectCause::Flood));
    }

    #[tokio::test]
    async fn a_core_that_is_gone_ends_the_session_and_the_first_cause_stands() {
        let (outbox, reader) = outbox();
        let clone = outbox.clone();
        drop(outbox);
        assert_eq!(next(&reader), None);
        drop(clone);
        assert_eq!(next(&reader), Some(Err(DisconnectCause::Shutdown)));
    }

    #[tokio::test]
    async fn nothing_is_taken_for_a_session_that_has_ended() {
        let (outbox, reader) = outbox();
        drop(reader);
        assert_eq!(outbox.send(ToHarvester::RequestPlots, None), Err(OutboxClosed));
    }
}
