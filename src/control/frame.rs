//! Length-prefixed JSON over any byte stream.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame a client may send, bytes.
pub(super) const MAX_REQUEST: usize = 1 << 20;

/// Largest frame a server may send, bytes: a snapshot of a thousand harvesters is about 2 MiB.
pub(super) const MAX_EVENT: usize = 64 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream ended between two frames.
    #[error("closed")]
    Closed,
    /// The stream broke.
    #[error(transparent)]
    Io(std::io::Error),
    /// The frame is larger than it may be.
    #[error("frame of {got} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Announced length.
        got: usize,
        /// Limit.
        limit: usize,
    },
    /// The frame is not what was expected.
    #[error("unreadable frame: {0}")]
    Json(serde_json::Error),
}

/// Reads one frame of at most `limit` bytes.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> Result<T, FrameError> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head).await {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Err(FrameError::Closed),
        Err(e) => return Err(FrameError::Io(e)),
    }
    let len = u32::from_be_bytes(head) as usize;
    if len > limit {
        return Err(FrameError::TooLarge { got: len, limit });
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.map_err(FrameError::Io)?;
    serde_json::from_slice(&body).map_err(FrameError::Json)
}

/// Writes one frame.
pub(super) async fn write<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> Result<(), FrameError> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value).map_err(FrameError::Json)?;
    let len = frame.len() - 4;
    let head = u32::try_from(len).map_err(|_| FrameError::TooLarge {
        got: len,
        limit: MAX_EVENT,
    })?;
    frame[..4].copy_from_slice(&head.to_be_bytes());
    stream.write_all(&frame).await.map_err(FrameError::Io)?;
    stream.flush().await.map_err(FrameError::Io)
}

/// Writes one frame to a client that may take nothing of it for a while.
pub(super) async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> Result<(), FrameError> {
    tokio::time::timeout(WRITE_PATIENCE, write(stream, value))
        .await
        .unwrap_or_else(|_| Err(FrameError::Io(std::io::ErrorKind::TimedOut.into())))
}

/// A client that takes nothing for this long is closed.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_round_trip() {
        let (mut a, mut b) = tokio::io::duplex(1024);
        write(&mut a, &vec![1, 2, 3]).await.unwrap();
        assert_eq!(read::<Vec<u8>>(&mut b, 100).await.unwrap(), [1, 2, 3]);
        drop(a);
        assert!(matches!(read::<Vec<u8>>(&mut b, 100).await, Err(FrameError::Closed)));
    }

    #[tokio::test]
    async fn oversized_and_unreadable_frames_are_refused_before_allocation() {
        let (mut a, mut b) = tokio::io::duplex(1024);
        a.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        assert!(matches!(
            read::<u8>(&mut b, 100).await,
            Err(FrameError::TooLarge { limit: 100, .. })
        ));
        a.write_all(b"\0\0\0\x02{{").await.unwrap();
        assert!(matches!(read::<u8>(&mut b, 100).await, Err(FrameError::Json(_))));
    }
}
