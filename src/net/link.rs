//! One established websocket, either side: frames in, frames out, pings, and a watch that nothing stands still.
//!
//! Three loops run in one task, and the first that ends ends the link: *read* hands every message up and waits until it
//! was taken; *write* sends what is to be sent and pings; *watch* notices silence. A link is dropped when nothing came
//! for too long, or when the peer takes nothing for too long. While we ourselves do not read, because the core is busy,
//! silence is not held against the peer.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message as Frame};
use tokio_util::sync::CancellationToken;

use super::meter::Meter;
use crate::logging::escape;
use crate::snapshot::DisconnectCause;
use crate::tcp;
use crate::wire::Message;

/// When a link counts as dead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Liveness {
    /// Time between our pings.
    pub(super) ping_every: Duration,
    /// Silence after which the peer is suspected.
    pub(super) suspect_after: Duration,
    /// Silence after which the link is dropped.
    pub(super) drop_after: Duration,
    /// How long the peer may take nothing of what we write.
    pub(super) stall_after: Duration,
}

/// What lives above a link.
pub(super) trait Side: Sync {
    /// Waits for the next thing to send; must be cancel safe.
    fn next_to_send(&self) -> impl Future<Output = Result<ToSend, DisconnectCause>> + Send;

    /// Takes a binary frame; nothing more is read until it is done.
    fn handle_frame(&self, frame: Bytes) -> impl Future<Output = Result<(), DisconnectCause>> + Send;

    /// A ping came (already answered).
    fn handle_ping(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// A pong came; how long after our last ping, if it answers that one.
    fn handle_pong(&self, _round_trip: Option<Duration>) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The peer has been silent for this long, or (`None`) was heard again.
    fn handle_suspicion(&self, _silent_for: Option<Duration>) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The next thing to send.
pub(super) enum ToSend {
    /// A message.
    Message(Message),
    /// A ping besides the regular ones.
    Ping,
}

/// What ends a link that is ended by nothing but the end of the program.
pub(super) async fn until(shutdown: &CancellationToken) -> DisconnectCause {
    shutdown.cancelled().await;
    DisconnectCause::Shutdown
}

/// The same, for a link that was dialled from an address of this machine, which it may lose.
pub(super) async fn until_from(shutdown: &CancellationToken, own: Option<SocketAddr>) -> DisconnectCause {
    let Some(own) = own else { return until(shutdown).await };
    tokio::select! {
        cause = until(shutdown) => cause,
        () = tcp::address_gone(own) => DisconnectCause::Lost {
            detail: format!("this machine has the address {} no longer", own.ip().to_canonical()),
        },
    }
}

/// Runs a link until it ends or `over` is ready, and closes it. Says why it ended as soon as that is known, before the goodbye.
pub(super) async fn run<S, P>(
    socket: WebSocketStream<S>,
    side: &P,
    meter: &Meter,
    liveness: Liveness,
    over: impl Future<Output = DisconnectCause>,
    ended: impl AsyncFnOnce(&DisconnectCause),
) -> DisconnectCause
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Side,
{
    let (mut sink, mut stream) = socket.split();
    let pulse = Pulse::new();
    let cause = tokio::select! {
        biased;
        cause = over => cause,
        cause = read(&mut stream, side, meter, &pulse) => cause,
        cause = write(&mut sink, side, meter, &pulse, liveness) => cause,
        cause = watch(side, meter, &pulse, liveness) => cause,
    };
    ended(&cause).await;
    if let Some(goodbye) = goodbye(&cause) {
        close(&mut sink, &mut stream, goodbye).await;
    }
    cause
}

/// Websocket settings: small buffers, since a farmer has many mostly idle links, and limits. The read buffer is filled
/// with zeros at every look whether something has come, so it is no longer than the messages of every signage point.
///
/// `max_read` and `max_write` are the longest messages in bytes. Nothing is written before the last message is gone, so
/// the write buffer holds one message, and the answers to pings of a peer that does not read.
pub(super) fn websocket_config(max_read: usize, max_write: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(max_write + (64 << 10))
        .max_message_size(Some(max_read))
        .max_frame_size(Some(max_read))
}

/// Sends a close frame and waits a moment for the peer's.
pub(super) async fn close<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Frame>,
    stream: &mut SplitStream<WebSocketStream<S>>,
    goodbye: CloseFrame,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        // Refused if the peer closed first; reading on then sends the answer to its goodbye.
        sink.send(Frame::Close(Some(goodbye))).await.ok();
        while let Some(Ok(_)) = stream.next().await {}
    };
    // However it ends, the connection is dropped next.
    timeout(CLOSE_PATIENCE, farewell).await.ok();
}

/// A close frame as the official software writes it: the reason is a decimal error number.
pub(super) fn close_frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}

/// What a websocket error means once the handshake is done.
pub(super) fn cause_of(error: &WsError, meter: &Meter) -> DisconnectCause {
    let violation = |detail: String| DisconnectCause::ProtocolViolation { detail };
    match error {
        _ if meter.is_exceeded() => violation("a frame longer than anybody sends".to_owned()),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            violation(format!("a frame of {size} bytes, at most {max_size} are read"))
        }
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => lost("ended without a goodbye"),
        WsError::Protocol(error) => violation(error.to_string()),
        WsError::Capacity(error) => violation(error.to_string()),
        WsError::Utf8(_) => violation("text that is not UTF-8".to_owned()),
        WsError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => lost("ended without a goodbye"),
        WsError::Io(error) => lost(error),
        other => lost(other),
    }
}

fn lost(detail: &(impl ToString + ?Sized)) -> DisconnectCause {
    DisconnectCause::Lost {
        detail: detail.to_string(),
    }
}

async fn read<S, P>(
    stream: &mut SplitStream<WebSocketStream<S>>,
    side: &P,
    meter: &Meter,
    pulse: &Pulse,
) -> DisconnectCause
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Side,
{
    loop {
        let frame = match stream.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return cause_of(&error, meter),
            None => return DisconnectCause::ClosedByPeer,
        };
        pulse.stop_listening();
        let result = match frame {
            Frame::Binary(bytes) => side.handle_frame(bytes).await,
            Frame::Ping(_) => {
                side.handle_ping().await;
                Ok(())
            }
            Frame::Pong(payload) => {
                side.handle_pong(pulse.handle_pong(&payload)).await;
                Ok(())
            }
            Frame::Text(_) => Err(DisconnectCause::ProtocolViolation {
                detail: "a text frame".to_owned(),
            }),
            Frame::Close(goodbye) => Err(closed_by_peer(goodbye.as_ref())),
            // Never given to readers.
            Frame::Frame(_) => Ok(()),
        };
        if let Err(cause) = result {
            return cause;
        }
        pulse.listen_again();
    }
}

async fn write<S, P>(
    sink: &mut SplitSink<WebSocketStream<S>, Frame>,
    side: &P,
    meter: &Meter,
    pulse: &Pulse,
    liveness: Liveness,
) -> DisconnectCause
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Side,
{
    let mut pings = interval_at(Instant::now() + liveness.ping_every, liveness.ping_every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let frame = tokio::select! {
            biased;
            _ = pings.tick() => Frame::Ping(pulse.next_ping()),
            next = side.next_to_send() => match next {
                Ok(ToSend::Message(message)) => Frame::Binary(message.to_bytes().into()),
                Ok(ToSend::Ping) => Frame::Ping(pulse.next_ping()),
                Err(cause) => return cause,
            },
        };
        if let Err(cause) = send(sink, frame, meter, liveness.stall_after).await {
            return cause;
        }
    }
}

/// Sends one frame, for as long as the peer keeps taking bytes.
async fn send<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Frame>,
    frame: Frame,
    meter: &Meter,
    stall_after: Duration,
) -> Result<(), DisconnectCause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let started = Instant::now();
    let sending = sink.send(frame);
    tokio::pin!(sending);
    loop {
        let deadline = started.max(meter.last_written()) + stall_after;
        tokio::select! {
            biased;
            result = &mut sending => return result.map_err(|error| cause_of(&error, meter)),
            () = sleep_until(deadline) => {
                if started.max(meter.last_written()) + stall_after <= Instant::now() {
                    return Err(DisconnectCause::SlowReader);
                }
            }
        }
    }
}

/// Ends when the peer was silent for too long.
async fn watch<P: Side>(side: &P, meter: &Meter, pulse: &Pulse, liveness: Liveness) -> DisconnectCause {
    let mut suspected = false;
    let mut drop_at_next_look = false;
    loop {
        let now = Instant::now();
        let heard = pulse.last_heard(meter, now);
        let silent_for = now.saturating_duration_since(heard);
        if silent_for + LOOK_AGAIN < liveness.drop_after {
            drop_at_next_look = false;
        } else if drop_at_next_look {
            return DisconnectCause::Silent;
        } else {
            // Once more, after the reader had its turn: if this process itself was suspended, the peer's bytes wait.
            drop_at_next_look = true;
        }
        let suspect = silent_for >= liveness.suspect_after;
        if suspect != suspected {
            suspected = suspect;
            side.handle_suspicion(suspect.then_some(silent_for)).await;
        }
        if suspected || drop_at_next_look {
            sleep(LOOK_AGAIN).await;
        } else {
            sleep_until(
                heard
                    + liveness
                        .suspect_after
                        .min(liveness.drop_after.saturating_sub(LOOK_AGAIN)),
            )
            .await;
        }
    }
}

/// Signs of life that the byte counter alone does not show.
struct Pulse {
    origin: Instant,
    /// When we began to listen again, in µs since `origin`; `u64::MAX` while we do not listen.
    listening_since_us: AtomicU64,
    ping: Mutex<Option<(u64, Instant)>>,
    pings: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            listening_since_us: AtomicU64::new(0),
            ping: Mutex::new(None),
            pings: AtomicU64::new(0),
        }
    }

    fn stop_listening(&self) {
        self.listening_since_us.store(u64::MAX, Ordering::Relaxed);
    }

    fn listen_again(&self) {
        let us = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.listening_since_us.store(us, Ordering::Relaxed);
    }

    fn last_heard(&self, meter: &Meter, now: Instant) -> Instant {
        match self.listening_since_us.load(Ordering::Relaxed) {
            u64::MAX => now,
            us => meter.last_read().max(self.origin + Duration::from_micros(us)),
        }
    }

    fn next_ping(&self) -> Bytes {
        let number = self.pings.fetch_add(1, Ordering::Relaxed);
        *self.ping.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, Instant::now()));
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    fn handle_pong(&self, payload: &[u8]) -> Option<Duration> {
        let mut ping = self.ping.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, sent) = ping.take_if(|(number, _)| payload == number.to_be_bytes())?;
        Some(sent.elapsed())
    }
}

/// A goodbye that means trouble is told as such: it says that our side sent something wrong.
pub(super) fn closed_by_peer(goodbye: Option<&CloseFrame>) -> DisconnectCause {
    match goodbye {
        Some(CloseFrame { code, reason })
            if !matches!(code, CloseCode::Normal | CloseCode::Away | CloseCode::Status) =>
        {
            let what = match (code, reason.as_str()) {
                (CloseCode::Policy, _) => "it does not want this connection",
                (_, UNKNOWN) => "it could not do with what we sent",
                (_, INVALID_PROTOCOL_MESSAGE) => "it could not read what we sent",
                (_, INVALID_HANDSHAKE) => "it did not take our handshake",
                (_, INCOMPATIBLE_NETWORK_ID) => "it is on another network",
                _ => "it closed the connection",
            };
            let code = format!("code {} {}", u16::from(*code), escape(reason));
            lost(&format!("{what} ({})", code.trim_end()))
        }
        _ => DisconnectCause::ClosedByPeer,
    }
}

/// What to say before hanging up; nothing to a peer that does not listen.
fn goodbye(cause: &DisconnectCause) -> Option<CloseFrame> {
    Some(match cause {
        // A harvester that is replaced is closed as the official farmer does it.
        DisconnectCause::ClosedByPeer | DisconnectCause::Replaced => close_frame(CloseCode::Normal, ""),
        DisconnectCause::Shutdown => close_frame(CloseCode::Away, ""),
        DisconnectCause::Malformed { .. } => close_frame(CloseCode::Protocol, INVALID_PROTOCOL_MESSAGE),
        DisconnectCause::ProtocolViolation { .. } => close_frame(CloseCode::Protocol, UNKNOWN),
        DisconnectCause::Flood | DisconnectCause::OutboxFull | DisconnectCause::Revoked => {
            close_frame(CloseCode::Policy, UNKNOWN)
        }
        DisconnectCause::Silent | DisconnectCause::SlowReader | DisconnectCause::Lost { .. } => return None,
    })
}

/// Error numbers of the official software, as close reasons.
pub(super) const UNKNOWN: &str = "1";
/// A message that cannot be read.
pub(super) const INVALID_PROTOCOL_MESSAGE: &str = "-4";
/// A first message that is no handshake.
pub(super) const INVALID_HANDSHAKE: &str = "-6";
/// The network ids differ.
pub(super) const INCOMPATIBLE_NETWORK_ID: &str = "110";

/// How long we wait for the answer to our goodbye.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// How often a silent peer is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
