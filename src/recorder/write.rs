//! Writing a recording, as it is or with nothing private in it.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Beginning, CallLine, End, Header, Line, RECORDING_VERSION, Scrubber, as_json, digest, take_outputs};
use crate::clock::Now;
use crate::control::RecordedCall;
use crate::farmer::{Call, Farmer, Input};
use crate::json;
use crate::logging::LogRecord;
use crate::wire::{RequestSignedValues, Streamable};

/// Why a recording cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The farmer sent what makes no sense: it may be of another version.
    #[error("what the farmer tells cannot be read: {0}")]
    Unreadable(serde_json::Error),
    /// What is left when the private is replaced cannot be read any more.
    #[error("what is private in it cannot be replaced: {0}")]
    Unscrubbable(serde_json::Error),
    /// It cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    private: Option<Private>,
    calls: u64,
}

/// What it takes to tell nothing private.
#[derive(Debug)]
struct Private {
    scrubber: Scrubber,
    /// Is called with what was replaced.
    shadow: Farmer,
    otherwise: u64,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording with a farmer, as JSON, as it is now; with a scrubber, nothing private gets into it.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn new(mut out: W, now: Now, farmer: &str, scrubber: Option<Scrubber>) -> Result<Self, RecordError> {
        let header = Header {
            farmconsole_recording: RECORDING_VERSION,
            software_version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: now.unix.0,
            scrubbed: scrubber.is_some(),
            differences: match scrubber {
                Some(_) => DIFFERENCES.map(str::to_owned).to_vec(),
                None => Vec::new(),
            },
        };
        put(&mut out, &header)?;
        let (farmer, private) = match scrubber {
            None => (parse(farmer)?, None),
            Some(mut scrubber) => {
                let mut shadow = scrubbed(farmer, &mut scrubber)?;
                let original: Farmer = parse(farmer)?;
                let hashes = original.own_hashes();
                if !hashes.is_empty() {
                    for (one, other) in hashes.iter().zip(shadow.own_hashes()) {
                        scrubber.settle(&one.to_string(), &other.to_string());
                    }
                    shadow = scrubbed(farmer, &mut scrubber)?;
                }
                shadow.stop_counting();
                let private = Private {
                    scrubber,
                    shadow: shadow.clone(),
                    otherwise: 0,
                };
                (shadow, Some(private))
            }
        };
        put(&mut out, &Line::Beginning(Box::new(Beginning { now, farmer })))?;
        Ok(Self { out, private, calls: 0 })
    }

    /// Writes what happened next.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn call(&mut self, recorded: RecordedCall) -> Result<(), RecordError> {
        let RecordedCall {
            now,
            call,
            outputs,
            is_settled,
        } = recorded;
        let (call, outputs) = match &mut self.private {
            None => (call, outputs),
            Some(private) => private.call(now, &call, &outputs, is_settled)?,
        };
        self.calls += 1;
        let line = CallLine {
            now,
            call,
            outputs: outputs.len() as u64,
            settled: is_settled,
            digest: digest(&outputs),
        };
        Ok(put(&mut self.out, &Line::Call(Box::new(line)))?)
    }

    /// Writes what was logged.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn log(&mut self, record: LogRecord) -> Result<(), RecordError> {
        let record = match &mut self.private {
            None => record,
            Some(private) => {
                let mut value = json::to_value(&record).map_err(RecordError::Unreadable)?;
                private.scrubber.scrub(&mut value);
                json::from_value(&value).map_err(RecordError::Unscrubbable)?
            }
        };
        Ok(put(&mut self.out, &Line::Log(Box::new(record)))?)
    }

    /// Lets what was written so far reach the file.
    ///
    /// # Errors
    /// Whatever writing answers.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends the recording; says how.
    ///
    /// # Errors
    /// Whatever writing answers.
    pub fn finish(mut self, why: String) -> io::Result<End> {
        let end = End {
            why,
            calls: self.calls,
            otherwise: self.private.map_or(0, |private| private.otherwise),
        };
        put(&mut self.out, &Line::End(end.clone()))?;
        self.out.flush()?;
        Ok(end)
    }
}

impl Private {
    /// The call with all that is private replaced, and what it came to.
    fn call(
        &mut self,
        now: Now,
        call: &Call,
        outputs: &[Value],
        is_settled: bool,
    ) -> Result<(Call, Vec<Value>), RecordError> {
        let call = self.scrubbed(call)?;
        self.shadow.call(now, call.clone());
        let own = take_outputs(&mut self.shadow, is_settled, outputs.len() as u64);
        let own = as_json(&own).map_err(RecordError::Unscrubbable)?;
        let is_alike = outputs.len() == own.len() && outputs.iter().zip(&own).all(|(one, other)| is_alike(one, other));
        if is_alike {
            for (one, other) in outputs.iter().zip(&own) {
                self.learn_messages(one, other, "");
            }
        } else {
            self.otherwise += 1;
        }
        Ok((call, own))
    }

    fn scrubbed(&mut self, call: &Call) -> Result<Call, RecordError> {
        let Call::Input(input) = call else {
            return Ok(Call::Timeout);
        };
        let mut value = json::to_value(input).map_err(RecordError::Unreadable)?;
        self.scrubber.scrub(&mut value);
        let mut scrubbed: Input = json::from_value(&value).map_err(RecordError::Unscrubbable)?;
        if let (
            Input::RequestSignedValues { request: original, .. },
            Input::RequestSignedValues { request: scrubbed, .. },
        ) = (&**input, &mut scrubbed)
        {
            self.hash_again(original, scrubbed);
        }
        Ok(Call::Input(Box::new(scrubbed)))
    }

    /// What a node wants signed are hashes, which the farmer checks: what fitted what it shows still does.
    fn hash_again(&mut self, original: &RequestSignedValues, scrubbed: &mut RequestSignedValues) {
        if let (Some(foliage), Some(block), Some(new_foliage), Some(new_block)) = (
            &original.foliage_block_data,
            &original.rc_block_unfinished,
            &mut scrubbed.foliage_block_data,
            &scrubbed.rc_block_unfinished,
        ) && foliage.unfinished_reward_block_hash == block.get_hash(&original.quality_string)
        {
            new_foliage.unfinished_reward_block_hash = new_block.get_hash(&scrubbed.quality_string);
        }
        if let (Some(foliage), Some(new_foliage)) = (&original.foliage_block_data, &scrubbed.foliage_block_data)
            && foliage.get_hash() == original.foliage_block_data_hash
        {
            scrubbed.foliage_block_data_hash = new_foliage.get_hash();
        }
        if let (Some(block), Some(new_block)) = (
            &original.foliage_transaction_block_data,
            &scrubbed.foliage_transaction_block_data,
        ) && block.get_hash() == original.foliage_transaction_block_hash
        {
            scrubbed.foliage_transaction_block_hash = new_block.get_hash();
        }
        for (old, new) in [
            (original.foliage_block_data_hash, scrubbed.foliage_block_data_hash),
            (
                original.foliage_transaction_block_hash,
                scrubbed.foliage_transaction_block_hash,
            ),
        ] {
            self.scrubber.settle(&old.to_string(), &new.to_string());
        }
    }

    /// Hashes that harvesters are asked to sign come back with their answers: those of the true farmer are to be replaced by
    /// those of the shadow.
    fn learn_messages(&mut self, original: &Value, own: &Value, key: &str) {
        match (original, own) {
            (Value::Object(original), Value::Object(own)) => {
                for (key, value) in original {
                    if let Some(own) = own.get(key) {
                        self.learn_messages(value, own, key);
                    }
                }
            }
            (Value::Array(original), Value::Array(own)) => {
                for (original, own) in original.iter().zip(own) {
                    self.learn_messages(original, own, key);
                }
            }
            (Value::String(original), Value::String(own)) if key == "messages" => self.scrubber.settle(original, own),
            _ => {}
        }
    }
}

/// A farmer with all that is private in it replaced.
fn scrubbed(farmer: &str, scrubber: &mut Scrubber) -> Result<Farmer, RecordError> {
    let mut value: Value = parse(farmer)?;
    scrubber.scrub(&mut value);
    json::from_value(&value).map_err(RecordError::Unscrubbable)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, RecordError> {
    serde_json::from_slice(text.as_bytes()).map_err(RecordError::Unreadable)
}

/// Whether two values differ in nothing but texts, and in the order that follows from them.
pub(super) fn is_alike(one: &Value, other: &Value) -> bool {
    skeleton(one) == skeleton(other)
}

/// A value without its texts.
fn skeleton(value: &Value) -> String {
    let joined = |mut parts: Vec<String>| {
        parts.sort_unstable();
        parts.join(",")
    };
    match value {
        Value::Object(fields) => {
            let part = |(key, value): (&String, &Value)| {
                let key = if is_name(key) { key } else { "" };
                format!("{key}:{}", skeleton(value))
            };
            format!("{{{}}}", joined(fields.iter().map(part).collect()))
        }
        Value::Array(items) => format!("[{}]", joined(items.iter().map(skeleton).collect())),
        Value::String(_) => "text".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whether a key is a name of ours.
fn is_name(key: &str) -> bool {
    key.len() < 40 && key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn put(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// What the replay of a recording that tells nothing private cannot show as it was.
const DIFFERENCES: [&str; 5] = [
    "plot ids are made up, so the farmer's own count of eligible plots is off",
    "partial proofs of v2 plots do not pass the plot filter, because their keys are made up",
    "whether a fee of a harvester (CHIP-22) is due follows from the bytes of its proof, which are made up",
    "a proof that was judged before the recording began is taken for a new one if it comes again",
    "signage points, challenges and qualities of proofs are kept: who knows the chain can find the block that a winning \
     proof became, as the times of a recording would let him, too",
];
