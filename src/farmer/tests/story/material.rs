//! What is in a story: made-up keys, nodes, signage points, plots, proofs and signatures.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{Mono, Now, UnixMillis};
use crate::farmer::{
    ExpectedHarvester, FarmerConfig, FarmerKeys, NodeLink, NodeStatus, NodeTrust, SIGNAGE_POINT_INTERVAL,
};
use crate::ids::{
    Bytes32, ChallengeHash, NodeId, PeerId, PlotId, PosChallenge, PuzzleHash, QualityString, RewardChainSp, SpHash,
};
use crate::pos::constants::Constants;
use crate::snapshot::{AlarmKind, AlarmMemory, AlarmView, ConnectedPeer};
use crate::units::{ByteSize, Difficulty, Height, PlotSize, SubSlotIters};
use crate::wire::{
    G1Bytes, G2Bytes, NewProofOfSpace, NewSignagePoint, Plot, PlotPool, ProofBody, ProofOfSpace, RequestSignatures,
    RequestSignedValues, RespondSignatures,
};

pub(crate) const NODE: NodeId = NodeId(1);
pub(crate) const OTHER_NODE: NodeId = NodeId(2);
pub(crate) const FARMER_TARGET: PuzzleHash = PuzzleHash([0xf1; 32]);
pub(crate) const POOL_TARGET: PuzzleHash = PuzzleHash([0xf2; 32]);
pub(crate) const CONTRACT: PuzzleHash = PuzzleHash([0xc0; 32]);
/// No proof of a k32 plot is worse than this.
pub(crate) const EASY: SubSlotIters = SubSlotIters(u64::MAX);

pub(crate) fn config() -> FarmerConfig {
    FarmerConfig {
        network: "mainnet".to_owned(),
        simulated: false,
        software_version: "0.1.0".to_owned(),
        constants: Constants::for_network("mainnet").expect("known network"),
        signage_point_interval: SIGNAGE_POINT_INTERVAL,
        keys: keys(),
        names: ["barn", "shelf", "attic"]
            .into_iter()
            .map(|name| (certificate(name), name.to_owned()))
            .collect(),
        alarm_memory: AlarmMemory::default(),
        harvester_fees: BTreeMap::new(),
    }
}

pub(crate) fn keys() -> FarmerKeys {
    FarmerKeys {
        farmer_public_keys: vec![G1Bytes([1; 48])],
        pool_public_keys: vec![G1Bytes([2; 48])],
        pool_rewards: None,
        farmer_target: Some(FARMER_TARGET),
        pool_target: Some(POOL_TARGET),
        farmer_address: Some("xch1…".to_owned()),
    }
}

/// A harvester that came in an earlier run.
pub(crate) fn expected(name: &str) -> ExpectedHarvester {
    ExpectedHarvester {
        peer: ConnectedPeer {
            peer_id: certificate(name),
            address: "10.0.0.9:0".parse().expect("an address"),
            software_version: "2.7.5".to_owned(),
            protocol_version: String::new(),
        },
        first_seen: UnixMillis(1_000),
        last_seen: UnixMillis(2_000),
    }
}

/// An alarm of an earlier run.
pub(crate) fn past_alarm(kind: AlarmKind) -> AlarmView {
    let closed_at_unix_ms = start().unix.0 - 60_000;
    AlarmView {
        number: 1,
        severity: kind.severity(),
        text: kind.to_string(),
        remedy: kind.remedy(),
        kind,
        opened_at_unix_ms: closed_at_unix_ms - 5_000,
        updated_at_unix_ms: closed_at_unix_ms,
        closed_at_unix_ms: Some(closed_at_unix_ms),
        acknowledged: false,
        silenced: false,
        cut_short: false,
    }
}

pub(crate) fn certificate(name: &str) -> PeerId {
    let mut id = [0; 32];
    id[..name.len()].copy_from_slice(name.as_bytes());
    PeerId(id)
}

pub(crate) fn start() -> Now {
    Now {
        mono: Mono(1_000_000_000),
        unix: UnixMillis(1_800_000_000_000),
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn node_status(name: &str) -> NodeStatus {
    NodeStatus {
        name: name.to_owned(),
        link: NodeLink::Up,
        trust: NodeTrust::Own,
        certificate: None,
        software_version: None,
    }
}

pub(crate) fn point(number: u64) -> NewSignagePoint {
    let (slot, index) = (number / 64, u8::try_from(number % 64).expect("below 64"));
    let hash = |kind: u8, number: u64| {
        let mut hash = [kind; 32];
        hash[24..].copy_from_slice(&number.to_be_bytes());
        hash
    };
    NewSignagePoint {
        challenge_hash: ChallengeHash(hash(1, slot)),
        challenge_chain_sp: SpHash(hash(2, number)),
        reward_chain_sp: RewardChainSp(hash(3, number)),
        difficulty: Difficulty(1),
        sub_slot_iters: EASY,
        signage_point_index: index,
        peak_height: Height(6_000_000),
        last_tx_height: Height(5_999_999),
        sp_source_data: None,
        filter_challenge: None,
    }
}

pub(crate) fn plot(path: &str) -> Plot {
    let mut plot_id = [0x77; 32];
    let name = path.rsplit('/').next().unwrap_or(path).as_bytes();
    let length = name.len().min(32);
    plot_id[..length].copy_from_slice(&name[..length]);
    Plot {
        filename: path.to_owned(),
        size: PlotSize::V1 { k: 32 },
        plot_id: PlotId(plot_id),
        pool: PlotPool::Contract(CONTRACT),
        plot_public_key: G1Bytes([7; 48]),
        file_size: ByteSize(108_000_000_000),
        time_modified: 1_600_000_000,
        compression_level: None,
        plot_index: 0,
        meta_group: 0,
    }
}

pub(crate) fn plots(directory: &str, count: usize) -> Vec<Plot> {
    (0..count)
        .map(|number| plot(&format!("{directory}/{}-{number}.plot", directory.replace('/', "_"))))
        .collect()
}

pub(crate) fn new_proof(point: &NewSignagePoint, number: u8) -> NewProofOfSpace {
    NewProofOfSpace {
        challenge_hash: point.challenge_hash,
        sp_hash: point.challenge_chain_sp,
        plot_identifier: format!("{}/mnt/d1/{number}.plot", "ab".repeat(32)),
        proof: ProofOfSpace {
            challenge: PosChallenge([number; 32]),
            pool: PlotPool::Contract(CONTRACT),
            plot_public_key: G1Bytes([number; 48]),
            body: ProofBody::V1 {
                k: 32,
                proof: vec![number; 256],
            },
        },
        signage_point_index: point.signage_point_index,
        include_source_signature_data: false,
        farmer_reward_address_override: None,
        fee_info: None,
    }
}

pub(crate) fn shares(request: &RequestSignatures) -> RespondSignatures {
    RespondSignatures {
        plot_identifier: request.plot_identifier.clone(),
        challenge_hash: request.challenge_hash,
        sp_hash: request.sp_hash,
        local_pk: G1Bytes([5; 48]),
        farmer_pk: G1Bytes([1; 48]),
        message_signatures: request
            .messages
            .iter()
            .map(|message| (*message, G2Bytes([6; 96])))
            .collect(),
        include_source_signature_data: false,
        farmer_reward_address_override: None,
    }
}

pub(crate) fn block_request(quality: QualityString) -> Box<RequestSignedValues> {
    Box::new(RequestSignedValues {
        quality_string: quality,
        foliage_block_data_hash: Bytes32([0xa1; 32]),
        foliage_transaction_block_hash: Bytes32([0xa2; 32]),
        foliage_block_data: None,
        foliage_transaction_block_data: None,
        rc_block_unfinished: None,
    })
}
