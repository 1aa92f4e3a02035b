//! A harvester alone: one root, one farmer somewhere else. What can fail is opened before any task starts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handle::FeedEvent;
use crate::config::{HostPort, Root, Settings};
use crate::control::server::{BindError, ControlServer, Served};
use crate::control::{LockError, RootLock};
use crate::harvester::{DialSettings, Service, ServiceOptions, StatusHandle, TlsSource, dial, keep_fresh};
use crate::logging::{LogHandle, LogPage};
use crate::snapshot::MachineSnapshot;
use crate::system_clock::Clock;
use crate::tls::{TlsError, harvester_tls};

/// Why a harvester cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HarvesterStartError {
    /// Another one, or a farmer, runs on this root.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] BindError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The settings name no farmer.
    #[error("`harvester.farmer_peers` names no farmer")]
    NoFarmer,
}

/// What a harvester is made of.
#[derive(Debug)]
pub struct HarvesterOptions {
    /// Where it lives.
    pub root: Root,
    /// How it is set.
    pub settings: Settings,
    /// The log it writes to.
    pub log: LogHandle,
}

/// A harvester that runs until [`RunningHarvester::stop`] is cancelled.
#[derive(Debug)]
pub struct RunningHarvester {
    /// To see and to steer it.
    pub handle: HarvesterHandle,
    /// Cancel to end it.
    pub stop: CancellationToken,
    /// The farmer it dials.
    pub farmer: HostPort,
    tasks: TaskTracker,
    _lock: RootLock,
}

/// Starts a harvester, which dials the first farmer of the settings for as long as it runs.
///
/// # Errors
/// [`HarvesterStartError`]; nothing runs then.
pub fn start_harvester(options: HarvesterOptions) -> Result<RunningHarvester, HarvesterStartError> {
    let HarvesterOptions { root, settings, log } = options;
    let lock = RootLock::take(&root.lock_file())?;
    let control = ControlServer::bind(&root.control_socket(), &lock)?;
    // Read again before every dial; what is wrong with it now is an error message now.
    harvester_tls(&root)?;
    let mut farmers = settings.harvester.farmer_peers.iter().cloned();
    let farmer = farmers.next().ok_or(HarvesterStartError::NoFarmer)?;
    let dialling = DialSettings {
        farmer: farmer.clone(),
        not_dialled: farmers.collect(),
        tls: TlsSource::Root(root.clone()),
        network: settings.network.clone(),
    };
    let service = Service::new(ServiceOptions::of(&settings), Clock::start());
    let handle = HarvesterHandle {
        status: service.status(),
        log,
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(control.run(Served::Harvester(handle.clone()), stop.clone()));
    tasks.spawn(dial(dialling, service, stop.clone()));
    tasks.spawn(keep_fresh(root, farmer.clone(), stop.clone()));
    tasks.close();
    Ok(RunningHarvester {
        handle,
        stop,
        farmer,
        tasks,
        _lock: lock,
    })
}

impl RunningHarvester {
    /// Waits until every task has ended after [`RunningHarvester::stop`], at most `patience`.
    pub async fn ended(self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }
}

/// A cheap, cloneable hold on a running harvester.
#[derive(Clone, Debug)]
pub struct HarvesterHandle {
    status: StatusHandle,
    log: LogHandle,
}

impl HarvesterHandle {
    /// The harvester at this moment. To be called in a runtime.
    #[must_use]
    pub fn snapshot(&self) -> Arc<MachineSnapshot> {
        Arc::clone(&self.watch().borrow())
    }

    /// Pictures of it, at most four a second and at least one, while somebody watches. To be called in a runtime.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<MachineSnapshot>> {
        self.status.watch()
    }

    /// Log records from number `from` on; with `u64::MAX` none, but the number of the next one.
    #[must_use]
    pub fn log(&self, from: u64) -> LogPage {
        self.log.ring().page(from, RECORDS_AT_ONCE)
    }

    /// The last log records, oldest first.
    #[must_use]
    pub fn last_log_records(&self, limit: u32) -> Vec<FeedEvent> {
        let page = self.log.ring().tail(limit as usize);
        page.records.into_iter().map(FeedEvent::Log).collect()
    }

    /// Changes the log level while running.
    ///
    /// # Errors
    /// A sentence when there is no such level.
    pub fn set_log_level(&self, level: &str) -> Result<(), String> {
        let level = level
            .parse()
            .map_err(|error: crate::logging::UnknownLogLevel| error.to_string())?;
        self.log.set_level(level);
        Ok(())
    }
}

/// Log records that a watcher is given with one picture.
const RECORDS_AT_ONCE: usize = 500;
