//! The thread that writes: batches out of the queue, and patience with a disk that is full.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::fact::Fact;
use super::forget_clock::ForgetClock;
use super::plots::MissingPlots;
use super::store::{Store, StoreError};
use super::{Health, HistoryOptions};
use crate::farmer::Input;
use crate::snapshot::HistoryState;
use crate::system_clock::{Clock, unix_now};

/// Writes the history until every sender is dropped.
#[derive(Debug)]
pub struct Writer {
    options: HistoryOptions,
    queue: Receiver<Fact>,
    health: Health,
    farmer: mpsc::Sender<Input>,
    /// Facts that were taken from the queue and not written.
    pending: Vec<Fact>,
    is_over: bool,
    clock: Clock,
    forget_clock: Option<ForgetClock>,
}

impl Writer {
    pub(super) fn new(
        options: HistoryOptions,
        queue: Receiver<Fact>,
        health: Health,
        farmer: mpsc::Sender<Input>,
    ) -> Self {
        Self {
            options,
            queue,
            health,
            farmer,
            pending: Vec::new(),
            is_over: false,
            clock: Clock::start(),
            forget_clock: None,
        }
    }

    /// Writes until every sender is dropped. Blocking.
    pub fn run(mut self) {
        let started = unix_now().0;
        let mut is_first = true;
        while !self.is_over {
            match self.open(started) {
                Ok(mut store) => {
                    self.set_state(HistoryState::Writing);
                    if std::mem::take(&mut is_first) {
                        self.tell_past(&store);
                    }
                    let ended = self.serve(&mut store);
                    drop(store);
                    if let Err(error) = ended {
                        self.handle(&error);
                    }
                }
                Err(StoreError::Newer { schema }) => {
                    tracing::warn!(
                        target: "history",
                        "{} was made by a newer version (schema {schema}): nothing is written",
                        self.options.file.display()
                    );
                    self.set_state(HistoryState::Newer { schema });
                    self.ignore_the_rest();
                }
                Err(error) => {
                    let is_damage = error.is_damage();
                    self.handle(&error);
                    if !is_damage {
                        self.wait();
                    }
                }
            }
        }
    }

    fn open(&self, started_ms: u64) -> Result<Store, StoreError> {
        Store::open(&self.options.file, unix_now().0, started_ms)
    }

    fn tell_past(&self, store: &Store) {
        match store.record(unix_now().0) {
            Ok(record) => {
                // Waits only while the engine does not take its inputs.
                let _ = self.farmer.blocking_send(Input::Past(Box::new(record)));
            }
            Err(error) => self.warn_of_past(&error),
        }
        match store.alarms() {
            Ok(alarms) => {
                let _ = self.farmer.blocking_send(Input::PastAlarms(alarms));
            }
            Err(error) => self.warn_of_past(&error),
        }
        match store.plot_counts() {
            Ok(counts) => {
                let _ = self.farmer.blocking_send(Input::PastPlots(counts));
            }
            Err(error) => self.warn_of_past(&error),
        }
    }

    fn tell_missing(&self, missing: Vec<MissingPlots>) {
        for MissingPlots { harvester, plots } in missing {
            // Waits only while the engine does not take its inputs.
            let _ = self.farmer.blocking_send(Input::PlotsMissing { harvester, plots });
        }
    }

    fn warn_of_past(&self, error: &rusqlite::Error) {
        tracing::warn!(target: "history", "read the past from {}: {error}", self.options.file.display());
    }

    /// Writes until the end, or until the file is of no use.
    fn serve(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let mut rounds = 0_u32;
        loop {
            // What is written first shows soon whether the file takes it.
            self.collect(if rounds == 0 { 1 } else { MOMENTS });
            if !self.pending.is_empty() {
                match store.write(unix_now().0, &self.pending) {
                    Ok(missing) => {
                        let written = self.pending.len() as u64;
                        self.pending.clear();
                        self.health.change(|view| view.written += written);
                        self.set_state(HistoryState::Writing);
                        self.tell_missing(missing);
                    }
                    Err(error) => {
                        let error = StoreError::from(error);
                        if error.is_damage() {
                            return Err(error);
                        }
                        self.fail(&error);
                        if !self.is_over {
                            self.wait();
                        }
                    }
                }
            }
            if self.is_over {
                let lost = self.pending.len() as u64;
                self.health.change(|view| view.dropped += lost);
                return Ok(());
            }
            if rounds.is_multiple_of(ROUNDS_BETWEEN_LOOKS) {
                self.forget(store)?;
            }
            if rounds.is_multiple_of(ROUNDS_BETWEEN_WORDS) {
                store.check_name(&self.options.file)?;
                let file_bytes = bytes_of(&self.options.file);
                self.health.change(|view| view.file_bytes = file_bytes);
                self.tell_health();
            }
            rounds = rounds.wrapping_add(1);
        }
    }

    fn forget(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let now = self.clock.now();
        let clock = self
            .forget_clock
            .get_or_insert_with(|| ForgetClock::new(store.last_seen_ms(), now));
        let now_ms = clock.at(now);
        for _ in 0..SLICES_AT_A_TIME {
            match store.forget(now_ms, &self.options) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = StoreError::from(error);
                    if error.is_damage() {
                        return Err(error);
                    }
                    // A full disk, most likely; writing says so.
                    tracing::debug!(target: "history", "forget old answers: {error}");
                    break;
                }
            }
        }
        Ok(())
    }

    /// Takes what is in the queue: waits for the first fact, then some moments for more.
    fn collect(&mut self, moments: u32) {
        if self.pending.is_empty() {
            match self.queue.recv_timeout(ROUND) {
                Ok(fact) => self.pending.push(fact),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.is_over = true;
                    return;
                }
            }
        }
        for _ in 0..moments {
            while self.pending.len() < BATCH {
                match self.queue.try_recv() {
                    Ok(fact) => self.pending.push(fact),
                    Err(std::sync::mpsc::TryRecvError::Empty) => break,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                        self.is_over = true;
                        return;
                    }
                }
            }
            if self.pending.len() >= BATCH {
                return;
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// What is wrong now may be well again in a moment; a damaged file is put aside at once.
    fn handle(&mut self, error: &StoreError) {
        if error.is_damage() {
            let aside = aside(&self.options.file);
            tracing::error!(
                target: "history",
                "{} is damaged ({error}): put aside as {}", self.options.file.display(), aside.display()
            );
            if let Err(error) = put_aside(&self.options.file, &aside) {
                self.fail(&StoreError::Io(error));
                self.wait();
            }
            return;
        }
        self.fail(error);
    }

    fn fail(&self, error: &StoreError) {
        let why = error.to_string();
        if self.set_state(HistoryState::Failing { why }) {
            tracing::warn!(target: "history", "write {}: {error}; trying again", self.options.file.display());
        }
    }

    /// Waits before the next try, and notices when it is no use any more.
    fn wait(&mut self) {
        std::thread::sleep(RETRY);
        self.is_over = self.health.is_ours_alone();
    }

    fn ignore_the_rest(&mut self) {
        while self.queue.recv().is_ok() {
            self.health.change(|view| view.dropped += 1);
        }
        self.is_over = true;
    }

    fn set_state(&self, state: HistoryState) -> bool {
        let is_new = self.health.set_state(state);
        if is_new {
            self.tell_health();
        }
        is_new
    }

    fn tell_health(&self) {
        // When the engine's queue is full there will be a next time.
        let _ = self
            .farmer
            .try_send(Input::History(self.health.change(|view| view.clone())));
    }
}

fn bytes_of(file: &Path) -> u64 {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    length(file) + length(&beside(file, "-wal"))
}

fn aside(file: &Path) -> PathBuf {
    beside(file, ".damaged")
}

/// Moves a damaged history away, over the last damaged one; its journal belongs to it.
fn put_aside(file: &Path, aside: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        match std::fs::remove_file(beside(file, suffix)) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    std::fs::rename(file, aside)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// How long the first fact is waited for, at most.
const ROUND: Duration = Duration::from_secs(2);

/// After the first fact more are waited for so often and so long: two seconds in all, in which nearly all harvesters
/// have answered a signage point. Each transaction costs the disk some ten pages, however little is in it.
const MOMENTS: u32 = 10;
const MOMENT: Duration = Duration::from_millis(200);

/// Facts written in one transaction, at most.
const BATCH: usize = 4_096;

/// Between two tries to write.
const RETRY: Duration = Duration::from_secs(1);

/// How the history fares is said about every five seconds.
const ROUNDS_BETWEEN_WORDS: u32 = 2;

/// Old answers are looked for about every five minutes.
const ROUNDS_BETWEEN_LOOKS: u32 = 120;

/// Slices of old answers forgotten at a time.
const SLICES_AT_A_TIME: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farmer::tests::story::past_alarm;
    use crate::history::history;
    use crate::snapshot::{AlarmKind, FarmRecord, HistoryView, Notice};

    #[test]
    fn what_was_wrong_in_an_earlier_run_is_told_to_the_farmer() {
        let dir = tempfile::tempdir().unwrap();
        let run = |notice: Option<Notice>| {
            let (inputs, mut told) = mpsc::channel(64);
            let options = HistoryOptions {
                file: dir.path().join("history.sqlite"),
                keep_days: 30,
                max_bytes: 512 << 20,
            };
            let (sender, writer) = history(options, inputs);
            notice.iter().for_each(|notice| sender.note(notice));
            drop(sender);
            std::thread::spawn(move || writer.run()).join().unwrap();
            std::iter::from_fn(|| told.blocking_recv())
                .find_map(|input| match input {
                    Input::PastAlarms(alarms) => Some(alarms),
                    _ => None,
                })
                .unwrap()
        };
        let mut alarm = past_alarm(AlarmKind::NoKeys);
        alarm.closed_at_unix_ms = None;
        assert_eq!(run(Some(Notice::AlarmOpened { alarm })), []);
        let told = run(None);
        assert_eq!(told.len(), 1);
        assert!(told[0].kind == AlarmKind::NoKeys && told[0].closed_at_unix_ms.is_some());
    }

    #[test]
    fn file_that_is_removed_while_it_is_open_is_told_of_and_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("history.sqlite");
        let options = HistoryOptions {
            file: file.clone(),
            keep_days: 30,
            max_bytes: 512 << 20,
        };
        let (inputs, mut told) = mpsc::channel(64);
        let (sender, writer) = history(options, inputs);
        let thread = std::thread::spawn(move || writer.run());
        let mut told = std::iter::from_fn(move || told.blocking_recv());
        told.find(|input| matches!(input, Input::Past(_))).unwrap();
        std::fs::remove_file(&file).unwrap();
        let why = told.find_map(|input| match input {
            Input::History(HistoryView {
                state: HistoryState::Failing { why },
                ..
            }) => Some(why),
            _ => None,
        });
        assert!(why.unwrap().contains("removed"));
        sender.keep(Box::new(FarmRecord {
            won_ever: 14,
            ..FarmRecord::default()
        }));
        drop(sender);
        thread.join().unwrap();
        assert_eq!(Store::open(&file, 0, 0).unwrap().record(0).unwrap().won_ever, 14);
    }
}
