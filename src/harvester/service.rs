//! The harvester as a task: takes the farmer's messages from one channel, answers into another.
//!
//! Plots outlive connections: they are found by the [`Scanner`], whose newest findings are used for looking up and told
//! to the farmer. Nothing here waits for a disk, and nothing the farmer has not yet read can hold up what it sends.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::findings::{Findings, Plots, plot_named};
use super::inventory::Changes;
use super::lookup::{self, LogLine, LookupContext};
use super::plot::{LoadedPlot, OpenError};
use super::queue::ABANDON_AFTER;
use super::scan::ScanOptions;
use super::scanner::{Scanner, ScannerFiles};
use super::status::StatusHandle;
use super::volumes::Volumes;
use crate::config::{Root, Settings};
use crate::logging::target::HARVESTER;
use crate::net::WithId;
use crate::pos::Constants;
use crate::snapshot::FarmerLinkState;
use crate::system_clock::Clock;
use crate::wire::{
    FromHarvester, HarvesterHandshake, HarvesterLayout, NewSignagePointHarvester, RequestSignatures, RespondPlots,
    RespondSignatures, ToHarvester,
};

/// Settings of a harvester.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// Network id, to show.
    pub network: String,
    /// Constants of the network.
    pub constants: Arc<Constants>,
    /// Where the plots are.
    pub scan: ScanOptions,
    /// Where `scan` is read again before each refresh, so that plot directories come and go while the harvester runs.
    pub settings_file: Option<PathBuf>,
    /// Where what is known of plots is kept for the next run.
    pub plot_cache_file: Option<PathBuf>,
    /// Time between the beginnings of two refreshes.
    pub refresh_interval: Duration,
    /// Look-ups at the same time on one volume, at most.
    pub threads: usize,
    /// Whether the reads of a proof are done at the same time, by up to 32 threads of its volume.
    pub parallel_read: bool,
    /// Look-ups that may compute at the same time, for plots that take much computing.
    pub processors: usize,
    /// Which log line tells of an answer.
    pub log_line: LogLine,
}

impl ServiceOptions {
    /// What the settings say of harvesting.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let harvester = &settings.harvester;
        let refresh = &harvester.refresh;
        Self {
            network: settings.network.clone(),
            constants: Arc::new(settings.constants.clone()),
            scan: ScanOptions::of(settings),
            settings_file: None,
            plot_cache_file: None,
            refresh_interval: Duration::from_secs(refresh.interval_seconds.into()),
            threads: usize::from(harvester.num_threads),
            parallel_read: harvester.parallel_read,
            processors: available_parallelism().map_or(1, NonZero::get),
            log_line: if settings.own.classic_harvester_log {
                LogLine::Classic
            } else {
                LogLine::Official
            },
        }
    }

    /// The same for the harvester of this root: it follows its settings file, and keeps what it knows of plots there.
    #[must_use]
    pub fn at(self, root: &Root) -> Self {
        Self {
            settings_file: Some(root.config_file()),
            plot_cache_file: Some(root.plot_cache_file()),
            ..self
        }
    }
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
    scanner: Scanner,
    volumes: Arc<Volumes>,
    status: StatusHandle,
    keys: Option<Arc<HarvesterHandshake>>,
    /// What the farmer that is served, or was last, reads.
    layout: HarvesterLayout,
    /// The plots of the newest findings that our keys farm, and our farmer can.
    plots: Arc<Plots>,
    next_refresh: Instant,
    /// From then on one may be early.
    early_refresh: Instant,
    early_pause: Duration,
}

impl Service {
    /// A harvester that knows no plot yet.
    #[must_use]
    pub fn new(options: ServiceOptions, clock: Clock) -> Self {
        let files = ScannerFiles {
            settings: options.settings_file.clone(),
            cache: options.plot_cache_file.clone(),
        };
        Self::with(options, clock, Scanner::new(files, clock))
    }

    /// A harvester that finds plots with `scanner`.
    pub(super) fn with(options: ServiceOptions, clock: Clock, scanner: Scanner) -> Self {
        let volumes = Arc::new(Volumes::new(options.threads, options.processors, clock));
        Self {
            status: StatusHandle::new(clock, options.network.clone(), scanner.findings(), Arc::clone(&volumes)),
            scanner,
            volumes,
            options,
            clock,
            keys: None,
            layout: HarvesterLayout::V38,
            plots: Arc::default(),
            next_refresh: Instant::now(),
            early_refresh: Instant::now(),
            early_pause: EARLY_PAUSE,
        }
    }

    /// The harvester as seen from outside, also while it serves.
    #[must_use]
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Serves one connection until it ends or `stop`, to a farmer that reads `layout`. The plots stay loaded for the next
    /// one; a refresh goes on.
    pub async fn serve(&mut self, link: FarmerChannels, layout: HarvesterLayout, stop: &CancellationToken) {
        self.layout = layout;
        self.status.change_farmer(|farmer| farmer.connections += 1);
        self.serve_connection(link, stop).await;
        self.status.change_farmer(|farmer| {
            farmer.state = FarmerLinkState::Connecting;
            farmer.sync_refused = None;
        });
    }

    async fn serve_connection(&mut self, link: FarmerChannels, stop: &CancellationToken) {
        let FarmerChannels {
            mut from_farmer,
            to_farmer,
        } = link;
        let mut updates = self.scanner.findings();
        let mut findings = Arc::clone(&updates.borrow_and_update());
        // A refresh may have ended between two connections.
        self.take_plots(&findings);
        let mut connection = Connection::new(to_farmer.clone());
        loop {
            if connection.is_ready {
                self.refresh_if_due();
                connection.tell(self.clock.now(), &findings, &self.plots);
            }
            let state = connection.state(self.keys.as_deref(), self.plots.len());
            let refused = connection.refused().cloned();
            self.status.change_farmer(|farmer| {
                farmer.state = state;
                farmer.sync_refused = refused;
            });
            // A message that is due waits for room to be sent in, not for a moment.
            let now = self.clock.now();
            let is_due = connection.sync.is_due(now);
            let resend = connection
                .sync
                .poll_timeout()
                .filter(|_| !is_due)
                .map(|at| self.clock.instant(at));
            let wake_up = [
                connection.start_over_at,
                connection.is_ready.then_some(self.next_refresh),
                resend,
            ];
            let wake_up = wake_up.into_iter().flatten().min();
            tokio::select! {
                () = stop.cancelled() => return,
                () = to_farmer.closed() => return,
                message = from_farmer.recv(), if connection.tasks.len() < MAX_TASKS => match message {
                    None => return,
                    Some((message, id)) => self.take(message, id, &mut connection, &findings),
                },
                Ok(room) = to_farmer.reserve(), if is_due => {
                    if let Some(message) = connection.sync.poll_message(self.clock.now()) {
                        room.send((FromHarvester::PlotSync(message), None));
                    }
                }
                Ok(()) = updates.changed() => {
                    findings = Arc::clone(&updates.borrow_and_update());
                    self.take_findings(&findings);
                }
                Some(_) = connection.tasks.join_next() => {}
                () = sleep_until(wake_up.unwrap_or_else(Instant::now)), if wake_up.is_some() => {}
            }
        }
    }

    /// Keeps refreshes from beginning, as a disk that hangs does; `None` while one is running.
    #[cfg(test)]
    pub(super) fn hang(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        self.scanner.hang()
    }

    #[cfg(test)]
    pub(super) const fn set_refresh_interval(&mut self, interval: Duration) {
        self.options.refresh_interval = interval;
    }

    #[cfg(test)]
    pub(super) const fn set_early_pause(&mut self, pause: Duration) {
        self.early_pause = pause;
    }

    fn take(&mut self, message: ToHarvester, id: Option<u16>, connection: &mut Connection, findings: &Arc<Findings>) {
        match message {
            ToHarvester::HarvesterHandshake(keys) => self.take_keys(keys, connection, findings),
            ToHarvester::NewSignagePoint(point) => self.look_up(point, connection),
            ToHarvester::RequestSignatures(request) => self.sign(id, *request, connection),
            ToHarvester::RequestPlots => self.list_plots(id, connection, findings),
            ToHarvester::PlotSyncResponse(response) => connection.handle_response(self.clock.now(), &response),
        }
    }

    fn take_keys(&mut self, keys: HarvesterHandshake, connection: &mut Connection, findings: &Findings) {
        connection.is_ready = true;
        if self.keys.as_deref() == Some(&keys) {
            return;
        }
        self.keys = Some(Arc::new(keys));
        self.next_refresh = Instant::now();
        self.take_plots(findings);
        connection.told_revision = None;
    }

    /// Starts the next refresh when it is time to.
    fn refresh_if_due(&mut self) {
        let now = Instant::now();
        // Files that are gone are told soon, and not at the end of a long interval.
        if self.volumes.take_surprise() {
            self.next_refresh = self.next_refresh.min(self.early_refresh.max(now));
        }
        let Some(keys) = self.keys.as_ref().filter(|_| now >= self.next_refresh) else {
            return;
        };
        self.scanner.set_sick(self.volumes.sick());
        match self.scanner.start(self.options.scan.clone(), Arc::clone(keys)) {
            Ok(()) => {
                self.next_refresh = now + self.options.refresh_interval;
                self.early_refresh = now + self.early_pause;
            }
            Err(reason) => {
                // With other keys it should follow at once; else its turn comes soon enough.
                self.next_refresh = now + BUSY_PAUSE;
                if self.volumes.may_report("refresh", now) {
                    tracing::warn!(target: HARVESTER, "refresh of plots is put off: {reason}");
                }
            }
        }
    }

    fn take_findings(&mut self, findings: &Findings) {
        self.take_plots(findings);
        let Changes { loaded, removed } = findings.changes;
        let event = if findings.finished { "done" } else { "batch_processed" };
        tracing::info!(
            target: HARVESTER,
            "_plot_refresh_callback: event {event}, loaded {loaded}, removed {removed}, processed {}, duration: {:.2} seconds, total plots: {}",
            findings.files, findings.took.as_secs_f64(), findings.plots.len()
        );
    }

    /// Uses the plots that were found, as far as they are farmed with the keys we have by the farmer we have.
    fn take_plots(&mut self, findings: &Findings) {
        let other_keys = self.keys.as_ref().filter(|keys| findings.keys.as_ref() != Some(keys));
        let has_keys = |plot: &LoadedPlot| other_keys.is_none_or(|keys| plot.check_keys(keys).is_ok());
        // Without the filter challenge of the newest layout no v2 plot passes, and farmers of the oldest refuse a list of
        // plots that has one.
        let can_farm = |plot: &LoadedPlot| self.layout >= HarvesterLayout::V38 || !plot.size().is_v2();
        let too_new = findings
            .plots
            .values()
            .filter(|plot| has_keys(plot) && !can_farm(plot))
            .count();
        self.plots = if other_keys.is_none() && too_new == 0 {
            Arc::clone(&findings.plots)
        } else {
            let ours = findings
                .plots
                .iter()
                .filter(|(_, plot)| has_keys(plot) && can_farm(plot));
            Arc::new(ours.map(|(path, plot)| (path.clone(), Arc::clone(plot))).collect())
        };
        self.status
            .change_farmer(|farmer| farmer.plots_too_new = u64::try_from(too_new).unwrap_or(u64::MAX));
        for found in &findings.volumes {
            self.volumes.describe(found.volume, &found.name, found.plots);
        }
    }

    fn look_up(&self, point: NewSignagePointHarvester, connection: &mut Connection) {
        let now = self.clock.now();
        self.status
            .change_farmer(|farmer| farmer.last_signage_point_unix_ms = Some(now.unix.0));
        if self.keys.is_none() {
            tracing::debug!(target: HARVESTER, "signage point {} before any keys is ignored", point.sp_hash);
            return;
        }
        let Some((point, tally)) = connection.admit(now.mono, point) else {
            return;
        };
        let context = LookupContext {
            constants: Arc::clone(&self.options.constants),
            volumes: Arc::clone(&self.volumes),
            clock: self.clock,
            status: self.status.clone(),
            log_line: self.options.log_line,
            parallel_read: self.options.parallel_read,
            answers: connection.to_farmer.clone(),
        };
        connection
            .tasks
            .spawn(lookup::answer(context, point, Arc::clone(&self.plots), tally));
    }

    fn sign(&self, id: Option<u16>, request: RequestSignatures, connection: &mut Connection) {
        // In front of the name is the quality, in hex.
        let name = request.plot_identifier.get(QUALITY_DIGITS..).unwrap_or_default();
        let Some(plot) = plot_named(&self.plots, name).cloned() else {
            tracing::warn!(target: HARVESTER, "KeyError plot {name} does not exist.");
            return;
        };
        let to_farmer = connection.to_farmer.clone();
        let (done, signed) = oneshot::channel();
        let path = plot.path().display().to_string();
        // It needs the file: a disk that hangs must hold up nothing else.
        self.volumes.run(
            plot.volume(),
            Box::new(move || {
                // Nobody waits any more once the connection is over.
                let _ = done.send(sign(&plot, request));
            }),
        );
        connection.tasks.spawn(async move {
            let response = match timeout(ABANDON_AFTER, signed).await {
                Ok(Ok(Ok(response))) => response,
                Ok(Ok(Err(error))) => return tracing::error!(target: HARVESTER, "a proof is lost: sign: {error}"),
                Ok(Err(_)) | Err(_) => {
                    return tracing::error!(target: HARVESTER, "a proof is lost: sign: {path} cannot be read in time");
                }
            };
            // The farmer may be gone.
            let _ = to_farmer
                .send((FromHarvester::RespondSignatures(Box::new(response)), id))
                .await;
        });
    }

    fn list_plots(&self, id: Option<u16>, connection: &mut Connection, findings: &Findings) {
        let response = RespondPlots {
            plots: self.plots.values().filter_map(|plot| plot.describe()).collect(),
            failed_to_open_filenames: findings.failed.clone(),
            no_key_filenames: findings.no_key.clone(),
        };
        let to_farmer = connection.to_farmer.clone();
        connection.tasks.spawn(async move {
            // The farmer may be gone.
            let _ = to_farmer.send((FromHarvester::RespondPlots(response), id)).await;
        });
    }
}

/// Signs what the farmer asks for with the plot's own key. Blocking.
fn sign(plot: &LoadedPlot, request: RequestSignatures) -> Result<RespondSignatures, OpenError> {
    let signatures = plot.sign(&request.messages)?;
    let signatures = signatures.iter().map(crate::crypto::Signature::to_g2);
    Ok(RespondSignatures {
        message_signatures: request.messages.iter().copied().zip(signatures).collect(),
        plot_identifier: request.plot_identifier,
        challenge_hash: request.challenge_hash,
        sp_hash: request.sp_hash,
        local_pk: plot.own_keys()?.local,
        farmer_pk: *plot.farmer_pk(),
        include_source_signature_data: false,
        farmer_reward_address_override: None,
    })
}

/// Hex digits of the quality in front of the name in a plot identifier.
const QUALITY_DIGITS: usize = 64;

/// Things the farmer asked for that are being done; with more, nothing is read from it.
const MAX_TASKS: usize = 64;

/// A refresh that look-ups call for comes no sooner after the last one.
const EARLY_PAUSE: Duration = Duration::from_secs(20);

/// A refresh that cannot begin because one is running is tried again after this time.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
