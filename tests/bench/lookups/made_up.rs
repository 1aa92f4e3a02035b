//! Thousands of plots made of one: each with a key of its own, and so an id of its own, and of the tables what the
//! look-ups of this run read.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Result, anyhow};
use farmconsole::crypto::{PublicKey, SecretKey, derive, plot_public_key, sha256};
use farmconsole::harvester::make_plot;
use farmconsole::ids::{ChallengeHash, PlotId, SpHash};
use farmconsole::pos::ReadAt;
use farmconsole::pos::filter::{passes_v1, pos_challenge};
use farmconsole::pos::header::PlotMemo;
use farmconsole::pos::v1::Prover;
use farmconsole::wire::{G1Bytes, PlotPool, plot_id_v1};

use crate::Args;
use crate::side::{Filter, Job, Point};

/// Makes the plots in `dir`.
pub(crate) fn make(dir: &Path, args: &Args) -> Result<Job> {
    let public_key = |seed| -> Result<G1Bytes> { Ok(SecretKey::key_gen(&[seed; 32])?.public_key().to_g1()) };
    let (farmer, pool_key) = (public_key(1)?, public_key(2)?);
    let (directory, pool) = (dir.join("plots"), PlotPool::PublicKey(pool_key));
    let real_plot = make_plot(&directory, 18, &farmer, &pool, &[3; 32], &mut |_| ())?;
    let body = fs::read(&real_plot)?;
    let (plots, filters) = match args.known {
        Some(known) => (known, &[][..]),
        None => (args.plots, &FILTERS[..]),
    };
    let filters: Vec<_> = filters
        .iter()
        .map(|(bits, points)| Filter {
            bits: *bits,
            points: (0..*points).map(|n| point(*bits, n)).collect(),
        })
        .collect();
    // The real one is looked up too, and is whole.
    let write = &|first| {
        let mut body = body.clone();
        let mut numbers = (first..plots).step_by(WRITERS as usize);
        numbers.try_for_each(|number| write_plot(&directory, number, &farmer, &pool, &filters, &mut body))
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (1..=WRITERS).map(|first| scope.spawn(move || write(first))).collect();
        let written =
            |writer: ScopedJoinHandle<'_, Result<()>>| writer.join().map_err(|_| anyhow!("a writer panicked"))?;
        writers.into_iter().try_for_each(written)
    })?;
    Ok(Job {
        directory,
        plots,
        threads: args.threads,
        rounds: args.rounds,
        farmer_public_key: farmer.to_string(),
        pool_public_key: pool_key.to_string(),
        real_plot,
        filters,
    })
}

fn point(bits: u8, number: u8) -> Point {
    Point {
        challenge_hash: ChallengeHash(sha256(&[b"challenge", &[bits, number]])).to_string(),
        sp_hash: SpHash(sha256(&[b"signage point", &[bits, number]])).to_string(),
    }
}

/// Writes a plot with the tables of `body`, in which its header is put in place of another's.
fn write_plot(
    directory: &Path,
    number: u32,
    farmer: &G1Bytes,
    pool: &PlotPool,
    filters: &[Filter],
    body: &mut [u8],
) -> Result<()> {
    let master = SecretKey::key_gen(&sha256(&[b"plot", &number.to_be_bytes()]))?;
    let local_pk = derive::local_sk(&master).public_key();
    let plot_pk = plot_public_key(&local_pk, &PublicKey::from_g1(farmer)?, pool).to_g1();
    let plot_id = plot_id_v1(pool, &plot_pk);
    let memo = PlotMemo {
        pool: *pool,
        farmer_public_key: *farmer,
        local_master_sk: master.to_bytes(),
    };
    body[ID_AT..ID_AT + 32].copy_from_slice(plot_id.as_bytes());
    body[MEMO_AT..MEMO_AT + 128].copy_from_slice(&memo.to_bytes());
    let recorder = Recorder {
        body,
        pages: RefCell::default(),
    };
    let prover = Prover::open(&recorder)?;
    // C1 and C2 are small and read whole by some.
    let [.., c1, _, c3] = prover.header().table_pointers;
    recorder.note(c1, c3);
    for filter in filters {
        for point in &filter.points {
            let (challenge_hash, sp_hash) = (point.challenge_hash.parse()?, point.sp_hash.parse()?);
            look_up(&prover, &recorder, &plot_id, filter.bits, &challenge_hash, &sp_hash)?;
        }
    }
    let file = File::create_new(directory.join(format!("plot-k18-{plot_id}.plot")))?;
    file.set_len(body.len() as u64)?;
    for page in recorder.pages.borrow().iter() {
        let start = page * PAGE;
        let end = (start + PAGE).min(body.len());
        file.write_all_at(&body[start..end], start as u64)?;
    }
    Ok(())
}

fn look_up(
    prover: &Prover,
    recorder: &Recorder<'_>,
    plot_id: &PlotId,
    bits: u8,
    challenge_hash: &ChallengeHash,
    sp_hash: &SpHash,
) -> Result<()> {
    if passes_v1(bits, plot_id, challenge_hash, sp_hash) {
        prover.qualities(recorder, &pos_challenge(plot_id, challenge_hash, sp_hash))?;
    }
    Ok(())
}

/// Remembers which pages were read. The official prover reads up to a park further.
struct Recorder<'a> {
    body: &'a [u8],
    pages: RefCell<BTreeSet<usize>>,
}

impl Recorder<'_> {
    fn note(&self, start: u64, end: u64) {
        let page = |at: u64| usize::try_from(at).unwrap_or(usize::MAX) / PAGE;
        let last = page(end + PAGE as u64).min(self.body.len() / PAGE);
        self.pages.borrow_mut().extend(page(start)..=last);
    }
}

impl ReadAt for Recorder<'_> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.note(offset, offset + buf.len() as u64);
        self.body.read_exact_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.body.len() as u64
    }
}

/// Filter bits and the number of signage points: 1/256, as on mainnet since 2024, and 1/16, beyond what it will ever be.
const FILTERS: [(u8, u8); 2] = [(8, 10), (4, 4)];

/// Threads that write plots.
const WRITERS: u32 = 4;

/// Where the id and the memo of a classic plot stand.
const ID_AT: usize = 19;
const MEMO_AT: usize = 60;

const PAGE: usize = 4096;
