//! The hostile benchmark: 1,000 hostile connections of each kind at once against a farmer with 20 healthy harvesters
//! (`--healthy N`), farmconsole and, if there is one, the official farmer 2.7.5 beside it in the same run.
//!
//!     cargo bench --bench hostile -- [--kinds KIND,…] [--connections N] [--sources N] [--seconds S]
//!         [--healthy N] [--official VENV_PYTHON]
//!
//! For each kind: how much memory and how many files the farmer had before, at most and afterwards, and how long until
//! it was as before; how long healthy harvesters took to connect meanwhile (those from addresses known to the farmer,
//! and how many from new addresses got in); and how many signage points they lost, and the slowest that came. Goals
//! (DESIGN.md §5): less than 64 MiB and back, p99 of the handshakes below 50 ms, no signage point lost.
//!
//! Attackers come from ten (or `--sources`) addresses 127.0.1.x and come again a second after they were thrown out; they have a thread
//! of their own, on the same machine. The first line of each table is the same without attackers.

#[expect(dead_code, reason = "shared with the fleet benchmark")]
mod farmers;
#[path = "hostile/flood.rs"]
mod flood;
#[expect(dead_code, reason = "shared with the fleet benchmark")]
mod peers;
#[path = "hostile/report.rs"]
mod report;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use farmconsole::ids::SpHash;
use farmconsole::system_clock::Clock;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::farmers::{Farmer, Program, Usage};
use crate::flood::{Arms, Kind, Toll};
use crate::peers::{Arrivals, Harvester, Node, Phase, Progress, first_points, plot_keys};
use crate::report::{Measured, PATIENCE, Points};

/// Measures farmers under attack.
#[derive(Debug, Parser)]
struct Args {
    /// Kinds of attackers, one after the other [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Attackers at one moment.
    #[arg(long, default_value_t = 1_000)]
    connections: u32,
    /// Addresses the attackers come from.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=250))]
    sources: u8,
    /// Healthy harvesters.
    #[arg(long, default_value_t = HEALTHY, value_parser = clap::value_parser!(u8).range(1..=250))]
    healthy: u8,
    /// How long each attack lasts.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Python of a venv with chia-blockchain 2.7.5, to measure the official farmer, too.
    #[arg(long, value_name = "VENV_PYTHON")]
    official: Option<PathBuf>,
    /// Measure the official farmer alone.
    #[arg(long, requires = "official")]
    official_only: bool,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut args = Args::parse();
    if args.kinds.is_empty() {
        args.kinds = Kind::ALL.to_vec();
    }
    raise_open_files()?;
    let attackers = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(&args, &attackers));
    attackers.shutdown_background();
    result
}

async fn run(args: &Args, attackers: &Runtime) -> Result<()> {
    let mut out = io::stdout().lock();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let (connections, sources, seconds, healthy) = (args.connections, args.sources, args.seconds, args.healthy);
    writeln!(
        out,
        "{healthy} harvesters, a signage point every {INTERVAL:?}; {connections} attackers from {sources} addresses for {seconds} s; load {load}\n\
         conns: hostile connections made; open: most at once; kept: longest; MB, files: of the farmer; back: until as before\n\
         p50, p99: ms for a known harvester to connect; new: harvesters from new addresses that got in\n\
         lost: signage points not received; slowest: ms, node to last harvester"
    )?;
    if !args.official_only {
        report::print(
            &mut out,
            "farmconsole",
            &measure(args, attackers, &Program::Farmconsole).await?,
        )?;
    }
    if let Some(python) = &args.official {
        let program = Program::Official { python: python.clone() };
        report::print(&mut out, "official", &measure(args, attackers, &program).await?)?;
    }
    Ok(out.flush()?)
}

async fn measure(args: &Args, attackers: &Runtime, program: &Program) -> Result<Vec<Measured>> {
    let sent = Arc::new(Mutex::new(Arrivals::new()));
    let node = Node::bind(INTERVAL, Arc::clone(&sent)).await?;
    let node_port = node.port()?;
    let node = tokio::spawn(node.run());
    let farmer = Farmer::of(program, node_port).await?;
    let measured = tokio::select! {
        measured = measure_farmer(&farmer, args, attackers, &sent) => measured,
        ended = node => ended?.and_then(|()| bail!("the node ended")),
    };
    measured.with_context(|| format!("its last words:\n{}", farmer.last_words()))
}

/// All attacks on one farmer. `left_node` is when signage points left the node.
async fn measure_farmer(
    farmer: &Farmer,
    args: &Args,
    attackers: &Runtime,
    left_node: &Mutex<Arrivals>,
) -> Result<Vec<Measured>> {
    let (private_ca, keys, now) = (farmer.private_ca()?, plot_keys()?, Clock::start().now().unix);
    let points = first_points(POINTS_FORESEEN)?;
    let harvester = |plots, address| {
        let harvester = Harvester::new(&private_ca, plots, &keys, now)?;
        Ok(harvester.foreseeing(&points)?.at(address))
    };
    let arms = Arms::new(farmer.address, args.sources, &private_ca, farmer.farm_key()?, now)?;
    let comers = (0..COMERS)
        .map(|n| harvester(0..0, Ipv4Addr::new(127, 0, 2, n + 101)))
        .collect::<Result<Vec<Harvester>>>()?;
    for comer in &comers {
        timeout(HANDSHAKE_DEADLINE, comer.probe(farmer.address))
            .await
            .context("the farmer takes no harvester")??;
    }
    let (progress, (phase, phases)) = (Progress::new(), watch::channel(Phase::Connect));
    let mut healthy = JoinSet::new();
    for n in 0..args.healthy {
        let plots = u32::from(n) * PLOTS..u32::from(n + 1) * PLOTS;
        let harvester: Result<Harvester> = harvester(plots, Ipv4Addr::new(127, 0, 2, n + 1));
        healthy.spawn(harvester?.live(farmer.address, phases.clone(), Arc::clone(&progress)));
    }
    timeout(START_DEADLINE, progress.connected.acquire_many(args.healthy.into()))
        .await??
        .forget();
    phase.send(Phase::PlotSync)?;
    timeout(START_DEADLINE, progress.synced.acquire_many(args.healthy.into()))
        .await??
        .forget();
    sleep(Duration::from_secs(3)).await;

    let mut measured = Vec::new();
    let mut windows: Vec<Arrivals> = Vec::new();
    let mut strangers = 0;
    for &kind in &args.kinds {
        let began = Instant::now();
        measured.push(attack(farmer, args, attackers, &arms, kind, &comers, &mut strangers).await?);
        let lasted = began..began + Duration::from_secs(args.seconds);
        let mut points = left_node.lock().await.clone();
        points.retain(|(_, at)| lasted.contains(at));
        ensure!(!points.is_empty(), "the farmer had no signage point");
        windows.push(points);
    }
    phase.send(Phase::End)?;
    let mut arrivals: BTreeMap<SpHash, Vec<Instant>> = BTreeMap::new();
    while let Some(ended) = healthy.join_next().await {
        match ended? {
            Ok(got) => got
                .into_iter()
                .for_each(|(sp_hash, at)| arrivals.entry(sp_hash).or_default().push(at)),
            // All its points count as lost.
            Err(error) => writeln!(io::stderr(), "a healthy harvester lost its connection: {error:#}")?,
        }
    }
    for (measured, points) in measured.iter_mut().zip(&windows) {
        measured.points = lost(points, &arrivals, args.healthy);
    }
    Ok(measured)
}

fn lost(points: &Arrivals, arrivals: &BTreeMap<SpHash, Vec<Instant>>, healthy: u8) -> Points {
    let expected = points.len() * usize::from(healthy);
    let got = |sp_hash| arrivals.get(sp_hash).map_or(&[][..], Vec::as_slice);
    let slowest = points
        .iter()
        .filter_map(|(sp_hash, at)| Some(got(sp_hash).iter().max()?.duration_since(*at)))
        .max();
    Points {
        expected,
        lost: expected - points.iter().map(|(sp_hash, _)| got(sp_hash).len()).sum::<usize>(),
        slowest: slowest.unwrap_or_default(),
    }
}

/// One attack, and the time until the farmer is as before.
async fn attack(
    farmer: &Farmer,
    args: &Args,
    attackers: &Runtime,
    arms: &Arms,
    kind: Kind,
    comers: &[Harvester],
    strangers: &mut u16,
) -> Result<Measured> {
    if kind == Kind::Joining {
        farmer.invite("somebody")?;
    }
    let before = farmer.usage()?;
    let (toll, end) = (Arc::new(Toll::default()), CancellationToken::new());
    let count = if kind == Kind::Quiet { 0 } else { args.connections };
    let flood = attackers.spawn(arms.clone().flood(kind, count, Arc::clone(&toll), end.clone()));
    let watch = tokio::spawn(peak(farmer.pid(), before, end.clone()));

    let deadline = Instant::now() + Duration::from_secs(args.seconds);
    let (mut handshakes, mut handshakes_failed, mut new) = (Vec::new(), 0, (0, 0));
    for turn in 0.. {
        if Instant::now() >= deadline {
            break;
        }
        let began = Instant::now();
        match timeout(HANDSHAKE_DEADLINE, comers[turn % comers.len()].shake(farmer.address)).await {
            Ok(Ok(())) => handshakes.push(began.elapsed()),
            Ok(Err(_)) | Err(_) => handshakes_failed += 1,
        }
        if turn % STRANGER_EVERY == STRANGER_EVERY - 1 {
            // 127.1.0.1, 127.1.0.2 …
            *strangers += 1;
            let [high, low] = strangers.to_be_bytes();
            let stranger = comers[0].clone().at(Ipv4Addr::new(127, 1, high, low));
            new.1 += 1;
            let shaken = timeout(HANDSHAKE_DEADLINE, stranger.shake(farmer.address)).await;
            new.0 += u32::from(matches!(shaken, Ok(Ok(()))));
        }
        sleep(Duration::from_millis(10)).await;
    }
    end.cancel();
    flood.await?;
    let peak = watch.await??;
    handshakes.sort_unstable();

    let began = Instant::now();
    let (after, back_in) = loop {
        let usage = farmer.usage()?;
        if usage.rss <= before.rss + before.rss / 10 && usage.files <= before.files {
            break (usage, Some(began.elapsed()));
        }
        if began.elapsed() > PATIENCE {
            break (usage, None);
        }
        sleep(Duration::from_millis(50)).await;
    };
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Measured {
        kind,
        connections: count(&toll.connections),
        most_open: count(&toll.most_open),
        kept: Duration::from_millis(count(&toll.longest_ms)),
        before,
        peak,
        after,
        back_in,
        handshakes,
        handshakes_failed,
        strangers: new,
        points: Points::default(),
    })
}

/// The highest memory and number of files of a process until `end`.
async fn peak(pid: u32, mut highest: Usage, end: CancellationToken) -> Result<Usage> {
    while !end.is_cancelled() {
        let usage = Usage::of(pid)?;
        highest.rss = highest.rss.max(usage.rss);
        highest.files = highest.files.max(usage.files);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(highest)
}

/// Every attacker is a connection here and may be one in the farmer, which inherits the limit.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Between two signage points. A real chain gives one every 9.375 s; the official farmer holds back what is more than 30
/// a minute (100, of which it uses `outbound_rate_limit_percent`), attacked or not.
const INTERVAL: Duration = Duration::from_millis(2_500);

/// More than pass during all attacks.
const POINTS_FORESEEN: usize = 200;

/// Healthy harvesters unless said otherwise, and plots of each.
const HEALTHY: u8 = 20;
const PLOTS: u32 = 300;

/// Healthy harvesters that connect again and again, each with a certificate and an address of its own.
const COMERS: u8 = 8;

/// Every so many handshakes one comes from an address the farmer has never seen.
const STRANGER_EVERY: usize = 10;

/// A handshake that takes longer has failed.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

const START_DEADLINE: Duration = Duration::from_secs(30);
