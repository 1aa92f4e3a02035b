//! A harvester's link, against our own farmer and against raw farmers.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_util::sync::CancellationToken;

use super::super::testing::*;
use super::super::*;
use crate::ids::PeerId;
use crate::snapshot::DisconnectCause;
use crate::wire::{FromHarvester, Handshake, HarvesterLayout, Message, MessageType, ProtocolVersion, ToHarvester};

fn options() -> DialOptions {
    DialOptions {
        network_id: NETWORK.to_owned(),
        protocol_version: ProtocolVersion::CURRENT,
        host: "farmer:8447".to_owned(),
        address: ([10, 0, 0, 1], 8447).into(),
        own_address: None,
        farmer_id: PeerId([1; 32]),
    }
}

/// A running harvester: what it is to send, what it received, and how its link ended.
struct Harvester {
    send: mpsc::Sender<WithId<FromHarvester>>,
    received: mpsc::Receiver<WithId<ToHarvester>>,
    ended: JoinHandle<DisconnectCause>,
    shutdown: CancellationToken,
}

impl Harvester {
    fn run(link: FarmerLink<DuplexStream>) -> Self {
        let (send, outgoing) = mpsc::channel(16);
        let (incoming, received) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let ended = tokio::spawn(async move { link.run(outgoing, incoming, &token).await });
        Self {
            send,
            received,
            ended,
            shutdown,
        }
    }
}

/// A harvester that is connected to a farmer the test plays.
async fn with_raw_farmer() -> (Harvester, WebSocketStream<DuplexStream>) {
    let (ours, far) = duplex(1 << 20);
    let farmer = tokio::spawn(async move {
        let mut socket = tokio_tungstenite::accept_async(far).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let answer = Message::new(
            MessageType::Handshake,
            None,
            &Handshake {
                node_type: 3,
                ..hello()
            },
        );
        socket.send(Frame::Binary(answer.to_bytes().into())).await.unwrap();
        socket
    });
    let link = connect(ours, options()).await.unwrap();
    assert_eq!((link.software_version(), link.protocol_version()), ("2.7.5", "0.0.38"));
    (Harvester::run(link), farmer.await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn our_harvester_farms_with_our_farmer() {
    let mut farm = Farm::new();
    let link = connect(farm.open(1 << 20), options()).await.unwrap();
    assert_eq!(
        (link.software_version(), link.layout()),
        (SOFTWARE_VERSION, HarvesterLayout::V38)
    );
    let connected = farm.connected().await;
    assert_eq!(connected.peer.software_version, SOFTWARE_VERSION);
    let mut harvester = Harvester::run(link);

    connected.outbox.send(signage_point(9), None).unwrap();
    assert_eq!(harvester.received.recv().await, Some((signage_point(9), None)));
    harvester.send.send((farming_info(7), None)).await.unwrap();
    assert_eq!(farm.message().await.1, farming_info(7));

    // Hours of nothing but pings.
    assert!(timeout(Duration::from_secs(7_200), farm.events.recv()).await.is_err());
    assert!(!harvester.ended.is_finished());

    connected.outbox.close(DisconnectCause::Shutdown);
    assert_eq!(harvester.ended.await.unwrap(), DisconnectCause::ClosedByPeer);
    assert_eq!(farm.disconnected().await, DisconnectCause::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_link_from_an_address_that_this_machine_has_lost_does_not_wait_for_silence() {
    let mut farm = Farm::new();
    let mut lost = options();
    // One for documentation (RFC 5737), which no machine has.
    lost.own_address = Some("203.0.113.9:50000".parse().unwrap());
    let harvester = Harvester::run(connect(farm.open(1 << 20), lost).await.unwrap());
    let begin = Instant::now();
    let _connected = farm.connected().await;
    let cause = harvester.ended.await.unwrap();
    assert_eq!(
        cause.to_string(),
        "connection lost: this machine has the address 203.0.113.9 no longer"
    );
    assert_eq!(begin.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_large_plot_list_gets_through_when_asked_for() {
    let mut farm = Farm::new();
    let mut harvester = Harvester::run(connect(farm.open(1 << 20), options()).await.unwrap());
    let connected = farm.connected().await;
    connected.outbox.send(ToHarvester::RequestPlots, Some(0x8000)).unwrap();
    assert_eq!(
        harvester.received.recv().await,
        Some((ToHarvester::RequestPlots, Some(0x8000)))
    );
    harvester.send.send((plot_list(25 << 20), Some(0x8000))).await.unwrap();
    assert_eq!(farm.message().await.0, Some(0x8000));
}

#[tokio::test(start_paused = true)]
async fn the_farmer_is_pinged_and_dropped_after_sixty_silent_seconds() {
    let (harvester, mut farmer) = with_raw_farmer().await;
    let start = Instant::now();
    for ping in 1..=30 {
        assert!(matches!(farmer.next().await, Some(Ok(Frame::Ping(_)))));
        assert_eq!(start.elapsed().as_secs(), ping * 20);
        farmer.flush().await.unwrap();
    }
    // Read and answered no more.
    let last_heard = Instant::now();
    assert_eq!(harvester.ended.await.unwrap(), DisconnectCause::Silent);
    let after = last_heard.elapsed();
    assert!(
        after > Duration::from_secs(40) && after <= Duration::from_secs(60),
        "{after:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_messages_of_a_farmer_are_ignored_and_unreadable_ones_are_not() {
    let (mut harvester, mut farmer) = with_raw_farmer().await;
    let send = |message: Message| Frame::Binary(message.to_bytes().into());
    farmer
        .send(send(Message {
            kind: 200,
            id: None,
            data: vec![1, 2, 3],
        }))
        .await
        .unwrap();
    farmer
        .send(send(signage_point(1).encode(None, HarvesterLayout::V38)))
        .await
        .unwrap();
    assert_eq!(harvester.received.recv().await, Some((signage_point(1), None)));
    farmer
        .send(send(Message {
            kind: 66,
            id: None,
            data: vec![1, 2, 3],
        }))
        .await
        .unwrap();
    let cause = harvester.ended.await.unwrap();
    assert!(matches!(cause, DisconnectCause::Malformed { message, .. } if message == "new_signage_point_harvester"));
}

#[tokio::test(start_paused = true)]
async fn a_harvester_that_stops_says_goodbye() {
    let (harvester, mut farmer) = with_raw_farmer().await;
    harvester.shutdown.cancel();
    match farmer.next().await {
        Some(Ok(Frame::Close(Some(goodbye)))) => assert_eq!(u16::from(goodbye.code), 1001),
        other => panic!("{other:?}"),
    }
    assert_eq!(harvester.ended.await.unwrap(), DisconnectCause::Shutdown);

    let (harvester, _farmer) = with_raw_farmer().await;
    drop(harvester.send);
    assert_eq!(harvester.ended.await.unwrap(), DisconnectCause::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn a_farmer_that_never_answers_is_given_up() {
    let (ours, _far) = duplex(1 << 16);
    let start = Instant::now();
    assert!(matches!(connect(ours, options()).await, Err(ConnectError::TimedOut)));
    assert_eq!(start.elapsed().as_secs(), 30);
}
