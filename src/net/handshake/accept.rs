//! The listening farmer's part of a handshake: who is a harvester of this farm, and why not.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::super::link::{INCOMPATIBLE_NETWORK_ID, INVALID_HANDSHAKE, UNKNOWN, close, close_frame, websocket_config};
use super::super::meter::Meter;
use super::greeting::{Greeting, NETWORK_HEADER, greeting_of, handshake, read_handshake, shown};
use crate::logging::escape;
use crate::snapshot::RefusalCause;
use crate::wire::{Handshake, NodeType, ProtocolVersion, limits};

/// The listening farmer's part: upgrades, reads the harvester's handshake, checks and answers it. A peer that is refused
/// after the upgrade is told with the close code and reason of the official software, so that its log shows it.
///
/// # Errors
/// Why it is no harvester of this farm. Deadlines are the caller's.
pub(in super::super) async fn accept<S>(
    stream: S,
    network_id: &str,
    server_port: u16,
    meter: &Meter,
) -> Result<(WebSocketStream<S>, Greeting), RefusalCause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = websocket_config(limits::MAX_PLOT_LIST_FRAME, MAX_FROM_FARMER);
    #[expect(clippy::result_large_err, reason = "the callback type of the websocket library")]
    let answer = |request: &Request, response| answer_upgrade(request, response, network_id);
    let mut socket = accept_hdr_async_with_config(stream, answer, Some(config))
        .await
        .map_err(|error| refusal(&error, meter))?;
    let judged = match first_message(&mut socket, meter).await? {
        Some(message) => judge(&message, network_id),
        None => Err((INVALID_HANDSHAKE, bad_handshake("the first message is not binary"))),
    };
    match judged {
        Ok((greeting, answer_version)) => {
            let answer = handshake(network_id, answer_version, server_port, NodeType::Farmer);
            socket
                .send(Frame::Binary(answer.to_bytes().into()))
                .await
                .map_err(|error| refusal(&error, meter))?;
            Ok((socket, greeting))
        }
        Err((reason, cause)) => {
            let (mut sink, mut stream) = socket.split();
            close(&mut sink, &mut stream, close_frame(CloseCode::Protocol, reason)).await;
            Err(cause)
        }
    }
}

/// The upgrade request must ask for `/ws`. The answer names our network: whoever is on another one can say so, and a
/// doctor learns it without shaking hands.
#[expect(clippy::result_large_err, reason = "the callback type of the websocket library")]
fn answer_upgrade(request: &Request, mut response: Response, network_id: &str) -> Result<Response, ErrorResponse> {
    if request.uri().path() == "/ws" {
        if let Ok(network) = HeaderValue::from_str(network_id) {
            response.headers_mut().insert(NETWORK_HEADER, network);
        }
        return Ok(response);
    }
    let mut not_found = ErrorResponse::new(None);
    *not_found.status_mut() = StatusCode::NOT_FOUND;
    Err(not_found)
}

/// The first data message; `None` if it is text.
async fn first_message<S>(socket: &mut WebSocketStream<S>, meter: &Meter) -> Result<Option<Vec<u8>>, RefusalCause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Frame::Binary(bytes))) => return Ok(Some(bytes.to_vec())),
            Some(Ok(Frame::Text(_))) => return Ok(None),
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Ok(Frame::Close(_))) | None => return Err(RefusalCause::ClosedEarly),
            Some(Err(error)) => return Err(refusal(&error, meter)),
        }
    }
}

/// Is this the handshake of a harvester of our network? Also the protocol version to answer with; or the close reason.
fn judge(frame: &[u8], network_id: &str) -> Result<(Greeting, ProtocolVersion), (&'static str, RefusalCause)> {
    let hello = read_handshake(frame).map_err(|detail| (INVALID_HANDSHAKE, RefusalCause::BadHandshake { detail }))?;
    if hello.network_id != network_id {
        let cause = RefusalCause::WrongNetwork {
            got: shown(&hello.network_id),
            expected: network_id.to_owned(),
        };
        return Err((INCOMPATIBLE_NETWORK_ID, cause));
    }
    if hello.software_version.len() > Handshake::MAX_SOFTWARE_VERSION {
        let bytes = hello.software_version.len();
        let detail = format!("its software version has {bytes} bytes, at most 128 are read");
        return Err((INVALID_HANDSHAKE, RefusalCause::BadHandshake { detail }));
    }
    if hello.role() != Some(NodeType::Harvester) {
        return Err((UNKNOWN, RefusalCause::WrongNodeType { got: hello.node_type }));
    }
    let (greeting, version) = greeting_of(&hello).map_err(|detail| (UNKNOWN, RefusalCause::BadHandshake { detail }))?;
    Ok((greeting, version.min(ProtocolVersion::CURRENT)))
}

/// What a websocket error means before the handshake is done.
fn refusal(error: &WsError, meter: &Meter) -> RefusalCause {
    let not_websocket = |detail: String| RefusalCause::NotWebSocket { detail };
    match error {
        _ if meter.is_exceeded() => RefusalCause::TooManyBytes,
        WsError::Io(_)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::HandshakeIncomplete | ProtocolError::ResetWithoutClosingHandshake) => {
            RefusalCause::ClosedEarly
        }
        WsError::Http(_) => not_websocket("it asked for another path".to_owned()),
        other => not_websocket(escape(&other.to_string()).into_owned()),
    }
}

fn bad_handshake(detail: &str) -> RefusalCause {
    RefusalCause::BadHandshake {
        detail: detail.to_owned(),
    }
}

/// The longest message a farmer sends: keys, and those are few.
const MAX_FROM_FARMER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::super::super::meter::Metered;
    use super::super::super::testing::{Farm, NETWORK, Peer, hello};
    use super::super::SOFTWARE_VERSION;
    use super::*;
    use crate::wire::{HarvesterLayout, Message, MessageType, Streamable as _};

    /// Says `hello`; how the farmer refuses it and what its close frame says.
    async fn refused(hello: &Handshake) -> (RefusalCause, (u16, String)) {
        refused_frame(Frame::Binary(
            Message::new(MessageType::Handshake, None, hello).to_bytes().into(),
        ))
        .await
    }

    async fn refused_frame(frame: Frame) -> (RefusalCause, (u16, String)) {
        let mut farm = Farm::new();
        let mut peer = Peer::upgrade(farm.open(1 << 16)).await;
        peer.send_frame(frame).await;
        let goodbye = peer.goodbye().await.expect("no close frame");
        (farm.refused().await, goodbye)
    }

    fn code(reason: &str) -> (u16, String) {
        (1002, reason.to_owned())
    }

    fn detail(cause: RefusalCause) -> String {
        match cause {
            RefusalCause::BadHandshake { detail } | RefusalCause::NotWebSocket { detail } => detail,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_release_is_answered_in_its_own_version() {
        let releases = [
            ("2.5.4", "0.0.36", "0.0.36", HarvesterLayout::V36),
            ("2.6.0", "0.0.37", "0.0.37", HarvesterLayout::V37),
            ("2.7.5", "0.0.38", "0.0.38", HarvesterLayout::V38),
            ("3.0.0", "0.0.39", "0.0.38", HarvesterLayout::V38),
            ("9.9.9", "9.9.9", "0.0.38", HarvesterLayout::V38),
        ];
        for (software_version, theirs, answer, layout) in releases {
            let hello = Handshake {
                protocol_version: theirs.to_owned(),
                software_version: software_version.to_owned(),
                ..hello()
            };
            let (ours, far) = duplex(1 << 16);
            let (ours, meter) = Metered::new(ours, 1 << 16);
            let accepting = tokio::spawn(async move { accept(ours, NETWORK, 8447, &meter).await });
            let mut peer = Peer::upgrade(far).await;
            peer.send(Message::new(MessageType::Handshake, None, &hello)).await;
            let reply = Handshake::from_bytes(&peer.message().await.data).unwrap();
            let (_, greeting) = accepting.await.unwrap().unwrap();

            assert_eq!(reply.protocol_version, answer);
            assert_eq!(
                (reply.network_id.as_str(), reply.node_type, reply.server_port),
                (NETWORK, 3, 8447)
            );
            assert_eq!(
                reply.capabilities.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
                [1, 2, 3]
            );
            assert_eq!(reply.software_version, SOFTWARE_VERSION);
            assert_eq!(greeting.layout, layout);
            assert_eq!(greeting.protocol_version, theirs);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_network_is_refused_with_the_reason_its_log_shows() {
        let evil = Handshake {
            network_id: "main\u{1b}[2Jnet".to_owned(),
            ..hello()
        };
        let cause = RefusalCause::WrongNetwork {
            got: "main[2Jnet".to_owned(),
            expected: NETWORK.to_owned(),
        };
        assert_eq!(refused(&evil).await, (cause, code("110")));
    }

    #[tokio::test(start_paused = true)]
    async fn only_harvesters_are_let_in() {
        for got in [1, 3, 6, 8, 0, 99] {
            let cause = RefusalCause::WrongNodeType { got };
            assert_eq!(
                refused(&Handshake {
                    node_type: got,
                    ..hello()
                })
                .await,
                (cause, code("1"))
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_none_is_refused() {
        let (cause, goodbye) = refused(&Handshake {
            protocol_version: "newest".to_owned(),
            ..hello()
        })
        .await;
        assert_eq!((detail(cause).contains("newest"), goodbye), (true, code("1")));
    }

    #[tokio::test(start_paused = true)]
    async fn software_version_has_at_most_128_bytes_and_no_control_characters() {
        let named = |software_version: String| Handshake {
            software_version,
            ..hello()
        };
        let (cause, goodbye) = refused(&named("x".repeat(129))).await;
        assert_eq!((detail(cause).contains("129"), goodbye), (true, code("-6")));

        let mut farm = Farm::new();
        let (_peer, connected) = farm
            .connect_with(1 << 16, &named("2.7.5\r\n\u{1b}[31m\u{202e}".to_owned()))
            .await;
        assert_eq!(connected.peer.software_version, "2.7.5[31m");
        let (_peer, connected) = farm.connect_with(1 << 16, &named("x".repeat(128))).await;
        assert_eq!(connected.peer.software_version.len(), 128);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_handshake_is_refused() {
        let frames = [
            Frame::Binary(vec![0xff; 40].into()),
            Frame::Binary(vec![].into()),
            Frame::Binary(
                Message {
                    kind: 12,
                    id: None,
                    data: vec![],
                }
                .to_bytes()
                .into(),
            ),
            Frame::Binary(
                Message {
                    kind: 1,
                    id: None,
                    data: vec![0; 11_000],
                }
                .to_bytes()
                .into(),
            ),
            Frame::Text("hello".into()),
        ];
        for frame in frames {
            let (cause, goodbye) = refused_frame(frame).await;
            detail(cause);
            assert_eq!(goodbye, code("-6"));
        }
    }

    /// Sends raw bytes instead of an upgrade; the refusal and the answer.
    async fn refused_bytes(bytes: &[u8]) -> (RefusalCause, String) {
        let mut farm = Farm::new();
        let mut stream = farm.open(1 << 20);
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        let cause = farm.refused().await;
        stream.read_to_string(&mut answer).await.ok();
        (cause, answer)
    }

    const UPGRADE: &str = "Host: farmer\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[tokio::test(start_paused = true)]
    async fn other_paths_are_not_found() {
        let (cause, answer) = refused_bytes(format!("GET /rpc HTTP/1.1\r\n{UPGRADE}").as_bytes()).await;
        assert!(detail(cause).contains("path"));
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_upgrade_is_refused() {
        for bytes in [
            &b"GET /ws HTTP/1.1\r\nHost: farmer\r\n\r\n"[..],
            b"POST /ws HTTP/1.1\r\n\r\n",
            &[0xfe; 200],
        ] {
            detail(refused_bytes(bytes).await.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endless_headers_are_cut_off() {
        let endless = format!("GET /ws HTTP/1.1\r\nX: {}", "x".repeat(70_000));
        let (cause, _) = refused_bytes(endless.as_bytes()).await;
        assert_eq!(cause, RefusalCause::TooManyBytes);
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_up_early_is_named() {
        let mut farm = Farm::new();
        drop(farm.open(1 << 16));
        assert_eq!(farm.refused().await, RefusalCause::ClosedEarly);
        drop(Peer::upgrade(farm.open(1 << 16)).await);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert_eq!(farm.refused().await, RefusalCause::ClosedEarly);
    }
}
