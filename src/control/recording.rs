//! A farmer's tape on its way to whoever records.

use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::{self, FrameError};
use super::protocol::{Event, RecordedCall, RecordingPart, Request};
use crate::handle::{TapeItem, TapedCall, Taping};
use crate::json;

/// Bytes of the farmer's beginning in one frame.
const PIECE: usize = 1 << 20;

/// Sends the tape until it ends or the recorder leaves. Taking what was called apart is done here, in a task of the
/// recorder's own, and not where the farm farms.
pub(super) async fn send_all(
    taping: Taping,
    writer: &mut OwnedWriteHalf,
    requests: &mut mpsc::Receiver<Request>,
    stop: &CancellationToken,
) -> Result<(), FrameError> {
    let Taping {
        beginning,
        begun,
        mut calls,
    } = taping;
    let text = match tokio::task::spawn_blocking(move || serde_json::to_string(&beginning)).await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return end(writer, format!("the farmer cannot be written down: {error}")).await,
        Err(error) => return end(writer, format!("the farmer cannot be written down: {error}")).await,
    };
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = (PIECE.min(rest.len())..).find(|end| rest.is_char_boundary(*end));
        let (piece, after) = rest.split_at(end.unwrap_or(rest.len()));
        part(writer, RecordingPart::Beginning(piece.to_owned())).await?;
        rest = after;
    }
    drop(text);
    part(writer, RecordingPart::Begun(begun)).await?;
    loop {
        let item = tokio::select! {
            () = stop.cancelled() => return end(writer, "the farmer was stopped".to_owned()).await,
            request = requests.recv() => match request {
                Some(_) => continue,
                None => return Ok(()),
            },
            item = calls.next() => item,
        };
        match item {
            TapeItem::Call(call) => match recorded(*call) {
                Ok(call) => part(writer, RecordingPart::Call(Box::new(call))).await?,
                Err(error) => return end(writer, format!("what happened cannot be written down: {error}")).await,
            },
            TapeItem::TooSlow => {
                let why = "more happened than could be recorded in time, so nothing after this was";
                return end(writer, why.to_owned()).await;
            }
            TapeItem::Over => return end(writer, "the farmer has ended".to_owned()).await,
        }
    }
}

async fn end(writer: &mut OwnedWriteHalf, why: String) -> Result<(), FrameError> {
    part(writer, RecordingPart::End { why }).await
}

async fn part(writer: &mut OwnedWriteHalf, part: RecordingPart) -> Result<(), FrameError> {
    frame::send(writer, &Event::Recording(part)).await
}

fn recorded(call: TapedCall) -> serde_json::Result<RecordedCall> {
    Ok(RecordedCall {
        now: call.now,
        call: call.call,
        outputs: call.outputs.iter().map(json::to_value).collect::<Result<_, _>>()?,
        is_settled: call.is_settled,
    })
}
