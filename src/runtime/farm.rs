//! Putting a farm together: everything that can fail is opened before any task starts, so a failure is an error message
//! and not a lost log line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::alarm_memory;
use super::embedded;
use super::engine::Engine;
use super::fleet::{Fleet, FleetOffice, FleetStartError};
use super::live_settings::LiveSettings;
use super::node::{ChainWatch, DialledNode, NODE_QUEUE, NodeNames, SimulatedNode};
use super::open_files;
use super::pools::{PoolWatch, asking};
use super::solving::solvers;
use super::workers::Workers;
use crate::config::{HostPort, Root, Settings};
use crate::control::server::{ControlServer, Served};
use crate::control::socket::BindError;
use crate::control::{LockError, RootLock};
use crate::crypto::FarmingKeys;
use crate::farmer::{Farmer, FarmerConfig, FarmerKeys, Input, SIGNAGE_POINT_INTERVAL};
use crate::handle::{AlarmsKept, EVENT_QUEUE, FarmHandle, FleetHandle, Said, TapedFarmer, Written};
use crate::history::{self, HistoryOptions, HistoryReader};
use crate::hooks::{self, HookContext, WebError};
use crate::ids::{NodeId, PeerId, PuzzleHash};
use crate::keys::{KeysError, Passphrase, address};
use crate::logging::LogHandle;
use crate::net::{
    AdmissionLimits, IdentityRates, ListenError, Listener, NodePins, NodeRpc, PoolClient, PoolClientError,
    PoolClientOptions, RpcError, SOFTWARE_VERSION, Server, ServerOptions, SessionIds, SolverOptions, mozilla_roots,
    solver_peers,
};
use crate::simulator::{SimulatedChain, SimulatorError};
use crate::system_clock::Clock;
use crate::tls::{PassphraseFile, TlsError, node_client_config, node_rpc_client_config};

/// Events of sessions that may wait for the engine; each session has credits of its own besides.
const SESSION_QUEUE: usize = 4096;

/// Inputs of nodes and workers that may wait for the engine.
const INPUT_QUEUE: usize = 4096;

/// Questions that may wait for the engine.
const REQUEST_QUEUE: usize = 256;

/// Why a farm cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one runs on this root.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The control socket cannot be opened.
    #[error(transparent)]
    Control(#[from] BindError),
    /// The harvester port cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The farm's own certificates or its registry cannot be used.
    #[error(transparent)]
    Fleet(#[from] FleetStartError),
    /// The farming keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A reward address cannot be read.
    #[error("{setting}: {source}")]
    Address {
        /// Setting that names it.
        setting: &'static str,
        /// Why.
        source: address::AddressError,
    },
    /// The simulated chain cannot be.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// Full nodes cannot be asked about the chain.
    #[error("ask full nodes about the chain: {0}")]
    Rpc(#[from] RpcError),
    /// Alarms cannot be told.
    #[error(transparent)]
    Hooks(#[from] WebError),
    /// Pools cannot be asked.
    #[error(transparent)]
    Pools(#[from] PoolClientError),
    /// No worker threads.
    #[error("start worker threads: {0}")]
    Threads(std::io::Error),
}

/// What a farm is made of.
#[derive(Clone, Debug)]
pub struct FarmOptions {
    /// Where it lives.
    pub root: Root,
    /// How it is set.
    pub settings: Settings,
    /// The log it writes to.
    pub log: LogHandle,
    /// Passphrase of the farming keys, if they are locked.
    pub passphrase: Option<Arc<Passphrase>>,
    /// Where the passphrase of the farm's authorities is, if they are locked and nobody is to be asked.
    pub ca_passphrase: Option<PassphraseFile>,
    /// Names that people gave to harvesters, by certificate.
    pub names: BTreeMap<PeerId, String>,
}

/// A farm that runs until [`RunningFarm::stop`] is cancelled.
#[derive(Debug)]
pub struct RunningFarm {
    /// To see and to steer it.
    pub handle: FarmHandle,
    /// Cancel to end it.
    pub stop: CancellationToken,
    /// The settings it follows.
    pub settings: LiveSettings,
    /// Port harvesters connect to.
    pub port: u16,
    tasks: TaskTracker,
    _lock: RootLock,
}

/// Starts a farm.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(options: FarmOptions) -> Result<RunningFarm, StartError> {
    let FarmOptions {
        root,
        settings,
        log,
        passphrase,
        ca_passphrase,
        names,
    } = options;
    open_files::allow_many();
    let lock = RootLock::take(&root.lock_file())?;
    root.remove_leftovers();
    let control = ControlServer::bind(&root.control_socket(), &lock)?;
    let listener = Listener::bind(settings.farmer.port)?;
    let keys = Arc::new(load_keys(&root, passphrase.as_deref())?);
    let public_keys = public_keys(&settings, &keys)?;
    let constants = Arc::new(settings.constants.clone());
    let clock = Clock::start();
    let bound = listener.address().port();
    let fleet = Fleet::open(
        &root,
        settings.own.legacy_ca,
        &settings.network,
        bound,
        clock,
        ca_passphrase,
    )?;
    let fleet = Arc::new(fleet);
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();

    let (session_events, sessions) = mpsc::channel(SESSION_QUEUE);
    let (input_sender, inputs) = mpsc::channel(INPUT_QUEUE);
    let (requests_in, requests) = mpsc::channel(REQUEST_QUEUE);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = Workers::start(cores, &constants, &keys, &input_sender).map_err(StartError::Threads)?;

    let (solver_peers, solver_dials) = match settings.farmer.solver_peers.as_slice() {
        // The default settings name one on every network.
        peers if peers.is_empty() || !constants.are_v2_plots_scheduled() => (None, None),
        peers => {
            let (peers, dials) = solver_peers(SolverOptions {
                peers: peers.to_vec(),
                tls: node_client_config(&root)?,
                network_id: settings.network.clone(),
            });
            (Some(peers), Some(dials))
        }
    };
    let (solvers, solving) = solvers(&constants, solver_peers, &input_sender).map_err(StartError::Threads)?;

    let pool_options = PoolClientOptions {
        roots: mozilla_roots(),
        https_only: settings.network == "mainnet",
        proxies: true,
        user_agent: format!("farmconsole/{}", env!("CARGO_PKG_VERSION")),
        farmer_version: SOFTWARE_VERSION.to_owned(),
    };
    let pool_client = PoolClient::new(pool_options, Arc::clone(&keys))?;
    let (pools, asking) = asking(pool_client, clock, Arc::clone(fleet.time()), &input_sender);
    let pool_watch = PoolWatch {
        root: root.clone(),
        keys: Arc::clone(&keys),
        results: input_sender.clone(),
    };

    let mut nodes = BTreeMap::new();
    let mut dialled = Vec::new();
    let mut watches = Vec::new();
    let mut interval = SIGNAGE_POINT_INTERVAL;
    let simulated = settings.own.simulated_chain;
    let mut chain_task = None;
    if let Some(simulated) = simulated {
        interval = Duration::from_secs_f64(simulated.interval_seconds);
        let chain = SimulatedChain::new(settings.constants.clone(), &settings.network, simulated.seed, interval)?;
        let (to_node, from_engine) = mpsc::channel(NODE_QUEUE);
        let node = NodeId(0);
        nodes.insert(node, to_node);
        let to_engine = input_sender.clone();
        chain_task = Some(SimulatedNode {
            chain,
            node,
            clock,
            from_engine,
            to_engine,
            last_refusal: None,
        });
    } else {
        let pins = NodePins::new(root.known_nodes_file(), settings.own.full_node_pins.clone());
        let (pins, tls) = (Arc::new(pins), node_client_config(&root)?);
        let names = Arc::new(NodeNames::default());
        let rpc_tls = node_rpc_client_config(&root)?;
        let peers: BTreeSet<_> = settings.farmer.full_node_peers.iter().cloned().collect();
        for (number, peer) in (0..).zip(peers) {
            let (to_node, from_engine) = mpsc::channel(NODE_QUEUE);
            let (certificate, shown) = watch::channel(None);
            let node = NodeId(number);
            nodes.insert(node, to_node);
            let rpc = HostPort::new(peer.host.clone(), settings.farmer.full_node_rpc_port);
            watches.push(ChainWatch {
                node,
                rpc: NodeRpc::new(rpc, (*rpc_tls).clone())?,
                to_engine: input_sender.clone(),
                time: Arc::clone(fleet.time()),
                certificate: shown,
            });
            dialled.push(DialledNode {
                peer,
                node,
                tls: Arc::clone(&tls),
                network: settings.network.clone(),
                server_port: listener.address().port(),
                pins: Arc::clone(&pins),
                names: Arc::clone(&names),
                from_engine,
                to_engine: input_sender.clone(),
                certificate,
            });
        }
    }

    let alarm_memory = alarm_memory::load(&root.alarm_memory_file());
    let farmer = Farmer::new(
        FarmerConfig {
            network: settings.network.clone(),
            simulated: simulated.is_some(),
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            constants: settings.constants.clone(),
            signage_point_interval: interval,
            keys: public_keys,
            names: names.into_iter().chain(fleet.list().registry().names()).collect(),
            alarm_memory,
            harvester_fees: settings.own.harvester_fees.clone(),
        },
        clock.now(),
    );
    let session_ids = SessionIds::default();
    let server = Server::new(ServerOptions {
        network_id: settings.network.clone(),
        server_port: settings.farmer.port,
        events: session_events.clone(),
        session_ids: session_ids.clone(),
        shutdown: stop.clone(),
        clock,
        admission: AdmissionLimits::default(),
        identities: IdentityRates::default(),
        list: Arc::clone(fleet.list()),
        desk: Some(Arc::clone(fleet.desk())),
    });
    let (snapshots, _) = watch::channel(Arc::new(farmer.snapshot(clock.now())));
    let (events, _) = broadcast::channel(EVENT_QUEUE);
    let (alarm_memory, said) = watch::channel(Said::default());
    let (written, kept) = watch::channel(Written::default());
    let alarms_kept = AlarmsKept {
        said: said.clone(),
        written: kept,
    };
    tasks.spawn(alarm_memory::keep(root.alarm_memory_file(), said, written));
    let handle = FarmHandle {
        snapshots: snapshots.clone(),
        events: events.clone(),
        requests: requests_in,
        log: log.clone(),
        history: settings
            .own
            .history
            .enabled
            .then(|| HistoryReader::new(root.history_file())),
        fleet: FleetHandle(Arc::new(FleetOffice {
            fleet: Arc::clone(&fleet),
            server: Arc::clone(&server),
        })),
        alarms_kept,
    };
    let history = settings.own.history.enabled.then(|| {
        let options = HistoryOptions {
            file: root.history_file(),
            keep_days: settings.own.history.keep_days,
            max_bytes: u64::from(settings.own.history.max_megabytes) << 20,
        };
        let (history, writer) = history::history(options, input_sender.clone());
        tasks.spawn_blocking(move || writer.run());
        history
    });
    let hooks = hooks::start(
        &settings.own.alarms,
        &HookContext {
            network: settings.network.clone(),
            clock,
            farmer: input_sender.clone(),
            handle: handle.clone(),
            stop: stop.clone(),
        },
        &tasks,
    )?;

    tasks.spawn(embedded::run_when_there_are_plots(
        root.clone(),
        settings.clone(),
        clock,
        session_ids,
        session_events,
        input_sender.clone(),
        stop.clone(),
    ));
    let engine = Engine {
        farmer: TapedFarmer::new(farmer),
        clock,
        sessions,
        inputs,
        requests,
        snapshots,
        events,
        workers,
        solvers,
        pools,
        nodes,
        log: log.clone(),
        server: Arc::clone(&server),
        history,
        hooks,
        alarm_memory,
    };
    let port = listener.address().port();
    let listening = Input::Listening {
        addresses: vec![listener.address()],
    };
    // The queue is empty and nobody else sends yet.
    let _ = input_sender.try_send(listening);
    tasks.spawn(engine.run(stop.clone()));
    tasks.spawn(listener.serve(Arc::clone(fleet.tls()), server));
    let settings = LiveSettings::of_farm(&root, &log, settings, &fleet, &input_sender);
    tasks.spawn(fleet.keep(input_sender, stop.clone()));
    tasks.spawn(control.run(Served::Farmer(handle.clone()), stop.clone()));
    tasks.spawn(solving.run(stop.clone()));
    tasks.spawn(asking.run(stop.clone()));
    tasks.spawn(pool_watch.run(stop.clone()));
    if let Some(dials) = solver_dials {
        tasks.spawn(dials.run(stop.clone()));
    }
    if let Some(chain) = chain_task {
        tasks.spawn(chain.run(stop.clone()));
    }
    for node in dialled {
        tasks.spawn(node.run(stop.clone()));
    }
    for watch in watches {
        tasks.spawn(watch.run(stop.clone()));
    }
    tasks.close();
    Ok(RunningFarm {
        handle,
        stop,
        settings,
        port,
        tasks,
        _lock: lock,
    })
}

impl RunningFarm {
    /// Waits until every task has ended after [`RunningFarm::stop`], at most `patience`.
    pub async fn ended(self, patience: Duration) {
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
    }
}

/// The farming keys; none is no error, but a state that everybody sees.
fn load_keys(root: &Root, passphrase: Option<&Passphrase>) -> Result<FarmingKeys, KeysError> {
    match crate::keys::load(&root.keys_file(), passphrase) {
        Err(KeysError::Missing { .. } | KeysError::Empty { .. }) => Ok(FarmingKeys::new(Vec::new(), Vec::new())),
        loaded => loaded,
    }
}

fn public_keys(settings: &Settings, keys: &FarmingKeys) -> Result<FarmerKeys, StartError> {
    let decode = |setting, address: &Option<String>| -> Result<Option<PuzzleHash>, StartError> {
        let decoded = address
            .as_deref()
            .map(|a| address::decode(&settings.address_prefix, a))
            .transpose();
        decoded.map_err(|source| StartError::Address { setting, source })
    };
    let farmer_target = decode("farmer.xch_target_address", &settings.farmer.xch_target_address)?;
    let pool_target = decode("pool.xch_target_address", &settings.pool_xch_target_address)?
        .or_else(|| keys.pool_keys().first().map(|key| *key.puzzle_hash()));
    let mut pool_public_keys = keys.pool_public_keys();
    for key in &settings.farmer.pool_public_keys {
        if !pool_public_keys.contains(key) {
            pool_public_keys.push(*key);
        }
    }
    Ok(FarmerKeys {
        farmer_public_keys: keys.farmer_public_keys(),
        pool_public_keys,
        pool_rewards: Some(
            keys.pool_keys()
                .iter()
                .map(|key| (*key.public_key(), *key.puzzle_hash()))
                .collect(),
        ),
        farmer_target,
        pool_target,
        farmer_address: settings.farmer.xch_target_address.clone(),
    })
}
