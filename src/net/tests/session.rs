//! A harvester's session, with a raw websocket as the harvester and the test as the core.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, advance, sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::super::testing::*;
use super::super::*;
use crate::ids::SpHash;
use crate::snapshot::DisconnectCause;
use crate::wire::{FromHarvester, Handshake, HarvesterLayout, Message, MessageType, ToHarvester};

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn is_lost(cause: &DisconnectCause) -> bool {
    matches!(cause, DisconnectCause::Lost { .. })
}

fn is_violation(cause: &DisconnectCause) -> bool {
    matches!(cause, DisconnectCause::ProtocolViolation { .. })
}

#[tokio::test(start_paused = true)]
async fn messages_pass_both_ways_with_their_ids() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    assert_eq!((connected.peer.peer_id, connected.peer.address), (PEER, address()));
    assert_eq!(connected.peer.protocol_version, "0.0.38");

    connected.outbox.send(keys(), None).unwrap();
    connected.outbox.send(request_signatures(), Some(0x8001)).unwrap();
    assert_eq!(ToHarvester::decode(&peer.message().await).unwrap(), Some(keys()));
    let request = peer.message().await;
    assert_eq!(request.id, Some(0x8001));
    assert_eq!(ToHarvester::decode(&request).unwrap(), Some(request_signatures()));

    peer.send(encoded(&farming_info(864))).await;
    peer.send(plot_list(10).encode(Some(0x8001), HarvesterLayout::V38))
        .await;
    let (id, message, _credit) = farm.message().await;
    assert_eq!((id, message), (None, farming_info(864)));
    assert_eq!(farm.message().await.0, Some(0x8001));
}

#[tokio::test(start_paused = true)]
async fn each_harvester_gets_the_layout_it_reads() {
    let mut lengths = Vec::new();
    for protocol_version in ["0.0.36", "0.0.37", "0.0.38"] {
        let mut farm = Farm::new();
        let protocol_version = protocol_version.to_owned();
        let (mut peer, connected) = farm
            .connect_with(
                1 << 16,
                &Handshake {
                    protocol_version,
                    ..hello()
                },
            )
            .await;
        let ToHarvester::NewSignagePoint(mut point) = signage_point(1) else {
            unreachable!()
        };
        if lengths.is_empty() {
            point.filter = crate::wire::SignagePointFilter::PrefixBits(9);
        }
        connected
            .outbox
            .send(ToHarvester::NewSignagePoint(point), None)
            .unwrap();
        lengths.push(peer.message().await.data.len());
    }
    // After the list of pools: one byte of prefix bits, two heights, two heights and an absent challenge.
    assert_eq!([lengths[1] - lengths[0], lengths[2] - lengths[1]], [7, 1]);
}

#[tokio::test(start_paused = true)]
async fn unknown_messages_are_counted_and_nothing_else() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    for (kind, bytes) in [(200, 10), (4, 0), (66, 40), (250, 60_000)] {
        peer.send(Message {
            kind,
            id: None,
            data: vec![0xff; bytes],
        })
        .await;
        match farm.event().await {
            SessionEvent::Ignored { session, kind: got } => assert_eq!((session, got), (connected.session, kind)),
            other => panic!("{other:?}"),
        }
    }
    peer.send(encoded(&farming_info(1))).await;
    assert_eq!(farm.message().await.1, farming_info(1));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_ends_the_session_and_delays_the_next() {
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect().await;
    let mut broken = encoded(&farming_info(1));
    broken.data.push(0);
    peer.send(broken).await;
    match farm.disconnected().await {
        DisconnectCause::Malformed { message, detail } => {
            assert_eq!(message, "farming_info");
            assert!(detail.contains("1 bytes too many"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.goodbye().await, Some((1002, "-4".to_owned())));
    assert!(farm.server.admit_identity(PEER).is_err());
    advance(seconds(10)).await;
    assert_eq!(farm.server.admit_identity(PEER), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn garbage_and_text_end_the_session() {
    let frames = [
        Frame::Binary(vec![0xff; 300].into()),
        Frame::Binary(Vec::new().into()),
        Frame::Text("{}".into()),
    ];
    for frame in frames {
        let mut farm = Farm::new();
        let (mut peer, _connected) = farm.connect().await;
        peer.send_frame(frame).await;
        let cause = farm.disconnected().await;
        assert!(
            is_violation(&cause) || matches!(cause, DisconnectCause::Malformed { .. }),
            "{cause}"
        );
        assert_eq!(peer.goodbye().await.map(|(code, _)| code), Some(1002));
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_over_four_mebibytes_is_too_long() {
    for (bytes, fits) in [((4 << 20) - 6, true), ((4 << 20) - 5, false)] {
        let mut farm = Farm::new();
        let (mut peer, _connected) = farm.connect().await;
        // Nobody sends a sync batch of zeros, but only the frame is judged here, and first.
        let data = vec![0; bytes];
        peer.send(Message {
            kind: MessageType::PlotSyncRemoved.as_u8(),
            id: None,
            data,
        })
        .await;
        let cause = farm.disconnected().await;
        assert_eq!(matches!(cause, DisconnectCause::Malformed { .. }), fits, "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_absurd_length_is_refused_at_its_header() {
    for length in [u64::MAX >> 1, 1 << 32, (50 << 20) + 1] {
        let mut farm = Farm::new();
        let (mut peer, _connected) = farm.connect().await;
        let mut header = vec![0x82, 0xff];
        header.extend(length.to_be_bytes());
        header.extend([0; 4]);
        peer.socket.get_mut().write_all(&header).await.unwrap();
        let cause = farm.disconnected().await;
        assert!(is_violation(&cause), "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_claims_much_is_cut_off_while_it_comes() {
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect().await;
    let mut header = vec![0x82, 0xff];
    header.extend((40_u64 << 20).to_be_bytes());
    header.extend([0; 4]);
    let stream = peer.socket.get_mut();
    stream.write_all(&header).await.unwrap();
    let mut taken = 0;
    while taken < 40 << 20 && stream.write_all(&[0; 64 << 10]).await.is_ok() {
        taken += 64 << 10;
    }
    assert!(taken < 7 << 20, "{taken} bytes were taken");
    assert!(is_violation(&farm.disconnected().await));
}

#[tokio::test(start_paused = true)]
async fn a_long_plot_list_is_read_only_when_asked_for() {
    let list = plot_list(6 << 20).encode(Some(0x8000), HarvesterLayout::V38);
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    connected.outbox.send(ToHarvester::RequestPlots, Some(0x8000)).unwrap();
    peer.message().await;
    peer.send(list.clone()).await;
    assert!(matches!(farm.message().await.1, FromHarvester::RespondPlots(_)));

    tokio::spawn(async move {
        peer.socket.get_mut();
        let _ = futures_util::SinkExt::send(&mut peer.socket, Frame::Binary(list.to_bytes().into())).await;
    });
    assert!(is_violation(&farm.disconnected().await));
}

#[tokio::test(start_paused = true)]
async fn fragments_are_one_message() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect().await;
    let bytes = encoded(&farming_info(5)).to_bytes();
    let (first, rest) = bytes.split_at(20);
    let part = |bytes: &[u8], code, last| Frame::Frame(RawFrame::message(bytes.to_vec(), OpCode::Data(code), last));
    peer.send_frame(part(first, Data::Binary, false)).await;
    peer.send_frame(part(rest, Data::Continue, true)).await;
    assert_eq!(farm.message().await.1, farming_info(5));
}

#[tokio::test(start_paused = true)]
async fn a_harvester_is_pinged_every_ten_seconds_and_its_pongs_keep_it() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    let start = Instant::now();
    let mut pings = 0;
    while start.elapsed() < seconds(600) {
        match timeout(seconds(11), peer.frame()).await.expect("no ping for 11 s") {
            Some(Frame::Ping(_)) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 60);
    assert!(farm.events.try_recv().is_err(), "nothing was to be told");
    assert!(connected.outbox.stats().round_trip.is_some());
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_at_15_s_and_ends_it_at_60_s() {
    let mut farm = Farm::new();
    let (peer, connected) = farm.connect().await;
    let start = Instant::now();
    match farm.event().await {
        SessionEvent::Quiet { session, quiet } => {
            assert_eq!((session, quiet.as_secs()), (connected.session, 15));
            assert_eq!(start.elapsed().as_secs(), 15);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(farm.disconnected().await, DisconnectCause::Silent);
    let after = start.elapsed();
    assert!(after > seconds(59) && after <= seconds(60), "{after:?}");
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn one_byte_is_a_sign_of_life() {
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect().await;
    assert!(matches!(farm.event().await, SessionEvent::Quiet { .. }));
    sleep(seconds(40)).await;
    // The first byte of some frame.
    peer.socket.get_mut().write_all(&[0x82]).await.unwrap();
    assert!(matches!(farm.event().await, SessionEvent::Heard { .. }));
    assert!(matches!(farm.event().await, SessionEvent::Quiet { .. }));
    assert_eq!(farm.disconnected().await, DisconnectCause::Silent);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_answered_at_once() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    let start = Instant::now();
    connected.outbox.probe();
    assert!(matches!(peer.frame().await, Some(Frame::Ping(_))));
    peer.live_for(Duration::from_millis(10)).await;
    assert!(matches!(farm.event().await, SessionEvent::Heard { .. }));
    assert!(start.elapsed() < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_busy_core_stops_reading_and_blames_nobody() {
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect_with(4 << 10, &hello()).await;
    let sending = tokio::spawn(async move {
        for n in 0..300 {
            peer.send(encoded(&farming_info(n))).await;
        }
        peer
    });
    // The core takes messages and does not finish with them: 64 credits, and not one more.
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(farm.message().await);
    }
    assert!(
        timeout(seconds(300), farm.events.recv()).await.is_err(),
        "65 messages, or a disconnect"
    );
    assert!(!sending.is_finished(), "the socket is still being read");
    // As it finishes with them, the rest comes.
    for expected in 64..300 {
        held.remove(0);
        assert_eq!(farm.message().await.1, farming_info(expected));
        held.push((None, farming_info(0), Credit::unlimited()));
    }
    let mut peer = sending.await.unwrap();
    peer.live_for(seconds(60)).await;
    assert!(farm.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn one_busy_session_does_not_hold_up_another() {
    let mut farm = Farm::new();
    let (mut greedy, _first) = farm.connect_with(4 << 10, &hello()).await;
    let (mut modest, second) = farm.connect().await;
    let flood = tokio::spawn(async move {
        loop {
            greedy.send(encoded(&farming_info(0))).await;
        }
    });
    let mut held = Vec::new();
    for _ in 0..64 {
        held.push(farm.message().await);
    }
    modest.send(encoded(&farming_info(1))).await;
    match timeout(seconds(1), farm.event()).await.expect("held up") {
        SessionEvent::Message { session, .. } => assert_eq!(session, second.session),
        other => panic!("{other:?}"),
    }
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_read_slowly_and_never_punished() {
    let mut farm = Farm::new();
    let (mut peer, _connected) = farm.connect().await;
    let start = Instant::now();
    tokio::spawn(async move {
        for n in 0..7_000 {
            peer.send(encoded(&farming_info(n))).await;
        }
        peer.live_for(seconds(3_600)).await;
    });
    for _ in 0..7_000 {
        farm.message().await;
    }
    // 5,000 at once, then 500 a second.
    assert_eq!(start.elapsed().as_secs(), 4);
    assert!(farm.server.stats().slowed_messages > 0);
}

#[tokio::test(start_paused = true)]
async fn a_harvester_that_takes_nothing_is_dropped_after_30_s() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect_with(256, &hello()).await;
    let start = Instant::now();
    let mut replaced = Vec::new();
    for n in 0..20 {
        replaced.extend(connected.outbox.send(signage_point(n), None).unwrap());
        tokio::task::yield_now().await;
    }
    // It is alive and talks, it just does not read.
    let talk = async {
        while start.elapsed() < seconds(40) {
            let info = Frame::Binary(encoded(&farming_info(1)).to_bytes().into());
            if futures_util::SinkExt::feed(&mut peer.socket, info).await.is_err() {
                break;
            }
            futures_util::SinkExt::flush(&mut peer.socket).await.ok();
            sleep(seconds(5)).await;
        }
    };
    let core = async {
        loop {
            match farm.event().await {
                SessionEvent::Message { .. } => {}
                SessionEvent::Disconnected { cause, .. } => break (cause, start.elapsed().as_secs()),
                other => panic!("{other:?}"),
            }
        }
    };
    let (_, (cause, after)) = tokio::join!(talk, core);
    assert_eq!((cause, after), (DisconnectCause::SlowReader, 30));
    assert!(replaced.len() >= 12, "{replaced:?}");
    assert!(
        replaced.is_sorted_by_key(|hash: &SpHash| hash.0[0]),
        "the oldest go first"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_that_takes_a_little_now_and_then_stays() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect_with(64, &hello()).await;
    for _ in 0..8 {
        connected.outbox.send(request_signatures(), Some(0x8000)).unwrap();
    }
    let start = Instant::now();
    let mut bytes = [0; 16];
    while start.elapsed() < seconds(300) {
        peer.socket.get_mut().read_exact(&mut bytes).await.unwrap();
        // Sends a ping, as an official harvester does once a minute, so that it is not silent.
        futures_util::SinkExt::feed(&mut peer.socket, Frame::Ping(vec![1].into()))
            .await
            .unwrap();
        futures_util::SinkExt::flush(&mut peer.socket).await.unwrap();
        sleep(seconds(10)).await;
    }
    assert!(farm.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn too_many_signature_requests_end_it() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    let sent = (0..100)
        .take_while(|n| connected.outbox.send(request_signatures(), Some(0x8000 + n)).is_ok())
        .count();
    assert_eq!(sent, 64);
    assert_eq!(farm.disconnected().await, DisconnectCause::OutboxFull);
    assert_eq!(peer.goodbye().await.map(|(code, _)| code), Some(1008));
}

#[tokio::test(start_paused = true)]
async fn the_core_can_end_a_session() {
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    connected.outbox.close(DisconnectCause::Shutdown);
    assert_eq!(farm.disconnected().await, DisconnectCause::Shutdown);
    assert_eq!(peer.goodbye().await, Some((1001, String::new())));
    assert_eq!(connected.outbox.send(keys(), None), Err(OutboxClosed));
}

#[tokio::test(start_paused = true)]
async fn shutdown_says_goodbye_and_waits_for_nobody_long() {
    let mut farm = Farm::new();
    let (mut polite, _first) = farm.connect().await;
    let (deaf, _second) = farm.connect().await;
    farm.server.shutdown.cancel();
    assert_eq!(polite.goodbye().await, Some((1001, String::new())));
    assert_eq!(farm.disconnected().await, DisconnectCause::Shutdown);
    assert_eq!(farm.disconnected().await, DisconnectCause::Shutdown);
    let start = Instant::now();
    let mut stream = deaf.socket.into_inner();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(start.elapsed() <= seconds(2));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_has_a_cause() {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    let closing = |code: u16, reason: &'static str| CloseFrame {
        code: code.into(),
        reason: reason.into(),
    };
    let mut farm = Farm::new();
    for goodbye in [None, Some(closing(1000, "")), Some(closing(1001, ""))] {
        let (mut peer, _connected) = farm.connect().await;
        peer.send_frame(Frame::Close(goodbye)).await;
        assert_eq!(farm.disconnected().await, DisconnectCause::ClosedByPeer);
        assert!(
            matches!(peer.frame().await, Some(Frame::Close(_))),
            "goodbyes are answered"
        );
    }

    // The official software says with 1002 that it could not read us: that is no orderly end.
    let (mut peer, _connected) = farm.connect().await;
    peer.send_frame(Frame::Close(Some(closing(1002, "1")))).await;
    let cause = farm.disconnected().await;
    assert!(is_lost(&cause) && cause.to_string().contains("code 1002 1"), "{cause}");

    let (peer, _connected) = farm.connect().await;
    drop(peer);
    assert!(is_lost(&farm.disconnected().await));
}

#[tokio::test(start_paused = true)]
async fn sessions_of_one_certificate_live_side_by_side() {
    let mut farm = Farm::new();
    let (mut first_peer, first) = farm.connect().await;
    let (mut second_peer, second) = farm.connect().await;
    assert_eq!(first.peer.peer_id, second.peer.peer_id);
    assert_ne!(first.session, second.session);
    first.outbox.send(signage_point(1), None).unwrap();
    second.outbox.send(signage_point(2), None).unwrap();
    assert_eq!(
        ToHarvester::decode(&first_peer.message().await).unwrap(),
        Some(signage_point(1))
    );
    assert_eq!(
        ToHarvester::decode(&second_peer.message().await).unwrap(),
        Some(signage_point(2))
    );
}

#[tokio::test(start_paused = true)]
async fn messages_are_logged_in_official_words() {
    use crate::logging::{LogLevel, LogOptions, Service, build};
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions {
        file: dir.path().join("debug.log"),
        level: LogLevel::Debug,
        max_bytes: 0,
        max_files: 0,
        service: Service::Farmer,
    };
    let (subscriber, guard) = build(&options).unwrap();
    let _scope = tracing::subscriber::set_default(subscriber);
    let mut farm = Farm::new();
    let (mut peer, connected) = farm.connect().await;
    connected.outbox.send(signage_point(1), None).unwrap();
    peer.message().await;
    peer.send(encoded(&farming_info(1))).await;
    farm.message().await;
    peer.send(plot_list(1).encode(Some(0x8000), HarvesterLayout::V38)).await;
    farm.message().await;
    drop(peer);
    farm.disconnected().await;

    let records = guard.handle().ring().tail(100).records;
    let lines: Vec<_> = records
        .iter()
        .map(|r| format!("{} {} {}", r.logger, r.level, r.message))
        .collect();
    let id = PEER.to_string();
    let expected = [
        format!("farmer_server DEBUG -> handshake to peer 10.0.0.7 {id}"),
        format!(
            "farmer_server INFO Connected with harvester PeerInfo(_ip=IPv4Address('10.0.0.7'), _port=51234), node id: {id}, \
             software 2.7.5, protocol 0.0.38"
        ),
        format!("farmer_server DEBUG -> new_signage_point_harvester to peer 10.0.0.7 {id}"),
        format!("farmer_server DEBUG <- farming_info from peer {id} 10.0.0.7"),
        "farmer_server DEBUG <- respond_plots2 from: 10.0.0.7:51234".to_owned(),
        format!("farmer_server INFO Connection closed: 10.0.0.7, node id: {id}"),
    ];
    assert_eq!(lines[..6], expected);
    assert!(
        lines[6].starts_with("farmer_server WARNING harvester 10.0.0.7"),
        "{}",
        lines[6]
    );
}
