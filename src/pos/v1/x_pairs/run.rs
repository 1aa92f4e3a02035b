//! The x values of one run, dealt out by their f1.
//!
//! What is written most is kept least: 32 bits of an x value, from which, and from its place, all the rest is told.

use fearless_simd::Level;

use super::super::chacha8::{BLOCK_WORDS, Keystream, LANES};
use super::super::fx::EXTRA_BITS;
use super::X_BITS;

/// What tells an x value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The first 32 bits of its f1, a word of the keystream.
    pub(super) begin: u32,
    /// Number of the keystream block with that word.
    pub(super) block: u32,
}

impl Origin {
    /// f1.
    pub(super) fn y(&self) -> u64 {
        u64::from(self.begin) << EXTRA_BITS | u64::from(y_end(self.block * BLOCK_WORDS as u32))
    }
}

/// The last bits of f1: the first ones of x, which are the same in all of a run.
fn y_end(x: u32) -> u32 {
    x >> (X_BITS - EXTRA_BITS)
}

/// A run, dealt out.
pub(super) struct Run {
    first_x: u32,
    run_bits: u32,
    /// f1 begins with the number of the part, which has so many bits. There are as many parts as blocks in a stretch.
    part_bits: u32,
    room: usize,
    /// In parts that have `room` each, filled in order. First what comes after the part's number in the first 32 bits of f1, then the
    /// number of the block within its stretch.
    slots: Vec<u32>,
    /// Where the next one of each part would be, before each stretch and after the last.
    marks: Vec<u32>,
    /// What full parts, hardly ever any, had no room for.
    overflow: Vec<(usize, Origin)>,
}

impl Run {
    /// With `room` for so many x values, more than [`BATCH`], in a part.
    pub(super) fn new(run_bits: u32, room: usize) -> Self {
        Self {
            first_x: 0,
            run_bits,
            part_bits: part_bits(run_bits),
            room,
            slots: Vec::new(),
            marks: Vec::new(),
            overflow: Vec::new(),
        }
    }

    /// Makes it the run with this number.
    pub(super) fn fill(&mut self, level: Level, keystream: &Keystream, run: u32) {
        self.first_x = run << self.run_bits;
        self.slots.resize(self.parts() * self.room, 0);
        self.marks.clear();
        self.overflow.clear();
        let (parts, part_bits) = (self.parts(), self.part_bits);
        let mut places: [u32; MAX_PARTS] = std::array::from_fn(|part| (part * self.room) as u32);
        let ends = places.map(|place| place + self.room as u32);
        let slots = &mut self.slots[..];
        let mut rows = [[0; LANES]; BLOCK_WORDS];
        let first_block = self.first_x / BLOCK_WORDS as u32;
        for stretch in (first_block..).step_by(parts).take(stretches(self.run_bits)) {
            self.marks.extend_from_slice(&places[..parts]);
            for block in (0..parts as u32).step_by(LANES) {
                let counters = std::array::from_fn(|lane| u64::from(stretch + block) + lane as u64);
                keystream.transposed_blocks(level, &counters, &mut rows);
                // Once for all of them, for this loop is where the time goes.
                let is_room = places
                    .iter()
                    .zip(&ends)
                    .fold(true, |all, (place, end)| all & (place + BATCH <= *end));
                for row in &rows {
                    for (block, begin) in (block..).zip(row) {
                        let part = (begin >> (32 - part_bits)) as usize % MAX_PARTS;
                        let place = places[part];
                        if !is_room && place == ends[part] {
                            let block = stretch + block;
                            self.overflow.push((part, Origin { begin: *begin, block }));
                            continue;
                        }
                        places[part] = place + 1;
                        slots[place as usize] = begin << part_bits | block;
                    }
                }
            }
        }
        self.marks.extend_from_slice(&places[..parts]);
    }

    pub(super) fn parts(&self) -> usize {
        1 << self.part_bits
    }

    /// The first 32 bits of the least f1 of a part.
    pub(super) fn part_begin(&self, part: usize) -> u32 {
        (part as u32) << (32 - self.part_bits)
    }

    /// The first 32 bits of f1, given what is in a slot of a part with this beginning.
    #[inline(always)]
    pub(super) fn begin(part_begin: u32, part_bits: u32, slot: u32) -> u32 {
        part_begin | slot >> part_bits
    }

    pub(super) fn part_bits(&self) -> u32 {
        self.part_bits
    }

    pub(super) fn y_end(&self) -> u32 {
        y_end(self.first_x)
    }

    pub(super) fn slots(&self, part: usize) -> &[u32] {
        let end = self.marks[self.marks.len() - self.parts() + part];
        &self.slots[part * self.room..end as usize]
    }

    pub(super) fn overflow(&self, part: usize) -> impl Iterator<Item = Origin> {
        let of_part = self.overflow.iter().filter(move |(of, _)| *of == part);
        of_part.map(|(_, origin)| *origin)
    }

    /// Where what is in a slot of `part` comes from.
    pub(super) fn origin(&self, part: usize, slot: usize) -> Origin {
        let place = (part * self.room + slot) as u32;
        let stretches = stretches(self.run_bits);
        let mark = |stretch: usize| self.marks[stretch * self.parts() + part];
        // Near where it would be if all stretches had the same.
        let mut stretch = (slot * stretches / self.slots(part).len()).min(stretches - 1);
        while stretch > 0 && mark(stretch) > place {
            stretch -= 1;
        }
        while stretch + 1 < stretches && mark(stretch + 1) <= place {
            stretch += 1;
        }
        let slot = self.slots[place as usize];
        let block = (stretch * self.parts()) as u32 | slot & (self.parts() as u32 - 1);
        Origin {
            begin: Self::begin(self.part_begin(part), self.part_bits, slot),
            block: self.first_x / BLOCK_WORDS as u32 + block,
        }
    }
}

/// How many x values a part has room for: an eighth more than it has on average, which is 8 or more standard deviations.
pub(super) fn room(run_bits: u32) -> usize {
    let average = 1 << part_size_bits(run_bits);
    // Not a multiple of what makes addresses share a place in a cache, for all parts grow at the same pace.
    average + average / 8 + 16
}

/// Memory that one takes, in bytes.
pub(super) fn bytes(run_bits: u32) -> usize {
    let slots = room(run_bits) << part_bits(run_bits);
    let marks = (stretches(run_bits) + 1) << part_bits(run_bits);
    (slots + marks) * size_of::<u32>()
}

/// How many x values a part has on average, as a power of two.
pub(super) fn part_size_bits(run_bits: u32) -> u32 {
    run_bits - part_bits(run_bits)
}

fn part_bits(run_bits: u32) -> u32 {
    (run_bits - LEAST_PART_SIZE_BITS).min(MAX_PARTS.ilog2())
}

fn stretches(run_bits: u32) -> usize {
    1 << (run_bits - BLOCK_WORDS.ilog2() - part_bits(run_bits))
}

/// A part of one run takes 16 KiB or more.
const LEAST_PART_SIZE_BITS: u32 = 12;

/// More would have the ends of all parts out of the first cache, where each next x value is written.
const MAX_PARTS: usize = 1 << 8;

/// X values that are computed together.
const BATCH: u32 = (LANES * BLOCK_WORDS) as u32;
