//! The loop: what happens becomes messages, effects are carried out, and the screen is drawn when something changed,
//! at most thirty times a second.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use farmconsole::control::{Answer, Ask};
use farmconsole::handle::FleetAsk;
use farmconsole::snapshot::page::Page;
use farmconsole::snapshot::{FarmSnapshot, MachineSnapshot};
use ratatui::Frame;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::app::{App, Surroundings};
use super::hit::{self, Hit, Mouse};
use super::last_look::LastLook;
use super::message::{Effect, Left, Message, Save};
use super::model::Model;
use super::palette::Palette;
use super::terminal::{self, Console, Input};
use super::theme::{Environment, Theme};
use super::times::Zone;
use super::update::{first_questions, update};
use super::{machine, save, view};
use crate::args::ColorChoice;
use crate::commands::Commands;
use crate::exit::{Failure, Status};
use crate::feed::{FarmerPlace, Feed};

/// How the console looks, from the command line.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleOptions {
    /// When to use colours.
    pub(crate) color: ColorChoice,
    /// ASCII characters only.
    pub(crate) ascii: bool,
    /// The colours somebody chose.
    pub(crate) palette: Option<Palette>,
    /// What the person saw last.
    pub(crate) last_look: Option<LastLook>,
    /// How commands are typed for the root of what is shown.
    pub(crate) commands: Commands,
}

/// Between two frames.
const FRAME: Duration = Duration::from_millis(34);

/// Says whether there is a terminal to draw on, before anything is started for it.
///
/// # Errors
/// Standard output goes elsewhere.
pub(crate) fn require_terminal() -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Ok(());
    }
    Err(
        Failure::new(Status::Usage, "show the console: standard output is no terminal")
            .hint("`farmconsole summary` prints once; `farmconsole --daemon` farms without a console"),
    )
}

/// Shows the console of a farm until it is left, its terminal is gone, or the farmer of this process has ended.
///
/// # Errors
/// When there is no terminal, or some part of the program has panicked.
pub(crate) async fn run(feed: Feed, options: ConsoleOptions) -> Result<(Left, LastLook), Failure> {
    let (left, model) = show::<Model>(feed, options).await?;
    Ok((left, LastLook::at(&model.snapshot)))
}

/// The same for a harvester alone.
///
/// # Errors
/// As for [`run`].
pub(crate) async fn run_harvester(feed: Feed<MachineSnapshot>, options: ConsoleOptions) -> Result<Left, Failure> {
    let (left, _) = show::<machine::Model>(feed, options).await?;
    Ok(left)
}

impl App for Model {
    type Picture = FarmSnapshot;

    fn open(place: FarmerPlace, first: Arc<FarmSnapshot>, surroundings: Surroundings) -> Self {
        let mut model = Self::new(place, first, surroundings.theme, surroundings.zone);
        model.size = surroundings.size;
        model.commands = surroundings.commands;
        model
    }

    fn first_questions() -> Vec<Effect> {
        first_questions()
    }

    fn place(&self) -> FarmerPlace {
        self.place
    }

    fn update(&mut self, message: Message) -> Vec<Effect> {
        update(self, message)
    }

    fn draw(&self, frame: &mut Frame<'_>) -> Vec<Hit> {
        view::draw(self, frame)
    }
}

async fn show<A: App>(feed: Feed<A::Picture>, options: ConsoleOptions) -> Result<(Left, A), Failure> {
    require_terminal()?;
    let theme = Theme::choose(
        options.color,
        options.ascii,
        options.palette,
        &Environment::of_process(),
    );
    let size = terminal::size().map_err(|e| no_terminal(&e))?;
    let first = Arc::clone(&feed.snapshots.borrow());
    let surroundings = Surroundings {
        theme,
        zone: Zone::system(),
        size,
        commands: options.commands,
    };
    let mut model = A::open(feed.place, first, surroundings);
    if let Some(look) = options.last_look {
        model.update(Message::LastLook(look));
    }
    let (console, inputs) = Console::take(size).await.map_err(|e| no_terminal(&e))?;
    console.capture_mouse(true);
    let mut running = Running {
        model,
        feed,
        console,
        hits: Vec::new(),
        questions: JoinSet::new(),
    };
    let ended = running.serve(inputs).await;
    match ended {
        Ok(Ended::Left(left)) => {
            running.console.restore().await;
            Ok((left, running.model))
        }
        Ok(Ended::TerminalGone) => {
            // Whoever sends SIGHUP may have a terminal that lives on. One that is gone refuses at once.
            running.console.restore().await;
            running.console.abandon();
            Ok((running.left(), running.model))
        }
        Ok(Ended::Panicked) => Err(Failure::new(Status::Failed, "a part of the program has panicked")
            .hint("the message above says where; please report it")),
        Err(error) => {
            running.console.restore().await;
            Err(Failure::new(Status::Failed, format!("draw on the terminal: {error}")))
        }
    }
}

fn no_terminal(error: &io::Error) -> Failure {
    Failure::new(Status::Failed, format!("take the terminal over: {error}"))
}

/// Why the loop ended.
enum Ended {
    Left(Left),
    TerminalGone,
    Panicked,
}

struct Running<A: App> {
    model: A,
    feed: Feed<A::Picture>,
    console: Console,
    /// Where what can be clicked stands in the last frame.
    hits: Vec<Hit>,
    questions: JoinSet<Message<A::Picture>>,
}

impl<A: App> Running<A> {
    /// Leaving without being asked: a farmer in this process has nobody left to say otherwise.
    fn left(&self) -> Left {
        match self.model.place() {
            FarmerPlace::Here => Left::Stop,
            FarmerPlace::Elsewhere | FarmerPlace::Recording => Left::Detached,
        }
    }

    async fn serve(&mut self, mut inputs: tokio::sync::mpsc::Receiver<Input>) -> io::Result<Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut resized = signal(SignalKind::window_change())?;
        let mut stop = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let mut goes_on = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_snapshot = Instant::now();
        let mut next_frame = Instant::now();
        let mut changed = true;
        for effect in A::first_questions() {
            self.ask(effect);
        }
        loop {
            if terminal::has_panicked() {
                return Ok(Ended::Panicked);
            }
            let message = tokio::select! {
                biased;
                _ = terminate.recv() => return Ok(Ended::Left(self.left())),
                _ = interrupt.recv() => return Ok(Ended::Left(self.left())),
                _ = hang_up.recv() => return Ok(Ended::TerminalGone),
                _ = stop.recv() => {
                    self.suspend().await?;
                    continue;
                }
                _ = goes_on.recv() => {
                    // Somebody stopped us without asking, and the shell has used the terminal meanwhile.
                    self.console.take_again().await?;
                    Some(self.size()?)
                }
                _ = resized.recv() => Some(self.size()?),
                input = inputs.recv() => match input {
                    Some(Input::Key(key)) => Some(Message::Key(key)),
                    Some(Input::Hurried(key)) => Some(Message::Hurried(key)),
                    Some(Input::Paste(text)) => Some(Message::Paste(text)),
                    Some(Input::Wheel(rows)) => Some(Message::Mouse(Mouse::Wheel(rows))),
                    Some(Input::Click(column, row)) => {
                        hit::at(&self.hits, column, row).map(|target| Message::Mouse(Mouse::Click(target)))
                    }
                    Some(Input::Gone) | None => return Ok(Ended::TerminalGone),
                },
                _gone = self.console.watch() => return Ok(Ended::TerminalGone),
                () = free_at(&self.console, next_frame), if changed => {
                    let (model, hits) = (&self.model, &mut self.hits);
                    self.console.draw(|frame| *hits = model.draw(frame))?;
                    changed = false;
                    next_frame = Instant::now() + FRAME;
                    None
                }
                answered = self.questions.join_next(), if !self.questions.is_empty() => answered.and_then(Result::ok),
                snapshot = self.feed.snapshots.changed() => {
                    if snapshot.is_err() {
                        return Ok(Ended::Left(self.left()));
                    }
                    last_snapshot = Instant::now();
                    Some(Message::Snapshot(Arc::clone(&self.feed.snapshots.borrow_and_update())))
                }
                item = self.feed.items.recv() => match item {
                    Some(item) => Some(Message::Item(item)),
                    None => return Ok(Ended::Left(self.left())),
                },
                _ = tick.tick() => {
                    let for_s = last_snapshot.elapsed().as_secs();
                    // A recording has a time of its own.
                    let counts = for_s > 1 && self.model.place() != FarmerPlace::Recording;
                    let paste = self.console.is_in_a_paste().then_some(Message::PasteGoesOn);
                    counts.then_some(Message::Quiet { for_s }).or(paste)
                }
            };
            let Some(message) = message else { continue };
            changed = true;
            for effect in self.model.update(message) {
                match effect {
                    Effect::Leave(left) => return Ok(Ended::Left(left)),
                    Effect::Suspend => self.suspend().await?,
                    Effect::Repaint => self.console.repaint()?,
                    Effect::CaptureMouse(on) => self.console.capture_mouse(on),
                    Effect::Copy(text) => self.console.copy(&text),
                    effect => self.ask(effect),
                }
            }
        }
    }

    /// Gives the terminal back, stops the process as the shell expects it, and takes the terminal again.
    async fn suspend(&mut self) -> io::Result<()> {
        self.console.restore().await;
        kill_process(getpid(), Signal::STOP)?;
        // SIGCONT arrives as a signal of its own, and takes the terminal again.
        Ok(())
    }

    fn size(&mut self) -> io::Result<Message<A::Picture>> {
        let (columns, rows) = terminal::size()?;
        self.console.resize((columns, rows));
        Ok(Message::Resized(columns, rows))
    }

    /// Asks the farmer; the answer becomes a message.
    fn ask(&mut self, effect: Effect) {
        match effect {
            Effect::Page(request) => {
                let answer = self.answer(Ask::Page(request.clone()));
                self.questions.spawn(async move {
                    let result = page_of(answer.await);
                    Message::Page { request, result }
                });
            }
            Effect::Recent { kind, limit } => {
                let answer = self.answer(Ask::Recent { kind, limit });
                self.questions.spawn(async move {
                    Message::Recent(answer.await.and_then(|answer| match answer {
                        Answer::Recent(events) => Ok(events),
                        _ => Err(MISFIT.to_owned()),
                    }))
                });
            }
            Effect::History(request) => {
                let answer = self.answer(Ask::History(request.clone()));
                self.questions.spawn(async move {
                    let result = answer.await.and_then(|answer| match answer {
                        Answer::History(page) => Ok(page.rows),
                        _ => Err(MISFIT.to_owned()),
                    });
                    Message::History { request, result }
                });
            }
            Effect::Silence { rule, machine, for_s } => {
                let words = match (&machine, for_s) {
                    (_, 0) => "such alarms are told again".to_owned(),
                    (Some(machine), _) => format!("nobody is told of such alarms of {machine} for an hour"),
                    (None, _) => "nobody is told of such alarms for an hour".to_owned(),
                };
                let answer = self.answer(Ask::Silence {
                    rule: Some(rule),
                    machine,
                    for_s,
                });
                self.questions
                    .spawn(async move { Message::Silenced(answer.await.map(|_| words)) });
            }
            Effect::Acknowledge(alarm) => {
                let answer = self.answer(Ask::Acknowledge { alarm });
                self.questions.spawn(async move {
                    Message::Acknowledged {
                        alarm,
                        result: answer.await.map(|_| ()),
                    }
                });
            }
            Effect::Rename { peer_id, name } => {
                let words = name.to_string();
                let answer = self.answer(Ask::Fleet(FleetAsk::Rename {
                    who: peer_id.to_string(),
                    name,
                }));
                self.questions
                    .spawn(async move { Message::Renamed(answer.await.map(|_| words)) });
            }
            Effect::Save { path, format, rows } => match rows {
                Save::Table(table) => {
                    let saving = save::save_table(path, format, table);
                    self.questions.spawn(async move { Message::Saved(saving.await) });
                }
                Save::Pages { first, tell } => {
                    let asker = self.feed.asker();
                    let ask = move |request| {
                        let answer = asker.ask(Ask::Page(request));
                        async move { page_of(answer.await.unwrap_or_else(|_| Err(GONE.to_owned()))) }
                    };
                    let saving = save::save_pages(path, format, first, tell, ask);
                    self.questions.spawn(async move { Message::Saved(saving.await) });
                }
            },
            Effect::Suspend | Effect::Repaint | Effect::Leave(_) | Effect::CaptureMouse(_) | Effect::Copy(_) => {}
        }
    }

    fn answer(&self, ask: Ask) -> impl Future<Output = Result<Answer, String>> + Send + 'static {
        let answer = self.feed.ask(ask);
        async move { answer.await.unwrap_or_else(|_| Err(GONE.to_owned())) }
    }
}

fn page_of(answer: Result<Answer, String>) -> Result<Page, String> {
    match answer? {
        Answer::Page(page) => Ok(page),
        _ => Err(MISFIT.to_owned()),
    }
}

/// The farmer's end came before its answer.
const GONE: &str = "the farmer went away before it answered";

/// A farmer of another version answered another question.
const MISFIT: &str = "the farmer's answer does not fit the question";

async fn free_at(console: &Console, at: Instant) {
    sleep_until(at).await;
    console.is_free().await;
}
