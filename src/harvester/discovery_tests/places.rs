//! Files that are met on several ways, drives that get another number, directories that are nobody's.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::harvester::testing::{Farmer, HEIGHTS, service_looking, signage_point};

/// The disks, with another number of the volume.
#[derive(Debug, Default)]
struct Numbered(AtomicU64);

impl Look for Arc<Numbered> {
    fn list(
        &self,
        directory: &Path,
        options: &ScanOptions,
        mounts: &Mounts,
        leave_out: &BTreeSet<PathBuf>,
        progress: &dyn Fn(),
    ) -> Listing {
        let mut listing = Disks.list(directory, options, mounts, leave_out, progress);
        for found in listing.files.values_mut() {
            found.volume = self.0.load(Ordering::Relaxed);
        }
        listing
    }

    fn open(&self, due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
        let facts = Disks.open(due, keys, most)?;
        facts.own_keys()?;
        // The number is that of the listing, as of a file whose facts are known.
        let facts = facts.facts().unwrap();
        LoadedPlot::open_known(&due.path, due.found.stamp, due.found.volume, keys, &facts)
    }
}

#[test]
fn plots_of_a_drive_that_was_mounted_again_are_on_the_drive_with_its_new_number() {
    let (_dir, path) = directory();
    fs::copy(original(), path.join("a.plot")).unwrap();
    fs::write(path.join("b.plot"), b"no plot").unwrap();
    let look = Arc::new(Numbered::default());
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Arc::clone(&look)));
    for number in [7, 8] {
        look.0.store(number, Ordering::Relaxed);
        let found = refresh(&scanner, &scan_options(&path));
        let volumes: Vec<_> = found
            .volumes
            .iter()
            .map(|it| (it.volume, it.plots, it.not_farmed))
            .collect();
        assert_eq!(volumes, [(number, 1, 1)]);
        assert_eq!(found.plots.values().next().unwrap().volume(), number);
        assert_eq!(found.changes.removed, 0);
    }
}

#[test]
fn a_file_that_links_lead_to_from_several_directories_is_one_file() {
    let (_dir, path) = directory();
    let real = path.join("real");
    fs::create_dir(&real).unwrap();
    fs::copy(original(), real.join("a.plot")).unwrap();
    fs::copy(pooled(), real.join("c.plot")).unwrap();
    fs::write(real.join("bad.plot"), b"no plot").unwrap();
    let directories: Vec<_> = ["one", "two", "three"].map(|name| path.join(name)).into();
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        symlink(&real, directory.join("link")).unwrap();
    }
    symlink(real.join("c.plot"), directories[0].join("c.plot")).unwrap();
    let options = ScanOptions {
        directories: directories.clone(),
        recursive: true,
        follow_links: true,
        ..scan_options(&path)
    };
    let scanner = scanner();
    for _ in 0..3 {
        let found = refresh(&scanner, &options);
        let bad = real.join("bad.plot").to_str().unwrap().to_owned();
        assert_eq!(found.failed, [bad], "farmers refuse a list that names a file twice");
        assert_eq!(found.duplicates, Vec::<String>::new());
        assert_eq!((found.files, found.counts.farmed, found.counts.failed), (3, 2, 1));
        assert_eq!((found.volumes[0].plots, found.volumes[0].not_farmed), (2, 1));
    }
    // One way less.
    for directory in &directories[..2] {
        fs::remove_file(directory.join("link")).unwrap();
        let found = refresh(&scanner, &options);
        assert_eq!((found.files, found.plots.len(), found.failed.len()), (3, 2, 1));
    }
}

/// Runs itself again as a user who may not read everything, if this one may.
#[test]
fn what_a_file_system_keeps_for_its_repair_is_no_plot_directory() {
    if rustix::process::geteuid().is_root() {
        return disks::passes_as_nobody(
            module_path!(),
            "what_a_file_system_keeps_for_its_repair_is_no_plot_directory",
        );
    }
    let (_dir, path) = directory();
    let kept = path.join("lost+found");
    fs::create_dir(&kept).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o000)).unwrap();
    let options = ScanOptions {
        recursive: true,
        ..scan_options(&path)
    };
    let found = refresh(&scanner(), &options);
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found.troubles, []);
    // Who may read it finds what a repair has saved.
    fs::copy(original(), kept.join("a.plot")).unwrap();
    assert_eq!(refresh(&scanner(), &options).plots.len(), 1);
}

/// Disks that look from outside as they did at first.
#[derive(Debug, Default)]
struct Unchanging(Mutex<Option<Vec<(PathBuf, Found)>>>);

impl Look for Unchanging {
    fn list(
        &self,
        directory: &Path,
        options: &ScanOptions,
        mounts: &Mounts,
        leave_out: &BTreeSet<PathBuf>,
        progress: &dyn Fn(),
    ) -> Listing {
        let mut first = self.0.lock().unwrap();
        let files = first.get_or_insert_with(|| {
            let listing = Disks.list(directory, options, mounts, leave_out, progress);
            let files = listing.files.into_iter();
            files.map(|(path, found)| (path.to_path_buf(), found)).collect()
        });
        let files = files.iter().map(|(path, found)| (path.clone().into(), *found));
        Listing {
            files: files.collect(),
            ..Listing::default()
        }
    }
}

#[test]
fn a_plot_that_was_farmed_and_fails_is_tried_again_in_the_next_refresh() {
    let (_dir, path) = directory();
    let (file, aside) = (path.join("a.plot"), path.join("aside"));
    fs::copy(original(), &file).unwrap();
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Unchanging::default()));
    let counts = || {
        let counts = refresh(&scanner, &scan_options(&path)).counts;
        (counts.farmed, counts.failed)
    };
    assert_eq!(counts(), (1, 0));
    fs::rename(&file, &aside).unwrap();
    assert_eq!(counts(), (1, 0), "nothing seems to have changed");
    for _ in 0..2 {
        let found = Arc::clone(&scanner.findings().borrow());
        found.plots.values().next().unwrap().doubt();
        assert_eq!(counts(), (0, 1));
        fs::rename(&aside, &file).unwrap();
        assert_eq!(counts(), (1, 0), "what hinders for a moment costs no twenty minutes");
        fs::rename(&file, &aside).unwrap();
    }
}

#[tokio::test]
async fn a_plot_whose_file_look_ups_cannot_open_is_a_failed_file_and_its_copy_is_farmed() {
    let (_dir, path) = directory();
    let (file, copy) = (path.join("a.plot"), path.join("b.plot"));
    fs::copy(original(), &file).unwrap();
    fs::copy(original(), &copy).unwrap();
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    let service = service_looking(&path, Box::new(Unchanging::default()));
    let mut farmer = Farmer::meet(service, keys()).await;
    let told = farmer.synced(|told| told.plots.len() == 1).await;
    assert_eq!(told.duplicates, [name(&copy)]);
    let point = signage_point(&[original()], HEIGHTS);
    fs::rename(&file, path.join("aside")).unwrap();
    let (proofs, info) = farmer.challenge(point).await;
    assert_eq!((proofs.len(), info.passed), (0, 1));
    let told = farmer.synced(|told| !told.invalid.is_empty()).await;
    assert_eq!((&told.invalid, told.duplicates.len()), (&vec![name(&file)], 0));
    assert_eq!(told.plots.keys().collect::<Vec<_>>(), [&name(&copy)]);
}
