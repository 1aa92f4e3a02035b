//! What must hold for any bytes a peer may send: shared by the fuzz targets here and by the tests in `src/wire/tests`,
//! which is why the wire module is reached through `super`.
//!
//! Each function takes arbitrary bytes, says whether they were a value, and panics when a property is broken:
//!
//! 1. round trip: what was read is written as the same bytes, and read again is the same value;
//! 2. the hash is SHA-256 of the bytes (except of v2 proofs of space, which tests with golden hashes cover);
//! 3. one byte more is refused;
//! 4. one byte less is refused;
//! 5. garbage is refused, never a panic (that is: calling these functions at all);
//! 6. nothing is allocated beyond a small multiple of the input (the fuzz targets count).
//!
//! Properties 1 and 4 have two exceptions, both for real peers: a signage point without its last field is that of an
//! older release, and of a message in an older layout the same bytes come back only when that layout is asked for.

use std::fmt::Debug;

use sha2::{Digest, Sha256};

use super::wire::{
    FromFullNode, FromHarvester, HarvesterLayout, HashOfBytes, Message, NewSignagePointHarvester, SignagePointFilter,
    Streamable, ToFullNode, ToHarvester, WireError,
};

/// Properties 1, 3 and 4 of a type with one layout.
pub fn streamable<T: Streamable + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = T::from_bytes(bytes) else { return false };
    assert_eq!(value.to_bytes(), bytes, "round trip");
    assert!(bytes.len() >= T::MIN_BYTES, "shorter than the least length");
    longer_and_shorter_are_refused(bytes, |bytes| T::from_bytes(bytes).map(Some));
    true
}

/// Property 2, besides those of [`streamable`].
pub fn hashed<T: Streamable + HashOfBytes + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(value) = T::from_bytes(bytes) else { return false };
    assert_eq!(
        value.get_hash().as_bytes().as_slice(),
        Sha256::digest(bytes).as_slice(),
        "hash"
    );
    streamable::<T>(bytes)
}

/// All properties of the envelope.
pub fn envelope(frame: &[u8]) -> bool {
    let Ok(message) = Message::parse(frame) else {
        return false;
    };
    assert_eq!(message.to_bytes(), frame, "round trip");
    longer_and_shorter_are_refused(frame, |frame| Message::parse(frame).map(Some));
    true
}

/// All properties of what a harvester sends.
pub fn from_harvester(message: &Message) -> bool {
    let Ok(Some(value)) = FromHarvester::decode(message) else {
        return false;
    };
    assert!(
        LAYOUTS
            .iter()
            .any(|layout| value.encode(message.id, *layout) == *message),
        "no layout gives the bytes of {value:?} back"
    );
    longer_and_shorter_are_refused(&message.data, |data| FromHarvester::decode(&with_data(message, data)));
    true
}

/// All properties of what a farmer sends to a harvester.
pub fn to_harvester(message: &Message) -> bool {
    let Ok(Some(value)) = ToHarvester::decode(message) else {
        return false;
    };
    assert!(
        LAYOUTS
            .iter()
            .any(|layout| value.encode(message.id, *layout) == *message),
        "no layout gives the bytes of {value:?} back"
    );
    let two_layouts = matches!(
        &value,
        ToHarvester::NewSignagePoint(NewSignagePointHarvester {
            filter: SignagePointFilter::Heights {
                filter_challenge: None,
                ..
            },
            ..
        })
    );
    if two_layouts {
        // Without a filter challenge, 0.0.37 and 0.0.38 differ by one zero byte and say the same.
        for data in neighbours(&message.data) {
            if let Ok(other) = ToHarvester::decode(&with_data(message, &data)) {
                assert_eq!(other.as_ref(), Some(&value), "another length is another value");
            }
        }
    } else {
        longer_and_shorter_are_refused(&message.data, |data| ToHarvester::decode(&with_data(message, data)));
    }
    true
}

/// The bytes of a signage point as a node up to 2.5.4 writes them.
pub fn without_last_tx_height(signage_point: &[u8]) -> Vec<u8> {
    const END_OF_PEAK_HEIGHT: usize = 3 * 32 + 2 * 8 + 1 + 4;
    [
        &signage_point[..END_OF_PEAK_HEIGHT],
        &signage_point[END_OF_PEAK_HEIGHT + 4..],
    ]
    .concat()
}

/// All properties of what a node sends to a farmer.
pub fn from_full_node(message: &Message) -> bool {
    let Ok(Some(value)) = FromFullNode::decode(message) else {
        return false;
    };
    let written = value.encode(message.id);
    match &value {
        FromFullNode::NewSignagePoint(signage_point) if signage_point.filter_challenge.is_none() => {
            // A node up to 2.7.3 leaves the last field out, one up to 2.5.4 the height before the source too; they are
            // written nevertheless.
            let shorter = &written.data[..written.data.len() - 1];
            let shortest = without_last_tx_height(shorter);
            assert!(
                [&written.data, shorter, &shortest].contains(&message.data.as_slice()),
                "round trip of {value:?}"
            );
            for data in neighbours(&message.data) {
                if let Ok(other) = FromFullNode::decode(&with_data(message, &data)) {
                    assert_eq!(other.as_ref(), Some(&value), "another length is another value");
                }
            }
        }
        _ => {
            assert_eq!(written, *message, "round trip");
            longer_and_shorter_are_refused(&message.data, |data| FromFullNode::decode(&with_data(message, data)));
        }
    }
    true
}

/// All properties of what a farmer sends to a node.
pub fn to_full_node(message: &Message) -> bool {
    let Ok(Some(value)) = ToFullNode::decode(message) else {
        return false;
    };
    assert_eq!(value.encode(message.id), *message, "round trip");
    longer_and_shorter_are_refused(&message.data, |data| ToFullNode::decode(&with_data(message, data)));
    true
}

fn longer_and_shorter_are_refused<T: Debug>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<Option<T>, WireError>) {
    for neighbour in neighbours(bytes) {
        assert!(
            read(&neighbour).is_err(),
            "another length is accepted: {neighbour:02x?} besides {bytes:02x?}"
        );
    }
}

/// The bytes with one more, of each kind a prefix knows, and with one less.
fn neighbours(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut neighbours: Vec<_> = [0, 1, 0xff].iter().map(|extra| [bytes, &[*extra]].concat()).collect();
    neighbours.extend(bytes.split_last().map(|(_, shorter)| shorter.to_vec()));
    neighbours
}

fn with_data(message: &Message, data: &[u8]) -> Message {
    Message {
        kind: message.kind,
        id: message.id,
        data: data.to_vec(),
    }
}

const LAYOUTS: [HarvesterLayout; 3] = [HarvesterLayout::V36, HarvesterLayout::V37, HarvesterLayout::V38];
