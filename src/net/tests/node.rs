//! The farmer's end of a link to a full node, against a node made of a raw websocket. In memory; time is paused.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_async};
use tokio_util::sync::CancellationToken;

use super::super::testing::{NETWORK, hello};
use super::super::*;
use crate::ids::{Bytes32, ChallengeHash, PeerId, QualityString, RewardChainSp, SpHash};
use crate::snapshot::DisconnectCause;
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::*;

fn options() -> NodeDialOptions {
    NodeDialOptions {
        network_id: NETWORK.to_owned(),
        server_port: 8447,
        host: "node.lan:8444".to_owned(),
        address: SocketAddr::from(([10, 0, 0, 9], 8444)),
        own_address: None,
        node_id: PeerId([9; 32]),
    }
}

fn node_hello() -> Handshake {
    Handshake {
        node_type: NodeType::FullNode.as_u8(),
        server_port: 8444,
        ..hello()
    }
}

struct FakeNode(WebSocketStream<DuplexStream>);

impl FakeNode {
    async fn send(&mut self, message: Message) {
        self.0.send(Frame::Binary(message.to_bytes().into())).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        loop {
            match self.0.next().await?.ok()? {
                Frame::Binary(bytes) => return Some(Message::parse(&bytes).unwrap()),
                Frame::Close(_) => return None,
                _ => {}
            }
        }
    }
}

/// A node that answers the farmer's handshake with `answer`; what the farmer made of it, and what it had said.
async fn dial(answer: Handshake) -> (Result<FullNodeLink<DuplexStream>, ConnectError>, FakeNode, Handshake) {
    let (ours, far) = duplex(1 << 20);
    let node = tokio::spawn(async move {
        let mut node = FakeNode(accept_async(far).await.unwrap());
        let said = Handshake::from_bytes(&node.next().await.unwrap().data).unwrap();
        node.send(Message::new(MessageType::Handshake, None, &answer)).await;
        (node, said)
    });
    let link = connect_node(ours, options()).await;
    let (node, said) = node.await.unwrap();
    (link, node, said)
}

struct Running {
    node: FakeNode,
    to_node: mpsc::Sender<ToFullNode>,
    from_node: mpsc::Receiver<FromFullNode>,
    ended: JoinHandle<(DisconnectCause, mpsc::Receiver<ToFullNode>)>,
}

async fn run() -> Running {
    let (link, node, _) = dial(node_hello()).await;
    let link = link.unwrap();
    let (to_node, mut outgoing) = mpsc::channel(8);
    let (incoming, from_node) = mpsc::channel(8);
    let ended = tokio::spawn(async move {
        let cause = link.run(&mut outgoing, incoming, &CancellationToken::new()).await;
        (cause, outgoing)
    });
    Running {
        node,
        to_node,
        from_node,
        ended,
    }
}

fn signed_values(number: u8) -> ToFullNode {
    ToFullNode::SignedValues(Box::new(SignedValues {
        quality_string: QualityString([number; 32]),
        foliage_block_data_signature: G2Bytes([1; 96]),
        foliage_transaction_block_signature: G2Bytes([2; 96]),
    }))
}

fn signage_point() -> NewSignagePoint {
    NewSignagePoint {
        challenge_hash: ChallengeHash([1; 32]),
        challenge_chain_sp: SpHash([2; 32]),
        reward_chain_sp: RewardChainSp([3; 32]),
        difficulty: Difficulty(1),
        sub_slot_iters: SubSlotIters(1 << 27),
        signage_point_index: 7,
        peak_height: Height(10),
        last_tx_height: Height(9),
        sp_source_data: None,
        filter_challenge: None,
    }
}

#[tokio::test(start_paused = true)]
async fn it_introduces_itself_as_a_farmer_and_passes_messages_both_ways() {
    let (_, _, said) = dial(node_hello()).await;
    assert_eq!((said.role(), said.server_port), (Some(NodeType::Farmer), 8447));
    assert_eq!(said.network_id, NETWORK);

    let mut running = run().await;
    let point = FromFullNode::NewSignagePoint(Box::new(signage_point()));
    let request = FromFullNode::RequestSignedValues(Box::new(RequestSignedValues {
        quality_string: QualityString([5; 32]),
        foliage_block_data_hash: Bytes32([6; 32]),
        foliage_transaction_block_hash: Bytes32::default(),
        foliage_block_data: None,
        foliage_transaction_block_data: None,
        rc_block_unfinished: None,
    }));
    for message in [&point, &request, &point] {
        running.node.send(message.encode(None)).await;
    }
    // A number that no node sends, and a point as nodes before 2.7.4 write it.
    running
        .node
        .send(Message::new(MessageType::HarvesterHandshake, None, &signage_point()))
        .await;
    let mut old = point.encode(None);
    old.data.pop();
    running.node.send(old).await;
    for expected in [&point, &request, &point, &point] {
        assert_eq!(running.from_node.recv().await.as_ref(), Some(expected));
    }
    running.to_node.send(signed_values(1)).await.unwrap();
    let sent = running.node.next().await.unwrap();
    assert_eq!(ToFullNode::decode(&sent).unwrap(), Some(signed_values(1)));
    assert_eq!(sent.id, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_node_of_our_network_is_refused() {
    let other = Handshake {
        network_id: "mainnet".to_owned(),
        ..node_hello()
    };
    assert!(matches!(dial(other).await.0, Err(ConnectError::WrongNetwork { got, .. }) if got == "mainnet"));
    let farmer = Handshake {
        node_type: NodeType::Farmer.as_u8(),
        ..node_hello()
    };
    let error = dial(farmer).await.0.unwrap_err().to_string();
    assert_eq!(error, "shake hands: it is no full node (node type 3)");
}

#[tokio::test(start_paused = true)]
async fn unreadable_message_ends_the_link() {
    let mut running = run().await;
    running
        .node
        .send(Message::new(MessageType::NewSignagePoint, None, &signed()))
        .await;
    let (cause, _) = running.ended.await.unwrap();
    assert!(
        matches!(&cause, DisconnectCause::Malformed { message, .. } if message == "new_signage_point"),
        "{cause}"
    );
}

fn signed() -> SignedValues {
    match signed_values(1) {
        ToFullNode::SignedValues(values) => *values,
        ToFullNode::DeclareProofOfSpace(_) => panic!("not that"),
    }
}

#[tokio::test(start_paused = true)]
async fn silent_node_is_given_up_within_half_a_minute() {
    let running = run().await;
    let began = tokio::time::Instant::now();
    // It neither reads nor answers pings.
    let _kept = running.node;
    let (cause, _) = running.ended.await.unwrap();
    assert_eq!(cause, DisconnectCause::Silent);
    assert!(
        began.elapsed() <= std::time::Duration::from_secs(31),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_stays_for_the_next_link() {
    let running = run().await;
    drop(running.node);
    let (_, mut outgoing) = {
        let ended = running.ended.await.unwrap();
        running.to_node.send(signed_values(2)).await.unwrap();
        ended
    };
    let (link, mut node, _) = dial(node_hello()).await;
    let (incoming, _from_node) = mpsc::channel(8);
    let shutdown = CancellationToken::new();
    let serving = link.unwrap();
    let serving = serving.run(&mut outgoing, incoming, &shutdown);
    let reading = async {
        let sent = node.next().await.unwrap();
        shutdown.cancel();
        // The goodbye wants an answer.
        while node.next().await.is_some() {}
        sent
    };
    let (cause, sent) = tokio::join!(serving, reading);
    assert_eq!(cause, DisconnectCause::Shutdown);
    assert_eq!(ToFullNode::decode(&sent).unwrap(), Some(signed_values(2)));
}
