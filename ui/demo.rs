//! `farmconsole demo`: a whole farm with nothing installed. A root of its own on the network `simulator1`, made-up keys,
//! small real plots, and harvesters that connect over real TLS on loopback.
//!
//! The plots are made while the farm already runs, so the first harvester farms within seconds.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use farmconsole::config::files::{CERTIFICATE_FILE, FileMode, PRIVATE_FILE, create_private_dirs, replace_file};
use farmconsole::config::{HostPort, Root, Settings, SimulatedChainSettings};
use farmconsole::harvester::{DialSettings, ScanOptions, Service, ServiceOptions, TlsSource, dial, make_plot};
use farmconsole::ids::PeerId;
use farmconsole::keys::{ExistingKeys, ImportSource, KeysError, PoolsToImport};
use farmconsole::logging;
use farmconsole::runtime::{FarmOptions, RunningFarm};
use farmconsole::system_clock::Clock;
use farmconsole::tls::issue::Issuer;
use farmconsole::tls::{CertificateAuthority, Identity, ServiceName, SslLayout, harvester_client_config};
use farmconsole::wire::{G1Bytes, PlotPool};
use tokio_util::sync::CancellationToken;

use crate::args::Demo;
use crate::context::Context;
use crate::daemon::{GOODBYE, announce, not_started, open_log, wait_and_end};
use crate::exit::{Failure, Outcome, Status};
use crate::signals::Signals;
use crate::{keys, root};

/// Network of the demo.
const NETWORK: &str = "simulator1";

/// k of the demo's plots: the smallest there is, 4 MB each.
const K: u8 = 18;

/// Plots are made while the farm runs, so harvesters look for new ones often.
const REFRESH: Duration = Duration::from_secs(3);

/// Seed of the made-up keys. They are worth nothing and known to everybody.
const KEY_SEED: u64 = 1;

/// Runs the command.
pub(crate) async fn run(context: &Context, options: Demo) -> Outcome {
    let ending = Ending::prepare(options)?;
    let settings = prepare(context, options)?;
    let plot_keys = farming_keys(context, &settings)?;
    let log = open_log(context, &settings.logging, logging::Service::Farmer)?;
    let homes = homes(context, options.harvesters)?;
    let farm = start_farm(context, &settings, &log.handle(), &homes)?;
    start_harvesters(&settings, &homes, &farm)?;
    let (wanted, stop) = (missing_plots(&homes, options.plots), farm.stop.clone());
    tokio::task::spawn_blocking(move || make_plots(&wanted, plot_keys, &stop));
    match ending {
        Ending::Signals(signals) => {
            announce(context, &farm, "SIMULATED farm");
            wait_and_end(farm.stop.clone(), None, farm.ended(GOODBYE), signals).await
        }
        #[cfg(feature = "console")]
        Ending::Console => crate::attach::console_on(context, farm).await,
    }
}

/// What ends the demo; looked after before anything is made.
enum Ending {
    /// A signal, or `farmconsole stop`.
    Signals(Signals),
    /// Its console.
    #[cfg(feature = "console")]
    Console,
}

impl Ending {
    #[cfg_attr(
        not(feature = "console"),
        expect(unused_variables, reason = "without a console there is one way")
    )]
    fn prepare(options: Demo) -> Result<Self, Failure> {
        #[cfg(feature = "console")]
        if !options.daemon {
            crate::console::require_terminal()
                .map_err(|failure| failure.hint("`farmconsole demo --daemon` farms without a console"))?;
            return Ok(Self::Console);
        }
        Ok(Self::Signals(Signals::take()?))
    }
}

/// Makes the demo's root if there is none, and reads its settings.
fn prepare(context: &Context, options: Demo) -> Result<Settings, Failure> {
    if !context.root.config_file().exists() {
        root::make(context, None, Some(NETWORK.to_owned()))?;
    }
    let mut settings = context.settings()?;
    if settings.own.simulated_chain.is_none() {
        return Err(Failure::new(
            Status::Settings,
            format!(
                "run the demo on {}: this root farms a real network",
                context.root.dir().display()
            ),
        )
        .hint("name another directory with `--root DIR`; the demo makes a root of its own there"));
    }
    let seed = settings.own.simulated_chain.map_or(1, |chain| chain.seed);
    settings.own.simulated_chain = Some(SimulatedChainSettings {
        interval_seconds: options.interval,
        seed,
    });
    Ok(settings)
}

/// Makes up farming keys if there are none; the farmer and pool public keys to plot with.
fn farming_keys(context: &Context, settings: &Settings) -> Result<(G1Bytes, G1Bytes), Failure> {
    let file = context.root.keys_file();
    if matches!(farmconsole::keys::show(&file), Err(KeysError::Missing { .. })) {
        keys::import_into(
            context,
            settings,
            &ImportSource::MadeUp { seed: KEY_SEED },
            PoolsToImport::none(),
            ExistingKeys::Keep,
            None,
        )?;
    }
    let shown = farmconsole::keys::show(&file).map_err(|e| Failure::new(Status::Failed, e))?;
    let key = shown.first().ok_or_else(|| {
        Failure::new(Status::Failed, format!("{} holds no key", file.display()))
            .hint("remove it; the demo makes a new one")
    })?;
    Ok((
        key.farmer_public_key,
        key.pool_public_key.unwrap_or(key.farmer_public_key),
    ))
}

/// Starts the farmer; when its port is taken and only our own harvesters need it, any free one will do.
fn start_farm(
    context: &Context,
    settings: &Settings,
    log: &logging::LogHandle,
    homes: &[Home],
) -> Result<RunningFarm, Failure> {
    // The import above may have written addresses into the settings file.
    let mut settings = Settings {
        own: settings.own.clone(),
        ..Settings::load(&context.root).map_err(crate::errors::bad_settings)?
    };
    let names: BTreeMap<_, _> = homes.iter().map(|home| (home.peer_id, home.name.clone())).collect();
    let passphrase = crate::secrets::to_unlock(context)?.map(Arc::new);
    let farm = |settings: &Settings| {
        farmconsole::runtime::start(FarmOptions {
            root: context.root.clone(),
            settings: settings.clone(),
            log: log.clone(),
            passphrase: passphrase.clone(),
            ca_passphrase: crate::secrets::ca_passphrase_source(context),
            names: names.clone(),
        })
    };
    match farm(&settings) {
        Err(farmconsole::runtime::StartError::Listen(taken)) if taken.may_pass() && !homes.is_empty() => {
            settings.farmer.port = 0;
            farm(&settings).map_err(not_started)
        }
        started => started.map_err(not_started),
    }
}

/// Where one harvester of the demo lives.
#[derive(Debug)]
struct Home {
    name: String,
    root: Root,
    plots: PathBuf,
    peer_id: PeerId,
}

/// A directory and a certificate for each harvester.
fn homes(context: &Context, harvesters: u16) -> Result<Vec<Home>, Failure> {
    (1..=harvesters)
        .map(|number| {
            let name = format!("demo-{number}");
            let root = Root::new(context.root.state_dir().join("demo").join(&name));
            let plots = root.dir().join("plots");
            create_private_dirs(&plots)?;
            give_certificate(&context.root, &root)?;
            let leaf = SslLayout::of(&root).leaf(CertificateAuthority::Private, ServiceName::Harvester);
            let peer_id = Identity::load(&leaf)
                .map_err(|e| Failure::new(Status::Failed, e))?
                .peer_id();
            Ok(Home {
                name,
                root,
                plots,
                peer_id,
            })
        })
        .collect()
}

fn start_harvesters(settings: &Settings, homes: &[Home], farm: &RunningFarm) -> Result<(), Failure> {
    for home in homes {
        let tls = harvester_client_config(&home.root).map_err(|e| Failure::new(Status::Failed, e))?;
        let mut options = ServiceOptions::of(settings);
        options.refresh_interval = REFRESH;
        options.scan = ScanOptions {
            directories: vec![home.plots.clone()],
            ..options.scan
        };
        let farmer = HostPort::new("127.0.0.1", farm.port);
        let dialling = DialSettings {
            farmer,
            not_dialled: Vec::new(),
            tls: TlsSource::Given(tls.into()),
            network: settings.network.clone(),
        };
        tokio::spawn(dial(dialling, Service::new(options, Clock::start()), farm.stop.clone()));
    }
    Ok(())
}

/// Every plot of every harvester: directory and seed. Each harvester gets its first plot before any gets its second.
fn missing_plots(homes: &[Home], plots: u16) -> Vec<(PathBuf, [u8; 32])> {
    (1..=plots)
        .flat_map(|plot| {
            (1_u16..)
                .zip(homes)
                .map(move |(harvester, home)| (plot, harvester, home))
        })
        .map(|(plot, harvester, home)| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&harvester.to_be_bytes());
            seed[2..4].copy_from_slice(&plot.to_be_bytes());
            (home.plots.clone(), seed)
        })
        .collect()
}

/// A certificate of the farm's CA for a harvester, if it has none.
fn give_certificate(farm: &Root, harvester: &Root) -> Result<(), Failure> {
    let fail = |e: farmconsole::tls::TlsError| Failure::new(Status::Failed, e);
    let (ours, theirs) = (SslLayout::of(farm), SslLayout::of(harvester));
    let leaf = theirs.leaf(CertificateAuthority::Private, ServiceName::Harvester);
    let ca = ours.ca(CertificateAuthority::Private);
    let ca_text = std::fs::read(&ca.crt)?;
    let their_ca = theirs.ca(CertificateAuthority::Private).crt;
    if leaf.crt.exists() && leaf.key.exists() && std::fs::read(&their_ca).is_ok_and(|text| text == ca_text) {
        return Ok(());
    }
    let now = farmconsole::system_clock::unix_now();
    let pair = Issuer::load(&ca, now).map_err(fail)?.issue_leaf(now).map_err(fail)?;
    for path in [&leaf.crt, &their_ca] {
        if let Some(parent) = path.parent() {
            create_private_dirs(parent)?;
        }
    }
    replace_file(&their_ca, &ca_text, FileMode::Exactly(CERTIFICATE_FILE))?;
    replace_file(&leaf.key, pair.key.as_bytes(), FileMode::Exactly(PRIVATE_FILE))?;
    replace_file(&leaf.crt, pair.crt.as_bytes(), FileMode::Exactly(CERTIFICATE_FILE))?;
    Ok(())
}

/// Makes the plots that are missing, one after the other; those that are there are kept. Blocking.
fn make_plots(wanted: &[(PathBuf, [u8; 32])], (farmer, pool): (G1Bytes, G1Bytes), stop: &CancellationToken) {
    for (dir, seed) in wanted {
        if stop.is_cancelled() {
            return;
        }
        match make_plot(dir, K, &farmer, &PlotPool::PublicKey(pool), seed, &mut |_| {}) {
            Ok(path) => tracing::info!(target: "farmer", "demo: {} is there", path.display()),
            Err(error) => {
                tracing::error!(target: "farmer", "demo: {error}");
                return;
            }
        }
    }
}
