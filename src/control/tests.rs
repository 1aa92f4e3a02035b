//! Client and server over a real socket, on a farm whose other half is the test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::server::{ControlServer, MAX_CLIENTS, Served};
use super::{Answer, Ask, ControlClient, ControlError, Event, Role, RootLock, Watch};
use crate::clock::Now;
use crate::config::Root;
use crate::farmer::{Farmer, FarmerConfig, FarmerKeys, SIGNAGE_POINT_INTERVAL};
use crate::handle::{AlarmsKept, EngineRequest, FarmHandle, FeedEvent, FleetAsk, Said, Written};
use crate::logging::{LogGuard, LogLevel, LogOptions, Service, build};
use crate::pos::Constants;
use crate::runtime::of_test_root;
use crate::snapshot::page::{ListKind, Page, PageRequest};
use crate::snapshot::{AlarmMemory, FarmSnapshot, Notice, RefusalCause};

struct Bench {
    dir: tempfile::TempDir,
    stop: CancellationToken,
    snapshots: watch::Sender<Arc<FarmSnapshot>>,
    events: broadcast::Sender<Arc<FeedEvent>>,
    /// Pages that were asked for; snapshots are answered at once.
    pages: mpsc::Receiver<(PageRequest, tokio::sync::oneshot::Sender<Page>)>,
    _log: LogGuard,
    _lock: RootLock,
}

fn empty_snapshot() -> FarmSnapshot {
    let config = FarmerConfig {
        network: "simulator1".to_owned(),
        simulated: true,
        software_version: "0.1.0".to_owned(),
        constants: Constants::for_network("simulator1").unwrap(),
        signage_point_interval: SIGNAGE_POINT_INTERVAL,
        keys: FarmerKeys::default(),
        names: BTreeMap::new(),
        alarm_memory: AlarmMemory::default(),
        harvester_fees: BTreeMap::new(),
    };
    Farmer::new(config, Now::default()).snapshot(Now::default())
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions {
            file: dir.path().join("debug.log"),
            level: LogLevel::Info,
            max_bytes: 0,
            max_files: 1,
            service: Service::Farmer,
        };
        let (_, log) = build(&options).unwrap();
        let lock = RootLock::take(&dir.path().join("lock")).unwrap();
        let (snapshots, _) = watch::channel(Arc::new(empty_snapshot()));
        let (events, _) = broadcast::channel(4);
        let (asked, mut requests) = mpsc::channel(4);
        let (pages_in, pages) = mpsc::channel(4);
        let engine = snapshots.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                match request {
                    EngineRequest::Snapshot(reply) => {
                        engine.send_replace(Arc::new(empty_snapshot()));
                        reply.send(Arc::new(empty_snapshot())).unwrap();
                    }
                    EngineRequest::Page(request, reply) => pages_in.send((request, reply)).await.unwrap(),
                    other => panic!("another question: {other:?}"),
                }
            }
        });
        let handle = FarmHandle {
            snapshots: snapshots.clone(),
            events: events.clone(),
            requests: asked,
            log: log.handle(),
            history: None,
            fleet: of_test_root(&Root::new(dir.path())),
            alarms_kept: AlarmsKept {
                said: watch::channel(Said::default()).1,
                written: watch::channel(Written::default()).1,
            },
        };
        let stop = CancellationToken::new();
        let server = ControlServer::bind(&dir.path().join("control.sock"), &lock).unwrap();
        tokio::spawn(server.run(Served::Farmer(handle), stop.clone()));
        Self {
            dir,
            stop,
            snapshots,
            events,
            pages,
            _log: log,
            _lock: lock,
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    async fn client(&self) -> ControlClient {
        ControlClient::connect(&self.socket()).await.unwrap()
    }
}

#[tokio::test]
async fn a_client_is_greeted_and_gets_the_snapshot() {
    let bench = Bench::start();
    let mut client = bench.client().await;
    assert_eq!(
        (client.hello().pid, client.hello().role),
        (std::process::id(), Role::Farmer)
    );
    let answer = client.ask(Ask::Snapshot).await.unwrap();
    assert_eq!(answer, Answer::Snapshot(Box::new(empty_snapshot())));
}

#[tokio::test]
async fn pages_come_from_the_engine() {
    let mut bench = Bench::start();
    let mut client = bench.client().await;
    let request = PageRequest::first(None, ListKind::Failed, 10);
    let asked = tokio::spawn(async move { client.ask(Ask::Page(request)).await });
    let (request, reply) = bench.pages.recv().await.unwrap();
    reply
        .send(Page {
            total: u64::from(request.limit),
            ..Page::default()
        })
        .unwrap();
    assert_eq!(
        asked.await.unwrap().unwrap(),
        Answer::Page(Page {
            total: 10,
            ..Page::default()
        })
    );
}

#[tokio::test]
async fn a_watcher_gets_snapshots_and_only_the_events_it_wants() {
    let bench = Bench::start();
    let mut client = bench.client().await;
    client
        .ask(Ask::Watch(Watch {
            snapshots: true,
            notices: true,
            ..Watch::default()
        }))
        .await
        .unwrap();
    assert!(
        matches!(client.next_event().await.unwrap(), Event::Snapshot(_)),
        "the newest comes at once"
    );
    let notice = Notice::ConnectionRefused {
        address: "10.0.0.7:1".to_owned(),
        cause: RefusalCause::NotTls,
    };
    bench.events.send(Arc::new(FeedEvent::Notice(notice.clone()))).unwrap();
    assert_eq!(
        client.next_event().await.unwrap(),
        Event::Feed(FeedEvent::Notice(notice))
    );
    let newer = FarmSnapshot {
        taken_at_unix_ms: 7,
        ..empty_snapshot()
    };
    bench.snapshots.send(Arc::new(newer.clone())).unwrap();
    assert_eq!(client.next_event().await.unwrap(), Event::Snapshot(Box::new(newer)));
}

#[tokio::test]
async fn stop_is_answered_and_then_everybody_is_let_go() {
    let bench = Bench::start();
    let mut client = bench.client().await;
    assert_eq!(client.ask(Ask::Stop).await.unwrap(), Answer::Done);
    assert!(bench.stop.is_cancelled());
    assert!(matches!(client.next_event().await, Err(ControlError::Gone { .. })));
}

#[tokio::test]
async fn an_unknown_log_level_is_refused_in_words() {
    let bench = Bench::start();
    let refused = bench
        .client()
        .await
        .ask(Ask::SetLogLevel {
            level: "LOUD".to_owned(),
        })
        .await;
    assert!(matches!(refused, Err(ControlError::Refused(words)) if words.contains("LOUD")));
}

#[tokio::test]
async fn who_only_looks_sees_all_and_changes_nothing() {
    let bench = Bench::start();
    let mut viewer = ControlClient::connect_read_only(&bench.socket()).await.unwrap();
    viewer.ask(Ask::Snapshot).await.unwrap();
    let who = "rack1-a".to_owned();
    let orders = [
        Ask::AcknowledgeAll,
        Ask::SetLogLevel {
            level: "DEBUG".to_owned(),
        },
        Ask::Fleet(FleetAsk::Revoke { who }),
        Ask::Stop,
    ];
    for order in orders {
        let answer = viewer.ask(order).await;
        assert!(
            matches!(&answer, Err(ControlError::Refused(why)) if why == "this console is read-only"),
            "{answer:?}"
        );
    }
    assert!(!bench.stop.is_cancelled());
    // Others are as free as before.
    let level = "DEBUG".to_owned();
    bench.client().await.ask(Ask::SetLogLevel { level }).await.unwrap();
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_the_others_stay() {
    let bench = Bench::start();
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        clients.push(bench.client().await);
    }
    let refused = ControlClient::connect(&bench.socket()).await;
    let words = "too many viewers (32)";
    assert!(
        matches!(&refused, Err(ControlError::Refused(said)) if said == words),
        "{refused:?}"
    );
    clients.last_mut().unwrap().ask(Ask::Snapshot).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_told_with_the_path() {
    let refused = ControlClient::connect(&PathBuf::from("/nowhere/control.sock"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("/nowhere/control.sock"), "{refused}");
}
