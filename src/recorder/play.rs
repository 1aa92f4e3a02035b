//! Playing a recording: a farmer that is called as the recorded one was.

use super::{Beginning, CallLine, as_json, digest, take_outputs};
use crate::clock::Now;
use crate::farmer::{Farmer, Output};

/// A farmer that goes through what another one has gone through.
#[derive(Debug)]
pub struct Player {
    farmer: Farmer,
    now: Now,
}

/// What came of one call.
#[derive(Debug)]
pub struct Played {
    /// What the farmer wants done. Nobody should.
    pub outputs: Vec<Output>,
    /// Whether it is what the recorded farmer wanted.
    pub agrees: bool,
}

impl Player {
    /// At the beginning.
    #[must_use]
    pub fn new(beginning: Beginning) -> Self {
        Self {
            farmer: beginning.farmer,
            now: beginning.now,
        }
    }

    /// Makes a call.
    pub fn play(&mut self, line: CallLine) -> Played {
        self.now = line.now;
        self.farmer.call(line.now, line.call);
        let outputs = take_outputs(&mut self.farmer, line.settled, line.outputs);
        let agrees =
            outputs.len() as u64 == line.outputs && as_json(&outputs).is_ok_and(|it| digest(&it) == line.digest);
        Played { outputs, agrees }
    }

    /// The farmer after the last call.
    #[must_use]
    pub const fn farmer(&self) -> &Farmer {
        &self.farmer
    }

    /// When the last call was.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }
}
