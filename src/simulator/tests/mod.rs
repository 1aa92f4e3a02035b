//! Tests of the simulated chain: here a small world around it, in the files what must hold in it.

mod blocks;
mod points;
mod refusals;

use serde_json::Value as Json;

use super::*;
use crate::clock::UnixMillis;
use crate::crypto::{SecretKey, sign, sign_prepend};
use crate::ids::{Bytes32, PlotId, PosChallenge, PuzzleHash};
use crate::pos::ProofError;
use crate::wire::{PlotPool, ProofBody, ProofOfSpace};

/// Made with official types and the official plotter, see make_simulated_chain.py.
fn vectors() -> Json {
    serde_json::from_str(include_str!("../../../tests/vectors/simulated_chain.json")).unwrap()
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
        let vectors: Json =
            serde_json::from_str(include_str!("../../../tests/vectors/constants_vectors.json")).unwrap();
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
