//! What signage points there are and when they come.

use super::*;

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
