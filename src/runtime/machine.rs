//! A harvester alone: one root, one farmer somewhere else. What can fail is opened before any task starts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::live_settings::LiveSettings;
use super::open_files;
use crate::config::{HostPort, Root, Settings};
use crate::control::server::{ControlServer, Served};
use crate::control::socket::BindError;
use crate::control::{LockError, RootLock};
use crate::handle::HarvesterHandle;
use crate::harvester::{DialSettings, Service, ServiceOptions, TlsSource, dial, keep_fresh};
use crate::logging::LogHandle;
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
    /// The settings it follows.
    pub settings: LiveSettings,
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
    open_files::allow_many();
    let lock = RootLock::take(&root.lock_file())?;
    root.remove_leftovers();
    let control = ControlServer::bind(&root.control_socket(), &lock)?;
    // Read again before every dial; what is wrong with it now is an error message now.
    harvester_tls(&root)?;
    let mut farmers = settings.harvester.farmer_peers.iter().cloned();
    let farmer = farmers.next().ok_or(HarvesterStartError::NoFarmer)?;
    let renewed = Arc::new(Notify::new());
    let dialling = DialSettings {
        farmer: farmer.clone(),
        not_dialled: farmers.collect(),
        tls: TlsSource::Root {
            root: root.clone(),
            renewed: Arc::clone(&renewed),
        },
        network: settings.network.clone(),
    };
    let service = Service::new(ServiceOptions::of(&settings).at(&root), Clock::start());
    let settings = LiveSettings::of_harvester(&root, &log, settings);
    let handle = HarvesterHandle {
        status: service.status(),
        log,
    };
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(control.run(Served::Harvester(handle.clone()), stop.clone()));
    tasks.spawn(dial(dialling, service, stop.clone()));
    tasks.spawn(keep_fresh(root, farmer.clone(), renewed, stop.clone()));
    tasks.close();
    Ok(RunningHarvester {
        handle,
        stop,
        settings,
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
