//! The farmer as the engine holds it: every call goes through here, so that whoever records gets it, with its moment and
//! with what the farmer wanted done. Without a recorder that costs a comparison a call.
//!
//! The farm never waits for a recorder: one that falls too far behind is dropped and told so.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::clock::Now;
use crate::farmer::{Call, Farmer, Input, Output};
use crate::wire::{FromHarvester, PlotSync};

/// Calls that wait for a recorder.
const TAPE_QUEUE: usize = 4096;

/// Plots and paths in them: some 50 MB.
const TAPE_ENTRIES: usize = 200_000;

/// A farmer whose calls can be recorded. It is changed only through the methods here.
#[derive(Debug)]
pub(crate) struct TapedFarmer {
    farmer: Farmer,
    tape: Option<Tape>,
}

/// What a recorder gets.
#[derive(Debug)]
pub struct Taping {
    /// The farmer before the first call, nothing left to be taken out.
    pub beginning: Box<Farmer>,
    /// When that was.
    pub begun: Now,
    /// What happens to it.
    pub calls: TapeReader,
}

/// The calls as they come.
#[derive(Debug)]
pub struct TapeReader {
    calls: mpsc::Receiver<TapedCall>,
    shared: Arc<Shared>,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct TapedCall {
    /// When.
    pub now: Now,
    /// What was called.
    pub call: Call,
    /// What was taken out between this call and the next.
    pub outputs: Vec<Output>,
    /// Whether that was all there was; otherwise the next call came first.
    pub is_settled: bool,
}

/// What comes next on a tape.
#[derive(Debug)]
pub enum TapeItem {
    /// A call.
    Call(Box<TapedCall>),
    /// The reader was too slow: more calls came, which are lost.
    TooSlow,
    /// The farmer has ended.
    Over,
}

#[derive(Debug)]
struct Tape {
    calls: mpsc::Sender<TapedCall>,
    shared: Arc<Shared>,
    running: Option<TapedCall>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: AtomicUsize,
    is_too_slow: AtomicBool,
}

impl TapedFarmer {
    pub(crate) const fn new(farmer: Farmer) -> Self {
        Self { farmer, tape: None }
    }

    /// [`Farmer::handle`].
    pub(crate) fn handle(&mut self, now: Now, input: Input) {
        if self.tape.is_some() {
            self.begin(now, Call::Input(Box::new(input.clone())));
        }
        self.farmer.handle(now, input);
    }

    /// [`Farmer::handle_timeout`].
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        if self.tape.is_some() {
            self.begin(now, Call::Timeout);
        }
        self.farmer.handle_timeout(now);
    }

    /// [`Farmer::poll_output`].
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        let Some(tape) = &mut self.tape else {
            return self.farmer.poll_output();
        };
        let output = self.farmer.poll_output();
        match (&output, &mut tape.running) {
            (Some(output), Some(running)) => running.outputs.push(output.clone()),
            (Some(_), None) => {}
            (None, _) => self.end_call(true),
        }
        output
    }

    /// Begins a tape. All outputs must have been taken.
    ///
    /// # Errors
    /// A sentence when there is a recorder already.
    pub(crate) fn record(&mut self, now: Now) -> Result<Taping, String> {
        if self.tape.as_ref().is_some_and(|tape| !tape.calls.is_closed()) {
            return Err("another recorder is recording this farmer".to_owned());
        }
        let (sender, calls) = mpsc::channel(TAPE_QUEUE);
        let shared = Arc::new(Shared::default());
        self.tape = Some(Tape {
            calls: sender,
            shared: Arc::clone(&shared),
            running: None,
        });
        Ok(Taping {
            beginning: Box::new(self.farmer.clone()),
            begun: now,
            calls: TapeReader { calls, shared },
        })
    }

    fn begin(&mut self, now: Now, call: Call) {
        self.end_call(false);
        if let Some(tape) = &mut self.tape {
            tape.running = Some(TapedCall {
                now,
                call,
                outputs: Vec::new(),
                is_settled: false,
            });
        }
    }

    /// The call is over; a tape that takes no more is, too.
    fn end_call(&mut self, is_settled: bool) {
        let Some(tape) = &mut self.tape else { return };
        let Some(mut call) = tape.running.take() else { return };
        call.is_settled = is_settled;
        let entries = entries(&call);
        let held = tape.shared.entries.fetch_add(entries, Ordering::Relaxed) + entries;
        // One call is taken however large it is.
        if held > TAPE_ENTRIES.max(entries) || tape.calls.try_send(call).is_err() {
            tape.shared.is_too_slow.store(true, Ordering::Relaxed);
            self.tape = None;
        }
    }
}

impl Deref for TapedFarmer {
    type Target = Farmer;

    fn deref(&self) -> &Farmer {
        &self.farmer
    }
}

impl TapeReader {
    /// The next call, when it comes.
    pub async fn next(&mut self) -> TapeItem {
        match self.calls.recv().await {
            Some(call) => {
                self.shared.entries.fetch_sub(entries(&call), Ordering::Relaxed);
                TapeItem::Call(Box::new(call))
            }
            None if self.shared.is_too_slow.load(Ordering::Relaxed) => TapeItem::TooSlow,
            None => TapeItem::Over,
        }
    }
}

/// Lists of plots are what makes a call large.
const fn entries(call: &TapedCall) -> usize {
    let Call::Input(input) = &call.call else { return 0 };
    match &**input {
        Input::HarvesterMessage { message, .. } => match message {
            FromHarvester::RespondPlots(lists) => {
                lists.plots.len() + lists.failed_to_open_filenames.len() + lists.no_key_filenames.len()
            }
            FromHarvester::PlotSync(PlotSync::Loaded(list)) => list.data.len(),
            FromHarvester::PlotSync(
                PlotSync::Removed(list)
                | PlotSync::Invalid(list)
                | PlotSync::KeysMissing(list)
                | PlotSync::Duplicates(list),
            ) => list.data.len(),
            _ => 0,
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::clock::Mono;
    use crate::farmer::{FarmerConfig, FarmerKeys, SIGNAGE_POINT_INTERVAL};
    use crate::pos::Constants;
    use crate::snapshot::{AlarmMemory, RefusalCause};

    fn farmer() -> TapedFarmer {
        let config = FarmerConfig {
            network: "mainnet".to_owned(),
            simulated: false,
            software_version: "0.1.0".to_owned(),
            constants: Constants::for_network("mainnet").unwrap(),
            signage_point_interval: SIGNAGE_POINT_INTERVAL,
            keys: FarmerKeys::default(),
            names: std::collections::BTreeMap::new(),
            alarm_memory: AlarmMemory::default(),
            harvester_fees: std::collections::BTreeMap::new(),
        };
        let mut farmer = TapedFarmer::new(Farmer::new(config, Now::default()));
        while farmer.poll_output().is_some() {}
        farmer
    }

    fn refused(farmer: &mut TapedFarmer, second: u64) {
        let now = Now {
            mono: Mono(second * 1_000_000),
            ..Now::default()
        };
        let address: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let cause = RefusalCause::ForeignCa;
        farmer.handle(now, Input::ConnectionRefused { address, cause });
    }

    #[tokio::test]
    async fn calls_come_with_what_was_taken_out_before_the_next() {
        let mut farmer = farmer();
        let Taping {
            beginning, mut calls, ..
        } = farmer.record(Now::default()).unwrap();
        assert!(farmer.record(Now::default()).unwrap_err().contains("another"));
        refused(&mut farmer, 1);
        assert!(farmer.poll_output().is_some(), "a notice, and an alarm is left");
        refused(&mut farmer, 2);
        let rest = std::iter::from_fn(|| farmer.poll_output()).count();
        let mut again = *beginning;
        for (outputs, is_settled) in [(1, false), (rest, true)] {
            let TapeItem::Call(call) = calls.next().await else {
                panic!("a call");
            };
            assert_eq!((call.outputs.len(), call.is_settled), (outputs, is_settled));
            again.call(call.now, call.call);
            let taken: Vec<_> = std::iter::from_fn(|| again.poll_output()).take(outputs).collect();
            assert_eq!(taken, call.outputs);
        }
        drop(farmer);
        assert!(matches!(calls.next().await, TapeItem::Over));
    }

    #[tokio::test]
    async fn recorder_that_reads_nothing_is_dropped_and_told_so() {
        let mut farmer = farmer();
        let mut tape = farmer.record(Now::default()).unwrap().calls;
        for second in 0..=TAPE_QUEUE as u64 {
            refused(&mut farmer, second);
            while farmer.poll_output().is_some() {}
        }
        assert!(farmer.tape.is_none());
        for _ in 0..TAPE_QUEUE {
            assert!(matches!(tape.next().await, TapeItem::Call(_)));
        }
        assert!(matches!(tape.next().await, TapeItem::TooSlow));
        assert!(farmer.record(Now::default()).is_ok(), "the next one may try");
    }
}
