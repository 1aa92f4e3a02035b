//! `farmconsole replay`: shows a recording on the console, at its own pace or faster.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use farmconsole::control::Event;
use farmconsole::recorder::{Recording, RecordingError};
use farmconsole::snapshot::FarmSnapshot;
use tokio::sync::mpsc;

use crate::args::ReplayArgs;
use crate::console;
use crate::context::Context;
use crate::exit::{Ended, Failure, Outcome, Status};
use crate::feed::{Feed, FeedItem, Playback};

/// Events read ahead.
const AHEAD: usize = 256;

/// Runs the command.
pub(crate) async fn run(context: &Context, arguments: &ReplayArgs) -> Outcome {
    console::require_terminal()?;
    let path = &arguments.file;
    let fail =
        |error: &dyn std::fmt::Display| Failure::new(Status::Failed, format!("replay {}: {error}", path.display()));
    let file = File::open(path).map_err(|error| fail(&error))?;
    let mut recording = Recording::open(BufReader::new(file))
        .map_err(|error| fail(&error).hint("recordings are made with `farmconsole record FILE`"))?;
    let (begin, first) = first_snapshot(&mut recording)
        .map_err(|error| fail(&error))?
        .ok_or_else(|| fail(&"there is no picture of a farmer in it"))?;
    let (read, events) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let event = recording.next_event();
            let is_over = !matches!(event, Ok(Some(_)));
            if read.blocking_send(event).is_err() || is_over {
                return;
            }
        }
    });
    let (feed, playback) = Feed::of_recording(first);
    tokio::spawn(play(begin, arguments.speed, events, playback));
    let options = console::ConsoleOptions {
        // What was seen last was another farm.
        last_look: None,
        ..crate::attach::options(context)?
    };
    console::run(feed, options).await?;
    Ok(Ended::Fine)
}

/// The first snapshot and when it came; what comes before it is not shown.
fn first_snapshot(
    recording: &mut Recording<BufReader<File>>,
) -> Result<Option<(Duration, FarmSnapshot)>, RecordingError> {
    while let Some((at, event)) = recording.next_event()? {
        if let Event::Snapshot(snapshot) = event {
            return Ok(Some((at, *snapshot)));
        }
    }
    Ok(None)
}

/// Tells the console what it was told then, and that it is over.
async fn play(
    begin: Duration,
    speed: f64,
    mut events: mpsc::Receiver<Result<Option<(Duration, Event)>, RecordingError>>,
    playback: Playback,
) {
    let started = tokio::time::Instant::now();
    let over = loop {
        let (at, event) = match events.recv().await {
            Some(Ok(Some(next))) => next,
            Some(Ok(None)) | None => break "the recording is over".to_owned(),
            Some(Err(error)) => break format!("the recording ends: {error}"),
        };
        tokio::time::sleep_until(started + at.saturating_sub(begin).div_f64(speed)).await;
        let item = match event {
            Event::Snapshot(snapshot) => {
                playback.snapshots.send_replace(Arc::from(snapshot));
                continue;
            }
            Event::Feed(event) => FeedItem::Event(event),
            Event::Skipped(count) => FeedItem::Skipped(count),
            Event::Machine(_) | Event::Reply(_) => continue,
        };
        if playback.items.send(item).await.is_err() {
            return;
        }
    };
    // The console may have been left.
    let _ = playback.items.send(FeedItem::Lost(over)).await;
    playback.items.closed().await;
}
