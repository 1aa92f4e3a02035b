//! How a look-up reads its plot file: it says when it waits for the volume, takes no read upon itself whose time is
//! over, keeps processors for those that compute, and has batches read at the same time where that helps.

use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::queue::{ABANDON_AFTER, Lane, Tally};
use crate::clock::Mono;
use crate::pos::{ReadAt, ReadRequest};

/// A plot file as threads share it.
pub(super) type SharedFile = Arc<dyn ReadAt + Send + Sync>;

/// Gives a batch to other threads; they may take it or not.
pub(super) type Share<'a> = &'a dyn Fn(&Arc<Batch>);

/// The file of one look-up.
pub(super) struct LaneReader<'a> {
    file: SharedFile,
    lane: &'a Lane,
    tally: &'a Tally,
    /// For look-ups that mostly compute.
    gate: Option<&'a Gate>,
    share: Option<Share<'a>>,
    now: &'a dyn Fn() -> Mono,
    reads: AtomicU32,
    slow_reads: AtomicU32,
}

impl<'a> LaneReader<'a> {
    /// With a `gate` it waits until there is a processor for it. Without `share` all reads are its own.
    pub(super) fn new(
        file: SharedFile,
        lane: &'a Lane,
        tally: &'a Tally,
        gate: Option<&'a Gate>,
        share: Option<Share<'a>>,
        now: &'a dyn Fn() -> Mono,
    ) -> Self {
        let reader = Self {
            file,
            lane,
            tally,
            gate,
            share,
            now,
            reads: AtomicU32::new(0),
            slow_reads: AtomicU32::new(0),
        };
        reader.compute();
        reader
    }

    /// [`io::ErrorKind::TimedOut`] if the look-up's time is over.
    fn read<T>(&self, read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began = (self.now)();
        if self.tally.is_over(began) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its signage point is over"));
        }
        if let Some(gate) = self.gate {
            gate.leave();
        }
        self.lane.handle_read(began);
        let result = read();
        let ended = (self.now)();
        self.reads.fetch_add(1, Ordering::Relaxed);
        if ended.since(began) >= SLOW_READ {
            self.slow_reads.fetch_add(1, Ordering::Relaxed);
        }
        self.lane.handle_read(ended);
        self.compute();
        result
    }

    fn compute(&self) {
        if let Some(gate) = self.gate {
            self.lane.handle_computing();
            gate.enter();
        }
    }

    /// Whether most reads so far had to wait for a device.
    fn is_slow(&self) -> bool {
        let (reads, slow) = (
            self.reads.load(Ordering::Relaxed),
            self.slow_reads.load(Ordering::Relaxed),
        );
        slow > reads / 2
    }
}

impl Drop for LaneReader<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.gate {
            gate.leave();
        }
    }
}

impl ReadAt for LaneReader<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read(|| self.file.read_exact_at(buf, offset))
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn read_batch(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        let Some(share) = self.share.filter(|_| requests.len() > 1 && self.is_slow()) else {
            return requests
                .iter_mut()
                .try_for_each(|request| self.read_exact_at(request.buf, request.offset));
        };
        let batch = Arc::new(Batch::new(Arc::clone(&self.file), requests));
        share(&batch);
        while let Some(place) = batch.claim() {
            let ReadRequest { offset, buf } = &mut requests[place];
            self.read(|| self.file.read_exact_at(buf, *offset))?;
        }
        self.read(|| batch.collect(requests))
    }
}

/// Reads that do not depend on each other, to be done by whoever has time. What others read is kept here until the owner
/// collects it, so a thread that hangs holds nothing of the owner's.
pub(super) struct Batch {
    file: SharedFile,
    requests: Vec<(u64, usize)>,
    next: AtomicUsize,
    results: Mutex<Results>,
    read: Condvar,
}

#[derive(Default)]
struct Results {
    /// Requests that another thread than the owner's has claimed and not done.
    running: usize,
    done: Vec<(usize, io::Result<Vec<u8>>)>,
}

impl Batch {
    fn new(file: SharedFile, requests: &[ReadRequest<'_>]) -> Self {
        Self {
            file,
            requests: requests
                .iter()
                .map(|request| (request.offset, request.buf.len()))
                .collect(),
            next: AtomicUsize::new(0),
            results: Mutex::default(),
            read: Condvar::new(),
        }
    }

    /// Requests that nobody has claimed.
    pub(super) fn unclaimed(&self) -> usize {
        self.requests.len().saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Reads one request for the owner; `false` if all are claimed.
    pub(super) fn help(&self) -> bool {
        let place = {
            // Claimed and counted in one step, so that the owner, who collects under this lock, cannot miss it.
            let mut results = self.results();
            let Some(place) = self.claim() else { return false };
            results.running += 1;
            place
        };
        let (offset, length) = self.requests[place];
        let mut bytes = vec![0; length];
        let result = self.file.read_exact_at(&mut bytes, offset).map(|()| bytes);
        let mut results = self.results();
        results.running -= 1;
        results.done.push((place, result));
        drop(results);
        self.read.notify_all();
        true
    }

    fn claim(&self) -> Option<usize> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        (place < self.requests.len()).then_some(place)
    }

    /// Waits for what others have claimed and gives it to the owner.
    fn collect(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        let waiting = self
            .read
            .wait_timeout_while(self.results(), ABANDON_AFTER, |results| results.running > 0);
        let (mut results, waited) = waiting.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(io::Error::other("the volume does not answer"));
        }
        for (place, result) in results.done.drain(..) {
            requests[place].buf.copy_from_slice(&result?);
        }
        Ok(())
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Processors for look-ups that mostly compute: so many may compute at the same time. Whoever waits for a volume stands
/// outside, so one that hangs keeps nobody from computing.
#[derive(Debug)]
pub(super) struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Gate {
    /// For so many at the same time.
    pub(super) fn new(processors: usize) -> Self {
        Self {
            free: Mutex::new(processors.max(1)),
            freed: Condvar::new(),
        }
    }

    fn enter(&self) {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.freed.wait_while(free, |free| *free == 0);
        *waiting.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn leave(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.freed.notify_one();
    }
}

/// What reads out of memory never take; only devices do.
const SLOW_READ: Duration = Duration::from_micros(100);
