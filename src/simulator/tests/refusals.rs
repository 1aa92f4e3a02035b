//! What is refused, and under which name.

use super::*;

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
