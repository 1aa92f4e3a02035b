//! `farmconsole demo`: a whole farm with nothing installed. A root of its own on the network `simulator1`, made-up keys,
//! small real plots, and harvesters that connect over real TLS on loopback.
//!
//! The plots are made while the farm already runs, so the first harvester farms within seconds.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use farmconsole::config::files::{CERTIFICATE_FILE, FileMode, PRIVATE_FILE, create_private_dirs, replace_file};
use farmconsole::config::{HostPort, Root, Settings, SimulatedChainSettings};
use farmconsole::harvester::{DialSettings, ScanOptions, Service, dial, make_plot};
use farmconsole::keys::{ImportSource, KeysError};
use farmconsole::logging;
use farmconsole::runtime::{Clock, FarmOptions, RunningFarm, service_options};
use farmconsole::tls::issue::Issuer;
use farmconsole::tls::{CertificateAuthority, ServiceName, SslLayout, harvester_client_config};
use farmconsole::wire::{G1Bytes, PlotPool};
use tokio_util::sync::CancellationToken;

use crate::args::Demo;
use crate::context::Context;
use crate::daemon::{not_started, open_log, settings, wait_and_end};
use crate::exit::{Failure, Outcome, Status};
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
    let settings = prepare(context, options)?;
    let farmer_public_key = farming_keys(context, &settings)?;
    let log = open_log(context, &settings)?;
    let farm = start_farm(context, &settings, log.handle(), options)?;
    let fleet = Fleet {
        root: context.root.clone(),
        settings,
        farmer: HostPort::new("127.0.0.1", farm.port),
        stop: farm.stop.clone(),
    };
    fleet.start(options, farmer_public_key)?;
    if options.daemon {
        writeln!(
            io::stdout().lock(),
            "SIMULATED farm on port {}, {} harvesters; look at it with `farmconsole --root {}`",
            farm.port,
            options.harvesters,
            context.root.dir().display()
        )?;
        return wait_and_end(farm).await;
    }
    show(context, farm).await
}

#[cfg(feature = "console")]
async fn show(context: &Context, farm: RunningFarm) -> Outcome {
    crate::attach::console_on(context, farm).await
}

#[cfg(not(feature = "console"))]
async fn show(_context: &Context, farm: RunningFarm) -> Outcome {
    wait_and_end(farm).await
}

/// Makes the demo's root if there is none, and reads its settings.
fn prepare(context: &Context, options: Demo) -> Result<Settings, Failure> {
    if !context.root.config_file().exists() {
        root::make(context, None, Some(NETWORK.to_owned()))?;
    }
    let mut settings = settings(context)?;
    if settings.own.simulated_chain.is_none() {
        return Err(Failure::new(
            Status::Settings,
            format!("run the demo on {}: this root farms a real network", context.root.dir().display()),
        )
        .hint("name another directory with `--root DIR`; the demo makes a root of its own there"));
    }
    let seed = settings.own.simulated_chain.map_or(1, |chain| chain.seed);
    settings.own.simulated_chain = Some(SimulatedChainSettings { interval_seconds: options.interval, seed });
    Ok(settings)
}

/// Makes up farming keys if there are none; the farmer public key to plot with.
fn farming_keys(context: &Context, settings: &Settings) -> Result<(G1Bytes, G1Bytes), Failure> {
    let file = context.root.keys_file();
    if matches!(farmconsole::keys::show(&file), Err(KeysError::Missing { .. })) {
        keys::import_into(context, settings, &ImportSource::MadeUp { seed: KEY_SEED }, false)?;
    }
    let shown = farmconsole::keys::show(&file).map_err(|e| Failure::new(Status::Failed, e))?;
    let key = shown.first().ok_or_else(|| {
        Failure::new(Status::Failed, format!("{} holds no key", file.display())).hint("remove it; the demo makes a new one")
    })?;
    Ok((key.farmer_public_key, key.pool_public_key.unwrap_or(key.farmer_public_key)))
}

/// Starts the farmer; when its port is taken and only our own harvesters need it, any free one will do.
fn start_farm(
    context: &Context,
    settings: &Settings,
    log: logging::LogHandle,
    options: Demo,
) -> Result<RunningFarm, Failure> {
    // The import above may have written addresses into the settings file.
    let mut settings = Settings {
        own: settings.own.clone(),
        ..Settings::load(&context.root).map_err(crate::daemon::bad_settings)?
    };
    let farm = |settings: &Settings| {
        farmconsole::runtime::start(FarmOptions { root: context.root.clone(), settings: settings.clone(), log: log.clone() })
    };
    match farm(&settings) {
        Err(farmconsole::runtime::StartError::Listen(taken)) if taken.may_pass() && options.harvesters > 0 => {
            settings.farmer.port = 0;
            farm(&settings).map_err(not_started)
        }
        started => started.map_err(not_started),
    }
}

/// The demo's harvesters.
struct Fleet {
    root: Root,
    settings: Settings,
    farmer: HostPort,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts every harvester and the making of missing plots.
    fn start(self, options: Demo, keys: (G1Bytes, G1Bytes)) -> Result<(), Failure> {
        let mut missing = Vec::new();
        for number in 1..=options.harvesters {
            let dir = self.root.state_dir().join("demo").join(format!("harvester-{number}"));
            let plots = dir.join("plots");
            create_private_dirs(&plots)?;
            self.start_harvester(&dir, &plots)?;
            for plot in 1..=options.plots {
                missing.push((plot, number, plots.clone()));
            }
        }
        // Every harvester gets its first plot before any gets its second.
        missing.sort();
        let stop = self.stop;
        tokio::task::spawn_blocking(move || make_plots(&missing, keys, &stop));
        Ok(())
    }

    fn start_harvester(&self, dir: &Path, plots: &Path) -> Result<(), Failure> {
        let root = Root::new(dir);
        give_certificate(&self.root, &root)?;
        let tls = harvester_client_config(&root).map_err(|e| Failure::new(Status::Failed, e))?;
        let mut options = service_options(&self.settings);
        options.refresh_interval = REFRESH;
        options.scan = ScanOptions { directories: vec![plots.to_owned()], ..options.scan };
        let settings = DialSettings { farmer: self.farmer.clone(), tls, network: self.settings.network.clone() };
        tokio::spawn(dial(settings, Service::new(options, Clock::start()), self.stop.clone()));
        Ok(())
    }
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
    let now = farmconsole::runtime::clock::unix_now();
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
fn make_plots(wanted: &[(u16, u16, PathBuf)], (farmer, pool): (G1Bytes, G1Bytes), stop: &CancellationToken) {
    for (plot, harvester, dir) in wanted {
        if stop.is_cancelled() {
            return;
        }
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&harvester.to_be_bytes());
        seed[2..4].copy_from_slice(&plot.to_be_bytes());
        match make_plot(dir, K, &farmer, &PlotPool::PublicKey(pool), &seed, &mut |_| {}) {
            Ok(path) => tracing::info!(target: "farmer", "demo: {} is there", path.display()),
            Err(error) => {
                tracing::error!(target: "farmer", "demo: {error}");
                return;
            }
        }
    }
}
