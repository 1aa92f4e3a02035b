//! The server's end of the control socket: at most [`MAX_CLIENTS`] clients, each in a task of its own that can only ask
//! a [`FarmHandle`] or a [`HarvesterHandle`] and never wait on their time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::frame::{self, FrameError, MAX_REQUEST};
use super::lock::RootLock;
use super::protocol::{Answer, Ask, CONTROL_PROTOCOL, Event, Hello, Refusal, Reply, Request, Role, Watch};
use super::recording;
use super::socket::{BindError, ControlSocket};
use crate::handle::{FarmHandle, FeedEvent, HarvesterHandle, RecentKind};
use crate::snapshot::{FarmSnapshot, MachineSnapshot};

/// Most clients at once; one more is told so and closed.
pub const MAX_CLIENTS: usize = 32;

/// What is seen and steered through the socket.
#[derive(Clone, Debug)]
pub enum Served {
    /// A farmer.
    Farmer(FarmHandle),
    /// A harvester alone.
    Harvester(HarvesterHandle),
}

impl Served {
    const fn role(&self) -> Role {
        match self {
            Self::Farmer(_) => Role::Farmer,
            Self::Harvester(_) => Role::Harvester,
        }
    }
}

/// A bound socket; removed from the file system when dropped.
#[derive(Debug)]
pub struct ControlServer(ControlSocket);

impl ControlServer {
    /// Binds `path` with mode 0600. The lock proves that nobody else runs here, so a socket that is there is stale.
    ///
    /// # Errors
    /// [`BindError`] with the path and the operating system's words.
    pub fn bind(path: &Path, _lock: &RootLock) -> Result<Self, BindError> {
        ControlSocket::bind(path).map(Self)
    }

    /// Serves clients until `stop` is cancelled. A client's [`Ask::Stop`] cancels it.
    pub async fn run(self, served: Served, stop: CancellationToken) {
        let Self(mut socket) = self;
        let mut clients = JoinSet::new();
        let mut is_told = false;
        loop {
            socket.keep_descriptors();
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                // Its descriptor is kept before somebody else has it.
                Some(_) = clients.join_next() => continue,
                accepted = socket.accept() => accepted,
            };
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!(target: "control", "accept on {}: {error}", socket.path().display());
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                }
            };
            is_told = false;
            if !same_user(&stream) {
                continue;
            }
            if clients.len() >= MAX_CLIENTS {
                let (_, mut writer) = stream.into_split();
                let refusal = Refusal {
                    refused: format!("too many viewers ({MAX_CLIENTS})"),
                };
                // Fits into the buffer of a new socket, so nobody waits; whoever is gone already needs no answer.
                let _ = frame::send(&mut writer, &refusal).await;
                continue;
            }
            let client = serve(stream, served.clone(), stop.clone());
            clients.spawn(async move {
                if let Err(error) = client.await {
                    tracing::debug!(target: "control", "client left: {error}");
                }
            });
        }
        // Each ends by itself, with what it is being told.
        clients.detach_all();
    }
}

/// Whether the client runs as the same user (or as root); the file mode says so already, this says it twice.
fn same_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|cred| cred.uid() == own || cred.uid() == 0)
}

async fn serve(stream: UnixStream, served: Served, stop: CancellationToken) -> Result<(), FrameError> {
    let (mut reader, mut writer) = stream.into_split();
    let hello = Hello {
        protocol: CONTROL_PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        role: served.role(),
    };
    frame::send(&mut writer, &hello).await?;

    // Reading a frame cannot be cancelled half way, so it has a task of its own.
    let (requests_in, mut requests) = tokio::sync::mpsc::channel::<Request>(16);
    let reading = tokio::spawn(async move {
        loop {
            let request = frame::read::<Request>(&mut reader, MAX_REQUEST).await?;
            if requests_in.send(request).await.is_err() {
                return Ok::<(), FrameError>(());
            }
        }
    });
    let _end_reading = AbortOnDrop(reading.abort_handle());

    let mut pictures = None;
    let mut events = None;
    let mut watch = Watch::default();
    let mut is_read_only = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            request = requests.recv() => {
                let Some(Request { id, ask }) = request else {
                    return match reading.await {
                        Ok(Err(FrameError::Closed)) | Ok(Ok(())) | Err(_) => Ok(()),
                        Ok(Err(error)) => Err(error),
                    };
                };
                is_read_only |= ask == Ask::ReadOnly;
                if is_read_only && ask.changes() {
                    let answer = Err(READ_ONLY.to_owned());
                    frame::send(&mut writer, &Event::Reply(Box::new(Reply { id, answer }))).await?;
                    continue;
                }
                if ask == Ask::Record {
                    let tape = match &served {
                        Served::Farmer(farm) => farm.record().await,
                        Served::Harvester(_) => Err(NO_FARMER.to_owned()),
                    };
                    let (tape, answer) = match tape {
                        Ok(tape) => (Some(tape), Ok(Answer::Done)),
                        Err(why) => (None, Err(why)),
                    };
                    frame::send(&mut writer, &Event::Reply(Box::new(Reply { id, answer }))).await?;
                    match tape {
                        Some(tape) => return recording::send_all(tape, &mut writer, &mut requests, &stop).await,
                        None => continue,
                    }
                }
                let stopping = ask == Ask::Stop;
                let mut fresh = None;
                if let Ask::Watch(wanted) = ask {
                    watch = wanted;
                    pictures = Pictures::of(&served, watch);
                    events = match &served {
                        Served::Farmer(farm) if watch.notices || watch.messages || watch.logs => Some(farm.subscribe()),
                        _ => None,
                    };
                    if let Served::Farmer(farm) = &served && watch.snapshots {
                        fresh = Some(farm);
                    }
                }
                let answer = match &served {
                    Served::Farmer(farm) => answer(farm, ask).await,
                    Served::Harvester(harvester) => answer_of_harvester(harvester, ask),
                };
                frame::send(&mut writer, &Event::Reply(Box::new(Reply { id, answer }))).await?;
                if let Some(farm) = fresh {
                    // Makes a snapshot of this moment, which the receiver above then has.
                    let _ = farm.snapshot().await;
                }
                if stopping {
                    stop.cancel();
                }
            }
            picture = next_picture(&mut pictures) => {
                let Some(events) = picture else { return Ok(()) };
                for event in events {
                    frame::send(&mut writer, &event).await?;
                }
            }
            event = next_event(&mut events) => match event {
                Ok(event) if wanted(&event, watch) => {
                    frame::send(&mut writer, &Event::Feed(Arc::unwrap_or_clone(event))).await?;
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(skipped)) => frame::send(&mut writer, &Event::Skipped(skipped)).await?,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
            },
        }
    }
}

/// What a watching client is sent again and again.
enum Pictures {
    Farm(watch::Receiver<Arc<FarmSnapshot>>),
    Machine {
        harvester: HarvesterHandle,
        machine: watch::Receiver<Arc<MachineSnapshot>>,
        /// Number of the next log record; `None` for a client that does not want them.
        log_from: Option<u64>,
    },
}

impl Pictures {
    fn of(served: &Served, watch: Watch) -> Option<Self> {
        match served {
            Served::Farmer(farm) => watch.snapshots.then(|| Self::Farm(farm.watch_snapshots())),
            Served::Harvester(harvester) if watch.snapshots || watch.logs => Some(Self::Machine {
                machine: harvester.watch(),
                log_from: watch.logs.then(|| harvester.log(u64::MAX).next),
                harvester: harvester.clone(),
            }),
            Served::Harvester(_) => None,
        }
    }
}

/// What a watching client is told next, `None` when what it watches has ended; never for one that does not watch.
/// A harvester's log is looked at whenever there is a new picture of it, which is once a second at least.
async fn next_picture(pictures: &mut Option<Pictures>) -> Option<Vec<Event>> {
    match pictures {
        None => std::future::pending().await,
        Some(Pictures::Farm(farm)) => {
            farm.changed().await.ok()?;
            let snapshot = Arc::clone(&farm.borrow_and_update());
            Some(vec![Event::Snapshot(Box::new(snapshot.as_ref().clone()))])
        }
        Some(Pictures::Machine {
            harvester,
            machine,
            log_from,
        }) => {
            machine.changed().await.ok()?;
            let snapshot = Arc::clone(&machine.borrow_and_update());
            let mut events = vec![Event::Machine(Box::new(snapshot.as_ref().clone()))];
            if let Some(from) = log_from {
                let page = harvester.log(*from);
                *from = page.next;
                events.extend((page.missed > 0).then_some(Event::Skipped(page.missed)));
                events.extend(
                    page.records
                        .into_iter()
                        .map(|record| Event::Feed(FeedEvent::Log(record))),
                );
            }
            Some(events)
        }
    }
}

/// The next event of a watching client; never for one that wants none.
async fn next_event(
    watched: &mut Option<broadcast::Receiver<Arc<FeedEvent>>>,
) -> Result<Arc<FeedEvent>, broadcast::error::RecvError> {
    match watched {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn answer(handle: &FarmHandle, ask: Ask) -> Result<Answer, String> {
    match ask {
        Ask::Snapshot => handle
            .snapshot()
            .await
            .map(|s| Answer::Snapshot(Box::new(s.as_ref().clone()))),
        Ask::Machine => Err("a farmer runs on this root, and no harvester alone".to_owned()),
        Ask::Page(request) => handle.page(request).await.map(Answer::Page),
        Ask::Recent { kind, limit } => handle.recent(kind, limit).await.map(Answer::Recent),
        // A recording was begun before, or never will be.
        Ask::Watch(_) | Ask::ReadOnly | Ask::Stop | Ask::Record => Ok(Answer::Done),
        Ask::Refresh { harvester } => handle.refresh(harvester).await.map(|()| Answer::Done),
        Ask::Acknowledge { alarm } => handle.acknowledge(alarm).await.map(|()| Answer::Done),
        Ask::AcknowledgeAll => handle.acknowledge_all().await.map(|()| Answer::Done),
        Ask::Silence { rule, machine, for_s } => handle.silence(rule, machine, for_s).await.map(|()| Answer::Done),
        Ask::History(request) => handle.history(request).await.map(Answer::History),
        Ask::SetLogLevel { level } => handle.set_log_level(&level).map(|()| Answer::Done),
        Ask::Fleet(ask) => handle.fleet(ask).await.map(|it| Answer::Fleet(Box::new(it))),
    }
}

fn answer_of_harvester(handle: &HarvesterHandle, ask: Ask) -> Result<Answer, String> {
    match ask {
        Ask::Machine => Ok(Answer::Machine(Box::new(handle.snapshot().as_ref().clone()))),
        Ask::Recent {
            kind: RecentKind::Logs,
            limit,
        } => Ok(Answer::Recent(handle.last_log_records(limit))),
        Ask::Watch(_) | Ask::ReadOnly | Ask::Stop => Ok(Answer::Done),
        Ask::SetLogLevel { level } => handle.set_log_level(&level).map(|()| Answer::Done),
        Ask::Snapshot
        | Ask::Page(_)
        | Ask::Recent { .. }
        | Ask::Refresh { .. }
        | Ask::Acknowledge { .. }
        | Ask::AcknowledgeAll
        | Ask::Silence { .. }
        | Ask::History(_)
        | Ask::Fleet(_)
        | Ask::Record => Err(NO_FARMER.to_owned()),
    }
}

/// To one who wants of a harvester what only a farmer has.
const NO_FARMER: &str = "a harvester runs on this root, and no farmer";

/// To one who said that it only looks.
const READ_ONLY: &str = "this console is read-only";

const fn wanted(event: &FeedEvent, watch: Watch) -> bool {
    match event {
        FeedEvent::Notice(_) => watch.notices,
        FeedEvent::Message(_) => watch.messages,
        FeedEvent::Log(_) => watch.logs,
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
