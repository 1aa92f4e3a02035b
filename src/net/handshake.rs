//! The first words of a link, both sides: websocket upgrade on `/ws`, then one chia `Handshake` each, dialer first.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

use super::link::{
    INCOMPATIBLE_NETWORK_ID, INVALID_HANDSHAKE, UNKNOWN, close, close_frame, closed_by_peer, websocket_config,
};
use super::meter::Meter;
use crate::logging::{escape, strip_invisible};
use crate::snapshot::{DisconnectCause, RefusalCause};
use crate::wire::{
    Capability, Handshake, HarvesterLayout, Message, MessageType, NodeType, ProtocolVersion, Streamable as _, limits,
};

/// What a peer said of itself, checked and safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) software_version: String,
    pub(super) protocol_version: String,
    /// Layout of the messages it reads.
    pub(super) layout: HarvesterLayout,
}

/// How we call ourselves in a handshake. Official software shows the peer's name and reads nothing from it.
pub const SOFTWARE_VERSION: &str = concat!("farmconsole-", env!("CARGO_PKG_VERSION"));

/// The listening farmer's part: upgrades, reads the harvester's handshake, checks and answers it. A peer that is refused
/// after the upgrade is told with the close code and reason of the official software, so that its log shows it.
///
/// # Errors
/// Why it is no harvester of this farm. Deadlines are the caller's.
pub(super) async fn accept<S>(
    stream: S,
    network_id: &str,
    server_port: u16,
    meter: &Meter,
) -> Result<(WebSocketStream<S>, Greeting), RefusalCause>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = websocket_config(limits::MAX_PLOT_LIST_FRAME, MAX_FROM_FARMER);
    let mut socket = accept_hdr_async_with_config(stream, check_path, Some(config))
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

/// Why a farmer could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It refused the websocket upgrade.
    #[error("open a websocket at the farmer: {detail}")]
    NotWebSocket {
        /// What came.
        detail: String,
    },
    /// It ended the connection instead of answering our handshake.
    #[error("shake hands with the farmer: {cause}")]
    Refused {
        /// How it ended.
        cause: DisconnectCause,
    },
    /// It farms another network.
    #[error("shake hands with the farmer: it is on network {got}, this harvester is on {expected}")]
    WrongNetwork {
        /// Its network id, made safe to show.
        got: String,
        /// Ours.
        expected: String,
    },
    /// It is no farmer.
    #[error("shake hands with the farmer: it is no farmer (node type {got})")]
    WrongNodeType {
        /// Its node type number.
        got: u8,
    },
    /// Its answer cannot be read.
    #[error("shake hands with the farmer: {detail}")]
    BadHandshake {
        /// What is wrong.
        detail: String,
    },
}

/// The dialling harvester's part. `host` is for the HTTP header only.
///
/// # Errors
/// Why there is no farmer of ours. Deadlines are the caller's.
pub(super) async fn connect<S>(
    stream: S,
    host: &str,
    network_id: &str,
    protocol_version: ProtocolVersion,
    meter: &Meter,
) -> Result<(WebSocketStream<S>, Greeting), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let not_websocket = |error: WsError| ConnectError::NotWebSocket {
        detail: error.to_string(),
    };
    let request = format!("wss://{host}/ws")
        .into_client_request()
        .map_err(not_websocket)?;
    let config = websocket_config(limits::MAX_FRAME, limits::MAX_PLOT_LIST_FRAME);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(not_websocket)?;
    let hello = handshake(network_id, protocol_version, 0, NodeType::Harvester);
    let refused = |cause| ConnectError::Refused { cause };
    let lost = |error: WsError| refused(super::link::cause_of(&error, meter));
    socket
        .send(Frame::Binary(hello.to_bytes().into()))
        .await
        .map_err(lost)?;
    let answer = loop {
        match socket.next().await {
            Some(Ok(Frame::Binary(bytes))) => break bytes,
            Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
            Some(Ok(Frame::Close(goodbye))) => return Err(refused(closed_by_peer(goodbye.as_ref()))),
            Some(Ok(Frame::Text(_))) => {
                let detail = "its answer is not binary".to_owned();
                return Err(ConnectError::BadHandshake { detail });
            }
            Some(Err(error)) => return Err(lost(error)),
            None => return Err(refused(DisconnectCause::ClosedByPeer)),
        }
    };
    let hello = read_handshake(&answer).map_err(|detail| ConnectError::BadHandshake { detail })?;
    if hello.network_id != network_id {
        let got = shown(&hello.network_id);
        let expected = network_id.to_owned();
        return Err(ConnectError::WrongNetwork { got, expected });
    }
    if hello.role() != Some(NodeType::Farmer) {
        return Err(ConnectError::WrongNodeType { got: hello.node_type });
    }
    let (greeting, _) = greeting_of(&hello).map_err(|detail| ConnectError::BadHandshake { detail })?;
    Ok((socket, greeting))
}

/// The upgrade request must ask for `/ws`.
#[expect(clippy::result_large_err, reason = "the callback type of the websocket library")]
fn check_path(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == "/ws" {
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

fn read_handshake(frame: &[u8]) -> Result<Handshake, String> {
    let message = Message::parse(frame).map_err(|error| error.to_string())?;
    if message.message_type() != Some(MessageType::Handshake) {
        return Err(format!("the first message is no handshake but number {}", message.kind));
    }
    Handshake::from_bytes(&message.data).map_err(|error| error.to_string())
}

fn greeting_of(hello: &Handshake) -> Result<(Greeting, ProtocolVersion), String> {
    let version = hello.version().map_err(|_| {
        let got = shown(&hello.protocol_version);
        format!("its protocol version is no version: {got:?}")
    })?;
    let greeting = Greeting {
        software_version: strip_invisible(&hello.software_version),
        protocol_version: shown(&hello.protocol_version),
        layout: HarvesterLayout::for_version(&version),
    };
    Ok((greeting, version))
}

/// Our own handshake. A harvester is answered with its own protocol version (at most the newest we know): official
/// ones warn about any other, and 2.7.5 ones choose the layout of their plot lists by it.
fn handshake(network_id: &str, version: ProtocolVersion, server_port: u16, role: NodeType) -> Message {
    let on = |capability: Capability| (capability as u16, "1".to_owned());
    let hello = Handshake {
        network_id: network_id.to_owned(),
        protocol_version: version.to_string(),
        software_version: SOFTWARE_VERSION.to_owned(),
        server_port,
        node_type: role.as_u8(),
        capabilities: vec![
            on(Capability::Base),
            on(Capability::BlockHeaders),
            on(Capability::RateLimitsV2),
        ],
    };
    Message::new(MessageType::Handshake, None, &hello)
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

/// Foreign text, safe and short.
fn shown(text: &str) -> String {
    strip_invisible(text).chars().take(64).collect()
}

/// The longest message a farmer sends: keys, and those are few.
const MAX_FROM_FARMER: usize = 1 << 20;
