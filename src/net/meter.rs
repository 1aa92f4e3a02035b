//! A byte counter around a stream: how much was read and written, when last, and no more than allowed.
//!
//! It sits below TLS, so that bytes of a handshake and of half a frame count as life, and so that nobody can make us read
//! much before authenticating.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// A stream whose bytes are counted by a [`Meter`].
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Arc<Meter>,
}

/// What passed through one [`Metered`] stream; shared with whoever watches it.
#[derive(Debug)]
pub struct Meter {
    origin: Instant,
    read: AtomicU64,
    read_limit: AtomicU64,
    last_read_us: AtomicU64,
    written: AtomicU64,
    last_written_us: AtomicU64,
    opening: AtomicU64,
}

impl<S> Metered<S> {
    /// Counts from zero, and fails reads beyond `read_limit` bytes.
    pub fn new(inner: S, read_limit: u64) -> (Self, Arc<Meter>) {
        let meter = Arc::new(Meter {
            origin: Instant::now(),
            read: AtomicU64::new(0),
            read_limit: AtomicU64::new(read_limit),
            last_read_us: AtomicU64::new(0),
            written: AtomicU64::new(0),
            last_written_us: AtomicU64::new(0),
            opening: AtomicU64::new(0),
        });
        let stream = Self {
            inner,
            meter: Arc::clone(&meter),
        };
        (stream, meter)
    }

    /// The stream inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl Meter {
    /// Allows `bytes` more from here on, whatever was allowed before.
    pub fn allow_more(&self, bytes: u64) {
        let limit = self.read.load(Ordering::Relaxed).saturating_add(bytes);
        self.read_limit.store(limit, Ordering::Relaxed);
    }

    /// Whether the peer sent more than was allowed.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.read.load(Ordering::Relaxed) > self.read_limit.load(Ordering::Relaxed)
    }

    /// Bytes read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// When the last byte came, or when counting began.
    #[must_use]
    pub fn last_read(&self) -> Instant {
        self.origin + Duration::from_micros(self.last_read_us.load(Ordering::Relaxed))
    }

    /// When the system last took a byte from us, or when counting began.
    #[must_use]
    pub fn last_written(&self) -> Instant {
        self.origin + Duration::from_micros(self.last_written_us.load(Ordering::Relaxed))
    }

    /// The first bytes the peer sent, at most eight: what tells TLS from other protocols.
    #[must_use]
    pub fn opening(&self) -> Vec<u8> {
        let count = usize::try_from(self.read()).unwrap_or(usize::MAX).min(8);
        self.opening.load(Ordering::Relaxed).to_be_bytes()[..count].to_vec()
    }

    fn note_read(&self, bytes: &[u8]) {
        let before = self.read.load(Ordering::Relaxed);
        let mut opening = self.opening.load(Ordering::Relaxed);
        for (position, byte) in (before..8).zip(bytes) {
            opening |= u64::from(*byte) << (56 - 8 * position);
        }
        self.opening.store(opening, Ordering::Relaxed);
        self.read.store(before + bytes.len() as u64, Ordering::Relaxed);
        self.last_read_us.store(self.elapsed_us(), Ordering::Relaxed);
    }

    fn note_written(&self, count: usize) {
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        self.last_written_us.store(self.elapsed_us(), Ordering::Relaxed);
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        if !new.is_empty() {
            self.meter.note_read(new);
        }
        if self.meter.is_exceeded() {
            return Poll::Ready(Err(io::Error::other("read limit exceeded")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.meter.note_written(count);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, parts))?;
        self.meter.note_written(count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_bytes_and_remembers_when() {
        let (ours, mut theirs) = duplex(1024);
        let (mut stream, meter) = Metered::new(ours, 1024);
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(3)).await;
        theirs.write_all(b"GET /ws HTTP/1.1").await.unwrap();
        let mut buf = [0; 5];
        stream.read_exact(&mut buf).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        assert_eq!((meter.read(), meter.written()), (5, 6));
        assert_eq!(meter.opening(), b"GET /");
        stream.read_exact(&mut buf).await.unwrap();
        assert_eq!(meter.opening(), b"GET /ws ");
        assert_eq!(meter.last_read() - start, Duration::from_secs(3));
        assert_eq!(meter.last_written() - start, Duration::from_secs(3));
    }

    #[tokio::test]
    async fn reads_beyond_the_limit_fail_until_more_is_allowed() {
        let (ours, mut theirs) = duplex(1024);
        let (mut stream, meter) = Metered::new(ours, 10);
        let mut buf = [0; 10];
        theirs.write_all(&[7; 20]).await.unwrap();
        stream.read_exact(&mut buf).await.unwrap();
        assert!(!meter.is_exceeded());
        assert!(stream.read_exact(&mut buf[..1]).await.is_err());
        assert!(meter.is_exceeded());

        let (ours, mut theirs) = duplex(1024);
        let (mut stream, meter) = Metered::new(ours, 10);
        meter.allow_more(20);
        theirs.write_all(&[7; 20]).await.unwrap();
        stream.read_exact(&mut buf).await.unwrap();
        stream.read_exact(&mut buf).await.unwrap();
        assert!(!meter.is_exceeded());
    }
}
