//! Each request of the pool protocol: signed, sent, read.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use super::{Call, Exchange, PoolClient, Session, json, read, too_slow};
use crate::crypto::{PoolAuthentication, SecretKey, sign};
use crate::farmer::{PartialSubmission, PoolAnswer, PoolFailure, PoolMembership, PoolReply, PoolRequest};
use crate::wire::pool::{
    PoolVersion, PostFarmerPayload, PutFarmerPayload, PutFarmerPayloadV1, authentication_token, error_code,
};
use crate::wire::{G2Bytes, Streamable as _};

/// What an owner tells a pool, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerRequest {
    /// `POST /farmer`: that the plotNFT exists.
    Register,
    /// `PUT /farmer`: which key speaks for it, and where to pay.
    Update,
}

/// What a pool needs to know of the time: its tokens are made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolAccount {
    /// Unix seconds.
    pub unix_seconds: u64,
    /// Minutes for which its tokens hold.
    pub token_timeout: u8,
}

impl PoolClient {
    /// Sends one request of the farmer. There is always an answer, at the latest when the deadline has passed.
    ///
    /// `unix_seconds` is the time, for logins; `chance` gives a fresh number from 0 to 1 each time it is called.
    pub async fn ask(
        &self,
        pool: &PoolMembership,
        request: &PoolRequest,
        deadline: Instant,
        unix_seconds: impl Fn() -> u64 + Send,
        chance: impl Fn() -> f64 + Send,
    ) -> PoolAnswer {
        if let PoolRequest::Partial(submission) = request {
            return self
                .send_partial(pool, submission, deadline, unix_seconds, chance)
                .await;
        }
        let asking = async {
            let answer = self.ask_once(pool, request, deadline, unix_seconds()).await;
            if has_lost_session(pool, &answer) {
                return self.ask_once(pool, request, deadline, unix_seconds()).await;
            }
            answer
        };
        let asked = timeout_at(deadline, asking).await;
        asked.unwrap_or_else(|_| failed(too_slow()))
    }

    async fn ask_once(
        &self,
        pool: &PoolMembership,
        request: &PoolRequest,
        deadline: Instant,
        unix_seconds: u64,
    ) -> PoolAnswer {
        match request {
            PoolRequest::Info => self.get_pool_info(pool, deadline).await,
            PoolRequest::Farmer { authentication_token } => {
                self.get_farmer(pool, *authentication_token, deadline, unix_seconds)
                    .await
            }
            PoolRequest::Register => self.register_v2(pool, deadline).await,
            PoolRequest::SetPayout => self.set_payout_v2(pool, deadline, unix_seconds).await,
            PoolRequest::Partial(submission) => self.post_partial(pool, submission, deadline, unix_seconds).await.0,
        }
    }

    /// Sends a partial until the pool has answered, or would not take it any more.
    async fn send_partial(
        &self,
        pool: &PoolMembership,
        submission: &PartialSubmission,
        deadline: Instant,
        unix_seconds: impl Fn() -> u64 + Send,
        chance: impl Fn() -> f64 + Send,
    ) -> PoolAnswer {
        let mut wait = FIRST_RETRY;
        let mut tries = 0_u32;
        let mut has_logged_in_again = false;
        loop {
            tries += 1;
            let until = deadline.min(Instant::now() + TRY_WITHIN);
            let (answer, rest) = self.post_partial(pool, submission, until, unix_seconds()).await;
            if has_lost_session(pool, &answer) && !std::mem::replace(&mut has_logged_in_again, true) {
                continue;
            }
            let passing = answer.result.as_ref().err().is_some_and(PoolFailure::is_passing);
            let pause = wait.mul_f64(0.5 + chance().clamp(0.0, 1.0)).max(rest);
            if !passing || Instant::now() + pause + WORTH_A_TRY >= deadline {
                return counted(answer, tries);
            }
            sleep(pause).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }

    /// Sends a partial once: the answer, and how long the pool wants to be left alone.
    async fn post_partial(
        &self,
        pool: &PoolMembership,
        submission: &PartialSubmission,
        deadline: Instant,
        unix_seconds: u64,
    ) -> (PoolAnswer, Duration) {
        let token = match pool.version {
            PoolVersion::V1 => Zeroizing::new(submission.payload.authentication_token.to_string()),
            PoolVersion::V2 => match self.session_token(pool, deadline, unix_seconds).await {
                Ok(token) => token,
                Err(failure) => return (failed(failure), Duration::ZERO),
            },
        };
        let body = json::post_partial(&submission.payload, &submission.aggregate_signature, &token);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("chia-farmer-version", &self.farmer_version),
            ("chia-harvester-version", &submission.harvester_version),
        ] {
            // A version that is no header is the harvester's own; the pool can do without it.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let exchange = self
            .send(pool, Method::POST, "partial", &[], headers, Some(&body), deadline)
            .await;
        self.review_session(pool, &token, &exchange.result);
        let rest = exchange.rest;
        let answer = answer(exchange, pool, |value| read::<json::Accepted>(value)?.reply());
        (answer, rest)
    }

    async fn get_pool_info(&self, pool: &PoolMembership, deadline: Instant) -> PoolAnswer {
        let exchange = self.get(pool, "pool_info", &[], deadline).await;
        answer(exchange, pool, |value| read::<json::PoolInfo>(value)?.reply())
    }

    async fn get_farmer(&self, pool: &PoolMembership, token: u64, deadline: Instant, unix_seconds: u64) -> PoolAnswer {
        let mut session = Zeroizing::default();
        let query = match pool.version {
            PoolVersion::V1 => {
                let Some(key) = self.key(pool) else {
                    return failed(PoolFailure::NoKey);
                };
                let signature = key.sign_get_farmer(pool.launcher_id, pool.target_puzzle_hash, token);
                json::get_farmer_v1(&pool.launcher_id, token, &signature.to_g2())
            }
            PoolVersion::V2 => match self.session_token(pool, deadline, unix_seconds).await {
                Ok(token) => {
                    session = token;
                    json::get_farmer_v2(&pool.launcher_id, &session)
                }
                Err(failure) => return failed(failure),
            },
        };
        let exchange = self.get(pool, "farmer", &query, deadline).await;
        self.review_session(pool, &session, &exchange.result);
        answer(exchange, pool, |value| read::<json::Account>(value)?.reply())
    }

    /// `POST /farmer` of the second protocol.
    async fn register_v2(&self, pool: &PoolMembership, deadline: Instant) -> PoolAnswer {
        let Some(key) = self.key(pool) else {
            return failed(PoolFailure::NoKey);
        };
        let payload = registration(pool, key, 0);
        let Ok(signature) = key.sign_registration(&payload.get_hash()) else {
            return failed(PoolFailure::NoKey);
        };
        let body = json::post_farmer(&payload, &signature.to_g2());
        let exchange = self
            .send(
                pool,
                Method::POST,
                "farmer",
                &[],
                HeaderMap::new(),
                Some(&body),
                deadline,
            )
            .await;
        answer(exchange, pool, |_| Ok(PoolReply::Done))
    }

    /// `PUT /farmer` of the second protocol.
    async fn set_payout_v2(&self, pool: &PoolMembership, deadline: Instant, unix_seconds: u64) -> PoolAnswer {
        let Some(key) = self.key(pool) else {
            return failed(PoolFailure::NoKey);
        };
        let token = match self.session_token(pool, deadline, unix_seconds).await {
            Ok(token) => token,
            Err(failure) => return failed(failure),
        };
        let body = json::put_farmer(&update(pool, key, 0, &token), None);
        let exchange = self
            .send(
                pool,
                Method::PUT,
                "farmer",
                &[],
                HeaderMap::new(),
                Some(&body),
                deadline,
            )
            .await;
        self.review_session(pool, &token, &exchange.result);
        answer(exchange, pool, |_| Ok(PoolReply::Done))
    }

    /// What only the owner of a plotNFT of the first protocol can tell its pool. The key is used and forgotten.
    pub async fn ask_as_owner(
        &self,
        pool: &PoolMembership,
        request: OwnerRequest,
        owner: &SecretKey,
        account: PoolAccount,
        deadline: Instant,
    ) -> PoolAnswer {
        let Some(key) = self.key(pool) else {
            return failed(PoolFailure::NoKey);
        };
        let token = authentication_token(account.unix_seconds, account.token_timeout);
        let (method, body) = match request {
            OwnerRequest::Register => {
                let payload = registration(pool, key, token);
                let signature = sign(owner, payload.get_hash().as_bytes()).to_g2();
                (Method::POST, json::post_farmer(&payload, &signature))
            }
            OwnerRequest::Update => {
                let payload = update(pool, key, token, &token.to_string());
                let signature = sign_update(owner, &payload);
                (Method::PUT, json::put_farmer(&payload, Some(&signature)))
            }
        };
        let exchange = self
            .send(pool, method, "farmer", &[], HeaderMap::new(), Some(&body), deadline)
            .await;
        answer(exchange, pool, |_| Ok(PoolReply::Done))
    }

    /// The link with which a person logs in to the pool's site; good for as long as its token.
    ///
    /// # Errors
    /// [`PoolFailure::NoKey`] if the key that speaks for the plotNFT is not here, or what is wrong with the address.
    pub fn login_link(&self, pool: &PoolMembership, account: PoolAccount) -> Result<String, PoolFailure> {
        let key = self.key(pool).ok_or(PoolFailure::NoKey)?;
        let token = authentication_token(account.unix_seconds, account.token_timeout);
        let signature = key
            .sign_login_link(pool.launcher_id, pool.target_puzzle_hash, token)
            .map_err(|_| PoolFailure::NoKey)?;
        let mut url = self.url(&pool.pool_url, &path(pool.version, "login"))?;
        url.query_pairs_mut()
            .append_pair("launcher_id", &pool.launcher_id.to_string())
            .append_pair("authentication_token", &token.to_string())
            .append_pair("signature", &signature.to_string());
        Ok(url.into())
    }

    /// The token of a login at a pool of the second protocol; logs in if there is none that holds.
    async fn session_token(
        &self,
        pool: &PoolMembership,
        deadline: Instant,
        unix_seconds: u64,
    ) -> Result<Zeroizing<String>, PoolFailure> {
        if let Some(token) = self.held_token(pool, unix_seconds) {
            return Ok(token);
        }
        let turn = {
            let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(logins.entry(pool.launcher_id).or_default())
        };
        let Ok(_turn) = timeout_at(deadline, turn.lock()).await else {
            return Err(too_slow());
        };
        if let Some(token) = self.held_token(pool, unix_seconds) {
            return Ok(token);
        }
        let key = self.key(pool).ok_or(PoolFailure::NoKey)?;
        let signature = key
            .sign_login(unix_seconds, &pool.launcher_id, &pool.target_puzzle_hash)
            .map_err(|_| PoolFailure::NoKey)?;
        let query = json::get_auth(&pool.launcher_id, unix_seconds, &signature.to_g2());
        let login: json::Login = read(self.get(pool, "auth", &query, deadline).await.result?)?;
        let token = login.authentication_token.clone();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(
            pool.launcher_id,
            Session {
                pool_url: pool.pool_url.clone(),
                token: login.authentication_token,
                expires_unix_s: login.expiration,
            },
        );
        Ok(token)
    }

    /// The token of a login at this pool that holds, if there is one.
    fn held_token(&self, pool: &PoolMembership, unix_seconds: u64) -> Option<Zeroizing<String>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&pool.launcher_id)?;
        let holds = session.pool_url == pool.pool_url && session.expires_unix_s > unix_seconds;
        holds.then(|| session.token.clone())
    }

    /// Forgets a login that the pool does not take any more; a newer one stays.
    fn review_session(&self, pool: &PoolMembership, token: &str, result: &Result<Value, PoolFailure>) {
        if let Err(PoolFailure::Refused { code, .. }) = result
            && *code == error_code::INVALID_AUTHENTICATION_TOKEN
        {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|launcher_id, it| *launcher_id != pool.launcher_id || *it.token != token);
        }
    }

    fn key(&self, pool: &PoolMembership) -> Option<&PoolAuthentication> {
        let key = self.keys.pool_authentication(&pool.owner_public_key);
        key.filter(|key| key.version() == pool.version)
    }

    async fn get(
        &self,
        pool: &PoolMembership,
        endpoint: &str,
        query: &[(&'static str, String)],
        deadline: Instant,
    ) -> Exchange {
        self.send(pool, Method::GET, endpoint, query, HeaderMap::new(), None, deadline)
            .await
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request, each once")]
    async fn send(
        &self,
        pool: &PoolMembership,
        method: Method,
        endpoint: &str,
        query: &[(&'static str, String)],
        headers: HeaderMap,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Exchange {
        let url = self.url(&pool.pool_url, &path(pool.version, endpoint)).map(|mut url| {
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            url
        });
        match url {
            Ok(url) => {
                let call = Call {
                    method,
                    url,
                    headers,
                    body,
                    deadline,
                };
                self.exchange(call).await
            }
            Err(failure) => Exchange::failed(failure),
        }
    }
}

/// Where an endpoint is below the address of its pool.
fn path(version: PoolVersion, endpoint: &str) -> String {
    match version {
        PoolVersion::V1 => endpoint.to_owned(),
        PoolVersion::V2 => format!("v2/{endpoint}"),
    }
}

fn registration(pool: &PoolMembership, key: &PoolAuthentication, token: u64) -> PostFarmerPayload {
    PostFarmerPayload {
        launcher_id: pool.launcher_id,
        authentication_token: token,
        authentication_public_key: key.public_key().to_g1(),
        payout_instructions: pool.payout_instructions.clone(),
        suggested_difficulty: None,
    }
}

fn update(pool: &PoolMembership, key: &PoolAuthentication, token: u64, token_v2: &str) -> PutFarmerPayload {
    PutFarmerPayload {
        launcher_id: pool.launcher_id,
        authentication_token: token,
        authentication_public_key: Some(key.public_key().to_g1()),
        payout_instructions: Some(pool.payout_instructions.clone()),
        suggested_difficulty: None,
        authentication_token_v2: token_v2.to_owned(),
    }
}

/// Pools of the first protocol verify the signature over the payload without its last field.
fn sign_update(owner: &SecretKey, payload: &PutFarmerPayload) -> G2Bytes {
    let signed = PutFarmerPayloadV1 {
        launcher_id: payload.launcher_id,
        authentication_token: payload.authentication_token,
        authentication_public_key: payload.authentication_public_key,
        payout_instructions: payload.payout_instructions.clone(),
        suggested_difficulty: payload.suggested_difficulty,
    };
    sign(owner, signed.get_hash().as_bytes()).to_g2()
}

fn answer(
    exchange: Exchange,
    pool: &PoolMembership,
    reply: impl FnOnce(Value) -> Result<PoolReply, PoolFailure>,
) -> PoolAnswer {
    let result = exchange.result.and_then(reply);
    let moved_to = exchange
        .moved_to
        .filter(|_| matches!(result, Ok(PoolReply::Info { .. })));
    let end = format!("/{}", path(pool.version, "pool_info"));
    let base = moved_to.and_then(|url| url.as_str().strip_suffix(&end).map(str::to_owned));
    PoolAnswer {
        result,
        server_unix_s: exchange.server_unix_s,
        moved_to: base,
    }
}

const fn failed(failure: PoolFailure) -> PoolAnswer {
    PoolAnswer {
        result: Err(failure),
        server_unix_s: None,
        moved_to: None,
    }
}

/// Whether the pool has refused the token of a session, which it may have forgotten sooner than it said: the next try logs
/// in again.
fn has_lost_session(pool: &PoolMembership, answer: &PoolAnswer) -> bool {
    let is_refused = |failure: &PoolFailure| matches!(failure, PoolFailure::Refused { code, .. } if *code == error_code::INVALID_AUTHENTICATION_TOKEN);
    pool.version == PoolVersion::V2 && answer.result.as_ref().err().is_some_and(is_refused)
}

/// A failure after several tries says so.
fn counted(mut answer: PoolAnswer, tries: u32) -> PoolAnswer {
    if let Err(PoolFailure::Unreachable { why }) = &mut answer.result
        && tries > 1
    {
        *why = format!("{why} ({tries} tries)");
    }
    answer
}

/// One try of a partial: one that hangs shall leave time for another.
const TRY_WITHIN: Duration = Duration::from_secs(10);

/// Pause after the first failure, and the longest one; chance halves it or adds half of it.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(4);

/// With less time left than this no answer would come.
const WORTH_A_TRY: Duration = Duration::from_millis(500);
