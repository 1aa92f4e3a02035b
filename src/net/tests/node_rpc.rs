//! A node that answers questions about the chain, over real TLS and HTTP on loopback.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::*;
use crate::clock::UnixMillis;
use crate::config::{HostPort, Root};
use crate::farmer::ChainState;
use crate::init::{InitOptions, init};
use crate::tls::{farmer_server_config, node_rpc_client_config};

/// A root with a private CA of its own.
fn make_root() -> (tempfile::TempDir, Root) {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::new(dir.path());
    let options = InitOptions {
        ca_dir: None,
        network: None,
        now: UnixMillis(1_717_200_000_000), // 2024-06-01: before any clock this runs under
    };
    init(&root, &options).unwrap();
    (dir, root)
}

/// A node with the certificates of `root`; its chain has a block every 20 s, of which every third is a transaction block.
async fn node(root: &Root, height: u32) -> HostPort {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(farmer_server_config(root).unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(answer(stream, height));
            }
        }
    });
    HostPort::new("127.0.0.1", port)
}

async fn answer(mut stream: TlsStream<TcpStream>, height: u32) {
    let block = |height: u32| {
        let timestamp = height.is_multiple_of(3).then_some(u64::from(height) * 20);
        json!({"height": height, "prev_hash": format!("{}", height.wrapping_sub(1)), "timestamp": timestamp})
    };
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|n| n > 0) {
        let text = String::from_utf8_lossy(&buffer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let Ok(asked) = serde_json::from_str::<Value>(body) else {
            continue;
        };
        buffer.clear();
        let reply = if head.starts_with("POST /get_blockchain_state ") {
            json!({"success": true, "blockchain_state": {
                "peak": block(height), "sync": {"sync_mode": false, "synced": true}, "difficulty": 13_104,
                // More than 64 bits.
                "space": serde_json::from_str::<Value>("24000000000000000000").unwrap(), "node_id": "ab".repeat(32),
            }})
        } else if head.starts_with("POST /get_block_record ") {
            let hash = asked["header_hash"].as_str().unwrap();
            json!({"success": true, "block_record": block(hash.parse().unwrap())})
        } else if head.starts_with("POST /get_block_record_by_height ") {
            let height = u32::try_from(asked["height"].as_u64().unwrap()).unwrap();
            json!({"success": true, "block_record": block(height)})
        } else {
            json!({"success": false, "error": "what?"})
        };
        let reply = reply.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", reply.len());
        stream.write_all((head + &reply).as_bytes()).await.unwrap();
    }
}

fn client(root: &Root, node: HostPort) -> NodeRpc {
    let tls = Arc::unwrap_or_clone(node_rpc_client_config(root).unwrap());
    NodeRpc::new(node, tls).unwrap()
}

#[tokio::test]
async fn state_and_block_time_of_a_long_chain() {
    let (_dir, root) = make_root();
    let answer = client(&root, node(&root, 9_001).await).state(true).await.unwrap();
    assert_eq!(
        answer.chain,
        ChainState {
            synced: true,
            syncing: false,
            peak_height: Some(9_001),
            difficulty: Some(13_104),
            netspace_bytes: Some(24e18),
            average_block_seconds: Some(20.0),
        }
    );
    assert_eq!(answer.node_id, Some("ab".repeat(32).parse().unwrap()));
    // 9000 is a transaction block, 9001 is none.
    assert_eq!(answer.newest_block_unix_s, Some(180_000));
}

#[tokio::test]
async fn short_chain_has_the_block_time_of_the_official_command() {
    let (_dir, root) = make_root();
    let rpc = client(&root, node(&root, 599).await);
    assert_eq!(rpc.state(true).await.unwrap().chain.average_block_seconds, Some(18.75));
    assert_eq!(rpc.state(false).await.unwrap().chain.average_block_seconds, None);
}

#[tokio::test]
async fn node_that_cannot_be_asked_is_told_in_plain_words() {
    let (_dir, root) = make_root();
    let (_other_dir, other) = make_root();
    let error = client(&other, node(&root, 1).await).state(false).await.unwrap_err();
    assert!(
        error.to_string().ends_with(": its certificate is signed by another CA"),
        "{error}"
    );
    let error = client(&root, HostPort::new("127.0.0.1", 1))
        .state(false)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "not reachable at 127.0.0.1:1: nobody listens on that port"
    );
}
