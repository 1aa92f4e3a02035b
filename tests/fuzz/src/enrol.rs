//! What must hold for tokens and for what is said when a machine joins, and seeds of them.

use farmconsole::wire::Streamable;
use farmconsole::wire::enrol::{Grant, JoinAnswer, JoinKind, JoinRequest};
use farmconsole::wire::token::{Token, TokenSecret};

use crate::{SeedInput, memory, properties};

/// Target `token`: any text. What is a token is written so that it is read as the same one.
pub fn token_target(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    let Ok(token) = text.parse::<Token>() else { return false };
    assert_eq!(token.to_string().parse(), Ok(token.clone()), "round trip");
    assert!((1..=Token::MAX_ADDRESSES).contains(&token.addresses.len()), "addresses");
    true
}

/// Target `enrol`: which of the two messages, and its bytes.
pub fn enrol_target(input: &[u8]) -> bool {
    let Some((kind, bytes)) = input.split_first() else { return false };
    if kind % 2 == 0 {
        memory::assert_bounded(bytes.len(), || JoinRequest::from_bytes(bytes));
        properties::streamable::<JoinRequest>(bytes)
    } else {
        memory::assert_bounded(bytes.len(), || JoinAnswer::from_bytes(bytes));
        properties::streamable::<JoinAnswer>(bytes)
    }
}

/// Target `request`: a certificate request. It is refused or holds a key; the signature is checked on the way.
#[cfg(feature = "net")]
pub fn request_target(input: &[u8]) -> bool {
    farmconsole::tls::RequestedKey::of_request(input).is_ok()
}

/// Seeds of the targets here.
pub(crate) fn enrol_seeds() -> Vec<SeedInput> {
    let mut seeds = Vec::new();
    let mut seed = |target, name: String, input| seeds.push(SeedInput { target, name, input });
    for n in 1..=6_u8 {
        let mut ca_key = [n; 33];
        ca_key[0] = 2 + n % 2;
        let token = Token {
            addresses: (0..1 + n % 4).map(|host| format!("10.0.{n}.{host}:8447")).collect(),
            id: [n; 4],
            secret: TokenSecret([n; 16]),
            ca_key,
        };
        seed("token", format!("token_{n}"), token.to_string().into_bytes());
        let request = JoinRequest {
            invitation: [n; 4],
            kind: if n % 2 == 0 { JoinKind::Own } else { JoinKind::Official },
            request: vec![n; usize::from(n) * 40],
            network: "x".repeat(usize::from(n)),
            proof: [n; 32],
        };
        seed("enrol", format!("request_{n}"), [vec![0], request.to_bytes()].concat());
        let text = |length: u8| "x".repeat(usize::from(length));
        let grant = Grant {
            certificate: text(n * 30),
            server_ca: text(n * 20),
            farm_id: text(8),
            name: text(n),
            network: text(7),
            proof: [n; 32],
        };
        let answer = match n {
            1..4 => JoinAnswer::Granted(grant),
            4 => JoinAnswer::OtherNetwork { farm: text(n) },
            _ => JoinAnswer::Refused { reason: text(n) },
        };
        seed("enrol", format!("answer_{n}"), [vec![1], answer.to_bytes()].concat());
    }
    seeds
}
