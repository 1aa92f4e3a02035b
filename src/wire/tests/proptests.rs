//! Properties of every value and of every input, with proptest.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Seed, Specimen, properties};
use crate::units::PlotSize;
use crate::wire::plot_sync::PlotSyncResponse;
use crate::wire::{
    FromFullNode, FromHarvester, G1Bytes, Handshake, HarvesterHandshake, HarvesterLayout, Message, MessageType,
    NewProofOfSpace, NewSignagePoint, PartialProofsData, Plot, PlotSync, ProofOfSpace, RequestSignatures,
    RewardChainBlockUnfinished, SignagePointFilter, SignagePointSourceData, SolverInfo, SolverResponse, Streamable,
    ToFullNode, ToHarvester, WireError,
};

/// A value, its bytes, and that all properties hold for them.
fn round_trip<T: Streamable + Specimen + PartialEq + Debug>(seed: &[u8]) {
    let value = T::grow(&mut Seed(seed));
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes), Ok(value));
    assert!(properties::streamable::<T>(&bytes));
}

/// A value, its JSON as recordings have it, also with what looks at any JSON in between, and the value again.
fn round_trip_as_json<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
    let any: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(&serde_json::from_value::<T>(any).unwrap(), value);
}

proptest! {
    #[test]
    fn what_is_recorded_round_trips_as_json(seed in vec(any::<u8>(), 0..600)) {
        round_trip_as_json(&FromHarvester::grow(&mut Seed(&seed)));
        match FromFullNode::grow(&mut Seed(&seed)) {
            FromFullNode::NewSignagePoint(signage_point) => round_trip_as_json(&signage_point),
            FromFullNode::RequestSignedValues(request) => round_trip_as_json(&request),
        }
    }

    #[test]
    fn parts_round_trip(seed in vec(any::<u8>(), 0..400)) {
        round_trip::<Handshake>(&seed);
        round_trip::<ProofOfSpace>(&seed);
        round_trip::<RewardChainBlockUnfinished>(&seed);
        round_trip::<SignagePointSourceData>(&seed);
        round_trip::<SolverInfo>(&seed);
        round_trip::<SolverResponse>(&seed);
        round_trip::<Vec<Option<(u128, String)>>>(&seed);
    }

    #[test]
    fn messages_of_a_harvester_round_trip(seed in vec(any::<u8>(), 0..400), id: Option<u16>) {
        let value = FromHarvester::grow(&mut Seed(&seed));
        let message = value.encode(id, HarvesterLayout::V38);
        prop_assert_eq!(FromHarvester::decode(&message), Ok(Some(value.clone())));
        prop_assert!(properties::from_harvester(&message));

        // The older layout loses the place in the group and nothing else.
        let older = value.encode(id, HarvesterLayout::V36);
        prop_assert_eq!(&older, &value.encode(id, HarvesterLayout::V37));
        prop_assert!(properties::from_harvester(&older));
        let mut expected = value;
        forget_place_in_group(&mut expected);
        prop_assert_eq!(FromHarvester::decode(&older), Ok(Some(expected)));
    }

    #[test]
    fn messages_to_a_harvester_round_trip(seed in vec(any::<u8>(), 0..400), id: Option<u16>) {
        let mut value = ToHarvester::grow(&mut Seed(&seed));
        if let ToHarvester::PlotSyncResponse(response) = &mut value {
            // The number of the older form does not exist inside.
            if response.message_type == i16::from(MessageType::PlotSyncLoaded.as_u8()) {
                response.message_type = 0;
            }
        }
        let message = value.encode(id, HarvesterLayout::V38);
        prop_assert_eq!(ToHarvester::decode(&message), Ok(Some(value.clone())));
        prop_assert!(properties::to_harvester(&message));

        let v37 = value.encode(id, HarvesterLayout::V37);
        prop_assert!(properties::to_harvester(&v37));
        if let ToHarvester::NewSignagePoint(signage_point) = &mut value
            && let SignagePointFilter::Heights { filter_challenge, .. } = &mut signage_point.filter
        {
            *filter_challenge = None;
        }
        prop_assert_eq!(ToHarvester::decode(&v37), Ok(Some(value)));
    }

    #[test]
    fn messages_of_and_to_a_node_round_trip(seed in vec(any::<u8>(), 0..600), id: Option<u16>) {
        let value = FromFullNode::grow(&mut Seed(&seed));
        let message = value.encode(id);
        prop_assert_eq!(FromFullNode::decode(&message), Ok(Some(value)));
        prop_assert!(properties::from_full_node(&message));

        let value = ToFullNode::grow(&mut Seed(&seed));
        let message = value.encode(id);
        prop_assert_eq!(ToFullNode::decode(&message), Ok(Some(value)));
        prop_assert!(properties::to_full_node(&message));
    }

    /// A signage point without the fields that came last is the same question.
    #[test]
    fn signage_points_of_older_nodes_are_read(seed in vec(any::<u8>(), 0..600)) {
        let mut expected = NewSignagePoint::grow(&mut Seed(&seed));
        expected.filter_challenge = None;
        let bytes = expected.to_bytes();
        let up_to_2_7_3 = &bytes[..bytes.len() - 1];
        prop_assert_eq!(NewSignagePoint::from_bytes(up_to_2_7_3), Ok(expected.clone()));
        let up_to_2_5_4 = properties::without_last_tx_height(up_to_2_7_3);
        expected.last_tx_height = expected.peak_height;
        prop_assert_eq!(NewSignagePoint::from_bytes(&up_to_2_5_4), Ok(expected));
        let message = Message { kind: MessageType::NewSignagePoint.as_u8(), id: None, data: up_to_2_5_4 };
        prop_assert!(properties::from_full_node(&message));
    }

    #[test]
    fn envelopes_round_trip(seed in vec(any::<u8>(), 0..100)) {
        let message = Message::grow(&mut Seed(&seed));
        prop_assert_eq!(Message::parse(&message.to_bytes()), Ok(message.clone()));
        prop_assert!(properties::envelope(&message.to_bytes()));
    }

    /// Any number with any payload, in every direction: refused or ignored or good, but no panic.
    #[test]
    fn garbage_never_panics(kind: u8, data in vec(any::<u8>(), 0..300)) {
        every_direction(&Message { kind, id: None, data: data.clone() });
        properties::envelope(&data);
    }

    /// Good messages with a few bytes changed come much further than garbage.
    #[test]
    fn damaged_messages_never_panic(
        seed in vec(any::<u8>(), 0..400),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for mut message in [
            FromHarvester::grow(&mut Seed(&seed)).encode(None, HarvesterLayout::V38),
            ToHarvester::grow(&mut Seed(&seed)).encode(None, HarvesterLayout::V38),
            FromFullNode::grow(&mut Seed(&seed)).encode(None),
            ToFullNode::grow(&mut Seed(&seed)).encode(None),
        ] {
            for (place, byte) in &damage {
                if !message.data.is_empty() {
                    let place = place.index(message.data.len());
                    message.data[place] = *byte;
                }
            }
            every_direction(&message);
        }
    }

    #[test]
    fn unknown_and_misdirected_numbers_are_told_from_broken_messages(kind: u8) {
        let message = Message { kind, id: None, data: vec![0xff] };
        let allowed = |list: &[u8]| list.contains(&kind);
        // Who may send what, from the reference of the transport.
        let harvester = allowed(&[5, 7, 12, 68, 78, 79, 80, 81, 82, 83, 84, 110, 112, 113]);
        prop_assert_eq!(matches!(FromHarvester::decode(&message), Ok(None)), !harvester);
        prop_assert_eq!(matches!(ToHarvester::decode(&message), Ok(None)), !allowed(&[3, 6, 66, 67, 85]));
        prop_assert_eq!(matches!(FromFullNode::decode(&message), Ok(None)), !allowed(&[8, 10]));
        prop_assert_eq!(matches!(ToFullNode::decode(&message), Ok(None)), !allowed(&[9, 11]));
    }
}

#[test]
fn lying_counts_are_refused() {
    // A count of 2^32 − 1 and three bytes, wherever a message of a harvester or farmer has its first list. That nothing
    // is allocated for them is measured in `tests/fuzz/tests/targets.rs`.
    let lie = [0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    assert_eq!(
        Vec::<u8>::from_bytes(&lie),
        Err(WireError::ListTooLong {
            at: 0,
            count: u32::MAX,
            most: 3
        })
    );
    assert_eq!(
        Vec::<G1Bytes>::from_bytes(&lie),
        Err(WireError::ListTooLong {
            at: 0,
            count: u32::MAX,
            most: 0
        })
    );
    assert_eq!(
        String::from_bytes(&lie),
        Err(WireError::Truncated {
            at: 4,
            needed: usize::try_from(u32::MAX).unwrap(),
            left: 3
        })
    );
    let message = |kind: MessageType, data: Vec<u8>| Message {
        kind: kind.as_u8(),
        id: None,
        data,
    };
    let refused = |result: Result<(), WireError>, at: usize| {
        assert!(
            matches!(result, Err(WireError::ListTooLong { at: found, .. }) if found == at),
            "{result:?}"
        );
    };
    let keys = message(MessageType::HarvesterHandshake, lie.to_vec());
    refused(ToHarvester::decode(&keys).map(drop), 0);
    for kind in [MessageType::RespondPlots, MessageType::RespondPlots2] {
        refused(FromHarvester::decode(&message(kind, lie.to_vec())).map(drop), 0);
    }
    for kind in [
        MessageType::PlotSyncLoaded,
        MessageType::PlotSyncLoaded2,
        MessageType::PlotSyncRemoved,
    ] {
        refused(
            FromHarvester::decode(&message(kind, [[0; 24].as_slice(), &lie].concat())).map(drop),
            24,
        );
    }
    let signage_point = message(
        MessageType::NewSignagePointHarvester,
        [[0; 81].as_slice(), &lie].concat(),
    );
    refused(ToHarvester::decode(&signage_point).map(drop), 81);
}

#[test]
fn response_names_the_number_the_harvester_used() {
    let loaded = PlotSync::grow(&mut Seed(&[1]));
    assert!(matches!(loaded, PlotSync::Loaded(_)));
    let response = ToHarvester::PlotSyncResponse(PlotSyncResponse::new(&loaded, None));
    for (layout, number) in [
        (HarvesterLayout::V36, 79),
        (HarvesterLayout::V37, 79),
        (HarvesterLayout::V38, 112),
    ] {
        assert_eq!(
            FromHarvester::PlotSync(loaded.clone()).encode(None, layout).kind,
            number
        );
        let encoded = response.encode(None, layout);
        assert_eq!(
            PlotSyncResponse::from_bytes(&encoded.data).unwrap().message_type,
            i16::from(number)
        );
        assert_eq!(ToHarvester::decode(&encoded), Ok(Some(response.clone())));
    }
}

#[test]
fn least_lengths_are_those_of_the_least_values() {
    fn least<T: Streamable + Specimen>() -> (usize, usize) {
        (T::MIN_BYTES, T::grow(&mut Seed(&[])).to_bytes().len())
    }
    for (claimed, real) in [
        least::<HarvesterHandshake>(),
        least::<RequestSignatures>(),
        least::<PlotSyncResponse>(),
        least::<Handshake>(),
    ] {
        assert_eq!(claimed, real);
    }
    // These have a pool, whose key is longer than its contract.
    for (claimed, real) in [
        least::<ProofOfSpace>(),
        least::<NewProofOfSpace>(),
        least::<PartialProofsData>(),
    ] {
        assert_eq!(claimed + 16, real);
    }
    let mut plot = Vec::new();
    Plot::grow(&mut Seed(&[])).stream(HarvesterLayout::V36, &mut plot);
    assert_eq!(Plot::MIN_BYTES + 16, plot.len());
    assert_eq!(PlotSize::MIN_BYTES, 1);
}

fn every_direction(message: &Message) {
    properties::from_harvester(message);
    properties::to_harvester(message);
    properties::from_full_node(message);
    properties::to_full_node(message);
}

fn forget_place_in_group(value: &mut FromHarvester) {
    let plots = match value {
        FromHarvester::RespondPlots(answer) => &mut answer.plots,
        FromHarvester::PlotSync(PlotSync::Loaded(list)) => &mut list.data,
        _ => return,
    };
    for plot in plots {
        plot.plot_index = 0;
        plot.meta_group = 0;
    }
}
