//! What a peer says of itself in its handshake, and what we say.

use crate::logging::strip_invisible;
use crate::wire::{
    Capability, Handshake, HarvesterLayout, Message, MessageType, NodeType, ProtocolVersion, Streamable as _,
};

/// What a peer said of itself, checked and safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Greeting {
    pub(in super::super) software_version: String,
    pub(in super::super) protocol_version: String,
    /// Layout of the messages it reads.
    pub(in super::super) layout: HarvesterLayout,
}

/// How we call ourselves in a handshake. Official software shows the peer's name and reads nothing from it.
pub const SOFTWARE_VERSION: &str = concat!("farmconsole-", env!("CARGO_PKG_VERSION"));

pub(super) fn read_handshake(frame: &[u8]) -> Result<Handshake, String> {
    let message = Message::parse(frame).map_err(|error| error.to_string())?;
    if message.message_type() != Some(MessageType::Handshake) {
        return Err(format!("the first message is no handshake but number {}", message.kind));
    }
    Handshake::from_bytes(&message.data).map_err(|error| error.to_string())
}

pub(super) fn greeting_of(hello: &Handshake) -> Result<(Greeting, ProtocolVersion), String> {
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
pub(super) fn handshake(network_id: &str, version: ProtocolVersion, server_port: u16, role: NodeType) -> Message {
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

/// Foreign text, safe and short.
pub(super) fn shown(text: &str) -> String {
    strip_invisible(text).chars().take(64).collect()
}

/// In the answer to the upgrade. Official software reads nothing of it.
pub(super) const NETWORK_HEADER: &str = "farmconsole-network";
