//! Looks up the x values of one run among those of another, part by part.

use fearless_simd::{Level, dispatch};

use super::super::fx::{BC, EXTRA_BITS, offsets_match};
use super::beside::{Beside, Chains};
use super::run::{Origin, Run, part_size_bits};

/// What it takes to join two runs.
pub(super) struct Join {
    a: Part,
    b: Part,
    beside: Beside,
    near_a: Near,
    near_b: Near,
    chains: Chains,
    candidates: Vec<Candidate>,
}

impl Join {
    pub(super) fn new(run_bits: u32) -> Self {
        Self {
            a: Part::default(),
            b: Part::default(),
            beside: Beside::default(),
            near_a: Near::default(),
            near_b: Near::default(),
            chains: Chains::new(1 << part_size_bits(run_bits)),
            candidates: Vec::new(),
        }
    }

    /// Appends to `found` the left and the right one of each matching pair of an x value of either run. Some come twice.
    pub(super) fn all(&mut self, level: Level, run_a: &Run, run_b: &Run, found: &mut Vec<[Origin; 2]>) {
        for part in 0..run_a.parts() {
            self.a.set(level, run_a, part);
            self.b.set(level, run_b, part);

            // What has none of the other run in a bucket next to its own, which is most of it, is left out.
            self.beside.set(level, &self.a.buckets);
            self.near_b.set(&self.b, &self.beside);
            self.beside.set(level, &self.near_b.buckets);
            self.near_a.set(&self.a, &self.beside);

            let candidates = self.collect_candidates();
            for candidates in self.candidates[..candidates].chunks(WIDTH) {
                let mut begins = [[0; WIDTH]; 2];
                let [begins_a, begins_b] = &mut begins;
                for ((a, b), candidate) in begins_a.iter_mut().zip(begins_b).zip(candidates) {
                    *a = self.near_a.begins[candidate.a as usize];
                    *b = self.near_b.begins[candidate.b as usize];
                }
                let are_matches = are_matches(level, &begins, [run_a.y_end(), run_b.y_end()]);
                if are_matches.iter().fold(0, |any, is_match| any | is_match) == 0 {
                    continue;
                }
                for (candidate, _) in candidates
                    .iter()
                    .zip(are_matches)
                    .filter(|(_, is_match)| *is_match != 0)
                {
                    let a = self.a.origin(run_a, part, self.near_a.places[candidate.a as usize]);
                    let b = self.b.origin(run_b, part, self.near_b.places[candidate.b as usize]);
                    found.push(if a.y() < b.y() { [a, b] } else { [b, a] });
                }
            }
        }
    }

    /// Puts at the front of the candidates those of `near_a` in the chains of the buckets beside each of `near_b`, and tells their
    /// number.
    fn collect_candidates(&mut self) -> usize {
        let Self {
            near_a,
            near_b,
            chains,
            candidates,
            ..
        } = self;
        chains.set(&near_a.buckets);
        // Those at the heads of their chains first, then in turn those that come after others. Written without branches, for
        // whether there is one is as good as random; each time there is room for one more.
        candidates.resize(candidates.len().max(2 * near_b.buckets.len() + 1), Candidate::default());
        let mut count = 0;
        for (b, bucket) in (0..).zip(&near_b.buckets) {
            for bucket in [bucket.wrapping_sub(1), bucket + 1] {
                let (a, is_there) = chains.first(bucket);
                candidates[count] = Candidate { a, b };
                count += usize::from(is_there);
            }
        }
        let mut at = 0;
        while at < count {
            if candidates.len() == count {
                candidates.resize(2 * count, Candidate::default());
            }
            let Candidate { a, b } = candidates[at];
            let (a, is_there) = chains.after(a);
            candidates[count] = Candidate { a, b };
            count += usize::from(is_there);
            at += 1;
        }
        count
    }
}

/// Two x values that may match: indices into what is near of either part.
#[derive(Clone, Copy, Default)]
struct Candidate {
    a: u32,
    b: u32,
}

/// A part of one run as it is looked at.
#[derive(Default)]
struct Part {
    /// Of the x values that are not in slots of the part: those of its overflow and of the end of the part before.
    extra: Vec<Origin>,
    /// Of `extra`, then of the slots: the first 32 bits of f1.
    begins: Vec<u32>,
    /// The buckets of the same.
    buckets: Vec<u32>,
}

impl Part {
    /// Makes it this part; before it was the one before.
    fn set(&mut self, level: Level, run: &Run, part: usize) {
        self.extra = if part == 0 { Vec::new() } else { self.carried(run, part) };
        self.extra.extend(run.overflow(part));
        let slots = run.slots(part);
        let count = self.extra.len() + slots.len();
        self.begins.resize(count, 0);
        self.buckets.resize(count, 0);
        for (begin, origin) in self.begins.iter_mut().zip(&self.extra) {
            *begin = origin.begin;
        }
        let extra = self.extra.len();
        let (part_begin, part_bits, y_end) = (run.part_begin(part), run.part_bits(), run.y_end());
        dispatch!(level, _ => {
            for (begin, slot) in self.begins[extra..].iter_mut().zip(slots) {
                *begin = Run::begin(part_begin, part_bits, *slot);
            }
            for (bucket, begin) in self.buckets.iter_mut().zip(&self.begins) {
                *bucket = bucket_of(*begin, y_end);
            }
        });
    }

    /// Those of the part before `part` that may match with some of this.
    fn carried(&self, run: &Run, part: usize) -> Vec<Origin> {
        let least = bucket_of(run.part_begin(part), 0) - 1;
        let mut carried = Vec::new();
        for (number, buckets) in (0..).zip(self.buckets.chunks(WIDTH)) {
            // Most have none.
            if buckets.iter().fold(false, |any, bucket| any | (*bucket >= least)) {
                let places = (number * WIDTH as u32..)
                    .zip(buckets)
                    .filter(|(_, bucket)| **bucket >= least);
                carried.extend(places.map(|(place, _)| self.origin(run, part - 1, place)));
            }
        }
        carried
    }

    fn origin(&self, run: &Run, part: usize, place: u32) -> Origin {
        let place = place as usize;
        match self.extra.get(place) {
            Some(origin) => *origin,
            None => run.origin(part, place - self.extra.len()),
        }
    }
}

/// Those of a part that are beside some of the other run.
#[derive(Default)]
struct Near {
    /// Where they are in the part, and then what was there before.
    places: Vec<u32>,
    begins: Vec<u32>,
    buckets: Vec<u32>,
}

impl Near {
    fn set(&mut self, part: &Part, beside: &Beside) {
        self.places
            .resize((part.buckets.len() + GROUP).max(self.places.len()), 0);
        // Without branches: what comes is as good as random. And in groups, so that there are fewer checks.
        let (groups, rest) = part.buckets.as_chunks::<GROUP>();
        let (mut place, mut count) = (0, 0);
        for group in groups {
            let Some(places) = self.places[count..].first_chunk_mut::<GROUP>() else {
                break;
            };
            let mut kept = 0;
            for bucket in group {
                places[kept % GROUP] = place;
                kept += beside.count(*bucket);
                place += 1;
            }
            count += kept;
        }
        for bucket in rest {
            self.places[count] = place;
            count += beside.count(*bucket);
            place += 1;
        }
        let places = &self.places[..count];
        self.begins.clear();
        self.begins
            .extend(places.iter().map(|place| part.begins[*place as usize]));
        self.buckets.clear();
        self.buckets
            .extend(places.iter().map(|place| part.buckets[*place as usize]));
    }
}

/// Whether the first 32 bits of f1 of either run, whose last bits are `y_ends`, belong to values that match: 1 if so.
fn are_matches(level: Level, begins: &[[u32; WIDTH]; 2], y_ends: [u32; 2]) -> [u8; WIDTH] {
    let mut are_matches = [0; WIDTH];
    dispatch!(level, _ => {
        for (at, is_match) in are_matches.iter_mut().enumerate() {
            // Spelled out: what is not inlined in here has no vectors.
            let (begin_a, begin_b) = (begins[0][at], begins[1][at]);
            let (bucket_a, bucket_b) = (bucket_of(begin_a, y_ends[0]), bucket_of(begin_b, y_ends[1]));
            let offset_a = offset_in(bucket_a, begin_a, y_ends[0]) as u16;
            let offset_b = offset_in(bucket_b, begin_b, y_ends[1]) as u16;
            let is_a_left = bucket_a < bucket_b;
            let (left, right) = if is_a_left { (offset_a, offset_b) } else { (offset_b, offset_a) };
            let is_left_odd = bucket_a.min(bucket_b) % 2 == 1;
            *is_match = u8::from((bucket_a.abs_diff(bucket_b) == 1) & offsets_match(is_left_odd, left, right));
        }
    });
    are_matches
}

/// The bucket that f1 is in, of its first 32 bits and its last ones.
#[inline(always)]
fn bucket_of(begin: u32, y_end: u32) -> u32 {
    // Too small by 1 at most, and then what is left is too large.
    const RECIPROCAL: u64 = (1 << (39 + EXTRA_BITS)) / BC;
    let bucket = ((u64::from(begin) * RECIPROCAL) >> 39) as u32;
    bucket + u32::from(offset_in(bucket, begin, y_end) >= BC as u32)
}

/// How far f1 is from the start of a bucket that is near.
#[inline(always)]
fn offset_in(bucket: u32, begin: u32, y_end: u32) -> u32 {
    // The difference is small, so the lower bits tell.
    (begin << EXTRA_BITS | y_end).wrapping_sub(bucket.wrapping_mul(BC as u32))
}

/// How many are looked at without asking whether there is room.
const GROUP: usize = 8;

/// How many are computed at once: enough for vectors of any width.
const WIDTH: usize = 64;
