//! What the fuzz targets share. Each target is one function here, so that `cargo test` runs the same code over the
//! golden vectors, whole and damaged, without a fuzzer.
//!
//! To fuzz, with nightly and cargo-fuzz, from the root of the repository:
//!
//! ```text
//! cargo run --manifest-path tests/fuzz/Cargo.toml          # corpus from the golden vectors; --features net: of all targets
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz from_harvester -- -max_total_time=60
//! ```

mod enrol;
pub mod memory;
mod plots;
pub mod properties;

#[cfg(feature = "net")]
pub use enrol::request_target;
pub use enrol::{enrol_target, token_target};
pub use plots::{compressed_park_target, plot_header_target};

use farmconsole::wire::pool::{
    AuthenticationPayloadV1, GetAuthRequest, GetFarmerRequestV1, PostFarmerPayload, PostPartialPayload,
    PostPartialRequest, PutFarmerPayload, PutFarmerPayloadV1,
};
use farmconsole::wire::{
    self, ChallengeChainSubSlot, ConfigureWindowSizes, ErrorMessage, FoliageBlockData, FoliageTransactionBlock,
    FromFullNode, FromHarvester, Handshake, Message, ProofOfSpace, RewardChainBlockUnfinished, RewardChainSubSlot,
    SolverInfo, SolverResponse, Streamable, ToFullNode, ToHarvester,
};

/// Target `message`: any frame.
pub fn message_target(frame: &[u8]) -> bool {
    memory::assert_bounded(frame.len(), || Message::parse(frame));
    properties::envelope(frame)
}

/// Target `from_harvester`: a message number and a payload.
pub fn from_harvester_target(input: &[u8]) -> bool {
    let Some(message) = numbered(input) else { return false };
    memory::assert_bounded(input.len(), || FromHarvester::decode(&message));
    properties::from_harvester(&message)
}

/// Target `to_harvester`: a message number and a payload.
pub fn to_harvester_target(input: &[u8]) -> bool {
    let Some(message) = numbered(input) else { return false };
    memory::assert_bounded(input.len(), || ToHarvester::decode(&message));
    properties::to_harvester(&message)
}

/// Target `full_node`: a message number and a payload, either direction.
pub fn full_node_target(input: &[u8]) -> bool {
    let Some(message) = numbered(input) else { return false };
    memory::assert_bounded(input.len(), || FromFullNode::decode(&message));
    memory::assert_bounded(input.len(), || ToFullNode::decode(&message));
    properties::from_full_node(&message) || properties::to_full_node(&message)
}

/// Target `parts`: the number of a type in [`PARTS`] and its bytes.
pub fn parts_target(input: &[u8]) -> bool {
    let Some((part, bytes)) = input.split_first() else {
        return false;
    };
    let Some((_, check)) = PARTS.get(usize::from(*part)) else {
        return false;
    };
    check(bytes)
}

/// What is in no message of a direction, or is hashed: Chia's name and the check of its properties.
pub const PARTS: &[(&str, Check)] = &[
    ("Handshake", streamable::<Handshake>),
    ("ConfigureWindowSizes", streamable::<ConfigureWindowSizes>),
    ("Error", streamable::<ErrorMessage>),
    ("SolverInfo", streamable::<SolverInfo>),
    ("SolverResponse", streamable::<SolverResponse>),
    ("ProofOfSpace", streamable::<ProofOfSpace>),
    ("RewardChainBlockUnfinished", streamable::<RewardChainBlockUnfinished>),
    ("FoliageBlockData", properties::hashed::<FoliageBlockData>),
    ("FoliageTransactionBlock", properties::hashed::<FoliageTransactionBlock>),
    ("ChallengeChainSubSlot", properties::hashed::<ChallengeChainSubSlot>),
    ("RewardChainSubSlot", properties::hashed::<RewardChainSubSlot>),
    ("AuthenticationPayloadV1", properties::hashed::<AuthenticationPayloadV1>),
    ("PostPartialPayload", properties::hashed::<PostPartialPayload>),
    ("PostPartialRequest", properties::hashed::<PostPartialRequest>),
    ("PostFarmerPayload", properties::hashed::<PostFarmerPayload>),
    ("PutFarmerPayload", properties::hashed::<PutFarmerPayload>),
    ("PutFarmerPayloadBackCompat", properties::hashed::<PutFarmerPayloadV1>),
    ("GetFarmerRequestV1", properties::hashed::<GetFarmerRequestV1>),
    ("GetAuthRequest", properties::hashed::<GetAuthRequest>),
];

/// Says whether the bytes are a value, and panics if a property is broken.
pub type Check = fn(&[u8]) -> bool;

/// A seed of one target.
pub struct SeedInput {
    /// Target it is for.
    pub target: &'static str,
    /// Name of the vector it is made from.
    pub name: String,
    /// Input of the target.
    pub input: Vec<u8>,
}

/// Inputs that are good, from the golden vectors and the recorded session in `tests/vectors`, and of plots.
pub fn seeds() -> Vec<SeedInput> {
    let read = |name: &str| -> serde_json::Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../vectors")
            .join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let bytes = |text: &serde_json::Value| text.as_str().and_then(|text| hex::decode(text).ok());
    let mut seeds = plots::plot_seeds();
    seeds.extend(enrol::enrol_seeds());
    #[cfg(feature = "net")]
    for request in read("requests.json")["requests"].as_array().into_iter().flatten() {
        seeds.extend(bytes(&request["der_hex"]).map(|input| SeedInput {
            target: "request",
            name: request["name"].as_str().unwrap_or_default().to_owned(),
            input,
        }));
    }

    let vectors = read("vectors.json");
    for vector in vectors["vectors"].as_array().into_iter().flatten() {
        let name = vector["name"].as_str().unwrap_or_default();
        if let Some(frame) = bytes(&vector["frame_hex"]) {
            frame_seeds(name, &frame, &mut seeds);
        }
        let part = PARTS
            .iter()
            .position(|(part, _)| vector["type"] == *part)
            .and_then(|part| u8::try_from(part).ok());
        if let (Some(part), Some(payload)) = (part, bytes(&vector["hex"])) {
            let input = [&[part], payload.as_slice()].concat();
            seeds.push(SeedInput {
                target: "parts",
                name: name.to_owned(),
                input,
            });
        }
    }
    let transcript = read("transcript.json");
    for (position, message) in transcript["messages"].as_array().into_iter().flatten().enumerate() {
        if let Some(frame) = bytes(&message["frame_hex"]) {
            frame_seeds(&format!("transcript_{position}"), &frame, &mut seeds);
        }
    }
    seeds
}

/// A frame is a seed of the envelope, and its number and payload of the target of its direction.
fn frame_seeds(name: &str, frame: &[u8], seeds: &mut Vec<SeedInput>) {
    let mut seed = |target, input| {
        seeds.push(SeedInput {
            target,
            name: name.to_owned(),
            input,
        })
    };
    seed("message", frame.to_vec());
    let Ok(message) = Message::parse(frame) else { return };
    let input = [&[message.kind], message.data.as_slice()].concat();
    if matches!(FromHarvester::decode(&message), Ok(Some(_))) {
        seed("from_harvester", input);
    } else if matches!(ToHarvester::decode(&message), Ok(Some(_))) {
        seed("to_harvester", input);
    } else if FromFullNode::decode(&message).is_ok_and(|value| value.is_some())
        || ToFullNode::decode(&message).is_ok_and(|value| value.is_some())
    {
        seed("full_node", input);
    }
}

fn numbered(input: &[u8]) -> Option<Message> {
    let (kind, data) = input.split_first()?;
    Some(Message {
        kind: *kind,
        id: None,
        data: data.to_vec(),
    })
}

fn streamable<T: Streamable + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    memory::assert_bounded(bytes.len(), || T::from_bytes(bytes));
    properties::streamable::<T>(bytes)
}
