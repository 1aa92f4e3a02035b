//! Dialled nodes against one that treats connections as official full nodes do: over TLS on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::version::TLS13;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

use super::dialled::tests::nowhere;
use super::dialled::{DialError, DialledNode};
use crate::config::{HostPort, Root};
use crate::farmer::{Input, NodeLink, NodeTrust};
use crate::ids::NodeId;
use crate::net::{ConnectError, PinError, Reached, reach};
use crate::tls::{CertificateAuthority, Identity, ServiceName, SslLayout, chia_server_name, provider};
use crate::wire::{Handshake, Message, MessageType, NodeType};

/// A full node that keeps one connection to a peer: the older one is closed when another comes (chia `server.py`,
/// `connection_added`).
struct OfficialNode {
    tls: TlsAcceptor,
    says: Mutex<Handshake>,
    /// Ends the connection that it keeps.
    newest: Mutex<CancellationToken>,
    connections: AtomicU32,
}

impl OfficialNode {
    /// With the node's certificate of a root.
    fn new(dir: &Path) -> Arc<Self> {
        let layout = SslLayout::of(&Root::new(dir));
        let leaf = layout.leaf(CertificateAuthority::Chia, ServiceName::FullNode);
        let (chain, key) = Identity::load(&leaf).unwrap().into_parts();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(Self {
            tls: TlsAcceptor::from(Arc::new(config)),
            says: Mutex::new(Handshake {
                network_id: "mainnet".to_owned(),
                protocol_version: "0.0.36".to_owned(),
                software_version: "2.7.5".to_owned(),
                server_port: 8444,
                node_type: NodeType::FullNode.as_u8(),
                capabilities: vec![(1, "1".to_owned())],
            }),
            newest: Mutex::default(),
            connections: AtomicU32::new(0),
        })
    }

    /// One more name of it.
    async fn listen(self: &Arc<Self>) -> HostPort {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&node).serve(stream));
            }
        });
        HostPort::new("127.0.0.1", port)
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) -> Option<()> {
        let mut socket = accept_async(self.tls.accept(stream).await.ok()?).await.ok()?;
        socket.next().await?.ok()?;
        let answer = Message::new(MessageType::Handshake, None, &*self.says.lock().unwrap());
        socket.send(Frame::Binary(answer.to_bytes().into())).await.ok()?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        let over = CancellationToken::new();
        std::mem::replace(&mut *self.newest.lock().unwrap(), over.clone()).cancel();
        tokio::select! {
            () = over.cancelled() => {
                let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                socket.close(Some(goodbye)).await.ok()
            }
            () = async { while let Some(Ok(_)) = socket.next().await {} } => Some(()),
        }
    }

    fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The next state of a link that is not the one of its beginning.
async fn next_link(inputs: &mut mpsc::Receiver<Input>) -> NodeLink {
    loop {
        match timeout(Duration::from_secs(20), inputs.recv()).await.unwrap() {
            Some(Input::Node { status, .. }) => match status.link {
                NodeLink::Down { why } if why == "being dialled" => {}
                link => return link,
            },
            _ => panic!("it says something else"),
        }
    }
}

#[tokio::test]
async fn certificate_is_remembered_only_of_a_node_that_has_shaken_hands() {
    let dir = tempfile::tempdir().unwrap();
    let (node, _inputs) = nowhere(dir.path());
    let official = OfficialNode::new(dir.path());
    let name = official.listen().await;
    // It is on this machine, and seems to be on another one.
    let greet = async || {
        let reached = reach(&name, &node.tls, chia_server_name()).await.unwrap();
        let address = SocketAddr::from(([10, 0, 0, 9], 8444));
        node.greet(Reached { address, ..reached }).await
    };
    let right = official.says.lock().unwrap().clone();
    official.says.lock().unwrap().network_id = "testnet11".to_owned();
    assert!(matches!(
        greet().await.err(),
        Some(DialError::Handshake(ConnectError::WrongNetwork { .. }))
    ));
    assert!(!node.pins.file().exists());
    *official.says.lock().unwrap() = Handshake {
        node_type: NodeType::Wallet.as_u8(),
        ..right.clone()
    };
    assert!(matches!(
        greet().await.err(),
        Some(DialError::Handshake(ConnectError::WrongNodeType { .. }))
    ));
    assert!(!node.pins.file().exists());

    *official.says.lock().unwrap() = right;
    assert_eq!(greet().await.unwrap().trust, NodeTrust::Foreign);
    let known = std::fs::read_to_string(node.pins.file()).unwrap();
    assert!(known.contains("\n127.0.0.1:1 "), "{known}");
    // Another one is not even spoken to.
    std::fs::write(node.pins.file(), format!("127.0.0.1:1 {}\n", "ab".repeat(32))).unwrap();
    let before = official.connections();
    assert!(matches!(
        greet().await.err(),
        Some(DialError::Pin(PinError::Changed { .. }))
    ));
    assert_eq!(official.connections(), before);
}

#[tokio::test]
async fn node_of_two_names_is_farmed_with_under_one_and_the_other_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let (first, mut of_first) = nowhere(dir.path());
    let official = OfficialNode::new(dir.path());
    let other_dir = tempfile::tempdir().unwrap();
    let (second, mut of_second) = nowhere(other_dir.path());
    let (_to_first, for_first) = mpsc::channel(8);
    let (_to_second, for_second) = mpsc::channel(8);
    let names = [official.listen().await, official.listen().await];
    let first = DialledNode {
        peer: names[0].clone(),
        from_engine: for_first,
        ..first
    };
    let second = DialledNode {
        peer: names[1].clone(),
        node: NodeId(1),
        from_engine: for_second,
        names: Arc::clone(&first.names),
        ..second
    };
    let (stop_first, stop) = (CancellationToken::new(), CancellationToken::new());
    let first = tokio::spawn(first.run(stop_first.clone()));
    assert_eq!(next_link(&mut of_first).await, NodeLink::Up);
    let second = tokio::spawn(second.run(stop.clone()));
    for _ in 0..2 {
        let expected = format!(
            "it is the same full node as {}: both show one certificate; remove one of the two from \
             `farmer.full_node_peers`, or have a copied node make a certificate of its own",
            names[0]
        );
        assert_eq!(next_link(&mut of_second).await, NodeLink::SecondName { why: expected });
    }
    assert_eq!(official.connections(), 1);
    assert!(of_first.is_empty(), "its link was ended");

    stop_first.cancel();
    first.await.unwrap();
    let next = async {
        loop {
            if next_link(&mut of_second).await == NodeLink::Up {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), next).await.unwrap();
    assert_eq!(official.connections(), 2);
    stop.cancel();
    second.await.unwrap();
}
