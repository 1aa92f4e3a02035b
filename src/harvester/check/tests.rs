use std::fs;
use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use super::super::scan::{Look, ScanOptions};
use super::super::testing::{constants, foreign, keys, original, scan_options};
use super::*;
use crate::harvester::{NewPlot, PlotFormat, PlotFormatV2, PlotJob};
use crate::ids::PuzzleHash;

fn options(challenges: u64) -> CheckOptions {
    CheckOptions {
        constants: Arc::new(Constants {
            plot_size_v2: 18,
            ..constants()
        }),
        keys: Some(keys()),
        max_compression_level: 7,
        challenges: 0..challenges,
    }
}

fn check(path: &Path, challenges: u64) -> PlotReport {
    check_plot(path, &options(challenges), &CancellationToken::new(), &mut || ())
}

/// A file with other bytes than the original plot's.
fn changed(dir: &tempfile::TempDir, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let path = dir.path().join("a.plot");
    let mut bytes = fs::read(original()).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_whole_plot_gives_about_one_proof_a_challenge() {
    let report = check(original(), 30);
    assert_eq!((report.verdict, report.challenges), (Verdict::Valid, 30));
    assert!((10..=60).contains(&report.proofs), "{report:?}");
    assert_eq!((report.lookups.count, report.proving.count), (30, report.proofs));
    let plot = report.plot.unwrap();
    assert_eq!((plot.k, plot.version, plot.missing_key), (18, HeaderVersion::V1, None));
    assert_eq!(check(original(), 0).verdict, Verdict::Valid, "it can be opened");
}

#[test]
fn a_v2_plot_is_checked_too() {
    let dir = tempfile::tempdir().unwrap();
    let plot = NewPlot {
        farmer_public_key: keys().farmer_public_keys[0],
        pool: PlotPool::Contract(PuzzleHash([3; 32])),
        format: PlotFormat::V2(PlotFormatV2 {
            k: 18,
            strength: 2,
            plot_index: 1,
            meta_group: 2,
            testnet: true,
        }),
    };
    let path = PlotJob::begin(dir.path(), &plot, &[9; 32])
        .unwrap()
        .run(&mut |_| ())
        .unwrap();
    let report = check(&path, 8);
    assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
    assert!(report.proofs > 0 && report.proving.count == report.proofs);

    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(check(&path, 8).verdict, Verdict::CannotOpen);
}

#[test]
fn a_plot_with_a_wrong_byte_is_not_valid() {
    let dir = tempfile::tempdir().unwrap();
    // Every 256th byte of tables 1 to 6, so that hardly a proof can do without one of them.
    let path = changed(&dir, |bytes| {
        let end = bytes.len() / 2;
        bytes[1000..end].iter_mut().step_by(256).for_each(|byte| *byte ^= 0x10);
    });
    let report = check(&path, 30);
    assert_eq!((report.verdict, report.errors.len()), (Verdict::Invalid, MAX_ERRORS));
    assert!(report.challenges < 30, "it is not asked on and on");
}

#[test]
fn a_plot_cut_short_cannot_be_opened_or_is_not_valid() {
    let dir = tempfile::tempdir().unwrap();
    for share in [0.0, 0.0001, 0.3, 0.9] {
        let path = changed(&dir, |bytes| bytes.truncate((bytes.len() as f64 * share) as usize));
        let report = check(&path, 60);
        assert!(
            matches!(report.verdict, Verdict::CannotOpen | Verdict::Invalid),
            "{share}: {report:?}"
        );
        assert!(!report.errors.is_empty());
    }
}

#[test]
fn plots_of_others_and_copies_are_told_and_checked_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(original(), dir.path().join("a.plot")).unwrap();
    fs::copy(original(), dir.path().join("b.plot")).unwrap();
    let files: Vec<_> = plot_files(&scan_options(dir.path())).files.into_keys().collect();
    let mut others = options(3);
    others.keys.as_mut().unwrap().pool_public_keys.clear();
    let mut reports = Vec::new();
    check_plots(&files, &others, &CancellationToken::new(), &mut |event| {
        if let CheckEvent::Done(report) = event {
            reports.push(report.clone());
        }
    })
    .unwrap();
    assert_eq!(reports.len(), 2);
    assert_eq!(
        (&reports[0].duplicate_of, &reports[1].duplicate_of),
        (&None, &Some(reports[0].path.clone()))
    );
    for report in &reports {
        assert_eq!(report.plot.as_ref().unwrap().missing_key, Some(MissingKey::Pool));
        assert_eq!(report.challenges, 3);
    }
    // Its id does not come of the keys in it.
    let path = changed(&dir, |bytes| *bytes = foreign());
    let report = check(&path, 3);
    assert_eq!(report.plot.unwrap().missing_key, Some(MissingKey::Farmer));
    assert_eq!(report.verdict, Verdict::CannotOpen);
}

#[test]
fn plots_are_found_where_a_harvester_looks_and_directories_that_are_not_there_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("below");
    fs::create_dir(&below).unwrap();
    for name in ["b.plot", "a.plot2", "c.txt", "below/d.plot"] {
        fs::write(dir.path().join(name), b"x").unwrap();
    }
    let gone = dir.path().join("gone");
    let look = |recursive| {
        let found = plot_files(&ScanOptions {
            directories: vec![dir.path().to_owned(), below.clone(), gone.clone()],
            recursive,
            ..scan_options(dir.path())
        });
        assert!(found.troubles.into_keys().eq([gone.clone()]));
        found.files.len()
    };
    assert_eq!((look(false), look(true)), (3, 3), "and none twice");
}

#[test]
fn a_directory_whose_drive_hangs_is_told_and_holds_up_no_other() {
    #[derive(Debug)]
    struct Hanging(PathBuf, Mutex<Receiver<()>>);

    impl Look for Hanging {
        fn resolve(&self, directory: &Path) -> io::Result<PathBuf> {
            if directory == self.0 {
                let _ = self.1.lock().unwrap().recv();
            }
            fs::canonicalize(directory)
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let sick = dir.path().join("sick");
    fs::create_dir(&sick).unwrap();
    fs::write(dir.path().join("a.plot"), b"1234").unwrap();
    let options = ScanOptions {
        directories: vec![sick.clone(), dir.path().to_owned()],
        ..scan_options(dir.path())
    };
    let (release, held) = sync_channel(0);
    let look = Arc::new(Hanging(sick.clone(), Mutex::new(held)));
    let found = find::find(look, &options, Duration::from_millis(200));
    assert!(found.files.into_values().eq([ByteSize(4)]));
    let [(directory, why)] = &found.troubles.into_iter().collect::<Vec<_>>()[..] else {
        panic!("one is in trouble");
    };
    assert_eq!((directory, why), (&sick, &Unlisted::NoAnswer));
    assert!(why.hint(directory).unwrap().contains("`farmconsole plots remove -d "));
    drop(release);
}

#[test]
fn a_check_that_is_stopped_tells_what_it_knows() {
    let stop = CancellationToken::new();
    let mut asked = 0;
    let report = check_plot(original(), &options(1000), &stop, &mut || {
        asked += 1;
        if asked == 5 {
            stop.cancel();
        }
    });
    assert_eq!((report.verdict, report.challenges), (Verdict::Interrupted, 5));
    let mut events = 0;
    check_plots(&[original().to_owned()], &options(1000), &stop, &mut |_| events += 1).unwrap();
    assert_eq!(events, 0);
}

#[test]
fn challenges_are_those_of_the_official_check() {
    // std_hash((1).to_bytes(32, "big"))
    assert_eq!(
        check_challenge(1).to_string(),
        "ec4916dd28fc4c10d78e287ca5d9cc51ee1ae73cbfde08c6b37324cbfaac8bc5"
    );
}
