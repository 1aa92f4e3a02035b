//! Finding plots on real disks, and on disks that hang, fail and go.

mod disks;
mod many;
mod places;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::crypto::{PublicKey, SecretKey, derive, plot_public_key};
use crate::harvester::cache::{self, CachedPlot, CachedPlots};
use crate::harvester::file::FileStamp;
use crate::harvester::findings::Findings;
use crate::harvester::inventory::{Due, Found, Listing};
use crate::harvester::mounts::Mounts;
use crate::harvester::plot::{LoadedPlot, OpenError, PlotFacts, PlotKeys, ProverFacts};
use crate::harvester::scan::{Disks, Look, ScanOptions};
use crate::harvester::scanner::{Scanner, ScannerFiles};
use crate::harvester::testing::{CONTRACT, foreign, keys, make_v2, original, pooled, scan_options};
use crate::pos::header::{PlotHeader, PlotMemo};
use crate::snapshot::FileState;
use crate::system_clock::Clock;
use crate::wire::{HarvesterHandshake, PlotPool, plot_id_v1};
use disks::{Counting, Hanging, Place};

#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn now() -> Instant {
    Instant::now()
}

fn scanner() -> Scanner {
    Scanner::new(ScannerFiles::default(), Clock::start())
}

fn refresh(scanner: &Scanner, options: &ScanOptions) -> Arc<Findings> {
    scanner.refresh(options, &keys(), now())
}

/// A directory and where it really is.
fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap();
    (dir, path)
}

fn names(findings: &Findings) -> Vec<String> {
    findings.plots.values().map(|plot| plot.name().into_owned()).collect()
}

/// What is told of the only file or directory with trouble.
fn trouble(findings: &Findings) -> (FileState, String) {
    match &findings.troubles[..] {
        [one] => (one.state, one.reason.clone()),
        other => panic!("{other:?}"),
    }
}

/// The beginning of a plot of this k and compression level, with pointers beyond the end.
fn compressed(level: u8) -> Vec<u8> {
    let classic = fs::read(original()).unwrap();
    let mut bytes = b"PLOT\x02\x00\x00\x00".to_vec();
    bytes.extend_from_slice(&classic[19..52]);
    bytes.extend_from_slice(&classic[58..188]);
    bytes.extend_from_slice(&[1, 0, 0, 0, level]);
    bytes.extend_from_slice(&classic[188..268]);
    bytes
}

#[test]
fn files_that_are_no_plots_are_listed_with_their_reason_and_tried_again_later() {
    let (_dir, path) = directory();
    fs::write(path.join("a.plot"), b"no plot at all, but long enough for a header").unwrap();
    fs::write(path.join("._a.plot"), b"x").unwrap();
    fs::write(path.join("notes.txt"), b"x").unwrap();
    let look = Arc::new(Counting::default());
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Arc::clone(&look)));
    let (options, start) = (scan_options(&path), now());
    for (after, opened) in [(0, 1), (1199, 1), (1200, 2)] {
        let found = scanner.refresh(&options, &keys(), start + Duration::from_secs(after));
        assert_eq!((found.files, found.counts.failed), (1, 1));
        let (state, reason) = trouble(&found);
        assert!(
            reason.ends_with("not a plot file: it begins with 6e6f20706c6f7420617420616c6c2c20627574"),
            "{reason}"
        );
        assert_eq!(
            (state, look.opened().len()),
            (FileState::Failed, opened),
            "after {after} s"
        );
    }
}

#[test]
fn a_file_that_has_changed_is_looked_at_again_at_once() {
    let (_dir, path) = directory();
    let file = path.join("a.plot");
    let (scanner, options) = (scanner(), scan_options(&path));
    fs::write(&file, b"half a plot").unwrap();
    assert_eq!(refresh(&scanner, &options).plots.len(), 0);
    fs::copy(original(), &file).unwrap();
    let found = refresh(&scanner, &options);
    assert_eq!(
        (found.plots.len(), found.changes.loaded, found.changes.removed),
        (1, 1, 0)
    );
    fs::write(&file, foreign()).unwrap();
    let found = refresh(&scanner, &options);
    assert_eq!(
        (found.counts.no_key, found.changes.loaded, found.changes.removed),
        (1, 0, 1)
    );
}

#[test]
fn a_plot_whose_file_only_got_another_mode_is_farmed_all_the_time() {
    let (_dir, path) = directory();
    let file = path.join("a.plot");
    fs::copy(original(), &file).unwrap();
    let (scanner, options) = (scanner(), scan_options(&path));
    let first = Arc::clone(refresh(&scanner, &options).plots.values().next().unwrap());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(first.open_file().is_ok());
    let found = refresh(&scanner, &options);
    assert!(Arc::ptr_eq(&first, found.plots.values().next().unwrap()));
    assert_eq!((found.changes.loaded, found.changes.removed), (0, 0));
}

#[test]
fn every_file_that_is_not_farmed_is_told_with_its_state_and_reason() {
    let (_dir, path) = directory();
    let at = |name: &str| path.join(name);
    fs::copy(original(), at("a.plot")).unwrap();
    fs::copy(original(), at("renamed.plot")).unwrap();
    // What a file is, its content says.
    fs::copy(pooled(), at("v1.plot2")).unwrap();
    fs::write(at("foreign.plot"), foreign()).unwrap();
    fs::write(at("compressed.plot"), compressed(8)).unwrap();
    let mut begun = fs::read(original()).unwrap();
    begun[51] = 32;
    begun.truncate(1000);
    fs::write(at("begun.plot"), begun).unwrap();
    fs::write(at("empty.plot"), b"").unwrap();
    let found = refresh(&scanner(), &scan_options(&path));
    let told: Vec<_> = found
        .troubles
        .iter()
        .map(|trouble| {
            (
                Path::new(&trouble.file).file_name().unwrap().to_str().unwrap(),
                trouble.state,
            )
        })
        .collect();
    let expected = [
        ("begun.plot", FileState::BeingCopied),
        ("compressed.plot", FileState::TooCompressed),
        ("empty.plot", FileState::Failed),
        ("foreign.plot", FileState::NoKey),
        ("renamed.plot", FileState::Duplicate),
    ];
    assert_eq!(told, expected, "{:?}", found.troubles);
    let counts = &found.counts;
    assert_eq!((counts.farmed, counts.failed, counts.no_key), (2, 1, 1));
    assert_eq!(
        (counts.duplicates, counts.being_copied, counts.too_compressed),
        (1, 1, 1)
    );
    // The farmer hears of all but what is being copied.
    assert_eq!(
        (found.failed.len(), found.no_key.len(), found.duplicates.len()),
        (2, 1, 1)
    );
    let reason = |at: usize| &found.troubles[at].reason;
    assert!(
        reason(1).ends_with("level 8, and `harvester.max_compression_level_allowed` is 7"),
        "{}",
        reason(1)
    );
    let ours = keys().farmer_public_keys[0].to_string();
    assert!(
        reason(3).contains("which is none of ours: ") && reason(3).ends_with(&ours),
        "{}",
        reason(3)
    );
    assert!(
        reason(4).contains("is a copy of ") && reason(4).contains("/a.plot"),
        "{}",
        reason(4)
    );
    let [volume] = &found.volumes[..] else {
        panic!("{:?}", found.volumes)
    };
    assert_eq!((volume.plots, volume.not_farmed), (2, 5));
    assert_eq!(
        volume.name,
        Mounts::read().unwrap().point_of(&path).unwrap().to_str().unwrap()
    );
}

#[test]
fn no_compressed_plots_are_farmed_where_the_settings_give_them_no_decompressor() {
    let (_dir, path) = directory();
    fs::write(path.join("a.plot"), compressed(1)).unwrap();
    let options = ScanOptions {
        max_compression_level: 0,
        ..scan_options(&path)
    };
    let (state, reason) = trouble(&refresh(&scanner(), &options));
    assert_eq!(state, FileState::TooCompressed);
    assert!(
        reason.ends_with("`harvester.parallel_decompressor_count` 0 allows no compressed plots"),
        "{reason}"
    );
}

#[test]
fn a_v2_plot_of_another_k_than_the_networks_is_not_farmed_and_says_why() {
    let (_dir, path) = directory();
    make_v2(&path, &PlotPool::Contract(CONTRACT), 0, 0);
    let with_k = |plot_size_v2| ScanOptions {
        plot_size_v2,
        ..scan_options(&path)
    };
    let (state, reason) = trouble(&refresh(&scanner(), &with_k(20)));
    assert_eq!(state, FileState::Failed);
    assert!(
        reason.ends_with("is a v2 plot of k 18, and on this network v2 plots are of k 20"),
        "{reason}"
    );
    assert_eq!(refresh(&scanner(), &with_k(18)).counts.farmed, 1);
}

#[test]
fn directories_that_are_not_there_or_cannot_be_listed_are_told_and_do_not_hinder_the_others() {
    let (_dir, path) = directory();
    fs::copy(original(), path.join("a.plot")).unwrap();
    let no_directory = path.join("a.plot");
    let options = ScanOptions {
        directories: vec![PathBuf::from("/nowhere/at/all"), no_directory, path.clone()],
        ..scan_options(&path)
    };
    let found = refresh(&scanner(), &options);
    assert_eq!((found.plots.len(), found.counts.failed), (1, 0));
    let reasons: Vec<_> = found.troubles.iter().map(|trouble| trouble.reason.as_str()).collect();
    let [nowhere, no_directory] = reasons[..] else {
        panic!("{reasons:?}")
    };
    assert!(nowhere.starts_with("this plot directory does not exist"), "{nowhere}");
    assert!(
        no_directory.contains("cannot be listed: Not a directory"),
        "{no_directory}"
    );
}

#[test]
fn directories_below_are_looked_into_only_if_asked_and_loops_end() {
    let (_dir, path) = directory();
    let below = path.join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("b.plot"), b"x").unwrap();
    symlink(&path, below.join("loop")).unwrap();
    assert_eq!(refresh(&scanner(), &scan_options(&path)).files, 0);
    let deep = ScanOptions {
        recursive: true,
        follow_links: true,
        ..scan_options(&path)
    };
    assert_eq!(refresh(&scanner(), &deep).files, 1);
    // One that is in the settings, too, or under two names, is no second one.
    let link = path.join("link");
    symlink(&below, &link).unwrap();
    let twice = ScanOptions {
        directories: vec![path.clone(), below, link],
        ..deep
    };
    let scanner = scanner();
    for _ in 0..2 {
        let found = refresh(&scanner, &twice);
        assert_eq!((found.files, found.troubles.len()), (1, 1), "{:?}", found.troubles);
    }
}

#[test]
fn what_is_no_file_but_named_like_a_plot_is_left_alone_and_a_dead_link_is_told() {
    let (_dir, path) = directory();
    let fifo = path.join("pipe.plot");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::create_dir(path.join("directory.plot")).unwrap();
    symlink("/nowhere/at/all", path.join("link.plot")).unwrap();
    let found = refresh(&scanner(), &scan_options(&path));
    let (_, reason) = trouble(&found);
    assert!(reason.contains("link.plot: No such file"), "{reason}");
    assert_eq!(found.files, 1);
    // It may become one between listing and opening.
    let opened = LoadedPlot::open(&fifo, &keys()).unwrap_err().to_string();
    assert!(opened.ends_with("not a regular file"), "{opened}");
}

#[test]
fn a_directory_that_vanishes_is_one_line_until_it_is_back() {
    let (_dir, path) = directory();
    let (plots, away) = (path.join("plots"), path.join("away"));
    fs::create_dir(&plots).unwrap();
    fs::copy(original(), plots.join("a.plot")).unwrap();
    fs::copy(pooled(), plots.join("b.plot")).unwrap();
    let (scanner, options) = (scanner(), scan_options(&plots));
    assert_eq!(refresh(&scanner, &options).plots.len(), 2);

    fs::rename(&plots, &away).unwrap();
    let mut since = None;
    for removed in [2, 0] {
        let found = refresh(&scanner, &options);
        assert_eq!((found.plots.len(), found.changes.removed), (0, removed));
        assert_eq!(found.gone.keys().collect::<Vec<_>>(), [plots.to_str().unwrap()]);
        let gone = found.gone.values().next().unwrap();
        assert_eq!(gone.plots, 2);
        assert_eq!(*since.get_or_insert(gone.since_unix_ms), gone.since_unix_ms);
        assert!(trouble(&found).1.starts_with("this plot directory does not exist"));
    }
    fs::rename(&away, &plots).unwrap();
    let found = refresh(&scanner, &options);
    assert_eq!((found.plots.len(), found.gone.len(), found.troubles.len()), (2, 0, 0));

    // Files that were deleted are no drive, and a directory that nobody wants any more is not missed.
    fs::remove_file(plots.join("a.plot")).unwrap();
    let found = refresh(&scanner, &options);
    assert_eq!((found.plots.len(), found.gone.len()), (1, 0));
    let elsewhere = scan_options(&path.join("nothing"));
    let found = refresh(&scanner, &elsewhere);
    assert_eq!((found.files, found.gone.len(), found.changes.removed), (0, 0, 1));
}

#[test]
fn a_copy_in_another_directory_takes_the_place_of_a_plot_that_is_gone() {
    let (_dir, path) = directory();
    let directories: Vec<_> = ["one", "two"].map(|name| path.join(name)).into();
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        fs::copy(original(), directory.join("a.plot")).unwrap();
    }
    let options = ScanOptions {
        directories: directories.clone(),
        ..scan_options(&path)
    };
    let scanner = scanner();
    for _ in 0..3 {
        let found = refresh(&scanner, &options);
        assert_eq!((found.plots.len(), found.duplicates.len()), (1, 1));
        let farmed = PathBuf::from(names(&found).remove(0));
        let copy = PathBuf::from(&found.duplicates[0]);
        fs::remove_file(&farmed).unwrap();
        assert_eq!(names(&refresh(&scanner, &options)), [copy.to_str().unwrap()]);
        fs::copy(original(), &farmed).unwrap();
    }
}

#[test]
fn what_is_known_of_plots_outlives_the_process_but_not_a_change_of_the_file() {
    let (_dir, path) = directory();
    let plots = path.join("plots");
    fs::create_dir(&plots).unwrap();
    for (plot, name) in [(original(), "a.plot"), (pooled(), "b.plot")] {
        fs::copy(plot, plots.join(name)).unwrap();
    }
    let files = ScannerFiles {
        cache: Some(path.join("cache/plots")),
        ..ScannerFiles::default()
    };
    let opened = || {
        let look = Arc::new(Counting::default());
        let scanner = Scanner::with(files.clone(), Clock::start(), Box::new(Arc::clone(&look)));
        let found = refresh(&scanner, &scan_options(&plots));
        assert_eq!((found.plots.len(), found.progress), (2, (2, 2)));
        let opened = look.opened();
        opened
            .into_iter()
            .map(|(path, known)| (path.file_name().unwrap().to_owned(), known))
            .collect::<Vec<_>>()
    };
    assert_eq!(opened(), [("a.plot".into(), false), ("b.plot".into(), false)]);
    assert_eq!(opened(), [("a.plot".into(), true), ("b.plot".into(), true)]);

    // The same size and the same time of modification under the same name.
    let (a, aside) = (plots.join("a.plot"), path.join("aside"));
    let modified = fs::metadata(&a).unwrap().modified().unwrap();
    fs::copy(&a, &aside).unwrap();
    fs::File::options()
        .write(true)
        .open(&aside)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::rename(&aside, &a).unwrap();
    assert_eq!(opened(), [("a.plot".into(), false), ("b.plot".into(), true)]);

    let cache = files.cache.as_ref().unwrap();
    let mut bytes = fs::read(cache).unwrap();
    let secret = PlotHeader::parse(&fs::read(original()).unwrap())
        .unwrap()
        .memo
        .local_master_sk;
    assert!(
        bytes.windows(32).all(|window| window != &secret[..]),
        "a secret in the cache"
    );
    bytes[100] ^= 1;
    fs::write(cache, bytes).unwrap();
    assert_eq!(opened(), [("a.plot".into(), false), ("b.plot".into(), false)]);
    assert_eq!(opened(), [("a.plot".into(), true), ("b.plot".into(), true)]);
}

#[test]
fn directories_added_to_the_settings_are_looked_at_in_the_next_refresh() {
    let (_dir, path) = directory();
    let plots = path.join("plots");
    fs::create_dir(&plots).unwrap();
    fs::copy(original(), plots.join("a.plot")).unwrap();
    let settings = path.join("config.yaml");
    let files = ScannerFiles {
        settings: Some(settings.clone()),
        ..ScannerFiles::default()
    };
    let scanner = Scanner::new(files, Clock::start());
    let nothing = scan_options(&path.join("nothing"));
    let with = |text: &str| {
        fs::write(&settings, text).unwrap();
        refresh(&scanner, &nothing).plots.len()
    };
    assert_eq!(with("selected_network: mainnet\n"), 0);
    let added = format!("harvester:\n  plot_directories:\n  - {}\n", plots.display());
    assert_eq!(with(&added), 1);
    assert_eq!(with("harvester: 7\n"), 1, "what is broken is not followed");
    assert_eq!(with("harvester:\n  plot_directories: []\n"), 0);
}

#[test]
fn plots_are_farmed_before_their_keys_are_known() {
    let (_dir, path) = directory();
    fs::copy(pooled(), path.join("a.plot")).unwrap();
    let look = Arc::new(Hanging::default());
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Arc::clone(&look)));
    look.set(Some(Place::Keys), &path);
    let found = refresh(&scanner, &scan_options(&path));
    let plot = found.plots.values().next().unwrap();
    assert_eq!(plot.known_keys(), None);
    // Whoever needs them before does not wait for the scan.
    let keys = *plot.own_keys().unwrap();
    look.set(None, &path);
    assert_eq!(
        Some(keys),
        LoadedPlot::open(pooled(), &crate::harvester::testing::keys())
            .unwrap()
            .known_keys()
            .copied()
    );
}

#[test]
fn a_damaged_plot_is_listed_and_the_others_are_farmed() {
    let (_dir, path) = directory();
    fs::copy(original(), path.join("whole.plot")).unwrap();
    let plot = fs::read(pooled()).unwrap();
    // Of a header, every field is checked or leads to another id; cut off wherever a table begins or in the header.
    for at in [0, 20, 51, 53, 55, 58, 59, 61, 100, 150] {
        let mut flipped = plot.clone();
        flipped[at] ^= 0x10;
        fs::write(path.join(format!("flipped-{at}.plot")), flipped).unwrap();
    }
    let header = PlotHeader::parse(&plot).unwrap();
    let pointers = header.table_pointers.iter().map(|pointer| *pointer as usize);
    for end in pointers.chain([1, 30, 60, 200]) {
        fs::write(path.join(format!("cut-{end}.plot")), &plot[..end]).unwrap();
    }
    let found = refresh(&scanner(), &scan_options(&path));
    assert_eq!(names(&found), [path.join("whole.plot").to_str().unwrap()]);
    assert_eq!(
        (found.counts.failed + found.counts.no_key, found.troubles.len()),
        (24, 24),
        "{:?}",
        found.counts
    );
    assert!(found.troubles.iter().all(|trouble| !trouble.reason.is_empty()));
}

const IN_NAMESPACE: &str = "FARMCONSOLE_TEST_IN_NAMESPACE";

/// Set for a test that runs alone in its process.
const ALONE: &str = "FARMCONSOLE_TEST_ALONE";
