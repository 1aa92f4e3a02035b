//! The targets without a fuzzer: every seed is good, damaged seeds break no property, and counts that lie cost nothing.

use farmconsole::wire::{FromHarvester, Message, MessageType, Streamable, ToHarvester};
use farmconsole_fuzz::{memory, seeds};

fn run(target: &str, input: &[u8]) -> bool {
    match target {
        "message" => farmconsole_fuzz::message_target(input),
        "from_harvester" => farmconsole_fuzz::from_harvester_target(input),
        "to_harvester" => farmconsole_fuzz::to_harvester_target(input),
        "full_node" => farmconsole_fuzz::full_node_target(input),
        "parts" => farmconsole_fuzz::parts_target(input),
        "plot_header" => farmconsole_fuzz::plot_header_target(input),
        "compressed_park" => farmconsole_fuzz::compressed_park_target(input),
        "token" => farmconsole_fuzz::token_target(input),
        "enrol" => farmconsole_fuzz::enrol_target(input),
        #[cfg(feature = "net")]
        "request" => farmconsole_fuzz::request_target(input),
        other => panic!("no target {other}"),
    }
}

#[test]
fn every_seed_is_good_input_of_its_target() {
    let seeds = seeds();
    for target in [
        "message",
        "from_harvester",
        "to_harvester",
        "full_node",
        "parts",
        "plot_header",
        "compressed_park",
        "token",
        "enrol",
        #[cfg(feature = "net")]
        "request",
    ] {
        assert!(
            seeds.iter().filter(|seed| seed.target == target).count() > 5,
            "{target}"
        );
    }
    for seed in seeds {
        assert!(run(seed.target, &seed.input), "{} of {}", seed.name, seed.target);
    }
}

/// Each byte of each seed is replaced by the values that matter to prefixes, counts and lengths.
#[test]
fn no_single_damaged_byte_breaks_a_property() {
    for seed in seeds() {
        let mut input = seed.input.clone();
        for place in 0..input.len() {
            let good = input[place];
            for bad in [0, 1, 2, 0x7f, 0xff, good.wrapping_add(1)] {
                input[place] = bad;
                run(seed.target, &input);
            }
            input[place] = good;
        }
    }
}

#[test]
fn lying_counts_cost_nothing() {
    let lie = [0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    let free = |peak: usize, what: &str| assert_eq!(peak, 0, "{what}");
    free(memory::peak_of(|| Vec::<u8>::from_bytes(&lie).is_err()).0, "bytes");
    free(memory::peak_of(|| Vec::<String>::from_bytes(&lie).is_err()).0, "list");
    free(memory::peak_of(|| String::from_bytes(&lie).is_err()).0, "text");
    free(
        memory::peak_of(|| Message::parse(&[1, 0, 0xff, 0xff, 0xff, 0xff, 0]).is_err()).0,
        "frame",
    );
    for kind in MessageType::ALL {
        // Before its first list, no message of a harvester or to one has more than 81 bytes.
        for before in 0..=81 {
            let data = [vec![0; before].as_slice(), &lie].concat();
            let message = Message {
                kind: kind.as_u8(),
                id: None,
                data,
            };
            memory::assert_bounded(0, || FromHarvester::decode(&message));
            memory::assert_bounded(0, || ToHarvester::decode(&message));
        }
    }
}

/// A count that fits is still not believed: no more is reserved at once than the input has bytes.
#[test]
fn counts_that_fit_reserve_no_more_than_the_input_has() {
    // The worst list of all: options take one byte on the wire, these 33 in memory. The first item is bad.
    let mut bytes = 100_000u32.to_be_bytes().to_vec();
    bytes.push(2);
    bytes.resize(4 + 100_000, 0);
    let (peak, result) = memory::peak_of(|| Vec::<Option<[u8; 32]>>::from_bytes(&bytes));
    assert!(result.is_err());
    assert!(peak > 0 && peak <= bytes.len(), "{peak}");
}
