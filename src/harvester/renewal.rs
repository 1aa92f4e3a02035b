//! Keeps the certificate of a harvester that joined a farm fresh: a new key and certificate when two thirds of its time
//! are over, or when the farm has new authorities.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::UnixMillis;
use crate::config::{HostPort, Root};
use crate::enrol;
use crate::logging::target::HARVESTER_SERVER;
use crate::system_clock::unix_now;
use crate::tls::{Membership, harvester_certificate};

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

/// That the certificate with which the harvester of a root dials its farmer has ended or soon will: a sentence, and what to
/// do; none while all is well with it, or where it cannot be read, which whoever uses it tells.
#[must_use]
pub fn examine_certificate(root: &Root, now: UnixMillis) -> Option<(String, String)> {
    let (now_unix_s, until) = (now.seconds(), harvester_certificate(root)?.record.not_after_unix_s);
    let days = until.abs_diff(now_unix_s) / DAY_S;
    let days = format!("{days} {}", if days == 1 { "day" } else { "days" });
    let join =
        "`farmconsole harvester invite NAME` on the farmer's machine prints the command that joins this one again";
    if now_unix_s >= until {
        let what = format!("the certificate of this harvester ended {days} ago, by the clock of this machine");
        return Some((what, format!("if that clock is right: {join}")));
    }
    if until - now_unix_s >= SOON_S {
        return None;
    }
    let what = format!("the certificate of this harvester ends in {days}");
    let remedy = if root.membership_file().exists() {
        format!(
            "its harvester should have renewed it long ago, which its log tells of (`farmconsole harvester run` has to \
             run); if it cannot: {join}"
        )
    } else {
        join.to_owned()
    };
    Some((what, remedy))
}

/// Whether two thirds of the certificate's time are over.
fn is_due(membership: &Membership, now_unix_s: u64) -> bool {
    membership.facts().is_some_and(|facts| {
        let (from, until) = (facts.record.not_before_unix_s, facts.record.not_after_unix_s);
        now_unix_s >= from + until.saturating_sub(from) / 3 * 2
    })
}

const DAY_S: u64 = 86_400;

/// A certificate that ends within this time is worth a word, as on the farmer's machine.
const SOON_S: u64 = 30 * DAY_S;

/// The farmer should be there by then.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(6 * 3_600);
const AGAIN_AFTER: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::{InitOptions, init};

    #[test]
    fn a_certificate_that_has_ended_or_soon_will_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        assert_eq!(examine_certificate(&root, UnixMillis(0)), None, "there is none");
        let options = InitOptions {
            ca_dir: None,
            network: None,
            now: unix_now(),
        };
        init(&root, &options).unwrap();
        let until = harvester_certificate(&root).unwrap().record.not_after_unix_s;
        let said = |at_unix_s: u64| examine_certificate(&root, UnixMillis(at_unix_s * 1000));
        assert_eq!(said(until - 31 * DAY_S), None);
        let (what, remedy) = said(until - 2 * DAY_S).unwrap();
        assert_eq!(what, "the certificate of this harvester ends in 2 days");
        assert!(
            remedy.contains("`farmconsole harvester invite NAME` on the farmer's machine"),
            "{remedy}"
        );
        let (what, remedy) = said(until + DAY_S).unwrap();
        assert!(what.contains("ended 1 day ago"), "{what}");
        assert!(
            remedy.contains("clock") && remedy.contains("harvester invite NAME"),
            "{remedy}"
        );
    }
}
