//! A hundred thousand plots.

use super::*;

/// A stand-in for a k 32 plot: header, keys and C2 are those of one, and there is nothing else in it. They differ in their
/// contracts only, so that they are made fast.
fn stand_in(number: u32, local_pk: &PublicKey) -> (Vec<u8>, PlotFacts) {
    let farmer = keys().farmer_public_keys[0];
    let mut contract = CONTRACT;
    contract.0[..4].copy_from_slice(&number.to_be_bytes());
    let pool = PlotPool::Contract(contract);
    let plot_pk = plot_public_key(local_pk, &PublicKey::from_g1(&farmer).unwrap(), &pool).to_g1();
    let memo = PlotMemo {
        pool,
        farmer_public_key: farmer,
        local_master_sk: MASTER.into(),
    };
    let mut bytes = b"Proof of Space Plot".to_vec();
    bytes.extend(plot_id_v1(&pool, &plot_pk).0);
    bytes.extend(b"\x20\x00\x04v1.0\x00\x70");
    bytes.extend_from_slice(&memo.to_bytes());
    let table = |number: u64| (number << 33).to_be_bytes();
    (1..=7).for_each(|number| bytes.extend(table(number)));
    [1024, 512, 2048_u64]
        .iter()
        .for_each(|pointer| bytes.extend(pointer.to_be_bytes()));
    bytes.resize(512, 0);
    let c2: Vec<u32> = (0..43).map(|entry| entry * 99_000_000 + 1).collect();
    c2.iter().for_each(|f7| bytes.extend(f7.to_be_bytes()));
    bytes.resize(2048, 0);
    let facts = PlotFacts {
        keys: PlotKeys {
            local: local_pk.to_g1(),
            plot: plot_pk,
        },
        prover: ProverFacts::V1 {
            pool,
            farmer,
            header: PlotHeader::parse(&bytes).unwrap().tables(),
            c2: c2.into_iter().map(u64::from).collect(),
        },
    };
    (bytes, facts)
}

/// Secret of all stand-ins.
const MASTER: [u8; 32] = [1; 32];

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
#[ignore = "makes 100,000 files of 2 KB and measures"]
fn a_hundred_thousand_plots_are_known_within_seconds_from_the_cache() {
    const PLOTS: u32 = 100_000;
    const DRIVES: u32 = 40;
    let (_dir, path) = directory();
    let drive = |drive: u32| path.join(format!("mnt/harvester-drive-{drive:02}/plots"));
    let options = ScanOptions {
        directories: (0..DRIVES).map(drive).collect(),
        batch_sleep: Duration::from_millis(1),
        ..scan_options(&path)
    };
    for directory in &options.directories {
        fs::create_dir_all(directory).unwrap();
    }
    let local_pk = derive::local_sk(&SecretKey::from_bytes(&MASTER).unwrap()).public_key();
    let mut cached = CachedPlots::new();
    for number in 0..PLOTS {
        let name = format!("plot-k32-2024-01-01-00-00-{number:064x}.plot");
        let file = drive(number % DRIVES).join(name);
        let (bytes, facts) = stand_in(number, &local_pk);
        fs::write(&file, bytes).unwrap();
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(108 << 30)
            .unwrap();
        let entry = CachedPlot {
            stamp: FileStamp::of(&fs::metadata(&file).unwrap()),
            facts: Arc::new(facts),
            last_seen: 0,
        };
        cached.insert(file.into(), entry);
    }
    let files = ScannerFiles {
        cache: Some(path.join("cache/plots")),
        ..ScannerFiles::default()
    };
    let cache = files.cache.as_ref().unwrap();
    let entries = cached.iter().map(|(path, entry)| (path, entry.clone()));
    cache::save(cache, &cache::encode(entries, 0)).unwrap();
    drop(cached);
    let before = resident();
    let look = Arc::new(Counting::default());
    let scanner = Scanner::with(files.clone(), Clock::start(), Box::new(Arc::clone(&look)));
    let (first, found) = timed(|| refresh(&scanner, &options));
    assert_eq!(found.plots.len(), PLOTS as usize, "{:?}", found.troubles.first());
    assert!(look.opened().iter().all(|(_, was_known)| *was_known));
    look.opened.lock().unwrap().clear();
    drop(found);
    let (again, found) = timed(|| refresh(&scanner, &options));
    assert_eq!((found.plots.len(), look.opened().len()), (PLOTS as usize, 0));
    println!(
        "{PLOTS} plots known after {first:.1?}, looked at again in {again:.1?}; {} bytes each in memory, {} in the cache",
        resident().saturating_sub(before) / u64::from(PLOTS),
        fs::metadata(cache).unwrap().len() / u64::from(PLOTS),
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = now();
    let result = work();
    (start.elapsed(), result)
}
