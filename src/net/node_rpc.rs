//! What a full node says of itself, over its HTTPS interface (port 8555): is it synced, how large is the network, how
//! long does a block take.
//!
//! Both sides show certificates of the private CA, so only a node of the same installation answers. As everywhere, the
//! certificate bears the name `chia.net`; the client asks for that name and reaches the node's own address by it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_rustls::rustls::{ClientConfig, Error as RustlsError};

use crate::config::HostPort;
use crate::farmer::ChainState;
use crate::ids::PeerId;
use crate::logging::escape;
use crate::tls::RefusalCause;

/// A client of one node.
#[derive(Debug)]
pub struct NodeRpc {
    client: reqwest::Client,
    node: HostPort,
    url: String,
}

/// What a node answered.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeAnswer {
    /// The chain as the node sees it.
    pub chain: ChainState,
    /// Timestamp of the newest block that was looked at and has one, unix seconds; only of a synced node.
    pub newest_block_unix_s: Option<u64>,
    /// SHA-256 of the certificate this node shows to its peers, if it says so (official ones do).
    pub node_id: Option<PeerId>,
}

/// Why a node's state is not known. `Display` is a fragment.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The client cannot be made.
    #[error("make an HTTPS client: {0}")]
    Client(String),
    /// It cannot be reached, or ended the connection.
    #[error("not reachable at {node}: {why}")]
    Unreachable {
        /// Host and port.
        node: String,
        /// The last cause.
        why: String,
    },
    /// It answered with something else than was asked for.
    #[error("{node} answered {endpoint} with {what}")]
    Nonsense {
        /// Host and port.
        node: String,
        /// What was asked.
        endpoint: &'static str,
        /// What came.
        what: String,
    },
}

impl NodeRpc {
    /// A client of the node whose interface is at `node`, with the certificates of `tls`.
    ///
    /// # Errors
    /// [`RpcError::Client`].
    pub fn new(node: HostPort, tls: ClientConfig) -> Result<Self, RpcError> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(OneHost(node.clone()))
            .no_proxy()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| RpcError::Client(cause(&error)))?;
        Ok(Self {
            client,
            url: format!("https://chia.net:{}", node.port),
            node,
        })
    }

    /// Where it is asked.
    #[must_use]
    pub const fn node(&self) -> &HostPort {
        &self.node
    }

    /// Asks for the state of the chain. The average block time is the one of the official `chia farm summary`: over 500
    /// blocks, 18.75 s while there are fewer than 600; it takes a few requests more and is asked for on demand only.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn state(&self, with_block_time: bool) -> Result<NodeAnswer, RpcError> {
        let answer: StateAnswer = self.ask("get_blockchain_state", &json!({})).await?;
        let state = answer.blockchain_state;
        let timed = match state.peak.clone() {
            Some(peak) if with_block_time => self.transaction_block(peak).await?,
            Some(peak) => peak.timestamp.map(|timestamp| (peak.height, timestamp)),
            None => None,
        };
        let average_block_seconds = match &state.peak {
            Some(peak) if with_block_time => self.average_block_seconds(peak.height, timed).await?,
            _ => None,
        };
        Ok(NodeAnswer {
            chain: ChainState {
                synced: state.sync.synced,
                syncing: state.sync.sync_mode,
                peak_height: state.peak.map(|peak| peak.height),
                difficulty: Some(state.difficulty),
                netspace_bytes: Some(state.space),
                average_block_seconds,
            },
            newest_block_unix_s: timed
                .filter(|_| state.sync.synced)
                .map(|(_, timestamp)| timestamp as u64),
            node_id: state.node_id.and_then(|id| id.trim_start_matches("0x").parse().ok()),
        })
    }

    /// `newer` is height and timestamp of the newest block that has one.
    async fn average_block_seconds(&self, peak: u32, newer: Option<(u32, f64)>) -> Result<Option<f64>, RpcError> {
        if peak < BLOCKS_TO_COMPARE + 100 {
            return Ok(Some(DEFAULT_BLOCK_SECONDS));
        }
        let Some((newer_height, newer_time)) = newer else {
            return Ok(Some(DEFAULT_BLOCK_SECONDS));
        };
        let height = newer_height.saturating_sub(BLOCKS_TO_COMPARE);
        let past: RecordAnswer = self
            .ask("get_block_record_by_height", &json!({ "height": height }))
            .await?;
        let Some((older_height, older_time)) = self.transaction_block(past.block_record).await? else {
            return Ok(Some(DEFAULT_BLOCK_SECONDS));
        };
        let blocks = f64::from(newer_height.saturating_sub(older_height).max(1));
        Ok(Some((newer_time - older_time) / blocks))
    }

    /// Height and timestamp of this block, or of the last one before it that has a timestamp.
    async fn transaction_block(&self, mut block: Block) -> Result<Option<(u32, f64)>, RpcError> {
        for _ in 0..MAX_WALK {
            if let Some(timestamp) = block.timestamp {
                return Ok(Some((block.height, timestamp)));
            }
            if block.height == 0 {
                break;
            }
            let before: RecordAnswer = self
                .ask("get_block_record", &json!({ "header_hash": block.prev_hash }))
                .await?;
            block = before.block_record;
        }
        Ok(None)
    }

    async fn ask<T: for<'a> Deserialize<'a>>(&self, endpoint: &'static str, what: &Value) -> Result<T, RpcError> {
        let unreachable = |error: reqwest::Error| RpcError::Unreachable {
            node: self.node.to_string(),
            why: cause(&error),
        };
        let nonsense = |what: String| RpcError::Nonsense {
            node: self.node.to_string(),
            endpoint,
            what,
        };
        let request = self.client.post(format!("{}/{endpoint}", self.url));
        let request = request
            .header("Content-Type", "application/json")
            .body(what.to_string());
        let mut response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(nonsense(format!("HTTP status {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(nonsense(format!("more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        let answer: Value = serde_json::from_slice(&body).map_err(|error| nonsense(format!("no JSON: {error}")))?;
        if answer.get("success") != Some(&Value::Bool(true)) {
            let error = answer.get("error").and_then(Value::as_str).unwrap_or("no reason");
            let error: String = error.chars().take(200).collect();
            return Err(nonsense(format!("an error: {}", escape(&error))));
        }
        serde_json::from_value(answer).map_err(|error| nonsense(format!("another object than expected: {error}")))
    }
}

/// Whatever name is asked for, it is this host.
struct OneHost(HostPort);

impl Resolve for OneHost {
    fn resolve(&self, _name: Name) -> Resolving {
        let HostPort { host, port } = self.0.clone();
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[derive(Deserialize)]
struct StateAnswer {
    blockchain_state: State,
}

#[derive(Deserialize)]
struct State {
    peak: Option<Block>,
    sync: Sync,
    difficulty: u64,
    /// Above 2^64 on mainnet.
    space: f64,
    node_id: Option<String>,
}

#[derive(Deserialize)]
struct Sync {
    sync_mode: bool,
    synced: bool,
}

#[derive(Deserialize)]
struct RecordAnswer {
    block_record: Block,
}

#[derive(Clone, Deserialize)]
struct Block {
    height: u32,
    prev_hash: String,
    /// Only transaction blocks have one.
    timestamp: Option<f64>,
}

/// The last cause of an error: the libraries' own words on the way there say nothing.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut last: &dyn std::error::Error = error;
    loop {
        if let Some(tls) = last.downcast_ref::<RustlsError>() {
            return RefusalCause::from(tls).to_string();
        }
        let io = last.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return "nobody listens on that port".to_owned();
        }
        // An I/O error passes over the error it was made of when asked for its source.
        let inside: Option<&dyn std::error::Error> = match io.and_then(io::Error::get_ref) {
            Some(inside) => Some(inside),
            None => last.source(),
        };
        match inside {
            Some(inside) => last = inside,
            None => return escape(&last.to_string()).into_owned(),
        }
    }
}

/// The official command compares the newest block with the one so many before it.
const BLOCKS_TO_COMPARE: u32 = 500;

/// What the official command takes where the chain is too short: 4608 blocks a day.
const DEFAULT_BLOCK_SECONDS: f64 = 18.75;

/// Blocks without a timestamp that are passed over before giving up; on a real chain there are a few in a row.
const MAX_WALK: usize = 64;

/// For each request. A node that syncs is slow.
const PATIENCE: Duration = Duration::from_secs(10);

/// A state has 2 KiB.
const MAX_ANSWER: usize = 1 << 20;
