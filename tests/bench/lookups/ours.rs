//! Our side, in a process of its own: loads the plots, and answers signage points as a harvester does, without a network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use farmconsole::harvester::{FarmerChannels, LogLine, PlotFile, ScanOptions, Service, ServiceOptions};
use farmconsole::ids::{ChallengeHash, SpHash};
use farmconsole::pos::Constants;
use farmconsole::pos::filter::{passes_v1, pos_challenge};
use farmconsole::pos::v1::Prover;
use farmconsole::system_clock::Clock;
use farmconsole::units::{Difficulty, SubSlotIters};
use farmconsole::wire::{
    FarmingInfo, FromHarvester, HarvesterHandshake, HarvesterLayout, NewSignagePointHarvester, PlotSync,
    PlotSyncResponse, SignagePointFilter, ToHarvester,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::side::{Filter, FilterMeasured, Job, Measured, Point};

/// Measures everything.
pub(crate) fn measure(job: &Job) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure_on(job))?;
    runtime.shutdown_background();
    Ok(measured)
}

async fn measure_on(job: &Job) -> Result<Measured> {
    let before = resident()?;
    let mut harvester = Harvester::load(job).await?;
    let bytes_per_plot = resident()?.saturating_sub(before) as f64 / f64::from(job.plots);
    // It finds what the first has noted of the plots.
    let again = Harvester::load(job).await?;
    let mut measured = Measured {
        farmed_ms: ms(harvester.farmed),
        load_ms: ms(harvester.told),
        farmed_again_ms: ms(again.farmed),
        load_again_ms: ms(again.told),
        bytes_per_plot,
        ..Measured::default()
    };
    again.end().await?;
    // Without filters nothing is looked up, and there may be more plots than files that can be open.
    let plots = match &job.filters[..] {
        [] => Vec::new(),
        _ => open_all(&job.directory)?,
    };
    for filter in &job.filters {
        let mut of_filter = harvester.look_up(filter, job.rounds).await?;
        for point in &filter.points {
            let (challenge_hash, sp_hash) = (point.challenge_hash.parse()?, point.sp_hash.parse()?);
            for (file, prover) in &plots {
                let plot_id = &prover.header().plot_id;
                if passes_v1(filter.bits, plot_id, &challenge_hash, &sp_hash) {
                    let challenge = pos_challenge(plot_id, &challenge_hash, &sp_hash);
                    of_filter.qualities += prover.qualities(file, &challenge)?.len() as f64;
                }
            }
        }
        measured.filters.push(of_filter);
    }
    harvester.end().await?;
    Ok(measured)
}

/// The plots, opened for the qualities that are counted apart from the measurement.
fn open_all(directory: &Path) -> Result<Vec<(PlotFile, Prover)>> {
    let mut plots = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = PlotFile::open(&entry?.path())?;
        let prover = Prover::open(&file)?;
        plots.push((file, prover));
    }
    Ok(plots)
}

/// A harvester with all plots, and the farmer of the test.
struct Harvester {
    /// From the farmer's keys to a signage point that all plots are asked for.
    farmed: Duration,
    /// From the farmer's keys to the end of the plot sync with all plots.
    told: Duration,
    to_harvester: mpsc::Sender<(ToHarvester, Option<u16>)>,
    from_harvester: mpsc::Receiver<(FromHarvester, Option<u16>)>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Harvester {
    async fn load(job: &Job) -> Result<Self> {
        let keys = HarvesterHandshake {
            farmer_public_keys: vec![job.farmer_public_key.parse()?],
            pool_public_keys: vec![job.pool_public_key.parse()?],
        };
        let mut service = Service::new(options(job)?, Clock::start());
        let (to_harvester, from_farmer) = mpsc::channel(16);
        let (to_farmer, mut from_harvester) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            service
                .serve(
                    FarmerChannels { from_farmer, to_farmer },
                    HarvesterLayout::V38,
                    &stopped,
                )
                .await;
        });
        let started = Instant::now();
        to_harvester.send((ToHarvester::HarvesterHandshake(keys), None)).await?;
        let (mut plots, mut asked, mut farmed) = (0, 0_u64, None);
        let mut ask_at = started;
        let told = loop {
            let message = tokio::select! {
                message = from_harvester.recv() => message,
                () = sleep_until(ask_at), if farmed.is_none() => {
                    asked += 1;
                    to_harvester.send((ToHarvester::NewSignagePoint(nobodys(asked)), None)).await?;
                    ask_at = Instant::now() + Duration::from_millis(2);
                    continue;
                }
            };
            let message = match message {
                Some((FromHarvester::PlotSync(message), _)) => message,
                Some((FromHarvester::FarmingInfo(info), _)) => {
                    if info.total_plots == job.plots && farmed.is_none() {
                        farmed = Some(started.elapsed());
                    }
                    continue;
                }
                other => bail!("expected a plot sync, got {other:?}"),
            };
            let answer = PlotSyncResponse::new(&message, None);
            to_harvester.send((ToHarvester::PlotSyncResponse(answer), None)).await?;
            match message {
                PlotSync::Loaded(list) => plots += list.data.len(),
                PlotSync::Invalid(list) | PlotSync::Duplicates(list) if !list.data.is_empty() => {
                    bail!(
                        "{} of the plots are not farmed, {:?} first",
                        list.data.len(),
                        list.data.first()
                    );
                }
                PlotSync::Done(_) if plots >= job.plots as usize => break started.elapsed(),
                _ => {}
            }
        };
        // What is still on its way is no answer to what is asked next.
        sleep(Duration::from_millis(100)).await;
        while from_harvester.try_recv().is_ok() {}
        Ok(Self {
            farmed: farmed.unwrap_or(told),
            told,
            to_harvester,
            from_harvester,
            stop,
            serving,
        })
    }

    /// Sends each signage point once a round, and waits for the answer.
    async fn look_up(&mut self, filter: &Filter, rounds: u32) -> Result<FilterMeasured> {
        let mut measured = FilterMeasured::default();
        // Once for the cache.
        for point in &filter.points {
            let info = self.ask(point, filter.bits).await?;
            measured.passed += f64::from(info.passed);
        }
        let before = cpu()?;
        for _ in 0..rounds {
            for point in &filter.points {
                let started = Instant::now();
                self.ask(point, filter.bits).await?;
                measured.ms.push(ms(started.elapsed()));
            }
        }
        measured.cpu_ms = ms(cpu()?.saturating_sub(before)) / measured.ms.len() as f64;
        Ok(measured)
    }

    async fn ask(&mut self, point: &Point, bits: u8) -> Result<FarmingInfo> {
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
        self.to_harvester
            .send((ToHarvester::NewSignagePoint(message), None))
            .await?;
        match self.from_harvester.recv().await {
            Some((FromHarvester::FarmingInfo(info), _)) => Ok(info),
            other => bail!("expected an answer to the signage point, got {other:?}"),
        }
    }

    async fn end(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.serving.await?)
    }
}

/// A signage point that no plot passes the filter of, each another one.
fn nobodys(number: u64) -> NewSignagePointHarvester {
    let mut challenge_hash = [0xff; 32];
    challenge_hash[..8].copy_from_slice(&number.to_be_bytes());
    NewSignagePointHarvester {
        challenge_hash: ChallengeHash(challenge_hash),
        difficulty: Difficulty(1),
        sub_slot_iters: SubSlotIters(64),
        signage_point_index: 7,
        sp_hash: SpHash(challenge_hash),
        pool_difficulties: Vec::new(),
        filter: SignagePointFilter::PrefixBits(64),
    }
}

fn options(job: &Job) -> Result<ServiceOptions> {
    Ok(ServiceOptions {
        network: "simulator1".to_owned(),
        constants: Arc::new(Constants::for_network("simulator1").context("no such network")?),
        scan: ScanOptions {
            directories: vec![job.directory.clone()],
            recursive: false,
            follow_links: false,
            retry_invalid: Duration::from_secs(1200),
            batch_size: 300,
            batch_sleep: Duration::from_millis(1),
            max_compression_level: 7,
            plot_size_v2: 28,
        },
        settings_file: None,
        plot_cache_file: Some(job.directory.with_file_name("plot-cache")),
        refresh_interval: Duration::from_secs(3600),
        threads: job.threads.into(),
        parallel_read: true,
        processors: 2,
        log_line: LogLine::Official,
    })
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
