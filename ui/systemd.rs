//! What systemd is told of a service with `Type=notify`: that it has started, that it goes on, that it ends. Started by
//! anybody else, nobody listens, and nothing happens.

use farmconsole::handle::{FarmHandle, RecentKind};
use sd_notify::NotifyState;

/// Ports are bound, keys are loaded, tasks run.
pub(crate) fn tell_started() {
    tell(NotifyState::Ready);
}

/// It is on its way out, and may take a few seconds.
pub(crate) fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Feeds the watchdog of systemd, if there is one, for as long as the farm answers: the task that sends signage points
/// to harvesters is the one that is asked, so a farm that hangs is started again.
pub(crate) async fn feed_watchdog(farm: FarmHandle) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    while farm.recent(RecentKind::Notices, 0).await.is_ok() {
        tell(NotifyState::Watchdog);
        tokio::time::sleep(patience / 3).await;
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(target: "server", "tell systemd: {error}");
    }
}
