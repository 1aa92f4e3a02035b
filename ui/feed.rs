//! One stream for the console, whether the farmer (or harvester) runs in this process or in another: snapshots (latest
//! wins), events, and answers to questions.
//!
//! When the farmer at the other end of the socket goes away, the stream says so and tries again until it is back, so a
//! console keeps its place over a restart of the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use farmconsole::control::{Answer, Ask, ControlClient, ControlError, Event, Role, Watch};
use farmconsole::handle::{FarmHandle, FeedEvent, HarvesterHandle};
use farmconsole::snapshot::{FarmSnapshot, MachineSnapshot};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// What the console is told.
#[derive(Debug)]
pub(crate) enum FeedItem {
    /// Something happened.
    Event(FeedEvent),
    /// So many events came too fast.
    Skipped(u64),
    /// The farmer went away, with the reason as a sentence; the last snapshot stays on screen.
    Lost(String),
    /// The farmer is back.
    Back,
}

/// Where the farmer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FarmerPlace {
    /// In this process: leaving the console stops farming.
    Here,
    /// In another process: leaving only detaches.
    Elsewhere,
    /// Nowhere: this is a recording of one.
    Recording,
}

/// What a console shows: a farm, or a harvester alone.
pub(crate) trait Picture: Send + Sync + Sized + 'static {
    /// What runs where such pictures come from.
    const ROLE: Role;

    /// The picture of an event that brings one.
    fn of(event: Event) -> Received<Self>;
}

/// An event, looked at for a picture.
pub(crate) enum Received<P> {
    /// It brings one.
    Picture(Box<P>),
    /// It does not.
    Other(Event),
}

impl Picture for FarmSnapshot {
    const ROLE: Role = Role::Farmer;

    fn of(event: Event) -> Received<Self> {
        match event {
            Event::Snapshot(snapshot) => Received::Picture(snapshot),
            other => Received::Other(other),
        }
    }
}

impl Picture for MachineSnapshot {
    const ROLE: Role = Role::Harvester;

    fn of(event: Event) -> Received<Self> {
        match event {
            Event::Machine(snapshot) => Received::Picture(snapshot),
            other => Received::Other(other),
        }
    }
}

/// The stream and the way back.
#[derive(Debug)]
pub(crate) struct Feed<P = FarmSnapshot> {
    /// Where the farmer runs.
    pub(crate) place: FarmerPlace,
    /// Newest snapshot.
    pub(crate) snapshots: watch::Receiver<Arc<P>>,
    /// Events in order; a slow reader loses some and is told.
    pub(crate) items: mpsc::Receiver<FeedItem>,
    questions: mpsc::Sender<Question>,
}

/// The other end of a feed that a recording is played to.
#[derive(Debug)]
pub(crate) struct Playback {
    /// Pictures.
    pub(crate) snapshots: watch::Sender<Arc<FarmSnapshot>>,
    /// Everything else.
    pub(crate) items: mpsc::Sender<FeedItem>,
    /// What the console asks.
    pub(crate) questions: mpsc::Receiver<Question>,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) ask: Ask,
    /// For the answer.
    pub(crate) reply: oneshot::Sender<Result<Answer, String>>,
}

/// Items that may wait for the console.
const ITEM_QUEUE: usize = 2048;

/// Questions that may wait for the farmer.
const QUESTION_QUEUE: usize = 32;

/// Pause between two tries to reach a farmer that went away.
const RETRY: Duration = Duration::from_millis(500);

impl Feed {
    /// What a recording says, and the other end of it.
    pub(crate) fn of_recording(first: FarmSnapshot) -> (Self, Playback) {
        let (items_in, items) = mpsc::channel(ITEM_QUEUE);
        let (questions, asked) = mpsc::channel(QUESTION_QUEUE);
        let (snapshots_in, snapshots) = watch::channel(Arc::new(first));
        let feed = Self {
            place: FarmerPlace::Recording,
            snapshots,
            items,
            questions,
        };
        let playback = Playback {
            snapshots: snapshots_in,
            items: items_in,
            questions: asked,
        };
        (feed, playback)
    }

    /// The farmer of this process; the stream ends with it at `stop`.
    pub(crate) fn embedded(handle: FarmHandle, stop: CancellationToken) -> Self {
        let (items_in, items) = mpsc::channel(ITEM_QUEUE);
        let (questions, asked) = mpsc::channel(QUESTION_QUEUE);
        let snapshots = handle.watch_snapshots();
        tokio::spawn(pump_embedded(handle, stop, items_in, asked));
        Self {
            place: FarmerPlace::Here,
            snapshots,
            items,
            questions,
        }
    }
}

impl Feed<MachineSnapshot> {
    /// The harvester of this process; the stream ends with it at `stop`.
    pub(crate) fn embedded_harvester(handle: HarvesterHandle, stop: CancellationToken) -> Self {
        let (items_in, items) = mpsc::channel(ITEM_QUEUE);
        let (questions, asked) = mpsc::channel(QUESTION_QUEUE);
        let snapshots = handle.watch();
        tokio::spawn(pump_harvester(handle, stop, items_in, asked));
        Self {
            place: FarmerPlace::Here,
            snapshots,
            items,
            questions,
        }
    }
}

impl<P: Picture> Feed<P> {
    /// A farmer or harvester in another process, already connected; `first` is its first snapshot.
    pub(crate) fn attached(client: ControlClient, first: P, socket: PathBuf) -> Self {
        let (items_in, items) = mpsc::channel(ITEM_QUEUE);
        let (questions, asked) = mpsc::channel(QUESTION_QUEUE);
        let (snapshots_in, snapshots) = watch::channel(Arc::new(first));
        tokio::spawn(pump_attached(client, socket, snapshots_in, items_in, asked));
        Self {
            place: FarmerPlace::Elsewhere,
            snapshots,
            items,
            questions,
        }
    }

    /// Asks without waiting; the answer arrives in the returned receiver, which is dropped when the farmer goes away.
    pub(crate) fn ask(&self, ask: Ask) -> oneshot::Receiver<Result<Answer, String>> {
        self.asker().ask(ask)
    }

    /// What asks, for a task of its own.
    pub(crate) fn asker(&self) -> Asker {
        Asker(self.questions.clone())
    }
}

/// The way to the farmer for one who only asks.
#[derive(Clone, Debug)]
pub(crate) struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// As [`Feed::ask`].
    pub(crate) fn ask(&self, ask: Ask) -> oneshot::Receiver<Result<Answer, String>> {
        let (reply, answer) = oneshot::channel();
        if let Err(refused) = self.0.try_send(Question { ask, reply }) {
            let Question { reply, .. } = refused.into_inner();
            // The receiver is still in our hands, so this cannot fail.
            let _ = reply.send(Err("too many questions are waiting for the farmer".to_owned()));
        }
        answer
    }
}

async fn pump_embedded(
    handle: FarmHandle,
    stop: CancellationToken,
    items: mpsc::Sender<FeedItem>,
    mut questions: mpsc::Receiver<Question>,
) {
    let mut events = handle.subscribe();
    loop {
        let item = tokio::select! {
            () = stop.cancelled() => return,
            question = questions.recv() => {
                let Some(Question { ask, reply }) = question else { return };
                let handle = handle.clone();
                tokio::spawn(async move { reply.send(answer_embedded(&handle, ask).await) });
                continue;
            }
            event = events.recv() => match event {
                Ok(event) => FeedItem::Event(Arc::unwrap_or_clone(event)),
                Err(broadcast::error::RecvError::Lagged(skipped)) => FeedItem::Skipped(skipped),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        if items.send(item).await.is_err() {
            return;
        }
    }
}

/// Passes the log of a harvester on, whenever there is a new picture of it.
async fn pump_harvester(
    handle: HarvesterHandle,
    stop: CancellationToken,
    items: mpsc::Sender<FeedItem>,
    mut questions: mpsc::Receiver<Question>,
) {
    let mut pictures = handle.watch();
    let mut log_from = handle.log(u64::MAX).next;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            question = questions.recv() => {
                let Some(Question { ask, reply }) = question else { return };
                let answer = match ask {
                    Ask::Recent { limit, .. } => Ok(Answer::Recent(handle.last_log_records(limit))),
                    _ => Err("a harvester alone does not know that".to_owned()),
                };
                // The asker may have lost interest.
                let _ = reply.send(answer);
            }
            picture = pictures.changed() => {
                if picture.is_err() {
                    return;
                }
                let page = handle.log(log_from);
                log_from = page.next;
                let skipped = (page.missed > 0).then_some(FeedItem::Skipped(page.missed));
                let records = page.records.into_iter().map(|record| FeedItem::Event(FeedEvent::Log(record)));
                for item in skipped.into_iter().chain(records) {
                    if items.send(item).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn answer_embedded(handle: &FarmHandle, ask: Ask) -> Result<Answer, String> {
    match ask {
        Ask::Page(request) => handle.page(request).await.map(Answer::Page),
        Ask::Recent { kind, limit } => handle.recent(kind, limit).await.map(Answer::Recent),
        Ask::Refresh { harvester } => handle.refresh(harvester).await.map(|()| Answer::Done),
        Ask::Acknowledge { alarm } => handle.acknowledge(alarm).await.map(|()| Answer::Done),
        Ask::AcknowledgeAll => handle.acknowledge_all().await.map(|()| Answer::Done),
        Ask::Silence { rule, machine, for_s } => handle.silence(rule, machine, for_s).await.map(|()| Answer::Done),
        Ask::History(request) => handle.history(request).await.map(Answer::History),
        Ask::SetLogLevel { level } => handle.set_log_level(&level).map(|()| Answer::Done),
        Ask::Snapshot => handle
            .snapshot()
            .await
            .map(|s| Answer::Snapshot(Box::new(s.as_ref().clone()))),
        Ask::Fleet(ask) => handle.fleet(ask).await.map(|it| Answer::Fleet(Box::new(it))),
        Ask::Machine => Err("a farmer runs here, and no harvester alone".to_owned()),
        Ask::Record => Err("a recorder attaches by itself".to_owned()),
        Ask::Watch(_) | Ask::ReadOnly | Ask::Stop => Ok(Answer::Done),
    }
}

/// How one connection ended.
enum Ended {
    Console,
    Farmer(ControlError),
}

async fn pump_attached<P: Picture>(
    mut client: ControlClient,
    socket: PathBuf,
    snapshots: watch::Sender<Arc<P>>,
    items: mpsc::Sender<FeedItem>,
    mut questions: mpsc::Receiver<Question>,
) {
    let is_read_only = client.is_read_only();
    loop {
        let lost = match serve(client, &snapshots, &items, &mut questions).await {
            Ended::Console => return,
            Ended::Farmer(error) => error,
        };
        if items.send(FeedItem::Lost(lost_because(&lost))).await.is_err() {
            return;
        }
        client = loop {
            tokio::time::sleep(RETRY).await;
            if items.is_closed() {
                return;
            }
            let again = if is_read_only {
                ControlClient::connect_read_only(&socket).await
            } else {
                ControlClient::connect(&socket).await
            };
            // Something else may run on this root by then.
            if let Ok(client) = again
                && client.hello().role == P::ROLE
            {
                break client;
            }
        };
        if items.send(FeedItem::Back).await.is_err() {
            return;
        }
    }
}

/// Why the farmer is gone. The socket comes last, so that a line that is cut has the reason.
fn lost_because(error: &ControlError) -> String {
    match error {
        ControlError::Gone { path, detail } => format!("{detail} at {}", path.display()),
        ControlError::NotRunning { .. }
        | ControlError::VersionSkew { .. }
        | ControlError::NoAnswer { .. }
        | ControlError::Refused(_) => error.to_string(),
    }
}

async fn serve<P: Picture>(
    client: ControlClient,
    snapshots: &watch::Sender<Arc<P>>,
    items: &mpsc::Sender<FeedItem>,
    questions: &mut mpsc::Receiver<Question>,
) -> Ended {
    let (mut events, mut sender) = client.split();
    // A frame must not be abandoned half read, so reading has a task of its own.
    let (frames_in, mut frames) = mpsc::channel(64);
    let reading = tokio::spawn(async move {
        loop {
            let event = events.next_event().await;
            let ended = event.is_err();
            if frames_in.send(event).await.is_err() || ended {
                return;
            }
        }
    });
    let watch = Watch {
        snapshots: true,
        notices: true,
        messages: true,
        logs: true,
    };
    let mut waiting: BTreeMap<u64, oneshot::Sender<Result<Answer, String>>> = BTreeMap::new();
    let ended = 'serving: {
        if let Err(error) = sender.send(Ask::Watch(watch)).await {
            break 'serving Ended::Farmer(error);
        }
        loop {
            tokio::select! {
                question = questions.recv() => {
                    let Some(Question { ask, reply }) = question else { break 'serving Ended::Console };
                    match sender.send(ask).await {
                        Ok(id) => { waiting.insert(id, reply); }
                        Err(error) => break 'serving Ended::Farmer(error),
                    }
                }
                frame = frames.recv() => {
                    let event = match frame {
                        None => break 'serving Ended::Console,
                        Some(Err(error)) => break 'serving Ended::Farmer(error),
                        Some(Ok(event)) => event,
                    };
                    let item = match P::of(event) {
                        Received::Picture(picture) => {
                            snapshots.send_replace(Arc::new(*picture));
                            continue;
                        }
                        Received::Other(Event::Snapshot(_) | Event::Machine(_) | Event::Recording(_)) => continue,
                        Received::Other(Event::Reply(reply)) => {
                            if let Some(asker) = waiting.remove(&reply.id) {
                                // The asker may have lost interest.
                                let _ = asker.send(reply.answer);
                            }
                            continue;
                        }
                        Received::Other(Event::Feed(event)) => FeedItem::Event(event),
                        Received::Other(Event::Skipped(skipped)) => FeedItem::Skipped(skipped),
                    };
                    if items.send(item).await.is_err() {
                        break 'serving Ended::Console;
                    }
                }
            }
        }
    };
    reading.abort();
    ended
}
