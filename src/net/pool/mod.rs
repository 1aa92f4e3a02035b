//! Talking to pools: HTTPS with Mozilla's roots, every request with a deadline, nothing of ours sent to a host that the
//! wallet does not name.
//!
//! [`PoolClient`] signs and sends one request at a time for whoever calls it, and always has an answer by its deadline. A
//! partial is sent again, after a little more time each time, while the pool may still take it and has not answered yet.
//! Sessions of the second protocol are kept here: their tokens are secrets, which the farmer's core never sees.
//!
//! A pool that has moved is followed with requests that only read, and only on its own host. Proxies of the environment
//! (`HTTPS_PROXY`, `NO_PROXY`) are used for every request; the official farmer leaves them out for partials, which are
//! then lost behind one.

mod json;
mod requests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::node_rpc::cause;
use crate::crypto::FarmingKeys;
use crate::farmer::PoolFailure;
use crate::ids::LauncherId;
use crate::snapshot::{pool_address, wrong_address};

pub use requests::{OwnerRequest, PoolAccount};

/// How pools are asked.
#[derive(Clone, Debug)]
pub struct PoolClientOptions {
    /// Whom to trust: Mozilla's roots, see [`mozilla_roots`].
    pub roots: RootCertStore,
    /// Whether an address that is not https is refused, as on mainnet.
    pub https_only: bool,
    /// Whether proxies of the environment are used.
    pub proxies: bool,
    /// Header `User-Agent`.
    pub user_agent: String,
    /// Header `chia-farmer-version`.
    pub farmer_version: String,
}

/// The roots that browsers trust, as they were when this program was built.
#[must_use]
pub fn mozilla_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

/// The client of all pools. Its clones share connections and sessions.
#[derive(Clone)]
pub struct PoolClient {
    http: reqwest::Client,
    keys: Arc<FarmingKeys>,
    https_only: bool,
    farmer_version: String,
    sessions: Arc<Mutex<BTreeMap<LauncherId, Session>>>,
    /// Held by whoever logs in: a pool may take none but the newest token.
    logins: Arc<Mutex<BTreeMap<LauncherId, Turn>>>,
}

type Turn = Arc<tokio::sync::Mutex<()>>;

impl std::fmt::Debug for PoolClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolClient").finish_non_exhaustive()
    }
}

/// A login at a pool of the second protocol.
struct Session {
    /// The pool: whoever else got the token could speak for the plotNFT there.
    pool_url: String,
    token: Zeroizing<String>,
    expires_unix_s: u64,
}

/// The client cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("make an HTTPS client for pools: {0}")]
pub struct PoolClientError(String);

/// One request on its way: where to, with what, and until when.
struct Call<'a> {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<&'a Value>,
    deadline: Instant,
}

/// What came back, as far as HTTP and JSON go.
struct Exchange {
    result: Result<Value, PoolFailure>,
    server_unix_s: Option<u64>,
    /// Where the request ended, if it was sent there for good, step by step.
    moved_to: Option<Url>,
    /// How long it wants to be left alone.
    rest: Duration,
}

impl Exchange {
    /// Nothing came back.
    const fn failed(failure: PoolFailure) -> Self {
        Self {
            result: Err(failure),
            server_unix_s: None,
            moved_to: None,
            rest: Duration::ZERO,
        }
    }

    /// What the head of an answer says, whatever its body is.
    fn note(&mut self, headers: &HeaderMap) {
        let text = |name| headers.get(name).and_then(|it| it.to_str().ok());
        self.server_unix_s = text(DATE).and_then(http_date).or(self.server_unix_s);
        // A moment is no use with clocks that differ.
        let rest = text(RETRY_AFTER).and_then(|it| it.trim().parse().ok());
        self.rest = rest.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_REST);
    }
}

impl PoolClient {
    /// A client that speaks with these keys.
    ///
    /// # Errors
    /// [`PoolClientError`].
    pub fn new(options: PoolClientOptions, keys: Arc<FarmingKeys>) -> Result<Self, PoolClientError> {
        let tls = ClientConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| PoolClientError(error.to_string()))?
            .with_root_certificates(options.roots)
            .with_no_client_auth();
        let mut headers = HeaderMap::new();
        let agent = options.user_agent.parse();
        headers.insert(
            USER_AGENT,
            agent.map_err(|_| PoolClientError("its name is no header".to_owned()))?,
        );
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers)
            .pool_max_idle_per_host(2)
            .connect_timeout(CONNECT_WITHIN);
        if !options.proxies {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| PoolClientError(cause(&error)))?;
        Ok(Self {
            http,
            keys,
            https_only: options.https_only,
            farmer_version: options.farmer_version,
            sessions: Arc::default(),
            logins: Arc::default(),
        })
    }

    /// The address of an endpoint, if it may be asked.
    fn url(&self, base: &str, endpoint: &str) -> Result<Url, PoolFailure> {
        let text = format!("{base}/{endpoint}");
        let url = Url::parse(&text).map_err(|error| PoolFailure::Unreachable {
            why: format!("{} is no address: {error}", json::outside(&wrong_address(base))),
        })?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if !self.https_only => Ok(url),
            _ => Err(PoolFailure::NotHttps {
                url: json::outside(&pool_address(base)),
            }),
        }
    }

    /// One request and its answer, by its deadline. What only reads is followed where it is sent on the same host.
    async fn exchange(&self, mut call: Call<'_>) -> Exchange {
        let mut exchange = Exchange::failed(too_slow());
        let mut for_good = true;
        for _ in 0..=MAX_REDIRECTS {
            let deadline = call.deadline;
            let Ok(step) = timeout_at(deadline, self.step(&call, &mut exchange)).await else {
                exchange.result = Err(too_slow());
                return exchange;
            };
            match step {
                Step::Done(result) => {
                    exchange.result = result;
                    return exchange;
                }
                Step::Sent { to, permanently } => {
                    for_good &= permanently;
                    if for_good {
                        exchange.moved_to = Some(to.clone());
                    } else {
                        exchange.moved_to = None;
                    }
                    call.url = to;
                }
            }
        }
        exchange.moved_to = None;
        exchange.result = Err(json::nonsense(format!(
            "it was sent on more than {MAX_REDIRECTS} times"
        )));
        exchange
    }

    async fn step(&self, call: &Call<'_>, exchange: &mut Exchange) -> Step {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .headers(call.headers.clone());
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        // Without its address: the query of a request can hold a token.
        let unreachable = |error: reqwest::Error| PoolFailure::Unreachable {
            why: cause(&error.without_url()),
        };
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Step::Done(Err(unreachable(error))),
        };
        exchange.note(response.headers());
        let status = response.status();
        if status.is_redirection() {
            return self.redirected(call, &response);
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Err(error) => return Step::Done(Err(unreachable(error))),
                Ok(None) => break,
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                    return Step::Done(Err(json::nonsense(format!("more than {MAX_ANSWER} bytes"))));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            }
        }
        let answer: Result<Value, _> = serde_json::from_slice(&body);
        // Some pools give the reason of a refusal together with a status.
        if let Some(refusal) = answer.as_ref().ok().and_then(json::refusal) {
            return Step::Done(Err(refusal));
        }
        if !status.is_success() {
            return Step::Done(Err(PoolFailure::Status {
                status: status.as_u16(),
            }));
        }
        Step::Done(answer.map_err(|error| json::nonsense(format!("no JSON: {error}"))))
    }

    fn redirected(&self, call: &Call<'_>, response: &reqwest::Response) -> Step {
        let status = response.status().as_u16();
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let Some(to) = to.and_then(|to| call.url.join(to).ok()) else {
            return Step::Done(Err(PoolFailure::Status { status }));
        };
        let is_same_host = to.host_str() == call.url.host_str();
        let is_as_safe = to.scheme() == "https" || (to.scheme() == call.url.scheme() && !self.https_only);
        if call.method != Method::GET || !is_same_host || !is_as_safe {
            let host = to.host_str().unwrap_or("nowhere");
            return Step::Done(Err(if is_same_host {
                PoolFailure::Status { status }
            } else {
                PoolFailure::RedirectRefused {
                    to: json::outside(&format!("{}://{host}", to.scheme())),
                }
            }));
        }
        Step::Sent {
            to,
            permanently: matches!(status, 301 | 308),
        }
    }
}

enum Step {
    Done(Result<Value, PoolFailure>),
    Sent { to: Url, permanently: bool },
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, PoolFailure> {
    serde_json::from_value(answer).map_err(|error| {
        json::nonsense(format!(
            "another object than expected: {}",
            json::outside(&error.to_string())
        ))
    })
}

fn too_slow() -> PoolFailure {
    PoolFailure::Unreachable {
        why: "no answer in time".to_owned(),
    }
}

/// The moment in a `Date` header, unix seconds.
fn http_date(text: &str) -> Option<u64> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(zoned.timestamp().as_second()).ok()
}

/// To a pool on another continent over a bad line.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A pool that sends us on more often than this does not know where it is.
const MAX_REDIRECTS: usize = 5;

/// Answers have a kilobyte.
const MAX_ANSWER: usize = 1 << 20;

/// A pool that wants to be left alone for longer gets nothing of what is under way.
const LONGEST_REST: Duration = Duration::from_secs(3600);
