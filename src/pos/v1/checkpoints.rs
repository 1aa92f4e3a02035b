//! The tables C1, C2 and C3 of a v1 plot, which tell at which places of table 7 an f7 is.
//!
//! Table 7 is sorted by f7 and does not contain it. C1 has the f7 of every 10,000th entry, C2 every 10,000th of C1 (in
//! memory here), and C3 the differences between the f7s that follow each C1 entry. An f7 may be at several places, at a
//! checkpoint itself, and before and after one.
//!
//! Zeroed sectors and bytes of another file must not read as "no proof". So the entries of C1 are to ascend from one of C2
//! to the next, and wherever an f7 is looked for, there are entries near it.

use std::ops::Range;

use super::bits::read_bits;
use super::fse::Skip;
use super::park::{CHECKPOINT_1_INTERVAL, CHECKPOINT_2_INTERVAL, ParkError, c3_deltas, c3_park_bytes, holds_c3_deltas};
use super::plot_reader::PlotReader;
use crate::pos::plot_error::{PlotError, PlotPart};
use crate::pos::read_at::ReadAt;

/// Where the tables are, and the contents of C2.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    k: u8,
    c1_start: u64,
    /// Entries that C1 has room for. Its end is marked by one entry 0, and some plotters pad it with more.
    c1_room: u64,
    /// C1 as it is in the file, if it is kept in memory.
    c1: Option<Box<[u8]>>,
    c2: Box<[u64]>,
    c3_start: u64,
}

/// An entry of C1.
#[derive(Clone, Copy, Debug)]
struct Checkpoint {
    /// Index into C1, and of the C3 park that follows the entry.
    index: u64,
    f7: u64,
}

impl Checkpoints {
    /// Reads C2. `c1` and `c2` are the bytes of the file that these tables may occupy.
    pub(super) fn open<R: ReadAt + ?Sized>(
        reader: &PlotReader<'_, R>,
        k: u8,
        c1: Range<u64>,
        c2: Range<u64>,
        c3_start: u64,
    ) -> Result<Self, PlotError> {
        Self::new(k, c1, read_c2(reader, k, c2)?.into(), c3_start)
    }

    /// With a C2 that was read before.
    pub(super) fn new(k: u8, c1: Range<u64>, c2: Box<[u64]>, c3_start: u64) -> Result<Self, PlotError> {
        let c1_room = (c1.end - c1.start) / entry_bytes(k);
        if c1_room == 0 || c2.is_empty() {
            return Err(PlotError::damaged(
                PlotPart::Header,
                "it leaves no room for the tables C1 and C2",
            ));
        }
        if !c2.is_sorted_by(|a, b| a < b) || c2.last().is_some_and(|f7| f7 >> k != 0) {
            return Err(PlotError::damaged(PlotPart::C2, "its entries are no ascending f7s"));
        }
        Ok(Self {
            k,
            c1_start: c1.start,
            c1_room,
            c1: None,
            c2,
            c3_start,
        })
    }

    /// Reads C1 and keeps it, if that takes at most `max_bytes`; a C1 kept before is given up otherwise. Returns the bytes it
    /// takes.
    pub(super) fn keep_c1<R: ReadAt + ?Sized>(
        &mut self,
        reader: &PlotReader<'_, R>,
        max_bytes: usize,
    ) -> Result<usize, PlotError> {
        self.c1 = None;
        // Some plotters leave far more room than there are entries.
        let entries = self.c1_room.min((2 << self.k) / CHECKPOINT_1_INTERVAL as u64 + 2);
        let length = usize::try_from(entries * entry_bytes(self.k)).unwrap_or(usize::MAX);
        let ends_at = |bytes: &[u8]| {
            let end = unpack(self.k, bytes).skip(1).position(|f7| f7 == 0);
            end.map(|entries| (entries + 1) * entry_bytes(self.k) as usize)
        };
        let mut c1 = Vec::new();
        while c1.len() < length && c1.len() <= max_bytes {
            let piece = C1_PIECE_BYTES.min(length - c1.len());
            c1.extend(reader.read(PlotPart::C1, self.c1_start.saturating_add(c1.len() as u64), piece)?);
            if let Some(end) = ends_at(&c1) {
                c1.truncate(end);
                break;
            }
        }
        if c1.len() > max_bytes {
            return Ok(0);
        }
        let kept = c1.len();
        self.c1 = Some(c1.into());
        Ok(kept)
    }

    /// The contents of C2.
    pub(super) const fn c2(&self) -> &[u64] {
        &self.c2
    }

    /// What tells the places of `f7` in table 7. Reads C1 and C3 once each.
    pub(super) fn near<R: ReadAt + ?Sized>(&self, reader: &PlotReader<'_, R>, f7: u64) -> Result<Near, PlotError> {
        let checkpoints = self.find(reader, f7)?;
        let park_bytes = c3_park_bytes(self.k);
        let Some(first) = checkpoints.first() else {
            let first = self.c2.first().copied().unwrap_or_default();
            check_gap(PlotPart::C2, first.saturating_sub(f7))?;
            return Ok(Near::default());
        };
        let offset = first
            .index
            .saturating_mul(park_bytes as u64)
            .saturating_add(self.c3_start);
        if checkpoints.len() == 1 && park_bytes > C3_READ_BYTES {
            let parks = reader.read_up_to(PlotPart::C3, offset, C3_READ_BYTES)?;
            if holds_c3_deltas(&parks) {
                return Ok(Near {
                    f7,
                    checkpoints,
                    park_bytes: parks.len(),
                    parks,
                });
            }
        }
        let parks = reader.read_up_to(PlotPart::C3, offset, checkpoints.len() * park_bytes)?;
        Ok(Near {
            f7,
            checkpoints,
            park_bytes,
            parks,
        })
    }

    /// The places in table 7 of all entries with the f7 of these scans: ascending, without gaps.
    pub(super) fn places<R: ReadAt + ?Sized>(
        &self,
        reader: &PlotReader<'_, R>,
        scans: Vec<Scan<'_>>,
    ) -> Result<Vec<u64>, PlotError> {
        let mut places = Vec::new();
        for scan in scans {
            let (checkpoint, park, is_whole, f7) = (scan.checkpoint, scan.park, scan.is_whole, scan.f7);
            let gap = match scan.collect_places(&mut places) {
                // The last park is written only as far as it is filled, and not at all if no entry follows its checkpoint.
                Err(_) if park.iter().all(|byte| *byte == 0) && self.is_last(reader, &checkpoint)? => {
                    f7.saturating_sub(checkpoint.f7)
                }
                Err(_) if !is_whole => return Err(reader.cut_off(PlotPart::C3)),
                collected => collected.map_err(|error| PlotError::damaged(PlotPart::C3, error))?,
            };
            check_gap(PlotPart::C3, gap)?;
        }
        Ok(places)
    }

    /// The checkpoints after which `f7` may be: the last one that is at most `f7`, and if it is `f7`, the one before it,
    /// too. None if all are larger.
    fn find<R: ReadAt + ?Sized>(&self, reader: &PlotReader<'_, R>, f7: u64) -> Result<Vec<Checkpoint>, PlotError> {
        let Some(group) = self.c2.partition_point(|entry| *entry <= f7).checked_sub(1) else {
            return Ok(Vec::new());
        };
        // The checkpoint is in low..high: that at low is at most f7, that at high is larger or does not exist.
        let mut low = group as u64 * CHECKPOINT_2_INTERVAL as u64;
        let mut high = (low + CHECKPOINT_2_INTERVAL as u64).min(self.c1_room);
        let mut guess = self.estimate(group, f7);
        while low < high {
            let count = (C1_READ_BYTES / entry_bytes(self.k)).min(high - low);
            let start = guess.saturating_sub(count / 2).clamp(low, high - count);
            let f7s = self.read_c1(reader, start, count)?;
            if !self.is_of_group(group, start, count, &f7s) {
                return Err(PlotError::damaged(
                    PlotPart::C1,
                    "its entries do not ascend from one of C2 to the next",
                ));
            }
            let not_above = f7s.partition_point(|entry| *entry <= f7) as u64;
            if not_above == 0 {
                high = start;
            } else if not_above == count && start + count < high {
                low = start + count - 1;
            } else {
                let at = |index: u64| Checkpoint {
                    index: start + index,
                    f7: f7s[index as usize],
                };
                let last = at(not_above - 1);
                if last.f7 != f7 || last.index == 0 {
                    return Ok(vec![last]);
                }
                let before = match not_above.checked_sub(2) {
                    Some(index) => Some(at(index)),
                    None => {
                        let f7s = self.read_c1(reader, last.index - 1, 1)?;
                        f7s.first().map(|f7| Checkpoint {
                            index: last.index - 1,
                            f7: *f7,
                        })
                    }
                };
                return Ok(before.into_iter().chain([last]).collect());
            }
            guess = low.midpoint(high);
        }
        Err(PlotError::damaged(PlotPart::C1, "it contradicts C2"))
    }

    /// Whether `f7s` may be what C1 has from `start` on, where `count` entries were read of the group that begins with
    /// an entry of C2: they ascend from that one to the next, and end earlier only where no next one is.
    fn is_of_group(&self, group: usize, start: u64, count: u64, f7s: &[u64]) -> bool {
        let (begin, next) = (self.c2[group], self.c2.get(group + 1));
        let is_first = start == group as u64 * CHECKPOINT_2_INTERVAL as u64;
        f7s.is_sorted_by(|a, b| a < b)
            && f7s
                .first()
                .is_none_or(|f7| if is_first { *f7 == begin } else { *f7 > begin })
            && next.is_none_or(|next| f7s.len() as u64 == count && f7s.last() < Some(next))
    }

    /// About where in C1 `f7` is, which is at or after the C2 entry `group`. The f7s are evenly distributed, so this is
    /// rarely wrong by more than one or two.
    fn estimate(&self, group: usize, f7: u64) -> u64 {
        let first = self.c2[group];
        let group_start = group as u64 * CHECKPOINT_2_INTERVAL as u64;
        // So many entries of C1 for so many f7s: in this group, or in those before the last, or in all of C1.
        let (entries, f7s) = match (self.c2.get(group + 1), group) {
            (Some(next), _) => (CHECKPOINT_2_INTERVAL as u64, next - first),
            (None, 1..) => (group_start, first - self.c2[0]),
            (None, 0) => (self.c1_room, (1 << self.k) - first),
        };
        let ahead = u128::from(f7 - first) * u128::from(entries) / u128::from(f7s);
        group_start.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
    }

    /// Whether no further entry of C1 follows: then the checkpoint's park is empty if no entry of table 7 follows either.
    fn is_last<R: ReadAt + ?Sized>(
        &self,
        reader: &PlotReader<'_, R>,
        checkpoint: &Checkpoint,
    ) -> Result<bool, PlotError> {
        let next = checkpoint.index + 1;
        Ok(next >= self.c1_room || self.read_c1(reader, next, 1)?.is_empty())
    }

    /// Up to `count` entries of C1 from `start` on; fewer if C1 ends there.
    fn read_c1<R: ReadAt + ?Sized>(
        &self,
        reader: &PlotReader<'_, R>,
        start: u64,
        count: u64,
    ) -> Result<Vec<u64>, PlotError> {
        let (start_byte, length) = (start * entry_bytes(self.k), (count * entry_bytes(self.k)) as usize);
        let read;
        let bytes = if let Some(c1) = &self.c1 {
            let rest = usize::try_from(start_byte).ok().and_then(|start| c1.get(start..));
            let rest = rest.unwrap_or_default();
            &rest[..length.min(rest.len())]
        } else {
            read = reader.read(PlotPart::C1, self.c1_start.saturating_add(start_byte), length)?;
            &read
        };
        let is_entry = |(index, f7): &(u64, u64)| *index == 0 || *f7 != 0;
        Ok((start..)
            .zip(unpack(self.k, bytes))
            .take_while(is_entry)
            .map(|(_, f7)| f7)
            .collect())
    }
}

/// The entries of C2. What follows the last one does not ascend: a 0, or several in padded tables.
fn read_c2<R: ReadAt + ?Sized>(reader: &PlotReader<'_, R>, k: u8, table: Range<u64>) -> Result<Vec<u64>, PlotError> {
    // Twice as many as a plot of this k has.
    let most = (2 << k) / (CHECKPOINT_1_INTERVAL * CHECKPOINT_2_INTERVAL) as u64 + 2;
    let count = ((table.end - table.start) / entry_bytes(k)).min(most);
    let mut c2 = Vec::new();
    // By pieces, so that not the header but what is there decides how much memory is taken.
    for start in (0..count).step_by(C2_ENTRIES_PER_READ) {
        let length = (count - start).min(C2_ENTRIES_PER_READ as u64) * entry_bytes(k);
        let bytes = reader.read(PlotPart::C2, table.start + start * entry_bytes(k), length as usize)?;
        for f7 in unpack(k, &bytes) {
            if c2.last().is_some_and(|last| f7 <= *last) {
                return Ok(c2);
            }
            c2.push(f7);
        }
    }
    Ok(c2)
}

/// The checkpoints and C3 parks by which an f7 is found.
#[derive(Default)]
pub(super) struct Near {
    f7: u64,
    checkpoints: Vec<Checkpoint>,
    /// Of each park, as much as tells anything.
    park_bytes: usize,
    /// One after the other, as far as they are in the file.
    parks: Vec<u8>,
}

impl Near {
    /// What was read of the parks, of which there is nothing left then.
    pub(super) fn take_parks(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parks)
    }

    /// A scan after each checkpoint, none begun.
    pub(super) fn scans(&self) -> Vec<Scan<'_>> {
        let parks = self
            .parks
            .chunks(self.park_bytes.max(1))
            .chain(std::iter::repeat(&[][..]));
        let scan = |(checkpoint, park): (&Checkpoint, _)| Scan {
            f7: self.f7,
            checkpoint: *checkpoint,
            park,
            is_whole: park.len() == self.park_bytes,
            deltas: c3_deltas(park).map(|deltas| {
                let below = self.f7.saturating_sub(checkpoint.f7);
                Skip::new(deltas, below, CHECKPOINT_1_INTERVAL - 1)
            }),
        };
        self.checkpoints.iter().zip(parks).map(scan).collect()
    }
}

/// A search for an f7 among the entries of table 7 that begin at a checkpoint and go on in its C3 park.
pub(super) struct Scan<'a> {
    f7: u64,
    checkpoint: Checkpoint,
    park: &'a [u8],
    /// Whether all of it that tells anything was in the file.
    is_whole: bool,
    deltas: Result<Skip<'a>, ParkError>,
}

impl<'a> Scan<'a> {
    /// What takes time to decode: to be skipped first, together with that of other scans.
    pub(super) fn skip(&mut self) -> Option<&mut Skip<'a>> {
        self.deltas.as_mut().ok()
    }

    /// Returns by how much the f7 is larger than the last entry, if they are all smaller.
    fn collect_places(self, places: &mut Vec<u64>) -> Result<u64, ParkError> {
        let first_place = self.checkpoint.index * CHECKPOINT_1_INTERVAL as u64;
        if self.checkpoint.f7 == self.f7 {
            places.push(first_place);
        }
        let (below, sum, deltas) = self.deltas?.end();
        let mut current = self.checkpoint.f7 + sum;
        let places_left = first_place + 1 + below as u64..first_place + CHECKPOINT_1_INTERVAL as u64;
        for (place, delta) in places_left.zip(deltas) {
            current += u64::from(delta);
            if current > self.f7 {
                return Ok(0);
            }
            if current == self.f7 {
                places.push(place);
            }
        }
        Ok(self.f7.saturating_sub(current))
    }
}

/// That there may be an entry on one side of an f7 only after `gap` others.
fn check_gap(part: PlotPart, gap: u64) -> Result<(), PlotError> {
    if gap > MAX_GAP {
        let reason = format!("it has no entry within {gap} f7s of the one looked for");
        return Err(PlotError::damaged(part, reason));
    }
    Ok(())
}

/// The entries of C1 or C2: the upper k bits of each.
fn unpack(k: u8, bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes
        .chunks_exact(entry_bytes(k) as usize)
        .map_while(move |entry| read_bits(entry, 0, u32::from(k)))
}

/// Bytes of an entry of C1 or C2.
fn entry_bytes(k: u8) -> u64 {
    u64::from(k).div_ceil(8)
}

/// No two f7s of a plot that follow each other are further apart, nor is the first from 0 or the last from 2^k: a delta has a
/// byte, and of 2^k entries none has such a gap before it, by chance e^-255.
const MAX_GAP: u64 = 255;

/// As much of a C3 park as is read at first. From k 20 on that is all of it; smaller plots have larger ones, of which a
/// quarter is used.
const C3_READ_BYTES: usize = c3_park_bytes(32);

/// How much of C1 is read around the estimated place: many times more than the estimate is wrong, and still one sector.
const C1_READ_BYTES: u64 = 512;

/// All of C1 takes 1.7 MB at k 32.
const C1_PIECE_BYTES: usize = 1 << 18;

const C2_ENTRIES_PER_READ: usize = 1024;
