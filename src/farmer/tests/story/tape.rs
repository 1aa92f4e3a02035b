//! What is done to the farmer of a story, so that the story can be told again.

use crate::clock::Now;
use crate::farmer::{Call, Farmer, Output};

/// What was done to a farmer, written down line by line, and what it wanted done.
pub(super) struct Tape {
    pub(super) beginning: String,
    lines: Vec<(String, usize)>,
    /// Of all calls, one after the other; each line knows how many came before it.
    pub(super) outputs: Vec<Output>,
}

impl Tape {
    /// Of a farmer whose outputs nobody has taken yet.
    pub(super) fn new(farmer: &Farmer) -> Self {
        let mut settled = farmer.clone();
        while settled.poll_output().is_some() {}
        Self {
            beginning: to_json(&settled),
            lines: Vec::new(),
            outputs: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self, now: Now, call: &Call) {
        if self.lines.is_empty() {
            // Those of the beginning.
            self.outputs.clear();
        }
        let line = to_json(&(now, call));
        let (read_now, read_call): (Now, Call) = from_json(&line);
        assert_eq!((read_now, &read_call), (now, call), "read from {line}");
        self.lines.push((line, self.outputs.len()));
    }

    /// Every line, and what came of it.
    pub(super) fn calls(&self) -> impl Iterator<Item = (&str, &[Output])> {
        let ends = self.lines.iter().skip(1).map(|(_, before)| *before);
        let ends = ends.chain([self.outputs.len()]);
        self.lines
            .iter()
            .zip(ends)
            .map(|((line, from), to)| (line.as_str(), &self.outputs[*from..to]))
    }

    pub(super) fn replay(&self, original: &Farmer) {
        let mut farmer: Farmer = from_json(&self.beginning);
        for (number, (line, outputs)) in self.calls().enumerate() {
            let (now, call): (Now, Call) = from_json(line);
            farmer.call(now, call);
            let again: Vec<Output> = std::iter::from_fn(|| farmer.poll_output()).collect();
            assert_eq!(again, outputs, "after line {number}: {line}");
            if number == self.lines.len() / 2 {
                // Whoever begins here has all that matters too.
                farmer = from_json(&to_json(&farmer));
            }
        }
        assert_eq!(to_json(&farmer), to_json(original), "another farmer in the end");
    }
}

fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("everything can be written down")
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
