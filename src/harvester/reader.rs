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

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A medium on which each read waits until so many are under way at the same time; it fails where it is damaged.
    struct Device {
        together: usize,
        damaged: Option<u64>,
        state: Mutex<(usize, Vec<u64>)>,
        begun: Condvar,
    }

    impl Device {
        fn new(together: usize, damaged: Option<u64>) -> Arc<Self> {
            Arc::new(Self {
                together,
                damaged,
                state: Mutex::default(),
                begun: Condvar::new(),
            })
        }

        /// Where it was read, in order of places.
        fn reads(&self) -> Vec<u64> {
            let mut reads = self.state.lock().unwrap().1.clone();
            reads.sort_unstable();
            reads
        }
    }

    impl ReadAt for Device {
        fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            let mut state = self.state.lock().unwrap();
            state.0 += 1;
            state.1.push(offset);
            self.begun.notify_all();
            let (_state, waited) = self
                .begun
                .wait_timeout_while(state, Duration::from_secs(30), |(under_way, _)| {
                    *under_way < self.together
                })
                .unwrap();
            if waited.timed_out() || self.damaged == Some(offset) {
                return Err(io::Error::other("damaged"));
            }
            buf.fill(u8::try_from(offset).unwrap());
            Ok(())
        }

        fn size(&self) -> u64 {
            256
        }
    }

    fn tally() -> Tally {
        Tally::new(Mono(0), CancellationToken::new())
    }

    /// A clock that goes on by as much whenever it is read.
    fn clock(step: Duration) -> impl Fn() -> Mono {
        let time = Mutex::new(Mono(0));
        move || {
            let mut time = time.lock().unwrap();
            *time = *time + step;
            *time
        }
    }

    /// Reads one byte at each place from 1 on, in one batch after a first read at 0.
    fn read_batch(device: &Arc<Device>, share: Share<'_>, step: Duration) -> io::Result<Vec<u8>> {
        let (tally, lane, now) = (tally(), Lane::new(Mono(0)), clock(step));
        let file: SharedFile = Arc::clone(device) as SharedFile;
        let reader = LaneReader::new(file, &lane, &tally, None, Some(share), &now);
        let mut bytes = vec![0; 32];
        let (first, rest) = bytes.split_at_mut(1);
        if device.together == 1 {
            reader.read_exact_at(first, 0)?;
        } else {
            reader.reads.store(1, Ordering::Relaxed);
            reader.slow_reads.store(1, Ordering::Relaxed);
        }
        let mut requests: Vec<_> = (1..)
            .zip(rest.chunks_mut(1))
            .map(|(offset, buf)| ReadRequest { offset, buf })
            .collect();
        reader.read_batch(&mut requests)?;
        Ok(bytes)
    }

    #[test]
    fn a_whole_level_of_a_proof_is_under_way_on_a_slow_device_at_once() {
        let device = Device::new(31, None);
        let share = |batch: &Arc<Batch>| {
            for _ in 0..30 {
                let batch = Arc::clone(batch);
                thread::spawn(move || while batch.help() {});
            }
        };
        let bytes = read_batch(&device, &share, Duration::ZERO).unwrap();
        assert_eq!(bytes, (0..32).collect::<Vec<u8>>());
        assert_eq!(device.reads(), (1..32).collect::<Vec<u64>>(), "nothing is read twice");
    }

    #[test]
    fn what_lies_in_memory_is_read_by_one_thread() {
        let device = Device::new(1, None);
        let share = |_: &Arc<Batch>| panic!("it is not worth waking anybody");
        let bytes = read_batch(&device, &share, SLOW_READ / 2).unwrap();
        assert_eq!(bytes, (0..32).collect::<Vec<u8>>());
    }

    #[test]
    fn a_batch_that_nobody_helps_with_is_read_by_its_owner() {
        let device = Device::new(1, None);
        let bytes = read_batch(&device, &|_: &Arc<Batch>| {}, SLOW_READ).unwrap();
        assert_eq!(bytes, (0..32).collect::<Vec<u8>>());
    }

    #[test]
    fn a_read_that_fails_in_another_thread_fails_the_batch() {
        let device = Device::new(1, Some(1));
        let share = |batch: &Arc<Batch>| assert!(batch.help(), "it takes the first one");
        let error = read_batch(&device, &share, SLOW_READ).unwrap_err();
        assert_eq!(error.to_string(), "damaged");
    }

    #[test]
    fn nothing_is_read_for_a_signage_point_that_is_over() {
        let device = Device::new(1, None);
        let (tally, lane, now) = (tally(), Lane::new(Mono(0)), || Mono(0) + ABANDON_AFTER);
        let file: SharedFile = Arc::clone(&device) as SharedFile;
        let reader = LaneReader::new(file, &lane, &tally, None, None, &now);
        reader.read_exact_at(&mut [0], 1).unwrap();
        tally.supersede();
        let error = reader.read_exact_at(&mut [0], 2).unwrap_err();
        assert_eq!((error.kind(), device.reads()), (io::ErrorKind::TimedOut, vec![1]));
    }

    #[test]
    fn who_waits_for_a_device_keeps_no_processor() {
        let gate = Gate::new(1);
        // Both reads must be under way at the same time, so both look-ups have got past the one processor.
        let device = Device::new(2, None);
        thread::scope(|scope| {
            for place in [1, 2] {
                let (gate, device) = (&gate, &device);
                scope.spawn(move || {
                    let (tally, lane) = (tally(), Lane::new(Mono(0)));
                    let file: SharedFile = Arc::clone(device) as SharedFile;
                    let now = || Mono(0);
                    let reader = LaneReader::new(file, &lane, &tally, Some(gate), None, &now);
                    reader.read_exact_at(&mut [0], place).unwrap();
                });
            }
        });
        assert_eq!(*gate.free.lock().unwrap(), 1);
    }
}
