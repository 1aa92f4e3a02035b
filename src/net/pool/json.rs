//! Requests and answers of pools as JSON, field by field as the official software writes and reads them: byte strings
//! are hex with `0x` in front, what is missing is null.

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::farmer::{PoolFailure, PoolReply};
use crate::ids::LauncherId;
use crate::logging::escape;
use crate::wire::pool::{PostFarmerPayload, PostPartialPayload, PutFarmerPayload};
use crate::wire::{G1Bytes, G2Bytes, ProofBody, ProofOfSpace};

/// Query of `GET /farmer` in the first protocol.
pub(super) fn get_farmer_v1(launcher_id: &LauncherId, token: u64, signature: &G2Bytes) -> Vec<(&'static str, String)> {
    vec![
        ("authentication_token", token.to_string()),
        ("launcher_id", hex(launcher_id)),
        ("authentication_token_v2", String::new()),
        ("signature", hex(signature)),
    ]
}

/// Query of `GET /farmer` in the second protocol.
pub(super) fn get_farmer_v2(launcher_id: &LauncherId, token: &str) -> Vec<(&'static str, String)> {
    vec![
        ("authentication_token", "0".to_owned()),
        ("launcher_id", hex(launcher_id)),
        ("authentication_token_v2", token.to_owned()),
    ]
}

/// Query of `GET /auth`.
pub(super) fn get_auth(
    launcher_id: &LauncherId,
    unix_seconds: u64,
    signature: &G2Bytes,
) -> Vec<(&'static str, String)> {
    vec![
        ("launcher_id", hex(launcher_id)),
        ("timestamp", unix_seconds.to_string()),
        ("signature", hex(signature)),
    ]
}

/// Body of `POST /farmer`.
pub(super) fn post_farmer(payload: &PostFarmerPayload, signature: &G2Bytes) -> Value {
    json!({
        "payload": {
            "launcher_id": hex(&payload.launcher_id),
            "authentication_token": payload.authentication_token,
            "authentication_public_key": hex(&payload.authentication_public_key),
            "payout_instructions": payload.payout_instructions,
            "suggested_difficulty": payload.suggested_difficulty.map(|difficulty| difficulty.0),
        },
        "signature": hex(signature),
    })
}

/// Body of `PUT /farmer`.
pub(super) fn put_farmer(payload: &PutFarmerPayload, signature: Option<&G2Bytes>) -> Value {
    json!({
        "payload": {
            "launcher_id": hex(&payload.launcher_id),
            "authentication_token": payload.authentication_token,
            "authentication_public_key": payload.authentication_public_key.as_ref().map(hex::<G1Bytes>),
            "payout_instructions": payload.payout_instructions,
            "suggested_difficulty": payload.suggested_difficulty.map(|difficulty| difficulty.0),
            "authentication_token_v2": payload.authentication_token_v2,
        },
        "signature": signature.map(hex::<G2Bytes>),
    })
}

/// Body of `POST /partial`.
pub(super) fn post_partial(payload: &PostPartialPayload, signature: &G2Bytes, token: &str) -> Value {
    json!({
        "payload": {
            "launcher_id": hex(&payload.launcher_id),
            "authentication_token": payload.authentication_token,
            "proof_of_space": proof_of_space(&payload.proof_of_space),
            "sp_hash": hex(&payload.sp_hash),
            "end_of_sub_slot": payload.end_of_sub_slot,
            "harvester_id": hex(&payload.harvester_id),
        },
        "aggregate_signature": hex(signature),
        "authentication_token_v2": token,
    })
}

fn proof_of_space(proof: &ProofOfSpace) -> Value {
    let (version, plot_index, meta_group, strength, size) = match proof.body {
        ProofBody::V1 { k, .. } => (0, 0, 0, 0, k),
        ProofBody::V2 {
            plot_index,
            meta_group,
            strength,
            ..
        } => (1, plot_index, meta_group, strength, 0),
    };
    json!({
        "challenge": hex(&proof.challenge),
        "pool_public_key": proof.pool.public_key().map(hex::<G1Bytes>),
        "pool_contract_puzzle_hash": proof.pool.contract().map(hex),
        "plot_public_key": hex(&proof.plot_public_key),
        "version": version,
        "plot_index": plot_index,
        "meta_group": meta_group,
        "strength": strength,
        "size": size,
        "proof": format!("0x{}", hex::encode(proof.proof())),
    })
}

fn hex<T: AsRef<[u8]>>(bytes: &T) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// An answer that says no, if it is one.
pub(super) fn refusal(answer: &Value) -> Option<PoolFailure> {
    let code = answer.get("error_code")?;
    let code = whole(code)
        .and_then(|code| u16::try_from(code).ok())
        .unwrap_or(u16::MAX);
    let message = answer
        .get("error_message")
        .and_then(Value::as_str)
        .unwrap_or("no reason given");
    Some(PoolFailure::Refused {
        code,
        message: outside(message),
    })
}

/// Text of a pool as it may be shown: visible, and not too long.
pub(super) fn outside(text: &str) -> String {
    let mut chars = text.trim().chars();
    let mut short: String = chars.by_ref().take(LONGEST_TEXT).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    escape(&short).into_owned()
}

/// `GET /pool_info`, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct PoolInfo {
    name: String,
    #[serde(deserialize_with = "number")]
    minimum_difficulty: u64,
    #[serde(deserialize_with = "number")]
    authentication_token_timeout: u8,
}

/// `GET /farmer`, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    payout_instructions: String,
    #[serde(deserialize_with = "number")]
    current_difficulty: u64,
    #[serde(deserialize_with = "number")]
    current_points: u64,
}

/// `POST /partial`.
#[derive(Debug, Deserialize)]
pub(super) struct Accepted {
    #[serde(deserialize_with = "number")]
    new_difficulty: u64,
}

/// `GET /auth`. Not `Debug`: the token is a secret.
#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(deserialize_with = "secret")]
    pub(super) authentication_token: Zeroizing<String>,
    /// Unix seconds.
    #[serde(deserialize_with = "number")]
    pub(super) expiration: u64,
}

impl PoolInfo {
    pub(super) fn reply(self) -> Result<PoolReply, PoolFailure> {
        if self.authentication_token_timeout == 0 {
            return Err(nonsense("authentication_token_timeout is 0".to_owned()));
        }
        Ok(PoolReply::Info {
            name: outside(&self.name),
            minimum_difficulty: positive("minimum_difficulty", self.minimum_difficulty)?,
            authentication_token_timeout: self.authentication_token_timeout,
        })
    }
}

impl Account {
    pub(super) fn reply(self) -> Result<PoolReply, PoolFailure> {
        Ok(PoolReply::Farmer {
            payout_instructions: outside(&self.payout_instructions),
            current_difficulty: positive("current_difficulty", self.current_difficulty)?,
            current_points: self.current_points,
        })
    }
}

impl Accepted {
    pub(super) fn reply(self) -> Result<PoolReply, PoolFailure> {
        Ok(PoolReply::Accepted {
            new_difficulty: positive("new_difficulty", self.new_difficulty)?,
        })
    }
}

/// Reads a text that is wiped when dropped.
fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// Reads a number as the official farmer does, which takes `"10"` and `10.0` for 10: there are pools that only it was tried
/// with.
fn number<'de, D: serde::Deserializer<'de>, N: TryFrom<u64>>(deserializer: D) -> Result<N, D::Error> {
    let number = whole(&Value::deserialize(deserializer)?);
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| serde::de::Error::custom("a number is missing, too small, or too large"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut off as the official farmer does, between 0 and 2^64"
)]
fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(digits) => digits.trim().parse().ok(),
        _ => value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            (0.0..TWO_TO_64).contains(&number).then_some(number as u64)
        }),
    }
}

/// The first number that is too large.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// Difficulty 0 would make every proof of every plot a partial.
fn positive(field: &str, difficulty: u64) -> Result<u64, PoolFailure> {
    match difficulty {
        0 => Err(nonsense(format!("{field} is 0"))),
        _ => Ok(difficulty),
    }
}

pub(super) fn nonsense(why: String) -> PoolFailure {
    PoolFailure::Nonsense { why }
}

/// Longest text of a pool that is shown, in characters.
const LONGEST_TEXT: usize = 200;
