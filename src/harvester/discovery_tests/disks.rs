//! Disks that count, hang and fail.

use super::*;

/// The disks, and what was opened.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) opened: Mutex<Vec<(PathBuf, bool)>>,
}

impl Counting {
    /// Files opened, in the order of their names, and whether something was known of them.
    pub(super) fn opened(&self) -> Vec<(PathBuf, bool)> {
        let mut opened = self.opened.lock().unwrap().clone();
        opened.sort();
        opened
    }
}

impl Look for Arc<Counting> {
    fn open(&self, due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
        let opened = (due.path.to_path_buf(), due.facts.is_some());
        self.opened.lock().unwrap().push(opened);
        Disks.open(due, keys, most)
    }
}

/// Disks of which one directory hangs.
#[derive(Debug, Default)]
pub(super) struct Hanging {
    at: Mutex<Option<(Place, PathBuf)>>,
    waiting: Mutex<BTreeSet<PathBuf>>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Listing,
    Opening,
    Keys,
}

impl Hanging {
    pub(super) fn set(&self, place: Option<Place>, directory: &Path) {
        *self.at.lock().unwrap() = place.map(|place| (place, directory.to_owned()));
        self.changed.notify_all();
    }

    pub(super) fn wait(&self, place: Place, path: &Path) {
        let hangs = |at: &Option<(Place, PathBuf)>| {
            at.as_ref()
                .is_some_and(|(at, directory)| *at == place && path.starts_with(directory))
        };
        let mut at = self.at.lock().unwrap();
        while hangs(&at) {
            self.waiting.lock().unwrap().insert(path.to_owned());
            at = self.changed.wait(at).unwrap();
        }
        self.waiting.lock().unwrap().remove(path);
    }
}

impl Look for Arc<Hanging> {
    fn list(
        &self,
        directory: &Path,
        options: &ScanOptions,
        mounts: &Mounts,
        leave_out: &BTreeSet<PathBuf>,
        progress: &dyn Fn(),
    ) -> Listing {
        self.wait(Place::Listing, directory);
        let mut listing = Disks.list(directory, options, mounts, leave_out, progress);
        // A volume each: one that hangs keeps all of its directories.
        for found in listing.files.values_mut() {
            found.volume = u64::from(directory.ends_with("sick"));
        }
        listing
    }

    fn open(&self, due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
        self.wait(Place::Opening, &due.path);
        Disks.open(due, keys, most)
    }

    fn memo(&self, plot: &LoadedPlot) -> Result<PlotMemo, OpenError> {
        self.wait(Place::Keys, plot.path());
        Disks.memo(plot)
    }

    fn hangs(&self, lane: &Path, _silent_for: Duration) -> bool {
        self.waiting.lock().unwrap().iter().any(|path| path.starts_with(lane))
    }
}

fn fails(path: &Path, name: &str) -> Result<(), OpenError> {
    if !path.ends_with(name) {
        return Ok(());
    }
    Err(OpenError::Io {
        path: path.to_owned(),
        source: io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
    })
}

/// Disks on which one file cannot be read, and another only once.
#[derive(Debug)]
pub(super) struct Failing;

impl Look for Failing {
    fn open(&self, due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
        fails(&due.path, "b.plot")?;
        Disks.open(due, keys, most)
    }

    fn memo(&self, plot: &LoadedPlot) -> Result<PlotMemo, OpenError> {
        fails(plot.path(), "c.plot")?;
        Disks.memo(plot)
    }
}

/// Disks of which no file can be opened the first time, for this process may open no more.
#[derive(Debug)]
struct Full(Mutex<BTreeSet<PathBuf>>);

impl Look for Full {
    fn open(&self, due: &Due, keys: &HarvesterHandshake, most: u8) -> Result<LoadedPlot, OpenError> {
        if self.0.lock().unwrap().insert(due.path.to_path_buf()) {
            let source = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
            let path = due.path.to_path_buf();
            return Err(OpenError::Io { path, source });
        }
        Disks.open(due, keys, most)
    }
}

#[test]
fn a_disk_that_hangs_keeps_its_own_plots_only() {
    let (_dir, path) = directory();
    let directories: Vec<_> = ["fine", "sick"].map(|name| path.join(name)).into();
    for (directory, plot) in directories.iter().zip([original(), pooled()]) {
        fs::create_dir(directory).unwrap();
        fs::copy(plot, directory.join("a.plot")).unwrap();
    }
    let look = Arc::new(Hanging::default());
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Arc::clone(&look)));
    let options = ScanOptions {
        directories: directories.clone(),
        ..scan_options(&path)
    };
    let sick = directories[1].to_str().unwrap();
    for (place, plots) in [(Some(Place::Opening), 1), (None, 2), (Some(Place::Listing), 2)] {
        look.set(place, &directories[1]);
        let found = refresh(&scanner, &options);
        assert_eq!((found.plots.len(), found.finished), (plots, true), "{place:?}");
        if place.is_none() {
            continue;
        }
        let [trouble] = &found.troubles[..] else {
            panic!("{:?}", found.troubles)
        };
        assert_eq!(trouble.file, sick);
        assert!(trouble.reason.contains("has not answered for"), "{}", trouble.reason);
        // The others are refreshed meanwhile.
        fs::remove_file(directories[0].join("a.plot")).unwrap();
        let found = refresh(&scanner, &options);
        assert_eq!((found.plots.len(), found.troubles.len()), (plots - 1, 1));
        fs::copy(original(), directories[0].join("a.plot")).unwrap();
        refresh(&scanner, &options);
        let mut news = scanner.findings();
        news.borrow_and_update();
        look.set(None, &directories[1]);
        // Told at once, without another refresh.
        let found = loop {
            if news.has_changed().unwrap() {
                break Arc::clone(&news.borrow_and_update());
            }
            std::thread::yield_now();
        };
        assert_eq!(
            (found.plots.len(), found.troubles.len()),
            (2, 0),
            "{:?}",
            found.troubles
        );
    }
}

#[test]
fn a_file_that_fails_on_a_disk_is_told_with_what_the_disk_said() {
    for name in ["b.plot", "c.plot"] {
        let (_dir, path) = directory();
        fs::copy(original(), path.join("a.plot")).unwrap();
        fs::copy(pooled(), path.join(name)).unwrap();
        let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Failing));
        let found = refresh(&scanner, &scan_options(&path));
        assert_eq!(names(&found), [path.join("a.plot").to_str().unwrap()]);
        let (state, reason) = trouble(&found);
        assert_eq!(state, FileState::Failed);
        assert!(
            reason.contains(name) && reason.contains("Input/output error"),
            "{reason}"
        );
    }
}

#[test]
fn a_copy_on_another_drive_takes_the_place_of_a_plot_whose_drive_does_not_answer() {
    let (_dir, path) = directory();
    let directories: Vec<_> = ["fine", "sick"].map(|name| path.join(name)).into();
    for directory in &directories {
        fs::create_dir(directory).unwrap();
        fs::copy(original(), directory.join("a.plot")).unwrap();
    }
    fs::copy(pooled(), directories[1].join("b.plot")).unwrap();
    let look = Arc::new(Hanging::default());
    let scanner = Scanner::with(ScannerFiles::default(), Clock::start(), Box::new(Arc::clone(&look)));
    let with = |directories: &[PathBuf]| ScanOptions {
        directories: directories.to_vec(),
        ..scan_options(&path)
    };
    let files = |found: &Findings| {
        let farmed = found
            .plots
            .keys()
            .map(|path| path.strip_prefix(&directories[0]).is_ok());
        (farmed.collect::<Vec<_>>(), found.duplicates.clone())
    };
    let copy = |at: usize| vec![directories[at].join("a.plot").to_str().unwrap().to_owned()];
    refresh(&scanner, &with(&directories[1..]));
    assert_eq!(
        files(&refresh(&scanner, &with(&directories))),
        (vec![false, false], copy(0))
    );
    scanner.set_sick([1].into());
    look.set(Some(Place::Listing), &directories[1]);
    assert_eq!(
        files(&refresh(&scanner, &with(&directories))),
        (vec![true, false], copy(1))
    );
    scanner.set_sick(BTreeSet::new());
    look.set(None, &directories[1]);
    assert_eq!(
        files(&refresh(&scanner, &with(&directories))),
        (vec![true, false], copy(1))
    );
}

/// Runs one test of this file in a process of its own, with these tests as the command says.
fn passes(tests: Command, test: &str) {
    passes_in(tests, module_path!(), test);
}

fn passes_in(mut tests: Command, module: &str, test: &str) {
    let (_, module) = module.split_once("::").unwrap();
    let ran = tests
        .args(["--exact", &format!("{module}::{test}"), "--include-ignored"])
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success() && out.contains("1 passed"), "{out}{err}");
}

/// Runs a test of this module in a process of a user who may not read everything. Only root can.
pub(super) fn passes_as_nobody(module: &str, test: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut again = Command::new(program);
    again.uid(65_534).gid(65_534).current_dir("/");
    passes_in(again, module, test);
}

/// Runs itself again as a user who may not read everything, if this one may.
#[test]
fn what_may_not_be_read_is_told_with_what_to_do() {
    if rustix::process::geteuid().is_root() {
        return passes_as_nobody(module_path!(), "what_may_not_be_read_is_told_with_what_to_do");
    }
    let (_dir, path) = directory();
    let (file, below) = (path.join("a.plot"), path.join("below"));
    fs::write(&file, b"x").unwrap();
    fs::create_dir(&below).unwrap();
    for closed in [&file, &below] {
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let options = ScanOptions {
        recursive: true,
        ..scan_options(&path)
    };
    let found = refresh(&scanner(), &options);
    fs::set_permissions(&below, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(found.troubles.len(), 2);
    let hint = format!("the harvester runs as user {}", rustix::process::geteuid().as_raw());
    for trouble in &found.troubles {
        assert!(
            trouble.reason.contains("Permission denied") && trouble.reason.contains(&hint),
            "{trouble:?}"
        );
    }
}

/// Runs itself again alone, so that no other test opens files meanwhile.
#[test]
fn plots_stay_farmed_while_this_process_may_open_no_more_files_and_failed_ones_are_tried_again_at_once() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if std::env::var_os(ALONE).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.env(ALONE, "1");
        return passes(
            again,
            "plots_stay_farmed_while_this_process_may_open_no_more_files_and_failed_ones_are_tried_again_at_once",
        );
    }
    let (_dir, path) = directory();
    let below = path.join("below");
    fs::create_dir(&below).unwrap();
    fs::copy(original(), path.join("a.plot")).unwrap();
    fs::copy(pooled(), below.join("b.plot")).unwrap();
    let options = ScanOptions {
        recursive: true,
        ..scan_options(&path)
    };
    let limits = getrlimit(Resource::Nofile);
    let allow_no_more = || {
        let open = fs::File::open("/dev/null").unwrap();
        let next = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&open)).unwrap();
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(next),
                ..limits
            },
        )
        .unwrap();
    };
    let scanner = scanner();
    let at_first = refresh(&scanner, &options);
    assert_eq!(at_first.plots.len(), 2);
    allow_no_more();
    let found = refresh(&scanner, &options);
    setrlimit(Resource::Nofile, limits).unwrap();
    assert_eq!((found.plots.len(), found.changes.removed, found.gone.len()), (2, 0, 0));
    assert_eq!(found.volumes[0].name, at_first.volumes[0].name);
    let [trouble] = &found.troubles[..] else {
        panic!("{:?}", found.troubles)
    };
    assert!(trouble.reason.contains("ulimit -n"), "{trouble:?}");
    fs::remove_file(below.join("b.plot")).unwrap();
    let found = refresh(&scanner, &options);
    assert_eq!((found.plots.len(), found.troubles.len()), (1, 0));

    // Enough to list, and not to open.
    fs::copy(pooled(), path.join("b.plot")).unwrap();
    let scanner = Scanner::with(
        ScannerFiles::default(),
        Clock::start(),
        Box::new(Full(Mutex::default())),
    );
    let found = refresh(&scanner, &options);
    assert_eq!(found.plots.len(), 0);
    assert_eq!(refresh(&scanner, &options).plots.len(), 2, "with no time between");
}

/// Runs itself again where it may mount.
#[test]
#[ignore = "mounts a file system in a mount namespace of its own: needs root, or user namespaces"]
fn a_drive_that_is_unmounted_is_told_by_its_name_until_it_is_mounted_again() {
    if std::env::var_os(IN_NAMESPACE).is_none() {
        let mut again = Command::new("unshare");
        again.args(["--map-root-user", "--mount"]);
        again.arg(std::env::current_exe().unwrap()).env(IN_NAMESPACE, "1");
        return passes(
            again,
            "a_drive_that_is_unmounted_is_told_by_its_name_until_it_is_mounted_again",
        );
    }
    let run = |program: &str, arguments: &[&str]| {
        assert!(
            Command::new(program).args(arguments).status().unwrap().success(),
            "{program} {arguments:?}"
        );
    };
    let (_dir, path) = directory();
    let drive = path.join("d07");
    fs::create_dir_all(&drive).unwrap();
    let point = drive.to_str().unwrap();
    let mount = || {
        run("mount", &["-t", "tmpfs", "-o", "size=64m", "plots", point]);
        fs::create_dir(drive.join("plots")).unwrap();
        fs::copy(original(), drive.join("plots/a.plot")).unwrap();
        fs::copy(pooled(), drive.join("plots/b.plot")).unwrap();
    };
    // As a directory of the settings on the drive, as the drive itself, and as a drive found below a directory.
    for (directory, recursive) in [
        (drive.join("plots"), false),
        (drive.clone(), true),
        (path.clone(), true),
    ] {
        mount();
        let options = ScanOptions {
            recursive,
            ..scan_options(&directory)
        };
        let scanner = scanner();
        let found = refresh(&scanner, &options);
        assert_eq!((found.plots.len(), found.volumes[0].name.as_str()), (2, point));
        run("umount", &[point]);
        for removed in [2, 0] {
            let found = refresh(&scanner, &options);
            assert_eq!((found.plots.len(), found.changes.removed), (0, removed));
            let gone: Vec<_> = found
                .gone
                .iter()
                .map(|(name, gone)| (name.as_str(), gone.plots))
                .collect();
            assert_eq!(gone, [(point, 2)], "{directory:?}");
        }
        mount();
        let found = refresh(&scanner, &options);
        assert_eq!(
            (found.plots.len(), found.gone.len(), found.troubles.len()),
            (2, 0, 0),
            "{directory:?}"
        );
        run("umount", &[point]);
    }
}
