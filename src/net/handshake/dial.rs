//! The dialler's part of a handshake: what answers there, and why it cannot be talked to.

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error as WsError, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::super::link::{self, INCOMPATIBLE_NETWORK_ID, closed_by_peer, websocket_config};
use super::super::meter::Meter;
use super::greeting::{Greeting, NETWORK_HEADER, greeting_of, handshake, read_handshake, shown};
use crate::snapshot::DisconnectCause;
use crate::wire::{NodeType, ProtocolVersion, limits};

/// Who dials whom, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Introduction<'a> {
    /// Host and port of the peer, for the HTTP header.
    pub(in super::super) host: &'a str,
    pub(in super::super) network_id: &'a str,
    pub(in super::super) protocol_version: ProtocolVersion,
    /// Port on which the dialer itself can be dialled; 0 if it cannot.
    pub(in super::super) server_port: u16,
    /// What dials.
    pub(in super::super) role: NodeType,
    /// What must answer.
    pub(in super::super) wanted: NodeType,
}

/// Why a peer that was dialled could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// It refused the websocket upgrade.
    #[error("open a websocket: {detail}")]
    NotWebSocket {
        /// What came.
        detail: String,
    },
    /// It ended the connection instead of answering our handshake.
    #[error("shake hands: {cause}")]
    Refused {
        /// How it ended.
        cause: DisconnectCause,
    },
    /// It is on another network.
    #[error("shake hands: it is on network {got}, we are on {expected}")]
    WrongNetwork {
        /// Its network id, made safe to show.
        got: String,
        /// Ours.
        expected: String,
    },
    /// It is something else than what was to be dialled.
    #[error("shake hands: it is no {expected} (node type {got})")]
    WrongNodeType {
        /// Its node type number.
        got: u8,
        /// What it should be.
        expected: &'static str,
    },
    /// It did not answer in time.
    #[error("shake hands: no answer in time")]
    TimedOut,
    /// Its answer cannot be read.
    #[error("shake hands: {detail}")]
    BadHandshake {
        /// What is wrong.
        detail: String,
    },
}

impl ConnectError {
    /// Whether the peer does not accept our certificate. In TLS 1.3 it judges it only after we think that we are
    /// connected, so this looks like a lost connection.
    #[must_use]
    pub fn says_bad_certificate(&self) -> bool {
        self.detail().is_some_and(|detail| detail.contains(TLS_ALERT))
    }

    /// Whether the peer is on another network, which it says by number.
    #[must_use]
    pub fn says_other_network(&self) -> bool {
        let code = format!("(code 1002 {INCOMPATIBLE_NETWORK_ID})");
        self.detail().is_some_and(|detail| detail.ends_with(&code))
    }

    /// Whether the peer refuses our address for a while.
    #[must_use]
    pub fn says_banned(&self) -> bool {
        matches!(self, Self::NotWebSocket { detail } if detail.contains("403"))
    }

    fn detail(&self) -> Option<&str> {
        match self {
            Self::NotWebSocket { detail }
            | Self::Refused {
                cause: DisconnectCause::Lost { detail },
            } => Some(detail),
            _ => None,
        }
    }
}

/// The dialler's part: a harvester's at its farmer, a farmer's at its full node.
///
/// # Errors
/// Why there is no peer of ours. Deadlines are the caller's.
pub(in super::super) async fn connect<S>(
    stream: S,
    introduction: &Introduction<'_>,
    meter: &Meter,
) -> Result<(WebSocketStream<S>, Greeting), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let network_id = introduction.network_id;
    let (mut socket, said) = upgrade(stream, introduction.host).await?;
    let hello = handshake(
        network_id,
        introduction.protocol_version,
        introduction.server_port,
        introduction.role,
    );
    let refused = |cause| match (ConnectError::Refused { cause }, &said) {
        (error, Some(got)) if error.says_other_network() => ConnectError::WrongNetwork {
            got: got.clone(),
            expected: network_id.to_owned(),
        },
        (error, _) => error,
    };
    let lost = |error: WsError| refused(link::cause_of(&error, meter));
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
    if hello.role() != Some(introduction.wanted) {
        let expected = name_of(introduction.wanted);
        return Err(ConnectError::WrongNodeType {
            got: hello.node_type,
            expected,
        });
    }
    let (greeting, _) = greeting_of(&hello).map_err(|detail| ConnectError::BadHandshake { detail })?;
    Ok((socket, greeting))
}

/// Opens a websocket on `/ws` and goes no further. The network that the other side names in its answer, if it does.
///
/// # Errors
/// [`ConnectError::NotWebSocket`].
pub(in super::super) async fn upgrade<S>(
    stream: S,
    host: &str,
) -> Result<(WebSocketStream<S>, Option<String>), ConnectError>
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
    let (socket, response) = client_async_with_config(request, stream, Some(config))
        .await
        .map_err(not_websocket)?;
    let network = response.headers().get(NETWORK_HEADER);
    Ok((socket, network.and_then(|it| it.to_str().ok()).map(shown)))
}

/// What a sentence calls a kind of peer.
const fn name_of(role: NodeType) -> &'static str {
    match role {
        NodeType::Farmer => "farmer",
        NodeType::FullNode => "full node",
        NodeType::Harvester => "harvester",
        NodeType::Solver => "solver",
        _ => "peer of the right kind",
    }
}

/// How rustls begins the text of an alert.
const TLS_ALERT: &str = "received fatal alert";

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    use super::super::super::link::close_frame;
    use super::super::super::meter::Metered;
    use super::super::super::testing::{NETWORK, hello};
    use super::*;
    use crate::wire::{Handshake, HarvesterLayout, Message, MessageType};

    /// A farmer that answers a harvester's handshake with `answer`.
    async fn dial(answer: Option<Handshake>) -> Result<Greeting, ConnectError> {
        let (ours, far) = duplex(1 << 16);
        let farmer = async move |stream: DuplexStream| {
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            socket.next().await.unwrap().unwrap();
            match answer {
                Some(answer) => {
                    let frame = Message::new(MessageType::Handshake, None, &answer).to_bytes();
                    socket.send(Frame::Binary(frame.into())).await.unwrap();
                    socket.next().await;
                }
                None => {
                    let goodbye = close_frame(CloseCode::Protocol, INCOMPATIBLE_NETWORK_ID);
                    socket.send(Frame::Close(Some(goodbye))).await.unwrap();
                }
            }
        };
        tokio::spawn(farmer(far));
        let (ours, meter) = Metered::new(ours, u64::MAX);
        let introduction = Introduction {
            host: "farmer:8447",
            network_id: NETWORK,
            protocol_version: ProtocolVersion::CURRENT,
            server_port: 0,
            role: NodeType::Harvester,
            wanted: NodeType::Farmer,
        };
        connect(ours, &introduction, &meter).await.map(|(_, greeting)| greeting)
    }

    #[tokio::test(start_paused = true)]
    async fn a_harvester_says_why_it_cannot_farm_here() {
        let farmer = Handshake {
            node_type: 3,
            ..hello()
        };
        assert_eq!(dial(Some(farmer.clone())).await.unwrap().layout, HarvesterLayout::V38);
        let other = Handshake {
            network_id: "mainnet".to_owned(),
            ..farmer.clone()
        };
        assert!(matches!(dial(Some(other)).await, Err(ConnectError::WrongNetwork { got, .. }) if got == "mainnet"));
        let node = Handshake { node_type: 1, ..farmer };
        assert_eq!(
            dial(Some(node)).await,
            Err(ConnectError::WrongNodeType {
                got: 1,
                expected: "farmer"
            })
        );
        let error = dial(None).await.unwrap_err().to_string();
        assert!(error.contains("1002 110"), "{error}");
    }
}
