//! Works the keys of plots out: a third of a millisecond each, nearly all of it the 7,200 blocks of SHA-256 that Chia's key
//! derivation takes.

use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::plot::{LoadedPlot, OpenError};
use super::lock;
use crate::crypto::PublicKey;
use crate::pos::header::PlotMemo;
use crate::wire::G1Bytes;

/// Works out the keys of these plots, on all processors; those that have none, with the reason.
pub(super) fn work_out_keys(memos: Vec<Read>) -> Vec<(Arc<LoadedPlot>, OpenError)> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let left = Mutex::new(memos);
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, || work_out(&left)).ok())
            .collect();
        let mut failed = work_out(&left);
        for helper in helpers {
            failed.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        failed
    })
}

/// A plot and what its keys are worked out of.
pub(super) type Read = (Arc<LoadedPlot>, Result<PlotMemo, OpenError>);

fn work_out(left: &Mutex<Vec<Read>>) -> Vec<(Arc<LoadedPlot>, OpenError)> {
    // Most plots are for the same farmer, and to check a key takes time too.
    let mut farmer: Option<(G1Bytes, PublicKey)> = None;
    let mut one = |plot: &LoadedPlot, memo: Result<PlotMemo, OpenError>| {
        let memo = memo?;
        let key = match farmer {
            Some((bytes, key)) if bytes == *plot.farmer_pk() => key,
            _ => plot.farmer_public_key()?,
        };
        farmer = Some((*plot.farmer_pk(), key));
        plot.work_out_keys(&memo, &key)
    };
    let mut failed = Vec::new();
    loop {
        let next = lock(left).pop();
        let Some((plot, memo)) = next else { return failed };
        if let Err(error) = one(&plot, memo) {
            failed.push((plot, error));
        }
    }
}

/// Threads that work keys out, at most: look-ups need the machine too.
const MAX_THREADS: usize = 8;
