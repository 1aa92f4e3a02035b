//! Tests of the entropy code: against the FSE library, round trips, and damage.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

static FLAT: DeltaCode = DeltaCode::new(4.7);
static STEEP: DeltaCode = DeltaCode::new(1.0);

/// R, number of symbols, first bytes of SHA-256 over the counts (u16 big-endian), from `CreateNormalizedCount` of
/// chiapos 2.0.12: the values of uncompressed plots first, then those of compressed ones.
const GOLDEN_COUNTS: [(f64, usize, &str); 13] = [
    (4.7, 255, "c2dd1550cb765be7"),
    (2.75, 255, "99bd6a5492048b75"),
    (2.7, 255, "189de83983b392ca"),
    (2.6, 255, "ca4e9ac2845344ea"),
    (2.45, 255, "e5445fe9a5e384f1"),
    (1.0, 116, "e3473f06db553048"),
    (2.51, 255, "fb31c2f44542a08c"),
    (3.44, 255, "de816844c6631b28"),
    (4.36, 255, "108ddcee484d0f5c"),
    (9.30, 255, "ff1cc3327c935ab6"),
    (9.10, 255, "6d7593c17a0f46c5"),
    (8.60, 255, "f32a3142bf380872"),
    (4.54, 255, "71eca20df036ddad"),
];

fn encoded(code: &DeltaCode, symbols: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    code.encode(symbols, &mut stream).unwrap();
    stream
}

#[test]
fn slots_are_shared_out_as_chiapos_does() {
    for (r, symbols, digest) in GOLDEN_COUNTS {
        let counts = slot_counts(r);
        let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        let hash = hex::encode(Sha256::digest(bytes));
        assert_eq!((counts.len(), &hash[..16]), (symbols, digest), "R {r}");
        assert!(decode_table(&counts).iter().all(|cell| cell.bits() > 0), "R {r}");
    }
}

#[test]
fn streams_equal_those_of_the_fse_library() {
    assert_eq!(hex::encode(encoded(&FLAT, &[0, 1, 2])), FLAT_3);
    assert_eq!(hex::encode(encoded(&FLAT, &[254, 0, 9, 3, 1, 100])), FLAT_6);
    assert_eq!(
        hex::encode(encoded(&STEEP, &[0, 0, 0, 1, 0, 2, 0, 0, 115, 1, 1])),
        STEEP_11
    );
}

#[test]
fn what_the_code_cannot_express_is_refused() {
    let mut out = Vec::new();
    assert_eq!(FLAT.encode(&[1, 2], &mut out), Err(FseError::TooFewSymbols { got: 2 }));
    let too_large = FseError::NoSuchSymbol {
        symbol: 116,
        largest: 115,
    };
    assert_eq!(STEEP.encode(&[1, 2, 116], &mut out), Err(too_large));
    assert!(out.is_empty());
}

#[test]
fn damaged_ends_of_a_stream_are_refused() {
    assert_eq!(FLAT.decode(&[]).err(), Some(FseError::Empty));
    assert_eq!(FLAT.decode(&[1, 2, 3, 4, 0]).err(), Some(FseError::NoEndMark));
    assert_eq!(
        FLAT.decode(&[0xff, 0xff, 0xff, 0x0f]).err(),
        Some(FseError::TooShort { got: 4 })
    );
    assert!(FLAT.decode(&[0xff, 0xff, 0xff, 0x1f]).is_ok());
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(symbols in prop::collection::vec(0_u8..=254, 3..2100)) {
        let stream = encoded(&FLAT, &symbols);
        prop_assert!(FLAT.decode(&stream).unwrap().eq(symbols));
    }

    #[test]
    fn what_is_skipped_is_what_would_have_been_taken(
        streams in prop::collection::vec(
            (prop::collection::vec(0_u8..=254, 3..300), 0_u64..40_000, 0_usize..300),
            0..7,
        ),
    ) {
        let coded: Vec<_> = streams.iter().map(|(symbols, ..)| encoded(&FLAT, symbols)).collect();
        let mut skips: Vec<Skip<'_>> = Vec::new();
        for (stream, (_, limit, most)) in coded.iter().zip(&streams) {
            skips.push(Skip::new(FLAT.decode(stream).unwrap(), *limit, *most));
        }
        Skip::all(&mut skips);
        for (skip, (symbols, limit, most)) in skips.into_iter().zip(&streams) {
            let (taken, sum, deltas) = skip.end();
            prop_assert!(taken <= *most && (taken == 0 || sum < *limit));
            prop_assert_eq!(sum, symbols[..taken].iter().map(|symbol| u64::from(*symbol)).sum::<u64>());
            // It goes on until there are fewer than four, or bits for fewer than four of any length.
            let goes_further = taken + 8 <= symbols.len().min(*most)
                && symbols[..taken + 4].iter().map(|symbol| u64::from(*symbol)).sum::<u64>() < *limit;
            prop_assert!(!goes_further || deltas.bits.left < 64);
            prop_assert!(deltas.eq(symbols[taken..].iter().copied()));
        }
    }

    #[test]
    fn likely_symbols_cost_little(symbols in prop::collection::vec(0_u8..=2, 3..10_000)) {
        let stream = encoded(&STEEP, &symbols);
        prop_assert!(stream.len() * 8 <= symbols.len() * 3 + 40);
        prop_assert!(STEEP.decode(&stream).unwrap().eq(symbols));
    }

    #[test]
    fn any_bytes_decode_to_an_end(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(symbols) = STEEP.decode(&stream) {
            prop_assert!(symbols.count() <= stream.len() * 8);
        }
    }
}

const FLAT_3: &str = "1f005ead";
const FLAT_6: &str = "30c6055881267f";
const STEEP_11: &str = "0940195505a4dc";
