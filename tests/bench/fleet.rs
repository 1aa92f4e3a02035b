//! The fleet benchmark: N simulated harvesters against a farmer in another process, farmconsole and, if there is one,
//! the official farmer 2.7.5 beside it in the same run, and bare sockets, which no farmer can be faster than.
//!
//!     cargo bench --bench fleet -- [N…] [--plots N] [--signage-points N] [--interval-ms N] [--look-up-ms N]
//!         [--record N] [--official VENV_PYTHON]
//!
//! Every harvester has a certificate of its own, speaks TLS 1.3 and protocol 0.0.38, syncs its share of the plots and
//! answers every signage point when its look-ups are done, which it only waits for. Printed are a table for each N, with the goal of DESIGN.md §5 where there is
//! one, and one JSON object for each of its lines. Nothing is asserted: times say something only to a reader who knows
//! what else the machine does, so the load is printed too. A long run says every minute what it has cost so far, so
//! that `--signage-points 20000 --interval-ms 30` shows whether memory is level.
//!
//! The full node is played here, over TLS as real ones are. Where it goes on to N harvesters that share this machine's
//! processors with the farmer, "bare sockets" is a process that writes and reads as many bytes and does nothing else.

#[path = "fleet/bare.rs"]
mod bare;
#[expect(dead_code, reason = "shared with the hostile benchmark")]
mod farmers;
#[expect(dead_code, reason = "shared with the hostile benchmark")]
mod peers;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use farmconsole::ids::SpHash;
use farmconsole::system_clock::Clock;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout_at};

use crate::farmers::{Farmer, Program, Usage};
use crate::peers::{Arrivals, Harvester, Node, Phase, Progress, SOON, first_points, plot_keys};
use crate::table::{Columns, Measured, Points, Size, Stage};

/// Measures farmers with simulated harvesters.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of harvesters, one table each.
    #[arg(default_values_t = [1, 10, 100, 500], value_parser = clap::value_parser!(u32).range(1..=5_000))]
    harvesters: Vec<u32>,
    /// Plots, spread over the harvesters.
    #[arg(long, default_value_t = 100_000)]
    plots: u32,
    /// Signage points that are measured.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    signage_points: u32,
    /// Milliseconds between two signage points; a real chain gives one every 9,375.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    interval_ms: u64,
    /// Milliseconds from a signage point to a harvester's answer. With 0 the answers, and what the farmer does with them,
    /// share the processors with the signage point that is still on its way to others.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    look_up_ms: u64,
    /// Python of a venv with chia-blockchain 2.7.5 [default: chia-2.7.5/bin/python in $FARMCONSOLE_INTEROP_DIR or in
    /// ~/.cache/farmconsole-interop].
    #[arg(long, value_name = "VENV_PYTHON")]
    official: Option<PathBuf>,
    /// Measure farmconsole alone.
    #[arg(long, conflicts_with = "official")]
    ours_only: bool,
    /// Measure the official farmer alone.
    #[arg(long)]
    official_only: bool,
    /// Attach recorders to farmconsole half-way, so many one after the other, and say how long it held the task that
    /// farms.
    #[arg(long, default_value_t = 0, value_name = "N")]
    record: u32,
    /// Be the farmer that is nothing but sockets.
    #[arg(long, hide = true)]
    bare_farmer: bool,
    /// `cargo bench` says so; without it nothing is measured.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` starts benchmarks too, without this flag: it shall find no test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let args = Args::parse();
    raise_open_files()?;
    if args.bare_farmer {
        return bare::serve(args.size(args.harvesters[0]));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(&args))
}

impl Args {
    const fn size(&self, harvesters: u32) -> Size {
        Size {
            harvesters,
            plots: self.plots,
            signage_points: self.signage_points,
            interval: Duration::from_millis(self.interval_ms),
            look_up: Duration::from_millis(self.look_up_ms),
            recorders: self.record,
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let official = if args.ours_only { None } else { official_farmer(args) };
    let ours = (!args.official_only).then_some(Program::Farmconsole);
    let mut out = io::stdout().lock();
    for &harvesters in &args.harvesters {
        let size = args.size(harvesters);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let columns = Columns {
            ours: measured(size, ours.as_ref()).await,
            official: measured(size, official.as_ref()).await,
            bare: noted("bare sockets", bare::measure(size).await),
        };
        writeln!(
            out,
            "\n{harvesters} harvesters, {} plots, {} signage points, one every {:?}, answered after {:?}; load {load}",
            size.plots, size.signage_points, size.interval, size.look_up,
        )?;
        table::print(&mut out, size, &columns)?;
        out.flush()?;
    }
    Ok(())
}

/// A farmer that there is, measured.
async fn measured(size: Size, program: Option<&Program>) -> Option<Measured> {
    let program = program?;
    let recorders = match program {
        Program::Farmconsole => size.recorders,
        Program::Official { .. } => 0,
    };
    noted(
        &format!("{program:?}"),
        measure(Size { recorders, ..size }, program).await,
    )
}

async fn measure(size: Size, program: &Program) -> Result<Measured> {
    let sent = Arc::new(Mutex::new(Arrivals::new()));
    let node = Node::bind(size.interval, Arc::clone(&sent)).await?;
    let (node_port, soon) = (node.port()?, node.soon());
    let node = tokio::spawn(node.run());
    let farmer = Farmer::of(program, node_port).await?;
    let measured = tokio::select! {
        measured = measure_farmer(&farmer, size, &sent, soon) => measured,
        ended = node => ended?.and_then(|()| bail!("the node ended")),
    };
    measured.with_context(|| format!("its last words:\n{}", farmer.last_words()))
}

/// Connects, syncs and harvests. `left_node` is when signage points left the node.
async fn measure_farmer(
    farmer: &Farmer,
    size: Size,
    left_node: &Mutex<Arrivals>,
    soon: watch::Receiver<()>,
) -> Result<Measured> {
    let deadline = Instant::now() + READY_DEADLINE;
    let (private_ca, keys, now) = (farmer.private_ca()?, plot_keys()?, Clock::start().now().unix);
    let points = first_points((size.signage_points + MAY_PASS_BEFORE).min(LOOK_UPS / size.plots.max(1)) as usize)?;
    let mut fleet = Vec::new();
    for n in 0..u64::from(size.harvesters) {
        let [from, to] = [n, n + 1].map(|n| (n * u64::from(size.plots) / u64::from(size.harvesters)) as u32);
        let harvester = Harvester::new(&private_ca, from..to, &keys, now)?.foreseeing(&points)?;
        fleet.push(harvester.looking_up_for(size.look_up));
    }
    timeout_at(deadline, fleet[0].probe(farmer.address))
        .await
        .context("the farmer takes no harvester")??;
    sleep(UNTIL_IDLE).await;

    let progress = Progress::new();
    let (phase, phases) = watch::channel(Phase::Connect);
    let mut tasks = JoinSet::new();
    let idle = farmer.usage()?;
    let began = Instant::now();
    for harvester in fleet {
        tasks.spawn(harvester.live(farmer.address, phases.clone(), Arc::clone(&progress)));
    }
    all(&progress.connected, size.harvesters, &mut tasks, deadline)
        .await
        .context("connect")?;
    let (wall, connected) = (began.elapsed(), farmer.usage()?);
    let connecting = Stage {
        wall,
        cpu: connected.cpu.saturating_sub(idle.cpu),
    };

    let began = Instant::now();
    phase.send(Phase::PlotSync)?;
    all(&progress.synced, size.harvesters, &mut tasks, deadline)
        .await
        .context("plot sync")?;
    let (wall, after_sync) = (began.elapsed(), farmer.usage()?);
    let plot_sync = Stage {
        wall,
        cpu: after_sync.cpu.saturating_sub(connected.cpu),
    };

    // What the sync left to be done belongs to no signage point: the history writes down which plots there are.
    sleep(REST).await;
    let (synced, own, began) = (farmer.usage()?, Usage::own()?, Instant::now());
    let mut fan_out_cpu = Vec::new();
    tokio::select! {
        passed = pass(farmer, size, &synced) => passed?,
        failed = note_fan_outs(farmer, size.look_up, soon, &mut fan_out_cpu) => failed?,
    }
    let (harvested, own_harvested, ended) = (farmer.usage()?, Usage::own()?, Instant::now());
    let left_node = left_node.lock().await.clone();
    phase.send(Phase::End)?;
    let mut points: BTreeMap<SpHash, Vec<Instant>> = BTreeMap::new();
    while let Some(arrivals) = tasks.join_next().await {
        for (sp_hash, at) in arrivals?? {
            points.entry(sp_hash).or_default().push(at);
        }
    }
    // Points that some harvester did not get in time do not count: at the edges of the time measured, or for good.
    points.retain(|_, at| at.len() == size.harvesters as usize && at.iter().all(|at| (began..ended).contains(at)));
    let wanted = size.signage_points as usize;
    ensure!(
        points.len() + 2 + wanted / 100 >= wanted,
        "only {} of {wanted} signage points reached every harvester",
        points.len()
    );
    let last = |sp_hash: &SpHash| points.get(sp_hash)?.iter().max().copied();
    Ok(Measured {
        started_in: farmer.started_in,
        idle,
        connecting,
        plot_sync,
        rested: Stage {
            wall: REST,
            cpu: synced.cpu.saturating_sub(after_sync.cpu),
        },
        synced: after_sync,
        points: Points {
            spread: points
                .values()
                .filter_map(|at| Some(*at.iter().max()? - *at.iter().min()?))
                .collect(),
            from_node: left_node
                .iter()
                .filter_map(|(sp_hash, at)| Some(last(sp_hash)?.duration_since(*at)))
                .collect(),
            cpu: harvested.cpu.saturating_sub(synced.cpu) / size.signage_points,
            own_cpu: own_harvested.cpu.saturating_sub(own.cpu) / size.signage_points,
            fan_out_cpu,
        },
        harvesters: size.harvesters,
    })
}

/// Lets the signage points pass, and says every minute what they have cost.
async fn pass(farmer: &Farmer, size: Size, synced: &Usage) -> Result<()> {
    let began = Instant::now();
    let over = began + size.interval * size.signage_points;
    if size.recorders > 0 {
        sleep(size.interval * size.signage_points / 2).await;
        attach_recorders(farmer, size.recorders).await?;
    }
    while over > Instant::now() + MINUTE {
        sleep(MINUTE).await;
        let (usage, passed) = (farmer.usage()?, began.elapsed());
        let points = passed.as_secs_f64() / size.interval.as_secs_f64();
        let cpu_ms = usage.cpu.saturating_sub(synced.cpu).as_secs_f64() * 1000.0 / points;
        let (rss, minute) = (usage.rss as f64 / 1e6, passed.as_secs() / 60);
        writeln!(
            io::stderr(),
            "minute {minute}: {points:.0} signage points, {rss:.1} MB, {cpu_ms:.2} ms CPU a signage point"
        )?;
    }
    sleep_until(over).await;
    Ok(())
}

/// Notes what the farmer spends on each signage point before the first harvester answers. Runs until it fails; where
/// harvesters answer at once there is nothing to note.
async fn note_fan_outs(
    farmer: &Farmer,
    look_up: Duration,
    mut soon: watch::Receiver<()>,
    cpu: &mut Vec<Duration>,
) -> Result<()> {
    if look_up < Duration::from_millis(5) {
        std::future::pending::<()>().await;
    }
    loop {
        soon.changed().await?;
        let before = farmer.usage()?;
        sleep(SOON + look_up - Duration::from_millis(2)).await;
        cpu.push(farmer.usage()?.cpu.saturating_sub(before.cpu));
    }
}

/// Attaches recorders one after the other, and says what each asked of the task that farms.
async fn attach_recorders(farmer: &Farmer, recorders: u32) -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..recorders {
        took.push(farmer.attach_recorder().await?);
    }
    for (n, what) in ["any question", "attaching a recorder"].into_iter().enumerate() {
        let mut ms: Vec<f64> = took.iter().map(|took| took[n].as_secs_f64() * 1000.0).collect();
        ms.sort_by(f64::total_cmp);
        let (median, most) = (ms[ms.len() / 2], ms[ms.len() - 1]);
        writeln!(
            io::stderr(),
            "{what} is answered in {median:.2} ms, at most {most:.2} ms"
        )?;
    }
    Ok(())
}

/// Waits until all harvesters are there; the first that fails ends it.
async fn all(
    there: &Semaphore,
    harvesters: u32,
    tasks: &mut JoinSet<Result<Arrivals>>,
    deadline: Instant,
) -> Result<()> {
    tokio::select! {
        all = timeout_at(deadline, there.acquire_many(harvesters)) => match all {
            Ok(permits) => {
                permits?.forget();
                Ok(())
            }
            Err(_) => bail!("{} of {harvesters} harvesters in {READY_DEADLINE:?}", there.available_permits()),
        },
        Some(ended) = tasks.join_next() => match ended? {
            Ok(_) => bail!("a harvester ended early"),
            Err(error) => Err(error),
        },
    }
}

/// A farmer that could not be measured leaves its column empty, and says why.
fn noted<T>(farmer: &str, measured: Result<T>) -> Option<T> {
    measured
        .inspect_err(|error| drop(writeln!(io::stderr(), "{farmer} not measured: {error:#}")))
        .ok()
}

/// The official farmer, if it is there.
fn official_farmer(args: &Args) -> Option<Program> {
    let cache = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/farmconsole-interop"));
    let python = args.official.clone().or_else(|| {
        let dir = std::env::var_os("FARMCONSOLE_INTEROP_DIR")
            .map(PathBuf::from)
            .or_else(cache)?;
        Some(dir.join("chia-2.7.5/bin/python"))
    })?;
    if !python.exists() {
        drop(writeln!(
            io::stderr(),
            "official farmer not measured: there is no {}",
            python.display()
        ));
        return None;
    }
    Some(Program::Official { python })
}

/// Every harvester is a connection here and one in the farmer, which inherits the limit.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Signage points that may pass until the first that is measured.
const MAY_PASS_BEFORE: u32 = 200;

/// Between the plot sync and the signage points that count. farmconsole writes what it has to keep two seconds later.
const REST: Duration = Duration::from_secs(5);

/// Plots that harvesters look up before they are started: half a minute of work.
const LOOK_UPS: u32 = 200_000_000;

const MINUTE: Duration = Duration::from_secs(60);

/// After this what a farmer does at its start is over.
const UNTIL_IDLE: Duration = Duration::from_secs(5);

/// Until every harvester is connected and synced. The official farmer takes a third of this for 100,000 plots on an idle
/// machine; with the signage points after it, one farmer has a minute.
const READY_DEADLINE: Duration = Duration::from_secs(45);
