//! The 88 golden serializations of the official software (release 2.7.5): every one is read, has the fields the vector
//! says, is written as the same bytes, and hashes to what its note says.

use std::fmt::Debug;

use serde_json::{Value, json};

use super::{Specimen, properties, read_json, unhex};
use crate::ids::{Bytes32, QualityString};
use crate::wire::codec::Reader;
use crate::wire::pool::{
    AuthenticationPayloadV1, GetAuthRequest, GetFarmerRequestV1, PostFarmerPayload, PostPartialPayload,
    PostPartialRequest, PutFarmerPayload, PutFarmerPayloadV1,
};
use crate::wire::{
    ChallengeChainSubSlot, ClassgroupElement, ConfigureWindowSizes, ErrorMessage, FoliageBlockData,
    FoliageTransactionBlock, FromFullNode, FromHarvester, Handshake, HarvesterLayout, HashOfBytes, Message,
    MessageType, PartialProof, Plot, PlotSyncIdentifier, PoolDifficulty, PoolTarget, ProofOfSpace,
    RewardChainBlockUnfinished, RewardChainSubSlot, SignagePointSourceData, SignatureRequestSourceData, SolverInfo,
    SolverResponse, Streamable, ToFullNode, ToHarvester, VdfInfo, limits,
};

#[test]
fn every_vector_is_read_and_written_as_official_software_does() {
    let vectors = read_json("vectors.json");
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 88);
    for vector in vectors {
        println!("{}", vector["name"]);
        match vector["message_type"].as_u64() {
            Some(number) => message(vector, u8::try_from(number).unwrap()),
            None => part(vector),
        }
    }
}

/// A vector that is a whole message, with its envelope.
fn message(vector: &Value, number: u8) {
    let frame = unhex(&vector["frame_hex"]);
    assert!(properties::envelope(&frame));
    let message = Message::parse(&frame).unwrap();
    assert_eq!(message.kind, number);
    assert_eq!(json!(message.id), vector["frame_id"]);
    assert_eq!(message.data, unhex(&vector["hex"]));
    let kind = message.message_type().unwrap();
    assert_eq!(kind.name(), vector["message_name"]);
    assert!(message.data.len() <= limits::reference_limit(kind).unwrap().max_bytes);
    match kind {
        MessageType::Handshake => streamable::<Handshake>(vector),
        MessageType::ConfigureWindowSizes => streamable::<ConfigureWindowSizes>(vector),
        MessageType::Error => streamable::<ErrorMessage>(vector),
        MessageType::Solve => streamable::<SolverInfo>(vector),
        MessageType::SolutionResponse => streamable::<SolverResponse>(vector),
        _ => {
            let directions = [
                from_harvester(vector, &message),
                to_harvester(vector, &message),
                from_full_node(vector, &message),
                to_full_node(vector, &message),
            ];
            assert_eq!(
                directions.iter().filter(|taken| **taken).count(),
                1,
                "a message has one direction"
            );
        }
    }
}

fn from_harvester(vector: &Value, message: &Message) -> bool {
    let Some(value) = FromHarvester::decode(message).unwrap() else {
        return false;
    };
    assert!(properties::from_harvester(message));
    let layout = match vector["type"].as_str().unwrap() {
        "PlotSyncPlotList" | "RespondPlots" => HarvesterLayout::V36,
        _ => HarvesterLayout::V38,
    };
    assert_eq!(value.encode(message.id, layout), *message);
    assert_eq!(layout.number(value.message_type()).as_u8(), message.kind);
    let mut fields = value.to_json();
    if layout == HarvesterLayout::V36 {
        without_place_in_group(&mut fields);
    }
    assert_eq!(fields, vector["fields"]);
    true
}

fn to_harvester(vector: &Value, message: &Message) -> bool {
    let Some(value) = ToHarvester::decode(message).unwrap() else {
        return false;
    };
    assert!(properties::to_harvester(message));
    assert_eq!(value.encode(message.id, HarvesterLayout::V38), *message);
    assert_eq!(value.message_type().as_u8(), message.kind);
    assert_eq!(value.to_json(), vector["fields"]);
    true
}

fn from_full_node(vector: &Value, message: &Message) -> bool {
    let Some(value) = FromFullNode::decode(message).unwrap() else {
        return false;
    };
    assert!(properties::from_full_node(message));
    assert_eq!(value.encode(message.id), *message);
    assert_eq!(value.to_json(), vector["fields"]);
    true
}

fn to_full_node(vector: &Value, message: &Message) -> bool {
    let Some(value) = ToFullNode::decode(message).unwrap() else {
        return false;
    };
    assert!(properties::to_full_node(message));
    assert_eq!(value.encode(message.id), *message);
    assert_eq!(value.to_json(), vector["fields"]);
    true
}

/// A vector that is a part of messages, or of pool requests.
fn part(vector: &Value) {
    match vector["type"].as_str().unwrap() {
        "Message" => {
            let bytes = unhex(&vector["hex"]);
            assert!(properties::envelope(&bytes));
            assert_eq!(Message::parse(&bytes).unwrap().to_json(), vector["fields"]);
        }
        "Plot" => plot(vector, HarvesterLayout::V36),
        "Plot2" => plot(vector, HarvesterLayout::V38),
        "ProofOfSpace" => proof_of_space(vector),
        "RewardChainBlockUnfinished" => {
            streamable::<RewardChainBlockUnfinished>(vector);
            let block = RewardChainBlockUnfinished::from_bytes(&unhex(&vector["hex"])).unwrap();
            assert_eq!(Some(block.get_hash(&NO_QUALITY).to_string()), noted(vector, "hash"));
        }
        "ClassgroupElement" => hashed::<ClassgroupElement>(vector, "hash"),
        "VDFInfo" => hashed::<VdfInfo>(vector, "hash"),
        "FoliageBlockData" => hashed::<FoliageBlockData>(vector, "hash"),
        "FoliageTransactionBlock" => hashed::<FoliageTransactionBlock>(vector, "hash"),
        "ChallengeChainSubSlot" => hashed::<ChallengeChainSubSlot>(vector, "hash"),
        "RewardChainSubSlot" => hashed::<RewardChainSubSlot>(vector, "hash"),
        "PoolTarget" => hashed::<PoolTarget>(vector, "hash"),
        "AuthenticationPayloadV1" => hashed::<AuthenticationPayloadV1>(vector, "sha256"),
        "PostPartialPayload" => hashed::<PostPartialPayload>(vector, "sha256"),
        "PostPartialRequest" => hashed::<PostPartialRequest>(vector, "sha256"),
        "PostFarmerPayload" => hashed::<PostFarmerPayload>(vector, "sha256"),
        "PutFarmerPayload" => hashed::<PutFarmerPayload>(vector, "sha256"),
        "PutFarmerPayloadBackCompat" => hashed::<PutFarmerPayloadV1>(vector, "sha256"),
        "GetFarmerRequestV1" => hashed::<GetFarmerRequestV1>(vector, "sha256"),
        "GetAuthRequest" => hashed::<GetAuthRequest>(vector, "sha256"),
        "PartialProof" => streamable::<PartialProof>(vector),
        "PoolDifficulty" => streamable::<PoolDifficulty>(vector),
        "PlotSyncIdentifier" => streamable::<PlotSyncIdentifier>(vector),
        "SignagePointSourceData" => streamable::<SignagePointSourceData>(vector),
        "SignatureRequestSourceData" => streamable::<SignatureRequestSourceData>(vector),
        other => panic!("no test for vectors of {other}"),
    }
}

fn streamable<T: Streamable + Specimen + PartialEq + Debug>(vector: &Value) {
    let bytes = unhex(&vector["hex"]);
    assert!(properties::streamable::<T>(&bytes), "{:?}", T::from_bytes(&bytes));
    assert_eq!(T::from_bytes(&bytes).unwrap().to_json(), vector["fields"]);
}

fn hashed<T: Streamable + HashOfBytes + Specimen + PartialEq + Debug>(vector: &Value, word: &str) {
    streamable::<T>(vector);
    let bytes = unhex(&vector["hex"]);
    assert!(properties::hashed::<T>(&bytes));
    assert_eq!(
        Some(T::from_bytes(&bytes).unwrap().get_hash().to_string()),
        noted(vector, word)
    );
}

fn plot(vector: &Value, layout: HarvesterLayout) {
    let bytes = unhex(&vector["hex"]);
    let mut input = Reader::new(&bytes);
    let plot = Plot::parse(layout, &mut input).unwrap();
    assert_eq!(input.remaining(), 0);
    let mut out = Vec::new();
    plot.stream(layout, &mut out);
    assert_eq!(out, bytes);
    let mut fields = plot.to_json();
    if layout == HarvesterLayout::V36 {
        without_place_in_group(&mut fields);
    }
    assert_eq!(fields, vector["fields"]);
}

fn proof_of_space(vector: &Value) {
    streamable::<ProofOfSpace>(vector);
    let proof = ProofOfSpace::from_bytes(&unhex(&vector["hex"])).unwrap();
    assert_eq!(Some(proof.plot_id().to_string()), noted(vector, "plot_id"));
    if let Some(hash) = noted(vector, "get_hash") {
        assert_eq!(proof.get_hash(&NO_QUALITY).to_string(), hash);
    }
}

/// The older layout has no place for these two.
fn without_place_in_group(fields: &mut Value) {
    match fields {
        Value::Object(map) => {
            map.retain(|name, _| name != "plot_index" && name != "meta_group");
            map.values_mut().for_each(without_place_in_group);
        }
        Value::Array(items) => items.iter_mut().for_each(without_place_in_group),
        _ => {}
    }
}

/// The word after `word` in the note of a vector.
fn noted(vector: &Value, word: &str) -> Option<String> {
    let mut words = vector["note"].as_str()?.split([' ', ';']);
    words.by_ref().find(|found| *found == word)?;
    words.next().map(str::to_owned)
}

fn vector_named(name: &str) -> Vec<u8> {
    let vectors = read_json("vectors.json");
    let found = vectors["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .find(|vector| vector["name"] == name);
    unhex(&found.unwrap()["hex"])
}

/// Hashes made with the official library (chia_rs 0.48.0) from the v2 proof of the vectors.
#[test]
fn v2_proof_hashes_as_its_quality_string() {
    let proof = ProofOfSpace::from_bytes(&vector_named("proof_of_space_v2_pool_pk")).unwrap();
    let partial = PartialProof::from_bytes(&vector_named("partial_proof")).unwrap();
    let quality = partial.quality_string(2);
    assert_eq!(
        quality.to_string(),
        "4ca3530f1f41ac6e9c76e500f468adb2236588eaf8a916263d9507f08387d4fe"
    );
    let hash = |text: &str| text.parse::<Bytes32>().unwrap();
    assert_eq!(
        proof.get_hash(&quality),
        hash("aa7c64754b5e262e6af17c07dc77606baf70abb7dd37a5f5414e19483b84271b")
    );

    let block = RewardChainBlockUnfinished::from_bytes(&vector_named("reward_chain_block_unfinished")).unwrap();
    let block = RewardChainBlockUnfinished {
        proof_of_space: proof.clone(),
        ..block
    };
    assert_eq!(
        block.get_hash(&quality),
        hash("a7da475648b2ab185ddc9513fc8c42d21bd1ffd97606f579cc1d141aed8dffac")
    );

    let partial = PostPartialPayload::from_bytes(&vector_named("pool_PostPartialPayload")).unwrap();
    let partial = PostPartialPayload {
        proof_of_space: proof,
        ..partial
    };
    assert_eq!(
        partial.get_hash(),
        hash("b2883c42dd29a5b9497a1861118b01a4b97821b11f59f3eb705905d7785f41e0")
    );
}

/// The first lines of the reference's encoding vectors, which are not in the file.
#[test]
fn building_blocks_have_the_documented_bytes() {
    let mut out = Vec::new();
    255u8.stream(&mut out);
    0x0102u16.stream(&mut out);
    0x0001_0203u32.stream(&mut out);
    (1u64 << 63).stream(&mut out);
    ((1u128 << 127) + 1).stream(&mut out);
    (-4i16).stream(&mut out);
    true.stream(&mut out);
    assert_eq!(
        hex::encode(&out),
        "ff0102000102038000000000000000\
         80000000000000000000000000000001fffc01"
    );
    out.clear();
    "é".to_owned().stream(&mut out);
    vec![1u8, 2].stream(&mut out);
    None::<u16>.stream(&mut out);
    Some(5u16).stream(&mut out);
    vec![1u16, 2].stream(&mut out);
    (7u8, "x".to_owned()).stream(&mut out);
    vec![(3u16, "1".to_owned())].stream(&mut out);
    None::<String>.stream(&mut out);
    Some(vec![None, Some(9u8)]).stream(&mut out);
    assert_eq!(
        hex::encode(&out),
        "00000002c3a90000000201020001000500000002000100020700000001780000000100030000000131000100000002000109"
    );
}

/// Release 2.7.3 and older: the filter challenge is missing altogether. Release 2.6.0 writes these bytes.
#[test]
fn signage_point_of_an_older_node_is_read() {
    let bytes = vector_named("new_signage_point_minimal");
    let kind = MessageType::NewSignagePoint.as_u8();
    let current = Message {
        kind,
        id: None,
        data: bytes.clone(),
    };
    let older = Message {
        kind,
        id: None,
        data: bytes[..bytes.len() - 1].to_vec(),
    };
    assert_eq!(FromFullNode::decode(&older), FromFullNode::decode(&current));
    assert!(properties::from_full_node(&older));
}

/// Release 2.5.4 and older: no height of the last transaction block either. Release 2.5.4 writes these bytes.
#[test]
fn signage_point_of_a_node_without_last_tx_height_is_read() {
    for name in [
        "new_signage_point_minimal",
        "new_signage_point_vdf_filter",
        "new_signage_point_eos",
    ] {
        let bytes = vector_named(name);
        let current = Message {
            kind: MessageType::NewSignagePoint.as_u8(),
            id: None,
            data: bytes.clone(),
        };
        let Ok(Some(FromFullNode::NewSignagePoint(mut expected))) = FromFullNode::decode(&current) else {
            panic!("{name} is not a signage point");
        };
        let filter_challenge = if expected.filter_challenge.is_some() { 33 } else { 1 };
        let older = Message {
            data: properties::without_last_tx_height(&bytes[..bytes.len() - filter_challenge]),
            ..current
        };
        expected.last_tx_height = expected.peak_height;
        expected.filter_challenge = None;
        assert_eq!(
            FromFullNode::decode(&older),
            Ok(Some(FromFullNode::NewSignagePoint(expected)))
        );
        assert!(properties::from_full_node(&older));
    }
}

/// Protocol version 0.0.37: heights, but no filter challenge. Release 2.6.0 writes these bytes.
#[test]
fn all_three_signage_point_layouts_are_told_apart_by_length() {
    let full = vector_named("new_signage_point_harvester2_full");
    let kind = MessageType::NewSignagePointHarvester.as_u8();
    let newest = ToHarvester::decode(&Message {
        kind,
        id: None,
        data: full.clone(),
    })
    .unwrap()
    .unwrap();
    let v37 = newest.encode(None, HarvesterLayout::V37);
    assert_eq!(v37.data, full[..full.len() - 33]);
    assert!(properties::to_harvester(&v37));
    let reread = ToHarvester::decode(&v37).unwrap().unwrap();
    assert_eq!(reread.to_json()["filter_challenge"], Value::Null);
    assert_eq!(reread.to_json()["last_tx_height"], 7_999_998);
    for name in [
        "new_signage_point_harvester_v1_pools",
        "new_signage_point_harvester2_no_filter",
    ] {
        assert!(
            properties::to_harvester(&Message {
                kind,
                id: None,
                data: vector_named(name)
            }),
            "{name}"
        );
    }
}

/// v1 hashes do not depend on it.
const NO_QUALITY: QualityString = QualityString([0; 32]);

#[test]
fn fee_qualities_are_the_official_ones() {
    let vectors = read_json("constants_vectors.json");
    let cases = vectors["fee_quality"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let proof = hex::decode(case["proof"].as_str().unwrap()).unwrap();
        let challenge_hash = case["challenge"].as_str().unwrap().parse().unwrap();
        let fee_quality = crate::wire::ProofOfSpaceFeeInfo::fee_quality(&proof, &challenge_hash);
        assert_eq!(u64::from(fee_quality), case["fee_quality"].as_u64().unwrap());
    }
}
