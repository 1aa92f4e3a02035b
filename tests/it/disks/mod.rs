//! A harvester with one disk that works and one that does not, on a real kernel: `.ci/run disks` runs these as root.

mod faulty;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farmconsole::crypto::SecretKey;
use farmconsole::harvester::{
    FarmerChannels, LogLine, ScanOptions, Service, ServiceOptions, StatusHandle, WARN_AFTER, make_plot,
};
use farmconsole::ids::{ChallengeHash, PuzzleHash, SpHash};
use farmconsole::pos::Constants;
use farmconsole::snapshot::{MachineSnapshot, VolumeState, VolumeView};
use farmconsole::system_clock::Clock;
use farmconsole::units::{Difficulty, SubSlotIters};
use farmconsole::wire::{
    FarmingInfo, FromHarvester, HarvesterHandshake, HarvesterLayout, NewProofOfSpace, NewSignagePointHarvester,
    PlotPool, SignagePointFilter, ToHarvester,
};
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::root::{Program, wait_a_moment};
use faulty::{FaultyDisk, Mode};

/// Held by each test: what is counted here, threads and time, is of the whole process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A harvester with a plot on a disk that works and one on a faulty one, and its farmer.
struct Farm {
    disk: FaultyDisk,
    /// Where the faulty disk is mounted, and what its plot is called.
    faulty: String,
    status: StatusHandle,
    to_harvester: mpsc::Sender<(ToHarvester, Option<u16>)>,
    from_harvester: mpsc::Receiver<(FromHarvester, Option<u16>)>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    challenge: u32,
    _dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What came for one signage point, and when.
struct Answer {
    proofs: Vec<(NewProofOfSpace, Duration)>,
    info: FarmingInfo,
    took: Duration,
}

impl Farm {
    async fn start() -> Self {
        assert!(
            is_root() && Path::new("/dev/fuse").exists(),
            "this test needs root and /dev/fuse"
        );
        let alone = ONE_AT_A_TIME.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
        fs::create_dir_all(&bad).unwrap();
        let farmer_pk = SecretKey::key_gen(&[1; 32]).unwrap().public_key().to_g1();
        let pool = PlotPool::Contract(PuzzleHash([3; 32]));
        let make = |seed: u8, dir: &Path| make_plot(dir, 18, &farmer_pk, &pool, &[seed; 32], &mut |_| ()).unwrap();
        make(5, &good);
        let plot = make(6, &dir.path().join("made"));
        let name = plot.file_name().unwrap().to_str().unwrap();
        let disk = FaultyDisk::mount(&bad, name, fs::read(&plot).unwrap()).unwrap();
        let options = ServiceOptions {
            network: "simulator1".to_owned(),
            constants: Arc::new(Constants::for_network("simulator1").unwrap()),
            scan: ScanOptions {
                directories: vec![good, bad.clone()],
                recursive: false,
                follow_links: false,
                retry_invalid: Duration::from_secs(1),
                batch_size: 300,
                batch_sleep: Duration::ZERO,
                max_compression_level: 7,
                plot_size_v2: 28,
            },
            settings_file: None,
            plot_cache_file: None,
            refresh_interval: Duration::from_secs(5),
            threads: 30,
            parallel_read: true,
            processors: 2,
            log_line: LogLine::Official,
        };
        let mut service = Service::new(options, Clock::start());
        let status = service.status();
        let (to_harvester, from_farmer) = mpsc::channel(16);
        let (to_farmer, from_harvester) = mpsc::channel(256);
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
        let keys = HarvesterHandshake {
            farmer_public_keys: vec![farmer_pk],
            pool_public_keys: Vec::new(),
        };
        to_harvester
            .send((ToHarvester::HarvesterHandshake(keys), None))
            .await
            .unwrap();
        let farm = Self {
            disk,
            faulty: bad.canonicalize().unwrap().to_str().unwrap().to_owned(),
            status,
            to_harvester,
            from_harvester,
            stop,
            serving,
            challenge: 0,
            _dir: dir,
            _alone: alone,
        };
        farm.until("two plots", |s| s.counts.farmed == 2).await;
        farm
    }

    /// Waits for a picture of the harvester.
    async fn until(&self, what: &str, is_it: impl Fn(&MachineSnapshot) -> bool) -> Arc<MachineSnapshot> {
        let mut pictures = self.status.watch();
        let waiting = timeout(Duration::from_secs(90), pictures.wait_for(|picture| is_it(picture)));
        let picture = waiting.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
        Arc::clone(&picture.unwrap())
    }

    fn volume<'a>(&self, picture: &'a MachineSnapshot) -> &'a VolumeView {
        picture
            .volumes
            .iter()
            .find(|volume| volume.name == self.faulty)
            .unwrap()
    }

    async fn until_faulty(&self, what: &str, is_it: impl Fn(&VolumeView) -> bool) {
        self.until(what, |picture| is_it(self.volume(picture))).await;
    }

    /// Asks every plot for every proof it has for a new signage point.
    async fn ask(&mut self) -> Answer {
        self.challenge += 1;
        let mut sp_hash = SpHash([0; 32]);
        sp_hash.0[..4].copy_from_slice(&self.challenge.to_be_bytes());
        let point = NewSignagePointHarvester {
            challenge_hash: ChallengeHash([0xcc; 32]),
            difficulty: Difficulty(1),
            sub_slot_iters: SubSlotIters(1 << 40),
            signage_point_index: 7,
            sp_hash,
            pool_difficulties: Vec::new(),
            filter: SignagePointFilter::PrefixBits(0),
        };
        let asked = Instant::now();
        self.to_harvester
            .send((ToHarvester::NewSignagePoint(point), None))
            .await
            .unwrap();
        let mut proofs = Vec::new();
        loop {
            let message = timeout(Duration::from_secs(60), self.from_harvester.recv()).await;
            match message.unwrap().unwrap().0 {
                FromHarvester::NewProofOfSpace(proof) if proof.sp_hash == sp_hash => {
                    proofs.push((*proof, asked.elapsed()));
                }
                FromHarvester::FarmingInfo(info) if info.sp_hash == sp_hash => {
                    let took = asked.elapsed();
                    return Answer { proofs, info, took };
                }
                _ => {}
            }
        }
    }

    fn is_of_faulty(&self, proof: &NewProofOfSpace) -> bool {
        proof.plot_identifier[64..].starts_with(&self.faulty)
    }

    /// Asks until the disk that works has had a proof, and until the faulty one has been asked so often: each time the
    /// answer comes at once.
    async fn ask_on(&mut self, times: usize) {
        let mut proofs = 0;
        for _ in 0..times.max(8) {
            let answer = self.ask().await;
            assert!(answer.took < SOON, "{:?}", answer.took);
            assert_eq!(answer.info.passed, 2);
            proofs += answer
                .proofs
                .iter()
                .filter(|(proof, _)| !self.is_of_faulty(proof))
                .count();
        }
        assert!(proofs > 0, "the disk that works has no proof");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Much less than anybody waits for a disk, and much more than a busy machine needs.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
#[ignore = "needs root and FUSE, and takes a minute: .ci/run disks"]
async fn a_disk_that_hangs_delays_one_answer_costs_its_own_plots_and_comes_back() {
    let mut farm = Farm::start().await;
    farm.ask_on(1).await;
    farm.disk.set(Mode::Hangs);
    let answer = farm.ask().await;
    assert!(
        answer.took >= WARN_AFTER && answer.took < WARN_AFTER + SOON,
        "{:?}",
        answer.took
    );
    assert!(
        answer
            .proofs
            .iter()
            .all(|(proof, at)| *at < SOON && !farm.is_of_faulty(proof))
    );
    farm.ask_on(8).await;
    assert!(farm.disk.held() >= 2, "look-ups do hang in the kernel");
    tokio::time::sleep(Duration::from_secs(18)).await;
    farm.ask_on(8).await;
    let is_sick = |volume: &VolumeView| matches!(volume.state, VolumeState::Sick { .. });
    farm.until_faulty("sickness", is_sick).await;
    let held = farm.disk.held();
    farm.ask_on(20).await;
    assert!(farm.disk.held() <= held + 1, "it gets a probe, and no more work");

    farm.disk.set(Mode::Fine);
    farm.ask_on(2).await;
    farm.until_faulty("recovery", |volume| volume.state == VolumeState::Fine)
        .await;
    let mut proofs = 0;
    while proofs == 0 {
        let answer = farm.ask().await;
        proofs = answer
            .proofs
            .iter()
            .filter(|(proof, _)| farm.is_of_faulty(proof))
            .count();
    }

    farm.disk.set(Mode::Hangs);
    let begun = Instant::now();
    farm.to_harvester.send((ToHarvester::RequestPlots, None)).await.unwrap();
    farm.stop.cancel();
    timeout(Duration::from_secs(5), &mut farm.serving)
        .await
        .unwrap()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// As a network drive whose server has stopped: neither what files there are is told, nor is one opened.
#[tokio::test]
#[ignore = "needs root and FUSE, and takes a minute: .ci/run disks"]
async fn a_disk_on_which_nothing_is_answered_holds_few_threads_and_comes_back() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let mut farm = Farm::start().await;
    farm.ask_on(1).await;
    farm.disk.set(Mode::IsDeaf);
    let answer = farm.ask().await;
    assert!(answer.took < WARN_AFTER + SOON, "{:?}", answer.took);
    farm.ask_on(8).await;
    let is_sick = |volume: &VolumeView| matches!(volume.state, VolumeState::Sick { .. });
    farm.until_faulty("sickness", is_sick).await;
    let stalls = |picture: &MachineSnapshot| {
        let mut troubles = picture.troubles.iter();
        troubles.any(|trouble| trouble.reason.contains("has not answered for"))
    };
    farm.until("a refresh that does not wait for it", stalls).await;
    let (before, held) = (threads(), farm.disk.held());
    farm.ask_on(200).await;
    assert!(threads() <= before + 4, "{before} threads before, {} now", threads());
    assert!(farm.disk.held() <= held + 4, "it gets probes, and no more work");
    let picture = farm.until("both plots", |picture| picture.counts.farmed == 2).await;
    assert!(is_sick(farm.volume(&picture)));

    farm.disk.set(Mode::Fine);
    let mut proofs = 0;
    while proofs == 0 {
        let answer = farm.ask().await;
        proofs = answer
            .proofs
            .iter()
            .filter(|(proof, _)| farm.is_of_faulty(proof))
            .count();
    }
    farm.until_faulty("recovery", |volume| volume.state == VolumeState::Fine)
        .await;
    farm.until("no trouble", |picture| picture.troubles.is_empty()).await;
}

#[tokio::test]
#[ignore = "needs root and FUSE: .ci/run disks"]
async fn a_disk_that_fails_is_left_out_recovers_and_may_be_pulled_out() {
    let mut farm = Farm::start().await;
    farm.disk.set(Mode::Fails);
    farm.ask_on(8).await;
    let is_sick = |volume: &VolumeView| matches!(volume.state, VolumeState::Sick { .. });
    farm.until_faulty("sickness", is_sick).await;
    let picture = farm.until("errors", |picture| farm.volume(picture).errors >= 3).await;
    let error = farm.volume(&picture).last_error.clone().unwrap();
    assert!(error.contains("Input/output error"), "{error}");
    farm.disk.take_reads();
    farm.ask_on(20).await;
    assert!(
        farm.disk.take_reads() < 40,
        "it gets probes and refreshes, and no more work"
    );

    farm.disk.set(Mode::Fine);
    for _ in 0..70 {
        farm.ask().await;
        if farm.volume(&farm.status.watch().borrow()).state == VolumeState::Fine {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    farm.until_faulty("recovery", |volume| volume.state == VolumeState::Fine)
        .await;

    farm.disk.unmount();
    let is_gone = |volume: &VolumeView| matches!(volume.state, VolumeState::Gone { .. });
    farm.until_faulty("its absence", is_gone).await;
    let answer = farm.ask().await;
    assert_eq!((answer.info.passed, answer.info.total_plots), (1, 1));
}

#[tokio::test]
#[ignore = "needs root and FUSE: .ci/run disks"]
async fn a_proof_waits_for_each_level_once_on_a_disk_that_does_many_reads_at_once() {
    let mut farm = Farm::start().await;
    let proof_after = async |farm: &mut Farm, mode: Mode| {
        farm.disk.set(mode);
        loop {
            farm.disk.take_reads();
            let answer = farm.ask().await;
            let reads = farm.disk.take_reads();
            let of_faulty = answer.proofs.iter().filter(|(proof, _)| farm.is_of_faulty(proof));
            let after: Vec<_> = of_faulty.map(|(_, after)| *after).collect();
            // Two reads to see where table 7 has it, seven to the quality, 57 to the proof; nothing twice.
            if let [after] = after[..]
                && reads == 2 + 7 + 57
            {
                return after;
            }
        }
    };
    let read = Duration::from_millis(50);
    let parallel = proof_after(&mut farm, Mode::Takes(read)).await;
    assert!(parallel >= read * (9 + 5), "{parallel:?}");
    // One after the other they would take 66 times as long as one.
    assert!(parallel < read * (9 + 5) * 2, "{parallel:?}");
    let in_turn = proof_after(&mut farm, Mode::TakesInTurn(read)).await;
    assert!(in_turn >= read * 66 && in_turn < read * 66 * 3 / 2, "{in_turn:?}");
}

/// A thread that waits for such a drive keeps its process, and a shell that waits for that.
#[test]
#[ignore = "needs root and FUSE, and takes a minute: .ci/run disks"]
fn commands_come_back_from_a_drive_that_answers_nothing() {
    let _alone = ONE_AT_A_TIME.blocking_lock();
    let program = Program::simulated();
    let drive = program.dir.path().join("drive");
    fs::create_dir(&drive).unwrap();
    let disk = FaultyDisk::mount(&drive, "a.plot", vec![0; 4096]).unwrap();
    let path = drive.to_str().unwrap();
    program.ok(&["plots", "add", "-d", path]);
    disk.set(Mode::IsDeaf);
    for (command, status) in [
        (&["plots", "show"][..], 1),
        (&["plots", "check"], 1),
        (&["plots", "add", "-d", path], 1),
        (&["plots", "remove", "-d", path], 0),
    ] {
        let mut command = program.command(command);
        let begun = Instant::now();
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let ended = loop {
            if let Some(ended) = running.try_wait().unwrap() {
                break ended;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(40),
                "{command:?} does not come back"
            );
            wait_a_moment();
        };
        assert_eq!(ended.code(), Some(status), "{command:?}");
    }
    assert!(disk.held() >= 2, "they do hang in the kernel");
}
