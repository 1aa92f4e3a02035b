//! A recorded session of the official farmer with two harvesters and a node: every frame is read by the direction it
//! travelled in, and written as the same bytes.

use serde_json::json;

use super::{properties, read_json, unhex};
use crate::wire::{
    FromFullNode, FromHarvester, Handshake, HarvesterLayout, Message, MessageType, NodeType, ProtocolVersion,
    Streamable, ToFullNode, ToHarvester,
};

#[test]
fn every_frame_of_a_recorded_session_is_read_and_written_alike() {
    let transcript = read_json("transcript.json");
    let frames = transcript["messages"].as_array().unwrap();
    assert_eq!(frames.len(), 81);
    for frame in frames {
        let bytes = unhex(&frame["frame_hex"]);
        assert!(properties::envelope(&bytes));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(json!(message.kind), frame["message_type"]);
        assert_eq!(json!(message.id), frame["id"]);
        assert_eq!(message.message_type().unwrap().name(), frame["message"]);
        let direction = frame["direction"].as_str().unwrap().trim_end_matches(char::is_numeric);
        let (from, to) = direction.split_once("->").unwrap();
        let (from, to) = (
            from.trim_end_matches(|c: char| c == '_' || c.is_numeric()),
            to.trim_end_matches('_'),
        );
        println!("{from} -> {to}: {}", frame["message"]);

        if message.message_type() == Some(MessageType::Handshake) {
            let handshake = Handshake::from_bytes(&message.data).unwrap();
            assert_eq!(handshake.network_id, "testnet0");
            assert_eq!(handshake.version(), Ok(ProtocolVersion::CURRENT));
            assert_eq!(handshake.role(), Some(role(from)));
            assert_eq!(handshake.to_bytes(), message.data);
            continue;
        }
        let written = match (from, to) {
            ("harvester", "farmer") => {
                assert!(properties::from_harvester(&message));
                FromHarvester::decode(&message)
                    .unwrap()
                    .unwrap()
                    .encode(message.id, HarvesterLayout::V38)
            }
            ("farmer", "harvester") => {
                assert!(properties::to_harvester(&message));
                ToHarvester::decode(&message)
                    .unwrap()
                    .unwrap()
                    .encode(message.id, HarvesterLayout::V38)
            }
            ("full_node", "farmer") => {
                assert!(properties::from_full_node(&message));
                FromFullNode::decode(&message).unwrap().unwrap().encode(message.id)
            }
            ("farmer", "full_node") => {
                assert!(properties::to_full_node(&message));
                ToFullNode::decode(&message).unwrap().unwrap().encode(message.id)
            }
            other => panic!("no such link: {other:?}"),
        };
        assert_eq!(written.to_bytes(), bytes);
    }
}

fn role(name: &str) -> NodeType {
    match name {
        "harvester" => NodeType::Harvester,
        "farmer" => NodeType::Farmer,
        "full_node" => NodeType::FullNode,
        other => panic!("no such role: {other}"),
    }
}
