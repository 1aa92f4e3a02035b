//! The way from a proof to a block.

use super::*;

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
