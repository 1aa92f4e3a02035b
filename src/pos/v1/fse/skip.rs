//! Skipping symbols of many streams at the same time: to look a plot up means to go over thousands of deltas of which only
//! the sum is wanted, and one stream alone leaves most of a processor idle.

use super::{BackwardBits, DecodeCell, DecodeTable, Deltas, LANES, SLOTS, WINDOW_BITS};

/// Symbols that are skipped, eight or four at a time: while their sum stays below a limit and they are no more than so
/// many. Much faster than the iterator, which has the symbols that are left.
#[derive(Debug)]
pub(in crate::pos::v1) struct Skip<'a> {
    deltas: Deltas<'a>,
    limit: u64,
    most: usize,
    taken: usize,
    sum: u64,
}

impl<'a> Skip<'a> {
    /// To skip `most` symbols of `deltas` at most, whose sum is below `limit`.
    pub(in crate::pos::v1) const fn new(deltas: Deltas<'a>, limit: u64, most: usize) -> Self {
        Self {
            deltas,
            limit,
            most,
            taken: 0,
            sum: 0,
        }
    }

    /// Skips as far as each goes, several of them at the same time: what takes time is to wait for one symbol after the
    /// other, and so many streams wait together.
    pub(in crate::pos::v1) fn all<'b>(skips: impl IntoIterator<Item = &'b mut Self>)
    where
        'a: 'b,
    {
        let mut going: Vec<&mut Self> = skips.into_iter().collect();
        while let Some(first) = going.first() {
            let table = first.deltas.table;
            let is_other = |skip: &mut &mut Self| !std::ptr::eq(skip.deltas.table, table);
            let others = going.extract_if(.., is_other).collect();
            Self::all_of(table, std::mem::replace(&mut going, others));
        }
    }

    fn all_of(table: &DecodeTable, mut waiting: Vec<&mut Self>) {
        // Those that go furthest begin, so that none is left to go alone.
        waiting.sort_unstable_by_key(|skip| skip.left_at_most());
        let mut going = waiting.split_off(waiting.len().saturating_sub(LANES));
        while !going.is_empty() {
            let ended = if let Some(going) = going.first_chunk_mut::<LANES>() {
                Self::skip_together(table, going)
            } else if let Some(going) = going.first_chunk_mut::<3>() {
                Self::skip_together(table, going)
            } else if let Some(going) = going.first_chunk_mut::<2>() {
                Self::skip_together(table, going)
            } else {
                0
            };
            while going[ended].skip::<8>(table) {}
            // Where eight take more bits than are read at once, it goes on with the others after four.
            if going[ended].skip::<4>(table) && going[ended].skip::<8>(table) {
                continue;
            }
            while going[ended].skip::<4>(table) {}
            match waiting.pop() {
                Some(next) => going[ended] = next,
                None => drop(going.swap_remove(ended)),
            }
        }
    }

    /// Skips eight symbols of each, again and again, until one cannot: which.
    fn skip_together<const N: usize>(table: &DecodeTable, skips: &mut [&mut Self; N]) -> usize {
        let streams = skips.each_ref().map(|skip| skip.deltas.bits.bytes);
        let limits = skips.each_ref().map(|skip| skip.limit);
        let mut places = skips.each_ref().map(|skip| skip.place());
        let rounds = skips.each_ref().map(|skip| (skip.most - skip.taken) / 8);
        let (mut ended, most) = (0..).zip(rounds).min_by_key(|(_, rounds)| *rounds).unwrap_or((0, 0));
        let mut taken = 0;
        'rounds: for _ in 0..most {
            let mut steps = [Steps::default(); N];
            for lane in 0..N {
                let Some(begin) = places[lane].begin(streams[lane]) else {
                    ended = lane;
                    break 'rounds;
                };
                steps[lane] = begin;
            }
            // Taking turns more often than once in eight symbols, a processor sees far enough ahead to do all of them at
            // the same time; much more often, there are too many numbers at once.
            for _ in 0..2 {
                for steps in &mut steps {
                    steps.take_four(table);
                }
            }
            let mut next = places;
            for lane in 0..N {
                match steps[lane].end(places[lane]) {
                    Some(place) if place.sum < limits[lane] => next[lane] = place,
                    _ => {
                        ended = lane;
                        break 'rounds;
                    }
                }
            }
            (places, taken) = (next, taken + 8);
        }
        for (skip, place) in skips.iter_mut().zip(places) {
            skip.go_to(place, taken);
        }
        ended
    }

    /// About how many symbols it can go on, if those of a limited sum are 1 in the middle.
    fn left_at_most(&self) -> u64 {
        ((self.most - self.taken) as u64).min(self.limit.saturating_sub(self.sum))
    }

    /// How many symbols were skipped, their sum, and the symbols after them.
    pub(in crate::pos::v1) fn end(self) -> (usize, u64, Deltas<'a>) {
        (self.taken, self.sum, self.deltas)
    }

    /// Skips so many symbols, four or eight, if it can.
    #[inline]
    fn skip<const COUNT: usize>(&mut self, table: &DecodeTable) -> bool {
        let begin = self.place();
        let end = begin.begin(self.deltas.bits.bytes).and_then(|mut steps| {
            for _ in 0..COUNT / 4 {
                steps.take_four(table);
            }
            steps.end(begin)
        });
        match end {
            Some(place) if place.sum < self.limit && self.taken + COUNT <= self.most => {
                self.go_to(place, COUNT);
                true
            }
            _ => false,
        }
    }

    const fn place(&self) -> Place {
        Place {
            left: self.deltas.bits.left,
            states: self.deltas.states,
            sum: self.sum,
        }
    }

    const fn go_to(&mut self, place: Place, taken: usize) {
        self.deltas.bits.left = place.left;
        self.deltas.states = place.states;
        self.sum = place.sum;
        self.taken += taken;
    }
}

/// A place in a stream.
#[derive(Clone, Copy, Default)]
struct Place {
    left: usize,
    states: [u32; 2],
    /// Of all symbols before.
    sum: u64,
}

impl Place {
    /// To go on from here in the stream `bytes`; `None` near its end.
    #[inline(always)]
    fn begin(self, bytes: &[u8]) -> Option<Steps> {
        let window = BackwardBits { bytes, left: self.left }.window()?;
        Some(Steps {
            window,
            states: self.states,
            cells: 0,
        })
    }
}

/// Up to eight symbols that are being taken from a place on.
#[derive(Clone, Copy, Default)]
struct Steps {
    /// The bits that come next, from the highest on.
    window: u64,
    states: [u32; 2],
    /// What the cells of the symbols come to, so the sum of the symbols and that of their bits.
    cells: u32,
}

impl Steps {
    #[inline(always)]
    fn take_four(&mut self, table: &DecodeTable) {
        let Self {
            mut window,
            states: [mut first, mut second],
            mut cells,
        } = *self;
        let mut next = |state: u32| {
            let cell = table[state as usize % SLOTS];
            // A symbol takes a bit at least: none has more than half of the slots. Shifts go by the last six bits of a
            // number, which are the bits of a cell.
            let low = window.wrapping_shr(cell.0.wrapping_neg()) as u32;
            window = window.wrapping_shl(cell.0);
            cells = cells.wrapping_add(cell.0);
            cell.base() + low
        };
        for _ in 0..2 {
            first = next(first);
            second = next(second);
        }
        *self = Self {
            window,
            states: [first, second],
            cells,
        };
    }

    /// Where it has come to from `begin`; `None` if that took more bits than were read at once. Four symbols never do.
    #[inline(always)]
    fn end(self, begin: Place) -> Option<Place> {
        let cells = DecodeCell(self.cells);
        let left = begin.left.checked_sub(cells.bits() as usize)?;
        (cells.bits() <= WINDOW_BITS).then_some(Place {
            left,
            states: self.states,
            sum: begin.sum + u64::from(cells.symbol()),
        })
    }
}
