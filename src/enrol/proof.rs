//! Proofs that both sides know the secret of a token, bound to the TLS connection they are sent on.
//!
//! The key exporter of TLS (RFC 9266 uses the same means) gives both ends of one connection the same bytes and nobody
//! else; so a proof says nothing on any other connection, and the secret itself is never sent.

use aws_lc_rs::hmac;
use sha2::{Digest, Sha256};

use crate::wire::token::TokenSecret;

/// What both ends of one TLS connection know, and nobody else.
pub(super) type Channel = [u8; 32];

/// Label of the exporter.
pub(super) const EXPORTER: &[u8] = b"EXPORTER-farmconsole-enrol-1";

/// The joiner's proof, over its certificate request.
pub(super) fn of_joiner(secret: &TokenSecret, channel: &Channel, request: &[u8]) -> [u8; 32] {
    prove(secret, b"join1", channel, request)
}

/// Whether a joiner's proof is right; takes as long for any wrong one.
pub(super) fn is_of_joiner(secret: &TokenSecret, channel: &Channel, request: &[u8], proof: &[u8; 32]) -> bool {
    is_proof(secret, b"join1", channel, request, proof)
}

/// The farmer's proof, over the certificate it gives.
pub(super) fn of_farmer(secret: &TokenSecret, channel: &Channel, certificate: &str) -> [u8; 32] {
    prove(secret, b"ok1", channel, certificate.as_bytes())
}

/// Whether a farmer's proof is right.
pub(super) fn is_of_farmer(secret: &TokenSecret, channel: &Channel, certificate: &str, proof: &[u8; 32]) -> bool {
    is_proof(secret, b"ok1", channel, certificate.as_bytes(), proof)
}

fn prove(secret: &TokenSecret, label: &[u8], channel: &Channel, about: &[u8]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
    let tag = hmac::sign(&key, &message(label, channel, about));
    let mut proof = [0; 32];
    proof.copy_from_slice(tag.as_ref());
    proof
}

fn is_proof(secret: &TokenSecret, label: &[u8], channel: &Channel, about: &[u8], proof: &[u8; 32]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
    hmac::verify(&key, &message(label, channel, about), proof).is_ok()
}

fn message(label: &[u8], channel: &Channel, about: &[u8]) -> Vec<u8> {
    [label, channel, Sha256::digest(about).as_slice()].concat()
}
