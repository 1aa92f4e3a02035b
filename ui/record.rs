//! `farmconsole record`: writes down what happens to a farmer, for a bug report or for later.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use farmconsole::control::{Ask, ControlClient, ControlError, Event, RecordingPart, Watch};
use farmconsole::handle::FeedEvent;
use farmconsole::recorder::{End, RecordError, Recorder, Scrubber};
use tokio::sync::mpsc;

use crate::args::RecordArgs;
use crate::context::{Context, not_attached};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::{counted, grouped};
use crate::out::Out;

/// What was recorded reaches the file this often.
const FLUSH: Duration = Duration::from_secs(1);

/// How a recording ended, and what the person should know of it.
enum Over {
    /// It was to end.
    Wanted(&'static str),
    /// The farmer says that there is no more.
    Early(String),
    /// The connection is lost.
    Lost(ControlError),
}

/// Runs the command: until Ctrl-C, for some time, or until the farmer ends.
pub(crate) async fn run(context: &Context, arguments: &RecordArgs) -> Outcome {
    if arguments.file == Path::new("-") {
        return Err(Failure::new(
            Status::Usage,
            "a recording is a file, and is not written to standard output",
        )
        .hint("name the file: `farmconsole record farm.recording`; one that is called - is ./-"));
    }
    let mut farm = context.attach().await?;
    let mut logs = context.attach().await?;
    let fail = |error: &dyn std::fmt::Display| {
        Failure::new(
            Status::Failed,
            format!("record to {}: {error}", arguments.file.display()),
        )
    };
    let scrubber = if arguments.raw {
        None
    } else {
        let mut salt = [0; 32];
        fill_with_chance(&mut salt)?;
        Some(Scrubber::new(salt))
    };
    // Before the farmer has a recorder that nobody empties.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.file)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => fail(&error).hint("name another file: recordings are not written over"),
            _ => fail(&error),
        })?;
    if let Err(refused) = farm.ask(Ask::Record).await {
        // It is empty; if it stays, the next try says so.
        let _ = std::fs::remove_file(&arguments.file);
        return Err(refused);
    }
    logs.ask(Ask::Watch(Watch {
        logs: true,
        ..Watch::default()
    }))
    .await?;
    let ended = record(events(farm.client), events(logs.client), file, scrubber, arguments.span).await;
    let (end, over) = ended.map_err(|error| fail(&error))?;
    let privacy = if arguments.raw {
        ", nothing hidden"
    } else {
        ", names, addresses, ids, keys and paths replaced"
    };
    let mut out = Out::for_people();
    writeln!(
        out,
        "{} of the farmer recorded{privacy}; look at it with `farmconsole replay {}`",
        counted(end.calls, "call"),
        arguments.file.display()
    )?;
    if end.otherwise > 0 {
        writeln!(
            out,
            "after {} of them the replay will show something else than there was, because of what was replaced",
            grouped(end.otherwise)
        )?;
    }
    match over {
        Over::Wanted(_) => Ok(Ended::Fine),
        Over::Early(why) => Err(fail(&format!("the recording ends early: {why}"))),
        Over::Lost(error) => Err(not_attached(error)),
    }
}

/// Records what comes, until there is no more or it has been long enough.
async fn record(
    mut farm: mpsc::Receiver<Result<Event, ControlError>>,
    mut logs: mpsc::Receiver<Result<Event, ControlError>>,
    file: File,
    scrubber: Option<Scrubber>,
    span: Option<Duration>,
) -> Result<(End, Over), RecordError> {
    let end = async {
        match span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut flush = tokio::time::interval(FLUSH);
    let mut beginning = String::new();
    let mut private = Some(scrubber);
    let mut out = Some(BufWriter::new(file));
    let mut recorder: Option<Recorder<BufWriter<File>>> = None;
    let over = loop {
        tokio::select! {
            () = &mut end => break Over::Wanted("it was to be that long"),
            _ = tokio::signal::ctrl_c() => break Over::Wanted("it was ended by hand"),
            _ = flush.tick() => {
                if let Some(recorder) = &mut recorder {
                    recorder.flush()?;
                }
            }
            event = farm.recv() => match event {
                Some(Ok(Event::Recording(part))) => match part {
                    RecordingPart::Beginning(piece) => beginning.push_str(&piece),
                    RecordingPart::Begun(now) => {
                        if let (Some(out), Some(scrubber)) = (out.take(), private.take()) {
                            let text = std::mem::take(&mut beginning);
                            recorder = Some(Recorder::new(out, now, &text, scrubber)?);
                        }
                    }
                    RecordingPart::Call(call) => {
                        if let Some(recorder) = &mut recorder {
                            recorder.call(*call)?;
                        }
                    }
                    RecordingPart::End { why } => break Over::Early(why),
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => break Over::Lost(error),
                None => break Over::Early("the farmer went away".to_owned()),
            },
            Some(event) = logs.recv() => {
                if let (Ok(Event::Feed(FeedEvent::Log(log))), Some(recorder)) = (event, &mut recorder) {
                    recorder.log(log)?;
                }
            }
        }
    };
    let why = match &over {
        Over::Wanted(why) => (*why).to_owned(),
        Over::Early(why) => why.clone(),
        Over::Lost(error) => lost(error),
    };
    match recorder {
        Some(recorder) => Ok((recorder.finish(why)?, over)),
        None => Err(io::Error::other("it ended before the farmer had told how it is").into()),
    }
}

/// Why there is no more, as the recording says it: without the path of the socket, which tells who somebody is.
fn lost(error: &ControlError) -> String {
    match error {
        ControlError::Gone { detail, .. } => format!("the farmer went away: {detail}"),
        ControlError::NoAnswer { .. } => "the farmer gave no answer".to_owned(),
        _ => "the connection to the farmer failed".to_owned(),
    }
}

/// What a connection brings. A frame must not be abandoned half read, so reading has a task of its own.
fn events(client: ControlClient) -> mpsc::Receiver<Result<Event, ControlError>> {
    let (mut events, sender) = client.split();
    let (told, frames) = mpsc::channel(1024);
    tokio::spawn(async move {
        // Whoever closes one half leaves.
        let _sender = sender;
        loop {
            let event = events.next_event().await;
            let is_over = event.is_err();
            if told.send(event).await.is_err() || is_over {
                return;
            }
        }
    });
    frames
}

/// Random bytes of the operating system.
fn fill_with_chance(bytes: &mut [u8]) -> io::Result<()> {
    io::Read::read_exact(&mut File::open("/dev/urandom")?, bytes)
}
