//! The dead man's switch: an address is asked for while the farm farms. Whoever waits for it tells people when it does
//! not come, also when this machine is gone.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::tell;
use super::web::{Refusal, send};
use crate::config::HookUrl;
use crate::farmer::Input;
use crate::handle::FarmHandle;

/// Where to ping and how often.
#[derive(Debug)]
pub(super) struct DeadMan {
    pub(super) url: HookUrl,
    pub(super) interval: Duration,
    pub(super) client: reqwest::Client,
    pub(super) handle: FarmHandle,
    pub(super) farmer: mpsc::Sender<Input>,
}

impl DeadMan {
    /// Pings whenever it is time and the farm farms, which is told from answers.
    pub(super) async fn run(self) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Ok(snapshot) = self.handle.snapshot().await else {
                return;
            };
            if !snapshot.status.is_fine() {
                continue;
            }
            let failure = match send(self.client.get(self.url.expose())).await {
                Ok(()) => None,
                Err(Refusal::Later(why) | Refusal::Never(why)) => Some(format!("{}: {why}", self.url.host())),
            };
            tell(&self.farmer, "dead man's switch", failure).await;
        }
    }
}
