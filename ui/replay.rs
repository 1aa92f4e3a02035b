//! `farmconsole replay`: lets a farmer go through what a recorded one went through, on the console at its own pace or
//! faster, or at once to see whether it does the same.

use std::fs::File;
use std::io::{BufReader, Write};
use std::sync::Arc;
use std::time::Duration;

use farmconsole::clock::Now;
use farmconsole::control::{Answer, Ask};
use farmconsole::farmer::Output;
use farmconsole::handle::{FeedEvent, RecentKind};
use farmconsole::logging::{LogLevel, LogRecord, Service};
use farmconsole::recorder::{Beginning, End, Header, Line, Player, Recording, RecordingError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::args::ReplayArgs;
use crate::commands::Commands;
use crate::console;
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::feed::{Feed, FeedItem, Playback};
use crate::format::{grouped, plural};
use crate::out::Out;

/// Lines read ahead.
const AHEAD: usize = 64;

/// Between two pictures.
const PICTURE: Duration = Duration::from_millis(250);

/// Runs the command.
pub(crate) async fn run(context: &Context, arguments: &ReplayArgs) -> Outcome {
    if !arguments.check {
        console::require_terminal().map_err(|failure| {
            failure
                .hint("`farmconsole replay --check FILE` says whether the farmer here does what the recorded one did")
        })?;
    }
    let path = &arguments.file;
    let fail =
        |error: &dyn std::fmt::Display| Failure::new(Status::Failed, format!("replay {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| fail(&error))?;
    let (recording, beginning) = Recording::open(BufReader::new(file))
        .map_err(|error| fail(&error).hint("recordings are made with `farmconsole record FILE`"))?;
    if arguments.check {
        return check(recording, beginning).map_err(|error| fail(&error));
    }
    show(context, recording, beginning, arguments.speed).await
}

/// Goes through a recording and says whether the farmer here does what the recorded one did.
fn check(mut recording: Recording<BufReader<File>>, beginning: Beginning) -> Result<Ended, RecordingError> {
    let mut out = Out::for_people();
    let began = beginning.now;
    let mut player = Player::new(beginning);
    let (mut calls, mut outputs, mut logged, mut otherwise) = (0_u64, 0_u64, 0_u64, 0_u64);
    while let Some(line) = recording.next_line()? {
        match line {
            Line::Call(line) => {
                let (now, call) = (line.now, calls);
                let played = player.play(*line);
                calls += 1;
                outputs += played.outputs.len() as u64;
                if !played.agrees {
                    if otherwise == 0 {
                        let after_s = now.mono.since(began.mono).as_secs_f64();
                        writeln!(
                            out,
                            "call {call}, after {after_s:.3} s, is the first to end otherwise here"
                        )?;
                    }
                    otherwise += 1;
                }
            }
            Line::Log(_) => logged += 1,
            // The reader gives only what stands between beginning and end.
            Line::Beginning(_) | Line::End(_) => {}
        }
    }
    let header = recording.header();
    let span_s = player.now().mono.since(began.mono).as_secs_f64();
    writeln!(
        out,
        "{} in {span_s:.1} s, {}, {}, recorded by farmconsole {}",
        plural(calls, "call"),
        plural(outputs, "output"),
        plural(logged, "log record"),
        header.software_version,
    )?;
    for difference in &header.differences {
        writeln!(out, "scrubbed: {difference}")?;
    }
    writeln!(out, "{}", how_it_ended(recording.end()))?;
    if otherwise == 0 {
        writeln!(out, "the farmer here did the same after every call")?;
        return Ok(Ended::Fine);
    }
    writeln!(
        out,
        "the farmer here did something else after {} of {}{}",
        grouped(otherwise),
        plural(calls, "call"),
        of_other_version(header)
    )?;
    Ok(Ended::SomethingWrong)
}

/// Shows a recording on the console.
async fn show(
    context: &Context,
    mut recording: Recording<BufReader<File>>,
    beginning: Beginning,
    speed: f64,
) -> Outcome {
    let header = recording.header().clone();
    let began = beginning.now;
    let player = Player::new(beginning);
    let (feed, playback) = Feed::of_recording(player.farmer().snapshot(began));
    let (read, lines) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let next = match recording.next_line() {
                Ok(Some(line)) => Next::Line(line),
                Ok(None) => Next::Over(how_it_ended(recording.end())),
                Err(error) => Next::Over(format!("the recording ends: {error}")),
            };
            let is_over = matches!(next, Next::Over(_));
            if read.blocking_send(next).is_err() || is_over {
                return;
            }
        }
    });
    let stage = Stage {
        player,
        began,
        started: Instant::now(),
        speed,
        header,
        otherwise: 0,
        playback,
    };
    tokio::spawn(stage.play(lines));
    let options = console::ConsoleOptions {
        // What was seen last was another farm.
        last_look: None,
        // Its commands are for where it was recorded.
        commands: Commands::default(),
        ..crate::attach::options(context)?
    };
    console::run(feed, options).await?;
    Ok(Ended::Fine)
}

/// What comes next in a recording.
enum Next {
    Line(Line),
    /// Nothing, for this reason.
    Over(String),
}

/// A recording being shown.
struct Stage {
    player: Player,
    /// Its first moment, and when that was shown.
    began: Now,
    started: Instant,
    speed: f64,
    header: Header,
    /// Calls that ended otherwise than recorded.
    otherwise: u64,
    playback: Playback,
}

impl Stage {
    /// Lets the farmer go through it all, tells the console what a console was told then, and that it is over.
    async fn play(mut self, mut lines: mpsc::Receiver<Next>) {
        let mut pictures = tokio::time::interval(PICTURE);
        let mut next = lines.recv().await;
        let why = loop {
            let due = match &next {
                None => break how_it_ended(None),
                Some(Next::Over(why)) => break why.clone(),
                Some(Next::Line(Line::Call(call))) => self.due(call.now),
                // Logged about when what stands before it happened.
                Some(Next::Line(_)) => Instant::now(),
            };
            tokio::select! {
                question = self.playback.questions.recv() => {
                    let Some(question) = question else { return };
                    // The asker may have lost interest.
                    let _ = question.reply.send(self.answer(question.ask));
                }
                _ = pictures.tick() => self.picture(),
                () = sleep_until(due) => {
                    if let Some(Next::Line(line)) = next
                        && self.line(line).await.is_none()
                    {
                        return;
                    }
                    next = lines.recv().await;
                }
            }
        };
        self.picture();
        let otherwise = match self.otherwise {
            0 => String::new(),
            otherwise => format!(
                "; the farmer here did something else after {}{}",
                plural(otherwise, "call"),
                of_other_version(&self.header)
            ),
        };
        let over = FeedItem::Lost(format!("{why}{otherwise}"));
        if self.playback.items.send(over).await.is_err() {
            return;
        }
        // Lists can still be looked at.
        while let Some(question) = self.playback.questions.recv().await {
            let _ = question.reply.send(self.answer(question.ask));
        }
    }

    /// When a moment of then is shown.
    fn due(&self, then: Now) -> Instant {
        self.started + then.mono.since(self.began.mono).div_f64(self.speed)
    }

    /// Plays a line; `None` when nobody looks any more.
    async fn line(&mut self, line: Line) -> Option<()> {
        match line {
            Line::Call(call) => {
                let played = self.player.play(*call);
                self.otherwise += u64::from(!played.agrees);
                for output in played.outputs {
                    let event = match output {
                        Output::Notice(notice) => FeedEvent::Notice(notice),
                        Output::Message(message) => FeedEvent::Message(message),
                        _ => continue,
                    };
                    self.playback.items.send(FeedItem::Event(event)).await.ok()?;
                }
            }
            Line::Log(record) => {
                let item = FeedItem::Event(FeedEvent::Log(*record));
                self.playback.items.send(item).await.ok()?;
            }
            Line::Beginning(_) | Line::End(_) => {}
        }
        Some(())
    }

    /// The farm as it was at the moment that is shown.
    fn picture(&self) {
        let passed = self.started.elapsed().mul_f64(self.speed);
        let last = self.player.now();
        let since_last = passed.saturating_sub(last.mono.since(self.began.mono));
        let snapshot = self.player.farmer().snapshot(last.after(since_last));
        self.playback.snapshots.send_replace(Arc::new(snapshot));
    }

    fn answer(&self, ask: Ask) -> Result<Answer, String> {
        match ask {
            Ask::Page(request) => Ok(Answer::Page(self.player.farmer().page(&request))),
            Ask::Recent {
                kind: RecentKind::Logs, ..
            } => Ok(Answer::Recent(self.remarks())),
            Ask::Recent { .. } => Ok(Answer::Recent(Vec::new())),
            _ => Err("this is a recording: it cannot be asked".to_owned()),
        }
    }

    /// What whoever looks at a scrubbed recording should know, where they look for what was logged.
    fn remarks(&self) -> Vec<FeedEvent> {
        let remark = |text: &String| {
            FeedEvent::Log(LogRecord {
                number: 0,
                at_unix_ms: self.began.unix,
                level: LogLevel::Warning,
                service: Service::Farmer,
                logger: "replay".to_owned(),
                message: format!("scrubbed recording: {text}"),
            })
        };
        self.header.differences.iter().map(remark).collect()
    }
}

fn how_it_ended(end: Option<&End>) -> String {
    match end {
        None => "the recording was cut off: nobody knows what came after its last line".to_owned(),
        Some(End { why, otherwise: 0, .. }) => format!("the recording is over: {why}"),
        Some(End {
            why, calls, otherwise, ..
        }) => format!(
            "the recording is over: {why}; after {} of {} it shows something else than there was, because of what was \
             replaced in it",
            grouped(*otherwise),
            plural(*calls, "call"),
        ),
    }
}

/// Versions may decide differently.
fn of_other_version(header: &Header) -> String {
    let own = env!("CARGO_PKG_VERSION");
    if header.software_version == own {
        String::new()
    } else {
        format!(
            ", which may be because it is farmconsole {own} and the recorded one was {}",
            header.software_version
        )
    }
}
