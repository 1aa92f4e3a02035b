//! `farmconsole record`: writes down what a console is told, for a bug report or for later.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;

use farmconsole::control::{Ask, ControlError, Event, Watch};
use farmconsole::recorder::{Recorder, Scrubber};
use tokio::sync::mpsc;

use crate::args::RecordArgs;
use crate::context::{Context, not_attached};
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::format::plural;
use crate::time::unix_ms_now;

/// Runs the command: until Ctrl-C, for some time, or until the farmer ends.
pub(crate) async fn run(context: &Context, arguments: &RecordArgs) -> Outcome {
    let mut attached = context.attach_any().await?;
    let fail = |error: &dyn std::fmt::Display| {
        Failure::new(
            Status::Failed,
            format!("record to {}: {error}", arguments.file.display()),
        )
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&arguments.file)
        .map_err(|error| fail(&error))?;
    let scrubber = if arguments.raw {
        None
    } else {
        let mut salt = [0; 32];
        fill_with_chance(&mut salt)?;
        Some(Scrubber::new(salt))
    };
    let mut recorder = Recorder::new(BufWriter::new(file), unix_ms_now(), scrubber).map_err(|error| fail(&error))?;
    attached
        .ask(Ask::Watch(Watch {
            snapshots: true,
            notices: true,
            messages: true,
            logs: true,
        }))
        .await?;
    // A frame must not be abandoned half read, so reading has a task of its own.
    let (mut events, _sender) = attached.client.split();
    let (told, mut frames) = mpsc::channel::<Result<Event, ControlError>>(1024);
    tokio::spawn(async move {
        loop {
            let event = events.next_event().await;
            let is_over = event.is_err();
            if told.send(event).await.is_err() || is_over {
                return;
            }
        }
    });
    let end = async {
        match arguments.span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let mut count = 0_u64;
    let ended_by = loop {
        tokio::select! {
            () = &mut end => break None,
            _ = tokio::signal::ctrl_c() => break None,
            event = frames.recv() => match event {
                Some(Ok(event)) => {
                    recorder.write(unix_ms_now(), &event).map_err(|error| fail(&error))?;
                    count += 1;
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            },
        }
    };
    recorder.finish().map_err(|error| fail(&error))?;
    let privacy = if arguments.raw {
        ", nothing hidden"
    } else {
        ", names, addresses, ids and paths replaced"
    };
    writeln!(
        io::stdout().lock(),
        "{} recorded{privacy}; look at it with `farmconsole replay {}`",
        plural(count, "event"),
        arguments.file.display()
    )?;
    match ended_by {
        None => Ok(Ended::Fine),
        Some(error) => Err(not_attached(error)),
    }
}

/// Random bytes of the operating system.
fn fill_with_chance(bytes: &mut [u8]) -> io::Result<()> {
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, bytes)
}
