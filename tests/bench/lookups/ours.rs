//! Our side, in a process of its own: loads the plots, and answers signage points as a harvester does, without a network.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use farmconsole::harvester::{FarmerChannels, Inventory, ScanOptions, Service, ServiceOptions};
use farmconsole::pos::Constants;
use farmconsole::pos::filter::{passes_v1, pos_challenge};
use farmconsole::runtime::Clock;
use farmconsole::units::{Difficulty, SubSlotIters};
use farmconsole::wire::{
    FarmingInfo, FromHarvester, HarvesterHandshake, NewSignagePointHarvester, PlotSync, PlotSyncResponse,
    SignagePointFilter, ToHarvester,
};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use crate::side::{Filter, FilterMeasured, Job, Measured, Point};

/// Measures everything.
pub(crate) fn measure(job: &Job) -> Result<Measured> {
    let keys = Arc::new(HarvesterHandshake {
        farmer_public_keys: vec![job.farmer_public_key.parse()?],
        pool_public_keys: vec![job.pool_public_key.parse()?],
    });
    let options = options(job)?;
    let before = resident()?;
    let (inventory, load) = load(&options.scan, &keys);
    let bytes_per_plot = resident()?.saturating_sub(before) as f64 / f64::from(job.plots);
    let loaded = u32::try_from(inventory.plots().count())?;
    let (_, load_again) = self::load(&options.scan, &keys);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut filters = Vec::new();
    let mut errors = f64::from(job.plots - loaded);
    for filter in &job.filters {
        let mut measured = runtime.block_on(look_up(options.clone(), &keys, filter, job.rounds))?;
        for point in &filter.points {
            for plot in inventory.plots() {
                let (challenge_hash, sp_hash) = (point.challenge_hash.parse()?, point.sp_hash.parse()?);
                if !passes_v1(filter.bits, plot.plot_id(), &challenge_hash, &sp_hash) {
                    continue;
                }
                match plot.qualities(&pos_challenge(plot.plot_id(), &challenge_hash, &sp_hash)) {
                    Ok((_, qualities)) => measured.qualities += qualities.len() as f64,
                    Err(_) => errors += 1.0,
                }
            }
        }
        filters.push(measured);
    }
    runtime.shutdown_background();
    Ok(Measured {
        load_ms: ms(load),
        load_again_ms: ms(load_again),
        bytes_per_plot,
        filters,
        errors,
    })
}

fn options(job: &Job) -> Result<ServiceOptions> {
    Ok(ServiceOptions {
        constants: Arc::new(Constants::for_network("simulator1").context("no such network")?),
        scan: ScanOptions {
            directories: vec![job.directory.clone()],
            recursive: false,
            follow_links: false,
            retry_invalid: Duration::from_secs(1200),
            batch_size: 300,
            batch_sleep: Duration::from_millis(1),
        },
        refresh_interval: Duration::from_secs(3600),
        threads: job.threads.into(),
    })
}

fn load(options: &ScanOptions, keys: &Arc<HarvesterHandshake>) -> (Inventory, Duration) {
    let mut inventory = Inventory::default();
    let started = Instant::now();
    inventory.refresh(options, keys, started.into_std(), &mut |_| ());
    (inventory, started.elapsed())
}

/// Sends each signage point once a round to a harvester with all plots, and waits for the answer.
async fn look_up(
    options: ServiceOptions,
    keys: &HarvesterHandshake,
    filter: &Filter,
    rounds: u32,
) -> Result<FilterMeasured> {
    let mut service = Service::new(options, Clock::start());
    let (to_harvester, from_farmer) = mpsc::channel(16);
    let (to_farmer, mut from_harvester) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let serving = tokio::spawn(async move {
        service.serve(FarmerChannels { from_farmer, to_farmer }, &stopped).await;
    });
    to_harvester
        .send((ToHarvester::HarvesterHandshake(keys.clone()), None))
        .await?;
    loop {
        let Some((FromHarvester::PlotSync(message), _)) = from_harvester.recv().await else {
            bail!("no plot sync");
        };
        let answer = PlotSyncResponse::new(&message, None);
        to_harvester.send((ToHarvester::PlotSyncResponse(answer), None)).await?;
        if matches!(message, PlotSync::Done(_)) {
            break;
        }
    }
    let mut measured = FilterMeasured::default();
    // Once for the cache.
    for point in &filter.points {
        let info = ask(point, filter.bits, &to_harvester, &mut from_harvester).await?;
        measured.passed += f64::from(info.passed);
    }
    let before = cpu()?;
    for _ in 0..rounds {
        for point in &filter.points {
            let started = Instant::now();
            ask(point, filter.bits, &to_harvester, &mut from_harvester).await?;
            measured.ms.push(ms(started.elapsed()));
        }
    }
    measured.cpu_ms = ms(cpu()?.saturating_sub(before)) / measured.ms.len() as f64;
    stop.cancel();
    serving.await?;
    Ok(measured)
}

async fn ask(
    point: &Point,
    bits: u8,
    to_harvester: &mpsc::Sender<(ToHarvester, Option<u16>)>,
    from_harvester: &mut mpsc::Receiver<(FromHarvester, Option<u16>)>,
) -> Result<FarmingInfo> {
    let message = NewSignagePointHarvester {
        challenge_hash: point.challenge_hash.parse()?,
        difficulty: Difficulty(1),
        // One iteration an interval: no quality is good enough.
        sub_slot_iters: SubSlotIters(64),
        signage_point_index: 7,
        sp_hash: point.sp_hash.parse()?,
        pool_difficulties: Vec::new(),
        filter: SignagePointFilter::PrefixBits(bits),
    };
    to_harvester.send((ToHarvester::NewSignagePoint(message), None)).await?;
    match from_harvester.recv().await {
        Some((FromHarvester::FarmingInfo(info), _)) => Ok(info),
        other => bail!("expected an answer to the signage point, got {other:?}"),
    }
}

/// Memory of this process that is in use, bytes.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// CPU time of this process, of all threads that are or were, in steps of 10 ms.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string(PathBuf::from("/proc/self/stat"))?;
    // The name of the program stands in parentheses; user and system time are fields 14 and 15.
    let fields = stat.rsplit_once(") ").context("no fields")?.1;
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
