//! Credits: how much one session may have on its way to the core.
//!
//! Every message that a session hands up carries a [`Credit`]; when the core has dealt with the message and drops it, the
//! session may read another one. A core that is slow for one harvester therefore slows that harvester's TCP connection
//! and nobody else, and memory per session is bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one session that may wait for the core: two of the largest frames.
const BYTES: usize = 8 << 20;

/// What a message counts at least, so that no more than 64 wait.
const LEAST: usize = BYTES / 64;

/// The right to have one message waiting. Dropping it gives it back.
#[derive(Debug, Default)]
pub struct Credit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Credit {
    /// A credit that stands for nothing: for messages made in this process, as tests do.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { _permit: None }
    }
}

/// All credits of one session.
#[derive(Clone, Debug)]
pub struct Credits(Arc<Semaphore>);

impl Default for Credits {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BYTES)))
    }
}

impl Credits {
    /// Waits until a message of `size` bytes may be handed up. A message larger than all credits together waits for all of
    /// them.
    pub async fn acquire(&self, size: usize) -> Credit {
        let counted = u32::try_from(size.clamp(LEAST, BYTES)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).acquire_many_owned(counted).await;
        // The semaphore is never closed, so it is there.
        Credit { _permit: permit.ok() }
    }

    /// Bytes of messages that were handed up and not yet dealt with, as they are counted.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        BYTES - self.0.available_permits()
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
        for _ in 0..64 {
            held.push(credits.acquire(100).await);
        }
        assert_eq!(credits.outstanding(), BYTES);
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
