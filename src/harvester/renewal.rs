//! Keeps the certificate of a harvester that joined a farm fresh: a new key and certificate when two thirds of its time
//! are over, or when the farm has new authorities.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{HostPort, Root};
use crate::enrol;
use crate::logging::target::HARVESTER_SERVER;
use crate::system_clock::unix_now;
use crate::tls::Membership;

/// Looks now and then until `stop`, and renews; tells `renewed` when it has. What goes wrong is logged and tried again.
pub async fn keep_fresh(root: Root, farmer: HostPort, renewed: Arc<Notify>, stop: CancellationToken) {
    let mut pause = FIRST_LOOK;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        pause = LOOK_EVERY;
        match renew_if_due(&root, &farmer).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(target: HARVESTER_SERVER, "the certificate of this harvester was renewed");
                renewed.notify_waiters();
            }
            Err(error) => {
                tracing::warn!(target: HARVESTER_SERVER, "renew the certificate of this harvester: {error}");
                pause = AGAIN_AFTER;
            }
        }
    }
}

async fn renew_if_due(root: &Root, farmer: &HostPort) -> Result<bool, enrol::JoinError> {
    let Some(membership) = Membership::load(root)? else {
        return Ok(false);
    };
    if !is_due(&membership, unix_now().seconds()) && enrol::is_directly_trusted(&membership, farmer).await? {
        return Ok(false);
    }
    enrol::renew(&membership, farmer).await?.save(root)?;
    Ok(true)
}

/// Whether two thirds of the certificate's time are over.
fn is_due(membership: &Membership, now_unix_s: u64) -> bool {
    membership.facts().is_some_and(|facts| {
        let (from, until) = (facts.record.not_before_unix_s, facts.record.not_after_unix_s);
        now_unix_s >= from + until.saturating_sub(from) / 3 * 2
    })
}

/// The farmer should be there by then.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3_600);
const AGAIN_AFTER: Duration = Duration::from_secs(600);
