//! Works the keys of plots out: a fifth of a millisecond each, most of it the 7,200 blocks of SHA-256 that Chia's key
//! derivation takes.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::super::plot::{LoadedPlot, OpenError};
use crate::crypto::derive::{self, KEYS_TOGETHER};
use crate::crypto::{GeneratorTable, PublicKey, SecretKey};
use crate::pos::header::PlotMemo;
use crate::wire::G1Bytes;

/// What works keys out.
#[derive(Debug)]
pub(super) struct KeyWorks {
    table: Option<GeneratorTable>,
}

/// A plot and what its keys are worked out of.
pub(super) type Read = (Arc<LoadedPlot>, Result<PlotMemo, OpenError>);

/// Plots that have no keys, with the reason.
pub(super) type Failed = Vec<(Arc<LoadedPlot>, OpenError)>;

impl KeyWorks {
    /// For so many plots.
    pub(super) fn new(plots: usize) -> Self {
        Self {
            table: (plots >= ENOUGH_FOR_TABLE).then(GeneratorTable::new),
        }
    }

    /// Works out the keys of these plots, on all processors.
    pub(super) fn work_out_keys(&self, memos: Vec<Read>) -> Failed {
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
        let left = Mutex::new(memos);
        thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads)
                .filter_map(|_| {
                    let spawned = thread::Builder::new().spawn_scoped(scope, || self.work_out(&left));
                    spawned.ok()
                })
                .collect();
            let mut failed = self.work_out(&left);
            for helper in helpers {
                failed.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            failed
        })
    }

    fn work_out(&self, left: &Mutex<Vec<Read>>) -> Failed {
        // Most plots are for the same farmer, and to check a key takes time too.
        let mut farmer: Option<(G1Bytes, PublicKey)> = None;
        let mut take_key = |plot: &LoadedPlot, local: &SecretKey| {
            let key = match farmer {
                Some((bytes, key)) if bytes == *plot.farmer_pk() => key,
                _ => plot.farmer_public_key()?,
            };
            farmer = Some((*plot.farmer_pk(), key));
            plot.take_local_key(local, &key, |secret| self.public_key(secret))
        };
        let mut failed = Vec::new();
        loop {
            let group = {
                let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
                let rest = left.len().saturating_sub(KEYS_TOGETHER);
                left.split_off(rest)
            };
            if group.is_empty() {
                return failed;
            }
            let (mut plots, mut masters) = (Vec::new(), Vec::with_capacity(group.len()));
            for (plot, memo) in group {
                match memo.and_then(|memo| plot.master_sk(&memo)) {
                    Ok(master) => {
                        plots.push(plot);
                        masters.push(master);
                    }
                    Err(error) => failed.push((plot, error)),
                }
            }
            for (plot, local) in plots.into_iter().zip(derive::local_sks(&masters)) {
                if let Err(error) = take_key(&plot, &local) {
                    failed.push((plot, error));
                }
            }
        }
    }

    fn public_key(&self, secret_key: &SecretKey) -> PublicKey {
        self.table
            .as_ref()
            .map_or_else(|| secret_key.public_key(), |table| table.public_key(secret_key))
    }
}

/// Threads that work keys out, at most: look-ups need the machine too.
pub(super) const MAX_THREADS: usize = 8;

/// Plots from which on it pays to make the table: it takes as long as a hundred public keys.
const ENOUGH_FOR_TABLE: usize = 200;
