use serde_json::Value as Json;

use super::*;
use crate::clock::UnixMillis;
use crate::crypto::{SecretKey, sign, sign_prepend};
use crate::ids::PosChallenge;
use crate::pos::ProofError;
use crate::wire::{PlotPool, ProofBody, ProofOfSpace};

/// Made with official types and the official plotter, see make_simulated_chain.py.
fn vectors() -> Json {
    serde_json::from_str(include_str!("../../tests/vectors/simulated_chain.json")).unwrap()
}

const INTERVAL: Duration = Duration::from_secs(2);
const START: Now = Now {
    mono: Mono(5_000_000),
    unix: UnixMillis(1_700_000_000_000),
};
const FARMER_TARGET: PuzzleHash = PuzzleHash([0xfa; 32]);
const POOL_TARGET: PuzzleHash = PuzzleHash([0x71; 32]);

/// A simulated chain and the time on it.
struct World {
    chain: SimulatedChain,
    now: Now,
    points: Vec<NewSignagePoint>,
}

impl World {
    fn new(constants: Constants) -> Self {
        let chain = SimulatedChain::new(constants, "simulator1", 1, INTERVAL).unwrap();
        Self {
            chain,
            now: START,
            points: Vec::new(),
        }
    }

    fn simulator1() -> Self {
        Self::new(Constants::for_network("simulator1").unwrap())
    }

    /// Lets time pass until signage point `number` (from 0) has been given.
    fn run_to(&mut self, number: usize) {
        while self.points.len() <= number {
            let point = self.chain.handle_timeout(self.now).expect("a point was due");
            self.points.push(point);
            self.now = self.now.after(INTERVAL);
        }
    }

    /// Runs to the signage point of a proof and declares it.
    fn declaration(&mut self, farm: &Farm, number: usize, proof: ProofOfSpace) -> DeclareProofOfSpace {
        self.run_to(number);
        farm.declare(&self.points[number], proof)
    }

    fn declare(&mut self, declare: &DeclareProofOfSpace) -> Result<RequestSignedValues, DeclareRefused> {
        self.chain.handle_declare(self.now, declare)
    }

    fn signed(&mut self, values: &SignedValues) -> Result<WonBlock, SignedValuesRefused> {
        self.chain.handle_signed_values(self.now, values)
    }

    fn refused(&self, reason: RefusalReason) -> u64 {
        self.chain.view().refused.get(&reason).copied().unwrap_or(0)
    }
}

/// Who holds the keys of a plot.
struct Farm {
    plot_public_key: PublicKey,
    shares: Vec<SecretKey>,
    pool: PlotPool,
    pool_sk: SecretKey,
}

impl Farm {
    fn new(kind: &str) -> Self {
        let vectors: Json = serde_json::from_str(include_str!("../../tests/vectors/constants_vectors.json")).unwrap();
        let keys = &vectors["keys"];
        let secret = |name: &str| {
            let bytes: Bytes32 = keys[name]["sk"].as_str().unwrap().parse().unwrap();
            SecretKey::from_bytes(&bytes.0).unwrap()
        };
        let mut shares = vec![secret("local"), secret("farmer")];
        let pool_sk = secret("pool");
        let pool = if kind == "contract" {
            shares.push(secret("taproot"));
            PlotPool::Contract(keys["pool_contract_puzzle_hash"].as_str().unwrap().parse().unwrap())
        } else {
            PlotPool::PublicKey(pool_sk.public_key().to_g1())
        };
        let public: Vec<PublicKey> = shares.iter().map(SecretKey::public_key).collect();
        let plot_public_key = PublicKey::aggregate(&public.iter().collect::<Vec<_>>());
        Self {
            plot_public_key,
            shares,
            pool,
            pool_sk,
        }
    }

    fn sign(&self, message: &[u8]) -> G2Bytes {
        let shares: Vec<_> = self
            .shares
            .iter()
            .map(|sk| sign_prepend(sk, &self.plot_public_key, message))
            .collect();
        Signature::aggregate(&shares).to_g2()
    }

    fn declare(&self, point: &NewSignagePoint, proof_of_space: ProofOfSpace) -> DeclareProofOfSpace {
        let target = PoolTarget {
            puzzle_hash: POOL_TARGET,
            max_height: 0,
        };
        let og = self.pool.public_key().is_some();
        DeclareProofOfSpace {
            challenge_hash: point.challenge_hash,
            challenge_chain_sp: point.challenge_chain_sp,
            signage_point_index: point.signage_point_index,
            reward_chain_sp: point.reward_chain_sp,
            proof_of_space,
            challenge_chain_sp_signature: self.sign(point.challenge_chain_sp.as_bytes()),
            reward_chain_sp_signature: self.sign(point.reward_chain_sp.as_bytes()),
            farmer_puzzle_hash: FARMER_TARGET,
            pool_signature: og.then(|| sign(&self.pool_sk, &target.to_bytes()).to_g2()),
            pool_target: og.then_some(target),
            include_signature_source_data: false,
        }
    }

    fn sign_values(&self, request: &RequestSignedValues) -> SignedValues {
        SignedValues {
            quality_string: request.quality_string,
            foliage_block_data_signature: self.sign(request.foliage_block_data_hash.as_bytes()),
            foliage_transaction_block_signature: self.sign(request.foliage_transaction_block_hash.as_bytes()),
        }
    }
}

/// A proof that official code found for a signage point of seed 1.
struct Found {
    kind: String,
    number: usize,
    proof: ProofOfSpace,
    quality: QualityString,
    required_iters: u64,
    wins: bool,
}

fn found() -> Vec<Found> {
    let vectors = vectors();
    let proofs = vectors["proofs"].as_array().unwrap().iter();
    let mut found: Vec<Found> = proofs
        .map(|json| Found {
            kind: json["kind"].as_str().unwrap().to_owned(),
            number: json["signage_point"].as_u64().unwrap().try_into().unwrap(),
            proof: ProofOfSpace::from_bytes(&hex::decode(json["proof_of_space"].as_str().unwrap()).unwrap()).unwrap(),
            quality: json["quality"].as_str().unwrap().parse().unwrap(),
            required_iters: json["required_iters"].as_u64().unwrap(),
            wins: json["wins"].as_bool().unwrap(),
        })
        .collect();
    found.sort_by_key(|found| found.number);
    found
}

fn first(kind: &str, wins: bool) -> Found {
    found()
        .into_iter()
        .find(|found| found.kind == kind && found.wins == wins)
        .unwrap()
}

#[test]
fn signage_points_equal_those_made_of_official_types() {
    let mut world = World::simulator1();
    world.run_to(199);
    let vectors = vectors();
    let official = vectors["signage_points"].as_array().unwrap();
    assert_eq!(official.len(), 200);
    for (number, (ours, official)) in world.points.iter().zip(official).enumerate() {
        let (ours, official) = (ours.to_bytes(), official.as_str().unwrap());
        let ours = if official.len() == 64 {
            crypto::sha256(&[&ours]).to_vec()
        } else {
            ours
        };
        assert_eq!(hex::encode(ours), official, "signage point {number}");
    }
}

#[test]
fn seed_decides_the_points_and_pace_does_not() {
    let points = |network: &str, seed, interval| {
        let constants = Constants::for_network("simulator1").unwrap();
        let mut chain = SimulatedChain::new(constants, network, seed, interval).unwrap();
        let mut now = START;
        std::iter::from_fn(|| {
            let point = chain.handle_timeout(now);
            now = now.after(interval);
            point
        })
        .take(70)
        .collect::<Vec<_>>()
    };
    let reference = points("simulator1", 7, INTERVAL);
    assert_eq!(reference, points("simulator1", 7, Duration::from_millis(1)));
    assert!(
        reference
            .iter()
            .zip(points("simulator1", 8, INTERVAL))
            .all(|(a, b)| { a.challenge_hash != b.challenge_hash && a.challenge_chain_sp != b.challenge_chain_sp })
    );
}

#[test]
fn points_come_at_their_pace_and_a_long_sleep_is_not_made_up_for() {
    let mut world = World::simulator1();
    let chain = &mut world.chain;
    assert!(chain.poll_timeout().unwrap() <= START.mono);
    assert!(chain.handle_timeout(START).is_some());
    // Asked a little late, the chain keeps its beat.
    let late = START.after(Duration::from_millis(300));
    assert_eq!(chain.poll_timeout(), Some(late.mono + Duration::from_millis(1700)));
    assert!(chain.handle_timeout(late).is_none());
    let second = START.after(Duration::from_millis(2300));
    assert_eq!(chain.handle_timeout(second).unwrap().signage_point_index, 1);
    let on_beat = START.after(Duration::from_millis(4300)).mono;
    assert!(chain.poll_timeout().unwrap() < on_beat);
    let woken = START.after(Duration::from_secs(3600));
    assert_eq!(chain.handle_timeout(woken).unwrap().signage_point_index, 2);
    assert!(chain.handle_timeout(woken).is_none());
    assert_eq!(chain.poll_timeout(), Some(woken.mono + INTERVAL));
    assert_eq!(chain.view().signage_points, 3);
}

#[test]
fn real_v1_proofs_win_blocks() {
    let mut world = World::simulator1();
    let mut heights = Vec::new();
    for found in found().into_iter().filter(|found| found.wins) {
        let farm = Farm::new(&found.kind);
        let declare = world.declaration(&farm, found.number, found.proof.clone());
        let request = world.declare(&declare).unwrap();
        assert_eq!(request.quality_string, found.quality);
        let block = world.signed(&farm.sign_values(&request)).unwrap();
        assert_eq!(
            (block.required_iters, block.quality_string),
            (found.required_iters, found.quality)
        );
        assert_eq!(
            (block.plot_id, block.farmer_puzzle_hash),
            (found.proof.plot_id(), FARMER_TARGET)
        );
        let pool_puzzle_hash = found.proof.pool.contract().copied().unwrap_or(POOL_TARGET);
        assert_eq!((block.pool_puzzle_hash, block.at), (pool_puzzle_hash, world.now));
        assert_eq!(
            block.is_transaction_block,
            request.foliage_transaction_block_hash != Bytes32::default()
        );
        heights.push(block.height.0);
        let view = world.chain.view();
        assert_eq!(view.last_block, Some(block));
        assert_eq!(view.peak_height.0, heights[heights.len() - 1]);
    }
    assert_eq!(heights, [1001, 1002, 1003, 1004, 1005, 1006]);
    let view = world.chain.view();
    assert_eq!(
        (view.declared, view.blocks_won, view.pending, view.never_signed),
        (6, 6, 0, 0)
    );
    assert_eq!(view.refused, BTreeMap::new());
    // Later signage points carry the new heights.
    world.run_to(99);
    assert_eq!(world.points[99].peak_height, Height(1006));
    assert_eq!(world.points[99].last_tx_height, view.last_tx_height);
}

#[test]
fn transaction_blocks_are_apart_by_an_infusion() {
    // Signage points 27, 31, 41 and 67, 70, 85: only 70 comes before the infusion of the one before it.
    let mut world = World::simulator1();
    let mut transaction_blocks = Vec::new();
    let mut timestamps = Vec::new();
    for found in found().into_iter().filter(|found| found.wins) {
        let farm = Farm::new(&found.kind);
        let mut declare = world.declaration(&farm, found.number, found.proof);
        declare.include_signature_source_data = true;
        let request = world.declare(&declare).unwrap();
        timestamps.extend(
            request
                .foliage_transaction_block_data
                .as_ref()
                .map(|block| block.timestamp),
        );
        if world.signed(&farm.sign_values(&request)).unwrap().is_transaction_block {
            transaction_blocks.push(found.number);
        }
    }
    assert_eq!(transaction_blocks, [27, 31, 41, 67, 85]);
    assert_eq!(timestamps.len(), 5);
    assert!(timestamps.is_sorted_by(|a, b| a < b) && timestamps[0] > START.unix.seconds());
}

#[test]
fn source_data_is_sent_when_asked_for_and_its_hashes_are_those_to_sign() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    let mut declare = world.declaration(&farm, found.number, found.proof.clone());
    let bare = world.declare(&declare).unwrap();
    assert_eq!((bare.foliage_block_data, bare.rc_block_unfinished), (None, None));
    assert_eq!(bare.foliage_transaction_block_data, None);

    declare.include_signature_source_data = true;
    let request = world.declare(&declare).unwrap();
    assert_eq!(request.foliage_block_data_hash, bare.foliage_block_data_hash);
    let foliage = request.foliage_block_data.unwrap();
    assert_eq!(foliage.get_hash(), request.foliage_block_data_hash);
    assert_eq!(foliage.farmer_reward_puzzle_hash, FARMER_TARGET);
    assert_eq!(
        (Some(foliage.pool_target), foliage.pool_signature),
        (declare.pool_target, declare.pool_signature)
    );
    let transactions = request.foliage_transaction_block_data.unwrap();
    assert_eq!(transactions.get_hash(), request.foliage_transaction_block_hash);
    assert_eq!(transactions.timestamp, world.now.unix.seconds());

    let rc_block = request.rc_block_unfinished.unwrap();
    assert_eq!(rc_block.get_hash(&found.quality), foliage.unfinished_reward_block_hash);
    assert_eq!(rc_block.proof_of_space, found.proof);
    let outputs = world.points[found.number]
        .sp_source_data
        .clone()
        .unwrap()
        .vdf_data
        .unwrap();
    let vdf = rc_block.challenge_chain_sp_vdf.unwrap();
    assert_eq!(
        (vdf.challenge.0, vdf.output),
        (declare.challenge_hash.0, outputs.cc_vdf)
    );
    let number = u64::try_from(found.number).unwrap();
    assert_eq!(vdf.number_of_iterations, 1024 * (number % 64));
    assert_eq!(rc_block.reward_chain_sp_vdf.unwrap().output, outputs.rc_vdf);
    // Two sub-slots lie before the first signage point, three intervals between a signage point and infusion.
    let infusion = 2 * 65536 + 1024 * (number + 3) + found.required_iters;
    assert_eq!(rc_block.total_iters, u128::from(infusion));
}

#[test]
fn proofs_that_win_nothing_are_refused() {
    for kind in ["og", "contract"] {
        let found = first(kind, false);
        let mut world = World::simulator1();
        let declare = world.declaration(&Farm::new(kind), found.number, found.proof);
        let expected = DeclareRefused::NotGoodEnough {
            required_iters: found.required_iters,
            sp_interval_iters: 1024,
        };
        assert_eq!(world.declare(&declare), Err(expected));
        assert_eq!(world.refused(RefusalReason::NotGoodEnough), 1);
        assert_eq!(world.chain.view().pending, 0);
    }
}

#[test]
fn what_a_node_would_ignore_is_refused_by_name() {
    type Change = fn(&mut DeclareProofOfSpace);
    let cases: &[(Change, &str)] = &[
        (
            |d| d.challenge_chain_sp.0[0] ^= 1,
            "is not one of this chain, or older than three sub-slots",
        ),
        (|d| d.signage_point_index ^= 1, "the signage point has index 41, got 40"),
        (
            |d| d.challenge_hash.0[31] ^= 1,
            "the signage point belongs to challenge ",
        ),
        (
            |d| d.reward_chain_sp.0[31] ^= 1,
            "the signage point in the reward chain is ",
        ),
        (
            |d| d.proof_of_space.challenge.0[0] ^= 1,
            "invalid proof of space: the plot is to be asked with challenge",
        ),
        (
            |d| {
                if let ProofBody::V1 { proof, .. } = &mut d.proof_of_space.body {
                    proof[70] ^= 1;
                }
            },
            "invalid proof of space: invalid v1 proof: ",
        ),
        (
            |d| d.challenge_chain_sp_signature = d.reward_chain_sp_signature,
            "the signature of the challenge chain signage point is not one of the plot public key",
        ),
        (
            |d| d.reward_chain_sp_signature = d.challenge_chain_sp_signature,
            "the signature of the reward chain signage point is not one of the plot public key",
        ),
        (
            |d| d.challenge_chain_sp_signature = G2Bytes([0xff; 96]),
            "the signature of the challenge chain signage point is not one of the plot public key",
        ),
        (|d| d.pool_target = None, "pool target or its signature is missing"),
        (|d| d.pool_signature = None, "pool target or its signature is missing"),
        (
            |d| d.pool_signature = Some(d.reward_chain_sp_signature),
            "the signature of the pool target is not one",
        ),
        (
            |d| d.pool_target.as_mut().unwrap().puzzle_hash.0[0] ^= 1,
            "the signature of the pool target is not one",
        ),
        (
            |d| d.pool_target.as_mut().unwrap().max_height = 1000,
            "the pool target was valid up to height 1000, the block has height 1001",
        ),
    ];
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    let good = world.declaration(&farm, found.number, found.proof);
    for (change, message) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let refused = world.declare(&bad).unwrap_err().to_string();
        assert!(refused.contains(message), "expected {message:?}, got {refused:?}");
    }
    let view = world.chain.view();
    assert_eq!((view.declared, view.pending, view.blocks_won), (14, 0, 0));
    let expected = [
        (RefusalReason::UnknownSignagePoint, 1),
        (RefusalReason::SignagePointMismatch, 3),
        (RefusalReason::InvalidProof, 2),
        (RefusalReason::WrongSignature, 3),
        (RefusalReason::WrongPoolTarget, 5),
    ];
    assert_eq!(view.refused, BTreeMap::from(expected));
    // None of it does any harm to the good one.
    assert!(world.declare(&good).is_ok());
}

#[test]
fn keys_that_are_no_points_are_refused() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    let good = world.declaration(&farm, found.number, found.proof);
    let mut bad = good.clone();
    bad.proof_of_space.plot_public_key.0 = [0xff; 48];
    // Another key is another plot, so the proof falls before the key is looked at.
    let refused = world.declare(&bad).unwrap_err();
    assert!(
        matches!(refused, DeclareRefused::InvalidProof(ProofError::WrongChallenge { .. })),
        "{refused}"
    );
    assert_eq!(
        check_signatures(&bad, Height(1001)),
        Err(DeclareRefused::InvalidPlotPublicKey {
            got: bad.proof_of_space.plot_public_key
        })
    );
    let mut bad = good;
    bad.proof_of_space.pool = PlotPool::PublicKey(crate::wire::G1Bytes([0xff; 48]));
    assert_eq!(
        check_signatures(&bad, Height(1001)),
        Err(DeclareRefused::WrongPoolSignature)
    );
}

#[test]
fn contract_plots_have_no_pool_target() {
    let found = first("contract", true);
    let farm = Farm::new("contract");
    let mut world = World::simulator1();
    let good = world.declaration(&farm, found.number, found.proof);
    let target = PoolTarget {
        puzzle_hash: POOL_TARGET,
        max_height: 0,
    };
    let with_target = DeclareProofOfSpace {
        pool_target: Some(target),
        ..good.clone()
    };
    assert_eq!(
        world.declare(&with_target),
        Err(DeclareRefused::PoolTargetOfContractPlot)
    );
    let signed = DeclareProofOfSpace {
        pool_signature: Some(good.reward_chain_sp_signature),
        ..good
    };
    assert_eq!(world.declare(&signed), Err(DeclareRefused::PoolTargetOfContractPlot));
}

#[test]
fn wrong_foliage_signatures_are_refused_and_right_ones_may_follow() {
    let found = first("contract", true);
    let farm = Farm::new("contract");
    let mut world = World::simulator1();
    let declare = world.declaration(&farm, found.number, found.proof);
    let request = world.declare(&declare).unwrap();
    let good = farm.sign_values(&request);
    let swapped = SignedValues {
        foliage_block_data_signature: good.foliage_transaction_block_signature,
        foliage_transaction_block_signature: good.foliage_block_data_signature,
        ..good.clone()
    };
    let wrong = |what| Err(SignedValuesRefused::WrongSignature { what });
    assert_eq!(world.signed(&swapped), wrong(PlotSigned::FoliageBlockData));
    let half = SignedValues {
        foliage_transaction_block_signature: G2Bytes([0; 96]),
        ..good.clone()
    };
    assert_eq!(world.signed(&half), wrong(PlotSigned::FoliageTransactionBlock));
    let stranger = QualityString([9; 32]);
    let not_asked = |quality_string| Err(SignedValuesRefused::NotAskedFor { quality_string });
    assert_eq!(
        world.signed(&SignedValues {
            quality_string: stranger,
            ..good.clone()
        }),
        not_asked(stranger)
    );
    assert_eq!(world.chain.view().blocks_won, 0);
    assert!(world.signed(&good).is_ok());
    assert_eq!(world.signed(&good), not_asked(found.quality));
    assert_eq!(world.refused(RefusalReason::WrongFoliageSignature), 2);
    assert_eq!(world.refused(RefusalReason::NotAskedFor), 2);
    assert_eq!(world.chain.view().blocks_won, 1);
}

#[test]
fn a_proof_wins_once_and_the_last_declaration_counts() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    let first = world.declaration(&farm, found.number, found.proof);
    let stale = world.declare(&first).unwrap();
    let second = DeclareProofOfSpace {
        farmer_puzzle_hash: PuzzleHash([2; 32]),
        ..first
    };
    let request = world.declare(&second).unwrap();
    assert_eq!(world.chain.view().pending, 1);
    assert!(world.signed(&farm.sign_values(&stale)).is_err());
    let block = world.signed(&farm.sign_values(&request)).unwrap();
    assert_eq!(block.farmer_puzzle_hash, PuzzleHash([2; 32]));
    assert_eq!(
        world.declare(&second),
        Err(DeclareRefused::AlreadyWon {
            quality_string: found.quality
        })
    );
    assert_eq!(world.refused(RefusalReason::AlreadyWon), 1);
}

#[test]
fn blocks_are_lost_when_their_infusion_point_has_passed() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    // Infusion comes three intervals and a bit after the signage point.
    world.run_to(found.number + 3);
    let declare = farm.declare(&world.points[found.number], found.proof);
    let request = world.declare(&declare).unwrap();
    world.run_to(found.number + 4);
    assert_eq!((world.chain.view().pending, world.chain.view().never_signed), (0, 1));
    assert!(world.signed(&farm.sign_values(&request)).is_err());
    let index = declare.signage_point_index;
    assert_eq!(
        world.declare(&declare),
        Err(DeclareRefused::TooLate {
            signage_point_index: index
        })
    );
    assert_eq!(world.refused(RefusalReason::TooLate), 1);
}

#[test]
fn three_sub_slots_of_points_are_remembered_and_no_more() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    world.run_to(found.number + POINTS_KEPT - 1);
    let declare = farm.declare(&world.points[found.number], found.proof);
    assert!(matches!(world.declare(&declare), Err(DeclareRefused::TooLate { .. })));
    world.run_to(found.number + POINTS_KEPT);
    assert!(matches!(
        world.declare(&declare),
        Err(DeclareRefused::UnknownSignagePoint { .. })
    ));
    assert_eq!(world.chain.points.len(), POINTS_KEPT);
}

#[test]
fn only_so_many_blocks_may_wait_for_signatures() {
    let found = first("og", true);
    let farm = Farm::new("og");
    let mut world = World::simulator1();
    let declare = world.declaration(&farm, found.number, found.proof);
    world.declare(&declare).unwrap();
    let candidate = world.chain.pending.remove(&found.quality).unwrap();
    for i in 0..MAX_PENDING {
        let quality = QualityString(crypto::sha256(&[&i.to_be_bytes()]));
        world.chain.pending.insert(quality, candidate.clone());
    }
    assert_eq!(
        world.declare(&declare),
        Err(DeclareRefused::TooManyPending { limit: MAX_PENDING })
    );
    world.run_to(found.number + 4);
    assert_eq!(world.chain.view().never_signed, u64::try_from(MAX_PENDING).unwrap());
}

#[test]
fn real_v2_proofs_win_blocks_where_v2_is_active() {
    for kind in ["og", "contract"] {
        let farm = Farm::new(kind);
        let c = Constants {
            hard_fork2_height: Height(6),
            plot_size_v2: 18,
            // A proof of so small a plot wins one time in three.
            difficulty_constant_factor: 65_000_000,
            ..Constants::for_network("simulator1").unwrap()
        };
        let plot = V2Plot::make(&farm, c.testnet);
        let mut world = World::new(c);
        let (mut won, mut filtered, mut too_many_iters) = (0, 0, 0);
        for number in 0..32 {
            world.run_to(number);
            let point = world.points[number].clone();
            for proof in plot.proofs(&point) {
                match world.declare(&farm.declare(&point, proof)) {
                    Ok(request) => {
                        world.signed(&farm.sign_values(&request)).unwrap();
                        won += 1;
                    }
                    Err(DeclareRefused::InvalidProof(ProofError::PlotFilterV2 { .. })) => filtered += 1,
                    Err(DeclareRefused::NotGoodEnough { .. }) => too_many_iters += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
        assert!(
            won > 0 && filtered > won && too_many_iters > 0,
            "{won} {filtered} {too_many_iters}"
        );
        assert_eq!(world.chain.view().blocks_won, won);
    }
}

#[test]
fn v2_proofs_are_refused_where_v2_is_not_active() {
    let farm = Farm::new("og");
    let c = Constants {
        plot_size_v2: 18,
        ..Constants::for_network("simulator1").unwrap()
    };
    let plot = V2Plot::make(&farm, c.testnet);
    let mut world = World::new(c);
    world.run_to(20);
    let point = world.points[20].clone();
    let refused = world.declare(&farm.declare(&point, plot.proof_of_space(PosChallenge::default(), vec![])));
    assert!(matches!(
        refused,
        Err(DeclareRefused::InvalidProof(ProofError::V2NotActive { .. }))
    ));
}

/// A real v2 plot of k18, made anew in every run.
struct V2Plot {
    prover: chia_pos2::Prover,
    testnet: bool,
    pool: PlotPool,
    plot_public_key: crate::wire::G1Bytes,
    _dir: tempfile::TempDir,
}

impl V2Plot {
    const K: u8 = 18;
    const STRENGTH: u8 = 2;
    const META_GROUP: u8 = 3;

    fn make(farm: &Farm, testnet: bool) -> Self {
        let (pool, plot_public_key) = (farm.pool, farm.plot_public_key.to_g1());
        let group = crate::wire::plot_group_id_v2(Self::STRENGTH, &plot_public_key, &pool);
        let id = crate::wire::plot_id_v2(&group, 0, Self::META_GROUP);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v2.plot");
        let memo = [0; 112];
        chia_pos2::create_v2_plot(
            &path,
            Self::K,
            Self::STRENGTH,
            &id.0,
            0,
            Self::META_GROUP,
            &memo,
            testnet,
        )
        .unwrap();
        Self {
            prover: chia_pos2::Prover::new(&path).unwrap(),
            testnet,
            pool,
            plot_public_key,
            _dir: dir,
        }
    }

    fn proofs(&self, point: &NewSignagePoint) -> Vec<ProofOfSpace> {
        let id = PlotId(*self.prover.plot_id());
        let challenge = crate::pos::filter::pos_challenge(&id, &point.challenge_hash, &point.challenge_chain_sp);
        let chains = self.prover.get_qualities_for_challenge(&challenge.0).unwrap();
        let solve = |chain| chia_pos2::solve_proof(chain, &id.0, Self::K, Self::STRENGTH, self.testnet);
        chains
            .iter()
            .map(|chain| self.proof_of_space(challenge, solve(chain)))
            .collect()
    }

    fn proof_of_space(&self, challenge: PosChallenge, proof: Vec<u8>) -> ProofOfSpace {
        let body = ProofBody::V2 {
            plot_index: 0,
            meta_group: Self::META_GROUP,
            strength: Self::STRENGTH,
            proof,
        };
        ProofOfSpace {
            challenge,
            pool: self.pool,
            plot_public_key: self.plot_public_key,
            body,
        }
    }
}

#[test]
fn only_simulator_networks_at_a_possible_pace_are_simulated() {
    let new = |network, interval| {
        SimulatedChain::new(Constants::default(), network, 1, interval)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(new("simulator-of-mine", SHORTEST_INTERVAL), Ok(()));
    assert_eq!(
        new("mainnet", INTERVAL),
        Err(
            r#"network "mainnet" cannot be simulated: only networks whose name begins with "simulator" can"#.to_owned()
        )
    );
    assert!(
        new("simulator1", Duration::ZERO)
            .unwrap_err()
            .contains("the shortest interval is 1ms")
    );
}

#[test]
fn extreme_constants_do_no_harm() {
    for (extra, ssi, height) in [(0, 64, 0), (63, u64::MAX - 63, u32::MAX), (3, 1 << 63, 0)] {
        let c = Constants {
            num_sp_intervals_extra: extra,
            sub_slot_iters_starting: crate::units::SubSlotIters(ssi),
            hard_fork_height: Height(height),
            difficulty_constant_factor: u128::MAX,
            ..Constants::for_network("simulator1").unwrap()
        };
        let mut world = World::new(c);
        world.run_to(200);
        assert_eq!(world.points[200].signage_point_index, 200 % 64);
    }
}
