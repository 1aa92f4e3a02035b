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
