//! Parks: the fixed-size groups of entries that the tables of a v1 plot are made of.
//!
//! * Tables 1 to 6 hold line points: two positions in the table below (in table 1, two x values) folded into one
//!   number, sorted. A park stores its first line point and, for each of the other 2047, the difference to the one
//!   before: low bits as they are (stubs), the rest entropy-coded (deltas).
//! * Table 7 holds positions in table 6, sorted by f7; C3 parks hold the differences between those f7s.
//!
//! In compressed plots the lowest tables are missing, and the lowest one there is has parks of another shape.
//!
//! Works on bytes that somebody else read or will write. Bytes may be damaged: that gives errors or wrong numbers,
//! never a panic. After the file format of chiapos (Apache-2.0).

#[cfg(test)]
mod tests;

use super::bits::{BitWriter, read_bits, read_bits_u128};
use super::fse::{DeltaCode, Deltas, FseError, Skip};
use crate::pos::zeros::has_zeroed_sector;

/// Entries in a park of the tables 1 to 7; the last park of a table may hold fewer.
pub(super) const ENTRIES_PER_PARK: usize = 2048;

/// Entries of table 7 per C1 entry and per C3 park.
pub(super) const CHECKPOINT_1_INTERVAL: usize = 10_000;

/// C1 entries per C2 entry.
pub(super) const CHECKPOINT_2_INTERVAL: usize = 10_000;

/// Folds two positions, in either order, into one number: those of the pairs with larger part x begin at x(x-1)/2.
pub(super) fn line_point(a: u64, b: u64) -> u128 {
    let (x, y) = if a > b { (a, b) } else { (b, a) };
    triangle(u128::from(x)) + u128::from(y)
}

/// The pair `(x, y)`, x > y, that [`line_point`] folded. Which of them was first is lost.
pub(super) fn unfold_line_point(line_point: u128) -> (u64, u64) {
    // Floating point gets within a few units of the root for anything below 2^102; the loops make it exact.
    let mut x = (((line_point as f64) * 2.0).sqrt()) as u128;
    while x > 0 && triangle(x) > line_point {
        x -= 1;
    }
    while triangle(x + 1) <= line_point {
        x += 1;
    }
    (x as u64, (line_point - triangle(x)) as u64)
}

/// Shape of the parks of one table of line points.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParkLayout {
    line_point_bits: u32,
    stub_bits: u32,
    deltas_bytes: usize,
    code: &'static DeltaCode,
}

impl ParkLayout {
    /// The layout of `table` (1 to 6) in an uncompressed plot of size `k`.
    pub(super) fn classic(k: u8, table: u8) -> Self {
        let (code, deltas_bytes) = match table {
            1 => (&TABLE_1_CODE, TABLE_1_DELTAS_BYTES),
            2 | 3 => (&TABLE_2_AND_3_CODE, DELTAS_BYTES),
            4 => (&TABLE_4_CODE, DELTAS_BYTES),
            5 => (&TABLE_5_CODE, DELTAS_BYTES),
            _ => (&TABLE_6_CODE, DELTAS_BYTES),
        };
        let k = u32::from(k);
        Self {
            line_point_bits: 2 * k,
            stub_bits: k.saturating_sub(STUB_MINUS_BITS),
            deltas_bytes,
            code,
        }
    }

    /// The layout of the lowest table there is in a compressed plot (k 32); `None` if there is no such level.
    pub(super) fn compressed(level: u8) -> Option<Self> {
        let (stub_bits, park_bytes, code) = COMPRESSED_PARKS.get(usize::from(level).checked_sub(1)?)?;
        let layout = Self {
            line_point_bits: 2 * 32,
            stub_bits: *stub_bits,
            deltas_bytes: 0,
            code,
        };
        let deltas_bytes = park_bytes.checked_sub(layout.deltas_start())?;
        Some(Self { deltas_bytes, ..layout })
    }

    /// Bytes of one park.
    pub(super) fn park_bytes(&self) -> usize {
        self.deltas_start() + self.deltas_bytes
    }

    /// The line point of the entry `index` (below 2048) of `park`; decodes no further than that.
    pub(super) fn line_point(&self, park: &[u8], index: usize) -> Result<u128, ParkError> {
        let mut entry = self.entry(park, index)?;
        Skip::all(entry.skip());
        entry.line_point()
    }

    /// The entry `index` (below 2048) of `park`, not decoded.
    pub(super) fn entry<'a>(&self, park: &'a [u8], index: usize) -> Result<ParkEntry<'a>, ParkError> {
        if index >= ENTRIES_PER_PARK {
            return Err(ParkError::NoSuchEntry {
                index,
                held: ENTRIES_PER_PARK,
            });
        }
        Ok(ParkEntry {
            layout: *self,
            park,
            index,
            first: self.first_line_point(park)?,
            deltas: match index {
                0 => EntryDeltas::Raw([].iter()),
                _ => match self.deltas(park)? {
                    ParkDeltas::Coded(deltas) => EntryDeltas::Coded(Skip::new(deltas, u64::MAX, index)),
                    ParkDeltas::Raw(deltas) => EntryDeltas::Raw(deltas),
                },
            },
        })
    }

    /// The park of `line_points`: 1 to 2048 of them, ascending. Fewer than four are followed by repetitions of the
    /// last, because the entropy code cannot express fewer than three deltas; no position points at these.
    pub(super) fn encode(&self, line_points: &[u128]) -> Result<Vec<u8>, ParkError> {
        let held = line_points.len();
        let first = match line_points.first() {
            Some(first) if held <= ENTRIES_PER_PARK => self.checked(*first)?,
            _ => return Err(ParkError::EntryCount { got: held }),
        };
        let mut head = BitWriter::with_capacity(self.stubs_start() * 8);
        head.push(
            first << (self.stubs_start() as u32 * 8 - self.line_point_bits),
            self.stubs_start() as u32 * 8,
        );
        let mut park = head.into_bytes();

        let mut stubs = BitWriter::with_capacity(ENTRIES_PER_PARK * self.stub_bits as usize);
        let mut deltas = Vec::with_capacity(ENTRIES_PER_PARK);
        for pair in line_points.windows(2) {
            let difference = self
                .checked(pair[1])?
                .checked_sub(pair[0])
                .ok_or(ParkError::NotAscending)?;
            stubs.push(difference, self.stub_bits);
            let delta = difference >> self.stub_bits;
            deltas.push(u8::try_from(delta).map_err(|_| ParkError::DeltaTooLarge { delta })?);
        }
        deltas.resize(deltas.len().max(MIN_DELTAS), 0);
        park.extend(stubs.into_bytes());
        park.resize(self.deltas_start() + DELTAS_LEN_BYTES, 0);

        self.code.encode(&deltas, &mut park)?;
        let coded = park.len() - self.deltas_start() - DELTAS_LEN_BYTES;
        let room = self.deltas_bytes - DELTAS_LEN_BYTES;
        let len = u16::try_from(coded)
            .ok()
            .filter(|len| coded <= room && len & RAW_DELTAS == 0);
        let len = len.ok_or(ParkError::DeltasOverflow { needed: coded, room })?;
        park[self.deltas_start()..][..DELTAS_LEN_BYTES].copy_from_slice(&len.to_le_bytes());
        park.resize(self.park_bytes(), 0);
        Ok(park)
    }

    fn first_line_point(&self, park: &[u8]) -> Result<u128, ParkError> {
        read_bits_u128(park, 0, self.line_point_bits).ok_or_else(|| self.cut(park))
    }

    fn stubs<'a>(&self, park: &'a [u8]) -> Result<Stubs<'a>, ParkError> {
        let bytes = park
            .get(self.stubs_start()..self.deltas_start())
            .ok_or_else(|| self.cut(park))?;
        Ok(Stubs {
            bytes,
            bits: self.stub_bits,
        })
    }

    fn deltas<'a>(&self, park: &'a [u8]) -> Result<ParkDeltas<'a>, ParkError> {
        let section = park
            .get(self.deltas_start()..self.park_bytes())
            .ok_or_else(|| self.cut(park))?;
        let (len, section) = section
            .split_first_chunk::<DELTAS_LEN_BYTES>()
            .ok_or_else(|| self.cut(park))?;
        let word = u16::from_le_bytes(*len);
        let len = usize::from(word & !RAW_DELTAS);
        let stream = section.get(..len).ok_or(ParkError::DeltasOverflow {
            needed: len,
            room: section.len(),
        })?;
        if word & RAW_DELTAS == 0 {
            Ok(ParkDeltas::Coded(self.code.decode(stream)?))
        } else {
            Ok(ParkDeltas::Raw(stream.iter()))
        }
    }

    fn checked(&self, line_point: u128) -> Result<u128, ParkError> {
        match line_point >> self.line_point_bits {
            0 => Ok(line_point),
            _ => Err(ParkError::LinePointTooLarge {
                bits: self.line_point_bits,
            }),
        }
    }

    fn stubs_start(&self) -> usize {
        (self.line_point_bits as usize).div_ceil(8)
    }

    fn deltas_start(&self) -> usize {
        self.stubs_start() + ((ENTRIES_PER_PARK - 1) * self.stub_bits as usize).div_ceil(8)
    }

    fn cut(&self, park: &[u8]) -> ParkError {
        ParkError::WrongSize {
            expected: self.park_bytes(),
            got: park.len(),
        }
    }
}

/// The line point of entry `index` (below 2048) of a `park` of the lowest table of a plot compressed with `level`: what the
/// prover reads, for those who examine single parks. `None` if there is no such level.
///
/// # Errors
/// [`ParkError`]: the park is damaged or has no such entry.
pub fn compressed_line_point(level: u8, park: &[u8], index: usize) -> Option<Result<u128, ParkError>> {
    ParkLayout::compressed(level).map(|layout| layout.line_point(park, index))
}

/// Bytes of one park of table 7 in a plot of size `k`.
pub(super) fn p7_park_bytes(k: u8) -> usize {
    (usize::from(k) + 1) * ENTRIES_PER_PARK / 8
}

/// The park of table 7 that holds `positions`, of which there are at most 2048: positions in table 6 of k + 1 bits each.
/// The last park does not say how many it holds.
pub(super) fn encode_p7_park(k: u8, positions: &[u64]) -> Result<Vec<u8>, ParkError> {
    if positions.len() > ENTRIES_PER_PARK {
        return Err(ParkError::EntryCount { got: positions.len() });
    }
    let mut park = BitWriter::with_capacity(p7_park_bytes(k) * 8);
    for position in positions {
        park.push(u128::from(*position), u32::from(k) + 1);
    }
    let mut park = park.into_bytes();
    park.resize(p7_park_bytes(k), 0);
    Ok(park)
}

/// Bytes of one C3 park in a plot of size `k`.
pub(super) const fn c3_park_bytes(k: u8) -> usize {
    // Small plots vary more, so they get 8 bits per entry; others 2.4.
    if k < 20 {
        CHECKPOINT_1_INTERVAL
    } else {
        CHECKPOINT_1_INTERVAL * 24 / 10 / 8
    }
}

/// The differences between the f7s of the entries that follow a C1 checkpoint: 9,999, fewer in the last park.
pub(super) fn c3_deltas(park: &[u8]) -> Result<Deltas<'_>, ParkError> {
    let (len, section) = park
        .split_first_chunk::<DELTAS_LEN_BYTES>()
        .ok_or(ParkError::WrongSize {
            expected: DELTAS_LEN_BYTES,
            got: park.len(),
        })?;
    // Big-endian, unlike in the parks of the other tables.
    let len = usize::from(u16::from_be_bytes(*len));
    let stream = section.get(..len).ok_or(ParkError::DeltasOverflow {
        needed: len,
        room: section.len(),
    })?;
    Ok(C3_CODE.decode(stream)?)
}

/// Whether the beginning of a C3 park is all that [`c3_deltas`] needs of it.
pub(super) fn holds_c3_deltas(begin: &[u8]) -> bool {
    begin
        .split_first_chunk::<DELTAS_LEN_BYTES>()
        .is_some_and(|(len, section)| (1..=section.len()).contains(&usize::from(u16::from_be_bytes(*len))))
}

/// The C3 park of the given differences: at least [`MIN_DELTAS`], at most 9,999.
pub(super) fn encode_c3_park(k: u8, deltas: &[u8]) -> Result<Vec<u8>, ParkError> {
    if deltas.len() >= CHECKPOINT_1_INTERVAL {
        return Err(ParkError::EntryCount { got: deltas.len() });
    }
    let mut park = vec![0; DELTAS_LEN_BYTES];
    C3_CODE.encode(deltas, &mut park)?;
    let coded = park.len() - DELTAS_LEN_BYTES;
    let room = c3_park_bytes(k) - DELTAS_LEN_BYTES;
    let len = u16::try_from(coded).ok().filter(|_| coded <= room);
    let len = len.ok_or(ParkError::DeltasOverflow { needed: coded, room })?;
    park[..DELTAS_LEN_BYTES].copy_from_slice(&len.to_be_bytes());
    park.resize(c3_park_bytes(k), 0);
    Ok(park)
}

/// Why a park cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParkError {
    /// Fewer bytes than a park has.
    #[error("park has {got} bytes, expected {expected}")]
    WrongSize {
        /// Bytes a park has.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// Asked for more than the park holds: the position is wrong or the park is damaged.
    #[error("park holds {held} entries, asked for entry {index}")]
    NoSuchEntry {
        /// Entry asked for, counted from 0.
        index: usize,
        /// Entries there.
        held: usize,
    },
    /// The sum of the differences leaves the range of line points: the park is damaged.
    #[error("line point has more than {bits} bits")]
    LinePointTooLarge {
        /// Bits a line point has.
        bits: u32,
    },
    /// Damaged, or to be written and more than the format leaves room for.
    #[error("coded deltas take {needed} bytes, the park has room for {room}")]
    DeltasOverflow {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        room: usize,
    },
    /// What holds the low bits of line points, which are all but random, is zero for a while: the park is damaged.
    #[error("line points have too many zero bytes in a row")]
    Zeroed,
    /// The coded deltas cannot be read or written.
    #[error(transparent)]
    Deltas(#[from] FseError),
    /// To be written: none, or more than a park holds.
    #[error("a park cannot hold {got} entries")]
    EntryCount {
        /// Entries given.
        got: usize,
    },
    /// To be written: line points are not sorted.
    #[error("line points are not in ascending order")]
    NotAscending,
    /// To be written: two neighbours further apart than the format can say.
    #[error("delta {delta} does not fit into a byte")]
    DeltaTooLarge {
        /// Difference without its stub.
        delta: u128,
    },
}

/// Fewest deltas that the entropy code can express.
pub(super) const MIN_DELTAS: usize = 3;

struct Stubs<'a> {
    bytes: &'a [u8],
    bits: u32,
}

impl Stubs<'_> {
    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        read_bits(self.bytes, index * self.bits as usize, self.bits)
    }

    /// The bytes that hold nothing but the first `count`.
    fn of_first(&self, count: usize) -> &[u8] {
        let length = count * self.bits as usize / 8;
        self.bytes.get(..length).unwrap_or(self.bytes)
    }

    /// The sum of the first `count`, of which a park has at most 2047.
    fn sum(&self, count: usize) -> Option<u128> {
        let (sum, summed) = match self.bits {
            11..=16 => self.sum_of_eights::<4>(count),
            17..=30 => self.sum_of_eights::<2>(count),
            _ => (0, 0),
        };
        (summed..count).try_fold(u128::from(sum), |sum, at| Some(sum + u128::from(self.get(at)?)))
    }

    /// The sum of as many of the first `count` as are in whole groups of eight, and how many these are. A group takes as many
    /// bytes as a stub has bits, so what is read at once, `N` stubs, is at the same places of each; every other stub of it is
    /// summed up in the room that the one above it leaves.
    fn sum_of_eights<const N: usize>(&self, count: usize) -> (u64, usize) {
        let bits = self.bits as usize;
        let places: [(usize, usize); 4] = std::array::from_fn(|at| {
            let start = at * N * bits;
            (start / 8, 64_usize.saturating_sub(start % 8 + N * bits))
        });
        let stub = (1_u64 << bits) - 1;
        let every_other = if N == 4 { stub | stub << (2 * bits) } else { stub };
        let (mut sums, mut summed) = (0, 0);
        while summed + 8 <= count {
            let start = summed / 8 * bits;
            let Some(group) = self.bytes.get(start..start + bits + 8) else {
                break;
            };
            for (byte, below) in &places[..8 / N] {
                let Some(window) = group[*byte..].first_chunk() else {
                    break;
                };
                let window = u64::from_be_bytes(*window) >> below;
                sums += (window & every_other) + ((window >> bits) & every_other);
            }
            summed += 8;
        }
        match N {
            4 => ((sums >> (2 * bits)) + (sums & ((1 << (2 * bits)) - 1)), summed),
            _ => (sums, summed),
        }
    }
}

/// An entry of a park that is to be decoded.
pub(super) struct ParkEntry<'a> {
    layout: ParkLayout,
    park: &'a [u8],
    index: usize,
    first: u128,
    deltas: EntryDeltas<'a>,
}

/// The deltas up to an entry.
enum EntryDeltas<'a> {
    Coded(Skip<'a>),
    Raw(std::slice::Iter<'a, u8>),
}

impl<'a> ParkEntry<'a> {
    /// What takes time to decode: to be skipped first, together with that of other entries.
    pub(super) const fn skip(&mut self) -> Option<&mut Skip<'a>> {
        match &mut self.deltas {
            EntryDeltas::Coded(skip) => Some(skip),
            EntryDeltas::Raw(_) => None,
        }
    }

    /// Its line point.
    pub(super) fn line_point(self) -> Result<u128, ParkError> {
        let Self {
            layout,
            park,
            index,
            first,
            deltas,
        } = self;
        let (mut held, mut sum, deltas) = match deltas {
            EntryDeltas::Coded(skip) => {
                let (held, sum, deltas) = skip.end();
                (held, sum, ParkDeltas::Coded(deltas))
            }
            EntryDeltas::Raw(deltas) => (0, 0, ParkDeltas::Raw(deltas)),
        };
        for delta in deltas.take(index - held) {
            sum += u64::from(delta);
            held += 1;
        }
        if held < index {
            return Err(ParkError::NoSuchEntry { index, held: held + 1 });
        }
        let stubs = layout.stubs(park)?;
        if has_zeroed_sector(stubs.of_first(index)) {
            return Err(ParkError::Zeroed);
        }
        let stubs = stubs.sum(index).ok_or_else(|| layout.cut(park))?;
        layout.checked(first + (u128::from(sum) << layout.stub_bits) + stubs)
    }
}

/// All deltas of a park.
enum ParkDeltas<'a> {
    Coded(Deltas<'a>),
    Raw(std::slice::Iter<'a, u8>),
}

impl Iterator for ParkDeltas<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        match self {
            Self::Coded(deltas) => deltas.next(),
            Self::Raw(deltas) => deltas.next().copied(),
        }
    }
}

/// x(x-1)/2 for x below 2^64.
fn triangle(x: u128) -> u128 {
    x * x.saturating_sub(1) / 2
}

/// Stubs have this many bits less than k.
const STUB_MINUS_BITS: u32 = 3;

/// Bytes of the number that says how long the coded deltas are.
const DELTAS_LEN_BYTES: usize = 2;

/// Flag in that number: the deltas follow as plain bytes.
const RAW_DELTAS: u16 = 0x8000;

/// Room for the deltas: 3.5 bits each, in table 1 5.6.
const DELTAS_BYTES: usize = ((ENTRIES_PER_PARK - 1) * 35 / 10).div_ceil(8);
const TABLE_1_DELTAS_BYTES: usize = ((ENTRIES_PER_PARK - 1) * 56 / 10).div_ceil(8);

static TABLE_1_CODE: DeltaCode = DeltaCode::new(4.7);
static TABLE_2_AND_3_CODE: DeltaCode = DeltaCode::new(2.75);
static TABLE_4_CODE: DeltaCode = DeltaCode::new(2.7);
static TABLE_5_CODE: DeltaCode = DeltaCode::new(2.6);
static TABLE_6_CODE: DeltaCode = DeltaCode::new(2.45);
static C3_CODE: DeltaCode = DeltaCode::new(1.0);

/// Of compression levels 1 to 9, as bladebit writes them: bits of a stub, bytes of a park, code of the deltas.
static COMPRESSED_PARKS: [(u32, usize, DeltaCode); 9] = [
    (29, 8336, DeltaCode::new(2.51)),
    (25, 7360, DeltaCode::new(3.44)),
    (21, 6352, DeltaCode::new(4.36)),
    (16, 5325, DeltaCode::new(9.30)),
    (12, 4300, DeltaCode::new(9.30)),
    (8, 3273, DeltaCode::new(9.10)),
    (4, 2250, DeltaCode::new(8.60)),
    (4, 6350, DeltaCode::new(8.60)),
    (30, 8808, DeltaCode::new(4.54)),
];
