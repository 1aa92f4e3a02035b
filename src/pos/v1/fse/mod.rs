//! The entropy code of the deltas in a v1 plot: finite state entropy (tANS) over a fixed distribution.
//!
//! A [`DeltaCode`] is fixed by one number, R, from which the 2^14 state slots are shared out among the symbols; each
//! table of a plot has its R. Two states take turns, the stream is read from its end to its start, and its length is
//! marked by nothing but its own exhaustion. What a symbol stands for is the business of `park`.
//!
//! Follows the reference plotter (chiapos, Apache-2.0: distribution) and Finite State Entropy by Yann Collet (BSD-2:
//! tables and stream format) bit for bit; the code is our own.

mod skip;
#[cfg(test)]
mod tests;

use std::collections::BinaryHeap;
use std::sync::OnceLock;

pub(super) use skip::Skip;

use crate::pos::zeros::has_zeroed_sector;

/// The code of one kind of deltas. Make it a `static`: its tables (64 KiB to decode) are computed on first use.
#[derive(Debug)]
pub(super) struct DeltaCode {
    r: f64,
    decode: OnceLock<Box<DecodeTable>>,
    encode: OnceLock<EncodeTable>,
}

impl DeltaCode {
    /// The code for the distribution parameter `r` (> 0): the larger, the flatter.
    pub(super) const fn new(r: f64) -> Self {
        Self {
            r,
            decode: OnceLock::new(),
            encode: OnceLock::new(),
        }
    }

    /// The symbols of `stream`, which must be cut to its exact length. They are decoded as they are asked for; a
    /// damaged stream gives wrong symbols or ends early, for the code has no check of its own.
    pub(super) fn decode<'a>(&'static self, stream: &'a [u8]) -> Result<Deltas<'a>, FseError> {
        let table = self.decode.get_or_init(|| decode_table(&slot_counts(self.r)));
        if has_zeroed_sector(stream) {
            return Err(FseError::Zeroed);
        }
        let last = *stream.last().ok_or(FseError::Empty)?;
        // The highest set bit of the last byte marks the end and is no data.
        let end_mark = last.checked_ilog2().ok_or(FseError::NoEndMark)?;
        let mut bits = BackwardBits {
            bytes: stream,
            left: (stream.len() - 1) * 8 + end_mark as usize,
        };
        let mut state = || bits.take(TABLE_LOG).ok_or(FseError::TooShort { got: stream.len() });
        let states = [state()?, state()?];
        Ok(Deltas {
            table,
            bits,
            states,
            rest: Rest::Unknown,
        })
    }

    /// Appends the stream of `symbols` to `out`. The format cannot express fewer than three symbols.
    pub(super) fn encode(&self, symbols: &[u8], out: &mut Vec<u8>) -> Result<(), FseError> {
        let table = self.encode.get_or_init(|| EncodeTable::new(&slot_counts(self.r)));
        if symbols.len() < MIN_SYMBOLS {
            return Err(FseError::TooFewSymbols { got: symbols.len() });
        }
        let mut bits = ForwardBits {
            out,
            pending: 0,
            pending_len: 0,
        };
        // Encoding runs backwards so that decoding runs forwards. Even positions belong to the first state, odd ones
        // to the second; the first symbol each of them meets costs nothing, it only picks where the state starts.
        let mut states = [None, None];
        for (position, symbol) in symbols.iter().enumerate().rev() {
            let transform = table.transform(*symbol)?;
            let state = &mut states[position % 2];
            *state = Some(match *state {
                None => table.start(transform),
                Some(from) => table.step(transform, from, &mut bits),
            });
        }
        for state in states.into_iter().rev().flatten() {
            bits.push(state & (SLOTS as u32 - 1), TABLE_LOG);
        }
        bits.finish();
        Ok(())
    }
}

/// Symbols of one stream, in order.
#[derive(Debug)]
pub(super) struct Deltas<'a> {
    table: &'static DecodeTable,
    bits: BackwardBits<'a>,
    states: [u32; 2],
    rest: Rest,
}

/// How many symbols are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// More than one: both states still find bits.
    Unknown,
    /// The bits are used up; the state whose turn it is holds the last symbol.
    One,
    None,
}

impl Iterator for Deltas<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let [state, other] = self.states;
        let cell = self.table[state as usize % SLOTS];
        self.rest = match self.rest {
            Rest::Unknown => match self.bits.take(cell.bits()) {
                Some(low) => {
                    self.states = [other, cell.base() + low];
                    Rest::Unknown
                }
                None => {
                    self.states = [other, state];
                    Rest::One
                }
            },
            Rest::One => Rest::None,
            Rest::None => return None,
        };
        Some(cell.symbol() as u8)
    }
}

/// Why a stream cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FseError {
    /// Nothing there.
    #[error("delta stream is empty")]
    Empty,
    /// The last byte is zero.
    #[error("delta stream has no end mark")]
    NoEndMark,
    /// A code leaves nothing to be foreseen, and here are zeros for a while: the stream is damaged.
    #[error("delta stream has too many zero bytes in a row")]
    Zeroed,
    /// Not even the two initial states.
    #[error("delta stream of {got} bytes is too short for its two states")]
    TooShort {
        /// Bytes there.
        got: usize,
    },
    /// To be written: the format needs three.
    #[error("a delta stream needs at least {MIN_SYMBOLS} deltas, got {got}")]
    TooFewSymbols {
        /// Symbols given.
        got: usize,
    },
    /// To be written: larger than the distribution provides for.
    #[error("delta {symbol} is not in the code, whose largest is {largest}")]
    NoSuchSymbol {
        /// The delta given.
        symbol: u8,
        /// The largest one there is.
        largest: u8,
    },
}

type DecodeTable = [DecodeCell; SLOTS];

/// What one state says: its symbol, and the next state as `base` plus `bits` bits of the stream. Packed so that up to eight
/// can be added, and their symbols and bits with them.
#[derive(Clone, Copy, Debug, Default)]
struct DecodeCell(u32);

impl DecodeCell {
    const SYMBOL_AT: u32 = 7;
    const BASE_AT: u32 = Self::SYMBOL_AT + 8 + 3;

    /// `bits` of at most 14, of `base` as well.
    const fn new(base: u32, symbol: u8, bits: u32) -> Self {
        Self((base << Self::BASE_AT) | ((symbol as u32) << Self::SYMBOL_AT) | bits)
    }

    const fn bits(self) -> u32 {
        self.0 % (1 << Self::SYMBOL_AT)
    }

    const fn symbol(self) -> u32 {
        (self.0 % (1 << Self::BASE_AT)) >> Self::SYMBOL_AT
    }

    const fn base(self) -> u32 {
        self.0 >> Self::BASE_AT
    }
}

fn decode_table(counts: &[u16]) -> Box<DecodeTable> {
    let mut next = counts.to_vec();
    let mut table = Box::new([DecodeCell::default(); SLOTS]);
    for (cell, symbol) in table.iter_mut().zip(spread(counts)) {
        let state = &mut next[usize::from(symbol)];
        // Within a symbol states are numbered count..2*count; shifted up by `bits` they fall into SLOTS..2*SLOTS.
        let bits = TABLE_LOG - state.ilog2();
        *cell = DecodeCell::new((u32::from(*state) << bits) - SLOTS as u32, symbol, bits);
        *state += 1;
    }
    table
}

#[derive(Debug)]
struct EncodeTable {
    transforms: Vec<Transform>,
    /// States (`SLOTS..2 * SLOTS`) of all symbols, symbol by symbol.
    states: Vec<u16>,
}

/// How a symbol changes a state: FSE's `symbolTT`, with its wrapping arithmetic.
#[derive(Clone, Copy, Debug)]
struct Transform {
    delta_bits: u32,
    delta_state: i32,
}

impl EncodeTable {
    fn new(counts: &[u16]) -> Self {
        let mut transforms = Vec::with_capacity(counts.len());
        let mut at = Vec::with_capacity(counts.len());
        let mut total = 0_u32;
        for count in counts.iter().map(|count| u32::from(*count)) {
            let bits = if count == 1 {
                TABLE_LOG
            } else {
                TABLE_LOG - (count - 1).ilog2()
            };
            transforms.push(Transform {
                delta_bits: (bits << 16).wrapping_sub(count << bits),
                delta_state: total as i32 - count as i32,
            });
            at.push(total as usize);
            total += count;
        }
        let mut states = vec![0; SLOTS];
        for (slot, symbol) in spread(counts).into_iter().enumerate() {
            let at = &mut at[usize::from(symbol)];
            states[*at] = (SLOTS + slot) as u16;
            *at += 1;
        }
        Self { transforms, states }
    }

    fn transform(&self, symbol: u8) -> Result<Transform, FseError> {
        let largest = (self.transforms.len() - 1) as u8;
        self.transforms
            .get(usize::from(symbol))
            .copied()
            .ok_or(FseError::NoSuchSymbol { symbol, largest })
    }

    /// The smallest state that yields the symbol.
    fn start(&self, transform: Transform) -> u32 {
        let bits = transform.delta_bits.wrapping_add(1 << 15) >> 16;
        self.state(transform, (bits << 16).wrapping_sub(transform.delta_bits), bits)
    }

    fn step(&self, transform: Transform, from: u32, out: &mut ForwardBits<'_>) -> u32 {
        let bits = from.wrapping_add(transform.delta_bits) >> 16;
        out.push(from & ((1 << bits) - 1), bits);
        self.state(transform, from, bits)
    }

    fn state(&self, transform: Transform, from: u32, bits: u32) -> u32 {
        u32::from(self.states[((from >> bits) as i32 + transform.delta_state) as usize])
    }
}

/// How many of the 2^14 slots each symbol gets: first one each, then each further slot where it saves most bits.
/// Source: chiapos `encoding.hpp`, `CreateNormalizedCount`; the order of the floating point operations matters.
fn slot_counts(r: f64) -> Vec<u16> {
    // Ten digits, as the format has it.
    #[expect(clippy::approx_constant, reason = "the format is defined with this value of e")]
    const E: f64 = 2.718281828459;
    const MIN_PROBABILITY: f64 = 1e-50;
    const MAX_SYMBOLS: usize = 255;

    let mut probabilities = Vec::new();
    let mut p = 1.0 - ((E - 1.0) / E).powf(1.0 / r);
    while p > MIN_PROBABILITY && probabilities.len() < MAX_SYMBOLS {
        probabilities.push(p);
        p = (E.powf(1.0 / r) - 1.0) * (E - 1.0).powf(1.0 / r);
        p /= E.powf((probabilities.len() + 1) as f64 / r);
    }

    // Gains are positive, and positive floats sort like their bit patterns.
    let gain = |symbol: usize, count: u16| {
        (probabilities[symbol] * (f64::from(count + 1).log2() - f64::from(count).log2())).to_bits()
    };
    let mut counts = vec![1; probabilities.len()];
    let mut queue: BinaryHeap<(u64, usize)> = (0..counts.len()).map(|symbol| (gain(symbol, 1), symbol)).collect();
    for _ in counts.len()..SLOTS {
        if let Some(mut best) = queue.peek_mut() {
            let symbol = best.1;
            counts[symbol] += 1;
            best.0 = gain(symbol, counts[symbol]);
        }
    }
    counts
}

/// The symbol of every slot: rare ones (one slot) from the top down, the others strewn over the rest.
fn spread(counts: &[u16]) -> Vec<u8> {
    const STEP: usize = (SLOTS >> 1) + (SLOTS >> 3) + 3;
    let mut slots = vec![0; SLOTS];
    let mut free = SLOTS;
    for (symbol, _) in counts.iter().enumerate().filter(|(_, count)| **count == 1) {
        free -= 1;
        slots[free] = symbol as u8;
    }
    let mut position = 0;
    for (symbol, count) in counts.iter().enumerate().filter(|(_, count)| **count > 1) {
        for _ in 0..*count {
            slots[position] = symbol as u8;
            position = (position + STEP) % SLOTS;
            while position >= free {
                position = (position + STEP) % SLOTS;
            }
        }
    }
    slots
}

/// Reads from the end of a byte string towards its start, little-endian.
#[derive(Debug)]
struct BackwardBits<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl BackwardBits<'_> {
    /// At least the next 57 bits, from the highest bit on; `None` near the end of the stream.
    #[inline]
    fn window(&self) -> Option<u64> {
        let end = self.left.div_ceil(8);
        let bytes = self.bytes.get(end.checked_sub(8)?..end)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes) << (end * 8 - self.left))
    }

    /// The next `len` (at most 14) bits, or `None` if fewer are left.
    #[inline]
    fn take(&mut self, len: u32) -> Option<u32> {
        self.left = self.left.checked_sub(len as usize)?;
        let first = self.left / 8;
        let rest = self.bytes.get(first..)?;
        let window = match rest.first_chunk::<4>() {
            Some(window) => u32::from_le_bytes(*window),
            None => rest.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)),
        };
        Some((window >> (self.left % 8)) & ((1 << len) - 1))
    }
}

/// Writes from the start, little-endian.
struct ForwardBits<'a> {
    out: &'a mut Vec<u8>,
    pending: u32,
    pending_len: u32,
}

impl ForwardBits<'_> {
    /// Appends `value`, which has at most `len` (at most 14) bits.
    fn push(&mut self, value: u32, len: u32) {
        self.pending |= value << self.pending_len;
        self.pending_len += len;
        while self.pending_len >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.pending_len -= 8;
        }
    }

    fn finish(mut self) {
        self.push(1, 1);
        if self.pending_len > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

const TABLE_LOG: u32 = 14;
const SLOTS: usize = 1 << TABLE_LOG;
const MIN_SYMBOLS: usize = 3;

/// So many bits there are at least in eight bytes when the first ones are used.
const WINDOW_BITS: u32 = 57;

/// Streams that are decoded together.
const LANES: usize = 4;
