//! The harvester as a task: takes the farmer's messages from one channel, answers into another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::lookup::{self, LookupContext, LookupResult};
use super::plot_file::LoadedPlot;
use super::scan::{Changes, Inventory, ScanOptions};
use super::sync::{Progress, SyncContent, SyncSender};
use crate::crypto::sign_prepend;
use crate::net::WithId;
use crate::pos::Constants;
use crate::runtime::Clock;
use crate::wire::{
    FromHarvester, HarvesterHandshake, NewSignagePointHarvester, PlotSyncResponse, RequestSignatures, RespondPlots,
    RespondSignatures, ToHarvester,
};

/// Signage points that may be looked up at the same time; with more the oldest is given up.
const LOOKUPS: usize = 8;

/// Settings of a harvester.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Constants of the network.
    pub constants: Arc<Constants>,
    /// Where the plots are.
    pub scan: ScanOptions,
    /// Time between two refreshes.
    pub refresh_interval: Duration,
    /// Look-ups at the same time.
    pub threads: usize,
}

/// A connection to a farmer, as two bounded channels.
#[derive(Debug)]
pub struct FarmerChannels {
    /// The farmer's messages, with their ids. Closed when the connection ends.
    pub from_farmer: mpsc::Receiver<WithId<ToHarvester>>,
    /// Answers, with the id of the request.
    pub to_farmer: mpsc::Sender<WithId<FromHarvester>>,
}

/// A harvester: its plots outlive its connections.
#[derive(Debug)]
pub struct Service {
    options: ServiceOptions,
    clock: Clock,
    inventory: Option<Inventory>,
    keys: Option<HarvesterHandshake>,
    plots: BTreeMap<String, Arc<LoadedPlot>>,
    sync: SyncSender,
    lookups: Arc<Semaphore>,
    threads: Arc<Semaphore>,
}

/// A refresh that runs on a blocking thread and brings the inventory back.
type Refresh = JoinHandle<(Inventory, Changes, Duration)>;

impl Service {
    /// A harvester that knows no plot yet.
    #[must_use]
    pub fn new(options: ServiceOptions, clock: Clock) -> Self {
        let threads = Arc::new(Semaphore::new(options.threads.clamp(1, 256)));
        Self {
            options,
            clock,
            inventory: Some(Inventory::default()),
            keys: None,
            plots: BTreeMap::new(),
            sync: SyncSender::default(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            threads,
        }
    }

    /// Serves one connection until it ends or `stop`. The plots stay loaded for the next one.
    pub async fn serve(&mut self, mut link: FarmerChannels, stop: &CancellationToken) {
        self.sync.reset();
        let mut refresh: Option<Refresh> = None;
        let mut next_refresh = tokio::time::Instant::now();
        let mut ready = false;
        loop {
            if ready && refresh.is_none() && self.sync.is_idle() && tokio::time::Instant::now() >= next_refresh {
                refresh = self.start_refresh();
            }
            while let Some(message) = self.sync.poll_message(self.clock.now()) {
                if link
                    .to_farmer
                    .send((FromHarvester::PlotSync(message), None))
                    .await
                    .is_err()
                {
                    break;
                }
            }
            let resend = self.sync.poll_timeout().map(|at| self.clock.instant(at));
            tokio::select! {
                () = stop.cancelled() => break,
                message = link.from_farmer.recv() => match message {
                    None => break,
                    Some((ToHarvester::HarvesterHandshake(keys), _)) => {
                        self.take_keys(keys);
                        ready = true;
                        next_refresh = tokio::time::Instant::now();
                    }
                    Some((ToHarvester::NewSignagePoint(point), _)) => self.look_up(point, &link),
                    Some((ToHarvester::RequestSignatures(request), id)) => self.sign(id, *request, &link),
                    Some((ToHarvester::RequestPlots, id)) => self.list_plots(id, &link).await,
                    Some((ToHarvester::PlotSyncResponse(response), _)) => self.take_response(&response, &mut next_refresh),
                },
                done = finished(&mut refresh), if refresh.is_some() => {
                    refresh = None;
                    next_refresh = tokio::time::Instant::now() + self.options.refresh_interval;
                    if let Some((inventory, changes, took)) = done {
                        self.take_refresh(inventory, changes, took);
                    }
                }
                () = sleep_until(resend) => {}
                () = tokio::time::sleep_until(next_refresh), if ready && refresh.is_none() && self.sync.is_idle() => {}
            }
        }
        // A refresh that hangs on a dead disk must not hold the harvester up: it is waited for in the next connection.
        if let Some(refresh) = refresh
            && let Ok(Ok((inventory, changes, took))) = tokio::time::timeout(Duration::from_secs(2), refresh).await
        {
            self.take_refresh(inventory, changes, took);
        }
        if self.inventory.is_none() {
            self.inventory = Some(Inventory::default());
            self.plots.clear();
        }
    }

    fn take_keys(&mut self, keys: HarvesterHandshake) {
        if self.keys.as_ref() == Some(&keys) {
            return;
        }
        if let Some(inventory) = &mut self.inventory {
            inventory.clear();
            self.plots.clear();
        }
        self.keys = Some(keys);
    }

    fn start_refresh(&mut self) -> Option<Refresh> {
        let keys = self.keys.clone()?;
        let mut inventory = self.inventory.take()?;
        let scan = self.options.scan.clone();
        let started = tokio::time::Instant::now();
        Some(tokio::task::spawn_blocking(move || {
            let changes = inventory.refresh(&scan, &keys, started.into_std());
            (inventory, changes, started.elapsed())
        }))
    }

    /// Takes what a refresh found and tells the farmer, if there is anything to tell.
    fn take_refresh(&mut self, inventory: Inventory, changes: Changes, took: Duration) {
        for complaint in &changes.complaints {
            tracing::warn!(target: "chia.plotting.manager", "{complaint}");
        }
        tracing::info!(
            target: "chia.harvester.harvester",
            "_plot_refresh_callback: event done, loaded {}, removed {}, processed {}, remaining 0, duration: {:.2} seconds, total plots: {}",
            changes.loaded.len(), changes.removed.len(), inventory.files(), took.as_secs_f64(), inventory.plots().len()
        );
        for path in &changes.removed {
            self.plots.remove(&plot_name(path));
        }
        for plot in &changes.loaded {
            self.plots.insert(plot_name(plot.path()), Arc::clone(plot));
        }
        let initial = !self.sync.has_synced();
        let loaded = if initial { inventory.plots() } else { changes.loaded };
        let names = |paths: Vec<&Path>| paths.into_iter().map(plot_name).collect();
        let content = SyncContent {
            initial,
            loaded: loaded.iter().map(|p| p.describe(&plot_name(p.path()))).collect(),
            removed: if initial {
                Vec::new()
            } else {
                changes.removed.iter().map(|p| plot_name(p)).collect()
            },
            invalid: names(inventory.failed().map(|(p, _)| p).collect()),
            keys_missing: names(inventory.no_key().map(|(p, _)| p).collect()),
            duplicates: names(inventory.duplicates().map(|(p, _)| p).collect()),
            files: inventory.files(),
            duration: took,
        };
        self.inventory = Some(inventory);
        self.sync.begin(self.clock.now(), content);
    }

    fn take_response(&mut self, response: &PlotSyncResponse, next_refresh: &mut tokio::time::Instant) {
        if let Progress::StartOver { reason } = self.sync.handle_response(response) {
            tracing::warn!(target: "chia.plot_sync.sender", "farmer refused the plot sync: {reason}; starting over");
            *next_refresh = tokio::time::Instant::now() + Duration::from_secs(1);
        }
    }

    fn look_up(&self, point: NewSignagePointHarvester, link: &FarmerChannels) {
        if self.keys.is_none() {
            return;
        }
        let Ok(slot) = Arc::clone(&self.lookups).try_acquire_owned() else {
            tracing::warn!(
                target: "chia.harvester.harvester",
                "signage point {} is left out: {LOOKUPS} are still being looked up", point.sp_hash
            );
            return;
        };
        let context = LookupContext {
            constants: Arc::clone(&self.options.constants),
            threads: Arc::clone(&self.threads),
            answers: link.to_farmer.clone(),
        };
        let plots: Vec<_> = self.plots.values().cloned().collect();
        let unix_s = self.clock.now().unix.seconds();
        let challenge = point.challenge_hash;
        tokio::spawn(async move {
            let LookupResult {
                passed,
                proofs,
                total,
                took,
            } = lookup::answer(context, Arc::new(point), plots, unix_s).await;
            drop(slot);
            tracing::info!(
                target: "chia.harvester.harvester",
                "{passed} plots were eligible for farming {}... Found {proofs} proofs. Time: {:.5} s. Total {total} plots",
                challenge.short(), took.as_secs_f64()
            );
        });
    }

    /// Signs with the plot's own key. A plot that is not there is not answered, as the protocol has no refusal.
    fn sign(&self, id: Option<u16>, request: RequestSignatures, link: &FarmerChannels) {
        let name = request.plot_identifier.get(QUALITY_DIGITS..).unwrap_or_default();
        let Some(plot) = self.plots.get(name).cloned() else {
            tracing::warn!(target: "chia.harvester.harvester", "KeyError plot {name} does not exist.");
            return;
        };
        let to_farmer = link.to_farmer.clone();
        tokio::task::spawn_blocking(move || {
            let message_signatures = request
                .messages
                .iter()
                .map(|m| {
                    (
                        *m,
                        sign_prepend(plot.local_sk(), plot.plot_public_key(), m.as_bytes()).to_g2(),
                    )
                })
                .collect();
            let response = RespondSignatures {
                plot_identifier: request.plot_identifier,
                challenge_hash: request.challenge_hash,
                sp_hash: request.sp_hash,
                local_pk: plot.local_pk().to_g1(),
                farmer_pk: plot.farmer_pk().to_g1(),
                message_signatures,
                include_source_signature_data: false,
                farmer_reward_address_override: None,
            };
            // The farmer may be gone.
            let _ = to_farmer.blocking_send((FromHarvester::RespondSignatures(Box::new(response)), id));
        });
    }

    async fn list_plots(&self, id: Option<u16>, link: &FarmerChannels) {
        let names = |paths: Vec<&Path>| paths.into_iter().map(plot_name).collect();
        let inventory = self.inventory.as_ref();
        let response = RespondPlots {
            plots: self.plots.iter().map(|(name, plot)| plot.describe(name)).collect(),
            failed_to_open_filenames: inventory.map_or_else(Vec::new, |i| names(i.failed().map(|(p, _)| p).collect())),
            no_key_filenames: inventory.map_or_else(Vec::new, |i| names(i.no_key().map(|(p, _)| p).collect())),
        };
        // The farmer may be gone.
        let _ = link.to_farmer.send((FromHarvester::RespondPlots(response), id)).await;
    }
}

/// A plot's name on the wire: its path, with bytes that are no UTF-8 replaced.
pub(super) fn plot_name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Hex digits of the quality in front of the path in a plot identifier.
const QUALITY_DIGITS: usize = 64;

/// Waits for the refresh; `None` if its thread panicked.
async fn finished(refresh: &mut Option<Refresh>) -> Option<(Inventory, Changes, Duration)> {
    match refresh {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
