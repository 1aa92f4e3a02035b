//! The prover on a disk that is not there: reads counted, and each made to take as long as a disk's arm.

use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::thread;

use anyhow::{Context, Result};
use farmconsole::harvester::check_challenge;
use farmconsole::pos::v1::Prover;
use farmconsole::pos::{ReadAt, ReadRequest};
use tokio::time::{Duration, Instant};

use crate::median;
use crate::side::Job;

/// Counts reads for qualities and proofs, and measures proofs on slow disks.
pub(crate) fn measure(out: &mut impl Write, job: &Job) -> Result<()> {
    let mut disk = Disk {
        bytes: fs::read(&job.real_plot)?,
        reads: Cell::new(0),
        waits: Cell::new(0),
        latency: Duration::ZERO,
        spindles: Spindles::One,
    };
    let prover = Prover::open(&disk)?;
    let (mut misses, mut hits, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..CHALLENGES {
        let challenge = check_challenge(n);
        disk.begin();
        let qualities = prover.qualities(&disk, &challenge)?;
        match qualities.len() {
            0 => misses.push(disk.reads.get() as f64),
            1 => hits.push(disk.reads.get() as f64),
            _ => {}
        }
        for quality in &qualities {
            disk.begin();
            prover.full_proof(&disk, &challenge, quality)?;
            proofs.push((disk.reads.get() as f64, disk.waits.get() as f64));
        }
    }
    let reads: Vec<f64> = proofs.iter().map(|(reads, _)| *reads).collect();
    let waits: Vec<f64> = proofs.iter().map(|(_, waits)| *waits).collect();
    writeln!(out, "\nReads, median of {CHALLENGES} challenges of one k18 plot")?;
    writeln!(
        out,
        "quality that is not there {:.0}, one that is {:.0}; its full proof {:.0} more, of which {:.0} after one another",
        median(&misses),
        median(&hits),
        median(&reads),
        median(&waits)
    )?;
    disk.latency = LATENCY;
    for (what, spindles, goal) in [
        ("one spindle", Spindles::One, ""),
        (
            "all reads of a step at once",
            Spindles::Many,
            " (goal: less than 55 ms)",
        ),
    ] {
        disk.spindles = spindles;
        let (mut quality_ms, mut proof_ms) = (Vec::new(), Vec::new());
        for n in 0..CHALLENGES {
            if proof_ms.len() >= SLOW_PROOFS {
                break;
            }
            let challenge = check_challenge(n);
            let started = Instant::now();
            let qualities = prover.qualities(&disk, &challenge)?;
            let took = started.elapsed();
            let [quality] = &qualities[..] else { continue };
            quality_ms.push(took.as_secs_f64() * 1000.0);
            let started = Instant::now();
            prover.full_proof(&disk, &challenge, quality)?;
            proof_ms.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        let (quality, proof) = (median(&quality_ms), median(&proof_ms));
        (proof > 0.0).then_some(()).context("no proof was found")?;
        writeln!(
            out,
            "{LATENCY:?} a read, {what}: quality {quality:.0} ms, then its full proof {proof:.0} ms{goal}"
        )?;
    }
    Ok(())
}

/// A plot on a disk that counts.
struct Disk {
    bytes: Vec<u8>,
    reads: Cell<usize>,
    /// Reads and batches, each of which waits for the one before.
    waits: Cell<usize>,
    latency: Duration,
    spindles: Spindles,
}

/// How many reads a disk does at the same time.
#[derive(Clone, Copy)]
enum Spindles {
    One,
    Many,
}

impl Disk {
    fn begin(&self) {
        self.reads.set(0);
        self.waits.set(0);
    }
}

impl ReadAt for Disk {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.waits.set(self.waits.get() + 1);
        thread::sleep(self.latency);
        self.bytes.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_batch(&self, requests: &mut [ReadRequest<'_>]) -> io::Result<()> {
        self.reads.set(self.reads.get() + requests.len());
        self.waits.set(self.waits.get() + 1);
        let arms = match self.spindles {
            Spindles::One => u32::try_from(requests.len()).unwrap_or(u32::MAX),
            Spindles::Many => 1,
        };
        thread::sleep(self.latency * arms);
        requests
            .iter_mut()
            .try_for_each(|request| self.bytes.read_exact_at(request.buf, request.offset))
    }
}

const CHALLENGES: u64 = 200;

/// Proofs on each slow disk.
const SLOW_PROOFS: usize = 5;

/// What a hard disk needs to find a place.
const LATENCY: Duration = Duration::from_millis(10);
