//! Credits: how much one session may have on its way to the core.
//!
//! Every message that a session hands up carries a [`Credit`]; when the core has dealt with the message and drops it, the
//! session may read another one. A core that is slow for one harvester therefore slows that harvester's TCP connection
//! and nobody else, and memory per session is bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages of one session that may wait for the core.
const MESSAGES: usize = 64;

/// Bytes of one session that may wait for the core: two of the largest frames.
const BYTES: usize = 8 << 20;

/// The right to have one message waiting. Dropping it gives it back.
#[derive(Debug, Default)]
pub struct Credit {
    _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Credit {
    /// A credit that stands for nothing: for messages made in this process, as tests do.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { _permits: None }
    }
}

/// All credits of one session.
#[derive(Clone, Debug)]
pub struct Credits {
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Default for Credits {
    fn default() -> Self {
        Self {
            messages: Arc::new(Semaphore::new(MESSAGES)),
            bytes: Arc::new(Semaphore::new(BYTES)),
        }
    }
}

impl Credits {
    /// Waits until a message of `size` bytes may be handed up. A message larger than all credits together waits for all of
    /// them.
    pub async fn acquire(&self, size: usize) -> Credit {
        let size = u32::try_from(size.min(BYTES)).unwrap_or(u32::MAX);
        let message = Arc::clone(&self.messages).acquire_owned().await;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await;
        // These semaphores are never closed, so both are there.
        Credit {
            _permits: message.ok().zip(bytes.ok()),
        }
    }

    /// Messages that were handed up and not yet dealt with.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        MESSAGES - self.messages.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn the_sixty_fifth_message_waits_for_the_first() {
        let credits = Credits::default();
        let mut held = Vec::new();
        for _ in 0..MESSAGES {
            held.push(credits.acquire(100).await);
        }
        assert_eq!(credits.outstanding(), 64);
        // A task may take only so many permits in one turn.
        tokio::task::yield_now().await;
        assert!(credits.acquire(100).now_or_never().is_none());
        held.pop();
        assert!(credits.acquire(100).now_or_never().is_some());
    }

    #[tokio::test]
    async fn large_messages_wait_by_bytes_and_even_the_largest_gets_through() {
        let credits = Credits::default();
        let large = credits.acquire(5 << 20).await;
        assert!(credits.acquire(5 << 20).now_or_never().is_none());
        drop(large);
        let all = credits.acquire(usize::MAX).await;
        assert!(credits.acquire(1).now_or_never().is_none());
        drop(all);
        assert_eq!(credits.outstanding(), 0);
    }
}
