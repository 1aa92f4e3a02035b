//! What the tests of this module share: real plots, made once, and a farmer made of the test itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::scan::Look;
use super::scanner::{Scanner, ScannerFiles};
use super::*;
use crate::crypto::{FarmingKeys, SecretKey};
use crate::ids::{ChallengeHash, PlotId, PuzzleHash, SpHash};
use crate::net::WithId;
use crate::pos::Constants;
use crate::pos::filter::{passes_v1, pos_challenge, prefix_bits_v1};
use crate::system_clock::Clock;
use crate::units::{Difficulty, Height, SubSlotIters};
use crate::wire::*;

/// Contract of the plot that pays into one.
pub(super) const CONTRACT: PuzzleHash = PuzzleHash([0xc0; 32]);

fn secret(seed: u8) -> SecretKey {
    SecretKey::key_gen(&[seed; 32]).unwrap()
}

/// The keys that farm the plots of [`original`] and [`pooled`].
pub(super) fn keys() -> HarvesterHandshake {
    let public = |seed| vec![secret(seed).public_key().to_g1()];
    HarvesterHandshake {
        farmer_public_keys: public(1),
        pool_public_keys: public(2),
    }
}

/// The farmer's secrets for [`keys`].
pub(super) fn farming_keys() -> FarmingKeys {
    FarmingKeys::new(vec![secret(1)], Vec::new())
}

/// A k 18 plot with a pool public key.
pub(super) fn original() -> &'static Path {
    static PLOT: OnceLock<PathBuf> = OnceLock::new();
    PLOT.get_or_init(|| make(&PlotPool::PublicKey(keys().pool_public_keys[0])))
}

/// A k 18 plot with a contract.
pub(super) fn pooled() -> &'static Path {
    static PLOT: OnceLock<PathBuf> = OnceLock::new();
    PLOT.get_or_init(|| make(&PlotPool::Contract(CONTRACT)))
}

/// Makes a k 18 v2 plot of strength 2 in `dir`, which takes a third of a second; its path.
pub(super) fn make_v2(dir: &Path, pool: &PlotPool, plot_index: u16, meta_group: u8) -> PathBuf {
    let master = secret(6);
    let farmer_public_key = keys().farmer_public_keys[0];
    let farmer = crate::crypto::PublicKey::from_g1(&farmer_public_key).unwrap();
    let local = crate::crypto::derive::local_sk(&master).public_key();
    let plot_public_key = crate::crypto::plot_public_key(&local, &farmer, pool).to_g1();
    let plot_id = plot_id_v2(&plot_group_id_v2(2, &plot_public_key, pool), plot_index, meta_group);
    let memo = crate::pos::header::PlotMemo {
        pool: *pool,
        farmer_public_key,
        local_master_sk: master.to_bytes(),
    };
    let path = fs::canonicalize(dir).unwrap().join(format!("{plot_id}.plot2"));
    chia_pos2::create_v2_plot(
        &path,
        18,
        2,
        plot_id.as_bytes(),
        plot_index,
        meta_group,
        &memo.to_bytes(),
        true,
    )
    .unwrap();
    path
}

/// Plots are kept with what was built, because each test may run in a process of its own.
fn make(pool: &PlotPool) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-plots");
    make_plot(&dir, 18, &keys().farmer_public_keys[0], pool, &[5; 32], &mut |_| ()).unwrap()
}

/// The original plot with another farmer public key in its memo.
pub(super) fn foreign() -> Vec<u8> {
    let mut plot = fs::read(original()).unwrap();
    let key = keys().farmer_public_keys[0].0;
    let at = plot.windows(48).position(|bytes| bytes == key).unwrap();
    plot[at..at + 48].copy_from_slice(&secret(3).public_key().to_g1().0);
    plot
}

pub(super) fn constants() -> Constants {
    Constants::for_network("simulator1").unwrap()
}

pub(super) fn scan_options(directory: &Path) -> ScanOptions {
    ScanOptions {
        directories: vec![directory.to_owned()],
        recursive: false,
        follow_links: false,
        retry_invalid: Duration::from_secs(1200),
        batch_size: 300,
        batch_sleep: Duration::ZERO,
        max_compression_level: 7,
        plot_size_v2: constants().plot_size_v2,
    }
}

/// A harvester with the plots of a directory, which it looks at 50 times a second.
pub(super) fn service(directory: &Path) -> Service {
    service_with(directory, constants())
}

/// The same, which looks at disks with `look`.
pub(super) fn service_looking(directory: &Path, look: Box<dyn Look>) -> Service {
    let clock = Clock::start();
    let scanner = Scanner::with(ScannerFiles::default(), clock, look);
    Service::with(options(directory, constants()), clock, scanner)
}

/// The same, of a network with these constants.
pub(super) fn service_with(directory: &Path, constants: Constants) -> Service {
    Service::new(options(directory, constants), Clock::start())
}

fn options(directory: &Path, constants: Constants) -> ServiceOptions {
    let scan = ScanOptions {
        plot_size_v2: constants.plot_size_v2,
        ..scan_options(directory)
    };
    ServiceOptions {
        network: "simulator1".to_owned(),
        constants: Arc::new(constants),
        scan,
        settings_file: None,
        plot_cache_file: None,
        refresh_interval: Duration::from_millis(20),
        threads: 4,
        processors: 2,
        parallel_read: true,
        log_line: LogLine::Official,
    }
}

/// The first signage point that all `plots` pass the filter for and have a proof for. Any proof is good enough.
pub(super) fn signage_point(plots: &[&Path], filter: SignagePointFilter) -> NewSignagePointHarvester {
    let plots: Vec<_> = plots
        .iter()
        .map(|path| LoadedPlot::open(path, &keys()).unwrap())
        .collect();
    let bits = prefix_bits_v1(&constants(), Height(0));
    let challenge_hash = ChallengeHash([0xcc; 32]);
    let mut sp_hash = SpHash([0; 32]);
    for n in 0_u32.. {
        sp_hash.0[..4].copy_from_slice(&n.to_be_bytes());
        let has_proof = |plot: &LoadedPlot| {
            passes_v1(bits, plot.plot_id(), &challenge_hash, &sp_hash) && {
                let challenge = pos_challenge(plot.plot_id(), &challenge_hash, &sp_hash);
                !plot
                    .qualities(&plot.open_file().unwrap(), &challenge)
                    .unwrap()
                    .is_empty()
            }
        };
        if plots.iter().all(has_proof) {
            break;
        }
    }
    NewSignagePointHarvester {
        challenge_hash,
        difficulty: Difficulty(1),
        sub_slot_iters: EASY,
        signage_point_index: 7,
        sp_hash,
        pool_difficulties: Vec::new(),
        filter,
    }
}

/// So many iterations that any proof is good enough.
pub(super) const EASY: SubSlotIters = SubSlotIters(1 << 40);

/// So few that none is.
pub(super) const IMPOSSIBLE: SubSlotIters = SubSlotIters(64);

/// As a farmer of protocol version 0.0.38 sends it.
pub(super) const HEIGHTS: SignagePointFilter = SignagePointFilter::Heights {
    peak_height: Height(0),
    last_tx_height: Height(0),
    filter_challenge: None,
};

/// What the farmer was told in plot syncs.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) plots: BTreeMap<String, PlotId>,
    pub(super) invalid: Vec<String>,
    pub(super) keys_missing: Vec<String>,
    pub(super) duplicates: Vec<String>,
    /// Whether the last sync was an initial one.
    pub(super) initial: bool,
    last_sync_id: u64,
}

/// A farmer, with a harvester that serves it on a task of its own.
pub(super) struct Farmer {
    to_harvester: mpsc::Sender<WithId<ToHarvester>>,
    from_harvester: mpsc::Receiver<WithId<FromHarvester>>,
    serving: JoinHandle<Service>,
    stop: CancellationToken,
    /// What came while something else was waited for.
    aside: VecDeque<WithId<FromHarvester>>,
    pub(super) told: Told,
}

impl Farmer {
    /// Lets `service` connect, and sends it `keys`.
    pub(super) async fn meet(service: Service, keys: HarvesterHandshake) -> Self {
        Self::meet_in(HarvesterLayout::V38, service, keys).await
    }

    /// The same with a farmer that reads this layout.
    pub(super) async fn meet_in(layout: HarvesterLayout, mut service: Service, keys: HarvesterHandshake) -> Self {
        let (to_harvester, from_farmer) = mpsc::channel(16);
        let (to_farmer, from_harvester) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            service
                .serve(FarmerChannels { from_farmer, to_farmer }, layout, &stopped)
                .await;
            service
        });
        let farmer = Self {
            to_harvester,
            from_harvester,
            serving,
            stop,
            aside: VecDeque::new(),
            told: Told::default(),
        };
        farmer.send(ToHarvester::HarvesterHandshake(keys), None).await;
        farmer
    }

    pub(super) async fn send(&self, message: ToHarvester, id: Option<u16>) {
        self.to_harvester.send((message, id)).await.unwrap();
    }

    /// Hangs up; the harvester for the next connection.
    pub(super) async fn hang_up(self) -> Service {
        let Self {
            to_harvester,
            from_harvester,
            serving,
            ..
        } = self;
        drop((to_harvester, from_harvester));
        timeout(PATIENCE, serving)
            .await
            .expect("the connection does not end")
            .unwrap()
    }

    /// Tells the harvester to stop.
    pub(super) async fn stop(self) -> Service {
        self.stop.cancel();
        timeout(PATIENCE, self.serving)
            .await
            .expect("the harvester does not stop")
            .unwrap()
    }

    pub(super) async fn message(&mut self) -> WithId<FromHarvester> {
        timeout(PATIENCE, self.from_harvester.recv())
            .await
            .expect("nothing comes")
            .expect("the harvester hung up")
    }

    /// The next message that is not about plot sync; that is answered as it should be.
    pub(super) async fn answer(&mut self) -> WithId<FromHarvester> {
        loop {
            if let Some(message) = self.aside.pop_front() {
                return message;
            }
            self.sync_or_keep().await;
        }
    }

    /// Waits for the end of a plot sync after which `is_wanted`.
    pub(super) async fn synced(&mut self, is_wanted: impl Fn(&Told) -> bool) -> &Told {
        let waiting = async { while !(self.sync_or_keep().await && is_wanted(&self.told)) {} };
        timeout(PATIENCE, waiting).await.expect("no such plot sync");
        &self.told
    }

    /// Takes one message; whether it was the end of a plot sync.
    async fn sync_or_keep(&mut self) -> bool {
        match self.message().await {
            (FromHarvester::PlotSync(first), _) => {
                self.sync(first).await;
                true
            }
            other => {
                self.aside.push_back(other);
                false
            }
        }
    }

    /// Takes a sync to its end, by the rules that official farmers check.
    async fn sync(&mut self, first: PlotSync) {
        let PlotSync::Start(start) = &first else {
            panic!("a sync begins with {first:?}")
        };
        let sync_id = start.identifier.sync_id;
        if start.initial {
            self.told = Told::default();
        }
        assert_eq!(start.last_sync_id, self.told.last_sync_id);
        assert_ne!(sync_id, self.told.last_sync_id);
        let mut lists = Told {
            initial: start.initial,
            last_sync_id: sync_id,
            ..Told::default()
        };
        let (mut loaded, mut removed) = (BTreeMap::new(), BTreeSet::new());
        let mut message = first;
        for message_id in 0.. {
            let identifier = *message.identifier();
            assert_eq!((identifier.sync_id, identifier.message_id), (sync_id, message_id));
            self.send(
                ToHarvester::PlotSyncResponse(PlotSyncResponse::new(&message, None)),
                None,
            )
            .await;
            match message {
                PlotSync::Start(_) => assert_eq!(message_id, 0),
                PlotSync::Loaded(list) => {
                    for plot in list.data {
                        assert!(
                            !self.told.plots.contains_key(&plot.filename),
                            "{} is known",
                            plot.filename
                        );
                        assert_eq!(loaded.insert(plot.filename, plot.plot_id), None);
                    }
                }
                PlotSync::Removed(list) => {
                    for path in list.data {
                        assert!(self.told.plots.contains_key(&path), "{path} is not known");
                        assert!(removed.insert(path));
                    }
                }
                PlotSync::Invalid(list) => lists.invalid.extend(list.data),
                PlotSync::KeysMissing(list) => lists.keys_missing.extend(list.data),
                PlotSync::Duplicates(list) => lists.duplicates.extend(list.data),
                PlotSync::Done(_) => break,
            }
            message = loop {
                match self.message().await {
                    (FromHarvester::PlotSync(next), _) => break next,
                    other => self.aside.push_back(other),
                }
            };
        }
        lists.plots = std::mem::take(&mut self.told.plots);
        lists.plots.retain(|path, _| !removed.contains(path));
        lists.plots.extend(loaded);
        self.told = lists;
    }

    /// Sends a signage point; the proofs found for it, and the answer.
    pub(super) async fn challenge(&mut self, point: NewSignagePointHarvester) -> (Vec<NewProofOfSpace>, FarmingInfo) {
        self.send(ToHarvester::NewSignagePoint(point), None).await;
        let mut proofs = Vec::new();
        loop {
            match self.answer().await.0 {
                FromHarvester::NewProofOfSpace(proof) => proofs.push(*proof),
                FromHarvester::FarmingInfo(info) => return (proofs, info),
                other => panic!("unexpected {other:?}"),
            }
        }
    }
}

/// Real threads read real files here, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(30);
